"""The statistics and lists of net.systm.kctl and net.systm.kevt.

Models the sysctl handlers: their order of checks and how many bytes they produce. The records are
given as plain values; XNU's bytes (``struct xkctl_reg`` and private ones) are only counted. Read
beside it: ``bsd/kern/kern_control.c`` (``kctl_reg_list``, ``kctl_pcblist``, ``kctl_getstat``),
``bsd/kern/kern_event.c``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kextlab.abi.errno import ENOENT, ENOMEM, EPERM
from kextlab.bsd.kctl import CtlCb
from kextlab.bsd.sys_domain import SystemDomain

XSYSTMGEN = 32
"""Bytes of the generation record before and after a list."""
XKCTL_REG = 200
XKCTLPCB = 408
XKEVTPCB = 312

Row = dict[str, object]


@dataclass(slots=True)
class Answer:
    """A handler's answer: errno, bytes produced, and what they say."""

    errno: int
    oldidx: int
    rows: list[Row] = field(default_factory=list)


def reg_list(domain: SystemDomain) -> list[Row]:
    """net.systm.kctl.reg_list: the registered controls."""
    return [
        {
            "name": kctl.name,
            "id": kctl.id,
            "reg_unit": kctl.reg_unit,
            "flags": kctl.flags,
            "kctlref": kctl.kctlref,
            "recvbufsize": kctl.recvbufsize,
            "sendbufsize": kctl.sendbufsize,
            "lastunit": kctl.lastunit,
            "pcbcount": kctl.units.count,
            "callbacks": kctl.callbacks(),
        }
        for kctl in domain.control.controls
    ]


def clients(domain: SystemDomain) -> Iterable[CtlCb]:
    """The clients of all controls, in the order of the lists."""
    for kctl in domain.control.controls:
        client = kctl.units.first
        while client is not None:
            yield client
            client = client.next


def pcblist(domain: SystemDomain) -> list[Row]:
    """net.systm.kctl.pcblist: the clients of all controls."""
    rows: list[Row] = []
    for kcb in clients(domain):
        assert kcb.kctl is not None
        rcv, snd = kcb.so.so_rcv, kcb.so.so_snd
        rows.append(
            {
                "unit": kcb.unit,
                "id": kcb.kctl.id,
                "name": kcb.kctl.name,
                "socket": kcb.so.number,
                "rcv_cc": rcv.sb_cc,
                "rcv_hiwat": rcv.sb_hiwat,
                "snd_cc": snd.sb_cc,
                "snd_hiwat": snd.sb_hiwat,
            }
        )
    return rows


def event_pcblist(domain: SystemDomain) -> list[Row]:
    """net.systm.kevt.pcblist: the event sockets, the newest first."""
    return [
        {"socket": pcb.so.number, **pcb.state(), "rcv_cc": pcb.so.so_rcv.sb_cc}
        for pcb in domain.events.pcbs
    ]


def sysctl(
    domain: SystemDomain,
    name: str,
    limit: int | None = None,
    size_query: bool = False,
    writing: bool = False,
) -> Answer:
    """Ask one of the handlers.

    ``limit`` is the size of the caller's buffer in bytes, ``size_query`` a null buffer, ``writing``
    an attempt to set. Errors: EPERM (nothing can be set), ENOMEM (the buffer is too small; what
    fitted was produced), ENOENT (no such name).
    """
    if name in ("kctl.stats", "kevt.stats"):
        stat = domain.control.stat if name == "kctl.stats" else domain.events.stat
        size = 8 * len(stat)
        if writing:
            return Answer(EPERM, 0)
        if size_query:
            return Answer(0, size)
        if limit is not None and size > limit:
            return Answer(ENOMEM, 0)
        return Answer(0, size, [dict(stat)])
    lists = {
        "kctl.reg_list": (reg_list, XKCTL_REG),
        "kctl.pcblist": (pcblist, XKCTLPCB),
        "kevt.pcblist": (event_pcblist, XKEVTPCB),
    }
    if name not in lists:
        return Answer(ENOENT, 0)
    make, size = lists[name]
    rows = make(domain)
    if size_query:
        return Answer(0, (len(rows) + len(rows) // 8) * size)
    if writing:
        return Answer(EPERM, 0)
    answer = Answer(0, 0)
    if not _out(answer, XSYSTMGEN, limit) or not rows:
        return answer
    for row in rows:
        if _out(answer, size, limit):
            answer.rows.append(row)
    if not answer.errno:
        _out(answer, XSYSTMGEN, limit)
    return answer


def _out(answer: Answer, size: int, limit: int | None) -> bool:
    """SYSCTL_OUT: produce ``size`` bytes, all or none."""
    if limit is not None and limit - answer.oldidx < size:
        answer.errno = ENOMEM
        return False
    answer.oldidx += size
    return True
