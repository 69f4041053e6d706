"""The sensor driver: exclusive, calibrated by root, a queue that may lose readings."""

import pickle
from types import ModuleType

import pytest

from kextlab import Kernel
from kextlab.abi.iokit import (
    IOKitError,
    kIOReturnBadArgument,
    kIOReturnExclusiveAccess,
    kIOReturnNotOpen,
    kIOReturnNotPrivileged,
    kIOReturnUnsupported,
)
from kextlab.iokit import IOService
from kextlab.kernel.snapshot import snapshot
from kextlab.kexts.sensor import (
    Reading,
    SensorDriver,
    SensorUserClient,
    kSensorCalibrate,
    kSensorClose,
    kSensorOpen,
    kSensorRead,
    kSensorSetOffset,
    kSensorStatistics,
)
from kextlab.views.log import log
from kextlab.views.scenes import scene_document


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


def connect(io: ModuleType, type: int = kSensorRead) -> int:
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), type)
    assert isinstance(connection, int)
    return connection


def test_readings_reach_whoever_has_it_open(mac: Kernel) -> None:
    sensor = mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    assert not sensor.read(1)
    connection = connect(io)
    io.IOConnectCallMethod(connection, kSensorOpen)
    queue = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    port = io.IODataQueueAllocateNotificationPort()
    io.IOConnectSetNotificationPort(connection, 0, port)
    assert [sensor.read(value) for value in range(6)] == [True] * 5 + [False]
    io.IODataQueueWaitForAvailableData(queue, port)
    got = []
    while io.IODataQueueDataAvailable(queue):
        got.append(Reading.unpack(io.IODataQueueDequeue(queue, Reading.size)))
    assert got == [(number + 2, number) for number in range(5)]
    assert io.IOConnectCallScalarMethod(connection, kSensorStatistics, (), 2) == (7, 1)
    io.IOConnectUnmapMemory64(connection, 0, io.mach_task_self(), queue.address)
    io.IOServiceClose(connection)
    assert not [name for name in snapshot(mac.system) if name.startswith(("io_q", "io_m", "io_c"))]
    assert mac.trace.state() == snapshot(mac.system)


def test_one_reader_at_a_time(mac: Kernel) -> None:
    mac.iokit.add_driver(SensorDriver)
    first, second = mac.spawn("first"), mac.spawn("second").iokit
    mine = connect(first.iokit)
    first.iokit.IOConnectCallMethod(mine, kSensorOpen)
    connection = connect(second)
    with pytest.raises(IOKitError) as refused:
        second.IOConnectCallMethod(connection, kSensorOpen)
    assert refused.value.code == kIOReturnExclusiveAccess
    with pytest.raises(IOKitError) as refused:
        second.IOConnectCallMethod(connection, kSensorClose)
    assert refused.value.code == kIOReturnNotOpen
    first.iokit.IOConnectCallMethod(mine, kSensorClose)
    second.IOConnectCallMethod(connection, kSensorOpen)
    mac.spawn("bystander").kill()
    with pytest.raises(IOKitError):
        first.iokit.IOConnectCallMethod(mine, kSensorOpen)
    second.IOServiceClose(connection)
    first.iokit.IOConnectCallMethod(mine, kSensorOpen)
    first.kill()
    assert not mac.iokit.services[0].isOpen()


def test_root_calibrates(mac: Kernel) -> None:
    sensor = mac.iokit.add_driver(SensorDriver)
    user, root = mac.spawn("user").iokit, mac.spawn("root", uid=0).iokit
    with pytest.raises(IOKitError) as refused:
        connect(user, kSensorCalibrate)
    assert refused.value.code == kIOReturnNotPrivileged
    with pytest.raises(IOKitError) as refused:
        user.IOConnectCallScalarMethod(connect(user), kSensorSetOffset, (5,))
    assert refused.value.code == kIOReturnUnsupported
    root.IOConnectCallScalarMethod(connect(root, kSensorCalibrate), kSensorSetOffset, (5,))
    assert sensor.offset == 5


def test_other_memory_and_other_selectors(mac: Kernel) -> None:
    mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    connection = connect(io)
    with pytest.raises(IOKitError) as refused:
        io.IOConnectMapMemory64(connection, 1, io.mach_task_self())
    assert refused.value.code == kIOReturnBadArgument
    with pytest.raises(IOKitError) as refused:
        io.IOConnectCallMethod(connection, 4)
    error = refused.value
    assert str(error) == "IOConnectCallMethod: kIOReturnUnsupported (0xe00002c7)"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.call, copy.code, copy.name) == (error.call, error.code, "kIOReturnUnsupported")


def test_a_queue_that_cannot_be_made_and_a_provider_of_another_kind(mac: Kernel) -> None:
    sensor = mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    sensor.entries = 1 << 30
    with pytest.raises(IOKitError) as refused:
        connect(io)
    assert refused.value.code == kIOReturnUnsupported
    client = SensorUserClient()
    assert not client.start(IOService())


def test_the_log_tells_of_drivers_and_their_codes_and_a_scene_can_be_made(mac: Kernel) -> None:
    mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    for type in (kSensorRead, kSensorCalibrate):
        with pytest.raises(IOKitError):
            io.IOConnectCallMethod(connect(io, type) + 1, kSensorOpen)
    told = str(log(mac))
    for line in (
        "reader opens SensorDriver, type 0 (io_service_open).",
        "The kernel runs SensorDriver's SensorUserClient::start routine.",
        "reader calls method 0 of name 0x204, which this task does not have (io_connect_method).",
        "The kernel refused io_connect_method: the name ",
        "SensorDriver's SensorDriver::newUserClient routine answers kIOReturnNotPrivileged.",
        "io_service_open returns kIOReturnNotPrivileged to reader.",
    ):
        assert line in told
    assert scene_document(mac)
