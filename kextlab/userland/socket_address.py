"""Addresses and control data as CPython turns arguments into bytes.

Read beside it: CPython's ``Modules/socketmodule.c`` (``getsockaddrarg``, ``sock_sendmsg``) and
Darwin's ``CMSG_LEN``, ``CMSG_SPACE`` (``bsd/sys/socket.h``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kextlab.abi.constants import MAX_KCTL_NAME, SYSPROTO_CONTROL
from kextlab.abi.ioctl import CTLIOCGINFO
from kextlab.abi.structs import SockaddrCtl
from kextlab.abi.un import CMSGHDR_SIZE, cmsg
from kextlab.userland.arguments import as_bytes, c_int, c_uint

if TYPE_CHECKING:
    from kextlab.userland.process import App


def control_sockaddr(app: App, fd: int, proto: int, address: object, caller: str) -> bytes:
    """``struct sockaddr_ctl`` of a control's name, which is looked up and gets unit 0, or of
    (id, unit).

    Raises:
        OSError: without errno: no control has that name, or the lookup failed otherwise; the
            protocol is not SYSPROTO_CONTROL.
        ValueError: the name has more than 96 bytes, or a NUL. Exactly 96 reach the kernel.
        TypeError: neither a str nor a pair of ints.
    """
    if proto != SYSPROTO_CONTROL:
        raise OSError(f"{caller}(): unsupported PF_SYSTEM protocol")
    if isinstance(address, str):
        name = address.encode("utf-8", "surrogateescape")
        if b"\0" in name:
            raise ValueError("embedded null byte")
        if len(name) > MAX_KCTL_NAME:
            raise ValueError("provided string is too long")
        info = bytes(4) + name.ljust(MAX_KCTL_NAME, b"\0")
        errno, answer = app.gate.ioctl(app.pid, fd, CTLIOCGINFO, info)
        if errno:
            raise OSError("cannot find kernel control with provided name")
        return SockaddrCtl(sc_id=int.from_bytes(answer[:4], "little")).pack()
    try:
        ident, unit = _pair(address)
    except Exception:
        raise TypeError(
            f"{caller}(): PF_SYSTEM address must be a str or a pair (id, unit)"
        ) from None
    return SockaddrCtl(sc_id=ident, sc_unit=unit).pack()


def _pair(address: object) -> tuple[int, int]:
    if not isinstance(address, tuple):
        raise TypeError
    ident, unit = address
    return c_uint(ident), c_uint(unit)


def cmsg_len(length: int, /) -> int:
    """Bytes of a control message with ``length`` bytes of data. OverflowError if too long."""
    if not 0 <= length <= 0x7FFFFFFF - CMSGHDR_SIZE:
        raise OverflowError("CMSG_LEN() argument out of range")
    return CMSGHDR_SIZE + length


def cmsg_space(length: int, /) -> int:
    """As ``cmsg_len``, with the padding behind the data."""
    if not 0 <= length <= 0x7FFFFFFF - CMSGHDR_SIZE - 4:
        raise OverflowError("CMSG_SPACE() argument out of range")
    return CMSGHDR_SIZE + (length + 3 & ~3)


def cmsg_block(items: list[Any]) -> bytes:
    """Control data of (level, type, data) triples. TypeError if an item is none."""
    block = b""
    what = "[sendmsg() ancillary data items]() argument must be"
    for item in items:
        if not hasattr(item, "__len__") or not hasattr(item, "__getitem__"):
            raise TypeError(f"{what} 3-item sequence, not {type(item).__name__}")
        if len(item) != 3:
            raise TypeError(f"{what} sequence of length 3, not {len(item)}")
        level, kind, data = c_int(item[0]), c_int(item[1]), as_bytes(item[2])
        block += cmsg(level, kind, data)
    return block
