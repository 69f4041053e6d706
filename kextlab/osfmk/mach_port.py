"""The calls on names: ``mach_port_allocate`` and its family.

Each takes the caller's space and answers a kern_return_t, with what C would write through pointers
behind it. Models ``osfmk/ipc/mach_port.c`` and, of ``ipc_object.c``, copyin, copyout and translate.

Rights come and go as ports here, as they do inside the kernel: ``copyin`` takes one out of a space,
``copyout`` and ``copyout_name`` put it into another. Refused calls give it back to be destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass

from kextlab.abi.mach import (
    KERN_ALREADY_IN_SET,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_CAPABILITY,
    KERN_INVALID_NAME,
    KERN_INVALID_RIGHT,
    KERN_INVALID_TASK,
    KERN_INVALID_VALUE,
    KERN_NAME_EXISTS,
    KERN_NOT_IN_SET,
    KERN_RIGHT_EXISTS,
    KERN_SUCCESS,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_NOTIFY_DEAD_NAME,
    MACH_NOTIFY_NO_SENDERS,
    MACH_NOTIFY_PORT_DESTROYED,
    MACH_NOTIFY_SEND_POSSIBLE,
    MACH_PORT_DEAD,
    MACH_PORT_NULL,
    MACH_PORT_QLIMIT_MAX,
    MACH_PORT_RIGHT_DEAD_NAME,
    MACH_PORT_RIGHT_NUMBER,
    MACH_PORT_RIGHT_PORT_SET,
    MACH_PORT_RIGHT_RECEIVE,
    MACH_PORT_RIGHT_SEND,
    MACH_PORT_RIGHT_SEND_ONCE,
    MACH_PORT_TYPE_DEAD_NAME,
    MACH_PORT_TYPE_NONE,
    MACH_PORT_TYPE_PORT_SET,
    MACH_PORT_TYPE_RECEIVE,
    MACH_PORT_TYPE_SEND,
    MACH_PORT_TYPE_SEND_ONCE,
    kGUARD_EXC_INVALID_NAME,
    kGUARD_EXC_INVALID_RIGHT,
)
from kextlab.osfmk import ipc_right, ipc_right_copy
from kextlab.osfmk.ipc_object import (
    notify_no_senders,
    notify_port_deleted,
    notify_send_once,
    port_destroy,
)
from kextlab.osfmk.ipc_port import IP_NULL, Object, Port, PortSet
from kextlab.osfmk.ipc_space import Entry, Space, entry_name_fault


@dataclass(frozen=True, slots=True)
class Status:
    """``mach_port_status_t``: what is to be known of a receive right. Rights are 0 or 1, but for
    the number of send-once rights and of sets."""

    mscount: int
    seqno: int
    qlimit: int
    msgcount: int
    sorights: int
    srights: int
    pdrequest: int
    nsrequest: int
    pset: int


def valid(name: int) -> bool:
    """Is it neither MACH_PORT_NULL nor MACH_PORT_DEAD?"""
    return name not in (MACH_PORT_NULL, MACH_PORT_DEAD)


def allocate(space: Space, right: int) -> tuple[int, int]:
    """A new receive right, port set or dead name, and its name."""
    if right not in _ALLOCATED:
        return KERN_INVALID_VALUE, MACH_PORT_NULL
    name = space.alloc()
    thing: Port | PortSet | None = None
    if right == MACH_PORT_RIGHT_RECEIVE:
        thing = Port(space.ipc, space, name)
    elif right == MACH_PORT_RIGHT_PORT_SET:
        thing = PortSet(space.ipc)
    space.enter(name, _ALLOCATED[right], int(thing is None), thing)
    return KERN_SUCCESS, name


_ALLOCATED = {
    MACH_PORT_RIGHT_RECEIVE: MACH_PORT_TYPE_RECEIVE,
    MACH_PORT_RIGHT_PORT_SET: MACH_PORT_TYPE_PORT_SET,
    MACH_PORT_RIGHT_DEAD_NAME: MACH_PORT_TYPE_DEAD_NAME,
}


# -- rights in and out of a space --------------------------------------------------------------


def copyin(space: Space, name: int, disposition: int) -> tuple[int, Object]:
    """Take a right out of the space (``ipc_object_copyin``); a dead one is IP_DEAD."""
    code, entry = space.lookup(name)
    if entry is None:
        return code, IP_NULL
    code, thing, request = ipc_right_copy.copyin(space, name, entry, disposition, deadok=True)
    ipc_right_copy.settle(space, name, entry)
    if request is not None:
        notify_port_deleted(space.ipc, request, name)
    return code, thing


def copyout(space: Space, port: Port, kind: int) -> tuple[int, int]:
    """Put a right into the space under the name it has there, else a new one."""
    if not space.active:
        return KERN_INVALID_TASK, MACH_PORT_NULL
    name = None if kind == MACH_MSG_TYPE_PORT_SEND_ONCE else space.reverse(port)
    if name is None:
        if not port.active:
            return KERN_INVALID_CAPABILITY, MACH_PORT_DEAD
        name = space.alloc()
    ipc_right_copy.copyout(space, name, kind, port)
    return KERN_SUCCESS, name


def copyout_name(space: Space, port: Port, kind: int, name: int) -> int:
    """Put a right into the space under a given name (``ipc_object_copyout_name``)."""
    code = entry_name_fault(name)
    if code != KERN_SUCCESS:
        return code
    known = None if kind == MACH_MSG_TYPE_PORT_SEND_ONCE else space.reverse(port)
    if known is not None and known != name:
        return KERN_RIGHT_EXISTS
    if known is None:
        if name in space.entries:
            return KERN_NAME_EXISTS
        if not port.active:
            return KERN_INVALID_CAPABILITY
    ipc_right_copy.copyout(space, name, kind, port)
    return KERN_SUCCESS


def insert_right(space: Space, name: int, thing: Object, kind: int) -> int:
    """Put a right under a name of the caller's choice."""
    if not valid(name):
        return KERN_INVALID_VALUE
    if not isinstance(thing, Port):
        return KERN_INVALID_CAPABILITY
    return copyout_name(space, thing, kind, name)


