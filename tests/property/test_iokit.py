"""Data queues against a plain deque; IOKit's trace against its own state, and failed calls."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kextlab.abi.iokit import IOKitError, kIOReturnNoSpace, kIOReturnUnderrun
from kextlab.iokit import IODataQueue, IOSharedDataQueue
from kextlab.iokit.data_queue import dequeue
from kextlab.iokit.machine import IOKit
from kextlab.iokit.memory import MemoryFault, Window
from kextlab.kernel.snapshot import snapshot
from kextlab.kexts.sensor import SensorDriver
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder
from kextlab.userland.data_queue import IODataQueueDequeue
from kextlab.userland.mac import Kernel

STEP = st.one_of(
    st.binary(max_size=40),  # enqueue it
    st.integers(0, 48),  # dequeue into a buffer of that size
)


@pytest.mark.parametrize("kind", [IODataQueue, IOSharedDataQueue])
@given(capacity=st.integers(0, 160), steps=st.lists(STEP, max_size=60))
def test_nothing_is_lost_but_what_enqueue_refused(
    kind: type[IODataQueue], capacity: int, steps: list[bytes | int]
) -> None:
    folder = Folder()
    kernel = IOKit(folder.step)
    queue = kind.withCapacity(kernel, capacity)
    assert queue is not None
    model: deque[bytes] = deque()
    refused = 0
    for step in steps:
        if isinstance(step, bytes):
            if queue.enqueue(step, len(step)):
                model.append(step)
            else:
                refused += 1
                used = sum(len(each) + 4 for each in model)
                assert used + len(step) + 4 >= capacity - max([len(step) + 4, *map(len, model)]) - 4
        else:
            code, data = dequeue(queue.block, queue.getQueueSize(), step)
            if not model:
                assert (code, data) == (kIOReturnUnderrun, b"")
            elif len(model[0]) > step:
                assert (code, data) == (kIOReturnNoSpace, b"")
            else:
                assert (code, data) == (0, model.popleft())
        assert queue.peek() == (model[0] if model else None)
        assert queue.dropped == refused
        assert folder.state == kernel.state()
    rest = [queue.dequeue(40) for _ in range(len(model))]
    assert rest == list(model)
    assert queue.dequeue(40) is None


class Machine(RuleBasedStateMachine):
    """Two processes do with a sensor whatever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.mac = Kernel()
        self.folder = Folder()
        record, self.checked = self.mac.system.rec, 0
        assert record is not None

        def check(entry: Entry) -> None:
            """Record, and compare what the entries add up to with the kernel's own account."""
            record(entry)
            self.the_trace_adds_up()
            self.checked += 1

        self.mac.system.rec = check
        self.sensor = self.mac.iokit.add_driver(SensorDriver)
        self.apps = [self.mac.spawn("user", uid=501), self.mac.spawn("root", uid=0)]
        self.windows: list[Window] = []
        self.names: list[int] = [0, 0x203, 0xFFFFFFFF]
        self.ports: list[int] = [0, 77]

    def call(self, app: int, function: str, *args: object) -> object:
        """Call it; if it is refused, everything is as it was (``None``)."""
        io = self.apps[app].iokit
        before = self.shown(), self.rights()
        try:
            return getattr(io, function)(*args)
        except (io.IOKitError, NotImplementedError):
            if function != "IOServiceClose":  # that lets go of the name in any case
                assert (self.shown(), self.rights()) == before
            return None

    def rights(self) -> list[object]:
        """Every name of both processes: its right, its references, its port's senders."""
        return [
            (name, entry.type, entry.urefs, entry.port.srights, entry.port.msgcount)
            for app in self.apps
            if (space := self.mac.system.processes[app.pid].space) is not None
            for name, entry in space.entries.items()
        ]

    @rule(app=st.integers(0, 1), name=st.sampled_from(["SensorDriver", "IOService", "Nobody"]))
    def find(self, app: int, name: str) -> None:
        found = self.call(app, "IOServiceGetMatchingService", 0, {"IOProviderClass": name})
        assert isinstance(found, int)
        self.names.append(found)

    @rule(app=st.integers(0, 1), pick=st.data(), task=st.sampled_from([0x203, 5]))
    def open(self, app: int, pick: st.DataObject, task: int) -> None:
        service = pick.draw(st.sampled_from(self.names))
        connection = self.call(app, "IOServiceOpen", service, task, pick.draw(st.integers(0, 1)))
        if isinstance(connection, int):
            self.names.append(connection)

    @rule(app=st.integers(0, 1), pick=st.data(), selector=st.integers(0, 5))
    def method(self, app: int, pick: st.DataObject, selector: int) -> None:
        self.call(
            app,
            "IOConnectCallMethod",
            pick.draw(st.sampled_from(self.names)),
            selector,
            pick.draw(st.lists(st.integers(0, 2**64 - 1), max_size=17)),
            pick.draw(st.sampled_from([b"", b"x", bytes(5000)])),
            pick.draw(st.integers(0, 3)),
            pick.draw(st.sampled_from([0, 5000])),
        )

    @rule(app=st.integers(0, 1), pick=st.data(), memory=st.integers(0, 1))
    def map(self, app: int, pick: st.DataObject, memory: int) -> None:
        name = pick.draw(st.sampled_from(self.names))
        window = self.call(app, "IOConnectMapMemory64", name, memory, 0x203)
        if isinstance(window, Window):
            self.windows.append(window)

    @precondition(lambda self: self.windows)
    @rule(pick=st.data(), offset=st.integers(-1, 4096), data=st.binary(max_size=12))
    def touch(self, pick: st.DataObject, offset: int, data: bytes) -> None:
        """Write into the memory, over head and tail, too."""
        window = pick.draw(st.sampled_from(self.windows))
        try:
            window.write(offset, data)
            IODataQueueDequeue(window, 8)
        except (MemoryFault, ProcessLookupError, IOKitError):
            pass

    @rule(app=st.integers(0, 1), pick=st.data())
    def port(self, app: int, pick: st.DataObject) -> None:
        if pick.draw(st.booleans()):
            made = self.call(app, "IODataQueueAllocateNotificationPort")
            assert isinstance(made, int)
            self.ports.append(made)
        name = pick.draw(st.sampled_from(self.names))
        port = pick.draw(st.sampled_from(self.ports))
        self.call(app, "IOConnectSetNotificationPort", name, 0, port)

    @rule(app=st.integers(0, 1), pick=st.data(), close=st.booleans())
    def let_go(self, app: int, pick: st.DataObject, close: bool) -> None:
        name = pick.draw(st.sampled_from(self.names))
        self.call(app, "IOServiceClose" if close else "IOObjectRelease", name)

    @rule(value=st.integers(0, 1000))
    def measure(self, value: int) -> None:
        self.sensor.offset = 0
        self.sensor.read(value)

    @precondition(lambda self: len(self.mac.processes) > 1)
    @rule(app=st.integers(0, 1))
    def die(self, app: int) -> None:
        self.apps[app].kill()
        self.apps[app] = self.mac.spawn("next", uid=501)

    def shown(self) -> dict[str, dict[str, object]]:
        return self.mac.iokit.state()

    @invariant()
    def the_trace_adds_up(self) -> None:
        self.folder.fold(self.mac.trace.entries(self.folder.steps))
        assert self.folder.state == snapshot(self.mac.system)


TestMachine = Machine.TestCase
