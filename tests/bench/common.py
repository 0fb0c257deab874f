"""What the comparisons share: options, running weir, interleaved rounds, rows of results, their table.

Every compare_NAME.py measures one kind of model, kernel or command, most of them against peers, and takes the same options. With --json FILE
it keeps one document there, written anew after each case, so that a run that is stopped leaves what it had. `run` collects these:

    {"suite": NAME, "versions": {peer: version}, "roofs": [limits, by threads...], "rows": [row...], "skipped": [{"case", "reason"}...]}

and a row is a case, measured on all sides in the same interleaved rounds:

    {"case": "decode, Q4_1, prompt 512", "threads": 2, "unit": "tokens/s", "lower_is_better": false,
     "weir": {"median", "min", "max", "count"},
     "peers": {"llama.cpp": {"median", "min", "max", "count", "ratio", "target"?, "settings"?}},
     "ratio": Weir against the fastest peer; above 1 Weir is ahead, for times too,
     "roof": {"kind": "memory", "percent": 81.2, "target"?}?, "note": text?,
     "goals": [{"goal": "2x llama.cpp", "value": "2.41x", "against": ["llama.cpp"], "met": true}...]}

Peers with the same target are one goal: Weir is held against the best of them.

Rounds adapt to noise: they go on until the medians are certain to a few percent, or until the time that a case has is spent. Three depths:
--quick measures the cases that have goals in few rounds, --full all cases, and without either the cases that have goals in full rounds.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SURE = 0.02  # the standard error of a median, as a share of it, at which a side needs no more rounds
MOST = 4     # times --rounds, where the machine is noisy; with --quick 1
PATIENCE = 3  # times the seconds of a case, before rounds that are wanted are given up
os.environ.setdefault("WEIR_MODELS", os.path.join(ROOT, "models"))  # for a weir that was built elsewhere


def home():
    """Weir's cache folder, as every command finds it."""
    return os.environ.get("WEIR_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weir")


def thread_list(words):
    """Of --threads 1 --threads 2 as of --threads 1,2."""
    return sorted({int(word) for text in words for word in text.split(",")})


def arguments(doc, add=None):
    """The options that every comparison takes; |add| may add its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="keep one JSON document there, written after each case")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--quick", action="store_true", help="the cases that have goals, few rounds")
    depth.add_argument("--full", action="store_true", help="all cases; without: those that have goals")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the cases with this in their name")
    parser.add_argument("--threads", action="append", metavar="N,...", help="threads on all sides (repeats); default: 1 and all cores")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="rounds at least; default 5, with --quick 3")
    parser.add_argument("--seconds", type=float, default=None, metavar="S", help="begin no case after so many seconds")
    parser.add_argument("--weir", default=os.environ.get("WEIR") or os.path.join(ROOT, "weir"), metavar="FILE")
    if add:
        add(parser)
    args = parser.parse_args()
    args.threads = thread_list(args.threads or ["1", str(cores())])
    args.rounds = args.rounds or (3 if args.quick else 5)
    args.most = 1 if args.quick else MOST
    args.roofs = {}
    return args


def cores():
    return len(os.sched_getaffinity(0))


class Unavailable(Exception):
    """A side that cannot run here: the case is skipped with this reason."""


def command(words, **more):
    """Standard output of a command. Unavailable, with the end of what it said, where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
        raise Unavailable(f"{os.path.basename(words[0])} {' '.join(words[1:3])}: exit {done.returncode}: {said[-300:]}")
    return done.stdout


def weir(args, *words, **more):
    """The result of a weir command as data. What it measured of the machine's limits is kept, the best by threads."""
    done = json.loads(command([args.weir, *map(str, words), "--json", "--quiet"], **more))
    roof = done.get("roof") if isinstance(done, dict) else None
    if roof:
        best = args.roofs.setdefault(roof["threads"], dict(roof))
        args.roofs[roof["threads"]] = {key: max(value, roof[key]) for key, value in best.items()}
    return done


# ---- rounds

def summary(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "count": len(samples)}


def is_sure(samples):
    """Whether more samples would hardly move the median; its error is taken from the quartiles, which outliers do not move."""
    if len(samples) < 3:
        return False
    low, middle, high = statistics.quantiles(samples, n=4)
    return middle > 0 and 0.93 * (high - low) / len(samples) ** 0.5 <= SURE * middle


