"""Bytes read as a struct: every field with its place, its type and what its value means.

The layouts are those of ``kextlab.abi.structs``. Bytes that are no struct, or behind one, are
fields of their own.
"""

from __future__ import annotations

from typing import Any

from kextlab.abi import structs
from kextlab.abi.mach import SIZEOF_HEADER
from kextlab.abi.mach_layouts import DATA_QUEUE_HEAD, MACH_PORT_STATUS, Layout
from kextlab.abi.structs import Field, c_str
from kextlab.views.mach_fields import What, message_parts, table_parts, unknown
from kextlab.views.parts import Part, short_type, sized

STRUCTS: dict[str, Any] = {  # each has SIZE and LAYOUT
    "sockaddr_ctl": structs.SockaddrCtl,
    "ctl_info": structs.CtlInfo,
    "ctl_event_data": structs.CtlEventData,
    "kern_event_msg": structs.KernEventMsg,
    "kev_request": structs.KevRequest,
    "kev_vendor_code": structs.KevVendorCode,
}
MESSAGE = "mach_msg"
"""A Mach message: a struct whose fields its bytes decide."""
TABLES: dict[str, Layout] = {
    "mach_port_status_t": MACH_PORT_STATUS,
    "IODataQueueMemory": DATA_QUEUE_HEAD,
}
"""Structs of plain numbers, with where their fields lie."""

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


def parts_of(data: bytes, struct: str = "", what: What = unknown) -> list[Part]:
    """The fields of a struct in ``data``, and what lies behind it; ``what`` tells the names in a
    Mach message.

    Raises:
        ValueError: no such struct, or too few bytes for it.
    """
    if not struct:
        return [Part("data", 0, len(data), "bytes", sized(len(data)))] if data else []
    if struct == MESSAGE:
        return message_parts(data, what)
    if struct not in STRUCTS and struct not in TABLES:
        known = ", ".join([*STRUCTS, MESSAGE, *TABLES])
        raise ValueError(f"no struct {struct!r} is known; there are {known}")
    size = least(struct)
    if len(data) < size:
        raise ValueError(f"{struct} from {len(data)} bytes: needs {size}")
    if struct in TABLES:
        parts = table_parts(data, TABLES[struct])
        if len(data) > size:
            parts.append(
                Part("behind it", size, len(data) - size, "bytes", sized(len(data) - size))
            )
        return parts
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


def least(struct: str) -> int:
    """The fewest bytes a struct has; 0 for plain data."""
    if struct == MESSAGE:
        return SIZEOF_HEADER
    if struct in TABLES:
        return sum(field.size for field in TABLES[struct])
    return int(STRUCTS[struct].SIZE) if struct else 0


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
