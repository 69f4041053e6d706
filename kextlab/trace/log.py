"""The log a kernel writes into.

The kernel holds ``record``, the list's own ``extend`` (or ``None`` when recording is off), and
calls it with a tuple. Everything else here is for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kextlab.trace.codes import Entry, size
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State

Record = Callable[[Entry], None]


class Trace:
    """Steps in the order in which they happened.

    Attributes:
        record: what the kernel calls with an entry (see ``kextlab.trace.codes``); ``None`` when
            recording is off.
    """

    __slots__ = ("_flat", "_starts", "record")

    def __init__(self, recording: bool = True) -> None:
        self._flat: list[object] = []
        self._starts: list[int] = []
        self.record: Record | None = self._flat.extend if recording else None

    def __repr__(self) -> str:
        steps = len(self)
        return f"<Trace, {steps} step{'s' * (steps != 1)}>"

    def __len__(self) -> int:
        return len(self._index())

    def _index(self) -> list[int]:
        """Where every step starts in the flat list, brought up to date."""
        flat, starts = self._flat, self._starts
        at = starts[-1] + size(flat, starts[-1]) if starts else 0
        while at < len(flat):
            starts.append(at)
            at += size(flat, at)
        return starts

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """The steps from ``start`` to before ``stop`` as recorded."""
        starts = self._index()
        for step in range(start, len(starts) if stop is None else min(stop, len(starts))):
            at = starts[step]
            yield tuple(self._flat[at : at + size(self._flat, at)])

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        """The steps from ``start`` to before ``stop`` as events.

        Reading begins at step 0 in any case, because old values and causes add up from there.
        """
        folder = Folder()
        for at, entry in enumerate(self.entries(0, stop)):
            event = folder.step(entry)
            if at >= start:
                yield event

    def state(self, step: int | None = None) -> State:
        """The state of the kernel after ``step`` steps (default: all of them).

        Raises:
            IndexError: there is no such step.
        """
        if step is not None and not 0 <= step <= len(self):
            raise IndexError(f"step {step} is outside this trace: 0 to {len(self)}")
        return Folder().fold(self.entries(0, step))

    def rows(self) -> Iterator[tuple[int, str, int | None, str, str, object, object]]:
        """Every change as a flat row (step, actor, cause, object, field, old, new)."""
        for event in self.events():
            yield from event.rows()
