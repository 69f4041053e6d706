"""One privileged control, one daemon, ten clients: what it costs, and what a death leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi.errno import EINVAL, EPERM
from kextlab.kexts import KextError
from kextlab.kexts.status import TABLE_SIZE, StatusKext
from kextlab.osfmk.vm_map import VmMap
from kextlab.sched.chooser import Seeded
from kextlab.sched.task import Task
from kextlab.userland import broker, broker_socket
from kextlab.userland.mach import Message
from kextlab.userland.process import App
from kextlab.views.costs import Costs, costs

TEN = 10


@dataclass(frozen=True)
class Way:
    """How clients reach the daemon.

    Attributes:
        plist: the job's.
        daemon: its program, which works that long in s for an answer.
        ask: what a client does.
        steps: how many steps of tasks, at most, from one death to the next.
    """

    plist: dict[str, Any]
    daemon: Callable[[float], Any]
    ask: Callable[..., bytes]
    steps: int


MACH = Way(broker.PLIST, broker.Broker, broker.ask, 60)
SOCKET = Way(broker_socket.PLIST, broker_socket.daemon, broker_socket.ask, 120)
needs_greenlet = pytest.mark.skipif(find_spec("greenlet") is None, reason="needs greenlet")
ways = pytest.mark.parametrize(
    "way", [pytest.param(MACH, id="mach"), pytest.param(SOCKET, id="socket", marks=needs_greenlet)]
)


def served(mac: Kernel, work: float = 0, way: Way = MACH) -> StatusKext:
    """The kext and the job."""
    kext = mac.load(StatusKext)
    mac.launchd.load(way.plist, {broker.PATH: way.daemon(work)})
    return kext


def clients(mac: Kernel, way: Way = MACH) -> list[Task]:
    return [mac.spawn("client").run(way.ask) for _ in range(TEN)]


def daemon(mac: Kernel) -> App | None:
    return mac.launchd.jobs[broker.SERVICE].app


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


# -- the control -------------------------------------------------------------------------------


def test_only_root_reads_the_control_itself(mac: Kernel) -> None:
    kext = mac.load(StatusKext)
    with pytest.raises(PermissionError):
        broker.direct(mac.spawn("client"))
    assert broker.direct(mac.spawn("root", uid=0)) == bytes(TABLE_SIZE)
    assert (kext.reads, kext.readers) == (1, {})


def test_every_unit_has_a_record_of_its_own(mac: Kernel) -> None:
    kext = mac.load(lambda: StatusKext(privileged=False))
    socket = mac.spawn("client").socket
    ends = []
    for reads in (1, 2):
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        s.connect(broker.CONTROL)
        for _ in range(reads):
            s.send(b"x")
        ends.append(s)
    assert {unit: one.reads for unit, one in kext.readers.items()} == {1: 1, 2: 2}
    with suppress(OSError):  # until there is no buffer space
        while True:
            ends[0].send(b"nobody reads")
    assert kext.reads == sum(one.reads for one in kext.readers.values())
    with pytest.raises(KextError, match="EBUSY"):
        mac.unload(kext)
    for s in ends:
        s.close()
    mac.unload(kext)
    assert kext.disconnect(0, 7, None) != 0


# -- ten clients -------------------------------------------------------------------------------


@ways
def test_the_broker_reads_once_and_serves_ten(mac: Kernel, way: Way) -> None:
    kext = served(mac, way=way)
    mac.run()
    assert daemon(mac) is None
    tasks = clients(mac, way)
    mac.run()
    assert [task.result() for task in tasks] == [bytes(TABLE_SIZE)] * TEN
    assert kext.reads == 1
    assert mac.launchd.jobs[broker.SERVICE].runs == 1
    assert in_step(mac)


@pytest.mark.parametrize(
    ("way", "at"),
    [
        *((MACH, at) for at in (0.05, 0.15, 0.95)),
        *(pytest.param(SOCKET, at, marks=needs_greenlet) for at in (0.05, 0.09)),
    ],
)
def test_a_death_loses_no_request(mac: Kernel, way: Way, at: float) -> None:
    served(mac, work=0.1, way=way)
    tasks = clients(mac, way)
    mac.run(until=at)
    one = daemon(mac)
    assert one is not None
    one.kill()
    mac.run()
    assert all(len(task.result()) == TABLE_SIZE for task in tasks)
    assert mac.launchd.jobs[broker.SERVICE].runs == 2
    assert in_step(mac)


@ways
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), work=st.sampled_from([0, 0.1]), data=st.data())
def test_no_request_is_lost_wherever_it_dies(
    way: Way, seed: int, work: float, data: st.DataObject
) -> None:
    mac = Kernel(chooser=Seeded(seed))
    served(mac, work, way)
    tasks = clients(mac, way)
    for steps in data.draw(st.lists(st.integers(1, way.steps), min_size=1, max_size=4)):
        for _ in range(steps):
            mac.step()
        one = daemon(mac)
        if one is not None and not one.exited:
            one.kill()
    mac.run()
    assert [len(task.result()) for task in tasks] == [TABLE_SIZE] * TEN
    assert in_step(mac)


@needs_greenlet
def test_the_same_seed_leaves_the_same_trace() -> None:
    def trace() -> list[Any]:
        mac = Kernel(chooser=Seeded(7))
        served(mac, 0.1, SOCKET)
        clients(mac, SOCKET)
        mac.run()
        return list(mac.trace.entries())

    assert trace() == trace()


def test_a_socket_that_no_job_offers_is_not_waited_for(mac: Kernel) -> None:
    with pytest.raises(FileNotFoundError):
        broker_socket.ask(mac.spawn("client"))


def test_a_daemon_without_its_kext_is_started_until_it_is_there(mac: Kernel) -> None:
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    tasks = clients(mac)
    mac.run(until=2.5)
    job = mac.launchd.jobs[broker.SERVICE]
    assert (job.runs, job.status) == (3, 1)
    assert isinstance(job.error, OSError)
    assert not any(task.done for task in tasks)
    mac.load(StatusKext)
    mac.run()
    assert all(len(task.result()) == TABLE_SIZE for task in tasks)


# -- who asks ----------------------------------------------------------------------------------


def answer(app: App, ask: Callable[..., bytes], question: int) -> bytes | int | None:
    try:
        return ask(app, question)
    except OSError as error:
        return error.errno


@ways
def test_the_kernel_says_who_may_refresh(mac: Kernel, way: Way) -> None:
    kext = served(mac, way=way)
    refused = mac.spawn("client").run(answer, way.ask, broker.REFRESH)
    unknown = mac.spawn("client").run(answer, way.ask, 77)
    fresh = mac.spawn("root", uid=0).run(answer, way.ask, broker.REFRESH)
    mac.run()
    assert (refused.result(), unknown.result()) == (EPERM, EINVAL)
    assert fresh.result()[:1] == b"\x01"
    assert kext.reads == 2


def test_a_client_may_die_while_it_is_served(mac: Kernel) -> None:
    served(mac, work=0.1)
    gone = mac.spawn("gone")
    gone.run(broker.ask)
    task = mac.spawn("client").run(broker.ask)
    mac.run(until=0.05)
    gone.kill()
    mac.run()
    assert len(task.result()) == TABLE_SIZE
    assert mac.launchd.jobs[broker.SERVICE].runs == 1


def maps(mac: Kernel) -> list[VmMap]:
    processes = mac.system.processes.values()
    return [process.map for process in processes if process.map is not None and process.map.size]


def test_messages_of_ill_will_do_no_harm(mac: Kernel) -> None:
    served(mac)
    first = mac.spawn("client").run(broker.ask)
    mac.run()
    assert first.done
    app = mac.spawn("eve")
    m = app.mach
    to = m.bootstrap_look_up(broker.SERVICE)
    full = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(full, full, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_port_set_attributes(full, 0)
    copy, complex_ = m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSGH_BITS_COMPLEX
    carried = [
        m.PortDescriptor(to, copy),  # the daemon's own port
        m.PortDescriptor(full, copy),
        m.PortDescriptor(
            m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE), m.MACH_MSG_TYPE_MOVE_RECEIVE
        ),
        m.PortDescriptor(0, copy),
    ]
    pages = m.mach_vm_allocate(0x10000)
    m.store_names(pages, [to, full])
    out_of_line = [m.OolDescriptor(pages, 0x10000), m.OolPortsDescriptor(pages, 2, copy)]
    plain = m.MACH_MSGH_BITS(copy, 0)
    names = len([name for name in mac.snapshot() if name.startswith("right:102:")])
    for message in (
        Message(plain, to, body=b"no reply"),
        Message(plain, to, body=bytes(broker.SIZE)),  # too large
        Message(plain | complex_, to, descriptors=carried),
        Message(plain | complex_, to, descriptors=out_of_line),
        Message(m.MACH_MSGH_BITS(copy, copy), to, full, broker.READ),  # a queue without room
        Message(m.MACH_MSGH_BITS(copy, copy), to, to, broker.READ),  # the answer asks again
    ):
        m.mach_msg(message, m.MACH_SEND_MSG)
        mac.run()
    task = mac.spawn("client").run(broker.ask)
    mac.run()
    assert len(task.result()) == TABLE_SIZE
    assert mac.launchd.jobs[broker.SERVICE].runs == 1
    left = [name for name in mac.snapshot() if name.startswith("right:102:")]
    assert len(left) == names
    assert [map.size for map in maps(mac)] == [0x10000]  # eve's; the daemon gave all of it up
    assert in_step(mac)


@needs_greenlet
def test_clients_of_ill_will_do_no_harm(mac: Kernel) -> None:
    served(mac, work=0.1, way=SOCKET)
    silent, half, gone = (mac.spawn("eve").socket.socket(1) for _ in range(3))
    for s, words in ((silent, b""), (half, b"\x01\0"), (gone, b"\x01\0\0\0")):
        s.connect(broker_socket.SOCKET_PATH)
        s.sendall(words)
    mac.run(until=0.05)
    half.close()
    gone.close()
    task = mac.spawn("client").run(broker_socket.ask)
    mac.run()
    assert len(task.result()) == TABLE_SIZE
    assert mac.launchd.jobs[broker.SERVICE].runs == 1
    assert in_step(mac)


# -- what it costs -----------------------------------------------------------------------------


def cost_of(brokered: bool, reads: int = 1) -> Costs:
    mac = Kernel()
    if brokered:
        served(mac)
    else:
        mac.load(lambda: StatusKext(privileged=False))
    start = len(mac.trace)
    read = broker.ask if brokered else broker.direct
    for _ in range(TEN):
        mac.spawn("client").run(lambda app: [read(app) for _ in range(reads)])
    mac.run()
    return costs(mac.trace, start)


def test_ten_direct_clients_cost_what_they_do_themselves() -> None:
    found = cost_of(brokered=False)
    (name, one) = next(iter(found.by_name.items()))
    assert (name, found.processes) == ("client", {"client": TEN})
    assert one.crossings == TEN * 6  # socket, ioctl, connect, send, recv, close
    assert one.copied_out == TEN * (100 + TABLE_SIZE)
    assert one.callbacks == TEN * 3  # connect, send, disconnect
    assert found.total == one


def test_the_broker_spares_the_kext_and_costs_wakeups() -> None:
    direct, brokered = cost_of(brokered=False), cost_of(brokered=True)
    assert brokered.processes == {"launchd": 1, "client": TEN, "org.kextlab.broker": 1}
    assert brokered.total.callbacks == 3 < direct.total.callbacks == 30
    assert brokered.total.wakeups > direct.total.wakeups == 0
    assert brokered.by_name["client"].callbacks == 0
    table = str(brokered)
    assert table.splitlines()[0].split() == [
        *("crossings", "copied", "in", "copied", "out", "wakeups", "callbacks")
    ]
    assert f"client x {TEN}" in table
    assert table.splitlines()[-1].startswith("together")


def test_costs_start_where_they_are_asked_to(mac: Kernel) -> None:
    served(mac)
    clients(mac)
    mac.run()
    middle = len(mac.trace)
    assert costs(mac.trace, middle).by_name == {}
    mac.spawn("client").run(broker.ask)
    mac.run()
    found = costs(mac.trace, middle)
    assert found.processes == {"client": 1, "org.kextlab.broker": 1}
    assert found.by_name["org.kextlab.broker"].wakeups == 1
    whole, parts = costs(mac.trace).total, costs(mac.trace, 0, middle).total + found.total
    assert whole.wakeups == parts.wakeups
    assert whole.crossings == parts.crossings
    assert costs(mac.trace, 0, 1).by_name == {}


def test_costs_needs_a_trace() -> None:
    with pytest.raises(ValueError, match="this kernel records none"):
        costs(Kernel(trace=False).trace)
