"""Memory on its way from one map into another, any number of bytes: what a message carries.

A little of it is copied at once into a buffer of the kernel. More is copied lazily, page by page,
when somebody writes; only pages that the range covers whole can be shared that way, so that nobody
sees what lies beside it.

Models ``vm_map_copyin``, ``vm_map_copyin_kernel_buffer``, ``vm_map_copyout_size`` and, of
``vm_map_copy_overwrite``, what a message of bytes that are no whole pages needs. Read beside it:
``osfmk/vm/vm_map.c``, ``ipc_kmsg_copyout_ool_descriptor`` of ``osfmk/ipc/ipc_kmsg.c``.

In doubt: whether exactly MSG_OOL_SIZE_SMALL, 32 KB, are little. No recording shows any of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_SUCCESS,
    VM_FLAGS_ANYWHERE,
    VM_INHERIT_DEFAULT,
    VM_KERN_MEMORY_IPC,
    VM_PROT_ALL,
    VM_PROT_DEFAULT,
)
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VmEntry, VmMap
from kextlab.osfmk.vm_map_copy import VmMapCopy, copyin
from kextlab.osfmk.vm_object import Vm, VmObject
from kextlab.osfmk.vm_sanitize import round_page, trunc_page

MSG_OOL_SIZE_SMALL: Final = 32 << 10
"""Below this many bytes a copy is made at once, in a buffer of the kernel."""
OVERWRITE_THRESHOLD_PAGES: Final = 3
"""From so many pages on, those in the middle of a misaligned range are copied lazily
(VM_MAP_COPY_OVERWRITE_OPTIMIZATION_THRESHOLD_PAGES)."""
_PROTS = (VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT)


def vm_map_copyin(
    map: VmMap, address: int, length: int, *, destroy: bool
) -> tuple[int, VmMapCopy | None]:
    """Take a copy of ``length`` bytes, at least one, out of a map; with ``destroy`` their pages go
    from it, whole.

    Errors, after which nothing has changed: KERN_INVALID_ADDRESS (a page that is not mapped),
    KERN_PROTECTION_FAILURE (one that cannot be read).
    """
    if address + length > map.max_offset:
        return KERN_INVALID_ADDRESS, None
    start, end = trunc_page(address, map.mask), round_page(address + length, map.mask)
    if length < MSG_OOL_SIZE_SMALL:
        try:
            data = vm_read(map, address, length)
        except VmFault as fault:
            return fault.code, None
        with map.vm.together():
            if destroy:
                map.delete(start, end)
            return KERN_SUCCESS, VmMapCopy(map.vm, kdata=data)
    with map.vm.together():
        return copyin(map, start, end, offset=address - start, destroy=destroy)


def physical_copy(vm: Vm, data: bytes) -> VmMapCopy:
    """A copy of bytes in new pages: what has passed through the kernel's ``ipc_kernel_copy_map``.
    Behind the last byte its page is zero."""
    with vm.together():
        copy = VmMapCopy(vm)
        size = round_page(len(data), vm.page_mask)
        object = VmObject(vm, size)
        for index, at in enumerate(range(0, size, vm.page_size)):
            object.fault(index, write=True).write(0, data[at : at + vm.page_size])
        entry = VmEntry(vm, copy, 0, size, object, 0, *_PROTS)
        copy.entries.append(entry)
        copy.put(size=size)
    return copy


def vm_map_copyout(map: VmMap, copy: VmMapCopy, length: int) -> tuple[int, int]:
    """Put the ``length`` bytes of a copy into a map, anywhere, to be read and written; code, and
    the address of the first byte. The copy is used up.

    Errors: KERN_NO_SPACE, after which the copy is as it was.
    """
    size = round_page(copy.offset + length, map.mask)
    code, start = map.locate_space(0, size, 0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT)
    if code != KERN_SUCCESS:
        return code, 0
    first, last = _whole_pages(map, copy, length)
    with map.vm.together():
        if last - first < size:
            tag = VM_KERN_MEMORY_IPC if copy.kdata is None else 0
            map.enter(start, size, 0, None, 0, _PROTS, tag=tag)
        for part, at, more in _parts(copy, first, last):
            object = part.object.reference() if part.object is not None else None
            offset = part.offset + at - part.start
            map.enter(
                start + at,
                more,
                0,
                object,
                offset,
                _PROTS,
                needs_copy=part.needs_copy,
                tag=part.tag,
            )
        for begin, end in ((copy.offset, first), (last, copy.offset + length)):
            vm_write(map, start + begin, _bytes(copy, begin, end))
        copy.discard()
    return KERN_SUCCESS, start + copy.offset


def _whole_pages(map: VmMap, copy: VmMapCopy, length: int) -> tuple[int, int]:
    """Which part of a copy is mapped as it is: where it begins and ends, from its first page on."""
    end = copy.offset + length
    aligned = not (copy.offset | length) & map.mask
    if copy.kdata is not None or not (
        aligned or length >= OVERWRITE_THRESHOLD_PAGES * map.page_size
    ):
        return end, end
    return round_page(copy.offset, map.mask), trunc_page(end, map.mask)


def _parts(copy: VmMapCopy, first: int, last: int) -> Iterator[tuple[VmEntry, int, int]]:
    """The entries of a part of a copy: entry, where it begins in that part, how many bytes."""
    for part in copy.entries:
        at, end = max(part.start, first), min(part.end, last)
        if at < end:
            yield part, at, end - at


def _bytes(copy: VmMapCopy, begin: int, end: int) -> bytes:
    """What a copy holds between two places, counted from its first page."""
    if copy.kdata is not None:
        return copy.kdata[begin:end]
    size = copy.vm.page_size
    found = bytearray()
    for part, at, more in _parts(copy, begin, end):
        where = part.offset + at - part.start
        for index in range(where // size, (where + more - 1) // size + 1):
            page = part.object.lookup(index) if part.object is not None else None
            data = page.data if page is not None else bytes(size)
            found += data[max(where - index * size, 0) : where + more - index * size]
    return bytes(found)
