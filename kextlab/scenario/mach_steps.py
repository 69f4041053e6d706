"""What a ``mach_ipc`` step must hold, checked for a whole recording before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kextlab.abi import mach
from kextlab.scenario.mach_operations import OPERATIONS, TASKS
from kextlab.scenario.recording import Step, expand, in_json

NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "allocate": ("right",),
    "insert_right": ("name", "poly", "disp"),
    "deallocate": ("name",),
    "destroy": ("name",),
    "mod_refs": ("name", "right", "delta"),
    "get_refs": ("name", "right"),
    "type": ("name",),
    "get_status": ("name",),
    "set_qlimit": ("name", "qlimit"),
    "set_mscount": ("name", "mscount"),
    "insert_member": ("name", "pset"),
    "extract_member": ("name", "pset"),
    "move_member": ("name", "pset"),
    "request_notification": ("name", "msgid", "sync", "notify"),
    "extract_right": ("name", "disp", "totask"),
    "rename": ("name", "newname"),
    "terminate": (),
    "mach_msg": ("option",),
}
"""Every operation, and the arguments it cannot do without."""
SENDING: Final = ("remote", "rdisp")
RECEIVING: Final = ("rcv_name", "rcv_size")


def _label(value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{in_json(value)} is not a label, a string")


def _labels(value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        _label(one)


def _number(low: int, high: int) -> Callable[[Any], None]:
    def look(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{in_json(value)} is not a whole number from {low} to {high}")

    return look


def _named(prefix: str) -> Callable[[Any], None]:
    """A name which ``kextlab.abi.mach`` has behind that prefix."""
    known = sorted(one.removeprefix(prefix) for one in vars(mach) if one.startswith(prefix))

    def look(value: Any) -> None:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{in_json(value)} is not one of {', '.join(known)}")

    return look


_right = _named("MACH_PORT_RIGHT_")
_disposition = _named("MACH_MSG_TYPE_")
_notification = _named("MACH_NOTIFY_")


def _task(value: Any) -> None:
    if isinstance(value, bool) or value not in TASKS:
        raise ValueError(f"{in_json(value)} is not a task: {', '.join(map(str, TASKS))}")


def _options(value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{in_json(value)} is not a list of options")
    for one in value:
        known = isinstance(one, str) and one.startswith(("MACH_SEND_", "MACH_RCV_"))
        if not known or not hasattr(mach, one):
            raise ValueError(f"{in_json(one)} is not an option of mach_msg that is modelled")


def _ports(value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{in_json(value)} is not a list of rights")
    for one in value:
        if not isinstance(one, dict) or not {"name", "disp"} <= one.keys():
            raise ValueError(f'{in_json(one)} is not {{"name": LABEL, "disp": DISPOSITION}}')
        _label(one["name"])
        _disposition(one["disp"])


_UNSIGNED = _number(0, 2**32 - 1)
KINDS: Final[Mapping[str, Callable[[Any], object]]] = {
    **dict.fromkeys(("name", "newname", "poly", "pset", "notify"), _label),
    **dict.fromkeys(("remote", "local", "rcv_name"), _label),
    **dict.fromkeys(("disp", "rdisp", "ldisp"), _disposition),
    **dict.fromkeys(("qlimit", "mscount", "sync", "rcv_size", "send_size", "timeout"), _UNSIGNED),
    **dict.fromkeys(("task", "polytask", "totask"), _task),
    "delta": _number(-(2**31), 2**31 - 1),
    "id": _number(-(2**31), 2**31 - 1),
    "right": _right,
    "msgid": _notification,
    "as": _labels,
    "option": _options,
    "ports": _ports,
    "body": expand,
}


def faults(step: Step) -> Iterator[str]:
    """What is wrong with a step."""
    op = step["op"]
    if op not in OPERATIONS:
        yield f"operation {in_json(op)} is not modelled; there are {', '.join(OPERATIONS)}"
        return
    needs = NEEDS[op]
    option = step.get("option")
    if isinstance(option, list):
        needs += SENDING if "MACH_SEND_MSG" in option else ()
        needs += RECEIVING if "MACH_RCV_MSG" in option else ()
    for key in needs:
        if key not in step:
            yield f"{op} needs {in_json(key)}"
    for key, look in KINDS.items():
        if key in step:
            try:
                look(step[key])
            except ValueError as error:
                yield f"{in_json(key)}: {error}"
