"""The C of a notebook, checked by a compiler: ``cc -fsyntax-only`` on every listing.

A listing is a fence ```` ```c ```` in a markdown cell. Listings of one notebook follow each other
as in one file: what a listing declares, later ones may use. A listing of statements is checked as
the body of a function. What a listing needs and a reader does not is put in a comment before it:

    <!-- c: errno_t echo_connect(kern_ctl_ref, struct sockaddr_ctl *, void **); -->

The headers are the project's own (``include/``): names, numbers and prototypes, which are facts,
in our words and without anything the course does not use.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INCLUDE: Final = Path(__file__).parent / "include"
FENCE: Final = re.compile(r"^```c\n(.*?)^```$|<!-- c:\s(.*?)-->", re.S | re.M)
FLAGS: Final = ("-fsyntax-only", "-std=gnu11", "-nostdinc", "-Wall", "-Werror", "-Wno-unused")


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing: its C, and whether it is statements, checked as the body of a function."""

    source: str
    statements: bool


def compiler() -> str | None:
    """The C compiler of this machine, None if it has none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def listings(prose: str) -> list[Listing]:
    """The listings of a notebook's markdown, in order, hidden declarations among them.

    Statements are told from declarations by their first column: a listing that has a line that
    begins with ``if``, ``for``, ``while``, ``return`` or a call is statements.
    """
    statement = re.compile(r"^(?:if|for|while|return|switch|\w+)\s*\([^;{]*\)\s*(?:;|$)", re.M)
    keyword = re.compile(r"^(?:if|for|while|switch)\s*\(|^return\b", re.M)
    found = []
    for match in FENCE.finditer(prose):
        shown, hidden = match.groups()
        source = shown if shown is not None else hidden + "\n"
        calls = shown is not None and (keyword.search(source) or _calls(statement, source))
        found.append(Listing(source, bool(calls)))
    return found


def _calls(statement: re.Pattern[str], source: str) -> bool:
    """Whether a line is a call with its semicolon; ``name(...)`` before a brace is a definition."""
    return any(match[0].rstrip().endswith(";") for match in statement.finditer(source))


def checked(found: list[Listing], cc: str) -> str:
    """What the compiler says to these listings, "" if nothing.

    Args:
        found: of one notebook, in order.
        cc: the compiler.
    """
    parts = ["#include <kextlab.h>\n"]
    for at, listing in enumerate(found, 1):
        parts.append(f'#line 1 "listing {at}"\n')
        if listing.statements:
            parts.append(f"static void listing_{at}(void) {{\n#line 1\n{listing.source}}}\n")
        else:
            parts.append(listing.source)
    command = [cc, *FLAGS, "-I", str(INCLUDE), "-x", "c", "-"]
    done = subprocess.run(command, input="".join(parts), capture_output=True, text=True)
    return done.stderr if done.returncode else ""
