"""Programs as tasks: starting, blocking, time, ending; plain functions run on greenlets."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import errno as e
from kextlab.kexts import EchoKext
from kextlab.sched import Recorded, Seeded, SimDeadlock, Sleep
from kextlab.sched.stop import KernelPanic
from kextlab.userland.process import App

pytest.importorskip("greenlet")

CONTROL = "org.kextlab.echo"


@pytest.fixture
def mac() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    return mac


def client(app: App) -> Any:
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect(CONTROL)
    return s


def reader(app: App) -> bytes:
    """A plain program that waits for one record."""
    data: bytes = client(app).recv(100)
    return data


async def async_reader(app: App) -> bytes:
    s = client(app)
    s.setblocking(False)
    data: bytes = await app.asyncio.get_running_loop().sock_recv(s, 100)
    return data


def post(mac: Kernel, unit: int, data: bytes) -> int:
    kext: Any = mac.kexts()[0]
    return int(kext.kpi.ctl_enqueuedata(kext.ctlref.value, unit, data, len(data), 8))


# -- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [reader, async_reader])
def test_a_program_waits_and_goes_on_when_data_comes(
    mac: Kernel, program: Callable[..., Any]
) -> None:
    task = mac.spawn("client").run(program)
    assert mac.run() > 0
    assert task.state == "asleep"
    assert post(mac, 1, b"hello") == 0
    mac.run()
    assert task.result() == b"hello"
    assert mac.tasks == [task]
    assert mac.trace.state() == mac.snapshot()


def test_a_program_gets_its_process_and_its_arguments(mac: Kernel) -> None:
    seen = []

    async def program(*args: object) -> None:
        seen.append(args)

    class Callable_:
        async def __call__(self, *args: object) -> None:
            seen.append(args)

    app = mac.spawn("client")
    app.run(program, 1, "two")
    app.run(Callable_(), 3)
    app.run(lambda *args: seen.append(args), 4)
    mac.run()
    assert seen == [(app, 1, "two"), (app, 3), (app, 4)]


def test_a_task_is_named_after_its_process(mac: Kernel) -> None:
    app = mac.spawn("client")
    names = [app.run(async_reader, name=name).name for name in (None, None, "special", None)]
    assert names == ["client", "client.2", "special", "client.4"]
    assert mac.tasks[0].pid == app.pid


def generator(app: App) -> Any:
    yield


async def async_generator(app: App) -> Any:
    yield


@pytest.mark.parametrize("program", [5, None, generator, async_generator])
def test_what_is_no_program_is_refused(mac: Kernel, program: Any) -> None:
    said = r"^run takes an async def or a plain function of \(app, \.\.\.\); got "
    with pytest.raises(TypeError, match=said):
        mac.spawn("client").run(program)


def test_a_coroutine_is_not_the_program(mac: Kernel) -> None:
    app = mac.spawn("client")
    said = r"^run takes the program itself: app\.run\(async_reader, \.\.\.\), not async_reader\("
    with pytest.raises(TypeError, match=said):
        app.run(async_reader(app))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^name = 5, expected a str$"):
        app.run(async_reader, name=5)  # type: ignore[arg-type]
    assert mac.tasks == []


def test_a_process_that_is_gone_runs_nothing(mac: Kernel) -> None:
    app, old = mac.spawn("client"), mac.spawn("old")
    app.exit()
    with pytest.raises(ProcessLookupError, match="has exited"):
        app.run(reader)
    mac.reboot()
    with pytest.raises(ProcessLookupError, match="ended with the last one"):
        old.run(reader)


def test_without_greenlet_a_plain_program_says_what_it_needs(
    mac: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "greenlet", None)
    app = mac.spawn("client")
    with pytest.raises(ImportError, match=r"needs greenlet: pip install greenlet, or write it as"):
        app.run(reader)
    app.run(async_reader)
    assert mac.run() > 0


# -- running beside each other -----------------------------------------------------------------


def talker(app: App, times: int, pause: float) -> list[bytes]:
    """A plain program that sends, sleeps and receives."""
    s, time = client(app), app.time
    got = []
    for n in range(times):
        s.send(b"%s %d" % (app.name.encode(), n))
        time.sleep(pause)
        got.append(s.recv(100))
    s.close()
    return got


@pytest.mark.parametrize("seed", range(5))
def test_several_plain_programs_each_get_their_own_records(seed: int) -> None:
    def run(chooser: Any) -> tuple[Kernel, list[Any]]:
        mac = Kernel(chooser=chooser)
        mac.load(EchoKext)
        tasks = [mac.spawn(name).run(talker, 3, 0.25) for name in "abc"]
        mac.run()
        return mac, [task.result() for task in tasks]

    mac, results = run(Seeded(seed))
    assert results == [[b"%s %d" % (name, n) for n in range(3)] for name in (b"a", b"b", b"c")]
    assert mac.now == 0.75
    assert {kind for kind, _, _ in mac.choices} == {"next", "let_go"}
    again, _ = run(Recorded(mac.choices))
    assert list(again.trace.entries()) == list(mac.trace.entries())


def test_a_call_of_the_notebook_lets_programs_run_until_it_is_served(mac: Kernel) -> None:
    def serve(app: App) -> None:
        app.time.sleep(2)
        post(mac, 1, b"served")

    s = client(mac.spawn("client"))
    mac.spawn("server").run(serve)
    assert s.recv(100) == b"served"
    assert mac.now == 2


def test_a_notebook_may_sleep_too(mac: Kernel) -> None:
    app = mac.spawn("client")
    task = app.run(talker, 2, 0.5)
    app.time.sleep(0.75)
    assert (task.state, mac.now) == ("asleep", 0.75)
    assert mac.run(until=1) > 0
    assert task.done


def test_a_plain_call_of_an_async_program_blocks_its_process_and_lets_others_run(
    mac: Kernel,
) -> None:
    said: list[str] = []

    async def blocks(app: App) -> None:
        async def sibling() -> None:
            said.append("sibling")

        app.asyncio.create_task(sibling())
        assert client(app).recv(100) == b"x"
        said.append("received")

    async def other(app: App) -> None:
        said.append("other")
        await app.asyncio.sleep(1)
        post(mac, 1, b"x")

    mac.spawn("blocks").run(blocks)
    mac.spawn("other").run(other)
    mac.run()
    assert said == ["other", "received", "sibling"]


def test_nobody_left_to_wake_a_plain_call_is_a_deadlock_with_everybody_in_it(mac: Kernel) -> None:
    s = client(mac.spawn("client"))
    mac.spawn("server").run(reader)
    mac.spawn("other").run(async_reader)
    with pytest.raises(
        SimDeadlock, match=r"sbwait on so_rcv:1 and nothing else can run.*Who wai"
    ) as c:
        s.recv(1)
    echo = "org.kextlab.echo, or whoever makes it serve unit"
    assert c.value.graph == [
        ("notebook", "sbwait", "so_rcv:1", f"{echo} 1"),
        ("server", "sbwait", "so_rcv:2", f"{echo} 2"),
        ("other", "select", "so_rcv:3", f"{echo} 3"),
    ]
    with pytest.raises(SimDeadlock, match=r"select\(\) waits.*Who waits for whom: notebook in sel"):
        s.type and mac.processes[0].select.select([s], [], [])


# -- time-outs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        lambda app, s: s.recv(100),
        lambda app, s: app.select.select([s], [], [], 1.5),
        lambda app, s: _poll(app, s).poll(1500),
    ],
)
def test_while_a_time_out_runs_others_run_and_data_ends_the_wait(
    mac: Kernel, wait: Callable[[App, Any], Any]
) -> None:
    async def late(app: App) -> None:
        await app.asyncio.sleep(1)
        post(mac, 1, b"late")

    app = mac.spawn("client")
    s = client(app)
    s.settimeout(1.5)
    mac.spawn("late").run(late)
    assert wait(app, s) in (b"late", ([s], [], []), [(3, 1)])
    assert mac.now == 1
    s.settimeout(0)
    if s.getblocking() is False and mac.trace.state()["so_rcv:1"]["sb_cc"]:
        s.recv(100)
    s.settimeout(1.5)
    with suppress(TimeoutError):
        assert wait(app, s) in (([], [], []), [])
    assert mac.now == 2.5


def _poll(app: App, s: Any) -> Any:
    poll = app.select.poll()
    poll.register(s, app.select.POLLIN)
    return poll


def test_data_that_another_takes_first_lets_the_time_out_run_on(mac: Kernel) -> None:
    app = mac.spawn("client")
    s = client(app)
    s.settimeout(2)

    def thief(app: App) -> bytes:
        data: bytes = s.recv(100)
        return data

    first, second = app.run(thief), app.run(thief)
    mac.run(until=1)
    post(mac, 1, b"one")
    mac.run(until=1.5)
    assert (first.result(), second.state) == (b"one", "asleep")
    with pytest.raises(TimeoutError, match="timed out"):
        mac.run()
    assert mac.now == 2


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_a_program_raises_comes_out_of_the_run(mac: Kernel, kind: str) -> None:
    def plain(app: App) -> None:
        raise KeyError("lost")

    async def later(app: App) -> None:
        await app.asyncio.sleep(1)
        raise KeyError("lost")

    task = mac.spawn("client").run(plain if kind == "plain" else later)
    with pytest.raises(KeyError, match="lost") as caught:
        mac.run()
    assert caught.value.__notes__ == ["in task 1 (client)"]
    assert task.done


def test_a_panic_in_a_program_ends_all_and_comes_out_of_the_run(mac: Kernel) -> None:
    def bad(app: App) -> None:
        kext: Any = mac.kexts()[0]
        kext.send = None
        mac.system.stop(KernelPanic("test"))
        app.time.sleep(1)

    other = mac.spawn("other").run(reader)
    mac.spawn("bad").run(bad)
    with pytest.raises(KernelPanic, match="test"):
        mac.run()
    assert other.done
    assert mac.trace.state() == mac.snapshot()


def test_a_process_may_end_after_the_panic(mac: Kernel) -> None:
    app = mac.spawn("client")
    client(app)
    mac.system.stop(KernelPanic("test"))
    with pytest.raises(KernelPanic):
        app.exit()


class Odd:
    """A gate that answers calls of one name with given answers first."""

    def __init__(self, gate: Any, name: str, *answers: Any) -> None:
        self.gate, self.name, self.answers = gate, name, list(answers)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.gate, name)
        if name != self.name:
            return real
        return lambda *args: self.answers.pop(0) if self.answers else real(*args)


INTERRUPTED = (e.EINTR, ((), ()))


@pytest.mark.parametrize("times", [2, 100])
def test_an_interrupted_wait_goes_on_until_its_time(mac: Kernel, times: int) -> None:
    gate = Odd(mac.syscalls, "select", *[INTERRUPTED] * times)
    app = mac.spawn("client", gate=gate)
    s = client(app)
    s.settimeout(2)
    late = mac.spawn("late")
    for wait in (lambda: s.recv(1), lambda: app.select.select([s], [], [], 2)):
        gate.answers = [INTERRUPTED] * times
        if times == 100:
            with pytest.raises(SimDeadlock, match="answered EINTR 100 times"):
                wait()
            continue
        late.run(lambda app: (app.time.sleep(1), post(mac, 1, b"x")))
        assert wait() in (b"x", ([s], [], []))


def test_eagain_of_a_callback_is_a_time_out_at_once(mac: Kernel) -> None:
    app = mac.spawn("client", gate=Odd(mac.syscalls, "sendto", (e.EAGAIN, 0)))
    s = client(app)
    s.settimeout(2)
    with pytest.raises(TimeoutError, match="timed out"):
        s.sendall(b"x")
    assert mac.now == 0


def test_an_interrupt_ends_the_program_it_hits(mac: Kernel) -> None:
    def interrupted(app: App) -> None:
        raise KeyboardInterrupt

    task = mac.spawn("client").run(interrupted)
    with pytest.raises(KeyboardInterrupt):
        mac.run()
    assert task.done
    assert mac.panic is None


def test_a_program_runs_no_tasks_itself(mac: Kernel) -> None:
    mac.spawn("client").run(lambda app: mac.step())
    with pytest.raises(RuntimeError, match=r"^mac\.step\(\) was called while <Task 1 'client'"):
        mac.run()


# -- the end of a process ----------------------------------------------------------------------


def looping(app: App) -> None:
    s = client(app)
    try:
        while True:
            s.recv(100)
    finally:
        s.close()


@pytest.mark.parametrize("program", [looping, async_reader, talker])
def test_exit_ends_the_programs_and_closes_the_descriptors(
    mac: Kernel, program: Callable[..., Any]
) -> None:
    app = mac.spawn("client")
    task = app.run(program, *((3, 1.0) if program is talker else ()))
    mac.run(until=0.5)
    assert mac.statistics().sockets == 1
    app.exit()
    assert (task.done, mac.statistics().sockets) == (True, 0)
    assert mac.run() == 0
    assert mac.trace.state() == mac.snapshot()
    assert mac.processes == []


def test_a_killed_process_got_a_signal(mac: Kernel) -> None:
    app = mac.spawn("client")
    app.run(looping)
    mac.run()
    app.kill()
    app.kill()
    assert (app.signals, app.exited) == (["SIGKILL"], True)
    assert mac.statistics().sockets == 0


def test_nothing_of_a_killed_program_enters_the_kernel(mac: Kernel) -> None:
    said: list[object] = []

    async def stubborn(app: App) -> None:
        s = client(app)
        try:
            await app.asyncio.sleep(1)
        finally:
            try:
                s.send(b"last words")
            except ProcessLookupError as error:
                said.append(str(error))

    app = mac.spawn("client")
    app.run(stubborn)
    mac.run(until=0.5)
    app.kill()
    assert said == ["process 100 has exited"]
    names = [event.name for event in mac.trace.events() if event.kind == "syscall"]
    assert "sendto" not in names


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("how", ["exit", "sys.exit"])
def test_a_program_may_end_its_process(mac: Kernel, kind: str, how: str) -> None:
    said: list[str] = []

    def leave(app: App) -> None:
        if how == "exit":
            app.exit()
        sys.exit(0)

    def plain(app: App) -> None:
        client(app)
        leave(app)
        said.append("went on")

    async def program(app: App) -> None:
        plain(app)

    app = mac.spawn("client")
    tasks = [app.run(reader), app.run(plain if kind == "plain" else program)]
    mac.run()
    assert [task.done for task in tasks] == [True, True]
    assert (said, app.exited, mac.statistics().sockets) == ([], True, 0)
    assert mac.trace.state() == mac.snapshot()


def test_a_program_in_an_uninterruptible_wait_ends_later_and_the_descriptors_with_it(
    mac: Kernel,
) -> None:
    app = mac.spawn("client")
    client(app)
    so = mac.system.domain.sockets.live[1]
    so.so_pcb.usecount = 1

    def closes(app: App) -> None:
        app.os.close(3)

    closing = app.run(closes)
    mac.run()
    assert closing.wmesg == "kcb->usecount"
    app.kill()
    assert (closing.done, mac.statistics().sockets) == (False, 1)
    so.so_pcb.usecount = 0
    mac.system.tasks.wakeup("kcb:1")
    mac.run()
    assert (closing.done, mac.statistics().sockets) == (True, 0)


def test_a_process_may_end_while_its_plain_call_runs_another_from_inside(mac: Kernel) -> None:
    async def blocks(app: App) -> None:
        client(app).recv(100)

    victim = mac.spawn("victim")
    task = victim.run(blocks)
    mac.spawn("killer").run(lambda app: victim.kill())
    mac.run()
    assert (task.done, mac.statistics().sockets) == (True, 0)
    assert mac.trace.state() == mac.snapshot()


def test_a_program_that_catches_its_end_is_dropped(mac: Kernel) -> None:
    def stubborn(app: App) -> None:
        while True:
            with suppress(BaseException):
                app.tasks.block(Sleep("", "stubborn", deadline=1 << 60))

    app = mac.spawn("client")
    task = app.run(stubborn)
    unborn = app.run(stubborn)
    mac.step()
    app.kill()
    assert (task.done, unborn.done) == (True, True)
    assert mac.run() == 0


def test_a_reboot_closes_the_programs_of_the_last_boot(mac: Kernel) -> None:
    said: list[str] = []

    def program(app: App) -> None:
        try:
            app.time.sleep(1)
        finally:
            said.append("closed")

    mac.spawn("client").run(program)
    mac.step()
    mac.reboot()
    assert said == ["closed"]
    assert mac.run() == 0


# -- the time module ---------------------------------------------------------------------------


def test_virtual_time_has_cpythons_names(mac: Kernel) -> None:
    time = mac.spawn("client").time
    assert (time.monotonic(), time.monotonic_ns(), time.perf_counter()) == (0.0, 0, 0.0)
    start = time.time()
    time.sleep(1.5)
    time.sleep(0)
    assert (time.monotonic(), time.perf_counter_ns()) == (1.5, 1_500_000_000)
    assert time.time() - start == 1.5
    assert time.time_ns() == 1_767_225_601_500_000_000


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (-0.5, ValueError),
        (float("nan"), ValueError),
        (float("inf"), OverflowError),
        ("1", TypeError),
        (None, TypeError),
    ],
)
def test_a_wrong_time_to_sleep_is_refused_as_by_cpython(
    mac: Kernel, value: Any, error: type[Exception]
) -> None:
    import time

    for sleep in (time.sleep, mac.spawn("client").time.sleep):
        with pytest.raises(error):
            sleep(value)


def test_time_outs_and_sleeps_of_an_exited_process_are_refused(mac: Kernel) -> None:
    app = mac.spawn("client")
    time = app.time
    app.exit()
    with pytest.raises(ProcessLookupError, match="has exited"):
        time.sleep(1)
    assert e.EINTR == 4
