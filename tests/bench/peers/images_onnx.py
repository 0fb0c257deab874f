"""Writes ResNet-50 or MobileNetV3-Small with random weights twice: for Weir as safetensors with torchvision's names, and for the peers as an ONNX
graph as an exporter would write it (batch norm as nodes of its own: the peers fold it; the batch is a free dim).

    images_onnx.py resnet|mobilenetv3 FOLDER     FOLDER/model.safetensors and FOLDER/model.onnx
"""
import json
import os
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MOBILE = [  # input, kernel, expanded, output, squeeze?, activation, stride
    (16, 3, 16, 16, True, "relu", 2), (16, 3, 72, 24, False, "relu", 2), (24, 3, 88, 24, False, "relu", 1),
    (24, 5, 96, 40, True, "hardswish", 2), (40, 5, 240, 40, True, "hardswish", 1), (40, 5, 240, 40, True, "hardswish", 1),
    (40, 5, 120, 48, True, "hardswish", 1), (48, 5, 144, 48, True, "hardswish", 1), (48, 5, 288, 96, True, "hardswish", 2),
    (96, 5, 576, 96, True, "hardswish", 1), (96, 5, 576, 96, True, "hardswish", 1),
]


class Graph:
    def __init__(self, seed):
        self.nodes, self.inits, self.weights, self.count = [], [], {}, 0
        self.random = np.random.default_rng(seed)

    def param(self, name, array):
        array = np.ascontiguousarray(array, np.float32)
        self.weights[name] = array
        self.inits.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind, *inputs, **attrs):
        self.count += 1
        out = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attrs))
        return out

    def conv(self, x, name, inputs, outputs, size, stride=1, groups=1, bias=False):
        fan = inputs // groups * size * size
        w = self.random.standard_normal((outputs, inputs // groups, size, size)) * np.sqrt(2 / fan)
        args = [x, self.param(name + ".weight", w)]
        if bias:
            args.append(self.param(name + ".bias", self.random.standard_normal(outputs) * 0.1))
        pad = size // 2
        return self.op("Conv", *args, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4, group=groups)

    def norm(self, x, name, count, eps=1e-5, gain=1.0):
        parts = {"weight": gain + 0.1 * self.random.standard_normal(count), "bias": 0.1 * self.random.standard_normal(count),
                 "running_mean": 0.1 * self.random.standard_normal(count), "running_var": self.random.uniform(0.8, 1.2, count)}
        return self.op("BatchNormalization", x, *(self.param(f"{name}.{k}", v) for k, v in parts.items()), epsilon=eps)

    def linear(self, x, name, inputs, outputs):
        w = self.param(name + ".weight", self.random.standard_normal((outputs, inputs)) * np.sqrt(1 / inputs))
        return self.op("Gemm", x, w, self.param(name + ".bias", 0.1 * self.random.standard_normal(outputs)), transB=1)

    def act(self, x, kind):
        return self.op("HardSwish" if kind == "hardswish" else "Relu", x)


def resnet(g):
    x = g.act(g.norm(g.conv("images", "conv1", 3, 64, 7, 2), "bn1", 64), "relu")
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for i in range(depth):
            name, stride = f"layer{stage + 1}.{i}", 2 if stage and not i else 1
            y = g.act(g.norm(g.conv(x, name + ".conv1", inputs, width, 1), name + ".bn1", width), "relu")
            y = g.act(g.norm(g.conv(y, name + ".conv2", width, width, 3, stride), name + ".bn2", width), "relu")
            y = g.norm(g.conv(y, name + ".conv3", width, 4 * width, 1), name + ".bn3", 4 * width, gain=0.3)
            if not i:
                x = g.norm(g.conv(x, name + ".downsample.0", inputs, 4 * width, 1, stride), name + ".downsample.1", 4 * width)
            x = g.act(g.op("Add", y, x), "relu")
            inputs = 4 * width
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    return g.op("Softmax", g.linear(x, "fc", inputs, 1000), axis=-1)


def divisible(v):
    n = max(8, int(v + 4) // 8 * 8)
    return n + 8 if n < 0.9 * v else n


def mobilenetv3(g):
    x = g.act(g.norm(g.conv("images", "features.0.0", 3, 16, 3, 2), "features.0.1", 16, 1e-3), "hardswish")
    for i, (inputs, size, wide, outputs, squeeze, act, stride) in enumerate(MOBILE):
        name, at, y = f"features.{i + 1}.block.", 0, x
        if wide != inputs:
            y, at = g.act(g.norm(g.conv(y, name + "0.0", inputs, wide, 1), name + "0.1", wide, 1e-3), act), 1
        y = g.act(g.norm(g.conv(y, f"{name}{at}.0", wide, wide, size, stride, wide), f"{name}{at}.1", wide, 1e-3), act)
        if squeeze:
            at += 1
            few = divisible(wide / 4)
            s = g.act(g.conv(g.op("GlobalAveragePool", y), f"{name}{at}.fc1", wide, few, 1, bias=True), "relu")
            s = g.op("HardSigmoid", g.conv(s, f"{name}{at}.fc2", few, wide, 1, bias=True), alpha=1 / 6, beta=0.5)
            y = g.op("Mul", y, s)
        y = g.norm(g.conv(y, f"{name}{at + 1}.0", wide, outputs, 1), f"{name}{at + 1}.1", outputs, 1e-3)
        x = g.op("Add", x, y) if stride == 1 and inputs == outputs else y
    x = g.act(g.norm(g.conv(x, "features.12.0", 96, 576, 1), "features.12.1", 576, 1e-3), "hardswish")
    x = g.act(g.linear(g.op("Flatten", g.op("GlobalAveragePool", x)), "classifier.0", 576, 1024), "hardswish")
    return g.linear(x, "classifier.3", 1024, 1000)


def write_safetensors(path, weights):
    head, at = {}, 0
    for name, array in weights.items():
        head[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for array in weights.values():
            f.write(array.tobytes())


def main(model, folder):
    g = Graph(1)
    out = {"resnet": resnet, "mobilenetv3": mobilenetv3}[model](g)
    g.nodes.append(helper.make_node("Identity", [out], ["classes"]))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 224, 224])
    classes = helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["batch", 1000])
    graph = helper.make_graph(g.nodes, model, [images], [classes], g.inits)
    os.makedirs(folder, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), os.path.join(folder, "model.onnx"))
    write_safetensors(os.path.join(folder, "model.safetensors"), g.weights)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
