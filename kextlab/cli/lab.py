"""`kextlab lab`: find the notebooks, then become JupyterLab with a prompt websocket.

JupyterLab runs in this very process, so Ctrl-C, a closed terminal and `kill` reach it as they
reach any Jupyter. Notebooks and their jupytext pairing are opened as they are.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

FIRST_NOTEBOOK = "00-map.ipynb"
PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parent
SHIPPED = PACKAGE / "notebooks"  # there in a wheel only: pyproject.toml, [tool.hatch...sources]
SETTINGS = Path(__file__).with_name("settings")  # overrides.json, JupyterLab's own file
COPY_NAME = "kextlab-notebooks"


class CannotStart(Exception):
    """The lab cannot be opened; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Place:
    """What JupyterLab opens: `root`, the folder its file browser shows, and a notebook below it."""

    root: Path
    notebook: Path


def find_place(notebook: Path | None, cwd: Path) -> Place:
    """Where to open the lab: at `notebook` if one is named, else at the first lesson.

    The first lesson is looked for in the checkout this package lies in, then in a checkout that is
    `cwd`, then among the notebooks shipped with the package, which are copied below `cwd` with the
    exercises.

    Raises CannotStart when `notebook` is not there or no first lesson is found.
    """
    if notebook is not None:
        wanted = (cwd / notebook).resolve()
        if wanted.suffix != ".ipynb" or not wanted.is_file():
            raise CannotStart(f"{notebook} is not a notebook; name an .ipynb file that exists")
        inside = wanted.is_relative_to(CHECKOUT) and (CHECKOUT / "notebooks").is_dir()
        return Place(CHECKOUT if inside else wanted.parent, wanted)

    for checkout in (CHECKOUT, cwd):
        first = checkout / "notebooks" / FIRST_NOTEBOOK
        if first.is_file():
            return Place(checkout, first)

    if not (SHIPPED / FIRST_NOTEBOOK).is_file():
        raise CannotStart(
            f"no notebooks/{FIRST_NOTEBOOK} in {CHECKOUT}, {cwd} or {PACKAGE}; "
            "run this in a checkout of kextlab, or name a notebook with --notebook"
        )
    copy = cwd / COPY_NAME
    for folder in ("notebooks", "exercises"):  # beside each other: they link to each other
        copy_missing(SHIPPED.parent / folder, copy / folder)
    return Place(copy, copy / "notebooks" / FIRST_NOTEBOOK)


def copy_missing(source: Path, target: Path) -> None:
    """Copy the tree `source` to `target`, keeping every file `target` already has.

    Raises CannotStart when `target` cannot be written.
    """
    try:
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            copy = target / file.relative_to(source)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    except OSError as error:
        raise CannotStart(
            f"cannot copy the notebooks to {target} ({error.strerror}); run this in a folder you "
            "can write to"
        ) from error


def arguments(place: Place, *, port: int, browser: bool, root: bool) -> list[str]:
    """The arguments of `jupyter lab` that open `place`.

    `root` says that the user is root, whom Jupyter refuses unless told otherwise. The only user of
    a fresh container is root, and the server answers this machine alone, and asks for a token.
    """
    return [
        str(place.notebook),
        f"--ServerApp.root_dir={place.root}",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--LabApp.app_settings_dir={SETTINGS}",  # no question about news over the first cell
        "--ServerApp.kernel_websocket_connection_class=kextlab.cli.nodelay.PromptConnection",
        *(["--ServerApp.allow_root=True"] if root else []),
    ]


def start(notebook: Path | None, *, port: int, browser: bool) -> None:
    """Run JupyterLab until it is stopped.

    Raises CannotStart when JupyterLab is not installed or the notebook is not found.
    """
    if find_spec("jupyterlab") is None:
        raise CannotStart(
            f"JupyterLab is not installed for {sys.executable}; in the folder with kextlab's "
            f'pyproject.toml run: "{sys.executable}" -m pip install ".[lab]"'
        )
    place = find_place(notebook, Path.cwd())

    from jupyterlab.labapp import LabApp

    root = hasattr(os, "geteuid") and os.geteuid() == 0
    asked = arguments(place, port=port, browser=browser, root=root)
    LabApp.launch_instance(asked)  # type: ignore[no-untyped-call]
