"""Receiving on a socket.

Models ``soreceive``. Read beside it: ``bsd/kern/uipc_socket.c`` (``soreceive``, ``soreceive_addr``,
``soreceive_ctl``, ``so_should_wait``) and ``uipc_socket2.c`` (``sbwait``, ``sblock``).

Left out: receiving into mbufs, out-of-band data, the confirm state; looking (MSG_PEEK) at open
files on their way, of which XNU copies kernel pointers (NotImplementedError).
"""

from __future__ import annotations

from kextlab.abi.constants import (
    M_EOR,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_HAVEMORE,
    MSG_NBIO,
    MSG_OOB,
    MSG_PEEK,
    MSG_RCVMORE,
    MSG_TRUNC,
    MSG_WAITALL,
    MSG_WAITSTREAM,
    MT_DATA,
    MT_SONAME,
    PR_CONNREQUIRED,
    SO_DONTTRUNC,
    SO_WANTMORE,
    SS_CANTRCVMORE,
    SS_DRAINING,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_NBIO,
)
from kextlab.abi.errno import EBADF, ENOTCONN, EWOULDBLOCK
from kextlab.bsd.mbuf import Mbuf, TypedMbuf, m_chain
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.bsd.socketvar import Incoming, Socket, Table
from kextlab.sched.drive import LET_GO, Routine
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import SLEEP

MUST_WAIT = -1000
"""An answer of the checks before a send or receive: the caller has to sleep. Not an errno."""


WAIT_ALL = MSG_WAITALL | MSG_WAITSTREAM
"""The flags that ask for everything asked for."""


def sbwait(so: Socket, sb: Sockbuf) -> Routine[int]:
    """Sleep until the buffer changes. EINTR if a signal ended the wait, EBADF if the descriptor is
    being closed."""
    if sb.rec is not None:
        sb.rec((SLEEP, sb.name, "sbwait"))
    error = yield Sleep(sb.name, "sbwait")
    return EBADF if so.so_state & SS_DRAINING else error or 0


def sblock(so: Socket, sb: Sockbuf, flags: int) -> Routine[int]:
    """Wait for the buffer's lock, which the caller then takes. EWOULDBLOCK with MSG_DONTWAIT, else
    as ``sbwait``."""
    while sb.sb_lock:
        if flags & MSG_DONTWAIT:
            return EWOULDBLOCK
        if sb.rec is not None:
            sb.rec((SLEEP, sb.name, "sb_lock"))
        sb.sb_wantlock += 1
        error = yield Sleep(sb.name, "sb_lock")
        sb.sb_wantlock -= 1
        if error or so.so_state & SS_DRAINING:
            return error or EBADF
    return 0


def sbunlock(so: Socket, sb: Sockbuf) -> None:
    """Give the buffer's lock back, and wake who waits for it."""
    sb.sb_lock = False
    if sb.sb_wantlock:
        so.layer.sched.wakeup(sb.name, "sb_lock")


def _should_wait(so: Socket, m: Mbuf | None, resid: int, flags: int) -> bool:
    """Whether to wait for more before reading: nothing is there; or, on a stream, less than was
    asked for, and that less than the low mark or the caller wants all that fits (MSG_WAITALL)."""
    if m is None:
        return True
    rcv = so.so_rcv
    return (
        rcv.sb_cc < resid
        and not flags & MSG_DONTWAIT
        and m.m_nextpkt is None
        and not so.so_proto.atomic
        and (rcv.sb_cc < rcv.sb_lowat or bool(flags & MSG_WAITALL and resid <= rcv.sb_hiwat))
    )


