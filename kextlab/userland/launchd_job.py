"""A job launchd has loaded, which is the object ``job:N`` of the trace.

N counts the jobs of one boot as they are loaded. An entry follows whatever launchd does with a job:
it is loaded, waits, starts, has ended, is held back, is unloaded. The state is what launchd says of
the job, not what its process does: one that has just ended is still the job's until launchd hears.

Read beside it: ``launchctl(1)``, ``launchd.plist(5)``. Documented only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kextlab.osfmk.ipc_space import Space
from kextlab.trace.codes import DELETE, SET, group, new
from kextlab.userland.launchd_plist import JobPlist
from kextlab.userland.launchd_sockets import JobSockets

if TYPE_CHECKING:
    from kextlab.kernel.system import System
    from kextlab.userland.bootstrap import Service
    from kextlab.userland.process import App

Program: TypeAlias = Callable[..., Any]

NOT_RUNNING: Final = "not running"
"""It was loaded or has ended, and launchd has not yet looked what to do with it."""
WAITING: Final = "waiting"
"""It is started as soon as somebody needs it."""
THROTTLED: Final = "throttled"
"""It is to be started, but its ThrottleInterval is not over."""
RUNNING: Final = "running"


class Job:
    """A loaded job.

    Attributes:
        plist: what its property list says.
        services: its services, by name.
        sockets: what launchd listens on for it.
        app: its process, ``None`` while it does not run.
        state: ``not running``, ``waiting``, ``throttled`` or ``running``.
        status: its last exit status; negative: the signal that ended it.
        error: the exception that ended its program last.
        reason: that exception in words, once launchd has heard of the end; "": none.
        runs: how often it was started.
        may_start: the virtual time (ns) before which it is not started again.
        wanted: whether it is to be started without a message.
        trace_name: ``"job:3"``.
    """

    def __init__(self, plist: JobPlist, program: Program, port: int, sockets: JobSockets) -> None:
        self.plist = plist
        self.sockets = sockets
        self.program = program
        self.port = port
        """launchd's name of the job's bootstrap port."""
        self.services: dict[str, Service] = {}
        self.app: App | None = None
        self.state = NOT_RUNNING
        self.status = 0
        self.error: Exception | None = None
        self.reason = ""
        self.runs = 0
        self.may_start = 0
        self.wanted = plist.run_at_load or bool(plist.keep_alive)
        self.wanted = self.wanted or plist.successful_exit is not None
        self.exiting = 0
        self.trace_name = ""
        self._fixed: dict[str, object] = {}

    def __repr__(self) -> str:
        where = f"pid {self.app.pid}" if self.app is not None else f"status {self.status}"
        return f"<Job {self.plist.label}, {where}, started {self.runs} times>"

    @property
    def pid(self) -> int:
        """Its process; 0: it does not run."""
        return self.app.pid if self.app is not None else 0

    # -- the object of the trace -------------------------------------------------------

    def loaded(self, system: System, number: int, space: Space) -> None:
        """It is an object of the trace from now on; ``space`` are launchd's names."""
        plist = self.plist
        ports = {name: _port(space, one.port) for name, one in self.services.items()}
        self.trace_name = f"job:{number}"
        self._fixed = {
            "label": plist.label,
            "program": plist.program,
            "arguments": plist.arguments,
            "uid": plist.uid,
            "run_at_load": plist.run_at_load,
            "keep_alive": plist.keep_alive,
            "successful_exit": plist.successful_exit,
            "throttle": plist.throttle,
            "port": _port(space, self.port),
            "services": tuple(ports.items()),
            "sockets": self.sockets.plain(system.processes[space.pid].descriptors),
        }
        system.jobs[self.trace_name] = self
        if system.rec is not None:
            system.rec(new(self.trace_name, self.as_plain()))

    def unloaded(self, system: System) -> None:
        """It is no object of the trace any more."""
        self.state = NOT_RUNNING
        del system.jobs[self.trace_name]
        if system.rec is not None:
            system.rec((DELETE, self.trace_name))

    def change(self, system: System, **fields: object) -> None:
        """Those attributes get those values, and the trace is told."""
        before = self.as_plain()
        for field, value in fields.items():
            setattr(self, field, value)
        entries = [
            (SET, self.trace_name, field, value)
            for field, value in self.as_plain().items()
            if value != before[field]
        ]
        if entries and system.rec is not None:
            system.rec(group(*entries))

    def as_plain(self) -> dict[str, object]:
        """The job as plain values, as the trace adds them up: names of ports, numbers of sockets,
        s of ``throttle``, ns of ``may_start``."""
        return {
            **self._fixed,
            "state": self.state,
            "pid": self.pid,
            "runs": self.runs,
            "status": self.status,
            "reason": self.reason,
            "may_start": self.may_start,
        }


def _port(space: Space, name: int) -> str:
    """The port behind a name of launchd's, as the trace names it."""
    return space.entries[name].port.object_name
