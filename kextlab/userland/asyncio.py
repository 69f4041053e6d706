"""A simulated process's ``asyncio`` module: what ``async def`` programs await.

Names, arguments and exceptions are CPython's; the event loop is the machine's scheduler. As on a
Mac, all coroutines of one process are one thread: a plain blocking call stops them all, while
other processes go on. ``sock_*`` do what CPython's loop does: try the call on the non-blocking
socket, wait until it is ready, try again; here the kernel may let other tasks in during the call.
Read beside it: CPython's ``Lib/asyncio/selector_events.py``, ``tasks.py``, ``timeouts.py``.

Left out: transports, streams, subprocesses, queues and locks, callbacks (``call_soon``, futures).
A non-blocking socket is demanded, as CPython does in debug mode. Cancelling a task that is inside
a system call takes effect when it next waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import iscoroutine
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from kextlab.abi.errno import EAGAIN, EINTR
from kextlab.sched.clock import SECOND
from kextlab.sched.stop import Sleep
from kextlab.sched.task import Task
from kextlab.userland.arguments import Readable, Writable, as_bytes, room, write_into
from kextlab.userland.gate import MAX_RETRIES, endless, refused
from kextlab.userland.time import nanoseconds

if TYPE_CHECKING:
    from kextlab.userland.process import App
    from kextlab.userland.socket import Socket

Program = Coroutine[Any, Any, Any]
Points = Generator[Sleep | None, int | None, Any]
"""What an awaitable does: yield to the scheduler, return a value. Any: the program's."""


class Wait:
    """An awaitable made of yield points."""

    __slots__ = ("_points",)

    def __init__(self, points: Points) -> None:
        self._points = points

    def __await__(self) -> Points:
        return self._points


class AsyncTask:
    """What ``create_task`` returns: CPython's ``asyncio.Task`` over a task of the machine."""

    def __init__(self, loop: Loop, program: Callable[[], Program] | Program, name: str) -> None:
        self._loop = loop
        self._program = program
        self._points = self._main()
        self._cancelled: asyncio.CancelledError | None = None
        self._must_cancel = False
        self._awaits: AsyncTask | None = None
        self._wakes = False
        """Whether it waits in a way that a cancellation ends."""
        sched = loop.sched
        self.task: Task = sched.spawn(
            name, loop.app.pid, self, loop.group, parent=sched.running.number
        )
        loop.tasks[self.task.number] = self

    def _main(self) -> Points:
        """The coroutine, unless it was cancelled before it began."""
        coroutine = self._program() if callable(self._program) else self._program
        try:
            if self._must_cancel:
                raise asyncio.CancelledError
            return (yield from coroutine.__await__())
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
        except SystemExit:
            self._loop.app.exit()
        finally:
            coroutine.close()

    def send(self, answer: int | None) -> Sleep | None:
        """Go on to the next yield point."""
        return self._points.send(answer)

    def close(self) -> None:
        """End the program where it is; its ``finally`` blocks run."""
        if not callable(self._program):
            self._program.close()
        self._points.close()

    def __repr__(self) -> str:
        return repr(self.task)

    def get_name(self) -> str:
        """Its name."""
        return self.task.name

    def done(self) -> bool:
        """Whether it has ended."""
        return self.task.done

    def cancelled(self) -> bool:
        """Whether it ended by a cancellation."""
        return self._cancelled is not None

    def cancel(self, msg: object = None) -> bool:
        """Raise CancelledError in it at its next or present wait. False if it has ended."""
        if self.task.done:
            return False
        if self._awaits is not None and self._awaits.cancel():
            return True
        self._must_cancel = True
        if self._wakes and self.task.point is not None:
            self._loop.sched.wake(self.task, EINTR)
        return True

    def exception(self) -> BaseException | None:
        """What it raised. InvalidStateError if it has not ended."""
        self._over()
        if self._cancelled is not None:
            raise self._cancelled
        return self.task.error

    def result(self) -> Any:
        """What it returned, or raise what it raised. InvalidStateError if it has not ended."""
        self._over()
        if self._cancelled is not None:
            raise self._cancelled
        return self.task.result()

    def outcome(self) -> Any:
        """What it returned or raised, as a value."""
        self._over()
        return self._cancelled or self.task.error or self.task.value

    def _over(self) -> None:
        if not self.task.done:
            raise asyncio.InvalidStateError("Result is not set.")
        self.task.told = True

    def __await__(self) -> Points:
        yield from self._loop.until_done([self])
        return self.result()


