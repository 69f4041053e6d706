"""Address maps: what a task sees at which address, entry by entry.

A map is a sorted list of entries. Each shows part of one object through a window of whole pages,
with protections, inheritance and a tag. Calls on a range split the entries at its ends (clipping),
and entries that continue each other are joined again.

Models ``osfmk/vm/vm_map.c``: lookup, clipping, ``vm_map_simplify_entry``, ``vm_map_locate_space``,
``vm_map_enter``, ``vm_map_delete``, ``vm_map_protect``.

Left out: submaps, wiring, guards, the random addresses of macOS (here the lowest place that fits
is taken), limits on a task's memory, what code signing says of writable and executable memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from kextlab.abi.mach import (
    ANON_CHUNK_SIZE,
    KERN_INVALID_ADDRESS,
    KERN_NO_SPACE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    VM_FLAGS_4GB_CHUNK,
    VM_FLAGS_ALIAS_MASK,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_NO_CACHE,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_PERMANENT,
    VM_FLAGS_PURGABLE,
    VM_FLAGS_RANDOM_ADDR,
    VM_FLAGS_SUPERPAGE_MASK,
    VM_FLAGS_TPRO,
    VM_PROT_EXECUTE,
    VM_PROT_NONE,
    VM_PROT_WRITE,
)
from kextlab.osfmk.pmap import Pmap
from kextlab.osfmk.vm_object import Tracked, Vm, VmObject

VM_MIN_ADDRESS: Final = 0x1_0000_0000
"""Where a task's memory begins: the 4 GB below are the page zero of every macOS program."""
VM_MAX_ADDRESS: Final = 0x7FFF_FE00_0000
"""MACH_VM_MAX_ADDRESS of Apple silicon."""
NO_COALESCE_LIMIT: Final = 1024 * 128 - 1
"""Anonymous memory grows an older neighbour up to this size only."""
_NOT_MODELLED = (
    VM_FLAGS_PURGABLE
    | VM_FLAGS_RANDOM_ADDR
    | VM_FLAGS_NO_CACHE
    | VM_FLAGS_PERMANENT
    | VM_FLAGS_TPRO
    | VM_FLAGS_SUPERPAGE_MASK
)


def writable_and_executable(prot: int) -> None:
    """Refuse what code signing decides on.

    Raises:
        NotImplementedError: both bits are set.
    """
    if prot & VM_PROT_WRITE and prot & VM_PROT_EXECUTE:
        raise NotImplementedError("memory that is writable and executable is not modelled")


class VmEntry(Tracked):
    """``struct vm_map_entry``: a window of a map, or of a copy, onto an object.

    Attributes:
        of: the map, or the vm_map_copy, it belongs to.
        start, end: first address, and the one behind the last; whole pages.
        object, offset: what is seen, and where it begins there; None: zeros nobody has touched.
        needs_copy: the object must not be written; a writer gets one of his own in front.
        is_shared: others were given the same object.
        tag: the number of VM_MAKE_TAG.
    """

    KIND = "vm_entry"
    FIELDS = (
        "of",
        "start",
        "end",
        "object",
        "offset",
        "protection",
        "max_protection",
        "inheritance",
        "needs_copy",
        "is_shared",
        "tag",
    )

    def __init__(
        self,
        vm: Vm,
        of: Tracked,
        start: int,
        end: int,
        object: VmObject | None,
        offset: int,
        protection: int,
        max_protection: int,
        inheritance: int,
        *,
        needs_copy: bool = False,
        is_shared: bool = False,
        tag: int = 0,
    ) -> None:
        """It takes over the caller's reference to the object."""
        super().__init__(vm)
        self.of = of
        self.start = start
        self.end = end
        self.object = object
        self.offset = offset
        self.protection = protection
        self.max_protection = max_protection
        self.inheritance = inheritance
        self.needs_copy = needs_copy
        self.is_shared = is_shared
        self.tag = tag
        self.born()

    @property
    def size(self) -> int:
        """Bytes between start and end."""
        return self.end - self.start

    def materialize(self) -> VmObject:
        """The object; one of zeros if there was none."""
        if self.object is None:
            self.put(object=VmObject(self.vm, self.size), offset=0)
        assert self.object is not None
        return self.object

    def put_shadow(self) -> None:
        """``VME_OBJECT_SHADOW``: an object of its own in front, so that it may be written."""
        assert self.object is not None
        object, offset = self.object.put_shadow(self.offset, self.size)
        self.put(object=object, offset=offset, needs_copy=False)

    def discard(self) -> None:
        """The window closes."""
        object = self.object
        self.gone()
        if object is not None:
            object.deallocate()


