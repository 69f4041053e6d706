"""Assertions of XNU's own tests of Mach VM, carried over; each test says which file they come from.

Read at apple-oss-distributions/xnu e3723e1f, ``tests/``. What is asserted there is asserted here,
in our own words and on this API; a process's ``mach_task_self()`` is ``task``.
"""

from collections.abc import Callable

import pytest

from kextlab.abi.mach import (
    KERN_FAILURE,
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_RIGHT,
    KERN_NO_SPACE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_NAMED_REUSE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_FIXED,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_RETURN_DATA_ADDR,
    VM_FLAGS_USER_MAP,
    VM_INHERIT_DEFAULT,
    VM_INHERIT_NONE,
    VM_PROT_ALL,
    VM_PROT_DEFAULT,
    VM_PROT_IS_MASK,
    VM_PROT_READ,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import (
    NamedEntry,
    mach_make_memory_entry_64,
    mach_memory_object_memory_entry_64,
)
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_map,
    mach_vm_protect,
    mach_vm_region,
)

KB4 = 4 * 1024
KB16 = 16 * 1024
MB = 1024 * 1024
RW = VM_PROT_READ | VM_PROT_WRITE


@pytest.fixture(params=[4096, 16384], ids=["4K", "16K"])
def task(request: pytest.FixtureRequest) -> VmMap:
    return VmMap(Vm(request.param))


def allocate(task: VmMap, size: int, address: int = 0, flags: int = VM_FLAGS_ANYWHERE) -> int:
    code, found = mach_vm_allocate(task, address, size, flags)
    assert code == KERN_SUCCESS
    return found


def entry_of(
    task: VmMap, size: int, address: int, permission: int, parent: object = None
) -> tuple[int, NamedEntry]:
    code, got, entry = mach_make_memory_entry_64(task, size, address, permission, parent)
    assert code == KERN_SUCCESS
    assert entry is not None
    return got, entry


def anywhere(
    task: VmMap, size: int, entry: object, *, copy: bool = False, prot: int = VM_PROT_DEFAULT
) -> int:
    code, address = mach_vm_map(
        task, 0, size, 0, VM_FLAGS_ANYWHERE, entry, 0, copy, prot, prot, VM_INHERIT_DEFAULT
    )
    assert code == KERN_SUCCESS
    return address


# ---------------------------------------------------------------- vm/vm_memory_entry_parent_test.c


