"""A process's ``mach`` module: ports, messages, waiting, launchd, what the log says of them."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.mach_messages import MachMsgHeader, unpack_message
from kextlab.kernel.kernel import Kernel as Bare
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from kextlab.views import log, scene_document

SERVICE = "org.kextlab.service"


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def server(mac: Kernel) -> App:
    return mac.spawn("server", uid=0)


@pytest.fixture
def client(mac: Kernel) -> App:
    return mac.spawn("client")


def port_of(mach: ModuleType) -> int:
    """A receive right, and a send right under the same name."""
    port: int = mach.mach_port_allocate(mach.MACH_PORT_RIGHT_RECEIVE)
    mach.mach_port_insert_right(port, port, mach.MACH_MSG_TYPE_MAKE_SEND)
    return port


def ping(mach: ModuleType, to: int, body: bytes = b"ping", **more: Any) -> Message:
    bits = mach.MACH_MSGH_BITS(mach.MACH_MSG_TYPE_COPY_SEND, 0)
    return Message(**{"msgh_bits": bits, "msgh_remote_port": to, "msgh_id": 7, "body": body} | more)


def refused(code: str, *call: Any) -> MachError:
    function, *args = call
    with pytest.raises(MachError) as caught:
        function(*args)
    assert caught.value.name == code
    return caught.value


def in_step(mac: Kernel) -> bool:
    """The trace's changes add up to what the kernel says of itself."""
    return mac.trace.state(len(mac.trace)) == mac.snapshot()


# -- names -------------------------------------------------------------------------------------


def test_the_calls_on_names_answer_as_c_s_do(mac: Kernel, client: App) -> None:
    m = client.mach
    port = port_of(m)
    assert m.type_names(m.mach_port_type(port)) == ["SEND", "RECEIVE"]
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_SEND, 2)
    assert m.mach_port_get_refs(port, m.MACH_PORT_RIGHT_SEND) == 3
    m.mach_port_deallocate(port)
    m.mach_port_set_attributes(port, 1)
    m.mach_port_set_mscount(port, 9)
    status = m.mach_port_get_attributes(port)
    assert (status.mps_qlimit, status.mps_mscount, status.mps_srights) == (1, 9, 1)
    pset = m.mach_port_allocate(m.MACH_PORT_RIGHT_PORT_SET)
    m.mach_port_insert_member(port, pset)
    refused("KERN_ALREADY_IN_SET", m.mach_port_insert_member, port, pset)
    m.mach_port_extract_member(port, pset)
    refused("KERN_NOT_IN_SET", m.mach_port_extract_member, port, pset)
    m.mach_port_move_member(port, pset)
    m.mach_port_rename(port, 0x7703)
    m.mach_port_destroy(0x7703)
    refused("KERN_INVALID_NAME", m.mach_port_type, 0x7703)
    refused("KERN_INVALID_RIGHT", m.mach_port_get_attributes, pset)
    assert in_step(mac)


def test_a_refusal_says_code_name_and_call(client: App) -> None:
    error = refused("KERN_INVALID_VALUE", client.mach.mach_port_allocate, 0)
    assert str(error) == "mach_port_allocate: KERN_INVALID_VALUE (18)"
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.name, again.call) == (18, "KERN_INVALID_VALUE", "mach_port_allocate")


def test_a_right_that_cannot_be_inserted_is_given_up(mac: Kernel, client: App) -> None:
    m = client.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    make = m.MACH_MSG_TYPE_MAKE_SEND
    refused("KERN_RIGHT_EXISTS", m.mach_port_insert_right, 0x7703, port, make)
    refused("KERN_INVALID_NAME", m.mach_port_insert_right, port, 0x7703, make)
    assert m.mach_port_get_attributes(port).mps_srights == 0
    assert in_step(mac)


