"""The syscall gate over bytes answers, records, stops and refuses as the gate itself does."""

import inspect
from typing import Any, cast

import pytest

from kextlab.abi import constants as c
from kextlab.abi.ioctl import CTLIOCGCOUNT, CTLIOCGINFO
from kextlab.abi.structs import CtlInfo, SockaddrCtl
from kextlab.abi.un import cmsg, sockaddr_un
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kernel.syscalls import Syscalls
from kextlab.kexts.echo import EchoKext
from kextlab.remote import answers
from kextlab.remote.link import LinkStatistics
from kextlab.remote.signatures import SYSCALLS
from kextlab.remote.syscalls import LoopbackSyscalls, serve
from kextlab.remote.wire import (
    Call,
    Callback,
    Error,
    Return,
    Stop,
    WireError,
    encode,
    pack,
    unpack,
)
from kextlab.sched.stop import KernelPanic, SimDeadlock, SimStop

ADDRESS = SockaddrCtl(sc_id=1).pack()


class Gates:
    """One kernel with an echo control and a process, and either gate to it."""

    def __init__(self, remote: bool) -> None:
        self.mac = Kernel()
        self.mac.load(EchoKext)
        self.pid = self.mac.start_process("client").pid
        self.loop = LoopbackSyscalls(self.mac.syscalls)
        self.gate: Any = self.loop if remote else self.mac.syscalls

    def call(self, name: str, *arguments: object) -> Any:
        return getattr(self.gate, name)(self.pid, *arguments)


def public(of: type) -> dict[str, list[tuple[str, object]]]:
    """The calls of a gate: names and defaults of their parameters."""
    return {
        name: [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
        for name, function in inspect.getmembers(of, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_gates_have_the_same_calls_and_the_table_has_them_all() -> None:
    remote = public(LoopbackSyscalls)
    assert remote.pop("statistics") == [("self", inspect.Parameter.empty)]
    direct = public(Syscalls)
    del direct["routine"]  # the same calls once more, for a task that awaits them
    assert remote == direct
    assert {name: len(of) - 1 for name, of in remote.items()} == {
        name: len(signature) for name, signature in SYSCALLS.items()
    }


DGRAM = ("socket", c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
SESSION: list[tuple[Any, ...]] = [
    DGRAM,
    ("getpeername", 3),
    ("ioctl", 3, CTLIOCGINFO, CtlInfo(0, b"org.kextlab.echo").pack()),
    ("ioctl", 3, CTLIOCGCOUNT, bytes(4)),
    ("ioctl", 3, CTLIOCGINFO, None),
    ("bind", 3, ADDRESS),
    ("connect", 3, ADDRESS),
    ("connect", 3, None),
    ("listen", 3, 1),
    ("getpeername", 3),
    ("getsockname", 3),
    ("sendto", 3, b"one"),
    ("sendto", 3, b"one", 0, ADDRESS),
    ("sendto", 3, None),
    ("sendmsg", 3, (b"t", b"wo")),
    ("sendmsg", 3, [b"t", b"wo"], 0, None, b"short"),
    ("sendmsg_x", 3, [b"three", b"four"]),
    ("poll", 3),
    ("select", (3,), [3], None),
    ("select", [9], [], 0),
    ("recvfrom", 3, 2),
    ("recvmsg", 3, 100, c.MSG_DONTWAIT),
    ("recvmsg_x", 3, 100, 5),
    ("recvfrom", 3, 100, c.MSG_DONTWAIT),
    ("setsockopt", 3, c.SOL_SOCKET, c.SO_RCVBUF, (4096).to_bytes(4, "little"), 4),
    ("setsockopt", 3, c.SOL_SOCKET, c.SO_RCVBUF, None, 4),
    ("getsockopt", 3, c.SOL_SOCKET, c.SO_RCVBUF, bytes(4)),
    ("dup", 3),
    ("dup", 3, 10),
    ("shutdown", 3, c.SHUT_RD),
    ("disconnectx", 4),
    ("disconnectx", 4, 0, 1),
    ("close", 3),
    ("close", 4),
    ("close", 10),
    ("close", 10),
    ("poll", 10),
    ("socket", 1, 1, 1),
    ("socketpair", c.AF_UNIX, c.SOCK_STREAM, 0),
    ("sendmsg", 3, [b"x"], 0, None, cmsg(c.SOL_SOCKET, c.SCM_RIGHTS, b"\x03\0\0\0")),
    ("recvmsg", 4, 9, 0, 100),
    ("recvmsg", 4, 9, c.MSG_DONTWAIT, 0),
    ("accept", 3),
    ("socket", c.AF_UNIX, c.SOCK_STREAM, 0),
    ("bind", 6, sockaddr_un(b"/tmp/x")),
    ("listen", 6, 1),
    ("chmod", b"/tmp/x", 0o666),
    ("socket", c.AF_UNIX, c.SOCK_STREAM, 0),
    ("connect", 7, sockaddr_un(b"/tmp/x")),
    ("accept", 6),
    ("unlink", b"/tmp/x"),
    ("unlink", b"/tmp/x"),
]


def test_the_session_makes_every_call() -> None:
    assert {call[0] for call in SESSION} == set(SYSCALLS)


def test_a_session_has_the_same_answers_trace_and_end_on_either_side() -> None:
    direct, remote = Gates(remote=False), Gates(remote=True)
    for call in SESSION:
        expected = direct.call(*call)
        got = remote.call(*call)
        assert (got, type(got[1])) == (expected, type(expected[1])), call
    assert list(remote.mac.trace.events()) == list(direct.mac.trace.events())
    assert remote.mac.snapshot() == direct.mac.snapshot()


def test_what_crosses_is_counted() -> None:
    remote = Gates(remote=True)
    assert remote.loop.statistics() == LinkStatistics(0, 0, 0, 0)
    remote.call("poll", 3)
    call = pack(Call("poll", (remote.pid, 3)))
    answer = pack(Return(remote.mac.syscalls.poll(remote.pid, 3)))
    assert remote.loop.statistics() == LinkStatistics(1, len(call), 1, len(answer))


def test_a_read_that_would_sleep_for_ever_is_the_same_deadlock() -> None:
    stops = []
    for remote in (False, True):
        gates = Gates(remote)
        gates.call(*DGRAM)
        gates.call("connect", 3, ADDRESS)
        with pytest.raises(SimDeadlock) as caught:
            gates.call("recvfrom", 3, 10)
        assert gates.call("recvfrom", 3, 10, c.MSG_DONTWAIT)[0] == 35
        stops.append((str(caught.value), caught.value.sleep))
    assert stops[0] == stops[1]
    assert stops[1][1] is not None


class Broken(Kext):
    """Its connect callback divides by zero."""

    def start(self) -> int:
        reg = KernCtlReg("org.kextlab.broken", ctl_connect=self.connect)
        return self.kpi.ctl_register(reg, Out())

    def connect(self, kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        return 1 // 0


def test_a_panic_crosses_with_its_report_and_so_does_every_call_after_it() -> None:
    remote = Gates(remote=True)
    remote.mac.load(Broken)
    remote.call(*DGRAM)
    for call in [("connect", 3, SockaddrCtl(sc_id=2).pack()), ("poll", 3)]:
        with pytest.raises(KernelPanic, match="ZeroDivisionError in callback connect") as caught:
            remote.call(*call)
        panic = remote.mac.panic
        assert panic is not None
        assert caught.value is not panic
        assert caught.value.report == panic.report
        assert "return 1 // 0" in caught.value.report


def test_a_process_of_another_boot_is_no_process() -> None:
    remote = Gates(remote=True)
    with pytest.raises(ProcessLookupError, match=r"^no process 999 in this boot"):
        remote.loop.poll(999, 3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("socket", "x", 1, 1), "socket: argument 2 is 'x' (str), a number is due"),
        (("connect", 3, 7), "connect: argument 3 is 7 (int), bytes or None is due"),
        (("sendmsg_x", 3, ["a"]), "sendmsg_x: argument 3 is ['a'] (list), a list of bytes is due"),
        (("listen", 3, 1.5), "1.5 (float) cannot cross: only None, bool, int, str, bytes, list,"),
    ],
)
def test_an_argument_of_another_type_does_not_enter_the_kernel(
    call: tuple[Any, ...], said: str
) -> None:
    remote = Gates(remote=True)
    steps = len(remote.mac.trace)
    with pytest.raises(WireError) as caught:
        remote.call(*call)
    assert str(caught.value).startswith(said)
    assert len(remote.mac.trace) == steps


# ---------------------------------------------------------------- messages that are none


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "truncated at byte 0"),
        (b"{}", "unknown tag b'{' at 0"),
        (encode((2, "call", "poll", (100, 3))), "a message of version 2 (int); this side speaks 1"),
        (pack(Callback(0, "start", ())), "a Callback where a Call is due"),
        (pack(Call("reboot", ())), "unknown call 'reboot' (str)"),
        (pack(Call("_enter", (100, "x"))), "unknown call '_enter' (str)"),
        (pack(Call("poll", (100,))), "poll takes 2 arguments, 1 are given"),
    ],
)
def test_the_kernel_side_answers_nonsense_with_one_line(message: bytes, said: str) -> None:
    remote = Gates(remote=True)
    steps = len(remote.mac.trace)
    assert unpack(serve(remote.mac.syscalls, message)) == Error("WireError", said)
    assert len(remote.mac.trace) == steps
    assert remote.call("poll", 3)[0] == 9


