"""The loop: sleeping, waking, time, choices, blocking calls, the end. Bodies are generators."""

from collections.abc import Generator
from typing import Any

import pytest

from kextlab.abi.errno import EINTR, EWOULDBLOCK
from kextlab.sched import (
    LET_GO,
    ChoiceError,
    Fifo,
    Killed,
    Picked,
    Recorded,
    Scheduler,
    Seeded,
    SimDeadlock,
    Sleep,
)
from kextlab.sched.scheduler import Holder
from kextlab.sched.task import Task

Body = Generator[Sleep | None, int | None, Any]


class Lab:
    """A scheduler and what its tasks said, in order."""

    def __init__(self, chooser: Any = None) -> None:
        self.sched = Scheduler(chooser)
        self.said: list[object] = []

    def spawn(self, name: str, *points: Sleep | None, group: str = "") -> Task:
        """A task that says what each of ``points`` answered."""

        def body() -> Body:
            self.said.append(f"{name} begins")
            for point in points:
                answer = yield point
                self.said.append((name, answer) if point is not None else name)
            return name

        return self.sched.spawn(name, 100, body(), group)

    def calls(self, name: str, group: str, *points: Sleep | None) -> Task:
        """A task that makes a blocking call out of ``points``, which cannot be suspended."""

        def routine() -> Body:
            answers = []
            for point in points:
                answers.append((yield point))
            return answers

        def body() -> Body:
            self.said.append((name, self.sched.drive(routine())))
            return
            yield

        return self.sched.spawn(name, 100, body(), group)


def routine(*points: Sleep | None) -> Body:
    """A kernel routine that returns what its last sleep answered."""
    answer = None
    for point in points:
        answer = yield point
    return answer


TAPE = Sleep("tape", "waiting")


# -- sleeping and waking -----------------------------------------------------------------------


def test_tasks_run_in_the_order_of_starting_and_end_with_a_result() -> None:
    lab = Lab()
    first, second = lab.spawn("a"), lab.spawn("b")
    assert (first.state, first.done) == ("runnable", False)
    assert lab.sched.run() == 2
    assert lab.said == ["a begins", "b begins"]
    assert (first.result(), second.result(), first.state) == ("a", "b", "done")
    assert lab.sched.run() == 0
    assert lab.sched.step() is False


def test_a_sleeper_is_woken_by_its_channel_and_msleep_answers_0() -> None:
    lab = Lab()
    task = lab.spawn("a", TAPE)
    lab.sched.run()
    assert (task.state, task.channel, task.wmesg) == ("asleep", "tape", "waiting")
    assert repr(task) == "<Task 1 'a', asleep in waiting on tape>"
    lab.sched.wakeup("disk")
    assert task.state == "asleep"
    lab.sched.wakeup("tape")
    assert (task.state, task.channel, task.wmesg) == ("runnable", "", "")
    lab.sched.run()
    assert lab.said[-1] == ("a", 0)
    assert lab.sched.waiting == {}


def test_a_wakeup_may_name_the_wait_message() -> None:
    lab = Lab()
    one, other = lab.spawn("a", TAPE), lab.spawn("b", Sleep("tape", "other"))
    lab.sched.run()
    lab.sched.wakeup("tape", "other")
    assert (one.state, other.state) == ("asleep", "runnable")


def test_all_sleepers_of_a_channel_wake_in_the_order_in_which_they_fell_asleep() -> None:
    lab = Lab()
    for name in "abc":
        lab.spawn(name, TAPE)
    lab.sched.run()
    lab.sched.wakeup("tape")
    lab.sched.run()
    assert lab.said[3:] == [("a", 0), ("b", 0), ("c", 0)]


def test_one_sleep_may_wait_on_several_channels() -> None:
    lab = Lab()
    task = lab.spawn("a", Sleep("x", "select", also=("y",)))
    lab.sched.run()
    assert task.channel == "x, y"
    lab.sched.wakeup("y")
    assert lab.sched.waiting == {}
    lab.sched.run()
    assert task.done


