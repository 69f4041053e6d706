"""Memory and arrays of rights in messages: what leaves the sender, what the receiver gets."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.abi import mach as m
from kextlab.abi.mach_messages import (
    Descriptor,
    OolDescriptor,
    OolPortsDescriptor,
    PortDescriptor,
    split_message,
    unpack_message,
)
from kextlab.osfmk import mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_kmsg_body import KMSG_MAX_VM_SPACE, MAX_OOL_PORTS, TOO_MANY_RIGHTS
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Ipc, Space
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MAX_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import mach_vm_protect
from kextlab.trace.log import Trace
from tests.unit.mach_tasks import SEND, Task, filled
from tests.unit.vm_tasks import PAGE, allocate, entry_of, mapped, regions

COPY, MOVE = m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MOVE_SEND


@pytest.fixture
def ipc() -> Ipc:
    return Ipc()


@pytest.fixture
def vm() -> Vm:
    return Vm()


@pytest.fixture
def sender(ipc: Ipc, vm: Vm) -> Task:
    return Task(Space(ipc, 100), VmMap(vm))


@pytest.fixture
def receiver(ipc: Ipc, vm: Vm) -> Task:
    return Task(Space(ipc, 101), VmMap(vm))


@pytest.fixture
def there(receiver: Task) -> int:
    return receiver.port()


@pytest.fixture
def to(sender: Task, receiver: Task, there: int) -> int:
    return sender.right_to(receiver, there)


def pages_of(vm: Vm) -> int:
    return vm.stat["internal_page_count"]


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [m.MACH_MSG_PHYSICAL_COPY, m.MACH_MSG_VIRTUAL_COPY])
@pytest.mark.parametrize("deallocate", [False, True])
@pytest.mark.parametrize(
    ("skip", "size"),
    [
        (0, 1),
        (5, 100),
        (0, PAGE),
        (0, 2 * PAGE),
        (0, 4 * PAGE),
        (100, 2 * PAGE),
        (100, 4 * PAGE),
        (0, 3 * PAGE + 7),
    ],
)
def test_the_receiver_gets_the_bytes_and_no_others(
    sender: Task,
    receiver: Task,
    there: int,
    to: int,
    vm: Vm,
    skip: int,
    size: int,
    deallocate: bool,
    copy: int,
) -> None:
    start = allocate(sender.map, 6)
    vm_write(sender.map, start, b"s" * 6 * PAGE)
    vm_write(sender.map, start + skip, b"d" * size)
    code, _ = sender.send(to, OolDescriptor(start + skip, size, deallocate, copy))
    assert code == m.MACH_MSG_SUCCESS
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolDescriptor)
    assert (got.size, got.copy, got.type) == (size, copy, m.MACH_MSG_OOL_DESCRIPTOR)
    assert got.deallocate == (copy == m.MACH_MSG_VIRTUAL_COPY)
    begin, end = receiver.map.entries[0].start, receiver.map.entries[-1].end
    whole = vm_read(receiver.map, begin, end - begin)
    data = whole[got.address - begin :][:size]
    assert data == b"d" * size
    assert set(whole) <= set(b"d\0")
    vm_write(receiver.map, got.address, b"r" * size)
    assert not [name for name in vm.live if name.startswith("vm_map_copy")]
    if not deallocate:
        assert vm_read(sender.map, start + skip, size) == b"d" * size
        return
    gone = (skip + size + PAGE - 1) // PAGE
    with pytest.raises(VmFault):
        vm_read(sender.map, start + gone * PAGE - 1, 1)
    assert vm_read(sender.map, start + gone * PAGE, 1) == b"s"


def test_whole_pages_are_copied_when_somebody_writes(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    start = filled(sender, 4)
    assert sender.send(to, OolDescriptor(start, 4 * PAGE))[0] == m.MACH_MSG_SUCCESS
    vm_write(sender.map, start, b"late")  # after the send: the receiver does not see it
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolDescriptor)
    assert pages_of(vm) == 5
    assert vm_read(receiver.map, got.address, 4) == b"xxxx"
    vm_write(receiver.map, got.address + PAGE, b"mine")
    assert pages_of(vm) == 6
    assert vm_read(sender.map, start + PAGE, 4) == b"xxxx"


def test_what_is_deallocated_moves(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    start = filled(sender, 4)
    sender.send(to, OolDescriptor(start, 4 * PAGE, deallocate=True))
    assert regions(sender.map) == []
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolDescriptor)
    vm_write(receiver.map, got.address, b"y" * 4 * PAGE)
    assert pages_of(vm) == 4
    assert vm.stat["cow_faults"] == 0


def test_a_physical_copy_is_made_by_the_time_the_send_returns(
    sender: Task, to: int, vm: Vm
) -> None:
    start = filled(sender, 4)
    sender.send(to, OolDescriptor(start, 4 * PAGE, False, m.MACH_MSG_PHYSICAL_COPY))
    assert pages_of(vm) == 8


def test_shared_memory_is_copied_as_it_is_at_the_send(
    sender: Task, receiver: Task, there: int, to: int
) -> None:
    start = filled(sender, 4)
    entry = entry_of(sender.map, 4 * PAGE, start, m.VM_PROT_DEFAULT)
    window = mapped(receiver.map, entry, 4 * PAGE)
    sender.send(to, OolDescriptor(start, 4 * PAGE, deallocate=True))
    vm_write(receiver.map, window, b"late")
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolDescriptor)
    assert vm_read(receiver.map, got.address, 4) == b"xxxx"


def test_zeros_nobody_touched_stay_untouched(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    for skip, size in ((0, 4 * PAGE), (8, 4 * PAGE)):
        start = allocate(sender.map, 5)
        sender.send(to, OolDescriptor(start + skip, size))
        (got,) = receiver.take(there).descriptors
        assert isinstance(got, OolDescriptor)
        assert vm_read(receiver.map, got.address, size) == bytes(size)


def test_a_region_over_pages_some_of_which_are_behind_a_copy(
    sender: Task, receiver: Task, there: int, to: int
) -> None:
    start = filled(sender, 4)
    sender.send(to, OolDescriptor(start, 4 * PAGE))
    vm_write(sender.map, start + PAGE, b"n" * PAGE)
    sender.send(to, OolDescriptor(start + 1, 4 * PAGE - 1))
    receiver.take(there)
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolDescriptor)
    expected = b"x" * (PAGE - 1) + b"n" * PAGE + b"x" * 2 * PAGE
    assert vm_read(receiver.map, got.address, 4 * PAGE - 1) == expected


def test_memory_of_no_bytes_needs_no_address(receiver: Task, there: int, ipc: Ipc) -> None:
    poor = Space(ipc, 102)
    _, right = mach_port.copyin(receiver.space, there, m.MACH_MSG_TYPE_MAKE_SEND)
    assert isinstance(right, Port)
    _, to = mach_port.copyout(poor, right, m.MACH_MSG_TYPE_PORT_SEND)
    volatile = OolDescriptor(0xDEAD, 0, True, 1, m.MACH_MSG_OOL_VOLATILE_DESCRIPTOR)
    message = Message(Header(to, COPY, complex=True, size=44), b"", [volatile])
    assert mach_msg.send(poor, message, SEND) == m.MACH_MSG_SUCCESS
    got = receiver.take(there).descriptors
    assert got == [OolDescriptor(0, 0, True, 1, m.MACH_MSG_OOL_VOLATILE_DESCRIPTOR)]


def test_a_task_without_a_map_sends_no_memory(sender: Task, to: int) -> None:
    memory = OolDescriptor(allocate(sender.map), 4)
    message = Message(Header(to, COPY, complex=True, size=44), b"", [memory])
    with pytest.raises(NotImplementedError, match="without a map"):
        mach_msg.send(sender.space, message, SEND)


def unreadable(task: Task) -> int:
    start = allocate(task.map, 4)
    mach_vm_protect(task.map, start + 2 * PAGE, PAGE, False, m.VM_PROT_NONE)
    return start


def one_page(task: Task) -> int:
    return allocate(task.map)


@pytest.mark.parametrize("size", [4 * PAGE, 3 * PAGE - 1])
@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize(
    "where",
    [
        unreadable,
        lambda task: allocate(task.map),
        lambda _: VM_MAX_ADDRESS - 1,
        lambda _: 2**64 - 1,
    ],
    ids=["protected", "not mapped", "beyond", "wraps"],
)
def test_memory_that_cannot_be_read_is_refused(
    sender: Task, to: int, size: int, copy: int, where: Callable[[Task], int], vm: Vm
) -> None:
    start = where(sender)
    mapped_pages = sum(count for _, count in regions(sender.map))
    for deallocate in (False, True):
        memory = OolDescriptor(start, size, deallocate, copy)
        assert sender.send(to, memory)[0] == m.MACH_SEND_INVALID_MEMORY
    assert sum(count for _, count in regions(sender.map)) == mapped_pages
    assert not [name for name in vm.live if name.startswith("vm_map_copy")]


@pytest.mark.parametrize("address", [PAGE - 1, 2**64 - 1, 2**64 - 2])
def test_a_little_memory_that_cannot_be_read_is_refused(
    sender: Task, to: int, address: int
) -> None:
    assert sender.send(to, OolDescriptor(address, 2, True))[0] == m.MACH_SEND_INVALID_MEMORY


@pytest.mark.parametrize(
    ("carried", "code"),
    [
        ([OolDescriptor(0, 8, copy=2)], m.MACH_SEND_INVALID_TYPE),
        ([OolPortsDescriptor(0, 1, COPY, copy=2)], m.MACH_SEND_INVALID_TYPE),
        ([PortDescriptor(0, 5)], m.MACH_SEND_INVALID_TYPE),
        ([OolDescriptor(0, KMSG_MAX_VM_SPACE + 1, copy=0)], m.MACH_MSG_VM_KERNEL),
        ([OolDescriptor(0, 4 << 20, copy=0)] * 2, m.MACH_MSG_VM_KERNEL),
        ([OolDescriptor(0, 4 << 20, copy=0)], m.MACH_SEND_INVALID_MEMORY),
        ([OolDescriptor(0, 4 << 20, True, copy=0)] * 2, m.MACH_SEND_INVALID_MEMORY),
        ([OolPortsDescriptor(0, MAX_OOL_PORTS + 1, COPY)], m.MACH_SEND_TOO_LARGE),
        ([OolPortsDescriptor(0, TOO_MANY_RIGHTS, COPY)], m.MACH_SEND_TOO_LARGE),
        (
            [PortDescriptor(0, COPY), OolPortsDescriptor(0, TOO_MANY_RIGHTS - 1, COPY)],
            m.MACH_SEND_TOO_LARGE,
        ),
        ([OolPortsDescriptor(0, TOO_MANY_RIGHTS - 1, COPY)], m.MACH_SEND_INVALID_MEMORY),
        ([OolPortsDescriptor(2**64 - 4, 1, COPY)], m.MACH_SEND_INVALID_MEMORY),
    ],
)
def test_what_is_refused(sender: Task, to: int, carried: list[Descriptor], code: int) -> None:
    rights = sender.refs(to)
    assert sender.send(to, *carried)[0] == code
    assert sender.refs(to) == rights
    assert sender.space.entries[to].port.srights == 2  # the receiver has one, too


def test_the_sizes_are_looked_at_before_anything_is_taken(
    sender: Task, receiver: Task, there: int, to: int
) -> None:
    mine, start = sender.port(), filled(sender, 4)
    taken = (PortDescriptor(mine, MOVE), OolDescriptor(start, 4 * PAGE, deallocate=True))
    for last, size, code in (
        (OolDescriptor(0, 8, copy=9), None, m.MACH_SEND_INVALID_TYPE),
        (OolDescriptor(0, 8), 28 + 12 + 16 + 15, m.MACH_SEND_MSG_TOO_SMALL),
    ):
        size = None if size is None else size & ~3
        assert sender.send(to, *taken, last, size=size)[0] == code
    assert sender.refs(mine) == 1
    assert vm_read(sender.map, start, 1) == b"x"


def test_what_was_taken_of_a_refused_message_is_destroyed(sender: Task, to: int, vm: Vm) -> None:
    mine, start, small = sender.port(), filled(sender, 4), filled(sender, 1)
    assert sender.refs(mine) == 1
    code, _ = sender.send(
        to,
        PortDescriptor(mine, MOVE),
        OolDescriptor(start, 4 * PAGE, deallocate=True),
        OolDescriptor(small, 8, deallocate=True),
        OolDescriptor(0, 8),
    )
    assert code == m.MACH_SEND_INVALID_MEMORY
    assert sender.refs(mine) == 0
    assert (regions(sender.map), pages_of(vm)) == ([], 0)
    assert sender.space.entries[mine].port.srights == 0


def test_no_room_in_the_map_is_told_and_the_rest_arrives(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    start = filled(sender, 4)
    mine = sender.port()
    array = sender.names(mine)
    sender.send(
        to,
        PortDescriptor(mine, COPY),
        OolDescriptor(start, 4 * PAGE, True),
        OolPortsDescriptor(array, 1, COPY, True),
    )
    receiver.map.max_offset = receiver.map.min_offset
    code, got = receiver.receive(there)
    assert code == m.MACH_RCV_BODY_ERROR | m.MACH_MSG_VM_SPACE
    assert m.mach_error_name(code) == "MACH_RCV_BODY_ERROR|0x1000"
    assert got is not None
    right, memory, names = got.descriptors
    assert isinstance(right, PortDescriptor)
    assert receiver.refs(right.name) == 1
    assert memory == OolDescriptor(0, 0, True)
    assert names == OolPortsDescriptor(0, 1, m.MACH_MSG_TYPE_PORT_SEND, True)
    assert (pages_of(vm), sender.space.entries[mine].port.srights) == (0, 2)


# -- arrays of rights --------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("deallocate", [False, True])
def test_an_array_of_rights_becomes_names_of_the_receiver(
    sender: Task, receiver: Task, there: int, to: int, copy: int, deallocate: bool
) -> None:
    one, two = sender.port(), sender.port()
    start = sender.names(one, m.MACH_PORT_NULL, two, one, m.MACH_PORT_DEAD)
    array = OolPortsDescriptor(start, 5, COPY, deallocate, copy)
    assert sender.send(to, array)[0] == m.MACH_MSG_SUCCESS
    assert bool(regions(sender.map)) != deallocate
    (got,) = receiver.take(there).descriptors
    assert isinstance(got, OolPortsDescriptor)
    assert (got.count, got.disposition) == (5, m.MACH_MSG_TYPE_PORT_SEND)
    assert (got.deallocate, got.copy) == (True, m.MACH_MSG_VIRTUAL_COPY)
    first, none, second, again, dead = receiver.array(got)
    assert (none, dead, again) == (m.MACH_PORT_NULL, m.MACH_PORT_DEAD, first)
    assert [receiver.refs(first), receiver.refs(second)] == [2, 1]
    assert receiver.map.entries[0].tag == m.VM_MEMORY_MACH_MSG


def test_an_empty_array_needs_no_memory(sender: Task, receiver: Task, there: int, to: int) -> None:
    assert sender.send(to, OolPortsDescriptor(0xDEAD, 0, 99))[0] == m.MACH_MSG_SUCCESS
    assert receiver.take(there).descriptors == [OolPortsDescriptor(0, 0, 0, True)]


def test_a_wrong_right_destroys_those_before_it(sender: Task, to: int) -> None:
    one = sender.port()
    start = sender.names(one, 0x9903)
    assert sender.send(to, OolPortsDescriptor(start, 2, MOVE, True))[0] == m.MACH_SEND_INVALID_RIGHT
    assert sender.refs(one) == 0
    assert regions(sender.map) == []  # the array goes before the rights are looked at
    start = sender.names(one)
    assert sender.send(to, OolPortsDescriptor(start, 1, MOVE))[0] == m.MACH_SEND_INVALID_RIGHT
    assert sender.space.ipc.guards == [(one, m.kGUARD_EXC_SEND_INVALID_RIGHT)]


def test_an_array_without_a_disposition(sender: Task, to: int) -> None:
    start = sender.names(sender.port())
    assert sender.send(to, OolPortsDescriptor(start, 1, 5))[0] == m.MACH_SEND_INVALID_TYPE


def test_a_receive_right_sent_to_itself_in_an_array_goes_with_its_port(sender: Task) -> None:
    name = sender.port()
    start = sender.names(name)
    array = OolPortsDescriptor(start, 1, m.MACH_MSG_TYPE_MOVE_RECEIVE)
    assert sender.send(name, array)[0] == m.MACH_MSG_SUCCESS
    assert mach_port.type_(sender.space, name)[1] == m.MACH_PORT_TYPE_DEAD_NAME


# -- the end of a message ----------------------------------------------------------------------


def carried(sender: Task) -> tuple[tuple[Descriptor, ...], Port]:
    mine = sender.port()
    parts = (
        OolDescriptor(filled(sender, 4), 4 * PAGE, True),
        OolDescriptor(filled(sender, 1), 9, True),
        OolDescriptor(filled(sender, 4), 4 * PAGE, False, m.MACH_MSG_PHYSICAL_COPY),
        OolPortsDescriptor(sender.names(mine, mine), 2, COPY, True),
        OolDescriptor(0, 0),
    )
    return parts, sender.space.entries[mine].port


def test_a_port_that_dies_takes_what_is_queued_with_it(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    parts, port = carried(sender)
    sender.send(to, *parts)
    assert port.srights == 3
    mach_port.destroy(receiver.space, there)
    assert (port.srights, pages_of(vm)) == (1, 4)
    assert not [name for name in vm.live if name.startswith("vm_map_copy")]


def test_a_message_too_large_is_destroyed_with_all_it_carries(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    parts, port = carried(sender)
    sender.send(to, *parts)
    size = 28 + 5 * 16 + 8
    assert receiver.receive(there, size - 1)[0] == m.MACH_RCV_TOO_LARGE
    assert (port.srights, pages_of(vm)) == (1, 4)
    sender.send(to, *parts[-1:])
    assert receiver.receive(there, 28 + 16 + 8)[0] == m.MACH_MSG_SUCCESS


def test_a_send_to_a_dead_port_takes_nothing(
    sender: Task, receiver: Task, there: int, to: int
) -> None:
    mach_port.destroy(receiver.space, there)
    start = filled(sender, 4)
    code, _ = sender.send(to, OolDescriptor(start, 4 * PAGE, True))
    assert code == m.MACH_SEND_INVALID_DEST
    assert vm_read(sender.map, start, 1) == b"x"


def test_a_full_queue_gives_everything_back_at_new_addresses(
    sender: Task, receiver: Task, there: int, to: int, vm: Vm
) -> None:
    mach_port.set_qlimit(receiver.space, there, 0)
    parts, _ = carried(sender)
    before = pages_of(vm)
    code, back = sender.send(to, *parts)
    assert code == m.MACH_SEND_TIMED_OUT
    large, small, physical, array, empty = back.descriptors
    assert isinstance(large, OolDescriptor)
    assert isinstance(small, OolDescriptor)
    assert isinstance(physical, OolDescriptor)
    assert vm_read(sender.map, large.address, 4 * PAGE) == b"x" * 4 * PAGE
    assert vm_read(sender.map, small.address, 9) == b"x" * 9
    assert vm_read(sender.map, physical.address, 4 * PAGE) == b"x" * 4 * PAGE
    names = sender.array(array)
    assert sender.refs(names[0]) == 3
    assert empty == OolDescriptor(0, 0, True)
    assert pages_of(vm) == before + 4  # the physical copy; the rest is what it was
    sender.map.max_offset = sender.map.min_offset
    code, _ = sender.send(to, OolDescriptor(large.address, 4))
    assert code == m.MACH_SEND_INVALID_MEMORY


def test_a_queued_message_shows_what_it_carries(vm: Vm) -> None:
    trace = Trace()
    ipc = Ipc(trace.record)
    task = Task(Space(ipc, 100), VmMap(vm))
    name = task.port()
    start = filled(task, 4)
    task.send(
        name,
        PortDescriptor(name, COPY),
        OolDescriptor(start, 4 * PAGE),
        OolPortsDescriptor(task.names(name), 1, COPY),
        OolDescriptor(0, 0, copy=0),
    )
    assert ipc.state()["kmsg:1"]["descriptors"] == (
        ("port", m.MACH_MSG_TYPE_PORT_SEND, "port:1"),
        ("memory", 4 * PAGE, m.MACH_MSG_VIRTUAL_COPY, "vm_map_copy:1"),
        ("ports", m.MACH_MSG_TYPE_PORT_SEND, ("port:1",)),
        ("memory", 0, m.MACH_MSG_PHYSICAL_COPY, ""),
    )


# -- properties --------------------------------------------------------------------------------

PARTS = st.tuples(
    st.sampled_from(["port", "memory", "array"]),
    st.booleans(),
    st.sampled_from([0, 1]),
    st.sampled_from([9, 2 * PAGE, 3 * PAGE + 5]),
)
WRONG: dict[str, tuple[Callable[[Task], Descriptor], int]] = {
    "memory": (lambda _: OolDescriptor(0, 8), m.MACH_SEND_INVALID_MEMORY),
    "names": (lambda _: OolPortsDescriptor(0, 1, COPY), m.MACH_SEND_INVALID_MEMORY),
    "name": (
        lambda task: OolPortsDescriptor(task.names(0x9903), 1, COPY),
        m.MACH_SEND_INVALID_RIGHT,
    ),
    "right": (lambda _: PortDescriptor(0x9903, COPY), m.MACH_SEND_INVALID_RIGHT),
    "option": (lambda _: OolDescriptor(0, 8, copy=2), m.MACH_SEND_INVALID_TYPE),
    "none": (lambda _: OolDescriptor(0, 0), m.MACH_MSG_SUCCESS),
}


@settings(deadline=None, max_examples=60)
@given(st.lists(PARTS, max_size=4), st.integers(0, 4), st.sampled_from([*WRONG]))
def test_a_refused_message_takes_what_was_copied_in_and_nothing_else(
    chosen: list[tuple[str, bool, int, int]], at: int, wrong: str
) -> None:
    ipc, vm = Ipc(), Vm()
    sender, receiver = Task(Space(ipc, 100), VmMap(vm)), Task(Space(ipc, 101), VmMap(vm))
    there = receiver.port()
    to = sender.right_to(receiver, there)
    parts: list[Descriptor] = []
    kept: list[Callable[[], bool]] = []
    """Whether each part's memory and rights are still the sender's."""
    for kind, move, copy, size in chosen:
        disposition = MOVE if move else COPY
        mine = sender.port()
        whole = partial(lambda name: sender.refs(name) == 1, mine)
        if kind == "port":
            parts.append(PortDescriptor(mine, disposition))
        elif kind == "memory":
            start = filled(sender, 4)
            parts.append(OolDescriptor(start, size, move, copy))
            whole = partial(lambda where: sender.map.lookup(where) is not None, start)
        else:
            start = sender.names(mine)
            parts.append(OolPortsDescriptor(start, 1, disposition, move, copy))
            whole = partial(
                lambda where, name: sender.map.lookup(where) is not None and sender.refs(name) == 1,
                start,
                mine,
            )
        kept.append(whole)
    make, code = WRONG[wrong]
    at = min(at, len(parts))
    parts.insert(at, make(sender))
    assert sender.send(to, *parts)[0] == code
    reached = {"option": 0, "none": len(kept)}.get(wrong, at)
    for index, (kind, move, *_) in enumerate(chosen):
        assert kept[index]() == (index >= reached or not move), kind
    if code == m.MACH_MSG_SUCCESS:
        assert len(receiver.take(there).descriptors) == len(parts)
    assert receiver.receive(there)[0] == m.MACH_RCV_TIMED_OUT
    assert not [name for name in vm.live if name.startswith("vm_map_copy")]


# -- bytes -------------------------------------------------------------------------------------


def test_descriptors_are_laid_out_as_a_64_bit_program_has_them() -> None:
    memory = OolDescriptor(0x1122334455667788, 0x99, True, 1, 3).pack()
    assert memory.hex() == "8877665544332211" + "01010003" + "99000000"
    array = OolPortsDescriptor(0x10, 2, COPY, False, 0).pack()
    assert array.hex() == "1000000000000000" + "00001302" + "02000000"


@pytest.mark.parametrize(
    ("count", "rest", "code", "seen"),
    [
        (2, PortDescriptor(5, COPY).pack(), m.MACH_SEND_MSG_TOO_SMALL, 1),
        (1, OolDescriptor(0, 0).pack()[:12], m.MACH_SEND_MSG_TOO_SMALL, 0),
        (1, bytes(11) + b"\x05", m.MACH_SEND_INVALID_TYPE, 0),
    ],
)
def test_a_message_is_taken_apart_as_far_as_it_goes(
    count: int, rest: bytes, code: int, seen: int
) -> None:
    head = struct.pack("<IIIIIi", m.MACH_MSGH_BITS_COMPLEX, 28 + len(rest), 0, 0, 0, 0)
    data = head + struct.pack("<I", count) + rest
    parts = split_message(data)
    assert (parts.code, len(parts.descriptors)) == (code, seen)
    with pytest.raises(ValueError, match=f"descriptor {seen}"):
        unpack_message(data)


def test_the_rest_of_a_message_is_its_body() -> None:
    carried = (OolPortsDescriptor(9, 2, COPY), OolDescriptor(8, 1, True), PortDescriptor(5, COPY))
    rest = struct.pack("<I", 3) + b"".join(one.pack() for one in carried) + b"body"
    head = struct.pack("<IIIIIi", m.MACH_MSGH_BITS_COMPLEX, 24 + len(rest), 0, 0, 0, 0)
    _, found, body = unpack_message(head + rest + b"trailer")
    assert (tuple(found), body) == (carried, b"body")


@pytest.mark.parametrize(
    "one",
    [PortDescriptor(-1, COPY), OolDescriptor(0, 1 << 32), OolPortsDescriptor(0, 1, 256)],
)
def test_a_number_that_does_not_fit_is_refused_with_what_was_seen(one: Descriptor) -> None:
    with pytest.raises(ValueError, match=f"^{type(one).__name__}.* is no descriptor: "):
        one.pack()
