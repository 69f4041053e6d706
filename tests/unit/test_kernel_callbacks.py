"""Callbacks: what they return, raise and wait for, and what becomes of the machine."""

import signal
from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.sched import KernelPanic, SimDeadlock

PAGE_FAULT = "kernel page fault"


class Scripted(Kext):
    """Each callback is what the test put under its name; connect is required."""

    def __init__(self) -> None:
        self.ref = Out()

    def register(self, flags: int = 0, **callbacks: Any) -> None:
        reg = KernCtlReg("a", ctl_flags=flags)
        for name, function in ({"connect": lambda *arguments: 0} | callbacks).items():
            setattr(reg, f"ctl_{name}", function)
        assert self.kpi.ctl_register(reg, self.ref) == 0


class Lab:
    def __init__(self, trace: bool = True) -> None:
        self.mac = Kernel(trace=trace)
        self.kext = self.mac.load(Scripted)
        self.pid = self.mac.start_process("test").pid
        self.gate = self.mac.syscalls
        self.fd = self.gate.socket(self.pid, c.PF_SYSTEM, c.SOCK_DGRAM, 2)[1]

    def connect(self) -> int:
        return self.gate.connect(self.pid, self.fd, SockaddrCtl(sc_id=1).pack())[0]

    def send(self) -> int:
        return self.gate.sendto(self.pid, self.fd, b"abc")[0]


@pytest.fixture(params=[True, False])
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(request.param)


class Number(int):
    """A kext's own kind of int."""


ANSWERS = [
    (None, 0),
    (0, 0),
    (e.EIO, e.EIO),
    (signal.SIGHUP, 1),  # an enum of ints is an int
    (-(1 << 31), -(1 << 31)),
    ((1 << 31) - 1, (1 << 31) - 1),
    (Number(-(1 << 31)), -(1 << 31)),
    (Number((1 << 31) - 1), (1 << 31) - 1),
]


@pytest.mark.parametrize(("result", "errno"), ANSWERS)
def test_an_int_or_none_is_an_errno(result: object, errno: int, lab: Lab) -> None:
    lab.kext.register(connect=lambda *arguments: result)
    assert lab.connect() == errno


WRONG = [
    *((result, f"{result!r}, an errno (int) or None is due") for result in ("0", 0.0, b"", [0])),
    (1 << 31, "2147483648, an errno has 32 bits"),
    (-(1 << 31) - 1, "-2147483649, an errno has 32 bits"),
    (True, "True: True is 1, EPERM; return 0 or an errno"),
    (False, "False: False is 0; return 0 or an errno"),
]


@pytest.mark.parametrize(("result", "said"), WRONG)
@pytest.mark.parametrize("callback", ["connect", "send"])
def test_anything_else_is_a_panic_that_shows_it(
    callback: str, result: object, said: str, lab: Lab
) -> None:
    lab.kext.register(**{callback: lambda *arguments: result})
    with pytest.raises(KernelPanic) as caught:
        lab.connect() or lab.send()
    assert caught.value.text == f"{PAGE_FAULT}: callback {callback} returned {said}"


# -- exceptions --------------------------------------------------------------------------------


def fault(*arguments: object) -> int:
    raise LookupError("no such tape")


def late_fault(*arguments: object) -> Any:
    yield None
    raise LookupError("no such tape")


@pytest.mark.parametrize("function", [fault, late_fault])
@pytest.mark.parametrize("callback", ["connect", "send"])
def test_an_exception_is_a_page_fault_that_names_it(callback: str, function: Any, lab: Lab) -> None:
    lab.kext.register(**{callback: function})
    with pytest.raises(KernelPanic) as caught:
        lab.connect() or lab.send()
    assert caught.value.text == f"{PAGE_FAULT}: LookupError in callback {callback}: no such tape"
    assert isinstance(caught.value.__cause__, LookupError)
    assert lab.mac.panic is caught.value


def stop_the_machine(lab: Lab, swallow: bool, late: bool) -> Any:
    """A callback that deregisters a stale reference, and may go on as if nothing had been."""

    def panics() -> None:
        try:
            lab.kext.kpi.ctl_deregister(5)
        except KernelPanic:
            if not swallow:
                raise

    def at_once(*arguments: object) -> int:
        panics()
        return 0

    def later(*arguments: object) -> Any:
        yield None
        panics()
        return 0

    return later if late else at_once


@pytest.mark.parametrize("swallow", [True, False])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("callback", ["connect", "send"])
def test_a_panic_inside_a_callback_ends_the_machine_even_if_swallowed(
    callback: str, late: bool, swallow: bool, lab: Lab
) -> None:
    lab.kext.register(**{callback: stop_the_machine(lab, swallow, late)})
    with pytest.raises(KernelPanic) as caught:
        lab.connect() or lab.send()
    assert caught.value is lab.mac.panic
    assert caught.value.text == PAGE_FAULT


# -- code that is gone -------------------------------------------------------------------------


@pytest.mark.parametrize("callback", ["connect", "send", "disconnect"])
def test_calling_a_kext_that_was_unloaded_is_a_page_fault(callback: str, lab: Lab) -> None:
    lab.kext.register(**{callback: lambda *arguments: 0})
    if callback != "connect":
        lab.connect()
    lab.mac.unload(lab.kext)
    calls: dict[str, Any] = {"connect": lab.connect, "send": lab.send}
    with pytest.raises(KernelPanic, match=PAGE_FAULT):
        calls.get(callback, lambda: lab.gate.close(lab.pid, lab.fd))()


