"""Drivers and user clients through the gate: opening, methods, mapping, notification, ends."""

from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest

from kextlab import Kernel
from kextlab.abi import iokit as abi
from kextlab.abi.iokit import IOKitError
from kextlab.abi.mach import (
    KERN_INVALID_NAME,
    MACH_NOTIFY_SEND_ONCE,
    MACH_PORT_TYPE_RECEIVE,
    MACH_RCV_INVALID_NAME,
    MACH_RCV_TIMED_OUT,
    MACH_SEND_INVALID_DEST,
    MACH_SEND_INVALID_RIGHT,
)
from kextlab.iokit import (
    IOBufferMemoryDescriptor,
    IOExternalMethodArguments,
    IOExternalMethodDispatch,
    IOService,
    IOSharedDataQueue,
    IOUserClient,
    Out,
    Port,
    Task,
)
from kextlab.iokit.memory import MemoryFault
from kextlab.iokit.server import DriverError
from kextlab.kernel.explain import explain
from kextlab.kernel.snapshot import snapshot
from kextlab.osfmk.ipc_space import Entry
from kextlab.sched.stop import KernelPanic, SimDeadlock
from kextlab.trace.codes import CALLBACK, SYSCALL
from kextlab.userland.process import App

ANY = abi.kIOUCVariableStructureSize


def echo(target: object, reference: object, args: IOExternalMethodArguments) -> int:
    """As much back as there is room for."""
    given = args.structureInputDescriptor
    data = args.structureInput if given is None else given.readBytes(0, given.getLength())
    count = min(args.scalarInputCount, args.scalarOutputCount)
    args.scalarOutput[:count] = args.scalarInput[:count]
    args.scalarOutputCount = count
    out = args.structureOutputDescriptor
    if out is None:
        size = args.structureOutputSize = min(len(data), args.structureOutputSize)
        args.structureOutput[:size] = data[:size]
    else:
        args.structureOutputDescriptorSize = out.writeBytes(0, data)
    return abi.kIOReturnSuccess


class Client(IOUserClient):
    """A user client for every occasion: attributes of the driver say what it does."""

    provider: "Driver | None"
    shared: IOBufferMemoryDescriptor | None = None
    died = 0

    def initWithTask(self, owningTask: Task, securityID: Task, type: int) -> bool:
        return super().initWithTask(owningTask, securityID, type) and type != 1

    def start(self, provider: IOService) -> bool:
        return super().start(provider) and self.type != 2

    def clientClose(self) -> int:
        super().clientClose()
        assert self.provider is not None
        if not self.provider.forgets:
            self.provider.close(self)
        self.terminate()
        return abi.kIOReturnSuccess

    def clientDied(self) -> int:
        Client.died += 1
        return super().clientDied()

    def externalMethod(
        self,
        selector: int,
        args: IOExternalMethodArguments,
        dispatch: IOExternalMethodDispatch | None = None,
        target: object = None,
        reference: object = None,
    ) -> int:
        assert self.provider is not None
        rows = self.provider.rows
        row = rows[selector] if selector < len(rows) else None
        return super().externalMethod(selector, args, row, self)

    def clientMemoryForType(self, type: int, options: Out, memory: Out) -> int:
        if type == 9:
            return super().clientMemoryForType(type, options, memory)
        if type == 2 or self.shared is None:
            self.shared = IOBufferMemoryDescriptor.withCapacity(self, 100)
        memory.value = self.shared
        options.value |= abi.kIOMapReadOnly if type == 1 else 0
        return abi.kIOReturnSuccess


class Driver(IOService):
    """Its clients' methods are rows of a test."""

    IOUserClientClass = Client
    rows: tuple[IOExternalMethodDispatch, ...] = (
        IOExternalMethodDispatch(echo, ANY, ANY, ANY, ANY),
    )
    forgets = False


@pytest.fixture
def mac() -> Iterator[Kernel]:
    mac = Kernel()
    yield mac
    if mac.panic is None:
        assert mac.trace.state() == snapshot(mac.system)


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("client")


@pytest.fixture
def io(app: App) -> ModuleType:
    return app.iokit


def find(io: ModuleType, name: str = "Driver") -> int:
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching(name))
    assert isinstance(service, int)
    return service


def connected(io: ModuleType, type: int = 0) -> int:
    connection = io.IOServiceOpen(find(io), io.mach_task_self(), type)
    assert isinstance(connection, int)
    return connection


def entries_of(mac: Kernel, app: App) -> dict[int, Entry]:
    """What a process's names stand for."""
    space = mac.system.processes[app.pid].space
    assert space is not None
    return space.entries


def code(function: object, *args: object, **more: object) -> int:
    """What a call answers that is refused."""
    assert callable(function)
    with pytest.raises(IOKitError) as refused:
        function(*args, **more)
    assert refused.value.call == getattr(function, "__name__", "")
    return refused.value.code


# -- finding and opening -------------------------------------------------------------------


