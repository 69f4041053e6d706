"""A kext's cookies (``unitinfo``) as the numbers under which they cross.

In C a cookie is a ``void *``; the kernel keeps it and hands it back, and never looks behind it.
"""

from __future__ import annotations

from typing import Final

from kextlab.remote.wire import Plain

FIRST: Final = 0xFFFF_FF80_0000_0000
"""Where the handles start: a kernel address, as a pointer to the kext's record would be."""
LAST: Final = 0xFFFF_FFFF_FFFF_FFFF
STEP: Final = 16


class Cookies:
    """The table of one kext, on its side of the gate.

    NULL (``None``, 0), numbers, str and bytes cross as they are. Any other object, and a number
    from ``FIRST`` to ``LAST``, stays here and crosses as a number of that range, always the same
    for the same object. It is kept as long as the kext: the kernel hands a cookie back even after
    ``disconnect``, to the next ``bind`` or ``connect`` on the socket.
    """

    __slots__ = ("_kept", "_numbers")

    def __init__(self) -> None:
        self._kept: list[object] = []
        self._numbers: dict[int, int] = {}  # id() of a kept object, which therefore stays its own

    def crossing(self, cookie: object) -> Plain:
        """The value that crosses for a cookie."""
        if isinstance(cookie, int):
            if not FIRST <= cookie <= LAST:
                return cookie
        elif cookie is None or isinstance(cookie, str | bytes):
            return cookie
        number = self._numbers.get(id(cookie))
        if number is None:
            number = FIRST + STEP * len(self._kept)
            self._kept.append(cookie)
            self._numbers[id(cookie)] = number
        return number

    def cookie(self, value: Plain) -> object:
        """The cookie a value stands for."""
        if isinstance(value, int):
            at, odd = divmod(value - FIRST, STEP)
            if not odd and 0 <= at < len(self._kept):
                return self._kept[at]
        return value
