"""What lessons and exercises say: C that compiles, words that are explained, links that lead."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from kextlab.course.glossary import entries, unlinked
from kextlab.course.listings import checked, compiler, listings
from kextlab.course.retrieval import RECALL, recall_of
from tests.recordings import recorded

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXERCISES = sorted((ROOT / "exercises").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
ASKS_NOTHING_AGAIN = ("00-map.ipynb",)  # nothing stands before it

lessons = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)


def prose(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@lessons
def test_the_c_of_a_lesson_compiles(path: Path) -> None:
    found = listings(prose(path))
    cc = compiler()
    if cc is None and os.environ.get("KEXTLAB_DEMAND_CC") == "1":
        pytest.fail("no C compiler, and KEXTLAB_DEMAND_CC asks for one: install gcc")
    if cc is None:
        pytest.skip("no C compiler: the listings are not checked here")
    assert found
    assert checked(found, cc) == ""


@lessons
def test_the_first_use_of_a_word_of_the_glossary_is_a_link(path: Path) -> None:
    assert unlinked(prose(path)) == []


@lessons
def test_a_lesson_has_its_parts_in_order(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells)
    parts = [
        r"^\*\*The question\.\*\*",
        r"^After this lesson you can$",
        r"\b[1-3]\d minutes\b",
        r"^## .*Break it",
        r"^## .*Documentation against kernel$",
        *([] if path.name in ASKS_NOTHING_AGAIN else [rf'\bretrieve\("{path.name[:2]}"\)']),
        r"^## What to keep$",
    ]
    at = 0
    for part in parts:
        found = re.compile(part, re.M).search(text, at)
        assert found, part
        at = found.start()


@pytest.mark.parametrize("path", [*LESSONS, *EXERCISES], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s#]+)(?:#([^)\s]+))?\)", prose(path)):
        file, anchor = link
        if "://" in file:
            continue
        assert (path.parent / file).is_file(), link
        if file == "glossary.md":
            assert anchor in entries(), link


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.name)
def test_an_exercise_and_its_lesson_link_to_each_other(path: Path) -> None:
    assert f"(../notebooks/{path.name})" in prose(path)
    assert f"(../exercises/{path.name})" in prose(ROOT / "notebooks" / path.name)


@pytest.mark.parametrize(
    "path", [*EXERCISES, *SOLUTIONS], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_an_exercise_runs_from_top_to_bottom_answered_or_not(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]  # what is printed has none
    reports = [data["text/plain"] for data in shown if "text/html" in data]
    mark = "✓" if path in SOLUTIONS else "✕"
    assert len(reports) >= 5
    assert all(report.startswith(mark) for report in reports)


@pytest.mark.parametrize("path", sorted(RECALL.glob("*.toml")), ids=lambda path: path.name)
def test_every_recording_a_recalled_question_names_is_in_both_corpora(path: Path) -> None:
    named = {one.recording for one in recall_of(path.stem)}
    assert all(named <= there for there in recorded())