def test_a_notification_is_asked_for_and_its_predecessor_comes_back(
    mac: Kernel, client: App
) -> None:
    m = client.mach
    port, told = port_of(m), m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    ask = m.mach_port_request_notification
    assert ask(port, m.MACH_NOTIFY_NO_SENDERS, 1, told) == m.MACH_PORT_NULL
    previous = ask(port, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    assert m.type_names(m.mach_port_type(previous)) == ["SEND_ONCE"]
    assert ask(port, m.MACH_NOTIFY_DEAD_NAME, 0, told) == m.MACH_PORT_NULL
    assert m.type_names(m.mach_port_type(port)) == ["SEND", "RECEIVE", "DNREQUEST"]
    assert in_step(mac)
    m.mach_port_deallocate(port)
    got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, told)
    assert got.msgh_id == m.MACH_NOTIFY_NO_SENDERS
    refused("KERN_INVALID_NAME", ask, port, m.MACH_NOTIFY_NO_SENDERS, 1, 0x7703)
    before = m.mach_port_get_attributes(told).mps_sorights
    refused("KERN_INVALID_VALUE", ask, port, 1, 0, told)
    got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, told)
    assert got.msgh_id == m.MACH_NOTIFY_SEND_ONCE  # the right made for it was destroyed unused
    assert m.mach_port_get_attributes(told).mps_sorights == before
    assert ask(port, m.MACH_NOTIFY_NO_SENDERS, 0, m.MACH_PORT_NULL) == m.MACH_PORT_NULL


# -- messages ----------------------------------------------------------------------------------


def test_a_message_travels_as_bytes(mac: Kernel, client: App) -> None:
    m = client.mach
    port = port_of(m)
    sent = ping(m, port)
    assert m.mach_msg(sent, m.MACH_SEND_MSG) is None
    option = m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_SEQNO
    got = m.mach_msg(None, option, 4096, port)
    assert (got.msgh_local_port, got.msgh_id, got.body, got.seqno) == (port, 7, b"ping", 0)
    assert got.msgh_size == len(sent.pack()) == 28
    both = m.MACH_SEND_MSG | m.MACH_RCV_MSG
    again = m.mach_msg(ping(m, port, b"pong"), both, 4096, port)
    assert (again.body, again.seqno) == (b"pong", None)
    assert m.mach_msg(None, 0) is None
    assert in_step(mac)


def test_a_right_travels_to_another_process(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(SERVICE)
    to = c.bootstrap_look_up(SERVICE)
    mine = port_of(c)
    carried = [c.PortDescriptor(mine, c.MACH_MSG_TYPE_COPY_SEND)]
    bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, 0) | c.MACH_MSGH_BITS_COMPLEX
    c.mach_msg(ping(c, to, msgh_bits=bits, descriptors=carried), c.MACH_SEND_MSG)
    assert in_step(mac)
    got = s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    (theirs,) = got.descriptors
    assert s.type_names(s.mach_port_type(theirs.name)) == ["SEND"]
    s.mach_msg(ping(s, theirs.name, b"back"), s.MACH_SEND_MSG)
    assert c.mach_msg(None, c.MACH_RCV_MSG, 4096, mine).body == b"back"
    assert in_step(mac)


def test_descriptors_without_the_complex_bit_are_bytes(client: App) -> None:
    m = client.mach
    port = port_of(m)
    carried = [m.PortDescriptor(port, m.MACH_MSG_TYPE_COPY_SEND)]
    m.mach_msg(ping(m, port, descriptors=carried), m.MACH_SEND_MSG)
    got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    assert got.descriptors == []
    assert len(got.body) == 4 + 12 + 4


def test_a_full_queue_gives_the_message_back(client: App) -> None:
    m = client.mach
    port, reply = port_of(m), m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_set_attributes(port, 0)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    sent = ping(m, port, msgh_bits=bits, msgh_local_port=reply)
    now = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
    error = refused("MACH_SEND_TIMED_OUT", m.mach_msg, sent, now)
    assert error.message is not None
    once = error.message.msgh_local_port
    assert m.type_names(m.mach_port_type(once)) == ["SEND_ONCE"]
    assert m.mach_port_get_refs(port, m.MACH_PORT_RIGHT_SEND) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"msgh_size": 20}, "MACH_SEND_MSG_TOO_SMALL"),
        ({"msgh_remote_port": 0}, "MACH_SEND_INVALID_DEST"),
        ({"msgh_bits": 0}, "MACH_SEND_INVALID_HEADER"),
    ],
)
def test_a_malformed_message_is_refused_as_it_is(
    client: App, change: dict[str, int], code: str
) -> None:
    m = client.mach
    sent = ping(m, port_of(m), **change)
    error = refused(code, m.mach_msg, sent, m.MACH_SEND_MSG)
    assert error.message is sent


