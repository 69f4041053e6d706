"""Local sockets as CPython has them: addresses that are paths, control data, pairs, passed files.

Read beside it: CPython's ``Modules/socketmodule.c`` (``getsockaddrarg``, ``makesockaddr``,
``sock_recvmsg_guts``, ``socket_socketpair``) and ``Lib/socket.py`` (``socketpair``, ``send_fds``,
``recv_fds``). Texts are those of CPython 3.11 and later on a Mac.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kextlab.abi.constants import (
    AF_UNIX,
    SCM_RIGHTS,
    SOCK_STREAM,
    SOL_SOCKET,
    SUN_PATH_SIZE,
)
from kextlab.abi.un import CMSGHDR_SIZE, cmsgs, sockaddr_un, sun_path
from kextlab.userland.arguments import Readable, as_bytes, c_int
from kextlab.userland.gate import check

if TYPE_CHECKING:
    from kextlab.userland.process import App
    from kextlab.userland.socket import Socket

Items = list[tuple[int, int, bytes]]
"""Control data as recvmsg returns it: (level, type, data)."""


def pathname(path: object) -> bytes:
    """A path as C has it. TypeError unless a str or bytes-like."""
    if isinstance(path, str):
        return path.encode("utf-8", "surrogateescape")
    return as_bytes(path)


def local_sockaddr(address: object) -> bytes:
    """``struct sockaddr_un`` of a path.

    Raises:
        OSError: without errno: the path has 104 bytes or more.
        TypeError: neither a str nor bytes-like.
    """
    path = pathname(address)
    if len(path) >= SUN_PATH_SIZE:
        raise OSError("AF_UNIX path too long")
    return sockaddr_un(path)


def local_address(nam: bytes) -> str:
    """The path of a ``struct sockaddr_un``; '' for a socket without a name."""
    return sun_path(nam).decode("utf-8", "surrogateescape")


def received(app: App, control: bytes) -> Items:
    """The items of control data; open files among them are descriptors of the process now."""
    items: Items = []
    for item in cmsgs(control):
        if item.cut:
            warnings.warn(
                "received malformed or improperly-truncated ancillary data",
                RuntimeWarning,
                stacklevel=4,
            )
        items.append((item.level, item.type, item.data))
        if (item.level, item.type) == (SOL_SOCKET, SCM_RIGHTS):
            for fd in _descriptors(item.data):
                app.files.opened(fd, inheritable=True)
    return items


def _descriptors(data: bytes) -> list[int]:
    return memoryview(data[: len(data) // 4 * 4]).cast("i").tolist()


def functions(app: App, cls: type[Socket]) -> dict[str, Callable[..., Any]]:
    """The functions of that process's ``socket`` module that only local sockets need."""

    def socketpair(
        family: int | None = None, type: int = SOCK_STREAM, proto: int = 0
    ) -> tuple[Socket, Socket]:
        """Two connected sockets, of AF_UNIX by default. EPROTONOSUPPORT, EOPNOTSUPP."""
        app.check()
        domain = AF_UNIX if family is None else c_int(family)
        errno, pair = app.gate.socketpair(app.pid, domain, c_int(type), c_int(proto))
        check(errno)
        for fd in pair:
            app.files.opened(fd)
        one, two = (cls(domain, type, proto, fd) for fd in pair)
        return one, two

    def send_fds(
        sock: Socket,
        buffers: Iterable[Readable],
        fds: Iterable[int],
        flags: int = 0,
        address: object = None,
    ) -> int:
        """Send descriptors, and the bytes in ``buffers``. CPython ignores the last two."""
        data = b"".join(c_int(fd).to_bytes(4, "little", signed=True) for fd in fds)
        return sock.sendmsg(buffers, [(SOL_SOCKET, SCM_RIGHTS, data)])

    def recv_fds(
        sock: Socket, bufsize: int, maxfds: int, flags: int = 0
    ) -> tuple[bytes, list[int], int, Any]:
        """(data, descriptors, flags, address): room for ``maxfds`` descriptors."""
        data, items, found, address = sock.recvmsg(bufsize, CMSGHDR_SIZE + 4 * maxfds)
        fds: list[int] = []
        for level, kind, each in items:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                fds += _descriptors(each)
        return data, fds, found, address

    return {"socketpair": socketpair, "send_fds": send_fds, "recv_fds": recv_fds}
