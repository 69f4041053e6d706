"""Local sockets against a naive model: no byte is lost, moved or doubled, no descriptor either.

The machine's trace is added up and compared with its own account after every single entry; a call
that is refused leaves everything as it was.
"""

import os
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from test_fold import CheckedSystem, CheckedTrace

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.un import cmsg, cmsgs, sockaddr_un
from kextlab.bsd.kern_descrip import File
from kextlab.bsd.mbuf import TypedMbuf
from kextlab.kernel import system as system_module
from kextlab.kernel.kernel import Kernel

EXPLORING = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 1
PATHS = [b"/tmp/a", b"/tmp/b"]
sizes = st.one_of(st.integers(0, 40), st.integers(0, 3000), st.sampled_from([2048, 8192, 9000]))


def pattern(start: int, size: int) -> bytes:
    """The bytes of a stream from ``start`` on: a lost, doubled or moved one shows."""
    return bytes((7 * at + at // 251) % 256 for at in range(start, start + size))


class End:
    """One socket as the model sees it: what it has sent, what it has got, who the other is."""

    def __init__(self, pid: int, fd: int, stream: bool) -> None:
        self.pid = pid
        self.fd = fd
        self.stream = stream
        self.sent = 0
        self.got = 0
        self.queue: list[bytes] = []
        self.peer: End | None = None
        self.open = True


class LocalMachine(RuleBasedStateMachine):
    ends = Bundle("ends")
    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.mac = Kernel()
        self.pids = [self.mac.start_process(name, 501).pid for name in ("a", "b")]
        self.gate = self.mac.syscalls
        self.every: list[End] = []
        self.waiting: dict[int, list[End]] = {}
        self.extra = 0
        """Descriptors received or on their way."""

    def refused(self, errno: int, before: object) -> None:
        """Nothing is left of it but, perhaps, the end of an error that was pending."""
        assert errno
        after = self.mac.snapshot()
        assert isinstance(before, dict)
        for name, fields in after.items():
            ours = before[name] if not name.startswith("socket:") else fields
            assert fields == ours, name
        assert after.keys() == before.keys()

    def end(self, pid: int, fd: int, stream: bool) -> End:
        made = End(pid, fd, stream)
        self.every.append(made)
        return made

    # -- making connections ----------------------------------------------------------------

    @rule(target=ends, who=st.integers(0, 1), stream=st.booleans())
    def pair(self, who: int, stream: bool) -> End:
        pid, type_ = self.pids[who], c.SOCK_STREAM if stream else c.SOCK_DGRAM
        errno, (one, two) = self.gate.socketpair(pid, c.AF_UNIX, type_, 0)
        assert errno == 0
        first, second = self.end(pid, one, stream), self.end(pid, two, stream)
        first.peer, second.peer = second, first
        return first

    @rule(
        target=listeners, who=st.integers(0, 1), path=st.sampled_from(PATHS), room=st.integers(1, 3)
    )
    def listen(self, who: int, path: bytes, room: int) -> tuple[int, int, bytes]:
        pid = self.pids[who]
        self.gate.unlink(pid, path)
        _, fd = self.gate.socket(pid, c.AF_UNIX, c.SOCK_STREAM, 0)
        assert self.gate.bind(pid, fd, sockaddr_un(path)) == (0, None)
        assert self.gate.listen(pid, fd, room) == (0, None)
        self.waiting[pid << 16 | fd] = []
        return pid, fd, path

    @rule(target=ends, where=listeners, who=st.integers(0, 1))
    def connect(self, where: tuple[int, int, bytes], who: int) -> End:
        pid = self.pids[who]
        _, fd = self.gate.socket(pid, c.AF_UNIX, c.SOCK_STREAM, 0)
        made = self.end(pid, fd, True)
        errno, _ = self.gate.connect(pid, fd, sockaddr_un(where[2]))
        assert errno in (0, e.ENOENT, e.ECONNREFUSED)
        if not errno:  # whoever listens at that path now has it in the queue
            listener = self.listener_at(where[2])
            other = End(0, -1, True)
            made.peer, other.peer = other, made
            self.waiting[listener].append(other)
        return made

    def listener_at(self, path: bytes) -> int:
        node = self.mac.system.domain.sockets.names.paths[path]
        (found,) = [
            pid << 16 | fd
            for pid in self.pids
            for fd, file in self.mac.system.processes[pid].descriptors.files.items()
            if file.so.number == node.v_socket and pid << 16 | fd in self.waiting
        ]
        return found

    @rule(target=ends, where=listeners)
    def accept(self, where: tuple[int, int, bytes]) -> End:
        pid, fd, _ = where
        queue = self.waiting[pid << 16 | fd]
        if not queue:
            return self.pair(0, True)
        errno, (got, _) = self.gate.accept(pid, fd)
        assert errno == 0
        made = queue.pop(0)
        made.pid, made.fd = pid, got
        self.every.append(made)
        return made

    @rule(where=consumes(listeners))
    def stop_listening(self, where: tuple[int, int, bytes]) -> None:
        pid, fd, _ = where
        assert self.gate.close(pid, fd) == (0, None)
        for end in self.waiting.pop(pid << 16 | fd):
            self.gone(end)

    def gone(self, end: End) -> None:
        end.open = False
        end.queue = []
        if end.peer is not None:
            end.peer.peer = None
            end.peer = None

    # -- data ------------------------------------------------------------------------------

    @rule(end=ends, size=sizes, back=st.booleans(), fds=st.integers(0, 2))
    def send(self, end: End, size: int, back: bool, fds: int) -> None:
        sender = end.peer if back and end.peer is not None and end.peer.fd != -1 else end
        if not sender.open:
            return
        data, control = pattern(sender.sent, size), None
        if fds:
            fd = sender.fd.to_bytes(4, "little")
            control = cmsg(c.SOL_SOCKET, c.SCM_RIGHTS, fd * fds)
        before, receiver = self.mac.snapshot(), sender.peer
        errno, sent = self.gate.sendmsg(sender.pid, sender.fd, [data], c.MSG_NBIO, None, control)
        if errno:
            self.refused(errno, before)
            return
        assert receiver is not None
        assert sent == size or sender.stream
        sender.sent += sent
        if sender.stream:
            receiver.queue.append(data[:sent])
        else:
            receiver.queue.append(data)
        self.extra += fds

    @rule(end=ends, size=sizes, room=st.sampled_from([None, 0, 16, 200]))
    def receive(self, end: End, size: int, room: int | None) -> None:
        if not end.open or end.fd == -1:
            return
        before = self.mac.snapshot()
        errno, value = self.gate.recvmsg(end.pid, end.fd, size, c.MSG_DONTWAIT, room)
        if errno:
            self.refused(errno, before)
            return
        data = value[0]
        if room is not None:
            for item in cmsgs(value[2]):
                assert item.type == c.SCM_RIGHTS
        if end.stream:
            waiting = b"".join(end.queue)
            assert waiting.startswith(data)
            assert data or not size or not waiting
            end.queue = [waiting[len(data) :]]
        elif end.queue:
            assert data == end.queue.pop(0)[:size]

    @rule(end=consumes(ends))
    def close(self, end: End) -> None:
        if not end.open:
            return
        assert self.gate.close(end.pid, end.fd)[0] == 0
        files = self.mac.system.processes[end.pid].descriptors.files
        if end.fd not in files:
            end.open = False

    # -- what holds always -----------------------------------------------------------------

    @invariant()
    def every_open_file_is_counted(self) -> None:
        held: Counter[File] = Counter()
        for process in self.mac.system.processes.values():
            held.update(process.descriptors.files.values())
        for m in self.mac.system.domain.pool.live.values():
            if isinstance(m, TypedMbuf):
                held.update(m.rights)
        assert all(file.count == count for file, count in held.items())
        sockets = self.mac.system.domain.sockets.live.values()
        queued = {so.number for head in sockets for so in head.so_comp}
        assert {file.so.number for file in held} | queued == {so.number for so in sockets}

    @invariant()
    def no_mbuf_is_nobodys(self) -> None:
        assert self.mac.system.domain.pool.owned_by("kernel") == []

    @invariant()
    def what_is_not_read_is_what_the_sender_lacks(self) -> None:
        for so in self.mac.system.domain.sockets.live.values():
            unp = so.so_pcb
            if so.so_type == c.SOCK_STREAM and unp.unp_conn is not None:
                assert unp.unp_cc == so.so_rcv.sb_cc
                assert unp.unp_mbcnt == so.so_rcv.sb_mbcnt


def test_bytes_and_descriptors_are_conserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_module, "Trace", CheckedTrace)
    monkeypatch.setattr("kextlab.kernel.kernel.System", CheckedSystem)
    examples = settings(max_examples=25 * EXPLORING, stateful_step_count=30)
    run_state_machine_as_test(LocalMachine, settings=examples)


def test_the_same_calls_leave_the_same_trace() -> None:
    def trace() -> list[object]:
        machine = LocalMachine()
        where = machine.listen(0, PATHS[0], 2)
        ours = machine.connect(where, 1)
        theirs = machine.accept(where)
        machine.send(ours, 3000, False, 2)
        machine.receive(theirs, 100, 200)
        machine.close(ours)
        return list(machine.mac.trace.entries())

    assert trace() == trace()
