"""Sends and receives done at once, where nobody can get in: they come to what the routines do."""

from collections.abc import Callable
from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.socketvar import Socket
from kextlab.bsd.soreceive import soreceive, soreceive_now
from kextlab.bsd.sosend import sosend, sosend_now
from kextlab.kernel import syscalls
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.sched import KernelPanic, Sleep
from kextlab.sched.drive import drive

DGRAM, STREAM = c.SOCK_DGRAM, c.SOCK_STREAM
EOR = c.CTL_DATA_EOR


class Lab:
    """An echo control with the given other callbacks, and a connected socket."""

    def __init__(self, type_: int = DGRAM, **callbacks: Any) -> None:
        self.mac = Kernel()
        self.kpi = self.mac.load(Kext).kpi
        flags = c.CTL_FLAG_REG_SOCK_STREAM if type_ == STREAM else 0
        if "rcvd" in callbacks:
            flags |= c.CTL_FLAG_REG_EXTENDED
        reg = KernCtlReg("control", ctl_flags=flags, ctl_connect=lambda *arguments: 0)
        for name, callback in ({"send": self.echo} | callbacks).items():
            setattr(reg, f"ctl_{name}", callback)
        self.ref = Out()
        self.kpi.ctl_register(reg, self.ref)
        self.gate = self.mac.syscalls
        self.pid = self.mac.start_process("client").pid
        self.fd = self.gate.socket(self.pid, c.PF_SYSTEM, type_, c.SYSPROTO_CONTROL)[1]
        assert self.gate.connect(self.pid, self.fd, SockaddrCtl(sc_id=1).pack())[0] == 0

    @property
    def so(self) -> Socket:
        return self.mac.system.domain.sockets.live[1]

    def echo(self, ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        length, data = self.kpi.mbuf_pkthdr_len(m), Out()
        self.kpi.mbuf_copydata(m, 0, length, data)
        self.kpi.mbuf_freem(m)
        return self.kpi.ctl_enqueuedata(ref, unit, data.value, length, EOR)

    def send(self, data: bytes, flags: int = 0) -> tuple[int, int]:
        return self.gate.sendto(self.pid, self.fd, data, flags)

    def recv(self, length: int, flags: int = 0) -> tuple[int, bytes]:
        return self.gate.recvfrom(self.pid, self.fd, length, flags)

    def queue(self, data: bytes, flags: int = EOR) -> int:
        return self.kpi.ctl_enqueuedata(self.ref.value, 1, data, len(data), flags)

    def wakes(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
        """What is woken from here on."""
        woken: list[tuple[str, ...]] = []
        monkeypatch.setattr(self.so.layer.sched, "wakeup", lambda *names: woken.append(names))
        return woken


# -- the same as the routines ------------------------------------------------------------------


def echoes(lab: Lab) -> list[object]:
    said: list[object] = [lab.recv(5, c.MSG_DONTWAIT)]
    for size in (0, 1, 64, 79, 80, 81, 304, 305, 2049, 9000):
        said += [lab.send(bytes(size)), lab.recv(size + 1, c.MSG_DONTWAIT)]
    return said


def leftovers(lab: Lab) -> list[object]:
    said: list[object] = [lab.queue(b"abcd"), lab.queue(b"e", 0), lab.queue(b"fg")]
    said += [lab.queue(b"hij")]
    return [*said, lab.recv(2), lab.recv(4), lab.recv(9), lab.recv(9, c.MSG_DONTWAIT)]


def hungry(lab: Lab) -> list[object]:
    lab.so.set("so_options", c.SO_WANTMORE)
    return [lab.queue(b"ab"), lab.queue(b"cd"), lab.recv(2), lab.recv(2)]


def refusals(lab: Lab) -> list[object]:
    said: list[object] = [lab.send(b"a", c.MSG_OOB), lab.send(b"a", c.MSG_EOR)]
    lab.so.set("so_error", e.ENOBUFS)
    said += [lab.send(b"a"), lab.send(b"a")]
    said += [lab.send(bytes(9000)), lab.send(bytes(99), c.MSG_DONTWAIT)]
    lab.so.layer.pool.set_limit(0)
    said += [lab.send(b"a")]
    lab.gate.shutdown(lab.pid, lab.fd, c.SHUT_RDWR)
    return [*said, lab.send(b"a"), lab.recv(1)]


def unheard(lab: Lab) -> list[object]:
    lab.so.so_pcb.kctl.send = None
    return [lab.send(b"a"), lab.send(b"")]


def napping(lab: Lab) -> dict[str, Any]:
    """Callbacks that sleep for 5 ns before they answer."""

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> Any:
        yield from lab.kpi.msleep("tape", "waiting", 5)
        return lab.echo(ref, unit, unitinfo, m, flags)

    def rcvd(ref: int, unit: int, unitinfo: object, flags: int) -> Any:
        yield from lab.kpi.msleep("reel", "waiting", 5)

    return {"send": send, "rcvd": rcvd}


@pytest.mark.parametrize("type_", [DGRAM, STREAM])
@pytest.mark.parametrize("naps", [False, True])
@pytest.mark.parametrize("story", [echoes, leftovers, hungry, refusals, unheard])
def test_what_is_done_at_once_leaves_the_trace_of_the_routines(
    story: Callable[[Lab], list[object]],
    naps: bool,
    type_: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> tuple[list[object], list[object]]:
        lab = Lab(type_, rcvd=lambda *arguments: 0) if naps else Lab(type_)
        for name, callback in napping(lab).items() if naps else ():
            setattr(lab.so.so_pcb.kctl, name, callback)
        return story(lab), list(lab.mac.trace.entries())

    at_once = told()
    monkeypatch.setattr(syscalls, "sosend_now", sosend)
    monkeypatch.setattr(syscalls, "soreceive_now", soreceive)
    assert told() == at_once


# -- sending -----------------------------------------------------------------------------------


def test_a_small_message_is_sent_without_a_routine() -> None:
    lab = Lab()
    assert sosend_now(lab.so, b"abc", 0) == (0, 0)
    assert soreceive_now(lab.so, 3, 0) == (0, b"abc", c.MSG_EOR)


@pytest.mark.parametrize(("type_", "largest"), [(DGRAM, 9000), (STREAM, 79)])
def test_what_goes_to_the_protocol_in_one_piece_needs_no_routine(type_: int, largest: int) -> None:
    lab = Lab(type_)
    lab.so.so_pcb.kctl.send = lambda ref, unit, info, m, flags: lab.kpi.mbuf_freem(m)
    lab.so.so_snd.sbreserve(9000)
    for size in (0, 1, 79, 80, 9000):
        assert isinstance(sosend_now(lab.so, bytes(size), 0), tuple) == (size <= largest)


@pytest.mark.parametrize("errno", [0, e.EIO])
def test_the_callbacks_errno_is_the_answer_and_counted(errno: int) -> None:
    lab = Lab()

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        lab.kpi.mbuf_freem(m)
        return errno

    lab.so.so_pcb.kctl.send = send
    assert sosend_now(lab.so, b"abc", 0) == (errno, 0)
    assert lab.mac.system.domain.control.stat["send_fail"] == bool(errno)
    assert lab.so.so_pcb.kcb_usecount == 0


def test_a_callback_that_sleeps_is_waited_for_in_a_routine() -> None:
    lab = Lab()
    lab.so.so_pcb.kctl.send = napping(lab)["send"]
    sender = sosend_now(lab.so, b"abc", 0)
    assert not isinstance(sender, tuple)
    assert next(sender) == Sleep("tape", "waiting", deadline=5)
    assert lab.so.so_snd.sb_lock
    with pytest.raises(StopIteration) as end:
        sender.send(0)
    assert end.value.value == (0, 0)
    assert (lab.so.so_snd.sb_lock, lab.so.so_pcb.kcb_usecount) == (False, 0)


def test_who_waits_for_the_send_buffer_is_woken_after_a_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab()

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> None:
        lab.kpi.mbuf_freem(m)
        assert next(second) == Sleep("so_snd:1", "sb_lock")

    lab.so.so_pcb.kctl.send = send
    second = sosend(lab.so, b"second")
    woken = lab.wakes(monkeypatch)
    assert sosend_now(lab.so, b"first", 0) == (0, 0)
    assert woken == [("so_snd:1", "sb_lock")]


def test_who_clears_the_client_is_woken_after_a_send(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> None:
        lab.kpi.mbuf_freem(m)
        assert next(closer) == Sleep("kcb:1", "kcb_usecount")
        woken.clear()

    lab.so.so_pcb.kctl.send = send
    closer = lab.so.so_proto.pru_detach(lab.so)
    woken = lab.wakes(monkeypatch)
    assert sosend_now(lab.so, b"abc", 0) == (0, 0)
    assert woken == [("kcb:1", "kcb_usecount")]


def test_a_send_waits_in_a_routine_while_the_client_is_being_cleared() -> None:
    lab = Lab()
    lab.so.so_pcb.require_clearing = 1
    sender = sosend_now(lab.so, b"abc", 0)
    assert not isinstance(sender, tuple)
    assert next(sender) == Sleep("kcb:1", "kcb_require_clearing")


# -- receiving ---------------------------------------------------------------------------------


def test_who_waits_for_the_receive_buffer_is_woken_after_a_receive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab()
    lab.queue(b"abc")
    lab.so.so_rcv.sb_wantlock = 1
    woken = lab.wakes(monkeypatch)
    assert soreceive_now(lab.so, 3, 0) == (0, b"abc", c.MSG_EOR)
    assert woken == [("so_rcv:1", "sb_lock")]
    assert not lab.so.so_rcv.sb_lock


def test_a_rcvd_callback_that_sleeps_is_waited_for_in_a_routine() -> None:
    lab = Lab()
    lab.queue(b"abc")
    lab.so.so_pcb.kctl.rcvd = napping(lab)["rcvd"]
    reader = soreceive_now(lab.so, 3, 0)
    assert not isinstance(reader, tuple)
    point = next(reader)
    while point is None:
        point = next(reader)
    assert point == Sleep("reel", "waiting", deadline=5)
    assert lab.so.so_rcv.sb_lock


def test_bytes_without_a_record_panic_the_reader_at_once() -> None:
    lab = Lab()
    lab.queue(b"abc")
    lab.so.so_rcv.sb_cc = 4
    with pytest.raises(KernelPanic, match="corrupt so_rcv: sb_mb 0x0 sb_cc 1"):
        soreceive_now(lab.so, 3, 0)


@pytest.mark.parametrize(("size", "at_once"), [(3, True), (4, False)])
def test_a_stream_is_read_at_once_if_it_holds_what_is_asked_for(size: int, at_once: bool) -> None:
    lab = Lab(STREAM)
    lab.queue(b"abc", 0)
    lab.so.so_rcv.set("sb_lowat", 4)
    assert isinstance(soreceive_now(lab.so, size, 0), tuple) == at_once


def test_a_send_that_waits_for_its_client_to_be_cleared_has_no_flags() -> None:
    flags: list[int] = []
    lab = Lab(send=lambda *arguments: flags.append(arguments[-1]))
    kcb = lab.so.so_pcb
    kcb.require_clearing = 1
    m = lab.so.layer.pool.allocpacket(b"a", "kernel")
    rest = lab.so.so_proto.pru_send_now(lab.so, m)
    assert not isinstance(rest, int)
    kcb.require_clearing = 0
    assert (drive(rest), flags) == (0, [0])


def test_a_send_at_once_is_counted_beside_the_others_inside() -> None:
    lab = Lab()
    kcb = lab.so.so_pcb
    inside: list[int] = []
    kcb.kctl.send = lambda *arguments: inside.append(kcb.kcb_usecount)
    kcb.kcb_usecount = 1
    assert lab.send(b"a") == (0, 1)
    assert (inside, kcb.kcb_usecount) == ([2], 1)
