"""A Mach message's bytes as fields: header, descriptors, body, trailer, and what each value means.

Bytes decide, not a parser: what is cut off or makes no sense is shown as far as it goes. Names are
told as what they are in a task, if the caller knows (``What``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kextlab.abi import mach
from kextlab.abi.mach_layouts import (
    DESCRIPTOR_TYPE_AT,
    DESCRIPTORS,
    MACH_MSG_BODY,
    MACH_MSG_HEADER,
    MACH_MSG_TRAILER,
    Layout,
)
from kextlab.abi.mach_messages import MACH_MSGH_BITS_LOCAL, MACH_MSGH_BITS_REMOTE
from kextlab.views.parts import Part, short_type, sized

What = Callable[[int], str]
"""What a name stands for in the task whose message it is, "" if that is not known."""
DISPOSITIONS = {
    mach.MACH_MSG_TYPE_MOVE_RECEIVE: "MOVE_RECEIVE",
    mach.MACH_MSG_TYPE_MOVE_SEND: "MOVE_SEND",
    mach.MACH_MSG_TYPE_MOVE_SEND_ONCE: "MOVE_SEND_ONCE",
    mach.MACH_MSG_TYPE_COPY_SEND: "COPY_SEND",
    mach.MACH_MSG_TYPE_MAKE_SEND: "MAKE_SEND",
    mach.MACH_MSG_TYPE_MAKE_SEND_ONCE: "MAKE_SEND_ONCE",
}
TRAVELS = {
    mach.MACH_MSG_TYPE_MOVE_RECEIVE: "the receive right",
    mach.MACH_MSG_TYPE_MOVE_SEND: "a send right",
    mach.MACH_MSG_TYPE_MOVE_SEND_ONCE: "a send-once right",
    mach.MACH_MSG_TYPE_COPY_SEND: "a send right",
    mach.MACH_MSG_TYPE_MAKE_SEND: "a send right",
    mach.MACH_MSG_TYPE_MAKE_SEND_ONCE: "a send-once right",
}
"""What a disposition makes travel."""
KINDS = {
    mach.MACH_MSG_PORT_DESCRIPTOR: "a port",
    mach.MACH_MSG_OOL_DESCRIPTOR: "memory out of line",
    mach.MACH_MSG_OOL_PORTS_DESCRIPTOR: "ports out of line",
    mach.MACH_MSG_OOL_VOLATILE_DESCRIPTOR: "volatile memory out of line",
    mach.MACH_MSG_GUARDED_PORT_DESCRIPTOR: "a guarded port",
}
COPIES = {0: "MACH_MSG_PHYSICAL_COPY", 1: "MACH_MSG_VIRTUAL_COPY", 2: "MACH_MSG_ALLOCATE"}
NOTIFICATIONS = {
    mach.MACH_NOTIFY_PORT_DELETED: "MACH_NOTIFY_PORT_DELETED",
    mach.MACH_NOTIFY_SEND_POSSIBLE: "MACH_NOTIFY_SEND_POSSIBLE",
    mach.MACH_NOTIFY_PORT_DESTROYED: "MACH_NOTIFY_PORT_DESTROYED",
    mach.MACH_NOTIFY_NO_SENDERS: "MACH_NOTIFY_NO_SENDERS",
    mach.MACH_NOTIFY_SEND_ONCE: "MACH_NOTIFY_SEND_ONCE",
    mach.MACH_NOTIFY_DEAD_NAME: "MACH_NOTIFY_DEAD_NAME",
}


def unknown(_: int) -> str:
    """Nothing is known of names."""
    return ""


def word(data: bytes, at: int, size: int = 4) -> int:
    """An unsigned number, little endian."""
    return int.from_bytes(data[at : at + size], "little")


def disposition(number: int, received: bool = False) -> str:
    """``MACH_MSG_TYPE_COPY_SEND`` without what they all begin with. In a ``received`` message it
    says what came, not how: ``PORT_SEND`` is the same number as ``MOVE_SEND``."""
    words = DISPOSITIONS.get(number, "no disposition" if number else "none")
    return words.replace("MOVE_", "PORT_") if received else words


def received(data: bytes) -> bool:
    """Whether a message has a trailer, as only received ones have."""
    return len(data) > word(data, 4) >= mach.SIZEOF_HEADER


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor: where it begins, its type, the numbers in it by the names of its fields."""

    at: int
    type: int
    layout: Layout
    values: dict[str, int]

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.at + sum(field.size for field in self.layout)


