"""Socket objects: creation, addresses, errors, options, as CPython has them on a Mac."""

import gc
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import kextlab.abi as abi
from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext
from kextlab.sched.stop import KernelPanic, SimDeadlock
from kextlab.userland.process import App

host = pytest.importorskip("socket")


class Answering(Kext):
    """A control whose callbacks return the errnos it is told."""

    bundle_id = name = "test.answering"
    flags = 0

    def __init__(self) -> None:
        self.ref = Out()
        self.answers: dict[str, Any] = {}
        self.seen: list[tuple[Any, ...]] = []

    def answer(self, what: str) -> int:
        answers = self.answers.get(what, 0)
        return answers.pop(0) if isinstance(answers, list) else answers

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.name,
            ctl_flags=self.flags,
            ctl_connect=self.connect,
            ctl_disconnect=lambda ref, unit, info: self.answer("disconnect"),
            ctl_send=self.send,
            ctl_setopt=self.setopt,
            ctl_getopt=self.getopt,
        )
        return self.kpi.ctl_register(reg, self.ref)

    def connect(self, ref: int, sac: Any, info: Out) -> int:
        if self.answers.get("deregister"):
            self.kpi.ctl_deregister(ref)
        return self.answer("connect")

    def send(self, ref: int, unit: int, info: Any, m: Any, flags: int) -> int:
        self.kpi.mbuf_freem(m)
        return self.answer("send")

    def setopt(self, ref: int, unit: int, info: Any, opt: int, data: Any, length: int) -> int:
        self.seen.append((opt, data, length))
        return self.answer("setopt")

    def getopt(self, ref: int, unit: int, info: Any, opt: int, data: Any, length: Out) -> int:
        if data is not None:
            answer = b"\xfe\xff\xff\xff12345"[: length.value]
            data[: len(answer)] = answer
            length.value = len(answer)
        return self.answer("getopt")


class Privileged(Answering):
    bundle_id = name = "test.privileged"
    flags = abi.CTL_FLAG_PRIVILEGED


@pytest.fixture
def mac() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    return mac


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("client")


@pytest.fixture
def socket(app: App) -> ModuleType:
    return app.socket


@pytest.fixture
def kext(mac: Kernel) -> Answering:
    return mac.load(Answering)


@pytest.fixture
def s(socket: ModuleType) -> Any:
    return socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)


@pytest.fixture
def events(socket: ModuleType) -> Any:
    return socket.socket(socket.PF_SYSTEM, socket.SOCK_RAW, abi.SYSPROTO_EVENT)


@pytest.fixture
def real() -> Iterator[Any]:
    one, other = host.socketpair(host.AF_UNIX, host.SOCK_DGRAM)
    yield one
    other.close()
    if one.fileno() != -1:
        os.close(one.detach())  # close() would wait for files that failed to be made


def raised(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as info:  # noqa: PT011  # which one is the question
        call()
    return info.type, str(info.value)


# -- the module ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PF_SYSTEM", 32),
        ("AF_SYSTEM", 32),
        ("SYSPROTO_CONTROL", 2),
        ("AF_UNIX", 1),
        ("AF_INET", 2),
        ("AF_INET6", 30),
        ("SOCK_STREAM", 1),
        ("SOCK_DGRAM", 2),
        ("SOCK_RAW", 3),
        ("SOL_SOCKET", 0xFFFF),
        ("SO_RCVBUF", 0x1002),
        ("SO_TYPE", 0x1008),
        ("MSG_PEEK", 2),
        ("MSG_DONTWAIT", 0x80),
        ("MSG_EOR", 8),
        ("SHUT_RDWR", 2),
        ("SOMAXCONN", 128),
    ],
)
def test_a_constant_has_darwins_value_on_any_host(
    socket: ModuleType, name: str, value: int
) -> None:
    assert getattr(socket, name) == value


