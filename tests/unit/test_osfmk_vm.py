"""Address maps, objects and touching memory: kextlab.osfmk.vm_map, vm_object, vm_fault, vm_user."""

from collections.abc import Callable

import pytest

from kextlab.abi.mach import (
    ANON_CHUNK_SIZE,
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_OBJECT,
    KERN_INVALID_RIGHT,
    KERN_NO_SPACE,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_4K_DATA_ADDR,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_4GB_CHUNK,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_FIXED,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_PURGABLE,
    VM_FLAGS_RETURN_4K_DATA_ADDR,
    VM_FLAGS_RETURN_DATA_ADDR,
    VM_INHERIT_COPY,
    VM_INHERIT_DEFAULT,
    VM_INHERIT_NONE,
    VM_INHERIT_SHARE,
    VM_PROT_ALL,
    VM_PROT_COPY,
    VM_PROT_DEFAULT,
    VM_PROT_EXECUTE,
    VM_PROT_IS_MASK,
    VM_PROT_NONE,
    VM_PROT_READ,
    VM_PROT_UEXEC,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import (
    NamedEntry,
    mach_make_memory_entry_64,
    mach_memory_object_memory_entry_64,
)
from kextlab.osfmk.vm_fault import VmFault, copy_steps, read_steps, vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MAX_ADDRESS, VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    Region,
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_map,
    mach_vm_protect,
    mach_vm_region,
)
from kextlab.sched import LET_GO, drive
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder

PAGE = 16384
RW = VM_PROT_READ | VM_PROT_WRITE
RWX = VM_PROT_ALL
OUT = 1 << 64


@pytest.fixture
def vm() -> Vm:
    return Vm()


@pytest.fixture
def task(vm: Vm) -> VmMap:
    return VmMap(vm)


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
        lambda t: map_it(t, None, cur=VM_PROT_UEXEC),
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
    with pytest.raises(ValueError, match="the end of the range is"):
        vm_read(task, OUT - 1, 2)


# ---------------------------------------------------------------- sharing, copying


def test_a_shared_page_is_one_page_behind_two_maps(vm: Vm) -> None:
    server, client = VmMap(vm), VmMap(vm)
    source = allocate(server)
    vm_write(server, source, b"hello")
    entry = entry_of(server, PAGE, source, RW)
    window = mapped(client, entry)
    entry.release()
    assert vm_read(client, window, 5) == b"hello"
    vm_write(client, window + 1, b"a")
    assert vm_read(server, source, 5) == b"hallo"
    assert server.entries[0].object is client.entries[0].object
    assert vm.stat["internal_page_count"] == 1
    server.terminate()
    assert vm_read(client, window, 5) == b"hallo"
    client.terminate()
    assert vm.snapshot() == {
        "vmstat": {"internal_page_count": 0, "zero_fill_count": 1, "cow_faults": 0}
    }


def test_a_private_copy_is_made_of_the_pages_that_are_written_only(vm: Vm) -> None:
    server, client = VmMap(vm), VmMap(vm)
    source = allocate(server, 4)
    vm_write(server, source, b"1" * 4 * PAGE)
    window = mapped(client, entry_of(server, 4 * PAGE, source, RW), 4 * PAGE, copy=True)
    assert vm_read(client, window, 4 * PAGE) == b"1" * 4 * PAGE
    assert vm.stat["cow_faults"] == 0
    vm_write(client, window + PAGE, b"2")  # the copy is written: its own page
    assert vm.stat["cow_faults"] == 1
    vm_write(server, source, b"3")  # the original is written: the old page goes to the copy
    vm_write(server, source, b"3")
    assert vm.stat["cow_faults"] == 2
    assert [vm_read(server, source + i * PAGE, 1) for i in range(4)] == [b"3", b"1", b"1", b"1"]
    assert [vm_read(client, window + i * PAGE, 1) for i in range(4)] == [b"1", b"2", b"1", b"1"]
    assert vm.stat["internal_page_count"] == 6