def test_a_result_before_the_end_says_what_the_task_does() -> None:
    task = Lab().spawn("a", TAPE)
    with pytest.raises(RuntimeError, match=r"^<Task 1 'a', runnable> has no result yet; mac\.run"):
        task.result()


# -- time --------------------------------------------------------------------------------------


def test_time_passes_only_when_nobody_can_run_and_jumps_to_the_next_deadline() -> None:
    lab = Lab()
    lab.spawn("late", Sleep("", "sleep", deadline=70))
    lab.spawn("early", Sleep("tape", "sleep", deadline=50))
    seen = []
    while lab.sched.step():
        seen.append(lab.sched.clock.now)
    assert seen == [0, 0, 50, 70]
    assert lab.said[2:] == [("early", EWOULDBLOCK), ("late", EWOULDBLOCK)]


def test_deadlines_at_the_same_time_come_in_the_order_in_which_the_sleeps_began() -> None:
    lab = Lab()
    for name in "ba":
        lab.spawn(name, Sleep("", "sleep", deadline=5))
    lab.sched.run()
    assert lab.said[2:] == [("b", EWOULDBLOCK), ("a", EWOULDBLOCK)]


def test_a_deadline_of_a_sleep_that_was_woken_means_nothing() -> None:
    lab = Lab()
    lab.spawn("a", Sleep("tape", "waiting", deadline=50), TAPE)
    lab.sched.step()
    lab.sched.wakeup("tape")
    lab.sched.run()
    assert lab.said[-1] == ("a", 0)
    assert lab.sched.clock.now == 0


def test_a_time_that_has_passed_already_lets_others_run_first() -> None:
    lab = Lab()
    lab.spawn("a", Sleep("", "sleep", deadline=0))
    lab.spawn("b")
    lab.sched.run()
    assert lab.said == ["a begins", "b begins", ("a", EWOULDBLOCK)]


def test_a_run_until_a_time_stops_there_and_the_clock_shows_it() -> None:
    lab = Lab()
    lab.spawn("a", Sleep("", "sleep", deadline=50))
    assert lab.sched.run(until=49) == 1
    assert lab.sched.clock.now == 49
    assert lab.sched.run(until=50) == 1
    assert lab.sched.run(until=20) == 0
    assert lab.sched.clock.now == 50


# -- choices -----------------------------------------------------------------------------------


def test_first_in_first_out_goes_on_where_a_task_lets_go() -> None:
    lab = Lab()
    lab.spawn("a", LET_GO, LET_GO)
    lab.spawn("b")
    assert lab.sched.run() == 4
    assert lab.said == ["a begins", "a", "a", "b begins"]
    assert lab.sched.choices == [("next", ("task:1 a", "task:2 b"), 0)]


def test_a_step_ends_where_a_task_lets_go_and_the_next_goes_on_with_it() -> None:
    lab = Lab()
    lab.spawn("a", LET_GO)
    lab.spawn("b")
    assert lab.sched.step()
    assert lab.said == ["a begins"]
    assert lab.sched.step()
    assert lab.said == ["a begins", "a"]


def test_another_chooser_may_switch_where_a_task_lets_go() -> None:
    lab = Lab(Picked(lambda kind, options: len(options) - 1))
    lab.spawn("a", LET_GO)
    lab.spawn("b", LET_GO)
    lab.sched.run()
    assert lab.said == ["b begins", "a begins", "b", "a"]
    assert [kind for kind, _, _ in lab.sched.choices] == ["next", "let_go", "let_go"]


def test_a_chooser_without_a_word_on_let_go_is_asked_everywhere() -> None:
    class Last:
        def choose(self, kind: str, options: Any) -> int:
            return len(options) - 1

    lab = Lab(Last())
    lab.spawn("a", LET_GO)
    lab.spawn("b", LET_GO)
    lab.sched.run()
    assert lab.said == ["b begins", "a begins", "b", "a"]


@pytest.mark.parametrize("seed", range(6))
def test_recorded_choices_make_the_same_run(seed: int) -> None:
    def run(chooser: Any) -> Lab:
        lab = Lab(chooser)
        for name in "abc":
            lab.spawn(name, LET_GO, Sleep("", "sleep", deadline=3), LET_GO)
        lab.sched.run()
        return lab

    lab = run(Seeded(seed))
    again = run(Recorded(lab.sched.choices))
    assert (again.said, again.sched.choices) == (lab.said, lab.sched.choices)
    assert len({str(run(Seeded(n)).said) for n in range(6)}) > 1


