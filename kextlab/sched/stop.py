"""What suspends a call, and what ends one from outside: a panic, a deadlock, a kill.

None of the latter is an errno: the call does not return. Read beside it: ``osfmk/kern/debug.c``,
``bsd/kern/kern_synch.c`` (``msleep``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sleep:
    """A thread in ``msleep``: what it waits for, and whether a signal may end the wait.

    Attributes:
        channel: names the object waited on; "" waits for time only.
        wmesg: the wait message a debugger would show.
        interruptible: whether a signal ends it (PCATCH).
        deadline: the virtual time, in ns, at which the wait ends with EWOULDBLOCK.
        also: further objects waited on, as select does.
    """

    channel: str
    wmesg: str
    interruptible: bool = True
    deadline: int | None = None
    also: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Everything a wakeup may name."""
        return (self.channel, *self.also) if self.channel else self.also

    @property
    def shown(self) -> str:
        """The channels in words."""
        return ", ".join(self.channels) or "the clock"


Waits = list[tuple[str, str, str, str]]
"""A wait-for graph: (task, what it waits in, channel, who could wake it) for every sleeper."""


def told(graph: Waits) -> str:
    """A wait-for graph in words, to be put behind a sentence; nothing for a single sleeper."""
    if len(graph) < 2:
        return ""
    return ". Who waits for whom: " + "; ".join(
        f"{name} in {wmesg} on {channel} ({who})" if wmesg else f"{name} {who}"
        for name, wmesg, channel, who in graph
    )


class SimStop(Exception):
    """The simulated machine, not the student's code, ended this call: a panic or a deadlock."""


class SimDeadlock(SimStop):
    """Nothing can run any more: the thread that was running sleeps and nobody is left to wake it.

    ``sleep`` tells what it waits for (``None`` when it waits for a mutex it holds itself),
    ``graph`` who else sleeps, where, and who could wake whom.
    """

    def __init__(
        self, message: str, sleep: Sleep | None = None, graph: Waits | None = None
    ) -> None:
        super().__init__(message)
        self.sleep = sleep
        self.graph: Waits = graph if graph is not None else []
        self.callback = ""
        """The callback a call that slept was made in: what called back is half done."""


class ChoiceError(SimStop, ValueError):
    """A chooser could not choose: a recorded choice does not fit what is asked, or the answer is
    none of the options."""


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


class Killed(BaseException):
    """The process this ran in was ended; nothing of its program runs any more. No program should
    catch it, which is why it is no Exception."""


def interrupted(end: BaseException) -> KernelPanic:
    """What is left of a machine whose call ended half way: locks held, counts open."""
    return KernelPanic(
        f"{type(end).__name__} inside a call left it half done; mac.reboot() starts again"
    )


PAGE_FAULT = "kernel page fault"
"""Panic string of a wild or null pointer used in kernel mode."""
MUTEX_HELD = "mutex already held by this thread"
"""Why a thread deadlocks with itself."""
