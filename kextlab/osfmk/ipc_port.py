"""Ports, port sets and the messages in their queues.

Models ``struct ipc_port``, ``struct ipc_pset``, the ``struct ipc_mqueue`` in each, and
``struct ipc_kmsg``, a message with ports where user space has names. Read beside it:
``osfmk/ipc/ipc_port.c`` (``ipc_port_request_alloc``, ``ipc_port_request_grow``), ``ipc_pset.c``,
``ipc_mqueue.c`` (``ipc_mqueue_post``, ``ipc_mqueue_select_on_thread``).

Left out: turnstiles, importance, contexts and guards of a port, kernel objects.

In doubt: in which order a port set hands out the messages of three and more members; here it is the
order in which their queues became non-empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from kextlab.abi.mach import MACH_MSG_TYPE_PORT_NONE, MACH_PORT_QLIMIT_DEFAULT
from kextlab.abi.mach_messages import KERNEL_AUDIT_TOKEN, AuditToken
from kextlab.trace.codes import DELETE, SET, new
from kextlab.trace.log import Record


class _Dead:
    """IP_DEAD: what stands where a port was."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "IP_DEAD"


IP_NULL: Final = None
IP_DEAD: Final = _Dead()


_set = object.__setattr__


class Traced:
    """Something of Mach IPC whose fields the trace follows: ``record`` is told of every change of a
    field in ``TRACED`` between ``adopt`` and ``leave``."""

    __slots__ = ("object_name", "record")
    TRACED: frozenset[str] = frozenset()
    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(sorted(cls.TRACED))

    def __init__(self) -> None:
        _set(self, "record", None)
        self.object_name = ""

    def __setattr__(self, field: str, value: object) -> None:
        _set(self, field, value)
        record = self.record
        if record is not None and field in self.TRACED:
            if value.__class__ is not int:
                value = plain(value)
            record((SET, self.object_name, field, value))

    record: Record | None

    def adopt(self, name: str, record: Record | None) -> None:
        """It is an object of the trace from now on."""
        self.object_name = name
        if record is not None:
            record(new(name, self.state()))
        self.record = record

    def leave(self) -> None:
        """It is no object of the trace any more."""
        if self.record is not None:
            self.record((DELETE, self.object_name))
        self.record = None

    def state(self) -> dict[str, object]:
        """Its fields as plain values, as the trace adds them up."""
        return {field: plain(getattr(self, field)) for field in self._fields}


def plain(value: object) -> object:
    """A value of a traced field: an object of the trace by its name, a list as a tuple."""
    if value is None or value.__class__ is int:
        return value
    if isinstance(value, Traced | Receiver):
        return value.object_name
    if isinstance(value, Request):
        return (value.name, value.soright.object_name, value.send_possible, value.armed)
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return repr(value) if value is IP_DEAD else value


class Receiver:
    """Whoever can hold a receive right: a space. ``object_name`` names its process."""

    __slots__ = ("object_name",)
    object_name: str


class Request:
    """A dead-name or send-possible request on a port: who asked, under which name, whom to tell."""

    __slots__ = ("armed", "name", "send_possible", "soright")

    def __init__(self, name: int, soright: Port, send_possible: bool, armed: bool) -> None:
        self.name = name
        self.soright = soright
        self.send_possible = send_possible
        self.armed = armed


class Kobject(Protocol):
    """What a port may stand for inside the kernel."""

    def release(self) -> object:
        """One reference less."""


