"""Reading the log: entries become events, and their changes add up to the kernel's state.

``Folder`` walks entries in order and keeps the state they add up to. It knows the layout of the
entries (``kextlab.trace.codes``) and nothing of what the kernel does; that its state equals the
kernel's own snapshot after every single entry is a property test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from kextlab.trace import codes
from kextlab.trace.codes import Entry
from kextlab.trace.events import Change, Event

State = dict[str, dict[str, object]]
"""Object name to its fields, all plain values."""


class Folder:
    """Folds entries into state, one step at a time.

    ``state`` is live: copy what must outlast the next ``step``. ``task`` is the task that runs.
    """

    def __init__(self) -> None:
        self.state: State = {}
        self.steps = 0
        self.task = 0
        self._frames: list[tuple[int, str]] = []
        """The running task's open frames: (step, actor)."""
        self._stacks = {0: self._frames}
        """Those of every task."""

    def step(self, entry: Entry) -> Event:
        """Apply one entry and return it as an event."""
        code = cast(int, entry[0])
        at = self.steps
        self.steps += 1
        cause, actor = self._frames[-1] if self._frames else (None, "kernel")
        if code in codes.FRAMES:
            return self._enter(at, code, entry, cause)
        if code == codes.RETURN:
            return self._leave(at, entry)
        task = self.task
        if code == codes.SWITCH:
            return self._switch(at, cast(int, entry[1]))
        if code == codes.STOP:
            return self._stop(at, entry, cause, actor)
        if code in codes.NOTES:
            kind, rest = codes.NOTES[code], entry[2:]
            return Event(at, kind, actor, cause, name=str(entry[1]), arguments=rest, task=task)
        changes = tuple(self._changes(code, entry))
        return Event(at, "change", actor, cause, changes=changes, task=task)

    def _switch(self, at: int, task: int) -> Event:
        self.task = task
        self._frames = self._stacks.setdefault(task, [])
        return Event(at, "switch", "kernel", None, name=str(task), task=task)

    def _stop(self, at: int, entry: Entry, cause: int | None, actor: str) -> Event:
        """Nothing open returns: of this task, or after a panic of any."""
        for frames in self._stacks.values() if entry[1] == "panic" else (self._frames,):
            frames.clear()
        name, rest = str(entry[1]), entry[2:]
        return Event(at, "stop", actor, cause, name=name, arguments=rest, task=self.task)

    def _enter(self, at: int, code: int, entry: Entry, cause: int | None) -> Event:
        prefix = "proc" if code == codes.SYSCALL else "kext"
        actor = f"{prefix}:{entry[1]}"
        changes: tuple[Change, ...] = ()
        if code == codes.PASS:
            changes = tuple(self._pass(cast(int, entry[4]), actor))
        # The kext's code runs in the frame of a callback, the kernel's in the others.
        runs = actor if codes.FRAMES[code] == "callback" else "kernel"
        caller = "kernel" if codes.FRAMES[code] == "callback" else actor
        self._frames.append((at, runs))
        kind, name = codes.FRAMES[code], str(entry[2])
        return Event(at, kind, caller, cause, name, entry[4:], changes=changes, task=self.task)

    def _leave(self, at: int, entry: Entry) -> Event:
        opened, actor = self._frames.pop() if self._frames else (None, "kernel")
        errno, value = cast("int | None", entry[1]), entry[2]
        return Event(at, "return", actor, opened, errno=errno, value=value, task=self.task)

    def _pass(self, mbuf: int, owner: str) -> Iterator[Change]:
        """The chain from ``mbuf`` on, and the packets behind it, belong to the kext now."""
        packet = mbuf
        while packet:
            link = packet
            while link:
                yield self._set(f"mbuf:{link}", "owner", owner)
                link = cast(int, self.state[f"mbuf:{link}"]["m_next"])
            packet = cast(int, self.state[f"mbuf:{packet}"]["m_nextpkt"])

    def _set(self, name: str, field: str, new: object) -> Change:
        fields = self.state[name]
        change = Change(name, field, fields[field], new)
        fields[field] = new
        return change

    def _new(self, name: str, fields: dict[str, object]) -> Iterator[Change]:
        self.state[name] = dict(fields)
        return (Change(name, field, None, value) for field, value in fields.items())

    def _delete(self, name: str) -> Iterator[Change]:
        fields = self.state.pop(name)
        return (Change(name, field, value, None) for field, value in fields.items())

    def _sockbuf(self, entry: Entry) -> Iterator[Change]:
        name = cast(str, entry[1])
        fields = self.state[name]
        for field, new in zip(codes.SB_FIELDS, entry[2:7], strict=True):
            if fields[field] != new:
                yield self._set(name, field, new)

    def _changes(self, code: int, entry: Entry) -> Iterator[Change]:
        match code:
            case codes.SET:
                yield self._set(cast(str, entry[1]), cast(str, entry[2]), entry[3])
            case codes.NEW:
                fields = dict(zip(cast("tuple[str, ...]", entry[3::2]), entry[4::2], strict=True))
                yield from self._new(cast(str, entry[1]), fields)
            case codes.DELETE:
                yield from self._delete(cast(str, entry[1]))
            case codes.GROUP:
                at = 2
                while at < len(entry):
                    end = at + codes.size(entry, at)
                    yield from self._changes(cast(int, entry[at]), entry[at:end])
                    at = end
            case codes.MBUF_NEW:
                fields = dict(zip(codes.MBUF_FIELDS, entry[2:9], strict=True))
                yield from self._new(f"mbuf:{entry[1]}", fields | {"m_nextpkt": 0})
            case codes.MBUF_FREE:
                yield from self._delete(f"mbuf:{entry[1]}")
            case codes.MBUF_SET:
                yield self._set(f"mbuf:{entry[1]}", cast(str, entry[2]), entry[3])
            case codes.SB_APPEND:
                yield from self._append(entry)
            case codes.SB_TAKE:
                yield from self._sockbuf(entry)
                yield from self._delete(f"mbuf:{entry[7]}")
            case codes.MBUF_CUT:
                yield self._set(f"mbuf:{entry[1]}", "m_off", entry[2])
                yield self._set(f"mbuf:{entry[1]}", "m_data", entry[3])
                yield self._set(cast(str, entry[4]), "sb_cc", entry[5])
            case codes.MBUF_GROW:
                yield self._set(f"mbuf:{entry[1]}", "m_data", entry[2])
                yield self._set(cast(str, entry[3]), "sb_cc", entry[4])
                yield from self._delete(f"mbuf:{entry[5]}")
            case _:
                codes.size(entry, 0)  # raises: there is no such code

    def _append(self, entry: Entry) -> Iterator[Change]:
        _, sockbuf, _, _, _, _, _, mbuf, flags, previous, link = entry
        name = f"mbuf:{mbuf}"
        yield from self._sockbuf(entry)
        yield self._set(name, "owner", sockbuf)
        for field, new in (("m_next", 0), ("m_flags", flags)):
            if self.state[name][field] != new:
                yield self._set(name, field, new)
        if previous:
            yield self._set(f"mbuf:{previous}", cast(str, link), mbuf)

    def fold(self, entries: Iterable[Entry]) -> State:
        """Apply all ``entries`` and return the state they add up to."""
        for entry in entries:
            self.step(entry)
        return self.state
