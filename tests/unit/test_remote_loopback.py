"""Neither side of the KPI gate trusts the other: nonsense is refused in one line, or a panic."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts.echo import EchoKext
from kextlab.remote.kpi import RemoteKpi
from kextlab.remote.link import Link
from kextlab.remote.loopback import RemoteKext, load_remote
from kextlab.remote.wire import (
    Call,
    Callback,
    CallbackReturn,
    Error,
    Message,
    Return,
    Stop,
    WireError,
    encode,
    pack,
    unpack,
)
from kextlab.sched.stop import KernelPanic, SimDeadlock


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def echo(mac: Kernel) -> RemoteKext[EchoKext]:
    return load_remote(mac, EchoKext)


# ---------------------------------------------------------------- the kernel's side

FIELDS = ("name", 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\xff", "unknown tag b'\\xff' at 0"),
        (pack(Return(0)), "a Return where a Call is due"),
        (pack(Call("msleep", ("a", "b"))), "unknown call 'msleep' (str)"),
        (pack(Call("__init__", ())), "unknown call '__init__' (str)"),
        (pack(Call("mbuf_len", ())), "mbuf_len takes 1 arguments, 0 are given"),
        (
            pack(Call("mbuf_len", (None,))),
            "mbuf_len: argument 1 is None (NoneType), an mbuf is due",
        ),
        (
            pack(Call("ctl_register", ((0, FIELDS, ()), True))),
            "ctl_register: argument 1 is (0, ('name', 0, 0, 0, 0, 0), ()) (tuple), "
            "a KernCtlReg or None is due",
        ),
        (
            pack(Call("ctl_register", ((1, FIELDS, ("text",)), True))),
            "ctl_register: argument 1 is (1, ('name', 0, 0, 0, 0, 0), ('text',)) (tuple), "
            "a KernCtlReg or None is due",
        ),
        (
            pack(Call("kev_msg_post", ((1, 2, 3),))),
            "kev_msg_post: argument 1 is (1, 2, 3) (tuple), a KevMsg or None is due",
        ),
        (
            pack(Call("mbuf_allocpacket", (0, 1, 7, True))),
            "mbuf_allocpacket: argument 3 is 7 (int), an Out of a value or None is due",
        ),
    ],
)
def test_the_kernels_side_answers_nonsense_with_one_line_and_stays_up(
    mac: Kernel, echo: RemoteKext[EchoKext], message: bytes, said: str
) -> None:
    steps = len(mac.trace)
    assert unpack(echo.server.serve(message)) == Error("WireError", said)
    assert len(mac.trace) == steps
    assert echo.kext.kpi.ctl_id_by_name(EchoKext.control_name) == 1


def test_an_mbuf_of_somebody_else_is_nobodys(mac: Kernel, echo: RemoteKext[EchoKext]) -> None:
    mac.system.domain.pool.allocpacket(b"secret")
    answer = unpack(echo.server.serve(pack(Call("mbuf_data", (1,)))))
    assert answer == Error("LookupError", "mbuf 1 was never this kext's, or was freed long ago")


def test_a_length_beyond_the_data_is_the_same_error_on_the_kexts_side(
    echo: RemoteKext[EchoKext],
) -> None:
    with pytest.raises(ValueError, match=r"^length 9 is outside the data, which has 1 bytes$"):
        echo.kext.kpi.ctl_enqueuedata(1, 1, b"x", 9, 0)


# ---------------------------------------------------------------- the kext's side


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "truncated at byte 0"),
        (pack(Call("start", ())), "a Call where a Callback is due"),
        (pack(Callback(0, "connect", ())), "unknown call 'connect' (str)"),
        (pack(Callback(1, "start", ())), "unknown call 'start' (str)"),
        (pack(Callback(0, "start", (1,))), "start takes 0 arguments, 1 are given"),
        (pack(Callback(9, "setup", (0, None))), "record 9 has no setup"),
        (pack(Callback(-1, "setup", (0, None))), "record -1 has no setup"),
        (pack(Callback(1, "setup", (0, None))), "record 1 has no setup"),
        (
            pack(Callback(1, "connect", (1, (), None))),
            "connect: argument 2 is () (tuple), a SockaddrCtl is due",
        ),
    ],
)
def test_the_kexts_side_answers_nonsense_with_one_line(
    echo: RemoteKext[EchoKext], message: bytes, said: str
) -> None:
    kpi: Any = echo.kext.kpi
    assert unpack(kpi.serve(message)) == Error("WireError", said)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("mbuf_len", None), "mbuf_len: argument 1 is None (NoneType), an mbuf is due"),
        (("mbuf_len", 1), "mbuf_len: argument 1 is '1' (str), an mbuf is due"),
        (("mbuf_freem", 1), "mbuf_freem: argument 1 is '1' (str), an mbuf or None is due"),
        (("ctl_deregister", Out()), "ctl_deregister: argument 1 is Out(None) (Out), a kctlref"),
        (("ctl_register", {}, Out()), "ctl_register: argument 1 is {} (dict), a KernCtlReg"),
        (("ctl_id_by_name", b"x"), "ctl_id_by_name: argument 1 is b'x' (bytes), a str or None"),
        (("printf", 7), "printf: argument 1 is 7 (int), a str is due"),
        (("mbuf_allocpacket", 0, 1, 4, Out()), "mbuf_allocpacket: argument 3 is 4 (int), an Out"),
        (("mbuf_allocpacket", 0, 1, Out(1.5), Out()), "1.5 (float) cannot cross"),
    ],
)
def test_a_wrong_argument_is_refused_before_it_crosses(
    echo: RemoteKext[EchoKext], call: tuple[Any, ...], said: str
) -> None:
    before = echo.link.statistics()
    name, *arguments = call
    with pytest.raises(WireError) as caught:
        getattr(echo.kext.kpi, name)(*arguments)
    assert str(caught.value).startswith(said)
    assert echo.link.statistics() == before


# ---------------------------------------------------------------- an answer that is none


class Talker(Kext):
    """A kext whose side of the link a test answers for."""

    def start(self) -> int:
        return 0


def connected_to(answer: Message | bytes) -> Kernel:
    """A kernel whose client connects to a control whose side answers that."""
    mac = Kernel()
    talker = load_remote(mac, Talker)

    def callback(*arguments: object) -> int:
        raise AssertionError("the test answers")

    reg = KernCtlReg("talker", ctl_connect=callback, ctl_getopt=callback)
    assert talker.kext.kpi.ctl_register(reg, Out()) == 0
    data = answer if isinstance(answer, bytes) else pack(answer)
    server = talker.server
    server._send = lambda message: data
    pid = mac.start_process("client").pid
    mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    mac.syscalls.connect(pid, 3, SockaddrCtl(sc_id=1).pack())
    return mac


ADDRESS = (32, 32, 2, 1, 5, (0, 0, 0, 0, 0))


def test_an_answer_with_what_was_written_is_taken() -> None:
    mac = connected_to(CallbackReturn(None, ((1, ADDRESS), (2, 77))))
    assert mac.snapshot()["kcb:1"]["unit"] == 5
    assert mac.snapshot()["kcb:1"]["unitinfo"] == 77


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "truncated at byte 0"),
        (encode(0), "no message: 0 (int)"),
        (Return(0), "connect was answered by Return(value=0, written=()) (Return)"),
        (Error("WireError", "record 1 has no connect"), "connect was answered by Error("),
        (CallbackReturn(0, ((0, 1),)), "connect wrote to argument 1, which is no out-pointer"),
        (CallbackReturn(0, ((3, 1),)), "connect wrote to argument 4, which is no out-pointer"),
        (CallbackReturn(0, ((-1, 1),)), "connect wrote to argument 0, which is no out-pointer"),
        (
            CallbackReturn(0, ((1, (32, 32, 2, 1, "5", ADDRESS[5])),)),
            "connect wrote (32, 32, 2, 1, '5', (0, 0, 0, 0, 0)) (tuple) to argument 2, "
            "a SockaddrCtl is due",
        ),
        (CallbackReturn(0, ((2, ()),)), "connect wrote () (tuple) to argument 3, an Out of a"),
    ],
)
def test_a_kext_that_answers_nonsense_takes_the_machine_down(
    answer: Message | bytes, said: str
) -> None:
    with pytest.raises(KernelPanic) as caught:
        connected_to(answer)
    assert caught.value.text.startswith(f"kernel page fault: WireError in callback connect: {said}")


def test_a_kext_that_writes_where_there_is_no_buffer_takes_the_machine_down() -> None:
    mac = connected_to(CallbackReturn(0, ()))
    pid = next(iter(mac.system.processes))
    assert mac.syscalls.getsockopt(pid, 3, c.SYSPROTO_CONTROL, 1, b"1234") == (0, (4, b"1234"))
    server = next(kext for kext in mac.kexts() if isinstance(kext, RemoteKext)).server
    server._send = lambda message: pack(CallbackReturn(0, ((4, b"1234"),)))
    assert mac.syscalls.getsockopt(pid, 3, c.SYSPROTO_CONTROL, 1, b"5678") == (0, (4, b"1234"))
    with pytest.raises(KernelPanic, match=r"the kext's side wrote through a null pointer$"):
        mac.syscalls.getsockopt(pid, 3, c.SYSPROTO_CONTROL, 1, None)


def test_a_deadlock_a_kext_tells_of_is_one() -> None:
    with pytest.raises(SimDeadlock, match=r"^of its own$") as caught:
        connected_to(Stop("deadlock", "of its own", sleep=("a", "b", False)))
    assert caught.value.sleep is not None
    assert caught.value.sleep.wmesg == "b"


# ---------------------------------------------------------------- records of callbacks


class Several(Kext):
    """Registers controls after a registration that was refused and one that failed."""

    def start(self) -> int:
        self.called: list[str] = []
        self.register("", Out())
        with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'value'"):
            self.register("lost", None)
        self.register("one", Out())
        self.register("one", Out())
        self.register("two", Out())
        return 0

    def register(self, name: str, out: Any) -> None:
        def connect(ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
            self.called.append(name)
            return 0

        self.kpi.ctl_register(KernCtlReg(name, ctl_connect=connect), out)


def test_a_callback_finds_its_own_record_whatever_registrations_failed(mac: Kernel) -> None:
    several = load_remote(mac, Several).kext
    pid = mac.start_process("client").pid
    for fd, name in enumerate(("lost", "one", "two"), 3):
        ident = several.kpi.ctl_id_by_name(name)
        mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
        assert mac.syscalls.connect(pid, fd, SockaddrCtl(sc_id=ident).pack()) == (0, None)
    assert several.called == ["lost", "one", "two"]


def test_a_client_has_no_side_that_serves() -> None:
    link = Link(lambda message: message)
    assert link.to_kernel(b"x") == b"x"
    with pytest.raises(AssertionError):
        link.from_kernel(b"x")
    assert isinstance(RemoteKpi(link.to_kernel), RemoteKpi)
