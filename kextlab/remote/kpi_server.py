"""The KPI gate over bytes, the kernel's side: ``KpiServer``.

Holds the real ``Kpi`` of one remote kext, the mbufs the kext knows by number, and the functions
the kernel calls in place of the kext's own. ``kextlab.remote.kpi`` is the other side and says what
crosses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.mbuf import MbufPool
from kextlab.kernel.kpi import Callback as Function
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Kpi, Mbuf, Out
from kextlab.remote import answers
from kextlab.remote.signatures import (
    ADDRESS,
    CALLBACKS,
    FIELDS,
    KPI,
    ROUTINES,
    check,
    check_written,
    signature_of,
)
from kextlab.remote.wire import (
    Call,
    Callback,
    CallbackReturn,
    Fault,
    Plain,
    Return,
    Stop,
    WireError,
    pack,
    shown,
    unpack,
)
from kextlab.sched.stop import PAGE_FAULT, KernelPanic, SimStop

KEPT: Final = 1024
"""Mbufs a kext may know before those that were freed are forgotten."""

_UNTOUCHED: Final = object()


class RemoteFault(Exception):
    """The traceback of an exception that left a remote kext's callback; cause of the panic."""


class _Wrong:
    """What a remote callback returned instead of an errno; the kernel prints it in its panic."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class KpiServer:
    """The kernel's side of one remote kext.

    Args:
        kpi: the functions of this kext.
        pool: the machine's mbufs.
        send: delivers a message to the kext's side and gives its answer.
    """

    __slots__ = ("_forget_at", "_kpi", "_mbufs", "_pool", "_send", "_stop")

    def __init__(self, kpi: Kpi, pool: MbufPool, send: Callable[[bytes], bytes]) -> None:
        self._kpi = kpi
        self._pool = pool
        self._send = send
        self._mbufs: dict[int, Mbuf] = {}
        """Number to mbuf, of all the kext was given: freed ones too, as a stale pointer is one."""
        self._forget_at = KEPT
        self._stop: SimStop | None = None
        """The stop that crossed last, to be raised as itself when it comes back."""

    # -- serving calls ---------------------------------------------------------------------

    def serve(self, message: bytes) -> bytes:
        """Do the call of ``message``; its answer as a message.

        A message that is no call, an unknown function, arguments that do not fit and the number of
        an mbuf the kext was never given are answered by an ``Error`` of one line, before the
        kernel is entered. Raises nothing.
        """
        return answers.serve(self._perform, message)

    def _perform(self, call: Call) -> Return:
        signature = signature_of(KPI, call.name)
        check(call.name, signature, call.arguments)
        arguments = tuple(map(self._argument, signature, call.arguments))
        function: Function = getattr(self._kpi, call.name)
        try:
            result = function(*arguments)
        except SimStop as stop:
            self._stop = stop
            raise
        written = tuple(
            (at, self._written(argument))
            for at, argument in enumerate(arguments)
            if isinstance(argument, KernCtlReg)
            or (isinstance(argument, Out) and argument.value is not _UNTOUCHED)
        )
        return Return(self._crossing(result), written)

    def _argument(self, kind: str, value: Plain) -> object:
        """What a kernel function gets for a value that crossed."""
        match kind:
            case "m":
                return self._mbuf(value)
            case "p":
                return self._mbuf(value) if value is not None else None
            case "o" | "q":
                return Out(_UNTOUCHED) if value else None
            case "O":
                return Out(value[0]) if value is not None else None
            case "R":
                return self._record(*value) if value is not None else None
            case "e":
                return KevMsg(*value) if value is not None else None
            case _:
                return value

    def _written(self, argument: KernCtlReg | Out) -> Plain:
        """The value that crosses back for what a kernel function wrote."""
        if isinstance(argument, KernCtlReg):
            return tuple(getattr(argument, name) for name in FIELDS)
        return self._crossing(argument.value)

    def _crossing(self, value: Plain) -> Plain:
        return self._number(value) if isinstance(value, Mbuf) else value

    # -- mbufs by number -------------------------------------------------------------------

    def _number(self, m: Mbuf) -> int:
        """The number of an mbuf, which the kext knows from now on."""
        mbufs = self._mbufs
        mbufs[m.id] = m
        if len(mbufs) > self._forget_at:
            live = self._pool.live
            self._mbufs = {number: known for number, known in mbufs.items() if number in live}
            self._forget_at = len(self._mbufs) + KEPT
        return m.id

    def _mbuf(self, number: int) -> Mbuf:
        m = self._mbufs.get(number)
        if m is None:
            raise LookupError(f"mbuf {number} was never this kext's, or was freed long ago")
        return m

    # -- calling back ----------------------------------------------------------------------

    def _record(self, record: int, fields: tuple[Plain, ...], names: tuple[str, ...]) -> KernCtlReg:
        """A kext's record, with functions that call it over the link."""
        reg = KernCtlReg(**dict(zip(FIELDS, fields, strict=True)))
        for name in names:
            setattr(reg, f"ctl_{name}", self.function(record, name))
        return reg

    def function(self, record: int, name: str) -> Function:
        """What the kernel calls for a kext's function: C's arguments in, its errno out. Record 0
        holds the kext's own routines.

        Raises:
            KernelPanic, SimDeadlock: an exception left the function, or the machine stopped inside.
            WireError: the kext's side answered what is no answer.
        """
        return partial(self._call, record, name)

    def _call(self, record: int, name: str, *arguments: Plain) -> Plain:
        signature = ROUTINES[name] if record == 0 else CALLBACKS[name]
        values = tuple(map(self._value, signature, arguments))
        answer = unpack(self._send(pack(Callback(record, name, values))))
        match answer:
            case CallbackReturn():
                check_written(name, signature, "IUAB", answer.written)
                for at, value in answer.written:
                    _write(arguments[at], value)
                return answer.result if answer.wrong is None else _Wrong(answer.wrong)
            case Fault():
                raise _panic(name, answer)
            case Stop():
                raise self._stopped(answer)
            case _:
                raise WireError(f"{name} was answered by {shown(answer)}")

    def _value(self, kind: str, argument: Plain) -> Plain:
        """The value that crosses for an argument of a callback."""
        match kind:
            case "m":
                return self._number(argument)
            case "I" | "U":
                return argument.value
            case "A":
                return tuple(getattr(argument, name) for name in ADDRESS)
            case _:
                return argument

    def _stopped(self, message: Stop) -> SimStop:
        """The stop a callback let pass: the one it got from here, or one of its own."""
        stop = self._stop
        if stop is not None and str(stop) == message.text:
            return stop
        return answers.stop_of(message)


def _write(argument: object, value: Plain) -> None:
    """Write through an out-pointer of a callback."""
    match argument:
        case Out():
            argument.value = value
        case SockaddrCtl():
            for name, item in zip(ADDRESS, value, strict=True):
                setattr(argument, name, item)
        case bytearray():
            argument[:] = value
        case _:
            raise WireError("the kext's side wrote through a null pointer")


def _panic(name: str, fault: Fault) -> KernelPanic:
    """The panic for a fault, worded as the kernel words that of a kext beside it."""
    panic = KernelPanic(f"{PAGE_FAULT}: {fault.type} in callback {name}: {fault.text}")
    try:
        raise RemoteFault(f"on the kext's side of the gate\n{fault.traceback.rstrip()}")
    except RemoteFault as cause:
        panic.__cause__ = cause
    return panic
