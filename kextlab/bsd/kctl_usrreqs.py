"""What a process asks of kernel control: the protocol's user requests.

Models attach, bind, connect, disconnect, detach, send, receive notification, options and ioctls
of a control socket. Each ``yield`` is a place where XNU has dropped the socket's mutex. Read
beside it: ``bsd/kern/kern_control.c`` (the ``ctl_*`` functions of ``ctl_usrreqs``).

Left out: traffic-class statistics, the DEVELOPMENT checks.
"""

from __future__ import annotations

from types import GeneratorType

from kextlab.abi.constants import (
    CTL_FLAG_PRIVILEGED,
    CTL_FLAG_REG_ID_UNIT,
    CTL_FLAG_REG_SOCK_STREAM,
    MAX_KCTL_NAME,
    PR_ATOMIC,
    PR_CONNREQUIRED,
    PR_PCBLOCK,
    PR_WANTRCVD,
    SOCK_DGRAM,
    SOCK_STREAM,
    SS_ISCONNECTED,
    SYSPROTO_CONTROL,
)
from kextlab.abi.errno import EBUSY, EINVAL, ENOENT, ENOTSUP, EPERM, EPROTOTYPE
from kextlab.abi.ioctl import CTLIOCGCOUNT, CTLIOCGINFO
from kextlab.abi.structs import CtlInfo, SockaddrCtl
from kextlab.bsd.kctl import Callback, CtlCb, Kctl, Out, plain
from kextlab.bsd.kctl_options import getopt, setopt
from kextlab.bsd.kern_control import KernControl
from kextlab.bsd.mbuf import Mbuf, m_packets
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.bsd.socketvar import Proc, Protosw, Socket, Sockopt
from kextlab.sched.drive import LET_GO, Routine
from kextlab.sched.stop import PAGE_FAULT, KernelPanic, Sleep
from kextlab.trace.codes import DELETE, SET, new
from kextlab.trace.events import Plain


