"""The log in plain sentences: what a trace says, a line a system call, callback and kernel call.

Subject first, verb in the present, numbers with their units, then what follows from it. Changes of
single fields are left out: pictures and figures show those. A call a kext makes and the kernel's
answer to it are one sentence; a system call and its return are two, because callbacks run between.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast, overload

from kextlab.abi.errno import name_of
from kextlab.kernel.kernel import Kernel
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.views.queues import ENQUEUES, offered, socket_of
from kextlab.views.reasons import reason
from kextlab.views.sentences import called, called_with, kext_name, kpi_done, returned
from kextlab.views.source import trace_of
from kextlab.views.words import some


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the log.

    Attributes:
        step: the step of the trace it tells of.
        world: ``user`` (a system call or its return), ``kern`` (a callback, a kernel call),
            ``loss`` (a refusal, a loss, a panic).
        text: the sentence.
        depth: how many calls it happened inside.
    """

    step: int
    world: str
    text: str
    depth: int = 0

    def __str__(self) -> str:
        return f"{self.step:>5}  {'  ' * self.depth}{self.text}"


class Log:
    """Sentences in the order in which things happened."""

    __slots__ = ("lines",)

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> Log: ...
    def __getitem__(self, at: int | slice) -> Line | Log:
        return Log(self.lines[at]) if isinstance(at, slice) else self.lines[at]

    def __repr__(self) -> str:
        return "\n".join(str(line) for line in self.lines) or "nothing happened"

    def _repr_html_(self) -> str:
        """A table a screen reader can walk; refusals are bold and marked, not only coloured."""
        rows = "".join(
            f'<tr><td style="text-align:right">{line.step}</td><td style="text-align:left;'
            f'padding-left:{0.5 + 1.5 * line.depth}em">{_cell(line)}</td></tr>'
            for line in self.lines
        )
        head = '<tr><th scope="col">step</th><th scope="col" style="text-align:left">'
        return f"<table><thead>{head}what happened</th></tr></thead><tbody>{rows}</tbody></table>"


def _cell(line: Line) -> str:
    words = html.escape(line.text)
    return f"✕ <strong>{words}</strong>" if line.world == "loss" else words


def log(trace: Trace | Kernel, start: int = 0, stop: int | None = None) -> Log:
    """What happened from step ``start`` to before step ``stop``, in sentences.

    Args:
        trace: ``mac.trace``; with the machine itself its trace is taken.
        start: the first step to tell of.
        stop: the first step not to tell of.

    Raises:
        TypeError: ``trace`` is neither.
    """
    trace = trace_of(trace, "log()")
    teller = _Teller()
    lines: list[Line] = []
    for entry in trace.entries(0, stop):
        depth = len(teller.frames)
        line = teller.tell(entry)
        if line is not None and line.step >= start:
            lines.append(replace(line, depth=min(depth, len(teller.frames))))
    return Log(tuple(lines))


@dataclass(slots=True)
class _Frame:
    """An open call: what opened it, bytes offered, the socket meant, what callbacks refused."""

    event: Event
    actor: str
    size: int = 0
    socket: int = 0
    refused_inside: set[int] = field(default_factory=set)


