"""launchd's jobs in a mirror: the key ``launchd`` of ``docs/scene-format.md``."""

from __future__ import annotations

from collections.abc import Callable

from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.jobs_scene import job_fields, launchd_of
from kextlab.views.mirror_shown import Shown


class JobsMirror:
    """Follows launchd.

    Args:
        state: the live state of a fold.
        op: takes an operation's parts.
    """

    def __init__(self, state: State, op: Callable[..., None]) -> None:
        self._state = state
        self._op = op
        self._shown = Shown(op)
        self._begun = False
        self._of: dict[int, str] = {}
        """The job each of launchd's sockets is of."""

    def take(self, event: Event) -> None:
        """A job was loaded, changed or unloaded."""
        name = event.changes[0].object
        fields = job_fields(self._state, name) if name in self._state else None
        if fields is not None and not self._begun:
            self._begun = True
            self._op("launchd", {"pid": int(launchd_of(self._state, name)), "jobs": {}})
        if fields is not None and name not in self._shown:
            for service, port in fields["services"]:
                self._op(f"mach/ports/{port}/service", service)
            self._of |= {number: name for _, _, number in fields["sockets"]}
        self._shown.show(name, f"launchd/jobs/{name.partition(':')[2]}", fields)

    def runner(self, socket: int) -> int:
        """The process of the job a socket of launchd's is of; 0: of none, or it does not run."""
        fields = self._state.get(self._of.get(socket, ""))
        pid = fields["pid"] if fields is not None else 0
        assert isinstance(pid, int)
        return pid
