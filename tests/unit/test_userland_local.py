"""A process's local sockets: what CPython offers on a Mac for AF_UNIX."""

import os as host_os
import socket as host
import struct
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.abi.constants import LOCAL_PEERPID, SOL_LOCAL
from kextlab.remote.syscalls import LoopbackSyscalls
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.process import App

PATH = "/tmp/server"


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("client")


@pytest.fixture
def server(mac: Kernel) -> App:
    return mac.spawn("server")


def listening(app: App, backlog: int = 5, path: str = PATH) -> Any:
    s = app.socket.socket(app.socket.AF_UNIX)
    s.bind(path)
    s.listen(backlog)
    return s


def connected(app: App, listener: Any, path: str = PATH) -> tuple[Any, Any]:
    s = app.socket.socket(app.socket.AF_UNIX)
    s.connect(path)
    return s, listener.accept()[0]


# -- as the host's own CPython -------------------------------------------------------------------


def outcome(socket: Any, program: Any, path: str) -> Any:
    try:
        return program(socket, path)
    except (OSError, TypeError, ValueError) as error:
        return type(error), str(error).partition("] ")[2] or str(error)


def _names(socket: Any, path: str) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        before = s.getsockname()
        s.bind(path)
        s.listen()
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(path)
            accepted, address = s.accept()
            with accepted:
                return (
                    before,
                    s.getsockname() == path,
                    c.getpeername() == path,
                    (address, accepted.getpeername(), c.getsockname()),
                    (accepted.family, accepted.type, accepted.gettimeout()),
                )


def _pair(socket: Any, path: str) -> Any:
    one, two = socket.socketpair()
    with one, two:
        one.sendall(b"abc")
        one.shutdown(socket.SHUT_WR)
        return two.recv(2), two.recv(9), two.recv(9), two.recvfrom(3), one.family, one.proto


def _datagrams(socket: Any, path: str) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as c:
            sent = (
                c.sendto(b"one", path),
                c.sendto(b"two", 0, path),
                c.sendmsg([b"thr", b"ee"], [], 0, path),
            )
            c.connect(path)
            return sent, c.send(b""), [s.recv(9) for _ in range(4)]


def _passed(socket: Any, path: str) -> Any:
    one, two = socket.socketpair()
    three, four = socket.socketpair()
    with one, two, three, four:
        socket.send_fds(one, [b"take ", b"this"], [three.fileno(), four.fileno()])
        data, fds, flags, _ = socket.recv_fds(two, 100, 5)
        with socket.socket(fileno=fds[0]) as copy, socket.socket(fileno=fds[1]):
            copy.send(b"through")
            return data, len(fds), flags, four.recv(9), copy.family, copy.type


def _bad_address(address: object) -> Any:
    def program(socket: Any, path: str) -> Any:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(address)

    return program


@pytest.mark.parametrize(
    "program",
    [
        _names,
        _pair,
        _datagrams,
        _passed,
        _bad_address(5),
        _bad_address(None),
        _bad_address("x" * 108),
        _bad_address("/tmp/kextlab/no/such"),
    ],
)
def test_a_program_sees_what_it_sees_under_the_hosts_cpython(
    program: Any, app: App, tmp_path: Any
) -> None:
    path = str(tmp_path / "s")
    ours, theirs = outcome(app.socket, program, path), outcome(host, program, path)

    def plain(
        value: Any,
    ) -> Any:  # enumerations compare by what they say
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return repr(value) if not isinstance(value, str | bytes | bool) else value

    # Linux tells a nameless sender of a stream as '' where Darwin says nothing.
    assert str(plain(ours)).replace("None", "''") == str(plain(theirs)).replace("None", "''")


@pytest.mark.parametrize("path", ["x" * 104, b"x" * 104, "ü" * 52])
def test_darwins_paths_are_shorter(path: object, app: App) -> None:
    with pytest.raises(OSError, match=r"^AF_UNIX path too long$") as refusal:
        app.socket.socket(app.socket.AF_UNIX).bind(path)
    assert refusal.value.errno is None