def test_a_driver_is_found_by_its_name_its_class_and_what_that_is_derived_from(
    mac: Kernel, io: ModuleType
) -> None:
    assert find(io) == abi.IO_OBJECT_NULL
    driver = mac.iokit.add_driver(Driver, "org_kextlab_driver")
    assert find(io, "org_kextlab_driver") == find(io) == find(io, "IOService") != 0
    assert find(io, "Nobody") == abi.IO_OBJECT_NULL
    assert driver.getName() == "org_kextlab_driver"
    assert mac.iokit.services == [driver]
    assert driver.getProvider() is mac.iokit.server.resources
    mac.iokit.terminate(driver)
    assert find(io) == abi.IO_OBJECT_NULL
    assert mac.iokit.services == []


def test_matching_by_anything_else_is_not_modelled(io: ModuleType) -> None:
    matching = {**io.IOServiceMatching("Driver"), "IONameMatch": "x"}
    with pytest.raises(NotImplementedError, match="matching by IONameMatch is not modelled"):
        io.IOServiceGetMatchingService(0, matching)
    for wrong in ({}, "Driver", {"IOProviderClass": 1}):
        with pytest.raises(TypeError, match=r"expected IOServiceMatching\(name\)"):
            io.IOServiceGetMatchingService(0, wrong)


