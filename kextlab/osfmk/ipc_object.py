"""What becomes of rights nobody wants: released, told about, destroyed with their port.

Models ``ipc_object_destroy``, ``ipc_port_release_*``, ``ipc_port_destroy``, the notifications
(``ipc_notify_*``) and the destruction of messages (``ipc_kmsg_clean``, ``ipc_kmsg_reap_delayed``):
routines of XNU that call each other in a circle, so they stand together. Read beside it:
``osfmk/ipc/ipc_object.c``, ``ipc_port.c``, ``ipc_notify.c``, ``ipc_kmsg.c``.
"""

from __future__ import annotations

import struct

from kextlab.abi.mach import (
    MACH_MSG_TYPE_COPY_SEND,
    MACH_MSG_TYPE_MAKE_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_MOVE_RECEIVE,
    MACH_MSG_TYPE_MOVE_SEND,
    MACH_MSG_TYPE_MOVE_SEND_ONCE,
    MACH_MSG_TYPE_PORT_RECEIVE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_NOTIFY_DEAD_NAME,
    MACH_NOTIFY_NO_SENDERS,
    MACH_NOTIFY_PORT_DELETED,
    MACH_NOTIFY_PORT_DESTROYED,
    MACH_NOTIFY_SEND_ONCE,
    MACH_NOTIFY_SEND_POSSIBLE,
    SIZEOF_BODY,
    SIZEOF_HEADER,
    SIZEOF_NDR,
    SIZEOF_PORT_DESCRIPTOR,
)
from kextlab.osfmk.ipc_kmsg import PortRight
from kextlab.osfmk.ipc_port import Carried, Kmsg, Object, Port
from kextlab.osfmk.ipc_space import Ipc

NDR = bytes(4) + b"\x01" + bytes(3)  # little endian, IEEE
_RECEIVED = {
    MACH_MSG_TYPE_MOVE_RECEIVE: MACH_MSG_TYPE_PORT_RECEIVE,
    MACH_MSG_TYPE_MOVE_SEND: MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_MOVE_SEND_ONCE: MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_MSG_TYPE_COPY_SEND: MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_MAKE_SEND: MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE: MACH_MSG_TYPE_PORT_SEND_ONCE,
}


def copyin_type(disposition: int) -> int:
    """The right a disposition gives (``ipc_object_copyin_type``)."""
    return _RECEIVED.get(disposition, 0)


# -- notifications -----------------------------------------------------------------------------


def _notify(ipc: Ipc, port: Port, number: int, argument: int | None = None) -> None:
    """Send a notification to a send-once right; its queue limit does not count."""
    body = b"" if argument is None else NDR + struct.pack("<I", argument)
    size = SIZEOF_HEADER + len(body)
    kmsg = Kmsg(port, MACH_MSG_TYPE_PORT_SEND_ONCE, id=number, body=body, size=size)
    kmsg.notification = True
    if port.active:
        port.post(kmsg)
    else:
        kmsg_destroy(ipc, kmsg)


def notify_port_deleted(ipc: Ipc, port: Port, name: int) -> None:
    """The name for which a request stood is gone."""
    _notify(ipc, port, MACH_NOTIFY_PORT_DELETED, name)


def notify_send_possible(ipc: Ipc, port: Port, name: int) -> None:
    """The queue that was full has room."""
    _notify(ipc, port, MACH_NOTIFY_SEND_POSSIBLE, name)


def notify_dead_name(ipc: Ipc, port: Port, name: int) -> None:
    """The port behind a name has died."""
    _notify(ipc, port, MACH_NOTIFY_DEAD_NAME, name)


def notify_no_senders(ipc: Ipc, told: tuple[Port, int] | None) -> None:
    """The last send right has gone; ``told`` is ``Port.lose_send``'s answer."""
    if told is not None:
        _notify(ipc, told[0], MACH_NOTIFY_NO_SENDERS, told[1])


def notify_send_once(ipc: Ipc, port: Port) -> None:
    """A send-once right was destroyed unused."""
    _notify(ipc, port, MACH_NOTIFY_SEND_ONCE)


def notify_port_destroyed(ipc: Ipc, told: Port, port: Port) -> None:
    """The receive right was destroyed, and goes to whoever asked."""
    size = SIZEOF_HEADER + SIZEOF_BODY + SIZEOF_PORT_DESCRIPTOR
    kmsg = Kmsg(told, MACH_MSG_TYPE_PORT_SEND_ONCE, id=MACH_NOTIFY_PORT_DESTROYED, size=size)
    kmsg.complex = kmsg.notification = True
    kmsg.descriptors = [PortRight([port], MACH_MSG_TYPE_PORT_RECEIVE)]
    if told.active and not check_circularity(port, told):
        told.post(kmsg)
    else:
        kmsg_destroy(ipc, kmsg)


