"""The state a scene shows, kept up to date entry by entry, with every change as an operation.

Reads the entries of a trace (``kextlab.trace.codes``) beside the events the fold made of them,
looks only at what an entry names, and appends what a picture must change to ``ops``: (step,
operation).
``docs/scene-format.md`` says what the operations and the state are.

Left out of the state: what no picture shows (options, flags of sockets, reference tables).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kextlab.trace import codes
from kextlab.trace.codes import Entry
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views import local_scene, mirror_jobs, mirror_mach, mirror_memory
from kextlab.views.jobs_scene import holder
from kextlab.views.mirror_queue import Pending, QueueMirror
from kextlab.views.scene import control_named, kind_of, state_named
from kextlab.views.sentences import SHORT
from kextlab.views.told import Frame

Json = Any  # a JSON value: null, a number, text, a list, an object
Op = list[Json]

BUFFER_FIELDS = {
    "sb_cc": "cc",
    "sb_hiwat": "hiwat",
    "sb_mbcnt": "mbcnt",
    "sb_mbmax": "mbmax",
    "sb_lowat": "lowat",
}
"""Fields of a socket buffer and their names in a scene."""
MACH_KINDS = mirror_mach.KINDS | mirror_memory.KINDS
"""Objects of Mach IPC and of memory."""
QUEUE_CODES = (codes.SB_APPEND, codes.SB_TAKE, codes.MBUF_CUT, codes.MBUF_GROW)


def empty() -> dict[str, Json]:
    """The state before the first step."""
    return {
        "panic": None,
        "clock": 0,
        "procs": {},
        "socks": {},
        "ctls": {},
        "kexts": {},
        "kev": {"posted": 0, "full": 0, "id": 0},
    }


class Mirror:
    """Follows a trace.

    Args:
        state: the live state of the fold.
        intern: gives bytes their index among the document's ``datas``.
    """

    def __init__(self, state: State, intern: Callable[[bytes], int]) -> None:
        self.state = state
        self.ops: list[tuple[int, Op]] = []
        self.pending = Pending()
        self.step = 0
        self.later: dict[str, str] = {}
        """What runs in each kext from the next moment on, where that is news."""
        self._intern = intern
        self._queues: dict[str, QueueMirror] = {}
        self._mbufs: dict[int, tuple[str, bytes]] = {}
        self._passed: dict[int, tuple[int, ...]] = {}
        self._holds: dict[str, list[int]] = {}
        self._running: dict[str, list[str]] = {}
        self._doing: dict[str, dict[int, str]] = {}
        self._task = 0
        self._shown: dict[str, dict[str, Json]] = {}
        self._descriptors: dict[str, int] = {}
        self._holders: dict[int, set[tuple[int, int]]] = {}
        self._mach = mirror_mach.MachMirror(state, intern, self.op)
        self._memory = mirror_memory.MemoryMirror(state, intern, self.op)
        self._jobs = mirror_jobs.JobsMirror(state, self.op)
        self._answer: object = None
        self._moment = -1

    def op(self, *parts: Json) -> None:
        """A change of the picture at this step."""
        self.ops.append((self.step, list(parts)))

    def take(self, entry: Entry, event: Event, frames: list[Frame], moment: int) -> None:
        """Take in one entry; ``frames`` are the running task's open calls after it, ``moment`` the
        last one told."""
        self.step, self._task = event.step, event.task
        code = cast(int, entry[0])
        kind = event.kind
        if kind == "change":
            if code in QUEUE_CODES:
                self.pending.call = frames[-1].event.step if frames else -1
                self._queue(code, entry, frames, moment)
            elif code in (codes.MBUF_NEW, codes.MBUF_FREE, codes.MBUF_SET):
                self.pending.call = frames[-1].event.step if frames else -1
                self._mbuf(code, entry)
            else:
                self._changed(event, moment)
            return
        if kind == "callback":
            if code == codes.PASS:
                for change in event.changes:
                    self._own(int(change.object[5:]), cast(str, change.new))
            self._run(str(entry[1]), event.name)
        elif kind == "syscall":
            self._do(str(entry[1]), _inside(frames[-1]))
        elif kind == "sleep":
            self._sleep(frames, str(event.arguments[0]))
        elif kind == "return":
            self._answer, self._moment = event.value, moment
        elif kind == "touch":
            self._memory.touched(event, moment + 1)  # it is told of, in a moment of its own

    # -- what runs -------------------------------------------------------------------------

    def closed(self, frame: Frame, above: list[Frame], told: bool) -> None:
        """A call returned; ``above`` are those still open around it. If nothing is ``told`` of
        that, a picture shows it with the next moment: until then the callback runs."""
        if frame.event.kind == "syscall":
            if told and frame.event.name in mirror_mach.SERVICES:
                self._mach.answered(frame.actor, frame.event, self._answer)
            elif told and frame.event.name == "mach_msg":
                self._mach.refused(frame.actor, self._answer, self._moment + 1)
            outer = [f for f in above if f.event.kind == "syscall" and f.actor == frame.actor]
            self._do(frame.actor, _inside(outer[-1]) if outer else "")
        elif frame.event.kind == "callback":
            running = self._running[frame.actor]
            if frame.event.name in running:
                running.reverse()
                running.remove(frame.event.name)
                running.reverse()
            if told:
                self._show(frame.actor)
            else:
                self.later[frame.actor] = running[-1] if running else ""

    def awake(self, frames: list[Frame]) -> None:
        """A task goes on: the process that slept in its call is in the kernel again."""
        for frame in frames:
            if frame.event.kind == "syscall":
                self._do(frame.actor, _inside(frame))

    def _do(self, pid: str, doing: str) -> None:
        """What the running task of a process does; the picture shows one of its tasks."""
        tasks = self._doing.setdefault(pid, {})
        before = next(filter(None, reversed(tasks.values())), "")
        tasks.pop(self._task, None)
        if doing:
            tasks[self._task] = doing
        now = next(filter(None, reversed(tasks.values())), "")
        if before != now:
            self.op(f"procs/{pid}/doing", now)

    def _sleep(self, frames: list[Frame], wmesg: str) -> None:
        for frame in reversed(frames):
            if frame.event.kind == "syscall":
                self._do(frame.actor, f"asleep in {wmesg}")
                return

    def _run(self, kext: str, name: str) -> None:
        self._running.setdefault(kext, []).append(name)
        self._show(kext)

    def late(self) -> list[Op]:
        """The operations that wait for the next moment; a kext may be gone meanwhile."""
        there = ((kext, name) for kext, name in self.later.items() if f"kext:{kext}" in self.state)
        return [[f"kexts/{kext}/running", name] for kext, name in there]

    def _show(self, kext: str) -> None:
        self.later.pop(kext, None)
        if f"kext:{kext}" in self.state:
            running = self._running.get(kext)
            self.op(f"kexts/{kext}/running", running[-1] if running else "")

    # -- mbufs -----------------------------------------------------------------------------

    def _mbuf(self, code: int, entry: Entry) -> None:
        number = cast(int, entry[1])
        if code == codes.MBUF_NEW:
            owner, data = cast(str, entry[2]), cast(bytes, entry[5])
            self._mbufs[number] = (owner, data)
            self._hold(owner, 1, len(data))
        elif code == codes.MBUF_FREE:
            owner, data = self._mbufs.pop(number)
            self._passed.pop(number, None)
            self._hold(owner, -1, -len(data))
        elif entry[2] == "m_data":
            owner, data = self._mbufs[number]
            self._mbufs[number] = (owner, cast(bytes, entry[3]))
            self._hold(owner, 0, len(cast(bytes, entry[3])) - len(data))
        elif entry[2] == "m_flags":
            owner = self._mbufs[number][0]
            queue = self._queues.get(owner)
            if queue is not None:
                queue.flag(number, cast(int, entry[3]))
        elif entry[2] == "rights":
            self._passed[number] = cast("tuple[int, ...]", entry[3])
        elif entry[2] == "owner":
            self._own(number, cast(str, entry[3]))

    def _own(self, number: int, owner: str) -> None:
        before, data = self._mbufs[number]
        if before != owner:
            self._mbufs[number] = (owner, data)
            self._hold(before, -1, -len(data))
            self._hold(owner, 1, len(data))

    def _hold(self, owner: str, mbufs: int, size: int) -> None:
        if owner.startswith("kext:"):
            held = self._holds.setdefault(owner[5:], [0, 0])
            held[0] += mbufs
            held[1] += size
            if owner in self.state:
                self.op(f"kexts/{owner[5:]}/holds", list(held))

    # -- queues ----------------------------------------------------------------------------

    def _queue(self, code: int, entry: Entry, frames: list[Frame], moment: int) -> None:
        if code == codes.SB_APPEND:
            name, number = cast(str, entry[1]), cast(int, entry[7])
            self._own(number, name)
            data = self._mbufs[number][1]
            queue = self._queues[name]
            queue.append(number, data, cast(int, entry[8]), bool(entry[9]), entry[10], moment)
            if number in self._passed:
                queue.passes(number, self._passed.pop(number))
            cc, mbcnt = entry[2], entry[3]
        elif code == codes.SB_TAKE:
            name, number = cast(str, entry[1]), cast(int, entry[7])
            _, data = self._mbufs.pop(number)
            queue = self._queues[name]
            queue.take(number, len(data))
            self._read(name, len(data), frames)
            cc, mbcnt = entry[2], entry[3]
        elif code == codes.MBUF_CUT:
            name, number = cast(str, entry[4]), cast(int, entry[1])
            before = self._mbufs[number]
            data = cast(bytes, entry[3])
            self._mbufs[number] = (before[0], data)
            queue = self._queues[name]
            queue.cut(number, data)
            self._read(name, len(before[1]) - len(data), frames)
            cc, mbcnt = entry[5], None
        else:
            name, number = cast(str, entry[3]), cast(int, entry[1])
            data = cast(bytes, entry[2])
            self._mbufs[number] = (name, data)
            owner, merged = self._mbufs.pop(cast(int, entry[5]))
            self._hold(owner, -1, -len(merged))
            queue = self._queues[name]
            queue.grow(number, data)
            cc, mbcnt = entry[4], None
        queue.unmark()
        self.op(f"{queue.path}/cc", cc)
        if mbcnt is not None and mbcnt != queue.mbcnt:
            queue.mbcnt = cast(int, mbcnt)
            self.op(f"{queue.path}/mbcnt", mbcnt)

    def _read(self, name: str, size: int, frames: list[Frame]) -> None:
        """Bytes left a receive queue: count them if a reader took them."""
        if frames and frames[-1].event.name.startswith("recv") and name.startswith("so_rcv"):
            queue = self._queues[name]
            queue.read += size
            self.op(f"{queue.path}/read", queue.read)

    def mark(self, socket: int, size: int, what: str, moment: int) -> None:
        """Something did not get into a receive queue: refused with an errno, or lost."""
        queue = self._queues.get(f"so_rcv:{socket}")
        if queue is not None:
            queue.mark(size, what, moment)

    # -- everything else -------------------------------------------------------------------

    def _changed(self, event: Event, moment: int) -> None:
        made: set[str] = set()
        touched: set[str] = set()
        for change in event.changes:
            name = change.object
            kind, _, rest = name.partition(":")
            if kind == "job":
                self._jobs.take(event)
                return
            if kind in MACH_KINDS:
                self._of_mach(event, moment)
                return
            if kind in ("kcb", "socket", "ev_pcb"):
                touched.add(rest)
            elif kind in local_scene.KINDS:
                touched.add(local_scene.socket_about(self.state, name))
            there = name in self.state
            table = _MADE if there else _GONE
            if kind in table and (change.old is None or not there):
                if name not in made:
                    made.add(name)
                    table[kind](self, rest)
            elif there and (change.old is not None or kind == "kernel"):
                self._set(kind, rest, change.field, change.new)
        for name in sorted(touched):
            if f"socket:{name}" in self.state:
                self._socket(name)

    def _of_mach(self, event: Event, moment: int) -> None:
        """Names, ports, messages, memory: no other change stands in such an entry."""
        first = event.changes[0]
        kind, _, rest = first.object.partition(":")
        if kind in mirror_mach.KINDS:
            self._mach.take(event, moment)
            if kind == "port" and first.old is None:
                made = self.state.get(first.object)
                if made is not None and made["receiver"] == "kernel":
                    self._memory.port_made(int(rest), event.cause)
        else:
            self._memory.take(event, moment)

    def _set(self, kind: str, rest: str, field: str, new: Json) -> None:
        if kind in ("so_rcv", "so_snd"):
            if field in BUFFER_FIELDS:
                self.op(f"socks/{rest}/{kind[3:]}/{BUFFER_FIELDS[field]}", new)
        elif kind == "kevtstat":
            if field in ("posted", "fullsock"):
                self.op(f"kev/{'full' if field == 'fullsock' else field}", new)
        elif kind == "kern_event":
            if field == "last_event_id":
                self.op("kev/id", new)
        elif kind == "kernel":
            if field in ("panic", "clock"):
                self.op(field, new)
        elif kind == "proc" and field in ("name", "uid"):
            self.op(f"procs/{rest}/{field}", new)

    def _socket(self, number: str) -> None:
        """What a scene says of a socket's connection, as far as it changed."""
        shown = self._shown[number]
        for field, value in socket_fields(self.state, number).items():
            if shown.get(field) != value:
                shown[field] = value
                self.op(f"socks/{number}/{field}", value)

    def _new_proc(self, pid: str) -> None:
        fields = self.state[f"proc:{pid}"]
        self.op(f"procs/{pid}", {"name": fields["name"], "uid": fields["uid"], "doing": ""})

    def _new_socket(self, number: str) -> None:
        fields = socket_fields(self.state, number)
        self._shown[number] = dict(fields)
        sock: dict[str, Json] = {"pid": 0, "fds": [], **fields}
        for side in ("rcv", "snd"):
            name = f"so_{side}:{number}"
            queue = QueueMirror(f"socks/{number}", side, self._intern, self.op, self.pending)
            self._queues[name] = queue
            buffer = self.state[name]
            sock[side] = {to: buffer[at] for at, to in BUFFER_FIELDS.items()}
            sock[side] |= {"q": [], "read": 0}
        self.op(f"socks/{number}", {**sock, "mark": None, "lost": 0})

    def _gone_socket(self, number: str) -> None:
        for side in ("rcv", "snd"):
            self._queues.pop(f"so_{side}:{number}", None)
        self._shown.pop(number, None)
        self.op(f"socks/{number}")

    def _fds(self, socket: int) -> None:
        if f"socket:{socket}" not in self.state:
            return
        held = sorted(self._holders[socket])
        at = holder((pid for pid, _ in held), self._jobs.runner(socket)) if held else 0
        if held:
            self.op(f"socks/{socket}/pid", at)
        self.op(f"socks/{socket}/fds", [fd for pid, fd in held if pid == at])

    def _new_fd(self, name: str) -> None:
        socket = cast(int, self.state[f"fd:{name}"]["socket"])
        pid, _, fd = name.partition(":")
        self._descriptors[name] = socket
        self._holders.setdefault(socket, set()).add((int(pid), int(fd)))
        self._fds(socket)

    def _gone_fd(self, name: str) -> None:
        socket = self._descriptors.pop(name)
        pid, _, fd = name.partition(":")
        self._holders[socket].discard((int(pid), int(fd)))
        self._fds(socket)

    def _new_kctl(self, serial: str) -> None:
        self.op(f"ctls/{serial}", control_fields(self.state, serial))

    def _gone_kctl(self, serial: str) -> None:
        self.op(f"ctls/{serial}")

    def _new_kext(self, name: str) -> None:
        self._running.pop(name, None)
        self.op(f"kexts/{name}", {"running": "", "holds": list(self._holds.get(name, [0, 0]))})
        self._loaded(name, True)

    def _gone_kext(self, name: str) -> None:
        self.later.pop(name, None)
        self.op(f"kexts/{name}")
        self._loaded(name, False)

    def _loaded(self, kext: str, loaded: bool) -> None:
        for name, fields in self.state.items():
            if name.startswith("kctl:") and fields["kext"] == kext:
                self.op(f"ctls/{name[5:]}/loaded", loaded)


