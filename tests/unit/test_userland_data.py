"""Sending and receiving through socket objects: results, time-outs, records, files, signals."""

import ast
import io
from array import array
from types import ModuleType
from typing import Any

import pytest

import kextlab.abi as abi
from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.process import App


class Answering(Kext):
    """A control whose send callback echoes, or returns the errnos it is told."""

    bundle_id = name = "test.answering"
    flags = 0

    def __init__(self) -> None:
        self.ref = Out()
        self.sends: list[int] = []
        self.calls = 0
        self.refusal = 0

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.name,
            ctl_flags=self.flags,
            ctl_connect=lambda ref, sac, info: self.refusal,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ref)

    def send(self, ref: int, unit: int, info: Any, m: Any, flags: int) -> int:
        self.calls += 1
        self.kpi.mbuf_freem(m)
        return self.sends.pop(0) if self.sends else 0

    def put(self, data: bytes, unit: int = 1) -> int:
        return self.kpi.ctl_enqueuedata(self.ref.value, unit, data, len(data), abi.CTL_DATA_EOR)


class Stream(Answering):
    bundle_id = name = "test.stream"
    flags = abi.CTL_FLAG_REG_SOCK_STREAM


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


def client(app: App, name: str = "org.kextlab.echo", kind: int = abi.SOCK_DGRAM) -> Any:
    s = app.socket.socket(abi.PF_SYSTEM, kind, abi.SYSPROTO_CONTROL)
    s.connect(name)
    return s


@pytest.fixture
def s(app: App) -> Any:
    return client(app)


@pytest.fixture
def kext(mac: Kernel) -> Answering:
    return mac.load(Answering)


@pytest.fixture
def answered(app: App, kext: Answering) -> Any:
    return client(app, kext.name)


@pytest.fixture
def events(app: App) -> Any:
    s = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_RAW, abi.SYSPROTO_EVENT)
    app.fcntl.ioctl(s, abi.SIOCSKEVFILT, abi.KevRequest(0, 0, 0).pack())
    return s


# -- send and recv -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        bytearray(b"hello"),
        memoryview(b"hello"),
        array("B", b"hello"),
        type("Bytes", (bytes,), {})(b"hello"),
    ],
)
def test_any_bytes_like_object_is_sent(s: Any, data: Any) -> None:
    assert s.send(data) == 5
    assert s.recv(100) == b"hello"


def test_what_is_sent_does_not_change_with_the_buffer(s: Any) -> None:
    data = bytearray(b"one")
    s.send(data)
    data[:] = b"two"
    assert s.recv(3) == b"one"


def test_flags_pass_through(s: Any, socket: ModuleType) -> None:
    s.send(b"hello", socket.MSG_DONTWAIT)
    assert s.recv(100, socket.MSG_PEEK) == b"hello"
    assert s.recv(2, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"he"
    assert s.recv(True, socket.MSG_PEEK) == b"h"
    assert s.recv(100, 0) == b"hello"
    with pytest.raises(OSError, match="not supported") as info:
        s.recv(1, socket.MSG_OOB)
    assert info.value.errno == 102


def test_a_datagram_longer_than_the_buffer_is_cut(s: Any) -> None:
    s.send(b"hello")
    s.send(b"next")
    assert (s.recv(2), s.recv(100)) == (b"he", b"next")


def test_nothing_asked_for_is_nothing_done(mac: Kernel, s: Any) -> None:
    start = len(mac.trace)
    assert s.recv(0) == b""
    assert s.recv(False) == b""
    assert len(mac.trace) == start


def test_an_empty_queue_is_errno_35_on_any_host(s: Any) -> None:
    s.setblocking(False)
    with pytest.raises(BlockingIOError, match="Resource temporarily unavailable") as info:
        s.recv(1)
    assert info.value.errno == 35


def test_a_blocking_recv_on_an_empty_queue_is_a_deadlock(s: Any) -> None:
    with pytest.raises(SimDeadlock, match="nobody is left to wake it"):
        s.recv(1)
    s.send(b"x")
    assert s.recv(1) == b"x"


def test_a_send_before_connect_is_enotconn(socket: ModuleType) -> None:
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, 2)
    with pytest.raises(OSError, match="Socket is not connected") as info:
        s.send(b"x")
    assert info.value.errno == 57


