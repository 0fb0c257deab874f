"""Models on another device than the processor: the code for GPUs, run by the simulator and through the driver of the tests."""
import os
import re
import unittest

import common
import hostile
from common import Case

BUILD = os.path.dirname(os.path.abspath(common.WEIR))
FAKE = os.path.join(BUILD, "tests", "fake-driver", "libfake-cuda.so")
NESTED = os.path.join(common.ROOT, "tests", "data", "nested.weir")
# So small that outputs are printed whole.
SMALL = ("smollm2", "--random", "5", "--set", "layers=2", "--set", "V=10", "--set", "D=48", "--set", "F=64", "--set", "heads=3",
         "--set", "kv_heads=1")
ENCODER = ("minilm", "--random", "5", "--set", "layers=1", "--set", "V=10", "--set", "D=48", "--set", "F=64", "--set", "heads=3")
TOKENS = "tokens=[1,5,9,2]"
# Products by matrix units.
WIDE = ("smollm2", "--random", "5", "--set", "layers=1", "--set", "V=10", "--set", "D=64", "--set", "F=64", "--set", "heads=2",
        "--set", "kv_heads=1", "--plan", "bf16")
LONG = "tokens=[" + ",".join(str(i * 3 % 10) for i in range(70)) + "]"
# So many rows that products take the schedule for many.
PROMPT = "tokens=[" + ",".join(str(i * 7 % 10) for i in range(21)) + "]"


class Refusals(Case):
    shared_home = True

    def test_devices_that_are_not_here(self):
        self.run_weir("run", *SMALL, "-e", "score", "-i", TOKENS, "--device", "tpu", code=1)
        self.assertIn("device 'tpu': there are 'cpu', 'cuda', 'cuda:N' and 'sim'", self.errors)
        os.environ["WEIR_CUDA_DRIVER"] = "/none/libcuda.so.1"
        self.addCleanup(os.environ.pop, "WEIR_CUDA_DRIVER")
        self.run_weir("run", *SMALL, "-e", "score", "-i", TOKENS, "--device", "cuda", code=3)
        self.assertIn("no CUDA driver", self.errors)
        self.assertIn("weir doctor", self.errors)

    def test_too_little_memory_says_what_would_fit(self):
        sizes = {"layers": 2, "V": 10, "D": 192, "F": 512, "heads": 3, "kv_heads": 1}
        large = ("smollm2", "--random", "5", *[f"--set={key}={value}" for key, value in sizes.items()], "-e", "next", "-i", "tokens=[1,2]",
                 "--device", "sim")
        self.addCleanup(os.environ.pop, "WEIR_SIM")
        os.environ["WEIR_SIM"] = "memory=300000"
        self.run_weir("run", *large, code=3)
        self.assertIn("no format of weights makes it fit", self.errors)
        os.environ["WEIR_SIM"] = "memory=2000000"
        self.run_weir("run", *large, code=3)
        self.assertRegex(self.errors, r"at least \d+ are missing; 2.0 MB are for it, .*a plan with `store \*\*: q\d_0;` .* with room for \d+ tokens")
        plan = re.search(r"`(store [^`]*)`", self.errors).group(1)
        self.run_weir("run", *large, "--plan", self.write("small.weir", "plan small for SmolLM2 { " + plan + " }\n"))

    def test_doctor_sees_the_driver(self):
        os.environ["WEIR_CUDA_DRIVER"] = FAKE
        self.addCleanup(os.environ.pop, "WEIR_CUDA_DRIVER")
        checks = {check["what"]: check for check in self.json("doctor", code=(0, 3))["checks"]}
        self.assertEqual(checks["CUDA driver"]["state"], "ok")
        self.assertIn("simulator, sim", checks["cuda:0"]["text"])
        for name in ("NVML", "NVRTC", "cuBLASLt"):
            self.assertIn(checks[name]["state"], ("ok", "absent"))


