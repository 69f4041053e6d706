"""Values and messages as bytes, for a gate with a process boundary in it.

A value is None, a bool, an int of any size, a str, bytes, or a list, tuple or dict (keys: str) of
values; nothing else crosses, and above all no code (no pickle). Its form is one tag byte, then:

    N T F                    None, True, False
    I  int64                 a number of up to 64 bits, two's complement
    J  u32 n, n bytes        a larger one, as few bytes as it needs
    S  u32 n, n bytes        str, UTF-8 (a lone surrogate crosses as it is)
    B  u32 n, n bytes        bytes
    L  u32 n, n values       list
    U  u32 n, n values       tuple
    D  u32 n, n (S, value)   dict, in order of its keys

All numbers are little-endian. Every value has exactly one form, so equal values are equal bytes,
and bytes that decode at all encode to themselves.

A message is the tuple (version, kind, fields...); the kinds are the classes below. Who may send
what, and what answers it:

    Call       client or kext -> kernel   Return, Stop or Error
    Callback   kernel -> kext             CallbackReturn, Fault, Stop or Error

While a kext works on a Callback it may send Calls of its own; they nest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

Plain = Any  # a value as described above; its type is known only when it is looked at

VERSION: Final = 1
"""The version of the messages; it changes with any of the forms in this module."""

MAX_DEPTH: Final = 32
"""How deep lists, tuples and dicts may nest."""


class WireError(Exception):
    """Bytes that are no message, or a value that cannot cross; one line says what was seen."""


# -- values ------------------------------------------------------------------------------------

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_LARGEST = (1 << 63) - 1


def encode(value: Plain) -> bytes:
    """The form of ``value``. bytearray and memoryview cross as bytes, IntEnum and the like as
    what they stand for.

    Raises:
        WireError: it holds something that is no value, or nests deeper than MAX_DEPTH.
    """
    pieces: list[bytes] = []
    _encode(value, pieces, 0)
    return b"".join(pieces)


def _encode(value: Plain, out: list[bytes], depth: int) -> None:
    if value is None:
        out.append(b"N")
    elif isinstance(value, bool):
        out.append(b"T" if value else b"F")
    elif isinstance(value, int):
        _encode_int(int(value), out)
    elif isinstance(value, str):
        _encode_sized(b"S", value.encode("utf-8", "surrogatepass"), out)
    elif isinstance(value, bytes | bytearray | memoryview):
        _encode_sized(b"B", bytes(value), out)
    elif depth >= MAX_DEPTH:
        raise WireError(f"a value nests deeper than {MAX_DEPTH}")
    elif isinstance(value, list | tuple):
        out.append((b"L" if isinstance(value, list) else b"U") + _U32.pack(len(value)))
        for item in value:
            _encode(item, out, depth + 1)
    elif isinstance(value, dict):
        _encode_dict(value, out, depth)
    else:
        raise WireError(
            f"{shown(value)} cannot cross: only None, bool, int, str, bytes, list, tuple and "
            "dict do"
        )


def _encode_int(value: int, out: list[bytes]) -> None:
    if -_LARGEST - 1 <= value <= _LARGEST:
        out.append(b"I" + _I64.pack(value))
    else:
        _encode_sized(b"J", value.to_bytes(_int_size(value), "little", signed=True), out)


def _int_size(value: int) -> int:
    """Bytes of ``value`` in two's complement."""
    return (value if value >= 0 else ~value).bit_length() // 8 + 1


def _encode_sized(tag: bytes, data: bytes, out: list[bytes]) -> None:
    out.append(tag + _U32.pack(len(data)))
    out.append(data)


def _encode_dict(value: dict[Plain, Plain], out: list[bytes], depth: int) -> None:
    for key in value:
        if not isinstance(key, str):
            raise WireError(f"{shown(key)} cannot be a key: only str can")
    out.append(b"D" + _U32.pack(len(value)))
    for key in sorted(value):
        _encode(key, out, depth)
        _encode(value[key], out, depth + 1)


def decode(data: bytes) -> Plain:
    """The value ``data`` is the form of.

    Raises:
        WireError: it is not the form of a value, or has bytes left over.
    """
    value, at = _decode(data, 0, 0)
    if at != len(data):
        raise WireError(f"{len(data) - at} bytes too many at byte {at}")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Plain, int]:
    """The value whose form starts at byte ``at``, and where the next one starts."""
    tag = data[at : at + 1]
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at + 1
    if tag == b"I":
        number: int = _I64.unpack(_take(data, at + 1, 8))[0]
        return number, at + 9
    if not tag or tag not in b"JSBLUD":
        raise WireError(f"truncated at byte {at}" if not tag else f"unknown tag {tag!r} at {at}")
    size: int = _U32.unpack(_take(data, at + 1, 4))[0]
    start = at + 5
    if tag in b"JSB":
        return _sized(tag, _take(data, start, size), at), start + size
    if depth >= MAX_DEPTH:
        raise WireError(f"nested deeper than {MAX_DEPTH} at byte {at}")
    if tag == b"D":
        return _decode_dict(data, start, size, depth)
    items = []
    for _ in range(size):
        item, start = _decode(data, start, depth + 1)
        items.append(item)
    return (items if tag == b"L" else tuple(items)), start


