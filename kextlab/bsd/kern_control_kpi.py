"""The kernel control functions a kext calls: registering, enqueueing, asking for space.

Models the exported half of ``bsd/kern/kern_control.c``. Every function answers an errno as the C
one does; results come back beside it. The gate to kexts is in ``kextlab.kernel.kpi``.
"""

from __future__ import annotations

from kextlab.abi.constants import (
    CTL_AUTORCVBUF_MAX,
    CTL_DATA_CRIT,
    CTL_DATA_EOR,
    CTL_DATA_NOWAKEUP,
    CTL_FLAG_REG_CRIT,
    CTL_FLAG_REG_EXTENDED,
    CTL_FLAG_REG_ID_UNIT,
    CTL_FLAG_REG_SETUP,
    CTL_FLAG_REG_SOCK_STREAM,
    CTL_RECVSIZE,
    CTL_SENDSIZE,
    KEV_CTL_DEREGISTERED,
    KEV_CTL_REGISTERED,
    KEV_CTL_SUBCLASS,
    KEV_SYSTEM_CLASS,
    KEV_VENDOR_APPLE,
    M_EOR,
    M_PKTHDR,
    MAX_KCTL_NAME,
    MHLEN,
    MSIZE,
)
from kextlab.abi.errno import EBUSY, EEXIST, EINVAL, ENOBUFS, ENOENT, ENOMEM, EOPNOTSUPP
from kextlab.abi.structs import CtlEventData
from kextlab.bsd.kctl import CtlCb, Kctl, KernCtlReg, Text
from kextlab.bsd.kern_control import KernControl
from kextlab.bsd.kern_event import KevMsg
from kextlab.bsd.mbuf import KERNEL, Mbuf, m_length, m_packets
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.trace.codes import DELETE, MBUF_SET, new

MBUF_LIMIT = 65536 << 3
"""Mbuf memory in all socket buffers, in units of MSIZE, above which none grows: half of 131072
clusters."""


# -- registration ------------------------------------------------------------------------------


def ctl_register(control: KernControl, reg: KernCtlReg | None, text: Text) -> tuple[int, int]:
    """Register a control: (errno, reference).

    Writes the id of a dynamic control and default sizes back into ``reg``, and posts
    KEV_CTL_REGISTERED. Errors: EINVAL (no record, no connect callback, a name empty or longer
    than 95 bytes), EEXIST (a dynamic control of that name, or a static one of that id and unit).
    """
    if reg is None or reg.ctl_connect is None:
        return EINVAL, 0
    if not 0 < len(reg.ctl_name.encode()) < MAX_KCTL_NAME:
        return EINVAL, 0
    control.lock()
    control.serial += 1
    kctl = Kctl(control.serial, reg, text)
    grown = control.refs.make(kctl)
    control.note("table_size", "table_count", "generation")
    if not grown:
        control.count("tbl_size_too_big")
    if reg.ctl_flags & CTL_FLAG_REG_ID_UNIT:
        at = _place(control, reg.ctl_id)
        taken = control.find_by_id_unit(reg.ctl_id, reg.ctl_unit)
        kctl.id, kctl.reg_unit = reg.ctl_id, reg.ctl_unit
    else:
        taken = control.find_by_name(reg.ctl_name)
        at, kctl.id = _next_id(control)
        kctl.reg_unit = 0xFFFFFFFF
    if taken is not None:
        control.refs.delete(kctl)
        control.note("table_count")
        return EEXIST, 0
    reg.ctl_id = kctl.id
    kctl.sendbufsize = reg.ctl_sendsize = reg.ctl_sendsize or CTL_SENDSIZE
    kctl.recvbufsize = reg.ctl_recvsize = reg.ctl_recvsize or CTL_RECVSIZE
    if reg.ctl_flags & CTL_FLAG_REG_SETUP:
        kctl.setup = reg.ctl_setup
    if reg.ctl_flags & CTL_FLAG_REG_EXTENDED:
        kctl.rcvd = reg.ctl_rcvd
        kctl.send_list = reg.ctl_send_list
    control.controls.insert(at, kctl)
    control.note("controls", also=new(f"kctl:{kctl.serial}", kctl.state()))
    control.count("reg_count")
    control.count("gencnt")
    _post(control, KEV_CTL_REGISTERED, kctl.id)
    return 0, kctl.kctlref


def _place(control: KernControl, ident: int) -> int:
    """Where a static id goes: before the first larger one."""
    for at, kctl in enumerate(control.controls):
        if kctl.id > ident:
            return at
    return len(control.controls)


def _next_id(control: KernControl) -> tuple[int, int]:
    """(place, id) of a new dynamic control: after the last one, or in the first gap once the
    last id was the largest there is."""
    controls = control.controls
    ident = (controls[-1].id + 1) & 0xFFFFFFFF if controls else 1
    if ident:
        return len(controls), ident
    ident = 1
    for at, kctl in enumerate(controls):
        if kctl.id > ident:
            return at, ident
        ident = (kctl.id + 1) & 0xFFFFFFFF
    return len(controls), ident  # pragma: no cover  # 2^32 controls; the table holds 65,520


