"""Faults: each does what its label says, at its step, and is refused where it cannot apply."""

from collections.abc import Callable
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.errno import ENOMEM
from kextlab.kexts import EchoKext
from kextlab.scenario import Run, Scenario, ScenarioError, compare, faults
from kextlab.scenario.calls import Inject, Syscall
from kextlab.scenario.comparison import QueueTotals, totals
from kextlab.scenario.faults import Fault
from kextlab.trace.log import Trace
from tests.unit.scenario_machines import control, flooded, two_programs


@pytest.fixture(scope="module")
def session() -> Run:
    """A client that sends 12 records and reads none; its queue holds 8."""
    return Scenario.of(flooded()).run()


@pytest.fixture(scope="module")
def programs() -> Run:
    """Two echoing programs, the second of 15 records; nothing is lost."""
    return two_programs().run()


def queue(run: Run, process: str) -> QueueTotals:
    return next(found for found in totals(run.trace).values() if found.process == process)


def reading() -> Run:
    """A session that sends and reads 6 records."""
    mac = Kernel()
    mac.load(EchoKext)
    s = control(mac.spawn("client"))
    for _ in range(6):
        s.send(b"12345")
        s.recv(10)
    return Scenario.of(mac).run()


# -- readers -----------------------------------------------------------------------------------


def test_a_slow_reader_pauses_in_virtual_time_and_loses_records(programs: Run) -> None:
    slow = programs.branch(60, faults=[faults.SlowReader("two", delay=0.05)])
    assert queue(programs, "two").lost == 0
    assert queue(slow, "two").lost > 0
    assert queue(slow, "one").lost == 0
    assert slow.mac.now > programs.mac.now


def test_the_fewer_reads_between_pauses_the_more_is_lost(programs: Run) -> None:
    lost = [
        queue(programs.branch(60, faults=[faults.SlowReader("two", n, 0.05)]), "two").lost
        for n in (1, 3, 20)
    ]
    assert lost[0] > lost[1] > lost[2] == 0


def test_of_a_cells_reads_the_one_due_in_the_pause_is_left_out() -> None:
    run = reading()
    slow = run.branch(0, faults=[faults.SlowReader("client", every=2, at=run.starts[3])])
    assert (queue(slow, "client").read, queue(slow, "client").left) == (20, 10)


def test_a_dead_reader_reads_nothing_more(programs: Run) -> None:
    dead = programs.branch(150, faults=[faults.DeadReader("two")])
    assert queue(dead, "two").read < queue(programs, "two").read
    assert queue(dead, "two").left == 8000
    run = reading()
    assert (
        queue(run.branch(run.starts[4], faults=[faults.DeadReader("client")]), "client").read == 0
    )


def test_a_dead_reader_that_comes_back_reads_what_is_left(programs: Run) -> None:
    back = programs.branch(150, faults=[faults.DeadReader("two", until=350)])
    assert queue(back, "two").left == 0


def test_a_quick_reader_loses_nothing(session: Run) -> None:
    quick = session.branch(session.starts[6], faults=[faults.QuickReader("client")])
    assert (queue(session, "client").lost, queue(quick, "client").lost) == (4, 0)


def test_a_quick_reader_that_is_asked_at_the_lost_record_saves_it_and_those_after(
    session: Run,
) -> None:
    lost = next(e.step for e in session.trace.events() if e.kind == "return" and e.errno == 55)
    call = max(start for start in session.starts if start <= lost)
    quick = session.branch(call, faults=[faults.QuickReader("client")])
    assert queue(quick, "client").lost == 0
    assert quick.trace.state(call) == session.trace.state(call)


def test_a_programs_quick_reader_does_not_pause() -> None:
    slow = faults.SlowReader("two", delay=0.05, at=30)
    run = two_programs(faults=[slow]).run()
    assert queue(run, "two").lost > 0
    quick = run.branch(60, faults=[faults.QuickReader("two")])
    assert queue(quick, "two").lost == 0


def test_a_delayed_task_runs_later(programs: Run) -> None:
    late = programs.branch(200, faults=[faults.DelayedTask("one", 0.5)])
    assert late.mac.now > 0.5
    assert queue(late, "one").queued == queue(programs, "one").queued
    assert late.errors == []


# -- memory and queues -------------------------------------------------------------------------


def refusals(trace: Trace, name: str) -> list[int]:
    """The errnos of the calls of that name which were refused."""
    events = list(trace.events())
    opened = {event.step: event.name for event in events if event.name}
    return [e.errno for e in events if e.errno and e.cause is not None and opened[e.cause] == name]


def test_without_mbufs_a_send_is_refused_until_some_are_freed(session: Run) -> None:
    short = session.branch(session.starts[10], faults=[faults.MbufShortage()])
    assert refusals(short.trace, "sendto")[0] == 55
    assert "mbuf_pool" in short.mac.snapshot()
    assert short.mac.snapshot() == short.trace.state()