def _inside(frame: Frame) -> str:
    name = frame.event.name
    return f"in kernel: {SHORT.get(name, name)}"


_MADE: dict[str, Callable[[Mirror, str], None]] = {
    "proc": Mirror._new_proc,
    "socket": Mirror._new_socket,
    "fd": Mirror._new_fd,
    "kctl": Mirror._new_kctl,
    "kext": Mirror._new_kext,
}
_GONE: dict[str, Callable[[Mirror, str], None]] = {
    "socket": Mirror._gone_socket,
    "fd": Mirror._gone_fd,
    "kctl": Mirror._gone_kctl,
    "kext": Mirror._gone_kext,
}


def control_fields(state: State, serial: str) -> dict[str, Json]:
    """A control as registered."""
    control = control_named(state, int(serial))
    return {
        "name": control.name,
        "id": control.id,
        "kind": control.kind,
        "flags": list(control.flag_names),
        "recv": control.recvsize,
        "send": control.sendsize,
        "kext": control.kext,
        "callbacks": list(control.callbacks),
        "loaded": control.loaded,
    }


def socket_fields(state: State, number: str) -> dict[str, Json]:
    """A socket's kind and connection."""
    so = state[f"socket:{number}"]
    kcb = state.get(f"kcb:{number}")
    link = local_scene.link_of(state, number)
    fields: dict[str, Json] = {
        "type": kind_of(so),
        "state": state_named(so, kcb, link),
        "ctl": kcb["kctl"] if kcb is not None else 0,
        "unit": kcb["unit"] if kcb is not None else 0,
    }
    pcb = state.get(f"ev_pcb:{number}")
    if pcb is not None:
        fields["filter"] = [pcb[name] for name in ("vendor_code", "kev_class", "kev_subclass")]
    if link is not None:
        fields["local"] = link.json()
    return fields
