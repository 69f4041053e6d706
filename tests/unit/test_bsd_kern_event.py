"""Kernel events and the statistics of net.systm, where the recordings do not reach."""

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.ioctl import SIOCGKEVFILT, SIOCGKEVID, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.structs import KevRequest, KevVendorCode
from kextlab.bsd import sysctl
from kextlab.bsd.kern_event import NO_VENDOR, EventPcb, KevMsg
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out


class Lab:
    def __init__(self) -> None:
        self.mac = Kernel()
        self.kpi = self.mac.load(Kext).kpi
        self.events = self.mac.system.domain.events
        self.pid = self.mac.start_process("test").pid
        self.gate = self.mac.syscalls
        code = Out()
        assert self.kpi.kev_vendor_code_find("org.kextlab", code) == 0
        self.vendor = int(code.value)

    def listener(self, vendor: int = c.KEV_ANY_VENDOR) -> int:
        fd = self.gate.socket(self.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]
        request = KevRequest(vendor, 0, 0).pack()
        assert self.gate.ioctl(self.pid, fd, SIOCSKEVFILT, request)[0] == 0
        return fd

    def post(self, *vectors: bytes) -> int:
        return self.kpi.kev_msg_post(KevMsg(self.vendor, 1, 2, 3, vectors))

    def recv(self, fd: int) -> bytes:
        errno, data = self.gate.recvfrom(self.pid, fd, 1000, c.MSG_DONTWAIT)
        return data if not errno else b"none"


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.mark.parametrize(
    ("wanted", "hears"),
    [
        ((NO_VENDOR, 0, 0), False),
        ((0, 9, 9), True),
        ((1000, 0, 9), True),
        ((1001, 0, 0), False),
        ((1000, 1, 0), True),
        ((1000, 1, 2), True),
        ((1000, 1, 9), False),
        ((1000, 9, 2), False),
    ],
)
def test_a_filter_is_compared_only_as_far_as_it_is_not_any(
    wanted: tuple[int, int, int], hears: bool
) -> None:
    pcb = EventPcb(None)  # type: ignore[arg-type]  # the filter needs no socket
    pcb.vendor_code, pcb.kev_class, pcb.kev_subclass = wanted
    assert pcb.wants(1000, 1, 2) is hears


def test_a_filter_reads_back_and_a_new_one_matches_no_vendor(lab: Lab) -> None:
    fd = lab.gate.socket(lab.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]

    def read() -> KevRequest:
        errno, data = lab.gate.ioctl(lab.pid, fd, SIOCGKEVFILT, bytes(12))
        assert errno == 0
        return KevRequest.unpack(data)

    assert read() == KevRequest(NO_VENDOR, 0, 0)
    lab.gate.ioctl(lab.pid, fd, SIOCSKEVFILT, KevRequest(7, 8, 9).pack())
    assert read() == KevRequest(7, 8, 9)


@pytest.mark.parametrize(("size", "errno"), [(200, 0), (201, e.EMSGSIZE)])
def test_an_event_has_at_most_200_bytes_of_data(size: int, errno: int, lab: Lab) -> None:
    assert lab.post(bytes(size)) == errno
    assert lab.events.last_event_id == (0 if errno else 1)


def test_the_first_empty_vector_ends_the_data_and_the_sixth_is_not_looked_at(lab: Lab) -> None:
    fd = lab.listener()
    lab.post(b"a", b"", b"b")
    lab.post(b"1", b"2", b"3", b"4", b"5", b"6")
    assert [lab.recv(fd)[24:], lab.recv(fd)[24:]] == [b"a", b"12345"]


def test_the_newest_socket_hears_first(lab: Lab) -> None:
    lab.listener()
    lab.listener()
    start = len(lab.mac.trace)
    lab.post(b"a")
    woken = [event.arguments for event in lab.mac.trace.events(start) if event.kind == "wakeup"]
    assert woken == [(2,), (1,)]


def test_an_event_is_the_kernels_until_a_socket_has_it(lab: Lab) -> None:
    lab.listener()
    lab.post(b"a")
    assert [row[-1] for row in lab.mac.trace.rows() if row[4] == "owner"] == ["kernel", "so_rcv:1"]


def test_a_full_socket_loses_the_event_and_the_poster_sees_success(lab: Lab) -> None:
    fd = lab.listener()
    lab.mac.system.domain.sockets.live[1].so_rcv.sbreserve(30)
    assert [lab.post(b"first"), lab.post(b"second")] == [0, 0]
    assert [lab.recv(fd)[24:], lab.recv(fd)] == [b"first", b"none"]
    assert (lab.events.stat["posted"], lab.events.stat["fullsock"]) == (1, 1)
    assert lab.mac.system.domain.pool.live == {}