def test_bytes_that_are_no_message(mac: Kernel, client: App) -> None:
    m, gate = client.mach, mac.mach_traps
    port = port_of(m)
    bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX
    head = MachMsgHeader(bits, 40, port).pack()
    for data in (b"", head[:20], head, head + b"\x02\0\0\0" + bytes(12)):
        code, _ = gate.mach_msg(client.pid, data, m.MACH_SEND_MSG)
        assert code == m.MACH_SEND_MSG_TOO_SMALL
    unknown = head + b"\x01\0\0\0" + bytes(11) + b"\x09"
    assert gate.mach_msg(client.pid, unknown, m.MACH_SEND_MSG)[0] == m.MACH_SEND_INVALID_TYPE
    guarded = MachMsgHeader(bits, 44, port).pack() + b"\x01\0\0\0" + bytes(11) + b"\x04" + bytes(4)
    with pytest.raises(NotImplementedError, match=r"guarded port in a message .* not modelled"):
        gate.mach_msg(client.pid, guarded, m.MACH_SEND_MSG)
    assert m.mach_port_get_attributes(port).mps_msgcount == 0


def test_an_interrupt_leaves_a_call_half_done(
    mac: Kernel, client: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = client.mach
    port = port_of(m)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mac.system.tasks, "drive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    assert mac.panic is not None
    assert "interrupt" in str(mac.panic).lower()


def test_a_dead_reply_right_is_told_as_such(mac: Kernel, server: App, client: App) -> None:
    m = client.mach
    port = port_of(m)
    dead = m.mach_port_allocate(m.MACH_PORT_RIGHT_DEAD_NAME)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_COPY_SEND)
    m.mach_msg(ping(m, port, msgh_bits=bits, msgh_local_port=dead), m.MACH_SEND_MSG)
    assert mac.snapshot()["kmsg:1"]["local"] == "IP_DEAD"
    assert in_step(mac)


def test_a_process_behind_another_gate_has_no_mach(mac: Kernel) -> None:
    app = mac.spawn("far", gate=mac.syscalls)
    with pytest.raises(NotImplementedError, match="another gate"):
        _ = app.mach


# -- waiting -----------------------------------------------------------------------------------


def test_a_receiver_sleeps_until_a_message_comes(mac: Kernel, server: App, client: App) -> None:
    port = server.mach.bootstrap_check_in(SERVICE)
    heard = []

    def serve(app: App) -> None:
        heard.append(app.mach.mach_msg(None, app.mach.MACH_RCV_MSG, 4096, port).body)

    server.run(serve)
    mac.run()
    assert heard == []
    c = client.mach
    c.mach_msg(ping(c, c.bootstrap_look_up(SERVICE), b"at last!"), c.MACH_SEND_MSG)
    mac.run()
    assert heard == [b"at last!"]
    assert in_step(mac)


def test_a_sender_sleeps_until_there_is_room(mac: Kernel, server: App, client: App) -> None:
    s = server.mach
    port = s.bootstrap_check_in(SERVICE)
    s.mach_port_set_attributes(port, 1)

    def flood(app: App) -> None:
        to = app.mach.bootstrap_look_up(SERVICE)
        for body in (b"one", b"two"):
            app.mach.mach_msg(ping(app.mach, to, body + b"."), app.mach.MACH_SEND_MSG)

    task = client.run(flood)
    mac.run()
    assert not task.done
    assert s.mach_msg(None, s.MACH_RCV_MSG, 4096, port).body == b"one."
    mac.run()
    assert task.done
    assert s.mach_msg(None, s.MACH_RCV_MSG, 4096, port).body == b"two."


def test_time_outs_pass(mac: Kernel, client: App) -> None:
    m = client.mach
    port = port_of(m)
    wait = m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT
    refused("MACH_RCV_TIMED_OUT", m.mach_msg, None, wait, 4096, port, 250)
    assert mac.now == 0.25
    m.mach_port_set_attributes(port, 0)
    late = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
    refused("MACH_SEND_TIMED_OUT", m.mach_msg, ping(m, port), late, 0, 0, 500)
    assert mac.now == 0.75
    assert in_step(mac)


def test_nobody_who_could_send_is_a_deadlock(client: App) -> None:
    m = client.mach
    with pytest.raises(SimDeadlock, match="ipc_mqueue_receive"):
        m.mach_msg(None, m.MACH_RCV_MSG, 4096, port_of(m))
    m.mach_port_set_attributes(port := port_of(m), 0)
    with pytest.raises(SimDeadlock, match="ipc_mqueue_send"):
        m.mach_msg(ping(m, port), m.MACH_SEND_MSG)
    assert m.mach_port_get_refs(port, m.MACH_PORT_RIGHT_SEND) == 2  # the right came back


