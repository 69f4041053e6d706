"""Socket options and socket ioctls, one by one."""

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi import ioctl
from kextlab.bsd.socketvar import Socket
from kextlab.kernel.kernel import Kernel

SWITCHES = [
    "SO_DEBUG",
    "SO_KEEPALIVE",
    "SO_DONTROUTE",
    "SO_USELOOPBACK",
    "SO_BROADCAST",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_OOBINLINE",
    "SO_TIMESTAMP",
    "SO_TIMESTAMP_MONOTONIC",
    "SO_DONTTRUNC",
    "SO_WANTMORE",
    "SO_WANTOOBFLAG",
]
UNMODELLED = [
    "SO_SNDTIMEO",
    "SO_RCVTIMEO",
    "SO_NKE",
    "SO_NOADDRERR",
    "SO_REUSESHAREUID",
    "SO_NOTIFYCONFLICT",
    "SO_UPCALLCLOSEWAIT",
    "SO_RANDOMPORT",
    "SO_NP_EXTENSIONS",
    "SO_LABEL",
    "SO_PEERLABEL",
]


class Options:
    """An event socket, which has buffers from birth, and its options."""

    def __init__(self) -> None:
        self.mac = Kernel()
        self.pid = self.mac.start_process("test").pid
        self.gate = self.mac.syscalls
        _, self.fd = self.gate.socket(self.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)

    @property
    def so(self) -> Socket:
        return self.mac.system.domain.sockets.live[1]

    def set(self, name: int, value: int, level: int = c.SOL_SOCKET) -> int:
        return self.set_bytes(name, (value & 0xFFFFFFFF).to_bytes(4, "little"), level)

    def set_bytes(self, name: int, value: bytes, level: int = c.SOL_SOCKET) -> int:
        return self.gate.setsockopt(self.pid, self.fd, level, name, value, len(value))[0]

    def get(self, name: int, size: int = 4) -> tuple[int, int]:
        errno, (length, data) = self.gate.getsockopt(
            self.pid, self.fd, c.SOL_SOCKET, name, bytes(size)
        )
        assert errno or length == len(data)
        return errno, int.from_bytes(data, "little")

    def ioctl(self, cmd: int, value: int = 0) -> tuple[int, int]:
        errno, data = self.gate.ioctl(self.pid, self.fd, cmd, value.to_bytes(4, "little"))
        return errno, int.from_bytes(data, "little")


@pytest.fixture
def options() -> Options:
    return Options()


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_reads_back_as_its_own_bit_once_set_and_as_0_once_cleared(
    name: str, options: Options
) -> None:
    bit = getattr(c, name)
    assert options.get(bit) == (0, 0)
    assert options.set(bit, 5) == 0
    assert options.get(bit) == (0, bit)
    assert options.set(bit, 0) == 0
    assert options.get(bit) == (0, 0)


@pytest.mark.parametrize("name", UNMODELLED)
def test_an_option_that_is_not_modelled_is_refused_loudly(name: str, options: Options) -> None:
    number = getattr(c, name)
    with pytest.raises(NotImplementedError, match=f"{number:#x}"):
        options.set(number, 1)
    with pytest.raises(NotImplementedError, match=f"{number:#x}"):
        options.get(number)


@pytest.mark.parametrize("number", [0x7777, 0])
def test_an_option_nobody_knows_is_enoprotoopt(number: int, options: Options) -> None:
    assert options.set(number, 1) == e.ENOPROTOOPT
    assert options.get(number)[0] == e.ENOPROTOOPT


@pytest.mark.parametrize("name", ["SO_TYPE", "SO_ERROR", "SO_NREAD", "SO_NWRITE", "SO_ACCEPTCONN"])
def test_what_can_only_be_read_cannot_be_set(name: str, options: Options) -> None:
    assert options.set(getattr(c, name), 1) == e.ENOPROTOOPT


def test_another_level_is_enoprotoopt_on_a_protocol_without_options(options: Options) -> None:
    assert options.set(1, 1, level=c.SYSPROTO_CONTROL) == e.ENOPROTOOPT
    errno, _ = options.gate.getsockopt(options.pid, options.fd, 7, 1, bytes(4))
    assert errno == e.ENOPROTOOPT


