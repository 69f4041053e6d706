"""The system calls of a socket object, with CPython's arguments, results and exceptions.

What ``_socket.socket`` is to CPython's ``socket.socket``. Read beside it: CPython's
``Modules/socketmodule.c`` (``getsockaddrlen``, ``makesockaddr``, ``sock_call_ex`` and the methods).

Time-outs: as in CPython a positive time-out makes the descriptor non-blocking and asks ``poll``
first; if that says no, the call waits in ``select``, other tasks run, and virtual time passes.
Without a time-out a call that sleeps for ever is the kernel's SimDeadlock.

EINTR, which only a callback can bring, makes CPython call again (PEP 475); after 100 times we
raise SimDeadlock. EJUSTRETURN from a callback seems to succeed with 0 or no data; ERESTART is
NotImplementedError (``gate.refused``).

In doubt: EAGAIN from a callback on a socket with a
time-out that is ready, where CPython calls again and again until the time has passed and we call
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from kextlab.abi.constants import (
    AF_SYSTEM,
    AF_UNIX,
    IOV_MAX,
    SO_ERROR,
    SOL_SOCKET,
    SYSPROTO_CONTROL,
)
from kextlab.abi.errno import EAGAIN, EINPROGRESS, EINTR, EISCONN, EMSGSIZE, oserror
from kextlab.abi.ioctl import FIONBIO
from kextlab.abi.structs import SockaddrCtl
from kextlab.sched.clock import SECOND
from kextlab.userland.arguments import (
    SSIZE_MAX,
    Readable,
    Writable,
    as_bytes,
    c_int,
    c_ssize,
    c_timeout,
    c_uint,
    room,
    write_into,
)
from kextlab.userland.gate import MAX_RETRIES, check, endless, refused
from kextlab.userland.socket_address import cmsg_block, control_sockaddr
from kextlab.userland.socket_unix import Items, local_address, local_sockaddr, received

if TYPE_CHECKING:
    from kextlab.userland.process import App

T = TypeVar("T")
Address = tuple[int, int] | str | None
"""(id, unit) of a control, the path of a local socket, ``None`` for none."""

_ABSENT: Final = object()
INT: Final = bytes(4)
"""A C int on its way to getsockopt."""


class SocketCalls:
    """A descriptor and its system calls."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_family",
        "_fd",
        "_io_refs",
        "_pid",
        "_proto",
        "_recvfrom",
        "_sendto",
        "_timeout",
        "_type",
    )
    _app: ClassVar[App]
    _closed: bool
    _family: int
    _fd: int
    _io_refs: int
    _pid: int
    _proto: int
    _recvfrom: Callable[..., tuple[int, bytes]]
    _sendto: Callable[..., tuple[int, int]]
    _timeout: float | None
    _type: int
    _default_timeout: ClassVar[float | None] = None

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Not open yet: a subclass may forget to call ``__init__``, and gets EBADF."""
        self = super().__new__(cls)
        app = cls._app
        self._pid = app.pid
        self._sendto = app.gate.sendto
        self._recvfrom = app.gate.recvfrom
        self._fd = -1
        self._family = AF_SYSTEM
        self._type = 0
        self._proto = 0
        self._timeout = None
        self._io_refs = 0
        self._closed = False
        return self

    # -- addresses -------------------------------------------------------------------------

    def _sockaddr(self, address: object, caller: str) -> bytes:
        if self._family == AF_UNIX:
            return local_sockaddr(address)
        return control_sockaddr(self._app, self._fd, self._proto, address, caller)

    def _has_address(self) -> None:
        """getsockaddrlen: of the system domain CPython knows addresses of controls only."""
        if self._family == AF_SYSTEM and self._proto != SYSPROTO_CONTROL:
            raise OSError("getsockaddrlen: unknown PF_SYSTEM protocol")

    def _address(self, nam: bytes) -> Address:
        if not nam:
            return None
        if self._family == AF_UNIX:
            return local_address(nam)
        found = SockaddrCtl.unpack(nam)
        return found.sc_id, found.sc_unit

    def connect(self, address: object, /) -> None:
        """Connect to a control: its name, or (id, unit) with unit 0 for any; a local socket to a
        path.

        Errors: those of the address (``control_sockaddr``, ``local_sockaddr``); EISCONN, ENOENT,
        EPROTOTYPE, EPERM, EBUSY, EINVAL; what a setup or connect callback answers; of a local
        socket ECONNREFUSED, EACCES, EOPNOTSUPP.
        """
        nam = self._sockaddr(address, "connect")
        errno, _ = self._app.gate.connect(self._pid, self._fd, nam)
        if errno:
            check(self._connecting(errno))

    def connect_ex(self, address: object, /) -> int:
        """As connect, but returns the kernel's errno. A bad address raises nevertheless."""
        nam = self._sockaddr(address, "connect_ex")
        errno, _ = self._app.gate.connect(self._pid, self._fd, nam)
        try:
            errno = self._connecting(errno)
        except TimeoutError:
            return EAGAIN
        if errno < 0:
            check(errno)
            return 0
        return errno

    def _connecting(self, errno: int) -> int:
        """What an interrupted connect comes to: Python waits until the socket is writable, which
        a disconnected one is, and reads SO_ERROR."""
        waits = self._timeout != 0 if errno == EINTR else bool(self._timeout)
        if not waits or errno not in (EINTR, EINPROGRESS):
            return errno
        gate = self._app.gate
        failed, (_, writable) = gate.poll(self._pid, self._fd)
        if not failed and not writable:
            self._wait(True, self._deadline())
        failed, (_, answer) = gate.getsockopt(self._pid, self._fd, SOL_SOCKET, SO_ERROR, INT)
        errno = failed or int.from_bytes(answer, "little")
        return 0 if errno == EISCONN else errno

    def bind(self, address: object, /) -> None:
        """Bind to a control's address, where it has a bind callback; give a local socket a path.
        Errors as connect's; EADDRINUSE."""
        nam = self._sockaddr(address, "bind")
        check(self._app.gate.bind(self._pid, self._fd, nam)[0])

    def listen(self, backlog: int = 128, /) -> None:
        """Let clients connect to a local stream. EOPNOTSUPP, EINVAL (no name, or connected)."""
        check(self._app.gate.listen(self._pid, self._fd, max(c_int(backlog), 0))[0])

    def _accept(self) -> tuple[int, Address]:
        """(descriptor, the client's address). EINVAL (not listening), EOPNOTSUPP, EAGAIN."""
        self._has_address()
        fd, nam = self._call(False, self._app.gate.accept) or (-1, b"")
        self._app.files.accepted(fd, self._fd)
        return fd, self._address(nam)

    def getpeername(self) -> Address:
        """(id, unit) of the control, the path of a local peer. ENOTCONN, EINVAL (shut both ways); a
        plain OSError on an event socket."""
        self._has_address()
        errno, nam = self._app.gate.getpeername(self._pid, self._fd)
        check(errno)
        return self._address(nam)

    def getsockname(self) -> Address:
        """The path of a local socket, '' for none. EOPNOTSUPP: a control's client has no name. A
        plain OSError on an event socket."""
        self._has_address()
        errno, nam = self._app.gate.getsockname(self._pid, self._fd)
        check(errno)
        return self._address(nam)

    # -- waiting ---------------------------------------------------------------------------

    def _set_blocking(self, blocking: bool) -> None:
        data = bytes([not blocking, 0, 0, 0])
        check(self._app.files.ioctl(self._fd, FIONBIO, data)[0])

    def setblocking(self, flag: object, /) -> None:
        """True (an int other than 0): calls wait; False: they answer EAGAIN instead. EBADF."""
        blocking = bool(c_int(flag))
        self._timeout = None if blocking else 0.0
        self._set_blocking(blocking)

    def getblocking(self) -> bool:
        """Whether calls may wait, if only for a time."""
        return self._timeout != 0

    def settimeout(self, value: float | None, /) -> None:
        """Seconds a call may wait: ``None`` for ever, 0 not at all. EBADF."""
        self._timeout = c_timeout(value)
        self._set_blocking(self._timeout is None)

    def gettimeout(self) -> float | None:
        """Seconds a call may wait, ``None`` for ever."""
        return self._timeout

    def _call(self, writing: bool, call: Callable[..., tuple[int, T]], *args: object) -> T | None:
        """Make a system call that may wait: with a time-out poll first, after EINTR call again.
        ``None`` is EJUSTRETURN."""
        timed = bool(self._timeout) and self._fd != -1
        deadline = self._deadline()
        if timed:
            self._poll(writing, deadline)
        for _ in range(MAX_RETRIES):
            errno, value = call(self._pid, self._fd, *args)
            if not errno:
                return value
            if errno == EAGAIN and timed:
                if self._poll(writing, deadline):
                    raise TimeoutError("timed out")  # not the queue, a callback said EAGAIN
            elif errno != EINTR:
                return refused(errno, None)
        raise endless()

    def _deadline(self) -> int | None:
        """The virtual time (ns) until which a call that begins now may wait."""
        if not self._timeout:
            return None
        return self._app.tasks.clock.now + ceil(self._timeout * SECOND)

    def _poll(self, writing: bool, deadline: int | None) -> bool:
        """Wait until the socket is ready; whether it was at once, or cannot be asked."""
        errno, ready = self._app.gate.poll(self._pid, self._fd)
        if errno or ready[writing]:
            return True
        self._wait(writing, deadline)
        return False

    def _wait(self, writing: bool, deadline: int | None) -> None:
        """Wait in select, again after EINTR. TimeoutError when the time has passed."""
        mine, none = (self._fd,), ()
        reads, writes = (none, mine) if writing else (mine, none)
        for _ in range(MAX_RETRIES):
            left = None if deadline is None else max(deadline - self._app.tasks.clock.now, 0)
            errno, (readable, writable) = self._app.gate.select(self._pid, reads, writes, left)
            if readable or writable or errno not in (0, EINTR):
                return
            if not errno:
                raise TimeoutError("timed out")
        raise endless()

    # -- sending ---------------------------------------------------------------------------
    # send and recv are the hot path: they spell out what _call does where nothing waits.

    def send(self, data: Readable, flags: int = 0, /) -> int:
        """Send; the bytes taken. EPIPE (with SIGPIPE), ENOTCONN, EMSGSIZE, EAGAIN, ENOTSUP,
        EINVAL, EOPNOTSUPP; what the send callback answers."""
        if data.__class__ is not bytes:
            data = as_bytes(data)
        if flags or flags.__class__ is not int:
            flags = c_int(flags)
        if not self._timeout:
            errno, sent = self._sendto(self._pid, self._fd, data, flags)
            if not errno:
                return sent
            if errno != EINTR:
                return refused(errno, 0)
        return self._call(True, self._sendto, data, flags) or 0

    def sendall(self, data: Readable, flags: int = 0, /) -> None:
        """Send again and again until all is sent. Errors as send's."""
        rest, flags = as_bytes(data), c_int(flags)
        while True:
            sent = self._call(True, self._sendto, rest, flags)
            rest = rest[sent:]
            if not rest or sent is None:
                return

    def sendto(self, data: Readable, *flags_address: object) -> int:
        """``sendto(data, [flags,] address)``: to the local datagram socket of that path; a control
        ignores it. Errors as send's and connect's; EISCONN."""
        if len(flags_address) not in (1, 2):
            given = 1 + len(flags_address)
            raise TypeError(f"sendto() takes 2 or 3 arguments ({given} given)")
        data = as_bytes(data)
        flags = c_int(flags_address[0]) if len(flags_address) == 2 else 0
        nam = self._sockaddr(flags_address[-1], "sendto")
        return self._call(True, self._sendto, data, flags, nam) or 0

    def sendmsg(
        self,
        buffers: Iterable[Readable],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: object = None,
        /,
    ) -> int:
        """Send several buffers as one message, with control data as (level, type, data) tuples.
        Errors as send's; EMSGSIZE also for no buffer or more than 1024."""
        flags = c_int(flags)
        nam = None if address is None else self._sockaddr(address, "sendmsg")
        datas = [as_bytes(data) for data in _iterable(buffers, "sendmsg() argument 1")]
        items = list(_iterable(ancdata, "sendmsg() argument 2"))
        control = cmsg_block(items) if items else None
        if not 0 < len(datas) <= IOV_MAX:
            raise oserror(EMSGSIZE)
        return self._call(True, self._app.gate.sendmsg, datas, flags, nam, control) or 0

    # -- receiving -------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive up to ``bufsize`` bytes; none at the end of data. EAGAIN, ENOTCONN,
        EOPNOTSUPP."""
        if bufsize.__class__ is not int or not 0 < bufsize <= SSIZE_MAX:
            bufsize = _size(bufsize, "recv")
            if not bufsize:
                return b""
        if flags or flags.__class__ is not int:
            flags = c_int(flags)
        if not self._timeout:
            errno, data = self._recvfrom(self._pid, self._fd, bufsize, flags)
            if not errno:
                return data
            if errno != EINTR:
                return refused(errno, b"")
        return self._call(False, self._recvfrom, bufsize, flags) or b""

    def recv_into(self, buffer: Writable, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into ``buffer``, at most ``nbytes`` unless that is 0; the bytes received."""
        size = _into(buffer, nbytes, "recv_into", "buffer too small for requested bytes")
        data = SocketCalls.recv(self, size, flags)
        write_into(buffer, data)
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Address]:
        """(data, the sender's path, '' for none, of a local datagram): no address comes with other
        data, so ``None``. On an event socket OSError."""
        size, flags = _size(bufsize, "recvfrom"), c_int(flags)
        self._has_address()
        if self._family == AF_UNIX:
            data, _, _, address = self._message(size, flags, 0)
            return data, address
        return self._call(False, self._recvfrom, size, flags) or b"", None

    def recvfrom_into(
        self, buffer: Writable, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Address]:
        """recvfrom and recv_into in one."""
        size = _into(
            buffer, nbytes, "recvfrom_into", "nbytes is greater than the length of the buffer"
        )
        data, address = SocketCalls.recvfrom(self, size, flags)
        write_into(buffer, data)
        return len(data), address

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, Items, int, Address]:
        """(data, items of control data, flags, address); the flags hold MSG_EOR, MSG_TRUNC and
        MSG_CTRUNC where they apply. Only local sockets have control data: descriptors, which are
        this process's from now on.
        """
        ancbufsize, flags = c_ssize(ancbufsize), c_int(flags)
        size = c_ssize(bufsize)
        if size < 0:
            raise ValueError("negative buffer size in recvmsg()")
        self._has_address()
        if not 0 <= ancbufsize <= 0x7FFFFFFF:
            raise ValueError("invalid ancillary data buffer length")
        if self._family == AF_UNIX:
            return self._message(size, flags, ancbufsize)
        data, found = self._call(False, self._app.gate.recvmsg, size, flags) or (b"", 0)
        return data, [], found, None

    def _message(self, size: int, flags: int, room: int) -> tuple[bytes, Items, int, Address]:
        """A message of a local socket."""
        got = self._call(False, self._app.gate.recvmsg, size, flags, room)
        data, found, control, nam = got or (b"", 0, b"", b"")
        return data, received(self._app, control), found, self._address(nam)

    def recvmsg_into(
        self, buffers: Iterable[Writable], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, Items, int, Address]:
        """As recvmsg, one buffer after the other. EMSGSIZE for no buffer or more than 1024."""
        ancbufsize, flags = c_ssize(ancbufsize), c_int(flags)
        into = list(_iterable(buffers, "recvmsg_into() argument 1"))
        try:
            sizes = [room(buffer, "recvmsg_into") for buffer in into]
        except TypeError:
            raise TypeError(
                "recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers"
            ) from None
        self._has_address()
        if not 0 < len(into) <= IOV_MAX:
            raise oserror(EMSGSIZE)
        data, ancdata, found, address = SocketCalls.recvmsg(self, sum(sizes), ancbufsize, flags)
        at = 0
        for buffer, size in zip(into, sizes, strict=True):
            write_into(buffer, data[at : at + size])
            at += size
        return len(data), ancdata, found, address

    # -- the rest --------------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """End receiving, sending or both. EINVAL, ENOTCONN, EOPNOTSUPP."""
        check(self._app.gate.shutdown(self._pid, self._fd, c_int(how))[0])

    def setsockopt(
        self, level: int, optname: int, value: Readable, optlen: object = _ABSENT, /
    ) -> None:
        """Set an option to an int (4 bytes), bytes, or ``None`` of a length (a null pointer).
        EINVAL, ENOPROTOOPT, EFAULT, ENOTSUP; what the setopt callback answers."""
        level, optname = c_int(level), c_int(optname)
        data: bytes | None
        if optlen is not _ABSENT:
            if value is not None or not hasattr(optlen, "__index__"):
                raise TypeError("setsockopt() takes exactly 3 arguments (4 given)")
            data, length = None, c_uint(optlen)
        else:
            try:
                data = c_int(value).to_bytes(4, "little", signed=True)
            except (TypeError, OverflowError):
                data = as_bytes(value)
            length = len(data)
        gate = self._app.gate
        check(gate.setsockopt(self._pid, self._fd, level, optname, data, length)[0])

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> int | bytes:
        """An option as an int, or as up to ``buflen`` bytes. ENOPROTOOPT, EINVAL, ENOTSUP; what
        the getopt callback answers."""
        level, optname, buflen = c_int(level), c_int(optname), c_int(buflen)
        if not 0 <= buflen <= 1024:
            raise OSError("getsockopt buflen out of range")
        value = bytes(buflen) if buflen else INT
        gate = self._app.gate
        errno, (length, answer) = gate.getsockopt(self._pid, self._fd, level, optname, value)
        check(errno)
        if buflen:
            return answer[:length].ljust(length, b"\0")
        return int.from_bytes((answer + INT)[:4], "little", signed=True)


def _iterable(values: Iterable[T], what: str) -> Iterable[T]:
    if not hasattr(values, "__iter__"):
        raise TypeError(f"{what} must be an iterable")
    return values


def _size(bufsize: object, caller: str) -> int:
    size = c_ssize(bufsize)
    if size < 0:
        raise ValueError(f"negative buffersize in {caller}")
    return size


def _into(buffer: Writable, nbytes: object, caller: str, too_small: str) -> int:
    """How much to receive into ``buffer``."""
    space, size = room(buffer, caller), _size(nbytes, caller)
    if size > space:
        raise ValueError(too_small)
    return size or space
