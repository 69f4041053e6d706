"""The life of a socket: creation, connection state, shutdown, closing, readiness.

Models ``struct socket``, the protocol switch and the routines around them. Read beside it:
``bsd/kern/uipc_socket.c`` (``socreate_internal``, ``soconnectlock``, ``soshutdown``, ``sorflush``,
``soclose_locked``) and ``bsd/kern/uipc_socket2.c`` (``soisconnected`` and its family). Sending is
in ``sosend``, receiving in ``soreceive``, options in ``sockopt``.

Left out: listening and accepted sockets (no protocol here has them), socket filters, content
filters, upcalls, lingering, time-outs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from kextlab.abi.constants import (
    AF_SYSTEM,
    MCLBYTES,
    PR_ATOMIC,
    PR_CONNREQUIRED,
    SB_DROP,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SS_CANTRCVMORE,
    SS_CANTSENDMORE,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_ISDISCONNECTED,
    SS_ISDISCONNECTING,
    SS_PRIV,
)
from kextlab.abi.errno import (
    EAFNOSUPPORT,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EOPNOTSUPP,
    EPROTONOSUPPORT,
    EPROTOTYPE,
)
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.mbuf import Mbuf, MbufPool
from kextlab.bsd.sockbuf import SB_MAX_ADJ, Sockbuf
from kextlab.bsd.sockbuf import state_of as buffer_state_of
from kextlab.sched.drive import Routine, answered
from kextlab.sched.scheduler import Scheduler
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import DELETE, SET, WAKEUP, group, new


class Proc(Protocol):
    """What the socket layer must know of the calling process."""

    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...


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


class Protosw:
    """One entry of the protocol switch, with its user requests.

    The methods answer what XNU's ``pru_*_notsupp`` defaults answer; a protocol overrides what it
    has. ``Routine`` methods may drop the socket lock.
    """

    pr_protocol: int

    def __init__(self, pr_type: int, pr_flags: int, has_sosend: bool) -> None:
        self.pr_type = pr_type
        self.pr_flags = pr_flags
        self.atomic = bool(pr_flags & PR_ATOMIC)
        """PR_ATOMIC: one send is one record, one receive takes one record."""
        self.has_sosend = has_sosend
        """Whether sosend is the protocol's pru_sosend; else every send is EOPNOTSUPP."""

    def pru_attach(self, so: Socket) -> None:
        """Give the new socket what the protocol keeps for it."""
        raise NotImplementedError

    def pru_bind(self, so: Socket, nam: SockaddrCtl, p: Proc) -> Routine[int]:
        """EOPNOTSUPP."""
        return answered(EOPNOTSUPP)

    def pru_connect(self, so: Socket, nam: SockaddrCtl, p: Proc) -> Routine[int]:
        """EOPNOTSUPP."""
        return answered(EOPNOTSUPP)

    def pru_control(self, so: Socket, cmd: int, data: bytes) -> tuple[int, bytes]:
        """(EOPNOTSUPP, data)."""
        return EOPNOTSUPP, data

    def pru_detach(self, so: Socket) -> Routine[int]:
        """Nothing to take back."""
        return answered(0)

    def pru_disconnect(self, so: Socket) -> Routine[int]:
        """EOPNOTSUPP."""
        return answered(EOPNOTSUPP)

    def pru_listen(self, so: Socket) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_disconnectx(self, so: Socket) -> int:
        """EOPNOTSUPP."""
        return EOPNOTSUPP

    def pru_peeraddr(self, so: Socket) -> tuple[int, SockaddrCtl | None]:
        """(EOPNOTSUPP, None)."""
        return EOPNOTSUPP, None

    def pru_sockaddr(self, so: Socket) -> tuple[int, SockaddrCtl | None]:
        """(EOPNOTSUPP, None)."""
        return EOPNOTSUPP, None

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

    def pru_send_list(self, so: Socket, m: Mbuf, flags: int) -> Routine[int]:
        """Free the list; EOPNOTSUPP."""
        so.layer.pool.freem_list(m)
        return answered(EOPNOTSUPP)

    def pr_ctloutput(self, so: Socket, sopt: Sockopt) -> Routine[int] | None:
        """Options of the protocol's own level; ``None`` if the protocol has none."""
        return None

    def sofreelastref(self, so: Socket) -> None:
        """The last reference is gone: take the socket out of the protocol's lists."""


