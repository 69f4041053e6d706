"""The log a kernel writes into.

The kernel holds ``record``, the list's own ``append`` (or ``None`` when recording is off), and
calls it with a tuple. Everything else here is for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kextlab.trace.codes import Entry
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State

Record = Callable[[Entry], None]


class Trace:
    """Steps in the order in which they happened.

    Attributes:
        entries: the raw steps (see ``kextlab.trace.codes``). Readers must not change it.
        record: what the kernel calls with an entry; ``None`` when recording is off.
    """

    __slots__ = ("entries", "record")

    def __init__(self, recording: bool = True) -> None:
        self.entries: list[Entry] = []
        self.record: Record | None = self.entries.append if recording else None

    def __len__(self) -> int:
        return len(self.entries)

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        """The steps from ``start`` to before ``stop`` as events.

        Reading begins at step 0 in any case, because old values and causes add up from there.
        """
        folder = Folder()
        end = len(self.entries) if stop is None else min(stop, len(self.entries))
        for at in range(end):
            event = folder.step(self.entries[at])
            if at >= start:
                yield event

    def state(self, step: int | None = None) -> State:
        """The state of the kernel after ``step`` steps (default: all of them).

        Raises:
            IndexError: there is no such step.
        """
        end = len(self.entries) if step is None else step
        if not 0 <= end <= len(self.entries):
            raise IndexError(f"step {end} is outside this trace: 0 to {len(self.entries)}")
        return Folder().fold(self.entries[:end])

    def rows(self) -> Iterator[tuple[int, str, int | None, str, str, object, object]]:
        """Every change as a flat row (step, actor, cause, object, field, old, new)."""
        for event in self.events():
            yield from event.rows()
