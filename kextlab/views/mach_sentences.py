"""Mach calls in sentences, and what stands on their arrows."""

from __future__ import annotations

from typing import cast

from kextlab.abi import mach
from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_PORT_NULL,
    MACH_RCV_MSG,
    MACH_SEND_MSG,
    MACH_SEND_TIMED_OUT,
    RIGHTS,
    mach_error_name,
    type_names,
)
from kextlab.abi.mach_messages import (
    MachMsgHeader,
    OolDescriptor,
    OolPortsDescriptor,
    unpack_message,
)
from kextlab.trace.events import Event
from kextlab.views.words import some

PREFIXES = ("mach_", "bootstrap_")
SUCCESS = mach_error_name(KERN_SUCCESS)
TIMED_OUT = mach_error_name(MACH_SEND_TIMED_OUT)
DISPOSITIONS = {
    number: name.removeprefix("MACH_MSG_TYPE_")
    for name, number in vars(mach).items()
    if name.startswith("MACH_MSG_TYPE_M") or name == "MACH_MSG_TYPE_COPY_SEND"
}
ALLOCATED = {"RECEIVE": "a receive right", "PORT_SET": "a port set", "DEAD_NAME": "a dead name"}
NAMING = {
    "mach_port_allocate": "name",
    "bootstrap_check_in": "name",
    "bootstrap_look_up": "name",
    "bootstrap_create_service": "name",
    "mach_vm_allocate": "address",
    "mach_vm_map": "address",
}
"""What the number is that a call returns."""
NAMED = {
    "mach_vm_allocate": "asks for {1:,} bytes of memory",
    "mach_vm_deallocate": "gives up {1:,} bytes of memory at {0:#x}",
    "mach_make_memory_entry_64": "makes a memory entry of {0:,} bytes at {1:#x}",
    "mach_vm_map": "maps {1:,} bytes of memory entry {4:#x}",
    "mach_port_deallocate": "gives up one reference to name {0:#x}",
    "mach_port_destroy": "destroys everything under name {0:#x}",
    "mach_port_get_refs": "asks for the references of name {0:#x}",
    "mach_port_type": "asks what name {0:#x} is",
    "mach_port_rename": "renames {0:#x} to {1:#x}",
    "mach_port_get_attributes": "asks for the status of name {0:#x}",
    "mach_port_set_attributes": "sets the queue limit of name {0:#x} to {1}",
    "mach_port_set_mscount": "sets the make-send count of name {0:#x} to {1}",
    "mach_port_insert_member": "puts name {0:#x} into the port set {1:#x}",
    "mach_port_extract_member": "takes name {0:#x} out of the port set {1:#x}",
    "mach_port_move_member": "moves name {0:#x} into the port set {1:#x}",
}


def is_mach(event: Event) -> bool:
    """Whether a call is one of Mach's."""
    return event.name.startswith(PREFIXES)


def header_of(data: object) -> MachMsgHeader | None:
    """The header of a message, ``None`` if there is none."""
    if not isinstance(data, bytes):
        return None
    try:
        return MachMsgHeader.unpack(data)
    except ValueError:
        return None


def _right(number: object) -> str:
    return RIGHTS.get(cast(int, number), str(number)).removeprefix("MACH_PORT_RIGHT_")


def called(who: str, event: Event) -> str:
    """A process makes a Mach call."""
    args = event.arguments
    if event.name == "mach_msg":
        return f"{who} calls mach_msg to {_purpose(args)}."
    if event.name in NAMED:
        return f"{who} {NAMED[event.name].format(*args)} ({event.name})."
    if event.name.startswith("bootstrap_"):
        return f"{who} asks launchd: {event.name}({args[0]})."
    if event.name == "mach_port_allocate":
        right = _right(args[0])
        return f"{who} allocates {ALLOCATED.get(right, right)} (mach_port_allocate)."
    if event.name == "mach_port_insert_right":
        way = DISPOSITIONS.get(cast(int, args[2]), str(args[2]))
        return (
            f"{who} puts a right ({way} of {args[1]:#x}) under name {args[0]:#x} "
            "(mach_port_insert_right)."
        )
    if event.name == "mach_port_mod_refs":
        change = f"{cast(int, args[2]):+d}"
        return f"{who} changes the {_right(args[1])} references of name {args[0]:#x} by {change}."
    return f"{who} calls {event.name}."


