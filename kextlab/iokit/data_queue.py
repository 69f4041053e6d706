"""Data queues: a ring of records in memory that the kernel writes and a process reads.

Models ``iokit/Kernel/IODataQueue.cpp`` and ``IOSharedDataQueue.cpp``; ``dequeue`` and ``peek`` are
also those of the process's side (``IODataQueueClient.c`` of IOKitUser, see
``kextlab.userland.data_queue``). The memory holds u32 queueSize, head and tail, then the ring of
{u32 size, data}; an ``IOSharedDataQueue`` has an appendix behind.

What surprises: the ring never fills up to the byte, since head equal to tail means empty; a record
never lies across the end, so the space left there is lost for a round; a queue that is full loses
the new record and only the driver is told; the process is told only when the queue was empty.

Head and tail lie where the process can write. A shared queue trusts its own copy of the size and
refuses when head or tail are beyond it; an ``IODataQueue`` believes the size in the memory.

In doubt: the appendix's length, 36 bytes where ports are pointers.
"""

from __future__ import annotations

import struct
from typing import ClassVar, TypeVar

from kextlab.abi.iokit import (
    DATA_QUEUE_ENTRY_HEADER_SIZE,
    DATA_QUEUE_MEMORY_APPENDIX_SIZE,
    DATA_QUEUE_MEMORY_HEADER_SIZE,
    OFFSET_HEAD,
    OFFSET_QUEUE_SIZE,
    OFFSET_TAIL,
    UINT32_MAX,
    kIOReturnError,
    kIOReturnNoSpace,
    kIOReturnSuccess,
    kIOReturnUnderrun,
)
from kextlab.abi.mach import (
    MACH_MSG_SUCCESS,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_SEND_TIMED_OUT,
    SIZEOF_HEADER,
)
from kextlab.iokit.machine import Owner
from kextlab.iokit.memory import Block, IOMemoryDescriptor, MemoryFault, SharedMemory, load, store
from kextlab.osfmk.ipc_port import Kmsg, Port

Q = TypeVar("Q", bound="IODataQueue")
_RING = DATA_QUEUE_MEMORY_HEADER_SIZE
_HEADER = DATA_QUEUE_ENTRY_HEADER_SIZE


# -- reading, on either side -------------------------------------------------------------------


_WORDS = struct.Struct("<III")


def words(memory: SharedMemory) -> tuple[int, int, int]:
    """queueSize, head and tail, read once."""
    size, head, tail = _WORDS.unpack(memory.read(0, _RING))
    return size, head, tail


def _front(memory: SharedMemory, queue_size: int, head: int) -> tuple[int, int, bool] | None:
    """The record in front: where in the ring, its size, whether it is at the start because it did
    not fit at the end. ``None``: head is beyond the ring."""
    if head > queue_size:
        return None
    if head + _HEADER <= queue_size:
        size = load(memory, _RING + head)
        if head + _HEADER + size <= queue_size:
            return head, size, False
    return 0, load(memory, _RING), True


def available(memory: SharedMemory) -> bool:
    """Whether there is a record: head and tail differ (``IODataQueueDataAvailable``)."""
    _, head, tail = words(memory)
    return head != tail


def peek(memory: SharedMemory, queue_size: int | None, *, trusting: bool) -> bytes | None:
    """The record in front, which stays; ``None`` if there is none. Only the kernel's own reader is
    ``trusting``: it does not look whether a record at the start can be true."""
    stated, head, tail = words(memory)
    queue_size = stated if queue_size is None else queue_size
    front = _front(memory, queue_size, head) if head != tail else None
    if front is None:
        return None
    at, size, wrapped = front
    if wrapped and not trusting and size + _HEADER > queue_size:
        return None
    return memory.read(_RING + at + _HEADER, size)


