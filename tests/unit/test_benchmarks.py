"""Every benchmark runs and says what it measured in the promised shape. No time is asserted."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import browser as chromium
from benchmarks import echo, report, scrub
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.measure import BenchmarkError, Result, Series, Table, Target, interleave

TARGETS = {
    "echo": 2,
    "connect": 1,
    "trace": 1,
    "import": 1,
    "replay": 0,
    "rewind": 2,
    "scrub": 4,
    "live": 1,
    "check": 1,
    "mach_msg": 1,
    "shared_page": 1,
    "names": 1,
}
PEERS = {
    "echo": {"AF_UNIX socketpair", "SimPy stores"},
    "connect": {"linear search among 200"},
    "trace": {"recording off"},
    "import": {"bare Python", "the first cell", "import simpy"},
    "replay": {"json.loads"},
    "rewind": {"folding from the beginning", "sqlite3"},
    "scrub": {"ipywidgets + matplotlib"},
    "live": {"ipywidgets label"},
    "check": {"kextlab check, 6 questions", "nbclient, the notebook"},
    "mach_msg": {"echo through a kext"},
    "shared_page": {"4 KB in a message"},
    "names": {"an entry of a dict"},
}
LACKING = chromium.missing()
IN_A_BROWSER = ("scrub", "live")
WHERE = {
    "python": "CPython 3.11.0",
    "processor": "a processor",
    "processors": "2",
    "system": "Linux x86_64",
    "load": "0.0",
    "date": "2026-01-02",
}
RESULT = Result(
    name="echo",
    operation="round trip",
    unit="µs",
    seconds=1e-6,
    ours=Series("kextlab", (3e-6, 1e-6, 2e-6)),
    peers=(Series("peer", (4e-6, 4e-6, 5e-6)),),
    ratios={"peer": 2.0},
    ratio_is="our rate over the peer's",
    method="3 turns",
    targets=(Target("at least the peer's rate", 2.0, least=1.0),),
    tables=(Table("memory", "Memory, bytes", ("recording", "bytes"), (("on", 1234.0),)),),
)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What an invocation that is refused says, with exit code 2 and nothing on stdout."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# ---------------------------------------------------------------- what each prints


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.slow, pytest.mark.skipif(bool(LACKING), reason=LACKING)]
        )
        if name in IN_A_BROWSER
        else name
        for name in BENCHMARKS
    ],
)
def test_it_prints_one_json_object_on_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--json", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    said: dict[str, Any] = json.loads(printed)
    assert said["name"] == name
    assert set(said["peers"]) | set(said["absent"]) == PEERS[name]
    assert set(said["ratio"]) == set(said["peers"])
    assert said["figure"] == said["ours"]["figure"] > 0
    for series in (said["ours"], *said["peers"].values()):
        assert 0 < series["minimum"] <= series["figure"]
        assert series["per_second"] > 0
        assert series["turns"] >= 1
    assert len(said["targets"]) == TARGETS[name]
    assert all(set(t) == {"text", "value", "least", "most", "met"} for t in said["targets"])
    assert set(said["machine"]) == set(WHERE)


def test_connect_tells_its_tenths_the_growth_of_its_peer_and_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["connect", "--json", "--quick"])
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [len(tables[name]) for name in ("tenths", "linear", "memory")] == [10, 5, 2]
    off, on = (row["bytes"] for row in tables["memory"])
    assert 0 < off < on


def test_for_a_person_it_prints_the_figures_and_a_verdict_for_each_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["echo", "--quick"]) == 0
    printed = capsys.readouterr().out
    for said in ("kextlab", *PEERS["echo"], "median µs", "minimum µs", "ratio: our rate"):
        assert said in printed
    assert len(re.findall(r"^[✓✗] (?:NOT )?met: at least", printed, re.M)) == TARGETS["echo"]


def test_all_runs_every_benchmark_in_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in BENCHMARKS:
        monkeypatch.setitem(BENCHMARKS, name, lambda quick, name=name: replace(RESULT, name=name))
    assert main(["--all", "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["name"] for line in printed] == list(BENCHMARKS)


# ---------------------------------------------------------------- what is refused


def test_an_unknown_name_is_answered_with_the_names_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert complaint(capsys, "ehco") == (
        "benchmarks: there is no benchmark 'ehco': there are echo, connect, trace, import, "
        "replay, rewind, scrub, live, check, mach_msg, shared_page, names\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("echo", "--all"),
        ("echo", "--write"),
        ("--all", "--write", "--quick"),
        ("echo", "--fast"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_run_is_refused_in_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capsys, *arguments).count("\n") == 1


def test_without_simpy_its_figures_are_absent_and_one_line_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simpy", None)
    assert main(["echo", "--json", "--quick"]) == 0
    said = capsys.readouterr()
    assert said.err == (
        'benchmarks: simpy is not installed, its figures are absent: pip install ".[bench]"\n'
    )
    result = json.loads(said.out)
    assert result["absent"] == {"SimPy stores": 'pip install ".[bench]"'}
    assert set(result["peers"]) == {"AF_UNIX socketpair"}
    assert result["targets"][0]["value"] is result["targets"][0]["met"] is None


@pytest.mark.parametrize("name", IN_A_BROWSER)
def test_without_chromium_one_line_says_what_is_needed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "program", lambda: None)
    assert main([name, "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"benchmarks: {name} needs chromium")
    assert said.err.count("\n") == 1


def test_without_chromium_the_other_benchmarks_run_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "program", lambda: None)
    for name in set(BENCHMARKS) - set(IN_A_BROWSER):
        monkeypatch.setitem(BENCHMARKS, name, lambda quick, name=name: replace(RESULT, name=name))
    assert main(["--all", "--json"]) == 0
    said = capsys.readouterr()
    names = [json.loads(line)["name"] for line in said.out.splitlines()]
    assert names == [name for name in BENCHMARKS if name not in IN_A_BROWSER]
    assert said.err.count("needs chromium") == 2


def test_the_tasks_of_a_trace_are_summed_from_one_input_to_the_next() -> None:
    """Another thread's and another page's tasks do not count; a task holds the input inside it."""

    def thread(pid: int, tid: int, name: str) -> dict[str, Any]:
        return {"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}

    def task(ts: int, dur: int, tid: int = 1, pid: int = 7) -> dict[str, Any]:
        return {
            "name": "RunTask", "ph": "X", "pid": pid, "tid": tid, "ts": ts, "dur": dur, "tdur": dur,
            "args": {},
        }  # fmt: skip

    def key(ts: int, kind: str = "keydown") -> dict[str, Any]:
        return {
            "name": "EventDispatch", "ph": "X", "pid": 7, "tid": 1, "ts": ts, "dur": 1,
            "args": {"data": {"type": kind}},
        }  # fmt: skip

    events = [
        thread(7, 1, "CrRendererMain"), thread(7, 2, "Compositor"), thread(8, 1, "CrRendererMain"),
        task(0, 900), task(1_000, 400), key(1_100), task(2_000, 100), key(2_050, "keyup"),
        task(2_500, 5_000, tid=2), task(2_600, 700, pid=8), task(5_000, 300), key(5_001),
        task(6_000, 200),
    ]  # fmt: skip
    tasks, sums = scrub.tasks_of(events, "keydown")
    assert [round(busy * 1e6) for busy, _ in tasks] == [900, 400, 100, 300, 200]
    assert [round(busy * 1e6) for busy, _ in sums] == [500, 500]


def test_an_echo_that_does_not_come_back_ends_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "through_unix", lambda trips: echo.pace(len, bytes, trips))
    assert main(["echo", "--quick"]) == 1
    assert capsys.readouterr().err.startswith("benchmarks: the echo of b'")


# ---------------------------------------------------------------- how it is measured


def test_subjects_take_turns_and_the_warm_up_does_not_count() -> None:
    order = ""

    def subject(name: str) -> float:
        nonlocal order
        order += name
        return float(len(order))

    series = interleave({"a": lambda: subject("a"), "b": lambda: subject("b")}, rounds=2)
    assert order == "ababab"
    assert series == [Series("a", (3.0, 5.0)), Series("b", (4.0, 6.0))]


def test_a_figure_is_the_median_of_the_turns() -> None:
    assert (RESULT.ours.median, RESULT.ours.minimum) == (2e-6, 1e-6)


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("", 1.0, least=1.0), True),
        (Target("", 0.9, least=1.0), False),
        (Target("", 1.8, most=1.8), True),
        (Target("", 1.9, most=1.8), False),
        (Target("", None, most=1.8), None),
    ],
    ids=["just enough", "too little", "just within", "too much", "not measured"],
)
def test_a_target_is_met_up_to_its_bound(target: Target, met: bool | None) -> None:
    assert target.met is met


# ---------------------------------------------------------------- the README


def test_the_readme_has_its_markers_and_a_row_for_every_benchmark() -> None:
    page = report.README.read_text()
    assert page.count(report.BEGIN) == page.count(report.END) == 1
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(BENCHMARKS)


def test_writing_replaces_what_stands_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write([RESULT], WHERE, page)
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    for row in (
        "Measured on 2026-01-02 with CPython 3.11.0",
        "| echo | at least the peer's rate | 2.00 | met |",
        "| kextlab | 2 | 1 | 500,000 |  |",
        "| peer | 4 | 4 | 250,000 | 2.00 |",
        "| on | 1,234 |",
    ):
        assert row in text
    report.write([RESULT], WHERE, page)
    assert page.read_text() == text


def test_writing_into_a_readme_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("nothing\n")
    with pytest.raises(BenchmarkError, match="the figures go between"):
        report.write([RESULT], WHERE, page)
    assert page.read_text() == "nothing\n"
