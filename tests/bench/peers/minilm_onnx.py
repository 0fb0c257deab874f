"""Writes all-MiniLM-L6-v2 as an ONNX graph from its safetensors file, as an exporter would: padded batches with a mask, mean pooling, unit length.

    minilm_onnx.py FOLDER OUT.onnx [--fused]     FOLDER holds model.safetensors

With --fused, in the operators that ONNX Runtime's transformer optimizer puts in place of an exporter's: EmbedLayerNormalization, Attention,
SkipLayerNormalization, BiasGelu. They are written directly, so that no pattern is missed.
"""
import json
import os
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def read_safetensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(size))
        body = f.read()
    kinds = {"F32": "<f4", "I64": "<i8"}
    return {
        name: np.frombuffer(body[e["data_offsets"][0] : e["data_offsets"][1]], kinds[e["dtype"]]).reshape(e["shape"])
        for name, e in head.items()
        if name != "__metadata__"
    }


class Graph:
    def __init__(self):
        self.nodes, self.inits, self.count = [], [], 0

    def const(self, array, name=None):
        name = name or f"c{len(self.inits)}"
        self.inits.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, kind, *inputs, **attrs):
        return self.ops(kind, inputs, 1, **attrs)[0]

    def ops(self, kind, inputs, outputs, **attrs):
        self.count += 1
        out = [f"v{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), out, **attrs))
        return out


HEADS, EPS = 12, 1e-12


def exported(g, w, layers, size):
    """The encoder in standard operators."""
    depth = size // HEADS

    def linear(x, name):
        return g.op("Add", g.op("MatMul", x, g.const(w[name + ".weight"].T)), g.const(w[name + ".bias"]))

    def norm(x, name):
        return g.op("LayerNormalization", x, g.const(w[name + ".weight"]), g.const(w[name + ".bias"]), axis=-1, epsilon=EPS)

    def split(x, order):
        x = g.op("Reshape", x, g.const(np.array([0, 0, HEADS, depth], np.int64)))
        return g.op("Transpose", x, perm=order)

    words = g.op("Gather", g.const(w["embeddings.word_embeddings.weight"]), "ids")
    length = g.op("Slice", g.op("Shape", "ids"), g.const(np.array([1], np.int64)), g.const(np.array([2], np.int64)))
    table = g.const(np.arange(512, dtype=np.int64)[None])
    positions = g.op("Slice", table, g.const(np.array([0], np.int64)), length, g.const(np.array([1], np.int64)))
    x = g.op("Add", words, g.op("Gather", g.const(w["embeddings.position_embeddings.weight"]), positions))
    x = g.op("Add", x, g.const(w["embeddings.token_type_embeddings.weight"][0]))
    x = norm(x, "embeddings.LayerNorm")
    mask = g.op("Cast", "mask", to=TensorProto.FLOAT)
    gone = g.op("Mul", g.op("Sub", g.const(np.float32(1)), mask), g.const(np.float32(-1e9)))
    gone = g.op("Unsqueeze", gone, g.const(np.array([1, 2], np.int64)))
    for i in range(layers):
        p = f"encoder.layer.{i}."
        q = split(linear(x, p + "attention.self.query"), [0, 2, 1, 3])
        k = split(linear(x, p + "attention.self.key"), [0, 2, 3, 1])
        v = split(linear(x, p + "attention.self.value"), [0, 2, 1, 3])
        s = g.op("Mul", g.op("MatMul", q, k), g.const(np.float32(1 / np.sqrt(depth))))
        a = g.op("MatMul", g.op("Softmax", g.op("Add", s, gone), axis=-1), v)
        a = g.op("Reshape", g.op("Transpose", a, perm=[0, 2, 1, 3]), g.const(np.array([0, 0, size], np.int64)))
        x = norm(g.op("Add", x, linear(a, p + "attention.output.dense")), p + "attention.output.LayerNorm")
        h = linear(x, p + "intermediate.dense")
        e = g.op("Erf", g.op("Div", h, g.const(np.float32(np.sqrt(2)))))
        h = g.op("Mul", g.op("Mul", h, g.op("Add", e, g.const(np.float32(1)))), g.const(np.float32(0.5)))
        x = norm(g.op("Add", x, linear(h, p + "output.dense")), p + "output.LayerNorm")
    return x


def fused(g, w, layers, size):
    """The same in ONNX Runtime's own operators."""
    own = {"domain": "com.microsoft"}
    const = lambda name: g.const(w[name])
    ids, mask = g.op("Cast", "ids", to=TensorProto.INT32), g.op("Cast", "mask", to=TensorProto.INT32)
    kinds = g.op("Sub", ids, ids)  # all of the first kind
    e = "embeddings."
    x, lengths = g.ops("EmbedLayerNormalization", [ids, kinds, const(e + "word_embeddings.weight"), const(e + "position_embeddings.weight"),
                                                   const(e + "token_type_embeddings.weight"), const(e + "LayerNorm.weight"),
                                                   const(e + "LayerNorm.bias"), mask], 2, epsilon=EPS, **own)
    for i in range(layers):
        p = f"encoder.layer.{i}."
        parts = [p + f"attention.self.{part}" for part in ("query", "key", "value")]
        weight = g.const(np.concatenate([w[part + ".weight"].T for part in parts], axis=1))
        bias = g.const(np.concatenate([w[part + ".bias"] for part in parts]))
        a = g.op("Attention", x, weight, bias, lengths, num_heads=HEADS, **own)
        add = lambda y, skip, norm, name: g.op("SkipLayerNormalization", g.op("MatMul", y, g.const(w[name + ".weight"].T)), skip,
                                               const(norm + ".weight"), const(norm + ".bias"), const(name + ".bias"), epsilon=EPS, **own)
        x = add(a, x, p + "attention.output.LayerNorm", p + "attention.output.dense")
        h = g.op("BiasGelu", g.op("MatMul", x, g.const(w[p + "intermediate.dense.weight"].T)), const(p + "intermediate.dense.bias"), **own)
        x = add(h, x, p + "output.LayerNorm", p + "output.dense")
    return x


def build(folder, encoder):
    w = read_safetensors(os.path.join(folder, "model.safetensors"))
    layers = 1 + max(int(name.split(".")[2]) for name in w if name.startswith("encoder.layer."))
    size = w["embeddings.LayerNorm.weight"].shape[0]
    g = Graph()
    x = encoder(g, w, layers, size)
    mask = g.op("Cast", "mask", to=TensorProto.FLOAT)
    weight = g.op("Unsqueeze", mask, g.const(np.array([2], np.int64)))
    axes = g.const(np.array([1], np.int64))
    m = g.op("Div", g.op("ReduceSum", g.op("Mul", x, weight), axes, keepdims=0), g.op("ReduceSum", weight, axes, keepdims=0))
    n = g.op("ReduceL2", m, g.const(np.array([1], np.int64)), keepdims=1)
    g.nodes.append(helper.make_node("Div", [m, n], ["embedding"]))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    mask_info = helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", size])
    graph = helper.make_graph(g.nodes, "minilm", [ids, mask_info], [out], g.inits)
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


if __name__ == "__main__":
    onnx.save(build(sys.argv[1], fused if "--fused" in sys.argv[3:] else exported), sys.argv[2])
