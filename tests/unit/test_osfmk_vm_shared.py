"""Memory that is shared, copied, mapped: kextlab.osfmk.vm_object, mach_vm_map, writes in steps."""

import pytest

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_INVALID_ARGUMENT,
    KERN_INVALID_OBJECT,
    KERN_INVALID_RIGHT,
    KERN_NO_SPACE,
    KERN_SUCCESS,
    MAP_MEM_4K_DATA_ADDR,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_USE_DATA_ADDR,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_4GB_CHUNK,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_OVERWRITE,
    VM_FLAGS_RETURN_4K_DATA_ADDR,
    VM_FLAGS_RETURN_DATA_ADDR,
    VM_INHERIT_COPY,
    VM_INHERIT_NONE,
    VM_INHERIT_SHARE,
    VM_PROT_DEFAULT,
    VM_PROT_EXECUTE,
    VM_PROT_IS_MASK,
    VM_PROT_READ,
)
from kextlab.osfmk.memory_entry import (
    mach_memory_object_memory_entry_64,
)
from kextlab.osfmk.vm_fault import copy_steps, read_steps, vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MAX_ADDRESS, VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    Region,
    mach_vm_deallocate,
    mach_vm_protect,
    mach_vm_region,
)
from kextlab.sched import LET_GO, drive
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder
from tests.unit.vm_tasks import OUT, PAGE, RW, RWX, allocate, at, entry_of, map_it, mapped, regions


@pytest.fixture
def vm() -> Vm:
    return Vm()


@pytest.fixture
def task(vm: Vm) -> VmMap:
    return VmMap(vm)


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


def test_two_copies_of_one_moment_are_two(vm: Vm) -> None:
    task = VmMap(vm)
    _, entry = mach_memory_object_memory_entry_64(vm, True, PAGE, RW)
    one, two = mapped(task, entry, copy=True), mapped(task, entry, copy=True)
    vm_write(task, one, b"1")
    assert vm_read(task, two, 1) == b"\0"


def test_a_copy_sees_what_a_newer_one_holds_after_that_is_gone(vm: Vm) -> None:
    task = VmMap(vm)
    _, entry = mach_memory_object_memory_entry_64(vm, True, 2 * PAGE, RW)
    window = mapped(task, entry, 2 * PAGE)
    vm_write(task, window + PAGE, b"0")
    older = mapped(task, entry, 2 * PAGE, copy=True)
    vm_write(task, window, b"1")
    newer = mapped(task, entry, PAGE, copy=True)  # and it is smaller
    vm_write(task, window + PAGE, b"2")
    mach_vm_deallocate(task, newer, PAGE)
    assert vm_read(task, older, 1) == b"\0"
    assert vm_read(task, older + PAGE, 1) == b"0"


def test_nothing_is_kept_for_a_copy_that_does_not_reach_so_far(vm: Vm) -> None:
    task = VmMap(vm)
    _, entry = mach_memory_object_memory_entry_64(vm, True, 2 * PAGE, RW)
    window = mapped(task, entry, 2 * PAGE)
    vm_write(task, window, b"0" * 2 * PAGE)
    mapped(task, entry, PAGE, copy=True)
    vm_write(task, window + PAGE, b"1")
    assert vm.stat["cow_faults"] == 0


def test_a_copy_can_be_shared_and_is_still_a_copy(vm: Vm) -> None:
    task = VmMap(vm)
    _, entry = mach_memory_object_memory_entry_64(vm, True, PAGE, RW)
    one = mapped(task, entry, copy=True)
    window = mapped(task, entry_of(task, PAGE, one, RW))
    two = mapped(task, entry, copy=True)
    vm_write(task, one, b"1")
    assert vm_read(task, window, 1) == b"1"
    assert vm_read(task, two, 1) == b"\0"


def test_what_is_left_of_a_region_is_shared_without_the_rest(task: VmMap) -> None:
    allocate(task, 2)
    vm_write(task, at(0), b"0")
    mach_vm_deallocate(task, at(1), PAGE)
    entry = entry_of(task, PAGE, at(0), RW)
    assert entry.vm_object.size == PAGE
    window = mapped(task, entry)
    vm_write(task, at(0) + 1, b"1")
    assert vm_read(task, window, 2) == b"01"
    region = mach_vm_region(task, at(0))[3]
    assert region is not None
    assert region.shared


def test_two_windows_onto_the_same_pages_are_two_regions(task: VmMap) -> None:
    entry = entry_of(task, PAGE, 0, RW | MAP_MEM_NAMED_CREATE)
    for page in range(2):
        assert map_it(task, entry, address=at(page), flags=0) == (KERN_SUCCESS, at(page))
    mach_vm_protect(task, at(0), 2 * PAGE, False, VM_PROT_READ)
    assert regions(task) == [(0, 1), (1, 1)]


