"""What task 0 asks of a machine, one call at a time: the lines of a scenario.

A call is data: it is written to a file, done on any machine, and done again. Doing one never
raises for what the machine answers: an errno, a refusal to unload and a panic are part of the
story, and the story goes on. ``calls_json`` writes and reads them.

Left out, because a scenario holds calls and no code: what a notebook does with the object of a
kext or a driver. Where that reached the kernel (``echo.kpi.ctl_enqueuedata(...)``), it is a
``KpiCall``, as far as the function's arguments are plain (``REPLAYED``), or an ``Enqueue``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kextlab.kernel.kpi import KevMsg, Kpi, Out
from kextlab.scenario.fault import Fault
from kextlab.scenario.recording import Step
from kextlab.scenario.values import Json


@dataclass(frozen=True, slots=True)
class Load:
    """Load a kext. ``kext`` is its name in the scenario's table."""

    kext: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Unload a kext, by its identifier."""

    kext: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process; its pid is the next one."""

    name: str
    uid: int = 501


@dataclass(frozen=True, slots=True)
class Start:
    """Start a program in a process. ``program`` is its name in the scenario's table."""

    program: str
    pid: int
    args: tuple[object, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RunTasks:
    """``mac.run(until)``: run tasks until none can, or until that virtual time in s. With ``to``
    it ends before the first task that would run on at or after that step."""

    until: float | None = None
    to: int | None = None


@dataclass(frozen=True, slots=True)
class StepTask:
    """``mac.step()``: run one task to its next yield point."""


@dataclass(frozen=True, slots=True)
class Sleep0:
    """Task 0 sleeps outside any system call: ``app.time.sleep``, or a select that waits.

    ``until`` is the virtual time, in ns, at which that ends at the latest.
    """

    channels: tuple[str, ...] = ()
    wmesg: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """A process ends."""

    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A process is killed."""

    pid: int


@dataclass(frozen=True, slots=True)
class Syscall:
    """A call of a process into the kernel or to launchd, by C's name (``scenario.gates``)."""

    pid: int
    name: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class KpiCall:
    """A kernel function called for a kext from outside its callbacks."""

    kext: str
    name: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Touch:
    """A process reads or writes its memory, which is no call: ``TOUCHES`` says how."""

    pid: int
    how: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class AddDriver:
    """Start a driver. ``driver`` is its name in the scenario's table of kexts, ``name`` what
    processes find it by."""

    driver: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Terminate a driver, by its name in the trace, ``io_service:2``."""

    service: str


@dataclass(frozen=True, slots=True)
class Enqueue:
    """A driver puts a record into a data queue, by its name in the trace, ``io_queue:1``."""

    queue: str
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class LoadJob:
    """Load a job of launchd: its property list, and its program's name in the scenario's table."""

    plist: dict[str, Json]
    program: str


@dataclass(frozen=True, slots=True)
class UnloadJob:
    """Unload a job of launchd."""

    label: str


@dataclass(frozen=True, slots=True)
class StartJob:
    """Start a job of launchd."""

    label: str


@dataclass(frozen=True, slots=True)
class Inject:
    """A fault was applied here, by hand, on a live machine."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step of a ``kextlab-recording/1`` file, with the answer of the real kernel code in it."""

    step: Step = field(default_factory=dict)


Call = (
    Load
    | Unload
    | Spawn
    | Start
    | RunTasks
    | StepTask
    | Sleep0
    | Exit
    | Kill
    | Syscall
    | KpiCall
    | Touch
    | AddDriver
    | Terminate
    | Enqueue
    | LoadJob
    | UnloadJob
    | StartJob
    | Inject
    | Recorded
)

REPLAYED: Final[Mapping[str, tuple[str, ...]]] = {
    "ctl_deregister": ("kctlref",),
    "ctl_enqueuedata": ("kctlref", "unit", "data", "length", "flags"),
    "ctl_getenqueuespace": ("kctlref", "unit"),
    "ctl_getenqueuepacketcount": ("kctlref", "unit"),
    "ctl_getenqueuereadable": ("kctlref", "unit"),
    "ctl_id_by_name": ("name",),
    "ctl_name_by_id": ("id", "maxsize"),
    "kev_vendor_code_find": ("vendor_string",),
    "kev_msg_post": ("vendor_code", "kev_class", "kev_subclass", "event_code", "dv"),
    "wakeup": ("channel",),
}
"""The kernel functions a scenario can call, with the arguments the trace keeps of them."""

TOUCHES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "load": (("address", "i"), ("size", "i")),
    "store": (("address", "i"), ("data", "b")),
    "store_words": (("address", "i"), ("data", "b"), ("word", "i")),
    "window": (("address", "i"), ("offset", "i"), ("data", "b")),
    "peek": (("address", "i"),),
}
"""How memory is touched, with the arguments behind the pid: ``app.mach``'s ``load``, ``store`` and
``store_words``, a write into a window of IOKit, and a look at one."""


def do_kpi(kpi: Kpi, call: KpiCall) -> object:
    """Call a kernel function as the trace says it was called; what it answered."""
    args: tuple[Any, ...] = call.args
    if call.name == "kev_msg_post":
        return kpi.kev_msg_post(KevMsg(*args) if args else None)
    if call.name == "ctl_name_by_id":
        return kpi.ctl_name_by_id(args[0], Out(), args[1])
    out = (Out(),) if call.name.startswith(("ctl_getenqueue", "kev_vendor")) else ()
    return getattr(kpi, call.name)(*args, *out)
