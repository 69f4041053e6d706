"""Scenario files, ``kextlab-scenario/1``: writing and reading.

One JSON object, laid out so that a call, a choice, a fault is one line; docs/scenario-format.md
describes it. Reading checks everything before anything runs. Code is named by module and name;
reading imports nothing but kextlab's own modules, so that opening a file runs no code that is not
there already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from kextlab.scenario.calls import Recorded
from kextlab.scenario.calls_json import call_from_json, call_to_json
from kextlab.scenario.expected import DIGITS, Expected
from kextlab.scenario.faults import fault_from_json, fault_to_json
from kextlab.scenario.recording import FORMAT as RECORDING
from kextlab.scenario.recording import RecordingError, in_json
from kextlab.scenario.recording import read as read_recording
from kextlab.scenario.values import Json, ScenarioError, from_json, to_json
from kextlab.trace.log import Trace

if TYPE_CHECKING:
    from kextlab.scenario.scenario import Scenario

FORMAT: Final = "kextlab-scenario/1"
KEPT: Final = 2_000
"""Steps up to which a file holds the steps themselves, unless told otherwise."""
A_LINE: Final = 6
"""Hashes on a line."""

T = TypeVar("T")


# -- writing -----------------------------------------------------------------------------------


def write(scenario: Scenario, path: str | PathLike[str], trace: bool | None) -> None:
    """Write a scenario; see ``Scenario.save``."""
    expected = scenario.expected
    if expected is None:
        run = scenario.run()
        scenario, expected = run.scenario, Expected.of(run.trace)
    if trace and expected.trace is None:
        raise ScenarioError("the steps of this scenario were not kept; run it and save the run")
    kept = expected.steps <= KEPT if trace is None else trace
    Path(path).write_text(text(scenario, expected, kept), encoding="utf-8")


def text(scenario: Scenario, expected: Expected, kept: bool) -> str:
    """The file as text."""
    head = {"format": FORMAT, "title": scenario.title, "release": scenario.release}
    parts = [f"{_line(key)}: {_line(value)}" for key, value in head.items() if value]
    if scenario.seed is not None:
        parts.append(f'"seed": {scenario.seed}')
    parts.append(_table("kexts", scenario.kexts))
    parts.append(_table("programs", scenario.programs))
    parts.append(_list("calls", map(call_to_json, scenario.calls)))
    parts.append(_list("choices", scenario.choices))
    parts.append(_list("faults", map(fault_to_json, scenario.faults)))
    values = expected.values
    rows = [" ".join(values[at : at + A_LINE]) for at in range(0, len(values), A_LINE)]
    parts.append(f'"steps": {expected.steps}')
    parts.append(f'"digest": {_line(expected.digest)}')
    parts.append(f'"every": {expected.every}')
    parts.append(_list("hashes", rows))
    if kept and expected.trace is not None:
        entries = expected.trace.entries(0, expected.steps)
        parts.append(_list("trace", (to_json(entry) for entry in entries)))
    return "{" + ",\n".join(part for part in parts if part) + "}\n"


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _list(key: str, items: Iterable[Json]) -> str:
    lines = ",\n".join(f" {_line(item)}" for item in items)
    return f'"{key}": [\n{lines}]' if lines else ""


def _table(key: str, table: Mapping[str, object]) -> str:
    lines = ",\n".join(f" {_line(name)}: {_line(place_of(code))}" for name, code in table.items())
    return f'"{key}": {{\n{lines}}}' if lines else ""


def place_of(code: object) -> str | None:
    """Where a class or function can be found again, ``module:name``; ``None`` for one that has no
    place of its own, such as a lambda or what a function made."""
    module, name = getattr(code, "__module__", None), getattr(code, "__qualname__", None)
    if not module or not name or "<" in name:
        return None
    return f"{module}:{name}"


# -- reading -----------------------------------------------------------------------------------


def read(
    path: str | PathLike[str],
    kexts: Mapping[str, Any],  # factories
    programs: Mapping[str, Any],  # functions
    name: str | None,
) -> Scenario:
    """Read a scenario; see ``Scenario.load``."""
    path = Path(path)
    shown = str(path) if str(path).isprintable() else ascii(str(path))

    def refuse(why: str) -> NoReturn:
        raise ScenarioError(f"{shown}: {why}") from None

    try:
        if _is_recording(path):
            return _recorded(path, name)
        return _scenario(_object(path), kexts, programs)
    except ScenarioError as error:
        refuse(str(error))
    except RecordingError as error:
        raise ScenarioError(str(error)) from None
    except OSError as error:
        refuse(f"cannot be read ({error.strerror or error})")


def _is_recording(path: Path) -> bool:
    with path.open("rb") as stream:
        first = stream.readline(4096)
    return first.startswith(b"\xfd7zXZ") or f'"{RECORDING}"'.encode() in first


def _object(path: Path) -> dict[str, Json]:
    try:
        content = path.read_bytes().decode("utf-8")
        value = json.loads(content, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ScenarioError(f"not UTF-8, byte {error.start}") from None
    except json.JSONDecodeError as error:
        if content.lstrip().startswith("{") and not content.rstrip().endswith("}"):
            lines = content.count("\n") + 1
            raise ScenarioError(f"truncated: it ends in line {lines}") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise ScenarioError(f"not JSON ({error.msg}, {where})") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not JSON ({error})") from None
    if not isinstance(value, dict) or "format" not in value:
        raise ScenarioError(f'no scenario: one object with "format": "{FORMAT}" is due')
    if value["format"] != FORMAT:
        raise ScenarioError(
            f"scenario of format {in_json(value['format'])}; this kextlab reads {FORMAT}"
        )
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


KEYS: Final[dict[str, type]] = {
    "format": str,
    "title": str,
    "release": str,
    "seed": int,
    "kexts": dict,
    "programs": dict,
    "calls": list,
    "choices": list,
    "faults": list,
    "steps": int,
    "digest": str,
    "every": int,
    "hashes": list,
    "trace": list,
}


def _scenario(
    fields: dict[str, Json],
    kexts: Mapping[str, Any],  # factories
    programs: Mapping[str, Any],  # functions
) -> Scenario:
    from kextlab.scenario.scenario import Scenario

    for key, value in fields.items():
        kind = KEYS.get(key)
        if kind is None:
            raise ScenarioError(f"unknown key {in_json(key)}; there are {', '.join(KEYS)}")
        if type(value) is not kind:
            raise ScenarioError(f"{in_json(key)} is {in_json(value)}, not of type {kind.__name__}")
    for key in ("release", "calls", "steps"):
        if key not in fields:
            raise ScenarioError(f"{in_json(key)} is missing: the file is truncated or was edited")
    return Scenario(
        fields["release"],
        _code("kext", fields.get("kexts", {}), kexts),
        _code("program", fields.get("programs", {}), programs),
        fields.get("seed"),
        tuple(_each("choice", fields.get("choices", []), _choice)),
        tuple(_each("fault", fields.get("faults", []), fault_from_json)),
        tuple(_each("call", fields["calls"], call_from_json)),
        fields.get("title", ""),
        _expected(fields),
    )


def _each(what: str, items: Sequence[Json], read: Callable[[Json], T]) -> Iterable[T]:
    for at, item in enumerate(items):
        try:
            yield read(item)
        except ScenarioError as error:
            raise ScenarioError(f"{what} {at}: {error}") from None


def _choice(item: Json) -> tuple[str, tuple[str, ...], int]:
    match item:
        case [str(kind), list(options), int(index)] if all(
            isinstance(option, str) for option in options
        ) and 0 <= index < len(options):
            return kind, tuple(options), index
    raise ScenarioError(f"{in_json(item)} is none: [KIND, [OPTION, ...], INDEX]")


def _expected(fields: dict[str, Json]) -> Expected:
    steps, every = fields["steps"], fields.get("every", 1)
    values = tuple(each for row in fields.get("hashes", []) for each in str(row).split())
    if every < 1 or len(values) != steps // every or any(len(each) != DIGITS for each in values):
        raise ScenarioError(
            f'{len(values)} "hashes" for {steps} steps, one of {DIGITS} digits for every {every}: '
            "the file is truncated or was edited"
        )
    trace = None
    if "trace" in fields:
        trace = _trace(fields["trace"])
        if len(trace) != steps:
            raise ScenarioError(f'"trace" has {len(trace)} steps, not {steps}: it was edited')
    return Expected(steps, every, values, fields.get("digest"), trace)


def _trace(items: Sequence[Json]) -> Trace:
    trace = Trace()
    assert trace.record is not None
    for entry in _each("trace", items, from_json):
        if not isinstance(entry, tuple) or not entry:
            raise ScenarioError('"trace" holds what is no step: a list that begins with a code')
        trace.record(entry)
    try:
        trace.state()
    except (ValueError, LookupError, TypeError) as error:
        raise ScenarioError(f'"trace" does not add up ({error!r:.60})') from None
    return trace


# -- code --------------------------------------------------------------------------------------


def _code(what: str, places: dict[str, Json], given: Mapping[str, Any]) -> dict[str, Any]:
    """The factories or functions of a table."""
    return {name: _found(what, name, place, given) for name, place in places.items()}


def _found(what: str, name: str, place: Json, given: Mapping[str, Any]) -> Any:
    if name in given:
        return given[name]
    hint = f"pass {what}s={{{in_json(name)}: ...}}"
    module, colon, qualified = place.partition(":") if isinstance(place, str) else ("", "", "")
    if not colon:
        why = "the file has no place for it"
        raise ScenarioError(f"{what} {in_json(name)} is missing: {why}; {hint}")
    if module not in sys.modules:
        if module.partition(".")[0] != "kextlab":
            raise ScenarioError(
                f"{what} {in_json(name)} is missing: {module} is not imported; import it first, or "
                f"{hint}"
            )
        try:
            import_module(module)
        except ImportError:
            raise ScenarioError(
                f"{what} {in_json(name)} is missing: there is no module {module}; {hint}"
            ) from None
    code: Any = sys.modules[module]
    for part in qualified.split("."):
        code = getattr(code, part, None)
    if not callable(code):
        raise ScenarioError(
            f"{what} {in_json(name)} is missing: {module} has no {qualified}; {hint}"
        )
    return code


# -- recordings --------------------------------------------------------------------------------


def _recorded(path: Path, name: str | None) -> Scenario:
    """A scenario of a recording: its steps are the calls, its answers come with them."""
    from kextlab.scenario.operations import Machine
    from kextlab.scenario.scenario import Scenario

    recording = read_recording(path)
    if recording.header.kind != "pf_system":
        raise ScenarioError("a recording of Mach IPC is replayed (kextlab replay), not yet played")
    try:
        Machine.check(recording.header.release)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    found = [each for each in recording.scenarios if name in (None, each.name)]
    if len(found) != 1:
        names = ", ".join(each.name for each in recording.scenarios[:5])
        more = ", ..." if len(recording.scenarios) > 5 else ""
        seen = f"no scenario {in_json(name)}" if name is not None else f"{len(found)} scenarios"
        raise ScenarioError(f"{seen}; name one of {names}{more}")
    calls = tuple(Recorded(step) for step in found[0].steps)
    title = found[0].title or found[0].name
    return Scenario(recording.header.release, calls=calls, title=title)
