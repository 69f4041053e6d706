"""launchd: jobs on demand, crashes, throttling, what it refuses."""

from __future__ import annotations

import plistlib
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.kernel.kext import Kext
from kextlab.sched.chooser import Seeded
from kextlab.sched.stop import SimStop
from kextlab.userland.launchd import LaunchdError
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App

SERVICE = "org.kextlab.thing"
PATH = "/usr/libexec/thing"
JOB = {"Label": "thing", "Program": PATH, "MachServices": {SERVICE: True}}


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def client(mac: Kernel) -> App:
    return mac.spawn("client")


class Thing:
    """A program that hears messages, and does what some of them say."""

    def __init__(self, mac: Kernel) -> None:
        self.mac = mac
        self.heard: list[tuple[float, int, bytes]] = []

    def __call__(self, app: App, *_: str) -> None:
        m = app.mach
        port = m.bootstrap_check_in(SERVICE)
        while True:
            got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
            self.heard.append((self.mac.now, app.pid, got.body))
            if got.body == b"die!":
                raise RuntimeError("it hurts")
            if got.body == b"exit":
                sys.exit(3)
            if got.body == b"done":
                return


@pytest.fixture
def thing(mac: Kernel) -> Thing:
    return Thing(mac)


def say(client: App, *words: bytes, to: str = SERVICE) -> None:
    m = client.mach
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    name = m.bootstrap_look_up(to)
    for word in words:
        m.mach_msg(Message(bits, name, body=word), m.MACH_SEND_MSG)


def in_step(mac: Kernel) -> bool:
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


# -- on demand ---------------------------------------------------------------------------------


