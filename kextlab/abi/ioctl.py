"""How Darwin numbers its ioctl requests, and the requests of system-domain sockets.

A request is a 32-bit word: direction in the top three bits, size of the argument in the next
thirteen, then one byte for the group letter and one for the number within the group::

    31   29 28            16 15      8 7       0
    [ dir ] [    size      ] [ group ] [ number ]

The direction is the process's view: "out" is what the kernel copies out to it. Linux numbers its
requests by another rule, so a number computed with Linux headers is not Darwin's.

Read beside it: ``bsd/sys/ioccom.h``; for the requests ``bsd/sys/kern_control.h``,
``bsd/sys/kern_event.h``, ``bsd/sys/filio.h``, ``bsd/sys/sockio.h``.

Leaves out: what the requests do; all requests of other devices and protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

IOCPARM_MASK: Final = 0x1FFF  # largest argument size in bytes: 13 bits
IOC_VOID: Final = 0x20000000  # no argument
IOC_OUT: Final = 0x40000000  # kernel to process
IOC_IN: Final = 0x80000000  # process to kernel
IOC_INOUT: Final = IOC_IN | IOC_OUT
IOC_DIRMASK: Final = 0xE0000000

_DIRECTIONS: Final[Mapping[int, str]] = {
    IOC_VOID: "void",
    IOC_OUT: "out",
    IOC_IN: "in",
    IOC_INOUT: "inout",
}


def io(group: str, number: int) -> int:
    """Number a request without argument (``_IO``). Errors as for ``iowr``."""
    return _encode(IOC_VOID, group, number, 0)


def ior(group: str, number: int, size: int) -> int:
    """Number a request whose answer of ``size`` bytes is copied out (``_IOR``)."""
    return _encode(IOC_OUT, group, number, size)


def iow(group: str, number: int, size: int) -> int:
    """Number a request whose argument of ``size`` bytes is copied in (``_IOW``)."""
    return _encode(IOC_IN, group, number, size)


def iowr(group: str, number: int, size: int) -> int:
    """Number a request whose argument of ``size`` bytes is copied in and out (``_IOWR``).

    Args:
        group: one character below U+0100, the family of requests.
        number: 0 to 255, within the group.
        size: bytes of the argument, 0 to 8191.

    Raises:
        ValueError: an argument is outside its range.
    """
    return _encode(IOC_INOUT, group, number, size)


def _encode(direction: int, group: str, number: int, size: int) -> int:
    if len(group) != 1 or ord(group) > 0xFF:
        raise ValueError(f"ioctl group {group!r}: expected one character such as 'N'")
    if not 0 <= number <= 0xFF:
        raise ValueError(f"ioctl number {number}: expected 0 to 255")
    if not 0 <= size <= IOCPARM_MASK:
        raise ValueError(f"ioctl argument size {size}: expected 0 to {IOCPARM_MASK} bytes")
    return direction | size << 16 | ord(group) << 8 | number


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request word.

    ``direction`` is "void", "out", "in" or "inout"; any other pattern of the three bits (a word
    no macro makes) is given in hexadecimal. ``size`` is in bytes.
    """

    direction: str
    group: str
    number: int
    size: int


def decode(cmd: int) -> Request:
    """Take a request word apart.

    Raises:
        ValueError: ``cmd`` is not an unsigned 32-bit number.
    """
    if not 0 <= cmd <= 0xFFFFFFFF:
        raise ValueError(f"ioctl request {cmd:#x}: expected 0 to 0xffffffff")
    bits = cmd & IOC_DIRMASK
    return Request(
        direction=_DIRECTIONS.get(bits, f"{bits:#010x}"),
        group=chr(cmd >> 8 & 0xFF),
        number=cmd & 0xFF,
        size=cmd >> 16 & IOCPARM_MASK,
    )


_INT: Final = 4  # bytes of a C int and of u_int32_t

# Kernel control, group 'N'.
CTLIOCGCOUNT: Final = ior("N", 2, _INT)  # 0x40044e02
CTLIOCGINFO: Final = iowr("N", 3, 100)  # 0xc0644e03, struct ctl_info

# Kernel events, group 'e'.
SIOCGKEVID: Final = ior("e", 1, _INT)  # 0x40046501
SIOCSKEVFILT: Final = iow("e", 2, 12)  # 0x800c6502, struct kev_request
SIOCGKEVFILT: Final = ior("e", 3, 12)  # 0x400c6503
SIOCGKEVVENDOR: Final = iowr("e", 4, 204)  # 0xc0cc6504, struct kev_vendor_code

# Any descriptor, group 'f'.
FIOCLEX: Final = io("f", 1)  # 0x20006601
FIONCLEX: Final = io("f", 2)  # 0x20006602
FIOASYNC: Final = iow("f", 125, _INT)  # 0x8004667d
FIONBIO: Final = iow("f", 126, _INT)  # 0x8004667e
FIONREAD: Final = ior("f", 127, _INT)  # 0x4004667f

# Any socket, group 's'.
SIOCATMARK: Final = ior("s", 7, _INT)  # 0x40047307
SIOCSPGRP: Final = iow("s", 8, _INT)  # 0x80047308
SIOCGPGRP: Final = ior("s", 9, _INT)  # 0x40047309

# Name -> request word.
REQUESTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "CTLIOCGCOUNT": CTLIOCGCOUNT,
        "CTLIOCGINFO": CTLIOCGINFO,
        "SIOCGKEVID": SIOCGKEVID,
        "SIOCSKEVFILT": SIOCSKEVFILT,
        "SIOCGKEVFILT": SIOCGKEVFILT,
        "SIOCGKEVVENDOR": SIOCGKEVVENDOR,
        "FIOCLEX": FIOCLEX,
        "FIONCLEX": FIONCLEX,
        "FIOASYNC": FIOASYNC,
        "FIONBIO": FIONBIO,
        "FIONREAD": FIONREAD,
        "SIOCATMARK": SIOCATMARK,
        "SIOCSPGRP": SIOCSPGRP,
        "SIOCGPGRP": SIOCGPGRP,
    }
)

_BY_WORD: Final[Mapping[int, str]] = {word: name for name, word in REQUESTS.items()}


def name_of(cmd: int) -> str | None:
    """Name of a request word, or None for one not listed in ``REQUESTS``."""
    return _BY_WORD.get(cmd)
