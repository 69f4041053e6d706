"""Scene documents for the tests of the front end, written by hand: no simulator, only the format.

``Story`` keeps the state of a few sockets and writes a moment and its patch for each thing done.
The real writer is ``kextlab.views.scene_document``; these documents need nothing of it, and reach
states (200 clients, a panic, a lost event) in a few lines.
"""

from __future__ import annotations

import base64
import copy
import random
from typing import Any

Json = dict[str, Any]
KEYFRAME = 256
SOURCES = [
    ["recorded", "flow-one-too-many", "kern_control.c, ctl_enqueuedata"],
    ["ported", "", "uipc_socket.c, soreceive"],
    ["documented", "", "sys/kern_event.h"],
]
STRUCTS = {
    "sockaddr_ctl": [
        ["sc_len", 0, 1, "u8"],
        ["sc_family", 1, 1, "u8"],
        ["ss_sysaddr", 2, 2, "u16"],
        ["sc_id", 4, 4, "u32"],
        ["sc_unit", 8, 4, "u32"],
        ["sc_reserved", 12, 20, "u32[5]"],
    ],
    "kern_event_msg": [
        ["total_size", 0, 4, "u32"],
        ["vendor_code", 4, 4, "u32"],
        ["kev_class", 8, 4, "u32"],
        ["kev_subclass", 12, 4, "u32"],
        ["id", 16, 4, "u32"],
        ["event_code", 20, 4, "u32"],
        ["event_data", 24, 8, "u32[2]"],
    ],
}


def _buffer(hiwat: int) -> Json:
    return {
        "cc": 0, "hiwat": hiwat, "mbcnt": 0, "mbmax": hiwat * 8, "lowat": 1, "q": [], "read": 0,
    }  # fmt: skip


