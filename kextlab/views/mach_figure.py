"""Ports, rights, messages and memory, drawn still: the part of a picture that shows Mach.

Above the line processes with a cell for each name and each window on memory; below it ports with
their queues and memory objects with their pages. An arrow leads from a name to its port: thick to
receive, thin to send, dashed to send once. A ribbon leads from a window to what it shows. Beyond
the most that are drawn, the rest is counted.

Left out, against the scene: port sets' members, what a step has changed.
"""

from __future__ import annotations

from itertools import islice

from kextlab.views.boundary import HATCH, Span, crossed, label
from kextlab.views.mach_scene import Json, MachScene, rights, sized
from kextlab.views.svg import circle, count, cross, group, line, number, path, rect, text, tip
from kextlab.views.tokens import fit, text_width
from kextlab.views.words import version

PORTS, OBJECTS, PROCESSES, NAMES, WINDOWS, SLOTS = 6, 3, 4, 6, 2, 5
PAD, GAP = 16, 16
NAME, WINDOW, LEAST, PORT, MEMORY, REST = 62, 132, 160, 140, 172, 84
PROCESS, HEAD, STRIP = 30, 46, 40
COLLAR = PROCESS + HEAD + STRIP
BOUNDARY = COLLAR + 12
ROW = BOUNDARY + 120
SLOT = 19
BOX = 46 + SLOTS * SLOT + 26
FOOT = ROW + BOX
HEIGHT = FOOT + 64
LOW = (BOUNDARY + HATCH - COLLAR - 4) / (ROW - COLLAR - 4)
"""At which part of an arrow's height it leaves the hatching."""


def curve(x1: float, y1: float, x2: float, y2: float) -> str:
    """From one point down to another, upright at both ends."""
    half = (y2 - y1) * 0.55
    points = ((x1, y1 + half), (x2, y2 - half), (x2, y2))
    ways = " ".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{number(x1)} {number(y1)}C{ways}"


def page_mark(x: float, y: float, size: float) -> str:
    """A sheet with a folded corner: a page of memory."""
    s, h = size, size * 1.15
    fold = f"{number(s * 0.34)}"
    d = f"M{number(x)} {number(y)}h{number(s * 0.66)}l{fold} {fold}v{number(h - s * 0.34)}h{-s}z"
    return path(d, "data-bg", "data")


