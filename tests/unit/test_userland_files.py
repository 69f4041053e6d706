"""``fcntl``, ``os`` and ``select`` of a simulated process: descriptors as a Mac has them."""

import ctypes
import fcntl as host_fcntl
import os as host_os
import select as host_select
import socket as host_socket
import sys
from array import array
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import kextlab.abi as abi
from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.kexts import EchoKext
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.process import App


@pytest.fixture
def mac() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    return mac


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("client")


@pytest.fixture
def fcntl(app: App) -> ModuleType:
    return app.fcntl


@pytest.fixture
def os(app: App) -> ModuleType:
    return app.os


@pytest.fixture
def select(app: App) -> ModuleType:
    return app.select


@pytest.fixture
def s(app: App) -> Any:
    s = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, abi.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    return s


@pytest.fixture
def fd(s: Any) -> int:
    number: int = s.fileno()
    return number


@pytest.fixture
def real() -> Iterator[host_socket.socket]:
    one, other = host_socket.socketpair(host_socket.AF_UNIX, host_socket.SOCK_DGRAM)
    with one, other:
        yield one


def raised(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as info:  # noqa: PT011  # which one is the question
        call()
    return info.type, str(info.value)


def same(ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    one, other = raised(ours), raised(theirs)
    assert one[0] is other[0]
    if sys.version_info < (3, 14):  # later versions may word it otherwise
        assert one[1] == other[1]


class CtlInfo(ctypes.LittleEndianStructure):
    _fields_ = (("ctl_id", ctypes.c_uint32), ("ctl_name", ctypes.c_char * 96))


INFO = abi.CtlInfo.named("org.kextlab.echo").pack()

# -- ioctl -----------------------------------------------------------------------------------------


def test_an_immutable_buffer_comes_back_changed_as_bytes(fcntl: ModuleType, s: Any) -> None:
    answer = fcntl.ioctl(s, abi.CTLIOCGINFO, INFO)
    assert answer == b"\1\0\0\0" + INFO[4:]
    assert INFO[:4] == bytes(4)
    assert fcntl.ioctl(s, abi.CTLIOCGINFO, memoryview(INFO)) == answer


@pytest.mark.parametrize("request_", [abi.CTLIOCGINFO, abi.CTLIOCGINFO - (1 << 32), 0xC0644E03])
def test_a_request_is_its_low_32_bits(fcntl: ModuleType, s: Any, request_: int) -> None:
    assert abi.CtlInfo.unpack(fcntl.ioctl(s, request_, INFO)).ctl_id == 1


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        lambda data: memoryview(bytearray(data)),
        lambda data: array("I", data),
        CtlInfo.from_buffer_copy,
    ],
    ids=["bytearray", "memoryview", "array", "ctypes.Structure"],
)
def test_a_mutable_buffer_is_changed_in_place_and_the_result_is_0(
    fcntl: ModuleType, fd: int, make: Callable[[bytes], Any]
) -> None:
    buffer = make(INFO)
    assert fcntl.ioctl(fd, abi.CTLIOCGINFO, buffer) == 0
    assert bytes(buffer) == b"\1\0\0\0" + INFO[4:]


def test_a_mutable_buffer_is_left_alone_if_asked(fcntl: ModuleType, s: Any) -> None:
    buffer = bytearray(INFO)
    assert fcntl.ioctl(s, abi.CTLIOCGINFO, buffer, False) == b"\1\0\0\0" + INFO[4:]
    assert buffer == INFO


def test_a_refused_request_leaves_the_buffer_alone(fcntl: ModuleType, s: Any) -> None:
    buffer = bytearray(abi.CtlInfo.named("none").pack())
    before = bytes(buffer)
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        fcntl.ioctl(s, abi.CTLIOCGINFO, buffer)
    assert buffer == before


def test_a_long_mutable_buffer_keeps_its_tail_and_a_long_immutable_one_is_refused(
    fcntl: ModuleType, s: Any
) -> None:
    buffer = bytearray(INFO + b"x" * 1000)
    assert fcntl.ioctl(s, abi.CTLIOCGINFO, buffer) == 0
    assert buffer == b"\1\0\0\0" + INFO[4:] + b"x" * 1000
    assert len(fcntl.ioctl(s, abi.CTLIOCGINFO, INFO.ljust(1024, b"\0"))) == 1024
    for arguments in ((INFO.ljust(1025, b"\0"),), (bytearray(1025), False)):
        with pytest.raises(ValueError, match="ioctl string arg too long"):
            fcntl.ioctl(s, abi.CTLIOCGINFO, *arguments)


def test_a_short_buffer_gets_what_fits(fcntl: ModuleType, s: Any) -> None:
    assert fcntl.ioctl(s, abi.CTLIOCGCOUNT, b"..") == b"\1\0"
    assert fcntl.ioctl(s, abi.CTLIOCGCOUNT, bytes(6)) == b"\1\0\0\0\0\0"


