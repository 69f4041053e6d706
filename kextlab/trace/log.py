"""The log a kernel writes into.

The kernel holds ``record``, the list's own ``extend`` (or ``None`` when recording is off), and
calls it with a tuple. Everything else here is for readers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Final

from kextlab.trace.codes import Entry, size
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State

Record = Callable[[Entry], None]

SPACING: Final = 1_000
"""Steps between two checkpoints, and how many are folded at most to reach a step. Where the kernel
has more objects than this, as many steps as objects: what checkpoints hold, one reference an
object, then stays below two references a step."""


class Trace:
    """Steps in the order in which they happened.

    Attributes:
        record: what the kernel calls with an entry (see ``kextlab.trace.codes``); ``None`` when
            recording is off.
    """

    __slots__ = ("_checkpoints", "_flat", "_starts", "record")

    def __init__(self, recording: bool = True) -> None:
        self._flat: list[object] = []
        self._starts: list[int] = []
        self._checkpoints: list[Folder] = []
        self.record: Record | None = self._flat.extend if recording else None

    def __repr__(self) -> str:
        steps = len(self)
        return f"<Trace, {steps} step{'s' * (steps != 1)}>"

    def __len__(self) -> int:
        return len(self._index())

    def mark(self) -> int:
        """Where the next step will begin, as a number for ``step_at``: to note it costs nothing."""
        return len(self._flat)

    def step_at(self, mark: int) -> int:
        """The step that begins at a mark."""
        return bisect_left(self._index(), mark)

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
        flat, starts = self._flat, self._index()
        end = len(starts)
        for step in range(start, end if stop is None else min(stop, end)):
            at = starts[step]
            behind = starts[step + 1] if step + 1 < end else at + size(flat, at)
            yield tuple(flat[at:behind])

    def at(self, step: int) -> Folder:
        """A folder that has read the first ``step`` steps, from the checkpoint before them on.

        Checkpoints are made where a trace is read for the first time, so that is the only time
        its steps are folded from the beginning.

        Raises:
            IndexError: there is no such step.
        """
        if not 0 <= step <= len(self):
            raise IndexError(outside(step, len(self)))
        kept = self._checkpoints
        before = bisect_right(kept, step, key=attrgetter("steps"))
        folder = kept[before - 1].copy() if before else Folder()
        if before < len(kept):
            folder.fold(self.entries(folder.steps, step))
            return folder
        while folder.steps < step:
            due = folder.steps + max(SPACING, len(folder.state))
            folder.fold(self.entries(folder.steps, min(due, step)))
            if folder.steps == due:
                kept.append(folder.copy())
        return folder

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        """The steps from ``start`` to before ``stop`` as events.

        Old values and causes add up from the beginning of the trace; what is before ``start`` is
        read from the checkpoint before it.
        """
        start = max(start, 0)
        if start < (len(self) if stop is None else min(stop, len(self))):
            folder = self.at(start)
            yield from map(folder.step, self.entries(start, stop))

    def state(self, step: int | None = None) -> State:
        """The state of the kernel after ``step`` steps (default: all of them), the caller's own.

        Raises:
            IndexError: there is no such step.
        """
        state = self.at(len(self) if step is None else step).state
        return {name: fields.copy() for name, fields in state.items()}

    def rows(self) -> Iterator[tuple[int, str, int | None, str, str, object, object]]:
        """Every change as a flat row (step, actor, cause, object, field, old, new)."""
        for event in self.events():
            yield from event.rows()


def outside(step: int, last: int) -> str:
    """What is said of a step that does not exist; in the browser too."""
    return f"step {step:,} is outside this trace: 0 to {last:,}"
