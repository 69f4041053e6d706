"""Local sockets in the views: the log's sentences, badges, and pictures that do not break."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import constants as c
from kextlab.abi.un import sockaddr_un
from kextlab.sched.stop import SimDeadlock
from kextlab.views import (
    inspect,
    log,
    mermaid,
    player,
    queue_figure,
    scene_document,
    space_time,
    still_picture,
    units_picture,
)
from kextlab.views.jobs_figure import Jobs, jobs_in_state
from kextlab.views.jobs_figure import sentence as told_of
from kextlab.views.jobs_scene import job_fields
from kextlab.views.patches import after
from kextlab.views.scene import scene
from kextlab.views.teller import telling
from kextlab.views.words import describe
from tests.unit.local_sockets import DGRAM, NAME, PATH, Local, rights
from tests.unit.scene_local_machines import jobs, local, local_and_echo
from tests.unit.test_launchd_sockets import JOB, Thing, ask
from tests.unit.test_launchd_sockets import PATH as DAEMON

OTHER = sockaddr_un(b"/tmp/d")


@pytest.fixture(scope="module")
def lab() -> Local:
    """A machine in which every call on local sockets went well once and was refused once."""
    lab = Local()
    fd = lab.listener(1)
    lab.call(lab.client, "accept", 99)
    ours, theirs = lab.connected(fd)
    lab.do(lab.client, "sendto", ours, b"hello")
    lab.do(lab.client, "sendmsg", ours, [b"x"], 0, None, rights(ours, ours))
    lab.do(lab.client, "sendmsg", ours, [b"x"], 0, None, rights(ours))
    lab.do(lab.server, "recvfrom", theirs, 100)
    lab.do(lab.server, "recvmsg", theirs, 100, 0, 100)
    lab.do(lab.server, "recvmsg", theirs, 100, 0, 100)
    lab.do(lab.client, "sendto", ours, b"unread")
    for pid, path in ((lab.client, NAME), (lab.client, NAME), (lab.other, NAME)):
        lab.call(pid, "connect", lab.socket(pid), path)
    lab.call(lab.client, "connect", lab.socket(lab.client), sockaddr_un(b"/no"))
    lab.call(lab.client, "connect", lab.socket(lab.client, DGRAM), NAME)
    lab.call(lab.client, "bind", lab.socket(lab.client), NAME)
    lab.call(lab.client, "bind", lab.socket(lab.client), sockaddr_un(b""))
    lab.call(lab.client, "connect", lab.socket(lab.client), sockaddr_un(b""))
    lab.call(lab.other, "unlink", PATH)
    lab.call(lab.other, "unlink", b"/no")
    lab.do(lab.server, "chmod", PATH, 0o666)
    server = lab.bound(lab.server, OTHER)
    client = lab.bound(lab.client, sockaddr_un(b"/tmp/c"))
    for room in (100, 2):
        lab.do(lab.client, "sendto", client, b"abcdef", 0, OTHER)
        lab.do(lab.server, "recvmsg", server, room, 0, 0)
    lab.call(lab.client, "sendto", client, b"abcdef")
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "sendto", one, bytes(2000))
    lab.call(lab.client, "sendmsg", one, [b""], 0, None, rights(one, *range(3, 10)) + bytes(2000))
    lab.do(lab.client, "sendto", one, bytes(2000))
    lab.call(lab.client, "sendto", one, bytes(2000))
    lab.call(lab.client, "sendto", one, bytes(2049))
    lab.do(lab.client, "getpeername", one)
    lab.do(lab.client, "close", two)
    lab.call(lab.client, "sendto", one, b"x")
    left, right = lab.pair()
    lab.call(lab.client, "sendto", left, bytes(9000), c.MSG_NBIO)
    lab.call(lab.client, "sendto", left, b"x", c.MSG_NBIO)
    lab.do(lab.client, "shutdown", left, c.SHUT_WR)
    lab.call(lab.client, "sendto", left, b"x")
    lab.do(lab.client, "socketpair", c.AF_UNIX, c.SOCK_STREAM, 0)
    lab.call(lab.client, "socketpair", c.AF_UNIX, c.SOCK_RAW, 0)
    lab.do(lab.server, "accept", fd)
    lab.do(lab.server, "ioctl", fd, 0x8004667E, b"\x01\0\0\0")
    lab.call(lab.server, "accept", fd)
    lab.do(lab.server, "ioctl", fd, 0x8004667E, bytes(4))
    with pytest.raises(SimDeadlock):
        lab.call(lab.server, "accept", fd)
    lab.do(lab.server, "unlink", PATH)
    assert right
    return lab


@pytest.mark.parametrize(
    "sentence",
    [
        "server calls socket for a local stream socket.",
        "client calls socket for a local datagram socket.",
        "server calls bind(fd 3) to name it /tmp/server.",
        "client calls connect(fd 3) to connect to /tmp/server.",
        "connect returns to client, which is connected to /tmp/server now.",
        "server calls accept(fd 3) to take the first connection that waits.",
        "accept returns descriptor 4 to server, a connection from a client without a name.",
        "client calls sendmsg(fd 3) with 1 byte and 2 descriptors.",
        "client calls sendmsg(fd 3) with 1 byte and 1 descriptor.",
        "recvmsg returns 1 byte and descriptors 5 and 6 to server.",
        "recvmsg returns 1 byte and descriptor 7 to server.",
        "with 6 bytes to /tmp/d.",
        "recvmsg returns 6 bytes, sent by /tmp/c, to server.",
        "recvmsg returns 2 of 6 bytes to server and sets MSG_TRUNC; the other 4 are gone",
        "client calls socketpair for two connected datagram sockets.",
        "client calls socketpair for two connected stream sockets.",
        "client calls socketpair for two connected other sockets.",
        "server calls chmod to give /tmp/server mode 666.",
        "server calls unlink to take the name /tmp/server away.",
        "The kernel refused accept(fd 99): this descriptor is not open (EBADF).",
        "nobody takes connections at /tmp/server, or as many wait as may (ECONNREFUSED).",
        "/tmp/server may not be written by uid 502 (EACCES).",
        "there is no /no (ENOENT).",
        "there is no the name (ENOENT).",
        "the socket at /tmp/server is of the other type, stream or datagram (EPROTOTYPE).",
        "/tmp/server exists, perhaps from before (EADDRINUSE).",
        "The kernel refused unlink: /tmp/server is another user's (EPERM).",
        "The kernel refused unlink: there is no /no (ENOENT).",
        "the datagram has no receiver (EDESTADDRREQ).",
        "the datagram does not fit the receiver's buffer (ENOBUFS).",
        "2,049 bytes are more than the send buffer takes in one datagram (EMSGSIZE).",
        "connection reset by peer (ECONNRESET).",
        "returns EAGAIN to client: the peer has not read enough and the call must not wait.",
        "the connection is over (EPIPE).",
        "returns EAGAIN to server: nobody waits and the call must not wait either.",
        "server sleeps in accept(fd 3) until somebody connects; others run.",
        "server sleeps in accept(fd 3) and nothing can wake it.",
    ],
)
def test_the_log_tells_of_local_sockets(sentence: str, lab: Local) -> None:
    assert sentence in str(log(lab.mac.trace))


def test_launchds_call_is_told_and_why_it_is_refused() -> None:
    mac = Kernel()

    async def asking(app: object) -> None:
        for name in ("Other", "Listener", "Listener"):
            with suppress(OSError):
                app.launch.launch_activate_socket(name)  # type: ignore[attr-defined]

    mac.launchd.load(JOB, {DAEMON: asking})
    mac.launchd.start("thing")
    mac.run()
    with pytest.raises(ProcessLookupError):
        mac.spawn("nobody").launch.launch_activate_socket("Listener")
    text = str(log(mac.trace))
    for sentence in (
        "thing calls launch_activate_socket for its socket Listener.",
        "launch_activate_socket returns descriptor 3 to thing.",
        "refused launch_activate_socket: its property list has no socket Other (ENOENT).",
        "it has been given Listener already (EALREADY).",
        "it is no job of launchd's (ESRCH).",
    ):
        assert sentence in text


def test_every_answer_about_a_local_socket_is_documented_only(lab: Local) -> None:
    badges = {
        told.source.badge
        for told in telling(lab.mac.trace.entries())
        if told.source is not None and told.socket
    }
    assert badges == {"documented"}
    refused = [told for told in telling(lab.mac.trace.entries()) if told.errno == "ECONNREFUSED"]
    assert refused[0].why.startswith("AF_UNIX: The path is there, but no socket takes the call")


def test_a_scene_document_shows_local_sockets_by_their_type(lab: Local) -> None:
    doc = scene_document(lab.mac)
    assert json.loads(json.dumps(doc)) == doc
    state = after(doc, len(doc["moments"]) - 1)
    socks = list(state["socks"].values())
    assert {sock["type"] for sock in socks} == {"AF_UNIX stream", "AF_UNIX datagram"}


def test_the_pictures_are_drawn(lab: Local) -> None:
    doc = scene_document(lab.mac)
    for picture in (units_picture(lab.mac), space_time(lab.mac), still_picture(doc)):
        assert picture.svg.startswith("<svg")
    assert "AF_UNIX stream" in units_picture(lab.mac).svg
    assert "connect /tmp/server" in str(mermaid(lab.mac))
    assert "AF_UNIX" in player(doc)
    assert queue_figure is not None


def test_the_scene_in_words_names_local_sockets(lab: Local) -> None:
    words = describe(scene(lab.mac.snapshot()), {})
    assert "Its receive buffer holds a stream: 6 of" in words
    words = describe(scene(local().snapshot()), {})
    for sentence in (
        "stream socket, listening at /tmp/server; 1 of 3 connections wait to be accepted.\n",
        "a local stream socket, connected to client fd 3, its name /tmp/server.",
        "holds fd 3: a local stream socket, connected, but nobody has accepted it yet.",
        "a local datagram socket, connected to root fd 3.",
        "a local datagram socket, bound, its name /var/run/syslog. Its receive buffer holds 3",
        "428 free. They carry 2 descriptors.",
        "6,667 free. They carry 1 descriptor.",
    ):
        assert sentence in words
    assert "no connections across the boundary" in words


def end(doc: dict[str, Any]) -> Any:
    return after(doc, len(doc["moments"]) - 1)


def test_the_scene_tells_names_peers_and_who_waits() -> None:
    socks = end(scene_document(local()))["socks"]
    listener, client, served, waiter, waiting, log, sender = socks.values()
    assert listener["state"] == "listening"
    assert listener["local"] == {
        "path": "/tmp/server", "bound": True, "peer": 0, "waiting": [5], "limit": 3,
    }  # fmt: skip
    assert (client["local"]["peer"], served["local"]["peer"]) == (3, 2)
    assert (client["local"]["path"], served["local"]["path"]) == ("", "/tmp/server")
    assert (waiter["local"]["peer"], waiting["fds"], waiting["rcv"]["cc"]) == (5, [], 600)
    assert (log["state"], log["local"]["path"]) == ("bound", "/var/run/syslog")
    assert (sender["local"]["peer"], sender["mark"]) == (6, None)
    assert log["mark"][:2] == [2000, "ENOBUFS"]
    assert [item[5:] for item in served["rcv"]["q"]] == [[], [[2]]]
    assert [item[5:] for item in log["rcv"]["q"]] == [[], [[2, 2]], []]


def test_descriptors_that_were_taken_are_gone_from_their_record(lab: Local) -> None:
    mac = Local()
    one, two = mac.pair()
    mac.do(mac.client, "sendmsg", one, [b"abcdef"], 0, None, rights(one))
    mac.do(mac.client, "recvmsg", two, 2, 0, 100)
    (record,) = end(scene_document(mac.mac))["socks"]["2"]["rcv"]["q"]
    assert (record[1], record[5]) == (4, [])


def test_a_name_that_is_taken_away_leads_nowhere(lab: Local) -> None:
    doc = scene_document(lab.mac)
    listener = end(doc)["socks"]["1"]
    assert (listener["local"]["path"], listener["local"]["bound"]) == ("/tmp/server", False)
    assert listener["state"] == "listening"


def test_what_is_queued_is_told_by_its_descriptor() -> None:
    queued = [m["queued"] for m in scene_document(local())["moments"] if "queued" in m]
    assert ["server fd 4", 1500] in queued
    assert ["a waiting connection", 600] in queued


def test_a_datagram_lost_to_a_named_receiver_is_marked_there(lab: Local) -> None:
    mac = Local()
    mac.bound(mac.server, OTHER)
    client = mac.socket(mac.client, DGRAM)
    for size in (2000, 2000, 1000):
        mac.call(mac.client, "sendto", client, bytes(size), 0, OTHER)
    for size in (1000, 1000):
        mac.call(mac.client, "sendmsg", client, [bytes(size)], 0, OTHER, rights(client))
    socks = end(scene_document(mac.mac))["socks"]
    assert (socks["1"]["mark"][:2], socks["1"]["lost"]) == ([1000, "ENOBUFS"], 3)
    assert socks["2"]["mark"] is None


@pytest.mark.parametrize("machine", [local, local_and_echo])
def test_the_static_picture_of_a_document_is_that_of_its_trace(
    machine: Callable[[], Kernel],
) -> None:
    mac = machine()
    assert units_picture(mac).svg == units_picture(scene_document(mac)).svg


def test_the_static_picture_joins_local_sockets() -> None:
    svg = units_picture(local()).svg
    for words in ("listens", "to client fd 3", "to server fd 4", "not accepted", "from 1 sender"):
        assert f">{words}</text>" in svg
    assert svg.count("a pipe between two local sockets") == 3
    assert "1 of 3 connections wait to be accepted" in svg
    assert "datagram 2: 736 bytes, 2 descriptors with it" in svg
    assert svg.count(">/var/run/syslog</text>") == 2
    assert svg.count(">/tmp/server</text>") == 4
    assert "ENOBUFS" in svg
    assert "a pipe joins two local sockets" in svg
    both = units_picture(local_and_echo()).svg
    assert both.count("a pipe between two local sockets") == 1
    assert "each connection is one unit" in both


def test_a_long_queue_and_a_peer_that_is_gone_are_drawn() -> None:
    mac = Local()
    mac.listener(40)
    for _ in range(30):
        mac.do(mac.client, "connect", mac.socket(mac.client), NAME)
    assert re.search(r">and \d+ more</text>", units_picture(mac.mac).svg)
    mac = Local()
    one, two = mac.pair()
    mac.do(mac.client, "close", two)
    svg = units_picture(mac.mac).svg
    assert ">its peer is gone</text>" in svg
    assert "a pipe between" not in svg
    mac.do(mac.client, "close", one)
    mac.socket(mac.client, DGRAM)
    assert ">no peer</text>" in units_picture(mac.mac).svg


def test_the_inspector_shows_addresses_and_queues(lab: Local) -> None:
    calls = {event.name: event.step for event in lab.mac.trace.events() if event.kind == "syscall"}
    assert inspect(lab.mac.trace, step=calls["connect"]).svg.startswith("<svg")
    number = lab.so(lab.server, 4)["number"]
    assert inspect(lab.mac.trace, socket=number).svg.startswith("<svg")


def test_a_machine_with_launchds_sockets_is_drawn() -> None:
    mac = Kernel()
    mac.launchd.load(JOB, {DAEMON: Thing().program()})
    task = ask(mac.spawn("client"), b"hello")
    mac.run()
    assert task.result() == b"HELLO"
    assert scene_document(mac)["moments"]
    assert "AF_UNIX stream" in units_picture(mac).svg


# ---------------------------------------------------------------- launchd's jobs


def seen(doc: dict[str, Any]) -> list[Any]:
    """The different states of launchd's jobs in a document."""
    states: list[Any] = []
    for at in range(len(doc["moments"])):
        state = after(doc, at).get("launchd")
        if state is not None and (not states or state != states[-1]):
            states.append(state)
    return states


