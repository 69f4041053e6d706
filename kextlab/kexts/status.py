"""The status kext: a control that answers every message with a table the kernel keeps.

What a daemon reads for many: only root may connect, unless ``privileged`` is false, and every
client has a record of its own, found through ``unitinfo``. Read beside it:
``bsd/sys/kern_control.h`` (CTL_FLAG_PRIVILEGED).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kextlab.abi.constants import CTL_DATA_EOR, CTL_FLAG_PRIVILEGED
from kextlab.abi.errno import EINVAL
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out

TABLE_SIZE: Final = 1_000


@dataclass(slots=True)
class Reader:
    """What the kext keeps of one client: its unit, and how often it read."""

    unit: int
    reads: int = 0


class StatusKext(Kext):
    """Registers ``org.kextlab.status``.

    Args:
        privileged: whether only root may connect.

    Attributes:
        readers: a record for every connected unit.
        reads: how often the table was read, by anybody.
    """

    bundle_id = "org.kextlab.status"
    control_name = "org.kextlab.status"

    def __init__(self, privileged: bool = True) -> None:
        self.flags = CTL_FLAG_PRIVILEGED if privileged else 0
        self.ctlref = Out()
        self.readers: dict[int, Reader] = {}
        self.reads = 0

    @property
    def table(self) -> bytes:
        """The table as it is now, 1,000 bytes that begin with the number of reads."""
        return self.reads.to_bytes(4, "little") + bytes(TABLE_SIZE - 4)

    def start(self) -> int:
        """Register the control."""
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=self.flags,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def stop(self) -> int:
        """Deregister the control; EBUSY while clients are connected."""
        return self.kpi.ctl_deregister(self.ctlref.value)

    def connect(self, kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        """ctl_connect: a record for this unit."""
        unitinfo.value = self.readers[sac.sc_unit] = Reader(sac.sc_unit)
        return 0

    def disconnect(self, kctlref: int, unit: int, unitinfo: Reader | None) -> int:
        """ctl_disconnect: forget this unit, and only this one."""
        if unitinfo is None or self.readers.get(unit) is not unitinfo:
            return EINVAL
        del self.readers[unit]
        return 0

    def send(self, kctlref: int, unit: int, unitinfo: Reader, m: Mbuf, flags: int) -> int:
        """ctl_send: whatever was asked, the table is the answer."""
        self.kpi.mbuf_freem(m)
        table = self.table
        error = self.kpi.ctl_enqueuedata(kctlref, unit, table, len(table), CTL_DATA_EOR)
        if error == 0:
            unitinfo.reads += 1
            self.reads += 1
        return error
