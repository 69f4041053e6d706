"""How everything here is timed, and what a benchmark hands back.

The subjects of a benchmark take turns (A B C A B C ...), so that whatever else the machine does
falls on all of them. Each turn sets up afresh and is timed alone. Figures are the median of the
turns; the minimum stands beside it, as what the machine can do when left in peace.

Garbage is collected before every timed stretch, and collection stays on inside it, as in a user's
program: what an allocation costs later is part of its price.
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from time import perf_counter
from types import ModuleType

Subject = Callable[[], float]
"""Sets up, runs once, returns seconds for one operation."""
INSTALL = 'pip install ".[bench]"'


class BenchmarkError(Exception):
    """What was measured is not what was meant; the figures would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Series:
    """The turns of one subject: seconds for one operation, in the order measured."""

    name: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds for one operation."""
        return statistics.median(self.samples)

    @property
    def minimum(self) -> float:
        """Seconds for one operation, in the quickest turn."""
        return min(self.samples)


@dataclass(frozen=True, slots=True)
class Target:
    """What an issue asks: ``value`` is to be at least ``least``, or at most ``most``.

    ``value`` is ``None`` if it could not be measured here.
    """

    text: str
    value: float | None
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is met; ``None`` if it was not measured."""
        if self.value is None:
            return None
        too_low = self.least is not None and self.value < self.least
        too_high = self.most is not None and self.value > self.most
        return not (too_low or too_high)


@dataclass(frozen=True, slots=True)
class Table:
    """More figures of a benchmark; every row holds one value for each heading."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark, run.

    Attributes:
        operation: what one operation is; a figure is the time of one.
        per_second: how many seconds make one of ``unit``: 1e-6 for µs.
        ours, peers: the subjects.
        ratios: by peer; ``ratio_is`` says of what.
        absent: peers that could not be measured, with the reason.
        method: how many turns of what.
    """

    name: str
    operation: str
    unit: str
    seconds: float
    ours: Series
    peers: tuple[Series, ...]
    ratios: dict[str, float]
    ratio_is: str
    method: str
    targets: tuple[Target, ...] = ()
    tables: tuple[Table, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)


def timed(body: Callable[[], object]) -> float:
    """Seconds ``body`` takes on a heap without garbage."""
    gc.collect()
    start = perf_counter()
    body()
    return perf_counter() - start


def interleave(subjects: Mapping[str, Subject], rounds: int, warm_up: int = 1) -> list[Series]:
    """Run the subjects in turns; the first ``warm_up`` rounds do not count."""
    samples: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(warm_up + rounds):
        for name, subject in subjects.items():
            seconds = subject()
            if turn >= warm_up:
                samples[name].append(seconds)
    return [Series(name, tuple(values)) for name, values in samples.items()]


def optional(module: str) -> ModuleType | None:
    """A peer's module, or ``None`` after a line on stderr that says how to get it."""
    try:
        return import_module(module)
    except ImportError:
        print(
            f"benchmarks: {module} is not installed, its figures are absent: {INSTALL}",
            file=sys.stderr,
        )
        return None
