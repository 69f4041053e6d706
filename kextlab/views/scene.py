"""Who is connected to what: the kernel's plain state, read as processes, lanes and controls.

Reads a ``State`` (``mac.snapshot()`` or ``trace.state(step)``) and nothing else. A *lane* is one
socket with the descriptors that refer to it; whoever draws gives each lane a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from kextlab.abi.constants import (
    CTL_FLAG_PRIVILEGED,
    CTL_FLAG_REG_ID_UNIT,
    CTL_FLAG_REG_SOCK_STREAM,
    SOCK_DGRAM,
    SOCK_STREAM,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_ISDISCONNECTED,
    SYSPROTO_EVENT,
    flag_names,
)
from kextlab.trace.fold import State
from kextlab.views.jobs_scene import holder, runners
from kextlab.views.local_scene import Link, link_of, state_of

TYPES = {SOCK_DGRAM: "SOCK_DGRAM", SOCK_STREAM: "SOCK_STREAM"}
LOCAL_TYPES = {SOCK_DGRAM: "AF_UNIX datagram", SOCK_STREAM: "AF_UNIX stream"}


@dataclass(frozen=True, slots=True)
class Buffer:
    """A socket buffer: bytes in each record, oldest first, bytes in all, the limit, and how many
    open files travel in each record (nothing if none do)."""

    records: tuple[int, ...]
    cc: int
    hiwat: int
    passed: tuple[int, ...] = ()

    @property
    def free(self) -> int:
        """Bytes that still fit."""
        return max(0, self.hiwat - self.cc)


@dataclass(frozen=True, slots=True)
class Lane:
    """One open socket.

    Attributes:
        socket: the kernel's number of the socket.
        pid: the process whose descriptors ``fds`` refer to it.
        kind: ``SOCK_DGRAM``, ``SOCK_STREAM``, ``events``, or one of ``LOCAL_TYPES``.
        control: the serial of the control it belongs to, 0 if none.
        unit: its unit, 0 if none.
        state: ``connected``, ``connecting``, ``disconnected``, ``listening``, ``bound``, ``new``.
        link: of a local socket, its name and its peer.
    """

    socket: int
    pid: int
    fds: tuple[int, ...]
    kind: str
    control: int
    unit: int
    state: str
    rcv: Buffer
    snd: Buffer
    link: Link | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a pipe to a control."""
        return self.state == "connected" and bool(self.control)

    @property
    def local(self) -> bool:
        """Whether it is a socket of AF_UNIX."""
        return self.kind.startswith("AF_UNIX")

    @property
    def listens(self) -> bool:
        """Whether connections wait at it to be accepted."""
        return self.state == "listening"

    @property
    def piped(self) -> bool:
        """Whether it is drawn as a pipe: to a control, to its peer, or open to whoever sends."""
        if self.local:
            return not self.stream or self.state in ("connected", "disconnected", "listening")
        return self.connected or self.kind == "events"

    @property
    def stream(self) -> bool:
        """Whether its queue is a stream of bytes, without records."""
        return self.kind in ("SOCK_STREAM", LOCAL_TYPES[SOCK_STREAM])

    @property
    def fd(self) -> str:
        """The descriptors as a reader sees them: ``fd 3`` or ``fd 3, 4``."""
        return "fd " + ", ".join(str(fd) for fd in self.fds)


@dataclass(frozen=True, slots=True)
class Process:
    """A process."""

    pid: int
    name: str
    uid: int


@dataclass(frozen=True, slots=True)
class Control:
    """A registered kernel control; ``loaded`` says whether its kext's code is still in memory."""

    serial: int
    name: str
    id: int
    flags: int
    recvsize: int
    sendsize: int
    kext: str
    callbacks: tuple[str, ...]
    loaded: bool

    @property
    def kind(self) -> str:
        """What its flags make it, in words."""
        words = [
            "static id" if self.flags & CTL_FLAG_REG_ID_UNIT else "dynamic id",
            "stream" if self.flags & CTL_FLAG_REG_SOCK_STREAM else "datagram",
        ]
        if self.flags & CTL_FLAG_PRIVILEGED:
            words.append("root only")
        return " · ".join(words)

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Its flags by name."""
        return tuple(str(name) for name in flag_names(self.flags, "CTL_FLAG"))


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a picture of the machine shows."""

    release: str
    panic: str | None
    processes: tuple[Process, ...]
    lanes: tuple[Lane, ...]
    controls: tuple[Control, ...]

    def process(self, pid: int) -> Process:
        """The process of that number."""
        return next(process for process in self.processes if process.pid == pid)

    def control(self, serial: int) -> Control | None:
        """The control of that serial."""
        return next((control for control in self.controls if control.serial == serial), None)

    def lane(self, socket: int) -> Lane | None:
        """The lane of a socket, if a descriptor refers to it."""
        return next((lane for lane in self.lanes if lane.socket == socket), None)

    def end(self, socket: int) -> str:
        """One end of a pipe between local sockets: ``server fd 4``, "" if no descriptor is one."""
        lane = self.lane(socket)
        return "" if lane is None else f"{self.process(lane.pid).name} {lane.fd}"

    def clients(self, serial: int) -> tuple[Lane, ...]:
        """The sockets that belong to a control, by unit."""
        return tuple(
            sorted((lane for lane in self.lanes if lane.control == serial), key=lambda a: a.unit)
        )


