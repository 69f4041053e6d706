"""Any session of Mach, memory, IOKit and launchd: derived from the machine, saved, loaded and run
again it leaves the same trace, and so do its branches."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi.mach_messages import PortDescriptor
from kextlab.iokit.memory import MemoryFault
from kextlab.kexts.sensor import SensorDriver
from kextlab.osfmk.vm_fault import VmFault
from kextlab.scenario import Scenario
from kextlab.scenario.hashes import hashes
from kextlab.sched.stop import SimStop
from kextlab.userland.launchd import LaunchdError
from kextlab.userland.mach import Message
from kextlab.userland.process import App
from kextlab.views import scene_document

ENDS = (SimStop, NotImplementedError, ProcessLookupError)
PAGE = 0x4000
JOB = {"Label": "job", "Program": "/job", "MachServices": {"job": True}, "ThrottleInterval": 1}


def hears(app: App) -> None:
    """A job that hears one message."""
    m = app.mach
    port = m.bootstrap_check_in("job")
    m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 400, port, 20)


def writes(app: App, data: bytes) -> None:
    """A program with memory of its own, and a message to the job."""
    m = app.mach
    address = m.mach_vm_allocate(PAGE)
    m.store_words(address, data)
    m.mach_msg(Message(19, m.bootstrap_look_up("job")), m.MACH_SEND_MSG)


class Session:
    """A session that is drawn: what it can do, with the names and addresses it has met."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.mac = Kernel()
        self.mac.launchd.load(JOB, {"/job": hears})
        self.sensor = self.mac.iokit.add_driver(SensorDriver)
        self.apps = [self.mac.spawn("one"), self.mac.spawn("two", uid=0)]
        self.names = [0, 0x103, 0x203, 0x303]
        self.addresses = [0]
        self.windows = []  # type: ignore[var-annotated]

    def pick(self, items: list[int]) -> int:
        return self.data.draw(st.sampled_from(items))

    def app(self) -> App:
        return self.data.draw(st.sampled_from(self.apps))

    def name(self) -> int:
        return self.pick(self.names)

    def ports(self, m: ModuleType) -> None:
        self.names.append(m.mach_port_allocate(self.pick([0, 1, 3, 4])))
        m.mach_port_insert_right(self.names[-1], self.names[-1], m.MACH_MSG_TYPE_MAKE_SEND)

    def rights(self, m: ModuleType) -> None:
        call = self.pick([0, 1, 2, 3])
        if call == 0:
            m.mach_port_deallocate(self.name())
        elif call == 1:
            m.mach_port_mod_refs(self.name(), self.pick([0, 1]), self.pick([-1, 1]))
        elif call == 2:
            m.mach_port_request_notification(
                self.name(), m.MACH_NOTIFY_NO_SENDERS, 0, self.name(), self.pick([20, 21])
            )
        else:
            m.mach_port_destroy(self.name())

    def message(self, m: ModuleType) -> None:
        bits, carried = m.MACH_MSGH_BITS(self.pick([19, 20]), self.pick([0, 21])), []
        if self.data.draw(st.booleans()):
            bits |= m.MACH_MSGH_BITS_COMPLEX
            carried = [PortDescriptor(self.name(), self.pick([17, 19]))]
        body = bytes(4 * self.pick([0, 1, 20]))
        message = Message(bits, self.name(), self.name(), 7, body, carried)
        option = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
        if self.data.draw(st.booleans()):
            option |= m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT
        got = m.mach_msg(message, option, 500, self.name(), self.pick([0, 3]))
        if got is not None:
            self.names += [one.name for one in got.descriptors]

    def services(self, m: ModuleType) -> None:
        self.names.append(m.bootstrap_look_up(self.data.draw(st.sampled_from(["job", "no"]))))

    def memory(self, m: ModuleType) -> None:
        address = m.mach_vm_allocate(PAGE)
        size, entry = m.mach_make_memory_entry_64(PAGE, address, self.pick([1, 3]))
        here = m.mach_vm_map(0, size, 0, 1, entry, 0, self.data.draw(st.booleans()), 1, 3, 1)
        self.addresses += [address, here]
        self.names.append(entry)

    def touches(self, m: ModuleType) -> None:
        address = self.pick(self.addresses) + self.pick([0, 3, PAGE - 8])
        call = self.pick([0, 1, 2])
        if call == 0:
            m.load(address, 12)
        elif call == 1:
            m.store(address, self.data.draw(st.binary(max_size=12)))
        else:
            m.store_words(address, self.data.draw(st.binary(max_size=30)))

    def open(self, m: ModuleType) -> None:
        io = self.app().iokit
        service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
        connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
        self.names.append(connection)
        io.IOConnectCallMethod(connection, 0)
        self.windows.append(io.IOConnectMapMemory64(connection, 0, io.mach_task_self()))
        io.IOConnectSetNotificationPort(connection, 0, self.name())

    def queue(self, m: ModuleType) -> None:
        io = self.app().iokit
        if self.data.draw(st.booleans()) or not self.windows:
            self.sensor.read(5)
        else:
            io.IODataQueueDequeue(self.data.draw(st.sampled_from(self.windows)), 8)

    def window(self, m: ModuleType) -> None:
        if self.windows:
            data = self.data.draw(st.binary(max_size=12))
            self.data.draw(st.sampled_from(self.windows)).write(
                self.pick([0, 5, 1023, 3000, 4090]), data
            )

    def closes(self, m: ModuleType) -> None:
        self.app().iokit.IOServiceClose(self.name())

    def terminates(self, m: ModuleType) -> None:
        if self.pick([0, 1, 2]) == 0 and self.mac.iokit.services:
            self.mac.iokit.terminate(self.sensor)

    def runs(self, m: ModuleType) -> None:
        if self.data.draw(st.booleans()):
            self.app().run(writes, self.data.draw(st.binary(max_size=20)))
        self.mac.run(self.mac.now + self.data.draw(st.sampled_from([0, 0.5])))

    def jobs(self, m: ModuleType) -> None:
        if "job" in self.mac.launchd.jobs:
            self.mac.launchd.unload("job") if self.pick([0, 1]) else self.mac.launchd.start("job")
        else:
            self.mac.launchd.load(JOB, {"/job": hears})

    def ends(self, m: ModuleType) -> None:
        if self.pick([0, 1, 2]) == 0:
            app = self.app()
            self.apps[self.apps.index(app)] = self.mac.spawn("another")
            app.kill()

    def act(self) -> None:
        """Do something; what is refused is part of the story."""
        acts: list[Callable[[ModuleType], None]] = [
            *(self.ports, self.ports, self.rights, self.message, self.message, self.services),
            *(self.memory, self.touches, self.touches, self.open, self.queue, self.queue),
            *(self.window, self.closes, self.terminates),
            *(self.runs, self.jobs, self.ends),
        ]
        m = self.app().mach
        try:
            self.data.draw(st.sampled_from(acts))(m)
        except (m.MachError, VmFault, MemoryFault, LaunchdError, *ENDS):
            pass
        except Exception as error:
            if type(error).__name__ != "IOKitError":
                raise


@given(data=st.data(), count=st.integers(1, 25))
@settings(max_examples=30, deadline=None)
def test_a_session_can_be_saved_run_again_and_branched(data: st.DataObject, count: int) -> None:
    session = Session(data)
    for _ in range(count):
        session.act()
    mac = session.mac
    entries = list(mac.trace.entries())
    scene_document(mac)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.json"
        Scenario.of(mac).save(path)
        run = Scenario.load(path).run()
    assert list(run.trace.entries()) == entries
    assert list(hashes(run.trace.entries())) == list(hashes(entries))
    assert run.divergence is None
    assert run.mac.panic is not None or run.mac.snapshot() == run.trace.state() == mac.snapshot()
    at = data.draw(st.integers(0, len(run.trace)))
    assert list(run.branch(at).trace.entries()) == entries
    rewound = list(run.machine(at).trace.entries())  # a run of tasks may end before that step
    assert rewound == entries[: len(rewound)]
