"""Who is who in a state that grows step by step: controls, units and descriptors, found at once.

Reads the changes of events as the fold hands them out, so that nobody has to search the whole state
for the control of a reference or the socket of a unit.
"""

from __future__ import annotations

from typing import cast

from kextlab.abi.constants import SYSPROTO_EVENT
from kextlab.trace.events import Event
from kextlab.trace.fold import State
from kextlab.views.windows import KINDS, Windows


class Index:
    """Looks things up in ``state``, which is the live state of a fold.

    Call ``update`` with every event, after the fold has taken it in.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._refs: dict[object, int] = {}
        self._ids: dict[object, list[int]] = {}
        self._units: dict[tuple[int, int], list[int]] = {}
        self._of: dict[int, tuple[int, int]] = {}
        self.windows = Windows(state)
        """Who sees which memory."""

    def update(self, event: Event) -> None:
        """Take in what ``event`` changed."""
        for change in event.changes:
            name = change.object
            if name.startswith("kcb:") and change.field in ("kctl", "unit"):
                self._client(int(name[4:]))
            elif name.startswith("kctl:") and change.field in ("kctlref", "id"):
                self._control(int(name[5:]), change.field, change.old, change.new)
            elif name.startswith(KINDS):
                self.windows.update(name)

    def _control(self, serial: int, field: str, old: object, new: object) -> None:
        if field == "kctlref":
            if new is None:
                self._refs.pop(old, None)
            else:
                self._refs[new] = serial
            return
        if new is not None:
            self._ids.setdefault(new, []).append(serial)
        elif serial in self._ids.get(old, ()):
            self._ids[old].remove(serial)

    def _client(self, socket: int) -> None:
        before = self._of.pop(socket, None)
        if before is not None:
            self._units[before].remove(socket)
        fields = self.state.get(f"kcb:{socket}")
        if fields is not None and fields["kctl"]:
            key = (cast(int, fields["kctl"]), cast(int, fields["unit"]))
            self._of[socket] = key
            self._units.setdefault(key, []).append(socket)

    # -- controls --------------------------------------------------------------------------

    def serial(self, kctlref: object) -> int:
        """The serial of the control of that reference, 0 if there is none."""
        return self._refs.get(kctlref, 0)

    def control_of(self, kctlref: object) -> str | None:
        """The name of the control of that reference."""
        serial = self.serial(kctlref)
        return self.name(serial) if serial else None

    def name(self, serial: object) -> str:
        """The name of a control."""
        return str(self.state[f"kctl:{serial}"]["name"])

    def control_at(self, ident: int) -> str:
        """The control of that id by name, or ``control id 4``."""
        found = self._ids.get(ident)
        return self.name(found[0]) if found else f"control id {ident}"

    def serial_at(self, ident: int) -> int:
        """The serial of the first control of that id, 0 if there is none."""
        found = self._ids.get(ident)
        return found[0] if found else 0

    def clients(self, serial: int) -> list[int]:
        """The units of a control that have a client, in order."""
        return sorted(unit for (kctl, unit), held in self._units.items() if kctl == serial and held)

    # -- sockets ---------------------------------------------------------------------------

    def socket_of(self, kctlref: object, unit: object) -> int:
        """The number of the socket that has ``unit`` of the control of that reference, or 0."""
        found = self._units.get((self.serial(kctlref), cast(int, unit)))
        return found[0] if found else 0

    def socket_at(self, pid: object, fd: object) -> int:
        """The number of the socket behind a descriptor, 0 if it is not open."""
        fields = self.state.get(f"fd:{pid}:{fd}")
        return cast(int, fields["socket"]) if fields is not None else 0

    def unit(self, socket: int) -> int:
        """The unit of a socket, 0 if it has none."""
        fields = self.state.get(f"kcb:{socket}")
        return cast(int, fields["unit"]) if fields is not None else 0

    def listens(self, socket: int) -> bool:
        """Whether it is an event socket."""
        fields = self.state.get(f"socket:{socket}")
        return fields is not None and fields["so_protocol"] == SYSPROTO_EVENT

    def is_local(self, socket: int) -> bool:
        """Whether it is a socket of AF_UNIX."""
        return f"unp:{socket}" in self.state

    def streams(self, socket: int) -> bool:
        """Whether its queue is a stream of bytes, without records."""
        fields = self.state.get(f"socket:{socket}")
        return fields is not None and fields["so_type"] == 1

    def process(self, pid: object) -> str:
        """A process by name."""
        fields = self.state.get(f"proc:{pid}")
        return str(fields["name"]) if fields is not None else "a process"
