"""``Kernel``: a simulated Mac to a notebook, a test or a replay.

It holds the current boot (``kextlab.kernel.system``) and its gates, loads kexts, and starts again
after a panic. All state is in it; two kernels share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import GeneratorType
from typing import NoReturn, TypeVar

from kextlab.bsd import sysctl
from kextlab.bsd.kctl import Text
from kextlab.bsd.kern_control import fault
from kextlab.bsd.mbuf import Mbuf
from kextlab.bsd.release import DEFAULT_RELEASE, release_named
from kextlab.kernel.asked import Asked
from kextlab.kernel.iokit import IOKitGate
from kextlab.kernel.kext import Kext, KextError, refused
from kextlab.kernel.kext_info import KextInfo
from kextlab.kernel.kext_loaded import KextStat, LoadedKexts
from kextlab.kernel.kext_version import parse_version
from kextlab.kernel.kpi import Kpi
from kextlab.kernel.mach_traps import MachTraps
from kextlab.kernel.snapshot import snapshot
from kextlab.kernel.syscalls import Syscalls
from kextlab.kernel.system import Process, System
from kextlab.kernel.vm_traps import VmTraps
from kextlab.sched.chooser import Choice, Chooser
from kextlab.sched.clock import SECOND
from kextlab.sched.stop import KernelPanic, SimStop, interrupted
from kextlab.sched.task import Task
from kextlab.trace.codes import CALLBACK
from kextlab.trace.fold import State
from kextlab.trace.log import Trace

K = TypeVar("K", bound=Kext)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the kernel counts; every value a plain number."""

    kctl: dict[str, int]
    kevt: dict[str, int]
    controls: int
    sockets: int
    mbufs: int