def extract_right(space: Space, name: int, disposition: int) -> tuple[int, Object]:
    """Take a right out of a space, for another."""
    if not valid(name):
        return KERN_INVALID_NAME, IP_NULL
    return copyin(space, name, disposition)


# -- one name ----------------------------------------------------------------------------------


def _named(space: Space, name: int) -> Entry | None:
    """The entry; without one there is a guard exception."""
    _, entry = space.lookup(name)
    if entry is None:
        space.ipc.guard(name, kGUARD_EXC_INVALID_NAME)
    return entry


def deallocate(space: Space, name: int) -> int:
    """One user reference of a send, send-once or dead name less."""
    if not valid(name):
        return KERN_SUCCESS
    entry = _named(space, name)
    return KERN_INVALID_NAME if entry is None else ipc_right.dealloc(space, name, entry)


def destroy(space: Space, name: int) -> int:
    """Everything behind a name goes."""
    if not valid(name):
        return KERN_SUCCESS
    entry = _named(space, name)
    if entry is None:
        return KERN_INVALID_NAME
    ipc_right.destroy(space, name, entry)
    return KERN_SUCCESS


_SEND = (MACH_PORT_RIGHT_SEND, MACH_PORT_RIGHT_SEND_ONCE)


def mod_refs(space: Space, name: int, right: int, delta: int) -> int:
    """Change the user references of a right."""
    if not 0 <= right < MACH_PORT_RIGHT_NUMBER:
        return KERN_INVALID_VALUE
    if not valid(name):
        return KERN_SUCCESS if right in _SEND else KERN_INVALID_NAME
    entry = _named(space, name)
    return KERN_INVALID_NAME if entry is None else ipc_right.delta(space, name, entry, right, delta)


def get_refs(space: Space, name: int, right: int) -> tuple[int, int]:
    """The user references of a right; 0 of one that is not there."""
    if not 0 <= right < MACH_PORT_RIGHT_NUMBER:
        return KERN_INVALID_VALUE, 0
    if not valid(name):
        return (KERN_SUCCESS, 1) if right in _SEND else (KERN_INVALID_NAME, 0)
    code, entry = space.lookup(name)
    if entry is None:
        return code, 0
    kind, urefs = ipc_right.info(space, name, entry)
    if not kind & (1 << (right + 16)):
        return KERN_SUCCESS, 0
    counted = (MACH_PORT_TYPE_SEND | MACH_PORT_TYPE_DEAD_NAME) & (1 << (right + 16))
    return KERN_SUCCESS, urefs if counted else 1


