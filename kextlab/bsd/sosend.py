"""Sending on a socket.

Models ``sosend`` with its checks (``sosendcheck``) and the way it cuts data into mbuf chains, and
``sosend_list``. Read beside it: ``bsd/kern/uipc_socket.c``. Neither a kernel control nor a local
socket queues in the send buffer: its size only bounds one datagram, and one chunk of a stream.

Left out: filters, headroom, out-of-band data beyond its flag, MSG_DONTROUTE.
"""

from __future__ import annotations

from itertools import pairwise

from kextlab.abi.constants import (
    M_EOR,
    M_PKTHDR,
    MBIGCLBYTES,
    MCLBYTES,
    MHLEN,
    MINCLSIZE,
    MLEN,
    MSG_EOR,
    MSG_NBIO,
    MSG_OOB,
    PR_CONNREQUIRED,
    PRUS_MORETOCOME,
    PRUS_OOB,
    SOCK_DGRAM,
    SOCK_STREAM,
    SS_CANTSENDMORE,
    SS_ISCONNECTED,
    SS_NBIO,
)
from kextlab.abi.errno import (
    EDESTADDRREQ,
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    EWOULDBLOCK,
)
from kextlab.bsd.mbuf import KERNEL, Mbuf, MbufPool
from kextlab.bsd.socketvar import Outgoing, Protosw, Socket
from kextlab.bsd.soreceive import MUST_WAIT, sblock, sbunlock, sbwait
from kextlab.sched.drive import LET_GO, Routine

SOSENDMAXCHAIN = 65536
"""Bytes after which a stream's chunk, or a list of packets, is handed on although there is more."""
OOB_LEEWAY = 1024
"""Bytes of space granted beyond the buffer to out-of-band data."""


def sosend(
    so: Socket,
    data: bytes,
    flags: int = 0,
    out: Outgoing | None = None,
    fault: bool = False,
) -> Routine[tuple[int, int]]:
    """Send ``data``; ``out`` is what goes with it, ``fault`` a bad pointer.

    Returns (errno, bytes not taken). Errors: EOPNOTSUPP (out-of-band data on a datagram socket),
    EINVAL (MSG_EOR on a stream), EPIPE, ENOTCONN, EDESTADDRREQ, EMSGSIZE, EWOULDBLOCK (see
    ``_sosendcheck``), EFAULT (when the data is copied in), ENOBUFS (no mbuf is left), and whatever
    the protocol answers.
    """
    resid = len(data)
    proto = so.so_proto
    if flags or not proto.has_sosend:
        refused = _refused(so, flags)
        if refused:
            return refused, resid
    snd = so.so_snd
    pool = so.layer.pool
    error = 0
    clen = len(out.control) if out is not None and out.control is not None else 0
    named = out is not None and out.nam is not None
    while True:
        if snd.sb_lock:
            error = yield from sblock(so, snd, flags)
            if error:
                return error, resid
        snd.sb_lock = True
        space = _sosendcheck(so, resid, clen, flags, named)
        if space < 0:
            sbunlock(so, snd)
            if space != MUST_WAIT:
                return -space, resid
            error = yield from sbwait(so, snd)
            if error:
                return error, resid
            continue
        while True:
            yield LET_GO  # unlocked for the copy from user space
            if fault:
                error = EFAULT
                break
            count = resid if resid < space else space
            if pool.limit is not None and pool.short(_mbufs(count)):
                error = ENOBUFS
                break
            top = _chain(pool, data, len(data) - resid, count, proto, flags)
            resid -= top.pkthdr_len
            space -= top.pkthdr_len
            sendflags = PRUS_MORETOCOME if resid and space > 0 else 0
            if flags and flags & MSG_OOB:
                sendflags = PRUS_OOB
            if out is None:
                error = yield from proto.pru_send(so, sendflags, top)
            else:
                error = yield from proto.pru_send_to(so, sendflags, top, out)
                out.control = None  # it went with the first piece
            clen = 0
            if error or not resid or space <= 0:
                break
        snd.sb_lock = False
        if snd.sb_wantlock:
            sbunlock(so, snd)
        if error or not resid:
            return error, resid


