"""Queue occupancy over time: a figure drawn by matplotlib, which is imported only here and late.

The same bytes for the same trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kextlab.kernel.kernel import Kernel
from kextlab.trace.log import Trace
from kextlab.views.figure import LIGHT, drawn, plain
from kextlab.views.picture import Picture
from kextlab.views.queues import Point, Queue, queues
from kextlab.views.source import trace_of
from kextlab.views.svg import count
from kextlab.views.words import some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def queue_figure(trace: Trace | Kernel, socket: int = 0, *, unit: int = 0) -> Picture:
    """Bytes and datagrams in a socket's receive buffer, step by step.

    Args:
        trace: ``mac.trace``; with the machine itself its trace is taken.
        socket: the kernel's number of the socket (``socket:NUMBER`` in ``mac.snapshot()``).
        unit: instead of ``socket``, the unit it has or last had.

    Raises:
        TypeError: it is neither.
        ValueError: the trace has no such socket, or several had that unit.
    """
    trace = trace_of(trace, "queue_figure()")
    found = queues(trace)
    wanted = [q for q in found.values() if (q.unit == unit if unit else q.socket == socket)]
    if len(wanted) != 1:
        which = f"unit {unit}" if unit else f"socket {socket}"
        there = "; ".join(f"socket {q.socket}, unit {q.unit}" for q in found.values()) or "none"
        many = "more than one socket had" if wanted else "no socket in this trace is"
        raise ValueError(f"{many} {which}; there are: {there}")
    queue = wanted[0]
    end = len(trace)
    words = describe(queue, end)
    title = f"The receive queue of unit {queue.unit}" if queue.unit else "A receive queue"
    return Picture(title, words, _draw(queue, end, title, words))


def describe(queue: Queue, end: int) -> str:
    """The figure in sentences."""
    most = max(queue.points, key=lambda point: (point.bytes, -point.step))
    last = queue.points[-1]
    whose = f"unit {queue.unit}" if queue.unit else f"socket {queue.socket}"
    lines = [
        f"Bytes and datagrams in the receive buffer of {whose} over {count(end)} steps of the "
        "trace.",
        f"It holds {some(most.bytes, 'byte')} in {some(most.records, 'datagram')} at its fullest, "
        f"at step {most.step}, of the {count(most.hiwat)} bytes that fit, and "
        f"{some(last.bytes, 'byte')} in {some(last.records, 'datagram')} at the end.",
    ]
    lines += [
        f"At step {refusal.step} the kernel refused {some(refusal.bytes, 'byte')} ({refusal.name})."
        if refusal.errno
        else f"At step {refusal.step} an event of {some(refusal.bytes, 'byte')} was lost."
        for refusal in queue.refusals
    ]
    return "\n".join(lines)


def _stairs(points: list[Point], end: int, field: str) -> tuple[list[int], list[int]]:
    """The values as a staircase: from each point's step to the next one's."""
    steps: list[int] = []
    values: list[int] = []
    for at, point in enumerate(points):
        following = points[at + 1].step if at + 1 < len(points) else end
        steps += [point.step, following]
        values += [getattr(point, field)] * 2
    return steps, values


def _draw(queue: Queue, end: int, title: str, words: str) -> str:
    points = [point for point in queue.points if point.hiwat]

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _bytes(upper, queue, points, end)
        _records(lower, points, end)

    return drawn(draw, (8.9, 4.1), title, words)


def _bytes(axes: Axes, queue: Queue, points: list[Point], end: int) -> None:
    plain(axes, "y")
    axes.set_ylabel("bytes queued", color=LIGHT["ink2"])
    steps, values = _stairs(points, end, "bytes")
    axes.fill_between(steps, values, color=LIGHT["data-bg"], linewidth=0)
    axes.plot(steps, values, color=LIGHT["data"], linewidth=1.75)
    steps, limits = _stairs(points, end, "hiwat")
    # A buffer may have been larger before anything was in it: the axis is that of its use.
    used = [point.hiwat for point in points if point.bytes] + [points[-1].hiwat if points else 1]
    hiwat = max(used)
    axes.plot(steps, limits, color=LIGHT["ink2"], linewidth=2)
    if points:
        axes.annotate(
            f"sb_hiwat: {count(hiwat)} bytes fit",
            (next(p.step for p in points if p.hiwat == hiwat), hiwat),
            (4, 6),
            textcoords="offset points",
            color=LIGHT["ink2"],
        )
    for refusal in queue.refusals:
        axes.text(
            refusal.step, hiwat, "✕", color=LIGHT["loss"], size=15, weight="bold",
            ha="center", va="center_baseline",
        )  # fmt: skip
    if queue.refusals:
        last = queue.refusals[-1]
        said = f"refused ({last.name})" if last.errno else "lost"
        times = f", {len(queue.refusals)} times" if len(queue.refusals) > 1 else ""
        axes.annotate(
            f"{some(last.bytes, 'byte')} {said}{times}",
            (last.step, hiwat),
            (6, 22),
            textcoords="offset points",
            ha="right" if last.step > end / 2 else "left",
            color=LIGHT["loss"],
            weight="bold",
        )
    axes.set_ylim(0, hiwat * (1.32 if queue.refusals else 1.18))
    axes.set_yticks([hiwat * part // 4 for part in range(5)])
    axes.yaxis.set_major_formatter(lambda value, _: count(int(value)))


def _records(axes: Axes, points: list[Point], end: int) -> None:
    from matplotlib.ticker import MaxNLocator

    plain(axes, "y")
    axes.set_ylabel("datagrams", color=LIGHT["ink2"])
    steps, values = _stairs(points, end, "records")
    axes.fill_between(steps, values, color=LIGHT["data-bg"], linewidth=0)
    axes.plot(steps, values, color=LIGHT["data"], linewidth=1.75)
    most = max(values, default=0)
    axes.set_ylim(0, max(2, most + 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("step of the trace", color=LIGHT["ink2"])
    axes.set_xlim(0, max(1, end))
