"""The bytes a call carries, and the struct they are, for the inspector."""

from __future__ import annotations

from typing import NamedTuple, cast

from kextlab.abi.constants import AF_UNIX
from kextlab.abi.ioctl import CTLIOCGINFO, SIOCGKEVFILT, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.mach import SIZEOF_HEADER
from kextlab.abi.structs import KernEventMsg
from kextlab.trace.events import Event
from kextlab.views.fields import MESSAGE

REQUESTS = {
    CTLIOCGINFO: "ctl_info",
    SIOCSKEVFILT: "kev_request",
    SIOCGKEVFILT: "kev_request",
    SIOCGKEVVENDOR: "kev_vendor_code",
}


class Payload(NamedTuple):
    """``data``, its true length (``data`` may be cut), and the struct it is, "" if none."""

    data: bytes
    length: int
    struct: str = ""


def _bytes(data: object, struct: str = "") -> Payload | None:
    return Payload(data, len(data), struct) if isinstance(data, bytes) and data else None


def _message(data: object) -> Payload | None:
    """A Mach message, or bytes that are too few for one."""
    whole = isinstance(data, bytes) and len(data) >= SIZEOF_HEADER
    return _bytes(data, MESSAGE if whole else "")


def _sockaddr(data: object) -> str:
    """The struct an address is; a path is none with fields."""
    return "" if isinstance(data, bytes) and data[1:2] == bytes([AF_UNIX]) else "sockaddr_ctl"


def read_event(payload: Payload) -> KernEventMsg | None:
    """The kernel event a payload is, ``None`` if it is none or not all of one."""
    if payload.struct != "kern_event_msg":
        return None
    try:
        return KernEventMsg.unpack(payload.data)
    except ValueError:
        return None


def asked(event: Event) -> Payload | None:
    """What a process hands in with a system call."""
    args = event.arguments
    match event.name:
        case "connect" | "bind":
            return _bytes(args[1], _sockaddr(args[1]))
        case "sendto":
            return _bytes(args[1])
        case "sendmsg":
            return _bytes(b"".join(cast("tuple[bytes, ...]", args[1])))
        case "ioctl":
            return _bytes(args[2], REQUESTS.get(cast(int, args[1]), ""))
        case "setsockopt":
            return _bytes(args[3])
        case "mach_msg":
            return _message(args[0])
    return None


def given(event: Event, value: object, events: bool) -> Payload | None:
    """What a system call gives back; ``events``: of an event socket."""
    match event.name:
        case "recvfrom":
            return _bytes(value, "kern_event_msg" if events else "")
        case "recvmsg":
            data = cast("tuple[bytes, int]", value)[0]
            return _bytes(data, "kern_event_msg" if events else "")
        case "ioctl":
            return _bytes(value, REQUESTS.get(cast(int, event.arguments[1]), ""))
        case "getpeername":
            return _bytes(value, _sockaddr(value))
        case "getsockopt":
            return _bytes(cast("tuple[int, bytes]", value)[1])
        case "mach_msg":
            return _message(cast("tuple[str, bytes]", value)[1])
    return None
