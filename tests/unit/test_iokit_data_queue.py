"""Data queues, byte for byte: layout, arithmetic, corruption, notification."""

import struct

import pytest

from kextlab.abi.iokit import (
    UINT32_MAX,
    io_return_name,
    kIOReturnError,
    kIOReturnNoSpace,
    kIOReturnSuccess,
    kIOReturnUnderrun,
)
from kextlab.abi.mach import MACH_MSG_SUCCESS, MACH_SEND_TIMED_OUT
from kextlab.iokit.data_queue import IODataQueue, IOSharedDataQueue, available, dequeue, peek
from kextlab.iokit.machine import IOKit
from kextlab.iokit.memory import LARGEST
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Ipc
from kextlab.osfmk.traced import Receiver
from kextlab.sched.stop import KernelPanic
from kextlab.trace.fold import Folder


def a_port() -> Port:
    holder = Receiver()
    holder.object_name = "proc:100"
    return Port(Ipc(), holder, 0x103)


def shared(size: int, kernel: IOKit | None = None) -> IOSharedDataQueue:
    queue = IOSharedDataQueue.withCapacity(kernel or IOKit(), size)
    assert queue is not None
    return queue


def put(queue: IODataQueue, data: bytes) -> bool:
    return queue.enqueue(data, len(data))


def words(queue: IODataQueue) -> tuple[int, ...]:
    return struct.unpack("<III", queue.block.read(0, 12))


def corrupt(queue: IODataQueue, **values: int) -> None:
    for name, value in values.items():
        queue.block.write(("size", "head", "tail").index(name) * 4, struct.pack("<I", value))


def test_the_layout_is_three_words_and_the_ring() -> None:
    queue = shared(20)
    assert put(queue, b"abc")
    assert queue.block.read(0, 19) == struct.pack("<IIII", 20, 0, 7, 3) + b"abc"
    assert queue.getMemoryDescriptor().getLength() == 20 + 12 + 36
    plain = IODataQueue.withCapacity(IOKit(), 20)
    assert plain is not None
    assert plain.getMemoryDescriptor().getLength() == 32


@pytest.mark.parametrize(
    ("page", "capacity", "memory"),
    [(4096, 4096 - 48, 4096), (4096, 4096 - 47, 8192), (16384, 1, 16384), (4096, 0, 4096)],
)
def test_memory_is_rounded_up_to_pages_the_ring_is_not(
    page: int, capacity: int, memory: int
) -> None:
    queue = shared(capacity, IOKit(page_size=page))
    assert (queue.block.size, queue.getQueueSize()) == (memory, capacity)


def test_room_for_entries_is_room_for_one_more() -> None:
    queue = IOSharedDataQueue.withEntries(IOKit(), 2, 8)
    assert queue is not None
    assert queue.getQueueSize() == 3 * 12
    assert [put(queue, bytes(8)) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("entries", "size"),
    [(-1, 4), (1, -4), (UINT32_MAX, 4), (1, UINT32_MAX), (1 << 16, 1 << 16), (0, LARGEST)],
)
def test_a_queue_too_large_is_not_made(entries: int, size: int) -> None:
    assert IOSharedDataQueue.withEntries(IOKit(), entries, size) is None


@pytest.mark.parametrize("size", [-1, UINT32_MAX - 47, LARGEST])
def test_a_capacity_too_large_is_not_made(size: int) -> None:
    assert IOSharedDataQueue.withCapacity(IOKit(), size) is None


def test_a_record_that_does_not_fit_at_the_end_goes_to_the_start() -> None:
    queue = shared(30)
    assert put(queue, b"a" * 8)
    assert put(queue, b"b" * 8)
    assert not put(queue, b"c" * 3)  # 7 bytes: not at the end, and head is at the start
    assert queue.dequeue(8) == b"a" * 8
    assert put(queue, b"c" * 7)  # 11 bytes before head, which is at 12
    assert words(queue) == (30, 12, 11)
    assert queue.block.read(12, 11) == struct.pack("<I", 7) + b"c" * 7
    assert queue.block.read(12 + 24, 4) == struct.pack("<I", 7)  # so that a reader looks there
    assert [queue.dequeue(9), queue.dequeue(9), queue.dequeue(9)] == [b"b" * 8, b"c" * 7, None]


