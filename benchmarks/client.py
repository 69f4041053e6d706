"""A client as a notebook has one: a simulated process, and a control socket in it."""

from __future__ import annotations

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.userland.process import App
from kextlab.userland.socket import Socket


def echo_process(recording: bool = True) -> tuple[Kernel, App]:
    """A fresh kernel with the echo kext loaded, and a process on it."""
    mac = Kernel(trace=recording)
    mac.load(EchoKext)
    return mac, mac.spawn("client", uid=501)


def control_socket(app: App) -> Socket:
    """A datagram control socket of that process, not connected."""
    socket = app.socket
    s: Socket = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    return s
