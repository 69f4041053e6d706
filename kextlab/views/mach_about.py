"""What stands beside a Mach or IOKit call in the inspector: the status of the port it is about, the
map entries around its address, the data queue of its driver; all as of that step.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import cast

from kextlab.abi import mach
from kextlab.abi.mach_layouts import DATA_QUEUE_HEAD, MACH_PORT_STATUS
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.iokit_sentences import is_iokit
from kextlab.views.mach_fields import word
from kextlab.views.mach_names import Names
from kextlab.views.mach_reasons import protection
from kextlab.views.svg import count

Rows = list[tuple[str, str]]
AROUND = 2
"""Map entries shown before and behind the one in question."""
STATUS_FIELDS = (
    "pset_count",
    "seqno",
    "mscount",
    "qlimit",
    "msgcount",
    "sorights",
    "srights",
    "pdrequest",
    "nsrequest",
)
"""The fields of a port in the state, in the order of ``mach_port_status_t``; of the last three
only whether there is one."""
ADDRESSES = {
    "mach_vm_allocate": 0,
    "mach_vm_deallocate": 0,
    "mach_vm_protect": 0,
    "mach_vm_region": 0,
    "mach_vm_map": 0,
    "mach_make_memory_entry_64": 1,
}
"""Which argument of a call is an address."""


def status(state: State, port: str) -> bytes:
    """The ``mach_port_status_t`` of a port, as its receiver would get it.

    Raises:
        ValueError: there is no such port.
    """
    fields = _object(state, port)
    values = [fields[name] for name in STATUS_FIELDS[:6]]
    values += [bool(fields[name]) for name in STATUS_FIELDS[6:]]
    return struct.pack("<10I", *(cast(int, value) for value in values), 0)


def queue_head(state: State, queue: str) -> bytes:
    """The first three words of the memory of a data queue.

    Raises:
        ValueError: there is no such queue.
    """
    fields = _object(state, queue)
    return struct.pack("<3I", *(cast(int, fields[field.name]) for field in DATA_QUEUE_HEAD))


def _object(state: State, name: str) -> dict[str, object]:
    if name not in state:
        kind = name.partition(":")[0]
        there = ", ".join(one for one in state if one.startswith(f"{kind}:")) or "none"
        raise ValueError(f"there is no {name}; there are: {there}")
    return state[name]


def about(event: Event, pid: str, value: object, names: Names) -> Rows:
    """What stands beside a call; ``value`` is what it gave back, ``None`` while it is open."""
    if is_iokit(event):
        return list(_queues(names.state))
    if event.name in ADDRESSES:
        address = cast(int, event.arguments[ADDRESSES[event.name]])
        if isinstance(value, int):
            address = value
        return list(_entries(names.state, names.map_of(pid), address))
    port = names.port(pid, _name(event))
    return list(_port(names, port)) if port.startswith("port:") else []


def _name(event: Event) -> int:
    """The name a call is about, 0 if it is about none."""
    args = event.arguments
    if event.name == "mach_msg":
        sends = cast(int, args[1]) & mach.MACH_SEND_MSG and isinstance(args[0], bytes)
        return word(cast(bytes, args[0]), 8) if sends else cast(int, args[3])
    return cast(int, args[0]) if event.name.startswith("mach_port_") else 0


def _port(names: Names, port: str) -> Iterator[tuple[str, str]]:
    yield "Port", port if names.called(port) == port else f"{port}, {names.called(port)}"
    holder = names.holder(port)
    process = names.state.get(f"proc:{holder}")
    if process is not None:
        yield "Receive right", f"{process['name']}, pid {holder}"
    else:
        yield "Receive right", holder or "in a message"
    data = status(names.state, port)
    for field in MACH_PORT_STATUS[: len(STATUS_FIELDS)]:
        yield field.name, count(word(data, field.offset))


def _entries(state: State, of: str, address: int) -> Iterator[tuple[str, str]]:
    """The entries of a map around an address."""
    found = sorted(
        (cast(int, fields["start"]), cast(int, fields["end"]), name)
        for name, fields in state.items()
        if name.startswith("vm_entry:") and fields["of"] == of
    )
    at = next((n for n, (_, end, _) in enumerate(found) if address < end), len(found))
    for start, end, name in found[max(0, at - AROUND) : at + AROUND + 1]:
        fields = state[name]
        words = [f"{count(end - start)} bytes", protection(cast(int, fields["protection"]))]
        words.append(str(fields["object"] or "zeros"))
        if fields["needs_copy"]:
            words.append("copied on write")
        here = " (here)" if start <= address < end else ""
        yield f"{start:#x}", ", ".join(words) + here


def _queues(state: State) -> Iterator[tuple[str, str]]:
    for name, fields in state.items():
        if name.startswith("io_queue:"):
            words = [f"{word_} {count(cast(int, fields[word_]))}" for word_ in QUEUE_WORDS]
            yield f"Data queue {name[9:]}", ", ".join(words)


QUEUE_WORDS = ("queueSize", "head", "tail", "enqueued", "dropped")