@pytest.mark.parametrize(
    "name",
    ["SYSPROTO_EVENT", "AF_SYS_CONTROL", "CTLIOCGINFO", "SIOCGKEVID", "SO_NREAD", "SO_NOSIGPIPE"],
)
def test_what_cpython_never_exposes_is_an_attribute_error(socket: ModuleType, name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(socket, name)


def test_families_types_and_flags_are_enumerations(socket: ModuleType) -> None:
    assert repr(socket.AF_SYSTEM) == "<AddressFamily.AF_SYSTEM: 32>"
    assert repr(socket.SOCK_DGRAM) == "<SocketKind.SOCK_DGRAM: 2>"
    assert socket.MSG_PEEK | socket.MSG_DONTWAIT == 0x82
    assert repr(socket.AF_INET) == repr(host.AF_INET)


def test_the_error_names_are_those_of_cpython(socket: ModuleType) -> None:
    assert socket.error is OSError
    assert socket.timeout is TimeoutError
    assert issubclass(socket.herror, OSError)
    assert issubclass(socket.gaierror, OSError)
    assert socket.has_ipv6
    assert isinstance(socket, ModuleType)


@pytest.mark.parametrize("name", ["getaddrinfo", "create_server", "create_connection"])
def test_a_function_of_the_network_names_itself_as_not_modelled(
    socket: ModuleType, name: str
) -> None:
    with pytest.raises(NotImplementedError, match=rf"socket\.{name}\(\)"):
        getattr(socket, name)("x", 1)


def test_byte_order_is_that_of_a_mac(socket: ModuleType) -> None:
    assert socket.htons(0x1234) == socket.ntohs(0x1234) == 0x3412
    assert socket.htonl(1) == socket.ntohl(1) == 0x01000000
    with pytest.raises(OverflowError):
        socket.htons(1 << 16)


# -- creation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "name"),
    [(-1, "AF_INET"), (2, "AF_INET"), (30, "AF_INET6"), (17, "AF_ROUTE")],
)
def test_another_domain_of_xnu_is_not_modelled_and_named(
    socket: ModuleType, domain: int, name: str
) -> None:
    with pytest.raises(NotImplementedError, match=name):
        socket.socket(domain)


def test_the_default_family_is_inet_so_no_arguments_are_not_modelled(socket: ModuleType) -> None:
    with pytest.raises(NotImplementedError, match="AF_INET sockets"):
        socket.socket()


@pytest.mark.parametrize(
    ("arguments", "errno", "message"),
    [
        ((99, 2, 2), 47, "Address family not supported by protocol family"),
        ((16, 2, 2), 47, "Address family not supported by protocol family"),
        ((32, 2, 7), 43, "Protocol not supported"),
        ((32, 3, 2), 41, "Protocol wrong type for socket"),
    ],
)
def test_a_refused_creation_raises_darwins_number_and_text(
    socket: ModuleType, arguments: tuple[int, int, int], errno: int, message: str
) -> None:
    with pytest.raises(OSError, match=message) as info:
        socket.socket(*arguments)
    assert info.value.errno == errno
    assert info.value.strerror == message


def test_arguments_may_be_given_by_name_and_type_defaults_to_stream(socket: ModuleType) -> None:
    s = socket.socket(family=socket.PF_SYSTEM, proto=2)
    assert (s.family, s.type, s.proto, s.timeout) == (32, socket.SOCK_STREAM, 2, None)
    assert s.fileno() == 3
    assert socket.socket(socket.PF_SYSTEM, 2, -1).proto == 0


@pytest.mark.parametrize("arguments", [("x",), (1.5,), (1, 1, 0, "x"), (1, 1, 0, -1)])
def test_a_wrong_argument_is_refused_as_by_cpython(
    socket: ModuleType, arguments: tuple[Any, ...]
) -> None:
    assert raised(lambda: socket.socket(*arguments)) == raised(lambda: host.socket(*arguments))


def test_a_number_beyond_a_c_int_is_an_overflow(socket: ModuleType) -> None:
    with pytest.raises(OverflowError):
        socket.socket(1 << 40)
    with pytest.raises(OverflowError):
        socket.socket(-(1 << 40))


