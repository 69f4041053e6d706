"""What a task may do with a name: the rules of rights, their user references, their requests.

Models ``ipc_right_check``, ``_dealloc``, ``_delta``, ``_destroy``, ``_info``, ``_request_alloc``,
``_rename``; ``ipc_right_copy`` holds copying in and out. Read beside it: ``osfmk/ipc/ipc_right.c``.

A send right to a port that died is noticed only when somebody looks: until then the entry says
SEND, from then on DEAD_NAME.

Left out: immovable and guarded ports, kernel objects, send rights pinned to a task.
"""

from __future__ import annotations

from kextlab.abi.mach import (
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_NAME,
    KERN_INVALID_RIGHT,
    KERN_INVALID_VALUE,
    KERN_NAME_EXISTS,
    KERN_SUCCESS,
    MACH_PORT_RIGHT_DEAD_NAME,
    MACH_PORT_RIGHT_PORT_SET,
    MACH_PORT_RIGHT_RECEIVE,
    MACH_PORT_RIGHT_SEND,
    MACH_PORT_RIGHT_SEND_ONCE,
    MACH_PORT_TYPE_DEAD_NAME,
    MACH_PORT_TYPE_DNREQUEST,
    MACH_PORT_TYPE_PORT_OR_DEAD,
    MACH_PORT_TYPE_PORT_RIGHTS,
    MACH_PORT_TYPE_PORT_SET,
    MACH_PORT_TYPE_RECEIVE,
    MACH_PORT_TYPE_SEND,
    MACH_PORT_TYPE_SEND_ONCE,
    MACH_PORT_TYPE_SEND_RIGHTS,
    MACH_PORT_UREFS_MAX,
    kGUARD_EXC_INVALID_RIGHT,
    kGUARD_EXC_INVALID_VALUE,
)
from kextlab.osfmk.ipc_object import (
    notify_dead_name,
    notify_no_senders,
    notify_port_deleted,
    notify_send_once,
    notify_send_possible,
    port_destroy,
)
from kextlab.osfmk.ipc_port import IP_NULL, Port, PortSet
from kextlab.osfmk.ipc_space import Entry, Space, entry_name_fault


def check(space: Space, entry: Entry, *, dead_send_once: bool = False) -> bool:
    """Has the port behind a send or send-once right died? If so the entry becomes a dead name.

    With ``dead_send_once`` a send-once right to a dead port is let be.
    """
    port = entry.port
    if port.active:
        return False
    if dead_send_once and not entry.request and entry.type & MACH_PORT_TYPE_SEND_ONCE:
        return False
    if entry.type & MACH_PORT_TYPE_SEND:
        port.srights -= 1
        del space.sends[port]
    else:
        port.sorights -= 1
    entry.died()
    return True


def request_cancel(entry: Entry, name: int) -> Port | None:
    """Forget the entry's request; whom to tell that the name was deleted."""
    if not entry.request:
        return IP_NULL
    index, entry.request = entry.request, 0
    return entry.port.request_cancel(index, name)


def _told(space: Space, request: Port | None, name: int) -> None:
    if request is not None:
        notify_port_deleted(space.ipc, request, name)


# -- the calls on one name ---------------------------------------------------------------------


def info(space: Space, name: int, entry: Entry) -> tuple[int, int]:
    """Type bits and user references of a name."""
    extra = 0
    if entry.type & MACH_PORT_TYPE_RECEIVE or (
        entry.type & MACH_PORT_TYPE_SEND_RIGHTS and not check(space, entry)
    ):
        extra = MACH_PORT_TYPE_DNREQUEST if entry.port.request(entry.request, name) else 0
    return entry.type | extra, entry.urefs


def dealloc(space: Space, name: int, entry: Entry) -> int:
    """One user reference of a send, send-once or dead name less; a port set goes whole."""
    kind = entry.type
    ipc = space.ipc
    if kind & MACH_PORT_TYPE_SEND_RIGHTS and not kind & MACH_PORT_TYPE_RECEIVE:
        check(space, entry)
        kind = entry.type
    if kind == MACH_PORT_TYPE_DEAD_NAME:
        _drop_dead(space, name, entry, 1)
    elif kind == MACH_PORT_TYPE_SEND_ONCE:
        request = request_cancel(entry, name)
        space.dealloc(name)
        notify_send_once(ipc, entry.port)
        _told(space, request, name)
    elif kind & MACH_PORT_TYPE_SEND:
        if entry.urefs > 1:
            entry.drop_refs()
        else:
            _last_send(space, name, entry)
    elif kind == MACH_PORT_TYPE_PORT_SET:
        _destroy_set(space, name, entry)
    else:
        ipc.guard(name, kGUARD_EXC_INVALID_RIGHT)
        return KERN_INVALID_RIGHT
    return KERN_SUCCESS