def test_a_message_starts_the_job_which_finds_it(mac: Kernel, client: App, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    mac.run()
    assert (job.runs, mac.launchd.list()) == (0, [(None, 0, "thing")])
    say(client, b"one.", b"two.")
    mac.run()
    assert [body for _, _, body in thing.heard] == [b"one.", b"two."]
    assert job.app is not None
    assert (job.app.name, job.app.uid, job.runs) == ("thing", 0, 1)
    say(client, b"more")
    mac.run()
    assert job.runs == 1
    assert str(mac.launchd.list()) == f"PID\tStatus\tLabel\n{job.pid}\t0\tthing"
    assert repr(job) == f"<Job thing, pid {job.pid}, started 1 times>"
    assert in_step(mac)


def test_launchd_sleeps_on_a_set_of_the_services_it_holds(mac: Kernel, thing: Thing) -> None:
    mac.launchd.load(JOB, {PATH: thing})
    mac.run()
    (task,) = mac.tasks
    assert (task.name, task.wmesg) == ("launchd", "ipc_mqueue_receive")
    port = mac.system.ipc.objects[task.channel]
    assert mac.snapshot()[port.object_name]["members"]


def test_a_crash_is_seen_and_its_queue_served_after_the_throttle(
    mac: Kernel, client: App, thing: Thing
) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    say(client, b"die!", b"left")
    mac.run()
    (_, first, _), (when, second, body) = thing.heard
    assert (when, body) == (10.0, b"left")
    assert first != second == job.pid
    assert mac.launchd.list() == [(second, 1, "thing")]
    assert mac.launchd.log == [
        f"0 s: thing starts as pid {first}",
        "0 s: thing ended with status 1 (RuntimeError: it hurts)",
        f"10 s: thing starts as pid {second}",
    ]
    assert in_step(mac)


def test_a_killed_job_comes_back_for_the_next_message(
    mac: Kernel, client: App, thing: Thing
) -> None:
    job = mac.launchd.load(JOB | {"ThrottleInterval": 2}, {PATH: thing})
    say(client, b"one.")
    mac.run()
    assert job.app is not None
    job.app.kill()
    mac.run()
    assert mac.launchd.list() == [(None, -9, "thing")]
    assert repr(job) == "<Job thing, status -9, started 1 times>"
    say(client, b"two.")
    mac.run()
    assert [(when, body) for when, _, body in thing.heard] == [(0.0, b"one."), (2.0, b"two.")]


def test_after_the_throttle_it_starts_at_once(mac: Kernel, client: App, thing: Thing) -> None:
    mac.launchd.load(JOB, {PATH: thing})
    say(client, b"exit")
    mac.run(until=12.5)
    assert mac.launchd.list() == [(None, 3, "thing")]
    say(client, b"done", b"left")
    mac.run()
    assert [when for when, _, _ in thing.heard] == [0.0, 12.5, 22.5]


def test_a_job_may_be_unloaded_by_its_own_program(mac: Kernel, client: App) -> None:
    def program(app: App) -> None:
        app.mach.bootstrap_check_in(SERVICE)
        mac.launchd.unload("thing")

    sockets = {"Listener": {"SockPathName": "/var/run/thing"}}
    job = mac.launchd.load(JOB | {"Sockets": sockets, "KeepAlive": True}, {PATH: program})
    to = client.mach.bootstrap_look_up(SERVICE)
    mac.run()
    assert (mac.launchd.jobs, mac.launchd.installed) == ({}, {})
    assert (job.state, job.pid, job.runs) == ("not running", 0, 1)
    assert client.mach.type_names(client.mach.mach_port_type(to)) == ["DEAD_NAME"]
    with pytest.raises(ConnectionRefusedError):
        mac.spawn("root", uid=0).socket.socket(1).connect("/var/run/thing")
    assert in_step(mac)


def test_an_interval_may_be_longer_than_a_time_out_of_mach_msg(
    mac: Kernel, client: App, thing: Thing
) -> None:
    seconds = 10_000_000
    mac.launchd.load(JOB | {"ThrottleInterval": seconds}, {PATH: thing})
    say(client, b"done", b"left")
    mac.run()
    assert [when for when, _, _ in thing.heard] == [0.0, seconds]


def test_an_interval_of_0_starts_it_at_once(mac: Kernel, client: App, thing: Thing) -> None:
    mac.launchd.load(JOB | {"ThrottleInterval": 0}, {PATH: thing})
    say(client, b"done", b"die!", b"left")
    mac.run()
    assert mac.now == 0
    assert len({pid for _, pid, _ in thing.heard}) == 3


def test_a_client_that_asks_launchd_meanwhile_takes_no_news_from_it(
    mac: Kernel, client: App, thing: Thing
) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    say(client, b"one.")
    mac.run()
    assert job.app is not None
    job.app.kill()
    say(client, b"two.")  # its look-up receives the port-destroyed notification
    mac.run()
    assert [body for _, _, body in thing.heard] == [b"one.", b"two."]


def test_a_job_that_dropped_its_right_is_not_started_twice(mac: Kernel, client: App) -> None:
    def careless(app: App) -> None:
        m = app.mach
        m.mach_port_destroy(m.bootstrap_check_in(SERVICE))
        app.time.sleep(5)

    job = mac.launchd.load(JOB, {PATH: careless})
    say(client, b"once")
    mac.run(until=4)
    assert job.runs == 1
    mac.run(until=10)
    assert job.runs == 2  # the message is still there


def test_nobody_else_checks_in_to_a_job_s_service(mac: Kernel, client: App, thing: Thing) -> None:
    mac.launchd.load(JOB, {PATH: thing})
    with pytest.raises(MachError, match="BOOTSTRAP_NOT_PRIVILEGED"):
        client.mach.bootstrap_check_in(SERVICE)


# -- without a message -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "exits", "runs"),
    [
        ({}, 0, 0),
        ({"RunAtLoad": True}, 0, 1),
        ({"KeepAlive": True}, 0, 4),
        ({"KeepAlive": False}, 1, 0),
        ({"KeepAlive": {}}, 1, 0),
        ({"KeepAlive": {"SuccessfulExit": True}}, 0, 4),
        ({"KeepAlive": {"SuccessfulExit": True}}, 1, 1),
        ({"KeepAlive": {"SuccessfulExit": False}}, 0, 1),
        ({"KeepAlive": {"SuccessfulExit": False}}, "text", 4),
    ],
)
def test_a_job_is_kept_alive(
    mac: Kernel, keys: dict[str, Any], exits: int | str, runs: int
) -> None:
    job = mac.launchd.load(
        {"Label": "alive", "ProgramArguments": ["/bin/alive", "-v"], **keys},
        {"/bin/alive": lambda app, word: sys.exit(exits if word == "-v" else 99)},
    )
    mac.run(until=35)
    assert job.runs == runs
    assert job.status == (1 if exits and runs else 0)


def test_a_program_that_ends_its_process_itself_was_successful(mac: Kernel) -> None:
    job = mac.launchd.load(
        {"Label": "own", "Program": "/bin/own", "RunAtLoad": True, "UserName": "daemon"},
        {"/bin/own": lambda app: app.exit()},
    )
    assert job.app is not None
    assert job.app.uid == 1
    mac.run()
    assert mac.launchd.list() == [(None, 0, "own")]


@pytest.mark.parametrize("fails", [True, False])
def test_an_async_program_is_a_job_too(mac: Kernel, fails: bool) -> None:
    async def main(app: App) -> None:
        await app.asyncio.sleep(1)
        if fails:
            raise ValueError("late")

    job = mac.launchd.load({"Label": "a", "Program": "/a", "RunAtLoad": True}, {"/a": main})
    mac.run()
    assert (mac.now, job.status, job.pid) == (1.0, int(fails), 0)
    assert isinstance(job.error, ValueError) is fails


def test_a_panic_is_no_exit_status(mac: Kernel) -> None:
    def main(app: App) -> None:
        raise SimStop("the machine stops")

    mac.launchd.load({"Label": "a", "Program": "/a", "RunAtLoad": True}, {"/a": main})
    with pytest.raises(SimStop, match="the machine stops"):
        mac.run()