@pytest.mark.parametrize("answer", [2, -1, None, "0"])
def test_an_answer_that_is_no_option_is_named(answer: Any) -> None:
    lab = Lab(Picked(lambda kind, options: answer))
    lab.spawn("a")
    lab.spawn("b")
    with pytest.raises(ChoiceError, match=rf"answered {answer!r} to 'next': expected 0 to 1$"):
        lab.sched.run()
    lab.sched.chooser = Fifo()
    assert lab.sched.run() == 2  # nothing is lost


def test_what_a_chooser_raises_ends_the_run_and_nothing_is_lost() -> None:
    lab = Lab(Recorded([("let_go", ("x", "y"), 0)]))
    lab.spawn("a")
    lab.spawn("b")
    with pytest.raises(ValueError, match=r"^choice 0 was recorded as 'let_go' among x, y"):
        lab.sched.run()
    lab.sched.chooser = Fifo()
    assert lab.sched.run() == 2


# -- calls that block --------------------------------------------------------------------------


def test_a_call_from_outside_that_never_sleeps_lets_nobody_run() -> None:
    lab = Lab(Seeded(1))
    lab.spawn("a")
    assert lab.sched.drive(routine(LET_GO, LET_GO)) is None
    assert lab.said == []


def test_a_call_from_outside_that_sleeps_lets_others_run_until_one_wakes_it() -> None:
    lab = Lab()

    def waker() -> Body:
        lab.sched.wakeup("tape")
        lab.said.append("woken")
        yield LET_GO
        lab.said.append("goes on")

    lab.sched.spawn("waker", 100, waker())
    assert lab.sched.drive(routine(LET_GO, TAPE)) == 0
    assert lab.said == ["woken", "goes on"]


def test_a_call_from_outside_with_a_deadline_waits_that_long() -> None:
    lab = Lab()
    assert lab.sched.drive(routine(Sleep("tape", "waiting", deadline=9))) == EWOULDBLOCK
    assert lab.sched.clock.now == 9
    assert lab.sched.block(Sleep("", "sleep", deadline=12)) == EWOULDBLOCK


def test_a_blocking_call_of_a_task_that_cannot_be_suspended_runs_the_others_from_inside() -> None:
    lab = Lab()
    lab.calls("plain", "loop", TAPE)
    lab.spawn("b", LET_GO)
    with pytest.raises(SimDeadlock):
        lab.sched.step()  # plain blocks; b runs from inside, and nobody wakes plain
    assert lab.said == ["b begins", "b"]
    assert isinstance(lab.sched.tasks[1].error, SimDeadlock)


def test_a_task_further_out_goes_on_only_when_the_inner_call_returns() -> None:
    lab = Lab()
    lab.calls("outer", "", Sleep("tape", "waiting", deadline=1))
    lab.calls("inner", "", Sleep("tape", "waiting", deadline=2))
    lab.sched.run()
    assert lab.said == [("inner", [EWOULDBLOCK]), ("outer", [EWOULDBLOCK])]


def test_tasks_of_one_thread_wait_while_another_of_them_blocks_it() -> None:
    lab = Lab()
    lab.calls("one", "loop:1", Sleep("", "sleep", deadline=5))
    lab.spawn("same", group="loop:1")
    lab.spawn("other", group="loop:2")
    lab.sched.run()
    assert lab.said == ["other begins", ("one", [EWOULDBLOCK]), "same begins"]


def test_who_is_ready_but_beneath_a_call_that_never_returns_is_told_so() -> None:
    lab = Lab()
    lab.calls("outer", "", TAPE)

    def inner() -> Body:
        lab.sched.wakeup("tape")
        lab.sched.drive(routine(Sleep("door", "knocking")))
        return
        yield

    task = lab.sched.spawn("inner", 100, inner())
    with pytest.raises(SimDeadlock) as caught:
        lab.sched.run()
    assert task.error is caught.value
    assert caught.value.graph == [
        ("outer", "", "", "goes on when inner's blocking call returns"),
        ("inner", "knocking", "door", "wakeup()"),
    ]
    assert lab.said == [("outer", [0])]


