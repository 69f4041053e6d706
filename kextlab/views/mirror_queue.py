"""One socket buffer of a mirror: its records, and the operations that keep a picture of it.

A record is ``[id, bytes, data, moment, eor]``: the number of its first mbuf when it was queued, its
bytes, the index of its first bytes among the document's ``datas`` (-1: empty), the moment it was
queued in, and whether its end is marked. If open files travel in it, their sockets follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from kextlab.abi.constants import M_EOR

Json = Any  # a JSON value

CUT = 256
"""Bytes of a record that are kept for the inspector."""


class Pending:
    """Tells whether an operation may still be amended: only while the moments that are ``closed``
    stay as many, and within the ``call`` that made it (the step of the innermost open one)."""

    __slots__ = ("call", "closed")

    def __init__(self) -> None:
        self.closed = 0
        self.call = -1

    @property
    def now(self) -> tuple[int, int]:
        """What must still be so."""
        return self.closed, self.call


class Record:
    """A queued record: its item, its mbufs with their bytes, when the item was handed out."""

    __slots__ = ("born", "carrier", "item", "mbufs")

    def __init__(self, item: list[Json], born: tuple[int, int]) -> None:
        self.item = item
        self.born = born
        self.mbufs: dict[int, bytes] = {}
        self.carrier = 0
        """The mbuf in which open files travel."""

    def head(self) -> bytes:
        """The first bytes."""
        found = b""
        for data in self.mbufs.values():
            found += data[: CUT - len(found)]
            if len(found) >= CUT:
                break
        return found


class QueueMirror:
    """The records of one socket buffer, and the mark at its inlet."""

    __slots__ = (
        "_intern", "_marked", "_of", "_op", "_pending", "_sock", "lost", "mbcnt", "path", "read",
        "records",
    )  # fmt: skip

    def __init__(
        self,
        sock: str,
        side: str,
        intern: Callable[[bytes], int],
        op: Callable[..., None],
        pending: Pending,
    ) -> None:
        self.path = f"{sock}/{side}"
        self.records: deque[Record] = deque()
        self.read = 0
        self.mbcnt = 0
        self.lost = 0
        self._sock = sock
        self._marked = False
        self._of: dict[int, Record] = {}
        self._intern = intern
        self._op = op
        self._pending = pending

    def append(
        self, mbuf: int, data: bytes, flags: int, behind: bool, link: object, moment: int
    ) -> None:
        """An mbuf joins: as a new record, or at the end of the last one (``behind`` another by
        ``link`` m_next)."""
        eor = 1 if flags & M_EOR else 0
        if behind and link == "m_next":
            record = self.records[-1]
            record.mbufs[mbuf] = data
            self._of[mbuf] = record
            self._amend(record, len(self.records) - 1, len(data), eor or record.item[4])
            return
        item = [mbuf, len(data), self._index(data), moment, eor]
        record = Record(item, self._pending.now)
        record.mbufs[mbuf] = data
        self._of[mbuf] = record
        self.records.append(record)
        self._op(f"{self.path}/q", "+", item)

    def passes(self, mbuf: int, sockets: tuple[int, ...]) -> None:
        """Open files travel in an mbuf that just joined: its record is not yet told of."""
        record = self._of[mbuf]
        record.carrier = mbuf
        record.item.append(list(sockets))

    def _index(self, data: bytes) -> int:
        return self._intern(data[:CUT]) if data else -1

    def _amend(self, record: Record, at: int, more: int, eor: int) -> None:
        """A record has other bytes now."""
        self._put(record, at, 1, record.item[1] + more)
        self._put(record, at, 2, self._index(record.head()))
        self._put(record, at, 4, eor)

    def _put(self, record: Record, at: int, field: int, value: Json) -> None:
        if record.item[field] == value:
            return
        if record.born == self._pending.now:
            record.item[field] = value  # still in an operation nobody has seen
            return
        record.item = list(record.item)
        record.item[field] = value
        self._op(f"{self.path}/q/{at}/{field}", value)

    def flag(self, mbuf: int, flags: int) -> None:
        """The flags of a queued mbuf changed: perhaps its record ends there now."""
        record = self._of.get(mbuf)
        if record is not None and flags & M_EOR:
            self._put(record, self.records.index(record), 4, 1)

    def grow(self, mbuf: int, data: bytes) -> None:
        """Bytes were copied into the free end of a queued mbuf."""
        record = self._of[mbuf]
        more = len(data) - len(record.mbufs[mbuf])
        record.mbufs[mbuf] = data
        self._amend(record, len(self.records) - 1, more, record.item[4])

    def take(self, mbuf: int, size: int) -> None:
        """The first mbuf is gone."""
        record = self._of.pop(mbuf)
        del record.mbufs[mbuf]
        if not record.mbufs:
            self.records.popleft()
            self._op(f"{self.path}/q", "<", 1)
        else:
            self._amend(record, 0, -size, record.item[4])
            if record.carrier == mbuf:
                self._put(record, 0, 5, [])

    def cut(self, mbuf: int, data: bytes) -> None:
        """Bytes left the front of the first mbuf."""
        record = self._of[mbuf]
        less = len(record.mbufs[mbuf]) - len(data)
        record.mbufs[mbuf] = data
        self._amend(record, 0, -less, record.item[4])

    # -- the inlet -------------------------------------------------------------------------

    def mark(self, size: int, what: str, moment: int) -> None:
        """Something did not get in."""
        self._marked = True
        self.lost += 1
        self._op(f"{self._sock}/mark", [size, what, moment])
        self._op(f"{self._sock}/lost", self.lost)

    def unmark(self) -> None:
        """The queue changed: the mark goes."""
        if self._marked:
            self._marked = False
            self._op(f"{self._sock}/mark", None)
