"""The process's side of a data queue: reading records out of mapped memory, without a system call.

Models ``IODataQueueClient.c`` of IOKitUser. ``dataQueue`` is the window that
``IOConnectMapMemory64`` gave. The size of the ring is read from the memory, so a process that
writes there can lead itself astray.

Left out: writing into a queue (``IODataQueueEnqueue``), the appendix.
"""

from __future__ import annotations

from kextlab.abi.iokit import IOKitError, kIOReturnBadArgument
from kextlab.iokit import data_queue
from kextlab.iokit.memory import SharedMemory


def check(call: str, code: int) -> None:
    """IOKitError for any code but 0."""
    if code:
        raise IOKitError(call, code)


def IODataQueueDataAvailable(dataQueue: SharedMemory) -> bool:
    """Whether there is a record: head and tail differ."""
    return data_queue.available(dataQueue)


def IODataQueuePeek(dataQueue: SharedMemory) -> bytes | None:
    """The record in front, which stays; ``None`` if there is none, or it cannot be true."""
    return data_queue.peek(dataQueue, None, trusting=False)


def IODataQueueDequeue(dataQueue: SharedMemory, dataSize: int | None) -> bytes:
    """Take the record in front.

    Args:
        dataSize: bytes your buffer has; ``None``: throw the record away.

    Raises:
        IOKitError: kIOReturnUnderrun (empty), kIOReturnNoSpace (the record is larger than the
            buffer; it stays), kIOReturnError (head or the record's size cannot be true),
            kIOReturnBadArgument (a size below 0).
    """
    if dataSize is not None and dataSize < 0:
        raise IOKitError("IODataQueueDequeue", kIOReturnBadArgument)
    code, data = data_queue.dequeue(dataQueue, None, dataSize)
    check("IODataQueueDequeue", code)
    return data
