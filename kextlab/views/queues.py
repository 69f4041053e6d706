"""The queues behind control sockets over time: bytes, records, limit, refusals.

Reads a trace by folding it. Left out: events that a full event socket lost (the lesson on kernel
events brings them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from kextlab.abi.errno import ENOBUFS, name_of
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.views.index import Index
from kextlab.views.scene import buffer_of

ENQUEUES = ("ctl_enqueuedata", "ctl_enqueuembuf", "ctl_enqueuembuf_list")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel refused to queue something.

    Attributes:
        step: when.
        bytes: how much was offered.
        errno: what the kernel answered.
        unit: for which unit.
    """

    step: int
    bytes: int
    errno: int
    unit: int

    @property
    def name(self) -> str:
        """The errno's name."""
        return name_of(self.errno)


@dataclass(frozen=True, slots=True)
class Point:
    """The queue from ``step`` on."""

    step: int
    bytes: int
    records: int
    hiwat: int


@dataclass(slots=True)
class Queue:
    """One socket's receive queue over time.

    Attributes:
        socket: the kernel's number of the socket.
        unit: the last unit it had, 0 if none.
        points: what it held, from when on; only steps at which that changed.
        refusals: what did not fit.
        open: whether the last refusal is newer than the last change of the queue.
    """

    socket: int
    unit: int = 0
    points: list[Point] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    open: bool = False


def offered(state: State, event: Event) -> int:
    """How many bytes an enqueue offers."""
    if event.name == "ctl_enqueuedata":
        return cast(int, event.arguments[3])
    total = 0
    packet = cast(int, event.arguments[2])
    while packet:
        link = packet
        while link:
            total += len(cast(bytes, state[f"mbuf:{link}"]["m_data"]))
            link = cast(int, state[f"mbuf:{link}"]["m_next"])
        packet = cast(int, state[f"mbuf:{packet}"]["m_nextpkt"])
    return total


def queues(trace: Trace, stop: int | None = None) -> dict[int, Queue]:
    """Every receive queue of the trace up to step ``stop``, by socket number."""
    folder = Folder()
    seen = Index(folder.state)
    found: dict[int, Queue] = {}
    pending: dict[int, tuple[int, int, int]] = {}
    for entry in trace.entries(0, stop):
        event = folder.step(entry)
        seen.update(event)
        state = folder.state
        if event.kind == "kpi" and event.name in ENQUEUES:
            kctlref, unit = event.arguments[:2]
            socket = seen.socket_of(kctlref, unit)
            pending[event.step] = (socket, cast(int, unit), offered(state, event))
        elif event.kind == "return" and event.cause in pending:
            socket, unit, size = pending.pop(event.cause)
            if event.errno == ENOBUFS and socket in found:
                found[socket].refusals.append(Refusal(event.step, size, event.errno, unit))
                found[socket].open = True
        for name in {change.object for change in event.changes}:
            kind, _, number = name.partition(":")
            if kind == "so_rcv" and name in state:
                _note(found.setdefault(int(number), Queue(int(number))), event.step, state, name)
            elif kind == "kcb" and name in state and state[name]["unit"]:
                found[int(number)].unit = cast(int, state[name]["unit"])
    return found


def _note(queue: Queue, step: int, state: State, name: str) -> None:
    """Add a point if the queue is not as it was."""
    buffer = buffer_of(state, name)
    point = Point(step, buffer.cc, len(buffer.records), buffer.hiwat)
    last = queue.points[-1] if queue.points else None
    if last is None or (last.bytes, last.records, last.hiwat) != (
        point.bytes,
        point.records,
        point.hiwat,
    ):
        queue.points.append(point)
        queue.open = False
