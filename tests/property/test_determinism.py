"""One scenario, one trace: in every process, beside other kernels, and again and again."""

import hashlib
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kextlab
from kextlab.scenario.operations import Machine
from kextlab.scenario.recording import Scenario
from tests.recordings import corpus

CORPUS = Path(__file__).parents[1] / "conformance" / "corpus"
RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]
ROOT = Path(__file__).parents[2]
SOME = 4
"""Of the hand-written scenarios, how far apart are those run in several processes or machines."""

HASH = """
import hashlib, sys
from kextlab.scenario.operations import Machine
from kextlab.scenario.recording import read

release = sys.argv[2]
digest = hashlib.sha256()
written = [scenario for scenario in read(sys.argv[1]).scenarios if scenario.topic is not None]
for scenario in written[:: int(sys.argv[3])]:
    machine = Machine(release)
    for step in scenario.steps:
        machine.run(step)
    digest.update(repr(list(machine.mac.trace.entries())).encode())
print(digest.hexdigest())
"""


def written(release: str) -> list[Scenario]:
    recording = corpus(release)
    return [scenario for scenario in recording.scenarios if scenario.topic is not None]


def run(scenario: Scenario, release: str) -> tuple[list[dict[str, Any]], list[object]]:
    """A scenario's answers and its trace."""
    machine = Machine(release)
    answers = [machine.run(step) for step in scenario.steps]
    return answers, list(machine.mac.trace.entries())


@pytest.mark.parametrize("release", RELEASES)
def test_a_scenario_leaves_the_same_trace_in_every_process(release: str) -> None:
    digest = hashlib.sha256()
    for scenario in written(release)[::SOME]:
        digest.update(repr(run(scenario, release)[1]).encode())
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", HASH, CORPUS / f"{release}.jsonl.xz", release, str(SOME)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest.hexdigest(), f"PYTHONHASHSEED={seed}"


def test_two_kernels_in_one_process_share_nothing() -> None:
    scenarios = written(RELEASES[0])
    others = list(reversed(written(RELEASES[1])))
    for one, other in zip(scenarios[::SOME], others[::SOME], strict=True):
        alone = [run(one, RELEASES[0]), run(other, RELEASES[1])]
        machines = [Machine(RELEASES[0]), Machine(RELEASES[1])]
        answers: list[list[dict[str, Any]]] = [[], []]
        for steps in zip_longest(one.steps, other.steps):
            for machine, step, seen in zip(machines, steps, answers, strict=True):
                if step is not None:
                    seen.append(machine.run(step))
        traces = [list(machine.mac.trace.entries()) for machine in machines]
        assert list(zip(answers, traces, strict=True)) == alone


# -- module-level state ------------------------------------------------------------------------


def modules() -> Iterator[ModuleType]:
    for package in ("abi", "bsd", "kernel", "sched", "trace", "scenario"):
        folder = importlib.import_module(f"{kextlab.__name__}.{package}")
        yield folder
        for info in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
            yield importlib.import_module(info.name)


def held() -> dict[str, str]:
    """What every mutable object that a module or one of its classes names holds."""
    found = {}
    for module in modules():
        owners: list[Any] = [module]
        owners += [thing for thing in vars(module).values() if isinstance(thing, type)]
        for owner in owners:
            for name, value in vars(owner).items():
                if isinstance(value, dict | list | set | bytearray) and name[:2] != "__":
                    label = getattr(owner, "__qualname__", "")
                    found[f"{module.__name__}.{label}.{name}"] = repr(value)
    return found


@pytest.mark.parametrize("release", RELEASES)
def test_a_run_leaves_no_module_level_state(release: str) -> None:
    before = held()
    scenarios = written(release)
    first = [run(scenario, release) for scenario in scenarios]
    assert held() == before
    assert [run(scenario, release) for scenario in scenarios[::SOME]] == first[::SOME]


def test_the_search_for_module_level_state_sees_the_tables() -> None:
    assert "kextlab.bsd.release..RELEASES" in held()
