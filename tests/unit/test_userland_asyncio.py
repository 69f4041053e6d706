"""A process's asyncio: sockets, tasks, time, cancelling; what CPython's asyncio answers."""

import asyncio as host
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.remote.syscalls import LoopbackSyscalls
from kextlab.sched import SimDeadlock
from kextlab.userland.process import App

CONTROL = "org.kextlab.echo"
Program = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def mac() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    return mac


@pytest.fixture
def app(mac: Kernel) -> App:
    return mac.spawn("client")


def unconnected(app: App) -> Any:
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.setblocking(False)
    return s


def result(mac: Kernel, app: App, program: Program, *args: Any) -> Any:
    task = app.run(program, *args)
    mac.run()
    return task.result()


# -- sockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("remote", [False, True])
def test_a_program_connects_sends_and_receives(mac: Kernel, remote: bool) -> None:
    async def program(app: App) -> object:
        loop = app.asyncio.get_running_loop()
        s = unconnected(app)
        await loop.sock_connect(s, CONTROL)
        await loop.sock_sendall(s, memoryview(b"hello"))
        await loop.sock_sendall(s, b"again")
        buffer = bytearray(9)
        size = await loop.sock_recv_into(s, buffer)
        return buffer[:size], await loop.sock_recv(s, 100), loop.time()

    app = mac.spawn("client", gate=LoopbackSyscalls(mac.syscalls) if remote else None)
    assert result(mac, app, program) == (b"hello", b"again", 0.0)
    assert mac.trace.state() == mac.snapshot()


def test_what_the_kernel_refuses_is_the_exception_of_the_plain_call(mac: Kernel, app: App) -> None:
    async def program(app: App) -> list[str]:
        loop = app.asyncio.get_running_loop()
        s, seen = unconnected(app), []
        for call in (
            lambda: loop.sock_recv(s, 1),
            lambda: loop.sock_sendall(s, b"x"),
            lambda: loop.sock_connect(s, (77, 0)),
        ):
            try:
                await call()
            except OSError as error:
                seen.append(str(error))
        return seen

    assert result(mac, app, program) == [
        "[Errno 57] Socket is not connected",
        "[Errno 57] Socket is not connected",
        "[Errno 2] No such file or directory",
    ]


def test_a_blocking_socket_is_refused_as_in_cpythons_debug_mode(mac: Kernel, app: App) -> None:
    async def program(app: App) -> None:
        s = unconnected(app)
        s.setblocking(True)
        loop = app.asyncio.get_running_loop()
        for call in (
            lambda: loop.sock_recv(s, 1),
            lambda: loop.sock_recv_into(s, bytearray(1)),
            lambda: loop.sock_sendall(s, b""),
            lambda: loop.sock_connect(s, CONTROL),
        ):
            with pytest.raises(ValueError, match=r"^the socket must be non-blocking$"):
                call()

    result(mac, app, program)


def test_a_wait_for_data_ends_when_the_socket_is_closed(mac: Kernel, app: App) -> None:
    async def program(app: App) -> None:
        loop = app.asyncio.get_running_loop()
        s = unconnected(app)
        await loop.sock_connect(s, CONTROL)
        waiting = app.asyncio.create_task(receives(app, s))
        await app.asyncio.sleep(1)
        s.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await waiting

    async def receives(app: App, s: Any) -> bytes:
        data: bytes = await app.asyncio.get_running_loop().sock_recv(s, 1)
        return data

    result(mac, app, program)


class Odd:
    """A gate that answers calls of one name with given errnos first."""

    def __init__(self, gate: Any, name: str, *errnos: int) -> None:
        self.gate, self.name, self.errnos = gate, name, list(errnos)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gate, name)

    def routine(self, pid: int, name: str, *args: Any) -> Any:
        if name == self.name and self.errnos:
            yield from ()
            return self.errnos.pop(0), 0
        return (yield from self.gate.routine(pid, name, *args))