def _drop_dead(space: Space, name: int, entry: Entry, many: int) -> None:
    if entry.urefs == many:
        space.dealloc(name)
    else:
        entry.drop_refs(many)


def _last_send(space: Space, name: int, entry: Entry) -> None:
    """The last user reference of a send right goes, and the right with it."""
    port = entry.port
    told = port.lose_send()
    request = IP_NULL
    entry.urefs = 0
    if entry.type & MACH_PORT_TYPE_RECEIVE:
        entry.type = MACH_PORT_TYPE_RECEIVE
    else:
        request = request_cancel(entry, name)
        del space.sends[port]
        space.dealloc(name)
    notify_no_senders(space.ipc, told)
    _told(space, request, name)


def _destroy_set(space: Space, name: int, entry: Entry) -> None:
    space.dealloc(name)
    assert isinstance(entry.object, PortSet)
    entry.object.destroy()


def delta(space: Space, name: int, entry: Entry, right: int, change: int) -> int:
    """Change the user references of one right (``ipc_right_delta``)."""
    if right == MACH_PORT_RIGHT_SEND:
        return _delta_send(space, name, entry, change)
    if right == MACH_PORT_RIGHT_SEND_ONCE:
        return _delta_send_once(space, name, entry, change)
    if right == MACH_PORT_RIGHT_DEAD_NAME:
        return _delta_dead(space, name, entry, change)
    kinds = {
        MACH_PORT_RIGHT_PORT_SET: MACH_PORT_TYPE_PORT_SET,
        MACH_PORT_RIGHT_RECEIVE: MACH_PORT_TYPE_RECEIVE,
    }
    if not entry.type & kinds.get(right, 0):
        space.ipc.guard(name, kGUARD_EXC_INVALID_RIGHT)
        return KERN_INVALID_RIGHT
    if change == 0:
        return KERN_SUCCESS
    if change != -1:
        return _invalid_value(space, name)
    if right == MACH_PORT_RIGHT_PORT_SET:
        _destroy_set(space, name, entry)
    else:
        _drop_receive(space, name, entry)
    return KERN_SUCCESS


def _invalid_value(space: Space, name: int) -> int:
    space.ipc.guard(name, kGUARD_EXC_INVALID_VALUE)
    return KERN_INVALID_VALUE


def _drop_receive(space: Space, name: int, entry: Entry) -> None:
    """The receive right goes; a send right beside it becomes a dead name."""
    port = entry.port
    request = IP_NULL
    if entry.type & MACH_PORT_TYPE_SEND:
        port.srights -= 1
        entry.ex_receive = True
        if not port.request(entry.request, name):
            entry.request = 0
        entry.died()
    else:
        request = request_cancel(entry, name)
        space.dealloc(name)
    port_destroy(space.ipc, port)
    _told(space, request, name)


def _delta_send(space: Space, name: int, entry: Entry, change: int) -> int:
    kind = entry.type
    if not kind & MACH_PORT_TYPE_SEND:
        # Who adds one to a receive right is not punished: Apple Events do that.
        makes_one = kind & MACH_PORT_TYPE_RECEIVE and change == 1
        if not kind & MACH_PORT_TYPE_DEAD_NAME and not makes_one:
            space.ipc.guard(name, kGUARD_EXC_INVALID_RIGHT)
        return KERN_INVALID_RIGHT
    if check(space, entry):
        return KERN_INVALID_RIGHT
    if change < 0 and -change > entry.urefs:
        return _invalid_value(space, name)
    if entry.urefs + change == 0:
        _last_send(space, name, entry)
    elif entry.urefs < MACH_PORT_UREFS_MAX:
        entry.urefs = min(MACH_PORT_UREFS_MAX, entry.urefs + change)
    return KERN_SUCCESS


def _delta_send_once(space: Space, name: int, entry: Entry, change: int) -> int:
    if not entry.type & MACH_PORT_TYPE_SEND_ONCE or check(space, entry):
        return KERN_INVALID_RIGHT
    if change > 0 or -change > entry.urefs:
        return _invalid_value(space, name)
    if change == -1:
        dealloc(space, name, entry)
    return KERN_SUCCESS


