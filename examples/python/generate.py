#!/usr/bin/env python3
"""Goes on with a list of token ids by a language model's step, greedily: generate.py PACKAGE COUNT ID...

Shows sessions: the prompt is one step, every new token another; a fork goes its own way from the same rows.
"""
import sys

import weir


def largest(logits):
    values = logits.tolist()
    return max(range(len(values)), key=values.__getitem__)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    model, count, tokens = weir.load(sys.argv[1]), int(sys.argv[2]), [int(word) for word in sys.argv[3:]]
    step = next(entry for entry in model.entries.values() if entry.step)
    name, output = step.inputs[0].name, step.outputs[0].name
    symbol = next(s.name for s in step.symbols if s.grows)
    with model.session(**{symbol: len(tokens) + count}) as session:
        made, given = [], tokens
        for _ in range(count):
            made.append(largest(session.step(step.name, **{name: given})[output]))
            given = made[-1:]
        print(*made)


if __name__ == "__main__":
    main()
