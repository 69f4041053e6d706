"""A refusal of a Mach call, as an exception: who sees it adds what it needs."""

from __future__ import annotations

from typing import Any


class MachRefusal(Exception):
    """A Mach call answered ``code``, which is called ``name``.

    Attributes:
        code: the kern_return_t, mach_msg_return_t or code of the bootstrap server.
        name: its name, ``"KERN_INVALID_NAME"``.
        call: the function that answered it.
    """

    def __init__(self, code: int, name: str, call: str) -> None:
        self.code = code
        self.name = name
        self.call = call
        number = f"{code:#x}" if code > 0xFFFF else str(code)
        super().__init__(f"{call}: {name} ({number})")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.name, self.call)
