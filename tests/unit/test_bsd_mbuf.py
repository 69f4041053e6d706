"""mbufs and socket buffers: layouts, ownership, accounting."""

import pytest

from kextlab.abi.constants import M_EOR, M_EXT, M_PKTHDR, SB_DROP
from kextlab.bsd.mbuf import (
    KERNEL,
    Mbuf,
    MbufPool,
    cluster_pieces,
    m_chain,
    m_copydata,
    m_length,
    m_trailingspace,
)
from kextlab.bsd.sockbuf import SB_MAX_ADJ, Sockbuf
from kextlab.sched import KernelPanic
from kextlab.trace.codes import MBUF_SET

KIB = 1024


@pytest.fixture
def pool() -> MbufPool:
    return MbufPool(None)


@pytest.fixture
def buffer(pool: MbufPool) -> Sockbuf:
    sb = Sockbuf("so_rcv:1", pool, counts_bytes_only=False)
    sb.sbreserve(8 * KIB)
    return sb


def layout(m: Mbuf) -> list[tuple[int, int]]:
    return [(n.m_len, n.ext_size) for n in m_chain(m)]


# -- mbufs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, [(0, 0)]),
        (80, [(80, 0)]),
        (81, [(80, 0), (1, 0)]),
        (304, [(80, 0), (224, 0)]),
        (305, [(305, 2 * KIB)]),
        (2048, [(2048, 2 * KIB)]),
        (2049, [(2049, 4 * KIB)]),
        (4096, [(4096, 4 * KIB)]),
        (4097, [(4097, 16 * KIB)]),
        (16384, [(16384, 16 * KIB)]),
        (16384 + 2048, [(16384, 16 * KIB), (2048, 2 * KIB)]),
        (16384 + 2049, [(16384, 16 * KIB), (2049, 4 * KIB)]),
        (16384 + 4097, [(16384, 16 * KIB), (4097, 16 * KIB)]),
        (3 * 16384, [(16384, 16 * KIB)] * 3),
    ],
)
def test_a_packet_is_laid_out_as_m_allocpacket_does(
    size: int, expected: list[tuple[int, int]], pool: MbufPool
) -> None:
    data = bytes(at % 251 for at in range(size))
    m = pool.allocpacket(data)
    assert layout(m) == expected
    assert m_copydata(m) == data
    assert m_length(m) == m.pkthdr_len == size


def test_only_the_head_of_a_packet_has_a_header(pool: MbufPool) -> None:
    head, rest = m_chain(pool.allocpacket(bytes(100), eor=M_EOR))
    assert head.m_flags == M_PKTHDR | M_EOR
    assert (rest.m_flags, rest.pkthdr_len) == (0, 0)


def test_the_pieces_of_clusters_add_up() -> None:
    data = bytes(100000)
    assert b"".join(piece for piece, _ in cluster_pieces(data)) == data


def test_what_was_read_from_the_front_is_no_space_behind(pool: MbufPool) -> None:
    plain = Mbuf(pool, bytes(10), KERNEL)
    head = Mbuf(pool, bytes(10), KERNEL, M_PKTHDR, 0, 8)
    cluster = Mbuf(pool, bytes(10), KERNEL, M_EXT, 2048)
    assert [m_trailingspace(m) for m in (plain, head, cluster)] == [214, 62, 2038]


def test_freeing_twice_is_a_panic(pool: MbufPool) -> None:
    m = pool.allocpacket(b"a")
    assert pool.free(m) is None
    with pytest.raises(KernelPanic, match="already freed mbuf"):
        pool.free(m)


def test_free_answers_the_rest_of_the_record(pool: MbufPool) -> None:
    m = pool.allocpacket(bytes(100))
    rest = pool.free(m)
    assert rest is not None
    assert rest.m_len == 20


def test_a_list_is_linked_unlinked_and_freed(pool: MbufPool) -> None:
    first, second = pool.allocpacket(b"a"), pool.allocpacket(b"b")
    pool.link(first, second)
    assert first.m_nextpkt is second
    pool.unlink(first)
    pool.unlink(first)  # nothing more to unlink
    assert first.m_nextpkt is None
    pool.link(first, second)
    pool.freem_list(first)
    pool.freem(None)
    assert pool.live == {}


