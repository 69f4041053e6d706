"""The columns of the static picture: which sockets get a lane, their order, whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from kextlab.views.jobs_figure import Jobs
from kextlab.views.patches import Json
from kextlab.views.queues import Queue
from kextlab.views.scene import Control, Lane, Process, Scene

MOST_LANES = 6


@dataclass(frozen=True, slots=True)
class Rest:
    """The sockets that get no lane of their own."""

    lanes: tuple[Lane, ...]

    @property
    def cc(self) -> int:
        """Bytes queued for all of them."""
        return sum(lane.rcv.cc for lane in self.lanes)


@dataclass(frozen=True, slots=True)
class Column:
    """188 px of the picture: what stands above the line and what below it."""

    lane: Lane | None = None
    process: Process | None = None
    control: Control | None = None
    rest: Rest | None = None
    job: Json | None = None

    @property
    def owner(self) -> str:
        """Whose box stands above it: a job's that does not run, else a process's; "": nobody's."""
        if self.job is not None:
            return str(self.job["label"])
        return f"pid {self.process.pid}" if self.process is not None else ""


def _order(seen: Scene) -> list[Lane]:
    """The lanes so that those of a process stand together, and those of a control if possible."""
    lanes = list(seen.lanes)
    runs = [serial for serial, _ in groupby(lane.control for lane in lanes)]
    if len(runs) != len(set(runs)) or len({lane.local for lane in lanes}) > 1:
        lanes.sort(
            key=lambda lane: (lane.local, lane.control == 0, lane.control, lane.pid, lane.fds)
        )
    return lanes


def columns_of(
    seen: Scene, history: dict[int, Queue], drawn: set[int], jobs: Jobs | None
) -> list[Column]:
    """The columns of a scene.

    Args:
        seen: the scene.
        history: what was refused, by socket.
        drawn: processes that are drawn elsewhere.
        jobs: launchd's jobs, if there are any.
    """
    lanes = _order(seen)
    rest: tuple[Lane, ...] = ()
    if len(lanes) > MOST_LANES:
        lost = {number for number, queue in history.items() if queue.open}
        ranked = sorted(lanes, key=lambda a: (a.socket not in lost, -a.rcv.cc))
        kept = {lane.socket for lane in ranked[: MOST_LANES - 1]}
        rest = tuple(lane for lane in lanes if lane.socket not in kept)
        lanes = [lane for lane in lanes if lane.socket in kept]
    columns = [
        Column(
            lane,
            seen.process(lane.pid),
            seen.control(lane.control),
            job=jobs.waiting(lane.socket, lane.pid) if jobs is not None else None,
        )
        for lane in lanes
    ]
    if rest:
        columns.append(Column(rest=Rest(rest)))
    holders = {lane.pid for lane in seen.lanes} | drawn
    used = {lane.control for lane in seen.lanes}
    idle = [process for process in seen.processes if process.pid not in holders]
    free = [control for control in seen.controls if control.serial not in used]
    for at in range(max(len(idle), len(free))):
        columns.append(
            Column(
                process=idle[at] if at < len(idle) else None,
                control=free[at] if at < len(free) else None,
            )
        )
    return columns
