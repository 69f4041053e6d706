"""The log: entries, events, states, rows."""

from dataclasses import FrozenInstanceError

import pytest

from kextlab.abi import constants as c
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched import KernelPanic
from kextlab.trace import Change, Folder, Trace, codes, log
from kextlab.trace.codes import NEW, RETURN, SET, SIGNAL, SLEEP, SYSCALL, WAKEUP


def story() -> Kernel:
    """A control that is registered, a socket that is made and closed."""
    mac = Kernel()
    kpi = mac.load(Kext).kpi
    kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *arguments: 0), Out())
    pid = mac.start_process("test").pid
    _, fd = mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    mac.syscalls.close(pid, fd)
    return mac


def test_entries_come_back_as_they_were_recorded() -> None:
    trace = Trace()
    assert trace.record is not None
    entries = [(SYSCALL, 100, "poll", 1, 3), (RETURN, 9, None), (WAKEUP, "rcv", 1)]
    for entry in entries:
        trace.record(entry)
    assert list(trace.entries()) == entries
    assert list(trace.entries(1, 2)) == entries[1:2]
    assert list(trace.entries(2, 99)) == entries[2:]
    assert len(trace) == 3
    trace.record((RETURN, 0, None))
    assert len(trace) == 4


def test_a_trace_that_is_off_has_nothing_to_record_with() -> None:
    trace = Trace(recording=False)
    assert trace.record is None
    assert (len(trace), list(trace.events()), trace.state()) == (0, [], {})


def test_the_state_at_a_step_is_what_the_changes_up_to_it_add_up_to() -> None:
    mac = story()
    trace = mac.trace
    assert trace.state(0) == {}
    assert trace.state() == trace.state(len(trace)) == mac.snapshot()
    event = next(e for e in trace.events() if e.name == "socket")
    assert "socket:1" not in trace.state(event.step)
    assert "socket:1" in trace.state(event.step + 2)


