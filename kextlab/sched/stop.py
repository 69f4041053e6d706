"""What ends a call from outside: a kernel panic or a deadlock of the simulated machine.

None of these is an errno: the call does not return. Read beside it: ``osfmk/kern/debug.c``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sleep:
    """A thread in ``msleep``: what it waits for, and whether a signal may end the wait.

    ``channel`` names the object waited on, ``wmesg`` is the wait message a debugger would show.
    """

    channel: str
    wmesg: str
    interruptible: bool = True


class SimStop(Exception):
    """The simulated machine, not the student's code, ended this call: a panic or a deadlock."""


class SimDeadlock(SimStop):
    """Nothing can run any more: the thread that was running sleeps and nobody is left to wake it.

    ``sleep`` tells what it waits for (``None`` when it waits for a mutex it holds itself).
    """

    def __init__(self, message: str, sleep: Sleep | None = None) -> None:
        super().__init__(message)
        self.sleep = sleep
        self.callback = ""
        """The callback a call that slept was made in: what called back is half done."""


class KernelPanic(SimStop):
    """The simulated kernel panicked; the message is the panic string.

    ``report`` is the text a Mac would have written to the panic log, filled in by the kernel.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.report = ""

    @property
    def text(self) -> str:
        """The panic string."""
        return str(self.args[0])


def interrupted(end: BaseException) -> KernelPanic:
    """What is left of a machine whose call ended half way: locks held, counts open."""
    return KernelPanic(
        f"{type(end).__name__} inside a call left it half done; mac.reboot() starts again"
    )


PAGE_FAULT = "kernel page fault"
"""Panic string of a wild or null pointer used in kernel mode."""
MUTEX_HELD = "mutex already held by this thread"
"""Why a thread deadlocks with itself."""
