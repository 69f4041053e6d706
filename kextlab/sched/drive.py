"""Yield points and the loop that runs a kernel routine.

A kernel routine that may drop the socket lock or sleep is a generator. Each ``yield`` marks a
place where, in XNU, another thread can get in:

* ``yield LET_GO`` (``None``): the lock was dropped for a moment, around a callback or a copy to
  or from user space. ``drive`` simply goes on.
* ``err = yield Sleep(...)``: the routine is in ``msleep``. What is sent back is msleep's result:
  0 after a wakeup, EINTR when the wait was interrupted.

``drive`` runs one routine straight through, which is what happens when nothing else is runnable.
Read beside it: ``bsd/kern/kern_synch.c`` (``msleep``). Left out, until tasks exist: time-outs and
more than one thread.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

from kextlab.abi.errno import EINTR
from kextlab.sched.stop import SimDeadlock, Sleep

T = TypeVar("T")


LET_GO: Final = None
"""``yield LET_GO``: the lock is dropped here for a moment, and others may run."""

Routine = Generator[Sleep | None, int, T]
"""A kernel routine: yields where others can get in and returns its result, often an errno."""


def answered(result: T) -> Routine[T]:
    """A routine that never lets go and returns ``result``."""
    yield from ()
    return result


INSIDE = "A call made inside a callback waits for the one that called back: let that return first"
ADVICE: Final = {
    "sbwait": "Make the socket non-blocking, pass MSG_DONTWAIT, or let the other side act first",
    "sb_lock": INSIDE,
    "kcb_usecount": INSIDE,
    "kcb->usecount": INSIDE,
    "kcb_require_clearing": INSIDE,
}
"""What helps against a wait, by its wait message."""


def drive(routine: Generator[Sleep | None, int, T]) -> T:
    """Run ``routine`` to its end and return its result.

    Raises:
        SimDeadlock: the routine sleeps. Only one thread exists, so nothing can wake it. The wait
            is interrupted first (msleep answers EINTR), so that the routine lets go of what it
            holds and the kernel stays usable.
    """
    asleep: Sleep | None = None
    try:
        while (point := next(routine)) is None:
            pass
        asleep = point
        while point is None or (point.interruptible and point is asleep):
            point = next(routine) if point is None else routine.send(EINTR)
    except StopIteration as stop:
        if asleep is None:
            result: T = stop.value
            return result
    routine.close()
    raise SimDeadlock(
        f"this call sleeps in {asleep.wmesg} on {asleep.channel} and nothing else can run: "
        f"nobody is left to wake it. {ADVICE.get(asleep.wmesg, 'Let the other side act first')}",
        asleep,
    )