def test_a_document_tells_of_jobs_from_their_loading_on() -> None:
    doc = scene_document(jobs())
    states = seen(doc)
    assert states[0]["pid"] == 100
    thing, other = states[-1]["jobs"].values()
    port = thing["sockets"][0][2]
    assert thing == {
        "label": "thing",
        "program": ["/usr/libexec/thing"],
        "uid": 0,
        "starts": [],
        "throttle": 5,
        "port": 2,
        "services": [],
        "sockets": [["Listener", "/var/run/thing", port]],
        "state": "running",
        "pid": 106,
        "runs": 2,
        "status": 0,
        "reason": "",
        "until": 10_000_000_000,
    }
    assert other["services"] == [["org.kextlab.broker", 4]]
    told = [(one["jobs"]["1"]["state"], one["jobs"]["1"]["pid"]) for one in states]
    assert list(dict.fromkeys(told)) == [
        ("not running", 0), ("waiting", 0), ("running", 104), ("throttled", 0), ("running", 106),
    ]  # fmt: skip
    first = next(at for at, m in enumerate(doc["moments"]) if "job org.kextlab.broker" in m["text"])
    assert after(doc, first)["mach"]["ports"]["4"]["service"] == "org.kextlab.broker"


def test_a_handed_over_socket_stands_at_the_job_s_process_while_it_runs() -> None:
    mac = jobs()
    doc = scene_document(mac)
    number = end(doc)["launchd"]["jobs"]["1"]["sockets"][0][2]
    steps = {
        name: next(m["step"] for m in doc["moments"] if words in m["text"])
        for name, words in {
            "idle": "launchd has loaded the job thing",
            "started": "launchd starts thing",
            "runs": "accept returns",
            "held": "launchd holds thing back",
        }.items()
    }
    held = {}
    for name, step in steps.items():
        at = next(at for at, m in enumerate(doc["moments"]) if m["step"] == step)
        sock = after(doc, at)["socks"][str(number)]
        held[name] = (sock["pid"], sock["fds"])
        lane = scene(mac.trace.state(step + 1)).lane(number)
        assert lane is not None
        assert (lane.pid, list(lane.fds)) == held[name]
    assert held == {
        "idle": (100, [3]),
        "started": (100, [3]),
        "runs": (104, [3]),
        "held": (100, [3]),
    }
    for name in ("idle", "started", "held"):
        svg = units_picture(doc, steps[name]).svg
        assert ">launchd fd 3</text>" in svg
        assert "<title>job thing</title>" in svg
    assert ">launchd fd 3</text>" not in units_picture(doc, steps["runs"]).svg


