"""Assertions of XNU's own tests of Mach VM, carried over; each test says which file they come from.

Read at apple-oss-distributions/xnu e3723e1f, ``tests/``. What is asserted there is asserted here,
in our own words and on this API; a process's ``mach_task_self()`` is ``task``.
"""

import pytest

from kextlab.abi.mach import (
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_RIGHT,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_NAMED_REUSE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_FIXED,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_RETURN_DATA_ADDR,
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
from kextlab.osfmk.vm_fault import vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_map,
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
