"""The KPI gate over bytes: a kext does not notice, and the kernel cannot tell."""

import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest

from kextlab.abi import constants as c
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.mbuf import Mbuf
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Kpi, Out
from kextlab.kexts.echo import EchoKext
from kextlab.remote import cookies
from kextlab.remote.kpi import RemoteKpi, RemoteMbuf
from kextlab.remote.link import LinkStatistics
from kextlab.remote.loopback import RemoteKext, load_remote
from kextlab.remote.signatures import CALLBACKS, KPI
from kextlab.remote.syscalls import LoopbackSyscalls
from kextlab.scenario.inspection import Inspection
from kextlab.sched.stop import KernelPanic, SimDeadlock

SOCKET = (c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
ADDRESS = SockaddrCtl(sc_id=1).pack()


class Mac:
    """A kernel with one kext and one client, both direct or both behind bytes."""

    def __init__(self, factory: Callable[[], Kext], remote: bool) -> None:
        self.mac = Kernel()
        self.loaded = load_remote(self.mac, factory) if remote else self.mac.load(factory)
        self.kext: Any = self.loaded.kext if isinstance(self.loaded, RemoteKext) else self.loaded
        self.process = self.mac.start_process("client", uid=0)
        gate = self.mac.syscalls
        self.gate: Any = LoopbackSyscalls(gate) if remote else gate

    def call(self, name: str, *arguments: object) -> Any:
        return getattr(self.gate, name)(self.process.pid, *arguments)

    def connected(self) -> int:
        """A descriptor connected to the first control."""
        fd: int = self.call("socket", *SOCKET)[1]
        assert self.call("connect", fd, ADDRESS) == (0, None)
        return fd


def story(mac: Kernel, cookie: str = "Client") -> list[object]:
    """What happened, with a cookie's handle told as a kext beside the kernel shows it."""

    def told(value: object) -> object:
        handle = isinstance(value, int) and value >= cookies.FIRST
        return f"<{cookie}>" if handle else value

    return [
        (
            (e.kind, e.actor, e.cause, e.name, e.arguments, e.errno, e.value),
            [(x.object, x.field, told(x.old), told(x.new)) for x in e.changes],
        )
        for e in mac.trace.events()
    ]


def test_both_kpis_have_the_same_functions_and_the_table_has_them_all() -> None:
    def public(of: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(function).parameters)
            for name, function in inspect.getmembers(of, inspect.isfunction)
            if not name.startswith("_")
        }

    direct, remote = public(Kpi), public(RemoteKpi)
    own = {"attach", "serve", "mbuf_flags"}
    assert {k: v for k, v in remote.items() if k not in own} == {
        k: v for k, v in direct.items() if k not in own
    }
    functions = {k: len(v) - 1 for k, v in remote.items() if k not in {"attach", "serve"}}
    del functions["msleep"], functions["IOLog"]
    assert functions == {name: len(signature) for name, signature in KPI.items()}


# ---------------------------------------------------------------- the echo kext


def echo_session(mac: Mac) -> list[object]:
    """A client that connects, is echoed to, overfills its buffer and leaves."""
    call = mac.call
    seen: list[object] = [call("socket", *SOCKET), call("connect", 3, ADDRESS)]
    for size in (0, 1, 200, 5_000, 2_000, 2_000):
        seen.append(call("sendto", 3, bytes(size)))
    seen += [call("recvfrom", 3, 9_000) for _ in range(4)]
    seen.append([(one.unit, one.echoed, one.lost) for one in mac.kext.clients.values()])
    seen += [call("close", 3), mac.kext.clients, mac.mac.leaks(mac.loaded)]
    return seen


def test_the_echo_kext_and_its_client_behind_bytes_are_as_without() -> None:
    direct, remote = Mac(EchoKext, remote=False), Mac(EchoKext, remote=True)
    assert echo_session(remote) == echo_session(direct)
    assert story(remote.mac) == story(direct.mac)
    direct.mac.unload(direct.loaded)
    remote.mac.unload(remote.loaded)
    assert story(remote.mac) == story(direct.mac)
    assert remote.mac.snapshot() == direct.mac.snapshot()
    assert remote.mac.kexts() == []


