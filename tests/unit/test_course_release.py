"""`kextlab release`: what students get, and what they must not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kextlab.cli import app
from kextlab.course.question import CourseError
from kextlab.course.release import CHECKOUT, release
from kextlab.course.source import read_source

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "solutions").glob("[0-9][0-9]-*.py"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "bundle"
    said = release(out)
    assert said.startswith(f"wrote {out}: ")
    assert said.endswith(f"{len(SOURCES)} exercises, no solutions")
    return out


def test_a_bundle_holds_lab_lessons_and_exercises(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == [
        "LICENSE", "README.md", "exercises", "kextlab", "notebooks", "pyproject.toml",
    ]  # fmt: skip
    for path in SOURCES:
        assert (bundle / "exercises" / f"{path.stem}.ipynb").is_file()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_answer_mistake_hidden_check_or_seed_is_in_a_bundle(bundle: Path, path: Path) -> None:
    text = "".join(
        file.read_text(encoding="utf-8", errors="replace")
        for file in bundle.rglob("*")
        if file.suffix in (".py", ".ipynb", ".md", ".toml", ".json")
    )
    source = read_source(path)
    assert source.written
    for question, written in source.written.items():
        kept = [written.reference, *written.others, *written.hidden]
        for cell in (*kept, *(mutant for _, mutant in written.mutants)):
            secret = cell.split("\n", 1)[-1]
            assert secret not in text, question
            assert json.dumps(secret)[1:-1] not in text, question
        for check in source.hidden(question):
            assert check.title not in text
            assert f"def {check.look.__name__}(" not in text
    assert str(source.seeds[0]) not in text


def test_a_bundle_works_elsewhere(bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kextlab", "check", "exercises/03-units.ipynb"]
    copy = tmp_path / "elsewhere"
    shutil.copytree(bundle, copy)
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "0 of 6 questions pass their public checks" in result.stdout
    where = "import kextlab; print(kextlab.__file__)"
    found = subprocess.run([sys.executable, "-c", where], cwd=copy, capture_output=True, text=True)
    assert found.stdout.startswith(str(copy))


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = CliRunner().invoke(app, ["release", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output.startswith(f"kextlab release: {tmp_path} is there already")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_inside_what_is_copied_is_refused() -> None:
    with pytest.raises(CourseError, match="lies inside what is to be copied"):
        release(CHECKOUT / "exercises" / "out")
    assert not (CHECKOUT / "exercises" / "out").exists()


def test_outside_a_checkout_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"is no checkout of kextlab: LICENSE, pyproject\.toml"):
        release(tmp_path / "out", tmp_path)


def test_an_exercise_with_a_teachers_cell_is_not_released(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("kextlab", "notebooks", "exercises"):
        (checkout / name).mkdir(parents=True)
    for name in ("LICENSE", "pyproject.toml"):
        (checkout / name).touch()
    cell = {"cell_type": "code", "metadata": {"tags": ["mutant", "q03_1"]}, "source": ""}
    (checkout / "exercises/03-x.ipynb").write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(CourseError, match=r"03-x\.ipynb holds a cell tagged mutant"):
        release(tmp_path / "out", checkout)
    assert not (tmp_path / "out").exists()
