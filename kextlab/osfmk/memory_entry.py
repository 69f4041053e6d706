"""Memory entries: memory as something a port stands for, so that it can be sent in a message.

``mach_make_memory_entry_64`` makes one of a range of the caller's memory, of a copy of it, or of
new memory; whoever gets the right maps it with ``mach_vm_map`` (``kextlab.osfmk.vm_user``). The
port's kernel object is the ``NamedEntry``: it lives as long as somebody holds it, and what was
mapped from it lives on without it.

Models ``osfmk/vm/vm_memory_entry.c``. No recording shows any of it.

Left out: purging, ownership and ledgers, pagers, submaps, page and range operations.
"""

from __future__ import annotations

from typing import Final

from kextlab.abi.mach import (
    ANON_MAX_SIZE,
    KERN_FAILURE,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_RIGHT,
    KERN_INVALID_TASK,
    KERN_INVALID_VALUE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_4K_DATA_ADDR,
    MAP_MEM_FLAGS_MASK,
    MAP_MEM_FLAGS_USER,
    MAP_MEM_LEDGER_TAGGED,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_NAMED_REUSE,
    MAP_MEM_NOOP,
    MAP_MEM_ONLY,
    MAP_MEM_PURGABLE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_PROT_ALL,
    VM_PROT_IS_MASK,
    VM_PROT_WRITE,
)
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_map_copy import VmMapCopy, associate_vm_object, copyin, extract
from kextlab.osfmk.vm_object import DELAY, NONE, Tracked, Vm, VmObject
from kextlab.osfmk.vm_sanitize import (
    round_page,
    sanitize_addr_size,
    sanitize_size,
    trunc_page,
    u64,
)

FOURK_MASK: Final = 0xFFF
_DATA_ADDR = MAP_MEM_USE_DATA_ADDR | MAP_MEM_4K_DATA_ADDR


class NamedEntry(Tracked):
    """``struct vm_named_entry``: what stands behind the port of a memory entry.

    Attributes:
        refs: how many hold it: one for the port's send rights together, and each caller's own.
        size: bytes, whole pages.
        offset: where it begins in its object.
        data_offset: where the data begins in its first page (MAP_MEM_USE_DATA_ADDR).
        protection: the most a mapping of it may have.
        access: how processors cache it, a number of MAP_MEM_ONLY.
        is_object: it is one object's memory; otherwise (``is_copy``) a list of entries, which can
            be mapped only whole.
        backing: the entries.
        port: the port it is the kernel object of, once it has one.
    """

    KIND = "memory_entry"
    FIELDS = (
        "refs",
        "size",
        "offset",
        "data_offset",
        "protection",
        "access",
        "is_object",
        "is_copy",
        "backing",
    )

    def __init__(
        self,
        backing: VmMapCopy,
        size: int,
        protection: int,
        *,
        offset: int = 0,
        data_offset: int = 0,
        access: int = MAP_MEM_NOOP,
        is_object: bool = False,
    ) -> None:
        """``mach_memory_entry_allocate``: with one reference, the caller's."""
        super().__init__(backing.vm)
        self.refs = 1
        self.size = size
        self.offset = offset
        self.data_offset = data_offset
        self.protection = protection
        self.access = access
        self.is_object = is_object
        self.backing = backing
        self.port: Port | None = None
        self.born()

    @property
    def is_copy(self) -> bool:
        """A list of entries, made by MAP_MEM_VM_COPY or MAP_MEM_VM_SHARE."""
        return not self.is_object

    @property
    def vm_object(self) -> VmObject:
        """``vm_named_entry_to_vm_object``: of one that is an object."""
        return self.backing.entries[0].materialize()

    @property
    def size_out(self) -> int:
        """What the caller is told: from the data to the end."""
        return self.size - self.data_offset

    def retain(self) -> NamedEntry:
        """One more holds it.

        Raises:
            ValueError: it is destroyed.
        """
        self._alive()
        self.put(refs=self.refs + 1)
        return self

    def release(self) -> None:
        """One holds it no longer; nobody: it is destroyed (``mach_destroy_memory_entry``).

        Raises:
            ValueError: it is destroyed.
        """
        self._alive()
        with self.vm.together():
            self.put(refs=self.refs - 1)
            if self.refs == 0:
                self.gone()
                self.backing.discard()

    def no_senders(self, port: Port) -> None:
        """Nobody can map it any more: its port goes, and the reference that had."""
        self.port = port.kobject = None
        port.active = False
        port.ipc.dismiss(port)
        self.release()

    def _alive(self) -> None:
        if self.refs == 0:
            raise ValueError(f"{self.name} is destroyed: its last reference was released")


Made = tuple[int, int, NamedEntry | None]
"""Code, size, entry: what ``mach_make_memory_entry_64`` answers."""