def test_what_crosses_is_counted_both_ways() -> None:
    remote = Mac(EchoKext, remote=True)
    assert isinstance(remote.loaded, RemoteKext)
    before = remote.loaded.link.statistics()
    # start and ctl_register: a callback, a call inside it, two answers
    assert (before.messages_from_kernel, before.messages_to_kernel) == (2, 2)
    remote.kext.kpi.mbuf_freem(None)
    after = remote.loaded.link.statistics()
    assert isinstance(after, LinkStatistics)
    assert after.messages_to_kernel == 3
    assert after.messages_from_kernel == 3
    assert after.bytes_to_kernel > before.bytes_to_kernel
    assert after.bytes_from_kernel > before.bytes_from_kernel


def test_unloading_is_refused_while_a_client_is_connected() -> None:
    remote = Mac(EchoKext, remote=True)
    remote.connected()
    with pytest.raises(KextError, match="its stop routine returned EBUSY"):
        remote.mac.unload(remote.loaded)
    assert remote.mac.kexts() == [remote.loaded]


def test_a_second_kext_of_the_same_name_is_refused() -> None:
    remote = Mac(EchoKext, remote=True)
    with pytest.raises(KextError, match=r"^org\.kextlab\.echo is loaded already"):
        load_remote(remote.mac, EchoKext)


# ---------------------------------------------------------------- every function


