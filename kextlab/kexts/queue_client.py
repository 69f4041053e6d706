"""A user client with a data queue: what the bundled drivers' clients have in common."""

from __future__ import annotations

from kextlab.abi.iokit import kIODefaultMemoryType, kIOReturnSuccess, kIOReturnUnsupported
from kextlab.iokit import IOMemoryDescriptor, IOService, IOSharedDataQueue, IOUserClient, Out, Port


class QueueUserClient(IOUserClient):
    """What a process has of a driver: a queue in memory it maps, and a port that is told."""

    dataQueue: IOSharedDataQueue
    memory: IOMemoryDescriptor
    notificationPort: Port | None = None

    def makeQueue(self, entries: int, size: int) -> bool:
        """Make the queue, for so many records of that size. False: no room."""
        dataQueue = IOSharedDataQueue.withEntries(self, entries, size)
        if dataQueue is None:
            return False
        self.dataQueue, self.memory = dataQueue, dataQueue.getMemoryDescriptor()
        return True

    def stop(self, provider: IOService) -> None:
        """Give everything back."""
        self.releaseNotificationPort(self.notificationPort)
        self.dataQueue.release()
        super().stop(provider)

    def clientMemoryForType(self, type: int, options: Out, memory: Out) -> int:
        """The queue. Always the same descriptor, so that it can be unmapped again."""
        if type != kIODefaultMemoryType:
            return kIOReturnUnsupported
        memory.value = self.memory
        return kIOReturnSuccess

    def registerNotificationPort(self, port: Port | None, type: int, refCon: int) -> int:
        """Tell this port of records, and no other any more."""
        self.releaseNotificationPort(self.notificationPort)
        self.notificationPort = port
        self.dataQueue.setNotificationPort(port)
        return kIOReturnSuccess
