"""docs/coverage.md: every section, question and recording it names is there."""

import json
import re
from pathlib import Path

import pytest

from kextlab.course.question import CourseError, question_named
from tests.recordings import recorded

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in (ROOT / "docs/coverage.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| what ")
]
LESSONS = {path.name[:2]: path for path in (ROOT / "notebooks").glob("*.ipynb")}

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])


def sections(path: Path) -> set[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return set(re.findall(r"^## (\d+\.\d+) ", text, re.M))


def test_every_document_has_its_lines() -> None:
    page = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([A-E]): ", page, re.M) == list("ABCDE")
    assert len(ROWS) >= 30


@rows
def test_a_line_says_where(row: list[str]) -> None:
    what, lesson, exercise, _ = row
    assert what
    assert lesson or exercise


@rows
def test_a_section_it_names_is_in_its_lesson(row: list[str]) -> None:
    for section in re.findall(r"\b\d+\.\d+\b", row[1]):
        assert section in sections(LESSONS[f"{int(section.split('.')[0]):02}"])


@rows
def test_what_is_written_is_named_by_its_section_or_question(row: list[str]) -> None:
    for number in re.findall(r"lesson (\d\d)", row[1]):
        assert number not in LESSONS, "name the section"
    for number in re.findall(r"lesson (\d\d)", row[2]):
        with pytest.raises(CourseError):
            question_named(f"q{number}_1")


@rows
def test_a_question_it_names_is_there(row: list[str]) -> None:
    for name in re.findall(r"q\d\d_\d", row[2]):
        assert question_named(name).id == name


@rows
def test_a_recording_it_names_is_in_both_corpora(row: list[str]) -> None:
    named = set(re.findall(r"`([\w-]+)`", row[3]))
    assert all(named <= there for there in recorded())
