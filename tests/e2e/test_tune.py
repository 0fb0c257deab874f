"""weir build --tune: what it writes down, that answers keep their bits, that the cache is used and that others are not touched by it."""
import os
import shutil
import signal
import time
import unittest

import common
from common import Case, load_npy, save_npy

MODEL = """use std.nn;

/// Wide enough that its products take more than the clock's step.
model Wide {layers = 2, D = 256} {
  dim T: seq in 1..=400;
  layer: Linear{D, D, bias = true}[layers];
  entry forward(x: f32[T, D]) -> f32[T, D] {
    y = f(x);
    for l in layer { y = tanh(l(y)); }
    return f32(y);
  }
}
"""

# Products of many rows cost nothing in the tests' library and much on the simulator.
LIBRARY = """use std.nn;

model Deep {D = 64} {
  dim T: seq in 1..=256;
  first: Linear{D, D, bias = true};
  last: Linear{D, 40};
  entry forward(x: f32[T, D]) -> f32[T, 40] { return f32(last(tanh(first(f(x))))); }
}
plan mine for Deep { compute **: bf16; library = cublaslt; }
plan own for Deep { compute **: bf16; }
"""
FAKES = os.path.join(os.path.dirname(common.WEIR), "tests", "fake-driver")

ROUNDED = """
plan int8 for Wide { store **.weight: q8_0; activations **: int8; }
plan rows for Wide { store **.weight: w8; activations **: int8(row); }
"""


