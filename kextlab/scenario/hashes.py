"""State hashes: one short name for all of a kernel's plain state.

Two runs whose hashes agree at a step have the same state there; where they part, the first hash
that differs says so. A hash is the sum, modulo 2^128, of one BLAKE2b digest for each object, so
that following a trace costs one digest for each object that changed and not the whole state. It
depends on names and values alone: not on the process, PYTHONHASHSEED, the order in which objects
came to be, or the version of Python.

The sum is no protection against somebody who constructs a collision; it is not meant to be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder, State

BYTES = 16
"""Length of a hash; it is written in twice as many hex digits."""


def encoded(value: object) -> bytes:
    """A plain value as bytes that no other value has. A bool is the number it equals.

    Raises:
        TypeError: the value is not plain.
    """
    match value:
        case None:
            return b"n"
        case int():
            text = b"%d" % value
            return b"i%d:%b" % (len(text), text)
        case str():
            text = value.encode("utf-8", "surrogatepass")
            return b"s%d:%b" % (len(text), text)
        case bytes():
            return b"b%d:%b" % (len(value), value)
        case float():
            text = value.hex().encode()
            return b"f%d:%b" % (len(text), text)
        case tuple() | list():
            return b"t%d:%b" % (len(value), b"".join(map(encoded, value)))
        case _:
            raise TypeError(f"{value!r:.60} is no plain value: a {type(value).__name__}")


def digest(name: str, fields: Mapping[str, object]) -> int:
    """An object's part of the sum."""
    hashed = blake2b(encoded(name), digest_size=BYTES)
    for field in sorted(fields):
        hashed.update(encoded(field))
        hashed.update(encoded(fields[field]))
    return int.from_bytes(hashed.digest(), "big")


def written(total: int) -> str:
    """The sum as it is shown and stored: 32 hex digits."""
    return (total % (1 << 8 * BYTES)).to_bytes(BYTES, "big").hex()


def state_hash(state: State) -> str:
    """The hash of a state: ``trace.state(step)`` or ``mac.snapshot()``."""
    return written(sum(digest(name, fields) for name, fields in state.items()))


def hashes(entries: Iterable[Entry], every: int = 1) -> Iterator[str]:
    """The hashes after ``every``, twice as many, ... steps of a trace read from its beginning."""
    folder = Folder()
    parts: dict[str, int] = {}
    changed: set[str] = set()
    total = 0
    for entry in entries:
        changed.update(change.object for change in folder.step(entry).changes)
        if folder.steps % every:
            continue
        for name in changed:
            fields = folder.state.get(name)
            part = digest(name, fields) if fields is not None else 0
            total += part - parts.get(name, 0)
            parts[name] = part
        changed.clear()
        yield written(total)
