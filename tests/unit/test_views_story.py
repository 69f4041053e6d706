"""The story a class is shown: a record is lost, and a branch in which none is."""

import json
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kextlab.cli import app
from kextlab.scenario import compare
from kextlab.views import story


@pytest.fixture(scope="module")
def doc() -> dict[str, object]:
    return story.document()


def test_the_slow_reader_loses_records_and_the_branch_loses_none() -> None:
    run, branch = story.lost_record()
    found = compare(run, branch).queues
    one, other = found[2]
    assert one is not None
    assert other is not None
    assert (one.process, one.lost, other.lost, other.read) == ("slow", 2, 0, 12_000)
    assert run.errors == branch.errors == []


def test_the_story_is_the_same_every_time(doc: dict[str, object]) -> None:
    assert json.dumps(story.document()) == json.dumps(doc)


def test_the_branch_leaves_the_story_at_the_last_sentence_they_share(
    doc: dict[str, object],
) -> None:
    [branch] = doc["branches"]  # type: ignore[attr-defined]
    texts = [
        [moment["text"] for moment in one["moments"]]
        for one in (doc, branch["doc"])  # type: ignore[index]
    ]
    at = branch["at"]
    assert texts[0][: at + 1] == texts[1][: at + 1]
    assert texts[0][at + 1] != texts[1][at + 1]


@pytest.mark.parametrize("opened", [True, False])
def test_present_opens_the_page_in_large_type(
    opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or opened)
    file = tmp_path / "lost.html"
    result = CliRunner().invoke(app, ["demo", "--present", "--html", str(file)])
    assert result.exit_code == 0
    assert asked == [file.as_uri()]
    assert '"presenter": true' in file.read_text()
    assert result.output.startswith("opened " if opened else "no browser could be opened; open ")


def test_present_needs_no_file_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    assert CliRunner().invoke(app, ["demo", "--present"]).exit_code == 0
    assert len(list(tmp_path.rglob("lost-record.html"))) == 1


def test_the_page_is_written_and_said_so(tmp_path: Path) -> None:
    file = tmp_path / "lost.html"
    result = CliRunner().invoke(app, ["demo", "--html", str(file)])
    assert result.output == f"wrote {file}; open it in a browser, ? shows the keys\n"
    assert '"presenter": false' in file.read_text()


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--html", str(tmp_path / "no" / "lost.html")])
    assert result.exit_code == 2
    assert result.output.startswith("kextlab demo: cannot write ")
    assert result.output.count("\n") == 1
