"""The echo kext: a datagram control that sends every message back to its sender.

The smallest useful kernel control: connect keeps one record for each client, send copies the
message out of its mbufs, frees them and queues the copy for the same unit, disconnect forgets the
client. Read beside it: ``bsd/net/kctl_test.c``, the echo control XNU tests itself with.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from kextlab.abi.constants import CTL_DATA_EOR
from kextlab.abi.errno import EINVAL
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out


@dataclass(slots=True)
class Client:
    """What the kext keeps of one client: its unit, messages echoed and lost."""

    unit: int
    echoed: int = 0
    lost: int = 0


class EchoKext(Kext):
    """Registers ``org.kextlab.echo`` and echoes datagrams.

    A message that does not fit the client's receive buffer is lost and counted: the errno of
    ``ctl_enqueuedata`` is looked at, and send answers it to the client.
    """

    bundle_id = "org.kextlab.echo"
    libraries = MappingProxyType({"com.apple.kpi.bsd": "8.0.0", "com.apple.kpi.libkern": "8.0.0"})
    control_name = "org.kextlab.echo"

    def __init__(self) -> None:
        self.ctlref = Out()
        self.clients: dict[int, Client] = {}

    def start(self) -> int:
        """Register the control."""
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def stop(self) -> int:
        """Deregister the control; EBUSY, and so no unload, while clients are connected."""
        return self.kpi.ctl_deregister(self.ctlref.value)

    def connect(self, kctlref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        """ctl_connect: one record for each client, handed back to us as ``unitinfo``."""
        client = Client(sac.sc_unit)
        self.clients[sac.sc_unit] = client
        unitinfo.value = client
        return 0

    def disconnect(self, kctlref: int, unit: int, unitinfo: Client | None) -> int:
        """ctl_disconnect: forget this client, and only this one."""
        if unitinfo is None or self.clients.get(unit) is not unitinfo:
            return EINVAL
        del self.clients[unit]
        return 0

    def send(self, kctlref: int, unit: int, unitinfo: Client, m: Mbuf, flags: int) -> int:
        """ctl_send: copy the message out, free its mbufs, queue the copy for the sender."""
        kpi = self.kpi
        length = kpi.mbuf_pkthdr_len(m)
        data = Out()
        error = kpi.mbuf_copydata(m, 0, length, data)
        kpi.mbuf_freem(m)
        if error == 0:
            error = kpi.ctl_enqueuedata(kctlref, unit, data.value, length, CTL_DATA_EOR)
        if error == 0:
            unitinfo.echoed += 1
        else:
            unitinfo.lost += 1
        return error