class Loop:
    """The event loop of one process."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.sched = app.tasks
        self.group = f"loop:{app.pid}"
        self.tasks: dict[int, AsyncTask] = {}

    # -- waiting ---------------------------------------------------------------------------

    def current(self) -> AsyncTask:
        """The task that runs. RuntimeError outside an ``async def`` program of this process."""
        running = self.sched.running
        task = self.tasks.get(running.number)
        if task is None:
            raise RuntimeError("no running event loop")
        return task

    def wait(self, point: Sleep) -> Points:
        """Wait; what the wait answers. CancelledError if the task was cancelled."""
        task = self.current()
        if not task._must_cancel:
            task._wakes = True
            try:
                answer = yield point
            finally:
                task._wakes = False
            if not task._must_cancel:
                return answer
        task._must_cancel = False
        raise asyncio.CancelledError

    def until_done(self, tasks: list[AsyncTask]) -> Points:
        """Wait for all of them; a cancellation is theirs."""
        me = self.current()
        for task in tasks:
            while not task.task.done:
                me._awaits = task
                try:
                    yield from self.wait(Sleep(f"task:{task.task.number}", "await"))
                finally:
                    me._awaits = None

    def time(self) -> float:
        """Virtual time, in s."""
        return self.sched.clock.now / SECOND

    def create_task(
        self, coro: Program, *, name: object = None, context: object = None
    ) -> AsyncTask:
        """Run a coroutine as a task of its own. TypeError if it is none."""
        if not iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        if self.app.exited or self.app.ended_with:
            coro.close()
        self.app.check()
        return AsyncTask(self, coro, str(name) if name is not None else coro.__name__)

    # -- sockets ---------------------------------------------------------------------------

    def _call(self, name: str, *args: Any) -> Points:
        """A system call that lets other tasks in where the kernel lets go."""
        gate, pid = self.app.gate, self.app.pid
        routine = getattr(gate, "routine", None)
        if routine is None:  # a gate over bytes: the call goes straight through
            return getattr(gate, name)(pid, *args)
        return (yield from routine(pid, name, *args))

    def _ready(self, reads: tuple[int, ...], writes: tuple[int, ...]) -> Points:
        """Wait in select until a descriptor is ready."""
        task = self.current()
        errno, ready = 0, ((), ())
        steps = self._call("select", reads, writes, None)
        answer: int | None = None
        try:
            while True:
                point = steps.send(answer)
                task._wakes = True
                answer = yield point
                task._wakes = False
        except StopIteration as over:
            errno, ready = over.value
        finally:
            task._wakes = False
        if task._must_cancel:
            task._must_cancel = False
            raise asyncio.CancelledError
        if errno and errno != EINTR:
            refused(errno, None)
        return ready

    def _socket(self, sock: Socket) -> int:
        if sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        return sock.fileno()

    def _try(self, writing: bool, fd: int, name: str, *args: Any) -> Points:
        """A call that is made again when the socket is ready, as long as it answers EAGAIN.

        Raises:
            SimDeadlock: it answers that, or EINTR, again and again though nobody else ran.
        """
        tries = 0
        while tries < MAX_RETRIES:
            before = self.sched.steps
            errno, value = yield from self._call(name, fd, *args)
            if not errno:
                return value
            if errno == EAGAIN:
                yield from self._ready(() if writing else (fd,), (fd,) if writing else ())
            elif errno != EINTR:
                return refused(errno, value)
            tries = tries + 1 if self.sched.steps == before else 0
        raise endless(errno)

    def sock_recv(self, sock: Socket, n: int) -> Wait:
        """Receive up to ``n`` bytes. Errors as recv's; ValueError on a blocking socket."""
        return Wait(self._try(False, self._socket(sock), "recvfrom", n, 0))

    def sock_recv_into(self, sock: Socket, buf: Writable) -> Wait:
        """Receive into ``buf``; the bytes received."""
        fd, size = self._socket(sock), room(buf, "sock_recv_into")

        def points() -> Points:
            data = yield from self._try(False, fd, "recvfrom", size, 0)
            write_into(buf, data)
            return len(data)

        return Wait(points())

    def sock_sendall(self, sock: Socket, data: Readable) -> Wait:
        """Send all of ``data``, on a datagram socket as one record."""
        fd, rest = self._socket(sock), as_bytes(data)

        def points() -> Points:
            nonlocal rest
            while True:
                sent = yield from self._try(True, fd, "sendto", rest, 0)
                rest = rest[sent:]
                if not rest:
                    return None

        return Wait(points())

    def sock_recvfrom(self, sock: Socket, bufsize: int) -> Wait:
        """(data, the sender's address), of up to ``bufsize`` bytes."""
        fd = self._socket(sock)

        def points() -> Points:
            got = yield from self._try(False, fd, "recvmsg", bufsize, 0, 0)
            return got[0], sock._address(got[3])

        return Wait(points())

    def sock_sendto(self, sock: Socket, data: Readable, address: object) -> Wait:
        """Send ``data`` as one record to that address; the bytes sent."""
        fd, nam = self._socket(sock), sock._sockaddr(address, "sendto")
        return Wait(self._try(True, fd, "sendto", as_bytes(data), 0, nam))

    def sock_accept(self, sock: Socket) -> Wait:
        """(a non-blocking socket for the first client that waits, its address)."""
        fd = self._socket(sock)

        def points() -> Points:
            accepted, nam = yield from self._try(False, fd, "accept")
            self.app.files.accepted(accepted, fd)
            made = sock.__class__(sock.family, sock.type, sock.proto, fileno=accepted)
            made.setblocking(False)
            return made, sock._address(nam)

        return Wait(points())

    def sock_connect(self, sock: Socket, address: object) -> Wait:
        """Connect to a control by name or by (id, unit), to a local socket by path. Errors as
        connect's."""
        fd = self._socket(sock)
        nam = sock._sockaddr(address, "connect")

        def points() -> Points:
            errno, _ = yield from self._call("connect", fd, nam)
            if errno:
                refused(errno, None)

        return Wait(points())


