"""Scene documents: a whole trace as moments, keyframes and patches, for whoever draws it.

``kextlab-scene/1``, described in ``docs/scene-format.md``. One pass over the trace; each moment
holds only what changed. ``SceneWriter`` goes on where it stopped, so a live picture costs what is
new.

Left out: the steps between two moments (they belong to the earlier one) and what ``mirror`` leaves
out.
"""

from __future__ import annotations

import base64
from typing import Any

from kextlab.bsd.release import release_named
from kextlab.trace import codes
from kextlab.trace.events import Event
from kextlab.views import routes
from kextlab.views.fields import STRUCTS
from kextlab.views.mirror import Mirror, empty
from kextlab.views.mirror_queue import CUT
from kextlab.views.parts import short_type
from kextlab.views.patches import FORMAT, apply, copied, squeezed
from kextlab.views.provenance import Source
from kextlab.views.source import trace_of
from kextlab.views.teller import Teller
from kextlab.views.told import Told

Json = Any  # a JSON value

APART = 256
"""Moments between two keyframes, at least."""
WORTH = 0.25
"""A keyframe is due once the operations since the last one are this part of its values."""


def layouts() -> dict[str, list[list[Json]]]:
    """The structs of the inspector: name, offset, size and type of every field."""
    return {
        name: [[f.name, f.offset, f.size, short_type(f.ctype)] for f in struct.LAYOUT]
        for name, struct in STRUCTS.items()
    }


