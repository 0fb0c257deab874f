"""The zoo and the standard library against the public implementations: small models with random weights, whose outputs
tests/zoo/make_references.py computed with PyTorch. Every request runs alone, packed with the others, and, where it is a step, cut into
calls at random: bits must agree.
"""
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import common
from common import Case, MODELS, ROOT, load_npy

ZOO = os.path.join(ROOT, "tests", "data", "zoo")
TEXTS = os.path.join(ROOT, "tests", "zoo")  # the library's
INVARIANCE = os.environ.get("WEIR_INVARIANCE", os.path.join(ROOT, "build", "tests", "invariance"))
CUTS = 12
# Both sides compute in float32, in another order; depth and exponentials widen one rounding (6e-8) by some hundred.
TOLERANCE = 5e-5

try:
    import numpy  # noqa: F401
    HAVE_NUMPY = True
except ImportError:
    HAVE_NUMPY = False


def texts_of_the_zoo():
    return sorted(glob.glob(os.path.join(MODELS, "**", "*.weir"), recursive=True) + glob.glob(os.path.join(TEXTS, "*.weir")))


class Failed(Exception):
    """A process that did not do what it should, with what it printed."""


def run(args, home):
    done = subprocess.run(args, capture_output=True, text=True, env=common.environment(home), timeout=common.TIMEOUT)
    if done.returncode:
        raise Failed(f"{' '.join(args)[:300]}: {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")


def read_case(name):
    with open(os.path.join(ZOO, name, "case.json"), encoding="utf-8") as file:
        return json.load(file)


def weights(name, case, folder):
    """What `weir build` is told about weights."""
    path = os.path.join(ZOO, name, "weights.safetensors")
    if "fill" in case:
        sys.path.insert(0, TEXTS)
        import fill
        path = os.path.join(folder, "weights.safetensors")
        fill.write(path, case["fill"])
    return ["-w", path] if os.path.exists(path) else ["--random", "1"]  # a text of functions alone has none


def write_spec(name, case, folder):
    def words(call):
        return " ".join([call["entry"]] + [f"{key}={file}" for key, file in call["inputs"].items()])

    with open(os.path.join(folder, "spec"), "w", encoding="utf-8") as out:
        for request in case["runs"]:
            for call in request["before"] or []:
                out.write("before " + words(call) + "\n")
            out.write("run " + words(request) + "\n")
    for path in glob.glob(os.path.join(ZOO, name, "*.npy")):
        os.symlink(path, os.path.join(folder, os.path.basename(path)))


def prepare(name, home, parent):
    """Builds the case's package and runs its requests; the folder with their outputs."""
    case = read_case(name)
    if "fill" in case and not HAVE_NUMPY:
        return None
    folder = os.path.join(parent, name)
    os.mkdir(folder)
    package = os.path.join(folder, "model.wpk")
    run([common.WEIR, "build", os.path.join(ROOT, case["model"]), *[f"--set={key}={value}" for key, value in case["set"].items()],
         *weights(name, case, folder), "-o", package, "--target", "cpu"], home)
    write_spec(name, case, folder)
    run([INVARIANCE, package, "1", str(CUTS), os.path.join(folder, "spec"), folder], home)
    os.remove(package)
    return folder


class Zoo(Case):
    shared_home = True
    names = sorted(os.listdir(ZOO))

    @classmethod
    def setUpClass(cls):
        """Two cases at a time are built and run, the largest first, while the tests compare."""
        super().setUpClass()
        cls.parent = tempfile.TemporaryDirectory(prefix="weir-zoo-")
        cls.pool = concurrent.futures.ThreadPoolExecutor(2)
        order = sorted(cls.names, key=lambda name: "fill" not in read_case(name))
        cls.prepared = {name: cls.pool.submit(prepare, name, cls.class_home, cls.parent.name) for name in order}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        cls.parent.cleanup()
        super().tearDownClass()

    def compare(self, what, got, wanted):
        shape, got = load_npy(got)
        wanted_shape, wanted = load_npy(wanted)
        self.assertEqual(tuple(shape), tuple(wanted_shape), what)
        error = sum((a - b) ** 2 for a, b in zip(got, wanted)) ** 0.5
        size = sum(b * b for b in wanted) ** 0.5
        self.assertLessEqual(error, TOLERANCE * max(size, 1e-3), what)

    def check(self, name):
        try:
            folder = self.prepared[name].result()
        except Failed as failed:
            self.fail(str(failed))
        if not folder:
            self.skipTest("no numpy, which makes the weights")
        for number, request in enumerate(read_case(name)["runs"]):
            for key, wanted in request["outputs"].items():
                self.compare(f"{name}, run {number}, {request['entry']}.{key}", os.path.join(folder, f"got.{number}.{key}.npy"),
                             os.path.join(ZOO, name, wanted))

    def test_every_text_of_the_zoo_is_clean_and_formatted(self):
        for path in texts_of_the_zoo():
            self.run_weir("check", path)
            self.assertEqual(self.errors, "", path)
            self.run_weir("fmt", "--check", path)

    def test_cells_of_whole_registers_keep_their_bits(self):
        with tempfile.TemporaryDirectory(prefix="weir-cells-") as folder:
            package = os.path.join(folder, "model.wpk")
            text = os.path.join(TEXTS, "recurrent.weir")
            run([common.WEIR, "build", text, "--set=I=48", "--set=H=32", "--random", "1", "-o", package, "--target", "cpu"], self.class_home)
            run([INVARIANCE, package, "1", str(CUTS)], self.class_home)

    def test_every_block_and_fn_of_the_library_is_held_to_a_reference(self):
        texts = {path: re.sub("//.*", "", open(path, encoding="utf-8").read()) for path in texts_of_the_zoo()}
        for path in glob.glob(os.path.join(MODELS, "std", "*.weir")):
            if os.path.basename(path) in ("rules.weir", "optim.weir"):  # tested with rules, with training
                continue
            for name in re.findall(r"^(?:block|fn) (\w+)", texts[path], re.M):
                uses = sum(len(re.findall(rf"\b{name}\b", text)) for text in texts.values())
                self.assertGreater(uses, 1, f"{os.path.basename(path)}: nothing uses {name}")


def add_test(name):
    def test(self):
        self.check(name)

    setattr(Zoo, f"test_{name}", test)


for folder in Zoo.names:
    add_test(folder)

if __name__ == "__main__":
    common.main()
