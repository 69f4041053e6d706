"""launchd's jobs in a mirror, as far as a trace tells of them: the key ``launchd`` of
``docs/scene-format.md``.

A job is known from its first start on: launchd makes a process and gives it a right to the job's
bootstrap port, by whose number the job goes here, whatever process runs it.

Left out: a job that was never started, its label, services it has not asked for; the trace has none
of them. Which job a throttle is of is not told either: launchd waits for the first that may start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kextlab.abi.mach import MACH_RCV_TIMEOUT
from kextlab.trace.events import Event
from kextlab.trace.fold import State

Json = Any  # a JSON value

MILLISECOND = 1_000_000


class JobsMirror:
    """Follows launchd.

    Args:
        state: the live state of a fold.
        op: takes an operation's parts.
    """

    def __init__(self, state: State, op: Callable[..., None]) -> None:
        self._state = state
        self._op = op
        self._launchd = ""
        self._started = ""
        """The process launchd made last, whose job is not yet known."""
        self._jobs: dict[str, dict[str, Json]] = {}
        self._of: dict[str, str] = {}
        """The job of each process that runs one."""
        self._until = 0

    def take(self, event: Event) -> None:
        """Changes of processes, rights and ports. A job has ended, as launchd sees it, when its
        process has no right to the bootstrap port any more."""
        first = event.changes[0]
        kind, _, rest = first.object.partition(":")
        if kind == "proc" and first.old is None:
            self._process(rest, event.task)
        elif kind == "right" and first.old is None and self._started:
            pid = rest.partition(":")[0]
            port = str(self._state[first.object]["object"])
            if pid == self._started and port.startswith("port:"):
                self._started = ""
                self._start(pid, port[5:])
        elif kind == "right" and first.object not in self._state:
            pid = rest.partition(":")[0]
            if first.field == "object" and first.old == f"port:{self._of.get(pid)}":
                self._put(self._of.pop(pid), "pid", 0)
        elif kind == "port" and rest in self._jobs and first.object not in self._state:
            del self._jobs[rest]
            self._op(f"launchd/jobs/{rest}")

    def _process(self, pid: str, task: int) -> None:
        fields = self._state.get(f"proc:{pid}", {})
        if not self._launchd and (fields.get("name"), fields.get("uid")) == ("launchd", 0):
            self._launchd = pid
        maker = self._state.get(f"task:{task}")
        if maker is not None and self._launchd == str(maker["pid"]):
            self._started = pid

    def _start(self, pid: str, port: str) -> None:
        self._of[pid] = port
        job = self._jobs.get(port)
        if job is None:
            name = self._state[f"proc:{pid}"]["name"]
            job = {"name": name, "pid": int(pid), "runs": 1, "services": [], "sockets": []}
            if not self._jobs:
                self._op("launchd", {"pid": int(self._launchd), "until": self._until, "jobs": {}})
            self._jobs[port] = job
            self._op(f"launchd/jobs/{port}", {**job})
            return
        self._put(port, "pid", int(pid))
        self._put(port, "runs", job["runs"] + 1)

    def _put(self, port: str, field: str, value: Json) -> None:
        if self._jobs[port][field] != value:
            self._jobs[port][field] = value
            self._op(f"launchd/jobs/{port}/{field}", value)

    def called(self, pid: str, event: Event) -> None:
        """launchd waits for a message, perhaps only until a job may start."""
        if pid != self._launchd or event.name != "mach_msg":
            return
        option, wait = cast(int, event.arguments[1]), cast(int, event.arguments[4])
        clock = cast(int, self._state["kernel"]["clock"])
        self._wait(clock + wait * MILLISECOND if option & MACH_RCV_TIMEOUT and wait else 0)

    def _wait(self, until: int) -> None:
        if until != self._until:
            self._until = until
            if self._jobs:
                self._op("launchd/until", until)

    def returned(self, pid: str, call: Event, value: object) -> None:
        """A call of launchd's, or of a job's for what its property list names."""
        if pid == self._launchd and call.name == "mach_msg":
            self._wait(0)
        job = self._of.get(pid, "")
        if not job:
            return
        if call.name == "bootstrap_check_in":
            if cast("tuple[str, object]", value)[0] == "KERN_SUCCESS":
                self._add(job, "services", str(call.arguments[0]))
        elif call.name == "launch_activate_socket":
            for fd in cast("tuple[int, ...]", value):
                socket = self._state[f"fd:{pid}:{fd}"]["socket"]
                self._add(job, "sockets", str(self._state[f"unp:{socket}"]["unp_addr"]))

    def _add(self, job: str, field: str, name: str) -> None:
        if name not in self._jobs[job][field]:
            self._put(job, field, [*self._jobs[job][field], name])
