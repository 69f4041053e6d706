"""What a fault is, and finding on a machine what it is about.

A fault is data. It is applied by whoever runs the machine (``kextlab.scenario.play``), at the first
moment at or after its step when the kernel lets go: between two calls of task 0, or before a task
runs on. The kernel has a few places where it can be told to be short of something
(``MbufPool.limit``, ``Task.not_before``, ``Descriptors.before_read``); it never looks at a trace or
at a step itself. The kinds of faults are in ``readers`` and ``faults``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from kextlab.bsd.kctl import CtlCb, Kctl
from kextlab.bsd.socketvar import Socket
from kextlab.kernel.kernel import Kernel, name_of_kext
from kextlab.kernel.kext import Kext
from kextlab.kernel.system import Process
from kextlab.scenario.values import ScenarioError
from kextlab.sched.clock import SECOND
from kextlab.sched.task import Task

if TYPE_CHECKING:
    from kextlab.userland.process import App

NEVER: Final = 1 << 63
"""A virtual time, in ns, that no run reaches."""
READS: Final = ("recvfrom", "recvmsg", "recvmsg_x")
"""The system calls that read."""


@dataclass(slots=True)
class Armed:
    """A fault at work.

    Attributes:
        lift: ends it.
        skips: whether a system call of task 0 (pid, name) is left out.
        tend: called before a task runs on and between the calls of task 0.
    """

    lift: Callable[[], None] | None = None
    skips: Callable[[int, str], bool] | None = None
    tend: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """What goes wrong. ``at`` is the step, ``until`` the step at which it is over."""

    at: int | None = None
    until: int | None = None

    kind: ClassVar[str] = ""
    lasts: ClassVar[bool] = True
    """Whether it goes on until it is lifted."""

    @property
    @abstractmethod
    def label(self) -> str:
        """One line that says what it does."""

    def why_not(self, mac: Kernel) -> str:
        """Why it cannot apply to the machine as it is; empty if it can."""
        if mac.panic is not None:
            return "the machine has panicked"
        return self.obstacle(mac)

    @abstractmethod
    def obstacle(self, mac: Kernel) -> str:
        """As ``why_not``, on a machine that runs."""

    @abstractmethod
    def begin(self, mac: Kernel) -> Armed:
        """Apply it, after ``why_not``."""

    def inject(self, mac: Kernel) -> Armed:
        """Apply it now.

        Raises:
            ScenarioError: it cannot apply.
        """
        why = self.why_not(mac)
        if why:
            raise ScenarioError(f"{self.kind}: {why}")
        with mac.system.journal.noting("fault", self):
            return self.begin(mac)


# -- finding things ----------------------------------------------------------------------------


def process_named(mac: Kernel, who: str | int) -> Process | None:
    """The running process of that name or pid, the first if there are several."""
    for process in mac.system.processes.values():
        if who in (process.name, process.pid) and not process.exited:
            return process
    return None


def app_of(mac: Kernel, pid: int) -> App | None:
    """The process as userland has it; ``None`` for one without, such as the recorder's."""
    return next((app for app in getattr(mac, "processes", ()) if app.pid == pid), None)


def kext_named(mac: Kernel, name: str) -> Kext | None:
    """The loaded kext of that identifier."""
    return next((kext for kext in mac.kexts() if name_of_kext(kext) == name), None)


def controls(mac: Kernel, kext: str) -> list[Kctl]:
    """The controls a kext has registered."""
    return [kctl for kctl in mac.system.domain.control.controls if kctl.text.name == kext]


def sockets(process: Process) -> list[Socket]:
    """The sockets of a process that are a unit of a control, each once, by descriptor."""
    found = {file.so.number: file.so for _, file in sorted(process.descriptors.files.items())}
    return [
        so for so in found.values() if isinstance(so.so_pcb, CtlCb) and so.so_pcb.kctl is not None
    ]


def tasks(mac: Kernel, pid: int) -> list[Task]:
    """The tasks of a process that have not ended."""
    return [task for task in mac.system.tasks.tasks.values() if task.pid == pid and not task.done]


def check_delay(kind: str, delay: object) -> None:
    """ScenarioError unless ``delay`` is a time to wait, in s."""
    if not isinstance(delay, int | float) or not 0 < delay < NEVER / SECOND:
        raise ScenarioError(f"{kind}: delay is {delay!r}, expected seconds above 0")


def in_seconds(value: float) -> str:
    """A time in words."""
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


@dataclass(frozen=True, slots=True)
class OfProcess(Fault):
    """A fault of one process, given by name or pid."""

    process: str | int

    def obstacle(self, mac: Kernel) -> str:
        if process_named(mac, self.process) is None:
            return f"no process {self.process} is running"
        return ""

    def found(self, mac: Kernel) -> Process:
        """The process, of which ``obstacle`` has seen that it is there."""
        process = process_named(mac, self.process)
        assert process is not None
        return process
