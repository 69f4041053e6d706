"""Four ways from one kernel to ten clients: that each works, what each costs, table and figure."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi.iokit import IOKitError
from kextlab.abi.mach_messages import MACH_MSGH_BITS, PortDescriptor
from kextlab.kexts.status import TABLE_SIZE, StatusKext
from kextlab.kexts.status_driver import TABLES, StatusDriver
from kextlab.sched.chooser import Seeded
from kextlab.sched.task import Task
from kextlab.userland import broker
from kextlab.userland import four_ways as pages
from kextlab.userland.mach import Message
from kextlab.userland.process import App
from kextlab.views.tokens import TOKENS
from kextlab.views.ways import HEADS, WAYS, Ways, four_ways

TEN = 10


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


def paged(mac: Kernel) -> StatusKext:
    """The kext, and the daemon with the page."""
    kext = mac.load(StatusKext)
    mac.launchd.load(pages.PLIST, {broker.PATH: pages.PageBroker()})
    return kext


def refresh(mac: Kernel, uid: int = 0) -> Task:
    """Somebody asks the daemon to read the kernel again."""
    app = mac.spawn("refresher", uid=uid)
    task = app.run(broker.ask, broker.REFRESH, 1, pages.PAGE_SERVICE)
    mac.run()
    return task


def first(table: bytes) -> int:
    """How often the table had been read before."""
    return int.from_bytes(table[:4], "little")


# -- the page ----------------------------------------------------------------------------------


def test_who_watches_sees_every_table(mac: Kernel) -> None:
    kext = paged(mac)
    watching = [mac.spawn("client").run(pages.watch, times) for times in (1, 2, 3)]
    mac.run()
    assert [task.done for task in watching] == [True, False, False]
    assert first(watching[0].result()) == 0
    assert first(refresh(mac).result()) == 1
    assert first(watching[1].result()) == 1
    refresh(mac)
    assert first(watching[2].result()) == 2
    assert kext.reads == 3
    assert in_step(mac)


def test_only_root_has_the_page_written_again(mac: Kernel) -> None:
    kext = paged(mac)
    with pytest.raises(PermissionError):
        refresh(mac, uid=501).result()
    assert kext.reads == 1


def test_the_page_can_only_be_read(mac: Kernel) -> None:
    paged(mac)
    app = mac.spawn("client")
    app.run(pages.watch)
    mac.run()
    region = app.mach.mach_vm_region(0)
    assert (region.protection, region.max_protection) == (1, 1)
    with pytest.raises(app.mach.VmFault, match="SIGBUS"):
        app.mach.store(region.address, b"mine now")


def watcher(mac: Kernel) -> tuple[App, int]:
    """A client that watches and does not listen: it, and its port."""
    app = mac.spawn("client")
    told: list[int] = []

    def program(app: App) -> None:
        m = app.mach
        told.append(m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE))
        m.mach_port_set_attributes(told[0], 1)
        bits = MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        right = PortDescriptor(told[0], m.MACH_MSG_TYPE_MAKE_SEND)
        to = m.bootstrap_look_up(pages.PAGE_SERVICE)
        asked = Message(bits | m.MACH_MSGH_BITS_COMPLEX, to, told[0], 3, descriptors=[right])
        m.mach_msg(asked, m.MACH_SEND_MSG | m.MACH_RCV_MSG, broker.SIZE, told[0])

    app.run(program)
    mac.run()
    return app, told[0]


def test_who_does_not_listen_or_is_dead_keeps_nobody_waiting(mac: Kernel) -> None:
    paged(mac)
    (idle, port), (dead, _) = watcher(mac), watcher(mac)
    dead.kill()
    for _ in range(3):
        refresh(mac)
    assert idle.mach.mach_port_get_attributes(port).mps_msgcount == 1
    daemon = mac.launchd.jobs[pages.PAGE_SERVICE]
    assert (daemon.runs, daemon.error) == (1, None)
    got = idle.mach.mach_msg(None, idle.mach.MACH_RCV_MSG, 100, port)
    assert (got.msgh_id, got.body) == (pages.CHANGED, b"")
    assert in_step(mac)


def test_messages_that_want_to_watch_and_are_wrong_do_no_harm(mac: Kernel) -> None:
    paged(mac)
    app = mac.spawn("client")

    def without_a_right(app: App) -> bytes:
        return broker.ask(app, pages.WATCH, 1, pages.PAGE_SERVICE)

    def without_an_answer(app: App) -> None:
        m = app.mach
        to = m.bootstrap_look_up(pages.PAGE_SERVICE)
        port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
        right = PortDescriptor(port, m.MACH_MSG_TYPE_MAKE_SEND)
        bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX
        for _ in range(2):  # the second time it is the same port
            m.mach_msg(Message(bits, to, 0, pages.WATCH, b"", [right]), m.MACH_SEND_MSG)

    asked = app.run(without_a_right)
    app.run(without_an_answer)
    mac.run()
    assert asked.result() == bytes(TABLE_SIZE)
    watching = mac.spawn("client").run(pages.watch)
    mac.run()
    assert len(watching.result()) == broker.SIZE // 2
    assert mac.launchd.jobs[pages.PAGE_SERVICE].runs == 1


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_nobody_takes_half_of_a_table(seed: int) -> None:
    mac = Kernel(chooser=Seeded(seed))
    m = mac.spawn("writer").mach
    address = m.mach_vm_allocate(pages.PAGE)
    _, entry = m.mach_make_memory_entry_64(pages.PAGE, address, m.VM_PROT_READ)
    daemon = pages.PageBroker()
    daemon.address, daemon.entry, daemon.count, daemon.watchers = address, entry, 0, []
    seen: list[bytes] = []

    def writes(app: App) -> None:
        for value in range(1, 4):
            daemon.keep(app, bytes([value]) * 64, False)

    def reads(app: App) -> None:
        for _ in range(4):
            seen.append(pages.look(app, address)[:64])
            app.time.sleep(0)

    for program in (writes, reads):
        mac.processes[0].run(program)
    mac.run()
    assert len(seen) == 4
    assert all(len(set(table)) == 1 for table in seen)


# -- the queue ---------------------------------------------------------------------------------


def test_every_client_has_a_queue_and_loses_for_itself(mac: Kernel) -> None:
    driver = mac.iokit.add_driver(StatusDriver)
    quick = mac.spawn("client").run(pages.drain, TABLES + 3)
    mac.spawn("client").run(pages.drain, TABLES + 9)
    mac.run()
    lost = []
    for _ in range(TABLES + 3):
        lost.append(driver.publish())
        mac.run()
    assert lost == [0] * (TABLES + 3)
    assert first(quick.result()) == TABLES + 2
    assert len(driver.clients) == 2
    for app in mac.processes:
        app.exit()
    assert driver.clients == []
    assert in_step(mac)


def test_a_queue_that_nobody_empties_is_full(mac: Kernel) -> None:
    driver = mac.iokit.add_driver(StatusDriver)
    io = mac.spawn("idle").iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("StatusDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), 0)
    assert [driver.publish() for _ in range(TABLES + 2)] == [0] * (TABLES + 1) + [1]
    with pytest.raises(IOKitError):
        io.IOConnectMapMemory64(connection, 1, io.mach_task_self())


# -- what they cost ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def once() -> Ways:
    return four_ways(TEN)


@pytest.fixture(scope="module")
def often() -> Ways:
    return four_ways(TEN, 10)


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


def grown(once: Ways, often: Ways, way: str) -> dict[str, float]:
    """What nine tables more cost, for each table and client."""
    before, after = once.costs[way].total, often.costs[way].total
    return {
        name: (getattr(after, name) - getattr(before, name)) / 9 / TEN
        for name in ("crossings", "copied_in", "copied_out", "wakeups", "callbacks")
    }


def test_what_a_table_more_costs_each_way(once: Ways, often: Ways) -> None:
    direct, brokered, page, queue = (grown(once, often, way) for way in WAYS)
    assert direct["crossings"] == brokered["crossings"] == 2
    assert direct["copied_out"] == TABLE_SIZE < brokered["copied_out"]
    assert (direct["wakeups"], brokered["callbacks"], queue["callbacks"]) == (0, 0, 0)
    assert brokered["copied_in"] > TABLE_SIZE
    assert queue["crossings"] == queue["wakeups"] == 1  # a wait for every record
    assert queue["copied_in"] == 0
    assert queue["copied_out"] == page["copied_out"] - often_refreshed(once, often) == 32
    assert page["crossings"] > direct["crossings"]  # the daemon tells everybody


def often_refreshed(once: Ways, often: Ways) -> float:
    """What the daemon and root's process got of the page's bytes, per table and client."""
    extra = 0
    for name in ("org.kextlab.broker", "refresher"):
        extra += often.costs["shared page"].by_name[name].copied_out
        before = once.costs["shared page"].by_name.get(name)
        extra -= before.copied_out if before is not None else 0
    return extra / 9 / TEN


def test_a_shared_page_is_read_without_a_copy(once: Ways, often: Ways) -> None:
    mine = often.one("shared page")
    assert mine[HEADS.index("copied out")] < TABLE_SIZE
    assert mine[HEADS.index("crossings")] == once.one("shared page")[0] + 9


def test_the_table_has_a_row_for_each_way_and_one_for_a_client(often: Ways) -> None:
    lines = str(often).splitlines()
    assert lines[0].startswith("10 clients, 10 tables each  crossings")
    assert [line.split("  ")[0] for line in lines[1:5]] == list(WAYS)
    assert lines[5] == "of these, one client"
    assert [line.strip().split("  ")[0] for line in lines[6:]] == list(WAYS)
    total = often.costs["direct"].total
    assert lines[1].split()[1:] == [
        *(f"{total.crossings:,}", f"{total.copied_in:,}", f"{total.copied_out:,}"),
        *("0", f"{total.callbacks}"),
    ]
    assert lines[7].split()[-2] == f"{often.costs['broker'].by_name['client'].wakeups / TEN:g}"


def test_the_figure_says_what_the_table_says(once: Ways) -> None:
    picture = once.figure()
    root = ElementTree.fromstring(picture.svg)
    words = "".join(root.itertext())
    for label in (*WAYS, "bytes copied in", "callbacks", "filled: the clients' own part"):
        assert label in words
    assert picture.title == "What it costs when 10 clients get 1 table each"
    assert str(once) in picture.text
    for found in once.costs.values():
        assert f"{found.total.copied_out:,}" in words
    colours = {colour for pair in TOKENS.values() for colour in pair}
    assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) <= colours
    assert picture.svg == four_ways(TEN).figure().svg


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0), (-1, 1)])
def test_no_clients_and_no_tables_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected 1 or more of each"):
        four_ways(*wrong)
