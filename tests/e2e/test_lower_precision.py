"""Plans that trade exactness: activations in int8, products in bf16, states in half the bytes. Bits still depend on nothing but the request, what is lost in
perplexity stays small and is told, and a package says what it has. The default is untouched: test_smollm2.py."""
import math
import os
import subprocess

import common
from common import Case, DATA, ROOT, load_npy

INVARIANCE = os.environ.get("WEIR_INVARIANCE", os.path.join(ROOT, "build", "tests", "invariance"))
PLANS = {"int8": 0.01, "bf16": 0.003, "w8a8": 0.05}  # the most that the logarithm of the perplexity may change
SMALL = """use std.nn;
use std.decoder;

dim T: seq;

model Small {layers = 2, D = 64, F = 128, V = 256} {
  dim T: seq in 1..=64;
  model: Decoder{layers, D, F, 2, 1, V, 1e4, 1e-5};
  step next(tokens: i32[T] in 0..V) -> f32[V] { return model.embed_tokens.logits(last(model(tokens))); }
  entry score(tokens: i32[T] in 0..V) -> f32[T, V] { return model.embed_tokens.logits(model(tokens)); }
}

plan int8 for Small { store **.weight: q8_0; store **.*norm*.weight: f32; activations **: int8; }
plan bf16 for Small { compute model.layers: bf16; }
plan rows for Small { store **.weight: w8; store **.*norm*.weight: f32; activations **: int8(row); activations **.mlp.down_proj: f32; }
plan groups for Small { store **.weight: w8; store **.*norm*.weight: f32; activations **: int8(); }
plan mixed for Small { store **.mlp.*.weight: q4_1; activations **.mlp: int8; compute **.self_attn: bf16(); }
plan half for Small { cache **: f16; }
plan parts for Small { cache **.keys: bf16(); cache model.layers[0].**: f16; cache model.layers[1].**.values: f32; }
"""


class LowerPrecision(Case):
    zoo = ("smollm2",)
    shared_home = True

    def score(self, plan, name, *more):
        self.run_weir("run", "smollm2", "-e", "score", "-i", f"tokens={DATA}/{name}.tokens.npy", "-o", "logits.npy", "--plan", plan, *more)
        return load_npy(self.path("logits.npy"))

    def test_next_score_packed_and_threads_have_the_same_bits(self):
        names = ("f1_single", "f3_chat_unicode", "f2_text")
        for plan in PLANS:
            args = [a for n in names for a in ("-i", f"tokens={DATA}/{n}.tokens.npy")]
            self.run_weir("run", "smollm2", "-e", "score", *args, "-o", "all.npy", "--threads", "2", "--plan", plan)
            for i, name in enumerate(names):
                (rows, width), alone = self.score(plan, name, "--threads", "1")
                self.assertEqual(load_npy(self.path(f"all.{i}.npy"))[1].tobytes(), alone.tobytes(), (plan, name))
            self.run_weir("run", "smollm2", "-e", "next", "-i", f"tokens={DATA}/{names[-1]}.tokens.npy", "-o", "next.npy", "--plan", plan)
            _, last = load_npy(self.path("next.npy"))
            self.assertEqual(last.tobytes(), alone[(rows - 1) * width:].tobytes(), plan)

    def test_perplexity_changes_little(self):
        measure = ("eval", "smollm2", "perplexity", "-f", f"{DATA}/perplexity.txt")
        exact = self.json(*measure)["nll_mean"]
        for plan, most in PLANS.items():
            change = self.json(*measure, "--plan", plan)["nll_mean"] - exact
            print(f"{plan}: perplexity {100 * math.expm1(change):+.3f} %")
            self.assertNotEqual(change, 0, plan)
            self.assertLess(abs(change), most, plan)

    def test_bench_tells_what_the_plan_costs(self):
        got = self.json("bench", "smollm2", "--plan", "int8", "--prompt", "16", "--gen", "2", "--repeat", "1")["perplexity"]
        self.assertAlmostEqual(got["change_percent"], 100 * (got["plan"] / got["exact"] - 1), 9)
        self.assertLess(abs(got["change_percent"]), 3)
        self.assertGreater(got["scored"], 500)
        self.assertNotIn("perplexity", self.json("bench", "smollm2", "--prompt", "16", "--gen", "2", "--repeat", "1"))

    def test_packages_hold_what_was_asked(self):
        self.write("small.weir", SMALL)
        for plan, products in (("int8", {"int8"}), ("bf16", {"bf16", "f32"}), ("mixed", {"int8", "bf16", "f32"}), ("rows", {"int8_row", "f32"}),
                               ("groups", {"int8"})):
            package = self.path(f"{plan}.wpk")
            self.run_weir("build", "small.weir", "--random", "1", "--plan", plan, "-o", package, "--target", "cpu")
            self.assertEqual(self.errors, "", plan)
            self.assertEqual(set(self.json("inspect", package)["manifest"]["products"]), products, plan)
            found = subprocess.run([INVARIANCE, package, "7", "6"], capture_output=True, text=True)
            self.assertEqual(found.returncode, 0, f"{plan}: {found.stdout}\n{found.stderr}")

    def test_states_are_kept_in_fewer_bytes(self):
        self.write("small.weir", SMALL)
        for plan, row, types in (("half", 256, {"f16"}), ("parts", 64 + 64 + 64 + 128, {"f16", "bf16", "f32"})):
            package = self.path(f"{plan}.wpk")
            self.run_weir("build", "small.weir", "--random", "1", "--plan", plan, "-o", package, "--target", "cpu")
            states = [s for e in self.json("inspect", package)["entries"] if e["name"] == "next" for s in e["states"]]
            self.assertEqual((sum(s["row_bytes"] for s in states), {s["dtype"] for s in states}), (row, types), plan)
            found = subprocess.run([INVARIANCE, package, "7", "6"], capture_output=True, text=True)
            self.assertEqual(found.returncode, 0, f"{plan}: {found.stdout}\n{found.stderr}")
        self.write("half.weir", "plan half for SmolLM2 { cache model.layers[*].**: f16(); }\n")
        measure = ("eval", "smollm2", "perplexity", "-f", f"{DATA}/perplexity.txt")
        change = self.json(*measure, "--plan", self.path("half.weir"))["nll_mean"] - self.json(*measure)["nll_mean"]
        self.assertNotEqual(change, 0)
        self.assertLess(abs(change), 0.001)

    def test_what_cannot_be_is_said(self):
        self.write("small.weir", SMALL + "plan none for Small { activations model.layers: int8; }\n")
        self.run_weir("build", "small.weir", "--random", "1", "--plan", "none", "-o", self.path("none.wpk"), "--target", "cpu")
        self.assertIn("W0608", self.errors)
        self.assertIn("not stored in blocks of integers", self.errors)
        self.write("row.weir", SMALL + "plan none for Small { store **.mlp.*.weight: q8_0; activations **.mlp: int8(row); }\n")
        self.run_weir("build", "row.weir", "--random", "1", "--plan", "none", "-o", self.path("none.wpk"), "--target", "cpu")
        self.assertIn("W0608", self.errors)
        self.assertIn("not stored with one scale a row (store w8)", self.errors)
        self.write("wrong.weir", SMALL + "plan p for Small { activations model.layer: int8; compute **: int8; activations **: int8(64); compute **: bf16(row); }\n")
        self.run_weir("check", "wrong.weir", code=1)
        for code in ("W0601", "W0606"):
            self.assertIn(code, self.errors)
        self.assertIn("or int8(row)", self.errors)
        self.assertIn("this must be bf16() without arguments", self.errors)


if __name__ == "__main__":
    common.main()
