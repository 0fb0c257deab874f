"""MiniLM in float32 side by side with ONNX Runtime and OpenVINO: same weights, same threads, interleaved rounds.

    $(tests/bench/peers/install.sh) tests/bench/compare_ort.py [--quick] [--only mixed] [--threads 2] [--json]

All sides take token ids and give unit vectors, and are checked against each other on one text first. Their graphs are written from the same
safetensors file (peers/minilm_onnx.py); ONNX Runtime runs the one with its fused transformer operators and the plain one, OpenVINO the plain
one with its hints for throughput and for latency: the faster of each counts.

One sentence: 16 tokens. Mixed: 256 sentences whose lengths are drawn once (log-normal, 4 to 256 tokens); Weir takes them packed in one call.
Peers pad batches of 32: sorted by length, and in the order they come ("plain").
"""
import functools
import os
import subprocess
import sys
import tempfile

import common
import numpy as np

TEXT = "Rivers bend because water runs faster on the outer bank."
BATCH = 32
LENGTHS = np.clip(np.random.default_rng(7).lognormal(3.2, 0.8, 256).astype(int), 4, 256)


def write_graph(folder, scratch, fused):
    path = os.path.join(scratch, "fused.onnx" if fused else "plain.onnx")
    if os.path.exists(path):
        return path
    words = [sys.executable, os.path.join(common.HERE, "peers", "minilm_onnx.py"), folder, path] + ["--fused"] * fused
    subprocess.run(words, check=True)
    return path


def open_onnxruntime(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)[0]


def open_openvino(path, threads, hint):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": hint,
                                                                 "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()

    def call(feed):
        request.infer(feed)
        return request.get_output_tensor(0).data.copy()
    return call


def open_peers(report, folder, scratch, threads):
    """{peer: {variant: function}}"""
    plain, fused = (write_graph(folder, scratch, kind) for kind in (False, True))
    peers = {}
    try:
        import onnxruntime
        report.versions["onnxruntime"] = onnxruntime.__version__
        peers["onnxruntime"] = {"fused operators": open_onnxruntime(fused, threads), "plain graph": open_onnxruntime(plain, threads)}
    except ImportError as error:
        report.skip("onnxruntime", error)
    try:
        import openvino
        report.versions["openvino"] = openvino.__version__.split("-")[0]
        peers["openvino"] = {hint.lower(): open_openvino(plain, threads, hint) for hint in ("LATENCY", "THROUGHPUT")}
    except ImportError as error:
        report.skip("openvino", error)
    return peers


def feed_of(lengths):
    """A padded batch."""
    draw = np.random.default_rng(3)
    mask = (np.arange(max(lengths))[None] < np.array(lengths)[:, None]).astype(np.int64)
    return {"ids": draw.integers(1000, 20000, mask.shape) * mask, "mask": mask}


def batches(lengths):
    return [feed_of(lengths[i:i + BATCH]) for i in range(0, len(lengths), BATCH)]


def run_all(call, feeds):
    for feed in feeds:
        call(feed)


def check(args, report, peers):
    """All sides give the same vector for a text."""
    ids = np.array([common.weir(args, "tokenize", "minilm", TEXT)["ids"]], np.int64)
    ours = np.array(common.weir(args, "embed", "minilm", TEXT)["embeddings"][0])
    for name, variants in peers.items():
        for variant, call in list(variants.items()):
            cosine = float(call({"ids": ids, "mask": np.ones_like(ids)})[0] @ ours)
            if cosine < 0.99999:
                report.skip(f"{name}, {variant}", f"gives another answer: cosine {cosine}")
                del variants[variant]


def choose(peers, feeds):
    """The fastest variant of each peer on the first batches, which also warms it up: {peer: (variant, function)}"""
    out = {}
    for name, variants in peers.items():
        rates = {variant: common.repeat(functools.partial(run_all, call, feeds[:2]), 0.3) for variant, call in variants.items()}
        variant = max(rates, key=rates.get)
        out[name] = (variant, variants[variant])
    return out


def compare(args, report, case, threads, peers, ways, weir_words, sentences):
    """|ways|: {how: (feeds, target)}"""
    documents, seconds, calls = [], 0.3 if args.quick else 1.0, (1 if args.quick else 3) if sentences > 1 else 40

    def mine():
        documents.append(common.weir(args, "bench", "minilm", *weir_words, "--threads", threads, "--repeat", calls))
        return documents[-1]["requests_per_s"]["median"]

    sides, chosen = {"weir": mine}, {}
    for how, (feeds, _) in ways.items():
        chosen_ones = choose(peers, feeds) if not (args.quick and how == "plain padding") else {
            name: (chosen[name, "sorted"], peers[name][chosen[name, "sorted"]]) for name in peers}
        for name, (variant, call) in chosen_ones.items():
            chosen[name, how] = variant
            sides[name, how] = lambda call=call, feeds=feeds: sentences * common.repeat(functools.partial(run_all, call, feeds), seconds, False)
    samples = common.interleave(sides, args.rounds, 8 if args.quick else 120, args.most)
    row_peers = {f"{name}{', ' if how else ''}{how}": {"samples": samples[name, how], "settings": variant, "target": ways[how][1]}
                 for (name, how), variant in chosen.items()}
    share = documents[-1].get("roof_share")
    roof = share and {"kind": share["binds"], "percent": share[f"{share['binds']}_percent"]}
    report.add(case, threads, "sentences/s", samples["weir"], row_peers, roof=roof)


def peers_for(args, report, places, threads):
    folder, scratch, opened = places
    if threads not in opened:
        opened[threads] = open_peers(report, folder, scratch, threads)
        check(args, report, opened[threads])
    return opened[threads]


def one_sentence(args, report, places, threads):
    compare(args, report, "one sentence of 16 tokens", threads, peers_for(args, report, places, threads), {"": ([feed_of([16])], 1.3)},
            ["--prompt", 16, "--batch", 1], 1)


def mixed_lengths(args, report, places, threads, lengths):
    ways = {"sorted": (batches(sorted(LENGTHS)), 1.5), "plain padding": (batches(LENGTHS), 3)}
    compare(args, report, "256 sentences of mixed length", threads, peers_for(args, report, places, threads), ways, ["--lengths", lengths],
            len(LENGTHS))


def measure(args, report):
    folder = os.path.join(common.home(), "models", "minilm")
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        common.command([args.weir, "pull", "minilm", "--quiet"])
    with tempfile.TemporaryDirectory() as scratch:
        lengths = os.path.join(scratch, "lengths.txt")
        with open(lengths, "w", encoding="utf-8") as file:
            file.write(" ".join(map(str, LENGTHS)))
        opened = {}
        for threads in args.threads:
            report.attempt(f"one sentence of 16 tokens, {threads} threads", one_sentence, args, report, (folder, scratch, opened), threads)
        for threads in args.threads:
            report.attempt(f"256 sentences of mixed length, {threads} threads", mixed_lengths, args, report, (folder, scratch, opened), threads, lengths)


def main():
    args = common.arguments(__doc__)
    report = common.Report("ort", args)
    try:
        measure(args, report)
    except common.Unavailable as error:
        report.skip("all of MiniLM", error)
    report.finish()


if __name__ == "__main__":
    main()
