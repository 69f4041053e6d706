"""The glossary: the course's words in English, Chinese and Russian, the languages of its sources.

``glossary.toml`` is the source; ``notebooks/glossary.md`` is made of it, and a notebook links there
at the first use of a word: ``[unit](glossary.md#unit)``.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "glossary.toml"
NOT_PROSE: Final = re.compile(
    r"```.*?```|^#.*?$|^\|.*?$|<!--.*?-->|<details>.*?</details>|<small>.*?</small>|(?<!\[)`[^`\n]*`(?!\])",
    re.S | re.M,
)
"""What a learner does not read as running text: code, headings, tables, footnotes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One word: its key and anchor, its name in three languages, what it means."""

    key: str
    en: str
    zh: str
    ru: str
    forms: tuple[str, ...]
    says: str

    def __str__(self) -> str:
        return f"{self.en} · {self.zh} · {self.ru}: {self.says}"

    def _repr_markdown_(self) -> str:
        return f"**{self.en}** · {self.zh} · {self.ru}\n\n{self.says}"


@cache
def entries() -> dict[str, Entry]:
    """Every entry, by key, sorted."""
    read = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        key: Entry(key=key, **{**one, "forms": tuple(one["forms"])}) for key, one in read.items()
    }


def glossary(word: str) -> Entry:
    """The entry of a word, in any of the languages or spellings.

    Raises:
        KeyError: it is not in the glossary.
    """
    for entry in entries().values():
        names = (entry.key, entry.en, entry.zh, entry.ru, *entry.forms)
        if word.casefold() in (name.casefold() for name in names):
            return entry
    raise KeyError(f"{word!r} is not in the glossary: there are {', '.join(entries())}")


def page() -> str:
    """The glossary as Markdown: a table with an anchor for each entry."""
    rows = [
        f'| <a id="{one.key}"></a>{one.en} | {one.zh} | {one.ru} | {one.says} |'
        for one in entries().values()
    ]
    head = [
        "# Glossary",
        "",
        "Made from `kextlab/course/glossary.toml` by `tools/make_course.py`.",
        "",
        "| English | 中文 | Русский | what it means |",
        "|:--|:--|:--|:--|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def unlinked(prose: str) -> list[str]:
    """The keys whose first use in the running text of a notebook is no link to their entry.

    Args:
        prose: the notebook's markdown cells, joined.
    """
    text = NOT_PROSE.sub(" ", prose)
    found = []
    for entry in entries().values():
        words = "|".join(sorted(map(re.escape, entry.forms), key=len, reverse=True))
        longer = "|".join(
            re.escape(form)
            for other in entries().values()
            for form in other.forms
            if other is not entry and re.search(rf"\b(?:{words})\b", form)
        )
        skip = r"\]\([^)]*\)" + (rf"|\b(?:{longer})\b" if longer else "")
        used = rf"(?P<skip>{skip})|\b(?:{words})\b(?P<after>`?\]\([^)]*\))?"
        for match in re.finditer(used, text, re.I):
            if match["skip"]:  # the address of another link, or a longer word of the glossary
                continue
            if (match["after"] or "").lstrip("`") != f"](glossary.md#{entry.key})":
                found.append(entry.key)
            break
    return found
