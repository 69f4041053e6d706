"""Typed, immutable events: a recorded step as a reader sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Plain = Any  # a plain value: a number, string, bytes, None, or a tuple of such


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one object of the kernel went from ``old`` to ``new``.

    ``None`` as ``old`` is a field that did not exist before, as ``new`` one that is gone (its
    object was deleted).
    """

    object: str
    field: str
    old: Plain
    new: Plain


@dataclass(frozen=True, slots=True)
class Event:
    """One step of the trace.

    Attributes:
        step: position in the trace, from 0.
        kind: ``syscall``, ``kpi``, ``callback`` (a frame opens), ``return`` (the innermost frame
            closes), ``stop`` (the task's frames close, none returned; after a panic those of all
            tasks), ``switch`` (another task runs), ``wakeup``, ``signal``, ``sleep`` (notes) or
            ``change``.
        actor: who acted: ``proc:PID``, ``kext:NAME`` or ``kernel``.
        cause: the step of the frame this happened in, ``None`` outside any.
        name: the call's name, the side woken, who gets the signal, the buffer
            slept on, what stopped all; empty for a change.
        arguments: the call's arguments, or what the note is about, as plain values.
        errno: a return's errno (0 is success), otherwise ``None``.
        value: a return's value.
        changes: the fields that changed.
        task: the task that recorded it, or, for a switch, that runs from here on; 0 is whoever
            calls from outside.
    """

    step: int
    kind: str
    actor: str
    cause: int | None
    name: str = ""
    arguments: tuple[object, ...] = ()
    errno: int | None = None
    value: object = None
    changes: tuple[Change, ...] = ()
    task: int = 0

    def rows(self) -> list[tuple[int, str, int | None, str, str, object, object]]:
        """The changes as flat rows (step, actor, cause, object, field, old, new)."""
        return [
            (self.step, self.actor, self.cause, c.object, c.field, c.old, c.new)
            for c in self.changes
        ]
