"""Local sockets: the AF_UNIX protocol's user requests.

Models ``struct unpcb`` and its routines for streams and datagrams. A local socket sends straight
into its peer's receive buffer. A stream's flow control follows from that: what the peer has not
read is taken off the sender's own limits (``sb_hiwat``, ``sb_mbmax``) and given back when it is
read (``unp_cc``, ``unp_mbcnt`` remember how much). A datagram for which there is no space is lost,
and its sender told so (ENOBUFS); it never waits.

Read beside it: ``bsd/kern/uipc_usrreq.c``, ``bsd/kern/uipc_proto.c`` (``localsw``). Documented
only: no recording has local sockets.

Otherwise than there: ``last_pid``, which LOCAL_PEERPID answers, is who made, bound, connected,
listened on or accepted the socket last, not who last sent or received on it. Groups are not kept:
root's is wheel (0), everybody else's staff (20). In doubt: SUN_NONAME's 16 bytes, which newer
sources make 3, and which count in a datagram receiver's buffer.

Left out: waiting for another thread's disconnect (``unp_disconnect_lock``), names of files that are
no sockets (ENOTSOCK), LOCAL_PEERUUID and LOCAL_PEERTOKEN (NotImplementedError), ``net.local``'s
sysctls.
"""

from __future__ import annotations

from kextlab.abi.constants import (
    AF_UNIX,
    LOCAL_PEERCRED,
    LOCAL_PEEREPID,
    LOCAL_PEEREUUID,
    LOCAL_PEERPID,
    LOCAL_PEERTOKEN,
    LOCAL_PEERUUID,
    PIPSIZ,
    PR_ADDR,
    PR_ATOMIC,
    PR_CONNREQUIRED,
    PR_PCBLOCK,
    PR_RIGHTS,
    PR_WANTRCVD,
    PRUS_OOB,
    SB_UNIX,
    SO_ACCEPTCONN,
    SOCK_STREAM,
    SS_CANTRCVMORE,
    SS_CANTSENDMORE,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    UNPDG_RECVSPACE,
    UNPDG_SENDSPACE,
)
from kextlab.abi.errno import (
    EACCES,
    EADDRINUSE,
    EAFNOSUPPORT,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EEXIST,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    EPROTOTYPE,
)
from kextlab.abi.un import SUN_NONAME, SUN_PATH_OFFSET, sun_path, xucred
from kextlab.bsd.mbuf import Mbuf, TypedMbuf
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Incoming, Outgoing, Proc, Protosw, Socket, Sockopt
from kextlab.bsd.sockopt import sooptcopyout
from kextlab.bsd.uipc_rights import dispose, externalize, held, internalize
from kextlab.bsd.vfs_lookup import Vnode
from kextlab.sched.drive import LET_GO, Routine, answered
from kextlab.trace.codes import DELETE, SET, Entry, group, new

WHEEL, STAFF = 0, 20
"""The groups of the simulated Mac: root's, and everybody else's."""


class Unpcb:
    """``struct unpcb``: what the protocol keeps of one socket.

    Attributes:
        unp_addr: its name as a ``struct sockaddr_un``, empty if it has none.
        unp_vnode: the node of that name, of the socket that was bound to it.
        unp_conn: whom it is connected to. For a stream that holds both ways.
        unp_refs: the datagram sockets connected to it, the newest first.
        unp_cc, unp_mbcnt: how much of its receive buffer counts against its peer's limits.
        peercred: the peer's user, ``None`` while it has no peer (UNP_HAVEPC); of a listening
            socket its own.
        last_pid: who used it last.
    """

    __slots__ = (
        "last_pid",
        "peercred",
        "so",
        "unp_addr",
        "unp_cc",
        "unp_conn",
        "unp_mbcnt",
        "unp_refs",
        "unp_vnode",
    )

    def __init__(self, so: Socket, pid: int) -> None:
        self.so = so
        self.unp_addr = b""
        self.unp_vnode: Vnode | None = None
        self.unp_conn: Unpcb | None = None
        self.unp_refs: list[Unpcb] = []
        self.unp_cc = 0
        self.unp_mbcnt = 0
        self.peercred: int | None = None
        self.last_pid = pid

    def state(self) -> dict[str, object]:
        """The block as plain values, as the trace adds them up; ``unp_conn`` is a socket."""
        return {
            "unp_addr": sun_path(self.unp_addr).decode("utf-8", "backslashreplace"),
            "unp_vnode": self.unp_vnode.number if self.unp_vnode is not None else 0,
            "unp_conn": self.unp_conn.so.number if self.unp_conn is not None else 0,
            "unp_cc": self.unp_cc,
            "unp_mbcnt": self.unp_mbcnt,
            "peercred": self.peercred,
            "last_pid": self.last_pid,
        }

    def note(self, *fields: str) -> None:
        """Record fields that changed."""
        rec = self.so.layer.rec
        if rec is not None:
            state, name = self.state(), f"unp:{self.so.number}"
            rec(group(*((SET, name, field, state[field]) for field in fields)))


