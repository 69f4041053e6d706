"""The recordings of both releases, replayed: every step of every scenario must match."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from kextlab.scenario import replay as replay_module
from kextlab.scenario.recording import Recording, read
from kextlab.scenario.replay import main, replay, same

CORPUS = Path(__file__).parent / "corpus"
RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]
PARTS = 4


def recording_of(release: str) -> Recording:
    return read(CORPUS / f"{release}.jsonl.xz")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("release", RELEASES)
def test_every_step_of_every_scenario_matches(release: str, part: int) -> None:
    scenarios = recording_of(release).scenarios[part::PARTS]
    outcomes = [replay(scenario, release) for scenario in scenarios]
    different = [o.difference for o in outcomes if o.difference is not None]
    assert different == []
    assert sum(o.matched for o in outcomes) == sum(len(s.steps) for s in scenarios)


def test_each_release_differs_on_the_others_recording() -> None:
    """The releases are told apart: replayed on the wrong one, a corpus does not match."""
    wrong = {RELEASES[0]: RELEASES[1], RELEASES[1]: RELEASES[0]}
    for release, other in wrong.items():
        written = [s for s in recording_of(release).scenarios if s.topic is not None]
        assert any(replay(scenario, other).difference for scenario in written)


def test_a_changed_answer_in_any_field_of_any_operation_is_a_difference() -> None:
    """The comparison looks at everything: change one recorded value and it no longer matches."""
    seen: set[tuple[str, str]] = set()
    for scenario in recording_of(RELEASES[0]).scenarios:
        for step in scenario.steps:
            for key, value in step["expect"].items():
                if (step["op"], key) in seen:
                    continue
                changed = _changed(value)
                if key == "log" and step["op"] in replay_module.UNCOMPARED_WAKEUPS:
                    changed = [*value, {"signal": "SIGNONE"}]
                seen.add((step["op"], key))
                expect: dict[str, Any] = step["expect"]
                assert not same(step["op"], {**expect, key: changed}, expect), (step["op"], key)
    assert len(seen) > 60


def _changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "00"
    if isinstance(value, list):
        return [*value, 7] if not value or not isinstance(value[0], dict) else value[:-1]
    if "len" in value:
        return {"len": value["len"] + 1, "seq": 0}
    return {**value, "more": 1}


# -- the command -------------------------------------------------------------------------------


def write(path: Path, *scenarios: dict[str, Any], **header: Any) -> Path:
    steps = sum(len(scenario["steps"]) for scenario in scenarios)
    first = {
        "format": "kextlab-recording/1",
        "kind": "pf_system",
        "release": RELEASES[0],
        "scenarios": len(scenarios),
        "steps": steps,
    } | header
    path.write_text("".join(json.dumps(line) + "\n" for line in (first, *scenarios)))
    return path


def scenario(name: str, *errnos: object) -> dict[str, Any]:
    """Connects of an unopened descriptor, which are all EBADF, expected to answer ``errnos``."""
    connect = {"op": "connect", "fd": "s", "id": 1, "unit": 0}
    steps = [connect | {"expect": {"errno": errno}} for errno in errnos]
    return {"name": name, "title": "A title", "steps": steps}


def test_the_command_says_how_much_matched_in_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.jsonl", scenario("one", "EBADF"), scenario("two", "EBADF", "EBADF"))
    assert main([tmp_path]) == 0
    assert capsys.readouterr().out == "matched 3 of 3 steps in 2 scenarios\n"


def test_the_command_shows_the_first_difference_with_the_steps_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.jsonl", scenario("good", "EBADF"), scenario("bad", "EBADF", 0, "EBADF"))
    assert main([tmp_path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "scenario bad: A title",
        "  step 0: connect(fd='s', id=1, unit=0)",
        "first difference, step 1: connect(fd='s', id=1, unit=0)",
        "  expected {'errno': 0}",
        "  got      {'errno': 'EBADF'}",
        "matched 2 of 4 steps in 2 scenarios",
    ]


def test_the_command_reads_xz_and_folders_and_counts_them_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write(tmp_path / "a.jsonl", scenario("one", "EBADF"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.jsonl.xz").write_bytes(lzma.compress(plain.read_bytes()))
    assert main([tmp_path]) == 0
    assert capsys.readouterr().out == "matched 2 of 2 steps in 2 scenarios\n"


def test_the_release_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.jsonl", scenario("one", "EBADF"), release="xnu-1.2.3")
    assert main([tmp_path]) == 2
    assert "release 'xnu-1.2.3' is not modelled" in capsys.readouterr().out
    assert main([tmp_path], "xnu-7195.141.2") == 0


def test_a_mach_recording_says_not_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.jsonl", scenario("one", "EBADF"), kind="mach_ipc")
    assert main([tmp_path]) == 2
    assert "mach_ipc cannot be replayed: not yet" in capsys.readouterr().out


def test_a_broken_file_is_one_line_and_nothing_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.jsonl", scenario("one", 0))
    (tmp_path / "b.jsonl").write_text("{")
    assert main([tmp_path]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f"{tmp_path / 'b.jsonl'}, line 1" in said


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "sendfile", "fd": "s"}, "operation 'sendfile' is not modelled"),
        ({"op": "connect"}, "needs 'fd'"),
        ({"op": "send", "fd": "s", "data": "0g"}, "0g"),
        ({"op": "socket", "fd": "s", "type": "SOCK_NONE", "proto": 2}, "SOCK_NONE"),
        ({"op": "recv", "fd": "s", "len": 1, "flags": ["MSG_NONE"]}, "MSG_NONE"),
    ],
)
def test_a_step_that_cannot_be_done_is_one_line_naming_it(
    step: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"name": "odd", "steps": [step | {"expect": {"errno": 0}}]}
    path = write(tmp_path / "a.jsonl", broken)
    assert main([path]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert words in said
    assert f"{path}, line 2" in said
    assert "scenario odd, step 0" in said
