"""The calls on a task's memory: ``mach_vm_allocate`` and its family, ``mach_vm_map``.

Each takes the task's map and answers a kern_return_t, with what C would write through pointers
behind it; a refused call hands back the address it got. A null map is None.

Models ``osfmk/vm/vm_user.c`` and ``vm_map_enter_mem_object``, ``vm_map_region`` of
``osfmk/vm/vm_map.c``. No recording shows any of it.

Left out: ``mach_vm_read``, ``mach_vm_write``, ``mach_vm_copy``, ``mach_vm_remap``,
``mach_vm_inherit``, wiring, purging, behaviour; what fork does with inheritance.
"""

from __future__ import annotations

from dataclasses import dataclass

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_OBJECT,
    KERN_INVALID_RIGHT,
    KERN_SUCCESS,
    VM_FLAGS_ALIAS_MASK,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_RETURN_4K_DATA_ADDR,
    VM_FLAGS_RETURN_DATA_ADDR,
    VM_FLAGS_USER_ALLOCATE,
    VM_FLAGS_USER_MAP,
    VM_INHERIT_DEFAULT,
    VM_PROT_ALL,
    VM_PROT_COPY,
    VM_PROT_DEFAULT,
    VM_PROT_IS_MASK,
)
from kextlab.osfmk.memory_entry import FOURK_MASK, NamedEntry
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import SYMMETRIC
from kextlab.osfmk.vm_sanitize import (
    U64,
    round_page,
    sanitize_addr_size,
    sanitize_inherit,
    sanitize_prot,
    sanitize_size,
    trunc_page,
    u64,
)

_DATA_ADDR = VM_FLAGS_RETURN_DATA_ADDR | VM_FLAGS_RETURN_4K_DATA_ADDR
_COPY_FLAGS = VM_FLAGS_ANYWHERE | VM_FLAGS_OVERWRITE | _DATA_ADDR | VM_FLAGS_ALIAS_MASK
"""The flags with which a list of entries can be mapped."""


@dataclass(frozen=True, slots=True)
class Region:
    """``vm_region_basic_info_data_64_t``: what is to be known of a region, and its tag
    (``user_tag`` of ``mach_vm_region_recurse``)."""

    protection: int
    max_protection: int
    inheritance: int
    shared: bool
    offset: int
    user_tag: int


def mach_vm_allocate(map: VmMap | None, address: int, size: int, flags: int) -> tuple[int, int]:
    """Zeros, to be read and written: anywhere, or with VM_FLAGS_FIXED in the pages of ``address``.

    Nothing is made before it is touched. A size of 0 succeeds, at address 0. Errors:
    KERN_INVALID_ARGUMENT (unknown flags, no map, a size that wraps around when rounded),
    KERN_INVALID_ADDRESS (a fixed range outside of the map), KERN_NO_SPACE.

    Raises:
        NotImplementedError: flags that are not modelled.
        ValueError: a number that C's types do not hold.
    """
    u64("address", address)
    u64("size", size)
    if flags & ~VM_FLAGS_USER_ALLOCATE or map is None:
        return KERN_INVALID_ARGUMENT, address
    if size == 0:
        return KERN_SUCCESS, 0
    code, rounded = sanitize_size(size, map.mask)
    if code != KERN_SUCCESS:
        return code, address
    start = 0
    if not flags & VM_FLAGS_ANYWHERE:
        start = trunc_page(address, map.mask)
        if start + size > U64 or round_page(start + size, map.mask) <= start:
            return KERN_INVALID_ADDRESS, address
    code, start = map.locate_space(start, rounded, 0, flags, VM_PROT_DEFAULT)
    if code != KERN_SUCCESS:
        return code, address
    with map.vm.together():
        prots = (VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT)
        map.enter(start, rounded, flags, None, 0, prots)
    return KERN_SUCCESS, start


def mach_vm_deallocate(map: VmMap | None, start: int, size: int) -> int:
    """Nothing is mapped in these pages any more; pages that were not mapped are no error.

    Errors: KERN_INVALID_ARGUMENT (no map, a range that wraps around).

    Raises:
        ValueError: a number that C's types do not hold.
    """
    u64("start", start)
    u64("size", size)
    if map is None:
        return KERN_INVALID_ARGUMENT
    code, first, end = sanitize_addr_size(start, size, map.mask)
    if code == KERN_SUCCESS:
        with map.vm.together():
            map.delete(first, end)
    return code