class Busy(Kext):
    """Calls every function of the kernel's and keeps what came of it."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def note(self, *what: object) -> None:
        self.log.append(tuple(self.shown(item) for item in what))

    @staticmethod
    def shown(item: object) -> object:
        return ("mbuf", item.id) if isinstance(item, Mbuf | RemoteMbuf) else item

    def start(self) -> int:
        reg, self.ref = (
            KernCtlReg("busy", ctl_connect=self.connect, ctl_flags=c.CTL_FLAG_REG_CRIT),
            Out(),
        )
        self.note(self.kpi.ctl_register(reg, self.ref), self.ref.value)
        self.note(reg.ctl_id, reg.ctl_unit, reg.ctl_flags, reg.ctl_sendsize, reg.ctl_recvsize)
        other = Out("as it was")
        self.note(self.kpi.ctl_register(reg, other), other.value)
        self.note(self.kpi.ctl_register(None, other), other.value)
        self.note(self.kpi.ctl_register(KernCtlReg("no connect"), other), other.value)
        return 0

    def connect(self, kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        self.busy(kctlref, sac.sc_unit)
        return 0

    def busy(self, ref: int, unit: int) -> None:
        kpi, out = self.kpi, Out("as it was")
        self.note(kpi.ctl_id_by_name("busy"), kpi.ctl_id_by_name("nobody"))
        self.note(kpi.ctl_name_by_id(1, out, 3), out.value)
        self.note(kpi.ctl_name_by_id(9, out, 96), out.value)
        self.note(kpi.kev_vendor_code_find("org.kextlab", out), out.value)
        self.note(kpi.kev_vendor_code_find("x" * 200, out), out.value)
        self.note(kpi.kev_msg_post(KevMsg(out.value, 1, 2, 3, [b"one", bytearray(b"two")])))
        self.note(kpi.kev_msg_post(KevMsg(77, 1, 2, 3)), kpi.kev_msg_post(None))
        self.note(kpi.ctl_enqueuedata(ref, unit, b"data", 3, c.CTL_DATA_EOR))
        self.note(kpi.ctl_enqueuedata(ref, unit, cast(bytes, bytearray(b"data")), 4, 0))
        self.note(kpi.ctl_enqueuedata(None, unit, b"data", 4, 0))
        for ask in (
            kpi.ctl_getenqueuespace,
            kpi.ctl_getenqueuepacketcount,
            kpi.ctl_getenqueuereadable,
        ):
            self.note(ask(ref, unit, out), out.value)
            self.note(ask(ref, 9, out), out.value)
            self.note(ask(ref, unit, None))
        self.mbufs(ref, unit)
        kpi.wakeup("tape")
        kpi.printf("done")
        kpi.IOLog("really")

    def packet(self, data: bytes) -> Any:
        chunks, m = Out(4), Out()
        self.note(self.kpi.mbuf_allocpacket(0, len(data), chunks, m), chunks.value, m.value)
        self.note(self.kpi.mbuf_copyback(m.value, 0, len(data), data, 0))
        return m.value

    def mbufs(self, ref: int, unit: int) -> None:
        kpi, out, chunks = self.kpi, Out("as it was"), Out(1)
        self.note(kpi.mbuf_allocpacket(0, -1, None, out), out.value)
        self.note(kpi.mbuf_allocpacket(0, 300, chunks, out), out.value, chunks.value)
        m = self.packet(bytes(range(250)))
        rest = kpi.mbuf_next(m)
        assert rest is not None
        self.note(kpi.mbuf_len(m), kpi.mbuf_pkthdr_len(m), kpi.mbuf_data(m), kpi.mbuf_flags(m))
        self.note(rest, kpi.mbuf_next(rest), kpi.mbuf_nextpkt(m), kpi.mbuf_flags(rest))
        self.note(kpi.mbuf_copydata(m, 200, 50, out), out.value)
        self.note(kpi.mbuf_copydata(m, 200, 51, out), out.value)
        self.note(kpi.mbuf_copyback(m, 200, 51, bytes(51), 0))
        self.note(kpi.ctl_enqueuembuf(ref, 9, m, 0), kpi.ctl_enqueuembuf(ref, unit, m, 0))
        self.note(kpi.mbuf_free(self.packet(bytes(250))), kpi.mbuf_freem(self.packet(b"x")))
        for remain in (out, None):
            first, second, third = (self.packet(bytes(3_000)) for _ in range(3))
            kpi.mbuf_setnextpkt(first, second)
            kpi.mbuf_setnextpkt(second, third)
            kpi.mbuf_setnextpkt(second, None)
            kpi.mbuf_setnextpkt(second, third)
            self.note(kpi.ctl_enqueuembuf_list(ref, unit, first, 0, remain), out.value)
        self.note(kpi.mbuf_freem_list(out.value), kpi.mbuf_freem_list(None))

    def stop(self) -> int:
        return self.kpi.ctl_deregister(self.ref.value)


def test_every_function_answers_and_writes_as_without_the_bytes() -> None:
    direct, remote = Mac(Busy, remote=False), Mac(Busy, remote=True)
    sent: set[str] = set()
    call = RemoteKpi._call
    with pytest.MonkeyPatch.context() as patch:

        def watched(self: RemoteKpi, name: str, *arguments: object) -> object:
            sent.add(name)
            return call(self, name, *arguments)

        patch.setattr(RemoteKpi, "_call", watched)
        fds = direct.connected(), remote.connected()
        assert fds == (3, 3)
        assert [mac.call("close", 3) for mac in (direct, remote)] == [(0, None)] * 2
        remote.mac.unload(remote.loaded)
    direct.mac.unload(direct.loaded)
    assert remote.kext.log == direct.kext.log
    assert len(remote.kext.log) > 40
    assert remote.mac.log == direct.mac.log == ["Busy: done", "Busy: really"]
    assert story(remote.mac) == story(direct.mac)
    assert sent == KPI.keys() - {"ctl_register"}  # which start called, before anybody watched


def test_an_mbuf_the_kext_forgets_is_the_kexts_leak() -> None:
    leaks = []
    for remote in (False, True):
        mac = Mac(Busy, remote)
        mac.kext.packet(b"forgotten")
        leaks.append([(m.id, m.owner) for m in mac.mac.leaks(mac.loaded)])
    assert leaks[0] == leaks[1] == [(1, "kext:Busy")]


def test_freeing_twice_is_the_same_panic_with_or_without_the_bytes() -> None:
    texts = []
    for remote in (False, True):
        mac = Mac(Busy, remote)
        m = mac.kext.packet(b"x")
        mac.kext.kpi.mbuf_freem(m)
        with pytest.raises(KernelPanic) as caught:
            mac.kext.kpi.mbuf_freem(m)
        assert mac.mac.panic is not None
        assert caught.value.report == mac.mac.panic.report
        texts.append(caught.value.text)
    assert texts[0] == texts[1]


def test_freed_mbufs_are_forgotten_in_the_long_run_and_live_ones_never() -> None:
    mac = Mac(Busy, remote=True)
    kpi = mac.kext.kpi
    kept, old = mac.kext.packet(b"kept"), mac.kext.packet(b"old")
    kpi.mbuf_freem(old)
    for _ in range(1100):
        kpi.mbuf_freem(mac.kext.packet(b"x"))
    assert kpi.mbuf_data(kept) == b"kept"
    with pytest.raises(LookupError, match=r"^mbuf 2 was never this kext's, or was freed long ago$"):
        kpi.mbuf_data(old)


def test_handles_of_one_mbuf_are_equal_and_say_its_number() -> None:
    kpi = Mac(Busy, remote=True).kext.kpi
    m = Out()
    kpi.mbuf_allocpacket(0, 1, None, m)
    assert m.value == RemoteMbuf(1) != RemoteMbuf(2)
    assert repr(m.value) == "RemoteMbuf(id=1)"
    assert not hasattr(m.value, "__dict__")


# ---------------------------------------------------------------- every callback


class Record:
    """A kext's own record of a client: no plain value."""