def _delta_dead(space: Space, name: int, entry: Entry, change: int) -> int:
    if entry.type & MACH_PORT_TYPE_SEND_RIGHTS and not entry.type & MACH_PORT_TYPE_RECEIVE:
        check(space, entry)
    if entry.type != MACH_PORT_TYPE_DEAD_NAME:
        space.ipc.guard(name, kGUARD_EXC_INVALID_RIGHT)
        return KERN_INVALID_RIGHT
    if change < 0 and -change > entry.urefs:
        return _invalid_value(space, name)
    if entry.urefs + change == 0:
        space.dealloc(name)
    elif entry.urefs < MACH_PORT_UREFS_MAX:
        entry.urefs = min(MACH_PORT_UREFS_MAX, entry.urefs + change)
    return KERN_SUCCESS


def destroy(space: Space, name: int, entry: Entry) -> None:
    """Everything behind the name goes (``ipc_right_destroy``)."""
    kind = entry.type
    if kind == MACH_PORT_TYPE_DEAD_NAME:
        space.dealloc(name)
        return
    if kind == MACH_PORT_TYPE_PORT_SET:
        _destroy_set(space, name, entry)
        return
    port = entry.port
    if kind == MACH_PORT_TYPE_SEND:
        del space.sends[port]
    if not port.active:
        space.dealloc(name)
        return
    request = request_cancel(entry, name)
    space.dealloc(name)
    told = port.lose_send() if kind & MACH_PORT_TYPE_SEND else None
    if kind & MACH_PORT_TYPE_RECEIVE:
        port_destroy(space.ipc, port)
    elif kind & MACH_PORT_TYPE_SEND_ONCE:
        notify_send_once(space.ipc, port)
    notify_no_senders(space.ipc, told)
    _told(space, request, name)


def request_alloc(
    space: Space, name: int, entry: Entry, immediate: bool, send_possible: bool, notify: Port | None
) -> tuple[int, Port | None]:
    """Ask to be told that the port died, or that its queue has room; or, with no ``notify``, take
    the request back. Code, and the send-once right of the request that was there."""
    if notify is IP_NULL and not entry.request:
        return KERN_SUCCESS, None
    ipc = space.ipc
    if entry.type & MACH_PORT_TYPE_PORT_RIGHTS and (
        entry.type & MACH_PORT_TYPE_RECEIVE or not check(space, entry)
    ):
        port = entry.port
        previous = request_cancel(entry, name)
        if notify is None:
            return KERN_SUCCESS, previous
        once = entry.type & MACH_PORT_TYPE_SEND_ONCE
        if send_possible and immediate and (once or not port.full):
            notify_send_possible(ipc, notify, name)
        else:
            entry.request = port.request_alloc(name, notify, send_possible, immediate)
        return KERN_SUCCESS, previous
    if (send_possible or immediate) and entry.type & MACH_PORT_TYPE_DEAD_NAME and notify:
        entry.add_ref()
        notify_dead_name(ipc, notify, name)
        return KERN_SUCCESS, None
    known = entry.type & MACH_PORT_TYPE_PORT_OR_DEAD
    return (KERN_INVALID_ARGUMENT if known else KERN_INVALID_RIGHT), None


def rename(space: Space, old: int, new: int) -> int:
    """Give what stands behind a name another name (``ipc_object_rename``)."""
    code = entry_name_fault(new)
    if code != KERN_SUCCESS:
        return code
    if new in space.entries:
        return KERN_NAME_EXISTS
    entry = space.entries.get(old)
    if entry is None:
        return KERN_INVALID_NAME
    if entry.type & MACH_PORT_TYPE_SEND_RIGHTS and not entry.type & MACH_PORT_TYPE_RECEIVE:
        check(space, entry)
    if isinstance(entry.object, Port):
        request = entry.port.request(entry.request, old)
        if request is not None:
            request.name = new
            entry.port.requests = entry.port.requests  # the trace is told
        if entry.type & MACH_PORT_TYPE_RECEIVE:
            entry.port.receiver_name = new
        elif entry.type & MACH_PORT_TYPE_SEND:
            space.sends[entry.port] = new
    space.dealloc(old)
    same = space.enter(new, entry.type, entry.urefs, entry.object)
    same.request, same.ex_receive = entry.request, entry.ex_receive
    return KERN_SUCCESS
