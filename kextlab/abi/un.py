"""The C structures of local sockets, byte for byte: addresses, credentials, control data.

Little endian, as on every Mac. Read beside it: ``bsd/sys/un.h`` (sockaddr_un), ``bsd/sys/ucred.h``
(xucred), ``bsd/sys/socket.h`` (cmsghdr).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .constants import AF_UNIX, SCM_RIGHTS, SOL_SOCKET

SUN_PATH_OFFSET: Final = 2
"""Bytes of ``sockaddr_un`` before its path: sun_len, sun_family."""
SUN_NONAME: Final = bytes([16, AF_UNIX]) + bytes(14)
"""The address of a socket without a name: a whole ``struct sockaddr`` of zeros."""
CMSGHDR_SIZE: Final = 12
"""Bytes of ``struct cmsghdr``; items start at multiples of 4."""
XUCRED_SIZE: Final = 76
"""Bytes of ``struct xucred``."""
NGROUPS: Final = 16


def sockaddr_un(path: bytes) -> bytes:
    """``struct sockaddr_un`` of a path, as long as it must be: its NUL belongs to it.

    Raises:
        ValueError: the length does not fit sun_len.
    """
    length = SUN_PATH_OFFSET + len(path) + 1
    if length > 0xFF:
        raise ValueError(f"a path of {len(path)} bytes: sockaddr_un has room for 252")
    return bytes([length, AF_UNIX]) + path + b"\0"


def sun_path(nam: bytes) -> bytes:
    """The path in a ``struct sockaddr_un``, up to its NUL; empty for a socket without a name."""
    return nam[SUN_PATH_OFFSET:].split(b"\0", 1)[0]


def xucred(uid: int, groups: Sequence[int]) -> bytes:
    """``struct xucred``: version 0, user, number of groups, groups.

    Raises:
        ValueError: more than 16 groups.
    """
    if len(groups) > NGROUPS:
        raise ValueError(f"{len(groups)} groups: expected at most {NGROUPS}")
    rest = (0,) * (NGROUPS - len(groups))
    return struct.pack("<IIhxx16I", 0, uid, len(groups), *groups, *rest)


class Cmsg(NamedTuple):
    """One item of control data; ``cut`` is whether some of it is missing."""

    level: int
    type: int
    data: bytes
    cut: bool = False


def cmsg(level: int, type_: int, data: bytes) -> bytes:
    """One item of control data, padded to a multiple of 4 bytes."""
    head = struct.pack("<Iii", CMSGHDR_SIZE + len(data), level, type_)
    return head + data + bytes(-len(data) % 4)


def cmsgs(control: bytes) -> Iterator[Cmsg]:
    """The items of control data, as CMSG_FIRSTHDR and CMSG_NXTHDR walk it: the last one may be cut
    short, one of an impossible length ends it."""
    at = 0
    while len(control) - at >= CMSGHDR_SIZE:
        length, level, type_ = struct.unpack_from("<Iii", control, at)
        if length < CMSGHDR_SIZE:
            return
        data = control[at + CMSGHDR_SIZE : at + length]
        yield Cmsg(level, type_, data, len(data) < length - CMSGHDR_SIZE)
        at += (length + 3) & ~3


def rights(control: bytes) -> tuple[int, ...] | None:
    """The descriptors in control data that is one SCM_RIGHTS item and nothing else; ``None`` if
    it is something else [XNU: unp_internalize]."""
    if len(control) < CMSGHDR_SIZE:
        return None
    length, level, type_ = struct.unpack_from("<Iii", control)
    if type_ != SCM_RIGHTS or level != SOL_SOCKET or length != len(control):
        return None
    count = (length - CMSGHDR_SIZE) // 4
    return struct.unpack_from(f"<{count}i", control, CMSGHDR_SIZE)
