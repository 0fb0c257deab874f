"""Packages and the cache: building, running, comparing, damage, two processes, interruption, a full disk."""
import json
import os
import random
import resource
import shutil
import signal
import time
import zipfile

import common
from common import Case, load_npy, save_npy

BIG = """use std.nn;

/// Large enough that a build takes a while.
model Big {layers = 6, D = 768} {
  layer: Linear{D, D, bias = true}[layers];
  entry forward(x: f32[D]) -> f32[D] {
    y = f(x);
    for l in layer { y = tanh(l(y)) + exp(y * 0.001) + sin(y); }
    return f32(y);
  }
}
"""


RUN = ("run", "mlp.weir", "--random", "7")


class Packages(Case):
    def setUp(self):
        super().setUp()
        self.model = self.write("mlp.weir", common.MLP)
        self.tensors = common.mlp_tensors()
        self.write("w.safetensors", common.safetensors(self.tensors))
        self.write("w.gguf", common.gguf(self.tensors))

    def outputs(self, *args):
        return list(self.json("run", *args)["outputs"].values())[0]

    def test_run_from_both_formats_is_right(self):
        x = [1, -2, 0.5, 3]
        expected = common.mlp_answer(x, self.tensors)
        for weights in ("w.safetensors", "w.gguf"):
            values = self.outputs("mlp.weir", "-w", weights, "-i", f"x={json.dumps(x)}")["values"]
            for got, want in zip(values, expected):
                self.assertAlmostEqual(got, want, places=5)

    def test_package_runs_alone(self):
        built = self.json("build", "mlp.weir", "-w", "w.gguf", "--target", "cpu", "-o", "m.wpk")
        self.assertEqual(built["bytes"], os.path.getsize(self.path("m.wpk")))
        self.assertEqual(built["targets"], ["cpu:native"])
        self.assertGreater(built["seconds"], 0)
        before = self.outputs("m.wpk", "-i", "x=[1,2,3,4]")["values"]
        for name in ("mlp.weir", "w.gguf", "w.safetensors"):
            os.remove(self.path(name))
        shutil.rmtree(self.home)
        self.assertEqual(self.outputs("m.wpk", "-i", "x=[1,2,3,4]")["values"], before)
        self.run_weir("verify", "m.wpk")
        self.assertIn('program "forward"', self.run_weir("show", "m.wpk", "--form", "program"))

    def test_inspect_verify_diff(self):
        self.run_weir("build", "mlp.weir", "-w", "w.gguf", "-o", "a.wpk", "--target", "cpu:portable")
        self.run_weir("build", "mlp.weir", "--random", "3", "-o", "b.wpk", "--target", "cpu:portable")
        seen = self.json("inspect", "a.wpk", "--weights")
        self.assertEqual(seen["manifest"]["model"], "Mlp")
        self.assertEqual([o["isa"] for o in seen["manifest"]["objects"]], ["portable"])
        self.assertEqual({w["key"] for w in seen["weights"]}, set(self.tensors))
        self.assertIn("program/forward", [s["name"] for s in seen["sections"]])
        self.assertIn("model Mlp", self.run_weir("inspect", "a.wpk", "--section", [s["name"] for s in seen["sections"] if s["name"].endswith("mlp.weir")][0]))
        report = self.json("verify", "a.wpk")
        self.assertTrue(report["ok"])
        self.assertEqual(report["golden"]["entries"], 1)
        self.assertTrue(self.json("diff", "a.wpk", "a.wpk")["equal"])
        different = self.json("diff", "a.wpk", "b.wpk", code=1)
        self.assertFalse(different["equal"])
        self.assertIn("up.weight", [d["name"] for d in different["differences"]])

    def test_equal_input_gives_equal_bytes(self):
        for name in ("a", "b"):
            self.run_weir("build", "mlp.weir", "-w", "w.gguf", "-o", name + ".wpk", "--target", "cpu:portable")
            shutil.rmtree(self.home)
        with open(self.path("a.wpk"), "rb") as a, open(self.path("b.wpk"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_cache_finds_and_misses(self):
        build = lambda *more: self.json("build", "mlp.weir", "-w", "w.gguf", "-o", "m.wpk", "--target", "cpu", *more)
        self.assertFalse(build()["cached"])
        self.assertTrue(build()["cached"])
        os.utime(self.path("w.gguf"))  # a newer time, the same content
        self.assertTrue(build()["cached"])
        self.write("mlp.weir", common.MLP.replace("relu", "silu"))
        self.assertFalse(build()["cached"])

    def test_plan_of_the_text_and_of_a_file(self):
        plan = "plan small for Mlp {\n  float = f32;\n  target = cpu(\"portable\");\n}\n"
        self.write("mlp.weir", common.MLP + plan)
        built = self.json("build", "mlp.weir", "-w", "w.gguf", "--plan", "small", "-o", "m.wpk")
        self.assertEqual((built["plan"], built["float"], built["targets"]), ("small", "f32", ["cpu:portable"]))
        self.write("mlp.weir", common.MLP)
        self.write("p.weir", plan)
        built = self.json("build", "mlp.weir", "-w", "w.gguf", "--plan", "p.weir", "-o", "m.wpk")
        self.assertEqual((built["plan"], built["targets"]), ("small", ["cpu:portable"]))
        self.run_weir("build", "mlp.weir", "-w", "w.gguf", "--plan", "smal", "-o", "m.wpk", code=1)

    def test_what_a_plan_cannot_store_is_said(self):
        self.write("mlp.weir", common.MLP + "plan small for Mlp { store **: q8_0; }\n")
        args = ("build", "mlp.weir", "--random", "1", "--set", "D=64", "--set", "H=40", "--plan", "small", "-o", "m.wpk")
        for more in ((), (), ("--target", "cpu")):  # found in the cache it is said again
            self.run_weir(*args, *more)
            self.assertIn("warning[W0607]: 3 tensors of this line cannot be stored as q8_0", self.errors)
            self.assertIn("not matrices: up.bias, down.bias", self.errors)
        kept = {item["path"]: item for item in self.json(*args)["stored_otherwise"]}
        self.assertEqual(set(kept), {"up.bias", "down.bias", "down.weight"})
        self.assertEqual((kept["down.weight"]["asked"], kept["down.weight"]["stored"]), ("q8_0", "f32"))
        self.assertIn("40 elements", kept["down.weight"]["reason"])

    def test_the_level_that_is_asked_for_is_built(self):
        self.run_weir(*RUN, "--isa", "portable", "-v", "-i", "x=[1,2,3,4]")
        self.assertIn("(portable)", self.errors)
        self.run_weir(*RUN, "--isa", "pentium", "-i", "x=[1,2,3,4]", code=1)
        self.assertIn("x86-64-v3", self.errors)

    def test_explain_tells_of_one_entry(self):
        self.write("two.weir", common.MLP.rstrip()[:-1] + "  entry other(x: f32[D]) -> f32[D] { return exp(x) * 2.0; }\n}\n")
        seen = {name: {d["function"] for d in self.json("explain", "two.weir", "--random", "1", *args)["fusion"]}
                for name, args in (("all", ()), ("other", ("-e", "other")), ("forward", ("-e", "forward")))}
        self.assertEqual(seen["other"], {"other"})
        self.assertIn("forward", seen["forward"])
        self.assertEqual(seen["all"], seen["other"] | seen["forward"])

    def test_the_model_of_a_used_file(self):
        self.write("one.weir", "use \"mlp.weir\";\n")
        self.assertEqual(self.outputs("one.weir", "--random", "1", "-i", "x=[1,2,3,4]")["shape"], [3])
        self.write("other.weir", common.MLP.replace("Mlp", "Other"))
        self.write("two.weir", "use \"mlp.weir\";\nuse \"other.weir\";\n")
        self.run_weir("run", "two.weir", "--random", "1", "-i", "x=[1,2,3,4]", code=1)
        self.assertIn("this is Mlp", self.errors)
        self.assertIn("this is Other", self.errors)
        self.assertEqual(self.outputs("two.weir", "--model", "Other", "--random", "1", "-i", "x=[1,2,3,4]")["shape"], [3])

    def test_set_changes_the_model(self):
        self.assertEqual(self.outputs("mlp.weir", "--random", "1", "--set", "O=5", "-i", "x=[1,2,3,4]")["shape"], [5])
        self.run_weir("run", "mlp.weir", "--random", "1", "--set", "Q=5", "-i", "x=[1,2,3,4]", code=1)

    def test_weights_that_do_not_fit_are_all_reported(self):
        wrong = dict(self.tensors)
        del wrong["up.bias"]
        wrong["down.weight"] = ((3, 7), [0.0] * 21)
        wrong["extra"] = ((2,), [0.0, 0.0])
        self.write("bad.safetensors", common.safetensors(wrong))
        self.run_weir("run", "mlp.weir", "-w", "bad.safetensors", "-i", "x=[1,2,3,4]", code=1)
        for name in ("up.bias", "down.weight", "extra"):
            self.assertIn(name, self.errors)
        self.run_weir("run", "mlp.weir", "-i", "x=[1,2,3,4]", code=1)
        self.assertIn("--random", self.errors)


class Tensors(Case):
    def setUp(self):
        super().setUp()
        self.write("mlp.weir", common.MLP)

    def run_mlp(self, *args):
        return self.json(*RUN, *args)

    def test_files_in_and_out(self):
        save_npy(self.path("x.npy"), "<f4", (4,), [1, 2, 3, 4])
        literal = list(self.run_mlp("-i", "x=[1,2,3,4]")["outputs"].values())[0]["values"]
        self.run_mlp("-i", "x=x.npy", "-o", "y.npy")
        shape, values = load_npy(self.path("y.npy"))
        self.assertEqual(shape, (3,))
        for a, b in zip(values, literal):
            self.assertAlmostEqual(a, b, places=6)
        save_npy(self.path("x8.npy"), "<f8", (4,), [1, 2, 3, 4])
        self.run_mlp("-i", "x=x8.npy", "-o", "y8.npz")
        with zipfile.ZipFile(self.path("y8.npz")) as archive:
            self.assertEqual(len(archive.namelist()), 1)

    def test_several_requests_give_the_same_bits_as_one(self):
        inputs = [[1, 2, 3, 4], [0, 0, 0, 0], [-1, 5, 2, 0.25]]
        args = [a for x in inputs for a in ("-i", f"x={json.dumps(x)}")]
        self.run_mlp(*args, "-o", "all.npy")
        for i, x in enumerate(inputs):
            self.run_mlp("-i", f"x={json.dumps(x)}", "-o", "one.npy")
            with open(self.path(f"all.{i}.npy"), "rb") as a, open(self.path("one.npy"), "rb") as b:
                self.assertEqual(a.read(), b.read())

    def test_wrong_inputs(self):
        for value in ("[1,2,3]", "[[1,2],[3,4]]", "[1,2,\"a\",4]", "nowhere.npy", "[1,2,3", "[[1],[2,3]]"):
            self.run_weir(*RUN, "-i", f"x={value}", code=(1, 3))
        for args in (["-i", "y=[1,2,3,4]"], ["-i", "x"], [], ["-i", "x=[1,2,3,4]", "-o", "nope=y.npy"], ["-i", "x=[1,2,3,4]", "-e"]):
            self.run_weir(*RUN, *args, code=2)
        self.run_weir(*RUN, "-i", "x=[1,2,3,4]", "-e", "nope", code=1)
        self.write("x.npy", b"\x93NUMPY\x01\x00\x04\x00{}  ")
        self.run_weir(*RUN, "-i", "x=x.npy", code=1)


class Trouble(Case):
    def setUp(self):
        super().setUp()
        self.write("big.weir", BIG)

    def packages(self):
        folder = os.path.join(self.home, "packages")
        return [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".wpk")] if os.path.isdir(folder) else []

    def test_two_processes_build_once(self):
        args = ("build", "big.weir", "--random", "1", "--target", "cpu", "--json", "-o")
        both = [self.popen(*args, name) for name in ("a.wpk", "b.wpk")]
        results = [json.loads(p.communicate(timeout=common.TIMEOUT)[0]) for p in both]
        self.assertEqual([p.returncode for p in both], [0, 0])
        self.assertEqual(sorted(r["cached"] for r in results), [False, True])
        self.assertEqual(len(self.packages()), 1)
        with open(self.path("a.wpk"), "rb") as a, open(self.path("b.wpk"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.assert_no_leftovers()

    def test_interrupted_at_any_time(self):
        whole = time.monotonic()
        self.run_weir("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "whole.wpk")
        whole = time.monotonic() - whole
        for part in (0.02, 0.2, 0.5, 0.8, 0.95):
            shutil.rmtree(self.home)
            process = self.popen("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "part.wpk")
            time.sleep(part * whole)
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=common.TIMEOUT)[1].decode()
            self.assertIn(process.returncode, (130, 0) if part > 0.6 else (130,), errors)
            if process.returncode == 130:
                self.assertFalse(os.path.exists(self.path("part.wpk")))
            self.assert_no_leftovers()
        self.run_weir("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "again.wpk")
        with open(self.path("whole.wpk"), "rb") as a, open(self.path("again.wpk"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    @staticmethod
    def runs(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().split()[2] != "Z"
        except FileNotFoundError:
            return False

    def test_interruption_ends_the_compilers(self):
        """Also one that does not want to, and what it has started itself."""
        stubborn = self.write("cc", "#!/bin/sh\n[ \"$1\" = --version ] && exec echo slow 1\ntrap '' TERM\nsleep 100 &\n"
                                    f"echo $$ $! >> {self.path('pids')}\nwait\n")
        os.chmod(stubborn, 0o755)
        os.environ["CC"] = stubborn
        self.addCleanup(os.environ.pop, "CC")
        process = self.popen("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "m.wpk")
        while not os.path.exists(self.path("pids")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=common.TIMEOUT)[1].decode()
        self.assertEqual(process.returncode, 130, errors)
        self.assertLess(time.monotonic() - start, 20)  # the compiler would take 100 s
        with open(self.path("pids"), encoding="ascii") as file:
            pids = file.read().split()
        self.assertTrue(pids)
        for pid in pids:  # what was killed goes when the system next looks at it
            while self.runs(pid) and time.monotonic() - start < 20:
                time.sleep(0.01)
            self.assertFalse(self.runs(pid))
        self.assertEqual(os.listdir(os.path.join(self.home, "objects")), [])
        self.assert_no_leftovers()

    def test_full_disk(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))
        self.run_weir("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "m.wpk", code=3, preexec_fn=limit)
        self.assertFalse(os.path.exists(self.path("m.wpk")))
        self.assertEqual(self.packages(), [])
        self.assert_no_leftovers()
        self.run_weir("build", "big.weir", "--random", "1", "--target", "cpu", "-o", "m.wpk")

    def test_a_damaged_cache_is_mended(self):
        args = ("run", "big.weir", "--random", "1", "-i", "x=x.npy", "-o", "y.npy")
        save_npy(self.path("x.npy"), "<f4", (768,), [0.5] * 768)
        self.run_weir(*args)
        with open(self.path("y.npy"), "rb") as file:
            first = file.read()
        (package,) = self.packages()
        for damage in ("cut", "flip", "empty"):
            with open(package, "r+b") as file:
                if damage == "cut":
                    file.truncate(os.path.getsize(package) // 2)
                elif damage == "empty":
                    file.truncate(0)
                else:
                    file.seek(4096 + 20)
                    file.write(b"\xff\xff")
            self.run_weir(*args)
            with open(self.path("y.npy"), "rb") as file:
                self.assertEqual(file.read(), first, damage)
        objects = os.path.join(self.home, "objects")
        for name in os.listdir(objects):
            with open(os.path.join(objects, name), "r+b") as file:
                file.truncate(100)
        os.remove(package)
        self.run_weir(*args)

    def test_a_cache_that_cannot_be_written(self):
        blocked = self.write("file", "")
        self.home = os.path.join(blocked, "home")
        self.run_weir("run", "big.weir", "--random", "1", "-i", "x=[1]", code=3)

    def test_damaged_packages_are_refused(self):
        self.write("mlp.weir", common.MLP)
        self.run_weir("build", "mlp.weir", "--random", "1", "--target", "cpu", "-o", "m.wpk")
        with open(self.path("m.wpk"), "rb") as file:
            good = file.read()
        rng = random.Random(5)
        cuts = [0, 7, 8, 63, 64, 4095, 4096, len(good) // 2, len(good) - 1] + [rng.randrange(len(good)) for _ in range(12)]
        for size in cuts:
            self.write("bad.wpk", good[:size])
            for command in (["inspect", "bad.wpk"], ["run", "bad.wpk", "-i", "x=[1,2,3,4]"], ["verify", "bad.wpk"]):
                self.run_weir(*command, code=1)
        for _ in range(60):
            at = rng.randrange(len(good))
            self.write("bad.wpk", good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:])
            self.run_weir("verify", "bad.wpk", code=1)  # every bit is covered by a hash, or must be zero
            self.run_weir("run", "bad.wpk", "-i", "x=[1,2,3,4]", code=(0, 1))  # weights are not hashed on load


if __name__ == "__main__":
    common.main()