# -- letting go and sleeping -------------------------------------------------------------------


@pytest.mark.parametrize("callback", ["connect", "send"])
def test_a_callback_may_let_go_and_go_on(callback: str, lab: Lab) -> None:
    def lets_go(*arguments: Any) -> Any:
        yield None
        if callback == "send":
            lab.kext.kpi.mbuf_freem(arguments[3])
        return e.EIO

    lab.kext.register(**{callback: lets_go})
    assert (lab.connect() or lab.send()) == e.EIO


def test_a_callback_that_sleeps_for_ever_is_a_deadlock_that_says_where(lab: Lab) -> None:
    def sleeps(*arguments: object) -> Any:
        return (yield from lab.kext.kpi.msleep("tape", "waiting"))

    lab.kext.register(connect=sleeps)
    with pytest.raises(SimDeadlock, match="waiting on tape") as caught:
        lab.connect()
    assert caught.value.sleep is not None
    assert lab.mac.panic is None


@pytest.mark.parametrize("slept", [False, True])
def test_a_client_that_waits_for_ever_inside_a_callback_ends_the_boot(
    slept: bool, lab: Lab
) -> None:
    def waits(*arguments: object) -> int:
        return lab.gate.recvfrom(lab.pid, events, 1)[0]

    def sleeps(*arguments: object) -> Any:
        yield from lab.kext.kpi.msleep("tape", "waiting", 5)
        return waits()

    events = lab.gate.socket(lab.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]
    lab.kext.register(connect=sleeps if slept else waits)
    with pytest.raises(SimDeadlock):
        lab.connect()
    assert lab.mac.panic is not None


# -- what a callback is given ------------------------------------------------------------------


def test_send_is_given_the_mbufs_for_good(lab: Lab) -> None:
    kept: list[Mbuf] = []

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        kept.append(m)
        return 0

    lab.kext.register(send=send)
    lab.connect()
    lab.gate.sendto(lab.pid, lab.fd, bytes(200))
    assert len(lab.mac.leaks(lab.kext)) == 2
    lab.kext.kpi.mbuf_freem(kept[0])
    assert lab.mac.leaks(lab.kext) == []


def test_the_cookie_of_connect_comes_back_to_every_callback(lab: Lab) -> None:
    seen: list[object] = []

    def connect(ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        unitinfo.value = "cookie"
        return 0

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> None:
        seen.append(unitinfo)
        lab.kext.kpi.mbuf_freem(m)

    def disconnect(ref: int, unit: int, unitinfo: object) -> None:
        seen.append(unitinfo)

    lab.kext.register(connect=connect, send=send, disconnect=disconnect)
    lab.connect()
    lab.send()
    lab.gate.close(lab.pid, lab.fd)
    assert seen == ["cookie", "cookie"]


@pytest.mark.parametrize("unit", [7, -1, 1 << 32])
def test_the_unit_a_callback_writes_is_a_32_bit_number(unit: int, lab: Lab) -> None:
    def connect(ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        sac.sc_unit = unit
        return 0

    lab.kext.register(connect=connect)
    assert lab.connect() == 0
    [client] = lab.mac.sysctl("kctl.pcblist")
    assert client["unit"] == unit & 0xFFFFFFFF


def test_getopt_answers_through_the_buffer_and_the_length(lab: Lab) -> None:
    def getopt(
        ref: int, unit: int, info: object, opt: int, data: bytearray | None, length: Out
    ) -> int:
        if data is not None:
            data[:2] = b"hi"
        length.value = 2
        return 0

    lab.kext.register(getopt=getopt)
    lab.connect()
    ask = lab.gate.getsockopt
    assert ask(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, bytes(4)) == (0, (2, b"hi"))
    assert ask(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, None) == (0, (2, b""))


@pytest.mark.parametrize("claimed", ["2", None, 1.0])
def test_a_length_of_getopt_that_is_no_int_is_a_panic_that_shows_it(
    claimed: object, lab: Lab
) -> None:
    def getopt(ref: int, unit: int, info: object, opt: int, data: object, length: Out) -> int:
        length.value = claimed
        return 0

    lab.kext.register(getopt=getopt)
    lab.connect()
    with pytest.raises(KernelPanic) as caught:
        lab.gate.getsockopt(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, bytes(4))
    assert caught.value.text == (
        f"{PAGE_FAULT}: callback getopt left {claimed!r} in length.value, an int is due"
    )


def test_a_length_of_minus_one_is_the_largest_size_t_and_a_socklen_t_to_the_process(
    lab: Lab,
) -> None:
    def getopt(ref: int, unit: int, info: object, opt: int, data: object, length: Out) -> int:
        length.value = -1
        return 0

    lab.kext.register(getopt=getopt)
    lab.connect()
    ask = lab.gate.getsockopt
    assert ask(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, None) == (0, (0xFFFFFFFF, b""))
    with pytest.raises(KernelPanic, match=r"returned len \(18446744073709551615\) > sopt_valsize"):
        ask(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, bytes(4))


def test_getopt_cannot_change_the_size_of_its_buffer(lab: Lab) -> None:
    def getopt(ref: int, unit: int, info: object, opt: int, data: bytearray, length: Out) -> int:
        data.extend(b"more")
        return 0

    lab.kext.register(getopt=getopt)
    lab.connect()
    with pytest.raises(KernelPanic, match="BufferError in callback getopt"):
        lab.gate.getsockopt(lab.pid, lab.fd, c.SYSPROTO_CONTROL, 5, bytes(4))
