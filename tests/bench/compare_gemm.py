"""Matrix products side by side with OpenBLAS and oneDNN: float32, bf16 and int8, 1024 x 1024 x 1024 and the shapes of the zoo's models.

    $(tests/bench/peers/install.sh) tests/bench/compare_gemm.py [--quick] [--only int8] [--threads 1] [--json]

Weir runs a model that is one product, as `weir bench` runs any model: with the call's checks, rows in and out. Its weights are constant, so they
are packed when it is built; oneDNN's are brought into the layout that it prefers before the clock starts. OpenBLAS (the package scipy-openblas32)
has no such form: it packs in every call. int8 in Weir is `activations int8` on Q8_0 blocks: it rounds the rows and scales each block of 32, where
oneDNN multiplies bytes alone and adds up 32-bit integers. int8_row is `activations int8(row)` on weights with one scale a row; oneDNN has the same
scale for each output and one for all rows. Weir's inputs are always float32: bf16 and int8 are with rounding them. oneDNN gets bytes that were
rounded before, and, as a side of its own, float32 rows that a loop of the benchmark rounds in each call. Two versions of oneDNN are asked, where
both are installed: the last that the index has for OpenMP, and its newest. Rates are operations of the product; a multiply-add is two.
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

plan int8_row for Gemm { store **: w8; activations **: int8(row); }
"""
SHAPES = [(1024, 1024, 1024), (512, 576, 1536), (512, 1536, 576), (512, 576, 576), (16, 384, 1536), (128, 384, 1536), (128, 1536, 384)]
QUICK_SHAPES = SHAPES[:3] + SHAPES[5:6]
ROOF = 90  # percent of the rate of multiply-adds or dot products
KINDS = ("f32", "bf16", "int8", "int8_row")
ROOFS = {"f32": "flops_per_s", "bf16": "bf16_ops_per_s", "int8": "int8_ops_per_s", "int8_row": "int8_ops_per_s"}


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
def onednn_programs():
    """A program for each oneDNN that install.sh has put there, by its version, and the environment that it wants."""
    found = {}
    for prefix in (sys.prefix, os.path.join(sys.prefix, "onednn")):
        library = os.path.join(prefix, "lib")
        if not os.path.exists(os.path.join(prefix, "include", "oneapi", "dnnl", "dnnl_version.h")):
            continue
        out = os.path.join(tempfile.gettempdir(), f"onednn_side-{os.getuid()}-{len(found)}")
        common.command(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O3", "-march=native", "-ffast-math", "-fopenmp", f"-I{os.path.join(prefix, 'include')}",
                        os.path.join(common.HERE, "peers", "onednn_side.c"), "-o", out, f"-L{library}", f"-Wl,--disable-new-dtags,-rpath,{library}",
                        "-Wl,--allow-shlib-undefined", "-ldnnl", "-lm"])
        env = {**os.environ, "OCL_ICD_FILENAMES": os.path.join(library, "libintelocl.so")}  # the newest runs its threads by SYCL
        found[common.command([out, "version"], env=env).strip()] = out, env
    if not found:
        raise common.Unavailable("no oneDNN is installed (tests/bench/peers/install.sh)")
    return found


def onednn_side(version, kind, threads, m, k, n, seconds):
    program, env = onednn_programs()[version]
    env = {**env, "OMP_NUM_THREADS": str(threads)}
    return lambda: float(common.command([program, kind, str(m), str(k), str(n), str(seconds)], env=env))


def onednn_sides(kind, threads, m, k, n, seconds):
    """What compares with |kind|, by name."""
    sides = {}
    for version in onednn_programs():
        sides[f"oneDNN {version}"] = lambda v=version: onednn_side(v, kind, threads, m, k, n, seconds)
        if kind == "int8_row":
            sides[f"oneDNN {version} and rounding"] = lambda v=version: onednn_side(v, "int8_rounded", threads, m, k, n, seconds)
    return sides


def weir_side(args, path, kind, threads, m, k, n, kept):
    words = ["bench", path, "--random", 1, "--set", f"K={k}", "--set", f"N={n}", "--prompt", m, "--threads", threads, "--repeat", 10 if args.quick else 30]

    def sample():
        kept.append(common.weir(args, *words, *([] if kind == "f32" else ["--plan", kind])))
        return 2.0 * m * k * n * kept[-1]["requests_per_s"]["median"]
    return sample


def scaled(samples):
    return [s / 1e9 for s in samples]


def compare(args, report, path, kind, threads, shape):
    m, k, n = shape
    seconds, kept, sides = 0.1 if args.quick else 0.5, [], {}
    mine = weir_side(args, path, kind, threads, m, k, n, kept)
    mine()
    kept.clear()
    starts = {"OpenBLAS": lambda: openblas_side(threads, m, k, n, seconds)} if kind == "f32" else {}
    try:
        starts.update(onednn_sides(kind, threads, m, k, n, seconds))
    except common.Unavailable as error:
        report.skip(f"oneDNN, {kind}", error)
    for name, start in starts.items():
        try:
            side = start()
            side()
            sides[name] = side
        except common.Unavailable as error:
            report.skip(f"{name}, {kind}", error)
    samples = common.interleave({"weir": mine, **sides}, args.rounds, 4 if args.quick else 60, args.most)
    ours = samples.pop("weir")
    roof = max(d["roof"][ROOFS[kind]] for d in kept) or max(d["roof"]["flops_per_s"] for d in kept)
    goal = kind != "int8"  # blocks have a scale for each 32 inputs, the peers none
    peers = {name: {"samples": scaled(s), "target": 1 if goal else None} for name, s in samples.items()}
    report.add(f"{kind} {m} x {k} x {n}", threads, "Gop/s", scaled(ours), peers,
               roof={"kind": f"{kind.split('_')[0]} arithmetic", "percent": 100 * statistics.median(ours) / roof, "target": ROOF if goal else None})


def note_versions(report):
    for name, find in (("OpenBLAS", lambda: openblas()[1]), ("oneDNN", lambda: ", ".join(onednn_programs()))):
        try:
            report.versions[name] = find()
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
        for shape in QUICK_SHAPES if args.quick else SHAPES:
            for kind in KINDS:
                for threads in args.threads:
                    case = f"{kind} {shape[0]} x {shape[1]} x {shape[2]}, {threads} threads"
                    report.attempt(case, compare, args, report, path, kind, threads, shape)
    report.finish()


if __name__ == "__main__":
    main()