def mach_make_memory_entry_64(
    map: VmMap | None, size: int, offset: int, permission: int, parent: object = None
) -> Made:
    """Make a memory entry of ``size`` bytes at address ``offset`` of a map.

    ``permission`` is VM_PROT_* and MAP_MEM_* together, ``parent`` the kernel object of the port
    passed as parent_entry (anything that is no memory entry counts as none). The start is
    truncated, the end rounded to whole pages. Returns a code, the size of the entry from its data
    on, and the entry with a reference for the caller; a refused call hands back the size it got and
    no entry, as a process sees it.

    Without MAP_MEM_VM_SHARE and MAP_MEM_VM_COPY only what the first map entry shows is taken, so
    the size may come back smaller.

    Errors: KERN_INVALID_VALUE (an unknown MAP_MEM flag); KERN_INVALID_ARGUMENT (a parent that is a
    copy, a range that wraps around or is empty, a flag that does not go with this kind);
    KERN_INVALID_TASK (no map); KERN_INVALID_ADDRESS (not mapped); KERN_PROTECTION_FAILURE (more
    than the memory, or the parent, allows); KERN_INVALID_RIGHT (MAP_MEM_ONLY on a parent that
    cannot be written); KERN_FAILURE (new memory of more than 4 GB).

    Raises:
        NotImplementedError: memory ledgers; new memory without a map; a reserved range.
        ValueError: a number that C's types do not hold.
    """
    u64("size", size)
    u64("offset", offset)
    if permission & MAP_MEM_FLAGS_MASK & ~MAP_MEM_FLAGS_USER:
        return KERN_INVALID_VALUE, size, None
    above = parent if isinstance(parent, NamedEntry) else None
    if above is not None and above.is_copy:
        return KERN_INVALID_ARGUMENT, size, None
    if permission & MAP_MEM_ONLY:
        return _only(map, size, offset, permission, above), size, None
    if permission & MAP_MEM_NAMED_CREATE:
        code, entry = _named_create(map, size, offset, permission)
    elif permission & MAP_MEM_VM_COPY:
        code, entry = _copy(map, size, offset, permission)
    elif permission & (MAP_MEM_VM_SHARE | MAP_MEM_NAMED_REUSE) or above is None:
        code, entry = _share(map, size, offset, permission, above)
    else:
        code, entry = _from_parent(map, size, offset, permission, above)
    if entry is None:
        return code, 0 if code == KERN_SUCCESS else size, None
    return code, entry.size_out, entry


def _access(permission: int) -> int:
    """GET_MAP_MEM: how processors are to cache it."""
    return permission >> 24 & 0xFF


def _mask(map: VmMap | None) -> int:
    return FOURK_MASK if map is None else map.mask


def _offset_in_page(permission: int, offset: int, start: int) -> int:
    """Where the data begins, if the caller wants to find it there."""
    if permission & MAP_MEM_4K_DATA_ADDR:
        return (offset - start) & ~FOURK_MASK
    return offset - start if permission & MAP_MEM_USE_DATA_ADDR else 0


def _only(
    map: VmMap | None, size: int, offset: int, permission: int, parent: NamedEntry | None
) -> int:
    """``mach_make_memory_entry_mem_only``: change how the parent's memory is cached."""
    code, _, _ = sanitize_addr_size(offset, size, _mask(map))
    if code != KERN_SUCCESS:
        return code
    if permission & _DATA_ADDR or parent is None:
        return KERN_INVALID_ARGUMENT
    access = _access(permission)
    if access != parent.access and not parent.protection & VM_PROT_WRITE:
        return KERN_INVALID_RIGHT
    if access != MAP_MEM_NOOP:
        parent.put(access=access)
    return KERN_SUCCESS


def _named_create(
    map: VmMap | None, size: int, offset: int, permission: int
) -> tuple[int, NamedEntry | None]:
    """``mach_make_memory_entry_named_create``: new memory nobody has mapped yet."""
    if size == 0:
        return KERN_SUCCESS, None
    code, start, end = sanitize_addr_size(offset, size, _mask(map))
    if code != KERN_SUCCESS:
        return code, None
    if permission & _DATA_ADDR:
        return KERN_INVALID_ARGUMENT, None
    if end - start > ANON_MAX_SIZE:
        return KERN_FAILURE, None
    if permission & MAP_MEM_PURGABLE and not permission & VM_PROT_WRITE:
        return KERN_INVALID_ARGUMENT, None
    if permission & MAP_MEM_LEDGER_TAGGED:
        raise NotImplementedError("MAP_MEM_LEDGER_TAGGED: memory ledgers are not modelled")
    if map is None:
        raise NotImplementedError("MAP_MEM_NAMED_CREATE without a map is not modelled")
    with map.vm.together():
        purgable = bool(permission & MAP_MEM_PURGABLE)
        object = VmObject(map.vm, end - start, NONE, true_share=True, purgable=purgable)
        protection = permission & VM_PROT_ALL
        backing = associate_vm_object(map.vm, object, 0, end - start, protection)
        return KERN_SUCCESS, NamedEntry(
            backing, end - start, protection, access=_access(permission), is_object=True
        )


