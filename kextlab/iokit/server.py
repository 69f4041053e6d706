"""What a process asks of IOKit: finding, opening, calling, mapping, closing.

Models the ``is_io_*`` routines of ``iokit/Kernel/IOUserClient.cpp``. Each takes the ``Task`` that
calls and answers a code, with what C would write through pointers behind it; a refused call writes
nothing. Services and connections are names of send rights in the process's space, so a name that
is nobody's is Mach's MACH_SEND_INVALID_DEST, and one of the wrong kind kIOReturnBadArgument.

Left out: iterators, properties, matching notifications, sandbox and entitlements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from kextlab.abi.iokit import (
    IO_OBJECT_NULL,
    MIG_ARRAY_TOO_LARGE,
    STRUCT_INBAND_MAX,
    UINT32_MAX,
    kIOMapAnywhere,
    kIOMapReadOnly,
    kIOReturnBadArgument,
    kIOReturnError,
    kIOReturnIPCError,
    kIOReturnSuccess,
)
from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_TYPE_MAKE_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_SEND_INVALID_DEST,
    MACH_SEND_INVALID_RIGHT,
)
from kextlab.bsd.kctl import Out
from kextlab.iokit.machine import IOKit
from kextlab.iokit.memory import FIRST_ADDRESS, LARGEST, Block, IOMemoryDescriptor, IOMemoryMap
from kextlab.iokit.service import IOService, Task
from kextlab.iokit.user_client import IOExternalMethodArguments, IOUserClient
from kextlab.osfmk import mach_port
from kextlab.osfmk.ipc_object import object_destroy
from kextlab.osfmk.ipc_port import Port

D = TypeVar("D", bound=IOService)
Answer = tuple[tuple[int, ...], bytes, bytes]
"""What a method gives: scalars, structure, and the structure that goes out of line."""


class DriverError(Exception):
    """A driver refused to start."""


class IOResources(IOService):
    """What drivers stand on that have no hardware."""


class Server:
    """IOKit's services and connections.

    Attributes:
        kernel: IOKit of this boot.
    """

    def __init__(self, kernel: IOKit) -> None:
        self.kernel = kernel
        self._resources: IOResources | None = None
        self._addresses: dict[int, int] = {}

    @property
    def resources(self) -> IOResources:
        """What drivers stand on that have no hardware; there from the first driver on."""
        if self._resources is None:
            self._resources = IOResources()
            self._resources._attach(self.kernel, None)
        return self._resources

    @property
    def services(self) -> list[IOService]:
        """The drivers that run, oldest first."""
        return [] if self._resources is None else list(self._resources.clients)

    # -- drivers ---------------------------------------------------------------------------

    def add_driver(self, factory: Callable[[], D], name: str = "", bundle: str = "driver") -> D:
        """Make a driver, start it and register it under ``name``, or its class's. ``bundle`` is
        the kext its code is in.

        Raises:
            TypeError: ``factory`` makes no IOService.
            DriverError: its ``init`` or ``start`` refused.
        """
        driver = factory()
        if not isinstance(driver, IOService):
            raise TypeError(f"expected a class of IOService; got {factory!r}")
        kind = type(driver).__name__
        driver.kernel, driver.bundle = self.kernel, bundle
        if not self.kernel.bool_of(driver, "init"):
            raise DriverError(f"{kind}: its init returned False")
        driver._attach(self.kernel, self.resources)
        if not self.kernel.bool_of(driver, "start", self.resources):
            driver._detach()
            raise DriverError(f"{kind}: its start returned False")
        driver.registerService(name)
        return driver

    # -- names of rights -------------------------------------------------------------------

    def _export(self, task: Task, thing: IOService) -> int:
        """The process's name for an object, with one reference more."""
        thing.port.make_send()
        _, name = mach_port.copyout(task.space, thing.port, MACH_MSG_TYPE_PORT_SEND)
        return name

    def _named(self, task: Task, name: int) -> tuple[int, IOService | None]:
        """The object of a name: the message's destination."""
        _, entry = task.space.lookup(name)
        port = entry.object if entry is not None else None
        if not isinstance(port, Port) or not port.active:
            return MACH_SEND_INVALID_DEST, None
        if port.receiver is not self.kernel.ipc.kernel:
            raise NotImplementedError(
                f"{name:#x} is a port of a process: a call to IOKit would wait there for an answer"
            )
        return KERN_SUCCESS, port.kobject if isinstance(port.kobject, IOService) else None

    def _client(self, task: Task, connection: int) -> tuple[int, IOUserClient | None]:
        code, thing = self._named(task, connection)
        if not isinstance(thing, IOUserClient) or thing.finalized:
            return code or kIOReturnBadArgument, None
        return code, thing

    # -- services --------------------------------------------------------------------------

    def get_matching_service(self, task: Task, name: str) -> int:
        """The first service of that name or class as a name of a right; IO_OBJECT_NULL if there is
        none."""
        for service in self.services:
            if service.matches(name):
                return self._export(task, service)
        return IO_OBJECT_NULL

    def service_open(self, task: Task, name: int, owning: bool, type: int) -> tuple[int, int]:
        """Open a service: the connection. ``owning``: the process opens for itself.

        kIOReturnBadArgument: no service, or for another process; the driver's own answers.
        """
        code, service = self._named(task, name)
        if code != KERN_SUCCESS:
            return code, IO_OBJECT_NULL
        if service is None or not owning:
            return kIOReturnBadArgument, IO_OBJECT_NULL
        handler = Out()
        code = self.kernel.code_of(
            service,
            "newUserClient",
            task,
            task,
            type,
            None,
            handler,
            told=(task.pid, type),
        )
        if code != kIOReturnSuccess:
            return code, IO_OBJECT_NULL
        client = handler.value
        if not isinstance(client, IOUserClient):
            return kIOReturnError, IO_OBJECT_NULL
        client.port_name = self._export(task, client)
        self.kernel.changed(client.name, "connect")
        return kIOReturnSuccess, client.port_name

    def service_close(self, task: Task, connection: int) -> int:
        """Close a connection; what ``clientClose`` answers is nobody's business."""
        code, client = self._client(task, connection)
        if client is None:
            _, thing = self._named(task, connection)
            return kIOReturnSuccess if isinstance(thing, IOUserClient) else code
        if not client.closed:
            client._close()
            self.kernel.code_of(client, "clientClose")
        return kIOReturnSuccess

    # -- methods ---------------------------------------------------------------------------

    def connect_method(
        self,
        task: Task,
        connection: int,
        selector: int,
        scalars: Sequence[int] = (),
        structure: bytes = b"",
        scalar_room: int = 0,
        room: int = 0,
    ) -> tuple[int, Answer]:
        """Call a method. What exceeds 4096 bytes, in either direction, goes out of line: the
        driver gets a descriptor of the process's memory instead of a copy.

        kIOReturnBadArgument: no connection; the driver's own answers. kIOReturnIPCError: more than
        4 GB asked for. MIG_ARRAY_TOO_LARGE: the driver says that it wrote more than was asked for.

        Raises:
            NotImplementedError: more than 64 MB asked for.
        """
        nothing: Answer = ((), b"", b"")
        code, client = self._client(task, connection)
        if client is None:
            return code, nothing
        if room > UINT32_MAX:
            return kIOReturnIPCError, nothing
        if room > LARGEST:
            raise NotImplementedError("a method that answers more than 64 MB")
        args = IOExternalMethodArguments(selector, tuple(scalars))
        lent: list[Block] = []
        if len(structure) > STRUCT_INBAND_MAX:
            args.structureInputDescriptor = self._lend(lent, len(structure))
            args.structureInputDescriptor.writeBytes(0, structure)
        else:
            args.structureInput = structure
        args.scalarOutputCount = scalar_room
        args.scalarOutput = [0] * scalar_room
        if room > STRUCT_INBAND_MAX:
            args.structureOutputDescriptor = self._lend(lent, room)
            args.structureOutputDescriptorSize = room
        else:
            args.structureOutput = bytearray(room)
            args.structureOutputSize = room
        inband = args.structureOutputSize
        try:
            code = self.kernel.code_of(
                client,
                "externalMethod",
                selector,
                args,
                told=(selector, tuple(scalars), structure, scalar_room, room),
            )
            return self._answer(code, args, scalar_room, inband, room)
        finally:
            for block in lent:
                block.release()

    def _lend(self, lent: list[Block], size: int) -> IOMemoryDescriptor:
        """The process's own memory, as a driver may touch it during one call."""
        block = Block(self.kernel, size)
        lent.append(block)
        return IOMemoryDescriptor(block, size)

    def _answer(
        self, code: int, args: IOExternalMethodArguments, scalar_room: int, inband: int, room: int
    ) -> tuple[int, Answer]:
        """What goes back to the process.

        Raises:
            OverflowError: the method wrote beyond the end of what it was given.
        """
        if len(args.scalarOutput) != scalar_room or len(args.structureOutput) != inband:
            raise OverflowError(
                f"the method left {len(args.scalarOutput)} scalars and "
                f"{len(args.structureOutput)} bytes where there was room for {scalar_room} and "
                f"{inband}: write them in place"
            )
        if code != kIOReturnSuccess:
            return code, ((), b"", b"")
        outside = args.structureOutputDescriptor
        if args.scalarOutputCount > scalar_room or args.structureOutputSize > inband:
            return MIG_ARRAY_TOO_LARGE, ((), b"", b"")
        values = [value & 0xFFFFFFFF_FFFFFFFF for value in args.scalarOutput]
        return kIOReturnSuccess, (
            tuple(values[: args.scalarOutputCount]),
            bytes(args.structureOutput[: args.structureOutputSize]),
            b"" if outside is None else outside.readBytes(0, args.structureOutputDescriptorSize),
        )

    def connect_async_method(
        self, task: Task, connection: int, wake_port: int, references: int
    ) -> int:
        """Check the arguments of a method that answers later; ``references`` is how many words of
        reference there are.

        Raises:
            NotImplementedError: they are right.
        """
        code, _ = self._named(task, connection)
        if code != KERN_SUCCESS:
            return code
        code, client = self._client(task, connection)
        if client is not None and references > 0:
            raise NotImplementedError("methods that answer later (IOConnectCallAsync...)")
        refused, port = self._take(task, wake_port, MACH_MSG_TYPE_MAKE_SEND_ONCE)
        object_destroy(self.kernel.ipc, port, MACH_MSG_TYPE_PORT_SEND_ONCE)
        return refused or code or kIOReturnBadArgument

    def _take(self, task: Task, name: int, disposition: int) -> tuple[int, Port | None]:
        """The right a message carries; IO_OBJECT_NULL carries none."""
        if name == IO_OBJECT_NULL:
            return KERN_SUCCESS, None
        code, port = mach_port.copyin(task.space, name, disposition)
        if code != KERN_SUCCESS or not isinstance(port, Port):
            return MACH_SEND_INVALID_RIGHT, None
        return KERN_SUCCESS, port

    # -- notification and memory -----------------------------------------------------------

    def connect_set_notification_port(
        self, task: Task, connection: int, type: int, name: int, reference: int
    ) -> int:
        """Make a send right of the process's receive right ``name`` and give it to the driver; 0
        takes the port away. MACH_SEND_INVALID_RIGHT: no receive right of that name."""
        code, _ = self._named(task, connection)
        if code != KERN_SUCCESS:
            return code
        code, port = self._take(task, name, MACH_MSG_TYPE_MAKE_SEND)
        if code != KERN_SUCCESS:
            return code
        code, client = self._client(task, connection)
        if client is not None:
            code = self.kernel.code_of(
                client,
                "registerNotificationPort",
                port,
                type,
                reference,
                told=(name, type, reference),
            )
        if code != kIOReturnSuccess:
            object_destroy(self.kernel.ipc, port, MACH_MSG_TYPE_PORT_SEND)
        return code

    def _descriptor(
        self, client: IOUserClient, type: int
    ) -> tuple[int, IOMemoryDescriptor | None, int]:
        options, memory = Out(), Out()
        options.value, memory.value = 0, None
        code = self.kernel.code_of(
            client,
            "clientMemoryForType",
            type,
            options,
            memory,
            told=(type,),
        )
        found = memory.value if isinstance(memory.value, IOMemoryDescriptor) else None
        return code, found, options.value

    def connect_map_memory(
        self, task: Task, connection: int, type: int, owning: bool, flags: int
    ) -> tuple[int, IOMemoryMap | None]:
        """Map a driver's memory into the process; where it is already, if the driver answers with
        the very descriptor it answered before. kIOReturnBadArgument: for another process, or
        whatever reason the driver had to refuse.

        Raises:
            NotImplementedError: at a given address, without kIOMapAnywhere.
        """
        code, client = self._client(task, connection)
        if client is None:
            return code, None
        if not owning:
            return kIOReturnBadArgument, None
        if not flags & kIOMapAnywhere:
            raise NotImplementedError("mapping at a given address (without kIOMapAnywhere)")
        code, memory, options = self._descriptor(client, type)
        if memory is None or code != kIOReturnSuccess:
            return kIOReturnBadArgument, None
        for mapping in client.mappings:
            if mapping.descriptor is memory:  # the same map again
                return kIOReturnSuccess, mapping
        address = self._addresses.get(task.pid, FIRST_ADDRESS)
        self._addresses[task.pid] = address + memory.block.size + self.kernel.page_size
        mapping = IOMemoryMap(memory, task.pid, address, bool(options & kIOMapReadOnly))
        client.mappings = (*client.mappings, mapping)
        return kIOReturnSuccess, mapping

    def connect_unmap_memory(
        self, task: Task, connection: int, type: int, owning: bool, address: int
    ) -> int:
        """Take a window away again. kIOReturnBadArgument: none of that memory at ``address``, or
        not of the descriptor it was mapped by; the driver's own answers."""
        code, client = self._client(task, connection)
        if client is None:
            return code
        if not owning:
            return kIOReturnBadArgument
        code, memory, _ = self._descriptor(client, type)
        if memory is None or code != kIOReturnSuccess:
            return code
        for mapping in client.mappings:
            if mapping.descriptor is memory and mapping.address == address:
                client.mappings = tuple(each for each in client.mappings if each is not mapping)
                mapping.unmap()
                return kIOReturnSuccess
        return kIOReturnBadArgument
