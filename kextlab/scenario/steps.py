"""What a step must hold, checked for a whole recording before anything runs. The steps of
``mach_ipc`` are those of ``mach_steps``.

``kextlab.scenario.recording`` checks the frame of a file; this module checks each step: that the
operation is modelled, that what it needs is there, that every argument has its type and range,
that names of flags, errnos and callbacks exist, and that data is data.

Left to the replay, where they are differences of one step: constants and ioctl requests of a name
that is not known, and MSG_* flags of such a name, as Darwin has more of them than are modelled.
Keys that no operation knows are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kextlab.abi.constants import FLAGS
from kextlab.abi.errno import number_of
from kextlab.scenario.behaviour import CALLBACKS
from kextlab.scenario.mach_steps import faults as mach_faults
from kextlab.scenario.recording import Recording, Step, expand, in_json, refuse

_UNIT = ("ref", "unit")
_EVENT = ("vendor", "class", "subclass", "code")
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
    "kev_post_msg": (),
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

_ENQUEUE = ("flags",)
_ADDRESS = ("id", "unit", "namelen", "sc_len", "sc_family", "ss_sysaddr")
MAY_HAVE: dict[str, tuple[str, ...]] = {
    "ctl_register": (*("ref", "name", "flags", "id", "unit", "sendsize", "recvsize", "callbacks"),),
    "ctl_enqueuedata": _ENQUEUE,
    "ctl_enqueuembuf": _ENQUEUE,
    "ctl_enqueuembuf_list": _ENQUEUE,
    "ctl_name_by_id": ("maxsize",),
    "kev_msg_post": (*_EVENT, "datas"),
    "kev_post_msg": (*_EVENT, "datas"),
    "sysctl": ("limit",),
    "socket": ("domain",),
    "connect": _ADDRESS,
    "bind": _ADDRESS,
    "listen": ("backlog",),
    "getpeername": ("namelen",),
    "getsockname": ("namelen",),
    "ioctl": ("name", "vendor", "class", "subclass", "value"),
    "setsockopt": ("data", "value", "len"),
    "getsockopt": ("data", "len"),
    "send": ("flags", "to_id", "to_unit"),
    "sendmsg": ("flags", "control"),
    "sendmsg_x": ("flags",),
    "recv": ("flags",),
    "recvmsg": ("flags",),
    "recvmsg_x": ("flags",),
}
"""What else an operation may have. What only counts as true or false (``null``, ``remain``,
``nonblock``, ``from``, ``new``) is not looked at."""

UNLESS_NULL = {
    "ctl_register": ("ref", "name"),
    "kev_msg_post": _EVENT,
    "kev_post_msg": _EVENT,
}
"""What an operation needs unless it passes a null pointer."""

_LABELLED = ("ctl_register", "set_behaviour")  # their ref is a label, never a number
_FLAGS = {"ctl_register": "CTL_FLAG"} | dict.fromkeys(
    ("ctl_enqueuedata", "ctl_enqueuembuf", "ctl_enqueuembuf_list"), "CTL_DATA"
)


def check(recording: Recording) -> None:
    """Check every step of a recording.

    Raises:
        RecordingError: one line naming file, line, scenario and step, and what is wrong.
    """
    look = mach_faults if recording.header.kind == "mach_ipc" else faults
    for at, scenario in enumerate(recording.scenarios):
        for index, step in enumerate(scenario.steps):
            for fault in look(step):
                where = f"scenario {in_json(scenario.name)}, step {index}"
                raise refuse(recording.path, at + 2, f"{where}: {fault}")


def faults(step: Step) -> Iterator[str]:
    """What is wrong with a step."""
    op = step["op"]
    if op not in NEEDS:
        yield f"operation {in_json(op)} is not modelled; there are {', '.join(NEEDS)}"
        return
    for key in NEEDS[op] + (() if step.get("null") else UNLESS_NULL.get(op, ())):
        if key not in step:
            yield f"{op} needs {in_json(key)}"
    for key in NEEDS[op] + MAY_HAVE.get(op, ()):
        if key in step:
            try:
                (_KINDS.get((op, key)) or _KINDS["", key])(step[key])
            except ValueError as error:
                yield f"{in_json(key)}: {error}"


# -- kinds of arguments: each raises ValueError for what is none of its kind -------------------


def _number(low: int, high: int) -> Callable[[Any], None]:
    """A whole number in a range."""

    def look(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{in_json(value)} is not a whole number")
        if not low <= value <= high:
            raise ValueError(f"{in_json(value)} is not in {low} to {high}")

    return look


_UNSIGNED = _number(0, 2**32 - 1)
_SIGNED = _number(-(2**31), 2**32 - 1)  # an int of C, which may be written as unsigned
_SIZE = _number(0, 2**64 - 1)


def _text(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{in_json(value)} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{in_json(value)} is not text that UTF-8 can hold") from None


def _or_name(number: Callable[[Any], None]) -> Callable[[Any], None]:
    """A number, or a name that stands for one."""

    def look(value: Any) -> None:
        if isinstance(value, str):
            _text(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number(value)
        else:
            raise ValueError(f"{in_json(value)} is neither a name nor a whole number")

    return look


def _flags(family: str) -> Callable[[Any], None]:
    """A list of flags, or their number."""
    table = FLAGS[family]

    def look(value: Any) -> None:
        if not isinstance(value, list):
            return _UNSIGNED(value)
        for flag in value:
            if not isinstance(flag, str):
                _UNSIGNED(flag)
            elif flag not in table and family != "MSG":
                raise ValueError(f"{in_json(flag)} is none of {', '.join(table)}")
        return None

    return look


def _data(value: Any) -> None:
    try:
        expand(value)
    except (TypeError, RecursionError):
        raise ValueError(f"{in_json(value)} is not data") from None


def _datas(value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{in_json(value)} is not a list")
    for data in value:
        _data(data)


def _errno(value: Any) -> None:
    _or_name(_SIGNED)(value)
    if isinstance(value, str):
        try:
            number_of(value)
        except ValueError:
            raise ValueError(f"{in_json(value)} is no errno of Darwin") from None


def _callbacks(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{in_json(value)} is not an object")
    for name, keys in value.items():
        if name not in CALLBACKS:
            raise ValueError(f"{in_json(name)} is no callback; there are {', '.join(CALLBACKS)}")
        if not isinstance(keys, dict):
            raise ValueError(f"{in_json(name)} is {in_json(keys)}, not an object")
        for key, look in _BEHAVIOUR.items():
            if keys.get(key) is not None:  # null: as if the key were not there
                try:
                    look(keys[key])
                except ValueError as error:
                    raise ValueError(f"{in_json(name)}, {in_json(key)}: {error}") from None


_BEHAVIOUR: dict[str, Callable[[Any], None]] = {
    "errno": _errno,
    "unitinfo": _SIZE,
    "unit": _UNSIGNED,
    "enqflags": _flags("CTL_DATA"),
    "enqueue": _data,
    "data": _data,
    "claim": _SIZE,
}

_KINDS: dict[tuple[str, str], Callable[[Any], None]] = (
    {("", key): _or_name(_SIZE) for key in ("ref", "fd", "newfd")}
    | {("", key): _or_name(_SIGNED) for key in ("type", "proto", "domain", "level", "how", "cmd")}
    | {("", key): _SIGNED for key in ("value", "backlog")}
    | {("", key): _SIZE for key in ("len", "limit", "maxsize")}
    | {
        ("", key): _UNSIGNED
        for key in (
            *("id", "unit", "sendsize", "recvsize", "uid", "to_id", "to_unit", "aid", "cid"),
            *("namelen", "sc_len", "sc_family", "ss_sysaddr", "count", *_EVENT),
        )
    }
    | {("", "name"): _text, ("", "data"): _data, ("", "control"): _data, ("", "datas"): _datas}
    | {("", "callbacks"): _callbacks, ("", "flags"): _flags("MSG")}
    | {(op, "flags"): _flags(family) for op, family in _FLAGS.items()}
    | {(op, "ref"): _text for op in _LABELLED}
    | {(op, "name"): _or_name(_SIGNED) for op in ("setsockopt", "getsockopt")}
)
"""How an argument is looked at: ("", key) for every operation, unless (operation, key) is there."""
