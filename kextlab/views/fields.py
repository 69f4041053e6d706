"""Bytes read as a struct: every field with its place, its type and what its value means.

The layouts are those of ``kextlab.abi.structs``. Bytes that are no struct, or behind one, are
fields of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kextlab.abi import structs
from kextlab.abi.structs import Field, c_str

STRUCTS: dict[str, Any] = {  # each has SIZE and LAYOUT
    "sockaddr_ctl": structs.SockaddrCtl,
    "ctl_info": structs.CtlInfo,
    "ctl_event_data": structs.CtlEventData,
    "kern_event_msg": structs.KernEventMsg,
    "kev_request": structs.KevRequest,
    "kev_vendor_code": structs.KevVendorCode,
}
TYPES = {"u_char": "u8", "u_int16_t": "u16", "u_int32_t": "u32"}

_MEANING: dict[tuple[str, int], str] = {
    ("sc_family", 32): "AF_SYSTEM",
    ("ss_sysaddr", 2): "AF_SYS_CONTROL",
    ("sc_unit", 0): "any free unit",
    ("vendor_code", 0): "KEV_ANY_VENDOR",
    ("vendor_code", 1): "KEV_VENDOR_APPLE",
    ("kev_class", 0): "KEV_ANY_CLASS",
    ("kev_class", 1): "KEV_NETWORK_CLASS",
    ("kev_class", 3): "KEV_SYSTEM_CLASS",
}
_CONTROL_EVENTS = (1, 3, 2)
"""Vendor, class and subclass of the events about kernel controls."""


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


def parts_of(data: bytes, struct: str = "") -> list[Part]:
    """The fields of a struct in ``data``, and what lies behind it.

    Raises:
        ValueError: no such struct, or too few bytes for it.
    """
    if not struct:
        return [Part("data", 0, len(data), "bytes", sized(len(data)))] if data else []
    if struct not in STRUCTS:
        raise ValueError(f"no struct {struct!r} is known; there are {', '.join(STRUCTS)}")
    size = STRUCTS[struct].SIZE
    if len(data) < size:
        raise ValueError(f"{struct} from {len(data)} bytes: needs {size}")
    parts = [_part(field, data, 0) for field in STRUCTS[struct].LAYOUT]
    if struct == "kern_event_msg":
        parts += _event(data)
    elif len(data) > size:
        parts.append(Part("behind it", size, len(data) - size, "bytes", sized(len(data) - size)))
    if struct == "kern_event_msg" and _about_controls(data):
        names = {2: "KEV_CTL_SUBCLASS"}, {1: "KEV_CTL_REGISTERED", 2: "KEV_CTL_DEREGISTERED"}
        for at, table in zip((3, 5), names, strict=True):
            part = parts[at]
            words = table.get(int(part.value.partition(" ")[0]))
            if words:
                value = f"{part.value.partition(' ')[0]} {words}"
                parts[at] = Part(part.name, part.start, part.size, part.ctype, value)
    return parts


def sized(size: int) -> str:
    """``1 byte``, ``2 bytes``."""
    return f"{size:,} byte{'s' * (size != 1)}"


def _about_controls(data: bytes) -> bool:
    codes = tuple(int.from_bytes(data[at : at + 4], "little") for at in (4, 8, 12))
    return codes == _CONTROL_EVENTS


def _event(data: bytes) -> list[Part]:
    """What an event carries behind its header."""
    body = structs.CtlEventData
    at = structs.KernEventMsg.SIZE
    parts = []
    if _about_controls(data) and len(data) >= at + body.SIZE:
        parts = [_part(field, data, at) for field in body.LAYOUT]
        at += body.SIZE
    if len(data) > at:
        parts.append(Part("event_data", at, len(data) - at, "bytes", sized(len(data) - at)))
    return parts


def _part(field: Field, data: bytes, base: int) -> Part:
    start = base + field.offset
    raw = data[start : start + field.size]
    ctype = short_type(field.ctype)
    if ctype.startswith("char"):
        value = c_str(raw) or "empty"
    elif "[" in ctype:
        words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
        value = f"all {words[0]}" if len(set(words)) == 1 else ", ".join(map(str, words))
    else:
        number = int.from_bytes(raw, "little")
        meaning = _MEANING.get((field.name, number), "")
        value = f"{number} {meaning}".strip()
    return Part(field.name, start, field.size, ctype, value)
