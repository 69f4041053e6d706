"""A socket, the protocol switch, and what passes between system calls, layer and protocols.

Models ``struct socket``, ``struct protosw`` with its user requests, ``struct sockopt``, and what a
message carries besides its bytes: an address, control data, open files. Read beside it:
``bsd/sys/socketvar.h``, ``bsd/sys/protosw.h``, ``bsd/kern/uipc_domain.c`` (``pru_*_notsupp``),
``bsd/kern/uipc_syscalls.c`` (``sendit``, ``recvit``).

Left out: incomplete connections (``so_incomp``), socket filters, upcalls, time-outs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kextlab.abi.constants import AF_SYSTEM, PR_ATOMIC, SS_PRIV
from kextlab.abi.errno import EOPNOTSUPP
from kextlab.bsd.mbuf import Mbuf, MbufPool, TypedMbuf
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.sched.drive import Routine, answered
from kextlab.sched.scheduler import Scheduler
from kextlab.sched.task import Task
from kextlab.trace.codes import SET, WAKEUP
from kextlab.trace.log import Record


class Proc(Protocol):
    """What the socket layer must know of the calling process."""

    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...


class Table(Protocol):
    """A process's descriptors, as a protocol passes open files through them. Any: the files, which
    know of sockets (``kern_descrip.File``)."""

    @property
    def proc(self) -> Proc: ...
    @property
    def files(self) -> Mapping[int, Any]: ...
    def install(self, file: Any) -> int:
        """Give the file the lowest free descriptor."""
        ...


@dataclass(slots=True)
class Sockopt:
    """A ``struct sockopt``: one setsockopt or getsockopt on its way through the layers.

    ``val`` is the caller's buffer, ``None`` for a null pointer; ``valsize`` its length in bytes,
    and on return the length of the answer. The answer itself is put into ``out``.
    """

    setting: bool
    level: int
    name: int
    val: bytes | None
    valsize: int
    out: bytes = b""


@dataclass(slots=True)
class Outgoing:
    """What goes with the bytes of a send: the receiver's address (``msg_name``), control data
    (``msg_control``), and whose descriptors the control data names."""

    table: Table
    nam: bytes | None
    control: bytes | None


@dataclass(slots=True)
class Incoming:
    """What came with the bytes of a receive.

    ``wanted`` is whether the caller passed room for control data: without it the data is thrown
    away, though not the descriptors in it [XNU: soreceive_ctl]. ``nam`` is the sender's address,
    ``None`` if none came.
    """

    table: Table
    wanted: bool = False
    nam: bytes | None = None
    control: bytes = b""


class Layer(Protocol):
    """The socket layer a socket belongs to (``kextlab.bsd.socket.Sockets``)."""

    pool: MbufPool
    rec: Record | None
    sched: Scheduler
    waiting: dict[str, list[Task]]

    def bytes_only(self, proto: Protosw) -> bool:
        """Whether sockets of this protocol count bytes only against their buffers."""
        ...


class Protosw:
    """One entry of the protocol switch, with its user requests.

    The methods answer what XNU's ``pru_*_notsupp`` defaults answer; a protocol overrides what it
    has. ``Routine`` methods may drop the socket lock.
    """

    pr_domain = AF_SYSTEM
    pr_protocol: int

    def __init__(self, pr_type: int, pr_flags: int, has_sosend: bool) -> None:
        self.pr_type = pr_type
        self.pr_flags = pr_flags
        self.atomic = bool(pr_flags & PR_ATOMIC)
        """PR_ATOMIC: one send is one record, one receive takes one record."""
        self.has_sosend = has_sosend
        """Whether sosend is the protocol's pru_sosend; else every send is EOPNOTSUPP."""

    def pru_attach(self, so: Socket, p: Proc) -> None:
        """Give the new socket what the protocol keeps for it."""
        raise NotImplementedError

    def pru_bind(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """EOPNOTSUPP. ``nam`` is a ``struct sockaddr``, its sa_len right."""
        return answered(EOPNOTSUPP)

    def pru_connect(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """EOPNOTSUPP."""
        return answered(EOPNOTSUPP)

    def pru_connect2(self, so: Socket, so2: Socket, p: Proc) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_accept(self, so: Socket, p: Proc) -> bytes:
        """The peer's address, of a socket whose connection is being accepted."""
        raise NotImplementedError

    def pru_abort(self, so: Socket) -> None:
        """Cut the connection of a socket that nobody has accepted."""
        raise NotImplementedError

    def pru_control(self, so: Socket, cmd: int, data: bytes) -> tuple[int, bytes]:
        """(EOPNOTSUPP, data)."""
        return EOPNOTSUPP, data

    def pru_detach(self, so: Socket) -> Routine[int]:
        """Nothing to take back."""
        return answered(0)

    def pru_disconnect(self, so: Socket) -> Routine[int]:
        """EOPNOTSUPP."""
        return answered(EOPNOTSUPP)

    def pru_listen(self, so: Socket, p: Proc) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_disconnectx(self, so: Socket) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_peeraddr(self, so: Socket) -> tuple[int, bytes]:
        """(EOPNOTSUPP, b"")."""
        return EOPNOTSUPP, b""

    def pru_sockaddr(self, so: Socket) -> tuple[int, bytes]:
        """(EOPNOTSUPP, b"")."""
        return EOPNOTSUPP, b""

    def pru_rcvd(self, so: Socket, flags: int) -> Routine[int] | None:
        """What is to be done after a read; ``None`` for nothing."""
        return None

    def pru_rcvoob(self, so: Socket) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_shutdown(self, so: Socket) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_send(self, so: Socket, flags: int, m: Mbuf) -> Routine[int]:
        """Free ``m``; EOPNOTSUPP."""
        so.layer.pool.freem(m)
        return answered(EOPNOTSUPP)

    def pru_send_now(self, so: Socket, m: Mbuf) -> int | Routine[int]:
        """``pru_send`` without flags, where nobody can get in while it lets go: its answer, or a
        routine for it."""
        return self.pru_send(so, 0, m)

    def pru_send_to(self, so: Socket, flags: int, m: Mbuf, out: Outgoing) -> Routine[int]:
        """``pru_send`` with an address or control data, which most protocols ignore."""
        return self.pru_send(so, flags, m)

    def pru_send_list(self, so: Socket, m: Mbuf, flags: int) -> Routine[int]:
        """Free the list; EOPNOTSUPP."""
        so.layer.pool.freem_list(m)
        return answered(EOPNOTSUPP)

    def pr_ctloutput(self, so: Socket, sopt: Sockopt) -> Routine[int] | None:
        """Options of the protocol's own level; ``None`` if the protocol has none."""
        return None

    def dom_externalize(self, m: TypedMbuf, into: Incoming) -> bytes:
        """Control data as the process that receives it is to see it."""
        raise NotImplementedError

    def dom_dispose(self, so: Socket) -> Routine[None] | None:
        """What is to be done about open files in a receive buffer that is thrown away, after it
        is empty; ``None`` for nothing."""
        return None

    def sbspace(self, so: Socket) -> int:
        """Bytes that may be sent now."""
        return so.so_snd.sbspace()

    def waker(self, so: Socket, wmesg: str) -> str:
        """Who could wake a thread that sleeps on the socket in ``wmesg``, in words."""
        raise NotImplementedError

    def sofreelastref(self, so: Socket) -> None:
        """The last reference is gone: take the socket out of the protocol's lists."""


class Socket:
    """One ``struct socket``. ``number`` names it in the trace: ``socket:7``, ``so_rcv:7``."""

    __slots__ = (
        "layer",
        "number",
        "so_comp",
        "so_error",
        "so_flags",
        "so_head",
        "so_linger",
        "so_options",
        "so_pcb",
        "so_pgid",
        "so_proto",
        "so_qlimit",
        "so_rcv",
        "so_snd",
        "so_state",
        "so_type",
        "so_uid",
    )

    def __init__(self, layer: Layer, number: int, proto: Protosw, uid: int) -> None:
        self.layer = layer
        self.number = number
        self.so_type = proto.pr_type
        self.so_proto = proto
        self.so_state = SS_PRIV if uid == 0 else 0
        self.so_options = 0
        self.so_flags = 0
        self.so_linger = 0
        self.so_error = 0
        self.so_pgid = 0
        self.so_uid = uid
        self.so_pcb: Any = None  # Any: the protocol's own control block
        self.so_comp: list[Socket] = []
        """Connections that wait to be accepted, the oldest first."""
        self.so_head: Socket | None = None
        """The listening socket whose queue it is in."""
        self.so_qlimit = 0
        """How many may wait; 0 for a socket that has never listened."""
        bytes_only = layer.bytes_only(proto)
        self.so_rcv = Sockbuf(f"so_rcv:{number}", layer.pool, bytes_only)
        self.so_snd = Sockbuf(f"so_snd:{number}", layer.pool, bytes_only)

    def set(self, field: str, new: int) -> None:
        """Change one of the socket's own fields, with a record of it."""
        if getattr(self, field) != new:
            setattr(self, field, new)
            if self.layer.rec is not None:
                self.layer.rec((SET, f"socket:{self.number}", field, new))

    def sorwakeup(self) -> None:
        """Announce that something can be read, and wake who waits for it (sowakeup)."""
        layer = self.layer
        if layer.rec is not None:
            layer.rec((WAKEUP, "rcv", self.number))
        if layer.waiting:
            layer.sched.wakeup(self.so_rcv.name)

    def sowwakeup(self) -> None:
        """Announce that something can be written, and wake who waits for it."""
        layer = self.layer
        if layer.rec is not None:
            layer.rec((WAKEUP, "snd", self.number))
        if layer.waiting:
            layer.sched.wakeup(self.so_snd.name)


def queue_state_of(so: Socket) -> dict[str, object]:
    """A listening socket's queue as plain values, as the trace adds them up."""
    return {"so_qlimit": so.so_qlimit, "sockets": tuple(one.number for one in so.so_comp)}


def state_of(so: Socket) -> dict[str, object]:
    """The socket's own fields as plain values, as the trace adds them up."""
    return {
        "so_type": so.so_type,
        "so_protocol": so.so_proto.pr_protocol,
        "so_state": so.so_state,
        "so_options": so.so_options,
        "so_flags": so.so_flags,
        "so_linger": so.so_linger,
        "so_error": so.so_error,
        "so_pgid": so.so_pgid,
        "so_uid": so.so_uid,
    }
