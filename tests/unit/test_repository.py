"""What a stranger finds: the documents say what is there, and what is stored is clean."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(
    path
    for folder in ("notebooks", "exercises", "solutions")
    for path in (ROOT / folder).rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
MODULES = sorted((ROOT / "kextlab").rglob("*.py"))
REQUIREMENT_FILES = sorted(
    path
    for pattern in ("pyproject.toml", "*.y*ml", "*lock*", "*requirements*", "*constraints*")
    for path in ROOT.glob(pattern)
)
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
MAX_LINES = 500


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_first_notebook_is_there() -> None:
    assert (ROOT / "notebooks" / "01-registration.ipynb").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    kept = [cell["source"] for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert kept == [], "clear the outputs of these cells and save again"


@pytest.mark.parametrize("path", REQUIREMENT_FILES, ids=name)
def test_a_requirement_file_names_no_host(path: Path) -> None:
    assert re.findall(r"\w+://\S+|--(?:extra-)?index-url|--find-links", path.read_text()) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_opens_with_what_it_models(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_make_target_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.M))
    assert named
    assert named <= TARGETS | {"help"}


def test_the_readme_names_every_make_target() -> None:
    assert set(re.findall(r"`make ([a-z-]+)`", (ROOT / "README.md").read_text())) == TARGETS


def test_make_without_a_target_prints_every_target_with_its_purpose() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in said.splitlines()} == TARGETS
    assert all(len(line.split()) > 3 for line in said.splitlines())


def test_make_says_in_one_line_that_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text(
        f'#!/bin/sh\nshift; exec {sys.executable} -c "import sys; sys.version_info = (3, 9); $1"\n'
    )
    old.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    result = subprocess.run(
        ["make", "-f", ROOT / "Makefile", f"PYTHON={old}", "lab"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode != 0
    assert f"kextlab needs Python 3.11 or newer, but {old} is 3.9" in result.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()


def test_the_readme_names_every_command_and_no_other() -> None:
    from kextlab.cli import app

    named = set(re.findall(r"`kextlab ([a-z]+)[^`]*`", (ROOT / "README.md").read_text()))
    commands = (*app.registered_commands, *app.registered_groups)
    assert named == {command.name for command in commands}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_file_a_document_links_to_exists(document: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_example_runs_and_prints_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert example
    exec(compile(example[1], "README.md", "exec"), {})
    promised = re.findall(r"print\(.*# (.*)$", example[1], re.M)
    assert capsys.readouterr().out.splitlines() == promised


def test_the_changelog_opens_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "[Unreleased]"
