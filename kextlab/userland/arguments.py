"""Arguments as CPython's C functions take them: the same types, ranges and exceptions.

Read beside it: CPython's ``Python/getargs.c`` (formats ``i``, ``I``, ``n``, ``y*``, ``w*``) and
``Objects/fileobject.c`` (``PyObject_AsFileDescriptor``).
"""

from __future__ import annotations

from io import BytesIO
from math import ceil, isnan
from operator import index
from typing import Any, Final

Readable = Any
"""Any bytes-like object: bytes, bytearray, memoryview, array, a ctypes structure. Before Python
3.12 typing has no name for it."""
Writable = Any
"""A bytes-like object that can be written to."""

INT_MAX: Final = 0x7FFFFFFF
SSIZE_MAX: Final = 0x7FFFFFFFFFFFFFFF


def c_int(value: object) -> int:
    """Format ``i``. TypeError if not an integer, OverflowError beyond 32 bits with sign."""
    number = index(value)  # type: ignore[arg-type]  # it raises the TypeError wanted
    if number > INT_MAX:
        raise OverflowError("signed integer is greater than maximum")
    if number < -INT_MAX - 1:
        raise OverflowError("signed integer is less than minimum")
    return number


def c_uint(value: object) -> int:
    """Format ``I``: the low 32 bits, whatever the number. TypeError if not an integer."""
    return index(value) & 0xFFFFFFFF  # type: ignore[arg-type]  # as above


def c_ssize(value: object) -> int:
    """Format ``n``. TypeError if not an integer, OverflowError beyond 64 bits with sign."""
    number = index(value)  # type: ignore[arg-type]  # as above
    if not -SSIZE_MAX <= number <= SSIZE_MAX:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return number


def as_bytes(data: Readable) -> bytes:
    """Format ``y*``, copied. TypeError if not bytes-like, BufferError if not contiguous."""
    if data.__class__ is bytes:
        copy: bytes = data
        return copy
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.tobytes()


def is_buffer(value: object) -> bool:
    """Whether it is a contiguous bytes-like object."""
    try:
        return memoryview(value).c_contiguous  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return False


def room(buffer: Writable, caller: str) -> int:
    """Format ``w*``: the bytes that fit into ``buffer``. TypeError if it cannot be written to."""
    if not is_buffer(buffer) or memoryview(buffer).readonly:
        raise TypeError(
            f"{caller}() argument 1 must be read-write bytes-like object, "
            f"not {type(buffer).__name__}"
        )
    return memoryview(buffer).nbytes


def write_into(buffer: Writable, data: bytes) -> None:
    """Overwrite the front of ``buffer``, whatever its item type."""
    BytesIO(data).readinto(buffer)


def c_timeout(value: object) -> float | None:
    """Seconds to wait: ``None`` for ever, otherwise rounded up to nanoseconds.

    TypeError if not a number, ValueError if negative or NaN, OverflowError beyond 64 bits of
    nanoseconds.
    """
    if value is None:
        return None
    if not isinstance(value, float):
        nanoseconds = index(value) * 10**9  # type: ignore[arg-type]  # as above
    elif isnan(value):
        raise ValueError("Invalid value NaN (not a number)")
    elif abs(value) > SSIZE_MAX:
        raise OverflowError("timestamp out of range for platform time_t")
    else:
        nanoseconds = ceil(value * 1e9) if value >= 0 else -1
    if nanoseconds > SSIZE_MAX:
        raise OverflowError("timestamp too large to convert to C _PyTime_t")
    if nanoseconds < 0:
        raise ValueError("Timeout value out of range")
    return nanoseconds / 1e9


def fildes(file: object) -> int:
    """A descriptor, or that of an object with ``fileno()``.

    TypeError for anything else, ValueError if negative, OverflowError beyond a C int.
    """
    if isinstance(file, int):
        fd = int(file)
    else:
        method = getattr(file, "fileno", None)
        if method is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        fd = method()
        if not isinstance(fd, int):
            raise TypeError("fileno() returned a non-integer")
    if fd > INT_MAX:
        raise OverflowError("Python int too large to convert to C int")
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    return fd
