"""Machines with Mach, memory, launchd and IOKit in them, for the views."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kextlab import Kernel
from kextlab.abi.iokit import IOKitError
from kextlab.kexts.sensor import Reading, SensorDriver, kSensorOpen
from kextlab.kexts.status import StatusKext
from kextlab.osfmk.vm_fault import VmFault
from kextlab.userland import broker
from tests.unit.test_kexts_sensor import connect
from tests.unit.test_userland_vm import PAGE, given, mapped

SERVICE = "org.kextlab.crash"


def memory() -> Kernel:
    """Document E's program: a page of the server seen by the client, then a touch beside it."""
    mac = Kernel()
    server, client = mac.spawn("server", uid=0), mac.spawn("client")
    s, c = server.mach, client.mach
    address = s.mach_vm_allocate(PAGE)
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    name = given(server, client, entry)
    here = mapped(c, name)
    s.store(address, b"hello")
    with suppress(VmFault):
        c.load(here + 64 * PAGE, 1)
    c.mach_port_deallocate(name)
    return mac


def brokered() -> Kernel:
    """Two clients of the broker, which launchd starts on demand."""
    mac = Kernel()
    mac.load(StatusKext)
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    for _ in range(2):
        mac.spawn("client").run(broker.ask)
    mac.run()
    return mac


def throttled() -> Kernel:
    """A job that crashes over its first message, and may start again 5 s later."""
    mac = Kernel()

    def crash(app: Any) -> None:
        m = app.mach
        m.mach_msg(None, m.MACH_RCV_MSG, 4096, m.bootstrap_check_in(SERVICE))
        raise ValueError

    plist = {
        "Label": SERVICE,
        "ProgramArguments": ["/bin/crash"],
        "MachServices": {SERVICE: True},
        "ThrottleInterval": 5,
    }
    mac.launchd.load(plist, {"/bin/crash": crash})

    def ask(app: Any) -> None:
        m = app.mach
        to = m.bootstrap_look_up(SERVICE)
        for _ in range(2):
            bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
            m.mach_msg(m.Message(bits, to, msgh_id=7), m.MACH_SEND_MSG)
            app.time.sleep(1)

    mac.spawn("client").run(ask)
    mac.run(until=20)
    return mac


def sensor() -> Kernel:
    """Five readings fit the data queue and the sixth is lost; an unknown method."""
    mac = Kernel()
    driver = mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    connection = connect(io)
    io.IOConnectCallMethod(connection, kSensorOpen)
    queue = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    port = io.IODataQueueAllocateNotificationPort()
    io.IOConnectSetNotificationPort(connection, 0, port)
    for value in range(6):
        driver.read(value)
    io.IODataQueueWaitForAvailableData(queue, port)
    io.IODataQueueDequeue(queue, Reading.size)
    with suppress(IOKitError):
        io.IOConnectCallScalarMethod(connection, 99, (), 2)
    io.IOServiceClose(connection)
    return mac