def test_a_path_may_be_bytes_and_any_text(app: App) -> None:
    for path in (b"/tmp/bytes", bytearray(b"/tmp/array"), "/tmp/ü\udcff"):
        s = app.socket.socket(app.socket.AF_UNIX)
        s.bind(path)
        wanted = path if isinstance(path, str) else path.decode()
        assert s.getsockname() == wanted
        app.os.unlink(path)


# -- refusals ------------------------------------------------------------------------------------


def test_a_refusal_has_darwins_number_and_pythons_class(mac: Kernel, app: App, server: App) -> None:
    def fresh(kind: int = 1) -> Any:
        return app.socket.socket(app.socket.AF_UNIX, kind)

    with pytest.raises(FileNotFoundError):
        fresh().connect(PATH)
    listener = listening(server, 1)
    fresh().connect(PATH)
    with pytest.raises(ConnectionRefusedError) as refusal:
        fresh().connect(PATH)
    assert refusal.value.errno == e.ECONNREFUSED == 61
    assert fresh().connect_ex(PATH) == e.ECONNREFUSED
    with pytest.raises(OSError, match="Address already in use") as refusal2:
        fresh().bind(PATH)
    assert refusal2.value.errno == 48
    stranger = mac.spawn("stranger", uid=502)
    with pytest.raises(PermissionError):
        stranger.socket.socket(1).connect(PATH)
    with pytest.raises(PermissionError):
        stranger.os.unlink(PATH)
    server.os.chmod(PATH, 0o666)
    listener.accept()
    stranger.socket.socket(1).connect(PATH)
    one, two = app.socket.socketpair()
    two.close()
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    assert app.signals == ["SIGPIPE"]
    with pytest.raises(OSError, match="Destination address required"):
        fresh(2).send(b"x")


def test_a_pair_of_the_system_domain_is_refused(app: App) -> None:
    with pytest.raises(OSError, match="Operation not supported"):
        app.socket.socketpair(app.socket.PF_SYSTEM, app.socket.SOCK_DGRAM, 2)


# -- the object ----------------------------------------------------------------------------------


def test_a_local_socket_shows_its_paths(app: App, server: App) -> None:
    listener = listening(server)
    ours, _ = connected(app, listener)
    assert repr(listener) == f"<socket.socket fd=3, family=1, type=1, proto=0, laddr={PATH}>"
    assert repr(ours) == f"<socket.socket fd=3, family=1, type=1, proto=0, raddr={PATH}>"
    again = ours.dup()
    assert (again.family, again.type) == (app.socket.AF_UNIX, app.socket.SOCK_STREAM)


def test_a_descriptor_tells_its_family_and_type(app: App) -> None:
    one, two = app.socket.socketpair(app.socket.AF_UNIX, app.socket.SOCK_DGRAM)
    taken = app.socket.socket(fileno=one.detach())
    assert (taken.family, taken.type) == (app.socket.AF_UNIX, app.socket.SOCK_DGRAM)
    with pytest.raises(OSError, match="Bad file descriptor"):
        app.socket.socket(fileno=99)
    taken.send(b"x")
    assert two.recv(9) == b"x"


def test_an_accepted_socket_blocks_unless_it_was_told_not_to(app: App, server: App) -> None:
    listener = listening(server)
    listener.settimeout(5)
    assert connected(app, listener)[1].gettimeout() is None
    listener.setblocking(False)
    accepted = connected(app, listener)[1]
    assert server.fcntl.fcntl(accepted, server.fcntl.F_GETFL) & server.os.O_NONBLOCK
    assert accepted.gettimeout() is None  # the object does not know; as in CPython
    server.socket.setdefaulttimeout(3)
    assert connected(app, listener)[1].gettimeout() == 3


def test_accept_waits_no_longer_than_its_time_out(mac: Kernel, server: App) -> None:
    listener = listening(server)
    listener.settimeout(2)
    with pytest.raises(TimeoutError):
        listener.accept()
    assert mac.now == 2
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_messages_with_addresses_can_be_read_into_buffers(app: App, server: App) -> None:
    s = server.socket.socket(1, 2)
    s.bind(PATH)
    c = app.socket.socket(1, 2)
    c.bind("/tmp/client")
    for data in (b"one", b"two", b"three"):
        c.sendto(data, PATH)
    buffer = bytearray(4)
    assert s.recvfrom_into(buffer) == (3, "/tmp/client")
    assert s.recvmsg_into([buffer]) == (3, [], 0, "/tmp/client")
    assert s.recvmsg(4) == (b"thre", [], server.socket.MSG_TRUNC, "/tmp/client")


