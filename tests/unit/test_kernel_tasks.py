"""Several tasks in one kernel: what the trace says of them, and where sleepers are woken."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.sched import KernelPanic, Recorded, Seeded, SimDeadlock, Sleep
from kextlab.sched.task import Task

Points = Generator[Sleep | None, int | None, Any]


class Lab:
    """A kernel with one control and one process; tasks are system calls as routines."""

    def __init__(self, stream: bool = False, chooser: Any = None, **callbacks: Any) -> None:
        self.mac = Kernel(chooser=chooser)
        self.kext = self.mac.load(Kext)
        self.kpi = self.kext.kpi
        flags = c.CTL_FLAG_REG_SOCK_STREAM if stream else 0
        self.type = c.SOCK_STREAM if stream else c.SOCK_DGRAM
        if "rcvd" in callbacks:
            flags |= c.CTL_FLAG_REG_EXTENDED
        if "setup" in callbacks:
            flags |= c.CTL_FLAG_REG_SETUP
        reg = KernCtlReg("control", ctl_flags=flags, ctl_connect=lambda *arguments: 0)
        for name, callback in callbacks.items():
            setattr(reg, f"ctl_{name}", callback)
        out = Out()
        assert self.kpi.ctl_register(reg, out) == 0
        self.ref, self.address = out.value, SockaddrCtl(sc_id=reg.ctl_id).pack()
        self.gate = self.mac.syscalls
        self.pid = self.mac.start_process("client").pid

    def socket(self) -> int:
        return self.gate.socket(self.pid, c.PF_SYSTEM, self.type, c.SYSPROTO_CONTROL)[1]

    def connected(self) -> int:
        fd = self.socket()
        assert self.gate.connect(self.pid, fd, self.address) == (0, None)
        return fd

    def task(self, *calls: tuple[Any, ...], name: str = "task") -> Task:
        """A task that makes those calls and returns their answers."""

        def body() -> Points:
            answers = []
            for call, *arguments in calls:
                if callable(call):
                    answers.append(call(*arguments))
                else:
                    answers.append((yield from self.gate.routine(self.pid, call, *arguments)))
            return answers

        return self.mac.system.tasks.spawn(name, self.pid, body())

    def queue(self, data: bytes) -> int:
        return self.kpi.ctl_enqueuedata(self.ref, 1, data, len(data), c.CTL_DATA_EOR)

    def kinds(self, start: int = 0) -> list[str]:
        return [event.kind for event in self.mac.trace.events(start)]


# -- the trace ---------------------------------------------------------------------------------


def test_a_task_is_an_object_of_the_trace_from_start_to_end() -> None:
    lab = Lab()
    fd = lab.connected()
    lab.task(("recvfrom", fd, 9, 0), name="reader")
    seen = [lab.mac.snapshot()["task:1"]]
    lab.mac.run()
    seen.append(lab.mac.snapshot()["task:1"])
    lab.queue(b"x")
    seen.append(lab.mac.snapshot()["task:1"])
    lab.mac.run()
    seen.append(lab.mac.snapshot()["task:1"])
    base = {"name": "reader", "pid": lab.pid, "channel": "", "wmesg": ""}
    asleep = {"state": "asleep", "channel": "so_rcv:1", "wmesg": "sbwait"}
    assert seen == [
        base | {"state": "runnable"},
        base | asleep,
        base | {"state": "runnable"},
        base | {"state": "done"},
    ]
    assert lab.mac.trace.state() == lab.mac.snapshot()
    assert "task:0" not in lab.mac.snapshot()


def test_a_switch_says_who_records_what_follows() -> None:
    lab = Lab()
    fd = lab.connected()
    one = lab.task(("recvfrom", fd, 9, 0))
    lab.task((lab.queue, b"x"))
    start = len(lab.mac.trace)
    lab.mac.run()
    assert one.result() == [(0, b"x")]
    lab.gate.poll(lab.pid, fd)
    told = [
        (event.task, event.kind, event.name)
        for event in lab.mac.trace.events(start)
        if event.kind in ("switch", "syscall", "kpi", "sleep")
    ]
    assert told == [
        (1, "switch", "1"),
        (1, "syscall", "recvfrom"),
        (1, "sleep", "so_rcv:1"),
        (2, "switch", "2"),
        (2, "kpi", "ctl_enqueuedata"),
        (1, "switch", "1"),
        (0, "switch", "0"),
        (0, "syscall", "poll"),
    ]


def test_a_return_closes_the_frame_of_its_own_task() -> None:
    lab = Lab()
    first, second = lab.connected(), lab.connected()
    for fd in (first, second):
        lab.task(("recvfrom", fd, 9, 0))
    lab.mac.run()
    lab.queue(b"one")
    lab.mac.run()
    [returned] = [
        event
        for event in lab.mac.trace.events()
        if event.value == b"one" and event.kind == "return"
    ]
    assert returned.cause is not None
    opened = list(lab.mac.trace.events())[returned.cause]
    assert (returned.task, opened.task, opened.arguments[0]) == (1, 1, first)


def test_stepping_and_running_leave_the_same_trace() -> None:
    def lab() -> Lab:
        lab = Lab(chooser=Seeded(3))
        fd = lab.connected()
        lab.task(("recvfrom", fd, 9, 0), ("close", fd))
        lab.task((lab.queue, b"x"), (lab.queue, b"y"))
        return lab

    run, stepped = lab(), lab()
    taken = run.mac.run()
    steps = 0
    while stepped.mac.step():
        steps += 1
    assert steps == taken
    assert list(stepped.mac.trace.entries()) == list(run.mac.trace.entries())


@pytest.mark.parametrize(
    "enters",
    [
        lambda lab: lab.gate.poll(lab.pid, 3),
        lambda lab: lab.gate.recvfrom(lab.pid, 3, 1, c.MSG_DONTWAIT),
        lambda lab: lab.gate.sendto(lab.pid, 3, b""),
        lambda lab: lab.kpi.ctl_enqueuedata(lab.ref, 1, b"x", 1, 0),
        lambda lab: lab.kpi.ctl_id_by_name("control"),
        lambda lab: lab.mac.start_process("other"),
        lambda lab: lab.mac.system.set_uid(lab.mac.system.processes[lab.pid], 0),
        lambda lab: lab.mac.load(type("Other", (Kext,), {})),
        lambda lab: lab.mac.system.tasks.signal(lab.pid, "SIGTERM"),
    ],
)
def test_whatever_comes_from_outside_after_tasks_ran_says_so(enters: Callable[[Lab], Any]) -> None:
    lab = Lab()
    lab.connected()
    lab.task(("shutdown", 3, 7))
    lab.mac.run()
    start = len(lab.mac.trace)
    enters(lab)
    events = list(lab.mac.trace.events(start))
    assert [event.kind for event in events].count("switch") == 1
    assert (events[0].kind, events[0].task) == ("switch", 0)
    assert {event.task for event in events} == {0}
    start = len(lab.mac.trace)
    lab.gate.poll(lab.pid, 3)
    assert "switch" not in lab.kinds(start)


def test_after_tasks_ran_a_pid_of_nobody_is_still_refused() -> None:
    lab = Lab()
    lab.task(("shutdown", 3, 7))
    lab.mac.run()
    with pytest.raises(ProcessLookupError, match="no process 5 in this boot"):
        lab.gate.poll(5, 3)
    assert lab.gate.poll(lab.pid, 9)[0] == e.EBADF


def test_without_a_trace_tasks_run_all_the_same() -> None:
    mac = Kernel(trace=False)
    said = []

    def body() -> Points:
        said.append((yield Sleep("", "sleep", deadline=5)))
        mac.system.tasks.signal(100, "SIGTERM")

    mac.system.tasks.spawn("a", 0, body())
    assert mac.run() == 2
    pid = mac.start_process("client").pid
    fd = mac.syscalls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)[1]
    assert mac.syscalls.recvfrom(pid, fd, 1) == (e.ENOTCONN, b"")
    assert mac.syscalls.select(pid, [], [], 5) == (0, ((), ()))
    assert said == [e.EWOULDBLOCK]
    assert "task:1" in mac.snapshot()


# -- the machine -------------------------------------------------------------------------------


def test_now_is_virtual_time_and_the_clock_is_in_the_trace() -> None:
    lab = Lab()
    lab.task(("select", (), (), 1_500_000_000))
    assert (lab.mac.run(until=1), lab.mac.now) == (1, 1.0)
    assert (lab.mac.run(), lab.mac.now) == (1, 1.5)
    assert lab.mac.snapshot()["kernel"]["clock"] == 1_500_000_000
    assert lab.mac.trace.state() == lab.mac.snapshot()


@pytest.mark.parametrize("until", ["1", []])
def test_until_is_a_number(until: Any) -> None:
    with pytest.raises(TypeError, match=r"^until = .*, expected seconds of virtual time$"):
        Kernel().run(until=until)


@pytest.mark.parametrize("until", [0.5, -1, float("nan"), float("inf")])
def test_until_is_not_in_the_past(until: float) -> None:
    mac = Kernel()
    mac.run(until=1)
    with pytest.raises(ValueError, match=r"^until = .* s: virtual time is 1.0 s already$"):
        mac.run(until=until)


def test_a_chooser_chooses() -> None:
    with pytest.raises(TypeError, match=r"^chooser = 5: expected Fifo\(\), Seeded"):
        Kernel(chooser=5)  # type: ignore[arg-type]


def test_choices_of_a_run_make_the_same_run() -> None:
    def run(chooser: Any) -> Kernel:
        lab = Lab(chooser=chooser)
        for _ in range(3):
            fd = lab.connected()
            lab.task(("recvfrom", fd, 9, 0), (lab.queue, b"y"), ("close", fd))
        lab.task((lab.queue, b"x"))
        lab.mac.run()
        return lab.mac

    mac = run(Seeded(11))
    assert len(mac.choices) > 2
    again = run(Recorded(mac.choices))
    assert again.choices == mac.choices
    assert list(again.trace.entries()) == list(mac.trace.entries())
    assert [task.done for task in mac.tasks] == [task.done for task in again.tasks]


def test_a_reboot_ends_all_tasks() -> None:
    lab = Lab()
    fd = lab.connected()
    task = lab.task(("recvfrom", fd, 9, 0))
    lab.mac.run()
    lab.mac.reboot()
    assert task.done
    with pytest.raises(ProcessLookupError):
        task.result()
    assert (lab.mac.tasks, lab.mac.choices, lab.mac.now) == ([], [], 0.0)
    assert lab.mac.run() == 0


# -- buffers -----------------------------------------------------------------------------------


def test_a_notebooks_call_waits_until_a_task_brings_data() -> None:
    lab = Lab()
    fd = lab.connected()
    lab.task((lab.queue, b"late"))
    assert lab.gate.recvfrom(lab.pid, fd, 9, 0) == (0, b"late")
    assert lab.mac.snapshot()["task:0"] == {
        "name": "notebook",
        "pid": 0,
        "state": "runnable",
        "channel": "",
        "wmesg": "",
    }
    assert lab.mac.trace.state() == lab.mac.snapshot()


def test_a_reader_waits_for_another_that_is_in_the_buffer() -> None:
    def rcvd(ref: int, unit: int, info: object, flags: int) -> Points:
        yield from lab.kpi.msleep("tape", "waiting")

    lab = Lab(rcvd=rcvd)
    fd = lab.connected()
    lab.queue(b"one")
    lab.queue(b"two")
    tasks = [lab.task(("recvfrom", fd, 9, 0)) for _ in range(3)]
    tasks.append(lab.task(("recvfrom", fd, 9, c.MSG_DONTWAIT)))
    lab.mac.run()
    assert [task.wmesg for task in tasks] == ["waiting", "sb_lock", "sb_lock", ""]
    assert tasks[3].result() == [(e.EAGAIN, b"")]
    for _ in range(3):
        lab.kpi.wakeup("tape")
        lab.mac.run()
    assert [task.result() for task in tasks[:2]] == [[(0, b"one")], [(0, b"two")]]
    assert (tasks[2].wmesg, tasks[2].channel) == ("sbwait", "so_rcv:1")


def test_a_sender_waits_for_another_that_is_in_the_buffer() -> None:
    def send(ref: int, unit: int, info: object, m: Mbuf, flags: int) -> Points:
        lab.kpi.mbuf_freem(m)
        yield from lab.kpi.msleep("tape", "waiting", 5)

    lab = Lab(send=send)
    fd = lab.connected()
    tasks = [lab.task(("sendto", fd, b"x", 0)) for _ in range(2)]
    lab.mac.run(until=0)
    assert [task.wmesg for task in tasks] == ["waiting", "sb_lock"]
    lab.mac.run()
    assert [task.result() for task in tasks] == [[(0, 1)], [(0, 1)]]
    assert lab.mac.system.tasks.clock.now == 10


def test_shutting_reading_waits_for_a_reader_in_the_middle_of_its_work() -> None:
    def rcvd(ref: int, unit: int, info: object, flags: int) -> Points:
        yield from lab.kpi.msleep("tape", "waiting", 5)

    lab = Lab(rcvd=rcvd)
    fd = lab.connected()
    lab.queue(b"one")
    reader = lab.task(("recvfrom", fd, 9, 0))
    shutter = lab.task(("shutdown", fd, c.SHUT_RD))
    lab.mac.run(until=0)
    assert (reader.wmesg, shutter.wmesg) == ("waiting", "sb_lock")
    lab.mac.run()
    assert (reader.result(), shutter.result()) == ([(0, b"one")], [(0, None)])


# -- descriptors -------------------------------------------------------------------------------


def test_a_close_wakes_who_sleeps_in_the_descriptor_and_that_is_ebadf() -> None:
    lab = Lab()
    fd = lab.connected()
    tasks = [lab.task(("recvfrom", fd, 9, 0)) for _ in range(2)]
    closer = lab.task(("close", fd))
    lab.mac.run()
    assert [task.result() for task in tasks] == [[(e.EBADF, b"")]] * 2
    assert closer.result() == [(0, None)]
    assert lab.mac.statistics().sockets == 0
    draining = [
        event
        for event in lab.mac.trace.events()
        for change in event.changes
        if change.new == "fpdrain"
    ]
    assert len(draining) == 1


def test_a_close_waits_for_calls_that_let_go_inside() -> None:
    for seed in range(20):
        lab = Lab(chooser=Seeded(seed))
        fd = lab.connected()
        sender = lab.task(("sendto", fd, b"x", 0))
        closer = lab.task(("close", fd))
        lab.mac.run()
        assert sender.result()[0][0] in (e.ENOTSUP, e.EBADF)
        assert closer.result() == [(0, None)]
        assert lab.mac.statistics().mbufs == 0


def test_who_waits_for_the_lock_of_a_closing_socket_gets_ebadf() -> None:
    def rcvd(ref: int, unit: int, info: object, flags: int) -> Points:
        yield from lab.kpi.msleep("tape", "waiting", 5)

    lab = Lab(rcvd=rcvd)
    fd = lab.connected()
    lab.queue(b"one")
    reader, second = (lab.task(("recvfrom", fd, 9, 0)) for _ in range(2))
    closer = lab.task(("close", fd))
    lab.mac.run()
    assert [task.result() for task in (reader, second, closer)] == [
        [(0, b"one")],
        [(e.EBADF, b"")],
        [(0, None)],
    ]


def test_a_duplicate_that_is_closed_leaves_the_other_alone() -> None:
    lab = Lab()
    fd = lab.connected()
    other = lab.gate.dup(lab.pid, fd)[1]
    reader = lab.task(("recvfrom", fd, 9, 0))
    lab.mac.run()
    assert lab.gate.close(lab.pid, other) == (0, None)
    lab.queue(b"x")
    lab.mac.run()
    assert reader.result() == [(0, b"x")]


# -- select ------------------------------------------------------------------------------------


def test_select_waits_for_any_of_its_descriptors() -> None:
    lab = Lab()
    fd, unconnected = lab.connected(), lab.socket()
    task = lab.task(("select", (fd,), (unconnected,), None))
    lab.mac.run()
    assert (task.channel, task.wmesg) == ("so_rcv:1, so_snd:2", "select")
    lab.gate.connect(lab.pid, unconnected, lab.address)
    lab.mac.run()
    assert task.result() == [(0, ((), (unconnected,)))]


def test_select_ends_with_its_time_or_with_a_bad_descriptor() -> None:
    lab = Lab()
    fd = lab.connected()
    assert lab.gate.select(lab.pid, [fd], [], 7) == (0, ((), ()))
    assert lab.gate.select(lab.pid, [fd], [fd], 7) == (0, ((), (fd,)))
    assert lab.gate.select(lab.pid, [fd], [9], 7) == (e.EBADF, ((), ()))
    assert lab.gate.select(lab.pid, [], [], 7) == (0, ((), ()))
    assert lab.mac.system.tasks.clock.now == 14
    task = lab.task(("select", (fd,), (), None))
    lab.mac.run()
    lab.gate.close(lab.pid, fd)
    lab.mac.run()
    assert task.result() == [(e.EBADF, ((), ()))]


# -- kernel control ----------------------------------------------------------------------------


def test_a_close_waits_for_the_callback_of_another_call_and_is_woken_when_it_leaves() -> None:
    def send(ref: int, unit: int, info: object, m: Mbuf, flags: int) -> Points:
        lab.kpi.mbuf_freem(m)
        return (yield from lab.kpi.msleep("tape", "waiting"))

    lab = Lab(send=send)
    fd = lab.connected()
    other = lab.gate.dup(lab.pid, fd)[1]
    sender = lab.task(("sendto", fd, b"x", 0))
    setter = lab.task(("setsockopt", other, c.SYSPROTO_CONTROL, 1, b"", 0))
    lab.mac.run()
    so = lab.mac.system.domain.sockets.live[1]

    def clears() -> Points:
        return (yield from so.so_proto._clear(so.so_pcb))  # type: ignore[attr-defined]

    clearer = lab.mac.system.tasks.spawn("clearer", lab.pid, clears())
    entering = lab.task(("sendmsg_x", other, [b"y"], 0))
    rcvd = lab.task(("setsockopt", other, c.SYSPROTO_CONTROL, 1, b"", 0))
    lab.mac.run()
    assert setter.done
    assert [task.wmesg for task in (sender, clearer, entering, rcvd)] == [
        "waiting",
        "kcb_usecount",
        "sb_lock",
        "kcb_require_clearing",
    ]
    lab.kpi.wakeup("tape")
    lab.mac.run()
    assert (sender.done, clearer.done, rcvd.done) == (True, True, False)
    so.so_proto._done(so.so_pcb)  # type: ignore[attr-defined]
    lab.mac.run()
    assert rcvd.done
    assert (entering.wmesg, so.so_pcb.kcb_usecount) == ("waiting", 1)


def test_a_call_waits_for_the_mutex_another_thread_holds_over_its_setup_callback() -> None:
    def setup(unit: Out, info: Out) -> Points:
        unit.value = 5
        return (yield from lab.kpi.msleep("tape", "waiting"))

    lab = Lab(setup=setup)
    fds = [lab.socket(), lab.socket()]
    first = lab.task(("connect", fds[0], lab.address))
    lab.mac.run()
    assert first.wmesg == "waiting"
    second = lab.task(("connect", fds[1], lab.address))
    waker = lab.task((lab.kpi.wakeup, "tape"))
    lab.mac.run()
    assert first.result() == [(0, None)]
    assert waker.done
    assert (second.wmesg, second.channel) == ("waiting", "tape")  # inside its own setup
    with pytest.raises(SimDeadlock, match=r"sleeps in lck_mtx on ctl_mtx.*Who waits for whom"):
        lab.kpi.ctl_id_by_name("control")


def test_nothing_interrupts_a_wait_for_the_mutex() -> None:
    def setup(unit: Out, info: Out) -> Points:
        unit.value = 5
        return (yield from lab.kpi.msleep("tape", "waiting"))

    lab = Lab(setup=setup)
    fds = [lab.socket(), lab.socket()]
    first = lab.task(("connect", fds[0], lab.address))
    second = lab.task(("connect", fds[1], lab.address))
    lab.mac.run()
    assert (first.wmesg, second.wmesg) == ("waiting", "lck_mtx")
    before = len(lab.mac.trace)
    lab.mac.system.tasks.kill(second)
    assert (second.wmesg, second.done) == ("lck_mtx", False)
    assert len(lab.mac.trace) == before  # it did not even look


def test_who_waits_for_the_mutex_in_a_kernel_function_comes_out_of_it_though_killed() -> None:
    def setup(unit: Out, info: Out) -> Points:
        unit.value = 5
        return (yield from lab.kpi.msleep("tape", "waiting"))

    lab = Lab(setup=setup)
    said: list[int] = []
    lab.task(("connect", lab.socket(), lab.address))
    lab.mac.run()
    asks = lab.task((lambda: said.append(lab.kpi.ctl_id_by_name("control")),))
    lab.task((lambda: lab.mac.system.tasks.kill(asks),), (lab.kpi.wakeup, "tape"))
    lab.mac.run()
    assert (said, asks.done) == ([1], True)


@pytest.mark.parametrize("sleeps", [False, True])
@pytest.mark.parametrize("in_task", [False, True])
@pytest.mark.parametrize(
    ("answer", "told"),
    [("x", "callback send returned 'x'"), (ValueError("x"), "ValueError in callback send")],
    ids=["answer", "fault"],
)
def test_a_fault_of_send_is_told_with_its_name(
    in_task: bool, sleeps: bool, answer: object, told: str
) -> None:
    def send(*arguments: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleeping(*arguments: object) -> Points:
        yield from lab.kpi.msleep("tape", "waiting", 5)
        return send()

    lab = Lab(send=sleeping if sleeps else send)
    fd = lab.connected()
    if in_task:
        lab.task(("sendto", fd, b"a"))
    with pytest.raises(KernelPanic, match=told):
        lab.mac.run() if in_task else lab.gate.sendto(lab.pid, fd, b"a")


def test_a_kext_unloaded_while_its_callback_sleeps_panics_when_it_wakes() -> None:
    def connect(ref: int, sac: SockaddrCtl, info: Out) -> Points:
        return (yield from lab.kpi.msleep("tape", "waiting", 5))

    lab = Lab(connect=connect)
    task = lab.task(("connect", lab.socket(), lab.address))
    lab.mac.run(until=0)
    lab.mac.unload(lab.kext)
    with pytest.raises(KernelPanic, match="kernel page fault"):
        lab.mac.run()
    assert task.done
    assert lab.mac.panic is not None


# -- kexts that sleep --------------------------------------------------------------------------


def test_a_kext_sleeps_until_another_call_wakes_it() -> None:
    def connect(ref: int, sac: SockaddrCtl, info: Out) -> Points:
        said.append((yield from lab.kpi.msleep("tape", "waiting")))
        return 0

    said: list[int] = []
    lab = Lab(connect=connect)
    task = lab.task(("connect", lab.socket(), lab.address))
    lab.mac.run()
    start = len(lab.mac.trace)
    lab.kpi.wakeup("tape")
    assert lab.kinds(start) == ["switch", "kpi", "change", "return"]
    lab.mac.run()
    assert (said, task.result()) == ([0], [(0, None)])


def test_a_kext_may_sleep_for_a_time() -> None:
    def connect(ref: int, sac: SockaddrCtl, info: Out) -> Points:
        return (yield from lab.kpi.msleep("tape", "waiting", 1_000))

    lab = Lab(connect=connect)
    assert lab.gate.connect(lab.pid, lab.socket(), lab.address)[0] == e.EWOULDBLOCK
    assert lab.mac.system.tasks.clock.now == 1_000


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda kpi: kpi.wakeup(5), r"^wakeup: channel is 5 \(int\); expected a str$"),
        (lambda kpi: next(kpi.msleep(5, "w")), r"^msleep: channel is 5 \(int\); expected a str$"),
        (
            lambda kpi: next(kpi.msleep("x", "w", 1.5)),
            r"^msleep: ts is 1.5 \(float\); expected nan",
        ),
    ],
)
def test_what_c_would_not_compile_is_refused(call: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call(Lab().kpi)


# -- deadlock ----------------------------------------------------------------------------------


def test_a_deadlock_says_who_could_wake_each_sleeper() -> None:
    def connect(ref: int, sac: SockaddrCtl, info: Out) -> Points:
        if sac.sc_unit == 2:
            yield from lab.kpi.msleep("tape", "waiting")
        return 0

    lab = Lab(connect=connect)
    fd, unconnected = lab.connected(), lab.socket()
    event = lab.gate.socket(lab.pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]
    lab.task(("connect", unconnected, lab.address), name="connects")
    lab.task(("recvfrom", event, 9, 0), name="listens")
    lab.task(("select", (), (lab.socket(),), None), name="selects")
    lab.mac.run()
    with pytest.raises(SimDeadlock) as caught:
        lab.gate.recvfrom(lab.pid, fd, 1)
    assert caught.value.graph == [
        ("notebook", "sbwait", "so_rcv:1", "Kext, or whoever makes it serve unit 1"),
        ("connects", "waiting", "tape", "a kext's wakeup('tape')"),
        ("listens", "sbwait", "so_rcv:3", "whoever posts an event its filter lets through"),
        ("selects", "select", "so_snd:4", "nobody: the socket has no control"),
    ]
    stops = [event for event in lab.mac.trace.events() if event.kind == "stop"]
    assert [(event.name, event.task) for event in stops] == [("deadlock", 0)]


def test_who_wakes_a_sleeper_on_other_things() -> None:
    lab = Lab()
    lab.connected()
    who = lab.mac.system.tasks.who
    lab.task(("poll_", 3), name="client")
    assert who(Sleep("so_rcv:1", "sb_lock")) == "the call that is in this buffer"
    assert who(Sleep("kcb:1", "kcb_usecount")) == "the call that is inside this client"
    assert who(Sleep("task:1", "await")) == "client, when it ends"
    assert (
        who(Sleep("task:9", "await", deadline=10**9)) == "a kext's wakeup('task:9') or time, at 1 s"
    )


def test_a_deadlock_closes_the_calls_of_its_own_task_only() -> None:
    lab = Lab()
    fd, other = lab.connected(), lab.connected()
    task = lab.task(("recvfrom", other, 9, 0))
    with pytest.raises(SimDeadlock):
        lab.gate.recvfrom(lab.pid, fd, 1)
    assert lab.kpi.ctl_enqueuedata(lab.ref, 2, b"x", 1, 0) == 0
    lab.mac.run()
    assert task.result() == [(0, b"x")]
    last = [event for event in lab.mac.trace.events() if event.kind == "return"][-1]
    assert last.cause is not None  # its frame was still open


# -- the end -----------------------------------------------------------------------------------


def test_a_panic_ends_all_tasks_and_is_told_once() -> None:
    def send(ref: int, unit: int, info: object, m: Mbuf, flags: int) -> int:
        raise ValueError("bug")

    lab = Lab(send=send)
    fd, other = lab.connected(), lab.connected()
    tasks = [lab.task(("recvfrom", other, 9, 0)), lab.task(("sendto", fd, b"x", 0))]
    with pytest.raises(KernelPanic, match="ValueError in callback send"):
        lab.gate.recvfrom(lab.pid, fd, 1)
    assert [task.state for task in tasks] == ["done", "done"]
    stops = [event for event in lab.mac.trace.events() if event.kind == "stop"]
    assert [(event.name, event.task) for event in stops] == [("panic", 2)]
    assert lab.mac.trace.state() == lab.mac.snapshot()
    with pytest.raises(KernelPanic):
        lab.mac.run()
    with pytest.raises(KernelPanic):
        lab.mac.step()


def test_a_choice_that_cannot_be_made_inside_a_call_ends_the_boot() -> None:
    lab = Lab(chooser=Recorded([("next", ("x", "y"), 0)]))
    fd = lab.connected()
    for _ in range(2):
        lab.task((lab.queue, b"x"))
    with pytest.raises(ValueError, match="choice 0 was recorded"):
        lab.gate.recvfrom(lab.pid, fd, 1)
    assert lab.mac.panic is not None
    assert "ChoiceError inside a call left it half done" in lab.mac.panic.text


def test_an_interrupt_inside_a_call_of_a_task_ends_the_boot() -> None:
    def connect(ref: int, sac: SockaddrCtl, info: Out) -> int:
        raise KeyboardInterrupt

    lab = Lab(connect=connect)
    lab.task(("connect", lab.socket(), lab.address))
    with pytest.raises(KeyboardInterrupt):
        lab.mac.run()
    assert lab.mac.panic is not None


def test_a_killed_process_leaves_the_kernel_first() -> None:
    lab = Lab()
    fd = lab.connected()
    task = lab.task(("recvfrom", fd, 9, 0), ("close", fd))
    lab.mac.run()
    assert lab.mac.system.tasks.exit(lab.pid) == []
    assert task.done
    stops = [event for event in lab.mac.trace.events() if event.kind == "stop"]
    assert [(event.name, event.task) for event in stops] == [("killed", 1)]
    assert lab.gate.close(lab.pid, fd) == (0, None)
    assert lab.mac.trace.state() == lab.mac.snapshot()


@pytest.mark.parametrize(
    "call", [("recvfrom", 9), ("recvmsg", 9), ("recvmsg_x", 9, 1)], ids=lambda call: call[0]
)
def test_a_pause_before_a_read_that_nothing_ends_is_interrupted(call: tuple[Any, ...]) -> None:
    name, *arguments = call
    lab = Lab()
    fd = lab.connected()
    lab.kpi.ctl_enqueuedata(lab.ref, 1, b"here", 4, 0)
    files = lab.mac.system.processes[lab.pid].descriptors
    files.before_read = lambda so: Sleep("nobody", "dead reader")
    with pytest.raises(SimDeadlock, match="dead reader"):
        getattr(lab.gate, name)(lab.pid, fd, *arguments)
    files.before_read = None
    assert lab.gate.recvfrom(lab.pid, fd, 9) == (0, b"here")
