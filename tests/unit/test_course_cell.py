"""``check`` in a notebook: the cells as they were last run, and a kernel that stays alive."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from kextlab.course.cell import Report, cells_run, check, scope_button
from kextlab.course.question import CourseError, question_named
from kextlab.course.report import as_html
from kextlab.course.running import run_checks
from kextlab.course.source import read_source

ROOT = Path(__file__).parents[2]
SOURCE = read_source(ROOT / "solutions/03-units.py")
BYTE = SOURCE.written["q03_2"].mutants[0][1]


def report(answer: str, name: str = "q03_2") -> Report:
    return Report(run_checks(question_named(name), SOURCE.setup, answer))


def executed(*cells: str) -> list[dict[str, Any]]:
    """Notebook cells, run in a real kernel; their outputs."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    return [cell["outputs"] for cell in notebook.cells]


def test_each_cell_counts_as_it_was_run_last() -> None:
    history = [
        "",
        "# setup\na",
        "# q03_1\nold",
        "# q03_2\nx",
        "other",
        "# q03_1\nnew",
        "# setup\nb",
    ]
    assert cells_run(history) == (
        ["# setup\nb"],
        {"# q03_1"[2:]: "# q03_1\nnew", "q03_2": "# q03_2\nx"},
    )


def test_setup_cells_are_told_apart_by_their_first_line() -> None:
    assert cells_run(["# setup\na", "# setup of question 4\nb"])[0] == [
        "# setup\na",
        "# setup of question 4\nb",
    ]


def test_outside_a_notebook_it_names_the_command() -> None:
    with pytest.raises(CourseError, match="in a terminal: kextlab check FILE"):
        check("q03_2")


def test_a_kernel_survives_every_answer_and_says_why() -> None:
    setup = next(iter(SOURCE.setup))
    reference = SOURCE.written["q03_2"].reference
    outputs = executed(
        setup,
        'check("q03_2")',
        "# q03_2\nGreeter = (",
        'check("q03_2")',
        "# q03_2\nclass Greeter(EchoKext):\n    def send(self, *a):\n        while True: pass",
        'check("q03_2")',
        BYTE,
        'check("q03_2")',
        reference,
        'check("q03_2")',
    )
    said = [json.dumps(outputs[at], ensure_ascii=False) for at in (1, 3, 5, 7, 9)]
    (error,) = outputs[1]
    assert len(error["traceback"]) == 1
    assert error["traceback"][0].startswith("CourseError: no cell that begins with the line `# q03")
    assert "the cell is no Python" in said[1]
    assert "an endless loop?" in said[2]
    assert "256 becomes 0" in said[3]
    assert "3 of 3 public checks, 1 hidden not run" in said[4]


def test_a_report_is_text_too() -> None:
    said = repr(report(BYTE))
    assert said.startswith("✕ q03_2 find and mend: a unit in a byte: 1 of 3 public checks")
    assert "hint 1 of 3" in said


def test_hints_open_one_by_one() -> None:
    page = as_html(report(BYTE).outcome)
    assert page.count("<details>") == page.count("</details>") == 3
    assert "<table>" in page  # what happened


def test_what_a_learner_wrote_is_escaped() -> None:
    page = as_html(report("raise ValueError('<script>')").outcome)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_button_opens_the_scope_at_the_step_that_shows_it() -> None:
    pytest.importorskip("anywidget")
    miss = report(BYTE).outcome.miss
    assert miss is not None
    assert miss.step is not None
    button, place = scope_button(miss).children
    assert button.description == f"Open the Scope at step {miss.step + 1}"
    button.click()
    assert button.disabled
    assert "data-kextlab-scope" in str(place.outputs)