def test_copies_of_several_times_keep_what_was_there_then(vm: Vm) -> None:
    server, client = VmMap(vm), VmMap(vm)
    source = allocate(server, 2)
    vm_write(server, source, b"0")
    entry = entry_of(server, 2 * PAGE, source, RW)
    windows = []
    for i in range(1, 4):
        windows.append(mapped(client, entry, PAGE, copy=True))
        windows.append(mapped(client, entry, 2 * PAGE, copy=True))  # nothing written since
        vm_write(server, source, b"%d" % i)
        vm_write(server, source + PAGE, b"%d" % i)
    assert [vm_read(client, at, 1) for at in windows] == [b"0", b"0", b"1", b"1", b"2", b"2"]
    assert [vm_read(client, at + PAGE, 1) for at in windows[1::2]] == [b"\0", b"1", b"2"]
    client.terminate()
    vm_write(server, source, b"x")
    entry.release()
    server.terminate()
    assert vm.stat["internal_page_count"] == 0


def test_a_copy_that_is_gone_costs_nothing(task: VmMap) -> None:
    allocate(task)
    vm_write(task, at(0), b"a")
    object = task.entries[0].object
    entry_of(task, PAGE, at(0), RW | MAP_MEM_VM_COPY).release()
    assert task.entries[0].needs_copy
    vm_write(task, at(0), b"b")
    assert not task.entries[0].needs_copy
    assert task.entries[0].object is object
    assert task.vm.stat["cow_faults"] == 0


def test_new_memory_is_copied_at_once(vm: Vm) -> None:
    task = VmMap(vm)
    entry = entry_of(task, 3 * PAGE, 0, RW | MAP_MEM_NAMED_CREATE)
    window = mapped(task, entry, 3 * PAGE)
    vm_write(task, window + PAGE, b"a")
    vm_write(task, window + 2 * PAGE, b"b")
    copy = mapped(task, entry, 2 * PAGE, copy=True)
    assert vm.stat["internal_page_count"] == 3
    vm_write(task, window + PAGE, b"c")
    assert vm_read(task, copy + PAGE, 1) == b"a"
    assert vm_read(task, copy, 1) == b"\0"


# ---------------------------------------------------------------- mach_vm_map


def test_zeros_are_mapped_with_every_wish(task: VmMap) -> None:
    code, address = map_it(
        task,
        None,
        100,
        address=at(7) + 3,
        mask=(1 << 20) - 1,
        offset=12345,
        copy=True,
        cur=VM_PROT_READ,
        most=RWX,
        inheritance=VM_INHERIT_SHARE,
    )
    assert code == KERN_SUCCESS
    assert address == VM_MIN_ADDRESS + (1 << 20)
    region = Region(VM_PROT_READ, RWX, VM_INHERIT_SHARE, False, 0, 0)
    assert mach_vm_region(task, address) == (KERN_SUCCESS, address, PAGE, region)


def test_more_protection_than_the_maximum_is_cut_down(task: VmMap) -> None:
    _, address = map_it(task, None, cur=RW, most=VM_PROT_READ)
    assert mach_vm_region(task, address)[3] == Region(1, 1, VM_INHERIT_COPY, False, 0, 0)


def test_a_mask_takes_what_the_entry_has(task: VmMap) -> None:
    entry = entry_of(task, PAGE, 0, VM_PROT_READ | MAP_MEM_NAMED_CREATE)
    code, address = map_it(task, entry, cur=RWX | VM_PROT_IS_MASK, most=RWX | VM_PROT_IS_MASK)
    assert code == KERN_SUCCESS
    assert mach_vm_region(task, address)[3] == Region(1, 1, VM_INHERIT_COPY, False, 0, 0)


def test_inheritance_is_kept(task: VmMap) -> None:
    for inheritance in (VM_INHERIT_SHARE, VM_INHERIT_COPY, VM_INHERIT_NONE):
        _, address = map_it(task, None, inheritance=inheritance)
        region = mach_vm_region(task, address)[3]
        assert region is not None
        assert region.inheritance == inheritance


