"""Two more ways from a kernel to many processes, beside asking it directly and asking the broker.

A page: a root daemon reads the kernel, as the broker does, and keeps what it read in a page of its
own. A client gives it a port, gets the right to map the page, and is told at that port when the
page has changed. Reading is no call. One count in front of the table is odd while it is written,
and so nobody takes half of the old table and half of the new one.

    mac.launchd.load(four_ways.PLIST, {broker.PATH: four_ways.PageBroker()})
    mac.spawn("client").run(four_ways.watch, 3)

A queue: a driver puts every table into the data queue of everybody who has it open
(``kextlab.kexts.status_driver``).

    mac.iokit.add_driver(StatusDriver)
    mac.spawn("client").run(four_ways.drain, 3)
"""

from __future__ import annotations

from typing import Any, Final

from kextlab.abi.mach import MACH_MSGH_BITS_COMPLEX
from kextlab.abi.mach_messages import MACH_MSGH_BITS, PortDescriptor
from kextlab.userland import broker
from kextlab.userland.broker import READ, REFRESH, Broker
from kextlab.userland.mach import Message
from kextlab.userland.process import App

PAGE_SERVICE: Final = "org.kextlab.page"
PLIST: Final = {**broker.PLIST, "Label": PAGE_SERVICE, "MachServices": {PAGE_SERVICE: True}}
PAGE: Final = 0x4000
WATCH: Final = 3
"""The right to map the page, please; the message carries a right to tell by."""
CHANGED: Final = 200
"""What is told: the page has changed. A message without a body."""
COUNT: Final = 8
"""Bytes of the count in front of the table."""
DRIVER: Final = "StatusDriver"


class PageBroker(Broker):
    """The daemon's program: a broker that also keeps the table in a page.

    Args:
        work: as the broker's.
    """

    service = PAGE_SERVICE
    questions = (READ, REFRESH, WATCH)

    def keep(self, app: App, table: bytes, first: bool) -> None:
        """Write it into the page: the count odd, the table, the count even. Then tell everybody
        who watches; who has not heard the last word yet needs no other."""
        m = app.mach
        if first:
            self.address = m.mach_vm_allocate(PAGE)
            _, self.entry = m.mach_make_memory_entry_64(PAGE, self.address, m.VM_PROT_READ)
            self.count = 0
            self.watchers: list[int] = []
        self._put(m, b"")
        self._put(m, table)
        for port in tuple(self.watchers):
            bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
            try:
                m.mach_msg(Message(bits, port, 0, CHANGED), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            except m.MachError as error:
                if error.name == "MACH_SEND_TIMED_OUT":
                    m.mach_msg_destroy(error.message)
                else:  # it is gone
                    self.watchers.remove(port)
                    m.mach_port_deallocate(port)

    def _put(self, m: Any, table: bytes) -> None:
        self.count += 1
        if table:
            m.store_words(self.address + COUNT, table)
        m.store(self.address, self.count.to_bytes(COUNT, "little"))

    def answer(self, m: Any, got: Message, errno: int, table: bytes) -> Message | None:
        """As the broker's; to who wants to watch, a right to the page instead of the table."""
        if got.msgh_id != WATCH or not len(got.descriptors) == len(got.rights) == 1:
            return super().answer(m, got, errno, table)
        (told,), got.descriptors = got.rights, []
        if told.name not in self.watchers:
            self.watchers.append(told.name)
        answer = super().answer(m, got, errno, b"")
        if answer is not None:
            answer.msgh_bits |= MACH_MSGH_BITS_COMPLEX
            answer.descriptors = [PortDescriptor(self.entry, m.MACH_MSG_TYPE_COPY_SEND)]
        return answer


def look(app: App, address: int) -> bytes:
    """The table in a page, whole: read again if the count was odd or has moved meanwhile."""
    m = app.mach
    while True:
        before = m.load(address, COUNT)
        table: bytes = m.load(address + COUNT, broker.SIZE // 2)
        if before[0] % 2 == 0 and before == m.load(address, COUNT):
            return table
        app.time.sleep(0)  # let the writer go on


def watch(app: App, times: int = 1) -> bytes:
    """A client of the page: it maps it, and looks ``times`` times, the first time at once and then
    whenever it is told; what it saw last.

    Raises:
        MachError: there is no such service.
    """
    m = app.mach
    to = m.bootstrap_look_up(PAGE_SERVICE)
    told = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_set_attributes(told, 1)
    bits = MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    right = PortDescriptor(told, m.MACH_MSG_TYPE_MAKE_SEND)
    asked = Message(bits | MACH_MSGH_BITS_COMPLEX, to, told, WATCH, descriptors=[right])
    got = m.mach_msg(asked, m.MACH_SEND_MSG | m.MACH_RCV_MSG, broker.SIZE, told)
    entry = got.descriptors[0].name
    read = m.VM_PROT_READ
    address = m.mach_vm_map(
        0, PAGE, 0, m.VM_FLAGS_ANYWHERE, entry, 0, False, read, read, m.VM_INHERIT_NONE
    )
    m.mach_port_deallocate(entry)
    table = look(app, address)
    for _ in range(times - 1):
        m.mach_msg(None, m.MACH_RCV_MSG, broker.SIZE, told)
        table = look(app, address)
    return table


def drain(app: App, times: int = 1) -> bytes:
    """A client of the driver: it maps its queue, and takes ``times`` records out; the last.

    Raises:
        IOKitError: there is no such driver.
    """
    io = app.iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching(DRIVER))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    io.IOObjectRelease(service)
    queue = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    port = io.IODataQueueAllocateNotificationPort()
    io.IOConnectSetNotificationPort(connection, 0, port)
    record = b""
    while times:
        if not io.IODataQueueDataAvailable(queue):
            io.IODataQueueWaitForAvailableData(queue, port)
            continue
        record = io.IODataQueueDequeue(queue, broker.SIZE)
        times -= 1
    return record