@pytest.mark.parametrize(("errno", "name"), [(4, "EINTR"), (35, "EAGAIN")])
def test_an_awaited_call_is_made_again_but_not_for_ever(mac: Kernel, errno: int, name: str) -> None:
    async def program(app: App) -> bytes:
        loop = app.asyncio.get_running_loop()
        s = unconnected(app)
        await loop.sock_connect(s, CONTROL)
        await loop.sock_sendall(s, b"x")
        data: bytes = await loop.sock_recv(s, 1)
        return data

    app = mac.spawn("client", gate=Odd(mac.syscalls, "sendto", errno, errno))  # type: ignore[arg-type]
    assert result(mac, app, program) == b"x"
    app = mac.spawn("client", gate=Odd(mac.syscalls, "sendto", *[errno] * 100))  # type: ignore[arg-type]
    app.run(program)
    with pytest.raises(SimDeadlock, match=rf"answered {name} 100 times"):
        mac.run()


def test_a_stream_is_sent_in_as_many_calls_as_it_takes(mac: Kernel, app: App) -> None:
    sent: list[bytes] = []

    class Short(Odd):
        def routine(self, pid: int, name: str, *args: Any) -> Any:
            if name == "sendto":
                yield from ()
                sent.append(args[1])
                return 0, min(2, len(args[1]))
            return (yield from self.gate.routine(pid, name, *args))

    async def program(app: App) -> None:
        s = unconnected(app)
        await app.asyncio.get_running_loop().sock_connect(s, CONTROL)
        await app.asyncio.get_running_loop().sock_sendall(s, b"abcde")

    result(mac, mac.spawn("client", gate=Short(mac.syscalls, "")), program)  # type: ignore[arg-type]
    assert sent == [b"abcde", b"cde", b"e"]


def test_a_task_that_never_began_is_closed_with_its_process(mac: Kernel, app: App) -> None:
    async def program(app: App) -> None:
        app.asyncio.create_task(waits(app, 1, 1))
        app.exit()

    app.run(program)
    mac.run()
    assert [task.done for task in mac.tasks] == [True, True]


# -- tasks -------------------------------------------------------------------------------------


def test_tasks_of_one_process_run_beside_each_other(mac: Kernel, app: App) -> None:
    said: list[object] = []

    async def ticks(app: App, name: str, every: float) -> str:
        for _ in range(2):
            await app.asyncio.sleep(every)
            said.append((name, mac.now))
        return name

    async def program(app: App) -> list[str]:
        asyncio = app.asyncio
        task = asyncio.create_task(ticks(app, "b", 2), name="b")
        assert (task.get_name(), task.done()) == ("b", False)
        assert repr(task) == "<Task 2 'b', runnable>"
        with pytest.raises(host.InvalidStateError, match=r"^Result is not set\.$"):
            task.result()
        with pytest.raises(host.InvalidStateError):
            task.exception()
        return [await ticks(app, "a", 1.5), await task, task.result(), task.exception()]

    assert result(mac, app, program) == ["a", "b", "b", None]
    assert said == [("a", 1.5), ("b", 2), ("a", 3), ("b", 4)]


async def waits(app: App, value: object, delay: float) -> object:
    got = await app.asyncio.sleep(delay, value)
    if isinstance(got, Exception):
        raise got
    return got


def test_gather_returns_in_order_whoever_ends_first(mac: Kernel, app: App) -> None:
    async def program(app: App) -> object:
        asyncio = app.asyncio
        return await asyncio.gather(
            waits(app, "slow", 2), asyncio.create_task(waits(app, "quick", 1)), asyncio.sleep(0, 3)
        )

    assert result(mac, app, program) == ["slow", "quick", 3]
    assert mac.now == 2


def test_gather_raises_the_first_exception_and_the_others_run_on(mac: Kernel, app: App) -> None:
    slow: list[Any] = []

    async def program(app: App) -> None:
        slow.append(app.asyncio.create_task(waits(app, "slow", 5)))
        with pytest.raises(KeyError, match="lost"):
            await app.asyncio.gather(waits(app, KeyError("lost"), 1), slow[0])
        assert mac.now == 1

    result(mac, app, program)
    assert (slow[0].result(), mac.now) == ("slow", 5)


