"""What a kext or a student does wrong: stopped where it is done, in one line."""

import copy
import pickle
import re
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Kpi, Mbuf, Out
from kextlab.sched import KernelPanic, SimDeadlock
from kextlab.userland.process import App


class Plain(Kext):
    """A control whose send callback a test may replace."""

    def start(self) -> int:
        self.ref = Out()
        self.on_send: Callable[[], int] = lambda: 0
        reg = KernCtlReg("plain", ctl_connect=lambda *a: 0, ctl_send=self.send)
        return self.kpi.ctl_register(reg, self.ref)

    def send(self, ref: int, unit: int, unitinfo: object, m: object, flags: int) -> int:
        return self.on_send()


def lab() -> tuple[Kernel, Plain, App]:
    mac = Kernel()
    kext = mac.load(Plain)
    return mac, kext, mac.spawn("client")


def connected(app: App) -> Any:
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("plain")
    return s


HAND_IN: dict[str, Callable[[Kpi, int, Any], object]] = {
    "ctl_enqueuembuf": lambda kpi, ref, m: kpi.ctl_enqueuembuf(ref, 1, m, 0),
    "ctl_enqueuembuf_list": lambda kpi, ref, m: kpi.ctl_enqueuembuf_list(ref, 1, m, 0, None),
    "mbuf_copyback": lambda kpi, ref, m: kpi.mbuf_copyback(m, 0, 1, b"x", 0),
    "mbuf_setnextpkt": lambda kpi, ref, m: kpi.mbuf_setnextpkt(m, None),
}


READING: dict[str, tuple[object, ...]] = {
    "mbuf_len": (),
    "mbuf_data": (),
    "mbuf_next": (),
    "mbuf_nextpkt": (),
    "mbuf_flags": (),
    "mbuf_pkthdr_len": (),
    "mbuf_copydata": (0, 1, Out()),
}
"""The functions that read an mbuf, and their other arguments."""


@pytest.mark.parametrize("call", HAND_IN)
@pytest.mark.parametrize("end", ["free", "queued"])
def test_an_mbuf_that_is_free_or_queued_cannot_be_handed_in(call: str, end: str) -> None:
    mac, kext, app = lab()
    connected(app)
    out = Out()
    kext.kpi.mbuf_allocpacket(0, 20, None, out)
    if end == "free":
        kext.kpi.mbuf_freem(out.value)
    else:
        assert kext.kpi.ctl_enqueuembuf(kext.ref.value, 1, out.value, 0) == 0
    why = "which is free" if end == "free" else "which is so_rcv:1's"
    with pytest.raises(KernelPanic, match=f"{why}, to {call}$"):
        HAND_IN[call](kext.kpi, kext.ref.value, out.value)
    assert mac.panic is not None


@pytest.mark.parametrize("call", ["ctl_enqueuembuf", "mbuf_copyback", "mbuf_setnextpkt"])
def test_what_is_no_mbuf_is_named(call: str) -> None:
    _, kext, _ = lab()
    with pytest.raises(TypeError, match=rf"^{call}: m is b'x' \(bytes\); expected an mbuf$"):
        HAND_IN[call](kext.kpi, kext.ref.value, b"x")


def test_data_is_bytes_and_is_copied() -> None:
    _, kext, app = lab()
    s = connected(app)
    with pytest.raises(
        TypeError, match=r"^ctl_enqueuedata: data is 'abc' \(str\); expected bytes$"
    ):
        kext.kpi.ctl_enqueuedata(kext.ref.value, 1, "abc", 3, 2)  # type: ignore[arg-type]
    buffer = bytearray(b"abc")
    assert kext.kpi.ctl_enqueuedata(kext.ref.value, 1, buffer, 3, 2) == 0  # type: ignore[arg-type]
    buffer[:] = b"xyz"
    assert s.recv(9) == b"abc"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_call_ends_the_boot(end: type[BaseException]) -> None:
    mac, kext, app = lab()
    s = connected(app)

    def interrupt() -> int:
        raise end

    kext.on_send = interrupt
    with pytest.raises(end):
        s.send(b"x")
    with pytest.raises(KernelPanic, match=f"^{end.__name__} inside a call left it half done"):
        s.send(b"x")
    mac.reboot()
    assert mac.panic is None