def test_the_class_can_be_subclassed(socket: ModuleType) -> None:
    class Tunnel(socket.socket):  # type: ignore[misc, name-defined]
        def __init__(self, name: str) -> None:
            super().__init__(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
            self.connect(name)

        def recv(self, *args: Any) -> bytes:
            raise AssertionError("recv_into does not come here")

    tunnel = Tunnel("org.kextlab.echo")
    tunnel.extra = 1
    tunnel.send(b"hello")
    assert tunnel.recv_into(bytearray(9)) == 5
    assert isinstance(tunnel, socket.socket)
    assert isinstance(tunnel, socket.SocketType)
    assert "Tunnel fd=3, family=32" in repr(tunnel)


def test_a_subclass_that_forgets_init_gets_ebadf(socket: ModuleType) -> None:
    class Forgetful(socket.socket):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            pass

    with pytest.raises(OSError, match="Bad file descriptor") as info:
        Forgetful().send(b"x")
    assert info.value.errno == 9


def test_a_socket_takes_no_new_attributes(s: Any, real: Any) -> None:
    for one in (s, real):
        with pytest.raises(AttributeError):
            one.extra = 1


def test_two_processes_have_classes_of_their_own(mac: Kernel) -> None:
    one, other = mac.spawn("one").socket, mac.spawn("other").socket
    assert one.socket is not other.socket
    assert (one.socket.__module__, one.socket.__qualname__) == ("socket", "socket")


# -- fileno= -------------------------------------------------------------------------------------


def test_a_descriptor_can_be_taken_over(socket: ModuleType, s: Any) -> None:
    s.connect("org.kextlab.echo")
    again = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2, fileno=s.detach())
    again.send(b"hi")
    assert again.recv(9) == b"hi"


def test_a_descriptor_without_a_family_is_eopnotsupp(socket: ModuleType, s: Any) -> None:
    with pytest.raises(OSError, match="Operation not supported on socket") as info:
        socket.socket(fileno=s.fileno())
    assert info.value.errno == 102


