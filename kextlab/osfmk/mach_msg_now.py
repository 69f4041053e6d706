"""The usual message, at once: what ``mach_msg`` comes to where nothing is in the way.

A simple message to a queue with room, its answer, and receiving either: no descriptors, nobody to
be notified, no dead port. Whatever else there is, nothing is done here, and
``kextlab.osfmk.mach_msg`` does it; the changes and their order are the same (a test compares them
entry by entry).
"""

from __future__ import annotations

from typing import Final

from kextlab.abi.mach import (
    MACH_MSG_TYPE_COPY_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_MOVE_SEND_ONCE,
    MACH_MSG_TYPE_PORT_NONE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_PORT_NULL,
    MACH_PORT_TYPE_RECEIVE,
    MACH_PORT_TYPE_SEND,
    MACH_PORT_TYPE_SEND_ONCE,
    MACH_RCV_TRAILER_MASK,
    MACH_SEND_NOTIFY,
    SIZEOF_HEADER,
    SIZEOF_TRAILER,
)
from kextlab.abi.mach_messages import HEADER, AuditToken, pack_trailer
from kextlab.osfmk.ipc_port import IP_NULL, Kmsg, Object, Port
from kextlab.osfmk.ipc_space import Space
from kextlab.trace.codes import SET

TELL: Final = MACH_MSG_TYPE_COPY_SEND
ASK: Final = MACH_MSG_TYPE_COPY_SEND | MACH_MSG_TYPE_MAKE_SEND_ONCE << 8
ANSWER: Final = MACH_MSG_TYPE_MOVE_SEND_ONCE
"""The ``msgh_bits`` that are done here: with a send right, asking for an answer, giving one."""
TRAILER: Final = pack_trailer(SIZEOF_TRAILER, None)


def send_now(space: Space, data: bytes, option: int, audit: AuditToken) -> bool:
    """Send a message, given as its bytes. False: nothing was done."""
    size = len(data)
    if size < SIZEOF_HEADER or size & 3 or option & MACH_SEND_NOTIFY:
        return False
    bits, sent, remote, local, _, ident = HEADER.unpack_from(data)
    entries = space.entries
    entry = entries.get(remote)
    if entry is None or size != sent:
        return False
    record = space.ipc.record
    kind = entry._type
    back: Object = IP_NULL
    back_type = MACH_MSG_TYPE_PORT_NONE
    if bits == ANSWER:
        if kind != MACH_PORT_TYPE_SEND_ONCE or entry.request or local or not entry.port.active:
            return False
        port = entry.port
        space.dealloc(remote)
        to_type = MACH_MSG_TYPE_PORT_SEND_ONCE
    elif kind & MACH_PORT_TYPE_SEND and (bits == ASK or (bits == TELL and not local)):
        port = entry.port
        if not port.active or port._msgcount >= port._qlimit:
            return False
        reply = None
        if bits == ASK:
            reply = entries.get(local)
            if reply is None or reply is entry or not reply._type & MACH_PORT_TYPE_RECEIVE:
                return False
        port._srights = count = port._srights + 1
        if record is not None:
            record((SET, port.object_name, "srights", count))
        if reply is not None:
            back = answers = reply.port
            back_type = MACH_MSG_TYPE_PORT_SEND_ONCE
            answers._sorights = count = answers._sorights + 1
            if record is not None:
                record((SET, answers.object_name, "sorights", count))
        to_type = MACH_MSG_TYPE_PORT_SEND
    else:
        return False
    body = data[SIZEOF_HEADER:]
    kmsg = Kmsg(port, to_type, back, back_type, ident, body, (), False, size, False, False, audit)
    port.post(kmsg)
    return True


def receive_now(space: Space, name: int, size: int, option: int) -> bytes | None:
    """Receive a message into ``size`` bytes: its bytes with the trailer. None: nothing was done."""
    entry = space.entries.get(name)
    if entry is None or not entry._type & MACH_PORT_TYPE_RECEIVE or option & MACH_RCV_TRAILER_MASK:
        return None
    port = entry.port
    if not port._msgcount or port.sprequests:
        return None
    kmsg = port.messages[0]
    to_type, back_type = kmsg.remote_type, kmsg.local_type
    plain = to_type == MACH_MSG_TYPE_PORT_SEND
    if kmsg.complex or kmsg.size + SIZEOF_TRAILER > size or (plain and port._srights == 1):
        return None
    back = MACH_PORT_NULL
    answers = kmsg.local
    if answers is None:
        port.take()
    elif back_type == MACH_MSG_TYPE_PORT_SEND_ONCE and isinstance(answers, Port) and answers.active:
        port.take()
        back = space.alloc()
        space.enter(back, MACH_PORT_TYPE_SEND_ONCE, 1, answers)
    else:
        return None
    record = space.ipc.record
    if plain:
        port._srights = count = port._srights - 1
        if record is not None:
            record((SET, port.object_name, "srights", count))
    else:
        port._sorights = count = port._sorights - 1
        if record is not None:
            record((SET, port.object_name, "sorights", count))
    head = HEADER.pack(back_type | to_type << 8, kmsg.size, back, name, 0, kmsg.id)
    return head + kmsg.body + TRAILER
