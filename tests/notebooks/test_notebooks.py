"""Every notebook runs headless, anywhere; is stored clean; and can be read without seeing."""

import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from tests.recordings import recorded

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SVG = "{http://www.w3.org/2000/svg}"

lessons = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def prose(notebook: Any) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.name)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, run from top to bottom in a copy far from the checkout."""
    folder = tmp_path_factory.mktemp("lesson")
    notebook = load(shutil.copy(request.param, folder))
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}})
    client.execute()
    return notebook


def test_a_lesson_runs_from_top_to_bottom(executed: Any) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)


def test_a_lesson_writes_nothing_to_stderr(executed: Any) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_every_figure_of_a_lesson_has_alternative_text(executed: Any) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    data = [output.data for output in outputs if "data" in output]
    assert not [one for one in data if "image/png" in one], "a bitmap has no alternative text"
    pictures = [
        ElementTree.fromstring(one["image/svg+xml"]) for one in data if "image/svg+xml" in one
    ]
    assert pictures
    for picture in pictures:
        assert picture.get("role") == "img"
        ids = str(picture.get("aria-labelledby")).split()
        words = {element.get("id"): element.text for element in picture.iter()}
        assert all(len(words[name] or "") > 10 for name in ids)


def test_a_picture_also_exists_as_plain_text(executed: Any) -> None:
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if "image/svg+xml" in output.get("data", {}):
                assert "object at 0x" not in output.data["text/plain"]
                assert len(output.data["text/plain"]) > 80


@lessons
def test_a_lesson_is_stored_without_outputs(path: Path) -> None:
    for cell in load(path).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@lessons
def test_a_lesson_and_its_text_are_in_step(path: Path) -> None:
    text = jupytext.read(path.with_suffix(".py"))
    pairs = [(cell.cell_type, cell.source) for cell in load(path).cells]
    assert pairs == [(cell.cell_type, cell.source) for cell in text.cells], (
        f"run: jupytext --to ipynb notebooks/{path.stem}.py"
    )


@lessons
def test_every_link_inside_a_lesson_leads_somewhere(path: Path) -> None:
    words = prose(load(path))
    headings = re.findall(r"^#+ (.*)$", words, re.M)
    anchors = {heading.replace(" ", "-") for heading in headings}
    anchors |= set(re.findall(r'<a (?:id|name)="([^"]+)"', words))
    for link in re.findall(r"\]\(([^)\s]+)\)", words):
        file, _, anchor = link.partition("#")
        if "://" in file:
            continue
        assert not file or (path.parent / file).exists(), link
        assert file or anchor in anchors, link


@lessons
def test_every_recording_a_lesson_names_is_in_both_corpora(path: Path) -> None:
    notebook = load(path)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    named = set(re.findall(r"# recorded: ([\w-]+)", code))
    for said in re.findall(r"● recorded: (.*?)</small>", prose(notebook), re.S):
        named |= set(re.findall(r"`([\w-]+)`", said))
    for row in re.findall(r"^\|.*\|(.*)\|$", prose(notebook), re.M):
        named |= set(re.findall(r"`([a-z]+-[\w-]+)`", row))
    assert named
    for there in recorded():
        assert named - there == set()


@lessons
def test_a_question_stands_before_every_reveal(path: Path) -> None:
    everything = "\n\n".join(cell.source for cell in load(path).cells)
    asked = re.compile(r"^predict\(", re.M)
    for section in re.split(r"^## ", everything, flags=re.M):
        if "Break it" in section.partition("\n")[0]:
            assert asked.search(section), section.partition("\n")[0]
    assert len(asked.findall(everything)) >= 5


@lessons
def test_what_is_revealed_was_asked_before(path: Path) -> None:
    code = "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "code")
    calls = re.findall(r"^(predict|reveal)\(\s*\"([^\"]+)\"", code, re.M)
    open_questions: set[str] = set()
    for function, name in calls:
        assert name.startswith(f"{path.name[:2]}."), name
        if function == "predict":
            open_questions.add(name)
        else:
            open_questions.remove(name)
    assert not open_questions


@lessons
def test_a_cell_that_shows_an_error_proves_that_it_came(path: Path) -> None:
    for cell in load(path).cells:
        if cell.cell_type == "code" and "except " in cell.source:
            assert re.search(r"^(assert|reveal|    print)", cell.source, re.M), cell.source