class Answers:
    """A kernel's side whose calls answer or raise what a test wants."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def poll(self, pid: int, fd: int) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def asked(answer: object) -> object:
    return LoopbackSyscalls(cast(Syscalls, Answers(answer))).poll(100, 3)


def test_what_is_not_modelled_is_said_on_the_clients_side() -> None:
    with pytest.raises(NotImplementedError, match=r"^not modelled: this and that$"):
        asked(NotImplementedError("not modelled:\nthis and that"))


def test_an_exception_nobody_expects_crosses_by_name() -> None:
    with pytest.raises(answers.RemoteError, match=r"^ZeroDivisionError: by nought$"):
        asked(ZeroDivisionError("by nought"))


def test_a_stop_of_another_kind_is_a_deadlock() -> None:
    with pytest.raises(SimDeadlock, match=r"^stopped$") as caught:
        asked(SimStop("stopped"))
    assert caught.value.sleep is None


@pytest.mark.parametrize("answer", [7, (0,), [0, 0]])
def test_an_answer_that_is_no_pair_is_refused(answer: object) -> None:
    with pytest.raises(WireError, match=r"^poll answered .*, \(errno, value\) is due$"):
        asked(answer)


def test_an_answer_that_is_no_value_is_refused() -> None:
    with pytest.raises(WireError, match="cannot cross"):
        asked((0, object()))


def test_an_answer_of_another_kind_is_refused() -> None:
    with pytest.raises(WireError, match=r"^a Call where a Return is due$"):
        answers.returned(pack(Call("poll", ())))
    assert answers.returned(pack(Return(1))) == Return(1)
    assert isinstance(unpack(pack(answers.stop_message(KernelPanic("x")))), Stop)
