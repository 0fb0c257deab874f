"""MiniLM side by side with ONNX Runtime as the Python package index installs it: same weights, same threads, interleaved rounds, medians with spread.

    $(tests/bench/peers/install.sh) tests/bench/compare_ort.py [--rounds 5] [--threads 2] [--weir ./weir]

Both sides take token ids and give unit vectors. The ONNX graph is written from the same safetensors file (peers/minilm_onnx.py); all texts of a
batch have one length, so that the peer pads nothing. `cosine` checks that both compute the same.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")


def run_json(weir, *words):
    return json.loads(subprocess.run([weir, *words, "--json"], capture_output=True, text=True, check=True).stdout)


def peer_open(folder, threads):
    path = os.path.join(tempfile.mkdtemp(), "minilm.onnx")
    subprocess.run([sys.executable, os.path.join(HERE, "peers", "minilm_onnx.py"), folder, path], check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def peer_rate(session, ids, seconds=1.0):
    feed = {"ids": ids, "mask": np.ones_like(ids)}
    session.run(None, feed)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        session.run(None, feed)
        count += 1
    return count * len(ids) / (time.perf_counter() - start)


def main():
    home = os.environ.get("WEIR_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weir")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--weir", default=os.path.join(ROOT, "weir"))
    parser.add_argument("--folder", default=os.path.join(home, "models", "minilm"))
    args = parser.parse_args()
    tokens = run_json(args.weir, "tokenize", "minilm", "-f", os.path.join(ROOT, "LICENSE"), "--bare")["ids"]
    session = peer_open(args.folder, args.threads)
    text = "Rivers bend because water runs faster on the outer bank."
    ids = np.array([run_json(args.weir, "tokenize", "minilm", text)["ids"]], np.int64)
    ours = np.array(run_json(args.weir, "embed", "minilm", text)["embeddings"][0])
    theirs = session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0][0]
    print(f"onnxruntime {onnxruntime.__version__}, {args.threads} threads, {args.rounds} rounds; sequences per second; cosine {float(ours @ theirs):.7f}")
    for batch, length in ((1, 16), (1, 128), (8, 128), (32, 64)):
        ids = np.array([tokens[i * length : (i + 1) * length] for i in range(batch)], np.int64)
        weir, peer = [], []
        for _ in range(args.rounds):
            peer.append(peer_rate(session, ids))
            done = run_json(args.weir, "bench", "minilm", "--prompt", str(length), "--batch", str(batch), "--threads", str(args.threads))
            weir.append(done["requests_per_s"]["median"])
        spread = lambda x: f"{statistics.median(x):8.1f} ({min(x):.1f}..{max(x):.1f})"
        ratio = statistics.median(weir) / statistics.median(peer)
        print(f"{batch:3} x {length:3}  weir {spread(weir)}   onnxruntime {spread(peer)}   ratio {ratio:.2f}")
    print("machine", json.dumps(done["machine"]), "roof", json.dumps(done["roof"]))


if __name__ == "__main__":
    main()