def test_a_copy_that_is_gone_costs_nothing(task: VmMap) -> None:
    allocate(task)
    vm_write(task, at(0), b"a")
    object = task.entries[0].object
    entry = entry_of(task, PAGE, at(0), RW | MAP_MEM_VM_COPY)
    assert task.entries[0].needs_copy
    assert entry.backing.entries[0].needs_copy
    entry.release()
    vm_write(task, at(0), b"b")
    assert not task.entries[0].needs_copy
    assert task.entries[0].object is object
    assert task.vm.stat["cow_faults"] == 0


def test_copies_that_come_and_go_leave_nothing_behind(task: VmMap) -> None:
    allocate(task, 3)
    vm_write(task, at(0), b"-" * 3 * PAGE)
    for i in range(5):
        entry = entry_of(task, 3 * PAGE, at(0), RW | MAP_MEM_VM_COPY)
        window = mapped(task, entry, 3 * PAGE, copy=True)
        vm_write(task, at(i % 3), b"%d" % i)
        assert vm_read(task, window + i % 3 * PAGE, 1) != b"%d" % i
        mach_vm_deallocate(task, window, 3 * PAGE)
        entry.release()
        vm_write(task, at((i + 1) % 3), b"%d" % i)
        assert task.vm.stat["internal_page_count"] == 3
    assert [vm_read(task, at(page), 1) for page in range(3)] == [b"3", b"4", b"4"]


def part(task: VmMap, pages: int, page: int) -> int:
    """A private copy of some pages."""
    entry = entry_of(task, pages * PAGE, page, RW | MAP_MEM_VM_COPY)
    window = mapped(task, entry, pages * PAGE, copy=True)
    entry.release()
    return window


def test_a_part_keeps_of_the_object_behind_it_what_it_shows(task: VmMap) -> None:
    allocate(task, 4)
    for page in range(4):
        vm_write(task, at(page), b"%d" % page)
    window = part(task, 3, at(1))
    vm_write(task, window + 1, b"a")
    mach_vm_deallocate(task, at(0), 4 * PAGE)
    assert task.vm.stat["internal_page_count"] == 5
    vm_write(task, window + PAGE + 1, b"b")
    assert task.vm.stat["internal_page_count"] == 3
    assert [vm_read(task, window + i * PAGE, 2) for i in range(3)] == [b"1a", b"2b", b"3\0"]


def test_a_part_of_a_part_sees_through_to_the_whole(task: VmMap) -> None:
    allocate(task, 4)
    for page in range(4):
        vm_write(task, at(page), b"%d" % page)
    window = part(task, 3, at(1))
    vm_write(task, window, b"a")
    inner = part(task, 2, window + PAGE)
    vm_write(task, inner, b"b")
    mach_vm_deallocate(task, window, 3 * PAGE)  # nobody but the inner part uses its object now
    inner_entry = task.lookup(inner)
    assert inner_entry is not None
    vm_write(task, inner, b"c")
    assert vm_read(task, inner + PAGE, 1) == b"3"
    vm_write(task, inner + PAGE + 1, b"d")
    assert vm_read(task, inner + PAGE, 2) == b"3d"
    assert inner_entry.object is not None
    whole = task.entries[0].object
    assert inner_entry.object.shadow is whole
    assert inner_entry.object.shadow_offset == 2 * PAGE
    assert [vm_read(task, at(page), 1) for page in range(4)] == [b"0", b"1", b"2", b"3"]


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
    code, copy = map_it(task, entry, 2 * PAGE, offset=PAGE, copy=True)
    assert (code, vm_read(task, copy, 1)) == (KERN_SUCCESS, b"c")


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


def test_a_call_a_fault_and_a_write_are_one_step_of_the_trace_each() -> None:
    entries: list[Entry] = []
    folder = Folder()
    vm = Vm(record=entries.append)
    task = VmMap(vm)
    allocate(task, 4)
    vm_write(task, at(1) - 4, b"12345678")
    vm_write(task, at(1), b"5")
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    mach_vm_protect(task, at(1), PAGE, False, VM_PROT_READ)
    assert len(entries) == 2 + 1 + 2 * 2 + 1 + 1  # the call that changes nothing is none
    for entry in entries:
        folder.step(entry)
    assert folder.state == vm.snapshot()
    assert folder.state["vm_bytes:32"] == {
        "page": "vm_page:2",
        "at": 0,
        "data": b"5678" + bytes(1020),
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