def broken(app: App, kext: Answering) -> Any:
    """A socket whose connect was refused: it can neither send nor receive any more."""
    s = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, abi.SYSPROTO_CONTROL)
    kext.refusal = e.EACCES
    with pytest.raises(PermissionError):
        s.connect(kext.name)
    return s


def test_a_broken_pipe_is_an_exception_and_a_recorded_signal(app: App, kext: Answering) -> None:
    s = broken(app, kext)
    with pytest.raises(BrokenPipeError, match="Broken pipe") as info:
        s.send(b"x")
    assert info.value.errno == 32
    with pytest.raises(BrokenPipeError):
        app.os.write(s.fileno(), b"x")
    assert app.signals == ["SIGPIPE", "SIGPIPE"]


@pytest.mark.parametrize("recording", [True, False])
def test_a_signal_belongs_to_one_process_and_needs_the_trace(recording: bool) -> None:
    mac = Kernel(trace=recording)
    one, other = mac.spawn("one"), mac.spawn("other")
    s = broken(one, mac.load(Answering))
    with pytest.raises(BrokenPipeError):
        s.send(b"x")
    assert one.signals == (["SIGPIPE"] if recording else [])
    assert other.signals == []


class Odd:
    """A gate that answers calls of one name with given errnos first."""

    def __init__(self, gate: Any, name: str, *errnos: int) -> None:
        self.gate, self.name, self.errnos = gate, name, list(errnos)
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.gate, name)
        if name != self.name:
            return real

        def call(*args: Any) -> Any:
            self.calls += 1
            return (self.errnos.pop(0), None) if self.errnos else real(*args)

        return call


def odd(mac: Kernel, name: str, *errnos: int) -> tuple[Any, Odd]:
    gate = Odd(mac.syscalls, name, *errnos)
    return client(mac.spawn("odd", gate=gate)), gate


@pytest.mark.parametrize("method", ["send", "sendall"])
def test_an_interrupted_send_is_made_again(mac: Kernel, method: str) -> None:
    s, gate = odd(mac, "sendto", e.EINTR, e.EINTR)
    assert getattr(s, method)(b"x") in (1, None)
    assert gate.calls == 3
    assert s.recv(9) == b"x"


@pytest.mark.parametrize("method", ["send", "sendall"])
def test_a_send_that_is_always_interrupted_is_a_deadlock(mac: Kernel, method: str) -> None:
    s, _ = odd(mac, "sendto", *[e.EINTR] * 1000)
    with pytest.raises(SimDeadlock, match="EINTR"):
        getattr(s, method)(b"x")


@pytest.mark.parametrize("method", ["send", "sendall"])
def test_ejustreturn_seems_to_succeed_with_nothing(mac: Kernel, method: str) -> None:
    s, _ = odd(mac, "sendto", e.EJUSTRETURN, e.ERESTART)
    assert not getattr(s, method)(b"x")
    with pytest.raises(NotImplementedError, match="ERESTART"):
        getattr(s, method)(b"x")


def test_ejustreturn_of_a_send_callback_comes_through(answered: Any, kext: Answering) -> None:
    kext.sends = [e.EJUSTRETURN, e.EIO, -1000]
    assert answered.send(b"x") == 0
    with pytest.raises(OSError, match="Input/output error"):
        answered.send(b"x")
    with pytest.raises(OSError, match="Unknown error: -1000") as info:
        answered.send(b"x")
    assert info.value.errno == -1000


def test_an_interrupted_recv_is_made_again(mac: Kernel) -> None:
    s, _ = odd(mac, "recvfrom", e.EINTR, e.EINTR)
    s.send(b"x")
    assert s.recv(1) == b"x"


def test_ejustreturn_makes_a_recv_empty(mac: Kernel) -> None:
    s, _ = odd(mac, "recvfrom", e.EJUSTRETURN, e.EINTR, e.EJUSTRETURN)
    s.send(b"x")
    assert (s.recv(1), s.recv(1), s.recv(1)) == (b"", b"", b"x")