def spnotify(ipc: Ipc, port: Port) -> None:
    """Tell those who wait for room in the queue (``ipc_port_spnotify``)."""
    port.sprequests = False
    for index, request in enumerate(port.requests):
        if request is not None and request.armed:
            port.request_cancel(index, request.name)
            notify_send_possible(ipc, request.soright, request.name)


def dnnotify(ipc: Ipc, port: Port) -> None:
    """Tell those who asked that the port is dead (``ipc_port_dnnotify``)."""
    requests, port.requests, port.free = port.requests, [], []
    for request in requests:
        if request is not None:
            notify_dead_name(ipc, request.soright, request.name)


def check_circularity(port: Port, destination: Port) -> bool:
    """Would the receive right of ``port`` travel to itself? If not, it is on its way."""
    at: Port | None = destination
    while at is not None and at is not port:
        at = at.destination if at.active and at.receiver is None else None
    if at is port:
        return True
    port.destination = destination
    return False


# -- release and destroy -----------------------------------------------------------------------


def release_send(ipc: Ipc, port: Port) -> None:
    """A send right goes (``ipc_port_release_send``)."""
    if not port.active:
        port.srights -= 1
        return
    notify_no_senders(ipc, port.lose_send())


def object_destroy(ipc: Ipc, thing: Object, kind: int) -> None:
    """Destroy a right to a port (``ipc_object_destroy``)."""
    if not isinstance(thing, Port):
        return
    if kind == MACH_MSG_TYPE_PORT_SEND:
        release_send(ipc, thing)
    elif kind == MACH_MSG_TYPE_PORT_SEND_ONCE:
        notify_send_once(ipc, thing)
    else:
        port_destroy(ipc, thing)


def object_destroy_dest(ipc: Ipc, thing: Object, kind: int) -> None:
    """Destroy the right a message was sent to; to a dead port nothing is told."""
    if kind == MACH_MSG_TYPE_PORT_SEND_ONCE and isinstance(thing, Port) and not thing.active:
        thing.sorights -= 1
        return
    object_destroy(ipc, thing, kind)


def port_destroy(ipc: Ipc, port: Port) -> None:
    """The receive right goes (``ipc_port_destroy``): to whoever asked for it, or for ever."""
    if port.pdrequest is not None:
        told, port.pdrequest = port.pdrequest, None
        port.receiver = None
        port.receiver_name = 0
        port.destination = None
        notify_port_destroyed(ipc, told, port)
        return
    queued = port.clear()
    port.leave_sets()
    port.receiver = port.destination = None
    port.active = False
    ipc.dismiss(port)
    ipc.wakeup(port.room)
    first = not ipc.reaping and not ipc.delayed
    ipc.delayed.extend(queued)
    nsrequest, port.nsrequest = port.nsrequest, None
    if nsrequest is not None:
        notify_send_once(ipc, nsrequest)
    dnnotify(ipc, port)
    if first and queued:
        _reap(ipc)


# -- messages ----------------------------------------------------------------------------------


def kmsg_destroy(ipc: Ipc, kmsg: Kmsg) -> None:
    """Destroy a message and the rights in it (``ipc_kmsg_destroy``), at once or, inside of another
    destruction, after it."""
    first = not ipc.reaping and not ipc.delayed
    ipc.delayed.append(kmsg)
    if first:
        _reap(ipc)


def _reap(ipc: Ipc) -> None:
    ipc.reaping = True
    while ipc.delayed:
        kmsg = ipc.delayed.popleft()
        object_destroy_dest(ipc, kmsg.remote, kmsg.remote_type)
        object_destroy(ipc, kmsg.local, kmsg.local_type)
        kmsg_clean_body(ipc, kmsg)
    ipc.reaping = False


def kmsg_clean_partial(ipc: Ipc, kmsg: Kmsg) -> None:
    """Give up a message of which only a part was copied in."""
    object_destroy_dest(ipc, kmsg.remote, kmsg.remote_type)
    object_destroy(ipc, kmsg.local, kmsg.local_type)
    kmsg_clean_body(ipc, kmsg)


def kmsg_clean_body(ipc: Ipc, kmsg: Kmsg) -> None:
    """Destroy what a message carries, rights and memory."""
    for one in kmsg.descriptors:
        kmsg_clean_descriptor(ipc, one)


def kmsg_clean_descriptor(ipc: Ipc, one: Carried) -> None:
    """Destroy what one descriptor carries."""
    for thing in one.rights:
        object_destroy(ipc, thing, one.disposition)
    one.free()


assert len(NDR) == SIZEOF_NDR
