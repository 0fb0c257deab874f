"""Builds and starts of SmolLM2: what stands between an edit and an answer. No peer does the same work, so the goals are seconds.

    tests/bench/compare_build.py [--quick] [--only start] [--threads 2] [--json FILE]

Cold: one level, the zoo's text and weights, a cache folder that has nothing but the weights. Changed: the same cache after an edit of the block that
all 30 layers are instances of (a factor in its last line), so its kernels and programs are new. Unchanged: once more. Start: `weir run` of the
zoo's text whose package is in the cache, one token in, until the process has ended; beside it a pass that reads one byte of each page of the
package, mapped anew: the goal is for what remains. The files are in the system's file cache throughout, as after any download.
"""
import mmap
import os
import shutil
import statistics
import tempfile
import time

import common

MODEL = "smollm2"
COLD, CHANGED, UNCHANGED, START_MS = 8, 2, 0.3, 60
EDIT = ("return h + mlp(post_attention_layernorm(h));", "return h + {factor} * mlp(post_attention_layernorm(h));")


def environment(home, models=None):
    return {**os.environ, "WEIR_HOME": home, **({"WEIR_MODELS": models} if models else {})}


def new_home(scratch, name):
    """A cache folder with the weights alone."""
    home = os.path.join(scratch, name)
    os.makedirs(home)
    os.symlink(os.path.join(common.home(), "models"), os.path.join(home, "models"))
    return home


def seconds_of(words, env):
    start = time.perf_counter()
    common.command(words, env=env)
    return time.perf_counter() - start


def build_words(args, scratch):
    return [args.weir, "build", MODEL, "--target", "cpu", "-o", os.path.join(scratch, "model.wpk"), "--quiet"]


def edited_models(scratch, turn):
    """The zoo with another line in its decoder layer."""
    folder = os.path.join(scratch, f"models{turn}")
    shutil.copytree(os.environ["WEIR_MODELS"], folder)
    path = os.path.join(folder, "std", "decoder.weir")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if EDIT[0] not in text:
        raise common.Unavailable("the decoder layer's text has changed: nothing to edit")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(EDIT[0], EDIT[1].format(factor=1.5 + turn)))
    return folder


def compare_builds(args, report):
    """A round is a cold build, an unchanged one, one after an edit."""
    kept = {"cold": [], "unchanged": [], "changed": []}
    for turn in range(min(args.rounds, 2) if args.quick else args.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            home, words = new_home(scratch, "home"), build_words(args, scratch)
            kept["cold"].append(seconds_of(words, environment(home)))
            kept["unchanged"] += [seconds_of(words, environment(home)) for _ in range(3)]
            kept["changed"].append(seconds_of(words, environment(home, edited_models(scratch, turn))))
    rows = (("cold build of one level", "cold", COLD), ("build after a change of one block", "changed", CHANGED),
            ("unchanged build", "unchanged", UNCHANGED))
    for case, key, most in rows:
        report.add(case, common.cores(), "s", kept[key], {}, is_time=True, most=most)


def page_pass(path):
    """Seconds to read one byte of each page of a mapped file."""
    start = time.perf_counter()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        max(mapped[::mmap.PAGESIZE])
        return time.perf_counter() - start


def compare_start(args, report, threads):
    words = [args.weir, "run", MODEL, "-e", "next", "-i", "tokens=[504]", "--threads", str(threads), "--quiet"]
    with tempfile.TemporaryDirectory() as scratch:
        words += ["-o", "output=" + os.path.join(scratch, "out.npy")]
        home = new_home(scratch, "home")
        env = environment(home)
        common.command(words, env=env)
        packages = [entry.path for entry in os.scandir(os.path.join(home, "packages")) if entry.is_file()]
        package = max(packages, key=os.path.getsize)
        sides = {"run": lambda: 1e3 * seconds_of(words, env), "pages": lambda: 1e3 * page_pass(package)}
        got = common.interleave(sides, 3 * args.rounds, 5 if args.quick else 30, args.most)
    passing = statistics.median(got["pages"])
    report.add("first output of a cached package, less a pass of page faults", threads, "ms", [ms - passing for ms in got["run"]], {}, is_time=True,
               most=START_MS, note=f"{common.number(statistics.median(got['run']))} ms in all, the pass {common.number(passing)} ms")


def main():
    args = common.arguments(__doc__)
    report = common.Report("build", args)
    if not os.path.isdir(os.path.join(common.home(), "models", MODEL)):
        common.command([args.weir, "pull", MODEL, "--quiet"])
    report.attempt("builds: cold, changed, unchanged", compare_builds, args, report)
    for threads in args.threads:
        report.attempt(f"start: first output of a cached package, {threads} threads", compare_start, args, report, threads)
    report.finish()


if __name__ == "__main__":
    main()
