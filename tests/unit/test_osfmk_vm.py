"""Address maps and touching memory: kextlab.osfmk.vm_map, vm_fault, the calls of vm_user."""

from collections.abc import Callable

import pytest

from kextlab.abi.mach import (
    ANON_CHUNK_SIZE,
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_NO_SPACE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_VM_COPY,
    VM_FLAGS_4GB_CHUNK,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_FIXED,
    VM_FLAGS_PURGABLE,
    VM_FLAGS_RETURN_DATA_ADDR,
    VM_INHERIT_COPY,
    VM_PROT_COPY,
    VM_PROT_NONE,
    VM_PROT_READ,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import (
    mach_memory_object_memory_entry_64,
)
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MAX_ADDRESS, VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    Region,
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_protect,
    mach_vm_region,
)
from tests.unit.vm_tasks import OUT, PAGE, RW, RWX, allocate, at, entry_of, map_it, regions


@pytest.fixture
def vm() -> Vm:
    return Vm()


@pytest.fixture
def task(vm: Vm) -> VmMap:
    return VmMap(vm)


# ---------------------------------------------------------------- allocate


def test_memory_is_allocated_at_the_lowest_place_that_fits(task: VmMap) -> None:
    allocate(task, 1, page=0, flags=1 << 24)
    allocate(task, 1, page=2, flags=1 << 24)
    assert allocate(task, 2) == at(3)
    assert allocate(task, 1) == at(1)


def test_nothing_is_made_before_it_is_touched(task: VmMap) -> None:
    address = allocate(task, 1000)
    assert task.vm.stat == {"internal_page_count": 0, "zero_fill_count": 0, "cow_faults": 0}
    assert vm_read(task, address + 5 * PAGE, 3) == bytes(3)
    vm_write(task, address + 6 * PAGE - 1, b"ab")
    assert vm_read(task, address + 6 * PAGE - 1, 2) == b"ab"
    assert task.vm.stat == {"internal_page_count": 2, "zero_fill_count": 2, "cow_faults": 0}


def test_the_size_is_rounded_and_a_fixed_address_truncated(task: VmMap) -> None:
    assert mach_vm_allocate(task, at(3) + 77, PAGE + 1, VM_FLAGS_FIXED) == (KERN_SUCCESS, at(3))
    assert regions(task) == [(3, 2)]


def test_pages_have_4_kb_on_intel() -> None:
    task = VmMap(Vm(4096))
    _, address = mach_vm_allocate(task, 0, 1, VM_FLAGS_ANYWHERE)
    assert mach_vm_region(task, address)[:3] == (KERN_SUCCESS, VM_MIN_ADDRESS, 4096)
    with pytest.raises(ValueError, match="page_size is 8192, and must be 4096 or 16384"):
        Vm(8192)


def test_no_bytes_are_at_address_0(task: VmMap) -> None:
    assert mach_vm_allocate(task, 4711, 0, VM_FLAGS_FIXED) == (KERN_SUCCESS, 0)
    assert task.entries == []


ALLOCATE: list[tuple[int, int, int, int]] = [
    (0, PAGE, 1 << 10, KERN_INVALID_ARGUMENT),
    (0, PAGE, VM_FLAGS_RETURN_DATA_ADDR | VM_FLAGS_ANYWHERE, KERN_INVALID_ARGUMENT),
    (0, OUT - 1, VM_FLAGS_ANYWHERE, KERN_INVALID_ARGUMENT),
    (0, OUT - 1, VM_FLAGS_FIXED, KERN_INVALID_ARGUMENT),
    (OUT - PAGE, 2 * PAGE, VM_FLAGS_FIXED, KERN_INVALID_ADDRESS),
    (OUT - PAGE, PAGE, VM_FLAGS_FIXED, KERN_INVALID_ADDRESS),
    (0, PAGE, VM_FLAGS_FIXED, KERN_INVALID_ADDRESS),
    (VM_MAX_ADDRESS, PAGE, VM_FLAGS_FIXED, KERN_INVALID_ADDRESS),
    (0, VM_MAX_ADDRESS, VM_FLAGS_ANYWHERE, KERN_NO_SPACE),
    (at(0), PAGE, VM_FLAGS_FIXED, KERN_NO_SPACE),
    (at(0), 9 * PAGE, VM_FLAGS_FIXED, KERN_NO_SPACE),
]


