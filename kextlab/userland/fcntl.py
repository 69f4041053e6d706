"""A simulated process's ``fcntl`` module.

Requests and commands are Darwin's numbers, on any host. Read beside it: CPython's
``Modules/fcntlmodule.c``; in XNU ``bsd/kern/sys_generic.c`` (``ioctl``) and
``bsd/kern/kern_descrip.c`` (``sys_fcntl_nocancel``). The requests of controls and events are in
``kextlab.abi``: CPython does not have them.

Left out, so NotImplementedError: locks, owners and every other command of ``fcntl()``.
In doubt: a buffer shorter than its request is completed with zeros, where CPython hands the kernel
what lies behind it.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Final

from kextlab.abi.errno import EINVAL, oserror
from kextlab.abi.ioctl import FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX
from kextlab.userland.arguments import (
    Readable,
    as_bytes,
    c_int,
    c_uint,
    fildes,
    is_buffer,
    write_into,
)
from kextlab.userland.files import O_ASYNC, O_NONBLOCK, modelled
from kextlab.userland.gate import check, refused

if TYPE_CHECKING:
    from kextlab.userland.process import App

BUFSZ: Final = 1024
"""Bytes CPython copies an immutable argument into; a longer one is a ValueError."""

CONSTANTS: Final = {
    "F_DUPFD": 0,
    "F_GETFD": 1,
    "F_SETFD": 2,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "F_GETOWN": 5,
    "F_SETOWN": 6,
    "F_GETLK": 7,
    "F_SETLK": 8,
    "F_SETLKW": 9,
    "F_NOCACHE": 48,
    "F_GETPATH": 50,
    "F_FULLFSYNC": 51,
    "F_DUPFD_CLOEXEC": 67,
    "F_RDLCK": 1,
    "F_UNLCK": 2,
    "F_WRLCK": 3,
    "FD_CLOEXEC": 1,
    "FASYNC": O_ASYNC,
}
_COMMANDS: Final = {
    number: name
    for name, number in CONSTANTS.items()
    if name.startswith("F_") and not name.endswith("LCK")
}


def _word(on: int) -> bytes:
    return bytes([bool(on), 0, 0, 0])


def module(app: App) -> ModuleType:
    """The ``fcntl`` module of that process."""
    files = app.files

    def ioctl(
        fd: object, request: int, arg: Readable = 0, mutate_flag: bool = True, /
    ) -> int | bytes:
        """Make an ioctl on a descriptor or an object with ``fileno()``.

        A writable buffer is changed in place and the result is 0; any other bytes-like argument
        (or ``mutate_flag=False``) gives changed bytes of the same length, at most 1024. An int is
        handed on as it is: where the kernel wants a pointer that is EFAULT.
        """
        fd = fildes(fd)
        cmd = c_uint(request)
        modelled(fd)
        if isinstance(arg, str):
            arg = arg.encode()
        if not is_buffer(arg):
            c_int(arg)
            check(files.ioctl(fd, cmd, None)[0])
            return 0
        data = as_bytes(arg)
        in_place = mutate_flag and not memoryview(arg).readonly
        if not in_place and len(data) > BUFSZ:
            raise ValueError("ioctl string arg too long")
        errno, answer = files.ioctl(fd, cmd, data)
        check(errno)
        data = (answer + data[len(answer) :])[: len(data)]
        if not in_place:
            return data
        write_into(arg, data)
        return 0

    def fcntl(fd: object, cmd: int, arg: Readable = 0, /) -> int:
        """Do F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL or F_SETFL (which sets
        O_NONBLOCK and O_ASYNC and nothing else).

        Errors: EBADF, EINVAL (F_DUPFD to a negative descriptor; no such command).
        """
        fd, cmd = fildes(fd), c_int(cmd)
        if isinstance(arg, (str, bytes, bytearray)):
            raise NotImplementedError(f"fcntl command {cmd} with a buffer is not modelled")
        arg = c_uint(arg)
        file = files.status(fd)
        name = _COMMANDS.get(cmd)
        if name in ("F_DUPFD", "F_DUPFD_CLOEXEC"):
            if arg > 0x7FFFFFFF:
                raise oserror(EINVAL)
            errno, new = files.dup(fd, arg, name == "F_DUPFD")
            return refused(errno, 0) if errno else new
        if name == "F_GETFD":
            return int(fd not in files.inheritable)
        if name == "F_SETFD":
            check(files.ioctl(fd, FIOCLEX if arg & 1 else FIONCLEX, None)[0])
            return 0
        if name == "F_GETFL":
            return file.flags
        if name == "F_SETFL":
            check(files.ioctl(fd, FIONBIO, _word(arg & O_NONBLOCK))[0])
            check(files.ioctl(fd, FIOASYNC, _word(arg & O_ASYNC))[0])
            return 0
        raise NotImplementedError(f"fcntl command {name or cmd} is not modelled")

    result = ModuleType("fcntl", "The fcntl module of a simulated process.")
    result.__dict__.update(CONSTANTS, ioctl=ioctl, fcntl=fcntl)
    return result