def test_the_log_tells_what_becomes_of_a_job() -> None:
    mac = Kernel()
    mac.launchd.load(JOB | {"MachServices": {"a": True}}, {DAEMON: Thing().program()})
    ask(mac.spawn("client"), b"die!")
    mac.run()
    mac.launchd.start("thing")
    mac.run()
    job = mac.launchd.jobs["thing"]
    assert job.app is not None
    job.app.kill()
    mac.run()
    mac.launchd.unload("thing")
    mac.launchd.load({"Label": "bare", "Program": DAEMON}, {DAEMON: Thing().program()})
    lines = [line.split(maxsplit=1)[1] for line in str(log(mac.trace)).splitlines()]
    told = [line for line in lines if line.startswith("launchd ") and "calls" not in line]
    assert [line for line in told if "sleeps" not in line] == [
        "launchd has loaded the job thing, which offers a and /var/run/thing.",
        "launchd starts thing as pid 102, uid 0.",
        "launchd learns that thing has ended with status 1 (RuntimeError: it hurts).",
        "launchd holds thing back: it may not start again before 5 s.",
        "launchd starts thing as pid 103, uid 0.",
        "launchd learns that thing has ended by signal 9.",
        "launchd unloads the job thing.",
        "launchd has loaded the job bare.",
    ]


