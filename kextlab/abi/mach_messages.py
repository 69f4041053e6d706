"""Mach messages as bytes: header, descriptors, trailer, as a 64-bit program lays them out.

A message is ``mach_msg_header_t`` (24 bytes); if MACH_MSGH_BITS_COMPLEX is set, the number of
descriptors (4) and the descriptors (12 each); then the body. What is received has a trailer behind
it. Little endian. Read beside it: ``osfmk/mach/message.h``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from kextlab.abi.mach import (
    MACH_MSG_PORT_DESCRIPTOR,
    MACH_MSGH_BITS_COMPLEX,
    SIZEOF_BODY,
    SIZEOF_HEADER,
    SIZEOF_PORT_DESCRIPTOR,
)

HEADER: Final = struct.Struct("<IIIIIi")
"""``mach_msg_header_t``."""
_COUNT = struct.Struct("<I")
_DESCRIPTOR = struct.Struct("<IIHBB")
TRAILER_FORMAT_0: Final = 0


def MACH_MSGH_BITS(remote: int, local: int) -> int:
    """``msgh_bits`` for two dispositions, without MACH_MSGH_BITS_COMPLEX."""
    return remote | local << 8


def MACH_MSGH_BITS_REMOTE(bits: int) -> int:
    """The disposition of ``msgh_remote_port``."""
    return bits & 0x1F


def MACH_MSGH_BITS_LOCAL(bits: int) -> int:
    """The disposition of ``msgh_local_port``."""
    return bits >> 8 & 0x1F


@dataclass(slots=True)
class MachMsgHeader:
    """``mach_msg_header_t``. ``msgh_size`` counts bytes, the trailer left out."""

    msgh_bits: int = 0
    msgh_size: int = 0
    msgh_remote_port: int = 0
    msgh_local_port: int = 0
    msgh_voucher_port: int = 0
    msgh_id: int = 0

    def pack(self) -> bytes:
        """The 24 bytes."""
        return HEADER.pack(
            self.msgh_bits,
            self.msgh_size,
            self.msgh_remote_port,
            self.msgh_local_port,
            self.msgh_voucher_port,
            self.msgh_id,
        )

    @classmethod
    def unpack(cls, data: bytes) -> MachMsgHeader:
        """ValueError: fewer than 24 bytes."""
        if len(data) < SIZEOF_HEADER:
            raise ValueError(f"mach_msg_header_t is {SIZEOF_HEADER} bytes, not {len(data)}")
        return cls(*HEADER.unpack_from(data))

    @property
    def complex(self) -> bool:
        """Whether descriptors follow."""
        return bool(self.msgh_bits & MACH_MSGH_BITS_COMPLEX)


@dataclass(frozen=True, slots=True)
class PortDescriptor:
    """``mach_msg_port_descriptor_t``: a right that travels, and how."""

    name: int
    disposition: int
    type: int = MACH_MSG_PORT_DESCRIPTOR

    def pack(self) -> bytes:
        """The 12 bytes."""
        return _DESCRIPTOR.pack(self.name, 0, 0, self.disposition, self.type)


def pack_message(header: MachMsgHeader, descriptors: list[PortDescriptor], body: bytes) -> bytes:
    """The bytes of a message. ``msgh_size`` is counted if it is 0. Descriptors without
    MACH_MSGH_BITS_COMPLEX are bytes like any others, as in C."""
    rest = body
    if descriptors or header.complex:
        rest = _COUNT.pack(len(descriptors)) + b"".join(one.pack() for one in descriptors) + body
    size = header.msgh_size or SIZEOF_HEADER + len(rest)
    first = MachMsgHeader(
        header.msgh_bits,
        size,
        header.msgh_remote_port,
        header.msgh_local_port,
        header.msgh_voucher_port,
        header.msgh_id,
    )
    return first.pack() + rest


def unpack_message(data: bytes) -> tuple[MachMsgHeader, list[PortDescriptor], bytes]:
    """Header, descriptors and body of a message; what lies behind ``msgh_size`` is not looked at.

    Raises:
        ValueError: too short for its header or its descriptors.
    """
    header = MachMsgHeader.unpack(data)
    at, found = SIZEOF_HEADER, []
    if header.complex:
        if len(data) < at + SIZEOF_BODY:
            raise ValueError("a complex message has no number of descriptors")
        (count,) = _COUNT.unpack_from(data, at)
        at += SIZEOF_BODY
        end = at + count * SIZEOF_PORT_DESCRIPTOR
        if end > min(len(data), header.msgh_size):
            raise ValueError(f"{count} descriptors need {end} bytes, not {header.msgh_size}")
        for _ in range(count):
            name, _, _, disposition, kind = _DESCRIPTOR.unpack_from(data, at)
            found.append(PortDescriptor(name, disposition, kind))
            at += SIZEOF_PORT_DESCRIPTOR
    return header, found, data[at : max(at, header.msgh_size)]


AuditToken: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""``audit_token_t``: audit uid, uid, gid, real uid, real gid, pid, audit session, pid version."""
KERNEL_AUDIT_TOKEN: Final[AuditToken] = (0, 0, 0, 0, 0, 0, 0, 0)
"""Of a message the kernel sent itself."""

_TRAILER = struct.Struct("<III2I8I")


def pack_trailer(size: int, seqno: int | None, audit: AuditToken = KERNEL_AUDIT_TOKEN) -> bytes:
    """The first ``size`` bytes of ``mach_msg_audit_trailer_t``, which begins as the smaller
    trailers do: format, size, sequence number, uid and gid, audit token."""
    whole = _TRAILER.pack(TRAILER_FORMAT_0, size, seqno or 0, audit[1], audit[2], *audit)
    return whole[:size]


def unpack_audit_token(trailer: bytes) -> AuditToken:
    """The audit token of a ``mach_msg_audit_trailer_t``. struct.error: not 52 bytes."""
    token: AuditToken = _TRAILER.unpack(trailer)[5:]
    return token
