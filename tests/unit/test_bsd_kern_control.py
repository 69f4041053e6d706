"""Kernel control where the recordings do not reach: references, waiting, odd callbacks."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.ioctl import CTLIOCGCOUNT, CTLIOCGINFO
from kextlab.abi.structs import CtlInfo, SockaddrCtl
from kextlab.bsd.kctl import Kctl, KernCtlReg, Out, Text
from kextlab.bsd.kctl_usrreqs import trim
from kextlab.bsd.kern_control_kpi import MBUF_LIMIT
from kextlab.bsd.mbuf import MbufPool
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.bsd.socketvar import Sockopt
from kextlab.bsd.soreceive import soreceive
from kextlab.bsd.sosend import sosend, sosend_list
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import Mbuf
from kextlab.sched import KernelPanic, Routine, Sleep, drive

OLD, NEW = "xnu-7195.141.2", "xnu-11417.101.15"


class Lab:
    """A kernel, a kext, a process; controls and sockets are made as a test needs them."""

    def __init__(self, release: str = NEW) -> None:
        self.mac = Kernel(release)
        self.kpi = self.mac.load(Kext).kpi
        self.process = self.mac.start_process("test")
        self.pid = self.process.pid
        self.gate = self.mac.syscalls
        self.control = self.mac.system.domain.control

    def register(self, name: str = "a", flags: int = 0, **callbacks: Any) -> int:
        reg = KernCtlReg(name, ctl_flags=flags, ctl_connect=lambda *arguments: 0)
        for callback, function in callbacks.items():
            setattr(reg, f"ctl_{callback}", function)
        ref = Out()
        assert self.kpi.ctl_register(reg, ref) == 0
        return int(ref.value)

    def socket(self, type_: int = c.SOCK_DGRAM) -> int:
        return self.gate.socket(self.pid, c.PF_SYSTEM, type_, c.SYSPROTO_CONTROL)[1]

    def connect(self, fd: int, unit: int = 0) -> int:
        return self.gate.connect(self.pid, fd, address(unit))[0]

    def connected(self, unit: int = 0) -> int:
        fd = self.socket()
        assert self.connect(fd, unit) == 0
        return fd

    def so(self, fd: int) -> Any:
        return self.process.descriptors.files[fd].so


class Filler:
    """A client without a socket."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.prev = self.next = None
        self.position = -1


def address(unit: int = 0, ident: int = 1) -> bytes:
    return SockaddrCtl(sc_id=ident, sc_unit=unit).pack()


def step(routine: Routine[Any], woken: int | None = None) -> object:
    """Go on to the next sleep, or to the result."""
    try:
        point = next(routine) if woken is None else routine.send(woken)
        while point is None:
            point = next(routine)
    except StopIteration as stop:
        return stop.value
    return point


# -- the protocol ------------------------------------------------------------------------------


@pytest.mark.parametrize(("type_", "atomic"), [(c.SOCK_DGRAM, c.PR_ATOMIC), (c.SOCK_STREAM, 0)])
def test_a_control_socket_has_xnus_protocol_flags(type_: int, atomic: int) -> None:
    lab = Lab()
    flags = c.PR_CONNREQUIRED | c.PR_PCBLOCK | c.PR_WANTRCVD | atomic
    assert lab.so(lab.socket(type_)).so_proto.pr_flags == flags


def test_attaching_makes_a_client_and_closing_takes_it_away() -> None:
    lab = Lab()
    so = lab.so(lab.socket())
    assert so.so_pcb is not None
    drive(lab.control.sockets.soclose(so))
    assert so.so_pcb is None


def test_the_ioctls_answer_what_the_protocol_found() -> None:
    lab = Lab()
    lab.register("a")
    so = lab.so(lab.socket())

    def ask(cmd: int, data: bytes) -> tuple[int, bytes]:
        answer: tuple[int, bytes] = so.so_proto.pru_control(so, cmd, data)
        return answer

    assert ask(CTLIOCGCOUNT, bytes(4)) == (0, b"\1\0\0\0")
    assert ask(CTLIOCGINFO, CtlInfo(0, b"a").pack()) == (0, CtlInfo(1, b"a").pack())
    for name, errno in ((b"", e.EINVAL), (b"b" * 95, e.ENOENT), (b"b" * 96, e.EINVAL)):
        asked = CtlInfo(0, name).pack()
        assert ask(CTLIOCGINFO, asked) == (errno, asked)