def test_of_a_descriptor_python_finds_the_type_but_not_the_protocol(
    socket: ModuleType, s: Any
) -> None:
    again = socket.socket(socket.PF_SYSTEM, fileno=s.fileno())
    assert (again.type, again.proto) == (socket.SOCK_DGRAM, 0)
    odd = socket.socket(socket.PF_SYSTEM, 99, 2, s.fileno())
    assert odd.type == 99


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((32, 2, 2, 77), OSError),
        ((32, -1, 2, 77), OSError),
        ((-1, 2, 2, 77), OSError),
        ((2, 2, 2, 3), NotImplementedError),
        ((32, 2, 2, 1), NotImplementedError),
    ],
)
def test_a_descriptor_that_does_not_fit_is_refused(
    socket: ModuleType, s: Any, arguments: tuple[int, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        socket.socket(*arguments)


def test_fromfd_dup_and_close_of_the_module(socket: ModuleType, s: Any) -> None:
    s.connect("org.kextlab.echo")
    copy = socket.fromfd(s, socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    assert copy.getpeername() == (1, 1)
    number = socket.dup(s.fileno())
    socket.close(number)
    with pytest.raises(OSError, match="Bad file"):
        socket.close(number)
    with pytest.raises(OSError, match="Bad file"):
        socket.dup(77)


# -- the object ----------------------------------------------------------------------------------


def test_the_repr_shows_the_peer_and_then_that_it_is_closed(s: Any, real: Any) -> None:
    assert repr(s) == "<socket.socket fd=3, family=32, type=2, proto=2>"
    s.connect("org.kextlab.echo")
    assert repr(s) == "<socket.socket fd=3, family=32, type=2, proto=2, raddr=(1, 1)>"
    s.close()
    assert repr(s) == "<socket.socket [closed] fd=-1, family=32, type=2, proto=2>"
    real.close()
    assert re.sub(r"family=\d+, type=\d+, proto=\d+", "", repr(s)) == re.sub(
        r"family=\d+, type=\d+, proto=\d+", "", repr(real)
    )


def test_the_repr_survives_a_panic(mac: Kernel, s: Any, kext: Answering) -> None:
    kext.answers = {"connect": None}
    kext.answer = None  # type: ignore[assignment, method-assign]  # calling it is a fault
    with pytest.raises(KernelPanic):
        s.connect(kext.name)
    assert repr(s) == "<socket.socket fd=3, family=32, type=2, proto=2>"


def test_a_socket_cannot_be_pickled(s: Any, real: Any) -> None:
    assert raised(lambda: pickle.dumps(s)) == raised(lambda: pickle.dumps(real))


def test_a_with_block_closes(s: Any) -> None:
    with s as same:
        assert same is s
    assert s.fileno() == -1
    with s:
        s.close()


def test_a_call_after_close_is_ebadf_and_a_second_close_is_nothing(s: Any) -> None:
    s.close()
    s.close()
    calls: list[Callable[[], object]] = [
        lambda: s.send(b"x"),
        lambda: s.recv(1),
        lambda: s.connect((1, 0)),
        lambda: s.setblocking(False),
        lambda: s.getpeername(),
        lambda: s.dup(),
        lambda: s.get_inheritable(),
        lambda: s.set_inheritable(True),
        lambda: s.listen(),
        lambda: s.shutdown(0),
    ]
    for call in calls:
        with pytest.raises(OSError, match="Bad file descriptor") as info:
            call()
        assert info.value.errno == 9


def test_what_a_disconnect_callback_answers_does_not_reach_close(s: Any, kext: Answering) -> None:
    s.connect(kext.name)
    kext.answers = {"disconnect": e.EIO}
    s.close()
    assert s.fileno() == -1


@pytest.mark.parametrize(("errno", "raises"), [(e.EBADF, True), (e.ECONNRESET, False)])
def test_close_raises_the_kernels_errno_but_swallows_econnreset(
    mac: Kernel, errno: int, raises: bool
) -> None:
    class Failing(Waiting):
        def close(self, *args: Any) -> tuple[int, None]:
            return errno, None

    socket = mac.spawn("client", gate=Failing(mac.syscalls, True, 0)).socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    if raises:
        with pytest.raises(OSError, match="Bad file descriptor"):
            s.close()
    else:
        s.close()
    assert s.fileno() == -1


def test_detach_leaves_the_descriptor_open(app: App, s: Any) -> None:
    s.connect("org.kextlab.echo")
    number = s.detach()
    assert s.fileno() == -1
    app.os.write(number, b"still")
    assert app.os.read(number, 9) == b"still"


def test_a_dup_is_the_same_socket_with_the_same_timeout(s: Any) -> None:
    s.connect("org.kextlab.echo")
    s.settimeout(2.5)
    with s.dup() as copy:
        assert (copy.fileno(), copy.gettimeout(), copy.type, copy.proto) == (4, 2.5, 2, 2)
        copy.send(b"x")
    assert s.recv(1) == b"x"


def test_a_dropped_socket_stays_open_so_that_no_trace_depends_on_garbage(
    mac: Kernel, socket: ModuleType
) -> None:
    socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2).connect("org.kextlab.echo")
    gc.collect()
    assert mac.statistics().sockets == 1


def test_descriptors_are_not_inheritable_until_asked(s: Any, real: Any) -> None:
    for one in (s, real):
        assert one.get_inheritable() is False
        one.set_inheritable(True)
        assert one.get_inheritable() is True
        one.set_inheritable(False)
        assert one.get_inheritable() is False


def test_sendfile_is_not_modelled_and_no_system_socket_accepts(s: Any, events: Any) -> None:
    with pytest.raises(NotImplementedError, match="sendfile"):
        s.sendfile(None)
    with pytest.raises(OSError, match="Invalid argument"):
        s.accept()
    with pytest.raises(OSError, match="getsockaddrlen"):
        events.accept()


# -- addresses -----------------------------------------------------------------------------------


def test_a_name_is_looked_up_and_gets_a_free_unit(s: Any) -> None:
    s.connect("org.kextlab.echo")
    assert s.getpeername() == (1, 1)


def test_a_pair_chooses_the_unit(s: Any) -> None:
    s.connect((1, 7))
    assert s.getpeername() == (1, 7)


def test_a_pair_is_taken_modulo_32_bits(s: Any) -> None:
    s.connect((1 + (1 << 32), -(1 << 32) + 9))
    assert s.getpeername() == (1, 9)


@pytest.mark.parametrize("name", ["org.kextlab.none", "", "x" * 95, "x" * 96, "é" * 48])
def test_a_failed_lookup_has_no_errno(s: Any, name: str) -> None:
    with pytest.raises(OSError, match=r"^cannot find kernel control with provided name$") as info:
        s.connect(name)
    assert type(info.value) is OSError
    assert info.value.errno is None


@pytest.mark.parametrize(("length", "asked"), [(95, 1), (96, 1), (97, 0)])
def test_a_name_of_96_bytes_reaches_the_kernel_and_one_of_97_does_not(
    mac: Kernel, s: Any, length: int, asked: int
) -> None:
    start = len(mac.trace)
    with pytest.raises((OSError, ValueError)):
        s.connect("x" * length)
    assert [event.name for event in mac.trace.events(start)].count("ioctl") == asked


@pytest.mark.parametrize(
    ("name", "words"), [("é" * 49, "provided string is too long"), ("a\0b", "embedded null byte")]
)
def test_a_name_that_does_not_fit_is_a_value_error(s: Any, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        s.connect(name)


@pytest.mark.parametrize(
    "address",
    [None, 5, b"org.kextlab.echo", [1, 0], (1,), (1, 2, 3), ("1", 0), (1, 0.0), (None, None)],
)
@pytest.mark.parametrize("caller", ["connect", "connect_ex", "bind"])
def test_any_other_address_is_a_type_error(s: Any, address: object, caller: str) -> None:
    words = rf"^{caller}\(\): PF_SYSTEM address must be a str or a pair \(id, unit\)$"
    with pytest.raises(TypeError, match=words):
        getattr(s, caller)(address)


def test_the_words_are_the_hosts_with_the_family_exchanged() -> None:
    with host.socket(host.AF_INET, host.SOCK_DGRAM) as inet:
        for caller in ("connect", "connect_ex", "bind"):
            with pytest.raises(TypeError, match=rf"^{caller}\(\): AF_INET address must be"):
                getattr(inet, caller)(5)


@pytest.mark.parametrize("caller", ["connect", "connect_ex", "bind"])
def test_an_event_socket_has_no_addresses(events: Any, caller: str) -> None:
    words = rf"^{caller}\(\): unsupported PF_SYSTEM protocol$"
    with pytest.raises(OSError, match=words) as info:
        getattr(events, caller)((1, 0))
    assert info.value.errno is None


@pytest.mark.parametrize("method", ["getpeername", "getsockname"])
def test_an_event_socket_has_no_names(events: Any, method: str) -> None:
    with pytest.raises(OSError, match=r"^getsockaddrlen: unknown PF_SYSTEM protocol$"):
        getattr(events, method)()


def test_a_control_has_no_name_of_its_own(s: Any) -> None:
    s.connect("org.kextlab.echo")
    with pytest.raises(OSError, match="Operation not supported on socket") as info:
        s.getsockname()
    assert info.value.errno == 102


def test_an_address_of_another_kernel_is_shown_and_an_empty_one_is_none(mac: Kernel) -> None:
    class Named(Waiting):
        def getsockname(self, *args: Any) -> tuple[int, bytes]:
            return 0, abi.SockaddrCtl(sc_id=4, sc_unit=5).pack()

        def getpeername(self, *args: Any) -> tuple[int, bytes]:
            return 0, b""

    socket = mac.spawn("client", gate=Named(mac.syscalls, True, 0)).socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    assert (s.getsockname(), s.getpeername()) == ((4, 5), None)
    assert repr(s) == "<socket.socket fd=3, family=32, type=2, proto=2, laddr=(4, 5)>"


# -- connecting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errno", "error"),
    [
        (e.EPERM, PermissionError),
        (e.ENOENT, FileNotFoundError),
        (e.ECONNREFUSED, ConnectionRefusedError),
        (e.EAGAIN, BlockingIOError),
        (e.ETIMEDOUT, TimeoutError),
        (e.EDEADLK, OSError),
        (e.EBUSY, OSError),
        (-5, OSError),
        (999, OSError),
    ],
)
def test_what_a_callback_answers_is_raised_with_darwins_class_and_number(
    s: Any, kext: Answering, errno: int, error: type[OSError]
) -> None:
    kext.answers = {"connect": errno}
    with pytest.raises(OSError) as info:  # noqa: PT011
        s.connect(kext.name)
    assert (type(info.value), info.value.errno) == (error, errno)
    assert info.value.strerror == e.message_of(errno)


def test_connect_ex_returns_darwins_number(s: Any, kext: Answering) -> None:
    kext.answers = {"connect": [e.EAGAIN, 0]}
    assert s.connect_ex(kext.name) == 35
    assert s.connect_ex(kext.name) == 0
    assert s.connect_ex(kext.name) == e.EISCONN


def test_a_privileged_control_refuses_uid_501_and_takes_root(mac: Kernel) -> None:
    mac.load(Privileged)
    for uid in (501, 0):
        socket = mac.spawn("client", uid=uid).socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        if uid:
            with pytest.raises(PermissionError, match="Operation not permitted") as info:
                s.connect("test.privileged")
            assert info.value.errno == 1
        else:
            s.connect("test.privileged")


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_ejustreturn_seems_to_succeed(s: Any, kext: Answering, method: str) -> None:
    kext.answers = {"connect": e.EJUSTRETURN}
    assert not getattr(s, method)(kext.name)


def test_erestart_from_connect_is_an_interrupted_call(s: Any, kext: Answering) -> None:
    kext.answers = {"connect": e.ERESTART}
    s.setblocking(False)
    with pytest.raises(InterruptedError):
        s.connect(kext.name)


def test_an_interrupted_connect_waits_until_writable_which_a_refused_socket_is(
    s: Any, kext: Answering
) -> None:
    kext.answers = {"connect": e.EINTR}
    s.connect(kext.name)  # so CPython believes
    with pytest.raises(OSError, match=r"not connected|Invalid argument"):
        s.getpeername()


def test_an_interrupted_connect_of_a_non_blocking_socket_is_an_interrupted_error(
    s: Any, kext: Answering
) -> None:
    kext.answers = {"connect": [e.EINTR, e.EINPROGRESS]}
    s.setblocking(False)
    with pytest.raises(InterruptedError):
        s.connect(kext.name)
    assert s.connect_ex(kext.name) == e.EINPROGRESS


class Waiting:
    """A gate whose socket is never writable, or has a pending error."""

    def __init__(self, gate: Any, writable: bool, pending: int) -> None:
        self.gate, self.writable, self.pending = gate, writable, pending

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gate, name)

    def connect(self, *args: Any) -> tuple[int, None]:
        return e.EINTR, None

    def poll(self, *args: Any) -> tuple[int, tuple[bool, bool]]:
        return 0, (False, self.writable)

    def getsockopt(self, *args: Any) -> tuple[int, tuple[int, bytes]]:
        return 0, (4, self.pending.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("writable", "pending", "timeout", "error", "number"),
    [
        (True, e.ECONNREFUSED, None, ConnectionRefusedError, e.ECONNREFUSED),
        (True, e.EISCONN, 1.0, None, 0),
        (False, 0, 1.0, TimeoutError, e.EAGAIN),
        (False, 0, None, SimDeadlock, None),
    ],
)
def test_what_becomes_of_an_interrupted_connect(
    mac: Kernel,
    writable: bool,
    pending: int,
    timeout: float | None,
    error: type[Exception] | None,
    number: int | None,
) -> None:
    socket = mac.spawn("client", gate=Waiting(mac.syscalls, writable, pending)).socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    s.settimeout(timeout)
    if error is None:
        s.connect((1, 0))
    else:
        with pytest.raises(error):
            s.connect((1, 0))
    if number is not None:
        assert s.connect_ex((1, 0)) == number


def test_bind_and_listen_are_the_kernels_answers(s: Any) -> None:
    with pytest.raises(OSError, match=r"Invalid argument|not supported"):
        s.bind((1, 0))
    with pytest.raises(OSError, match="not supported"):
        s.listen()
    with pytest.raises(OSError, match="not supported"):
        s.listen(-5)


# -- options -------------------------------------------------------------------------------------


def test_an_option_is_an_int_or_bytes(s: Any, socket: ModuleType) -> None:
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == 2
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 8) == b"\2\0\0\0"
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 1024) == b"\2\0\0\0"
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == socket.SO_KEEPALIVE


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ((-2,), (7, b"\xfe\xff\xff\xff", 4)),
        ((b"abc",), (7, b"abc", 3)),
        ((bytearray(b"abc"),), (7, b"abc", 3)),
        ((memoryview(b"abc"),), (7, b"abc", 3)),
        ((None, 0), (7, None, 0)),
    ],
)
def test_setsockopt_has_three_forms(
    s: Any, kext: Answering, value: tuple[Any, ...], seen: tuple[Any, ...]
) -> None:
    s.connect(kext.name)
    s.setsockopt(abi.SYSPROTO_CONTROL, 7, *value)
    opt, data, length = kext.seen[-1]
    assert (opt, data or None, length) == seen


