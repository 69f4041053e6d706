"""The domains: kernel events, kernel controls and local sockets in one protocol switch.

Puts one kernel's BSD half together. Read beside it: ``bsd/kern/sys_domain.c``,
``bsd/kern/uipc_proto.c`` (``localsw``), ``bsd/kern/uipc_domain.c``.
"""

from __future__ import annotations

from kextlab.abi.constants import SOCK_DGRAM, SOCK_STREAM
from kextlab.bsd.kctl_usrreqs import KctlProto
from kextlab.bsd.kern_control import KernControl
from kextlab.bsd.kern_event import KernEvent
from kextlab.bsd.mbuf import MbufPool
from kextlab.bsd.release import Release
from kextlab.bsd.socket import Sockets
from kextlab.bsd.uipc_usrreq import UnixProto
from kextlab.sched.scheduler import Scheduler
from kextlab.trace.log import Record


class SystemDomain:
    """The BSD half of one kernel: mbufs, sockets; PF_SYSTEM's kernel events and kernel controls,
    AF_UNIX's streams and datagrams."""

    __slots__ = ("control", "events", "pool", "sockets")

    def __init__(self, release: Release, record: Record | None, sched: Scheduler) -> None:
        self.pool = MbufPool(record)
        self.sockets = Sockets(self.pool, release.dgram_control_counts_bytes, sched)
        self.events = KernEvent(self.sockets)
        self.control = KernControl(
            self.sockets, self.events, release.setup_first, release.list_send_checks
        )
        self.sockets.protocols += [
            self.events,
            KctlProto(self.control, SOCK_DGRAM),
            KctlProto(self.control, SOCK_STREAM),
            UnixProto(self.sockets, SOCK_STREAM),
            UnixProto(self.sockets, SOCK_DGRAM),
        ]
