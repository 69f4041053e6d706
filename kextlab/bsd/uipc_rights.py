"""Open files on their way from process to process (SCM_RIGHTS).

``internalize`` turns the descriptors in control data into references to open files, which then
travel in the receiver's buffer; ``externalize`` makes descriptors of them again, in the process
that receives; ``dispose`` drops those that nobody will receive. In between, an open file is held by
the message alone: it may outlive the process that sent it.

Read beside it: ``bsd/kern/uipc_usrreq.c`` (``unp_internalize``, ``unp_externalize``,
``unp_dispose``, ``unp_discard``).

Left out: ``unp_gc``, which finds sockets that only their own buffers hold (here they stay open);
guarded descriptors; a process out of descriptors (EMSGSIZE).
"""

from __future__ import annotations

from kextlab.abi.constants import MT_CONTROL, SCM_RIGHTS, SOL_SOCKET
from kextlab.abi.errno import EBADF, EINVAL, ENOBUFS
from kextlab.abi.un import cmsg, rights
from kextlab.bsd.kern_descrip import File, closef
from kextlab.bsd.mbuf import MbufPool, TypedMbuf, m_chain, m_packets
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Incoming, Table
from kextlab.sched.drive import Routine


def internalize(pool: MbufPool, control: bytes, table: Table) -> tuple[int, TypedMbuf | None]:
    """(errno, control data with a reference to each open file it names).

    Errors: EINVAL (anything but one SCM_RIGHTS item of exactly the data's length), EBADF (one of
    the descriptors is not open), ENOBUFS (no mbuf is left); nothing is referenced then.
    """
    fds = rights(control)
    if fds is None:
        return EINVAL, None
    files: list[File] = []
    for fd in fds:
        file = table.files.get(fd)
        if file is None:
            return EBADF, None
        files.append(file)
    if pool.short(1):
        return ENOBUFS, None
    for file in files:
        file.count += 1
    return 0, TypedMbuf(pool, control, MT_CONTROL, files)


def externalize(m: TypedMbuf, into: Incoming) -> bytes:
    """Give every open file in ``m`` to the process that receives; control data with its new
    descriptors."""
    fds = [into.table.install(file) for file in m.rights]
    return cmsg(SOL_SOCKET, SCM_RIGHTS, b"".join(fd.to_bytes(4, "little") for fd in fds))


def dispose(sockets: Sockets, files: list[File]) -> Routine[None]:
    """Drop references that nobody will receive; sockets that only they held are closed."""
    for file in files:
        yield from closef(sockets, file)


def held(sb: Sockbuf) -> list[File]:
    """The open files that travel in a buffer."""
    files: list[File] = []
    for first in m_packets(sb.sb_mb):
        for m in m_chain(first):
            if isinstance(m, TypedMbuf):
                files += m.rights
    return files