def sosend_now(so: Socket, data: bytes, flags: int) -> tuple[int, int] | Routine[tuple[int, int]]:
    """``sosend`` where nobody can get in while it lets go: its answer, or a routine for it.

    What goes to the protocol in one piece is sent here and now. If that has to wait, or anything
    else is asked for, a routine does it, or what is left of it.
    """
    count = len(data)
    proto = so.so_proto
    snd = so.so_snd
    pool = so.layer.pool
    if (
        flags
        or (count >= MHLEN and not proto.atomic)
        or so.so_state & SENDING != SS_ISCONNECTED
        or so.so_error
        or snd.sb_lock
        or snd.sbspace() < count
        or pool.limit is not None
        or not proto.has_sosend
    ):
        return sosend(so, data, flags)
    snd.sb_lock = True
    if 0 < count < MHLEN:  # what _chain comes to
        offset = (MHLEN - count) & ~7 if proto.atomic else 0
        top = Mbuf(pool, data, KERNEL, M_PKTHDR, 0, offset)
    else:
        top = _chain(pool, data, 0, count, proto, 0)
    error = proto.pru_send_now(so, top)
    if not isinstance(error, int):
        return _sending(so, error)
    snd.sb_lock = False
    if snd.sb_wantlock:
        sbunlock(so, snd)
    return error, 0


def _sending(so: Socket, rest: Routine[int]) -> Routine[tuple[int, int]]:
    """The end of a send whose protocol has to wait."""
    error = yield from rest
    sbunlock(so, so.so_snd)
    return error, 0


def _refused(so: Socket, flags: int) -> int:
    """What is refused before anything else: a protocol that cannot send, out-of-band data on a
    datagram socket, an end of record on a stream."""
    if not so.so_proto.has_sosend:
        return EOPNOTSUPP
    stream = so.so_type == SOCK_STREAM
    if not stream and flags & MSG_OOB:
        return EOPNOTSUPP
    return EINVAL if stream and flags & MSG_EOR else 0


def _sosendcheck(so: Socket, resid: int, clen: int, flags: int, named: bool = False) -> int:
    """The space there is for ``resid`` bytes, if they may be sent now; else an errno, negated.

    Errors, in this order: EPIPE (sending was shut down), the socket's pending error, ENOTCONN,
    EDESTADDRREQ (datagrams without a connection, and no receiver is ``named``), EMSGSIZE (a
    datagram larger than the buffer, or control data), EWOULDBLOCK (no space now, on a
    non-blocking socket or with MSG_NBIO). MUST_WAIT otherwise, MSG_DONTWAIT or not.
    """
    state = so.so_state
    if state & SENDING != SS_ISCONNECTED or so.so_error:
        error = _unsendable(so, resid, clen, named)
        if error:
            return -error
    snd = so.so_snd
    space = snd.sbspace()
    if flags and flags & MSG_OOB:
        space += OOB_LEEWAY
    atomic = so.so_proto.atomic
    if (atomic and resid > snd.sb_hiwat) or clen > snd.sb_hiwat:
        return -EMSGSIZE
    if space >= resid + clen or not (atomic or space < snd.sb_lowat or space < clen):
        return space - clen
    return -EWOULDBLOCK if state & SS_NBIO or flags & MSG_NBIO else MUST_WAIT


SENDING = SS_CANTSENDMORE | SS_ISCONNECTED
"""The bits of so_state that decide about sending."""


def _unsendable(so: Socket, resid: int, clen: int, named: bool) -> int:
    """Why a socket cannot send: the first four errors of ``_sosendcheck``, or 0."""
    if so.so_state & SS_CANTSENDMORE:
        return EPIPE
    if so.so_error:
        error = so.so_error
        so.set("so_error", 0)
        return error
    if not so.so_proto.pr_flags & PR_CONNREQUIRED:
        return 0 if named else EDESTADDRREQ
    return ENOTCONN if resid or not clen else 0  # control data alone may go, says XNU


