"""Reading `kextlab-recording/1`: calls, and beside each what the real kernel code answered.

A recording is JSON Lines in UTF-8, plain or xz. Line 1 is a header, each other line a scenario:

    {"format": "kextlab-recording/1", "kind": "pf_system", "release": "xnu-7195.141.2",
     "scenarios": 1, "steps": 1}
    {"name": "...", ..., "steps": [{"op": "...", ..., "expect": {...}}]}

`read` checks the whole file before it returns, so that nothing is half-run. It checks the frame
(header, scenarios, steps), which both kinds share. What an operation takes and answers is the
replayer's knowledge; keys which the frame does not know are left alone. Steps count from 0.

`expand` and `abbreviate` are the notation of bytes inside a step.
"""

import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

FORMAT = "kextlab-recording/1"
KINDS = ("pf_system", "mach_ipc")
PATTERNS = ("*.jsonl", "*.jsonl.xz")

Step = dict[str, Any]  # parsed JSON; what it holds beside `op` and `expect` depends on `op`
Data = str | dict[str, Any]  # bytes inside a step: hex or one of the objects of `expand`

_TYPE_NAMES = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}

_XZ_MAGIC = b"\xfd7zXZ\0"
_FILE_FORM = "a recording is a file of JSON Lines in UTF-8, plain or xz"
_HEADER_FORM = (
    f'the first line is {{"format": "{FORMAT}", "kind": "{KINDS[0]}" or "{KINDS[1]}", '
    '"release": NAME, "scenarios": N, "steps": M}'
)
_SCENARIO_FORM = (
    'a scenario is {"name": NAME, ..., "steps": [{"op": NAME, ..., "expect": {...}}, ...]}'
)
_DATA_FORM = (
    'data is a hex string, {"len": n, "seq": first}, {"len": n, "fill": "ee"}, '
    '{"len": n, "parts": [data, ...]} or {"len": n, "hex": "..."}, and n is its length'
)

_CYCLE = bytes(range(251))  # one turn of {"len", "seq"}: byte i is (seq + i) % 251
_LONGEST_DATA = 0xFFFF_FFFF  # lengths are unsigned 32-bit
_LONGEST_HEX = 64  # bytes; a longer result is abbreviated
_SHORTEST_RUN = 8  # bytes; a shorter run of a mixed result is written in hex
_LONGEST_SHOWN = 60  # characters of a value in a message


class RecordingError(Exception):
    """A file is no recording. The text is one line: file, line, what was seen, what is allowed."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a recording. `scenarios` and `steps` count what follows it."""

    format: str
    kind: str
    release: str
    scenarios: int
    steps: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """Calls on one freshly booted kernel, in order. Scenario i (from 0) is line i + 2 of its file.

    Hand-written ones have `title` and `topic`; generated ones `seed` and, in pf_system, `profile`.
    """

    name: str
    title: str | None
    topic: str | None
    seed: int | None
    profile: str | None
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Recording:
    """One whole, checked file."""

    path: Path
    header: Header
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file, counted from 1 (0: the file as a whole), and the words to refuse it."""

    path: Path
    number: int
    text: str = ""

    def error(self, seen: str) -> RecordingError:
        if self.number == 0:
            return refuse(self.path, 0, f"{seen}; {_FILE_FORM}")
        form = _HEADER_FORM if self.number == 1 else _SCENARIO_FORM
        return refuse(self.path, self.number, f"{seen}; {form}")


def refuse(path: Path, line: int, why: str) -> RecordingError:
    """The error for a line (from 1; 0: the whole file) of the file at `path`."""
    name = str(path) if str(path).isprintable() else ascii(str(path))
    return RecordingError(f"{name}, line {line}: {why}" if line else f"{name}: {why}")


def find(paths: Iterable[str | Path]) -> list[Path]:
    """List the recordings that `paths` name: files as given, folders searched recursively, sorted.

    A file may have any name; in a folder `*.jsonl` and `*.jsonl.xz` count. Nothing is opened.

    RecordingError: a path does not exist, or a folder holds no recording.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise _Line(path, 0).error("no such file or folder")
        inside = [path]
        if path.is_dir():
            inside = sorted(p for name in PATTERNS for p in path.rglob(name) if p.is_file())
        if not inside:
            raise _Line(path, 0).error(f"no {' or '.join(PATTERNS)} in this folder")
        found += inside
    return found


def read(path: str | Path) -> Recording:
    """Read and check the whole file at `path`, plain or xz (its first bytes decide, not its name).

    RecordingError: not a readable file; truncated or damaged xz; not UTF-8; not JSON; a truncated
    last line; an empty file; a first line that is no header; another format; an unknown kind; a
    scenario without name or steps, or named as an earlier one; a step without op or expect; a
    field of the wrong type; header counts that differ from the content; no scenario at all.
    """
    path = Path(path)
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise _Line(path, 1).error("the file is empty")
    header = _header(first)
    scenarios = tuple(_scenario(line) for line in lines)
    steps = sum(len(scenario.steps) for scenario in scenarios)
    if (header.scenarios, header.steps) != (len(scenarios), steps):
        raise first.error(
            f"the header counts {header.scenarios} scenarios and {header.steps} steps, "
            f"the file holds {len(scenarios)} and {steps}: it is truncated or was edited"
        )
    if not scenarios:
        raise first.error("the file holds no scenario")
    return Recording(path, header, scenarios)


