"""What every call and callback carries: one table for each direction of each gate.

A signature is a string with one letter for each argument, as ``KINDS`` reads it. Both sides
follow the tables: the caller to turn out-pointers, mbufs and cookies into values, the callee to
refuse a message that does not fit, before anything is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kextlab.remote.wire import Plain, WireError, shown

SYSCALLS: Final = {
    "socket": "iiii",
    "dup": "iii",
    "close": "ii",
    "socketpair": "iiii",
    "bind": "iin",
    "connect": "iin",
    "listen": "iii",
    "accept": "ii",
    "unlink": "ib",
    "chmod": "ibi",
    "getpeername": "ii",
    "getsockname": "ii",
    "sendto": "iinin",
    "sendmsg": "iilinn",
    "sendmsg_x": "iili",
    "recvfrom": "iiii",
    "recvmsg": "iiiit",
    "recvmsg_x": "iiiii",
    "shutdown": "iii",
    "disconnectx": "iiii",
    "setsockopt": "iiiini",
    "getsockopt": "iiiin",
    "ioctl": "iiin",
    "poll": "ii",
    "select": "iddt",
}
"""The calls of ``kextlab.kernel.syscalls.Syscalls``; the first argument is the pid."""

KPI: Final = {
    "ctl_register": "Ro",
    "ctl_deregister": "r",
    "ctl_enqueuedata": "ribii",
    "ctl_enqueuembuf": "rimi",
    "ctl_enqueuembuf_list": "ripiq",
    "ctl_getenqueuespace": "rio",
    "ctl_getenqueuepacketcount": "rio",
    "ctl_getenqueuereadable": "rio",
    "ctl_id_by_name": "z",
    "ctl_name_by_id": "ioi",
    "kev_vendor_code_find": "so",
    "kev_msg_post": "e",
    "mbuf_len": "m",
    "mbuf_data": "m",
    "mbuf_next": "m",
    "mbuf_nextpkt": "m",
    "mbuf_pkthdr_len": "m",
    "mbuf_flags": "m",
    "mbuf_copydata": "miio",
    "mbuf_allocpacket": "iiOq",
    "mbuf_copyback": "miibi",
    "mbuf_setnextpkt": "mp",
    "mbuf_free": "m",
    "mbuf_freem": "p",
    "mbuf_freem_list": "p",
    "printf": "s",
    "wakeup": "s",
}
"""The functions of ``kextlab.kernel.kpi.Kpi``."""

CALLBACKS: Final = {
    "setup": "IU",
    "bind": "iAU",
    "connect": "iAU",
    "disconnect": "iiu",
    "send": "iiumi",
    "send_list": "iiumi",
    "rcvd": "iiui",
    "setopt": "iiuini",
    "getopt": "iiuiBI",
}
"""A control's callbacks."""

ROUTINES: Final = {"start": "", "stop": ""}
"""The routines of the kext itself, which the kernel calls like callbacks."""

FIELDS: Final = ("ctl_name", "ctl_id", "ctl_unit", "ctl_flags", "ctl_sendsize", "ctl_recvsize")
"""The fields of a KernCtlReg that are values."""

ADDRESS: Final = ("sc_len", "sc_family", "ss_sysaddr", "sc_id", "sc_unit", "sc_reserved")
"""The fields of a SockaddrCtl."""


def _number(value: Plain) -> bool:
    return isinstance(value, int)


def _items(value: Plain, shape: tuple[Callable[[Plain], bool], ...]) -> bool:
    """Whether it is a tuple of as many items as ``shape`` has, each as it says."""
    return (
        isinstance(value, tuple)
        and len(value) == len(shape)
        and all(fits(item) for fits, item in zip(shape, value, strict=True))
    )


def _each(value: Plain, type_: type) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, type_) for item in value)


def _text(value: Plain) -> bool:
    return isinstance(value, str)


def _record(value: Plain) -> bool:
    return value is None or _items(value, (_place, _fields, _callbacks))


def _place(value: Plain) -> bool:
    """The number of a record: 0 is the kext's own routines."""
    return _number(value) and value > 0


def _callbacks(value: Plain) -> bool:
    return _each(value, str) and CALLBACKS.keys() >= set(value)


def _fields(value: Plain) -> bool:
    return _items(value, (_text, *[_number] * (len(FIELDS) - 1)))


def _event(value: Plain) -> bool:
    return value is None or _items(value, (*[_number] * 4, lambda dv: _each(dv, bytes)))


def _address(value: Plain) -> bool:
    return _items(value, (*[_number] * (len(ADDRESS) - 1), lambda words: _each(words, int)))


KINDS: Final[dict[str, tuple[str, Callable[[Plain], bool]]]] = {
    "i": ("a number", _number),
    "r": ("a kctlref or None", lambda v: v is None or _number(v)),
    "s": ("a str", _text),
    "z": ("a str or None", lambda v: v is None or _text(v)),
    "b": ("bytes", lambda v: isinstance(v, bytes)),
    "n": ("bytes or None", lambda v: v is None or isinstance(v, bytes)),
    "l": ("a list of bytes", lambda v: _each(v, bytes)),
    "d": ("a list of descriptors", lambda v: _each(v, int)),
    "t": ("a number or None", lambda v: v is None or _number(v)),
    "m": ("an mbuf", _number),
    "p": ("an mbuf or None", lambda v: v is None or _number(v)),
    "e": ("a KevMsg or None", _event),
    "R": ("a KernCtlReg or None", _record),
    "u": ("a cookie", lambda v: v is None or isinstance(v, int | str | bytes)),
    # Out-pointers that are only written; False is NULL.
    "o": ("an Out or None", lambda v: isinstance(v, bool)),
    "q": ("an Out for an mbuf or None", lambda v: isinstance(v, bool)),
    # What is read and written: it crosses both ways.
    "O": ("an Out of a value or None", lambda v: v is None or _items(v, (lambda _: True,))),
    "I": ("an Out of a number", _number),
    "U": ("an Out of a cookie", lambda v: v is None or isinstance(v, int | str | bytes)),
    "A": ("a SockaddrCtl", _address),
    "B": ("a bytearray or None", lambda v: v is None or isinstance(v, bytes)),
}
"""Letter of an argument: what it is, and whether the value that crosses for it can be that."""


def check(name: str, signature: str, values: tuple[Plain, ...]) -> None:
    """WireError, in one line, unless ``values`` are arguments of that signature."""
    if len(values) != len(signature):
        raise WireError(f"{name} takes {len(signature)} arguments, {len(values)} are given")
    for at, (kind, value) in enumerate(zip(signature, values, strict=True), 1):
        what, fits = KINDS[kind]
        if not fits(value):
            raise WireError(f"{name}: argument {at} is {shown(value)}, {what} is due")


def signature_of(table: dict[str, str], name: str) -> str:
    """The signature of a call; WireError if there is no call of that name."""
    signature = table.get(name)
    if signature is None:
        raise WireError(f"unknown call {shown(name)}")
    return signature


def check_written(
    name: str, signature: str, kinds: str, written: tuple[tuple[int, Plain], ...]
) -> None:
    """WireError unless every pair is an argument of one of ``kinds`` and a value it may get."""
    for at, value in written:
        if not 0 <= at < len(signature) or signature[at] not in kinds:
            raise WireError(f"{name} wrote to argument {at + 1}, which is no out-pointer")
        what, fits = KINDS[signature[at]]
        if not fits(value):
            raise WireError(f"{name} wrote {shown(value)} to argument {at + 1}, {what} is due")
