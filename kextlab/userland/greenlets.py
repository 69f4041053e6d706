"""Blocking programs, unmodified: each runs on a greenlet of its own, which a call can leave.

greenlet is optional. Without it (in WebAssembly, say) programs are ``async def``; nothing else here
needs it, and it is imported only when a blocking program starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kextlab.sched.stop import Killed, Sleep

STUBBORN: Final = 100
"""How often a program that catches Killed and blocks again gets it again."""


class GreenletBody:
    """A plain function as a task's body.

    Raises:
        ImportError: greenlet is not installed.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        try:
            import greenlet
        except ImportError:
            raise ImportError(
                "a program that is a plain function needs greenlet: pip install greenlet, or "
                "write it as an async def"
            ) from None
        self._current = greenlet.getcurrent
        self._function = function
        self._greenlet = greenlet.greenlet(self._main)
        self._result: object = None
        self._error: BaseException | None = None

    def _main(self, _answer: object) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def send(self, answer: int | None) -> Sleep | None:
        """Go on to where the program lets go. StopIteration, with its result, at its end."""
        return self._switch(lambda: self._greenlet.switch(answer))

    def _switch(self, switch: Callable[[], Any]) -> Sleep | None:
        self._greenlet.parent = self._current()  # whoever runs it on gets it back
        point: Sleep | None = switch()
        if not self._greenlet.dead:
            return point
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration(self._result)

    def suspend(self, point: Sleep | None) -> int | None:
        """Called on the greenlet: leave it at that point; what it is sent when it goes on."""
        runner = self._greenlet.parent
        assert runner is not None
        answer: int | None = runner.switch(point)
        return answer

    def close(self) -> None:
        """End the program where it is: Killed is raised there."""
        if not self._greenlet:  # over, or never begun
            return
        try:
            for _ in range(STUBBORN):
                self._switch(lambda: self._greenlet.throw(Killed))
        except (StopIteration, Killed):
            return
