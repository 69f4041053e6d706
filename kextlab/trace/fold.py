"""Reading the log: entries become events, and their changes add up to the kernel's state.

``Folder`` walks entries in order and keeps the state they add up to. It knows the layout of the
entries (``kextlab.trace.codes``) and nothing of what the kernel does; that its state equals the
kernel's own snapshot after every single entry is a property test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

from kextlab.trace import codes
from kextlab.trace.codes import Entry
from kextlab.trace.events import Change, Event

State = dict[str, dict[str, object]]
"""Object name to its fields, all plain values."""
_Seen = tuple[str, str, object, object]
"""What becomes a Change: object, field, old, new."""


class Folder:
    """Folds entries into state, one step at a time.

    ``state`` is live: copy what must outlast the next ``step``. Its fields may be shared with a
    ``copy()`` of this folder, so only ``step`` may change them. ``task`` is the task that runs.
    """

    def __init__(self) -> None:
        self.state: State = {}
        self.steps = 0
        self.task = 0
        self._own: set[str] = set()
        """Objects whose fields no copy shares: they may be changed where they are."""
        self._seen: list[_Seen] | None = None
        """What changes in this step, if anybody asks."""
        self._frames: list[tuple[int, str]] = []
        """The running task's open frames: (step, actor)."""
        self._stacks = {0: self._frames}
        """Those of every task."""

    def copy(self) -> Folder:
        """A folder that goes on from here by itself.

        The two share the fields of every object until one of them changes it, so a copy costs one
        reference an object.
        """
        twin = Folder()
        twin.state = dict(self.state)
        twin.steps = self.steps
        twin.task = self.task
        twin._stacks = {task: frames.copy() for task, frames in self._stacks.items()}
        twin._frames = twin._stacks[self.task]
        self._own = set()
        return twin

    def step(self, entry: Entry) -> Event:
        """Apply one entry and return it as an event."""
        seen: list[_Seen] = []
        self._seen = seen
        code = cast(int, entry[0])
        at = self.steps
        task = self.task
        cause, actor = self._frames[-1] if self._frames else (None, "kernel")
        self.skip(entry)
        self._seen = None
        if code in codes.FRAMES:
            # The kext's code runs in the frame of a callback, the kernel's in the others.
            caller = "kernel" if codes.FRAMES[code] == "callback" else _actor(code, entry)
            kind, name, rest = codes.FRAMES[code], str(entry[2]), entry[4:]
            changes = _told(seen)
            return Event(at, kind, caller, cause, name, rest, changes=changes, task=task)
        if code == codes.KERN_RETURN:
            return Event(at, "return", actor, cause, errno=0, value=entry[1:], task=task)
        if code == codes.RETURN:
            errno = cast("int | None", entry[1])
            return Event(at, "return", actor, cause, errno=errno, value=entry[2], task=task)
        if code == codes.SWITCH:
            return Event(at, "switch", "kernel", None, name=str(entry[1]), task=self.task)
        if code == codes.STOP or code in codes.NOTES:
            kind, name, rest = codes.NOTES.get(code, "stop"), str(entry[1]), entry[2:]
            return Event(at, kind, actor, cause, name=name, arguments=rest, task=task)
        return Event(at, "change", actor, cause, changes=_told(seen), task=task)

    def skip(self, entry: Entry) -> None:
        """Apply one entry without making an event of it, in less than half the time."""
        code = cast(int, entry[0])
        if code in codes.FRAMES:
            actor = _actor(code, entry)
            runs = actor if codes.FRAMES[code] == "callback" else "kernel"
            self._frames.append((self.steps, runs))
            if code == codes.PASS:
                self._pass(cast(int, entry[4]), actor)
        elif code in codes.RETURNS:
            if self._frames:
                self._frames.pop()
        elif code == codes.SWITCH:
            self.task = cast(int, entry[1])
            self._frames = self._stacks.setdefault(self.task, [])
        elif code == codes.STOP:
            # Nothing open returns: of this task, or after a panic of any.
            for frames in self._stacks.values() if entry[1] == "panic" else (self._frames,):
                frames.clear()
        elif code not in codes.NOTES:
            self._apply(code, entry)
        self.steps += 1

    def _pass(self, mbuf: int, owner: str) -> None:
        """The chain from ``mbuf`` on, and the packets behind it, belong to the kext now."""
        packet = mbuf
        while packet:
            link = packet
            while link:
                self._set(f"mbuf:{link}", "owner", owner)
                link = cast(int, self.state[f"mbuf:{link}"]["m_next"])
            packet = cast(int, self.state[f"mbuf:{packet}"]["m_nextpkt"])

    def _set(self, name: str, field: str, new: object) -> None:
        fields = self.state[name]
        if name not in self._own:
            fields = self.state[name] = fields.copy()
            self._own.add(name)
        if self._seen is not None:
            self._seen.append((name, field, fields.get(field), new))
        fields[field] = new

    def _new(self, name: str, fields: dict[str, object]) -> None:
        self.state[name] = fields
        self._own.add(name)
        if self._seen is not None:
            self._seen += [(name, field, None, value) for field, value in fields.items()]

    def _delete(self, name: str) -> None:
        fields = self.state.pop(name)
        self._own.discard(name)
        if self._seen is not None:
            self._seen += [(name, field, value, None) for field, value in fields.items()]

    def _sockbuf(self, entry: Entry) -> None:
        name = cast(str, entry[1])
        fields = self.state[name]
        for field, new in zip(codes.SB_FIELDS, entry[2:7], strict=True):
            if fields[field] != new:
                self._set(name, field, new)

    def _apply(self, code: int, entry: Entry) -> None:
        match code:
            case codes.SET:
                self._set(cast(str, entry[1]), cast(str, entry[2]), entry[3])
            case codes.NEW:
                fields = dict(zip(cast("tuple[str, ...]", entry[3::2]), entry[4::2], strict=True))
                self._new(cast(str, entry[1]), fields)
            case codes.DELETE:
                self._delete(cast(str, entry[1]))
            case codes.GROUP:
                at = 2
                while at < len(entry):
                    end = at + codes.size(entry, at)
                    self._apply(cast(int, entry[at]), entry[at:end])
                    at = end
            case codes.MBUF_NEW:
                fields = dict(zip(codes.MBUF_FIELDS, entry[2:9], strict=True))
                self._new(f"mbuf:{entry[1]}", fields | {"m_nextpkt": 0})
            case codes.MBUF_FREE:
                self._delete(f"mbuf:{entry[1]}")
            case codes.MBUF_SET:
                self._set(f"mbuf:{entry[1]}", cast(str, entry[2]), entry[3])
            case codes.SB_APPEND:
                self._append(entry)
            case codes.SB_TAKE:
                self._sockbuf(entry)
                self._delete(f"mbuf:{entry[7]}")
            case codes.MBUF_CUT:
                self._set(f"mbuf:{entry[1]}", "m_off", entry[2])
                self._set(f"mbuf:{entry[1]}", "m_data", entry[3])
                self._set(cast(str, entry[4]), "sb_cc", entry[5])
            case codes.MBUF_GROW:
                self._set(f"mbuf:{entry[1]}", "m_data", entry[2])
                self._set(cast(str, entry[3]), "sb_cc", entry[4])
                self._delete(f"mbuf:{entry[5]}")
            case codes.RIGHT_NEW:
                fields = dict(zip(codes.RIGHT_FIELDS, entry[3:], strict=True))
                self._new(codes.right(entry[1], entry[2]), fields)
            case codes.RIGHT_FREE:
                self._delete(codes.right(entry[1], entry[2]))
            case codes.KMSG_QUEUE:
                fields = dict(zip(codes.KMSG_FIELDS, entry[3:13], strict=True))
                self._new(f"kmsg:{entry[1]}", fields)
                self._set(cast(str, entry[3]), "msgcount", entry[2])
            case codes.KMSG_TAKE:
                self._delete(f"kmsg:{entry[1]}")
                self._set(cast(str, entry[2]), "msgcount", entry[3])
                self._set(cast(str, entry[2]), "seqno", entry[4])
            case codes.VM_WRITE:
                page = cast(int, entry[1])
                self._written(entry, "page", f"vm_page:{page}", partial(codes.vm_block, page))
            case codes.IO_WRITE:
                memory = cast(int, entry[1])
                self._written(entry, "memory", memory, partial(codes.io_block, memory))
            case _:
                codes.size(entry, 0)  # raises: there is no such code

    def _append(self, entry: Entry) -> None:
        _, sockbuf, _, _, _, _, _, mbuf, flags, previous, link = entry
        name = f"mbuf:{mbuf}"
        self._sockbuf(entry)
        self._set(name, "owner", sockbuf)
        for field, new in (("m_next", 0), ("m_flags", flags)):
            if self.state[name][field] != new:
                self._set(name, field, new)
        if previous:
            self._set(f"mbuf:{previous}", cast(str, link), mbuf)

    def _written(
        self, entry: Entry, field: str, owner: object, block_name: Callable[[int], str]
    ) -> None:
        """Bytes change, of something that ``field`` names in its blocks."""
        at, data = cast(int, entry[2]), cast(bytes, entry[3])
        size = codes.VM_BLOCK
        for block in range(at // size, (at + len(data) - 1) // size + 1):
            name = block_name(block)
            begin = max(at - block * size, 0)
            piece = data[max(block * size - at, 0) : (block + 1) * size - at]
            known = self.state.get(name)
            old = bytes(size) if known is None else cast(bytes, known["data"])
            new = old[:begin] + piece + old[begin + len(piece) :]
            if known is None:
                self._new(name, {field: owner, "at": block * size, "data": new})
            else:
                self._set(name, "data", new)

    def fold(self, entries: Iterable[Entry]) -> State:
        """Apply all ``entries`` and return the state they add up to."""
        for entry in entries:
            self.skip(entry)
        return self.state


def _actor(code: int, entry: Entry) -> str:
    """Who makes the call that opens a frame, or is called back in it."""
    return f"{'proc' if code == codes.SYSCALL else 'kext'}:{entry[1]}"


def _told(seen: list[_Seen]) -> tuple[Change, ...]:
    return tuple(Change(*each) for each in seen)
