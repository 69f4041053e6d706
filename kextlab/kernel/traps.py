"""What the gates of Mach, of memory, of IOKit and of launchd have in common: how a call enters the
kernel, and how it leaves.

A call is recorded with its arguments, gives its process a space of names with the first one, and
is recorded with its answer: a code by its name, and what C would write through pointers. The
system calls of BSD (``kextlab.kernel.syscalls``) have their own, with errno.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from kextlab.abi.mach import mach_error_name
from kextlab.kernel.system import Process, System
from kextlab.osfmk.ipc_space import Space
from kextlab.osfmk.vm_sanitize import U64, whole
from kextlab.trace.codes import KERN_RETURN, SYSCALL

T = TypeVar("T")
P = ParamSpec("P")
G = TypeVar("G", bound="Traps")

U32: Final = (1 << 32) - 1
_WHOLE: Final = {
    "n": (0, U32, "uint32_t"),
    "i": (-1 << 31, U32, "int"),  # or a set of flags, whose highest bit may be set
    "d": (-1 << 31, (1 << 31) - 1, "int32_t"),
    "a": (0, U64, "uint64_t"),
}


def check_argument(name: str, kind: str, value: Any) -> None:  # whatever somebody handed in
    """``value`` is what C's prototype has there; ``kind`` is a letter, as ``trap`` takes them.

    Raises:
        ValueError, TypeError: it is not; the message names the argument.
    """
    if kind == "s":
        if not isinstance(value, str):
            raise TypeError(f"{name} is {value!r}, and must be text")
    else:
        whole(name, value, *_WHOLE[kind])


def trap(
    kinds: str,
) -> Callable[[Callable[Concatenate[G, int, P], T]], Callable[Concatenate[G, int, P], T]]:
    """A call of a gate: its arguments behind the pid are looked at before anything happens, and
    what is not modelled ends it in the trace, too.

    Args:
        kinds: a letter for each argument: ``n`` a name or another unsigned number, ``i`` an int,
            ``d`` a signed number, ``a`` an address or a size, ``s`` text.
    """

    def decorate(
        call: Callable[Concatenate[G, int, P], T],
    ) -> Callable[Concatenate[G, int, P], T]:
        names = tuple(inspect.signature(call).parameters)[2:]
        wanted = tuple(zip(names, kinds, strict=True))

        @wraps(call)
        def checked(gate: G, pid: int, /, *args: P.args, **named: P.kwargs) -> T:
            for (name, kind), value in zip(wanted, args, strict=False):
                check_argument(name, kind, value)
            try:
                return call(gate, pid, *args, **named)
            except NotImplementedError as end:
                gate.not_modelled(end)
                raise

        return checked

    return decorate


class Traps:
    """A gate of one boot."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._rec = system.rec
        self.running = system.running
        """The processes that may enter, as ``System`` says."""

    def _process(self, pid: int) -> Process:
        """The process that enters.

        Raises:
            Exception: what ``System.enter`` says.
        """
        return self.running.get(pid) or self._system.enter(pid)

    @staticmethod
    def _check_alive(process: Process) -> None:
        """What is no call may be done by the living only.

        Raises:
            ProcessLookupError: the process has exited.
        """
        if process.exited:
            raise ProcessLookupError(f"process {process.pid} ({process.name}) has exited")

    def not_modelled(self, end: NotImplementedError) -> None:
        """The call that is open does not answer."""
        self._system.record_stop(end)

    def _new_space(self, process: Process) -> Space:
        """A process that has no port names yet gets room for them."""
        process.space = Space(self._system.ipc, process.pid)
        return process.space

    def _enter(self, pid: int, name: str, *args: object) -> Space:
        """A call begins."""
        process = self.running.get(pid) or self._system.enter(pid)
        if self._rec is not None:
            self._rec((SYSCALL, pid, name, len(args), *args))
        return process.space or self._new_space(process)

    def _leave(self, code: int, value: T) -> tuple[int, T]:
        """It answers."""
        self._settle()
        if self._rec is not None:
            self._rec((KERN_RETURN, self._word(code), value))
        return code, value

    @staticmethod
    def _word(code: int) -> str:
        """The name of a code."""
        return mach_error_name(code)

    def _settle(self) -> None:
        """Kernel objects do what is to be done about their last send rights. Nothing of that runs
        any more in a boot that ended."""
        system = self._system
        system.ipc.guards.clear()
        if system.ipc.later and system.panic is None and not system.over:
            system.iokit.senders_gone()
