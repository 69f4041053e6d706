"""Socket options and socket-level ioctls.

Models ``sosetoptlock``, ``sogetoptlock`` and ``soo_ioctl`` for what a kernel control, event
or local socket can meet. Read beside it: ``bsd/kern/uipc_socket.c`` and ``bsd/kern/sys_socket.c``.

Not modelled, so NotImplementedError: options of other protocol families and those that need a
clock or a policy (see ``docs/fidelity.md``). An option number XNU does not know is ENOPROTOOPT.
"""

from __future__ import annotations

from kextlab.abi import constants as c
from kextlab.abi.errno import EFAULT, EINVAL, ENOBUFS, ENOPROTOOPT
from kextlab.abi.ioctl import (
    FIOASYNC,
    FIONBIO,
    FIONREAD,
    SIOCATMARK,
    SIOCGPGRP,
    SIOCSPGRP,
)
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Socket, Sockopt
from kextlab.sched.drive import Routine

_FLAG_OPTIONS = frozenset(
    {
        c.SO_DEBUG,
        c.SO_KEEPALIVE,
        c.SO_DONTROUTE,
        c.SO_USELOOPBACK,
        c.SO_BROADCAST,
        c.SO_REUSEADDR,
        c.SO_REUSEPORT,
        c.SO_OOBINLINE,
        c.SO_TIMESTAMP,
        c.SO_TIMESTAMP_MONOTONIC,
        c.SO_DONTTRUNC,
        c.SO_WANTMORE,
        c.SO_WANTOOBFLAG,
    }
)
"""Options that are a bit of ``so_options``."""

SOF_NOSIGPIPE = 0x1
"""In ``so_flags``: a broken pipe raises no SIGPIPE."""

_UNMODELLED = frozenset(
    getattr(c, name)
    for name in (
        "SO_SNDTIMEO",
        "SO_RCVTIMEO",
        "SO_NKE",
        "SO_NOADDRERR",
        "SO_REUSESHAREUID",
        "SO_NOTIFYCONFLICT",
        "SO_UPCALLCLOSEWAIT",
        "SO_RANDOMPORT",
        "SO_NP_EXTENSIONS",
        "SO_LABEL",
        "SO_PEERLABEL",
    )
)


_POLICIES = range(0x1081, 0x1130)
"""Options of traffic classes, delegation, policies: XNU knows most of these numbers."""


def _unmodelled(name: int) -> bool:
    """Whether XNU has this option and the simulator has not."""
    return name in _UNMODELLED or (name in _POLICIES and name != c.SO_NUMRCVPKT)


