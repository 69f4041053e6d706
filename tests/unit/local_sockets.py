"""A machine whose processes talk over local sockets, through the system-call gate."""

from collections.abc import Sequence
from typing import Any

from kextlab.abi import constants as c
from kextlab.abi.un import cmsg, cmsgs, sockaddr_un
from kextlab.kernel.kernel import Kernel
from kextlab.trace.fold import Folder

STREAM, DGRAM = c.SOCK_STREAM, c.SOCK_DGRAM
PATH = b"/tmp/server"
NAME = sockaddr_un(PATH)


def rights(*fds: int) -> bytes:
    """Control data that passes descriptors."""
    return cmsg(c.SOL_SOCKET, c.SCM_RIGHTS, b"".join(fd.to_bytes(4, "little") for fd in fds))


def passed(control: bytes) -> list[int]:
    """The descriptors in control data."""
    found = []
    for item in cmsgs(control):
        assert (item.level, item.type) == (c.SOL_SOCKET, c.SCM_RIGHTS)
        found += [
            int.from_bytes(item.data[at : at + 4], "little") for at in range(0, len(item.data), 4)
        ]
    return found


class Local:
    """One machine, a server and a client process of user 501, and root."""

    def __init__(self, **options: Any) -> None:
        self.mac = Kernel(**options)
        self.server = self.mac.start_process("server", 501).pid
        self.client = self.mac.start_process("client", 501).pid
        self.other = self.mac.start_process("other", 502).pid
        self.root = self.mac.start_process("root", 0).pid

    def call(self, pid: int, name: str, *arguments: object) -> Any:
        """(errno, value) of a call."""
        return getattr(self.mac.syscalls, name)(pid, *arguments)

    def do(self, pid: int, name: str, *arguments: object) -> Any:
        """The value of a call that goes well."""
        errno, value = self.call(pid, name, *arguments)
        assert errno == 0, (name, errno)
        return value

    def refused(self, pid: int, name: str, *arguments: object) -> int:
        """The errno of a call, which left everything but its socket's pending error as it was."""
        before = self.mac.snapshot()
        errno, _ = self.call(pid, name, *arguments)
        assert self.mac.snapshot() == before
        assert isinstance(errno, int)
        return errno

    def socket(self, pid: int, type_: int = STREAM) -> int:
        fd: int = self.do(pid, "socket", c.AF_UNIX, type_, 0)
        return fd

    def listener(self, backlog: int = 5, name: bytes = NAME) -> int:
        """A listening socket of the server."""
        fd = self.socket(self.server)
        self.do(self.server, "bind", fd, name)
        self.do(self.server, "listen", fd, backlog)
        return fd

    def connected(self, listener: int) -> tuple[int, int]:
        """(the client's descriptor, the server's): a connection."""
        fd = self.socket(self.client)
        self.do(self.client, "connect", fd, NAME)
        accepted, _ = self.do(self.server, "accept", listener)
        return fd, accepted

    def pair(self, type_: int = STREAM) -> tuple[int, int]:
        """A pair of sockets of the client."""
        one, two = self.do(self.client, "socketpair", c.AF_UNIX, type_, 0)
        return one, two

    def bound(self, pid: int, name: bytes = NAME, type_: int = DGRAM) -> int:
        fd = self.socket(pid, type_)
        self.do(pid, "bind", fd, name)
        return fd

    def so(self, pid: int, fd: int) -> dict[str, Any]:
        """The kernel's fields of the socket behind a descriptor, block and buffers among them."""
        state = self.mac.snapshot()
        number = state[f"fd:{pid}:{fd}"]["socket"]
        kinds = ("socket", "unp", "so_rcv", "so_snd", "so_comp")
        return {kind: state.get(f"{kind}:{number}") for kind in kinds} | {"number": number}

    def consistent(self) -> None:
        """The trace adds up to the kernel's own account."""
        assert Folder().fold(self.mac.trace.entries()) == self.mac.snapshot()

    def open_sockets(self) -> int:
        return self.mac.statistics().sockets

    def close_all(self, pid: int, fds: Sequence[int]) -> None:
        for fd in fds:
            self.do(pid, "close", fd)