def _purpose(args: tuple[object, ...]) -> str:
    option = cast(int, args[1])
    parts = []
    header = header_of(args[0])
    if option & MACH_SEND_MSG and header is not None:
        words = f"send message {header.msgh_id}, {some(header.msgh_size, 'byte')}, "
        parts.append(words + f"to name {header.msgh_remote_port:#x}" + _carried(args[0]))
    if option & MACH_RCV_MSG:
        parts.append(f"receive at name {args[3]:#x}")
    return " and ".join(parts) or "do nothing"


def _carried(data: object, got: bool = False) -> str:
    """What travels with a message besides bytes; once it is got, the reply right stands in
    ``msgh_remote_port``."""
    try:
        header, descriptors, _ = unpack_message(cast(bytes, data))
    except ValueError:
        return ""
    parts = []
    if (header.msgh_remote_port if got else header.msgh_local_port) != MACH_PORT_NULL:
        parts.append("a right to reply")
    rights = size = 0
    for one in descriptors:
        if isinstance(one, OolDescriptor):
            size += one.size
        else:
            rights += one.count if isinstance(one, OolPortsDescriptor) else 1
    if rights:
        parts.append(some(rights, "right"))
    if size:
        parts.append(f"{some(size, 'byte')} of memory")
    if len(parts) > 2:
        parts = [", ".join(parts[:-1]), parts[-1]]
    return f", with {' and '.join(parts)}" if parts else ""


def returned(who: str, event: Event, value: object) -> str:
    """A Mach call answers."""
    code, more = cast("tuple[str, object]", value)
    if code != SUCCESS:
        return f"{event.name} answers {code} to {who}{_came_back(code, more)}."
    if event.name in NAMING:
        return f"{event.name} returns {NAMING[event.name]} {cast(int, more):#x} to {who}."
    header = header_of(more)
    if event.name == "mach_msg" and header is not None:
        if not cast(int, event.arguments[1]) & MACH_RCV_MSG:
            return f"mach_msg returns to {who}; the message is on its way."
        words = f"{who} receives message {header.msgh_id}, {some(header.msgh_size, 'byte')}"
        return words + _carried(more, got=True) + "."
    if event.name == "mach_make_memory_entry_64":
        size, name = cast("tuple[int, int]", more)
        made = f"name {name:#x} stands for {some(size, 'byte')}"
        return f"mach_make_memory_entry_64 returns to {who}: {made}."
    if event.name == "mach_port_type":
        return f"mach_port_type returns to {who}: {' and '.join(type_names(cast(int, more)))}."
    if event.name == "mach_port_get_attributes":
        status = cast("tuple[int, ...]", more)
        queued = f"{some(status[3], 'message')} queued, {status[2]} at most"
        return f"mach_port_get_attributes returns to {who}: {queued}, make-send count {status[0]}."
    if isinstance(more, int):
        return f"{event.name} returns {more} to {who}."
    return f"{event.name} returns to {who}."


def _came_back(code: str, left: object) -> str:
    """What a send that timed out left in the buffer."""
    header = header_of(left)
    if code != TIMED_OUT or header is None:
        return ""
    return f"; the message came back, its right to send as name {header.msgh_remote_port:#x}"


def short(event: Event) -> str:
    """A call as it stands on an arrow."""
    if event.name != "mach_msg":
        return event.name.removeprefix("mach_port_")
    option = cast(int, event.arguments[1])
    header = header_of(event.arguments[0])
    if option & MACH_SEND_MSG and header is not None:
        return f"mach_msg {header.msgh_id}"
    return "mach_msg receive"


def answer(value: object) -> str:
    """An answer as it stands on an arrow."""
    code, more = cast("tuple[str, object]", value)
    if code != SUCCESS:
        return f"= {code}"
    return f"= {more:#x}" if isinstance(more, int) else "= 0"
