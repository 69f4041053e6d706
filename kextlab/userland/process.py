"""A simulated process: what ``mac.spawn()`` returns.

Its ``socket``, ``fcntl``, ``os``, ``select``, ``time`` and ``asyncio`` are module objects of this
process alone; two processes share no descriptor and no setting. All of them enter the kernel
through one gate. They are made, and their code imported, when they are first used.

``run`` starts a program as a task, a thread of the process; the process goes on when its programs
end, until ``exit``. Read beside it: ``bsd/kern/kern_exit.c`` (``proc_exit``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from kextlab.kernel.tasks import Tasks
from kextlab.sched.stop import Killed
from kextlab.sched.task import Task
from kextlab.trace.codes import SIGNAL
from kextlab.trace.log import Trace
from kextlab.userland.files import Files
from kextlab.userland.gate import Gate

if TYPE_CHECKING:
    from kextlab.kernel.iokit import IOKitGate
    from kextlab.kernel.vm_traps import VmTraps
    from kextlab.userland.asyncio import Loop
    from kextlab.userland.launchd import Launchd
    from kextlab.userland.mach import MachGate


class Identity(Protocol):
    """What the kernel knows of a process by itself."""

    @property
    def pid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> int: ...


class HasIOKit(Protocol):
    """The boot a process lives in."""

    @property
    def iokit(self) -> IOKitGate: ...


class App:
    """A process of the simulated Mac.

    Args:
        process: its number, name and user.
        gate: how it enters the kernel: ``Syscalls`` or anything with its methods.
        trace: where the kernel records, for ``signals``.
        tasks: the threads of this boot.
        mach: the Mach calls, ``MachTraps`` or anything with its methods, and launchd.
        system: where its ``iokit`` module leads; ``None``: it has none.
    """

    def __init__(
        self,
        process: Identity,
        gate: Gate,
        trace: Trace,
        tasks: Tasks,
        mach: tuple[MachGate, Launchd, VmTraps] | None = None,
        system: HasIOKit | None = None,
    ) -> None:
        self._process = process
        self._mach = mach
        self._system = system
        self._trace = trace
        self.tasks = tasks
        self.gate = gate
        self.files = Files(process.pid, gate)
        self.exited = False
        self.killed = False  # ended by SIGKILL
        self.ended_with = 0  # the boot it ended with, once the machine has started again

    def __repr__(self) -> str:
        end = f", ended with boot {self.ended_with}" if self.ended_with else ""
        end = ", exited" if self.exited else end
        return f"<App {self.name!r}, pid {self.pid}, uid {self.uid}{end}>"

    @property
    def name(self) -> str:
        """The name it was spawned with."""
        return self._process.name

    @property
    def pid(self) -> int:
        """Its number in this boot."""
        return self._process.pid

    @property
    def uid(self) -> int:
        """Its user; 0 is root."""
        return self._process.uid

    @cached_property
    def socket(self) -> ModuleType:
        """Its ``socket`` module."""
        from kextlab.userland import socket

        return socket.module(self)

    @cached_property
    def fcntl(self) -> ModuleType:
        """Its ``fcntl`` module."""
        from kextlab.userland import fcntl

        return fcntl.module(self)

    @cached_property
    def os(self) -> ModuleType:
        """Its ``os`` module, as far as descriptors go."""
        from kextlab.userland import os

        return os.module(self)

    @cached_property
    def select(self) -> ModuleType:
        """Its ``select`` module."""
        from kextlab.userland import select

        return select.module(self)

    @cached_property
    def time(self) -> ModuleType:
        """Its ``time`` module: virtual time."""
        from kextlab.userland import time

        return time.module(self)

    @cached_property
    def mach(self) -> ModuleType:
        """Its ``mach`` module: ports and messages.

        Raises:
            NotImplementedError: it enters the kernel through another gate.
        """
        from kextlab.userland import mach

        if self._mach is None:
            raise NotImplementedError("Mach calls over another gate are not modelled")
        return mach.module(self, *self._mach)

    @cached_property
    def launch(self) -> ModuleType:
        """What launch.h has for a job of launchd's: ``launch_activate_socket``.

        Raises:
            NotImplementedError: it enters the kernel through another gate.
        """
        from kextlab.userland import launchd_sockets

        if self._mach is None:
            raise NotImplementedError("launchd over another gate is not modelled")
        return launchd_sockets.module(self, self._mach[1])

    @cached_property
    def asyncio(self) -> ModuleType:
        """Its ``asyncio`` module, for ``async def`` programs."""
        from kextlab.userland import asyncio

        return asyncio.module(self)

    @cached_property
    def iokit(self) -> ModuleType:
        """IOKit.framework, as far as it is modelled."""
        from kextlab.userland import iokit

        if self._system is None:
            raise NotImplementedError("IOKit over a gate of one's own is not modelled")
        return iokit.module(self, self._system.iokit)

    @cached_property
    def loop(self) -> Loop:
        """The event loop of its ``async def`` programs."""
        from kextlab.userland import asyncio

        return asyncio.Loop(self)

    @property
    def signals(self) -> list[str]:
        """The signals it was sent, oldest first. CPython ignores SIGPIPE; the trace records it.
        Empty when the kernel records no trace."""
        pid = self.pid
        return [
            str(entry[2])
            for entry in self._trace.entries()
            if entry[0] == SIGNAL and entry[1] == pid
        ]

    def check(self) -> None:
        """ProcessLookupError once it has exited or its boot is over."""
        if self.ended_with:
            raise ProcessLookupError(
                f"no process {self.pid} in this boot: it ended with the last one"
            )
        if self.exited:
            raise ProcessLookupError(
                f"process {self.pid} ({self.name}) has exited; spawn a new one"
            )

    # -- running ---------------------------------------------------------------------------

    def run(self, program: Callable[..., Any], *args: Any, name: str | None = None) -> Task:
        """Start a program as a task of this process: ``program(app, *args)``.

        It begins when tasks run: in ``mac.run()``, ``mac.step()``, or while a call of the
        notebook waits. What it returns or raises is the task's ``result()``; an exception nobody
        has seen is raised by ``mac.run()``.

        Args:
            program: an ``async def``, or a plain function with blocking calls, which needs
                greenlet.
            name: the task's name; the process's by default, with a number from the second on.

        Raises:
            TypeError: ``program`` cannot be called with a process.
            ImportError: a plain function, and greenlet is not installed.
            ProcessLookupError: the process is gone.
        """
        from kextlab.userland import programs

        self.check()
        with self.tasks.journal.noting("start", self.pid, program, args, name):
            return programs.start(self, program, args, name)

    def kill(self) -> None:
        """End it by SIGKILL: its programs stop where they are, then as ``exit``."""
        with self.tasks.journal.noting("kill", self.pid):
            if not self.exited:
                self.tasks.signal(self.pid, "SIGKILL")
                self.killed = True
            self.exit()

    def exit(self) -> None:
        """End the process: its programs stop where they are, then all its descriptors are closed,
        the highest first, as XNU does. A second call does nothing.

        A program that is in an uninterruptible wait ends later, and the descriptors with it. Called
        by a program of the process itself, it does not return.
        """
        if not self.exited and not self.ended_with:
            with self.tasks.journal.noting("exit", self.pid):
                self._exit()
        if self.tasks.running.pid == self.pid:
            raise Killed

    def _exit(self) -> None:
        self.exited = True
        for task in self.tasks.exit(self.pid):
            task.then.append(self._last_thread_ended)
        self._last_thread_ended()

    def _last_thread_ended(self, _ended: Task | None = None) -> None:
        """Once no thread is left but the one that calls, the descriptors are closed."""
        running = self.tasks.running
        threads = (task for task in self.tasks.tasks.values() if task.pid == self.pid)
        if all(task.done or task is running for task in threads) and not self.ended_with:
            for fd in sorted(self.tasks.descriptors(self.pid), reverse=True):
                self.files.close(fd)
            if self._mach is not None:
                self._mach[0].terminate(self.pid)
                self._mach[2].terminate(self.pid)
