"""One lane of the picture: a pipe across the boundary with its two socket buffers, to scale.

A lane is 188 px wide: on the left the pipe with the send and the receive column, on the right its
numbers. The receive buffer hangs from the reader's end, so the top chip is read next.
"""

from __future__ import annotations

from dataclasses import dataclass

from kextlab.views.local_figure import tag, waiting
from kextlab.views.queues import Queue
from kextlab.views.scene import Buffer, Lane
from kextlab.views.svg import circle, count, cross, group, line, number, path, rect, text, tip
from kextlab.views.tokens import text_width
from kextlab.views.words import some

WIDTH = 188
SEND, RECEIVE = 26, 46
PIPE_LEFT, PIPE_RIGHT = 4, 102
SEND_LEFT, RECEIVE_LEFT = 12, 48
LABEL, END = 110, 182
PITCH = 15  # px between two labels
MANY = 48  # more records than this are drawn as one bar


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the parts of every lane are, in px from the top.

    Attributes:
        collar: top of the blue collar at the descriptor.
        boundary: the boundary line.
        top: where the buffers begin.
        height: of the tallest buffer.
        port: top of the brown port.
        scale: bytes a px.
        name: prefix of the picture's ids.
        cut: whether the pipes are cut at the boundary, as in a panic.
    """

    collar: float
    boundary: float
    top: float
    height: float
    port: float
    scale: float
    name: str
    cut: bool


def zoom(hiwat: int, scale: float) -> int:
    """How many times larger than the axis says a small buffer is drawn."""
    factor = 1
    while 0 < hiwat * factor / scale < 64:
        factor *= 2
    return factor


def draw_lane(x: float, lane: Lane, queue: Queue | None, frame: Frame) -> str:
    """The pipe of a connected socket, with everything in it."""
    events = lane.kind == "events"
    if lane.link is not None and lane.listens:
        walls = _pipe(x + PIPE_LEFT, x + PIPE_RIGHT, False, frame)
        return walls + waiting(x + RECEIVE_LEFT, x + END, lane.link, frame.top, frame.height)
    left = x + (RECEIVE_LEFT - 8 if events else PIPE_LEFT)
    parts = [_pipe(left, x + PIPE_RIGHT, events, frame)]
    if not events:
        parts.append(_send(x, lane.snd, frame))
    parts.append(_receive(x, lane, queue, frame))
    return "".join(parts)


def _pipe(left: float, right: float, flared: bool, frame: Frame) -> str:
    start = frame.boundary + 22 if frame.cut else frame.collar + 5
    end = frame.port
    if flared:
        mouth = end - 12
        shape = (
            f"M{number(left)} {number(start)}V{number(mouth)}l-6 14H{number(right + 6)}"
            f"l-6 -14V{number(start)}"
        )
        walls = (
            f"M{number(left)} {number(start)}V{number(mouth)}l-6 14"
            f"M{number(right)} {number(start)}V{number(mouth)}l6 14"
        )
        body = path(shape, "pipe") + path(walls, stroke="rule", width=1.25)
    else:
        body = rect(left, start, right - left, end - start + 2, "pipe") + "".join(
            line(x, start, x, end + 1, "rule", 1.25) for x in (left, right)
        )
    if frame.cut:
        middle = (left + right) / 2
        teeth = "".join(f"l{number((right - left) / 8)} {6 if at % 2 else -6}" for at in range(8))
        body += path(f"M{number(left)} {number(start)}{teeth}", "none", "rule", 1.25)
        body += cross(middle, start - 12, 4)
    return body + rect(left - 5, frame.collar, right - left + 10, 5, "user")


def _send(x: float, buffer: Buffer, frame: Frame) -> str:
    left, top, middle = x + SEND_LEFT, frame.top, x + SEND_LEFT + SEND / 2
    height = max(24.0, min(frame.height, buffer.hiwat / frame.scale))
    body = text(middle, top - 8, "↓ snd", 11, "ink2", 600, "middle")
    body += rect(left, top, SEND, height, "none", "rule", dash="2 2")
    body += line(left - 4, top, left + SEND + 4, top, "rule", 2)
    if buffer.cc:
        used = buffer.cc / frame.scale
        body += rect(left + 0.5, top + height - used, SEND - 1, used, "data-bg", "data", radius=2)
    body += text(middle, top + height / 2 + 4, count(buffer.cc), 12, "ink2", anchor="middle")
    body += text(middle, top + height + 14, "of", 11, "ink2", anchor="middle")
    body += text(middle, top + height + 27, count(buffer.hiwat), 11, "ink2", anchor="middle")
    if top + height + 34 < frame.port - 8:
        body += line(middle, top + height + 34, middle, frame.port - 8, "hair", 1.5)
    body += tip(middle, frame.port - 2, 1, "hair")
    limit = f"send buffer: {count(buffer.cc)} of {count(buffer.hiwat)} bytes"
    return group(body, limit)


def _receive(x: float, lane: Lane, queue: Queue | None, frame: Frame) -> str:
    buffer = lane.rcv
    factor = zoom(buffer.hiwat, frame.scale)
    scale = frame.scale / factor
    left, end = x + RECEIVE_LEFT, x + END
    middle = left + RECEIVE / 2
    top, bottom = frame.top, frame.top + buffer.hiwat / scale
    refused = queue.refusals[-1] if queue is not None and queue.open else None
    full = buffer.hiwat > 0 and buffer.free == 0
    mark = "loss" if full else "ink2"
    parts = [
        text(middle, top - 8, "↑ rcv", 11, "ink2", 600, "middle"),
        text(end, top - 22, count(buffer.cc), 15, "loss" if full else "ink", 600, "end"),
        text(end, top - 8, f"of {count(buffer.hiwat)} B", 11, "ink2", anchor="end"),
        rect(left, top, RECEIVE, bottom - top, "none", "rule", dash="2 2"),
    ]
    if factor > 1:
        parts.append(
            text(end, top - 41, f"scale \N{MULTIPLICATION SIGN}{factor}", 11, "ink", 600, "end")
        )
    if lane.stream and buffer.cc:
        filled, lowest = _stream(x, buffer, top, scale, frame), top
    else:
        filled, lowest = _chips(x, buffer, top, bottom, scale)
    parts.append(filled)
    used = top + buffer.cc / scale
    parts.append(line(left - 6, bottom, left + RECEIVE + 6, bottom, mark, 2.5))
    free = f"{count(buffer.free)} free"
    if bottom - used > 44 and lowest < bottom - 26:
        parts += [
            line(middle, used + 7, middle, bottom - 7, "rule"),
            tip(middle, used + 5, -1, "rule", 4),
            tip(middle, bottom - 4, 1, "rule", 4),
            _free(end, max((used + bottom) / 2, lowest + PITCH), free),
            text(end, bottom + 15, "hiwat", 11, "ink2", anchor="end"),
        ]
    else:
        colour, weight = ("loss", 600) if full else ("ink2", 400)
        parts += [
            text(end, bottom + 15, "hiwat", 11, "ink2", anchor="end"),
            text(end, bottom + 30, free, 12, colour, weight, "end"),
        ]
    if refused is not None:
        height = max(1.5, min(refused.bytes / scale, frame.port - bottom - 20))
        centre = bottom + 8 + max(height / 2, 10)
        y = centre - height / 2
        chip = rect(left + 1, y, RECEIVE - 2, height, "loss")
        if height > 6:
            fill = f"url(#{frame.name}-loss)"
            chip = rect(left + 1, y, RECEIVE - 2, height, fill, "loss", 1.75, 2, "5 3")
        mark = circle(middle, centre, 9, "paper", "loss", 1.75) + cross(middle, centre, 3.6)
        what = "refused" if refused.errno else "not queued"
        words = f"{what}: {count(refused.bytes)} bytes, {refused.name}"
        parts.append(group(chip + mark, words))
        parts.append(
            line(middle, frame.port, middle, max(y + height, centre + 9) + 3, "loss", 2.5, "5 3")
        )
        parts.append(text(end, bottom + 55, f"{count(refused.bytes)} B", 12, "loss", 600, "end"))
        parts.append(text(end, bottom + 70, refused.name, 12, "loss", 600, "end"))
    else:
        parts.append(line(middle, frame.port - 2, middle, bottom + 16, "hair", 1.5))
        parts.append(tip(middle, bottom + 7, -1, "hair"))
    return "".join(parts)


def _free(end: float, y: float, words: str) -> str:
    """How much is free, on a plate, so that no grid line runs through it."""
    width = text_width(words, 12)
    plate = rect(end - width, y - 8, width, 16, "kern-bg")
    return plate + text(end, y + 4, words, 12, "ink2", anchor="end")


def _stream(x: float, buffer: Buffer, top: float, scale: float, frame: Frame) -> str:
    """One bar however many enqueues, and the wedge of the next byte to be read."""
    left, right = x + RECEIVE_LEFT, x + RECEIVE_LEFT + RECEIVE
    bar = rect(
        left + 0.5, top + 0.5, RECEIVE - 1, buffer.cc / scale, f"url(#{frame.name}-stream)", "data"
    )
    files = sum(buffer.passed)
    passed = tag(x + LABEL + 4, top + 10, files) if files else ""
    return group(
        bar
        + passed
        + line(left - 6, top, right + 6, top, "data", 2.5)
        + path(f"M{number(right + 1)} {number(top)}l7 -4.5v9z", "data"),
        f"stream: {count(buffer.cc)} bytes, read from the top",
    )


def _chips(x: float, buffer: Buffer, top: float, bottom: float, scale: float) -> tuple[str, float]:
    """The datagrams, oldest on top, and the y of the lowest label."""
    left = x + RECEIVE_LEFT
    records = buffer.records
    if not records:
        return "", top
    if len(records) > MANY:
        height = buffer.cc / scale
        words = f"{count(len(records))} datagrams"
        bar = rect(left + 0.5, top + 0.75, RECEIVE - 1, height - 1.5, "data-bg", "data", radius=2)
        total = text(x + END, top + 14, words, 12, "ink", anchor="end")
        return group(bar + total, f"{words}, {count(buffer.cc)} bytes in all"), top + 20
    middles: list[float] = []
    parts: list[str] = []
    y = top
    for at, size in enumerate(records):
        height = max(size / scale, 1.5)
        chip = rect(
            left + 0.5, y + 0.75, RECEIVE - 1, max(height - 1.5, 1.5), "data-bg", "data",
            radius=min(2.0, height / 3),
        )  # fmt: skip
        files = buffer.passed[at] if buffer.passed else 0
        more = f", {some(files, 'descriptor')} with it" if files else ""
        parts.append(group(chip, f"datagram {at + 1}: {count(size)} bytes{more}"))
        middles.append(y + height / 2)
        y += size / scale
    room = int((bottom - top) // PITCH)
    shown = range(len(records)) if len(records) <= room else range(room - 1)
    labels = _spread([middles[at] for at in shown], top, bottom)
    edge = left + RECEIVE + 1
    for at, label in zip(shown, labels, strict=True):
        parts.append(
            path(
                f"M{number(edge)} {number(middles[at])}H{number(x + PIPE_RIGHT + 1)}"
                f"L{number(x + LABEL)} {number(label)}",
                stroke="rule",
            )
        )
        parts.append(text(x + LABEL + 4, label + 4, str(at + 1), 11, "ink2"))
        if buffer.passed and buffer.passed[at]:
            parts.append(tag(x + LABEL + 16, label, buffer.passed[at]))
        parts.append(text(x + END, label + 4, count(records[at]), 12, "ink", anchor="end"))
    lowest = labels[-1]
    if len(shown) < len(records):
        lowest += PITCH
        rest = f"and {len(records) - len(shown)} more"
        parts.append(text(x + END, lowest + 4, rest, 11, "ink2", anchor="end"))
    return "".join(parts), lowest


def _spread(wanted: list[float], top: float, bottom: float) -> list[float]:
    """Places near ``wanted``, at least one pitch apart, inside the buffer."""
    places: list[float] = []
    for at, place in enumerate(wanted):
        place = max(place, top + 6 + at * PITCH)
        if places:
            place = max(place, places[-1] + PITCH)
        places.append(place)
    floor = bottom - 6
    for at in range(len(places) - 1, -1, -1):
        places[at] = min(places[at], floor)
        floor = places[at] - PITCH
    return places
