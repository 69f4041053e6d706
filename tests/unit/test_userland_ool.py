"""Memory and arrays of rights in a process's messages, as a program in C would send them."""

from __future__ import annotations

from types import ModuleType

import pytest

from kextlab import Kernel, explain
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from kextlab.userland.vm import VmRegion
from kextlab.views import log

SERVICE = "org.kextlab.pages"
SIZE = 0x10000


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def server(mac: Kernel) -> App:
    return mac.spawn("server", uid=0)


@pytest.fixture
def client(mac: Kernel) -> App:
    return mac.spawn("client")


@pytest.fixture
def port(server: App) -> int:
    name: int = server.mach.bootstrap_check_in(SERVICE)
    return name


def in_step(mac: Kernel) -> bool:
    """The trace's changes add up to what the kernel says of itself."""
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


def carrying(m: ModuleType, to: int, *descriptors: object) -> Message:
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0) | m.MACH_MSGH_BITS_COMPLEX
    message: Message = m.Message(bits, to, msgh_id=9, body=b"more", descriptors=descriptors)
    return message


def written(m: ModuleType, byte: bytes) -> int:
    address: int = m.mach_vm_allocate(SIZE)
    m.store(address, byte * SIZE)
    return address


def mapped(m: ModuleType) -> list[VmRegion]:
    found, at = [], 0
    while True:
        try:
            region = m.mach_vm_region(at)
        except MachError:
            return found
        found.append(region)
        at = region.address + region.size


def test_memory_travels_and_is_copied_when_somebody_writes(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    s, c = server.mach, client.mach
    to, address = c.bootstrap_look_up(SERVICE), written(c, b"a")
    c.mach_msg(carrying(c, to, c.OolDescriptor(address, SIZE)), c.MACH_SEND_MSG)
    assert in_step(mac)
    c.store(address, b"b" * SIZE)
    got = s.mach_msg(None, s.MACH_RCV_MSG | s.MACH_RCV_TRAILER_AUDIT, 4096, port)
    (memory,) = got.descriptors
    assert (memory.size, memory.deallocate, got.body, got.rights) == (SIZE, True, b"more", [])
    assert got.audit_token[5] == client.pid
    assert s.load(memory.address, SIZE) == b"a" * SIZE
    s.store(memory.address, b"c")
    assert c.load(address, 1) == b"b"
    assert in_step(mac)
    s.mach_msg_destroy(got)
    assert mapped(s) == []
    assert in_step(mac)


def test_an_array_of_rights_travels(mac: Kernel, server: App, client: App, port: int) -> None:
    s, c = server.mach, client.mach
    to = c.bootstrap_look_up(SERVICE)
    ports = [c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE) for _ in range(3)]
    address = c.mach_vm_allocate(12)
    c.store_names(address, ports)
    array = c.OolPortsDescriptor(address, 3, c.MACH_MSG_TYPE_MAKE_SEND, deallocate=True)
    c.mach_msg(carrying(c, to, array), c.MACH_SEND_MSG)
    assert mapped(c) == []
    got = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    (names,) = got.descriptors
    found = s.load_names(names.address, names.count)
    assert len({*found}) == 3
    for name, mine in zip(found, ports, strict=True):
        s.mach_msg(Message(s.MACH_MSG_TYPE_COPY_SEND, name, body=b"here"), s.MACH_SEND_MSG)
        assert c.mach_msg(None, c.MACH_RCV_MSG, 4096, mine).body == b"here"
    assert in_step(mac)
    s.mach_msg_destroy(got)
    assert mapped(s) == []
    with pytest.raises(MachError, match="KERN_INVALID_NAME"):
        s.mach_port_type(found[0])
    assert in_step(mac)


