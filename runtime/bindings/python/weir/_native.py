"""The C API of runtime/weir.h as ctypes sees it: the library, its structs, its functions. Nothing here is for users.

Calls through CDLL release the GIL, so a run does not stop other threads.
"""
from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import (POINTER, Structure, c_bool, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint64,
                    c_void_p)

MAX_RANK = 8


def _find() -> str:
    """$WEIR_LIBRARY, else the library in this package, else the system's."""
    given = os.environ.get("WEIR_LIBRARY")
    if given:
        return given
    inside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libweir.so.0")
    if os.path.exists(inside):
        return inside
    found = ctypes.util.find_library("weir")
    if not found:
        raise ImportError("libweir.so is neither in this package nor installed; WEIR_LIBRARY may name it")
    return found


class LoadOptions(Structure):
    _fields_ = [("device", c_char_p), ("isa", c_char_p), ("allocator", c_void_p), ("weights_folder", c_char_p),
                ("require_key", c_char_p)]


class SymbolInfo(Structure):
    _fields_ = [("name", c_char_p), ("role", c_int), ("lo", c_int64), ("hi", c_int64), ("divisor", c_int64),
                ("grows", c_bool), ("stored", c_bool)]


class TensorInfo(Structure):
    _fields_ = [("name", c_char_p), ("dtype", c_int), ("rank", c_int), ("dims", c_char_p), ("lo", c_int64),
                ("hi", c_int64)]


class StateInfo(Structure):
    _fields_ = [("path", c_char_p), ("dtype", c_int), ("rows", c_bool), ("symbol", c_char_p), ("row_bytes", c_int64),
                ("window", c_int64), ("whole", c_bool), ("unset", c_bool)]


class EntryInfo(Structure):
    _fields_ = [("name", c_char_p), ("step", c_bool), ("symbol_count", c_int), ("input_count", c_int),
                ("output_count", c_int), ("state_count", c_int)]


class View(Structure):
    _fields_ = [("data", c_void_p), ("bytes", c_size_t), ("dtype", c_int), ("rank", c_int),
                ("shape", c_int64 * MAX_RANK)]


class Capacity(Structure):
    _fields_ = [("symbol", c_char_p), ("rows", c_int64)]


class ExecutorOptions(Structure):
    _fields_ = [("threads", c_int), ("no_pin", c_bool), ("no_growth", c_bool)]


class Request(Structure):
    _fields_ = [("session", c_void_p), ("inputs", POINTER(View)), ("outputs", POINTER(View))]


class Memory(Structure):
    _fields_ = [(name, c_int64) for name in ("weights_bytes", "arena_bytes", "state_bytes", "table_bytes",
                                             "scratch_bytes", "packing_bytes", "total_bytes")]


# ---- DLPack (its DLTensor and DLManagedTensor)

class DLDevice(Structure):
    _fields_ = [("type", c_int32), ("id", c_int32)]


class DLDataType(Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class DLTensor(Structure):
    _fields_ = [("data", c_void_p), ("device", DLDevice), ("ndim", c_int32), ("dtype", DLDataType),
                ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class DLManagedTensor(Structure):
    pass


DELETER = ctypes.CFUNCTYPE(None, POINTER(DLManagedTensor))
DLManagedTensor._fields_ = [("dl_tensor", DLTensor), ("manager_ctx", c_void_p), ("deleter", DELETER)]


# ---- functions

_SIGNATURES = {
    "weir_status_code": (c_int, [c_void_p]),
    "weir_status_message": (c_char_p, [c_void_p]),
    "weir_status_release": (None, [c_void_p]),
    "weir_code_name": (c_char_p, [c_int]),
    "weir_dtype_name": (c_char_p, [c_int]),
    "weir_dtype_bytes": (c_size_t, [c_int]),
    "weir_model_load": (c_void_p, [c_char_p, POINTER(LoadOptions), POINTER(c_void_p)]),
    "weir_model_release": (None, [c_void_p]),
    "weir_model_name": (c_char_p, [c_void_p]),
    "weir_model_isa": (c_char_p, [c_void_p]),
    "weir_model_entry_count": (c_int, [c_void_p]),
    "weir_model_entry": (c_void_p, [c_void_p, c_int]),
    "weir_entry_describe": (EntryInfo, [c_void_p]),
    "weir_entry_symbol": (SymbolInfo, [c_void_p, c_int]),
    "weir_entry_input": (TensorInfo, [c_void_p, c_int]),
    "weir_entry_output": (TensorInfo, [c_void_p, c_int]),
    "weir_entry_state": (StateInfo, [c_void_p, c_int]),
    "weir_view_from_dlpack": (c_void_p, [POINTER(DLTensor), POINTER(View)]),
    "weir_session_open": (c_void_p, [c_void_p, POINTER(Capacity), c_int, POINTER(c_void_p)]),
    "weir_session_close": (None, [c_void_p]),
    "weir_session_rows": (c_int64, [c_void_p, c_char_p]),
    "weir_session_capacity": (c_int64, [c_void_p, c_char_p]),
    "weir_session_grow": (c_void_p, [c_void_p, c_char_p, c_int64]),
    "weir_session_truncate": (c_void_p, [c_void_p, c_char_p, c_int64]),
    "weir_session_fork": (c_void_p, [c_void_p, POINTER(c_void_p)]),
    "weir_session_export": (c_void_p, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "weir_session_import": (c_void_p, [c_void_p, c_char_p, c_size_t]),
    "weir_executor_create": (c_void_p, [c_void_p, POINTER(ExecutorOptions), POINTER(c_void_p)]),
    "weir_executor_destroy": (None, [c_void_p]),
    "weir_executor_threads": (c_int, [c_void_p]),
    "weir_output_shapes": (c_void_p, [c_void_p, POINTER(Request), c_int]),
    "weir_run": (c_void_p, [c_void_p, c_void_p, POINTER(Request), c_int, c_void_p]),
    "weir_memory_measured": (None, [c_void_p, POINTER(Memory)]),
}


def _open() -> ctypes.CDLL:
    library = ctypes.CDLL(_find())
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


lib = _open()
