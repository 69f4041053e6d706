"""The hand-written scenarios alone, without the generated ones, recorded and not."""

from functools import partial
from typing import Any

import pytest

from kextlab.kernel.kernel import Kernel
from kextlab.scenario import operations
from kextlab.scenario.operations import Machine
from kextlab.scenario.recording import Scenario
from kextlab.scenario.replay import replay
from tests.recordings import corpus

RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]


def written(release: str) -> list[Scenario]:
    recording = corpus(release)
    return [scenario for scenario in recording.scenarios if scenario.topic is not None]


@pytest.mark.parametrize("release", RELEASES)
def test_every_hand_written_scenario_matches(release: str) -> None:
    scenarios = written(release)
    assert len(scenarios) == 265
    assert [s.name for s in scenarios if replay(s, release).difference is not None] == []


@pytest.mark.parametrize("release", RELEASES)
def test_recording_the_trace_changes_no_answer(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the wakeups and signals, which are read off the trace."""

    def answers(scenario: Scenario) -> list[dict[str, Any]]:
        machine = Machine(release)
        seen = [machine.run(step) for step in scenario.steps]
        for answer in seen:
            log = [entry for entry in answer.pop("log", []) if "cb" in entry or "call" in entry]
            answer["log"] = log
        return seen

    scenarios = written(release)
    recorded = [answers(scenario) for scenario in scenarios]
    monkeypatch.setattr(operations, "Kernel", partial(Kernel, trace=False))
    assert [answers(scenario) for scenario in scenarios] == recorded
