"""Calls and their results in sentences; the refusals are in ``reasons``."""

from __future__ import annotations

from typing import cast

from kextlab.abi import errno
from kextlab.abi.constants import AF_UNIX, SOCK_DGRAM, SOCK_STREAM, SYSPROTO_EVENT
from kextlab.abi.errno import TABLE
from kextlab.abi.ioctl import (
    CTLIOCGCOUNT,
    CTLIOCGINFO,
    FIONBIO,
    SIOCGKEVFILT,
    SIOCGKEVID,
    SIOCGKEVVENDOR,
    SIOCSKEVFILT,
)
from kextlab.abi.iokit import io_return_name
from kextlab.abi.structs import CtlEventData, CtlInfo, KernEventMsg, KevRequest, SockaddrCtl
from kextlab.trace.events import Event
from kextlab.views import local_sentences
from kextlab.views.enqueue import ENQUEUES
from kextlab.views.index import Index
from kextlab.views.svg import count
from kextlab.views.words import listed, some

SHORT = {"sendto": "send", "recvfrom": "recv"}
SENDS = ("sendto", "sendmsg")
RECVS = ("recvfrom", "recvmsg")
REQUESTS = {
    CTLIOCGINFO: "CTLIOCGINFO",
    CTLIOCGCOUNT: "CTLIOCGCOUNT",
    SIOCGKEVID: "SIOCGKEVID",
    SIOCSKEVFILT: "SIOCSKEVFILT",
    SIOCGKEVFILT: "SIOCGKEVFILT",
    SIOCGKEVVENDOR: "SIOCGKEVVENDOR",
    FIONBIO: "FIONBIO",
}


def request_of(event: Event) -> str:
    """What an ioctl asks for, by name; "" for another call."""
    return REQUESTS.get(cast(int, event.arguments[1]), "?") if event.name == "ioctl" else ""


def kext_name(kext: str) -> str:
    """``echo`` for ``org.kextlab.echo``."""
    return kext.rpartition(".")[2] or kext


def address(data: object) -> SockaddrCtl | None:
    """A sockaddr_ctl that crossed the gate as bytes, ``None`` if it is none."""
    if not isinstance(data, bytes) or data[1:2] == bytes([AF_UNIX]):
        return None
    try:
        return SockaddrCtl.unpack(data)
    except ValueError:
        return None


def looked_up(data: object) -> CtlInfo | None:
    """A ctl_info that crossed the gate as bytes, ``None`` if it is none."""
    if not isinstance(data, bytes):
        return None
    try:
        return CtlInfo.unpack(data)
    except ValueError:
        return None


def size_of(data: object) -> int:
    """Bytes of a message, one buffer or several."""
    if isinstance(data, bytes):
        return len(data)
    return sum(len(part) for part in cast("tuple[bytes, ...]", data)) if data else 0


def event_named(message: KernEventMsg) -> str:
    """``event 4 (registered, ctl_id 2)``, or its codes if it is not one of the kernel's own."""
    kinds = {1: "registered", 2: "deregistered"}
    if (message.vendor_code, message.kev_class, message.kev_subclass) == (1, 3, 2):
        kind = kinds.get(message.event_code, f"code {message.event_code}")
        if len(message.event_data) >= CtlEventData.SIZE:
            kind += f", ctl_id {CtlEventData.unpack(message.event_data).ctl_id}"
        return f"event {message.id} ({kind})"
    codes = f"vendor {message.vendor_code}, class {message.kev_class}"
    return (
        f"event {message.id} ({codes}, subclass {message.kev_subclass}, code {message.event_code})"
    )