MAP: list[tuple[dict[str, int], int]] = [
    ({"flags": 1 << 10}, KERN_INVALID_ARGUMENT),
    ({"cur": 0x20}, KERN_INVALID_ARGUMENT),
    ({"most": 0x20}, KERN_INVALID_ARGUMENT),
    ({"inheritance": 3}, KERN_INVALID_ARGUMENT),
    ({"inheritance": -1}, KERN_INVALID_ARGUMENT),
    ({"size": 0}, KERN_INVALID_ARGUMENT),
    ({"size": OUT - 1}, KERN_INVALID_ARGUMENT),
    ({"size": OUT - PAGE, "address": at(0), "flags": 0}, KERN_INVALID_ARGUMENT),
    ({"offset": OUT - PAGE}, KERN_INVALID_ARGUMENT),
    ({"offset": 1}, KERN_INVALID_ARGUMENT),
    ({"offset": PAGE}, KERN_INVALID_ARGUMENT),
    ({"size": PAGE + 1}, KERN_INVALID_ARGUMENT),
    ({"cur": RW, "most": RW}, KERN_INVALID_RIGHT),
    ({"cur": VM_PROT_READ, "most": RW}, KERN_INVALID_RIGHT),
    ({"address": at(1), "mask": (1 << 20) - 1, "flags": 0}, KERN_NO_SPACE),
    ({"address": at(0), "flags": 0}, KERN_NO_SPACE),
    ({"address": 0, "flags": 0}, KERN_INVALID_ADDRESS),
    ({"address": VM_MAX_ADDRESS}, KERN_NO_SPACE),
    ({"mask": OUT - 1}, KERN_NO_SPACE),
]


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize(("arguments", "code"), MAP)
def test_a_refused_mapping(task: VmMap, arguments: dict[str, int], code: int, copy: bool) -> None:
    allocate(task, page=0)
    vm_write(task, at(0), b"a")
    entry = entry_of(task, PAGE, at(0), VM_PROT_READ)
    before = task.vm.snapshot()
    asked = {"cur": VM_PROT_READ, "most": VM_PROT_READ} | arguments
    answer = map_it(task, entry, copy=copy, **asked)  # type: ignore[arg-type]  # all are int
    assert answer == (code, asked.get("address", 0))
    assert task.vm.snapshot() == before


def test_zeros_are_not_mapped_over_what_is_there(task: VmMap) -> None:
    allocate(task)
    assert map_it(task, None, address=at(0), flags=0) == (KERN_NO_SPACE, at(0))
    assert map_it(task, None, address=at(0), flags=VM_FLAGS_OVERWRITE) == (KERN_SUCCESS, at(0))


def test_a_port_that_is_no_memory_entry(task: VmMap) -> None:
    assert map_it(task, object()) == (KERN_INVALID_OBJECT, 0)


@pytest.mark.parametrize("kind", [MAP_MEM_VM_COPY, MAP_MEM_VM_SHARE])
def test_a_list_of_entries_is_mapped_whole(task: VmMap, kind: int) -> None:
    allocate(task, 1, flags=1 << 24)
    allocate(task, 1, flags=2 << 24)
    vm_write(task, at(0), b"a")
    vm_write(task, at(1), b"b")
    entry = entry_of(task, 2 * PAGE, at(0), kind | RW)
    code, address = map_it(task, entry, 10, offset=PAGE)
    assert (code, address) == (KERN_SUCCESS, at(2))
    assert regions(task) == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert vm_read(task, at(3) - 1, 2) == b"\0b"
    before = task.vm.snapshot()
    assert map_it(task, entry, flags=VM_FLAGS_ANYWHERE | VM_FLAGS_4GB_CHUNK)[0] == (
        KERN_INVALID_ARGUMENT
    )
    assert map_it(task, entry, address=at(0), flags=0) == (KERN_NO_SPACE, at(0))
    assert task.vm.snapshot() == before
    assert map_it(task, entry, address=at(1), flags=VM_FLAGS_OVERWRITE)[0] == KERN_SUCCESS
    assert vm_read(task, at(1), 1) == b"a"


@pytest.mark.parametrize("copy", [False, True])
def test_memory_nobody_touched_is_copied_as_zeros(task: VmMap, copy: bool) -> None:
    allocate(task)
    entry = entry_of(task, PAGE, at(0), RW | MAP_MEM_VM_COPY)
    window = mapped(task, entry, copy=copy)
    vm_write(task, at(0), b"a")
    assert vm_read(task, window, 1) == b"\0"


def test_a_copy_of_new_memory_can_be_mapped_in_both_ways(task: VmMap) -> None:
    window = mapped(task, entry_of(task, PAGE, 0, RW | MAP_MEM_NAMED_CREATE))
    vm_write(task, window, b"a")
    entry = entry_of(task, PAGE, window, RW | MAP_MEM_VM_COPY)
    one = mapped(task, entry, copy=True)
    two, three = mapped(task, entry), mapped(task, entry)
    vm_write(task, window, b"b")
    vm_write(task, two, b"c")
    seen = [vm_read(task, address, 1) for address in (window, one, two, three)]
    assert seen == [b"b", b"a", b"c", b"c"]


