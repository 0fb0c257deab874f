"""MiniLM from the command line against reference results: embeddings, similar texts, tokens, ragged batches."""
import json

import common
from common import Case, DATA, TEXT_DATA, load_npy, save_npy

WIDTH = 384


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class MiniLM(Case):
    zoo = ("minilm",)
    shared_home = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(f"{DATA}/texts.json", encoding="utf-8") as file:
            cls.texts = json.load(file)
        _, values = load_npy(f"{DATA}/embeddings.npy")
        cls.wanted = [values[i * WIDTH:(i + 1) * WIDTH] for i in range(len(cls.texts))]

    def assert_close(self, got, wanted, what):
        self.assertLess(max(abs(a - b) for a, b in zip(got, wanted)), 1e-5, what)

    def test_embeddings_of_ids(self):
        args = []
        for i, text in enumerate(self.texts):
            save_npy(self.path(f"t{i}.npy"), "<i4", (len(text["ids"]),), text["ids"])
            args += ["-i", f"tokens=t{i}.npy"]
        self.run_weir("run", "minilm", "-e", "embed", *args, "-o", "e.npy")
        for i, wanted in enumerate(self.wanted):
            self.assert_close(load_npy(self.path(f"e.{i}.npy"))[1], wanted, i)

    def test_embeddings_of_texts(self):  # the last two are cut to what the model was trained on
        picked = [i for i, t in enumerate(self.texts) if "\n" not in t["text"] and "\r" not in t["text"]]
        self.write("lines.txt", "\n".join(self.texts[i]["text"] for i in picked))
        got = self.json("embed", "minilm", "-f", "lines.txt", "-o", "e.npy")
        self.assertEqual(len(got["embeddings"]), len(picked))
        for vector, i in zip(got["embeddings"], picked):
            self.assert_close(vector, self.wanted[i], i)
        shape, values = load_npy(self.path("e.npy"))
        self.assertEqual(shape, (len(picked), WIDTH))
        for k, i in enumerate(picked):
            self.assert_close(values[k * WIDTH:(k + 1) * WIDTH], self.wanted[i], i)
            self.assertAlmostEqual(dot(self.wanted[i], self.wanted[i]), 1, places=5)

    def test_bytes_keep_the_direction(self):
        """Weights and rows in bytes with one scale for a row, or for each 32: the cosine with the reference."""
        args = []
        for i, text in enumerate(self.texts):
            save_npy(self.path(f"t{i}.npy"), "<i4", (len(text["ids"]),), text["ids"])
            args += ["-i", f"tokens=t{i}.npy"]
        for plan, least in (("w8a8", 0.97), ("int8", 0.99)):
            self.run_weir("run", "minilm", "-e", "embed", *args, "-o", "e.npy", "--plan", plan)
            cosines = [dot(load_npy(self.path(f"e.{i}.npy"))[1], wanted) for i, wanted in enumerate(self.wanted)]
            print(f"{plan}: cosine {sum(cosines) / len(cosines):.5f} in the mean, {min(cosines):.5f} at least, of {len(cosines)}")
            self.assertGreater(min(cosines), least, plan)

    def test_a_vector_does_not_depend_on_its_neighbours(self):
        texts = [t["text"] for t in self.texts[:12]]
        self.run_weir("embed", "minilm", *texts, "-o", "all.npy")
        _, values = load_npy(self.path("all.npy"))
        for i in (0, 5, 11):
            self.run_weir("embed", "minilm", texts[i], "-o", "one.npy", "--threads", "1")
            self.assertEqual(load_npy(self.path("one.npy"))[1].tobytes(), values[i * WIDTH:(i + 1) * WIDTH].tobytes(), i)

    def test_similar_texts(self):
        with open(f"{DATA}/pairs.json", encoding="utf-8") as file:
            pairs = json.load(file)
        for pair in pairs:
            a, b = self.json("embed", "minilm", pair["text_a"], pair["text_b"])["embeddings"]
            self.assertAlmostEqual(dot(a, b), pair["cosine"], places=4)

    def test_long_texts_are_cut_or_refused(self):
        text = "river " * 3000
        got = self.json("embed", "minilm", text)
        self.assertEqual(got["cut"], 1)
        self.assertIn("is cut to", self.errors)
        self.assertEqual(self.run_weir("embed", "minilm", text, "--strict", code=1), "")

    def test_tokenizer(self):
        with open(f"{TEXT_DATA}/minilm_wordpiece.jsonl", encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        for case in cases[::5]:
            if case["truncated"]:
                continue
            self.write("t.txt", case["text"])
            self.assertEqual(self.json("tokenize", "minilm", "-f", "t.txt", "--special")["ids"], case["ids"], case)
        self.assertEqual(self.json("tokenize", "minilm", "hello", "--bare")["ids"], [7592])

    def test_no_texts_is_wrong_usage(self):
        self.run_weir("embed", "minilm", code=2)
        self.run_weir("chat", "minilm", "-p", "Hi", code=1)


if __name__ == "__main__":
    common.main()