def test_no_size_is_left_at_the_end_where_there_is_no_room_for_one() -> None:
    queue = shared(14)
    assert put(queue, b"a" * 8)
    assert queue.dequeue(8)
    assert words(queue) == (14, 12, 12)
    assert put(queue, b"b" * 2)
    assert words(queue) == (14, 12, 6)
    assert queue.block.read(12 + 12, 2) == b"\0\0"
    assert queue.peek() == b"bb"


def test_tail_never_catches_up_with_head() -> None:
    queue = shared(24)
    assert put(queue, b"a" * 8)
    assert put(queue, b"b" * 8)
    assert queue.dequeue(8) == b"a" * 8  # head 12
    assert not put(queue, b"c" * 8)  # 12 bytes before head would make tail 12, too
    assert put(queue, b"c" * 3)  # tail 7
    assert not put(queue, b"d")  # 5 bytes up to head
    assert put(queue, b"")
    assert words(queue) == (24, 12, 11)
    assert (queue.enqueued, queue.dropped) == (4, 2)


def test_a_record_of_the_whole_ring_fits_once() -> None:
    queue = shared(12)
    assert put(queue, b"a" * 8)
    assert not put(queue, b"")
    assert queue.dequeue(8) == b"a" * 8
    assert words(queue) == (12, 12, 12)
    assert not put(queue, b"a" * 8)  # head is 12, not more than 12
    assert put(queue, b"a" * 7)


def test_sizes_beyond_32_bits_or_the_data() -> None:
    queue = shared(64)
    assert not queue.enqueue(b"a", UINT32_MAX - 3)
    with pytest.raises(ValueError, match="dataSize = 2, expected 0 to 1, the bytes given"):
        queue.enqueue(b"a", 2)
    with pytest.raises(ValueError, match="dataSize = -1"):
        queue.enqueue(b"a", -1)
    assert queue.enqueue(b"abc", 2)
    assert queue.dequeue(2) == b"ab"


# -- reading -------------------------------------------------------------------------------


def test_what_a_reader_is_told() -> None:
    queue = shared(64)
    assert not available(queue.block)
    assert dequeue(queue.block, 64, 8) == (kIOReturnUnderrun, b"")
    put(queue, b"abcd")
    assert dequeue(queue.block, 64, 3) == (kIOReturnNoSpace, b"")
    assert available(queue.block)
    assert peek(queue.block, 64, trusting=False) == b"abcd"
    assert dequeue(queue.block, 64, 4) == (kIOReturnSuccess, b"abcd")
    put(queue, b"thrown away")
    assert dequeue(queue.block, 64, None) == (kIOReturnSuccess, b"")
    assert queue.peek() is None
    assert words(queue) == (64, 23, 23)


def test_a_head_beyond_the_ring_is_an_error_to_readers() -> None:
    queue = shared(64)
    corrupt(queue, head=65)
    assert dequeue(queue.block, 64, 8) == (kIOReturnError, b"")
    assert peek(queue.block, 64, trusting=False) is None
    assert queue.peek() is None
    assert queue.dequeue(8) is None


def test_a_size_that_cannot_be_true_is_an_error_to_readers() -> None:
    queue = shared(16)
    put(queue, b"abcd")
    queue.block.write(12, struct.pack("<I", 13))
    assert dequeue(queue.block, 16, 99) == (kIOReturnError, b"")
    assert peek(queue.block, 16, trusting=False) is None
    # The kernel's own peek looks no further: it shows what lies behind the ring.
    assert queue.peek() == b"abcd" + bytes(9)
    queue.block.write(12, struct.pack("<I", 12))
    assert dequeue(queue.block, 16, 12) == (kIOReturnSuccess, b"abcd" + bytes(8))


# -- corruption and the writer -------------------------------------------------------------


