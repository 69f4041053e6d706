"""Sending: its checks, the way data is cut into mbufs, and what waits."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.mbuf import MbufPool, m_chain
from kextlab.bsd.socketvar import Socket
from kextlab.bsd.sosend import sosend, sosend_list
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.sched import Routine, SimDeadlock, Sleep, drive

DGRAM, STREAM = c.SOCK_DGRAM, c.SOCK_STREAM


class Seen(Kext):
    """Keeps the layout of every chain it is sent: (bytes, cluster, offset) of each mbuf, flags."""

    def __init__(self) -> None:
        self.chains: list[list[tuple[int, int, int]]] = []
        self.flags: list[int] = []
        self.eor: list[bool] = []
        self.data = b""

    def start(self) -> int:
        for type_flag in (0, c.CTL_FLAG_REG_SOCK_STREAM):
            reg = KernCtlReg(f"seen{type_flag}", ctl_flags=type_flag, ctl_sendsize=300000)
            reg.ctl_connect = lambda *arguments: 0
            reg.ctl_send = self.send
            self.kpi.ctl_register(reg, Out())
        return 0

    def send(self, ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        self.chains.append([(n.m_len, n.ext_size, n.m_off) for n in m_chain(m)])
        self.eor.append(any(n.m_flags & c.M_EOR for n in m_chain(m)))
        self.flags.append(flags)
        self.data += b"".join(n.m_data for n in m_chain(m))
        assert self.kpi.mbuf_pkthdr_len(m) == sum(n.m_len for n in m_chain(m))
        self.kpi.mbuf_freem(m)
        return 0


class Lab:
    def __init__(self, type_: int) -> None:
        self.mac = Kernel()
        self.kext = self.mac.load(Seen)
        self.pid = self.mac.start_process("test").pid
        self.gate = self.mac.syscalls
        self.fd = self.gate.socket(self.pid, c.PF_SYSTEM, type_, c.SYSPROTO_CONTROL)[1]
        address = SockaddrCtl(sc_id=1 if type_ == DGRAM else 2).pack()
        assert self.gate.connect(self.pid, self.fd, address)[0] == 0

    @property
    def so(self) -> Socket:
        return self.mac.system.domain.sockets.live[1]

    def send(self, size: int, flags: int = 0) -> tuple[int, int]:
        data = bytes(at % 251 for at in range(size))
        answer = self.gate.sendto(self.pid, self.fd, data, flags)
        if not answer[0]:
            assert self.kext.data == data
        return answer


@pytest.mark.parametrize(
    ("type_", "size", "chains"),
    [
        (DGRAM, 0, [[(0, 0, 0)]]),
        (DGRAM, 1, [[(1, 0, 72)]]),  # at the end of its storage: room for headers
        (DGRAM, 79, [[(79, 0, 0)]]),
        (DGRAM, 80, [[(80, 0, 0)]]),
        (DGRAM, 304, [[(80, 0, 0), (224, 0, 0)]]),
        (DGRAM, 305, [[(305, 2048, 0)]]),
        (DGRAM, 2048, [[(2048, 2048, 0)]]),
        (DGRAM, 2049, [[(2049, 4096, 0)]]),
        (DGRAM, 10000, [[(4096, 4096, 0), (4096, 4096, 0), (1808, 4096, 0)]]),
        (STREAM, 1, [[(1, 0, 0)]]),
        (STREAM, 0, [[(0, 0, 0)]]),
    ],
)
def test_data_is_laid_out_as_sosend_does(
    type_: int, size: int, chains: list[list[tuple[int, int, int]]]
) -> None:
    lab = Lab(type_)
    assert lab.send(size) == (0, size)
    assert lab.kext.chains == chains


def test_a_stream_hands_64_kib_on_at_a_time_and_says_there_is_more() -> None:
    lab = Lab(STREAM)
    assert lab.send(150000) == (0, 150000)
    lengths = [sum(length for length, _, _ in chain) for chain in lab.kext.chains]
    assert lengths == [65536, 65536, 18928]
    assert lab.kext.flags == [c.PRUS_MORETOCOME, c.PRUS_MORETOCOME, 0]


def test_a_stream_does_not_cut_off_less_than_a_small_cluster() -> None:
    lab = Lab(STREAM)
    lab.send(65536 + c.MINCLSIZE - 1)
    assert len(lab.kext.chains) == 1


def test_a_datagram_is_never_cut() -> None:
    lab = Lab(DGRAM)
    lab.send(150000)
    assert len(lab.kext.chains) == 1


def test_a_stream_larger_than_the_buffer_goes_in_pieces_of_its_size() -> None:
    lab = Lab(STREAM)
    lab.so.so_snd.sbreserve(1000)
    lab.send(2500)
    lengths = [sum(length for length, _, _ in chain) for chain in lab.kext.chains]
    assert lengths == [1000, 1000, 500]
    assert lab.kext.flags == [0, 0, 0]  # the buffer is full each time: nothing is known to come


def test_a_stream_with_a_tiny_buffer_goes_in_tiny_mbufs() -> None:
    lab = Lab(STREAM)
    lab.so.so_snd.sbreserve(50)
    lab.send(120)
    assert lab.kext.chains == [[(50, 0, 0)], [(50, 0, 0)], [(20, 0, 0)]]


@pytest.mark.parametrize(
    ("type_", "flags", "errno"),
    [
        (DGRAM, c.MSG_OOB, e.EOPNOTSUPP),
        (STREAM, c.MSG_EOR, e.EINVAL),
        (STREAM, c.MSG_OOB, 0),
        (DGRAM, c.MSG_EOR, 0),
        (DGRAM, c.MSG_EOR | c.MSG_DONTWAIT, 0),
    ],
)
def test_flags_are_refused_by_type(type_: int, flags: int, errno: int) -> None:
    lab = Lab(type_)
    assert lab.send(10, flags)[0] == errno


def test_out_of_band_data_has_its_flag_and_a_kib_of_leeway() -> None:
    lab = Lab(STREAM)
    lab.so.so_snd.sbreserve(1000)
    assert lab.send(2000, c.MSG_OOB) == (0, 2000)
    assert lab.kext.flags == [c.PRUS_OOB]


@pytest.mark.parametrize("size", [10, 400, 5000])
def test_msg_eor_marks_a_datagram_that_is_whole(size: int) -> None:
    lab = Lab(DGRAM)
    lab.send(size, c.MSG_EOR)
    assert lab.kext.eor == [True]


def test_an_event_socket_cannot_send() -> None:
    lab = Lab(DGRAM)
    fd = lab.gate.socket(lab.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]
    assert lab.gate.sendto(lab.pid, fd, b"x")[0] == e.EOPNOTSUPP


def test_a_pending_error_is_told_once_and_sends_nothing() -> None:
    lab = Lab(DGRAM)
    lab.so.set("so_error", e.EIO)
    assert lab.send(5) == (e.EIO, 0)
    assert lab.send(5) == (0, 5)


def test_a_datagram_larger_than_the_buffer_is_emsgsize() -> None:
    lab = Lab(DGRAM)
    assert lab.send(300001) == (e.EMSGSIZE, 0)


@pytest.mark.parametrize(("size", "errno"), [(100, 0), (101, e.EMSGSIZE)])
def test_control_data_counts_alone_against_the_buffer(size: int, errno: int) -> None:
    lab = Lab(DGRAM)
    lab.so.so_snd.sbreserve(100)
    assert lab.gate.sendmsg(lab.pid, lab.fd, [b""], control=bytes(size))[0] == errno


def test_control_data_alone_may_be_sent_unconnected_but_then_finds_no_control() -> None:
    lab = Lab(DGRAM)
    fd = lab.gate.socket(lab.pid, c.PF_SYSTEM, DGRAM, c.SYSPROTO_CONTROL)[1]
    so = lab.mac.system.domain.sockets.live[2]
    assert lab.gate.sendmsg(lab.pid, fd, [b"x"], control=bytes(12))[0] == e.ENOTCONN
    so.so_snd.sbreserve(100)
    assert lab.gate.sendmsg(lab.pid, fd, [b""], control=bytes(12))[0] == e.EINVAL


# -- waiting -----------------------------------------------------------------------------------


def finish(routine: Routine[Any], woken: int | None) -> Any:
    """Wake the routine, interrupt it whenever it sleeps again, and give its result."""
    try:
        point = next(routine) if woken is None else routine.send(woken)
        while True:
            point = next(routine) if point is None else routine.send(e.EINTR)
    except StopIteration as stop:
        return stop.value


def full(lab: Lab) -> Socket:
    """The socket with a send buffer that has 10 bytes left, below the low mark."""
    lab.so.so_snd.sb_cc = lab.so.so_snd.sb_hiwat - 10
    return lab.so


def test_a_full_buffer_is_ewouldblock_with_msg_nbio_and_a_wait_with_msg_dontwait() -> None:
    lab = Lab(DGRAM)
    full(lab)
    assert lab.send(11, c.MSG_NBIO) == (e.EWOULDBLOCK, 0)
    assert lab.send(10, c.MSG_NBIO) == (0, 10)
    with pytest.raises(SimDeadlock):
        lab.send(11, c.MSG_DONTWAIT)


def test_a_non_blocking_socket_does_not_wait() -> None:
    lab = Lab(DGRAM)
    full(lab).set("so_state", lab.so.so_state | c.SS_NBIO)
    assert lab.send(11) == (e.EWOULDBLOCK, 0)


def test_a_full_buffer_puts_the_sender_to_sleep_until_there_is_space() -> None:
    lab = Lab(DGRAM)
    so = full(lab)
    routine = sosend(so, bytes(11))
    assert next(routine) == Sleep("so_snd:1", "sbwait")
    assert not so.so_snd.sb_lock
    so.so_snd.sb_cc = 0
    assert finish(routine, 0) == (0, 0)


def test_a_sender_that_nobody_wakes_is_a_deadlock() -> None:
    lab = Lab(STREAM)
    full(lab)
    with pytest.raises(SimDeadlock, match="so_snd:1"):
        lab.send(11)
    assert not lab.so.so_snd.sb_lock


def test_a_second_sender_waits_for_the_first_to_let_go_of_the_buffer() -> None:
    lab = Lab(DGRAM)
    lab.so.so_snd.sb_lock = True
    routine = sosend(lab.so, b"abc")
    assert next(routine) == Sleep("so_snd:1", "sb_lock")
    lab.so.so_snd.sb_lock = False
    assert finish(routine, 0) == (0, 0)


@pytest.mark.parametrize(("flags", "errno"), [(c.MSG_DONTWAIT, e.EWOULDBLOCK), (0, e.EINTR)])
def test_a_buffer_in_use_is_not_waited_for_without_end(flags: int, errno: int) -> None:
    lab = Lab(DGRAM)
    lab.so.so_snd.sb_lock = True
    routine = sosend(lab.so, b"abc", flags)
    assert finish(routine, None) == (errno, 3)


# -- the list send -----------------------------------------------------------------------------


def send_list(lab: Lab, datas: list[bytes]) -> Any:
    return drive(sosend_list(lab.so, datas))


def test_a_list_goes_packet_by_packet_to_a_send_callback() -> None:
    lab = Lab(DGRAM)
    assert send_list(lab, [b"a", b"bb"]) == (0, 2)
    assert lab.kext.data == b"abb"


def test_an_empty_list_sends_nothing() -> None:
    lab = Lab(DGRAM)
    assert send_list(lab, []) == (0, 0)
    assert lab.kext.chains == []


@pytest.mark.parametrize(
    ("datas", "sent"),
    [
        ([b"", b""], []),  # nothing to send
        ([b"", b"x"], [b"", b"x"]),
        ([bytes(40000)] * 3, [bytes(40000)] * 3),
    ],
)
def test_empty_packets_of_a_list_take_the_places_of_others(
    datas: list[bytes], sent: list[bytes]
) -> None:
    lab = Lab(DGRAM)
    assert send_list(lab, datas) == (0, len(datas))
    assert [sum(length for length, _, _ in chain) for chain in lab.kext.chains] == [
        len(data) for data in sent
    ]


def test_a_list_longer_than_a_chain_may_be_goes_in_parts() -> None:
    lab = Lab(DGRAM)
    lists: list[int] = []

    def send_list_callback(*arguments: Any) -> int:
        packets, m = 0, arguments[3]
        while m is not None:
            packets, following = packets + 1, lab.kext.kpi.mbuf_nextpkt(m)
            m = following
        lists.append(packets)
        lab.kext.kpi.mbuf_freem_list(arguments[3])
        return e.EIO if len(lists) == 2 else 0

    kctl = lab.so.so_pcb.kctl
    kctl.send_list = send_list_callback
    assert send_list(lab, [bytes(40000)] * 5) == (e.EIO, 4)
    assert lists == [2, 2]


def test_an_event_socket_has_no_list_send() -> None:
    lab = Lab(DGRAM)
    lab.gate.socket(lab.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)
    so = lab.mac.system.domain.sockets.live[2]
    assert drive(sosend_list(so, [b"a"])) == (e.EINVAL, 0)


def test_a_stream_has_no_list_send() -> None:
    assert send_list(Lab(STREAM), [b"a"]) == (e.EINVAL, 0)


def test_a_list_is_checked_as_one_send() -> None:
    assert send_list(Lab(DGRAM), [bytes(200000)] * 2) == (e.EMSGSIZE, 0)


def test_a_list_send_that_would_wait_is_not_modelled() -> None:
    lab = Lab(DGRAM)
    full(lab)
    with pytest.raises(NotImplementedError, match="wait"):
        send_list(lab, [bytes(11)])


@pytest.mark.parametrize(("woken", "answer"), [(e.EINTR, (e.EINTR, 0)), (0, (0, 1))])
def test_a_list_waits_for_the_buffer_too(woken: int, answer: tuple[int, int]) -> None:
    lab = Lab(DGRAM)
    lab.so.so_snd.sb_lock = True
    routine = sosend_list(lab.so, [b"a"])
    next(routine)
    lab.so.so_snd.sb_lock = False
    assert finish(routine, woken) == answer


def test_no_mbuf_is_left_after_any_of_this() -> None:
    lab = Lab(STREAM)
    lab.send(150000)
    pool: MbufPool = lab.mac.system.domain.pool
    assert pool.live == {}
