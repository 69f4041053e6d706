"""Yield points, and running one kernel routine straight through.

A kernel routine that may drop the socket lock or sleep is a generator. Each ``yield`` marks a
place where, in XNU, another thread can get in:

* ``yield LET_GO`` (``None``): the lock was dropped for a moment, around a callback or a copy to
  or from user space.
* ``err = yield Sleep(...)``: the routine is in ``msleep``. What is sent back is msleep's result:
  0 after a wakeup, EINTR when the wait was interrupted, EWOULDBLOCK when its time has passed.

``drive`` runs one routine with nobody else there, as a look into a single routine needs it; a
machine's calls go through its ``Scheduler``. Read beside it: ``bsd/kern/kern_synch.c``
(``msleep``).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

from kextlab.abi.errno import EINTR
from kextlab.sched.stop import SimDeadlock, Sleep

T = TypeVar("T")


LET_GO: Final = None
"""``yield LET_GO``: the lock is dropped here for a moment, and others may run."""

Routine = Generator[Sleep | None, int | None, T]
"""A kernel routine: yields where others can get in and returns its result, often an errno."""


def answered(result: T) -> Routine[T]:
    """A routine that never lets go and returns ``result``."""
    yield from ()
    return result


INSIDE = "A call made inside a callback waits for the one that called back: let that return first"
ADVICE: Final = {
    "sbwait": "Make the socket non-blocking, pass MSG_DONTWAIT, or let the other side act first",
    "accept": "Let a client connect first, or make the socket non-blocking",
    "select": "Give a time-out, or let the other side act first",
    "sb_lock": INSIDE,
    "kcb_usecount": INSIDE,
    "kcb->usecount": INSIDE,
    "kcb_require_clearing": INSIDE,
}
"""What helps against a wait, by its wait message."""


def hopeless(point: Sleep) -> str:
    """Why a call that sleeps there never returns, and what helps."""
    return (
        f"this call sleeps in {point.wmesg} on {point.shown} and nothing else can run: "
        f"nobody is left to wake it. {ADVICE.get(point.wmesg, 'Let the other side act first')}"
    )


def drive(routine: Routine[T]) -> T:
    """Run ``routine`` to its end and return its result.

    Raises:
        SimDeadlock: the routine sleeps. Only one thread exists, so nothing can wake it. The wait
            is interrupted first (msleep answers EINTR), so that the routine lets go of what it
            holds and the kernel stays usable.
    """
    try:
        while (point := next(routine)) is None:
            pass
    except StopIteration as stop:
        result: T = stop.value
        return result
    abandon(routine, point)
    raise SimDeadlock(hopeless(point), point)


def abandon(routine: Routine[T], asleep: Sleep) -> None:
    """Interrupt a routine that sleeps in ``asleep`` for ever, so that it lets go of what it holds;
    if it sleeps on, it is closed."""
    point: Sleep | None = asleep
    try:
        while point is None or (point.interruptible and point is asleep):
            point = next(routine) if point is None else routine.send(EINTR)
    except StopIteration:
        return
    routine.close()