def test_control_data_that_is_cut_is_warned_of(app: App) -> None:
    socket = app.socket
    one, two = socket.socketpair()
    socket.send_fds(one, [b"x"], [one.fileno(), two.fileno()])
    with pytest.warns(RuntimeWarning, match="improperly-truncated"):
        data, items, flags, _ = two.recvmsg(9, socket.CMSG_LEN(4))
    assert (data, flags) == (b"x", socket.MSG_CTRUNC)
    assert items == [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("<i", 5))]


def test_whoever_holds_the_peer_is_known(mac: Kernel, app: App, server: App) -> None:
    listener = listening(server)
    ours, theirs = connected(app, listener)
    uid = struct.unpack_from(
        "<I", theirs.getsockopt(SOL_LOCAL, server.socket.LOCAL_PEERCRED, 76), 4
    )
    assert uid == (501,)
    assert theirs.getsockopt(SOL_LOCAL, LOCAL_PEERPID) == app.pid
    assert ours.getsockopt(SOL_LOCAL, LOCAL_PEERPID) == server.pid


# -- processes that end ---------------------------------------------------------------------------


def test_a_process_that_ends_closes_what_it_received_unasked(mac: Kernel, app: App) -> None:
    one, two = app.socket.socketpair()
    far, near = app.socket.socketpair()
    app.socket.send_fds(one, [b"x"], [far.fileno()])
    far.close()
    assert two.recv(9) == b"x"  # no room for descriptors: far is open again, under a number
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        near.recv(9)
    app.exit()
    assert mac.statistics().sockets == 0


def test_a_killed_server_ends_its_clients_reads(mac: Kernel, app: App, server: App) -> None:
    ours, _ = connected(app, listening(server))
    server.kill()
    assert ours.recv(9) == b""
    with pytest.raises(ConnectionRefusedError):
        app.socket.socket(1).connect(PATH)


# -- programs ------------------------------------------------------------------------------------


def test_blocking_programs_meet_in_accept_and_recv(mac: Kernel) -> None:
    pytest.importorskip("greenlet")
    got = []

    def serve(app: App) -> None:
        listener = listening(app)
        for _ in range(2):
            s, _ = listener.accept()
            with s:
                while data := s.recv(100):
                    s.sendall(data.upper())

    def ask(app: App, word: bytes) -> None:
        app.time.sleep(1)
        with app.socket.socket(1) as s:
            s.connect(PATH)
            s.sendall(word)
            got.append(s.recv(100))

    mac.spawn("server").run(serve)
    for word in (b"one", b"two"):
        mac.spawn(word.decode()).run(ask, word)
    mac.run()
    assert sorted(got) == [b"ONE", b"TWO"]


def test_async_programs_meet_in_accept_and_recv(mac: Kernel) -> None:
    got = []

    async def serve(app: App) -> None:
        loop = app.asyncio.get_running_loop()
        listener = listening(app)
        listener.setblocking(False)

        async def answer(s: Any) -> None:
            while data := await loop.sock_recv(s, 100):
                await loop.sock_sendall(s, data.upper())
            s.close()

        for _ in range(2):
            s, address = await loop.sock_accept(listener)
            assert address == ""
            assert s.gettimeout() == 0
            app.asyncio.create_task(answer(s))

    async def ask(app: App, word: bytes) -> None:
        loop = app.asyncio.get_running_loop()
        await app.asyncio.sleep(1)
        s = app.socket.socket(1)
        s.setblocking(False)
        await loop.sock_connect(s, PATH)
        await loop.sock_sendall(s, word)
        got.append(await loop.sock_recv(s, 100))
        s.close()

    mac.spawn("server").run(serve)
    for word in (b"one", b"two"):
        mac.spawn(word.decode()).run(ask, word)
    mac.run()
    assert sorted(got) == [b"ONE", b"TWO"]


