"""Local sockets in the static picture: pipes from one to another, and who waits to be accepted."""

from __future__ import annotations

from collections.abc import Sequence

from kextlab.views.local_scene import Link
from kextlab.views.scene import Lane, Scene
from kextlab.views.svg import count, group, line, number, path, rect, text
from kextlab.views.tokens import fit, text_width
from kextlab.views.words import some

PLACE = 20  # px of a place in the queue of a listening socket
LEAD, LEVEL = 32, 14  # px from a plate to the first pipe below it, and from pipe to pipe


def tag(x: float, y: float, files: int) -> str:
    """So many open files travel with a record: with its left edge at x, its middle at y."""
    words = "fd" if files == 1 else f"{files} fd"
    wide = text_width(words, 11, 700) + 7
    plate = rect(x, y - 7, wide, 14, "user-bg", "user", radius=3)
    return plate + text(x + wide / 2, y + 4, words, 11, "user", 700, "middle")


def waiting(left: float, end: float, link: Link, top: float, height: float) -> str:
    """The queue of a listening socket, 46 px wide: a place for each connection that may wait."""
    held, full = len(link.waiting), len(link.waiting) >= link.limit
    shown = min(link.limit, max(1, int(height // PLACE)))
    bottom = top + shown * PLACE
    middle, colour = left + 23, "loss" if full else "ink"
    body = text(middle, top - 8, "accept", 11, "ink2", 600, "middle")
    body += text(end, top - 22, count(held), 15, colour, 600, "end")
    body += text(end, top - 8, f"of {count(link.limit)} wait", 11, "ink2", anchor="end")
    body += rect(left, top, 46, bottom - top, "none", "rule", dash="2 2")
    for at in range(min(held, shown)):
        body += rect(left + 2, top + at * PLACE + 2, 42, PLACE - 4, "raise", "kern", radius=3)
    body += line(left - 6, bottom, left + 52, bottom, "loss" if full else "ink2", 2.5)
    if held > shown:
        body += text(end, bottom + 15, f"and {count(held - shown)} more", 11, "ink2", anchor="end")
    return group(body, f"{held} of {some(link.limit, 'connection')} wait to be accepted")


def plate(lane: Lane, seen: Scene) -> tuple[str, bool]:
    """What stands below a local socket's pipe, and whether it is joined to anything."""
    link = lane.link
    assert link is not None
    if link.limit:
        return "listens", True
    if link.peer:
        end = seen.end(link.peer)
        return f"to {end}" if end else "not accepted", True
    senders = sum(1 for one in seen.lanes if one.link and one.link.peer == lane.socket)
    if senders:
        return f"from {some(senders, 'sender')}", True
    return "its peer is gone" if lane.state == "disconnected" else "no peer", False


def path_below(x: float, end: float, y: float, lane: Lane, seen: Scene) -> str:
    """The name a local socket has, or its peer's."""
    link = lane.link
    assert link is not None
    far = seen.lane(link.peer) or next(
        (one for one in seen.lanes if one.link and link.peer in one.link.waiting), None
    )
    shown = link.path or (far.link.path if far is not None and far.link is not None else "")
    return text(x, y, fit(shown, end - x, 11), 11, "ink2") if shown else ""


def joined(lanes: Sequence[tuple[float, Lane]], top: float) -> str:
    """Pipes between local sockets; ``lanes`` are their middles, ``top`` is where plates end."""
    at = {lane.socket: x for x, lane in lanes}
    for x, lane in lanes:
        if lane.link is not None:
            at |= dict.fromkeys(lane.link.waiting, x)
    pairs = {
        (min(at[lane.socket], at[lane.link.peer]), max(at[lane.socket], at[lane.link.peer]))
        for _, lane in lanes
        if lane.link is not None and lane.link.peer in at
    }
    body = ""
    levels: list[float] = []
    for left, right in sorted(pairs, key=lambda pair: (pair[1] - pair[0], pair)):
        free = (n for n, taken in enumerate(levels) if taken < left)
        level = next(free, len(levels))
        levels[level : level + 1] = [right]
        y = top + LEAD + min(level, 3) * LEVEL
        way = (
            f"M{number(left)} {number(top)}V{number(y - 6)}q0 6 6 6H{number(right - 6)}"
            f"q6 0 6 -6V{number(top)}"
        )
        pipe = path(way, stroke="rule", width=10.5) + path(way, stroke="pipe", width=8)
        body += group(pipe, "a pipe between two local sockets")
    return body
