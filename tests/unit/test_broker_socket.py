"""The broker over a local socket: one daemon on demand, ten clients, deaths that lose nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi.errno import EINVAL, EPERM
from kextlab.kexts.status import TABLE_SIZE, StatusKext
from kextlab.sched.chooser import Seeded
from kextlab.sched.task import Task
from kextlab.userland import broker, broker_socket
from kextlab.userland.process import App

pytest.importorskip("greenlet")

TEN = 10


def served(mac: Kernel, work: float = 0) -> StatusKext:
    kext = mac.load(StatusKext)
    mac.launchd.load(broker_socket.PLIST, {broker.PATH: broker_socket.daemon(work)})
    return kext


def clients(mac: Kernel) -> list[Task]:
    return [mac.spawn("client").run(broker_socket.ask) for _ in range(TEN)]


def daemon(mac: Kernel) -> App | None:
    return mac.launchd.jobs[broker.SERVICE].app


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


def test_the_broker_reads_once_and_serves_ten(mac: Kernel) -> None:
    kext = served(mac)
    mac.run()
    assert daemon(mac) is None
    tasks = clients(mac)
    mac.run()
    assert [task.result() for task in tasks] == [bytes(TABLE_SIZE)] * TEN
    assert kext.reads == 1
    assert mac.launchd.jobs[broker.SERVICE].runs == 1
    assert in_step(mac)


@pytest.mark.parametrize("at", [0.05, 0.09])
def test_a_death_loses_no_request(mac: Kernel, at: float) -> None:
    served(mac, work=0.1)
    tasks = clients(mac)
    mac.run(until=at)
    one = daemon(mac)
    assert one is not None
    one.kill()
    mac.run()
    assert all(len(task.result()) == TABLE_SIZE for task in tasks)
    assert mac.launchd.jobs[broker.SERVICE].runs == 2
    assert in_step(mac)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    deaths=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    work=st.sampled_from([0, 0.1]),
)
def test_no_request_is_lost_wherever_it_dies(seed: int, deaths: list[int], work: float) -> None:
    mac = Kernel(chooser=Seeded(seed))
    served(mac, work)
    tasks = clients(mac)
    for steps in deaths:
        for _ in range(steps):
            mac.step()
        one = daemon(mac)
        if one is not None and not one.exited:
            one.kill()
    mac.run()
    assert [len(task.result()) for task in tasks] == [TABLE_SIZE] * TEN
    assert in_step(mac)


def test_the_same_seed_leaves_the_same_trace() -> None:
    def trace() -> list[Any]:
        mac = Kernel(chooser=Seeded(7))
        served(mac, 0.1)
        clients(mac)
        mac.run()
        return list(mac.trace.entries())

    assert trace() == trace()


def answer(app: App, question: int) -> bytes | int | None:
    try:
        return broker_socket.ask(app, question)
    except OSError as error:
        return error.errno


def test_a_broker_that_is_not_loaded_is_not_waited_for(mac: Kernel) -> None:
    with pytest.raises(FileNotFoundError):
        broker_socket.ask(mac.spawn("client"))


def test_the_kernel_says_who_may_refresh(mac: Kernel) -> None:
    kext = served(mac)
    refused = mac.spawn("client").run(answer, broker.REFRESH)
    unknown = mac.spawn("client").run(answer, 77)
    fresh = mac.spawn("root", uid=0).run(answer, broker.REFRESH)
    mac.run()
    assert (refused.result(), unknown.result()) == (EPERM, EINVAL)
    assert fresh.result()[:1] == b"\x01"
    assert kext.reads == 2


def test_clients_of_ill_will_do_no_harm(mac: Kernel) -> None:
    served(mac, work=0.1)
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
