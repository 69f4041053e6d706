"""The syscall gate as a process uses it, and what its answers become in Python.

``Gate`` is what ``kextlab.kernel.syscalls.Syscalls`` offers, of plain values: anything with these
methods will do, such as an encoded loop-back or a pipe to another process.

Read beside it: CPython's ``Python/errors.c`` (``PyErr_SetFromErrno``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

from kextlab.abi.errno import EINTR, EJUSTRETURN, ERESTART, name_of, oserror
from kextlab.sched.stop import SimDeadlock

T = TypeVar("T")

MAX_RETRIES: Final = 100
"""How often a call that answers EINTR is made again before it counts as endless."""


class Gate(Protocol):
    """System calls: (pid, numbers, bytes, ``None``) in, (errno, value) out."""

    def socket(self, pid: int, domain: int, type_: int, protocol: int, /) -> tuple[int, int]: ...
    def socketpair(
        self, pid: int, domain: int, type_: int, protocol: int, /
    ) -> tuple[int, tuple[int, int]]: ...
    def dup(self, pid: int, fd: int, least: int = 3, /) -> tuple[int, int]: ...
    def close(self, pid: int, fd: int, /) -> tuple[int, None]: ...
    def bind(self, pid: int, fd: int, address: bytes | None, /) -> tuple[int, None]: ...
    def connect(self, pid: int, fd: int, address: bytes | None, /) -> tuple[int, None]: ...
    def listen(self, pid: int, fd: int, backlog: int, /) -> tuple[int, None]: ...
    def accept(self, pid: int, fd: int, /) -> tuple[int, tuple[int, bytes]]: ...
    def unlink(self, pid: int, path: bytes, /) -> tuple[int, None]: ...
    def chmod(self, pid: int, path: bytes, mode: int, /) -> tuple[int, None]: ...
    def getpeername(self, pid: int, fd: int, /) -> tuple[int, bytes]: ...
    def getsockname(self, pid: int, fd: int, /) -> tuple[int, bytes]: ...
    def sendto(
        self,
        pid: int,
        fd: int,
        data: bytes | None,
        flags: int = 0,
        address: bytes | None = None,
        /,
    ) -> tuple[int, int]: ...
    def sendmsg(
        self,
        pid: int,
        fd: int,
        datas: Sequence[bytes],
        flags: int = 0,
        address: bytes | None = None,
        control: bytes | None = None,
        /,
    ) -> tuple[int, int]: ...
    def recvfrom(self, pid: int, fd: int, length: int, flags: int = 0, /) -> tuple[int, bytes]: ...
    def recvmsg(
        self, pid: int, fd: int, length: int, flags: int = 0, controllen: int | None = None, /
    ) -> tuple[int, tuple[Any, ...]]: ...
    def shutdown(self, pid: int, fd: int, how: int, /) -> tuple[int, None]: ...
    def setsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None, length: int, /
    ) -> tuple[int, None]: ...
    def getsockopt(
        self, pid: int, fd: int, level: int, name: int, value: bytes | None, /
    ) -> tuple[int, tuple[int, bytes]]: ...
    def ioctl(self, pid: int, fd: int, cmd: int, data: bytes | None, /) -> tuple[int, bytes]: ...
    def poll(self, pid: int, fd: int, /) -> tuple[int, tuple[bool, bool]]: ...
    def select(
        self, pid: int, readers: Sequence[int], writers: Sequence[int], timeout: int | None, /
    ) -> tuple[int, tuple[tuple[int, ...], tuple[int, ...]]]: ...


def refused(errno: int, value: T) -> T:
    """What a system call that answered ``errno``, not 0, becomes.

    Two numbers never leave XNU's system-call layer, and only a kext's callback brings them here:
    EJUSTRETURN (-2) leaves the registers alone, so the call seems to succeed; it returns ``value``,
    which is 0 or nothing. ERESTART (-1) makes XNU run the call again.

    Raises:
        OSError: the subclass, number and text Python has for ``errno`` on a Mac.
        NotImplementedError: ERESTART.
    """
    if errno == EJUSTRETURN:
        return value
    if errno == ERESTART:
        raise NotImplementedError(
            "the kernel answered ERESTART (-1), which a callback of the kext returned: XNU would "
            "run this system call again and again; restarting calls is not modelled"
        )
    raise oserror(errno)


def check(errno: int) -> None:
    """Nothing for 0, else as ``refused``."""
    if errno:
        refused(errno, None)


def endless(errno: int = EINTR) -> SimDeadlock:
    """What is raised when a call that Python repeats after EINTR, or asyncio after EAGAIN, never
    answers anything else."""
    again = (
        "Python makes an interrupted call again (PEP 475), and on a Mac it would do so for ever"
        if errno == EINTR
        else "the socket is ready, so asyncio makes it again, on a Mac for ever"
    )
    return SimDeadlock(
        f"this call answered {name_of(errno)} {MAX_RETRIES} times: {again}. Return another errno "
        "from the callback"
    )
