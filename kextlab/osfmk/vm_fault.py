"""Touching memory: how a task reads and writes what its map shows, and what stops it.

A shared page is one page behind two maps: what one task writes is what the other reads next, and no
message is sent. A processor writes a word at a time, so whoever looks in between sees half of a
longer write; ``copy_steps`` and ``read_steps`` let others in between two words.

Models ``vm_fault`` (``osfmk/vm/vm_fault.c``), ``vm_map_lookup_and_lock_object``
(``osfmk/vm/vm_map.c``) and the signals of ``bsd/uxkern/ux_exception.c``.

Left out: fetching instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_PROTECTION_FAILURE,
    VM_PROT_READ,
    VM_PROT_WRITE,
    mach_error_name,
)
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import VmPage
from kextlab.osfmk.vm_sanitize import U64, u64
from kextlab.sched import LET_GO, Routine

_SIGNALS = {KERN_INVALID_ADDRESS: "SIGSEGV", KERN_PROTECTION_FAILURE: "SIGBUS"}
_WHY = {
    KERN_INVALID_ADDRESS: "nothing is mapped there",
    KERN_PROTECTION_FAILURE: "the protection of that page forbids it",
}

_WRITE = VM_PROT_READ | VM_PROT_WRITE


class VmFault(Exception):
    """EXC_BAD_ACCESS: a task touched memory it may not touch; its process gets a signal.

    Attributes:
        address: the first byte that could not be touched.
        code: KERN_INVALID_ADDRESS or KERN_PROTECTION_FAILURE.
        signal: "SIGSEGV" for the former, "SIGBUS" for the latter.
        access: "read" or "write".
    """

    def __init__(self, address: int, code: int, access: str) -> None:
        self.address = address
        self.code = code
        self.signal = _SIGNALS[code]
        self.access = access
        super().__init__(
            f"{self.signal}: {access} at {address:#x}: {_WHY[code]} ({mach_error_name(code)})"
        )


def vm_fault(map: VmMap, address: int, *, write: bool) -> VmPage:
    """The page behind an address, ready to be read or written.

    Zeros are made, and a page that is copied on write is copied, as needed: one step of the trace.

    Raises:
        VmFault: nothing is mapped there, or its protection forbids it.
    """
    entry = map.lookup(address)
    if entry is None:
        raise VmFault(address, KERN_INVALID_ADDRESS, "write" if write else "read")
    wanted = _WRITE if write else VM_PROT_READ
    if wanted & ~entry.protection:
        raise VmFault(address, KERN_PROTECTION_FAILURE, "write" if write else "read")
    object = entry.object
    index = (entry.offset + address - entry.start) // map.page_size
    if object is not None and not (write and (entry.needs_copy or object.copy is not None)):
        page = object.pages.get(index)
        if page is not None:  # nothing is to be done
            map.pmap.enter(address, page, write=write)
            return page
    with map.vm.together():
        if write and entry.needs_copy:
            entry.put_shadow()
        object = entry.materialize()
        index = (entry.offset + address - entry.start) // map.page_size
        page = object.fault(index, write=write)
    map.pmap.enter(address, page, write=write)
    return page


def may_write(map: VmMap, address: int) -> bool:
    """Whether a write at an address would go well; nothing is done."""
    entry = map.lookup(address)
    return entry is not None and entry.protection & _WRITE == _WRITE


def vm_read(map: VmMap, address: int, size: int) -> bytes:
    """What the task reads at an address.

    Raises:
        VmFault: a page of it cannot be read.
        ValueError: an address or a size that C's uint64_t does not hold.
    """
    end = _end(address, size)
    found = bytearray()
    while address < end:
        at = address & map.mask
        count = min(map.page_size - at, end - address)
        found += vm_fault(map, address, write=False).data[at : at + count]
        address += count
    return bytes(found)


def vm_write(map: VmMap, address: int, data: bytes) -> None:
    """The task writes, from the lowest address up, and nobody gets in between.

    Raises:
        VmFault: a page of it cannot be written. What lies before that page is written, as by a
            processor that copies from the front.
        ValueError: an address that C's uint64_t does not hold.
    """
    end = _end(address, len(data))
    done = 0
    while address < end:
        at = address & map.mask
        count = min(map.page_size - at, end - address)
        vm_fault(map, address, write=True).write(at, data[done : done + count])
        address += count
        done += count


def _end(address: int, size: int) -> int:
    """The address behind a range."""
    end = address + size
    if address < 0 or size < 0 or end > U64:
        u64("address", address)
        u64("size", size)
        u64("the last address", end - bool(size))
    return end


def _words(address: int, size: int, word: int) -> Iterator[tuple[int, int]]:
    """A range word by word, aligned: address, bytes."""
    if word not in (1, 2, 4, 8, 16):
        raise ValueError(f"word is {word}, and must be 1, 2, 4, 8 or 16 bytes")
    end = address + size
    while address < end:
        count = min(word - address % word, end - address)
        yield address, count
        address += count


def _untold(address: int, size: int, left: int) -> None:
    """Nobody wants to know."""


def copy_steps(
    map: VmMap,
    address: int,
    data: bytes,
    word: int = 8,
    touch: Callable[[int, int, int], None] = _untold,
) -> Routine[None]:
    """The task writes word by word, and lets others in between two words: a torn update shows.

    ``word`` is how many bytes the processor writes at once, aligned; ``touch`` is told before each
    where, how many bytes, and how many are still to come.

    Raises:
        VmFault: as ``vm_write``; the words before are written.
        ValueError: a word of another size than 1, 2, 4, 8 or 16.
    """
    done = 0
    for where, count in _words(address, len(data), word):
        if done:
            yield LET_GO
        touch(where, count, len(data) - done - count)
        vm_write(map, where, data[done : done + count])
        done += count


def read_steps(map: VmMap, address: int, size: int, word: int = 8) -> Routine[bytes]:
    """The task reads word by word, and lets others in between two words.

    Raises:
        VmFault: as ``vm_read``.
        ValueError: a word of another size than 1, 2, 4, 8 or 16.
    """
    found = b""
    for where, count in _words(address, size, word):
        if found:
            yield LET_GO
        found += vm_read(map, where, count)
    return found