def test_opening_is_refused_with_the_documented_codes(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    service, me = find(io), io.mach_task_self()
    assert code(io.IOServiceOpen, service, me + 1, 0) == abi.kIOReturnBadArgument
    assert code(io.IOServiceOpen, service, me, 1) == abi.kIOReturnBadArgument  # initWithTask
    assert code(io.IOServiceOpen, service, me, 2) == abi.kIOReturnUnsupported  # start
    assert driver.clients == []
    assert code(io.IOServiceOpen, 0, me, 0) == MACH_SEND_INVALID_DEST
    assert code(io.IOServiceOpen, 12345, me, 0) == MACH_SEND_INVALID_DEST


def test_a_driver_without_user_clients_cannot_be_opened(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(IOService)
    opened = (find(io, "IOService"), io.mach_task_self(), 0)
    assert code(io.IOServiceOpen, *opened) == abi.kIOReturnUnsupported


def test_a_new_user_client_must_be_one(mac: Kernel, io: ModuleType) -> None:
    class Odd(Driver):
        def newUserClient(
            self, owningTask: Task, securityID: Task, type: int, properties: object, handler: Out
        ) -> int:
            handler.value = self
            return abi.kIOReturnSuccess

    mac.iokit.add_driver(Odd)
    assert code(io.IOServiceOpen, find(io), io.mach_task_self(), 0) == abi.kIOReturnError


def test_one_client_has_it_open_at_a_time(mac: Kernel) -> None:
    driver = mac.iokit.add_driver(Driver)
    one, two = IOService(), IOService()
    one._attach(mac.iokit.kernel, driver)
    two._attach(mac.iokit.kernel, driver)
    assert driver.open(one)
    assert not driver.open(one)
    assert not driver.open(two)
    driver.close(two)
    assert driver.isOpen(one)
    assert not driver.isOpen(two)
    assert driver.isOpen()
    driver.close(one)
    assert driver.open(two)
    driver.close(two)
    driver.terminate()
    assert not driver.open(one)
    assert driver.isInactive()
    assert repr(driver).endswith(", inactive>")


def test_who_is_root_may_what_others_may_not(mac: Kernel, app: App) -> None:
    mac.iokit.add_driver(Driver)
    connected(app.iokit)
    connected(mac.spawn("daemon", uid=0).iokit)
    clients = mac.iokit.services[0].clients
    tasks = [client.task for client in clients if isinstance(client, Client)]
    asked = [IOUserClient.clientHasPrivilege(task, "root") for task in tasks]
    assert asked == [abi.kIOReturnNotPrivileged, abi.kIOReturnSuccess]
    assert IOUserClient.clientHasPrivilege(tasks[0], "no such") == abi.kIOReturnUnsupported
    with pytest.raises(NotImplementedError, match="the privilege 'console' is not modelled"):
        IOUserClient.clientHasPrivilege(tasks[0], "console")


@pytest.mark.parametrize("routine", ["init", "start"])
def test_a_driver_may_refuse_to_start(mac: Kernel, routine: str) -> None:
    refusing = type("Refusing", (Driver,), {routine: lambda self, *provider: False})
    with pytest.raises(DriverError, match=f"Refusing: its {routine} returned False"):
        mac.iokit.add_driver(refusing)
    assert mac.iokit.services == []
    assert not mac.system.texts["Refusing"].mapped


def test_a_driver_is_a_kext_in_memory_until_it_is_gone(mac: Kernel) -> None:
    first, second = (mac.iokit.add_driver(Driver) for _ in range(2))
    assert [first.bundle, second.bundle] == ["Driver", "Driver-2"]
    mac.iokit.terminate(first)
    assert "kext:Driver" not in mac.snapshot()
    assert "kext:Driver-2" in mac.snapshot()


def test_only_classes_of_drivers_are_drivers(mac: Kernel) -> None:
    with pytest.raises(TypeError, match="add_driver takes a class of IOService; got <class 'int'>"):
        mac.iokit.add_driver(int)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="expected a class of IOService"):
        mac.iokit.server.add_driver(object)  # type: ignore[type-var]


# -- methods -------------------------------------------------------------------------------


def test_arguments_go_in_and_come_back(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    connection = connected(io)
    assert io.IOConnectCallMethod(connection, 0, (1, -1), b"abc", 3, 2) == ((1, 2**64 - 1), b"ab")
    assert io.IOConnectCallScalarMethod(connection, 0, range(16), 99) == tuple(range(16))
    assert io.IOConnectCallStructMethod(connection, 0, bytearray(b"abc"), 9) == b"abc"
    large = bytes(range(256)) * 17
    assert io.IOConnectCallStructMethod(connection, 0, large, 5000) == large
    assert io.IOConnectCallStructMethod(connection, 0, large, 4096) == large[:4096]
    assert io.IOConnectCallStructMethod(connection, 0, large, 4097) == large[:4097]


def test_what_does_not_fit_a_call_is_refused_before_the_kernel(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    connection = connected(io)
    steps = len(mac.trace)
    too_many = range(17)
    assert code(io.IOConnectCallMethod, connection, 0, too_many) == abi.MIG_ARRAY_TOO_LARGE
    with pytest.raises(OverflowError, match="scalar 18446744073709551616: expected 64 bits"):
        io.IOConnectCallMethod(connection, 0, [2**64])
    with pytest.raises(ValueError, match="selector = -1, expected 0 to 4294967295"):
        io.IOConnectCallMethod(connection, -1)
    with pytest.raises(TypeError, match="connection = 'x', expected an int"):
        io.IOConnectCallMethod("x", 0)
    with pytest.raises(ValueError, match="outputCnt = -1, expected 0 or more"):
        io.IOConnectCallMethod(connection, 0, outputCnt=-1)
    with pytest.raises(ValueError, match="outputStructCnt = -1, expected 0 or more"):
        io.IOConnectCallMethod(connection, 0, outputStructCnt=-1)
    assert len(mac.trace) == steps
    with pytest.raises(NotImplementedError, match="a method that answers more than 64 MB"):
        io.IOConnectCallMethod(connection, 0, outputStructCnt=(64 << 20) + 1)
    huge = {"outputStructCnt": 1 << 32}
    assert code(io.IOConnectCallMethod, connection, 0, **huge) == abi.kIOReturnIPCError


@pytest.mark.parametrize(
    ("scalars", "structure", "outputs", "size"),
    [((), b"abc", 1, 4), ((1, 2), b"ab", 1, 4), ((1, 2), b"abc", 2, 4), ((1, 2), b"abc", 1, 5)],
)
def test_every_count_must_be_met_exactly(
    mac: Kernel,
    io: ModuleType,
    scalars: tuple[int, ...],
    structure: bytes,
    outputs: int,
    size: int,
) -> None:
    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(echo, 2, 3, 1, 4),)
    connection = connected(io)
    assert io.IOConnectCallMethod(connection, 0, (1, 2), b"abc", 1, 4) == ((1,), b"abc")
    given = (connection, 0, scalars, structure, outputs, size)
    assert code(io.IOConnectCallMethod, *given) == abi.kIOReturnBadArgument


def test_a_descriptor_counts_as_the_structure_it_stands_for(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(echo, 0, 5000, 0, 6000),)
    connection = connected(io)
    assert io.IOConnectCallStructMethod(connection, 0, bytes(5000), 6000) == bytes(5000)
    for structure, size in ((5001, 6000), (5000, 6001), (0, 6000), (5000, 0)):
        given = (connection, 0, (), bytes(structure), 0, size)
        assert code(io.IOConnectCallMethod, *given) == abi.kIOReturnBadArgument


def test_a_selector_that_is_none_and_a_row_without_a_method(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(None),)
    connection = connected(io)
    assert code(io.IOConnectCallMethod, connection, 0) == abi.kIOReturnNoCompletion
    assert code(io.IOConnectCallMethod, connection, 1) == abi.kIOReturnUnsupported


def test_a_method_that_says_it_wrote_more_than_there_was_room_for(
    mac: Kernel, io: ModuleType
) -> None:
    def boasts(target: object, reference: object, args: IOExternalMethodArguments) -> int:
        args.structureOutputSize += 1
        return abi.kIOReturnSuccess

    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(boasts, ANY, ANY, ANY, ANY),)
    assert code(io.IOConnectCallMethod, connected(io), 0) == abi.MIG_ARRAY_TOO_LARGE


def test_a_failed_method_gives_nothing_back(mac: Kernel, io: ModuleType) -> None:
    def fails(target: object, reference: object, args: IOExternalMethodArguments) -> int:
        args.scalarOutput[0] = 7
        return abi.kIOReturnBusy - (1 << 32)  # as a C int

    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(fails, 0, 0, 1, 0),)
    given = (connected(io), 0, (), b"", 1)
    assert code(io.IOConnectCallMethod, *given) == abi.kIOReturnBusy


