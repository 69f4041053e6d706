"""What Mach IPC refuses, one by one: the generated recordings show all of it at random."""

from __future__ import annotations

import pickle

import pytest

from kextlab import Kernel
from kextlab.abi import mach as m
from kextlab.kernel.mach_error import MachRefusal
from kextlab.osfmk import mach_msg, mach_port
from kextlab.osfmk.ipc_space import Ipc, Space
from tests.unit.test_osfmk_ipc import LISTEN, ask, give, message, port_of, receive_right, send, take

STRANGE = 0x7703
NULL, DEAD = m.MACH_PORT_NULL, m.MACH_PORT_DEAD
COPY, MOVE = m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MOVE_SEND
MAKE, MAKE_ONCE = m.MACH_MSG_TYPE_MAKE_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE
MOVE_ONCE = m.MACH_MSG_TYPE_MOVE_SEND_ONCE


@pytest.fixture
def space() -> Space:
    return Space(Ipc())


@pytest.fixture
def other(space: Space) -> Space:
    return Space(space.ipc)


def guards(space: Space) -> list[str]:
    kinds = [kind for _, kind in space.ipc.guards]
    space.ipc.guards.clear()
    return kinds


# -- rights ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "of"),
    [
        (MAKE, "send"),
        (MAKE_ONCE, "send"),
        (m.MACH_MSG_TYPE_MOVE_RECEIVE, "send"),
        (COPY, "receive"),
        (COPY, "once"),
        (MOVE, "once"),
        (MOVE_ONCE, "send"),
    ],
)
def test_a_disposition_takes_one_kind_of_right(
    space: Space, other: Space, way: int, of: str
) -> None:
    name = receive_right(space)
    names = {
        "receive": (space, name),
        "send": (other, give(space, name, other)),
        "once": (other, give(space, name, other, MAKE_ONCE)),
    }
    holder, it = names[of]
    before = holder.entries[it].type
    assert mach_port.copyin(holder, it, way) == (m.KERN_INVALID_RIGHT, None)
    assert holder.entries[it].type == before


def test_a_live_right_has_no_dead_name_references(space: Space, other: Space) -> None:
    sp = give(space, receive_right(space), other)
    assert mach_port.mod_refs(other, sp, m.MACH_PORT_RIGHT_DEAD_NAME, -1) == m.KERN_INVALID_RIGHT
    assert guards(other) == ["INVALID_RIGHT"]


def test_a_dead_name_cannot_lose_more_references_than_it_has(space: Space) -> None:
    _, dead = mach_port.allocate(space, m.MACH_PORT_RIGHT_DEAD_NAME)
    assert mach_port.mod_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME, -2) == m.KERN_INVALID_VALUE
    assert mach_port.get_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (m.KERN_SUCCESS, 1)
    assert guards(space) == ["INVALID_VALUE"]


def test_a_dead_name_loses_one_reference_after_the_other(space: Space) -> None:
    _, dead = mach_port.allocate(space, m.MACH_PORT_RIGHT_DEAD_NAME)
    assert mach_port.mod_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME, 1) == m.KERN_SUCCESS
    assert mach_port.deallocate(space, dead) == m.KERN_SUCCESS
    assert mach_port.get_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (m.KERN_SUCCESS, 1)
    assert mach_port.deallocate(space, dead) == m.KERN_SUCCESS
    assert mach_port.type_(space, dead)[0] == m.KERN_INVALID_NAME


@pytest.mark.parametrize(
    ("change", "code"),
    [(0, m.KERN_SUCCESS), (1, m.KERN_INVALID_VALUE), (-2, m.KERN_INVALID_VALUE)],
)
def test_a_receive_right_has_one_reference_which_can_only_go(
    space: Space, change: int, code: int
) -> None:
    name = receive_right(space)
    assert mach_port.mod_refs(space, name, m.MACH_PORT_RIGHT_RECEIVE, change) == code
    assert mach_port.type_(space, name) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_RECEIVE)


def test_a_send_right_that_is_destroyed_is_no_message(space: Space, other: Space) -> None:
    name = receive_right(space)
    assert mach_port.destroy(other, give(space, name, other)) == m.KERN_SUCCESS
    assert port_of(space, name).srights == 0
    assert not port_of(space, name).messages


def test_a_send_once_right_that_is_destroyed_ends_in_a_message(space: Space, other: Space) -> None:
    name = receive_right(space)
    so = give(space, name, other, MAKE_ONCE)
    assert mach_port.destroy(other, so) == m.KERN_SUCCESS
    assert take(space, name).header.id == m.MACH_NOTIFY_SEND_ONCE


def test_a_right_that_is_copied_in_whole_tells_that_its_name_went(
    space: Space, other: Space
) -> None:
    sp, n = give(space, receive_right(space), other), receive_right(other)
    ask(other, sp, m.MACH_NOTIFY_DEAD_NAME, n)
    assert mach_port.copyin(other, sp, MOVE)[0] == m.KERN_SUCCESS
    assert take(other, n).header.id == m.MACH_NOTIFY_PORT_DELETED


def test_null_and_dead_are_names_of_their_own(space: Space) -> None:
    assert mach_port.type_(space, NULL) == (m.KERN_INVALID_NAME, m.MACH_PORT_TYPE_NONE)
    assert mach_port.type_(space, DEAD) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_DEAD_NAME)
    for name in (NULL, DEAD):
        assert mach_port.get_refs(space, name, m.MACH_PORT_RIGHT_SEND) == (m.KERN_SUCCESS, 1)
        answer = mach_port.get_refs(space, name, m.MACH_PORT_RIGHT_RECEIVE)
        assert answer == (m.KERN_INVALID_NAME, 0)
        for right, code in ((m.MACH_PORT_RIGHT_SEND, 0), (m.MACH_PORT_RIGHT_RECEIVE, 15)):
            assert mach_port.mod_refs(space, name, right, 1) == code
        assert mach_port.deallocate(space, name) == mach_port.destroy(space, name) == 0
        assert mach_port.get_status(space, name) == (m.KERN_INVALID_RIGHT, None)