class OnSim(Case):
    shared_home = True

    def values(self, *args):
        document = self.json("run", *args)
        return [list(r["outputs"].values())[0]["values"] for r in document.get("requests", [document])]

    def flat(self, value):
        return [x for part in value for x in self.flat(part)] if isinstance(value, list) else [value]

    def assert_near(self, a, b, bound):
        a, b = self.flat(a), self.flat(b)
        self.assertEqual(len(a), len(b))
        scale = max(abs(x) for x in a)
        self.assertLess(max(abs(x - y) for x, y in zip(a, b)), bound * scale)

    def both(self, *args):
        return self.values(*args), self.values(*args, "--device", "sim")

    def test_a_decoder_answers_as_on_the_processor(self):
        cpu, sim = self.both(*SMALL, "-e", "score", "-i", TOKENS)
        self.assert_near(cpu, sim, 1e-4)
        cpu, sim = self.both(*SMALL, "-e", "next", "-i", "tokens=[1,5,9]", "--then", "next", "-i", "tokens=[2]")
        self.assert_near(cpu, sim, 1e-4)

    def test_tokens_that_the_device_chooses(self):
        text, weights = self.write("lm.weir", hostile.LM), self.path("lm.gguf")
        with open(weights, "wb") as f:
            f.write(hostile.lm_gguf())
        for options in (["--temperature", "0"], ["--temperature", "1", "--top-k", "5", "--seed", "4"], ["--temperature", "2", "--top-p", "1"]):
            args = ("chat", text, "-w", weights, "-p", "hello", "-n", "6", *options)
            self.assertEqual(self.json(*args)["tokens"], self.json(*args, "--device", "sim")["tokens"])

    def test_an_encoder_and_its_batches(self):
        one = self.values(*ENCODER, "-e", "embed", "-i", TOKENS, "--device", "sim")
        self.assert_near(self.values(*ENCODER, "-e", "embed", "-i", TOKENS), one, 1e-4)
        three = self.values(*ENCODER, "-e", "embed", "-i", TOKENS, "-i", "tokens=[4,4]", "-i", TOKENS, "--device", "sim")
        self.assertEqual(three[0], one[0])
        self.assertEqual(three[2], one[0])

    def test_sessions_and_their_batches(self):
        alone = self.values(*SMALL, "-e", "next", "-i", "tokens=[1,5]", "--then", "next", "-i", "tokens=[9]", "--device", "sim")
        packed = self.values(*SMALL, "-e", "next", "-i", "tokens=[1,5]", "-i", "tokens=[3]", "--then", "next", "-i", "tokens=[9]",
                             "-i", "tokens=[2]", "--device", "sim")
        self.assertEqual(packed[0], alone[0])

    def test_long_prompts_alone_and_in_batches(self):
        cpu, sim = self.both(*SMALL, "-e", "next", "-i", PROMPT, "--then", "next", "-i", "tokens=[2]")
        self.assert_near(cpu, sim, 1e-4)
        packed = self.values(*SMALL, "-e", "next", "-i", TOKENS, "-i", PROMPT, "--then", "next", "-i", "tokens=[7]", "-i", "tokens=[2]",
                             "--device", "sim")
        self.assertEqual(packed[1], sim[0])
        cpu, sim = self.both(*ENCODER, "-e", "embed", "-i", PROMPT)
        self.assert_near(cpu, sim, 1e-4)

    def test_architectures_with_wgmma_have_programs_of_their_own(self):
        package, again = self.path("three.wpk"), self.path("three-again.wpk")
        self.run_weir("build", *WIDE, "--target", "cpu", "--target", "sim", "--target", "sim:sm_90a", "-o", package)
        seen = self.run_weir("inspect", package)
        for name in ("program/cuda/next", "program/sm_90a/next", "object/sim ", "object/sim_sm_90a "):
            self.assertIn(name, seen)
        self.assertNotIn("weight:cuda", seen)  # they are there once
        run = (package, "-e", "next", "-i", LONG, "--device", "sim")
        own = self.values(*run, "--isa", "sim_sm_90a")
        self.assert_near(self.values(*run, "--isa", "sim"), own, 1e-2)
        self.assertEqual(self.values(*run), own)  # the best that it has
        self.assertEqual(self.values(*run[:3], "-i", TOKENS, *run[3:])[1], own[0])
        shown = ("--form", "program", "-e", "next", "--device", "cuda")
        self.assertNotIn("wgmma", self.run_weir("show", package, *shown))
        self.assertIn("wgmma_many", self.run_weir("show", package, *shown, "--isa", "sm_90a"))
        self.assertIn("wgmma commit", self.run_weir("show", *WIDE, "--form", "kernel", "--device", "cuda", "--isa", "sm_90a"))
        self.run_weir("upgrade", package, "-o", again)
        self.assertIn("no difference", self.run_weir("diff", package, again))
        self.run_weir("build", *WIDE, "--target", "sim:sm_90a", "-o", again)  # alone: its programs are the package's
        self.assertNotIn("program/sm_90a", self.run_weir("inspect", again))
        self.assertEqual(self.values(again, *run[1:]), own)

    def test_a_package_has_programs_of_both(self):
        package = self.path("both.wpk")
        self.run_weir("build", *SMALL, "--target", "cpu", "--target", "sim", "-o", package)
        self.assertIn("program/cuda/next", self.run_weir("inspect", package))
        self.assertNotIn("k_block_", self.run_weir("show", package, "--form", "program", "-e", "next"))
        self.assertIn("k_block_linear", self.run_weir("show", package, "--form", "program", "-e", "next", "--device", "sim"))
        self.assertIn("barrier", self.run_weir("show", *SMALL, "--form", "kernel", "-e", "next", "--device", "cuda"))
        self.run_weir("verify", package)
        self.run_weir("verify", package, "--device", "sim")
        again = self.path("again.wpk")
        self.run_weir("upgrade", package, "-o", again)
        self.assertIn("no difference", self.run_weir("diff", package, again))
        alone = self.path("alone.wpk")
        self.run_weir("build", *SMALL, "--target", "sim", "-o", alone)
        self.assertIn("it is for sim alone", self.run_weir("verify", alone))
        self.assertIn("2 entries run on sim", self.run_weir("verify", alone, "--device", "sim"))
        self.assertNotIn("program/cuda/", self.run_weir("inspect", alone))
        self.assertEqual(self.values(alone, "-e", "score", "-i", TOKENS, "--device", "sim"),
                         self.values(package, "-e", "score", "-i", TOKENS, "--device", "sim"))

    def test_loops_and_states(self):
        args = (NESTED, "--random", "3", "-e", "remember", "-i", "source=[1,2,3]", "--then", "next", "-i", "tokens=[4,5,6]")
        cpu, sim = self.both(*args)
        self.assert_near(cpu, sim, 1e-4)

    def test_a_driver_runs_a_package_of_sim(self):
        sim = self.values(*SMALL, "-e", "score", "-i", TOKENS, "--device", "sim")
        package = self.path("m.wpk")
        self.run_weir("build", *SMALL, "--target", "cpu", "--target", "sim", "-o", package)
        os.environ["WEIR_CUDA_DRIVER"] = FAKE
        self.addCleanup(os.environ.pop, "WEIR_CUDA_DRIVER")
        self.assertEqual(self.values(package, "-e", "score", "-i", TOKENS, "--device", "cuda"), sim)
        self.json("explain", *SMALL, "-e", "next", "--size", "T=2", "--measure", "--device", "sim")


if __name__ == "__main__":
    common.main()