# -- registering -------------------------------------------------------------------------------


def test_a_table_that_cannot_grow_is_counted() -> None:
    lab = Lab()
    taken = Kctl(1, KernCtlReg("taken"), Text("kext"))
    lab.control.refs.slots = [taken] * 65519 + [None]
    lab.control.refs.count = 65520
    lab.register()
    assert lab.control.stat["tbl_size_too_big"] == 1


def test_binding_to_what_is_not_there_is_enoent() -> None:
    lab = Lab()
    assert lab.gate.bind(lab.pid, lab.socket(), address())[0] == e.ENOENT


def test_after_the_largest_id_a_dynamic_control_takes_the_first_gap() -> None:
    lab = Lab()
    ids = []
    for name, ident in (("x", 1), ("y", 0xFFFFFFFF)):
        reg = KernCtlReg(name, ident, 0, c.CTL_FLAG_REG_ID_UNIT, ctl_connect=lambda *a: 0)
        lab.kpi.ctl_register(reg, Out())
    for name in ("b", "c"):
        reg = KernCtlReg(name, ctl_connect=lambda *a: 0)
        lab.kpi.ctl_register(reg, Out())
        ids.append(reg.ctl_id)
    assert ids == [2, 3]
    assert [kctl.id for kctl in lab.control.controls] == [1, 2, 3, 0xFFFFFFFF]


# -- somebody else is inside -------------------------------------------------------------------


def test_closing_waits_until_nobody_is_inside_a_callback() -> None:
    lab = Lab()
    channel: list[str] = []

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> Any:
        lab.kpi.mbuf_freem(m)
        channel.append("in")
        error = yield from lab.kpi.msleep("tape", "waiting")
        channel.append("out")
        return error

    lab.register(send=send)
    fd = lab.connected()
    sender = sosend(lab.so(fd), b"abc")
    assert step(sender) == Sleep("tape", "waiting")
    closer = lab.process.descriptors.close(fd)
    assert step(closer) == Sleep("kcb:1", "kcb_usecount")
    assert step(sender, 0) == (0, 0)
    assert channel == ["in", "out"]
    assert step(closer, 0) == (0, None)
    assert lab.mac.statistics().sockets == 0


def test_closing_waits_until_the_last_of_several_callbacks_is_left() -> None:
    lab = Lab()

    def rcvd(ref: int, unit: int, unitinfo: object, flags: int) -> Any:
        yield from lab.kpi.msleep("reel", "waiting")

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> Any:
        lab.kpi.mbuf_freem(m)
        return (yield from lab.kpi.msleep("tape", "waiting"))

    ref = lab.register(flags=c.CTL_FLAG_REG_EXTENDED, send=send, rcvd=rcvd)
    fd = lab.connected()
    so = lab.so(fd)
    lab.kpi.ctl_enqueuedata(ref, 1, b"abc", 3, c.CTL_DATA_EOR)
    reader, sender = soreceive(so, 3), sosend(so, b"abc")
    assert step(reader) == Sleep("reel", "waiting")
    assert step(sender) == Sleep("tape", "waiting")
    closer = lab.process.descriptors.close(fd)
    assert step(closer) == Sleep("kcb:1", "kcb_usecount")
    assert step(reader, 0) == (0, b"abc", c.MSG_EOR)
    assert step(closer, 0) == Sleep("kcb:1", "kcb_usecount")
    assert step(sender, 0) == (0, 0)
    assert step(closer, 0) == (0, None)


def test_a_send_waits_while_the_client_is_being_cleared() -> None:
    lab = Lab()
    lab.register(send=lambda ref, unit, info, m, flags: lab.kpi.mbuf_freem(m))
    so = lab.so(lab.connected())
    so.so_pcb.require_clearing = 1
    sender = sosend(so, b"abc")
    assert step(sender) == Sleep("kcb:1", "kcb_require_clearing")
    so.so_pcb.require_clearing = 0
    assert step(sender, 0) == (0, 0)


def test_a_reader_waits_while_the_client_is_being_cleared() -> None:
    lab = Lab()
    ref = lab.register()
    so = lab.so(lab.connected())
    lab.kpi.ctl_enqueuedata(ref, 1, b"abc", 3, c.CTL_DATA_EOR)
    so.so_pcb.require_clearing = 1
    reader = soreceive(so, 3)
    assert step(reader) == Sleep("kcb:1", "kcb_require_clearing")
    so.so_pcb.require_clearing = 0
    assert step(reader, 0) == (0, b"abc", c.MSG_EOR)


