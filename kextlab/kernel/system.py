"""One boot of the simulated machine: its subsystems, processes, loaded kexts, its end.

A ``System`` lives from boot to panic or reboot and owns all state; nothing is kept outside it.
``kextlab.kernel.kernel.Kernel`` holds the current one.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from kextlab.abi.mach_messages import AuditToken
from kextlab.bsd.kctl import Text
from kextlab.bsd.release import Release
from kextlab.bsd.sys_domain import SystemDomain
from kextlab.bsd.uipc import Descriptors
from kextlab.kernel.asked import Journal
from kextlab.kernel.tasks import Tasks
from kextlab.osfmk.ipc_space import Ipc, Space
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.sched.chooser import Chooser
from kextlab.sched.stop import (
    ChoiceError,
    KernelPanic,
    Killed,
    SimDeadlock,
    SimStop,
    interrupted,
)
from kextlab.trace.codes import DELETE, SET, STOP, new
from kextlab.trace.log import Trace

if TYPE_CHECKING:
    from kextlab.kernel.iokit import IOKitGate

FIRST_PID = 100
WHEEL, STAFF = 0, 20
SESSION = 100_000


class Plain(Protocol):
    """Whoever tells of itself as plain values."""

    def as_plain(self) -> dict[str, object]:
        """The values, by field, as the trace adds them up."""


class Process:
    """A process as the kernel sees it: number, name, user, descriptors, names of ports."""

    __slots__ = ("audit", "descriptors", "exited", "map", "name", "pid", "space", "uid")

    def __init__(self, pid: int, name: str, uid: int, domain: SystemDomain) -> None:
        self.pid = pid
        self.name = name
        self.become(uid)
        self.exited = False
        self.descriptors = Descriptors(domain.sockets, self)
        self.space: Space | None = None
        self.map: VmMap | None = None

    def become(self, uid: int) -> None:
        """Run as that user from now on.

        ``audit`` is who the process is: as of now, and for this process alone. Its pid will be
        another's one day, its pid and pid version together will not
        (``set_security_token_task_internal``). In doubt: all processes are of one audit session,
        and of group wheel (root's) or staff.
        """
        self.uid = uid
        gid = STAFF if uid else WHEEL
        version = self.pid - FIRST_PID + 1
        self.audit: AuditToken = (uid, uid, gid, uid, gid, self.pid, SESSION, version)

    def state(self) -> dict[str, object]:
        """The process as plain values, as the trace adds them up."""
        return {"name": self.name, "uid": self.uid}


class System:
    """One boot.

    Attributes:
        release: what it answers as.
        trace: everything that happened since boot.
        domain: the BSD half of the kernel.
        ipc: the Mach half: ports and messages.
        processes: by pid.
        running: those that may enter the kernel; after a panic, none. Empty, too, while task 0's
            next entry is to say that it is task 0's again (``close``).
        tasks: the threads of these processes, and virtual time.
        jobs: the jobs launchd has loaded, by their names in the trace.
        texts: the code of every kext ever loaded in this boot, by name; ``mapped`` while loaded.
        log: the lines kexts printed (IOLog, printf).
        panic: the panic that ended it, ``None`` while it runs.
        over: whether another boot has taken its place.
        journal: what was asked from outside, other than by system calls.
        closed: whether an entry must be checked: the boot ended, or ``running`` was put aside.
    """

    def __init__(self, release: Release, recording: bool, chooser: Chooser | None = None) -> None:
        self.release = release
        self.trace = Trace(recording)
        self.rec = self.trace.record
        self.processes: dict[int, Process] = {}
        self.running: dict[int, Process] = {}
        self.jobs: dict[str, Plain] = {}
        self.texts: dict[str, Text] = {}
        self.log: list[str] = []
        self.panic: KernelPanic | None = None
        self.over = False
        self.closed = False
        self._aside: dict[int, Process] = {}
        self._panic_told = False
        self.ending = ""
        """The process whose programs are being ended; they do not enter any more."""
        if self.rec is not None:
            self.rec(new("kernel", {"release": release.name, "panic": None, "clock": 0}))
        self.tasks = Tasks(self, chooser)
        self.journal = Journal(self.trace, self.tasks)
        self.domain = SystemDomain(release, self.rec, self.tasks)
        self.ipc = Ipc(self.rec, self.tasks.wakeup, self.tasks.waiting)
        self._vm: Vm | None = None

    @cached_property
    def iokit(self) -> IOKitGate:
        """IOKit, from its first use on; a machine without drivers shows nothing of it."""
        from kextlab.kernel.iokit import IOKitGate

        return IOKitGate(self)

    @property
    def vm(self) -> Vm:
        """The memory, which begins with its first use: pages of 16 KB, as on Apple silicon."""
        if self._vm is None:
            self._vm = Vm()
            if self.rec is not None:
                self._vm.begin(self.rec)
        return self._vm

    def map_of(self, process: Process) -> VmMap:
        """The address map of a process, which begins with its first use."""
        if process.map is None:
            process.map = VmMap(self.vm, f"proc:{process.pid}")
        return process.map

    def memory_state(self) -> dict[str, dict[str, object]]:
        """The memory as plain values, nothing before its first use."""
        return {} if self._vm is None else self._vm.snapshot()

    # -- processes -------------------------------------------------------------------------

    def spawn(self, name: str, uid: int) -> Process:
        """Start a process of that user."""
        self.outside()
        pid = FIRST_PID + len(self.processes)
        process = self.processes[pid] = Process(pid, name, uid, self.domain)
        self.running[pid] = process
        if self.rec is not None:
            self.rec(new(f"proc:{pid}", process.state()))
        return process

    def set_uid(self, process: Process, uid: int) -> None:
        """Change the effective user of a process."""
        self.outside()
        process.become(uid)
        if self.rec is not None:
            self.rec((SET, f"proc:{process.pid}", "uid", uid))

    # -- kexts -----------------------------------------------------------------------------

    def map_text(self, name: str) -> Text:
        """A kext's code comes into memory."""
        self.outside()
        text = self.texts[name] = Text(name)
        if self.rec is not None:
            self.rec(new(text.owner, {"mapped": True}))
        return text

    def unmap_text(self, text: Text) -> None:
        """A kext's code leaves memory."""
        text.mapped = False
        if self.rec is not None:
            self.rec((DELETE, text.owner))

    # -- who enters ------------------------------------------------------------------------

    def close(self) -> None:
        """Task 0 goes on after others ran: its next entry is noticed, because nobody may enter
        without ``enter`` or ``check``. That costs the entries of every other time nothing."""
        if not self.closed:
            self._aside, self.closed = dict(self.running), True
            self.running.clear()

    def open(self) -> None:
        """Entries need no notice any more."""
        if self.closed and self.panic is None and not self.over:
            self.running.update(self._aside)
            self.closed = False

    def outside(self) -> None:
        """Task 0 is about to record something: if others did last, the trace is told."""
        if self.closed:
            self.tasks.switched(self.tasks.running)

    def enter(self, pid: int) -> Process:
        """The process of a system call that was not found among ``running``.

        Raises:
            Exception: what ``gone`` says.
        """
        self.check(f"process {pid}")
        process = self.running.get(pid)
        if process is None:
            raise self.gone(f"process {pid}")
        return process

    # -- the end ---------------------------------------------------------------------------

    def stop(self, stop: SimStop) -> None:
        """Take note of what ended a call from outside; a panic ends the boot, and so does a
        deadlock inside a callback, or a choice that could not be made inside a call."""
        if (isinstance(stop, SimDeadlock) and stop.callback) or isinstance(stop, ChoiceError):
            stop = interrupted(stop)
        if isinstance(stop, KernelPanic) and self.panic is None:
            self.panic = stop
            if self.rec is not None:
                self.rec((SET, "kernel", "panic", stop.text))
            from kextlab.kernel.panic import report

            stop.report = report(self, stop)
            self.running.clear()
            self.closed = True
            self.tasks.end(stop)

    def record_stop(self, end: BaseException) -> None:
        """No open call of the running task returns any more; after a panic, none at all, which is
        told once."""
        if isinstance(end, KernelPanic):
            if self._panic_told:
                return
            self._panic_told = True
        if self.rec is not None:
            kinds = {KernelPanic: "panic", SimDeadlock: "deadlock", Killed: "killed"}
            self.rec((STOP, kinds.get(type(end), "not modelled"), str(end)))

    def end(self) -> None:
        """The machine starts again: nobody enters this boot any more."""
        self.over = self.closed = True
        self.running.clear()
        self.tasks.end(ProcessLookupError("this boot ended with the last one"))

    def gone(self, who: str) -> Exception:
        """Why nobody can enter: this boot is over, it panicked, or the process is ending."""
        if self.panic is not None and not self.over:
            return self.panic
        if self.ending and not self.over:
            return ProcessLookupError(f"{self.ending} has exited")
        return ProcessLookupError(f"no {who} in this boot: it ended with the last one")

    def check(self, who: str) -> None:
        """Raise what ``gone`` says if this boot is over or panicked; then somebody enters."""
        self.alive(who)
        self.outside()

    def alive(self, who: str) -> None:
        """Raise what ``gone`` says if this boot is over or panicked."""
        if self.over or self.panic is not None:
            raise self.gone(who)
