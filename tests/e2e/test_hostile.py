"""Hostile input through the command line: model texts, weights, packages, tensors, prompts, templates.

Every input here is wrong on purpose, or is a right one with bits turned. What must be seen is in tests/e2e/hostile.py: an end in time, in
bounded memory, with code 0 or 1 (3 where the machine is at fault), and a message that names a place or a field.
"""
import json
import os
import stat
import struct
import zipfile

import common
from common import MLP, MODELS, mlp_tensors, save_npy
from hostile import LM, TEMPLATE, Hostile, count, flips, lm_gguf, truncations

VECTOR = "x=[1,2,3,4]"


class Texts(Hostile):
    """Model texts: parsed and elaborated by `check`."""

    def check(self, text, pattern=None, name="m.weir"):
        self.write(name, text)
        code = self.weir("check", name, code=1 if pattern else (0, 1))
        if pattern:
            self.assert_place()
            self.assert_error(pattern)
        return code

    def model(self, body, params="D = 4"):
        return f"model M {{{params}}} {{\n{body}\n}}\n"

    def test_cyclic_use(self):
        self.write("a.weir", "use b;\n")
        self.write("b.weir", "use c;\n")
        self.write("c.weir", "use a;\n")
        self.write("self.weir", "use self;\n")
        for name in ("a.weir", "self.weir"):
            self.weir("check", name, code=1)
            self.assert_place()
            self.assert_error(r"cycl|circ|itself|use")

    def test_use_of_what_is_not_there(self):
        self.check("use nowhere.to.be.found;\n", "nowhere")
        self.check("use std;\n", "std")
        self.check("use " + "a." * 5000 + "a;\n", "error")

    def test_deep_nesting(self):
        deep = 10000
        for text in ("{" * deep, "(" * deep, "[" * deep, "model M " + "{" * deep, "model M {" + "if true {" * deep, "}" * deep,
                     self.model("entry e(x: f32[D]) -> f32[D] { return " + "(" * deep + "x" + ")" * deep + "; }"),
                     self.model("entry e(x: f32[D]) -> f32[D] { return " + "-" * deep + "x; }"),
                     self.model("entry e(x: f32[D]) -> f32[D] { return " + "f(" * deep + "x" + ")" * deep + "; }"),
                     self.model("entry e(x: f32[D]) -> f32[D] { return x" + " + x" * deep + "; }"),
                     self.model("entry e(x: f32[D]) -> f32[D] { return x" + "[0]" * deep + "; }"),
                     self.model("entry e(x: f32[D]) -> f32[D] { return " + "x if true else " * deep + "x; }"),
                     "let a = " + "[" * deep + "1" + "]" * deep + ";\n", "/*" * deep, "model M {a" + ".b" * deep + ": C;}\n"):
            self.check(text, "error")

    def test_numbers_that_overflow(self):
        for value in ("9223372036854775808", "99999999999999999999999999", "9223372036854775807 + 1", "4611686018427387904 * 2",
                      "-9223372036854775807 - 2", "3037000500 * 3037000500", "1 / 0", "1 % 0", "2 ** 64", "1e999"):
            self.check(self.model(f"let n = {value};\nentry e(x: f32[n]) -> f32[n] {{ return x; }}"), "error")

    def test_sizes_that_overflow(self):
        for dims in ("4294967296, 4294967296", "9223372036854775807", "9223372036854775807, 2", "3037000500, 3037000500", "-1", "0 - 5",
                     "2147483648, 2147483648, 2147483648"):
            text = self.model(f"param w: f32[{dims}] = 1;\nentry e(x: f32[D]) -> f32[{dims}] {{ return w; }}")
            self.write("m.weir", text)
            self.weir("check", "m.weir", code=(0, 1))
            self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=(1, 3))
        for dims, hi, code in (("T * 9223372036854775807", "1000000000", 1), ("T * T * T * T * T * T * T * T", "1000000000", 1),
                               ("T * T * T * T * T * T * T * T", "4", 0)):
            self.write("m.weir", f"dim T: seq;\nmodel M {{D = 4}} {{\ndim T: seq in 1..={hi};\n"
                       f"entry e(x: f32[T]) -> f32[T] {{ y = spread(x, {dims}); return sum(y, over = -1); }}\n}}\n")
            self.weir("run", "m.weir", "-i", "x=[1,2]", code=(code,))

    def test_too_many_layers(self):
        text = ("use std.nn;\nmodel M {layers = 1000000, D = 4} {\n  l: Linear{D, D}[layers];\n"
                "  entry e(x: f32[D]) -> f32[D] { y = f(x); for m in l { y = m(y); } return f32(y); }\n}\n")
        self.write("m.weir", text)
        self.weir("check", "m.weir", code=(0, 1))
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=1)
        self.assert_place()
        self.write("lm.weir", LM)
        self.weir("run", "lm.weir", "--random", "1", "--set", "layers=1000000", "-i", "tokens=[1]", code=1)
        self.weir("run", "lm.weir", "--random", "1", "--set", "layers=99999999999999999999", "-i", "tokens=[1]", code=(1, 2))
        self.weir("run", "lm.weir", "--random", "1", "--set", "layers=-1", "-i", "tokens=[1]", code=1)
        self.weir("run", "lm.weir", "--random", "1", "--set", "D=1000000000000", "-i", "tokens=[1]", code=(1, 3))

    def test_work_that_explodes(self):
        doubling = "".join(f"fn g{i}(x: f32[4]) -> f32[4] {{ return g{i + 1}(x) + g{i + 1}(x); }}\n" for i in range(60))
        doubling += "fn g60(x: f32[4]) -> f32[4] { return x; }\n"
        entry = "entry e(x: f32[D]) -> f32[D] { return g0(x); }"
        self.write("m.weir", doubling + self.model(entry))
        self.weir("check", "m.weir", code=(0, 1))
        self.write("m.weir", "fn g(x: f32[4]) -> f32[4] { return g(x); }\n" + self.model("entry e(x: f32[D]) -> f32[D] { return g(x); }"))
        self.weir("check", "m.weir", code=1)
        self.assert_place()
        loops = "for i in 0..1000000 { for j in 0..1000000 { for k in 0..1000000 { y = y + 1; } } }"
        self.write("m.weir", self.model(f"entry e(x: f32[D]) -> f32[D] {{ y = x; {loops} return y; }}"))
        self.weir("check", "m.weir", code=(0, 1))
        self.check("block B {} (x: f32[4]) -> f32[4] { b: B{}; return b(x); }\n" +
                   self.model("b: B{};\nentry e(x: f32[D]) -> f32[D] { return b(x); }"), "error")

    def test_odd_files(self):
        self.check("")
        self.check("\ufeffmodel M {D = 4} {}\n")
        self.check(MLP.replace("\n", "\r\n"))
        self.check(b"\0" * 1000, "error")
        self.check(bytes(range(256)) * 40, "error")
        self.check(b"\xff\xfe" + MLP.encode("utf-16-le"), "error")
        self.check("model " + "a" * 1000000 + " {\n", "error")
        self.check('let s = "' + "x" * 1000000, "error")
        self.check("@" * 100000, "error")
        self.check("use a;" * 100000)
        self.check("// " + "x" * 20_000_000)
        self.write("empty.weir", "")
        self.weir("run", "empty.weir", "-i", VECTOR, code=1)
        os.makedirs(self.path("folder.weir"))
        for command in ("check", "show", "fmt"):
            self.weir(command, "folder.weir", code=(1, 3))
        self.weir("run", "folder.weir", "-i", VECTOR, code=1)
        self.weir("check", "/dev/zero", code=(1, 3))
        self.weir("check", "nowhere/m.weir", code=3)
        self.weir("check", "x" * 5000, code=3)
        os.symlink("loop.weir", self.path("loop.weir"))
        self.weir("check", "loop.weir", code=3)

    def test_unreadable(self):
        if os.getuid() == 0:
            self.skipTest("root reads everything")
        os.chmod(self.write("m.weir", MLP), 0)
        self.weir("check", "m.weir", code=3)

    def test_names_with_odd_letters(self):
        for name in ("a b.weir", "ä\u202e.weir", "%s%n.weir", "-m.weir", "m\n.weir", "m\x1b[31m.weir"):
            self.write(name, "model")
            self.weir("check", "./" + name, code=1)

    def mutate(self, name, number):
        with open(os.path.join(MODELS, name), "rb") as file:
            data = file.read()
        for text in truncations(data, number):
            self.write("cut.weir", text)
            if self.weir("check", "cut.weir"):
                self.assert_place()
        for at, text in flips(data, number):
            self.write("flip.weir", text)
            if self.weir("check", "flip.weir", what=f"{name}, byte {at}"):
                self.assert_error(r":\d+:\d+: error\[W\d{4}\]: ")

    def test_mutated_models(self):
        self.mutate("smollm2.weir", count(60))
        self.mutate("minilm.weir", count(60))

    def test_mutated_plan_and_overrides(self):
        self.write("m.weir", MLP)
        for override in ("D=", "=4", "D", "D=x", "D=1e400", "D=[", "D=" + "(" * 10000, "nope=1", "D=9223372036854775808", "D=true",
                         "D=\xff", "D=4;}model"):
            self.weir("run", "m.weir", "--random", "1", "--set", override, "-i", VECTOR, code=(1, 2))
        for plan in ("", "nope", "plan p {", "plan p for Mlp { target = cpu(x86-64-v9); }", "\0", "plan p for Mlp { float = i8; }"):
            self.write("p.plan", plan)
            self.weir("run", "m.weir", "--random", "1", "--plan", "p.plan", "-i", VECTOR, code=(1, 2))


