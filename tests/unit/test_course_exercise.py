"""`kextlab check`: what it reads, what it prints, and that one bad answer spoils no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kextlab.cli import app
from kextlab.course.exercise import Exercise
from kextlab.course.question import CourseError, question_named, questions_of

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / "exercises/03-units.ipynb"
TEACHER = ROOT / "solutions/03-units.ipynb"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.output


def changed(tmp_path: Path, **answers: str) -> Path:
    """The solution with other answers."""
    document = json.loads(TEACHER.read_text())
    for cell in document["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell["source"] = answers[name]
    path = tmp_path / "03-units.ipynb"
    path.write_text(json.dumps(document))
    return path


def test_the_solution_passes_and_says_what_was_not_run() -> None:
    code, said = run(TEACHER)
    assert code == 0
    assert "✓ q03_2 find and mend: a unit in a byte: 3 of 3 public checks, 1 hidden not run" in said
    assert said.splitlines()[-1] == (
        "6 of 6 questions pass their public checks; 4 hidden checks not run"
    )


def test_the_exercise_as_students_get_it_fails_every_question() -> None:
    code, said = run(STUDENT)
    assert code == 1
    assert said.count("✕") >= 6
    assert "0 of 6 questions" in said.splitlines()[-1]


def test_one_question_can_be_checked_alone() -> None:
    code, said = run(TEACHER, "--question", "q03_3")
    assert code == 0
    assert "q03_2" not in said
    assert "1 of 1 questions" in said


def test_a_wrong_answer_is_told_with_seen_expected_why_log_and_one_hint() -> None:
    code, said = run(STUDENT, "--question", "q03_2")
    assert code == 1
    for word in ("should hold: ", "seen: ", "expected: ", "why: ", "what happened:", "hint 1 of 3"):
        assert f"    {word}" in said
    assert "hint 2 of 3" not in said
    assert "ctl_enqueuedata" in said


def test_more_hints_can_be_had() -> None:
    assert "hint 3 of 3" in run(STUDENT, "--question", "q03_2", "--hints", "3")[1]


BAD = {
    "endless": "while True: pass",
    "syntax": "def (",
    "exception": "1 / 0",
    "half filled": "class Greeter: ...",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_a_bad_answer_fails_alone(tmp_path: Path, answer: str) -> None:
    code, said = run(changed(tmp_path, q03_2=answer))
    assert code == 1
    assert said.count("✕ q") == 1
    assert said.count("✓ q") == 5
    (line,) = [line for line in said.splitlines() if "not checked:" in line]
    assert len(line) < 200


def test_an_answer_cell_that_is_gone_fails_alone(tmp_path: Path) -> None:
    document = json.loads(TEACHER.read_text())
    document["cells"] = [cell for cell in document["cells"] if cell["id"] != "q03_2"]
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(document))
    code, said = run(path)
    assert code == 1
    assert "its answer cell, tagged answer and called q03_2, is gone" in said
    assert said.count("✓ q") == 5


def test_cells_with_other_tags_are_not_executed(tmp_path: Path) -> None:
    document = json.loads(TEACHER.read_text())
    cell: dict[str, Any] = {
        "cell_type": "code", "execution_count": None, "id": "boom", "metadata": {}, "outputs": [],
        "source": "raise SystemExit",
    }  # fmt: skip
    document["cells"].insert(0, cell)
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(document))
    assert run(path)[0] == 0


def said_of(tmp_path: Path, text: str | None) -> str:
    path = tmp_path / "x.ipynb"
    if text is not None:
        path.write_text(text)
    code, said = run(path)
    assert code == 2
    assert said.startswith("kextlab check: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        ("", "is no notebook"),
        ("[]", "is no notebook"),
        ('{"cells": [{"cell_type": "code", "metadata": 3}]}', "is no notebook"),
        ('{"cells": []}', "no exercise: it has no answer cells called q03_1"),
    ],
)
def test_a_file_that_is_no_exercise_is_one_line(
    tmp_path: Path, text: str | None, said: str
) -> None:
    assert said in said_of(tmp_path, text)


def test_two_cells_of_one_name_are_refused(tmp_path: Path) -> None:
    document = json.loads(TEACHER.read_text())
    document["cells"] += [cell for cell in document["cells"] if cell["id"] == "q03_2"]
    assert "two answer cells are called q03_2" in said_of(tmp_path, json.dumps(document))


def test_an_unknown_question_is_named_with_those_there_are() -> None:
    code, said = run(TEACHER, "--question", "q03_99")
    assert code == 2
    assert "no question q03_99: there are q03_1, q03_2" in said


def test_a_lesson_is_no_exercise() -> None:
    code, said = run(ROOT / "notebooks/03-units.ipynb")
    assert code == 2
    assert "no exercise" in said


def test_questions_are_found_by_name_or_refused() -> None:
    assert question_named("q03_2") is questions_of("03")[1]
    for name in ("q3", "q98_1", "q03_98"):
        with pytest.raises(CourseError):
            question_named(name)


def test_reading_keeps_the_answers_as_they_are() -> None:
    exercise = Exercise.read(STUDENT)
    assert len(exercise.setup) == 2
    assert exercise.answers["q03_1"] == "# q03_1\nunits = ..."