def test_with_one_mbuf_left_the_message_comes_in_and_its_copy_does_not(session: Run) -> None:
    short = session.branch(session.starts[10], faults=[faults.MbufShortage(left=1)])
    sends = refusals(short.trace, "sendto")
    assert sends[0] in (ENOMEM, 55)
    assert short.mac.system.domain.pool.limit is not None


def test_a_shortage_ends_at_its_step(session: Run) -> None:
    at = session.starts[9]
    short = session.branch(at, faults=[faults.MbufShortage(until=at + 4)])
    assert "mbuf_pool" not in short.mac.snapshot()
    assert queue(short, "client").lost < 4


def test_a_full_queue_is_filled_by_the_kext_behind_it() -> None:
    run = reading()
    full = run.branch(run.starts[6], faults=[faults.FullQueue("client")])
    assert queue(full, "client").queued > 8000


# -- kexts and processes -----------------------------------------------------------------------


def test_a_callback_answers_an_errno_as_often_as_asked(session: Run) -> None:
    at = session.starts[6]
    faulty = session.branch(
        at, faults=[faults.CallbackFault("org.kextlab.echo", "send", errno="EPERM", times=3)]
    )
    assert refusals(faulty.trace, "sendto")[:3] == [1, 1, 1]
    assert faulty.mac.leaks("org.kextlab.echo") == []
    assert queue(faulty, "client").queued == 8000


def test_a_callback_that_faults_takes_the_machine_down(session: Run) -> None:
    fault = faults.CallbackFault("org.kextlab.echo", "send", raises="a null pointer was followed")
    panicked = session.branch(session.starts[8], faults=[fault])
    assert panicked.mac.panic is not None
    assert "a null pointer was followed" in panicked.mac.panic.report


def test_a_killed_process_closes_its_descriptors_and_calls_no_more(
    session: Run, programs: Run
) -> None:
    killed = session.branch(session.starts[8], faults=[faults.Killed("client")])
    assert not any(name.startswith("fd:100:") for name in killed.mac.snapshot())
    assert len(killed.trace) < len(session.trace)
    others = programs.branch(200, faults=[faults.Killed("two")])
    assert [task.name for task in others.mac.tasks if not task.done] == ["reader"]
    assert queue(others, "one").lost == 0


def test_a_kext_may_refuse_to_be_unloaded_under_load(session: Run) -> None:
    refused = session.branch(session.starts[8], faults=[faults.UnloadUnderLoad("org.kextlab.echo")])
    assert refusals(refused.trace, "stop") == [16]
    assert refused.mac.panic is None


def test_a_kext_that_is_unloaded_under_load_takes_the_machine_down() -> None:
    class Leaves(EchoKext):
        def stop(self) -> int:
            return 0

    mac = Kernel()
    mac.load(Leaves)
    s = control(mac.spawn("client"))
    s.send(b"x")
    run = Scenario.of(mac).run()
    panicked = run.branch(run.starts[-1], faults=[faults.UnloadUnderLoad("org.kextlab.echo")])
    assert panicked.mac.panic is not None


# -- every fault -------------------------------------------------------------------------------


EVERY: list[Callable[[], Fault]] = [
    lambda: faults.SlowReader("two"),
    lambda: faults.DeadReader("two"),
    lambda: faults.QuickReader("two"),
    lambda: faults.DelayedTask("two"),
    lambda: faults.MbufShortage(),
    lambda: faults.FullQueue("two"),
    lambda: faults.CallbackFault("org.kextlab.echo", "send", errno="EIO"),
    lambda: faults.Killed("two"),
    lambda: faults.UnloadUnderLoad("org.kextlab.echo"),
]


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make().kind)
def test_a_run_with_a_fault_is_the_same_again_and_its_state_adds_up(
    programs: Run, make: Callable[[], Fault]
) -> None:
    faulty = programs.branch(177, faults=[make()])
    assert list(faulty.trace.entries())[:177] == list(programs.trace.entries())[:177]
    assert list(faulty.scenario.run().trace.entries()) == list(faulty.trace.entries())
    assert faulty.mac.snapshot() == faulty.trace.state()
    assert compare(faulty, faulty.branch(200)).step is None


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make().kind)
def test_a_fault_says_in_a_line_what_it_does(make: Callable[[], Fault]) -> None:
    label = make().label
    assert label
    assert "\n" not in label


