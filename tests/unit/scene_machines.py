"""Machines for scene documents, the same every time: small ones, a rich one, a large one."""

import contextlib
from typing import Any

from kextlab import Kernel
from kextlab.abi import SIOCSKEVFILT, KevRequest
from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext
from kextlab.sched.stop import KernelPanic
from tests.unit.views_machines import Forgetful, client, echoing, send

kept: list[Any] = []  # sockets that must not be closed by the garbage collector


class Dropping(EchoKext):
    """An echo kext that hides a full queue from its client: send succeeds, the echo is lost."""

    def send(self, kctlref: int, unit: int, unitinfo: Any, m: Any, flags: int) -> int:
        super().send(kctlref, unit, unitinfo, m, flags)
        return 0


class Stats(Kext):
    """A privileged stream control that writes to whoever is connected."""

    bundle_id = "org.kextlab.stats"

    def __init__(self) -> None:
        self.ref = Out()

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.bundle_id,
            ctl_flags=4 | 1,
            ctl_connect=lambda kctlref, sac, unitinfo: 0,
            ctl_disconnect=lambda kctlref, unit, unitinfo: 0,
        )
        return self.kpi.ctl_register(reg, self.ref)

    def write(self, size: int) -> int:
        """Queue bytes for unit 1."""
        data = bytes(at % 251 for at in range(size))
        return self.kpi.ctl_enqueuedata(self.ref.value, 1, data, size, 0)

    def stop(self) -> int:
        return self.kpi.ctl_deregister(self.ref.value)


class Brief(Stats):
    """A control that comes and goes."""

    bundle_id = "org.kextlab.brief"


def echo() -> Kernel:
    """Two clients of an echo kext; several datagrams wait, one was refused."""
    mac, s = echoing(1024, 320, 2048, 160, 1440, 128)
    other = client(mac, "client2")
    send(other, (512, 1536, 2048, 2048, 2048, 2048))
    kept.extend([s, other])
    return mac


def full() -> Kernel:
    """Datagrams, a stream, events, a cut read, refusals, a lost event: about 200 moments."""
    mac = Kernel()
    mac.load(Dropping)
    stats = mac.load(Stats)
    watcher = mac.spawn("watcher")
    w = watcher.socket.socket(watcher.socket.PF_SYSTEM, watcher.socket.SOCK_RAW, 1)
    watcher.fcntl.ioctl(w, SIOCSKEVFILT, KevRequest(1, 3, 2).pack())
    w.setsockopt(watcher.socket.SOL_SOCKET, watcher.socket.SO_RCVBUF, 64)
    one, two = client(mac, "client"), client(mac, "client2")
    nosy = mac.spawn("nosy").socket
    n = nosy.socket(nosy.PF_SYSTEM, nosy.SOCK_STREAM, nosy.SYSPROTO_CONTROL)
    with contextlib.suppress(PermissionError):
        n.connect("org.kextlab.stats")
    n.close()
    root = mac.spawn("statsd", uid=0).socket
    d = root.socket(root.PF_SYSTEM, root.SOCK_STREAM, root.SYSPROTO_CONTROL)
    d.connect("org.kextlab.stats")
    for turn, size in enumerate((64, 700, 1440, 33, 2048, 512, 1024, 90)):
        text = b"the quick echo of unit 1: what a client sends comes back as one datagram. " * 40
        one.send(text[:size])
        stats.write(300 + 50 * turn)
        if turn % 3 != 2:
            one.recv(4096)
        with contextlib.suppress(OSError):
            two.send(text[: 256 * (turn + 1)])
        if turn % 2:
            d.recv(333)
    one.recvmsg(1000)
    mac.unload(mac.load(Brief))
    mac.load(Brief)
    for size in (1440, 1024, 2048, 160, 900):
        one.send(bytes([size % 256]) * size)
        two.send(bytes([size % 251]) * size)
    with contextlib.suppress(OSError):
        two.send(bytes(2049))
    w.recv(64)
    two.recv(100)
    d.recv(100, root.MSG_PEEK)
    kept.extend([one, two, w, d])
    return mac


def panic() -> Kernel:
    """A kext went without ctl_deregister; the next client's connect ends the machine."""
    mac = Kernel()
    other = client_of_echo(mac)
    other.send(b"still here")
    mac.unload(mac.load(lambda: Forgotten("org.kextlab.forgetful")))
    s = client(mac, "victim", None)
    with contextlib.suppress(KernelPanic):
        s.connect("org.kextlab.forgetful")
    kept.extend([s, other])
    return mac


class Forgotten(Forgetful):
    """Forgets ctl_deregister, under a name of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.bundle_id = self.control_name = name


def client_of_echo(mac: Kernel) -> Any:
    """A client of a well-behaved echo kext beside."""
    mac.load(EchoKext)
    return client(mac, "client")


def many(clients: int = 200, steps: int = 20_000) -> Kernel:
    """So many clients of one kext, at work until the trace has so many steps."""
    mac = Kernel()
    mac.load(EchoKext)
    sockets = [client(mac, f"client{number + 1}") for number in range(clients)]
    turn = 0
    while len(mac.trace) < steps:
        for s in sockets:
            with contextlib.suppress(OSError):
                s.send(bytes([turn % 256]) * (64 + 37 * (turn % 50)))
            if (turn * 7) % 5 < 3:
                with contextlib.suppress(OSError):
                    s.recv(4096, 0x80)
            turn += 1
    kept.extend(sockets)
    return mac


def empty() -> Kernel:
    """A machine nobody has touched."""
    return Kernel()


def refused_unload() -> Kernel:
    """A kext that may not go while it has a client."""
    mac, s = echoing(5)
    with contextlib.suppress(KextError):
        mac.unload(mac.kexts()[0])
    kept.append(s)
    return mac
