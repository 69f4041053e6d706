"""A simulated process's ``socket`` module: what CPython offers on a Mac for PF_SYSTEM and AF_UNIX.

``Socket`` is the class behind ``app.socket.socket``; each process has a subclass of its own that
knows its process. Read beside it: CPython's ``Lib/socket.py``; texts are those of CPython 3.11 and
later. The calls themselves are in ``socket_calls``, addresses in ``socket_address`` and
``socket_unix``.

Left out: every other domain (NotImplementedError); sendfile; the finalizer: a socket that is
dropped, not closed, stays open until its process exits, so that no trace depends on garbage
collection. (Dropped files of ``makefile`` do close, as Python's ``io`` has it.)
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Self

from kextlab.abi.constants import SO_TYPE, SOCK_STREAM, SOL_SOCKET
from kextlab.abi.errno import EBADF, ECONNRESET, oserror
from kextlab.abi.ioctl import FIOCLEX, FIONCLEX
from kextlab.sched.stop import SimStop
from kextlab.userland.arguments import c_int, c_timeout, fildes
from kextlab.userland.files import modelled
from kextlab.userland.gate import check
from kextlab.userland.socket_address import cmsg_len, cmsg_space
from kextlab.userland.socket_calls import INT, Address, SocketCalls
from kextlab.userland.socket_constants import (
    CONSTANTS,
    UNMODELLED_DOMAINS,
    UNMODELLED_FUNCTIONS,
    AddressFamily,
    MsgFlag,
    SocketKind,
)
from kextlab.userland.socket_io import SocketIO, makefile
from kextlab.userland.socket_unix import functions

if TYPE_CHECKING:
    from kextlab.userland.process import App


class Socket(SocketCalls):
    """A socket of the system domain, or a local one.

    Args:
        family: PF_SYSTEM or AF_UNIX; AF_INET by default, as in CPython.
        type: SOCK_DGRAM or SOCK_STREAM (the default); SOCK_RAW for events.
        proto: SYSPROTO_CONTROL or ``kextlab.abi.SYSPROTO_EVENT``; 0 for a local socket.
        fileno: a descriptor to take over. The family of a system socket must be named then: it has
            no name to tell it by, so EOPNOTSUPP; and Darwin cannot tell the protocol, so it is 0.

    Raises:
        OSError: EAFNOSUPPORT, EPROTONOSUPPORT, EPROTOTYPE; EBADF (``fileno`` is not open).
        NotImplementedError: a domain that XNU has and the simulator has not.
    """

    __slots__ = ()

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        family, type, proto = c_int(family), c_int(type), c_int(proto)
        if fileno is not None:
            self._adopt(family, type, proto, c_int(fileno))
        else:
            self._app.check()
            family = int(AddressFamily.AF_INET) if family == -1 else family
            _modelled_domain(family)
            self._family = family
            self._type = SOCK_STREAM if type == -1 else type
            self._proto = max(proto, 0) if proto == -1 else proto
            errno, fd = self._app.gate.socket(self._pid, family, self._type, self._proto)
            check(errno)
            self._fd = fd
            self._app.files.opened(fd)
        self._timeout = self._default_timeout
        if self._timeout is not None:
            self._set_blocking(False)

    def _adopt(self, family: int, type: int, proto: int, fd: int) -> None:
        if fd < 0:
            raise ValueError("negative file descriptor")
        modelled(fd)
        gate = self._app.gate
        errno, nam = gate.getsockname(self._pid, fd)
        if (errno and family == -1) or errno == EBADF:
            raise oserror(errno)
        family = nam[1] if family == -1 else family
        _modelled_domain(family)
        self._family = family
        if type == -1:
            errno, (_, answer) = gate.getsockopt(self._pid, fd, SOL_SOCKET, SO_TYPE, INT)
            check(errno)
            type = int.from_bytes(answer, "little")
        self._fd, self._type, self._proto = fd, type, 0 if proto == -1 else proto

    # -- the object ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self._closed:
            self.close()

    def __repr__(self) -> str:
        cls = self.__class__
        closed = " [closed]" if self._closed else ""
        text = (
            f"<{cls.__module__}.{cls.__qualname__}{closed} fd={self._fd}, family={self._family:d}, "
            f"type={self._type:d}, proto={self._proto:d}"
        )
        if not closed:
            for name, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
                try:
                    address = ask()
                except (OSError, SimStop):  # a picture of a socket must not raise after a panic
                    continue
                if address:
                    text += f", {name}={address}"
        return text + ">"

    def __getstate__(self) -> object:
        raise TypeError(f"cannot pickle {self.__class__.__name__!r} object")

    @property
    def family(self) -> int:
        """AF_SYSTEM or AF_UNIX."""
        return AddressFamily(self._family)

    @property
    def type(self) -> int:
        """SOCK_DGRAM, SOCK_STREAM or SOCK_RAW."""
        try:
            return SocketKind(self._type)
        except ValueError:
            return self._type

    @property
    def proto(self) -> int:
        """The protocol number given to the constructor."""
        return self._proto

    @property
    def timeout(self) -> float | None:
        """Seconds, ``None`` for none."""
        return self._timeout

    def fileno(self) -> int:
        """The descriptor, -1 once closed."""
        return self._fd

    def dup(self) -> Self:
        """A second socket object with a descriptor of its own for the same socket. EBADF."""
        errno, fd = self._app.files.dup(self._fd)
        check(errno)
        sock = self.__class__(self._family, self._type, self._proto, fileno=fd)
        sock.settimeout(self._timeout)
        return sock

    def accept(self) -> tuple[Socket, Address]:
        """(a socket for the first client that waits, its path). EINVAL (not listening), EOPNOTSUPP
        (datagrams), EAGAIN."""
        fd, address = self._accept()
        sock = self.__class__(self._family, self._type, self._proto, fileno=fd)
        if self._default_timeout is None and self._timeout:  # Darwin passes non-blocking on
            sock.setblocking(True)
        return sock, address

    def detach(self) -> int:
        """Close the object, not the descriptor, which is returned."""
        self._closed = True
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        """Close the socket, once all its files are closed too. EBADF if its descriptor was closed
        behind its back; what a disconnect callback answers is lost in the kernel."""
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd != -1:
            errno = self._app.files.close(fd)
            if errno != ECONNRESET:
                check(errno)

    def _decref_socketios(self) -> None:
        if self._io_refs > 0:
            self._io_refs -= 1
        if self._closed:
            self.close()

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any] | SocketIO:
        """A file object of the socket; only ``"rwb"``-like modes with ``buffering=0`` keep the
        records of a datagram socket apart."""
        return makefile(self, mode, buffering, encoding, errors, newline)

    def get_inheritable(self) -> bool:
        """Whether a program the process turns into keeps the descriptor. EBADF."""
        self._app.files.status(self._fd)
        return self._fd in self._app.files.inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Whether a program the process turns into keeps the descriptor. EBADF."""
        check(self._app.files.ioctl(self._fd, FIONCLEX if inheritable else FIOCLEX, None)[0])

    def sendfile(self, file: object, offset: int = 0, count: int | None = None) -> int:
        """Not modelled."""
        raise NotImplementedError("socket.sendfile() is not modelled; read the file and sendall()")


