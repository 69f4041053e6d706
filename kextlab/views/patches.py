"""Reading a scene document: its version, its moments, and the operations between them.

``[path, value]`` sets, ``[path]`` deletes, ``[path, "+", item]`` appends to a list,
``[path, "<", n]`` drops n items from its front. A path's parts, between slashes, are keys or
indices.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from kextlab.trace.log import outside

Json = Any  # a JSON value

FORMAT = "kextlab-scene/1"


def checked(doc: object) -> dict[str, Json]:
    """A scene document of the version this kextlab reads.

    Raises:
        TypeError: it is no document at all.
        ValueError: it is of another version.
    """
    if not isinstance(doc, dict):
        raise TypeError(f"a scene document is a dict, not {doc!r:.40}")
    if doc.get("format") != FORMAT:
        raise ValueError(f"scene of format {doc.get('format')}; this kextlab reads {FORMAT}")
    return doc


def moment_at(doc: dict[str, Json], step: int | None) -> int:
    """The number of the moment a step belongs to, -1 before the first.

    Raises:
        IndexError: there is no such step.
    """
    last = doc["steps"]
    if step is None:
        return len(doc["moments"]) - 1
    if not 0 <= step <= last:
        raise IndexError(outside(step, last))
    return bisect_right([moment["step"] for moment in doc["moments"]], step) - 1


def copied(value: Json) -> Json:
    """A copy that shares no list and no object."""
    if value.__class__ is dict:
        return {key: copied(item) for key, item in value.items()}
    if value.__class__ is list:
        return [copied(item) if item.__class__ in (list, dict) else item for item in value]
    return value


def apply(state: Json, op: list[Json]) -> None:
    """Change ``state`` as ``op`` says."""
    *way, last = op[0].split("/")
    at = state
    for part in way:
        at = at[int(part)] if at.__class__ is list else at[part]
    if len(op) == 1:
        at.pop(last, None)
    elif len(op) == 2:
        value = op[1]
        if value.__class__ in (list, dict):
            value = copied(value)
        if at.__class__ is list:
            at[int(last)] = value
        else:
            at[last] = value
    elif op[1] == "+":
        at[last].append(list(op[2]))
    else:
        del at[last][: op[2]]


def squeezed(ops: list[list[Json]]) -> list[list[Json]]:
    """The operations of a moment without those a later one of the same path replaces."""
    if len(ops) < 2:
        return ops
    kept: list[list[Json]] = []
    seen: set[str] = set()
    for op in reversed(ops):
        path = op[0]
        if len(op) == 2 and "/q/" not in path:
            if path in seen:
                continue
            seen.add(path)
        elif len(op) == 1:
            seen.clear()
        kept.append(op)
    kept.reverse()
    return kept


def after(doc: dict[str, Json], moment: int) -> Json:
    """The state after a moment of a document; -1 is before the first.

    Raises:
        IndexError: the document has no such moment.
    """
    patches = doc["patches"]
    if not -1 <= moment < len(patches):
        raise IndexError(f"moment {moment} is outside this scene: -1 to {len(patches) - 1}")
    start, state = max(
        (frame for frame in doc["keyframes"] if frame[0] <= moment + 1), key=lambda frame: frame[0]
    )
    state = copied(state)
    for patch in patches[start : moment + 1]:
        for op in patch:
            apply(state, op)
    return state
