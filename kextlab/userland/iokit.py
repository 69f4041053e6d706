"""IOKit.framework of a simulated process: finding a driver, opening it, calling its methods.

Names and order of arguments are those of ``IOKitLib.h`` and ``IODataQueueClient.h``. What C writes
through pointers is returned, counts of sequences are left out, and a code other than 0 is raised as
``IOKitError``. Models ``IOKitLib.c`` of IOKitUser and the stubs MIG makes for it.

Left out: iterators, properties, notifications of matching, methods that answer later beyond their
arguments' checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from operator import index
from types import ModuleType
from typing import TYPE_CHECKING

from kextlab.abi import iokit as abi
from kextlab.abi.iokit import (
    ASYNC_REF64_COUNT,
    IO_OBJECT_NULL,
    MIG_ARRAY_TOO_LARGE,
    SCALARS_MAX,
    STRUCT_INBAND_MAX,
    UINT32_MAX,
    IOKitError,
    kIOMapAnywhere,
)
from kextlab.abi.mach import (
    MACH_PORT_NULL,
    MACH_PORT_RIGHT_RECEIVE,
    MACH_RCV_MSG,
    MACH_RCV_TIMEOUT,
    SIZEOF_HEADER,
    SIZEOF_TRAILER,
)
from kextlab.iokit.memory import Window
from kextlab.userland import data_queue
from kextlab.userland.arguments import Readable, as_bytes, c_timeout
from kextlab.userland.data_queue import check

if TYPE_CHECKING:
    from kextlab.kernel.iokit import IOKitGate
    from kextlab.userland.process import App

TASK_SELF = 0x203
"""What ``mach_task_self()`` answers: every process has its own task under that name."""
PROVIDER_CLASS = "IOProviderClass"


def IOServiceMatching(name: str) -> dict[str, str]:
    """What to look for: drivers of that class, or of one derived from it."""
    return {PROVIDER_CLASS: name}


def _scalars(values: Sequence[int]) -> tuple[int, ...]:
    """64-bit words. OverflowError: a value that is none."""
    words = tuple(index(value) for value in values)
    for word in words:
        if not -(1 << 63) <= word < 1 << 64:
            raise OverflowError(f"scalar {word}: expected 64 bits")
    return tuple(word & 0xFFFFFFFF_FFFFFFFF for word in words)


def _word(name: str, value: int) -> int:
    """A number or a name of 32 bits. TypeError: no integer. ValueError: one that does not fit."""
    if not isinstance(value, int):
        raise TypeError(f"{name} = {value!r}, expected an int")
    if not 0 <= value <= UINT32_MAX:
        raise ValueError(f"{name} = {value}, expected 0 to {UINT32_MAX}")
    return value


def _count(name: str, value: int) -> int:
    """A size. ValueError: it is negative."""
    if index(value) < 0:
        raise ValueError(f"{name} = {value}, expected 0 or more")
    return index(value)


def module(app: App, gate: IOKitGate) -> ModuleType:
    """The IOKit of that process."""
    pid, mach = app.pid, gate.mach

    def mach_task_self() -> int:
        """The process's own task."""
        return TASK_SELF

    def IOServiceGetMatchingService(mainPort: int, matching: Mapping[str, str]) -> int:
        """A driver that matches, to be let go of with ``IOObjectRelease``; 0: there is none."""
        app.check()
        given: object = matching
        if not isinstance(given, Mapping) or not isinstance(given.get(PROVIDER_CLASS), str):
            raise TypeError(f"matching = {matching!r}, expected IOServiceMatching(name)")
        unknown = set(matching) - {PROVIDER_CLASS}
        if unknown:
            raise NotImplementedError(f"matching by {min(unknown)} is not modelled")
        return gate.io_service_get_matching_service(pid, matching[PROVIDER_CLASS])[1]

    def IOServiceOpen(service: int, owningTask: int, type: int) -> int:
        """Open a driver: the connection. Codes: kIOReturnUnsupported, kIOReturnBadArgument, and
        what the driver answers, such as kIOReturnNotPrivileged or kIOReturnExclusiveAccess."""
        app.check()
        _word("service", service)
        _word("type", type)
        code, connect = gate.io_service_open(pid, service, owningTask == TASK_SELF, type)
        check("IOServiceOpen", code)
        return connect

    def IOServiceClose(connect: int) -> None:
        """Close a connection and let go of it."""
        app.check()
        _word("connect", connect)
        code, _ = gate.io_service_close(pid, connect)
        mach.port_deallocate(pid, connect)
        check("IOServiceClose", code)

    def IOObjectRelease(object: int) -> None:
        """Let go of a service, a connection or a notification port."""
        app.check()
        _word("object", object)
        check("IOObjectRelease", mach.port_deallocate(pid, object)[0])

    def IOConnectCallMethod(
        connection: int,
        selector: int,
        input: Sequence[int] = (),
        inputStruct: Readable = b"",
        outputCnt: int = 0,
        outputStructCnt: int = 0,
    ) -> tuple[tuple[int, ...], bytes]:
        """Call a driver's method: up to 16 scalars of 64 bits and a structure in, up to
        ``outputCnt`` scalars (16 at most) and ``outputStructCnt`` bytes out.

        Codes: kIOReturnBadArgument (the counts are not the method's), kIOReturnUnsupported (no
        such method), MIG_ARRAY_TOO_LARGE (more than 16 scalars), and what the driver answers.
        """
        app.check()
        _word("connection", connection)
        _word("selector", selector)
        scalars, structure = _scalars(input), as_bytes(inputStruct)
        room = _count("outputStructCnt", outputStructCnt)
        most = min(_count("outputCnt", outputCnt), SCALARS_MAX)
        if len(scalars) > SCALARS_MAX:
            raise IOKitError("IOConnectCallMethod", MIG_ARRAY_TOO_LARGE)
        code, answer = gate.io_connect_method(
            pid, connection, selector, scalars, structure, most, room
        )
        check("IOConnectCallMethod", code)
        values, inband, outside = answer
        return values, outside if room > STRUCT_INBAND_MAX else inband

    def IOConnectCallScalarMethod(
        connection: int, selector: int, input: Sequence[int] = (), outputCnt: int = 0
    ) -> tuple[int, ...]:
        """As ``IOConnectCallMethod``, without structures."""
        return IOConnectCallMethod(connection, selector, input, b"", outputCnt)[0]

    def IOConnectCallStructMethod(
        connection: int, selector: int, inputStruct: Readable = b"", outputStructCnt: int = 0
    ) -> bytes:
        """As ``IOConnectCallMethod``, without scalars."""
        return IOConnectCallMethod(connection, selector, (), inputStruct, 0, outputStructCnt)[1]

    def IOConnectCallAsyncMethod(
        connection: int,
        selector: int,
        wake_port: int,
        reference: Sequence[int],
        input: Sequence[int] = (),
        inputStruct: Readable = b"",
        outputCnt: int = 0,
        outputStructCnt: int = 0,
    ) -> tuple[tuple[int, ...], bytes]:
        """A method that answers later, to ``wake_port``: its arguments are checked, and no more.

        Codes: kIOReturnBadArgument (no word of reference), MIG_ARRAY_TOO_LARGE (more than 8, or
        more than 16 scalars).

        Raises:
            NotImplementedError: the arguments are right.
        """
        app.check()
        _word("connection", connection)
        _word("selector", selector)
        _word("wake_port", wake_port)
        if len(reference) > ASYNC_REF64_COUNT or len(_scalars(input)) > SCALARS_MAX:
            raise IOKitError("IOConnectCallAsyncMethod", MIG_ARRAY_TOO_LARGE)
        code, _ = gate.io_connect_async_method(pid, connection, wake_port, len(reference))
        raise IOKitError("IOConnectCallAsyncMethod", code)

    def IOConnectMapMemory64(
        connect: int, memoryType: int, intoTask: int, options: int = kIOMapAnywhere
    ) -> Window:
        """Map a driver's memory: a window with ``read``, ``write``, ``address``, ``length``.
        kIOReturnBadArgument, whatever the driver's reason."""
        app.check()
        _word("connect", connect)
        _word("memoryType", memoryType)
        _word("options", options)
        owning = intoTask == TASK_SELF
        code, (address, _) = gate.io_connect_map_memory(pid, connect, memoryType, owning, options)
        check("IOConnectMapMemory64", code)
        return gate.window(pid, address)

    def IOConnectUnmapMemory64(
        connect: int, memoryType: int, fromTask: int, atAddress: int
    ) -> None:
        """Unmap it again."""
        app.check()
        _word("connect", connect)
        _word("memoryType", memoryType)
        owning = fromTask == TASK_SELF
        code, _ = gate.io_connect_unmap_memory(pid, connect, memoryType, owning, atAddress)
        check("IOConnectUnmapMemory64", code)

    def IOConnectSetNotificationPort(
        connect: int, type: int, port: int, reference: int = 0
    ) -> None:
        """Give a driver a send right to one's port; port 0 takes it away. kIOReturnUnsupported,
        MACH_SEND_INVALID_RIGHT (no receive right of that name)."""
        app.check()
        _word("connect", connect)
        _word("type", type)
        _word("port", port)
        code, _ = gate.io_connect_set_notification_port(pid, connect, type, port, reference)
        check("IOConnectSetNotificationPort", code)

    def IODataQueueAllocateNotificationPort() -> int:
        """A port for notifications: its queue holds one message."""
        app.check()
        _, port = mach.port_allocate(pid, MACH_PORT_RIGHT_RECEIVE)
        mach.port_set_qlimit(pid, port, 1)
        return port

    def IODataQueueWaitForAvailableData(
        dataQueue: Window | None, notificationPort: int, timeout: float | None = None
    ) -> None:
        """Wait for a notification and take it. It may be old: the queue may have been emptied
        since, and a queue that is not empty sends none.

        Args:
            timeout: seconds, as C has none, counted in whole milliseconds; MACH_RCV_TIMED_OUT when
                they have passed.
        """
        app.check()
        _word("notificationPort", notificationPort)
        if dataQueue is None or notificationPort == MACH_PORT_NULL:
            raise IOKitError("IODataQueueWaitForAvailableData", abi.kIOReturnBadArgument)
        seconds = c_timeout(timeout)
        option = MACH_RCV_MSG if seconds is None else MACH_RCV_MSG | MACH_RCV_TIMEOUT
        wait = ceil((seconds or 0) * 1000)
        size = SIZEOF_HEADER + SIZEOF_TRAILER
        code, _ = mach.mach_msg(pid, None, option, size, notificationPort, wait)
        check("IODataQueueWaitForAvailableData", code)

    result = ModuleType("iokit", "IOKit.framework of a simulated process.")
    numbers = {n: v for n, v in vars(abi).items() if n.startswith("k") and isinstance(v, int | str)}
    result.__dict__.update(
        **numbers,
        IO_OBJECT_NULL=IO_OBJECT_NULL,
        IOKitError=IOKitError,
        IOServiceMatching=IOServiceMatching,
        mach_task_self=mach_task_self,
        IOServiceGetMatchingService=IOServiceGetMatchingService,
        IOServiceOpen=IOServiceOpen,
        IOServiceClose=IOServiceClose,
        IOObjectRelease=IOObjectRelease,
        IOConnectCallMethod=IOConnectCallMethod,
        IOConnectCallScalarMethod=IOConnectCallScalarMethod,
        IOConnectCallStructMethod=IOConnectCallStructMethod,
        IOConnectCallAsyncMethod=IOConnectCallAsyncMethod,
        IOConnectMapMemory64=IOConnectMapMemory64,
        IOConnectUnmapMemory64=IOConnectUnmapMemory64,
        IOConnectSetNotificationPort=IOConnectSetNotificationPort,
        IODataQueueAllocateNotificationPort=IODataQueueAllocateNotificationPort,
        IODataQueueWaitForAvailableData=IODataQueueWaitForAvailableData,
        IODataQueueDataAvailable=data_queue.IODataQueueDataAvailable,
        IODataQueuePeek=data_queue.IODataQueuePeek,
        IODataQueueDequeue=data_queue.IODataQueueDequeue,
    )
    return result
