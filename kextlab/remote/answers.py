"""What comes back instead of a value: stops and exceptions as messages, and raised again.

Both gates answer alike. A panic or deadlock crosses as ``Stop`` with what a reader of it needs,
any other exception as ``Error`` with its type and text: the side that serves a message never
fails on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kextlab.remote.wire import Call, Error, Return, Stop, WireError, pack, unpack
from kextlab.sched.stop import KernelPanic, SimDeadlock, SimStop, Sleep


class RemoteError(Exception):
    """An exception of a type this side does not raise itself left the other side."""


RAISED: Final[dict[str, type[Exception]]] = {
    error.__name__: error
    for error in (
        AttributeError,
        LookupError,
        NotImplementedError,
        ProcessLookupError,
        TypeError,
        ValueError,
        WireError,
    )
}
"""The exceptions that cross as themselves; others are raised again as RemoteError."""


def serve(perform: Callable[[Call], Return], message: bytes) -> bytes:
    """Answer the message of a caller by what ``perform`` does. Raises nothing."""
    try:
        call = unpack(message)
        if not isinstance(call, Call):
            raise WireError(f"a {type(call).__name__} where a Call is due")
        return pack(perform(call))
    except SimStop as stop:
        return pack(stop_message(stop))
    except Exception as error:
        return pack(Error(type(error).__name__, " ".join(str(error).splitlines())))


def returned(answer: bytes) -> Return:
    """What a caller got back.

    Raises:
        KernelPanic, SimDeadlock: the machine stopped.
        ProcessLookupError, ValueError, ...: the call raised it (see ``RAISED``).
        RemoteError: it raised another.
        WireError: the message was refused, or the answer is none.
    """
    message = unpack(answer)
    match message:
        case Return():
            return message
        case Stop():
            raise stop_of(message)
        case Error():
            raise error_of(message)
        case _:
            raise WireError(f"a {type(message).__name__} where a Return is due")


def stop_message(stop: SimStop) -> Stop:
    """A panic or deadlock as a message."""
    if isinstance(stop, KernelPanic):
        return Stop("panic", stop.text, stop.report)
    sleep = stop.sleep if isinstance(stop, SimDeadlock) else None
    crossing = (sleep.channel, sleep.wmesg, sleep.interruptible) if sleep is not None else None
    return Stop("deadlock", str(stop), sleep=crossing)


def stop_of(message: Stop) -> SimStop:
    """The panic or deadlock of a message."""
    if message.what == "panic":
        panic = KernelPanic(message.text)
        panic.report = message.report
        return panic
    return SimDeadlock(message.text, Sleep(*message.sleep) if message.sleep is not None else None)


def error_of(message: Error) -> Exception:
    """The exception of a message."""
    error = RAISED.get(message.type)
    if error is None:
        return RemoteError(f"{message.type}: {message.text}")
    return error(message.text)
