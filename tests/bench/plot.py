"""A picture of a results.json: for each case how many times as fast as each peer Weir is, on a logarithmic axis, with the goals.

    plot.py results.json results.svg
"""
import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

TICKS = (0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 16, 32)
COLOURS = ["#3b6ea5", "#c8743c", "#5b8c5a", "#8a6bab", "#a14a4a", "#6b7280"]


def bars(document):
    """[(label, peer without its format, ratio, least, most, goal)] of one suite, in order."""
    out = []
    for row in document["rows"]:
        for name, peer in row["peers"].items():
            time, mine = row["lower_is_better"], row["weir"]
            low, high = (peer["min"] / mine["max"], peer["max"] / mine["min"]) if time else (mine["min"] / peer["max"], mine["max"] / peer["min"])
            out.append((f"{row['case']}, {row['threads']} t · {name}", name.split()[0].strip(","), peer["ratio"], low, high, peer.get("target")))
    return out


def draw(results, path):
    documents = [d for d in results["suites"] if bars(d)]
    counts = [len(bars(d)) for d in documents]
    if not counts:
        sys.exit("nothing was measured")
    figure, axes = plt.subplots(len(documents), 1, figsize=(11, 1.2 * len(documents) + 0.22 * sum(counts)), squeeze=False,
                                gridspec_kw={"height_ratios": [n + 2 for n in counts]}, layout="constrained")
    colours = {}
    for axis, document in zip(axes[:, 0], documents):
        rows = bars(document)
        for at, (_, peer, ratio, low, high, goal) in enumerate(rows):
            colour = colours.setdefault(peer, COLOURS[len(colours) % len(COLOURS)])
            axis.barh(at, ratio - 1, left=1, color=colour, height=0.7)
            axis.plot([low, high], [at, at], color="black", linewidth=0.8)
            if goal:
                axis.plot([goal, goal], [at - 0.42, at + 0.42], color="black", linewidth=2)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        ends = [1, *(v for row in rows for v in (row[3], row[4], row[5] or 1))]
        axis.set_xlim(min(ends) / 1.1, max(ends) * 1.1)
        axis.set_xticks([t for t in TICKS if min(ends) / 1.1 <= t <= max(ends) * 1.1])
        axis.minorticks_off()
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=7)
        axis.invert_yaxis()
        axis.set_title(document["suite"], loc="left", fontsize=10)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in colours.values()]
    figure.legend(handles, colours, loc="outside upper right", ncols=len(colours), fontsize=8)
    m = results["machine"]
    figure.suptitle(f"times as fast as the peer (thin: spread, thick: goal) · {m['cpu']}, {m['cores']} cores · {results['commit'][:12]}",
                    fontsize=9, x=0.01, ha="left")
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        draw(json.load(file), sys.argv[2])
