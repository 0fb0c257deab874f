#!/usr/bin/env python3
"""A model of many lines for timing the front end: blocks of attention, gated units, convolutions over rows and index notation, with
comments, each used by the model.

large_model.py --lines 10000 > large.weir        the text alone
large_model.py --weir build/weir --rounds 9      time and memory of `weir check` on it: median (least..most)
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HEAD = """// {lines} lines of blocks that do what layers do, for timing the front end.
use std.nn;
use std.attention;
use std.decoder;

dim T: seq;
"""

KINDS = ["""
/// Layer {n}: attention and a gated unit, each behind a norm.
block Layer{n} {{D: int, heads: int, F: int}} (x: f[T, D]) -> f[T, D] where D % heads == 0 {{
  norm1, norm2: RMSNorm{{D}};  // each has a weight
  q, k, v, o: Linear{{D, D}};
  gate, up: Linear{{D, F}};
  down: Linear{{F, D}};
  let size = D / heads;
  h = norm1(x);
  // The heads stand side by side.
  a = attend(q(h) as [T, heads, size], k(h) as [T, heads, size], v(h) as [T, heads, size], causal = true);
  y = x + o(a as [T, D]);
  h = norm2(y);
  return y + down(silu(gate(h)) * up(h));
}}
""", """
/// Layer {n}: a normalisation and a product, written out element by element.
block Layer{n} {{D: int, heads: int, F: int}} (x: f[T, D]) -> f[T, D] {{
  param weight: f[F, D] = normal(0.02);
  param back: f[D, F] = normal(0.02);
  param scale: f[D] = 1;
  let eps = 1e-5;
  m[t] = sum(d: x[t, d] * x[t, d]) / D;
  n[t, d] = x[t, d] * rsqrt(m[t] + eps) * scale[d];
  // Out to F numbers and back.
  h[t, e] = sum(d: n[t, d] * weight[e, d]);
  g[t, e] = max(h[t, e], 0) * h[t, e];
  y[t, d] = sum(e: g[t, e] * back[d, e]);
  return x + y;
}}
""", """
/// Layer {n}: shares of the halves of a row.
block Layer{n} {{D: int, heads: int, F: int}} (x: f[T, D]) -> f[T, D] where D % 2 == 0 {{
  inner: Linear{{D, 2 * F, bias = true}};
  outer: Linear{{F, D, bias = true}};
  norm: LayerNorm{{D}};
  let half = D / 2;
  h = inner(norm(x));
  a = h[..., 0..F];
  b = h[..., F..2 * F];
  s = sigmoid(a) * tanh(b);  // a gate and what it lets through
  z[t, i] = x[t, i] * {a} + x[t, (i + half) % D] * {b};
  return z + outer(s);
}}
"""]


def text(lines):
    """A model of about |lines| lines."""
    parts, count, used = [HEAD.format(lines=lines)], HEAD.count("\n"), 0
    while count < lines:
        part = KINDS[used % len(KINDS)].format(n=used, a=round(0.5 + used / 4096, 4), b=round(0.25 - used / 8192, 4))
        parts.append(part)
        used += 1
        count += part.count("\n") + 2  # and its two lines in the model
    layers = "".join(f"  layer{n}: Layer{n}{{D, heads, F}};\n" for n in range(used))
    calls = "".join(f"    x = layer{n}(x);\n" for n in range(used))
    parts.append(f"""
model Large {{D = 64, heads = 4, F = 96, V = 256}} {{
  dim T: seq in 1..=1024;
  embed: Embedding{{V, D}};
{layers}  entry score(tokens: i32[T] in 0..V) -> f32[T, D] {{
    x = embed(tokens);
{calls}    return f32(x);
  }}
}}
""")
    return "".join(parts)


def measure(weir, path, rounds):
    times, most = [], 0
    for _ in range(rounds):
        start = time.perf_counter()
        done = subprocess.run([weir, "check", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        times.append(time.perf_counter() - start)
        if done.returncode:
            sys.exit(done.stdout[:4000])
        most = max(most, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return times, most


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10000)
    parser.add_argument("--weir", help="the program to time; without it the text is printed")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    model = text(args.lines)
    if not args.weir:
        sys.stdout.write(model)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.weir")
        with open(path, "w", encoding="utf-8") as file:
            file.write(model)
        times, most = measure(args.weir, path, args.rounds)
    count = model.count("\n")
    print(f"{count} lines, {len(model)} bytes: {statistics.median(times):.3f} s ({min(times):.3f}..{max(times):.3f}), {most / 1024:.0f} MB")


if __name__ == "__main__":
    main()
