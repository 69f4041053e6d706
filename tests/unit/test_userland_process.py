"""Processes of the simulated Mac, its ``Kernel``, and what ``import kextlab`` gives."""

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

import kextlab
import kextlab.abi as abi
from kextlab import Kernel
from kextlab.kernel.kernel import Kernel as PlainKernel
from kextlab.kexts import EchoKext, Kext
from kextlab.sched.stop import KernelPanic
from kextlab.userland.process import App


@pytest.fixture
def mac() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    return mac


def client(app: App) -> Any:
    s = app.socket.socket(abi.PF_SYSTEM, abi.SOCK_DGRAM, abi.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    return s


def test_the_first_cell_of_every_notebook_works() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    app = mac.spawn("client", uid=501)
    socket, fcntl, os = app.socket, app.fcntl, app.os
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    s.send(b"hello")
    assert fcntl.ioctl(s, abi.FIONREAD, bytes(4)) == b"\5\0\0\0"
    assert os.read(s.fileno(), 100) == b"hello"


def test_a_process_says_who_it_is(mac: Kernel) -> None:
    app = mac.spawn("client", uid=0)
    assert (app.name, app.pid, app.uid, app.signals) == ("client", 100, 0, [])
    assert repr(app) == "<App 'client', pid 100, uid 0>"
    assert mac.spawn("other").uid == 501
    assert app.socket is app.socket
    assert app.gate is mac.syscalls


def test_two_processes_have_descriptors_of_their_own(mac: Kernel) -> None:
    one, other = mac.spawn("one"), mac.spawn("other")
    first, second = client(one), client(other)
    assert (first.fileno(), second.fileno()) == (3, 3)
    assert (first.getpeername(), second.getpeername()) == ((1, 1), (1, 2))
    first.setblocking(False)
    assert other.os.get_blocking(3) is True
    one.os.close(3)
    second.send(b"x")
    assert second.recv(1) == b"x"


def test_exit_closes_all_descriptors_the_highest_first(mac: Kernel) -> None:
    app = mac.spawn("client")
    sockets = [client(app) for _ in range(3)]
    app.os.dup(3)
    start = len(mac.trace)
    app.exit()
    app.exit()
    calls = [event.arguments[0] for event in mac.trace.events(start) if event.name == "close"]
    assert calls == [6, 5, 4, 3]
    assert mac.statistics().sockets == 0
    assert repr(app) == "<App 'client', pid 100, uid 501, exited>"
    with pytest.raises(OSError, match="Bad file descriptor"):
        sockets[0].send(b"x")


def test_an_exited_process_opens_nothing_and_is_not_listed(mac: Kernel) -> None:
    app, other = mac.spawn("client"), mac.spawn("other")
    assert mac.processes == [app, other]
    app.exit()
    assert mac.processes == [other]
    with pytest.raises(ProcessLookupError, match=r"process 100 \(client\) has exited"):
        client(app)


@pytest.mark.parametrize("panics", [False, True])
def test_after_a_reboot_the_old_processes_are_gone(mac: Kernel, panics: bool) -> None:
    app = mac.spawn("client")
    s = client(app)
    if panics:

        class Faulty(Kext):
            def start(self) -> int:
                raise RuntimeError("bug")

        with pytest.raises(KernelPanic):
            mac.load(Faulty)
        with pytest.raises(KernelPanic):
            s.send(b"x")
        with pytest.raises(KernelPanic):
            mac.spawn("late")
    mac.reboot()
    assert mac.processes == []
    assert mac.panic is None
    new = mac.spawn("new")
    assert new.pid == app.pid
    for call in (
        lambda: s.send(b"x"),
        lambda: s.recv(1),
        lambda: s.getpeername(),
        lambda: client(app),
        lambda: app.os.close(3),
        lambda: app.os.getpid(),
        lambda: app.os.getuid(),
        lambda: app.select.select([], [], [], 0),
        lambda: app.select.poll().poll(0),
    ):
        with pytest.raises(ProcessLookupError, match="no process 100 in this boot"):
            call()
    mac.load(EchoKext)
    client(new).send(b"x")


def test_the_kernel_of_notebooks_is_the_kernel_with_processes() -> None:
    mac = Kernel("xnu-7195.141.2", trace=False)
    assert isinstance(mac, PlainKernel)
    assert mac.release == "xnu-7195.141.2"
    assert len(mac.trace) == 0


def test_the_package_offers_its_names_lazily() -> None:
    assert kextlab.__version__ == version("kextlab")
    assert callable(kextlab.explain)
    assert {"Kernel", "explain", "__version__"} <= set(dir(kextlab))
    assert set(kextlab.__all__) == {"Kernel", "Scope", "explain"}
    with pytest.raises(AttributeError, match="no attribute 'Scop'"):
        kextlab.Scop  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import kextlab",
            ["kextlab.kernel", "kextlab.userland", "dataclasses", "importlib.metadata"],
        ),
        (
            "from kextlab import Kernel; Kernel()",
            ["socket", "asyncio", "ctypes", "kextlab.userland.socket", "kextlab.kernel.explain"],
        ),
        (
            "from kextlab import Kernel; Kernel().spawn('x').socket",
            ["socket", "select", "fcntl", "asyncio", "threading", "ctypes"],
        ),
    ],
)
def test_an_import_brings_in_no_more_than_it_needs(statement: str, absent: list[str]) -> None:
    probe = f"import sys; {statement}; print(sorted({set(absent)!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {probe}"],
        capture_output=True,
        text=True,
    )
    assert result.stdout == "[]\n", result.stderr


def test_a_process_of_an_old_boot_says_so(mac: Kernel) -> None:
    app = mac.spawn("client")
    mac.reboot()
    mac.reboot()
    assert repr(app) == "<App 'client', pid 100, uid 501, ended with boot 1>"
