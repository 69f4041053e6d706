"""What a kext hands to the KPI gate, checked as C's compiler would have: types and ranges.

None of this is XNU's: a kext in C with such a mistake does not build.
"""

from __future__ import annotations

from typing import Final

from kextlab.bsd.kctl import NAMES, KernCtlReg
from kextlab.bsd.kern_event import KevMsg

U32: Final = 0xFFFFFFFF

NUMBERS: Final = ("ctl_id", "ctl_unit", "ctl_flags", "ctl_sendsize", "ctl_recvsize")
"""The fields of a record that are ``u_int32_t``; the callbacks are ``ctl_`` and ``NAMES``."""
CODES: Final = ("vendor_code", "kev_class", "kev_subclass", "event_code")
"""The fields of a ``struct kev_msg`` that are ``u_int32_t``."""


def wrong(what: str, value: object, due: str) -> str:
    """The line for a value C's types would not have let pass."""
    return f"{what} is {value!r} ({type(value).__name__}); expected {due}"


def check_record(reg: KernCtlReg) -> None:
    """What C's compiler sees to: the type and range of every field. ``ctl_name`` ends at its first
    NUL, as a C string does.

    Raises:
        TypeError, ValueError: a field has a value C's could not have.
    """
    if not isinstance(reg, KernCtlReg):
        raise TypeError(wrong("ctl_register: userkctl", reg, "a KernCtlReg"))
    _check_numbers(reg, NUMBERS)
    for name in NAMES:
        callback = getattr(reg, f"ctl_{name}")
        if callback is not None and not callable(callback):
            raise TypeError(f"ctl_{name} = {callback!r}: expected a function or None")
    if not isinstance(reg.ctl_name, str):
        raise TypeError(f"ctl_name = {reg.ctl_name!r}: expected a str")
    if "\0" in reg.ctl_name:
        reg.ctl_name = reg.ctl_name.partition("\0")[0]


def check_message(msg: KevMsg) -> None:
    """The same for an event.

    Raises:
        TypeError, ValueError: a field has a value C's could not have.
    """
    if not isinstance(msg, KevMsg):
        raise TypeError(wrong("kev_msg_post: event_msg", msg, "a KevMsg"))
    _check_numbers(msg, CODES)
    if not isinstance(msg.dv, tuple | list):
        raise TypeError(f"dv = {msg.dv!r}: expected a tuple or list of bytes")
    for at, vector in enumerate(msg.dv):
        if not isinstance(vector, bytes | bytearray | memoryview):
            raise TypeError(f"dv[{at}] = {vector!r}: expected bytes")


def _check_numbers(record: object, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(record, name)
        if not isinstance(value, int):
            raise TypeError(f"{name} = {value!r}: expected 0 to {U32}")
        if not 0 <= value <= U32:
            raise ValueError(f"{name} = {value}: expected 0 to {U32}")
