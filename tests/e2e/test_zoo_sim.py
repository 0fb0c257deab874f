"""Every model of the zoo and every file of the library as the code for GPUs, on the simulator, which checks each access: the answers of
the public implementations (tests/data/zoo), with random weights and small shapes, and nothing of what sim checks. Every request runs
alone, packed with the others, and, where it is a step, cut into calls at random, its session moved, forked and grown between them: bits
must agree.
"""
import concurrent.futures
import glob
import os
import tempfile

import common
import test_zoo
from common import Case, MODELS, ROOT, WEIR

# Texts whose models are those of another one with other settings, or that have tests of their own (test_device.py).
ELSEWHERE = {"smollm2": "llama", "minilm": "bert"}


CUTS = "4"
DEVICE = os.environ.get("WEIR_TEST_DEVICE", "sim")  # tests/device/gpu-check runs this on a GPU


def prepare(name, home, parent):
    """A package with code for sim, and its runs; None where its weights cannot be made."""
    case = test_zoo.read_case(name)
    if "fill" in case and not test_zoo.HAVE_NUMPY:
        return None
    folder = os.path.join(parent, name)
    os.mkdir(folder)
    package = os.path.join(folder, "model.wpk")
    test_zoo.run([WEIR, "build", os.path.join(ROOT, case["model"]), *[f"--set={key}={value}" for key, value in case["set"].items()],
                  *test_zoo.weights(name, case, folder), "-o", package, "--target", DEVICE.split(":")[0]], home)
    test_zoo.write_spec(name, case, folder)
    cuts = "1" if "fill" in case else CUTS
    test_zoo.run(["env", "INVARIANCE_DEVICE=" + DEVICE, test_zoo.INVARIANCE, package, "1", cuts, os.path.join(folder, "spec"), folder], home)
    os.remove(package)
    return folder


class ZooSim(Case):
    shared_home = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.parent = tempfile.TemporaryDirectory(prefix="weir-zoo-sim-")
        cls.pool = concurrent.futures.ThreadPoolExecutor(2)
        order = sorted(test_zoo.Zoo.names, key=lambda name: "fill" not in test_zoo.read_case(name))
        cls.prepared = {name: cls.pool.submit(prepare, name, cls.class_home, cls.parent.name) for name in order}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        cls.parent.cleanup()
        super().tearDownClass()

    compare = test_zoo.Zoo.compare

    def check(self, name):
        try:
            folder = self.prepared[name].result()
        except test_zoo.Failed as failed:
            self.fail(str(failed))
        if not folder:
            self.skipTest("no numpy, which makes the weights")
        for number, request in enumerate(test_zoo.read_case(name)["runs"]):
            for key, wanted in request["outputs"].items():
                self.compare(f"{name}, run {number}, {request['entry']}.{key}", os.path.join(folder, f"got.{number}.{key}.npy"),
                             os.path.join(test_zoo.ZOO, name, wanted))

    def test_every_text_of_the_zoo_has_a_case(self):
        have = {test_zoo.read_case(name)["model"] for name in test_zoo.Zoo.names}
        for path in glob.glob(os.path.join(MODELS, "*.weir")):
            name = os.path.basename(path)[:-len(".weir")]
            self.assertIn(f"models/{ELSEWHERE.get(name, name)}.weir", have)


def add_test(name):
    def test(self):
        self.check(name)

    setattr(ZooSim, f"test_{name}", test)


for zoo_name in test_zoo.Zoo.names:
    add_test(zoo_name)

if __name__ == "__main__":
    common.main()
