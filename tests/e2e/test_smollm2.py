"""SmolLM2 from the command line against reference results: logits, greedy answers, perplexity, tokens; speed of a warm start."""
import json
import math
import os
import random
import signal
import time

import common
from common import Case, DATA, TEXT_DATA, load_npy
from hostile import SANITIZED

VOCAB = 49152


class SmolLM2(Case):
    zoo = ("smollm2",)
    shared_home = True

    def score(self, name, *more):
        self.run_weir("run", "smollm2", "-e", "score", "-i", f"tokens={DATA}/{name}.tokens.npy", "-o", "logits.npy", *more)
        return load_npy(self.path("logits.npy"))

    def test_logits(self):
        for name in ("f1_single", "f2_text", "f3_chat_unicode", "f4_code"):
            (rows, width), logits = self.score(name)
            _, ids = load_npy(f"{DATA}/{name}.top16_ids.npy")
            _, values = load_npy(f"{DATA}/{name}.top16_logits.npy")
            self.assertEqual(width, VOCAB)
            errors = []
            for t in range(rows):
                row = logits[t * VOCAB:(t + 1) * VOCAB]
                self.assertEqual(max(range(VOCAB), key=row.__getitem__), ids[16 * t], (name, t))
                errors += [abs(row[ids[16 * t + k]] - values[16 * t + k]) for k in range(16)]
            if os.path.exists(f"{DATA}/{name}.last_logits.npy"):
                _, last = load_npy(f"{DATA}/{name}.last_logits.npy")
                errors += [abs(a - b) for a, b in zip(logits[(rows - 1) * VOCAB:], last)]
            self.assertLessEqual(max(errors), 1e-3, name)
            self.assertLessEqual(math.sqrt(sum(e * e for e in errors) / len(errors)), 1e-4, name)

    def test_next_and_score_agree_bit_for_bit(self):
        (rows, _), logits = self.score("f2_text")
        self.run_weir("run", "smollm2", "-e", "next", "-i", f"tokens={DATA}/f2_text.tokens.npy", "-o", "next.npy")
        _, last = load_npy(self.path("next.npy"))
        self.assertEqual(last.tobytes(), logits[(rows - 1) * VOCAB:].tobytes())

    def test_packed_requests_and_threads_do_not_change_bits(self):
        names = ("f1_single", "f3_chat_unicode", "f2_text")
        args = [a for n in names for a in ("-i", f"tokens={DATA}/{n}.tokens.npy")]
        self.run_weir("run", "smollm2", "-e", "score", *args, "-o", "all.npy", "--threads", "2")
        for i, name in enumerate(names):
            _, alone = self.score(name, "--threads", "1")
            self.assertEqual(load_npy(self.path(f"all.{i}.npy"))[1].tobytes(), alone.tobytes(), name)

    def test_greedy_answers(self):
        with open(f"{DATA}/greedy.json", encoding="utf-8") as file:
            chats = json.load(file)
        for chat in chats:
            self.write("m.json", json.dumps(chat["messages"]))
            got = self.json("chat", "smollm2", "--messages", "m.json", "-n", "64", "--temperature", "0")
            self.assertEqual(got["prompt_tokens"], chat["prompt_tokens"], chat["name"])
            self.assertEqual(got["tokens"], chat["generated_tokens"], chat["name"])
            self.assertEqual(got["text"], chat["text"], chat["name"])
            self.assertEqual(got["finish_reason"], "stop" if chat["finish"] == "eos" else "length")
            for key in ("load_s", "first_token_s", "prefill_tokens_per_s", "decode_tokens_per_s"):
                self.assertGreater(got["timings"][key], 0)

    def test_one_answer_is_text_on_stdout(self):
        with open(f"{DATA}/greedy.json", encoding="utf-8") as file:
            chat = next(c for c in json.load(file) if len(c["messages"]) == 1)
        said = self.run_weir("chat", "smollm2", "-p", chat["messages"][0]["content"], "-n", "64", "--temperature", "0")
        self.assertEqual(said, chat["text"] + "\n")
        self.assertEqual(self.errors, "")

    def test_a_conversation_by_lines(self):
        talk = self.run_weir("chat", "smollm2", "-n", "8", "--temperature", "0", input=b"Say hello.\nAnd again.\n").split("\n")
        first = self.json("chat", "smollm2", "-p", "Say hello.", "-n", "8", "--temperature", "0")["text"]
        self.assertEqual(talk[0], first)
        turns = [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": first}, {"role": "user", "content": "And again."}]
        self.write("m.json", json.dumps(turns))
        self.assertEqual(talk[1], self.json("chat", "smollm2", "--messages", "m.json", "-n", "8", "--temperature", "0")["text"])

    def test_sampling_follows_its_seed(self):
        draw = lambda *more: self.json("chat", "smollm2", "-p", "Tell me a story.", "-n", "12", "--temperature", "1", *more)["tokens"]
        self.assertEqual(draw("--seed", "5"), draw("--seed", "5"))
        self.assertNotEqual(draw("--seed", "5"), draw("--seed", "6"))
        self.assertEqual(draw("--top-k", "1", "--seed", "5"), draw("--top-k", "1", "--seed", "6"))

    def test_perplexity(self):
        got = self.json("eval", "smollm2", "perplexity", "-f", f"{DATA}/perplexity.txt", "-o", "nll.npy")
        self.assertEqual((got["tokens"], got["windows"], got["scored"]), (2998, 6, 2992))
        self.assertAlmostEqual(got["nll_mean"], 3.356608, delta=1e-5)
        self.assertAlmostEqual(got["perplexity"], 28.6917, delta=5e-4)
        _, wanted = load_npy(f"{DATA}/perplexity_nll.npy")
        _, nll = load_npy(self.path("nll.npy"))
        self.assertEqual(len(nll), len(wanted))
        self.assertLess(max(abs(a - b) for a, b in zip(nll, wanted)), 2e-4)

    def test_a_warm_start_is_quick(self):
        self.json("chat", "smollm2", "-p", "Hi", "-n", "1")
        best = 9
        for _ in range(3):
            start = time.monotonic()
            self.json("chat", "smollm2", "-p", "Hi", "-n", "1", "--temperature", "0")
            best = min(best, time.monotonic() - start)
        print(f"warm chat to its first token: {best:.3f} s")
        self.assertLess(best, 2)  # 0.5 s on a quiet machine

    def test_tokenizer(self):
        with open(f"{TEXT_DATA}/smollm2_bpe.jsonl", encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        for case in cases[::6]:
            self.write("t.txt", case["text"])
            more = ["--special"] if case["parse_special"] else []
            self.assertEqual(self.json("tokenize", "smollm2", "-f", "t.txt", *more)["ids"], case["ids"], case)

    def test_decode(self):
        with open(f"{TEXT_DATA}/smollm2_decode.jsonl", encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        for case in cases[::4]:
            wanted = bytes.fromhex(case["hex"])
            got = self.json("tokenize", "smollm2", "--decode", json.dumps(case["ids"]))["text"]
            self.assertEqual(got, wanted.decode("utf-8", errors="replace"), case)

    def test_bench(self):
        got = self.json("bench", "smollm2", "--prompt", "32", "--gen", "4", "--repeat", "2")
        for key in ("prefill_tokens_per_s", "decode_tokens_per_s"):
            self.assertTrue(0 < got[key]["min"] <= got[key]["median"] <= got[key]["max"])
        for key in ("first_token_s", "peak_memory_bytes"):
            self.assertGreater(got[key], 0)
        self.assertGreater(got["roof"]["read_bytes_per_s"], 1e8)
        self.assertGreater(got["roof"]["flops_per_s"], 1e8)
        self.assertIn("cpu", got["machine"])
        if not SANITIZED:  # weights, temporaries and states are all there is; the rest of the process is small beside them
            self.assertLess(got["peak_memory_bytes"], 1.1 * got["memory"]["total_bytes"] + 48e6)

    def test_explain(self):
        got = self.json("explain", "smollm2", "-e", "next", "--size", "T=1")
        self.assertTrue(any(d["fused"] for d in got["fusion"]))
        self.assertTrue(all(d["reason"] for d in got["fusion"]))
        entry = got["entries"][0]
        self.assertEqual((entry["entry"], entry["sizes"]), ("next", {"T": 1}))
        self.assertGreater(entry["arena_bytes"], 0)
        self.assertTrue(entry["kernels"])
        self.run_weir("explain", "smollm2", "--size", "Q=1", code=2)

    def test_show(self):
        for form, word in (("graph", "step next"), ("kernel", "kernel"), ("program", "arena"), ("c", "void")):
            self.assertIn(word, self.run_weir("show", "smollm2", "--form", form))
        self.run_weir("show", "smollm2", "--svg", "m.svg")
        with open(self.path("m.svg"), encoding="utf-8") as file:
            self.assertTrue(file.read().startswith("<svg "))

    def test_interrupted_answer(self):
        self.json("chat", "smollm2", "-p", "Hi", "-n", "1")
        process = self.popen("chat", "smollm2", "-p", "Count to one thousand.", "-n", "4000", "--temperature", "1")
        self.assertTrue(process.stdout.read(1))  # it has begun to answer
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)

    def test_a_damaged_checkpoint(self):
        source = os.path.join(self.home, "models", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
        with open(source, "rb") as file:
            head = file.read(4 << 20)
        draw = random.Random(7)
        for size in (3, 100, 5000, 1 << 20, 4 << 20):
            self.write("w.gguf", head[:size])
            self.run_weir("chat", "smollm2", "-w", "w.gguf", "-p", "Hi", code=1)
            self.run_weir("tokenize", "smollm2", "-w", "w.gguf", "Hi", code=1)
        for at in [4, 8, 16] + [draw.randrange(3 << 20) for _ in range(12)]:
            path = self.write("w.gguf", head[:at] + bytes([head[at] ^ 1 << draw.randrange(8)]) + head[at + 1:])
            os.truncate(path, os.path.getsize(source))  # the rest reads as zeros
            self.run_weir("tokenize", "smollm2", "-w", "w.gguf", "Hi there", code=(0, 1))

    def test_a_prompt_that_is_too_long(self):
        self.write("m.json", json.dumps([{"role": "user", "content": "word " * 20000}]))
        self.run_weir("chat", "smollm2", "--messages", "m.json", "-n", "1", code=1)
        self.assertIn("8192", self.errors)


if __name__ == "__main__":
    common.main()
