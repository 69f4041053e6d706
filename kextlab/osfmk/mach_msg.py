"""``mach_msg``: a message out of one task, into another.

What it carries is in ``ipc_kmsg_body``. Models ``ipc_kmsg_copyin_header``, ``ipc_kmsg_send``,
``ipc_mqueue_receive``, ``ipc_kmsg_copyout`` and the pseudo-receive that gives a message back which
could not be queued.
Read beside it: ``osfmk/ipc/ipc_kmsg.c``, ``mach_msg.c``, ``ipc_mqueue.c``.

Nothing waits here: ``kextlab.kernel.mach_traps`` does.

Left out: vouchers, trailers beyond the audit token.
"""

from __future__ import annotations

from typing import Final

from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_SUCCESS,
    MACH_MSG_TYPE_PORT_NONE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_PORT_DEAD,
    MACH_PORT_NULL,
    MACH_PORT_TYPE_PORT_SET,
    MACH_PORT_TYPE_RECEIVE,
    MACH_RCV_BODY_ERROR,
    MACH_RCV_INVALID_NAME,
    MACH_RCV_LARGE,
    MACH_RCV_MSG,
    MACH_RCV_TIMED_OUT,
    MACH_RCV_TOO_LARGE,
    MACH_RCV_TRAILER_AUDIT,
    MACH_RCV_TRAILER_MASK,
    MACH_RCV_TRAILER_SENDER,
    MACH_RCV_TRAILER_SEQNO,
    MACH_SEND_ALWAYS,
    MACH_SEND_INVALID_DEST,
    MACH_SEND_INVALID_HEADER,
    MACH_SEND_INVALID_REPLY,
    MACH_SEND_MSG,
    MACH_SEND_MSG_TOO_SMALL,
    MACH_SEND_NOTIFY,
    MACH_SEND_TIMED_OUT,
    SIZEOF_AUDIT_TRAILER,
    SIZEOF_BODY,
    SIZEOF_HEADER,
    SIZEOF_PORT_DESCRIPTOR,
    SIZEOF_SECURITY_TRAILER,
    SIZEOF_SEQNO_TRAILER,
    SIZEOF_TRAILER,
    kGUARD_EXC_RCV_INVALID_NAME,
    kGUARD_EXC_SEND_INVALID_REPLY,
)
from kextlab.osfmk import ipc_right_copy, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_kmsg_body import MapOf, copyin_body, copyout_body, copyout_object, no_map
from kextlab.osfmk.ipc_object import (
    copyin_type,
    kmsg_clean_body,
    kmsg_destroy,
    notify_no_senders,
    notify_port_deleted,
    notify_send_once,
    object_destroy,
    spnotify,
)
from kextlab.osfmk.ipc_port import IP_DEAD, IP_NULL, Kmsg, Object, Port, PortSet
from kextlab.osfmk.ipc_space import Entry, Space

TRAILERS: Final = {
    0: SIZEOF_TRAILER,
    MACH_RCV_TRAILER_SEQNO: SIZEOF_SEQNO_TRAILER,
    MACH_RCV_TRAILER_SENDER: SIZEOF_SECURITY_TRAILER,
    MACH_RCV_TRAILER_AUDIT: SIZEOF_AUDIT_TRAILER,
}


def trailer_size(option: int) -> int:
    """Bytes of the trailer that is asked for (``REQUESTED_TRAILER_SIZE``)."""
    wanted = option & MACH_RCV_TRAILER_MASK
    if wanted not in TRAILERS:
        raise NotImplementedError(
            f"a trailer of {wanted >> 24} elements is not modelled; of 0 to 3 it is"
        )
    return TRAILERS[wanted]


def size_of(descriptors: int, body: int) -> int:
    """Bytes of a message with so many port descriptors (0: simple) and so many bytes of body."""
    more = SIZEOF_BODY + descriptors * SIZEOF_PORT_DESCRIPTOR if descriptors else 0
    return SIZEOF_HEADER + more + body


# -- sending -----------------------------------------------------------------------------------


def send(space: Space, message: Message, option: int, map_of: MapOf = no_map) -> int:
    """Send a message without waiting: a full queue is MACH_SEND_TIMED_OUT. After that its header
    and descriptors hold what was given back, perhaps under other names and at other addresses;
    after another error it is as it was."""
    code, kmsg = copyin(space, message, option, map_of)
    if kmsg is None:
        return code
    code = queue(space, kmsg, option)
    return give_back(space, kmsg, message, code, map_of) if code == MACH_SEND_TIMED_OUT else code