@pytest.mark.parametrize("kind", [0, MAP_MEM_VM_SHARE])
def test_the_address_of_the_data(task: VmMap, kind: int) -> None:
    allocate(task)
    exact = entry_of(task, 100, at(0) + 5000, kind | RW | MAP_MEM_USE_DATA_ADDR)
    fourk = entry_of(task, 100, at(0) + 5000, kind | RW | MAP_MEM_4K_DATA_ADDR)
    assert (exact.data_offset, fourk.data_offset) == (5000, 4096)
    cases = (
        (exact, 0, 0),
        (exact, VM_FLAGS_RETURN_DATA_ADDR, 5000),
        (fourk, VM_FLAGS_RETURN_4K_DATA_ADDR, 4096),
    )
    for entry, flag, expected in cases:
        code, address = map_it(task, entry, 100, flags=VM_FLAGS_ANYWHERE | flag)
        assert (code, address % PAGE) == (KERN_SUCCESS, expected)


def test_data_that_is_not_at_4_kb_of_an_object_cannot_be_asked_for_so(task: VmMap) -> None:
    allocate(task)
    entry = entry_of(task, 100, at(0) + 5000, RW | MAP_MEM_USE_DATA_ADDR)
    flags = VM_FLAGS_ANYWHERE | VM_FLAGS_RETURN_4K_DATA_ADDR
    assert map_it(task, entry, 100, flags=flags) == (KERN_INVALID_ARGUMENT, 0)


# ---------------------------------------------------------------- steps, trace


def test_an_update_of_several_words_can_be_seen_half_done(vm: Vm) -> None:
    writer, reader = VmMap(vm), VmMap(vm)
    source = allocate(writer)
    vm_write(writer, source, b"old old old old ")
    window = mapped(reader, entry_of(writer, PAGE, source, RW))
    update = copy_steps(writer, source, b"new new new new ")
    assert next(update) is LET_GO
    assert vm_read(reader, window, 16) == b"new new old old "
    with pytest.raises(StopIteration):
        next(update)
    assert vm_read(reader, window, 16) == b"new new new new "


def test_words_are_aligned(task: VmMap) -> None:
    allocate(task)
    steps = copy_steps(task, at(0) + 3, b"abcdefghij", word=4)
    seen = []
    for _ in steps:
        seen.append(vm_read(task, at(0) + 3, 10))
    assert seen == [b"a" + bytes(9), b"abcde" + bytes(5), b"abcdefghi\0"]


def test_a_read_can_be_torn_too(task: VmMap) -> None:
    allocate(task)
    vm_write(task, at(0), b"old old old old ")
    reading = read_steps(task, at(0), 16)
    next(reading)
    vm_write(task, at(0), b"new new new new ")
    with pytest.raises(StopIteration) as end:
        next(reading)
    assert end.value.value == b"old old new new "
    assert drive(read_steps(task, at(0), 0)) == b""
    drive(copy_steps(task, at(0), b""))


def test_a_word_has_a_size_a_processor_writes_at_once(task: VmMap) -> None:
    allocate(task)
    with pytest.raises(ValueError, match="word is 3, and must be 1, 2, 4, 8 or 16 bytes"):
        drive(copy_steps(task, at(0), b"abc", word=3))


def test_a_call_is_one_step_of_the_trace() -> None:
    entries: list[Entry] = []
    folder = Folder()
    vm = Vm(record=entries.append)
    task = VmMap(vm)
    allocate(task, 4)
    vm_write(task, at(1) - 4, b"12345678")
    vm_write(task, at(1), b"5")
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    assert len(entries) == 2 + 1 + 2 + 1 + 1
    for entry in entries:
        folder.step(entry)
    assert folder.state == vm.snapshot()
    assert folder.state["vm_bytes:2.0"] == {
        "page": "vm_page:2",
        "at": 0,
        "data": b"5678" + bytes(252),
    }


def test_without_a_trace_the_snapshot_is_the_same() -> None:
    states = []
    for record in (None, Folder().step):
        vm = Vm(record=record)
        task = VmMap(vm)
        allocate(task, 4)
        vm_write(task, at(1) - 4, b"12345678")
        window = mapped(task, entry_of(task, 4 * PAGE, at(0), RW), 4 * PAGE, copy=True)
        vm_write(task, window, b"x")
        mach_vm_deallocate(task, at(0), PAGE)
        states.append(vm.snapshot())
    assert states[0] == states[1]
    assert VM_PROT_DEFAULT == RW
    assert VM_PROT_EXECUTE == RWX & ~RW
