"""The recorder's kext: callbacks that do what a recording says and log that they ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kextlab.abi.constants import M_EOR, flag_names, flag_value
from kextlab.abi.errno import name_of, number_of
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.scenario.recording import Step, expand
from kextlab.trace.codes import SIGNAL, WAKEUP
from kextlab.trace.log import Trace

Entry = dict[str, Any]
Behaviour = dict[str, Any]  # one callback's keys, as docs/recording-format.md lists them

CALLBACKS = (
    "connect",
    "disconnect",
    "send",
    "setopt",
    "getopt",
    "rcvd",
    "setup",
    "bind",
    "send_list",
)


def data_of(value: Any) -> bytes:
    """Recorded data as bytes."""
    return expand(value)


def error_of(value: int | str) -> int:
    """A recorded errno as a number."""
    return value if isinstance(value, int) else number_of(value)


def flags_of(step: dict[str, Any], key: str, family: str) -> int:
    """Recorded flags as a number: a list of names, or the number itself."""
    flags = step.get(key, 0)
    return flags if isinstance(flags, int) else flag_value(flags, family)


def merge(keys: Behaviour, changes: Behaviour) -> None:
    """Change a behaviour key by key; null takes a key away."""
    for key, value in changes.items():
        if value is None:
            keys.pop(key, None)
        else:
            keys[key] = value


def cookie(value: object) -> object:
    """A cookie as recordings write it: NULL is 0."""
    return 0 if value is None else value


class RecordedKext(Kext):
    """One kext for all controls of a scenario."""

    bundle_id = "recorder"

    def __init__(self) -> None:
        self.refs: dict[str, int] = {}
        self.behaviours: dict[str, dict[str, Behaviour]] = {}
        self.log: list[Entry] = []
        self.trace = Trace(False)
        self.read = 0

    # -- the log ---------------------------------------------------------------------------

    def begin(self, trace: Trace) -> None:
        """A step begins."""
        self.log = []
        self.trace = trace
        self.read = len(trace)

    def note(self, entry: Entry) -> None:
        """Log something, after the wakeups and signals that came before it."""
        self._drain()
        self.log.append(entry)

    def _drain(self) -> None:
        for code, *rest in self.trace.entries(self.read):
            if code == WAKEUP:
                self.log.append({"wakeup": rest[0], "fd": rest[1]})
            elif code == SIGNAL:
                self.log.append({"signal": rest[1]})
        self.read = len(self.trace)

    def finish(self, labels: dict[int, str]) -> list[Entry]:
        """The step's log, sockets named by ``labels``."""
        self._drain()
        for entry in self.log:
            if "wakeup" in entry:
                entry["fd"] = labels.get(entry["fd"], entry["fd"])
        return self.log

    # -- registration ----------------------------------------------------------------------

    def record(self, step: Step) -> KernCtlReg:
        """The registration record of a step."""
        label = step["ref"]
        callbacks: dict[str, Behaviour] = step.get("callbacks", {})
        reg = KernCtlReg(
            ctl_name=step["name"],
            ctl_flags=flags_of(step, "flags", "CTL_FLAG"),
            ctl_id=step.get("id", 0),
            ctl_unit=step.get("unit", 0),
            ctl_sendsize=step.get("sendsize", 0),
            ctl_recvsize=step.get("recvsize", 0),
        )
        behaviours: dict[str, Behaviour] = {name: {} for name in CALLBACKS if name in callbacks}
        for name, keys in behaviours.items():
            merge(keys, callbacks[name])
        for name in behaviours:
            setattr(reg, f"ctl_{name}", self._callback(label, name, behaviours[name]))
        self._pending = (label, behaviours)
        return reg

    def registered(self, label: str, ref: int) -> None:
        """The last record was accepted."""
        self.refs[label] = ref
        self.behaviours[label] = self._pending[1]

    def behave(self, label: str, changes: dict[str, Behaviour]) -> None:
        """Change what callbacks do; an absent callback stays absent."""
        for name, keys in changes.items():
            if name in self.behaviours.get(label, {}):
                merge(self.behaviours[label][name], keys)

    def packet(self, data: bytes) -> Mbuf:
        """A packet of the kext's own holding ``data``."""
        m = Out()
        self.kpi.mbuf_allocpacket(0, len(data), None, m)
        packet: Mbuf = m.value
        self.kpi.mbuf_copyback(packet, 0, len(data), data, 0)
        return packet

    def packets(self, m: Mbuf | None) -> Iterator[Mbuf]:
        """The packets of a list."""
        while m is not None:
            yield m
            m = self.kpi.mbuf_nextpkt(m)

    # -- callbacks -------------------------------------------------------------------------

    def _callback(self, label: str, name: str, keys: Behaviour) -> Callable[..., int]:
        method: Callable[..., int] = getattr(self, "on_" + name)

        def callback(*args: Any) -> int:
            return method(label, keys, *args)

        return callback

    def _finish(self, label: str, keys: Behaviour, unit: int, echo: bytes | None = None) -> int:
        """What every callback may do before it returns: enqueue, deregister, an errno."""
        ref = self.refs.get(label, 0)
        flags = flags_of(keys, "enqflags", "CTL_DATA")
        errno = error_of(keys.get("errno", 0))
        enqueues: list[bytes] = []
        if echo is not None and keys.get("echo") and errno == 0:
            enqueues.append(echo)
        if keys.get("enqueue") is not None:
            enqueues.append(data_of(keys["enqueue"]))
        for data in enqueues:
            result = self.kpi.ctl_enqueuedata(ref, unit, data, len(data), flags)
            self._called("ctl_enqueuedata", label, result, unit=unit, len=len(data))
        if keys.get("deregister"):
            self._called("ctl_deregister", label, self.kpi.ctl_deregister(ref))
        return errno

    def _called(self, call: str, label: str, errno: int, **more: int) -> None:
        result = name_of(errno) if errno else 0
        self.note({"call": call, "ref": label, **more, "errno": result})

    def _address(
        self, name: str, label: str, keys: Behaviour, sac: SockaddrCtl, unitinfo: Out
    ) -> int:
        self.note(
            {
                "cb": name,
                "ref": label,
                "id": sac.sc_id,
                "unit": sac.sc_unit,
                "unitinfo": cookie(unitinfo.value),
            }
        )
        if "unitinfo" in keys:
            unitinfo.value = keys["unitinfo"]
        if "unit" in keys:
            sac.sc_unit = keys["unit"]
        return self._finish(label, keys, sac.sc_unit)

    def on_connect(
        self, label: str, keys: Behaviour, ref: int, sac: SockaddrCtl, unitinfo: Out
    ) -> int:
        """ctl_connect."""
        return self._address("connect", label, keys, sac, unitinfo)

    def on_bind(
        self, label: str, keys: Behaviour, ref: int, sac: SockaddrCtl, unitinfo: Out
    ) -> int:
        """ctl_bind."""
        return self._address("bind", label, keys, sac, unitinfo)

    def on_setup(self, label: str, keys: Behaviour, unit: Out, unitinfo: Out) -> int:
        """ctl_setup."""
        self._note("setup", label, unit.value, unitinfo.value)
        if "unit" in keys:
            unit.value = keys["unit"]
        if "unitinfo" in keys:
            unitinfo.value = keys["unitinfo"]
        return self._finish(label, keys, unit.value)

    def _note(self, name: str, label: str, unit: int, unitinfo: object, **more: object) -> None:
        entry = {"cb": name, "ref": label, "unit": unit, "unitinfo": cookie(unitinfo)}
        self.note(entry | more)

    def on_disconnect(
        self, label: str, keys: Behaviour, ref: int, unit: int, unitinfo: object
    ) -> int:
        """ctl_disconnect."""
        self._note("disconnect", label, unit, unitinfo)
        return self._finish(label, keys, unit)

    def on_send(
        self,
        label: str,
        keys: Behaviour,
        ref: int,
        unit: int,
        unitinfo: object,
        m: Mbuf,
        flags: int,
    ) -> int:
        """ctl_send."""
        data = self._bytes(m)
        self._note(
            "send",
            label,
            unit,
            unitinfo,
            data=data,
            pkthdr_len=self.kpi.mbuf_pkthdr_len(m),
            eor=any(self.kpi.mbuf_flags(link) & M_EOR for link in self._chain(m)),
            flags=flag_names(flags, "PRUS"),
        )
        self.kpi.mbuf_freem(m)
        return self._finish(label, keys, unit, echo=data)

    def on_send_list(
        self,
        label: str,
        keys: Behaviour,
        ref: int,
        unit: int,
        unitinfo: object,
        m: Mbuf,
        flags: int,
    ) -> int:
        """ctl_send_list."""
        datas = [self._bytes(packet) for packet in self.packets(m)]
        self._note("send_list", label, unit, unitinfo, datas=datas, flags=flag_names(flags, "PRUS"))
        self.kpi.mbuf_freem_list(m)
        return self._finish(label, keys, unit)

    def _chain(self, m: Mbuf | None) -> Iterator[Mbuf]:
        while m is not None:
            yield m
            m = self.kpi.mbuf_next(m)

    def _bytes(self, m: Mbuf) -> bytes:
        return b"".join(self.kpi.mbuf_data(link) for link in self._chain(m))

    def on_setopt(
        self,
        label: str,
        keys: Behaviour,
        ref: int,
        unit: int,
        unitinfo: object,
        opt: int,
        data: bytes | None,
        size: int,
    ) -> int:
        """ctl_setopt."""
        self._note("setopt", label, unit, unitinfo, opt=opt, len=size, data=data)
        return self._finish(label, keys, unit)

    def on_getopt(
        self,
        label: str,
        keys: Behaviour,
        ref: int,
        unit: int,
        unitinfo: object,
        opt: int,
        data: bytearray | None,
        length: Out,
    ) -> int:
        """ctl_getopt."""
        size = length.value
        seen = bytes(data) if data is not None else None
        self._note("getopt", label, unit, unitinfo, opt=opt, len=size, data=seen)
        if "data" in keys:
            answer = data_of(keys["data"])
            if data is not None:
                answer = answer[:size]
                data[: len(answer)] = answer
            length.value = len(answer)
        if "claim" in keys:
            length.value = keys["claim"]
        return self._finish(label, keys, unit)

    def on_rcvd(
        self, label: str, keys: Behaviour, ref: int, unit: int, unitinfo: object, flags: int
    ) -> int:
        """ctl_rcvd."""
        self._note("rcvd", label, unit, unitinfo, flags=flag_names(flags, "MSG"))
        self._finish(label, keys, unit)
        return 0
