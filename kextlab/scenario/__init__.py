"""Scenarios: a run of the machine as data, to be saved, run again, stepped through and branched;
beside it, recordings of the real kernel's answers and their replay.

    from kextlab.scenario import Scenario, Program, compare, faults

The names are imported when they are first used, so that replaying a recording loads no more than it
needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kextlab.scenario import faults as faults
    from kextlab.scenario.comparison import Comparison as Comparison
    from kextlab.scenario.comparison import compare as compare
    from kextlab.scenario.run import Run as Run
    from kextlab.scenario.scenario import Program as Program
    from kextlab.scenario.scenario import Scenario as Scenario
    from kextlab.scenario.values import ScenarioError as ScenarioError

__all__ = ["Comparison", "Program", "Run", "Scenario", "ScenarioError", "compare", "faults"]

_HOMES = {
    "Comparison": "kextlab.scenario.comparison",
    "Program": "kextlab.scenario.scenario",
    "Run": "kextlab.scenario.run",
    "Scenario": "kextlab.scenario.scenario",
    "ScenarioError": "kextlab.scenario.values",
    "compare": "kextlab.scenario.comparison",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "faults":
        return import_module("kextlab.scenario.faults")
    raise AttributeError(f"module 'kextlab.scenario' has no attribute {name!r}")
