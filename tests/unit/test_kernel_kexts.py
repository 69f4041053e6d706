"""The kernel as a whole: loading and unloading kexts, looking at it, panicking, rebooting."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched import KernelPanic, SimDeadlock


class Named(Kext):
    bundle_id = "org.kextlab.named"


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


# -- loading -----------------------------------------------------------------------------------


def test_a_kext_is_made_given_its_kpi_and_started(mac: Kernel) -> None:
    started: list[bool] = []

    class Plain(Kext):
        def start(self) -> None:
            started.append(self.kpi is not None)

    kext = mac.load(Plain)
    assert isinstance(kext, Plain)
    assert (started, mac.kexts()) == ([True], [kext])


def test_a_kext_without_an_identifier_goes_by_its_class(mac: Kernel) -> None:
    mac.load(Kext)
    assert "kext:Kext" in mac.snapshot()


def test_one_identifier_is_loaded_once(mac: Kernel) -> None:
    mac.load(Named)
    with pytest.raises(KextError, match=r"org\.kextlab\.named is loaded already") as caught:
        mac.load(Named)
    assert caught.value.errno is None
    assert len(mac.kexts()) == 1


def test_a_kext_that_refuses_to_start_is_not_loaded(mac: Kernel) -> None:
    class Refuses(Named):
        def start(self) -> int:
            return e.ENOMEM

    with pytest.raises(KextError, match=r"start routine returned ENOMEM \(12\)") as caught:
        mac.load(Refuses)
    assert caught.value.errno == e.ENOMEM
    assert mac.kexts() == []
    mac.load(Named)  # the identifier is free


def test_a_kext_that_refuses_to_stop_stays_loaded(mac: Kernel) -> None:
    class Stays(Kext):
        def stop(self) -> int:
            return e.EBUSY

    kext = mac.load(Stays)
    with pytest.raises(KextError, match=r"stop routine returned EBUSY \(16\)"):
        mac.unload(kext)
    assert mac.kexts() == [kext]


def test_what_is_not_loaded_cannot_be_unloaded(mac: Kernel) -> None:
    kext = mac.load(Named)
    for other in (Named(), Kext()):
        with pytest.raises(KextError, match="is not loaded in this boot"):
            mac.unload(other)
    mac.unload(kext)
    with pytest.raises(KextError):
        mac.unload(kext)


def test_a_start_routine_may_let_go(mac: Kernel) -> None:
    class Lets(Kext):
        def start(self) -> Any:
            yield None
            return 0

    assert mac.load(Lets) in mac.kexts()


def test_a_start_routine_that_sleeps_for_ever_is_a_deadlock_not_a_panic(mac: Kernel) -> None:
    class Sleeps(Kext):
        def start(self) -> Any:
            return (yield from self.kpi.msleep("tape", "waiting"))

    with pytest.raises(SimDeadlock, match="waiting on tape"):
        mac.load(Sleeps)
    assert mac.panic is None


@pytest.mark.parametrize("trace", [True, False])
def test_an_exception_in_a_start_routine_is_a_panic(trace: bool) -> None:
    mac = Kernel(trace=trace)

    class Faults(Kext):
        def start(self) -> int:
            return 1 // 0

    with pytest.raises(KernelPanic, match="ZeroDivisionError in callback start") as caught:
        mac.load(Faults)
    assert mac.panic is caught.value
    assert "ZeroDivisionError" in caught.value.report


def test_an_errno_is_due_from_a_start_routine(mac: Kernel) -> None:
    class Says(Kext):
        def start(self) -> Any:
            return "fine"

    with pytest.raises(KernelPanic, match="'fine', an errno"):
        mac.load(Says)


# -- looking -----------------------------------------------------------------------------------


def test_a_kernel_shows_its_release_and_state(mac: Kernel) -> None:
    assert repr(mac) == f"<Kernel xnu-11417.101.15, running, {len(mac.trace)} steps>"
    panic(mac)
    assert ", panicked, " in repr(mac)


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(ValueError, match="not modelled"):
        Kernel("xnu-1")


def test_a_kext_prints_into_the_log(mac: Kernel) -> None:
    kext = mac.load(Named)
    kext.kpi.printf("one")
    kext.kpi.IOLog("two")
    assert mac.log == ["org.kextlab.named: one", "org.kextlab.named: two"]


def test_statistics_count_what_there_is(mac: Kernel) -> None:
    kext = mac.load(Named)
    kext.kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *arguments: 0), Out())
    kext.kpi.mbuf_allocpacket(0, 100, None, Out())
    pid = mac.start_process("test").pid
    mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)
    stat = mac.statistics()
    assert (stat.controls, stat.sockets, stat.mbufs) == (1, 1, 2)
    assert (stat.kctl["reg_count"], stat.kevt["pcbcount"]) == (1, 1)


def test_leaks_are_the_mbufs_a_kext_holds_by_kext_or_name(mac: Kernel) -> None:
    kext = mac.load(Named)
    m = Out()
    kext.kpi.mbuf_allocpacket(0, 1, None, m)
    mac.unload(kext)
    assert mac.leaks(kext) == mac.leaks("org.kextlab.named") == [m.value]


@pytest.mark.parametrize("name", ["kctl.reg_list", "kctl.stats", "kevt.stats"])
def test_sysctl_gives_rows(name: str, mac: Kernel) -> None:
    mac.load(Named).kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *a: 0), Out())
    assert len(mac.sysctl(name)) == 1


def test_an_unknown_sysctl_says_which_there_are(mac: Kernel) -> None:
    with pytest.raises(KeyError, match=r"no net\.systm\.kctl: there are kctl\.reg_list"):
        mac.sysctl("kctl")


def test_the_snapshot_is_what_the_trace_adds_up_to(mac: Kernel) -> None:
    kext = mac.load(Named)
    reg = KernCtlReg("a", ctl_connect=lambda *arguments: 0)
    kext.kpi.ctl_register(reg, Out())
    mac.unload(mac.load(Kext))
    pid = mac.start_process("test").pid
    for kind, protocol in ((c.SOCK_RAW, 1), (c.SOCK_DGRAM, 2)):
        mac.syscalls.socket(pid, c.PF_SYSTEM, kind, protocol)
    mac.syscalls.connect(pid, 4, SockaddrCtl(sc_id=reg.ctl_id).pack())
    mac.start_process("root", uid=0)
    kext.kpi.mbuf_allocpacket(0, 1, None, Out())
    state = mac.snapshot()
    assert state == mac.trace.state()
    kinds = {name.split(":")[0] for name in state}
    assert {"kernel", "proc", "fd", "kext", "kctl", "socket", "kcb", "ev_pcb", "mbuf"} <= kinds
    assert state["kernel"] == {"release": "xnu-11417.101.15", "panic": None, "clock": 0}
    assert "kext:Kext" not in state


def test_a_socket_that_is_being_freed_has_no_control_block(mac: Kernel) -> None:
    pid = mac.start_process("test").pid
    mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    mac.system.domain.sockets.live[1].so_pcb = None
    assert "kcb:1" not in mac.snapshot()


# -- the end and the beginning -----------------------------------------------------------------


def panic(mac: Kernel) -> KernelPanic:
    """A kext deregisters twice."""
    kpi = mac.load(type("Twice", (Kext,), {})).kpi
    ref = Out()
    kpi.ctl_register(KernCtlReg("twice", ctl_connect=lambda *arguments: 0), ref)
    assert kpi.ctl_deregister(ref.value) == 0
    with pytest.raises(KernelPanic, match="kernel page fault") as caught:
        kpi.ctl_deregister(ref.value)
    return caught.value


def test_after_a_panic_nothing_enters_the_kernel(mac: Kernel) -> None:
    kext = mac.load(Named)
    pid = mac.start_process("test").pid
    first = panic(mac)
    calls = [
        lambda: mac.load(Kext),
        lambda: mac.unload(kext),
        lambda: mac.start_process("late"),
        lambda: kext.kpi.ctl_id_by_name("a"),
        lambda: kext.kpi.ctl_enqueuedata(1, 1, b"", 0, 0),
        lambda: mac.syscalls.sendto(pid, 3, b"x"),
        lambda: mac.syscalls.recvfrom(pid, 3, 1),
        lambda: mac.syscalls.poll(pid, 3),
    ]
    for call in calls:
        with pytest.raises(KernelPanic) as caught:
            call()
        assert caught.value is first


def test_only_the_first_panic_counts(mac: Kernel) -> None:
    first = panic(mac)
    mac.system.stop(KernelPanic("another"))
    assert mac.panic is first


def test_a_reboot_starts_from_nothing(mac: Kernel) -> None:
    mac.load(Named)
    old = mac.start_process("test").pid
    panic(mac)
    mac.reboot()
    assert (mac.boots, mac.panic, mac.kexts(), mac.log) == (2, None, [], [])
    assert mac.snapshot() == Kernel().snapshot()
    assert mac.load(Named) in mac.kexts()
    with pytest.raises(ProcessLookupError, match=f"no process {old} in this boot"):
        mac.syscalls.recvfrom(old, 3, 1)


@pytest.mark.parametrize("call", ["sendto", "recvfrom", "poll"])
def test_a_process_of_the_last_boot_is_gone_to_every_call(call: str, mac: Kernel) -> None:
    pid = mac.start_process("test").pid
    gate = mac.syscalls
    mac.reboot()
    arguments: dict[str, tuple[Any, ...]] = {"sendto": (b"x",), "recvfrom": (1,), "poll": ()}
    for syscalls in (gate, mac.syscalls):
        with pytest.raises(ProcessLookupError, match="in this boot"):
            getattr(syscalls, call)(pid, 3, *arguments[call])


def test_a_kext_of_the_last_boot_cannot_call_any_more(mac: Kernel) -> None:
    kext = mac.load(Named)
    mac.reboot()
    with pytest.raises(ProcessLookupError):
        kext.kpi.ctl_id_by_name("a")
    with pytest.raises(ProcessLookupError):
        kext.kpi.ctl_enqueuedata(1, 1, b"", 0, 0)


def test_a_kernel_that_records_nothing_works_the_same() -> None:
    mac = Kernel(trace=False)
    kext = mac.load(Named)
    mac.system.set_uid(mac.start_process("test"), 0)
    mac.unload(kext)
    panic(mac)
    assert len(mac.trace) == 0
    assert mac.panic is not None
    assert "The last" not in mac.panic.report
