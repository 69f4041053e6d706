"""Choosers: what each decides, and what it refuses."""

from typing import Any

import pytest

from kextlab.sched import Fifo, Picked, Recorded, Seeded

TWO = ("task:1 a", "task:2 b")
THREE = (*TWO, "task:3 c")


def test_fifo_takes_the_first_and_is_not_asked_where_a_task_only_lets_go() -> None:
    assert Fifo().choose("next", THREE) == 0
    assert Fifo().at_let_go is False
    assert repr(Fifo()) == "Fifo()"


def test_a_seed_names_a_run() -> None:
    first, again, other = Seeded(7), Seeded(7), Seeded(8)
    runs = [[chooser.choose("next", THREE) for _ in range(50)] for chooser in (first, again, other)]
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {0, 1, 2}
    assert repr(first) == "Seeded(7)"


def test_the_generator_is_splitmix64() -> None:
    chooser = Seeded(1234567)
    options = tuple(map(str, range(1 << 16)))
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [chooser.choose("next", options) for _ in range(3)] == [n % 65536 for n in published]


@pytest.mark.parametrize("seed", [None, "1", 1.5])
def test_a_seed_is_an_int(seed: Any) -> None:
    with pytest.raises(TypeError, match=r"^seed = .*, expected an int$"):
        Seeded(seed)


def test_recorded_choices_are_made_again_and_then_another_decides() -> None:
    chooser = Recorded([("next", TWO, 1), ["let_go", list(THREE), 2]], then=Seeded(1))
    assert repr(chooser) == "Recorded(0 of 2 choices used, then Seeded(1))"
    assert chooser.choose("next", TWO) == 1
    assert chooser.choose("let_go", THREE) == 2
    assert chooser.choose("next", THREE) == Seeded(1).choose("next", THREE)
    assert Recorded([]).choose("next", TWO) == 0


def test_a_recording_is_asked_at_a_let_go_as_long_as_it_holds_such_a_choice() -> None:
    chooser = Recorded([("let_go", TWO, 0), ("next", TWO, 0)], then=Seeded(1))
    asked = [chooser.at_let_go]
    for kind in ("let_go", "next"):
        chooser.choose(kind, TWO)
        asked.append(chooser.at_let_go)
    assert asked == [True, False, True]
    assert Recorded([("next", TWO, 0)]).at_let_go is False
    assert Recorded([]).at_let_go is False


@pytest.mark.parametrize(("kind", "options"), [("let_go", TWO), ("next", THREE)])
def test_a_recorded_choice_that_is_not_due_is_named(kind: str, options: tuple[str, ...]) -> None:
    said = r"^choice 0 was recorded as 'next' among task:1 a, task:2 b; here it is "
    with pytest.raises(ValueError, match=said):
        Recorded([("next", TWO, 1)]).choose(kind, options)


@pytest.mark.parametrize(
    "item",
    [5, (), ("next", TWO), (1, TWO, 0), ("next", 5, 0), ("next", TWO, "0"), ("next", TWO, 2)],
)
def test_what_is_no_choice_is_refused_in_one_line(item: Any) -> None:
    with pytest.raises(ValueError, match=r"^choice 1 is .*: expected \(kind, options, index"):
        Recorded([("next", TWO, 0), item])


def test_picked_asks_a_function() -> None:
    seen = []

    def last(kind: str, options: tuple[str, ...]) -> int:
        seen.append((kind, options))
        return len(options) - 1

    chooser = Picked(last)
    assert chooser.choose("next", list(THREE)) == 2
    assert seen == [("next", THREE)]
    assert repr(chooser) == "Picked(last)"
    assert chooser.at_let_go
    with pytest.raises(TypeError, match=r"^Picked takes a function of \(kind, options\); got 5$"):
        Picked(5)  # type: ignore[arg-type]
