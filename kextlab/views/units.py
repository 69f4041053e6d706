"""The picture of the machine: who is connected to which unit, and what is queued for whom.

User space above, the kernel below, the boundary a drawn line. Processes hold descriptors, kernel
controls hold units, a connection is a pipe across the line (``kextlab.views.lane``). Beyond
``columns.MOST_LANES`` sockets the rest is summed up in one column.
"""

from __future__ import annotations

import math
from itertools import groupby

from kextlab.kernel.kernel import Kernel
from kextlab.trace.fold import State
from kextlab.trace.log import Trace
from kextlab.views.boundary import HATCH, WIDE, Span, label
from kextlab.views.columns import Column, Rest, columns_of
from kextlab.views.jobs_figure import Jobs, jobs_in, jobs_in_state, state_of
from kextlab.views.lane import (
    END,
    PIPE_LEFT,
    PIPE_RIGHT,
    RECEIVE,
    RECEIVE_LEFT,
    WIDTH,
    Frame,
    draw_lane,
)
from kextlab.views.local_figure import joined, path_below, plate
from kextlab.views.mach_figure import HEIGHT as MACH_HEIGHT
from kextlab.views.mach_figure import MachFigure
from kextlab.views.mach_scene import MachScene, mach_in_document, mach_in_state
from kextlab.views.patches import Json, after, checked, moment_at
from kextlab.views.picture import Picture, name_for
from kextlab.views.queues import Queue, queues
from kextlab.views.scene import Control, Lane, Scene, scene
from kextlab.views.source import trace_of
from kextlab.views.still import still
from kextlab.views.svg import (
    circle,
    count,
    cross,
    document,
    group,
    hatch,
    line,
    number,
    rect,
    text,
)
from kextlab.views.tokens import fit, text_width
from kextlab.views.words import describe, some, version

GUTTER, GAP = 56, 8
PROCESS, PROCESS_HEIGHT, ROW = 30, 44, 20
COLLAR = PROCESS + PROCESS_HEIGHT + ROW
BOUNDARY = COLLAR + 12
TOP = BOUNDARY + 66
PORT = 20
CONTROL_HEIGHT = 66
LEAST_WIDTH, NOTES = 640, 340


def units_picture(
    source: Trace | Kernel | State | dict[str, Json],
    step: int | None = None,
    *,
    notes: bool = False,
) -> Picture:
    """Who is connected to which unit, as a static SVG with alternative text.

    Args:
        source: a trace, a machine, a scene document, or a state (``mac.snapshot()``), which
            knows nothing of refusals.
        step: draw the machine as it was after this many steps (default: as it is).
        notes: explain the parts in the free room on the right.

    Raises:
        IndexError: the trace has no such step.
        TypeError: the source is nothing of these.
        ValueError: the document is of another version.
    """
    if isinstance(source, Kernel) and source.trace.record is None:
        source = source.snapshot()  # a machine that records nothing can be drawn as it is
    if isinstance(source, dict) and "format" in source:
        doc = checked(source)
        moment = moment_at(doc, step)
        seen, history = still(doc, moment)
        shown = after(doc, moment)
        mach, jobs = mach_in_document(doc, shown), jobs_in(shown)
    elif isinstance(source, dict):
        seen, history = scene(source), {}
        mach, jobs = mach_in_state(source), jobs_in_state(source)
    else:
        trace = trace_of(source, "units_picture()")
        state = trace.state(step)
        seen, history = scene(state), queues(trace, step)
        mach, jobs = mach_in_state(state), jobs_in_state(state)
    return _Drawing(seen, history, notes, mach, jobs).picture()


