"""Mach and memory of a machine at one moment, for pictures that stand still, and in sentences.

Reads the keys ``mach`` and ``mem`` of a scene document (``docs/scene-format.md``), or makes them of
a kernel's plain state: of that it is not known which services ports are, nor which port stands for
which memory entry.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from kextlab.trace.events import Change, Event
from kextlab.trace.fold import State
from kextlab.views import mirror_mach, mirror_memory
from kextlab.views.patches import apply
from kextlab.views.svg import count
from kextlab.views.words import MOST, listed, some

Json = Any  # a JSON value

SHORT = {"SEND": "S", "RECEIVE": "R", "SEND_ONCE": "O", "PORT_SET": "set", "DEAD_NAME": "dead"}


def sized(size: int) -> str:
    """``16 KB``, ``100 B``."""
    return f"{count(size // 1024)} KB" if size % 1024 == 0 else f"{count(size)} B"


def rights(prot: int) -> str:
    """``rw-``, as protections are written."""
    return "".join(letter if prot & 1 << at else "-" for at, letter in enumerate("rwx"))


def glimpse(data: bytes) -> str:
    """The first bytes: words where they are letters, numbers where not."""
    used = data.rstrip(b"\0")
    if not used:
        return "zeros"
    if used[0] and all(not byte or 32 <= byte < 127 for byte in used):
        return used.replace(b"\0", b"\xb7").decode("latin-1")
    first = len(used) - len(used.lstrip(b"\0"))
    shown = used[first if first > 3 else 0 :]
    return ("… " if first > 3 else "") + shown[:6].hex(" ") + (" …" if len(shown) > 6 else "")


@dataclass(frozen=True, slots=True)
class MachScene:
    """What a picture of Mach shows: the document's state, and its bytes.

    Attributes:
        procs: names of processes, by pid.
        names, ports, sets: of ``mach``.
        objects, windows, entries: of ``mem``.
        datas: bytes by index.
    """

    procs: dict[str, str]
    names: dict[str, Json]
    ports: dict[str, Json]
    sets: dict[str, Json]
    objects: dict[str, Json]
    windows: dict[str, Json]
    entries: dict[str, Json]
    datas: list[bytes]

    @property
    def pids(self) -> list[str]:
        """Processes with a name or a window."""
        found = [pid for pid, names in self.names.items() if names]
        found += [str(window["pid"]) for window in self.windows.values()]
        return [pid for pid in self.procs if pid in found]

    def who(self, pid: str) -> str:
        """A process by name."""
        return "the kernel" if pid == "kernel" else self.procs.get(pid, "a process")

    def kind(self, name: Json) -> str:
        """What a name stands for, in a letter or two; a dead name is ``dead``."""
        to, types = name["to"], name["type"]
        gone = to.startswith("port/") and to[5:] not in self.ports
        if "DEAD_NAME" in types or gone:
            return "dead"
        if "RECEIVE" in types:
            return "R+S" if "SEND" in types else "R"
        return SHORT.get(types[0], "") if types else ""

    def entry(self, port: str) -> str:
        """The memory entry a port stands for, "" if none."""
        return next((n for n, one in self.entries.items() if str(one["port"]) == port), "")

    def called(self, port: str) -> str:
        """A port by name."""
        entry = self.entry(port)
        return f"memory entry {entry}" if entry else f"port {port}"

    def seen(self, object_: str) -> str:
        """The object whose pages are seen in one that has none of its own yet."""
        at = object_
        while at in self.objects and self.objects[at]["shadow"] and not self.objects[at]["pages"]:
            at = self.objects[at]["shadow"]
        return at if at in self.objects else ""

    def shown(self) -> list[str]:
        """Objects to draw: those with pages, and those with nothing behind them."""
        return [n for n, one in self.objects.items() if one["pages"] or not one["shadow"]]

    def page(self, object_: str) -> str:
        """The bytes that changed last, of the page that changed last; "" without any."""
        pages = self.objects[object_]["pages"].values() if object_ else ()
        last = max(pages, key=lambda page: page[2], default=None)
        return self.glimpse(last) if last is not None else ""

    def glimpse(self, page: Json) -> str:
        """What a page of an object shows."""
        return glimpse(self.datas[page[1]])

    def sentences(self) -> list[str]:
        """All of it in plain sentences."""
        lines = []
        for pid in self.pids:
            names = self.names.get(pid, {})
            held = [self._name(name, one) for name, one in list(names.items())[:MOST]]
            if len(names) > MOST:
                held.append(f"{count(len(names) - MOST)} more")
            if held:
                lines.append(f"{self.who(pid)} has the names {listed(held)}.")
        lines += [self._port(port, one) for port, one in list(self.ports.items())[:40]]
        for number, one in self.sets.items():
            members = [self.called(str(port)) for port in one["members"]]
            lines.append(f"Port set {number} has {listed(members) if members else 'no members'}.")
        lines += [self._object(number) for number in self.shown()[:40]]
        return lines

    def _name(self, name: str, one: Json) -> str:
        if self.kind(one) == "dead":
            return f"{name} (a dead name)"
        to = self.called(one["to"][5:]) if one["to"].startswith("port/") else one["to"]
        return f"{name} ({' and '.join(one['type'])} of {to.replace('pset/', 'port set ')})"

    def _port(self, port: str, one: Json) -> str:
        words = f"{self.called(port)[0].upper()}{self.called(port)[1:]}"
        words += f" ({one['service']})" if one["service"] else ""
        if not one["receiver"]:
            words += ": its receive right is in a message"
        elif self.entry(port):
            return f"{words} stands for {sized(self.entries[self.entry(port)]['size'])} of memory."
        else:
            words += f": {self.who(one['receiver'])} receives"
        queued = [self._message(item) for item in one["q"][:MOST]]
        of = f"; {some(one['count'], 'message')} of at most {count(one['limit'])} queued"
        return words + of + (f": {listed(queued)}." if queued else ".")

    @staticmethod
    def _message(item: Json) -> str:
        words = f"id {item[4]} of {some(item[1], 'byte')}"
        return words + (f" with {some(len(item[7]), 'right')}" if item[7] else "")

    def _object(self, number: str) -> str:
        one = self.objects[number]
        windows = [w for w in self.windows.values() if self.seen(w["object"]) == number]
        places = [f"{self.who(str(w['pid']))} at {w['start']:#x}" for w in windows[:MOST]]
        words = f"Memory {number} has {sized(one['size'])}"
        words += f" and is seen by {listed(places)}" if places else " and no window"
        return words + (f"; in its page: {self.page(number)}." if one["pages"] else ".")


def mach_scene(state: Json, datas: list[bytes]) -> MachScene | None:
    """Of a state of a document; ``None`` if it has nothing of Mach."""
    if "mach" not in state and "mem" not in state:
        return None
    mach, mem = state.get("mach", {}), state.get("mem", {})
    names, ports, sets = (mach.get(key, {}) for key in ("names", "ports", "sets"))
    objects, windows, entries = (mem.get(key, {}) for key in ("objects", "windows", "entries"))
    procs = {pid: one["name"] for pid, one in state["procs"].items()}
    return MachScene(procs, names, ports, sets, objects, windows, entries, datas)


def mach_in_document(doc: Json, state: Json) -> MachScene | None:
    """Of a scene document; ``state`` is one of its states."""
    return mach_scene(state, [base64.b64decode(data) for data in doc["datas"]])


def mach_in_state(state: State) -> MachScene | None:
    """Of a kernel's plain state: it is as if all of it had come about in one step."""
    scene: dict[str, Json] = {"procs": {}}
    data: dict[bytes, int] = {}
    changes: dict[bool, list[Change]] = {True: [], False: []}
    for name, fields in state.items():
        kind, _, rest = name.partition(":")
        if kind == "proc":
            scene["procs"][rest] = {"name": fields["name"]}
        elif kind in mirror_mach.KINDS or kind in mirror_memory.KINDS:
            new = [Change(name, field, None, value) for field, value in fields.items()]
            changes[kind in mirror_mach.KINDS] += new

    def op(*parts: Json) -> None:
        apply(scene, list(parts))

    def intern(one: bytes) -> int:
        return data.setdefault(one, len(data))

    memory = mirror_memory.MemoryMirror(state, intern, op)
    mach = mirror_mach.MachMirror(state, intern, op)
    for take, of in ((mach.take, True), (memory.take, False)):
        if changes[of]:
            take(Event(0, "change", "kernel", None, changes=tuple(changes[of])), -1)
    return mach_scene(scene, list(data))
