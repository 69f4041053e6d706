"""`kextlab lab` finds the right notebook and starts JupyterLab, here a fake, on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kextlab.cli import app, lab
from kextlab.cli.lab import CannotStart, Place, arguments, find_place

FIRST = lab.FIRST_NOTEBOOK


def write(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder to start the lab from."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """kextlab as a wheel installs it; the notebooks it ships."""
    package = tmp_path / "site-packages" / "kextlab"
    write(package / "notebooks" / FIRST, "shipped")
    write(package / "notebooks" / "figures" / "one.svg", "<svg/>")
    write(package / "exercises" / "01-registration.ipynb", "exercise")
    monkeypatch.setattr(lab, "PACKAGE", package)
    monkeypatch.setattr(lab, "CHECKOUT", package.parent)
    monkeypatch.setattr(lab, "SHIPPED", package / "notebooks")
    return package / "notebooks"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """kextlab in a checkout."""
    folder = tmp_path / "checkout"
    write(folder / "notebooks" / FIRST)
    monkeypatch.setattr(lab, "PACKAGE", folder / "kextlab")
    monkeypatch.setattr(lab, "CHECKOUT", folder)
    monkeypatch.setattr(lab, "SHIPPED", folder / "kextlab" / "notebooks")
    return folder


def test_a_checkout_opens_its_first_lesson_where_it_is(checkout: Path, home: Path) -> None:
    assert find_place(None, home) == Place(checkout, checkout / "notebooks" / FIRST)
    assert list(home.iterdir()) == []


def test_a_wheel_run_inside_a_checkout_opens_the_checkouts_lesson(
    installed: Path, tmp_path: Path
) -> None:
    here = tmp_path / "clone"
    first = write(here / "notebooks" / FIRST)
    assert find_place(None, here) == Place(here, first)


def test_a_wheel_opens_a_copy_of_the_lessons_it_ships(installed: Path, home: Path) -> None:
    copy = home / "kextlab-notebooks"
    assert find_place(None, home) == Place(copy, copy / "notebooks" / FIRST)
    assert (copy / "notebooks" / FIRST).read_text() == "shipped"
    assert (copy / "notebooks" / "figures" / "one.svg").is_file()
    assert (copy / "exercises" / "01-registration.ipynb").read_text() == "exercise"


def test_a_lesson_the_student_worked_in_is_not_overwritten(installed: Path, home: Path) -> None:
    mine = write(home / "kextlab-notebooks" / "notebooks" / FIRST, "my answers")
    find_place(None, home)
    assert mine.read_text() == "my answers"


def test_a_folder_that_cannot_be_written_is_named(installed: Path, home: Path) -> None:
    write(home / "kextlab-notebooks", "a file in the way")
    with pytest.raises(CannotStart, match=r"cannot copy the notebooks to .*home/kextlab-notebooks"):
        find_place(None, home)


def test_no_lesson_anywhere_says_where_it_looked(installed: Path, home: Path) -> None:
    (installed / FIRST).unlink()
    with pytest.raises(CannotStart, match=f"no notebooks/{FIRST} in .*{home}") as error:
        find_place(None, home)
    assert "\n" not in str(error.value)


def test_a_named_notebook_is_opened_in_its_own_folder(checkout: Path, home: Path) -> None:
    mine = write(home / "mine.ipynb")
    assert find_place(Path("mine.ipynb"), home) == Place(home, mine)


def test_a_named_notebook_of_the_checkout_is_opened_in_the_checkout(
    checkout: Path, home: Path
) -> None:
    other = write(checkout / "exercises" / "02-queues.ipynb")
    assert find_place(other, home) == Place(checkout, other)


@pytest.mark.parametrize("named", ["gone.ipynb", "lesson.py", "."])
def test_what_is_no_notebook_is_refused(checkout: Path, home: Path, named: str) -> None:
    write(home / "lesson.py")
    with pytest.raises(CannotStart, match=f"{named} is not a notebook"):
        find_place(Path(named), home)


def test_jupyterlab_is_told_notebook_folder_port_browser_and_websocket() -> None:
    place = Place(Path("/lab"), Path("/lab/notebooks/one.ipynb"))
    assert arguments(place, port=9000, browser=False, root=False) == [
        str(Path("/lab/notebooks/one.ipynb")),
        f"--ServerApp.root_dir={Path('/lab')}",
        "--ServerApp.port=9000",
        "--ServerApp.open_browser=False",
        f"--LabApp.app_settings_dir={lab.SETTINGS}",
        "--ServerApp.kernel_websocket_connection_class=kextlab.cli.nodelay.PromptConnection",
    ]


def test_the_command_starts_jupyterlab_with_its_options(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyterlab.labapp import LabApp

    started: list[list[str]] = []
    monkeypatch.setattr(LabApp, "launch_instance", started.append)
    result = CliRunner().invoke(app, ["lab", "--port", "9000", "--no-browser"])
    assert result.exit_code == 0, result.output
    place = Place(checkout, checkout / "notebooks" / FIRST)
    assert started == [arguments(place, port=9000, browser=False, root=os.geteuid() == 0)]


def test_root_in_a_container_is_let_in() -> None:
    place = Place(Path("/lab"), Path("/lab/notebooks/one.ipynb"))
    told = arguments(place, port=9000, browser=False, root=True)
    assert told[-1] == "--ServerApp.allow_root=True"


def test_without_jupyterlab_one_line_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["lab"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("kextlab lab: JupyterLab is not installed")
    assert f'"{sys.executable}" -m pip install ".[lab]"' in result.stderr


def test_a_missing_notebook_exits_2_in_one_line() -> None:
    command = [sys.executable, "-m", "kextlab", "lab", "--notebook", "gone.ipynb"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    said = "kextlab lab: gone.ipynb is not a notebook; name an .ipynb file that exists\n"
    assert result.stderr == said
