"""Packages for 64-bit Arm on another machine: made with a cross compiler, run by the cross-compiled runtime under qemu.

Small models of the zoo are held to their references, alone, packed and cut into calls, on a processor with nothing but NEON and on one
with everything; the loader has to choose the right code of three. Skipped where the cross compiler, the libraries or qemu are missing.
"""
import os
import platform
import shutil
import subprocess
import tempfile
import unittest

import common
import test_zoo
from common import Case, ROOT

CASES = ["std_attention", "gpt2", "lstm", "mamba", "qwen2", "std_activation", "std_moe"]
CUTS = 2
BUILT = os.path.join(os.path.dirname(os.path.abspath(common.WEIR)), "aarch64")
# The processor, the level that it takes.
PROCESSORS = [("cortex-a53", "aarch64"), ("neoverse-n1", "aarch64-dotprod"), ("max", "aarch64-i8mm")]


def missing():
    """What keeps this test from running; None if nothing."""
    if platform.machine() == "aarch64":
        return "this is such a machine: the other tests ran on it"
    for program in ("aarch64-linux-gnu-gcc", "qemu-aarch64", "cmake", "ninja"):
        if not shutil.which(program):
            return f"{program} is not installed"
    for library in ("jansson", "libsodium"):
        if not os.path.exists(f"/usr/lib/aarch64-linux-gnu/pkgconfig/{library}.pc"):
            return f"{library} for arm64 is not installed"
    if not os.path.exists("/lib/ld-linux-aarch64.so.1"):
        return "libc6 for arm64 is not installed"
    return None


def build_runtime():
    """The program `invariance` for aarch64, kept beside the tested `weir`."""
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILT, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DWEIR_RUNTIME_ONLY=ON",
                    f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/tools/aarch64-linux-gnu.cmake"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILT, "--quiet"], check=True)
    return os.path.join(BUILT, "invariance")


class AArch64(Case):
    shared_home = True
    compare = test_zoo.Zoo.compare

    @classmethod
    def setUpClass(cls):
        reason = missing()
        if reason:
            print(f"skipped: {reason}")
            raise unittest.SkipTest(reason)
        super().setUpClass()
        cls.parent = tempfile.TemporaryDirectory(prefix="weir-aarch64-")
        cls.runner = build_runtime()

    @classmethod
    def tearDownClass(cls):
        cls.parent.cleanup()
        super().tearDownClass()

    def emulate(self, processor, *args):
        done = subprocess.run(["qemu-aarch64", "-cpu", processor, self.runner, *args],
                              capture_output=True, text=True, timeout=common.TIMEOUT)
        self.assertEqual(done.returncode, 0, f"{processor}: {done.stdout}{done.stderr}"[-3000:])

    def check_on(self, name, processors):
        case = test_zoo.read_case(name)
        if "fill" in case and not test_zoo.HAVE_NUMPY:
            self.skipTest("no numpy, which makes the weights")
        folder = os.path.join(self.parent.name, name)
        os.mkdir(folder)
        package = os.path.join(folder, "model.wpk")
        self.run_weir("build", os.path.join(ROOT, case["model"]), *[f"--set={key}={value}" for key, value in case["set"].items()],
                      *test_zoo.weights(name, case, folder), "-o", package, "--target", ",".join(f"cpu:{level}" for _, level in processors))
        test_zoo.write_spec(name, case, folder)
        for processor, _ in processors:
            self.emulate(processor, package, "1", str(CUTS), os.path.join(folder, "spec"), folder)
            for number, request in enumerate(case["runs"]):
                for key, wanted in request["outputs"].items():
                    self.compare(f"{name} on {processor}, run {number}, {request['entry']}.{key}",
                                 os.path.join(folder, f"got.{number}.{key}.npy"), os.path.join(test_zoo.ZOO, name, wanted))


def add_test(name, processors):
    def test(self):
        self.check_on(name, processors)

    setattr(AArch64, f"test_{name}", test)


for number, case_name in enumerate(CASES):
    add_test(case_name, PROCESSORS if number == 0 else PROCESSORS[:1])

if __name__ == "__main__":
    common.main()
