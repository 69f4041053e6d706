"""Memory of a process, and memory two processes share: the program of the lesson, whole."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.iokit import IOService
from kextlab.osfmk.vm_fault import VmFault
from kextlab.sched.stop import KernelPanic
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from kextlab.views import log

PAGE = 0x4000
SERVICE = "org.kextlab.memory"


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def server(mac: Kernel) -> App:
    return mac.spawn("server", uid=0)


@pytest.fixture
def client(mac: Kernel) -> App:
    return mac.spawn("client")


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


def refused(code: str, *call: Any) -> None:
    function, *args = call
    with pytest.raises(MachError) as caught:
        function(*args)
    assert caught.value.name == code


def mapped(m: ModuleType, entry: int, copy: bool = False, prot: int = 3) -> int:
    """The whole of a memory entry of one page, mapped anywhere."""
    none = m.VM_INHERIT_NONE
    address: int = m.mach_vm_map(0, PAGE, 0, m.VM_FLAGS_ANYWHERE, entry, 0, copy, prot, prot, none)
    return address


def given(server: App, client: App, entry: int) -> int:
    """A memory entry goes from server to client in a reply; its name there."""
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(SERVICE)
    to = c.bootstrap_look_up(SERVICE)
    reply = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, c.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    c.mach_msg(c.Message(bits, to, reply, 1), c.MACH_SEND_MSG)
    asked = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    bits = s.MACH_MSG_TYPE_MOVE_SEND_ONCE | s.MACH_MSGH_BITS_COMPLEX
    carried = [s.PortDescriptor(entry, s.MACH_MSG_TYPE_COPY_SEND)]
    s.mach_msg(
        s.Message(bits, asked.msgh_remote_port, msgh_id=2, descriptors=carried), s.MACH_SEND_MSG
    )
    got = c.mach_msg(None, c.MACH_RCV_MSG, 4096, reply)
    name: int = got.descriptors[0].name
    return name


def test_a_page_is_seen_in_two_processes(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    address = s.mach_vm_allocate(PAGE)
    size, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    assert size == PAGE
    name = given(server, client, entry)
    here = mapped(c, name)
    s.store(address, b"hello")
    assert c.load(here, 5) == b"hello"
    c.store(here, b"HELLO")
    assert s.load(address, 5) == b"HELLO"
    assert in_step(mac)
    c.mach_port_deallocate(name)
    s.mach_port_deallocate(entry)
    assert c.load(here, 5) == b"HELLO"  # what is mapped stays
    assert not [object_ for object_ in mac.snapshot() if object_.startswith("memory_entry:")]
    server.exit()
    assert c.load(here, 5) == b"HELLO"
    assert in_step(mac)
    client.exit()
    assert not [object_ for object_ in mac.snapshot() if object_.startswith("vm_map:")]
    assert in_step(mac)


def test_a_private_copy_is_not_seen(server: App, client: App) -> None:
    s, c = server.mach, client.mach
    address = s.mach_vm_allocate(PAGE)
    s.store(address, b"first")
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_READ)
    name = given(server, client, entry)
    refused("KERN_INVALID_RIGHT", mapped, c, name)  # more than the entry allows
    here = mapped(c, name, copy=True, prot=c.VM_PROT_READ)
    assert c.load(here, 5) == b"first"
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    here = mapped(s, entry, copy=True)
    s.store(here, b"mine!")
    assert (s.load(address, 5), s.load(here, 5)) == (b"first", b"mine!")


def test_a_write_of_several_words_can_be_seen_half_done(
    mac: Kernel, server: App, client: App
) -> None:
    s, c = server.mach, client.mach
    address = s.mach_vm_allocate(PAGE)
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    here = mapped(c, given(server, client, entry))
    s.store_words(address, b"A" * 16)
    assert c.load(here, 16) == b"A" * 16
    assert in_step(mac)


def test_a_signal_ends_a_touch_that_is_not_allowed(mac: Kernel, client: App) -> None:
    m = client.mach
    address = m.mach_vm_allocate(PAGE)
    with pytest.raises(VmFault, match="SIGSEGV"):
        m.load(address + 16 * PAGE, 1)
    m.mach_vm_protect(address, PAGE, False, m.VM_PROT_READ)
    for write in (m.store, m.store_words):
        with pytest.raises(VmFault, match="SIGBUS"):
            write(address, b"no")
    assert client.signals == ["SIGSEGV", "SIGBUS", "SIGBUS"]
    region = m.mach_vm_region(address)
    assert (region.address, region.size, region.protection) == (address, PAGE, m.VM_PROT_READ)
    m.mach_vm_deallocate(address, PAGE)
    refused("KERN_INVALID_ADDRESS", m.mach_vm_region, address)
    assert in_step(mac)


def test_what_is_no_memory_entry_is_refused(mac: Kernel, client: App) -> None:
    m = client.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    refused("KERN_INVALID_OBJECT", mapped, m, port)
    refused("MACH_SEND_INVALID_RIGHT", mapped, m, 0x7703)
    address = m.mach_vm_allocate(PAGE)
    refused("MACH_SEND_INVALID_RIGHT", m.mach_make_memory_entry_64, PAGE, address, 3, 0x7703)
    refused("KERN_INVALID_ADDRESS", m.mach_make_memory_entry_64, PAGE, address + 9 * PAGE, 3)
    zeros = mapped(m, m.MACH_PORT_NULL)
    assert m.load(zeros, 4) == bytes(4)
    assert m.mach_port_get_attributes(port).mps_srights == 1
    assert in_step(mac)


def test_an_entry_made_from_one_may_be_the_same(client: App) -> None:
    m = client.mach
    address = m.mach_vm_allocate(PAGE)
    _, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    again = m.MAP_MEM_NAMED_REUSE | m.VM_PROT_DEFAULT
    size, same = m.mach_make_memory_entry_64(PAGE, address, again, entry)
    assert size == PAGE
    assert same == entry  # one port, one name
    assert m.mach_port_get_refs(entry, m.MACH_PORT_RIGHT_SEND) == 2


def test_the_log_tells_of_memory(mac: Kernel, client: App) -> None:
    m = client.mach
    address = m.mach_vm_allocate(PAGE)
    _, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    here = mapped(m, entry)
    m.mach_vm_deallocate(here, PAGE)
    told = " ".join(str(log(mac)).split())
    for line in (
        "client asks for 16,384 bytes of memory (mach_vm_allocate).",
        f"mach_vm_allocate returns to client: the memory begins at {address:#x}.",
        f"mach_make_memory_entry_64 returns to client: name {entry:#x} stands for 16,384 bytes.",
        f"client maps 16,384 bytes of memory entry {entry:#x} (mach_vm_map).",
    ):
        assert line in told, told


def test_a_touch_is_told_with_what_is_still_to_come(mac: Kernel, client: App) -> None:
    m = client.mach
    address = m.mach_vm_allocate(PAGE)
    before = len(mac.trace)
    m.store(address, b"12345")
    m.store_words(address, bytes(20))
    with pytest.raises(VmFault):
        m.store(address + PAGE, b"x")
    with pytest.raises(VmFault):
        m.store_words(address + PAGE, b"x")
    with pytest.raises(VmFault):
        m.load(address + PAGE, 1)
    told = [event for event in mac.trace.events(before) if event.kind == "touch"]
    assert [event.arguments for event in told] == [
        ("write", address, 5, 0),
        ("write", address, 8, 12),
        ("write", address + 8, 8, 4),
        ("write", address + 16, 4, 0),
        ("write", address + PAGE, 0, 0),
        ("write", address + PAGE, 0, 0),
        ("read", address + PAGE, 0, 0),
    ]
    assert {event.name for event in told} == {str(client.pid)}
    assert in_step(mac)


def test_memory_works_without_a_trace() -> None:
    m = Kernel(trace=False).spawn("quiet").mach
    address = m.mach_vm_allocate(PAGE)
    m.store(address, b"word")
    assert m.load(address, 4) == b"word"
    m.store_words(address, b"two words of it")
    assert m.load(address, 15) == b"two words of it"
    with pytest.raises(VmFault):
        m.load(0x10, 1)


def test_memory_is_the_same_when_nothing_is_recorded() -> None:
    app = Kernel(trace=False).spawn("app")
    m = app.mach
    address = m.mach_vm_allocate(PAGE)
    m.store(address, b"first")
    m.store(address + 1, b"acts")
    assert m.load(address, 6) == b"facts\0"
    with pytest.raises(m.VmFault):
        m.store(address + PAGE, b"beyond")


def test_what_is_no_address_or_size_touches_nothing() -> None:
    mac = Kernel()
    m = mac.spawn("app").mach
    address = m.mach_vm_allocate(PAGE)
    before, steps = mac.snapshot(), len(mac.trace)
    wrong: list[tuple[Any, ...]] = [
        (m.load, address, 1.5),
        (m.load, address, None),
        (m.load, "x", 1),
        (m.store, -1, b"x"),
        (m.store_words, 1 << 64, b"x"),
        (m.store_names, address, [7, -1]),
        (m.store_names, address, ["x"]),
    ]
    for touch, *args in wrong:
        with pytest.raises((TypeError, ValueError)):
            touch(*args)
    with pytest.raises(ValueError, match=r"^names\[1\] is -0x1, and must be 0 to 0xffffffff"):
        m.store_names(address, [7, -1])
    with pytest.raises(TypeError, match=r"^size is 1.5, and must be a whole number"):
        m.load(address, 1.5)
    assert (mac.snapshot(), len(mac.trace)) == (before, steps)


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("end", ["exit", "kill", "reboot", "panic"])
def test_memory_is_not_touched_by_who_is_gone(end: str, recording: bool) -> None:
    mac = Kernel(trace=recording)
    app = mac.spawn("app")
    m = app.mach
    address = m.mach_vm_allocate(PAGE)
    m.store(address, b"here")
    wanted: type[BaseException] = ProcessLookupError
    if end == "reboot":
        mac.reboot()
    elif end == "panic":
        wanted = KernelPanic
        broken = type("Broken", (IOService,), {"start": lambda *_: 1 // 0})
        with pytest.raises(KernelPanic):
            mac.iokit.add_driver(broken)
    else:
        getattr(app, end)()
    before, steps, signals = mac.snapshot(), len(mac.trace), list(app.signals)
    for touch in (m.load, m.store, m.store_words):
        with pytest.raises(wanted):
            touch(address, 4 if touch == m.load else b"late")
    assert mac.snapshot() == before
    assert len(mac.trace) == steps
    assert app.signals == signals


def test_the_trace_keeps_what_was_stored_whatever_becomes_of_the_buffer() -> None:
    mac = Kernel()
    m = mac.spawn("app").mach
    address = m.mach_vm_allocate(PAGE)
    m.store(address, b"here")
    buffer = bytearray(b"kept")
    m.store(address, buffer)
    m.store_words(address + 8, buffer)
    buffer[:] = b"lost"
    assert m.load(address, 12) == b"kept\0\0\0\0kept"
    assert mac.trace.state() == mac.snapshot()
    for data in (4, [1, 2], "text"):
        for write in (m.store, m.store_words):
            with pytest.raises(TypeError):
                write(address, data)
    assert m.load(address, 12) == b"kept\0\0\0\0kept"
