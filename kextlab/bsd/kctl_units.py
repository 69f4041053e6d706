"""The units of one kernel control: its list of clients, in XNU's order, with XNU's search.

XNU keeps a control's clients in one linked list. The automatic search for a unit walks it from the
head and assumes that it is sorted; explicit units are appended at the tail, so it is not, and the
search can hand out a unit already in use [unit-order-quirk]. Lookup by unit takes the first match.
Read beside it: ``bsd/kern/kern_control.c`` (``ctl_setup_kctl``, ``kcb_find``).

The answers here are those of the walk, without the walk: an index by unit gives the first match,
and two heaps give the first place where the walk would stop. Clients carry a sortable position;
one inserted between two others gets a position between theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Generic, Protocol, TypeVar

from kextlab.abi.constants import CTL_MAXUNIT

_STRIDE = 1 << 64
"""Distance of positions at the tail: room for 64 insertions into one gap before renumbering."""


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

    __slots__ = ("_ends", "_gaps", "_tie", "by_unit", "count", "first", "last")

    def __init__(self) -> None:
        self.first: C | None = None
        self.last: C | None = None
        self.count = 0
        self.by_unit: dict[int, list[C]] = {}
        self._gaps: list[tuple[int, int, C]] = []
        self._ends: list[tuple[int, int, C]] = []
        self._tie = 0

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
        gap = self._first(self._gaps, self._is_gap)
        end = self._first(self._ends, self._is_end)
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
        if before is not None and previous is not None:
            if client.position in (previous.position, before.position):
                self._renumber()
        elif before is not None and client.position == before.position:
            self._renumber()
        self.count += 1
        self._index(client)
        self._note(client)
        self._note(before)

    def remove(self, client: C) -> None:
        """Take ``client`` out of the list."""
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
        client.position = -1
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
        same = self.by_unit.setdefault(client.unit, [])
        same.append(client)
        if len(same) > 1:
            same.sort(key=_position)

    def _unindex(self, client: C, unit: int) -> None:
        same = self.by_unit[unit]
        same.remove(client)
        if not same:
            del self.by_unit[unit]

    # -- where the walk stops ---------------------------------------------------------------

    def _note(self, client: C | None) -> None:
        """Remember ``client`` if the walk would stop at it as things stand."""
        if client is None:
            return
        if len(self._gaps) + len(self._ends) > 4 * self.count + 64:
            self._forget_stale()
        if self._is_gap(client):
            self._tie += 1
            heappush(self._gaps, (client.position, self._tie, client))
        if self._is_end(client):
            self._tie += 1
            heappush(self._ends, (client.position, self._tie, client))

    @staticmethod
    def _is_gap(client: Client) -> bool:
        return client.unit > _following(client.prev)

    @staticmethod
    def _is_end(client: Client) -> bool:
        return client.unit + 1 == CTL_MAXUNIT

    @staticmethod
    def _first(heap: list[tuple[int, int, C]], still: Callable[[C], bool]) -> C | None:
        """The first client in ``heap`` that is still in the list and still a stop."""
        while heap:
            position, _, client = heap[0]
            if position == client.position and still(client):
                return client
            heappop(heap)
        return None

    def _forget_stale(self) -> None:
        """Drop what heaps remember of clients that left or no longer stop the walk, and all but one
        entry of each that does."""
        for heap, still in ((self._gaps, self._is_gap), (self._ends, self._is_end)):
            stops = {e[0]: e for e in heap if e[0] == e[2].position and still(e[2])}
            heap[:] = sorted(stops.values())

    # -- positions --------------------------------------------------------------------------

    @staticmethod
    def _place(previous: Client | None, before: Client | None) -> int:
        low = previous.position if previous is not None else 0
        if before is None:
            return low + _STRIDE
        return (low + before.position) // 2

    def _renumber(self) -> None:
        client = self.first
        position = 0
        self._gaps.clear()
        self._ends.clear()
        while client is not None:
            position += _STRIDE
            client.position = position
            self._note(client)
            client = client.next


def _position(client: Client) -> int:
    return client.position


def _following(client: Client | None) -> int:
    """The walk's unit after passing ``client``; 32 bits, so it may wrap to 0."""
    return 1 if client is None else (client.unit + 1) & 0xFFFFFFFF
