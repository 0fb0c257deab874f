"""Models, executors and sessions: runtime/weir.h with Python's manners."""
from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import _native
from ._native import View, lib
from .errors import Code, check, failure
from .tensor import DTYPES, Tensor, has_numpy_type, numpy, view_of

Outputs = Dict[str, Any]
ROLES = ("plain", "batch", "seq")


@dataclass(frozen=True)
class SymbolInfo:
    """A dim whose size a request says: |lo|..|hi|, a multiple of |divisor|. One that |grows| adds up over a session's steps."""

    name: str
    role: str
    lo: int
    hi: int
    divisor: int
    grows: bool


@dataclass(frozen=True)
class TensorInfo:
    """An input or an output; |dims| as text over the entry's symbols. Integers are in |lo|..|hi| where these are not None."""

    name: str
    dtype: str
    rank: int
    dims: str
    lo: Optional[int]
    hi: Optional[int]


@dataclass(frozen=True)
class StateInfo:
    """What a session keeps for a step: rows of |symbol|, or one block."""

    path: str
    dtype: str
    rows: bool
    symbol: Optional[str]
    row_bytes: int


@dataclass(frozen=True)
class Entry:
    """Something that a model can run. A |step| goes on with a session."""

    name: str
    step: bool
    symbols: Tuple[SymbolInfo, ...]
    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]
    states: Tuple[StateInfo, ...]
    _handle: int


def _text(value: Optional[bytes]) -> Optional[str]:
    return value.decode() if value is not None else None


def _tensor_info(info: Any) -> TensorInfo:
    bounded = info.lo <= info.hi
    return TensorInfo(info.name.decode(), DTYPES[info.dtype], info.rank, info.dims.decode(),
                      info.lo if bounded else None, info.hi if bounded else None)


def _entry(handle: int) -> Entry:
    info = lib.weir_entry_describe(handle)
    symbols = [lib.weir_entry_symbol(handle, i) for i in range(info.symbol_count)]
    states = [lib.weir_entry_state(handle, i) for i in range(info.state_count)]
    return Entry(
        info.name.decode(), bool(info.step),
        tuple(SymbolInfo(s.name.decode(), ROLES[s.role], s.lo, s.hi, s.divisor, bool(s.grows)) for s in symbols),
        tuple(_tensor_info(lib.weir_entry_input(handle, i)) for i in range(info.input_count)),
        tuple(_tensor_info(lib.weir_entry_output(handle, i)) for i in range(info.output_count)),
        tuple(StateInfo(s.path.decode(), DTYPES[s.dtype], bool(s.rows), _text(s.symbol), s.row_bytes) for s in states),
        handle)


class Model:
    """A loaded package. Immutable: any number of threads may use it, each call of |run| in its turn; for calls side by
    side make executors. Closed by |close|, by `with`, or when nothing refers to it."""

    def __init__(self, path: Union[str, "os.PathLike[str]"], *, threads: int = 0, isa: Optional[str] = None,
                 weights_folder: Optional[str] = None, require_key: Optional[str] = None):
        options = _native.LoadOptions(isa=isa.encode() if isa else None,
                                      weights_folder=os.fsencode(weights_folder) if weights_folder else None,
                                      require_key=require_key.encode() if require_key else None)
        handle = ctypes.c_void_p()
        self._handle: Optional[int] = None
        check(lib.weir_model_load(os.fsencode(path), ctypes.byref(options), ctypes.byref(handle)))
        self._handle = handle.value
        self.name: str = lib.weir_model_name(self._handle).decode()
        self.isa: str = lib.weir_model_isa(self._handle).decode()
        count = lib.weir_model_entry_count(self._handle)
        entries = [_entry(lib.weir_model_entry(self._handle, i)) for i in range(count)]
        self.entries: Dict[str, Entry] = {entry.name: entry for entry in entries}
        self._threads = threads
        self._executor: Optional[Executor] = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"weir.Model({self.name!r}, entries={list(self.entries)}, isa={self.isa!r})"

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the model. Sessions and executors that are still open keep it alive."""
        if getattr(self, "_executor", None):
            self._executor.close()
            self._executor = None
        if getattr(self, "_handle", None):
            lib.weir_model_release(self._handle)
            self._handle = None

    def _open_handle(self) -> int:
        if not self._handle:
            raise failure(Code.INVALID_ARGUMENT, "the model is closed")
        return self._handle

    def entry(self, name: str) -> Entry:
        found = self.entries.get(name)
        if not found:
            raise failure(Code.NOT_FOUND, f"no entry '{name}': the model has {', '.join(self.entries)}")
        return found

    def executor(self, threads: int = 0, *, pin: bool = True) -> "Executor":
        """Threads and memory of their own, for calls side by side. |threads| 0: one for each core."""
        return Executor(self, threads, pin=pin)

    @property
    def _default(self) -> "Executor":
        with self._lock:
            if not self._executor:
                self._executor = Executor(self, self._threads)
            return self._executor

    def run(self, entry: str, *args: Any, **inputs: Any) -> Outputs:
        """Runs |entry| on one request: inputs in order or by name; the outputs by name, as NumPy arrays where there is NumPy.
        A step starts from a new session, which is dropped."""
        return self._default.run(entry, *args, **inputs)

    def run_many(self, entry: str, requests: Sequence[Mapping[str, Any]]) -> List[Outputs]:
        """Several requests, packed without padding into one call. Each gets bit for bit what it would get alone."""
        return self._default.run_many(entry, requests)

    def session(self, **capacity: int) -> "Session":
        """What the model remembers of one sequence. |capacity|: rows to make room for, by symbol, as in T=512; default: the
        symbol's bound."""
        return Session(self, capacity)


