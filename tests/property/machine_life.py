"""Rules of the state machine: how controls and sockets come, connect and go.

Every rule goes through the public gates, system calls and a kext's KPI, and foretells the answer
from the model alone.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from machine_model import Control, FirstKext, ScriptedKext, SecondKext, Sock

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import KextError
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched.stop import PAGE_FAULT, KernelPanic
from kextlab.trace.fold import Folder

USER, ROOT = 501, 0
NAMES = [f"org.kextlab.control{n}" for n in range(6)]
ODD_UNITS = [0, 0, 0, 0, 0, 0, 1, 2, 3, 5, 65534, 65535, 65536, 0xFFFFFFFF]
ERRNOS = [0] * 7 + [e.EACCES]

index = st.integers(0, 1000)
units = st.sampled_from(ODD_UNITS)


class LifeRules(RuleBasedStateMachine):
    release = "xnu-11417.101.15"

    @initialize()
    def boot(self) -> None:
        self.mac = Kernel(self.release)
        self.setup_first = self.release == "xnu-11417.101.15"
        self.start()
        everything = {"bind", "send", "disconnect", "rcvd"}
        self.register(0, NAMES[0], 0, False, None, False, everything, 0)
        self.register(1, NAMES[1], 0, True, None, False, {"send"}, 0)
        self.register(0, NAMES[2], c.CTL_FLAG_REG_CRIT, False, None, False, {"send", "rcvd"}, 0)
        self.register(1, NAMES[3], c.CTL_FLAG_PRIVILEGED, False, None, True, {"bind"}, 4096)

    def start(self) -> None:
        self.call = self.mac.syscalls
        self.kexts: list[ScriptedKext] = [self.mac.load(FirstKext), self.mac.load(SecondKext)]
        self.pids = [self.mac.start_process(f"p{uid}", uid=uid).pid for uid in (ROOT, USER, USER)]
        self.uids = dict(zip(self.pids, (ROOT, USER, USER), strict=True))
        self.sockets: list[Sock] = []
        self.stale: list[int] = []
        self.connections = 0
        self.folder = Folder()

    # -- the model at hand -----------------------------------------------------------------

    @property
    def controls(self) -> list[Control]:
        return [control for kext in self.kexts for control in kext.controls]

    def any_socket(self, n: int) -> Sock:
        return self.sockets[n % len(self.sockets)]

    def any_client(self, n: int) -> Sock:
        """A socket, preferably one that has a control."""
        clients = [sock for sock in self.sockets if sock.control is not None]
        return clients[n % len(clients)] if clients and n % 8 else self.any_socket(n)

    def any_control(self, n: int) -> Control:
        return self.controls[n % len(self.controls)]

    def popular_control(self, n: int) -> Control:
        """A control, preferably one that has clients."""
        popular = [control for control in self.controls if control.clients]
        return popular[n % len(popular)] if popular and n % 8 else self.any_control(n)

    def kernel_socket(self, sock: Sock) -> Any:
        return self.mac.system.domain.sockets.live[sock.number]

    # -- registering -----------------------------------------------------------------------

    @rule(
        n=index,
        name=st.sampled_from(NAMES),
        flags=st.sampled_from([0, 0, c.CTL_FLAG_PRIVILEGED, c.CTL_FLAG_REG_CRIT]),
        stream=st.booleans(),
        static=st.sampled_from([None, None, (40, 0), (40, 2), (0xFFFFFFFF, 1)]),
        setup=st.booleans(),
        optional=st.sets(st.sampled_from(["bind", "send", "disconnect", "rcvd"])),
        size=st.sampled_from([0, 0, 100, 4096]),
    )
    def register(
        self,
        n: int,
        name: str,
        flags: int,
        stream: bool,
        static: tuple[int, int] | None,
        setup: bool,
        optional: set[str],
        size: int,
    ) -> None:
        kext = self.kexts[n % len(self.kexts)]
        reg = KernCtlReg(ctl_name=name, ctl_flags=flags, ctl_sendsize=size, ctl_recvsize=size)
        reg.ctl_connect = kext.on_address
        reg.ctl_flags |= c.CTL_FLAG_REG_SOCK_STREAM if stream else 0
        if static:
            reg.ctl_flags |= c.CTL_FLAG_REG_ID_UNIT
            reg.ctl_id, reg.ctl_unit = static
        if setup:
            reg.ctl_flags |= c.CTL_FLAG_REG_SETUP
            reg.ctl_setup = kext.on_setup
        if "rcvd" in optional:
            reg.ctl_flags |= c.CTL_FLAG_REG_EXTENDED
        for callback in sorted(optional):
            method = "on_address" if callback == "bind" else f"on_{callback}"
            setattr(reg, f"ctl_{callback}", getattr(kext, method))
        if static:
            taken = any(
                control.id == reg.ctl_id
                and (not control.has(c.CTL_FLAG_REG_ID_UNIT) or control.reg.ctl_unit == static[1])
                for control in self.controls
            )
        else:
            taken = any(control.reg.ctl_name == name for control in self.controls)
        ref = Out()
        assert kext.kpi.ctl_register(reg, ref) == (e.EEXIST if taken else 0)
        if not taken:
            assert static or reg.ctl_id not in {control.id for control in self.controls}
            kext.controls.append(Control(kext, ref.value, reg.ctl_id, reg))

    @precondition(lambda self: self.controls)
    @rule(n=index)
    def deregister(self, n: int) -> None:
        control = self.any_control(n)
        errno = control.kext.kpi.ctl_deregister(control.ref)
        assert errno == (e.EBUSY if control.clients else 0)
        if not errno:
            control.kext.controls.remove(control)
            self.stale.append(control.ref)

    @precondition(lambda self: self.stale)
    @rule(n=index)
    def use_a_stale_reference(self, n: int) -> None:
        ref = self.stale[n % len(self.stale)]
        kpi = self.kexts[0].kpi
        if any(control.ref & 0xFFFF == ref & 0xFFFF for control in self.controls):
            assert kpi.ctl_deregister(ref) == e.EINVAL
            assert kpi.ctl_enqueuedata(ref, 1, b"x", 1, 0) == e.EINVAL
            return
        with pytest.raises(KernelPanic, match=PAGE_FAULT) as caught:
            kpi.ctl_deregister(ref)
        with pytest.raises(KernelPanic) as again:
            self.call.poll(self.pids[0], 3)
        assert again.value is caught.value is self.mac.panic
        assert Folder().fold(self.mac.trace.entries()) == self.mac.snapshot()
        self.mac.reboot()
        self.start()

    @rule(n=index)
    def unload(self, n: int) -> None:
        at = n % len(self.kexts)
        kext = self.kexts[at]
        if kext.held:
            return
        gone = list(kext.controls)
        if any(control.clients for control in gone):
            with pytest.raises(KextError) as caught:
                self.mac.unload(kext)
            assert caught.value.errno == e.EBUSY
        else:
            self.mac.unload(kext)
            self.kexts[at] = self.mac.load(type(kext))
        self.stale += [control.ref for control in gone if control not in kext.controls]

    # -- sockets ---------------------------------------------------------------------------

    @precondition(lambda self: len(self.sockets) < 8)
    @rule(n=index, stream=st.booleans())
    def socket(self, n: int, stream: bool) -> None:
        pid = self.pids[n % len(self.pids)]
        type_ = c.SOCK_STREAM if stream else c.SOCK_DGRAM
        errno, fd = self.call.socket(pid, c.PF_SYSTEM, type_, c.SYSPROTO_CONTROL)
        assert errno == 0
        number = max(self.mac.system.domain.sockets.live)
        self.sockets.append(Sock(pid, [fd], number, stream))

    def attach(self, sock: Sock, ident: int, unit: int) -> int:
        """Foretell the errno of becoming a client, and become one."""
        if sock.control is not None:
            return 0
        for control in sorted(self.controls, key=lambda control: control.id):
            static = control.has(c.CTL_FLAG_REG_ID_UNIT)
            if control.id == ident and (not static or control.reg.ctl_unit == unit):
                break
        else:
            return e.ENOENT
        if sock.stream != control.has(c.CTL_FLAG_REG_SOCK_STREAM):
            return e.EPROTOTYPE
        if control.has(c.CTL_FLAG_PRIVILEGED) and self.uids[sock.pid] != ROOT:
            return e.EPERM
        explicit = bool(static or unit)
        at = len(control.clients)
        if control.reg.ctl_setup and (self.setup_first or not explicit):
            if control.kext.setup_errno:
                return control.kext.setup_errno
            unit = unit if control.kext.setup_unit is None else control.kext.setup_unit
        elif explicit:
            if control.client(unit):
                return e.EBUSY
        else:
            error, unit = control.walk()
            if error:
                return error
            at = control.place(unit)
        control.clients.insert(at, sock)
        sock.control, sock.unit = control, unit
        return 0

    @precondition(lambda self: self.sockets and self.controls)
    @rule(
        n=index,
        at=index,
        unit=units,
        binding=st.sampled_from([False, False, False, True]),
        errno=st.sampled_from(ERRNOS),
        written=st.sampled_from([None, None, None, 1, 9, 65535]),
        setup_errno=st.sampled_from(ERRNOS),
        setup_unit=st.sampled_from([None, 1, 2, 77]),
        missing=st.integers(0, 9),
    )
    def connect_or_bind(
        self,
        n: int,
        at: int,
        unit: int,
        binding: bool,
        errno: int,
        written: int | None,
        setup_errno: int,
        setup_unit: int | None,
        missing: int,
    ) -> None:
        sock = self.any_socket(n)
        alike = [
            control
            for control in self.controls
            if control.has(c.CTL_FLAG_REG_SOCK_STREAM) == sock.stream or at % 8 == 0
        ]
        control = (alike or self.controls)[at % len(alike or self.controls)]
        for kext in self.kexts:
            kext.errno, kext.unit = errno, written
            kext.setup_errno, kext.setup_unit = setup_errno, setup_unit
        ident = control.id if missing else 1234
        if not binding and sock.connected:
            expected = e.EISCONN
        else:
            was = sock.control
            expected = self.attach(sock, ident, unit)
            self.connections += was is None and sock.control is not None
            if not expected:
                expected = self.called(sock, binding, errno, written)
        function = self.call.bind if binding else self.call.connect
        address = SockaddrCtl(sc_id=ident, sc_unit=unit).pack()
        assert function(sock.pid, sock.fds[0], address)[0] == expected

    def called(self, sock: Sock, binding: bool, errno: int, written: int | None) -> int:
        """The bind or connect callback, foretold."""
        control = sock.control
        assert control is not None
        if binding and control.reg.ctl_bind is None:
            return e.EINVAL
        if written is not None:
            sock.unit = written
        if not binding and errno:
            control.clients.remove(sock)
            sock.control, sock.unit = None, 0
            sock.cantsend = sock.cantrcv = True
        elif not binding:
            sock.connected = True
        return errno

    @precondition(lambda self: self.controls and len(self.sockets) < 8)
    @rule(n=index, at=index, unit=units, errno=st.sampled_from(ERRNOS))
    def client(self, n: int, at: int, unit: int, errno: int) -> None:
        """A new socket that connects; once refused, it tries again."""
        stream = self.any_control(at).has(c.CTL_FLAG_REG_SOCK_STREAM)
        self.socket(n, stream)
        for answer in (errno, 0):
            if not self.sockets[-1].connected:
                self.connect_or_bind(
                    len(self.sockets) - 1, at, unit, False, answer, None, 0, None, 1
                )

    @precondition(lambda self: self.sockets)
    @rule(n=index)
    def dup(self, n: int) -> None:
        sock = self.any_socket(n)
        errno, fd = self.call.dup(sock.pid, sock.fds[0])
        assert errno == 0
        sock.fds.append(fd)

    @precondition(lambda self: self.sockets)
    @rule(n=index)
    def close(self, n: int) -> None:
        sock = self.any_socket(n)
        fd = sock.fds.pop()
        assert self.call.close(sock.pid, fd)[0] == 0
        assert self.call.close(sock.pid, fd)[0] == e.EBADF
        if not sock.fds:
            sock.discard()
            assert sock.accepted == sock.read + sock.discarded
            self.sockets.remove(sock)
            if sock.control is not None:
                sock.control.clients.remove(sock)
