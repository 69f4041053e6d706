"""The life of a socket: creation, connection state, shutdown, closing, readiness.

Models the routines around ``struct socket`` (``socketvar``). Read beside it:
``bsd/kern/uipc_socket.c`` (``socreate_internal``, ``soconnectlock``, ``solisten``, ``soshutdown``,
``sorflush``, ``soclose_locked``) and ``bsd/kern/uipc_socket2.c`` (``soisconnected`` and its family,
``sonewconn``). Sending is in ``sosend``, receiving in ``soreceive``, options in ``sockopt``.

A connection that waits to be accepted is complete in every protocol here, so there is one queue,
``so_comp``; in the trace it is object ``so_comp:7``.

Left out: incomplete connections (``so_incomp``), socket filters, content filters, upcalls,
lingering, time-outs.
"""

from __future__ import annotations

from kextlab.abi.constants import (
    AF_SYSTEM,
    MCLBYTES,
    PR_CONNREQUIRED,
    SB_DROP,
    SB_USRSIZE,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ACCEPTCONN,
    SOCK_DGRAM,
    SOMAXCONN,
    SS_CANTRCVMORE,
    SS_CANTSENDMORE,
    SS_COMP,
    SS_INCOMP,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_ISDISCONNECTED,
    SS_ISDISCONNECTING,
    SS_NOFDREF,
    SYSPROTO_CONTROL,
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
from kextlab.bsd.mbuf import MbufPool
from kextlab.bsd.sockbuf import SB_MAX_ADJ
from kextlab.bsd.sockbuf import state_of as buffer_state_of
from kextlab.bsd.socketvar import Proc, Protosw, Socket, queue_state_of, state_of
from kextlab.bsd.vfs_lookup import Names
from kextlab.sched.drive import Routine
from kextlab.sched.scheduler import Scheduler
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import DELETE, SET, group, new


class Sockets:
    """The socket layer of one kernel: the protocol switch, all open sockets, and who wakes those
    that sleep on them (``sched``; ``waiting`` is its table of sleepers)."""

    __slots__ = (
        "dgram_control_counts_bytes",
        "last_number",
        "live",
        "names",
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
        self.names = Names(pool.rec)
        self.protocols: list[Protosw] = []
        self.live: dict[int, Socket] = {}
        self.last_number = 0

    def bytes_only(self, proto: Protosw) -> bool:
        """Whether sockets of this protocol count bytes only against their buffers."""
        return (
            self.dgram_control_counts_bytes
            and proto.pr_protocol == SYSPROTO_CONTROL
            and proto.pr_type == SOCK_DGRAM
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
        mine = [pr for pr in self.protocols if pr.pr_domain == domain]
        if not mine:
            return EAFNOSUPPORT, None
        for proto in mine:  # pffindproto; protocol 0 means the first of that type (pffindtype)
            if proto.pr_type == type_ and (proto.pr_protocol == protocol or not protocol):
                break
        else:
            known = any(pr.pr_protocol == protocol for pr in mine) or not protocol
            system = domain == AF_SYSTEM  # the others say EPROTONOSUPPORT to every odd type
            return (EPROTOTYPE if known and system else EPROTONOSUPPORT), None
        so = Socket(self, self.last_number + 1, proto, p.uid)
        self._born(so)
        proto.pru_attach(so, p)
        return 0, so

    def _born(self, so: Socket) -> None:
        self.last_number = so.number
        self.live[so.number] = so
        if self.rec is not None:
            buffers = [new(sb.name, buffer_state_of(sb)) for sb in (so.so_rcv, so.so_snd)]
            self.rec(group(new(f"socket:{so.number}", state_of(so)), *buffers))

    def soclose(self, so: Socket) -> Routine[int]:
        """The last descriptor is gone: drop who waits to be accepted, disconnect, detach, free.
        The protocol's errno."""
        error = 0
        if so.so_options & SO_ACCEPTCONN:
            so.set("so_options", so.so_options & ~SO_ACCEPTCONN)
            while so.so_comp:
                waiting = so.so_comp[0]
                self._dequeue(so, waiting)
                so.so_proto.pru_abort(waiting)
                yield from self._sofree(waiting)
        if so.so_state & SS_ISCONNECTED and not so.so_state & SS_ISDISCONNECTING:
            error = yield from self.sodisconnect(so)
        error2 = yield from self._sofree(so)
        return error or error2

    def _sofree(self, so: Socket) -> Routine[int]:
        error = yield from so.so_proto.pru_detach(so)
        # sofree, then the unlock that drops the last reference: both flush what is left.
        yield from self.sorflush(so)
        so.so_proto.sofreelastref(so)
        yield from self.sorflush(so)
        so.so_snd.sbflush()
        del self.live[so.number]
        if self.rec is not None:
            names = [f"socket:{so.number}", so.so_rcv.name, so.so_snd.name]
            if so.so_qlimit:
                names.append(f"so_comp:{so.number}")
            self.rec(group(*((DELETE, name) for name in names)))
        return error

    # -- connection state ------------------------------------------------------------------

    def soconnect(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """soconnectlock. EOPNOTSUPP if it listens, EISCONN if connected already (sockets with
        connections connect once), else the protocol's answer."""
        if so.so_options & SO_ACCEPTCONN:
            return EOPNOTSUPP
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

    def solisten(self, so: Socket, backlog: int, p: Proc) -> int:
        """Let up to ``backlog`` connections wait (0, or more than SOMAXCONN: 128).

        Errors: EOPNOTSUPP without connections, EINVAL on a connected socket, the protocol's.
        """
        if not so.so_proto.pr_flags & PR_CONNREQUIRED:
            return EOPNOTSUPP
        if so.so_state & (SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING):
            return EINVAL
        error = so.so_proto.pru_listen(so, p)
        if error:
            return error
        so.set("so_options", so.so_options | SO_ACCEPTCONN)
        before = so.so_qlimit
        so.so_qlimit = backlog if 0 < backlog <= SOMAXCONN else SOMAXCONN
        if self.rec is not None:
            name = f"so_comp:{so.number}"
            told = (SET, name, "so_qlimit", so.so_qlimit) if before else None
            self.rec(told or new(name, queue_state_of(so)))
        return 0

    def sonewconn(self, head: Socket, p: Proc) -> Socket | None:
        """A socket for a new connection to a listening one, whose options, state and sizes it
        takes over; ``None`` if as many wait as may."""
        if len(head.so_comp) >= head.so_qlimit:
            return None
        so = Socket(self, self.last_number + 1, head.so_proto, head.so_uid)
        so.so_options = head.so_options & ~SO_ACCEPTCONN
        so.so_flags = head.so_flags
        so.so_linger = head.so_linger
        so.so_pgid = head.so_pgid
        so.so_state = head.so_state | SS_NOFDREF | SS_INCOMP
        so.so_head = head
        self._born(so)
        self.soreserve(so, head.so_snd.sb_hiwat, head.so_rcv.sb_hiwat)
        for sb, of in ((so.so_rcv, head.so_rcv), (so.so_snd, head.so_snd)):
            sb.set("sb_flags", sb.sb_flags | of.sb_flags & SB_USRSIZE)
        so.so_proto.pru_attach(so, p)
        return so

    def _queued(self, head: Socket) -> None:
        if self.rec is not None:
            self.rec((SET, f"so_comp:{head.number}", "sockets", queue_state_of(head)["sockets"]))

    def _dequeue(self, head: Socket, so: Socket) -> None:
        head.so_comp.remove(so)
        so.so_head = None
        self._queued(head)
        so.set("so_state", so.so_state & ~SS_COMP)

    def soaccept(self, head: Socket, p: Proc) -> tuple[Socket, bytes]:
        """Take the first that waits off the queue: (its socket, the peer's address)."""
        so = head.so_comp[0]
        self._dequeue(head, so)
        so.set("so_state", so.so_state & ~SS_NOFDREF)
        return so, so.so_proto.pru_accept(so, p)

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
        rights = so.so_proto.dom_dispose(so)
        sb.sbflush()
        for field in ("sb_hiwat", "sb_mbmax", "sb_lowat"):
            sb.set(field, 0)
        sb.set("sb_flags", sb.sb_flags | SB_DROP)
        if rights is not None:
            yield from rights

    def soisconnecting(self, so: Socket) -> None:
        """Connecting; what an earlier disconnection shut stays shut."""
        state = so.so_state & ~(SS_ISCONNECTED | SS_ISDISCONNECTING)
        so.set("so_state", state | SS_ISCONNECTING)

    def soisconnected(self, so: Socket) -> None:
        """Connected: both sides are told, or who waits in accept."""
        state = so.so_state & ~(SS_ISCONNECTING | SS_ISDISCONNECTING) | SS_ISCONNECTED
        head = so.so_head
        if head is not None and state & SS_INCOMP:
            so.set("so_state", state & ~SS_INCOMP | SS_COMP)
            head.so_comp.append(so)
            self._queued(head)
            head.sorwakeup()
            self.sched.wakeup(f"so_timeo:{head.number}")
            return
        so.set("so_state", state)
        so.sorwakeup()
        so.sowwakeup()

    def socantsendmore(self, so: Socket) -> None:
        """No more data will be sent on it."""
        so.set("so_state", so.so_state | SS_CANTSENDMORE)
        so.sowwakeup()

    def socantrcvmore(self, so: Socket) -> None:
        """No more data will come; what is queued may still be read."""
        so.set("so_state", so.so_state | SS_CANTRCVMORE)
        so.sorwakeup()

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
        """What select and poll call readable: enough bytes, end of data, a connection that waits,
        or an error."""
        rcv = so.so_rcv
        return bool(
            rcv.sb_cc >= rcv.sb_lowat or so.so_state & SS_CANTRCVMORE or so.so_comp or so.so_error
        )

    def sowriteable(self, so: Socket) -> bool:
        """What select and poll call writable: connected with enough space, shut, or an error."""
        snd = so.so_snd
        connected = so.so_state & SS_ISCONNECTED or not so.so_proto.pr_flags & PR_CONNREQUIRED
        return bool(
            (connected and so.so_proto.sbspace(so) >= snd.sb_lowat)
            or so.so_state & SS_CANTSENDMORE
            or so.so_error
        )
