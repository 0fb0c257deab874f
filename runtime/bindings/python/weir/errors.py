"""What goes wrong: one exception for each code of the C API that callers tell apart."""
from __future__ import annotations

import enum
from typing import Optional

from ._native import lib


class Code(enum.IntEnum):
    """weir_code of runtime/base/status.h."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_DATA = 2
    NOT_FOUND = 3
    OUT_OF_RANGE = 4
    OUT_OF_MEMORY = 5
    UNSUPPORTED = 6
    IO = 7
    CANCELLED = 8
    INTERNAL = 9
    DEVICE_LOST = 10


class WeirError(Exception):
    """A failure of the runtime: |code| for the program, |message| for the person."""

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.code.name.lower().replace('_', ' ')})"


class InvalidArgument(WeirError, ValueError):
    """A value that was passed is wrong: a shape, a type, a number out of its range, a name."""


class InvalidData(WeirError):
    """A package or a session's bytes are malformed, damaged, or not signed as required."""


class NotFound(WeirError, LookupError):
    """No such file, entry or kernel."""


class OutOfRange(WeirError, ValueError):
    """More rows or bytes than there is room for."""


class Unsupported(WeirError):
    """This machine or this version cannot: no code for the processor, an older format."""


_KINDS = {Code.INVALID_ARGUMENT: InvalidArgument, Code.INVALID_DATA: InvalidData, Code.NOT_FOUND: NotFound,
          Code.OUT_OF_RANGE: OutOfRange, Code.UNSUPPORTED: Unsupported}


def failure(code: Code, message: str) -> WeirError:
    return _KINDS.get(code, WeirError)(code, message)


def check(status: Optional[int]) -> None:
    """Raises what |status| says, and releases it. None is success."""
    if not status:
        return
    code = Code(lib.weir_status_code(status))
    message = lib.weir_status_message(status).decode(errors="replace")
    lib.weir_status_release(status)
    raise failure(code, message)
