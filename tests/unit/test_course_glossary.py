"""The glossary: three languages, a page in step, and first uses that are links."""

from pathlib import Path

import pytest

from kextlab.course.glossary import entries, glossary, page, unlinked

ROOT = Path(__file__).parents[2]


def test_every_entry_has_three_languages_and_a_meaning() -> None:
    for entry in entries().values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in entry.zh), entry.key
        assert any("\u0400" <= letter <= "\u04ff" for letter in entry.ru), entry.key
        assert entry.forms
        assert entry.says.endswith(".")


def test_entries_are_sorted() -> None:
    assert list(entries()) == sorted(entries())


def test_the_page_is_in_step() -> None:
    written = (ROOT / "notebooks/glossary.md").read_text(encoding="utf-8")
    assert written == page(), "run: python tools/make_course.py"


@pytest.mark.parametrize(
    ("word", "key"), [("unit", "unit"), ("Units", "unit"), ("单元号", "unit"), ("ядро", "kernel")]
)
def test_a_word_is_found_in_any_language(word: str, key: str) -> None:
    assert glossary(word).key == key


def test_an_unknown_word_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        KeyError, match="'gadget' is not in the glossary: there are audit-token, boundary"
    ):
        glossary("gadget")


LINK = "[unit](glossary.md#unit)"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("A unit.", ["unit"]),
        (f"A {LINK}. A unit.", []),
        (f"A unit. A {LINK}.", ["unit"]),
        (f"## Units\n\n`unit` | A {LINK}", []),
        ("```c\nint unit;\n```", []),
        ("A [kernel control](glossary.md#kernel-control).", []),
        ("A [kernel control](glossary.md#kernel-control) in the kernel.", ["kernel"]),
        ("A [unit](glossary.md#kext).", ["unit"]),
        ("A [`unitinfo`](glossary.md#cookie).", []),
    ],
)
def test_the_first_use_of_a_word_must_be_a_link(text: str, missing: list[str]) -> None:
    assert unlinked(text) == missing
