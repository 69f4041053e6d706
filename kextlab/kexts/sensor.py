"""The sensor driver: readings for processes, through a user client and a shared data queue.

The smallest IOKit driver that shows all three ways to a process: methods that copy a few numbers,
memory that is mapped once, and a message that says there is something to read. One process at a
time may read; only root may calibrate. Readings that find the queue full are lost, and counted.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from kextlab.abi.iokit import (
    kIOClientPrivilegeAdministrator,
    kIOReturnExclusiveAccess,
    kIOReturnNotOpen,
    kIOReturnSuccess,
    kIOReturnUnsupported,
)
from kextlab.iokit import (
    IOExternalMethodArguments,
    IOExternalMethodDispatch,
    IOService,
    IOUserClient,
    Out,
    Task,
)
from kextlab.kexts.queue_client import QueueUserClient

kSensorRead, kSensorCalibrate = 0, 1
"""Types of connection: to read; to calibrate, for root."""
kSensorOpen, kSensorClose, kSensorStatistics, kSensorSetOffset = range(4)
"""Selectors: (); (); () -> readings, lost; (offset)."""


class SensorUserClient(QueueUserClient):
    """What a process has of the sensor."""

    sensor: SensorDriver

    def start(self, provider: IOService) -> bool:
        """Make the queue; ``openMethod`` lets readings into it."""
        if not super().start(provider) or not isinstance(provider, SensorDriver):
            return False
        self.sensor = provider
        return self.makeQueue(provider.entries, Reading.size)

    def clientClose(self) -> int:
        """The process is done, or dead: close the sensor for it, too."""
        self.sensor.close(self)
        self.terminate()
        return kIOReturnSuccess

    def externalMethod(
        self,
        selector: int,
        args: IOExternalMethodArguments,
        dispatch: IOExternalMethodDispatch | None = None,
        target: object = None,
        reference: object = None,
    ) -> int:
        """Choose the row of the table; the base class compares and calls."""
        if selector < len(self.sMethods):
            dispatch, target = self.sMethods[selector], self
        return super().externalMethod(selector, args, dispatch, target, reference)

    # -- the methods -----------------------------------------------------------------------

    def openMethod(self, reference: object, args: IOExternalMethodArguments) -> int:
        """kSensorOpen: the readings are this process's. kIOReturnExclusiveAccess: they are
        somebody's already."""
        return kIOReturnSuccess if self.sensor.open(self) else kIOReturnExclusiveAccess

    def closeMethod(self, reference: object, args: IOExternalMethodArguments) -> int:
        """kSensorClose: they are nobody's. kIOReturnNotOpen: they were not this process's."""
        if not self.sensor.isOpen(self):
            return kIOReturnNotOpen
        self.sensor.close(self)
        return kIOReturnSuccess

    def statistics(self, reference: object, args: IOExternalMethodArguments) -> int:
        """kSensorStatistics: readings taken, readings lost."""
        args.scalarOutput[0] = self.sensor.readings
        args.scalarOutput[1] = self.sensor.lost
        return kIOReturnSuccess

    def setOffset(self, reference: object, args: IOExternalMethodArguments) -> int:
        """kSensorSetOffset: added to every reading from now on. kIOReturnUnsupported: this
        connection is for reading."""
        if self.type != kSensorCalibrate:
            return kIOReturnUnsupported
        self.sensor.offset = args.scalarInput[0]
        return kIOReturnSuccess

    sMethods: ClassVar[tuple[IOExternalMethodDispatch, ...]] = (
        IOExternalMethodDispatch(openMethod),  # type: ignore[arg-type]  # the target is one of us
        IOExternalMethodDispatch(closeMethod),  # type: ignore[arg-type]
        IOExternalMethodDispatch(statistics, checkScalarOutputCount=2),  # type: ignore[arg-type]
        IOExternalMethodDispatch(setOffset, checkScalarInputCount=1),  # type: ignore[arg-type]
    )


Reading = struct.Struct("<II")
"""A reading: its number, its value."""


class SensorDriver(IOService):
    """Takes readings and hands them to whoever has it open."""

    IOUserClientClass = SensorUserClient
    entries = 4
    """Readings for which a process's queue has room, and one more."""

    def init(self) -> bool:
        """Nothing was read yet."""
        self.readings = self.lost = self.offset = 0
        return super().init()

    def newUserClient(
        self, owningTask: Task, securityID: Task, type: int, properties: object, handler: Out
    ) -> int:
        """Who may connect: to calibrate, root. kIOReturnNotPrivileged."""
        if type == kSensorCalibrate:
            error = IOUserClient.clientHasPrivilege(securityID, kIOClientPrivilegeAdministrator)
            if error != kIOReturnSuccess:
                return error
        return super().newUserClient(owningTask, securityID, type, properties, handler)

    def read(self, value: int) -> bool:
        """The hardware has a new value: queue it for whoever has the sensor open. False: there is
        nobody, or the queue is full and the reading lost."""
        self.readings += 1
        client = self._owner
        if not isinstance(client, SensorUserClient):
            return False
        reading = Reading.pack(self.readings, value + self.offset)
        if client.dataQueue.enqueue(reading, len(reading)):
            return True
        self.lost += 1
        return False
