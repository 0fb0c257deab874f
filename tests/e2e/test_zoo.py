"""The zoo against the public implementations: small models with random weights, whose outputs tests/zoo/make_references.py computed
with PyTorch. Every request runs alone, packed with the others, and, where it is a step, cut into calls at random: bits must agree.
"""
import json
import os
import subprocess
import sys

import common
from common import Case, ROOT, load_npy

ZOO = os.path.join(ROOT, "tests", "data", "zoo")
INVARIANCE = os.environ.get("WEIR_INVARIANCE", os.path.join(ROOT, "build", "tests", "invariance"))
CUTS = 12
# Both sides compute in float32, in another order; depth and exponentials widen one rounding (6e-8) by some hundred.
TOLERANCE = 5e-5


class Zoo(Case):
    shared_home = True

    def build(self, name, case):
        args = [f"--set={key}={value}" for key, value in case["set"].items()]
        weights = os.path.join(ZOO, name, "weights.safetensors")
        if "fill" in case:
            weights = self.path("weights.safetensors")
            self.fill(weights, case["fill"])
        package = self.path(f"{name}.wpk")
        self.run_weir("build", os.path.join(ROOT, "models", case["model"]), *args, "-w", weights, "-o", package, "--target", "cpu")
        return package

    def fill(self, path, shapes):
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("no numpy, which makes the weights")
        sys.path.insert(0, os.path.join(ROOT, "tests", "zoo"))
        import fill
        fill.write(path, shapes)

    def spec(self, name, case):
        def words(call):
            return " ".join([call["entry"]] + [f"{key}={file}" for key, file in call["inputs"].items()])

        lines = []
        for run in case["runs"]:
            lines += ["before " + words(call) for call in run["before"] or []]
            lines.append("run " + words(run))
        for file in os.listdir(os.path.join(ZOO, name)):
            if file.endswith(".npy"):
                os.symlink(os.path.join(ZOO, name, file), self.path(file))
        self.write("spec", "\n".join(lines) + "\n")

    def compare(self, name, number, key, wanted_file):
        shape, got = load_npy(self.path(f"got.{number}.{key}.npy"))
        wanted_shape, wanted = load_npy(os.path.join(ZOO, name, wanted_file))
        self.assertEqual(tuple(shape), tuple(wanted_shape))
        error = sum((a - b) ** 2 for a, b in zip(got, wanted)) ** 0.5
        size = sum(b * b for b in wanted) ** 0.5
        self.assertLessEqual(error, TOLERANCE * max(size, 1e-3), f"{name}, run {number}, {key}")

    def check(self, name):
        with open(os.path.join(ZOO, name, "case.json"), encoding="utf-8") as file:
            case = json.load(file)
        package = self.build(name, case)
        self.spec(name, case)
        done = subprocess.run([INVARIANCE, package, "1", str(CUTS), self.path("spec"), self.path("")], capture_output=True,
                              text=True, timeout=common.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for number, run in enumerate(case["runs"]):
            for key, wanted in run["outputs"].items():
                self.compare(name, number, key, wanted)


def add_test(name):
    def test(self):
        self.check(name)

    setattr(Zoo, f"test_{name}", test)


for folder in sorted(os.listdir(ZOO)):
    add_test(folder)

if __name__ == "__main__":
    common.main()
