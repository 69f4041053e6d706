"""Machines whose processes use Mach and memory, for scene documents: the same every time."""

from __future__ import annotations

import contextlib
from typing import Any

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.osfmk.vm_fault import VmFault
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from tests.unit.views_machines import client as echo_client

PAGE = 0x4000
SERVICE = "org.kextlab.page"
kept: list[Any] = []  # sockets that must not be closed by the garbage collector


def given(server: App, client: App, entry: int, service: str = SERVICE) -> int:
    """A memory entry goes from server to client in a reply; its name there."""
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(service)
    to = c.bootstrap_look_up(service)
    reply = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, c.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    c.mach_msg(c.Message(bits, to, reply, 1), c.MACH_SEND_MSG)
    asked = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    bits = s.MACH_MSG_TYPE_MOVE_SEND_ONCE | s.MACH_MSGH_BITS_COMPLEX
    carried = [s.PortDescriptor(entry, s.MACH_MSG_TYPE_COPY_SEND)]
    message = s.Message(bits, asked.msgh_remote_port, msgh_id=2, descriptors=carried)
    s.mach_msg(message, s.MACH_SEND_MSG)
    name: int = c.mach_msg(None, c.MACH_RCV_MSG, 4096, reply).descriptors[0].name
    return name


def mapped(app: App, name: int, copy: bool = False) -> int:
    """A window on a memory entry of one page; its address."""
    m = app.mach
    none = m.VM_INHERIT_NONE
    address: int = m.mach_vm_map(0, PAGE, 0, m.VM_FLAGS_ANYWHERE, name, 0, copy, 3, 3, none)
    return address


def page() -> Kernel:
    """A page goes to another process in a message; both write, one has a copy; a torn write, a
    touch that is not allowed."""
    mac = Kernel()
    server, client = mac.spawn("server", uid=0), mac.spawn("client")
    s, c = server.mach, client.mach
    address = s.mach_vm_allocate(PAGE)
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    s.store(address, b"hello")
    name = given(server, client, entry)
    here = mapped(client, name)
    c.store(here, b"HELLO")
    mine = mapped(client, name, copy=True)
    c.store(mine, b"mine!")
    s.store_words(address, b"\2" * 32)
    with contextlib.suppress(VmFault):
        c.store(here + 16 * PAGE, b"x")
    c.mach_port_deallocate(name)
    return mac


def busy() -> Kernel:
    """A full queue, a port set, rights in messages, a dead name, a service without a server."""
    mac = Kernel()
    server, client = mac.spawn("server", uid=0), mac.spawn("client")
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in("org.kextlab.busy")
    pset = s.mach_port_allocate(s.MACH_PORT_RIGHT_PORT_SET)
    s.mach_port_insert_member(port, pset)
    to = c.bootstrap_look_up("org.kextlab.busy")
    c.mach_port_mod_refs(to, c.MACH_PORT_RIGHT_SEND, 2)
    own = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    c.mach_port_insert_right(own, own, c.MACH_MSG_TYPE_MAKE_SEND)
    bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, 0)
    for number in range(5):
        message = c.Message(bits, to, 0, number + 1, bytes(40 * number))
        if number == 2:
            message.msgh_bits |= c.MACH_MSGH_BITS_COMPLEX
            message.descriptors = [c.PortDescriptor(own, c.MACH_MSG_TYPE_COPY_SEND)]
        c.mach_msg(message, c.MACH_SEND_MSG)
    with contextlib.suppress(MachError):
        timed = c.MACH_SEND_MSG | c.MACH_SEND_TIMEOUT
        c.mach_msg(c.Message(bits, to, 0, 9), timed, timeout=0)
    short = s.mach_port_allocate(s.MACH_PORT_RIGHT_RECEIVE)
    s.mach_port_insert_right(short, short, s.MACH_MSG_TYPE_MAKE_SEND)
    s.mach_port_mod_refs(short, s.MACH_PORT_RIGHT_RECEIVE, -1)
    server.exit()
    return mac


def both() -> Kernel:
    """The page, and beside it two clients of an echo kext, of which one is the server."""
    mac = page()
    mac.load(EchoKext)
    for name in ("echoer", "broker"):
        s = echo_client(mac, name)
        s.send(bytes(700))
        kept.append(s)
    return mac


def crowd(ports: int = 14, processes: int = 6) -> Kernel:
    """More ports, processes and memory than are drawn one by one."""
    mac = Kernel()
    apps = [mac.spawn(f"app{at}") for at in range(processes)]
    for at in range(ports):
        m = apps[at % processes].mach
        name = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
        m.mach_port_insert_right(name, name, m.MACH_MSG_TYPE_MAKE_SEND)
        if at % 2:
            bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
            m.mach_msg(m.Message(bits, name, 0, at), m.MACH_SEND_MSG)
    for at in range(6):
        m = apps[at % processes].mach
        m.store(m.mach_vm_allocate(PAGE * (at + 1)), bytes([65 + at]) * 5)
    return mac