@pytest.mark.parametrize(("address", "size", "flags", "code"), ALLOCATE)
def test_a_refused_allocation(task: VmMap, address: int, size: int, flags: int, code: int) -> None:
    allocate(task, 1, page=0)
    before = task.vm.snapshot()
    assert mach_vm_allocate(task, address, size, flags) == (code, address)
    assert task.vm.snapshot() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda n: mach_vm_allocate(n, 0, PAGE, VM_FLAGS_ANYWHERE)[0],
        lambda n: mach_vm_deallocate(n, 0, PAGE),
        lambda n: mach_vm_protect(n, 0, PAGE, False, RW),
        lambda n: mach_vm_region(n, 0)[0],
        lambda n: map_it(n, None)[0],
    ],
)
def test_without_a_map_there_is_nothing(call: Callable[[None], int]) -> None:
    assert call(None) == KERN_INVALID_ARGUMENT


def test_numbers_must_fit_c_types(task: VmMap) -> None:
    with pytest.raises(ValueError, match=r"size is 0x1\d+, and must be 0 to 0xf+: C's uint64_t"):
        mach_vm_allocate(task, 0, OUT, VM_FLAGS_ANYWHERE)
    with pytest.raises(ValueError, match="address is -0x1, and must be"):
        map_it(task, None, address=-1)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: mach_vm_allocate(t, 0, PAGE, VM_FLAGS_ANYWHERE | VM_FLAGS_PURGABLE),
        lambda t: map_it(t, None, cur=RWX, most=RWX),
        lambda t: mach_vm_protect(t, at(0), PAGE, False, RWX),
        lambda t: mach_vm_protect(t, at(0), PAGE, False, RW | VM_PROT_COPY),
    ],
)
def test_what_is_not_modelled_is_refused(task: VmMap, call: Callable[[VmMap], object]) -> None:
    allocate(task, page=0)
    before = task.vm.snapshot()
    with pytest.raises(NotImplementedError):
        call(task)
    assert task.vm.snapshot() == before


# ---------------------------------------------------------------- joining and splitting


def test_small_neighbours_that_are_alike_become_one_region(task: VmMap) -> None:
    allocate(task)
    vm_write(task, at(0), b"a")
    allocate(task)
    assert regions(task) == [(0, 2)]
    assert task.entries[0].object is not None
    assert task.entries[0].object.size == 2 * PAGE
    allocate(task, flags=1 << 24)  # another tag
    allocate(task, 4)
    allocate(task, 4)  # 128 KB is too much
    assert regions(task) == [(0, 2), (2, 1), (3, 4), (7, 4)]
    assert vm_read(task, at(1), 1) == b"\0"


def test_a_neighbour_grows_over_what_was_left_in_its_object(task: VmMap) -> None:
    allocate(task, 3)
    vm_write(task, at(0), b"a")
    vm_write(task, at(2), b"old")
    mach_vm_deallocate(task, at(1), 2 * PAGE)
    allocate(task, 2, page=1)
    assert regions(task) == [(0, 3)]
    assert vm_read(task, at(2), 3) == bytes(3)


