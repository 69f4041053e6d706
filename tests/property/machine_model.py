"""The naive model that the state machine compares the kernel with, and a kext that obeys it.

XNU's rules are written down here a second time, as plainly as can be: lists that are walked,
records as byte strings, no counters.
"""

from dataclasses import dataclass, field

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out


@dataclass(eq=False)
class Control:
    kext: "ScriptedKext"
    ref: int
    id: int
    reg: KernCtlReg
    clients: list["Sock"] = field(default_factory=list)

    def has(self, flag: int) -> bool:
        return bool(self.reg.ctl_flags & flag)

    def walk(self) -> tuple[int, int]:
        """XNU's search for a free unit: (errno, unit), and it does not look whether it is taken."""
        unit = 1
        for client in self.clients:
            if client.unit > unit:
                break
            unit = (client.unit + 1) & 0xFFFFFFFF
            if unit == c.CTL_MAXUNIT:
                return e.EBUSY, 0
        return 0, unit

    def place(self, unit: int) -> int:
        """Where the walk that found ``unit`` stopped."""
        at = 1
        for n, client in enumerate(self.clients):
            if client.unit > at:
                return n
            at = (client.unit + 1) & 0xFFFFFFFF
        return len(self.clients)

    def client(self, unit: int) -> "Sock | None":
        return next((client for client in self.clients if client.unit == unit), None)


@dataclass
class Record:
    data: bytes
    eor: bool


@dataclass(eq=False)
class Sock:
    pid: int
    fds: list[int]
    number: int
    stream: bool
    control: Control | None = None
    unit: int = 0
    connected: bool = False
    cantrcv: bool = False
    cantsend: bool = False
    dropping: bool = False
    donttrunc: bool = False
    shrunk: bool = False
    records: list[Record] = field(default_factory=list)
    accepted: int = 0
    read: int = 0
    discarded: int = 0

    @property
    def queued(self) -> int:
        return sum(len(record.data) for record in self.records)

    def append(self, data: bytes, eor: bool, record: bool = False) -> None:
        self.accepted += len(data)
        if self.records and not self.records[-1].eor and not record:
            self.records[-1].data += data
            self.records[-1].eor = eor
        else:
            self.records.append(Record(data, eor))

    def discard(self) -> None:
        self.discarded += self.queued
        self.records.clear()


class ScriptedKext(Kext):
    """Its callbacks do what the rule that provokes them has put down."""

    def __init__(self) -> None:
        self.controls: list[Control] = []
        self.held: list[Mbuf] = []
        self.got = b""
        self.mode = "free"
        self.flags = 0
        self.echoed: list[tuple[int, bytes]] = []
        self.errno = self.setup_errno = 0
        self.unit: int | None = None
        self.setup_unit: int | None = None

    def packet(self, data: bytes) -> Mbuf:
        """A packet of its own."""
        m = Out()
        assert self.kpi.mbuf_allocpacket(0, len(data), None, m) == 0
        assert self.kpi.mbuf_copyback(m.value, 0, len(data), data, 0) == 0
        packet: Mbuf = m.value
        return packet

    def stop(self) -> int:
        while self.controls:
            error = self.kpi.ctl_deregister(self.controls[0].ref)
            if error:
                return error
            self.controls.pop(0)
        return 0

    def on_address(self, ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        if self.unit is not None:
            sac.sc_unit = self.unit
        unitinfo.value = 7
        return self.errno

    def on_setup(self, unit: Out, unitinfo: Out) -> int:
        if self.setup_unit is not None:
            unit.value = self.setup_unit
        return self.setup_errno

    def on_disconnect(self, ref: int, unit: int, unitinfo: object) -> int:
        return e.EBUSY  # nobody listens

    def on_send(self, ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        data = Out()
        assert self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data) == 0
        self.got += data.value
        if self.mode == "echo" and not self.errno:
            error = self.kpi.ctl_enqueuembuf(ref, unit, m, self.flags)
            self.echoed.append((error, data.value))
            if not error:
                return 0
        if self.mode == "hold":
            self.held.append(m)
        else:
            self.kpi.mbuf_freem(m)
        return self.errno

    def on_rcvd(self, ref: int, unit: int, unitinfo: object, flags: int) -> None:
        return None


class FirstKext(ScriptedKext):
    bundle_id = "first"


class SecondKext(ScriptedKext):
    bundle_id = "second"
