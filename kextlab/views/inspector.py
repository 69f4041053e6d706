"""The inspector: the bytes of a struct or of a queued record, and the fields they are.

A field and its bytes carry the same number, and highlight each other under the pointer. A queued
record is drawn as the chain of mbufs it is, each to the scale of its storage. Below the bytes of a
Mach call stands what it is about at that step: the port's status, the map entries around the
address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from kextlab.abi.constants import M_EOR, M_EXT, M_PKTHDR, MHLEN, MLEN
from kextlab.trace.fold import State
from kextlab.trace.log import Trace, outside
from kextlab.userland.mach import Message
from kextlab.views.fields import MESSAGE, STRUCTS, least, parts_of
from kextlab.views.mach_about import queue_head, status
from kextlab.views.parts import Part, sized
from kextlab.views.payload import Payload
from kextlab.views.picture import Picture, name_for
from kextlab.views.source import trace_of
from kextlab.views.svg import count, document, group, line, number, path, rect, text
from kextlab.views.teller import Teller
from kextlab.views.tokens import TOKENS, fit, text_width
from kextlab.views.told import Told
from kextlab.views.words import some

MOST = 256
"""Bytes shown."""
TABLE, DUMP, BYTE, ROW = 436, 404, 22.5, 21
MOST_WIDER = 160.0
"""How much wider the column of values gets at most, px."""
DARK = (
    ":root:not([data-theme=light]):not(:has([data-jp-theme-light=true])) ",
    "[data-theme=dark] ",
    "[data-jp-theme-light=false] ",
)


@dataclass(frozen=True, slots=True)
class Link:
    """One mbuf of a chain: its number, where its data lie in its storage, how much there is."""

    number: int
    offset: int
    length: int
    storage: int
    flags: int

    @property
    def names(self) -> str:
        """Its flags by name."""
        names = {M_PKTHDR: "M_PKTHDR", M_EXT: "M_EXT", M_EOR: "M_EOR"}
        return " ".join(name for bit, name in names.items() if self.flags & bit) or "no flags"


def inspect(
    thing: object,
    struct: str = "",
    *,
    step: int | None = None,
    socket: int = 0,
    record: int = 0,
    port: int = 0,
    queue: int = 0,
    field: str = "",
) -> Picture:
    """Show bytes and what they mean.

    Args:
        thing: bytes, a struct of ``kextlab.abi``, a Mach ``Message``, a trace, a machine or a run.
        struct: what bytes are: ``sockaddr_ctl``, ``ctl_info``, ``ctl_event_data``,
            ``kern_event_msg``, ``kev_request``, ``kev_vendor_code``, ``mach_msg`` (a message with
            its descriptors and trailer), ``mach_port_status_t``, ``IODataQueueMemory``; "" for
            plain data.
        step: of a trace: show what the call at this step carries and is about: names as what they
            are in that task, the port's status, the map entries around an address, the data queue;
            with ``socket``, ``port`` or ``queue``, what there is after that many steps.
        socket: of a trace: show a record in this socket's receive queue, as a chain of mbufs.
        record: which record of the queue, 0 is read next.
        port: of a trace: show the status of this port (3 for ``port:3``).
        queue: of a trace: show the head of this data queue of IOKit's.
        field: a field to mark.

    Raises:
        IndexError: no such step, no such record.
        TypeError: ``thing`` is nothing of these.
        ValueError: no such struct, socket, port, queue or field, too few bytes, or the call
            carries none and is about nothing that is shown.
    """
    if isinstance(thing, bytes | bytearray | memoryview):
        data = bytes(thing)
        return _Drawing(data, len(data), parts_of(data, struct), struct, (), field).picture()
    for name, kind in (*STRUCTS.items(), (MESSAGE, Message)):
        if isinstance(thing, kind):
            data = thing.pack()
            return _Drawing(data, len(data), parts_of(data, name), name, (), field).picture()
    trace = trace_of(thing, "inspect()")
    if socket:
        return _queued(trace.state(step), socket, record, field)
    if port:
        data = status(trace.state(step), f"port:{port}")
        struct = "mach_port_status_t"
        title = f"The status of port:{port}{_after(step)}"
        return _Drawing(data, len(data), parts_of(data, struct), struct, (), field, title).picture()
    if queue:
        data = queue_head(trace.state(step), f"io_queue:{queue}")
        struct = "IODataQueueMemory"
        title = f"The head of data queue {queue}{_after(step)}"
        return _Drawing(data, len(data), parts_of(data, struct), struct, (), field, title).picture()
    if step is None:
        raise ValueError(
            "inspect() of a trace takes step=, or socket= and record=, port= or queue="
        )
    told, carried = _carried(trace, step)
    known = carried.struct if len(carried.data) >= least(carried.struct) else ""
    parts = told.parts or parts_of(carried.data, known)
    drawn = _Drawing(carried.data, carried.length, parts, known, (), field, told.text, told.about)
    return drawn.picture()


def _after(step: int | None) -> str:
    return "" if step is None else f" after {some(step, 'step')}"


def _carried(trace: Trace, step: int) -> tuple[Told, Payload]:
    """What is told of a step, and the bytes that go with it."""
    if not 0 <= step < len(trace):
        raise IndexError(outside(step, len(trace) - 1))
    teller = Teller(detail=True)
    last: Told | None = None
    for entry in trace.entries():
        for told in teller.tell(entry):
            if told.step > step:
                break
            last = told
        if teller.event is not None and teller.event.step > step and not teller.frames:
            break
    if last is not None and last.payload is None and last.about:
        return last, Payload(b"", 0)
    if last is None or last.payload is None:
        what = f": {last.text}" if last is not None else ""
        raise ValueError(f"nothing is carried at step {step}{what}")
    return last, last.payload


def _queued(state: State, socket: int, record: int, field: str) -> Picture:
    name = f"so_rcv:{socket}"
    if name not in state:
        there = ", ".join(n[7:] for n in state if n.startswith("so_rcv:")) or "none"
        raise ValueError(f"there is no socket {socket}; there are: {there}")
    packets = []
    packet = cast(int, state[name]["sb_mb"])
    while packet:
        packets.append(packet)
        packet = cast(int, state[f"mbuf:{packet}"]["m_nextpkt"])
    if not 0 <= record < len(packets):
        raise IndexError(f"record {record} is outside the queue, which holds {len(packets)}")
    links, data, parts = [], b"", []
    link = packets[record]
    while link:
        mbuf = state[f"mbuf:{link}"]
        own = cast(bytes, mbuf["m_data"])
        flags, ext = cast(int, mbuf["m_flags"]), cast(int, mbuf["ext_size"])
        storage = ext or (MHLEN if flags & M_PKTHDR else MLEN)
        links.append(Link(link, cast(int, mbuf["m_off"]), len(own), storage, flags))
        parts.append(Part(f"mbuf {link}", len(data), len(own), "bytes", sized(len(own))))
        data += own
        link = cast(int, mbuf["m_next"])
    title = f"Record {record + 1} of {len(packets)} in the receive queue of socket {socket}"
    return _Drawing(data, len(data), parts, "", links, field, title).picture()


class _Drawing:
    """One picture being drawn."""

    def __init__(
        self,
        data: bytes,
        length: int,
        parts: list[Part],
        struct: str,
        links: Sequence[Link],
        field: str,
        title: str = "",
        about: Sequence[tuple[str, str]] = (),
    ) -> None:
        if field and field not in [part.name for part in parts]:
            names = ", ".join(part.name for part in parts)
            raise ValueError(f"there is no field {field!r}; there are {names}")
        self.data, self.length, self.parts = data[:MOST], length, parts
        self.struct, self.links, self.field = struct, links, field
        self.about = about
        self.title = f"struct {struct}" if struct else "Bytes" if parts or not about else "A call"
        self.title = "A Mach message" if struct == MESSAGE else self.title
        if links:
            self.title = "A record is a chain of mbufs"
        self.subtitle = title
        self.names = max([104.0, *(text_width(part.name, 12, 600) + 4 for part in parts)])
        values = max([TABLE - 256.0, *(text_width(part.value, 12) for part in parts)])
        self.table = min(TABLE - 256 + MOST_WIDER, values) + 256 + self.names - 104
        self.words = self._words()
        self.name = name_for(self.words + field)
        self.top = 56.0 + (112 if links else 0) + (20 if title else 0)
        rows = (len(self.data) + 15) // 16
        body = max(len(parts) * ROW + 26, rows * ROW + 26 + (18 if length > len(self.data) else 0))
        self.width = 28.0 + self.table + DUMP + 148
        self.beside = self.top + (body if parts else -20)
        self.height = self.beside + 14 + (ROW * self._rows() + 20 if about else 0)

    def _words(self) -> str:
        lines = [f"{self.title}, {sized(self.length)}, little endian."]
        if not self.parts and self.about:
            lines = [f"{self.title}."]
        if self.subtitle:
            lines.insert(0, self.subtitle if self.subtitle.endswith(".") else f"{self.subtitle}.")
        lines += [
            f"mbuf {one.number} has {one.length:,} of {one.storage:,} bytes in use, from byte "
            f"{one.offset} on ({one.names})."
            for one in self.links
        ]
        lines += [
            f"{part.name}, {part.ctype} at byte {part.start}: {part.value}." for part in self.parts
        ]
        lines += [f"{what}: {value}." for what, value in self.about]
        return "\n".join(lines)

    def picture(self) -> Picture:
        """Draw everything."""
        body = [rect(0, 0, self.width, self.height, "paper"), self._style()]
        body.append(text(16, 26, self.title, 15, "ink", 600))
        if self.parts or not self.about:
            said = f"{sized(self.length)}, little endian"
            body.append(text(self.width - 16, 26, said, 12, "ink2", anchor="end"))
        if self.subtitle:
            words = fit(self.subtitle, self.width - 40, 12.5)
            body.append(text(16, 46, words, 12.5, "ink2"))
        if self.links:
            body.append(self._chain())
        if self.parts or not self.about:
            body += [self._table(), self._dump()]
        body.append(self._beside())
        inside = f'<g id="{self.name}">{"".join(body)}</g>'
        svg = document(self.width, self.height, self.name, self.title, self.words, inside)
        return Picture(self.title, self.words, svg)

    def _style(self) -> str:
        """A field and its bytes light up together."""
        light, dark = zip(TOKENS["sel-bg"], TOKENS["sel"], strict=True)
        rules = ""
        for at in range(len(self.parts)):
            own = f"#{self.name}:has(.f{at}:hover) .f{at} .b"
            rules += f"{own}{{fill:{light[0]};stroke:{light[1]};stroke-width:2}}"
            media = f"{DARK[0]}{own}{{fill:{dark[0]};stroke:{dark[1]}}}"
            rules += f"@media (prefers-color-scheme:dark){{{media}}}"
            rules += "".join(f"{s}{own}{{fill:{dark[0]};stroke:{dark[1]}}}" for s in DARK[1:])
        return f"<style>{rules}</style>"

    def _box(self, x: float, y: float, w: float, h: float, at: int, radius: float = 2) -> str:
        marked = self.parts[at].name == self.field
        fill, edge = ("sel-bg", "sel") if marked else ("paper", "rule")
        shape = rect(x, y, w, h, fill, edge, 2 if marked else 1, radius)
        return shape.replace('class="', 'class="b ', 1)

    # -- the chain -------------------------------------------------------------------------

    def _chain(self) -> str:
        """Each mbuf's storage to scale, its data filled, arrows along m_next."""
        top = 66.0 + (20 if self.subtitle else 0)
        gap = 34.0
        shown = self.links[:8]
        whole = sum(one.storage for one in shown)
        room = self.width - 32 - gap * (len(shown) - 1) - (90 if len(self.links) > 8 else 0)
        body, x = "", 16.0
        least = 74.0
        scale = max(0.0, room - least * len(shown)) / whole
        for at, one in enumerate(shown):
            wide = least + one.storage * scale
            per = wide / one.storage
            inner = text(x, top, f"mbuf {one.number}", 12, "ink", 600)
            inner += text(
                x + text_width(f"mbuf {one.number}", 12, 600) + 6, top, one.names, 11, "ink2"
            )
            inner += rect(x, top + 8, wide, 34, "pipe", "rule", dash="3 2")
            used = max(1.5, one.length * per)
            inner += rect(x + one.offset * per, top + 8, used, 34, "data-bg", "data", 1.25, 2)
            label = f"{count(one.length)} of {count(one.storage)}"
            kind = "cluster" if one.flags & M_EXT else "inside"
            inner += text(x, top + 58, f"{label} bytes, {kind}", 11, "ink2")
            body += group(inner, f"mbuf {one.number}: {label} bytes, {one.names}")
            x += wide
            if at + 1 < len(shown):
                body += line(x + 4, top + 25, x + gap - 8, top + 25, "ink2", 1.5)
                tipped = f"M{number(x + gap - 10)} {number(top + 21)}l7 4l-7 4z"
                body += path(tipped, "ink2") + text(
                    x + gap / 2, top + 16, "m_next", 8.5, "ink2", anchor="middle"
                )
            x += gap
        if len(self.links) > 8:
            body += text(x, top + 30, f"and {len(self.links) - 8} more", 12, "ink2")
        return body

    def _rows(self) -> int:
        """Rows of what the call is about: many of short values stand in two columns."""
        many = len(self.about) > 6 and all(len(value) < 40 for _, value in self.about)
        return (len(self.about) + 1) // 2 if many else len(self.about)

    def _beside(self) -> str:
        """What the call is about, below its bytes."""
        if not self.about:
            return ""
        y = self.beside + 12
        body = text(16, y, "what it is about, at this step", 11, "ink2")
        body += line(16, y + 7, self.width - 16, y + 7, "hair")
        left = max([130.0, *(text_width(what, 12, 600) + 24 for what, _ in self.about)])
        for at, (what, value) in enumerate(self.about):
            column, row = divmod(at, self._rows())
            x, y_ = 24 + column * (self.width / 2 - 8), y + 26 + row * ROW
            room = self.width / (2 if len(self.about) > self._rows() else 1)
            body += text(x, y_, what, 12, "ink", 600)
            body += text(x + left, y_, fit(value, room - left - 48, 12), 12, "ink")
        return body

    # -- fields and bytes ------------------------------------------------------------------

    def _table(self) -> str:
        x, y = 16.0, self.top
        body = ""
        for left, words, anchor in (
            (30, "byte", "start"),
            (66, "field", "start"),
            (self.names + 70, "type", "start"),
            (self.names + 136, "value", "start"),
        ):
            body += text(x + left, y, words, 11, "ink2", anchor=anchor)
        body += line(x, y + 7, x + self.table - 12, y + 7, "hair")
        for at, part in enumerate(self.parts):
            row = y + 12 + at * ROW
            marked = part.name == self.field
            colour, weight = ("sel", 700) if marked else ("ink", 600)
            inner = self._box(x, row, self.table - 12, ROW - 2, at)
            inner += text(x + 13, row + 14, str(at + 1), 11, "ink2", 600, "middle")
            inner += text(x + 30, row + 14, f"{part.start:03x}", 12, "ink2", mono=True)
            inner += text(x + 66, row + 14, part.name, 12, colour, weight)
            inner += text(x + self.names + 70, row + 14, part.ctype, 11, "ink2", mono=True)
            inner += text(x + self.names + 136, row + 14, self._fit(part.value), 12, "ink")
            body += f'<g class="f{at}">{inner}</g>'
        return body

    def _fit(self, value: str) -> str:
        return fit(value, (self.table - self.names - 152) * 1.12, 12)

    def _dump(self) -> str:
        left, y = 16.0 + self.table + 8, self.top
        hexes = left + 38
        letters = hexes + 16 * BYTE + 14
        body = text(left, y, "byte", 11, "ink2")
        body += "".join(
            text(hexes + BYTE * (at + 0.5), y, f"{at:x}", 11, "ink2", anchor="middle")
            for at in range(16)
        )
        body += text(letters, y, "as text", 11, "ink2")
        body += line(left, y + 7, self.width - 16, y + 7, "hair")
        shown = [part for part in self.parts if part.start < len(self.data)]
        for at, part in enumerate(shown):
            body += f'<g class="f{at}">{self._bytes(part, at, hexes, letters, y + 12)}</g>'
        for row in range((len(self.data) + 15) // 16):
            body += text(left, y + 26 + row * ROW, f"{row * 16:03x}", 12, "ink2", mono=True)
        if self.length > len(self.data):
            rest = some(self.length - len(self.data), "more byte")
            body += text(hexes, y + 28 + ((len(self.data) + 15) // 16) * ROW, rest, 11, "ink2")
        return body

    def _bytes(self, part: Part, at: int, hexes: float, letters: float, top: float) -> str:
        """The bytes of one field: a box in each row they reach into."""
        body = ""
        end = min(part.start + part.size, len(self.data))
        for row in range(part.start // 16, (end + 15) // 16):
            first, last = max(part.start, row * 16), min(end, row * 16 + 16)
            y = top + row * ROW
            left = hexes + (first - row * 16) * BYTE
            body += self._box(left + 1, y, (last - first) * BYTE - 2, ROW - 3, at)
            from_, wide = letters + (first - row * 16) * 7.6, (last - first) * 7.6
            if part.name == self.field:
                body += self._box(from_, y, wide, ROW - 3, at)
            if first == part.start:
                tag = str(at + 1)
                body += rect(left - 1, y - 4, 5 + 5.5 * len(tag), 9, "paper")
                body += text(left + 1, y + 4, tag, 9, "ink2", 700)
            ink = "sel" if part.name == self.field else "ink"
            for place in range(first, last):
                byte = self.data[place]
                column = hexes + (place - row * 16 + 0.5) * BYTE
                dim = "ink3" if byte == 0 and ink == "ink" else ink
                body += text(column, y + 14, f"{byte:02x}", 12, dim, anchor="middle", mono=True)
            for place in range(first, last):
                byte = self.data[place]
                letter = chr(byte) if 32 <= byte < 127 else "·"
                column = letters + (place - row * 16 + 0.5) * 7.6
                dim = "ink" if letter != "·" else "ink3"
                if letter != " ":
                    body += text(column, y + 14, letter, 12, dim, anchor="middle", mono=True)
        return body
