"""The names under which local sockets are found: a path, who owns it, who may connect.

Models what AF_UNIX needs of the file system: ``namei`` for a whole path, the node ``bind`` creates,
its owner and mode, ``unlink`` and ``chmod``. Read beside it: ``bsd/vfs/vfs_lookup.c`` (``namei``),
``bsd/vfs/vfs_syscalls.c`` (``unlinkat_internal``, ``chmodat``), ``bsd/vfs/vfs_subr.c``
(``vnode_authorize``).

It is names only: one node a path, as it is written. Left out: directories (every parent exists, is
writable and sticky, as /tmp is), links, ".", "..", a current directory, groups, access lists,
umask (022 for everybody), files that are no sockets.
"""

from __future__ import annotations

from kextlab.abi.errno import EEXIST, ENAMETOOLONG, ENOENT, EPERM
from kextlab.trace.codes import DELETE, SET, new
from kextlab.trace.log import Record

MAXPATHLEN = 1024
"""Bytes of a path, its NUL included."""
NAME_MAX = 255
"""Bytes of one component of a path."""
SOCKET_MODE = 0o777 & ~0o022
"""ACCESSPERMS less the umask: the owner may write, which is what connect asks for."""


class Vnode:
    """A node of the file system: a local socket's name.

    ``v_socket`` is the number of the socket bound to it, 0 once that is closed. A node without a
    name (``linked`` is False) lives on as long as its socket.
    """

    __slots__ = ("linked", "mode", "number", "path", "uid", "v_socket")

    def __init__(self, number: int, path: bytes, uid: int, v_socket: int) -> None:
        self.number = number
        self.path = path
        self.uid = uid
        self.mode = SOCKET_MODE
        self.v_socket = v_socket
        self.linked = True

    def may_write(self, uid: int) -> bool:
        """Whether that user may connect (KAUTH_VNODE_WRITE_DATA): root, the owner or everybody
        else, as the mode says."""
        return not uid or bool(self.mode & (0o200 if uid == self.uid else 0o002))

    def state(self) -> dict[str, object]:
        """The node as plain values, as the trace adds them up."""
        return {
            "path": self.path.decode("utf-8", "backslashreplace"),
            "uid": self.uid,
            "mode": self.mode,
            "v_socket": self.v_socket,
            "linked": self.linked,
        }


class Names:
    """All nodes of one kernel, by number; ``paths`` has those with a name."""

    __slots__ = ("last_number", "nodes", "paths", "rec")

    def __init__(self, record: Record | None) -> None:
        self.rec = record
        self.nodes: dict[int, Vnode] = {}
        self.paths: dict[bytes, Vnode] = {}
        self.last_number = 0

    def namei(self, path: bytes) -> tuple[int, Vnode | None]:
        """(errno, the node of that path). ENOENT (also an empty path), ENAMETOOLONG."""
        if len(path) >= MAXPATHLEN or any(len(part) > NAME_MAX for part in path.split(b"/")):
            return ENAMETOOLONG, None
        found = self.paths.get(path)
        return (0 if found is not None else ENOENT), found

    def create(self, path: bytes, uid: int, socket: int) -> tuple[int, Vnode | None]:
        """(errno, a new node for that user's socket). EEXIST, ENOENT (an empty path),
        ENAMETOOLONG."""
        error, found = self.namei(path)
        if found is not None:
            return EEXIST, None
        if error != ENOENT or not path:
            return error, None
        self.last_number = number = self.last_number + 1
        node = self.nodes[number] = self.paths[path] = Vnode(number, path, uid, socket)
        if self.rec is not None:
            self.rec(new(f"vnode:{number}", node.state()))
        return 0, node

    def unlink(self, path: bytes, uid: int) -> int:
        """Take a name away: nobody finds the socket any more, who is connected stays so.

        Errors: ENOENT, ENAMETOOLONG, EPERM (neither root nor the owner: the directory is sticky).
        """
        error, node = self.namei(path)
        if node is None:
            return error
        if uid not in (0, node.uid):
            return EPERM
        del self.paths[path]
        node.linked = False
        if node.v_socket:
            self._set(node, "linked", False)
        else:
            self._reclaim(node)
        return 0

    def chmod(self, path: bytes, mode: int, uid: int) -> int:
        """Set who may connect. ENOENT, ENAMETOOLONG, EPERM (neither root nor the owner)."""
        error, node = self.namei(path)
        if node is None:
            return error
        if uid not in (0, node.uid):
            return EPERM
        node.mode = mode & 0o7777
        self._set(node, "mode", node.mode)
        return 0

    def rele(self, node: Vnode) -> None:
        """The socket bound to it is closed (vnode_rele)."""
        node.v_socket = 0
        if node.linked:
            self._set(node, "v_socket", 0)
        else:
            self._reclaim(node)

    def _reclaim(self, node: Vnode) -> None:
        del self.nodes[node.number]
        if self.rec is not None:
            self.rec((DELETE, f"vnode:{node.number}"))

    def _set(self, node: Vnode, field: str, value: object) -> None:
        if self.rec is not None:
            self.rec((SET, f"vnode:{node.number}", field, value))