class Timeout:
    """``asyncio.timeout``: cancels what runs under it at a deadline, and makes it TimeoutError."""

    def __init__(self, loop: Loop, delay: float | None) -> None:
        self._loop = loop
        self._delay = delay
        self._expired = False
        self._inside: AsyncTask | None = None
        self._timer: Task | None = None

    def expired(self) -> bool:
        """Whether the time passed first."""
        return self._expired

    async def __aenter__(self) -> Self:
        if self._delay is None:
            return self
        loop, self._inside = self._loop, self._loop.current()
        inside = self._inside
        deadline = loop.sched.clock.now + nanoseconds(max(self._delay, 0))

        def points() -> Points:
            yield Sleep("", "timeout", deadline=deadline)
            self._expired = True
            inside.cancel()

        name = f"{inside.get_name()}'s timeout"
        self._timer = loop.sched.spawn(name, loop.app.pid, points(), parent=inside.task.number)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._loop.sched.kill(self._timer)
        if self._expired and self._inside is not None:
            self._inside._must_cancel = False
            if isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error


def module(app: App) -> ModuleType:
    """The ``asyncio`` module of that process."""
    loop = app.loop

    def sleep(delay: float, result: object = None) -> Wait:
        """Wait that many seconds of virtual time; with 0, let others run."""

        def points() -> Points:
            deadline = loop.sched.clock.now + nanoseconds(max(delay, 0))
            yield from loop.wait(Sleep("", "sleep", deadline=deadline))
            return result

        return Wait(points())

    def get_running_loop() -> Loop:
        """The loop, in an ``async def`` program. RuntimeError elsewhere."""
        loop.current()
        return loop

    def current_task() -> AsyncTask:
        """The task that runs."""
        return loop.current()

    def create_task(coro: Program, *, name: object = None, context: object = None) -> AsyncTask:
        """Run a coroutine as a task of its own."""
        loop.current()
        return loop.create_task(coro, name=name)

    def task_of(aw: object) -> AsyncTask:
        if isinstance(aw, AsyncTask):
            return aw
        if iscoroutine(aw):
            return loop.create_task(aw)
        if hasattr(aw, "__await__"):
            return loop.create_task(_awaiting(aw))
        raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")

    async def gather(*aws: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
        """Run all; their results in order. The first exception is raised, unless
        ``return_exceptions`` asks for it as a result; the others run on."""
        tasks = [task_of(aw) for aw in aws]
        while pending := [task for task in tasks if not task.done()]:
            first, *others = (f"task:{task.task.number}" for task in pending)
            try:
                await Wait(loop.wait(Sleep(first, "await", also=tuple(others))))
            except asyncio.CancelledError:
                for task in pending:
                    task.cancel()
                raise
            for task in tasks:
                if task.done() and not return_exceptions:
                    task.result()
        return [task.outcome() if return_exceptions else task.result() for task in tasks]

    def run(main: Program, **_options: object) -> Any:
        """Run a coroutine from a plain program, or from a notebook's cell, to its result."""
        if loop.sched.running.number in loop.tasks:
            raise RuntimeError("asyncio.run() cannot be called from a running event loop")
        task = loop.create_task(main)
        while not task.done():
            loop.sched.block(Sleep(f"task:{task.task.number}", "await"))
        return task.result()

    async def wait_for(fut: Awaitable[Any], timeout: float | None) -> Any:
        """The result, or TimeoutError after so many seconds; then it is cancelled."""
        async with Timeout(loop, timeout):
            return await fut

    def timeout(delay: float | None) -> Timeout:
        """``async with asyncio.timeout(1):`` TimeoutError for what takes longer."""
        return Timeout(loop, delay)

    result = ModuleType("asyncio", "The asyncio module of a simulated process.")
    result.__dict__.update(
        CancelledError=asyncio.CancelledError,
        InvalidStateError=asyncio.InvalidStateError,
        TimeoutError=TimeoutError,
        Task=AsyncTask,
        sleep=sleep,
        run=run,
        get_running_loop=get_running_loop,
        get_event_loop=get_running_loop,
        current_task=current_task,
        create_task=create_task,
        ensure_future=task_of,
        gather=gather,
        wait_for=wait_for,
        timeout=timeout,
        iscoroutine=iscoroutine,
    )
    return result


async def _awaiting(aw: Any) -> Any:
    return await aw


def start(app: App, name: str, program: Callable[[], Program]) -> Task:
    """Run an ``async def`` program as a task of that process."""

    task = AsyncTask(app.loop, program, name).task
    task.parent = 0  # nobody in the process awaits it
    return task
