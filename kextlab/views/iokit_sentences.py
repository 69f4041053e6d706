"""IOKit's calls in sentences, and what stands on their arrows.

A process's calls are told as IOKitLib names what they do; the trace has the messages' names
(``io_connect_method``). A driver's calls to its data queue are told with how full the queue is.
"""

from __future__ import annotations

from typing import cast

from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.mach_names import Names
from kextlab.views.svg import count
from kextlab.views.words import listed, some

PREFIX = "io_"
ENQUEUE = "IOSharedDataQueue::enqueue"
IOKITLIB = {
    "io_service_open": "IOServiceOpen",
    "io_service_close": "IOServiceClose",
    "io_connect_method": "IOConnectCallMethod",
    "io_connect_async_method": "IOConnectCallAsyncMethod",
    "io_connect_map_memory": "IOConnectMapMemory64",
    "io_connect_unmap_memory": "IOConnectUnmapMemory64",
    "io_connect_set_notification_port": "IOConnectSetNotificationPort",
}
"""The function of IOKitLib behind a message."""
CONNECTION = "a connection to "


def is_iokit(event: Event) -> bool:
    """Whether a call of a process is one of IOKit's."""
    return event.kind == "syscall" and event.name.startswith(PREFIX)


def called(who: str, pid: str, event: Event, names: Names) -> str:
    """A process makes a call of IOKit's."""
    args = event.arguments
    at = "" if event.name == "io_service_get_matching_service" else _end(pid, args[0], names)
    match event.name:
        case "io_service_get_matching_service":
            deed = f"looks for the driver {args[0]}"
        case "io_service_open":
            deed = f"opens {at}, type {args[2]}"
        case "io_service_close":
            deed = f"closes {at}"
        case "io_connect_method":
            given = _items(len(cast("tuple[int, ...]", args[2])), len(cast(bytes, args[3])))
            deed = f"calls method {args[1]} of {at}"
            deed += f" with {given}" if given else ""
        case "io_connect_async_method":
            deed = f"calls a method of {at} that answers later"
        case "io_connect_map_memory":
            deed = f"maps memory {args[1]} of {at}"
        case "io_connect_unmap_memory":
            deed = f"unmaps memory {args[1]} of {at}"
        case "io_connect_set_notification_port":
            deed = f"names the port to tell of data, {args[2]:#x}, to {at}"
        case _:
            deed = f"calls {event.name}"
    return f"{who} {deed} ({event.name})."


def _end(pid: str, name: object, names: Names) -> str:
    """What a call is about: a driver, or ``connection 0x203 to SensorDriver``."""
    called = names.called(names.port(pid, name))
    if called.startswith(CONNECTION):
        return f"connection {name:#x} to {called.removeprefix(CONNECTION)}"
    return called or names.end(pid, name)


def _items(scalars: int, size: int) -> str:
    """``2 scalars and 8 bytes``, "" for nothing."""
    parts = [some(scalars, "scalar")] if scalars else []
    parts += [some(size, "byte")] if size else []
    return listed(parts) if parts else ""


def returned(who: str, event: Event, value: object) -> str:
    """A call of IOKit's went well."""
    said = ""
    match event.name:
        case "io_service_get_matching_service":
            said = f"the driver is name {value:#x}" if value else "there is no such driver"
        case "io_service_open":
            said = f"the connection is name {value:#x}"
        case "io_connect_method":
            scalars, inband, outside = cast("tuple[tuple[int, ...], bytes, bytes]", value)
            said = _items(len(scalars), len(inband) + len(outside))
        case "io_connect_map_memory":
            address, size = cast("tuple[int, int]", value)
            said = f"{some(size, 'byte')} at {address:#x}"
    return f"{event.name} returns to {who}: {said}." if said else f"{event.name} returns to {who}."


def short(event: Event) -> str:
    """A call as it stands on an arrow."""
    args = event.arguments
    match event.name:
        case "io_service_get_matching_service":
            return f"find {args[0]}"
        case "io_connect_method":
            return f"method {args[1]}"
        case "io_connect_map_memory" | "io_connect_unmap_memory":
            return f"{event.name.split('_')[2]} memory {args[1]}"
        case "io_connect_set_notification_port":
            return "set notice port"
    return event.name.split("_", 2)[2].replace("_", " ")


def answer(event: Event, value: object) -> str:
    """What a call gave back, as it stands on an arrow."""
    if event.name == "io_connect_map_memory":
        return f"= {cast('tuple[int, int]', value)[0]:#x}"
    return f"= {value:#x}" if isinstance(value, int) and value else "= 0"


def queue_of(state: State) -> dict[str, object] | None:
    """The data queue, if there is only one, else ``None``."""
    found = [fields for name, fields in state.items() if name.startswith("io_queue:")]
    return found[0] if len(found) == 1 else None


def enqueued(kext: str, event: Event, value: object, state: State) -> str:
    """A driver put a record into its data queue, or could not."""
    size = some(cast(int, event.arguments[1]), "byte")
    queue = queue_of(state)
    ring = f" of {count(cast(int, queue['queueSize']))} bytes" if queue is not None else ""
    if not value:
        return (
            f"{kext}'s record of {size} does not fit the data queue{ring} and is lost; only the "
            "driver sees it."
        )
    if queue is None:
        return f"{kext} puts a record of {size} into its data queue."
    place = f"head {queue['head']}, tail {queue['tail']}"
    return f"{kext} puts a record of {size} into the data queue{ring}: {place}."
