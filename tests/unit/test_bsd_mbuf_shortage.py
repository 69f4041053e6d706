"""Running out of mbufs: what each routine that allocates answers. Documented only."""

from collections.abc import Iterator

import pytest

from kextlab.abi import constants as c
from kextlab.abi.errno import ENOBUFS, ENOMEM
from kextlab.abi.ioctl import SIOCSKEVFILT
from kextlab.abi.structs import KevRequest, SockaddrCtl
from kextlab.bsd.sosend import sosend_list
from kextlab.kernel.explain import explain
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Out
from kextlab.sched.drive import drive


class Lab:
    """A control that frees what it is sent, one client, and a pool that can be made short."""

    def __init__(self) -> None:
        self.mac = Kernel()
        self.kext = self.mac.load(Kext)
        self.kpi = self.kext.kpi
        self.ref = Out()
        self.kpi.ctl_register(
            KernCtlReg("a", ctl_connect=lambda *a: 0, ctl_send=self.send), self.ref
        )
        self.pid = self.mac.start_process("test").pid
        self.fd = self.socket(c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
        self.mac.syscalls.connect(self.pid, self.fd, SockaddrCtl(sc_id=1).pack())
        self.pool = self.mac.system.domain.pool

    def socket(self, type_: int, protocol: int) -> int:
        return self.mac.syscalls.socket(self.pid, c.PF_SYSTEM, type_, protocol)[1]

    def send(self, ref: int, unit: int, cookie: object, m: object, flags: int) -> int:
        self.kpi.mbuf_freem(m)  # type: ignore[arg-type]
        return 0

    def leave(self, count: int) -> None:
        """Only so many more mbufs can be allocated."""
        self.pool.set_limit(len(self.pool.live) + count)


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    assert lab.mac.snapshot() == lab.mac.trace.state()


@pytest.mark.parametrize(("size", "needs"), [(10, 1), (300, 2), (2000, 1)])
def test_a_send_needs_its_mbufs_or_is_refused_with_enobufs(lab: Lab, size: int, needs: int) -> None:
    lab.leave(needs - 1)
    assert lab.mac.syscalls.sendto(lab.pid, lab.fd, bytes(size)) == (ENOBUFS, 0)
    lab.leave(needs)
    assert lab.mac.syscalls.sendto(lab.pid, lab.fd, bytes(size)) == (0, size)


def test_what_is_freed_can_be_allocated_again(lab: Lab) -> None:
    lab.leave(1)
    for _ in range(5):
        assert lab.mac.syscalls.sendto(lab.pid, lab.fd, b"x") == (0, 1)


@pytest.mark.parametrize(("size", "needs"), [(10, 1), (300, 2), (5000, 1)])
def test_ctl_enqueuedata_answers_enomem_and_counts_it(lab: Lab, size: int, needs: int) -> None:
    lab.leave(needs - 1)
    data = bytes(size)
    assert lab.kpi.ctl_enqueuedata(lab.ref.value, 1, data, size, 0) == ENOMEM
    counted = lab.mac.statistics().kctl
    assert (counted["enqdata_mb_alloc_fail"], counted["enqueue_fail"]) == (1, 1)
    assert counted["enqueue_fullsock"] == 0
    lab.leave(needs)
    assert lab.kpi.ctl_enqueuedata(lab.ref.value, 1, data, size, 0) == 0


def test_space_is_asked_for_before_memory(lab: Lab) -> None:
    lab.leave(0)
    assert lab.kpi.ctl_enqueuedata(lab.ref.value, 1, bytes(9000), 9000, 0) == ENOBUFS


def test_a_packet_the_kext_has_already_needs_no_mbuf(lab: Lab) -> None:
    m = Out()
    assert lab.kpi.mbuf_allocpacket(0, 10, None, m) == 0
    lab.leave(0)
    assert lab.kpi.mbuf_allocpacket(0, 10, None, Out()) == ENOMEM
    assert lab.kpi.ctl_enqueuembuf(lab.ref.value, 1, m.value, 0) == 0


def listeners(lab: Lab, count: int) -> list[int]:
    fds = [lab.socket(c.SOCK_RAW, c.SYSPROTO_EVENT) for _ in range(count)]
    for fd in fds:
        lab.mac.syscalls.ioctl(lab.pid, fd, SIOCSKEVFILT, KevRequest(0, 0, 0).pack())
    return fds


def test_an_event_without_an_mbuf_is_lost_and_uses_no_id(lab: Lab) -> None:
    code = Out()
    lab.kpi.kev_vendor_code_find("org.kextlab", code)
    before = lab.mac.system.domain.events.last_event_id
    lab.leave(0)
    assert lab.kpi.kev_msg_post(KevMsg(code.value, 1, 1, 1)) == ENOMEM
    assert lab.mac.statistics().kevt["nomem"] == 1
    assert lab.mac.system.domain.events.last_event_id == before


def test_an_event_that_nobody_hears_needs_one_mbuf(lab: Lab) -> None:
    code = Out()
    lab.kpi.kev_vendor_code_find("org.kextlab", code)
    lab.leave(1)
    assert lab.kpi.kev_msg_post(KevMsg(code.value, 1, 1, 1)) == 0


def test_the_listeners_behind_the_one_without_an_mbuf_miss_the_event(lab: Lab) -> None:
    fds = listeners(lab, 3)
    code = Out()
    lab.kpi.kev_vendor_code_find("org.kextlab", code)
    lab.leave(3)  # the event, and copies for two
    assert lab.kpi.kev_msg_post(KevMsg(code.value, 1, 1, 1)) == ENOMEM
    ready = [lab.mac.syscalls.poll(lab.pid, fd)[1][0] for fd in fds]
    assert ready == [False, True, True]  # the newest hears it first
    assert lab.mac.statistics().kevt["posted"] == 2


@pytest.mark.parametrize(
    ("call", "errno"),
    [
        ("send", "ENOBUFS"),
        ("ctl_enqueuedata", "ENOMEM"),
        ("mbuf_allocpacket", "ENOMEM"),
        ("kev_msg_post", "ENOMEM"),
    ],
)
def test_explain_tells_of_it(call: str, errno: str) -> None:
    told = explain(errno, call=call)
    assert any("out of mbufs" in cause.when for cause in told.causes)


def test_a_list_of_packets_needs_all_its_mbufs_at_once(lab: Lab) -> None:
    so = lab.mac.system.processes[lab.pid].descriptors.socket_of(lab.fd)
    assert so is not None
    lab.leave(2)
    assert drive(sosend_list(so, [b"a", b"b", b"c"])) == (ENOBUFS, 0)
    lab.leave(3)
    assert drive(sosend_list(so, [b"a", b"b", b"c"])) == (0, 3)
