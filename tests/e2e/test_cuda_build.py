"""Packages with code for GPUs, built without one: sections, caches, the same answer from sim, a clean error without NVRTC."""
import os
from unittest import mock

import common
from common import Case, load_npy


class CudaBuild(Case):
    zoo = ("smollm2",)
    shared_home = True

    def build(self, *targets, code=0):
        args = [word for target in targets for word in ("--target", target)]
        return self.run_weir("build", "smollm2", *args, "-o", "m.wpk", code=code)

    def test_architectures(self):
        self.build("cpu", "cuda:sm_80", "cuda:sm_90a", code=(0, 1, 3, 4))
        if "NVRTC" in self.errors:
            self.skipTest(self.errors.strip().splitlines()[0])
        sections = self.run_weir("inspect", "m.wpk")
        for name in ("program/cuda/next", "object/sm_80", "object/sm_90a", "object/sm_90a.facts", "kernels/cuda"):
            self.assertIn(name, sections)
        self.run_weir("verify", "m.wpk")
        text = self.run_weir("show", "m.wpk", "--form", "cuda")
        self.assertIn("KERNEL(k_", text)

    def test_sim_answers_as_the_processor(self):
        self.build("cpu", "sim")
        self.run_weir("run", "m.wpk", "-e", "next", "-i", "tokens=[504,2]", "-o", "output=a.npy")
        self.run_weir("run", "m.wpk", "--device", "sim", "-e", "next", "-i", "tokens=[504,2]", "-o", "output=b.npy")
        (_, a), (_, b) = load_npy(self.path("a.npy")), load_npy(self.path("b.npy"))
        self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 1e-3)

    def test_without_the_compiler(self):
        with mock.patch.dict(os.environ, {"WEIR_CUDA_HOME": "/nowhere"}):
            self.build("cuda:sm_120", code=(1, 3, 4))
        self.assertIn("pip install", self.errors)

    def test_wrong_name(self):
        self.build("cuda:sm_12", code=(1, 2, 3))
        self.assertIn("sm_90a", self.errors)


if __name__ == "__main__":
    common.main()