def ctl_deregister(control: KernControl, kctlref: int) -> int:
    """Remove a control and post KEV_CTL_DEREGISTERED.

    Errors: EINVAL (not a valid reference), EBUSY (it has clients, bound ones included).

    Raises:
        KernelPanic: a stale reference whose slot is empty, for example deregistering twice.
    """
    control.lock()
    kctl = _from_ref(control, kctlref)
    if kctl is None:
        return EINVAL
    if kctl.units.count:
        return EBUSY
    control.controls.remove(kctl)
    control.refs.delete(kctl)
    control.note("controls", "table_count", also=(DELETE, f"kctl:{kctl.serial}"))
    control.count("reg_count", -1)
    control.count("gencnt")
    _post(control, KEV_CTL_DEREGISTERED, kctl.id)
    return 0


def _post(control: KernControl, code: int, ident: int) -> None:
    data = CtlEventData(ctl_id=ident).pack()
    control.events.kev_post_msg(
        KevMsg(KEV_VENDOR_APPLE, KEV_SYSTEM_CLASS, KEV_CTL_SUBCLASS, code, (data,))
    )


def ctl_id_by_name(control: KernControl, name: str) -> int:
    """The id of a control, 0 if there is none of that name."""
    control.lock()
    kctl = control.find_by_name(name)
    return kctl.id if kctl is not None else 0


def ctl_name_by_id(control: KernControl, ident: int, maxsize: int) -> tuple[int, str]:
    """(errno, name) of the first control of that id, cut to ``maxsize`` bytes with its NUL.
    ENOENT if there is none."""
    control.lock()
    for kctl in control.controls:
        if kctl.id == ident:
            size = min(maxsize, MAX_KCTL_NAME)
            return 0, kctl.name.encode()[: max(size - 1, 0)].decode(errors="ignore")
    return ENOENT, ""


def _from_ref(control: KernControl, kctlref: int) -> Kctl | None:
    """The control of a reference. A bad one is counted twice, as XNU does."""
    kctl = control.refs.get(kctlref)
    if kctl is None:
        control.count("bad_kctlref", 2)
    return kctl


# -- enqueueing --------------------------------------------------------------------------------


def _find_client(control: KernControl, kctlref: int, unit: int) -> CtlCb | None:
    """kcb_find_socket: the client of a unit."""
    if control.mutex_held:
        control.lock()
    kctl = control.refs.valid.get(kctlref)
    if kctl is None:
        _from_ref(control, kctlref)
        return None
    for kcb in control.lent:
        control.take_unit(kcb)
    same = kctl.units.by_unit.get(unit)
    return same[0] if same else None


def _has_space(control: KernControl, kcb: CtlCb, size: int, flags: int) -> bool:
    """ctl_rcvbspace: whether ``size`` bytes may be queued."""
    kctl = kcb.kctl
    rcv = kcb.so.so_rcv
    if kctl is not None and kctl.flags & CTL_FLAG_REG_CRIT:
        return _has_reserve(control, rcv, size, flags)
    return rcv.sbspace() >= size


def _has_reserve(control: KernControl, rcv: Sockbuf, size: int, flags: int) -> bool:
    """The same with CTL_FLAG_REG_CRIT: a quarter of the buffer is kept for critical data.

    The quarter is tested before the enqueue, not after; critical data may grow the buffer by a
    quarter, up to 256 KiB, and a buffer that grew in vain stays grown [crit-*].
    """
    space = rcv.sbspace()
    if not flags & CTL_DATA_CRIT:
        return space >= (rcv.sb_hiwat >> 2) and space >= size
    if space >= size:
        return True
    limit = min(rcv.sb_idealsize + (rcv.sb_idealsize >> 2), CTL_AUTORCVBUF_MAX)
    if rcv.sb_hiwat >= limit or control.sockets.total_sbmb_cnt() >= MBUF_LIMIT:
        return False
    rcv.sbreserve(min(rcv.sb_hiwat + size - space + MSIZE, limit))  # 256 KiB at most: granted
    if rcv.sb_hiwat > control.autorcvbuf_high:
        control.autorcvbuf_high = rcv.sb_hiwat
        control.note("autorcvbuf_high")
    return rcv.sbspace() >= size


def _full(control: KernControl) -> int:
    control.count("enqueue_fullsock")
    control.count("enqueue_fail")
    return ENOBUFS


