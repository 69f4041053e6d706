"""InfoPlist.strings: what a bundle calls itself in a language, ``"key" = "value";`` line by line.

The format of Apple's strings files: quoted words, or bare ones of letters and digits, comments as
in C, backslashes as in C and ``\\U`` with four hexadecimal digits; UTF-8, or UTF-16 with a byte
order mark. A property list of strings, XML or binary, is taken as well, as on a Mac.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<space>(?:[ \t\r\n\u2028\u2029]+|//[^\r\n]*|/\*.*?\*/)+)"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    r"|(?P<bare>[A-Za-z0-9_$:./-]+)"
    r"|(?P<mark>[=;])",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:[Uu]([0-9A-Fa-f]{4})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def read_strings(data: bytes) -> dict[str, str]:
    """The strings of a file.

    Raises:
        ValueError: it is none; the message is one line, with the number of the line where it ends
            to make sense.
    """
    if data.startswith((b"bplist", b"<?xml")):
        return _from_plist(data)
    text = _decoded(data)
    tokens = list(_tokens(text))
    strings: dict[str, str] = {}
    place = 0
    while place < len(tokens):
        kinds = "".join(kind for kind, _, _ in tokens[place : place + 4])
        words = [word for _, word, _ in tokens[place : place + 4]]
        if kinds == "w=w;":
            strings[words[0]] = words[2]
            place += 4
        elif kinds.startswith("w;"):
            strings[words[0]] = words[0]  # a key alone stands for itself
            place += 2
        else:
            raise ValueError(f'line {tokens[place][2]}: expected "key" = "value";')
    return strings


def _from_plist(data: bytes) -> dict[str, str]:
    try:
        value = plistlib.loads(data)
    except Exception as error:  # plistlib raises a dozen kinds
        raise ValueError(f"no property list ({type(error).__name__})") from None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("a property list of something else than strings")
    return value


def _decoded(data: bytes) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not {error.encoding}") from None


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Words (``w``) and marks of the text, each with its line."""
    tokens = []
    place, line = 0, 1
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"line {line}: {text[place]!r} begins nothing that ends")
        if found["quoted"] is not None:
            tokens.append(("w", _ESCAPE.sub(_unescaped, found["quoted"]), line))
        elif found["bare"] is not None:
            tokens.append(("w", found["bare"], line))
        elif found["mark"] is not None:
            tokens.append((found["mark"], found["mark"], line))
        line += found[0].count("\n")
        place = found.end()
    return tokens


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is not None:
        return chr(int(found[1], 16))
    if found[2] is not None:
        return chr(int(found[2], 8))
    return _LETTERS.get(found[3], found[3])


def write_strings(strings: Mapping[str, str]) -> bytes:
    """A strings file, in UTF-8."""
    lines = [f"{_quoted(key)} = {_quoted(value)};\n" for key, value in strings.items()]
    return "".join(lines).encode("utf-8", "replace")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for letter, character in _LETTERS.items():
        escaped = escaped.replace(character, "\\" + letter)
    return f'"{escaped}"'
