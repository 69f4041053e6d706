"""Adding up the trace's changes gives the kernel's own snapshot, after every single entry."""

from pathlib import Path

import pytest

from kextlab.kernel import system as system_module
from kextlab.kernel.snapshot import snapshot
from kextlab.kernel.system import System
from kextlab.scenario.recording import Scenario, read
from kextlab.scenario.replay import replay
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder
from kextlab.trace.log import Trace

CORPUS = Path(__file__).parents[1] / "conformance" / "corpus"
GENERATED = 60
"""Generated scenarios checked for each release; replaying with a check at every entry is slow."""


class CheckedTrace(Trace):
    """A trace that compares its fold with the kernel's snapshot at every entry."""

    __slots__ = ("checked", "folder", "system")

    def __init__(self, recording: bool = True) -> None:
        super().__init__(recording)
        self.folder = Folder()
        self.system: System | None = None
        self.checked = 0
        append = self.record
        assert append is not None

        def check(entry: Entry) -> None:
            append(entry)
            self.folder.step(entry)
            if self.system is not None:
                assert self.folder.state == snapshot(self.system), entry
                self.checked += 1

        self.record = check


class CheckedSystem(System):
    """A system whose trace is checked from the end of its boot on."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # System's own arguments
        assert isinstance(self.trace, CheckedTrace)
        assert self.trace.folder.state == snapshot(self)
        self.trace.system = self


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_module, "Trace", CheckedTrace)
    monkeypatch.setattr("kextlab.kernel.kernel.System", CheckedSystem)


def scenarios(release: str) -> list[Scenario]:
    """All hand-written scenarios of a release and some generated ones."""
    recording = read(CORPUS / f"{release}.jsonl.xz")
    written = [scenario for scenario in recording.scenarios if scenario.topic is not None]
    generated = [scenario for scenario in recording.scenarios if scenario.topic is None]
    return written + generated[:: len(generated) // GENERATED]


@pytest.mark.parametrize("release", ["xnu-11417.101.15", "xnu-7195.141.2"])
def test_the_fold_of_the_trace_is_the_snapshot_after_every_entry(release: str) -> None:
    for scenario in scenarios(release):
        assert replay(scenario, release).difference is None
