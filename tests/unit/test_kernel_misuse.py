"""What a kext or a student does wrong: stopped where it is done, in one line."""

import copy
import pickle
from collections.abc import Callable

import pytest

from kextlab import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Kpi, Out
from kextlab.sched import KernelPanic
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


def connected(app: App):  # type: ignore[no-untyped-def]
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("plain")
    return s


HAND_IN: dict[str, Callable[[Kpi, int, object], object]] = {
    "ctl_enqueuembuf": lambda kpi, ref, m: kpi.ctl_enqueuembuf(ref, 1, m, 0),  # type: ignore
    "ctl_enqueuembuf_list": lambda kpi, ref, m: kpi.ctl_enqueuembuf_list(ref, 1, m, 0, None),  # type: ignore
    "mbuf_copyback": lambda kpi, ref, m: kpi.mbuf_copyback(m, 0, 1, b"x", 0),  # type: ignore
    "mbuf_setnextpkt": lambda kpi, ref, m: kpi.mbuf_setnextpkt(m, None),  # type: ignore
}


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
    with pytest.raises(TypeError, match=rf"^{call}: m is b'x' \(bytes\); an mbuf is due$"):
        HAND_IN[call](kext.kpi, kext.ref.value, b"x")


def test_data_is_bytes_and_is_copied() -> None:
    _, kext, app = lab()
    s = connected(app)
    with pytest.raises(TypeError, match=r"^ctl_enqueuedata: data is 'abc' \(str\); bytes are due$"):
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