def test_a_job_that_is_unloaded_is_gone() -> None:
    mac = Kernel()
    mac.launchd.load(JOB, {DAEMON: Thing().program()})
    task = ask(mac.spawn("client"), b"hello")
    mac.run()
    assert task.result() == b"HELLO"
    mac.launchd.unload("thing")
    mac.run()
    assert end(scene_document(mac))["launchd"]["jobs"] == {}


def test_jobs_are_drawn_and_told_in_the_static_picture_of_a_document() -> None:
    mac = jobs()
    doc = scene_document(mac)
    step = next(m["step"] for m in doc["moments"] if "waiting 5,000 ms at most" in m["text"])
    for picture in (units_picture(doc, step), units_picture(mac, step)):
        assert ">throttled until 5 s</text>" in picture.svg
        assert ">running, pid 102</text>" in picture.svg
        assert ">service of that name</text>" in picture.svg
        assert (
            "launchd's job thing is throttled until 5 s; it was started 1 time, the last run ended "
            "with status 0; it offers /var/run/thing.\n"
        ) in str(picture.text)
    first = next(m["step"] for m in doc["moments"] if "has loaded the job org" in m["text"])
    words = "launchd's job thing is waiting; it was never started; it offers /var/run/thing."
    assert words in str(units_picture(doc, first).text)
    assert "launchd's job thing is running" in str(units_picture(mac.snapshot()).text)


