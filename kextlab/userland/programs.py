"""Starting a program: which of the two kinds it is, and what is refused in one line.

An ``async def`` is a task by itself; a plain function, with its blocking calls, runs on a greenlet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isasyncgenfunction, iscoroutine, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any

from kextlab.sched.task import Task

if TYPE_CHECKING:
    from kextlab.userland.process import App


def start(app: App, program: Any, args: tuple[Any, ...], name: object) -> Task:
    """What ``App.run`` does; any argument may come in."""
    if iscoroutine(program):
        called = program.__name__
        program.close()
        raise TypeError(f"run takes the program itself: app.run({called}, ...), not {called}(...)")
    if not callable(program) or isasyncgenfunction(program) or isgeneratorfunction(program):
        raise TypeError(
            f"run takes an async def or a plain function of (app, ...); got {program!r}"
        )
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name = {name!r}, expected a str")
    if name is None:
        others = sum(task.pid == app.pid for task in app.tasks.tasks.values())
        name = f"{app.name}.{others + 1}" if others else app.name
    body = partial(program, app, *args)
    if iscoroutinefunction(program) or iscoroutinefunction(type(program).__call__):
        from kextlab.userland import asyncio

        return asyncio.start(app, name, body)
    from kextlab.userland.greenlets import GreenletBody

    blocking = GreenletBody(partial(_main, app, body))
    task = app.tasks.spawn(name, app.pid, blocking)
    task.suspend = blocking.suspend
    return task


def _main(app: App, body: Callable[[], object]) -> object:
    """A program that calls sys.exit() ends its process."""
    try:
        return body()
    except SystemExit:
        app.exit()
        return None