class Tune(Case):
    def setUp(self):
        super().setUp()
        self.write("wide.weir", MODEL)

    def build(self, output, *more):
        return self.json("build", "wide.weir", "--random", "3", "-o", output, *more)

    def answer(self, package):
        self.run_weir("run", package, "-i", "x=x.npy", "-o", f"output={package}.npy")
        with open(self.path(f"{package}.npy"), "rb") as file:
            return file.read()

    def records(self):
        folder = os.path.join(self.home, "tuning")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def test_a_tuned_package(self):
        x = [((i * 37) % 101) / 50 - 1 for i in range(37 * 256)]
        save_npy(self.path("x.npy"), "<f4", (37, 256), x)
        plain = self.build("plain.wpk", "--target", "cpu")
        self.assertNotIn("tuning", plain)
        self.assertEqual(self.records(), [])
        tuned = self.build("tuned.wpk", "--tune", "2")
        self.assertEqual(tuned["targets"], ["cpu:native"])
        tuning = tuned["tuning"]
        self.assertEqual(tuning["budget_s"], 2)
        self.assertGreater(len(tuning["trials"]), 0)
        self.assertGreater(len(tuning["cases"]), 0)
        for trial in tuning["trials"]:
            self.assertGreater(trial["share"], 0)
            if trial["kept"]:
                self.assertGreater(trial["gain"], 0.02)
        # The same bits, and golden answers that hold.
        self.assertEqual(self.answer("tuned.wpk"), self.answer("plain.wpk"))
        self.run_weir("verify", "tuned.wpk")
        self.assertIn("tuned:", self.run_weir("inspect", "tuned.wpk"))
        self.assertEqual(self.json("inspect", "tuned.wpk")["tuning"], tuning)
        # Records change nothing for builds that do not tune.
        os.rename(self.path("plain.wpk"), self.path("before.wpk"))
        for name in os.listdir(os.path.join(self.home, "packages")):
            os.remove(os.path.join(self.home, "packages", name))
        self.build("plain.wpk", "--target", "cpu")
        with open(self.path("before.wpk"), "rb") as a, open(self.path("plain.wpk"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_rounded_activations_keep_their_bits(self):
        self.write("wide.weir", MODEL + ROUNDED)
        for rows in (1, 37):
            save_npy(self.path(f"x{rows}.npy"), "<f4", (rows, 256), [((i * 37) % 101) / 50 - 1 for i in range(rows * 256)])
        for plan, product in (("int8", "int8"), ("rows", "int8_row")):
            self.build("plain.wpk", "--plan", plan, "--target", "cpu")
            tuned = self.build("tuned.wpk", "--plan", plan, "--tune", "2")
            self.assertEqual(set(tuned["products"]), {product})
            self.assertTrue(any("int8" in trial["key"] for trial in tuned["tuning"]["trials"]), tuned["tuning"]["trials"])
            for rows in (1, 37):
                shutil.copy(self.path(f"x{rows}.npy"), self.path("x.npy"))
                self.assertEqual(self.answer("tuned.wpk"), self.answer("plain.wpk"), (plan, rows))
            self.run_weir("verify", "tuned.wpk")

    def test_answers_of_the_cache(self):
        self.build("a.wpk", "--tune", "4")
        self.assertGreater(len(self.records()), 0)
        again = self.build("b.wpk", "--tune", "4.5")["tuning"]
        self.assertTrue(any(trial["remembered"] for trial in again["trials"]))
        # Records that are damaged are measured anew.
        for name in self.records():
            with open(os.path.join(self.home, "tuning", name), "w") as file:
                file.write('{"key": 1, "value": [')
        anew = self.build("c.wpk", "--tune", "1")["tuning"]
        self.assertFalse(any(trial["remembered"] for trial in anew["trials"][:1]))

    def library(self, path):
        os.environ["WEIR_CUBLASLT"] = path
        self.addCleanup(os.environ.pop, "WEIR_CUBLASLT", None)

    def forward(self, package, name="y"):
        self.run_weir("run", package, "--device", "sim", "-i", "x=x.npy", "-o", f"output={name}.npy")
        return load_npy(self.path(f"{name}.npy"))[1]

    @unittest.skipUnless(os.path.exists(os.path.join(FAKES, "libfake-blaslt.so")), "the tests' cuBLASLt is not built")
    def test_a_library_on_a_device(self):
        self.write("deep.weir", LIBRARY)
        self.library(os.path.join(FAKES, "libfake-blaslt.so"))
        save_npy(self.path("x.npy"), "<f4", (100, 64), [((i * 37) % 101) / 50 - 1 for i in range(6400)])
        build = ("build", "deep.weir", "--random", "3", "-o")
        explained = self.run_weir("explain", "deep.weir", "--random", "3", "--plan", "mine", "--device", "sim")
        self.assertIn("without a table of what was measured on a GPU all are Weir's own kernels", explained)
        self.run_weir(*build, "own.wpk", "--plan", "own", "--target", "sim")
        self.run_weir(*build, "allowed.wpk", "--plan", "mine", "--target", "sim")
        self.assertIn("no table", self.run_weir("explain", "allowed.wpk"))
        own = self.forward("own.wpk")
        self.assertEqual(self.forward("allowed.wpk").tobytes(), own.tobytes(), "allowed is not chosen")
        tuning = self.json(*build, "tuned.wpk", "--plan", "mine", "--tune", "8", "--device", "sim")["tuning"]
        asked = {t["key"] for t in tuning["trials"] if t["parameter"] == "library.rows"}
        self.assertGreater(len(asked), 0)
        table = self.run_weir("explain", "tuned.wpk")
        for key in asked:
            self.assertIn(key, table)
        self.assertIn("measured on simulator, sim", table)
        kept = {t["key"]: t["value"] for t in tuning["trials"] if t["parameter"] == "library.rows" and t["kept"]}
        rows = self.run_weir("inspect", "tuned.wpk", "--weights").count(":rows ")
        self.assertEqual(rows, 0 if tuning["dropped"] else len(kept), "each matrix that the table gives to the library once more")
        most = max(abs(v) for v in own)
        tuned = self.forward("tuned.wpk")
        self.assertLess(max(abs(a - b) for a, b in zip(own, tuned)), 0.02 * most)
        self.library("/there/is/none.so")
        self.assertLess(max(abs(a - b) for a, b in zip(own, self.forward("tuned.wpk"))), 0.02 * most)

    def test_what_cannot_be_tuned(self):
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x.wpk", "--target", "sim", "--device", "sim", code=2)
        self.assertIn("--device says where --tune measures", self.errors)
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x.wpk", "--tune", "2", "--target", "cpu", "--device", "sim", code=(1, 2))
        self.assertIn("one target", self.errors)
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x.wpk", "--tune", "2", "--target", "cpu,cpu:portable", code=(1, 2))
        self.assertIn("one target", self.errors)
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x", "--tune", "--standalone", code=2)
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x.wpk", "--tune=0", code=2)
        self.run_weir("build", "wide.weir", "--random", "3", "-o", "x.wpk", "--tune", "x", code=2)
        self.assertIn("--tune takes a number", self.errors)
        self.assertFalse(os.path.exists(self.path("x.wpk")))

    def test_interrupted(self):
        process = self.popen("build", "wide.weir", "--random", "3", "-o", "i.wpk", "--tune", "100")
        deadline = time.time() + 60
        while not self.records() and time.time() < deadline and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        ended = process.returncode
        if ended:  # a search that was complete before the signal is fine
            self.assertEqual(ended, 130)
            self.assertFalse(os.path.exists(self.path("i.wpk")))
        self.assert_no_leftovers()


if __name__ == "__main__":
    common.main()
