"""Tasks with memory, for the tests of kextlab.osfmk.vm_*: short names for the calls."""

from kextlab.abi.mach import (
    KERN_SUCCESS,
    VM_FLAGS_ANYWHERE,
    VM_INHERIT_DEFAULT,
    VM_PROT_ALL,
    VM_PROT_READ,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import (
    NamedEntry,
    mach_make_memory_entry_64,
)
from kextlab.osfmk.vm_map import VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_user import (
    mach_vm_allocate,
    mach_vm_map,
)

PAGE = 16384
RW = VM_PROT_READ | VM_PROT_WRITE
RWX = VM_PROT_ALL
OUT = 1 << 64


def allocate(task: VmMap, pages: int = 1, page: int | None = None, flags: int = 0) -> int:
    """Memory anywhere, or at a page counted from the beginning of the task."""
    address, flags = (0, flags | VM_FLAGS_ANYWHERE) if page is None else (at(page), flags)
    code, address = mach_vm_allocate(task, address, pages * PAGE, flags)
    assert code == KERN_SUCCESS
    return address


def at(page: int) -> int:
    return VM_MIN_ADDRESS + page * PAGE


def entry_of(task: VmMap, size: int, address: int, permission: int) -> NamedEntry:
    code, _, entry = mach_make_memory_entry_64(task, size, address, permission)
    assert code == KERN_SUCCESS
    assert entry is not None
    return entry


def map_it(
    task: VmMap | None,
    entry: object,
    size: int = PAGE,
    *,
    address: int = 0,
    mask: int = 0,
    flags: int = VM_FLAGS_ANYWHERE,
    offset: int = 0,
    copy: bool = False,
    cur: int = RW,
    most: int = RW,
    inheritance: int = VM_INHERIT_DEFAULT,
) -> tuple[int, int]:
    return mach_vm_map(
        task, address, size, mask, flags, entry, offset, copy, cur, most, inheritance
    )


def mapped(task: VmMap, entry: object, size: int = PAGE, *, copy: bool = False) -> int:
    code, address = map_it(task, entry, size, copy=copy)
    assert code == KERN_SUCCESS
    return address


def regions(task: VmMap) -> list[tuple[int, int]]:
    """First page and number of pages of every region."""
    return [((e.start - VM_MIN_ADDRESS) // PAGE, e.size // PAGE) for e in task.entries]