def test_names_that_are_no_connections(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    service, port = find(io), io.IODataQueueAllocateNotificationPort()
    me = io.mach_task_self()
    for name, expected in ((service, abi.kIOReturnBadArgument), (99, MACH_SEND_INVALID_DEST)):
        assert code(io.IOConnectCallMethod, name, 0) == expected
        assert code(io.IOConnectMapMemory64, name, 0, me) == expected
        assert code(io.IOConnectUnmapMemory64, name, 0, me, 0) == expected
        assert code(io.IOConnectSetNotificationPort, name, 0, port) == expected
        assert code(io.IOConnectCallAsyncMethod, name, 0, port, (1,)) == expected
    assert code(io.IOServiceClose, service) == abi.kIOReturnBadArgument
    assert code(io.IOObjectRelease, 99) == KERN_INVALID_NAME
    with pytest.raises(NotImplementedError, match="would wait there for an answer"):
        io.IOConnectCallMethod(port, 0)


# -- ported: tests/ioconnectasyncmethod_57641955.c -----------------------------------------


def test_ported_ioconnectasyncmethod_57641955(mac: Kernel, app: App) -> None:
    """ioconnectasyncmethod_referenceCnt: no word of reference is kIOReturnBadArgument."""
    io = app.iokit
    mac.iokit.add_driver(Driver)
    connection = connected(io)
    wake = io.IODataQueueAllocateNotificationPort()
    assert code(io.IOConnectCallAsyncMethod, connection, 0, wake, ()) == abi.kIOReturnBadArgument
    # Beyond the test: the right that was made for the driver is told that it was destroyed.
    (told,) = entries_of(mac, app)[wake].port.messages
    assert told.id == MACH_NOTIFY_SEND_ONCE
    io.IOServiceClose(connection)
    io.IOObjectRelease(find(io))


def test_the_rest_of_what_an_asynchronous_call_checks(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    connection, asked = connected(io), io.IOConnectCallAsyncMethod
    assert code(asked, connection, 0, 0, range(9)) == abi.MIG_ARRAY_TOO_LARGE
    assert code(asked, connection, 0, 0, (1,), range(17)) == abi.MIG_ARRAY_TOO_LARGE
    assert code(asked, connection, 0, 99, ()) == MACH_SEND_INVALID_RIGHT
    with pytest.raises(NotImplementedError, match="methods that answer later"):
        asked(connection, 0, 0, (1,))


# -- memory --------------------------------------------------------------------------------


def test_a_driver_and_its_process_see_the_same_bytes(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    connection, me = connected(io), io.mach_task_self()
    window = io.IOConnectMapMemory64(connection, 0, me)
    (client,) = driver.clients
    assert isinstance(client, Client)
    assert client.shared is not None
    window.write(4, b"hello")
    assert client.shared.readBytes(4, 5) == b"hello"
    again = io.IOConnectMapMemory64(connection, 0, me)
    assert (again.address, again.length) == (window.address, 100)
    other = io.IOConnectMapMemory64(connection, 2, me)  # another descriptor each time
    assert other.address != window.address
    assert code(io.IOConnectUnmapMemory64, connection, 2, me, other.address) == (
        abi.kIOReturnBadArgument
    )
    assert code(io.IOConnectUnmapMemory64, connection, 0, me, 0) == abi.kIOReturnBadArgument
    assert code(io.IOConnectUnmapMemory64, connection, 0, 0, 0) == abi.kIOReturnBadArgument
    assert code(io.IOConnectUnmapMemory64, connection, 9, me, 0) == abi.kIOReturnUnsupported
    last = io.IOConnectMapMemory64(connection, 0, me)
    io.IOConnectUnmapMemory64(connection, 0, me, last.address)
    with pytest.raises(MemoryFault, match="SIGSEGV"):
        last.read(0, 1)


def test_memory_that_is_refused_and_memory_that_is_read_only(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    connection, me = connected(io), io.mach_task_self()
    assert code(io.IOConnectMapMemory64, connection, 9, me) == abi.kIOReturnBadArgument
    assert code(io.IOConnectMapMemory64, connection, 0, 0) == abi.kIOReturnBadArgument
    with pytest.raises(NotImplementedError, match="without kIOMapAnywhere"):
        io.IOConnectMapMemory64(connection, 0, me, 0)
    window = io.IOConnectMapMemory64(connection, 1, me)
    with pytest.raises(MemoryFault, match="SIGBUS"):
        window.write(0, b"x")


def test_a_window_is_written_when_nothing_is_recorded() -> None:
    mac = Kernel(trace=False)
    driver = mac.iokit.add_driver(Driver)
    io = mac.spawn("client").iokit
    window = io.IOConnectMapMemory64(connected(io), 0, io.mach_task_self())
    window.write(4, b"hello")
    (client,) = driver.clients
    assert isinstance(client, Client)
    assert client.shared is not None
    assert client.shared.readBytes(4, 5) == b"hello"
    assert (len(mac.trace), mac.asked) == (0, [])


def test_a_write_that_faults_is_not_in_the_trace(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    window = io.IOConnectMapMemory64(connected(io), 0, io.mach_task_self())
    steps = len(mac.trace)
    for offset, data in ((-1, b"x"), (window.size - 1, b"xy"), (1 << 32, b"x"), (7, b"")):
        with suppress(MemoryFault):
            window.write(offset, data)
    assert len(mac.trace) == steps
    assert not [ask for ask in mac.asked if ask.what == "touch"]


def test_a_window_outlives_a_closed_connection_until_its_name_goes(mac: Kernel, app: App) -> None:
    mac.iokit.add_driver(Driver)
    io, gate = app.iokit, mac.iokit
    connection = connected(io)
    window = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    assert gate.io_service_close(app.pid, connection) == (0, None)
    assert mac.iokit.services[0].clients == []
    window.write(0, b"x")
    assert code(io.IOConnectCallMethod, connection, 0) == abi.kIOReturnBadArgument
    io.IOServiceClose(connection)
    with pytest.raises(MemoryFault, match="SIGSEGV"):
        window.read(0, 1)


# -- notification --------------------------------------------------------------------------


class QueueClient(Client):
    """Has a queue, and tells of it."""

    def start(self, provider: IOService) -> bool:
        queue = IOSharedDataQueue.withEntries(self, 2, 8)
        assert queue is not None
        self.queue = queue
        return super().start(provider)

    def clientMemoryForType(self, type: int, options: Out, memory: Out) -> int:
        memory.value = self.queue.getMemoryDescriptor()
        return abi.kIOReturnSuccess

    def registerNotificationPort(self, port: Port | None, type: int, refCon: int) -> int:
        if type:
            return super().registerNotificationPort(port, type, refCon)
        self.releaseNotificationPort(self.queue.port)
        self.queue.setNotificationPort(port)
        return abi.kIOReturnSuccess


class QueueDriver(Driver):
    """A driver whose clients have queues."""

    IOUserClientClass = QueueClient


def queue_of(mac: Kernel) -> IOSharedDataQueue:
    (client,) = mac.iokit.services[0].clients
    assert isinstance(client, QueueClient)
    return client.queue


def test_waiting_for_data(mac: Kernel, app: App) -> None:
    io = app.iokit
    mac.iokit.add_driver(QueueDriver)
    connection = connected(io)
    window = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    port = io.IODataQueueAllocateNotificationPort()
    io.IOConnectSetNotificationPort(connection, 0, port)
    got = []

    def program(app: App) -> None:
        io.IODataQueueWaitForAvailableData(window, port)
        while io.IODataQueueDataAvailable(window):
            got.append((io.IODataQueuePeek(window), io.IODataQueueDequeue(window, 8)))

    app.run(program)
    mac.run()
    queue = queue_of(mac)
    queue.enqueue(b"one", 3)
    queue.enqueue(b"two", 3)
    mac.run()
    assert got == [(b"one", b"one"), (b"two", b"two")]
    wait = io.IODataQueueWaitForAvailableData
    assert code(wait, window, port, 0.5) == MACH_RCV_TIMED_OUT
    assert mac.now == 0.5
    assert code(wait, window, 99) == MACH_RCV_INVALID_NAME
    assert code(wait, None, port) == code(wait, window, 0) == abi.kIOReturnBadArgument
    with pytest.raises(SimDeadlock, match="ipc_mqueue_receive"):
        wait(window, port)


def test_reading_a_queue_is_refused_as_in_c(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(QueueDriver)
    window = io.IOConnectMapMemory64(connected(io), 0, io.mach_task_self())
    assert io.IODataQueuePeek(window) is None
    assert code(io.IODataQueueDequeue, window, 8) == abi.kIOReturnUnderrun
    queue_of(mac).enqueue(b"abc", 3)
    assert code(io.IODataQueueDequeue, window, 2) == abi.kIOReturnNoSpace
    assert code(io.IODataQueueDequeue, window, -1) == abi.kIOReturnBadArgument
    assert io.IODataQueueDequeue(window, None) == b""
    window.write(4, b"\xff\xff\xff\x0f")
    assert code(io.IODataQueueDequeue, window, 8) == abi.kIOReturnError
    window.write(0, b"\xff\xff\xff\xff")  # a client that believes this reads far beyond the end
    with pytest.raises(MemoryFault, match="SIGSEGV"):
        io.IODataQueueDequeue(window, 8)


def test_a_notification_port_that_is_refused_is_let_go_of(mac: Kernel, app: App) -> None:
    io = app.iokit
    mac.iokit.add_driver(QueueDriver)
    connection, port = connected(io), io.IODataQueueAllocateNotificationPort()
    entry = entries_of(mac, app)[port]
    assert entry.type == MACH_PORT_TYPE_RECEIVE
    asked = io.IOConnectSetNotificationPort
    assert code(asked, connection, 1, port) == abi.kIOReturnUnsupported
    assert code(asked, connection, 0, 99) == MACH_SEND_INVALID_RIGHT
    assert entry.port.srights == 0
    asked(connection, 0, port)
    assert entry.port.srights == 1
    queue_of(mac).enqueue(b"nobody waits", 8)
    asked(connection, 0, 0)
    assert (entry.port.srights, queue_of(mac).port) == (1, None)  # the message has one


# -- closing and dying ---------------------------------------------------------------------


def test_a_closed_connection_is_gone(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    connection = connected(io)
    io.IOServiceClose(connection)
    assert driver.clients == []
    assert code(io.IOConnectCallMethod, connection, 0) == MACH_SEND_INVALID_DEST
    assert code(io.IOServiceClose, connection) == MACH_SEND_INVALID_DEST


def test_a_driver_that_does_nothing_at_close_keeps_its_client(mac: Kernel, app: App) -> None:
    class Base(Driver):
        IOUserClientClass = IOUserClient  # type: ignore[assignment]  # as it is

    driver = mac.iokit.add_driver(Base)
    io = app.iokit
    connection = connected(io)
    for function, args in (
        (io.IOConnectCallMethod, (connection, 0)),
        (io.IOConnectSetNotificationPort, (connection, 0, 0)),
    ):
        assert code(function, *args) == abi.kIOReturnUnsupported
    for _ in range(2):  # the second is ignored
        assert mac.iokit.io_service_close(app.pid, connection) == (0, None)
    (client,) = driver.clients
    assert isinstance(client, IOUserClient)
    assert client.closed
    io.IOObjectRelease(connection)
    assert driver.clients == [client]


def test_a_process_that_dies_is_closed_for_the_oldest_connection_first(mac: Kernel) -> None:
    driver = mac.iokit.add_driver(Driver)
    app = mac.spawn("short lived")
    for _ in range(2):
        connected(app.iokit)
    window = app.iokit.IOConnectMapMemory64(connected(app.iokit), 0, app.iokit.mach_task_self())
    app.iokit.IODataQueueAllocateNotificationPort()
    Client.died = 0
    app.kill()
    assert (driver.clients, Client.died) == ([], 3)
    calls = [e for e in mac.trace.entries() if e[:3] == (3, "Driver", "Client::clientClose")]
    assert len(calls) == 3
    with pytest.raises(ProcessLookupError):
        window.read(0, 1)
    with pytest.raises(ProcessLookupError):
        app.iokit.IOServiceGetMatchingService(0, {})


def test_a_connection_let_go_of_without_closing_it_dies(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    connection = connected(io)
    Client.died = 0
    io.IOObjectRelease(connection)
    assert (driver.clients, Client.died) == ([], 1)


def deaths(mac: Kernel) -> int:
    """How often a driver was told that nobody has its connection any more."""
    return sum(e[2] == "Client::clientDied" for e in mac.trace.entries() if e[0] == CALLBACK)


@pytest.mark.parametrize("how", ["deallocate", "mod_refs", "destroy"])
def test_mach_s_own_calls_let_go_of_a_connection_too(mac: Kernel, app: App, how: str) -> None:
    driver, m = mac.iokit.add_driver(Driver), app.mach
    connection = connected(app.iokit)
    window = app.iokit.IOConnectMapMemory64(connection, 0, app.iokit.mach_task_self())
    more = (m.MACH_PORT_RIGHT_SEND, -1) if how == "mod_refs" else ()
    getattr(m, f"mach_port_{how}")(connection, *more)
    assert (driver.clients, deaths(mac)) == ([], 1)
    at = [(e[0], e[2]) for e in mac.trace.entries() if e[0] in (SYSCALL, CALLBACK)]
    assert at[-4:] == [  # the driver is told within the call
        (SYSCALL, f"mach_port_{how}"),
        (CALLBACK, "Client::clientDied"),
        (CALLBACK, "Client::clientClose"),
        (CALLBACK, "Client::stop"),
    ]
    with pytest.raises(MemoryFault, match="SIGSEGV"):
        window.read(0, 1)
    app.exit()
    assert deaths(mac) == 1


def test_the_first_of_two_references_is_not_the_last(mac: Kernel, app: App) -> None:
    driver, m = mac.iokit.add_driver(Driver), app.mach
    connection = connected(app.iokit)
    m.mach_port_mod_refs(connection, m.MACH_PORT_RIGHT_SEND, 1)
    m.mach_port_deallocate(connection)
    assert (len(driver.clients), deaths(mac)) == (1, 0)
    app.kill()
    assert (driver.clients, deaths(mac)) == ([], 1)


def send_connection(app: App, connection: int, to: int) -> None:
    """Move a connection away in a message."""
    m = app.mach
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0) | m.MACH_MSGH_BITS_COMPLEX
    right = m.PortDescriptor(connection, m.MACH_MSG_TYPE_MOVE_SEND)
    m.mach_msg(m.Message(bits, to, descriptors=[right]), m.MACH_SEND_MSG)


def test_a_connection_that_moved_away_dies_with_whoever_has_it(mac: Kernel, app: App) -> None:
    driver, m = mac.iokit.add_driver(Driver), app.mach
    heir = mac.spawn("heir")
    port = heir.mach.bootstrap_check_in("org.example.heir")
    to = m.bootstrap_look_up("org.example.heir")
    send_connection(app, connected(app.iokit), to)
    app.exit()  # it has no right to it any more: nothing happens
    assert deaths(mac) == 0
    got = heir.mach.mach_msg(None, m.MACH_RCV_MSG, 100, port)
    heir.iokit.IOConnectCallMethod(got.descriptors[0].name, 0)
    heir.kill()
    assert (driver.clients, deaths(mac)) == ([], 1)


def test_a_connection_in_a_message_that_is_destroyed_dies(mac: Kernel, app: App) -> None:
    driver, m = mac.iokit.add_driver(Driver), app.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    send_connection(app, connected(app.iokit), port)
    m.mach_port_destroy(port)
    assert (driver.clients, deaths(mac)) == ([], 1)


def test_a_connection_in_a_job_s_queue_dies_when_the_job_is_unloaded(mac: Kernel, app: App) -> None:
    driver = mac.iokit.add_driver(Driver)
    plist = {"Label": "job", "Program": "/job", "MachServices": {"job": True}}
    mac.launchd.load(plist, {"/job": lambda app: None})
    send_connection(app, connected(app.iokit), app.mach.bootstrap_look_up("job"))
    mac.launchd.unload("job")
    assert (driver.clients, deaths(mac)) == ([], 1)


def test_a_closed_connection_that_its_driver_keeps_is_told_no_more_than_once(
    mac: Kernel, app: App
) -> None:
    class Stays(Client):
        def clientClose(self) -> int:
            return abi.kIOReturnSuccess

    driver = mac.iokit.add_driver(type("StayingDriver", (Driver,), {"IOUserClientClass": Stays}))
    connection = connected(app.iokit)
    assert mac.iokit.io_service_close(app.pid, connection) == (0, None)
    app.mach.mach_port_deallocate(connection)
    assert len(driver.clients) == 1
    calls = [e[2] for e in mac.trace.entries() if e[0] == CALLBACK]
    assert calls[-2:] == ["Stays::clientClose", "Stays::clientDied"]


def test_a_driver_that_faults_at_the_death_of_a_client(mac: Kernel, app: App) -> None:
    mac.iokit.add_driver(Driver).clients = []
    connection, other = connected(app.iokit), connected(app.iokit)
    (client, _) = mac.iokit.services[0].clients
    client.clientClose = lambda: 1 // 0  # type: ignore[attr-defined]
    with pytest.raises(KernelPanic, match="ZeroDivisionError in callback clientDied"):
        app.mach.mach_port_deallocate(connection)
    assert other
    app.exit()  # nobody is told any more
    assert deaths(mac) == 1


def test_who_forgets_to_close_its_driver_keeps_it_taken(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    driver.forgets = True
    connection = connected(io)
    (client,) = driver.clients
    assert driver.open(client)
    io.IOServiceClose(connection)
    assert driver.clients == [client]
    assert client.isInactive()
    assert driver.isOpen(client)
    driver.close(client)  # what it should have done
    assert driver.clients == []


def test_a_terminated_driver_takes_its_clients_along(mac: Kernel, io: ModuleType) -> None:
    driver = mac.iokit.add_driver(Driver)
    connection = connected(io)
    (client,) = driver.clients
    driver.open(client)
    mac.iokit.terminate(driver)
    mac.iokit.terminate(driver)
    assert mac.iokit.services == [driver]  # until its client has closed it
    driver.close(client)
    assert mac.iokit.services == []
    assert code(io.IOConnectCallMethod, connection, 0) == MACH_SEND_INVALID_DEST
    io.IOObjectRelease(connection)


def test_a_release_of_a_port_that_is_none(mac: Kernel, io: ModuleType) -> None:
    mac.iokit.add_driver(Driver)
    connected(io)
    (client,) = mac.iokit.services[0].clients
    assert isinstance(client, Client)
    assert client.releaseNotificationPort(None) == abi.kIOReturnBadArgument
    service = find(io)
    io.IOObjectRelease(service)
    io.IOObjectRelease(service)  # two references: from here and from `connected`
    assert code(io.IOObjectRelease, service) == KERN_INVALID_NAME
    assert client.clientDied() == abi.kIOReturnSuccess
    assert client.clientDied() == abi.kIOReturnNotReady


# -- faults --------------------------------------------------------------------------------


def overruns(target: object, reference: object, args: IOExternalMethodArguments) -> int:
    args.structureOutput += b"too much"
    return abi.kIOReturnSuccess


def sleeps(target: object, reference: object, args: IOExternalMethodArguments) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (lambda *_: 1 // 0, "ZeroDivisionError in callback externalMethod"),
        (lambda *_: None, "externalMethod returned None, expected an IOReturn"),
        (lambda *_: True, "externalMethod returned True, expected an IOReturn"),
        (lambda *_: 1 << 32, "externalMethod returned 4294967296, expected an IOReturn"),
        (overruns, "left 0 scalars and 8 bytes where there was room for 0 and 0"),
    ],
)
def test_a_fault_in_a_method_takes_the_machine_down(
    mac: Kernel, io: ModuleType, method: object, said: str
) -> None:
    assert callable(method)
    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(method),)
    connection = connected(io)
    with pytest.raises(KernelPanic, match=said):
        io.IOConnectCallMethod(connection, 0)
    assert mac.panic is not None
    assert "externalMethod" in mac.panic.report
    with pytest.raises(KernelPanic):
        io.IOConnectCallMethod(connection, 0)
    assert mac.trace.state() == snapshot(mac.system)
    mac.reboot()
    assert mac.iokit.services == []


def test_a_method_that_sleeps_is_not_modelled(mac: Kernel, io: ModuleType) -> None:
    row = IOExternalMethodDispatch(sleeps)  # type: ignore[arg-type]  # that is the point
    mac.iokit.add_driver(Driver).rows = (row,)
    with pytest.raises(NotImplementedError, match="externalMethod that sleeps is not modelled"):
        io.IOConnectCallMethod(connected(io), 0)
    assert mac.panic is None


def test_an_interrupt_inside_a_driver_stops_the_machine(mac: Kernel, io: ModuleType) -> None:
    def stops(target: object, reference: object, args: IOExternalMethodArguments) -> int:
        raise KeyboardInterrupt

    mac.iokit.add_driver(Driver).rows = (IOExternalMethodDispatch(stops),)
    connection = connected(io)
    with pytest.raises(KeyboardInterrupt):
        io.IOConnectCallMethod(connection, 0)
    assert mac.panic is not None


def test_a_routine_of_a_driver_answers_true_or_false(mac: Kernel) -> None:
    forgetful = type("Forgetful", (Driver,), {"start": lambda self, provider: None})
    with pytest.raises(KernelPanic, match="start returned None, expected True or False"):
        mac.iokit.add_driver(forgetful)


def test_a_fault_inside_a_routine_of_the_kernel_stops_it_from_outside_too(
    mac: Kernel, io: ModuleType
) -> None:
    class Plain(QueueClient):
        def start(self, provider: IOService) -> bool:
            from kextlab.iokit import IODataQueue

            queue = IODataQueue.withCapacity(self, 64)
            assert queue is not None
            self.queue = queue  # type: ignore[assignment]  # the unsafe kind
            return True

    mac.iokit.add_driver(type("PlainDriver", (QueueDriver,), {"IOUserClientClass": Plain}))
    window = io.IOConnectMapMemory64(
        io.IOServiceOpen(find(io), io.mach_task_self(), 0), 0, io.mach_task_self()
    )
    window.write(0, b"\xff\xff\xff\x7f")
    window.write(4, b"\xff\xff\xff\x0f" * 2)
    with pytest.raises(KernelPanic, match="page fault in the memory of a driver: IODataQueue::"):
        queue_of(mac).enqueue(b"abc", 3)
    assert mac.panic is not None


def test_a_driver_that_uses_memory_it_released_takes_the_machine_down(mac: Kernel) -> None:
    driver = mac.iokit.add_driver(Driver)
    memory = IOBufferMemoryDescriptor.withCapacity(driver, 8)
    assert memory is not None
    memory.release()
    with pytest.raises(
        KernelPanic, match="page fault in the memory of a driver: IOBuffer"
    ) as panic:
        memory.writeBytes(0, b"late")
    assert mac.panic is panic.value
    assert "copy what is to be kept" in str(explain(panic.value))


def test_nothing_goes_on_in_a_boot_that_is_over(mac: Kernel, app: App) -> None:
    driver = mac.iokit.add_driver(QueueDriver)
    io = app.iokit
    window = io.IOConnectMapMemory64(connected(io), 0, io.mach_task_self())
    queue = queue_of(mac)
    old = mac.iokit
    mac.reboot()
    app.exit()
    for call in (
        lambda: queue.enqueue(b"", 0),
        lambda: window.read(0, 1),
        lambda: old.terminate(driver),
        lambda: io.IOServiceGetMatchingService(0, {}),
    ):
        with pytest.raises(ProcessLookupError):
            call()


def test_a_driver_called_after_tasks_ran_says_that_it_is_outside(mac: Kernel, app: App) -> None:
    mac.iokit.add_driver(QueueDriver)
    io = app.iokit
    connected(io)

    async def program(app: App) -> None:
        find(io)

    app.run(program)
    mac.run()
    queue_of(mac).enqueue(b"abc", 3)
    entries = list(mac.trace.entries())
    at = next(i for i, e in enumerate(entries) if e[0] == 2)
    assert entries[at - 1] == (7, 0)


def test_without_a_trace_it_works_as_well() -> None:
    mac = Kernel(trace=False)
    mac.iokit.add_driver(QueueDriver)
    app = mac.spawn("client")
    connection = connected(app.iokit)
    assert app.iokit.IOConnectCallMethod(connection, 0) == ((), b"")
    queue_of(mac).enqueue(b"abc", 3)
    app.kill()
    assert len(mac.trace) == 0
    assert repr(mac.iokit) == "<IOKit, 1 drivers>"


def test_a_process_over_a_link_has_no_iokit(mac: Kernel) -> None:
    app = App(mac.spawn("x"), mac.syscalls, mac.trace, mac.system.tasks)
    with pytest.raises(NotImplementedError, match="IOKit over a gate of one's own"):
        _ = app.iokit


def test_drivers_print() -> None:
    mac = Kernel()
    mac.iokit.add_driver(Driver).kernel.IOLog("hello from the driver")
    assert mac.log == ["hello from the driver"]
