"""SmolLM2 side by side with llama.cpp, as llama-cpp-python builds it for this machine: same file, same threads, same work.

    $(tests/bench/peers/install.sh) tests/bench/compare_llama.py [--quick] [--only Q4_0] [--threads 2] [--json]

Formats: Q4_1 (the zoo's file), and the same weights requantised by llama.cpp itself to Q4_0, which it repacks at load, Q8_0, Q4_K_M and BF16. Weir
runs with the default plan, which computes exactly on the blocks, and with the plans that round activations (int8) or products (bf16), the change of
perplexity beside: int8 is what llama.cpp does to blocks, bf16 what it does to a BF16 file. llama.cpp runs as a C program over the wheel's library (peers/llama_side.c), with those settings that were fastest when
tried here just before: flash attention on or off, tokens of a pass, weights repacked or not. Its fastest 4-bit format is Q4_0.

First token: from the start of the process, weights in the file cache, 512 tokens in; llama.cpp until it has printed the token, Weir until its
process has ended. Memory: the largest resident size of the process that made the tokens.
"""
import functools
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import common

MODEL = "smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FORMATS = {"Q4_1": 3, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "BF16": 32}  # llama_ftype
GROUPS = (("Q4_1", "Q4_0"), ("Q8_0",), ("Q4_K_M",), ("BF16",))  # measured in one loop
PLANS = ("exact", "int8", "bf16")
GEN, WARM = 32, 64
# What Weir is to reach against the same format, and against the fastest of the 4-bit ones: {plan: (decode, prefill)}.
SAME, FASTEST = {"int8": (2, 4), "exact": (1.5, 2.5)}, {"int8": (1.5, 1.7), "exact": (None, 1.2)}
FASTEST_WITH_TILES = 4  # prefill, int8, where there are matrix units
LONG_PREFILL = 3        # prompts of 4096, same format
DECODE_ROOF = 80        # percent of the memory rate
FIRST_TOKEN, MEMORY = 2, 1


def like_for_like(name):
    """The plan that rounds as llama.cpp does."""
    return "bf16" if name == "BF16" else "int8"


def plans_with_goals(name):
    return ("int8",) if name == "Q4_0" else ("exact", like_for_like(name))


def folder():
    path = os.path.join(common.home(), "bench")
    os.makedirs(path, exist_ok=True)
    return path


@functools.lru_cache(None)
def peer_packages():
    """Where llama_cpp is installed: {build: folder}. With AMX there is a second one, built without."""
    spec = importlib.util.find_spec("llama_cpp")
    if not spec:
        raise common.Unavailable("llama-cpp-python is not installed (tests/bench/peers/install.sh)")
    found = {"": os.path.dirname(spec.origin)}
    without = os.path.join(sys.prefix, "without-amx", "llama_cpp")
    return found | ({"without AMX": without} if os.path.isdir(without) else {})


@functools.lru_cache(None)
def peer_program(build=""):
    """llama_side, compiled against the library of a build."""
    package = peer_packages()[build]
    library, headers = os.path.join(package, "lib"), os.path.join(os.path.dirname(package), "include")
    out = os.path.join(folder(), "llama_side" + build.replace(" ", "-"))
    common.command(["cc", "-std=gnu11", "-O2", f"-I{headers}", os.path.join(common.HERE, "peers", "llama_side.c"), "-o", out, f"-L{library}",
                    f"-Wl,-rpath,{library}", "-lllama", "-lggml", "-lggml-base", "-lm"])
    return out


@functools.lru_cache(None)
def weights(name):
    """The file of a format, requantised once from the zoo's."""
    source = os.path.join(common.home(), "models", MODEL, FILE)
    if not os.path.exists(source):
        raise common.Unavailable(f"no {source}: weir pull {MODEL}")
    if name == "Q4_1":
        return source
    out = os.path.join(folder(), f"{MODEL}.{name}.gguf")
    if not os.path.exists(out):
        common.command([peer_program(), "quantize", source, out + ".tmp", str(FORMATS[name])])
        os.replace(out + ".tmp", out)
    return out


