"""The KPI gate over bytes, the kext's side: ``RemoteKpi``.

A kext that gets a ``RemoteKpi`` as its ``kpi`` runs unmodified: the same functions with the same C
argument lists. Between it and the kernel's side (``kextlab.remote.kpi_server``) there are only
messages (``kextlab.remote.wire``):

* a function call is a ``Call``; ``Out`` boxes cross as whether they are there, what was written
  comes back beside the errno;
* an mbuf is the number the kernel knows it by; here it is a ``RemoteMbuf``;
* ``ctl_register`` sends the record's plain fields and the names of the callbacks in it; the
  functions stay here;
* a ``Callback`` names one of them; it is called with a real ``SockaddrCtl``, ``Out`` boxes, a
  bytearray and handles, and what it wrote crosses back with its errno;
* an exception that leaves it crosses as a ``Fault`` and panics the machine, as it would without
  the bytes between; a panic or deadlock inside a KPI call crosses as a ``Stop`` both ways.

Left out: sleeping. A callback, start or stop that is a generator, because it would
``yield from kpi.msleep(...)``, is not run: NotImplementedError naming it, which like every
exception is a fault. What differs: the trace shows a cookie that is an object as a number, not as
the name of its type.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import GeneratorType
from typing import NoReturn

from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kpi import Callback as Function
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Out
from kextlab.remote import answers
from kextlab.remote.cookies import Cookies
from kextlab.remote.signatures import ADDRESS, CALLBACKS, FIELDS, KPI, ROUTINES, check, signature_of
from kextlab.remote.wire import (
    Call,
    Callback,
    CallbackReturn,
    Error,
    Fault,
    Message,
    Plain,
    WireError,
    pack,
    unpack,
)
from kextlab.sched.stop import SimStop

Functions = dict[str, Function]
"""The callbacks of one record, by the names of their fields without ``ctl_``."""


@dataclass(frozen=True, slots=True)
class RemoteMbuf:
    """An mbuf to a remote kext: its number. Two of the same number are equal."""

    id: int


class RemoteKpi:
    """The kernel's functions as a remote kext sees them; ``kextlab.kernel.kpi.Kpi`` documents them.

    Args:
        send: delivers a message to the kernel's side and gives its answer.

    Raises, besides what a function raises: WireError for an argument that is no plain value or not
    of the function's types, in one line; then the kernel was not entered.
    """

    __slots__ = ("_cookies", "_records", "_send")

    def __init__(self, send: Callable[[bytes], bytes]) -> None:
        self._send = send
        self._cookies = Cookies()
        self._records: list[Functions] = [{}]
        """The functions of every record that was ever registered: like the code of a kext they
        stay until it is unloaded, because a late callback may still run one."""

    # -- calling the kernel ----------------------------------------------------------------

    def _call(self, name: str, *arguments: object) -> Plain:
        """Call a function; what it wrote is in the ``Out`` boxes, its result comes back."""
        signature = KPI[name]
        crossing = tuple(map(self._crossing, signature, arguments))
        check(name, signature, crossing)
        answer = answers.returned(self._send(pack(Call(name, crossing))))
        for at, value in answer.written:
            box = arguments[at]
            if isinstance(box, KernCtlReg):
                for attribute, written in zip(FIELDS, value, strict=True):
                    setattr(box, attribute, written)
            else:
                assert isinstance(box, Out)
                box.value = self._mbuf(value) if signature[at] == "q" else value
        return answer.value

    def _crossing(self, kind: str, argument: object) -> Plain:
        """The value that crosses for an argument."""
        match argument:
            case RemoteMbuf() if kind in "mp":
                return argument.id
            case int() if kind in "mp":
                return repr(argument)  # a number is no handle: let ``check`` refuse it
            case Out() if kind in "oq":
                return True
            case None if kind in "oq":
                return False
            case Out() if kind == "O":
                return (argument.value,)
            case bytearray() | memoryview() if kind == "b":
                return bytes(argument)
            case KernCtlReg() if kind == "R":
                values = tuple(getattr(argument, name) for name in FIELDS)
                return len(self._records) - 1, values, tuple(_functions(argument))
            case KevMsg() if kind == "e":
                numbers = (argument.vendor_code, argument.kev_class, argument.kev_subclass)
                return *numbers, argument.event_code, tuple(bytes(data) for data in argument.dv)
            case _:
                return argument

    def _mbuf(self, number: int | None) -> RemoteMbuf | None:
        return RemoteMbuf(number) if number is not None else None

    # -- kernel control --------------------------------------------------------------------

    def ctl_register(self, userkctl: KernCtlReg | None, kctlref: Out) -> int:
        """Register a control. The record's functions stay on this side."""
        self._records.append(_functions(userkctl))
        errno: int = self._call("ctl_register", userkctl, kctlref)
        if errno:
            self._records.pop()
        return errno

    def ctl_deregister(self, kctlref: int | None) -> int:
        """Remove a control."""
        errno: int = self._call("ctl_deregister", kctlref)
        return errno

    def ctl_enqueuedata(
        self, kctlref: int | None, unit: int, data: bytes, length: int, flags: int
    ) -> int:
        """Queue a copy of ``length`` bytes of ``data`` for the client of ``unit``."""
        errno: int = self._call("ctl_enqueuedata", kctlref, unit, data, length, flags)
        return errno

    def ctl_enqueuembuf(self, kctlref: int | None, unit: int, m: RemoteMbuf, flags: int) -> int:
        """Queue a packet."""
        errno: int = self._call("ctl_enqueuembuf", kctlref, unit, m, flags)
        return errno

    def ctl_enqueuembuf_list(
        self,
        kctlref: int | None,
        unit: int,
        m_list: RemoteMbuf | None,
        flags: int,
        m_remain: Out | None,
    ) -> int:
        """Queue a list of packets."""
        errno: int = self._call("ctl_enqueuembuf_list", kctlref, unit, m_list, flags, m_remain)
        return errno

    def ctl_getenqueuespace(self, kctlref: int | None, unit: int, space: Out | None) -> int:
        """``space`` gets the bytes that may still be queued."""
        errno: int = self._call("ctl_getenqueuespace", kctlref, unit, space)
        return errno

    def ctl_getenqueuepacketcount(self, kctlref: int | None, unit: int, pcnt: Out | None) -> int:
        """``pcnt`` gets the number of queued records."""
        errno: int = self._call("ctl_getenqueuepacketcount", kctlref, unit, pcnt)
        return errno

    def ctl_getenqueuereadable(self, kctlref: int | None, unit: int, difference: Out | None) -> int:
        """``difference`` gets the bytes missing until the client's socket is readable."""
        errno: int = self._call("ctl_getenqueuereadable", kctlref, unit, difference)
        return errno

    def ctl_id_by_name(self, name: str) -> int:
        """The id of the control of that name, 0 if there is none."""
        ident: int = self._call("ctl_id_by_name", name)
        return ident

    def ctl_name_by_id(self, ident: int, out_name: Out, maxsize: int) -> int:
        """``out_name`` gets the name of the first control of that id."""
        errno: int = self._call("ctl_name_by_id", ident, out_name, maxsize)
        return errno

    # -- kernel events ---------------------------------------------------------------------

    def kev_vendor_code_find(self, vendor_string: str, vendor_code: Out) -> int:
        """``vendor_code`` gets the code of a vendor string."""
        errno: int = self._call("kev_vendor_code_find", vendor_string, vendor_code)
        return errno

    def kev_msg_post(self, event_msg: KevMsg | None) -> int:
        """Post an event."""
        errno: int = self._call("kev_msg_post", event_msg)
        return errno

    # -- mbufs -----------------------------------------------------------------------------

    def mbuf_len(self, m: RemoteMbuf) -> int:
        """Bytes of data in this one mbuf."""
        length: int = self._call("mbuf_len", m)
        return length

    def mbuf_data(self, m: RemoteMbuf) -> bytes:
        """The data of this one mbuf."""
        data: bytes = self._call("mbuf_data", m)
        return data

    def mbuf_next(self, m: RemoteMbuf) -> RemoteMbuf | None:
        """The next mbuf of the chain."""
        return self._mbuf(self._call("mbuf_next", m))

    def mbuf_nextpkt(self, m: RemoteMbuf) -> RemoteMbuf | None:
        """The next packet of the list."""
        return self._mbuf(self._call("mbuf_nextpkt", m))

    def mbuf_pkthdr_len(self, m: RemoteMbuf) -> int:
        """Bytes of the whole packet."""
        length: int = self._call("mbuf_pkthdr_len", m)
        return length

    def mbuf_flags(self, m: RemoteMbuf) -> int:
        """The flags of this one mbuf."""
        flags: int = self._call("mbuf_flags", m)
        return flags

    def mbuf_copydata(self, m: RemoteMbuf, offset: int, length: int, out_data: Out) -> int:
        """``out_data`` gets ``length`` bytes of the chain from ``offset`` on."""
        errno: int = self._call("mbuf_copydata", m, offset, length, out_data)
        return errno

    def mbuf_allocpacket(self, how: int, packetlen: int, maxchunks: Out | None, m: Out) -> int:
        """``m`` gets a new packet with ``packetlen`` bytes of zeros."""
        errno: int = self._call("mbuf_allocpacket", how, packetlen, maxchunks, m)
        return errno

    def mbuf_copyback(self, m: RemoteMbuf, offset: int, length: int, data: bytes, how: int) -> int:
        """Overwrite ``length`` bytes of the chain from ``offset`` on."""
        errno: int = self._call("mbuf_copyback", m, offset, length, data, how)
        return errno

    def mbuf_setnextpkt(self, m: RemoteMbuf, nextpkt: RemoteMbuf | None) -> None:
        """Chain packets into a list."""
        self._call("mbuf_setnextpkt", m, nextpkt)

    def mbuf_free(self, m: RemoteMbuf) -> RemoteMbuf | None:
        """Free one mbuf; returns the next of its chain."""
        return self._mbuf(self._call("mbuf_free", m))

    def mbuf_freem(self, m: RemoteMbuf | None) -> None:
        """Free a chain."""
        self._call("mbuf_freem", m)

    def mbuf_freem_list(self, m: RemoteMbuf | None) -> int:
        """Free a list of packets; returns their number."""
        count: int = self._call("mbuf_freem_list", m)
        return count

    # -- the rest of a kext's world --------------------------------------------------------

    def wakeup(self, channel: str) -> None:
        """Wake all that sleep on ``channel``."""
        self._call("wakeup", channel)

    def msleep(self, channel: str, wmesg: str, ts: int | None = None) -> NoReturn:
        """Not over a link: raises NotImplementedError."""
        raise NotImplementedError(f"msleep({channel!r}, {wmesg!r}): a remote kext cannot sleep")

    def printf(self, text: str) -> None:
        """Write a line to the kernel's log."""
        self._call("printf", text)

    IOLog = printf

    # -- being called back -----------------------------------------------------------------

    def attach(self, functions: Functions) -> None:
        """The kext's own routines, ``start`` and ``stop``: record 0."""
        self._records[0] = functions

    def serve(self, message: bytes) -> bytes:
        """Run the function a message names; its answer as a message. Raises nothing."""
        try:
            callback = unpack(message)
            if not isinstance(callback, Callback):
                raise WireError(f"a {type(callback).__name__} where a Callback is due")
            signature = signature_of(CALLBACKS if callback.record else ROUTINES, callback.name)
            check(callback.name, signature, callback.arguments)
            function = self._function(callback)
        except WireError as error:
            return pack(Error("WireError", str(error)))
        arguments = tuple(map(self._argument, signature, callback.arguments))
        return self._run(function, callback.name, signature, arguments)

    def _function(self, callback: Callback) -> Function:
        records = self._records
        known = records[callback.record] if 0 <= callback.record < len(records) else {}
        if callback.name not in known:
            raise WireError(f"record {callback.record} has no {callback.name}")
        return known[callback.name]

    def _run(
        self, function: Function, name: str, signature: str, arguments: tuple[object, ...]
    ) -> bytes:
        """Call a function as the kernel would; its errno, what it wrote, or how it failed."""
        try:
            result = function(*arguments)
            if isinstance(result, GeneratorType):
                result.close()
                raise NotImplementedError(f"{name} is a generator: a remote kext cannot sleep")
            written = tuple(
                (at, self._written(kind, arguments[at]))
                for at, kind in enumerate(signature)
                if kind in "IUAB" and arguments[at] is not None
            )
            answer: Message = (
                CallbackReturn(result, written)
                if result is None or isinstance(result, int)
                else CallbackReturn(None, written, repr(result))
            )
            return pack(answer)
        except SimStop as stop:
            return pack(answers.stop_message(stop))
        except Exception as error:
            frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
            lines = traceback.format_exception(type(error), error, frames)
            return pack(Fault(type(error).__name__, str(error), "".join(lines)))

    def _argument(self, kind: str, value: Plain) -> object:
        """What a function gets for a value that crossed."""
        match kind:
            case "u":
                return self._cookies.cookie(value)
            case "U":
                return Out(self._cookies.cookie(value))
            case "I":
                return Out(value)
            case "m":
                return RemoteMbuf(value)
            case "A":
                sac = SockaddrCtl()
                for attribute, item in zip(ADDRESS, value, strict=True):
                    setattr(sac, attribute, item)
                return sac
            case "B" if value is not None:
                return bytearray(value)
            case _:
                return value

    def _written(self, kind: str, argument: object) -> Plain:
        """The value that crosses back for what a function may have written."""
        match argument:
            case Out():
                return self._cookies.crossing(argument.value) if kind == "U" else argument.value
            case SockaddrCtl():
                return tuple(getattr(argument, name) for name in ADDRESS)
            case _:
                return argument  # the bytearray


def _functions(reg: KernCtlReg | None) -> Functions:
    """The callbacks a record has."""
    if not isinstance(reg, KernCtlReg):
        return {}
    functions = {name: getattr(reg, f"ctl_{name}") for name in CALLBACKS}
    return {name: function for name, function in functions.items() if function is not None}
