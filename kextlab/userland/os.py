"""A simulated process's ``os`` module: what works on descriptors, and who it is.

Read beside it: CPython's ``Modules/posixmodule.c`` and ``Python/fileutils.c``; in XNU
``bsd/kern/sys_socket.c`` (``soo_read``, ``soo_write``: a read is a receive without flags, a write
a send, and that is what the trace shows).

``unlink`` and ``chmod`` know the names of local sockets, which are all there is of a file system.

Left out: other files, processes, environment; ``fstat``.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from kextlab.abi.errno import EBADF, EINTR, EINVAL, message_of, oserror
from kextlab.abi.ioctl import FIOCLEX, FIONBIO, FIONCLEX
from kextlab.userland.arguments import Readable, as_bytes, c_int, c_ssize
from kextlab.userland.files import O_NONBLOCK, O_RDWR, modelled
from kextlab.userland.gate import MAX_RETRIES, check, endless, refused
from kextlab.userland.socket_unix import pathname

if TYPE_CHECKING:
    from kextlab.userland.process import App


def module(app: App) -> ModuleType:
    """The ``os`` module of that process."""
    pid, gate, files = app.pid, app.gate, app.files

    def read(fd: int, length: int, /) -> bytes:
        """Read at most ``length`` bytes: one record of a datagram socket. Errors as recv's;
        EINVAL for a negative length."""
        fd, length = c_int(fd), c_ssize(length)
        if length < 0:
            raise oserror(EINVAL)
        modelled(fd)
        for _ in range(MAX_RETRIES):
            errno, data = gate.recvfrom(pid, fd, length, 0)
            if errno != EINTR:
                return refused(errno, b"") if errno else data
        raise endless()

    def write(fd: int, data: Readable, /) -> int:
        """Write ``data``, on a datagram socket as one record. Errors as send's."""
        fd, data = c_int(fd), as_bytes(data)
        modelled(fd)
        for _ in range(MAX_RETRIES):
            errno, sent = gate.sendto(pid, fd, data, 0)
            if errno != EINTR:
                return refused(errno, 0) if errno else sent
        raise endless()

    def close(fd: int) -> None:
        """Close a descriptor. EBADF."""
        fd = c_int(fd)
        modelled(fd)
        check(files.close(fd))

    def dup(fd: int, /) -> int:
        """A second, non-inheritable descriptor of the same socket. EBADF."""
        fd = c_int(fd)
        modelled(fd)
        errno, new = files.dup(fd)
        check(errno)
        return new

    def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
        """Make ``fd2``, closed first if it is open, a descriptor of ``fd``'s socket. EBADF."""
        fd, fd2 = c_int(fd), c_int(fd2)
        if fd2 < 0:
            raise oserror(EBADF)
        modelled(fd2)
        files.status(fd)
        if fd2 != fd:
            if fd2 in files.open:
                files.close(fd2)
            files.dup(fd, fd2, inheritable)
        return fd2

    def set_blocking(fd: int, blocking: bool, /) -> None:
        """Let calls on the socket wait, or answer EAGAIN instead (FIONBIO). EBADF."""
        fd = c_int(fd)
        modelled(fd)
        check(files.ioctl(fd, FIONBIO, bytes([not blocking, 0, 0, 0]))[0])

    def get_blocking(fd: int, /) -> bool:
        """Whether calls on the socket may wait. EBADF."""
        return not files.status(c_int(fd)).flags & O_NONBLOCK

    def set_inheritable(fd: int, inheritable: int, /) -> None:
        """Whether a program the process turns into keeps the descriptor. EBADF."""
        fd = c_int(fd)
        modelled(fd)
        check(files.ioctl(fd, FIONCLEX if inheritable else FIOCLEX, None)[0])

    def get_inheritable(fd: int, /) -> bool:
        """Whether a program the process turns into keeps the descriptor. EBADF."""
        files.status(c_int(fd))
        return fd in files.inheritable

    def unlink(path: object) -> None:
        """Take the name of a local socket away. ENOENT, EPERM, ENAMETOOLONG."""
        check(gate.unlink(pid, pathname(path))[0])

    def chmod(path: object, mode: int) -> None:
        """Set who may connect to a local socket: whoever may write it. ENOENT, EPERM,
        ENAMETOOLONG."""
        check(gate.chmod(pid, pathname(path), c_int(mode))[0])

    def getpid() -> int:
        """The process's number."""
        app.check()
        return pid

    def getuid() -> int:
        """The process's user."""
        app.check()
        return app.uid

    def strerror(code: int, /) -> str:
        """Darwin's text for an error number."""
        return message_of(c_int(code))

    result = ModuleType("os", "The os module of a simulated process.")
    result.__dict__.update(
        name="posix",
        error=OSError,
        O_RDWR=O_RDWR,
        O_NONBLOCK=O_NONBLOCK,
        read=read,
        write=write,
        close=close,
        dup=dup,
        dup2=dup2,
        set_blocking=set_blocking,
        get_blocking=get_blocking,
        set_inheritable=set_inheritable,
        get_inheritable=get_inheritable,
        unlink=unlink,
        remove=unlink,
        chmod=chmod,
        getpid=getpid,
        getuid=getuid,
        geteuid=getuid,
        strerror=strerror,
    )
    return result