def test_gather_may_return_exceptions(mac: Kernel, app: App) -> None:
    async def program(app: App) -> object:
        lost = waits(app, KeyError("lost"), 1)
        return await app.asyncio.gather(lost, waits(app, 2, 2), return_exceptions=True)

    [error, value] = result(mac, app, program)
    assert (type(error), value) == (KeyError, 2)
    assert mac.run() == 0


def test_a_cancelled_gather_cancels_what_it_gathers(mac: Kernel, app: App) -> None:
    async def program(app: App) -> list[bool]:
        asyncio = app.asyncio
        inner = [asyncio.create_task(waits(app, n, 5)) for n in range(2)]

        async def outer() -> None:
            await asyncio.gather(*inner)

        task = asyncio.create_task(outer())
        await asyncio.sleep(1)
        assert task.cancel()
        with pytest.raises(host.CancelledError):
            await task
        await asyncio.sleep(0)
        return [one.cancelled() for one in (task, *inner)]

    assert result(mac, app, program) == [True, True, True]
    assert mac.now == 1


@pytest.mark.parametrize("aw", [5, None])
def test_what_cannot_be_awaited_is_refused(mac: Kernel, app: App, aw: Any) -> None:
    async def program(app: App) -> None:
        with pytest.raises(TypeError, match=r"^An asyncio\.Future, a coroutine or an awaitable"):
            await app.asyncio.gather(aw)
        with pytest.raises(TypeError, match=r"^a coroutine was expected, got "):
            app.asyncio.create_task(aw)

    result(mac, app, program)


def test_an_error_nobody_awaits_comes_out_of_the_run(mac: Kernel, app: App) -> None:
    async def program(app: App) -> None:
        app.asyncio.create_task(waits(app, KeyError("lost"), 1), name="child")

    app.run(program)
    with pytest.raises(KeyError, match="lost") as caught:
        mac.run()
    assert caught.value.__notes__ == ["in task 2 (child)"]


def test_outside_a_program_there_is_no_loop(mac: Kernel, app: App) -> None:
    asyncio, coroutine = app.asyncio, waits(app, 1, 1)
    for call in (asyncio.get_running_loop, asyncio.current_task):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            call()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.create_task(coroutine)
    coroutine.close()

    async def program(app: App) -> str:
        return str(app.asyncio.current_task().get_name())

    assert result(mac, app, program) == "client"


def test_an_exited_process_makes_no_tasks(mac: Kernel, app: App) -> None:
    loop = app.loop
    app.exit()
    with pytest.raises(ProcessLookupError, match="has exited"):
        loop.create_task(waits(app, 1, 1))


# -- cancelling --------------------------------------------------------------------------------


def test_a_cancelled_task_hears_of_it_where_it_waits(mac: Kernel, app: App) -> None:
    said: list[object] = []

    async def victim(app: App) -> None:
        try:
            await app.asyncio.sleep(9)
        except host.CancelledError:
            said.append(mac.now)
            raise

    async def program(app: App) -> None:
        task = app.asyncio.create_task(victim(app))
        await app.asyncio.sleep(1)
        assert task.cancel()
        with pytest.raises(app.asyncio.CancelledError):
            await task
        assert (task.cancelled(), task.cancel()) == (True, False)
        for ask in (task.exception, task.result):
            with pytest.raises(host.CancelledError):
                ask()

    result(mac, app, program)
    assert said == [1]


def test_a_task_cancelled_before_it_begins_never_does(mac: Kernel, app: App) -> None:
    async def program(app: App) -> bool:
        task = app.asyncio.create_task(waits(app, "never", 0))
        task.cancel()
        with pytest.raises(host.CancelledError):
            await task
        return bool(task.cancelled())

    assert result(mac, app, program) is True


def test_cancelling_who_awaits_a_task_cancels_that_task(mac: Kernel, app: App) -> None:
    async def program(app: App) -> list[bool]:
        asyncio = app.asyncio
        inner = asyncio.create_task(waits(app, "inner", 5))

        async def outer() -> None:
            await inner

        task = asyncio.create_task(outer())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(host.CancelledError):
            await task
        return [inner.cancelled(), task.cancelled()]

    assert result(mac, app, program) == [True, True]


