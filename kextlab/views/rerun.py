"""``kextlab run``: a scenario file is run again, told, and compared with what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from kextlab.scenario.scenario import Scenario
from kextlab.scenario.values import ScenarioError
from kextlab.views.log import log


def main(path: Path, name: str | None = None, modules: Sequence[str] = ()) -> int:
    """Run a scenario file and print its log; the exit code.

    0: it went as recorded. 1: it differs, the first difference is shown. 2: it cannot be run.
    """
    try:
        for module in modules:
            bring(module)
        run = Scenario.load(path, name=name).run()
    except ScenarioError as error:
        print(f"kextlab run: {error}", file=sys.stderr)
        return 2
    print(log(run.trace))
    for call, raised in run.errors:
        print(f"call {call} raised {type(raised).__name__}: {raised}")
    found = run.divergence
    if found is not None:
        print(f"the run {found}")
        return 1
    print(f"as recorded: {len(run.trace)} steps, state {run.hash(len(run.trace))}")
    return 0


def bring(module: str) -> None:
    """Import a module that holds kexts or programs, from the folder one is in too.

    Raises:
        ScenarioError: it cannot be imported.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        import_module(module)
    except Exception as error:  # whatever the module's own code raises
        raise ScenarioError(f"cannot import {module}: {type(error).__name__}: {error}") from None
