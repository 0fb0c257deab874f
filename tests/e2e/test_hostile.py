"""Hostile input: model texts, checkpoints, tensors and conversations that are cut, flipped, deep or huge end in an error, quickly."""
import json
import os
import random
import struct
import time
import unittest

import common
from common import Case

# 1: the input is wrong. 0 is fine where damage hits bytes that mean nothing (a comment, a weight).
REFUSED = 1


class ModelTexts(Case):
    def refuse(self, text, *commands, name="bad.weir"):
        self.write(name, text)
        for command in commands or (["check", name], ["fmt", "--check", name]):
            start = time.monotonic()
            self.run_weir(*command, code=REFUSED)
            self.assertLess(time.monotonic() - start, 20, command)
            self.assertLess(len(self.errors), 200000, command)

    def test_deep_nesting(self):
        self.refuse("model M {} " + "{" * 10000)
        self.refuse("model M {} { entry e(x: f32[2]) -> f32[2] { " + "if true { " * 10000 + "} }")
        self.refuse("let x = " + "(" * 100000 + "1" + ")" * 100000 + ";")
        self.refuse("let x = " + "[" * 10000 + "]" * 10000 + ";")
        self.refuse("let x = " + "-" * 100000 + "1;")
        self.refuse("let x = 1" + " + 1" * 100000 + ";")

    def test_cyclic_use(self):
        self.write("a.weir", 'use "b.weir";\nblock A {} (x: f[4]) -> f[4] { inner: B{}; return inner(x); }\n')
        self.refuse('use "a.weir";\nblock B {} (x: f[4]) -> f[4] { inner: A{}; return inner(x); }\nmodel M {} {\n  b: B{};\n'
                    "  entry e(x: f32[4]) -> f32[4] { return f32(b(f(x))); }\n}\n", ["check", "b.weir"], name="b.weir")
        self.write("self.weir", 'use "self.weir";\nlet x = 1;\n')
        self.run_weir("check", "self.weir")

    def test_overflowing_dims(self):
        big = 9223372036854775807
        for size in (f"{big}", f"{big} + 1", "4294967296 * 4294967296", "-1", "0 - 5"):
            self.refuse(f"use std.nn;\nmodel M {{D = 4}} {{\n  let H = {size};\n  l: Linear{{D, H}};\n"
                        "  entry e(x: f32[D]) -> f32[H] { return f32(l(f(x))); }\n}\n",
                        ["run", "bad.weir", "--random", "1", "-i", "x=[1,2,3,4]"])
        self.refuse(f"let x = {big}0;\n")
        self.write("mlp.weir", common.MLP)
        self.run_weir("run", "mlp.weir", "--random", "1", "--set", f"H={big}", "-i", "x=[1,2,3,4]", code=1)
        self.run_weir("run", "mlp.weir", "--random", "1", "--set", "H=1000000000000", "-i", "x=[1,2,3,4]", code=(1, 3))

    def test_endless_elaboration(self):
        self.refuse("fn down(n: int) -> int { return down(n + 1); }\nlet x = down(0);\nmodel M {} { entry e(x: f32[4]) -> f32[4] { return x; } }\n",
                    ["check", "bad.weir"])
        self.refuse("model M {} {\n  entry e(x: f32[4]) -> f32[4] {\n    y = x;\n    for i in 0..1000000000 { y = y + x; }\n    return y;\n  }\n}\n",
                    ["check", "bad.weir"])

    def test_bytes_that_are_no_text(self):
        rng = random.Random(3)
        self.refuse(bytes(rng.randrange(256) for _ in range(5000)))
        self.refuse(b"model M {} { // \xff\xfe\n}")
        self.refuse(b"model M {}\0 { }")
        self.run_weir("check", common.MODELS, code=(1, 3))

    def test_cut_and_flipped_texts(self):
        with open(os.path.join(common.MODELS, "smollm2.weir"), "rb") as file:
            good = file.read()
        rng = random.Random(4)
        for _ in range(60):
            at = rng.randrange(len(good))
            text = good[:at] if rng.random() < 0.5 else good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:]
            self.write("bad.weir", text)
            self.run_weir("check", "bad.weir", code=(0, 1))
            self.run_weir("fmt", "--check", "bad.weir", code=(0, 1))


