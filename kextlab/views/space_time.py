"""The space-time diagram: who called whom, step by step, with the sentences beside it.

A vertical line is a process, the boundary, a part of the kernel or a kext; time runs down. A
solid arrow is a call, a dashed one with an open head a return, a ring a crossing of the boundary,
✕ with a bounce a refusal, a thin box on a line a routine on the stack. Drawn from the moments of a
scene document.

Left out: changes of single fields, and all steps between two moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from kextlab.abi.errno import number_of
from kextlab.views.patches import Json, checked, moment_at
from kextlab.views.picture import Picture, name_for
from kextlab.views.routes import BOUNDARY, CONTROL, PORTS
from kextlab.views.scenes import scene_document
from kextlab.views.sentences import kext_name
from kextlab.views.svg import (
    circle,
    count,
    cross,
    document,
    group,
    hatch,
    line,
    number,
    path,
    rect,
    text,
)
from kextlab.views.tokens import fit, text_width

BEFORE, AFTER = 12, 4
"""Moments drawn before and after the current one."""
STEP, HEAD, ROW = 64, 40, 22
WORDS = 400
MOST_PROCESSES = 6
LABEL = 11.5
BADGES = {"recorded": "●", "ported": "◐", "documented": "◌"}
GAPS = {"user": 62.0, "boundary": 122.0, "kern": 88.0, "kext": 176.0}
MOST_GAP = 230.0
"""The widest gap labels make, px."""
OTHERS = "others"
KEY = (
    "call",
    "return",
    "crosses the boundary",
    "bytes or a message",
    "refused or lost",
    "routine on the stack",
)


def space_time(
    source: object, around: int | None = None, *, before: int = BEFORE, after: int = AFTER
) -> Picture:
    """Who called whom around a step, as a static SVG with the sentences beside it.

    Args:
        source: ``mac.trace``, the machine itself, a run, or a scene document.
        around: the step to look at (default: the last one).
        before, after: how many moments to draw before and after it.

    Raises:
        IndexError: the trace has no such step.
        TypeError: the source is nothing of these.
        ValueError: the document is of another version.
    """
    doc = checked(source) if isinstance(source, dict) else scene_document(source)
    current = moment_at(doc, around)
    rows = _rows(doc["moments"], current, before, after)
    return _Drawing(doc, rows, current).picture()


def _rows(moments: list[Json], current: int, before: int, after: int) -> range:
    start = max(0, min(current, len(moments) - 1 - after) - before)
    return range(start, min(len(moments), start + before + after + 1))


def numbered(errno: str) -> str:
    """``ENOBUFS (55)``; a code of Mach's or IOKit's, or a signal, by its name."""
    return f"{errno} ({number_of(errno)})" if errno.startswith("E") else errno


@dataclass(slots=True)
class Line:
    """A lifeline of the drawing: where it stands."""

    id: str
    name: str
    world: str
    x: float = 0.0


class _Drawing:
    """One picture being drawn."""

    def __init__(self, doc: dict[str, Json], rows: range, current: int) -> None:
        self.moments: list[dict[str, Json]] = doc["moments"]
        self.sources: list[list[str]] = doc["sources"]
        self.rows = rows
        self.current = current
        last = str(self.moments[rows[-1]]["step"]) if rows else ""
        self.left = max(STEP, text_width(last, 12, 600) + 36)
        self.world = {one["id"]: one["world"] for one in doc["lifelines"]}
        self.lines = self._lifelines(doc["lifelines"])
        self.at = {one.id: one for one in self.lines}
        self.right = self.lines[-1].x + max(58.0, self._widest(self._beside_last) - 10)
        self.width = self.right + 28 + WORDS
        self.y: dict[int, float] = {}
        y = HEAD + 8.0
        for row in rows:
            height = self._height(row)
            self.y[row] = y + (ROW / 2 if row != current else 22)
            y += height
        self.bottom = y + 4
        self.height = self.bottom + 26
        self.panicked = next((row for row in rows if self.moments[row]["kind"] == "panic"), None)
        self.words = self._words()
        self.name = name_for(self.words + str(current))

    # -- what is shown ---------------------------------------------------------------------

    def _lifelines(self, known: list[Json]) -> list[Line]:
        """Those that take part, most active processes first to stay, in drawing order."""
        seen: dict[str, int] = {}
        for row in self.rows:
            moment = self.moments[row]
            for end in (moment["from"], moment["to"]):
                seen[end] = seen.get(end, 0) + (100 if row == self.current else 1)
        always = CONTROL if PORTS not in seen else ""
        users = [one["id"] for one in known if one["world"] == "user" and one["id"] in seen]
        kept = set(sorted(users, key=lambda ident: -seen[ident])[:MOST_PROCESSES])
        rest = len(users) - len(kept)
        lines = [
            Line(one["id"], one["name"], one["world"])
            for one in known
            if one["id"] in kept
            or one["id"] == BOUNDARY
            or (one["world"] == "kern" and (one["id"] in seen or one["id"] == always))
        ]
        if rest:
            lines.insert(0, Line(OTHERS, f"{count(rest)} others", "user"))
        names = [one.name for one in lines if one.world == "user"]
        for one in lines:
            if names.count(one.name) > 1 and one.id.startswith("proc:"):
                one.name += f" {one.id.removeprefix('proc:')}"
        kexts = [one for one in lines if one.id.startswith("kext:")]
        if len(kexts) > 1:
            for one in kexts:
                one.name = kext_name(one.name)
        x = self.left + 34.0
        for at, one in enumerate(lines):
            one.x = x
            following = lines[at + 1] if at + 1 < len(lines) else None
            if following is not None:
                x += self._gap(one, following, {left.id for left in lines[: at + 1]})
        return lines

    def _widest(self, counts: Callable[[Json], bool]) -> float:
        """How wide a gap must be for the labels of those moments, px; at most ``MOST_GAP``."""
        wide = (
            text_width(f"✕ {m['errno']}" if m.get("back") else m.get("label", ""), LABEL, 600)
            for m in (self.moments[row] for row in self.rows)
            if counts(m)
        )
        return min(max(wide, default=0) + 40, MOST_GAP)

    def _crosses(self, moment: Json) -> bool:
        ends = [self.world.get(moment[end], "user") for end in ("from", "to")]
        return "user" in ends and "kern" in ends

    def _between_users(self, moment: Json) -> bool:
        ends = [self.world.get(moment[end], "user") for end in ("from", "to")]
        return ends == ["user", "user"] and moment["from"] != moment["to"]

    def _beside_last(self, moment: Json) -> bool:
        return bool(moment["from"] == moment["to"] == self.lines[-1].id)

    def _gap(self, one: Line, following: Line, before: set[str]) -> float:
        """How far apart two lifelines stand; ``before`` are those to the left of ``following``."""
        if following.id.startswith("kext:") and one.id == CONTROL:
            return GAPS["kext"]
        if following.world == "boundary":
            return max(GAPS["boundary"], self._widest(self._crosses))
        room = (text_width(one.name, 12, 600) + text_width(following.name, 12, 600)) / 2 + 6
        if following.world == "user":
            return max(GAPS["user"], min(room, 150), min(self._widest(self._between_users), 100))
        right = following.id

        def between(moment: Json) -> bool:
            ends = {moment["from"], moment["to"]}
            kern = all(self.world.get(end) == "kern" for end in ends)
            return kern and right in ends and bool(ends & before)

        routines = (
            text_width(self.moments[row].get("via", ""), LABEL) + 30
            for row in self.rows
            if right in (self.moments[row]["from"], self.moments[row]["to"])
        )
        wide = max(min(room, 150), min(self._widest(between), 190), *routines, 0.0)
        return max(GAPS["kern"], wide)

    def _x(self, ident: str) -> float:
        line_ = self.at.get(ident)
        return line_.x if line_ is not None else self.at[OTHERS].x

    def _height(self, row: int) -> float:
        if row == self.current:
            lines = len(self._wrapped(row, True))
            return 20 + 19 * lines + (24 if "source" in self.moments[row] else 4)
        bounce = self.moments[row]["kind"] == "refusal" and not self.moments[row].get("back")
        lines = len(self._wrapped(row, False))
        return max(ROW * 2 - 4 if bounce else ROW, 17 * lines + 5)

    def _wrapped(self, row: int, bold: bool) -> list[str]:
        size, weight = (14, 600) if bold else (13, 400)
        lines = [""]
        for word in self.moments[row]["text"].split():
            longer = f"{lines[-1]} {word}".strip()
            if text_width(longer, size, weight) * 0.92 > WORDS - 8 and lines[-1]:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def _words(self) -> str:
        """The alternative text."""
        if not self.rows:
            return "Nothing has happened yet: no process, no call."
        lines = [f"Who calls whom, step {self.moments[self.rows[0]]['step']} and after."]
        for row in self.rows:
            moment = self.moments[row]
            now = "Here: " if row == self.current else ""
            lines.append(f"{now}Step {moment['step']}: {moment['text']}")
        return "\n".join(lines)

    # -- drawing ---------------------------------------------------------------------------

    def picture(self) -> Picture:
        """Draw everything, back to front."""
        ground = f"{self.name}-ground"
        body = [
            "<defs>",
            hatch(ground, "bound", None, 1.2),
            hatch(f"{self.name}-loss", "loss", None, 2),
        ]
        body += ["</defs>", rect(0, 0, self.width, self.height, "paper")]
        if self.current in self.y:
            top = self.y[self.current] - 22
            body.append(rect(0, top, self.width, self._height(self.current), "panel"))
        body += [self._heads(), self._columns(ground), self._stack()]
        body += [self._row(row) for row in self.rows]
        if not self.rows:
            body.append(text(self.right + 28, HEAD + 22, "Nothing has happened yet.", 13, "ink2"))
        body.append(self._key())
        title = "Who calls whom, and when"
        svg = document(self.width, self.height, self.name, title, self.words, "".join(body))
        return Picture(title, self.words, svg)

    def _heads(self) -> str:
        body = text(self.left - 22, 24, "step", 11, "ink2", anchor="end")
        for at, one in enumerate(self.lines):
            colour = {"user": "user", "kern": "kern"}.get(one.world, "ink")
            left = self.lines[at - 1].x if at else 0
            right = self.lines[at + 1].x if at + 1 < len(self.lines) else one.x + 120
            room = min(one.x - left, right - one.x) * 2 - 14 if at else (right - one.x) * 2 - 14
            if one.world == "boundary":
                body += text(one.x, 16, "system call", 11, "ink", 600, "middle")
                body += text(one.x, 29, "boundary", 11, "ink", 600, "middle")
            else:
                name = fit(one.name, max(room / 1.1, 60), 12, 600)
                body += text(one.x, 24, name, 12, colour, 600, "middle")
        body += text(self.right + 28, 24, "what happened", 11, "ink2")
        return body + line(0, HEAD - 4, self.width, HEAD - 4, "hair")

    def _columns(self, ground: str) -> str:
        end = self.bottom
        now = self.y.get(self.current)
        if self.panicked is not None:
            end = self.y[self.panicked] + 14
        split = min(end, now + (self._height(self.current) - 22)) if now is not None else end
        body = ""
        for one in self.lines:
            if one.world == "boundary":
                body += rect(one.x, HEAD, 7, split - HEAD, f"url(#{ground})")
                body += line(one.x, HEAD, one.x, split, "bound", 2.5)
                if end > split:
                    body += line(one.x, split, one.x, end, "rule", 2.5, "2 4")
                continue
            stop = self.bottom if one.world == "user" and self.panicked is not None else end
            body += line(one.x, HEAD, one.x, min(split, stop), one.world, 1.25)
            if stop > split:
                body += line(one.x, split, one.x, stop, "rule", 1.25, "2 4")
        return body

    def _stack(self) -> str:
        """Thin boxes: from a call to its last consequence."""
        last: dict[int, int] = {}
        for row in self.rows:
            cause = self.moments[row].get("cause")
            while cause is not None:
                last[cause] = row
                cause = self.moments[cause].get("cause")
        body = ""
        for call, row in sorted(last.items()):
            moment = self.moments[call]
            if moment["kind"] != "call" or moment["from"].startswith("kext:"):
                continue
            top = self.y[call] - 5 if call in self.y else HEAD + 2
            edge = {"kern": "kern", "user": "user"}[
                self.at[moment["to"]].world if moment["to"] in self.at else "kern"
            ]
            x = self._x(moment["to"])
            body += rect(x - 3, top, 6, self.y[row] + 5 - top, "raise", edge)
        return body

    def _row(self, row: int) -> str:
        moment = self.moments[row]
        y, now = self.y[row], row == self.current
        future = self.current >= 0 and row > self.current
        body = self._arrow(moment, y, future)
        if now:
            label = str(moment["step"])
            wide = max(30.0, text_width(label, 12, 600) + 16)
            body += rect(self.left - 14 - wide, y - 10, wide, 20, "ink", radius=10)
            body += text(self.left - 14 - wide / 2, y + 4, label, 12, "paper", 600, "middle")
        else:
            ink = "ink3" if future else "ink2"
            body += text(self.left - 22, y + 4, str(moment["step"]), 12, ink, anchor="end")
        return group(body + self._sentence(row, y, now, future), moment["text"])

    def _sentence(self, row: int, y: float, now: bool, future: bool) -> str:
        moment = self.moments[row]
        x = self.right + 28
        lost = moment["world"] == "loss"
        size, pitch = (14, 19) if now else (13, 17)
        ink = "ink3" if future else "loss" if lost and not now else "ink"
        body = cross(x - 12, y, 4, "rule" if future else "loss", 2) if lost else ""
        for at, words in enumerate(self._wrapped(row, now)):
            body += text(x, y + 5 + pitch * at, words, size, ink, 600 if now else 400)
        if now and "source" in moment:
            bottom = y + 5 + pitch * (len(self._wrapped(row, now)) - 1) + 21
            badge, name, where = self.sources[moment["source"]]
            label = f"{BADGES[badge]} {'documented only' if badge == 'documented' else badge}"
            body += text(x, bottom, label, 11.5, "ink")
            left = x + text_width(label, 11.5) + 12
            for words in filter(None, (name, where)):
                body += text(left, bottom, words, 11.5, "ink2", mono=words == name)
                left += text_width(words, 11.5) * (1.14 if words == name else 1) + 12
        return body

    # -- arrows ----------------------------------------------------------------------------

    def _arrow(self, moment: dict[str, Json], y: float, future: bool) -> str:
        kind = moment["kind"]
        start, end = self._x(moment["from"]), self._x(moment["to"])
        colour = {"data": "data", "loss": "loss"}.get(moment["world"], "ink")
        if future:
            colour = "rule"
        ink = "ink3" if future else {"data": "data", "loss": "loss"}.get(colour, "ink")
        label = moment.get("label", "")
        if kind == "panic":
            return self._panic(moment, y)
        if kind == "note" and start == end:
            beside = start + 10 + text_width(label, LABEL, 600) / 2
            mark = circle(start, y, 4, "paper", colour, 1.75)
            return mark + self._plate(beside, y, label, ink)
        if kind == "refusal":
            return self._refusal(moment, start, end, y, colour, ink)
        dash = "5 3" if kind == "return" else ""
        body = self._shaft(start, end, y, colour, dash, kind == "return")
        body += self._labels(moment, start, end, y, label, ink)
        return body

    def _shaft(
        self, start: float, end: float, y: float, colour: str, dash: str, open_: bool
    ) -> str:
        """A line with its head, and a ring where it crosses the boundary."""
        toward = 1 if end > start else -1
        start, end = start + 3 * toward, end - 3 * toward
        body = line(start, y, end, y, colour, 1.5, dash)
        back = number(end - 7 * toward)
        head = f"M{back} {number(y - 4)}L{number(end)} {number(y)}L{back} {number(y + 4)}"
        body += path(head, stroke=colour, width=1.5) if open_ else path(head + "Z", colour)
        boundary = self.at[BOUNDARY].x
        if min(start, end) < boundary < max(start, end):
            body += circle(boundary, y, 4.5, "paper", colour, 1.75)
        return body

    def _labels(
        self, moment: dict[str, Json], start: float, end: float, y: float, label: str, ink: str
    ) -> str:
        boundary = self.at[BOUNDARY].x
        low, high = min(start, end), max(start, end)
        if low < boundary < high:
            left = max(low, self._last_user())
            body = self._plate((left + boundary) / 2, y, label, ink, boundary - left - 16)
            via = moment.get("via", "")
            if via:
                first = next(one.x for one in self.lines if one.world == "kern")
                near = max(boundary, min(first, high) if high - first < 4 else first)
                left, right = (boundary, near) if high <= first + 1 else (first, high)
                body += self._plate((left + right) / 2, y, via, ink, right - left - 22)
            return body
        stops = sorted({low, high, *(one.x for one in self.lines if low < one.x < high)})
        spans = [(right - left, left, right) for left, right in pairwise(stops)] or [(0, low, high)]
        wide, left, right = max(spans, key=lambda span: (span[0], -span[1]))
        return self._plate((left + right) / 2, y, label, ink, wide - 24)

    def _last_user(self) -> float:
        return max((one.x for one in self.lines if one.world == "user"), default=self.left)

    def _plate(self, x: float, y: float, words: str, ink: str, room: float = 400) -> str:
        """Words on an arrow, the line hidden behind them."""
        if not words:
            return ""
        size = LABEL
        wide = text_width(words, size) * 0.98
        words = fit(words, max(room, 24), size) if wide > room else words
        wide = min(wide, max(room, 24)) + 4
        ground = "panel" if abs(y - self.y.get(self.current, -99)) < 30 else "paper"
        plate = rect(x - wide / 2, y - 8, wide, 16, ground)
        weight = 600 if ink in ("loss", "data") else 400
        return plate + text(x, y + 4, words, size, ink, weight, "middle")

    def _refusal(
        self, moment: dict[str, Json], start: float, end: float, y: float, colour: str, ink: str
    ) -> str:
        toward = 1 if end > start else -1
        stop = end - 11 * toward
        errno = moment.get("errno", "")
        said = numbered(errno) if errno else "lost"
        if moment.get("back"):
            body = self._shaft(stop, start, y, colour, "5 3", True)
            body += self._labels(moment, stop, start, y, f"✕ {errno}", ink)
            return body + self._blow(end - 2 * toward, y, colour)
        body = line(start + 3 * toward, y, stop, y, colour, 1.75)
        body += self._labels(moment, start, stop, y, moment.get("label", ""), ink)
        body += self._blow(end - 2 * toward, y, colour)
        low = y + 19
        bounce = f"M{number(end - 2 * toward)} {number(y + 9)}V{number(low)}"
        body += path(bounce, stroke=colour, width=1.5, dash="4 3")
        if not errno:
            return body + self._plate(end - 2 * toward, low + 2, said, ink)
        body += self._shaft(end - 2 * toward, start, low, colour, "4 3", True)
        return body + self._plate((start + end) / 2, low, said, ink)

    @staticmethod
    def _blow(x: float, y: float, colour: str) -> str:
        return circle(x, y, 8, "paper", colour, 1.75) + cross(x, y, 3.4, colour)

    def _panic(self, moment: dict[str, Json], y: float) -> str:
        first = next(one.x for one in self.lines if one.world == "boundary")
        body = rect(first, y - 9, self.right - first, 18, f"url(#{self.name}-loss)")
        body += line(first, y + 9, self.right, y + 9, "loss", 2)
        words = "panic: the machine stops"
        middle = (first + self.right) / 2
        wide = text_width(words, 12, 600) + 28
        body += rect(middle - wide / 2, y - 11, wide, 22, "paper", "loss", 2, 4)
        body += cross(middle - wide / 2 + 13, y, 4)
        return body + text(middle + 8, y + 4, words, 12, "loss", 600, "middle")

    def _key(self) -> str:
        """What the marks are."""
        y, x = self.bottom + 14, self.left - 30
        body = line(0, self.bottom, self.width, self.bottom, "hair")
        for words in KEY:
            body += self._mark(words, x, y) + text(x + 31, y + 4, words, 11, "ink2")
            x += 31 + text_width(words, 11) + 22
        return body

    def _mark(self, words: str, x: float, y: float) -> str:
        if words == KEY[2]:
            return circle(x + 12, y, 4.5, "paper", "ink", 1.75)
        if words == KEY[4]:
            return self._blow(x + 12, y, "loss")
        if words == KEY[5]:
            return rect(x + 9, y - 7, 6, 14, "raise", "kern")
        back = words == KEY[1]
        colour = "data" if words == KEY[3] else "ink"
        body = line(x, y, x + 22, y, colour, 1.5, "5 3" if back else "")
        head = f"M{number(x + 17)} {number(y - 4)}l7 4l-7 4"
        return body + (path(head, stroke="ink", width=1.5) if back else path(f"{head}z", colour))