def test_event_ids_go_on_after_32_bits(lab: Lab) -> None:
    lab.events.last_event_id = 0xFFFFFFFF
    fd = lab.listener()
    lab.post()
    assert lab.gate.ioctl(lab.pid, fd, SIOCGKEVID, bytes(4)) == (0, bytes(4))


@pytest.mark.parametrize("vendor", [c.KEV_VENDOR_APPLE, 999, 1001])
def test_a_kext_posts_under_registered_codes_only(vendor: int, lab: Lab) -> None:
    assert lab.kpi.kev_msg_post(KevMsg(vendor, 0, 0, 0)) == e.EINVAL
    assert lab.events.stat["badvendor"] == 1


def test_no_message_is_einval_and_counts_nowhere(lab: Lab) -> None:
    assert lab.kpi.kev_msg_post(None) == e.EINVAL
    assert lab.events.stat["badvendor"] == 0


@pytest.mark.parametrize(("name", "errno"), [("é" * 99, 0), ("é" * 100, e.EINVAL)])
def test_a_vendor_string_has_under_200_bytes(name: str, errno: int, lab: Lab) -> None:
    code = Out("untouched")
    assert lab.kpi.kev_vendor_code_find(name, code) == errno
    assert (code.value == "untouched") is bool(errno)


def test_a_process_looks_vendors_up_and_registers_none(lab: Lab) -> None:
    fd = lab.listener()
    for name, answer in (("org.kextlab", (0, 1000)), ("org.other", (e.ENOENT, 0))):
        asked = KevVendorCode(0, name.encode()).pack()
        errno, data = lab.gate.ioctl(lab.pid, fd, SIOCGKEVVENDOR, asked)
        assert (errno, KevVendorCode.unpack(data).vendor_code) == answer


def test_the_answer_repeats_the_vendor_string_asked_for(lab: Lab) -> None:
    asked = KevVendorCode.named("org.kextlab").pack()
    _, data = lab.gate.ioctl(lab.pid, lab.listener(), SIOCGKEVVENDOR, asked)
    assert KevVendorCode.unpack(data) == KevVendorCode(1000, b"org.kextlab")


def test_a_closed_socket_hears_no_more(lab: Lab) -> None:
    fd = lab.listener()
    lab.gate.close(lab.pid, fd)
    lab.post(b"a")
    assert (lab.events.pcbs, lab.events.stat["posted"]) == ([], 0)


def test_a_closed_socket_has_let_its_filter_go(lab: Lab) -> None:
    fd = lab.listener()
    so = lab.mac.system.domain.sockets.live[1]
    lab.gate.close(lab.pid, fd)
    assert so.so_pcb is None


# -- net.systm ---------------------------------------------------------------------------------


def registered(lab: Lab) -> None:
    lab.kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *arguments: 0), Out())


@pytest.mark.parametrize(
    ("name", "limit", "errno", "size"),
    [
        ("kctl.stats", None, 0, 112),
        ("kctl.stats", 111, e.ENOMEM, 0),
        ("kevt.stats", None, 0, 56),
        ("kctl.reg_list", None, 0, 32 + 200 + 32),
        ("kctl.reg_list", 263, e.ENOMEM, 232),
        ("kctl.reg_list", 231, e.ENOMEM, 32),
        ("kctl.reg_list", 31, e.ENOMEM, 0),
        ("kctl.pcblist", None, 0, 32),  # no client: no second generation record
        ("kevt.pcblist", None, 0, 32 + 312 + 32),
        ("kctl.nothing", None, e.ENOENT, 0),
    ],
)
def test_a_list_is_put_out_record_by_record_as_far_as_it_fits(
    name: str, limit: int | None, errno: int, size: int, lab: Lab
) -> None:
    registered(lab)
    lab.listener()
    answer = sysctl.sysctl(lab.mac.system.domain, name, limit)
    assert (answer.errno, answer.oldidx) == (errno, size)


@pytest.mark.parametrize("name", ["kctl.stats", "kctl.reg_list"])
def test_nothing_can_be_written(name: str, lab: Lab) -> None:
    assert sysctl.sysctl(lab.mac.system.domain, name, writing=True).errno == e.EPERM


@pytest.mark.parametrize(("name", "size"), [("kctl.stats", 112), ("kctl.reg_list", 9 * 200)])
def test_a_size_query_leaves_an_eighth_to_spare(name: str, size: int, lab: Lab) -> None:
    for number in range(8):
        lab.kpi.ctl_register(KernCtlReg(f"c{number}", ctl_connect=lambda *a: 0), Out())
    answer = sysctl.sysctl(lab.mac.system.domain, name, size_query=True, writing=False)
    assert (answer.errno, answer.oldidx) == (0, size)
