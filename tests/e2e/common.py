"""What the end-to-end tests share: running the command, reading arrays, small models and checkpoints, the line of counts at the end.

A test runs `weir` as a user does: as a process, with a cache folder of its own. $WEIR names the program (default build/weir). Weights of
the zoo come from the user's cache; where they are not there and cannot be fetched, tests skip and say so.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from array import array

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests", "data", "e2e")
TEXT_DATA = os.path.join(ROOT, "tests", "data", "text")
MODELS = os.path.join(ROOT, "models")
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))
TIMEOUT = 300


def user_home():
    """The cache folder that a user's commands have."""
    env = os.environ
    if env.get("WEIR_HOME"):
        return env["WEIR_HOME"]
    if env.get("XDG_CACHE_HOME"):
        return os.path.join(env["XDG_CACHE_HOME"], "weir")
    return os.path.join(env.get("HOME", "/"), ".cache", "weir")


USER_HOME = user_home()


def environment(home):
    env = {k: v for k, v in os.environ.items() if k not in ("WEIR_DUMP", "WEIR_DEBUG", "WEIR_TRACE")}
    env["WEIR_HOME"] = home
    env["WEIR_MODELS"] = MODELS
    return env


def fetched(name):
    """The folder of a zoo model's weights, fetched if need be; None (and a reason printed) if that fails."""
    done = subprocess.run([WEIR, "pull", name, "--json"], capture_output=True, env=environment(USER_HOME), timeout=900)
    if done.returncode == 0:
        return os.path.dirname(json.loads(done.stdout)[0]["weights"])
    print(f"skipped: the weights of {name} cannot be fetched: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return None


class Case(unittest.TestCase):
    """A test with a folder and a cache of its own, both removed at its end. |zoo|: models whose weights it needs."""

    zoo = ()
    shared_home = False  # one cache for all tests of the class

    @classmethod
    def setUpClass(cls):
        cls.class_home = None
        for name in cls.zoo:
            if not fetched(name):
                raise unittest.SkipTest(f"no weights of {name}")
        if cls.shared_home:
            cls.class_home = cls.make_home(tempfile.mkdtemp(prefix="weir-e2e-"))

    @classmethod
    def tearDownClass(cls):
        if cls.class_home:
            shutil.rmtree(cls.class_home, ignore_errors=True)

    @classmethod
    def make_home(cls, home):
        """A cache that has the fetched weights and nothing else."""
        os.makedirs(os.path.join(home, "models"), exist_ok=True)
        for name in cls.zoo:
            os.symlink(os.path.join(USER_HOME, "models", name), os.path.join(home, "models", name))
        return home

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.class_home or self.make_home(os.path.join(self.folder, "home"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        return path

    def popen(self, *args, **more):
        return subprocess.Popen([WEIR, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment(self.home), cwd=self.folder, **more)

    def run_weir(self, *args, code=0, text=True, input=None, **more):
        """Runs the command, checks its exit code (an int or a tuple of them), returns what it printed."""
        done = subprocess.run([WEIR, *args], input=input, capture_output=True, env=environment(self.home), cwd=self.folder,
                              timeout=TIMEOUT, **more)
        codes = code if isinstance(code, tuple) else (code,)
        out, err = done.stdout, done.stderr.decode(errors="replace")
        self.assertIn(done.returncode, codes, f"weir {' '.join(args)[:300]}\n{err[-3000:]}")
        self.errors = err
        return out.decode() if text else out

    def json(self, *args, **more):
        return json.loads(self.run_weir(*args, "--json", **more))

    def assert_no_leftovers(self):
        """Nothing half-written stays in the cache or the folder."""
        for folder, _, files in os.walk(self.folder):
            for name in files:
                self.assertNotIn(".tmp-", name, os.path.join(folder, name))
                self.assertFalse(name.startswith("packing-"), name)


# ---- arrays

CODES = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|u1": "B", "|b1": "B"}


def load_npy(path):
    """(shape, values) of a .npy file."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:6] == b"\x93NUMPY", path
    size = struct.unpack("<H", data[8:10])[0]
    header = eval(data[10:10 + size].decode(), {"__builtins__": {}}, {})  # a literal dict of our own files
    values = array(CODES[header["descr"]])
    values.frombytes(data[10 + size:])
    return tuple(header["shape"]), values


def save_npy(path, descr, shape, values):
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(array(CODES[descr], values).tobytes())
    return path


# ---- small models

MLP = """use std.nn;

/// Two layers.
model Mlp {D = 4, H = 8, O = 3} {
  up: Linear{D, H, bias = true};
  down: Linear{H, O, bias = true};
  entry forward(x: f32[D]) -> f32[O] { return f32(down(relu(up(f(x))))); }
}
"""


def safetensors(tensors):
    """A file of float32 tensors: {name: (shape, values)}."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def gguf(tensors):
    """A version 3 file of float32 tensors: {name: (shape, values)}, shapes outermost first."""
    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    out += string("general.architecture") + struct.pack("<I", 8) + string("mlp")
    out += string("general.alignment") + struct.pack("<II", 4, 32)
    data = b""
    for name, (shape, values) in tensors.items():
        data += b"\0" * (-len(data) % 32)
        out += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
    return out + b"\0" * (-len(out) % 32) + data


def mlp_tensors():
    sizes = {"up.weight": (8, 4), "up.bias": (8,), "down.weight": (3, 8), "down.bias": (3,)}
    out, state = {}, 1
    for name, shape in sizes.items():
        count, values = 1, []
        for n in shape:
            count *= n
        for _ in range(count):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            values.append(state % 1000 / 500 - 1)
        out[name] = (shape, values)
    return out


def mlp_answer(x, tensors):
    def linear(name, v):
        (rows, cols), w = tensors[name + ".weight"]
        return [sum(w[r * cols + c] * v[c] for c in range(cols)) + tensors[name + ".bias"][1][r] for r in range(rows)]
    return linear("down", [max(0.0, h) for h in linear("up", x)])


# ---- running a file of tests

class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.passed = getattr(self, "passed", 0)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed = getattr(self, "passed", 0) + 1


def main():
    """Runs all tests of the script, or those whose names are given."""
    module, loader = sys.modules["__main__"], unittest.defaultTestLoader
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    passed = getattr(result, "passed", 0)
    for test, reason in result.skipped:
        print(f"skipped {test}: {reason}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        sys.exit(1)
    sys.exit(0 if passed else 77)
