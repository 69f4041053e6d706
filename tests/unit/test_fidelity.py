"""docs/fidelity.md is in step with the recordings and with the code."""

import ast
import fnmatch
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from kextlab.abi import constants
from kextlab.bsd.release import RELEASES, Release
from kextlab.bsd.sockopt import _UNMODELLED
from kextlab.kernel import explanations
from kextlab.kernel.explain import causes_by_errno, causes_by_text
from kextlab.scenario.recording import Scenario
from kextlab.scenario.replay import UNCOMPARED_WAKEUPS
from tests.recordings import corpus

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/fidelity.md").read_text()
MACH = "mach_ipc-xnu-7195.141.2"
MODELLED = [
    path
    for folder in ("bsd", "iokit", "kernel", "osfmk", "sched", "scenario", "userland")
    for path in sorted((ROOT / "kextlab" / folder).glob("*.py"))
]


@cache
def scenarios(release: str) -> tuple[Scenario, ...]:
    return corpus(release).scenarios


def section(title: str) -> str:
    """The text below a heading, up to the next."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def number(text: str) -> int:
    return int(text.replace(",", ""))


# ---------------------------------------------------------------- the counts


def test_the_page_counts_the_steps_of_both_releases() -> None:
    expected = []
    for name, release in RELEASES.items():
        hand = sum(len(s.steps) for s in scenarios(name) if s.topic)
        every = sum(len(s.steps) for s in scenarios(name))
        steps = [f"{count:,}" for count in (hand, every - hand, every)]
        expected.append([name, release.macos.removeprefix("macOS "), *steps])
    assert table("The recordings") == expected


def test_the_page_counts_the_scenarios_of_each_release() -> None:
    stated = re.search(r"(\d+) scenarios written by hand and ([\d,]+)\s", section("The recordings"))
    assert stated is not None
    for name in RELEASES:
        hand = sum(1 for s in scenarios(name) if s.topic)
        assert (hand, len(scenarios(name)) - hand) == (int(stated[1]), number(stated[2]))


def test_the_page_counts_mach_ipc() -> None:
    hand = [len(s.steps) for s in scenarios(MACH) if s.topic]
    rest = [len(s.steps) for s in scenarios(MACH) if not s.topic]
    words = " ".join(section("Mach IPC").split())
    assert f"{len(hand)} scenarios written by hand ({sum(hand)} steps)" in words
    assert f"{len(rest)} generated ones ({sum(rest):,} steps)" in words


@pytest.mark.parametrize(
    ("title", "group"),
    [
        ("Topics of the scenarios written by hand", lambda scenario: scenario.topic),
        ("Profiles of the generated scenarios", lambda scenario: scenario.profile),
    ],
)
def test_the_page_counts_every_group_of_scenarios(
    title: str, group: Callable[[Scenario], str | None]
) -> None:
    counts = []
    for name in RELEASES:
        steps: Counter[str] = Counter()
        for scenario in scenarios(name):
            if key := group(scenario):
                steps[key] += len(scenario.steps)
        counts.append(steps)
    held = Counter(filter(None, map(group, scenarios(next(iter(RELEASES))))))
    stated = {name: list(map(number, figures)) for name, _, *figures in table(title)}
    assert stated == {key: [held[key], *(steps[key] for steps in counts)] for key in held}


def test_the_page_counts_the_steps_of_every_operation() -> None:
    title = "Steps of each operation"
    stated = {op.strip("`"): list(map(number, figures)) for op, *figures in table(title)}
    counts = [Counter(step["op"] for s in scenarios(n) for step in s.steps) for n in RELEASES]
    assert stated == {op: [count[op] for count in counts] for op in counts[0] | counts[1]}


# ---------------------------------------------------------------- the names


def test_every_recording_the_page_names_exists() -> None:
    names = {scenario.name for name in (*RELEASES, MACH) for scenario in scenarios(name)}
    named = re.findall(r"\[([^\]\n]+)\](?!\()", PAGE)
    assert len(named) >= 9
    assert [name for name in named if not fnmatch.filter(names, name)] == []


def test_the_recordings_named_for_a_difference_differ() -> None:
    first, second = ({s.name: s.steps for s in scenarios(name)} for name in RELEASES)
    rows = table("The two releases")
    named = [name for row in rows for name in re.findall(r"\[([^\]]+)\]", row[-1])]
    assert len(named) == 4
    assert all(first[name] != second[name] for name in named)


def test_the_page_names_each_difference_between_the_releases_by_its_field() -> None:
    rules = [field.name for field in fields(Release) if field.type in (bool, "bool")]
    assert [row[0].strip("`") for row in table("The two releases")] == rules


def test_the_page_lists_exactly_the_refusals_without_a_recording() -> None:
    stated = {
        (errno, call.strip("`"), when)
        for errno, calls, when in table("Refusals no recording shows")
        for call in calls.split(", ")
    }
    assert stated == {
        (errno, cause.call, cause.when)
        for errno, causes in causes_by_errno().items()
        for cause in causes
        if cause.recording == explanations.DOCUMENTED
    }


def test_what_is_ported_is_mach_vms_as_the_page_says() -> None:
    assert "Of what `explain` tells, codes of Mach virtual memory rest on that." in PAGE
    causes = [cause for found in causes_by_errno().values() for cause in found]
    causes += [cause for rows in causes_by_text().values() for _, cause in rows]
    ported = {cause.call for cause in causes if cause.recording == explanations.PORTED}
    assert ported
    assert all(call.startswith(("mach_vm_", "mach_make_memory_entry_64")) for call in ported)


def test_the_page_names_the_operations_whose_wakeups_are_not_compared() -> None:
    assert set(re.findall(r"`(\w+)`", section("Wakeups that are not compared"))) == set(
        UNCOMPARED_WAKEUPS
    )


# ---------------------------------------------------------------- what is not modelled


REFUSED = "Refused with NotImplementedError"


def message(argument: ast.expr) -> str:
    """A message as the page writes it: what is filled in is an ellipsis."""
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(message, values))
        case ast.BinOp(left=left, right=right):
            return message(left) + message(right)
    return "…"


def refusals(path: Path) -> list[str]:
    """What the NotImplementedErrors of a module say; the function's name if they say nothing."""
    found = []
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                match node:
                    case ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"), args=[a])):
                        found.append(message(a))
                    case ast.Raise(exc=ast.Name(id="NotImplementedError")):
                        found.append(function.name)
    return found


