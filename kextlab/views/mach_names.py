"""What a name is in a task, and what a port is for, as far as the trace has told it.

A name is looked up in the state (``right:PID:NAME``). What a port stands for the state does not
say: the calls do, that made a memory entry, found a service or opened a driver. So every call that
went well is taken in.
"""

from __future__ import annotations

from typing import cast

from kextlab.abi import mach
from kextlab.trace import codes
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.svg import count

SERVICES = ("bootstrap_check_in", "bootstrap_look_up", "bootstrap_create_service")


class Names:
    """Looks names up in ``state``, which is the live state of a fold."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._told: dict[str, str] = {}
        """What a port is for, by its name in the trace."""
        self._maps: dict[str, str] = {}
        """The address map of a process."""

    # -- learning ----------------------------------------------------------------------------

    def learn(self, event: Event, pid: str, value: object) -> None:
        """A call of process ``pid`` went well; ``value`` is what it gave back."""
        args = event.arguments
        if event.name in SERVICES:
            self._tell(pid, value, str(args[0]))
        elif event.name == "bootstrap_register":
            self._tell(pid, args[1], str(args[0]))
        elif event.name == "mach_make_memory_entry_64":
            size, name = cast("tuple[int, int]", value)
            self._tell(pid, name, f"a memory entry of {count(size)} bytes")
        elif event.name == "io_service_get_matching_service":
            self._tell(pid, value, str(args[0]))
        elif event.name == "io_service_open":
            self._tell(pid, value, f"a connection to {self.called(self.port(pid, args[0]))}")

    def _tell(self, pid: str, name: object, words: str) -> None:
        port = self.port(pid, name)
        if port:
            self._told.setdefault(port, words)

    def stands_for(self, port: str, words: str) -> None:
        """A port is for that, as its object says."""
        self._told.setdefault(port, words)

    def mapped(self, pid: str, changed: str) -> None:
        """A call of process ``pid`` changed that map."""
        self._maps[pid] = changed

    # -- telling -----------------------------------------------------------------------------

    def map_of(self, pid: str) -> str:
        """The address map of a process, "" if no call has shown it."""
        return self._maps.get(pid, "")

    def entry(self, pid: str, name: object) -> dict[str, object] | None:
        """What stands behind a name of a task: ``type``, ``object``, ``urefs``."""
        return self.state.get(codes.right(pid, name)) if name else None

    def port(self, pid: str, name: object) -> str:
        """The port or port set behind a name, "" if there is none."""
        found = self.entry(pid, name)
        thing = found["object"] if found is not None else None
        return str(thing) if thing in self.state else ""

    def called(self, port: str) -> str:
        """What a port is for, or its number: ``org.kextlab.memory``, ``port:3``."""
        return self._told.get(port, port)

    def end(self, pid: str, name: object) -> str:
        """As ``at``, to stand before a bracket: ``port:3, name 0x103``."""
        return self.at(pid, name).replace(" (name ", ", name ").replace(")", "")

    def at(self, pid: str, name: object) -> str:
        """A name as the end of a message: ``port:3 (name 0x103)``."""
        if not name:
            return "MACH_PORT_NULL"
        port = self.port(pid, name)
        shown = f"name {cast(int, name):#x}"
        if port:
            return f"{self.called(port)} ({shown})"
        return f"{shown}, {self.what(pid, name)}"

    def what(self, pid: str, name: object) -> str:
        """What a name stands for: ``a send right to port:3``, ``a dead name``."""
        found = self.entry(pid, name)
        if found is None:
            return "which this task does not have"
        bits = cast(int, found["type"])
        to = self.called(str(found["object"]))
        both = mach.MACH_PORT_TYPE_SEND_RECEIVE
        for mask, words in (
            (mach.MACH_PORT_TYPE_DEAD_NAME, "a dead name"),
            (mach.MACH_PORT_TYPE_PORT_SET, f"the port set {to}"),
            (both, f"the receive right of {to}, with a send right"),
            (mach.MACH_PORT_TYPE_RECEIVE, f"the receive right of {to}"),
            (mach.MACH_PORT_TYPE_SEND, f"a send right to {to}"),
            (mach.MACH_PORT_TYPE_SEND_ONCE, f"a send-once right to {to}"),
        ):
            if bits & mask == mask:
                return words
        return "a name that is not in use yet"

    def holder(self, port: str) -> str:
        """Who holds the receive right of a port: a pid, ``kernel``, "" while it is in a message."""
        fields = self.state.get(port)
        receiver = str(fields["receiver"] or "") if fields is not None else ""
        return receiver.removeprefix("proc:")
