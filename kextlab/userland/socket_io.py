"""``socket.makefile()``: a socket as a file object.

The raw file hands every read and write on as one recv or send, so each is one record of a
datagram socket; buffering on top of it is Python's own (``io``) and does not keep records apart.
Read beside it: CPython's ``Lib/socket.py`` (``SocketIO``, ``makefile``). CPython's class cannot be
used itself: it knows EAGAIN by the host's number.
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any

from kextlab.abi.errno import EAGAIN
from kextlab.userland.arguments import Writable

if TYPE_CHECKING:
    from kextlab.userland.socket import Socket


class SocketIO(io.RawIOBase):
    """The raw, unbuffered file of a socket.

    Raises:
        ValueError: the mode is none of r, w, rw and these with b.
    """

    def __init__(self, sock: Socket, mode: str) -> None:
        if mode.replace("b", "") not in ("r", "w", "rw") or "b" in mode[:-1]:
            raise ValueError(f"invalid mode: {mode!r}")
        super().__init__()
        self._sock: Socket | None = sock
        self._reading = "r" in mode
        self._writing = "w" in mode
        self.mode = mode if "b" in mode else mode + "b"
        self._timed_out = False

    def _socket(self) -> Socket:
        if self._sock is None:
            raise ValueError("I/O operation on closed file.")
        return self._sock

    def readinto(self, buffer: Writable, /) -> int | None:
        """Receive into ``buffer``; the bytes received, 0 at the end, ``None`` for EAGAIN."""
        sock = self._socket()
        if not self._reading:
            raise io.UnsupportedOperation("File or stream is not readable.")
        if self._timed_out:
            raise OSError("cannot read from timed out object")
        try:
            return sock.recv_into(buffer)
        except OSError as error:
            if error.errno == EAGAIN:
                return None
            self._timed_out = isinstance(error, TimeoutError)
            raise

    def write(self, data: Any, /) -> int | None:  # bytes-like
        """Send ``data``; the bytes sent, ``None`` for EAGAIN."""
        sock = self._socket()
        if not self._writing:
            raise io.UnsupportedOperation("File or stream is not writable.")
        try:
            return sock.send(data)
        except OSError as error:
            if error.errno == EAGAIN:
                return None
            raise

    def readable(self) -> bool:
        """Whether it was made for reading. ValueError once closed."""
        self._open()
        return self._reading

    def writable(self) -> bool:
        """Whether it was made for writing. ValueError once closed."""
        self._open()
        return self._writing

    def seekable(self) -> bool:
        """False. ValueError once closed."""
        self._open()
        return False

    def _open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed socket.")

    def fileno(self) -> int:
        """The socket's descriptor. ValueError once closed."""
        return self._socket().fileno()

    @property
    def name(self) -> int:
        """The socket's descriptor, -1 once closed."""
        return -1 if self._sock is None else self._sock.fileno()

    def close(self) -> None:
        """Close the file; the socket, too, if it was closed before and this was its last file."""
        if self._sock is not None:
            super().close()
            sock, self._sock = self._sock, None
            sock._decref_socketios()


def makefile(
    sock: Socket,
    mode: str,
    buffering: int | None,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any] | SocketIO:
    """What ``socket.makefile`` returns: the raw file, a buffer over it, or text over that.

    Raises:
        ValueError: a letter of the mode other than r, w, b; text without a buffer.
    """
    if not set(mode) <= {"r", "w", "b"}:
        raise ValueError(f"invalid mode {mode!r} (only r, w, b allowed)")
    writing = "w" in mode
    reading = "r" in mode or not writing
    raw = SocketIO(sock, "r" * reading + "w" * writing)
    sock._io_refs += 1
    size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
    if size == 0:
        if "b" not in mode:
            raise ValueError("unbuffered streams must be binary")
        return raw
    buffer: io.BufferedRWPair | io.BufferedReader | io.BufferedWriter
    if reading and writing:
        buffer = io.BufferedRWPair(raw, raw, size)
    elif reading:
        buffer = io.BufferedReader(raw, size)
    else:
        buffer = io.BufferedWriter(raw, size)
    if "b" in mode:
        return buffer  # type: ignore[return-value]  # BufferedRWPair is an IO in all but name
    text = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline)  # type: ignore[type-var]
    text.mode = mode  # type: ignore[misc]  # as CPython does
    return text