@pytest.mark.parametrize("told", [True, False])
def test_a_read_is_told_to_the_kext_if_it_wants_to_know(told: bool) -> None:
    lab = Lab()
    heard: list[int] = []
    callbacks = {"rcvd": lambda ref, unit, info, flags: heard.append(flags)} if told else {}
    lab.register(flags=c.CTL_FLAG_REG_EXTENDED, **callbacks)
    so = lab.so(lab.connected())
    routine = so.so_proto.pru_rcvd(so, 5)
    if told:
        assert drive(routine) == 0
    else:
        assert routine is None
    assert heard == ([5] if told else [])


def test_disconnecting_waits_for_kernel_functions_that_use_the_client() -> None:
    lab = Lab()
    lab.register()
    fd = lab.connected()
    kcb = lab.so(fd).so_pcb
    kcb.usecount = 1
    closer = lab.process.descriptors.close(fd)
    assert step(closer) == Sleep("kcb:1", "kcb->usecount", interruptible=False)
    kcb.usecount = 0
    assert step(closer, 0) == (0, None)


def test_a_client_that_lost_its_control_meanwhile_is_einval_to_every_request() -> None:
    lab = Lab()
    lab.register(send=lambda *arguments: 0)
    fd = lab.connected()
    so = lab.so(fd)
    lab.control.detach_client(so.so_pcb)
    assert drive(sosend(so, b"abc")) == (e.EINVAL, 3 - 3)
    assert drive(sosend_list(so, [b"a", b"b"])) == (e.EINVAL, 2)
    assert lab.gate.getpeername(lab.pid, fd)[0] == e.EINVAL
    assert drive(so.so_proto.pru_rcvd(so, 0)) == e.EINVAL
    answer = lab.gate.setsockopt(lab.pid, fd, c.SYSPROTO_CONTROL, 1, b"", 0)
    assert answer[0] == e.EINVAL
    assert lab.mac.system.domain.pool.live == {}
    assert lab.control.stat["send_fail"] == lab.control.stat["send_list_fail"] == 1
    assert lab.gate.close(lab.pid, fd)[0] == 0


# -- callbacks that are missing ----------------------------------------------------------------


def test_options_without_callbacks_are_enotsup() -> None:
    lab = Lab()
    lab.register()
    fd = lab.connected()
    assert lab.gate.setsockopt(lab.pid, fd, c.SYSPROTO_CONTROL, 1, b"", 0)[0] == e.ENOTSUP
    assert lab.gate.getsockopt(lab.pid, fd, c.SYSPROTO_CONTROL, 1, b"")[0] == e.ENOTSUP


def test_setopt_needs_the_bytes_it_was_promised() -> None:
    lab = Lab()
    lab.register(setopt=lambda *arguments: 0)
    so = lab.so(lab.connected())
    option = Sockopt(True, c.SYSPROTO_CONTROL, 1, None, 4)
    assert drive(so.so_proto.pr_ctloutput(so, option)) == e.EFAULT


@pytest.mark.parametrize(("release", "panics"), [(OLD, False), (NEW, True)])
def test_a_list_send_to_nobody_is_enotsup_or_a_null_pointer(release: str, panics: bool) -> None:
    lab = Lab(release)
    lab.register()
    so = lab.so(lab.connected())
    if panics:
        with pytest.raises(KernelPanic, match="kernel page fault"):
            drive(sosend_list(so, [b"a"]))
    else:
        assert drive(sosend_list(so, [b"a"])) == (e.ENOTSUP, 1)
        assert lab.mac.system.domain.pool.live == {}


def test_a_list_send_stops_at_the_first_packet_that_is_refused() -> None:
    lab = Lab()
    sent: list[int] = []

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        sent.append(lab.kpi.mbuf_len(m))
        lab.kpi.mbuf_freem(m)
        return e.EIO if len(sent) == 2 else 0

    lab.register(send=send)
    so = lab.so(lab.connected())
    assert drive(sosend_list(so, [b"a", b"bb", b"ccc"])) == (e.EIO, 3)
    assert sent == [1, 2]
    assert lab.mac.system.domain.pool.live == {}


