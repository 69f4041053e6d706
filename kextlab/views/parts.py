"""A part of some bytes: where it lies, what it is called, what its value means."""

from __future__ import annotations

from dataclasses import dataclass

TYPES = {
    "u_char": "u8",
    "u_int16_t": "u16",
    "u_int32_t": "u32",
    "int32_t": "i32",
    "u_int64_t": "u64",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A run of bytes with a name: ``start`` and ``size`` in bytes, ``ctype`` short as in Rust."""

    name: str
    start: int
    size: int
    ctype: str
    value: str


def short_type(ctype: str) -> str:
    """``u32[5]`` for ``u_int32_t[5]``."""
    base, bracket, rest = ctype.partition("[")
    return TYPES.get(base, base) + bracket + rest


def sized(size: int) -> str:
    """``1 byte``, ``2 bytes``."""
    return f"{size:,} byte{'s' * (size != 1)}"