def test_an_interrupted_start_ends_the_boot() -> None:
    class Endless(Kext):
        def start(self) -> int:
            raise KeyboardInterrupt

    mac = Kernel()
    with pytest.raises(KeyboardInterrupt):
        mac.load(Endless)
    assert mac.panic is not None


@pytest.mark.parametrize("wrong", [Plain(), lambda: 5, dict, None])
def test_load_takes_a_factory(wrong: object) -> None:
    mac = Kernel()
    with pytest.raises(TypeError, match=r"^load takes a factory of kexts, such as EchoKext; got "):
        mac.load(wrong)  # type: ignore[type-var, arg-type]
    assert mac.kexts() == []


@pytest.mark.parametrize("wrong", [None, "plain"])
def test_unload_takes_a_kext(wrong: object) -> None:
    with pytest.raises(TypeError, match=rf"returned; got {wrong!r}$"):
        Kernel().unload(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("uid", [-1, 1 << 32, "root"])
def test_a_uid_has_32_bits(uid: object) -> None:
    with pytest.raises(ValueError, match=r"expected 0 to 4294967295$"):
        Kernel().spawn("client", uid=uid)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_kernel_is_not_copied(way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"^a Kernel cannot be copied"):
        way(Kernel())


# -- what C's compiler would not have let pass -------------------------------------------------


def ready(*arguments: object) -> int:
    return 0


@pytest.mark.parametrize(
    ("field", "value", "error", "said"),
    [
        ("ctl_sendsize", "2", TypeError, r"ctl_sendsize = '2': expected 0 to 4294967295"),
        ("ctl_flags", None, TypeError, r"ctl_flags = None: expected 0 to 4294967295"),
        ("ctl_id", -1, ValueError, r"ctl_id = -1: expected 0 to 4294967295"),
        ("ctl_unit", 1 << 32, ValueError, r"ctl_unit = 4294967296: expected 0 to 4294967295"),
        ("ctl_recvsize", 1.5, TypeError, r"ctl_recvsize = 1\.5: expected 0 to 4294967295"),
        ("ctl_name", b"a", TypeError, r"ctl_name = b'a': expected a str"),
        ("ctl_getopt", 5, TypeError, r"ctl_getopt = 5: expected a function or None"),
    ],
)
def test_a_field_of_a_record_has_its_c_type(
    field: str, value: object, error: type[Exception], said: str
) -> None:
    mac, kext, _ = lab()
    steps = len(mac.trace)
    reg = KernCtlReg("b", ctl_connect=ready)
    setattr(reg, field, value)
    with pytest.raises(error, match=f"^{said}$"):
        kext.kpi.ctl_register(reg, Out())
    assert len(mac.trace) == steps


def test_a_name_ends_at_its_nul() -> None:
    _, kext, _ = lab()
    reg = KernCtlReg("b\0rest", ctl_connect=ready)
    assert kext.kpi.ctl_register(reg, Out()) == 0
    assert kext.kpi.ctl_id_by_name("b") == reg.ctl_id
    one, other = Out(), Out()
    kext.kpi.kev_vendor_code_find("com.example\0one", one)
    kext.kpi.kev_vendor_code_find("com.example", other)
    assert one.value == other.value


@pytest.mark.parametrize(
    ("message", "error", "said"),
    [
        (KevMsg(1, 1, 1, "9"), TypeError, r"event_code = '9': expected 0 to 4294967295"),  # type: ignore[arg-type]
        (KevMsg(1, -1, 1, 1), ValueError, r"kev_class = -1: expected 0 to 4294967295"),
        (KevMsg(1, 1, 1, 1, "ab"), TypeError, r"dv = 'ab': expected a tuple or list of bytes"),  # type: ignore[arg-type]
        (KevMsg(1, 1, 1, 1, ("ab",)), TypeError, r"dv\[0\] = 'ab': expected bytes"),  # type: ignore[arg-type]
        (5, TypeError, r"kev_msg_post: event_msg is 5 \(int\); expected a KevMsg"),
    ],
)
def test_a_field_of_an_event_has_its_c_type(
    message: KevMsg, error: type[Exception], said: str
) -> None:
    _, kext, _ = lab()
    with pytest.raises(error, match=f"^{said}$"):
        kext.kpi.kev_msg_post(message)


WRONG_CALLS: dict[str, tuple[Callable[[Any], object], str]] = {
    "record": (
        lambda kpi: kpi.ctl_register(dict, Out()),
        "userkctl is <class 'dict'> (type); expected a Ker",
    ),
    "length": (
        lambda kpi: kpi.ctl_enqueuedata(1, 1, b"abc", 2.0, 0),
        "length is 2.0 (float); expected an int",
    ),
    "vendor": (lambda kpi: kpi.kev_vendor_code_find(b"a", Out()), "b'a' (bytes); expected a str"),
    "size": (lambda kpi: kpi.mbuf_allocpacket(0, "1", None, Out()), "'1' (str); expected an int"),
    "free": (lambda kpi: kpi.mbuf_free(5), "mbuf_free: m is 5 (int); expected an mbuf"),
    "freem": (lambda kpi: kpi.mbuf_freem(5), "mbuf_freem: m is 5 (int); expected an mbuf"),
    "list": (lambda kpi: kpi.mbuf_freem_list(5), "mbuf_freem_list: m is 5 (int); expected an mbuf"),
    "next": (lambda kpi: kpi.mbuf_setnextpkt(packet(kpi), 5), "mbuf_setnextpkt: m is 5 (int)"),
    **{
        name: (
            lambda kpi, name=name: getattr(kpi, name)(5, *READING[name]),
            f"{name}: m is 5 (int); expected an mbuf",
        )
        for name in READING
    },
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_an_argument_of_another_type_is_named(call: str) -> None:
    mac, kext, _ = lab()
    function, said = WRONG_CALLS[call]
    with pytest.raises(TypeError, match=re.escape(said)):
        function(kext.kpi)
    assert mac.panic is None


def test_a_wider_memoryview_is_counted_in_bytes() -> None:
    _, kext, app = lab()
    s = connected(app)
    wide = memoryview(array("H", [0x4241, 0x4443]))
    assert kext.kpi.ctl_enqueuedata(kext.ref.value, 1, wide, 3, 2) == 0  # type: ignore[arg-type]
    assert s.recv(9) == b"ABC"


# -- mbufs that are somebody else's, or nobody's -----------------------------------------------


def packet(kpi: Kpi, size: int = 20) -> Mbuf:
    m = Out()
    kpi.mbuf_allocpacket(0, size, None, m)
    made: Mbuf = m.value
    return made


@pytest.mark.parametrize("name", READING)
def test_a_freed_mbuf_cannot_be_read(name: str) -> None:
    mac, kext, _ = lab()
    m = packet(kext.kpi)
    kext.kpi.mbuf_freem(m)
    with pytest.raises(KernelPanic, match=f"Plain passes mbuf 1, which is free, to {name}$"):
        getattr(kext.kpi, name)(m, *READING[name])
    assert mac.panic is not None


def test_every_mbuf_of_a_packet_and_every_packet_of_a_list_must_be_the_kexts() -> None:
    _, kext, app = lab()
    connected(app)
    kpi, ref = kext.kpi, kext.ref.value
    chain = packet(kpi, 100)
    tail = kpi.mbuf_next(chain)
    assert tail is not None
    kpi.mbuf_free(tail)
    with pytest.raises(KernelPanic, match=f"passes mbuf {tail.id}, which is free, to ctl_enqueuem"):
        kpi.ctl_enqueuembuf(ref, 1, chain, 0)
    _, kext, app = lab()
    connected(app)
    kpi, ref = kext.kpi, kext.ref.value
    first, second = packet(kpi), packet(kpi)
    kpi.mbuf_setnextpkt(first, second)
    kpi.mbuf_freem(second)
    with pytest.raises(KernelPanic, match=f"mbuf {second.id}, which is free, to ctl_enqueuembuf_l"):
        kpi.ctl_enqueuembuf_list(ref, 1, first, 0, None)


def test_a_list_that_bites_its_tail_has_no_end() -> None:
    mac, kext, app = lab()
    connected(app)
    kpi = kext.kpi
    first, second = packet(kpi), packet(kpi)
    kpi.mbuf_setnextpkt(first, second)
    kpi.mbuf_setnextpkt(second, first)
    with pytest.raises(ValueError, match=r"the list comes back to mbuf 1; it has no end$"):
        kpi.ctl_enqueuembuf_list(kext.ref.value, 1, first, 0, None)
    assert mac.panic is None


# -- kexts and boots that are over -------------------------------------------------------------


USES: dict[str, Callable[[Kpi, Mbuf], object]] = {
    "register": lambda kpi, m: kpi.ctl_register(KernCtlReg("b", ctl_connect=ready), Out()),
    "enqueuedata": lambda kpi, m: kpi.ctl_enqueuedata(1, 1, b"a", 1, 0),
    "free": lambda kpi, m: kpi.mbuf_free(packet_of_another(m)),
    "read": lambda kpi, m: kpi.mbuf_len(packet_of_another(m)),
}


def packet_of_another(m: Mbuf) -> Mbuf:
    m.owner = "kernel"
    return m


@pytest.mark.parametrize("use", USES)
def test_an_unloaded_kext_calls_no_more(use: str) -> None:
    mac, kext, _ = lab()
    m = packet(kext.kpi)
    mac.unload(kext)
    with pytest.raises(ProcessLookupError, match=r"^kext Plain is no longer loaded$"):
        USES[use](kext.kpi, m)
    assert mac.panic is None


def test_a_kext_is_loaded_into_one_machine_at_a_time() -> None:
    mac, kext, _ = lab()
    other = Kernel()
    with pytest.raises(
        KextError, match=r"^this Plain is loaded already; a factory must return a f"
    ):
        other.load(lambda: kext)
    assert other.kexts() == []
    mac.unload(kext)
    assert other.load(lambda: kext) is kext


def test_a_kext_and_its_kpi_say_in_which_state_they_are() -> None:
    assert repr(Plain()) == "<Plain, not loaded>"
    mac, kext, _ = lab()
    assert [repr(kext), repr(kext.kpi)] == ["<Plain, loaded>", "<Kpi of Plain, loaded>"]
    mac.unload(kext)
    assert [repr(kext), repr(kext.kpi)] == ["<Plain, unloaded>", "<Kpi of Plain, unloaded>"]
    mac.reboot()
    assert repr(kext) == "<Plain, over>"


@pytest.mark.parametrize("wrong", [None, 5, Plain])
def test_leaks_takes_a_kext_or_its_name(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"^leaks takes a kext or its bundle id; got "):
        Kernel().leaks(wrong)  # type: ignore[arg-type]


def test_the_name_of_a_process_is_a_str() -> None:
    with pytest.raises(TypeError, match=r"^name = 5, expected a str$"):
        Kernel().spawn(5)  # type: ignore[arg-type]


# -- a client's call inside a callback on its own socket ---------------------------------------


def test_a_call_that_waits_for_the_callback_it_is_made_in_ends_the_boot() -> None:
    mac, kext, app = lab()
    s = connected(app)
    kext.on_send = lambda: s.send(b"again")
    with pytest.raises(SimDeadlock, match=r"waits for the one that called back: let that return f"):
        s.send(b"x")
    assert mac.panic is not None
    assert "SimDeadlock inside a call left it half done" in mac.panic.text
    mac.reboot()
    assert mac.panic is None
