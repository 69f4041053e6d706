"""Mach calls in sentences, and what stands on their arrows."""

from __future__ import annotations

from typing import cast

from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_OOL_PORTS_DESCRIPTOR,
    MACH_MSG_PORT_DESCRIPTOR,
    MACH_PORT_NULL,
    MACH_RCV_MSG,
    MACH_RCV_TIMEOUT,
    MACH_SEND_MSG,
    MACH_SEND_TIMEOUT,
    RIGHTS,
    mach_error_name,
    type_names,
)
from kextlab.abi.mach_messages import MachMsgHeader
from kextlab.trace.events import Event
from kextlab.views.mach_fields import (
    DISPOSITIONS,
    NOTIFICATIONS,
    TRAVELS,
    Descriptor,
    descriptors,
)
from kextlab.views.mach_names import Names
from kextlab.views.mach_reasons import protection
from kextlab.views.svg import count
from kextlab.views.words import listed, some

TOLD = 3
"""How many of the things a message carries are named."""
PREFIXES = ("mach_", "bootstrap_")
SUCCESS = mach_error_name(KERN_SUCCESS)
ALLOCATED = {"RECEIVE": "a receive right", "PORT_SET": "a port set", "DEAD_NAME": "a dead name"}
COUNTED = {
    "SEND": "send right",
    "RECEIVE": "receive right",
    "SEND_ONCE": "send-once right",
    "PORT_SET": "port set",
    "DEAD_NAME": "dead name",
}
NAMED = {
    "mach_vm_allocate": "asks for {1:,} bytes of memory",
    "mach_vm_deallocate": "gives up {1:,} bytes of memory at {0:#x}",
    "mach_vm_region": "asks what is mapped at {0:#x}",
    "mach_make_memory_entry_64": "makes a memory entry of {0:,} bytes at {1:#x}",
    "mach_port_destroy": "destroys name {0:#x}, {what}",
    "mach_port_type": "asks what name {0:#x} is",
    "mach_port_rename": "renames {0:#x} to {1:#x}",
    "mach_port_get_attributes": "asks for the status of {at}",
    "mach_port_set_attributes": "sets the queue limit of {at} to {1}",
    "mach_port_set_mscount": "sets the make-send count of {at} to {1}",
    "mach_port_insert_member": "puts {at} into the port set {1:#x}",
    "mach_port_extract_member": "takes {at} out of the port set {1:#x}",
}
ASKED = {
    "bootstrap_check_in": "for the receive right of {0}",
    "bootstrap_look_up": "for a send right to {0}",
    "bootstrap_create_service": "to create the service {0}",
    "bootstrap_register": "to offer name {1:#x} as {0}",
}
DONE = {
    "mach_port_allocate": "the new right is name {0:#x}",
    "bootstrap_check_in": "the receive right is name {0:#x}",
    "bootstrap_look_up": "the send right is name {0:#x}",
    "bootstrap_create_service": "a send right to it is name {0:#x}",
    "mach_vm_allocate": "the memory begins at {0:#x}",
    "mach_vm_map": "it is mapped at {0:#x}",
}
"""What the number means that a call returns."""
LABELS = {
    "mach_make_memory_entry_64": "make memory entry",
    "mach_port_get_attributes": "get status",
    "mach_port_set_attributes": "set queue limit",
    "mach_port_request_notification": "ask for notice",
}


def is_mach(event: Event) -> bool:
    """Whether a call is one of Mach's or launchd's."""
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


# -- calls -----------------------------------------------------------------------------------


def called(who: str, pid: str, event: Event, names: Names) -> str:
    """A process makes a Mach call."""
    args, name = event.arguments, event.name
    if name == "mach_msg":
        return f"{who} calls mach_msg to {_purpose(pid, args, names)}."
    if name in ASKED:
        return f"{who} asks launchd {ASKED[name].format(*args)} ({name})."
    if name in NAMED:
        words = {"at": names.end(pid, args[0]), "what": names.what(pid, args[0])}
        return f"{who} {NAMED[name].format(*args, **words)} ({name})."
    return f"{who} {_deed(pid, event, names)} ({name})."


