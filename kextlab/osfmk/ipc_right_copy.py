"""Rights on their way out of an entry and into another.

Models ``ipc_right_copyin``, ``_copyin_check_reply``, ``_copyin_two`` and ``_copyout``. Read beside
it: ``osfmk/ipc/ipc_right.c``.
"""

from __future__ import annotations

from kextlab.abi.mach import (
    KERN_INVALID_RIGHT,
    KERN_SUCCESS,
    MACH_MSG_TYPE_COPY_SEND,
    MACH_MSG_TYPE_MAKE_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_MOVE_RECEIVE,
    MACH_MSG_TYPE_MOVE_SEND,
    MACH_MSG_TYPE_MOVE_SEND_ONCE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_PORT_TYPE_DEAD_NAME,
    MACH_PORT_TYPE_NONE,
    MACH_PORT_TYPE_RECEIVE,
    MACH_PORT_TYPE_SEND,
    MACH_PORT_TYPE_SEND_ONCE,
    MACH_PORT_TYPE_SEND_RIGHTS,
)
from kextlab.osfmk.ipc_object import copyin_type
from kextlab.osfmk.ipc_port import IP_DEAD, IP_NULL, Object, Port
from kextlab.osfmk.ipc_right import check, request_cancel
from kextlab.osfmk.ipc_space import Entry, Space

Copied = tuple[int, Object, Port | None]
"""A code; what was copied in; a send-once right to be told that the name went (or ``None``)."""
_REFUSED: Copied = (KERN_INVALID_RIGHT, IP_NULL, None)


# -- copying in --------------------------------------------------------------------------------


def copyin_check_reply(entry: Entry, disposition: int) -> bool:
    """Can a reply right be copied in with this disposition?"""
    kind = entry.type
    if disposition in (MACH_MSG_TYPE_MAKE_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE):
        return bool(kind & MACH_PORT_TYPE_RECEIVE)
    if kind & MACH_PORT_TYPE_DEAD_NAME:
        return True
    if not kind & MACH_PORT_TYPE_SEND_RIGHTS:
        return False
    if not entry.port.active:
        return True
    if disposition == MACH_MSG_TYPE_MOVE_SEND_ONCE:
        return bool(kind & MACH_PORT_TYPE_SEND_ONCE)
    return bool(kind & MACH_PORT_TYPE_SEND)


def copyin(
    space: Space,
    name: int,
    entry: Entry,
    disposition: int,
    *,
    deadok: bool,
    dead_send_once: bool = False,
) -> Copied:
    """Take a right out of an entry, or a copy of it, or make one. An entry that is left with
    nothing is of type NONE; ``settle`` it."""
    if not copyin_type(disposition):
        return _REFUSED
    kind = entry.type
    if disposition == MACH_MSG_TYPE_MAKE_SEND:
        if not kind & MACH_PORT_TYPE_RECEIVE:
            return _REFUSED
        entry.port.make_send()
        return KERN_SUCCESS, entry.port, None
    if disposition == MACH_MSG_TYPE_MAKE_SEND_ONCE:
        if not kind & MACH_PORT_TYPE_RECEIVE:
            return _REFUSED
        entry.port.sorights += 1
        return KERN_SUCCESS, entry.port, None
    if disposition == MACH_MSG_TYPE_MOVE_RECEIVE:
        return _move_receive(space, name, entry)
    if not kind & MACH_PORT_TYPE_DEAD_NAME:
        if not kind & MACH_PORT_TYPE_SEND_RIGHTS:
            return _REFUSED
        once = disposition == MACH_MSG_TYPE_MOVE_SEND_ONCE
        if not check(space, entry, dead_send_once=once and dead_send_once):
            if not kind & (MACH_PORT_TYPE_SEND_ONCE if once else MACH_PORT_TYPE_SEND):
                return _REFUSED
            if once:
                return _move_send_once(name, entry)
            if disposition == MACH_MSG_TYPE_MOVE_SEND:
                return _move_send(space, name, entry, 1)
            entry.port.srights += 1
            return KERN_SUCCESS, entry.port, None
    if not deadok:
        return _REFUSED
    if disposition != MACH_MSG_TYPE_COPY_SEND:
        if entry.urefs == 1:
            entry.type = MACH_PORT_TYPE_NONE
        entry.drop_refs()
    return KERN_SUCCESS, IP_DEAD, None