def test_faults_are_offered_that_can_apply_now() -> None:
    mac = Kernel()
    assert [fault.kind for fault in faults.offered(mac)] == ["mbuf-shortage"]
    mac.load(EchoKext)
    app = mac.spawn("client")
    before = {fault.kind for fault in faults.offered(mac)}
    assert before == {"killed", "callback-fault", "mbuf-shortage"}
    control(app)
    assert {fault.kind for fault in faults.offered(mac)} == before | {
        *("quick-reader", "slow-reader", "dead-reader", "full-queue", "unload-under-load"),
    }


def test_two_processes_of_one_name_are_told_apart() -> None:
    mac = Kernel()
    mac.spawn("client")
    mac.spawn("client")
    killed = [fault.label for fault in faults.offered(mac) if fault.kind == "killed"]
    assert killed == ["client is killed", "101 is killed"]


CANNOT: list[tuple[Fault, str]] = [
    (faults.SlowReader("nobody"), "no process nobody is running"),
    (faults.Killed(7), "no process 7 is running"),
    (faults.FullQueue("idle"), "idle is connected to no control"),
    (faults.FullQueue("client"), "the receive queue of client is full already"),
    (faults.DelayedTask("main"), "no task main is under way"),
    (faults.CallbackFault("none", "send", errno=1), "no kext none is loaded"),
    (
        faults.CallbackFault("org.kextlab.echo", "rcvd", errno=1),
        "no control of org.kextlab.echo has a rcvd callback",
    ),
    (faults.UnloadUnderLoad("none"), "no kext none is loaded"),
]


@pytest.mark.parametrize(("fault", "why"), CANNOT, ids=lambda value: getattr(value, "kind", ""))
def test_a_fault_that_cannot_apply_says_why_and_nothing_is_run(fault: Fault, why: str) -> None:
    mac = flooded()
    mac.spawn("idle")
    if why.endswith("already"):
        faults.FullQueue("client").inject(mac)
    assert fault.why_not(mac) == why
    before = len(mac.trace)
    with pytest.raises(ScenarioError, match=f"^{fault.kind}: {why}$"):
        fault.inject(mac)
    assert len(mac.trace) == before
    run = Scenario.of(mac).run()
    at = len(run.trace)
    with pytest.raises(ScenarioError, match=rf"^{fault.kind}: {why} \(at step {at}\)$"):
        run.branch(at, faults=[fault])


def test_nothing_can_go_wrong_on_a_machine_that_panicked() -> None:
    run = Scenario.of(flooded()).run()
    fault = faults.CallbackFault("org.kextlab.echo", "send", raises="x")
    mac = run.branch(run.starts[-1], faults=[fault]).mac
    assert faults.offered(mac) == []
    assert faults.MbufShortage().why_not(mac) == "the machine has panicked"


def test_a_second_shortage_and_an_unload_without_load_say_why() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    assert faults.UnloadUnderLoad("org.kextlab.echo").why_not(mac) == (
        "nobody is connected to org.kextlab.echo: that would be an unload like any other"
    )
    faults.MbufShortage(left=5).inject(mac)
    assert "already" in faults.MbufShortage().why_not(mac)


def test_a_fault_beyond_the_end_of_the_run_is_refused() -> None:
    scenario = Scenario.of(flooded())
    with pytest.raises(ScenarioError, match=r"^killed at step 9999: the run ends at step \d+$"):
        scenario.having(faults=[faults.Killed("client", at=9999)]).run()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: faults.SlowReader("a", every=0), "every is 0, expected 1 or more"),
        (lambda: faults.SlowReader("a", delay=0), "delay is 0, expected seconds above 0"),
        (lambda: faults.DelayedTask("a", delay="x"), "delay is 'x', expected seconds above 0"),
        (lambda: faults.MbufShortage(left=-1), "left is -1, expected 0 or more"),
        (lambda: faults.FullQueue("a", record=0), "record is 0, expected 1 or more bytes"),
        (lambda: faults.CallbackFault("k", "talk", errno=1), "'talk' is no callback; there are "),
        (lambda: faults.CallbackFault("k", "send"), "give errno or raises, and not both"),
        (lambda: faults.CallbackFault("k", "send", errno=1, times=0), "times is 0, expected 1 or"),
    ],
)
def test_what_a_fault_cannot_be_is_said_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        make()
    assert message in str(refused.value)


# -- by hand -----------------------------------------------------------------------------------


def test_a_fault_applied_by_hand_is_part_of_the_scenario() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    s = control(mac.spawn("client"))
    faults.FullQueue("client").inject(mac)
    with pytest.raises(OSError, match="No buffer space"):
        s.send(b"x")
    faults.MbufShortage().inject(mac)
    with pytest.raises(OSError, match="No buffer space"):
        s.send(b"y")
    scenario = Scenario.of(mac)
    assert [type(call) for call in scenario.calls[-4:]] == [Inject, Syscall, Inject, Syscall]
    assert list(scenario.run().trace.entries()) == list(mac.trace.entries())
