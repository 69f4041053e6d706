"""The KPI gate: the kernel functions a kext may call, with C's names and argument lists.

``Kpi`` is one kext's view. Every function returns an errno int; results go into ``Out`` boxes
where C has out-pointers, and into the struct passed where C writes there. Constants and structs
come from ``kextlab.abi``, ``KernCtlReg``, ``KevMsg`` and ``Out`` from here. Read beside it:
``bsd/sys/kern_control.h``, ``bsd/sys/kern_event.h``, ``bsd/sys/kpi_mbuf.h``.

What goes through the gate are plain values and two kinds of handles: control references (ints) and
mbufs (which a remote kext would hold by number). ``kextlab.remote.loopback`` proves it.

A panic or deadlock inside a call leaves it as an exception, which the kext must let pass; a kext
that swallows it does not save the machine.
"""

from __future__ import annotations

from typing import Any

from kextlab.abi.errno import EINVAL, ENOBUFS, ENOMEM
from kextlab.bsd import kern_control_kpi as ctl
from kextlab.bsd.kctl import Callback, KernCtlReg, Out, Text
from kextlab.bsd.kern_event import KevMsg
from kextlab.bsd.mbuf import Mbuf, m_chain, m_copydata, m_length, m_packets
from kextlab.kernel.kpi_arguments import check_message, check_record, wrong
from kextlab.kernel.system import System
from kextlab.sched.stop import PAGE_FAULT, KernelPanic, SimStop, Sleep
from kextlab.trace.codes import KPI, MBUF_SET, RETURN

__all__ = ["Callback", "KernCtlReg", "KevMsg", "Kpi", "Mbuf", "Out"]


