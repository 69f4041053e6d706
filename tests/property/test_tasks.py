"""Several programs, plain and async, with a seeded chooser: what holds in every interleaving.

Processes share one kext whose callbacks sleep. No byte is lost or moved, adding up the trace gives
the kernel's snapshot after every single entry, and the choices of a run make the same run again, in
this process and in another with other hash values.
"""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fold import CheckedSystem, CheckedTrace

from kextlab import Kernel
from kextlab.abi import constants as c
from kextlab.kernel import system as system_module
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.sched import Chooser, Recorded, Seeded
from kextlab.userland.process import App

pytest.importorskip("greenlet")
ROOT = Path(__file__).parents[2]
EXPLORING = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 1


@dataclass(frozen=True)
class Plan:
    """What one process does: records of these sizes, a pause (ms) after each."""

    plain: bool
    stream: bool
    sizes: tuple[int, ...]
    pauses: tuple[int, ...]
    reader_is_a_task: bool


class Sleepy(Kext):
    """Echoes, and sleeps in its callbacks: ``naps`` ms before it echoes and when told of a read."""

    def __init__(self, naps: tuple[int, int]) -> None:
        self.naps = naps
        self.refs: dict[str, Any] = {}

    def start(self) -> int:
        for name, flag in (("dgram", 0), ("stream", c.CTL_FLAG_REG_SOCK_STREAM)):
            ref = self.refs[name] = Out()
            reg = KernCtlReg(
                name,
                ctl_flags=flag | c.CTL_FLAG_REG_EXTENDED,
                ctl_connect=lambda *arguments: 0,
                ctl_send=self.send,
                ctl_rcvd=self.rcvd,
                ctl_recvsize=1 << 20,
                ctl_sendsize=1 << 16,
            )
            assert self.kpi.ctl_register(reg, ref) == 0
        return 0

    def nap(self, which: int) -> Any:
        if self.naps[which]:
            yield from self.kpi.msleep("", "nap", self.naps[which] * 1_000_000)

    def send(self, ref: int, unit: int, info: object, m: Mbuf, flags: int) -> Any:
        yield from self.nap(0)
        return self.kpi.ctl_enqueuembuf(ref, unit, m, c.CTL_DATA_EOR)

    def rcvd(self, ref: int, unit: int, info: object, flags: int) -> Any:
        yield from self.nap(1)


def record(n: int, size: int) -> bytes:
    """Bytes in which a lost, doubled or moved one shows."""
    return bytes((31 * n + at) % 256 for at in range(size))


def opened(app: App, plan: Plan) -> Any:
    socket = app.socket
    kind = socket.SOCK_STREAM if plan.stream else socket.SOCK_DGRAM
    s = socket.socket(socket.PF_SYSTEM, kind, socket.SYSPROTO_CONTROL)
    s.connect("stream" if plan.stream else "dgram")
    return s


def plain(app: App, plan: Plan) -> bytes:
    """A program of blocking calls; its reader may be a thread of its own."""
    s, total = opened(app, plan), sum(plan.sizes)
    reader = app.run(plain_reader, s, total) if plan.reader_is_a_task else None
    for n, (size, pause) in enumerate(zip(plan.sizes, plan.pauses, strict=True)):
        s.sendall(record(n, size))
        app.time.sleep(pause / 1000)
    if reader is None:
        return plain_reader(app, s, total)
    while not reader.done:
        app.time.sleep(0.01)
    got: bytes = reader.result()
    return got


def plain_reader(app: App, s: Any, total: int) -> bytes:
    got = b""
    while len(got) < total:
        got += s.recv(1 << 16)
    return got


async def program(app: App, plan: Plan) -> bytes:
    """The same as an ``async def``."""
    asyncio, loop = app.asyncio, app.asyncio.get_running_loop()
    s, total = opened(app, plan), sum(plan.sizes)
    s.setblocking(False)

    async def reader() -> bytes:
        got = b""
        while len(got) < total:
            got += await loop.sock_recv(s, 1 << 16)
        return got

    task = asyncio.create_task(reader()) if plan.reader_is_a_task else None
    for n, (size, pause) in enumerate(zip(plan.sizes, plan.pauses, strict=True)):
        await loop.sock_sendall(s, record(n, size))
        await asyncio.sleep(pause / 1000)
    got: bytes = await (task if task is not None else reader())
    return got


