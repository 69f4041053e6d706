"""Kernel events: broadcast messages from the kernel and its extensions to event sockets.

Models the event protocol (SYSPROTO_EVENT), posting, vendor codes and filters. Read beside it:
``bsd/kern/kern_event.c`` (from "socket interface" on), ``bsd/net/net_str_id.c``.

What surprises: a new socket hears nothing until it sets a filter [ev-vendor-ffffffff]; an event
that is too large is refused and uses no id [ev-max-size]; an event that does not fit a socket's
buffer is lost for that socket and the poster sees success [ev-overflow]. Without a recording:
running out of mbufs ends the round, so that the sockets behind miss the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kextlab.abi.constants import (
    FIRST_NET_STR_ID,
    KEV_ANY_CLASS,
    KEV_ANY_SUBCLASS,
    KEV_ANY_VENDOR,
    KEV_RECVSPACE,
    KEV_SNDSPACE,
    KEV_VENDOR_CODE_MAX_STR_LEN,
    MLEN,
    N_KEV_VECTORS,
    PR_ATOMIC,
    SOCK_RAW,
    SYSPROTO_EVENT,
)
from kextlab.abi.errno import EINVAL, EMSGSIZE, ENOENT, ENOMEM, ENOTSUP
from kextlab.abi.ioctl import SIOCGKEVFILT, SIOCGKEVID, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.structs import KernEventMsg, KevRequest, KevVendorCode
from kextlab.bsd.mbuf import KERNEL, Mbuf
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Proc, Protosw, Socket
from kextlab.sched.drive import Routine, answered
from kextlab.trace.codes import DELETE, SET, Entry, group, new

NO_VENDOR = 0xFFFFFFFF
"""The vendor filter of a new event socket, which no registered vendor has."""


@dataclass(slots=True)
class KevMsg:
    """``struct kev_msg``: what a kernel extension hands to ``kev_msg_post``.

    ``dv`` is up to five data vectors; the first empty one ends the list.
    """

    vendor_code: int
    kev_class: int
    kev_subclass: int
    event_code: int
    dv: Sequence[bytes] = ()


def wants(mine: Sequence[int], event: Sequence[int]) -> bool:
    """Whether a filter lets an event through; both are (vendor, class, subclass).

    A vendor filter of any makes class and subclass meaningless, a class filter of any the
    subclass.
    """
    if mine[0] == KEV_ANY_VENDOR:
        return True
    if mine[0] != event[0]:
        return False
    if mine[1] == KEV_ANY_CLASS:
        return True
    return mine[1] == event[1] and mine[2] in (KEV_ANY_SUBCLASS, event[2])


class EventPcb:
    """``struct kern_event_pcb``: an event socket and its filter."""

    __slots__ = ("kev_class", "kev_subclass", "so", "vendor_code")

    def __init__(self, so: Socket) -> None:
        self.so = so
        self.vendor_code = NO_VENDOR
        self.kev_class = 0
        self.kev_subclass = 0

    def wants(self, vendor: int, kev_class: int, subclass: int) -> bool:
        """Whether the filter lets an event through."""
        mine = (self.vendor_code, self.kev_class, self.kev_subclass)
        return wants(mine, (vendor, kev_class, subclass))

    def state(self) -> dict[str, object]:
        """The filter as plain values, as the trace adds them up."""
        return {
            "vendor_code": self.vendor_code,
            "kev_class": self.kev_class,
            "kev_subclass": self.kev_subclass,
        }


KEVTSTAT = ("pcbcount", "gencnt", "badvendor", "toobig", "nomem", "fullsock", "posted")
"""The counters of net.systm.kevt.stats, in order."""


class KernEvent(Protosw):
    """The kernel event subsystem of one kernel, and its protocol."""

    pr_protocol = SYSPROTO_EVENT

    def __init__(self, sockets: Sockets) -> None:
        super().__init__(SOCK_RAW, PR_ATOMIC, has_sosend=False)
        self.sockets = sockets
        self.rec = sockets.rec
        self.stat = dict.fromkeys(KEVTSTAT, 0)
        self.last_event_id = 0
        self.pcbs: list[EventPcb] = []
        """Event sockets, the newest first: the order in which an event reaches them."""
        self.vendors: dict[str, int] = {}
        """Vendor string to code, kept until reboot."""
        if self.rec is not None:
            self.rec(new("kern_event", self.state()))
            self.rec(new("kevtstat", dict(self.stat)))

    def state(self) -> dict[str, object]:
        """The subsystem's own fields as plain values, as the trace adds them up."""
        return {
            "last_event_id": self.last_event_id,
            "sockets": tuple(pcb.so.number for pcb in self.pcbs),
            "vendors": tuple(self.vendors),
        }

    def _count(self, counter: str, by: int = 1) -> None:
        self.stat[counter] += by
        if self.rec is not None:
            self.rec((SET, "kevtstat", counter, self.stat[counter]))

    def _set(self, field: str, *also: Entry) -> None:
        if self.rec is not None:
            self.rec(group((SET, "kern_event", field, self.state()[field]), *also))

    # -- the protocol ----------------------------------------------------------------------

    def pru_attach(self, so: Socket, p: Proc) -> None:
        """A new event socket: 4 KiB to send, 32 KiB to receive, a filter that matches nothing."""
        self.sockets.soreserve(so, KEV_SNDSPACE, KEV_RECVSPACE)
        pcb = EventPcb(so)
        so.so_pcb = pcb
        self.pcbs.insert(0, pcb)
        self._set("sockets", new(f"ev_pcb:{so.number}", pcb.state()))
        self._count("pcbcount")
        self._count("gencnt")

    def pru_detach(self, so: Socket) -> Routine[int]:
        """Closing begins: both directions are shut."""
        self.sockets.soisdisconnected(so)
        return answered(0)

    def sofreelastref(self, so: Socket) -> None:
        """Closing ends: the socket hears no more events."""
        self.pcbs = [pcb for pcb in self.pcbs if pcb.so is not so]
        so.so_pcb = None
        self._set("sockets", (DELETE, f"ev_pcb:{so.number}"))
        self._count("pcbcount", -1)
        self._count("gencnt")

    def pru_control(self, so: Socket, cmd: int, data: bytes) -> tuple[int, bytes]:
        """The four event ioctls.

        SIOCGKEVID answers the id of the last event posted by anyone; SIOCSKEVFILT and
        SIOCGKEVFILT set and get the filter; SIOCGKEVVENDOR looks a vendor string up. Errors:
        ENOENT (no such vendor string), ENOTSUP (any other request).
        """
        pcb = so.so_pcb
        assert isinstance(pcb, EventPcb)
        if cmd == SIOCGKEVID:
            return 0, self.last_event_id.to_bytes(4, "little")
        if cmd == SIOCSKEVFILT:
            request = KevRequest.unpack(data)
            for field in ("vendor_code", "kev_class", "kev_subclass"):
                setattr(pcb, field, getattr(request, field))
                if self.rec is not None:
                    self.rec((SET, f"ev_pcb:{so.number}", field, getattr(pcb, field)))
            return 0, data
        if cmd == SIOCGKEVFILT:
            return 0, KevRequest(pcb.vendor_code, pcb.kev_class, pcb.kev_subclass).pack()
        if cmd == SIOCGKEVVENDOR:
            asked = KevVendorCode.unpack(data[:203] + b"\0")  # the kernel ends the string itself
            code = self.vendors.get(asked.name)
            if code is None:
                return ENOENT, data
            return 0, KevVendorCode(code, asked.vendor_string).pack()
        return ENOTSUP, data

    def waker(self, so: Socket, wmesg: str) -> str:
        """The next event it listens for."""
        return "whoever posts an event its filter lets through"

    # -- posting ---------------------------------------------------------------------------

    def kev_vendor_code_find(self, string: str) -> tuple[int, int]:
        """(0, the vendor code of ``string``), a new one if it has none yet.

        Errors: EINVAL (200 bytes or more).
        """
        if len(string.encode()) >= KEV_VENDOR_CODE_MAX_STR_LEN:
            return EINVAL, 0
        code = self.vendors.get(string)
        if code is None:
            code = FIRST_NET_STR_ID + len(self.vendors)
            self.vendors[string] = code
            self._set("vendors")
        return 0, code

    def kev_msg_post(self, msg: KevMsg | None) -> int:
        """Post an event from a kernel extension.

        Errors: EINVAL (no message, or a vendor code nobody registered; Apple's own is refused),
        EMSGSIZE (see ``kev_post_msg``).
        """
        if msg is None:
            return EINVAL
        last = FIRST_NET_STR_ID + len(self.vendors) - 1
        if not FIRST_NET_STR_ID <= msg.vendor_code <= last:
            self._count("badvendor")
            return EINVAL
        return self.kev_post_msg(msg)

    def kev_post_msg(self, msg: KevMsg) -> int:
        """Post an event from the kernel itself: give it the next id and queue a copy at every
        event socket whose filter wants it.

        Errors: EMSGSIZE (header and data exceed one small mbuf; nobody gets anything and no id is
        used), ENOMEM (no mbuf is left, for the event or for the next socket's copy; an id is used
        in the latter case only). A socket without space loses the event; the poster sees 0 all the
        same.
        """
        body = b""
        for vector in msg.dv[:N_KEV_VECTORS]:
            if not vector:
                break
            body += bytes(vector)
        if KernEventMsg.SIZE + len(body) > MLEN:
            self._count("toobig")
            return EMSGSIZE
        pool = self.sockets.pool
        if pool.limit is not None and pool.short(1):
            self._count("nomem")
            return ENOMEM
        self.last_event_id = (self.last_event_id + 1) & 0xFFFFFFFF
        self._set("last_event_id")
        event = KernEventMsg(
            msg.vendor_code,
            msg.kev_class,
            msg.kev_subclass,
            self.last_event_id,
            msg.event_code,
            body,
        ).pack()
        for pcb in self.pcbs:
            if not pcb.wants(msg.vendor_code, msg.kev_class, msg.kev_subclass):
                continue
            if pool.limit is not None and pool.short(2):  # the event itself is one
                self._count("nomem")
                return ENOMEM
            m = Mbuf(pool, event, KERNEL)
            if pcb.so.so_rcv.sbappendrecord(m):
                pcb.so.sorwakeup()
                self._count("posted")
            else:
                pool.freem(m)
                self._count("fullsock")
        return 0