def interleave(sides, rounds, seconds=120.0, most=MOST):
    """Calls every side once a round, in another order each round. |sides|: {name: function that gives one sample, or a dict of them}.

    Gives {name: samples} or {name: {key: samples}}. Between |rounds| and |most| * |rounds| rounds; past |rounds| only while some side is
    unsure and |seconds| last. On a machine so busy that even |rounds| take several times as long, fewer are made: their count is in the row.
    """
    kept = {name: [] for name in sides}
    order, start, turn = list(sides), time.monotonic(), 0
    shuffle = random.Random(1)
    while turn < most * rounds:
        spent = time.monotonic() - start
        if turn and (spent > PATIENCE * seconds or (turn >= rounds and (spent > seconds or all_sure(kept)))):
            break
        shuffle.shuffle(order)
        for name in order:
            kept[name].append(sides[name]())
        turn += 1
    return {name: turn_over(samples) for name, samples in kept.items()}


def turn_over(samples):
    """Samples of a list of dicts as a dict of lists."""
    return {key: [s[key] for s in samples] for key in samples[0]} if isinstance(samples[0], dict) else samples


def all_sure(kept):
    for samples in kept.values():
        turned = turn_over(samples)
        if not all(is_sure(s) for s in (turned.values() if isinstance(turned, dict) else [turned])):
            return False
    return True


def repeat(function, seconds, warm=True):
    """How often a second |function| can be called, from calls over |seconds|; with |warm| one call comes before."""
    if warm:
        function()
    count, start = 0, time.perf_counter()
    while True:
        function()
        count += 1
        took = time.perf_counter() - start
        if took >= seconds:
            return count / took


# ---- results

class Report:
    """Rows of one suite, and what could not be measured."""

    def __init__(self, suite, args):
        self.suite, self.args, self.start = suite, args, time.monotonic()
        self.versions, self.rows, self.skipped = {}, [], []

    def wants(self, case):
        return self.args.only.lower() in case.lower()

    def late(self, case):
        """Whether there is no time left for a case, which is noted then."""
        late = self.args.seconds is not None and time.monotonic() - self.start > self.args.seconds
        if late:
            self.skip(case, f"the {self.args.seconds:.0f} s of this suite were over")
        return late

    def attempt(self, case, function, *words):
        """Calls |function|, which measures |case|, if it is wanted and there is time; what cannot run is noted."""
        if not self.wants(case) or self.late(case):
            return
        try:
            function(*words)
        except Unavailable as error:
            self.skip(case, error)

    def skip(self, case, reason):
        self.skipped.append({"case": case, "reason": str(reason)})
        print(f"{self.suite}: skipped {case}: {reason}", file=sys.stderr)
        self.keep()

    def add(self, case, threads, unit, weir_samples, peers, is_time=False, roof=None, note=None, most=None):
        """|peers|: {name: samples, or {"samples", "settings"?, "target"?}}; |is_time|: less is better; |most|: a goal of the median by itself."""
        mine, row_peers = summary(weir_samples), {}
        for name, peer in peers.items():
            peer = peer if isinstance(peer, dict) else {"samples": peer}
            theirs = summary(peer["samples"])
            ratio = theirs["median"] / mine["median"] if is_time else mine["median"] / theirs["median"]
            row_peers[name] = {**theirs, "ratio": ratio, **{k: v for k, v in peer.items() if k != "samples" and v is not None}}
        row = {"case": case, "threads": threads, "unit": unit, "lower_is_better": is_time, "weir": mine, "peers": row_peers,
               "ratio": min((p["ratio"] for p in row_peers.values()), default=None)}
        row.update({k: v for k, v in (("roof", roof), ("note", note), ("most", most)) if v})
        row["goals"] = goals_of(row)
        self.rows.append(row)
        print(f"{self.suite}: {row_text(row)}", file=sys.stderr, flush=True)
        self.keep()

    def document(self):
        return {"suite": self.suite, "versions": self.versions, "roofs": list(self.args.roofs.values()), "rows": self.rows,
                "skipped": self.skipped}

    def keep(self):
        if self.args.json:
            with open(self.args.json + ".tmp", "w", encoding="utf-8") as file:
                json.dump(self.document(), file)
            os.replace(self.args.json + ".tmp", self.args.json)

    def finish(self):
        self.keep()
        if not self.args.json:
            print(markdown(self.document()))


