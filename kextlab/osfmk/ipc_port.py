"""Ports, port sets and the messages in their queues.

Models ``struct ipc_port``, ``struct ipc_pset``, the ``struct ipc_mqueue`` in each, and
``struct ipc_kmsg``, a message with ports where user space has names. Read beside
it: ``osfmk/ipc/ipc_port.c`` (``ipc_port_request_alloc``, ``ipc_port_request_grow``),
``ipc_pset.c``, ``ipc_mqueue.c`` (``ipc_mqueue_post``, ``ipc_mqueue_select_on_thread``).

Left out: threads that wait (every call has a time-out of 0), turnstiles, importance, contexts and
guards of a port, kernel objects.

In doubt: in which order a port set hands out the messages of three and more members; here it is the
order in which their queues became non-empty.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kextlab.abi.mach import MACH_MSG_TYPE_PORT_NONE, MACH_PORT_NULL, MACH_PORT_QLIMIT_DEFAULT


class _Dead:
    """IP_DEAD: what stands where a port was."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "IP_DEAD"


IP_NULL: Final = None
IP_DEAD: Final = _Dead()


class Receiver:
    """Whoever can hold a receive right: a space."""

    __slots__ = ()


class Request:
    """A dead-name or send-possible request on a port: who asked, under which name, whom to tell."""

    __slots__ = ("armed", "name", "send_possible", "soright")

    def __init__(self, name: int, soright: Port, send_possible: bool, armed: bool) -> None:
        self.name = name
        self.soright = soright
        self.send_possible = send_possible
        self.armed = armed


class Port:
    """A port: one queue, one receive right, counted send and send-once rights."""

    __slots__ = (
        "active",
        "destination",
        "free",
        "messages",
        "mscount",
        "msgcount",
        "nsrequest",
        "pdrequest",
        "pset_count",
        "qlimit",
        "receiver",
        "receiver_name",
        "requests",
        "seqno",
        "sets",
        "sorights",
        "sprequests",
        "srights",
    )

    def __init__(self, receiver: Receiver | None = None, name: int = MACH_PORT_NULL) -> None:
        self.active = True
        self.receiver = receiver
        """The space that holds the receive right; ``None`` while that is in a message."""
        self.receiver_name = name
        self.destination: Port | None = None
        """The port to which the message goes that carries the receive right."""
        self.mscount = 0
        """Send rights made since the receive right came here."""
        self.srights = 0
        self.sorights = 0
        self.nsrequest: Port | None = None
        self.pdrequest: Port | None = None
        self.requests: list[Request | None] = []
        """By index from 1; the place 0 is the table's head."""
        self.free: list[int] = []
        self.sprequests = False
        self.messages: deque[Kmsg] = deque()
        self.msgcount = 0
        self.qlimit = MACH_PORT_QLIMIT_DEFAULT
        self.seqno = 0
        self.sets: list[PortSet] = []
        self.pset_count = 0
        """Sets it was put into and not taken out of; a set that is destroyed still counts."""

    @property
    def full(self) -> bool:
        """Whether the queue takes no more messages to a send right."""
        return self.msgcount >= self.qlimit

    # -- rights ------------------------------------------------------------------------

    def make_send(self) -> None:
        """``ipc_port_make_send``."""
        self.mscount += 1
        self.srights += 1

    def take_nsrequest(self) -> tuple[Port, int] | None:
        """Whom to tell that the last send right has gone, and the make-send count to tell."""
        if self.nsrequest is None:
            return None
        told, self.nsrequest = self.nsrequest, None
        return told, self.mscount

    def lose_send(self) -> tuple[Port, int] | None:
        """One send right less; whom to tell if it was the last."""
        self.srights -= 1
        return self.take_nsrequest() if self.srights == 0 else None

    # -- requests ----------------------------------------------------------------------

    def request_alloc(self, name: int, soright: Port, send_possible: bool, armed: bool) -> int:
        """Keep a request; its index.

        The table doubles when it is full, and its new places are taken from the last to the first:
        that is the order in which notifications come.
        """
        if not self.free:
            size = max(1, len(self.requests))
            self.requests += [None] * (2 * size - len(self.requests))
            self.free.extend(range(size, 2 * size))
        index = self.free.pop()
        armed = send_possible and armed
        self.requests[index] = Request(name, soright, send_possible, armed)
        self.sprequests = self.sprequests or armed
        return index

    def request(self, index: int, name: int) -> Request | None:
        """The request of that name at an index, if it is still there."""
        found = self.requests[index] if index else None
        return found if found is not None and found.name == name else None

    def request_cancel(self, index: int, name: int) -> Port | None:
        """Forget a request; the send-once right that was to be told."""
        found = self.request(index, name)
        if found is None:
            return IP_NULL
        self.requests[index] = None
        self.free.append(index)
        return found.soright

    # -- the queue ---------------------------------------------------------------------

    def post(self, kmsg: Kmsg) -> None:
        """Queue a message, and tell the sets of it (``ipc_mqueue_post``)."""
        self.messages.append(kmsg)
        self.msgcount += 1
        for pset in self.sets:
            pset.prepost(self)

    def take(self) -> Kmsg:
        """Take the first message from the queue (``ipc_mqueue_release_msgcount``)."""
        kmsg = self.messages.popleft()
        self.msgcount -= 1
        self.seqno += 1
        if not self.messages:
            for pset in self.sets:
                pset.preposts.remove(self)
        return kmsg

    def leave_sets(self) -> None:
        """``ipc_pset_remove_from_all``."""
        for pset in list(self.sets):
            pset.unlink(self)
        self.pset_count = 0


class PortSet:
    """A port set: ports whose messages are received together."""

    __slots__ = ("members", "preposts")

    def __init__(self) -> None:
        self.members: list[Port] = []
        self.preposts: list[Port] = []
        """The members with messages."""

    def prepost(self, port: Port) -> None:
        """That member has a message."""
        if port not in self.preposts:
            self.preposts.append(port)

    def link(self, port: Port) -> bool:
        """Make the port a member (``ipc_pset_add``). False: it is one."""
        if self in port.sets:
            return False
        port.sets.append(self)
        port.pset_count += 1
        self.members.append(port)
        if port.messages:
            self.prepost(port)
        return True

    def unlink(self, port: Port) -> None:
        """The port is no member any more."""
        port.sets.remove(self)
        self.members.remove(port)
        if port in self.preposts:
            self.preposts.remove(port)

    def destroy(self) -> None:
        """``ipc_pset_destroy``: the members stay, and go on counting the set."""
        for port in list(self.members):
            self.unlink(port)


Object: TypeAlias = Port | _Dead | None
"""What a right in a message leads to: a port, IP_DEAD or IP_NULL."""


@dataclass(slots=True)
class Kmsg:
    """A message in the kernel."""

    remote: Object
    """The destination; to its receiver the port it came in at."""
    remote_type: int
    local: Object = None
    local_type: int = MACH_MSG_TYPE_PORT_NONE
    id: int = 0
    body: bytes = b""
    descriptors: list[tuple[Object, int]] = field(default_factory=list)
    """Ports carried, and what right to each."""
    complex: bool = False
    size: int = 0
    """Bytes in user space, without trailer."""
    circular: bool = False
    notification: bool = False
    """Sent by the kernel."""