class _Drawing:
    """One picture being drawn."""

    def __init__(
        self,
        seen: Scene,
        history: dict[int, Queue],
        notes: bool,
        mach: MachScene | None,
        jobs: Jobs | None,
    ) -> None:
        self.seen = seen
        self.history = history
        self.words = describe(seen, history)
        if mach is not None:
            self.words = "\n".join([self.words, *mach.sentences()])
        if jobs is not None:
            self.words = "\n".join([self.words, *jobs.sentences()])
        self.jobs = jobs
        pids = {int(pid) for pid in mach.pids} if mach is not None else set[int]()
        self.columns = columns_of(seen, history, pids, jobs)
        self.notes = notes
        shown = [column.lane for column in self.columns if column.lane is not None]
        self.piped = [lane for lane in shown if lane.piped]
        largest = max((lane.rcv.hiwat for lane in self.piped), default=0)
        scale = 32
        while largest / scale > 512:
            scale *= 2
        height = max(96.0, largest / scale) if self.piped else 24.0
        refused = any(lane.socket in history and history[lane.socket].open for lane in self.piped)
        below = 96 if refused else 34
        self.control_top = TOP + height + below + PORT
        self.height = self.control_top + CONTROL_HEIGHT + 30
        lanes_end = GUTTER + len(self.columns) * (WIDTH + GAP)
        self.lanes_end = lanes_end
        last = max((end for _, end in self._crossing()), default=0)
        room = NOTES if notes else 0
        self.width = max(LEAST_WIDTH, lanes_end + 8 + room, math.ceil(last + WIDE))
        self.frame = Frame(
            COLLAR,
            BOUNDARY,
            TOP,
            height,
            self.control_top - PORT,
            scale,
            name_for(self.words + str(notes)),
            seen.panic is not None,
        )
        self.below = None
        if mach is not None:
            alone = not seen.lanes and not seen.controls
            top = 0 if alone else self.height
            self.below = MachFigure(mach, self.frame.name, seen.release, top)
            self.width = max(LEAST_WIDTH, int(self.below.width), 0 if alone else self.width)

    def picture(self) -> Picture:
        """Draw everything, back to front."""
        name = self.frame.name
        defs = (
            "<defs>"
            + hatch(f"{name}-ground", "bound", None, 1.4)
            + hatch(f"{name}-loss", "loss", "loss-bg", 1.6)
            + hatch(f"{name}-panic", "loss", None, 2)
            + f'<pattern id="{name}-stream" width="4" height="4" patternUnits="userSpaceOnUse">'
            + rect(0, 0, 4, 4, "data-bg")
            + line(2, 0, 2, 4, "data")
            + "</pattern></defs>"
        )
        body = [defs, self._worlds(), self._axis(), self._boundary()]
        for at, column in enumerate(self.columns):
            x = self._x(at)
            if column.lane is not None and column.lane in self.piped:
                queue = self.history.get(column.lane.socket)
                body.append(draw_lane(x, column.lane, queue, self.frame))
            elif column.lane is not None:
                body.append(self._unconnected(x, column.lane))
            elif column.rest is not None:
                body.append(self._rest(x, column.rest))
        body += [self._joined(), self._processes(), self._controls(), self._ports()]
        if self.notes:
            body.append(self._notes())
        if self.seen.panic is not None:
            body.append(self._panic(self.seen.panic))
        title = "Processes, kernel controls and units"
        height = self.height
        if self.below is not None:
            title = "Processes, ports and memory"
            alone, height = not self.below.top, self.below.top + MACH_HEIGHT
            body = [*([defs] if alone else body), self.below.draw(self.width)]
            if alone and self.seen.panic is not None:
                body.append(self._panic(self.seen.panic))
        if self.jobs is not None:
            rows = self.jobs.height(self.width)
            moved = f'<g transform="translate(0 {number(rows)})">{"".join(body)}</g>'
            body, height = [self.jobs.draw(self.width), moved], height + rows
        svg = document(self.width, height, name, title, self.words, "".join(body))
        return Picture(title, self.words, svg)

    def _x(self, at: int) -> float:
        return GUTTER + at * (WIDTH + GAP)

    # -- the ground ------------------------------------------------------------------------

    def _worlds(self) -> str:
        width, height = self.width, self.height
        body = rect(0, 0, width, BOUNDARY, "user-bg")
        body += rect(0, BOUNDARY, width, height - BOUNDARY, "kern-bg")
        if self.seen.panic is not None:
            hatching = rect(0, BOUNDARY, width, height - BOUNDARY, f"url(#{self.frame.name}-panic)")
            body += f'<g opacity=".2">{hatching}</g>'
        body += text(12, 19, "USER SPACE", 11, "user", 700, spacing=".06em")
        body += text(100, 19, "processes hold descriptors", 11, "ink2")
        body += text(width - 12, 19, version(self.seen.release), 11, "ink2", anchor="end")
        foot = height - 10
        body += text(12, foot, "KERNEL", 11, "kern", 700, spacing=".06em")
        words = "kexts register kernel controls; each connection is one unit"
        if not self.seen.controls and any(lane.local for lane in self.seen.lanes):
            words = "a pipe joins two local sockets; each sends into the other's receive buffer"
        return body + text(74, foot, words, 11, "ink2")

    def _axis(self) -> str:
        if not self.piped:
            return ""
        scale, body = self.frame.scale, ""
        end = self._x(len(self.columns)) - GAP
        for at in range(int(self.frame.height / 64) + 1):
            y = TOP + 64 * at
            body += line(GUTTER - 4, y, end, y, "hair")
            body += text(GUTTER - 8, y + 4, count(int(64 * at * scale)), 11, "ink2", anchor="end")
        return body + text(GUTTER - 8, TOP - 12, "bytes", 11, "ink2", anchor="end")

    def _boundary(self) -> str:
        body = rect(0, BOUNDARY, self.width, HATCH, f"url(#{self.frame.name}-ground)")
        body += line(0, BOUNDARY, self.width, BOUNDARY, "bound", 2.5)
        body += label(self._crossing(), self.width, BOUNDARY)
        return group(body, "The boundary between user space and the kernel")

    def _crossing(self) -> list[Span]:
        """Where pipes cross the boundary."""
        found = []
        for at, column in enumerate(self.columns):
            x = self._x(at)
            if column.rest is not None:
                found.append((x, x + WIDTH))
            elif column.lane in self.piped:
                found.append((x, x + PIPE_RIGHT + 6))
        return found

    # -- above the line --------------------------------------------------------------------

    def _processes(self) -> str:
        body = ""
        at = 0
        for owner, run in groupby(self.columns, lambda column: column.owner):
            columns = list(run)
            if owner:
                body += self._process(self._x(at), columns)
            at += len(columns)
        return body

    def _process(self, x: float, columns: list[Column]) -> str:
        process, job = columns[0].process, columns[0].job
        assert process is not None
        width = len(columns) * (WIDTH + GAP) - GAP
        lanes = [column.lane for column in columns if column.lane is not None]
        height = PROCESS_HEIGHT + (ROW if lanes else 0)
        dash = "4 3" if job is not None else ""
        body = rect(x, PROCESS, width, height, "raise", "user", radius=4, dash=dash)
        name, uid = process.name, f"uid {process.uid}"
        words = f"pid {process.pid}"
        if job is not None:
            name, uid, words = job["label"], "", f"job, {state_of(job)}"
        room = width - 30 - text_width(uid, 12)
        body += text(x + 12, PROCESS + 19, fit(name, room, 15, 600), 15, "ink", 600)
        body += text(x + width - 12, PROCESS + 19, uid, 12, "ink2", anchor="end")
        body += text(x + 12, PROCESS + 36, fit(words, width - 24, 12), 12, "ink2")
        if lanes:
            y = PROCESS + PROCESS_HEIGHT
            body += line(x, y, x + width, y, "user")
        for nth, lane in enumerate(lanes):
            left = x + nth * (WIDTH + GAP)
            y = PROCESS + PROCESS_HEIGHT + 14
            if nth:
                body += line(left - GAP / 2, y - 14, left - GAP / 2, y + 6, "user")
            held = f"{process.name} {lane.fd}" if job is not None else lane.fd
            body += text(left + 12, y, held, 11, "user", 700)
            body += text(left + WIDTH - 12, y, lane.kind, 11, "ink2", anchor="end")
        return group(body, f"process {name}" if job is None else f"job {name}")

    def _unconnected(self, x: float, lane: Lane) -> str:
        words = {"bound": "bound, not connected", "connecting": "connecting …"}
        return text(x + 12, BOUNDARY + 40, words.get(lane.state, "not connected"), 12, "ink2")

    def _rest(self, x: float, rest: Rest) -> str:
        clients = len({lane.pid for lane in rest.lanes})
        number = len(rest.lanes)
        full = sum(lane.rcv.hiwat > 0 and not lane.rcv.free for lane in rest.lanes)
        body = rect(x, PROCESS, WIDTH, PROCESS_HEIGHT + ROW, "raise", "user", radius=4)
        body += text(x + 12, PROCESS + 19, f"{count(number)} more sockets", 15, "ink", 600)
        body += text(
            x + 12, PROCESS + 36, f"of {count(clients)} process{'es' * (clients > 1)}", 12, "ink2"
        )
        port = self.frame.port
        body += rect(x + 24, COLLAR + 5, WIDTH - 48, port - COLLAR, "pipe")
        for wall in (x + 24, x + WIDTH - 24):
            body += line(wall, COLLAR + 5, wall, port + 1, "rule", 1.25)
        body += rect(x + 19, COLLAR, WIDTH - 38, 5, "user")
        middle = x + WIDTH / 2
        body += text(middle, TOP - 22, count(rest.cc), 15, "ink", 600, "middle")
        body += text(middle, TOP - 8, "bytes queued in all", 11, "ink2", anchor="middle")
        if full:
            body += text(middle, TOP + 14, f"full {count(full)}", 12, "loss", 600, "middle")
        return group(body, f"{count(number)} more sockets")

    # -- below the line --------------------------------------------------------------------

    def _controls(self) -> str:
        body = ""
        at = 0
        for serial, run in groupby(self.columns, lambda c: c.control.serial if c.control else 0):
            columns = list(run)
            control = columns[0].control
            if control is not None and serial:
                body += self._control(self._x(at), control, len(columns))
            at += len(columns)
        for at, column in enumerate(self.columns):
            if column.lane is not None and column.lane.kind == "events":
                body += self._box(self._x(at), WIDTH, "kern_event", "", ("broadcasts events",))
        return body

    def _box(
        self, x: float, width: float, title: str, right: str, rows: tuple[str, ...], gone: str = ""
    ) -> str:
        top = self.control_top
        edge, dash = ("loss", "5 3") if gone else ("kern", "")
        body = rect(x, top, width, CONTROL_HEIGHT, "raise", edge, 1.75 if gone else 1, 4, dash)
        room = width - 30 - text_width(right, 12)
        body += text(x + 12, top + 20, fit(title, room, 14, 600), 14, "ink", 600)
        body += text(x + width - 12, top + 20, right, 12, "ink2", anchor="end")
        for at, words in enumerate(rows):
            y = top + 38 + 16 * at
            if words == gone:
                body += cross(x + 16, y - 4, 3.6)
                body += text(x + 26, y, fit(words, width - 38, 11, 600), 11, "loss", 600)
            else:
                body += text(x + 12, y, fit(words, width - 24, 11), 11, "ink2")
        return group(body, title)

    def _control(self, x: float, control: Control, columns: int) -> str:
        width = columns * (WIDTH + GAP) - GAP
        gone = "" if control.loaded else "its code is gone"
        ident = f"kernel control id {control.id}" if columns > 1 else f"id {control.id}"
        calls = " · ".join(control.callbacks)
        return self._box(x, width, control.name, ident, (control.kind, gone or calls), gone)

    def _ports(self) -> str:
        body = ""
        for at, column in enumerate(self.columns):
            x = self._x(at)
            if column.rest is not None:
                held = [lane for lane in column.rest.lanes if lane.control]
                units = some(len(held), "unit")
                body += self._port(x + 19, WIDTH - 38, units, True)
            elif column.lane is not None and column.lane.link is not None and column.lane.piped:
                words, firm = plate(column.lane, self.seen)
                left, wide = x + PIPE_LEFT - 5, PIPE_RIGHT - PIPE_LEFT + 10
                body += self._port(left, wide, fit(words, wide - 8, 11, 700), firm)
                start = x + (PIPE_LEFT + PIPE_RIGHT) / 2 + 14
                body += path_below(
                    start, x + WIDTH - 2, self.control_top + 14, column.lane, self.seen
                )
            elif column.lane is not None and column.lane.control:
                connected = column.lane.connected
                words = f"unit {column.lane.unit}"
                body += self._port(x + PIPE_LEFT - 5, PIPE_RIGHT - PIPE_LEFT + 10, words, connected)
        return body

    def _joined(self) -> str:
        """Pipes between local sockets, which stand side by side."""
        middle = (PIPE_LEFT + PIPE_RIGHT) / 2
        lanes = [
            (self._x(at) + middle, column.lane)
            for at, column in enumerate(self.columns)
            if column.lane is not None and column.lane.piped and column.lane.local
        ]
        return joined(lanes, self.control_top)

    def _port(self, x: float, width: float, words: str, connected: bool) -> str:
        y = self.control_top - PORT
        dash = "" if connected else "4 3"
        body = rect(x, y, width, PORT + 1, "raise", "kern", radius=3, dash=dash)
        if connected:
            body += rect(x, y, width, 5, "kern", radius=2)
        return body + text(x + width / 2, y + 16, words, 11, "kern", 700, "middle")

    # -- over everything -------------------------------------------------------------------

    def _panic(self, words: str) -> str:
        said = f"panic: {words}"
        width = min(self.width - 40, text_width(said, 15, 600) + 60)
        x, y = (self.width - width) / 2, BOUNDARY - 4
        body = rect(x, y, width, 30, "paper", "loss", 2, 4)
        body += cross(x + 18, y + 15, 5)
        body += text(x + 32, y + 20, fit(said, width - 44, 15, 600), 15, "loss", 600)
        return group(body, "The kernel has panicked")

    def _notes(self) -> str:
        """What the parts are, for a first look; each with a dot at the part it names."""
        right = self._x(len(self.columns)) - GAP
        process, row = PROCESS + 22, PROCESS + PROCESS_HEIGHT + 10
        notes: list[tuple[float, float, str, str]] = [
            (right, process, "process", "a running program"),
            (right, row, "descriptor", "the process's number for its socket"),
        ]
        for at, column in reversed(list(enumerate(self.columns))):
            if column.lane is not None and column.lane in self.piped:
                x = self._x(at)
                edge = x + RECEIVE_LEFT + RECEIVE
                bottom = TOP + column.lane.rcv.hiwat / self.frame.scale
                notes += [
                    (x + END + 2, TOP - 27, "bytes queued", "by the kext, for this client"),
                    (edge, bottom - 40, "receive buffer", "recv takes the top datagram"),
                    (edge + 6, bottom, "hiwat", "the most that fits"),
                    (
                        x + PIPE_RIGHT + 6,
                        self.frame.port + 10,
                        "unit",
                        "the kext's number for this client",
                    ),
                ]
                break
        notes.append((right, self.control_top + 33, "kernel control", "what the kext registered"))
        x = self.lanes_end + 20
        body = ""
        for dot, y, name, meaning in notes:
            body += line(dot, y, x - 6, y, "rule") + circle(dot, y, 2.5, "ink2")
            body += text(x, y + 4, name, 12, "ink", 600)
            body += text(x + text_width(name, 12, 600) + 6, y + 4, meaning, 12, "ink2")
        return body
