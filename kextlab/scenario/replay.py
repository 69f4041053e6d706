"""Replaying a recording: do the recorded calls, compare with what the real kernel answered.

Every scenario runs on a freshly booted kernel, through the same gates a process and a kext use.
A step matches when everything in its ``expect`` equals the simulator's answer, the log of
callbacks and wakeups included; the wakeups inside the log of ``connect`` and ``close`` are not
compared (they are XNU's housekeeping, see ``docs/fidelity.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kextlab.scenario.mach_operations import MachMachine
from kextlab.scenario.operations import Machine
from kextlab.scenario.recording import (
    RecordingError,
    Scenario,
    Step,
    abbreviate,
    expand,
    find,
    in_json,
    read,
    refuse,
)
from kextlab.scenario.steps import check

BEFORE = 6
"""Steps shown before the first difference."""
UNCOMPARED_WAKEUPS = ("connect", "close")
MACHINES: dict[str, type[Machine] | type[MachMachine]] = {
    "pf_system": Machine,
    "mach_ipc": MachMachine,
}
"""What does the operations of each kind of recording."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step of a scenario that does not match.

    ``got`` is the simulator's answer, or one entry that says why there is none: ``not modelled``
    or ``simulator error``.
    """

    scenario: Scenario
    index: int
    got: dict[str, Any]

    @property
    def step(self) -> Step:
        """The step, with what the real kernel answered."""
        return self.scenario.steps[self.index]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario went: steps matched, and the difference that ended it."""

    scenario: Scenario
    matched: int
    difference: Difference | None


def replay(scenario: Scenario, release: str, kind: str = "pf_system") -> Outcome:
    """Replay one scenario of a kind, up to its first difference. A step which the simulator cannot
    do is one, whatever it raises.

    Raises:
        ValueError: the release is not modelled.
    """
    machine = MACHINES[kind](release)
    for index, step in enumerate(scenario.steps):
        try:
            got = machine.run(step)
        except Exception as error:  # whatever it is, the other scenarios are to be replayed
            missing = isinstance(error, NotImplementedError)
            text = f"{type(error).__name__}: {error}"
            got = {"not modelled" if missing else "simulator error": text}
        if not same(step["op"], step["expect"], got):
            return Outcome(scenario, index, Difference(scenario, index, got))
    return Outcome(scenario, len(scenario.steps), None)


def same(op: str, expect: dict[str, Any], got: dict[str, Any]) -> bool:
    """Whether an answer equals the recorded one. What is recorded in no known form equals none."""
    return _canonical(op, got) == _known(op, expect)


def _known(op: str, expect: dict[str, Any]) -> dict[str, Any]:
    """What was recorded, in the form compared; as it stands if it has none."""
    try:
        return _canonical(op, expect)
    except (ValueError, TypeError, AttributeError):
        return expect


def _canonical(op: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with its data as bytes and without the wakeups that do not count."""
    result = {}
    for key, value in answer.items():
        if key == "log":
            entries = [
                _data(entry)
                for entry in value
                if not ("wakeup" in entry and op in UNCOMPARED_WAKEUPS)
            ]
            if entries:
                result[key] = entries
        else:
            result[key] = value
    return _data(result)


def _data(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with recorded data notation expanded to bytes."""
    result = dict(fields)
    if result.get("data") is not None:
        result["data"] = _bytes(result["data"])
    if "datas" in result:
        result["datas"] = [_bytes(data) for data in result["datas"]]
    if "msgs" in result:
        result["msgs"] = [_data(message) for message in result["msgs"]]
    return result


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else expand(data)


# -- the command -------------------------------------------------------------------------------


def main(paths: Iterable[Path], release: str | None = None) -> int:
    """``kextlab replay``: replay files and folders; the exit code.

    0: everything matched. 1: something differs, the first difference is shown. 2: a file cannot be
    replayed, in which case nothing was run.
    """
    try:
        if release is not None:
            Machine.check(release)
        recordings = [read(path) for path in find(paths)]
        for recording in recordings:
            try:
                MACHINES[recording.header.kind].check(release or recording.header.release)
            except ValueError as error:
                raise refuse(recording.path, 1, str(error)) from None
            check(recording)
    except (RecordingError, ValueError) as error:
        print(f"kextlab replay: {error}")
        return 2
    work = [
        (scenario, release or recording.header.release, recording.header.kind)
        for recording in recordings
        for scenario in recording.scenarios
    ]
    matched = steps = 0
    first: Difference | None = None
    for scenario, chosen, kind in _with_progress(work):
        outcome = replay(scenario, chosen, kind)
        matched += outcome.matched
        steps += len(scenario.steps)
        first = first or outcome.difference
    if first is not None:
        print("\n".join(shown(first)))
    print(f"matched {matched} of {steps} steps in {len(work)} scenarios")
    return 0 if first is None else 1


def _with_progress(work: list[tuple[Scenario, str, str]]) -> Iterator[tuple[Scenario, str, str]]:
    """The work, with a bar on a terminal; nothing is drawn elsewhere."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(
        work, "replaying", console=console, transient=True, disable=not console.is_terminal
    )


def shown(difference: Difference) -> Iterator[str]:
    """The first difference for a reader: the steps before it, then expected and got."""
    scenario = difference.scenario
    title = f": {scenario.title}" if scenario.title else ""
    yield f"scenario {in_json(scenario.name)}{title}"
    start = max(0, difference.index - BEFORE)
    for index in range(start, difference.index):
        yield f"  step {index}: {call(scenario.steps[index])}"
    yield f"first difference, step {difference.index}: {call(difference.step)}"
    expected, got = sides(difference.step["op"], difference.step["expect"], difference.got)
    yield f"  expected {expected}"
    yield f"  got      {got}"


def sides(op: str, expect: dict[str, Any], got: dict[str, Any]) -> tuple[str, str]:
    """What was expected and what came, for a reader."""
    return _readable(_known(op, expect)), _readable(_canonical(op, got))


def call(step: Step) -> str:
    """A step as a call with its arguments."""
    arguments = ", ".join(
        f"{key}={value!r}" for key, value in step.items() if key not in ("op", "expect")
    )
    return f"{step['op']}({arguments})"


def _readable(answer: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return abbreviate(value)
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value

    return repr(plain(answer))
