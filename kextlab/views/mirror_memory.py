"""Memory of a mirror: objects with their pages, windows of processes, memory entries.

The state it keeps is the key ``mem`` of ``docs/scene-format.md``; a machine whose processes never
used memory of their own has none. Of a page a picture shows ``LINE`` bytes: those that changed
last.

Which port stands for a memory entry is not in the trace; both are made inside of one call of
``mach_make_memory_entry_64``, and that is how they are found.

Left out: what is behind a window of zeros nobody has touched, copies of maps, statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kextlab.trace.codes import VM_BLOCK, VM_BLOCKS
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.mirror_shown import Shown
from kextlab.views.windows import Window, window_of

Json = Any  # a JSON value

LINE = 32
"""Bytes of a page that are shown: aligned, those that changed last."""
KINDS = frozenset(
    {"vm_map", "vm_entry", "vm_object", "vm_page", "vm_bytes", "memory_entry"}
    | {"io_mem", "io_map", "io_bytes"}
)
PAGE = VM_BLOCK * VM_BLOCKS
"""Bytes of IOKit's memory that are shown as a page."""


def key_of(object_: str) -> str:
    """An object's key in the document: its number; that of IOKit's with ``io`` before it."""
    kind, _, number = object_.partition(":")
    return f"io{number}" if kind.startswith("io") else number


def window_fields(one: Window) -> dict[str, Json]:
    """A window as a picture shows it."""
    return {
        "pid": one.pid,
        "start": one.start,
        "size": one.size,
        "object": key_of(one.object),
        "offset": one.offset,
        "prot": one.prot,
        "most": one.most,
        "copied": one.copied,
        "shared": one.shared,
    }


def object_fields(state: State, name: str) -> dict[str, Json]:
    """A memory object without its pages."""
    fields = state[name]
    return {
        "size": fields["size"],
        "refs": fields.get("ref_count", 0),
        "shadow": key_of(cast(str, fields.get("shadow", ""))),
    }


def entry_fields(state: State, name: str, port: int, behind: str) -> dict[str, Json]:
    """A memory entry: the port that stands for it (0: none), and its object if it is of one;
    ``behind`` is the entry of its copy of a map."""
    fields = state[name]
    window = state.get(behind) if fields["is_object"] else None
    seen = key_of(cast(str, window["object"])) if window is not None else ""
    return {"size": fields["size"], "prot": fields["protection"], "port": port, "object": seen}


class _Page:
    """A page: where it is shown, and what of it."""

    __slots__ = ("at", "event", "line", "moment", "path")

    def __init__(self) -> None:
        self.path = ""
        self.at = 0
        self.line = bytes(LINE)
        self.moment = -1
        self.event = -1


