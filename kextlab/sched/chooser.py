"""Who decides: every choice the machine leaves open goes through one chooser.

Two kinds of choices exist. ``next``: the running task sleeps or ended, and several are ready.
``let_go``: the running task dropped its lock for a moment, and others are ready; option 0 is to go
on. Options are strings, ``task:2 client``; ready tasks stand in the order in which they became so.
A choice with one option is none. What was chosen is kept (``Scheduler.choices``), so that a run
can be done again: ``Recorded(mac.choices)``.

Left out: a chooser that enumerates all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

Choice = tuple[str, tuple[str, ...], int]
"""One choice made: its kind, the options, the index of the one taken."""

MASK = (1 << 64) - 1


class Chooser(Protocol):
    """Anything that chooses. Without ``at_let_go`` it is asked everywhere."""

    def choose(self, kind: str, options: Sequence[str], /) -> int:
        """The index of one of ``options``, of which there are at least two."""
        ...


class Fifo:
    """First in, first out: whoever is ready longest runs, until it sleeps. The default."""

    at_let_go = False
    """Whether it is asked where a running task only lets go for a moment."""

    def __repr__(self) -> str:
        return "Fifo()"

    def choose(self, kind: str, options: Sequence[str]) -> int:
        """Always the first."""
        return 0


class Seeded:
    """Chooses by the numbers of a small generator (splitmix64), so that a seed names a run.

    Raises:
        TypeError: the seed is no int.
    """

    at_let_go = True

    def __init__(self, seed: int) -> None:
        if not isinstance(seed, int):
            raise TypeError(f"seed = {seed!r}, expected an int")
        self.seed = seed
        self._state = seed & MASK

    def __repr__(self) -> str:
        return f"Seeded({self.seed})"

    def choose(self, kind: str, options: Sequence[str]) -> int:
        """The next number of the generator, modulo the number of options."""
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % len(options)


class Recorded:
    """Chooses as another run did, then as ``then`` does.

    Args:
        choices: ``mac.choices`` of that run, or its beginning; lists will do for tuples.
        then: decides once they are used up; first in, first out by default.

    Raises:
        ValueError: an item is no (kind, options, index).
    """

    def __init__(self, choices: Iterable[Sequence[object]], then: Chooser | None = None) -> None:
        self.choices = [_choice(at, item) for at, item in enumerate(choices)]
        self.then: Chooser = then if then is not None else Fifo()
        self.used = 0
        self._last_let_go = max(
            (at for at, (kind, _, _) in enumerate(self.choices) if kind == "let_go"), default=-1
        )

    def __repr__(self) -> str:
        return f"Recorded({self.used} of {len(self.choices)} choices used, then {self.then!r})"

    @property
    def at_let_go(self) -> bool:
        """Whether the recorded run was asked there, as far as it goes; then whether ``then`` is."""
        if self.used < len(self.choices):
            return self._last_let_go >= self.used
        return bool(getattr(self.then, "at_let_go", True))

    def choose(self, kind: str, options: Sequence[str]) -> int:
        """What was chosen then.

        Raises:
            ValueError: another kind of choice is due now, or among other options.
        """
        if self.used == len(self.choices):
            return self.then.choose(kind, options)
        then, among, index = self.choices[self.used]
        if then != kind or among != tuple(options):
            raise ValueError(
                f"choice {self.used} was recorded as {then!r} among {', '.join(among)}; "
                f"here it is {kind!r} among {', '.join(options)}"
            )
        self.used += 1
        return index


def _choice(at: int, item: Sequence[object]) -> Choice:
    if isinstance(item, list | tuple) and len(item) == 3:
        kind, options, index = item
        if isinstance(kind, str) and isinstance(options, list | tuple) and isinstance(index, int):
            names = tuple(str(option) for option in options)
            if 0 <= index < len(names):
                return kind, names, index
    raise ValueError(f"choice {at} is {item!r}: expected (kind, options, index of one of them)")


class Picked:
    """Asks somebody: ``function(kind, options)`` returns the index of one of the options.

    Raises:
        TypeError: ``function`` is none.
    """

    at_let_go = True

    def __init__(self, function: Callable[[str, tuple[str, ...]], int]) -> None:
        if not callable(function):
            raise TypeError(f"Picked takes a function of (kind, options); got {function!r}")
        self.function = function

    def __repr__(self) -> str:
        return f"Picked({getattr(self.function, '__name__', self.function)})"

    def choose(self, kind: str, options: Sequence[str]) -> int:
        """What the function says."""
        return self.function(kind, tuple(options))