# -- time-outs -----------------------------------------------------------------------------------


def test_with_a_timeout_and_nothing_to_do_the_time_has_passed(s: Any) -> None:
    s.settimeout(5)
    for call in (
        lambda: s.recv(1),
        lambda: s.recv_into(bytearray(1)),
        lambda: s.recvfrom(1),
        lambda: s.recvmsg(1),
    ):
        with pytest.raises(TimeoutError, match=r"^timed out$") as info:
            call()
        assert info.value.errno is None
    s.send(b"x")
    assert s.recv(1) == b"x"


def test_a_send_without_room_times_out(app: App, mac: Kernel) -> None:
    stuck = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, 2)
    stuck.settimeout(1)
    with pytest.raises(TimeoutError, match="timed out"):
        stuck.send(b"x")  # never connected: poll never says writable, and Python asks it first


def test_eagain_is_a_timeout_where_there_is_one(mac: Kernel) -> None:
    s, _ = odd(mac, "sendto", e.EAGAIN, e.EAGAIN)
    with pytest.raises(BlockingIOError):
        s.send(b"x")
    s.settimeout(1)
    with pytest.raises(TimeoutError, match="timed out"):
        s.send(b"x")


def test_a_closed_socket_with_a_timeout_is_ebadf(s: Any) -> None:
    s.settimeout(1)
    s.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        s.recv(1)


