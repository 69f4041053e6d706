"""Panic reports: what a student reads after a kext took the machine down."""

import re

import pytest

from kextlab.abi import constants as c
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.kernel.panic import PARAMETERS, sentence
from kextlab.sched import KernelPanic
from kextlab.trace.events import Event


class Buggy(Kext):
    bundle_id = "org.kextlab.buggy"

    def start(self) -> int:
        reg = KernCtlReg("buggy", ctl_connect=lambda *arguments: 0, ctl_send=self.send)
        return self.kpi.ctl_register(reg, Out())

    def send(self, ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        return self.lookup(unit)

    def lookup(self, unit: int) -> int:
        table: dict[int, int] = {}
        return table[unit]


@pytest.fixture(scope="module")
def report() -> str:
    mac = Kernel()
    mac.unload(mac.load(Kext))
    mac.load(Buggy)
    pid = mac.start_process("test").pid
    _, fd = mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    mac.syscalls.connect(pid, fd, SockaddrCtl(sc_id=1).pack())
    with pytest.raises(KernelPanic) as caught:
        mac.syscalls.sendto(pid, fd, bytes(100))
    return caught.value.report


def test_a_report_begins_with_the_panic_string(report: str) -> None:
    first, second, *_ = report.splitlines()
    assert first == "panic: kernel page fault: KeyError in callback send: 1"
    assert second == "Kernel version: xnu-11417.101.15 (macOS 15), simulated by kextlab"


def test_a_report_shows_the_kexts_own_lines(report: str) -> None:
    assert "in send" in report
    assert "return table[unit]" in report
    assert "KeyError: 1" in report


def test_a_report_lists_what_is_and_was_loaded(report: str) -> None:
    assert "Loaded kexts: org.kextlab.buggy" in report
    assert "Unloaded since boot: Kext" in report


def test_a_report_ends_with_the_last_calls(report: str) -> None:
    calls = report[report.index("The last") :].splitlines()[1:]
    assert 0 < len(calls) <= 12
    assert "send(" in calls[-1] or "send(" in calls[-2]
    assert any("<100 bytes>" in call for call in calls)
    assert any("return, errno 0 = 3" in call for call in calls)
    assert any("return, errno 0" in call and "=" not in call for call in calls)


def test_a_report_names_processes_and_the_arguments_of_callbacks(report: str) -> None:
    assert re.search(r"\d  test \(pid \d+\): syscall sendto\(", report)
    assert "proc:" not in report
    assert "callback connect(kctlref 65537, sc_id 1, sc_unit 1)" in report
    assert report.endswith("callback send(kctlref 65537, unit 1, m 2, flags 0)")


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_every_callback_shows_its_arguments_in_the_order_of_its_c_declaration(
    name: str, parameters: tuple[str, ...]
) -> None:
    values = tuple(range(len(parameters)))
    said = sentence(Event(7, "callback", "kernel", None, name, values))
    shown = re.findall(r"(\w+) (\d+)", said.partition("(")[2])
    assert {one: int(value) for one, value in shown} == dict(zip(parameters, values, strict=True))
    order = ["kctlref", "sc_id", "sc_unit", "unit", "m", "opt", "data", "len", "flags"]
    assert [one for one, _ in shown] == sorted(parameters, key=order.index)


def test_a_report_without_a_kexts_fault_has_no_backtrace() -> None:
    mac = Kernel()
    kpi = mac.load(Kext).kpi
    kpi.ctl_register(KernCtlReg("x" * 50, ctl_connect=lambda *a: 0), Out())
    kpi.ctl_id_by_name("y" * 100)
    with pytest.raises(KernelPanic) as caught:
        kpi.ctl_deregister(2)
    assert "Backtrace" not in caught.value.report
    assert "yyy..." in caught.value.report
    assert "Unloaded" not in caught.value.report


def test_a_report_says_when_nothing_is_loaded() -> None:
    mac = Kernel()
    mac.system.stop(panic := KernelPanic("test"))
    assert "Loaded kexts: none" in panic.report
