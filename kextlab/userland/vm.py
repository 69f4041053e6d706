"""The memory half of a process's ``mach`` module, with C's names.

    address = mach.mach_vm_allocate(0x4000, mach.VM_FLAGS_ANYWHERE)
    size, entry = mach.mach_make_memory_entry_64(0x4000, address, mach.VM_PROT_DEFAULT)
    mach.store(address, b"seen by whoever maps it")

``entry`` is the name of a send right: send it in a message, and whoever gets it can
``mach_vm_map`` the same pages. Where C dereferences a pointer there are ``load`` and ``store``;
what may not be touched raises ``VmFault``, after the process got its signal.

Read beside it: ``osfmk/mach/mach_vm.defs``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kextlab.abi.mach import KERN_SUCCESS, MACH_PORT_NULL, SIZEOF_NAME, VM_FLAGS_ANYWHERE
from kextlab.kernel.traps import check_argument
from kextlab.kernel.vm_traps import VmTraps
from kextlab.userland.mach_error import MachError

if TYPE_CHECKING:
    from kextlab.userland.process import App

T = TypeVar("T")


class VmRegion(NamedTuple):
    """``vm_region_basic_info_64`` with where it lies. Bytes; ``shared`` is 0 or 1."""

    address: int
    size: int
    protection: int
    max_protection: int
    inheritance: int
    shared: int
    offset: int


class MachVm:
    """The memory of one process."""

    def __init__(self, app: App, traps: VmTraps) -> None:
        self._app = app
        self._traps = traps
        self._pid = app.pid
        self._running = traps.running

    def _ok(self, call: str, answer: tuple[int, T]) -> T:
        code, value = answer
        if code != KERN_SUCCESS:
            raise MachError(code, call)
        return value

    def mach_vm_allocate(self, size: int, flags: int = VM_FLAGS_ANYWHERE, address: int = 0) -> int:
        """Zeros, anywhere or (VM_FLAGS_FIXED) at ``address``; their address."""
        self._app.check()
        answer = self._traps.vm_allocate(self._app.pid, address, size, flags)
        return self._ok("mach_vm_allocate", answer)

    def mach_vm_deallocate(self, address: int, size: int) -> None:
        """The pages of a range go."""
        self._app.check()
        self._ok("mach_vm_deallocate", self._traps.vm_deallocate(self._app.pid, address, size))

    def mach_vm_protect(
        self, address: int, size: int, set_maximum: bool, new_protection: int
    ) -> None:
        """Change what may be done with a range, or (``set_maximum``) what may ever be."""
        self._app.check()
        answer = self._traps.vm_protect(self._app.pid, address, size, set_maximum, new_protection)
        self._ok("mach_vm_protect", answer)

    def mach_vm_region(self, address: int) -> VmRegion:
        """The region at or above an address."""
        self._app.check()
        return VmRegion(*self._ok("mach_vm_region", self._traps.vm_region(self._app.pid, address)))

    def mach_make_memory_entry_64(
        self, size: int, offset: int, permission: int, parent_entry: int = MACH_PORT_NULL
    ) -> tuple[int, int]:
        """(size, name of a send right) for the memory at address ``offset``. Mind the size that
        comes back: it may be smaller."""
        self._app.check()
        answer = self._traps.make_memory_entry(
            self._app.pid, size, offset, permission, parent_entry
        )
        return self._ok("mach_make_memory_entry_64", answer)

    def mach_vm_map(
        self,
        address: int,
        size: int,
        mask: int,
        flags: int,
        object: int,
        offset: int,
        copy: bool,
        cur_protection: int,
        max_protection: int,
        inheritance: int,
    ) -> int:
        """Map a memory entry (MACH_PORT_NULL: zeros), shared or (``copy``) as a private copy; the
        address."""
        self._app.check()
        answer = self._traps.vm_map(
            self._app.pid,
            address,
            size,
            mask,
            flags,
            object,
            offset,
            copy,
            cur_protection,
            max_protection,
            inheritance,
        )
        return self._ok("mach_vm_map", answer)

    def load(self, address: int, size: int) -> bytes:
        """Read memory. VmFault: it may not be touched."""
        if self._pid not in self._running:  # a processor's step: whoever is there needs no more
            self._app.check()
        return self._traps.read(self._pid, address, size)

    def store(self, address: int, data: bytes) -> None:
        """Write memory, at once. VmFault: it may not be touched; what lies before is written."""
        if self._pid not in self._running:
            self._app.check()
        self._traps.write(self._pid, address, data)

    def store_words(self, address: int, data: bytes, word: int = 8) -> None:
        """Write memory word by word, as a processor does: others may run in between."""
        self._app.check()
        self._traps.write_in_words(self._app.pid, address, data, word)

    def load_names(self, address: int, count: int) -> list[int]:
        """Read an array of port names, as it came in a message. VmFault."""
        return list(struct.unpack(f"<{count}I", self.load(address, count * SIZEOF_NAME)))

    def store_names(self, address: int, names: Sequence[int]) -> None:
        """Write an array of port names, 4 bytes each. VmFault; ValueError, TypeError: no name."""
        for at, name in enumerate(names):
            check_argument(f"names[{at}]", "n", name)
        self.store(address, struct.pack(f"<{len(names)}I", *names))
