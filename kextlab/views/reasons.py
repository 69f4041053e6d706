"""Why the kernel refused, in half a sentence with numbers: the middle of a refusal in the log.

``explain(error)`` says more: the routine, the recording, what to do. Here only what the state shows
at that step. What has no entry falls back on Darwin's own message for the errno.
"""

from __future__ import annotations

from typing import cast

from kextlab.abi import errno as darwin
from kextlab.abi.ioctl import CTLIOCGINFO
from kextlab.abi.iokit import io_return_name
from kextlab.trace.events import Event
from kextlab.views import local_sentences
from kextlab.views.enqueue import ENQUEUES
from kextlab.views.index import Index
from kextlab.views.provenance import first, is_local
from kextlab.views.sentences import address, looked_up, size_of
from kextlab.views.svg import count
from kextlab.views.words import some


def reason(
    event: Event, errno: int, seen: Index, actor: str, size: int = 0, socket: int = 0
) -> str:
    """Why ``event`` was answered with ``errno``; lower case, no full stop."""
    words = None
    if event.kind == "kpi":
        words = _kpi(event, errno, seen, socket)
    elif is_local(event, seen, socket) and (
        told := local_sentences.reason(event, errno, seen, actor)
    ):
        words = told
    elif event.name == "connect":
        words = _connect(event, errno, seen, actor)
    elif event.name == "ioctl" and event.arguments[1] == CTLIOCGINFO:
        words = _lookup(event, errno)
    elif event.name in ("sendto", "sendmsg"):
        words = _send(event, errno)
    elif errno == darwin.ENOTCONN:
        words = "the socket is not connected"
    elif errno == darwin.EAGAIN:
        words = "nothing is queued and the call must not wait"
    elif errno == darwin.EBADF:
        words = "this descriptor is not open"
    elif errno > max(darwin.TABLE):  # one of Mach's or IOKit's
        words = first(event.name, io_return_name(errno)) or f"code {errno:#x}"
    return words or darwin.message_of(errno)[:1].lower() + darwin.message_of(errno)[1:]


def consequence(event: Event, errno: int) -> str:
    """What now, where that is not plain from the reason; "" or a sentence."""
    if event.name == "connect":
        match errno:
            case darwin.EPERM:
                return "The socket is unchanged; a root process may connect."
            case darwin.EBUSY:
                return "The socket is unchanged and may ask for another unit."
            case darwin.ENOENT:
                return "The socket is unchanged and may try again."
    return ""


def _connect(event: Event, errno: int, seen: Index, actor: str) -> str | None:
    where = address(event.arguments[1])
    if where is None:
        return None
    control = seen.control_at(where.sc_id)
    match errno:
        case darwin.ENOENT:
            return f"there is no control id {where.sc_id}"
        case darwin.EPERM:
            process = seen.state[f"proc:{actor}"]
            return f"{control} is privileged and {process['name']} runs as uid {process['uid']}"
        case darwin.EBUSY:
            return f"unit {where.sc_unit} of {control} is taken"
        case darwin.EISCONN:
            return "the socket is connected already"
        case darwin.EPROTOTYPE:
            return f"{control} takes the other socket type, stream or datagram"
    return None


def _lookup(event: Event, errno: int) -> str | None:
    info = looked_up(event.arguments[2])
    if errno == darwin.ENOENT and info is not None:
        return f"no control is called {info.name}"
    return None


def _send(event: Event, errno: int) -> str | None:
    match errno:
        case darwin.EMSGSIZE if size_of(event.arguments[1]):
            sent = some(size_of(event.arguments[1]), "byte")
            return f"{sent} are more than the send buffer takes in one datagram"
        case darwin.ENOTCONN:
            return "the socket is not connected"
        case darwin.EPIPE:
            return "the connection is over"
        case darwin.ENOTSUP:
            return "the control has no send callback"
    return None


def _kpi(event: Event, errno: int, seen: Index, socket: int) -> str | None:
    if event.name in ENQUEUES and socket and errno == darwin.ENOBUFS:
        fields = seen.state[f"so_rcv:{socket}"]
        used, hiwat = cast(int, fields["sb_cc"]), cast(int, fields["sb_hiwat"])
        return (
            f"only {count(max(0, hiwat - used))} of {count(hiwat)} bytes are free in unit "
            f"{event.arguments[1]}'s receive buffer"
        )
    if event.name in ENQUEUES and errno == darwin.EINVAL:
        return f"no client has unit {event.arguments[1]}"
    if event.name == "ctl_deregister" and errno == darwin.EBUSY:
        serial = seen.serial(event.arguments[0])
        name, clients = seen.name(serial), len(seen.clients(serial))
        return f"{name} still has {some(clients, 'client')}"
    if event.name == "ctl_deregister" and errno == darwin.EINVAL:
        return "this reference stands for no control"
    if event.name == "ctl_register" and errno == darwin.EEXIST:
        return f"a control called {event.arguments[0]} is registered already"
    return None
