"""A state machine of controls, processes and sockets against a naive model of them.

After every rule the kernel's queues, counters and lists are compared with the model's: no byte is
lost, no unit is held twice unless XNU's walk gave it out so, every mbuf has one owner. Empty
records panic their reader by design [empty-record-panic], so no rule makes one.
"""

import os
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine_life import LifeRules, index, units
from machine_model import Control, Record, ScriptedKext, Sock

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.ioctl import CTLIOCGCOUNT
from kextlab.bsd.sockbuf import Sockbuf
from kextlab.kernel.kpi import Mbuf, Out

sizes = st.one_of(st.integers(1, 300), st.integers(1, 5000), st.sampled_from([2600, 8192, 20000]))
EXPLORING = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 1


def pattern(size: int) -> bytes:
    """Bytes in which a lost, doubled or moved one shows."""
    return bytes((7 * at + at // 251) % 256 for at in range(size))


class ControlMachine(LifeRules):
    # -- from the kext to the process ------------------------------------------------------

    def room(
        self, control: Control, unit: int, size: int, flags: int, shut: int = 1
    ) -> tuple[int, int, int]:
        """(errno, space, size of the buffer) for an enqueue of so many bytes."""
        space = Out()
        errno = control.kext.kpi.ctl_getenqueuespace(control.ref, unit, space)
        sock = control.client(unit)
        assert errno == (e.EINVAL if sock is None else 0)
        if sock is None:
            return e.EINVAL, 0, 0
        rcv: Sockbuf = self.kernel_socket(sock).so_rcv
        fits = size <= space.value and not (shut and sock.dropping)
        if control.has(c.CTL_FLAG_REG_CRIT) and not flags & c.CTL_DATA_CRIT:
            fits = fits and space.value >= rcv.sb_hiwat // 4
        return (0 if fits else e.ENOBUFS), space.value, rcv.sb_hiwat

    @precondition(lambda self: self.controls)
    @rule(
        n=index,
        at=index,
        unit=units,
        size=sizes,
        flags=st.sampled_from([0, 0, c.CTL_DATA_EOR, c.CTL_DATA_EOR | c.CTL_DATA_NOWAKEUP]),
        crit=st.booleans(),
        packet=st.booleans(),
        brim=st.sampled_from([None, None, 0, 1]),
    )
    def enqueue(
        self,
        n: int,
        at: int,
        unit: int,
        size: int,
        flags: int,
        crit: bool,
        packet: bool,
        brim: int | None,
    ) -> None:
        control = self.popular_control(n)
        if control.clients:
            unit = control.clients[at % len(control.clients)].unit
        if brim is not None:  # exactly what there is space for, or one more
            size = self.room(control, unit, 0, 0)[1] + brim or 1
        self.put(control, unit, size, flags | (c.CTL_DATA_CRIT if crit else 0), packet)

    @precondition(lambda self: any(control.clients for control in self.critical()))
    @rule(n=index, size=st.sampled_from([1, 256, 2000, 3000]), packet=st.booleans())
    def fill_and_go_on_with_critical_data(self, n: int, size: int, packet: bool) -> None:
        clients = [sock for control in self.critical() for sock in control.clients]
        sock = clients[n % len(clients)]
        control = sock.control
        assert control is not None
        space = self.room(control, sock.unit, 0, 0)[1]
        if space:
            self.put(control, sock.unit, space, c.CTL_DATA_EOR, packet)
        self.put(control, sock.unit, size, c.CTL_DATA_EOR | c.CTL_DATA_CRIT, packet)

    def critical(self) -> list[Control]:
        return [control for control in self.controls if control.has(c.CTL_FLAG_REG_CRIT)]

    def put(self, control: Control, unit: int, size: int, flags: int, packet: bool) -> None:
        data = pattern(size)
        expected, _, hiwat = self.room(control, unit, size, flags)
        kpi = control.kext.kpi
        if packet:
            m = control.kext.packet(data)
            errno = kpi.ctl_enqueuembuf(control.ref, unit, m, flags)
            if errno:
                kpi.mbuf_freem(m)
        else:
            errno = kpi.ctl_enqueuedata(control.ref, unit, data, size, flags)
        sock = control.client(unit)
        critical = flags & c.CTL_DATA_CRIT and control.has(c.CTL_FLAG_REG_CRIT)
        if critical and expected == e.ENOBUFS and not errno:
            assert sock is not None
            rcv: Sockbuf = self.kernel_socket(sock).so_rcv
            assert hiwat < rcv.sb_hiwat <= rcv.sb_idealsize * 5 // 4
            expected = 0
        assert errno == expected
        if not errno:
            assert sock is not None
            sock.append(data, bool(flags & c.CTL_DATA_EOR))

    @precondition(lambda self: self.controls)
    @rule(n=index, at=index, lengths=st.lists(sizes, min_size=1, max_size=5), keep=st.booleans())
    def enqueue_list(self, n: int, at: int, lengths: list[int], keep: bool) -> None:
        control = self.popular_control(n)
        unit = control.clients[at % len(control.clients)].unit if control.clients else 4
        sock = control.client(unit)
        packets = [control.kext.packet(pattern(size)) for size in lengths]
        kpi = control.kext.kpi
        for m, following in pairwise(packets):
            kpi.mbuf_setnextpkt(m, following)
        before = self.kernel_socket(sock).so_rcv.records() if sock else []
        room = self.room(control, unit, lengths[0], 0, shut=0)[0]
        remain = Out() if keep else None
        errno = kpi.ctl_enqueuembuf_list(control.ref, unit, packets[0], 0, remain)
        after = self.kernel_socket(sock).so_rcv.records() if sock else []
        taken = len(after) - len(before)
        stream = control.has(c.CTL_FLAG_REG_SOCK_STREAM)
        if sock is None or stream:
            assert (errno, taken) == (e.EINVAL if sock is None else e.EOPNOTSUPP, 0)
        else:
            assert errno == (e.ENOBUFS if taken < len(lengths) else 0)
        lost = int(sock is not None and not stream and sock.dropping and not room)
        control.kext.held += packets[:lost]  # shut, but with space: XNU forgets the packet
        for size in lengths[:taken]:
            assert sock is not None
            sock.append(pattern(size), False, record=True)
        if remain is not None:
            assert kpi.mbuf_freem_list(remain.value) == len(lengths) - taken - lost

    # -- from the process to the kext ------------------------------------------------------

    @precondition(lambda self: self.sockets)
    @rule(
        n=index,
        size=sizes,
        mode=st.sampled_from(["free", "free", "hold", "echo", "echo"]),
        flags=st.sampled_from([0, c.CTL_DATA_EOR]),
        errno=st.sampled_from([0, 0, 0, e.EIO]),
    )
    def send(self, n: int, size: int, mode: str, flags: int, errno: int) -> None:
        sock = self.any_client(n)
        control = sock.control
        data = pattern(size)
        snd: Sockbuf = self.kernel_socket(sock).so_snd
        assert snd.sb_cc == 0
        whole = True
        if sock.cantsend:
            expected = e.EPIPE
        elif not sock.connected or control is None:
            expected = e.ENOTCONN
        elif not sock.stream and size > snd.sb_hiwat:
            expected = e.EMSGSIZE
        elif control.reg.ctl_send is None:
            expected = e.ENOTSUP
        else:
            expected = errno
            whole = not errno
            kext = control.kext
            kext.got, kext.mode, kext.flags, kext.errno = b"", mode, flags, errno
            kext.echoed = []
        assert self.call.sendto(sock.pid, sock.fds[0], data, 0)[0] == expected
        if expected in (0, errno) and control is not None and control.reg.ctl_send:
            self.received(control, sock, control.kext, data if whole else None, flags)

    def received(
        self, control: Control, sock: Sock, kext: ScriptedKext, data: bytes | None, flags: int
    ) -> None:
        assert data is None or kext.got == data
        target = control.client(sock.unit)
        assert target is not None
        for errno, echo in kext.echoed:
            assert errno in (0, e.ENOBUFS)
            if not errno:
                target.append(echo, bool(flags & c.CTL_DATA_EOR))

    @rule(n=index)
    def free_what_a_kext_holds(self, n: int) -> None:
        kext = self.kexts[n % len(self.kexts)]
        while kext.held:
            kext.kpi.mbuf_freem(kext.held.pop())

    # -- reading ---------------------------------------------------------------------------

    @precondition(lambda self: self.sockets)
    @rule(n=index, length=st.sampled_from([0, 1, 7, 100, 2048, 4096, 50000]), peek=st.booleans())
    def recv(self, n: int, length: int, peek: bool) -> None:
        sock = self.any_client(n)
        flags = c.MSG_DONTWAIT | (c.MSG_PEEK if peek else 0)
        errno, (data, found) = self.call.recvmsg(sock.pid, sock.fds[-1], length, flags)
        if not sock.records:
            waiting = e.EWOULDBLOCK if length else 0
            expected = waiting if sock.connected else e.ENOTCONN
            assert (errno, data) == (0 if sock.cantrcv else expected, b"")
            return
        first = sock.records[0]
        assert (errno, data) == (0, first.data[:length])
        rest = first.data[length:]
        whole = not rest and length
        cut = bool(rest) and not sock.stream
        assert bool(found & c.MSG_EOR) == bool(whole and first.eor)
        assert bool(found & c.MSG_TRUNC) == (cut and not sock.donttrunc)
        assert bool(found & c.MSG_RCVMORE) == (cut and sock.donttrunc)
        if peek:
            return
        sock.read += len(data)
        if rest and (sock.stream or sock.donttrunc):
            sock.records[0] = Record(rest, first.eor)
        else:
            sock.records.pop(0)
            sock.discarded += len(rest)

    @precondition(lambda self: self.sockets)
    @rule(n=index, how=st.sampled_from([c.SHUT_RD, c.SHUT_WR, c.SHUT_RDWR, 7]))
    def shutdown(self, n: int, how: int) -> None:
        sock = self.any_client(n)
        if how == 7:
            expected = e.EINVAL
        elif not sock.connected or (how != c.SHUT_WR and sock.cantrcv):
            expected = e.ENOTCONN
        else:
            if how != c.SHUT_WR:
                sock.discard()
                sock.cantrcv = sock.dropping = True
            expected = e.EOPNOTSUPP if how != c.SHUT_RD else 0
            if how != c.SHUT_RD and sock.cantsend:
                expected = e.ENOTCONN
        assert self.call.shutdown(sock.pid, sock.fds[0], how)[0] == expected

    @precondition(lambda self: self.sockets)
    @rule(
        n=index,
        name=st.sampled_from([c.SO_RCVBUF, c.SO_SNDBUF, c.SO_DONTTRUNC]),
        value=st.sampled_from([0, 1, 100, 3000, 70000, 8000000]),
    )
    def setsockopt(self, n: int, name: int, value: int) -> None:
        sock = self.any_client(n)
        expected = 0
        if sock.cantrcv and sock.cantsend:
            expected = e.EINVAL
        elif name == c.SO_DONTTRUNC:
            sock.donttrunc = bool(value)
        elif value in (0, 8000000):
            expected = e.ENOBUFS if value else e.EINVAL
        elif name == c.SO_RCVBUF and value < sock.queued:
            sock.shrunk = True
        number = value.to_bytes(4, "little")
        errno, _ = self.call.setsockopt(sock.pid, sock.fds[0], c.SOL_SOCKET, name, number, 4)
        assert errno == expected

    # -- what holds after every rule -------------------------------------------------------

    @invariant()
    def no_byte_is_lost(self) -> None:
        for sock in self.sockets:
            assert sock.accepted == sock.read + sock.queued + sock.discarded
            queue = self.kernel_socket(sock).so_rcv.records()
            assert [b"".join(m.m_data for m in record) for record in queue] == [
                record.data for record in sock.records
            ]

    @invariant()
    def every_mbuf_is_owned_once(self) -> None:
        domain = self.mac.system.domain
        owners: dict[int, str] = {}
        for so in domain.sockets.live.values():
            for sb in (so.so_rcv, so.so_snd):
                owners |= {m.id: sb.name for record in sb.records() for m in record}
        for kext in self.kexts:
            for m in kext.held:
                owners |= {link.id: f"kext:{kext.bundle_id}" for link in chain(m)}
        assert owners == {m.id: m.owner for m in domain.pool.live.values()}
        queued = sum(len(r) for so in domain.sockets.live.values() for r in so.so_rcv.records())
        held = sum(len(chain(m)) for kext in self.kexts for m in kext.held)
        assert len(owners) == queued + held
        assert all(len(self.mac.leaks(kext)) == sum(len(chain(m)) for m in kext.held)
                   for kext in self.kexts)  # fmt: skip

    @invariant()
    def buffers_count_what_they_hold(self) -> None:
        for sock in self.sockets:
            rcv: Sockbuf = self.kernel_socket(sock).so_rcv
            records = rcv.records()
            mbufs = [m for record in records for m in record]
            assert rcv.sb_cc == sum(m.m_len for m in mbufs)
            assert all(m.m_len == len(m.m_data) for m in mbufs)
            assert rcv.sb_mbcnt == sum(256 + m.ext_size for m in mbufs)
            assert rcv.sb_mbtail is (mbufs[-1] if mbufs else None)
            assert rcv.sb_lastrecord is (records[-1][0] if records else None)
            if rcv.sb_cc <= rcv.sb_hiwat:
                sock.shrunk = False
            assert rcv.sb_cc <= rcv.sb_hiwat or sock.shrunk

    @invariant()
    def clients_and_units_are_those_of_the_walk(self) -> None:
        listed = {row["name"]: row for row in self.mac.sysctl("kctl.reg_list")}
        assert len(listed) <= len(self.controls) == len(self.mac.sysctl("kctl.reg_list"))
        clients = {(row["socket"], row["unit"]) for row in self.mac.sysctl("kctl.pcblist")}
        order = [
            (sock.number, sock.unit)
            for control in self.controls
            for sock in control.clients
        ]  # fmt: skip
        assert clients == set(order)
        for control in self.controls:
            kctl = self.mac.system.domain.control.refs.valid[control.ref]
            kcb, seen = kctl.units.first, []
            while kcb is not None:
                seen.append((kcb.so.number, kcb.unit))
                kcb = kcb.next
            assert seen == [(sock.number, sock.unit) for sock in control.clients]

    @invariant()
    def counters_equal_what_exists(self) -> None:
        stat = self.mac.statistics()
        assert stat.kctl["pcbcount"] == sum(len(control.clients) for control in self.controls)
        assert stat.kctl["reg_count"] == stat.controls == len(self.controls)
        assert stat.kctl["connections"] == self.connections
        assert stat.kctl["reg_total"] == stat.kevt["pcbcount"] == 0
        assert stat.sockets == len(self.sockets)
        for sock in self.sockets[:1]:
            _, count = self.call.ioctl(sock.pid, sock.fds[0], CTLIOCGCOUNT, bytes(4))
            assert int.from_bytes(count, "little") == len(self.controls)

    @invariant()
    def check_fold(self) -> None:
        for entry in self.mac.trace.entries(self.folder.steps):
            self.folder.step(entry)
        assert self.folder.state == self.mac.snapshot()


def chain(m: Mbuf | None) -> list[Mbuf]:
    """The mbufs of one packet."""
    return [] if m is None else [m, *chain(m.m_next)]


class OlderControlMachine(ControlMachine):
    release = "xnu-7195.141.2"


@pytest.mark.parametrize("machine", [ControlMachine, OlderControlMachine])
def test_the_kernel_keeps_its_invariants_and_answers_as_the_model(
    machine: type[ControlMachine],
) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    bounds = settings(max_examples=120 * EXPLORING, stateful_step_count=50)
    run_state_machine_as_test(machine, settings=bounds)