class MachFigure:
    """Draws a scene of Mach from ``top`` on.

    Args:
        seen: what there is.
        name: a name for the ids of the picture.
        release: which kernel it is.
        top: the y it begins at; at 0 it stands alone, and shows every process.
    """

    def __init__(self, seen: MachScene, name: str, release: str, top: float = 0) -> None:
        self.seen = seen
        self.release = release
        self.name = name
        self.top = top
        self.all = seen.pids if top else list(seen.procs)
        self.pids = self.all[:PROCESSES]
        self.ports = list(islice(seen.ports, PORTS))
        self.objects = seen.shown()[:OBJECTS]
        self.cells: dict[str, tuple[float, float]] = {}
        self.boxes: dict[str, tuple[float, float]] = {}
        self.processes: list[tuple[str, float, float, int]] = []
        self.width = max(self._above(), self._below())

    # -- places ----------------------------------------------------------------------------

    def _above(self) -> float:
        at = float(PAD)
        most = NAMES if len(self.pids) < PROCESSES else NAMES // 2
        for pid in self.pids:
            names = list(self.seen.names.get(pid, {}))
            windows = [n for n, w in self.seen.windows.items() if str(w["pid"]) == pid]
            left = max(0, len(names) - most) + max(0, len(windows) - WINDOWS)
            names, windows = names[:most], windows[:WINDOWS]
            inner = len(names) * NAME + len(windows) * WINDOW + (34 if left else 0)
            width = max(LEAST, inner + 16)
            x = at + 8
            for one in names:
                self.cells[f"name/{pid}/{one}"] = x, NAME
                x += NAME
            x = at + width - 8 - len(windows) * WINDOW
            for one in windows:
                self.cells[f"win/{one}"] = x, WINDOW - 6
                x += WINDOW
            self.processes.append((pid, at, width, left))
            at += width + GAP
        return at + (REST + GAP if len(self.all) > len(self.pids) else 0)

    def _below(self) -> float:
        at = float(PAD)
        for one in self.ports:
            self.boxes[f"port/{one}"] = at, PORT
            at += PORT + GAP
        for one in self.objects:
            self.boxes[f"obj/{one}"] = at, MEMORY
            at += MEMORY + GAP
        more = len(self.seen.ports) > PORTS or len(self.seen.shown()) > OBJECTS
        self.rest = at
        return at + (REST + GAP if more else 0)

    # -- drawing ---------------------------------------------------------------------------

    def draw(self, width: float) -> str:
        """All of it, on its ground, ``width`` px wide."""
        crossing: list[Span] = []
        between = self._ribbons(crossing) + self._rights(crossing) + self._wires()
        body = self._ground(width) + label(crossing, width, BOUNDARY) + between
        for one in self.ports:
            body += self._port(one)
        for one in self.objects:
            body += self._object(one)
        body += self._others()
        for pid, x, wide, left in self.processes:
            body += self._process(pid, x, wide, left)
        body += text(width - 12, 19, version(self.release), 11, "ink2", anchor="end")
        return f'<g transform="translate(0 {number(self.top)})">{body}</g>'

    def _ground(self, width: float) -> str:
        body = rect(0, 0, width, BOUNDARY, "user-bg")
        body += rect(0, BOUNDARY, width, HEIGHT - BOUNDARY, "kern-bg")
        body += text(12, 19, "USER SPACE", 11, "user", 700, spacing=".06em")
        words = "a name stands for rights to a port: R receives, S sends, O sends once"
        body += text(100, 19, words, 11, "ink2")
        body += text(12, HEIGHT - 10, "KERNEL", 11, "kern", 700, spacing=".06em")
        words = "ports are queues of messages; a memory object is seen through windows"
        body += text(74, HEIGHT - 10, words, 11, "ink2")
        body += rect(0, BOUNDARY, width, HATCH, f"url(#{self.name}-ground)")
        line_ = line(0, BOUNDARY, width, BOUNDARY, "bound", 2.5)
        return group(body + line_, "User space, and below the line the kernel")

    def _process(self, pid: str, x: float, width: float, left: int) -> str:
        seen = self.seen
        body = rect(x, PROCESS, width, HEAD + STRIP, "raise", "user", radius=4)
        body += text(x + 10, PROCESS + 20, fit(seen.who(pid), width - 20, 15, 600), 15, "ink", 600)
        body += text(x + 10, PROCESS + 37, f"pid {pid}", 12, "ink2")
        body += line(x, PROCESS + HEAD, x + width, PROCESS + HEAD, "user")
        for one, name in seen.names.get(pid, {}).items():
            if f"name/{pid}/{one}" in self.cells:
                body += self._name(*self.cells[f"name/{pid}/{one}"], one, name)
        for one, window in seen.windows.items():
            if str(window["pid"]) == pid and f"win/{one}" in self.cells:
                body += self._window(*self.cells[f"win/{one}"], window)
        if left:
            at = x + 8 + sum(key.startswith(f"name/{pid}/") for key in self.cells) * NAME + 16
            body += text(at, PROCESS + HEAD + 24, f"+{left}", 11, "ink2", anchor="middle")
        return group(body, f"process {seen.who(pid)}")

    def _name(self, x: float, width: float, name: str, one: Json) -> str:
        kind, middle = self.seen.kind(one), x + width / 2
        dead = kind == "dead"
        top = PROCESS + HEAD
        body = text(middle, top + 16, fit(name, width - 4, 11), 11, "ink", anchor="middle")
        refs = f" \N{MULTIPLICATION SIGN}{one['refs']}" if one["refs"] > 1 and kind != "R" else ""
        colour = "loss" if dead else "user"
        body += text(
            middle, top + 31, fit(kind + refs, width - 4, 11, 700), 11, colour, 700, "middle"
        )
        if one["to"] or dead:
            body += rect(middle - 12, COLLAR, 24, 4, colour)
        return body

    def _window(self, x: float, width: float, window: Json) -> str:
        seen, top = self.seen, PROCESS + HEAD
        behind = seen.seen(window["object"])
        words = seen.page(behind)
        dash = "" if window["object"] else "2 2"
        fill = "data-bg" if words else "raise"
        body = rect(x, top + 3, width, STRIP - 3, fill, "data", radius=2, dash=dash)
        prot = rights(window["prot"])
        room = width - 16 - text_width(prot, 11)
        body += text(x + 5, top + 16, fit(f"{window['start']:#x}", room, 11), 11)
        body += text(x + width - 5, top + 16, prot, 11, "ink2", anchor="end")
        words = words or "zeros"
        body += text(x + 5, top + 31, fit(words, width - 10, 11, 600), 11, "ink", 600)
        body += rect(x, COLLAR, width, 4, "data")
        return group(body, f"a window of {sized(window['size'])} on memory {behind or '(zeros)'}")

    def _rights(self, crossing: list[Span]) -> str:
        """Arrows from names to ports; adds where they cross the boundary."""
        arrows: dict[str, list[tuple[float, str]]] = {}
        body = ""
        for pid in self.pids:
            for name, one in self.seen.names.get(pid, {}).items():
                cell = self.cells.get(f"name/{pid}/{name}")
                if cell is None:
                    continue
                x, kind = cell[0] + cell[1] / 2, self.seen.kind(one)
                if kind == "dead" or (one["to"] and one["to"] not in self.boxes):
                    crossing.append((x - 4, x + 4))
                if kind == "dead":
                    body += line(x, COLLAR + 4, x, BOUNDARY + 26, "loss", 1.4, "2 3")
                    body += cross(x, BOUNDARY + 32, 4)
                elif one["to"] in self.boxes:
                    arrows.setdefault(one["to"], []).append((x, kind))
                elif one["to"]:
                    body += line(x, COLLAR + 4, x, BOUNDARY + 28, "user", 1.4, "2 3")
        for to, found in arrows.items():
            x, width = self.boxes[to]
            pitch = min(22.0, (width - 24) / max(1, len(found) - 1))
            first = x + width / 2 - pitch * (len(found) - 1) / 2
            for at, (start, kind) in enumerate(sorted(found)):
                end = first + at * pitch
                crossing.append(crossed(start, end, LOW))
                thick = kind.startswith("R")
                way = curve(start, COLLAR + 4, end, ROW - 6)
                body += path(way, stroke="user", width=3 if thick else 1.4,
                             dash="5 4" if kind == "O" else "")  # fmt: skip
                body += tip(end, ROW - 1, 1, "user", 6.5 if thick else 5)
        return body

    def _ribbons(self, crossing: list[Span]) -> str:
        """From windows to the memory behind them; adds where they cross the boundary."""
        on: dict[str, list[tuple[float, float, bool]]] = {}
        for key, window in self.seen.windows.items():
            cell = self.cells.get(f"win/{key}")
            behind = self.seen.seen(window["object"])
            if cell is not None and f"obj/{behind}" in self.boxes:
                lazy = behind != window["object"] or window["copied"]
                on.setdefault(behind, []).append((*cell, lazy))
        body = ""
        for behind, found in on.items():
            x, width = self.boxes[f"obj/{behind}"]
            part = (width - 8) / len(found)
            for at, (start, wide, lazy) in enumerate(sorted(found)):
                left = x + 4 + at * part + 1.5
                right = left + part - 3
                sides = crossed(start, left, LOW)[0], crossed(start + wide, right, LOW)[1]
                crossing.append(sides)
                one = curve(start, COLLAR + 4, left, ROW)
                two = curve(start + wide, COLLAR + 4, right, ROW)
                if not lazy:
                    back = curve(right, ROW, start + wide, COLLAR + 4).replace("M", "L")
                    body += f'<g opacity=".55">{path(one + back + "Z", "data-bg")}</g>'
                body += path(one + two, stroke="data", width=1.25, dash="5 4" if lazy else "")
        return body

    def _wires(self) -> str:
        """Rights on their way: from a message to the port they are rights to."""
        body, at = "", 0
        for port in self.ports:
            x, width = self.boxes[f"port/{port}"]
            for nth, item in enumerate(self.seen.ports[port]["q"][:SLOTS]):
                carried = [*item[7], *([item[6]] if item[6] else [])]
                for to, right in carried:
                    if f"port/{to}" not in self.boxes:
                        continue
                    end = self.boxes[f"port/{to}"][0] + PORT / 2 + 10 * (at % 3) - 10
                    y, low = ROW + 42 + (nth + 0.5) * SLOT, FOOT + 12 + 6 * (at % 5)
                    side = x + width + 4 + 3 * (at % 3)
                    way = f"M{number(x + width - 9)} {number(y)}H{number(side)}V{number(low)}"
                    way += f"H{number(end)}V{number(FOOT + 6)}"
                    once = "5 4" if right == "SEND_ONCE" else ""
                    thick = 2.75 if right == "RECEIVE" else 1.4
                    body += path(way, stroke="user", width=thick, dash=once)
                    body += circle(x + width - 9, y, 2.4, "user") + tip(end, FOOT + 1, -1, "user")
                    at += 1
        return group(body, "rights in messages, on their way") if body else ""

    def _port(self, port: str) -> str:
        seen, one = self.seen, self.seen.ports[port]
        x, width = self.boxes[f"port/{port}"]
        entry = seen.entry(port)
        full = one["limit"] > 0 and one["count"] >= one["limit"]
        body = rect(x, ROW, width, BOX, "raise", "kern", radius=4)
        body += text(x + 9, ROW + 19, fit(seen.called(port), width - 18, 13, 600), 13, "ink", 600)
        who = f"{seen.who(one['receiver'])} receives" if one["receiver"] else "right in a message"
        if entry:
            who = f"{sized(seen.entries[entry]['size'])} of memory"
        body += text(x + 9, ROW + 34, fit(one["service"] or who, width - 18, 11), 11, "ink2")
        counts = [
            f"{one[key]} {letter}" for key, letter in (("send", "S"), ("once", "O")) if one[key]
        ]
        body += text(x + 9, FOOT - 9, " · ".join(counts) or "no senders", 11, "user", 600)
        if entry:
            body += page_mark(x + width / 2 - 13, ROW + 58, 26)
            words = f"memory {seen.entries[entry]['object']}"
            body += text(x + width / 2, ROW + 108, words, 11, "ink2", anchor="middle")
            return group(body, seen.called(port))
        if one["receiver"] == "kernel":
            body += text(x + width / 2, ROW + 80, "a kernel object", 11, "ink2", anchor="middle")
            return group(body, seen.called(port))
        slots = max(1, min(SLOTS, one["limit"]))
        top, bar = ROW + 42, ROW + 42 + slots * SLOT
        body += rect(x + 9, top, width - 18, slots * SLOT, "none", "rule", dash="2 2")
        colour = "loss" if full else "ink2"
        body += line(x + 5, bar, x + width - 5, bar, colour, 2.5)
        of = f"{one['count']} of {one['limit']}"
        body += text(x + width - 9, FOOT - 9, of, 11, colour, 600 if full else 400, "end")
        many = len(one["q"]) if len(one["q"]) <= SLOTS else SLOTS - 1
        for nth, item in enumerate(one["q"][:many]):
            body += self._message(x + 9, top + nth * SLOT, width - 18, item)
        if many < len(one["q"]):
            y = top + many * SLOT + SLOT / 2 + 4
            more = f"+{len(one['q']) - many}"
            body += text(x + width / 2, y, more, 11, "ink", anchor="middle")
        return group(body, f"{seen.called(port)}, {of} messages")

    def _message(self, x: float, y: float, width: float, item: Json) -> str:
        body = rect(x + 0.5, y + 1, width - 1, SLOT - 2, "data-bg", "data", radius=2)
        end = x + width - 4
        for to, right in item[7][:2]:
            if right == "MEMORY" or self.seen.entry(str(to)):
                body += page_mark(end - 9, y + 4, 8.5)
            else:
                middle = number(y + SLOT / 2)
                body += path(f"M{number(end - 11)} {middle}h6", stroke="user", width=1.75)
                body += path(f"M{number(end - 6)} {number(y + SLOT / 2 - 3)}l5 3l-5 3z", "user")
            end -= 13
        words, size = f"id {item[4]}", f"{count(item[1])} B"
        body += text(x + 5, y + 13, fit(words, end - x - 8, 11, 600), 11, "ink", 600)
        if text_width(words, 11, 600) + text_width(size, 11) + 12 < end - x:
            body += text(end - 1, y + 13, size, 11, "ink2", anchor="end")
        return group(body, f"message id {item[4]}, {count(item[1])} bytes")

    def _object(self, name: str) -> str:
        one = self.seen.objects[name]
        x, width = self.boxes[f"obj/{name}"]
        body = rect(x, ROW, width, BOX, "raise", "data", radius=4)
        size = sized(one["size"])
        body += text(x + 9, ROW + 19, f"memory {name}", 13, "ink", 600)
        body += text(x + width - 9, ROW + 19, size, 11, "ink2", anchor="end")
        windows = sum(self.seen.seen(w["object"]) == name for w in self.seen.windows.values())
        words = f"{windows} window{'s' * (windows != 1)}"
        if one["shadow"] and one["pages"]:
            words = f"copied from memory {self.seen.seen(one['shadow'])}"
        body += text(x + 9, ROW + 34, fit(words, width - 18, 11), 11, "ink2")
        pages = sorted(one["pages"].items(), key=lambda page: -page[1][2])
        for nth, (index, page) in enumerate(pages[:2]):
            y = ROW + 42 + nth * 46
            body += rect(x + 9, y, width - 18, 42, "data-bg", "data", radius=2)
            body += text(x + 15, y + 15, f"page {index}", 11, "ink2")
            words = self.seen.glimpse(page)
            body += text(x + 15, y + 31, fit(words, width - 30, 11, 600), 11, "ink", 600)
        if not pages:
            body += rect(x + 9, ROW + 42, width - 18, 42, "none", "rule", dash="2 2")
            body += text(x + width / 2, ROW + 67, "zeros", 11, "ink2", anchor="middle")
        if len(pages) > 2:
            body += text(x + 9, FOOT - 9, f"and {len(pages) - 2} more", 11, "ink2")
        return group(body, f"memory {name}, {size}, {windows} windows")

    def _others(self) -> str:
        body = ""
        left = [(len(self.seen.ports) - len(self.ports), "ports")]
        left.append((len(self.seen.shown()) - len(self.objects), "memory"))
        rows = [(many, words) for many, words in left if many > 0]
        if rows:
            body += rect(self.rest, ROW, REST, BOX, "raise", "kern", radius=4, dash="4 3")
        for at, (many, words) in enumerate(rows):
            x, y = self.rest + REST / 2, ROW + 28 + 46 * at
            body += text(x, y, f"+{count(many)}", 15, "ink", 600, "middle")
            body += text(x, y + 17, fit(words, REST - 8, 11), 11, "ink2", anchor="middle")
        hidden = len(self.all) - len(self.pids)
        if hidden > 0:
            last = self.processes[-1]
            x = last[1] + last[2] + GAP
            body += rect(x, PROCESS, REST, HEAD + STRIP, "raise", "user", radius=4)
            words = f"+{count(hidden)}"
            body += text(x + REST / 2, PROCESS + 28, words, 15, "ink", 600, "middle")
            body += text(x + REST / 2, PROCESS + 46, "processes", 11, "ink2", anchor="middle")
        return body
