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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from kextlab.abi.mach import MACH_MSG_TYPE_PORT_NONE, MACH_PORT_QLIMIT_DEFAULT
from kextlab.abi.mach_messages import KERNEL_AUDIT_TOKEN, AuditToken
from kextlab.osfmk.traced import Numbered, Plain, Receiver, Slot
from kextlab.trace.codes import DELETE, KMSG_FIELDS, KMSG_QUEUE, KMSG_TAKE, Entry
from kextlab.trace.log import Record


class _Dead(Plain):
    """IP_DEAD: what stands where a port was."""

    __slots__ = ()
    object_name: Final = "IP_DEAD"

    def plain(self) -> str:
        """Its name."""
        return repr(self)

    def __repr__(self) -> str:
        return self.object_name


IP_NULL: Final = None
IP_DEAD: Final = _Dead()


class Request(Plain):
    """A dead-name or send-possible request on a port: who asked, under which name, whom to tell."""

    __slots__ = ("armed", "name", "send_possible", "soright")

    def __init__(self, name: int, soright: Port, send_possible: bool, armed: bool) -> None:
        self.name = name
        self.soright = soright
        self.send_possible = send_possible
        self.armed = armed

    def plain(self) -> tuple[object, ...]:
        """The name, whom to tell, and how."""
        return (self.name, self.soright.object_name, self.send_possible, self.armed)


class Kobject(Protocol):
    """What a port may stand for inside the kernel."""

    def no_senders(self, port: Port) -> None:
        """The last send right to its port has gone (``ipc_kobject_notify_no_senders``). In the
        middle of a call: what is more than a matter of this object goes to ``Ports.later``."""


class Port(Numbered):
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
        kmsg.number = ipc.posted = ipc.posted + 1
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
        self._msgcount = count = self._msgcount - 1
        self._seqno = seqno = self._seqno + 1
        if ipc.record is not None:
            ipc.record((KMSG_TAKE, kmsg.number, self.object_name, count, seqno))
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


class PortSet(Numbered):
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
    descriptors: Sequence[Carried] = ()
    complex: bool = False
    size: int = 0
    """Bytes in user space, without trailer."""
    circular: bool = False
    notification: bool = False
    """Sent by the kernel."""
    audit: AuditToken = KERNEL_AUDIT_TOKEN
    """Who sent it, as of then (``msgh_audit``)."""
    number: int = 0
    """In the trace; messages are numbered as they are queued, from 1."""

    def queued(self, msgcount: int) -> Entry:
        """What the trace is told when it is queued, as so many-th message of its port."""
        port, local, carried = self.remote, self.local, self.descriptors
        return (
            KMSG_QUEUE,
            self.number,
            msgcount,
            None if port is None else port.object_name,
            self.remote_type,
            None if local is None else local.object_name,
            self.local_type,
            self.id,
            self.size,
            self.body,
            tuple([one.state() for one in carried]) if carried else (),
            self.notification,
            self.audit,
        )

    @property
    def object_name(self) -> str:
        """Its name in the trace."""
        return f"kmsg:{self.number}"

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
        del self.objects[one.object_name]
        one.leave()
        self.wakeup(one.object_name)

    def cleared(self, kmsg: Kmsg) -> None:
        """A message is taken out of the queue of a port that dies."""
        if self.record is not None:
            self.record((DELETE, kmsg.object_name))