@pytest.mark.parametrize("name", ["SO_DEBUG", "SO_RCVBUF", "SO_NOSIGPIPE"])
def test_a_value_shorter_than_an_int_is_einval(name: str, options: Options) -> None:
    assert options.set_bytes(getattr(c, name), b"\1\0\0") == e.EINVAL


def test_a_null_pointer_with_a_length_is_efault(options: Options) -> None:
    answer = options.gate.setsockopt(options.pid, options.fd, c.SOL_SOCKET, c.SO_DEBUG, None, 4)
    assert answer[0] == e.EFAULT


def test_a_null_pointer_asks_for_the_length_alone(options: Options) -> None:
    answer = options.gate.getsockopt(options.pid, options.fd, c.SOL_SOCKET, c.SO_TYPE, None)
    assert answer == (0, (0, b""))


def test_an_answer_is_cut_to_the_callers_buffer(options: Options) -> None:
    options.set(c.SO_RCVBUF, 0x1234)
    assert options.get(c.SO_RCVBUF, size=1) == (0, 0x34)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("SO_TYPE", c.SOCK_RAW),
        ("SO_ERROR", 0),
        ("SO_NREAD", 0),
        ("SO_NWRITE", 0),
        ("SO_SNDBUF", 4096),
        ("SO_RCVBUF", 32768),
        ("SO_SNDLOWAT", 2048),
        ("SO_RCVLOWAT", 1),
        ("SO_NOSIGPIPE", 0),
    ],
)
def test_a_new_event_socket_answers(name: str, answer: int, options: Options) -> None:
    assert options.get(getattr(c, name)) == (0, answer)


def test_so_error_is_told_once(options: Options) -> None:
    options.so.set("so_error", e.ENOBUFS)
    assert options.get(c.SO_ERROR) == (0, e.ENOBUFS)
    assert options.get(c.SO_ERROR) == (0, 0)


def test_nosigpipe_is_switched_on_and_off(options: Options) -> None:
    options.set(c.SO_NOSIGPIPE, 1)
    assert options.get(c.SO_NOSIGPIPE) == (0, 1)
    options.set(c.SO_NOSIGPIPE, 0)
    assert options.get(c.SO_NOSIGPIPE) == (0, 0)