def soreceive(
    so: Socket, length: int, flags: int = 0, into: Incoming | None = None
) -> Routine[tuple[int, bytes, int]]:
    """Receive up to ``length`` bytes of the first record; what else came with it goes ``into``.

    Returns (errno, data, flags); flags are those passed in and those found: MSG_EOR, MSG_TRUNC,
    MSG_RCVMORE (SO_DONTTRUNC), MSG_HAVEMORE (SO_WANTMORE: there is more in the buffer).
    Errors: EOPNOTSUPP (MSG_OOB), the socket's pending error, ENOTCONN (nothing queued and not
    connected), EWOULDBLOCK (nothing queued and the caller must not wait), EINTR.

    Raises:
        KernelPanic: the queue holds a record without bytes where none may be
            [empty-record-panic].
    """
    proto = so.so_proto
    passed = flags
    peek = 0
    if flags:
        if flags & MSG_OOB:
            return proto.pru_rcvoob(so), b"", flags
        flags &= ~MSG_EOR
        peek = flags & MSG_PEEK
    atomic = proto.atomic
    rcv = so.so_rcv
    while True:
        if rcv.sb_lock:
            error = yield from sblock(so, rcv, flags)
            if error:
                return error, b"", passed
        rcv.sb_lock = True
        m = rcv.sb_mb
        if m is None or (not atomic and _should_wait(so, m, length, flags)):
            error = _cannot_wait(so, m, length, flags)
            if error == MUST_WAIT:
                sbunlock(so, rcv)
                error = yield from _wait(so, length, flags)
                if error:
                    return error, b"", passed
                continue
            if m is None or error:
                sbunlock(so, rcv)
                return error, b"", passed
        pieces: list[bytes] = []
        resid = length
        found = m.m_type != MT_DATA
        if found:
            m = yield from _ancillary(so, m, peek, into)
        while m is not None and resid > 0:
            taken = m.m_len
            if taken <= resid:
                pieces.append(m.m_data)
            else:
                taken = resid
                pieces.append(m.m_data[:taken])
            yield LET_GO  # unlocked for the copy to user space; m may have grown meanwhile
            resid -= taken
            nextrecord = m.m_nextpkt
            if taken < m.m_len:
                if not peek:
                    rcv.cut(m, taken)
            else:
                if m.m_flags & M_EOR:
                    flags |= MSG_EOR
                m = m.m_next if peek else rcv.take(m, nextrecord)
            if flags and flags & MSG_EOR:
                break
            if m is None and resid > 0 and not atomic and nextrecord is None and flags & WAIT_ALL:
                m = yield from _wait_for_all(so, flags)
                if m is None or m.m_type != MT_DATA:  # what begins with control data stands alone
                    sbunlock(so, rcv)
                    return 0, b"".join(pieces), passed
        if m is not None and atomic:
            if so.so_options & SO_DONTTRUNC:
                flags |= MSG_RCVMORE
            else:
                flags |= MSG_TRUNC
                if not peek:
                    rcv.sbdroprecord()
        if so.so_options & SO_WANTMORE and rcv.sb_cc > 0:
            flags |= MSG_HAVEMORE
        if not peek:
            if m is None and (rcv.sb_mb is None) != (rcv.sb_cc == 0):
                rcv.check()
            told = proto.pru_rcvd(so, flags)
            if told is not None:
                yield from told
        rcv.sb_lock = False
        if rcv.sb_wantlock:
            sbunlock(so, rcv)
        if resid < length or not length or found or flags & MSG_EOR or so.so_state & SS_CANTRCVMORE:
            return 0, pieces[0] if len(pieces) == 1 else b"".join(pieces), passed | flags


def _ancillary(so: Socket, m: Mbuf, peek: int, into: Incoming | None) -> Routine[Mbuf | None]:
    """Take what stands before the data of a record: the sender's address, control data. Open
    files in it are the process's from now on, whether or not it asked for them. Returns the first
    mbuf of data; an empty one behind control data goes with it, as no read would take it.

    Raises:
        NotImplementedError: MSG_PEEK, and there are open files.
    """
    assert into is not None  # whoever reads a local socket says for whom
    rcv = so.so_rcv
    nextrecord = m.m_nextpkt
    rest: Mbuf | None = m
    while isinstance(rest, TypedMbuf):
        if rest.m_type == MT_SONAME:
            into.nam = rest.m_data
        elif peek:
            raise NotImplementedError("MSG_PEEK at a message with descriptors is not modelled")
        else:
            yield LET_GO  # unlocked for the descriptor table
            nextrecord = rest.m_nextpkt  # another record may have come
            control = so.so_proto.dom_externalize(rest, into)
            if into.wanted:
                into.control += control
        rest = rest.m_next if peek else rcv.take(rest, nextrecord)
    while rest is not None and not rest.m_len and not peek:
        rest = rcv.take(rest, nextrecord)
    return rest