@pytest.mark.parametrize("how", ["shared", "copied", "protected", "private", "object"])
def test_a_neighbour_that_is_not_its_own_does_not_grow(task: VmMap, how: str) -> None:
    allocate(task)
    vm_write(task, at(0), b"a")
    if how == "shared":
        entry_of(task, PAGE, at(0), RW)
    elif how == "copied":
        entry_of(task, PAGE, at(0), RW | MAP_MEM_VM_COPY)
    elif how == "protected":
        mach_vm_protect(task, at(0), PAGE, False, VM_PROT_READ)
    elif how == "private":
        _, entry = mach_memory_object_memory_entry_64(task.vm, True, PAGE, RWX)
        mach_vm_deallocate(task, at(0), PAGE)
        assert map_it(task, entry, address=at(0), flags=0, copy=True, most=RWX)[0] == KERN_SUCCESS
        vm_write(task, at(0), b"b")
    else:
        mach_vm_deallocate(task, at(0), PAGE)
        entry = entry_of(task, PAGE, 0, RWX | MAP_MEM_NAMED_CREATE)
        assert map_it(task, entry, address=at(0), flags=0, most=RWX)[0] == KERN_SUCCESS
    allocate(task)
    assert regions(task) == [(0, 1), (1, 1)]


def test_a_call_on_the_middle_splits_a_region_and_its_undoing_joins_it(task: VmMap) -> None:
    allocate(task, 6)
    vm_write(task, at(0), b"a")
    assert mach_vm_protect(task, at(2), 2 * PAGE, False, VM_PROT_READ) == KERN_SUCCESS
    assert regions(task) == [(0, 2), (2, 2), (4, 2)]
    assert len({entry.object for entry in task.entries}) == 1
    assert mach_vm_protect(task, at(2), 2 * PAGE, False, RW) == KERN_SUCCESS
    assert regions(task) == [(0, 6)]
    assert task.entries[0].object is not None
    assert task.entries[0].object.ref_count == 1


def test_regions_that_got_objects_of_their_own_stay_apart(task: VmMap) -> None:
    allocate(task, 2)
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    vm_read(task, at(0), 1)
    vm_read(task, at(1), 1)
    mach_vm_protect(task, at(1), PAGE, False, RW)
    assert regions(task) == [(0, 1), (1, 1)]


def test_deallocating_leaves_what_is_outside_and_does_not_mind_gaps(task: VmMap) -> None:
    allocate(task, 5)
    vm_write(task, at(0), bytes(range(5)) * PAGE)
    assert mach_vm_deallocate(task, at(1) + 1, 1) == KERN_SUCCESS
    assert mach_vm_deallocate(task, at(1), 2 * PAGE) == KERN_SUCCESS
    assert mach_vm_deallocate(task, at(0), 0) == KERN_SUCCESS
    assert mach_vm_deallocate(task, OUT - 1, 1) == KERN_INVALID_ARGUMENT
    assert regions(task) == [(0, 1), (3, 2)]
    assert task.size == 3 * PAGE
    assert mach_vm_deallocate(task, 0, VM_MAX_ADDRESS) == KERN_SUCCESS
    assert task.vm.stat["internal_page_count"] == 0


def test_large_anonymous_memory_comes_in_pieces(task: VmMap) -> None:
    pages = ANON_CHUNK_SIZE // PAGE
    allocate(task, 2 * pages + 1)
    assert regions(task) == [(0, pages), (pages, pages), (2 * pages, 1)]
    other = VmMap(task.vm)
    allocate(other, 2 * pages + 1, flags=VM_FLAGS_4GB_CHUNK)
    assert regions(other) == [(0, 2 * pages + 1)]
    third = VmMap(task.vm)
    assert map_it(third, None, 2 * ANON_CHUNK_SIZE, cur=0, most=0)[0] == KERN_SUCCESS
    assert regions(third) == [(0, 2 * pages)]


# ---------------------------------------------------------------- protect, region


def test_protection_is_cut_down_to_a_new_maximum(task: VmMap) -> None:
    allocate(task, 2)
    assert mach_vm_protect(task, at(0), PAGE, True, VM_PROT_READ) == KERN_SUCCESS
    assert mach_vm_region(task, at(0)) == (
        KERN_SUCCESS,
        at(0),
        PAGE,
        Region(VM_PROT_READ, VM_PROT_READ, VM_INHERIT_COPY, False, 0, 0),
    )
    assert mach_vm_protect(task, at(0), 2 * PAGE, False, RW) == KERN_PROTECTION_FAILURE
    assert mach_vm_protect(task, at(1), PAGE, False, RW) == KERN_SUCCESS


