"""The loop that drives kernel routines, and what ends one that sleeps."""

import pytest

from kextlab.abi.errno import EINTR
from kextlab.sched import LET_GO, Routine, SimDeadlock, Sleep, answered, drive
from kextlab.sched.stop import KernelPanic, SimStop


def test_a_routine_is_driven_through_its_yield_points_to_its_result() -> None:
    def routine() -> Routine[str]:
        yield LET_GO
        yield LET_GO
        return "done"

    assert drive(routine()) == "done"


def test_answered_never_lets_go() -> None:
    assert list(answered(5)) == []
    assert drive(answered(5)) == 5


def test_a_sleep_that_nobody_ends_is_a_deadlock_that_names_channel_and_message() -> None:
    def routine() -> Routine[int]:
        return (yield Sleep("so_rcv:7", "sbwait"))

    with pytest.raises(SimDeadlock, match="sbwait on so_rcv:7") as caught:
        drive(routine())
    assert caught.value.sleep == Sleep("so_rcv:7", "sbwait")


def test_the_sleeper_is_interrupted_and_lets_go_of_what_it_holds() -> None:
    seen: list[object] = []

    def routine() -> Routine[int]:
        error = yield Sleep("a", "b")
        seen.append(error)
        yield LET_GO
        seen.append("let go")
        return error

    with pytest.raises(SimDeadlock):
        drive(routine())
    assert seen == [EINTR, "let go"]


@pytest.mark.parametrize("interruptible", [True, False])
def test_a_routine_that_sleeps_on_is_closed(interruptible: bool) -> None:
    seen: list[object] = []

    def routine() -> Routine[int]:
        try:
            while True:
                seen.append((yield Sleep("a", "b", interruptible)))
        except GeneratorExit:
            seen.append("closed")
            raise

    with pytest.raises(SimDeadlock):
        drive(routine())
    assert seen == ([EINTR, "closed"] if interruptible else ["closed"])


def test_an_exception_of_the_routine_comes_through() -> None:
    def routine() -> Routine[int]:
        yield LET_GO
        raise KernelPanic("kernel page fault")

    with pytest.raises(KernelPanic) as caught:
        drive(routine())
    assert (caught.value.text, caught.value.report) == ("kernel page fault", "")
    assert isinstance(caught.value, SimStop)


def test_a_wait_for_ones_own_mutex_has_no_sleep() -> None:
    assert SimDeadlock("mutex").sleep is None
