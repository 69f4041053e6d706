"""What a machine was asked from outside, other than by system calls: the part of a session that
its trace does not hold.

Which factory a kext came from, which function a program is, that tasks were run and until when: a
scenario needs them to do the same again. The kernel keeps them here and never looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from kextlab.sched.scheduler import Scheduler
from kextlab.trace.log import Trace


class Asked(NamedTuple):
    """One thing that was asked.

    Attributes:
        step: the step of the trace at which it began.
        what: ``load``, ``unload``, ``spawn``, ``start``, ``run``, ``step``, ``sleep``, ``exit``,
            ``kill``, ``fault``, ``add_driver``, ``terminate``, ``load_job``, ``unload_job``,
            ``start_job`` or ``touch``: memory was read or written, which is no call. (A store
            that needs no fault the trace tells as a whole.)
        args: with what; a factory, a function or a fault among plain values.
        end: the step after its last one.
    """

    step: int
    what: str
    args: tuple[object, ...]
    end: int


class Journal:
    """Everything asked since boot, in order, by whoever is outside: not by a program, and not
    what is part of something else that was asked."""

    __slots__ = ("_asked", "_busy", "_tasks", "_trace")

    def __init__(self, trace: Trace, tasks: Scheduler) -> None:
        self._trace = trace
        self._tasks = tasks
        self._busy = False
        self._asked: list[Asked] = []
        """With ``Trace.mark`` for steps: those are counted when somebody wants to know."""

    @property
    def items(self) -> list[Asked]:
        """All of it."""
        step = self._trace.step_at
        return [Asked(step(one.step), one.what, one.args, step(one.end)) for one in self._asked]

    @contextmanager
    def noting(self, what: str, *args: object) -> Iterator[None]:
        """What is done inside was asked. Nothing is noted while nothing is recorded."""
        if not self._heard():
            yield
            return
        start = self._trace.mark()
        at = len(self._asked)
        self._asked.append(Asked(start, what, args, start))
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self._asked[at] = Asked(start, what, args, self._trace.mark())

    def noted(self, start: int, what: str, *args: object) -> None:
        """What was just done, and began at ``Trace.mark`` ``start``, was asked if it left a trace:
        ``noting`` for what cannot ask for anything else meanwhile."""
        end = self._trace.mark()
        if end != start and self._heard():
            self._asked.append(Asked(start, what, args, end))

    def _heard(self) -> bool:
        """Whether what is asked now is for the journal."""
        outside = self._tasks.running is self._tasks.outside
        return outside and not self._busy and self._trace.record is not None
