"""Ports, port sets and the messages in their queues.

Models ``struct ipc_port``, ``struct ipc_pset``, the ``struct ipc_mqueue`` in each, and
``struct ipc_kmsg``, a message with ports where user space has names. Read beside it:
``osfmk/ipc/ipc_port.c`` (``ipc_port_request_alloc``, ``ipc_port_request_grow``), ``ipc_pset.c``,
``ipc_mqueue.c`` (``ipc_mqueue_post``, ``ipc_mqueue_select_on_thread``).

Left out: turnstiles, importance, contexts and guards of a port.

In doubt: in which order a port set hands out the messages of three and more members; here it is the
order in which their queues became non-empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol, TypeAlias, TypeVar

from kextlab.abi.mach import MACH_MSG_TYPE_PORT_NONE, MACH_PORT_QLIMIT_DEFAULT
from kextlab.abi.mach_messages import KERNEL_AUDIT_TOKEN, AuditToken
from kextlab.trace.codes import DELETE, KMSG_FIELDS, KMSG_QUEUE, KMSG_TAKE, SET, Entry, new
from kextlab.trace.log import Record


class _Dead:
    """IP_DEAD: what stands where a port was."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "IP_DEAD"


IP_NULL: Final = None
IP_DEAD: Final = _Dead()


T = TypeVar("T")


class Slot(Protocol[T]):
    """A traced field for who tells the trace of its changes by an entry of another kind."""

    def __get__(self, one: Traced, owner: type[Traced] | None = None) -> T: ...

    def __set__(self, one: Traced, value: T) -> None: ...


class Traced:
    """Something of Mach IPC whose fields the trace follows: ``record`` is told of every change of a
    field in ``TRACED`` between ``adopt`` and ``leave``. Under its name with an underscore a field
    can be set without that (``Slot``)."""

    __slots__ = ("object_name", "record")
    TRACED: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        for name in cls.TRACED:
            slot = cls.__dict__[name]
            setattr(cls, f"_{name}", slot)
            setattr(cls, name, property(attrgetter(f"_{name}"), _told(name, slot)))

    def __init__(self) -> None:
        self.object_name = ""
        self.record: Record | None = None

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
        return {name: plain(getattr(self, name)) for name in self.TRACED}


def _told(field: str, slot: Slot[object]) -> Callable[[Traced, object], None]:
    """What sets a field and tells the trace."""

    def change(one: Traced, value: object) -> None:
        slot.__set__(one, value)
        if one.record is not None:
            one.record((SET, one.object_name, field, plain(value)))

    return change


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

    def no_senders(self, port: Port) -> None:
        """The last send right to its port has gone (``ipc_kobject_notify_no_senders``). In the
        middle of a call: what is more than a matter of this object goes to ``Ports.later``."""


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

    TRACED = (
        *("destination", "mscount", "msgcount", "nsrequest", "pdrequest", "pset_count", "qlimit"),
        *("receiver", "receiver_name", "requests", "seqno", "sorights", "srights"),
    )
    _msgcount: Slot[int]
    _qlimit: Slot[int]
    _seqno: Slot[int]
    _sorights: Slot[int]
    _srights: Slot[int]

    def __init__(
        self, ipc: Ports, receiver: Receiver, name: int, kobject: Kobject | None = None
    ) -> None:
        super().__init__()
        self.ipc = ipc
        self.kobject = kobject
        """What the kernel lets whoever has a send right reach by it."""
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
            self.kobject.no_senders(self)
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
        ipc = self.ipc
        self.messages.append(kmsg)
        ipc.posted += 1
        kmsg.object_name = name = f"kmsg:{ipc.posted}"
        ipc.messages[name] = kmsg
        self._msgcount = count = self._msgcount + 1
        if ipc.record is not None:
            ipc.record(kmsg.queued(count))
        if ipc.waiting:
            ipc.wakeup(self.object_name)
        if self.sets:
            for pset in self.sets:
                pset.prepost(self)
                ipc.wakeup(pset.object_name)

    def take(self) -> Kmsg:
        """Take the first message from the queue (``ipc_mqueue_release_msgcount``)."""
        ipc = self.ipc
        kmsg = self.messages.popleft()
        name = kmsg.object_name
        del ipc.messages[name]
        self._msgcount = count = self._msgcount - 1
        self._seqno = seqno = self._seqno + 1
        if ipc.record is not None:
            ipc.record((KMSG_TAKE, name, self.object_name, count, seqno))
        if ipc.waiting:
            ipc.wakeup(self.room)
        if not count:
            for pset in self.sets:
                pset.preposts.remove(self)
        return kmsg

    def clear(self) -> list[Kmsg]:
        """Take all messages at once: the port dies."""
        taken = list(self.messages)
        self.messages.clear()
        for kmsg in taken:
            self.ipc.cleared(kmsg)
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
    TRACED = ("members",)

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
    object_name: str = ""
    """In the trace; messages are numbered as they are queued, from 1."""

    def queued(self, msgcount: int) -> Entry:
        """What the trace is told when it is queued, as so many-th message of its port."""
        port, local = self.remote, self.local
        return (
            KMSG_QUEUE,
            self.object_name,
            msgcount,
            port.object_name if isinstance(port, Port) else plain(port),
            self.remote_type,
            local.object_name if isinstance(local, Port) else plain(local),
            self.local_type,
            self.id,
            self.size,
            self.body,
            tuple([one.state() for one in self.descriptors]),
            self.notification,
            self.audit,
        )

    def state(self) -> dict[str, object]:
        """The message as plain values, as the trace keeps it while it is queued."""
        return dict(zip(KMSG_FIELDS, self.queued(0)[3:], strict=True))


NOBODY: Final[Mapping[str, object]] = {}


def never(_: str) -> None:
    """Nobody waits."""


class Ports:
    """What all ports of one kernel share: their numbers, the trace, who waits for them.

    Args:
        record: what is told of changes (``None``: nothing is recorded).
        wakeup: wakes those who sleep on a channel: a port's or set's ``object_name``, a port's
            ``room``.
        waiting: who sleeps, by channel; while it is empty there is nobody to be woken.
    """

    def __init__(
        self,
        record: Record | None = None,
        wakeup: Callable[[str], None] = never,
        waiting: Mapping[str, object] = NOBODY,
    ) -> None:
        self.record = record
        self.wakeup = wakeup
        self.waiting = waiting
        self.objects: dict[str, Port | PortSet] = {}
        self.messages: dict[str, Kmsg] = {}
        """The messages in queues, by their names in the trace."""
        self.posted = 0
        """The number of the last message that was queued."""
        self.kernel = Receiver()
        """Who receives from the ports of kernel objects (``ipc_space_kernel``)."""
        self.kernel.object_name = "kernel"
        self.later: deque[Callable[[], None]] = deque()
        """What kernel objects do about a last send right once the call is through that took it."""
        self._ports = self._psets = 0

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

    def cleared(self, kmsg: Kmsg) -> None:
        """A message is taken out of the queue of a port that dies."""
        del self.messages[kmsg.object_name]
        if self.record is not None:
            self.record((DELETE, kmsg.object_name))