class Every(Kext):
    """Has every callback; each notes what it got and writes wherever it may."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.record = Record()

    def start(self) -> int:
        flags = c.CTL_FLAG_REG_EXTENDED | c.CTL_FLAG_REG_SETUP
        self.ref = Out()
        reg = KernCtlReg("every", ctl_flags=flags)
        for name in CALLBACKS:
            setattr(reg, f"ctl_{name}", getattr(self, name))
        return self.kpi.ctl_register(reg, self.ref)

    def note(self, name: str, ref: int, *what: object) -> None:
        assert ref == self.ref.value
        self.log.append((name, *what))

    def setup(self, unit: Out, unitinfo: Out) -> int:
        self.log.append(("setup", unit.value, unitinfo.value))
        unit.value, unitinfo.value = 7, 42
        return 0

    def bind(self, ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        self.note("bind", ref, sac.pack(), unitinfo.value)
        unitinfo.value = "text"
        return 0

    def connect(self, ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        self.note("connect", ref, sac.pack(), unitinfo.value)
        sac.sc_unit, unitinfo.value = 8, self.record
        return 0

    def disconnect(self, ref: int, unit: int, unitinfo: object) -> None:
        self.note("disconnect", ref, unit, unitinfo is self.record)

    def send(self, ref: int, unit: int, unitinfo: object, m: Any, flags: int) -> int:
        self.note("send", ref, unit, unitinfo is self.record, self.kpi.mbuf_data(m), flags)
        self.kpi.mbuf_freem(m)
        return self.kpi.ctl_enqueuedata(ref, unit, b"answer", 6, c.CTL_DATA_EOR)

    def send_list(self, ref: int, unit: int, unitinfo: object, m: Any, flags: int) -> int:
        data = self.kpi.mbuf_data(m)
        self.note("send_list", ref, unit, data, self.kpi.mbuf_freem_list(m), flags)
        return 12

    def rcvd(self, ref: int, unit: int, unitinfo: object, flags: int) -> int:
        self.note("rcvd", ref, unit, unitinfo is self.record, flags)
        return 0

    def setopt(
        self, ref: int, unit: int, unitinfo: object, opt: int, data: bytes | None, size: int
    ) -> int:
        self.note("setopt", ref, unit, unitinfo is self.record, opt, data, type(data), size)
        return 13

    def getopt(
        self,
        ref: int,
        unit: int,
        unitinfo: object,
        opt: int,
        data: bytearray | None,
        length: Out,
    ) -> int:
        seen = bytes(data) if data is not None else None
        self.note("getopt", ref, unit, unitinfo is self.record, opt, seen, length.value)
        if data is not None:
            data[:3] = b"abc"
        length.value = 3
        return 0


def every_session(mac: Mac) -> list[object]:
    call = mac.call
    seen = [call("socket", *SOCKET), call("bind", 3, ADDRESS), call("connect", 3, ADDRESS)]
    seen += [call("getpeername", 3), call("sendto", 3, b"hello", c.MSG_EOR)]
    inspection = Inspection(mac.mac.system, cast(Any, None), dict)
    seen.append(inspection.sosend_list(mac.process, 3, [b"one", b"two"]))
    seen += [call("recvfrom", 3, 100), call("setsockopt", 3, 2, 5, b"on", 2)]
    seen += [call("setsockopt", 3, 2, 5, None, 0), call("getsockopt", 3, 2, 6, b"12345")]
    seen += [call("getsockopt", 3, 2, 6, None), call("close", 3)]
    return seen


def test_every_callback_gets_and_writes_as_without_the_bytes() -> None:
    direct, remote = Mac(Every, remote=False), Mac(Every, remote=True)
    assert every_session(remote) == every_session(direct)
    assert remote.kext.log == direct.kext.log
    assert {name for name, *_ in remote.kext.log} == CALLBACKS.keys()
    assert story(remote.mac, "Record") == story(direct.mac, "Record")
    assert direct.mac.leaks(direct.loaded) == remote.mac.leaks(remote.loaded) == []


# ---------------------------------------------------------------- cookies


def test_plain_cookies_cross_as_they_are_and_objects_as_kernel_addresses() -> None:
    table, one, two = cookies.Cookies(), object(), object()
    for plain in (None, 0, 7, False, -1, "text", b"bytes", cookies.FIRST - 1, cookies.LAST + 1):
        assert table.crossing(plain) is plain
        assert table.cookie(plain) is plain
    assert table.crossing(one) == cookies.FIRST
    assert table.crossing(two) == cookies.FIRST + cookies.STEP
    assert table.crossing(one) == cookies.FIRST
    assert table.cookie(cookies.FIRST) is one
    assert table.cookie(cookies.FIRST + cookies.STEP) is two


def test_a_number_that_looks_like_a_handle_comes_back_as_itself() -> None:
    table = cookies.Cookies()
    for number in (cookies.FIRST, cookies.LAST):
        crossed = table.crossing(number)
        assert table.cookie(crossed) == number
    assert table.cookie(cookies.FIRST + 1) == cookies.FIRST + 1
    assert table.cookie(cookies.LAST) == cookies.LAST  # nobody's


# ---------------------------------------------------------------- when a kext goes wrong


class Faulty(Every):
    """Every, with one callback replaced by what a test wants."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__()
        setattr(self, name, function)