def test_async_programs_send_datagrams_by_name(mac: Kernel) -> None:
    got = []

    async def serve(app: App) -> None:
        loop = app.asyncio.get_running_loop()
        s = app.socket.socket(1, 2)
        s.bind(PATH)
        s.setblocking(False)
        got.append(await loop.sock_recvfrom(s, 100))

    async def ask(app: App) -> None:
        loop = app.asyncio.get_running_loop()
        await app.asyncio.sleep(1)
        s = app.socket.socket(1, 2)
        s.bind("/tmp/client")
        s.setblocking(False)
        assert await loop.sock_sendto(s, b"hello", PATH) == 5

    mac.spawn("server").run(serve)
    mac.spawn("client").run(ask)
    mac.run()
    assert got == [(b"hello", "/tmp/client")]


def test_closing_the_listener_ends_another_threads_accept(mac: Kernel) -> None:
    pytest.importorskip("greenlet")
    app = mac.spawn("server")
    listener = listening(app)

    def wait(app: App) -> int | None:
        try:
            listener.accept()
        except ConnectionAbortedError as error:
            return error.errno
        return None

    def close(app: App) -> None:
        app.time.sleep(1)
        app.os.close(listener.fileno())

    waiting, _ = app.run(wait), app.run(close)
    mac.run()
    assert waiting.result() == e.ECONNABORTED
    assert mac.statistics().sockets == 0


def test_a_gate_over_bytes_carries_names_addresses_and_descriptors(mac: Kernel) -> None:
    one, two = (mac.spawn(name, gate=LoopbackSyscalls(mac.syscalls)) for name in ("one", "two"))
    listener = listening(one)
    ours, theirs = connected(two, listener)
    two.socket.send_fds(ours, [b"take"], [ours.fileno()])
    data, fds, _, address = one.socket.recv_fds(theirs, 9, 4)
    assert (data, len(fds), address) == (b"take", 1, None)
    one.socket.socket(fileno=fds[0]).send(b"to myself")
    assert theirs.recv(9) == b"to myself"
    with pytest.raises(FileNotFoundError):
        two.os.unlink("/tmp/none")
    pair = two.socket.socketpair(two.socket.AF_UNIX, two.socket.SOCK_DGRAM)
    pair[0].bind("/tmp/pair")
    pair[0].send(b"x")
    assert pair[1].recvfrom(9) == (b"x", "/tmp/pair")
    one.os.chmod(PATH, 0o600)


def test_a_deadlock_names_whoever_could_connect(mac: Kernel, server: App) -> None:
    with pytest.raises(SimDeadlock) as stop:
        server.select.select([listening(server)], [], [])
    assert stop.value.graph[0][3] == f"whoever connects to {PATH}"


def test_select_waits_for_a_client(mac: Kernel, app: App, server: App) -> None:
    listener = listening(server)

    async def later(client: App) -> None:
        await client.asyncio.sleep(3)
        s = client.socket.socket(1)
        s.setblocking(False)
        await client.asyncio.get_running_loop().sock_connect(s, PATH)

    app.run(later)
    assert server.select.select([listener], [], [], 10) == ([listener], [], [])
    assert mac.now == 3


def test_the_module_has_what_a_mac_has(app: App) -> None:
    assert app.os.remove is app.os.unlink
    for name in ("AF_UNIX", "SCM_RIGHTS", "send_fds", "recv_fds", "socketpair", "CMSG_SPACE"):
        assert hasattr(app.socket, name)
    assert host_os.name  # the host's own modules stay out of it
    with pytest.raises(FileNotFoundError):
        app.os.unlink("/tmp/none")


# -- scenarios -----------------------------------------------------------------------------------


def test_a_scenario_with_local_sockets_is_saved_and_run_again(
    mac: Kernel, app: App, server: App, tmp_path: Any
) -> None:
    from kextlab.scenario import Scenario

    ours, theirs = connected(app, listening(server))
    ours.sendall(b"hello")
    app.socket.send_fds(ours, [b"x"], [ours.fileno()])
    assert theirs.recv(9) == b"hello"
    assert server.socket.recv_fds(theirs, 9, 1)[1] == [5]
    server.os.unlink(PATH)
    app.exit()
    Scenario.of(mac).save(tmp_path / "local.json")
    run = Scenario.load(tmp_path / "local.json").run()
    assert list(run.mac.trace.entries()) == list(mac.trace.entries())
    assert run.mac.snapshot() == mac.snapshot()