class Story:
    """A machine that exists only as a scene document."""

    def __init__(self, title: str = "two clients, one echo kext") -> None:
        self.state: Json = {
            "panic": None, "clock": 0, "procs": {}, "socks": {}, "ctls": {}, "kexts": {},
            "kev": {"posted": 0, "full": 0, "id": 0},
        }  # fmt: skip
        self.title = title
        self.moments: list[Json] = []
        self.patches: list[list[Any]] = []
        self.keyframes: list[list[Any]] = []
        self.datas: list[str] = []
        self.pending: list[Any] = []
        self.lifelines: list[Json] = [
            {"id": "boundary", "name": "system call boundary", "world": "boundary"},
            {"id": "kern_control", "name": "kern_control", "world": "kern"},
            {"id": "kern_event", "name": "kern_event", "world": "kern"},
        ]
        self.next_id = 1
        self.stack: list[int] = []

    # -- the format --------------------------------------------------------------------

    def put(self, path: str, *rest: Any) -> None:
        """One operation, applied here and kept for the patch of the next moment."""
        op = [path, *rest]
        self.pending.append(copy.deepcopy(op))
        at: Any = self.state
        *parents, end = path.split("/")
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at[part]
        last: Any = int(end) if isinstance(at, list) else end
        if len(op) == 1:
            del at[last]
        elif op[1] == "+" and len(op) == 3:
            at[last].append(copy.deepcopy(op[2]))
        elif op[1] == "<" and len(op) == 3:
            del at[last][: op[2]]
        else:
            at[last] = copy.deepcopy(op[1])

    def tell(
        self, world: str, text: str, kind: str, frm: str, to: str, label: str, **more: Any
    ) -> int:
        """A moment whose patch is what was put since the last one."""
        if len(self.moments) % KEYFRAME == 0:
            self.keyframes.append([len(self.moments), self._before()])
        at = len(self.moments)
        depth = len(self.stack) - (kind == "return" and bool(self.stack))
        moment = {
            "step": at + 1, "world": world, "text": text, "depth": depth, "kind": kind,
            "from": frm, "to": to, "label": label, "source": 0, "task": 0,
        }  # fmt: skip
        if self.stack:
            moment["cause"] = self.stack[-1]
        moment.update({key: value for key, value in more.items() if value is not None})
        self.moments.append(moment)
        self.patches.append(self.pending)
        self.pending = []
        if kind == "call":
            self.stack.append(at)
        elif kind == "return" and self.stack:
            self.stack.pop()
        return at

    def _before(self) -> Json:
        """The state before what is pending; pending operations are replayed on a copy."""
        if not self.pending:
            return copy.deepcopy(self.state)
        kept, self.pending = self.pending, []
        before = copy.deepcopy(self._last)
        self.pending = kept
        return before

    def settle(self) -> None:
        """Remember the state as the one before whatever is put next."""
        if len(self.moments) % KEYFRAME == 0:
            self._last = copy.deepcopy(self.state)

    def data(self, content: bytes) -> list[int]:
        """A reference to bytes for the inspector."""
        self.datas.append(base64.b64encode(content[:256]).decode())
        return [len(self.datas) - 1, len(content)]

    def document(self) -> Json:
        """All of it."""
        if not self.keyframes:
            self.keyframes.append([0, copy.deepcopy(self.state)])
        return {
            "format": "kextlab-scene/1", "title": self.title, "release": "xnu-11417.101.15",
            "macos": "15", "steps": len(self.moments), "lifelines": self.lifelines,
            "sources": SOURCES, "datas": self.datas, "structs": STRUCTS, "moments": self.moments,
            "keyframes": self.keyframes, "patches": self.patches,
        }  # fmt: skip

    # -- the machine, before the story begins --------------------------------------------

    def process(self, pid: int, name: str, uid: int = 501) -> None:
        """A process, there from the beginning."""
        self.state["procs"][str(pid)] = {"name": name, "uid": uid, "doing": ""}
        last = sum(line["world"] == "user" for line in self.lifelines)
        self.lifelines.insert(last, {"id": f"proc:{pid}", "name": name, "world": "user"})

    def control(
        self, serial: int, name: str, kind: str, flags: list[str], callbacks: list[str]
    ) -> None:
        """A kext with one kernel control, there from the beginning."""
        self.state["kexts"][name] = {"running": "", "holds": [0, 0]}
        self.state["ctls"][str(serial)] = {
            "name": name, "id": serial, "kind": kind, "flags": flags, "recv": 8192, "send": 2048,
            "kext": name, "callbacks": callbacks, "loaded": True,
        }  # fmt: skip
        self.lifelines.insert(-1, {"id": f"kext:{name}", "name": name, "world": "kern"})

    def socket(
        self,
        number: int,
        pid: int,
        kind: str = "SOCK_DGRAM",
        ctl: int = 1,
        unit: int = 1,
        fd: int = 3,
        hiwat: int = 8192,
        state: str = "connected",
    ) -> None:
        """A socket, there from the beginning."""
        self.state["socks"][str(number)] = {
            "pid": pid, "fds": [fd], "type": kind, "state": state, "ctl": ctl, "unit": unit,
            "filter": [1, 3, 2] if kind == "events" else [0, 0, 0], "rcv": _buffer(hiwat),
            "snd": _buffer(2048), "mark": None, "lost": 0,
        }  # fmt: skip

    # -- what happens ----------------------------------------------------------------------

    def _who(self, sock: int) -> tuple[Json, str, str, str, str]:
        one = self.state["socks"][str(sock)]
        name = self.state["procs"][str(one["pid"])]["name"]
        ctl = self.state["ctls"].get(str(one["ctl"]))
        kext = ctl["kext"] if ctl else ""
        return one, name, f"proc:{one['pid']}", f"kext:{kext}", kext

    def clear_mark(self, sock: int) -> None:
        """The refused chip goes with the next event of its queue."""
        if self.state["socks"][str(sock)]["mark"]:
            self.put(f"socks/{sock}/mark", None)

    def echo(self, sock: int, content: bytes) -> None:
        """A client sends, the kext sends it back; refused if it does not fit."""
        one, name, proc, kext, kext_name = self._who(sock)
        short = kext_name.rpartition(".")[2]
        size, pid = len(content), one["pid"]
        said, of = f"{size:,}", self.data(content)
        self.settle()
        self.put(f"procs/{pid}/doing", "in kernel: send")
        self.tell(
            "user",
            f"{name} calls send(fd 3) with {said} bytes.",
            "call",
            proc,
            "kern_control",
            f"send {said}",
            via="ctl_send",
            socket=sock,
            data=of,
        )
        self.settle()
        self.put(f"kexts/{kext_name}/running", "send")
        self.put(f"kexts/{kext_name}/holds", [1, size])
        self.tell(
            "kern",
            f"kern_control runs {short}'s send callback for unit {one['unit']}.",
            "call",
            "kern_control",
            kext,
            f"send() unit {one['unit']}",
            socket=sock,
            data=of,
        )
        self.settle()
        rcv = one["rcv"]
        free = rcv["hiwat"] - rcv["cc"]
        moment = len(self.moments)
        self.clear_mark(sock)
        if size > free:
            self.put(f"socks/{sock}/mark", [size, "ENOBUFS", moment])
            self.put(f"socks/{sock}/lost", one["lost"] + 1)
            self.tell(
                "loss",
                f"The kernel refused {said} bytes: only {free:,} of {rcv['hiwat']:,} are "
                f"free in unit {one['unit']}'s receive buffer (ENOBUFS). Nothing was "
                "queued; the kext must keep or drop it.",
                "refusal",
                kext,
                "kern_control",
                f"ctl_enqueuedata {said}",
                errno="ENOBUFS",
                why=(
                    "The receive buffer takes a record whole or not at all. The reader is "
                    "slower than the writer: it must read before more fits."
                ),
                socket=sock,
                data=of,
            )
        else:
            cc = rcv["cc"] + size
            self.put(f"socks/{sock}/rcv/cc", cc)
            self.put(f"socks/{sock}/rcv/mbcnt", rcv["mbcnt"] + 512)
            self.put(f"socks/{sock}/rcv/q", "+", [self.next_id, size, of[0], moment, 1])
            self.next_id += 1
            rest = (
                "the buffer is now exactly full."
                if cc == rcv["hiwat"]
                else f"{cc:,} of {rcv['hiwat']:,} bytes are now in use."
            )
            self.tell(
                "data",
                f"{short} queues {said} bytes for unit {one['unit']}; {rest}",
                "note",
                kext,
                "kern_control",
                f"ctl_enqueuedata {said}",
                socket=sock,
                data=of,
                queued=[f"unit {one['unit']}", cc],
            )
        self.settle()
        self.put(f"kexts/{kext_name}/running", "")
        self.put(f"kexts/{kext_name}/holds", [0, 0])
        self.tell(
            "kern",
            f"{short}'s send callback returns 0.",
            "return",
            kext,
            "kern_control",
            "= 0",
            socket=sock,
        )
        self.settle()
        self.put(f"procs/{pid}/doing", "")
        self.tell(
            "user",
            f"send returns {said} to {name}.",
            "return",
            "kern_control",
            proc,
            f"= {said}",
            socket=sock,
        )

    def recv(self, sock: int, room: int = 4096) -> None:
        """A client reads a record, or up to ``room`` bytes of a stream."""
        one, name, proc, _, _ = self._who(sock)
        pid, rcv = one["pid"], one["rcv"]
        self.settle()
        self.put(f"procs/{pid}/doing", "in kernel: recv")
        self.tell(
            "user",
            f"{name} calls recv(fd 3) with room for {room:,} bytes.",
            "call",
            proc,
            "kern_control",
            f"recv {room:,}",
            via="soreceive",
            socket=sock,
            source=1,
        )
        self.settle()
        self.clear_mark(sock)
        of = None
        if not rcv["q"]:
            self.put(f"procs/{pid}/doing", "")
            self.tell(
                "loss",
                "The kernel refused recv(fd 3): nothing is queued and the call must not "
                "wait (EAGAIN).",
                "refusal",
                proc,
                "kern_control",
                "= EAGAIN",
                errno="EAGAIN",
                socket=sock,
                source=1,
                back=1,
            )
            self.stack.pop()
            return
        if one["type"] == "SOCK_STREAM":
            size = min(room, rcv["cc"])
            rest = size
            while rest:
                first = rcv["q"][0]
                if first[1] <= rest:
                    rest -= first[1]
                    self.put(f"socks/{sock}/rcv/q", "<", 1)
                else:
                    self.put(f"socks/{sock}/rcv/q/0/1", first[1] - rest)
                    rest = 0
        else:
            size = rcv["q"][0][1]
            of = [rcv["q"][0][2], size]
            self.put(f"socks/{sock}/rcv/q", "<", 1)
        self.put(f"socks/{sock}/rcv/cc", rcv["cc"] - size)
        self.put(f"socks/{sock}/rcv/read", rcv["read"] + size)
        self.put(f"procs/{pid}/doing", "")
        self.tell(
            "data",
            f"recv returns {size:,} bytes to {name}.",
            "return",
            "kern_control",
            proc,
            f"= {size:,}",
            socket=sock,
            data=of,
            queued=[f"unit {one['unit']}", rcv["cc"]],
            source=1,
        )

    def post(self, code: int, listeners: list[int]) -> None:
        """A kext posts an event; every listener with room gets it."""
        ident = self.state["kev"]["id"] + 1
        content = b"".join(v.to_bytes(4, "little") for v in (32, 1, 3, 2, ident, code, 2, 0))
        of = self.data(content)
        kext = next(iter(self.state["kexts"]))
        self.settle()
        self.put("kev/posted", self.state["kev"]["posted"] + 1)
        self.put("kev/id", ident)
        self.tell(
            "kern",
            f"The kernel posts event {ident} (ctl_registered).",
            "note",
            f"kext:{kext}",
            "kern_event",
            "kev_post_msg",
            data=of,
            struct="kern_event_msg",
            source=2,
        )
        for sock in listeners:
            one, name, proc, _, _ = self._who(sock)
            rcv = one["rcv"]
            self.settle()
            self.clear_mark(sock)
            moment = len(self.moments)
            if rcv["cc"] + 32 > rcv["hiwat"]:
                self.put("kev/full", self.state["kev"]["full"] + 1)
                self.put(f"socks/{sock}/mark", [32, "lost", moment])
                self.put(f"socks/{sock}/lost", one["lost"] + 1)
                self.tell(
                    "loss",
                    f"Event {ident} (registered, ctl_id 2) did not fit {name}'s "
                    f"{rcv['hiwat']}-byte buffer and is lost; the poster saw success, and "
                    "only the gap in ids will tell.",
                    "refusal",
                    "kern_event",
                    proc,
                    f"event {ident}",
                    socket=sock,
                    data=of,
                    struct="kern_event_msg",
                    source=2,
                )
            else:
                self.put(f"socks/{sock}/rcv/cc", rcv["cc"] + 32)
                self.put(f"socks/{sock}/rcv/q", "+", [self.next_id, 32, of[0], moment, 1])
                self.next_id += 1
                self.tell(
                    "data",
                    f"Event {ident} is queued for {name}.",
                    "note",
                    "kern_event",
                    proc,
                    f"event {ident}",
                    socket=sock,
                    data=of,
                    struct="kern_event_msg",
                    queued=["events", rcv["cc"]],
                    source=2,
                )

    def panic(self) -> None:
        """The kernel stops."""
        self.settle()
        self.put("panic", "Kernel page fault in org.kextlab.echo")
        self.tell(
            "loss",
            "Kernel page fault: echo was unloaded without ctl_deregister and unit "
            "1's send callback is gone. The Mac stops here; mac.reboot() starts "
            "again.",
            "panic",
            "kern_control",
            "kern_control",
            "panic",
        )