def test_a_str_is_taken_as_utf_8(fcntl: ModuleType, s: Any) -> None:
    assert fcntl.ioctl(s, abi.CTLIOCGINFO, INFO.decode()) == b"\1\0\0\0" + INFO[4:]


def test_an_int_is_a_pointer_that_points_nowhere(fcntl: ModuleType, s: Any) -> None:
    for request_ in (abi.CTLIOCGINFO, abi.CTLIOCGCOUNT, abi.FIONBIO):
        with pytest.raises(OSError, match="Bad address") as info:
            fcntl.ioctl(s, request_, 1)
        assert info.value.errno == 14
    assert fcntl.ioctl(s, abi.FIOCLEX) == 0


def test_an_unknown_request_is_the_kernels_answer(fcntl: ModuleType, s: Any) -> None:
    with pytest.raises(OSError, match="not supported") as info:
        fcntl.ioctl(s, abi.SIOCGKEVID, bytes(4))
    assert info.value.errno == e.ENOTSUP


class NoNumber:
    def fileno(self) -> str:
        return "x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("x", 1),
        (None, 1),
        (NoNumber(), 1),
        (-1, 1),
        (1 << 40, 1),
        (..., "x"),
        (..., 1, 1.5),
        (..., 1, []),
        (..., 1, 1 << 40),
        (..., 1, bytes(1025)),
        (..., 1, memoryview(bytearray(4))[::2]),
    ],
)
def test_a_wrong_argument_of_ioctl_is_refused_as_by_the_host(
    fcntl: ModuleType, s: Any, real: Any, arguments: tuple[Any, ...]
) -> None:
    ours, theirs = ([sock if a is ... else a for a in arguments] for sock in (s, real))
    same(lambda: fcntl.ioctl(*ours), lambda: host_fcntl.ioctl(*theirs))


# -- fcntl -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("F_GETFL", 3), ("F_SETFL", 4), ("F_DUPFD_CLOEXEC", 67), ("FD_CLOEXEC", 1), ("F_SETLKW", 9)],
)
def test_the_commands_have_darwins_numbers(fcntl: ModuleType, name: str, value: int) -> None:
    assert getattr(fcntl, name) == value
    assert not hasattr(fcntl, "LOCK_EX")


def test_o_nonblock_is_4_and_switches_the_socket(
    app: App, fcntl: ModuleType, os: ModuleType, s: Any
) -> None:
    assert os.O_NONBLOCK == 4
    assert fcntl.fcntl(s, fcntl.F_GETFL) == os.O_RDWR
    assert fcntl.fcntl(s, fcntl.F_SETFL, os.O_NONBLOCK | fcntl.FASYNC) == 0
    assert fcntl.fcntl(s, fcntl.F_GETFL) == os.O_RDWR | os.O_NONBLOCK | fcntl.FASYNC
    with pytest.raises(BlockingIOError):
        s.recv(1)
    fcntl.fcntl(s, fcntl.F_SETFL, 0)
    with pytest.raises(SimDeadlock):
        s.recv(1)


def test_every_way_to_make_a_socket_non_blocking_reads_back(
    fcntl: ModuleType, os: ModuleType, s: Any, fd: int
) -> None:
    ways: list[Callable[[bool], object]] = [
        s.setblocking,
        lambda on: s.settimeout(None if on else 1),
        lambda on: os.set_blocking(fd, on),
        lambda on: fcntl.ioctl(fd, abi.FIONBIO, bytes([not on, 0, 0, 0])),
        lambda on: fcntl.fcntl(fd, fcntl.F_SETFL, 0 if on else os.O_NONBLOCK),
    ]
    for way in ways:
        for on in (False, True):
            way(on)
            assert os.get_blocking(fd) is on


def test_duplicates_share_the_flags_of_the_open_file_but_not_those_of_the_descriptor(
    fcntl: ModuleType, os: ModuleType, s: Any, fd: int
) -> None:
    copy = os.dup(fd)
    os.set_blocking(copy, False)
    os.set_inheritable(copy, True)
    assert os.get_blocking(fd) is False
    assert (os.get_inheritable(fd), os.get_inheritable(copy)) == (False, True)