def test_a_null_pointer_with_a_length_is_efault(s: Any, kext: Answering) -> None:
    s.connect(kext.name)
    with pytest.raises(OSError, match="Bad address") as info:
        s.setsockopt(abi.SYSPROTO_CONTROL, 7, None, 4)
    assert info.value.errno == 14


def test_a_controls_option_is_signed_and_cut_to_the_buffer(s: Any, kext: Answering) -> None:
    s.connect(kext.name)
    assert s.getsockopt(abi.SYSPROTO_CONTROL, 7) == -2
    assert s.getsockopt(abi.SYSPROTO_CONTROL, 7, 6) == b"\xfe\xff\xff\xff12"
    assert s.getsockopt(abi.SYSPROTO_CONTROL, 7, 100) == b"\xfe\xff\xff\xff12345"
    kext.answers = {"getopt": e.ENOPROTOOPT, "setopt": e.EJUSTRETURN}
    with pytest.raises(OSError, match="Protocol not available"):
        s.getsockopt(abi.SYSPROTO_CONTROL, 7)
    s.setsockopt(abi.SYSPROTO_CONTROL, 7, 1)


OPTION_CALLS: list[Callable[[Any, int, int], object]] = [
    lambda s, level, name: s.setsockopt(level, name, 1 << 40),
    lambda s, level, name: s.setsockopt(level, name, 1.5),
    lambda s, level, name: s.setsockopt(level, name, "x"),
    lambda s, level, name: s.setsockopt(level, name, None),
    lambda s, level, name: s.setsockopt(level, name, 5, 4),
    lambda s, level, name: s.setsockopt(level, name, None, "x"),
    lambda s, level, name: s.setsockopt("x", name, 5),
    lambda s, level, name: s.getsockopt(level, name, -1),
    lambda s, level, name: s.getsockopt(level, name, 1025),
    lambda s, level, name: s.getsockopt(level, name, "x"),
    lambda s, level, name: s.shutdown("x"),
    lambda s, level, name: s.listen("x"),
    lambda s, level, name: s.settimeout(-1),
    lambda s, level, name: s.settimeout(-0.5),
    lambda s, level, name: s.settimeout("x"),
    lambda s, level, name: s.settimeout(float("nan")),
    lambda s, level, name: s.settimeout(1e300),
    lambda s, level, name: s.settimeout(1 << 70),
    lambda s, level, name: s.recv(-1),
    lambda s, level, name: s.recv("x"),
    lambda s, level, name: s.recv(1 << 70),
    lambda s, level, name: s.recv(1.0),
    lambda s, level, name: s.recv(1, "x"),
    lambda s, level, name: s.recvfrom(-1),
    lambda s, level, name: s.recv_into(b"x"),
    lambda s, level, name: s.recv_into("x"),
    lambda s, level, name: s.recv_into(memoryview(bytearray(4))[::2]),
    lambda s, level, name: s.recv_into(bytearray(3), -1),
    lambda s, level, name: s.recv_into(bytearray(3), 4),
    lambda s, level, name: s.recvfrom_into(bytearray(3), 4),
    lambda s, level, name: s.recvmsg(-1),
    lambda s, level, name: s.recvmsg(1, -1),
    lambda s, level, name: s.recvmsg_into(5),
    lambda s, level, name: s.recvmsg_into([b"x"]),
    lambda s, level, name: s.send("x"),
    lambda s, level, name: s.send(None),
    lambda s, level, name: s.send(b"x", "f"),
    lambda s, level, name: s.send(b"x", 1 << 40),
    lambda s, level, name: s.send(b"x", -(1 << 40)),
    lambda s, level, name: s.send(memoryview(b"abcd")[::2]),
    lambda s, level, name: s.sendall("x"),
    lambda s, level, name: s.sendto(b"x"),
    lambda s, level, name: s.sendto(b"x", 1, 2, 3),
    lambda s, level, name: s.sendto(b"x", "f", "g"),
    lambda s, level, name: s.sendmsg(5),
    lambda s, level, name: s.sendmsg(["x"]),
    lambda s, level, name: s.sendmsg([b"x"], 5),
    lambda s, level, name: s.sendmsg([b"x"], [5]),
    lambda s, level, name: s.sendmsg([b"x"], [(1, 2)]),
    lambda s, level, name: s.sendmsg([b"x"], [(1, 2, "x")]),
    lambda s, level, name: s.makefile("x"),
    lambda s, level, name: s.makefile("r", 0),
]