def goals_of(row):
    """What the row was to reach, and whether it did: against peers, the best of those with the same target; of a limit; by itself."""
    out, targets = [], {}
    for name, peer in row["peers"].items():
        if peer.get("target"):
            targets.setdefault(peer["target"], []).append(name)
    for target, names in targets.items():
        ratio = min(row["peers"][name]["ratio"] for name in names)
        out.append({"goal": f"{target:g}x {' and '.join(names)}", "value": f"{ratio:.2f}x", "against": names, "met": ratio >= target})
    roof = row.get("roof") or {}
    if roof.get("target"):
        out.append({"goal": f"{roof['target']:g} % of {roof['kind']}", "value": f"{roof['percent']:.0f} %", "against": [],
                    "met": roof["percent"] >= roof["target"]})
    if row.get("most"):
        out.append({"goal": f"at most {number(row['most'])} {row['unit']}", "value": f"{number(row['weir']['median'])} {row['unit']}",
                    "against": [], "met": row["weir"]["median"] <= row["most"]})
    return out


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(side):
    return f"{number(side['median'])} ({number(side['min'])}..{number(side['max'])})"


def row_text(row):
    peers = "".join(f"; {name} {spread(peer)} ratio {peer['ratio']:.2f}" for name, peer in row["peers"].items())
    return f"{row['case']}, {row['threads']} threads: weir {spread(row['weir'])} {row['unit']}{peers}"


def verdict(need, met):
    return f"{need}: {'met' if met else 'missed'}"


def goal(peer):
    return verdict(f"{peer['target']:g}", peer["ratio"] >= peer["target"]) if peer.get("target") else ""


def own_goals(row):
    """Goals that no peer has a part in, for the column of the limit."""
    return "; ".join(verdict(g["goal"], g["met"]) for g in row["goals"] if not g["against"])


def goals_markdown(documents):
    """One line for each goal, and how many were met."""
    lines, met, missed = ["## Goals", "", "| suite | case | threads | measured | goal | |", "|---|---|---|---|---|---|"], 0, []
    for document in documents:
        for row in document["rows"]:
            for g in row["goals"]:
                lines.append(f"| {document['suite']} | {row['case']} | {row['threads']} | {g['value']} | {g['goal']} | {'met' if g['met'] else 'missed'} |")
                met += g["met"]
                if not g["met"]:
                    missed.append(f"- {document['suite']}: {row['case']}, {row['threads']} threads: {g['value']} of {g['goal']}")
    skipped = [f"- not measured: {d['suite']}: {s['case']}: {s['reason']}" for d in documents for s in d["skipped"]]
    return "\n".join([*lines, "", f"goals: {met} met, {len(missed)} missed" + (f"; {len(skipped)} cases not measured" if skipped else ""), "",
                      *missed, *skipped]) + "\n"


def markdown(document):
    """The table of one suite."""
    lines = [f"## {document['suite']}", ""]
    if document["versions"]:
        lines += [", ".join(f"{name} {version}" for name, version in document["versions"].items()) + ".", ""]
    for roof in document.get("roofs", ()):
        narrow = "".join(f", {roof[f'{kind}_ops_per_s'] / 1e9:.0f} Gop/s {kind}" for kind in ("bf16", "int8") if roof[f"{kind}_ops_per_s"])
        lines += [f"Limits measured on {roof['threads']} thread{'s' * (roof['threads'] > 1)}: {roof['read_bytes_per_s'] / 1e9:.1f} GB/s read, "
                  f"{roof['flops_per_s'] / 1e9:.0f} Gflop/s float32{narrow}.", ""]
    if document["rows"]:
        lines += ["| case | threads | Weir | roof | peer | | ratio | goal |", "|---|---|---|---|---|---|---|---|"]
    for row in document["rows"]:
        roof = f"{row['roof']['percent']:.0f} % of {row['roof']['kind']}" if row.get("roof") else ""
        roof = ", ".join(filter(None, (roof, own_goals(row))))
        case = row["case"] + (f"; {row['note']}" if row.get("note") else "")
        mine = f"{spread(row['weir'])} {row['unit']}"
        for name, peer in row["peers"].items() or [("", None)]:
            label = name + (f" ({peer['settings']})" if peer and peer.get("settings") else "")
            cells = (spread(peer), f"{peer['ratio']:.2f}", goal(peer)) if peer else ("", "", "")
            lines.append(f"| {case} | {row['threads']} | {mine} | {roof} | {label} | {cells[0]} | {cells[1]} | {cells[2]} |")
            case = mine = roof = ""
    for skip in document["skipped"]:
        lines += ["", f"Not measured: {skip['case']}: {skip['reason']}"]
    return "\n".join(lines) + "\n"