def _deed(pid: str, event: Event, names: Names) -> str:
    """What a call does whose sentence depends on its arguments."""
    args = event.arguments
    match event.name:
        case "mach_port_allocate":
            right = _right(args[0])
            return f"allocates {ALLOCATED.get(right, right)}"
        case "mach_port_insert_right":
            way = DISPOSITIONS.get(cast(int, args[2]), str(args[2]))
            travels = TRAVELS.get(cast(int, args[2]), "a right")
            return f"puts {travels} ({way} of {args[1]:#x}) under name {args[0]:#x}"
        case "mach_port_deallocate":
            return f"gives up a reference to name {args[0]:#x}, {names.what(pid, args[0])}"
        case "mach_port_mod_refs":
            right = _right(args[1])
            if right == "RECEIVE" and args[2] == -1:
                return f"gives up the receive right of {names.end(pid, args[0])}"
            change = f"{cast(int, args[2]):+d}"
            return (
                f"changes the {COUNTED.get(right, right)}s of {names.end(pid, args[0])} by {change}"
            )
        case "mach_port_get_refs":
            right = COUNTED.get(_right(args[1]), "right")
            return f"asks how many references to a {right} name {args[0]:#x} has"
        case "mach_port_move_member":
            where = f"into the port set {args[1]:#x}" if args[1] else "out of all port sets"
            return f"moves {names.end(pid, args[0])} {where}"
        case "mach_port_request_notification":
            kind = notification(args[1])
            if not args[3]:
                return f"takes back the {kind} request of {names.end(pid, args[0])}"
            return f"asks to be told of {kind} for {names.end(pid, args[0])} at name {args[3]:#x}"
        case "mach_vm_protect":
            most = "at most " if args[2] else ""
            allowed = protection(cast(int, args[3]))
            size = some(cast(int, args[1]), "byte")
            return f"lets {size} at {args[0]:#x} be used to {most}{allowed}"
        case "mach_vm_map":
            what = "zeros"
            if args[4]:
                found = names.called(names.port(pid, args[4]))
                entry = f"memory entry {args[4]:#x}"
                what = entry if found.startswith("a memory entry") else names.end(pid, args[4])
                what = f"a private copy of {what}" if args[6] else what
            return f"maps {some(cast(int, args[1]), 'byte')} of {what}"
    return f"calls {event.name}"


def notification(number: object) -> str:
    """``no senders``: a notification by its number."""
    name = NOTIFICATIONS.get(cast(int, number), f"notification {number}")
    return name.removeprefix("MACH_NOTIFY_").lower().replace("_", "-")


def _purpose(pid: str, args: tuple[object, ...], names: Names) -> str:
    option = cast(int, args[1])
    parts = []
    header = header_of(args[0])
    if option & MACH_SEND_MSG and header is not None:
        words = f"send message {header.msgh_id}, {some(header.msgh_size, 'byte')}, "
        words += f"to {names.at(pid, header.msgh_remote_port)}"
        words += carried(cast(bytes, args[0]), pid, names)
        parts.append(words + _waiting(option & MACH_SEND_TIMEOUT, args))
    elif option & MACH_SEND_MSG:
        parts.append("send a message without a header")
    if option & MACH_RCV_MSG:
        words = f"receive at {names.at(pid, args[3])}"
        parts.append(words + _waiting(option & MACH_RCV_TIMEOUT, args))
    return " and ".join(parts) or "do nothing"


def _waiting(limited: int, args: tuple[object, ...]) -> str:
    """How long, if there is a limit."""
    wait = cast(int, args[4]) if limited else None
    if wait is None:
        return ""
    return f", waiting {count(wait)} ms at most" if wait else ", without waiting"


def carried(data: bytes, pid: str, names: Names, got: bool = False) -> str:
    """What travels with a message besides bytes, and begins with a comma; once it is got, the
    reply right stands in ``msgh_remote_port``, and an address is the receiver's."""
    header = MachMsgHeader.unpack(data)
    reply = header.msgh_remote_port if got else header.msgh_local_port
    parts = ["a right to reply"] if reply != MACH_PORT_NULL else []
    found = descriptors(data)
    parts += [_travels(one, pid, names, got) for one in found[:TOLD]]
    if len(found) > TOLD:
        parts.append(f"{len(found) - TOLD} more")
    return f", with {listed(parts)}" if parts else ""


def _travels(one: Descriptor, pid: str, names: Names, got: bool) -> str:
    values = one.values
    if one.type != MACH_MSG_PORT_DESCRIPTOR:
        at = f" at {values['address']:#x}" if got and values["address"] else ""
        if one.type == MACH_MSG_OOL_PORTS_DESCRIPTOR:
            return f"{some(values['count'], 'right')} out of line{at}"
        return f"{some(values['size'], 'byte')} of memory{at}"
    name = values["name"]
    if got and names.entry(pid, name) is not None:
        return f"{names.what(pid, name)} (name {name:#x})"
    port = names.port(pid, name)
    right = TRAVELS.get(values["disposition"], "a right")
    to = "of" if right == "the receive right" else "to"
    return f"{right} {to} {names.called(port)}" if port else right


