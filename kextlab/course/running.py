"""Running the checks of one question on an answer, whatever the answer does.

Only the setup cells and the one answer cell are executed, in a namespace of their own, under a
step budget. Whatever goes wrong, a syntax error, an exception, an endless loop, is an ``Outcome``
of this question; nothing leaves but KeyboardInterrupt.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from kextlab.course.budget import TICK, Budget, BudgetSpent, compiled
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.sched.stop import KernelPanic

SEEDS: Final = (1, 2, 3)
"""The seeds of the public checks."""
CELL_STEPS: Final = 100_000
"""The budget of executing the cells themselves."""
SETUP: Final = "<setup>"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the checks of one question went.

    Attributes:
        question: which one.
        passed: public checks that passed; all, if the answer is right.
        ran: how many checks ``passed`` is out of.
        check: the first that did not.
        miss: what it found.
        line: in place of ``miss``, why it could not even be checked, in one line.
        hidden_run: whether the hidden checks were among them.
    """

    question: Question
    passed: int
    ran: int
    check: Check | None = None
    miss: Miss | None = None
    line: str = ""
    hidden_run: bool = False

    @property
    def right(self) -> bool:
        """Whether every check that was run passed."""
        return self.miss is None and not self.line


class _NotRun(Exception):
    """The answer could not be executed, or a check could not be finished; says why."""


def run_checks(
    question: Question,
    setup: Sequence[str],
    answer: str,
    *,
    seeds: Iterable[int] = SEEDS,
    hidden: Sequence[Check] = (),
) -> Outcome:
    """Check one answer.

    Args:
        question: whose public checks are run, then ``hidden``.
        setup: the sources of the cells tagged setup, in order.
        answer: the source of the answer cell.
        seeds: every check is run once with each.
    """
    checks = (*question.checks, *hidden)
    budget = Budget(CELL_STEPS)
    passed = 0
    check: Check | None = None
    try:
        names = _executed(question, setup, answer, budget)
        for check in checks:
            miss = _looked(question, check, names, tuple(seeds), budget)
            if miss is not None:
                return Outcome(question, passed, len(checks), check, miss, hidden_run=bool(hidden))
            passed += 1
    except _NotRun as reason:
        return Outcome(
            question, passed, len(checks), check, line=str(reason), hidden_run=bool(hidden)
        )
    return Outcome(question, passed, len(checks), hidden_run=bool(hidden))


def _executed(
    question: Question, setup: Sequence[str], answer: str, budget: Budget
) -> dict[str, Any]:
    """The names that setup and answer define; Any: whatever they are."""
    place = f"<{question.id}>"
    names: dict[str, Any] = {
        "__name__": "__main__",  # as in the notebook; dataclasses look their module up
        "__builtins__": {**vars(builtins), "input": _nobody_answers},
        TICK: budget.tick,
    }
    for source, where in (*((cell, SETUP) for cell in setup), (answer, place)):
        with _guarded(where, "a setup cell" if where == SETUP else "the cell"):
            exec(compiled(source, where), names)
    for name in question.names:
        if name not in names:
            raise _NotRun(f"the cell does not define {name}")
        if names[name] is ...:
            raise _NotRun(f"{name} is still to be filled in")
    return names


def _looked(
    question: Question, check: Check, names: Answer, seeds: Sequence[int], budget: Budget
) -> Miss | None:
    for seed in seeds:
        budget.renew(check.steps)
        with _guarded(f"<{question.id}>", "the answer"):
            miss = check.look(names, seed)
        if miss is not None:
            if miss.misconception not in question.misconceptions:
                raise KeyError(f"{question.id} has no misconception {miss.misconception!r}")
            return miss
    return None


def _nobody_answers(*_: object) -> NoReturn:
    raise RuntimeError("input(): nobody answers while an answer is checked")


@contextlib.contextmanager
def _guarded(place: str, what: str) -> Any:
    """Keep what is printed to ourselves; turn what is raised into one line."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise _NotRun(f"{what} is no Python: {error.msg}{where}") from None
    except KeyboardInterrupt:
        raise
    except BudgetSpent as error:
        raise _NotRun(f"{what} took {error}{_line(error, place)}") from None
    except KernelPanic as panic:
        cause = panic.__cause__ or panic
        said = "" if cause is panic else f", because of {_named(cause)}"
        raise _NotRun(f"{what} panicked the machine: {panic}{said}{_line(cause, place)}") from None
    except BaseException as error:
        raise _NotRun(f"{what} raised {_named(error)}{_line(error, place)}") from None


def _named(error: BaseException) -> str:
    """An exception in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _line(error: BaseException, place: str) -> str:
    """Where in the learner's cell it was raised."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == place]
    return f" (line {lines[-1]} of the cell)" if lines else ""
