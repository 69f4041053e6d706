"""Telling launchd's jobs: loaded, started, ended, held back, unloaded.

That a job waits is not told: it is what a loaded job does, and what one does that has ended.
"""

from __future__ import annotations

from typing import cast

from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.jobs_scene import KIND, launchd_of
from kextlab.views.mach_names import Names
from kextlab.views.provenance import DOCUMENTED, Source
from kextlab.views.sentences import kext_name
from kextlab.views.told import Make, Told
from kextlab.views.words import listed

SECOND = 1_000_000_000


def ended(status: object, reason: object) -> str:
    """How a run ended: ``with status 1 (RuntimeError: it hurts)``, ``by signal 9``."""
    if cast(int, status) < 0:
        return f"by signal {-cast(int, status)}"
    return f"with status {status}{f' ({reason})' if reason else ''}"


class JobTeller:
    """Tells what launchd does with jobs.

    Args:
        state: the live state of a fold.
        names: is told what the ports of a job are for.
        make: makes a moment.
    """

    def __init__(self, state: State, names: Names, make: Make) -> None:
        self._state = state
        self._names = names
        self._make = make
        self.pids: set[object] = set()
        """The processes launchd started."""

    def changed(self, event: Event) -> list[Told]:
        """What there is to tell of a step's changes."""
        if not event.changes or not event.changes[0].object.startswith(KIND):
            return []
        name = event.changes[0].object
        news = {change.field: change.new for change in event.changes}
        if name not in self._state:
            return [self._unloaded({change.field: change.old for change in event.changes}, event)]
        if "label" in news:
            return [self._loaded(name, event)]
        tell = {
            "running": self._started,
            "not running": self._ended,
            "throttled": self._held,
        }.get(str(news.get("state")))
        return [tell(name, event)] if tell is not None else []

    def _note(self, event: Event, pid: str, text: str, label: str, routine: str) -> Told:
        place = f"proc:{pid}"
        told = self._make(event, "user", text, "note", place, place, label)
        told.source = Source(DOCUMENTED, "", f"launchd's core.c, {routine}")
        return told

    def _loaded(self, name: str, event: Event) -> Told:
        fields = self._state[name]
        label = fields["label"]
        services = cast("tuple[tuple[str, str], ...]", fields["services"])
        sockets = cast("tuple[tuple[str, str, int], ...]", fields["sockets"])
        self._names.stands_for(str(fields["port"]), f"{label}'s bootstrap port")
        for service, port in services:
            self._names.stands_for(port, service)
        offers = [service for service, _ in services] + [path for _, path, _ in sockets]
        words = f", which offers {listed(offers)}" if offers else ""
        text = f"launchd has loaded the job {label}{words}."
        return self._note(
            event, launchd_of(self._state, name), text, f"loads {kext_name(str(label))}", "job_new"
        )

    def _unloaded(self, fields: dict[str, object], event: Event) -> Told:
        launchd = str(self._state[str(fields["port"])]["receiver"]).removeprefix("proc:")
        label = fields["label"]
        text = f"launchd unloads the job {label}."
        return self._note(event, launchd, text, f"unloads {kext_name(str(label))}", "job_remove")

    def _started(self, name: str, event: Event) -> Told:
        fields = self._state[name]
        pid = fields["pid"]
        self.pids.add(pid)
        launchd = launchd_of(self._state, name)
        text = f"launchd starts {fields['label']} as pid {pid}, uid {fields['uid']}."
        told = self._note(event, launchd, text, "starts", "job_start")
        told.kind, told.receiver = "call", f"proc:{pid}"
        return told

    def _ended(self, name: str, event: Event) -> Told:
        fields = self._state[name]
        how = ended(fields["status"], fields["reason"])
        text = f"launchd learns that {fields['label']} has ended {how}."
        launchd = launchd_of(self._state, name)
        return self._note(
            event, launchd, text, f"{kext_name(str(fields['label']))} ended", "job_reap"
        )

    def _held(self, name: str, event: Event) -> Told:
        fields = self._state[name]
        label, until = fields["label"], cast(int, fields["may_start"]) / SECOND
        text = f"launchd holds {label} back: it may not start again before {until:g} s."
        launchd = launchd_of(self._state, name)
        return self._note(event, launchd, text, f"{kext_name(str(label))} throttled", "job_start")