def test_fd_cloexec_is_on_until_switched_off(fcntl: ModuleType, os: ModuleType, s: Any) -> None:
    assert fcntl.fcntl(s, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
    assert fcntl.fcntl(s, fcntl.F_SETFD, 0) == 0
    assert fcntl.fcntl(s, fcntl.F_GETFD) == 0
    assert s.get_inheritable() is True
    fcntl.fcntl(s, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    assert s.get_inheritable() is False


def test_f_dupfd_takes_the_least_free_descriptor_from_there_on(
    fcntl: ModuleType, os: ModuleType, s: Any
) -> None:
    assert fcntl.fcntl(s, fcntl.F_DUPFD) == 4
    assert fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 10) == 10
    assert (os.get_inheritable(4), os.get_inheritable(10)) == (True, False)
    with pytest.raises(OSError, match="Invalid argument"):
        fcntl.fcntl(s, fcntl.F_DUPFD, -1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((77, 3), OSError, "Bad file descriptor"),
        ((1, 3), NotImplementedError, "descriptor 1"),
        ((..., 9), NotImplementedError, "F_SETLKW"),
        ((..., 5), NotImplementedError, "F_GETOWN"),
        ((..., 999), NotImplementedError, "999"),
        ((..., 50, b"x" * 1024), NotImplementedError, "with a buffer"),
        ((..., "x"), TypeError, "cannot be interpreted"),
        ((..., 4, 1.5), TypeError, "cannot be interpreted"),
    ],
)
def test_what_fcntl_cannot_do_it_refuses(
    fcntl: ModuleType, s: Any, arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fcntl.fcntl(*(s if a is ... else a for a in arguments))


# -- os --------------------------------------------------------------------------------------------


def test_read_and_write_are_receive_and_send(os: ModuleType, fd: int) -> None:
    assert os.write(fd, memoryview(b"hello")) == 5
    assert os.read(fd, 2) == b"he"
    os.write(fd, b"")


def test_read_and_write_raise_the_kernels_errors(os: ModuleType, s: Any, fd: int) -> None:
    s.setblocking(False)
    with pytest.raises(BlockingIOError):
        os.read(fd, 1)
    os.close(fd)
    for call in (
        lambda: os.read(fd, 1),
        lambda: os.write(fd, b"x"),
        lambda: os.close(fd),
        lambda: os.dup(fd),
        lambda: os.dup2(fd, 9),
        lambda: os.set_blocking(fd, True),
        lambda: os.get_blocking(fd),
        lambda: os.set_inheritable(fd, True),
        lambda: os.get_inheritable(fd),
    ):
        with pytest.raises(OSError, match="Bad file descriptor") as info:
            call()
        assert info.value.errno == 9


class Interrupted:
    """A gate that answers reads and writes with given errnos first."""

    def __init__(self, gate: Any, *errnos: int) -> None:
        self.gate, self.errnos = gate, list(errnos)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gate, name)

    def recvfrom(self, *args: Any) -> Any:
        return (self.errnos.pop(0), b"") if self.errnos else self.gate.recvfrom(*args)

    def sendto(self, *args: Any) -> Any:
        return (self.errnos.pop(0), 0) if self.errnos else self.gate.sendto(*args)


@pytest.mark.parametrize(("name", "argument", "ok"), [("read", 1, b""), ("write", b"x", 1)])
def test_an_interrupted_read_or_write_is_made_again(
    mac: Kernel, name: str, argument: Any, ok: object
) -> None:
    gate = Interrupted(mac.syscalls, e.EINTR, e.EJUSTRETURN, *[e.EINTR] * 1000)
    app = mac.spawn("c", gate=gate)
    s = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, abi.SYSPROTO_CONTROL)
    assert not getattr(app.os, name)(s.fileno(), argument)
    with pytest.raises(SimDeadlock, match="EINTR"):
        getattr(app.os, name)(s.fileno(), argument)


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_the_terminal_is_not_modelled(app: App, os: ModuleType, fd: int) -> None:
    for call in (
        lambda: os.read(fd, 1),
        lambda: os.write(fd, b"x"),
        lambda: os.close(fd),
        lambda: os.dup(fd),
        lambda: os.dup2(7, fd),
        lambda: os.get_blocking(fd),
        lambda: app.fcntl.ioctl(fd, abi.FIOCLEX),
        lambda: app.select.select([fd], [], [], 0),
    ):
        with pytest.raises(NotImplementedError, match=f"descriptor {fd}"):
            call()


def test_dup2_closes_what_was_there(mac: Kernel, os: ModuleType, app: App, s: Any) -> None:
    other = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, abi.SYSPROTO_CONTROL)
    other.connect("org.kextlab.echo")
    assert os.dup2(s.fileno(), other.fileno()) == 4
    assert mac.statistics().sockets == 1
    assert other.getpeername() == (1, 1)
    assert os.get_inheritable(4) is True
    assert os.dup2(3, 20, inheritable=False) == 20
    assert os.get_inheritable(20) is False


def test_dup2_to_itself_does_nothing(mac: Kernel, os: ModuleType, fd: int) -> None:
    start = len(mac.trace)
    assert os.dup2(fd, fd) == fd
    assert len(mac.trace) == start


