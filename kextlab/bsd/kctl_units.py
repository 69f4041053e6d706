"""The units of one kernel control: its list of clients, in XNU's order, with XNU's search.

XNU keeps a control's clients in one linked list. The automatic search for a unit walks it from the
head and assumes that it is sorted; explicit units are appended at the tail, so it is not, and the
search can hand out a unit already in use [unit-order-quirk]. Lookup by unit takes the first match.
Read beside it: ``bsd/kern/kern_control.c`` (``ctl_setup_kctl``, ``kcb_find``).

The answers here are those of the walk, without the walk: an index by unit gives the first match,
and two lists hold the clients at which the walk would stop. Clients carry a sortable position; one
inserted between two others gets a position between theirs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Generic, Protocol, TypeVar

from kextlab.abi.constants import CTL_MAXUNIT

_STRIDE = 1 << 64
"""Distance of positions at the ends: room for 64 insertions into one gap before renumbering."""


class Client(Protocol):
    """What the list needs of a client: its unit, room for its links and its position."""

    unit: int
    prev: Any  # a client of the same type, or None
    next: Any
    position: int


C = TypeVar("C", bound=Client)


class Units(Generic[C]):
    """The clients of one control in list order.

    Attributes:
        by_unit: the clients of each unit, in list order.
        first, last: the ends of the list, ``None`` when it is empty.
        count: how many clients there are.
    """

    __slots__ = ("_ends", "_gaps", "by_unit", "count", "first", "last")

    def __init__(self) -> None:
        self.first: C | None = None
        self.last: C | None = None
        self.count = 0
        self.by_unit: dict[int, list[C]] = {}
        self._gaps: list[C] = []
        self._ends: list[C] = []

    def find(self, unit: int) -> C | None:
        """The first client of that unit in list order (kcb_find)."""
        same = self.by_unit.get(unit)
        return same[0] if same else None

    def free_unit(self) -> tuple[int, C | None] | None:
        """The unit the walk finds, and the client before which the new one goes (``None``: at
        the tail); ``None`` if the walk runs out of units.

        The walk counts: its unit starts at 1 and after each client is that client's unit plus
        one. It stops before the first client whose unit is larger than its own, or runs out when
        its own reaches 65536.
        """
        gap = self._gaps[0] if self._gaps else None
        end = self._ends[0] if self._ends else None
        if end is not None and (gap is None or end.position < gap.position):
            return None
        before = self.last if gap is None else gap.prev
        return _following(before), gap

    def insert(self, client: C, before: C | None) -> None:
        """Put ``client`` into the list, at the tail or before another."""
        previous = self.last if before is None else before.prev
        client.prev, client.next = previous, before
        if previous is None:
            self.first = client
        else:
            previous.next = client
        if before is None:
            self.last = client
        else:
            before.prev = client
        client.position = self._place(previous, before)
        if previous is not None and client.position == previous.position:
            self._renumber()
        self.count += 1
        self._index(client)
        self._note(client)
        self._note(before)

    def remove(self, client: C) -> None:
        """Take ``client`` out of the list."""
        self._drop(client)
        previous, following = client.prev, client.next
        if previous is None:
            self.first = following
        else:
            previous.next = following
        if following is None:
            self.last = previous
        else:
            following.prev = previous
        client.prev = client.next = None
        self.count -= 1
        self._unindex(client, client.unit)
        self._note(following)

    def renamed(self, client: C, old: int) -> None:
        """``client.unit`` was changed from ``old`` (a callback wrote sc_unit)."""
        self._unindex(client, old)
        self._index(client)
        self._note(client)
        self._note(client.next)

    # -- the index by unit ------------------------------------------------------------------

    def _index(self, client: C) -> None:
        insort(self.by_unit.setdefault(client.unit, []), client, key=_position)

    def _unindex(self, client: C, unit: int) -> None:
        same = self.by_unit[unit]
        same.remove(client)
        if not same:
            del self.by_unit[unit]

    # -- where the walk stops ---------------------------------------------------------------

    def _note(self, client: C | None) -> None:
        """Take note whether the walk would stop at ``client`` as things stand."""
        if client is None:
            return
        self._drop(client)
        if client.unit > _following(client.prev):
            insort(self._gaps, client, key=_position)
        if client.unit + 1 == CTL_MAXUNIT:
            insort(self._ends, client, key=_position)

    def _drop(self, client: C) -> None:
        for stops in (self._gaps, self._ends):
            at = bisect_left(stops, client.position, key=_position)
            if at < len(stops) and stops[at] is client:
                del stops[at]

    # -- positions --------------------------------------------------------------------------

    @staticmethod
    def _place(previous: Client | None, before: Client | None) -> int:
        if previous is None:
            return _STRIDE if before is None else before.position - _STRIDE
        if before is None:
            return previous.position + _STRIDE
        return (previous.position + before.position) // 2

    def _renumber(self) -> None:
        client = self.first
        while client is not None:
            client.position = self._place(client.prev, None)
            client = client.next


def _position(client: Client) -> int:
    return client.position


def _following(client: Client | None) -> int:
    """The walk's unit after passing ``client``; 32 bits, so it may wrap to 0."""
    return 1 if client is None else (client.unit + 1) & 0xFFFFFFFF
