"""Faults: what can go wrong, as data that a scenario applies at a step.

``at`` is the step (``None``: at once, or the step of the branch), ``until`` the step at which it
ends; what happens in one moment (a kill, an unload) has no end. ``why_not(mac)`` says in a line why
a fault cannot apply now, and nothing if it can; ``offered(mac)`` are those that can. What a fault
is stands in ``fault``, those of readers in ``readers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

from kextlab.abi.constants import CTL_DATA_EOR
from kextlab.abi.errno import name_of, number_of
from kextlab.bsd.kctl import NAMES
from kextlab.kernel.kernel import Kernel, name_of_kext
from kextlab.kernel.kext import KextError
from kextlab.scenario.fault import (
    Armed,
    Fault,
    OfProcess,
    app_of,
    controls,
    kext_named,
    process_named,
    sockets,
)
from kextlab.scenario.readers import DeadReader, DelayedTask, QuickReader, SlowReader
from kextlab.scenario.recording import in_json
from kextlab.scenario.values import ScenarioError, is_number
from kextlab.sched.stop import SimStop

__all__ = [
    "CallbackFault",
    "DeadReader",
    "DelayedTask",
    "Fault",
    "FullQueue",
    "Killed",
    "MbufShortage",
    "QuickReader",
    "SlowReader",
    "UnloadUnderLoad",
    "offered",
]


# -- memory and queues -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MbufShortage(Fault):
    """The machine is out of mbufs: ``left`` more than are in use now can be allocated. What is
    freed can be allocated again."""

    left: int = 0

    kind: ClassVar[str] = "mbuf-shortage"

    def __post_init__(self) -> None:
        if not is_number(self.left, 0):
            raise ScenarioError(f"{self.kind}: left is {self.left!r}, expected 0 or more")

    @property
    def label(self) -> str:
        return "no mbuf is left" if not self.left else f"only {self.left} mbufs are left"

    def obstacle(self, mac: Kernel) -> str:
        limit = mac.system.domain.pool.limit
        return "" if limit is None else f"the machine has no more than {limit} mbufs already"

    def begin(self, mac: Kernel) -> Armed:
        pool = mac.system.domain.pool
        pool.set_limit(len(pool.live) + self.left)
        return Armed(lambda: pool.set_limit(None))


@dataclass(frozen=True, slots=True)
class FullQueue(OfProcess):
    """The receive queues of a process are filled with records of 0xEE bytes, by the kexts behind
    them, until nothing more fits."""

    record: int = 1024

    kind: ClassVar[str] = "full-queue"
    lasts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not is_number(self.record, 1):
            raise ScenarioError(f"{self.kind}: record is {self.record!r}, expected 1 or more bytes")

    @property
    def label(self) -> str:
        return f"the receive queue of {self.process} is full"

    def obstacle(self, mac: Kernel) -> str:
        process = process_named(mac, self.process)
        if process is None:
            return f"no process {self.process} is running"
        if not sockets(process):
            return f"{self.process} is connected to no control"
        if not any(so.so_rcv.sbspace() for so in sockets(process)):
            return f"the receive queue of {self.process} is full already"
        return ""

    def begin(self, mac: Kernel) -> Armed:
        for so in sockets(self.found(mac)):
            kctl = so.so_pcb.kctl
            kext = kext_named(mac, kctl.text.name)
            while kext is not None and (space := so.so_rcv.sbspace()):
                size = min(space, self.record)
                if kext.kpi.ctl_enqueuedata(
                    kctl.kctlref, so.so_pcb.unit, b"\xee" * size, size, CTL_DATA_EOR
                ):
                    break  # a control that keeps a reserve takes no more
        return Armed()


# -- kexts and processes -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallbackFault(Fault):
    """The next ``times`` calls of a kext's callback go wrong: its code does not run; it answers
    ``errno``, or a fault in kernel mode takes the machine down if ``raises`` is given."""

    kext: str
    callback: str
    errno: int | str | None = None
    raises: str | None = None
    times: int = 1

    kind: ClassVar[str] = "callback-fault"

    def __post_init__(self) -> None:
        if self.callback not in NAMES:
            raise ScenarioError(
                f"{self.kind}: {self.callback!r} is no callback; there are {', '.join(NAMES)}"
            )
        if (self.errno is None) == (self.raises is None):
            raise ScenarioError(f"{self.kind}: give errno or raises, and not both")
        if isinstance(self.errno, str):
            number_of(self.errno)
        if not is_number(self.times, 1):
            raise ScenarioError(f"{self.kind}: times is {self.times!r}, expected 1 or more")

    @property
    def label(self) -> str:
        what = f"{self.kext}'s {self.callback} callback"
        if self.raises is not None:
            return f"{what} faults in kernel mode: {self.raises}"
        return f"{what} answers {name_of(self._number())}"

    def _number(self) -> int:
        return number_of(self.errno) if isinstance(self.errno, str) else self.errno or 0

    def obstacle(self, mac: Kernel) -> str:
        if kext_named(mac, self.kext) is None:
            return f"no kext {self.kext} is loaded"
        if not any(getattr(kctl, self.callback) for kctl in controls(mac, self.kext)):
            return f"no control of {self.kext} has a {self.callback} callback"
        return ""

    def begin(self, mac: Kernel) -> Armed:
        pool = mac.system.domain.pool
        replaced = [
            (kctl, getattr(kctl, self.callback))
            for kctl in controls(mac, self.kext)
            if getattr(kctl, self.callback) is not None
        ]
        left = self.times

        def lift() -> None:
            for kctl, callback in replaced:
                setattr(kctl, self.callback, callback)

        def faulty(*args: Any) -> int:  # the callback's own arguments
            nonlocal left
            left -= 1
            if left == 0:
                lift()
            if self.raises is not None:
                raise RuntimeError(self.raises)
            if self.callback in ("send", "send_list"):
                pool.freem_list(args[3])
            return self._number()

        for kctl, _ in replaced:
            setattr(kctl, self.callback, faulty)
        return Armed(lift)


@dataclass(frozen=True, slots=True)
class Killed(OfProcess):
    """A process is killed: its programs end where they are, its descriptors are closed."""

    kind: ClassVar[str] = "killed"
    lasts: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.process} is killed"

    def begin(self, mac: Kernel) -> Armed:
        pid = self.found(mac).pid
        app = app_of(mac, pid)
        assert app is not None
        with suppress(SimStop):  # what a kext did about it is in the trace
            app.kill()
        return Armed(None, lambda other, name: other == pid)

    def obstacle(self, mac: Kernel) -> str:
        process = process_named(mac, self.process)
        if process is None:
            return f"no process {self.process} is running"
        return "" if app_of(mac, process.pid) is not None else "it is the recorder's process"


@dataclass(frozen=True, slots=True)
class UnloadUnderLoad(Fault):
    """A kext is unloaded while clients are connected to it. Its ``stop`` routine may refuse."""

    kext: str

    kind: ClassVar[str] = "unload-under-load"
    lasts: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.kext} is unloaded while clients are connected"

    def obstacle(self, mac: Kernel) -> str:
        if kext_named(mac, self.kext) is None:
            return f"no kext {self.kext} is loaded"
        if not any(kctl.units.count for kctl in controls(mac, self.kext)):
            return f"nobody is connected to {self.kext}: that would be an unload like any other"
        return ""

    def begin(self, mac: Kernel) -> Armed:
        kext = kext_named(mac, self.kext)
        assert kext is not None
        with suppress(KextError, SimStop):  # it refused, or took the machine down: see the trace
            mac.unload(kext)
        return Armed()


KINDS: Final[dict[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (
        SlowReader,
        DeadReader,
        QuickReader,
        DelayedTask,
        MbufShortage,
        FullQueue,
        CallbackFault,
        Killed,
        UnloadUnderLoad,
    )
}
"""Every fault by the name it has in a file."""


# -- what can go wrong now ---------------------------------------------------------------------


def candidates(mac: Kernel) -> Iterator[Fault]:
    """The faults that make sense for what is on the machine."""
    for process in mac.system.processes.values():
        who = process.name if process_named(mac, process.name) is process else process.pid
        if sockets(process):
            yield from (QuickReader(who), SlowReader(who), DeadReader(who), FullQueue(who))
        yield Killed(who)
    for task in mac.system.tasks.tasks.values():
        yield DelayedTask(task.name if task.name else task.number)
    for kext in mac.kexts():
        name = name_of_kext(kext)
        for callback in ("connect", "send"):
            yield CallbackFault(name, callback, errno="ENOMEM")
            yield CallbackFault(name, callback, raises="a null pointer was followed")
        yield UnloadUnderLoad(name)
    yield MbufShortage()


def offered(mac: Kernel) -> list[Fault]:
    """The faults that can apply now, each with its ``label``."""
    return [fault for fault in candidates(mac) if not fault.why_not(mac)]


# -- as JSON -----------------------------------------------------------------------------------


def fault_to_json(fault: Fault) -> dict[str, Any]:
    """A fault as one JSON object; what is as by default is left out."""
    shown = {field.name: (getattr(fault, field.name), field.default) for field in fields(fault)}
    first = {"fault": fault.kind, "at": fault.at}
    return first | {
        key: value for key, (value, default) in shown.items() if key != "at" and value != default
    }


def fault_from_json(line: Any) -> Fault:
    """The fault that ``fault_to_json`` wrote.

    Raises:
        ScenarioError: it is none; says why.
    """
    if not isinstance(line, dict) or not isinstance(line.get("fault"), str):
        raise ScenarioError(f'{in_json(line)} is no fault: {{"fault": NAME, "at": STEP, ...}}')
    given = {key: value for key, value in line.items() if key != "fault"}
    kind = KINDS.get(line["fault"])
    if kind is None:
        raise ScenarioError(f"no fault {in_json(line['fault'])}: there are {', '.join(KINDS)}")
    for key in ("at", "until"):
        value = given.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise ScenarioError(f'{kind.kind}: "{key}" is {in_json(value)}, not a step')
    try:
        return kind(**given)
    except ScenarioError:
        raise
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in fields(kind))
        raise ScenarioError(f"{kind.kind}: {error}; it has {known}") from None
