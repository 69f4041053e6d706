"""The recordings, replayed: every step of every scenario must match."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from kextlab.scenario import replay as replay_module
from kextlab.scenario.recording import Recording
from kextlab.scenario.replay import main, replay, same
from tests.recordings import corpus

RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]
MACH = "mach_ipc-xnu-7195.141.2"
PARTS = {"by-hand": (True, 0, 1)} | {f"generated-{part}": (False, part, 3) for part in range(3)}
"""The scenarios in parts: whether they were written by hand, the first, and one in how many."""


def recording_of(release: str) -> Recording:
    return corpus(release)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("release", RELEASES)
def test_every_step_of_every_scenario_matches(release: str, part: str) -> None:
    by_hand, first, every = PARTS[part]
    kind = [s for s in recording_of(release).scenarios if (s.profile is None) is by_hand]
    scenarios = kind[first::every]
    assert scenarios
    outcomes = [replay(scenario, release) for scenario in scenarios]
    different = [o.difference for o in outcomes if o.difference is not None]
    assert different == []
    assert sum(o.matched for o in outcomes) == sum(len(s.steps) for s in scenarios)


@pytest.mark.parametrize("part", ["by-hand", "generated-0"])
def test_every_step_of_mach_ipc_matches(part: str) -> None:
    recording = recording_of(MACH)
    scenarios = [s for s in recording.scenarios if (s.topic is not None) is (part == "by-hand")]
    assert scenarios
    outcomes = [replay(s, recording.header.release, "mach_ipc") for s in scenarios]
    assert [o.difference for o in outcomes if o.difference is not None] == []
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
        'scenario "bad": A title',
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


def test_mach_ipc_of_another_release_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = {"op": "type", "name": "p", "expect": {"kr": "KERN_INVALID_NAME"}}
    one = {"name": "one", "steps": [step]}
    write(tmp_path / "a.jsonl", one, kind="mach_ipc", release=RELEASES[0])
    assert main([tmp_path]) == 2
    said = capsys.readouterr().out
    assert f"'{RELEASES[0]}': Mach IPC is modelled as in xnu-7195.141.2" in said
    write(tmp_path / "a.jsonl", one, kind="mach_ipc", release=RELEASES[1])
    assert main([tmp_path]) == 0


def test_a_broken_file_is_one_line_and_nothing_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.jsonl", scenario("one", 0))
    (tmp_path / "b.jsonl").write_text("{")
    assert main([tmp_path]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f"{tmp_path / 'b.jsonl'}, line 1" in said


def replayed(path: Path, *steps: dict[str, Any], **header: Any) -> Path:
    """A recording of one scenario with these steps; without ``expect`` a step expects errno 0."""
    full = [{"expect": {"errno": 0}} | step for step in steps]
    return write(path / "a.jsonl", {"name": "odd", "steps": full}, **header)


REGISTER = {"op": "ctl_register", "ref": "c", "name": "n", "flags": []}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "sendfile", "fd": "s"}, 'operation "sendfile" is not modelled'),
        ({"op": "connect"}, 'connect needs "fd"'),
        ({"op": "connect", "fd": None}, '"fd": null is neither a name nor a whole number'),
        ({"op": "connect", "fd": "s", "id": -1}, '"id": -1 is not in 0 to 4294967295'),
        ({"op": "connect", "fd": "s", "id": 2**70}, '"id": 1180591620717411303424 is not in 0'),
        ({"op": "connect", "fd": "s", "unit": True}, '"unit": true is not a whole number'),
        (REGISTER | {"name": None}, '"name": null is not a string'),
        (REGISTER | {"ref": 7}, '"ref": 7 is not a string'),
        (REGISTER | {"flags": ["CTL_FLAG_NONE"]}, '"CTL_FLAG_NONE" is none of'),
        (REGISTER | {"flags": "CTL_FLAG_PRIVILEGED"}, '"flags": "CTL_FLAG_PRIVILEGED" is not a'),
        (REGISTER | {"callbacks": []}, '"callbacks": [] is not an object'),
        (REGISTER | {"callbacks": {"sned": {}}}, '"sned" is no callback'),
        (REGISTER | {"callbacks": {"send": 1}}, '"send" is 1, not an object'),
        (REGISTER | {"callbacks": {"send": {"errno": "ENONE"}}}, '"ENONE" is no errno of Darwin'),
        (REGISTER | {"callbacks": {"send": {"enqueue": "0"}}}, '"send", "enqueue": "0" is not'),
        ({"op": "send", "fd": "s", "data": "0g"}, '"data": "0g" is not data'),
        ({"op": "sendmsg", "fd": "s", "datas": "00"}, '"datas": "00" is not a list'),
        ({"op": "recv", "fd": "s", "len": "1"}, '"len": "1" is not a whole number'),
        ({"op": "ctl_id_by_name", "name": "\ud800"}, "is not text that UTF-8 can hold"),
    ],
)
def test_a_step_that_cannot_be_done_is_one_line_naming_it(
    step: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = replayed(tmp_path, step)
    assert main([path]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert words in said
    assert said.startswith(f'kextlab replay: {path}, line 2: scenario "odd", step 0: ')


@pytest.mark.parametrize(
    "step",
    [
        {"op": "ctl_deregister", "ref": 2**40, "expect": {"errno": "EINVAL"}},
        {"op": "shutdown", "fd": "s", "how": -1, "expect": {"errno": "EBADF"}},
        {"op": "connect", "fd": "s", "namelen": 2**32 - 1, "expect": {"errno": "EBADF"}},
        {"op": "close", "fd": "s", "unit": None, "note": [1], "expect": {"errno": "EBADF"}},
        {"op": "ctl_register", "null": True, "expect": {"errno": "EINVAL"}},
        {"op": "kev_post_msg", "null": True, "expect": {"panic": "kernel page fault"}},
        REGISTER | {"callbacks": {"send": {"enqueue": None}}, "expect": {"errno": "EINVAL"}},
    ],
)
def test_what_the_format_allows_is_replayed(
    step: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([replayed(tmp_path, step)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "socket", "fd": "s", "type": "SOCK_NONE", "proto": 2}, '"SOCK_NONE" is not known'),
        ({"op": "recv", "fd": "s", "len": 1, "flags": ["MSG_NONE"]}, "MSG_NONE"),
        ({"op": "ioctl", "fd": "s", "cmd": "SIOCNONE"}, '"SIOCNONE" is not known'),
    ],
)
def test_an_unknown_constant_is_a_difference_of_its_step(
    step: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([replayed(tmp_path, step)]) == 1
    said = capsys.readouterr().out
    assert words in said
    assert said.endswith("matched 0 of 1 steps in 1 scenarios\n")


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (NotImplementedError("no such thing"), "{'not modelled': 'NotImplementedError: no such"),
        (KeyError("x"), "{'simulator error': \"KeyError: 'x'\"}"),
        (AssertionError(), "{'simulator error': 'AssertionError: '}"),
    ],
)
def test_whatever_a_step_raises_is_a_difference_and_the_rest_is_replayed(
    error: Exception, got: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(machine: object, step: object) -> None:
        raise error

    monkeypatch.setattr(replay_module.Machine, "op_listen", fail)
    broken = {"name": "broken", "steps": [{"op": "listen", "fd": "s", "expect": {"errno": 0}}]}
    path = write(tmp_path / "a.jsonl", broken, scenario("two", "EBADF", "EBADF"))
    assert main([path]) == 1
    said = capsys.readouterr().out
    assert f"  got      {got}" in said
    assert said.endswith("matched 2 of 3 steps in 2 scenarios\n")


def test_an_answer_recorded_in_no_known_form_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for log in (7, [7], [{"data": "zz"}]):
        step = {"op": "close", "fd": "s", "expect": {"errno": "EBADF", "log": log}}
        assert main([replayed(tmp_path, step)]) == 1
        assert f"'log': {log!r}" in capsys.readouterr().out


CONNECTED = [
    REGISTER | {"callbacks": {"connect": {}}},
    {"op": "socket", "fd": "s", "type": "SOCK_DGRAM", "proto": 2},
    {"op": "connect", "fd": "s", "id": 1, "unit": 0},
]


@pytest.mark.parametrize(
    ("unit", "flags", "errno"), [(1, [], 0), (1, ["CTL_DATA_EOR"], "EINVAL"), (2, [], "EINVAL")]
)
def test_an_empty_packet_list_is_checked_like_any_other(
    unit: int, flags: list[str], errno: object
) -> None:
    machine = replay_module.Machine(RELEASES[0])
    for step in CONNECTED:
        machine.run(step)
    step = {"op": "ctl_enqueuembuf_list", "ref": "c", "unit": unit, "datas": [], "remain": True}
    assert machine.run(step | {"flags": flags}) == {"errno": errno, "remain": []}


def test_a_socket_whose_label_was_given_away_has_none_in_stats() -> None:
    machine = replay_module.Machine(RELEASES[0])
    for step in (*CONNECTED, CONNECTED[1]):
        machine.run(step)
    assert [socket["fd"] for socket in machine.run({"op": "stats"})["sockets"]] == [None, "s"]


def test_a_release_that_is_asked_for_is_checked_before_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([tmp_path / "none"], "bogus") == 2
    assert "release 'bogus' is not modelled" in capsys.readouterr().out


@pytest.mark.parametrize("header", [{"release": "xnu-1.2.3"}, {"kind": "mach_ipc"}])  # steps
def test_a_recording_that_cannot_be_replayed_is_named(
    header: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", scenario("one", "EBADF"), **header)
    assert main([path]) == 2
    assert capsys.readouterr().out.startswith(f"kextlab replay: {path}, line 1: ")
