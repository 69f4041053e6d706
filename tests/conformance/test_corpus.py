"""The carried corpora: whole, in step with their source, and made by one deterministic command."""

import importlib.util
import json
import lzma
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kextlab.scenario.recording import Recording, abbreviate, expand, find, read
from tests import recordings

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/conformance/corpus"
TOOL = ROOT / "tools/carry_corpus.py"
SHARED = ROOT.parent / "shared/conformance"
RELEASES = {"xnu-7195.141.2": 48_678, "xnu-11417.101.15": 48_677}  # and their steps
MACH = "mach_ipc-xnu-7195.141.2"
FOLDERS = {"xnu-7195.141.2": "xnu-7195", "xnu-11417.101.15": "xnu-11417", MACH: "mach"}

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"{SHARED}, which the corpora are carried from, is not here"
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("carry_corpus", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=RELEASES)
def corpus(request: pytest.FixtureRequest) -> Recording:
    return recordings.corpus(request.param)


def data_values(value: object) -> Iterator[Any]:
    """Every data value inside a parsed answer."""
    if isinstance(value, list):
        for item in value:
            yield from data_values(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "data" and item is not None:
                yield item
            elif key == "datas":
                yield from item
            else:
                yield from data_values(item)


# ---------------------------------------------------------------- what is carried


def test_the_folder_holds_one_file_a_release_and_kind() -> None:
    assert find([CORPUS]) == sorted(CORPUS / f"{name}.jsonl.xz" for name in FOLDERS)


def test_mach_ipc_is_carried_whole() -> None:
    mach = recordings.corpus(MACH)
    assert (mach.header.kind, mach.header.release) == ("mach_ipc", "xnu-7195.141.2")
    assert (mach.header.scenarios, mach.header.steps) == (361, 13_619)
    assert [s.topic for s in mach.scenarios] == ["mach-ipc"] * 61 + [None] * 300


def test_a_corpus_is_named_as_its_release_and_counts_what_it_holds(corpus: Recording) -> None:
    header = corpus.header
    assert corpus.path.name == f"{header.release}.jsonl.xz"
    assert header.kind == "pf_system"
    assert (header.scenarios, header.steps) == (1_465, RELEASES[header.release])
    assert len(corpus.scenarios) == header.scenarios
    assert sum(len(scenario.steps) for scenario in corpus.scenarios) == header.steps


def test_hand_written_scenarios_by_topic_come_before_the_generated(corpus: Recording) -> None:
    by_hand, generated = corpus.scenarios[:265], corpus.scenarios[265:]
    topics = [scenario.topic or "" for scenario in by_hand]
    assert topics == sorted(topics)
    assert all(scenario.topic and scenario.title and not scenario.profile for scenario in by_hand)
    assert all(s.topic is None and s.profile and s.seed is not None for s in generated)


def test_no_scenario_name_stands_twice_in_a_corpus(corpus: Recording) -> None:
    assert len({scenario.name for scenario in corpus.scenarios}) == len(corpus.scenarios)


def test_every_scenario_has_steps(corpus: Recording) -> None:
    assert all(scenario.steps for scenario in corpus.scenarios)


def test_every_recorded_answer_is_in_the_canonical_notation(corpus: Recording) -> None:
    values = {
        json.dumps(value)
        for scenario in corpus.scenarios
        for step in scenario.steps
        for value in data_values(step["expect"])
    }
    assert len(values) > 1_000
    other = [text for text in values if abbreviate(expand(json.loads(text))) != json.loads(text)]
    assert other == []


def test_the_readme_names_each_file_with_its_counts() -> None:
    page = (CORPUS / "README.md").read_text()
    for release, steps in RELEASES.items():
        row = f"| `{release}.jsonl.xz` | {release} | 265 | 1,200 | 1,465 | {steps:,} |"
        assert row in page


@needs_shared
@pytest.mark.parametrize(("name", "folder"), FOLDERS.items())
def test_a_corpus_holds_the_lines_of_its_source_and_no_others(
    tool: ModuleType, folder: str, name: str
) -> None:
    carried = lzma.decompress((CORPUS / f"{name}.jsonl.xz").read_bytes()).decode()
    # Lines, not bytes: liblzma may pack the same lines otherwise in another version.
    assert carried.split("\n")[:-1] == tool.merge(SHARED / folder).lines


@needs_shared
def test_the_readme_is_what_the_tool_writes(tool: ModuleType) -> None:
    corpora = [tool.merge(SHARED / folder) for folder in ("xnu-11417", "xnu-7195", "mach")]
    assert (CORPUS / "README.md").read_text() == tool.readme(corpora)


# ---------------------------------------------------------------- the tool that carries


def recording(release: str, *scenarios: dict[str, Any]) -> bytes:
    steps = sum(len(scenario["steps"]) for scenario in scenarios)
    counts = {"scenarios": len(scenarios), "steps": steps}
    header = {"format": "kextlab-recording/1", "kind": "pf_system", "release": release, **counts}
    return "".join(json.dumps(line) + "\n" for line in [header, *scenarios]).encode()


def scenario(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more, "steps": [{"op": "stats", "expect": {}}]}


def test_mach_recordings_are_carried_under_the_name_of_their_kind(source: Path) -> None:
    (source / "mach/scenarios").mkdir(parents=True)
    mach = recording("xnu-1.2", scenario("m", topic="mach-ipc")).replace(b"pf_system", b"mach_ipc")
    (source / "mach/scenarios/all.jsonl").write_bytes(mach)
    (source / "mach/random.jsonl.xz").write_bytes(lzma.compress(mach.replace(b'"m"', b'"r"')))
    target = source.parent / "target"
    assert run(source, target).returncode == 0
    files = sorted(path.name for path in target.iterdir())
    assert files == ["README.md", "mach_ipc-xnu-1.2.jsonl.xz", "xnu-1.2.jsonl.xz"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small conformance folder of one release, which the tool must leave as it is."""
    folder = tmp_path / "source/xnu-1"
    (folder / "scenarios").mkdir(parents=True)
    (folder / "scenarios/b.jsonl").write_bytes(recording("xnu-1.2", scenario("b", topic="b")))
    (folder / "scenarios/a.jsonl").write_bytes(recording("xnu-1.2", scenario("a", topic="a")))
    generated = recording("xnu-1.2", scenario("r0", seed=1, profile="p"), scenario("r1", seed=2))
    (folder / "random.jsonl.xz").write_bytes(lzma.compress(generated))
    return tmp_path / "source"


def run(source: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(TOOL), str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_tool_merges_topic_by_topic_and_then_the_generated(source: Path) -> None:
    target = source.parent / "target"
    done = run(source, target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("xnu-1.2.jsonl.xz: 4 scenarios, 4 steps, ")
    carried = read(target / "xnu-1.2.jsonl.xz")
    assert [s.name for s in carried.scenarios] == ["a", "b", "r0", "r1"]
    row = "| `xnu-1.2.jsonl.xz` | xnu-1.2 | 2 | 2 | 4 | 4 |"
    assert row in (target / "README.md").read_text()


def test_the_tool_writes_the_same_bytes_in_every_process(source: Path) -> None:
    first, second = source.parent / "first", source.parent / "second"
    run(source, first)
    run(source, second)
    files = sorted(path.name for path in first.iterdir())
    assert files == ["README.md", "xnu-1.2.jsonl.xz"]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "c.jsonl",
            recording("xnu-1.3", scenario("c")),
            "not a pf_system of xnu-1.2 as the others",
        ),
        ("c.jsonl", recording("xnu-1.2", scenario("a")), "a second scenario 'a'"),
        ("c.jsonl", b"{", "c.jsonl, line 1: truncated"),
    ],
)
def test_the_tool_writes_nothing_from_an_unsound_source(
    source: Path, name: str, content: bytes, complaint: str
) -> None:
    (source / "xnu-1/scenarios" / name).write_bytes(content)
    target = source.parent / "target"
    done = run(source, target)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not target.exists()


def test_the_tool_refuses_a_folder_without_releases(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "target")
    assert done.returncode == 2
    assert done.stderr == f"carry_corpus: {tmp_path}: no folder xnu-* in it\n"
