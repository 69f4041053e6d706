"""Small machines to draw and to tell of; the same every time."""

import contextlib
from collections.abc import Iterable
from typing import Any

from kextlab import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext
from kextlab.sched.stop import KernelPanic


class Forgetful(EchoKext):
    """Forgets ctl_deregister."""

    def stop(self) -> int:
        return 0


class Thorough(EchoKext):
    """Deregisters twice."""

    def stop(self) -> int:
        super().stop()
        return super().stop()


class Stream(Kext):
    """A stream control, with the send and receive sizes it is asked for."""

    bundle_id = "org.kextlab.stream"

    def __init__(self, name: str = "org.kextlab.stream", flags: int = 4, recvsize: int = 0) -> None:
        self.name, self.flags, self.recvsize = name, flags, recvsize
        self.bundle_id = name
        self.ref = Out()

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.name,
            ctl_flags=self.flags,
            ctl_recvsize=self.recvsize,
            ctl_connect=lambda kctlref, sac, unitinfo: 0,
        )
        return self.kpi.ctl_register(reg, self.ref)


def client(mac: Kernel, name: str = "client", control: Any = "org.kextlab.echo") -> Any:
    """A socket of a new process, connected unless ``control`` is None."""
    module = mac.spawn(name).socket
    kind = module.SOCK_STREAM if "stream" in str(control) else module.SOCK_DGRAM
    s = module.socket(module.PF_SYSTEM, kind, module.SYSPROTO_CONTROL)
    if control is not None:
        s.connect(control)
    return s


def echoing(*sizes: int) -> tuple[Kernel, Any]:
    """A machine with one client, who has sent messages of these sizes and read none."""
    mac = Kernel()
    mac.load(EchoKext)
    s = client(mac)
    send(s, sizes)
    return mac, s


def send(s: Any, sizes: Iterable[int]) -> None:
    """Send messages; what is refused is refused."""
    for size in sizes:
        with contextlib.suppress(OSError):
            s.send(bytes(size))


def panicked() -> Kernel:
    """A machine whose client connected to a control without code."""
    mac = Kernel()
    mac.unload(mac.load(Forgetful))
    s = client(mac, control=None)
    try:
        s.connect((1, 0))
    except KernelPanic:
        return mac
    raise AssertionError("no panic")