PROTECT: list[tuple[int, int, int, int]] = [
    (at(0), PAGE, 0x20, KERN_INVALID_ARGUMENT),
    (OUT - PAGE, 2 * PAGE, RW, KERN_INVALID_ARGUMENT),
    (OUT - PAGE, PAGE - 1, RW, KERN_INVALID_ADDRESS),
    (at(0), 0, RW, KERN_SUCCESS),
    (at(1), PAGE, RW, KERN_INVALID_ADDRESS),
    (at(0), 3 * PAGE, RW, KERN_INVALID_ADDRESS),
    (at(2), 2 * PAGE, RW, KERN_PROTECTION_FAILURE),
    (at(2), PAGE, RW, KERN_PROTECTION_FAILURE),
]


@pytest.mark.parametrize(("start", "size", "prot", "code"), PROTECT)
def test_protect_changes_all_or_nothing(
    task: VmMap, start: int, size: int, prot: int, code: int
) -> None:
    allocate(task, 1, page=0)
    allocate(task, 1, page=2)
    mach_vm_protect(task, at(2), PAGE, True, VM_PROT_READ)
    before = task.vm.snapshot()
    assert mach_vm_protect(task, start, size, False, prot) == code
    assert task.vm.snapshot() == before


def test_regions_are_listed_from_an_address_on(task: VmMap) -> None:
    allocate(task, 2, page=3)
    for address in (0, at(3), at(4) + 5):
        assert mach_vm_region(task, address)[:3] == (KERN_SUCCESS, at(3), 2 * PAGE)
    assert mach_vm_region(task, at(5)) == (KERN_INVALID_ADDRESS, at(5), 0, None)


# ---------------------------------------------------------------- touching


@pytest.mark.parametrize(
    ("page", "write", "code", "signal"),
    [
        (1, False, KERN_INVALID_ADDRESS, "SIGSEGV"),
        (1, True, KERN_INVALID_ADDRESS, "SIGSEGV"),
        (0, True, KERN_PROTECTION_FAILURE, "SIGBUS"),
        (2, False, KERN_PROTECTION_FAILURE, "SIGBUS"),
        (3, True, KERN_PROTECTION_FAILURE, "SIGBUS"),
    ],
)
def test_a_fault_says_what_the_process_is_sent(
    task: VmMap, page: int, write: bool, code: int, signal: str
) -> None:
    for where, prot in ((0, VM_PROT_READ), (2, VM_PROT_NONE), (3, VM_PROT_WRITE)):
        allocate(task, page=where)
        mach_vm_protect(task, at(where), PAGE, False, prot)
    with pytest.raises(VmFault) as stop:
        vm_write(task, at(page) + 8, b"x") if write else vm_read(task, at(page) + 8, 1)
    fault = stop.value
    access = "write" if write else "read"
    assert (fault.address, fault.code, fault.signal) == (at(page) + 8, code, signal)
    assert fault.access == access
    assert str(fault).startswith(f"{signal}: {access} at {at(page) + 8:#x}: ")


def test_a_write_that_faults_has_written_what_lies_before(task: VmMap) -> None:
    allocate(task)
    with pytest.raises(VmFault) as stop:
        vm_write(task, at(1) - 2, b"abcd")
    assert stop.value.address == at(1)
    assert vm_read(task, at(1) - 2, 2) == b"ab"


def test_touching_nothing_is_no_fault(task: VmMap) -> None:
    vm_write(task, 0, b"")
    assert vm_read(task, 0, 0) == b""
    with pytest.raises(ValueError, match="the last address is"):
        vm_read(task, OUT - 1, 2)
    with pytest.raises(VmFault):
        vm_read(task, OUT - 1, 1)