@pytest.mark.parametrize("dies", [True, False])
def test_a_receiver_is_told_that_its_port_went(mac: Kernel, client: App, dies: bool) -> None:
    m = client.mach
    port, home = port_of(m), port_of(m)
    codes = []

    def wait(app: App) -> None:
        with pytest.raises(MachError) as caught:
            app.mach.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        codes.append(caught.value.name)

    client.run(wait)
    mac.run()
    if dies:
        m.mach_port_destroy(port)
    else:
        carried = [m.PortDescriptor(port, m.MACH_MSG_TYPE_MOVE_RECEIVE)]
        bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX
        m.mach_msg(ping(m, home, msgh_bits=bits, descriptors=carried), m.MACH_SEND_MSG)
    mac.run()
    assert codes == ["MACH_RCV_PORT_DIED" if dies else "MACH_RCV_PORT_CHANGED"]


def test_a_port_set_wakes_whoever_waits_for_it(mac: Kernel, client: App) -> None:
    m = client.mach
    port, pset = port_of(m), m.mach_port_allocate(m.MACH_PORT_RIGHT_PORT_SET)
    m.mach_msg(ping(m, port, b"here"), m.MACH_SEND_MSG)
    heard = []

    def wait(app: App) -> None:
        for _ in range(2):
            heard.append(app.mach.mach_msg(None, m.MACH_RCV_MSG, 4096, pset).body)

    client.run(wait)
    mac.run()
    m.mach_port_insert_member(port, pset)
    mac.run()
    assert heard == [b"here"]
    m.mach_msg(ping(m, port, b"more"), m.MACH_SEND_MSG)
    mac.run()
    assert heard == [b"here", b"more"]


def test_a_process_that_ends_takes_its_rights_with_it(mac: Kernel, client: App) -> None:
    other = mac.spawn("other")
    m = other.mach
    port_of(m)
    other.exit()
    assert in_step(mac)
    assert not [name for name in mac.snapshot() if name.startswith(("port:", "right:"))]
    plain = mac.spawn("plain")
    plain.exit()  # which never used Mach


# -- launchd -----------------------------------------------------------------------------------


def test_who_looks_up_first_is_heard_later(server: App, client: App) -> None:
    s, c = server.mach, client.mach
    refused("BOOTSTRAP_UNKNOWN_SERVICE", c.bootstrap_look_up, SERVICE)
    port = s.bootstrap_check_in(SERVICE)
    refused("BOOTSTRAP_SERVICE_ACTIVE", s.bootstrap_check_in, SERVICE)
    refused("BOOTSTRAP_NOT_PRIVILEGED", c.bootstrap_check_in, SERVICE)
    c.mach_msg(ping(c, c.bootstrap_look_up(SERVICE)), c.MACH_SEND_MSG)
    assert s.mach_msg(None, s.MACH_RCV_MSG, 4096, port).body == b"ping"


def test_a_service_outlives_its_server(mac: Kernel, server: App, client: App) -> None:
    server.mach.bootstrap_check_in(SERVICE)
    c = client.mach
    to = c.bootstrap_look_up(SERVICE)
    server.exit()
    c.mach_msg(ping(c, to, b"kept"), c.MACH_SEND_MSG)
    second = mac.spawn("second").mach
    port = second.bootstrap_check_in(SERVICE)
    assert second.mach_msg(None, second.MACH_RCV_MSG, 4096, port).body == b"kept"
    assert in_step(mac)


