#!/usr/bin/env python3
"""The package as what people ship: inspect, diff, signatures, weights beside, upgrades, equal bytes from equal inputs, programs that need
nothing, the installation, the C library, the Python package."""
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import common

DATA = os.path.join(common.ROOT, "tests", "data", "package")
BUILD = os.path.dirname(os.path.abspath(common.WEIR))
X = "x=[1,2,3,4]"
PAGE = 4096

STEPPER = """use std.nn;

dim T: seq;

/// Counts in a state, so that a session matters.
model Counter {V = 8, D = 16} {
  dim T: seq in 1..=64;
  embed: Embedding{V, D};
  state keys: f[D] over T;

  step next(tokens: i32[T] in 0..V) -> f32[V] {
    x = embed(tokens);
    keys = append(keys, x);
    return embed.logits(last(x));
  }
  entry score(tokens: i32[T] in 0..V) -> f32[T, V] { return embed.logits(embed(tokens)); }
}
"""


def run(*words, code=0, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=common.TIMEOUT, **more)
    if done.returncode != code:
        raise AssertionError(f"{' '.join(words)[:300]}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def flip(path, at, bit=1):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bit]))


class Package(common.Case):
    shared_home = True

    def setUp(self):
        super().setUp()
        self.tensors = common.mlp_tensors()
        self.write("mlp.weir", common.MLP)
        self.write("w.safetensors", common.safetensors(self.tensors))

    def build(self, name, *more, target="cpu:portable", **options):
        return self.json("build", "mlp.weir", "-w", "w.safetensors", "--target", target, "-o", name, *more, **options)

    def answer(self, package, *more):
        return self.json("run", package, "-i", X, *more)["outputs"]["output"]["values"]

    def section(self, package, name):
        return next(s for s in self.json("inspect", package)["sections"] if s["name"] == name)


class Inspect(Package):
    def test_everything_is_told(self):
        self.write("s.weir", STEPPER)
        self.run_weir("build", "s.weir", "--random", "1", "--target", "cpu:portable,cpu", "-o", "s.wpk")
        seen = self.json("inspect", "s.wpk", "--size", "T=7", "--requests", "2", "--threads", "1", "--weights")
        self.assertEqual((seen["version"], seen["bytes"]), (2, os.path.getsize(self.path("s.wpk"))))
        self.assertEqual({t["isa"]: t["runs_here"] for t in seen["targets"]}, {"portable": True, "native": True})
        self.assertIsNone(seen["signature"])
        entries = {e["name"]: e for e in seen["entries"]}
        step = entries["next"]
        self.assertTrue(step["step"])
        self.assertEqual((step["inputs"][0]["dtype"], step["inputs"][0]["dims"], step["inputs"][0]["hi"]), ("i32", "T", 7))
        self.assertEqual((step["symbols"][0]["role"], step["symbols"][0]["hi"], step["symbols"][0]["grows"]), ("seq", 64, True))
        self.assertEqual([s["path"] for s in step["states"]], ["keys"])
        memory = entries["score"]["memory"]
        self.assertEqual((memory["sizes"], memory["requests"], memory["threads"]), ({"T": 7}, 2, 1))
        self.assertGreater(memory["total_bytes"], memory["weights_bytes"])
        self.assertEqual(seen["storage"]["place"], "inside")
        self.assertEqual(sum(f["count"] for f in seen["storage"]["formats"].values()), len(seen["weights"]))
        text = self.run_weir("inspect", "s.wpk")
        for wanted in ("identity", "signature      none", "step next(tokens: i32[T] in 0..=7)", "portable", "memory", "toolchain", "object/native"):
            self.assertIn(wanted, text)

    def test_hashes_are_of_the_contents(self):
        self.build("m.wpk")
        data = read(self.path("m.wpk"))
        for section in self.json("inspect", "m.wpk")["sections"]:
            part = data[section["offset"]:section["offset"] + section["bytes"]]
            self.assertEqual(hashlib.blake2b(part, digest_size=32).hexdigest(), section["hash"], section["name"])


class Diff(Package):
    def kinds(self, a, b):
        return {(d["kind"], d["name"]): d["difference"] for d in self.json("diff", a, b, code=1)["differences"]}

    def test_by_meaning(self):
        self.build("a.wpk")
        self.tensors["up.weight"][1][3] += 1
        self.write("w.safetensors", common.safetensors(self.tensors))
        self.build("b.wpk")
        found = self.kinds("a.wpk", "b.wpk")
        self.assertIn("1 of", found["weight", "up.weight"])
        self.assertIn("elements changed", found["weight", "up.weight"])
        self.assertNotIn(("weight", "down.weight"), found)
        self.assertIn(("manifest", "checkpoint"), found)
        self.write("mlp.weir", common.MLP.replace("relu", "sigmoid"))
        self.build("c.wpk")
        found = self.kinds("b.wpk", "c.wpk")
        self.assertIn(("program", "forward"), found)
        self.assertIn("only in the second", found["kernels", "portable"])
        self.assertNotIn(("weight", "up.weight"), found)
        self.build("v3.wpk", target="cpu:portable,cpu:x86-64-v3")
        self.assertEqual(self.kinds("c.wpk", "v3.wpk")["section", "object/x86-64-v3"], "only in the second")

    def test_exit_codes(self):
        self.build("a.wpk")
        self.assertTrue(self.json("diff", "a.wpk", "a.wpk")["equal"])
        self.assertEqual(self.run_weir("diff", "a.wpk", "a.wpk").strip(), "no difference")
        self.run_weir("diff", "a.wpk", "nothing.wpk", code=3)
        self.run_weir("diff", "a.wpk", "mlp.weir", code=1)


class Signatures(Package):
    def setUp(self):
        super().setUp()
        self.public = self.json("sign", "--new", "maker")["key"]
        self.other = self.json("sign", "--new", "other")["key"]

    def test_a_signed_package_is_the_same_package(self):
        self.build("plain.wpk")
        self.build("signed.wpk", "--sign", "maker.pem")
        plain, signed = read(self.path("plain.wpk")), read(self.path("signed.wpk"))
        self.assertEqual((signed[:len(plain)], len(signed)), (plain, len(plain) + 128))
        seen = self.json("inspect", "signed.wpk")
        self.assertEqual(seen["signature"], {"key": self.public, "whole": True})
        self.assertEqual(seen["identity"], self.json("inspect", "plain.wpk")["identity"])
        self.assertTrue(self.json("diff", "plain.wpk", "signed.wpk")["equal"])
        self.run_weir("sign", "plain.wpk", "--key", "maker.pem")  # in place
        self.assertEqual(read(self.path("plain.wpk")), signed)
        self.run_weir("sign", "signed.wpk", "--key", "other.pem", "-o", "other.wpk")
        self.assertEqual(self.json("inspect", "other.wpk")["signature"]["key"], self.other)

    def test_verify_and_load_by_key(self):
        self.build("s.wpk", "--sign", "maker.pem")
        for key in ("maker.pub.pem", self.public):
            self.assertEqual(self.json("verify", "s.wpk", "--key", key)["signature"], "trusted")
            self.assertEqual(self.answer("s.wpk", "--require-key", key), self.answer("s.wpk"))
        self.assertEqual(self.json("verify", "s.wpk")["signature"], "whole")
        for command in (["verify", "s.wpk", "--key", "other.pub.pem"], ["run", "s.wpk", "-i", X, "--require-key", self.other]):
            self.run_weir(*command, code=1)
            self.assertIn("another key", self.errors)
        self.build("plain.wpk")
        self.assertEqual(self.json("verify", "plain.wpk")["signature"], "none")
        for command in (["verify", "plain.wpk", "--key", self.public], ["run", "plain.wpk", "-i", X, "--require-key", self.public]):
            self.run_weir(*command, code=1)
            self.assertIn("not signed", self.errors)
        self.run_weir("run", "mlp.weir", "--random", "1", "-i", X, "--require-key", self.public, code=2)

    def test_tampering_is_found(self):
        self.build("s.wpk", "--sign", "maker.pem")
        good = read(self.path("s.wpk"))
        sections = {s["name"]: s for s in self.json("inspect", "s.wpk")["sections"]}
        places = {name: s["offset"] + s["bytes"] // 2 for name, s in sections.items() if s["bytes"]}
        end = len(good) - 128
        places.update(header=20, table=end - 100, magic=end, key=end + 9, signature=end + 50, zeros=end + 120)
        for name, at in places.items():
            self.write("t.wpk", good)
            flip(self.path("t.wpk"), at)
            with self.subTest(name):
                self.run_weir("run", "t.wpk", "-i", X, "--require-key", self.public, code=1)
                self.run_weir("verify", "t.wpk", "--key", self.public, code=1)
        for length in (end + 64, end + 127, end + 129):
            self.write("t.wpk", (good + b"\0")[:length])
            self.run_weir("verify", "t.wpk", code=1)
        # Weights are not hashed when nothing is required, and are when a key is.
        self.write("t.wpk", good)
        flip(self.path("t.wpk"), places["weights"])
        self.run_weir("run", "t.wpk", "-i", X)
        # A signature of another package does not fit.
        self.tensors["up.weight"][1][0] += 1
        self.write("w.safetensors", common.safetensors(self.tensors))
        self.build("b.wpk")
        self.write("t.wpk", read(self.path("b.wpk")) + good[end:])
        self.run_weir("verify", "t.wpk", "--key", self.public, code=1)
        self.assertIn("signature is wrong", self.errors)

    def test_keys(self):
        self.assertEqual(os.stat(self.path("maker.pem")).st_mode & 0o777, 0o600)
        self.run_weir("sign", "--new", "maker", code=1)
        self.assertIn("not overwritten", self.errors)
        self.build("p.wpk")
        for wrong in ("maker.pub.pem", "mlp.weir"):
            self.run_weir("sign", "p.wpk", "--key", wrong, code=1)
        self.run_weir("sign", "p.wpk", "--key", "nowhere.pem", code=3)
        self.run_weir("sign", "p.wpk", code=2)
        self.run_weir("verify", "p.wpk", "--key", "maker.pem", code=1)
        self.assertIn("private", self.errors)
        flip(self.path("p.wpk"), self.section("p.wpk", "weights")["offset"])
        self.run_weir("sign", "p.wpk", "--key", "maker.pem", code=1)  # what is damaged is not signed

    def test_keys_of_openssl(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl")
        pem, public = self.path("o.pem"), self.path("o.pub.pem")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", pem)
        run("openssl", "pkey", "-in", pem, "-pubout", "-out", public)
        self.build("o.wpk", "--sign", "o.pem")
        self.run_weir("verify", "o.wpk", "--key", "o.pub.pem")
        # What is signed: the words, then the hash that names the package.
        seen, data = self.json("inspect", "o.wpk"), read(self.path("o.wpk"))
        self.write("message", b"weir package\0" + bytes.fromhex(seen["identity"]))
        self.write("signature", data[-128 + 40:-128 + 104])
        run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", self.path("message"), "-sigfile", self.path("signature"))


class Beside(Package):
    def test_shared_by_hash(self):
        self.build("in.wpk")
        built = self.build("a.wpk", "--beside")
        self.build("b.wpk", "--beside", target="cpu")
        files = [name for name in os.listdir(self.folder) if name.endswith(".weights")]
        self.assertEqual(files, [os.path.basename(built["weights_path"])])
        inside = self.section("in.wpk", "weights")
        self.assertEqual(files[0], inside["hash"] + ".weights")
        self.assertEqual(os.path.getsize(self.path(files[0])), inside["bytes"])
        for name in ("a.wpk", "b.wpk"):
            self.assertNotIn("weights", [s["name"] for s in self.json("inspect", name)["sections"]])
            self.run_weir("verify", name)
        self.assertEqual(self.answer("a.wpk"), self.answer("in.wpk"))
        self.assertEqual(self.json("inspect", "a.wpk")["storage"]["place"], "beside")

    def test_where_it_is_looked_for(self):
        path = self.path(self.build("a.wpk", "--beside")["weights_path"])
        before = self.answer("a.wpk")
        shelf = os.path.join(self.home, "weights")
        os.makedirs(shelf, exist_ok=True)
        shutil.move(path, shelf)
        self.addCleanup(shutil.rmtree, shelf)
        self.assertEqual(self.answer("a.wpk"), before)
        self.run_weir("verify", "a.wpk")
        os.remove(os.path.join(shelf, os.path.basename(path)))
        for command in (["run", "a.wpk", "-i", X], ["verify", "a.wpk"], ["diff", "a.wpk", "a.wpk"]):
            self.run_weir(*command, code=3)
            self.assertIn(os.path.basename(path), self.errors)
            self.assertIn(shelf, self.errors)
        self.assertIn("are in none of these folders", self.run_weir("inspect", "a.wpk"))  # the rest can be looked at

    def test_wrong_files(self):
        path = self.path(self.build("a.wpk", "--beside")["weights_path"])
        key = self.json("sign", "--new", "k")["key"]
        self.run_weir("sign", "a.wpk", "--key", "k.pem")
        self.run_weir("run", "a.wpk", "-i", X, "--require-key", key)
        flip(path, 5)
        self.run_weir("run", "a.wpk", "-i", X)
        for command in (["verify", "a.wpk"], ["run", "a.wpk", "-i", X, "--require-key", key]):
            self.run_weir(*command, code=1)
            self.assertIn("wrong hash", self.errors)
        with open(path, "ab") as file:
            file.write(b"more")
        self.run_weir("run", "a.wpk", "-i", X, code=1)
        self.assertIn("the package wants", self.errors)
        self.build("a.wpk", "--beside")  # mends it
        self.run_weir("verify", "a.wpk")


class Reproducible(Package):
    PLAN = "plan small for Mlp {\n  store up.weight: f16;\n}\n"

    def environments(self):
        """Folders, homes, temporary folders, locales, umasks, times, cores and orders of build that differ."""
        cores = sorted(os.sched_getaffinity(0))
        for number, (locale, umask, age, some) in enumerate((("C", 0o022, 0, cores), ("C.UTF-8", 0o077, 10 ** 8, cores[:1]))):
            folder = self.path(f"place{number}" + "/deeper" * number)
            env = common.environment(os.path.join(folder, "home"))
            env.update(LC_ALL=locale, TMPDIR=os.path.join(folder, "tmp"), TZ="Asia/Tokyo" if number else "UTC")
            for name in ("home", "tmp"):
                os.makedirs(os.path.join(folder, name))
            for name, text in (("mlp.weir", common.MLP.encode()), ("plan.weir", self.PLAN.encode()), ("w.safetensors", common.safetensors(self.tensors))):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(text)
                os.utime(os.path.join(folder, name), (1e9 + age, 1e9 + age))
            def enter(umask=umask, some=some):
                os.umask(umask)
                os.sched_setaffinity(0, some)
            yield folder, dict(env=env, cwd=folder, preexec_fn=enter)

    def made(self, *words):
        """The files of both builds."""
        out = []
        for folder, how in self.environments():
            run(common.WEIR, "build", "mlp.weir", "-w", "w.safetensors", *words, "-o", "out", **how)
            out.append(read(os.path.join(folder, "out")))
            shutil.rmtree(self.path("place0") if folder.endswith("place0") else self.path("place1"))
        return out

    def test_packages(self):
        for words in (("--target", "cpu:portable,cpu:x86-64-v3"), ("--plan", "plan.weir", "--target", "cpu")):
            first, second = self.made(*words)
            self.assertEqual(len(first), len(second))
            if first != second:
                at = next(i for i in range(len(first)) if first[i] != second[i])
                self.write("first.wpk", first)
                where = [s["name"] for s in self.json("inspect", "first.wpk")["sections"] if s["offset"] <= at < s["offset"] + s["bytes"]]
                self.fail(f"byte {at} differs, in {where}")
            self.assertNotIn(self.folder.encode(), first)

    def test_what_was_cached_does_not_matter(self):
        self.build("a.wpk")
        cold = read(self.path("a.wpk"))
        self.write("mlp.weir", common.MLP.replace("relu", "silu"))
        self.build("b.wpk")
        self.write("mlp.weir", common.MLP)
        shutil.rmtree(os.path.join(self.home, "packages"))  # kernels are still there
        self.build("a.wpk")
        self.assertEqual(read(self.path("a.wpk")), cold)

    def test_programs(self):
        if not has_standalone():
            self.skipTest("no libweir_standalone.a in this build")
        first, second = self.made("--standalone", "--target", "cpu:portable")
        self.assertEqual(first, second)


class Upgrade(Package):
    def setUp(self):
        super().setUp()
        with gzip.open(os.path.join(DATA, "format1.wpk.gz")) as file:
            self.write("old.wpk", file.read())
        with open(os.path.join(DATA, "format1.json")) as file:
            self.case = json.load(file)
        self.x = "x=" + json.dumps(self.case["x"]).replace(" ", "")

    def test_format_1(self):
        self.run_weir("run", "old.wpk", "-i", self.x, code=1)
        self.assertIn("weir upgrade", self.errors)
        self.assertIn("older format", self.run_weir("inspect", "old.wpk"))
        self.assertEqual(self.json("upgrade", "old.wpk", "-o", "new.wpk")["to"], 2)
        self.run_weir("verify", "new.wpk")
        found = self.json("run", "new.wpk", "-i", self.x)["outputs"]["output"]["values"]
        for ours, theirs in zip(found, self.case["output"]):
            self.assertAlmostEqual(ours, theirs, delta=1e-6)
        seen = self.json("inspect", "new.wpk")
        self.assertEqual(seen["manifest"]["upgraded_from"], 1)
        self.assertEqual({name.split()[0] for name in seen["storage"]["formats"]}, {"F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"})
        self.run_weir("diff", "old.wpk", "new.wpk", code=1)
        self.assert_no_leftovers()

    def test_in_place_and_again(self):
        self.run_weir("upgrade", "old.wpk")
        first = read(self.path("old.wpk"))
        self.run_weir("upgrade", "old.wpk")
        self.assertEqual(read(self.path("old.wpk")), first)
        self.json("sign", "--new", "k")
        self.run_weir("sign", "old.wpk", "--key", "k.pem", "-o", "signed.wpk")
        for name in ("old.wpk", "signed.wpk"):
            self.run_weir("upgrade", name, "-o", "copy.wpk")
            self.assertEqual(read(self.path("copy.wpk")), read(self.path(name)))

    def test_what_cannot_be_upgraded_stays(self):
        good = read(self.path("old.wpk"))
        for at in (PAGE + 10, len(good) - 40, len(good) // 2, 24 * PAGE + 100):
            self.write("bad.wpk", good)
            flip(self.path("bad.wpk"), at)
            done = self.run_weir("upgrade", "bad.wpk", code=(0, 1))  # in what is built anew nothing has to be right
            if not done:
                self.assertEqual(len(read(self.path("bad.wpk"))), len(good))
        self.write("newer.wpk", good[:8] + b"\x09" + good[9:])
        self.run_weir("upgrade", "newer.wpk", code=1)
        self.assertIn("version 9", self.errors)
        self.assert_no_leftovers()


def has_standalone():
    return os.path.exists(os.path.join(BUILD, "libweir_standalone.a"))


class Standalone(Package):
    def setUp(self):
        super().setUp()
        if not has_standalone():
            self.skipTest("no libweir_standalone.a in this build")

    def program(self, *words):
        self.run_weir("build", *words, "--standalone", "-o", "program")
        return self.path("program")

    def test_needs_nothing(self):
        program = self.program("mlp.weir", "-w", "w.safetensors", "--target", "cpu:portable,cpu:x86-64-v3")
        self.assertTrue(os.access(program, os.X_OK))
        headers = run("readelf", "-lW", program)
        self.assertNotIn("INTERP", headers)
        self.assertNotIn("DYNAMIC", headers)
        self.build("m.wpk", target="cpu:portable,cpu:x86-64-v3")
        wanted = self.json("run", "m.wpk", "-i", X)["outputs"]
        self.assertEqual(json.loads(run(program, "run", "-i", X, "--json"))["outputs"], wanted)
        self.assertEqual(json.loads(run(program, "about", "--json"))["model"], "Mlp")
        self.assertEqual(self.answer("m.wpk", "--isa", "portable"),
                         json.loads(run(program, "run", "-i", X, "--isa", "portable", "--json"))["outputs"]["output"]["values"])
        common.save_npy(self.path("x.npy"), "<f4", (4,), [1, 2, 3, 4])
        run(program, "run", "-i", "x=" + self.path("x.npy"), "-o", "output=" + self.path("y.npy"))
        for ours, theirs in zip(common.load_npy(self.path("y.npy"))[1], wanted["output"]["values"]):
            self.assertAlmostEqual(ours, theirs, delta=1e-9)
        run(program, "run", "-i", X, "-o", self.path("all.npz"), code=1)
        run(program, "chat", "-p", "x", code=1)
        run(program, "run", "-i", "x=[1]", code=1)
        run(program, "fly", code=2)
        run(program, code=2)

    def test_in_an_empty_root(self):
        program = self.program("mlp.weir", "-w", "w.safetensors", "--target", "cpu:portable")
        root = self.path("root")
        os.mkdir(root)
        shutil.copy(program, root)
        change = shutil.which("chroot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not change:
            self.skipTest("no chroot")
        words = [change, root] if os.geteuid() == 0 else [shutil.which("unshare") or "unshare", "-r", change, root]
        probe = subprocess.run([*words, "/program", "about"], capture_output=True, text=True, env={})
        if probe.returncode and "ermission" in probe.stderr + probe.stdout or "not permitted" in probe.stderr:
            self.skipTest("this user may not change the root: " + probe.stderr.strip())
        found = json.loads(run(*words, "/program", "run", "-i", X, "--json", env={}))["outputs"]["output"]["values"]
        self.build("m.wpk")
        self.assertEqual(found, self.answer("m.wpk"))
        self.assertEqual(os.listdir(root), ["program"])

    def test_sessions(self):
        self.write("s.weir", STEPPER)
        program = self.program("s.weir", "--random", "1", "--target", "cpu:portable")
        run(program, "run", "-e", "next", "-i", "tokens=[1,2]", "--then", "next", "-i", "tokens=[3]")

    def test_weights_are_not_copied(self):
        self.write("wide.weir", "use std.nn;\nmodel Wide {V = 40000, D = 128} {\n  dim T: seq in 1..=8;\n  embed: Embedding{V, D};\n"
                   "  entry rows(tokens: i32[T] in 0..V) -> f32[T, D] { return f32(embed(tokens)); }\n}\n")
        program = self.program("wide.weir", "--random", "1", "--target", "cpu:portable")
        self.assertGreater(os.path.getsize(program), 20 << 20)
        script = f"import resource, subprocess; subprocess.run([{program!r}, 'run', '-i', 'tokens=[1]'], stdout=subprocess.DEVNULL, check=True); " \
                 "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        peak = int(run(sys.executable, "-c", script))
        self.assertLess(peak, 16 << 10)  # kB; the weights are 20 MB

    def test_of_a_package_alone(self):
        levels = "cpu:portable,cpu:x86-64-v3"
        key = self.json("sign", "--new", "k")["key"]
        self.build("m.wpk", "--beside", "--sign", "k.pem", target=levels)
        for name in ("mlp.weir", "w.safetensors"):
            os.remove(self.path(name))
        shutil.rmtree(os.path.join(self.home, "objects"))
        program = self.program("m.wpk")
        for isa in levels.replace("cpu:", "").split(","):
            found = json.loads(run(program, "run", "-i", X, "--isa", isa, "--json"))["outputs"]["output"]["values"]
            self.assertEqual(found, self.answer("m.wpk", "--isa", isa, "--require-key", key))
        first = read(program)
        self.assertEqual(read(self.program("m.wpk")), first)
        self.assertEqual(self.json("build", "m.wpk", "--standalone", "-o", "program")["targets"], levels.split(","))
        self.run_weir("build", "m.wpk", "--standalone", "--target", "cpu", "-o", "p", code=2)
        self.run_weir("build", "m.wpk", "-o", "p", code=1)
        flip(self.path("m.wpk"), self.section("m.wpk", "kernels/cpu.c")["offset"] + 9)
        self.run_weir("build", "m.wpk", "--standalone", "-o", "p", code=1)
        self.assertIn("kernels/cpu.c", self.errors)
        self.assertFalse(os.path.exists(self.path("p")))
        self.assert_no_leftovers()

    def test_of_a_tuned_package(self):
        self.run_weir("build", "mlp.weir", "-w", "w.safetensors", "--tune", "1", "-o", "m.wpk")
        found = json.loads(run(self.program("m.wpk"), "run", "-i", X, "--json"))["outputs"]["output"]["values"]
        self.assertEqual(found, self.answer("m.wpk"))

    def test_what_does_not_go_together(self):
        self.run_weir("build", "mlp.weir", "-w", "w.safetensors", "--standalone", "--beside", "-o", "p", code=2)


class Installed(Package):
    """What `cmake --install` puts somewhere works from there."""

    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(BUILD, "cmake_install.cmake")) or not shutil.which("cmake"):
            self.skipTest("no build folder of CMake")
        if not os.path.exists(os.path.join(BUILD, "libweir.so")):
            self.skipTest("no libweir.so in this build")
        if sanitized():
            self.skipTest("a build with sanitizers is not installed")
        self.prefix = self.path("prefix")
        run("cmake", "--install", BUILD, "--prefix", self.prefix)
        self.lib = next(os.path.dirname(path) for path in walk(self.prefix) if path.endswith("/libweir.so"))

    def test_all_of_it(self):
        weir = os.path.join(self.prefix, "bin", "weir")
        env = {k: v for k, v in common.environment(self.home).items() if k != "WEIR_MODELS"}
        how = dict(env=env, cwd=self.folder)
        run(weir, "build", "mlp.weir", "-w", "w.safetensors", "--target", "cpu:portable", "-o", "m.wpk", **how)
        if has_standalone():
            run(weir, "build", "mlp.weir", "-w", "w.safetensors", "--target", "cpu:portable", "--standalone", "-o", "program", **how)
            run(self.path("program"), "run", "-i", X)
        with open(os.path.join(self.prefix, "share", "man", "man1", "weir.1")) as file:
            page = file.read()
        self.assertIn('.SS "weir upgrade"', page)
        exported = run("nm", "-D", "--defined-only", os.path.join(self.lib, "libweir.so"))
        names = [line.split()[-1] for line in exported.splitlines()]
        self.assertTrue(names and all(name.startswith("weir_") for name in names), names)
        self.assertIn("libweir.so.0", run("readelf", "-d", os.path.join(self.lib, "libweir.so")))
        self.c_example(weir, how)

    def c_example(self, weir, how):
        source = os.path.join(common.ROOT, "examples", "c")
        self.write("s.weir", STEPPER)
        run(weir, "build", "s.weir", "--random", "1", "--target", "cpu:portable", "-o", "s.wpk", **how)
        if shutil.which("pkg-config"):
            env = dict(how["env"], PKG_CONFIG_PATH=os.path.join(self.lib, "pkgconfig"))
            flags = run("pkg-config", "--cflags", "--libs", "weir", env=env).split()
            run("cc", "-Wall", "-Werror", os.path.join(source, "run.c"), *flags, "-Wl,-rpath," + self.lib, "-o", self.path("by-hand"))
            self.assertIn("step next", run(self.path("by-hand"), self.path("s.wpk")))
        run("cmake", "-S", source, "-B", self.path("example"), "-DCMAKE_PREFIX_PATH=" + self.prefix)
        run("cmake", "--build", self.path("example"))
        program = os.path.join(self.path("example"), "weir_example_run")
        self.assertEqual(run(program, self.path("s.wpk"), "next", "1", "2").count("output: f32[8]"), 2)
        run(program, self.path("s.wpk"), "next", "99", code=1)


def walk(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(place, name)


def sanitized():
    with open(os.path.join(BUILD, "CMakeCache.txt")) as file:
        return bool(re.search(r"^WEIR_(THREAD_)?SANITIZE:BOOL=(ON|1|TRUE)$", file.read(), re.M))


class Python(Package):
    SOURCE = os.path.join(common.ROOT, "runtime", "bindings", "python")

    def setUp(self):
        super().setUp()
        self.library = os.path.join(BUILD, "libweir.so")
        if not os.path.exists(self.library):
            self.skipTest("no libweir.so in this build")
        if sanitized():
            self.skipTest("Python is not built with sanitizers")
        self.build("mlp.wpk")
        self.run_weir("build", os.path.join(common.ROOT, "examples", "tiny.weir"), "--random", "1", "--target", "cpu:portable", "-o", "tiny.wpk")
        self.env = dict(os.environ, WEIR_TEST_MLP=self.path("mlp.wpk"), WEIR_TEST_TINY=self.path("tiny.wpk"), PYTHONDONTWRITEBYTECODE="1")
        self.env.pop("WEIR_LIBRARY", None)

    def pass_with(self, python, env):
        done = subprocess.run([python, os.path.join(self.SOURCE, "tests", "test_weir.py")], capture_output=True, text=True, env=env, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stderr

    def test_from_the_source(self):
        env = dict(self.env, WEIR_LIBRARY=self.library, PYTHONPATH=self.SOURCE)
        self.pass_with(sys.executable, env)

    def test_the_wheel_in_a_fresh_environment(self):
        source, venv = self.path("source"), self.path("venv")
        shutil.copytree(self.SOURCE, source)
        built = subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", self.path("wheel"), source], capture_output=True, text=True,
                               env=dict(self.env, WEIR_LIBRARY=self.library), timeout=common.TIMEOUT)
        if built.returncode:
            self.skipTest("pip cannot build a wheel here: " + (built.stderr.strip().splitlines() or ["?"])[-1])
        wheel = os.path.join(self.path("wheel"), os.listdir(self.path("wheel"))[0])
        self.assertIn("py3-none-" + sysconfig.get_platform().replace("-", "_"), wheel)
        made = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, text=True)
        if made.returncode:
            self.skipTest("no virtual environments here: " + made.stdout.strip()[-200:])
        python = os.path.join(venv, "bin", "python")
        run(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel, env=self.env)
        self.pass_with(python, self.env)
        examples = os.path.join(common.ROOT, "examples", "python")
        self.assertIn("score: output has shape (4, 8)", run(python, os.path.join(examples, "run.py"), self.path("tiny.wpk"), env=self.env))
        ids = run(python, os.path.join(examples, "generate.py"), self.path("tiny.wpk"), "5", "3", "1", env=self.env).split()
        self.assertEqual(len(ids), 5)


if __name__ == "__main__":
    common.main()
