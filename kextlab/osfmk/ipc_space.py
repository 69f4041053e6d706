"""Spaces: the names a task has, and what stands behind each.

Models ``struct ipc_space``, ``struct ipc_entry`` and the reverse hash of send rights. Read beside
it: ``osfmk/ipc/ipc_entry.c``, ``ipc_space.c``, ``ipc_hash.c``.

Left out: the table's growth (``ipc_entry_grow_table``) and the random order in which macOS hands
out free names; here the name freed last comes first, with the next generation, as in XNU's own
free list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from kextlab.abi.mach import (
    KERN_FAILURE,
    KERN_INVALID_NAME,
    KERN_INVALID_VALUE,
    KERN_SUCCESS,
    MACH_PORT_TYPE_DEAD_NAME,
    MACH_PORT_UREFS_MAX,
)
from kextlab.osfmk.ipc_port import (
    NOBODY,
    Kmsg,
    Port,
    Ports,
    PortSet,
    never,
)
from kextlab.osfmk.traced import Receiver, Slot, Traced
from kextlab.trace.codes import RIGHT_FIELDS, RIGHT_FREE, RIGHT_NEW, right
from kextlab.trace.log import Record

FIRST_GENERATION = 3
NEXT_GENERATION = 4
GENERATIONS = 0x100


class Ipc(Ports):
    """What all spaces of one kernel share."""

    def __init__(
        self,
        record: Record | None = None,
        wakeup: Callable[[str], None] = never,
        waiting: Mapping[str, object] = NOBODY,
    ) -> None:
        super().__init__(record, wakeup, waiting)
        self.delayed: deque[Kmsg] = deque()
        """Messages to be destroyed, in order; a destroyed message may destroy others."""
        self.reaping = False
        self.guards: list[tuple[int, str]] = []
        """Port guard exceptions since they were last taken: name and kind."""

    def state(self) -> dict[str, dict[str, object]]:
        """Ports, sets and queued messages, by their names in the trace."""
        found = {name: one.state() for name, one in self.objects.items()}
        for port in list(self.objects.values()):
            if isinstance(port, Port):
                found |= {kmsg.object_name: kmsg.state() for kmsg in port.messages}
        return found

    def guard(self, name: int, kind: str) -> None:
        """``mach_port_guard_exception``: an exception which by default kills nothing."""
        self.guards.append((name, kind))


class Entry(Traced):
    """What a name stands for: the type of right, the object, user references."""

    __slots__ = ("ex_receive", "name", "object", "pid", "request", "type", "urefs")
    TRACED = RIGHT_FIELDS
    type: int
    urefs: int
    object: Port | PortSet | None
    _object: Slot[Port | PortSet | None]
    _type: Slot[int]
    _urefs: Slot[int]

    def __init__(
        self,
        pid: int,
        name: int,
        kind: int,
        urefs: int,
        thing: Port | PortSet | None,
        record: Record | None,
    ) -> None:
        self.pid = pid
        self.name = name
        self._type = kind
        self._urefs = urefs
        self._object = thing
        self.request = 0
        """Index of a notification request at the port; 0: none."""
        self.ex_receive = False
        """The name had the receive right once (MACH_PORT_TYPE_EX_RECEIVE)."""
        self.record = record

    @property
    def object_name(self) -> str:
        """Its name in the trace."""
        return right(self.pid, self.name)

    @property
    def port(self) -> Port:
        """The port of an entry that holds a right to one."""
        return self.object  # type: ignore[return-value]

    def add_ref(self) -> None:
        """One user reference more; at their most they stay."""
        if self.urefs < MACH_PORT_UREFS_MAX:
            self.urefs += 1

    def drop_refs(self, many: int = 1) -> None:
        """User references less; those at their most stay."""
        if self.urefs < MACH_PORT_UREFS_MAX:
            self.urefs -= many

    def died(self) -> None:
        """The right is a dead name now. A request that waited adds a reference, for the name in
        its notification."""
        self.type = MACH_PORT_TYPE_DEAD_NAME
        if self.request:
            self.add_ref()
        self.request = 0
        self.object = None


def entry_name_fault(name: int) -> int:
    """What ``ipc_entry_alloc_name`` says of a name a task has made up: KERN_INVALID_VALUE (its two
    low bits are not set, as those of every name are), KERN_FAILURE (it has no index, which is what
    stands above its low 8 bits)."""
    if name & FIRST_GENERATION != FIRST_GENERATION:
        return KERN_INVALID_VALUE
    return KERN_SUCCESS if name >> 8 else KERN_FAILURE


class Space(Receiver):
    """The names of one task, which belongs to a process."""

    __slots__ = ("active", "entries", "freed", "highest", "ipc", "pid", "sends")

    def __init__(self, ipc: Ipc, pid: int = 0) -> None:
        self.ipc = ipc
        self.pid = pid
        self.object_name = f"proc:{pid}"
        self.active = True
        self.entries: dict[int, Entry] = {}
        self.sends: dict[Port, int] = {}
        """The name of a plain send right, by port: a task has one name for all of them."""
        self.freed: list[int] = []
        self.highest = 0

    def alloc(self) -> int:
        """A name nobody uses (``ipc_entry_get``)."""
        freed = self.freed
        while freed:
            name = freed.pop()
            if name not in self.entries:
                return name
        while True:
            self.highest += 1
            name = self.highest << 8 | FIRST_GENERATION
            if name not in self.entries:
                return name

    def enter(self, name: int, kind: int, urefs: int, thing: Port | PortSet | None) -> Entry:
        """A name nobody uses stands for something from now on."""
        pid, record = self.pid, self.ipc.record
        self.entries[name] = entry = Entry(pid, name, kind, urefs, thing, record)
        if record is not None:
            known = None if thing is None else thing.object_name
            record((RIGHT_NEW, pid, name, known, kind, urefs))
        return entry

    def dealloc(self, name: int) -> None:
        """Nobody uses the name any more; it comes again with another generation."""
        entry = self.entries.pop(name)
        if entry.record is not None:
            entry.record((RIGHT_FREE, self.pid, name))
            entry.record = None
        self.freed.append(name & ~0xFF | (name + NEXT_GENERATION) % GENERATIONS)

    def lookup(self, name: int) -> tuple[int, Entry | None]:
        """The entry of a name, or KERN_INVALID_NAME."""
        entry = self.entries.get(name)
        return (KERN_SUCCESS, entry) if entry is not None else (KERN_INVALID_NAME, None)

    def reverse(self, port: Port) -> int | None:
        """The name of a receive or send right to an active port (``ipc_right_reverse``)."""
        if not port.active:
            return None
        if port.receiver is self:
            return port.receiver_name
        return self.sends.get(port)

    def state(self) -> dict[str, dict[str, object]]:
        """The rights of the space, by their names in the trace."""
        return {entry.object_name: entry.state() for entry in self.entries.values()}