def _lines(path: Path) -> Iterator[_Line]:
    number = 0
    try:
        if not path.is_file():
            raise _Line(path, 0).error("not a file" if path.exists() else "no such file")
        with path.open("rb") as plain:
            head = plain.read(len(_XZ_MAGIC))
            plain.seek(0)
            packed = head != b"" and _XZ_MAGIC.startswith(head)  # even when cut inside the magic
            with lzma.open(plain) if packed else plain as stream:
                for number, line in enumerate(stream, 1):
                    yield _Line(path, number, str(line, "utf-8"))
    except UnicodeDecodeError as why:
        byte = f"byte {why.object[why.start]:#04x} at column {why.start + 1}"
        raise _Line(path, number).error(f"not UTF-8 ({byte})") from None
    except EOFError:
        raise _Line(path, number + 1).error("truncated, the xz data ends here") from None
    except lzma.LZMAError as why:
        raise _Line(path, number + 1).error(f"damaged xz data ({why})") from None
    except OSError as why:
        raise _Line(path, 0).error(f"cannot be read ({why.strerror})") from None


def _object(line: _Line) -> dict[str, Any]:
    text = line.text.removesuffix("\n")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as why:
        cut = text == line.text and text.startswith("{")  # no line end: the last line
        seen = "truncated, the last line is cut off" if cut else "not JSON"
        raise line.error(f"{seen} ({why.msg} at column {why.pos + 1})") from None
    except (ValueError, RecursionError) as why:
        raise line.error(f"not JSON ({why})") from None
    if not isinstance(value, dict):
        raise line.error(f"{in_json(value)} is not an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")  # though Python's parser would take it


def _header(line: _Line) -> Header:
    fields = _object(line)
    if "format" not in fields:
        raise line.error('not a header, it has no "format"')
    for key, known in (("format", (FORMAT,)), ("kind", KINDS)):
        if _field(line, "the header", fields, key, str) not in known:
            raise line.error(f"the {key} {in_json(fields[key])} is not known")
    release = _field(line, "the header", fields, "release", str)
    scenarios = _field(line, "the header", fields, "scenarios", int)
    steps = _field(line, "the header", fields, "steps", int)
    return Header(fields["format"], fields["kind"], release, scenarios, steps)


def _scenario(line: _Line) -> Scenario:
    fields = _object(line)
    name = _field(line, "the scenario", fields, "name", str)
    owner = f"scenario {in_json(name)}"
    steps = _field(line, owner, fields, "steps", list)
    for number, step in enumerate(steps):
        which = f"{owner}, step {number}"
        if not isinstance(step, dict):
            raise line.error(f"{which} is {in_json(step)}, not an object")
        _field(line, which, step, "op", str)
        _field(line, which, step, "expect", dict)
    optional = {"title": str, "topic": str, "seed": int, "profile": str}
    for key, kind in optional.items():
        if fields.get(key) is not None:
            _field(line, owner, fields, key, kind)
    return Scenario(name=name, steps=steps, **{key: fields.get(key) for key in optional})


def _field(line: _Line, owner: str, fields: dict[str, Any], key: str, kind: type) -> Any:
    """Return `fields[key]`, parsed JSON, after the check that it is there and a `kind`."""
    if key not in fields:
        raise line.error(f'{owner} has no "{key}"')
    value = fields[key]
    if isinstance(value, bool) or not isinstance(value, kind):  # to Python, a bool is an int
        raise line.error(f'{owner} has "{key}": {in_json(value)}, not {_TYPE_NAMES[kind]}')
    return value


def in_json(value: object) -> str:
    """Write `value` as JSON, on one line, in ASCII, cut to what a message can hold."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def expand(value: Data) -> bytes:
    """Return the bytes that `value`, the data of a step or of its answer, stands for.

    A hex string, or an object with the length in bytes `len` and one of `seq` (byte i is
    (seq + i) % 251), `fill` (one byte in hex, repeated), `parts` (data, joined) and `hex`.

    ValueError: none of these, hex that is not hex, or a length that is not `len`.
    """
    data = None
    try:
        match value:
            case str():
                return bytes.fromhex(value)
            case {"len": int(length)} if not 0 <= length <= _LONGEST_DATA:
                pass
            case {"len": int(length), "seq": int(first)}:
                start = first % len(_CYCLE)
                data = (_CYCLE * ((start + length) // len(_CYCLE) + 1))[start : start + length]
            case {"len": int(length), "fill": str(byte)}:
                data = bytes.fromhex(byte) * length
            case {"len": int(length), "parts": list(parts)}:
                data = b"".join(map(expand, parts))
            case {"len": int(length), "hex": str(text)}:
                data = bytes.fromhex(text)
    except ValueError:
        pass  # hex that is not hex, or a wrong part: named below, as a whole
    if data is None or len(data) != length:
        raise ValueError(f"{in_json(value)} is not data; {_DATA_FORM}")
    return data


def abbreviate(data: bytes) -> Data:
    """Write `data` as the recordings do in results, so that what is printed is found in them.

    Up to 64 bytes in hex; longer: as `fill` when all bytes are the same, else as `parts`, where
    every ascending run of 8 bytes or more is a `seq` and what lies between is hex. One run alone
    stands without `parts`; data without a run is one `hex` (the corpora have no such result).
    """
    length, turn = len(data), len(_CYCLE)
    if length <= _LONGEST_HEX:
        return data.hex()
    if data == data[:1] * length:
        return {"len": length, "fill": data[:1].hex()}
    parts: list[Data] = []
    written = start = 0  # up to where `parts` goes; where the run begins that is looked at
    for end in range(1, length + 1):
        if end < length and data[start] < turn and data[end] == (data[end - 1] + 1) % turn:
            continue
        if end - start >= _SHORTEST_RUN:
            if written < start:
                parts.append(data[written:start].hex())
            parts.append({"len": end - start, "seq": data[start]})
            written = end
        start = end
    if written == 0:
        return {"len": length, "hex": data.hex()}
    if written < length:
        parts.append(data[written:].hex())
    return parts[0] if len(parts) == 1 else {"len": length, "parts": parts}
