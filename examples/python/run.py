#!/usr/bin/env python3
"""Runs an entry of a package on zeros and prints what it gives: run.py PACKAGE [ENTRY] [SYMBOL=SIZE...]

NumPy is used where it is there, and not needed.
"""
import re
import sys

import weir


def example(info, sizes):
    """Zeros (or the least value allowed) in the shape that |info| asks for."""
    def size(text):
        text = text.strip()
        return sizes.get(text, int(text) if re.fullmatch(r"\d+", text) else 4)
    value = info.lo if info.lo is not None and info.lo > 0 else 0
    if info.dtype.startswith(("f", "bf")):
        value = float(value)
    for dim in reversed([d for d in info.dims.split(",") if d.strip()]):
        value = [value] * size(dim)
    return value


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model = weir.load(sys.argv[1])
    sizes = {name: int(size) for name, size in (word.split("=") for word in sys.argv[2:] if "=" in word)}
    names = [word for word in sys.argv[2:] if "=" not in word] or list(model.entries)
    print(f"{model.name}, code for {model.isa}")
    for name in names:
        entry = model.entry(name)
        inputs = {info.name: example(info, sizes) for info in entry.inputs}
        for output, tensor in model.run(name, **inputs).items():
            print(f"{name}: {output} has shape {tuple(tensor.shape)}")


if __name__ == "__main__":
    main()