def test_a_wait_for_data_can_be_cancelled(mac: Kernel, app: App) -> None:
    async def program(app: App) -> bytes:
        asyncio = app.asyncio
        loop, s = asyncio.get_running_loop(), unconnected(app)
        await loop.sock_connect(s, CONTROL)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(s, 100), 1.5)
        await loop.sock_sendall(s, b"x")
        data: bytes = await asyncio.wait_for(loop.sock_recv(s, 100), None)
        return data

    assert result(mac, app, program) == b"x"
    assert mac.now == 1.5
    assert mac.trace.state() == mac.snapshot()


def test_a_task_that_was_cancelled_while_it_ran_hears_of_it_at_its_next_wait(
    mac: Kernel, app: App
) -> None:
    async def program(app: App) -> str:
        asyncio = app.asyncio
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(1)
        except host.CancelledError:
            return f"at {mac.now}"
        return "never"

    assert result(mac, app, program) == "at 0.0"


def test_a_timeout_that_is_not_reached_does_nothing(mac: Kernel, app: App) -> None:
    async def program(app: App) -> object:
        async with app.asyncio.timeout(5) as limit:
            await app.asyncio.sleep(1)
        async with app.asyncio.timeout(None):
            await app.asyncio.sleep(1)
        with pytest.raises(KeyError):
            async with app.asyncio.timeout(5):
                raise KeyError
        return limit.expired()

    assert result(mac, app, program) is False
    assert mac.now == 2
    assert mac.run() == 0


def test_a_timeout_that_is_reached_is_a_timeout_error(mac: Kernel, app: App) -> None:
    async def program(app: App) -> object:
        with pytest.raises(TimeoutError):
            async with app.asyncio.timeout(0.5) as limit:
                await app.asyncio.sleep(1)
        assert limit.expired()
        with pytest.raises(TimeoutError):
            await app.asyncio.wait_for(waits(app, 1, 5), 0.5)
        await app.asyncio.sleep(0.25)
        return mac.now

    assert result(mac, app, program) == 1.25


def test_a_block_that_ends_late_by_itself_keeps_its_own_end(mac: Kernel, app: App) -> None:
    async def program(app: App) -> str:
        try:
            async with app.asyncio.timeout(0.5):
                try:
                    await app.asyncio.sleep(1)
                except host.CancelledError:
                    raise KeyError from None
        except KeyError:
            await app.asyncio.sleep(1)
            return "went on"
        return "lost"

    assert result(mac, app, program) == "went on"


# -- from plain code ---------------------------------------------------------------------------


def test_run_takes_a_coroutine_from_a_cell_or_a_plain_program(mac: Kernel, app: App) -> None:
    assert app.asyncio.run(waits(app, "cell", 1)) == "cell"
    pytest.importorskip("greenlet")

    def plain(app: App) -> object:
        return app.asyncio.run(waits(app, "plain", 1))

    task = app.run(plain)
    mac.run()
    assert (task.result(), mac.now) == ("plain", 2)


def test_run_inside_a_loop_is_refused(mac: Kernel, app: App) -> None:
    async def program(app: App) -> None:
        coroutine = waits(app, 1, 1)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            app.asyncio.run(coroutine)
        coroutine.close()

    result(mac, app, program)


@pytest.mark.parametrize("delay", ["x", None])
def test_a_delay_is_a_number(mac: Kernel, app: App, delay: Any) -> None:
    async def program(app: App) -> None:
        with pytest.raises(TypeError):
            await app.asyncio.sleep(delay)
        await app.asyncio.sleep(-1)

    result(mac, app, program)


def test_sleeping_no_time_lets_the_others_run(mac: Kernel, app: App) -> None:
    said: list[str] = []

    async def program(app: App, name: str) -> None:
        said.append(name)
        await app.asyncio.sleep(0)
        said.append(name)

    app.run(program, "a")
    app.run(program, "b")
    mac.run()
    assert said == ["a", "b", "a", "b"]
