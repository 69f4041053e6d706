"""The socket system calls, and the descriptors they work on.

Models the part between the system call and the socket layer: descriptor lookup, copying addresses
and lengths in and out, errors that happen there. Read beside it: ``bsd/kern/uipc_syscalls.c``,
``bsd/kern/sys_generic.c`` (``ioctl``), ``bsd/vfs/vfs_syscalls.c`` (``unlink``, ``chmod``).

Every call is a routine that returns (errno, result). ``None`` as data or address is a bad pointer.
Left out: kqueue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kextlab.abi.constants import (
    IOV_MAX,
    MCLBYTES,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_NBIO,
    MSG_NEEDSA,
    MSG_PEEK,
    MSG_RCVMORE,
    MSG_TRUNC,
    MSG_WAITALL,
    PR_CONNREQUIRED,
    SO_ACCEPTCONN,
    SOCK_DGRAM,
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
    ECONNABORTED,
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
from kextlab.abi.un import CMSGHDR_SIZE
from kextlab.bsd.kern_descrip import File, FileTable
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Incoming, Outgoing, Proc, Socket, Sockopt
from kextlab.bsd.sockopt import SOF_NOSIGPIPE, sogetopt, soo_ioctl, sosetopt
from kextlab.bsd.soreceive import soreceive
from kextlab.bsd.sosend import sosend
from kextlab.sched.drive import Routine
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import SIGNAL, SLEEP

RETRIED = (ERESTART, EINTR, EWOULDBLOCK)
"""Errors that do not count once some data was transferred."""


@dataclass(slots=True)
class Message:
    """One message of recvmsg: data and flags; control data and the sender's address (empty if none
    came) where they were asked for."""

    data: bytes
    flags: int
    control: bytes | None = None
    nam: bytes = b""

    def plain(self) -> tuple[Any, ...]:
        """The message as it crosses the gate: (data, flags), or (data, flags, control, address).
        Any: the items of either."""
        if self.control is None:
            return self.data, self.flags
        return self.data, self.flags, self.control, self.nam


def _messages_moved(datas: Sequence[bytes], moved: list[int]) -> int:
    """How many messages, from the first on, had their bytes taken; an empty one has none."""
    return next((at for at, data in enumerate(datas) if data and not moved[at]), len(datas))


class Descriptors(FileTable):
    """The descriptor table of one process, and the system calls on it."""

    __slots__ = ("before_read",)

    def __init__(self, sockets: Sockets, proc: Proc) -> None:
        super().__init__(sockets, proc)
        self.before_read: Callable[[Socket], Sleep | None] | None = None
        """Where the process pauses before it reads a socket, if something slows it down."""

    # -- sockets ---------------------------------------------------------------------------

    def socket(self, domain: int, type_: int, protocol: int) -> tuple[int, int]:
        """(errno, descriptor). Errors as ``Sockets.socreate``."""
        error, so = self.sockets.socreate(domain, type_, protocol, self.proc)
        if so is None:
            return error, -1
        return 0, self.install(File(so))

    # -- addresses -------------------------------------------------------------------------

    @staticmethod
    def _sockaddr(address: bytes | None) -> tuple[int, bytes]:
        """getsockaddr: the kernel's copy of a caller's address; its length is the caller's."""
        if address is None or len(address) < 2:
            return EINVAL, b""
        if len(address) > SOCK_MAXADDRLEN:
            return ENAMETOOLONG, b""
        return 0, bytes([len(address)]) + address[1:]

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
        """Errors: EBADF, ``Sockets.solisten``'s."""
        so = self.socket_of(fd)
        return (EBADF if so is None else self.sockets.solisten(so, backlog, self.proc)), None

    def accept(self, fd: int) -> Routine[tuple[int, tuple[int, bytes]]]:
        """(errno, (descriptor, the peer's address)): the first connection that waits.

        Errors: EBADF, EOPNOTSUPP (no connections), EINVAL (not listening), EWOULDBLOCK (nobody
        waits, on a non-blocking socket), ECONNABORTED (the descriptor is being closed), EINTR.
        """
        so = self.socket_of(fd)
        error = EBADF if so is None else 0
        if so is not None and not so.so_options & SO_ACCEPTCONN:
            error = EINVAL if so.so_proto.pr_flags & PR_CONNREQUIRED else EOPNOTSUPP
        while so is not None and not so.so_comp and not error:
            if so.so_state & SS_NBIO:
                error = EWOULDBLOCK
                break
            if self.rec is not None:
                self.rec((SLEEP, f"so_timeo:{so.number}", "accept"))
            error = (yield Sleep(f"so_timeo:{so.number}", "accept")) or 0
            if so.so_state & SS_DRAINING:
                error = ECONNABORTED
        if so is None or error:
            return error, (-1, b"")
        found, nam = self.sockets.soaccept(so, self.proc)
        return 0, (self.install(File(found)), nam)

    def socketpair(
        self, domain: int, type_: int, protocol: int
    ) -> Routine[tuple[int, tuple[int, int]]]:
        """(errno, two descriptors of connected sockets). Errors: ``Sockets.socreate``'s,
        EOPNOTSUPP."""
        made: list[Socket] = []
        error = 0
        while len(made) < 2:
            error, so = self.sockets.socreate(domain, type_, protocol, self.proc)
            if so is None:
                return error, (-1, -1)
            made.append(so)
        one, two = made
        error = one.so_proto.pru_connect2(one, two, self.proc)
        if not error and type_ == SOCK_DGRAM:  # a datagram's connection goes one way
            error = two.so_proto.pru_connect2(two, one, self.proc)
        if error:
            for so in (two, one):
                yield from self.sockets.soclose(so)
            return error, (-1, -1)
        return 0, (self.install(File(one)), self.install(File(two)))

    # -- names -----------------------------------------------------------------------------

    def unlink(self, path: bytes) -> tuple[int, None]:
        """Errors: ``Names.unlink``'s."""
        return self.sockets.names.unlink(path, self.proc.uid), None

    def chmod(self, path: bytes, mode: int) -> tuple[int, None]:
        """Errors: ``Names.chmod``'s."""
        return self.sockets.names.chmod(path, mode, self.proc.uid), None

    # -- names of sockets ------------------------------------------------------------------

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
        return so.so_proto.pru_peeraddr(so)

    def getsockname(self, fd: int) -> tuple[int, bytes]:
        """(errno, address). Errors: EBADF, EOPNOTSUPP: a system socket has no name of its own."""
        so = self.socket_of(fd)
        if so is None:
            return EBADF, b""
        return so.so_proto.pru_sockaddr(so)

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
        out = None
        if address is not None:
            error, address = self._sockaddr(address)
            if error:
                return error, 0
        if control is not None:
            clen = len(control)
            if clen < CMSGHDR_SIZE or 2 * clen - CMSGHDR_SIZE > MCLBYTES:
                return EINVAL, 0
        if address is not None or control is not None:
            out = Outgoing(self, address, control)
        error, resid = yield from sosend(so, data, flags, out, fault)
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
        """recvfrom without room for an address: (errno, data). EBADF, ``soreceive``'s."""
        file = self.files.get(fd)
        if file is None:
            return EBADF, b""
        if self.before_read is not None and (error := (yield from self._pause(file.so))):
            return error, b""
        error, data, _ = yield from soreceive(file.so, length, flags, Incoming(self))
        return error, data

    def _pause(self, so: Socket) -> Routine[int]:
        """What makes the process slow, before a read. EINTR if a signal ended the pause."""
        assert self.before_read is not None
        point = self.before_read(so)
        if point is None:
            return 0
        answer = yield point
        return EINTR if answer == EINTR else 0

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

    def recvmsg(
        self, fd: int, length: int, flags: int = 0, controllen: int | None = None
    ) -> Routine[tuple[int, Message]]:
        """(errno, message); its flags are those passed and those found. With room for an address
        and ``controllen`` bytes of control data the message holds both. EBADF, ``soreceive``'s.

        MSG_CTRUNC: the control data was cut. No room at all is no pointer: nothing is said then,
        and open files are received all the same.
        """
        so = self.socket_of(fd)
        nothing = Message(b"", 0, None if controllen is None else b"")
        if so is None:
            return EBADF, nothing
        if self.before_read is not None and (error := (yield from self._pause(so))):
            return error, nothing
        into = Incoming(self, wanted=bool(controllen))
        error, data, found = yield from soreceive(so, length, flags, into)
        if controllen is None:
            return error, Message(data, found)
        if into.wanted and len(into.control) > controllen:
            found |= MSG_CTRUNC
        return error, Message(data, found, into.control[:controllen], into.nam or b"")

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
        if self.before_read is not None and (error := (yield from self._pause(so))):
            return error, []
        asked = flags & MSG_DONTWAIT
        messages: list[Message] = []
        error = 0
        for _ in range(count):
            error, data, flags = yield from soreceive(so, length, flags, Incoming(self))
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