def peer_json(*words, build=""):
    return json.loads(common.command([peer_program(build), *map(str, words)]))


# ---- settings

def peer_rates(name, threads, prompt, gen, setting):
    build, *rest = setting
    return peer_json("speed", weights(name), threads, prompt, gen, WARM, *rest, build=build)


@functools.lru_cache(None)
def best_settings(name, threads, prompt, quick):
    """The fastest setting of llama.cpp for a prompt and for single tokens: {"prefill": setting, "decode": setting}.

    With |quick| it is tried on 1024 tokens of a longer prompt, all cores, with passes of 512: longer ones were slower wherever they were tried.
    """
    if quick and prompt > 1024:
        return best_settings(name, max(threads, common.cores()), 1024, quick)
    passes = [min(512, prompt)] if quick else sorted({min(512, prompt), min(2048, prompt)})
    # Without extra buffers there is neither AMX nor repacking: worth a try only where tiles may fault.
    settings = [(build, flash, ubatch, extra) for build in peer_packages() for extra in ((1, 0) if has_tiles() and not build else (1,))
                for flash in (0, 1) for ubatch in passes]
    tried = {}
    for setting in settings:
        try:
            tried[setting] = peer_rates(name, threads, prompt, 16, setting)
        except common.Unavailable as error:  # a path of this machine that faults
            print(f"llama.cpp, {setting_text(setting)}: {error}", file=sys.stderr)
    if not tried:
        raise common.Unavailable("llama.cpp ran with no setting")
    return {what: max(tried, key=lambda setting: tried[setting][what]) for what in ("prefill", "decode")}


def has_tiles():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return "amx_tile" in file.read()


def setting_text(setting):
    build, flash, ubatch, extra = setting
    return f"flash {'on' if flash else 'off'}, {ubatch} a pass" + ("" if extra else ", no repacking") + (f", built {build}" if build else "")


# ---- Weir

@functools.lru_cache(None)
def plan_words(name, plan):
    """The options for a format and a plan. Of a file with several float types the text must say what f is: a plan in a file."""
    words = ["-w", weights(name)]
    if name != "BF16":
        return words + ([] if plan == "exact" else ["--plan", plan])
    rounding = {"exact": "", "bf16": " compute **: bf16;", "int8": " activations **: int8;"}[plan]
    path = os.path.join(folder(), f"{plan}.weir")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"plan f32_{plan} for SmolLM2 {{ float = f32;{rounding} }}\n")
    return words + ["--plan", path]


