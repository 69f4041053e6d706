"""Calls and their results in sentences; the refusals are in ``reasons``."""

from __future__ import annotations

from typing import cast

from kextlab.abi.constants import SOCK_DGRAM, SOCK_STREAM, SYSPROTO_EVENT
from kextlab.abi.ioctl import CTLIOCGCOUNT, CTLIOCGINFO
from kextlab.abi.structs import CtlInfo, SockaddrCtl
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.queues import ENQUEUES
from kextlab.views.svg import count
from kextlab.views.words import some

SHORT = {"sendto": "send", "recvfrom": "recv"}


def kext_name(kext: str) -> str:
    """``echo`` for ``org.kextlab.echo``."""
    return kext.rpartition(".")[2] or kext


def control_at(state: State, ident: int) -> str:
    """The control of that id by name, or ``control id 4``."""
    for name, fields in state.items():
        if name.startswith("kctl:") and fields["id"] == ident:
            return str(fields["name"])
    return f"control id {ident}"


def control_of(state: State, kctlref: object) -> str | None:
    """The name of the control of that reference."""
    for name, fields in state.items():
        if name.startswith("kctl:") and fields["kctlref"] == kctlref:
            return str(fields["name"])
    return None


def address(data: object) -> SockaddrCtl | None:
    """A sockaddr_ctl that crossed the gate as bytes, ``None`` if it is none."""
    if not isinstance(data, bytes):
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


def called(who: str, event: Event, state: State) -> str:
    """A process enters the kernel."""
    args = event.arguments
    name = SHORT.get(event.name, event.name)
    match event.name:
        case "socket":
            kinds = {SOCK_DGRAM: "datagram", SOCK_STREAM: "stream"}
            if args[2] == SYSPROTO_EVENT:
                return f"{who} calls socket for an event socket."
            kind = kinds.get(cast(int, args[1]), "other")
            return f"{who} calls socket for a {kind} socket to a kernel control."
        case "ioctl" if args[1] == CTLIOCGINFO:
            info = looked_up(args[2])
            name = info.name if info is not None else "something"
            return f"{who} calls ioctl(fd {args[0]}, CTLIOCGINFO) to look up {name}."
        case "ioctl" if args[1] == CTLIOCGCOUNT:
            return f"{who} calls ioctl(fd {args[0]}, CTLIOCGCOUNT) to count the controls."
        case "connect" | "bind":
            where = address(args[1])
            if where is None:
                return f"{who} calls {name}(fd {args[0]})."
            unit = f"unit {where.sc_unit}" if where.sc_unit else "any free unit"
            return (
                f"{who} calls {name}(fd {args[0]}) to {name} to control id {where.sc_id}, {unit}."
            )
        case "sendto" | "sendmsg":
            return f"{who} calls {name}(fd {args[0]}) with {some(size_of(args[1]), 'byte')}."
        case "recvfrom" | "recvmsg":
            room = some(cast(int, args[1]), "byte")
            return f"{who} calls {name}(fd {args[0]}) with room for {room}."
        case "select":
            delay = cast("int | None", args[2])
            wait = "for ever" if delay is None else f"at most {delay / 1e9:g} s"
            return f"{who} calls select({called_with(event)}) to wait {wait}."
    return f"{who} calls {name}(fd {args[0]})." if args else f"{who} calls {name}."


def called_with(event: Event) -> str:
    """The descriptors a select waits for."""
    reads, writes = cast("tuple[tuple[int, ...], ...]", event.arguments[:2])
    fds = sorted({*reads, *writes})
    return "fd " + ", ".join(map(str, fds)) if fds else "nothing"


def returned(who: str, event: Event, value: object, state: State) -> str:
    """A system call went well."""
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
            unit = unit_of(state, event, who)
            if where is not None:
                control = control_at(state, where.sc_id)
                return f"connect returns to {who}, which is unit {unit} of {control} now."
        case "sendto" | "sendmsg":
            return f"{name} returns {count(cast(int, value))} to {who}."
        case "recvfrom" | "recvmsg":
            data = value[0] if isinstance(value, tuple) else value
            return f"{name} returns {some(size_of(data), 'byte')} to {who}."
        case "close":
            return f"close returns to {who}; fd {args[0]} is free again."
        case "select":
            reads, writes = cast("tuple[tuple[int, ...], ...]", value)
            ready = [f"fd {fd} can be read" for fd in reads]
            ready += [f"fd {fd} can be written" for fd in writes]
            return f"select returns to {who}: {', '.join(ready) or 'the time has passed'}."
    return f"{name} returns to {who}."


def unit_of(state: State, event: Event, who: str) -> int:
    """The unit of the socket a call was about."""
    for name, fields in state.items():
        kind, _, rest = name.partition(":")
        if kind == "fd":
            pid, _, fd = rest.partition(":")
            if fd == str(event.arguments[0]) and state[f"proc:{pid}"]["name"] == who:
                kcb = state.get(f"kcb:{fields['socket']}")
                return cast(int, kcb["unit"]) if kcb is not None else 0
    return 0


def kpi_done(
    kext: str, event: Event, value: object, state: State, size: int, socket: int
) -> str | None:
    """A kernel call of a kext went well."""
    args = event.arguments
    if event.name in ENQUEUES:
        fields = state[f"so_rcv:{socket}"]
        used, hiwat = cast(int, fields["sb_cc"]), cast(int, fields["sb_hiwat"])
        words = f"{kext} queues {some(size, 'byte')} for unit {args[1]}; "
        if used == hiwat:
            return f"{words}the buffer is now exactly full."
        return f"{words}{count(used)} of {count(hiwat)} bytes are now in use."
    match event.name:
        case "ctl_register":
            ident = next(
                (f["id"] for n, f in state.items() if n[:5] == "kctl:" and f["kctlref"] == value),
                "?",
            )
            return f"{kext} registers {args[0]}; the kernel gives it control id {ident}."
        case "ctl_deregister":
            return f"{kext} deregisters its control; the name and the id are gone at once."
        case "kev_msg_post":
            return f"{kext} posts a kernel event."
        case "mbuf_allocpacket" | "mbuf_copyback":
            return None
    return f"{kext} calls {event.name}."
