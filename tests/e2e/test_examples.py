"""The models of examples/models: each is checked, is laid out as `weir fmt` does it, builds, and gives the same bits alone, packed and cut."""
import os
import subprocess

import common
from common import Case, ROOT, save_npy

INVARIANCE = os.environ.get("WEIR_INVARIANCE", os.path.join(ROOT, "build", "tests", "invariance"))
FOLDER = os.path.join(ROOT, "examples", "models")
# What random numbers cannot be: ends of edges lie among the nodes of their own request.
GRAPHS = [([3], [[0.0, 0.5, 1.0]], [], []),
          ([0, 1, 4], [[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, -1.0, 2.0]], [0, 1, 2, 0], [1, 0, 1, 2])]


class Examples(Case):
    shared_home = True

    def graphs(self):
        lines = []
        for number, (kind, place, src, dst) in enumerate(GRAPHS):
            words = ["run predict"]
            for name, dtype, shape, values in (("kind", "<i4", (len(kind),), kind),
                                               ("place", "<f4", (len(place), 3), [x for row in place for x in row]),
                                               ("src", "<i4", (len(src),), src), ("dst", "<i4", (len(dst),), dst)):
                save_npy(self.path(f"{name}{number}.npy"), dtype, shape, values)
                words.append(f"{name}={name}{number}.npy")
            lines.append(" ".join(words))
        self.write("spec", "\n".join(lines) + "\n")
        return [self.path("spec"), self.path("")]

    def check(self, name):
        text = os.path.join(FOLDER, f"{name}.weir")
        self.run_weir("check", text)
        self.run_weir("fmt", "--check", text)
        package = self.path(f"{name}.wpk")
        self.run_weir("build", text, "--random", "1", "-o", package, "--target", "cpu")
        spec = self.graphs() if name == "molecule" else []
        done = subprocess.run([INVARIANCE, package, "1", "3", *spec], capture_output=True, text=True, timeout=common.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def add_test(name):
    def test(self):
        self.check(name)

    setattr(Examples, f"test_{name}", test)


for file in sorted(os.listdir(FOLDER)):
    if file.endswith(".weir"):
        add_test(file[:-len(".weir")])

if __name__ == "__main__":
    common.main()