def test_vm_memory_entry_parent(task: VmMap) -> None:
    size = 2 * KB16
    source = allocate(task, size)
    for i in range(size // KB4):
        vm_write(task, source + KB4 * i, bytes([(i + 1) * 0x11]) * KB4)
    parent_offset, child_offset = 2 * KB4, 3 * KB4
    _, parent = entry_of(task, size, source + parent_offset, RW)  # reaches out: comes back smaller
    got, child = entry_of(task, KB4, child_offset, RW | MAP_MEM_USE_DATA_ADDR, parent)
    code, mapped = mach_vm_map(
        task, 0, got, 0, VM_FLAGS_ANYWHERE, child, 0, False, RW, RW, VM_INHERIT_NONE
    )
    assert code == KERN_SUCCESS
    # Apple silicon rounds both offsets down to its pages, Intel neither.
    expected = source if task.page_size == KB16 else source + parent_offset + child_offset
    assert vm_read(task, mapped, got) == vm_read(task, expected, got)


def test_vm_memory_entry_named_reuse_parent(task: VmMap) -> None:
    code, parent = mach_memory_object_memory_entry_64(task.vm, True, KB16, RW)
    assert code == KERN_SUCCESS
    address = anywhere(task, KB16, parent)
    _, entry = entry_of(task, KB16, address, MAP_MEM_NAMED_REUSE | VM_PROT_DEFAULT, parent)
    assert entry is parent


def test_vm_memory_entry_parent_copy(task: VmMap) -> None:
    address = allocate(task, KB16)
    permission = MAP_MEM_VM_COPY | VM_PROT_DEFAULT
    _, parent = entry_of(task, KB16, address, permission)
    answer = mach_make_memory_entry_64(task, KB16, address, permission, parent)
    assert answer == (KERN_INVALID_ARGUMENT, KB16, None)


def test_vm_memory_entry_from_parent_entry_insufficient_permissions(task: VmMap) -> None:
    code, parent = mach_memory_object_memory_entry_64(task.vm, True, KB16, VM_PROT_READ)
    assert code == KERN_SUCCESS
    answer = mach_make_memory_entry_64(task, KB16, 0, RW, parent)
    assert answer == (KERN_PROTECTION_FAILURE, KB16, None)
    _, entry = entry_of(task, KB16, 0, RW | VM_PROT_IS_MASK, parent)
    for mapped in (parent, entry):
        code, _ = mach_vm_map(
            task, 0, KB16, 0, VM_FLAGS_ANYWHERE, mapped, 0, False, RW, RW, VM_INHERIT_DEFAULT
        )
        assert code == KERN_INVALID_RIGHT
        anywhere(task, KB16, mapped, prot=VM_PROT_READ)


# ---------------------------------------------------------------- vm/mach_vm_map.c

MO_OFFSET = KB16 - 128
MO_SIZE = KB16 + 256
MO_FLAGS = (
    0,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY | MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_SHARE | MAP_MEM_USE_DATA_ADDR,
)


def ranges(page: int) -> list[tuple[int, int]]:
    starts = (0, 64, page - 64, page, page + 64)
    ends = (64, 128, 256, page, page + 64, 2 * page - 64, 2 * page)
    return [
        (start, base + end)
        for base in (0, KB16)
        for start in starts
        for end in ends
        if start < base + end
    ]


@pytest.mark.parametrize("return_data_addr", [0, VM_FLAGS_RETURN_DATA_ADDR])
@pytest.mark.parametrize("mo_flags", MO_FLAGS)
def test_mach_vm_map_unaligned(task: VmMap, mo_flags: int, return_data_addr: int) -> None:
    page, mask = task.page_size, task.mask
    code, scratch = mach_vm_map(
        task,
        0,
        3 * KB16,
        (64 << 10) - 1,
        VM_FLAGS_ANYWHERE,
        None,
        0,
        True,
        VM_PROT_DEFAULT,
        VM_PROT_DEFAULT,
        VM_INHERIT_DEFAULT,
    )
    assert (code, scratch & 0xFFFF) == (KERN_SUCCESS, 0)
    words = b"".join(i.to_bytes(4, "little") for i in range(3 * KB16 // 4))
    vm_write(task, scratch, words)

    def up(value: int) -> int:
        return (value + mask) & ~mask

    data_addr = bool(mo_flags & MAP_MEM_USE_DATA_ADDR)
    whole = bool(mo_flags & (MAP_MEM_VM_COPY | MAP_MEM_VM_SHARE))
    for start, end in ranges(page):
        size = end - start
        got, entry = entry_of(task, MO_SIZE, scratch + MO_OFFSET, VM_PROT_DEFAULT | mo_flags)
        expected = (MO_OFFSET & mask) + MO_SIZE
        assert got == (expected if data_addr else up(expected))
        used = 0
        if return_data_addr:
            used = start + (MO_OFFSET & mask if data_addr else 0)
        first = used if return_data_addr else start
        covered = up(MO_OFFSET + MO_SIZE) - (MO_OFFSET & ~mask)
        fails = first + size > covered
        fails |= bool(start & mask) and not return_data_addr and not whole
        flags = VM_FLAGS_ANYWHERE | return_data_addr
        code, address = mach_vm_map(
            task,
            0,
            size,
            0,
            flags,
            entry,
            start,
            True,
            VM_PROT_DEFAULT,
            VM_PROT_DEFAULT,
            VM_INHERIT_DEFAULT,
        )
        assert code == (KERN_INVALID_ARGUMENT if fails else KERN_SUCCESS), (start, end)
        if fails:
            continue
        assert address & mask == used & mask
        code, where, length, _ = mach_vm_region(task, address)
        assert (code, where) == (KERN_SUCCESS, address & ~mask)
        shown = MO_OFFSET & ~mask
        if whole:
            assert length == covered
        else:
            assert length == up(used + size) - (used & ~mask) if return_data_addr else up(size)
            shown += (used if return_data_addr else start) & ~mask
        assert vm_read(task, where, length) == words[shown : shown + length]
        assert mach_vm_deallocate(task, where, length) == KERN_SUCCESS
        entry.release()


def test_vm_map_enter_mem_object_overflow(task: VmMap) -> None:
    address = allocate(task, 2 * KB16)
    permission = MAP_MEM_VM_COPY | MAP_MEM_USE_DATA_ADDR | VM_PROT_ALL
    _, entry = entry_of(task, KB16, address + KB16 // 2, permission)
    data_addr = VM_FLAGS_ANYWHERE | VM_FLAGS_RETURN_DATA_ADDR
    cases = (
        (2**64 - 1, VM_FLAGS_ANYWHERE, 0),
        (KB16, data_addr, 2**64 - 1),
        (KB16, data_addr, 2**64 - (KB16 + 1)),
        (KB16, data_addr, 2**64 - 2 * KB16),
    )
    for size, flags, offset in cases:
        code, _ = mach_vm_map(
            task,
            0,
            size,
            0,
            flags,
            entry,
            offset,
            True,
            VM_PROT_ALL,
            VM_PROT_ALL,
            VM_INHERIT_DEFAULT,
        )
        assert code == KERN_INVALID_ARGUMENT, (size, flags, offset)


# ---------------------------------------------------------------- vm_test_mach_map.c


@pytest.mark.parametrize("override_tag", [0, 200])
@pytest.mark.parametrize("kind", [MAP_MEM_VM_COPY, MAP_MEM_VM_SHARE])
def test_memory_entry_tagging(task: VmMap, kind: int, override_tag: int) -> None:
    original = allocate(task, 3 * KB16)
    for i in range(3):
        flags = VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE | (100 + i) << 24
        allocate(task, KB16, original + i * KB16, flags)
    vm_write(task, original, b"x" * 3 * KB16)
    got, entry = entry_of(task, 3 * KB16, original, kind | RW)
    assert got == 3 * KB16
    code, mapped = mach_vm_map(
        task,
        0,
        got,
        0,
        VM_FLAGS_ANYWHERE | override_tag << 24,
        entry,
        0,
        False,
        RW,
        RW,
        VM_INHERIT_DEFAULT,
    )
    assert code == KERN_SUCCESS
    vm_write(task, original, b"X")
    assert vm_read(task, mapped, 1) == (b"X" if kind == MAP_MEM_VM_SHARE else b"x")
    for i in range(3):
        code, address, size, region = mach_vm_region(task, mapped + i * KB16)
        assert (code, address, size) == (KERN_SUCCESS, mapped + i * KB16, KB16)
        assert region is not None
        assert region.user_tag == (override_tag or 100 + i)


def test_map_memory_entry(task: VmMap) -> None:
    one = allocate(task, 1)
    vm_write(task, one, b"1")
    got, entry = entry_of(task, 1, one, MAP_MEM_VM_COPY | RW)
    assert got >= 1
    two = anywhere(task, got, entry, copy=True)
    assert (vm_read(task, one, 1), vm_read(task, two, 1)) == (b"1", b"1")
    vm_write(task, two, b"2")
    assert (vm_read(task, one, 1), vm_read(task, two, 1)) == (b"1", b"2")


# ---------------------------------------------------------------- vm/vm_test_cow_before_zf_read.c


@pytest.mark.parametrize("write_first", [False, True])
@pytest.mark.parametrize("share_it", [False, True])
def test_cow_before_zf_read(task: VmMap, write_first: bool, share_it: bool) -> None:
    """There the copy is made by mach_vm_read and mach_vm_remap, here by a memory entry."""
    first = allocate(task, MB)
    if share_it:
        entry_of(task, MB, first, MAP_MEM_VM_SHARE | RW)
    else:
        vm_write(task, first + 0x4000, b"\xcd\xab\0\0")
    _, entry = entry_of(task, MB, first, MAP_MEM_VM_COPY | RW)
    copied = anywhere(task, MB, entry, copy=True)
    if write_first:
        vm_write(task, first, bytes(4))
    assert vm_read(task, first, 4) == bytes(4)
    vm_write(task, first, b"\xad\xba\0\0")
    assert vm_read(task, copied, 4) == bytes(4)


# ---------------------------------------------------------------- vm/vm_test_90774260.c


def test_vm_test_90774260(task: VmMap) -> None:
    """A copy that is mapped shared is shared with its other mappings, never with its original."""
    code, layer = mach_memory_object_memory_entry_64(task.vm, True, MB, RW)
    assert code == KERN_SUCCESS
    first = anywhere(task, MB, layer)
    vm_write(task, first, b"\xcd\xab")
    got, copied = entry_of(task, MB, first, RW | MAP_MEM_VM_COPY)
    assert got == MB
    shared = anywhere(task, MB, copied)
    private = anywhere(task, MB, copied, copy=True)
    vm_write(task, shared, b"\x34\x12")
    assert vm_read(task, first, 2) == b"\xcd\xab"
    assert vm_read(task, shared, 2) == b"\x34\x12"
    assert vm_read(task, private, 2) == b"\xcd\xab"


# ---------------------------------------------------------------- vm/vm_allocation.c

LAST = 2**64 - 1
USER_REMAP = 0x60
"""What only mach_vm_remap takes: VM_FLAGS_RESILIENT_CODESIGN and VM_FLAGS_RESILIENT_MEDIA."""
SIZES = (1, 4095, 4096, 4097, 4 * MB)
Allocator = Callable[[VmMap, int, int, int], tuple[int, int]]


def by_map(mask: int) -> Allocator:
    """mach_vm_map of zeros, aligned."""

    def allocator(task: VmMap, address: int, size: int, flags: int) -> tuple[int, int]:
        prots = VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT
        return mach_vm_map(task, address, size, mask, flags, None, 0, False, *prots)

    return allocator


def by_entry(task: VmMap, address: int, size: int, flags: int) -> tuple[int, int]:
    """mach_vm_map of new memory."""
    permission = MAP_MEM_NAMED_CREATE | VM_PROT_ALL
    code, got, entry = mach_make_memory_entry_64(task, size, 0, permission)
    assert (code, got) == (KERN_SUCCESS, (size + task.mask) & ~task.mask)
    prots = VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT
    answer = mach_vm_map(task, address, got, 0, flags, entry, 0, False, *prots)
    if entry is not None:
        entry.release()
    return answer


ALLOCATORS: dict[str, Allocator] = {
    "mach_vm_allocate": mach_vm_allocate,
    "mach_vm_map": by_map(0),
    "mach_vm_map_4kB": by_map(0xFFF),
    "mach_vm_map_2MB": by_map(0x1FFFFF),
    "named_entry": by_entry,
}
every_allocator = pytest.mark.parametrize("name", ALLOCATORS)


@every_allocator
@pytest.mark.parametrize("size", SIZES)
def test_allocated_memory_is_zero_and_holds_what_is_written(
    task: VmMap, name: str, size: int
) -> None:
    code, address = ALLOCATORS[name](task, 0, size, VM_FLAGS_ANYWHERE)
    assert code == KERN_SUCCESS
    assert address & (0x1FFFFF if name == "mach_vm_map_2MB" else task.mask) == 0
    pages = (size + task.mask) & ~task.mask
    assert vm_read(task, address, pages) == bytes(pages)
    for start in range(address, address + pages, task.page_size):
        vm_write(task, start, b"first")
        vm_write(task, start + task.page_size - 4, b"last")
    for start in range(address, address + pages, task.page_size):
        assert vm_read(task, start, 5) == b"first"
        assert vm_read(task, start + task.page_size - 4, 4) == b"last"
        assert ALLOCATORS[name](task, start, task.page_size, VM_FLAGS_FIXED)[0] == KERN_NO_SPACE


@every_allocator
def test_allocate_with_kernel_flags(task: VmMap, name: str) -> None:
    for bit in range(32):
        if not 1 << bit & (VM_FLAGS_USER_MAP | USER_REMAP):
            answer = ALLOCATORS[name](task, 0, 1, 1 << bit | VM_FLAGS_ANYWHERE)
            assert answer == (KERN_INVALID_ARGUMENT, 0), bit


@pytest.mark.parametrize("kind", ["mach_vm_map", "named_entry"])
def test_mach_vm_map_protection_inheritance_error(task: VmMap, kind: str) -> None:
    entry = None
    if kind == "named_entry":
        _, entry = entry_of(task, KB16, 0, MAP_MEM_NAMED_CREATE | VM_PROT_ALL)
    wrong = (VM_PROT_ALL + 1, ~VM_PROT_IS_MASK & 0xFFFFFFFF, 2**31 - 1)
    for cur in (VM_PROT_DEFAULT, *wrong):
        for most in (VM_PROT_ALL, *wrong):
            for inheritance in (VM_INHERIT_DEFAULT, VM_INHERIT_NONE + 1, 2**32 - 1):
                prots = cur, most, inheritance
                if prots != (VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT):
                    answer = mach_vm_map(
                        task, 0, KB16, 0, VM_FLAGS_ANYWHERE, entry, 0, False, *prots
                    )
                    assert answer == (KERN_INVALID_ARGUMENT, 0), prots


def test_mach_vm_map_large_mask_overflow_error(task: VmMap) -> None:
    assert by_map(LAST)(task, 1, KB16, VM_FLAGS_ANYWHERE)[0] == KERN_NO_SPACE
    assert by_map(LAST)(task, 1, 0, VM_FLAGS_ANYWHERE)[0] == KERN_INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["mach_vm_allocate", "mach_vm_map", "mach_vm_map_2MB"])
def test_sizes_and_addresses_at_the_edge(task: VmMap, name: str) -> None:
    """test_allocate_zero_size, _invalid_large_size, _overflowing_size, _at_zero."""
    allocator = ALLOCATORS[name]
    none = KERN_SUCCESS if name == "mach_vm_allocate" else KERN_INVALID_ARGUMENT
    large = LAST - task.page_size + 1
    assert allocator(task, 0, 0, VM_FLAGS_ANYWHERE) == (none, 0)
    assert allocator(task, 0, 0, VM_FLAGS_FIXED) == (none, 0)
    assert allocator(task, 0, large, VM_FLAGS_ANYWHERE)[0] == KERN_NO_SPACE
    assert allocator(task, 0, LAST, VM_FLAGS_ANYWHERE)[0] == KERN_INVALID_ARGUMENT
    for size in SIZES:
        assert allocator(task, 0, size, VM_FLAGS_FIXED)[0] == KERN_INVALID_ADDRESS


def test_allocate_invalid_large_size_of_a_named_entry(task: VmMap) -> None:
    size = LAST - task.page_size + 1
    answer = mach_make_memory_entry_64(task, size, 0, MAP_MEM_NAMED_CREATE | VM_PROT_ALL)
    assert answer == (KERN_FAILURE, size, None)


@every_allocator
def test_allocate_2mb_boundary_unaligned_page_aligned_address(task: VmMap, name: str) -> None:
    address = (1 << 40) + task.page_size
    expected = KERN_NO_SPACE if name == "mach_vm_map_2MB" else KERN_SUCCESS
    assert ALLOCATORS[name](task, address, KB16, VM_FLAGS_FIXED)[0] == expected


@every_allocator
def test_allocate_page_with_highest_address_hint(task: VmMap, name: str) -> None:
    address = LAST - task.page_size + 1
    expected = KERN_SUCCESS if name == "mach_vm_allocate" else KERN_NO_SPACE
    assert ALLOCATORS[name](task, address, task.page_size, VM_FLAGS_ANYWHERE)[0] == expected


@every_allocator
def test_allocate_first_fit_pages(task: VmMap, name: str) -> None:
    page = task.page_size
    _, one = ALLOCATORS[name](task, 0, page, VM_FLAGS_ANYWHERE)
    code, two = ALLOCATORS[name](task, one, page, VM_FLAGS_ANYWHERE)
    assert code == KERN_SUCCESS
    assert two > one
    if name != "mach_vm_map_2MB":  # there the pages between are free, but not aligned
        assert two == one + page
    for address in range(one, two + page, page):
        assert ALLOCATORS[name](task, address, page, VM_FLAGS_FIXED)[0] != KERN_SUCCESS


@every_allocator
@pytest.mark.parametrize("size", SIZES)
def test_deallocated_memory_is_gone(task: VmMap, name: str, size: int) -> None:
    """test_access_deallocated_range_*, _twice, _write_pattern_deallocate_reallocate_zero_filled."""
    _, address = ALLOCATORS[name](task, 0, size, VM_FLAGS_ANYWHERE)
    vm_write(task, address, b"x" * size)
    for _ in range(2):
        assert mach_vm_deallocate(task, address, size) == KERN_SUCCESS
    pages = (size + task.mask) & ~task.mask
    for at in (address, address + pages // 2, address + pages - 8):
        with pytest.raises(VmFault) as stop:
            vm_read(task, at, 8)
        assert stop.value.signal == "SIGSEGV"
    assert ALLOCATORS[name](task, address, size, VM_FLAGS_FIXED) == (KERN_SUCCESS, address)
    assert vm_read(task, address, size) == bytes(size)


def test_deallocate_suicide(task: VmMap) -> None:
    address = allocate(task, KB16)
    assert mach_vm_deallocate(task, 0, LAST - task.page_size + 1) == KERN_SUCCESS
    with pytest.raises(VmFault):
        vm_read(task, address, 1)


def test_deallocate_zero_size_ranges(task: VmMap) -> None:
    page = task.page_size
    for end in (page, 1 << 32, 1 << 64):
        for address in (0, 1, page - 1, page, page + 1, end - page, end - 1):
            assert mach_vm_deallocate(task, address, 0) == KERN_SUCCESS


def test_deallocate_wrapped_around_ranges(task: VmMap) -> None:
    page = task.page_size
    ranges = ((1, LAST), (page, LAST - page + 1), (LAST - page + 1, page), (LAST, 1))
    for address, size in ranges:
        assert mach_vm_deallocate(task, address, size) == KERN_INVALID_ARGUMENT


@pytest.mark.parametrize(("left", "access"), [(VM_PROT_WRITE, "read"), (VM_PROT_READ, "write")])
@pytest.mark.parametrize("size", SIZES)
def test_protected_memory(task: VmMap, size: int, left: int, access: str) -> None:
    """test_verify_*protection, test_access_readprotected_*, test_write_writeprotected_*."""
    address = allocate(task, size)
    assert mach_vm_protect(task, address, size, False, left) == KERN_SUCCESS
    region = mach_vm_region(task, address)[3]
    assert region is not None
    assert region.protection == left
    pages = (size + task.mask) & ~task.mask
    for at in (address, address + pages // 2, address + pages - 8):
        with pytest.raises(VmFault) as stop:
            vm_read(task, at, 8) if access == "read" else vm_write(task, at, bytes(8))
        assert stop.value.signal == "SIGBUS"


@pytest.mark.parametrize("prot", [VM_PROT_READ, VM_PROT_WRITE])
def test_protect_zero_size_and_wrapped_around_ranges(task: VmMap, prot: int) -> None:
    page = task.page_size
    for end in (page, 1 << 32, 1 << 64):
        for address in (0, 1, page - 1, page, page + 1, end - page, end - 1):
            assert mach_vm_protect(task, address, 0, False, prot) == KERN_SUCCESS
    ranges = ((1, LAST), (page, LAST - page + 1), (LAST - page + 1, page), (LAST, 1))
    for address, size in ranges:
        assert mach_vm_protect(task, address, size, False, prot) == KERN_INVALID_ARGUMENT


@pytest.mark.parametrize("modify", ["source", "copy", "other"])
@pytest.mark.parametrize("source", ["fresh", "copied from", "copied to", "true shared"])
def test_vmcopy_of_every_source(task: VmMap, source: str, modify: str) -> None:
    """test_vmcopy_*_source; the copies are made by a memory entry instead of mach_vm_copy."""

    def copied(address: int) -> int:
        _, entry = entry_of(task, 4 * KB16, address, MAP_MEM_VM_COPY | RW)
        made = anywhere(task, 4 * KB16, entry, copy=True)
        entry.release()
        return made

    first = allocate(task, 4 * KB16)
    vm_write(task, first, b"0" * 4 * KB16)
    regions = {"source": first}
    if source == "copied from":
        regions = {"other": first, "source": copied(first)}
    elif source == "copied to":
        regions["other"] = copied(first)
    elif source == "true shared":
        _, entry = entry_of(task, 4 * KB16, first, RW)
        regions = {"other": first, "source": anywhere(task, 4 * KB16, entry)}
    regions["copy"] = copied(regions["source"])
    if modify not in regions:
        return
    vm_write(task, regions[modify], b"1" * 4 * KB16)
    changed = {modify}
    if source == "true shared" and modify != "copy":
        changed = {"source", "other"}
    for name, address in regions.items():
        assert vm_read(task, address, 4 * KB16) == (b"1" if name in changed else b"0") * 4 * KB16