def mach_vm_protect(
    map: VmMap | None, start: int, size: int, set_maximum: bool, new_protection: int
) -> int:
    """Set the protection of pages, or their maximum; all of them or none.

    Errors: KERN_INVALID_ARGUMENT (no map, unknown protections, a range that wraps around),
    KERN_INVALID_ADDRESS (a page that is not mapped), KERN_PROTECTION_FAILURE (beyond the maximum).

    Raises:
        NotImplementedError: VM_PROT_COPY; writable and executable memory.
        ValueError: a number that C's types do not hold.
    """
    u64("start", start)
    u64("size", size)
    if map is None or sanitize_prot(new_protection, VM_PROT_COPY) != KERN_SUCCESS:
        return KERN_INVALID_ARGUMENT
    if size == 0:
        return KERN_SUCCESS
    code, first, end = sanitize_addr_size(start, size, map.mask)
    if code != KERN_SUCCESS:
        wraps = start + size > U64
        return code if wraps else KERN_INVALID_ADDRESS
    if new_protection & VM_PROT_COPY:
        raise NotImplementedError("VM_PROT_COPY is not modelled")
    with map.vm.together():
        return map.protect(first, end, new_protection, set_max=set_maximum)


def mach_vm_region(map: VmMap | None, address: int) -> tuple[int, int, int, Region | None]:
    """The region an address is in, or the next one above: code, address, size, what it is.

    Errors: KERN_INVALID_ARGUMENT (no map), KERN_INVALID_ADDRESS (nothing is mapped from there on).
    """
    if map is None:
        return KERN_INVALID_ARGUMENT, address, 0, None
    entry = map.next_region(address)
    if entry is None:
        return KERN_INVALID_ADDRESS, address, 0, None
    region = Region(
        entry.protection,
        entry.max_protection,
        entry.inheritance,
        entry.is_shared,
        entry.offset,
        entry.tag,
    )
    return KERN_SUCCESS, entry.start, entry.size, region


def mach_vm_map(
    map: VmMap | None,
    address: int,
    size: int,
    mask: int,
    flags: int,
    entry: object,
    offset: int,
    copy: bool,
    cur_protection: int,
    max_protection: int,
    inheritance: int,
) -> tuple[int, int]:
    """Map a memory entry, shared or (``copy``) as a private copy made lazily; or zeros.

    ``entry`` is the kernel object of the port passed as object: None (a null port) for zeros.
    ``address`` is where to look first with VM_FLAGS_ANYWHERE, else where to map; ``mask`` has the
    low bits the address must not have. An entry of MAP_MEM_VM_COPY or MAP_MEM_VM_SHARE is mapped
    whole, whatever size is asked for. Returns a code and the address.

    Errors: KERN_INVALID_ARGUMENT (unknown flags, protections or inheritance, no map, size 0, a
    range that wraps around, more than the entry covers, an offset that is no whole page),
    KERN_INVALID_OBJECT (the port stands for no memory entry), KERN_INVALID_RIGHT (more protection
    than the entry has), KERN_INVALID_ADDRESS (a fixed range outside of the map), KERN_NO_SPACE.

    Raises:
        NotImplementedError: flags and protections that are not modelled.
        ValueError: a number that C's types do not hold.
    """
    for name, value in (("address", address), ("size", size), ("mask", mask), ("offset", offset)):
        u64(name, value)
    if flags & ~VM_FLAGS_USER_MAP or map is None:
        return KERN_INVALID_ARGUMENT, address
    checks = (
        sanitize_prot(cur_protection, VM_PROT_IS_MASK),
        sanitize_prot(max_protection, VM_PROT_IS_MASK),
        sanitize_inherit(inheritance),
    )
    if any(checks):
        return KERN_INVALID_ARGUMENT, address
    if cur_protection & ~max_protection & VM_PROT_ALL:
        cur_protection &= max_protection  # once allowed, so it is cut down
    start = trunc_page(address, map.mask)
    at = 0 if flags & VM_FLAGS_ANYWHERE else start
    code, rounded = sanitize_size(size, map.mask)
    if code == KERN_SUCCESS:
        code, _, end = sanitize_addr_size(at, size, map.mask)
        rounded = end - at
    if code == KERN_SUCCESS and entry is not None:
        code, _, _ = sanitize_addr_size(offset, rounded, map.mask)
    if code != KERN_SUCCESS:
        return code, address
    request = _Request(
        map,
        start,
        size,
        rounded,
        mask,
        flags,
        copy,
        cur_protection & ~VM_PROT_IS_MASK,
        max_protection & ~VM_PROT_IS_MASK,
        inheritance,
    )
    if entry is None:
        code, start = request.anonymous()
    elif not isinstance(entry, NamedEntry):
        return KERN_INVALID_OBJECT, address
    else:
        if cur_protection & VM_PROT_IS_MASK:
            request.cur &= entry.protection
        if max_protection & VM_PROT_IS_MASK:
            request.max &= entry.protection
        code, start = request.named(entry, offset)
    return code, start if code == KERN_SUCCESS else address