def called(who: str, event: Event) -> str:
    """A process enters the kernel."""
    local = local_sentences.called(who, event)
    if local is not None:
        return local
    args = event.arguments
    name = SHORT.get(event.name, event.name)
    match event.name:
        case "socket":
            kinds = {SOCK_DGRAM: "datagram", SOCK_STREAM: "stream"}
            if args[2] == SYSPROTO_EVENT:
                return f"{who} calls socket for an event socket."
            kind = kinds.get(cast(int, args[1]), "other")
            return f"{who} calls socket for a {kind} socket to a kernel control."
        case "ioctl":
            return _asked(who, args)
        case "connect" | "bind":
            where = address(args[1])
            if where is None:
                return f"{who} calls {name}(fd {args[0]})."
            unit = f"unit {where.sc_unit}" if where.sc_unit else "any free unit"
            return (
                f"{who} calls {name}(fd {args[0]}) to {name} to control id {where.sc_id}, {unit}."
            )
        case "sendto" | "sendmsg":
            words = f"{some(size_of(args[1]), 'byte')}{local_sentences.sent_with(event)}"
            return f"{who} calls {name}(fd {args[0]}) with {words}."
        case "recvfrom" | "recvmsg":
            room = some(cast(int, args[1]), "byte")
            return f"{who} calls {name}(fd {args[0]}) with room for {room}."
        case "select":
            delay = cast("int | None", args[2])
            wait = "for ever" if delay is None else f"at most {delay / 1e9:g} s"
            return f"{who} calls select({called_with(event)}) to wait {wait}."
    return f"{who} calls {name}(fd {args[0]})." if args else f"{who} calls {name}."


def call_of(event: Event) -> str:
    """A call as a refusal names it: ``connect(fd 3)``."""
    name = SHORT.get(event.name, event.name)
    if event.name == "select":
        return f"select({called_with(event)})"
    bare = event.name in local_sentences.BARE or is_message(event.name)
    return name if bare else f"{name}(fd {event.arguments[0]})"


def is_message(name: str) -> bool:
    """Whether a call is one of Mach's or IOKit's, which know names of rights, not descriptors."""
    return name.startswith(("io_", "mach_", "bootstrap_"))


def name_of(number: int) -> str:
    """The name of an errno, or of a code of Mach's or IOKit's."""
    known = number in TABLE or number < 0
    return errno.name_of(number) if known else io_return_name(number)


def called_with(event: Event) -> str:
    """The descriptors a select waits for."""
    reads, writes = cast("tuple[tuple[int, ...], ...]", event.arguments[:2])
    fds = sorted({*reads, *writes})
    return "fd " + ", ".join(map(str, fds)) if fds else "nothing"


def _asked(who: str, args: tuple[object, ...]) -> str:
    request = REQUESTS.get(cast(int, args[1]))
    if request is None:
        return f"{who} calls ioctl(fd {args[0]})."
    words = f"{who} calls ioctl(fd {args[0]}, {request})"
    match args[1]:
        case n if n == CTLIOCGINFO:
            info = looked_up(args[2])
            return f"{words} to look up {info.name if info is not None else 'something'}."
        case n if n == FIONBIO:
            on = isinstance(args[2], bytes) and any(args[2])
            return f"{words} to make it {'non-blocking' if on else 'blocking'}."
        case n if n == CTLIOCGCOUNT:
            return f"{words} to count the controls."
        case n if n == SIOCSKEVFILT and isinstance(args[2], bytes) and len(args[2]) >= 12:
            asked = KevRequest.unpack(args[2])
            if not asked.vendor_code:
                return f"{words} to hear every event."
            names = (("vendor", asked.vendor_code), ("class", asked.kev_class))
            parts = [f"{name} {code}" for name, code in names if code]
            if asked.kev_class and asked.kev_subclass:
                parts.append(f"subclass {asked.kev_subclass}")
            return f"{words} to hear events of {listed(parts)}."
    return f"{words}."