def dequeue(memory: SharedMemory, queue_size: int | None, room: int | None) -> tuple[int, bytes]:
    """Take the record in front: a code, and its data.

    Args:
        queue_size: bytes of the ring; ``None``: what the memory says.
        room: bytes the caller's buffer has; ``None``: no buffer, the record is thrown away.

    kIOReturnUnderrun: empty. kIOReturnError: head or the record's size cannot be true.
    kIOReturnNoSpace: the record is larger than the buffer; it stays.
    """
    stated, head, tail = words(memory)
    if head == tail:
        return kIOReturnUnderrun, b""
    queue_size = stated if queue_size is None else queue_size
    front = _front(memory, queue_size, head)
    if front is None:
        return kIOReturnError, b""
    at, size, wrapped = front
    if wrapped and size + _HEADER > queue_size:
        return kIOReturnError, b""
    data = b""
    if room is not None:
        if size > room:
            return kIOReturnNoSpace, b""
        data = memory.read(_RING + at + _HEADER, size)
    store(memory, OFFSET_HEAD, at + _HEADER + size)
    return kIOReturnSuccess, data


# -- the kernel's side -------------------------------------------------------------------------


class IODataQueue:
    """A queue that believes the size in its memory. Deprecated: use ``IOSharedDataQueue``."""

    appendix: ClassVar[int] = 0

    def __init__(self, owner: Owner, block: Block, size: int) -> None:
        kernel = self.kernel = owner.kernel
        self.block = block
        self.owner = owner
        self.size = size
        self.enqueued = 0
        self.dropped = 0
        """Records that ``enqueue`` refused: lost, unless the driver tries again."""
        self.notified = 0
        """Messages sent that data is there."""
        self.port: Port | None = None
        store(block, OFFSET_QUEUE_SIZE, size)
        self._words = words(block)
        self.number = kernel.number("io_queue")
        self.name = f"io_queue:{self.number}"
        kernel.add(self.name, self)
        block.written.append(self._written)

    @classmethod
    def withCapacity(cls: type[Q], owner: Owner, size: int) -> Q | None:
        """A queue whose ring has ``size`` bytes, headers of records included. Its memory is rounded
        up to pages, the ring is not. ``None``: too large, or no room."""
        if not 0 <= size <= UINT32_MAX - _RING - cls.appendix:
            return None
        block = Block.of(owner.kernel, size + _RING + cls.appendix)
        return None if block is None else cls(owner, block, size)

    @classmethod
    def withEntries(cls: type[Q], owner: Owner, numEntries: int, entrySize: int) -> Q | None:
        """A queue for so many records of that size: one more than that fits, because the ring is
        never full to the byte. ``None``: too large, or no room."""
        if numEntries < 0 or entrySize < 0:
            return None
        size = (numEntries + 1) * (_HEADER + entrySize)
        return cls.withCapacity(owner, size) if size <= UINT32_MAX else None

    def state(self) -> dict[str, object]:
        """The words in memory, whoever wrote them, and what is counted."""
        queue_size, head, tail = self._words
        return {
            "memory": self.block.number,
            "queueSize": queue_size,
            "head": head,
            "tail": tail,
            "enqueued": self.enqueued,
            "dropped": self.dropped,
            "notified": self.notified,
            "port": self.port is not None,
        }

    def _written(self, offset: int) -> None:
        """Somebody wrote into the memory; if it was one of the words, the trace is told."""
        if offset >= _RING:
            return
        before, self._words = self._words, words(self.block)
        pairs = zip(("queueSize", "head", "tail"), before, self._words, strict=True)
        self.kernel.changed(self.name, *[word for word, old, new in pairs if old != new])

    def _count(self, counter: str) -> None:
        setattr(self, counter, getattr(self, counter) + 1)
        self.kernel.changed(self.name, counter)

    def getQueueSize(self) -> int:
        """The ring's size in bytes: what the memory says."""
        return load(self.block, OFFSET_QUEUE_SIZE)

    def getMemoryDescriptor(self) -> IOMemoryDescriptor:
        """The memory, for ``clientMemoryForType``: header, ring and appendix."""
        return IOMemoryDescriptor(self.block, self.getQueueSize() + _RING + self.appendix)

    def setNotificationPort(self, port: Port | None) -> None:
        """Where to tell that data is there; ``None``: nowhere. The send right stays the
        driver's."""
        self.port = port
        self.kernel.changed(self.name, "port")

    def _check(self, routine: str) -> None:
        if self.name not in self.kernel.objects:
            kind = type(self).__name__
            self.kernel.panic(f"{kind}::{routine}: the queue was released before")

    def release(self) -> None:
        """The driver lets go of the queue. Its memory stays while it is mapped. KernelPanic: it did
        so before."""
        self._check("release")
        self.block.written.remove(self._written)
        self.kernel.remove(self.name)
        self.block.release()

    def enqueue(self, data: bytes, dataSize: int) -> bool:
        """Copy a record of ``dataSize`` bytes into the ring, and tell the process if the queue was
        empty. False: it is full, or head or tail cannot be true; the record is lost.

        Raises:
            ValueError: ``dataSize`` is negative, or more than ``data`` has.
            KernelPanic: the memory says that the ring is larger than it is, or the queue was
                released.
        """
        if dataSize < 0 or len(data) < dataSize <= UINT32_MAX - _HEADER:
            raise ValueError(f"dataSize = {dataSize}, expected 0 to {len(data)}, the bytes given")
        self._check("enqueue")
        data = bytes(data[:dataSize])
        self.kernel.called(self.owner, f"{type(self).__name__}::enqueue", data, dataSize)
        try:
            done = self._enqueue(data, dataSize)
        except MemoryFault as fault:
            self.kernel.panic(f"{type(self).__name__}::enqueue: {fault}")
        self._count("enqueued" if done else "dropped")
        self.kernel.returned(0, done)
        return done

    def _ring(self, stated: int, head: int, tail: int) -> int | None:
        """The ring's size; ``None``: a word cannot be true."""
        return stated if stated >= tail else None

    def _enqueue(self, data: bytes, size: int) -> bool:
        block = self.block
        stated, head, tail = words(block)
        ring, entry = self._ring(stated, head, tail), size + _HEADER
        if size > UINT32_MAX - _HEADER or ring is None:
            return False
        at = tail
        if tail >= head and tail + entry > ring:  # not at the end: at the start?
            if head <= entry:
                return False
            at = 0
            if ring - tail >= _HEADER:  # a reader looks there first, and sees that it cannot be
                store(block, _RING + tail, size)
        elif tail < head and head - tail <= entry:
            return False  # tail must not catch up with head: that would be empty
        block.write(_RING + at, size.to_bytes(4, "little") + data)
        store(block, OFFSET_TAIL, at + entry)
        if tail in (head, load(block, OFFSET_HEAD)):
            self.sendDataAvailableNotification()
        return True

    def sendDataAvailableNotification(self) -> int:
        """Send the bare header of a message to the notification port; Mach's code. A port whose
        queue is full gets none: it holds the one before, so its reader will look anyway."""
        port = self.port
        if port is None or not port.active:
            return MACH_MSG_SUCCESS
        if port.full:
            return MACH_SEND_TIMED_OUT
        port.srights += 1
        port.post(Kmsg(port, MACH_MSG_TYPE_PORT_SEND, size=SIZEOF_HEADER))
        self._count("notified")
        return MACH_MSG_SUCCESS

    def peek(self) -> bytes | None:
        """The record in front, which stays; ``None`` if there is none."""
        return peek(self.block, self.getQueueSize(), trusting=True)

    def dequeue(self, room: int | None) -> bytes | None:
        """Take the record in front; ``None`` for whatever reason there is none."""
        code, data = dequeue(self.block, self.getQueueSize(), room)
        return None if code else data


class IOSharedDataQueue(IODataQueue):
    """A queue for memory that is mapped into a process: it keeps a size of its own."""

    appendix: ClassVar[int] = DATA_QUEUE_MEMORY_APPENDIX_SIZE

    def getQueueSize(self) -> int:
        """The ring's size in bytes, as it was made; what the memory says does not count."""
        return self.size

    def _ring(self, stated: int, head: int, tail: int) -> int | None:
        return self.size if self.size >= tail and self.size >= head else None
