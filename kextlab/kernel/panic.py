"""Panic reports: the text a Mac would have written, readable by a student.

Read beside it: ``osfmk/kern/debug.c``. The layout is the lab's own: what happened, why (the kext's
traceback), what was loaded, what led there.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kextlab.sched.stop import KernelPanic
from kextlab.trace.events import Event

if TYPE_CHECKING:
    from kextlab.kernel.system import System

LAST_CALLS = 12
"""Calls and returns shown at the end of a report."""


CALLS = ("syscall", "kpi", "callback", "return")

HANDED = ("m", "kctlref", "unit", "flags")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "connect": ("kctlref", "sc_id", "sc_unit"),
    "bind": ("kctlref", "sc_id", "sc_unit"),
    "setup": ("unit",),
    "disconnect": ("kctlref", "unit"),
    "send": HANDED,
    "send_list": HANDED,
    "setopt": ("kctlref", "unit", "opt", "data", "len"),
    "getopt": ("kctlref", "unit", "opt", "len"),
    "rcvd": ("kctlref", "unit", "flags"),
}
"""What the trace keeps of the arguments of each callback, in its order."""
C_ORDER = ("kctlref", "unit", "m", "flags")
"""Where an mbuf stands, which the trace puts first."""


def sentence(event: Event, processes: Mapping[str, str] | None = None) -> str:
    """A call or return of the trace as a line of a report; ``processes`` are names by actor."""
    name = (processes or {}).get(event.actor)
    who = f"{name} (pid {event.actor.removeprefix('proc:')})" if name else event.actor
    where = f"{event.step:>6}  {who}: "
    if event.kind == "return":
        answer = f" = {_short(event.value)}" if event.value is not None else ""
        return f"{where}return, errno {event.errno}{answer}"
    values = [_short(argument) for argument in event.arguments]
    names = PARAMETERS.get(event.name, ()) if event.kind == "callback" else ()
    if names:
        named = dict(zip(names, values, strict=True))
        order = C_ORDER if names is HANDED else names
        values = [f"{name} {named[name]}" for name in order]
    return f"{where}{event.kind} {event.name}({', '.join(values)})"


def _short(value: object) -> str:
    if isinstance(value, bytes) and len(value) > 8:
        return f"<{len(value)} bytes>"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def report(system: System, panic: KernelPanic) -> str:
    """The report of a panic that ended ``system``."""
    lines = [
        f"panic: {panic.text}",
        f"Kernel version: {system.release.name} ({system.release.macos}), simulated by kextlab",
        "",
    ]
    cause = panic.__cause__
    if cause is not None:
        lines += ["Backtrace of the kext's code:"]
        lines += traceback.format_exception(cause)[0:1]
        lines += [line.rstrip() for line in traceback.format_tb(cause.__traceback__)[1:]]
        lines += [f"{type(cause).__name__}: {cause}", ""]
    loaded = [text.name for text in system.texts.values() if text.mapped]
    gone = [text.name for text in system.texts.values() if not text.mapped]
    lines.append("Loaded kexts: " + (", ".join(loaded) or "none"))
    if gone:
        lines.append("Unloaded since boot: " + ", ".join(gone))
    steps = len(system.trace)
    if steps:
        processes: dict[str, str] = {}
        last: deque[Event] = deque(maxlen=LAST_CALLS)
        for event in system.trace.events():
            if event.kind in CALLS:
                last.append(event)
            for change in event.changes:
                if change.field == "name" and change.object.startswith("proc:"):
                    processes[change.object] = str(change.new)
        lines += ["", f"The last calls before it, of {steps} steps:"]
        lines += [sentence(event, processes) for event in last]
    return "\n".join(lines)
