"""The descriptors of a process, and the open files they share.

Models what sockets need of it: the lowest free number, duplicates, closing while calls of other
threads are inside. Read beside it: ``bsd/kern/kern_descrip.c`` (``fdalloc``, ``closef_locked``,
``fileproc_drain``).

Left out: descriptors for anything but sockets, descriptor limits.
"""

from __future__ import annotations

from kextlab.abi.constants import SS_DRAINING
from kextlab.abi.errno import EBADF
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Proc, Socket
from kextlab.sched.drive import Routine
from kextlab.sched.stop import Sleep
from kextlab.trace.codes import DELETE, new

FIRST_FREE = 3
"""0, 1 and 2 are taken, as in a process started from a shell."""


class File:
    """An open socket as descriptors share it (``struct fileglob``). ``count`` also counts the
    messages it is on its way in."""

    __slots__ = ("count", "so")

    def __init__(self, so: Socket) -> None:
        self.so = so
        self.count = 1


def closef(sockets: Sockets, file: File) -> Routine[int]:
    """One reference less; the last one closes the socket. Its errno."""
    file.count -= 1
    return (yield from sockets.soclose(file.so)) if not file.count else 0


class FileTable:
    """The descriptor table of one process."""

    __slots__ = ("_lowest", "cloexec", "files", "inside", "proc", "rec", "sockets")

    def __init__(self, sockets: Sockets, proc: Proc) -> None:
        self.sockets = sockets
        self.proc = proc
        self.rec = sockets.rec
        self.files: dict[int, File] = {}
        self.cloexec: set[int] = set()
        self.inside: dict[int, int] = {}
        """How many suspended calls are inside a descriptor (fp_iocount, less the caller's own)."""
        self._lowest = FIRST_FREE
        """No descriptor below this one is free."""

    def socket_of(self, fd: int) -> Socket | None:
        """The socket behind a descriptor, ``None`` if it is not open."""
        file = self.files.get(fd)
        return file.so if file is not None else None

    def install(self, file: File, least: int = FIRST_FREE) -> int:
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

    def dup(self, fd: int, least: int = FIRST_FREE) -> tuple[int, int]:
        """(errno, a second descriptor, ``least`` or above). EBADF."""
        file = self.files.get(fd)
        if file is None:
            return EBADF, -1
        file.count += 1
        return 0, self.install(file, least)

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
            self.sockets.sched.wakeup(f"so_timeo:{so.number}")
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
        error = yield from closef(self.sockets, file)
        return error, None
