"""`kextlab doctor` sees what is wrong, says how to mend it, and never crashes."""

import errno
import json
import re
import shutil
import socket
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from kextlab.cli import app
from kextlab.cli import doctor as module
from kextlab.cli.doctor import Finding

WORKS = Finding("jupyterlab", True, True, "4.2.0")
BROKEN = Finding("ipykernel", True, False, "not installed", 'pip install "ipykernel[all]"')
ABSENT = Finding("greenlet", False, False, "not installed", "pip install greenlet")

Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command on these findings."""

    def run(findings: list[Finding], *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(module, "examine", lambda: findings)
        result = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "200"})
        return result.exit_code, result.output

    return run


def test_it_exits_0_when_only_optional_things_are_missing(doctor: Doctor) -> None:
    code, output = doctor([WORKS, ABSENT])
    assert code == 0
    assert "The lab works on this machine." in output


def test_it_exits_1_when_a_required_thing_is_missing(doctor: Doctor) -> None:
    code, output = doctor([WORKS, BROKEN])
    assert code == 1
    assert "To mend before the lab works: 1." in output


def test_the_table_says_each_verdict_with_a_symbol_and_a_word(doctor: Doctor) -> None:
    _, output = doctor([WORKS, BROKEN, ABSENT])
    for said in ("✓ works", "✗ missing", "- optional"):
        assert said in output


def test_the_table_says_how_to_mend_what_is_broken_brackets_included(doctor: Doctor) -> None:
    _, output = doctor([BROKEN])
    assert 'ipykernel: pip install "ipykernel[all]"' in output


def test_json_is_one_object_with_every_finding(doctor: Doctor) -> None:
    code, output = doctor([WORKS, BROKEN], "--json")
    answer = json.loads(output)
    assert code == 1
    assert answer["healthy"] is False
    assert [finding["name"] for finding in answer["findings"]] == ["jupyterlab", "ipykernel"]
    assert set(answer["findings"][0]) == {"name", "required", "works", "seen", "mend"}


def test_it_looks_at_everything_the_lab_uses() -> None:
    names = {finding.name for finding in module.examine()}
    assert {"Python", "simulator", "Jupyter kernel", "port", "greenlet", "chromium"} <= names
    assert set(module.LAB_NEEDS) <= names


def test_whatever_does_not_work_says_how_to_mend_it() -> None:
    assert all(finding.works or finding.mend for finding in module.examine())


def test_it_needs_what_pyprojects_lab_needs() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    lab = project["project"]["optional-dependencies"]["lab"]
    assert [f"{name}>={needed}" for name, (needed, _) in sorted(module.LAB_NEEDS.items())] == lab


@pytest.mark.parametrize(
    ("running", "works"), [((3, 10, 14), False), ((3, 11, 0), True), ((3, 14, 1), True)]
)
def test_python_is_recent_enough_from_3_11(running: tuple[int, ...], works: bool) -> None:
    assert module.look_at_python(running).works is works


@pytest.mark.parametrize(
    ("installed", "works"),
    [("4.1.9", False), ("4.2", True), ("4.2.0rc1", True), ("4.10.1", True), ("10.0", True)],
)
def test_a_package_is_recent_enough_by_number(
    monkeypatch: pytest.MonkeyPatch, installed: str, works: bool
) -> None:
    monkeypatch.setattr(module, "version", lambda name: installed)
    finding = module.look_at_package("jupyterlab", "4.2", "opens the notebooks")
    assert finding.works is works


def test_an_absent_package_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", absent)
    finding = module.look_at_package("anywidget", "0.9", "shows pictures")
    assert not finding.works
    assert 'pip install "anywidget>=0.9"' in finding.mend
    assert not module.look_at_greenlet().required


def test_a_simulator_that_cannot_be_imported_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(module, "import_module", absent)
    finding = module.look_at_simulator()
    assert (finding.required, finding.works) == (True, False)
    assert finding.seen == "ModuleNotFoundError: No module named 'kextlab'"


def test_a_simulator_that_answers_wrongly_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_round_trip", lambda message: b"moo")
    assert module.look_at_simulator().seen == "an echo came back as b'moo'"


def test_the_simulator_answers_a_round_trip() -> None:
    finding = module.look_at_simulator()
    assert finding.works, finding.seen


def test_a_kernelspec_whose_python_is_gone_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(argv=["/gone/bin/python3", "-m", "ipykernel_launcher"])
    manager = SimpleNamespace(get_kernel_spec=lambda name: spec)
    client = SimpleNamespace(KernelSpecManager=lambda: manager)
    monkeypatch.setattr(module, "import_module", lambda name: client)
    assert module.look_at_kernelspec().seen == "/gone/bin/python3 is not there"


def test_a_taken_port_is_named_beside_the_next_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(module, "JUPYTER_PORT", taken)
        finding = module.look_at_port()
    assert finding.works
    assert re.fullmatch(rf"\d+ on this machine is free \({taken} is taken\)", finding.seen)


def test_no_free_port_at_all_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr(module, "socket", SimpleNamespace(socket=Refused))
    finding = module.look_at_port()
    assert (finding.works, finding.seen) == (
        False,
        "none of 8888 to 8937 can be opened on 127.0.0.1",
    )


def test_a_program_may_go_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {"google-chrome": "/usr/bin/google-chrome"}
    monkeypatch.setattr(shutil, "which", paths.get)
    names, purpose, mend = module.PROGRAMS["chromium"]
    assert module.look_at_program("chromium", names, purpose, mend).works
    assert not module.look_at_program("C compiler", ("gcc",), "kexts", "install gcc").works
