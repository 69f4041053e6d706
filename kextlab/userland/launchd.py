"""launchd: jobs from property lists, started when somebody needs them.

Sockets are in ``launchd_sockets``.

launchd holds the receive right of every service a job names. It sleeps in ``mach_msg`` on a port
set of all services whose jobs do not run: MACH_RCV_LARGE and a buffer of 0 bytes tell it that a
message is there, and leave the message in its queue. It starts the job, whose program checks in and
finds the message. When the job's process ends, the receive rights come back, with their queues.

    mac.launchd.load("org.example.thing.plist", programs={"/usr/libexec/thing": program})
    mac.run()

Read beside it: ``launchd.plist(5)``, ``launchctl(1)``; launchd 842's ``core.c``, ``runtime.c``
(``job_start``, ``job_reap``, ``machservice_watch``, ``mport_demand_loop``). Documented only.

Otherwise than there: launchd learns of a job's end from the no-senders notification of its
bootstrap port, not from EVFILT_PROC; and it counts a ThrottleInterval exactly, where ``job_start``
counts whole seconds and may wait up to one longer.

Left out: paths, timers, queues; SIGTERM and its time-out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Final, NamedTuple

from kextlab.abi.errno import ESRCH
from kextlab.abi.mach import (
    MACH_MSG_TYPE_MAKE_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_NOTIFY_NO_SENDERS,
    MACH_PORT_RIGHT_PORT_SET,
    MACH_PORT_RIGHT_RECEIVE,
    MACH_RCV_LARGE,
    MACH_RCV_MSG,
    MACH_RCV_TIMEOUT,
    SIZEOF_HEADER,
)
from kextlab.kernel.traps import U32, trap
from kextlab.osfmk import mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Space
from kextlab.sched.clock import SECOND
from kextlab.sched.stop import SimStop
from kextlab.trace.codes import RETURN
from kextlab.userland.bootstrap import Bootstrap, Service
from kextlab.userland.launchd_job import NOT_RUNNING, RUNNING, THROTTLED, WAITING, Job, Program
from kextlab.userland.launchd_plist import JobPlist, PropertyList, job_of
from kextlab.userland.launchd_sockets import JobSockets
from kextlab.userland.process import App

if TYPE_CHECKING:
    from kextlab.userland.mac import Kernel

SIGKILL: Final = 9
START: Final = 400
"""The message that asks launchd to start a job."""
MILLISECOND: Final = SECOND // 1_000


class LaunchdError(Exception):
    """launchd refused: a job of that label is loaded, is not, is disabled."""


class Listed(NamedTuple):
    """A line of ``launchctl list``: the pid (``None``: it does not run), the last exit status
    (negative: the signal that ended it), the label."""

    pid: int | None
    status: int
    label: str


class Listing(list[Listed]):
    """What ``launchctl list`` prints."""

    def __str__(self) -> str:
        rows = [f"{one.pid or '-'}\t{one.status}\t{one.label}" for one in self]
        return "\n".join(["PID\tStatus\tLabel", *rows])


@dataclass(frozen=True)
class Installed:
    """A property list in /Library/LaunchDaemons, and its executable.

    Attributes:
        plist: what it says.
        program: what its executable does.
    """

    plist: JobPlist
    program: Program


class Launchd(Bootstrap):
    """launchd of one boot, ``mac.launchd``.

    Attributes:
        jobs: the loaded jobs, by label.
        installed: what is loaded again when the machine starts, by label.
        log: what it noted, oldest first.
    """

    def __init__(self, mac: Kernel) -> None:
        super().__init__(mac.system)
        self._mac = mac
        self.jobs: dict[str, Job] = {}
        self.installed: dict[str, Installed] = {}
        self.log: list[str] = []
        self._demand = 0
        self._loads = 0
        self._app: App | None = None

    def load(
        self, plist: PropertyList, programs: Mapping[str, Program], *, override: bool = False
    ) -> Job:
        """Load a job, as ``launchctl load`` does. Its property list lies in /Library/LaunchDaemons
        from then on: it is loaded again when the machine starts, until somebody unloads it.

        A job that is started again and again, such as one with KeepAlive that crashes, makes
        ``mac.run()`` go on for ever: ``mac.run(until=...)``.

        Args:
            plist: a path, the bytes of a property list, or its dictionary.
            programs: by the path of an executable the program behind it, ``program(app,
                *arguments)``, as ``app.run`` takes it.
            override: load it though it is Disabled (``launchctl load -w``).

        Raises:
            ValueError: the property list is wrong, or names no program of ``programs``.
            NotImplementedError: it has a key that is not modelled.
            LaunchdError: it is loaded, it is disabled, or a service or a path of a socket of it
                is another's.
        """
        asked = job_of(plist)
        program = programs.get(asked.program)
        if program is None:
            known = ", ".join(programs) or "none"
            raise ValueError(
                f"{asked.source}: no program is given for {asked.program}; programs: {known}"
            )
        if asked.label in self.jobs:
            raise LaunchdError(f"{asked.label} is loaded already; unload it first")
        if asked.disabled and not override:
            raise LaunchdError(
                f"{asked.label} is Disabled; override=True loads it, as launchctl load -w does"
            )
        for name in asked.services:
            if name in self.services:
                raise LaunchdError(f"{asked.label}: the service {name} is taken")
        taken = {one.path: job for job in self.jobs.values() for one in job.plist.sockets}
        for one in asked.sockets:
            if one.path in taken:
                owner = taken[one.path].plist.label
                raise LaunchdError(f"{asked.label}: {owner} has a socket at {one.path}")
        self._system.check("job")
        return self._install(Installed(asked, program))

    def boot(self, installed: Mapping[str, Installed]) -> None:
        """Load what /Library/LaunchDaemons holds, in the order in which it came there."""
        for one in installed.values():
            self._install(one)

    def _install(self, installed: Installed) -> Job:
        asked = installed.plist
        self.installed[asked.label] = installed
        with self._system.journal.noting("load_job", asked.keys, installed.program):
            space, app = self._begin()
            _, port = mach_port.allocate(space, MACH_PORT_RIGHT_RECEIVE)
            mach_port.insert_member(space, port, self._demand)
            job = Job(asked, installed.program, port, JobSockets(app, asked.sockets))
            for name in asked.services:
                service = job.services[name] = self.create(name)
                service.job = job
            self.jobs[asked.label] = job
            self._loads += 1
            job.loaded(self._system, self._loads, space)
            self._look_after(job)
            return job

    def unload(self, label: str) -> None:
        """End a job and forget it, as ``launchctl unload`` does: send rights to its services die.
        It is not loaded again when the machine starts.

        Raises:
            LaunchdError: no job of that label is loaded.
        """
        job = self._job(label)
        self._system.check("job")
        with self._system.journal.noting("unload_job", label):
            self._unload(job)

    def _unload(self, job: Job) -> None:
        label = job.plist.label
        del self.jobs[label], self.installed[label]
        job.unloaded(self._system)
        for name in job.services:
            self.services.pop(name, None)
        app, job.app = job.app, None
        try:
            if app is not None:
                self._note(job, f"ends pid {app.pid}: unloaded")
                app.exit()  # which does not return if it is the job's program that unloads it
        finally:
            self._give_up(job)

    def _give_up(self, job: Job) -> None:
        """Nobody asks for what an unloaded job offered any more."""
        job.sockets.close()
        self._news()
        for service in job.services.values():
            if not service.owner:
                mach_port.destroy(self.space, service.port)
        mach_port.destroy(self.space, job.port)
        self._settle()

    def start(self, label: str) -> None:
        """Start a job that does not run, as ``launchctl start`` does: now, or once its
        ThrottleInterval is over.

        Raises:
            LaunchdError: no job of that label is loaded.
        """
        job = self._job(label)
        self._system.alive("job")
        if job.pid:
            return
        self._system.outside()
        with self._system.journal.noting("start_job", label):
            job.wanted = True
            self._poke(job)

    def _poke(self, job: Job) -> None:
        """Tell launchd's main thread to look at a job."""
        header = Header(job.port, MACH_MSG_TYPE_MAKE_SEND_ONCE, id=START, size=SIZEOF_HEADER)
        mach_msg.send(self.space, Message(header), 0)

    def _job(self, label: str) -> Job:
        job = self.jobs.get(label)
        if job is None:
            known = ", ".join(self.jobs) or "none"
            raise LaunchdError(f"no job {label!r} is loaded; loaded: {known}")
        return job

    def _note(self, job: Job, what: str) -> None:
        self.log.append(f"{self._mac.now:g} s: {job.plist.label} {what}")

    # -- launchd's own program ---------------------------------------------------------

    def _begin(self) -> tuple[Space, App]:
        """launchd runs from the first job on."""
        space = self.space
        if self._app is None:
            _, self._demand = mach_port.allocate(space, MACH_PORT_RIGHT_PORT_SET)
            mach_port.insert_member(space, self._told, self._demand)
            mac = self._mac
            process = self._system.processes[space.pid]
            traps = (mac.mach_traps, self, mac.vm_traps)
            self._app = App(process, mac.syscalls, mac.trace, self._system.tasks, traps)
            self._app.run(self._main)
        return space, self._app

    def _main(self, app: App) -> None:
        mach = app.mach
        while True:
            self._news()
            for job in tuple(self.jobs.values()):
                self._look_after(job)
            option, wait = MACH_RCV_MSG | MACH_RCV_LARGE, 0
            now = self._system.tasks.clock.now
            due = [job.may_start for job in self.jobs.values() if job.state == THROTTLED]
            if due:
                option |= MACH_RCV_TIMEOUT
                wait = min(-((now - min(due)) // MILLISECOND), U32)
            try:
                mach.mach_msg(None, option, 0, self._demand, wait)
            except mach.MachError as error:
                if error.name not in ("MACH_RCV_TOO_LARGE", "MACH_RCV_TIMED_OUT"):
                    raise

    def _look_after(self, job: Job) -> None:
        """What has become of a job, and what is to be done with it now."""
        while (got := mach_msg.receive(self.space, job.port, 4096, 0)[1]) is not None:
            if got.header.id == MACH_NOTIFY_NO_SENDERS and job.app is not None:
                self._ended(job, job.app)
        if job.app is not None:
            return
        needed = job.wanted or job.sockets.waits() or any(map(self._waits, job.services.values()))
        self._watch_for(job, not needed)
        if needed and self._system.tasks.clock.now >= job.may_start:
            self._start(job)
        else:
            job.change(self._system, state=THROTTLED if needed else WAITING)

    def _waits(self, service: Service) -> bool:
        """Is there a message for a service launchd holds?"""
        _, status = mach_port.get_status(self.space, service.port)
        return status is not None and status.msgcount > 0

    def _watch_for(self, job: Job, watch: bool) -> None:
        """Wait for messages to the services of a job, or no longer (``machservice_watch``)."""
        if watch != (job.state == WAITING):
            change = mach_port.insert_member if watch else mach_port.extract_member
            for service in job.services.values():
                change(self.space, service.port, self._demand)
        if watch:
            job.sockets.watch(job.plist.label, lambda: self._poke(job))

    def _start(self, job: Job) -> None:
        asked = job.plist
        app = self._mac.spawn(asked.program.rpartition("/")[2], asked.uid)
        job.wanted, job.exiting, job.error = False, 0, None
        job.sockets.given.clear()
        may_start = self._system.tasks.clock.now + asked.throttle * SECOND
        runs = job.runs + 1
        job.change(self._system, app=app, state=RUNNING, runs=runs, may_start=may_start)
        process = self._system.processes[app.pid]
        space = self._new_space(process)
        _, right = mach_port.copyin(self.space, job.port, MACH_MSG_TYPE_MAKE_SEND)
        self._put(space, right, MACH_MSG_TYPE_PORT_SEND)
        _, told = mach_port.copyin(self.space, job.port, MACH_MSG_TYPE_MAKE_SEND_ONCE)
        assert isinstance(told, Port)
        mach_port.request_notification(self.space, job.port, MACH_NOTIFY_NO_SENDERS, 1, told)
        self._note(job, f"starts as pid {app.pid}")
        app.run(self._program(job, app), *asked.arguments)

    def _program(self, job: Job, app: App) -> Program:
        """A job's program, whose process ends when it does."""
        program = job.program
        if iscoroutinefunction(program):

            async def awaited(*args: object) -> None:
                with self._exit(job, app):
                    await program(*args)

            return awaited

        def called(*args: object) -> None:
            with self._exit(job, app):
                program(*args)

        return called

    @staticmethod
    @contextmanager
    def _exit(job: Job, app: App) -> Iterator[None]:
        """The exit status of a program."""
        try:
            yield
        except SystemExit as end:
            code = end.code if end.code is not None else 0
            job.exiting = code & 0xFF if isinstance(code, int) else 1
        except SimStop:
            raise
        except Exception as error:
            job.exiting, job.error = 1, error
        app.exit()

    def _ended(self, job: Job, app: App) -> None:
        """A job's process is gone (``job_reap``)."""
        status = -SIGKILL if app.killed else job.exiting
        reason = ""
        if job.error is not None:
            reason = f"{type(job.error).__name__}: {job.error}".removesuffix(": ")
        job.change(self._system, app=None, state=NOT_RUNNING, status=status, reason=reason)
        self._note(job, f"ended with status {status}{f' ({reason})' if reason else ''}")
        asked = job.plist
        job.wanted = bool(asked.keep_alive)
        if asked.successful_exit is not None:
            job.wanted = asked.successful_exit is (job.status == 0)

    # -- what jobs ask -----------------------------------------------------------------

    @trap("s")
    def activate_socket(self, pid: int, name: str) -> tuple[int, tuple[int, ...]]:
        """(errno, descriptors): the sockets of that name in the property list of the job the
        process is. ESRCH, ENOENT, EALREADY."""
        self._enter(pid, "launch_activate_socket", name)
        job = next((job for job in self.jobs.values() if job.pid == pid), None)
        errno, fds = ESRCH, tuple[int, ...]()
        if job is not None:
            holder, mine = (self._system.processes[n].descriptors for n in (self.space.pid, pid))
            errno, fds = job.sockets.give(name, holder, mine)
        if self._system.rec is not None:
            self._system.rec((RETURN, errno, fds))
        return errno, fds

    # -- looking -----------------------------------------------------------------------

    def list(self) -> Listing:
        """The loaded jobs, as ``launchctl list`` shows them."""
        return Listing(
            Listed(job.pid or None, job.status, label) for label, job in self.jobs.items()
        )
