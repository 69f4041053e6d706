"""What a recorded run was like, and where another run first differs from it.

A run that was recorded in this process is held as its trace. One from a file is held as state
hashes, every so many steps, and, if the file has them, as the steps themselves. With the steps the
first difference is found exactly and shown on both sides; with hashes it is known up to their
distance, and what was expected is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from typing import Final

from kextlab.kernel.panic import sentence
from kextlab.scenario.hashes import BYTES, encoded, hashes
from kextlab.trace.fold import State
from kextlab.trace.log import Trace

MOST_HASHES: Final = 4_096
"""As many hashes as a file holds at most."""
DIGITS: Final = 12
"""Hex digits of a hash in a file."""
SHOWN: Final = 3
"""Differences of a state that are shown."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay first differs.

    Attributes:
        step: the first step that differs, or the last one of those among which it is.
        since: the last step known to agree.
        expected, got: in a few words.
    """

    step: int
    since: int
    expected: str
    got: str

    def __str__(self) -> str:
        where = f"at step {self.step}"
        if self.step - self.since > 1:
            where = f"between steps {self.since} and {self.step}"
        return f"differs {where}: expected {self.expected}\n  got {self.got}"


class Expected:
    """A recorded run: its length, its hashes, its last word, and its trace if that is kept.

    Attributes:
        steps: how many it had.
        every: how many steps lie between two hashes.
        trace: the steps, ``None`` if they are not kept. A trace that grew is read up to ``steps``.
    """

    __slots__ = ("_digest", "_values", "every", "steps", "trace")

    def __init__(
        self,
        steps: int,
        every: int,
        values: tuple[str, ...] | None,
        digest: str | None,
        trace: Trace | None,
    ) -> None:
        self.steps = steps
        self.every = every
        self.trace = trace
        self._values = values
        self._digest = digest

    @classmethod
    def of(cls, trace: Trace) -> Expected:
        """What is expected of a run that is to be as this trace is now."""
        steps, every = len(trace), 1
        while steps > every * MOST_HASHES:
            every *= 2
        return cls(steps, every, None, None, trace)

    @property
    def values(self) -> tuple[str, ...]:
        """The hashes after ``every``, twice as many, ... steps."""
        if self._values is None:
            assert self.trace is not None
            self._values = shortened(self.trace, self.every, self.steps)
        return self._values

    @property
    def digest(self) -> str:
        """The digest of all steps, those that change nothing included."""
        if self._digest is None:
            assert self.trace is not None
            self._digest = trace_digest(self.trace, self.steps)
        return self._digest

    def compare(self, trace: Trace) -> Divergence | None:
        """Where a run first differs; ``None`` if it does not."""
        if self.trace is not None:
            return first_difference(self.trace, trace, self.steps)
        got = shortened(trace, self.every, len(trace))
        for at, (then, now) in enumerate(zip_longest(self.values, got), 1):
            if then != now:
                return self._window(trace, at, then, now)
        if self.steps != len(trace):
            since = min(self.steps, len(trace)) // self.every * self.every
            return Divergence(
                min(self.steps, len(trace)), since, f"{self.steps} steps", f"{len(trace)} steps"
            )
        if self.digest != trace_digest(trace, len(trace)):
            expected = "the same states, but other calls or answers"
            return Divergence(self.steps, 0, expected, "these; the steps were not kept")
        return None

    def _window(self, trace: Trace, at: int, then: str | None, now: str | None) -> Divergence:
        step = at * self.every
        if then is None or now is None:
            shorter = min(self.steps, len(trace))
            since = step - self.every
            return Divergence(shorter, since, f"{self.steps} steps", f"{len(trace)} steps")
        changes = next(trace.events(step - 1, step)).changes
        got = ", ".join(f"{c.object} {c.field} {short(c.new)}" for c in changes[:SHOWN])
        return Divergence(
            step,
            step - self.every,
            f"state {then}; what that was is not in the file",
            f"state {now}" + (f", with {got}" if got and self.every == 1 else ""),
        )


def shortened(trace: Trace, every: int, steps: int) -> tuple[str, ...]:
    """A trace's hashes as a file has them."""
    return tuple(each[:DIGITS] for each in hashes(trace.entries(0, steps), every))


def trace_digest(trace: Trace, steps: int) -> str:
    """One digest of all steps."""
    hashed = blake2b(digest_size=BYTES)
    for entry in trace.entries(0, steps):
        hashed.update(encoded(entry))
    return hashed.hexdigest()


# -- two traces --------------------------------------------------------------------------------


def first_step(one: Trace, other: Trace, steps: int | None = None) -> int | None:
    """The first step at which two traces differ, ``None`` if they are the same. ``steps``: how far
    the first one counts."""
    pairs = zip_longest(one.entries(0, steps), other.entries())
    return next((at for at, (a, b) in enumerate(pairs) if a != b), None)


def first_difference(expected: Trace, got: Trace, steps: int | None = None) -> Divergence | None:
    """Where ``got`` first differs, with what was expected there."""
    at = first_step(expected, got, steps)
    if at is None:
        return None
    length = len(expected) if steps is None else steps
    if at >= length or at >= len(got):
        return Divergence(
            at,
            at - 1,
            "the end" if at >= length else told(expected, at),
            "the end" if at >= len(got) else told(got, at),
        )
    then, now = expected.state(at + 1), got.state(at + 1)
    if then != now:
        return Divergence(at, at - 1, *differences(then, now))
    return Divergence(at, at - 1, told(expected, at), told(got, at))


def told(trace: Trace, step: int) -> str:
    """A step in a few words."""
    event = next(trace.events(step, step + 1))
    if event.kind == "change":
        return ", ".join(f"{c.object} {c.field} = {short(c.new)}" for c in event.changes[:SHOWN])
    if event.kind in ("syscall", "kpi", "callback", "return"):
        return sentence(event).strip().partition("  ")[2]
    return " ".join(map(str, (event.kind, event.name, *event.arguments)))


def differences(expected: State, got: State) -> tuple[str, str]:
    """What differs between two states, as each has it."""
    found: list[tuple[str, str]] = []
    for name in sorted(expected.keys() | got.keys()):
        then, now = expected.get(name), got.get(name)
        if then == now:
            continue
        if then is None or now is None:
            found.append(
                (f"{'no ' if then is None else ''}{name}", f"{'no ' if now is None else ''}{name}")
            )
            continue
        for field in sorted(then.keys() | now.keys()):
            if then.get(field) != now.get(field):
                found.append(
                    (
                        f"{name} {field} = {short(then.get(field))}",
                        f"{name} {field} = {short(now.get(field))}",
                    )
                )
    more = [(f"and {len(found) - SHOWN} more",) * 2] if len(found) > SHOWN else []
    sides = zip(*found[:SHOWN], *more, strict=True)
    first, second = (", ".join(side) for side in sides)
    return first, second


def short(value: object) -> str:
    """A value, cut."""
    if isinstance(value, bytes) and len(value) > 16:
        return f"<{len(value)} bytes>"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