class Checkpoints(Case):
    def setUp(self):
        super().setUp()
        self.write("mlp.weir", common.MLP)
        self.tensors = common.mlp_tensors()

    def run_with(self, name, code):
        self.run_weir("run", "mlp.weir", "-w", name, "-i", "x=[1,2,3,4]", code=code)

    def test_cut_files(self):
        for name, good in (("w.gguf", common.gguf(self.tensors)), ("w.safetensors", common.safetensors(self.tensors))):
            for size in sorted({0, 1, 4, 8, 23, 24, 40, len(good) // 3, len(good) // 2, len(good) - 4, len(good) - 1}):
                self.write(name, good[:size])
                self.run_with(name, 1)

    def test_flipped_bits(self):
        rng = random.Random(6)
        for name, good in (("w.gguf", common.gguf(self.tensors)), ("w.safetensors", common.safetensors(self.tensors))):
            for _ in range(40):
                at = rng.randrange(min(len(good), 420))
                self.write(name, good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:])
                self.run_with(name, (0, 1))

    def test_huge_counts(self):
        huge = 0xFFFFFFFFFFFFFFFF
        for data in (b"GGUF" + struct.pack("<IQQ", 3, huge, 0), b"GGUF" + struct.pack("<IQQ", 3, 0, huge),
                     b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, huge), b"GGUF" + struct.pack("<IQQ", 99, 0, 0)):
            self.write("w.gguf", data)
            self.run_with("w.gguf", 1)
        for data in (struct.pack("<Q", huge), struct.pack("<Q", 4) + b"null", struct.pack("<Q", 100000) + b"[" * 100000,
                     struct.pack("<Q", 2) + b"{}"):
            self.write("w.safetensors", data)
            self.run_with("w.safetensors", 1)

    def test_not_a_checkpoint(self):
        self.write("w.bin", b"hello")
        self.run_with("w.bin", 1)
        self.run_with("nowhere.gguf", 3)
        self.write("w.gguf", common.gguf(self.tensors))
        self.run_weir("run", "w.gguf", "-i", "x=[1]", code=1)


class RealCheckpoint(Case):
    zoo = ("smollm2",)

    def test_cut_and_flipped(self):
        source = os.path.join(self.home, "models", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
        with open(source, "rb") as file:
            head = file.read(4 << 20)
        rng = random.Random(7)
        for size in (3, 100, 5000, 1 << 20, 4 << 20):
            self.write("w.gguf", head[:size])
            self.run_weir("chat", "smollm2", "-w", "w.gguf", "-p", "Hi", code=1)
            self.run_weir("tokenize", "smollm2", "-w", "w.gguf", "Hi", code=1)
        size = os.path.getsize(source)
        for at in [4, 8, 16] + [rng.randrange(3 << 20) for _ in range(12)]:
            flipped = head[:at] + bytes([head[at] ^ 1 << rng.randrange(8)]) + head[at + 1:]
            path = self.write("w.gguf", flipped)
            os.truncate(path, size)  # the rest reads as zeros
            self.run_weir("tokenize", "smollm2", "-w", "w.gguf", "Hi there", code=(0, 1))


class Requests(Case):
    zoo = ("smollm2",)
    shared_home = True

    def test_conversations(self):
        for text in ("", "[]", "{}", "null", "[1]", '[{"role":"user"}]', '[{"content":"x"}]', '[{"role":1,"content":"x"}]',
                     '{"messages":[]}', '[{"role":"user","content":"x"', "[" * 100000):
            self.write("m.json", text)
            self.run_weir("chat", "smollm2", "--messages", "m.json", "-n", "1", code=1)

    def test_ids(self):
        for text in ("", "[", "[-1]", "[1.5]", '["a"]', "[99999999]", "[9999999999999999999]", "{}", "5"):
            self.run_weir("tokenize", "smollm2", "--decode", text, code=1)
        for tokens in ("[-1]", "[49152]", "[]", "[[1]]", "[1.5]"):
            self.run_weir("run", "smollm2", "-e", "score", "-i", f"tokens={tokens}", code=1)

    def test_a_prompt_that_is_too_long(self):
        self.write("m.json", json.dumps([{"role": "user", "content": "word " * 20000}]))
        self.run_weir("chat", "smollm2", "--messages", "m.json", "-n", "1", code=1)
        self.assertIn("8192", self.errors)


if __name__ == "__main__":
    common.main()