def test_a_list_send_callback_may_sleep() -> None:
    lab = Lab()

    def send_list(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> Any:
        error = yield from lab.kpi.msleep("tape", "waiting")
        assert lab.kpi.mbuf_freem_list(m) == 2
        return error

    lab.register(flags=c.CTL_FLAG_REG_EXTENDED, send_list=send_list)
    sender = sosend_list(lab.so(lab.connected()), [b"a", b"b"])
    assert step(sender) == Sleep("tape", "waiting")
    assert step(sender, 0) == (0, 2)


@pytest.mark.parametrize("name", ["send", "send_list"])
@pytest.mark.parametrize("raises", [True, False])
def test_a_list_send_that_panics_names_the_callback(name: str, raises: bool) -> None:
    lab = Lab()

    def callback(*arguments: object) -> Any:
        yield from lab.kpi.msleep("tape", "waiting")
        if raises:
            raise ValueError("torn")
        return "EIO"

    lab.register(flags=c.CTL_FLAG_REG_EXTENDED, **{name: callback})
    sender = sosend_list(lab.so(lab.connected()), [b"a"])
    assert step(sender) == Sleep("tape", "waiting")
    end = f"ValueError in callback {name}: torn" if raises else f"callback {name} returned 'EIO', "
    with pytest.raises(KernelPanic, match=f"^kernel page fault: {end}"):
        step(sender, 0)


@pytest.mark.parametrize("name", ["send", "send_list"])
def test_a_list_send_is_recorded_as_the_callback_it_calls(name: str) -> None:
    lab = Lab()

    def callback(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> None:
        lab.kpi.mbuf_freem_list(m)

    lab.register(flags=c.CTL_FLAG_REG_EXTENDED, **{name: callback})
    so = lab.so(lab.connected())
    before = len(lab.mac.trace)
    assert drive(sosend_list(so, [b"a"])) == (0, 1)
    called = [event.name for event in lab.mac.trace.events(before) if event.kind == "callback"]
    assert called == [name]


def test_the_mutex_is_held_over_setup_and_no_longer() -> None:
    lab = Lab()
    held = []

    def setup(sc_unit: Out, unitinfo: Out) -> int:
        held.append(lab.control.mutex_held)
        return 0

    lab.register(flags=c.CTL_FLAG_REG_SETUP, setup=setup)
    held.append(lab.control.mutex_held)
    lab.connected(3)
    held.append(lab.control.mutex_held)
    assert held == [False, True, False]


# -- enqueueing --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["data", "mbuf"])
def test_what_the_buffer_refuses_after_the_space_was_there_is_enobufs(kind: str) -> None:
    lab = Lab()
    ref = lab.register()
    so = lab.so(lab.connected())
    so.so_rcv.sb_flags |= c.SB_DROP
    if kind == "data":
        assert lab.kpi.ctl_enqueuedata(ref, 1, b"a", 1, 0) == e.ENOBUFS
        assert lab.control.stat["enqdata_sbappend_fail"] == 1
    else:
        m = Out()
        lab.kpi.mbuf_allocpacket(0, 1, None, m)
        assert lab.kpi.ctl_enqueuembuf(ref, 1, m.value, 0) == e.ENOBUFS
        lab.kpi.mbuf_freem(m.value)
    assert lab.mac.system.domain.pool.live == {}


def test_a_list_leaks_the_packet_the_buffer_refuses_and_gives_back_the_rest() -> None:
    lab = Lab()
    ref = lab.register()
    so = lab.so(lab.connected())
    so.so_rcv.sb_flags |= c.SB_DROP
    first, second, rest = Out(), Out(), Out()
    for m in (first, second):
        lab.kpi.mbuf_allocpacket(0, 1, None, m)
    lab.kpi.mbuf_setnextpkt(first.value, second.value)
    assert lab.kpi.ctl_enqueuembuf_list(ref, 1, first.value, 0, rest) == e.ENOBUFS
    assert rest.value is second.value


def test_nobody_is_woken_by_an_empty_handed_or_silent_list() -> None:
    lab = Lab()
    ref = lab.register()
    lab.connected()
    before = len(lab.mac.trace)
    m = Out()
    lab.kpi.mbuf_allocpacket(0, 1, None, m)
    flags = c.CTL_DATA_NOWAKEUP
    assert lab.kpi.ctl_enqueuembuf_list(ref, 1, m.value, flags, None) == 0
    kinds = {event.kind for event in lab.mac.trace.events(before)}
    assert "wakeup" not in kinds


@pytest.mark.parametrize(
    ("cc", "hiwat"), [(8192, 8192), (9000, 9000), (10239, 10239), (10240, 10240), (12000, 10240)]
)
def test_grown_space_is_given_back_as_far_as_data_does_not_fill_it(cc: int, hiwat: int) -> None:
    sb = Sockbuf("so_rcv:1", MbufPool(None), counts_bytes_only=True)
    sb.sbreserve(10240)
    sb.sb_idealsize, sb.sb_cc = 8192, cc
    trim(sb)
    assert sb.sb_hiwat == hiwat


def test_the_largest_grown_buffer_is_remembered() -> None:
    lab = Lab()
    ref = lab.register(flags=c.CTL_FLAG_REG_CRIT)
    for unit, size in ((1, 100), (2, 200), (3, 50)):
        lab.connected(unit)
        lab.kpi.ctl_enqueuedata(ref, unit, bytes(8192), 8192, 0)
        assert lab.kpi.ctl_enqueuedata(ref, unit, bytes(size), size, c.CTL_DATA_CRIT) == 0
    assert lab.control.autorcvbuf_high == 8192 + 200 + 256


def test_a_buffer_that_grew_as_large_as_another_is_no_new_record() -> None:
    lab = Lab()
    ref = lab.register(flags=c.CTL_FLAG_REG_CRIT)
    for unit in (1, 2):
        lab.connected(unit)
        lab.kpi.ctl_enqueuedata(ref, unit, bytes(8192), 8192, 0)
        assert lab.kpi.ctl_enqueuedata(ref, unit, b"a", 1, c.CTL_DATA_CRIT) == 0
    high = [row[-1] for row in lab.mac.trace.rows() if row[4] == "autorcvbuf_high"]
    assert high == [0, 8192 + 1 + 256]


@pytest.mark.parametrize(("size", "errno"), [(2048, 0), (2049, e.ENOBUFS)])
def test_critical_data_may_fill_a_grown_buffer_to_the_last_byte(size: int, errno: int) -> None:
    lab = Lab()
    ref = lab.register(flags=c.CTL_FLAG_REG_CRIT)
    lab.connected()
    lab.kpi.ctl_enqueuedata(ref, 1, bytes(8192), 8192, 0)
    assert lab.kpi.ctl_enqueuedata(ref, 1, bytes(size), size, c.CTL_DATA_CRIT) == errno


def test_a_buffer_that_has_its_largest_size_already_does_not_count_as_grown() -> None:
    lab = Lab()
    ref = lab.register(flags=c.CTL_FLAG_REG_CRIT)
    fd = lab.connected()
    size = c.CTL_AUTORCVBUF_MAX
    value = size.to_bytes(4, "little")
    assert lab.gate.setsockopt(lab.pid, fd, c.SOL_SOCKET, c.SO_RCVBUF, value, 4)[0] == 0
    assert lab.kpi.ctl_enqueuedata(ref, 1, bytes(size), size, 0) == 0
    assert lab.kpi.ctl_enqueuedata(ref, 1, b"a", 1, c.CTL_DATA_CRIT) == e.ENOBUFS
    assert lab.control.autorcvbuf_high == 0


@pytest.mark.parametrize(("free", "errno"), [(1, 0), (0, e.ENOBUFS)])
def test_critical_data_does_not_grow_a_buffer_when_mbufs_are_short(free: int, errno: int) -> None:
    lab = Lab()
    ref = lab.register(flags=c.CTL_FLAG_REG_CRIT)
    so = lab.so(lab.connected())
    lab.kpi.ctl_enqueuedata(ref, 1, bytes(8192), 8192, 0)
    so.so_snd.sb_mbcnt = (MBUF_LIMIT - free) * c.MSIZE - so.so_rcv.sb_mbcnt
    assert lab.kpi.ctl_enqueuedata(ref, 1, b"a", 1, c.CTL_DATA_CRIT) == errno


def test_a_list_that_fills_up_to_unit_65535_is_ebusy() -> None:
    lab = Lab()
    lab.register()
    assert lab.connect(lab.socket(), 1) == 0
    kctl = lab.control.controls[0]
    for unit in range(2, 65536):
        kctl.units.insert(Filler(unit), None)
    assert lab.connect(lab.socket()) == e.EBUSY
