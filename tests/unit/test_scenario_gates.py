"""Sessions that use Mach, memory, launchd and IOKit as scenarios: saved, run again, branched."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.iokit import IOKitError
from kextlab.iokit import IODataQueue, IOService
from kextlab.kernel import iokit, mach_traps, vm_traps
from kextlab.kernel.kext import KextError
from kextlab.kexts import EchoKext
from kextlab.kexts.sensor import SensorDriver, SensorUserClient, kSensorOpen, kSensorStatistics
from kextlab.osfmk.vm_fault import VmFault
from kextlab.scenario import Run, Scenario, ScenarioError
from kextlab.scenario.calls import Enqueue, Spawn, Syscall, Touch, UnloadJob
from kextlab.scenario.calls_json import call_from_json
from kextlab.scenario.gates import CALLS, parameters
from kextlab.scenario.hashes import hashes, state_hash
from kextlab.sched.stop import KernelPanic
from kextlab.trace import codes
from kextlab.userland import bootstrap, broker
from kextlab.userland.process import App
from tests.unit.test_userland_vm import PAGE, given, mapped

SERVICE = "org.kextlab.page"


def again(mac: Kernel, tmp_path: Path) -> Run:
    """The session saved, loaded and run: every step and the hash of every state are the same."""
    path = tmp_path / "session.json"
    Scenario.of(mac, "a session").save(path)
    given = {"Broker": broker.Broker()}
    run = Scenario.load(path, programs=given).run()
    assert run.divergence is None
    assert run.errors == []
    entries = list(mac.trace.entries())
    assert list(run.trace.entries()) == entries
    assert list(hashes(run.trace.entries())) == list(hashes(entries))
    if mac.panic is None:
        assert run.mac.snapshot() == mac.snapshot()
    return run


def shared_page(mac: Kernel) -> tuple[App, App, int, int]:
    """Two processes with a page in common: both, and where each has it."""
    server, client = mac.spawn("server"), mac.spawn("client")
    s = server.mach
    address = s.mach_vm_allocate(PAGE)
    _, entry = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_DEFAULT)
    return server, client, address, mapped(client.mach, given(server, client, entry))


def test_a_session_of_messages_and_shared_memory(tmp_path: Path) -> None:
    mac = Kernel()
    server, client, there, here = shared_page(mac)
    s, c = server.mach, client.mach
    s.store(there, b"hello")
    assert c.load(here, 5) == b"hello"
    c.store_words(here, bytes(range(40)), 4)
    with pytest.raises(VmFault):
        c.load(5, 1)
    with pytest.raises(VmFault):
        c.store(here + PAGE - 4, b"over the edge")
    private = c.mach_vm_allocate(PAGE)
    assert c.load(private, 4) == bytes(4)  # a page of zeros is made
    c.mach_vm_protect(private, PAGE, False, c.VM_PROT_READ)
    c.mach_vm_region(private)
    c.mach_vm_deallocate(private, PAGE)
    name = s.mach_port_allocate(s.MACH_PORT_RIGHT_RECEIVE)
    s.mach_port_set_attributes(name, 2)
    with pytest.raises(s.MachError):
        s.mach_msg(None, s.MACH_RCV_MSG | s.MACH_RCV_TIMEOUT, 100, name, 7)
    assert mac.now == 0.007
    server.kill()
    client.exit()
    run = again(mac, tmp_path)
    for at in range(0, len(run.trace), 7):
        assert list(run.branch(at).trace.entries()) == list(run.trace.entries())
        machine = run.machine(at)
        assert state_hash(machine.snapshot()) == run.hash(len(machine.trace))


def test_a_session_with_a_driver(tmp_path: Path) -> None:
    mac = Kernel()
    sensor = mac.iokit.add_driver(SensorDriver, "thermometer")
    other = mac.iokit.add_driver(SensorDriver)
    app = mac.spawn("reader")
    io = app.iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("thermometer"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    window = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    port = io.IODataQueueAllocateNotificationPort()
    io.IOConnectSetNotificationPort(connection, 0, port)
    io.IOConnectCallMethod(connection, kSensorOpen)
    for value in range(7):
        sensor.read(value)
    io.IODataQueueWaitForAvailableData(window, port)
    while io.IODataQueueDataAvailable(window):
        io.IODataQueueDequeue(window, 8)
    with pytest.raises(IOKitError):
        io.IOConnectCallMethod(connection, 99, [1, 2], b"abc", 3, 4)
    io.IOConnectUnmapMemory64(connection, 0, io.mach_task_self(), window.address)
    app.mach.mach_port_deallocate(connection)
    mac.iokit.terminate(other)
    run = again(mac, tmp_path)
    assert [one.getName() for one in run.mac.iokit.services] == ["thermometer"]


def look(app: App) -> None:
    """A program that does nothing but end."""


def test_every_store_is_done_again_once(tmp_path: Path) -> None:
    mac = Kernel()
    server, client, there, here = shared_page(mac)
    before = len(Scenario.of(mac).calls)
    server.mach.store(there, b"makes the page")
    client.mach.store(here, bytearray(b"the page is there"))
    client.run(look)
    mac.run()
    server.mach.store(there + 4, b"after another task ran")
    server.mach.store(there + 8, b"and again")
    run = again(mac, tmp_path)
    touches = [call.args for call in Scenario.of(mac).calls[before:] if isinstance(call, Touch)]
    assert touches == [
        (there, b"makes the page"),
        (here, b"the page is there"),
        (there + 4, b"after another task ran"),
        (there + 8, b"and again"),
    ]
    assert run.mac.vm_traps.read(server.pid, there, 8) == b"the afte"


def test_who_touches_memory_after_a_task_ran(tmp_path: Path) -> None:
    mac = Kernel()
    mac.iokit.add_driver(SensorDriver)
    app = mac.spawn("reader")
    io, m = app.iokit, app.mach
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    window = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    address = m.mach_vm_allocate(PAGE)
    m.store(address, b"there")
    for touch in (lambda: window.read(0, 4), lambda: m.load(address, 5), lambda: None) * 2:
        app.run(look)
        mac.run()
        touch()
    again(mac, tmp_path)


def sleeps(app: App) -> None:
    app.time.sleep(100)


def test_what_is_refused_after_a_task_ran_leaves_no_trace(tmp_path: Path) -> None:
    mac = Kernel()
    gone = mac.load(EchoKext)
    mac.unload(gone)
    echo = mac.load(EchoKext)
    mac.launchd.load({"Label": "look", "Program": "/look", "RunAtLoad": True}, {"/look": sleeps})
    app = mac.spawn("reader")
    refused: list[tuple[type[Exception], Any, tuple[Any, ...]]] = [
        (KextError, mac.load, (EchoKext,)),
        (KextError, mac.unload, (gone,)),
        (TypeError, mac.iokit.add_driver, (int,)),
        (ProcessLookupError, gone.kpi.ctl_deregister, (1,)),
    ]
    for error, call, args in refused:
        app.run(look)
        mac.run(until=mac.now + 1)
        steps = len(mac.trace)
        with pytest.raises(error):
            call(*args)
        mac.launchd.start("look")  # it runs: nothing is to be done
        assert len(mac.trace) == steps
    mac.run(until=mac.now + 1)
    mac.unload(echo)
    again(mac, tmp_path)


def test_a_session_with_jobs(tmp_path: Path) -> None:
    mac = Kernel()
    mac.launchd.load({"Label": "look", "Program": "/look"}, {"/look": look})
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    app = mac.spawn("client")
    app.mach.bootstrap_look_up(broker.SERVICE)
    with pytest.raises(app.mach.MachError):
        app.mach.bootstrap_look_up("nobody")
    app.mach.bootstrap_create_service("mine")
    port = app.mach.mach_port_allocate(app.mach.MACH_PORT_RIGHT_RECEIVE)
    app.mach.mach_port_insert_right(port, port, app.mach.MACH_MSG_TYPE_MAKE_SEND)
    app.mach.bootstrap_register("own", port)
    mac.launchd.start("look")
    mac.run()
    mac.launchd.unload("look")
    mac.run()
    run = again(mac, tmp_path)
    assert list(run.mac.launchd.jobs) == [broker.SERVICE]
    mac.reboot()  # the broker's job comes with the boot, and is part of what was done in it
    mac.spawn("client")
    assert list(again(mac, tmp_path).mac.launchd.jobs) == [broker.SERVICE]


def test_a_branch_in_which_what_is_meant_is_not_there() -> None:
    run = Scenario(
        calls=[
            Spawn("one"),
            Touch(100, "window", (0x1000, 0, b"abc")),
            Touch(100, "peek", (0x1000,)),
            Touch(100, "store", (0x1000, b"abc")),
            Touch(99, "load", (0, 1)),
            Enqueue("io_queue:1", b"abc", 3),
            call_from_json({"terminate": "io_service:2"}),
            UnloadJob("nothing"),
            Syscall(100, "mach_port_allocate", (1,)),
        ]
    ).run()
    assert [entry[2] for entry in run.trace.entries() if entry[0] == codes.SYSCALL] == [
        "mach_port_allocate"
    ]
    assert [entry[2] for entry in run.trace.entries() if entry[0] == codes.SIGNAL] == ["SIGSEGV"]


def test_a_branch_differs_from_its_step_on() -> None:
    mac = Kernel()
    _, client, _, here = shared_page(mac)
    client.mach.store(here, b"first")
    run = Scenario.of(mac).run()
    other = run.branch(len(run.trace), calls=[Touch(client.pid, "store", (here, b"other"))])
    assert other.mac.vm_traps.read(client.pid, here, 5) == b"other"
    assert run.mac.vm_traps.read(client.pid, here, 5) == b"first"
    assert list(other.trace.entries())[: len(run.trace)] == list(run.trace.entries())


# -- what cannot be done again -----------------------------------------------------------------


class TrustingClient(SensorUserClient):
    """Its queue believes what its memory says."""

    def start(self, provider: IOService) -> bool:
        assert isinstance(provider, SensorDriver)
        queue = IODataQueue.withCapacity(self, 64)
        assert queue is not None
        self.sensor, self.dataQueue = provider, queue  # type: ignore[assignment]
        self.memory = queue.getMemoryDescriptor()
        return True


class TrustingDriver(SensorDriver):
    """A driver with such clients."""

    IOUserClientClass = TrustingClient


def test_a_record_that_took_the_machine_down_cannot_be_put_again() -> None:
    mac = Kernel()
    sensor = mac.iokit.add_driver(TrustingDriver)
    io = mac.spawn("reader").iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    io.IOConnectCallMethod(connection, kSensorOpen)
    window = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    window.write(0, b"\xff\xff\xff\x7f")
    window.write(4, b"\xff\xff\xff\x0f" * 2)
    with pytest.raises(KernelPanic):
        sensor.read(1)
    with pytest.raises(ScenarioError, match="enqueue was called for TrustingDriver"):
        Scenario.of(mac)


def test_what_a_driver_counts_for_itself_is_seen_by_the_replay(tmp_path: Path) -> None:
    mac = Kernel()
    sensor = mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader").iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    sensor.read(1)  # nobody has it open: the kernel sees nothing of it
    at = len(mac.trace)
    io.IOConnectCallScalarMethod(connection, kSensorStatistics, (), 2)
    divergence = Scenario.of(mac).run().divergence
    assert divergence is not None
    assert divergence.step > at


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"call": "mach_port_allocate", "pid": 100}, 'mach_port_allocate needs "right"'),
        ({"call": "mach_port_type", "pid": 100, "name": True}, "true is not a number"),
        ({"call": "mach_jump", "pid": 100}, 'unknown system call "mach_jump"'),
        ({"touch": "lick", "pid": 100}, '"lick" is none of load, store'),
        ({"touch": "load", "pid": 100, "address": 4}, 'load needs "size"'),
        ({"touch": "store", "pid": 1, "address": 4, "data": "x"}, 'store, "data": '),
        ({"load_job": {"Label": "x"}, "program": "p"}, "load_job: property list: Program or"),
        ({"load_job": {"Label": "x", "QueueDirectories": []}, "program": "p"}, "is not modelled"),
        ({"load_job": {"Label": "x", "Program": "/x"}}, 'needs "program"'),
        ({"enqueue": "io_queue:1", "size": 4}, 'enqueue needs "data"'),
        ({"terminate": 4}, '"terminate" is 4, not text'),
    ],
)
def test_a_line_that_is_no_call_is_refused(line: Any, why: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        call_from_json(line)
    assert why in str(refused.value)


def test_code_that_is_missing_is_told_before_anything_runs() -> None:
    job = call_from_json({"load_job": {"Label": "x", "Program": "/x"}, "program": "p"})
    with pytest.raises(ScenarioError, match='call 0: program "p" is missing'):
        Scenario(calls=[job])
    with pytest.raises(ScenarioError, match='call 0: kext "d" is missing; given are'):
        Scenario(kexts=[EchoKext], calls=[call_from_json({"add_driver": "d"})])


# -- the table ---------------------------------------------------------------------------------


def test_every_call_the_gates_record_is_in_the_table() -> None:
    recorded = {
        name
        for module in (mach_traps, vm_traps, iokit, bootstrap)
        for name in re.findall(
            r"(?:_(?:enter|enter_map|asked)\(\s*|rec\(\(SYSCALL, )pid, \"(\w+)\"",
            Path(str(module.__file__)).read_text(),
        )
    }
    assert len(recorded) > 30
    assert recorded == {name for name in CALLS if name.startswith(("mach_", "bootstrap_", "io_"))}


@pytest.mark.parametrize("name", [name for name in CALLS if "_" in name])
def test_a_call_s_arguments_have_names_of_their_own(name: str) -> None:
    keys = [key for key, _, _ in parameters(name)]
    assert len(set(keys)) == len(keys)
    assert not {"call", "pid"} & set(keys)
    optional = [left for _, _, left in parameters(name)]
    assert all(before <= after for before, after in pairwise(optional))


def test_a_machine_that_panicked_is_a_scenario_too(tmp_path: Path) -> None:
    mac = Kernel()
    mac.iokit.add_driver(Faulty)
    app = mac.spawn("reader")
    io = app.iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("Faulty"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    with pytest.raises(KernelPanic):
        app.mach.mach_port_destroy(connection)
    again(mac, tmp_path)


class FaultyClient(SensorUserClient):
    """Does not survive the end of its process."""

    def clientClose(self) -> int:
        raise ZeroDivisionError


class Faulty(SensorDriver):
    """A driver with such clients."""

    IOUserClientClass = FaultyClient