def _chain(pool: MbufPool, data: bytes, at: int, count: int, proto: Protosw, flags: int) -> Mbuf:
    """One chain of up to ``count`` bytes of ``data`` from ``at`` on, as sosend allocates it.

    More than 2 KiB goes into 4 KiB clusters, more than MINCLSIZE into 2 KiB ones, less into plain
    mbufs; a datagram's only small mbuf has its data at the end, which leaves room in front.
    """
    eor = M_EOR if flags & MSG_EOR else 0
    atomic = proto.atomic
    if count < MHLEN:
        offset = (MHLEN - count) & ~7 if atomic and count else 0
        piece = data if count == len(data) else data[at : at + count]
        if at + count < len(data):
            eor = 0
        return Mbuf(pool, piece, KERNEL, M_PKTHDR | eor, 0, offset)
    end = at + count
    if count > MCLBYTES:
        size = MBIGCLBYTES
    elif count > MINCLSIZE:
        size = MCLBYTES
    else:
        size = 0
    pieces: list[tuple[bytes, int]] = []
    taken = 0
    while at < end:
        length = min(size or (MLEN if pieces else MHLEN), end - at)
        pieces.append((data[at : at + length], size))
        at += length
        taken += length
        if not atomic and taken >= SOSENDMAXCHAIN and len(data) - at >= MINCLSIZE:
            break
    if at == len(data):
        return pool.chain(pieces, KERNEL, eor)
    return pool.chain(pieces, KERNEL)


def _mbufs(count: int) -> int:
    """The mbufs of a chain of ``count`` bytes, at least."""
    if count > MINCLSIZE:
        return -(-count // (MBIGCLBYTES if count > MCLBYTES else MCLBYTES))
    return 1 if count <= MHLEN else 1 + -(-(count - MHLEN) // MLEN)


def sosend_list(so: Socket, datas: list[bytes]) -> Routine[tuple[int, int]]:
    """Send several packets at once: the list send of connected datagram sockets.

    No system call reaches it. Returns (errno, packets whose bytes were taken). Errors: EINVAL
    (not a datagram socket), those of sosend for the total length, and whatever the protocol's
    list send answers.
    """
    if so.so_type != SOCK_DGRAM:
        return EINVAL, 0
    snd = so.so_snd
    if snd.sb_lock:
        error = yield from sblock(so, snd, 0)
        if error:
            return error, 0
    space = _sosendcheck(so, sum(len(data) for data in datas), 0, 0)
    if space == MUST_WAIT:
        raise NotImplementedError("a list send that must wait for space is not modelled")
    if space < 0:
        return -space, 0
    error = 0
    snd.sb_lock = True
    yield LET_GO  # unlocked for the copy from user space
    first = last = 0
    while not error:
        wanted = _needed(datas, first)
        if not wanted:
            break
        if so.layer.pool.short(sum(_mbufs(len(data)) for data in datas[first : first + wanted])):
            error = ENOBUFS
            break
        last += wanted
        packets = [
            _chain(so.layer.pool, data, 0, len(data), so.so_proto, 0) for data in datas[first:last]
        ]
        for m, following in pairwise(packets):
            so.layer.pool.link(m, following)
        error = yield from so.so_proto.pru_send_list(so, packets[0], 0)
        first = last
    sbunlock(so, snd)
    return error, len(datas) - sum(1 for data in datas[last:] if data)


def _needed(datas: list[bytes], first: int) -> int:
    """How many packets go into the next list: as many as there are with bytes from ``first`` on, up
    to a chain's worth.

    XNU takes that many from ``first`` on, empty ones among them.
    """
    needed = chainlength = 0
    for data in datas[first:]:
        if data:
            needed += 1
            chainlength += len(data)
            if chainlength > SOSENDMAXCHAIN:
                break
    return needed
