"""Darwin's error numbers: number, name, message and Python exception class.

Models the table a Darwin process sees: the numbers of ``bsd/sys/errno.h`` with the texts
``strerror()`` gives for them on macOS. Two kernel-internal results are here as well: a control's
callback may return them, and the recordings show them.

Python's own ``errno`` module describes the machine it runs on (35 is EDEADLK on Linux, EAGAIN on
Darwin), so nothing here asks it.

Read beside it: ``bsd/sys/errno.h``; for the exception classes, PEP 3151.

Leaves out: the other negative kernel-internal numbers (ERECYCLE, EREDRIVEOPEN, ...).

In doubt: nothing in the numbers; the texts are those of macOS's C library, not of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

EPERM: Final = 1
ENOENT: Final = 2
ESRCH: Final = 3
EINTR: Final = 4
EIO: Final = 5
ENXIO: Final = 6
E2BIG: Final = 7
ENOEXEC: Final = 8
EBADF: Final = 9
ECHILD: Final = 10
EDEADLK: Final = 11
ENOMEM: Final = 12
EACCES: Final = 13
EFAULT: Final = 14
ENOTBLK: Final = 15
EBUSY: Final = 16
EEXIST: Final = 17
EXDEV: Final = 18
ENODEV: Final = 19
ENOTDIR: Final = 20
EISDIR: Final = 21
EINVAL: Final = 22
ENFILE: Final = 23
EMFILE: Final = 24
ENOTTY: Final = 25
ETXTBSY: Final = 26
EFBIG: Final = 27
ENOSPC: Final = 28
ESPIPE: Final = 29
EROFS: Final = 30
EMLINK: Final = 31
EPIPE: Final = 32
EDOM: Final = 33
ERANGE: Final = 34
EAGAIN: Final = 35
EWOULDBLOCK: Final = EAGAIN
EINPROGRESS: Final = 36
EALREADY: Final = 37
ENOTSOCK: Final = 38
EDESTADDRREQ: Final = 39
EMSGSIZE: Final = 40
EPROTOTYPE: Final = 41
ENOPROTOOPT: Final = 42
EPROTONOSUPPORT: Final = 43
ESOCKTNOSUPPORT: Final = 44
ENOTSUP: Final = 45
EPFNOSUPPORT: Final = 46
EAFNOSUPPORT: Final = 47
EADDRINUSE: Final = 48
EADDRNOTAVAIL: Final = 49
ENETDOWN: Final = 50
ENETUNREACH: Final = 51
ENETRESET: Final = 52
ECONNABORTED: Final = 53
ECONNRESET: Final = 54
ENOBUFS: Final = 55
EISCONN: Final = 56
ENOTCONN: Final = 57
ESHUTDOWN: Final = 58
ETOOMANYREFS: Final = 59
ETIMEDOUT: Final = 60
ECONNREFUSED: Final = 61
ELOOP: Final = 62
ENAMETOOLONG: Final = 63
EHOSTDOWN: Final = 64
EHOSTUNREACH: Final = 65
ENOTEMPTY: Final = 66
EPROCLIM: Final = 67
EUSERS: Final = 68
EDQUOT: Final = 69
ESTALE: Final = 70
EREMOTE: Final = 71
EBADRPC: Final = 72
ERPCMISMATCH: Final = 73
EPROGUNAVAIL: Final = 74
EPROGMISMATCH: Final = 75
EPROCUNAVAIL: Final = 76
ENOLCK: Final = 77
ENOSYS: Final = 78
EFTYPE: Final = 79
EAUTH: Final = 80
ENEEDAUTH: Final = 81
EPWROFF: Final = 82
EDEVERR: Final = 83
EOVERFLOW: Final = 84
EBADEXEC: Final = 85
EBADARCH: Final = 86
ESHLIBVERS: Final = 87
EBADMACHO: Final = 88
ECANCELED: Final = 89
EIDRM: Final = 90
ENOMSG: Final = 91
EILSEQ: Final = 92
ENOATTR: Final = 93
EBADMSG: Final = 94
EMULTIHOP: Final = 95
ENODATA: Final = 96
ENOLINK: Final = 97
ENOSR: Final = 98
ENOSTR: Final = 99
EPROTO: Final = 100
ETIME: Final = 101
EOPNOTSUPP: Final = 102
ENOPOLICY: Final = 103
ENOTRECOVERABLE: Final = 104
EOWNERDEAD: Final = 105
EQFULL: Final = 106
ELAST: Final = EQFULL  # largest number in the table

# Never seen by a process: the system-call layer acts on them (run the call again; leave the
# registers alone).
ERESTART: Final = -1
EJUSTRETURN: Final = -2


@dataclass(frozen=True, slots=True)
class Errno:
    """One row of the table.

    ``exception`` is the class Python raises for an error of this *name* on a real Mac.
    """

    number: int
    name: str
    message: str
    exception: type[OSError]


# CPython chooses the subclass of OSError by errno name (PEP 3151); all others are plain OSError.
_EXCEPTIONS: Final[Mapping[int, type[OSError]]] = {
    EPERM: PermissionError,
    ENOENT: FileNotFoundError,
    ESRCH: ProcessLookupError,
    EINTR: InterruptedError,
    ECHILD: ChildProcessError,
    EACCES: PermissionError,
    EEXIST: FileExistsError,
    ENOTDIR: NotADirectoryError,
    EISDIR: IsADirectoryError,
    EPIPE: BrokenPipeError,
    EAGAIN: BlockingIOError,
    EINPROGRESS: BlockingIOError,
    EALREADY: BlockingIOError,
    ECONNABORTED: ConnectionAbortedError,
    ECONNRESET: ConnectionResetError,
    ESHUTDOWN: BrokenPipeError,
    ETIMEDOUT: TimeoutError,
    ECONNREFUSED: ConnectionRefusedError,
}

_ROWS: Final = (
    (EPERM, "EPERM", "Operation not permitted"),
    (ENOENT, "ENOENT", "No such file or directory"),
    (ESRCH, "ESRCH", "No such process"),
    (EINTR, "EINTR", "Interrupted system call"),
    (EIO, "EIO", "Input/output error"),
    (ENXIO, "ENXIO", "Device not configured"),
    (E2BIG, "E2BIG", "Argument list too long"),
    (ENOEXEC, "ENOEXEC", "Exec format error"),
    (EBADF, "EBADF", "Bad file descriptor"),
    (ECHILD, "ECHILD", "No child processes"),
    (EDEADLK, "EDEADLK", "Resource deadlock avoided"),
    (ENOMEM, "ENOMEM", "Cannot allocate memory"),
    (EACCES, "EACCES", "Permission denied"),
    (EFAULT, "EFAULT", "Bad address"),
    (ENOTBLK, "ENOTBLK", "Block device required"),
    (EBUSY, "EBUSY", "Resource busy"),
    (EEXIST, "EEXIST", "File exists"),
    (EXDEV, "EXDEV", "Cross-device link"),
    (ENODEV, "ENODEV", "Operation not supported by device"),
    (ENOTDIR, "ENOTDIR", "Not a directory"),
    (EISDIR, "EISDIR", "Is a directory"),
    (EINVAL, "EINVAL", "Invalid argument"),
    (ENFILE, "ENFILE", "Too many open files in system"),
    (EMFILE, "EMFILE", "Too many open files"),
    (ENOTTY, "ENOTTY", "Inappropriate ioctl for device"),
    (ETXTBSY, "ETXTBSY", "Text file busy"),
    (EFBIG, "EFBIG", "File too large"),
    (ENOSPC, "ENOSPC", "No space left on device"),
    (ESPIPE, "ESPIPE", "Illegal seek"),
    (EROFS, "EROFS", "Read-only file system"),
    (EMLINK, "EMLINK", "Too many links"),
    (EPIPE, "EPIPE", "Broken pipe"),
    (EDOM, "EDOM", "Numerical argument out of domain"),
    (ERANGE, "ERANGE", "Result too large"),
    (EAGAIN, "EAGAIN", "Resource temporarily unavailable"),
    (EINPROGRESS, "EINPROGRESS", "Operation now in progress"),
    (EALREADY, "EALREADY", "Operation already in progress"),
    (ENOTSOCK, "ENOTSOCK", "Socket operation on non-socket"),
    (EDESTADDRREQ, "EDESTADDRREQ", "Destination address required"),
    (EMSGSIZE, "EMSGSIZE", "Message too long"),
    (EPROTOTYPE, "EPROTOTYPE", "Protocol wrong type for socket"),
    (ENOPROTOOPT, "ENOPROTOOPT", "Protocol not available"),
    (EPROTONOSUPPORT, "EPROTONOSUPPORT", "Protocol not supported"),
    (ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT", "Socket type not supported"),
    (ENOTSUP, "ENOTSUP", "Operation not supported"),
    (EPFNOSUPPORT, "EPFNOSUPPORT", "Protocol family not supported"),
    (EAFNOSUPPORT, "EAFNOSUPPORT", "Address family not supported by protocol family"),
    (EADDRINUSE, "EADDRINUSE", "Address already in use"),
    (EADDRNOTAVAIL, "EADDRNOTAVAIL", "Can't assign requested address"),
    (ENETDOWN, "ENETDOWN", "Network is down"),
    (ENETUNREACH, "ENETUNREACH", "Network is unreachable"),
    (ENETRESET, "ENETRESET", "Network dropped connection on reset"),
    (ECONNABORTED, "ECONNABORTED", "Software caused connection abort"),
    (ECONNRESET, "ECONNRESET", "Connection reset by peer"),
    (ENOBUFS, "ENOBUFS", "No buffer space available"),
    (EISCONN, "EISCONN", "Socket is already connected"),
    (ENOTCONN, "ENOTCONN", "Socket is not connected"),
    (ESHUTDOWN, "ESHUTDOWN", "Can't send after socket shutdown"),
    (ETOOMANYREFS, "ETOOMANYREFS", "Too many references: can't splice"),
    (ETIMEDOUT, "ETIMEDOUT", "Operation timed out"),
    (ECONNREFUSED, "ECONNREFUSED", "Connection refused"),
    (ELOOP, "ELOOP", "Too many levels of symbolic links"),
    (ENAMETOOLONG, "ENAMETOOLONG", "File name too long"),
    (EHOSTDOWN, "EHOSTDOWN", "Host is down"),
    (EHOSTUNREACH, "EHOSTUNREACH", "No route to host"),
    (ENOTEMPTY, "ENOTEMPTY", "Directory not empty"),
    (EPROCLIM, "EPROCLIM", "Too many processes"),
    (EUSERS, "EUSERS", "Too many users"),
    (EDQUOT, "EDQUOT", "Disc quota exceeded"),
    (ESTALE, "ESTALE", "Stale NFS file handle"),
    (EREMOTE, "EREMOTE", "Too many levels of remote in path"),
    (EBADRPC, "EBADRPC", "RPC struct is bad"),
    (ERPCMISMATCH, "ERPCMISMATCH", "RPC version wrong"),
    (EPROGUNAVAIL, "EPROGUNAVAIL", "RPC prog. not avail"),
    (EPROGMISMATCH, "EPROGMISMATCH", "Program version wrong"),
    (EPROCUNAVAIL, "EPROCUNAVAIL", "Bad procedure for program"),
    (ENOLCK, "ENOLCK", "No locks available"),
    (ENOSYS, "ENOSYS", "Function not implemented"),
    (EFTYPE, "EFTYPE", "Inappropriate file type or format"),
    (EAUTH, "EAUTH", "Authentication error"),
    (ENEEDAUTH, "ENEEDAUTH", "Need authenticator"),
    (EPWROFF, "EPWROFF", "Device power is off"),
    (EDEVERR, "EDEVERR", "Device error"),
    (EOVERFLOW, "EOVERFLOW", "Value too large to be stored in data type"),
    (EBADEXEC, "EBADEXEC", "Bad executable (or shared library)"),
    (EBADARCH, "EBADARCH", "Bad CPU type in executable"),
    (ESHLIBVERS, "ESHLIBVERS", "Shared library version mismatch"),
    (EBADMACHO, "EBADMACHO", "Malformed Mach-o file"),
    (ECANCELED, "ECANCELED", "Operation canceled"),
    (EIDRM, "EIDRM", "Identifier removed"),
    (ENOMSG, "ENOMSG", "No message of desired type"),
    (EILSEQ, "EILSEQ", "Illegal byte sequence"),
    (ENOATTR, "ENOATTR", "Attribute not found"),
    (EBADMSG, "EBADMSG", "Bad message"),
    (EMULTIHOP, "EMULTIHOP", "EMULTIHOP (Reserved)"),
    (ENODATA, "ENODATA", "No message available on STREAM"),
    (ENOLINK, "ENOLINK", "ENOLINK (Reserved)"),
    (ENOSR, "ENOSR", "No STREAM resources"),
    (ENOSTR, "ENOSTR", "Not a STREAM"),
    (EPROTO, "EPROTO", "Protocol error"),
    (ETIME, "ETIME", "STREAM ioctl timeout"),
    (EOPNOTSUPP, "EOPNOTSUPP", "Operation not supported on socket"),
    (ENOPOLICY, "ENOPOLICY", "Policy not found"),
    (ENOTRECOVERABLE, "ENOTRECOVERABLE", "State not recoverable"),
    (EOWNERDEAD, "EOWNERDEAD", "Previous owner died"),
    (EQFULL, "EQFULL", "Interface output queue is full"),
)

TABLE: Final[Mapping[int, Errno]] = MappingProxyType(
    {
        number: Errno(number, name, message, _EXCEPTIONS.get(number, OSError))
        for number, name, message in _ROWS
    }
)

_INTERNAL: Final[Mapping[int, str]] = {ERESTART: "ERESTART", EJUSTRETURN: "EJUSTRETURN"}

_NUMBERS: Final[Mapping[str, int]] = {
    **{row.name: row.number for row in TABLE.values()},
    **{name: number for number, name in _INTERNAL.items()},
    "EWOULDBLOCK": EWOULDBLOCK,
}


def name_of(number: int) -> str:
    """Name of an error number: ``16`` gives ``"EBUSY"``; a number without a name, ``"errno N"``.

    The kernel-internal -1 and -2 have names too. 35 is always ``"EAGAIN"``.
    """
    row = TABLE.get(number)
    if row is not None:
        return row.name
    return _INTERNAL.get(number, f"errno {number}")


def number_of(name: str) -> int:
    """Number of an error name: ``"EBUSY"`` gives 16.

    Raises:
        ValueError: the name is none of Darwin's.
    """
    number = _NUMBERS.get(name)
    if number is None:
        raise ValueError(f"unknown errno name {name!r}: expected one of Darwin's, such as 'EBUSY'")
    return number


def message_of(number: int) -> str:
    """Text macOS's ``strerror()`` gives for a number."""
    row = TABLE.get(number)
    if row is not None:
        return row.message
    # The C library words zero differently from numbers outside the table.
    return "Undefined error: 0" if number == 0 else f"Unknown error: {number}"


