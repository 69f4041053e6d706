"""Who sees which memory: the windows of all processes on memory objects, found at once.

Reads the changes of events as the fold hands them out. A window is an entry of a process's map
(``vm_entry``) or a mapping of IOKit (``io_map``); what it shows is a memory object (``vm_object``)
or a block of IOKit (``io_mem``). Entries of copies are no windows.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from kextlab.trace.fold import State

KINDS = ("vm_entry:", "io_map:")
"""What names of windows begin with."""


class Window(NamedTuple):
    """A piece of a process's memory: bytes from ``start`` on, and the object behind them.

    ``object`` is the object's name in the trace, "" for zeros nobody has touched; ``copied`` says
    that the first write will make a copy; ``prot`` are bits of VM_PROT.
    """

    pid: int
    start: int
    size: int
    object: str
    offset: int
    prot: int
    most: int
    copied: bool
    shared: bool


def window_of(state: State, name: str) -> Window | None:
    """A window by its name in the trace; ``None``: there is none of that name."""
    fields = state.get(name)
    if fields is None:
        return None
    if name.startswith("io_map:"):
        prot = 3 if fields["writable"] else 1
        start, size = cast(int, fields["address"]), cast(int, fields["length"])
        of = f"io_mem:{fields['memory']}"
        return Window(cast(int, fields["pid"]), start, size, of, 0, prot, prot, False, True)
    map_ = state.get(cast(str, fields["of"]), {})
    task = cast(str, map_.get("task", ""))
    if not task:
        return None
    start = cast(int, fields["start"])
    return Window(
        int(task.partition(":")[2]),
        start,
        cast(int, fields["end"]) - start,
        cast(str, fields["object"]),
        cast(int, fields["offset"]),
        cast(int, fields["protection"]),
        cast(int, fields["max_protection"]),
        cast(bool, fields["needs_copy"]),
        cast(bool, fields["is_shared"]),
    )


class Windows:
    """The windows there are, by name; ``state`` is the live state of a fold."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.all: dict[str, Window] = {}

    def update(self, name: str) -> None:
        """A window may have changed."""
        found = window_of(self.state, name)
        if found is None:
            self.all.pop(name, None)
        else:
            self.all[name] = found

    def at(self, pid: int, address: int) -> Window | None:
        """The window of a process an address is in."""
        for one in self.all.values():
            if one.pid == pid and one.start <= address < one.start + one.size:
                return one
        return None

    def others(self, seen: Window) -> list[Window]:
        """Windows of other processes on the same memory, by process and address."""
        found = [w for w in self.all.values() if w.object == seen.object and w.pid != seen.pid]
        return sorted(found) if seen.object else []