def type_(space: Space, name: int) -> tuple[int, int]:
    """The type bits of a name."""
    if name == MACH_PORT_NULL:
        return KERN_INVALID_NAME, MACH_PORT_TYPE_NONE
    if name == MACH_PORT_DEAD:
        return KERN_SUCCESS, MACH_PORT_TYPE_DEAD_NAME
    code, entry = space.lookup(name)
    if entry is None:
        return code, MACH_PORT_TYPE_NONE
    return KERN_SUCCESS, ipc_right.info(space, name, entry)[0]


def rename(space: Space, old: int, new: int) -> int:
    """Give what stands behind a name another one."""
    if not valid(old):
        return KERN_INVALID_NAME
    if not valid(new):
        return KERN_INVALID_VALUE
    return ipc_right.rename(space, old, new)


# -- receive rights ----------------------------------------------------------------------------


def _receive(space: Space, name: int) -> tuple[int, Port | None]:
    """The port to which a name has the receive right (``ipc_port_translate_receive``)."""
    if not valid(name):
        return KERN_INVALID_RIGHT, None
    code, entry = space.lookup(name)
    if entry is None:
        return code, None
    if not entry.type & MACH_PORT_TYPE_RECEIVE:
        return KERN_INVALID_RIGHT, None
    return KERN_SUCCESS, entry.port


def get_status(space: Space, name: int) -> tuple[int, Status | None]:
    """``mach_port_get_attributes`` with MACH_PORT_RECEIVE_STATUS."""
    code, port = _receive(space, name)
    if port is None:
        return code, None
    return KERN_SUCCESS, Status(
        port.mscount,
        port.seqno,
        port.qlimit,
        port.msgcount,
        port.sorights,
        int(port.srights > 0),
        int(port.pdrequest is not None),
        int(port.nsrequest is not None),
        port.pset_count,
    )


def set_qlimit(space: Space, name: int, qlimit: int) -> int:
    """``mach_port_set_attributes`` with MACH_PORT_LIMITS_INFO."""
    if qlimit > MACH_PORT_QLIMIT_MAX:
        return KERN_INVALID_VALUE
    code, port = _receive(space, name)
    if port is not None:
        port.qlimit = qlimit
    return code


def set_mscount(space: Space, name: int, mscount: int) -> int:
    """Set the make-send count."""
    code, port = _receive(space, name)
    if port is not None:
        port.mscount = mscount
    return code


def request_notification(
    space: Space, name: int, msgid: int, sync: int, notify: Object
) -> tuple[int, Port | None]:
    """Ask to be told; code, and the send-once right of the request that stood before."""
    if notify is not None and not isinstance(notify, Port):
        return KERN_INVALID_CAPABILITY, None
    if msgid in (MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_PORT_DESTROYED):
        if msgid == MACH_NOTIFY_PORT_DESTROYED and sync != 0:
            return KERN_INVALID_VALUE, None
        code, port = _receive(space, name)
        if port is None:
            return code, None
        if msgid == MACH_NOTIFY_NO_SENDERS:
            return KERN_SUCCESS, _nsrequest(space, port, sync, notify)
        previous, port.pdrequest = port.pdrequest, notify
        return KERN_SUCCESS, previous
    if msgid not in (MACH_NOTIFY_SEND_POSSIBLE, MACH_NOTIFY_DEAD_NAME):
        return KERN_INVALID_VALUE, None
    if not valid(name):
        return KERN_INVALID_ARGUMENT, None
    code, entry = space.lookup(name)
    if entry is None:
        return code, None
    possible = msgid == MACH_NOTIFY_SEND_POSSIBLE
    return ipc_right.request_alloc(space, name, entry, sync != 0, possible, notify)


