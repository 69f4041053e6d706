"""The receive queues of sockets over time: bytes, records, limit, refusals.

Reads a trace by folding it. An event that a full event socket lost is a refusal nobody is told of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from kextlab.abi.errno import name_of, number_of
from kextlab.trace.fold import State
from kextlab.trace.log import Trace
from kextlab.views.scene import buffer_of
from kextlab.views.teller import Teller

LOST = "lost"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel refused to queue something.

    Attributes:
        step: when, as the log tells it.
        bytes: how much was offered.
        errno: what the kernel answered; 0: nobody was told, the event is lost.
        unit: for which unit.
    """

    step: int
    bytes: int
    errno: int
    unit: int

    @property
    def name(self) -> str:
        """The errno's name, or ``lost``."""
        return name_of(self.errno) if self.errno else LOST


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


def queues(trace: Trace, stop: int | None = None) -> dict[int, Queue]:
    """Every receive queue of the trace up to step ``stop``, by socket number."""
    teller = Teller()
    state = teller.state
    found: dict[int, Queue] = {}
    for entry in trace.entries(0, stop):
        told = teller.tell(entry)
        event = teller.event
        assert event is not None
        for one in told:
            if one.mark is not None and (one.peer or one.socket) in found:
                size, what = one.mark
                queue = found[one.peer or one.socket]
                errno = 0 if what == LOST else number_of(what)
                queue.refusals.append(Refusal(one.step, size, errno, queue.unit))
                queue.open = True
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
