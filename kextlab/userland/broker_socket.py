"""The broker over a local socket: a daemon that launchd starts when the first client connects.

launchd listens (``Sockets`` in the property list) and hands the listening socket over; the daemon
reads the kernel once and serves every client in a task of its own. Who a client is it asks the
kernel (LOCAL_PEERCRED), not the client.

When the daemon dies, no request is lost. Who waits to be accepted waits for the next run, because
the listening socket is launchd's. Whoever was accepted comes to the end of data before the answer
is whole, and repeats; so requests must be such that this does no harm.

    mac.load(StatusKext)
    mac.launchd.load(broker_socket.PLIST, {broker.PATH: broker_socket.daemon()})
    task = mac.spawn("client").run(broker_socket.ask)

A request is a question, 4 bytes; an answer an errno and a length, 4 bytes each, and data. One
connection carries one of each.

Read beside it: ``launch.h``, ``launchd.plist(5)``, ``getpeereid(3)``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kextlab.abi.constants import LOCAL_PEERCRED, SOL_LOCAL
from kextlab.abi.errno import ECONNRESET, ENOTCONN, EPIPE
from kextlab.abi.un import XUCRED_SIZE
from kextlab.userland.broker import PATH, READ, SERVICE, SIZE, Cache
from kextlab.userland.process import App

SOCKET_PATH: Final = "/var/run/org.kextlab.broker.socket"
LISTENERS: Final = "Listeners"
PLIST: Final = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "Sockets": {LISTENERS: {"SockPathName": SOCKET_PATH, "SockPathMode": 0o666}},
    "ThrottleInterval": 1,
}
GONE: Final = (EPIPE, ECONNRESET, ENOTCONN)
"""How a client, or the daemon, learns that the other has gone: before it sends (EPIPE), or in the
middle of the call (ENOTCONN)."""


def _word(number: int) -> bytes:
    return number.to_bytes(4, "little")


@contextmanager
def unless_gone() -> Iterator[None]:
    """What is done here ends when the other end has gone."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def ask(app: App, question: int = READ) -> bytes:
    """A client of the broker: what it answers. Asks again when the broker died over the question.

    Raises:
        OSError: the broker refused: EPERM, EINVAL; it is not loaded: ENOENT, ECONNREFUSED.
    """
    socket = app.socket
    while True:
        got = b""
        with unless_gone(), socket.socket(socket.AF_UNIX) as s:
            s.connect(SOCKET_PATH)
            s.sendall(_word(question))
            while data := s.recv(SIZE):
                got += data
        errno, length = (int.from_bytes(got[at : at + 4], "little") for at in (0, 4))
        if len(got) >= 8 and len(got) == 8 + length:
            break
    if errno:
        raise OSError(errno, f"the broker refused question {question}")
    return got[8:]


def daemon(work: float = 0) -> Callable[[App], Awaitable[None]]:
    """The daemon's program, which has a request in work for ``work`` s."""

    async def serve(app: App) -> None:
        (fd,) = app.launch.launch_activate_socket(LISTENERS)
        listener = app.socket.socket(fileno=fd)
        listener.setblocking(False)
        cache = Cache(app)
        loop = app.asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            app.asyncio.create_task(_answer(app, cache, client, work))

    return serve


async def _answer(app: App, cache: Cache, client: Any, work: float) -> None:  # Any: a socket
    loop = app.asyncio.get_running_loop()
    with client, unless_gone():
        asked = b""
        while len(asked) < 4:
            data = await loop.sock_recv(client, 4 - len(asked))
            if not data:
                return
            asked += data
        cred = client.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED_SIZE)
        if work:
            await app.asyncio.sleep(work)
        root = int.from_bytes(cred[4:8], "little") == 0
        errno, table = cache.answer(int.from_bytes(asked, "little"), root)
        await loop.sock_sendall(client, _word(errno) + _word(len(table)) + table)
