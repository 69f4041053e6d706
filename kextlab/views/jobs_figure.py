"""launchd's jobs in the static picture: rows above user space, a box for one that does not run and
has a socket, and sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kextlab.trace.fold import State
from kextlab.views.job_teller import ended
from kextlab.views.jobs_scene import KIND, job_fields
from kextlab.views.svg import count, group, rect, text
from kextlab.views.tokens import fit, text_width
from kextlab.views.words import listed, some

Json = Any  # a JSON value

SECOND = 1_000_000_000
PITCH = 30
MOST_ROWS = 3
LEFT, GAP = 64.0, 8.0
NAME, OFFER = 200.0, 190.0
"""The most px of a label, and of what a job offers."""


def state_of(job: dict[str, Json]) -> str:
    """What a job is doing: ``waiting``, ``running, pid 103``, ``throttled until 5 s``."""
    if job["state"] == "running":
        return f"running, pid {job['pid']}"
    if job["state"] == "throttled":
        return f"throttled until {job['until'] / SECOND:g} s"
    return str(job["state"])


def offers(job: dict[str, Json]) -> list[str]:
    """The names of its services, the paths of its sockets."""
    return [one[0] for one in job["services"]] + [one[1] for one in job["sockets"]]


def brief(job: dict[str, Json]) -> str:
    """What it offers, in short."""
    names = offers(job)
    if not names:
        return ""
    first = "service of that name" if names[0] == job["label"] else names[0]
    return first + (f" +{len(names) - 1}" if len(names) > 1 else "")


def sentence(job: dict[str, Json]) -> str:
    """A job in a sentence."""
    runs = f"it was started {some(job['runs'], 'time')}" if job["runs"] else "it was never started"
    before = job["runs"] - (job["state"] == "running")
    if before:
        runs += f", the last run ended {ended(job['status'], job['reason'])}"
    offered = offers(job)
    words = f"launchd's job {job['label']} is {state_of(job)}; {runs}"
    return words + (f"; it offers {listed(offered)}." if offered else ".")


@dataclass(frozen=True, slots=True)
class Chip:
    """A job in the row: where it stands."""

    job: dict[str, Json]
    name: str
    state: str
    offer: str
    x: float
    row: int
    wide: float


class Jobs:
    """The loaded jobs, each as ``job_fields`` has it.

    Args:
        jobs: by number, in the order of loading.
    """

    def __init__(self, jobs: dict[str, dict[str, Json]]) -> None:
        self.jobs = list(jobs.values())

    def waiting(self, socket: int, pid: int) -> dict[str, Json] | None:
        """The job a socket that process ``pid`` has is of, if the process is not the job's own."""
        for job in self.jobs:
            if job["pid"] != pid and any(one[2] == socket for one in job["sockets"]):
                return job
        return None

    def sentences(self) -> list[str]:
        """Each job in a sentence."""
        return [sentence(job) for job in self.jobs]

    def _chips(self, width: float) -> list[Chip]:
        """As many as stand in ``MOST_ROWS`` rows of that width, px."""
        x, row, chips = LEFT, 0, list[Chip]()
        for job in self.jobs:
            name, offer = fit(job["label"], NAME, 12, 600), fit(brief(job), OFFER, 12)
            state = state_of(job)
            wide = text_width(name, 12, 600) + text_width(state, 12) + 28
            wide += text_width(offer, 12) + 10 if offer else 0
            last = row == MOST_ROWS - 1
            if x > LEFT and x + wide > width - (90 if last else 12):
                if last:
                    break
                x, row = LEFT, row + 1
            chips.append(Chip(job, name, state, offer, x, row, wide))
            x += wide + GAP
        return chips

    def height(self, width: float) -> float:
        """How high the rows are, px."""
        chips = self._chips(width)
        return 6 + PITCH * (chips[-1].row + 1 if chips else 1)

    def draw(self, width: float) -> str:
        """The rows."""
        chips = self._chips(width)
        body = rect(0, 0, width, self.height(width), "user-bg")
        body += text(12, 22, "launchd", 11, "user", 700)
        if not chips:
            return body + text(LEFT, 22, "no job is loaded", 12, "ink2")
        for chip in chips:
            x, y = chip.x, 6 + PITCH * chip.row
            runs = chip.job["state"] == "running"
            held = chip.job["state"] == "throttled"
            edge, dash = ("user", "") if runs else ("rule", "4 3")
            box = rect(x, y, chip.wide, 24, "raise", edge, radius=4, dash=dash)
            box += text(x + 10, y + 16, chip.name, 12, "ink", 600)
            x += text_width(chip.name, 12, 600) + 18
            box += text(x, y + 16, chip.state, 12, "ink" if held else "ink2", 600 if held else 400)
            if chip.offer:
                x += text_width(chip.state, 12) + 10
                box += text(x, y + 16, chip.offer, 12, "ink2")
            body += group(box, sentence(chip.job))
        left = len(self.jobs) - len(chips)
        if left:
            y = 22 + PITCH * chips[-1].row
            end = chips[-1].x + chips[-1].wide + GAP
            body += text(end, y, f"and {count(left)} more", 12, "ink2")
        return body


def jobs_in(state: dict[str, Json]) -> Jobs | None:
    """The jobs in a state of a document; ``None`` before the first."""
    launchd = state.get("launchd")
    return None if launchd is None else Jobs(launchd["jobs"])


def jobs_in_state(state: State) -> Jobs | None:
    """The jobs in a kernel's plain state; ``None`` without any."""
    jobs = {name: job_fields(state, name) for name in state if name.startswith(KIND)}
    return Jobs(jobs) if jobs else None
