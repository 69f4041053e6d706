"""A simulated process: what ``mac.spawn()`` returns.

Its ``socket``, ``fcntl``, ``os`` and ``select`` are module objects of this process alone; two
processes share no descriptor and no setting. All of them enter the kernel through one gate.
They are made, and their code imported, when they are first used. Read beside it:
``bsd/kern/kern_exit.c`` (``proc_exit``).
"""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import Protocol

from kextlab.trace.codes import SIGNAL
from kextlab.trace.log import Trace
from kextlab.userland.files import Files
from kextlab.userland.gate import Gate


class Identity(Protocol):
    """What the kernel knows of a process by itself."""

    @property
    def pid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> int: ...


class App:
    """A process of the simulated Mac.

    Args:
        process: its number, name and user.
        gate: how it enters the kernel: ``Syscalls`` or anything with its methods.
        trace: where the kernel records, for ``signals``.
    """

    def __init__(self, process: Identity, gate: Gate, trace: Trace) -> None:
        self._process = process
        self._trace = trace
        self.gate = gate
        self.files = Files(process.pid, gate)
        self.exited = False
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

    def exit(self) -> None:
        """End the process: all its descriptors are closed, the highest first, as XNU does. A
        second call does nothing."""
        self.exited = True
        for fd in sorted(self.files.open, reverse=True):
            self.files.close(fd)
