"""Weights that need no file: every number is a hash of the tensor's name and the element's index, scaled so that activations keep their
size. For models too large to keep; needs numpy.
"""
import json
import struct
import zlib

import numpy as np


def uniform(name, count):
    """count numbers in [-1, 1)."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return (x.astype(np.float64) / 2.0**31 - 1).astype(np.float32)


def tensor(name, shape):
    value = uniform(name, int(np.prod(shape))).reshape(shape)
    if name.endswith("running_var"):
        return np.float32(1) + np.float32(0.5) * value
    if len(shape) == 1 and name.endswith("weight"):
        return np.float32(1) + np.float32(0.3) * value
    if len(shape) == 1:
        return np.float32(0.2) * value
    return value * np.float32((3.0 / np.prod(shape[1:])) ** 0.5)


def write(path, shapes):
    """A safetensors file of all tensors in |shapes|."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            file.write(tensor(name, shape).tobytes())