@pytest.mark.parametrize("name", ["SO_SNDBUF", "SO_RCVBUF", "SO_SNDLOWAT", "SO_RCVLOWAT"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_size_below_1_is_einval(name: str, value: int, options: Options) -> None:
    assert options.set(getattr(c, name), value) == e.EINVAL


@pytest.mark.parametrize(("value", "errno"), [(7456540, 0), (7456541, e.ENOBUFS)])
def test_the_largest_buffer_is_7456540_bytes(value: int, errno: int, options: Options) -> None:
    assert options.set(c.SO_RCVBUF, value) == errno
    assert options.set(c.SO_SNDBUF, value) == errno


@pytest.mark.parametrize(("low", "size"), [("SO_SNDLOWAT", 4096), ("SO_RCVLOWAT", 32768)])
def test_a_low_mark_above_its_buffer_is_the_buffers_size(
    low: str, size: int, options: Options
) -> None:
    assert options.set(getattr(c, low), 1 << 20) == 0
    assert options.get(getattr(c, low)) == (0, size)


def test_a_buffer_made_smaller_takes_its_low_mark_along(options: Options) -> None:
    options.set(c.SO_SNDBUF, 100)
    assert options.get(c.SO_SNDLOWAT) == (0, 100)


def test_a_low_mark_that_is_reached_wakes_who_waits(options: Options) -> None:
    def wakeups() -> list[str]:
        return [event.name for event in options.mac.trace.events() if event.kind == "wakeup"]

    options.set(c.SO_SNDLOWAT, 1)
    assert wakeups() == ["snd"]
    options.set(c.SO_RCVLOWAT, 1)  # nothing is queued: not reached
    assert wakeups() == ["snd"]
    options.mac.system.domain.pool.rec = None
    options.so.so_rcv.sb_lowat = 0
    options.so.so_rcv.sb_hiwat = 0
    options.set(c.SO_RCVLOWAT, 1)
    assert wakeups() == ["snd", "rcv"]


def test_a_low_mark_that_is_not_reached_wakes_nobody(options: Options) -> None:
    options.so.so_snd.sb_cc = 4000
    options.set(c.SO_SNDLOWAT, 1000)
    assert [event for event in options.mac.trace.events() if event.kind == "wakeup"] == []


@pytest.mark.parametrize(("name", "back"), [("SO_LINGER", 2), ("SO_LINGER_SEC", 2)])
def test_linger_reads_back_what_was_set(name: str, back: int, options: Options) -> None:
    number = getattr(c, name)
    value = (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    assert options.set_bytes(number, value) == 0
    assert options.get(number, size=8) == (0, 1 | back << 32)
    assert options.set_bytes(number, bytes(8)) == 0
    assert options.get(number, size=8) == (0, 0)


def test_a_linger_second_is_a_hundred_ticks(options: Options) -> None:
    options.set_bytes(c.SO_LINGER_SEC, b"\1\0\0\0\3\0\0\0")
    assert options.get(c.SO_LINGER, size=8) == (0, 1 | 300 << 32)
    options.set_bytes(c.SO_LINGER, b"\1\0\0\0\xff\xff\xff\xff")
    assert options.get(c.SO_LINGER_SEC, size=8) == (0, 1)  # -1 tick, as C divides


def test_linger_ticks_are_a_short(options: Options) -> None:
    options.set_bytes(c.SO_LINGER, b"\1\0\0\0\0\x80\0\0")
    assert options.so.so_linger == -0x8000


def test_a_linger_shorter_than_its_struct_is_einval(options: Options) -> None:
    assert options.set_bytes(c.SO_LINGER, bytes(7)) == e.EINVAL


def test_a_socket_shut_both_ways_takes_no_option(options: Options) -> None:
    options.so.set("so_state", c.SS_CANTRCVMORE | c.SS_CANTSENDMORE)
    assert options.set(c.SO_DEBUG, 1) == e.EINVAL
    options.so.set("so_state", c.SS_CANTRCVMORE)
    assert options.set(c.SO_DEBUG, 1) == 0


def test_so_numrcvpkt_counts_the_records_of_a_datagram_socket(options: Options) -> None:
    assert options.get(c.SO_NUMRCVPKT) == (0, 0)
    assert options.set(c.SO_NUMRCVPKT, 1) == e.ENOPROTOOPT


def test_options_of_traffic_and_policy_are_not_modelled(options: Options) -> None:
    with pytest.raises(NotImplementedError, match="0x1086"):
        options.get(0x1086)


# -- ioctls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cmd", "flag"), [("FIONBIO", c.SS_NBIO), ("FIOASYNC", c.SS_ASYNC)])
def test_fionbio_and_fioasync_switch_a_state_bit(cmd: str, flag: int, options: Options) -> None:
    request = getattr(ioctl, cmd)
    assert options.ioctl(request, 1)[0] == 0
    assert options.so.so_state & flag
    assert options.ioctl(request, 0)[0] == 0
    assert not options.so.so_state & flag


def test_the_process_group_reads_back(options: Options) -> None:
    assert options.ioctl(ioctl.SIOCSPGRP, 77)[0] == 0
    assert options.ioctl(ioctl.SIOCGPGRP) == (0, 77)


def test_siocatmark_is_whether_reading_stands_at_the_mark(options: Options) -> None:
    assert options.ioctl(ioctl.SIOCATMARK) == (0, 0)
    options.so.set("so_state", c.SS_RCVATMARK)
    assert options.ioctl(ioctl.SIOCATMARK) == (0, 1)


def test_fionread_counts_the_queued_bytes(options: Options) -> None:
    assert options.ioctl(ioctl.FIONREAD) == (0, 0)


def test_a_request_of_no_socket_is_the_protocols_enotsup(options: Options) -> None:
    assert options.ioctl(ioctl.ior("z", 1, 4))[0] == e.ENOTSUP