def soreceive_now(
    so: Socket, length: int, flags: int, table: Table | None = None
) -> tuple[int, bytes, int] | Routine[tuple[int, bytes, int]]:
    """``soreceive`` where nobody can get in while it lets go: its answer, or a routine for it.

    A record of one mbuf that fits is taken here and now. If the protocol has to wait, or anything
    else is asked for, a routine does it, or what is left of it.
    """
    proto = so.so_proto
    rcv = so.so_rcv
    m = rcv.sb_mb
    if (
        flags
        or m is None
        or m.m_next is not None
        or not 0 < m.m_len <= length
        or rcv.sb_lock
        or not (proto.atomic or not _should_wait(so, m, length, 0))
    ):
        return soreceive(so, length, flags, Incoming(table) if table is not None else None)
    rcv.sb_lock = True
    if m.m_flags & M_EOR:
        flags = MSG_EOR
    rcv.take(m, m.m_nextpkt)
    if so.so_options & SO_WANTMORE and rcv.sb_cc > 0:
        flags |= MSG_HAVEMORE
    if (rcv.sb_mb is None) != (rcv.sb_cc == 0):
        rcv.check()
    told = proto.pru_rcvd(so, flags)
    if told is not None:
        return _receiving(so, told, m.m_data, flags)
    rcv.sb_lock = False
    if rcv.sb_wantlock:
        sbunlock(so, rcv)
    return 0, m.m_data, flags


def _receiving(
    so: Socket, told: Routine[int], data: bytes, flags: int
) -> Routine[tuple[int, bytes, int]]:
    """The end of a receive whose protocol has to wait."""
    yield from told
    sbunlock(so, so.so_rcv)
    return 0, data, flags


def _cannot_wait(so: Socket, m: Mbuf | None, length: int, flags: int) -> int:
    """More data is wanted than is there: an errno, 0 to take what is there (or to report the end
    of data), or MUST_WAIT."""
    so.so_rcv.check()
    if so.so_error:
        if m is not None:
            return 0
        error = so.so_error
        if not flags & MSG_PEEK:
            so.set("so_error", 0)
        return error
    if so.so_state & SS_CANTRCVMORE or any(n.m_flags & M_EOR for n in m_chain(m)):
        return 0
    if (
        not so.so_state & (SS_ISCONNECTED | SS_ISCONNECTING)
        and so.so_proto.pr_flags & PR_CONNREQUIRED
    ):
        return ENOTCONN
    if not length:
        return 0
    if so.so_state & SS_NBIO or flags & (MSG_DONTWAIT | MSG_NBIO):
        return EWOULDBLOCK
    return MUST_WAIT


def _wait(so: Socket, length: int, flags: int) -> Routine[int]:
    """Tell the protocol, which may bring data at once, then sleep unless it did. EINTR."""
    yield from _tell(so, flags)
    if _should_wait(so, so.so_rcv.sb_mb, length, flags):
        return (yield from sbwait(so, so.so_rcv))
    return 0


def _tell(so: Socket, flags: int) -> Routine[None]:
    told = so.so_proto.pru_rcvd(so, flags)
    if told is not None:
        yield from told


def _wait_for_all(so: Socket, flags: int) -> Routine[Mbuf | None]:
    """MSG_WAITALL on a stream whose queue has run dry: sleep, MSG_DONTWAIT or not
    [stream-waitall], until there is more; ``None`` if there will not be."""
    rcv = so.so_rcv
    while True:
        if so.so_error or so.so_state & SS_CANTRCVMORE:
            return None
        yield from _tell(so, flags)
        if rcv.sb_mb is None and (yield from sbwait(so, rcv)):
            return None
        rcv.check()
        if rcv.sb_mb is not None:
            return rcv.sb_mb
