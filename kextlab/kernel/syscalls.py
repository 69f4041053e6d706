"""The syscall gate: how a process enters the kernel.

A published interface of plain values. Every call takes the process's pid and numbers, bytes and
``None`` (a null pointer), and returns (errno, value). Whoever stands on the other side, the
``socket`` module of a simulated process today, a child process later, needs nothing else.

Structs cross the gate as bytes (``kextlab.abi.structs``), messages as (bytes, flags).

Raises, besides returning errnos: KernelPanic when the machine panicked in or before the call,
SimDeadlock when the call sleeps and nothing can wake it, ProcessLookupError for a pid of another
boot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from kextlab.abi.errno import EBADF
from kextlab.bsd.socketvar import Incoming
from kextlab.bsd.soreceive import soreceive, soreceive_now
from kextlab.bsd.sosend import sosend, sosend_now
from kextlab.bsd.uipc import Descriptors, Message
from kextlab.kernel.system import System
from kextlab.sched.drive import Routine
from kextlab.sched.stop import Killed, SimStop, interrupted
from kextlab.trace.codes import RETURN, SYSCALL

T = TypeVar("T")

ENDS = (SimStop, Killed, NotImplementedError, KeyboardInterrupt, SystemExit)
"""What ends a call without an answer."""


class Syscalls:
    """The system calls of one boot."""

    __slots__ = ("_drive", "_processes", "_rec", "_system", "_tasks")

    def __init__(self, system: System) -> None:
        self._system = system
        self._processes = system.running
        self._rec = system.rec
        self._tasks = system.tasks
        self._drive = system.tasks.drive

    def _enter(self, pid: int, name: str, *args: object) -> Descriptors:
        process = self._processes.get(pid)
        if process is None:
            process = self._system.enter(pid)
        if self._rec is not None:
            self._rec((SYSCALL, pid, name, len(args), *args))
        return process.descriptors

    def _leave(self, errno: int, value: object) -> None:
        if self._rec is not None:
            self._rec((RETURN, errno, value))

    def _run(self, routine: Routine[tuple[int, T]], files: Descriptors, fd: int) -> tuple[int, T]:
        try:
            return self._drive(routine, files, fd)
        except ENDS as end:
            self._stopped(end)
            raise

    def _stopped(self, end: BaseException) -> None:
        """The call did not return: a panic, a deadlock, an interrupt, the end of its process ended
        it, or what is not modelled."""
        if isinstance(end, KeyboardInterrupt | SystemExit):
            end = interrupted(end)
        if isinstance(end, SimStop):
            self._system.stop(end)
        self._system.record_stop(end)

    # -- sockets and descriptors -----------------------------------------------------------

    def socket(self, pid: int, domain: int, type_: int, protocol: int) -> tuple[int, int]:
        """(errno, descriptor). EAFNOSUPPORT, EPROTONOSUPPORT, EPROTOTYPE."""
        errno, fd = self._enter(pid, "socket", domain, type_, protocol).socket(
            domain, type_, protocol
        )
        self._leave(errno, fd)
        return errno, fd

    def socketpair(
        self, pid: int, domain: int, type_: int, protocol: int
    ) -> tuple[int, tuple[int, int]]:
        """(errno, two descriptors of connected sockets). As socket; EOPNOTSUPP."""
        files = self._enter(pid, "socketpair", domain, type_, protocol)
        errno, pair = self._run(files.socketpair(domain, type_, protocol), files, -1)
        self._leave(errno, pair)
        return errno, pair

    def dup(self, pid: int, fd: int, least: int = 3) -> tuple[int, int]:
        """(errno, a second descriptor, ``least`` or above). EBADF."""
        errno, new = self._enter(pid, "dup", fd, least).dup(fd, least)
        self._leave(errno, new)
        return errno, new

    def close(self, pid: int, fd: int) -> tuple[int, None]:
        """EBADF."""
        files = self._enter(pid, "close", fd)
        errno, _ = self._run(files.close(fd), files, -1)
        self._leave(errno, None)
        return errno, None

    # -- addresses -------------------------------------------------------------------------

    def bind(self, pid: int, fd: int, address: bytes | None) -> tuple[int, None]:
        """EBADF, EDESTADDRREQ, ENAMETOOLONG, EINVAL, EOPNOTSUPP; those of connect to a control;
        EAFNOSUPPORT, ENOENT, EADDRINUSE."""
        files = self._enter(pid, "bind", fd, address)
        errno, _ = self._run(files.bind(fd, address), files, fd)
        self._leave(errno, None)
        return errno, None

    def connect(self, pid: int, fd: int, address: bytes | None) -> tuple[int, None]:
        """EBADF, EFAULT, ENAMETOOLONG, EINVAL, EISCONN, EOPNOTSUPP, ENOENT, EPROTOTYPE, EPERM,
        EBUSY; EAFNOSUPPORT, EACCES, ECONNREFUSED; what a setup or connect callback answers."""
        files = self._enter(pid, "connect", fd, address)
        errno, _ = self._run(files.connect(fd, address), files, fd)
        self._leave(errno, None)
        return errno, None

    def listen(self, pid: int, fd: int, backlog: int) -> tuple[int, None]:
        """EBADF, EOPNOTSUPP, EINVAL."""
        errno, _ = self._enter(pid, "listen", fd, backlog).listen(fd, backlog)
        self._leave(errno, None)
        return errno, None

    def accept(self, pid: int, fd: int) -> tuple[int, tuple[int, bytes]]:
        """(errno, (descriptor, the peer's address)). EBADF, EOPNOTSUPP, EINVAL, EWOULDBLOCK,
        ECONNABORTED, EINTR."""
        files = self._enter(pid, "accept", fd)
        errno, accepted = self._run(files.accept(fd), files, fd)
        self._leave(errno, accepted)
        return errno, accepted

    def unlink(self, pid: int, path: bytes) -> tuple[int, None]:
        """ENOENT, ENAMETOOLONG, EPERM."""
        errno, _ = self._enter(pid, "unlink", path).unlink(path)
        self._leave(errno, None)
        return errno, None

    def chmod(self, pid: int, path: bytes, mode: int) -> tuple[int, None]:
        """ENOENT, ENAMETOOLONG, EPERM."""
        errno, _ = self._enter(pid, "chmod", path, mode).chmod(path, mode)
        self._leave(errno, None)
        return errno, None

    def getpeername(self, pid: int, fd: int) -> tuple[int, bytes]:
        """(errno, address). EBADF, EINVAL, ENOTCONN."""
        errno, address = self._enter(pid, "getpeername", fd).getpeername(fd)
        self._leave(errno, address)
        return errno, address

    def getsockname(self, pid: int, fd: int) -> tuple[int, bytes]:
        """(errno, address). EBADF, EOPNOTSUPP."""
        errno, address = self._enter(pid, "getsockname", fd).getsockname(fd)
        self._leave(errno, address)
        return errno, address

    # -- data ------------------------------------------------------------------------------

    def sendto(
        self, pid: int, fd: int, data: bytes | None, flags: int = 0, address: bytes | None = None
    ) -> tuple[int, int]:
        """(errno, bytes sent). EBADF, EOPNOTSUPP, EFAULT, EINVAL, EPIPE, ENOTCONN,
        EMSGSIZE, EWOULDBLOCK, ENOTSUP; EDESTADDRREQ, EISCONN, ENOBUFS, those of connect for a
        datagram; what a send callback answers."""
        if address is not None or data is None:
            files = self._enter(pid, "sendto", fd, data, flags, address)
            fault = data is None
            errno, sent = self._run(
                files.sendto(fd, data or b"", flags, address, None, fault), files, fd
            )
            self._leave(errno, sent)
            return errno, sent
        process = self._processes.get(pid)
        if process is None:
            process = self._system.enter(pid)
        rec = self._rec
        if rec is not None:
            rec((SYSCALL, pid, "sendto", 3, fd, data, flags))
        files = process.descriptors
        file = files.files.get(fd)
        if file is None:
            errno, sent = EBADF, 0
        else:
            try:
                start = sosend_now if self._tasks.suspend is None else sosend
                answer = start(file.so, data, flags)
                if not isinstance(answer, tuple):
                    answer = self._drive(answer, files, fd)
            except ENDS as end:
                self._stopped(end)
                raise
            errno, resid = answer
            sent = len(data) - resid
            if errno:
                errno = files.send_failed(file.so, errno, sent)
        if rec is not None:
            rec((RETURN, errno, sent))
        return errno, sent

    def sendmsg(
        self,
        pid: int,
        fd: int,
        datas: Sequence[bytes],
        flags: int = 0,
        address: bytes | None = None,
        control: bytes | None = None,
    ) -> tuple[int, int]:
        """(errno, bytes sent). As sendto, of several buffers; EINVAL for control data that is short
        or no SCM_RIGHTS; EBADF for a descriptor in it that is not open."""
        rest = (address, control) if address is not None or control is not None else ()
        files = self._enter(pid, "sendmsg", fd, tuple(datas), flags, *rest)
        errno, sent = self._run(files.sendmsg(fd, datas, flags, address, control), files, fd)
        self._leave(errno, sent)
        return errno, sent

    def sendmsg_x(
        self, pid: int, fd: int, datas: Sequence[bytes], flags: int = 0
    ) -> tuple[int, int]:
        """(errno, messages sent). As sendto, for several messages."""
        files = self._enter(pid, "sendmsg_x", fd, tuple(datas), flags)
        errno, sent = self._run(files.sendmsg_x(fd, datas, flags), files, fd)
        self._leave(errno, sent)
        return errno, sent

    def recvfrom(self, pid: int, fd: int, length: int, flags: int = 0) -> tuple[int, bytes]:
        """(errno, data). EBADF, EOPNOTSUPP, ENOTCONN, EWOULDBLOCK, EINTR."""
        process = self._processes.get(pid)
        if process is None:
            process = self._system.enter(pid)
        rec = self._rec
        if rec is not None:
            rec((SYSCALL, pid, "recvfrom", 3, fd, length, flags))
        files = process.descriptors
        file = files.files.get(fd)
        if file is None:
            errno, data = EBADF, b""
        elif files.before_read is not None:
            errno, data = self._run(files.recvfrom(fd, length, flags), files, fd)
        else:
            try:
                if self._tasks.suspend is None:
                    answer = soreceive_now(file.so, length, flags, files)
                else:
                    answer = soreceive(file.so, length, flags, Incoming(files))
                if not isinstance(answer, tuple):
                    answer = self._drive(answer, files, fd)
            except ENDS as end:
                self._stopped(end)
                raise
            errno, data, _ = answer
        if rec is not None:
            rec((RETURN, errno, data))
        return errno, data

    def recvmsg(
        self, pid: int, fd: int, length: int, flags: int = 0, controllen: int | None = None
    ) -> tuple[int, tuple[Any, ...]]:
        """(errno, (data, flags)). As recvfrom; flags are those passed and MSG_EOR, MSG_TRUNC.

        With ``controllen``, the room for control data: (errno, (data, flags, control, address)),
        empty where none came; MSG_CTRUNC if the control data was cut. Any: the items of either.
        """
        rest = (controllen,) if controllen is not None else ()
        files = self._enter(pid, "recvmsg", fd, length, flags, *rest)
        errno, message = self._run(files.recvmsg(fd, length, flags, controllen), files, fd)
        value = message.plain()
        self._leave(errno, value)
        return errno, value

    def recvmsg_x(
        self, pid: int, fd: int, length: int, count: int, flags: int = 0
    ) -> tuple[int, list[tuple[bytes, int]]]:
        """(errno, [(data, flags), ...]). As recvfrom, for up to ``count`` messages."""
        files = self._enter(pid, "recvmsg_x", fd, length, count, flags)
        errno, messages = self._run(files.recvmsg_x(fd, length, count, flags), files, fd)
        value = [(message.data, message.flags) for message in messages]
        self._leave(errno, tuple(value))
        return errno, value

    def shutdown(self, pid: int, fd: int, how: int) -> tuple[int, None]:
        """EBADF, EINVAL, ENOTCONN, EOPNOTSUPP."""
        files = self._enter(pid, "shutdown", fd, how)
        errno, _ = self._run(files.shutdown(fd, how), files, fd)
        self._leave(errno, None)
        return errno, None

    def disconnectx(self, pid: int, fd: int, aid: int = 0, cid: int = 0) -> tuple[int, None]:
        """EBADF, EOPNOTSUPP."""
        errno, _ = self._enter(pid, "disconnectx", fd, aid, cid).disconnectx(fd)
        self._leave(errno, None)
        return errno, None

    # -- options, ioctls, readiness --------------------------------------------------------

    def setsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None, length: int
    ) -> tuple[int, None]:
        """EFAULT, EBADF, EINVAL, ENOBUFS, ENOPROTOOPT, ENOTSUP; what a setopt callback answers."""
        files = self._enter(pid, "setsockopt", fd, level, name, value, length)
        errno, _ = self._run(files.setsockopt(fd, level, name, value, length), files, fd)
        self._leave(errno, None)
        return errno, None

    def getsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None
    ) -> tuple[int, tuple[int, bytes]]:
        """(errno, (length, answer)). EBADF, EINVAL, ENOPROTOOPT, ENOTSUP; what a getopt callback
        answers. ``value`` is what the caller's buffer holds, ``None`` asks for the length."""
        files = self._enter(pid, "getsockopt", fd, level, name, value)
        errno, answer = self._run(files.getsockopt(fd, level, name, value), files, fd)
        self._leave(errno, answer)
        return errno, answer

    def ioctl(self, pid: int, fd: int, cmd: int, data: bytes | None) -> tuple[int, bytes]:
        """(errno, the argument afterwards). EBADF, EFAULT, ENOTSUP, EINVAL, ENOENT."""
        errno, answer = self._enter(pid, "ioctl", fd, cmd, data).ioctl(fd, cmd, data)
        self._leave(errno, answer)
        return errno, answer

    def poll(self, pid: int, fd: int) -> tuple[int, tuple[bool, bool]]:
        """(errno, (readable, writable)). EBADF."""
        errno, ready = self._enter(pid, "poll", fd).poll(fd)
        self._leave(errno, ready)
        return errno, ready

    def select(
        self, pid: int, readers: Sequence[int], writers: Sequence[int], timeout: int | None
    ) -> tuple[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """(errno, (readable, writable)): waits until one of the descriptors is ready, at most
        ``timeout`` ns of virtual time. EBADF, EINTR."""
        reads, writes = tuple(readers), tuple(writers)
        files = self._enter(pid, "select", reads, writes, timeout)
        errno, ready = self._run(files.select(reads, writes, self._until(timeout)), files, -1)
        self._leave(errno, ready)
        return errno, ready

    def _until(self, timeout: int | None) -> int | None:
        return None if timeout is None else self._system.tasks.clock.now + timeout

    # -- calls that are awaited ------------------------------------------------------------

    def routine(self, pid: int, name: str, *args: Any) -> Routine[tuple[int, Any]]:
        """A system call as a routine, for a task that cannot be suspended from inside: the same
        call, letting go where the kernel does. The arguments are those of the call of that name,
        all of them but ``sendto``'s and ``sendmsg``'s last ones; Any, as they are checked there.

        Raises:
            AttributeError: no such call, or one that never lets go.
        """
        task = self._system.tasks.running
        files = self._enter(pid, name, *args)
        fd = -1 if name in ("close", "select", "socketpair") else args[0]
        if name == "select":
            args = (args[0], args[1], self._until(args[2]))
        task.in_call += 1
        files.enter(fd)
        try:
            errno, value = yield from getattr(files, name)(*args)
            if isinstance(value, Message):
                value = value.plain()
            if task.killed:
                raise Killed("its process ended")
        except ENDS as end:
            self._stopped(end)
            raise
        finally:
            files.leave(fd)
            task.in_call -= 1
        self._leave(errno, value)
        return errno, value
