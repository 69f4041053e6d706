"""Where a call goes in a diagram: the lifeline that takes it, the routine there, its short name.

Read beside it: ``bsd/kern/uipc_syscalls.c`` and the protocol switches of ``kern_control.c`` and
``kern_event.c``. Left out: the layers between (socket file operations, the protocol switch).
"""

from __future__ import annotations

from typing import cast

from kextlab.abi.constants import SYSPROTO_CONTROL
from kextlab.trace.events import Event
from kextlab.views.enqueue import ENQUEUES
from kextlab.views.local_sentences import path_of
from kextlab.views.sentences import REQUESTS, SHORT, address, size_of
from kextlab.views.svg import count

KERNEL, CONTROL, EVENTS, BOUNDARY = "kernel", "kern_control", "kern_event", "boundary"
PORTS = "mach"
NAMES = {
    KERNEL: "kernel",
    CONTROL: CONTROL,
    EVENTS: EVENTS,
    PORTS: "Mach ports",
    BOUNDARY: "system call boundary",
}

_SYSCALLS = {
    "socket": (KERNEL, "socreate"),
    "dup": (KERNEL, "dup"),
    "close": (CONTROL, "ctl_disconnect"),
    "bind": (CONTROL, "ctl_bind"),
    "connect": (CONTROL, "ctl_connect"),
    "listen": (KERNEL, "solisten"),
    "getpeername": (CONTROL, "ctl_peeraddr"),
    "getsockname": (KERNEL, "sogetaddr_locked"),
    "sendto": (CONTROL, "ctl_send"),
    "sendmsg": (CONTROL, "ctl_send"),
    "sendmsg_x": (CONTROL, "ctl_send_list"),
    "recvfrom": (KERNEL, "soreceive"),
    "recvmsg": (KERNEL, "soreceive"),
    "recvmsg_x": (KERNEL, "soreceive"),
    "shutdown": (KERNEL, "soshutdown"),
    "disconnectx": (KERNEL, "sodisconnectx"),
    "setsockopt": (KERNEL, "sosetoptlock"),
    "getsockopt": (KERNEL, "sogetoptlock"),
    "ioctl": (CONTROL, "ctl_ioctl"),
    "poll": (KERNEL, "sopoll"),
}
_LOCAL = {
    "bind": "unp_bind",
    "connect": "unp_connect",
    "listen": "unp_listen",
    "accept": "accept_nocancel",
    "socketpair": "unp_connect2",
    "getpeername": "uipc_peeraddr",
    "getsockname": "uipc_sockaddr",
    "sendto": "uipc_send",
    "sendmsg": "uipc_send",
    "close": "soclose",
    "ioctl": "soo_ioctl",
    "unlink": "unlinkat_internal",
    "chmod": "chmodat",
}
_EVENTS = {
    "close": (KERNEL, "soclose"),
    "ioctl": (EVENTS, "kev_control"),
}


def route(event: Event, events: bool, connected: bool, local: bool = False) -> tuple[str, str]:
    """(lifeline, routine) a system call goes to.

    Args:
        event: the call.
        events: whether it is about an event socket.
        connected: whether its socket belongs to a control.
        local: whether it is about a local socket.
    """
    name = event.name
    if local:
        return KERNEL, _LOCAL.get(name) or _SYSCALLS.get(name, (KERNEL, name))[1]
    if events:
        if name in _EVENTS:
            return _EVENTS[name]
        return KERNEL, _SYSCALLS.get(name, (KERNEL, name))[1].replace("ctl_send", "sosend")
    if name in ("setsockopt", "getsockopt") and event.arguments[1] == SYSPROTO_CONTROL:
        return CONTROL, "ctl_ctloutput"
    if not connected and name in ("close", "sendto", "sendmsg", "sendmsg_x", "getpeername"):
        names = {"close": "soclose", "getpeername": "getpeername"}
        return KERNEL, names.get(name, "sosend")
    return _SYSCALLS.get(name, (KERNEL, name))


def refuser(routine: str, otherwise: str) -> str:
    """The lifeline of the routine that refuses."""
    if routine.startswith(("ctl_", "kctl_", "kcb_", "setup")):
        return CONTROL
    if routine.startswith("kev_"):
        return EVENTS
    return KERNEL if routine else otherwise


def short(event: Event, size: int) -> str:
    """A call in two or three words, as it stands on an arrow."""
    name, args = event.name, event.arguments
    if event.kind == "callback":
        return f"{name.rpartition('::')[2]}()"
    if event.kind == "kpi":
        return f"{name} {count(size)}" if name in ENQUEUES else name
    match name:
        case "connect" | "bind":
            where, path = address(args[1]), path_of(args[1])
            if path:
                return f"{name} {path}"
            return f"{name} id {where.sc_id}" if where is not None else name
        case "sendto" | "sendmsg":
            return f"{SHORT.get(name, name)} {count(size_of(args[1]))}"
        case "recvfrom" | "recvmsg":
            return f"{SHORT.get(name, name)} {count(cast(int, args[1]))}"
        case "ioctl":
            return REQUESTS.get(cast(int, args[1]), name)
    return name


def answer(event: Event, value: object) -> str:
    """What a system call gave back, as it stands on an arrow: ``= 1,024``, ``= fd 3``."""
    match event.name:
        case "socket" | "dup":
            return f"= fd {value}"
        case "accept":
            return f"= fd {cast('tuple[int, bytes]', value)[0]}"
        case "socketpair" | "launch_activate_socket":
            return f"= fd {', '.join(map(str, cast('tuple[int, ...]', value)))}"
        case "sendto" | "sendmsg" | "sendmsg_x":
            return f"= {count(cast(int, value))}"
        case "recvfrom":
            return f"= {count(size_of(value))}"
        case "recvmsg":
            return f"= {count(size_of(cast('tuple[bytes, int]', value)[0]))}"
    return "= 0"
