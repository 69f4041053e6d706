"""`kextlab demo`: the same plain words every time.

The golden file is rewritten by: python -m kextlab demo > tests/unit/golden/demo.txt
"""

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from kextlab.views.demo import main

GOLDEN = Path(__file__).parent / "golden" / "demo.txt"


def told(*, colour: bool) -> str:
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=colour, color_system="truecolor" if colour else None,
        highlight=False, width=60,
    )  # fmt: skip
    assert main(console) == 0
    return file.getvalue()


def test_the_demo_tells_its_story_word_for_word() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "kextlab", "demo"], capture_output=True, text=True, check=True
    )
    assert run.stderr == ""
    assert run.stdout == GOLDEN.read_text(encoding="utf-8")


def test_the_width_of_the_terminal_changes_nothing() -> None:
    assert told(colour=False) == GOLDEN.read_text(encoding="utf-8")


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in told(colour=True)
    assert "\x1b[" not in told(colour=False)


def test_the_story_is_short() -> None:
    assert len(GOLDEN.read_text(encoding="utf-8").splitlines()) <= 50
