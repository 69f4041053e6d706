"""launchd's sockets: started by the first client, the listening socket handed over, kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.userland.launchd import LaunchdError
from kextlab.userland.process import App

PATH = "/usr/libexec/thing"
SOCKET = "/var/run/thing"
SOCKETS: dict[str, Any] = {"SockPathName": SOCKET, "SockPathMode": 0o666}
JOB: dict[str, Any] = {
    "Label": "thing",
    "Program": PATH,
    "Sockets": {"Listener": SOCKETS},
    "ThrottleInterval": 5,
}


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


class Thing:
    """A daemon that answers each client in capitals, and does what some words say."""

    def __init__(self) -> None:
        self.served: list[tuple[int, bytes]] = []

    def program(self) -> Callable[..., Any]:
        async def serve(app: App) -> None:
            (fd,) = app.launch.launch_activate_socket("Listener")
            listener = app.socket.socket(fileno=fd)
            listener.setblocking(False)
            loop = app.asyncio.get_running_loop()
            while True:
                s, _ = await loop.sock_accept(listener)
                word = await loop.sock_recv(s, 100)
                self.served.append((app.pid, word))
                if word == b"die!":
                    raise RuntimeError("it hurts")
                await loop.sock_sendall(s, word.upper())
                s.close()
                if word == b"done":
                    return

        return serve


@pytest.fixture
def thing() -> Thing:
    return Thing()


def ask(app: App, word: bytes) -> Any:
    """A client: what it is answered."""

    async def client(app: App) -> bytes:
        loop = app.asyncio.get_running_loop()
        s = app.socket.socket(1)
        s.setblocking(False)
        await loop.sock_connect(s, SOCKET)
        await loop.sock_sendall(s, word)
        answer: bytes = await loop.sock_recv(s, 100)
        s.close()
        return answer

    return app.run(client)


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


# -- on demand ---------------------------------------------------------------------------------


def test_the_first_client_starts_the_job_and_is_served(mac: Kernel, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing.program()})
    mac.run()
    assert (job.runs, mac.launchd.list()) == (0, [(None, 0, "thing")])
    tasks = [ask(mac.spawn("client"), word) for word in (b"one", b"two")]
    mac.run()
    assert [task.result() for task in tasks] == [b"ONE", b"TWO"]
    assert job.app is not None
    assert (job.app.name, job.app.uid, job.runs) == ("thing", 0, 1)
    ask(mac.spawn("client"), b"more")
    mac.run()
    assert job.runs == 1
    assert in_step(mac)


def test_clients_that_came_before_the_daemon_find_their_connections_kept(
    mac: Kernel, thing: Thing
) -> None:
    mac.launchd.load(JOB, {PATH: thing.program()})
    app = mac.spawn("client")
    s = app.socket.socket(1)
    s.connect(SOCKET)
    s.send(b"early")
    mac.run()
    assert s.recv(100) == b"EARLY"


def test_a_job_that_ends_is_started_by_the_next_client_after_its_throttle(
    mac: Kernel, thing: Thing
) -> None:
    job = mac.launchd.load(JOB, {PATH: thing.program()})
    first = ask(mac.spawn("client"), b"done")
    mac.run()
    assert (first.result(), job.pid, job.runs) == (b"DONE", 0, 1)
    second = ask(mac.spawn("client"), b"again")
    mac.run(until=4.9)
    assert job.runs == 1
    mac.run()
    assert (second.result(), job.runs) == (b"AGAIN", 2)
    assert mac.now == 5


def test_a_crash_loses_who_was_accepted_and_keeps_who_waits(mac: Kernel, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing.program()})
    app = mac.spawn("client")
    ends = [app.socket.socket(1) for _ in range(2)]
    for s, word in zip(ends, (b"die!", b"wait"), strict=True):
        s.connect(SOCKET)
        s.send(word)
    mac.run()
    assert ends[0].recv(100) == b""
    assert ends[1].recv(100) == b"WAIT"
    assert [word for _, word in thing.served] == [b"die!", b"wait"]
    assert (job.runs, job.status) == (2, 1)
    assert mac.now == 5
    assert in_step(mac)


def test_a_job_may_have_sockets_and_services(mac: Kernel, thing: Thing) -> None:
    job = mac.launchd.load(JOB | {"MachServices": {"a": True}}, {PATH: thing.program()})
    mac.launchd.start("thing")
    mac.run()
    assert job.runs == 1
    task = ask(mac.spawn("client"), b"hello")
    mac.run()
    assert task.result() == b"HELLO"
    assert job.runs == 1


def test_a_datagram_starts_a_job_too(mac: Kernel) -> None:
    got = []

    def program(app: App) -> None:
        (fd,) = app.launch.launch_activate_socket("Listener")
        got.append(app.socket.socket(fileno=fd).recvfrom(100))

    pytest.importorskip("greenlet")
    mac.launchd.load(
        JOB | {"Sockets": {"Listener": SOCKETS | {"SockType": "dgram"}}}, {PATH: program}
    )
    app = mac.spawn("client")
    s = app.socket.socket(1, 2)
    s.sendto(b"one", SOCKET)
    mac.run()
    assert got == [(b"one", "")]


def test_a_name_may_stand_for_several_sockets(mac: Kernel) -> None:
    got: list[list[int]] = []

    async def program(app: App) -> None:
        got.append(app.launch.launch_activate_socket("Listener"))

    more = {"SockPathName": "/var/run/more", "SockFamily": "Unix", "SockPassive": True}
    mac.launchd.load(JOB | {"Sockets": {"Listener": [SOCKETS, more]}}, {PATH: program})
    root = mac.spawn("root", uid=0)
    root.socket.socket(1).connect("/var/run/more")
    with pytest.raises(PermissionError):
        mac.spawn("client").socket.socket(1).connect("/var/run/more")  # mode 755
    mac.run(until=1)
    assert got == [[3, 4]]


# -- asking ------------------------------------------------------------------------------------


def test_launch_activate_socket_gives_each_name_once_to_a_job(mac: Kernel) -> None:
    seen: list[int | None] = []

    async def program(app: App) -> None:
        for name in ("Other", "Listener", "Listener"):
            try:
                app.launch.launch_activate_socket(name)
            except OSError as error:
                seen.append(error.errno)

    mac.launchd.load(JOB, {PATH: program})
    mac.launchd.start("thing")
    mac.run()
    assert seen == [e.ENOENT, e.EALREADY]
    with pytest.raises(ProcessLookupError) as refusal:
        mac.spawn("client").launch.launch_activate_socket("Listener")
    assert refusal.value.errno == e.ESRCH
    mac.launchd.start("thing")
    mac.run()
    assert seen == [e.ENOENT, e.EALREADY] * 2  # a new run may ask again
    assert in_step(mac)


def test_a_machine_without_a_trace_hands_over_too(thing: Thing) -> None:
    mac = Kernel(trace=False)
    mac.launchd.load(JOB, {PATH: thing.program()})
    task = ask(mac.spawn("client"), b"hello")
    mac.run()
    assert task.result() == b"HELLO"


def test_another_gate_has_no_launchd(mac: Kernel) -> None:
    app = mac.spawn("client", gate=mac.syscalls)
    with pytest.raises(NotImplementedError, match="launchd over another gate"):
        _ = app.launch


# -- loading and unloading -----------------------------------------------------------------------


def test_a_path_left_from_before_is_taken_over(mac: Kernel, thing: Thing) -> None:
    app = mac.spawn("client")
    app.socket.socket(1).bind(SOCKET)
    mac.launchd.load(JOB, {PATH: thing.program()})
    task = ask(app, b"hello")
    mac.run()
    assert task.result() == b"HELLO"


def test_two_jobs_do_not_share_a_path(mac: Kernel, thing: Thing) -> None:
    mac.launchd.load(JOB, {PATH: thing.program()})
    before = mac.snapshot()
    with pytest.raises(LaunchdError, match="other: thing has a socket at /var/run/thing"):
        mac.launchd.load(JOB | {"Label": "other"}, {PATH: thing.program()})
    assert mac.snapshot() == before


def test_unloading_closes_the_sockets_and_leaves_the_path(mac: Kernel, thing: Thing) -> None:
    mac.launchd.load(JOB, {PATH: thing.program()})
    mac.run()
    mac.launchd.unload("thing")
    mac.run()
    with pytest.raises(ConnectionRefusedError):
        mac.spawn("client").socket.socket(1).connect(SOCKET)
    assert mac.statistics().sockets == 1
    mac.launchd.load(JOB, {PATH: thing.program()})
    task = ask(mac.spawn("client"), b"hello")
    mac.run()
    assert task.result() == b"HELLO"
    assert in_step(mac)


@pytest.mark.parametrize(
    ("sockets", "kind", "said"),
    [
        ([], ValueError, "Sockets is [] (an array), expected a dictionary"),
        (
            {"L": "x"},
            ValueError,
            "Sockets['L'] is 'x' (a string), expected a dictionary or an array",
        ),
        ({"L": [5]}, ValueError, "Sockets['L'][0] is 5 (an integer), expected a dictionary"),
        ({"L": {}}, ValueError, "Sockets['L'][SockPathName] is missing; a local socket has a path"),
        (
            {"L": {"SockPathName": 5}},
            ValueError,
            "Sockets['L'][SockPathName] is 5 (an integer), expected a string",
        ),
        (
            {"L": {"SockPathName": "x" * 104}},
            ValueError,
            "Sockets['L'][SockPathName] has 104 bytes, expected less than 104",
        ),
        (
            {"L": SOCKETS | {"SockPathMode": 512}},
            ValueError,
            "Sockets['L'][SockPathMode] is 512, expected 0 to 511 (octal 777)",
        ),
        (
            {"L": SOCKETS | {"SockPathMode": True}},
            ValueError,
            "Sockets['L'][SockPathMode] is True (true or false), expected an integer",
        ),
        (
            {"L": SOCKETS | {"SockType": "raw"}},
            ValueError,
            "Sockets['L'][SockType] is 'raw', expected one of stream, dgram, seqpacket",
        ),
        (
            {"L": SOCKETS | {"SockType": "seqpacket"}},
            NotImplementedError,
            "SockType seqpacket of Sockets['L'] is not modelled; stream, dgram is",
        ),
        (
            {"L": SOCKETS | {"SockFamily": "IPv4"}},
            NotImplementedError,
            "SockFamily IPv4 of Sockets['L'] is not modelled; Unix is",
        ),
        (
            {"L": SOCKETS | {"SockPassive": False}},
            NotImplementedError,
            "SockPassive false of Sockets['L'] is not modelled; true is",
        ),
        (
            {"L": SOCKETS | {"SockServiceName": "http"}},
            NotImplementedError,
            "the key SockServiceName of Sockets['L'] is not modelled; modelled are SockPathName, "
            "SockPathMode, SockType, SockFamily, SockPassive",
        ),
        (
            {"L": [SOCKETS, SOCKETS]},
            ValueError,
            "Sockets['L'][1][SockPathName] is '/var/run/thing', named twice",
        ),
    ],
)
def test_what_a_list_says_wrong_of_sockets_is_told_in_a_line(
    sockets: Any, kind: type[Exception], said: str, mac: Kernel, thing: Thing
) -> None:
    before = mac.snapshot()
    with pytest.raises(kind) as refusal:
        mac.launchd.load(JOB | {"Sockets": sockets}, {PATH: thing.program()})
    assert str(refusal.value) == f"property list: {said}"
    assert mac.snapshot() == before
