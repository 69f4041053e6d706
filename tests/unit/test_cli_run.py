"""``kextlab run``: exit codes, and what it prints."""

import json
from pathlib import Path

import pytest

from kextlab.scenario import Scenario
from kextlab.views.log import log
from kextlab.views.rerun import main
from tests.unit.scenario_machines import flooded

CORPUS = Path(__file__).parents[2] / "tests/conformance/corpus/xnu-11417.101.15.jsonl.xz"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "story.json"
    Scenario.of(flooded()).save(path)
    return path


def test_a_run_as_recorded_is_told_and_ends_with_0(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(saved) == 0
    printed = capsys.readouterr().out
    trace = flooded().trace
    hashed = Scenario.of(flooded()).run().hash(len(trace))
    assert printed == f"{log(trace)}\nas recorded: {len(trace)} steps, state {hashed}\n"


def test_a_run_that_differs_names_the_step_and_ends_with_1(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = json.loads(saved.read_text())
    value["calls"][9]["data"] = "00"
    saved.write_text(json.dumps(value))
    assert main(saved) == 1
    expected, got = capsys.readouterr().out.splitlines()[-2:]
    assert expected.startswith("the run differs at step ")
    assert got == "  got proc:100: syscall sendto(3, b'\\x00', 0)"


def test_what_cannot_be_run_is_one_line_and_ends_with_2(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.write_text(saved.read_text()[:300])
    assert main(saved) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"kextlab run: {saved}: truncated: it ends in line 9\n"


def test_a_scenario_of_a_recording_is_picked_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CORPUS, "flow-one-too-many") == 0
    assert main(CORPUS) == 2
    assert "1465 scenarios; name one of" in capsys.readouterr().err


def test_a_module_that_holds_the_code_is_imported_from_the_folder_one_is_in(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(saved.parent)
    Path("mykexts.py").write_text("from kextlab.kexts import EchoKext as Mine\n")
    Path("broken.py").write_text("1 / 0\n")
    value = json.loads(saved.read_text())
    value["kexts"] = {"org.kextlab.echo": "mykexts:Mine"}
    saved.write_text(json.dumps(value))
    assert main(saved) == 2
    assert "mykexts is not imported" in capsys.readouterr().err
    assert main(saved, modules=["mykexts"]) == 0
    assert main(saved, modules=["broken"]) == 2
    said = capsys.readouterr().err
    assert said == "kextlab run: cannot import broken: ZeroDivisionError: division by zero\n"