class Kpi:
    """The kernel as one kext sees it."""

    __slots__ = ("_control", "_events", "_name", "_owner", "_pool", "_rec", "_system", "_text")

    def __init__(self, system: System, text: Text) -> None:
        self._system = system
        self._text = text
        self._name = text.name
        self._owner = text.owner
        self._control = system.domain.control
        self._events = system.domain.events
        self._pool = system.domain.pool
        self._rec = system.rec

    # -- the frame around every call --------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Kpi of {self._name}, {self.state}>"

    @property
    def state(self) -> str:
        """Whether its kext is "loaded", "unloaded" or of a boot that is "over"."""
        if self._system.over:
            return "over"
        return "loaded" if self._text.mapped else "unloaded"

    def _check(self) -> None:
        """Raise why this kext cannot call: the boot ended, it panicked, the kext was unloaded."""
        self._system.alive(f"kext {self._name}")
        if not self._text.mapped:
            raise ProcessLookupError(f"kext {self._name} is no longer loaded")
        self._system.outside()

    def _enter(self, name: str, *args: object) -> None:
        self._check()
        if self._rec is not None:
            self._rec((KPI, self._name, name, len(args), *args))

    def _leave(self, errno: int, value: object = None) -> int:
        if self._rec is not None:
            self._rec((RETURN, errno, value))
        return errno

    def _stop(self, stop: SimStop) -> SimStop:
        """Remember what ended the call, so that the kernel stops even if the kext goes on."""
        self._control.stopped = stop
        self._system.stop(stop)
        return stop

    # -- kernel control --------------------------------------------------------------------

    def ctl_register(self, userkctl: KernCtlReg | None, kctlref: Out) -> int:
        """Register a control; ``kctlref`` gets its reference.

        Writes ``ctl_id`` of a dynamic control and default sizes back into the record. Errors:
        EINVAL (no record, no ``ctl_connect``, a name empty or over 95 bytes), EEXIST (the name of
        a dynamic control, or the id and unit of a static one, is taken).
        """
        if userkctl is not None:
            check_record(userkctl)
        name = userkctl.ctl_name if userkctl is not None else None
        self._enter("ctl_register", name)
        try:
            errno, ref = ctl.ctl_register(self._control, userkctl, self._text)
        except SimStop as stop:
            raise self._stop(stop) from None
        if not errno:
            kctlref.value = ref
        return self._leave(errno, ref)

    def ctl_deregister(self, kctlref: int | None) -> int:
        """Remove a control. Errors: EINVAL (bad reference), EBUSY (it has clients).

        Raises:
            KernelPanic: the reference is stale and its slot empty, as in a second deregister.
        """
        self._enter("ctl_deregister", kctlref)
        try:
            return self._leave(ctl.ctl_deregister(self._control, kctlref or 0))
        except SimStop as stop:
            raise self._stop(stop) from None

    def ctl_enqueuedata(
        self, kctlref: int | None, unit: int, data: bytes, length: int, flags: int
    ) -> int:
        """Queue a copy of ``length`` bytes of ``data`` for the client of ``unit``.

        Flags: CTL_DATA_EOR ends the record, CTL_DATA_NOWAKEUP wakes nobody, CTL_DATA_CRIT may use
        the reserve of a CTL_FLAG_REG_CRIT control. Errors: EINVAL (bad reference, or nobody has
        that unit), ENOBUFS (no space for all of it).

        Raises:
            ValueError: ``length`` is more than ``data`` holds (C would read past its end).
            TypeError: ``data`` is not bytes, a bytearray or a memoryview.
        """
        if data.__class__ is not bytes or length != len(data):
            data = self._cut("ctl_enqueuedata", data, length)
        system = self._system
        rec = self._rec
        if system.closed or not self._text.mapped:
            self._check()
        if rec is not None:
            rec((KPI, self._name, "ctl_enqueuedata", 5, kctlref, unit, data, length, flags))
        try:
            errno = ctl.ctl_enqueuedata(self._control, kctlref or 0, unit, data, flags)
        except SimStop as stop:
            raise self._stop(stop) from None
        if rec is not None:
            rec((RETURN, errno, None))
        return errno

    @staticmethod
    def _cut(call: str, data: bytes | bytearray | memoryview, length: int) -> bytes:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(wrong(f"{call}: data", data, "bytes"))
        if not isinstance(length, int):
            raise TypeError(wrong(f"{call}: length", length, "an int"))
        data = bytes(data)  # a memoryview counts items, which may be wider
        if not 0 <= length <= len(data):
            raise ValueError(f"length {length} is outside the data, which has {len(data)} bytes")
        return data[:length]

    def ctl_enqueuembuf(self, kctlref: int | None, unit: int, m: Mbuf, flags: int) -> int:
        """Queue a packet. The kernel owns it on success, the kext still does on an error.
        Errors: as ``ctl_enqueuedata``. Panics for an mbuf the kext does not own."""
        self._own_packet("ctl_enqueuembuf", m)
        self._enter("ctl_enqueuembuf", kctlref, unit, m.id, flags)
        try:
            return self._leave(ctl.ctl_enqueuembuf(self._control, kctlref or 0, unit, m, flags))
        except SimStop as stop:
            raise self._stop(stop) from None

    def ctl_enqueuembuf_list(
        self, kctlref: int | None, unit: int, m_list: Mbuf | None, flags: int, m_remain: Out | None
    ) -> int:
        """Queue a list of packets, each a record, as far as they fit; None is an empty list.

        ``m_remain`` gets what did not fit; with ``None`` that is freed. Errors: EINVAL (as above,
        or CTL_DATA_EOR), EOPNOTSUPP (a stream control), ENOBUFS (not all fitted).
        """
        if m_list is not None:
            self._own_list("ctl_enqueuembuf_list", m_list)
        first = m_list.id if m_list is not None else None
        self._enter("ctl_enqueuembuf_list", kctlref, unit, first, flags)
        try:
            errno, rest = ctl.ctl_enqueuembuf_list(
                self._control, kctlref or 0, unit, m_list, flags, m_remain is not None
            )
        except SimStop as stop:
            raise self._stop(stop) from None
        if m_remain is not None:
            m_remain.value = rest
        return self._leave(errno, rest.id if rest is not None else None)

    def ctl_getenqueuespace(self, kctlref: int | None, unit: int, space: Out | None) -> int:
        """``space`` gets the bytes that may still be queued. Errors: EINVAL (bad reference, nobody
        has that unit, or no ``space``)."""
        return self._ask("ctl_getenqueuespace", ctl.ctl_getenqueuespace, kctlref, unit, space)

    def ctl_getenqueuepacketcount(self, kctlref: int | None, unit: int, pcnt: Out | None) -> int:
        """``pcnt`` gets the number of queued records. Errors: as ``ctl_getenqueuespace``."""
        return self._ask(
            "ctl_getenqueuepacketcount", ctl.ctl_getenqueuepacketcount, kctlref, unit, pcnt
        )

    def ctl_getenqueuereadable(self, kctlref: int | None, unit: int, difference: Out | None) -> int:
        """``difference`` gets the bytes missing until the client's socket is readable. Errors: as
        ``ctl_getenqueuespace``."""
        return self._ask(
            "ctl_getenqueuereadable", ctl.ctl_getenqueuereadable, kctlref, unit, difference
        )

    def _ask(
        self,
        name: str,
        function: Any,  # one of the three above, all (control, ref, unit) -> (errno, number)
        kctlref: int | None,
        unit: int,
        out: Out | None,
    ) -> int:
        self._enter(name, kctlref, unit)
        if out is None:
            return self._leave(EINVAL)
        try:
            errno, value = function(self._control, kctlref or 0, unit)
        except SimStop as stop:
            raise self._stop(stop) from None
        if not errno:
            out.value = value
        return self._leave(errno, value)

    def ctl_id_by_name(self, name: str) -> int:
        """The id of the control of that name, 0 if there is none."""
        self._enter("ctl_id_by_name", name)
        try:
            ident = ctl.ctl_id_by_name(self._control, name)
        except SimStop as stop:
            raise self._stop(stop) from None
        self._leave(0, ident)
        return ident

    def ctl_name_by_id(self, ident: int, out_name: Out, maxsize: int) -> int:
        """``out_name`` gets the name of the first control of that id, cut to ``maxsize`` bytes
        with its NUL. ENOENT if there is none."""
        self._enter("ctl_name_by_id", ident, maxsize)
        try:
            errno, name = ctl.ctl_name_by_id(self._control, ident, maxsize)
        except SimStop as stop:
            raise self._stop(stop) from None
        if not errno:
            out_name.value = name
        return self._leave(errno, name)

    # -- kernel events ---------------------------------------------------------------------

    def kev_vendor_code_find(self, vendor_string: str, vendor_code: Out) -> int:
        """``vendor_code`` gets the code of a vendor string, a new one at its first use. EINVAL for
        200 bytes or more."""
        if not isinstance(vendor_string, str):
            raise TypeError(wrong("kev_vendor_code_find: vendor_string", vendor_string, "a str"))
        vendor_string = vendor_string.partition("\0")[0]
        self._enter("kev_vendor_code_find", vendor_string)
        errno, code = self._events.kev_vendor_code_find(vendor_string)
        if not errno:
            vendor_code.value = code
        return self._leave(errno, code)

    def kev_msg_post(self, event_msg: KevMsg | None) -> int:
        """Post an event. Errors: EINVAL (no message, or a vendor code nobody registered), EMSGSIZE
        (more than 200 bytes of data; nothing is delivered)."""
        if event_msg is not None:
            check_message(event_msg)
        shown: tuple[object, ...] = ()
        if event_msg is not None:
            m = event_msg
            vectors = tuple(bytes(vector) for vector in m.dv)
            shown = (m.vendor_code, m.kev_class, m.kev_subclass, m.event_code, vectors)
        self._enter("kev_msg_post", *shown)
        return self._leave(self._events.kev_msg_post(event_msg))

    # -- mbufs -----------------------------------------------------------------------------

    def mbuf_len(self, m: Mbuf) -> int:
        """Bytes of data in this one mbuf."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_len", m)
        return m.m_len

    def mbuf_data(self, m: Mbuf) -> bytes:
        """The data of this one mbuf, not of its chain."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_data", m)
        return m.m_data

    def mbuf_next(self, m: Mbuf) -> Mbuf | None:
        """The next mbuf of the chain."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_next", m)
        return m.m_next

    def mbuf_nextpkt(self, m: Mbuf) -> Mbuf | None:
        """The next packet of the list."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_nextpkt", m)
        return m.m_nextpkt

    def mbuf_flags(self, m: Mbuf) -> int:
        """The M_* flags of this one mbuf (``kextlab.abi.constants``)."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_flags", m)
        return m.m_flags

    def mbuf_pkthdr_len(self, m: Mbuf) -> int:
        """Bytes of the whole packet, as its header says."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_pkthdr_len", m)
        return m.pkthdr_len

    def mbuf_copydata(self, m: Mbuf, offset: int, length: int, out_data: Out) -> int:
        """``out_data`` gets ``length`` bytes of the chain from ``offset`` on. EINVAL if the chain
        is shorter."""
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._own("mbuf_copydata", m)
        data = m.m_data if m.m_next is None else m_copydata(m)
        if offset < 0 or length < 0 or offset + length > len(data):
            return EINVAL
        out_data.value = data if length == len(data) else data[offset : offset + length]
        return 0

    def mbuf_allocpacket(self, how: int, packetlen: int, maxchunks: Out | None, m: Out) -> int:
        """``m`` gets a new packet with ``packetlen`` bytes of zeros, owned by the kext.

        ``how`` (wait or not) makes no difference here. ``maxchunks``, if given, bounds the mbufs of
        the chain and gets their number. Errors: EINVAL (a negative length), ENOBUFS (more mbufs
        needed than allowed), ENOMEM (that many are not left).
        """
        if not isinstance(packetlen, int):
            raise TypeError(wrong("mbuf_allocpacket: packetlen", packetlen, "an int"))
        self._enter("mbuf_allocpacket", packetlen)
        if packetlen < 0:
            return self._leave(EINVAL)
        if self._pool.short(self._pool.needed(packetlen)):
            return self._leave(ENOMEM)
        packet = self._pool.allocpacket(bytes(packetlen), self._owner)
        chunks = 0
        link: Mbuf | None = packet
        while link is not None:
            chunks += 1
            link = link.m_next
        if maxchunks is not None:
            allowed = maxchunks.value
            maxchunks.value = chunks
            if allowed and chunks > allowed:
                self._pool.freem(packet)
                return self._leave(ENOBUFS)
        m.value = packet
        return self._leave(0, packet.id)

    def mbuf_copyback(self, m: Mbuf, offset: int, length: int, data: bytes, how: int) -> int:
        """Overwrite ``length`` bytes of the chain from ``offset`` on. Errors: EINVAL (a negative
        offset or length), ENOBUFS (the chain would have to grow; the lab's does not). Panics for
        an mbuf the kext does not own."""
        self._own("mbuf_copyback", m)
        if offset < 0 or length < 0:
            return EINVAL
        if offset + length > m_length(m):
            return ENOBUFS
        data = self._cut("mbuf_copyback", data, length)
        self._enter("mbuf_copyback", m.id, offset, length)
        link: Mbuf | None = m
        at = offset
        while link is not None and data:
            if at < link.m_len:
                piece = data[: link.m_len - at]
                link.m_data = link.m_data[:at] + piece + link.m_data[at + len(piece) :]
                data = data[len(piece) :]
                if self._rec is not None:
                    self._rec((MBUF_SET, link.id, "m_data", link.m_data))
                at = 0
            else:
                at -= link.m_len
            link = link.m_next
        return self._leave(0)

    def mbuf_setnextpkt(self, m: Mbuf, nextpkt: Mbuf | None) -> None:
        """Chain packets into a list. Panics for an mbuf the kext does not own."""
        self._own("mbuf_setnextpkt", m)
        if nextpkt is None:
            self._pool.unlink(m)
        else:
            self._own("mbuf_setnextpkt", nextpkt)
            self._pool.link(m, nextpkt)

    def mbuf_free(self, m: Mbuf) -> Mbuf | None:
        """Free one mbuf; returns the next of its chain.

        Raises:
            KernelPanic: it is free already.
        """
        if m.__class__ is not Mbuf or m.owner != self._owner:
            self._owned("mbuf_free", m)
        try:
            return self._pool.free(m)
        except SimStop as stop:
            raise self._stop(stop) from None

    def mbuf_freem(self, m: Mbuf | None) -> None:
        """Free a chain; nothing for ``None``. Panics as ``mbuf_free``."""
        while m is not None:
            if m.__class__ is not Mbuf or m.owner != self._owner:
                self._owned("mbuf_freem", m)
            try:
                m = self._pool.free(m)
            except SimStop as stop:
                raise self._stop(stop) from None

    def mbuf_freem_list(self, m: Mbuf | None) -> int:
        """Free a list of packets; returns their number. Panics as ``mbuf_free``."""
        count = 0
        while m is not None:
            if m.__class__ is not Mbuf or m.owner != self._owner:
                self._owned("mbuf_freem_list", m)
            following = m.m_nextpkt
            self.mbuf_freem(m)
            m = following
            count += 1
        return count

    def _own(self, call: str, m: Mbuf) -> None:
        """What a kext hands in must be an mbuf of its own; anything else would corrupt a queue."""
        if not isinstance(m, Mbuf):
            raise TypeError(wrong(f"{call}: m", m, "an mbuf"))
        live = self._pool.live.get(m.id) is m
        if not live or m.owner != self._owner:
            self._check()
            state = f"is {m.owner}'s" if live else "is free"
            raise self._stop(
                KernelPanic(
                    f"{PAGE_FAULT}: {self._name} passes mbuf {m.id}, which {state}, to {call}"
                )
            )

    def _own_packet(self, call: str, m: Mbuf) -> None:
        """The same for every mbuf of a packet."""
        self._own(call, m)
        for link in m_chain(m.m_next):
            self._own(call, link)

    def _own_list(self, call: str, m: Mbuf) -> None:
        """The same for every packet of a list, which must have an end."""
        self._own_packet(call, m)
        seen = {m.id}
        for packet in m_packets(m.m_nextpkt):
            self._own_packet(call, packet)
            if packet.id in seen:
                raise ValueError(f"{call}: the list comes back to mbuf {packet.id}; it has no end")
            seen.add(packet.id)

    def _owned(self, call: str, m: Mbuf) -> None:
        """A kext that frees what the kernel has queued corrupts it; stop before that."""
        if not isinstance(m, Mbuf):
            raise TypeError(wrong(f"{call}: m", m, "an mbuf"))
        self._check()
        if m.id in self._pool.live and m.owner != self._owner:
            raise self._stop(
                KernelPanic(f"{PAGE_FAULT}: {self._name} frees mbuf {m.id}, which {m.owner} owns")
            )

    # -- the rest of a kext's world --------------------------------------------------------

    def msleep(
        self, channel: str, wmesg: str, ts: int | None = None
    ) -> Any:  # a generator for ``yield from``
        """Sleep until ``wakeup(channel)``: ``error = yield from kpi.msleep(channel, wmesg)``.

        ``ts`` is the longest the sleep may last, in ns of virtual time; ``None`` for ever. Returns
        0 after a wakeup, EINTR when interrupted, EWOULDBLOCK when ``ts`` has passed.
        """
        if not isinstance(channel, str):
            raise TypeError(wrong("msleep: channel", channel, "a str"))
        if ts is not None and not isinstance(ts, int):
            raise TypeError(wrong("msleep: ts", ts, "nanoseconds, an int, or None"))
        now = self._system.tasks.clock.now
        return (yield Sleep(channel, wmesg, deadline=None if ts is None else now + ts))

    def wakeup(self, channel: str) -> None:
        """Wake all that sleep on ``channel``; nothing if nobody does."""
        if not isinstance(channel, str):
            raise TypeError(wrong("wakeup: channel", channel, "a str"))
        self._enter("wakeup", channel)
        self._system.tasks.wakeup(channel)
        self._leave(0)

    def printf(self, text: str) -> None:
        """Write a line to the kernel's log (``mac.log``)."""
        self._system.log.append(f"{self._name}: {text}")

    IOLog = printf
