"""``solutions/NN-topic.py``: the one hand-edited source of an exercise, and what is made of it.

A jupytext percent file. The tags of a code cell say what it is; all but ``setup`` and ``seeds`` are
followed by the tag of the question:

    setup               run before every answer, shown to students
    starter, qNN_M      what students find in the answer cell
    reference, qNN_M    our answer
    other, qNN_M        another correct answer, of another shape
    mutant, qNN_M, X    a wrong answer of somebody who holds misconception X
    hidden, qNN_M       functions (answer, seed) that are hidden checks; the docstring is the title
    seeds               assigns ``seeds``, the seeds of the teacher's side

``docs/authoring.md`` shows one.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kextlab.course.question import ID, Check, CourseError

Json = Any  # a JSON value
KINDS: Final = ("starter", "reference", "other", "mutant", "hidden")


@dataclass(slots=True)
class Written:
    """What the source holds for one question; sources of cells."""

    starter: str = ""
    reference: str = ""
    others: list[str] = field(default_factory=list)
    mutants: list[tuple[str, str]] = field(default_factory=list)
    """(misconception, source)."""
    hidden: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """One source file, read.

    Attributes:
        cells: (kind, question, text) of every cell in order; kind is "markdown", "setup", "seeds"
            or one of ``KINDS``.
        written: by question.
        seeds: of the teacher's side.
    """

    name: str
    cells: tuple[tuple[str, str, str], ...]
    written: dict[str, Written]
    seeds: tuple[int, ...]

    @property
    def setup(self) -> tuple[str, ...]:
        """The sources of the setup cells."""
        return tuple(text for kind, _, text in self.cells if kind == "setup")

    def hidden(self, question: str) -> tuple[Check, ...]:
        """The hidden checks of a question."""
        found: list[Check] = []
        for text in self.written[question].hidden:
            names: dict[str, Any] = {"__name__": f"hidden.{question}"}
            exec(compile(text, f"<hidden {question}>", "exec"), names)
            found += [
                Check((inspect.getdoc(value) or name).rstrip("."), value)
                for name, value in names.items()
                if inspect.isfunction(value)
                and value.__module__ == f"hidden.{question}"
                and not name.startswith("_")
            ]
        return tuple(found)

    def exercise(self) -> dict[str, Json]:
        """The notebook students get."""
        cells = []
        for at, (kind, question, text) in enumerate(self.cells):
            if kind == "markdown":
                cells.append(_markdown(f"text-{at}", text))
            elif kind == "setup":
                cells.append(_code(f"setup-{at}", text, ["setup"]))
            elif kind == "starter":
                cells += [_answer(question, text), _check(question)]
        return _notebook(cells)

    def solution(self) -> dict[str, Json]:
        """The notebook teachers get: the same with our answers, then others and mistakes."""
        cells = []
        for at, (kind, question, text) in enumerate(self.cells):
            if kind == "markdown":
                cells.append(_markdown(f"text-{at}", text))
            elif kind == "setup":
                cells.append(_code(f"setup-{at}", text, ["setup"]))
            elif kind == "reference":
                cells += [_answer(question, text), _check(question)]
                cells.append(_markdown(f"notes-{question}", self._notes(question)))
        return _notebook(cells)

    def _notes(self, question: str) -> str:
        written = self.written[question]
        shown = [("Another correct answer", text) for text in written.others]
        shown += [(f"A mistake: {name}", text) for name, text in written.mutants]
        return "\n\n".join(
            f"<details><summary>{title}</summary>\n\n```python\n{text}\n```\n\n</details>"
            for title, text in shown
        )


def read_source(path: Path) -> Source:
    """Read a source file.

    Raises:
        CourseError: a cell is tagged as none may be, or a question lacks starter or reference.
    """
    import jupytext

    cells: list[tuple[str, str, str]] = []
    written: dict[str, Written] = {}
    seeds: tuple[int, ...] = ()
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            cells.append(("markdown", "", cell.source))
            continue
        kind, *rest = cell.metadata.get("tags", [""])
        question = rest[0] if rest else ""
        if kind in KINDS and ID.fullmatch(question):
            _file(written.setdefault(question, Written()), kind, rest[1:], cell.source, path)
        elif kind == "seeds":
            names: dict[str, Any] = {}
            exec(cell.source, names)
            seeds = tuple(names["seeds"])
        elif kind != "setup":
            first = cell.source.partition("\n")[0]
            raise CourseError(f"{path}: the cell {first!r} has tags {[kind, *rest]}")
        if kind in ("starter", "reference") and not cell.source.startswith(f"# {question}\n"):
            raise CourseError(f"{path}: the {kind} of {question} must begin with `# {question}`")
        if kind == "setup" and not re.match(r"# setup\b", cell.source):
            raise CourseError(f"{path}: a setup cell must begin with `# setup`")
        cells.append((kind, question, cell.source))
    for question, one in written.items():
        if not (one.starter and one.reference):
            raise CourseError(f"{path}: {question} needs a starter and a reference")
    return Source(path.stem, tuple(cells), written, seeds)


def _file(written: Written, kind: str, rest: list[str], text: str, path: Path) -> None:
    if kind == "mutant":
        if len(rest) != 1:
            raise CourseError(f"{path}: a mutant has three tags, its misconception last")
        written.mutants.append((rest[0], text))
    elif kind == "other":
        written.others.append(text)
    elif kind == "hidden":
        written.hidden.append(text)
    else:
        setattr(written, kind, text)


def as_json(notebook: dict[str, Json]) -> str:
    """A notebook as the text of its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _notebook(cells: list[dict[str, Json]]) -> dict[str, Json]:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _markdown(name: str, text: str) -> dict[str, Json]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _code(name: str, text: str, tagged: list[str]) -> dict[str, Json]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {"tags": tagged} if tagged else {},
        "outputs": [],
        "source": _lines(text),
    }


def _answer(question: str, text: str) -> dict[str, Json]:
    cell = _code(question, text, ["answer"])
    cell["metadata"]["nbgrader"] = {
        "grade": False,
        "grade_id": question,
        "locked": False,
        "schema_version": 3,
        "solution": True,
        "task": False,
    }
    return cell


def _check(question: str) -> dict[str, Json]:
    return _code(f"check-{question}", f'check("{question}")', [])


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
