"""Socket buffers: the queue of records at each end of a socket, and its accounting.

Models ``struct sockbuf`` and its routines: bytes (``sb_cc`` against ``sb_hiwat``), mbuf memory
(``sb_mbcnt`` against ``sb_mbmax``), records linked by ``m_nextpkt``, the three pointers ``sb_mb``,
``sb_lastrecord`` and ``sb_mbtail``. Read beside it: ``bsd/kern/uipc_socket2.c``.

Three rules surprise, each recorded: appending continues the last record unless its last mbuf
carries M_EOR [dgram-coalesce-no-eor]; small data is copied into the free end of the last mbuf and
then costs no mbuf memory; an empty record is possible and later panics its reader
[empty-record-panic].

Left out: filters, ``sb_ctl`` (what of ``sb_cc`` is no data; whoever asks adds it up).
"""

from __future__ import annotations

from kextlab.abi.constants import (
    M_EOR,
    MCLBYTES,
    MSIZE,
    MT_SONAME,
    SB_DROP,
    SB_MAX,
)
from kextlab.abi.errno import EINVAL, ENOBUFS
from kextlab.bsd.mbuf import (
    Mbuf,
    MbufPool,
    TypedMbuf,
    m_chain,
    m_length,
    m_packets,
    m_trailingspace,
)
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import (
    MBUF_CUT,
    MBUF_GROW,
    MBUF_SET,
    SB_APPEND,
    SB_TAKE,
    SET,
)

SB_EFFICIENCY = 8
"""Mbuf memory a buffer may hold for each byte of ``sb_hiwat``."""
SB_MAX_ADJ = SB_MAX * MCLBYTES // (MSIZE + MCLBYTES)
"""The largest ``sb_hiwat`` sbreserve grants: 7,456,540 bytes."""


