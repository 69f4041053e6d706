"""The `kextlab` command where output is narrow, full or cut, and where typer is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[1] / "conformance" / "corpus"
FULL = Path("/dev/full")


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kextlab", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    return subprocess.run(command, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_character_the_output_cannot_hold_is_a_question_mark(encoding: str) -> None:
    result = run("demo", env=os.environ | {"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert (result.returncode, result.stderr) == (0, "")
    assert "? echo's stop routine answers EBUSY" in result.stdout


@pytest.mark.skipif(not FULL.exists(), reason="the machine has no /dev/full")
@pytest.mark.parametrize("arguments", [("demo",), ("doctor",), ("replay", "/none"), ("--help",)])
def test_a_full_disk_is_one_line_and_exit_1(arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        result = run(*arguments, stdout=full)
    assert result.returncode == 1
    assert result.stderr == "kextlab: cannot write the output: No space left on device\n"


def test_a_reader_that_leaves_gets_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        result = run("demo", stdout=pipe)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_requirement_is_one_line_naming_the_python(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['kextlab', 'demo']\n"
        "from kextlab.__main__ import main; main()"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"kextlab: {missing} is not installed for {sys.executable}; ")
    assert 'make lab, or pip install ".[lab]"' in result.stderr
    assert result.stderr.count("\n") == 1
