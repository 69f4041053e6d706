"""Panic reports: the text a Mac would have written, readable by a student.

Read beside it: ``osfmk/kern/debug.c``. The layout is the lab's own: what happened, why (the kext's
traceback), what was loaded, what led there.
"""

from __future__ import annotations

import traceback
from collections import deque
from typing import TYPE_CHECKING

from kextlab.sched.stop import KernelPanic
from kextlab.trace.events import Event

if TYPE_CHECKING:
    from kextlab.kernel.system import System

LAST_CALLS = 12
"""Calls and returns shown at the end of a report."""


CALLS = ("syscall", "kpi", "callback", "return")


def sentence(event: Event) -> str:
    """A call or return of the trace as a line of a report."""
    where = f"{event.step:>6}  {event.actor}: "
    if event.kind == "return":
        answer = f" = {_short(event.value)}" if event.value is not None else ""
        return f"{where}return, errno {event.errno}{answer}"
    shown = ", ".join(_short(argument) for argument in event.arguments)
    return f"{where}{event.kind} {event.name}({shown})"


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
        calls = (e for e in system.trace.events() if e.kind in CALLS)
        lines += ["", f"The last calls before it, of {steps} steps:"]
        lines += [sentence(event) for event in deque(calls, maxlen=LAST_CALLS)]
    return "\n".join(lines)
