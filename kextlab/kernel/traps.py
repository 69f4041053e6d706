"""What the gates of Mach, of memory, of IOKit and of launchd have in common: how a call enters the
kernel, and how it leaves.

A call is recorded with its arguments, gives its process a space of names with the first one, and
is recorded with its answer: a code by its name, and what C would write through pointers. The
system calls of BSD (``kextlab.kernel.syscalls``) have their own, with errno.
"""

from __future__ import annotations

from typing import TypeVar

from kextlab.abi.mach import mach_error_name
from kextlab.kernel.system import Process, System
from kextlab.osfmk.ipc_space import Space
from kextlab.trace.codes import RETURN, SYSCALL

T = TypeVar("T")


class Traps:
    """A gate of one boot."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._rec = system.rec

    def _process(self, pid: int) -> Process:
        """The process that enters.

        Raises:
            Exception: what ``System.enter`` says.
        """
        return self._system.running.get(pid) or self._system.enter(pid)

    def _space(self, process: Process) -> Space:
        """The port names of a process."""
        if process.space is None:
            process.space = Space(self._system.ipc, process.pid)
        return process.space

    def _enter(self, pid: int, name: str, *args: object) -> Space:
        """A call begins."""
        process = self._system.running.get(pid) or self._system.enter(pid)
        if self._rec is not None:
            self._rec((SYSCALL, pid, name, len(args), *args))
        return process.space or self._space(process)

    def _leave(self, code: int, value: T) -> tuple[int, T]:
        """It answers."""
        self._system.ipc.guards.clear()
        if self._rec is not None:
            self._rec((RETURN, 0, (self._word(code), value)))
        return code, value

    @staticmethod
    def _word(code: int) -> str:
        """The name of a code."""
        return mach_error_name(code)
