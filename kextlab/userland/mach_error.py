"""What a refused Mach call raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kextlab.abi.mach import mach_error_name
from kextlab.kernel.mach_error import MachRefusal
from kextlab.userland import bootstrap

if TYPE_CHECKING:
    from kextlab.userland.mach import Message


class MachError(MachRefusal):
    """A Mach call was refused; ``explain(error)`` says why.

    Attributes:
        message: after a send that failed, the message as the kernel left it in the buffer: after
            MACH_SEND_TIMED_OUT it holds the rights that came back.
    """

    def __init__(self, code: int, call: str, message: Message | None = None) -> None:
        super().__init__(code, bootstrap.NAMES.get(code) or mach_error_name(code), call)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.call, self.message)
