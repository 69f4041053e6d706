"""The mbuf functions of a kext, and what happens to one that frees what is not its own."""

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import Kpi, Mbuf, Out
from kextlab.sched import KernelPanic


class Other(Kext):
    bundle_id = "other"


@pytest.fixture(params=[True, False])
def mac(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(trace=request.param)


@pytest.fixture
def kpi(mac: Kernel) -> Kpi:
    return mac.load(Kext).kpi


def alloc(kpi: Kpi, size: int) -> Mbuf:
    m = Out()
    assert kpi.mbuf_allocpacket(0, size, None, m) == 0
    made: Mbuf = m.value
    return made


def content(kpi: Kpi, m: Mbuf) -> bytes:
    data = Out()
    assert kpi.mbuf_copydata(m, 0, kpi.mbuf_pkthdr_len(m), data) == 0
    whole: bytes = data.value
    return whole


def test_a_new_packet_is_zeros_and_the_kexts_own(mac: Kernel, kpi: Kpi) -> None:
    m = alloc(kpi, 100)
    rest = kpi.mbuf_next(m)
    assert rest is not None
    assert (kpi.mbuf_len(m), kpi.mbuf_len(rest), kpi.mbuf_pkthdr_len(m)) == (80, 20, 100)
    assert kpi.mbuf_data(m) == bytes(80)
    assert (kpi.mbuf_next(rest), kpi.mbuf_nextpkt(m)) == (None, None)
    assert mac.leaks("Kext") == [rest, m]  # allocated from the end


def test_the_flags_say_which_mbuf_heads_a_packet(kpi: Kpi) -> None:
    m = alloc(kpi, 100)
    rest = kpi.mbuf_next(m)
    assert rest is not None
    assert (kpi.mbuf_flags(m), kpi.mbuf_flags(rest)) == (c.M_PKTHDR, 0)


@pytest.mark.parametrize(
    ("size", "allowed", "errno", "chunks"),
    [(100, 0, 0, 2), (100, 2, 0, 2), (100, 1, e.ENOBUFS, 2), (-1, 5, e.EINVAL, 5)],
)
def test_a_packet_may_be_bounded_in_mbufs(
    size: int, allowed: int, errno: int, chunks: int, mac: Kernel, kpi: Kpi
) -> None:
    maxchunks, m = Out(allowed), Out()
    assert kpi.mbuf_allocpacket(0, size, maxchunks, m) == errno
    assert maxchunks.value == chunks
    assert (m.value is None) is bool(errno)
    assert len(mac.leaks("Kext")) == (0 if errno else 2)


@pytest.mark.parametrize(
    ("offset", "length", "errno"),
    [
        (0, 100, 0),
        (70, 20, 0),
        (90, 10, 0),
        (100, 0, 0),
        (0, 101, e.EINVAL),
        (-1, 5, e.EINVAL),
        (0, -1, e.EINVAL),
    ],
)
def test_bytes_are_copied_out_from_anywhere_in_the_chain(
    offset: int, length: int, errno: int, kpi: Kpi
) -> None:
    m = alloc(kpi, 100)
    data = bytes(range(100))
    kpi.mbuf_copyback(m, 0, 100, data, 0)
    out = Out()
    assert kpi.mbuf_copydata(m, offset, length, out) == errno
    assert out.value == (None if errno else data[offset : offset + length])


def test_a_single_mbuf_is_copied_out_too(kpi: Kpi) -> None:
    m = alloc(kpi, 10)
    out = Out()
    assert kpi.mbuf_copydata(m, 2, 3, out) == 0
    assert out.value == bytes(3)


@pytest.mark.parametrize("offset", [0, 5, 75, 80, 90])
def test_bytes_are_overwritten_anywhere_in_the_chain(offset: int, kpi: Kpi) -> None:
    m = alloc(kpi, 100)
    assert kpi.mbuf_copyback(m, offset, 10, b"0123456789", 0) == 0
    expected = bytes(offset) + b"0123456789" + bytes(90 - offset)
    assert content(kpi, m) == expected


@pytest.mark.parametrize(
    ("offset", "length", "errno"),
    [(-1, 1, e.EINVAL), (0, -1, e.EINVAL), (0, 101, e.ENOBUFS), (100, 1, e.ENOBUFS)],
)
def test_a_chain_does_not_grow(offset: int, length: int, errno: int, kpi: Kpi) -> None:
    assert kpi.mbuf_copyback(alloc(kpi, 100), offset, length, bytes(200), 0) == errno


def test_overwriting_nothing_changes_nothing(kpi: Kpi) -> None:
    m = alloc(kpi, 10)
    assert kpi.mbuf_copyback(m, 10, 0, b"", 0) == 0
    assert content(kpi, m) == bytes(10)


def test_packets_are_chained_and_unchained(kpi: Kpi) -> None:
    first, second = alloc(kpi, 1), alloc(kpi, 1)
    kpi.mbuf_setnextpkt(first, second)
    assert kpi.mbuf_nextpkt(first) is second
    kpi.mbuf_setnextpkt(first, None)
    assert kpi.mbuf_nextpkt(first) is None


def test_freeing_takes_one_mbuf_a_chain_or_a_list(mac: Kernel, kpi: Kpi) -> None:
    m = alloc(kpi, 100)
    rest = kpi.mbuf_free(m)
    assert mac.leaks("Kext") == [rest]
    kpi.mbuf_freem(rest)
    first, second = alloc(kpi, 100), alloc(kpi, 100)
    kpi.mbuf_setnextpkt(first, second)
    assert kpi.mbuf_freem_list(first) == 2
    assert kpi.mbuf_freem_list(None) == 0
    kpi.mbuf_freem(None)
    assert mac.leaks("Kext") == []


@pytest.mark.parametrize("free", ["mbuf_free", "mbuf_freem", "mbuf_freem_list"])
def test_freeing_twice_is_a_panic(free: str, mac: Kernel, kpi: Kpi) -> None:
    m = alloc(kpi, 1)
    kpi.mbuf_free(m)
    with pytest.raises(KernelPanic, match="already freed mbuf"):
        getattr(kpi, free)(m)
    assert mac.panic is not None


@pytest.mark.parametrize("free", ["mbuf_free", "mbuf_freem", "mbuf_freem_list"])
def test_freeing_what_another_owns_is_a_panic_that_says_whose_it_is(
    free: str, mac: Kernel, kpi: Kpi
) -> None:
    m = alloc(mac.load(Other).kpi, 1)
    with pytest.raises(KernelPanic, match="Kext frees mbuf 1, which kext:other owns"):
        getattr(kpi, free)(m)
    assert mac.leaks("other") == [m]