def test_everything_that_came_is_given_up_at_once(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    s, c = server.mach, client.mach
    to = c.bootstrap_look_up(SERVICE)
    mine = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    names = c.mach_vm_allocate(SIZE)
    c.store_names(names, [mine, c.MACH_PORT_NULL, c.MACH_PORT_DEAD])
    message = carrying(
        c,
        to,
        c.PortDescriptor(mine, c.MACH_MSG_TYPE_MAKE_SEND),
        c.OolDescriptor(0, 0),
        c.OolDescriptor(names, 3, copy=c.MACH_MSG_PHYSICAL_COPY),
        c.OolPortsDescriptor(names, 3, c.MACH_MSG_TYPE_MAKE_SEND),
        c.OolPortsDescriptor(0, 0, c.MACH_MSG_TYPE_MAKE_SEND),
        c.PortDescriptor(mine, c.MACH_MSG_TYPE_MOVE_RECEIVE),
    )
    c.mach_msg(message, c.MACH_SEND_MSG)
    got = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    assert len(got.rights) == 2
    s.mach_msg_destroy(got)
    (left,) = mapped(s)  # a physical copy is not marked as one to be given up
    s.mach_vm_deallocate(left.address, left.size)
    rights = [name for name in mac.snapshot() if name.startswith(f"right:{server.pid}:")]
    assert rights == [f"right:{server.pid}:{port:#x}"]
    assert in_step(mac)


def test_no_room_is_an_error_with_the_message_in_it(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    s, c = server.mach, client.mach
    to, address = c.bootstrap_look_up(SERVICE), written(c, b"a")
    c.mach_msg(carrying(c, to, c.OolDescriptor(address, SIZE)), c.MACH_SEND_MSG)
    most = 0x7FFF_FE00_0000 - 0x1_0000_0000
    while most >= 0x4000:
        try:
            s.mach_vm_map(0, most, 0, s.VM_FLAGS_ANYWHERE, 0, 0, False, 0, 0, s.VM_INHERIT_NONE)
        except MachError:
            most = most // 2 & ~0x3FFF
    with pytest.raises(MachError) as caught:
        s.mach_msg(None, s.MACH_RCV_MSG | s.MACH_RCV_TRAILER_SEQNO, 4096, port)
    error = caught.value
    assert error.name == "MACH_RCV_BODY_ERROR|0x1000"
    got = error.message
    assert (got.descriptors[0].address, got.descriptors[0].size) == (0, 0)
    assert (got.body, got.seqno) == (b"more", 0)
    assert "has no room for its memory" in " ".join(str(explain(error)).split())
    assert in_step(mac)


@pytest.mark.parametrize(
    ("size", "copy", "name", "said"),
    [
        (SIZE + 1, 1, "MACH_SEND_INVALID_MEMORY", "mach_vm_region"),
        (8 << 20, 0, "MACH_MSG_VM_KERNEL", "7 MB"),
        (8, 5, "MACH_SEND_INVALID_TYPE", "MACH_MSG_VIRTUAL_COPY"),
    ],
)
def test_refusals_are_explained(
    mac: Kernel, client: App, port: int, size: int, copy: int, name: str, said: str
) -> None:
    c = client.mach
    to, address = c.bootstrap_look_up(SERVICE), written(c, b"a")
    with pytest.raises(MachError) as caught:
        c.mach_msg(carrying(c, to, c.OolDescriptor(address, size, False, copy)), c.MACH_SEND_MSG)
    assert caught.value.name == name
    assert said in str(explain(caught.value))
    assert c.load(address, SIZE) == b"a" * SIZE
    assert in_step(mac)


def test_a_message_that_came_back_has_its_memory_elsewhere(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    c = client.mach
    server.mach.mach_port_set_attributes(port, 0)
    to, address = c.bootstrap_look_up(SERVICE), written(c, b"a")
    message = carrying(c, to, c.OolDescriptor(address, SIZE, deallocate=True))
    with pytest.raises(MachError) as caught:
        c.mach_msg(message, c.MACH_SEND_MSG | c.MACH_SEND_TIMEOUT)
    assert caught.value.name == "MACH_SEND_TIMED_OUT"
    back = caught.value.message
    assert c.load(back.descriptors[0].address, SIZE) == b"a" * SIZE
    c.mach_msg_destroy(back)
    assert mapped(c) == []
    assert in_step(mac)


def test_a_process_that_ends_takes_what_is_queued_with_it(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    c = client.mach
    mine = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    c.mach_port_insert_right(mine, mine, c.MACH_MSG_TYPE_MAKE_SEND)
    memory = c.OolDescriptor(written(c, b"a"), SIZE)
    c.mach_msg(carrying(c, mine, memory), c.MACH_SEND_MSG)
    client.exit()
    assert mac.snapshot()["vmstat"]["internal_page_count"] == 0
    assert in_step(mac)


def test_the_log_tells_what_a_message_carries(
    mac: Kernel, server: App, client: App, port: int
) -> None:
    s, c = server.mach, client.mach
    to = c.bootstrap_look_up(SERVICE)
    mine = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    address = c.mach_vm_allocate(SIZE)
    c.store_names(address, [mine, mine])
    make = c.MACH_MSG_TYPE_MAKE_SEND
    message = carrying(
        c,
        to,
        c.PortDescriptor(mine, make),
        c.OolPortsDescriptor(address, 2, make),
        c.OolDescriptor(address, SIZE),
    )
    message.msgh_bits |= c.MACH_MSGH_BITS(0, c.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    message.msgh_local_port = mine
    c.mach_msg(message, c.MACH_SEND_MSG)
    got = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    c.mach_msg(carrying(c, to, c.OolDescriptor(address, SIZE)), c.MACH_SEND_MSG)
    _, ports, memory = (getattr(one, "address", 0) for one in got.descriptors)
    told = " ".join(str(log(mac)).split())
    rights = f"a send right to port:3 (name 0x303), 2 rights out of line at {ports:#x}"
    carried = f"with a right to reply, {rights} and 65,536 bytes of memory at {memory:#x}"
    assert f"server receives message 9, 76 bytes, {carried}." in told
    assert f"(name {to:#x}), with 65,536 bytes of memory." in told
