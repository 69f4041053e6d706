"""The bytes between the two sides of a gate, delivered and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Served = Callable[[bytes], bytes]
"""One side of a gate: takes a message, does what it says, gives the answer."""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """What crossed a link, answers included: messages and their bytes."""

    messages_to_kernel: int
    bytes_to_kernel: int
    messages_from_kernel: int
    bytes_from_kernel: int


class Link:
    """Joins the kernel's side of a gate with the other one, inside one process.

    Delivery is a plain call, so an answer is there when ``to_kernel`` or ``from_kernel`` returns,
    and a call from inside a callback nests.

    Args:
        kernel: serves what comes to the kernel.
        remote: serves what comes from it; a client has no such side.
    """

    __slots__ = ("_answers", "_asked", "_kernel", "_received", "_remote", "_sent")

    def __init__(self, kernel: Served, remote: Served | None = None) -> None:
        self._kernel = kernel
        self._remote = remote
        self._asked = self._answers = self._sent = self._received = 0

    def to_kernel(self, message: bytes) -> bytes:
        """Deliver a call; its answer."""
        self._count_in(message)
        answer = self._kernel(message)
        self._count_out(answer)
        return answer

    def from_kernel(self, message: bytes) -> bytes:
        """Deliver a callback; its answer."""
        assert self._remote is not None
        self._count_out(message)
        answer = self._remote(message)
        self._count_in(answer)
        return answer

    def _count_in(self, message: bytes) -> None:
        self._asked += 1
        self._sent += len(message)

    def _count_out(self, message: bytes) -> None:
        self._answers += 1
        self._received += len(message)

    def statistics(self) -> LinkStatistics:
        """What has crossed so far."""
        return LinkStatistics(self._asked, self._sent, self._answers, self._received)
