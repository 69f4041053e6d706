"""An exercise as a notebook file: its setup cells and answer cells, and checking them all.

Read with the standard library alone, so that ``kextlab check`` needs no Jupyter. A cell counts by
its metadata: tag ``setup``, or tag ``answer`` with nbgrader's ``grade_id``. All other cells are
left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kextlab.course.question import ID, CourseError, Question, questions_of
from kextlab.course.running import Outcome, run_checks

Json = Any  # a JSON value


@dataclass(frozen=True, slots=True)
class Exercise:
    """What checking needs of a notebook.

    Attributes:
        path: where it was read.
        questions: of its exercise, in order.
        setup: the sources of the setup cells.
        answers: the sources of the answer cells, by question.
    """

    path: Path
    questions: tuple[Question, ...]
    setup: tuple[str, ...]
    answers: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Exercise:
        """Read a notebook.

        Raises:
            CourseError: it cannot be read, is no notebook, or is no exercise.
        """
        setup: list[str] = []
        answers: dict[str, str] = {}
        for cell in code_cells(path):
            name, source = grade_id(cell), text_of(cell)
            if "setup" in tags(cell):
                setup.append(source)
            elif "answer" in tags(cell) and name:
                if name in answers:
                    raise CourseError(f"{path}: two answer cells are called {name}; keep one")
                answers[name] = source
        numbers = {match[1] for name in answers if (match := ID.fullmatch(name))}
        if len(numbers) != 1:
            raise CourseError(f"{path}: no exercise: it has no answer cells called q03_1 or so")
        return cls(path, questions_of(numbers.pop()), tuple(setup), answers)

    def check(self, wanted: Iterable[str] = ()) -> list[Outcome]:
        """Check the questions called ``wanted``, or all, each by itself.

        Raises:
            CourseError: the exercise has no question of that name.
        """
        names = [question.id for question in self.questions]
        asked = tuple(wanted)
        for name in asked:
            if name not in names:
                raise CourseError(
                    f"{self.path}: there is no question {name}: there are {', '.join(names)}"
                )
        return [self._checked(q) for q in self.questions if not asked or q.id in asked]

    def _checked(self, question: Question) -> Outcome:
        if question.id not in self.answers:
            line = f"its answer cell, tagged answer and called {question.id}, is gone"
            return Outcome(question, 0, len(question.checks), line=line)
        return run_checks(question, self.setup, self.answers[question.id])


def code_cells(path: Path) -> list[dict[str, Json]]:
    """The code cells of a notebook file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            text_of(cell), tags(cell), grade_id(cell)
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CourseError(f"{path} is no notebook") from None
    return cells


def text_of(cell: dict[str, Json]) -> str:
    """The source of a cell, which a file may hold in lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def tags(cell: dict[str, Json]) -> list[str]:
    """The tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", ()))


def grade_id(cell: dict[str, Json]) -> str:
    """nbgrader's name of a cell, "" if it has none."""
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
