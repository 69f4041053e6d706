"""A simulated process's ``time`` module: virtual time.

Time passes only while every task waits, so a program that computes takes none. Read beside it:
CPython's ``Modules/timemodule.c``; ``bsd/kern/kern_synch.c`` (a sleep is an msleep nobody wakes).

Left out: calendars (``localtime``, ``strftime``), processor time.
"""

from __future__ import annotations

from math import ceil, isnan
from operator import index
from types import ModuleType
from typing import TYPE_CHECKING, Final

from kextlab.sched.clock import SECOND
from kextlab.sched.stop import Sleep

if TYPE_CHECKING:
    from kextlab.userland.process import App

EPOCH: Final = 1_767_225_600
"""When every simulated Mac boots: 1 January 2026, 00:00 UTC."""


def nanoseconds(seconds: object) -> int:
    """A time to sleep. TypeError if not a number, ValueError if negative or NaN, OverflowError
    beyond 64 bits of nanoseconds."""
    if isinstance(seconds, float):
        if isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        if abs(seconds) >= 1 << 33:
            raise OverflowError("timestamp out of range for platform time_t")
        value = ceil(seconds * SECOND)
    else:
        value = index(seconds) * SECOND  # type: ignore[arg-type]  # it raises the TypeError wanted
    if value < 0:
        raise ValueError("sleep length must be non-negative")
    return value


def module(app: App) -> ModuleType:
    """The ``time`` module of that process."""
    tasks = app.tasks
    clock = tasks.clock

    def sleep(seconds: float, /) -> None:
        """Wait that long in virtual time; others run meanwhile."""
        delay = nanoseconds(seconds)
        app.check()
        tasks.block(Sleep("", "nanosleep", deadline=clock.now + delay))

    def monotonic() -> float:
        """Seconds since boot."""
        return clock.now / SECOND

    def monotonic_ns() -> int:
        """Nanoseconds since boot."""
        return clock.now

    def time() -> float:
        """Seconds since the epoch of Unix; every simulated Mac boots at ``EPOCH``."""
        return EPOCH + clock.now / SECOND

    def time_ns() -> int:
        """The same in nanoseconds."""
        return EPOCH * SECOND + clock.now

    result = ModuleType("time", "The time module of a simulated process.")
    result.__dict__.update(
        sleep=sleep,
        monotonic=monotonic,
        monotonic_ns=monotonic_ns,
        perf_counter=monotonic,
        perf_counter_ns=monotonic_ns,
        time=time,
        time_ns=time_ns,
    )
    return result
