"""Virtual time: nanoseconds since boot, and the waits that end at a certain one.

Time passes only when nobody can run: then the clock jumps to the next deadline. Waits with the
same deadline end in the order in which they began.
"""

from __future__ import annotations

from heapq import heappop, heappush

from kextlab.sched.task import Task

SECOND = 1_000_000_000
"""Nanoseconds."""


class Clock:
    """The time ``now``, in ns, and who waits for which."""

    __slots__ = ("_begun", "_timers", "now")

    def __init__(self) -> None:
        self.now = 0
        self._timers: list[tuple[int, int, Task, int]] = []
        """(deadline, order, task, which of its sleeps), the earliest first."""
        self._begun = 0

    def add(self, deadline: int, task: Task) -> None:
        """The sleep the task begins ends at ``deadline`` at the latest."""
        self._begun += 1
        heappush(self._timers, (deadline, self._begun, task, task.sleeps))

    def next(self) -> int | None:
        """The next deadline of a sleep that still lasts."""
        timers = self._timers
        while timers and timers[0][2].sleeps != timers[0][3]:
            heappop(timers)
        return timers[0][0] if timers else None

    def due(self) -> Task | None:
        """A task whose deadline has come; its sleep ends."""
        deadline = self.next()
        if deadline is None or deadline > self.now:
            return None
        return heappop(self._timers)[2]
