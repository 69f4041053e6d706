"""Messages sent and received at once: they come to what ``mach_msg`` does step by step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.abi import mach as m
from kextlab.abi.mach_messages import MACH_MSGH_BITS, MachMsgHeader, pack_message, unpack_message
from kextlab.kernel import mach_traps
from kextlab.kernel.kernel import Kernel
from kextlab.osfmk.mach_msg_now import receive_now, send_now

COPY, ONCE, MAKE_ONCE = (
    m.MACH_MSG_TYPE_COPY_SEND,
    m.MACH_MSG_TYPE_MOVE_SEND_ONCE,
    m.MACH_MSG_TYPE_MAKE_SEND_ONCE,
)
SEND, RCV = m.MACH_SEND_MSG, m.MACH_RCV_MSG
NOWAIT = m.MACH_SEND_TIMEOUT | m.MACH_RCV_TIMEOUT
"""With a time-out of 0: nothing waits."""


class Task:
    """A process and the names it has: two receive rights with send rights, a set, and what came."""

    def __init__(self, mac: Kernel, sends: bool = True) -> None:
        self.mac = mac
        self.traps = mac.mach_traps
        self.pid = mac.start_process("task").pid
        self.names = [self.traps.port_allocate(self.pid, m.MACH_PORT_RIGHT_RECEIVE)[1]]
        self.names += [self.traps.port_allocate(self.pid, m.MACH_PORT_RIGHT_RECEIVE)[1]]
        for name in self.names:
            self.traps.port_insert_right(self.pid, name, name, m.MACH_MSG_TYPE_MAKE_SEND)
        self.names += [self.traps.port_allocate(self.pid, m.MACH_PORT_RIGHT_PORT_SET)[1]]
        self.names += [self.traps.port_allocate(self.pid, m.MACH_PORT_RIGHT_DEAD_NAME)[1]]
        self.names += [m.MACH_PORT_NULL, 0x7703]

    def message(self, remote: int, bits: int, local: int = 0, body: bytes = b"12345678") -> bytes:
        return pack_message(MachMsgHeader(bits, 0, remote, local, 0, 7), [], body)

    def msg(self, data: bytes | None, option: int, size: int = 256, name: int = 0) -> object:
        code, got = self.traps.mach_msg(self.pid, data, option | NOWAIT, size, name)
        if got and code == m.MACH_MSG_SUCCESS and option & RCV:
            remote = unpack_message(got)[0].msgh_remote_port
            if remote not in self.names:
                self.names.append(remote)
        return code, got


def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing is done at once."""
    monkeypatch.setattr(mach_traps, "send_now", lambda *_: False)
    monkeypatch.setattr(mach_traps, "receive_now", lambda *_: None)


Step = tuple[str, int, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["tell", "ask", "answer", "both", "receive", "odd", "short", "notify", "kill", "join"]
        ),
        *[st.integers(0, 8) for _ in range(4)],
    ),
    max_size=25,
)


def play(program: list[Step], recording: bool = True) -> tuple[list[object], object, object]:
    """What a program's calls answer, the trace, the state at the end."""
    mac = Kernel(trace=recording)
    task = Task(mac)
    said: list[object] = []

    def name(n: int) -> int:
        return task.names[n % len(task.names)]

    for what, a, b, c, d in program:
        if what in ("tell", "odd", "notify"):
            bits = {"odd": MACH_MSGH_BITS(COPY, m.MACH_MSG_TYPE_COPY_SEND)}.get(what, COPY)
            more = m.MACH_SEND_NOTIFY if what == "notify" else 0
            data = task.message(name(a), bits, name(b) if what == "odd" else 0, bytes(4 * c))
            said.append(task.msg(data, SEND | more))
        elif what == "short":
            said.append(task.msg(task.message(name(a), COPY, body=bytes(c)), SEND))
            said.append(task.msg(bytes(3 * c), SEND))
        elif what in ("ask", "both"):
            data = task.message(name(a), MACH_MSGH_BITS(COPY, MAKE_ONCE), name(b))
            option = SEND | (RCV if what == "both" else 0)
            said.append(task.msg(data, option, 256, name(c)))
        elif what == "answer":
            said.append(task.msg(task.message(name(a), ONCE, name(b) if d > 6 else 0), SEND))
        elif what == "receive":
            trailer = c % 4 << 24 if d > 5 else 0
            said.append(task.msg(None, RCV | trailer, 24 + 4 * b, name(a)))
            said.append(task.msg(None, RCV | trailer, 256, name(a)))
        elif what == "join":
            said.append(task.traps.port_insert_member(task.pid, name(a), name(2)))
        elif d > 6:
            said.append(task.traps.port_mod_refs(task.pid, name(a), c % 5, -1))
    return said, list(mac.trace.entries()) if recording else None, mac.snapshot()


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_same_calls_leave_the_same_answers_trace_and_state(program: list[Step]) -> None:
    at_once = play(program)
    with pytest.MonkeyPatch.context() as patched:
        step_by_step(patched)
        assert play(program) == at_once
    assert play(program, recording=False)[::2] == at_once[::2]


