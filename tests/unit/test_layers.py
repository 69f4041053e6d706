"""The house of docs/architecture.md is law: lint-imports passes, and notices what it should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"COLUMNS": "200", "PYTHONPATH": str(folder)},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project to break."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kextlab", tmp_path / "kextlab", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, module: str, line: str) -> None:
    """Add a module to the copy, and whatever package it needs, that holds one import."""
    file = copy.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    (file.parent / "__init__.py").touch()
    file.write_text(line + "\n")


def test_every_import_goes_downward() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "line", "imported"),
    [
        ("kernel", "import socket", "socket"),
        ("kernel", "import errno", "errno"),
        ("bsd", "from time import monotonic", "time"),
        ("sched", "import random", "random"),
        ("trace", "import numpy as np", "numpy"),
        ("abi", "def later():\n    import threading", "threading"),
        ("iokit", "import asyncio", "asyncio"),
        ("osfmk", "import select", "select"),
        ("views", "import ipywidgets", "ipywidgets"),
        ("abi", "import kextlab.trace", "kextlab.trace"),
        ("trace", "import kextlab.sched", "kextlab.sched"),
        ("osfmk", "import kextlab.bsd", "kextlab.bsd"),
        ("kernel", "from kextlab import cli", "kextlab.cli"),
    ],
)
def test_a_forbidden_import_is_noticed(copy: Path, package: str, line: str, imported: str) -> None:
    plant(copy, f"kextlab.{package}.broken", line)
    result = lint(copy)
    assert result.returncode == 1
    assert f"kextlab.{package} is not allowed to import {imported}:" in result.stdout


def test_a_forbidden_import_inside_bsd_is_noticed(copy: Path) -> None:
    plant(copy, "kextlab.bsd.sockbuf", "import kextlab.bsd.kern_control")
    plant(copy, "kextlab.bsd.kern_control", "")
    said = "kextlab.bsd.sockbuf is not allowed to import kextlab.bsd.kern_control:"
    assert said in lint(copy).stdout


def test_a_forbidden_import_through_another_module_is_noticed(copy: Path) -> None:
    plant(copy, "kextlab.attic", "import time")
    plant(copy, "kextlab.kernel.broken", "import kextlab.attic")
    assert "kextlab.kernel is not allowed to import time:" in lint(copy).stdout


def test_a_package_without_a_floor_is_noticed(copy: Path) -> None:
    plant(copy, "kextlab.attic", "")
    result = lint(copy)
    assert result.returncode == 1
    assert "- kextlab.attic" in result.stdout


def test_no_module_below_the_widgets_drags_in_numpy_matplotlib_or_ipython() -> None:
    # A figure imports them when it is drawn. `widgets` and the Jupyter server's websocket class
    # are exempt: both exist only for Jupyter.
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "kextlab").rglob("*.py")
        if "widgets" not in path.parts and path.name != "nodelay.py"
    )
    probe = (
        "import sys, importlib\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(sorted({'numpy', 'matplotlib', 'IPython'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr
