"""The log: subject first, verb in the present, numbers with their units."""

from collections.abc import Callable
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import CTLIOCGCOUNT, CTLIOCGINFO, SIOCSKEVFILT, CtlInfo, KevRequest
from kextlab.kernel.kext import KextError
from kextlab.kexts import EchoKext
from kextlab.sched.stop import KernelPanic, SimDeadlock
from kextlab.views import log
from tests.unit.scene_machines import Dropping
from tests.unit.views_machines import Forgetful, Stream, Thorough, client, echoing, panicked


def refused(call: Callable[[], object], errno: int) -> None:
    """The call raises OSError with that errno of Darwin's."""
    with pytest.raises(OSError, match=rf"\[Errno {errno}\]"):
        call()


def said(mac: Kernel) -> list[str]:
    return [line.text for line in log(mac.trace)]


def test_a_message_and_its_echo() -> None:
    mac, s = echoing()
    before = len(mac.trace)
    s.send(bytes(128))
    s.recv(4096)
    assert [(line.depth, line.text) for line in log(mac.trace, before)] == [
        (0, "client calls send(fd 3) with 128 bytes."),
        (1, "kern_control runs echo's send callback for unit 1."),
        (2, "echo queues 128 bytes for unit 1; 128 of 8,192 bytes are now in use."),
        (0, "send returns 128 to client."),
        (0, "client calls recv(fd 3) with room for 4,096 bytes."),
        (0, "recv returns 128 bytes to client."),
    ]


def test_a_full_buffer_and_the_refusal_after_it() -> None:
    mac, _ = echoing(*[2048] * 4, 2048)
    lines = said(mac)
    assert "echo queues 2,048 bytes for unit 1; the buffer is now exactly full." in lines
    assert lines[-3:] == [
        "The kernel refused 2,048 bytes: only 0 of 8,192 bytes are free in unit 1's receive buffer "
        "(ENOBUFS). Nothing was queued; the kext must keep or drop it.",
        "echo's send callback answers ENOBUFS.",
        "send(fd 3) returns ENOBUFS to client.",
    ]


def test_looking_up_and_connecting() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    s = client(mac)
    assert said(mac) == [
        "The kernel runs echo's start routine.",
        "echo registers org.kextlab.echo; the kernel gives it control id 1.",
        "client calls socket for a datagram socket to a kernel control.",
        "socket returns descriptor 3 to client.",
        "client calls ioctl(fd 3, CTLIOCGINFO) to look up org.kextlab.echo.",
        "ioctl returns to client: org.kextlab.echo is control id 1.",
        "client calls connect(fd 3) to connect to control id 1, any free unit.",
        "kern_control runs echo's connect callback for unit 1.",
        "connect returns to client, which is unit 1 of org.kextlab.echo now.",
    ]
    s.close()
    assert said(mac)[-1] == "close returns to client; fd 3 is free again."


@pytest.mark.parametrize(
    ("address", "errno", "sentence"),
    [
        (
            (9, 0),
            2,
            "The kernel refused connect(fd 3): there is no control id 9 (ENOENT). The socket is "
            "unchanged and may try again.",
        ),
        (
            (1, 1),
            16,
            "The kernel refused connect(fd 3): unit 1 of org.kextlab.echo is taken (EBUSY). The "
            "socket is unchanged and may ask for another unit.",
        ),
    ],
)
def test_a_connect_is_refused_with_the_reason(
    address: tuple[int, int], errno: int, sentence: str
) -> None:
    mac, first = echoing()
    s = client(mac, control=None)
    refused(lambda: s.connect(address), errno)
    assert said(mac)[-1] == sentence
    assert first.fileno() == 3


def test_a_second_connect_is_refused_with_the_reason() -> None:
    mac, s = echoing()
    refused(lambda: s.connect((1, 0)), 56)
    assert said(mac)[-1] == (
        "The kernel refused connect(fd 3): the socket is connected already (EISCONN)."
    )


def test_a_privileged_control_is_for_root() -> None:
    mac = Kernel()
    mac.load(lambda: Stream("org.kextlab.root", 1))
    with pytest.raises(PermissionError):
        client(mac, control="org.kextlab.root")
    assert (
        "The kernel refused connect(fd 3): org.kextlab.root is privileged and client runs as uid "
        "501 (EPERM). The socket is unchanged; a root process may connect."
    ) in said(mac)


def test_the_other_socket_type_is_refused() -> None:
    mac = Kernel()
    mac.load(Stream)
    s = client(mac, control=None)
    refused(lambda: s.connect((1, 0)), 41)
    assert "takes the other socket type, stream or datagram (EPROTOTYPE)" in said(mac)[-1]


def test_a_name_that_is_not_there() -> None:
    mac, s = echoing()
    with pytest.raises(FileNotFoundError):
        mac.processes[0].fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named("org.kextlab.eco").pack())
    assert said(mac)[-1] == (
        "The kernel refused ioctl(fd 3): no control is called org.kextlab.eco (ENOENT)."
    )
    mac.processes[0].fcntl.ioctl(s, CTLIOCGCOUNT, bytes(4))
    assert said(mac)[-2] == "client calls ioctl(fd 3, CTLIOCGCOUNT) to count the controls."


@pytest.mark.parametrize(
    ("call", "errno", "why"),
    [
        (lambda s: s.send(bytes(2049)), 40, "2,049 bytes are more than the send buffer takes"),
        (lambda s: s.shutdown(1), 102, "operation not supported on socket (EOPNOTSUPP)"),
    ],
)
def test_other_refusals_have_a_reason(
    call: Callable[[object], object], errno: int, why: str
) -> None:
    mac, s = echoing()
    refused(lambda: call(s), errno)
    assert why in said(mac)[-1]


def test_that_nothing_is_there_yet_is_an_answer_and_no_loss() -> None:
    mac, s = echoing()
    refused(lambda: s.recv(1, 0x80), 35)
    last = log(mac.trace).lines[-1]
    assert last.text == (
        "recv(fd 3) returns EAGAIN to client: nothing is queued and the call must not wait."
    )
    assert last.world == "user"


def test_unloading_with_a_client_is_refused() -> None:
    mac, s = echoing()
    with pytest.raises(KextError):
        mac.unload(mac.kexts()[0])
    assert said(mac)[-3:] == [
        "The kernel runs echo's stop routine.",
        "The kernel refused ctl_deregister: org.kextlab.echo still has 1 client (EBUSY).",
        "echo's stop routine answers EBUSY, so the kext stays loaded.",
    ]
    assert s.fileno() == 3


def test_a_name_can_be_registered_once() -> None:
    mac = Kernel()
    mac.load(EchoKext)

    class Same(EchoKext):
        bundle_id = "org.kextlab.same"

    with pytest.raises(KextError):
        mac.load(Same)
    assert said(mac)[-2:] == [
        "The kernel refused ctl_register: a control called org.kextlab.echo is registered already "
        "(EEXIST).",
        "same's start routine answers EEXIST, so the kext is not loaded.",
    ]


def test_a_connect_callback_that_refuses() -> None:
    class Closed(EchoKext):
        def connect(self, kctlref: object, sac: object, unitinfo: object) -> int:
            return 16

    mac = Kernel()
    mac.load(Closed)
    refused(lambda: client(mac), 16)
    lines = said(mac)
    assert "echo's connect callback answers EBUSY, so the kernel calls disconnect for unit 1." in (
        lines
    )
    assert "connect(fd 3) returns EBUSY to client." in lines


def test_an_enqueue_to_nobody() -> None:
    mac, s = echoing()
    echo = mac.kexts()[0]
    assert isinstance(echo, EchoKext)
    echo.kpi.ctl_enqueuedata(echo.ctlref.value, 7, b"x", 1, 0)
    assert said(mac)[-1] == "The kernel refused ctl_enqueuedata: no client has unit 7 (EINVAL)."
    assert s.fileno() == 3


def test_a_panic_because_the_code_is_gone() -> None:
    assert said(panicked())[-1] == (
        "Panic, kernel page fault: echo was unloaded without ctl_deregister, and org.kextlab.echo "
        "points into its code. The Mac stops here; mac.reboot() starts again."
    )


def test_a_panic_because_of_a_stale_reference() -> None:
    mac = Kernel()
    kext = mac.load(Thorough)
    with pytest.raises(KernelPanic):
        mac.unload(kext)
    assert "echo calls ctl_deregister with a reference whose slot is empty" in said(mac)[-1]


def test_a_call_that_sleeps_for_ever() -> None:
    mac, s = echoing()
    with pytest.raises(SimDeadlock):
        s.recv(100)
    assert said(mac)[-1] == "client sleeps in recv(fd 3) and nothing can wake it."


def test_tasks_whose_calls_overlap_each_keep_their_own() -> None:
    mac, _ = echoing()
    kext = mac.kexts()[0]
    client(mac, "other")
    pids = [app.pid for app in mac.processes]
    tasks = mac.system.tasks
    for pid in pids:
        tasks.spawn(f"task of {pid}", pid, mac.syscalls.routine(pid, "recvfrom", 3, 100, 0))
    before = len(mac.trace)
    mac.run()
    assert isinstance(kext, EchoKext)
    for unit in (2, 1):
        kext.kpi.ctl_enqueuedata(kext.ctlref.value, unit, b"abc"[:unit], unit, 8)
        mac.run()
    tasks.spawn("sleeper", pids[0], mac.syscalls.routine(pids[0], "recvfrom", 3, 100, 0))
    mac.run()
    mac.processes[0].kill()
    told = log(mac.trace, before)
    assert [(line.depth, line.text) for line in told if "sleeps in" not in line.text] == [
        (0, "client calls recv(fd 3) with room for 100 bytes."),
        (0, "other calls recv(fd 3) with room for 100 bytes."),
        (0, "echo queues 2 bytes for unit 2; 2 of 8,192 bytes are now in use."),
        (0, "recv returns 2 bytes to other."),
        (0, "echo queues 1 byte for unit 1; 1 of 8,192 bytes are now in use."),
        (0, "recv returns 1 byte to client."),
        (0, "client calls recv(fd 3) with room for 100 bytes."),
        (0, "The kernel sends client a SIGKILL."),
        (0, "client is killed inside recv(fd 3), which does not return."),
        (0, "client calls close(fd 3)."),
        (1, "kern_control runs echo's disconnect callback for unit 1."),
        (0, "close returns to client; fd 3 is free again."),
    ]


def test_a_select() -> None:
    mac, s = echoing()
    select = mac.processes[0].select
    before = len(mac.trace)
    assert select.select([s], [], [], 1.5) == ([], [], [])
    gate, pid = mac.syscalls, mac.processes[0].pid
    s.send(b"x")
    gate.select(pid, [3], [3], None)
    gate.select(pid, [], [], 0)
    gate.select(pid, [9], [], 0)
    lines = [line.text for line in log(mac.trace, before) if "select" in line.text]
    assert lines == [
        "client calls select(fd 3) to wait at most 1.5 s.",
        "client sleeps in select(fd 3) until bytes are queued; others run.",
        "select returns to client: the time has passed.",
        "client calls select(fd 3) to wait for ever.",
        "select returns to client: fd 3 can be read, fd 3 can be written.",
        "client calls select(nothing) to wait at most 0 s.",
        "select returns to client: the time has passed.",
        "client calls select(fd 9) to wait at most 0 s.",
        "The kernel refused select(fd 9): this descriptor is not open (EBADF).",
    ]


def test_a_signal() -> None:
    mac = Kernel()

    class Closed(EchoKext):
        def connect(self, kctlref: object, sac: object, unitinfo: object) -> int:
            return 16

    mac.load(Closed)
    s = client(mac, control=None)
    refused(lambda: s.connect((1, 0)), 16)
    refused(lambda: s.send(b"x"), 32)
    assert "The kernel sends client a SIGPIPE." in said(mac)


def listening(size: int) -> tuple[Kernel, Any]:
    """A machine with an event socket of that size, and somebody who registers a control."""
    mac = Kernel()
    app = mac.spawn("watcher")
    s = app.socket.socket(app.socket.PF_SYSTEM, app.socket.SOCK_RAW, 1)
    app.fcntl.ioctl(s, SIOCSKEVFILT, KevRequest(1, 3, 2).pack())
    s.setsockopt(app.socket.SOL_SOCKET, app.socket.SO_RCVBUF, size)
    mac.load(EchoKext)
    return mac, s


def test_an_event_is_told_of_once_for_each_who_hears_it() -> None:
    mac, s = listening(4096)
    s.recv(100)
    lines = said(mac)
    assert (
        "watcher calls ioctl(fd 3, SIOCSKEVFILT) to hear events of vendor 1, class 3 and subclass "
        "2."
    ) in lines
    assert lines[-4:] == [
        "echo registers org.kextlab.echo; the kernel gives it control id 1.",
        "kern_event queues event 1 (registered, ctl_id 1) for watcher; 32 of 4,096 bytes are now "
        "in use.",
        "watcher calls recv(fd 3) with room for 100 bytes.",
        "recv returns event 1 (registered, ctl_id 1), 32 bytes, to watcher.",
    ]


def test_a_lost_event_is_told_of_where_it_was_lost() -> None:
    mac, s = listening(31)
    assert said(mac)[-1] == (
        "Event 1 (registered, ctl_id 1) did not fit watcher's 31-byte buffer and is lost; the "
        "poster saw success, and only the gap in ids will tell."
    )
    assert log(mac)[-1].depth == 2
    assert s.fileno() == 3


def test_a_filter_decides_who_lost_an_event() -> None:
    mac, s = listening(31)
    app = mac.spawn("deaf")
    deaf = app.socket.socket(app.socket.PF_SYSTEM, app.socket.SOCK_RAW, 1)
    app.fcntl.ioctl(deaf, SIOCSKEVFILT, KevRequest(1, 1, 0).pack())
    mac.unload(mac.kexts()[0])
    assert "did not fit watcher's" in said(mac)[-1]
    assert (s.fileno(), deaf.fileno()) == (3, 3)


def test_a_datagram_longer_than_the_room_for_it() -> None:
    mac, s = echoing(1440, 1440)
    s.recvmsg(1000)
    s.recv(1000)
    assert [line for line in said(mac) if "1,000 of" in line] == [
        "recvmsg returns 1,000 of 1,440 bytes to client and sets MSG_TRUNC; the other 440 are gone "
        "(plain recv would not have said so).",
        "recv returns 1,000 of 1,440 bytes to client; the other 440 are gone, and only recvmsg "
        "would have said so (MSG_TRUNC).",
    ]


def test_a_refusal_the_sender_cannot_see() -> None:
    mac = Kernel()
    mac.load(Dropping)
    s = client(mac)
    for _ in range(5):
        s.send(bytes(2048))
    assert said(mac)[-2:] == [
        "echo's send callback returns 0 all the same.",
        "send returns 2,048 to client, which cannot see that 2,048 bytes did not reach a queue.",
    ]


def test_a_connect_callback_that_refuses_a_second_client() -> None:
    class One(EchoKext):
        def connect(self, kctlref: int, sac: Any, unitinfo: Any) -> int:
            return 16 if self.clients else super().connect(kctlref, sac, unitinfo)

    mac = Kernel()
    mac.load(One)
    first = client(mac)
    refused(lambda: client(mac, "second"), 16)
    assert (
        "echo's connect callback answers EBUSY, so the kernel calls disconnect for unit 2; a kext "
        "that clears a global flag there forgets unit 1."
    ) in said(mac)
    assert first.fileno() == 3


def test_tasks_that_sleep_and_the_clock() -> None:
    async def reader(app: Any) -> None:
        module = app.socket
        s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
        s.connect("org.kextlab.echo")
        s.setblocking(False)
        loop = app.asyncio.get_running_loop()

        async def later() -> None:
            await app.asyncio.sleep(0.5)
            await loop.sock_sendall(s, b"hello")

        task = app.asyncio.create_task(later())
        await loop.sock_recv(s, 100)
        await task

    mac = Kernel()
    mac.load(EchoKext)
    mac.spawn("reader").run(reader)
    mac.run()
    lines = said(mac)
    told = [
        "reader calls ioctl(fd 3, FIONBIO) to make it non-blocking.",
        "reader calls select(fd 3) to wait for ever.",
        "reader sleeps in select(fd 3) until bytes are queued; others run.",
        "Nobody can run; the clock moves on to 0.5 s.",
        "reader calls send(fd 3) with 5 bytes.",
        "recv returns 5 bytes to reader.",
    ]
    assert [line for line in lines if line in told] == told


def test_a_log_can_be_read_sliced_and_shown() -> None:
    mac, s = echoing(5)
    whole = log(mac.trace)
    assert len(whole) == len(list(whole))
    assert str(whole[-1]) == repr(whole[-1:])
    assert repr(log(mac.trace, len(mac.trace))) == "nothing happened"
    assert s.fileno() == 3


def test_a_refusal_is_marked_in_html_not_only_by_its_words() -> None:
    mac, _ = echoing(*[2048] * 5)
    html = log(mac.trace)._repr_html_()
    assert "✕ <strong>The kernel refused 2,048 bytes" in html
    assert html.count("<tr>") == len(log(mac.trace)) + 1


@pytest.mark.parametrize("machine", [lambda: echoing(*[2048] * 5)[0], panicked])
def test_every_line_is_a_sentence(machine: Callable[[], Kernel]) -> None:
    for line in said(machine()):
        assert line.endswith(".")
        assert "successfully" not in line


def test_forgetting_to_deregister_looks_harmless() -> None:
    mac = Kernel()
    mac.unload(mac.load(Forgetful))
    assert said(mac)[-1] == "The kernel runs echo's stop routine."
