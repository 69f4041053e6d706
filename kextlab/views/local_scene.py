"""Local sockets of a scene: the name each has, its peer, the connections that wait at it.

Reads a ``State`` and nothing else; ``Link.json`` is the key ``local`` of ``docs/scene-format.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from kextlab.abi.constants import SO_ACCEPTCONN
from kextlab.trace.fold import State

Json = Any  # a JSON value

KINDS = ("unp", "so_comp", "vnode")
"""Objects of local sockets."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a local socket is besides a socket.

    Attributes:
        path: its name, "" if it has none; a connection has its listener's.
        bound: whether that path leads to this socket now.
        peer: the socket it sends to, 0 if none.
        waiting: sockets of connections nobody has accepted, the next one first.
        limit: the most that may wait; 0: it does not listen.
    """

    path: str
    bound: bool
    peer: int
    waiting: tuple[int, ...]
    limit: int

    def json(self) -> dict[str, Json]:
        """As a scene document has it."""
        return {
            "path": self.path,
            "bound": self.bound,
            "peer": self.peer,
            "waiting": list(self.waiting),
            "limit": self.limit,
        }


def link_of(state: State, number: int | str) -> Link | None:
    """The link of a socket; ``None`` if it is not a local one."""
    unp = state.get(f"unp:{number}")
    if unp is None:
        return None
    node = state.get(f"vnode:{unp['unp_vnode']}")
    queue = state.get(f"so_comp:{number}", {})
    return Link(
        cast(str, unp["unp_addr"]),
        node is not None and bool(node["linked"]),
        cast(int, unp["unp_conn"]),
        cast("tuple[int, ...]", queue.get("sockets", ())),
        cast(int, queue.get("so_qlimit", 0)),
    )


def link_in(sock: dict[str, Json]) -> Link | None:
    """The link of a socket of a scene document."""
    local = sock.get("local")
    if local is None:
        return None
    return Link(**{**local, "waiting": tuple(local["waiting"])})


def state_of(so: dict[str, object], link: Link) -> str:
    """``listening`` or ``bound``, if it is; else ``new``."""
    if cast(int, so["so_options"]) & SO_ACCEPTCONN:
        return "listening"
    return "bound" if link.bound else "new"


def socket_about(state: State, name: str) -> str:
    """The number of the socket an object of ``KINDS`` is of, "" if of none."""
    kind, _, number = name.partition(":")
    if kind != "vnode":
        return number
    return str(state[name]["v_socket"]) if name in state else ""
