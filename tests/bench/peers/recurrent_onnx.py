"""Writes one LSTM, GRU or selective scan with random weights twice: safetensors for Weir (peers/recurrent.weir), and ONNX for ONNX Runtime, whose
LSTM and GRU ops are one node each; the selective scan is a Scan.

    recurrent_onnx.py lstm|gru|ssm INPUTS HIDDEN FOLDER     FOLDER/model.safetensors and FOLDER/model.onnx; ssm: N and E
"""
import os
import sys

import numpy as np
import onnx
from images_onnx import write_safetensors
from onnx import TensorProto, helper, numpy_helper

ORDER = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}  # of PyTorch's gates, as ONNX wants them


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def cell(kind, inputs, hidden):
    random, gates, reach = np.random.default_rng(1), len(ORDER[kind]), 1 / np.sqrt(hidden)
    draw = lambda *shape: random.uniform(-reach, reach, shape).astype(np.float32)
    w = {"weight_ih": draw(gates * hidden, inputs), "weight_hh": draw(gates * hidden, hidden),
         "bias_ih": draw(gates * hidden), "bias_hh": draw(gates * hidden)}
    reorder = lambda x: np.concatenate([np.split(x, gates)[i] for i in ORDER[kind]])
    both = np.concatenate([reorder(w["bias_ih"]), reorder(w["bias_hh"])])
    inits = [numpy_helper.from_array(x[None], n) for x, n in ((reorder(w["weight_ih"]), "W"), (reorder(w["weight_hh"]), "R"), (both, "B"))]
    more = {"linear_before_reset": 1} if kind == "gru" else {}
    node = helper.make_node(kind.upper(), ["x", "W", "R", "B"], ["y"], hidden_size=hidden, **more)
    graph = helper.make_graph([node], kind, [value("x", "T", "B", inputs)], [value("y", "T", 1, "B", hidden)], inits)
    return graph, {"rnn.cell." + name: x for name, x in w.items()}


def selective(states, width):
    a = -np.random.default_rng(1).uniform(0.5, 2, (width, states)).astype(np.float32)
    nodes = [helper.make_node(*n[:3], **(n[3] if len(n) > 3 else {})) for n in (
        ("Unsqueeze", ["dt", "last"], ["dt1"]), ("Unsqueeze", ["u", "last"], ["u1"]),
        ("Mul", ["dt1", "A"], ["e0"]), ("Exp", ["e0"], ["e"]), ("Mul", ["e", "h"], ["h0"]),
        ("Unsqueeze", ["b", "middle"], ["b1"]), ("Mul", ["dt1", "b1"], ["i0"]), ("Mul", ["i0", "u1"], ["i"]), ("Add", ["h0", "i"], ["next"]),
        ("Unsqueeze", ["c", "last"], ["c1"]), ("MatMul", ["next", "c1"], ["y1"]), ("Squeeze", ["y1", "last"], ["y"]))]
    body = helper.make_graph(nodes, "step", [value("h", "B", width, states), value("u", "B", width), value("dt", "B", width),
                                             value("b", "B", states), value("c", "B", states)],
                             [value("next", "B", width, states), value("y", "B", width)])
    scan = helper.make_node("Scan", ["start", "us", "dts", "bs", "cs"], ["end", "ys"], body=body, num_scan_inputs=4)
    ints = lambda name, x: numpy_helper.from_array(np.array(x, np.int64), name)
    start = [helper.make_node("Shape", ["us"], ["shape"]), helper.make_node("Gather", ["shape", "one"], ["batch"]),
             helper.make_node("Concat", ["batch", "rest"], ["full"], axis=0),
             helper.make_node("ConstantOfShape", ["full"], ["start"], value=numpy_helper.from_array(np.zeros(1, np.float32)))]
    inits = [ints("last", [2]), ints("middle", [1]), ints("one", [1]), ints("rest", [width, states]), numpy_helper.from_array(a, "A")]
    shapes = (("us", width), ("dts", width), ("bs", states), ("cs", states))
    graph = helper.make_graph(start + [scan], "ssm", [value(n, "T", "B", w) for n, w in shapes], [value("ys", "T", "B", width)], inits)
    return graph, {"ssm.A": a}


def main(kind, inputs, hidden, folder):
    graph, weights = selective(inputs, hidden) if kind == "ssm" else cell(kind, inputs, hidden)
    os.makedirs(folder, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), os.path.join(folder, "model.onnx"))
    write_safetensors(os.path.join(folder, "model.safetensors"), weights)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