class Weights(Hostile):
    """Checkpoints: GGUF, safetensors and what lies beside them."""

    def run_with(self, data, name, what, codes=(0, 1)):
        self.write("m.weir", MLP)
        self.write(name, data)
        return self.weir("run", "m.weir", "-w", name, "-i", VECTOR, code=codes, what=what)

    def mutate(self, data, name, head):
        self.assertEqual(self.run_with(data, name, "whole"), 0)
        for piece in truncations(data, count(30)):
            self.run_with(piece, name, f"{name} cut to {len(piece)} of {len(data)}", 1)
            self.assert_error(r"t\.|weigh|tensor|header|file")
        for at, changed in flips(data, count(120), within=head):
            self.run_with(changed, name, f"{name}, byte {at}")

    def test_gguf(self):
        data = common.gguf(mlp_tensors())
        self.mutate(data, "t.gguf", len(data) - 4 * 67)

    def test_safetensors(self):
        data = common.safetensors(mlp_tensors())
        self.mutate(data, "t.safetensors", 8 + struct.unpack("<Q", data[:8])[0])

    def test_gguf_counts(self):
        huge = (0, 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1)
        good = common.gguf(mlp_tensors())
        for at in (8, 16, 24):  # tensors, keys, length of the first key
            for value in huge:
                changed = bytearray(good)
                changed[at:at + 8] = struct.pack("<Q", value)
                if changed != good:
                    self.run_with(bytes(changed), "t.gguf", f"count at {at} is {value}")
        for version in (0, 1, 4, 2**32 - 1, 0x03000000):
            self.run_with(good[:4] + struct.pack("<I", version) + good[8:], "t.gguf", f"version {version}", 1)
            self.assert_error("version|endian")

    def test_safetensors_headers(self):
        def file(header, data=b"\0" * 64, size=None):
            raw = header if isinstance(header, bytes) else json.dumps(header).encode()
            return struct.pack("<Q", len(raw) if size is None else size) + raw + data

        entry = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
        bad = [b"", b"{", b"[]", b"null", b"{" * 100000, b"[" * 100000, b'{"a":' * 20000, b"\xff" * 20, {"a": 1}, {"a": {}},
               {"a": {**entry, "dtype": "F33"}}, {"a": {**entry, "shape": [2**63, 2]}}, {"a": {**entry, "shape": [-4, -4]}},
               {"a": {**entry, "shape": [4.0, 4]}}, {"a": {**entry, "shape": [4] * 1000}}, {"a": {**entry, "data_offsets": [64, 0]}},
               {"a": {**entry, "data_offsets": [0, 2**64]}}, {"a": {**entry, "data_offsets": [0, 63]}},
               {"a": {**entry, "data_offsets": [-64, 0]}}, {"a": {**entry, "data_offsets": []}}, {"a": entry, "b": entry},
               b'{"a":' + json.dumps(entry).encode() + b',"a":' + json.dumps(entry).encode() + b"}"]
        for header in bad:
            self.run_with(file(header), "t.safetensors", f"header {str(header)[:80]}", 1)
        for size in (0, 2**32, 2**63, 2**64 - 1):
            self.run_with(file({"a": entry}, size=size), "t.safetensors", f"header of {size} bytes", 1)
        self.run_with(file({}), "t.safetensors", "no tensors", 1)
        self.assert_error("up.weight|down|tensor")

    def test_wrong_tensors(self):
        missing = mlp_tensors()
        del missing["up.bias"]
        shaped = dict(mlp_tensors(), **{"up.weight": ((4, 8), [0.5] * 32)})
        more = dict(mlp_tensors(), **{"extra.weight": ((2,), [1.0, 2.0])})
        for tensors, field in ((missing, "up.bias"), (shaped, "up.weight"), (more, "extra.weight")):
            for make, name in ((common.safetensors, "t.safetensors"), (common.gguf, "t.gguf")):
                self.run_with(make(tensors), name, f"wrong {field}", 1)
                self.assert_error(field.replace(".", r"\."))

    def test_not_a_checkpoint(self):
        self.write("m.weir", MLP)
        for name, data in (("empty.gguf", b""), ("empty.safetensors", b""), ("text.gguf", b"hello"), ("noise.bin", b"\x93\x12" * 999),
                           ("m.index.json", b"{}"), ("n.index.json", b'{"weight_map":{"up.weight":"../../../../etc/passwd"}}'),
                           ("o.index.json", b'{"weight_map":{"up.weight":"nowhere.safetensors"}}'), ("p.index.json", b"[" * 100000)):
            self.write(name, data)
            self.weir("run", "m.weir", "-w", name, "-i", VECTOR, code=(1, 3))
        os.makedirs(self.path("folder"))
        self.weir("run", "m.weir", "-w", "folder", "-i", VECTOR, code=(1, 3))
        self.weir("run", "m.weir", "-w", "nowhere.gguf", "-i", VECTOR, code=3)
        self.weir("run", "m.weir", "-w", "/dev/zero", "-i", VECTOR, code=(1, 3))
        self.weir("run", "t.gguf", "-i", VECTOR, code=(1, 3))
        self.write("t.gguf", common.gguf(mlp_tensors()))
        self.weir("run", "t.gguf", "-i", VECTOR, code=1)
        self.assert_error("weights")


