"""A task: one thread of a simulated process, as the scheduler sees it.

Its body is anything that runs when sent to, like a generator, and hands back where it let go: a
coroutine of an ``async def`` program, a kernel routine, or a blocking program on a greenlet
(``kextlab.userland.greenlets``). Task 0 is whoever calls from outside: a notebook, a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kextlab.sched.stop import Sleep

RUNNABLE, ASLEEP, DONE = "runnable", "asleep", "done"

Suspend = Callable[[Sleep | None], "int | None"]
"""Leaves a body from deep inside, and returns what the sleep answers when it goes on."""


class Body(Protocol):
    """What a task runs: a generator, a coroutine, or something with their methods."""

    def send(self, answer: Any, /) -> Sleep | None:  # Any: None first, then an errno
        """Go on to the next yield point. StopIteration, with the result, at the end."""
        ...

    def close(self) -> object:
        """End it where it is."""
        ...


class Holder(Protocol):
    """Whose descriptors calls hold while they are suspended."""

    def enter(self, fd: int, /) -> None:
        """A call on it is suspended."""
        ...

    def leave(self, fd: int, /) -> None:
        """It has ended."""
        ...


class Task:
    """One task.

    Attributes:
        number: from 1, in the order of starting; 0 is outside.
        name: as the wait-for graph shows it.
        pid: its process, 0 for none.
        state: ``runnable`` (or running), ``asleep`` or ``done``.
        channel, wmesg: what it sleeps on, and in what; empty otherwise.
        group: tasks of one group are one thread: none runs while another blocks it.
        parent: the number of the task that will await it, 0 for none.
        suspend: leaves the body from inside a blocking call; ``None`` if it cannot.
        value, error: what the body returned or raised.
        killed: whether its process was ended; it ends when its kernel call does.
        not_before: the virtual time, in ns, before which it does not run on though it could.
    """

    __slots__ = (
        "answer",
        "body",
        "error",
        "executing",
        "group",
        "in_call",
        "killed",
        "name",
        "not_before",
        "number",
        "parent",
        "pid",
        "point",
        "sleeps",
        "state",
        "suspend",
        "then",
        "told",
        "value",
    )

    def __init__(
        self,
        number: int,
        name: str,
        pid: int,
        body: Body | None = None,
        group: str = "",
        parent: int = 0,
    ) -> None:
        self.number = number
        self.name = name
        self.pid = pid
        self.body = body
        self.group = group
        self.parent = parent
        self.state = RUNNABLE
        self.point: Sleep | None = None
        self.answer: int | None = None
        self.suspend: Suspend | None = None
        self.executing = False
        """Whether its code is on the stack."""
        self.in_call = 0
        """Whether it is inside a system call."""
        self.killed = False
        self.not_before = 0
        self.sleeps = 0
        """How many sleeps have ended: a deadline counts for one of them only."""
        self.value: object = None
        self.error: BaseException | None = None
        self.told = False
        """Whether somebody has seen the error."""
        self.then: list[Callable[[Task], object]] = []
        """Called when it is done."""

    def __repr__(self) -> str:
        where = f" in {self.wmesg} on {self.channel}" if self.state == ASLEEP else ""
        failed = f", {type(self.error).__name__}" if self.error is not None else ""
        return f"<Task {self.number} {self.name!r}, {self.state}{where}{failed}>"

    @property
    def label(self) -> str:
        """As choices name it."""
        return f"task:{self.number} {self.name}"

    @property
    def channel(self) -> str:
        """What it sleeps on."""
        return self.point.shown if self.point is not None else ""

    @property
    def wmesg(self) -> str:
        """What it sleeps in."""
        return self.point.wmesg if self.point is not None else ""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state == DONE

    def result(self) -> Any:  # whatever the program returned
        """What the program returned. Raises what it raised.

        Raises:
            RuntimeError: it has not ended.
        """
        if not self.done:
            raise RuntimeError(f"{self!r} has no result yet; mac.run() runs it")
        self.told = True
        if self.error is not None:
            raise self.error
        return self.value

    def as_plain(self) -> dict[str, object]:
        """The task as plain values, as the trace adds them up."""
        return {
            "name": self.name,
            "pid": self.pid,
            "state": self.state,
            "channel": self.channel,
            "wmesg": self.wmesg,
        }
