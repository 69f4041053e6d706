"""Any scenario: saved, loaded and run again it is the same, and so is a branch without a change."""

import json
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi import constants as c
from kextlab.abi.structs import SockaddrCtl
from kextlab.kexts import EchoKext
from kextlab.scenario import Program, Run, Scenario, ScenarioError, faults
from kextlab.scenario.calls import (
    Call,
    Exit,
    Kill,
    KpiCall,
    Load,
    RunTasks,
    Spawn,
    Start,
    Syscall,
    Unload,
)
from kextlab.scenario.faults import candidates
from kextlab.scenario.file import text
from tests.unit.scenario_machines import echo

ROOT = Path(__file__).parents[2]
KEXT = "org.kextlab.echo"
FDS = st.sampled_from([3, 3, 4, 5])
PIDS = st.sampled_from([100, 100, 101])
ADDRESS = SockaddrCtl(sc_id=1).pack()
DATA = st.binary(max_size=40) | st.integers(100, 3000).map(bytes)


def syscall(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(lambda pid, *values: Syscall(pid, name, values), PIDS, *args)


CALLS: st.SearchStrategy[Call] = st.one_of(
    syscall("socket", st.just(c.PF_SYSTEM), st.sampled_from([2, 1]), st.just(2)),
    syscall("connect", FDS, st.just(ADDRESS)),
    syscall("sendto", FDS, DATA, st.just(0)),
    syscall("sendto", FDS, DATA, st.just(0)),
    syscall("recvfrom", FDS, st.integers(0, 4000), st.sampled_from([c.MSG_DONTWAIT, 0])),
    syscall("recvmsg", FDS, st.integers(0, 4000), st.just(c.MSG_DONTWAIT)),
    syscall("dup", FDS),
    syscall("close", FDS),
    st.builds(Start, st.just("echo"), PIDS, st.tuples(st.integers(0, 10))),
    st.builds(RunTasks, st.sampled_from([None, None, 0.002])),
    st.builds(
        lambda unit, data: KpiCall(KEXT, "ctl_enqueuedata", (65537, unit, data, len(data), 2)),
        st.integers(1, 3),
        DATA,
    ),
    st.builds(Exit, PIDS),
    st.builds(Kill, PIDS),
    st.just(Unload(KEXT)),
    st.just(Load(KEXT)),
)
START: tuple[Call, ...] = (
    Load(KEXT),
    Spawn("one"),
    Spawn("two"),
    Syscall(100, "socket", (c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)),
    Syscall(100, "connect", (3, ADDRESS)),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    calls = draw(st.lists(CALLS, max_size=15))
    return Scenario(
        kexts=[EchoKext],
        programs={"echo": echo},
        seed=draw(st.none() | st.integers(0, 5)),
        calls=(*START, *calls, RunTasks()),
    )


def thrown_away(*runs: Run) -> None:
    """A program that has not begun is not awaited any more."""
    for run in runs:
        run.mac.reboot()


def entries(run: Run) -> list[tuple[object, ...]]:
    return list(run.trace.entries())


def faulted(data: st.DataObject, run: Run) -> Run:
    """The run, or a branch of it in which one of the faults that could be is applied."""
    at = data.draw(st.integers(0, len(run.trace)))
    mac = run.machine(at)
    possible = list(candidates(mac))
    try:
        branch = run.branch(at, faults=[data.draw(st.sampled_from(possible))])
    except ScenarioError:
        return run
    finally:
        mac.reboot()
    return branch


@given(scenario=scenarios(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_saved_loaded_and_run_again_it_leaves_the_same_trace(
    scenario: Scenario, data: st.DataObject
) -> None:
    run = faulted(data, scenario.run())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.json"
        run.save(path, trace=data.draw(st.booleans()))
        loaded = Scenario.load(path)
        again = loaded.run()
        assert entries(again) == entries(run)
        assert again.divergence is None
        assert loaded.expected is not None
        assert text(loaded, loaded.expected, loaded.expected.trace is not None) == path.read_text()
    assert run.mac.panic is not None or run.mac.snapshot() == run.trace.state()
    thrown_away(again, run, *([run.parent] if run.parent is not None else []))


@given(scenario=scenarios(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_branch_without_a_change_leaves_the_same_trace(
    scenario: Scenario, data: st.DataObject
) -> None:
    run = faulted(data, scenario.run())
    at = data.draw(st.integers(0, len(run.trace)))
    branch = run.branch(at)
    assert entries(branch) == entries(run)
    assert branch.scenario.having() == run.scenario.having()
    thrown_away(branch, run, *([run.parent] if run.parent is not None else []))


@given(scenario=scenarios(), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_branch_is_what_the_run_was_up_to_its_step(
    scenario: Scenario, data: st.DataObject
) -> None:
    run = scenario.run()
    branch = faulted(data, run)
    at = branch.at or 0
    assert entries(branch)[:at] == entries(run)[:at]
    if run.mac.panic is None:
        mac = run.machine(at)
        assert list(mac.trace.entries()) == entries(run)[: len(mac.trace)]
        assert mac.snapshot() == mac.trace.state()
        mac.reboot()
    thrown_away(run, branch)


RUN = """
import json, sys
from kextlab.scenario import Scenario
from kextlab.scenario.hashes import state_hash
for path in sys.argv[1:]:
    run = Scenario.load(path).run()
    print(json.dumps([len(run.trace), run.hash(len(run.trace)), str(run.divergence)]))
"""


def test_scenarios_run_the_same_in_another_process(tmp_path: Path) -> None:
    paths, told = [], []
    seeds = islice((seed for seed in range(99)), 4)
    for seed in seeds:
        programs = [Program("one", echo), Program("two", echo, args=(15,))]
        slow = faults.SlowReader("two", delay=0.01, at=40)
        run = Scenario(kexts=[EchoKext], programs=programs, seed=seed, faults=[slow]).run()
        path = tmp_path / f"{seed}.json"
        run.save(path)
        paths.append(str(path))
        told.append([len(run.trace), run.hash(len(run.trace)), "None"])
    program = "import tests.unit.scenario_machines\n" + RUN
    for hash_seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program, *paths],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [json.loads(line) for line in done.stdout.splitlines()] == told


def test_a_session_with_nothing_in_it_is_a_scenario() -> None:
    run = Scenario.of(Kernel()).run()
    assert entries(run) == list(Kernel().trace.entries())