def payload(size: int, seq: int = 1) -> bytes:
    """Readable bytes."""
    words = b"the quick echo of unit 1: what a client sends comes back as one datagram, whole. "
    head = seq.to_bytes(4, "little")
    return (head + words * (size // len(words) + 1))[:size]


def small() -> Story:
    """Four lanes, as the mock has them: datagrams, a full queue, a stream, events."""
    story = Story()
    for pid, name, uid in (
        (100, "client", 501),
        (101, "client2", 501),
        (102, "statsd", 0),
        (103, "watcher", 501),
    ):
        story.process(pid, name, uid)
    story.control(
        1,
        "org.kextlab.echo",
        "dynamic id · datagram",
        ["CTL_FLAG_REG_EXTENDED"],
        ["connect", "disconnect", "send", "rcvd"],
    )
    story.control(
        2,
        "org.kextlab.stats",
        "dynamic id · stream · root only",
        ["CTL_FLAG_PRIVILEGED", "CTL_FLAG_REG_SOCK_STREAM"],
        ["connect", "disconnect", "send"],
    )
    story.socket(1, 100, unit=1)
    story.socket(2, 101, unit=2)
    story.socket(3, 102, "SOCK_STREAM", ctl=2, unit=1)
    story.socket(4, 103, "events", ctl=0, unit=0, hiwat=64)
    return story


def scope() -> Json:
    """The story of the mock: at one moment client2's buffer is full and a datagram is refused."""
    story = small()
    for size in (700, 500):
        story.echo(3, payload(size))
    story.recv(3, 1200)
    story.post(1, [4])
    for at, size in enumerate((1024, 320, 2048)):
        story.echo(1, payload(size, at))
        story.echo(2, payload((512, 1536, 2048)[at], at))
    story.post(2, [4])
    for at, size in enumerate((160, 1440, 128)):
        story.echo(1, payload(size, at))
    for size in (1000, 2000, 996):
        story.echo(3, payload(size))
    story.recv(3, 2996)
    story.post(1, [4])
    story.echo(3, payload(300))
    story.echo(2, payload(2048, 4))
    story.echo(2, payload(2048, 5))
    story.echo(2, payload(2048, 6))
    for _ in range(3):
        story.recv(2)
        story.recv(1)
    story.recv(4, 64)
    story.echo(2, payload(1024, 7))
    for _ in range(3):
        story.recv(1)
    story.recv(3, 4096)
    for _ in range(4):
        story.recv(2)
    return story.document()


def refused(doc: Json) -> int:
    """The first moment at which client2's datagram is refused."""
    return next(at for at, m in enumerate(doc["moments"]) if m.get("errno") == "ENOBUFS")


def empty() -> Json:
    """A kernel in which nothing has happened."""
    return Story("an empty kernel").document()


def panicked() -> Json:
    """Three messages, then the kernel stops."""
    story = small()
    for size in (1024, 320, 2048):
        story.echo(1, payload(size))
    story.post(1, [4])
    story.panic()
    return story.document()


def crowd(clients: int, rounds: int, kexts: int = 2, seed: int = 3) -> Json:
    """Many clients of a few kexts that send and read at random."""
    story = Story(f"{clients} clients")
    for serial in range(1, kexts + 1):
        name = ("org.kextlab.echo", "org.kextlab.stats", "com.example.filter")[serial - 1]
        story.control(
            serial,
            name,
            "dynamic id · datagram",
            ["CTL_FLAG_REG_EXTENDED"],
            ["connect", "disconnect", "send", "rcvd"],
        )
    for n in range(1, clients + 1):
        story.process(99 + n, f"client{n}")
        story.socket(n, 99 + n, ctl=1 + n % kexts, unit=1 + n // kexts)
    draw = random.Random(seed)
    while len(story.moments) < rounds:
        sock = draw.randint(1, clients)
        if draw.random() < 0.5 + 0.35 * (sock % 3 == 0):
            story.echo(sock, payload(draw.choice((64, 128, 512, 1024, 2048)), draw.randint(0, 9)))
        elif story.state["socks"][str(sock)]["rcv"]["q"]:
            story.recv(sock)
    return story.document()


def _drops(reads: bool) -> Story:
    """Two clients of which the second reads nothing, or, from a point on, every record."""
    story = small()
    for at, size in enumerate((1024, 320, 2048)):
        story.echo(1, payload(size, at))
        story.echo(2, payload((512, 1536, 2048)[at], at))
    for at in range(4):
        if reads:
            story.recv(2)
        story.echo(2, payload(2048, 4 + at))
    story.recv(1)
    return story


def branched() -> Json:
    """A story in which client2 loses records, and a branch in which it reads them at once."""
    slow, quick = _drops(False).document(), _drops(True).document()
    fork = next(
        at
        for at, (a, b) in enumerate(zip(slow["moments"], quick["moments"], strict=False))
        if a != b
    )
    quick["title"] = "client2 reads every record at once"
    slow["branches"] = [{"at": fork - 1, "title": quick["title"], "doc": quick}]
    return slow


def live() -> Json:
    """What a widget attached to a running machine shows."""
    doc = scope()
    doc["live"] = {
        "processes": [{"pid": 100, "name": "client"}, {"pid": 101, "name": "client2"}],
        "controls": ["org.kextlab.echo", "org.kextlab.stats"],
        "faults": [{"id": "dead-101", "label": "client2 stops reading"}],
    }
    doc["changes"] = [
        {"id": "quick-101", "label": "client2 reads every record at once", "kind": "faster"}
    ]
    return doc