def test_every_refusal_of_what_is_not_modelled_is_on_the_page() -> None:
    rows = {(where.strip("`"), text) for where, text in table(REFUSED)}
    missing = [
        f"| `{path.relative_to(ROOT)}` | `{text}` |"
        for path in MODELLED
        for text in refusals(path)
        if not any(where == str(path.relative_to(ROOT)) and text in said for where, said in rows)
    ]
    assert missing == []


def test_every_refusal_the_page_lists_is_in_the_code() -> None:
    for where, text in table(REFUSED):
        (said,) = re.findall(r"`([^`]+)`", text)
        assert said in refusals(ROOT / where.strip("`"))


def test_the_page_lists_every_option_that_is_refused() -> None:
    names = {
        name
        for name in dir(constants)
        if name.startswith("SO_") and getattr(constants, name) in _UNMODELLED
    }
    assert len(names) == len(_UNMODELLED)
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_every_module_that_leaves_something_out_is_on_the_page() -> None:
    listed = {where.strip("`") for where, _ in table("Left out")}
    missing = [
        f"| `{path.relative_to(ROOT)}` | ... |"
        for path in MODELLED
        if re.search(
            r"Left out|Leaves out|Not modelled",
            ast.get_docstring(ast.parse(path.read_text())) or "",
        )
        and str(path.relative_to(ROOT)) not in listed
    ]
    assert missing == []


def test_every_file_the_page_names_exists() -> None:
    for name in re.findall(r"`((?:kextlab|tests|docs)/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name