def copyin(
    space: Space, message: Message, option: int, map_of: MapOf = no_map
) -> tuple[int, Kmsg | None]:
    """Take a message out of a task (``ipc_kmsg_copyin``): the header all or nothing; what it
    carries is destroyed if not all of it can be taken."""
    header = message.header
    if header.size < SIZEOF_HEADER or header.size % 4:
        return MACH_SEND_MSG_TOO_SMALL, None
    code, kmsg = _copyin_header(space, header, option)
    if kmsg is not None:
        kmsg.body = message.body
        kmsg.complex = header.complex
        if kmsg.complex:
            code = copyin_body(space, map_of, message, kmsg)
    return code, kmsg if code == MACH_MSG_SUCCESS else None


def _copyin_header(space: Space, header: Header, option: int) -> tuple[int, Kmsg | None]:
    """Copy in destination and reply right, both or neither."""
    dest_name, reply_name = header.remote, header.local
    dest_type, reply_type = header.remote_type, header.local_type
    if (
        copyin_type(dest_type) not in _ANY_SEND
        or (reply_type == MACH_MSG_TYPE_PORT_NONE and reply_name != MACH_PORT_NULL)
        or (reply_type != MACH_MSG_TYPE_PORT_NONE and copyin_type(reply_type) not in _ANY_SEND)
    ):
        return MACH_SEND_INVALID_HEADER, None
    if not mach_port.valid(dest_name) or not space.active:
        return MACH_SEND_INVALID_DEST, None
    _, dest = space.lookup(dest_name)
    if dest is None:
        return MACH_SEND_INVALID_DEST, None
    reply_port: Object = IP_DEAD if reply_name == MACH_PORT_DEAD else IP_NULL
    reply: Entry | None = None
    reply_request: Port | None = None
    if mach_port.valid(reply_name):
        _, reply = space.lookup(reply_name)
        if reply is None or not ipc_right_copy.copyin_check_reply(reply, reply_type):
            space.ipc.guard(reply_name, kGUARD_EXC_SEND_INVALID_REPLY)
            return MACH_SEND_INVALID_REPLY, None
    if reply is dest:
        code, port, request = ipc_right_copy.copyin_two(
            space, dest_name, dest, dest_type, reply_type
        )
        reply_port = port
    else:
        code, port, request = ipc_right_copy.copyin(
            space, dest_name, dest, dest_type, deadok=False, dead_send_once=True
        )
        if code == KERN_SUCCESS and reply is not None:
            _, reply_port, reply_request = ipc_right_copy.copyin(
                space, reply_name, reply, reply_type, deadok=True
            )
    if code != KERN_SUCCESS or not isinstance(port, Port):
        return MACH_SEND_INVALID_DEST, None
    kind = copyin_type(dest_type)
    if option & MACH_SEND_NOTIFY and kind != MACH_MSG_TYPE_PORT_SEND_ONCE:
        asked = port.request(dest.request, dest_name)
        if asked is not None and asked.send_possible and port.full:
            port.arm(asked)
    ipc_right_copy.settle(space, dest_name, dest)
    if reply is not None and reply is not dest:
        ipc_right_copy.settle(space, reply_name, reply)
    if request is not None:
        notify_port_deleted(space.ipc, request, dest_name)
    if reply_request is not None:
        notify_port_deleted(space.ipc, reply_request, reply_name)
    kmsg = Kmsg(port, kind, reply_port, copyin_type(reply_type), header.id)
    kmsg.size = header.size
    return MACH_MSG_SUCCESS, kmsg


_ANY_SEND = (MACH_MSG_TYPE_PORT_SEND, MACH_MSG_TYPE_PORT_SEND_ONCE)


def queue(space: Space, kmsg: Kmsg, option: int) -> int:
    """Queue a message (``ipc_kmsg_send``, ``ipc_mqueue_send``); MACH_SEND_TIMED_OUT: it is full."""
    port = kmsg.remote
    assert isinstance(port, Port)
    if not port.active or kmsg.circular:
        kmsg_destroy(space.ipc, kmsg)
        return MACH_MSG_SUCCESS
    unlimited = kmsg.remote_type == MACH_MSG_TYPE_PORT_SEND_ONCE or option & MACH_SEND_ALWAYS
    if port.full and not unlimited:
        return MACH_SEND_TIMED_OUT
    port.post(kmsg)
    return MACH_MSG_SUCCESS


def give_back(space: Space, kmsg: Kmsg, message: Message, code: int, map_of: MapOf = no_map) -> int:
    """Give a message back to its sender (``ipc_kmsg_copyout_pseudo``); code and extra bits."""
    header = message.header
    extra, header.remote = copyout_object(space, kmsg.remote, kmsg.remote_type)
    more, header.local = copyout_object(space, kmsg.local, kmsg.local_type)
    header.remote_type, header.local_type = kmsg.remote_type, kmsg.local_type
    body, message.descriptors = copyout_body(space, map_of, kmsg)
    return code | extra | more | body


