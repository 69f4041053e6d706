"""Scenarios: recorded from a machine, run again, stepped through, branched, compared."""

from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.constants import SO_RCVBUF, SOL_SOCKET
from kextlab.kexts import EchoKext, Kext
from kextlab.scenario import Program, Run, Scenario, ScenarioError, compare, faults
from kextlab.scenario.calls import Exit, Kill, KpiCall, Load, RunTasks, Spawn, Syscall, Unload
from kextlab.scenario.hashes import state_hash
from kextlab.sched.chooser import Seeded
from kextlab.trace.log import Trace
from tests.unit.scenario_machines import control, flooded, two_programs


def entries(trace: Trace) -> list[tuple[object, ...]]:
    return list(trace.entries())


# -- recording ---------------------------------------------------------------------------------


def test_what_a_notebook_did_run_again_gives_the_same_trace() -> None:
    mac = flooded()
    run = Scenario.of(mac).run()
    assert entries(run.trace) == entries(mac.trace)
    assert run.divergence is None
    assert run.mac is not mac


def test_the_calls_of_a_scenario_are_those_of_the_notebook_in_order() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    app = mac.spawn("client", uid=7)
    control(app).close()
    app.exit()
    mac.unload(mac.kexts()[0])
    calls = Scenario.of(mac).calls
    assert calls[:2] == (Load("org.kextlab.echo"), Spawn("client", 7))
    names = [call.name for call in calls if isinstance(call, Syscall)]
    assert names == ["socket", "ioctl", "connect", "close"]
    assert calls[-2:] == (Exit(100), Unload("org.kextlab.echo"))


def test_the_descriptors_an_exit_closes_are_not_closed_twice() -> None:
    mac = flooded()
    mac.processes[0].kill()
    scenario = Scenario.of(mac)
    assert scenario.calls[-1] == Kill(100)
    assert entries(scenario.run().trace) == entries(mac.trace)


def test_a_kernel_function_called_from_a_cell_is_called_again() -> None:
    mac = Kernel()
    echo = mac.load(EchoKext)
    s = control(mac.spawn("client"))
    echo.kpi.ctl_enqueuedata(echo.ctlref.value, 1, b"hello", 5, 0)
    assert s.recv(10) == b"hello"
    scenario = Scenario.of(mac)
    assert [call for call in scenario.calls if isinstance(call, KpiCall)]
    assert entries(scenario.run().trace) == entries(mac.trace)


def test_what_a_scenario_cannot_do_again_is_refused_with_its_step() -> None:
    mac = Kernel()
    kext = mac.load(Kext)
    from kextlab.kexts import KernCtlReg, Out

    step = len(mac.trace)
    kext.kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *a: 0), Out())
    with pytest.raises(ScenarioError, match=rf"^step {step}: ctl_register was called for Kext "):
        Scenario.of(mac)


def test_programs_time_and_a_cells_own_waiting_are_recorded() -> None:
    from tests.unit.scenario_machines import echo

    mac = Kernel(chooser=Seeded(5))
    mac.load(EchoKext)
    one, two = mac.spawn("one"), mac.spawn("two")
    one.run(echo, 3)
    two.run(echo, 4, name="second")
    mac.step()
    mac.run(until=0.002)
    two.time.sleep(0.0005)
    mac.run()
    run = Scenario.of(mac).run()
    assert entries(run.trace) == entries(mac.trace)
    assert run.mac.now == mac.now


def test_a_task_that_is_only_a_coroutine_is_refused_with_its_step() -> None:
    async def nothing() -> None:
        pass

    mac = Kernel()
    app = mac.spawn("client")
    step = len(mac.trace)
    app.loop.create_task(nothing())
    mac.run()
    with pytest.raises(ScenarioError, match=rf"^step {step}: task:1 was started from a coroutine"):
        Scenario.of(mac)


def test_a_panic_is_part_of_the_story() -> None:
    class Faulty(EchoKext):
        def send(self, *arguments: Any) -> int:
            raise ZeroDivisionError("oops")

    mac = Kernel()
    mac.load(Faulty)
    s = control(mac.spawn("client"))
    with pytest.raises(Exception, match="oops"):
        s.send(b"x")
    run = Scenario.of(mac).run()
    assert run.mac.panic is not None
    assert run.divergence is None


def test_a_loading_that_was_refused_is_refused_again() -> None:
    class Refuses(Kext):
        def start(self) -> int:
            return 22

    mac = Kernel()
    with pytest.raises(Exception, match="EINVAL"):
        mac.load(Refuses)
    assert entries(Scenario.of(mac).run().trace) == entries(mac.trace)