class UnixProto(Protosw):
    """AF_UNIX in the protocol switch: one entry for streams, one for datagrams."""

    pr_domain = AF_UNIX
    pr_protocol = 0

    def __init__(self, sockets: Sockets, pr_type: int) -> None:
        if pr_type == SOCK_STREAM:
            flags = PR_CONNREQUIRED | PR_WANTRCVD | PR_RIGHTS | PR_PCBLOCK
        else:
            flags = PR_ATOMIC | PR_ADDR | PR_RIGHTS
        super().__init__(pr_type, flags, has_sosend=True)
        self.sockets = sockets

    # -- birth and death -------------------------------------------------------------------

    def pru_attach(self, so: Socket, p: Proc) -> None:
        """A new socket: 8 KiB each way for a stream, datagrams of up to 2 KiB, of which 4 KiB may
        wait. A socket for a new connection has its sizes already."""
        if so.so_type == SOCK_STREAM:
            if not so.so_rcv.sb_hiwat:
                self.sockets.soreserve(so, PIPSIZ, PIPSIZ)
        else:
            so.so_snd.set("sb_lowat", 1)
            self.sockets.soreserve(so, UNPDG_SENDSPACE, UNPDG_RECVSPACE)
        unp = so.so_pcb = Unpcb(so, p.pid)
        if self.sockets.rec is not None:
            self.sockets.rec(new(f"unp:{so.number}", unp.state()))
        for sb in (so.so_rcv, so.so_snd):
            sb.set("sb_flags", sb.sb_flags | SB_UNIX)

    def pru_detach(self, so: Socket) -> Routine[int]:
        """Closing: nobody finds it any more; datagram sockets connected to it learn of it by
        ECONNRESET at their next call."""
        unp: Unpcb = so.so_pcb
        if unp.unp_vnode is not None:
            node, unp.unp_vnode = unp.unp_vnode, None
            unp.note("unp_vnode")
            self.sockets.names.rele(node)
        self._disconnect(unp)
        while unp.unp_refs:
            self._drop(unp.unp_refs[0], ECONNRESET)
        self.sockets.soisdisconnected(so)
        return answered(0)

    def pru_abort(self, so: Socket) -> None:
        """The listening socket is closed before it accepted this connection."""
        self._drop(so.so_pcb, ECONNABORTED)

    def sofreelastref(self, so: Socket) -> None:
        """The socket is gone."""
        so.so_pcb = None
        if self.sockets.rec is not None:
            self.sockets.rec((DELETE, f"unp:{so.number}"))

    def _drop(self, unp: Unpcb, error: int) -> None:
        unp.so.set("so_error", error)
        self._disconnect(unp)

    # -- names -----------------------------------------------------------------------------

    def pru_bind(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """Give the socket a name, which others connect to.

        Errors, in this order: EAFNOSUPPORT (another family), EINVAL (it has a name, is shut both
        ways, or the address has no path), ENAMETOOLONG, ENOENT (an empty path), EADDRINUSE.
        """
        unp: Unpcb = so.so_pcb
        shut = SS_CANTRCVMORE | SS_CANTSENDMORE
        if nam[1] not in (0, AF_UNIX):
            return EAFNOSUPPORT
        if unp.unp_vnode is not None or so.so_state & shut == shut:
            return EINVAL
        if len(nam) <= SUN_PATH_OFFSET:
            return EINVAL
        yield LET_GO  # unlocked for namei
        if so.so_pcb.unp_vnode is not None:
            return EINVAL
        error, node = self.sockets.names.create(sun_path(nam), p.uid, so.number)
        if node is None:
            return EADDRINUSE if error == EEXIST else error
        unp.unp_vnode, unp.unp_addr, unp.last_pid = node, nam, p.pid
        unp.note("unp_vnode", "unp_addr", "last_pid")
        return 0

    def pru_listen(self, so: Socket, p: Proc) -> int:
        """Remember who listens: its clients will see it as their peer. EINVAL without a name."""
        unp: Unpcb = so.so_pcb
        if unp.unp_vnode is None:
            return EINVAL
        unp.peercred, unp.last_pid = p.uid, p.pid
        unp.note("peercred", "last_pid")
        return 0

    def pru_sockaddr(self, so: Socket) -> tuple[int, bytes]:
        """The socket's own address."""
        return 0, so.so_pcb.unp_addr or SUN_NONAME

    def pru_peeraddr(self, so: Socket) -> tuple[int, bytes]:
        """The peer's address."""
        conn = so.so_pcb.unp_conn
        return 0, (conn.unp_addr if conn is not None else b"") or SUN_NONAME

    def pru_accept(self, so: Socket, p: Proc) -> bytes:
        """The client's address, if it has a name and has not closed yet."""
        so.so_pcb.last_pid = p.pid
        so.so_pcb.note("last_pid")
        return self.pru_peeraddr(so)[1]

    # -- connections -----------------------------------------------------------------------

    def pru_connect(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """Connect to the socket of that name.

        Errors, in this order: EAFNOSUPPORT, EINVAL (an address without a path), ENOENT,
        ENAMETOOLONG, EACCES (the node may not be written), ECONNREFUSED (its socket is closed),
        EISCONN (connected by another thread meanwhile), EPROTOTYPE (of another type),
        ECONNREFUSED (a stream that does not listen, or with as many waiting as may).
        """
        unp: Unpcb = so.so_pcb
        if nam[1] not in (0, AF_UNIX):
            return EAFNOSUPPORT
        if len(nam) <= SUN_PATH_OFFSET:
            return EINVAL
        self.sockets.soisconnecting(so)
        yield LET_GO  # unlocked for namei
        error, node = self.sockets.names.namei(sun_path(nam))
        if node is None:
            return error
        if not node.may_write(p.uid):
            return EACCES
        if not node.v_socket:
            return ECONNREFUSED
        so2 = self.sockets.live[node.v_socket]
        if so.so_state & SS_ISCONNECTED:
            return EISCONN
        if so.so_type != so2.so_type:
            return EPROTOTYPE
        if self.pr_flags & PR_CONNREQUIRED:
            listener: Unpcb = so2.so_pcb
            listens = so2.so_options & SO_ACCEPTCONN
            so3 = self.sockets.sonewconn(so2, p) if listens else None
            if so3 is None:
                return ECONNREFUSED
            unp3: Unpcb = so3.so_pcb
            unp3.unp_addr, unp3.peercred = listener.unp_addr, p.uid
            unp3.last_pid = listener.last_pid
            unp3.note("unp_addr", "peercred", "last_pid")
            unp.peercred, unp.last_pid = listener.peercred, p.pid
            unp.note("peercred", "last_pid")
            so2 = so3
        return self.pru_connect2(so, so2, p)

    def pru_connect2(self, so: Socket, so2: Socket, p: Proc) -> int:
        """Join two sockets of this type: a stream both ways, a datagram socket one way."""
        unp: Unpcb = so.so_pcb
        unp2: Unpcb = so2.so_pcb
        unp.unp_conn = unp2
        unp.note("unp_conn")
        if so.so_type == SOCK_STREAM:
            if unp.peercred is None and unp2.peercred is None:  # a socketpair
                for each in (unp, unp2):
                    each.peercred = p.uid
                    each.note("peercred")
            unp2.unp_conn = unp
            unp2.note("unp_conn")
            self.sockets.soisconnected(so2)
        else:
            unp2.unp_refs.insert(0, unp)
        self.sockets.soisconnected(so)
        return 0

    def pru_disconnect(self, so: Socket) -> Routine[int]:
        """0."""
        self._disconnect(so.so_pcb)
        return answered(0)

    def _disconnect(self, unp: Unpcb) -> None:
        """Nothing if it has no peer. Both ends of a stream end up shut both ways; what was queued
        may still be read."""
        unp2 = unp.unp_conn
        if unp2 is None:
            return
        so = unp.so
        unp.unp_conn = None
        unp.note("unp_conn")
        if so.so_type == SOCK_STREAM:
            unp2.unp_conn = None
            unp2.note("unp_conn")
            self.sockets.soisdisconnected(unp2.so)
            self.sockets.soisdisconnected(so)
        else:
            unp2.unp_refs.remove(unp)
            so.set("so_state", so.so_state & ~SS_ISCONNECTED)

    def pru_shutdown(self, so: Socket) -> int:
        """No more sending: a stream's peer comes to the end of data."""
        self.sockets.socantsendmore(so)
        conn = so.so_pcb.unp_conn
        if so.so_type == SOCK_STREAM and conn is not None:
            self.sockets.socantrcvmore(conn.so)
        return 0

    # -- data ------------------------------------------------------------------------------

    def pru_send(self, so: Socket, flags: int, m: Mbuf) -> Routine[int]:
        """Queue ``m`` at the peer. EOPNOTSUPP (out-of-band data), ENOBUFS (a datagram, and the
        peer's buffer is full), EINVAL (a datagram, and the peer shut reading)."""
        if flags & PRUS_OOB:
            self.sockets.pool.freem(m)
            return answered(EOPNOTSUPP)
        return answered(self._send(so, m, None))

    def pru_send_now(self, so: Socket, m: Mbuf) -> int | Routine[int]:
        """``pru_send``, which never lets go."""
        return self._send(so, m, None)

    def pru_send_to(self, so: Socket, flags: int, m: Mbuf, out: Outgoing) -> Routine[int]:
        """``pru_send`` to a named receiver, or with open files.

        Errors besides: those of ``internalize``; EISCONN (a receiver is named on a connected
        datagram socket), those of connecting to it.
        """
        error = EOPNOTSUPP if flags & PRUS_OOB else 0
        control: TypedMbuf | None = None
        if not error and out.control is not None:
            yield LET_GO  # unlocked for the descriptor table
            error, control = internalize(self.sockets.pool, out.control, out.table)
        named = out.nam if so.so_type != SOCK_STREAM else None
        if not error and named is not None:
            error = yield from self._connect_once(so, named, out.table.proc)
        if error:
            self.sockets.pool.freem(m)
        else:
            error = self._send(so, m, control)
            if named is not None:
                self._disconnect(so.so_pcb)
        if error and control is not None:
            self.sockets.pool.freem(control)
            yield from dispose(self.sockets, control.rights)
        return error

    def _connect_once(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """Connect to the receiver of one datagram."""
        if so.so_pcb.unp_conn is not None:
            return EISCONN
        error = yield from self.pru_connect(so, nam, p)
        if error:
            so.set("so_state", so.so_state & ~SS_ISCONNECTING)
        return error

    def _send(self, so: Socket, m: Mbuf, control: TypedMbuf | None) -> int:
        unp: Unpcb = so.so_pcb
        unp2 = unp.unp_conn
        stream = so.so_type == SOCK_STREAM
        if unp2 is None or (stream and so.so_state & SS_CANTSENDMORE):
            self.sockets.pool.freem(m)
            return ENOTCONN if unp2 is None else EPIPE
        rcv = unp2.so.so_rcv
        error, came = 0, True
        if not stream:
            error = rcv.sbappendaddr(unp.unp_addr or SUN_NONAME, m, control)
        elif control is not None:
            error = rcv.sbappendcontrol(m, control)
        elif not rcv.sbappend(m):  # the peer shut reading: the bytes are gone, nobody is told
            self.sockets.pool.freem(m)
            came = False
        if stream:
            self._charge(so, unp2)
        if came and not error:
            unp2.so.sorwakeup()
        return error

    def _charge(self, sender: Socket, unp: Unpcb) -> bool:
        """Bring the sender's limits in line with how much ``unp``, its peer, has not read; whether
        they changed."""
        rcv, snd = unp.so.so_rcv, sender.so_snd
        mine, changes = f"unp:{unp.so.number}", list[Entry]()
        if rcv.sb_mbcnt != unp.unp_mbcnt:
            snd.sb_mbmax -= rcv.sb_mbcnt - unp.unp_mbcnt
            unp.unp_mbcnt = rcv.sb_mbcnt
            changes.append((SET, snd.name, "sb_mbmax", snd.sb_mbmax))
            changes.append((SET, mine, "unp_mbcnt", unp.unp_mbcnt))
        if rcv.sb_cc != unp.unp_cc:
            snd.sb_hiwat = max(0, snd.sb_hiwat - (rcv.sb_cc - unp.unp_cc))
            unp.unp_cc = rcv.sb_cc
            changes.append((SET, snd.name, "sb_hiwat", snd.sb_hiwat))
            changes.append((SET, mine, "unp_cc", unp.unp_cc))
        if changes and self.sockets.rec is not None:
            self.sockets.rec(group(*changes))
        return bool(changes)

    def pru_rcvd(self, so: Socket, flags: int) -> Routine[int] | None:
        """A stream was read: its peer may send as much again."""
        unp: Unpcb = so.so_pcb
        conn = unp.unp_conn
        if so.so_type == SOCK_STREAM and conn is not None and self._charge(conn.so, unp):
            conn.so.sowwakeup()
        return None

    def sbspace(self, so: Socket) -> int:
        """Bytes that may be sent now: no more than the peer has space for."""
        space = so.so_snd.sbspace()
        conn = so.so_pcb.unp_conn
        return space if conn is None else min(space, conn.so.so_rcv.sbspace())

    def dom_externalize(self, m: TypedMbuf, into: Incoming) -> bytes:
        """Open files become descriptors of the process that receives."""
        return externalize(m, into)

    def dom_dispose(self, so: Socket) -> Routine[None] | None:
        """Open files nobody will receive are closed."""
        files = held(so.so_rcv)
        return dispose(self.sockets, files) if files else None

    # -- the rest --------------------------------------------------------------------------

    def pr_ctloutput(self, so: Socket, sopt: Sockopt) -> Routine[int]:
        """Options of any level but SOL_SOCKET; SOL_LOCAL is the one to name. They can only be got.

        Errors: EOPNOTSUPP (setting, or another option), ENOTCONN (no peer), EINVAL
        (LOCAL_PEERCRED of a datagram socket).
        """
        return answered(self._ctloutput(so.so_pcb, sopt))

    def _ctloutput(self, unp: Unpcb, sopt: Sockopt) -> int:
        if sopt.setting:
            return EOPNOTSUPP
        if sopt.name == LOCAL_PEERCRED:
            uid = unp.peercred
            if uid is None or unp.so.so_options & SO_ACCEPTCONN:
                return ENOTCONN if unp.so.so_type == SOCK_STREAM else EINVAL
            return sooptcopyout(sopt, xucred(uid, [STAFF if uid else WHEEL]))
        if sopt.name in (LOCAL_PEERPID, LOCAL_PEEREPID):
            if unp.unp_conn is None:
                return ENOTCONN
            return sooptcopyout(sopt, unp.unp_conn.last_pid.to_bytes(4, "little"))
        if sopt.name in (LOCAL_PEERUUID, LOCAL_PEEREUUID, LOCAL_PEERTOKEN):
            raise NotImplementedError(f"getsockopt(SOL_LOCAL, {sopt.name}) is not modelled")
        return EOPNOTSUPP

    def waker(self, so: Socket, wmesg: str) -> str:
        """The other end."""
        unp: Unpcb = so.so_pcb
        name = sun_path(unp.unp_addr).decode("utf-8", "backslashreplace")
        if wmesg == "accept" or so.so_qlimit:
            return f"whoever connects to {name}"
        if unp.unp_conn is not None:
            return f"whoever holds its peer, socket {unp.unp_conn.so.number}"
        return f"whoever sends to {name}" if name else "nobody: the socket has no peer"
