"""Calls on local sockets in sentences, and why they were refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from kextlab.abi import errno as darwin
from kextlab.abi.constants import AF_UNIX, SOCK_DGRAM, SOCK_STREAM
from kextlab.abi.un import rights, sun_path
from kextlab.trace.events import Event
from kextlab.views.index import Index

KINDS = {SOCK_DGRAM: "datagram", SOCK_STREAM: "stream"}
BARE = ("socket", "socketpair", "unlink", "chmod", "launch_activate_socket")
"""Calls that are about no descriptor."""


def text(path: bytes) -> str:
    """A path to read."""
    return path.decode("utf-8", "backslashreplace")


def path_of(nam: object) -> str | None:
    """The path in an address of a local socket, '' for none; ``None`` if it is another address."""
    if not isinstance(nam, bytes) or len(nam) < 2 or nam[1] != AF_UNIX:
        return None
    return text(sun_path(nam))


def _kind(type_: object) -> str:
    return KINDS.get(cast(int, type_), "other")


def _fds(fds: tuple[int, ...]) -> str:
    numbers = " and ".join(map(str, fds)) if len(fds) < 3 else f"{fds[0]} to {fds[-1]}"
    return f"descriptor{'s' * (len(fds) != 1)} {numbers}"


def _many(control: object) -> str:
    """What control data adds to a message, in words."""
    passed = rights(control) if isinstance(control, bytes) else None
    if not passed:
        return ""
    return f" and {len(passed)} descriptor{'s' * (len(passed) > 1)}"


def _socket(args: tuple[object, ...]) -> str | None:
    return f"socket for a local {_kind(args[1])} socket" if args[0] == AF_UNIX else None


def _bind(args: tuple[object, ...]) -> str | None:
    path = path_of(args[1])
    return None if path is None else f"bind(fd {args[0]}) to name it {path or 'nothing'}"


def _connect(args: tuple[object, ...]) -> str | None:
    path = path_of(args[1])
    return None if path is None else f"connect(fd {args[0]}) to connect to {path or 'nothing'}"


_CALLED: dict[str, Callable[[tuple[object, ...]], str | None]] = {
    "socket": _socket,
    "bind": _bind,
    "connect": _connect,
    "socketpair": lambda a: f"socketpair for two connected {_kind(a[1])} sockets",
    "accept": lambda a: f"accept(fd {a[0]}) to take the first connection that waits",
    "unlink": lambda a: f"unlink to take the name {text(cast(bytes, a[0]))} away",
    "chmod": lambda a: f"chmod to give {text(cast(bytes, a[0]))} mode {cast(int, a[1]):o}",
    "launch_activate_socket": lambda a: f"launch_activate_socket for its socket {a[0]}",
}


def called(who: str, event: Event) -> str | None:
    """A process enters the kernel; ``None`` if that is told as of any socket."""
    tell = _CALLED.get(event.name)
    words = tell(event.arguments) if tell is not None else None
    return None if words is None else f"{who} calls {words}."


def sent_with(event: Event) -> str:
    """What goes with the bytes of a send: descriptors, a receiver; "" for nothing."""
    args = event.arguments
    nam, control = (*args[3:5], None, None)[:2]
    path = path_of(nam)
    return _many(control) + (f" to {path}" if path else "")


def came_with(value: object) -> str:
    """What came with the bytes of a receive: descriptors, from whom; "" for nothing."""
    if not isinstance(value, tuple) or len(value) != 4:
        return ""
    passed = rights(value[2])
    path = path_of(value[3])
    words = f" and {_fds(passed)}" if passed else ""
    return words + (f", sent by {path}," if path else "")


def returned(who: str, event: Event, value: object) -> str | None:
    """A system call went well; ``None`` if that is told as of any socket."""
    args = event.arguments
    match event.name:
        case "connect" if path_of(args[1]):
            return f"connect returns to {who}, which is connected to {path_of(args[1])} now."
        case "accept":
            fd, nam = cast("tuple[int, bytes]", value)
            whose = path_of(nam) or "a client without a name"
            return f"accept returns descriptor {fd} to {who}, a connection from {whose}."
        case "socketpair" | "launch_activate_socket":
            return f"{event.name} returns {_fds(cast('tuple[int, ...]', value))} to {who}."
    return None


def full(event: Event, errno: int, seen: Index, socket: int) -> tuple[int, int]:
    """(the socket whose receive buffer had no space for a datagram, its bytes), or (0, 0)."""
    if errno != darwin.ENOBUFS or not seen.is_local(socket):
        return 0, 0
    args = event.arguments
    data = args[1]
    size = len(data) if isinstance(data, bytes) else sum(map(len, cast("list[bytes]", data)))
    path = path_of(args[3]) if len(args) > 3 else None
    if not path:
        return cast(int, seen.state[f"unp:{socket}"]["unp_conn"]), size
    nodes = (fields for name, fields in seen.state.items() if name.startswith("vnode:"))
    return next(cast(int, node["v_socket"]) for node in nodes if node["path"] == path), size


def reason(event: Event, errno: int, seen: Index, actor: str) -> str | None:
    """Why a call on a local socket was refused; ``None`` to say what Darwin says."""
    args = event.arguments
    at = {"bind": 1, "connect": 1, "sendto": 3, "sendmsg": 3}.get(event.name, len(args))
    path = path_of(args[at]) if at < len(args) else None
    if event.name in ("unlink", "chmod"):
        path = text(cast(bytes, args[0]))
    name = path or "the name"
    match errno:
        case darwin.ENOENT if event.name == "launch_activate_socket":
            return f"its property list has no socket {args[0]}"
        case darwin.ESRCH:
            return "it is no job of launchd's"
        case darwin.EALREADY if event.name == "launch_activate_socket":
            return f"it has been given {args[0]} already"
        case darwin.ENOENT:
            return f"there is no {name}"
        case darwin.EADDRINUSE:
            return f"{name} exists, perhaps from before"
        case darwin.ECONNREFUSED:
            return f"nobody takes connections at {name}, or as many wait as may"
        case darwin.EACCES:
            return f"{name} may not be written by uid {seen.state[f'proc:{actor}']['uid']}"
        case darwin.EPERM:
            return f"{name} is another user's"
        case darwin.EPROTOTYPE:
            return f"the socket at {name} is of the other type, stream or datagram"
        case darwin.ENOBUFS:
            return "the datagram does not fit the receiver's buffer"
        case darwin.EDESTADDRREQ:
            return "the datagram has no receiver"
        case darwin.EPIPE:
            return "the connection is over"
        case darwin.EAGAIN if event.name == "accept":
            return "nobody waits and the call must not wait either"
        case darwin.EAGAIN if event.name in ("sendto", "sendmsg"):
            return "the peer has not read enough and the call must not wait"
    return None
