"""Measuring: shares of the machine's limits, where time goes and why, timelines, and the command that compares with other engines.

No peer is needed: what compares skips with a reason where it has none. Nothing here depends on how fast the machine is.
"""
import glob
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import time

import common
from common import Case, ROOT, WEIR

BENCH = os.path.join(ROOT, "tests", "bench")
ENCODER = """use std.nn;

model Encoder {D = 64, F = 256} {
  dim T: seq in 1..=512;
  up: Linear{D, F};
  down: Linear{F, D};
  entry run(x: f32[T, D]) -> f32[T, D] { return f32(down(relu(up(f(x))))); }
}
"""
DECODER = """use std.nn;
use std.decoder;

dim T: seq;

model Small {layers = 2, D = 64, F = 128, V = 256} {
  dim T: seq in 1..=512;
  model: Decoder{layers, D, F, 2, 1, V, 1e4, 1e-5};
  step next(tokens: i32[T] in 0..V) -> f32[V] { return model.embed_tokens.logits(last(model(tokens))); }
}
"""
RANDOM = ["--random", "1"]


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.path.insert(0, BENCH)
    try:
        loader.exec_module(module)
    finally:
        sys.path.remove(BENCH)
    return module


class Measured(Case):
    shared_home = True

    def setUp(self):
        super().setUp()
        self.write("encoder.weir", ENCODER)
        self.write("decoder.weir", DECODER)

    def test_shares_of_the_roof(self):
        got = self.json("bench", "decoder.weir", *RANDOM, "--prompt", "16", "--gen", "4", "--repeat", "2")
        for key in ("read_bytes_per_s", "flops_per_s"):
            self.assertGreater(got["roof"][key], 1e8)
        for key in ("bf16_ops_per_s", "int8_ops_per_s"):  # 0 where the machine lacks the instruction
            self.assertGreaterEqual(got["roof"][key], 0)
        for key in ("prefill_roof", "decode_roof"):
            share = got[key]
            self.assertEqual(share["binds"], "memory" if share["memory_percent"] >= share["compute_percent"] else "compute")
        # The arithmetic is the model's: two operations for each number of a matrix and each row, and some for all the rest.
        matrices = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128) + 64 * 256
        decode = got["decode_roof"]
        self.assertGreater(decode["flops"], 2 * matrices)
        self.assertLess(decode["flops"], 2.5 * matrices)
        self.assertGreater(decode["bytes"], 4 * matrices)
        self.assertLess(decode["bytes"], 4 * 1.5 * matrices)
        self.assertTrue(got["energy"]["source"] or got["energy"]["why"])

    def test_decoding_of_blocks_is_no_arithmetic_of_the_model(self):
        plans = "plan full for Encoder { store **: f32; }\nplan small for Encoder { store **: q8_0; }\n"
        self.write("stored.weir", ENCODER + "\n" + plans)
        full, small = (self.json("bench", "stored.weir", *RANDOM, "--plan", plan, "--prompt", "4", "--repeat", "1")["roof_share"]
                       for plan in ("full", "small"))
        self.assertEqual(full["decode_flops"], 0)
        self.assertGreater(small["decode_flops"], 0)
        self.assertAlmostEqual(small["flops"] / full["flops"], 1, delta=0.1)
        self.assertLess(small["bytes"], full["bytes"])

    def test_requests_of_different_lengths(self):
        path = self.write("lengths", "4 17\n256,1")
        got = self.json("bench", "encoder.weir", *RANDOM, "--lengths", path, "--repeat", "2")
        self.assertEqual(got["batch"], 4)
        self.assertGreater(got["requests_per_s"]["median"], 0)
        self.run_weir("bench", "encoder.weir", *RANDOM, "--lengths", self.write("none", "x"), code=1)
        self.run_weir("bench", "decoder.weir", *RANDOM, "--lengths", path, code=2)

    def test_where_time_goes(self):
        got = self.json("explain", "decoder.weir", *RANDOM, "-e", "next", "--size", "T=1", "--past", "40", "--perf")
        self.assertNotIn("fusion", got)
        kernels = got["entries"][0]["kernels"]
        ran = [k for k in kernels if k["launches"]]
        self.assertTrue(ran)
        for k in ran:
            self.assertGreater(k["measured_s"], 0)
            self.assertTrue(k["why"])
            self.assertAlmostEqual(k["roof_percent"], max(k["memory_percent"], k["compute_percent"]))
            self.assertLessEqual(k["overhead_s"] + k["imbalance_s"], k["measured_s"] * 1.001 + 1e-6)
        self.assertAlmostEqual(sum(k["measured_s"] for k in kernels if "measured_s" in k), got["entries"][0]["measured_s"])
        text = self.run_weir("explain", "decoder.weir", *RANDOM, "-e", "next", "--size", "T=1", "--perf")
        self.assertIn("why", text)