class Sockbuf:
    """One socket buffer. ``name`` is its name in the trace, ``so_rcv:7`` or ``so_snd:7``."""

    __slots__ = (
        "counts_bytes_only",
        "name",
        "pool",
        "rec",
        "sb_cc",
        "sb_flags",
        "sb_hiwat",
        "sb_idealsize",
        "sb_lastrecord",
        "sb_lock",
        "sb_lowat",
        "sb_mb",
        "sb_mbcnt",
        "sb_mbmax",
        "sb_mbtail",
        "sb_wantlock",
    )

    def __init__(self, name: str, pool: MbufPool, counts_bytes_only: bool) -> None:
        self.name = name
        self.pool = pool
        self.rec = pool.rec
        self.counts_bytes_only = counts_bytes_only
        """SB_KCTL of macOS 15: a datagram control's buffers count bytes, not mbuf memory."""
        self.sb_cc = 0
        self.sb_hiwat = 0
        self.sb_mbcnt = 0
        self.sb_mbmax = 0
        self.sb_lowat = 0
        self.sb_idealsize = 0
        self.sb_flags = 0
        self.sb_lock = False
        """SB_LOCK: a reader or writer is in the middle of its work on this buffer."""
        self.sb_wantlock = 0
        """How many wait for it."""
        self.sb_mb: Mbuf | None = None
        self.sb_mbtail: Mbuf | None = None
        self.sb_lastrecord: Mbuf | None = None

    # -- accounting ------------------------------------------------------------------------

    def sbspace(self) -> int:
        """Bytes that may still be queued; never negative. Bounded by bytes and, unless only
        bytes count, by mbuf memory."""
        space = self.sb_hiwat - self.sb_cc
        if not self.counts_bytes_only:
            memory = self.sb_mbmax - self.sb_mbcnt
            if memory < space:
                space = memory
        return space if space > 0 else 0

    def sbreserve(self, cc: int) -> bool:
        """Set ``sb_hiwat`` to ``cc`` bytes and ``sb_mbmax`` to match; False if that is more than
        any buffer may have."""
        if cc > SB_MAX_ADJ:
            return False
        self.set("sb_hiwat", cc)
        self.set("sb_mbmax", min(cc * SB_EFFICIENCY, SB_MAX))
        self.set("sb_lowat", min(self.sb_lowat, cc))
        return True

    def set(self, field: str, new: int) -> None:
        """Change one of the sizes or flags, with a record of it."""
        if getattr(self, field) != new:
            setattr(self, field, new)
            if self.rec is not None:
                self.rec((SET, self.name, field, new))

    def check(self) -> None:
        """SB_MB_CHECK: data and byte count must agree.

        Raises:
            KernelPanic: a record without bytes, or bytes without a record.
        """
        if (self.sb_mb is None) != (self.sb_cc == 0):
            where = "0xADDR" if self.sb_mb is not None else "0x0"
            raise KernelPanic(f"corrupt so_rcv: sb_mb {where} sb_cc {self.sb_cc}")

    def _pointers(self) -> tuple[int, int, int, int, int]:
        head, tail, last = self.sb_mb, self.sb_mbtail, self.sb_lastrecord
        return (
            self.sb_cc,
            self.sb_mbcnt,
            head.id if head is not None else 0,
            tail.id if tail is not None else 0,
            last.id if last is not None else 0,
        )

    # -- appending -------------------------------------------------------------------------

    def sbappend(self, m: Mbuf) -> bool:
        """Append a packet to the last record, or as a new record if that one has ended.

        Returns False, and leaves ``m`` alone, if reading was shut down (SB_DROP) or if the packet
        needs a new record and the space for it is missing. Space for a continued record is the
        caller's business.
        """
        if self.sb_flags & SB_DROP:
            return False
        tail = self.sb_mbtail
        if tail is not None and tail.m_flags & M_EOR:
            return self.sbappendrecord(m)
        if tail is None and m.m_next is None and m.m_len:
            self._link(m, None, "m_next", m.m_flags)  # what _compress comes to for one mbuf
        else:
            self._compress(m, tail)
        return True

    def sbappendrecord(self, m: Mbuf) -> bool:
        """Append a packet as a new record, empty ones included; False if there is no space."""
        rest = m.m_next
        length = m.m_len if rest is None else m_length(m)
        if self.sb_flags & SB_DROP or length > self.sbspace():
            return False
        eor = m.m_flags & M_EOR
        if rest is not None and eor:
            m.m_flags &= ~M_EOR
        self._link(m, self.sb_lastrecord, "m_nextpkt", m.m_flags)
        if rest is not None:
            self._compress(rest, m, eor)
        return True

    def sbappendaddr(self, asa: bytes, m: Mbuf, control: TypedMbuf | None) -> int:
        """Append a datagram as a record of its own, behind its sender's address and control data.

        Errors: EINVAL (reading was shut down), ENOBUFS (no space for all of it, or no mbuf for
        the address); ``m`` is freed then, ``control`` is the caller's.
        """
        error = 0
        space = len(asa) + m_length(m) + (control.m_len if control is not None else 0)
        if self.sb_flags & SB_DROP:
            error = EINVAL
        elif space > self.sbspace() or self.pool.short(1):
            error = ENOBUFS
        if error:
            self.pool.freem(m)
            return error
        front: list[Mbuf] = [TypedMbuf(self.pool, asa, MT_SONAME)]
        if control is not None:
            front.append(control)
        self._record([*front, *m_chain(m)])
        return 0

    def sbappendcontrol(self, m: Mbuf, control: TypedMbuf) -> int:
        """Append control data and the bytes behind it as a new record, full or not: a local
        stream must lose nothing (SB_UNIX).

        Errors: EINVAL (reading was shut down); ``m`` is freed then, ``control`` is the caller's.
        """
        if self.sb_flags & SB_DROP:
            self.pool.freem(m)
            return EINVAL
        self._record([control, *m_chain(m)])
        return 0

    def _record(self, mbufs: list[Mbuf]) -> None:
        previous, link = self.sb_lastrecord, "m_nextpkt"
        for m in mbufs:
            self._link(m, previous, link, m.m_flags)
            previous, link = m, "m_next"

    def _link(self, m: Mbuf, previous: Mbuf | None, link: str, flags: int) -> None:
        """``m`` alone joins the queue behind ``previous``, as record (m_nextpkt) or within the
        last one (m_next)."""
        m.m_next = None
        m.m_flags = flags
        m.owner = name = self.name
        self.sb_cc = cc = self.sb_cc + m.m_len
        self.sb_mbcnt = mbcnt = self.sb_mbcnt + MSIZE + m.ext_size
        self.sb_mbtail = m
        ident = m.id
        if previous is None:
            self.sb_mb = self.sb_lastrecord = m
            head = last = ident
            at = 0
        else:
            at = previous.id
            if link == "m_next":
                previous.m_next = m
            else:
                previous.m_nextpkt = m
                self.sb_lastrecord = m
            _, _, head, _, last = self._pointers()
        if self.rec is not None:
            self.rec((SB_APPEND, name, cc, mbcnt, head, ident, last, ident, flags, at, link))

    def _compress(self, m: Mbuf | None, tail: Mbuf | None, eor: int = 0) -> None:
        """sbcompress: add the chain ``m`` behind ``tail``, dropping empty mbufs and copying small
        ones into the free end of the mbuf before; M_EOR moves to the end of what was added."""
        while m is not None:
            following = m.m_next
            eor |= m.m_flags & M_EOR
            if m.m_len == 0 and (not eor or following is not None or tail is not None):
                self.pool.free(m)
            elif (
                tail is not None
                and not tail.m_flags & M_EOR
                and m.m_len <= MCLBYTES // 4
                and m.m_len <= m_trailingspace(tail)
            ):
                self._merge(m, tail)
            else:
                flags = m.m_flags & ~M_EOR
                if eor and following is None:
                    flags |= M_EOR
                self._link(m, tail, "m_next", flags)
                tail = m
            m = following
        if eor and tail is not None and not tail.m_flags & M_EOR:
            tail.m_flags |= M_EOR
            if self.rec is not None:
                self.rec((MBUF_SET, tail.id, "m_flags", tail.m_flags))

    def _merge(self, m: Mbuf, tail: Mbuf) -> None:
        tail.m_data += m.m_data
        tail.m_len += m.m_len
        self.sb_cc += m.m_len
        del self.pool.live[m.id]
        if self.rec is not None:
            self.rec((MBUF_GROW, tail.id, tail.m_data, self.name, self.sb_cc, m.id))

    # -- removing --------------------------------------------------------------------------

    def take(self, m: Mbuf, nextrecord: Mbuf | None) -> Mbuf | None:
        """The reader has consumed ``m``, the first mbuf: free it; returns what follows it within
        its record. ``nextrecord`` is the record behind."""
        self.sb_cc -= m.m_len
        self.sb_mbcnt -= MSIZE + m.ext_size
        following = m.m_next
        del self.pool.live[m.id]
        if following is None:
            self.sb_mb = nextrecord
            if nextrecord is None:
                self.sb_mbtail = self.sb_lastrecord = None
                if self.rec is not None:
                    self.rec((SB_TAKE, self.name, self.sb_cc, self.sb_mbcnt, 0, 0, 0, m.id))
                return None
        else:
            self.sb_mb = following
            if nextrecord is None:
                self.sb_lastrecord = following
        if self.rec is not None:
            self.rec((SB_TAKE, self.name, *self._pointers(), m.id))
        if following is not None and following.m_nextpkt is not nextrecord:
            following.m_nextpkt = nextrecord
            if self.rec is not None:
                at = nextrecord.id if nextrecord is not None else 0
                self.rec((MBUF_SET, following.id, "m_nextpkt", at))
        return following

    def cut(self, m: Mbuf, length: int) -> None:
        """The reader has taken ``length`` bytes, not all, from the front of ``m``."""
        m.m_off += length
        m.m_data = m.m_data[length:]
        m.m_len -= length
        self.sb_cc -= length
        if self.rec is not None:
            self.rec((MBUF_CUT, m.id, m.m_off, m.m_data, self.name, self.sb_cc))

    def sbdroprecord(self) -> None:
        """Throw the first record away."""
        m = self.sb_mb
        nextrecord = m.m_nextpkt if m is not None else None
        while m is not None:
            m = self.take(m, nextrecord)

    def sbflush(self) -> None:
        """Throw everything away."""
        while self.sb_mb is not None:
            self.sbdroprecord()

    # -- looking ---------------------------------------------------------------------------

    def records(self) -> list[list[Mbuf]]:
        """The queued records, each a list of its mbufs, first to be read first."""
        return [list(m_chain(first)) for first in m_packets(self.sb_mb)]


def state_of(sb: Sockbuf) -> dict[str, object]:
    """The buffer's fields as plain values, as the trace adds them up."""
    cc, mbcnt, head, tail, last = sb._pointers()
    return {
        "sb_cc": cc,
        "sb_hiwat": sb.sb_hiwat,
        "sb_mbcnt": mbcnt,
        "sb_mbmax": sb.sb_mbmax,
        "sb_lowat": sb.sb_lowat,
        "sb_idealsize": sb.sb_idealsize,
        "sb_flags": sb.sb_flags,
        "sb_mb": head,
        "sb_mbtail": tail,
        "sb_lastrecord": last,
    }
