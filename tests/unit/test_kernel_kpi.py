"""The functions a kext may call, one by one, and what happens to one that misuses them."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Kpi, Mbuf, Out
from kextlab.sched import KernelPanic, SimDeadlock

STALE = 5  # a slot inside the table that is empty


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def kpi(mac: Kernel) -> Kpi:
    """The functions as a kext sees them that registered "a", id 1, reference 0x10001."""
    kpi = mac.load(Kext).kpi
    assert register(kpi) == 0
    return kpi


REF = 0x10001


def register(kpi: Kpi, name: str = "a", **fields: Any) -> int:
    fields = {"ctl_connect": lambda *arguments: 0} | fields
    return kpi.ctl_register(KernCtlReg(name, **fields), Out())


def client(mac: Kernel, ident: int = 1) -> int:
    """A process with one socket, descriptor 3, connected to a control."""
    pid = mac.start_process("test").pid
    stream = mac.system.domain.control.find_by_id_unit(ident, 0)
    assert stream is not None
    kind = c.SOCK_STREAM if stream.flags & c.CTL_FLAG_REG_SOCK_STREAM else c.SOCK_DGRAM
    mac.syscalls.socket(pid, c.PF_SYSTEM, kind, c.SYSPROTO_CONTROL)
    assert mac.syscalls.connect(pid, 3, SockaddrCtl(sc_id=ident).pack())[0] == 0
    return pid


def packet(kpi: Kpi, data: bytes) -> Mbuf:
    m = Out()
    assert kpi.mbuf_allocpacket(0, len(data), None, m) == 0
    assert kpi.mbuf_copyback(m.value, 0, len(data), data, 0) == 0
    made: Mbuf = m.value
    return made


# -- registering -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "errno"),
    [
        ("b", {}, 0),
        ("a", {}, e.EEXIST),
        ("", {}, e.EINVAL),
        ("x" * 95, {}, 0),
        ("x" * 96, {}, e.EINVAL),
        ("é" * 48, {}, e.EINVAL),  # 96 bytes
        ("b", {"ctl_connect": None}, e.EINVAL),
        ("b", {"ctl_flags": c.CTL_FLAG_REG_ID_UNIT, "ctl_id": 1}, e.EEXIST),
        ("a", {"ctl_flags": c.CTL_FLAG_REG_ID_UNIT, "ctl_id": 7}, 0),
    ],
)
def test_registering_answers(name: str, fields: dict[str, Any], errno: int, kpi: Kpi) -> None:
    assert register(kpi, name, **fields) == errno


def test_no_record_is_einval(kpi: Kpi) -> None:
    ref = Out("untouched")
    assert kpi.ctl_register(None, ref) == e.EINVAL
    assert ref.value == "untouched"


def test_registering_writes_the_id_and_the_default_sizes_back(kpi: Kpi) -> None:
    reg = KernCtlReg("b", ctl_id=99, ctl_connect=lambda *arguments: 0)
    kpi.ctl_register(reg, Out())
    assert (reg.ctl_id, reg.ctl_sendsize, reg.ctl_recvsize) == (2, 2048, 8192)


def test_a_control_with_a_client_cannot_be_deregistered(mac: Kernel, kpi: Kpi) -> None:
    pid = client(mac)
    assert kpi.ctl_deregister(REF) == e.EBUSY
    mac.syscalls.close(pid, 3)
    assert kpi.ctl_deregister(REF) == 0


@pytest.mark.parametrize("ref", [None, 0, 0x50001])
def test_no_or_a_wrong_reference_is_einval_and_counted_twice(
    ref: int | None, mac: Kernel, kpi: Kpi
) -> None:
    assert kpi.ctl_deregister(ref) == e.EINVAL
    assert mac.statistics().kctl["bad_kctlref"] == 2


ASKING: dict[str, Callable[[Kpi, int], object]] = {
    "deregister": lambda kpi, ref: kpi.ctl_deregister(ref),
    "enqueuedata": lambda kpi, ref: kpi.ctl_enqueuedata(ref, 1, b"a", 1, 0),
    "enqueuembuf": lambda kpi, ref: kpi.ctl_enqueuembuf(ref, 1, packet(kpi, b"a"), 0),
    "enqueuembuf_list": lambda kpi, ref: kpi.ctl_enqueuembuf_list(
        ref, 1, packet(kpi, b"a"), 0, None
    ),
    "getenqueuespace": lambda kpi, ref: kpi.ctl_getenqueuespace(ref, 1, Out()),
    "getenqueuepacketcount": lambda kpi, ref: kpi.ctl_getenqueuepacketcount(ref, 1, Out()),
    "getenqueuereadable": lambda kpi, ref: kpi.ctl_getenqueuereadable(ref, 1, Out()),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_stale_reference_whose_slot_is_empty_faults(name: str, mac: Kernel, kpi: Kpi) -> None:
    with pytest.raises(KernelPanic, match="kernel page fault"):
        ASKING[name](kpi, STALE)
    assert mac.panic is not None


@pytest.mark.parametrize("name", ASKING)
def test_a_reference_of_another_generation_is_einval(name: str, kpi: Kpi) -> None:
    assert ASKING[name](kpi, 0x50001) == e.EINVAL


@pytest.mark.parametrize("name", list(ASKING)[1:])
def test_a_unit_nobody_has_is_einval(name: str, kpi: Kpi) -> None:
    assert ASKING[name](kpi, REF) == e.EINVAL


LOCKING = {
    **ASKING,
    "register": lambda kpi, ref: register(kpi, "z"),
    "id_by_name": lambda kpi, ref: kpi.ctl_id_by_name("a"),
    "name_by_id": lambda kpi, ref: kpi.ctl_name_by_id(1, Out(), 96),
}


@pytest.mark.parametrize("name", LOCKING)
def test_calling_back_from_setup_is_a_deadlock(name: str, mac: Kernel, kpi: Kpi) -> None:
    def setup(unit: Out, unitinfo: Out) -> int:
        LOCKING[name](kpi, REF)
        return 0

    register(kpi, "b", ctl_flags=c.CTL_FLAG_REG_SETUP, ctl_setup=setup)
    pid = mac.start_process("test").pid
    mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    with pytest.raises(SimDeadlock, match="mutex already held by this thread"):
        mac.syscalls.connect(pid, 3, SockaddrCtl(sc_id=2).pack())
    assert mac.panic is None


REFUSED: dict[str, tuple[Callable[[Kpi], int], int, object]] = {
    "no record": (lambda kpi: kpi.ctl_register(None, Out()), e.EINVAL, 0),
    "no name": (lambda kpi: register(kpi, ""), e.EINVAL, 0),
    "a taken name": (lambda kpi: register(kpi, "a"), e.EEXIST, 0),
    "an unknown id": (lambda kpi: kpi.ctl_name_by_id(9, Out(), 96), e.ENOENT, ""),
    "space": (lambda kpi: kpi.ctl_getenqueuespace(REF, 1, Out()), e.EINVAL, 0),
    "packetcount": (lambda kpi: kpi.ctl_getenqueuepacketcount(REF, 1, Out()), e.EINVAL, 0),
    "readable": (lambda kpi: kpi.ctl_getenqueuereadable(REF, 1, Out()), e.EINVAL, 0),
    "a long vendor": (lambda kpi: kpi.kev_vendor_code_find("x" * 200, Out()), e.EINVAL, 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_trace_shows_no_result_beside_the_error(name: str, mac: Kernel, kpi: Kpi) -> None:
    call, errno, value = REFUSED[name]
    start = len(mac.trace)
    assert call(kpi) == errno
    returned = [event for event in mac.trace.events(start) if event.kind == "return"]
    assert [(event.errno, event.value) for event in returned] == [(errno, value)]


# -- looking up --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ident"), [("a", 1), ("b", 0)])
def test_the_id_of_a_name_is_0_when_there_is_none(name: str, ident: int, kpi: Kpi) -> None:
    assert kpi.ctl_id_by_name(name) == ident


@pytest.mark.parametrize(
    ("size", "name"), [(96, "abc"), (4, "abc"), (3, "ab"), (1, ""), (0, ""), (10**6, "abc")]
)
def test_a_name_is_cut_to_its_buffer_with_the_nul(size: int, name: str, kpi: Kpi) -> None:
    register(kpi, "abc")
    out = Out()
    assert kpi.ctl_name_by_id(2, out, size) == 0
    assert out.value == name


def test_a_letter_the_end_of_the_buffer_cuts_through_is_left_out(kpi: Kpi) -> None:
    register(kpi, "aé")
    out = Out()
    assert kpi.ctl_name_by_id(2, out, 3) == 0
    assert out.value == "a"


def test_an_unknown_id_is_enoent(kpi: Kpi) -> None:
    out = Out("untouched")
    assert kpi.ctl_name_by_id(9, out, 96) == e.ENOENT
    assert out.value == "untouched"


# -- enqueueing --------------------------------------------------------------------------------


def test_as_many_bytes_are_queued_as_the_length_says(mac: Kernel, kpi: Kpi) -> None:
    pid = client(mac)
    assert kpi.ctl_enqueuedata(REF, 1, b"abcdef", 3, c.CTL_DATA_EOR) == 0
    assert mac.syscalls.recvfrom(pid, 3, 100) == (0, b"abc")


@pytest.mark.parametrize("length", [-1, 4])
def test_a_length_outside_the_data_is_refused(length: int, kpi: Kpi) -> None:
    with pytest.raises(ValueError, match=f"length {length} is outside the data, which has 3"):
        kpi.ctl_enqueuedata(REF, 1, b"abc", length, 0)
    with pytest.raises(ValueError, match="outside the data"):
        kpi.mbuf_copyback(packet(kpi, bytes(9)), 0, 4, b"abc", 0)


def test_a_queued_packet_is_the_kernels_and_a_refused_one_the_kexts(mac: Kernel, kpi: Kpi) -> None:
    client(mac)
    good, big = packet(kpi, b"abc"), packet(kpi, bytes(9000))
    assert kpi.ctl_enqueuembuf(REF, 1, good, c.CTL_DATA_EOR) == 0
    assert kpi.ctl_enqueuembuf(REF, 1, big, 0) == e.ENOBUFS
    assert good.owner == "so_rcv:1"
    assert {m.owner for m in mac.leaks("Kext")} == {"kext:Kext"}
    assert big in mac.leaks("Kext")


def listed(kpi: Kpi, *datas: bytes) -> Mbuf:
    packets = [packet(kpi, data) for data in datas]
    for m, following in pairwise(packets):
        kpi.mbuf_setnextpkt(m, following)
    return packets[0]


def test_a_list_is_queued_as_far_as_it_fits_and_the_rest_comes_back(mac: Kernel, kpi: Kpi) -> None:
    pid = client(mac)
    rest = Out()
    m = listed(kpi, b"a", bytes(8190), b"ccc")
    assert kpi.ctl_enqueuembuf_list(REF, 1, m, 0, rest) == e.ENOBUFS
    assert kpi.mbuf_pkthdr_len(rest.value) == 3
    assert kpi.mbuf_freem_list(rest.value) == 1
    assert mac.syscalls.recvfrom(pid, 3, 9000) == (0, b"a")


def test_without_a_place_for_the_rest_it_is_freed(mac: Kernel, kpi: Kpi) -> None:
    client(mac)
    m = listed(kpi, bytes(9000), b"b")
    assert kpi.ctl_enqueuembuf_list(REF, 1, m, 0, None) == e.ENOBUFS
    assert mac.leaks("Kext") == []


def test_a_whole_list_leaves_nothing(mac: Kernel, kpi: Kpi) -> None:
    client(mac)
    rest = Out("untouched")
    assert kpi.ctl_enqueuembuf_list(REF, 1, listed(kpi, b"a", b"b"), 0, rest) == 0
    assert rest.value is None


def test_a_list_has_no_end_of_record_flag_and_streams_have_no_lists(mac: Kernel, kpi: Kpi) -> None:
    register(kpi, "s", ctl_flags=c.CTL_FLAG_REG_SOCK_STREAM)
    client(mac, 2)
    client(mac)
    eor = c.CTL_DATA_EOR
    assert kpi.ctl_enqueuembuf_list(REF, 1, packet(kpi, b"a"), eor, None) == e.EINVAL
    assert kpi.ctl_enqueuembuf_list(0x20002, 1, packet(kpi, b"a"), 0, None) == e.EOPNOTSUPP


def test_space_records_and_what_is_missing_are_told(mac: Kernel, kpi: Kpi) -> None:
    client(mac)
    space, count, missing = Out(), Out(), Out()

    def told() -> list[int]:
        kpi.ctl_getenqueuespace(REF, 1, space)
        kpi.ctl_getenqueuepacketcount(REF, 1, count)
        kpi.ctl_getenqueuereadable(REF, 1, missing)
        return [space.value, count.value, missing.value]

    assert told() == [8192, 0, 1]
    for data in (b"ab", b"c"):
        kpi.ctl_enqueuedata(REF, 1, data, len(data), c.CTL_DATA_EOR)
    assert told() == [8189, 2, 0]


@pytest.mark.parametrize("name", ["space", "packetcount", "readable"])
def test_a_null_pointer_for_the_answer_is_einval(name: str, mac: Kernel, kpi: Kpi) -> None:
    client(mac)
    assert getattr(kpi, f"ctl_getenqueue{name}")(REF, 1, None) == e.EINVAL
