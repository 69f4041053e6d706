"""Spaces: the names a task has, and what stands behind each.

Models ``struct ipc_space``, ``struct ipc_entry`` and the reverse hash of send rights. Read beside
it: ``osfmk/ipc/ipc_entry.c``, ``ipc_space.c``, ``ipc_hash.c``.

Left out: the table's growth (``ipc_entry_grow_table``) and the random order in which macOS hands
out free names; here the name freed last comes first, with the next generation, as in XNU's own
free list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kextlab.abi.mach import (
    KERN_FAILURE,
    KERN_INVALID_NAME,
    KERN_INVALID_VALUE,
    KERN_SUCCESS,
    MACH_PORT_TYPE_DEAD_NAME,
    MACH_PORT_TYPE_NONE,
    MACH_PORT_UREFS_MAX,
)
from kextlab.osfmk.ipc_port import Kmsg, Port, Ports, PortSet, Receiver, Traced
from kextlab.trace.log import Record

FIRST_GENERATION = 3
NEXT_GENERATION = 4
GENERATIONS = 0x100


class Ipc(Ports):
    """What all spaces of one kernel share."""

    def __init__(
        self, record: Record | None = None, wakeup: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(record, *([wakeup] if wakeup is not None else []))
        self.delayed: deque[Kmsg] = deque()
        """Messages to be destroyed, in order; a destroyed message may destroy others."""
        self.reaping = False
        self.guards: list[tuple[int, str]] = []
        """Port guard exceptions since they were last taken: name and kind."""

    def state(self) -> dict[str, dict[str, object]]:
        """Ports, sets and queued messages, by their names in the trace."""
        found = {name: one.state() for name, one in self.objects.items()}
        return found | {f"kmsg:{n}": kmsg.state() for n, kmsg in self.messages.items()}

    def guard(self, name: int, kind: str) -> None:
        """``mach_port_guard_exception``: an exception which by default kills nothing."""
        self.guards.append((name, kind))


class Entry(Traced):
    """What a name stands for: the type of right, the object, user references."""

    __slots__ = ("ex_receive", "object", "request", "type", "urefs")
    TRACED = frozenset({"type", "urefs", "object"})

    def __init__(self) -> None:
        super().__init__()
        self.type = MACH_PORT_TYPE_NONE
        self.urefs = 0
        self.object: Port | PortSet | None = None
        self.request = 0
        """Index of a notification request at the port; 0: none."""
        self.ex_receive = False
        """The name had the receive right once (MACH_PORT_TYPE_EX_RECEIVE)."""

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

    def alloc(self) -> tuple[int, Entry]:
        """A name nobody uses (``ipc_entry_get``)."""
        while True:
            if self.freed:
                name = self.freed.pop()
            else:
                self.highest += 1
                name = self.highest << 8 | FIRST_GENERATION
            if name not in self.entries:
                break
        return name, self._enter(name)

    def _enter(self, name: int) -> Entry:
        entry = self.entries[name] = Entry()
        entry.adopt(f"right:{self.pid}:{name:#x}", self.ipc.record)
        return entry

    def alloc_name(self, name: int) -> Entry:
        """The entry of a given name, a new one if need be (``ipc_entry_alloc_name``)."""
        return self.entries.get(name) or self._enter(name)

    def dealloc(self, name: int) -> None:
        """Nobody uses the name any more; it comes again with another generation."""
        self.entries.pop(name).leave()
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
