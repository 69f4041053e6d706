"""Assertions of XNU's own tests of Mach IPC, carried over; each test says which file they come
from.

Read at apple-oss-distributions/xnu e3723e1f, ``tests/``. What is asserted there is asserted here,
in our own words and on this API. ``mach_port_construct`` with a send right and a queue limit is
``mach_port_allocate``, ``mach_port_insert_right`` and ``mach_port_set_attributes`` here;
``mach_port_destruct`` gives up the rights one after the other, and they must be that many.
"""

from __future__ import annotations

import struct
from types import ModuleType

import pytest

from kextlab import Kernel
from kextlab.abi import mach as m
from kextlab.abi.mach_messages import (
    KERNEL_AUDIT_TOKEN,
    Descriptor,
    MachMsgHeader,
    OolDescriptor,
    OolPortsDescriptor,
    PortDescriptor,
    unpack_audit_token,
)
from kextlab.osfmk import mach_port
from kextlab.osfmk.ipc_port import IP_DEAD, Port
from kextlab.osfmk.ipc_space import Ipc, Space
from kextlab.osfmk.vm_fault import vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import mach_vm_allocate, mach_vm_deallocate
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from tests.unit.mach_tasks import Task

MB = 1 << 20
RECEIVED = {
    m.MACH_MSG_TYPE_MOVE_RECEIVE: m.MACH_MSG_TYPE_PORT_RECEIVE,
    m.MACH_MSG_TYPE_MOVE_SEND: m.MACH_MSG_TYPE_PORT_SEND,
    m.MACH_MSG_TYPE_MOVE_SEND_ONCE: m.MACH_MSG_TYPE_PORT_SEND_ONCE,
    m.MACH_MSG_TYPE_COPY_SEND: m.MACH_MSG_TYPE_PORT_SEND,
    m.MACH_MSG_TYPE_MAKE_SEND: m.MACH_MSG_TYPE_PORT_SEND,
    m.MACH_MSG_TYPE_MAKE_SEND_ONCE: m.MACH_MSG_TYPE_PORT_SEND_ONCE,
}
"""What each disposition is once it is received, in the order in which the tests send them."""


@pytest.fixture(params=[4096, 16384], ids=["4K", "16K"])
def task(request: pytest.FixtureRequest) -> Task:
    return Task(Space(Ipc(), 100), VmMap(Vm(request.param)))


@pytest.fixture
def space(task: Task) -> Space:
    return task.space


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


def destruct(task: Task, name: int, send_rights: int) -> None:
    """Give up a port with so many references to its send right, and no more."""
    assert task.refs(name) == send_rights
    send, receive = m.MACH_PORT_RIGHT_SEND, m.MACH_PORT_RIGHT_RECEIVE
    assert mach_port.mod_refs(task.space, name, send, -send_rights) == m.KERN_SUCCESS
    assert mach_port.mod_refs(task.space, name, receive, -1) == m.KERN_SUCCESS