class MemoryMirror:
    """Follows memory.

    Args:
        state: the live state of the fold.
        intern: gives bytes their index among the document's ``datas``.
        op: takes a change of the picture.
    """

    def __init__(
        self, state: State, intern: Callable[[bytes], int], op: Callable[..., None]
    ) -> None:
        self.state = state
        self._intern = intern
        self._op = op
        self._shown = Shown(op)
        self._pages: dict[str, _Page] = {}
        self._ports: dict[str, int] = {}
        self._made: tuple[object, str] = (None, "")
        self._copies: dict[str, str] = {}
        self._backed: dict[str, str] = {}
        self._begun = False

    def take(self, event: Event, moment: int) -> None:
        """Take in a change of something that is of ``KINDS``."""
        if not self._begun:
            self._begun = True
            self._op("mem", {"objects": {}, "windows": {}, "entries": {}, "touch": None})
        kinds: dict[str, list[str]] = {}
        for name in dict.fromkeys(change.object for change in event.changes):
            kinds.setdefault(name.partition(":")[0], []).append(name)
        pages = kinds.get("vm_page", [])
        for name in pages:
            self._leave(name)
        for name in (*kinds.get("vm_object", ()), *kinds.get("io_mem", ())):
            fields = object_fields(self.state, name) if name in self.state else None
            self._shown.show(name, f"mem/objects/{key_of(name)}", fields, pages={})
        for name in (*kinds.get("vm_bytes", ()), *kinds.get("io_bytes", ())):
            self._bytes(name, event, moment)
        for name in pages:
            self._place(name)
        for name in (*kinds.get("vm_entry", ()), *kinds.get("io_map", ())):
            one = window_of(self.state, name)
            fields = window_fields(one) if one is not None else None
            self._shown.show(name, f"mem/windows/{key_of(name)}", fields)
            if one is None:
                self._behind(name)
        for name in kinds.get("memory_entry", ()):
            if name not in self._shown:
                self._made = event.cause, name
            self._entry(name)

    # -- memory entries --------------------------------------------------------------------

    def _behind(self, name: str) -> None:
        """What is no window may be what stands behind a memory entry."""
        fields = self.state.get(name)
        if fields is None:
            return
        copy = cast(str, fields["of"])
        self._copies[copy] = name
        entry = self._backed.get(copy)
        if entry is not None:
            self._entry(entry)

    def _entry(self, name: str) -> None:
        there = self.state.get(name)
        fields = None
        if there is not None:
            backing = cast(str, there["backing"])
            self._backed[backing] = name
            behind = self._copies.get(backing, "")
            fields = entry_fields(self.state, name, self._ports.get(name, 0), behind)
        self._shown.show(name, f"mem/entries/{name.partition(':')[2]}", fields)

    def port_made(self, port: int, cause: int | None) -> None:
        """The kernel made a port for itself: inside of the call that made a memory entry, that is
        what it stands for."""
        made, name = self._made
        if cause is not None and made == cause and name in self.state:
            self._ports[name] = port
            self._entry(name)

    # -- pages -----------------------------------------------------------------------------

    def _bytes(self, name: str, event: Event, moment: int) -> None:
        """A block of a page changed: the first line that is different is the one to show."""
        fields = self.state.get(name)
        if fields is None:
            return
        start = cast(int, fields["at"])
        memory = fields.get("memory")
        if memory is not None:
            index, start = divmod(start, PAGE)
            page = self._pages.setdefault(f"io_mem:{memory}:{index}", _Page())
            page.path = f"mem/objects/io{memory}/pages/{index}"
        else:
            page = self._pages.setdefault(cast(str, fields["page"]), _Page())
        data = cast(bytes, fields["data"])
        old = next((c.old for c in event.changes if c.object == name and c.field == "data"), None)
        before = cast(bytes, old) if old is not None else bytes(len(data))
        pairs = enumerate(zip(before, data, strict=True))
        different = next((at for at, (a, b) in pairs if a != b), None)
        again = page.at - start
        if page.event != event.step and different is not None:
            again = different // LINE * LINE
            page.at = start + again
            page.event = event.step
        page.moment = moment
        if 0 <= again < len(data):
            page.line = data[again : again + LINE]
        if page.path:
            self._op(page.path, self._value(page))

    def _value(self, page: _Page) -> list[Json]:
        return [page.at, self._intern(page.line), page.moment]

    def _leave(self, name: str) -> None:
        """A page is gone, or goes elsewhere."""
        page = self._pages.get(name)
        if page is not None and page.path:
            self._op(page.path)
            page.path = ""
        if name not in self.state:
            self._pages.pop(name, None)

    def _place(self, name: str) -> None:
        """A page is there."""
        fields = self.state.get(name)
        if fields is not None:
            page = self._pages.setdefault(name, _Page())
            page.path = f"mem/objects/{key_of(cast(str, fields['object']))}/pages/{fields['index']}"
            self._op(page.path, self._value(page))

    # -- touching --------------------------------------------------------------------------

    def touched(self, event: Event, moment: int) -> None:
        """A process touched memory, or could not."""
        if not self._begun:
            return
        access, address, size, left = event.arguments
        self._op("mem/touch", [int(event.name), access, address, size, left, moment])