# -- answers ---------------------------------------------------------------------------------


def returned(who: str, pid: str, event: Event, value: object, names: Names) -> str:
    """A Mach call went well; ``value`` is what it gave back."""
    name, args = event.name, event.arguments
    if name == "mach_msg":
        return _got(who, pid, event, value, names)
    if name in DONE:
        return f"{name} returns to {who}: {DONE[name].format(cast(int, value))}."
    said = ""
    match name:
        case "mach_make_memory_entry_64":
            size, entry = cast("tuple[int, int]", value)
            said = f"name {entry:#x} stands for {some(size, 'byte')}"
            if size < cast(int, args[0]):
                said += f", fewer than the {count(cast(int, args[0]))} asked for"
        case "mach_port_type":
            said = f"name {args[0]:#x} is {' and '.join(type_names(cast(int, value))) or 'nothing'}"
        case "mach_port_get_attributes":
            status = cast("tuple[int, ...]", value)
            queued = f"{some(status[3], 'message')} queued, {status[2]} at most"
            said = f"{queued}, make-send count {status[0]}"
        case "mach_port_get_refs":
            said = some(cast(int, value), "reference")
        case "mach_port_request_notification":
            said = f"name {value:#x} is the right of the request before" if value else ""
        case "mach_vm_region":
            start, size, allowed, most, _, shared, _ = cast("tuple[int, ...]", value)
            said = f"{some(size, 'byte')} at {start:#x}, to {protection(allowed)}, at most "
            said += f"{protection(most)}{', shared' * bool(shared)}"
    return f"{name} returns to {who}: {said}." if said else f"{name} returns to {who}."


def _got(who: str, pid: str, event: Event, value: object, names: Names) -> str:
    option = cast(int, event.arguments[1])
    header = header_of(value)
    if not option & MACH_RCV_MSG:
        if not option & MACH_SEND_MSG:
            return f"mach_msg returns to {who}."
        return f"mach_msg returns to {who}; the message is on its way."
    if header is None:
        return f"mach_msg returns to {who}: a message was taken from the queue."
    words = f"{who} receives message {header.msgh_id}, {some(header.msgh_size, 'byte')}"
    return words + carried(cast(bytes, value), pid, names, got=True) + "."


# -- arrows ----------------------------------------------------------------------------------


def message_label(data: object, pid: str, names: Names) -> str:
    """A message as it stands on an arrow: ``1, 24 B, +1 right``."""
    header = header_of(data)
    if header is None:
        return ""
    rights = entries = memory = 0
    for one in descriptors(cast(bytes, data)):
        if one.type == MACH_MSG_OOL_PORTS_DESCRIPTOR:
            rights += one.values["count"]
        elif one.type != MACH_MSG_PORT_DESCRIPTOR:
            memory += 1
        elif names.called(names.port(pid, one.values["name"])).startswith("a memory entry"):
            entries += 1
        else:
            rights += 1
    parts = [f"{header.msgh_id}, {count(header.msgh_size)} B"]
    parts += ["+memory entry"] * bool(entries)
    parts += [f"+{some(rights, 'right')}"] * bool(rights)
    parts += ["+memory"] * bool(memory)
    return ", ".join(parts)


def short(event: Event, pid: str, names: Names) -> str:
    """A call as it stands on an arrow."""
    name = event.name
    if name != "mach_msg":
        return LABELS.get(name) or name.partition("_")[2].removeprefix("port_").replace("_", " ")
    option = cast(int, event.arguments[1])
    parts = []
    if option & MACH_SEND_MSG:
        parts.append(f"send {message_label(event.arguments[0], pid, names)}".strip())
    if option & MACH_RCV_MSG:
        parts.append("receive")
    return "; ".join(parts) or "mach_msg"


def answer(event: Event, pid: str, value: object, names: Names) -> str:
    """What a call gave back, as it stands on an arrow."""
    if event.name == "mach_msg" and cast(int, event.arguments[1]) & MACH_RCV_MSG:
        return f"message {message_label(value, pid, names)}".strip()
    if isinstance(value, int) and event.name in DONE:
        return f"= {value:#x}"
    if event.name == "mach_make_memory_entry_64":
        return f"= {cast('tuple[int, int]', value)[1]:#x}"
    return f"= {value}" if isinstance(value, int) else "= 0"