class Executor:
    """Threads and memory to run a model's entries: one call at a time."""

    def __init__(self, model: Model, threads: int = 0, *, pin: bool = True):
        options = _native.ExecutorOptions(threads=threads, no_pin=not pin)
        handle = ctypes.c_void_p()
        self._handle: Optional[int] = None
        self.model = model
        check(lib.weir_executor_create(model._open_handle(), ctypes.byref(options), ctypes.byref(handle)))
        self._handle = handle.value
        self._lock = threading.Lock()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if getattr(self, "_handle", None):
            lib.weir_executor_destroy(self._handle)
            self._handle = None

    @property
    def threads(self) -> int:
        return lib.weir_executor_threads(self._handle)

    def run(self, entry: str, *args: Any, **inputs: Any) -> Outputs:
        return self._run(self.model.entry(entry), [_named(self.model.entry(entry), args, inputs)], None)[0]

    def run_many(self, entry: str, requests: Sequence[Mapping[str, Any]]) -> List[Outputs]:
        return self._run(self.model.entry(entry), list(requests), None)

    def step_many(self, entry: str, sessions: Sequence["Session"], requests: Sequence[Mapping[str, Any]]) -> List[Outputs]:
        """A step of several sessions in one call."""
        if len(sessions) != len(requests):
            raise failure(Code.INVALID_ARGUMENT, f"{len(sessions)} sessions, {len(requests)} requests")
        return self._run(self.model.entry(entry), list(requests), list(sessions))

    def memory(self) -> Dict[str, int]:
        """Bytes that the last call used."""
        memory = _native.Memory()
        lib.weir_memory_measured(self._handle, ctypes.byref(memory))
        return {name: getattr(memory, name) for name, _ in memory._fields_}

    def _run(self, entry: Entry, requests: List[Mapping[str, Any]], sessions: Optional[List["Session"]]) -> List[Outputs]:
        if not requests:
            return []
        own = [Session(self.model, {}) for _ in requests] if entry.step and sessions is None else None
        call = _Call(entry, requests, sessions or own)
        with self._lock:
            if not self._handle:
                raise failure(Code.INVALID_ARGUMENT, "the executor is closed")
            try:
                return call.run(self._handle)
            finally:
                for session in own or ():
                    session.close()