class SceneWriter:
    """Writes the scene document of a trace, and later what is new.

    Args:
        source: a trace, a machine, or a run of a scenario.
        title: what the document is called.

    Raises:
        TypeError: the source is nothing of these.
    """

    def __init__(self, source: object, *, title: str = "") -> None:
        self.title = title
        self._trace = trace_of(source, "SceneWriter()")
        self._teller = Teller(detail=True)
        self._mirror = Mirror(self._teller.state, self._intern)
        self._lifelines: dict[str, dict[str, str]] = {}
        self._sources: dict[Source, int] = {}
        self._data: dict[bytes, int] = {}
        self._moments: list[dict[str, Json]] = []
        self._patches: list[list[Json]] = []
        self._keyframes: list[list[Json]] = []
        self._state = empty()
        self._since, self._due = 0, 0.0
        self._steps = 0
        self._sent = [0, 0, 0, 0]
        self._lifeline(routes.BOUNDARY, routes.NAMES[routes.BOUNDARY], "boundary")
        for name in (routes.KERNEL, routes.CONTROL):
            self._lifeline(name, routes.NAMES[name], "kern")

    # -- reading ---------------------------------------------------------------------------

    def _read(self) -> None:
        """Take in what the trace holds beyond what was read before."""
        teller, mirror = self._teller, self._mirror
        for entry in self._trace.entries(self._steps):
            before = teller.frames
            closing = before[-1] if entry[0] in codes.RETURNS and before else None
            stopped = before[::-1] if entry[0] == codes.STOP else ()
            told = teller.tell(entry)
            event = teller.event
            assert event is not None
            said = bool(told) and entry[0] == codes.KMSG_QUEUE  # a message has a moment of its own
            mirror.take(entry, event, teller.frames, len(self._moments) - 1 + said)
            if event.kind == "switch":
                mirror.awake(teller.frames)
            elif event.kind == "stop" and event.name != "panic":
                for frame in stopped:
                    mirror.closed(frame, [], True)
            elif closing is not None:
                mirror.closed(closing, teller.frames, bool(told))
            elif event.kind == "change" and event.changes and event.changes[0].old is None:
                self._appear(event)
            for one in told:
                self._open(one)
            self._steps += 1

    def _appear(self, event: Event) -> None:
        """Something new got a lifeline."""
        kind, _, rest = event.changes[0].object.partition(":")
        if kind == "proc":
            self._lifeline(f"proc:{rest}", str(event.changes[0].new), "user")
        elif kind == "kext":
            self._lifeline(f"kext:{rest}", rest, "kern")

    def _lifeline(self, ident: str, name: str, world: str) -> None:
        self._lifelines.setdefault(ident, {"id": ident, "name": name, "world": world})

    def _intern(self, data: bytes) -> int:
        return self._data.setdefault(data, len(self._data))

    def _source(self, source: Source) -> int:
        return self._sources.setdefault(source, len(self._sources))

    # -- moments ---------------------------------------------------------------------------

    def _open(self, told: Told) -> None:
        """A new moment: what happened before its step belongs to the one before."""
        self._close(told.step)
        mirror = self._mirror
        if mirror.later:
            mirror.ops[:0] = [(told.step, op) for op in mirror.late()]
            mirror.later.clear()
        number = len(self._moments)
        self._key(number)
        self._moments.append(self._moment(told))
        self._patches.append([])
        if told.frame is not None:
            told.frame.moment = number
        if told.mark is not None:
            self._mirror.mark(told.peer or told.socket, *told.mark, number)

    def _close(self, step: int) -> None:
        """The operations of steps before ``step`` become part of the last moment."""
        ops = self._mirror.ops
        if not ops or ops[0][0] >= step:
            return
        cut = len(ops)
        while ops[cut - 1][0] >= step:
            cut -= 1
        done = squeezed([op for _, op in ops[:cut]])
        del ops[:cut]
        self._mirror.pending.closed += 1
        for op in done:
            apply(self._state, op)
        self._since += len(done)
        if self._moments:  # before the first moment they are part of the first keyframe
            self._patches[-1] = done
            self._moments[-1] |= _queued(done, self._state, self._moments[-1])

    def _key(self, number: int) -> None:
        """Keep the whole state before this moment, if it is time."""
        if self._keyframes:
            last = self._keyframes[-1][0]
            if number - last < APART or self._since < self._due:
                return
        self._keyframes.append([number, copied(self._state)])
        self._since, self._due = 0, WORTH * self._size()

    def _size(self) -> int:
        """Roughly how many values the state holds."""
        socks = self._state["socks"].values()
        mach, mem = self._state.get("mach", {}), self._state.get("mem", {})
        more = sum(len(one) for table in (mach, mem) for one in table.values() if one)
        return (
            12 * more
            + 24 * len(self._state["procs"]) // 4
            + sum(24 + 3 * (len(sock["rcv"]["q"]) + len(sock["snd"]["q"])) for sock in socks)
        )

    def _moment(self, told: Told) -> dict[str, Json]:
        for name in (routes.EVENTS, routes.PORTS):
            if name in (told.sender, told.receiver):
                self._lifeline(name, routes.NAMES[name], "kern")
        for end in (told.sender, told.receiver):
            if end.startswith("kext:"):  # a driver, which is no kext of its own
                self._lifeline(end, end.removeprefix("kext:"), "kern")
        moment: dict[str, Json] = {
            "step": told.step,
            "world": told.world,
            "text": told.text,
            "from": told.sender,
            "to": told.receiver,
            "kind": told.kind,
        }
        cause = told.inside.moment if told.inside is not None else None
        optional = {
            "depth": told.depth,
            "label": told.label,
            "via": told.via,
            "errno": told.errno,
            "why": told.why,
            "socket": told.socket,
            "task": told.task,
        }
        moment |= {name: value for name, value in optional.items() if value}
        if cause is not None:
            moment["cause"] = cause
        if told.back:
            moment["back"] = 1
        if told.source is not None:
            moment["source"] = self._source(told.source)
        if told.payload is not None and told.payload.data:
            moment["data"] = [self._intern(told.payload.data[:CUT]), told.payload.length]
            if told.payload.struct:
                moment["struct"] = told.payload.struct
            if told.parts:
                moment["fields"] = [[p.name, p.start, p.size, p.ctype, p.value] for p in told.parts]
        if told.about:
            moment["about"] = [list(row) for row in told.about]
        return moment

    # -- writing ---------------------------------------------------------------------------

    def document(self) -> dict[str, Json]:
        """The whole document, up to the trace's end."""
        self._read()
        self._sent = self._counts()
        kernel = self._teller.state.get("kernel")
        release = str(kernel["release"]) if kernel is not None else ""
        return {
            "format": FORMAT,
            "title": self.title,
            "release": release,
            "macos": release_named(release).macos.removeprefix("macOS ") if release else "",
            "steps": self._steps,
            "lifelines": ordered(list(self._lifelines.values())),
            "sources": [list(source) for source in self._sources],
            "datas": [base64.b64encode(data).decode() for data in self._data],
            "structs": layouts(),
            **self._open_end(0),
        }

    def more(self) -> dict[str, Json] | None:
        """What is new since the last ``document()`` or ``more()``; ``None`` if nothing is.

        The moment named by ``from``, and its patch, replace what was sent of it: the last moment
        may have grown. ``keyframes`` are those that are new; with ``from`` 0 they are all.
        """
        if len(self._trace) == self._steps:
            return None
        start = max(0, len(self._moments) - 1)
        self._read()
        lifelines, sources, data, keyframes = self._sent
        self._sent = self._counts()
        more: dict[str, Json] = {
            "from": start,
            "steps": self._steps,
            "lifelines": list(self._lifelines.values())[lifelines:],
            "sources": [list(source) for source in list(self._sources)[sources:]],
            "datas": [base64.b64encode(one).decode() for one in list(self._data)[data:]],
            **self._open_end(start),
        }
        if start:
            more["keyframes"] = more["keyframes"][keyframes:]
        return more

    def _open_end(self, start: int) -> dict[str, Json]:
        """Moments and patches from ``start`` on, and all keyframes. What follows the last moment is
        added to it here only: the next moment may take some of it."""
        ops = [op for _, op in self._mirror.ops] + self._mirror.late()
        moments, patches = self._moments[start:], self._patches[start:]
        keyframes = list(self._keyframes)
        if ops or not keyframes:
            state = copied(self._state)
            ops = squeezed(ops)
            for op in ops:
                apply(state, op)
            if moments:
                patches[-1] = ops
                moments[-1] = moments[-1] | _queued(ops, state, moments[-1])
            else:
                keyframes = [[0, state]]
        return {"moments": moments, "keyframes": keyframes, "patches": patches}

    def _counts(self) -> list[int]:
        return [len(self._lifelines), len(self._sources), len(self._data), len(self._keyframes)]


