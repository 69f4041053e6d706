"""launchd's jobs in the static picture: a row above user space, and sentences.

Reads the key ``launchd`` of a scene document's state; a kernel's plain state has no jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kextlab.views.svg import count, group, rect, text
from kextlab.views.tokens import fit, text_width
from kextlab.views.words import listed, some

Json = Any  # a JSON value

SECOND = 1_000_000_000
HEIGHT = 36


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs launchd has started so far.

    Attributes:
        until: the virtual time (ns) launchd waits for before it starts the next, 0: it does not.
        jobs: of each its ``name``, ``pid``, ``runs``, ``services`` and ``sockets``.
    """

    until: int
    jobs: tuple[dict[str, Json], ...]

    def state(self, job: dict[str, Json]) -> str:
        """What a job is doing; launchd's wait is the job's if no other may be meant."""
        if job["pid"]:
            return f"running, pid {job['pid']}"
        if self.until and sum(not one["pid"] for one in self.jobs) == 1:
            return f"throttled until {self.until / SECOND:g} s"
        return "waiting"

    def sentences(self) -> list[str]:
        """Each job in a sentence."""
        lines = []
        for job in self.jobs:
            offers = [*job["services"], *job["sockets"]]
            words = f"launchd's job {job['name']} is {self.state(job)}; it was started"
            words += f" {some(job['runs'], 'time')}"
            lines.append(words + (f" and offers {listed(offers)}." if offers else "."))
        return lines

    def draw(self, width: float) -> str:
        """The row, ``HEIGHT`` px high."""
        body = rect(0, 0, width, HEIGHT, "user-bg") + text(12, 22, "launchd", 11, "user", 700)
        x = 64.0
        for at, job in enumerate(self.jobs):
            name, state = fit(job["name"], 160, 12, 600), self.state(job)
            wide = text_width(name, 12, 600) + text_width(state, 12) + 28
            if x + wide > width - 80:
                more = f"and {count(len(self.jobs) - at)} more"
                return body + text(x, 22, more, 12, "ink2")
            edge, dash = ("user", "") if job["pid"] else ("rule", "4 3")
            box = rect(x, 6, wide, 24, "raise", edge, radius=4, dash=dash)
            box += text(x + 10, 22, name, 12, "ink", 600)
            box += text(x + wide - 10, 22, state, 12, "ink2", anchor="end")
            body += group(box, f"job {job['name']}, {state}")
            x += wide + 8
        return body


def jobs_in(state: dict[str, Json]) -> Jobs | None:
    """The jobs in a state of a document; ``None`` without any."""
    launchd = state.get("launchd")
    return None if launchd is None else Jobs(launchd["until"], tuple(launchd["jobs"].values()))
