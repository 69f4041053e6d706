"""launchd's jobs in a state, as the key ``launchd`` of ``docs/scene-format.md`` has them, and whose
socket one of launchd's is.

Reads a ``State`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from kextlab.trace.fold import State

Json = Any  # a JSON value

KIND = "job:"
"""What the names of jobs begin with."""


def launchd_of(state: State, job: str) -> str:
    """The pid of launchd, which receives at the bootstrap port of a job."""
    return str(state[str(state[job]["port"])]["receiver"]).removeprefix("proc:")


def _started(fields: dict[str, object]) -> list[str]:
    """The keys of its property list that start a job which nobody needs."""
    keys = ["RunAtLoad"] if fields["run_at_load"] else []
    if fields["keep_alive"]:
        keys.append("KeepAlive")
    if fields["successful_exit"] is not None:
        keys.append(f"KeepAlive, SuccessfulExit {str(fields['successful_exit']).lower()}")
    return keys


def job_fields(state: State, job: str) -> dict[str, Json]:
    """A job as a scene document has it."""
    fields = state[job]
    services = cast("tuple[tuple[str, str], ...]", fields["services"])
    sockets = cast("tuple[tuple[str, str, int], ...]", fields["sockets"])
    return {
        "label": fields["label"],
        "program": [fields["program"], *cast("tuple[str, ...]", fields["arguments"])],
        "uid": fields["uid"],
        "starts": _started(fields),
        "throttle": fields["throttle"],
        "port": _number(str(fields["port"])),
        "services": [[name, _number(port)] for name, port in services],
        "sockets": [list(one) for one in sockets],
        "state": fields["state"],
        "pid": fields["pid"],
        "runs": fields["runs"],
        "status": fields["status"],
        "reason": fields["reason"],
        "until": fields["may_start"],
    }


def _number(port: str) -> int:
    return int(port.removeprefix("port:"))


def runners(state: State) -> dict[int, int]:
    """The process of the job each socket of launchd's is of, 0 while the job does not run."""
    return {
        number: cast(int, fields["pid"])
        for name, fields in state.items()
        if name.startswith(KIND)
        for _, _, number in cast("tuple[tuple[str, str, int], ...]", fields["sockets"])
    }


def holder(pids: Iterable[int], runner: int) -> int:
    """Which of the processes that have a socket it is shown at: the job's, to which launchd has
    handed it over; else the oldest."""
    held = set(pids)
    return runner if runner in held else min(held)