def test_jobs_stand_in_rows_and_more_than_fit_are_counted() -> None:
    mac = Kernel()
    for n in range(20):
        keys = {
            "Label": f"job{n}",
            "Program": DAEMON,
            "MachServices": {f"a{n}": True, f"b{n}": True},
        }
        mac.launchd.load(keys, {DAEMON: Thing().program()})
    row = jobs_in_state(mac.snapshot())
    assert row is not None
    assert row.height(640) == 96
    assert re.search(r">and \d+ more</text>", row.draw(640))
    assert "more</text>" not in row.draw(4000)
    assert ">a0 +1</text>" in row.draw(640)
    assert row.sentences()[0] == (
        "launchd's job job0 is waiting; it was never started; it offers a0 and b0."
    )
    assert ">no job is loaded</text>" in Jobs({}).draw(640)
    assert jobs_in_state(Kernel().snapshot()) is None


def test_what_starts_a_job_nobody_needs_is_named() -> None:
    mac = Kernel()
    for keys in (
        {"RunAtLoad": True},
        {"KeepAlive": True},
        {"KeepAlive": {"SuccessfulExit": False}, "RunAtLoad": True},
    ):
        plist = {"Label": str(keys), "ProgramArguments": [DAEMON, "-v"], **keys}
        mac.launchd.load(plist, {DAEMON: lambda app, word: app.time.sleep(1)})
    state = mac.snapshot()
    found = [job_fields(state, f"job:{n}") for n in (1, 2, 3)]
    assert [job["starts"] for job in found] == [
        ["RunAtLoad"],
        ["KeepAlive"],
        ["RunAtLoad", "KeepAlive, SuccessfulExit false"],
    ]
    assert found[0]["program"] == [DAEMON, "-v"]
    assert "offers" not in told_of(found[0])
    row = Jobs({"1": found[0]}).draw(640)
    assert ">running, pid 101</text>" in row
    assert row.count("<text") == 3  # launchd, the label, the state
