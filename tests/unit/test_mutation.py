"""How mutants are known and explained; running them is `make mutation`."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "mutation_changes.py"))
EQUIVALENT = ROOT / "tests" / "mutation" / "equivalent.toml"

# What mutmut writes, and from line 3 on the function in its place.
MODULE = """class Units:
    @_mutmut_mutated(mutants)
    def find(self, n):
        if n and (
            n > 1
        ):
            return 0
        return 0

    def xǁUnitsǁfind__mutmut_orig(self, n):
        if n and (
            n > 1
        ):
            return 0
        return 0
"""


def mutant(number: int, old: str, new: str, count: int = 1) -> str:
    """The function again with its count-th old line changed."""
    lines = MODULE.split("\n")[2:8]
    places = [at for at, line in enumerate(lines) if line.strip() == old]
    lines[places[count - 1]] = lines[places[count - 1]].replace(old, new)
    return "\n".join(lines).replace("find", f"xǁUnitsǁfind__mutmut_{number}") + "\n"


def found(*written: str) -> list[Any]:
    return list(TOOL["mutants_in"]("kextlab/bsd/units.py", MODULE + "\n".join(written)))


def change(removed: str, added: str, nth: int = 1) -> Any:
    return TOOL["Change"]("units.Units.find", removed, added, nth)


def test_a_mutant_is_known_by_its_function_and_its_lines() -> None:
    (only,) = found(mutant(7, "n > 1", "n > 2"))
    assert only.change == change("n > 1", "n > 2")
    assert only.name == "xǁUnitsǁfind__mutmut_7"
    assert "-            n > 1\n+            n > 2" in only.diff


def test_mutants_of_the_same_lines_are_counted() -> None:
    changes = [m.change for m in found(*(mutant(n, "return 0", "return 1", n) for n in (1, 2)))]
    assert changes == [change("return 0", "return 1", n) for n in (1, 2)]


@pytest.mark.parametrize(
    ("old", "new", "count", "lines"),
    [
        ("n > 1", "n < 1", 1, range(4, 7)),  # the head of the if
        ("return 0", "return 1", 1, range(7, 8)),
        ("return 0", "return 1", 2, range(8, 9)),
        ("def find(self, n):", "def find(self, n=None):", 1, range(3, 9)),  # the whole function
    ],
)
def test_a_test_must_reach_the_statement_that_changed(
    old: str, new: str, count: int, lines: range
) -> None:
    assert [m.lines for m in found(mutant(1, old, new, count))] == [lines]


ENTRY = """
[[mutant]]
function = "units.Units.find"
removed = '''
    n > 1
'''
added = "n > 2"
reason = "Nobody\\nasks."
"""


def test_an_explanation_fits_its_mutant_whatever_the_indentation() -> None:
    assert TOOL["explanations"](ENTRY) == {change("n > 1", "n > 2"): "Nobody asks."}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ENTRY.replace("Nobody\\nasks.", " "), "without reason: units.Units.find"),
        (ENTRY + ENTRY, "a second time: units.Units.find"),
    ],
)
def test_an_explanation_gives_one_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TOOL["explanations"](text)


def test_survivors_without_explanation_are_told() -> None:
    one, two, three = (change("a", added) for added in "bcd")
    verdicts = {one: "survived", two: "survived", three: "killed"}
    assert TOOL["unexplained"](verdicts, [one]) == [two]


def test_explanations_without_survivor_are_stale() -> None:
    one, two, gone, unasked = (change("a", added) for added in "bcde")
    verdicts = {one: "survived", two: "killed"}
    assert TOOL["stale"](verdicts, [one, two, gone, unasked], [one, two, unasked]) == [
        f"explained, but there is no such mutant: {gone}",
        f"explained, but killed: {two}",
    ]


def test_the_explanations_of_this_repository_can_be_read() -> None:
    reasons = TOOL["explanations"](EQUIVALENT.read_text(encoding="utf-8"))
    assert all(reasons.values())