class KctlProto(Protosw):
    """Kernel control in the protocol switch: one entry for datagrams, one for streams."""

    pr_protocol = SYSPROTO_CONTROL

    def __init__(self, control: KernControl, pr_type: int) -> None:
        flags = PR_CONNREQUIRED | PR_PCBLOCK | PR_WANTRCVD
        if pr_type == SOCK_DGRAM:
            flags |= PR_ATOMIC
        super().__init__(pr_type, flags, has_sosend=True)
        self.control = control

    # -- one caller at a time --------------------------------------------------------------

    def _enter(self, kcb: CtlCb) -> Routine[None]:
        """ctl_kcb_increment_use_count: wait while somebody clears the client."""
        while kcb.require_clearing:
            yield Sleep(f"kcb:{kcb.so.number}", "kcb_require_clearing")
        kcb.kcb_usecount += 1

    def _leave(self, kcb: CtlCb) -> None:
        """ctl_kcb_decrement_use_count: who clears the client waits for the last to leave."""
        kcb.kcb_usecount -= 1
        if kcb.require_clearing:
            self.control.sockets.sched.wakeup(f"kcb:{kcb.so.number}", "kcb_usecount")

    def _clear(self, kcb: CtlCb) -> Routine[None]:
        """Enter, then wait until nobody else is inside (ctl_kcb_require_clearing)."""
        yield from self._enter(kcb)
        kcb.require_clearing += 1
        self._leave(kcb)
        while kcb.kcb_usecount:
            yield Sleep(f"kcb:{kcb.so.number}", "kcb_usecount")
        kcb.kcb_usecount += 1

    def _done(self, kcb: CtlCb) -> None:
        """ctl_kcb_done_clearing, then leave: whoever waited to enter may."""
        kcb.require_clearing -= 1
        self.control.sockets.sched.wakeup(f"kcb:{kcb.so.number}", "kcb_require_clearing")
        self._leave(kcb)

    # -- user requests ---------------------------------------------------------------------

    def pru_attach(self, so: Socket, p: Proc) -> None:
        """A new control socket: its buffers stay empty and of size 0 until it connects."""
        kcb = CtlCb(so)
        so.so_pcb = kcb
        if self.control.rec is not None:
            self.control.rec(new(f"kcb:{so.number}", kcb.state()))

    def sofreelastref(self, so: Socket) -> None:
        """The socket is gone; a client that was only bound leaves its control here."""
        kcb: CtlCb = so.so_pcb
        if kcb.kctl is not None:
            self.control.detach_client(kcb)
        so.so_pcb = None
        if self.control.rec is not None:
            self.control.rec((DELETE, f"kcb:{so.number}"))

    def pru_detach(self, so: Socket) -> Routine[int]:
        """Closing: a bound, unconnected client with a cookie hears ``disconnect``."""
        kcb: CtlCb = so.so_pcb
        yield from self._clear(kcb)
        kctl = kcb.kctl
        if (
            kctl is not None
            and kctl.bind is not None
            and not is_null(kcb.unitinfo.value)
            and not so.so_state & SS_ISCONNECTED
        ):
            yield from self._disconnect(kcb)
        self.control.sockets.soisdisconnected(so)
        self._done(kcb)
        return 0

    def pru_bind(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """Choose the control without connecting.

        Errors: those of ``setup_kctl``; EINVAL if the control has no bind callback, though the
        socket is its client from now on [bind-no-callback]; the callback's.
        """
        kcb: CtlCb = so.so_pcb
        yield from self._clear(kcb)
        error = yield from self.setup_kctl(kcb, sockaddr(nam), p)
        if not error:
            kctl = kcb.kctl
            assert kctl is not None
            if kctl.bind is None:
                error = EINVAL
            else:
                error = yield from self._with_address(kcb, "bind", kctl.bind)
        self._done(kcb)
        return error

    def pru_connect(self, so: Socket, nam: bytes, p: Proc) -> Routine[int]:
        """Connect to a unit of a control.

        Errors: those of ``setup_kctl``, which leave the socket untouched; the connect callback's,
        after which ``disconnect`` is called, both directions are shut and stay so.
        """
        kcb: CtlCb = so.so_pcb
        yield from self._clear(kcb)
        error = yield from self.setup_kctl(kcb, sockaddr(nam), p)
        if not error:
            kctl = kcb.kctl
            assert kctl is not None
            assert kctl.connect is not None
            self.control.sockets.soisconnecting(so)
            error = yield from self._with_address(kcb, "connect", kctl.connect)
            if not error:
                self.control.sockets.soisconnected(so)
            else:
                yield from self._disconnect(kcb)
                self.control.sockets.soisdisconnected(so)
                self.control.detach_client(kcb)
                self.control.count("conn_fail")
        self._done(kcb)
        return error

    def setup_kctl(self, kcb: CtlCb, nam: SockaddrCtl, p: Proc) -> Routine[int]:
        """Make the socket a client of the control ``nam`` names; nothing if it is one already.

        Errors, in this order: EINVAL (an address not 32 bytes long), ENOENT (no such id, or a
        static control of another unit), EPROTOTYPE (datagram against stream), EPERM (a privileged
        control and a process that is not root), the setup callback's, EBUSY (the explicit or
        static unit is taken, or no unit is free).
        """
        if kcb.kctl is not None:
            return 0
        if nam.sc_len != SockaddrCtl.SIZE:
            return EINVAL
        yield from self.control.mutex()
        kctl = self.control.find_by_id_unit(nam.sc_id, nam.sc_unit)
        if kctl is None:
            return ENOENT
        stream = bool(kctl.flags & CTL_FLAG_REG_SOCK_STREAM)
        if kcb.so.so_type != (SOCK_STREAM if stream else SOCK_DGRAM):
            return EPROTOTYPE
        if kctl.flags & CTL_FLAG_PRIVILEGED and p.uid != 0:
            return EPERM
        unit = nam.sc_unit
        explicit = bool(kctl.flags & CTL_FLAG_REG_ID_UNIT or unit)
        before: CtlCb | None = None
        if kctl.setup is not None and (self.control.setup_first or not explicit):
            error, unit = yield from self._setup(kcb, kctl, kctl.setup, unit)
            if error:
                return error
        elif explicit:
            if kctl.units.find(unit) is not None:
                return EBUSY
        else:
            found = kctl.units.free_unit()
            if found is None:
                return EBUSY
            unit, before = found
        kcb.sac = SockaddrCtl(nam.sc_len, nam.sc_family, nam.ss_sysaddr, nam.sc_id, unit)
        self.control.attach_client(kcb, kctl, unit, before)
        self.control.sockets.soreserve(kcb.so, kctl.sendbufsize, kctl.recvbufsize)
        return 0

    def _setup(
        self, kcb: CtlCb, kctl: Kctl, callback: Callback, unit: int
    ) -> Routine[tuple[int, int]]:
        """Ask ``setup`` for the unit, with the mutex held. (errno, unit)"""
        sc_unit = Out(unit)
        self.control.hold(True)
        try:
            error = yield from self.control.call(
                kctl, "setup", callback, (sc_unit, kcb.unitinfo), unit
            )
        finally:
            self.control.hold(False)
        self._remember(kcb)
        return error, int(sc_unit.value) & 0xFFFFFFFF

    def pru_disconnect(self, so: Socket) -> Routine[int]:
        """Closing a connected socket: ``disconnect``, then the client leaves the list. 0."""
        kcb: CtlCb = so.so_pcb
        yield from self._clear(kcb)
        yield from self._disconnect(kcb)
        self.control.sockets.soisdisconnected(so)
        yield LET_GO  # the socket's mutex is dropped for the subsystem's
        while kcb.usecount:
            yield Sleep(f"kcb:{so.number}", "kcb->usecount", interruptible=False)
        if kcb.kctl is not None:
            self.control.detach_client(kcb)
        self._done(kcb)
        return 0

    def pru_rcvd(self, so: Socket, flags: int) -> Routine[int] | None:
        """The process has read: tell the kext, then give grown buffer space back.

        ``None`` if there is nobody to tell; else EINVAL if the socket has no control any more.
        """
        kcb: CtlCb = so.so_pcb
        kctl = kcb.kctl
        if kctl is None or kctl.rcvd is not None or kcb.require_clearing:
            return self._rcvd(so, kcb, flags)
        rcv = so.so_rcv
        if rcv.sb_hiwat > rcv.sb_idealsize:
            trim(rcv)
        return None

    def _rcvd(self, so: Socket, kcb: CtlCb, flags: int) -> Routine[int]:
        yield from self._enter(kcb)
        error = 0
        kctl = kcb.kctl
        if kctl is None:
            error = EINVAL
        else:
            if kctl.rcvd is not None:
                yield LET_GO  # unlocked
                unit = kcb.sac.sc_unit
                args = (kctl.kctlref, unit, kcb.unitinfo.value, flags)
                yield from self.control.call(
                    kctl, "rcvd", kctl.rcvd, args, kctl.kctlref, unit, flags
                )
                yield LET_GO  # locked again
            trim(so.so_rcv)
        self._leave(kcb)
        return error

    def pru_send(self, so: Socket, flags: int, m: Mbuf) -> Routine[int]:
        """Hand one chain to the kext, which must free it.

        Errors: EINVAL (the socket has no control any more), ENOTSUP (no send callback), the
        callback's.
        """
        kcb: CtlCb = so.so_pcb
        control = self.control
        if kcb.require_clearing:
            yield from self._enter(kcb)
        else:
            kcb.kcb_usecount += 1
        kctl = kcb.kctl
        if kctl is None or kctl.send is None:
            control.pool.freem(m)
            error = EINVAL if kctl is None else ENOTSUP
        else:
            yield LET_GO  # unlocked
            result = control.hand_over(kctl, kcb, "send", kctl.send, m, flags)
            if result.__class__ is GeneratorType:
                result = yield from control.finish(kctl.text, "send", result)
            error = control.returned("send", result)
            yield LET_GO  # locked again
        return self._sent(kcb, error)

    def pru_send_now(self, so: Socket, m: Mbuf) -> int | Routine[int]:
        """``pru_send`` where nobody can get in while it lets go: its answer, or a routine if the
        client is being cleared, the callback sleeps, or there is none."""
        kcb: CtlCb = so.so_pcb
        kctl = kcb.kctl
        if kctl is None or kctl.send is None or kcb.require_clearing:
            return self.pru_send(so, 0, m)
        control = self.control
        kcb.kcb_usecount += 1
        result = control.hand_over(kctl, kcb, "send", kctl.send, m, 0)
        if result.__class__ is GeneratorType:
            return self._finish_send(kctl, kcb, result)
        error = control.returned("send", result)
        if error or kcb.require_clearing:
            return self._sent(kcb, error)
        kcb.kcb_usecount -= 1
        return 0

    def _finish_send(self, kctl: Kctl, kcb: CtlCb, callback: Plain) -> Routine[int]:
        result = yield from self.control.finish(kctl.text, "send", callback)
        return self._sent(kcb, self.control.returned("send", result))

    def _sent(self, kcb: CtlCb, error: int) -> int:
        if error:
            self.control.count("send_fail")
        self._leave(kcb)
        return error

    def pru_send_list(self, so: Socket, m: Mbuf, flags: int) -> Routine[int]:
        """Hand a list of packets to the kext, to ``send`` one by one if it has no ``send_list``.

        Errors: as ``pru_send``. Without either callback macOS 11 answers ENOTSUP and macOS 15
        calls a null pointer.
        """
        kcb: CtlCb = so.so_pcb
        control = self.control
        yield from self._enter(kcb)
        kctl = kcb.kctl
        error = 0
        if kctl is None:
            control.pool.freem_list(m)
            error = EINVAL
        elif kctl.send_list is not None:
            error = yield from self._send_one(kctl, kcb, "send_list", kctl.send_list, m, flags)
        elif kctl.send is not None:
            packets = list(m_packets(m))
            while packets and not error:
                packet = packets.pop(0)
                control.pool.unlink(packet)
                error = yield from self._send_one(kctl, kcb, "send", kctl.send, packet, flags)
            if packets:
                control.pool.freem_list(packets[0])
        elif control.list_send_checks:
            control.pool.freem_list(m)
            error = ENOTSUP
        else:
            raise KernelPanic(PAGE_FAULT)
        if error:
            control.count("send_list_fail")
        self._leave(kcb)
        return error

    def _send_one(
        self, kctl: Kctl, kcb: CtlCb, name: str, callback: Callback, m: Mbuf, flags: int
    ) -> Routine[int]:
        yield LET_GO  # unlocked
        result = self.control.hand_over(kctl, kcb, name, callback, m, flags)
        if result.__class__ is GeneratorType:
            result = yield from self.control.finish(kctl.text, name, result)
        error = self.control.returned(name, result)
        yield LET_GO  # locked again
        return error

    def pr_ctloutput(self, so: Socket, sopt: Sockopt) -> Routine[int]:
        """Options at level SYSPROTO_CONTROL, which are the kext's own (``kctl_options``).

        Errors: EINVAL (another level, or a socket without a control), then those of the callbacks.
        """
        kcb: CtlCb = so.so_pcb
        kctl = kcb.kctl
        if sopt.level != SYSPROTO_CONTROL or kctl is None:
            return EINVAL
        yield from self._enter(kcb)
        if sopt.setting:
            error = yield from setopt(self.control, kctl, kcb, sopt)
        else:
            error = yield from getopt(self.control, kctl, kcb, sopt)
        self._leave(kcb)
        return error

    def pru_control(self, so: Socket, cmd: int, data: bytes) -> tuple[int, bytes]:
        """The two ioctls of a control socket, connected or not.

        CTLIOCGCOUNT: how many controls there are. CTLIOCGINFO: the id of a control by name.
        Errors: EINVAL (an empty name, or one of 96 bytes), ENOENT (no such name), ENOTSUP (any
        other request).
        """
        if cmd == CTLIOCGCOUNT:
            return 0, len(self.control.controls).to_bytes(4, "little")
        if cmd != CTLIOCGINFO:
            return ENOTSUP, data
        info = CtlInfo.unpack(data)
        if not 0 < len(info.ctl_name) < MAX_KCTL_NAME:
            return EINVAL, data
        kctl = self.control.find_by_name(info.name)
        if kctl is None:
            return ENOENT, data
        return 0, CtlInfo(kctl.id, info.ctl_name).pack()

    def pru_peeraddr(self, so: Socket) -> tuple[int, bytes]:
        """The control's address; EINVAL if the socket has no control any more."""
        kcb: CtlCb = so.so_pcb
        if kcb.kctl is None:
            return EINVAL, b""
        return 0, SockaddrCtl(sc_id=kcb.kctl.id, sc_unit=kcb.sac.sc_unit).pack()

    def waker(self, so: Socket, wmesg: str) -> str:
        """The kext, which may queue something for it."""
        kctl = so.so_pcb.kctl
        if kctl is None:
            return "nobody: the socket has no control"
        return f"{kctl.text.name}, or whoever makes it serve unit {so.so_pcb.unit}"

    # -- calling back ------------------------------------------------------------------------

    def _with_address(self, kcb: CtlCb, name: str, callback: Callback) -> Routine[int]:
        """``bind`` or ``connect``: the kext gets the address, and a place for its cookie."""
        kctl = kcb.kctl
        assert kctl is not None
        yield LET_GO  # unlocked
        self.control.lent.append(kcb)
        try:
            error = yield from self.control.call(
                kctl,
                name,
                callback,
                (kctl.kctlref, kcb.sac, kcb.unitinfo),
                kctl.kctlref,
                kcb.sac.sc_id,
                kcb.sac.sc_unit,
            )
        finally:
            self.control.lent.remove(kcb)
        self._written(kcb)
        yield LET_GO  # locked again
        return error

    def _written(self, kcb: CtlCb) -> None:
        """Take over what a callback wrote through its pointers: the cookie, sc_unit."""
        self._remember(kcb)
        self.control.take_unit(kcb)

    def _remember(self, kcb: CtlCb) -> None:
        """Take note of the cookie a callback may have written."""
        kcb.cookie = plain(kcb.unitinfo.value)
        if self.control.rec is not None:
            self.control.rec((SET, f"kcb:{kcb.so.number}", "unitinfo", kcb.cookie))

    def _disconnect(self, kcb: CtlCb) -> Routine[None]:
        """Call ``disconnect`` if there is one; its result is ignored."""
        kctl = kcb.kctl
        if kctl is None or kctl.disconnect is None:
            return
        yield LET_GO  # unlocked
        unit = kcb.sac.sc_unit
        yield from self.control.call(
            kctl,
            "disconnect",
            kctl.disconnect,
            (kctl.kctlref, unit, kcb.unitinfo.value),
            kctl.kctlref,
            unit,
        )
        yield LET_GO  # locked again


def sockaddr(nam: bytes) -> SockaddrCtl:
    """A ``struct sockaddr`` read as a ``sockaddr_ctl``, however long it is."""
    return SockaddrCtl.unpack(nam.ljust(SockaddrCtl.SIZE, b"\0"))


def trim(rcv: Sockbuf) -> None:
    """Give buffer space back that critical data had made grow, as far as data does not fill it."""
    needed = max(rcv.sb_idealsize, rcv.sb_cc)
    if rcv.sb_hiwat > needed:
        rcv.sbreserve(needed)


def is_null(cookie: object) -> bool:
    """Whether a cookie is C's NULL: never set, ``None`` or the number 0."""
    return cookie is None or (isinstance(cookie, int) and cookie == 0)
