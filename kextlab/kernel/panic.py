"""Panic reports: the text a Mac would have written, readable by a student.

Read beside it: ``osfmk/kern/debug.c``. The layout is the lab's own: what happened, why (the kext's
traceback), what was loaded, what led there.
"""

from __future__ import annotations

import traceback
from itertools import islice
from typing import TYPE_CHECKING

from kextlab.sched.stop import KernelPanic
from kextlab.trace.events import Event

if TYPE_CHECKING:
    from kextlab.kernel.system import System

LAST_EVENTS = 12


def sentence(event: Event) -> str:
    """One trace event as a line of a report."""
    where = f"{event.step:>6}  {event.actor}: "
    match event.kind:
        case "syscall" | "kpi" | "callback":
            shown = ", ".join(_short(argument) for argument in event.arguments)
            return f"{where}{event.kind} {event.name}({shown})"
        case "return":
            answer = f" = {_short(event.value)}" if event.value is not None else ""
            return f"{where}return, errno {event.errno}{answer}"
        case "change":
            shown = ", ".join(
                f"{c.object}.{c.field} {_short(c.old)} -> {_short(c.new)}"
                for c in event.changes[:3]
            )
            more = f" and {len(event.changes) - 3} more" if len(event.changes) > 3 else ""
            return f"{where}{shown}{more}"
        case _:
            shown = " ".join(str(argument) for argument in event.arguments)
            return f"{where}{event.kind} {event.name} {shown}"


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
        lines += ["", f"The last of {steps} steps:"]
        events = system.trace.events(start=max(0, steps - LAST_EVENTS))
        lines += [sentence(event) for event in islice(events, LAST_EVENTS)]
    return "\n".join(lines)
