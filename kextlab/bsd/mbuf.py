"""mbufs: the buffers in which all data moves through the kernel.

Models ``struct mbuf`` as far as socket buffers and kernel controls can tell: length, offset of the
data, storage size, packet header length, the two links, the end-of-record flag. Read beside it:
``bsd/kern/uipc_mbuf.c`` (``m_allocpacket_internal``, ``m_copym``) and ``bsd/sys/mbuf.h``.

Every mbuf has exactly one owner: a socket buffer, a kext, or the kernel while it moves. That is
not XNU's (there it is a matter of discipline); it is what lets the lab count leaks.

An mbuf holds data; an address or control data in front of it is a ``TypedMbuf``.

Left out: external storage shared between mbufs, tags, checksums, one limit for each size of
cluster. Data is held as ``bytes``; storage is only counted.

In doubt: running out of mbufs, which no recording does. ``MbufPool.limit`` says how many there are;
whoever allocates asks ``short`` first and answers what its routine answers for a null pointer. XNU
first waits and reclaims where the caller may wait (M_WAIT, mbuf_sleep); the lab does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kextlab.abi.constants import (
    M16KCLBYTES,
    M_EXT,
    M_PKTHDR,
    MBIGCLBYTES,
    MCLBYTES,
    MHLEN,
    MINCLSIZE,
    MLEN,
    MT_DATA,
)
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import DELETE, MBUF_FREE, MBUF_NEW, MBUF_SET, new
from kextlab.trace.log import Record

KERNEL = "kernel"
"""Owner of an mbuf in transit between a socket, the kernel and a kext."""
FREED = "nobody"
"""Owner of an mbuf that was freed."""


class Mbuf:
    """One mbuf. ``m_len`` bytes of data start ``m_off`` bytes into its storage."""

    __slots__ = (
        "ext_size",
        "id",
        "m_data",
        "m_flags",
        "m_len",
        "m_next",
        "m_nextpkt",
        "m_off",
        "owner",
        "pkthdr_len",
    )
    m_type = MT_DATA

    def __init__(
        self,
        pool: MbufPool,
        data: bytes,
        owner: str,
        flags: int = 0,
        ext_size: int = 0,
        offset: int = 0,
        follow: Mbuf | None = None,
    ) -> None:
        """Allocate an mbuf holding ``data``, linked before ``follow``; with M_PKTHDR in ``flags``
        it heads a packet whose length it carries."""
        pool.last_id = ident = pool.last_id + 1
        self.id = ident
        self.owner = owner
        self.m_flags = flags
        self.m_off = offset
        self.m_data = data
        self.m_len = length = len(data)
        self.ext_size = ext_size
        """Bytes of the cluster, 0 for an mbuf that holds its data itself."""
        self.m_next = follow
        """Next mbuf of the same record."""
        self.m_nextpkt: Mbuf | None = None
        """First mbuf of the next record."""
        after = 0
        if not flags & M_PKTHDR:
            length = 0
        if follow is not None:
            after = follow.id
            if flags & M_PKTHDR:
                length += m_length(follow)
        self.pkthdr_len = length
        pool.live[ident] = self
        if pool.rec is not None:
            pool.rec((MBUF_NEW, ident, owner, flags, offset, data, ext_size, length, after))

    def __repr__(self) -> str:
        return f"<mbuf {self.id}: {self.m_len} bytes, owner {self.owner}>"


class TypedMbuf(Mbuf):
    """An mbuf in front of a record's data: the sender's address (MT_SONAME), or control data
    (MT_CONTROL), then with the open files that are on their way in it."""

    __slots__ = ("m_type", "rights")

    def __init__(
        self, pool: MbufPool, data: bytes, m_type: int, rights: Sequence[Any] = ()
    ) -> None:
        self.m_type = MT_DATA
        self.rights: list[Any] = []  # Any: kern_descrip.File, which knows of sockets
        super().__init__(pool, data, KERNEL)
        self.m_type = m_type
        if pool.rec is not None:
            pool.rec((MBUF_SET, self.id, "m_type", m_type))
        if rights:
            self.rights += rights
            if pool.rec is not None:
                pool.rec((MBUF_SET, self.id, "rights", self.sockets()))

    def sockets(self) -> tuple[int, ...]:
        """The numbers of the sockets on their way in it."""
        return tuple(file.so.number for file in self.rights)


def mbuf_state_of(m: Mbuf) -> dict[str, object]:
    """An mbuf's fields as plain values, as the trace adds them up. One that is no data also says
    of what type it is, and which sockets are on their way in it."""
    state: dict[str, object] = {
        "owner": m.owner,
        "m_flags": m.m_flags,
        "m_off": m.m_off,
        "m_data": m.m_data,
        "ext_size": m.ext_size,
        "pkthdr_len": m.pkthdr_len,
        "m_next": m.m_next.id if m.m_next is not None else 0,
        "m_nextpkt": m.m_nextpkt.id if m.m_nextpkt is not None else 0,
    }
    if m.m_type != MT_DATA:
        state["m_type"] = m.m_type
    if isinstance(m, TypedMbuf) and m.rights:
        state["rights"] = m.sockets()
    return state


def m_storage(m: Mbuf) -> int:
    """Bytes of storage of ``m``: its cluster, or what is left of 256 after the headers."""
    if m.m_flags & M_EXT:
        return m.ext_size
    return MHLEN if m.m_flags & M_PKTHDR else MLEN


def m_trailingspace(m: Mbuf) -> int:
    """Free bytes behind the data (M_TRAILINGSPACE). What was read from the front stays used."""
    return m_storage(m) - m.m_off - m.m_len


def m_chain(m: Mbuf | None) -> Iterator[Mbuf]:
    """The mbufs of one record, along ``m_next``."""
    while m is not None:
        yield m
        m = m.m_next


def m_packets(m: Mbuf | None) -> Iterator[Mbuf]:
    """The first mbufs of a list of records, along ``m_nextpkt``."""
    while m is not None:
        yield m
        m = m.m_nextpkt


def m_length(m: Mbuf | None) -> int:
    """Bytes of data in the record that starts with ``m``."""
    return sum(n.m_len for n in m_chain(m))


def m_copydata(m: Mbuf | None) -> bytes:
    """The data of the record that starts with ``m``."""
    return b"".join(n.m_data for n in m_chain(m))


class MbufPool:
    """All mbufs of one kernel.

    ``live`` holds every allocated mbuf by number; an mbuf still owned by a kext when nothing
    uses it any more is a leak (``owned_by``). ``limit`` is how many there can be, ``None`` for as
    many as are asked for; in the trace it is object ``mbuf_pool`` while there is one.
    """

    __slots__ = ("last_id", "limit", "live", "rec")

    def __init__(self, record: Record | None) -> None:
        self.rec = record
        self.live: dict[int, Mbuf] = {}
        self.last_id = 0
        self.limit: int | None = None

    def set_limit(self, limit: int | None) -> None:
        """From now on there are at most ``limit`` mbufs; those beyond stay until they are freed."""
        if self.rec is not None:
            if self.limit is not None:
                self.rec((DELETE, "mbuf_pool"))
            if limit is not None:
                self.rec(new("mbuf_pool", {"limit": limit}))
        self.limit = limit

    def short(self, count: int) -> bool:
        """Whether there are fewer than ``count`` mbufs left."""
        return self.limit is not None and len(self.live) + count > self.limit

    @staticmethod
    def needed(length: int) -> int:
        """The mbufs of a packet of ``length`` bytes (``allocpacket``)."""
        if length <= MINCLSIZE:
            return 1 if length <= MHLEN else 2
        return len(cluster_pieces(bytes(length)))

    def chain(self, pieces: list[tuple[bytes, int]], owner: str = KERNEL, eor: int = 0) -> Mbuf:
        """A packet of the given (data, cluster size) pieces; ``eor`` goes to its first mbuf."""
        m: Mbuf | None = None
        for at in range(len(pieces) - 1, -1, -1):
            data, ext_size = pieces[at]
            flags = M_EXT if ext_size else 0
            if at == 0:
                flags |= M_PKTHDR | eor
            m = Mbuf(self, data, owner, flags, ext_size, follow=m)
        assert m is not None
        return m

    def allocpacket(self, data: bytes, owner: str = KERNEL, eor: int = 0) -> Mbuf:
        """A packet holding ``data``, laid out as m_allocpacket_internal does; ``eor`` (M_EOR or
        0) goes to its first mbuf.

        Up to MHLEN bytes take one mbuf, up to MINCLSIZE two, more take clusters: 2 KiB if one is
        enough, one of 4 KiB up to that, else 16 KiB ones with the smallest that fits at the end.
        """
        length = len(data)
        if length <= MHLEN:
            return Mbuf(self, data, owner, M_PKTHDR | eor)
        if length <= MINCLSIZE:
            return self.chain([(data[:MHLEN], 0), (data[MHLEN:], 0)], owner, eor)
        return self.chain(cluster_pieces(data), owner, eor)

    def link(self, m: Mbuf, following: Mbuf) -> None:
        """Chain two packets into a list (m_nextpkt)."""
        m.m_nextpkt = following
        if self.rec is not None:
            self.rec((MBUF_SET, m.id, "m_nextpkt", following.id))

    def unlink(self, m: Mbuf) -> None:
        """Take a packet off the list it heads."""
        if m.m_nextpkt is not None:
            m.m_nextpkt = None
            if self.rec is not None:
                self.rec((MBUF_SET, m.id, "m_nextpkt", 0))

    def free(self, m: Mbuf) -> Mbuf | None:
        """Free one mbuf; returns the next of its record (m_free).

        Raises:
            KernelPanic: ``m`` is free already.
        """
        if self.live.pop(m.id, None) is None:
            raise KernelPanic("m_free: freeing an already freed mbuf")
        m.owner = FREED
        if self.rec is not None:
            self.rec((MBUF_FREE, m.id))
        return m.m_next

    def freem(self, m: Mbuf | None) -> None:
        """Free a record (m_freem)."""
        while m is not None:
            m = self.free(m)

    def freem_list(self, m: Mbuf | None) -> None:
        """Free a list of records (m_freem_list)."""
        while m is not None:
            following = m.m_nextpkt
            self.freem(m)
            m = following

    def owned_by(self, owner: str) -> list[Mbuf]:
        """The live mbufs of one owner, in order of allocation."""
        return [m for m in self.live.values() if m.owner == owner]


def cluster_pieces(data: bytes) -> list[tuple[bytes, int]]:
    """Cut more than MINCLSIZE bytes into the clusters m_allocpacket_internal takes."""
    length = len(data)
    if length <= MCLBYTES:
        size = MCLBYTES
    elif length <= MBIGCLBYTES:
        size = MBIGCLBYTES
    else:
        size = M16KCLBYTES
    pieces = []
    for at in range(0, length, size):
        piece = data[at : at + size]
        if at and len(piece) < size:  # what is left over takes the smallest cluster that fits
            if len(piece) <= MCLBYTES:
                pieces.append((piece, MCLBYTES))
            elif len(piece) <= MBIGCLBYTES:
                pieces.append((piece, MBIGCLBYTES))
            else:
                pieces.append((piece, M16KCLBYTES))
        else:
            pieces.append((piece, size))
    return pieces