def _nsrequest(space: Space, port: Port, sync: int, notify: Port | None) -> Port | None:
    """``ipc_port_nsrequest``: told at once if there is nobody and ``sync`` has been reached."""
    previous, port.nsrequest = port.nsrequest, notify
    if port.srights == 0 and sync <= port.mscount:
        notify_no_senders(space.ipc, port.take_nsrequest())
    return previous


# -- port sets ---------------------------------------------------------------------------------


def _two(space: Space, name: int, pset: int) -> tuple[int, Port | None, PortSet | None]:
    """A receive right and a port set (``ipc_object_translate_two``)."""
    for one in (name, pset):
        if _named(space, one) is None:
            return KERN_INVALID_NAME, None, None
    for one, kind in ((name, MACH_PORT_TYPE_RECEIVE), (pset, MACH_PORT_TYPE_PORT_SET)):
        if not space.entries[one].type & kind:
            space.ipc.guard(one, kGUARD_EXC_INVALID_RIGHT)
            return KERN_INVALID_RIGHT, None, None
    found = space.entries[pset].object
    assert isinstance(found, PortSet)
    return KERN_SUCCESS, space.entries[name].port, found


def _set(space: Space, name: int) -> int:
    """Is it a port set? (``ipc_pset_lazy_allocate``)"""
    code, entry = space.lookup(name)
    if entry is None:
        return code
    return KERN_SUCCESS if entry.type & MACH_PORT_TYPE_PORT_SET else KERN_INVALID_RIGHT


def insert_member(space: Space, name: int, pset: int) -> int:
    """Put a receive right into a set."""
    if not valid(name) or not valid(pset):
        return KERN_INVALID_RIGHT
    code = _set(space, pset)
    if code != KERN_SUCCESS:
        return code
    code, port, found = _two(space, name, pset)
    if port is None or found is None:
        return code
    return KERN_SUCCESS if found.link(port) else KERN_ALREADY_IN_SET


def extract_member(space: Space, name: int, pset: int) -> int:
    """Take a receive right out of a set."""
    if not valid(name) or not valid(pset):
        return KERN_INVALID_RIGHT
    code, port, found = _two(space, name, pset)
    if port is None or found is None:
        return code
    if found not in port.sets:
        return KERN_NOT_IN_SET
    found.unlink(port)
    port.pset_count -= 1
    return KERN_SUCCESS


def move_member(space: Space, name: int, after: int) -> int:
    """Take a receive right out of all its sets, and put it into one (or, MACH_PORT_NULL, none)."""
    if not valid(name) or after == MACH_PORT_DEAD:
        return KERN_INVALID_RIGHT
    if after != MACH_PORT_NULL:
        code = _set(space, after)
        if code != KERN_SUCCESS:
            return code
    code, entry = space.lookup(name)
    if entry is None:
        return code
    if not entry.type & MACH_PORT_TYPE_RECEIVE:
        space.ipc.guard(name, kGUARD_EXC_INVALID_RIGHT)
        return KERN_INVALID_RIGHT
    entry.port.leave_sets()
    if after != MACH_PORT_NULL:
        found = space.entries[after].object
        assert isinstance(found, PortSet)
        found.link(entry.port)
    return KERN_SUCCESS


# -- the end of a task -------------------------------------------------------------------------


def terminate(space: Space) -> None:
    """The space goes with everything in it (``ipc_space_terminate``)."""
    space.active = False
    for name, entry in list(space.entries.items()):
        _terminate_right(space, name, entry)


def _terminate_right(space: Space, name: int, entry: Entry) -> None:
    """``ipc_right_terminate``."""
    space.dealloc(name)
    if entry.type == MACH_PORT_TYPE_PORT_SET:
        assert isinstance(entry.object, PortSet)
        entry.object.destroy()
    if not isinstance(entry.object, Port) or not entry.port.active:
        return
    port = entry.port
    space.sends.pop(port, None)
    request = ipc_right.request_cancel(entry, name)
    told = port.lose_send() if entry.type & MACH_PORT_TYPE_SEND else None
    if entry.type & MACH_PORT_TYPE_RECEIVE:
        port_destroy(space.ipc, port)
    elif entry.type & MACH_PORT_TYPE_SEND_ONCE:
        notify_send_once(space.ipc, port)
    notify_no_senders(space.ipc, told)
    if request is not None:
        notify_port_deleted(space.ipc, request, name)
