"""Image nets side by side with ONNX Runtime and OpenVINO: ResNet-50 and MobileNetV3-Small, the same random weights, the same images, the same
threads, interleaved rounds.

    $(tests/bench/peers/install.sh) tests/bench/compare_images.py [--threads N]... [--rounds N] [--only TEXT]

The graphs come from peers/images_onnx.py. A peer that gives other answers than Weir is no comparison: the largest difference is checked, and
noted with each row. OpenVINO runs with its hint for latency, as float32 (its default may be bfloat16 on some processors), on as many threads.
"""
import os
import sys
import tempfile

import common
import numpy as np

MODELS = {"resnet": "ResNet-50", "mobilenetv3": "MobileNetV3-Small"}
CLOSE = 2e-4  # of the largest answer


def open_onnxruntime(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def open_openvino(path, threads, batch):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([batch, *[d.get_length() for d in list(model.input(0).partial_shape)[1:]]])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                                                 "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()

    def call(x):
        request.infer({0: x})
        return request.get_output_tensor(0).data.copy()

    return openvino.__version__.split("-")[0], call


def peers_of(report, case, path, threads, batch):
    sides = {}
    for name, start in (("onnxruntime", lambda: open_onnxruntime(path, threads)), ("openvino", lambda: open_openvino(path, threads, batch))):
        try:
            report.versions[name], sides[name] = start()
        except ImportError as error:
            report.skip(f"{case}, {name}", error)
    return sides


def weir_model(name):
    return os.path.join(common.ROOT, "models", name + ".weir")


def check(args, folder, name, x, sides):
    """The largest difference from Weir of any side, as a share of the largest answer."""
    data, out = os.path.join(folder, "in.npy"), os.path.join(folder, "out.npy")
    np.save(data, x)
    common.command([args.weir, "run", weir_model(name), "-e", "classify", "-w", os.path.join(folder, "model.safetensors"), "--threads", "1",
                    "-i", "images=" + data, "-o", "output=" + out, "--quiet"])
    ours = np.load(out)
    return max((float(np.abs(call(x) - ours).max() / np.abs(ours).max()) for call in sides.values()), default=0.0)


def compare(args, report, name, folder, threads, batch):
    case = f"{MODELS[name]}, batch {batch}"
    if not os.path.isdir(folder):
        common.command([sys.executable, os.path.join(common.HERE, "peers", "images_onnx.py"), name, folder])
    x = np.random.default_rng(2).standard_normal((batch, 3, 224, 224)).astype(np.float32)
    sides = peers_of(report, case, os.path.join(folder, "model.onnx"), threads, batch)
    worst = check(args, folder, name, x, sides)
    if worst > CLOSE:
        report.skip(case, f"the answers differ by {worst:.1e}")
        return
    calls_of_weir = 5 if batch > 1 else 15

    def mine():
        done = common.weir(args, "bench", weir_model(name), "-w", os.path.join(folder, "model.safetensors"), "--prompt", batch,
                           "--threads", threads, "--repeat", calls_of_weir // 3 if args.quick else calls_of_weir)
        return batch * done["requests_per_s"]["median"]

    calls = {"weir": mine}
    for side, call in sides.items():
        calls[side] = lambda call=call: batch * common.repeat(lambda: call(x), 0.3 if args.quick else 1.0, not args.quick)
    samples = common.interleave(calls, args.rounds, 10 if args.quick else 120, args.most)
    report.add(case, threads, "images/s", samples.pop("weir"), {side: {"samples": s, "target": 1.0} for side, s in samples.items()},
               note=f"answers within {worst:.0e}")


def main():
    args = common.arguments(__doc__)
    report = common.Report("images", args)
    with tempfile.TemporaryDirectory() as top:
        for name in MODELS:
            folder = os.path.join(top, name)
            for threads in args.threads:
                for batch in (1, 8):
                    report.attempt(f"{MODELS[name]}, batch {batch}, {threads} threads", compare, args, report, name, folder, threads, batch)
    report.finish()


if __name__ == "__main__":
    main()