class Ladder(Case):
    """bench kernels: each schedule of a template, on the simulator, where nothing is a rate."""
    shared_home = True

    def rungs(self, *args):
        return self.json("bench", "kernels", *args, "--repeat", "1")

    def test_a_product_on_a_device(self):
        got = self.rungs("linear-f32", "--shape", "20x48x64", "--device", "sim")
        self.assertTrue(got["roof"]["simulated"])
        for key in ("read_bytes_per_s", "copy_bytes_per_s", "flops_per_s", "bf16_ops_per_s", "fp8_ops_per_s", "int8_ops_per_s"):
            self.assertGreater(got["roof"][key], 0, key)
        self.assertEqual([r["rung"] for r in got["rungs"]], ["item kernel", "plain", "tiled", "pipelined"])
        for r in got["rungs"]:
            self.assertEqual((r["operations"], r["bytes"]), (2 * 20 * 48 * 64, 4 * (48 * 64 + 20 * (48 + 64))))
            self.assertNotIn("problem", r)
            self.assertNotIn("seconds", r)  # the simulator's time is nobody's
        self.assertEqual(len({r["kernels"] for r in got["rungs"]}), 4)

    def test_matrix_units_and_attention_on_a_device(self):
        got = self.rungs("linear-bf16-bf16", "--shape", "3x32x64", "--device", "sim")["rungs"]
        self.assertEqual([r["rung"] for r in got], ["item kernel", "blocks", "of the chip"])
        self.assertIn("wgmma", got[2]["kernels"])
        got = self.rungs("attend", "--shape", "9x9x16", "--device", "sim")["rungs"]
        self.assertEqual([r["rung"] for r in got][:2], ["item kernel", "blocks"])

    def test_a_product_on_the_processor(self):
        got = self.rungs("linear-q4_1-int8", "--shape", "1x64x64", "--threads", "1")
        self.assertEqual(got["rungs"][0]["rung"], "default")
        self.assertGreater(got["rungs"][0]["seconds"], 0)
        self.assertTrue(all(r["beside"] and r["gain"] > 0 for r in got["rungs"][1:]))
        self.run_weir("bench", "kernels", "sideways", code=2)
        self.run_weir("bench", "kernels", "matmul", "--shape", "1x2", code=2)


