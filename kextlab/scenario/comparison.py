"""Comparing two runs: where they part, and what became of every queue in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from kextlab.abi.errno import ENOBUFS, ENOMEM
from kextlab.scenario.expected import first_step, told
from kextlab.scenario.fault import READS
from kextlab.scenario.run import Run
from kextlab.trace.codes import Entry
from kextlab.trace.events import Change, Event
from kextlab.trace.fold import Folder
from kextlab.trace.log import Trace

ENQUEUES = ("ctl_enqueuedata", "ctl_enqueuembuf", "ctl_enqueuembuf_list")


@dataclass(slots=True)
class QueueTotals:
    """What became of one socket's receive queue. All but ``unit``, ``lost`` are bytes.

    Attributes:
        process: whose socket it is.
        unit: its last unit, 0 for none.
        queued: what was put into it in all.
        read: what system calls took out of it.
        left: what it still holds.
        lost: how often the kernel refused to queue something.
        lost_bytes: how much that was, as far as its size was passed.
    """

    socket: int
    process: str = ""
    unit: int = 0
    queued: int = 0
    read: int = 0
    left: int = 0
    lost: int = 0
    lost_bytes: int = 0

    def __str__(self) -> str:
        lost = f"{self.lost} lost ({self.lost_bytes} bytes)" if self.lost else "nothing lost"
        return f"{self.queued} bytes queued, {self.read} read, {self.left} left, {lost}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        step: the first step that differs, ``None`` if none does.
        one, other: that step in each, in a few words; empty beyond the end.
        lengths: how many steps each has.
        queues: by socket number, the totals in each; ``None`` where the socket was never made.
    """

    step: int | None
    one: str
    other: str
    lengths: tuple[int, int]
    queues: dict[int, tuple[QueueTotals | None, QueueTotals | None]]

    def __str__(self) -> str:
        if self.step is None:
            lines = [f"the same in all {self.lengths[0]} steps"]
        else:
            lines = [
                f"they part at step {self.step}",
                f"  one:   {self.one or 'has ended'}",
                f"  other: {self.other or 'has ended'}",
            ]
        for number, (one, other) in self.queues.items():
            known = cast(QueueTotals, one or other)
            lines.append(f"socket {number} of {known.process}, unit {known.unit}")
            lines.append(f"  one:   {one if one is not None else 'never made'}")
            lines.append(f"  other: {other if other is not None else 'never made'}")
        return "\n".join(lines)


def compare(one: Run | Trace, other: Run | Trace) -> Comparison:
    """Compare two runs, or their traces: the first step that differs, and every receive queue."""
    first, second = (each if isinstance(each, Trace) else each.trace for each in (one, other))
    step = first_step(first, second)
    words = ["", ""]
    if step is not None:
        words = [told(each, step) if step < len(each) else "" for each in (first, second)]
    mine, theirs = totals(first), totals(second)
    queues = {n: (mine.get(n), theirs.get(n)) for n in sorted(mine.keys() | theirs.keys())}
    return Comparison(step, words[0], words[1], (len(first), len(second)), queues)


def totals(trace: Trace) -> dict[int, QueueTotals]:
    """What became of every receive queue, by socket number."""
    account = _Account()
    for entry in trace.entries():
        account.take(entry)
    return account.queues


class _Account:
    """Reads a trace and adds up its queues."""

    def __init__(self) -> None:
        self.queues: dict[int, QueueTotals] = {}
        self._folder = Folder()
        self._calls: dict[int, tuple[Event, int]] = {}
        """Open reads and enqueues, each with the socket it is about."""
        self._clients: dict[tuple[object, object], int] = {}
        """Control and unit to the socket that has it."""
        self._places: dict[int, tuple[object, object]] = {}
        """The same the other way round."""
        self._controls: dict[object, object] = {}
        """Reference to control."""

    def take(self, entry: Entry) -> None:
        """One step."""
        event = self._folder.step(entry)
        if event.kind == "kpi" and event.name in ENQUEUES:
            kctlref, unit = event.arguments[:2]
            place = (self._controls.get(kctlref), unit)
            self._calls[event.step] = event, self._clients.get(place, 0)
        elif event.kind == "syscall" and event.name in READS:
            file = self._folder.state.get(f"fd:{entry[1]}:{event.arguments[0]}")
            if file is not None:
                self._calls[event.step] = event, cast(int, file["socket"])
        elif event.kind == "return" and event.cause in self._calls:
            call, socket = self._calls.pop(event.cause)
            if socket in self.queues:
                _returned(self.queues[socket], call, event)
        for change in event.changes:
            self._change(change)

    def _change(self, change: Change) -> None:
        kind, _, number = change.object.partition(":")
        queues = self.queues
        if kind == "so_rcv" and change.field == "sb_cc":
            queue = queues.setdefault(int(number), QueueTotals(int(number)))
            new, old = cast(int, change.new or 0), cast(int, change.old or 0)
            queue.queued += max(new - old, 0)
            queue.left = new
        elif kind == "kcb" and change.field in ("unit", "kctl"):
            self._moved(int(number), self._folder.state.get(change.object))
        elif kind == "kctl" and change.field == "kctlref" and change.new:
            self._controls[change.new] = int(number)
        elif kind == "fd" and change.field == "socket" and change.new in queues:
            pid = number.partition(":")[0]
            process = self._folder.state[f"proc:{pid}"]["name"]
            queues[cast(int, change.new)].process = str(process)

    def _moved(self, socket: int, client: dict[str, object] | None) -> None:
        """A client has another control or unit now, or none."""
        self._clients.pop(self._places.pop(socket, (None, None)), None)
        if client is not None and client["kctl"]:
            place = self._places[socket] = (client["kctl"], client["unit"])
            self._clients[place] = socket
            if socket in self.queues and client["unit"]:
                self.queues[socket].unit = cast(int, client["unit"])


def _returned(queue: QueueTotals, call: Event, event: Event) -> None:
    """A read or an enqueue has ended."""
    if call.name not in ENQUEUES:
        queue.read += _size(event.value) if not event.errno else 0
    elif event.errno in (ENOBUFS, ENOMEM):
        queue.lost += 1
        queue.lost_bytes += cast(int, call.arguments[3]) if call.name == "ctl_enqueuedata" else 0


def _size(value: object) -> int:
    """The bytes in what a read returned: data, (data, flags), or several of those."""
    if isinstance(value, bytes):
        return len(value)
    return sum(map(_size, value)) if isinstance(value, tuple) else 0