class Socket:
    """One ``struct socket``. ``number`` names it in the trace: ``socket:7``, ``so_rcv:7``."""

    __slots__ = (
        "layer",
        "number",
        "so_error",
        "so_flags",
        "so_linger",
        "so_options",
        "so_pcb",
        "so_pgid",
        "so_proto",
        "so_rcv",
        "so_snd",
        "so_state",
        "so_type",
        "so_uid",
    )

    def __init__(self, layer: Sockets, number: int, proto: Protosw, uid: int) -> None:
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


class Sockets:
    """The socket layer of one kernel: the protocol switch, all open sockets, and who wakes those
    that sleep on them (``sched``; ``waiting`` is its table of sleepers)."""

    __slots__ = (
        "dgram_control_counts_bytes",
        "last_number",
        "live",
        "pool",
        "protocols",
        "rec",
        "sched",
        "waiting",
    )

    def __init__(self, pool: MbufPool, dgram_control_counts_bytes: bool, sched: Scheduler) -> None:
        self.sched = sched
        self.waiting = sched.waiting
        self.rec = pool.rec
        self.pool = pool
        self.dgram_control_counts_bytes = dgram_control_counts_bytes
        self.protocols: list[Protosw] = []
        self.live: dict[int, Socket] = {}
        self.last_number = 0

    def bytes_only(self, proto: Protosw) -> bool:
        """Whether sockets of this protocol count bytes only against their buffers."""
        return (
            self.dgram_control_counts_bytes
            and proto.pr_type == 2  # SOCK_DGRAM: only kernel control has it
        )

    def total_sbmb_cnt(self) -> int:
        """Mbuf memory queued in all socket buffers, in units of MSIZE."""
        held = sum(so.so_rcv.sb_mbcnt + so.so_snd.sb_mbcnt for so in self.live.values())
        return held >> 8

    # -- birth and death -------------------------------------------------------------------

    def socreate(
        self, domain: int, type_: int, protocol: int, p: Proc
    ) -> tuple[int, Socket | None]:
        """A new socket.

        Errors: EAFNOSUPPORT (no such domain), EPROTONOSUPPORT (no such protocol number),
        EPROTOTYPE (the protocol exists, but not of that type).
        """
        if domain != AF_SYSTEM:
            return EAFNOSUPPORT, None
        proto = self._find(type_, protocol)
        if proto is None:
            known = any(pr.pr_protocol == protocol for pr in self.protocols) or not protocol
            return (EPROTOTYPE if known else EPROTONOSUPPORT), None
        self.last_number = number = self.last_number + 1
        so = Socket(self, number, proto, p.uid)
        self.live[number] = so
        if self.rec is not None:
            buffers = [new(sb.name, buffer_state_of(sb)) for sb in (so.so_rcv, so.so_snd)]
            self.rec(group(new(f"socket:{number}", state_of(so)), *buffers))
        proto.pru_attach(so)
        return 0, so

    def _find(self, type_: int, protocol: int) -> Protosw | None:
        """pffindproto; protocol 0 means the first of that type (pffindtype)."""
        for pr in self.protocols:
            if pr.pr_type == type_ and (pr.pr_protocol == protocol or not protocol):
                return pr
        return None

    def soclose(self, so: Socket) -> Routine[int]:
        """The last descriptor is gone: disconnect, detach, free. The protocol's errno."""
        error = 0
        if so.so_state & SS_ISCONNECTED and not so.so_state & SS_ISDISCONNECTING:
            error = yield from self.sodisconnect(so)
        error2 = yield from so.so_proto.pru_detach(so)
        # sofree, then the unlock that drops the last reference: both flush what is left.
        yield from self.sorflush(so)
        so.so_proto.sofreelastref(so)
        yield from self.sorflush(so)
        so.so_snd.sbflush()
        del self.live[so.number]
        if self.rec is not None:
            names = (f"socket:{so.number}", so.so_rcv.name, so.so_snd.name)
            self.rec(group(*((DELETE, name) for name in names)))
        return error or error2

    # -- connection state ------------------------------------------------------------------

    def soconnect(self, so: Socket, nam: SockaddrCtl, p: Proc) -> Routine[int]:
        """soconnectlock. EISCONN if connected already (kernel control sockets connect once),
        else the protocol's answer."""
        if so.so_state & (SS_ISCONNECTED | SS_ISCONNECTING) and (
            so.so_proto.pr_flags & PR_CONNREQUIRED or (yield from self.sodisconnect(so))
        ):
            return EISCONN
        error = yield from so.so_proto.pru_connect(so, nam, p)
        if error:
            so.set("so_state", so.so_state & ~SS_ISCONNECTING)
        return error

    def sodisconnect(self, so: Socket) -> Routine[int]:
        """ENOTCONN if not connected, else the protocol's answer."""
        if not so.so_state & SS_ISCONNECTED:
            return ENOTCONN
        return (yield from so.so_proto.pru_disconnect(so))

    def solisten(self, so: Socket) -> int:
        """EOPNOTSUPP without connections, EINVAL on a connected socket, else the protocol's."""
        if not so.so_proto.pr_flags & PR_CONNREQUIRED:
            return EOPNOTSUPP
        if so.so_state & (SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING):
            return EINVAL
        return so.so_proto.pru_listen(so)

    def soshutdown(self, so: Socket, how: int) -> Routine[int]:
        """Shut reading, writing or both.

        Errors: EINVAL (``how`` is none of the three), ENOTCONN (not connected, or that side is
        shut already), else the protocol's answer to shutting writing down. Reading is shut even
        when writing is then refused [opt-after-shutdown].
        """
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            return EINVAL
        if not so.so_state & (SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING):
            return ENOTCONN
        if how != SHUT_WR:
            if so.so_state & SS_CANTRCVMORE:
                return ENOTCONN
            yield from self.sorflush(so)
        if how != SHUT_RD:
            if so.so_state & SS_CANTSENDMORE:
                return ENOTCONN
            return so.so_proto.pru_shutdown(so)
        return 0

    def sorflush(self, so: Socket) -> Routine[None]:
        """Shut reading, once no reader is in the middle of its work: nothing more comes in, what
        was queued is thrown away, the receive buffer's sizes are 0 from now on."""
        while so.so_rcv.sb_lock:
            so.so_rcv.sb_wantlock += 1
            yield Sleep(so.so_rcv.name, "sb_lock", interruptible=False)
            so.so_rcv.sb_wantlock -= 1
        so.set("so_state", so.so_state | SS_CANTRCVMORE)
        so.sorwakeup()
        sb = so.so_rcv
        sb.sbflush()
        for field in ("sb_hiwat", "sb_mbmax", "sb_lowat"):
            sb.set(field, 0)
        sb.set("sb_flags", sb.sb_flags | SB_DROP)

    def soisconnecting(self, so: Socket) -> None:
        """Connecting; what an earlier disconnection shut stays shut."""
        state = so.so_state & ~(SS_ISCONNECTED | SS_ISDISCONNECTING)
        so.set("so_state", state | SS_ISCONNECTING)

    def soisconnected(self, so: Socket) -> None:
        """Connected: both sides are told."""
        state = so.so_state & ~(SS_ISCONNECTING | SS_ISDISCONNECTING)
        so.set("so_state", state | SS_ISCONNECTED)
        so.sorwakeup()
        so.sowwakeup()

    def soisdisconnected(self, so: Socket) -> None:
        """Disconnected for good: neither sending nor receiving more, both sides are told."""
        state = so.so_state & ~(SS_ISCONNECTING | SS_ISCONNECTED | SS_ISDISCONNECTING)
        so.set("so_state", state | SS_CANTRCVMORE | SS_CANTSENDMORE | SS_ISDISCONNECTED)
        so.sowwakeup()
        so.sorwakeup()

    def soreserve(self, so: Socket, sndcc: int, rcvcc: int) -> int:
        """Size both buffers, clamped to what any buffer may have; lows follow if unset. 0."""
        for sb, cc, lowat in ((so.so_snd, sndcc, MCLBYTES), (so.so_rcv, rcvcc, 1)):
            cc = min(cc, SB_MAX_ADJ)
            sb.sbreserve(cc)
            sb.set("sb_idealsize", cc)
            if not sb.sb_lowat:
                sb.set("sb_lowat", lowat)
        if so.so_snd.sb_lowat > so.so_snd.sb_hiwat:
            so.so_snd.set("sb_lowat", so.so_snd.sb_hiwat)
        return 0

    # -- readiness -------------------------------------------------------------------------

    def soreadable(self, so: Socket) -> bool:
        """What select and poll call readable: enough bytes, end of data, or an error."""
        rcv = so.so_rcv
        return bool(rcv.sb_cc >= rcv.sb_lowat or so.so_state & SS_CANTRCVMORE or so.so_error)

    def sowriteable(self, so: Socket) -> bool:
        """What select and poll call writable: connected with enough space, shut, or an error."""
        snd = so.so_snd
        connected = so.so_state & SS_ISCONNECTED or not so.so_proto.pr_flags & PR_CONNREQUIRED
        return bool(
            (connected and snd.sbspace() >= snd.sb_lowat)
            or so.so_state & SS_CANTSENDMORE
            or so.so_error
        )
