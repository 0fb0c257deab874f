"""Matrix products side by side with OpenBLAS and oneDNN: float32, bf16 and int8, 1024 x 1024 x 1024 and the shapes of the zoo's models.

    $(tests/bench/peers/install.sh) tests/bench/compare_gemm.py [--quick] [--only int8] [--threads 1] [--json]

Weir runs a model that is one product, as `weir bench` runs any model: with the call's checks, rows in and out. Its weights are constant, so they
are packed when it is built; oneDNN's are brought into the layout that it prefers before the clock starts. OpenBLAS (the package scipy-openblas32)
has no such form: it packs in every call. int8 in Weir is `activations int8` on Q8_0 blocks: it rounds the rows and scales each block of 32, where
oneDNN multiplies bytes alone and adds up 32-bit integers. Rates are operations of the product; a multiply-add is two.
"""
import ctypes
import functools
import glob
import importlib.util
import os
import statistics
import sys
import tempfile

import common
import numpy as np

TEXT = """use std.nn;

model Gemm {K = 1024, N = 1024} {
  dim T: seq in 1..=65536;
  product: Linear{K, N};

  entry run(x: f32[T, K]) -> f32[T, N] { return f32(product(f(x))); }
}

plan bf16 for Gemm { store **: bf16; compute **: bf16; }

plan int8 for Gemm { store **: q8_0; activations **: int8; }
"""
SHAPES = [(1024, 1024, 1024), (512, 576, 1536), (512, 1536, 576), (512, 576, 576), (16, 384, 1536), (128, 384, 1536), (128, 1536, 384)]
KINDS = ("f32", "bf16", "int8")
ROOFS = {"f32": "flops_per_s", "bf16": "bf16_ops_per_s", "int8": "int8_ops_per_s"}


@functools.lru_cache(None)
def openblas():
    spec = importlib.util.find_spec("scipy_openblas32")
    if not spec:
        raise common.Unavailable("scipy-openblas32 is not installed (tests/bench/peers/install.sh)")
    import scipy_openblas32
    library = ctypes.CDLL(glob.glob(os.path.join(scipy_openblas32.get_lib_dir(), "libscipy_openblas*.so"))[0])
    return library, scipy_openblas32.get_openblas_config().split()[1]


def openblas_side(threads, m, k, n, seconds):
    library, _ = openblas()
    draw = np.random.default_rng(1)
    x, w, y = (draw.standard_normal(s, dtype=np.float32) for s in ((m, k), (n, k), (m, n)))
    at = lambda a: a.ctypes.data_as(ctypes.c_void_p)

    def call():  # y = x w^T, row-major
        library.scipy_cblas_sgemm(101, 111, 112, m, n, k, ctypes.c_float(1), at(x), k, at(w), k, ctypes.c_float(0), at(y), n)

    def sample():
        library.scipy_openblas_set_num_threads(threads)
        return 2.0 * m * k * n * common.repeat(call, seconds)
    return sample


@functools.lru_cache(None)
def onednn_program():
    prefix = sys.prefix
    header = os.path.join(prefix, "include", "oneapi", "dnnl", "dnnl_version.h")
    if not os.path.exists(header):
        raise common.Unavailable("onednn-cpu-gomp and onednn-devel-cpu-gomp are not installed (tests/bench/peers/install.sh)")
    version = {line.split()[1]: line.split()[2] for line in open(header, encoding="utf-8") if line.startswith("#define DNNL_VERSION_M")}
    out, library = os.path.join(tempfile.gettempdir(), f"onednn_side-{os.getuid()}"), os.path.join(prefix, "lib")
    common.command(["cc", "-std=gnu11", "-O2", f"-I{os.path.join(prefix, 'include')}", os.path.join(common.HERE, "peers", "onednn_side.c"), "-o", out,
                    f"-L{library}", f"-Wl,-rpath,{library}", "-ldnnl"])
    return out, f"{version.get('DNNL_VERSION_MAJOR')}.{version.get('DNNL_VERSION_MINOR')}"


def onednn_side(kind, threads, m, k, n, seconds):
    program, _ = onednn_program()
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return lambda: float(common.command([program, kind, str(m), str(k), str(n), str(seconds)], env=env))


def weir_side(args, path, kind, threads, m, k, n, kept):
    words = ["bench", path, "--random", 1, "--set", f"K={k}", "--set", f"N={n}", "--prompt", m, "--threads", threads, "--repeat", 30]

    def sample():
        kept.append(common.weir(args, *words, *([] if kind == "f32" else ["--plan", kind])))
        return 2.0 * m * k * n * kept[-1]["requests_per_s"]["median"]
    return sample


def scaled(samples):
    return [s / 1e9 for s in samples]


def compare(args, report, path, kind, threads, shape):
    m, k, n = shape
    seconds, kept, sides = 0.2 if args.quick else 0.5, [], {}
    mine = weir_side(args, path, kind, threads, m, k, n, kept)
    mine()
    kept.clear()
    for name, start in (("OpenBLAS", lambda: openblas_side(threads, m, k, n, seconds)),
                        ("oneDNN", lambda: onednn_side(kind, threads, m, k, n, seconds))):
        if name == "OpenBLAS" and kind != "f32":
            continue
        try:
            side = start()
            side()
            sides[name] = side
        except common.Unavailable as error:
            report.skip(f"{name}, {kind}", error)
    samples = common.interleave({"weir": mine, **sides}, args.rounds, 15 if args.quick else 60)
    ours = samples.pop("weir")
    roof = max(d["roof"][ROOFS[kind]] for d in kept) or max(d["roof"]["flops_per_s"] for d in kept)
    report.add(f"{kind} {m} x {k} x {n}", threads, "Gop/s", scaled(ours), {name: {"samples": scaled(s), "target": 1} for name, s in samples.items()},
               roof={"kind": f"{kind} arithmetic", "percent": 100 * statistics.median(ours) / roof}, note="goal 90 % of the roof")


def note_versions(report):
    for name, find in (("OpenBLAS", openblas), ("oneDNN", onednn_program)):
        try:
            report.versions[name] = find()[1]
        except common.Unavailable:
            pass


def main():
    args = common.arguments(__doc__)
    report = common.Report("gemm", args)
    note_versions(report)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gemm.weir")
        with open(path, "w", encoding="utf-8") as file:
            file.write(TEXT)
        for threads in args.threads:
            for shape in SHAPES[:2] if args.quick else SHAPES:
                for kind in KINDS:
                    case = f"{kind} {shape[0]} x {shape[1]} x {shape[2]}"
                    if not report.wants(case):
                        continue
                    try:
                        compare(args, report, path, kind, threads, shape)
                    except common.Unavailable as error:
                        report.skip(case, error)
    report.finish()


if __name__ == "__main__":
    main()
