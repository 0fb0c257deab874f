"""SmolLM2 on a machine where another process holds a core: does it keep its fair share, or fall to a crawl?

    $(tests/bench/peers/install.sh) tests/bench/compare_load.py [--quick] [--only decode] [--threads 2] [--json FILE]

The other process computes without end, bound to the first core. Of N cores it leaves N - 1/2 to a fair scheduler: T threads could at best go on
at min(T, N - 1/2) / T of their undisturbed rate. A sample is the time beside the other process by the time that this fair share would take; 1 is
perfect, and the goal is 1.3. The same is measured of llama.cpp. Undisturbed and disturbed runs take turns.
"""
import contextlib
import functools
import os
import statistics
import subprocess
import sys

import common
import compare_llama as llama

FORMAT, PLAN = "Q4_1", "int8"
MOST = 1.3  # times the fair share's time


@contextlib.contextmanager
def busy_core():
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def beside(function):
    with busy_core():
        return function()


def unfairness(quiet, busy, threads):
    """Times of the fair share's time, a sample for each disturbed run."""
    share = min(threads, common.cores() - 0.5) / threads
    return [statistics.median(quiet) * share / rate for rate in busy]


def compare(args, report, threads):
    prompt, gen = 512, 32
    runs = {"weir": functools.partial(llama.weir_bench, args, FORMAT, PLAN, threads, prompt, gen, [])}
    runs["weir"]()
    try:
        setting = ("", 1, 512, 1)
        llama.peer_program()
        runs["llama.cpp"] = functools.partial(llama.peer_rates, FORMAT, threads, prompt, gen, setting)
    except common.Unavailable as error:
        report.skip(f"llama.cpp, {threads} threads", error)
    sides = {}
    for name, run in runs.items():
        sides[name, "quiet"], sides[name, "busy"] = run, functools.partial(beside, run)
    got = common.interleave(sides, args.rounds, 8 if args.quick else 60, args.most)
    for metric in ("prefill", "decode"):
        times = {name: unfairness(got[name, "quiet"][metric], got[name, "busy"][metric], threads) for name in runs}
        report.add(f"{metric} beside a busy core, {FORMAT}, {PLAN}", threads, "x the fair share's time", times.pop("weir"), times, is_time=True,
                   most=MOST)


def main():
    args = common.arguments(__doc__)
    report = common.Report("load", args)
    for threads in args.threads:
        report.attempt(f"prefill, decode beside a busy core, {threads} threads", compare, args, report, threads)
    report.finish()


if __name__ == "__main__":
    main()