def test_a_descriptor_closed_elsewhere_with_a_timeout_is_ebadf(app: App, s: Any) -> None:
    s.settimeout(1)
    app.os.close(s.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        s.recv(1)


# -- the other ways to send and receive ------------------------------------------------------------


def test_sendall_sends_all_of_a_stream(mac: Kernel, app: App) -> None:
    kext = mac.load(Stream)
    s = client(app, kext.name, abi.SOCK_STREAM)
    s.sendall(bytes(5000))
    assert kext.calls > 1
    s.sendall(b"")


def test_sendall_goes_on_after_a_part(mac: Kernel) -> None:
    seen = []

    class Half(Odd):
        def sendto(self, pid: int, fd: int, data: bytes, *rest: Any) -> Any:
            seen.append(data)
            return 0, (len(data) + 1) // 2

    client(mac.spawn("c", gate=Half(mac.syscalls, ""))).sendall(b"12345")
    assert seen == [b"12345", b"45", b"5"]


def test_sendto_a_connected_control_goes_to_its_peer_whatever_the_address(s: Any) -> None:
    assert s.sendto(b"x", (1, 1)) == 1
    assert s.sendto(b"x", 0, "org.kextlab.echo") == 1
    assert s.recv(9) == s.recv(9) == b"x"


def test_sendmsg_gathers_and_recvmsg_tells_the_end_of_the_record(
    s: Any, socket: ModuleType
) -> None:
    assert s.sendmsg([b"he", bytearray(b"ll"), memoryview(b"o")]) == 5
    data, ancdata, flags, address = s.recvmsg(100)
    assert (data, ancdata, address) == (b"hello", [], None)
    assert flags & socket.MSG_EOR
    s.send(b"hello")
    assert s.recvmsg(2, 0, socket.MSG_DONTWAIT)[2] & socket.MSG_TRUNC


def test_recvmsg_into_fills_one_buffer_after_the_other(s: Any) -> None:
    s.send(b"hello")
    buffers = [bytearray(2), bytearray(2), bytearray(4)]
    count, ancdata, _, address = s.recvmsg_into(buffers)
    assert (count, ancdata, address) == (5, [], None)
    assert buffers == [bytearray(b"he"), bytearray(b"ll"), bytearray(b"o\0\0\0")]


@pytest.mark.parametrize("count", [0, 1025])
def test_no_buffer_or_too_many_are_emsgsize(s: Any, count: int) -> None:
    for call in (
        lambda: s.sendmsg([b""] * count),
        lambda: s.recvmsg_into([bytearray(1)] * count),
    ):
        with pytest.raises(OSError, match="Message too long") as info:
            call()
        assert info.value.errno == 40


def test_control_data_and_an_address_reach_the_kernel(mac: Kernel) -> None:
    seen: list[Any] = []

    class Seen(Odd):
        def sendmsg(self, *args: Any) -> Any:
            seen.extend(args[2:])
            return 0, 1

    app = mac.spawn("c", gate=Seen(mac.syscalls, ""))
    s = client(app)
    s.sendmsg([b"x"], [(0xFFFF, -1, b"abcde"), [1, 2, bytearray(4)]], 8, (1, 2))
    datas, flags, address, control = seen
    assert (datas, flags) == ([b"x"], 8)
    assert address == abi.SockaddrCtl(sc_id=1, sc_unit=2).pack()
    assert control == bytes.fromhex(
        "11000000 ffff0000 ffffffff 6162636465000000 10000000 01000000 02000000 00000000"
    )
    assert (app.socket.CMSG_LEN(5), app.socket.CMSG_SPACE(5)) == (17, 20)
    for function in (app.socket.CMSG_LEN, app.socket.CMSG_SPACE):
        with pytest.raises(OverflowError, match="argument out of range"):
            function(-1)


@pytest.mark.parametrize("make", [bytearray, lambda n: memoryview(bytearray(n)).cast("H")])
def test_recv_into_fills_the_front_of_any_writable_buffer(s: Any, make: Any) -> None:
    buffer = make(8)
    s.send(b"hello")
    assert s.recv_into(buffer) == 5
    assert bytes(buffer) == b"hello\0\0\0"
    s.send(b"HELLO")
    assert s.recv_into(buffer, nbytes=2, flags=0) == 2
    assert bytes(buffer) == b"HEllo\0\0\0"


def test_recvfrom_has_no_address_on_a_control(s: Any, socket: ModuleType) -> None:
    s.send(b"hello")
    assert s.recvfrom(100, socket.MSG_PEEK) == (b"hello", None)
    buffer = bytearray(8)
    assert s.recvfrom_into(buffer) == (5, None)
    assert buffer == b"hello\0\0\0"


# -- event sockets ---------------------------------------------------------------------------------


def test_an_event_socket_is_read_with_recv_recv_into_and_os_read(
    mac: Kernel, app: App, events: Any
) -> None:
    for _ in range(3):
        mac.unload(mac.load(Gone))
    assert abi.KernEventMsg.unpack(events.recv(1024)).event_code == abi.KEV_CTL_REGISTERED
    buffer = bytearray(1024)
    size = events.recv_into(buffer)
    message = abi.KernEventMsg.unpack(buffer[:size])
    assert message.event_code == abi.KEV_CTL_DEREGISTERED
    assert len(app.os.read(events.fileno(), 1024)) == size


class Gone(Answering):
    bundle_id = name = "test.gone"

    def stop(self) -> int:
        return self.kpi.ctl_deregister(self.ref.value)


def test_an_event_socket_knows_no_addresses_so_recvfrom_and_recvmsg_fail(events: Any) -> None:
    for call in (
        lambda: events.recvfrom(10),
        lambda: events.recvfrom_into(bytearray(4)),
        lambda: events.recvmsg(10),
        lambda: events.recvmsg_into([bytearray(4)]),
    ):
        with pytest.raises(OSError, match=r"^getsockaddrlen: unknown PF_SYSTEM protocol$"):
            call()


def test_an_event_socket_cannot_send(events: Any) -> None:
    with pytest.raises(OSError, match="not supported") as info:
        events.send(b"x")
    assert info.value.errno == 102


# -- makefile --------------------------------------------------------------------------------------


def test_an_unbuffered_file_keeps_the_record_boundaries(s: Any) -> None:
    with s.makefile("rwb", buffering=0) as file:
        assert file.write(b"first") == 5
        assert file.write(b"second") == 6
        file.flush()
        assert file.read(100) == b"first"
        assert file.read(3) == b"sec"
        assert (file.mode, file.name, file.fileno()) == ("rwb", 3, 3)
        assert (file.readable(), file.writable(), file.seekable()) == (True, True, False)
    assert file.name == -1
    file.close()
    for ask in (file.readable, file.writable, file.seekable, file.fileno, lambda: file.read(1)):
        with pytest.raises(ValueError, match="closed"):
            ask()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")


def test_a_buffered_reader_runs_records_together(s: Any) -> None:
    s.send(b"one\n")
    s.send(b"two\n")
    assert s.makefile("rb").read(8) == b"one\ntwo\n"


def test_text_files_read_and_write_lines(s: Any) -> None:
    with s.makefile("w", encoding="utf-8") as file:
        assert file.mode == "w"
        file.write("grüß dich\n")
    with s.makefile(encoding="utf-8", newline="\n") as file:
        assert file.readline() == "grüß dich\n"


def test_both_ways_buffered_is_a_pair(s: Any) -> None:
    file = s.makefile("rwb", -1)
    assert isinstance(file, io.BufferedRWPair)
    file.write(b"x")
    file.flush()
    assert file.read(1) == b"x"


def test_a_file_keeps_the_socket_open_until_it_is_closed(app: App, s: Any) -> None:
    file = s.makefile("rb", 0)
    s.send(b"late")
    s.close()
    assert s.fileno() == 3
    assert file.read(9) == b"late"
    file.close()
    assert s.fileno() == -1
    s._decref_socketios()


def test_a_file_of_a_socket_closed_first_leaves_it_open(s: Any) -> None:
    s.makefile("rb", 0).close()
    assert s.send(b"x") == 1


def test_a_nonblocking_file_answers_none(mac: Kernel) -> None:
    s, _ = odd(mac, "sendto", e.EAGAIN, e.EIO)
    s.setblocking(False)
    file = s.makefile("rwb", 0)
    assert file.read(1) is None
    assert file.write(b"x") is None
    with pytest.raises(OSError, match="Input/output error"):
        file.write(b"x")


def test_a_file_that_timed_out_is_not_read_again(s: Any) -> None:
    s.settimeout(1)
    file = s.makefile("rb", 0)
    with pytest.raises(TimeoutError):
        file.read(1)
    with pytest.raises(OSError, match="cannot read from timed out object"):
        file.read(1)


def test_a_file_raises_what_recv_raises(app: App, s: Any) -> None:
    file = s.makefile("rb", 0)
    app.os.close(s.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.read(1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.read(1)


def test_a_file_is_only_for_what_its_mode_says(s: Any, socket: ModuleType) -> None:
    with pytest.raises(io.UnsupportedOperation, match="not writable"):
        s.makefile("rb", 0).write(b"x")
    with pytest.raises(io.UnsupportedOperation, match="not readable"):
        s.makefile("wb", 0).readinto(bytearray(1))
    for mode in ("x", "", "br", "wr"):
        with pytest.raises(ValueError, match="invalid mode"):
            socket.SocketIO(s, mode)


# -- the gate --------------------------------------------------------------------------------------


class Loopback:
    """Every call and every answer crosses as text: nothing but plain values can pass."""

    def __init__(self, gate: Any) -> None:
        self.gate = gate
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self.calls.append(name)
            answer = getattr(self.gate, name)(*ast.literal_eval(repr(args)))
            return ast.literal_eval(repr(answer))

        return call


def test_a_process_behind_an_encoded_loop_back_notices_nothing(mac: Kernel) -> None:
    gate = Loopback(mac.syscalls)
    app = mac.spawn("far", gate=gate)
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    info = app.fcntl.ioctl(s, abi.CTLIOCGINFO, abi.CtlInfo.named("org.kextlab.echo").pack())
    s.connect((abi.CtlInfo.unpack(info).ctl_id, 0))
    s.sendmsg([memoryview(b"a"), bytearray(b"b")], [], socket.MSG_DONTWAIT)
    assert app.select.select([s], [s], [s], 0) == ([s], [s], [])
    assert s.recv(9, socket.MSG_PEEK) == b"ab"
    assert s.recvmsg(9)[0] == b"ab"
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == 2
    s.settimeout(True)
    assert repr(s.dup())
    app.exit()
    assert {"socket", "ioctl", "connect", "sendmsg", "poll", "dup", "close"} <= set(gate.calls)
    assert mac.statistics().sockets == 0
