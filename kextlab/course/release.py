"""``kextlab release``: what students get of a checkout.

A list of what is copied, not of what is left out: a folder that is new stays behind until somebody
decides otherwise. What is copied is then looked through for marks of the teacher's side.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from kextlab.course.question import CourseError

CHECKOUT: Final = Path(__file__).parents[2]
COPIED: Final = ("LICENSE", "pyproject.toml", "kextlab", "notebooks", "exercises")
LEFT_OUT: Final = shutil.ignore_patterns(
    "__pycache__", ".*", "kextlab-answers.json", "*.checkpoint.ipynb"
)
NOT_FOR_STUDENTS: Final = ("other", "mutant", "hidden", "seeds", "reference")
"""Tags of cells that only ``solutions/`` may hold."""
README: Final = """\
# kextlab, for students

With Python 3.11 or newer, in this folder:

    pip install ".[lab]"
    python -m kextlab lab

JupyterLab opens at the first lesson. `notebooks/` holds the lessons, `exercises/` what to do after
each. In an exercise every question has one answer cell and one cell that checks it; in a terminal
`kextlab check exercises/03-units.ipynb` checks them all. `kextlab doctor` says what is missing if
something does not start.
"""


def release(out: Path, checkout: Path = CHECKOUT) -> str:
    """Write the bundle to the folder ``out``; the line that says what was written.

    Raises:
        CourseError: there is no checkout, ``out`` holds something or lies inside what is copied,
            or it cannot be written.
    """
    missing = [name for name in COPIED if not (checkout / name).exists()]
    if missing:
        raise CourseError(f"{checkout} is no checkout of kextlab: {', '.join(missing)} missing")
    if any(out.resolve().is_relative_to((checkout / name).resolve()) for name in COPIED):
        raise CourseError(f"{out} lies inside what is to be copied; name another folder")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CourseError(f"{out} is there already and holds something; name an empty folder")
        out.mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            if (checkout / name).is_dir():
                shutil.copytree(checkout / name, out / name, ignore=LEFT_OUT)
            else:
                shutil.copy(checkout / name, out / name)
        (out / "README.md").write_text(README, encoding="utf-8")
    except OSError as error:
        raise CourseError(f"cannot write {out}: {error.strerror or error}") from None
    _looked_through(out)
    exercises = len(list((out / "exercises").glob("*.ipynb")))
    files = sum(path.is_file() for path in out.rglob("*"))
    return f"wrote {out}: {files} files, {exercises} exercises, no solutions"


def _looked_through(out: Path) -> None:
    """Refuse a bundle in which an exercise holds a cell of the teacher's side."""
    from kextlab.course.exercise import code_cells, tags

    for path in sorted((out / "exercises").rglob("*.ipynb")):
        for cell in code_cells(path):
            found = sorted({*tags(cell)} & {*NOT_FOR_STUDENTS})
            if found:
                shutil.rmtree(out)
                raise CourseError(f"{path.name} holds a cell tagged {found[0]}; generate it again")
