"""Plain values in a scenario file: how a call's arguments, a program's and a trace's are written.

Numbers, text, true, false and null are JSON's own; a tuple is a list. Bytes are
``{"bytes": data}``, data in the notation of the recordings (``kextlab.scenario.recording``):
hex, or an object that says how they repeat. Where an argument can only be bytes, the data stands
alone.
"""

from __future__ import annotations

from typing import Any, Final

from kextlab.scenario.recording import abbreviate, expand, in_json

Json = Any  # what json.loads returns

LONGEST_PADDING: Final = 16
"""Bytes at the end of data, all the same, up to which they are written out."""


def is_number(value: object, least: int) -> bool:
    """Whether it is a whole number that is not below ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


class ScenarioError(ValueError):
    """A scenario cannot be run, or a file is none. One line: where, what was seen, what is due."""


def to_json(value: object) -> Json:
    """A plain value as JSON.

    Raises:
        ScenarioError: it is not plain.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if value - value == 0:  # neither infinite nor NaN, which JSON cannot say
                return value
        case bytes() | bytearray():
            return {"bytes": data_to_json(bytes(value))}
        case tuple() | list():
            return [to_json(item) for item in value]
        case _:
            pass
    raise ScenarioError(
        f"{value!r:.60} cannot be written to a scenario: numbers, text, bytes, None and tuples of "
        "them can"
    )


def from_json(value: Json) -> object:
    """The value that ``to_json`` wrote; a list is a tuple again.

    Raises:
        ScenarioError: it is none of those.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return tuple(from_json(item) for item in value)
        case {"bytes": data} if len(value) == 1:
            return data_from_json(data)
    raise ScenarioError(f'{in_json(value)} is no value: bytes are {{"bytes": DATA}}')


def data_to_json(data: bytes) -> Json:
    """Bytes that stand alone: hex, or what says how they repeat. A long end of one byte, such as
    the padding of a struct, is told apart."""
    rest = data.rstrip(data[-1:])
    padding = len(data) - len(rest)
    if padding < LONGEST_PADDING or not rest:
        return abbreviate(data)
    parts = [abbreviate(rest), {"len": padding, "fill": data[-1:].hex()}]
    return {"len": len(data), "parts": parts}


def data_from_json(data: Json) -> bytes:
    """Bytes that stand alone. ScenarioError: no data."""
    try:
        return expand(data)
    except (TypeError, RecursionError, ValueError) as error:
        why = str(error) if isinstance(error, ValueError) else f"{in_json(data)} is not data"
        raise ScenarioError(why) from None