@pytest.mark.parametrize("step", [-1, 10**6])
def test_a_step_outside_the_trace_is_an_index_error_that_says_the_range(step: int) -> None:
    trace = story().trace
    with pytest.raises(
        IndexError, match=rf"step {step:,} is outside this trace: 0 to {len(trace)}"
    ):
        trace.state(step)


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints stand close together, so that short traces have many."""
    monkeypatch.setattr(log, "SPACING", 7)


def checkpoints(trace: Trace) -> list[int]:
    return [folder.steps for folder in trace._checkpoints]


@pytest.mark.usefixtures("close")
@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_from_the_checkpoints_every_state_is_the_one_from_the_beginning(order: int) -> None:
    trace = story().trace
    for step in range(len(trace) + 1)[::order]:
        assert trace.state(step) == Folder().fold(trace.entries(0, step))
    assert len(checkpoints(trace)) > 2


@pytest.mark.usefixtures("close")
def test_events_from_the_checkpoints_are_those_from_the_beginning() -> None:
    trace = story().trace
    folder = Folder()
    every = [folder.step(entry) for entry in trace.entries()]
    for start in range(len(trace) + 2):
        assert list(trace.events(start)) == every[start:]
    assert list(trace.events(3, 2)) == list(trace.events(10**6)) == []
    assert list(trace.events(-5, 3)) == every[:3]


@pytest.mark.usefixtures("close")
def test_a_state_is_the_readers_own() -> None:
    trace = story().trace
    before = [trace.state(step) for step in range(len(trace) + 1)]
    for state in [trace.state(step) for step in range(len(trace) + 1)]:
        for fields in state.values():
            fields.clear()
        state.clear()
    assert [trace.state(step) for step in range(len(trace) + 1)] == before


@pytest.mark.usefixtures("close")
def test_a_trace_that_grows_keeps_the_checkpoints_it_has() -> None:
    mac = story()
    mac.trace.state()
    before = checkpoints(mac.trace)
    for _ in range(5):
        mac.syscalls.socket(100, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
        assert mac.trace.state() == mac.snapshot()
    assert checkpoints(mac.trace)[: len(before)] == before
    assert len(checkpoints(mac.trace)) > len(before)


@pytest.mark.usefixtures("close")
def test_checkpoints_hold_at_most_two_references_a_step() -> None:
    mac = story()
    for number in range(200):
        mac.start_process(f"process {number}")
    mac.trace.state()
    held = sum(len(folder.state) for folder in mac.trace._checkpoints)
    assert 0 < held <= 2 * len(mac.trace)


def test_a_copy_of_a_folder_goes_its_own_way() -> None:
    folder = Folder()
    folder.step((NEW, "a", 1, "b", 1))
    folder.step((SYSCALL, 100, "poll", 0))
    twin = folder.copy()
    twin.step((SET, "a", "b", 2))
    assert folder.step((SET, "a", "b", 3)).changes == (Change("a", "b", 1, 3),)
    assert (folder.state, twin.state) == ({"a": {"b": 3}}, {"a": {"b": 2}})
    assert twin.step((RETURN, 0, None)).cause == folder.step((RETURN, 0, None)).cause == 1


def test_events_from_a_later_step_know_the_old_values() -> None:
    trace = story().trace
    every = list(trace.events())
    assert list(trace.events(10, 20)) == every[10:20]
    assert [event.step for event in every] == list(range(len(trace)))


def test_a_frame_is_the_cause_of_what_happens_until_it_returns() -> None:
    events = list(story().trace.events())
    opened = next(e for e in events if e.name == "socket")
    inside = [e for e in events if e.cause == opened.step]
    assert (opened.kind, opened.actor, opened.cause) == ("syscall", "proc:100", None)
    assert {e.actor for e in inside if e.kind == "change"} == {"kernel"}
    assert (inside[-1].kind, inside[-1].errno, inside[-1].value) == ("return", 0, 3)


def test_what_a_kexts_routine_does_is_done_by_the_kext() -> None:
    class Registers(Kext):
        def start(self) -> int:
            return self.kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *arguments: 0), Out())

    mac = Kernel()
    mac.load(Registers)
    events = {event.name: event for event in mac.trace.events() if event.name}
    assert events["start"].actor == "kernel"
    assert events["ctl_register"].actor == "kext:Registers"
    assert events["ctl_register"].cause == events["start"].step


def test_rows_are_the_changes_one_by_one_with_old_and_new() -> None:
    rows = list(story().trace.rows())
    step, actor, cause, thing, field, old, new = next(
        r for r in rows if r[4] == "reg_count" and r[6]
    )
    assert (actor, thing, old, new) == ("kernel", "kctlstat", 0, 1)
    assert cause is not None
    assert step > cause
    assert all(len(row) == 7 for row in rows)
    assert field == "reg_count"


def test_a_deleted_object_gives_its_last_values() -> None:
    rows = [row[3:] for row in story().trace.rows()]
    assert ("fd:100:3", "socket", None, 1) in rows
    assert ("fd:100:3", "socket", 1, None) in rows


def test_what_moves_through_the_queues_adds_up_to_the_snapshot() -> None:
    mac = Kernel()
    kpi = mac.load(Kext).kpi
    ref = Out()
    kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *a: 0), ref)
    pid = mac.start_process("test").pid
    _, fd = mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    mac.syscalls.connect(pid, fd, SockaddrCtl(sc_id=1).pack())
    mac.system.domain.sockets.live[1].set("so_options", c.SO_DONTTRUNC)
    for size in (100, 20, 30, 600):  # two mbufs, copied behind them, a record more, a cluster
        flags = c.CTL_DATA_EOR if size == 20 else 0
        assert kpi.ctl_enqueuedata(ref.value, 1, bytes(size), size, flags) == 0
        assert mac.trace.state() == mac.snapshot()
    for length in (30, 50, 10, 100, 1000, 1000):
        mac.syscalls.recvfrom(pid, fd, length, c.MSG_DONTWAIT)
        assert mac.trace.state() == mac.snapshot()
    assert mac.statistics().mbufs == 0


def test_a_panic_closes_every_frame_without_a_return() -> None:
    mac = Kernel()
    kpi = mac.load(Kext).kpi
    kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *a: 1 // 0), Out())
    pid = mac.start_process("test").pid
    _, fd = mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    with pytest.raises(KernelPanic):
        mac.syscalls.connect(pid, fd, SockaddrCtl(sc_id=1).pack())
    assert mac.trace.state() == mac.snapshot()
    events = list(mac.trace.events())
    connect = next(event for event in events if event.name == "connect")
    after = [event.kind for event in events[connect.step :]]
    assert after.count("stop") == 1
    assert "return" not in after
    folder = Folder()
    folder.fold(mac.trace.entries())
    assert folder.step((WAKEUP, "rcv", 1)).cause is None


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ((WAKEUP, "rcv", 4), "wakeup"),
        ((SIGNAL, 100, "SIGPIPE"), "signal"),
        ((SLEEP, "so_rcv:1", "sbwait"), "sleep"),
    ],
)
def test_a_note_changes_nothing(entry: tuple[int, object, object], kind: str) -> None:
    folder = Folder()
    event = folder.step(entry)
    assert (event.kind, event.changes, folder.state) == (kind, (), {})
    assert entry[2] in (event.name, *event.arguments)


def test_a_return_without_a_frame_is_the_kernels() -> None:
    event = Folder().step((RETURN, 0, 5))
    assert (event.kind, event.actor, event.cause, event.value) == ("return", "kernel", None, 5)


def test_an_unknown_entry_is_refused_and_says_why() -> None:
    trace = Trace()
    assert trace.record is not None
    trace.record((9999, 1))
    with pytest.raises(ValueError, match="another version of kextlab"):
        len(trace)
    with pytest.raises(ValueError, match="another version of kextlab"):
        Folder().step((9999, 1))


def test_events_and_changes_cannot_be_changed() -> None:
    event = next(iter(story().trace.events()))
    with pytest.raises(FrozenInstanceError):
        event.step = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        event.changes[0].new = 5  # type: ignore[misc]


def test_a_change_of_a_field_knows_both_values() -> None:
    folder = Folder()
    folder.state["a"] = {"b": 1}
    assert folder.step((SET, "a", "b", 2)).changes == (Change("a", "b", 1, 2),)


def test_a_trace_shows_its_length() -> None:
    trace = Trace()
    assert repr(trace) == "<Trace, 0 steps>"
    assert trace.record is not None
    trace.record((WAKEUP, "rcv", 1))
    assert repr(trace) == "<Trace, 1 step>"


def test_a_trace_shows_how_long_it_is() -> None:
    assert "0" in repr(Trace())
    trace = story().trace
    assert str(len(trace)) in repr(trace)


# -- tasks -------------------------------------------------------------------------------------


def task_story() -> Trace:
    """Two tasks in the middle of calls; one ends by a deadlock, then the kernel panics."""
    trace = Trace()
    for entry in (
        (codes.SYSCALL, 100, "recvfrom", 0),
        (codes.SWITCH, 1),
        (codes.SYSCALL, 101, "sendto", 0),
        (codes.SWITCH, 0),
        (codes.RETURN, 0, None),
        (codes.SYSCALL, 100, "poll", 0),
        (codes.STOP, "deadlock", "why"),
        (codes.SWITCH, 1),
        (codes.CALLBACK, "kext", "send", 0),
        (codes.STOP, "panic", "why"),
        (codes.SWITCH, 0),
        (codes.SIGNAL, 100, "SIGTERM"),
    ):
        assert trace.record is not None
        trace.record(entry)
    return trace


def test_every_task_has_frames_of_its_own() -> None:
    seen = [(event.task, event.kind, event.cause) for event in task_story().events()]
    assert seen == [
        (0, "syscall", None),
        (1, "switch", None),
        (1, "syscall", None),
        (0, "switch", None),
        (0, "return", 0),
        (0, "syscall", None),
        (0, "stop", 5),
        (1, "switch", None),
        (1, "callback", 2),
        (1, "stop", 8),
        (0, "switch", None),
        (0, "signal", None),
    ]


def test_a_panic_closes_the_frames_of_all_tasks() -> None:
    folder = Folder()
    for entry in (
        (codes.SYSCALL, 100, "recvfrom", 0),
        (codes.SWITCH, 1),
        (codes.STOP, "panic", "why"),
        (codes.SWITCH, 0),
    ):
        folder.step(entry)
    assert folder.step((codes.SIGNAL, 100, "SIGTERM")).cause is None
    assert folder.task == 0