def make_send_once(task: Task, name: int) -> int:
    code, right = mach_port.extract_right(task.space, name, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    assert code == m.KERN_SUCCESS
    assert isinstance(right, Port)
    return mach_port.copyout(task.space, right, m.MACH_MSG_TYPE_PORT_SEND_ONCE)[1]


def passed(task: Task, there: int, pseudo: bool, one: Descriptor) -> Descriptor:
    """Send a message with one descriptor to oneself and receive it, or (``pseudo``) find that the
    queue is full and the message has come back; the descriptor that comes."""
    code, back = task.send(there, one)
    if pseudo:
        assert code == m.MACH_SEND_TIMED_OUT
    else:
        assert code == m.MACH_MSG_SUCCESS
        back = task.take(there)
    assert back.header.complex
    (found,) = back.descriptors
    return found


def target(task: Task, pseudo: bool) -> int:
    """A port with room for one message, which is taken if the message is to come back."""
    name = task.port(qlimit=1)
    if pseudo:
        assert task.send(name)[0] == m.MACH_MSG_SUCCESS
    return name


pseudo_too = pytest.mark.parametrize("pseudo", [False, True], ids=["receive", "pseudo-receive"])


# ---------------------------------------------------------------- ipc/mach_msg_transport.c


@pytest.mark.parametrize(("elements", "size"), [(0, 8), (1, 12), (2, 20), (3, 52)])
def test_mach_msg_trailer(mac: Kernel, elements: int, size: int) -> None:
    app = mac.spawn("test", uid=501)
    gate, pid = mac.mach_traps, app.pid
    port = app.mach.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    header = MachMsgHeader(m.MACH_MSG_TYPE_MAKE_SEND, 24, port, msgh_id=42).pack()
    assert gate.mach_msg(pid, header, m.MACH_SEND_MSG)[0] == m.MACH_MSG_SUCCESS
    option = m.MACH_RCV_MSG | elements << 24
    code, buffer = gate.mach_msg(pid, None, option, 24 + 68 + 4, port)
    assert code == m.MACH_MSG_SUCCESS
    assert MachMsgHeader.unpack(buffer).msgh_size == 24
    trailer = buffer[24:]
    assert len(trailer) == size  # not a byte behind it was written
    kind, told = struct.unpack_from("<II", trailer)
    assert (kind, told) == (0, size)
    if size > 12:
        uid, gid = struct.unpack_from("<II", trailer, 12)
        assert (uid, gid) == (501, 20)
    if size > 20:
        token = unpack_audit_token(trailer)
        assert token != KERNEL_AUDIT_TOKEN
        assert (token[1], token[5]) == (501, pid)


@pseudo_too
def test_mach_msg_descriptor_port(task: Task, pseudo: bool) -> None:
    there, port = target(task, pseudo), task.port()
    for disposition, kind in RECEIVED.items():
        name = port
        if disposition == m.MACH_MSG_TYPE_MOVE_SEND_ONCE:
            name = make_send_once(task, port)
        found = passed(task, there, pseudo, PortDescriptor(name, disposition))
        assert isinstance(found, PortDescriptor)
        assert found.type == m.MACH_MSG_PORT_DESCRIPTOR
        assert found.disposition == kind
        if kind == m.MACH_MSG_TYPE_PORT_SEND_ONCE:
            assert mach_port.deallocate(task.space, found.name) == m.KERN_SUCCESS
        else:
            assert found.name == name
    destruct(task, port, 3)  # one from the beginning, a COPY_SEND and a MAKE_SEND


@pseudo_too
def test_mach_msg_descriptor_port_array(task: Task, pseudo: bool) -> None:
    there, ports = target(task, pseudo), [task.port(), task.port()]
    for disposition, kind in RECEIVED.items():
        names = ports
        if disposition == m.MACH_MSG_TYPE_MOVE_SEND_ONCE:
            names = [make_send_once(task, port) for port in ports]
        address = task.names(*names)
        found = passed(task, there, pseudo, OolPortsDescriptor(address, 2, disposition, copy=0))
        assert isinstance(found, OolPortsDescriptor)
        assert found.type == m.MACH_MSG_OOL_PORTS_DESCRIPTOR
        assert (found.disposition, found.count) == (kind, 2)
        assert found.deallocate
        array = task.array(found)
        if kind == m.MACH_MSG_TYPE_PORT_SEND_ONCE:
            for name in array:
                assert mach_port.deallocate(task.space, name) == m.KERN_SUCCESS
        else:
            assert array == names
        assert mach_vm_deallocate(task.map, found.address, 8) == m.KERN_SUCCESS
    for port in ports:
        destruct(task, port, 3)


@pseudo_too
def test_mach_msg_descriptor_memory(task: Task, pseudo: bool) -> None:
    there = target(task, pseudo)
    code, address = mach_vm_allocate(task.map, 0, MB, m.VM_FLAGS_ANYWHERE)
    assert code == m.KERN_SUCCESS
    vm_write(task.map, address, b"\xff" * MB)
    for move in (False, True):
        found = passed(task, there, pseudo, OolDescriptor(address, MB, move, copy=0))
        assert isinstance(found, OolDescriptor)
        assert found.type == m.MACH_MSG_OOL_DESCRIPTOR
        assert found.size == MB
        assert vm_read(task.map, found.address, MB) == b"\xff" * MB
        if not move:
            assert mach_vm_deallocate(task.map, found.address, MB) == m.KERN_SUCCESS
        else:
            address = found.address
    assert mach_vm_deallocate(task.map, address, MB) == m.KERN_SUCCESS
    assert task.map.entries == []


# ---------------------------------------------------------------- ipc_mach_port.c

SERVICE = "com.apple.xnu.test.mach_port"
ORDERS = {
    "receive, send, send": [16, 19, 17],
    "send, receive, send": [19, 16, 17],
    "send, send, receive": [19, 17, 16],
}
"""The rights to one port, one message each, in the order in which they are sent."""


@pytest.mark.parametrize("order", ORDERS)
def test_right_dedup(mac: Kernel, order: str) -> None:
    server, client = mac.spawn("right_dedup_server", uid=0), mac.spawn("right_dedup_client")
    s, c = server.mach, client.mach
    there = s.bootstrap_check_in(SERVICE)
    to = c.bootstrap_look_up(SERVICE)
    port = c.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    c.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    names = []
    for number, disposition in enumerate(ORDERS[order], 1):
        bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX
        right = PortDescriptor(port, disposition)
        c.mach_msg(Message(bits, to, msgh_id=number, descriptors=[right]), m.MACH_SEND_MSG)
        got = s.mach_msg(None, m.MACH_RCV_MSG, 48, there)
        assert got.msgh_id == number
        assert got.msgh_bits & m.MACH_MSGH_BITS_COMPLEX
        (found,) = got.descriptors
        assert found.disposition == RECEIVED[disposition]
        names.append(found.name)
    assert names[0] == names[1] == names[2]
    s.mach_port_mod_refs(names[0], m.MACH_PORT_RIGHT_SEND, -2)
    s.mach_port_mod_refs(names[0], m.MACH_PORT_RIGHT_RECEIVE, -1)
    with pytest.raises(MachError, match="KERN_INVALID_NAME"):
        s.mach_port_type(names[0])


# ---------------------------------------------------------------- mach_port_insert_right.c


def test_mach_port_insert_right(space: Space) -> None:
    def insert(name: int, port: int) -> int:
        _, right = mach_port.copyin(space, port, m.MACH_MSG_TYPE_MAKE_SEND)
        return mach_port.insert_right(space, name, right, m.MACH_MSG_TYPE_PORT_SEND)

    code, port = mach_port.allocate(space, m.MACH_PORT_RIGHT_RECEIVE)
    assert code == m.KERN_SUCCESS
    assert mach_port.type_(space, port)[1] == m.MACH_PORT_TYPE_RECEIVE
    assert insert(port, port) == m.KERN_SUCCESS
    assert mach_port.type_(space, port)[1] == m.MACH_PORT_TYPE_SEND_RECEIVE
    assert insert(123, port) == m.KERN_FAILURE  # the low bits of a name, but no index
    assert insert(122, port) == m.KERN_INVALID_VALUE
    code, port2 = mach_port.allocate(space, m.MACH_PORT_RIGHT_RECEIVE)
    assert code == m.KERN_SUCCESS
    assert mach_port.type_(space, port2)[1] == m.MACH_PORT_TYPE_RECEIVE
    assert insert(port, port2) == m.KERN_RIGHT_EXISTS


# ---------------------------------------------------------------- ipc/port_api.c


def test_mach_port_insert_right_123724977(mac: Kernel) -> None:
    mach = mac.spawn("test").mach
    pset = mach.mach_port_allocate(m.MACH_PORT_RIGHT_PORT_SET)
    with pytest.raises(MachError, match="KERN_INVALID_RIGHT"):
        mach.mach_port_insert_right(pset, pset, m.MACH_MSG_TYPE_MAKE_SEND)


# ---------------------------------------------------------------- mach_port_mod_refs.c


@pytest.mark.parametrize(
    ("right", "code"),
    [
        ("SEND", m.KERN_INVALID_RIGHT),
        ("SEND_ONCE", m.KERN_INVALID_RIGHT),
        ("PORT_SET", m.KERN_INVALID_RIGHT),
        ("RECEIVE", m.KERN_INVALID_RIGHT),
        ("DEAD_NAME", m.KERN_INVALID_RIGHT),
        ("LABELH", m.KERN_INVALID_RIGHT),
        ("NUMBER", m.KERN_INVALID_VALUE),
        ("NUMBER+1", m.KERN_INVALID_VALUE),
    ],
)
def test_mach_port_mod_refs(space: Space, right: str, code: int) -> None:
    word, _, more = right.partition("+")
    number = getattr(m, f"MACH_PORT_RIGHT_{word}") + int(more or 0)
    for kind in (m.MACH_PORT_RIGHT_PORT_SET, m.MACH_PORT_RIGHT_RECEIVE):
        _, name = mach_port.allocate(space, kind)
        if number != kind:
            assert mach_port.mod_refs(space, name, number, -1) == code
        assert mach_port.mod_refs(space, name, kind, -1) == m.KERN_SUCCESS
        assert mach_port.type_(space, name)[0] == m.KERN_INVALID_NAME


# ---------------------------------------------------------------- mach_port_deallocate_21692215.c


def test_mach_port_deallocate(space: Space) -> None:
    """``mach_port_deallocate`` gives up a port set, too."""
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    ports = [mach_port.allocate(space, m.MACH_PORT_RIGHT_RECEIVE)[1] for _ in range(4)]
    for port in ports:
        assert mach_port.move_member(space, port, pset) == m.KERN_SUCCESS
    for port in ports:
        code = mach_port.mod_refs(space, port, m.MACH_PORT_RIGHT_RECEIVE, -1)
        assert code == m.KERN_SUCCESS
    assert mach_port.deallocate(space, pset) == m.KERN_SUCCESS
    assert space.entries == {}


# ---------------------------------------------------------------- ipc/waitq.c


def test_waitq_link_alloc_stress(space: Space) -> None:
    ports = [mach_port.allocate(space, m.MACH_PORT_RIGHT_RECEIVE)[1] for _ in range(64)]
    for _ in range(10):
        _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
        for port in ports:
            assert mach_port.insert_member(space, port, pset) == m.KERN_SUCCESS
        for port in ports:
            assert mach_port.move_member(space, port, m.MACH_PORT_NULL) == m.KERN_SUCCESS
        for port in ports:
            assert mach_port.insert_member(space, port, pset) == m.KERN_SUCCESS
        code = mach_port.mod_refs(space, pset, m.MACH_PORT_RIGHT_PORT_SET, -1)
        assert code == m.KERN_SUCCESS
    for port in ports:
        code = mach_port.mod_refs(space, port, m.MACH_PORT_RIGHT_RECEIVE, -1)
        assert code == m.KERN_SUCCESS


# ---------------------------------------------------------------- ipc/mach_msg2.c


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("test")


def both_ways(mach: ModuleType, to: int, reply: int) -> Message:
    bits = mach.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND)
    body = struct.pack("<Q", 0xDEADCAFEDEADFACE)
    message: Message = mach.Message(bits, to, reply, 4141, body)
    return message


