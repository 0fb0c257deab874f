"""Tensors in memory: what a run gives, and how the arrays of other libraries become views without a copy."""
from __future__ import annotations

import array
import ctypes
from typing import Any, List, Optional, Sequence, Tuple

from . import _native
from ._native import View, lib
from .errors import Code, check, failure

DTYPES = ("f16", "bf16", "f32", "f64", "f8e4m3", "f8e5m2", "i8", "i16", "i32", "i64", "u8", "bool")  # weir_dtype
# name: NumPy's type string, array's code, DLPack's (code, bits)
_FORMS = {
    "f16": ("<f2", None, (2, 16)), "bf16": (None, None, (4, 16)), "f32": ("<f4", "f", (2, 32)), "f64": ("<f8", "d", (2, 64)),
    "f8e4m3": (None, None, (10, 8)), "f8e5m2": (None, None, (12, 8)), "i8": ("|i1", "b", (0, 8)), "i16": ("<i2", "h", (0, 16)),
    "i32": ("<i4", "i", (0, 32)), "i64": ("<i8", "q", (0, 64)), "u8": ("|u1", "B", (1, 8)), "bool": ("|b1", "B", (6, 8)),
}
_CPU = 1  # kDLCPU

try:
    import numpy
except ImportError:  # NumPy is a convenience, not a need
    numpy = None  # type: ignore[assignment]


def has_numpy_type(dtype: str) -> bool:
    return _FORMS[dtype][0] is not None


class Tensor:
    """A dense row-major tensor of the runtime. Others read it without a copy: by DLPack, by NumPy, as a memoryview."""

    def __init__(self, dtype: str, shape: Sequence[int]):
        self.dtype = dtype
        self.shape: Tuple[int, ...] = tuple(shape)
        count = 1
        for size in self.shape:
            count *= size
        self._count = count
        self._bytes = count * lib.weir_dtype_bytes(DTYPES.index(dtype))
        # 64 bytes more, for a start that every kernel and library likes.
        self._room = ctypes.create_string_buffer(self._bytes + 64)
        self._address = (ctypes.addressof(self._room) + 63) // 64 * 64

    def __repr__(self) -> str:
        return f"weir.Tensor({self.dtype}{list(self.shape)})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    @property
    def data(self) -> memoryview:
        """Its bytes, which live as long as the view."""
        offset = self._address - ctypes.addressof(self._room)
        return memoryview(self._room).cast("B")[offset:offset + self._bytes]

    def tolist(self) -> Any:
        """Nested lists of numbers."""
        code = _FORMS[self.dtype][1]
        if numpy is not None and code is None and has_numpy_type(self.dtype):
            return self.numpy().tolist()
        if code is None:
            raise TypeError(f"elements of {self.dtype} have no Python form: read .data, or hand it on by DLPack")
        flat = array.array(code, bytes(self.data)).tolist()
        if self.dtype == "bool":
            flat = [bool(value) for value in flat]
        return _nest(flat, self.shape)

    def numpy(self) -> Any:
        """The same memory as a NumPy array."""
        if numpy is None:
            raise ImportError("NumPy is not installed")
        return numpy.asarray(self)

    @property
    def __array_interface__(self) -> dict:
        if not has_numpy_type(self.dtype):
            raise AttributeError(f"NumPy has no type for {self.dtype}")
        return {"version": 3, "shape": self.shape, "typestr": _FORMS[self.dtype][0], "data": (self._address, False)}

    def __dlpack_device__(self) -> Tuple[int, int]:
        return _CPU, 0

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
                   copy: Optional[bool] = None) -> Any:
        if dl_device is not None and tuple(dl_device) != (_CPU, 0):
            raise BufferError("the tensor is in the processor's memory")
        return _export(_copied(self) if copy else self)


