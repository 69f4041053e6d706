"""A question of an exercise: what is asked for, what is looked at, and what people get wrong.

The questions of exercise NN are ``QUESTIONS`` of ``kextlab.course.questions.qNN``; what people get
wrong, and the hints, are ``qNN.toml`` beside it. A check is a
function ``(answer, seed)``: ``answer`` holds the names the cell defined, ``seed`` varies sizes,
units and bytes. It answers ``None`` when all is well, or a ``Miss`` that names a misconception of
the question.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from kextlab.userland.mac import Kernel

Answer = Mapping[str, Any]
"""What an answer cell defined. Any: a learner may put anything there."""

ID: Final = re.compile(r"q(\d\d)_[1-9]\d?")
QUESTIONS: Final = Path(__file__).parent / "questions"


class CourseError(Exception):
    """What was asked cannot be done; the message is one line for the user."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the line, without our own code above it."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True, slots=True)
class Misconception:
    """Something people believe. ``why`` says why it is not so; ``hints`` is the ladder of three:
    where to look, what is wrong, nearly the line to write."""

    why: str
    hints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Miss:
    """What a check found.

    Attributes:
        misconception: the key of the question's table.
        seen, expected: each the end of a sentence, with its units.
        mac: the machine on which it was seen.
        step: the step of its trace that shows it; the last one, if it is not given.
    """

    misconception: str
    seen: str
    expected: str
    mac: Kernel | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        title: what holds if it passes, a sentence without its full stop.
        look: the function.
        steps: the budget of one run, in rounds and calls of the answer's code.
    """

    title: str
    look: Callable[[Answer, int], Miss | None]
    steps: int = 20_000


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its public checks.

    Attributes:
        id: ``qNN_M``, the ``grade_id`` of its answer cell.
        title: a few words.
        names: what the answer cell must define.
        checks: the public checks, in the order in which they are run.
        hidden: how many checks more the teacher's side has.
    """

    id: str
    title: str
    names: tuple[str, ...]
    checks: tuple[Check, ...]
    hidden: int = 0

    @property
    def misconceptions(self) -> Mapping[str, Misconception]:
        """What its checks look for, by name."""
        return _misconceptions(self.id[1:3])[self.id]


@cache
def _misconceptions(exercise: str) -> dict[str, dict[str, Misconception]]:
    """The misconceptions of an exercise, by question and name."""
    read = tomllib.loads((QUESTIONS / f"q{exercise}.toml").read_text(encoding="utf-8"))
    return {
        question: {
            name: Misconception(one["why"], tuple(one["hints"])) for name, one in found.items()
        }
        for question, found in read.items()
    }


def questions_of(exercise: str) -> tuple[Question, ...]:
    """The questions of exercise ``"NN"``, in order.

    Raises:
        CourseError: there is no such exercise.
    """
    module = f"kextlab.course.questions.q{exercise}"
    if not re.fullmatch(r"\d\d", exercise) or find_spec(module) is None:
        raise CourseError(f"there is no exercise {exercise}")
    questions: tuple[Question, ...] = import_module(module).QUESTIONS
    return questions


def question_named(name: str) -> Question:
    """The question ``qNN_M``.

    Raises:
        CourseError: there is none of that name.
    """
    match = ID.fullmatch(name)
    if match is None:
        raise CourseError(f"{name!r} is no question; a question is called q03_2")
    questions = questions_of(match[1])
    for question in questions:
        if question.id == name:
            return question
    there = ", ".join(question.id for question in questions)
    raise CourseError(f"there is no question {name}: there are {there}")
