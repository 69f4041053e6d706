"""A state machine of event sockets, filters and posts against a naive model of them."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.ioctl import SIOCGKEVFILT, SIOCGKEVID, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.structs import CtlEventData, KernEventMsg, KevRequest, KevVendorCode
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Out
from kextlab.trace.fold import Folder

index = st.integers(0, 1000)
small = st.integers(0, 2)
MBUF_MEMORY = 256  # an event always takes one plain mbuf
APPLE = (c.KEV_VENDOR_APPLE, c.KEV_SYSTEM_CLASS, c.KEV_CTL_SUBCLASS)


@dataclass(eq=False)
class Listener:
    pid: int
    fds: list[int]
    number: int
    filter: tuple[int, int, int] = (0xFFFFFFFF, 0, 0)
    hiwat: int = c.KEV_RECVSPACE
    queue: list[KernEventMsg] = field(default_factory=list)

    def wants(self, vendor: int, kev_class: int, subclass: int) -> bool:
        for wanted, sent in zip(self.filter, (vendor, kev_class, subclass), strict=True):
            if wanted == 0:
                return True
            if wanted != sent:
                return False
        return True

    def fits(self, event: KernEventMsg) -> bool:
        held = sum(len(queued.pack()) for queued in self.queue)
        memory = 8 * self.hiwat - MBUF_MEMORY * len(self.queue)
        return len(event.pack()) <= min(self.hiwat - held, memory)


class EventMachine(RuleBasedStateMachine):
    @initialize()
    def boot(self) -> None:
        self.mac = Kernel()
        self.call = self.mac.syscalls
        self.kpi = self.mac.load(Kext).kpi
        self.pids = [self.mac.start_process(name).pid for name in ("a", "b")]
        self.listeners: list[Listener] = []
        self.vendors: dict[str, int] = {}
        self.refs: list[tuple[int, int]] = []
        self.last_id = self.posted = self.full = self.toobig = self.bad = 0
        self.folder = Folder()
        self.listen(0)
        self.find_vendor("org.first")

    def listener(self, n: int) -> Listener:
        return self.listeners[n % len(self.listeners)]

    def expect(self, vendor: int, kev_class: int, subclass: int, code: int, data: bytes) -> None:
        """Every listener that wants the event and has space has it now."""
        self.last_id += 1
        event = KernEventMsg(vendor, kev_class, subclass, self.last_id, code, data)
        for listener in self.listeners:
            if not listener.wants(vendor, kev_class, subclass):
                continue
            if listener.fits(event):
                listener.queue.append(event)
                self.posted += 1
            else:
                self.full += 1

    # -- posting ---------------------------------------------------------------------------

    @rule(name=st.sampled_from(["org.first", "org.second", "", "x" * 199, "x" * 200]))
    def find_vendor(self, name: str) -> None:
        code = Out()
        errno = self.kpi.kev_vendor_code_find(name, code)
        assert errno == (e.EINVAL if len(name) >= 200 else 0)
        if not errno:
            expected = self.vendors.setdefault(name, 1000 + len(self.vendors))
            assert code.value == expected

    @rule(
        n=index,
        kev_class=small,
        subclass=small,
        sizes=st.lists(st.sampled_from([0, 1, 40, 40, 100]), max_size=7),
        apple=st.integers(0, 7),
        times=st.sampled_from([1, 1, 40]),
    )
    def post(
        self, n: int, kev_class: int, subclass: int, sizes: list[int], apple: int, times: int
    ) -> None:
        codes = [1, 999, 5000] if apple == 0 else sorted(self.vendors.values())
        vendor = codes[n % len(codes)]
        vectors = tuple(bytes([at % 251]) * size for at, size in enumerate(sizes))
        data = b""
        for vector in vectors[:5]:
            if not vector:
                break
            data += vector
        for code in range(times):
            errno = self.kpi.kev_msg_post(KevMsg(vendor, kev_class, subclass, code, vectors))
            if apple == 0:
                self.bad += 1
                assert errno == e.EINVAL
            elif len(data) > 200:
                self.toobig += 1
                assert errno == e.EMSGSIZE
            else:
                self.expect(vendor, kev_class, subclass, code, data)
                assert errno == 0

    @rule(n=index)
    def register_or_deregister(self, n: int) -> None:
        if self.refs and n % 2:
            ref, ident = self.refs.pop(n % len(self.refs))
            assert self.kpi.ctl_deregister(ref) == 0
            code = c.KEV_CTL_DEREGISTERED
        else:
            reg = KernCtlReg(f"control{self.last_id}", ctl_connect=lambda *args: 0)
            out = Out()
            assert self.kpi.ctl_register(reg, out) == 0
            ident, code = reg.ctl_id, c.KEV_CTL_REGISTERED
            self.refs.append((out.value, ident))
        self.expect(*APPLE, code, CtlEventData(ctl_id=ident, ctl_unit=0).pack())

    # -- listening -------------------------------------------------------------------------

    @precondition(lambda self: len(self.listeners) < 5)
    @rule(n=index)
    def listen(self, n: int) -> None:
        pid = self.pids[n % len(self.pids)]
        errno, fd = self.call.socket(pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)
        assert errno == 0
        self.listeners.append(Listener(pid, [fd], max(self.mac.system.domain.sockets.live)))

    @precondition(lambda self: self.listeners)
    @rule(n=index, vendor=st.integers(0, 4), kev_class=small, subclass=small)
    def set_filter(self, n: int, vendor: int, kev_class: int, subclass: int) -> None:
        sock = self.listener(n)
        wanted = [0, c.KEV_VENDOR_APPLE, *sorted(self.vendors.values())]
        request = KevRequest(wanted[vendor % len(wanted)], kev_class, subclass)
        if request.vendor_code == c.KEV_VENDOR_APPLE and n % 2:
            request = KevRequest(*APPLE)
        argument = request.pack()
        assert self.call.ioctl(sock.pid, sock.fds[0], SIOCSKEVFILT, argument)[0] == 0
        sock.filter = (request.vendor_code, request.kev_class, request.kev_subclass)
        answer = self.call.ioctl(sock.pid, sock.fds[0], SIOCGKEVFILT, bytes(12))
        assert answer == (0, argument)

    @precondition(lambda self: self.listeners)
    @rule(n=index, value=st.sampled_from([1, 24, 300, 2000, 40000]))
    def resize(self, n: int, value: int) -> None:
        sock = self.listener(n)
        number = value.to_bytes(4, "little")
        errno, _ = self.call.setsockopt(sock.pid, sock.fds[0], c.SOL_SOCKET, c.SO_RCVBUF, number, 4)
        assert errno == 0
        sock.hiwat = value

    @precondition(lambda self: self.listeners)
    @rule(n=index, length=st.sampled_from([0, 10, 24, 300]), peek=st.booleans())
    def recv(self, n: int, length: int, peek: bool) -> None:
        sock = self.listener(n)
        flags = c.MSG_DONTWAIT | (c.MSG_PEEK if peek else 0)
        errno, (data, found) = self.call.recvmsg(sock.pid, sock.fds[-1], length, flags)
        if not sock.queue:
            assert (errno, data) == (e.EWOULDBLOCK if length else 0, b"")
            return
        whole = sock.queue[0].pack()
        assert (errno, data) == (0, whole[:length])
        assert bool(found & c.MSG_TRUNC) == (length < len(whole))
        if not peek:
            sock.queue.pop(0)

    @precondition(lambda self: self.listeners)
    @rule(n=index, duplicate=st.booleans())
    def dup_or_close(self, n: int, duplicate: bool) -> None:
        sock = self.listener(n)
        if duplicate:
            errno, fd = self.call.dup(sock.pid, sock.fds[0])
            assert errno == 0
            sock.fds.append(fd)
            return
        assert self.call.close(sock.pid, sock.fds.pop())[0] == 0
        if not sock.fds:
            self.listeners.remove(sock)

    # -- what holds after every rule -------------------------------------------------------

    @invariant()
    def queues_hold_the_events_of_the_model_in_order_of_id(self) -> None:
        sockets: dict[int, Any] = self.mac.system.domain.sockets.live
        for listener in self.listeners:
            rcv = sockets[listener.number].so_rcv
            queue = [b"".join(m.m_data for m in record) for record in rcv.records()]
            assert queue == [event.pack() for event in listener.queue]
            ids = [KernEventMsg.unpack(event).id for event in queue]
            assert all(earlier < later for earlier, later in pairwise(ids))
            assert rcv.sb_cc == sum(map(len, queue))
            assert rcv.sb_mbcnt == MBUF_MEMORY * len(queue)

    @invariant()
    def every_socket_answers_the_last_id_and_knows_the_vendors(self) -> None:
        for sock in self.listeners[:1]:
            _, ident = self.call.ioctl(sock.pid, sock.fds[0], SIOCGKEVID, bytes(4))
            assert int.from_bytes(ident, "little") == self.last_id
            for name in ("org.first", "org.second"):
                asked = KevVendorCode(0, name.encode()).pack()
                errno, answer = self.call.ioctl(sock.pid, sock.fds[0], SIOCGKEVVENDOR, asked)
                assert errno == (0 if name in self.vendors else e.ENOENT)
                assert errno or KevVendorCode.unpack(answer).vendor_code == self.vendors[name]

    @invariant()
    def counters_and_mbufs_are_those_of_the_model(self) -> None:
        stat = self.mac.statistics()
        assert stat.kevt["pcbcount"] == len(self.listeners) == stat.sockets
        assert stat.kevt["posted"] == self.posted
        assert stat.kevt["fullsock"] == self.full
        assert (stat.kevt["toobig"], stat.kevt["badvendor"]) == (self.toobig, self.bad)
        assert stat.mbufs == sum(len(listener.queue) for listener in self.listeners)

    @invariant()
    def the_fold_of_the_trace_is_the_snapshot(self) -> None:
        for entry in self.mac.trace.entries(self.folder.steps):
            self.folder.step(entry)
        assert self.folder.state == self.mac.snapshot()


def test_event_sockets_hear_what_their_filters_let_through_and_their_space_allows() -> None:
    bounds = settings(max_examples=60, stateful_step_count=40)
    run_state_machine_as_test(EventMachine, settings=bounds)