_CONSTANTS: Final = {b"N": None, b"T": True, b"F": False}


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise WireError(f"truncated: {size} bytes are due at byte {at}, {len(data) - at} are there")
    return data[at : at + size]


def _sized(tag: bytes, body: bytes, at: int) -> Plain:
    if tag == b"B":
        return body
    if tag == b"S":
        try:
            return body.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise WireError(f"the str at byte {at} is not UTF-8") from None
    number = int.from_bytes(body, "little", signed=True)
    if len(body) <= 8 or len(body) != _int_size(number):
        raise WireError(f"the number at byte {at} has {len(body)} bytes, which is not its form")
    return number


def _decode_dict(data: bytes, at: int, size: int, depth: int) -> tuple[Plain, int]:
    result: dict[str, Plain] = {}
    last: str | None = None
    for _ in range(size):
        start = at
        key, at = _decode(data, at, MAX_DEPTH)
        if not isinstance(key, str) or (last is not None and key <= last):
            raise WireError(f"the key at byte {start} is not a str that follows the one before")
        result[key], at = _decode(data, at, depth + 1)
        last = key
    return result, at


def shown(value: object) -> str:
    """What a message says of a value that is refused."""
    text = repr(value).replace("\n", " ")
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


# -- messages ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A client or a kext calls a function of the kernel's."""

    name: str
    arguments: tuple[Plain, ...]


@dataclass(frozen=True, slots=True)
class Return:
    """The function returned ``value`` (a system call: (errno, value)) and wrote through
    out-pointers: ``written`` holds (position of the argument, value) pairs."""

    value: Plain
    written: tuple[tuple[int, Plain], ...] = ()


@dataclass(frozen=True, slots=True)
class Callback:
    """The kernel calls a kext's function ``name``. ``record`` is the number under which the kext
    registered its record of callbacks, 0 for the kext's own start and stop."""

    record: int
    name: str
    arguments: tuple[Plain, ...]


@dataclass(frozen=True, slots=True)
class CallbackReturn:
    """The callback returned ``result``, an errno or None, and wrote as a ``Return`` does.
    ``wrong`` is the repr of anything else it returned."""

    result: int | None
    written: tuple[tuple[int, Plain], ...] = ()
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception left the callback: its type, its text, its formatted traceback."""

    type: str
    text: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The call does not return: the machine stopped. ``what`` is "panic", with its report, or
    "deadlock", with the sleep as (channel, wmesg, interruptible) or None."""

    what: str
    text: str
    report: str = ""
    sleep: tuple[str, str, bool] | None = None


@dataclass(frozen=True, slots=True)
class Error:
    """The call was refused, or raised an exception of that type: it says why in one line."""

    type: str
    text: str


Message = Call | Return | Callback | CallbackReturn | Fault | Stop | Error

KINDS: Final[dict[str, type[Message]]] = {
    "call": Call,
    "return": Return,
    "callback": Callback,
    "callback-return": CallbackReturn,
    "fault": Fault,
    "stop": Stop,
    "error": Error,
}
_KIND_OF: Final = {shape: kind for kind, shape in KINDS.items()}


def pack(message: Message) -> bytes:
    """A message as bytes. WireError if it holds something that is no value."""
    values = (getattr(message, field.name) for field in fields(message))
    return encode((VERSION, _KIND_OF[type(message)], *values))


def unpack(data: bytes) -> Message:
    """The message ``data`` is. WireError, in one line, if it is none."""
    value = decode(data)
    if not isinstance(value, tuple) or len(value) < 2:
        raise WireError(f"no message: {shown(value)}, a tuple (version, kind, ...) is due")
    version, kind, *body = value
    if version != VERSION or isinstance(version, bool):
        raise WireError(f"a message of version {shown(version)}; this side speaks {VERSION}")
    shape = KINDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise WireError(f"unknown kind of message: {shown(kind)}")
    names = [field.name for field in fields(shape)]
    if len(body) != len(names):
        raise WireError(f"a {kind} of {len(body)} fields: {len(names)} are due")
    for name, item in zip(names, body, strict=True):
        if not _fits(shape, name, item):
            raise WireError(f"a {kind} whose {name} is {shown(item)}")
    return shape(*body)


def _fits(shape: type[Message], name: str, value: Plain) -> bool:
    """Whether a field holds what it may hold."""
    match name:
        case "value":
            return True
        case "arguments":
            return isinstance(value, tuple)
        case "written":
            return isinstance(value, tuple) and all(_pairs(value))
        case "record":
            return is_number(value)
        case "result":
            return value is None or isinstance(value, int)
        case "wrong":
            return value is None or isinstance(value, str)
        case "what":
            return value in ("panic", "deadlock")
        case "sleep":
            return value is None or (
                isinstance(value, tuple) and [type(item) for item in value] == [str, str, bool]
            )
        case _:  # name, type, text, traceback, report
            return isinstance(value, str)


def _pairs(value: tuple[Plain, ...]) -> Iterator[bool]:
    return (isinstance(p, tuple) and len(p) == 2 and is_number(p[0]) for p in value)


def is_number(value: Plain) -> bool:
    """Whether it is an int and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)
