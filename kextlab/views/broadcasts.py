"""Which event socket got a kernel event, and which one lost it.

The kernel tries event sockets in order, newest first, and counts each try as ``posted`` or
``fullsock`` (``kextlab.bsd.kern_event``). The counter does not say whose buffer was full; the order
and the filters do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from kextlab.abi.structs import KernEventMsg
from kextlab.bsd.kern_event import wants
from kextlab.trace import codes
from kextlab.trace.codes import Entry
from kextlab.trace.events import Event
from kextlab.views.index import Index
from kextlab.views.sentences import event_named
from kextlab.views.svg import count


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at one event socket."""

    message: KernEventMsg
    data: bytes
    socket: int
    lost: bool


class Broadcasts:
    """Follows the posting of events.

    Attributes:
        pids: event socket to the process that made it.
    """

    def __init__(self, seen: Index) -> None:
        self.pids: dict[int, int] = {}
        self._seen = seen
        self._posting = False
        self._data = b""
        self._waiting: list[int] = []

    def take(self, event: Event, entry: Entry) -> Iterator[Delivery]:
        """Take in one step; the deliveries it made or lost, none or one."""
        code = entry[0]
        if code == codes.MBUF_NEW:
            if self._posting:
                self._data = cast(bytes, entry[5])
            return
        if code == codes.SB_APPEND:
            if self._posting:
                socket = int(cast(str, entry[1])[7:])
                if socket in self._waiting:
                    del self._waiting[: self._waiting.index(socket) + 1]
                    yield self._delivery(socket, False)
            return
        for change in event.changes:
            if change.object.startswith("fd:"):
                if change.new is not None and self._seen.listens(change.new):
                    self.pids.setdefault(change.new, int(change.object.split(":")[1]))
            elif change.object == "kern_event":
                self._posting = change.field == "last_event_id" and change.old is not None
                sockets = self._seen.state["kern_event"]["sockets"]
                self._waiting = list(cast("tuple[int, ...]", sockets))
            elif (
                change.object == "kevtstat"
                and change.field == "fullsock"
                and change.old is not None
            ):
                while self._waiting:
                    socket = self._waiting.pop(0)
                    if self._wants(socket):
                        yield self._delivery(socket, True)
                        break

    def _wants(self, socket: int) -> bool:
        fields = self._seen.state[f"ev_pcb:{socket}"]
        message = KernEventMsg.unpack(self._data)
        codes_ = (message.vendor_code, message.kev_class, message.kev_subclass)
        names = ("vendor_code", "kev_class", "kev_subclass")
        return wants(tuple(cast(int, fields[name]) for name in names), codes_)

    def _delivery(self, socket: int, lost: bool) -> Delivery:
        return Delivery(KernEventMsg.unpack(self._data), self._data, socket, lost)

    def told(self, delivery: Delivery) -> tuple[str, str]:
        """A delivery in a sentence, and whether it is ``data`` or a ``loss``."""
        name = event_named(delivery.message)
        who = self._seen.process(self.pids.get(delivery.socket, 0))
        fields = self._seen.state[f"so_rcv:{delivery.socket}"]
        used, hiwat = cast(int, fields["sb_cc"]), cast(int, fields["sb_hiwat"])
        if delivery.lost:
            return (
                f"{name.capitalize()} did not fit {who}'s {count(hiwat)}-byte buffer and is lost; "
                "the poster saw success, and only the gap in ids will tell.",
                "loss",
            )
        return (
            f"kern_event queues {name} for {who}; {count(used)} of {count(hiwat)} bytes are now in "
            "use.",
            "data",
        )