@functools.lru_cache(None)
def short_text():
    """A text for the perplexity that `weir bench` adds where a plan rounds: ours is taken of a longer one, once."""
    path = os.path.join(folder(), "short.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("Rivers bend because water runs faster on the outer bank.\n")
    return path


def weir_bench(args, name, plan, threads, prompt, gen, kept):
    done = common.weir(args, "bench", MODEL, *plan_words(name, plan), "--prompt", prompt, "--gen", gen, "--threads", threads,
                       "--repeat", 1, "--text", short_text())
    kept.append(done)
    return {"prefill": done["prefill_tokens_per_s"]["median"], "decode": done["decode_tokens_per_s"]["median"]}


def plans_that_run(args, report, name):
    """Also builds them, before any clock runs."""
    out = []
    for plan in PLANS if args.full else plans_with_goals(name):
        try:
            weir_bench(args, name, plan, 1, 16, 1, [])
            out.append(plan)
        except common.Unavailable as error:
            report.skip(f"{name}, plan {plan}", error)
    return out


@functools.lru_cache(None)
def ids_file(weir):
    text = os.path.join(common.ROOT, "tests", "data", "e2e", "perplexity.txt")
    done = json.loads(common.command([weir, "tokenize", MODEL, "-f", text, "--bare", "--json", "--quiet"]))
    path = os.path.join(folder(), "perplexity.ids")
    with open(path, "w", encoding="utf-8") as file:
        file.write(" ".join(map(str, done["ids"])))
    return text, path


@functools.lru_cache(None)
def perplexities(weir, name, plans):
    """{"exact": X, ..., "llama.cpp": X} on one text, in windows of 512 tokens."""
    text, ids = ids_file(weir)
    out = {}
    for plan in plans:
        done = common.command([weir, "eval", MODEL, "perplexity", "-f", text, *plan_words(name, plan), "--json", "--quiet"])
        out[plan] = json.loads(done)["perplexity"]
    out["llama.cpp"] = peer_json("perplexity", weights(name), common.cores(), 512, ids)["perplexity"]
    return out


def quality(weir, name, plan, plans):
    """What stands beside the rates of a plan. Rates count without it."""
    try:
        found = perplexities(weir, name, tuple(plans))
    except common.Unavailable as error:
        return f"perplexity unknown: {error}"
    change = lambda x: f"{100 * (x / found['exact'] - 1):+.2f} %" if "exact" in found else "unknown"
    mine = f"perplexity {found[plan]:.3f}" + ("" if plan == "exact" else f" ({change(found[plan])})")
    return f"{mine}, llama.cpp {found['llama.cpp']:.3f} ({change(found['llama.cpp'])})"


# ---- rates

def target(plan, metric, prompt, other, name):
    """The goal of a format and plan against llama.cpp with the format |other|: a ratio, or None."""
    if plan not in plans_with_goals(name) or name == "Q4_0":
        return None
    if name != "Q4_1":
        return 1 if prompt == 512 else None
    if prompt >= 4096:
        return LONG_PREFILL if metric == "prefill" and plan == "int8" and other == name else None
    if other != name and metric == "prefill" and plan == "int8" and has_tiles():
        return FASTEST_WITH_TILES
    return (SAME if other == name else FASTEST)[plan][metric == "prefill"]


def roof_of(documents, metric, goal):
    """The share of the limit that binds; with |goal| the share of the memory rate, and the goal."""
    roofs = [d[f"{metric}_roof"] for d in documents if d.get(f"{metric}_roof")]
    if not roofs:
        return None
    kind = "memory" if goal else roofs[0]["binds"]
    return {"kind": kind, "percent": statistics.median(r[f"{kind}_percent"] for r in roofs), **({"target": goal} if goal else {})}


def peer_entry(got, settings, name, metric, goal, read):
    setting = settings[name][metric]
    samples = got["llama.cpp", name, setting][metric]
    text = setting_text(setting)
    if metric == "decode" and read:
        text += f", {100 * statistics.median(samples) * os.path.getsize(weights(name)) / read:.0f} % of memory"
    return {"samples": samples, "settings": text, "target": goal}


def compare_group(args, report, group, running, threads, prompt):
    """All formats of a group, all plans, one loop. |running|: {format: its plans that run}, filled here."""
    long = prompt >= 4096
    gen, sides, kept = 8 if long else GEN, {}, {}
    for name in group:
        running[name] = running.get(name) or plans_that_run(args, report, name)
    plans = {name: [p for p in running[name] if args.full or not long or p == like_for_like(name)] for name in group}
    settings = {name: best_settings(name, threads, prompt, args.quick) for name in group}
    for name in group:
        for setting in set(settings[name].values() if gen == GEN else [settings[name]["prefill"]]):
            sides["llama.cpp", name, setting] = functools.partial(peer_rates, name, threads, prompt, gen, setting)
        for plan in plans[name]:
            kept[name, plan] = []
            sides["weir", name, plan] = functools.partial(weir_bench, args, name, plan, threads, prompt, gen, kept[name, plan])
    rounds = min(args.rounds, 2) if args.quick and group != GROUPS[0] else args.rounds
    got = common.interleave(sides, rounds, 10 if args.quick else 300, args.most)
    for name, plan in kept:
        documents = kept[name, plan]
        read = statistics.median(d["roof"]["read_bytes_per_s"] for d in documents)
        for metric in ("prefill",) if long else ("prefill", "decode"):
            peers = {}
            for other in group:
                if other == name or other == "Q4_0":
                    goal = target(plan, metric, prompt, other, name)
                    peers[f"llama.cpp {other}"] = peer_entry(got, settings, other, metric, goal, read)
            note = None if args.quick and name != "Q4_1" or long else quality(args.weir, name, plan, plans[name])
            roof_goal = DECODE_ROOF if metric == "decode" and name == "Q4_1" and plan in plans_with_goals(name) else None
            report.add(f"{metric}, {name}, {plan}, prompt {prompt}", threads, "tokens/s", got["weir", name, plan][metric], peers,
                       roof=roof_of(documents, metric, roof_goal), note=note)


# ---- start and memory

def time_to(words, ends_at_line):
    start = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if ends_at_line else None
        took = time.perf_counter() - start
        _, said = process.communicate()
        if not ends_at_line:
            took = time.perf_counter() - start
    if process.returncode or line == "":
        raise common.Unavailable(f"{os.path.basename(words[0])} {words[1]}: exit {process.returncode}: {said.strip()[-300:]}")
    return took


def write_tokens(path, vocabulary, count):
    import numpy
    numpy.save(path, numpy.array([(i * 7919 + 101) % vocabulary for i in range(count)], numpy.int32))


def compare_start(args, report, name, plan, threads, prompt=512):
    with tempfile.TemporaryDirectory() as scratch:
        package, tokens = os.path.join(scratch, "model.wpk"), os.path.join(scratch, "tokens.npy")
        common.command([args.weir, "build", MODEL, *plan_words(name, plan), "--target", "cpu", "-o", package, "--quiet"])
        write_tokens(tokens, 49152, prompt)
        setting = best_settings(name, threads, prompt, args.quick)["prefill"]
        ours = [args.weir, "run", package, "-e", "next", "-i", f"tokens={tokens}", "-o", f"output={os.path.join(scratch, 'out.npy')}",
                "--threads", str(threads), "--quiet"]
        build, *rest = setting
        theirs = [peer_program(build), "first", weights(name), str(threads), str(prompt), *map(str, rest)]
        goals = (FIRST_TOKEN, MEMORY) if plan == like_for_like(name) or name == "Q4_1" and plan == "exact" else (None, None)
        got = common.interleave({"weir": lambda: time_to(ours, False), "peer": lambda: time_to(theirs, True)}, args.rounds,
                                10 if args.quick else 120, args.most)
        report.add(f"first token, {name}, {plan}, prompt {prompt}", threads, "s", got["weir"],
                   {f"llama.cpp {name}": {"samples": got["peer"], "settings": setting_text(setting), "target": goals[0]}}, is_time=True)
        mine = common.weir(args, "bench", package, "--prompt", prompt, "--gen", GEN, "--threads", threads, "--repeat", 1)
        peer = peer_rates(name, threads, prompt, GEN, setting)
        report.add(f"peak memory, {name}, {plan}, prompt {prompt}", threads, "MB", [mine["peak_memory_bytes"] / 1e6],
                   {f"llama.cpp {name}": {"samples": [peer["peak_bytes"] / 1e6], "target": goals[1]}}, is_time=True)


def measure(args, report):
    """The cases that matter most come first, each on all counts of threads."""
    peer_program()
    report.versions["llama-cpp-python"] = importlib.metadata.version("llama-cpp-python")
    running = {}

    def groups(prompt, threads, chosen):
        for group in chosen:
            for count in threads:
                case = f"prefill, {'decode, ' if prompt < 4096 else ''}{'/'.join(group)}, prompt {prompt}, {count} threads"
                report.attempt(case, compare_group, args, report, group, running, count, prompt)

    groups(512, args.threads, GROUPS[:1])
    for name in FORMATS if args.full else ("Q4_1", "Q4_0"):
        for plan in PLANS if args.full else plans_with_goals(name):
            for threads in args.threads:
                report.attempt(f"first token, peak memory, {name}, {plan}, {threads} threads", compare_start, args, report, name, plan, threads)
    groups(512, args.threads, GROUPS[1:])
    groups(4096, args.threads[::-1], GROUPS if args.full else [("Q4_1",)])  # one thread takes the longest


def main():
    args = common.arguments(__doc__)
    report = common.Report("llama", args)
    try:
        measure(args, report)
    except common.Unavailable as error:
        report.skip("all of llama.cpp", error)
    report.finish()


if __name__ == "__main__":
    main()