@dataclass(slots=True)
class _Request:
    """The rest of ``vm_map_enter_mem_object``, once the arguments are sane."""

    map: VmMap
    start: int
    size: int
    rounded: int
    mask: int
    flags: int
    copy: bool
    cur: int
    max: int
    inheritance: int

    @property
    def prots(self) -> tuple[int, int, int]:
        return self.cur, self.max, self.inheritance

    def locate(self, size: int) -> tuple[int, int]:
        return self.map.locate_space(self.start, size, self.mask, self.flags, self.cur)

    def anonymous(self) -> tuple[int, int]:
        """Zeros."""
        code, start = self.locate(self.rounded)
        if code == KERN_SUCCESS:
            with self.map.vm.together():
                self.map.enter(start, self.rounded, self.flags, None, 0, self.prots)
        return code, start

    def named(self, entry: NamedEntry, offset: int) -> tuple[int, int]:
        """A memory entry, from ``offset`` on."""
        if self.flags & _DATA_ADDR:
            offset += entry.data_offset
            end = offset + self.rounded
            if end > U64 or round_page(end, self.map.mask) == 0:
                return KERN_INVALID_ARGUMENT, 0
        if (self.max | self.cur) & ~entry.protection:
            return KERN_INVALID_RIGHT, 0
        if entry.size < offset + self.size:
            return KERN_INVALID_ARGUMENT, 0
        offset += entry.offset
        if entry.is_copy:
            return self._whole(entry, self._in_mapping(offset))
        return self._object(entry, offset)

    def _in_mapping(self, offset: int) -> int:
        """Where the data begins in its page, if the caller wants to find it there."""
        if self.flags & VM_FLAGS_RETURN_4K_DATA_ADDR:
            return offset & self.map.mask & ~FOURK_MASK
        return offset & self.map.mask if self.flags & VM_FLAGS_RETURN_DATA_ADDR else 0

    def _whole(self, entry: NamedEntry, in_mapping: int) -> tuple[int, int]:
        """All entries of a list, one behind the other."""
        if self.flags & ~_COPY_FLAGS:
            return KERN_INVALID_ARGUMENT, 0
        code, start = self.locate(entry.backing.size)
        if code != KERN_SUCCESS:
            return code, 0
        tag = (self.flags & VM_FLAGS_ALIAS_MASK) >> 24
        with self.map.vm.together():
            self.map.delete(start, start + entry.backing.size)
            for part in entry.backing.entries:
                object, offset, needs_copy = part.object, part.offset, part.needs_copy
                if object is not None and self.copy:
                    object, offset, _, _ = object.copy_lazily(offset, part.size)
                    needs_copy = True
                elif object is not None:
                    if object.copy_strategy == SYMMETRIC:  # the copy must be made now
                        part.put_shadow()
                        part.put(is_shared=True)
                        part.materialize().make_shareable()
                    object, offset, needs_copy = part.materialize().reference(), part.offset, False
                self.map.enter(
                    start + part.start,
                    part.size,
                    self.flags,
                    object,
                    offset,
                    self.prots,
                    needs_copy=needs_copy,
                    tag=tag or part.tag,
                )
        return KERN_SUCCESS, start + in_mapping

    def _object(self, entry: NamedEntry, offset: int) -> tuple[int, int]:
        """A window onto one object."""
        in_mapping = self._in_mapping(offset)
        size = self.rounded
        if self.flags & _DATA_ADDR:
            offset -= in_mapping
            size = round_page(self.size + in_mapping, self.map.mask)
        if offset & self.map.mask:
            return KERN_INVALID_ARGUMENT, 0
        code, start = self.locate(size)
        if code != KERN_SUCCESS:
            return code, 0
        with self.map.vm.together():
            object, needs_copy = entry.vm_object, False
            if self.copy:
                object, offset, _, needs_copy = object.copy_lazily(offset, size)
            else:
                object.reference()
            self.map.enter(
                start, size, self.flags, object, offset, self.prots, needs_copy=needs_copy
            )
        return KERN_SUCCESS, start + in_mapping
