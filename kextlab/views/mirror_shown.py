"""Things with fields in a mirror: shown when they appear, changed field by field, taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = Any  # a JSON value


class Shown:
    """What a picture shows of some things.

    Args:
        op: takes a change of the picture.
    """

    def __init__(self, op: Callable[..., None]) -> None:
        self._op = op
        self._fields: dict[str, dict[str, Json]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def show(self, name: str, path: str, fields: dict[str, Json] | None, **more: Json) -> None:
        """A thing has these fields now (``None``: it is gone); ``more`` is what it has besides when
        it appears."""
        before = self._fields.get(name)
        if fields is None:
            if before is not None:
                del self._fields[name]
                self._op(path)
            return
        self._fields[name] = fields
        if before is None:
            self._op(path, {**fields, **more})
            return
        for field, value in fields.items():
            if before[field] != value:
                self._op(f"{path}/{field}", value)
