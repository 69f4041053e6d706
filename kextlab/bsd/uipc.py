"""The socket system calls, and the descriptors they work on.

Models the part between the system call and the socket layer: descriptor lookup, copying addresses
and lengths in and out, errors that happen there. Read beside it: ``bsd/kern/uipc_syscalls.c``,
``bsd/kern/sys_generic.c`` (``ioctl``), ``bsd/kern/kern_descrip.c``.

Every call is a routine that returns (errno, result). ``None`` as data or address is a bad pointer.
Left out: descriptors for anything but sockets, descriptor limits, kqueue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kextlab.abi.constants import (
    IOV_MAX,
    MCLBYTES,
    MSG_DONTWAIT,
    MSG_NBIO,
    MSG_NEEDSA,
    MSG_PEEK,
    MSG_RCVMORE,
    MSG_TRUNC,
    MSG_WAITALL,
    SOCK_MAXADDRLEN,
    SS_CANTRCVMORE,
    SS_CANTSENDMORE,
    SS_DRAINING,
    SS_ISCONNECTED,
    SS_ISCONNECTING,
    SS_NBIO,
)
from kextlab.abi.errno import (
    EALREADY,
    EBADF,
    EDESTADDRREQ,
    EFAULT,
    EINTR,
    EINVAL,
    EJUSTRETURN,
    EMSGSIZE,
    ENAMETOOLONG,
    ENOBUFS,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    ERESTART,
    EWOULDBLOCK,
)
from kextlab.abi.ioctl import FIOCLEX, FIONCLEX, decode
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.socket import Proc, Socket, Sockets, Sockopt
from kextlab.bsd.sockopt import SOF_NOSIGPIPE, sogetopt, soo_ioctl, sosetopt
from kextlab.bsd.soreceive import soreceive
from kextlab.bsd.sosend import sosend
from kextlab.sched.drive import Routine
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import DELETE, SIGNAL, SLEEP, new

CMSGHDR_SIZE = 12
"""Bytes of ``struct cmsghdr``, the least control data there can be."""
RETRIED = (ERESTART, EINTR, EWOULDBLOCK)
"""Errors that do not count once some data was transferred."""


class File:
    """An open socket as descriptors share it (``struct fileglob``)."""

    __slots__ = ("count", "so")

    def __init__(self, so: Socket) -> None:
        self.so = so
        self.count = 1


@dataclass(slots=True)
class Message:
    """One message of recvmsg: data and flags."""

    data: bytes
    flags: int


def _messages_moved(datas: Sequence[bytes], moved: list[int]) -> int:
    """How many messages, from the first on, had their bytes taken; an empty one has none."""
    return next((at for at, data in enumerate(datas) if data and not moved[at]), len(datas))


class Descriptors:
    """The descriptor table of one process, and the system calls on it.

    Descriptors 0, 1 and 2 are taken, as in a process started from a shell.
    """

    __slots__ = ("_lowest", "cloexec", "files", "inside", "proc", "rec", "sockets")

    def __init__(self, sockets: Sockets, proc: Proc) -> None:
        self.sockets = sockets
        self.proc = proc
        self.rec = sockets.rec
        self.files: dict[int, File] = {}
        self.cloexec: set[int] = set()
        self.inside: dict[int, int] = {}
        """How many suspended calls are inside a descriptor (fp_iocount, less the caller's own)."""
        self._lowest = 3
        """No descriptor below this one is free."""

    # -- descriptors -----------------------------------------------------------------------

    def socket_of(self, fd: int) -> Socket | None:
        """The socket behind a descriptor, ``None`` if it is not open."""
        file = self.files.get(fd)
        return file.so if file is not None else None

    def _install(self, file: File, least: int = 3) -> int:
        """Give the file the lowest free descriptor that is not below ``least``."""
        fd = max(least, self._lowest)
        while fd in self.files:
            fd += 1
        if least <= self._lowest:
            self._lowest = fd + 1
        self.files[fd] = file
        if self.rec is not None:
            self.rec(new(f"fd:{self.proc.pid}:{fd}", {"socket": file.so.number}))
        return fd

    def socket(self, domain: int, type_: int, protocol: int) -> tuple[int, int]:
        """(errno, descriptor). Errors as ``Sockets.socreate``."""
        error, so = self.sockets.socreate(domain, type_, protocol, self.proc)
        if so is None:
            return error, -1
        return 0, self._install(File(so))

    def dup(self, fd: int, least: int = 3) -> tuple[int, int]:
        """(errno, a second descriptor, ``least`` or above). EBADF."""
        file = self.files.get(fd)
        if file is None:
            return EBADF, -1
        file.count += 1
        return 0, self._install(file, least)

    def enter(self, fd: int) -> None:
        """A call on the descriptor is suspended inside the kernel."""
        self.inside[fd] = self.inside.get(fd, 0) + 1

    def leave(self, fd: int) -> None:
        """It has ended; a close may wait for that."""
        self.inside[fd] -= 1
        if not self.inside[fd]:
            del self.inside[fd]
            self.sockets.sched.wakeup(f"fd:{self.proc.pid}:{fd}", "fpdrain")

    def _drain(self, fd: int, so: Socket) -> Routine[None]:
        """fileproc_drain: calls of other threads inside the descriptor are woken and answer EBADF;
        the close waits until they have left."""
        while self.inside.get(fd):
            so.set("so_state", so.so_state | SS_DRAINING)
            so.sorwakeup()
            so.sowwakeup()
            yield Sleep(f"fd:{self.proc.pid}:{fd}", "fpdrain", interruptible=False)

    def close(self, fd: int) -> Routine[tuple[int, None]]:
        """Close a descriptor; the last one of a socket closes the socket. EBADF."""
        file = self.files.pop(fd, None)
        if file is None:
            return EBADF, None
        self.cloexec.discard(fd)
        self._lowest = min(self._lowest, fd)
        if self.rec is not None:
            self.rec((DELETE, f"fd:{self.proc.pid}:{fd}"))
        if self.inside:
            yield from self._drain(fd, file.so)
        file.count -= 1
        if file.count:
            return 0, None
        error = yield from self.sockets.soclose(file.so)
        return error, None

    # -- addresses -------------------------------------------------------------------------

    @staticmethod
    def _sockaddr(address: bytes | None) -> tuple[int, SockaddrCtl]:
        """getsockaddr: the kernel's copy of a caller's address; its length is the caller's."""
        if address is None or len(address) < 2:
            return EINVAL, SockaddrCtl()
        if len(address) > SOCK_MAXADDRLEN:
            return ENAMETOOLONG, SockaddrCtl()
        nam = SockaddrCtl.unpack(address.ljust(SockaddrCtl.SIZE, b"\0"))
        nam.sc_len = len(address)
        return 0, nam

    def bind(self, fd: int, address: bytes | None) -> Routine[tuple[int, None]]:
        """Errors: EBADF, EDESTADDRREQ (null), ENAMETOOLONG (over 255 bytes), EINVAL (under 2),
        then the protocol's."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, None
        if address is None:
            return EDESTADDRREQ, None
        error, nam = self._sockaddr(address)
        if not error:
            error = yield from so.so_proto.pru_bind(so, nam, self.proc)
        return 0 if error == EJUSTRETURN else error, None

    def connect(self, fd: int, address: bytes | None) -> Routine[tuple[int, None]]:
        """Errors: EBADF, ENAMETOOLONG (over 255 bytes), EINVAL (null, or under 2), EALREADY
        (non-blocking, and another thread is connecting it), EISCONN, then the protocol's."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, None
        error, nam = self._sockaddr(address)
        if error:
            return error, None
        if so.so_state & SS_NBIO and so.so_state & SS_ISCONNECTING:
            return EALREADY, None
        error = yield from self.sockets.soconnect(so, nam, self.proc)
        return EINTR if error == ERESTART else error, None

    def listen(self, fd: int, backlog: int) -> tuple[int, None]:
        """Errors: EBADF, EOPNOTSUPP, EINVAL (a connected socket)."""
        so = self.socket_of(fd)
        return (EBADF if so is None else self.sockets.solisten(so)), None

    def getpeername(self, fd: int) -> tuple[int, bytes]:
        """(errno, address). Errors: EBADF, EINVAL (shut both ways), ENOTCONN, the protocol's."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, b""
        shut = SS_CANTRCVMORE | SS_CANTSENDMORE
        if so.so_state & shut == shut:
            return EINVAL, b""
        if not so.so_state & SS_ISCONNECTED:
            return ENOTCONN, b""
        error, nam = so.so_proto.pru_peeraddr(so)
        return error, nam.pack() if nam is not None else b""

    def getsockname(self, fd: int) -> tuple[int, bytes]:
        """(errno, address). Errors: EBADF, EOPNOTSUPP: a system socket has no name of its own."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, b""
        error, nam = so.so_proto.pru_sockaddr(so)
        return error, nam.pack() if nam is not None else b""

    # -- data ------------------------------------------------------------------------------

    def sendto(
        self,
        fd: int,
        data: bytes,
        flags: int = 0,
        address: bytes | None = None,
        control: bytes | None = None,
        fault: bool = False,
    ) -> Routine[tuple[int, int]]:
        """sendto and sendmsg: (errno, bytes sent). ``fault`` is a bad pointer for the data.

        Errors: EBADF, those of the address, EINVAL (control data shorter than its header, or
        that would not fit a cluster with its descriptors grown to pointers),
        EOPNOTSUPP (a protocol that cannot send), EFAULT, then ``sosend``'s. EPIPE comes with
        SIGPIPE.
        """
        so = self.socket_of(fd)
        if so is None:
            return EBADF, 0
        clen = 0
        if address is not None:
            error, _ = self._sockaddr(address)
            if error:
                return error, 0
        if control is not None:
            clen = len(control)
            if clen < CMSGHDR_SIZE or 2 * clen - CMSGHDR_SIZE > MCLBYTES:
                return EINVAL, 0
        error, resid = yield from sosend(so, data, flags, clen, fault)
        sent = len(data) - resid
        return self.send_failed(so, error, sent) if error else 0, sent

    def send_failed(self, so: Socket, error: int, sent: int) -> int:
        """What becomes of a send's error: nothing if it only cut the send short; EPIPE comes with
        SIGPIPE."""
        if sent and error in RETRIED:
            return 0
        if error == EPIPE:
            self._sigpipe(so)
        return error

    def _sigpipe(self, so: Socket) -> None:
        if not so.so_flags & SOF_NOSIGPIPE and self.rec is not None:
            self.rec((SIGNAL, self.proc.pid, "SIGPIPE"))

    def sendmsg_x(
        self, fd: int, datas: Sequence[bytes], flags: int = 0
    ) -> Routine[tuple[int, int]]:
        """Send several messages one by one: (errno, messages whose bytes were taken).

        Errors as ``sendto``'s; the message that failed counts if its bytes were taken.
        EINVAL: no messages, or more than 1024. EPIPE raises SIGPIPE twice, for the message and for
        the call [r00270]. ENOBUFS counts as a short send once any bytes were taken.
        """
        so = self.socket_of(fd)
        if so is None:
            return EBADF, 0
        if not 0 < len(datas) <= IOV_MAX:
            return EINVAL, 0
        moved = [0] * len(datas)
        error = 0
        for at, data in enumerate(datas):
            error, moved[at] = yield from self.sendto(fd, data, flags)
            if error:
                break
        if error == EPIPE:
            self._sigpipe(so)
        if any(moved) and error in (*RETRIED, ENOBUFS):
            error = 0
        return error, _messages_moved(datas, moved)

    def recvfrom(self, fd: int, length: int, flags: int = 0) -> Routine[tuple[int, bytes]]:
        """recvfrom: (errno, data). No address ever comes with it. EBADF, ``soreceive``'s."""
        file = self.files.get(fd)
        if file is None:
            return EBADF, b""
        error, data, _ = yield from soreceive(file.so, length, flags)
        return error, data

    def sendmsg(
        self,
        fd: int,
        datas: Sequence[bytes],
        flags: int,
        address: bytes | None,
        control: bytes | None,
    ) -> Routine[tuple[int, int]]:
        """sendto of several buffers. EMSGSIZE: no buffer, or more than 1024."""
        if not 0 < len(datas) <= IOV_MAX:
            return EMSGSIZE, 0
        return (yield from self.sendto(fd, b"".join(datas), flags, address, control))

    def recvmsg(self, fd: int, length: int, flags: int = 0) -> Routine[tuple[int, Message]]:
        """(errno, message); its flags are those passed and those found. EBADF, ``soreceive``'s."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, Message(b"", 0)
        error, data, found = yield from soreceive(so, length, flags)
        return error, Message(data, found)

    def recvmsg_x(
        self, fd: int, length: int, count: int, flags: int = 0
    ) -> Routine[tuple[int, list[Message]]]:
        """Up to ``count`` messages of up to ``length`` bytes, as long as they come whole.

        Only the first may wait. Errors: EBADF, EOPNOTSUPP (a flag other than MSG_PEEK,
        MSG_WAITALL, MSG_DONTWAIT), EINVAL (no messages, or more than 1024), ``soreceive``'s for
        the first message.
        """
        so = self.socket_of(fd)
        if so is None:
            return EBADF, []
        if flags & ~(MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT | MSG_NEEDSA | MSG_NBIO):
            return EOPNOTSUPP, []
        if not 0 < count <= IOV_MAX:
            return EINVAL, []
        asked = flags & MSG_DONTWAIT
        messages: list[Message] = []
        error = 0
        for _ in range(count):
            error, data, flags = yield from soreceive(so, length, flags)
            if error:
                break
            # One word of flags serves all messages: what one has found, the next shows too.
            messages.append(Message(data, flags & ~MSG_DONTWAIT | asked))
            flags |= MSG_DONTWAIT
            if flags & (MSG_RCVMORE | MSG_TRUNC):
                break
        if error and any(m.data for m in messages) and error in RETRIED:
            error = 0
        return error, messages

    def shutdown(self, fd: int, how: int) -> Routine[tuple[int, None]]:
        """Errors: EBADF, ``Sockets.soshutdown``'s."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, None
        error = yield from self.sockets.soshutdown(so, how)
        return error, None

    def disconnectx(self, fd: int) -> tuple[int, None]:
        """Errors: EBADF, EOPNOTSUPP."""
        so = self.socket_of(fd)
        return (EBADF if so is None else so.so_proto.pru_disconnectx(so)), None

    # -- options and ioctls ----------------------------------------------------------------

    def setsockopt(
        self, fd: int, level: int, name: int, value: bytes | None, length: int
    ) -> Routine[tuple[int, None]]:
        """Errors: EFAULT (a length, but a null pointer), EBADF, ``sosetopt``'s."""
        if value is None and length:
            return EFAULT, None
        so = self.socket_of(fd)
        if so is None:
            return EBADF, None
        error = yield from sosetopt(so, Sockopt(True, level, name, value, length))
        return error, None

    def getsockopt(
        self, fd: int, level: int, name: int, value: bytes | None
    ) -> Routine[tuple[int, tuple[int, bytes]]]:
        """(errno, (length, answer)); ``value`` is what the caller's buffer holds, ``None`` a null
        pointer, which asks for the length only. EBADF, ``sogetopt``'s."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, (0, b"")
        sopt = Sockopt(False, level, name, value, len(value) if value is not None else 0)
        error = yield from sogetopt(so, sopt)
        return error, (sopt.valsize & 0xFFFFFFFF, sopt.out)  # a socklen_t

    def ioctl(self, fd: int, cmd: int, data: bytes | None) -> tuple[int, bytes]:
        """(errno, the argument afterwards). Errors: EFAULT (a bad pointer where the request reads),
        EBADF, the socket's or protocol's, EFAULT (a bad pointer where it writes)."""
        request = decode(cmd)
        argument = b"\0" * request.size
        if request.size and request.direction in ("in", "inout"):
            if data is None:
                return EFAULT, b""
            argument = data[: request.size].ljust(request.size, b"\0")
        so = self.socket_of(fd)
        if so is None:
            return EBADF, b""
        if cmd in (FIOCLEX, FIONCLEX):
            (self.cloexec.add if cmd == FIOCLEX else self.cloexec.discard)(fd)
            return 0, b""
        error, answer = soo_ioctl(self.sockets, so, cmd, argument)
        if request.direction in ("out", "inout"):
            if not error and data is None:
                return EFAULT, b""
            return error, answer
        return error, b""

    def select(
        self, readers: Sequence[int], writers: Sequence[int], deadline: int | None
    ) -> Routine[tuple[int, tuple[tuple[int, ...], tuple[int, ...]]]]:
        """Wait until one of the descriptors can be read or written, or until ``deadline`` (ns of
        virtual time; ``None`` for ever): (errno, (readable, writable)). EBADF, EINTR."""
        error = 0
        while True:
            found: tuple[list[int], list[int]] = ([], [])
            channels = []
            for fds, ready, side in ((readers, found[0], 0), (writers, found[1], 1)):
                for fd in fds:
                    so = self.socket_of(fd)
                    if so is None:
                        return EBADF, ((), ())
                    if (self.sockets.sowriteable if side else self.sockets.soreadable)(so):
                        ready.append(fd)
                    channels.append((so.so_snd if side else so.so_rcv).name)
            if found[0] or found[1] or error:
                error = 0 if error == EWOULDBLOCK else error
                return error, (tuple(found[0]), tuple(found[1]))
            first, *also = dict.fromkeys(channels) or ("",)
            if self.rec is not None:
                self.rec((SLEEP, first, "select"))
            error = (yield Sleep(first, "select", deadline=deadline, also=tuple(also))) or 0

    def poll(self, fd: int) -> tuple[int, tuple[bool, bool]]:
        """(errno, (readable, writable)) as select and poll see the socket. EBADF."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, (False, False)
        return 0, (self.sockets.soreadable(so), self.sockets.sowriteable(so))