def descriptors(data: bytes) -> list[Descriptor]:
    """The descriptors of a message, up to the first whose type is not known, or that is cut off."""
    at = mach.SIZEOF_HEADER + mach.SIZEOF_BODY
    if len(data) < at or not word(data, 0) & mach.MACH_MSGH_BITS_COMPLEX:
        return []
    found = []
    for _ in range(word(data, mach.SIZEOF_HEADER)):
        kind = data[at + DESCRIPTOR_TYPE_AT] if len(data) > at + DESCRIPTOR_TYPE_AT else -1
        layout = DESCRIPTORS.get(kind)
        if layout is None:
            break
        values = {field.name: word(data, at + field.offset, field.size) for field in layout}
        one = Descriptor(at, kind, layout, values)
        if one.end > len(data):
            break
        found.append(one)
        at = one.end
    return found


def message_parts(data: bytes, what: What = unknown) -> list[Part]:
    """The fields of a message, its trailer included.

    Raises:
        ValueError: fewer bytes than a header.
    """
    if len(data) < mach.SIZEOF_HEADER:
        raise ValueError(f"mach_msg from {len(data)} bytes: needs {mach.SIZEOF_HEADER}")
    parts = list(_parts(data, 0, MACH_MSG_HEADER, what))
    at = mach.SIZEOF_HEADER
    found = descriptors(data)
    if word(data, 0) & mach.MACH_MSGH_BITS_COMPLEX and len(data) >= at + mach.SIZEOF_BODY:
        parts += _parts(data, at, MACH_MSG_BODY, what)
        at += mach.SIZEOF_BODY
    for number, one in enumerate(found):
        prefix = f"[{number}]." if len(found) > 1 else ""
        parts += _parts(data, one.at, one.layout, what, prefix)
        at = one.end
    end = min(max(word(data, 4), at), len(data))
    if end > at:
        parts.append(Part("body", at, end - at, "bytes", sized(end - at)))
    rest = len(data) - end
    fields = tuple(field for field in MACH_MSG_TRAILER if field.offset + field.size <= rest)
    parts += _parts(data, end, fields, what)
    at = end + sum(field.size for field in fields)
    if len(data) > at:
        parts.append(Part("behind it", at, len(data) - at, "bytes", sized(len(data) - at)))
    return parts


def _parts(data: bytes, at: int, layout: Layout, what: What, prefix: str = "") -> Iterator[Part]:
    for field in layout:
        number = word(data, at + field.offset, field.size)
        if field.ctype == "int32_t" and number >> 31:
            number -= 1 << 32
        value = _value(field.name, number, data, what)
        yield Part(
            prefix + field.name, at + field.offset, field.size, short_type(field.ctype), value
        )


def _value(name: str, number: int, data: bytes, what: What) -> str:
    match name:
        case "msgh_bits":
            return bits(number, received(data))
        case "msgh_remote_port" | "msgh_local_port" | "msgh_voucher_port" | "name":
            if not number:
                return "MACH_PORT_NULL"
            if number == mach.MACH_PORT_DEAD:
                return "MACH_PORT_DEAD"
            told = what(number)
            return f"{number:#x}" + (f" = {told}" if told else "")
        case "msgh_id":
            return f"{number} {NOTIFICATIONS.get(number, '')}".strip()
        case "address":
            return f"{number:#x}"
        case "disposition":
            return f"{number} {disposition(number, received(data))}"
        case "type":
            return f"{number} {KINDS.get(number, '')}".strip()
        case "copy":
            return f"{number} {COPIES.get(number, '')}".strip()
        case "msgh_trailer_type":
            return f"{number} {'MACH_MSG_TRAILER_FORMAT_0' * (not number)}".strip()
        case "pid":
            return f"{number}{' the kernel' * (not number)}"
    return f"{number:,}" if number >= 10_000 else str(number)


def bits(number: int, got: bool) -> str:
    """``msgh_bits`` in words: ``COPY_SEND, local MAKE_SEND_ONCE, COMPLEX``."""
    words = [disposition(MACH_MSGH_BITS_REMOTE(number), got)]
    if MACH_MSGH_BITS_LOCAL(number):
        words.append(f"local {disposition(MACH_MSGH_BITS_LOCAL(number), got)}")
    if number & mach.MACH_MSGH_BITS_COMPLEX:
        words.append("COMPLEX")
    return f"{number:#x} {', '.join(words)}"


def table_parts(data: bytes, layout: Layout) -> list[Part]:
    """A structure of plain numbers."""
    return list(_parts(data, 0, layout, unknown))