def _int(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def _signed(data: bytes) -> int:
    return int.from_bytes(data[:4], "little", signed=True)


def sooptcopyin(sopt: Sockopt, size: int) -> int:
    """Copy the caller's ``size``-byte value in. EINVAL if shorter, EFAULT if there is none."""
    if sopt.valsize < size:
        return EINVAL
    return EFAULT if sopt.val is None else 0


def sooptcopyout(sopt: Sockopt, data: bytes) -> int:
    """Copy an answer out, cut to the caller's buffer; a null buffer gets only the length. 0."""
    sopt.valsize = min(len(data), sopt.valsize)
    sopt.out = data[: sopt.valsize] if sopt.val is not None else b""
    return 0


def sosetopt(so: Socket, sopt: Sockopt) -> Routine[int]:
    """Set an option.

    Errors: EINVAL (the socket is shut both ways; a value too short, or below 1 where a size is
    meant), EFAULT (null pointer), ENOBUFS (a buffer larger than any may be), ENOPROTOOPT (unknown
    option, or a protocol without options), and the protocol's own for its level.
    """
    shut = c.SS_CANTRCVMORE | c.SS_CANTSENDMORE
    if so.so_state & shut == shut:
        return EINVAL
    if sopt.level != c.SOL_SOCKET:
        routine = so.so_proto.pr_ctloutput(so, sopt)
        if routine is None:
            return ENOPROTOOPT
        return (yield from routine)
    name = sopt.name
    if name in (c.SO_LINGER, c.SO_LINGER_SEC):
        return _set_linger(so, sopt)
    if name not in _FLAG_OPTIONS | {
        c.SO_SNDBUF,
        c.SO_RCVBUF,
        c.SO_SNDLOWAT,
        c.SO_RCVLOWAT,
        c.SO_NOSIGPIPE,
    }:
        if _unmodelled(name):
            raise NotImplementedError(f"setsockopt(SOL_SOCKET, {name:#x}) is not modelled")
        return ENOPROTOOPT
    error = sooptcopyin(sopt, 4)
    if error:
        return error
    assert sopt.val is not None
    value = _signed(sopt.val)
    if name in _FLAG_OPTIONS:
        so.set("so_options", so.so_options | name if value else so.so_options & ~name)
        return 0
    if name == c.SO_NOSIGPIPE:
        flags = so.so_flags
        so.set("so_flags", flags | SOF_NOSIGPIPE if value else flags & ~SOF_NOSIGPIPE)
        return 0
    return _set_size(so, name, value)


def _set_linger(so: Socket, sopt: Sockopt) -> int:
    error = sooptcopyin(sopt, 8)
    if error:
        return error
    assert sopt.val is not None
    onoff, seconds = _signed(sopt.val), _signed(sopt.val[4:8])
    ticks = seconds if sopt.name == c.SO_LINGER else seconds * 100
    so.set("so_linger", (ticks + 0x8000) % 0x10000 - 0x8000)
    options = so.so_options
    so.set("so_options", options | c.SO_LINGER if onoff else options & ~c.SO_LINGER)
    return 0


def _set_size(so: Socket, name: int, value: int) -> int:
    """SO_SNDBUF, SO_RCVBUF and the two low marks."""
    if value < 1:
        return EINVAL
    if name in (c.SO_SNDBUF, c.SO_RCVBUF):
        sb = so.so_snd if name == c.SO_SNDBUF else so.so_rcv
        if not sb.sbreserve(value):
            return ENOBUFS
        sb.set("sb_flags", (sb.sb_flags | c.SB_USRSIZE) & ~c.SB_AUTOSIZE)
        sb.set("sb_idealsize", value)
    elif name == c.SO_SNDLOWAT:
        so.so_snd.set("sb_lowat", min(value, so.so_snd.sb_hiwat))
        if so.so_snd.sbspace() >= so.so_snd.sb_lowat:
            so.sowwakeup()
    else:
        so.so_rcv.set("sb_lowat", min(value, so.so_rcv.sb_hiwat))
        if so.so_rcv.sb_cc >= so.so_rcv.sb_lowat:
            so.sorwakeup()
    return 0


def sogetopt(so: Socket, sopt: Sockopt) -> Routine[int]:
    """Get an option: the answer in ``sopt.out``, its length in ``sopt.valsize``.

    Errors: ENOPROTOOPT (unknown option, or a protocol without options), and the protocol's own
    for its level.
    """
    if sopt.level != c.SOL_SOCKET:
        routine = so.so_proto.pr_ctloutput(so, sopt)
        if routine is None:
            return ENOPROTOOPT
        return (yield from routine)
    name = sopt.name
    if name in (c.SO_LINGER, c.SO_LINGER_SEC):
        ticks = so.so_linger if name == c.SO_LINGER else int(so.so_linger / 100)  # C truncates
        return sooptcopyout(sopt, _int(bool(so.so_options & c.SO_LINGER)) + _int(ticks))
    if name in _FLAG_OPTIONS:
        return sooptcopyout(sopt, _int(so.so_options & name))
    if name == c.SO_ERROR:
        error = so.so_error
        so.set("so_error", 0)
        return sooptcopyout(sopt, _int(error))
    if name == c.SO_NUMRCVPKT and so.so_proto.atomic:
        return sooptcopyout(sopt, _int(len(so.so_rcv.records())))
    if name == c.SO_NREAD:
        records = so.so_rcv.records()[: 1 if so.so_proto.atomic else None]
        data = (m.m_len for record in records for m in record if m.m_type == c.MT_DATA)
        return sooptcopyout(sopt, _int(sum(data)))
    plain = {
        c.SO_TYPE: so.so_type,
        c.SO_NWRITE: so.so_snd.sb_cc,
        c.SO_SNDBUF: so.so_snd.sb_hiwat,
        c.SO_RCVBUF: so.so_rcv.sb_hiwat,
        c.SO_SNDLOWAT: so.so_snd.sb_lowat,
        c.SO_RCVLOWAT: so.so_rcv.sb_lowat,
        c.SO_NOSIGPIPE: so.so_flags & SOF_NOSIGPIPE,
    }
    if name in plain:
        return sooptcopyout(sopt, _int(plain[name]))
    if _unmodelled(name):
        raise NotImplementedError(f"getsockopt(SOL_SOCKET, {name:#x}) is not modelled")
    return ENOPROTOOPT


def soo_ioctl(layer: Sockets, so: Socket, cmd: int, data: bytes) -> tuple[int, bytes]:
    """An ioctl on a socket: those of every socket here, the rest is the protocol's.

    Returns (errno, the argument as the kernel left it).
    """
    if cmd == FIONREAD:
        return 0, _int(so.so_rcv.sb_cc)
    if cmd == SIOCATMARK:
        return 0, _int(int(bool(so.so_state & c.SS_RCVATMARK)))
    if cmd == FIONBIO:
        flag = c.SS_NBIO
    elif cmd == FIOASYNC:
        flag = c.SS_ASYNC
    elif cmd == SIOCSPGRP:
        so.set("so_pgid", _signed(data))
        return 0, data
    elif cmd == SIOCGPGRP:
        return 0, _int(so.so_pgid)
    else:
        return so.so_proto.pru_control(so, cmd, data)
    so.set("so_state", so.so_state | flag if _signed(data) else so.so_state & ~flag)
    return 0, data
