"""Mach messages as bytes: header, descriptors, trailer, as a 64-bit program lays them out.

A message is ``mach_msg_header_t`` (24 bytes); if MACH_MSGH_BITS_COMPLEX is set, the number of
descriptors (4) and the descriptors (12 bytes a port, 16 the others); then the body. What is
received has a trailer behind it. Little endian. Read beside it: ``osfmk/mach/message.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from kextlab.abi.mach import (
    MACH_MSG_GUARDED_PORT_DESCRIPTOR,
    MACH_MSG_OOL_DESCRIPTOR,
    MACH_MSG_OOL_PORTS_DESCRIPTOR,
    MACH_MSG_OOL_VOLATILE_DESCRIPTOR,
    MACH_MSG_PORT_DESCRIPTOR,
    MACH_MSG_SUCCESS,
    MACH_MSG_VIRTUAL_COPY,
    MACH_MSGH_BITS_COMPLEX,
    MACH_SEND_INVALID_TYPE,
    MACH_SEND_MSG_TOO_SMALL,
    SIZEOF_BODY,
    SIZEOF_GUARDED_PORT_DESCRIPTOR,
    SIZEOF_HEADER,
    SIZEOF_OOL_DESCRIPTOR,
    SIZEOF_OOL_PORTS_DESCRIPTOR,
    SIZEOF_PORT_DESCRIPTOR,
)

HEADER: Final = struct.Struct("<IIIIIi")
"""``mach_msg_header_t``."""
_COUNT = struct.Struct("<I")
_PORT = struct.Struct("<IIHBB")
_OOL = struct.Struct("<QBBBBI")
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


def _packed(form: struct.Struct, what: object, *fields: int) -> bytes:
    try:
        return form.pack(*fields)
    except struct.error as error:
        raise ValueError(f"{what} is no descriptor: {error}") from None


@dataclass(frozen=True, slots=True)
class PortDescriptor:
    """``mach_msg_port_descriptor_t``: a right that travels, and how."""

    name: int
    disposition: int
    type: int = MACH_MSG_PORT_DESCRIPTOR

    def pack(self) -> bytes:
        """The 12 bytes. ValueError: a field does not fit."""
        return _packed(_PORT, self, self.name, 0, 0, self.disposition, self.type)


@dataclass(frozen=True, slots=True)
class OolDescriptor:
    """``mach_msg_ool_descriptor_t``: memory that travels, out of the line of the body.

    ``address`` is one of the sender's, once received one of the receiver's; ``size`` in bytes. With
    ``deallocate`` the sender's pages go; to a receiver it says that they are its own to give up.
    ``copy`` is MACH_MSG_PHYSICAL_COPY or MACH_MSG_VIRTUAL_COPY.
    """

    address: int
    size: int
    deallocate: bool = False
    copy: int = MACH_MSG_VIRTUAL_COPY
    type: int = MACH_MSG_OOL_DESCRIPTOR

    def pack(self) -> bytes:
        """The 16 bytes. ValueError: a field does not fit."""
        ways = (self.deallocate, self.copy, 0, self.type)
        return _packed(_OOL, self, self.address, *ways, self.size)


@dataclass(frozen=True, slots=True)
class OolPortsDescriptor:
    """``mach_msg_ool_ports_descriptor_t``: rights that travel, their names in memory: ``count``
    times 4 bytes at ``address``, all with one disposition. The rest as in ``OolDescriptor``."""

    address: int
    count: int
    disposition: int
    deallocate: bool = False
    copy: int = MACH_MSG_VIRTUAL_COPY
    type: int = MACH_MSG_OOL_PORTS_DESCRIPTOR

    def pack(self) -> bytes:
        """The 16 bytes. ValueError: a field does not fit."""
        ways = (self.deallocate, self.copy, self.disposition, self.type)
        return _packed(_OOL, self, self.address, *ways, self.count)


Descriptor: TypeAlias = PortDescriptor | OolDescriptor | OolPortsDescriptor

SIZES: Final = MappingProxyType(
    {
        MACH_MSG_PORT_DESCRIPTOR: SIZEOF_PORT_DESCRIPTOR,
        MACH_MSG_OOL_DESCRIPTOR: SIZEOF_OOL_DESCRIPTOR,
        MACH_MSG_OOL_PORTS_DESCRIPTOR: SIZEOF_OOL_PORTS_DESCRIPTOR,
        MACH_MSG_OOL_VOLATILE_DESCRIPTOR: SIZEOF_OOL_DESCRIPTOR,
        MACH_MSG_GUARDED_PORT_DESCRIPTOR: SIZEOF_GUARDED_PORT_DESCRIPTOR,
    }
)
"""Bytes of a descriptor, by its type."""
TYPE_AT: Final = 11
"""Where the type of a descriptor stands, whatever type it is."""


def _descriptor(data: bytes, at: int) -> Descriptor:
    kind = data[at + TYPE_AT]
    if kind == MACH_MSG_PORT_DESCRIPTOR:
        name, _, _, disposition, _ = _PORT.unpack_from(data, at)
        return PortDescriptor(name, disposition)
    if kind == MACH_MSG_GUARDED_PORT_DESCRIPTOR:
        raise NotImplementedError("a guarded port in a message (descriptor type 4) is not modelled")
    address, deallocate, copy, disposition, _, size = _OOL.unpack_from(data, at)
    if kind == MACH_MSG_OOL_PORTS_DESCRIPTOR:
        return OolPortsDescriptor(address, size, disposition, bool(deallocate), copy)
    return OolDescriptor(address, size, bool(deallocate), copy, kind)


def pack_message(header: MachMsgHeader, descriptors: Sequence[Descriptor], body: bytes) -> bytes:
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


@dataclass(slots=True)
class Parts:
    """A message taken apart. ``code`` is what the kernel refuses it with when it comes behind the
    last of these descriptors: MACH_SEND_MSG_TOO_SMALL or MACH_SEND_INVALID_TYPE; else 0."""

    header: MachMsgHeader
    descriptors: list[Descriptor]
    body: bytes
    code: int = MACH_MSG_SUCCESS


def split_message(data: bytes) -> Parts:
    """Take a message apart as far as it goes; what lies behind ``msgh_size`` is not looked at.

    Raises:
        ValueError: too short for a header and, if it is complex, the number of descriptors.
        NotImplementedError: a guarded port descriptor.
    """
    header = MachMsgHeader.unpack(data)
    at = SIZEOF_HEADER
    end = min(len(data), header.msgh_size)
    if not header.complex:
        return Parts(header, [], data[at : max(at, end)])
    if len(data) < at + SIZEOF_BODY:
        raise ValueError("a complex message has no number of descriptors")
    (count,) = _COUNT.unpack_from(data, at)
    at += SIZEOF_BODY
    found: list[Descriptor] = []
    for _ in range(count):
        if at + SIZEOF_PORT_DESCRIPTOR > end:  # the smallest there is
            return Parts(header, found, b"", MACH_SEND_MSG_TOO_SMALL)
        size = SIZES.get(data[at + TYPE_AT])
        if size is None:
            return Parts(header, found, b"", MACH_SEND_INVALID_TYPE)
        if at + size > end:
            return Parts(header, found, b"", MACH_SEND_MSG_TOO_SMALL)
        found.append(_descriptor(data, at))
        at += size
    return Parts(header, found, data[at : max(at, end)])


def unpack_message(data: bytes) -> tuple[MachMsgHeader, list[Descriptor], bytes]:
    """Header, descriptors and body of a message; what lies behind ``msgh_size`` is not looked at.

    Raises:
        ValueError: too short for its header or its descriptors, or one of an unknown type.
        NotImplementedError: a guarded port descriptor.
    """
    parts = split_message(data)
    if parts.code:
        seen = len(parts.descriptors)
        why = "too short for" if parts.code == MACH_SEND_MSG_TOO_SMALL else "of an unknown type:"
        raise ValueError(f"a message of {parts.header.msgh_size} bytes is {why} descriptor {seen}")
    return parts.header, parts.descriptors, parts.body


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