# -- receiving ---------------------------------------------------------------------------------


def source(space: Space, name: int) -> tuple[int, Port | PortSet | None]:
    """What a name receives from, a port or a set (``ipc_mqueue_copyin``)."""
    entry = space.entries.get(name) if mach_port.valid(name) else None
    if entry is None:
        return MACH_RCV_INVALID_NAME, None
    if entry.type & (MACH_PORT_TYPE_RECEIVE | MACH_PORT_TYPE_PORT_SET):
        return MACH_MSG_SUCCESS, entry.object
    if not entry.ex_receive:
        space.ipc.guard(name, kGUARD_EXC_RCV_INVALID_NAME)
    return MACH_RCV_INVALID_NAME, None


def receive(
    space: Space, name: int, size: int, option: int, map_of: MapOf = no_map
) -> tuple[int, Message | None]:
    """Receive from a receive right or a port set, ``size`` bytes at most, trailer included, without
    waiting: no message is MACH_RCV_TIMED_OUT. With MACH_RCV_BODY_ERROR, too, there is a message, of
    which as much has arrived as found room."""
    code, found = source(space, name)
    if found is None:
        return code, None
    port: Port | None = found if isinstance(found, Port) else None
    if isinstance(found, PortSet) and found.preposts:
        port = found.preposts[0]
    if port is None or not port.messages:
        return MACH_RCV_TIMED_OUT, None
    trailer = trailer_size(option)
    large = port.messages[0].size + trailer > size
    if large and option & MACH_RCV_LARGE:
        return MACH_RCV_TOO_LARGE, None
    seqno = port.seqno
    kmsg = port.take()
    if large:
        _refuse_large(space, kmsg)
        _room(space, port)
        return MACH_RCV_TOO_LARGE, None
    code, message = _copyout(space, kmsg, map_of)
    message.trailer_size = trailer
    message.seqno = seqno if trailer > SIZEOF_TRAILER else None
    message.audit = kmsg.audit
    _room(space, port)
    return code, message


def _room(space: Space, port: Port) -> None:
    """Is there room for those who wait for it?"""
    if port.sprequests and not port.full:
        spnotify(space.ipc, port)


def _copyout(space: Space, kmsg: Kmsg, map_of: MapOf) -> tuple[int, Message]:
    """A message as its receiver finds it (``ipc_kmsg_copyout``): the reply right in ``remote``, the
    port it came in at in ``local``."""
    header = Header(id=kmsg.id, complex=kmsg.complex, size=kmsg.size)
    header.remote_type, header.local_type = kmsg.local_type, kmsg.remote_type
    _, header.remote = copyout_object(space, kmsg.local, kmsg.local_type)
    header.local = _copyout_dest(space, kmsg)
    message = Message(header, kmsg.body, notification=kmsg.notification)
    if kmsg.descriptors:
        extra, message.descriptors = copyout_body(space, map_of, kmsg)
        if extra:
            return MACH_RCV_BODY_ERROR | extra, message
    return MACH_MSG_SUCCESS, message


def _copyout_dest(space: Space, kmsg: Kmsg) -> int:
    """Use up the right the message was sent to (``ipc_object_copyout_dest``); its port's name."""
    port = kmsg.remote
    assert isinstance(port, Port)
    mine = port.receiver is space
    if kmsg.remote_type == MACH_MSG_TYPE_PORT_SEND:
        told = port.lose_send()
        name = port.receiver_name if mine else MACH_PORT_DEAD
        notify_no_senders(space.ipc, told)
        return name
    if mine:
        port.sorights -= 1
        return port.receiver_name
    notify_send_once(space.ipc, port)
    return MACH_PORT_DEAD


def _refuse_large(space: Space, kmsg: Kmsg) -> None:
    """A message too large for its receiver is destroyed, and the rights in it."""
    _copyout_dest(space, kmsg)
    object_destroy(space.ipc, kmsg.local, kmsg.local_type)
    kmsg_clean_body(space.ipc, kmsg)


def mach_msg(
    space: Space,
    message: Message | None,
    option: int,
    rcv_size: int = 0,
    rcv_name: int = MACH_PORT_NULL,
    map_of: MapOf = no_map,
) -> tuple[int, Message | None]:
    """Send, receive, or one after the other, without waiting; code, and what was received."""
    if option & MACH_SEND_MSG:
        assert message is not None
        code = send(space, message, option, map_of)
        if code != MACH_MSG_SUCCESS:
            return code, None
    if option & MACH_RCV_MSG:
        return receive(space, rcv_name, rcv_size, option, map_of)
    return MACH_MSG_SUCCESS, None