def exception_of(number: int) -> type[OSError]:
    """Class Python raises on a Mac for this number; ``OSError`` for an unknown one."""
    row = TABLE.get(number)
    return OSError if row is None else row.exception


def oserror(number: int) -> OSError:
    """Build the exception a process on a Mac would see for ``number``, on any host.

    Its class, ``errno``, ``strerror`` and text are Darwin's, also where the host gives the
    number another meaning. Copying and pickling (protocol 3 and later) keep all of them.

    Raises:
        ValueError: ``number`` is 0, which is success.
    """
    if number == 0:
        raise ValueError("errno 0 is success and has no exception: expected a number such as 16")
    expected = exception_of(number)
    message = message_of(number)
    error = expected(number, message)
    if type(error) is not expected:
        # OSError(...) turns itself into a subclass by the *host's* meaning of the number: 11 is
        # EDEADLK on Darwin, but EAGAIN on Linux. Without arguments it cannot.
        error = expected()
        error.errno, error.strerror, error.args = number, message, (number, message)
        # copy and pickle would call OSError(number, message) again; they ask the instance first.
        # Notes and attributes added later are not copied.
        error.__dict__["__reduce_ex__"] = partial(_reduce, number)
    return error


def _reduce(number: int, _protocol: int) -> tuple[object, tuple[int]]:
    return oserror, (number,)