def test_closing_one_duplicate_leaves_the_other(mac: Kernel, os: ModuleType, fd: int) -> None:
    copy = os.dup(fd)
    os.close(fd)
    os.write(copy, b"x")
    assert os.read(copy, 1) == b"x"
    os.close(copy)
    assert mac.statistics().sockets == 0


def test_a_duplicate_of_a_descriptor_opened_behind_its_back_works(
    mac: Kernel, app: App, os: ModuleType
) -> None:
    _, number = mac.syscalls.socket(app.pid, 32, 2, 2)
    copy = os.dup(number)
    assert os.get_blocking(copy) is True
    os.set_blocking(number, False)


def test_who_the_process_is(mac: Kernel, os: ModuleType) -> None:
    assert (os.getpid(), os.getuid(), os.geteuid(), os.name) == (100, 501, 501, "posix")
    assert mac.spawn("root", uid=0).os.getuid() == 0
    assert os.strerror(35) == "Resource temporarily unavailable"
    assert os.error is OSError
    assert not hasattr(os, "fstat")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", ("x", 1)),
        ("read", (3, "x")),
        ("write", (3, "x")),
        ("close", ("x",)),
        ("close", (None,)),
        ("dup", ("x",)),
    ],
)
def test_a_wrong_argument_of_os_is_refused_as_by_the_host(
    os: ModuleType, name: str, arguments: tuple[Any, ...]
) -> None:
    same(lambda: getattr(os, name)(*arguments), lambda: getattr(host_os, name)(*arguments))


def test_negative_numbers_are_the_systems_errors(os: ModuleType, fd: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        os.read(fd, -1)
    for call in (lambda: os.read(-1, 1), lambda: os.dup2(fd, -1), lambda: os.close(-1)):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call()
    with pytest.raises(OverflowError):
        os.read(1 << 40, 1)


# -- select ----------------------------------------------------------------------------------------


def test_select_answers_the_objects_that_are_ready(select: ModuleType, s: Any, fd: int) -> None:
    assert select.select([s], [s, fd], [s], 0) == ([], [s, fd], [])
    s.send(b"x")
    assert select.select((s, fd), [], []) == ([s, fd], [], [])


def test_a_timeout_passes_at_once_and_without_one_it_is_a_deadlock(
    select: ModuleType, s: Any
) -> None:
    assert select.select([s], [], [], 1000.0) == ([], [], [])
    assert select.select([], [], [], 5) == ([], [], [])
    for lists in (([s], [], []), ([], [], [s]), ([], [], [])):
        with pytest.raises(SimDeadlock, match="nobody is left to make one ready"):
            select.select(*lists)


@pytest.mark.parametrize(
    "arguments",
    [
        (5, [], [], 0),
        (["x"], [], [], 0),
        ([-1], [], [], 0),
        ([2000], [], [], 0),
        ([], [], [], -1),
        ([], [], [], "x"),
        ([99], [], [], 0),
        ([], [], [99], 0),
    ],
)
def test_a_wrong_argument_of_select_is_refused_as_by_the_host(
    select: ModuleType, arguments: tuple[Any, ...]
) -> None:
    # Linux overlooks a descriptor beyond its table, whose size depends on what ran before: grow it.
    host_os.close(host_fcntl.fcntl(2, host_fcntl.F_DUPFD, 99))
    same(lambda: select.select(*arguments), lambda: host_select.select(*arguments))


def test_poll_answers_descriptors_with_events(select: ModuleType, os: ModuleType, s: Any) -> None:
    poll = select.poll()
    poll.register(s)
    assert poll.poll() == [(3, select.POLLOUT)]
    s.send(b"x")
    assert poll.poll(0) == [(3, select.POLLIN | select.POLLOUT)]
    poll.modify(s, select.POLLIN)
    assert poll.poll(-1) == [(3, select.POLLIN)]
    s.recv(1)
    assert poll.poll(100) == []
    for timeout in (None, -1):
        with pytest.raises(SimDeadlock, match=r"poll\(\) waits"):
            poll.poll(timeout)
    os.close(3)
    assert poll.poll() == [(3, select.POLLNVAL)]
    poll.unregister(3)
    assert poll.poll(0) == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("register", ("x",)), ("modify", (5, 1)), ("unregister", (5,)), ("register", (5, -1))],
)
def test_a_wrong_argument_of_poll_is_refused_as_by_the_host(
    select: ModuleType, name: str, arguments: tuple[Any, ...]
) -> None:
    ours, theirs = select.poll(), host_select.poll()
    same(lambda: getattr(ours, name)(*arguments), lambda: getattr(theirs, name)(*arguments))


def test_poll_has_darwins_numbers(select: ModuleType) -> None:
    assert (select.POLLIN, select.POLLOUT, select.POLLNVAL, select.POLLWRNORM) == (1, 4, 32, 4)
    assert (select.poll.__module__, select.poll.__qualname__) == ("select", "poll")