def matches(value, schema):
    """The part of JSON Schema that our schema uses."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    if "anyOf" in schema and not any(matches(value, s) for s in schema["anyOf"]):
        return False
    if "type" in schema and (not isinstance(value, kinds[schema["type"]]) or isinstance(value, bool)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "minimum" in schema and value < schema["minimum"]:
        return False
    if isinstance(value, list):
        return all(matches(v, schema.get("items", {})) for v in value)
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    return all(key in value for key in schema.get("required", ())) and \
        all(matches(value[key], known[key]) if key in known else schema.get("additionalProperties", True) for key in value)


class Trace(Case):
    shared_home = True

    def trace(self, *args):
        self.write("decoder.weir", DECODER)
        self.told = self.json("trace", "decoder.weir", *RANDOM, "-o", "trace.json", *args)
        with open(self.path("trace.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_timeline(self):
        trace = self.trace("--size", "T=16", "--gen", "3", "--threads", "2")
        with open(os.path.join(ROOT, "tests", "data", "bench", "trace.schema.json"), encoding="utf-8") as file:
            schema = json.load(file)
        self.assertTrue(matches(trace, schema))
        events = trace["traceEvents"]
        names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        self.assertEqual(names, {0: "calls", 1: "thread 0", 2: "thread 1"})
        calls = [e for e in events if e.get("cat") == "call"]
        self.assertEqual([c["args"]["rows"] for c in calls], [16, 1, 1, 1])
        launches = [e for e in events if e.get("cat") == "launch"]
        self.assertTrue(all(e["name"].startswith("k_") and e["args"]["items"] > 0 for e in launches))
        self.assertTrue(any(e["args"]["note"] for e in launches))
        for tid in names:
            self.check_track(sorted((e for e in events if e["ph"] == "X" and e["tid"] == tid), key=lambda e: e["ts"]), calls)
        self.assertEqual(len(launches), self.told["events"])

    def check_track(self, events, calls):
        """One thing at a time, and inside of calls."""
        for before, after in zip(events, events[1:]):
            self.assertLessEqual(before["ts"] + before["dur"], after["ts"] + 1e-3)
        for e in events:
            self.assertTrue(any(c["ts"] <= e["ts"] + 1e-3 and e["ts"] + e["dur"] <= c["ts"] + c["dur"] + 1e-3 for c in calls), e)

    def test_room_is_bounded(self):
        trace = self.trace("--size", "T=4", "--events", "3", "--threads", "1")
        self.assertEqual(sum(e.get("cat") == "launch" for e in trace["traceEvents"]), 3)
        self.assertGreater(trace["otherData"]["lost"], 0)

    def test_wrong_usage(self):
        self.write("encoder.weir", ENCODER)
        self.run_weir("trace", "encoder.weir", *RANDOM, code=2)
        self.run_weir("trace", "encoder.weir", *RANDOM, "-o", "t.json", "--gen", "2", code=2)
        self.run_weir("trace", "encoder.weir", *RANDOM, "-o", "t.json", "--size", "Q=2", code=2)
        self.run_weir("trace", "encoder.weir", *RANDOM, "-o", "t.json", "--size", "T=9999", code=2)
        self.run_weir("trace", "encoder.weir", *RANDOM, "-o", self.path("no/such/folder.json"), code=3)
        self.assert_no_leftovers()


class Comparison(Case):
    """tests/bench: rounds, rows, history."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench = load("bench_common", os.path.join(BENCH, "common.py"))
        cls.runner = load("bench_run", os.path.join(BENCH, "run"))

    def test_rounds_adapt(self):
        calls = []
        steady = self.bench.interleave({"a": lambda: calls.append("a") or 100.0, "b": lambda: calls.append("b") or {"x": 5.0}}, 3, 5)
        self.assertEqual((len(steady["a"]), steady["b"]["x"], len(calls)), (3, [5.0] * 3, 6))
        values = iter(range(1, 1000))
        noisy = self.bench.interleave({"a": lambda: next(values) % 7 * 10.0 + 1}, 3, 5)
        self.assertEqual(len(noisy["a"]), 3 * self.bench.MOST)
        slow = self.bench.interleave({"a": lambda: time.sleep(0.2) or 1.0}, 5, 0.01)
        self.assertEqual(len(slow["a"]), 1)

    def document(self, median, unit="tokens/s"):
        side = {"median": median, "min": median * 0.99, "max": median * 1.01, "count": 3}
        peer = {**side, "ratio": 1.0, "target": 2, "settings": "as it comes"}
        rows = [{"case": "case", "threads": 1, "unit": unit, "lower_is_better": unit == "s", "weir": side, "peers": {"p": peer}, "ratio": 1.0,
                 "roof": {"kind": "memory", "percent": 50.0, "target": 80}, "most": 200.0}]
        rows[0]["goals"] = self.bench.goals_of(rows[0])
        return {"suite": "s", "versions": {"p": "1"}, "skipped": [{"case": "c", "reason": "r"}], "rows": rows}

    def record(self, commit, median, key="m", unit="tokens/s"):
        return {"commit": commit, "machine": {"key": key}, "values": self.runner.values_of([self.document(median, unit)])}

    def test_table(self):
        text = self.bench.markdown(self.document(100))
        for part in ("## s", "p 1.", "100.0 (99.0..101.0) tokens/s", "50 % of memory", "p (as it comes)", "2: missed", "80 % of memory: missed", "Not measured: c: r"):
            self.assertIn(part, text)

    def test_goals(self):
        self.assertEqual([(g["value"], g["met"]) for g in self.document(100)["rows"][0]["goals"]],
                         [("1.00x", False), ("50 %", False), ("100.0 tokens/s", True)])
        text = self.bench.goals_markdown([self.document(100)])
        for part in ("| s | case | 1 | 1.00x | 2x p | missed |", "goals: 1 met, 2 missed; 1 cases not measured", "- s: case, 1 threads: 50 % of 80 % of memory",
                     "- not measured: s: c: r"):
            self.assertIn(part, text)

    def test_a_slower_commit_is_reported(self):
        before = [self.record("a", 100), self.record("b", 80, key="other")]
        self.assertEqual(self.runner.regressions(self.record("c", 95), before), [])
        slower = self.runner.regressions(self.record("c", 85), before)
        self.assertEqual([(s["commit"], round(s["slower_percent"]), s["beyond_spread"]) for s in slower], [("a", 15, True)])
        self.assertEqual(self.runner.regressions(self.record("a", 85), before), [])
        self.assertEqual(len(self.runner.regressions(self.record("c", 2.4, unit="s"), [self.record("a", 2.0, unit="s")])), 1)
        self.assertEqual(self.runner.regressions(self.record("c", 1.0, unit="s"), [self.record("a", 2.0, unit="s")]), [])

    def test_without_peers(self):
        env = {**common.environment(self.home), "WEIR": WEIR}
        history = self.path("history.jsonl")
        done = subprocess.run([sys.executable, os.path.join(BENCH, "run"), "--no-peers", "--quick", "--only", "llama", "--case", "no such case",
                               "--out", self.path("out"), "--history", history], capture_output=True, text=True, env=env, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("## llama", done.stdout)
        with open(self.path("out/results.json"), encoding="utf-8") as file:
            results = json.load(file)
        self.assertEqual(results["suites"][0]["suite"], "llama")
        self.assertNotIn(os.uname().nodename, json.dumps(results["machine"]))
        unknown = subprocess.run([sys.executable, os.path.join(BENCH, "run"), "--only", "nothing"], capture_output=True, text=True, env=env)
        self.assertEqual(unknown.returncode, 2)

    def test_every_suite_takes_the_same_options(self):
        for path in glob.glob(os.path.join(BENCH, "compare_*.py")):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("common.arguments(__doc__)", text, path)
            self.assertIn("report.finish()", text, path)


if __name__ == "__main__":
    common.main()
