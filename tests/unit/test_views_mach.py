"""What the log says of Mach, memory, launchd and IOKit: every call, answer and refusal once."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.userland.mach import Mach
from kextlab.userland.mach_error import MachError
from kextlab.userland.vm import MachVm
from kextlab.views import log, scene_document, space_time
from tests.unit import mach_machines as machines

MACHINES = [machines.memory, machines.brokered, machines.throttled, machines.sensor]
PAGE = machines.PAGE


def said(mac: Kernel) -> list[str]:
    return [line.text for line in log(mac)]


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


@pytest.fixture
def m(mac: Kernel) -> Any:
    return mac.spawn("client").mach


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_every_line_is_a_sentence(machine: Callable[[], Kernel]) -> None:
    for line in said(machine()):
        assert re.fullmatch(r"\S.*\.", line), line
        assert "  " not in line
        assert ") (" not in line


def test_memory_is_handed_over_by_a_message() -> None:
    told = said(machines.memory())
    for line in (
        "client calls mach_msg to send message 1, 24 bytes, to org.kextlab.memory (name 0x103), "
        "with a right to reply.",
        "Message 1 is queued at org.kextlab.memory for server: 1 of at most 5.",
        "server receives message 1, 24 bytes, with a right to reply.",
        "server calls mach_msg to send message 2, 40 bytes, to port:4 (name 0x303), with a send "
        "right to a memory entry of 16,384 bytes.",
        "client receives message 2, 40 bytes, with a send right to a memory entry of 16,384 bytes "
        "(name 0x303).",
        "client maps 16,384 bytes of memory entry 0x303 (mach_vm_map).",
        "client touches memory where nothing is mapped: the kernel sends it a SIGSEGV.",
        "client gives up a reference to name 0x303, a send right to a memory entry of 16,384 "
        "bytes (mach_port_deallocate).",
    ):
        assert line in told, line


def test_launchd_starts_a_job_and_its_message_wakes_who_waits() -> None:
    told = said(machines.brokered())
    for line in (
        "launchd sleeps in mach_msg until a message comes to pset:1; others run.",
        "client asks launchd for a send right to org.kextlab.broker (bootstrap_look_up).",
        "The message wakes launchd, which waits at pset:1.",
        "mach_msg returns MACH_RCV_TOO_LARGE to launchd: a message is there, does not fit a "
        "buffer of 0 bytes, and stays queued.",
        "launchd starts org.kextlab.broker as pid 103, uid 0.",
        "The message wakes client, which waits at port:4.",
    ):
        assert line in told, line


def test_a_job_that_died_is_throttled() -> None:
    told = said(machines.throttled())
    for line in (
        "The kernel sends a no-senders notification to org.kextlab.crash's bootstrap port for "
        "launchd: the last send right to a port it receives at is gone.",
        "The kernel sends a port-destroyed notification to port:1 for launchd: the receive right "
        "comes back, with what is queued.",
        "crash (pid 102) has ended, and with it its rights.",
        "launchd learns that org.kextlab.crash has ended with status 1 (ValueError).",
        "launchd holds org.kextlab.crash back: it may not start again before 5 s.",
        "launchd calls mach_msg to receive at pset:1 (name 0x203), waiting 4,000 ms at most.",
        "mach_msg returns MACH_RCV_TIMED_OUT to launchd: no message came to pset:1 (name 0x203) "
        "in time.",
        "launchd starts org.kextlab.crash as pid 103, uid 0.",
    ):
        assert line in told, line


def test_a_driver_is_opened_mapped_and_read() -> None:
    told = said(machines.sensor())
    for line in (
        "reader looks for the driver SensorDriver (io_service_get_matching_service).",
        "reader opens SensorDriver, type 0 (io_service_open).",
        "reader calls method 0 of connection 0x203 to SensorDriver (io_connect_method).",
        "io_connect_map_memory returns to reader: 108 bytes at 0x100000000.",
        "SensorDriver puts a record of 8 bytes into the data queue of 60 bytes: head 0, tail 12.",
        "The kernel queues a message at port:4 for reader, to say that there are data.",
        "SensorDriver's record of 8 bytes does not fit the data queue of 60 bytes and is lost; "
        "only the driver sees it.",
        "io_connect_method returns kIOReturnUnsupported to reader.",
    ):
        assert line in told, line


# ---------------------------------------------------------------- every call, once


def port_of(m: Any) -> int:
    """A receive right with a send right, under one name."""
    port: int = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    return port


def message(m: Any, to: int, **more: Any) -> Any:
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    return m.Message(more.pop("bits", bits), to, msgh_id=7, **more)


def send(m: Any, to: int, option: int = 0, **more: Any) -> None:
    m.mach_msg(message(m, to, **more), m.MACH_SEND_MSG | option)


CALLS: list[tuple[Callable[[Any], object], str]] = [
    (
        lambda m: m.mach_port_insert_right(*[m.mach_port_allocate(1)] * 2, 20),
        "client puts a send right (MAKE_SEND of 0x103) under name 0x103 (mach_port_insert_right).",
    ),
    (
        lambda m: m.mach_port_destroy(m.mach_port_allocate(4)),
        "client destroys name 0x103, a dead name (mach_port_destroy).",
    ),
    (
        lambda m: m.mach_port_mod_refs(port_of(m), m.MACH_PORT_RIGHT_SEND, 2),
        "client changes the send rights of port:1, name 0x103 by +2 (mach_port_mod_refs).",
    ),
    (
        lambda m: m.mach_port_get_refs(port_of(m), m.MACH_PORT_RIGHT_SEND),
        "client asks how many references to a send right name 0x103 has (mach_port_get_refs).",
    ),
    (
        lambda m: m.mach_port_type(port_of(m)),
        "mach_port_type returns to client: name 0x103 is SEND and RECEIVE.",
    ),
    (
        lambda m: m.mach_port_rename(port_of(m), 0x1003),
        "client renames 0x103 to 0x1003 (mach_port_rename).",
    ),
    (
        lambda m: m.mach_port_get_attributes(port_of(m)),
        "mach_port_get_attributes returns to client: no messages queued, 5 at most, make-send "
        "count 1.",
    ),
    (
        lambda m: m.mach_port_set_mscount(port_of(m), 3),
        "client sets the make-send count of port:1, name 0x103 to 3 (mach_port_set_mscount).",
    ),
    (
        lambda m: m.mach_port_move_member(port_of(m), 0),
        "client moves port:1, name 0x103 out of all port sets (mach_port_move_member).",
    ),
    (
        lambda m: m.mach_port_move_member(port_of(m), m.mach_port_allocate(3)),
        "client moves port:1, name 0x103 into the port set 0x203 (mach_port_move_member).",
    ),
    (
        lambda m: m.mach_port_insert_member(port_of(m), m.mach_port_allocate(3)),
        "client puts port:1, name 0x103 into the port set 0x203 (mach_port_insert_member).",
    ),
    (
        lambda m: [
            change(port_of(m), m.mach_port_allocate(3)) if at == 0 else change(0x103, 0x203)
            for at, change in enumerate((m.mach_port_insert_member, m.mach_port_extract_member))
        ],
        "client takes port:1, name 0x103 out of the port set 0x203 (mach_port_extract_member).",
    ),
    (
        lambda m: m.mach_port_request_notification(
            port_of(m), m.MACH_NOTIFY_NO_SENDERS, 0, port_of(m)
        ),
        "client asks to be told of no-senders for port:1, name 0x103 at name 0x203 "
        "(mach_port_request_notification).",
    ),
    (
        lambda m: m.mach_port_request_notification(port_of(m), m.MACH_NOTIFY_NO_SENDERS, 0, 0),
        "client takes back the no-senders request of port:1, name 0x103 "
        "(mach_port_request_notification).",
    ),
    (
        lambda m: m.mach_vm_protect(m.mach_vm_allocate(PAGE), PAGE, False, 1),
        "client lets 16,384 bytes at 0x100000000 be used to read (mach_vm_protect).",
    ),
    (
        lambda m: m.mach_vm_deallocate(m.mach_vm_allocate(PAGE), PAGE),
        "client gives up 16,384 bytes of memory at 0x100000000 (mach_vm_deallocate).",
    ),
    (
        lambda m: m.mach_vm_region(m.mach_vm_allocate(PAGE)),
        "mach_vm_region returns to client: 16,384 bytes at 0x100000000, to read and write, at most "
        "read and write and execute.",
    ),
    (
        lambda m: m.mach_vm_map(0, PAGE, 0, 1, 0, 0, False, 3, 3, 2),
        "client maps 16,384 bytes of zeros (mach_vm_map).",
    ),
    (
        lambda m: m.mach_vm_map(
            0,
            PAGE,
            0,
            1,
            m.mach_make_memory_entry_64(PAGE, m.mach_vm_allocate(PAGE), 3)[1],
            0,
            True,
            1,
            1,
            2,
        ),
        "client maps 16,384 bytes of a private copy of memory entry 0x103 (mach_vm_map).",
    ),
    (
        lambda m: m.mach_make_memory_entry_64(2 * PAGE, m.mach_vm_allocate(PAGE), 3),
        "mach_make_memory_entry_64 returns to client: name 0x103 stands for 16,384 bytes, fewer "
        "than the 32,768 asked for.",
    ),
    (
        lambda m: m.bootstrap_register("org.kextlab.own", port_of(m)),
        "client asks launchd to offer name 0x103 as org.kextlab.own (bootstrap_register).",
    ),
    (
        lambda m: m.bootstrap_create_service("org.kextlab.own"),
        "bootstrap_create_service returns to client: a send right to it is name 0x107.",
    ),
    (
        lambda m: m.mach_msg(message(m, port_of(m)), 3, 4096, 0x103),
        "client calls mach_msg to send message 7, 24 bytes, to port:1 (name 0x103) and receive at "
        "port:1 (name 0x103).",
    ),
    (
        lambda m: send(
            m,
            port_of(m),
            bits=m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX,
            descriptors=[m.PortDescriptor(0x103, m.MACH_MSG_TYPE_COPY_SEND)] * 4,
        ),
        "client calls mach_msg to send message 7, 76 bytes, to port:1 (name 0x103), with a send "
        "right to port:1, a send right to port:1, a send right to port:1 and 1 more.",
    ),
]


@pytest.mark.parametrize(("call", "line"), CALLS, ids=[line for _, line in CALLS])
def test_a_call_and_its_answer_in_a_sentence(
    mac: Kernel, m: Any, call: Callable[[Any], object], line: str
) -> None:
    call(m)
    assert line in said(mac), said(mac)
    assert scene_document(mac)


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (
        lambda m: m.mach_port_allocate(m.MACH_PORT_RIGHT_SEND),
        "The kernel refused mach_port_allocate of client: receive rights, port sets and dead names "
        "are allocated; a send right is made from a receive right (KERN_INVALID_VALUE).",
    ),
    (
        lambda m: m.mach_port_deallocate(m.mach_port_allocate(1)),
        "The kernel refused mach_port_deallocate of client: name 0x103 is the receive right of "
        "port:1, which has no references to give up (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_insert_right(*[m.mach_port_allocate(1)] * 2, 19),
        "The kernel refused mach_port_insert_right of client: that disposition takes a send right, "
        "and name 0x103 is the receive right of port:1 (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_insert_right(*[m.mach_port_allocate(4)] * 2, 20),
        "The kernel refused mach_port_insert_right of client: that disposition takes the receive "
        "right, and name 0x103 is a dead name (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_mod_refs(port_of(m), m.MACH_PORT_RIGHT_DEAD_NAME, 1),
        "The kernel refused mach_port_mod_refs of client: name 0x103 is the receive right of "
        "port:1, with a send right, and no DEAD_NAME right (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_get_attributes(m.mach_port_allocate(3)),
        "The kernel refused mach_port_get_attributes of client: name 0x103 is the port set pset:1, "
        "and only whoever has the receive right may (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_set_attributes(port_of(m), 1025),
        "The kernel refused mach_port_set_attributes of client: 1025 is beyond the largest queue "
        "limit, 1,024 (KERN_INVALID_VALUE).",
    ),
    (
        lambda m: m.mach_port_insert_member(port_of(m), 0x103),
        "The kernel refused mach_port_insert_member of client: a receive right is a member of a "
        "port set, but name 0x103 is the receive right of port:1, with a send right and 0x103 is "
        "the receive right of port:1, with a send right (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_port_insert_member(port_of(m), 0x7703),
        "The kernel refused mach_port_insert_member of client: it has no name 0x7703 "
        "(KERN_INVALID_NAME).",
    ),
    (
        lambda m: send(m, 0x7703),
        "The kernel refused mach_msg of client: its destination is name 0x7703, which it does not "
        "have (MACH_SEND_INVALID_DEST).",
    ),
    (
        lambda m: send(m, m.mach_port_allocate(1)),
        "The kernel refused mach_msg of client: its destination, name 0x103, is the receive right "
        "of port:1 (MACH_SEND_INVALID_DEST).",
    ),
    (
        lambda m: send(m, port_of(m), bits=m.MACH_MSGH_BITS(19, 21), msgh_local_port=0x7703),
        "The kernel refused mach_msg of client: its reply port, name 0x7703, does not allow that "
        "disposition (MACH_SEND_INVALID_REPLY).",
    ),
    (
        lambda m: send(
            m,
            port_of(m),
            bits=m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX,
            descriptors=[m.PortDescriptor(0x7703, m.MACH_MSG_TYPE_COPY_SEND)],
        ),
        "The kernel refused mach_msg of client: a descriptor names 0x7703, which it does not have "
        "(MACH_SEND_INVALID_RIGHT).",
    ),
    (
        lambda m: send(
            m,
            port_of(m),
            bits=m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX,
            descriptors=[m.PortDescriptor(m.mach_port_allocate(1), m.MACH_MSG_TYPE_COPY_SEND)],
        ),
        "The kernel refused mach_msg of client: a descriptor names a right it does not have "
        "(MACH_SEND_INVALID_RIGHT).",
    ),
    (
        lambda m: [send(m, to, m.MACH_SEND_TIMEOUT) for to in [port_of(m)] * 6],
        "The kernel refused mach_msg of client: the queue of port:1 holds 5 of at most 5 messages, "
        "and it must not wait longer; message 7 came back (MACH_SEND_TIMED_OUT).",
    ),
    (
        lambda m: m.mach_msg(None, m.MACH_RCV_MSG, 99, 0x7703),
        "The kernel refused mach_msg of client: one receives at a receive right or a port set, and "
        "name 0x7703 is none it has (MACH_RCV_INVALID_NAME).",
    ),
    (
        lambda m: m.mach_msg(None, m.MACH_RCV_MSG, 99, m.mach_port_allocate(4)),
        "The kernel refused mach_msg of client: one receives at a receive right or a port set, and "
        "name 0x103 is a dead name (MACH_RCV_INVALID_NAME).",
    ),
    (
        lambda m: m.mach_msg(message(m, port_of(m)), 3, 16, 0x103),
        "The kernel refused mach_msg of client: the message does not fit 16 bytes with its "
        "trailer, and is gone (MACH_RCV_TOO_LARGE).",
    ),
    (
        lambda m: m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 99, port_of(m)),
        "mach_msg returns MACH_RCV_TIMED_OUT to client: no message came to port:1 (name 0x103) in "
        "time.",
    ),
    (
        lambda m: m.mach_vm_map(0, PAGE, 0, 1, port_of(m), 0, False, 3, 3, 2),
        "The kernel refused mach_vm_map of client: port:1 (name 0x103) is no memory entry "
        "(KERN_INVALID_OBJECT).",
    ),
    (
        lambda m: m.mach_vm_map(
            0,
            PAGE,
            0,
            1,
            m.mach_make_memory_entry_64(PAGE, m.mach_vm_allocate(PAGE), 1)[1],
            0,
            False,
            3,
            3,
            2,
        ),
        "The kernel refused mach_vm_map of client: it asks to read and write, which a memory entry "
        "of 16,384 bytes (name 0x103) does not allow (KERN_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_vm_map(0, PAGE, 0, 1, 0x7703, 0, False, 3, 3, 2),
        "The kernel refused mach_vm_map of client: name 0x7703 is no send right of it "
        "(MACH_SEND_INVALID_RIGHT).",
    ),
    (
        lambda m: m.mach_vm_allocate(PAGE, m.VM_FLAGS_FIXED, m.mach_vm_allocate(PAGE)),
        "The kernel refused mach_vm_allocate of client: there is no room for 16,384 bytes where it "
        "asks for it (KERN_NO_SPACE).",
    ),
    (
        lambda m: m.mach_vm_region(1 << 46),
        "The kernel refused mach_vm_region of client: nothing is mapped at 0x400000000000 "
        "(KERN_INVALID_ADDRESS).",
    ),
    (
        lambda m: m.mach_vm_protect(m.mach_vm_allocate(PAGE), PAGE, False, 64),
        "The kernel refused mach_vm_protect of client: the range wraps around, or the protection "
        "is none (KERN_INVALID_ARGUMENT).",
    ),
    (
        lambda m: m.bootstrap_look_up("org.kextlab.nobody"),
        "launchd refused bootstrap_look_up of client: nobody has told it of a service "
        "org.kextlab.nobody (BOOTSTRAP_UNKNOWN_SERVICE).",
    ),
    (
        lambda m: [m.bootstrap_check_in("org.kextlab.own") for _ in range(2)],
        "launchd refused bootstrap_check_in of client: this task has checked in to org.kextlab.own "
        "already (BOOTSTRAP_SERVICE_ACTIVE).",
    ),
]


@pytest.mark.parametrize(("call", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_a_refusal_says_why_and_names_its_code(
    mac: Kernel, m: Any, call: Callable[[Any], object], line: str
) -> None:
    with pytest.raises(MachError):
        call(m)
    assert said(mac)[-1] == line
    last = scene_document(mac)["moments"][-1]
    assert last["errno"] in line
    assert last["kind"] == ("return" if line.startswith("mach_msg returns") else "refusal")


def test_a_service_of_another_job_is_foreign(mac: Kernel) -> None:
    mac.spawn("first").mach.bootstrap_check_in("org.kextlab.own")
    with pytest.raises(MachError):
        mac.spawn("second").mach.bootstrap_check_in("org.kextlab.own")
    assert said(mac)[-1] == (
        "launchd refused bootstrap_check_in of second: org.kextlab.own belongs to another job "
        "(BOOTSTRAP_NOT_PRIVILEGED)."
    )


def test_every_call_of_the_modules_is_told_of_here() -> None:
    told = " ".join(line for _, line in CALLS + REFUSED)
    calls = {name for kind in (Mach, MachVm) for name in vars(kind) if "mach_" in name[:5]}
    assert {call for call in calls if call not in told} == set()


def test_room_in_a_queue_wakes_its_sender(mac: Kernel) -> None:
    receiver, sender = mac.spawn("receiver"), mac.spawn("sender")
    port = receiver.mach.bootstrap_check_in("org.kextlab.own")

    def fill(app: Any) -> None:
        to = app.mach.bootstrap_look_up("org.kextlab.own")
        for _ in range(6):
            send(app.mach, to)

    def drain(app: Any) -> None:
        app.mach.mach_msg(None, app.mach.MACH_RCV_MSG, 4096, port)

    sender.run(fill)
    receiver.run(drain)
    mac.run()
    told = said(mac)
    slept = "sender sleeps in mach_msg until there is room in the queue of org.kextlab.own; "
    assert f"{slept}others run." in told
    assert "There is room at org.kextlab.own again, which wakes sender." in told


def test_a_port_that_dies_wakes_its_receiver(mac: Kernel) -> None:
    app = mac.spawn("receiver")
    m = app.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)

    def wait(app: Any) -> None:
        with pytest.raises(MachError):
            app.mach.mach_msg(None, app.mach.MACH_RCV_MSG, 4096, port)

    app.run(wait)
    app.run(lambda app: app.mach.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1))
    mac.run()
    told = said(mac)
    assert "port:1 is gone, which wakes receiver." in told
    assert any("the port died while the call waited for a message" in line for line in told)


# ---------------------------------------------------------------- whatever is called

NAMES = st.sampled_from([0, 0x103, 0x203, 0x303, 0x7703, 0xFFFFFFFF])
NUMBERS = st.integers(0, 80)
HEADERS = st.builds(
    lambda bits, size, to, local, msgid, rest: (
        b"".join(one.to_bytes(4, "little") for one in (bits, size, to, local, 0, msgid)) + rest
    ),
    st.sampled_from([0x13, 0x1513, 0x80000013, 0x14, 0x1411, 0x3F]),
    st.integers(0, 60),
    NAMES,
    NAMES,
    NUMBERS,
    st.binary(max_size=40),
)
TRAPS = st.one_of(
    st.tuples(st.just("port_allocate"), NUMBERS),
    st.tuples(st.just("port_insert_right"), NAMES, NAMES, st.integers(15, 22)),
    st.tuples(st.just("port_deallocate"), NAMES),
    st.tuples(st.just("port_mod_refs"), NAMES, st.integers(0, 6), st.integers(-2, 2)),
    st.tuples(st.just("port_get_attributes"), NAMES),
    st.tuples(st.just("port_insert_member"), NAMES, NAMES),
    st.tuples(
        st.just("port_request_notification"),
        NAMES,
        st.integers(64, 73),
        NUMBERS,
        NAMES,
        st.just(21),
    ),
    st.tuples(
        st.just("mach_msg"),
        st.none() | HEADERS | st.binary(max_size=23),
        st.sampled_from([0x11, 0x102, 0x106, 0x113, 0x3000102]),
        NUMBERS,
        NAMES,
        st.just(0),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TRAPS, max_size=14))
def test_whatever_is_called_is_told_drawn_and_shown(calls: list[tuple[Any, ...]]) -> None:
    mac = Kernel()
    pid = mac.spawn("client").pid
    for right in (1, 1, 3):
        mac.mach_traps.port_allocate(pid, right)
    for name, *args in calls:
        with suppress(NotImplementedError):
            getattr(mac.mach_traps, name)(pid, *args)
    lines = said(mac)
    assert all(line.endswith(".") for line in lines)
    assert space_time(mac).text
    for moment in scene_document(mac)["moments"]:
        for _, offset, size, _, _ in moment.get("fields", ()):
            assert 0 <= offset <= offset + size
