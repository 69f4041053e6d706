"""What a trace cost: kernel crossings, bytes copied, wake-ups, by process.

Counted, not measured: the trace tells every entry into the kernel and its answer; a clock would
tell about this computer. Mach calls count as the traps they are; a call to launchd counts as one.
Memory that two have mapped is read and written by nobody's call, and costs nothing here: no
crossing, and no copy the kernel makes from one process to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import cast

from kextlab.abi.mach import KERN_SUCCESS, MACH_RCV_MSG, MACH_SEND_MSG, mach_error_name
from kextlab.trace.events import Event
from kextlab.trace.log import Trace

SUCCESS = mach_error_name(KERN_SUCCESS)


@dataclass
class Cost:
    """What one process cost, or several together.

    Attributes:
        crossings: how often it entered the kernel.
        copied_in: bytes the kernel copied from it.
        copied_out: bytes the kernel copied to it.
        wakeups: how often a sleeping thread of it was made runnable.
        callbacks: how often the kernel called a kext for it.
    """

    crossings: int = 0
    copied_in: int = 0
    copied_out: int = 0
    wakeups: int = 0
    callbacks: int = 0

    def __add__(self, other: Cost) -> Cost:
        names = [one.name for one in fields(self)]
        return Cost(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass
class Costs:
    """The costs of a trace: by process name, those of one name together."""

    by_name: dict[str, Cost] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    """How many processes there were of a name."""

    @property
    def total(self) -> Cost:
        """All of them."""
        return sum(self.by_name.values(), Cost())

    def __str__(self) -> str:
        head = ("", *(one.name.replace("_", " ") for one in fields(Cost)))
        rows = [(f"{name} x {self.processes[name]}", cost) for name, cost in self.by_name.items()]
        lines = [head]
        for name, cost in [*rows, ("together", self.total)]:
            lines.append((name, *(f"{getattr(cost, one.name):,}" for one in fields(Cost))))
        return in_columns(lines)


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each, as a table: the first column to the left, numbers to the
    right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def costs(trace: Trace, start: int = 0, stop: int | None = None) -> Costs:
    """What the steps from ``start`` to before ``stop`` cost.

    Raises:
        ValueError: nothing was recorded (``Kernel(trace=False)``).
        IndexError: there is no such step.
    """
    if trace.record is None:
        raise ValueError("costs counts a trace, and this kernel records none")
    names: dict[int, str] = {}
    threads: dict[str, int] = {}
    for name, fields_ in trace.state(start).items():
        _known(name, fields_, names, threads)
    found: dict[int, Cost] = {}
    calls: dict[int, Event] = {}
    roots: dict[int, int] = {}
    """Open frames, and the system call each is part of."""
    for event in trace.events(start, stop):
        if event.kind == "syscall":
            calls[event.step], roots[event.step] = event, event.step
            cost = found.setdefault(_pid(event), Cost())
            cost.crossings += 1
            cost.copied_in += _copied_in(event)
        elif event.kind in ("kpi", "callback") and event.cause in roots:
            root = roots[event.step] = roots[event.cause]
            if event.kind == "callback":
                found[_pid(calls[root])].callbacks += 1
        elif event.kind == "return" and event.cause in calls:
            call = calls[event.cause]
            found[_pid(call)].copied_out += _copied_out(call, event.value)
        _changed(event, names, threads, found)
    total = Costs()
    for pid, cost in found.items():
        name = names[pid]
        total.by_name[name] = total.by_name.get(name, Cost()) + cost
        total.processes[name] = total.processes.get(name, 0) + 1
    return total


def _known(
    name: str, values: Mapping[str, object], names: dict[int, str], threads: dict[str, int]
) -> None:
    """An object of the trace: a process has a name, a thread a process."""
    kind, _, number = name.partition(":")
    if kind == "proc" and "name" in values:
        names[int(number)] = cast(str, values["name"])
    elif kind == "task" and "pid" in values:
        threads[name] = cast(int, values["pid"])


def _changed(
    event: Event, names: dict[int, str], threads: dict[str, int], found: dict[int, Cost]
) -> None:
    for change in event.changes:
        if change.old is None:
            _known(change.object, {change.field: change.new}, names, threads)
        woken = (change.field, change.old, change.new) == ("state", "asleep", "runnable")
        if woken and change.object in threads:
            found.setdefault(threads[change.object], Cost()).wakeups += 1


def _pid(call: Event) -> int:
    """The process of a system call."""
    return int(call.actor.partition(":")[2])


def _bytes(value: object) -> int:
    """The bytes in plain values."""
    if isinstance(value, bytes):
        return len(value)
    return sum(map(_bytes, value)) if isinstance(value, tuple) else 0


def _copied_in(call: Event) -> int:
    if call.name == "mach_msg" and not cast(int, call.arguments[1]) & MACH_SEND_MSG:
        return 0
    return _bytes(call.arguments)


def _copied_out(call: Event, value: object) -> int:
    if call.name != "mach_msg":
        return _bytes(value)
    code, data = cast("tuple[str, object]", value)
    received = cast(int, call.arguments[1]) & MACH_RCV_MSG and code == SUCCESS
    return _bytes(data) if received else 0