@pytest.mark.parametrize("at", range(len(OPTION_CALLS)))
def test_a_wrong_argument_is_refused_with_the_hosts_class_and_words(
    s: Any, real: Any, socket: ModuleType, at: int
) -> None:
    call = OPTION_CALLS[at]
    ours = raised(lambda: call(s, socket.SOL_SOCKET, socket.SO_SNDBUF))
    theirs = raised(lambda: call(real, host.SOL_SOCKET, host.SO_SNDBUF))
    assert ours[0] is theirs[0]
    if sys.version_info < (3, 14):  # later versions may word it otherwise
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("value", [None, 0, 0.0, 1, 0.1, 2.3, 1e-10, True, 1e7])
def test_a_timeout_reads_back_as_on_the_host(s: Any, real: Any, value: float | None) -> None:
    for one in (s, real):
        one.settimeout(value)
    assert s.gettimeout() == real.gettimeout()
    assert s.getblocking() == real.getblocking()


@pytest.mark.parametrize("flag", [True, False, 1, 0, 7])
def test_setblocking_takes_an_int(s: Any, real: Any, flag: object) -> None:
    for one in (s, real):
        one.setblocking(flag)
    assert s.gettimeout() == real.gettimeout()
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        s.setblocking("x")


def test_the_default_timeout_is_for_new_sockets_of_this_process(mac: Kernel, app: App) -> None:
    socket = app.socket
    assert socket.getdefaulttimeout() is None
    socket.setdefaulttimeout(3)
    assert socket.getdefaulttimeout() == 3.0
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    assert s.gettimeout() == 3.0
    assert app.os.get_blocking(s.fileno()) is False
    assert mac.spawn("other").socket.getdefaulttimeout() is None
    with pytest.raises(ValueError, match="out of range"):
        socket.setdefaulttimeout(-1)
