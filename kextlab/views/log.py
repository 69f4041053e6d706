"""The log in plain sentences: what a trace says, a line a system call, callback and kernel call.

Subject first, verb in the present, numbers with their units, then what follows from it. Changes of
single fields are left out: pictures and figures show those. A call a kext makes and the kernel's
answer to it are one sentence; a system call and its return are two, because callbacks run between.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

from kextlab.kernel.kernel import Kernel
from kextlab.trace.log import Trace
from kextlab.views.source import trace_of
from kextlab.views.teller import telling


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the log.

    Attributes:
        step: the step of the trace it tells of.
        world: ``user`` (a system call or its return), ``kern`` (a callback, a kernel call),
            ``data`` (bytes were queued or delivered), ``loss`` (a refusal, a loss, a panic).
        text: the sentence.
        depth: how many calls it happened inside.
    """

    step: int
    world: str
    text: str
    depth: int = 0

    def __str__(self) -> str:
        return f"{self.step:>5}  {'  ' * self.depth}{self.text}"


class Log:
    """Sentences in the order in which things happened."""

    __slots__ = ("lines",)

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> Log: ...
    def __getitem__(self, at: int | slice) -> Line | Log:
        return Log(self.lines[at]) if isinstance(at, slice) else self.lines[at]

    def __repr__(self) -> str:
        return "\n".join(str(line) for line in self.lines) or "nothing happened"

    def _repr_html_(self) -> str:
        """A table a screen reader can walk; refusals are bold and marked, not only coloured."""
        rows = "".join(
            f'<tr><td style="text-align:right">{line.step}</td><td style="text-align:left;'
            f'padding-left:{0.5 + 1.5 * line.depth}em">{_cell(line)}</td></tr>'
            for line in self.lines
        )
        head = '<tr><th scope="col">step</th><th scope="col" style="text-align:left">'
        return f"<table><thead>{head}what happened</th></tr></thead><tbody>{rows}</tbody></table>"


def _cell(line: Line) -> str:
    words = html.escape(line.text)
    return f"✕ <strong>{words}</strong>" if line.world == "loss" else words


def log(trace: Trace | Kernel, start: int = 0, stop: int | None = None) -> Log:
    """What happened from step ``start`` to before step ``stop``, in sentences.

    Args:
        trace: ``mac.trace``; with the machine itself its trace is taken.
        start: the first step to tell of.
        stop: the first step not to tell of.

    Raises:
        TypeError: ``trace`` is neither.
    """
    entries = trace_of(trace, "log()").entries(0, stop)
    return Log(
        tuple(
            Line(told.step, told.world, told.text, told.depth)
            for told in telling(entries)
            if told.step >= start
        )
    )