def test_a_holder_is_told_which_of_its_calls_are_suspended() -> None:
    class Files(Holder):
        def __init__(self) -> None:
            self.seen: list[tuple[str, int]] = []

        def enter(self, fd: int) -> None:
            self.seen.append(("enter", fd))

        def leave(self, fd: int) -> None:
            self.seen.append(("leave", fd))

    lab, files = Lab(), Files()
    lab.sched.drive(routine(LET_GO), files, 3)
    assert files.seen == []
    lab.sched.drive(routine(Sleep("", "sleep", deadline=1)), files, 4)
    with pytest.raises(SimDeadlock):
        lab.sched.drive(routine(TAPE), files, 5)
    assert files.seen == [("enter", 4), ("leave", 4), ("enter", 5), ("leave", 5)]


def test_a_body_that_can_be_suspended_leaves_from_deep_inside() -> None:
    lab = Lab()
    task = lab.spawn("a")
    answers = iter([None, 7])
    seen: list[object] = []

    def suspend(point: Sleep | None) -> int | None:
        seen.append(point)
        return next(answers)

    def body() -> Body:
        lab.said.append(lab.sched.drive(routine(LET_GO, TAPE)))
        return
        yield

    task = lab.sched.spawn("b", 100, body())
    task.suspend = suspend
    lab.sched.run()
    assert seen == [None, TAPE]
    assert lab.said[-1] == 7


# -- deadlock ----------------------------------------------------------------------------------


def test_one_sleeper_alone_is_a_deadlock_with_advice_and_no_list() -> None:
    lab = Lab()
    with pytest.raises(SimDeadlock) as caught:
        lab.sched.drive(routine(Sleep("so_rcv:1", "sbwait")))
    assert str(caught.value) == (
        "this call sleeps in sbwait on so_rcv:1 and nothing else can run: nobody is left to wake "
        "it. Make the socket non-blocking, pass MSG_DONTWAIT, or let the other side act first"
    )
    assert caught.value.graph == [("notebook", "sbwait", "so_rcv:1", "wakeup()")]
    assert caught.value.sleep == Sleep("so_rcv:1", "sbwait")


def test_a_deadlock_of_several_tells_who_waits_for_whom() -> None:
    lab = Lab()
    lab.spawn("server", TAPE)
    with pytest.raises(SimDeadlock) as caught:
        lab.sched.drive(routine(Sleep("door", "knocking")))
    assert str(caught.value).endswith(
        "Let the other side act first. Who waits for whom: notebook in knocking on door "
        "(wakeup()); server in waiting on tape (wakeup())"
    )
    lab.sched.wakeup("tape")  # it still sleeps and can be woken
    lab.sched.run()
    assert lab.said[-1] == ("server", 0)


def test_a_call_that_sleeps_for_time_only_names_the_clock() -> None:
    assert Sleep("", "sleep", deadline=1).shown == "the clock"
    with pytest.raises(SimDeadlock, match="sleeps in sleep on the clock"):
        Scheduler().block(Sleep("", "sleep"))


def test_a_deadlocked_routine_is_interrupted_so_that_it_lets_go() -> None:
    lab = Lab()
    seen = []

    def holds() -> Body:
        seen.append((yield TAPE))
        yield LET_GO
        seen.append("let go")

    with pytest.raises(SimDeadlock):
        lab.sched.drive(holds())
    assert seen == [EINTR, "let go"]


# -- errors, kills, the end --------------------------------------------------------------------


def failing(error: BaseException, *points: Sleep | None) -> Body:
    while points:
        yield points[0]
        points = points[1:]
    raise error


