"""IOKit: drivers, user clients, shared memory and data queues.

What a driver class needs is imported from here. ``machine`` what all drivers of one kernel share;
``memory`` and ``data_queue`` memory that is mapped into processes; ``service`` and ``user_client``
the classes a driver is made of; ``server`` what a process asks for. No recording exists of any of
it: documented only (``docs/fidelity.md``).
"""

from kextlab.bsd.kctl import Out
from kextlab.iokit.data_queue import IODataQueue, IOSharedDataQueue
from kextlab.iokit.memory import IOBufferMemoryDescriptor, IOMemoryDescriptor
from kextlab.iokit.service import IOService, Task
from kextlab.iokit.user_client import (
    IOExternalMethodArguments,
    IOExternalMethodDispatch,
    IOUserClient,
)
from kextlab.osfmk.ipc_port import Port

__all__ = [
    "IOBufferMemoryDescriptor",
    "IODataQueue",
    "IOExternalMethodArguments",
    "IOExternalMethodDispatch",
    "IOMemoryDescriptor",
    "IOService",
    "IOSharedDataQueue",
    "IOUserClient",
    "Out",
    "Port",
    "Task",
]