def test_a_scenario_is_taken_of_a_kernel_only() -> None:
    with pytest.raises(TypeError, match=r"Scenario.of takes a Kernel, not 'mac'"):
        Scenario.of("mac")  # type: ignore[arg-type]


# -- the parts ---------------------------------------------------------------------------------


def test_by_default_every_kext_is_loaded_and_every_program_run() -> None:
    run = two_programs().run()
    assert run.errors == []
    assert [task.state for task in run.mac.tasks] == ["done", "done", "asleep", "asleep"]
    assert isinstance(run.scenario.calls[-1], RunTasks)


def test_a_seed_names_a_run() -> None:
    one, again, other = (two_programs(seed=seed).run() for seed in (3, 3, 4))
    assert entries(one.trace) == entries(again.trace) != entries(other.trace)


def test_the_choices_of_a_run_are_its_scenarios() -> None:
    run = two_programs(seed=3).run()
    assert run.scenario.choices
    assert entries(run.scenario.having(seed=None).run().trace) == entries(run.trace)


def test_an_exception_of_a_program_is_kept_with_its_call() -> None:
    async def fails(app: object) -> None:
        raise LookupError("nothing there")

    run = Scenario(programs=[Program("a", fails)]).run()
    assert [(call, str(error)) for call, error in run.errors] == [(2, "nothing there")]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"release": "xnu-1"}, "xnu-1"),
        ({"calls": [Load("echo")]}, 'call 0: kext "echo" is missing; given are none'),
        ({"seed": "one"}, "seed is 'one', expected a whole number or None"),
        ({"kexts": [EchoKext, EchoKext]}, "two kexts named org.kextlab.echo"),
        ({"kexts": [3]}, "kexts takes factories, such as EchoKext; got 3"),
        ({"faults": [faults.MbufShortage()]}, "mbuf-shortage: at is missing"),
        ({"faults": [faults.Killed("a", at=3, until=5)]}, "it happens in one moment"),
        ({"faults": [faults.MbufShortage(at=3, until=3)]}, "steps, the second one later"),
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_said_before_anything_runs(
    parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        Scenario(**parts)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


# -- looking -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> Run:
    return Scenario.of(flooded()).run()


def test_stepping_and_going_back_move_the_step_looked_at(run: Run) -> None:
    run.jump(50)
    assert run.step() == run.trace.state(51)
    assert run.back(11) == run.trace.state(40)
    assert run.position == 40
    assert run.state() == run.trace.state(40)


@pytest.mark.parametrize("step", [-1, 10**6])
def test_a_jump_outside_the_range_says_the_range_and_moves_nothing(run: Run, step: int) -> None:
    run.jump(30)
    said = f"step {step:,} is outside this trace: 0 to {len(run.trace)}"
    with pytest.raises(IndexError, match=f"^{said}$"):
        run.jump(step)
    with pytest.raises(IndexError, match=r"step .* is outside this trace"):
        run.back(31)
    with pytest.raises(IndexError, match=f"^{said}$"):
        run.branch(step)
    assert run.position == 30


def test_a_hash_is_that_of_the_state_at_the_step(run: Run) -> None:
    assert run.hash(20) == state_hash(run.trace.state(20))
    run.jump(20)
    assert run.hash() == run.hash(20) != run.hash(70)


def test_a_machine_is_rewound_by_running_again() -> None:
    run = two_programs().run()
    for at in (0, 3, 60, 200, len(run.trace)):
        mac = run.machine(at)
        steps = len(mac.trace)
        assert entries(mac.trace) == entries(run.trace)[:steps]
        assert mac.snapshot() == run.trace.state(steps)
        assert steps >= at
        mac.reboot()  # its programs are not awaited any more
    assert run.mac.snapshot() == run.trace.state()


# -- branching ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 11])
def test_a_branch_without_a_change_is_the_same_run(seed: int | None) -> None:
    run = two_programs(seed=seed).run()
    for at in range(0, len(run.trace), 97):
        branch = run.branch(at)
        assert entries(branch.trace) == entries(run.trace)
        assert (branch.parent, branch.at, branch.position) == (run, at, at)


def test_a_branch_leaves_the_run_it_comes_from_alone(run: Run) -> None:
    before = entries(run.trace)
    run.branch(80, faults=[faults.Killed("client")])
    assert entries(run.trace) == before


def test_other_calls_follow_from_the_step_on(run: Run) -> None:
    at = run.starts[9]
    branch = run.branch(at, calls=[Syscall(100, "setsockopt", (3, SOL_SOCKET, SO_RCVBUF, b"x", 1))])
    assert entries(branch.trace)[:at] == entries(run.trace)[:at]
    assert len(branch.starts) == 10
    assert entries(branch.scenario.run().trace) == entries(branch.trace)


def test_other_choices_follow_from_the_step_on() -> None:
    run = two_programs(seed=3).run()
    middle = len(run.choice_steps) // 2
    at = run.choice_steps[middle]
    kind, options, index = run.scenario.choices[middle]
    other = (kind, options, (index + 1) % len(options))
    branch = run.branch(at, choices=[other])
    assert branch.scenario.choices[: middle + 1] == (*run.scenario.choices[:middle], other)
    assert entries(branch.trace)[:at] == entries(run.trace)[:at]
    assert compare(run, branch).step is not None


def test_a_fault_can_be_left_out_from_a_step_on() -> None:
    slow = faults.SlowReader("two", delay=0.05, at=30)
    run = two_programs(faults=[slow]).run()
    better = run.branch(200, without=[slow])
    assert better.scenario.faults == (faults.SlowReader("two", delay=0.05, at=30, until=200),)
    assert lost(better) < lost(run)
    assert run.branch(10, without=[slow]).scenario.faults == ()


def lost(run: Run) -> int:
    return sum(queue.lost for _, queue in compare(run, run).queues.values() if queue is not None)


def test_a_fault_that_cannot_be_taken_back_or_is_none_of_the_run_is_refused() -> None:
    killed = faults.Killed("two", at=30)
    run = two_programs(faults=[killed]).run()
    with pytest.raises(ScenarioError, match="killed happened at step 30 and cannot be taken back"):
        run.branch(40, without=[killed])
    with pytest.raises(ScenarioError, match="killed at=31 is no fault of this run"):
        run.branch(40, without=[faults.Killed("two", at=31)])
    with pytest.raises(ScenarioError, match="killed at=3 lies before the branch, which is at 40"):
        run.branch(40, faults=[faults.Killed("one", at=3)])


# -- comparing ---------------------------------------------------------------------------------


def test_two_runs_are_compared_by_their_first_step_and_their_queues(run: Run) -> None:
    quick = run.branch(run.starts[6], faults=[faults.QuickReader("client")])
    found = compare(run, quick)
    assert found.step is not None
    assert entries(run.trace)[: found.step] == entries(quick.trace)[: found.step]
    one, other = found.queues[1]
    assert one is not None
    assert other is not None
    assert (one.process, one.unit, one.queued, one.read, one.left) == ("client", 1, 8000, 0, 8000)
    assert (one.lost, one.lost_bytes, other.lost, other.read) == (4, 4000, 0, 12000)
    assert str(found).splitlines() == [
        f"they part at step {found.step}",
        "  one:   proc:100: syscall sendto(3, <1000 bytes>, 0)",
        "  other: proc:100: syscall recvfrom(3, 1048576, 128)",
        "socket 1 of client, unit 1",
        "  one:   8000 bytes queued, 0 read, 8000 left, 4 lost (4000 bytes)",
        "  other: 12000 bytes queued, 12000 read, 0 left, nothing lost",
    ]


def test_a_run_compared_with_itself_does_not_part(run: Run) -> None:
    found = compare(run, run.trace)
    assert found.step is None
    assert str(found).startswith(f"the same in all {len(run.trace)} steps")


def test_a_run_that_ends_earlier_parts_at_its_end(run: Run) -> None:
    shorter = run.branch(run.starts[-1], calls=())
    found = compare(run, shorter)
    assert (found.step, found.other) == (len(shorter.trace), "")


# -- diverging ---------------------------------------------------------------------------------


def test_another_kext_diverges_at_its_first_other_step_and_says_what_was_expected() -> None:
    class Silent(EchoKext):
        def send(self, kctlref: int, unit: int, unitinfo: Any, m: Any, flags: int) -> int:
            self.kpi.mbuf_freem(m)
            return 0

    scenario = Scenario.of(flooded())
    same = Scenario.of(flooded())
    run = scenario.having(kexts={"org.kextlab.echo": Silent}, expected=same.expected).run()
    found = run.divergence
    assert found is not None
    assert entries(run.trace)[: found.step] == entries(flooded().trace)[: found.step]
    assert entries(run.trace)[found.step] != entries(flooded().trace)[found.step]
    assert str(found).splitlines() == [
        f"differs at step {found.step}: expected kext:org.kextlab.echo: kpi "
        "ctl_enqueuedata(65537, 1, <1000 bytes>, 1000, 2)",
        "  got kext:org.kextlab.echo: return, errno 0",
    ]
