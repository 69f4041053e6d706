"""Machines and programs that the tests of scenarios share; their code has a place to be found."""

from __future__ import annotations

from typing import Any

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.scenario import Program, Scenario
from kextlab.userland.process import App


def control(app: App) -> Any:  # the app's own socket class
    """A control socket of that process, connected to the echo kext."""
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    return s


def flooded(records: int = 12) -> Kernel:
    """A notebook's session: one client that does not read until its queue is full."""
    mac = Kernel()
    mac.load(EchoKext)
    s = control(mac.spawn("client", uid=501))
    s.setblocking(False)
    lost = 0
    for _ in range(records):
        try:
            s.send(bytes(1000))
        except OSError:
            lost += 1
    assert lost == max(records - 8, 0)
    return mac


async def echo(app: App, records: int = 6, pause: float = 0.001) -> int:
    """Sends records and, in a second task that goes on waiting, reads their echoes; how many were
    lost."""
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.setblocking(False)
    loop = app.asyncio.get_running_loop()
    await loop.sock_connect(s, "org.kextlab.echo")
    lost = 0

    async def reader() -> None:
        while True:
            await loop.sock_recv(s, 4096)

    app.asyncio.create_task(reader())
    for _ in range(records):
        try:
            await loop.sock_sendall(s, bytes(1000))
        except OSError:
            lost += 1
        await app.asyncio.sleep(pause)
    return lost


def two_programs(**changes: Any) -> Scenario:
    """Two echoing programs in processes of their own."""
    programs = [Program("one", echo), Program("two", echo, args=(15,))]
    return Scenario(kexts=[EchoKext], programs=programs, **changes)