def _int(fields: dict[str, object], name: str) -> int:
    return cast(int, fields[name])


def buffer_of(state: State, name: str) -> Buffer:
    """A socket buffer, its records measured along the mbuf chains."""
    fields = state[name]
    sizes: list[int] = []
    passed: list[int] = []
    packet = _int(fields, "sb_mb")
    while packet:
        size, files, link = 0, 0, packet
        while link:
            mbuf = state[f"mbuf:{link}"]
            size += len(cast(bytes, mbuf["m_data"]))
            files += len(cast("tuple[int, ...]", mbuf.get("rights", ())))
            link = _int(mbuf, "m_next")
        sizes.append(size)
        passed.append(files)
        packet = _int(state[f"mbuf:{packet}"], "m_nextpkt")
    carried = tuple(passed) if any(passed) else ()
    return Buffer(tuple(sizes), _int(fields, "sb_cc"), _int(fields, "sb_hiwat"), carried)


def kind_of(so: dict[str, object]) -> str:
    """``events``, or the name of the socket's type; a local socket says that it is one."""
    if so["so_protocol"] == SYSPROTO_EVENT:
        return "events"
    if not so["so_protocol"]:
        return LOCAL_TYPES[_int(so, "so_type")]
    return TYPES.get(_int(so, "so_type"), "SOCK_RAW")


def state_named(
    so: dict[str, object], kcb: dict[str, object] | None, link: Link | None = None
) -> str:
    """How far a socket's connection is: new, bound, listening, connecting, connected or
    disconnected."""
    words = _int(so, "so_state")
    if words & SS_ISCONNECTED:
        return "connected"
    if words & SS_ISCONNECTING:
        return "connecting"
    if words & SS_ISDISCONNECTED:
        return "disconnected"
    if link is not None:
        return state_of(so, link)
    return "bound" if kcb is not None and kcb["kctl"] else "new"


def _lane(state: State, number: int, pid: int, fds: tuple[int, ...]) -> Lane:
    so = state[f"socket:{number}"]
    kcb = state.get(f"kcb:{number}")
    control = _int(kcb, "kctl") if kcb is not None else 0
    link = link_of(state, number)
    return Lane(
        number,
        pid,
        fds,
        kind_of(so),
        control,
        _int(kcb, "unit") if kcb is not None else 0,
        state_named(so, kcb, link),
        buffer_of(state, f"so_rcv:{number}"),
        buffer_of(state, f"so_snd:{number}"),
        link,
    )


def control_named(state: State, serial: int) -> Control:
    """A registered control, by its serial."""
    fields = state[f"kctl:{serial}"]
    kext = cast(str, fields["kext"])
    return Control(
        serial,
        cast(str, fields["name"]),
        _int(fields, "id"),
        _int(fields, "flags"),
        _int(fields, "recvbufsize"),
        _int(fields, "sendbufsize"),
        kext,
        cast("tuple[str, ...]", fields["callbacks"]),
        f"kext:{kext}" in state,
    )


def scene(state: State) -> Scene:
    """Read a state."""
    processes = []
    holders: dict[int, list[tuple[int, int]]] = {}
    for name, fields in state.items():
        kind, _, rest = name.partition(":")
        if kind == "proc":
            processes.append(Process(int(rest), cast(str, fields["name"]), _int(fields, "uid")))
        elif kind == "fd":
            owner, _, fd = rest.partition(":")
            holders.setdefault(_int(fields, "socket"), []).append((int(owner), int(fd)))
    lanes = []
    runs = runners(state)
    for number, held in holders.items():
        pid = holder((pid for pid, _ in held), runs.get(number, 0))
        fds = tuple(sorted(fd for one, fd in held if one == pid))
        lanes.append(_lane(state, number, pid, fds))
    lanes.sort(key=lambda lane: (lane.pid, lane.fds))
    serials = cast("tuple[int, ...]", state["kern_control"]["controls"])
    return Scene(
        cast(str, state["kernel"]["release"]),
        cast("str | None", state["kernel"]["panic"]),
        tuple(sorted(processes, key=lambda process: process.pid)),
        tuple(lanes),
        tuple(control_named(state, serial) for serial in serials),
    )