def test_the_pool_knows_who_owns_what(pool: MbufPool) -> None:
    mine, other = pool.allocpacket(b"a", "kext:a"), pool.allocpacket(b"b")
    assert pool.owned_by("kext:a") == [mine]
    assert pool.owned_by(KERNEL) == [other]


def test_an_mbuf_shows_number_length_and_owner(pool: MbufPool) -> None:
    assert repr(pool.allocpacket(b"abc")) == "<mbuf 1: 3 bytes, owner kernel>"


# -- socket buffers ----------------------------------------------------------------------------


def test_a_buffer_bounds_bytes_and_memory(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.sbappendrecord(pool.allocpacket(bytes(3000)))
    assert (buffer.sb_cc, buffer.sb_mbcnt) == (3000, 256 + 4096)
    assert buffer.sbspace() == 8 * KIB - 3000
    buffer.sb_mbmax = 4400
    assert buffer.sbspace() == 4400 - 256 - 4096
    buffer.sb_mbmax = 0
    assert buffer.sbspace() == 0


def test_a_buffer_that_counts_bytes_only_ignores_memory(pool: MbufPool) -> None:
    sb = Sockbuf("so_rcv:1", pool, counts_bytes_only=True)
    sb.sbreserve(1000)
    sb.sb_mbmax = 0
    assert sb.sbspace() == 1000


@pytest.mark.parametrize(("size", "granted"), [(SB_MAX_ADJ, True), (SB_MAX_ADJ + 1, False)])
def test_the_largest_reserve(size: int, granted: bool, buffer: Sockbuf) -> None:
    assert buffer.sbreserve(size) is granted
    assert buffer.sb_hiwat == (size if granted else 8 * KIB)


def test_a_smaller_reserve_takes_the_low_mark_along(buffer: Sockbuf) -> None:
    buffer.sb_lowat = 5000
    buffer.sbreserve(100)
    assert buffer.sb_lowat == 100


def queued(buffer: Sockbuf) -> list[list[bytes]]:
    return [[m.m_data for m in record] for record in buffer.records()]


def test_appending_continues_the_last_record_until_it_ends(buffer: Sockbuf, pool: MbufPool) -> None:
    for data, eor in ((b"a", 0), (b"b", M_EOR), (b"c", 0)):
        assert buffer.sbappend(pool.allocpacket(data, eor=eor))
    assert queued(buffer) == [[b"ab"], [b"c"]]
    assert len(pool.live) == 2


def test_small_data_is_copied_into_the_free_end_of_the_mbuf_before(
    buffer: Sockbuf, pool: MbufPool
) -> None:
    sizes = (40, 40, 1)
    for size in sizes:
        buffer.sbappend(pool.allocpacket(bytes(size)))
    assert [len(piece) for piece in queued(buffer)[0]] == [80, 1]


@pytest.mark.parametrize(("size", "copied"), [(512, True), (513, False)])
def test_more_than_a_quarter_cluster_is_linked_not_copied(
    size: int, copied: bool, buffer: Sockbuf, pool: MbufPool
) -> None:
    buffer.sbappend(pool.allocpacket(bytes(600)))
    buffer.sbappend(pool.allocpacket(bytes(size)))
    assert len(queued(buffer)[0]) == (1 if copied else 2)


def test_an_empty_packet_disappears_behind_data_and_passes_its_end_of_record_on(
    buffer: Sockbuf, pool: MbufPool
) -> None:
    buffer.sbappend(pool.allocpacket(b"abc"))
    buffer.sbappend(pool.allocpacket(b"", eor=M_EOR))
    assert queued(buffer) == [[b"abc"]]
    assert buffer.sb_mbtail is not None
    assert buffer.sb_mbtail.m_flags == M_PKTHDR | M_EOR


def test_an_empty_mbuf_before_data_disappears_and_passes_its_end_of_record_on(
    buffer: Sockbuf, pool: MbufPool
) -> None:
    buffer.sbappend(pool.chain([(b"", 0), (b"abc", 0)], eor=M_EOR))
    assert queued(buffer) == [[b"abc"]]
    assert buffer.sb_mbtail is not None
    assert buffer.sb_mbtail.m_flags == M_EOR


def test_a_cluster_that_ends_a_record_stays_a_cluster(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.sbappend(pool.allocpacket(b"abc"))
    buffer.sbappend(pool.allocpacket(bytes(600), eor=M_EOR))
    assert buffer.sb_mbtail is not None
    assert buffer.sb_mbtail.m_flags == M_PKTHDR | M_EXT | M_EOR


def test_an_empty_packet_that_ends_nothing_leaves_nothing(buffer: Sockbuf, pool: MbufPool) -> None:
    assert buffer.sbappend(pool.allocpacket(b""))
    assert (queued(buffer), pool.live) == ([], {})


def test_a_record_is_appended_whole_and_its_end_stays_at_its_end(
    buffer: Sockbuf, pool: MbufPool
) -> None:
    assert buffer.sbappendrecord(pool.allocpacket(bytes(100), eor=M_EOR))
    assert [m.m_flags for m in buffer.records()[0]] == [M_PKTHDR, M_EOR]


def test_a_record_is_refused_if_only_its_first_mbuf_fits(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.sbreserve(90)
    assert not buffer.sbappendrecord(pool.allocpacket(bytes(100)))  # 80 and 20
    assert buffer.sb_cc == 0


def test_a_record_without_end_is_appended_as_it_is(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.sbappendrecord(pool.allocpacket(bytes(100)))
    assert all(not m.m_flags & M_EOR for m in buffer.records()[0])


def test_what_does_not_fit_or_comes_after_the_shutdown_is_left_alone(
    buffer: Sockbuf, pool: MbufPool
) -> None:
    big, small = pool.allocpacket(bytes(9000)), pool.allocpacket(b"a")
    assert not buffer.sbappendrecord(big)
    buffer.sb_flags |= SB_DROP
    assert not buffer.sbappendrecord(small)
    assert not buffer.sbappend(small)
    assert set(pool.live) == {big.id, small.id}


def test_what_was_read_from_the_front_adds_up(buffer: Sockbuf, pool: MbufPool) -> None:
    m = pool.allocpacket(b"abcdef")
    buffer.sbappend(m)
    buffer.cut(m, 2)
    buffer.cut(m, 3)
    assert (m.m_off, m.m_data, m.m_len, buffer.sb_cc) == (5, b"f", 1, 1)


def test_a_packet_linked_behind_an_inner_mbuf_is_no_record_of_the_buffer() -> None:
    entries: list[object] = []
    pool = MbufPool(entries.append)
    buffer = Sockbuf("so_rcv:1", pool, counts_bytes_only=False)
    buffer.sbreserve(8 * KIB)
    m = pool.allocpacket(bytes(100))
    assert m.m_next is not None
    pool.link(m.m_next, pool.allocpacket(b"other"))
    buffer.sbappendrecord(m)
    rest = buffer.take(m, None)
    assert rest is not None
    assert rest.m_nextpkt is None
    assert entries[-1] == (MBUF_SET, rest.id, "m_nextpkt", 0)


def test_dropping_and_flushing_free_what_they_take(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.sbdroprecord()  # nothing there
    for data in (bytes(100), b"b", b"c"):
        buffer.sbappendrecord(pool.allocpacket(data))
    buffer.sbdroprecord()
    assert queued(buffer) == [[b"b"], [b"c"]]
    buffer.sbflush()
    assert (buffer.sb_cc, buffer.sb_mbcnt, pool.live) == (0, 0, {})
    assert buffer.sb_mb is buffer.sb_mbtail is buffer.sb_lastrecord is None


def test_a_record_without_bytes_is_a_panic_to_who_checks(buffer: Sockbuf, pool: MbufPool) -> None:
    buffer.check()
    buffer.sbappendrecord(pool.allocpacket(b""))
    with pytest.raises(KernelPanic, match="corrupt so_rcv: sb_mb 0xADDR sb_cc 0"):
        buffer.check()
