"""The `kextlab` command explains itself and starts quickly."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from kextlab.cli import app

COMMANDS = (
    *("lab", "doctor", "replay", "run", "demo", "check", "release"),
    *("kext", "kextload", "kextunload", "kextstat"),
)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_help_lists_every_command_with_a_whole_sentence() -> None:
    code, output = run("--help")
    listed = {line.split()[0]: line for line in output.split("Commands:")[1].splitlines() if line}
    assert code == 0
    assert set(listed) == set(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    code, output = run(command, "-h")
    assert code == 0
    assert f"{command} [OPTIONS]" in output


def test_version_is_the_packages() -> None:
    assert run("--version") == (0, f"kextlab {version('kextlab')}\n")


def test_an_unknown_command_exits_2_and_is_named() -> None:
    code, output = run("frobnicate")
    assert code == 2
    assert "No such command 'frobnicate'" in output


def test_replay_without_a_recording_exits_2() -> None:
    code, output = run("replay")
    assert code == 2
    assert "Missing argument 'FILE-OR-FOLDER" in output


def test_python_m_kextlab_is_the_same_command() -> None:
    command = [sys.executable, "-m", "kextlab", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"kextlab {version('kextlab')}\n"


def test_starting_the_command_imports_nothing_heavy() -> None:
    probe = (
        "import sys, kextlab.cli\n"
        "heavy = {'rich', 'jupyterlab', 'jupyter_server', 'tornado', 'json', 'asyncio', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", probe]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