def test_mach_msg2_interop(app: App) -> None:
    """What it asserts of plain messages: its tests 13 to 15 without vectors."""
    mach = app.mach
    send_port = mach.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    rcv_port = mach.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    mach.mach_port_insert_right(rcv_port, rcv_port, m.MACH_MSG_TYPE_MAKE_SEND)
    for _ in range(4):
        mach.mach_msg(both_ways(mach, rcv_port, send_port), m.MACH_SEND_MSG)
    for _ in range(4):
        got = mach.mach_msg(None, m.MACH_RCV_MSG, 256, rcv_port)
        assert struct.unpack("<Q", got.body) == (0xDEADCAFEDEADFACE,)
        assert (got.msgh_remote_port, got.msgh_local_port) == (send_port, rcv_port)
        assert got.msgh_id == 4141


def test_mach_msg2_combined_send_rcv(app: App) -> None:
    mach = app.mach
    port = mach.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    mach.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    option = m.MACH_SEND_MSG | m.MACH_RCV_MSG
    got = mach.mach_msg(both_ways(mach, port, port), option, 256, port)
    assert struct.unpack("<Q", got.body) == (0xDEADCAFEDEADFACE,)


# ---------------------------------------------------------------- ipc/port_notification_99449706.c


def test_mach_port_notification_dead_name_double_free(app: App, space: Space) -> None:
    """The kernel survives a dead name where a send-once right should be; and it is refused."""
    mach = app.mach
    port = mach.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    dead = mach.mach_port_allocate(m.MACH_PORT_RIGHT_DEAD_NAME)
    ask = mach.mach_port_request_notification
    with pytest.raises(MachError, match="KERN_INVALID_CAPABILITY"):
        ask(port, m.MACH_NOTIFY_PORT_DESTROYED, 0, dead, m.MACH_MSG_TYPE_PORT_SEND_ONCE)
    with pytest.raises(MachError, match="KERN_INVALID_NAME"):
        mach.mach_port_type(dead)  # its reference has moved
    answer = mach_port.request_notification(space, 0, m.MACH_NOTIFY_NO_SENDERS, 0, IP_DEAD)
    assert answer == (m.KERN_INVALID_CAPABILITY, None)