def test_what_ends_a_program_is_raised_by_the_run_once_with_the_task_named() -> None:
    lab = Lab()
    task = lab.sched.spawn("a", 100, failing(KeyError("lost")))
    lab.spawn("b")
    with pytest.raises(KeyError, match="lost") as caught:
        lab.sched.run()
    assert caught.value.__notes__ == ["in task 1 (a)"]
    assert repr(task) == "<Task 1 'a', done, KeyError>"
    assert lab.sched.run() == 1
    with pytest.raises(KeyError):
        task.result()


def test_an_error_somebody_saw_is_not_raised_again() -> None:
    lab = Lab()
    task = lab.sched.spawn("a", 100, failing(KeyError("lost"), None), parent=5)
    lab.sched.step()
    lab.sched.step()
    with pytest.raises(KeyError):
        task.result()
    assert lab.sched.run() == 0


def test_an_error_for_a_parent_that_never_asks_is_raised_when_nobody_can_run() -> None:
    lab = Lab()
    lab.sched.spawn("child", 100, failing(KeyError("lost")), parent=5)
    lab.spawn("b")
    with pytest.raises(KeyError, match="lost"):
        lab.sched.run()
    assert lab.said == ["b begins"]


def test_an_error_while_a_call_blocks_is_raised_by_the_next_run() -> None:
    lab = Lab()
    lab.sched.spawn("a", 100, failing(KeyError("lost")))
    lab.sched.block(Sleep("", "sleep", deadline=1))
    with pytest.raises(KeyError, match="lost"):
        lab.sched.step()


def test_an_interrupt_ends_the_task_it_hits_and_the_run() -> None:
    lab = Lab()
    task = lab.sched.spawn("a", 100, failing(KeyboardInterrupt()))
    lab.spawn("b")
    with pytest.raises(KeyboardInterrupt):
        lab.sched.run()
    assert task.done
    assert lab.sched.run() == 1


