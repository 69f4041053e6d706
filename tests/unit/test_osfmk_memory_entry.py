"""Memory entries: kextlab.osfmk.memory_entry."""

import pytest

from kextlab.abi.mach import (
    ANON_MAX_SIZE,
    KERN_FAILURE,
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_RIGHT,
    KERN_INVALID_TASK,
    KERN_INVALID_VALUE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_4K_DATA_ADDR,
    MAP_MEM_LEDGER_TAGGED,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_NAMED_REUSE,
    MAP_MEM_ONLY,
    MAP_MEM_PURGABLE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_ANYWHERE,
    VM_INHERIT_NONE,
    VM_PROT_ALL,
    VM_PROT_IS_MASK,
    VM_PROT_NONE,
    VM_PROT_READ,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import (
    NamedEntry,
    mach_make_memory_entry_64,
    mach_memory_object_memory_entry_64,
)
from kextlab.osfmk.vm_fault import vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import mach_vm_allocate, mach_vm_map, mach_vm_protect, mach_vm_region

PAGE = 16384
RW = VM_PROT_READ | VM_PROT_WRITE
OUT = 1 << 64


def at(page: int) -> int:
    return VM_MIN_ADDRESS + page * PAGE


@pytest.fixture
def task() -> VmMap:
    """A task with pages 0 to 3 of one object, 4 and 5 of another, 6 to be read only, 8 and 9."""
    task = VmMap(Vm())
    for page, pages in ((0, 4), (4, 2), (6, 1), (8, 2)):
        code, _ = mach_vm_allocate(task, at(page), pages * PAGE, page << 24)
        assert code == KERN_SUCCESS
        vm_write(task, at(page), b"%d" % page)
    mach_vm_protect(task, at(6), PAGE, False, VM_PROT_READ)
    return task


def made(
    task: VmMap, size: int, offset: int, permission: int, parent: object = None
) -> tuple[int, NamedEntry]:
    code, got, entry = mach_make_memory_entry_64(task, size, offset, permission, parent)
    assert code == KERN_SUCCESS
    assert entry is not None
    return got, entry


def mapped(task: VmMap, entry: NamedEntry, prot: int = RW) -> int:
    code, address = mach_vm_map(
        task, 0, entry.size, 0, VM_FLAGS_ANYWHERE, entry, 0, False, prot, prot, VM_INHERIT_NONE
    )
    assert code == KERN_SUCCESS
    return address


# ---------------------------------------------------------------- ranges


def test_start_and_end_are_rounded_to_pages(task: VmMap) -> None:
    assert made(task, 2, at(1) - 1, RW)[0] == 2 * PAGE
    assert made(task, 2, at(1) - 1, RW | MAP_MEM_USE_DATA_ADDR)[0] == PAGE + 1
    assert made(task, 2, at(1) - 1, RW | MAP_MEM_4K_DATA_ADDR)[0] == PAGE + 4096
    small = VmMap(Vm(4096))
    mach_vm_allocate(small, VM_MIN_ADDRESS, PAGE, 0)
    assert made(small, 2, VM_MIN_ADDRESS + 4095, RW)[0] == 8192


def test_a_size_comes_back_smaller_where_another_object_begins(task: VmMap) -> None:
    got, entry = made(task, 6 * PAGE, at(1), RW)
    assert (got, entry.size, entry.offset) == (3 * PAGE, 3 * PAGE, PAGE)
    got, entry = made(task, 6 * PAGE, at(0), RW | MAP_MEM_VM_SHARE)
    assert (got, entry.is_copy) == (6 * PAGE, True)


@pytest.mark.parametrize("kind", [MAP_MEM_VM_SHARE, MAP_MEM_VM_COPY])
def test_a_list_of_entries_knows_the_tags_and_parts(task: VmMap, kind: int) -> None:
    _, entry = made(task, 4 * PAGE, at(2), kind | RW)
    parts = [(part.start, part.end, part.tag) for part in entry.backing.entries]
    assert parts == [(0, 2 * PAGE, 0), (2 * PAGE, 4 * PAGE, 4)]


def test_a_copy_splits_the_regions_it_is_made_of(task: VmMap) -> None:
    made(task, PAGE, at(1), MAP_MEM_VM_COPY | VM_PROT_READ)
    assert mach_vm_region(task, at(1))[1:3] == (at(1), PAGE)
    vm_write(task, at(1), b"x")
    assert task.vm.stat["cow_faults"] == 0  # it was never touched
    vm_write(task, at(0), b"x")
    assert task.vm.stat["cow_faults"] == 0


REFUSED: list[tuple[int, int, int, int]] = [
    (PAGE, at(0), RW | 0x100, KERN_INVALID_VALUE),
    (0, at(0), RW, KERN_INVALID_ARGUMENT),
    (0, at(0), RW | MAP_MEM_VM_SHARE, KERN_INVALID_ARGUMENT),
    (0, at(0), RW | MAP_MEM_VM_COPY, KERN_INVALID_ARGUMENT),
    (OUT - 1, at(0), RW, KERN_INVALID_ARGUMENT),
    (PAGE, OUT - PAGE, RW | MAP_MEM_VM_COPY, KERN_INVALID_ARGUMENT),
    (PAGE, at(7), RW, KERN_INVALID_ADDRESS),
    (PAGE, at(10), RW | MAP_MEM_VM_COPY, KERN_INVALID_ADDRESS),
    (3 * PAGE, at(6), VM_PROT_READ | MAP_MEM_VM_SHARE, KERN_INVALID_ADDRESS),
    (3 * PAGE, at(6), VM_PROT_READ | MAP_MEM_VM_COPY, KERN_INVALID_ADDRESS),
    (PAGE, at(6), RW, KERN_PROTECTION_FAILURE),
    (2 * PAGE, at(5), RW | MAP_MEM_VM_SHARE, KERN_PROTECTION_FAILURE),
    (PAGE, at(6), VM_PROT_WRITE | VM_PROT_IS_MASK, KERN_PROTECTION_FAILURE),
    (PAGE, at(0), RW | MAP_MEM_ONLY, KERN_INVALID_ARGUMENT),
    (OUT - 1, at(0), RW | MAP_MEM_ONLY, KERN_INVALID_ARGUMENT),
    (OUT - 1, at(0), RW | MAP_MEM_NAMED_CREATE, KERN_INVALID_ARGUMENT),
    (PAGE, 0, RW | MAP_MEM_NAMED_CREATE | MAP_MEM_USE_DATA_ADDR, KERN_INVALID_ARGUMENT),
    (PAGE, 0, VM_PROT_READ | MAP_MEM_NAMED_CREATE | MAP_MEM_PURGABLE, KERN_INVALID_ARGUMENT),
    (ANON_MAX_SIZE + 1, 0, RW | MAP_MEM_NAMED_CREATE, KERN_FAILURE),
]


@pytest.mark.parametrize(("size", "offset", "permission", "code"), REFUSED)
def test_a_refused_entry_leaves_everything_as_it_was(
    task: VmMap, size: int, offset: int, permission: int, code: int
) -> None:
    before = task.vm.snapshot()
    assert mach_make_memory_entry_64(task, size, offset, permission) == (code, size, None)
    assert task.vm.snapshot() == before


def test_without_a_map() -> None:
    for kind in (0, MAP_MEM_VM_COPY, MAP_MEM_VM_SHARE):
        assert mach_make_memory_entry_64(None, 1, 0, RW | kind) == (KERN_INVALID_TASK, 1, None)
    with pytest.raises(NotImplementedError, match="MAP_MEM_NAMED_CREATE without a map"):
        mach_make_memory_entry_64(None, 1, 0, RW | MAP_MEM_NAMED_CREATE)


def test_a_page_that_cannot_be_read_cannot_be_copied(task: VmMap) -> None:
    mach_vm_protect(task, at(0), PAGE, False, VM_PROT_NONE)
    answer = mach_make_memory_entry_64(task, PAGE, at(0), MAP_MEM_VM_COPY | VM_PROT_READ)
    assert answer == (KERN_PROTECTION_FAILURE, PAGE, None)


def test_a_mask_takes_the_protection_that_is_there(task: VmMap) -> None:
    permission = RW | VM_PROT_IS_MASK | MAP_MEM_VM_SHARE
    _, entry = made(task, 2 * PAGE, at(5), permission)
    assert entry.protection == VM_PROT_READ
    assert [part.protection for part in entry.backing.entries] == [RW, VM_PROT_READ]
    assert vm_read(task, mapped(task, entry, VM_PROT_READ) + PAGE, 1) == b"6"


def test_a_reserved_range_is_not_modelled(task: VmMap) -> None:
    code, address = mach_vm_map(
        task, 0, PAGE, 0, VM_FLAGS_ANYWHERE, None, 0, False, 0, 0, VM_INHERIT_NONE
    )
    assert code == KERN_SUCCESS
    before = task.vm.snapshot()
    with pytest.raises(NotImplementedError, match="maximum protection none"):
        mach_make_memory_entry_64(task, PAGE, address, MAP_MEM_VM_SHARE)
    assert task.vm.snapshot() == before


def test_memory_that_is_pending_to_be_copied_is_copied_before_it_is_shared(task: VmMap) -> None:
    _, copied = made(task, PAGE, at(8), MAP_MEM_VM_COPY | RW)
    _, shared = made(task, PAGE, at(8), RW)
    window = mapped(task, shared)
    vm_write(task, at(8), b"now")
    assert vm_read(task, window, 3) == b"now"
    assert vm_read(task, mapped(task, copied), 3) == b"8\0\0"


def test_a_part_of_a_split_region_is_shared_by_an_object_of_its_own(task: VmMap) -> None:
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    _, entry = made(task, PAGE, at(1), VM_PROT_READ)
    found = task.lookup(at(1))
    assert found is not None
    assert found.object is entry.vm_object
    assert found.object is not None
    assert found.object.size == PAGE
    other = task.lookup(at(0))
    assert other is not None
    assert found.object.shadow is other.object


# ---------------------------------------------------------------- new memory


def test_new_memory(task: VmMap) -> None:
    got, entry = made(task, 100, 5, RW | MAP_MEM_NAMED_CREATE | MAP_MEM_PURGABLE | 3 << 24)
    assert (got, entry.size, entry.access) == (PAGE, PAGE, 3)
    assert entry.vm_object.purgable
    one, two = mapped(task, entry), mapped(task, entry)
    vm_write(task, one, b"x")
    assert vm_read(task, two, 1) == b"x"
    got, rest = made(task, 1, PAGE, RW | MAP_MEM_NAMED_CREATE)
    answer = mach_make_memory_entry_64(task, 0, 0, RW | MAP_MEM_NAMED_CREATE)
    assert answer == (KERN_SUCCESS, 0, None)
    with pytest.raises(NotImplementedError, match="ledgers"):
        mach_make_memory_entry_64(task, 1, 0, RW | MAP_MEM_NAMED_CREATE | MAP_MEM_LEDGER_TAGGED)
    rest.release()


def test_memory_of_an_object(task: VmMap) -> None:
    call = mach_memory_object_memory_entry_64
    assert call(task.vm, True, 0, RW) == (KERN_INVALID_ARGUMENT, None)
    assert call(task.vm, True, OUT - 1, RW) == (KERN_INVALID_ARGUMENT, None)
    assert call(task.vm, False, 1, RW) == (KERN_INVALID_ARGUMENT, None)
    with pytest.raises(NotImplementedError, match="pager"):
        call(task.vm, False, 1, RW, pager=object())
    code, entry = call(task.vm, True, 1, RW | 1 << 24)
    assert code == KERN_SUCCESS
    assert entry is not None
    assert (entry.size, entry.access, entry.protection) == (PAGE, 1, RW)


# ---------------------------------------------------------------- parents


def test_an_entry_of_a_part_of_another(task: VmMap) -> None:
    _, parent = made(task, 3 * PAGE, at(1), RW)
    got, child = made(task, 1, PAGE + 5, VM_PROT_READ, parent)
    assert (got, child.offset) == (PAGE, 2 * PAGE)
    vm_write(task, at(2), b"child")
    assert vm_read(task, mapped(task, child, VM_PROT_READ), 5) == b"child"
    _, empty = made(task, 0, 0, VM_PROT_READ, parent)
    assert empty.size == 0


def test_where_the_data_begins_counts_for_a_part(task: VmMap) -> None:
    _, parent = made(task, 2 * PAGE, at(0) + 100, RW | MAP_MEM_USE_DATA_ADDR)
    got, child = made(task, 10, PAGE, RW | MAP_MEM_USE_DATA_ADDR, parent)
    assert (got, child.offset, child.data_offset) == (PAGE - 100, PAGE, 100)


@pytest.mark.parametrize(
    ("size", "offset", "permission", "code"),
    [
        (PAGE, 2 * PAGE, RW, KERN_INVALID_ARGUMENT),
        (PAGE + 1, PAGE, RW, KERN_INVALID_ARGUMENT),
        (OUT - 1, 1, RW, KERN_INVALID_ARGUMENT),
        (0, OUT - 1, RW | MAP_MEM_USE_DATA_ADDR, KERN_INVALID_ARGUMENT),
        (PAGE, 0, VM_PROT_ALL, KERN_PROTECTION_FAILURE),
    ],
)
def test_a_refused_part(task: VmMap, size: int, offset: int, permission: int, code: int) -> None:
    _, parent = made(task, PAGE, at(0) + 100, RW | MAP_MEM_USE_DATA_ADDR)
    before = task.vm.snapshot()
    assert mach_make_memory_entry_64(task, size, offset, permission, parent) == (code, size, None)
    assert task.vm.snapshot() == before


def test_a_parent_that_is_no_memory_entry_counts_as_none(task: VmMap) -> None:
    assert made(task, PAGE, at(0), RW, object())[0] == PAGE


def test_an_entry_that_would_be_the_same_is_used_again(task: VmMap) -> None:
    _, parent = made(task, 4 * PAGE, at(0), RW)
    got, again = made(task, 4 * PAGE, at(0), RW | MAP_MEM_NAMED_REUSE, parent)
    assert (got, again, parent.refs) == (4 * PAGE, parent, 2)
    for size, offset in ((3 * PAGE, at(0)), (3 * PAGE, at(1)), (PAGE, at(4))):
        assert made(task, size, offset, RW | MAP_MEM_NAMED_REUSE, parent)[1] is not parent
    _, other = made(task, 4 * PAGE, at(0), RW | MAP_MEM_NAMED_REUSE)
    assert other is not parent
    _, late = made(task, 3 * PAGE, at(1), RW)
    assert made(task, 3 * PAGE, at(1), RW | MAP_MEM_NAMED_REUSE, late)[1] is not late


def test_only_how_it_is_cached_may_be_changed(task: VmMap) -> None:
    _, parent = made(task, PAGE, at(0), RW)
    call = mach_make_memory_entry_64
    assert call(task, 7, 0, MAP_MEM_ONLY | 4 << 24, parent) == (KERN_SUCCESS, 7, None)
    assert parent.access == 4
    assert call(task, 7, 0, MAP_MEM_ONLY, parent) == (KERN_SUCCESS, 7, None)
    assert parent.access == 4
    flags = MAP_MEM_ONLY | MAP_MEM_USE_DATA_ADDR
    assert call(task, 7, 0, flags, parent) == (KERN_INVALID_ARGUMENT, 7, None)
    _, read_only = made(task, PAGE, at(0), VM_PROT_READ)
    answer = call(task, 7, 0, MAP_MEM_ONLY | 4 << 24, read_only)
    assert answer == (KERN_INVALID_RIGHT, 7, None)
    _, copy = made(task, PAGE, at(0), RW | MAP_MEM_VM_COPY)
    assert call(task, 7, 0, MAP_MEM_ONLY, copy) == (KERN_INVALID_ARGUMENT, 7, None)


# ---------------------------------------------------------------- references


@pytest.mark.parametrize("kind", [0, MAP_MEM_VM_COPY, MAP_MEM_VM_SHARE])
def test_an_entry_lives_while_somebody_holds_it_and_a_mapping_without_it(
    task: VmMap, kind: int
) -> None:
    _, entry = made(task, 2 * PAGE, at(8), RW | kind)
    window = mapped(task, entry)
    entry.retain()
    entry.release()
    assert entry.name in task.vm.snapshot()
    entry.release()
    assert entry.name not in task.vm.snapshot()
    assert entry.backing.name not in task.vm.snapshot()
    vm_write(task, window + 1, b"x")
    assert vm_read(task, window, 2) == b"8x"
    assert vm_read(task, at(8), 2) == (b"8\0" if kind == MAP_MEM_VM_COPY else b"8x")
    for call in (entry.retain, entry.release):
        with pytest.raises(ValueError, match=r"memory_entry:1 is destroyed"):
            call()