class _Teller:
    """Folds a trace and tells what each step was."""

    def __init__(self) -> None:
        self.folder = Folder()
        self.frames: list[_Frame] = []
        """The open calls of the task that runs."""
        self._stacks = {0: self.frames}

    @property
    def state(self) -> State:
        return self.folder.state

    def tell(self, entry: tuple[object, ...]) -> Line | None:
        """Take in one step; its sentence, if it has one."""
        event = self.folder.step(entry)
        if event.kind in ("syscall", "kpi", "callback"):
            return self._enter(event, str(entry[1]))
        if event.kind == "return":
            return self._leave(event) if self.frames else None
        if event.kind == "switch":
            self.frames = self._stacks.setdefault(event.task, [])
            return None
        if event.kind == "stop":
            return self._stopped(event)
        if event.kind == "signal":
            who, signal = self._process(event.name), event.arguments[0]
            return Line(event.step, "loss", f"The kernel sends {who} a {signal}.")
        for change in event.changes:
            if change.object == "kernel" and change.field == "panic" and change.new is not None:
                return Line(event.step, "loss", self._panic(str(change.new)))
        return None

    def _process(self, pid: str) -> str:
        fields = self.state.get(f"proc:{pid}")
        return str(fields["name"]) if fields is not None else "a process"

    # -- calls -----------------------------------------------------------------------------

    def _enter(self, event: Event, who: str) -> Line | None:
        frame = _Frame(event, who)
        self.frames.append(frame)
        if event.kind == "kpi":
            if event.name in ENQUEUES:
                frame.size = offered(self.state, event)
                frame.socket = socket_of(self.state, event.arguments[0], event.arguments[1])
            return None
        if event.kind == "syscall":
            return Line(event.step, "user", called(self._process(who), event, self.state))
        return Line(event.step, "kern", self._callback(event, who))

    def _callback(self, event: Event, kext: str) -> str:
        if event.name in ("start", "stop"):
            return f"The kernel runs {kext_name(kext)}'s {event.name} routine."
        words = f"kern_control runs {kext_name(kext)}'s {event.name} callback"
        unit = self._unit(event)
        return f"{words} for unit {unit}." if unit is not None else f"{words}."

    def _unit(self, event: Event) -> int | None:
        """The unit a callback is about; where it stands differs from callback to callback."""
        at = {"setup": 0, "connect": 2, "bind": 2, "send": 2, "send_list": 2}.get(event.name, 1)
        return cast(int, event.arguments[at]) if at < len(event.arguments) else None

    # -- returns ---------------------------------------------------------------------------

    def _leave(self, event: Event) -> Line | None:
        frame = self.frames.pop()
        errno = event.errno or 0
        if frame.event.kind == "kpi":
            return self._kpi(frame, event, errno)
        if frame.event.kind == "callback":
            return self._callback_returned(frame, event, errno)
        who = self._process(frame.actor)
        if not errno:
            return Line(event.step, "user", returned(who, frame.event, event.value, self.state))
        name = name_of(errno)
        call = self._call(frame.event)
        if errno in frame.refused_inside:
            return Line(event.step, "user", f"{call} returns {name} to {who}.")
        why = reason(frame.event, errno, self.state, frame.actor)
        return Line(event.step, "loss", f"The kernel refused {call}: {why} ({name}).")

    @staticmethod
    def _call(event: Event) -> str:
        names = {"sendto": "send", "recvfrom": "recv"}
        name = names.get(event.name, event.name)
        if event.name == "select":
            return f"select({called_with(event)})"
        return name if event.name == "socket" else f"{name}(fd {event.arguments[0]})"

    def _stopped(self, event: Event) -> Line | None:
        """No open call returns; a panic was told already, inside the frame it happened in."""
        calls = [frame for frame in self.frames if frame.event.kind == "syscall"]
        self.frames.clear()
        if event.name == "panic":
            for frames in self._stacks.values():
                frames.clear()
        if event.name in ("panic", "killed") or not calls:
            return None
        who, call = self._process(calls[-1].actor), self._call(calls[-1].event)
        if event.name == "deadlock":
            return Line(event.step, "loss", f"{who} sleeps in {call} and nothing can wake it.")
        return Line(event.step, "loss", f"{who}'s {call} does not return: {event.arguments[0]}")

    def _callback_returned(self, frame: _Frame, event: Event, errno: int) -> Line | None:
        if not errno:
            return None
        if self.frames:
            self.frames[-1].refused_inside.add(errno)
        name = frame.event.name
        words = f"{kext_name(frame.actor)}'s {name} "
        words += "routine" if name in ("start", "stop") else "callback"
        words += f" answers {name_of(errno)}"
        unit = self._unit(frame.event)
        if name == "connect":
            words += f", so the kernel calls disconnect for unit {unit}"
        elif name == "disconnect":
            words += ", which the kernel ignores"
        elif name == "stop":
            words += ", so the kext stays loaded"
        elif name == "start":
            words += ", so the kext is not loaded"
        return Line(event.step, "loss", f"{words}.")

    def _kpi(self, frame: _Frame, event: Event, errno: int) -> Line | None:
        kext = kext_name(frame.actor)
        if not errno:
            words = kpi_done(kext, frame.event, event.value, self.state, frame.size, frame.socket)
            return Line(frame.event.step, "kern", words) if words else None
        why = reason(frame.event, errno, self.state, frame.actor, frame.size, frame.socket)
        what = frame.event.name
        if frame.event.name in ENQUEUES and frame.socket:
            what = some(frame.size, "byte")
            why += f" ({name_of(errno)}). Nothing was queued; the kext must keep or drop it."
        else:
            why += f" ({name_of(errno)})."
        return Line(frame.event.step, "loss", f"The kernel refused {what}: {why}")

    def _panic(self, text: str) -> str:
        """Why, as far as the trace shows it; then what it means."""
        inside = self.frames[-1].event if self.frames else None
        gone = [
            (kext_name(str(fields["kext"])), str(fields["name"]))
            for name, fields in self.state.items()
            if name.startswith("kctl:") and f"kext:{fields['kext']}" not in self.state
        ]
        if inside is not None and inside.kind == "kpi" and inside.name.startswith("ctl_"):
            kext = kext_name(self.frames[-1].actor)
            why = f"{kext} calls {inside.name} with a reference whose slot is empty"
        elif gone:
            kext, control = gone[0]
            why = f"{kext} was unloaded without ctl_deregister, and {control} points into its code"
        else:
            why = ""
        said = f"Panic, {text}: {why}." if why else f"Panic: {text}."
        return f"{said} The Mac stops here; mac.reboot() starts again."
