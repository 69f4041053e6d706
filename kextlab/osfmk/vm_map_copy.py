"""Copies of ranges: entries taken out of a map, held for somebody who will map them.

``copyin`` copies what is there now, lazily; ``extract`` takes the memory itself, to be shared.
Ranges that are no whole pages, and their way into another map, are in ``vm_map_copyin``.
Models ``vm_map_copyin_internal`` and ``vm_map_copy_extract`` (``vm_map_remap_extract``) of
``osfmk/vm/vm_map.c``.
"""

from __future__ import annotations

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    VM_INHERIT_SHARE,
    VM_PROT_NONE,
    VM_PROT_READ,
)
from kextlab.osfmk.vm_map import VmEntry, VmMap
from kextlab.osfmk.vm_object import SYMMETRIC, Tracked, Vm, VmObject


class VmMapCopy(Tracked):
    """``struct vm_map_copy``: entries that belong to no map, from address 0 on; or, of a little
    memory, the bytes themselves (VM_MAP_COPY_KERNEL_BUFFER).

    Attributes:
        size: bytes of all entries, or of ``kdata``.
        offset: where the data begins in the first page.
        kdata: the bytes; ``None`` of a list of entries.
    """

    KIND = "vm_map_copy"
    FIELDS = ("size", "offset", "kdata")

    def __init__(self, vm: Vm, *, offset: int = 0, kdata: bytes | None = None) -> None:
        super().__init__(vm)
        self.size = 0 if kdata is None else len(kdata)
        self.offset = offset
        self.kdata = kdata
        self.entries: list[VmEntry] = []
        self.born()

    def add(
        self,
        like: VmEntry,
        size: int,
        object: VmObject | None,
        offset: int,
        prots: tuple[int, int, int],
        *,
        needs_copy: bool = False,
        is_shared: bool = False,
    ) -> None:
        """One more entry behind the others, with the tag of ``like``; the caller's reference to the
        object becomes its own."""
        entry = VmEntry(
            self.vm,
            self,
            self.size,
            self.size + size,
            object,
            offset,
            *prots,
            needs_copy=needs_copy,
            is_shared=is_shared,
            tag=like.tag,
        )
        self.entries.append(entry)
        self.put(size=self.size + size)

    def discard(self) -> None:
        """``vm_map_copy_discard``: nobody will map it any more."""
        for entry in self.entries:
            entry.discard()
        self.entries.clear()
        self.gone()


def associate_vm_object(vm: Vm, object: VmObject, offset: int, size: int, prot: int) -> VmMapCopy:
    """``vm_named_entry_associate_vm_object``: a copy with one entry, of a whole object's range."""
    copy = VmMapCopy(vm)
    entry = VmEntry(vm, copy, 0, size, object, offset, prot, prot, VM_INHERIT_SHARE)
    copy.entries.append(entry)
    copy.put(size=size)
    return copy


def _checked(map: VmMap, start: int, end: int, current: int, maximum: int) -> int:
    """Is a whole range mapped, with these protections? Whichever is missing first, is told."""
    at = start
    for entry in map.overlapping(start, end):
        if entry.start > at:
            break
        if current & ~entry.protection or maximum & ~entry.max_protection:
            return KERN_PROTECTION_FAILURE
        at = entry.end
    return KERN_SUCCESS if at >= end else KERN_INVALID_ADDRESS


def copyin(
    map: VmMap, start: int, end: int, *, offset: int = 0, destroy: bool = False
) -> tuple[int, VmMapCopy | None]:
    """``vm_map_copyin_internal``: a copy of whole pages as they are now, made lazily.

    The map's entries are split at the ends of the range. With ``destroy`` the range goes from the
    map, and what nobody shares moves as it is. Errors: KERN_INVALID_ADDRESS (a page that is not
    mapped), KERN_PROTECTION_FAILURE (one that cannot be read).
    """
    code = _checked(map, start, end, VM_PROT_READ, VM_PROT_NONE)
    if code != KERN_SUCCESS:
        return code, None
    copy = VmMapCopy(map.vm, offset=offset)
    for entry in map.clip(start, end):
        prots = (entry.protection, entry.max_protection, entry.inheritance)
        if entry.object is None:
            copy.add(entry, entry.size, None, 0, prots)
            continue
        if destroy and entry.object.copy_strategy == SYMMETRIC:
            moved = entry.object.reference()  # the entry's own goes with it
            needs_copy = entry.needs_copy
            copy.add(entry, entry.size, moved, entry.offset, prots, needs_copy=needs_copy)
            continue
        object, offset, mine, yours = entry.object.copy_lazily(entry.offset, entry.size)
        copy.add(entry, entry.size, object, offset, prots, needs_copy=yours)
        if mine:
            entry.put(needs_copy=True)
    if destroy:
        map.delete(start, end)
    return KERN_SUCCESS, copy


def extract(
    map: VmMap, start: int, end: int, prot: int, *, mask: bool, single: bool
) -> tuple[int, VmMapCopy | None, int]:
    """``vm_map_copy_extract``: the memory behind whole pages, to be shared.

    ``mask``: as much of ``prot`` as all of it allows. ``single``: only what the first entry shows.
    Returns a code, the copy, and the protection it may be mapped with. Errors:
    KERN_INVALID_ADDRESS (a page that is not mapped), KERN_PROTECTION_FAILURE (less than ``prot``,
    or of a mask nothing).

    Raises:
        NotImplementedError: memory that was reserved, so that nobody may ever touch it.
    """
    required = VM_PROT_NONE if mask else prot
    first = map.lookup(start)
    if single and first is not None:
        end = min(end, first.end)
    code = _checked(map, start, end, required, required)
    if code != KERN_SUCCESS:
        return code, None, VM_PROT_NONE
    entries = map.overlapping(start, end)
    if mask:
        for entry in entries:
            prot &= entry.protection
        if prot == VM_PROT_NONE:
            return KERN_PROTECTION_FAILURE, None, VM_PROT_NONE
    if any(entry.object is None and not entry.max_protection for entry in entries):
        raise NotImplementedError("sharing a range with maximum protection none is not modelled")
    copy = VmMapCopy(map.vm)
    for entry in entries:
        object = _shareable(entry)
        begin = max(start, entry.start)
        prots = (prot, prot, VM_INHERIT_SHARE)
        if mask:
            prots = (entry.protection, entry.max_protection, VM_INHERIT_SHARE)
        offset = entry.offset + begin - entry.start
        size = min(end, entry.end) - begin
        copy.add(entry, size, object.reference(), offset, prots, is_shared=True)
        entry.put(is_shared=True)
    return KERN_SUCCESS, copy, prot


def _shareable(entry: VmEntry) -> VmObject:
    """An entry's object, made fit to be shared: its own, with no symmetric copy pending."""
    object = entry.materialize()
    if object.copy_strategy == SYMMETRIC:
        larger = not object.true_share and not entry.is_shared and object.size > entry.size
        if entry.needs_copy or object.shadowed or larger:
            entry.put_shadow()
        object = entry.materialize()
        object.make_shareable()
    return object