class VmMap(Tracked):
    """``struct _vm_map``: the memory of one task, from ``min_offset`` up to ``max_offset``.

    Read and write through ``kextlab.osfmk.vm_fault``; the calls are in ``kextlab.osfmk.vm_user``.
    """

    KIND = "vm_map"
    FIELDS = ("task", "page_size", "min_offset", "max_offset", "size")

    def __init__(self, vm: Vm, task: str = "") -> None:
        super().__init__(vm)
        self.task = task
        """Whose memory it is, by its name in the trace."""
        self.page_size = vm.page_size
        self.mask = vm.page_mask
        self.min_offset = VM_MIN_ADDRESS
        self.max_offset = VM_MAX_ADDRESS
        self.size = 0
        """Bytes mapped."""
        self.entries: list[VmEntry] = []
        """Sorted by address, none overlapping."""
        self._starts: list[int] = []
        self.pmap = Pmap(vm)
        self.born()

    # -- the list of entries -------------------------------------------------------------------

    def _index(self, address: int) -> int:
        """The last entry that begins at or before ``address``; -1: none does."""
        return bisect_right(self._starts, address) - 1

    def lookup(self, address: int) -> VmEntry | None:
        """The entry an address is in (``vm_map_lookup_entry``)."""
        at = bisect_right(self._starts, address)
        if at:
            entry = self.entries[at - 1]
            if address < entry.end:
                return entry
        return None

    def next_region(self, address: int) -> VmEntry | None:
        """The entry an address is in, or the next one above."""
        at = self._index(address)
        if at >= 0 and address < self.entries[at].end:
            return self.entries[at]
        return self.entries[at + 1] if at + 1 < len(self.entries) else None

    def overlapping(self, start: int, end: int) -> list[VmEntry]:
        """The entries that have a page in a range."""
        at = max(self._index(start), 0)
        return [entry for entry in self._from(at, end) if entry.end > start]

    def _from(self, at: int, end: int) -> Iterator[VmEntry]:
        while at < len(self.entries) and self._starts[at] < end:
            yield self.entries[at]
            at += 1

    def _link(self, entry: VmEntry) -> None:
        at = self._index(entry.start) + 1
        self.entries.insert(at, entry)
        self._starts.insert(at, entry.start)

    def _unlink(self, entry: VmEntry) -> None:
        at = self._index(entry.start)
        del self.entries[at], self._starts[at]

    # -- splitting and joining -----------------------------------------------------------------

    def _split(self, entry: VmEntry, at: int) -> None:
        """The part of an entry below ``at`` becomes an entry of its own."""
        if entry.object is not None:
            entry.object.reference()
        index = self._index(entry.start)
        start, offset = entry.start, entry.offset
        self._starts[index] = at
        entry.put(start=at, offset=offset + (at - start))
        front = VmEntry(
            self.vm,
            self,
            start,
            at,
            entry.object,
            offset,
            entry.protection,
            entry.max_protection,
            entry.inheritance,
            needs_copy=entry.needs_copy,
            is_shared=entry.is_shared,
            tag=entry.tag,
        )
        self._link(front)

    def clip(self, start: int, end: int) -> list[VmEntry]:
        """``vm_map_clip_start``, ``vm_map_clip_end``: the entries in a range, none reaching out."""
        for address in (start, end):
            entry = self.lookup(address)
            if entry is not None and entry.start < address:
                self._split(entry, address)
        return self.overlapping(start, end)

    def simplify(self, entry: VmEntry) -> None:
        """``vm_map_simplify_entry``: join it with the entry before, if that one continues in it."""
        at = self._index(entry.start)
        before = self.entries[at - 1] if at > 0 else None
        if before is None or before.end != entry.start:
            return
        same = all(
            getattr(before, field) == getattr(entry, field)
            for field in (
                "object",
                "protection",
                "max_protection",
                "inheritance",
                "needs_copy",
                "is_shared",
                "tag",
            )
        )
        if same and before.offset + before.size == entry.offset:
            self._unlink(before)
            self._starts[at - 1] = before.start
            entry.put(start=before.start, offset=before.offset)
            before.discard()

    # -- finding a place -----------------------------------------------------------------------

    def locate_space(
        self, address: int, size: int, mask: int, flags: int, prot: int
    ) -> tuple[int, int]:
        """``vm_map_locate_space``: code, and where a mapping of whole pages would begin.

        Nothing changes. ``mask`` has the low bits the address must not have. Errors: KERN_NO_SPACE
        (no place, one that is taken, or an address the mask forbids), KERN_INVALID_ADDRESS (a fixed
        range outside of the map).

        Raises:
            NotImplementedError: flags and protections that are not modelled.
        """
        if flags & _NOT_MODELLED:
            raise NotImplementedError(f"VM_FLAGS {flags & _NOT_MODELLED:#x} are not modelled")
        writable_and_executable(prot)
        if flags & VM_FLAGS_ANYWHERE:
            return self._find_space(max(address, self.min_offset), size, mask)
        if address & mask:
            return KERN_NO_SPACE, 0
        if address < self.min_offset or address + size > self.max_offset:
            return KERN_INVALID_ADDRESS, 0
        if not flags & VM_FLAGS_OVERWRITE and self.overlapping(address, address + size):
            return KERN_NO_SPACE, 0
        return KERN_SUCCESS, address

    def _find_space(self, hint: int, size: int, mask: int) -> tuple[int, int]:
        """The lowest place from ``hint`` on."""
        at = self._index(hint)
        start = hint
        while True:
            if at >= 0:
                start = max(start, self.entries[at].end)
            start = (start + mask) & ~mask
            start = (start + self.mask) & ~self.mask
            if start + size > self.max_offset:
                return KERN_NO_SPACE, 0
            if at + 1 >= len(self.entries) or self._starts[at + 1] >= start + size:
                return KERN_SUCCESS, start
            at += 1

    # -- mapping and unmapping -----------------------------------------------------------------

    def enter(
        self,
        start: int,
        size: int,
        flags: int,
        object: VmObject | None,
        offset: int,
        prots: tuple[int, int, int],
        *,
        needs_copy: bool = False,
        tag: int | None = None,
    ) -> None:
        """``vm_map_enter`` at the place ``locate_space`` has found; what is there goes.

        ``prots`` are protection, maximum protection and inheritance; the tag is that of the flags
        if none is given. The caller's reference to the object becomes the entry's. Anonymous memory
        (no object) grows the entry below if that is alike, and comes in pieces of 128 MB.
        """
        self.delete(start, start + size)
        protection, max_protection, inheritance = prots
        tag = (flags & VM_FLAGS_ALIAS_MASK) >> 24 if tag is None else tag
        if object is None and self._extend(start, size, prots, tag):
            return
        chunk = size
        if object is None and max_protection != VM_PROT_NONE:
            chunk = min(size, 4 << 30 if flags & VM_FLAGS_4GB_CHUNK else ANON_CHUNK_SIZE)
        for at in range(start, start + size, chunk):
            end = min(at + chunk, start + size)
            entry = VmEntry(
                self.vm,
                self,
                at,
                end,
                object,
                offset,
                protection,
                max_protection,
                inheritance,
                needs_copy=needs_copy,
                tag=tag,
            )
            self._link(entry)
        self.put(size=self.size + size)

    def _extend(self, start: int, size: int, prots: tuple[int, int, int], tag: int) -> bool:
        """Grow the entry below over anonymous memory, if it may."""
        at = self._index(start)
        below = self.entries[at] if at >= 0 else None
        if below is None or below.end != start or below.is_shared:
            return False
        alike = (below.protection, below.max_protection, below.inheritance) == prots
        if not alike or below.tag != tag or below.size + size > NO_COALESCE_LIMIT:
            return False
        object = below.object
        if object is not None and not object.coalesce(below.offset + below.size, size):
            return False
        below.put(end=start + size)
        self.put(size=self.size + size)
        return True

    def delete(self, start: int, end: int) -> None:
        """``vm_map_delete``: nothing is mapped in a range any more; gaps in it are no matter."""
        for entry in self.clip(start, end):
            self._unlink(entry)
            self.put(size=self.size - entry.size)
            entry.discard()

    def protect(self, start: int, end: int, new_prot: int, *, set_max: bool) -> int:
        """``vm_map_protect`` on whole pages: all of the range, or nothing.

        With ``set_max`` the maximum is set, and the protection cut down to it. Errors:
        KERN_INVALID_ADDRESS (a page that is not mapped), KERN_PROTECTION_FAILURE (beyond the
        maximum); whichever comes first.

        Raises:
            NotImplementedError: writable and executable memory.
        """
        at = start
        for entry in self.overlapping(start, end):
            if entry.start > at:
                break
            at = entry.end
            if new_prot & ~entry.max_protection:
                return KERN_PROTECTION_FAILURE
        if at < end:
            return KERN_INVALID_ADDRESS
        if not set_max:
            writable_and_executable(new_prot)
        for entry in self.clip(start, end):
            if set_max:
                entry.put(max_protection=new_prot, protection=new_prot & entry.protection)
            else:
                entry.put(protection=new_prot)
            self.simplify(entry)
        behind = self.lookup(end)
        if behind is not None:
            self.simplify(behind)
        return KERN_SUCCESS

    def terminate(self) -> None:
        """The task has ended (``vm_map_terminate``): every window closes."""
        with self.vm.together():
            self.delete(self.min_offset, self.max_offset)
            self.gone()