def returned(who: str, pid: str, event: Event, value: object, seen: Index) -> str:
    """A system call went well."""
    local = local_sentences.returned(who, event, value)
    if local is not None:
        return local
    args = event.arguments
    name = SHORT.get(event.name, event.name)
    match event.name:
        case "socket" | "dup":
            return f"{name} returns descriptor {value} to {who}."
        case "ioctl" if args[1] == CTLIOCGINFO:
            info = looked_up(value)
            if info is not None:
                return f"ioctl returns to {who}: {info.name} is control id {info.ctl_id}."
        case "connect":
            where = address(args[1])
            unit = seen.unit(seen.socket_at(pid, args[0]))
            if where is not None:
                control = seen.control_at(where.sc_id)
                return f"connect returns to {who}, which is unit {unit} of {control} now."
        case "sendto" | "sendmsg":
            return f"{name} returns {count(cast(int, value))} to {who}."
        case "recvfrom" | "recvmsg":
            data = value[0] if isinstance(value, tuple) else value
            words = f"{some(size_of(data), 'byte')}{local_sentences.came_with(value)}"
            return f"{name} returns {words} to {who}."
        case "close":
            return f"close returns to {who}; fd {args[0]} is free again."
        case "select":
            reads, writes = cast("tuple[tuple[int, ...], ...]", value)
            ready = [f"fd {fd} can be read" for fd in reads]
            ready += [f"fd {fd} can be written" for fd in writes]
            return f"select returns to {who}: {', '.join(ready) or 'the time has passed'}."
    return f"{name} returns to {who}."


def truncated(who: str, event: Event, got: int, taken: int) -> str:
    """A datagram was longer than the room for it."""
    name = SHORT.get(event.name, event.name)
    words = f"{name} returns {count(got)} of {count(taken)} bytes to {who}"
    rest = count(taken - got)
    if event.name == "recvmsg":
        return (
            f"{words} and sets MSG_TRUNC; the other {rest} are gone (plain recv would not have "
            "said so)."
        )
    return f"{words}; the other {rest} are gone, and only recvmsg would have said so (MSG_TRUNC)."


def kpi_done(
    kext: str, event: Event, value: object, seen: Index, size: int, socket: int
) -> str | None:
    """A kernel call of a kext went well; ``None`` for the functions on mbufs."""
    args = event.arguments
    if event.name in ENQUEUES:
        fields = seen.state[f"so_rcv:{socket}"]
        used, hiwat = cast(int, fields["sb_cc"]), cast(int, fields["sb_hiwat"])
        words = f"{kext} queues {some(size, 'byte')} for unit {args[1]}; "
        if used == hiwat:
            return f"{words}the buffer is now exactly full."
        return f"{words}{count(used)} of {count(hiwat)} bytes are now in use."
    match event.name:
        case "ctl_register":
            ident = seen.state[f"kctl:{seen.serial(value)}"]["id"]
            return f"{kext} registers {args[0]}; the kernel gives it control id {ident}."
        case "ctl_deregister":
            return f"{kext} deregisters its control; the name and the id are gone at once."
        case "ctl_getenqueuespace":
            space = some(cast(int, value), "byte")
            return f"{kext} asks for the space of unit {args[1]}; there is room for {space}."
        case "ctl_getenqueuepacketcount":
            records = some(cast(int, value), "record")
            return f"{kext} asks how much waits for unit {args[1]}; there are {records}."
        case "kev_vendor_code_find":
            return f"{kext} asks for the vendor code of {args[0]}; it is {value}."
        case "kev_msg_post":
            codes = ("vendor", "class", "subclass")
            parts = [f"{name} {code}" for name, code in zip(codes, args, strict=False)]
            last = seen.state["kern_event"]["last_event_id"]
            return f"{kext} posts a kernel event of {listed(parts)}; it gets id {last}."
    return None if event.name.startswith("mbuf_") else f"{kext} calls {event.name}."


def unit_of(event: Event) -> int | None:
    """The unit a callback is about; where it stands differs from callback to callback."""
    at = {"setup": 0, "connect": 2, "bind": 2, "send": 2, "send_list": 2}.get(event.name, 1)
    return cast(int, event.arguments[at]) if at < len(event.arguments) else None