def ctl_enqueuedata(control: KernControl, kctlref: int, unit: int, data: bytes, flags: int) -> int:
    """Queue a copy of ``data`` for the client of ``unit``, all of it or nothing.

    Without CTL_DATA_EOR the record stays open and the next enqueue continues it. Errors: EINVAL
    (not a valid reference, or nobody has that unit), ENOBUFS (no space), ENOMEM (no mbuf is left).
    """
    kcb = _find_client(control, kctlref, unit)
    if kcb is None:
        return EINVAL
    size = len(data)
    if not _has_space(control, kcb, size, flags):
        return _full(control)
    so = kcb.so
    pool = control.pool
    if pool.limit is not None and pool.short(pool.needed(size)):
        control.count("enqdata_mb_alloc_fail")
        control.count("enqueue_fail")
        return ENOMEM
    eor = M_EOR if flags & CTL_DATA_EOR else 0
    if size <= MHLEN:  # what allocpacket comes to
        m = Mbuf(pool, data, KERNEL, M_PKTHDR | eor)
    else:
        m = pool.allocpacket(data, KERNEL, eor)
    if not so.so_rcv.sbappend(m):
        pool.freem(m)
        control.count("enqdata_sbappend_fail")
        return _full(control)
    if not flags & CTL_DATA_NOWAKEUP:
        so.sorwakeup()
    return 0


def ctl_enqueuembuf(control: KernControl, kctlref: int, unit: int, m: Mbuf, flags: int) -> int:
    """Queue a packet. On success the kernel owns it, on an error the caller still does.

    Errors: as ``ctl_enqueuedata``.
    """
    kcb = _find_client(control, kctlref, unit)
    if kcb is None:
        return EINVAL
    if not _has_space(control, kcb, m.pkthdr_len, flags):
        return _full(control)
    so = kcb.so
    if flags & CTL_DATA_EOR and not m.m_flags & M_EOR:
        m.m_flags |= M_EOR
        if control.rec is not None:
            control.rec((MBUF_SET, m.id, "m_flags", m.m_flags))
    if not so.so_rcv.sbappend(m):
        return _full(control)
    if not flags & CTL_DATA_NOWAKEUP:
        so.sorwakeup()
    return 0


def ctl_enqueuembuf_list(
    control: KernControl, kctlref: int, unit: int, m_list: Mbuf | None, flags: int, keep_rest: bool
) -> tuple[int, Mbuf | None]:
    """Queue a list of packets, each a record, as far as there is space; NULL is an empty list.

    Returns (errno, the packets not queued). With ``keep_rest`` the caller gets those back, else
    they are freed. Errors: EINVAL (as above, or CTL_DATA_EOR), EOPNOTSUPP (a stream control),
    ENOBUFS (some or all did not fit).
    """
    kcb = _find_client(control, kctlref, unit)
    m = m_list
    if kcb is None:
        error = EINVAL
    elif kcb.kctl is not None and kcb.kctl.flags & CTL_FLAG_REG_SOCK_STREAM:
        error = EOPNOTSUPP
    elif flags & CTL_DATA_EOR:
        error = EINVAL
    else:
        error, m = _append_list(control, kcb, m_list, flags)
    if m is not None and not keep_rest:
        control.pool.freem_list(m)
        m = None
    if error:
        control.count("enqueue_fail")
    return error, m


def _append_list(
    control: KernControl, kcb: CtlCb, m_list: Mbuf | None, flags: int
) -> tuple[int, Mbuf | None]:
    m = m_list
    so = kcb.so
    queued = False
    error = 0
    while m is not None:
        following = m.m_nextpkt
        if not _has_space(control, kcb, m_length(m), flags):
            error = ENOBUFS
            break
        control.pool.unlink(m)
        if not so.so_rcv.sbappendrecord(m):
            # XNU goes on with the rest and forgets this one: a leak of the caller's mbuf.
            m = following
            error = ENOBUFS
            break
        queued = True
        m = following
    if error:
        control.count("enqueue_fullsock")
    if queued and not flags & CTL_DATA_NOWAKEUP:
        so.sorwakeup()
    return error, m


def ctl_getenqueuespace(control: KernControl, kctlref: int, unit: int) -> tuple[int, int]:
    """(errno, bytes that may still be queued for the unit). EINVAL as ``ctl_enqueuedata``."""
    kcb = _find_client(control, kctlref, unit)
    return (EINVAL, 0) if kcb is None else (0, kcb.so.so_rcv.sbspace())


def ctl_getenqueuepacketcount(control: KernControl, kctlref: int, unit: int) -> tuple[int, int]:
    """(errno, records queued for the unit). EINVAL as ``ctl_enqueuedata``."""
    kcb = _find_client(control, kctlref, unit)
    if kcb is None:
        return EINVAL, 0
    return 0, sum(1 for _ in m_packets(kcb.so.so_rcv.sb_mb))


def ctl_getenqueuereadable(control: KernControl, kctlref: int, unit: int) -> tuple[int, int]:
    """(errno, bytes missing until the unit's socket becomes readable). EINVAL as
    ``ctl_enqueuedata``."""
    kcb = _find_client(control, kctlref, unit)
    if kcb is None:
        return EINVAL, 0
    rcv = kcb.so.so_rcv
    return 0, max(rcv.sb_lowat - rcv.sb_cc, 0)