@pytest.mark.parametrize("word", ["head", "tail"])
def test_a_shared_queue_refuses_while_a_word_is_beyond_the_ring(word: str) -> None:
    queue = shared(32)
    corrupt(queue, **{word: 33})
    assert not put(queue, b"a")
    corrupt(queue, **{word: 0})
    assert put(queue, b"a")


def test_a_shared_queue_does_not_believe_the_size_in_memory() -> None:
    queue = shared(8)
    corrupt(queue, size=4096)
    assert queue.getQueueSize() == 8
    assert not put(queue, b"abcde")


def test_a_plain_queue_does_and_takes_the_machine_down() -> None:
    queue = IODataQueue.withCapacity(IOKit(), 8)
    assert queue is not None
    assert not put(queue, b"abcde")
    corrupt(queue, size=1 << 20)
    assert put(queue, b"abcde")  # beyond its ring already
    corrupt(queue, tail=8192)
    with pytest.raises(KernelPanic, match="IODataQueue::enqueue: SIGSEGV: 9 bytes"):
        put(queue, b"abcde")
    corrupt(queue, size=8, tail=9)
    assert not put(queue, b"")


# -- notification --------------------------------------------------------------------------


def test_only_the_first_record_sends_a_message() -> None:
    queue, port = shared(64), a_port()
    assert queue.sendDataAvailableNotification() == MACH_MSG_SUCCESS
    queue.setNotificationPort(port)
    put(queue, b"a")
    put(queue, b"b")
    assert (port.msgcount, port.srights, queue.notified) == (1, 1, 1)
    (kmsg,) = port.messages
    assert (kmsg.size, kmsg.id, kmsg.body, kmsg.descriptors) == (24, 0, b"", ())
    queue.dequeue(1)
    put(queue, b"c")  # not empty: no message
    queue.dequeue(1)
    queue.dequeue(1)
    put(queue, b"d")
    assert port.msgcount == 2


def test_a_full_port_and_a_dead_one_get_none() -> None:
    queue, port = shared(64), a_port()
    port.qlimit = 1
    queue.setNotificationPort(port)
    assert queue.sendDataAvailableNotification() == MACH_MSG_SUCCESS
    assert queue.sendDataAvailableNotification() == MACH_SEND_TIMED_OUT
    port.active = False
    assert queue.sendDataAvailableNotification() == MACH_MSG_SUCCESS
    assert (port.msgcount, port.srights, queue.notified) == (1, 1, 1)


def test_a_reader_that_empties_the_queue_meanwhile_is_told() -> None:
    queue, port = shared(64), a_port()
    queue.setNotificationPort(port)
    put(queue, b"a")

    def reader(_offset: int) -> None:
        """Takes record a while record b is written: head is where tail was."""
        if words(queue)[1:] == (0, 10):
            queue.block.written.remove(reader)
            corrupt(queue, head=5)

    queue.block.written.append(reader)
    put(queue, b"b")
    assert words(queue) == (64, 5, 10)
    assert port.msgcount == 2


# -- the trace -----------------------------------------------------------------------------


def test_the_trace_tells_of_every_word_whoever_wrote_it() -> None:
    folder = Folder()
    kernel = IOKit(folder.step)
    queue = shared(64, kernel)
    put(queue, b"a")
    queue.dequeue(1)
    corrupt(queue, size=7, head=8, tail=9)
    assert folder.state == kernel.state()
    assert folder.state["io_queue:1"] == {
        "memory": 1,
        "queueSize": 7,
        "head": 8,
        "tail": 9,
        "enqueued": 1,
        "dropped": 0,
        "notified": 0,
        "port": False,
    }
    queue.release()
    assert folder.state == kernel.state() == {}
    for call in (queue.release, lambda: put(queue, b"a")):
        with pytest.raises(KernelPanic, match="the queue was released before"):
            call()


def test_codes_have_names() -> None:
    assert io_return_name(0xE00002E7) == io_return_name(-536870169) == "kIOReturnUnderrun"
    assert io_return_name(0x10000003) == "MACH_SEND_INVALID_DEST"
    assert io_return_name(-307) == "MIG_ARRAY_TOO_LARGE"
    assert io_return_name(0xE0001234) == "0xe0001234"
