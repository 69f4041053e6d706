"""Names, ports and messages of a mirror: what a picture of Mach shows, and what changes in it.

The state it keeps is the key ``mach`` of ``docs/scene-format.md``; a machine whose processes never
used Mach has none. Of every object the trace changes, what a picture shows is computed anew and
compared: only what differs becomes an operation.

Left out: who waits for a notification (but whether somebody does), the order in which a port set
hands out messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kextlab.abi.mach import (
    MACH_MSG_TYPE_PORT_RECEIVE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_SEND_TIMED_OUT,
    mach_error_name,
    type_names,
)
from kextlab.abi.mach_messages import MachMsgHeader
from kextlab.trace import codes
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.mirror_queue import CUT
from kextlab.views.mirror_shown import Shown

Json = Any  # a JSON value

KINDS = frozenset({"right", "port", "pset", "kmsg"})
SERVICES = frozenset(
    {"bootstrap_check_in", "bootstrap_look_up", "bootstrap_create_service", "bootstrap_register"}
)
"""Calls that tell which service a port is."""
RIGHTS = {
    MACH_MSG_TYPE_PORT_RECEIVE: "RECEIVE",
    MACH_MSG_TYPE_PORT_SEND: "SEND",
    MACH_MSG_TYPE_PORT_SEND_ONCE: "SEND_ONCE",
}
TIMED_OUT = mach_error_name(MACH_SEND_TIMED_OUT)
AUDIT_PID = 5
"""Where an audit token has the process."""


def number_of(name: object) -> int:
    """7 of ``"port:7"``; 0 of a port that is dead, or of none."""
    return int(name[5:]) if isinstance(name, str) and name.startswith("port:") else 0


def name_fields(state: State, name: str) -> dict[str, Json]:
    """What a name stands for: ``name`` is an object of the trace, ``"right:100:0x103"``."""
    fields = state[name]
    to = fields["object"]
    return {
        "type": type_names(cast(int, fields["type"])),
        "refs": fields["urefs"],
        "to": str(to).replace(":", "/") if to else "",
    }


def port_fields(state: State, name: str) -> dict[str, Json]:
    """A port without its queue."""
    fields = state[name]
    receiver = fields["receiver"]
    return {
        "receiver": str(receiver).removeprefix("proc:") if receiver else "",
        "name": f"{fields['receiver_name']:#x}" if fields["receiver_name"] else "",
        "goes": number_of(fields["destination"]),
        "limit": fields["qlimit"],
        "count": fields["msgcount"],
        "seqno": fields["seqno"],
        "send": fields["srights"],
        "once": fields["sorights"],
        "make": fields["mscount"],
        "sets": fields["pset_count"],
        "told": bool(fields["nsrequest"]),
    }


def set_fields(state: State, name: str) -> dict[str, Json]:
    """A port set."""
    members = cast("tuple[str, ...]", state[name]["members"])
    return {"members": [number_of(member) for member in members]}


class MachMirror:
    """Follows names, ports and messages.

    Args:
        state: the live state of the fold.
        intern: gives bytes their index among the document's ``datas``.
        op: takes a change of the picture.
    """

    def __init__(
        self, state: State, intern: Callable[[bytes], int], op: Callable[..., None]
    ) -> None:
        self.state = state
        self._intern = intern
        self._op = op
        self._shown = Shown(op)
        self._queues: dict[int, list[int]] = {}
        self._of: dict[int, int] = {}
        self._spaces: set[str] = set()
        self._marked: set[int] = set()
        self._begun = False

    def take(self, event: Event, moment: int) -> None:
        """Take in a change of something that is of ``KINDS``."""
        for name in dict.fromkeys(change.object for change in event.changes):
            kind, _, rest = name.partition(":")
            if kind not in KINDS:
                continue
            if not self._begun:
                self._begun = True
                self._op("mach", {"names": {}, "ports": {}, "sets": {}})
            if kind == "kmsg":
                self._message(name, int(rest), moment)
            elif kind == "right":
                pid, _, number = rest.partition(":")
                if pid not in self._spaces:
                    self._spaces.add(pid)
                    self._op(f"mach/names/{pid}", {})
                self._show(name, f"mach/names/{pid}/{number}", name_fields)
            elif kind == "port":
                self._show(name, f"mach/ports/{rest}", port_fields, q=[], service="", mark=None)
                if name not in self.state:
                    self._queues.pop(int(rest), None)
            else:
                self._show(name, f"mach/sets/{rest}", set_fields)

    def _show(
        self,
        name: str,
        path: str,
        fields_of: Callable[[State, str], dict[str, Json]],
        **more: Json,
    ) -> None:
        fields = fields_of(self.state, name) if name in self.state else None
        self._shown.show(name, path, fields, **more)

    # -- messages --------------------------------------------------------------------------

    def refused(self, pid: str, answer: object, moment: int) -> None:
        """A mach_msg returned: if a full queue made it time out, the message came back."""
        code, left = cast("tuple[str, object]", answer)
        if code != TIMED_OUT or not isinstance(left, bytes):
            return
        header = MachMsgHeader.unpack(left)
        right = self.state.get(codes.right(pid, header.msgh_remote_port))
        port = number_of(right["object"]) if right is not None else 0
        if f"port:{port}" in self._shown:
            self._marked.add(port)
            self._op(f"mach/ports/{port}/mark", [header.msgh_size, code, moment])

    def _unmark(self, port: int) -> None:
        """The queue changed: the mark goes."""
        if port in self._marked:
            self._marked.discard(port)
            self._op(f"mach/ports/{port}/mark", None)

    def _message(self, name: str, number: int, moment: int) -> None:
        fields = self.state.get(name)
        if fields is None:
            port = self._of.pop(number)
            self._unmark(port)
            queue = self._queues[port]
            at = queue.index(number)
            assert at == 0, f"message {number} left from place {at} of its queue"
            del queue[0]
            self._op(f"mach/ports/{port}/q", "<", 1)
            return
        port = number_of(fields["port"])
        self._unmark(port)
        self._of[number] = port
        self._queues.setdefault(port, []).append(number)
        self._op(f"mach/ports/{port}/q", "+", message_item(fields, number, self._intern, moment))

    # -- services --------------------------------------------------------------------------

    def answered(self, pid: str, call: Event, value: object) -> None:
        """A call of ``SERVICES`` returned: the port it was about is that service."""
        code, more = cast("tuple[str, object]", value)
        name = more if more is not None else call.arguments[-1]
        right = self.state.get(codes.right(pid, name)) if isinstance(name, int) else None
        if code != "KERN_SUCCESS" or right is None:
            return
        port = number_of(right["object"])
        if f"port:{port}" in self._shown:
            self._op(f"mach/ports/{port}/service", call.arguments[0])


def rights_in(descriptor: tuple[Any, ...]) -> list[list[Json]]:
    """What a descriptor carries, as [port, right]; of memory [0, "MEMORY"]."""
    match descriptor:
        case ("memory", *_):
            return [[0, "MEMORY"]]
        case ("ports", kind, ports):
            return [[number_of(port), RIGHTS[kind]] for port in ports]
        case ("port", kind, port):
            return [[number_of(port), RIGHTS[kind]]]
    raise ValueError(
        f"a message's descriptor is {descriptor!r:.60}, and must be of ports or memory"
    )


def message_item(
    fields: dict[str, object], number: int, intern: Callable[[bytes], int], moment: int
) -> list[Json]:
    """A queued message: its number, bytes, body (index among ``datas``, -1: none), moment, id,
    sender's pid (0: the kernel), port for the reply, what it carries."""
    body = cast(bytes, fields["body"])
    audit = cast("tuple[int, ...]", fields["audit"])
    reply = fields["local"]
    carried = [
        right
        for descriptor in cast("tuple[tuple[Any, ...], ...]", fields["descriptors"])
        for right in rights_in(descriptor)
    ]
    return [
        number,
        fields["size"],
        intern(body[:CUT]) if body else -1,
        moment,
        fields["id"],
        0 if fields["notification"] else audit[AUDIT_PID],
        [number_of(reply), RIGHTS.get(cast(int, fields["local_type"]), "")] if reply else None,
        carried,
    ]
