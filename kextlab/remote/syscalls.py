"""The syscall gate over bytes: ``LoopbackSyscalls`` is the client's side, ``serve`` the kernel's.

Every call crosses as a ``Call`` with the arguments of ``kextlab.kernel.syscalls.Syscalls`` (the
pid first, defaults filled in) and comes back as a ``Return`` of (errno, value). Panics, deadlocks
and ProcessLookupError cross too and are raised again on the client's side.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kextlab.kernel.syscalls import Syscalls
from kextlab.remote import answers
from kextlab.remote.link import Link, LinkStatistics
from kextlab.remote.signatures import SYSCALLS, check, signature_of
from kextlab.remote.wire import Call, Plain, Return, WireError, pack, shown


def serve(gate: Syscalls, message: bytes) -> bytes:
    """The kernel's side: do the system call of ``message``; its answer as a message.

    A message that is no call, an unknown call and arguments that do not fit are answered by an
    ``Error`` of one line, before the kernel is entered. Raises nothing.
    """
    return answers.serve(partial(_perform, gate), message)


def _perform(gate: Syscalls, call: Call) -> Return:
    check(call.name, signature_of(SYSCALLS, call.name), call.arguments)
    return Return(getattr(gate, call.name)(*call.arguments))


class LoopbackSyscalls:
    """The system calls of one boot to a client with nothing but bytes between.

    The calls are those of ``kextlab.kernel.syscalls.Syscalls``, documented there: same arguments,
    same (errno, value).

    Raises, besides what a system call raises: WireError for an argument that is no plain value or
    not of the call's types, in one line; then the kernel was not entered.
    """

    __slots__ = ("_link",)

    def __init__(self, gate: Syscalls) -> None:
        self._link = Link(partial(serve, gate))

    def statistics(self) -> LinkStatistics:
        """What has crossed so far."""
        return self._link.statistics()

    def _call(self, name: str, *arguments: Plain) -> tuple[int, Plain]:
        answer = self._link.to_kernel(pack(Call(name, arguments)))
        value = answers.returned(answer).value
        if not isinstance(value, tuple) or len(value) != 2:
            raise WireError(f"{name} answered {shown(value)}, (errno, value) is due")
        return value

    # -- sockets and descriptors -----------------------------------------------------------

    def socket(self, pid: int, domain: int, type_: int, protocol: int) -> tuple[int, int]:
        """(errno, descriptor)."""
        return self._call("socket", pid, domain, type_, protocol)

    def socketpair(
        self, pid: int, domain: int, type_: int, protocol: int
    ) -> tuple[int, tuple[int, int]]:
        """(errno, two descriptors)."""
        return self._call("socketpair", pid, domain, type_, protocol)

    def dup(self, pid: int, fd: int, least: int = 3) -> tuple[int, int]:
        """(errno, a second descriptor)."""
        return self._call("dup", pid, fd, least)

    def close(self, pid: int, fd: int) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("close", pid, fd)

    # -- addresses -------------------------------------------------------------------------

    def bind(self, pid: int, fd: int, address: bytes | None) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("bind", pid, fd, address)

    def connect(self, pid: int, fd: int, address: bytes | None) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("connect", pid, fd, address)

    def listen(self, pid: int, fd: int, backlog: int) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("listen", pid, fd, backlog)

    def accept(self, pid: int, fd: int) -> tuple[int, tuple[int, bytes]]:
        """(errno, (descriptor, the peer's address))."""
        return self._call("accept", pid, fd)

    def unlink(self, pid: int, path: bytes) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("unlink", pid, path)

    def chmod(self, pid: int, path: bytes, mode: int) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("chmod", pid, path, mode)

    def getpeername(self, pid: int, fd: int) -> tuple[int, bytes]:
        """(errno, address)."""
        return self._call("getpeername", pid, fd)

    def getsockname(self, pid: int, fd: int) -> tuple[int, bytes]:
        """(errno, address)."""
        return self._call("getsockname", pid, fd)

    # -- data ------------------------------------------------------------------------------

    def sendto(
        self, pid: int, fd: int, data: bytes | None, flags: int = 0, address: bytes | None = None
    ) -> tuple[int, int]:
        """(errno, bytes sent)."""
        return self._call("sendto", pid, fd, data, flags, address)

    def sendmsg(
        self,
        pid: int,
        fd: int,
        datas: Sequence[bytes],
        flags: int = 0,
        address: bytes | None = None,
        control: bytes | None = None,
    ) -> tuple[int, int]:
        """(errno, bytes sent)."""
        return self._call("sendmsg", pid, fd, list(datas), flags, address, control)

    def sendmsg_x(
        self, pid: int, fd: int, datas: Sequence[bytes], flags: int = 0
    ) -> tuple[int, int]:
        """(errno, messages sent)."""
        return self._call("sendmsg_x", pid, fd, list(datas), flags)

    def recvfrom(self, pid: int, fd: int, length: int, flags: int = 0) -> tuple[int, bytes]:
        """(errno, data)."""
        return self._call("recvfrom", pid, fd, length, flags)

    def recvmsg(
        self, pid: int, fd: int, length: int, flags: int = 0, controllen: int | None = None
    ) -> tuple[int, tuple[Plain, ...]]:
        """(errno, (data, flags)), with ``controllen`` (errno, (data, flags, control, address))."""
        return self._call("recvmsg", pid, fd, length, flags, controllen)

    def recvmsg_x(
        self, pid: int, fd: int, length: int, count: int, flags: int = 0
    ) -> tuple[int, list[tuple[bytes, int]]]:
        """(errno, [(data, flags), ...])."""
        return self._call("recvmsg_x", pid, fd, length, count, flags)

    def shutdown(self, pid: int, fd: int, how: int) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("shutdown", pid, fd, how)

    def disconnectx(self, pid: int, fd: int, aid: int = 0, cid: int = 0) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("disconnectx", pid, fd, aid, cid)

    # -- options, ioctls, readiness --------------------------------------------------------

    def setsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None, length: int
    ) -> tuple[int, None]:
        """(errno, None)."""
        return self._call("setsockopt", pid, fd, level, name, value, length)

    def getsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None
    ) -> tuple[int, tuple[int, bytes]]:
        """(errno, (length, answer))."""
        return self._call("getsockopt", pid, fd, level, name, value)

    def ioctl(self, pid: int, fd: int, cmd: int, data: bytes | None) -> tuple[int, bytes]:
        """(errno, the argument afterwards)."""
        return self._call("ioctl", pid, fd, cmd, data)

    def poll(self, pid: int, fd: int) -> tuple[int, tuple[bool, bool]]:
        """(errno, (readable, writable))."""
        return self._call("poll", pid, fd)

    def select(
        self, pid: int, readers: Sequence[int], writers: Sequence[int], timeout: int | None
    ) -> tuple[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """(errno, (readable, writable))."""
        return self._call("select", pid, list(readers), list(writers), timeout)