def _modelled_domain(family: int) -> None:
    name = UNMODELLED_DOMAINS.get(family)
    if name is not None:
        raise NotImplementedError(
            f"{name} sockets are not modelled: a simulated process has PF_SYSTEM and AF_UNIX"
        )


class herror(OSError):
    """An address error of the old resolver; nothing here raises it."""

    __module__ = "socket"


class gaierror(OSError):
    """An address error of the resolver; nothing here raises it."""

    __module__ = "socket"


def module(app: App) -> ModuleType:
    """The ``socket`` module of that process."""
    cls: type[Socket] = type(
        "socket",
        (Socket,),
        {"__slots__": (), "__module__": "socket", "__doc__": Socket.__doc__, "_app": app},
    )

    def close(fd: int, /) -> None:
        """Close a descriptor. EBADF."""
        check(app.files.close(c_int(fd)))

    def dup(fd: int, /) -> int:
        """A second descriptor. EBADF."""
        errno, new = app.files.dup(c_int(fd))
        check(errno)
        return new

    def fromfd(fd: object, family: int, type: int, proto: int = 0) -> Socket:
        """A socket object with a duplicate of a descriptor. EBADF."""
        return cls(family, type, proto, dup(fildes(fd)))

    def getdefaulttimeout() -> float | None:
        """The time-out new sockets start with."""
        return cls._default_timeout

    def setdefaulttimeout(timeout: float | None, /) -> None:
        """The time-out new sockets start with: seconds, or ``None``."""
        cls._default_timeout = c_timeout(timeout)

    result = ModuleType("socket", "The socket module of a simulated process.")
    result.__dict__.update(
        CONSTANTS,
        AddressFamily=AddressFamily,
        SocketKind=SocketKind,
        MsgFlag=MsgFlag,
        socket=cls,
        SocketType=cls,
        SocketIO=SocketIO,
        error=OSError,
        timeout=TimeoutError,
        herror=herror,
        gaierror=gaierror,
        has_ipv6=True,
        close=close,
        dup=dup,
        fromfd=fromfd,
        getdefaulttimeout=getdefaulttimeout,
        setdefaulttimeout=setdefaulttimeout,
        CMSG_LEN=cmsg_len,
        CMSG_SPACE=cmsg_space,
        htons=_swap16,
        ntohs=_swap16,
        htonl=_swap32,
        ntohl=_swap32,
        **functions(app, cls),
    )
    for name in UNMODELLED_FUNCTIONS:
        setattr(result, name, _unmodelled(name))
    return result


def _swap16(x: int, /) -> int:
    """16 bits between the network's byte order and a Mac's."""
    return int.from_bytes(x.to_bytes(2, "little"), "big")


def _swap32(x: int, /) -> int:
    """32 bits between the network's byte order and a Mac's."""
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def _unmodelled(name: str) -> Callable[..., None]:
    def function(*_args: object, **_kwargs: object) -> None:
        raise NotImplementedError(
            f"socket.{name}() is not modelled: there are sockets of PF_SYSTEM and AF_UNIX only"
        )

    function.__name__ = function.__qualname__ = name
    return function