def run(
    plans: list[Plan], naps: tuple[int, int], chooser: Chooser, kill_at: int | None = None
) -> tuple[Kernel, list[Any]]:
    """Do what the plans say; kill the first process at a time (ms)."""
    mac = Kernel(chooser=chooser)
    mac.load(lambda: Sleepy(naps))
    apps = [mac.spawn(f"app{n}") for n in range(len(plans))]
    tasks = [
        app.run(plain if plan.plain else program, plan)
        for app, plan in zip(apps, plans, strict=True)
    ]
    if kill_at is not None:
        mac.run(until=kill_at / 1000)
        apps[0].kill()
    mac.run()
    return mac, tasks


sizes = st.lists(st.integers(1, 300), min_size=1, max_size=4)
plans = st.builds(
    lambda plain, stream, sizes, pauses, own: Plan(
        plain, stream, tuple(sizes), tuple(pauses[: len(sizes)]), own
    ),
    st.booleans(),
    st.booleans(),
    sizes,
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.booleans(),
)
nap = st.integers(0, 2)
bounds = settings(max_examples=40 * EXPLORING, deadline=None)


@bounds
@given(st.lists(plans, min_size=1, max_size=3), st.tuples(nap, nap), st.integers(0, 1 << 32))
def test_no_byte_is_lost_and_the_choices_make_the_same_run(
    plans: list[Plan], naps: tuple[int, int], seed: int
) -> None:
    mac, tasks = run(plans, naps, Seeded(seed))
    for plan, task in zip(plans, tasks, strict=True):
        assert task.result() == b"".join(record(n, size) for n, size in enumerate(plan.sizes))
    again, _ = run(plans, naps, Recorded(mac.choices))
    assert again.choices == mac.choices
    assert list(again.trace.entries()) == list(mac.trace.entries())
    assert mac.trace.state() == mac.snapshot()


@settings(max_examples=12 * EXPLORING, deadline=None)
@given(
    st.lists(plans, min_size=1, max_size=3),
    st.tuples(nap, nap),
    st.integers(0, 1 << 32),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_the_fold_is_the_snapshot_after_every_entry_and_nothing_stays_behind(
    plans: list[Plan], naps: tuple[int, int], seed: int, kill_at: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system_module, "Trace", CheckedTrace)
        patch.setattr("kextlab.kernel.kernel.System", CheckedSystem)
        mac, tasks = run(plans, naps, Seeded(seed), kill_at)
        assert mac.trace.checked > 50  # type: ignore[attr-defined]  # it is a CheckedTrace
    assert [task.done for task in tasks] == [True] * len(tasks)
    for app in mac.processes:
        app.exit()
    for kext in mac.kexts():
        assert mac.leaks(kext) == []
        for ref in kext.refs.values():  # type: ignore[attr-defined]  # it is Sleepy
            assert kext.kpi.ctl_deregister(ref.value) == 0
    stat = mac.statistics()
    assert (stat.sockets, stat.mbufs, stat.controls) == (0, 0, 0)
    assert mac.system.tasks.waiting == {}
    assert mac.system.tasks.ready == []


STORY = [
    Plan(plain, stream, (5, 70, 300), (0, 1, 2), own)
    for plain in (False, True)
    for stream in (False, True)
    for own in (False, True)
]


def digest(seed: int) -> str:
    """Of the trace of one run with every kind of program."""
    mac, _ = run(STORY, (1, 1), Seeded(seed))
    return hashlib.sha256(repr(list(mac.trace.entries())).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_a_seed_leaves_the_same_trace_in_every_process(hash_seed: str) -> None:
    code = "import test_tasks; print(*map(test_tasks.digest, range(3)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [digest(seed) for seed in range(3)]
    assert len(set(done.stdout.split())) == 3