@pytest.mark.parametrize("recording", [True, False])
def test_a_question_and_its_answer_need_no_routine(
    monkeypatch: pytest.MonkeyPatch, recording: bool
) -> None:
    task = Task(Kernel(trace=recording))
    monkeypatch.setattr(mach_traps.MachTraps, "_mach_msg", None)
    service, reply = task.names[:2]
    task.msg(task.message(service, MACH_MSGH_BITS(COPY, MAKE_ONCE), reply), SEND)
    task.msg(None, RCV, 256, service)
    answers = task.names[-1]
    code, got = task.traps.mach_msg(task.pid, task.message(answers, ONCE), SEND | RCV, 256, reply)
    assert code == m.MACH_MSG_SUCCESS
    header, _, body = unpack_message(got)
    assert (header.msgh_local_port, header.msgh_id, body) == (reply, 7, b"12345678")
    task.msg(task.message(service, COPY, body=b""), SEND)
    assert task.msg(None, RCV, 32, service) == (
        m.MACH_MSG_SUCCESS,
        task.message(0, MACH_MSGH_BITS(0, m.MACH_MSG_TYPE_PORT_SEND), service, b"")
        + b"\0\0\0\0\x08\0\0\0",
    )


def test_who_waits_is_woken_and_a_set_hears_of_its_member() -> None:
    mac = Kernel()
    task = Task(mac)
    service, pset = task.names[0], task.names[2]
    task.traps.port_insert_member(task.pid, service, pset)
    task.msg(task.message(service, COPY), SEND)
    assert task.msg(None, RCV, 256, pset)[0] == m.MACH_MSG_SUCCESS  # type: ignore[index]
    task.msg(task.message(service, COPY), SEND)
    assert task.msg(None, RCV, 256, service)[0] == m.MACH_MSG_SUCCESS  # type: ignore[index]
    assert task.msg(None, RCV, 256, pset)[0] == m.MACH_RCV_TIMED_OUT  # type: ignore[index]


def test_what_is_not_usual_is_left_to_the_routine() -> None:
    mac = Kernel()
    task = Task(mac)
    service, other, _, dead = task.names[:4]
    ask = MACH_MSGH_BITS(COPY, MAKE_ONCE)
    unusual = [
        bytes(20),
        bytes(26),
        task.message(0x7703, COPY),
        task.message(service, COPY) + b"more",
        task.message(dead, COPY),
        task.message(service, ONCE),
        task.message(service, COPY, other),
        task.message(service, MACH_MSGH_BITS(COPY, COPY), other),
        task.message(service, ask, service),
        task.message(service, ask, 0x7703),
        task.message(service, ask, dead),
    ]
    process = mac.system.running[task.pid]
    space = process.space
    assert space is not None
    before = mac.snapshot()
    for data in unusual:
        assert not send_now(space, data, SEND, process.audit), data
    assert not send_now(space, task.message(service, COPY), m.MACH_SEND_NOTIFY, process.audit)
    for name in (0x7703, dead, service):
        assert receive_now(space, name, 256, RCV) is None
    assert mac.snapshot() == before
    task.msg(task.message(service, MACH_MSGH_BITS(COPY, COPY), other), SEND)
    before = mac.snapshot()
    assert receive_now(space, service, 256, RCV) is None  # its reply right is no send-once right
    assert receive_now(space, service, 31, RCV) is None
    assert receive_now(space, service, 256, RCV | m.MACH_RCV_TRAILER_AUDIT) is None
    assert mac.snapshot() == before


def test_the_last_send_right_and_a_full_queue_are_left_to_the_routine() -> None:
    mac = Kernel()
    task = Task(mac)
    service = task.names[0]
    process = mac.system.running[task.pid]
    space = process.space
    assert space is not None
    for _ in range(m.MACH_PORT_QLIMIT_DEFAULT):
        assert send_now(space, task.message(service, COPY), SEND, process.audit)
    assert not send_now(space, task.message(service, COPY), SEND, process.audit)
    task.traps.port_mod_refs(task.pid, service, m.MACH_PORT_RIGHT_SEND, -1)
    for _ in range(m.MACH_PORT_QLIMIT_DEFAULT - 1):
        assert receive_now(space, service, 256, RCV) is not None
    assert receive_now(space, service, 256, RCV) is None