def panicked(name: str, function: Callable[..., Any], remote: bool) -> KernelPanic:
    """The panic of a client that connects, when that callback goes wrong."""
    mac = Mac(lambda: Faulty(name, function), remote)
    mac.call("socket", *SOCKET)
    with pytest.raises(KernelPanic) as caught:
        mac.call("connect", 3, ADDRESS)
    assert mac.mac.panic is not None
    assert caught.value.report == mac.mac.panic.report
    return caught.value


def divide(kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
    return kctlref // 0


def banana(kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> object:
    return "banana"


def unwritable(kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
    sac.sc_unit = cast(int, object())
    return 0


def own_panic(kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
    raise KernelPanic("I have had enough")


@pytest.mark.parametrize("function", [divide, banana, own_panic])
def test_what_takes_the_machine_down_says_the_same_with_or_without_the_bytes(
    function: Callable[..., Any],
) -> None:
    texts = [panicked("connect", function, remote).text for remote in (False, True)]
    assert texts[0] == texts[1]


def test_the_report_of_a_remote_fault_holds_the_kexts_traceback() -> None:
    report = panicked("connect", divide, remote=True).report
    assert (
        "RemoteFault: on the kext's side of the gate\nTraceback (most recent call last)" in report
    )
    assert "in divide\n    return kctlref // 0" in report
    assert "ZeroDivisionError: integer division or modulo by zero" in report
    assert "Loaded kexts: Faulty" in report
    assert "kextlab/remote" not in report


def test_an_out_value_that_cannot_cross_is_a_fault() -> None:
    text = panicked("connect", unwritable, remote=True).text
    assert "WireError in callback connect: <object object at" in text


def test_a_callback_that_would_sleep_is_said_not_to_be_modelled() -> None:
    def sleepy(kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> Any:
        raise AssertionError("it is not run")
        yield

    text = panicked("connect", sleepy, remote=True).text
    assert text.endswith(
        "NotImplementedError in callback connect: connect is a generator: "
        "a remote kext cannot sleep"
    )
    with pytest.raises(NotImplementedError, match=r"^msleep\('x', 'y'\): a remote"):
        Mac(Every, remote=True).kext.kpi.msleep("x", "y")


class Swallows(Every):
    """Panics inside a KPI call, and goes on as if nothing had happened."""

    def connect(self, ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        m = self.packet()
        self.kpi.mbuf_freem(m)
        try:
            self.kpi.mbuf_freem(m)
        except KernelPanic as panic:
            self.caught = panic
        return 0

    def packet(self) -> Any:
        m = Out()
        self.kpi.mbuf_allocpacket(0, 1, None, m)
        return m.value


class LetsPass(Swallows):
    """Panics inside a KPI call."""

    def connect(self, ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        m = self.packet()
        self.kpi.mbuf_freem(m)
        self.kpi.mbuf_freem(m)
        raise AssertionError("no way back from a panic")


@pytest.mark.parametrize("factory", [Swallows, LetsPass])
def test_a_panic_inside_a_nested_call_ends_the_system_call_as_itself(
    factory: type[Every],
) -> None:
    stories = []
    for remote in (False, True):
        mac = Mac(factory, remote)
        mac.call("socket", *SOCKET)
        with pytest.raises(KernelPanic, match="freeing an already freed mbuf") as caught:
            mac.call("connect", 3, ADDRESS)
        assert mac.mac.panic is not None
        assert caught.value.report == mac.mac.panic.report != ""
        stories.append(story(mac.mac))
    assert stories[0] == stories[1]


def test_a_deadlock_inside_setup_is_the_same_deadlock() -> None:
    seen = []
    for remote in (False, True):
        mac = Mac(Every, remote)
        kext = mac.kext

        def setup(unit: Out, unitinfo: Out, kext: Any = kext) -> int:
            error: int = kext.kpi.ctl_enqueuedata(kext.ref.value, 1, b"x", 1, 0)
            return error

        reg = KernCtlReg("setup", ctl_flags=c.CTL_FLAG_REG_SETUP, ctl_setup=setup)
        reg.ctl_connect = kext.connect
        assert kext.kpi.ctl_register(reg, Out()) == 0
        mac.call("socket", *SOCKET)
        with pytest.raises(SimDeadlock) as caught:
            mac.call("connect", 3, SockaddrCtl(sc_id=2).pack())
        seen.append((str(caught.value), caught.value.sleep))
    assert seen[0] == seen[1]


class Refuses(Kext):
    """Does not want to be loaded; or cannot be."""

    def start(self) -> int | None:
        return 45


class Crashes(Kext):
    """Has a bug in start."""

    def start(self) -> int | None:
        raise RuntimeError("no hardware")


def test_a_kext_that_refuses_to_start_is_not_loaded() -> None:
    mac = Kernel()
    with pytest.raises(KextError, match=r"^Refuses: its start routine returned ENOTSUP"):
        load_remote(mac, Refuses)
    assert mac.kexts() == []


def test_a_crash_in_start_is_a_panic_with_its_traceback() -> None:
    texts = []
    for load in (Kernel.load, load_remote):
        mac = Kernel()
        with pytest.raises(KernelPanic) as caught:
            load(mac, Crashes)
        assert 'raise RuntimeError("no hardware")' in caught.value.report
        texts.append(caught.value.text)
    assert texts[0] == texts[1]
