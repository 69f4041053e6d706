"""The drawing of the house is the house."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "draw_house.py"))


def test_the_drawing_is_in_step_with_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert TOOL["redrawn"](page) == page, "run python tools/draw_house.py"


def test_every_package_stands_on_a_floor_of_the_drawing() -> None:
    packages = {path.parent.name for path in (ROOT / "kextlab").glob("*/__init__.py")}
    assert {name for row in TOOL["floors"]() for name in row} == packages
