"""Runs Weir packages: deep-learning models compiled to one file.

    import weir
    model = weir.load("model.wpk")
    model.run("score", tokens=[1, 2, 3])["output"]

    with model.session(T=512) as session:
        session.step("next", tokens=[504, 2])
        session.step("next", tokens=[17])
"""
from __future__ import annotations

import os
from typing import Optional, Union

from .errors import Code, InvalidArgument, InvalidData, NotFound, OutOfRange, Unsupported, WeirError
from .model import Entry, Executor, Model, Session, StateInfo, SymbolInfo, TensorInfo
from .tensor import Tensor

__version__ = "0.1.0"
__all__ = ["Code", "Entry", "Executor", "InvalidArgument", "InvalidData", "Model", "NotFound", "OutOfRange", "Session",
           "StateInfo", "SymbolInfo", "Tensor", "TensorInfo", "Unsupported", "WeirError", "load"]


def load(path: Union[str, "os.PathLike[str]"], *, threads: int = 0, isa: Optional[str] = None,
         weights_folder: Optional[str] = None, require_key: Optional[str] = None) -> Model:
    """Loads the package at |path|.

    |threads|: of |Model.run|; 0: one for each core. |isa|: the code to use, as in "x86-64-v3"; default: the best that this
    machine can run. |weights_folder|: a further folder for weights beside the package. |require_key|: the public key that
    must have signed it, 64 hexadecimal digits or the text of a PEM file; then all of it is checked before it is used.
    """
    return Model(path, threads=threads, isa=isa, weights_folder=weights_folder, require_key=require_key)