def _move_receive(space: Space, name: int, entry: Entry) -> Copied:
    if not entry.type & MACH_PORT_TYPE_RECEIVE:
        return _REFUSED
    port = entry.port
    request = IP_NULL
    if entry.type & MACH_PORT_TYPE_SEND:
        entry.type = MACH_PORT_TYPE_SEND
        entry.ex_receive = True
        space.sends[port] = name
    else:
        request = request_cancel(entry, name)
        entry.type = MACH_PORT_TYPE_NONE
    clear_receiver(port)
    return KERN_SUCCESS, port, request


def clear_receiver(port: Port) -> None:
    """The receive right leaves its space (``ipc_port_clear_receiver``)."""
    port.leave_sets()
    port.receiver = None
    port.receiver_name = 0
    port.destination = None
    port.mscount = 0
    port.seqno = 0
    port.ipc.wakeup(port.object_name)


def _move_send(space: Space, name: int, entry: Entry, many: int) -> Copied:
    """Take one or two send rights out of an entry that has so many user references or more."""
    port = entry.port
    if entry.urefs > many:
        port.srights += many
        entry.drop_refs(many)
        return KERN_SUCCESS, port, None
    port.srights += many - 1
    request = IP_NULL
    if entry.type & MACH_PORT_TYPE_RECEIVE:
        entry.type = MACH_PORT_TYPE_RECEIVE
    else:
        request = request_cancel(entry, name)
        del space.sends[port]
        entry.type = MACH_PORT_TYPE_NONE
    entry.urefs = 0
    return KERN_SUCCESS, port, request


def _move_send_once(name: int, entry: Entry) -> Copied:
    request = request_cancel(entry, name)
    entry._type = MACH_PORT_TYPE_NONE  # the trace is told when ``settle`` frees the name
    return KERN_SUCCESS, entry.port, request


def copyin_two(space: Space, name: int, entry: Entry, one: int, two: int) -> Copied:
    """Take two rights out of one entry, all or nothing. The second is known to be allowed."""
    if MACH_MSG_TYPE_MOVE_SEND_ONCE in (one, two):
        return _REFUSED
    makes = (MACH_MSG_TYPE_MAKE_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE)
    if one in makes or two in makes:
        first = copyin(space, name, entry, one, deadok=False)
        if first[0] != KERN_SUCCESS:
            return first
        return copyin(space, name, entry, two, deadok=False)
    if one == two == MACH_MSG_TYPE_MOVE_SEND:
        if not entry.type & MACH_PORT_TYPE_SEND or entry.urefs < 2 or check(space, entry):
            return _REFUSED
        return _move_send(space, name, entry, 2)
    moving = MACH_MSG_TYPE_MOVE_SEND in (one, two)
    disposition = MACH_MSG_TYPE_MOVE_SEND if moving else MACH_MSG_TYPE_COPY_SEND
    code, thing, request = copyin(space, name, entry, disposition, deadok=False)
    if isinstance(thing, Port):
        thing.srights += 1
    return code, thing, request


def settle(space: Space, name: int, entry: Entry) -> None:
    """Free the name if nothing is left behind it."""
    if entry.type == MACH_PORT_TYPE_NONE and space.entries.get(name) is entry:
        space.dealloc(name)


# -- copying out -------------------------------------------------------------------------------


def copyout(space: Space, name: int, kind: int, port: Port) -> None:
    """Put a right under a name nobody uses, or one that has rights to this port already."""
    entry = space.entries.get(name)
    if kind == MACH_MSG_TYPE_PORT_SEND_ONCE:
        space.enter(name, MACH_PORT_TYPE_SEND_ONCE, 1, port)
    elif kind == MACH_MSG_TYPE_PORT_SEND:
        if entry is None:
            space.sends[port] = name
            space.enter(name, MACH_PORT_TYPE_SEND, 1, port)
        elif entry.type & MACH_PORT_TYPE_SEND:
            port.srights -= 1
            entry.add_ref()
        else:
            entry.type |= MACH_PORT_TYPE_SEND
            entry.urefs = 1
    else:
        if entry is None:
            space.enter(name, MACH_PORT_TYPE_RECEIVE, 0, port)
        else:
            del space.sends[port]
            entry.type |= MACH_PORT_TYPE_RECEIVE
        port.receiver = space
        port.receiver_name = name
        port.destination = None