class Packages(Hostile):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.package = None

    def setUp(self):
        super().setUp()
        if not type(self).package:
            self.write("m.weir", MLP)
            self.weir("build", "m.weir", "--random", "3", "--target", "cpu", "-o", "m.wpk", code=0)
            with open(self.path("m.wpk"), "rb") as file:
                type(self).package = file.read()

    def test_truncated(self):
        for piece in truncations(self.package, count(40)):
            self.write("cut.wpk", piece)
            what = f"package of {len(self.package)} bytes cut to {len(piece)}"
            for command in (["verify", "cut.wpk"], ["run", "cut.wpk", "-i", VECTOR], ["inspect", "cut.wpk"]):
                self.weir(*command, code=1, what=f"{command[0]}: {what}")
                self.assert_error("cut")

    def test_flipped(self):
        for at, changed in flips(self.package, count(150)):
            if changed == self.package:
                continue
            self.write("flip.wpk", changed)
            self.weir("verify", "flip.wpk", code=1, what=f"verify: package, byte {at}")
            self.weir("run", "flip.wpk", "-i", VECTOR, what=f"run: package, byte {at}")

    def test_head_and_table(self):
        table = struct.unpack_from("<Q", self.package, 24)[0] if len(self.package) > 32 else 0
        for at, changed in flips(self.package, count(60), within=128):
            if changed != self.package:
                self.write("flip.wpk", changed)
                self.weir("run", "flip.wpk", "-i", VECTOR, what=f"package header, byte {at}, table {table}")

    def test_not_a_package(self):
        for name, data in (("empty.wpk", b""), ("text.wpk", b"model M {}"), ("noise.wpk", os.urandom(5000))):
            self.write(name, data)
            for command in (["verify", name], ["inspect", name], ["run", name, "-i", VECTOR], ["diff", name, name], ["chat", name, "-p", "x"]):
                self.weir(*command, code=1)
        os.makedirs(self.path("folder.wpk"))
        for command in ("verify", "inspect"):
            self.weir(command, "folder.wpk", code=(1, 3))
        self.weir("run", "folder.wpk", "-i", VECTOR, code=1)

    def test_a_damaged_package_in_the_cache_is_built_again(self):
        self.write("m.weir", MLP)
        answer = self.json("run", "m.weir", "--random", "5", "-i", VECTOR)["outputs"]
        folder = os.path.join(self.home, "packages")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "r+b") as file:
                file.truncate(os.path.getsize(os.path.join(folder, name)) // 2)
        self.assertEqual(self.json("run", "m.weir", "--random", "5", "-i", VECTOR)["outputs"], answer)
        for name in os.listdir(os.path.join(self.home, "objects")):
            with open(os.path.join(self.home, "objects", name), "r+b") as file:
                file.seek(100)
                file.write(b"\xff" * 50)
        self.assertEqual(self.weir("run", "m.weir", "--random", "6", "-i", VECTOR), 0)


class Tensors(Hostile):
    """What `weir run` is given."""

    def setUp(self):
        super().setUp()
        self.write("m.weir", MLP)
        self.write("lm.weir", LM)

    def refuse(self, value, codes=1, model="m.weir", pattern=None):
        self.weir("run", model, "--random", "1", "-i", value, code=codes, what=f"-i {value[:100]}")
        self.assert_error(pattern or "input|-i|entry")

    def test_literals(self):
        for value in ("x=", "x=[", "x=[1,2,3,4", "x=[1,2,3,4]]", "x=[1,2,[3],4]", "x=[[1,2],[3,4]]", "x=[1,2,3]", "x=[1,2,3,4,5]", "x=[]",
                      "x=7", 'x=["a",1,2,3]', "x=[1,2,3,null]", "x=nonsense", "x=[1,2,3,1e999]", "x=" + "[" * 10000 + "]" * 10000,
                      "x=\xff\xfe", "x={}", "x=[1 2 3 4]", "x=nowhere.npy"):
            self.refuse(value, (1, 2, 3))
        for value in ("x", "y=[1,2,3,4]", "=[1]", ""):
            self.refuse(value, (1, 2))
        self.weir("run", "m.weir", "--random", "1", code=2)
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, "-e", "nowhere", code=1)
        self.assert_error("forward")

    def test_ranges(self):
        for value in ("tokens=[260]", "tokens=[-1]", "tokens=[2147483648]", "tokens=[1.5]", "tokens=[true]", "tokens=[99999999999999999999]",
                      "tokens=[" + ",".join(["1"] * 65) + "]", "tokens=[]"):
            self.refuse(value, 1, "lm.weir", "tokens|T")

    def test_files(self):
        for name, descr, shape, values in (("f8.npy", "<f8", (4,), [1, 2, 3, 4]), ("rank.npy", "<f4", (2, 2), [1, 2, 3, 4]),
                                           ("short.npy", "<f4", (3,), [1, 2, 3]), ("int.npy", "<i4", (4,), [1, 2, 3, 4]),
                                           ("zero.npy", "<f4", (0,), []), ("scalar.npy", "<f4", (), [1])):
            save_npy(self.path(name), descr, shape, values)
            self.refuse(f"x={name}", (0, 1) if name == "f8.npy" else 1, pattern=r"^$|input|x")
        save_npy(self.path("ids.npy"), "<i8", (2,), [1, 2**40])
        self.refuse("tokens=ids.npy", 1, "lm.weir", "tokens")
        with open(save_npy(self.path("good.npy"), "<f4", (4,), [1, 2, 3, 4]), "rb") as file:
            good = file.read()
        for piece in truncations(good, count(20)):
            self.write("cut.npy", piece)
            self.refuse("x=cut.npy")
        for at, changed in flips(good, count(60), within=128):
            self.write("flip.npy", changed)
            self.weir("run", "m.weir", "--random", "1", "-i", "x=flip.npy", what=f".npy, byte {at}")
        for shape in ("(9223372036854775807, 9223372036854775807)", "(4611686018427387904,)", "(-4,)", "(" * 1000, "(4, " * 60 + ")" * 60):
            header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            self.write("huge.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 16)
            self.refuse("x=huge.npy")

    def test_archives(self):
        good = save_npy(self.path("x.npy"), "<f4", (4,), [1, 2, 3, 4])
        with zipfile.ZipFile(self.path("good.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(good, "x.npy")
        self.assertEqual(self.weir("run", "m.weir", "--random", "1", "-i", "good.npz"), 0)
        with open(self.path("good.npz"), "rb") as file:
            data = file.read()
        for piece in truncations(data, count(15)):
            self.write("cut.npz", piece)
            self.refuse("cut.npz", pattern="npz")
        for at, changed in flips(data, count(40)):
            self.write("flip.npz", changed)
            self.weir("run", "m.weir", "--random", "1", "-i", "flip.npz", what=f".npz, byte {at}")
        with zipfile.ZipFile(self.path("bomb.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
            header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (268435456,), }"
            header += b" " * (-(len(header) + 11) % 64) + b"\n"
            with archive.open("x.npy", "w", force_zip64=True) as member:
                member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
                for _ in range(64):
                    member.write(b"\0" * (1 << 22))
        self.refuse("bomb.npz", pattern="npz")
        self.refuse("nowhere.npz", 3, pattern="nowhere")
        with zipfile.ZipFile(self.path("other.npz"), "w") as archive:
            archive.write(good, "y.npy")
        self.refuse("other.npz", pattern="x")

    def test_outputs(self):
        os.makedirs(self.path("folder"))
        for pipe in ("pipe", "pipe.npz", "pipe.wpk"):
            os.mkfifo(self.path(pipe))
        for target, codes in (("out", 0), ("nope=o.npy", (1, 2)), ("=o.npy", (1, 2)), ("nowhere/o.npy", 3), ("folder", (1, 2, 3)),
                              (".", (1, 2, 3)), ("pipe", (1, 3)), ("pipe.npz", (1, 3)), ("/proc/o.npy", 3), ("/proc/o.npz", 3), ("", (1, 2, 3))):
            self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, "-o", target, code=codes, what=f"-o {target}")
        self.weir("build", "m.weir", "--random", "1", "--target", "cpu", "-o", "pipe.wpk", code=(1, 3))
        for pipe in ("pipe", "pipe.npz", "pipe.wpk"):
            self.assertTrue(stat.S_ISFIFO(os.stat(self.path(pipe)).st_mode), f"{pipe} was replaced by a file")


class Language(Hostile):
    """Prompts, conversations, tokenizers and templates."""

    def setUp(self):
        super().setUp()
        self.write("lm.weir", LM)
        self.write("lm.gguf", lm_gguf())

    def lm(self, command, *args, code=(0, 1), **more):
        return self.weir(command, "lm.weir", *args, "-w", "lm.gguf", code=code, **more)

    def chat(self, *args, code=(0, 1), **more):
        return self.lm("chat", *args, "-n", "3", "--temperature", "0", code=code, **more)

    def test_prompts(self):
        for prompt in ("", "\n", "a", "\u0000".join("ab").replace("\0", "\x01"), "\U0010ffff", "e\u0301" * 10, "<|im_end|>", "<|im_start|>",
                       "%s%n%x", "\x1b[2J"):
            self.chat("-p", prompt, code=0)
        self.chat("-p", "x" * 100, code=1)  # longer than the model takes
        self.assert_error("64")
        self.chat("-p", "x" * 100000, code=1)
        for raw in (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"a\x80b"):
            self.chat("-p", raw.decode("utf-8", "surrogateescape"))
            self.write("t.txt", raw)
            self.lm("tokenize", "-f", "t.txt", code=0)
            self.chat(input=raw + b"\n")

    def test_conversation_on_a_pipe(self):
        self.chat(input=b"hello\nagain\n", code=(0, 1))
        self.chat(input=b"", code=0)
        self.chat(input=b"\0\0\n", code=(0, 1))

    def test_options(self):
        for args in (("-n", "0"), ("-n", "-1"), ("-n", "99999999999999999999"), ("--temperature", "nan"), ("--temperature", "-1"), ("--top-p", "2"),
                     ("--top-k", "-1"), ("--seed", "x"), ("--min-p", "inf"), ("--repetition-penalty", "0"), ("--threads", "0"),
                     ("--threads", "100000")):
            self.weir("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", *args, code=(1, 2))
        self.weir("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2", "--device", "cuda:9", code=(1, 3))
        self.weir("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2", "--isa", "x86-64-v9", code=(1, 3))
        self.weir("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2147483647", code=0)

    def test_messages(self):
        message = {"role": "user", "content": "a"}
        for text in (b"", b"{", b"[]", b"null", b"7", b'"a"', b"[1]", b"[null]", b"[[]]", b"{}", b'{"messages":7}', b"[" * 100000,
                     b'{"a":' * 100000, b'[{"role":"user"}]', b'[{"content":"a"}]', b'[{"role":7,"content":"a"}]', b"\xff\xfe[",
                     b'[{"role":"user","content":"\xff"}]', b'[{"role":"user","content":"\\ud800"}]',
                     b'[{"role":"user","content":"a","content":"b"}]', json.dumps([message] * 2 + [{}]).encode()):
            self.write("m.json", text)
            self.chat("--messages", "m.json", code=1, what=f"messages {text[:60]}")
            self.assert_error("m.json|message")
        self.write("m.json", json.dumps([dict(message, role="r" * 2000)]))
        self.chat("--messages", "m.json", code=1)
        self.write("m.json", json.dumps([message] * 100000))
        self.chat("--messages", "m.json", code=1)
        self.chat("--messages", "nowhere.json", code=3)
        self.chat("--messages", ".", code=(1, 3))

    def test_decode(self):
        for ids in ("", "[", "[260]", "[-1]", "[1.5]", '["a"]', "{}", "[99999999999999999999]", "[" * 100000, "7", "null"):
            self.lm("tokenize", "--decode", ids, code=1, what=f"decode {ids[:40]}")
        self.lm("tokenize", "--decode", "[]", code=0)
        self.lm("tokenize", "--decode", "[195]", code=0)

    def test_templates(self):
        for template in ("{% for", "{{ x", "{% if %}", "{% endfor %}", "{{ " + "(" * 10000 + " }}", "{% if true %}" * 10000,
                         "{% for i in range(1000000000) %}{% for j in range(1000000000) %}a{% endfor %}{% endfor %}",
                         "{% set ns = namespace(s='a') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
                         "{{ 'a' * 1000000000000 }}", "{{ [0] * 1000000000000 }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ 9223372036854775807 + 1 }}",
                         "{{ raise_exception('no \x1b[31m') }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ nothing.there.at.all }}",
                         "{{ messages[99]['content'] }}", "{{ messages | nofilter }}", "{% include '/etc/passwd' %}", "{{ ''.__class__ }}",
                         "{{ messages[0].__class__.__mro__ }}", "{{ 2 ** 100000 }}", "{{ '%s' % 1 }}", "{{ " + "-" * 100000 + "1 }}",
                         "{{ 1" + " + 1" * 100000 + " }}", "{{ 'a' | replace('', 'aaaa') | replace('', 'aaaa') }}", "{#", "{{ '\\", "{%- -%}",
                         "{{ messages | join(messages | tojson * 100000) }}", "{{ messages | tojson(indent=2147483647) }}"):
            self.write("lm.gguf", lm_gguf(template))
            self.chat("-p", "a", what=f"template {template[:60]!r}")
        for bad in (b"\xff\xfe", b"{{ '\xff' }}", b"\0", b""):
            self.write("lm.gguf", lm_gguf(bad))
            self.chat("-p", "a", what=f"template {bad!r}")

    def test_mutated_templates(self):
        for _, changed in flips(TEMPLATE.encode(), count(30)):
            self.write("lm.gguf", lm_gguf(changed))
            self.chat("-p", "a", what=f"template {changed!r}")

    def test_tokenizers(self):
        for changed in ({"tokens": None}, {"tokens": ["a"]}, {"tokens": ["a"] * 260}, {"tokens": [""] * 260}, {"tokens": ["a" * 100000] * 260},
                        {"tokens": [b"\xff"] * 260}, {"token_type": [99] * 260}, {"token_type": [1]}, {"merges": ["h"]}, {"merges": ["no such"]},
                        {"merges": ["h e"] * 1000}, {"merges": [""]}, {"merges": None}, {"eos_token_id": 4000000000}, {"eos_token_id": None},
                        {"model": "nope"}, {"model": None}, {"pre": "nope"}, {"tokens": 7}, {"merges": "x"}):
            self.write("lm.gguf", lm_gguf(**changed))
            self.chat("-p", "hello", what=f"tokenizer {str(changed)[:60]}")
            self.lm("tokenize", "hello", what=f"tokenizer {str(changed)[:60]}")

    def test_mutated_tokenizer_files(self):
        data = lm_gguf()
        head = data.index(b"general.architecture")
        for at, changed in flips(data, count(60), within=head):
            self.write("lm.gguf", changed)
            self.lm("tokenize", "hello", what=f"tokenizer keys, byte {at}")


if __name__ == "__main__":
    common.main()
