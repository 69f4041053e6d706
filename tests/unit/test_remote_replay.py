"""Every hand-written recording, with the process and the kext behind encoded loop-backs."""

from typing import cast

import pytest

from kextlab.kernel.kernel import Kernel
from kextlab.kernel.syscalls import Syscalls
from kextlab.remote.loopback import load_remote
from kextlab.remote.syscalls import LoopbackSyscalls
from kextlab.scenario.behaviour import RecordedKext, data_of
from kextlab.scenario.operations import Answer, Machine, error_name
from kextlab.scenario.recording import Recording, Scenario, Step
from kextlab.scenario.replay import same
from kextlab.trace.events import Change
from tests import recordings

RELEASES = ("xnu-7195.141.2", "xnu-11417.101.15")


class RemoteMachine(Machine):
    """A machine whose process and kext are on the other side of a wire."""

    def __init__(self, release: str) -> None:
        super().__init__(release, self.remote)

    def remote(self, mac: Kernel) -> tuple[Syscalls, RecordedKext]:
        self.client = LoopbackSyscalls(mac.syscalls)
        self.loaded = load_remote(mac, RecordedKext)
        return cast(Syscalls, self.client), self.loaded.kext

    def op_send(self, step: Step) -> Answer:
        """Through the gate, which ``Machine`` goes around."""
        if step.get("null"):
            return super().op_send(step)  # a length with a bad pointer: no plain value says that
        addressed = "to_id" in step or "to_unit" in step
        address = self._address(step, "to_") if addressed else None
        data = data_of(step["data"])
        errno, n = self.gate.sendto(self.pid, self.fd(step), data, self._flags(step), address)
        return {"errno": error_name(errno)} if errno else {"errno": 0, "n": n}


@pytest.fixture(scope="module", params=RELEASES)
def corpus(request: pytest.FixtureRequest) -> Recording:
    return recordings.corpus(request.param)


def changes(mac: Kernel) -> list[Change]:
    """Everything that changed in the kernel, in order."""
    return [change for event in mac.trace.events() for change in event.changes]


def replayed(scenario: Scenario, release: str) -> RemoteMachine:
    """The remote machine that answered every step as the real kernel did."""
    machine = RemoteMachine(release)
    for index, step in enumerate(scenario.steps):
        got = machine.run(step)
        assert same(step["op"], step["expect"], got), f"{scenario.name}, step {index}: {got}"
    return machine


def test_every_hand_written_scenario_replays_with_both_gates_behind_bytes(
    corpus: Recording,
) -> None:
    scenarios = [scenario for scenario in corpus.scenarios if scenario.topic is not None]
    assert len(scenarios) == 265
    calls = kext_calls = 0
    for scenario in scenarios:
        machine = replayed(scenario, corpus.header.release)
        beside = Machine(corpus.header.release)
        for step in scenario.steps:
            beside.run(step)
        assert changes(machine.mac) == changes(beside.mac), scenario.name
        assert machine.mac.snapshot() == beside.mac.snapshot()
        assert machine.mac.log == beside.mac.log
        calls += machine.client.statistics().messages_to_kernel
        kext_calls += machine.loaded.link.statistics().messages_to_kernel
    assert calls > 1_000
    assert kext_calls > 1_000


@pytest.mark.slow
def test_every_generated_scenario_replays_with_both_gates_behind_bytes(corpus: Recording) -> None:
    for scenario in corpus.scenarios:
        if scenario.topic is None:
            replayed(scenario, corpus.header.release)
