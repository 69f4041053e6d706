"""Receiving: what is read, what it says about it, and what waits, driven by hand."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.socketvar import Socket
from kextlab.bsd.soreceive import soreceive
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched import KernelPanic, Routine, SimDeadlock, Sleep

DGRAM, STREAM = c.SOCK_DGRAM, c.SOCK_STREAM
EOR = c.CTL_DATA_EOR


class Lab:
    """A control and one connected socket; ``told`` is what the rcvd callback was told."""

    def __init__(self, type_: int = DGRAM, rcvd: bool = False, trace: bool = True) -> None:
        self.mac = Kernel(trace=trace)
        self.kpi = self.mac.load(Kext).kpi
        self.told: list[int] = []
        flags = c.CTL_FLAG_REG_SOCK_STREAM if type_ == STREAM else 0
        reg = KernCtlReg("a", ctl_flags=flags | (c.CTL_FLAG_REG_EXTENDED if rcvd else 0))
        reg.ctl_connect = lambda *arguments: 0
        reg.ctl_rcvd = lambda ref, unit, info, flags: self.told.append(flags)
        self.ref = Out()
        self.kpi.ctl_register(reg, self.ref)
        self.pid = self.mac.start_process("test").pid
        self.gate = self.mac.syscalls
        self.fd = self.gate.socket(self.pid, c.PF_SYSTEM, type_, c.SYSPROTO_CONTROL)[1]
        address = SockaddrCtl(sc_id=1).pack()
        assert self.gate.connect(self.pid, self.fd, address)[0] == 0

    @property
    def so(self) -> Socket:
        return self.mac.system.domain.sockets.live[1]

    def queue(self, *datas: bytes, flags: int = EOR) -> None:
        for data in datas:
            assert self.kpi.ctl_enqueuedata(self.ref.value, 1, data, len(data), flags) == 0

    def recv(self, length: int, flags: int = 0) -> tuple[int, bytes, int]:
        errno, (data, found) = self.gate.recvmsg(self.pid, self.fd, length, flags)
        return errno, data, found

    def start(self, length: int, flags: int = 0) -> Routine[tuple[int, bytes, int]]:
        return soreceive(self.so, length, flags)


def step(routine: Routine[Any], woken: int | None = None) -> object:
    """Go on to the next sleep, or to the result."""
    try:
        point = next(routine) if woken is None else routine.send(woken)
        while point is None:
            point = next(routine)
    except StopIteration as stop:
        return stop.value
    return point


# -- what is read ------------------------------------------------------------------------------


def test_a_datagram_larger_than_asked_for_is_cut_and_says_so() -> None:
    lab = Lab()
    lab.queue(b"abcdef", b"next")
    assert lab.recv(2) == (0, b"ab", c.MSG_TRUNC)
    assert lab.recv(10) == (0, b"next", c.MSG_EOR)


def test_so_wantmore_says_that_the_buffer_holds_more() -> None:
    lab = Lab(rcvd=True)
    lab.queue(b"a", b"b")
    lab.so.set("so_options", c.SO_WANTMORE)
    assert lab.recv(2, c.MSG_PEEK)[2] == c.MSG_PEEK | c.MSG_EOR | c.MSG_HAVEMORE
    assert lab.recv(2) == (0, b"a", c.MSG_EOR | c.MSG_HAVEMORE)
    assert lab.told == [c.MSG_EOR | c.MSG_HAVEMORE]
    assert lab.recv(2) == (0, b"b", c.MSG_EOR)


def test_so_donttrunc_keeps_the_rest_of_a_datagram() -> None:
    lab = Lab()
    lab.queue(b"abcdef")
    lab.so.set("so_options", c.SO_DONTTRUNC)
    assert lab.recv(2) == (0, b"ab", c.MSG_RCVMORE)
    assert lab.recv(10) == (0, b"cdef", c.MSG_EOR)


@pytest.mark.parametrize("type_", [DGRAM, STREAM])
def test_peek_leaves_everything_where_it_was(type_: int) -> None:
    lab = Lab(type_)
    lab.queue(b"abc", b"def")
    assert lab.recv(3, c.MSG_PEEK) == (0, b"abc", c.MSG_PEEK | c.MSG_EOR)
    assert lab.recv(2, c.MSG_PEEK)[1] == b"ab"
    assert lab.recv(3) == (0, b"abc", c.MSG_EOR)


def test_a_peek_reads_over_the_mbufs_of_a_record() -> None:
    lab = Lab()
    lab.queue(bytes(200))
    assert len(lab.recv(200, c.MSG_PEEK)[1]) == 200
    assert len(lab.recv(200)[1]) == 200


def test_a_stream_keeps_what_was_not_asked_for() -> None:
    lab = Lab(STREAM)
    lab.queue(b"abcdef", flags=0)
    assert [lab.recv(4)[1], lab.recv(4)[1]] == [b"abcd", b"ef"]


def test_a_read_of_nothing_throws_a_datagram_away_and_leaves_a_stream() -> None:
    for type_, left in ((DGRAM, 0), (STREAM, 3)):
        lab = Lab(type_)
        lab.queue(b"abc")
        assert lab.recv(0)[:2] == (0, b"")
        assert lab.so.so_rcv.sb_cc == left


def test_a_read_of_nothing_from_nothing_does_not_wait() -> None:
    assert Lab().recv(0) == (0, b"", 0)


def test_out_of_band_data_there_is_none() -> None:
    assert Lab().recv(1, c.MSG_OOB)[0] == e.EOPNOTSUPP


def test_msg_eor_of_the_caller_does_not_come_back_as_found() -> None:
    lab = Lab()
    lab.queue(b"ab", flags=0)
    assert lab.recv(2, c.MSG_EOR) == (0, b"ab", c.MSG_EOR)
    lab.queue(b"ab", flags=0)
    assert lab.recv(2, c.MSG_PEEK)[2] == c.MSG_PEEK


# -- what cannot be read -----------------------------------------------------------------------


def test_a_pending_error_is_told_once_after_the_queue_and_kept_by_a_peek() -> None:
    lab = Lab()
    lab.queue(b"abc")
    lab.so.set("so_error", e.EIO)
    assert lab.recv(10)[:2] == (0, b"abc")
    assert lab.recv(10, c.MSG_PEEK)[0] == e.EIO
    assert lab.recv(10)[0] == e.EIO
    assert lab.recv(10, c.MSG_DONTWAIT)[0] == e.EWOULDBLOCK


def test_a_stream_below_its_low_mark_is_read_when_an_error_is_pending() -> None:
    lab = Lab(STREAM)
    lab.queue(b"abc", flags=0)
    lab.so.so_rcv.set("sb_lowat", 100)
    lab.so.set("so_error", e.EIO)
    assert lab.recv(10)[:2] == (0, b"abc")


@pytest.mark.parametrize("flag", ["MSG_DONTWAIT", "MSG_NBIO"])
def test_who_must_not_wait_hears_ewouldblock(flag: str) -> None:
    lab = Lab()
    with_flag = getattr(c, flag)
    assert lab.recv(5, with_flag)[0] == e.EWOULDBLOCK


def test_bytes_without_a_record_are_a_panic() -> None:
    lab = Lab()
    lab.so.so_rcv.sb_cc = 5
    with pytest.raises(KernelPanic, match="corrupt so_rcv: sb_mb 0x0 sb_cc 5"):
        lab.recv(1)


# -- waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [True, False])
def test_a_reader_of_an_empty_queue_sleeps_until_data_comes(trace: bool) -> None:
    lab = Lab(trace=trace)
    routine = lab.start(10)
    assert step(routine) == Sleep("so_rcv:1", "sbwait")
    assert not lab.so.so_rcv.sb_lock
    lab.queue(b"abc")
    assert step(routine, 0) == (0, b"abc", c.MSG_EOR)


def test_a_reader_that_nobody_wakes_is_a_deadlock_and_leaves_the_buffer_unlocked() -> None:
    lab = Lab()
    with pytest.raises(SimDeadlock, match="so_rcv:1"):
        lab.recv(10)
    assert not lab.so.so_rcv.sb_lock


def test_a_reader_that_is_interrupted_hears_eintr() -> None:
    routine = Lab().start(10)
    step(routine)
    assert step(routine, e.EINTR) == (e.EINTR, b"", 0)


def test_before_it_sleeps_the_reader_tells_the_kext_which_may_bring_data_at_once() -> None:
    lab = Lab(rcvd=True)
    kctl = lab.mac.system.domain.control.controls[0]

    def rcvd(ref: int, unit: int, unitinfo: object, flags: int) -> None:
        if not lab.told:
            lab.queue(b"now")
        lab.told.append(flags)

    kctl.rcvd = rcvd
    assert lab.recv(10) == (0, b"now", c.MSG_EOR)
    assert lab.told == [0, c.MSG_EOR]


@pytest.mark.parametrize("trace", [True, False])
def test_a_second_reader_waits_for_the_first_to_let_go_of_the_buffer(trace: bool) -> None:
    lab = Lab(trace=trace)
    lab.queue(b"abc")
    lab.so.so_rcv.sb_lock = True
    routine = lab.start(10)
    assert step(routine) == Sleep("so_rcv:1", "sb_lock")
    assert step(routine, 0) == Sleep("so_rcv:1", "sb_lock")
    lab.so.so_rcv.sb_lock = False
    assert step(routine, 0) == (0, b"abc", c.MSG_EOR)


@pytest.mark.parametrize(("flags", "errno"), [(c.MSG_DONTWAIT, e.EWOULDBLOCK), (0, e.EINTR)])
def test_a_buffer_in_use_is_not_waited_for_without_end(flags: int, errno: int) -> None:
    lab = Lab()
    lab.so.so_rcv.sb_lock = True
    routine = lab.start(10, flags)
    result = step(routine)
    assert (step(routine, e.EINTR) if isinstance(result, Sleep) else result) == (
        errno,
        b"",
        flags,
    )


def test_a_stream_below_its_low_mark_waits_for_more() -> None:
    lab = Lab(STREAM)
    lab.so.so_rcv.set("sb_lowat", 5)
    lab.queue(b"abc", flags=0)
    routine = lab.start(10)
    assert step(routine) == Sleep("so_rcv:1", "sbwait")
    lab.queue(b"def", flags=0)
    assert step(routine, 0) == (0, b"abcdef", 0)


def test_a_stream_record_that_has_ended_is_not_waited_on() -> None:
    lab = Lab(STREAM)
    lab.so.so_rcv.set("sb_lowat", 5)
    lab.queue(b"abc")
    assert lab.recv(10) == (0, b"abc", c.MSG_EOR)


def test_waitall_waits_before_it_reads_if_all_of_it_fits_the_buffer() -> None:
    lab = Lab(STREAM)
    lab.queue(b"abc", flags=0)
    routine = lab.start(6, c.MSG_WAITALL)
    assert step(routine) == Sleep("so_rcv:1", "sbwait")
    lab.queue(b"def", flags=0)
    assert step(routine, 0) == (0, b"abcdef", c.MSG_WAITALL)


def test_waitall_for_more_than_the_buffer_reads_and_waits_in_turn() -> None:
    lab = Lab(STREAM, rcvd=True)
    lab.queue(b"abc", flags=0)
    routine = lab.start(9000, c.MSG_WAITALL)
    assert step(routine) == Sleep("so_rcv:1", "sbwait")
    assert lab.so.so_rcv.sb_cc == 0
    assert lab.told == [c.MSG_WAITALL]
    lab.queue(bytes(8000), flags=0)
    assert step(routine, 0) == Sleep("so_rcv:1", "sbwait")
    lab.queue(bytes(997), flags=0)
    assert step(routine, 0) == (0, b"abc" + bytes(8997), c.MSG_WAITALL)


@pytest.mark.parametrize(("ending", "woken"), [("interrupted", e.EINTR), ("error", 0), ("shut", 0)])
def test_waitall_gives_what_it_has_when_no_more_will_come(ending: str, woken: int) -> None:
    lab = Lab(STREAM)
    lab.queue(b"abc", flags=0)
    routine = lab.start(9000, c.MSG_WAITALL)
    step(routine)
    if ending == "error":
        lab.so.set("so_error", e.EIO)
    elif ending == "shut":
        lab.so.set("so_state", lab.so.so_state | c.SS_CANTRCVMORE)
    assert step(routine, woken) == (0, b"abc", c.MSG_WAITALL)
    assert not lab.so.so_rcv.sb_lock


def test_waitall_takes_what_the_kext_brings_when_it_is_told() -> None:
    lab = Lab(STREAM, rcvd=True)
    lab.queue(b"abc", flags=0)
    kctl = lab.mac.system.domain.control.controls[0]

    def rcvd(ref: int, unit: int, unitinfo: object, flags: int) -> None:
        if len(lab.told) < 2:
            lab.queue(bytes(4500), flags=0)
        lab.told.append(flags)

    kctl.rcvd = rcvd
    errno, data, _ = lab.recv(9000, c.MSG_WAITALL)
    assert (errno, data) == (0, b"abc" + bytes(8997))


def test_waitall_on_data_that_another_reader_took_sleeps_again() -> None:
    lab = Lab(STREAM)
    lab.queue(b"abc", flags=0)
    routine = lab.start(9000, c.MSG_WAITALL)
    step(routine)
    assert step(routine, 0) == Sleep("so_rcv:1", "sbwait")  # woken for nothing
