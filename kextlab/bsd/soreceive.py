"""Receiving on a socket.

Models ``soreceive`` for sockets without address or control records. Read beside it:
``bsd/kern/uipc_socket.c`` (``soreceive``, ``so_should_wait``) and ``uipc_socket2.c`` (``sbwait``,
``sblock``).

Left out: receiving into mbufs, out-of-band data, the confirm state, SO_WANTMORE's flag.
"""

from __future__ import annotations

from kextlab.abi.constants import (
    M_EOR,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NBIO,
    MSG_OOB,
    MSG_PEEK,
    MSG_RCVMORE,
    MSG_TRUNC,
    MSG_WAITALL,
    MSG_WAITSTREAM,
    PR_ATOMIC,
    PR_CONNREQUIRED,
    PR_WANTRCVD,
    SO_DONTTRUNC,
    SS_CANTRCVMORE,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_NBIO,
)
from kextlab.abi.errno import ENOTCONN, EWOULDBLOCK
from kextlab.bsd.mbuf import Mbuf, m_chain
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.bsd.socket import Socket
from kextlab.sched.drive import LET_GO, Routine
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import SLEEP


def sbwait(sb: Sockbuf) -> Routine[int]:
    """Sleep until the buffer changes; EINTR if a signal ended the wait."""
    if sb.rec is not None:
        sb.rec((SLEEP, sb.name, "sbwait"))
    return (yield Sleep(sb.name, "sbwait"))


def sblock(sb: Sockbuf, flags: int) -> Routine[int]:
    """Wait for the buffer's lock, which the caller then takes; EWOULDBLOCK with MSG_DONTWAIT."""
    while sb.sb_lock:
        if flags & MSG_DONTWAIT:
            return EWOULDBLOCK
        if sb.rec is not None:
            sb.rec((SLEEP, sb.name, "sb_lock"))
        error = yield Sleep(sb.name, "sb_lock")
        if error:
            return error
    return 0


def _should_wait(so: Socket, m: Mbuf | None, resid: int, flags: int) -> bool:
    """Whether to wait for more before reading: nothing is there; or, on a stream, less than was
    asked for, and that less than the low mark or the caller wants all that fits (MSG_WAITALL)."""
    if m is None:
        return True
    rcv = so.so_rcv
    return (
        not flags & MSG_DONTWAIT
        and rcv.sb_cc < resid
        and m.m_nextpkt is None
        and not so.so_proto.pr_flags & PR_ATOMIC
        and (rcv.sb_cc < rcv.sb_lowat or bool(flags & MSG_WAITALL and resid <= rcv.sb_hiwat))
    )


def soreceive(so: Socket, length: int, flags: int = 0) -> Routine[tuple[int, bytes, int]]:
    """Receive up to ``length`` bytes of the first record.

    Returns (errno, data, flags); flags are those passed in and those found: MSG_EOR, MSG_TRUNC.
    Errors: EOPNOTSUPP (MSG_OOB), the socket's pending error, ENOTCONN (nothing queued and not
    connected), EWOULDBLOCK (nothing queued and the caller must not wait), EINTR.

    Raises:
        KernelPanic: the queue holds a record without bytes where none may be
            [empty-record-panic].
    """
    passed = flags
    flags &= ~MSG_EOR
    if flags & MSG_OOB:
        return so.so_proto.pru_rcvoob(so), b"", passed
    rcv = so.so_rcv
    while True:
        if rcv.sb_lock:
            error = yield from sblock(rcv, flags)
            if error:
                return error, b"", passed
        rcv.sb_lock = True
        m = rcv.sb_mb
        if m is None or _should_wait(so, m, length, flags):
            answer = _without_waiting(so, length, flags)
            if answer is not None and (m is None or answer != 0):
                rcv.sb_lock = False
                return answer, b"", passed
            if answer is None:
                rcv.sb_lock = False
                if so.so_proto.pr_flags & PR_WANTRCVD:
                    yield from so.so_proto.pru_rcvd(so, flags)
                if _should_wait(so, rcv.sb_mb, length, flags):
                    error = yield from sbwait(rcv)
                    if error:
                        return error, b"", passed
                continue
            m = rcv.sb_mb
        assert m is not None
        data, flags, retry = yield from _copy_out(so, m, length, flags)
        rcv.sb_lock = False
        if not retry:
            return 0, data, passed | flags


def _without_waiting(so: Socket, length: int, flags: int) -> int | None:
    """What to answer at once although more data is wanted: an errno (0: read what is there, or
    end of data), or ``None`` if the caller must sleep."""
    rcv = so.so_rcv
    rcv.check()
    m = rcv.sb_mb
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
    return None


def _copy_out(
    so: Socket, m: Mbuf | None, length: int, flags: int
) -> Routine[tuple[bytes, int, bool]]:
    """Copy the first record out, and unless peeking remove what was copied.

    Returns (data, flags with MSG_EOR and MSG_TRUNC found, whether to start again because nothing
    at all was there to copy).
    """
    rcv = so.so_rcv
    proto = so.so_proto
    peek = flags & MSG_PEEK
    pieces: list[bytes] = []
    resid = length
    assert m is not None
    nextrecord = m.m_nextpkt
    while m is not None and resid > 0:
        taken = m.m_len
        if taken <= resid:
            pieces.append(m.m_data)
        else:
            taken = resid
            pieces.append(m.m_data[:taken])
        yield LET_GO  # unlocked for the copy to user space; m may have grown meanwhile
        resid -= taken
        if taken == m.m_len:
            if m.m_flags & M_EOR:
                flags |= MSG_EOR
            if peek:
                m = m.m_next
            else:
                nextrecord = m.m_nextpkt
                m = rcv.take(m, nextrecord)
        elif not peek:
            rcv.cut(m, taken)
        if flags & MSG_EOR:
            break
        while (
            flags & (MSG_WAITALL | MSG_WAITSTREAM)
            and m is None
            and resid > 0
            and not proto.pr_flags & PR_ATOMIC
            and nextrecord is None
        ):
            if so.so_error or so.so_state & SS_CANTRCVMORE:
                return b"".join(pieces), flags & ~MSG_EOR, False
            if proto.pr_flags & PR_WANTRCVD:
                yield from proto.pru_rcvd(so, flags)
            if rcv.sb_mb is None and (yield from sbwait(rcv)):
                return b"".join(pieces), flags & ~MSG_EOR, False
            m = rcv.sb_mb
            if m is not None:
                nextrecord = m.m_nextpkt
            rcv.check()
    if m is not None and proto.pr_flags & PR_ATOMIC:
        if so.so_options & SO_DONTTRUNC:
            flags |= MSG_RCVMORE
        else:
            flags |= MSG_TRUNC
            if not peek:
                rcv.sbdroprecord()
    if not peek:
        if m is None:
            rcv.check()
        if proto.pr_flags & PR_WANTRCVD:
            yield from proto.pru_rcvd(so, flags)
    nothing = resid == length and length > 0
    retry = nothing and not flags & MSG_EOR and not so.so_state & SS_CANTRCVMORE
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return data, flags, retry