def test_an_interrupt_of_a_blocked_call_leaves_no_sleeper_behind() -> None:
    lab = Lab()
    lab.sched.spawn("a", 100, failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        lab.sched.block(TAPE)
    assert lab.sched.waiting == {}

    def wakes() -> Body:
        lab.sched.wakeup("tape")
        raise KeyboardInterrupt
        yield

    lab.sched.spawn("b", 100, wakes())
    with pytest.raises(KeyboardInterrupt):
        lab.sched.block(TAPE)
    assert lab.sched.ready == []


def test_only_the_outside_runs_tasks() -> None:
    lab = Lab()

    def body() -> Body:
        lab.sched.run()
        yield

    lab.sched.spawn("a", 100, body())
    with pytest.raises(
        RuntimeError, match=r"^mac\.run\(\) was called while <Task 1 'a', runnable>"
    ):
        lab.sched.run()


def test_a_killed_task_is_closed_where_it_is() -> None:
    lab = Lab()
    ready, asleep, held = (lab.spawn(name, TAPE) for name in "abc")
    lab.sched.ready.remove(ready)
    lab.sched.run()
    lab.sched.ready.append(ready)
    held.state = "asleep"
    for task in (ready, asleep, ready):
        lab.sched.kill(task)
    assert (ready.done, asleep.done, held.done) == (True, True, False)
    assert lab.sched.ready == []
    assert lab.sched.waiting == {"tape": [held]}


def test_a_task_killed_where_it_let_go_does_not_go_on() -> None:
    lab = Lab()
    task = lab.spawn("a", LET_GO)
    lab.sched.step()
    lab.sched.kill(task)
    assert lab.sched.run() == 0
    assert lab.said == ["a begins"]


def suspendable(lab: Lab, name: str, *points: Sleep | None) -> Task:
    """A task that is inside a system call made of ``points``."""

    def body() -> Body:
        task.in_call += 1
        for point in points:
            lab.said.append((yield point))
        raise Killed

    task = lab.sched.spawn(name, 100, body())
    return task


def test_a_task_killed_inside_the_kernel_is_interrupted_and_its_call_ends_first() -> None:
    lab = Lab()
    task = suspendable(lab, "a", LET_GO, TAPE, LET_GO)
    lab.spawn("b")
    lab.sched.run()
    lab.sched.kill(task)
    assert task.done
    assert lab.said[-2:] == [EINTR, 0]


def test_a_task_killed_while_it_lets_go_inside_the_kernel_finishes_its_call() -> None:
    for switch in (0, 1):
        lab = Lab(Picked(lambda kind, options, at=switch: at if kind == "let_go" else 0))  # type: ignore[misc]
        task = suspendable(lab, "a", LET_GO, LET_GO)
        other = lab.spawn("b", TAPE)
        lab.sched.step()
        lab.sched.kill(task)
        assert task.done
        assert lab.sched.run() == 1
        assert other.state == "asleep"


def test_a_killed_task_that_sleeps_on_inside_the_kernel_ends_when_it_is_woken() -> None:
    for interruptible in (True, False):
        lab = Lab()
        point = Sleep("tape", "waiting", interruptible)
        task = suspendable(lab, "a", point, point)
        lab.sched.run()
        lab.sched.kill(task)
        assert not task.done
        lab.sched.wakeup("tape")
        lab.sched.run()
        lab.sched.wakeup("tape")
        lab.sched.run()
        assert task.done
        assert task.error is None


def test_a_blocked_call_of_a_killed_task_is_interrupted_and_does_not_return() -> None:
    for call in ("drive", "block"):
        lab = Lab()
        seen = []

        def victim(lab: Lab = lab, call: str = call, seen: list[object] = seen) -> Body:
            try:
                if call == "drive":
                    lab.sched.drive(routine(TAPE))
                else:
                    lab.sched.block(TAPE)
            except Killed:
                seen.append("killed")
                raise
            return
            yield

        task = lab.sched.spawn("victim", 100, victim())

        def killer(lab: Lab = lab, task: Task = task) -> Body:
            lab.sched.kill(task)
            return
            yield

        lab.sched.spawn("killer", 101, killer())
        lab.sched.run()
        assert seen == ["killed"]
        assert task.done


def test_the_end_of_a_boot_ends_all_tasks_and_closes_their_programs() -> None:
    lab = Lab()
    ended: list[str] = []
    lab.spawn("over")
    lab.sched.run()

    def stubborn() -> Body:
        try:
            yield TAPE
        finally:
            ended.append("closed")
            raise ValueError

    def ends() -> Body:
        lab.sched.end(panic)
        yield LET_GO
        ended.append("went on")

    panic = RuntimeError("panic")
    sleeper = lab.sched.spawn("a", 100, stubborn())
    never = lab.spawn("b")
    lab.sched.ready.reverse()
    lab.sched.ready.remove(never)
    lab.sched.run()
    killer = lab.sched.spawn("c", 100, ends())
    lab.sched.ready.append(never)
    with pytest.raises(RuntimeError, match="panic"):
        lab.sched.run()
    assert ended == ["closed"]
    assert [task.error for task in (sleeper, never, killer)] == [panic] * 3
    assert lab.sched.ready == []


def test_a_blocked_call_of_a_task_ends_with_the_boot() -> None:
    lab = Lab()
    lab.calls("plain", "loop", TAPE)

    def ends() -> Body:
        lab.sched.end(RuntimeError("panic"))
        return
        yield

    lab.sched.spawn("b", 100, ends())
    with pytest.raises(RuntimeError, match="panic"):
        lab.sched.run()
    assert (lab.sched.waiting, lab.sched.ready) == ({}, [])


def test_a_blocked_call_ends_with_the_boot() -> None:
    lab = Lab()

    def ends() -> Body:
        lab.sched.end(RuntimeError("panic"))
        return
        yield

    lab.sched.spawn("a", 100, ends())
    with pytest.raises(RuntimeError, match="panic"):
        lab.sched.drive(routine(TAPE))


def test_a_task_that_is_delayed_where_it_let_go_waits_with_the_others() -> None:
    lab = Lab()
    delayed = lab.spawn("a", LET_GO)
    lab.spawn("b", LET_GO)

    def delay() -> None:
        if lab.said == ["a begins"] and not delayed.not_before:
            delayed.not_before = lab.sched.clock.now + 5

    lab.sched.watch = delay
    lab.sched.run()
    assert lab.said == ["a begins", "b begins", "b", "a"]
    assert lab.sched.clock.now == 5