class Session:
    """What a model remembers of one sequence between steps. One call at a time; a step that fails has changed nothing."""

    def __init__(self, model: Model, capacity: Mapping[str, int], _handle: Optional[int] = None):
        self.model = model
        self._handle: Optional[int] = _handle
        if _handle:
            return
        rows = (_native.Capacity * max(1, len(capacity)))()
        for i, (symbol, count) in enumerate(capacity.items()):
            rows[i] = _native.Capacity(symbol.encode(), count)
        handle = ctypes.c_void_p()
        check(lib.weir_session_open(model._open_handle(), rows, len(capacity), ctypes.byref(handle)))
        self._handle = handle.value

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if getattr(self, "_handle", None):
            lib.weir_session_close(self._handle)
            self._handle = None

    def _open_handle(self) -> int:
        if not self._handle:
            raise failure(Code.INVALID_ARGUMENT, "the session is closed")
        return self._handle

    def step(self, entry: str, *args: Any, **inputs: Any) -> Outputs:
        """Goes on by the step |entry|."""
        described = self.model.entry(entry)
        if not described.step:
            raise failure(Code.INVALID_ARGUMENT, f"'{entry}' is no step: run it without a session")
        return self.model._default._run(described, [_named(described, args, inputs)], [self])[0]

    def rows(self, symbol: Optional[str] = None) -> int:
        """Rows so far; of the first growing symbol if none is named."""
        return lib.weir_session_rows(self._open_handle(), symbol.encode() if symbol else None)

    def capacity(self, symbol: Optional[str] = None) -> int:
        return lib.weir_session_capacity(self._open_handle(), symbol.encode() if symbol else None)

    def grow(self, rows: int, symbol: Optional[str] = None) -> None:
        """Makes room for |rows| in all."""
        check(lib.weir_session_grow(self._open_handle(), symbol.encode() if symbol else None, rows))

    def truncate(self, rows: int, symbol: Optional[str] = None) -> None:
        """Forgets all rows after the first |rows|; 0 starts anew."""
        check(lib.weir_session_truncate(self._open_handle(), symbol.encode() if symbol else None, rows))

    def fork(self) -> "Session":
        """An equal session that goes on by itself."""
        handle = ctypes.c_void_p()
        check(lib.weir_session_fork(self._open_handle(), ctypes.byref(handle)))
        return Session(self.model, {}, handle.value)

    def export(self) -> bytes:
        """The session as bytes, for the same package only."""
        size = ctypes.c_size_t()
        check(lib.weir_session_export(self._open_handle(), None, 0, ctypes.byref(size)))
        room = ctypes.create_string_buffer(size.value)
        check(lib.weir_session_export(self._open_handle(), room, size.value, ctypes.byref(size)))
        return room.raw[:size.value]

    def restore(self, data: bytes) -> None:
        """Replaces the session's contents by what |export| gave."""
        check(lib.weir_session_import(self._open_handle(), data, len(data)))


# ---- one call

def _named(entry: Entry, args: Sequence[Any], inputs: Mapping[str, Any]) -> Dict[str, Any]:
    if len(args) > len(entry.inputs):
        raise failure(Code.INVALID_ARGUMENT, f"{len(args)} inputs: '{entry.name}' takes {len(entry.inputs)}")
    named = {info.name: value for info, value in zip(entry.inputs, args)}
    for name, value in inputs.items():
        if name in named:
            raise failure(Code.INVALID_ARGUMENT, f"input '{name}' is given twice")
        named[name] = value
    return named


class _Call:
    """Views and requests of one call, with everything that they point to."""

    def __init__(self, entry: Entry, requests: Sequence[Mapping[str, Any]], sessions: Optional[Sequence[Session]]):
        self.entry = entry
        self.kept: List[Any] = []
        self.inputs: List[Any] = []
        self.outputs: List[Any] = []
        self.requests = (_native.Request * len(requests))()
        for i, given in enumerate(requests):
            inputs = self._inputs(given)
            outputs = (View * max(1, len(entry.outputs)))()
            self.inputs.append(inputs)
            self.outputs.append(outputs)
            self.requests[i].inputs = inputs
            self.requests[i].outputs = outputs
            self.requests[i].session = sessions[i]._open_handle() if sessions else None

    def _inputs(self, given: Mapping[str, Any]) -> Any:
        known = {info.name for info in self.entry.inputs}
        for name in given:
            if name not in known:
                raise failure(Code.INVALID_ARGUMENT, f"'{self.entry.name}' has no input '{name}': it has {', '.join(sorted(known))}")
        views = (View * max(1, len(self.entry.inputs)))()
        for i, info in enumerate(self.entry.inputs):
            if info.name not in given:
                raise failure(Code.INVALID_ARGUMENT, f"input '{info.name}' of '{self.entry.name}' is missing")
            views[i], kept = view_of(given[info.name], info.dtype)
            self.kept.append(kept)
        return views

    def run(self, executor: int) -> List[Outputs]:
        count = len(self.requests)
        check(lib.weir_output_shapes(self.entry._handle, self.requests, count))
        results = [self._room(outputs) for outputs in self.outputs]
        check(lib.weir_run(executor, self.entry._handle, self.requests, count, None))
        return [{name: _given(tensor) for name, tensor in tensors.items()} for tensors in results]

    def _room(self, outputs: Any) -> Dict[str, Tensor]:
        tensors = {}
        for i, info in enumerate(self.entry.outputs):
            tensor = Tensor(DTYPES[outputs[i].dtype], outputs[i].shape[:outputs[i].rank])
            outputs[i].data, outputs[i].bytes = tensor._address, tensor._bytes
            tensors[info.name] = tensor
        return tensors


def _given(tensor: Tensor) -> Any:
    return tensor.numpy() if numpy is not None and has_numpy_type(tensor.dtype) else tensor