def test_start_starts_a_job_when_it_may(mac: Kernel, client: App, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    mac.launchd.start("thing")
    mac.run()
    assert job.runs == 1
    mac.launchd.start("thing")  # it runs
    say(client, b"done")
    mac.run()
    assert (job.runs, job.pid) == (1, 0)
    mac.launchd.start("thing")
    mac.run(until=9.9)
    assert job.runs == 1
    mac.run()
    assert (job.runs, mac.now) == (2, 10.0)


# -- unloading ---------------------------------------------------------------------------------


def test_unloading_ends_it_and_its_services(mac: Kernel, client: App, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    say(client, b"one.")
    mac.run()
    app, m = job.app, client.mach
    assert app is not None
    mac.launchd.unload("thing")
    assert app.exited
    assert mac.launchd.list() == []
    with pytest.raises(MachError, match="BOOTSTRAP_UNKNOWN_SERVICE"):
        m.bootstrap_look_up(SERVICE)
    assert "DEAD_NAME" in m.type_names(m.mach_port_type(0x103))
    mac.run()
    mac.launchd.load(JOB, {PATH: thing})
    mac.launchd.unload("thing")
    mac.run()
    assert in_step(mac)


def test_what_was_loaded_is_loaded_again_when_the_machine_starts(mac: Kernel, thing: Thing) -> None:
    launchd = mac.launchd
    job = launchd.load(JOB | {"Disabled": True}, {PATH: thing}, override=True)
    launchd.load({"Label": "other", "Program": PATH, "RunAtLoad": True}, {PATH: lambda app: None})
    launchd.load({"Label": "gone", "Program": PATH}, {PATH: thing})
    say(mac.spawn("client"), b"old.")
    mac.run()
    launchd.unload("gone")
    mac.reboot()
    assert [one.label for one in mac.launchd.list()] == ["thing", "other"]
    assert mac.launchd.jobs["thing"] is not job
    mac.run()
    assert (mac.launchd.jobs["other"].runs, mac.launchd.jobs["thing"].runs) == (1, 0)
    say(mac.spawn("client"), b"new.")
    mac.run()
    assert [body for _, _, body in thing.heard] == [b"old.", b"new."]
    with pytest.raises(ProcessLookupError):
        launchd.unload("thing")
    mac.launchd.unload("thing")
    assert in_step(mac)
    mac.reboot()
    mac.reboot()
    assert [one.label for one in mac.launchd.list()] == ["other"]
    mac.launchd.unload("other")
    mac.reboot()
    assert (mac.launchd.list(), len(mac.trace)) == ([], len(Kernel().trace))


def test_jobs_survive_a_panic(mac: Kernel, thing: Thing) -> None:
    class Faulty(Kext):
        def stop(self) -> int:
            raise ZeroDivisionError

    mac.launchd.load(JOB, {PATH: thing})
    faulty = mac.load(Faulty)
    with pytest.raises(SimStop):
        mac.unload(faulty)
    mac.reboot()
    say(mac.spawn("client"), b"new.")
    mac.run()
    assert len(thing.heard) == 1


# -- what is refused ---------------------------------------------------------------------------


def test_labels_and_names_are_given_once(mac: Kernel, client: App, thing: Thing) -> None:
    launchd = mac.launchd
    launchd.load(JOB, {PATH: thing})
    with pytest.raises(LaunchdError, match="thing is loaded already"):
        launchd.load(JOB, {PATH: thing})
    with pytest.raises(LaunchdError, match=f"the service {SERVICE} is taken"):
        launchd.load(JOB | {"Label": "other"}, {PATH: thing})
    with pytest.raises(LaunchdError, match="no job 'other' is loaded; loaded: thing"):
        launchd.unload("other")
    with pytest.raises(LaunchdError, match="loaded: none"):
        Kernel().launchd.start("other")


def test_a_disabled_job_is_loaded_on_demand_only(mac: Kernel, thing: Thing) -> None:
    with pytest.raises(LaunchdError, match="thing is Disabled; override=True"):
        mac.launchd.load(JOB | {"Disabled": True}, {PATH: thing})
    mac.launchd.load(JOB | {"Disabled": True}, {PATH: thing}, override=True)


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_a_property_list_is_a_file_of_either_form(
    mac: Kernel, thing: Thing, tmp_path: Path, form: plistlib.PlistFormat
) -> None:
    data = plistlib.dumps(JOB, fmt=form)
    path = tmp_path / "thing.plist"
    path.write_bytes(data)
    assert mac.launchd.load(path, {PATH: thing}).plist.source == "thing.plist"
    mac.launchd.unload("thing")
    assert mac.launchd.load(data, {PATH: thing}).plist.label == "thing"
    path.write_bytes(b"Label = thing")
    with pytest.raises(ValueError, match=r"^thing\.plist: no XML or binary property list"):
        mac.launchd.load(str(path), {PATH: thing})


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ({"Label": 7}, ValueError, "Label is 7 (an integer), expected a string"),
    ({"Label": ""}, ValueError, "Label is missing"),
    ({"Program": b"x"}, ValueError, "Program is b'x' (data), expected a string"),
    ({"Program": ""}, ValueError, "Program or ProgramArguments must name an executable"),
    ({"Program": "/bin/no"}, ValueError, f"no program is given for /bin/no; programs: {PATH}"),
    ({"ProgramArguments": "x"}, ValueError, "ProgramArguments is 'x' (a string), expected an arr"),
    ({"ProgramArguments": ["x", 1]}, ValueError, "ProgramArguments[1] is 1 (an integer)"),
    ({"MachServices": [SERVICE]}, ValueError, "(an array), expected a dictionary"),
    ({"MachServices": {"s": 1}}, ValueError, "MachServices['s'] is 1 (an integer), expected true"),
    ({"MachServices": {"s": False}}, ValueError, "MachServices['s'] is false, expected true"),
    ({"MachServices": {"s": {"ResetAtClose": True}}}, NotImplementedError, "key ResetAtClose of"),
    ({"KeepAlive": 1}, ValueError, "KeepAlive is 1 (an integer), expected true or false or a dic"),
    ({"KeepAlive": {"Crashed": True}}, NotImplementedError, "the key Crashed of KeepAlive"),
    ({"KeepAlive": {"SuccessfulExit": "no"}}, ValueError, "KeepAlive[SuccessfulExit] is 'no'"),
    ({"RunAtLoad": "yes"}, ValueError, "RunAtLoad is 'yes' (a string), expected true or false"),
    ({"UserName": "eve"}, ValueError, "UserName is 'eve', expected one of root, daemon, _www"),
    ({"ThrottleInterval": True}, ValueError, "ThrottleInterval is True (true or false), expect"),
    ({"ThrottleInterval": 1.5}, ValueError, "ThrottleInterval is 1.5 (a real), expected an int"),
    ({"ThrottleInterval": -1}, ValueError, "ThrottleInterval is -1, expected 0 s or more"),
    ({"Disabled": None}, ValueError, "Disabled is None (NoneType), expected true or false"),
    ({"Lable": "x"}, NotImplementedError, "the key Lable is not modelled; Label is"),
    ({"QueueDirectories": []}, NotImplementedError, "QueueDirectories is not modelled; modelled"),
]


@pytest.mark.parametrize(("change", "kind", "text"), REFUSED)
def test_what_a_list_says_wrong_is_told_in_a_line(
    mac: Kernel, thing: Thing, change: dict[str, Any], kind: type[Exception], text: str
) -> None:
    before = mac.snapshot()
    with pytest.raises(kind) as caught:
        mac.launchd.load(JOB | change, {PATH: thing})
    assert str(caught.value).startswith("property list: ")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert mac.snapshot() == before


def test_what_is_no_list_at_all(mac: Kernel) -> None:
    load: Callable[..., object] = mac.launchd.load
    with pytest.raises(ValueError, match=r"the root is \[1\] \(an array\), expected a dict"):
        load(plistlib.dumps([1]), {})
    with pytest.raises(TypeError, match="expected a path, bytes or a dictionary, got 7"):
        load(7, {})
    with pytest.raises(ValueError, match="programs: none"):
        load(JOB, {})
    with pytest.raises(ValueError, match=r"Label is \[9, .*\.\.\. \(an array\)"):
        load(JOB | {"Label": [9] * 99}, {})


# -- the object of the trace ---------------------------------------------------------------------


def shown(mac: Kernel, name: str = "job:1") -> dict[str, Any]:
    """A job as the trace shows it now."""
    return mac.trace.state()[name]


def test_a_loaded_job_is_an_object_of_the_trace(mac: Kernel, thing: Thing) -> None:
    keys = {
        "UserName": "daemon",
        "ProgramArguments": [PATH, "-v"],
        "Sockets": {"L": {"SockPathName": "/var/run/thing"}},
    }
    mac.launchd.load(JOB | keys | {"KeepAlive": {"SuccessfulExit": True}}, {PATH: thing})
    mac.launchd.unload("thing")
    mac.launchd.load(JOB | keys, {PATH: thing})
    job = shown(mac, "job:2")
    (number,) = [int(name[4:]) for name in mac.snapshot() if name.startswith("unp:")]
    ports = job.pop("port"), job["services"][0][1]
    assert all(mac.snapshot()[port]["receiver"] == "proc:100" for port in ports)
    assert job == {
        "label": "thing",
        "program": PATH,
        "arguments": ("-v",),
        "uid": 1,
        "run_at_load": False,
        "keep_alive": None,
        "successful_exit": None,
        "throttle": 10,
        "services": ((SERVICE, ports[1]),),
        "sockets": (("L", "/var/run/thing", number),),
        "state": "waiting",
        "pid": 0,
        "runs": 0,
        "status": 0,
        "reason": "",
        "may_start": 0,
    }
    assert "job:1" not in mac.trace.state()


def test_the_trace_follows_a_job_through_its_runs(mac: Kernel, client: App, thing: Thing) -> None:
    job = mac.launchd.load(JOB, {PATH: thing})
    say(client, b"die!", b"left")
    mac.run()
    assert job.app is not None
    job.app.kill()
    mac.run()
    changes = [
        {one.field: one.new for one in event.changes}
        for event in mac.trace.events()
        if event.changes and event.changes[0].object == "job:1"
    ]
    second = 10_000_000_000
    assert changes[1:] == [
        {"state": "waiting"},
        {"state": "running", "pid": 102, "runs": 1, "may_start": second},
        {"state": "not running", "pid": 0, "status": 1, "reason": "RuntimeError: it hurts"},
        {"state": "throttled"},
        {"state": "running", "pid": 103, "runs": 2, "may_start": 2 * second},
        {"state": "not running", "pid": 0, "status": -9, "reason": ""},
        {"state": "waiting"},
    ]


def test_a_reboot_loads_jobs_as_new_objects(mac: Kernel, thing: Thing) -> None:
    mac.launchd.load(JOB | {"RunAtLoad": True}, {PATH: thing})
    mac.run()
    assert (shown(mac)["state"], shown(mac)["runs"]) == ("running", 1)
    mac.reboot()
    mac.run()
    assert (shown(mac)["state"], shown(mac)["runs"]) == ("running", 1)
    assert in_step(mac)


def test_a_machine_that_records_nothing_has_them_in_its_snapshot(thing: Thing) -> None:
    mac = Kernel(trace=False)
    mac.launchd.load(JOB | {"RunAtLoad": True}, {PATH: thing})
    assert mac.snapshot()["job:1"]["state"] == "running"
    mac.launchd.unload("thing")
    assert "job:1" not in mac.snapshot()


# -- whatever happens --------------------------------------------------------------------------

OPERATIONS = st.one_of(
    st.sampled_from([b"one.", b"die!", b"exit", b"done"]),
    st.sampled_from(["kill", "start", "unload", "load", "client"]),
    st.integers(1, 8),
    st.floats(0.5, 12),
)


@settings(max_examples=30, deadline=None)
@given(operations=st.lists(OPERATIONS, max_size=25), seed=st.integers(0, 99))
def test_every_step_adds_up_and_starts_keep_their_distance(
    operations: list[bytes | str | int | float], seed: int
) -> None:
    mac = Kernel(chooser=Seeded(seed))
    thing, client = Thing(mac), mac.spawn("client")
    sent: list[bytes] = []
    for operation in ["load", *operations, 12.0]:
        job = mac.launchd.jobs.get("thing")
        match operation:
            case bytes() if job is not None and len(sent) < 5:
                say(client, operation)
                sent.append(operation)
            case "kill" if job is not None and job.app is not None and not job.app.exited:
                job.app.kill()
            case "start" if job is not None:
                mac.launchd.start("thing")
            case "unload" if job is not None:
                mac.launchd.unload("thing")
            case "load" if job is None:
                mac.launchd.load(JOB | {"ThrottleInterval": 3}, {PATH: thing})
                sent, thing.heard = [], []
                mac.launchd.log.clear()
            case int():
                for _ in range(operation):
                    mac.step()
                    assert in_step(mac)
            case float():
                mac.run(until=mac.now + operation)
        assert in_step(mac)
        starts = [line for line in mac.launchd.log if "starts" in line]
        times = [float(line.partition(" s: ")[0]) for line in starts]
        assert all(after - before > 2.999 for before, after in pairwise(times))
    job = mac.launchd.jobs.get("thing")
    if job is not None:
        mac.run()
        heard = Counter(body for _, _, body in thing.heard)
        lost = Counter(sent) - heard  # a program that was woken by a message, and killed then
        assert not heard - Counter(sent)
        assert lost.total() <= operations.count("kill")
