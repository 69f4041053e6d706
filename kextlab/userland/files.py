"""The descriptors of a simulated process, as far as ``fcntl`` and ``os`` must know them.

The kernel's gate opens, duplicates and closes descriptors and switches their modes, but has no
call that reads the modes back (``fcntl(F_GETFL)``, ``fcntl(F_GETFD)``). So every such call of a
process goes through its ``Files``, which keeps what was set. Read beside it: ``bsd/sys/fcntl.h``
and ``bsd/kern/kern_descrip.c`` (``sys_fcntl_nocancel``).

Left out: descriptors for anything but sockets, so 0, 1 and 2 are NotImplementedError; what another
process has set on an open file this one received or shares (F_GETFL tells what was set here); the
FIOCLEX with which CPython makes each new descriptor non-inheritable, which would only clutter the
trace (here they simply are).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kextlab.abi.errno import EBADF, oserror
from kextlab.abi.ioctl import FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX
from kextlab.userland.gate import Gate

O_RDWR: Final = 0x0002
O_NONBLOCK: Final = 0x0004
O_ASYNC: Final = 0x0040

_MODES: Final = {FIONBIO: O_NONBLOCK, FIOASYNC: O_ASYNC}
"""Requests that switch a mode of the open file, which all its descriptors share."""
FIRST_FREE: Final = 3
"""0, 1 and 2 are taken."""


@dataclass(slots=True)
class OpenFile:
    """What duplicates of a descriptor share: the status flags F_GETFL tells."""

    flags: int = O_RDWR


class Files:
    """The open descriptors of one process."""

    __slots__ = ("gate", "inheritable", "open", "pid")

    def __init__(self, pid: int, gate: Gate) -> None:
        self.pid = pid
        self.gate = gate
        self.open: dict[int, OpenFile] = {}
        self.inheritable: set[int] = set()

    def opened(self, fd: int, inheritable: bool = False) -> None:
        """A new descriptor of a new open file."""
        self._install(fd, OpenFile(), inheritable)

    def accepted(self, fd: int, listener: int) -> None:
        """A new descriptor of an accepted socket, which takes over the listener's flags."""
        self._install(fd, OpenFile(self.status(listener).flags), False)

    def _install(self, fd: int, file: OpenFile, inheritable: bool) -> None:
        self.open[fd] = file
        (self.inheritable.add if inheritable else self.inheritable.discard)(fd)

    def status(self, fd: int) -> OpenFile:
        """The open file behind a descriptor.

        Raises:
            OSError: EBADF, it is not open.
            NotImplementedError: it is 0, 1 or 2.
        """
        modelled(fd)
        file = self.open.get(fd)
        if file is None:
            raise oserror(EBADF)
        return file

    def dup(self, fd: int, least: int = 0, inheritable: bool = False) -> tuple[int, int]:
        """(errno, a second descriptor, ``least`` or above). EBADF."""
        errno, new = self.gate.dup(self.pid, fd, max(least, FIRST_FREE))
        if not errno:
            self._install(new, self.open.get(fd) or OpenFile(), inheritable)
        return errno, new

    def close(self, fd: int) -> int:
        """Errno: EBADF."""
        file = self.open.pop(fd, None)  # first: the number is free while the close waits
        try:
            return self.gate.close(self.pid, fd)[0]
        except BaseException:
            if file is not None:
                self.open.setdefault(fd, file)
            raise

    def ioctl(self, fd: int, cmd: int, data: bytes | None) -> tuple[int, bytes]:
        """(errno, the argument afterwards), as the gate answers."""
        errno, answer = self.gate.ioctl(self.pid, fd, cmd, data)
        if not errno and fd in self.open:
            if cmd in _MODES:
                file, mode = self.open[fd], _MODES[cmd]
                on = any((data or b"")[:4])
                file.flags = file.flags | mode if on else file.flags & ~mode
            elif cmd == FIONCLEX:
                self.inheritable.add(fd)
            elif cmd == FIOCLEX:
                self.inheritable.discard(fd)
        return errno, answer


def modelled(fd: int) -> None:
    """NotImplementedError for the descriptors a process has from its shell."""
    if 0 <= fd < FIRST_FREE:
        raise NotImplementedError(
            f"descriptor {fd} of a simulated process is its terminal, which is not modelled"
        )
