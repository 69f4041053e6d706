"""Versions of kexts: ``1.0.0d1`` as a number that compares.

Models ``libkern/OSKextVersion.c`` (``OSKextParseVersionString``, ``OSKextVersionGetString``). A
version is up to four, two and two digits and perhaps a stage with its level: d (development), a
(alpha), b (beta), f or fc (candidate; they are the same), 0 to 255, a candidate from 1. Without a
stage it is a release, the latest: 1.0.0d1 < 1.0.0a1 < 1.0.0b1 < 1.0.0f1 < 1.0.0.

What surprises: numbers may be missing after a dot (``1.`` is 1.0); what stands behind a space is
not looked at; a dot may follow a revision of two digits (``1.2.34.``), though not one of one digit.
"""

from __future__ import annotations

import re
from typing import Final

VERS_MAJOR_MULT: Final = 100_000_000
VERS_MINOR_MULT: Final = 1_000_000
VERS_REVISION_MULT: Final = 10_000
VERS_STAGE_MULT: Final = 1_000
VERS_MAJOR_MAX: Final = 9_999
VERS_STAGE_LEVEL_MAX: Final = 255

RELEASE: Final = 9
_STAGES: Final = {"d": 1, "a": 3, "b": 5, "f": 7, "fc": 7}
_LETTERS: Final = {1: "d", 3: "a", 5: "b", 7: "f", RELEASE: ""}

_VERSION: Final = re.compile(
    r"([0-9]{1,4})(?:\.([0-9]{0,2})(?:\.([0-9]{0,2}|[0-9]{2}\.))?)?"
    r"(?:(d|a|b|fc|f)([0-9]{1,3}))?(?=[ \t\r\n\0]|\Z)"
)

ALLOWED: Final = "a version is up to 4, 2 and 2 digits and perhaps d, a, b or f with a level to 255"


def parse_version(text: str) -> int:
    """``OSKextParseVersionString``: the number of a version, or -1 if it is none."""
    found = _VERSION.match(text)
    if found is None:
        return -1
    major, minor, revision, letter, digits = found.groups()
    stage = RELEASE if letter is None else _STAGES[letter]
    level = int(digits or 0)
    if level > VERS_STAGE_LEVEL_MAX or (stage == _STAGES["f"] and level == 0):
        return -1
    return (
        int(major) * VERS_MAJOR_MULT
        + int(minor or 0) * VERS_MINOR_MULT
        + int((revision or "").rstrip(".") or 0) * VERS_REVISION_MULT
        + stage * VERS_STAGE_MULT
        + level
    )


def version_string(version: int) -> str:
    """``OSKextVersionGetString``: the shortest way to write a version, but always with its minor
    number; ``(invalid)`` and ``(missing)`` for what is none."""
    if version == 0:
        return "(missing)"
    major, rest = divmod(version, VERS_MAJOR_MULT)
    minor, rest = divmod(rest, VERS_MINOR_MULT)
    revision, rest = divmod(rest, VERS_REVISION_MULT)
    stage, level = divmod(rest, VERS_STAGE_MULT)
    if version < 0 or major > VERS_MAJOR_MAX or level > VERS_STAGE_LEVEL_MAX:
        return "(invalid)"
    if stage not in _LETTERS:
        return "(invalid)"
    text = f"{major}.{minor}"
    if revision:
        text += f".{revision}"
    return text if stage == RELEASE else f"{text}{_LETTERS[stage]}{level}"
