"""Sending on a socket.

Models ``sosend`` with its checks (``sosendcheck``) and the way it cuts data into mbuf chains, and
``sosend_list``. Read beside it: ``bsd/kern/uipc_socket.c``. A kernel control never queues in the
send buffer: the buffer's size only bounds one datagram, and one chunk of a stream.

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
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NBIO,
    MSG_OOB,
    PR_ATOMIC,
    PR_CONNREQUIRED,
    PRUS_MORETOCOME,
    PRUS_OOB,
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
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    EWOULDBLOCK,
)
from kextlab.bsd.mbuf import KERNEL, Mbuf, MbufPool
from kextlab.bsd.socket import Socket
from kextlab.bsd.soreceive import sblock, sbwait
from kextlab.sched.drive import LET_GO, Routine

SOSENDMAXCHAIN = 65536
"""Bytes after which a stream's chunk is handed on although there is more."""
OOB_LEEWAY = 1024
"""Bytes of space granted beyond the buffer to out-of-band data."""


def sosend(
    so: Socket,
    data: bytes,
    flags: int = 0,
    addressed: bool = False,
    clen: int = 0,
    fault: bool = False,
) -> Routine[tuple[int, int]]:
    """Send ``data``; ``clen`` bytes of control data came with it, ``fault`` is a bad pointer.

    Returns (errno, bytes not taken). Errors: EOPNOTSUPP (out-of-band data on a datagram socket),
    EINVAL (MSG_EOR on a stream), EPIPE, ENOTCONN, EDESTADDRREQ, EMSGSIZE, EWOULDBLOCK (see
    ``_sosendcheck``), EFAULT (when the data is copied in), and whatever the protocol answers.
    """
    resid = len(data)
    stream = so.so_type == SOCK_STREAM
    if flags & (MSG_OOB | MSG_EOR):
        if not stream and flags & MSG_OOB:
            return EOPNOTSUPP, resid
        if stream and flags & MSG_EOR:
            return EINVAL, resid
    atomic = so.so_proto.pr_flags & PR_ATOMIC
    snd = so.so_snd
    locked = False
    while True:
        error, locked = yield from _sosendcheck(so, addressed, resid, clen, flags, locked)
        if error:
            break
        space = snd.sbspace() - clen
        if flags & MSG_OOB:
            space += OOB_LEEWAY
        while True:
            yield LET_GO  # unlocked for the copy from user space
            if fault:
                error = EFAULT
                break
            at = len(data) - resid
            top = _chain(so.layer.pool, data, at, min(resid, space), atomic, flags)
            resid -= top.pkthdr_len
            space -= top.pkthdr_len
            if flags & MSG_OOB:
                sendflags = PRUS_OOB
            else:
                sendflags = PRUS_MORETOCOME if resid > 0 and space > 0 else 0
            error = yield from so.so_proto.pru_send(so, sendflags, top)
            clen = 0
            if error or not resid or space <= 0:
                break
        if error or not resid:
            break
    if locked:
        snd.sb_lock = False
    return error, resid


def _sosendcheck(
    so: Socket, addressed: bool, resid: int, clen: int, flags: int, locked: bool
) -> Routine[tuple[int, bool]]:
    """Lock the send buffer and see whether ``resid`` bytes may go.

    Errors, in this order: EPIPE (sending was shut down), the socket's pending error, ENOTCONN or
    EDESTADDRREQ, EMSGSIZE (a datagram larger than the buffer), EWOULDBLOCK (no space now and the
    caller must not wait). Returns (errno, whether the buffer is locked).
    """
    snd = so.so_snd
    while True:
        if not locked:
            if snd.sb_lock:
                error = yield from sblock(snd, flags)
                if error:
                    return error, False
            snd.sb_lock = locked = True
        state = so.so_state
        if state & SS_CANTSENDMORE:
            return EPIPE, True
        if so.so_error:
            error = so.so_error
            so.set("so_error", 0)
            return error, True
        if not state & SS_ISCONNECTED:
            if so.so_proto.pr_flags & PR_CONNREQUIRED:
                if resid or not clen:
                    return ENOTCONN, True
            elif not addressed:
                return EDESTADDRREQ, True
        space = snd.sbspace()
        if flags & MSG_OOB:
            space += OOB_LEEWAY
        atomic = so.so_proto.pr_flags & PR_ATOMIC
        if (atomic and resid > snd.sb_hiwat) or clen > snd.sb_hiwat:
            return EMSGSIZE, True
        if space >= resid + clen or not (atomic or space < snd.sb_lowat or space < clen):
            return 0, True
        if state & SS_NBIO or flags & (MSG_NBIO | MSG_DONTWAIT):
            return EWOULDBLOCK, True
        snd.sb_lock = locked = False
        error = yield from sbwait(snd)
        if error:
            return error, False


def _chain(pool: MbufPool, data: bytes, at: int, count: int, atomic: int, flags: int) -> Mbuf:
    """One chain of up to ``count`` bytes of ``data`` from ``at`` on, as sosend allocates it.

    More than 2 KiB goes into 4 KiB clusters, more than MINCLSIZE into 2 KiB ones, less into plain
    mbufs; a datagram's only small mbuf has its data at the end, which leaves room in front.
    """
    eor = M_EOR if flags & MSG_EOR else 0
    if count < MHLEN:
        offset = (MHLEN - count) & ~7 if atomic and count else 0
        piece = data if count == len(data) else data[at : at + count]
        return pool.alloc(piece, KERNEL, M_PKTHDR | eor, 0, offset)
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


def sosend_list(so: Socket, datas: list[bytes]) -> Routine[tuple[int, int]]:
    """Send several packets at once: the list send of connected datagram sockets.

    No system call reaches it. Returns (errno, packets whose bytes were taken). Errors: EINVAL
    (not an atomic datagram protocol), those of sosend for the total length, and whatever the
    protocol's list send answers.
    """
    if not so.so_proto.pr_flags & PR_ATOMIC:
        return EINVAL, 0
    resid = sum(len(data) for data in datas)
    error, locked = yield from _sosendcheck(so, False, resid, 0, 0, False)
    taken = 0
    if not error:
        yield LET_GO  # unlocked for the copy from user space
        packets = [_chain(so.layer.pool, data, 0, len(data), PR_ATOMIC, 0) for data in datas]
        taken = len(packets)
        for m, following in pairwise(packets):
            so.layer.pool.link(m, following)
        if packets:
            error = yield from so.so_proto.pru_send_list(so, packets[0], 0)
    if locked:
        so.so_snd.sb_lock = False
    return error, taken