def test_only_the_receiver_sets_counts_and_limits(space: Space, other: Space) -> None:
    sp = give(space, receive_right(space), other)
    assert mach_port.set_mscount(other, sp, 1) == m.KERN_INVALID_RIGHT
    assert mach_port.set_mscount(other, STRANGE, 1) == m.KERN_INVALID_NAME
    assert mach_port.set_qlimit(other, STRANGE, 1) == m.KERN_INVALID_NAME


# -- notifications -----------------------------------------------------------------------------


def test_requests_that_cannot_be(space: Space, other: Space) -> None:
    name, n = receive_right(space), receive_right(space)
    assert ask(space, name, m.MACH_NOTIFY_PORT_DESTROYED, n, 1) == m.KERN_INVALID_VALUE
    assert ask(space, STRANGE, m.MACH_NOTIFY_DEAD_NAME, n) == m.KERN_INVALID_NAME
    assert ask(space, STRANGE, m.MACH_NOTIFY_NO_SENDERS, n) == m.KERN_INVALID_NAME
    assert ask(space, DEAD, m.MACH_NOTIFY_DEAD_NAME, n) == m.KERN_INVALID_ARGUMENT


def test_room_that_is_there_is_told_at_once(space: Space, other: Space) -> None:
    sp, n = give(space, receive_right(space), other), receive_right(other)
    assert ask(other, sp, m.MACH_NOTIFY_SEND_POSSIBLE, n, 1) == m.KERN_SUCCESS
    assert take(other, n).header.id == m.MACH_NOTIFY_SEND_POSSIBLE
    assert mach_port.type_(other, sp) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_SEND)


# -- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "way", "local", "reply", "code"),
    [
        ("strange", COPY, NULL, 0, m.MACH_SEND_INVALID_DEST),
        ("send", MAKE, NULL, 0, m.MACH_SEND_INVALID_DEST),
        ("send", COPY, "strange", MAKE, m.MACH_SEND_INVALID_REPLY),
        ("send", COPY, "own", COPY, m.MACH_SEND_INVALID_REPLY),
        ("once", MOVE_ONCE, "once", MOVE_ONCE, m.MACH_SEND_INVALID_DEST),
        ("own", COPY, "own", MAKE, m.MACH_SEND_INVALID_DEST),
        ("send", MOVE, "send", MOVE, m.MACH_SEND_INVALID_DEST),
    ],
)
def test_a_header_that_is_refused_moves_nothing(
    space: Space, other: Space, remote: str, way: int, local: str | int, reply: int, code: int
) -> None:
    name = receive_right(space)
    names: dict[str | int, int] = {
        "strange": STRANGE,
        "own": receive_right(other),
        "send": give(space, name, other),
        "once": give(space, name, other, MAKE_ONCE),
        NULL: NULL,
    }
    before = {name: (entry.type, entry.urefs) for name, entry in other.entries.items()}
    what = message(names[remote], way, local=names[local], local_type=reply)
    assert send(other, what) == code
    assert {name: (entry.type, entry.urefs) for name, entry in other.entries.items()} == before
    assert mach_msg.receive(space, name, 4096, LISTEN)[0] == m.MACH_RCV_TIMED_OUT
    wrong_reply = code == m.MACH_SEND_INVALID_REPLY
    assert guards(other) == ["SEND_INVALID_REPLY"] * wrong_reply


def test_destination_and_reply_are_made_from_one_receive_right(space: Space) -> None:
    name = receive_right(space)
    what = message(name, MAKE, local=name, local_type=MAKE_ONCE)
    assert send(space, what) == m.MACH_MSG_SUCCESS
    assert (port_of(space, name).srights, port_of(space, name).sorights) == (1, 1)


# -- port sets ---------------------------------------------------------------------------------


def test_members_and_sets_that_are_none(space: Space) -> None:
    name = receive_right(space)
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    calls = (mach_port.insert_member, mach_port.extract_member)
    for call in calls:
        assert call(space, NULL, pset) == call(space, name, DEAD) == m.KERN_INVALID_RIGHT
    assert mach_port.insert_member(space, name, STRANGE) == m.KERN_INVALID_NAME
    assert mach_port.insert_member(space, name, name) == m.KERN_INVALID_RIGHT
    assert guards(space) == []
    assert mach_port.insert_member(space, pset, pset) == m.KERN_INVALID_RIGHT
    assert mach_port.extract_member(space, name, name) == m.KERN_INVALID_RIGHT
    assert mach_port.extract_member(space, STRANGE, pset) == m.KERN_INVALID_NAME
    assert guards(space) == ["INVALID_RIGHT", "INVALID_RIGHT", "INVALID_NAME"]
    assert mach_port.move_member(space, name, STRANGE) == m.KERN_INVALID_NAME
    assert mach_port.move_member(space, pset, pset) == m.KERN_INVALID_RIGHT


# -- above -------------------------------------------------------------------------------------


def test_a_refusal_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(MachRefusal(15, "KERN_INVALID_NAME", "mach_port_type")))
    assert str(again) == "mach_port_type: KERN_INVALID_NAME (15)"


def test_iokit_s_ports_need_no_trace() -> None:
    app = Kernel(trace=False).spawn("quiet")
    assert app.iokit.IODataQueueAllocateNotificationPort()
