"""Why a Mach call was refused, in half a sentence with what the state shows at that step.

``explain(error)`` says more: the routine, the recording, what to do. A code without an entry here
is told by the first of its causes, or by its name alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from kextlab.abi import mach
from kextlab.kernel.explain import causes_by_text
from kextlab.trace.events import Event
from kextlab.views.mach_fields import TRAVELS, descriptors, word
from kextlab.views.mach_names import Names
from kextlab.views.svg import count
from kextlab.views.words import some

Why = Callable[[tuple[object, ...], str, Names], str]
Args = tuple[object, ...]

FIRST, SECOND = (0,), (0, 1)
NAMED = {
    "mach_port_insert_right": (1, 0),
    "mach_port_insert_member": SECOND,
    "mach_port_extract_member": SECOND,
    "mach_port_move_member": SECOND,
    "mach_port_request_notification": (0, 3),
}
"""Which arguments are names; of the others it is the first."""
MEMBERS = ("mach_port_insert_member", "mach_port_extract_member", "mach_port_move_member")
PROTECTIONS = ("read", "write", "execute")


def why(event: Event, code: str, pid: str, names: Names) -> str:
    """Why ``event`` was answered with ``code``; lower case, no full stop."""
    if code == "KERN_INVALID_NAME":
        return _no_name(event, pid, names)
    found = _REASONS.get((event.name, code))
    if found is not None:
        return found(event.arguments, pid, names)
    for key, cause in causes_by_text()["mach"]:
        if key == code and cause.call == event.name:
            said = cause.when.partition(". ")[0].rstrip(".")
            return said[:1].lower() + said[1:]
    return "the kernel gives no other reason than the code"


def protection(bits: int) -> str:
    """``read and write``, ``nothing``."""
    allowed = [word for at, word in enumerate(PROTECTIONS) if bits & 1 << at]
    return " and ".join(allowed) or "nothing"


def _name(args: Args, at: int) -> str:
    return f"{cast(int, args[at]):#x}"


def _no_name(event: Event, pid: str, names: Names) -> str:
    at = NAMED.get(event.name, FIRST)
    for one in at:
        number = event.arguments[one]
        if number and names.entry(pid, number) is None:
            return f"it has no name {_name(event.arguments, one)}"
    return "one of the names is none of this task's"


def _is(args: Args, at: int, pid: str, names: Names) -> str:
    return f"name {_name(args, at)} is {names.what(pid, args[at])}"


def _dealloc(args: Args, pid: str, names: Names) -> str:
    return f"{_is(args, 0, pid, names)}, which has no references to give up"


def _insert(args: Args, pid: str, names: Names) -> str:
    way = cast(int, args[2])
    make = way in (mach.MACH_MSG_TYPE_MAKE_SEND, mach.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    needs = "the receive right" if make else TRAVELS.get(way, "a right")
    return f"that disposition takes {needs}, and {_is(args, 1, pid, names)}"


def _refs(args: Args, pid: str, names: Names) -> str:
    right = mach.RIGHTS.get(cast(int, args[1]), "").removeprefix("MACH_PORT_RIGHT_")
    return f"{_is(args, 0, pid, names)}, and no {right} right"


def _receiver(args: Args, pid: str, names: Names) -> str:
    return f"{_is(args, 0, pid, names)}, and only whoever has the receive right may"


def _member(args: Args, pid: str, names: Names) -> str:
    return (
        f"a receive right is a member of a port set, but {_is(args, 0, pid, names)} and "
        f"{_name(args, 1)} is {names.what(pid, args[1])}"
    )


def _limit(args: Args, _pid: str, _names: Names) -> str:
    return f"{args[1]} is beyond the largest queue limit, {count(mach.MACH_PORT_QLIMIT_MAX)}"


# -- messages --------------------------------------------------------------------------------


def _to(args: Args) -> int:
    return word(cast(bytes, args[0]), 8)


def _destination(args: Args, pid: str, names: Names) -> str:
    name = _to(args)
    if names.entry(pid, name) is None:
        return f"its destination is name {name:#x}, which it does not have"
    return f"its destination, name {name:#x}, is {names.what(pid, name)}"


def _reply(args: Args, pid: str, names: Names) -> str:
    local = word(cast(bytes, args[0]), 12)
    return f"its reply port, name {local:#x}, does not allow that disposition"


def _carried(args: Args, pid: str, names: Names) -> str:
    for one in descriptors(cast(bytes, args[0])):
        name = one.values.get("name", 0)
        if name and names.entry(pid, name) is None:
            return f"a descriptor names {name:#x}, which it does not have"
    return "a descriptor names a right it does not have"


def _full(args: Args, pid: str, names: Names) -> str:
    data = cast(bytes, args[0])
    port = names.port(pid, _to(args))
    fields = names.state.get(port)
    if fields is not None:
        held, most = fields["msgcount"], fields["qlimit"]
        queue = f"the queue of {names.called(port)} holds {held} of at most {most} messages"
    else:
        queue = "the queue is full"
    return f"{queue}, and it must not wait longer; message {word(data, 20)} came back"


def _empty(args: Args, pid: str, names: Names) -> str:
    return f"no message came to {names.at(pid, args[3])} in time"


def _no_receiver(args: Args, pid: str, names: Names) -> str:
    name = cast(int, args[3])
    found = f" is {names.what(pid, name)}" if names.entry(pid, name) else " is none it has"
    return f"one receives at a receive right or a port set, and name {name:#x}{found}"


def _too_large(args: Args, pid: str, names: Names) -> str:
    room = f"{count(cast(int, args[2]))} bytes"
    if cast(int, args[1]) & mach.MACH_RCV_LARGE:
        return f"a message is there, does not fit a buffer of {room}, and stays queued"
    return f"the message does not fit {room} with its trailer, and is gone"


# -- memory ----------------------------------------------------------------------------------


def _more_than_entry(args: Args, pid: str, names: Names) -> str:
    wanted = protection(cast(int, args[7]) | cast(int, args[8]))
    return f"it asks to {wanted}, which {names.at(pid, args[4])} does not allow"


def _no_entry(args: Args, pid: str, names: Names) -> str:
    return f"{names.at(pid, args[4])} is no memory entry"


def _no_right(at: int) -> Why:
    def said(args: Args, pid: str, names: Names) -> str:
        return f"name {_name(args, at)} is no send right of it"

    return said


def _unmapped(at: int) -> Why:
    def said(args: Args, _pid: str, _names: Names) -> str:
        return f"nothing is mapped at {_name(args, at)}"

    return said


def _taken(args: Args, _pid: str, _names: Names) -> str:
    return f"there is no room for {some(cast(int, args[1]), 'byte')} where it asks for it"


# -- launchd ---------------------------------------------------------------------------------


def _unheard(args: Args, _pid: str, _names: Names) -> str:
    return f"nobody has told it of a service {args[0]}"


def _active(args: Args, _pid: str, _names: Names) -> str:
    return f"this task has checked in to {args[0]} already"


def _foreign(args: Args, _pid: str, _names: Names) -> str:
    return f"{args[0]} belongs to another job"


_REASONS: dict[tuple[str, str], Why] = {
    ("mach_port_deallocate", "KERN_INVALID_RIGHT"): _dealloc,
    ("mach_port_insert_right", "KERN_INVALID_RIGHT"): _insert,
    ("mach_port_mod_refs", "KERN_INVALID_RIGHT"): _refs,
    ("mach_port_get_attributes", "KERN_INVALID_RIGHT"): _receiver,
    ("mach_port_set_attributes", "KERN_INVALID_RIGHT"): _receiver,
    ("mach_port_set_mscount", "KERN_INVALID_RIGHT"): _receiver,
    ("mach_port_request_notification", "KERN_INVALID_RIGHT"): _receiver,
    ("mach_port_set_attributes", "KERN_INVALID_VALUE"): _limit,
    **{(call, "KERN_INVALID_RIGHT"): _member for call in MEMBERS},
    ("mach_msg", "MACH_SEND_INVALID_DEST"): _destination,
    ("mach_msg", "MACH_SEND_INVALID_REPLY"): _reply,
    ("mach_msg", "MACH_SEND_INVALID_RIGHT"): _carried,
    ("mach_msg", "MACH_SEND_TIMED_OUT"): _full,
    ("mach_msg", "MACH_RCV_TIMED_OUT"): _empty,
    ("mach_msg", "MACH_RCV_INVALID_NAME"): _no_receiver,
    ("mach_msg", "MACH_RCV_TOO_LARGE"): _too_large,
    ("mach_vm_map", "KERN_INVALID_RIGHT"): _more_than_entry,
    ("mach_vm_map", "KERN_INVALID_OBJECT"): _no_entry,
    ("mach_vm_map", "MACH_SEND_INVALID_RIGHT"): _no_right(4),
    ("mach_make_memory_entry_64", "MACH_SEND_INVALID_RIGHT"): _no_right(3),
    ("mach_make_memory_entry_64", "KERN_INVALID_ADDRESS"): _unmapped(1),
    ("mach_vm_protect", "KERN_INVALID_ADDRESS"): _unmapped(0),
    ("mach_vm_region", "KERN_INVALID_ADDRESS"): _unmapped(0),
    ("mach_vm_allocate", "KERN_NO_SPACE"): _taken,
    ("mach_vm_map", "KERN_NO_SPACE"): _taken,
    ("bootstrap_look_up", "BOOTSTRAP_UNKNOWN_SERVICE"): _unheard,
    ("bootstrap_check_in", "BOOTSTRAP_SERVICE_ACTIVE"): _active,
    ("bootstrap_register", "BOOTSTRAP_SERVICE_ACTIVE"): _active,
    ("bootstrap_create_service", "BOOTSTRAP_SERVICE_ACTIVE"): _active,
    ("bootstrap_check_in", "BOOTSTRAP_NOT_PRIVILEGED"): _foreign,
    ("bootstrap_register", "BOOTSTRAP_NOT_PRIVILEGED"): _foreign,
    ("bootstrap_create_service", "BOOTSTRAP_NOT_PRIVILEGED"): _foreign,
}