class Kernel:
    """A simulated Mac.

    Args:
        release: XNU's tag, ``"xnu-11417.101.15"`` (macOS 15) or ``"xnu-7195.141.2"`` (macOS 11).
        trace: whether to record what happens.
        chooser: decides which task runs; the one that is ready longest, if none is given. It
            stays with the machine over a reboot.

    Raises:
        ValueError: the release is not modelled.
        TypeError: ``chooser`` has no method ``choose``.
    """

    def __init__(
        self, release: str = DEFAULT_RELEASE, *, trace: bool = True, chooser: Chooser | None = None
    ) -> None:
        if chooser is not None and not callable(getattr(chooser, "choose", None)):
            raise TypeError(f"chooser = {chooser!r}: expected Fifo(), Seeded(n), Recorded(...) ...")
        self._release = release_named(release)
        self._recording = trace
        self._chooser = chooser
        self.boots = 0
        self._boot()

    def _boot(self) -> None:
        self.boots += 1
        self.system = System(self._release, self._recording, self._chooser)
        self.syscalls = Syscalls(self.system)
        self.mach_traps = MachTraps(self.system)
        self.vm_traps = VmTraps(self.system)
        self._kexts: dict[str, tuple[Kext, Text]] = {}
        self.linkage = LoadedKexts(self._release.name)

    def __repr__(self) -> str:
        state = "panicked" if self.panic is not None else "running"
        return f"<Kernel {self.release}, {state}, {len(self.trace)} steps>"

    # -- looking ---------------------------------------------------------------------------

    @property
    def release(self) -> str:
        """XNU's tag."""
        return self._release.name

    @property
    def trace(self) -> Trace:
        """Everything that happened since boot."""
        return self.system.trace

    @property
    def log(self) -> list[str]:
        """What kexts printed since boot."""
        return self.system.log

    @property
    def panic(self) -> KernelPanic | None:
        """The panic that stopped the machine; its ``report`` is for reading."""
        return self.system.panic

    def snapshot(self) -> State:
        """The kernel's state as plain values: object name to fields."""
        return snapshot(self.system)

    def statistics(self) -> Statistics:
        """The counters of net.systm.kctl and net.systm.kevt, and how much there is of what."""
        domain = self.system.domain
        return Statistics(
            dict(domain.control.stat),
            dict(domain.events.stat),
            len(domain.control.controls),
            len(domain.sockets.live),
            len(domain.pool.live),
        )

    def sysctl(self, name: str) -> list[sysctl.Row]:
        """net.systm: the rows of ``kctl.reg_list``, ``kctl.pcblist``, ``kctl.stats``,
        ``kevt.pcblist`` or ``kevt.stats``.

        Raises:
            KeyError: there is no such list.
        """
        answer = sysctl.sysctl(self.system.domain, name)
        if answer.errno:
            raise KeyError(
                f"no net.systm.{name}: there are kctl.reg_list, kctl.pcblist, kctl.stats, "
                "kevt.pcblist and kevt.stats"
            )
        return answer.rows

    @property
    def iokit(self) -> IOKitGate:
        """IOKit of this boot: ``add_driver`` starts a driver that processes can open."""
        return self.system.iokit

    @property
    def asked(self) -> list[Asked]:
        """What was asked of this boot other than by system calls, for ``Scenario.of``."""
        return self.system.journal.items

    def leaks(self, kext: Kext | str) -> list[Mbuf]:
        """The mbufs a kext holds, loaded or not. Between callbacks that should be none, unless it
        keeps some on purpose."""
        if not isinstance(kext, Kext | str):
            raise TypeError(f"leaks takes a kext or its bundle id; got {kext!r}")
        name = kext if isinstance(kext, str) else name_of_kext(kext)
        return self.system.domain.pool.owned_by(f"kext:{name}")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Neither copied nor pickled: a half-copied machine would share its state."""
        raise TypeError("a Kernel cannot be copied; run its scenario again in a new one")

    # -- running ---------------------------------------------------------------------------

    def start_process(self, name: str, uid: int = 501) -> Process:
        """A new process, to the syscall gate a pid. TypeError: a name that is no str. ValueError:
        a uid outside 0 to 4294967295."""
        if not isinstance(name, str):
            raise TypeError(f"name = {name!r}, expected a str")
        if not isinstance(uid, int) or not 0 <= uid < 1 << 32:  # type: ignore[redundant-expr]
            raise ValueError(f"uid = {uid!r}, expected 0 to 4294967295")
        self.system.check("new process")
        with self.system.journal.noting("spawn", name, uid):
            return self.system.spawn(name, uid)

    def run(self, until: float | None = None) -> int:
        """Run tasks until none can, or until the virtual time ``until`` (s). Returns the steps
        taken: how often a task ran on to its next yield point.

        A task that goes on for ever, such as one that sleeps and wakes, needs ``until``.

        Raises:
            KernelPanic: the machine panicked, now or before.
            Exception: what ended a program and nobody has seen yet.
            TypeError, ValueError: ``until`` is no number, or in the past.
            RuntimeError: a task called it.
        """
        self.system.alive("task")
        end = self._time(until)
        with self.system.journal.noting("run", until):
            return self.system.tasks.run(end)

    def step(self) -> bool:
        """Run one task to its next yield point: where it sleeps, ends, or lets go of a lock for
        a moment. False if nothing can run. Raises as ``run``."""
        self.system.alive("task")
        with self.system.journal.noting("step"):
            return self.system.tasks.step()

    def _time(self, until: float | None) -> int | None:
        if until is None:
            return None
        if not isinstance(until, int | float):
            raise TypeError(f"until = {until!r}, expected seconds of virtual time")
        now = self.system.tasks.clock.now
        if not now <= until * SECOND < 1 << 63:
            raise ValueError(f"until = {until} s: virtual time is {self.now} s already")
        return round(until * SECOND)

    @property
    def now(self) -> float:
        """Virtual time since boot, in s. It passes only while every task waits."""
        return self.system.tasks.clock.now / SECOND

    @property
    def tasks(self) -> list[Task]:
        """The tasks of this boot, in the order of starting, ended ones too."""
        return list(self.system.tasks.tasks.values())

    @property
    def choices(self) -> list[Choice]:
        """What the chooser decided in this boot: (kind, options, index). ``Recorded`` takes it."""
        return list(self.system.tasks.choices)

    def reboot(self) -> None:
        """Start again: new kernel, no kexts, no processes, an empty trace.

        Processes, tasks and kexts of the last boot are gone: whatever they call is
        ProcessLookupError.
        """
        self.system.end()
        self._boot()

    # -- kexts -----------------------------------------------------------------------------

    def kexts(self) -> list[Kext]:
        """The loaded kexts, in the order of loading."""
        return [kext for kext, _ in self._kexts.values()]

    def kextstat(self) -> list[KextStat]:
        """The loaded kexts and the parts of the kernel they are linked against, by load tag."""
        return self.linkage.rows()

    def load(self, factory: Callable[[], K]) -> K:
        """Make a kext and start it.

        Raises:
            TypeError: ``factory`` is no class of kext, or makes none, or it says of its version
                or libraries what is of another type.
            KextError: one of that identifier is loaded, or its start routine refused.
            KextRefusal: what it is linked against is not loaded, or of another version.
            KernelPanic: its start routine took the machine down.
        """
        self.system.alive("new kext")
        kext = factory() if callable(factory) else None  # type: ignore[redundant-expr]
        if not isinstance(kext, Kext):
            raise TypeError(f"load takes a factory of kexts, such as EchoKext; got {factory!r}")
        name = name_of_kext(kext)
        if getattr(getattr(kext, "kpi", None), "state", None) == "loaded":
            raise KextError(f"this {name} is loaded already; a factory must return a fresh kext")
        if name in self._kexts:
            raise KextError(f"{name} is loaded already; unload it first")
        self.linkage.check(info_of_kext(kext))
        with self.system.journal.noting("load", factory):
            return self._start(name, kext)

    def _start(self, name: str, kext: K) -> K:
        text = self.system.map_text(name)
        kext.kpi = Kpi(self.system, text)
        self._kexts[name] = (kext, text)
        self.linkage.add(info_of_kext(kext))
        errno = self._run(name, "start", kext.start)
        if errno:
            self._remove(name)
            raise refused(name, "start", errno)
        return kext

    def unload(self, kext: Kext) -> None:
        """Stop a kext and take its code out of memory, whatever still points into it.

        Raises:
            KextError: it is not loaded, or its stop routine refused; then it stays loaded.
            KextRefusal: another kext is linked against it.
            KernelPanic: its stop routine took the machine down.
        """
        self.system.alive("kext")
        if not isinstance(kext, Kext):
            raise TypeError(f"unload takes the kext that load returned; got {kext!r}")
        name = name_of_kext(kext)
        if self._kexts.get(name, (None,))[0] is not kext:
            raise KextError(f"{name} is not loaded in this boot")
        self.linkage.may_unload(name)
        self.system.outside()
        with self.system.journal.noting("unload", name):
            errno = self._run(name, "stop", kext.stop)
            if errno:
                raise refused(name, "stop", errno)
            self._remove(name)

    def _remove(self, name: str) -> None:
        _, text = self._kexts.pop(name)
        self.linkage.remove(name)
        self.system.unmap_text(text)

    def _run(self, name: str, routine: str, function: Callable[[], object]) -> int:
        """Run a kext's start or stop routine in kernel mode."""
        system = self.system
        if system.rec is not None:
            system.rec((CALLBACK, name, routine, 0))
        try:
            result = function()
            if isinstance(result, GeneratorType):
                result = system.tasks.drive(result)
            errno = system.domain.control.returned(routine, result)
        except SimStop as stop:
            system.stop(stop)
            system.record_stop(stop)
            raise
        except (KeyboardInterrupt, SystemExit) as end:
            panic = interrupted(end)
            system.stop(panic)
            system.record_stop(panic)
            raise
        except Exception as exc:
            panic = fault(routine, exc)
            panic.__cause__ = exc
            system.stop(panic)
            system.record_stop(panic)
            raise panic from exc
        return errno


def name_of_kext(kext: Kext) -> str:
    """A kext's identifier: its bundle id, else the name of its class."""
    return kext.bundle_id or type(kext).__name__


def info_of_kext(kext: Kext) -> KextInfo:
    """What a kext object says of itself, as an Info.plist would.

    Raises:
        TypeError: its version or its libraries are not of the type they should be.
    """
    for name in ("version", "compatible_version"):
        if not isinstance(getattr(kext, name), str):
            raise TypeError(f"{name} = {getattr(kext, name)!r}, expected a str such as '1.0.0d1'")
    libraries: object = kext.libraries  # a learner's class may say anything
    if not isinstance(libraries, Mapping) or not all(
        isinstance(word, str) for pair in libraries.items() for word in pair
    ):
        raise TypeError(f"libraries = {libraries!r}, expected a dict of identifiers to versions")
    return KextInfo(
        name_of_kext(kext),
        kext.version,
        parse_version(kext.version),
        parse_version(kext.compatible_version),
        libraries,
        uuid=kext.uuid,
        size=kext.size,
    )
