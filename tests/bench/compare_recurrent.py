"""Recurrent layers side by side with ONNX Runtime: its LSTM and GRU ops, and a selective state-space scan (Mamba's recurrence) as its Scan op. The
same random weights, the same sequences of one length, the same threads, interleaved rounds.

    $(tests/bench/peers/install.sh) tests/bench/compare_recurrent.py [--threads N]... [--rounds N] [--only TEXT]

The peer takes [T, batch, inputs]; for Weir each sequence is a request. Answers are compared first, and the difference is noted.
"""
import os
import sys
import tempfile

import common
import numpy as np

CASES = [  # kind, inputs (states of a scan), width, rows, sequences
    ("lstm", 128, 128, 128, 1), ("lstm", 128, 128, 128, 8), ("lstm", 512, 512, 128, 1), ("lstm", 512, 512, 128, 8),
    ("gru", 128, 128, 128, 1), ("gru", 128, 128, 128, 8), ("gru", 512, 512, 128, 1), ("gru", 512, 512, 128, 8),
    ("ssm", 16, 512, 256, 1), ("ssm", 16, 512, 256, 8),
]
CLOSE = 1e-4


def settings(kind, inputs, width):
    sizes = {"E": width, "N": inputs} if kind == "ssm" else {"I": inputs, "H": width}
    return ["--model", kind.capitalize()] + [word for name, size in sizes.items() for word in ("--set", f"{name}={size}")]


def inputs_of(kind, inputs, width, rows, batch):
    random = np.random.default_rng(2)
    draw = lambda size: random.standard_normal((rows, batch, size)).astype(np.float32)
    if kind != "ssm":
        return {"x": draw(inputs)}
    return {"u": draw(width), "dt": np.abs(draw(width)) * 0.1, "b": draw(inputs), "c": draw(inputs)}


def check(args, text, folder, words, given, batch, theirs):
    """The largest difference from Weir, as a share of the largest answer."""
    call, out = [], os.path.join(folder, "out.npy")
    for name, x in given.items():
        for r in range(batch):
            path = os.path.join(folder, f"{name}.{r}.in.npy")
            np.save(path, x[:, r])
            call += ["-i", f"{name}={path}"]
    common.command([args.weir, "run", text, *words, "-e", "run", "-w", os.path.join(folder, "model.safetensors"), *call, "-o", "output=" + out,
                    "--quiet"])
    paths = [out] if batch == 1 else [os.path.join(folder, f"out.{r}.npy") for r in range(batch)]
    ours = np.stack([np.load(path) for path in paths], axis=1)
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())


def name_of(case):
    kind, inputs, width, rows, batch = case
    return f"{kind.upper()} {inputs}x{width}, {rows} rows, {batch} sequence{'s' if batch > 1 else ''}"


def compare(args, report, top, case, threads):
    import onnxruntime

    kind, inputs, width, rows, batch = case
    name = name_of(case)
    report.versions["onnxruntime"] = onnxruntime.__version__
    folder = os.path.join(top, f"{kind}{inputs}x{width}")
    if not os.path.isdir(folder):
        common.command([sys.executable, os.path.join(common.HERE, "peers", "recurrent_onnx.py"), kind, str(inputs), str(width), folder])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(os.path.join(folder, "model.onnx"), options, providers=["CPUExecutionProvider"])
    given = inputs_of(kind, inputs, width, rows, batch)
    feed = {name + "s" if kind == "ssm" else name: x for name, x in given.items()}
    text, words = os.path.join(common.HERE, "peers", "recurrent.weir"), settings(kind, inputs, width)
    theirs = session.run(None, feed)[0].reshape(rows, batch, width)
    worst = check(args, text, folder, words, given, batch, theirs)
    if worst > CLOSE:
        report.skip(name, f"the answers differ by {worst:.1e}")
        return
    weights, seconds = os.path.join(folder, "model.safetensors"), 0.2 if args.quick else 0.5

    def mine():
        done = common.weir(args, "bench", text, *words, "-w", weights, "--prompt", rows, "--batch", batch, "--threads", threads, "--repeat", 20)
        return rows * done["requests_per_s"]["median"]

    samples = common.interleave({"weir": mine, "onnxruntime": lambda: rows * batch * common.repeat(lambda: session.run(None, feed), seconds)},
                                args.rounds, 5 if args.quick else 60, args.most)
    report.add(name, threads, "rows/s", samples["weir"], {"onnxruntime": {"samples": samples["onnxruntime"], "target": 1.5}},
               note=f"answers within {worst:.0e}")


def main():
    args = common.arguments(__doc__)
    report = common.Report("recurrent", args)
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        report.skip("all", error)
        report.finish()
        return
    with tempfile.TemporaryDirectory() as top:
        for case in CASES:
            for threads in args.threads:
                report.attempt(f"{name_of(case)}, {threads} threads", compare, args, report, top, case, threads)
    report.finish()


if __name__ == "__main__":
    main()
