"""A server with a Mach port and its client, for the questions about them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from kextlab.abi import mach
from kextlab.course.questions.bench import App, Kernel
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError

SERVICE = "org.kextlab.service"
NOW = mach.MACH_SEND_MSG | mach.MACH_SEND_TIMEOUT
"""A send that never waits."""


class Pair:
    """A server with a port and a client with one reference to a send right to it."""

    def __init__(self, register: bool = False) -> None:
        self.mac = Kernel()
        self.server: App = self.mac.spawn("server", uid=0)
        self.client: App = self.mac.spawn("client")
        self.s: ModuleType = self.server.mach
        self.c: ModuleType = self.client.mach
        self.port: int
        if register:  # a port that dies with its server
            self.port = new_port(self.s)
            self.s.mach_port_insert_right(self.port, self.port, mach.MACH_MSG_TYPE_MAKE_SEND)
            self.s.bootstrap_register(SERVICE, self.port)
        else:
            self.port = self.s.bootstrap_check_in(SERVICE)
        self.to: int = self.c.bootstrap_look_up(SERVICE)

    def refs(self) -> int:
        """The client's references to its send right; 0 if the name is gone."""
        return refs_of(self.c, self.to, mach.MACH_PORT_RIGHT_SEND)

    def rights(self, app: App) -> int:
        """How many names a process has."""
        return sum(name.startswith(f"right:{app.pid}:") for name in self.mac.snapshot())


def new_port(m: ModuleType) -> int:
    """A new port; the name of its receive right."""
    name: int = m.mach_port_allocate(mach.MACH_PORT_RIGHT_RECEIVE)
    return name


def refs_of(m: ModuleType, name: int, right: int) -> int:
    """The references of a right, 0 if there is no such name."""
    try:
        found: int = m.mach_port_get_refs(name, right)
    except MachError:
        return 0
    return found


def send(m: ModuleType, to: int, how: int, body: bytes = b"word", **more: Any) -> str:
    """Sends and never waits; the code as a word. ``reply``, ``reply_how``: a right to reply by."""
    bits = how | more.get("reply_how", 0) << 8
    message = Message(bits, to, more.get("reply", 0), more.get("ident", 1), body)
    try:
        m.mach_msg(message, NOW)
    except MachError as error:
        return error.name
    return "KERN_SUCCESS"


def received(m: ModuleType, port: int) -> Message | None:
    """The next message of a port, None if there is none."""
    try:
        found: Message = m.mach_msg(None, mach.MACH_RCV_MSG | mach.MACH_RCV_TIMEOUT, 4096, port)
    except MachError:
        return None
    return found


def count(n: int, what: str) -> str:
    """A number and its word: "1 name", "2 names"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def said_by(error: MachError) -> str:
    """A refusal at the end of a sentence."""
    return f"{error.call} answers {error.name}"