def _range(map: VmMap | None, size: int, offset: int) -> tuple[int, VmMap | None, int, int]:
    """What copying and sharing check first: code, the map, the whole pages."""
    if size == 0:
        return KERN_INVALID_ARGUMENT, None, 0, 0
    code, start, end = sanitize_addr_size(offset, size, _mask(map))
    if code == KERN_SUCCESS and map is None:
        code = KERN_INVALID_TASK
    return code, map if code == KERN_SUCCESS else None, start, end


def _copy(
    map: VmMap | None, size: int, offset: int, permission: int
) -> tuple[int, NamedEntry | None]:
    """``mach_make_memory_entry_copy``: what the range holds now, copied lazily."""
    code, found, start, end = _range(map, size, offset)
    if found is None:
        return code, None
    with found.vm.together():
        code, copy = copyin(found, start, end)
        if copy is None:
            return code, None
        data_offset = _offset_in_page(permission, offset, start)
        protection = permission & VM_PROT_ALL
        return code, NamedEntry(copy, end - start, protection, data_offset=data_offset)


def _share(
    map: VmMap | None, size: int, offset: int, permission: int, parent: NamedEntry | None
) -> tuple[int, NamedEntry | None]:
    """``mach_make_memory_entry_share``: the range itself, or as much of it as is one object."""
    code, found, start, end = _range(map, size, offset)
    if found is None:
        return code, None
    single = not permission & MAP_MEM_VM_SHARE
    is_mask = bool(permission & VM_PROT_IS_MASK)
    with found.vm.together():
        code, copy, protection = extract(
            found, start, end, permission & VM_PROT_ALL, mask=is_mask, single=single
        )
        if copy is None:
            return code, None
        data_offset = _offset_in_page(permission, offset, start)
        if not single:
            return code, NamedEntry(copy, end - start, protection, data_offset=data_offset)
        reuse = parent if permission & MAP_MEM_NAMED_REUSE else None
        if reuse is not None and _same(reuse, copy, data_offset):
            copy.discard()
            return code, reuse.retain()
        return code, NamedEntry(
            copy,
            copy.size,
            protection,
            offset=copy.entries[0].offset,
            data_offset=data_offset,
            access=_access(permission),
            is_object=True,
        )


def _same(parent: NamedEntry, copy: VmMapCopy, data_offset: int) -> bool:
    """Is the parent just what would be made? (MAP_MEM_NAMED_REUSE)"""
    mine, its = copy.entries[0], parent.backing.entries[0]
    return (
        (mine.object, mine.offset) == (its.object, its.offset)
        and parent.offset == 0
        and (parent.size, parent.data_offset) == (copy.size, data_offset)
    )


def _from_parent(
    map: VmMap | None, size: int, offset: int, permission: int, parent: NamedEntry
) -> tuple[int, NamedEntry | None]:
    """``mach_make_memory_entry_from_parent_entry``: a part of what another entry covers; ``offset``
    counts from there."""
    mask = parent.vm.page_mask
    if permission & _DATA_ADDR:
        offset += parent.data_offset
    code, _, _ = sanitize_addr_size(offset, size, mask)
    start, end = trunc_page(offset, mask), round_page(offset + size, mask)
    if code != KERN_SUCCESS or end < start or end > parent.size:
        return KERN_INVALID_ARGUMENT, None
    protection = permission & VM_PROT_ALL
    if permission & VM_PROT_IS_MASK:
        protection &= parent.protection
    if protection & ~parent.protection:
        return KERN_PROTECTION_FAILURE, None
    with parent.vm.together():
        object = parent.vm_object.reference()
        begin = parent.offset + start
        backing = associate_vm_object(parent.vm, object, begin, end - start, protection)
        object.put(true_share=True)
        return KERN_SUCCESS, NamedEntry(
            backing,
            end - start,
            protection,
            offset=begin,
            data_offset=_offset_in_page(permission, offset, start),
            access=_access(permission),
            is_object=True,
        )


def mach_memory_object_memory_entry_64(
    vm: Vm, internal: bool, size: int, permission: int, pager: object = None
) -> tuple[int, NamedEntry | None]:
    """Make a memory entry of new memory; a code, and the entry with a reference for the caller.

    Errors: KERN_INVALID_ARGUMENT (size 0 or wrapping around when rounded; neither internal nor a
    pager).

    Raises:
        NotImplementedError: a pager.
        ValueError: a size that C's uint64_t does not hold.
    """
    code, size = sanitize_size(u64("size", size), vm.page_mask)
    if code != KERN_SUCCESS:
        return code, None
    if pager is not None:
        raise NotImplementedError("memory of a pager is not modelled")
    if not internal:
        return KERN_INVALID_ARGUMENT, None
    with vm.together():
        protection = permission & VM_PROT_ALL
        backing = associate_vm_object(vm, VmObject(vm, size, DELAY), 0, size, protection)
        return code, NamedEntry(
            backing, size, protection, access=_access(permission), is_object=True
        )
