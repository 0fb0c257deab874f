"""What the tests with hostile input and faults share: running the command under limits, a small language model with its checkpoint.

Whatever the input, a run ends by itself, in time, in bounded memory, with one of the exit codes of the contract, and says what is wrong
when it is not 0. Code 70 and death by a signal are defects always. $WEIR_HOSTILE_INPUTS scales the number of mutated inputs (default 1.0).
"""
import os
import random
import resource
import signal
import struct
import subprocess

import common
from common import Case, WEIR

SCALE = float(os.environ.get("WEIR_HOSTILE_INPUTS", "1"))
TIMEOUT = 120


def _sanitized():
    with open(WEIR, "rb") as file:
        return b"__asan_init" in file.read()


SANITIZED = _sanitized()
MEMORY = (4 if SANITIZED else 1) << 30  # resident bytes of one process
ADDRESSES = None if SANITIZED else 8 << 30


def count(number):
    return max(4, int(number * SCALE))


def limits(file_bytes=None):
    """Called in the child before the program starts."""
    def set_limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if ADDRESSES:
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    return set_limits


class Hostile(Case):
    """A case whose runs are checked for the rules above."""

    shared_home = True
    peak = 0

    def check_end(self, code, err, what, codes):
        """|codes|: an int or a tuple of what is allowed."""
        codes = codes if isinstance(codes, tuple) else (codes,)
        said = f"{what}\nexit code {code}, wanted {codes}\n{err[-3000:]}"
        self.assertGreaterEqual(code, 0, said)
        self.assertLess(code, 128 if 130 not in codes else 131, said)
        self.assertIn(code, codes, said)
        self.assertNotRegex(err, r"runtime error:|AddressSanitizer|LeakSanitizer|ThreadSanitizer|mistake in Weir", said)
        if code not in (0, 130):
            self.assertTrue(err.strip(), said)
            self.assertRegex(err, r"error|weir", said)
            self.assertNotIn("out of memory", err, said)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # the largest of all children so far
        if peak > Hostile.peak:
            Hostile.peak = peak
            self.assertLess(peak, MEMORY, f"{what}: {peak} bytes resident")

    def weir(self, *args, code=(0, 1), input=b"", file_bytes=None, stdout=subprocess.PIPE, env=None, what=None):
        """Runs weir; returns its exit code. Its outputs are in self.out and self.errors."""
        what = what or f"weir {' '.join(args)[:300]}"
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        try:
            done = subprocess.run([WEIR, *args], stdout=stdout, stderr=subprocess.PIPE, cwd=self.folder, timeout=TIMEOUT,
                                  env=env or common.environment(self.home), preexec_fn=limits(file_bytes), **given)
        except subprocess.TimeoutExpired:
            self.fail(f"{what}: no end after {TIMEOUT} s")
        self.out = (done.stdout or b"").decode(errors="replace")
        self.errors = done.stderr.decode(errors="replace")
        self.check_end(done.returncode, self.errors, what, code)
        return done.returncode

    def start(self, *args, **more):
        return subprocess.Popen([WEIR, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                cwd=self.folder, env=common.environment(self.home), preexec_fn=limits(), **more)

    def finish(self, process, what, code):
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            self.fail(f"{what}: no end after {TIMEOUT} s")
        self.out, self.errors = out.decode(errors="replace"), err.decode(errors="replace")
        self.check_end(process.returncode, self.errors, what, code)
        return process.returncode

    def assert_error(self, pattern):
        self.assertRegex(self.errors, pattern)

    def assert_place(self):
        """The error has a file, a line and a column."""
        self.assertRegex(self.errors, r"[^\s:]+:\d+:\d+: error\[W\d{4}\]: ")

    def assert_clean(self):
        """Nothing half-written is left in the cache or the folder."""
        for folder, folders, files in os.walk(self.home):
            for name in files:
                self.assertNotRegex(name, r"\.tmp-|^packing-|^refused-", os.path.join(folder, name))
            for name in folders:
                self.assertNotRegex(name, r"^build-", os.path.join(folder, name))
        for name in os.listdir(self.folder):
            self.assertNotIn(".tmp-", name)


# ---- mutations

def truncations(data, number, seed=1):
    """Prefixes of |data|: the short ones, then lengths drawn over the whole."""
    lengths = {0, 1, 4, 7, 8, 12, 16, 23, 24, len(data) // 2, len(data) - 1}
    draw = random.Random(seed)
    while len(lengths) < min(number, len(data)):
        lengths.add(draw.randrange(len(data)))
    return [data[:n] for n in sorted(lengths) if 0 <= n < len(data)][:max(number, 11)]


def flips(data, number, seed=2, within=None):
    """(place, data with one bit turned or one byte or number replaced), each another place of the first |within| bytes."""
    draw = random.Random(seed)
    end = within or len(data)
    numbers = [0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x100000000]
    for _ in range(number):
        at = draw.randrange(end)
        changed = bytearray(data)
        kind = draw.randrange(4)
        if kind == 0:
            changed[at] = draw.randrange(256)
        elif kind == 1 and at + 8 <= end:
            changed[at:at + 8] = struct.pack("<Q", draw.choice(numbers))
        else:
            changed[at] ^= 1 << draw.randrange(8)
        yield at, bytes(changed)


# ---- a small language model with a tokenizer and a chat template

LM = """use std.decoder;

dim T: seq;

model Mini {layers = 1, D = 16, F = 16, heads = 2, kv_heads = 1, V = 260, theta = 1e4, eps = 1e-5} {
  dim T: seq in 1..=64;
  model: Decoder{layers, D, F, heads, kv_heads, V, theta, eps};
  step next(tokens: i32[T] in 0..V) -> f32[V] { return model.embed_tokens.logits(last(model(tokens))); }
}
"""

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"


def byte_letters():
    """The letters that byte-level vocabularies write for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


def lm_tensors():
    D, F, H, V = 16, 16, 8, 260
    sizes = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
    layer = {"input_layernorm.weight": (D,), "post_attention_layernorm.weight": (D,), "self_attn.q_proj.weight": (D, D),
             "self_attn.k_proj.weight": (H, D), "self_attn.v_proj.weight": (H, D), "self_attn.o_proj.weight": (D, D),
             "mlp.gate_proj.weight": (F, D), "mlp.up_proj.weight": (F, D), "mlp.down_proj.weight": (D, F)}
    sizes.update({f"model.layers.0.{name}": shape for name, shape in layer.items()})
    draw, out = random.Random(7), {}
    for name, shape in sizes.items():
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        out[name] = (shape, [draw.uniform(-1, 1) for _ in range(elements)])
    return out


def lm_gguf(template=TEMPLATE, **changed):
    """A GGUF file of that model. |changed|: other values of its tokenizer keys, None to leave one out."""
    def text(value):
        raw = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(raw)) + raw

    def value_of(value):
        if isinstance(value, bool):
            return struct.pack("<IB", 7, value)
        if isinstance(value, int):
            return struct.pack("<II", 4, value)
        if isinstance(value, (str, bytes)):
            return struct.pack("<I", 8) + text(value)
        if value and isinstance(value[0], int):
            return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(item) for item in value)

    keys = {"model": "gpt2", "pre": "smollm", "tokens": [*byte_letters(), "<|im_start|>", "<|im_end|>", "he", "ll"],
            "token_type": [1] * 256 + [3, 3, 1, 1], "merges": ["h e", "l l"], "eos_token_id": 257}
    keys.update(changed)
    fields = {f"tokenizer.ggml.{key}": value for key, value in keys.items() if value is not None}
    fields["tokenizer.chat_template"] = template
    fields["general.architecture"] = "mini"
    tensors = lm_tensors()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(text(key) + value_of(value) for key, value in fields.items())
    data = b""
    for name, (shape, values) in tensors.items():
        data += b"\0" * (-len(data) % 32)
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
    return head + b"\0" * (-len(head) % 32) + data


def kill_group(process, number=signal.SIGKILL):
    """The process and the compilers it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