def _queued(ops: list[Json], state: Json, moment: dict[str, Json]) -> dict[str, Json]:
    """How full the queue is that changed last, to stand beside a moment."""
    for op in reversed(ops):
        parts = op[0].split("/")
        if parts[-1] == "cc" and parts[2] == "rcv" and parts[1] in state["socks"]:
            sock = state["socks"][parts[1]]
            unit = "events" if sock["type"] == "events" else f"unit {sock['unit']}"
            if "local" in sock:
                holder = state["procs"].get(str(sock["pid"]), {}).get("name", "")
                unit = f"{holder} fd {sock['fds'][0]}" if sock["fds"] else "a waiting connection"
            socket = moment.get("socket", int(parts[1]))
            return {"queued": [unit, op[1]], "socket": socket}
    return {}


def ordered(lifelines: list[dict[str, str]]) -> list[dict[str, str]]:
    """Processes, the boundary, the kernel, Mach's ports, kernel controls, kexts, kernel events."""
    rank = {routes.KERNEL: 0, routes.PORTS: 1, routes.CONTROL: 2, routes.EVENTS: 4}
    worlds = {"user": 0, "boundary": 1, "kern": 2}
    return sorted(lifelines, key=lambda a: (worlds[a["world"]], rank.get(a["id"], 3)))


def scene_document(source: object, *, title: str = "") -> dict[str, Json]:
    """The scene document of a trace, a machine or a run.

    Raises:
        TypeError: the source is nothing of these.
    """
    return SceneWriter(source, title=title).document()