class Port(Traced):
    """A port: one queue, one receive right, counted send and send-once rights."""

    __slots__ = (
        "active",
        "destination",
        "free",
        "ipc",
        "kobject",
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

    TRACED = frozenset(
        {
            *("receiver", "receiver_name", "destination", "mscount", "srights", "sorights"),
            *("nsrequest", "pdrequest", "requests", "msgcount", "qlimit", "seqno", "pset_count"),
        }
    )

    def __init__(
        self, ipc: Ports, receiver: Receiver, name: int, kobject: Kobject | None = None
    ) -> None:
        super().__init__()
        self.ipc = ipc
        self.kobject = kobject
        """What the kernel lets whoever has a send right reach by it; it goes with the last one."""
        self.active = True
        self.receiver: Receiver | None = receiver
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
        ipc.adopt(self)

    @property
    def room(self) -> str:
        """The channel of those who wait for room in the queue."""
        return f"{self.object_name}:room"

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
        if self.srights:
            return None
        if self.kobject is not None:
            gone, self.kobject = self.kobject, None
            self.active = False
            self.ipc.dismiss(self)
            gone.release()
        return self.take_nsrequest()

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
        self.requests = self.requests  # the trace is told
        return index

    def arm(self, request: Request) -> None:
        """Tell of room in the queue, the next time there is some (``ipc_port_request_sparm``)."""
        request.armed = self.sprequests = True
        self.requests = self.requests

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
        self.requests = self.requests
        return found.soright

    # -- the queue ---------------------------------------------------------------------

    def post(self, kmsg: Kmsg) -> None:
        """Queue a message, and tell the sets of it (``ipc_mqueue_post``)."""
        self.messages.append(kmsg)
        self.ipc.queued(kmsg)
        self.msgcount += 1
        self.ipc.wakeup(self.object_name)
        for pset in self.sets:
            pset.prepost(self)
            self.ipc.wakeup(pset.object_name)

    def take(self) -> Kmsg:
        """Take the first message from the queue (``ipc_mqueue_release_msgcount``)."""
        kmsg = self.messages.popleft()
        self.ipc.unqueued(kmsg)
        self.msgcount -= 1
        self.seqno += 1
        self.ipc.wakeup(self.room)
        if not self.messages:
            for pset in self.sets:
                pset.preposts.remove(self)
        return kmsg

    def clear(self) -> list[Kmsg]:
        """Take all messages at once: the port dies."""
        taken = list(self.messages)
        self.messages.clear()
        for kmsg in taken:
            self.ipc.unqueued(kmsg)
        self.msgcount = 0
        return taken

    def leave_sets(self) -> None:
        """``ipc_pset_remove_from_all``."""
        for pset in list(self.sets):
            pset.unlink(self)
        self.pset_count = 0


class PortSet(Traced):
    """A port set: ports whose messages are received together."""

    __slots__ = ("ipc", "members", "preposts")
    TRACED = frozenset({"members"})

    def __init__(self, ipc: Ports) -> None:
        super().__init__()
        self.ipc = ipc
        self.members: list[Port] = []
        self.preposts: list[Port] = []
        """The members with messages."""
        ipc.adopt(self)

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
        self.members = [*self.members, port]
        if port.messages:
            self.prepost(port)
            self.ipc.wakeup(self.object_name)
        return True

    def unlink(self, port: Port) -> None:
        """The port is no member any more."""
        port.sets.remove(self)
        self.members = [one for one in self.members if one is not port]
        if port in self.preposts:
            self.preposts.remove(port)

    def destroy(self) -> None:
        """``ipc_pset_destroy``: the members stay, and go on counting the set."""
        for port in list(self.members):
            self.unlink(port)
        self.ipc.dismiss(self)


Object: TypeAlias = Port | _Dead | None
"""What a right in a message leads to: a port, IP_DEAD or IP_NULL."""


class Carried(Protocol):
    """What a message carries besides bytes: rights, all with one disposition, or memory."""

    rights: list[Object]
    disposition: int

    def state(self) -> tuple[object, ...]:
        """It as plain values, for the trace."""

    def free(self) -> None:
        """The memory nobody will get goes; the rights are the caller's matter."""


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
    descriptors: list[Carried] = field(default_factory=list)
    complex: bool = False
    size: int = 0
    """Bytes in user space, without trailer."""
    circular: bool = False
    notification: bool = False
    """Sent by the kernel."""
    audit: AuditToken = KERNEL_AUDIT_TOKEN
    """Who sent it, as of then (``msgh_audit``)."""
    number: int = 0
    """Among the messages that were queued, from 1."""

    def state(self) -> dict[str, object]:
        """The message as plain values, as the trace keeps it while it is queued."""
        return {
            "port": plain(self.remote),
            "remote_type": self.remote_type,
            "local": plain(self.local),
            "local_type": self.local_type,
            "id": self.id,
            "size": self.size,
            "body": self.body,
            "descriptors": tuple(one.state() for one in self.descriptors),
            "notification": self.notification,
            "audit": self.audit,
        }


def _never(_: str) -> None:
    """Nobody waits."""


class Ports:
    """What all ports of one kernel share: their numbers, the trace, who waits for them.

    Args:
        record: what is told of changes (``None``: nothing is recorded).
        wakeup: wakes those who sleep on a channel: a port's or set's ``object_name``, a port's
            ``room``.
    """

    def __init__(
        self, record: Record | None = None, wakeup: Callable[[str], None] = _never
    ) -> None:
        self.record = record
        self.wakeup = wakeup
        self.objects: dict[str, Port | PortSet] = {}
        self.messages: dict[int, Kmsg] = {}
        """The messages in queues, by number."""
        self._ports = self._psets = self._messages = 0

    def adopt(self, one: Port | PortSet) -> None:
        """Give a new port or set its number."""
        if isinstance(one, Port):
            self._ports += 1
            name = f"port:{self._ports}"
        else:
            self._psets += 1
            name = f"pset:{self._psets}"
        self.objects[name] = one
        one.adopt(name, self.record)

    def dismiss(self, one: Port | PortSet) -> None:
        """A port died, a set was destroyed; whoever waits for it is woken."""
        one.leave()
        del self.objects[one.object_name]
        self.wakeup(one.object_name)

    def queued(self, kmsg: Kmsg) -> None:
        """A message stands in a queue."""
        self._messages += 1
        kmsg.number = self._messages
        self.messages[kmsg.number] = kmsg
        if self.record is not None:
            self.record(new(f"kmsg:{kmsg.number}", kmsg.state()))

    def unqueued(self, kmsg: Kmsg) -> None:
        """It does no more."""
        del self.messages[kmsg.number]
        if self.record is not None:
            self.record((DELETE, f"kmsg:{kmsg.number}"))