def _nest(flat: List[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nest(flat[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


def _copied(tensor: Tensor) -> Tensor:
    other = Tensor(tensor.dtype, tensor.shape)
    ctypes.memmove(other._address, tensor._address, tensor._bytes)
    return other


def _describe(address: int, dtype: str, shape: Sequence[int]) -> _native.DLTensor:
    """Dense memory as DLPack says it. ctypes keeps the shape as long as the struct that points to it."""
    dl = _native.DLTensor(data=address, ndim=len(shape))
    dl.device.type, dl.device.id = _CPU, 0
    dl.dtype.code, dl.dtype.bits = _FORMS[dtype][2]
    dl.dtype.lanes = 1
    dl.shape = ctypes.cast((ctypes.c_int64 * max(1, len(shape)))(*shape), ctypes.POINTER(ctypes.c_int64))
    return dl


def _view_of(dl: _native.DLTensor) -> View:
    view = View()
    check(lib.weir_view_from_dlpack(ctypes.byref(dl), ctypes.byref(view)))
    return view


# ---- DLPack out: the struct and the tensor live until the consumer calls the deleter

_exported: dict = {}


@_native.DELETER
def _delete(managed: Any) -> None:
    _exported.pop(ctypes.addressof(managed.contents), None)


# While a capsule is destroyed no reference to it may be made: these take its bare address.
_IsValid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_GetPointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
_NAME, _USED = b"dltensor", b"used_dltensor"


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _capsule_destroy(capsule: int) -> None:
    if _IsValid(capsule, _NAME):  # nobody took it
        _exported.pop(_GetPointer(capsule, _NAME), None)


_NewCapsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi))


def _export(tensor: Tensor) -> Any:
    dl = _describe(tensor._address, tensor.dtype, tensor.shape)
    managed = _native.DLManagedTensor(dl_tensor=dl, deleter=_delete)
    address = ctypes.addressof(managed)
    _exported[address] = (managed, dl, tensor)
    return _NewCapsule(address, _NAME, ctypes.cast(_capsule_destroy, ctypes.c_void_p))


# ---- in

class _Borrowed:
    """A tensor of another library, taken by DLPack and given back when this goes."""

    def __init__(self, source: Any):
        device = source.__dlpack_device__()
        if int(device[0]) != _CPU:
            raise failure(Code.UNSUPPORTED, "the tensor is not in the processor's memory")
        capsule = source.__dlpack__()
        api = ctypes.pythonapi
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
        rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", api))
        self.managed = ctypes.cast(get(capsule, _NAME), ctypes.POINTER(_native.DLManagedTensor))
        rename(capsule, _USED)

    def __del__(self) -> None:
        managed = getattr(self, "managed", None)
        if managed and managed.contents.deleter:
            managed.contents.deleter(managed)


def _from_numbers(value: Any, dtype: str) -> Tensor:
    """Numbers in nested lists of equal length."""
    code = _FORMS[dtype][1]
    if code is None:
        raise failure(Code.INVALID_ARGUMENT, f"lists cannot become {dtype}: pass an array of that type")
    shape, level = [], value
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    flat: List[Any] = []

    def collect(item: Any, depth: int) -> None:
        if depth == len(shape):
            flat.append(item)
            return
        if not isinstance(item, (list, tuple)) or len(item) != shape[depth]:
            raise failure(Code.INVALID_ARGUMENT, "the lists have different lengths")
        for part in item:
            collect(part, depth + 1)

    collect(value, 0)
    try:
        packed = array.array(code, flat)
    except (TypeError, OverflowError) as error:
        raise failure(Code.INVALID_ARGUMENT, f"elements do not fit {dtype}: {error}") from None
    tensor = Tensor(dtype, shape)
    tensor.data[:] = packed.tobytes()
    return tensor


def _from_numpy(value: Any, dtype: str) -> Tuple[View, Any]:
    wanted = _FORMS[dtype][0]
    if wanted is None:
        raise failure(Code.INVALID_ARGUMENT, f"NumPy has no type for {dtype}: pass the tensor by DLPack")
    given = numpy.asarray(value)
    kept = numpy.ascontiguousarray(given, dtype=wanted) if given.shape else given.astype(wanted)
    if kept.dtype != given.dtype and not numpy.array_equal(kept, given, equal_nan=kept.dtype.kind == "f"):
        raise failure(Code.INVALID_ARGUMENT, f"values of {given.dtype} do not fit {dtype}")
    return _view_of(_describe(kept.ctypes.data, dtype, kept.shape)), kept


def view_of(value: Any, dtype: str) -> Tuple[View, Any]:
    """A view of |value| for an input of |dtype|, and what must live as long. Copies only where type or layout differ."""
    if isinstance(value, Tensor):
        return _view_of(_describe(value._address, value.dtype, value.shape)), value
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _from_numpy(value, dtype)
    if hasattr(value, "__dlpack__"):
        borrowed = _Borrowed(value)
        return _view_of(borrowed.managed.contents.dl_tensor), borrowed
    if numpy is not None and hasattr(value, "__array_interface__"):
        return _from_numpy(value, dtype)
    tensor = _from_numbers(value, dtype)
    return view_of(tensor, dtype)
