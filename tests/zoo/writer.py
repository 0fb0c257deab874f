"""What the references of the zoo are made with: random weights and inputs, and a writer of one case's folder."""
import json
import os

import fill
import numpy as np
import torch
from safetensors.torch import save_file

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "zoo")


def randomize(model, seed, scale=0.3):
    """Fills every parameter and buffer that training would fill."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(model.state_dict().items()):
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            value.copy_(0.5 + noise.abs())
        elif value.dim() <= 1 and ("norm" in name.lower() or "bn" in name or "ln" in name) and name.endswith("weight"):
            value.copy_(1 + 0.2 * noise)
        else:
            fan = value.shape[1] if value.dim() == 2 else int(np.prod(value.shape[1:])) or 1
            value.copy_(noise * (scale if value.dim() < 2 else min(1.0, 1.5 / np.sqrt(fan))))
    model.eval()
    return model


def tokens(seed, count, limit):
    return np.random.default_rng(seed).integers(0, limit, count).astype(np.int32)


def floats(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ids(array):
    return torch.tensor(array.astype(np.int64))[None]


class Writer:
    """The folder of case |name|: |model| is a text of this repository, |sets| its arguments."""

    def __init__(self, name, model, sets=None):
        self.folder = os.path.join(DATA, name)
        os.makedirs(self.folder, exist_ok=True)
        self.case = {"model": model, "set": sets or {}, "runs": []}

    def weights(self, state):
        """The checkpoint; tied tensors once."""
        seen, out = set(), {}
        for name, value in state.items():
            if not value.is_floating_point() or value.data_ptr() in seen:
                continue
            seen.add(value.data_ptr())
            out[name] = value.detach().contiguous().clone()
        save_file(out, os.path.join(self.folder, "weights.safetensors"))

    def filled(self, model):
        """Weights by tests/zoo/fill.py: only names and shapes are kept."""
        shapes = {k: list(v.shape) for k, v in model.state_dict().items() if v.is_floating_point()}
        for name, value in model.state_dict().items():
            if name in shapes:
                value.copy_(torch.tensor(fill.tensor(name, shapes[name])))
        self.case["fill"] = shapes
        model.eval()

    def array(self, name, value):
        value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        np.save(os.path.join(self.folder, f"{name}.npy"), np.array(value, order="C"))
        return f"{name}.npy"

    def run(self, entry, inputs, outputs, step=False, before=None):
        """One request. |step|: a session may take it in any pieces. |before|: steps of the same session that come first."""
        number = len(self.case["runs"])
        self.case["runs"].append({
            "entry": entry, "step": step, "before": before,
            "inputs": {k: self.array(f"{entry}{number}.{k}", v) for k, v in inputs.items()},
            "outputs": {k: self.array(f"{entry}{number}.{k}", v) for k, v in outputs.items()},
        })

    def close(self):
        with open(os.path.join(self.folder, "case.json"), "w", encoding="utf-8") as file:
            json.dump(self.case, file, indent=1)
            file.write("\n")