def test_a_port_of_one_s_own_can_be_registered(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    port = port_of(s)
    s.bootstrap_register(SERVICE, port)
    refused("BOOTSTRAP_SERVICE_ACTIVE", s.bootstrap_register, SERVICE, port)
    refused("BOOTSTRAP_NOT_PRIVILEGED", c.bootstrap_register, SERVICE, port_of(c))
    refused("KERN_INVALID_NAME", s.bootstrap_register, "org.kextlab.other", 0x7703)
    c.mach_msg(ping(c, c.bootstrap_look_up(SERVICE)), c.MACH_SEND_MSG)
    assert s.mach_msg(None, s.MACH_RCV_MSG, 4096, port).body == b"ping"
    server.exit()
    refused("BOOTSTRAP_UNKNOWN_SERVICE", c.bootstrap_look_up, SERVICE)
    assert in_step(mac)


def test_create_service_gives_a_send_right_and_leaves_the_rest_to_launchd(
    server: App, client: App
) -> None:
    c, s = client.mach, server.mach
    to = c.bootstrap_create_service(SERVICE)
    c.mach_msg(ping(c, to, b"soon"), c.MACH_SEND_MSG)
    port = s.bootstrap_check_in(SERVICE)
    assert s.mach_msg(None, s.MACH_RCV_MSG, 4096, port).body == b"soon"
    refused("BOOTSTRAP_NOT_PRIVILEGED", c.bootstrap_create_service, SERVICE)


# -- telling -----------------------------------------------------------------------------------


def test_the_log_tells_of_ports_and_messages(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(SERVICE)
    to = c.bootstrap_look_up(SERVICE)
    reply = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
    bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, c.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    c.mach_msg(ping(c, to, msgh_bits=bits, msgh_local_port=reply), c.MACH_SEND_MSG)
    s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
    refused("KERN_INVALID_NAME", c.mach_port_deallocate, 0x7703)
    c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND)
    s.mach_port_mod_refs(port, s.MACH_PORT_RIGHT_RECEIVE, -1)
    c.mach_msg(None, 0)
    told = str(log(mac))
    for line in (
        f"server asks launchd for the receive right of {SERVICE} (bootstrap_check_in).",
        f"bootstrap_look_up returns to client: the send right is name {to:#x}.",
        "client allocates a receive right (mach_port_allocate).",
        f"client calls mach_msg to send message 7, 28 bytes, to {SERVICE} (name {to:#x}), with a",
        f"Message 7 is queued at {SERVICE} for server: 1 of at most 5.",
        f"server calls mach_msg to receive at {SERVICE} (name {port:#x}).",
        "server receives message 7, 28 bytes, with a right to reply.",
        "The kernel refused mach_port_deallocate of client: it has no name 0x7703",
        "mach_port_get_refs returns to client: 1 reference.",
        f"server gives up the receive right of {SERVICE}, name {port:#x} (mach_port_mod_refs).",
        "client calls mach_msg to do nothing.",
    ):
        assert line in told, told
    moments = scene_document(mac)["moments"]
    assert any(moment.get("label") == "send 7, 28 B" for moment in moments)


def test_nothing_is_recorded_where_nothing_is_to_be() -> None:
    mac = Kernel(trace=False)
    m = mac.spawn("quiet").mach
    port = m.bootstrap_check_in(SERVICE)
    assert m.type_names(m.mach_port_type(port)) == ["RECEIVE"]
    assert len(mac.trace) == 0
    assert isinstance(mac, Bare)


def test_a_message_survives_its_bytes() -> None:
    data = Message(msgh_bits=19, msgh_remote_port=0x103, body=b"abcd").pack()
    header, descriptors, body = unpack_message(data)
    assert (header.msgh_size, descriptors, body) == (28, [], b"abcd")


def test_a_message_says_what_is_in_it_and_no_more() -> None:
    told = Message(msgh_bits=0x80000013, msgh_remote_port=0x103, body=b"abcd", seqno=0)
    assert repr(told) == (
        "Message(msgh_bits=0x80000013, msgh_remote_port=0x103, body=b'abcd', seqno=0)"
    )
    assert eval(repr(told)) == told
    assert repr(Message(msgh_bits=None)) == "Message()"  # type: ignore[arg-type]


def test_in_a_notebook_what_is_long_is_a_line_for_each_field() -> None:
    from IPython.lib.pretty import pretty

    assert pretty(Message(msgh_id=7)) == "Message(msgh_id=7)"
    m = Kernel().spawn("client").mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    status = m.mach_port_get_attributes(port)
    shown = pretty(status).splitlines()
    assert shown[0] == "PortStatus(mps_mscount=0,"
    assert [line.strip(" ,)") for line in shown[1:]] == [
        f"{name}={value}" for name, value in status._asdict().items()
    ][1:]


# -- who sent it -------------------------------------------------------------------------------


def token_of(mach: ModuleType, port: int) -> Any:
    option = mach.MACH_RCV_MSG | mach.MACH_RCV_TRAILER_AUDIT
    return mach.mach_msg(None, option, 4096, port).audit_token


def test_a_message_keeps_its_token_after_its_sender(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(SERVICE)
    c.mach_msg(ping(c, c.bootstrap_look_up(SERVICE)), c.MACH_SEND_MSG)
    assert mac.snapshot()["kmsg:1"]["audit"][5] == client.pid
    client.exit()  # its pid may be another's from now on, its pid and pid version may not
    token = token_of(s, port)
    assert (token[1], token[5]) == (501, client.pid)
    other = mac.spawn("other", uid=0)
    o = other.mach
    o.mach_msg(ping(o, o.bootstrap_look_up(SERVICE)), o.MACH_SEND_MSG)
    again = token_of(s, port)
    assert (again[1], again[2], again[5]) == (0, 0, other.pid)
    assert again[7] != token[7]
    assert in_step(mac)


def test_a_token_is_that_of_the_moment_of_sending(mac: Kernel, server: App, client: App) -> None:
    s, c = server.mach, client.mach
    port = s.bootstrap_check_in(SERVICE)
    c.mach_msg(ping(c, c.bootstrap_look_up(SERVICE)), c.MACH_SEND_MSG)
    mac.system.set_uid(mac.system.processes[client.pid], 0)
    assert token_of(s, port)[1] == 501


def test_the_kernel_s_own_messages_have_an_empty_token(client: App) -> None:
    m = client.mach
    port = port_of(m)
    m.mach_port_request_notification(port, m.MACH_NOTIFY_NO_SENDERS, 0, port)
    m.mach_port_deallocate(port)
    assert token_of(m, port) == (0,) * 8


@pytest.mark.parametrize(
    ("asked", "size", "seqno"), [(0, 8, None), (1, 12, 1), (2, 20, 1), (3, 52, 1)]
)
def test_a_trailer_is_as_long_as_was_asked(
    mac: Kernel, client: App, asked: int, size: int, seqno: int | None
) -> None:
    m = client.mach
    port = port_of(m)
    for body in (b"one.", b"two."):
        m.mach_msg(ping(m, port, body), m.MACH_SEND_MSG)
    m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    option = m.MACH_RCV_MSG | m.MACH_RCV_LARGE | asked << 24
    refused("MACH_RCV_TOO_LARGE", m.mach_msg, None, option, 28 + size - 1, port)
    code, data = mac.mach_traps.mach_msg(client.pid, None, option, 28 + size, port)
    assert (code, len(data), int.from_bytes(data[32:36], "little")) == (0, 28 + size, size or 8)
    if asked == 2:
        assert data[40:] == (501).to_bytes(4, "little") + (20).to_bytes(4, "little")
    m.mach_msg(ping(m, port), m.MACH_SEND_MSG)
    got = m.mach_msg(None, option, 28 + size, port)
    assert got.seqno == (None if seqno is None else 2)
    assert (got.audit_token is not None) is (asked == 3)


@pytest.mark.parametrize("asked", [4, 7, 8])
def test_longer_trailers_are_not_modelled(mac: Kernel, client: App, asked: int) -> None:
    m = client.mach
    port = port_of(m)
    m.mach_msg(ping(m, port), m.MACH_SEND_MSG)
    before = mac.snapshot()
    with pytest.raises(NotImplementedError, match=f"a trailer of {asked} elements"):
        m.mach_msg(ping(m, port), m.MACH_SEND_MSG | m.MACH_RCV_MSG | asked << 24, 4096, port)
    assert mac.snapshot() == before


def test_the_log_says_what_a_name_is_and_what_came_back(mac: Kernel, client: App) -> None:
    m = client.mach
    port = port_of(m)
    m.mach_port_type(port)
    m.mach_port_set_attributes(port, 0)
    refused("MACH_SEND_TIMED_OUT", m.mach_msg, ping(m, port), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
    m.mach_port_get_attributes(port)
    told = " ".join(str(log(mac)).split())
    for line in (
        f"mach_port_type returns to client: name {port:#x} is SEND and RECEIVE.",
        "The kernel refused mach_msg of client: the queue of port:1 holds 0 of at most 0 messages",
        "and it must not wait longer; message 7 came back (MACH_SEND_TIMED_OUT).",
        "mach_port_get_attributes returns to client: no messages queued, 0 at most, make-send",
    ):
        assert line in told, told
