"""The gate of Mach VM: how a process uses memory, and shares it by a port.

A memory entry is the kernel object of a port: whoever has a send right may map it. The entry goes
when its last send right goes, and what is mapped stays. A process gets its address map with its
first call. Touching memory is no call; what may not be touched ends in a signal (``VmFault``).

Read beside it: ``osfmk/vm/vm_user.c``, ``vm_memory_entry.c``, ``bsd/uxkern/ux_exception.c``.

Left out: maps of other tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from kextlab.abi.mach import (
    KERN_INVALID_OBJECT,
    KERN_SUCCESS,
    MACH_MSG_TYPE_COPY_SEND,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_PORT_NULL,
    MACH_SEND_INVALID_RIGHT,
)
from kextlab.kernel.traps import Traps, check_argument, trap
from kextlab.osfmk import ipc_kmsg_body, mach_port
from kextlab.osfmk.ipc_object import object_destroy
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Space
from kextlab.osfmk.memory_entry import NamedEntry, mach_make_memory_entry_64
from kextlab.osfmk.vm_fault import VmFault, copy_steps, may_write, vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_sanitize import unchanging
from kextlab.osfmk.vm_user import (
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_map,
    mach_vm_protect,
    mach_vm_region,
)
from kextlab.trace.codes import SIGNAL, TOUCH

T = TypeVar("T")


class VmTraps(Traps):
    """The memory of one boot's processes."""

    def _map(self, pid: int) -> VmMap:
        """The address map of a process that enters."""
        return self._system.map_of(self._process(pid))

    def _enter_map(self, pid: int, name: str, *args: object) -> tuple[VmMap, Space]:
        map = self._map(pid)
        return map, self._enter(pid, name, *args)

    # -- calls -------------------------------------------------------------------------

    @trap("aai")
    def vm_allocate(self, pid: int, address: int, size: int, flags: int) -> tuple[int, int]:
        """(kr, address). As ``vm_user.mach_vm_allocate``."""
        map, _ = self._enter_map(pid, "mach_vm_allocate", address, size, flags)
        return self._leave(*mach_vm_allocate(map, address, size, flags))

    @trap("aa")
    def vm_deallocate(self, pid: int, address: int, size: int) -> tuple[int, None]:
        """As ``vm_user.mach_vm_deallocate``."""
        map, _ = self._enter_map(pid, "mach_vm_deallocate", address, size)
        return self._leave(mach_vm_deallocate(map, address, size), None)

    @trap("aaii")
    def vm_protect(
        self, pid: int, address: int, size: int, set_maximum: bool, protection: int
    ) -> tuple[int, None]:
        """As ``vm_user.mach_vm_protect``."""
        args = (address, size, set_maximum, protection)
        map, _ = self._enter_map(pid, "mach_vm_protect", *args)
        return self._leave(mach_vm_protect(map, *args), None)

    @trap("a")
    def vm_region(self, pid: int, address: int) -> tuple[int, tuple[int, ...]]:
        """(kr, (address, size, protection, maximum, inheritance, shared, offset)). As
        ``vm_user.mach_vm_region``."""
        map, _ = self._enter_map(pid, "mach_vm_region", address)
        code, start, size, region = mach_vm_region(map, address)
        if region is None:
            return self._leave(code, ())
        most = (region.protection, region.max_protection, region.inheritance)
        return self._leave(code, (start, size, *most, int(region.shared), region.offset))

    @trap("aain")
    def make_memory_entry(
        self, pid: int, size: int, offset: int, permission: int, parent: int
    ) -> tuple[int, tuple[int, int]]:
        """(kr, (size, name of a send right)). As ``mach_make_memory_entry_64``."""
        args = (size, offset, permission, parent)
        map, space = self._enter_map(pid, "mach_make_memory_entry_64", *args)
        code, above = self._object(space, parent)
        if code != KERN_SUCCESS:
            return self._leave(code, (size, MACH_PORT_NULL))
        kobject = above.kobject if above is not None else None
        try:
            code, got, entry = mach_make_memory_entry_64(map, size, offset, permission, kobject)
        finally:
            self._drop(space, above)
        if entry is None:
            return self._leave(code, (got, MACH_PORT_NULL))
        port = self._port_of(entry)
        port.make_send()
        _, name = ipc_kmsg_body.copyout_object(space, port, MACH_MSG_TYPE_PORT_SEND)
        return self._leave(code, (got, name))

    @trap("aaainaiiin")
    def vm_map(
        self,
        pid: int,
        address: int,
        size: int,
        mask: int,
        flags: int,
        name: int,
        offset: int,
        copy: bool,
        current: int,
        maximum: int,
        inheritance: int,
    ) -> tuple[int, int]:
        """(kr, address). As ``vm_user.mach_vm_map``; KERN_INVALID_OBJECT: the port is no memory
        entry; ``name`` MACH_PORT_NULL maps zeros."""
        rest = (offset, copy, current, maximum, inheritance)
        map, space = self._enter_map(pid, "mach_vm_map", address, size, mask, flags, name, *rest)
        code, port = self._object(space, name)
        if code != KERN_SUCCESS:
            return self._leave(code, address)
        entry = port.kobject if port is not None else None
        if port is not None and not isinstance(entry, NamedEntry):
            self._drop(space, port)
            return self._leave(KERN_INVALID_OBJECT, address)
        named = entry if isinstance(entry, NamedEntry) else None
        try:
            answer = mach_vm_map(map, address, size, mask, flags, named, *rest)
        finally:
            self._drop(space, port)
        return self._leave(*answer)

    def _object(self, space: Space, name: int) -> tuple[int, Port | None]:
        """A send right the caller passes along."""
        if name == MACH_PORT_NULL:
            return KERN_SUCCESS, None
        code, thing = mach_port.copyin(space, name, MACH_MSG_TYPE_COPY_SEND)
        if code != KERN_SUCCESS:
            return MACH_SEND_INVALID_RIGHT, None
        return KERN_SUCCESS, thing if isinstance(thing, Port) else None

    def _drop(self, space: Space, port: Port | None) -> None:
        object_destroy(space.ipc, port, MACH_MSG_TYPE_PORT_SEND)

    def _port_of(self, entry: NamedEntry) -> Port:
        """The port whose kernel object an entry is: the one it has, or a new one."""
        if entry.port is None:
            ipc = self._system.ipc
            entry.port = Port(ipc, ipc.kernel, MACH_PORT_NULL, entry)
        else:
            entry.release()  # the reference of this call; the port has one
        return entry.port

    # -- touching ----------------------------------------------------------------------

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Read memory. VmFault: after the signal was sent."""
        process = self.running.get(pid)
        if process is not None and process.map is not None:
            page = process.map.pmap.page(address, size, False)
            if page is not None:
                at = address & process.map.mask
                return page.data[at : at + size].tobytes()
        check_argument("size", "a", size)
        return self._touch("load", pid, vm_read, address, size)

    def write(self, pid: int, address: int, data: bytes) -> None:
        """Write memory. VmFault: after the signal was sent. TypeError: no bytes."""
        if data.__class__ is not bytes:
            data = unchanging(data)
        process = self.running.get(pid)
        if process is not None and process.map is not None:
            page = process.map.pmap.page(address, len(data), True)
            if page is not None:
                if self._rec is not None:
                    self._rec((TOUCH, pid, "write", address, len(data), 0))
                page.write(address & process.map.mask, data)
                return

        def store(map: VmMap, address: int, data: bytes) -> None:
            self._writes(map, pid, address, len(data), 0)
            vm_write(map, address, data)

        self._touch("store", pid, store, address, data)

    def write_in_words(self, pid: int, address: int, data: bytes, word: int = 8) -> None:
        """Write word by word, and let others in between two words: a torn update shows. VmFault:
        after the signal was sent. TypeError: no bytes."""
        data = unchanging(data)

        def in_words(map: VmMap, address: int, data: bytes, word: int) -> None:
            told = partial(self._writes, map, pid)
            self._system.tasks.drive(copy_steps(map, address, data, word, told))

        self._touch("store_words", pid, in_words, address, data, word)

    def _writes(self, map: VmMap, pid: int, at: int, count: int, left: int) -> None:
        """A process is about to write ``count`` bytes, and ``left`` more of the same write."""
        if self._rec is not None and count and may_write(map, at):
            self._rec((TOUCH, pid, "write", at, count, left))

    def _touch(self, what: str, pid: int, touch: Callable[..., T], address: int, *args: Any) -> T:
        """A process touches its memory: what it may not do ends in a signal. It is no call, so the
        journal is told if it left a trace."""
        check_argument("address", "a", address)
        start = self._system.trace.mark()
        try:
            process = self._process(pid)
            self._check_alive(process)
            return touch(self._system.map_of(process), address, *args)
        except VmFault as fault:
            if self._rec is not None:
                self._rec((TOUCH, pid, fault.access, fault.address, 0, 0))
                self._rec((SIGNAL, pid, fault.signal))
            raise
        finally:
            self._system.journal.noted(start, "touch", what, pid, address, *args)

    # -- the end of a process ----------------------------------------------------------

    def terminate(self, pid: int) -> None:
        """The memory of a process goes."""
        process = self._system.processes[pid]
        if process.map is not None:
            process.map.terminate()
            process.map = None
