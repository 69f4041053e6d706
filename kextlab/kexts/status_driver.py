"""The status driver: the status kext's table for everybody who has it open, through data queues.

Every process has a queue of its own, in memory it maps; a table that finds a queue full is lost to
that process alone. Nobody asks: the driver publishes.
"""

from __future__ import annotations

from kextlab.abi.iokit import kIOReturnSuccess
from kextlab.iokit import IOService
from kextlab.kexts.queue_client import QueueUserClient
from kextlab.kexts.status import TABLE_SIZE

TABLES = 4
"""Tables for which a queue has room, and one more."""


class StatusUserClient(QueueUserClient):
    """A process's queue."""

    def start(self, provider: IOService) -> bool:
        """Make the queue."""
        return super().start(provider) and self.makeQueue(TABLES, TABLE_SIZE)

    def clientClose(self) -> int:
        """The process is done, or dead."""
        self.terminate()
        return kIOReturnSuccess


class StatusDriver(IOService):
    """Publishes the table."""

    IOUserClientClass = StatusUserClient

    def init(self) -> bool:
        """Nothing was published yet."""
        self.published = 0
        return super().init()

    def publish(self) -> int:
        """Put the table, 1,000 bytes that begin with how often it was published, into every queue;
        how many had no room."""
        table = self.published.to_bytes(4, "little") + bytes(TABLE_SIZE - 4)
        self.published += 1
        queues = [each.dataQueue for each in self.clients if isinstance(each, StatusUserClient)]
        return sum(not queue.enqueue(table, len(table)) for queue in queues)
