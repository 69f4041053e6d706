"""Scenario files: what is written comes back, and what is no scenario is refused in one line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kextlab.abi.constants import SO_RCVBUF, SOL_SOCKET
from kextlab.kexts import EchoKext
from kextlab.remote.signatures import SYSCALLS
from kextlab.scenario import Program, Run, Scenario, ScenarioError, faults, file
from kextlab.scenario.calls import (
    AddDriver,
    Call,
    Enqueue,
    Exit,
    Inject,
    Kill,
    KpiCall,
    Load,
    LoadJob,
    Recorded,
    RunTasks,
    Sleep0,
    Spawn,
    Start,
    StartJob,
    StepTask,
    Syscall,
    Terminate,
    Touch,
    Unload,
    UnloadJob,
)
from kextlab.scenario.calls_json import READERS, call_from_json, call_to_json
from kextlab.scenario.faults import fault_from_json, fault_to_json
from kextlab.scenario.gates import parameters
from kextlab.scenario.values import from_json, to_json
from tests.unit.scenario_machines import echo, flooded, two_programs

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/conformance/corpus/xnu-11417.101.15.jsonl.xz"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "story.json"
    Scenario.of(flooded(), "a full queue").save(path)
    return path


def entries(run: Run) -> list[tuple[object, ...]]:
    return list(run.trace.entries())


# -- there and back ----------------------------------------------------------------------------


def test_a_saved_scenario_runs_as_the_one_it_was(saved: Path) -> None:
    scenario = Scenario.load(saved)
    assert scenario.title == "a full queue"
    run = scenario.run()
    assert entries(run) == list(flooded().trace.entries())
    assert run.divergence is None


def test_choices_faults_and_programs_come_back(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    fault = faults.SlowReader("two", every=2, delay=0.01, at=40, until=200)
    run = two_programs(seed=9, faults=[fault]).run()
    run.save(path)
    again = Scenario.load(path)
    assert (again.choices, again.faults, again.seed) == (run.scenario.choices, (fault,), 9)
    assert again.programs == {"one": echo, "two": echo}
    assert entries(again.run()) == entries(run)


def test_a_call_a_choice_and_a_fault_are_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    run = two_programs(seed=9, faults=[faults.DeadReader("two", at=40)]).run()
    run.save(path, trace=False)
    lines = path.read_text().splitlines()
    assert ' {"spawn": "one", "uid": 501},' in lines
    assert ' {"run": null}],' in lines
    assert ' {"fault": "dead-reader", "at": 40, "process": "two"}],' in lines
    assert sum(line.startswith(' ["') for line in lines) == len(run.scenario.choices)
    assert '"trace": [' not in lines


def test_saving_a_scenario_that_was_not_run_runs_it(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    two_programs().save(path)
    assert Scenario.load(path).run().divergence is None


def test_the_same_scenario_is_the_same_file(tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        two_programs(seed=4).save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_saved_scenario_runs_the_same_in_another_process(saved: Path) -> None:
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "kextlab", "run", str(saved)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("as recorded: ")


CALLS: list[Call] = [
    Load("a"),
    Unload("a"),
    Spawn("client", 0),
    Start("p", 100, (1, "x", b"y", None, (2, 3)), "name"),
    Start("p", 100),
    RunTasks(),
    RunTasks(0.5, 20),
    StepTask(),
    Sleep0(("so_rcv:1",), "sbwait", 5),
    Exit(100),
    Kill(100),
    Syscall(100, "socket", (32, 2, 2)),
    Syscall(100, "sendto", (3, None, 0, b"address")),
    Syscall(100, "sendmsg", (3, (b"a", b""), 0)),
    Syscall(100, "recvmsg_x", (3, 10, 2, 0)),
    Syscall(100, "select", ((3,), (), None)),
    KpiCall("a", "ctl_enqueuedata", (65537, 1, bytes(80), 80, 2)),
    KpiCall("a", "kev_msg_post", (1000, 1, 2, 3, (b"x",))),
    KpiCall("a", "kev_msg_post", ()),
    Syscall(100, "mach_msg", (b"head" * 6, 3, 100, 0x103, 0)),
    Syscall(100, "mach_vm_protect", (0x4000, 1, True, 3)),
    Syscall(100, "bootstrap_register", ("name", 0x103)),
    Syscall(100, "io_connect_method", (0x103, 2, (1, 2), b"in", 3, 4)),
    Touch(100, "store_words", (0x4000, bytes(100), 8)),
    Touch(100, "window", (0x4000, 4, b"")),
    AddDriver("d", "thermometer"),
    Terminate("io_service:2"),
    Enqueue("io_queue:1", b"record", 6),
    LoadJob({"Label": "job", "Program": "/job", "KeepAlive": {"SuccessfulExit": False}}, "p"),
    UnloadJob("job"),
    StartJob("job"),
    Inject(faults.MbufShortage(left=3)),
    Recorded({"op": "stats", "expect": {}}),
]


@pytest.mark.parametrize("call", CALLS, ids=repr)
def test_a_call_comes_back_from_its_json(call: Call) -> None:
    assert call_from_json(json.loads(json.dumps(call_to_json(call)))) == call


def test_every_system_call_can_be_written() -> None:
    for name, kinds in SYSCALLS.items():
        assert len(parameters(name)) == len(kinds) - 1


@pytest.mark.parametrize(
    "fault",
    [
        faults.SlowReader("a", at=1),
        faults.DeadReader(100, at=2, until=3),
        faults.CallbackFault("k", "send", errno="EPERM", at=0),
        faults.CallbackFault("k", "send", raises="x", times=2, at=0),
        faults.FullQueue("a", record=10, at=5),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_fault_comes_back_from_its_json(fault: faults.Fault) -> None:
    assert fault_from_json(json.loads(json.dumps(fault_to_json(fault)))) == fault


@pytest.mark.parametrize("value", [None, True, 3, -1, 2.5, "é", b"", bytes(300), (1, (b"x", "y"))])
def test_a_plain_value_comes_back_from_its_json(value: object) -> None:
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


# -- a recording -------------------------------------------------------------------------------


def test_a_scenario_of_a_recording_loads_and_plays_as_one(tmp_path: Path) -> None:
    scenario = Scenario.load(CORPUS, name="flow-one-too-many")
    run = scenario.run()
    assert run.divergence is None
    assert len(run.answers) == len(scenario.calls)
    path = tmp_path / "saved.json"
    run.save(path)
    assert entries(Scenario.load(path).run()) == entries(run)
    assert run.branch(len(run.trace) // 2).divergence is None


def test_an_answer_that_differs_from_the_recording_is_the_divergence() -> None:
    scenario = Scenario.load(CORPUS, name="flow-one-too-many")
    steps = [call for call in scenario.calls if isinstance(call, Recorded)]
    wrong = [Recorded({**call.step, "expect": {"errno": "EPERM"}}) for call in steps[3:4]]
    found = scenario.having(calls=(*steps[:3], *wrong, *steps[4:])).run().divergence
    assert found is not None
    assert found.expected == "{'errno': 'EPERM'}"


# -- what differs ------------------------------------------------------------------------------


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return path


def shorter(value: dict[str, Any]) -> None:
    """A client that sends less in its third message."""
    value["calls"][8]["data"] = {"len": 999, "fill": "00"}


def test_a_replay_that_differs_names_the_step_and_both_sides(saved: Path) -> None:
    run = Scenario.load(edited(saved, shorter)).run()
    assert str(run.divergence) == (
        f"differs at step {run.starts[8]}: expected proc:100: syscall sendto(3, <1000 bytes>, 0)\n"
        "  got proc:100: syscall sendto(3, <999 bytes>, 0)"
    )


def test_without_the_steps_the_hashes_find_the_first_state_that_differs(saved: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        shorter(value)
        del value["trace"]

    found = Scenario.load(edited(saved, change)).run().divergence
    assert found is not None
    run = Scenario.of(flooded()).run()
    other = run.branch(run.starts[8], calls=[Syscall(100, "sendto", (3, bytes(999), 0))])
    first = next(at for at in range(len(run.trace)) if run.hash(at) != other.hash(at))
    assert (found.step, found.since) == (first, first - 1)
    assert "what that was is not in the file" in found.expected


def test_hashes_that_lie_apart_find_the_steps_between(saved: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        shorter(value)
        del value["trace"]
        value["every"] = 16
        words = " ".join(value["hashes"]).split()
        value["hashes"] = [" ".join(words[15::16])]

    found = Scenario.load(edited(saved, change)).run().divergence
    assert found is not None
    assert found.step - found.since == 16
    assert str(found).startswith(f"differs between steps {found.since} and {found.step}: ")


def test_without_the_steps_another_answer_in_the_same_state_shows_in_the_digest(
    tmp_path: Path,
) -> None:
    mac = flooded()
    mac.syscalls.getsockopt(100, 3, SOL_SOCKET, SO_RCVBUF, bytes(4))
    path = tmp_path / "asked.json"
    Scenario.of(mac).save(path, trace=False)

    def change(value: dict[str, Any]) -> None:
        value["calls"][-1]["value"] = "000000"

    found = Scenario.load(edited(path, change)).run().divergence
    assert found is not None
    assert found.expected == "the same states, but other calls or answers"


def test_a_run_that_is_shorter_differs_at_its_end(saved: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        value["calls"].pop()

    run = Scenario.load(edited(saved, change)).run()
    assert run.divergence is not None
    assert (run.divergence.step, run.divergence.got) == (len(run.trace), "the end")


# -- bad input ---------------------------------------------------------------------------------


def put(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(fields: dict[str, Any]) -> None:
        fields[key] = value

    return change


BAD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another version": (
        put("format", "kextlab-scenario/2"),
        'scenario of format "kextlab-scenario/2"; this kextlab reads kextlab-scenario/1',
    ),
    "no format": (
        lambda value: value.pop("format"),
        'no scenario: one object with "format": "kextlab-scenario/1" is due',
    ),
    "an unknown release": (put("release", "xnu-1"), "xnu-1"),
    "an unknown key": (put("colour", 1), 'unknown key "colour"; there are format, title, '),
    "a key of the wrong type": (put("calls", {}), '"calls" is {}, not of type list'),
    "no calls": (lambda value: value.pop("calls"), '"calls" is missing: the file is truncated'),
    "a missing kext": (
        put("kexts", {}),
        'call 0: kext "org.kextlab.echo" is missing; given are none',
    ),
    "a kext without a place": (
        put("kexts", {"org.kextlab.echo": None}),
        'kext "org.kextlab.echo" is missing: the file has no place for it; pass kexts=',
    ),
    "a kext in a module that is not imported": (
        put("kexts", {"org.kextlab.echo": "antigravity:Echo"}),
        'kext "org.kextlab.echo" is missing: antigravity is not imported; import it first, or',
    ),
    "a kext that is not in its module": (
        put("kexts", {"org.kextlab.echo": "kextlab.kexts.echo:Ohce"}),
        'kext "org.kextlab.echo" is missing: kextlab.kexts.echo has no Ohce; pass kexts=',
    ),
    "a module that is not there": (
        put("kexts", {"org.kextlab.echo": "kextlab.kexts.none:Echo"}),
        "there is no module kextlab.kexts.none",
    ),
    "a missing program": (
        put("calls", [{"start": "reader", "pid": 100}]),
        'call 0: program "reader" is missing; given are none',
    ),
    "an unknown call": (put("calls", [{"jump": 1}]), 'call 0: {"jump": 1} is no call: it has none'),
    "an unknown system call": (
        put("calls", [{"call": "fork", "pid": 100}]),
        'call 0: unknown system call "fork": there are socket, dup, ',
    ),
    "a system call without an argument": (
        put("calls", [{"call": "close", "pid": 100}]),
        'call 0: close needs "fd"',
    ),
    "an argument of the wrong kind": (
        put("calls", [{"call": "close", "pid": 100, "fd": "three"}]),
        'call 0: close, "fd": "three" is not a number',
    ),
    "data that is none": (
        put("calls", [{"call": "sendto", "pid": 100, "fd": 3, "data": "xyz"}]),
        'call 0: sendto, "data": "xyz" is not data; data is a hex string, ',
    ),
    "an argument too many": (
        put("calls", [{"load": "org.kextlab.echo", "twice": 1}]),
        'call 0: load knows no "twice"',
    ),
    "an unknown fault": (
        put("faults", [{"fault": "fire", "at": 3}]),
        'fault 0: no fault "fire": there are slow-reader, ',
    ),
    "a fault without what it needs": (
        put("faults", [{"fault": "killed", "at": 3}]),
        "fault 0: killed: ",
    ),
    "a fault at no step": (
        put("faults", [{"fault": "killed", "at": "soon", "process": "client"}]),
        'fault 0: killed: "at" is "soon", not a step',
    ),
    "a choice that is none": (
        put("choices", [["next", ["a"], 1]]),
        'choice 0: ["next", ["a"], 1] is none: [KIND, [OPTION, ...], INDEX]',
    ),
    "hashes that are missing": (
        put("hashes", []),
        '0 "hashes" for ',
    ),
    "a trace that is cut": (lambda value: value["trace"].pop(), '"trace" has '),
    "a trace that does not add up": (
        lambda value: value["trace"].__setitem__(0, [20, "no", "b", 3]),
        '"trace" does not add up',
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_in_a_file_is_one_line(
    saved: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edited(saved, change)
    with pytest.raises(ScenarioError) as refused:
        Scenario.load(saved)
    said = str(refused.value)
    assert said.startswith(f"{saved}: ")
    assert message in said
    assert "\n" not in said


def test_a_truncated_file_is_one_line_wherever_it_is_cut(saved: Path) -> None:
    text = saved.read_text()
    for at in range(1, len(text) - 2, 211):
        saved.write_text(text[:at])
        with pytest.raises(ScenarioError, match=r"truncated|not JSON") as refused:
            Scenario.load(saved)
        assert "\n" not in str(refused.value)


NONE = [b"", b"\xff", b"[1]", b"nothing", b'{"format": NaN}', b"[" * 9999]


@pytest.mark.parametrize("content", NONE, ids=["empty", "bytes", "list", "text", "NaN", "deep"])
def test_what_is_no_scenario_at_all_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as refused:
        Scenario.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none.json: cannot be read \(No such file"):
        Scenario.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [(None, "1465 scenarios; name one of"), ("x", 'no scenario "x"; name one of')],
)
def test_a_recording_of_many_scenarios_wants_a_name(name: str | None, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(CORPUS, name=name)


def test_code_that_has_no_place_of_its_own_is_given_to_the_loader(tmp_path: Path) -> None:
    def program(app: object) -> None:
        return None

    async def runs(app: object) -> None:
        program(app)

    path = tmp_path / "local.json"
    Scenario(kexts={"mine": lambda: EchoKext()}, programs=[Program("p", runs)]).save(path)
    with pytest.raises(ScenarioError, match=r'kext "mine" is missing: the file has no place'):
        Scenario.load(path)
    given = Scenario.load(path, kexts={"mine": EchoKext}, programs={"p": runs})
    assert given.run().divergence is None


def test_an_argument_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    async def takes(app: object, thing: object) -> None:
        pass

    scenario = Scenario(programs=[Program("one", takes, args=(object(),))])
    with pytest.raises(ScenarioError, match="cannot be written to a scenario"):
        scenario.save(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


# -- the page ----------------------------------------------------------------------------------

PAGE = (ROOT / "docs/scenario-format.md").read_text()


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("The file", file.KEYS),
        ("Calls", [*READERS, "op"]),
        ("Faults", faults.KINDS),
    ],
)
def test_the_page_describes_every_key_call_and_fault(section: str, names: list[str]) -> None:
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0].split("\n### ")[0]
    first = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert [name for cell in first for name in re.findall(r"`([^`]+)`", cell)] == list(names)
