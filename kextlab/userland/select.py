"""A simulated process's ``select`` module: ``select()`` and ``poll()``.

What is ready now is the answer; if nothing is, the process waits while other tasks run and
virtual time passes. A wait without a time-out that nobody can end is a deadlock. Read beside it:
CPython's ``Modules/selectmodule.c``; ``bsd/kern/sys_generic.c`` (``select``, ``poll``).

Left out: kqueue; POLLHUP and POLLERR, which the gate does not tell from readable and writable;
exceptional conditions, which a system socket never has.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from types import ModuleType
from typing import TYPE_CHECKING, Final

from kextlab.abi.errno import EINTR, ENOENT, oserror
from kextlab.sched.stop import SimDeadlock, told
from kextlab.userland.arguments import fildes
from kextlab.userland.files import modelled
from kextlab.userland.gate import MAX_RETRIES, check, endless
from kextlab.userland.time import nanoseconds

if TYPE_CHECKING:
    from kextlab.userland.process import App

FD_SETSIZE: Final = 1024

POLLIN: Final = 0x1
POLLPRI: Final = 0x2
POLLOUT: Final = 0x4
POLLNVAL: Final = 0x20
POLLRDNORM: Final = 0x40

CONSTANTS: Final = {
    "POLLIN": POLLIN,
    "POLLPRI": POLLPRI,
    "POLLOUT": POLLOUT,
    "POLLERR": 0x8,
    "POLLHUP": 0x10,
    "POLLNVAL": POLLNVAL,
    "POLLRDNORM": POLLRDNORM,
    "POLLRDBAND": 0x80,
    "POLLWRNORM": POLLOUT,
    "POLLWRBAND": 0x100,
}


def _nothing(what: str, stop: SimDeadlock) -> SimDeadlock:
    return SimDeadlock(
        f"{what} waits without a time-out, none of its descriptors is ready and nothing else can "
        "run: nobody is left to make one ready. Give a time-out, or let the other side act first"
        + told(stop.graph),
        stop.sleep,
        stop.graph,
    )


def module(app: App) -> ModuleType:
    """The ``select`` module of that process."""
    pid, gate = app.pid, app.gate

    def descriptors(files: Sequence[object]) -> list[tuple[object, int]]:
        try:
            pairs = [(file, fildes(file)) for file in iter(files)]
        except TypeError as error:
            if hasattr(files, "__iter__"):
                raise
            raise TypeError("arguments 1-3 must be sequences") from error
        for _, fd in pairs:
            if fd >= FD_SETSIZE:
                raise ValueError("filedescriptor out of range in select()")
            modelled(fd)
        return pairs

    def wait(what: str, readers: list[int], writers: list[int], delay: int | None) -> None:
        """Sleep until one of them is ready, or the time (ns) has passed."""
        deadline = None if delay is None else app.tasks.clock.now + delay
        for _ in range(MAX_RETRIES):
            left = None if deadline is None else max(deadline - app.tasks.clock.now, 0)
            try:
                errno, _ = gate.select(pid, readers, writers, left)
            except SimDeadlock as stop:
                raise _nothing(what, stop) from None
            if errno != EINTR:
                return
        raise endless()

    def ready(fd: int) -> tuple[bool, bool]:
        errno, readiness = gate.poll(pid, fd)
        check(errno)
        return readiness

    def select(
        rlist: Sequence[object],
        wlist: Sequence[object],
        xlist: Sequence[object],
        timeout: float | None = None,
        /,
    ) -> tuple[list[object], list[object], list[object]]:
        """The files of each list that are ready: to read, to write, exceptionally.

        Three empty lists when the time-out has passed first. EBADF for a closed one.

        Raises:
            SimDeadlock: no time-out, and nothing that can run makes one ready.
        """
        delay = None
        if timeout is not None:
            if not isinstance(timeout, (int, float)):
                raise TypeError("timeout must be a float or None")
            if timeout < 0:
                raise ValueError("timeout must be non-negative")
            delay = nanoseconds(timeout)
        app.check()
        readers, writers, others = (descriptors(files) for files in (rlist, wlist, xlist))

        def found() -> tuple[list[object], list[object]]:
            readable = [file for file, fd in readers if ready(fd)[0]]
            return readable, [file for file, fd in writers if ready(fd)[1]]

        readable, writable = found()
        for _, fd in others:
            ready(fd)
        if delay != 0 and not readable and not writable:
            wait("select()", [fd for _, fd in readers], [fd for _, fd in writers], delay)
            readable, writable = found()
        return readable, writable, []

    def mask_of(events: int) -> int:
        if index(events) < 0:
            raise ValueError("value must be positive")
        return index(events)

    class poll:
        """A set of descriptors to ask about."""

        def __init__(self) -> None:
            self._events: dict[int, int] = {}

        def register(self, fd: object, eventmask: int = POLLIN | POLLPRI | POLLOUT, /) -> None:
            """Add a descriptor, or change what is asked about it."""
            self._events[fildes(fd)] = mask_of(eventmask)

        def modify(self, fd: object, eventmask: int, /) -> None:
            """Change what is asked about a descriptor. ENOENT if it is not registered."""
            if fildes(fd) not in self._events:
                raise oserror(ENOENT)
            self._events[fildes(fd)] = mask_of(eventmask)

        def unregister(self, fd: object, /) -> None:
            """Remove a descriptor. KeyError if it is not registered."""
            del self._events[fildes(fd)]

        def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
            """(descriptor, events) of each that is ready; POLLNVAL if it is not open. None when the
            time-out (ms) has passed first.

            Raises:
                SimDeadlock: no time-out (``None`` or negative), and nothing that can run makes one
                    ready.
            """
            app.check()
            delay = None if timeout is None or timeout < 0 else nanoseconds(timeout / 1000)
            found = self._ready()
            if not found and delay != 0:
                masks = self._events.items()
                readers = [fd for fd, mask in masks if mask & (POLLIN | POLLRDNORM)]
                writers = [fd for fd, mask in masks if mask & POLLOUT]
                wait("poll()", readers, writers, delay)
                found = self._ready()
            return found

        def _ready(self) -> list[tuple[int, int]]:
            found = []
            for fd, mask in self._events.items():
                modelled(fd)
                errno, (readable, writable) = gate.poll(pid, fd)
                events = mask & (POLLIN | POLLRDNORM) if readable else 0
                events |= mask & POLLOUT if writable else 0
                if errno:
                    events = POLLNVAL
                if events:
                    found.append((fd, events))
            return found

    poll.__module__ = "select"
    poll.__qualname__ = "poll"
    result = ModuleType("select", "The select module of a simulated process.")
    result.__dict__.update(CONSTANTS, error=OSError, select=select, poll=poll)
    return result
