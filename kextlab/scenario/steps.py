"""What a pf_system step must hold, checked for a whole recording before anything runs.

``kextlab.scenario.recording`` checks the frame of a file; this module checks each step: that the
operation is modelled, that what it needs is there, that names of constants, flags and errnos
exist, and that data is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kextlab.abi import constants
from kextlab.abi.constants import flag_value
from kextlab.abi.errno import number_of
from kextlab.scenario.recording import Recording, RecordingError, Step, expand

_UNIT = ("ref", "unit")
NEEDS: dict[str, tuple[str, ...]] = {
    "ctl_register": (),
    "set_behaviour": ("ref", "callbacks"),
    "ctl_deregister": ("ref",),
    "ctl_enqueuedata": (*_UNIT, "data"),
    "ctl_enqueuembuf": (*_UNIT, "data"),
    "ctl_enqueuembuf_list": (*_UNIT, "datas"),
    "ctl_getenqueuespace": _UNIT,
    "ctl_getenqueuepacketcount": _UNIT,
    "ctl_getenqueuereadable": _UNIT,
    "ctl_id_by_name": ("name",),
    "ctl_name_by_id": ("id",),
    "kev_vendor_code_find": ("name",),
    "kev_msg_post": (),
    "kev_post_msg": ("vendor", "class", "subclass", "code"),
    "set_ctl_debug": (),
    "set_uid": ("uid",),
    "socketinfo": ("fd",),
    "sysctl": ("name",),
    "stats": (),
    "socket": ("fd", "type", "proto"),
    "connect": ("fd",),
    "bind": ("fd",),
    "listen": ("fd",),
    "getpeername": ("fd",),
    "getsockname": ("fd",),
    "ioctl": ("fd", "cmd"),
    "setsockopt": ("fd", "level", "name"),
    "getsockopt": ("fd", "level", "name"),
    "send": ("fd", "data"),
    "sendmsg": ("fd", "datas"),
    "sendmsg_x": ("fd", "datas"),
    "sosend_list": ("fd", "datas"),
    "recv": ("fd", "len"),
    "recvmsg": ("fd", "len"),
    "recvmsg_x": ("fd", "len", "count"),
    "shutdown": ("fd", "how"),
    "disconnectx": ("fd", "aid", "cid"),
    "poll": ("fd",),
    "dup": ("fd", "newfd"),
    "close": ("fd",),
}
"""Every operation, and the arguments it cannot do without."""

UNLESS_NULL = {
    "ctl_register": ("ref", "name"),
    "kev_msg_post": ("vendor", "class", "subclass", "code"),
}
"""What an operation needs unless it passes a null pointer."""

_CONSTANTS = {
    "socket": ("type", "proto", "domain"),
    "setsockopt": ("level", "name"),
    "getsockopt": ("level", "name"),
    "shutdown": ("how",),
}
_FLAGS = {"ctl_register": "CTL_FLAG"} | dict.fromkeys(
    ("ctl_enqueuedata", "ctl_enqueuembuf", "ctl_enqueuembuf_list"), "CTL_DATA"
)


def check(recording: Recording) -> None:
    """Check every step of a recording.

    Raises:
        RecordingError: one line naming file, line, scenario and step, and what is wrong.
    """
    for at, scenario in enumerate(recording.scenarios):
        for index, step in enumerate(scenario.steps):
            for fault in faults(step):
                raise RecordingError(
                    f"{recording.path}, line {at + 2}: scenario {scenario.name}, step {index}: "
                    f"{fault}"
                )


def faults(step: Step) -> Iterator[str]:
    """What is wrong with a step."""
    op = step["op"]
    if op not in NEEDS:
        yield f"operation {op!r} is not modelled; there are {', '.join(NEEDS)}"
        return
    needed = NEEDS[op] + (() if step.get("null") else UNLESS_NULL.get(op, ()))
    for key in needed:
        if key not in step:
            yield f"{op} needs {key!r}"
    for key in _CONSTANTS.get(op, ()):
        yield from _wrong(_constant, step.get(key, 0))
    yield from _wrong(_flags, step.get("flags", 0), _FLAGS.get(op, "MSG"))
    for key in ("data", "control"):
        if key in step:
            yield from _wrong(expand, step[key])
    for data in step.get("datas", ()):
        yield from _wrong(expand, data)
    for keys in step.get("callbacks", {}).values():
        yield from _wrong(_behaviour, keys)


def _wrong(look: Callable[..., object], *values: object) -> Iterator[str]:
    """The one line of the error that looking at the values raises, if it does."""
    try:
        look(*values)
    except (ValueError, TypeError, AttributeError) as error:
        yield str(error)


def _constant(value: object) -> None:
    if isinstance(value, int):
        return
    if not isinstance(value, str) or not isinstance(getattr(constants, value, None), int):
        raise ValueError(f"{value!r} is no constant of Darwin, such as 'SOCK_DGRAM'")


def _flags(value: object, family: str) -> None:
    if not isinstance(value, int | list):
        raise ValueError(f"flags are a list of names or a number, not {value!r}")
    if isinstance(value, list):
        flag_value(value, family)


def _behaviour(keys: dict[str, Any]) -> None:
    """One callback's behaviour."""
    if isinstance(keys.get("errno", 0), str):
        number_of(keys["errno"])
    _flags(keys.get("enqflags", 0), "CTL_DATA")
    for key in ("enqueue", "data"):
        if keys.get(key) is not None:
            expand(keys[key])
