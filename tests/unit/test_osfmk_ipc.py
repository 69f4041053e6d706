"""Mach IPC where the recordings do not reach: names, rights, messages, notifications."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.abi import mach as m
from kextlab.abi.mach_messages import (
    Descriptor,
    OolDescriptor,
    OolPortsDescriptor,
    PortDescriptor,
)
from kextlab.osfmk import ipc_kmsg_body, mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_port import IP_DEAD, Port
from kextlab.osfmk.ipc_space import Ipc, Space
from kextlab.osfmk.vm_fault import vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import mach_vm_allocate
from kextlab.trace.fold import Folder
from kextlab.trace.log import Trace

NOWAIT = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
LISTEN = m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT


@pytest.fixture
def ipc() -> Ipc:
    return Ipc()


@pytest.fixture
def space(ipc: Ipc) -> Space:
    return Space(ipc)


@pytest.fixture
def other(ipc: Ipc) -> Space:
    return Space(ipc)


def receive_right(space: Space) -> int:
    code, name = mach_port.allocate(space, m.MACH_PORT_RIGHT_RECEIVE)
    assert code == m.KERN_SUCCESS
    return name


def port_of(space: Space, name: int) -> Port:
    return space.entries[name].port


def give(space: Space, name: int, to: Space, disposition: int = m.MACH_MSG_TYPE_MAKE_SEND) -> int:
    """Give ``to`` a right to the port; its name there."""
    code, thing = mach_port.copyin(space, name, disposition)
    assert code == m.KERN_SUCCESS
    assert isinstance(thing, Port)
    kind = mach_msg.copyin_type(disposition)
    code, found = mach_port.copyout(to, thing, kind)
    assert code == m.KERN_SUCCESS
    return found


def message(
    remote: int,
    disposition: int = m.MACH_MSG_TYPE_COPY_SEND,
    *ports: tuple[int, int],
    local: int = 0,
    local_type: int = 0,
    body: bytes = b"ping",
) -> Message:
    size = mach_msg.size_of(len(ports), len(body))
    header = Header(remote, disposition, local, local_type, 100, bool(ports), size)
    return Message(header, body, [PortDescriptor(*port) for port in ports])


def send(space: Space, what: Message, option: int = NOWAIT) -> int:
    return mach_msg.mach_msg(space, what, option)[0]


def take(space: Space, name: int) -> Message:
    code, got = mach_msg.mach_msg(space, None, LISTEN, 4096, name)
    assert code == m.MACH_MSG_SUCCESS
    assert got is not None
    return got


def ask(space: Space, name: int, msgid: int, told: int, sync: int = 0) -> int:
    """Ask for a notification at a fresh send-once right to ``told``."""
    _, right = mach_port.copyin(space, told, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    assert isinstance(right, Port)
    return mach_port.request_notification(space, name, msgid, sync, right)[0]


# -- names -------------------------------------------------------------------------------------


def test_a_freed_name_comes_again_with_another_generation(space: Space) -> None:
    first = receive_right(space)
    mach_port.destroy(space, first)
    second = receive_right(space)
    assert second >> 8 == first >> 8
    assert second != first
    assert mach_port.type_(space, first)[0] == m.KERN_INVALID_NAME


def test_a_hundred_generations_of_one_name_are_never_two_names_at_once(space: Space) -> None:
    for _ in range(100):
        mach_port.destroy(space, receive_right(space))
    names = [receive_right(space) for _ in range(3)]
    assert len(set(names)) == 3


def test_a_name_taken_by_its_number_is_not_given_out_again(space: Space) -> None:
    name = receive_right(space)
    mach_port.destroy(space, name)
    again = space.freed[-1]
    space.enter(again, m.MACH_PORT_TYPE_DEAD_NAME, 1, None)
    assert receive_right(space) != again
    fresh = (space.highest + 1 << 8) | 3
    space.enter(fresh, m.MACH_PORT_TYPE_DEAD_NAME, 1, None)
    assert receive_right(space) == fresh + 0x100


def test_insert_under_a_name_in_use_or_of_a_dead_port_is_refused(space: Space, ipc: Ipc) -> None:
    used, name = receive_right(space), receive_right(space)
    port = port_of(space, name)
    once = m.MACH_MSG_TYPE_PORT_SEND_ONCE
    assert mach_port.insert_right(space, used, port, once) == m.KERN_NAME_EXISTS
    assert mach_port.insert_right(space, m.MACH_PORT_NULL, port, once) == m.KERN_INVALID_VALUE
    mach_port.destroy(space, name)
    assert mach_port.insert_right(space, 0x9903, port, once) == m.KERN_INVALID_CAPABILITY
    assert 0x9903 not in space.entries
    assert mach_port.extract_right(space, 0, once)[0] == m.KERN_INVALID_NAME


def test_nothing_comes_into_a_space_that_is_gone(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    mach_port.terminate(other)
    assert sp not in other.entries
    assert send(other, message(sp)) == m.MACH_SEND_INVALID_DEST
    _, right = mach_port.copyin(space, name, m.MACH_MSG_TYPE_MAKE_SEND)
    assert isinstance(right, Port)
    assert ipc_kmsg_body.copyout_object(other, right, m.MACH_MSG_TYPE_PORT_SEND) == (
        m.MACH_MSG_IPC_SPACE,
        m.MACH_PORT_NULL,
    )
    assert port_of(space, name).srights == 0


@pytest.mark.parametrize("right", [-1, m.MACH_PORT_RIGHT_NUMBER])
def test_a_right_that_is_none_is_an_invalid_value(space: Space, right: int) -> None:
    name = receive_right(space)
    assert mach_port.mod_refs(space, name, right, 1) == m.KERN_INVALID_VALUE
    assert mach_port.get_refs(space, name, right) == (m.KERN_INVALID_VALUE, 0)
    assert mach_port.allocate(space, right) == (m.KERN_INVALID_VALUE, m.MACH_PORT_NULL)


def test_rename_moves_all_that_stands_behind_a_name(space: Space, other: Space) -> None:
    name, told = receive_right(space), receive_right(space)
    sp = give(space, name, other)
    n = receive_right(other)
    assert ask(other, sp, m.MACH_NOTIFY_DEAD_NAME, n) == m.KERN_SUCCESS
    assert mach_port.rename(other, sp, 0x7703) == m.KERN_SUCCESS
    assert mach_port.rename(space, name, 0x8803) == m.KERN_SUCCESS
    assert mach_port.type_(other, sp)[0] == m.KERN_INVALID_NAME
    assert send(other, message(0x7703)) == m.MACH_MSG_SUCCESS
    assert take(space, 0x8803).header.local == 0x8803
    assert give(space, 0x8803, other) == 0x7703  # still one name a port
    mach_port.destroy(space, 0x8803)
    got = take(other, n)
    assert got.header.id == m.MACH_NOTIFY_DEAD_NAME
    assert got.body[8:] == (0x7703).to_bytes(4, "little")
    assert mach_port.rename(space, told, told) == m.KERN_NAME_EXISTS


def test_rename_refuses_what_cannot_be(space: Space, other: Space) -> None:
    name = receive_right(space)
    assert mach_port.rename(space, 0, name) == m.KERN_INVALID_NAME
    assert mach_port.rename(space, name, m.MACH_PORT_DEAD) == m.KERN_INVALID_VALUE
    assert mach_port.rename(space, 0x7703, 0x8803) == m.KERN_INVALID_NAME
    assert mach_port.rename(space, name, 0x8802) == m.KERN_INVALID_VALUE
    assert mach_port.rename(space, name, 0x7F) == m.KERN_FAILURE
    assert 0x8803 not in space.entries
    sp = give(space, name, other)
    mach_port.destroy(space, name)
    assert mach_port.rename(other, sp, 0x8803) == m.KERN_SUCCESS
    assert mach_port.type_(other, 0x8803) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_DEAD_NAME)
    _, dead = mach_port.allocate(other, m.MACH_PORT_RIGHT_DEAD_NAME)
    assert mach_port.rename(other, dead, 0x9903) == m.KERN_SUCCESS


# -- user references ---------------------------------------------------------------------------


def test_references_of_a_dead_name_go_up_and_down(space: Space) -> None:
    _, dead = mach_port.allocate(space, m.MACH_PORT_RIGHT_DEAD_NAME)

    def change(by: int) -> int:
        return mach_port.mod_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME, by)

    assert change(2) == m.KERN_SUCCESS
    assert mach_port.get_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (0, 3)
    assert change(m.MACH_PORT_UREFS_MAX) == m.KERN_SUCCESS
    assert change(-1) == m.KERN_SUCCESS  # they stick
    assert mach_port.get_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (0, 65535)
    mach_port.deallocate(space, dead)
    assert mach_port.get_refs(space, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (0, 65535)
    assert change(-m.MACH_PORT_UREFS_MAX) == m.KERN_SUCCESS
    assert mach_port.type_(space, dead)[0] == m.KERN_INVALID_NAME


def test_a_port_set_goes_with_its_last_reference(space: Space) -> None:
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    assert mach_port.mod_refs(space, pset, m.MACH_PORT_RIGHT_PORT_SET, -1) == m.KERN_SUCCESS
    assert mach_port.type_(space, pset)[0] == m.KERN_INVALID_NAME


def test_a_send_once_right_has_one_reference_and_keeps_it(space: Space) -> None:
    name = receive_right(space)
    so = give(space, name, space, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    assert mach_port.mod_refs(space, so, m.MACH_PORT_RIGHT_SEND_ONCE, 0) == m.KERN_SUCCESS
    assert mach_port.mod_refs(space, so, m.MACH_PORT_RIGHT_SEND_ONCE, -2) == m.KERN_INVALID_VALUE
    assert mach_port.get_refs(space, so, m.MACH_PORT_RIGHT_SEND_ONCE) == (m.KERN_SUCCESS, 1)


def test_a_request_whose_notification_went_adds_no_reference_to_the_dead_name(
    space: Space,
) -> None:
    name, n = receive_right(space), receive_right(space)
    give(space, name, space)
    assert mach_port.set_qlimit(space, name, 1) == m.KERN_SUCCESS
    assert send(space, message(name)) == m.MACH_MSG_SUCCESS
    assert ask(space, name, m.MACH_NOTIFY_SEND_POSSIBLE, n, 1) == m.KERN_SUCCESS
    take(space, name)
    assert take(space, n).header.id == m.MACH_NOTIFY_SEND_POSSIBLE
    assert mach_port.mod_refs(space, name, m.MACH_PORT_RIGHT_RECEIVE, -1) == m.KERN_SUCCESS
    assert mach_port.get_refs(space, name, m.MACH_PORT_RIGHT_DEAD_NAME) == (m.KERN_SUCCESS, 1)


def test_a_request_that_waited_adds_a_reference_to_the_dead_name(space: Space) -> None:
    name, n = receive_right(space), receive_right(space)
    give(space, name, space)
    ask(space, name, m.MACH_NOTIFY_DEAD_NAME, n)
    assert mach_port.mod_refs(space, name, m.MACH_PORT_RIGHT_RECEIVE, -1) == m.KERN_SUCCESS
    assert mach_port.get_refs(space, name, m.MACH_PORT_RIGHT_DEAD_NAME) == (m.KERN_SUCCESS, 2)
    assert take(space, n).header.id == m.MACH_NOTIFY_DEAD_NAME
    assert mach_port.destroy(space, name) == m.KERN_SUCCESS
    assert mach_port.type_(space, name)[0] == m.KERN_INVALID_NAME


def test_a_send_right_to_a_dead_port_is_destroyed_in_peace(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    mach_port.destroy(space, name)
    assert mach_port.destroy(other, sp) == m.KERN_SUCCESS
    assert (other.entries, other.sends) == ({}, {})


def test_a_name_whose_notification_went_is_freed_without_another(
    space: Space, other: Space
) -> None:
    name = receive_right(space)
    sp, n = give(space, name, other), receive_right(other)
    mach_port.set_qlimit(space, name, 1)
    assert send(other, message(sp)) == m.MACH_MSG_SUCCESS
    ask(other, sp, m.MACH_NOTIFY_SEND_POSSIBLE, n, 1)
    take(space, name)
    assert take(other, n).header.id == m.MACH_NOTIFY_SEND_POSSIBLE
    assert mach_port.deallocate(other, sp) == m.KERN_SUCCESS
    assert mach_msg.receive(other, n, 4096, LISTEN)[0] == m.MACH_RCV_TIMED_OUT


# -- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda h: setattr(h, "size", 20), m.MACH_SEND_MSG_TOO_SMALL),
        (lambda h: setattr(h, "size", 26), m.MACH_SEND_MSG_TOO_SMALL),
        (lambda h: setattr(h, "remote_type", m.MACH_MSG_TYPE_MOVE_RECEIVE), "HEADER"),
        (lambda h: setattr(h, "remote_type", 0), "HEADER"),
        (lambda h: setattr(h, "remote_type", 99), "HEADER"),
        (lambda h: setattr(h, "local", h.remote), "HEADER"),
        (lambda h: setattr(h, "local_type", m.MACH_MSG_TYPE_MOVE_RECEIVE), "HEADER"),
    ],
)
def test_a_malformed_header_is_refused_and_nothing_moves(
    space: Space, change: Callable[[Header], None], code: int | str
) -> None:
    name = receive_right(space)
    give(space, name, space)
    what = message(name, m.MACH_MSG_TYPE_MOVE_SEND)
    change(what.header)
    assert send(space, what) == (m.MACH_SEND_INVALID_HEADER if code == "HEADER" else code)
    assert mach_port.get_refs(space, name, m.MACH_PORT_RIGHT_SEND) == (m.KERN_SUCCESS, 1)
    assert port_of(space, name).msgcount == 0


def test_a_message_too_short_for_its_descriptors_gives_up_the_right_it_was_sent_to(
    space: Space,
) -> None:
    name = receive_right(space)
    give(space, name, space)
    what = message(name, m.MACH_MSG_TYPE_COPY_SEND, (name, m.MACH_MSG_TYPE_MAKE_SEND))
    what.header.size = 32
    assert send(space, what) == m.MACH_SEND_MSG_TOO_SMALL
    assert port_of(space, name).srights == 1


def test_a_disposition_that_is_none_gives_up_what_was_copied_in(space: Space) -> None:
    name, x = receive_right(space), receive_right(space)
    give(space, name, space)
    what = message(name, m.MACH_MSG_TYPE_COPY_SEND, (x, m.MACH_MSG_TYPE_MAKE_SEND), (x, 99))
    assert send(space, what) == m.MACH_SEND_INVALID_TYPE
    assert port_of(space, x).srights == 0
    assert port_of(space, name).srights == 1


def test_neither_sent_nor_received_is_success(space: Space) -> None:
    assert mach_msg.mach_msg(space, None, 0) == (m.MACH_MSG_SUCCESS, None)


def test_the_kernel_sends_beyond_the_limit(space: Space) -> None:
    name = receive_right(space)
    give(space, name, space)
    mach_port.set_qlimit(space, name, 0)
    assert send(space, message(name), NOWAIT | m.MACH_SEND_ALWAYS) == m.MACH_MSG_SUCCESS


def test_a_name_that_had_the_receive_right_once_raises_no_guard_exception(space: Space) -> None:
    name = receive_right(space)
    give(space, name, space)
    mach_port.mod_refs(space, name, m.MACH_PORT_RIGHT_RECEIVE, -1)
    assert mach_msg.receive(space, name, 4096, LISTEN)[0] == m.MACH_RCV_INVALID_NAME
    assert space.ipc.guards == []


def test_a_send_once_right_to_a_port_that_died_takes_a_message_to_nowhere(
    space: Space, other: Space
) -> None:
    name = receive_right(space)
    so = give(space, name, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    port = port_of(space, name)
    mach_port.destroy(space, name)
    assert send(other, message(so, m.MACH_MSG_TYPE_MOVE_SEND_ONCE)) == m.MACH_MSG_SUCCESS
    assert mach_port.type_(other, so)[0] == m.KERN_INVALID_NAME
    assert port.sorights == 0


def test_a_reply_right_that_died_arrives_as_mach_port_dead(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    once = receive_right(space)
    so = give(space, once, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    mach_port.destroy(space, once)
    move = m.MACH_MSG_TYPE_MOVE_SEND_ONCE
    assert send(other, message(sp, local=so, local_type=move)) == m.MACH_MSG_SUCCESS
    got = take(space, name)
    assert got.header.remote == m.MACH_PORT_DEAD
    assert got.header.remote_type == m.MACH_MSG_TYPE_PORT_SEND_ONCE


def test_a_send_once_right_serves_as_reply_right(space: Space, other: Space) -> None:
    name, reply = receive_right(space), receive_right(space)
    sp = give(space, name, other)
    so = give(space, reply, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    move = m.MACH_MSG_TYPE_MOVE_SEND_ONCE
    assert send(other, message(sp, local=so, local_type=move)) == m.MACH_MSG_SUCCESS
    got = take(space, name)
    assert mach_port.type_(space, got.header.remote) == (0, m.MACH_PORT_TYPE_SEND_ONCE)
    assert mach_port.rename(space, got.header.remote, 0x7703) == m.KERN_SUCCESS


def test_a_right_that_dies_on_its_way_arrives_as_mach_port_dead(space: Space, other: Space) -> None:
    name, x = receive_right(space), receive_right(other)
    sp = give(space, name, other)
    what = message(sp, m.MACH_MSG_TYPE_COPY_SEND, (x, m.MACH_MSG_TYPE_MAKE_SEND))
    assert send(other, what) == m.MACH_MSG_SUCCESS
    mach_port.destroy(other, x)
    assert take(space, name).descriptors == [
        PortDescriptor(m.MACH_PORT_DEAD, m.MACH_MSG_TYPE_PORT_SEND)
    ]
    assert repr(IP_DEAD) == "IP_DEAD"


def test_a_dead_name_that_is_moved_loses_a_reference(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    _, dead = mach_port.allocate(other, m.MACH_PORT_RIGHT_DEAD_NAME)
    mach_port.mod_refs(other, dead, m.MACH_PORT_RIGHT_DEAD_NAME, 1)
    what = message(sp, m.MACH_MSG_TYPE_COPY_SEND, (dead, m.MACH_MSG_TYPE_MOVE_SEND))
    assert send(other, what) == m.MACH_MSG_SUCCESS
    assert mach_port.get_refs(other, dead, m.MACH_PORT_RIGHT_DEAD_NAME) == (m.KERN_SUCCESS, 1)


def test_a_dead_port_is_no_destination_though_its_name_says_send(
    space: Space, other: Space
) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    mach_port.destroy(space, name)
    copy = m.MACH_MSG_TYPE_COPY_SEND
    assert other.entries[sp].type == m.MACH_PORT_TYPE_SEND  # nobody has looked yet
    assert send(other, message(sp, copy, local=sp, local_type=copy)) == m.MACH_SEND_INVALID_DEST
    assert other.entries[sp].type == m.MACH_PORT_TYPE_DEAD_NAME


def test_a_message_whose_reply_port_died_is_destroyed_in_peace(space: Space, other: Space) -> None:
    name, reply = receive_right(space), receive_right(other)
    sp = give(space, name, other)
    once = m.MACH_MSG_TYPE_MAKE_SEND_ONCE
    assert send(other, message(sp, local=reply, local_type=once)) == m.MACH_MSG_SUCCESS
    dead = port_of(other, reply)
    mach_port.destroy(other, reply)
    mach_port.destroy(space, name)
    assert dead.sorights == 0
    assert not space.ipc.delayed


@pytest.mark.parametrize(
    ("one", "two", "left"),
    [
        (m.MACH_MSG_TYPE_MOVE_SEND, m.MACH_MSG_TYPE_MOVE_SEND, 1),
        (m.MACH_MSG_TYPE_MOVE_SEND, m.MACH_MSG_TYPE_COPY_SEND, 2),
        (m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MOVE_SEND, 2),
        (m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_COPY_SEND, 3),
    ],
)
def test_destination_and_reply_out_of_one_name(
    space: Space, other: Space, one: int, two: int, left: int
) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    mach_port.mod_refs(other, sp, m.MACH_PORT_RIGHT_SEND, 2)
    assert send(other, message(sp, one, local=sp, local_type=two)) == m.MACH_MSG_SUCCESS
    assert mach_port.get_refs(other, sp, m.MACH_PORT_RIGHT_SEND) == (m.KERN_SUCCESS, left)
    assert port_of(space, name).srights == 3
    assert take(space, name).header.remote == name
    assert port_of(space, name).srights == 2


def test_two_references_that_are_moved_take_the_name_with_them(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    n = receive_right(other)
    ask(other, sp, m.MACH_NOTIFY_DEAD_NAME, n)
    mach_port.mod_refs(other, sp, m.MACH_PORT_RIGHT_SEND, 1)
    move = m.MACH_MSG_TYPE_MOVE_SEND
    assert send(other, message(sp, move, local=sp, local_type=move)) == m.MACH_MSG_SUCCESS
    assert mach_port.type_(other, sp)[0] == m.KERN_INVALID_NAME
    assert take(other, n).header.id == m.MACH_NOTIFY_PORT_DELETED


def test_a_reply_right_with_a_request_tells_that_its_name_went(space: Space, other: Space) -> None:
    name, reply = receive_right(space), receive_right(space)
    sp, rp = give(space, name, other), give(space, reply, other)
    n = receive_right(other)
    ask(other, rp, m.MACH_NOTIFY_DEAD_NAME, n)
    move = m.MACH_MSG_TYPE_MOVE_SEND
    assert send(other, message(sp, local=rp, local_type=move)) == m.MACH_MSG_SUCCESS
    assert take(other, n).header.id == m.MACH_NOTIFY_PORT_DELETED


def test_a_send_once_message_received_elsewhere_tells_its_maker(space: Space, other: Space) -> None:
    """The port moved to another task before the message was received from a set it had been in."""
    name = receive_right(space)
    so = give(space, name, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    assert send(other, message(so, m.MACH_MSG_TYPE_MOVE_SEND_ONCE)) == m.MACH_MSG_SUCCESS
    port = port_of(space, name)
    port.receiver = None  # in transit
    got = mach_msg.receive(space, name, 4096, LISTEN)[1]
    assert got is not None
    assert got.header.local == m.MACH_PORT_DEAD
    assert port.messages[0].id == m.MACH_NOTIFY_SEND_ONCE


# -- notifications -----------------------------------------------------------------------------


def test_a_receive_right_that_is_destroyed_goes_to_whoever_asked(space: Space) -> None:
    name, n = receive_right(space), receive_right(space)
    sp = give(space, name, space)
    assert ask(space, name, m.MACH_NOTIFY_PORT_DESTROYED, n) == m.KERN_SUCCESS
    status = mach_port.get_status(space, name)[1]
    assert status is not None
    assert status.pdrequest == 1
    mach_port.mod_refs(space, sp, m.MACH_PORT_RIGHT_SEND, -1)
    mach_port.destroy(space, name)
    got = take(space, n)
    assert (got.header.id, got.header.complex) == (m.MACH_NOTIFY_PORT_DESTROYED, True)
    (right,) = got.descriptors
    assert isinstance(right, PortDescriptor)
    again, kind = right.name, right.disposition
    assert kind == m.MACH_MSG_TYPE_PORT_RECEIVE
    assert mach_port.type_(space, again) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_RECEIVE)
    assert port_of(space, again).pdrequest is None


def test_it_dies_where_nobody_is_left_to_be_told(space: Space) -> None:
    name, n = receive_right(space), receive_right(space)
    port = port_of(space, name)
    ask(space, name, m.MACH_NOTIFY_PORT_DESTROYED, n)
    mach_port.destroy(space, n)
    mach_port.destroy(space, name)
    assert not port.active


def test_a_right_asked_for_at_its_own_port_dies(space: Space) -> None:
    name = receive_right(space)
    port = port_of(space, name)
    ask(space, name, m.MACH_NOTIFY_PORT_DESTROYED, name)
    mach_port.destroy(space, name)
    assert not port.active


def test_an_unused_no_senders_request_ends_as_a_send_once_notification(space: Space) -> None:
    name, n = receive_right(space), receive_right(space)
    ask(space, name, m.MACH_NOTIFY_NO_SENDERS, n, sync=1)
    mach_port.destroy(space, name)
    assert take(space, n).header.id == m.MACH_NOTIFY_SEND_ONCE


def test_a_request_can_be_taken_back(space: Space, other: Space) -> None:
    name = receive_right(space)
    sp = give(space, name, other)
    n = receive_right(other)
    ask(other, sp, m.MACH_NOTIFY_DEAD_NAME, n)
    dead = m.MACH_NOTIFY_DEAD_NAME
    code, previous = mach_port.request_notification(other, sp, dead, 0, None)
    assert (code, previous) == (m.KERN_SUCCESS, port_of(other, n))
    assert mach_port.type_(other, sp) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_SEND)
    assert mach_port.request_notification(other, sp, dead, 0, None) == (m.KERN_SUCCESS, None)


def test_an_unknown_notification_is_an_invalid_value(space: Space) -> None:
    name = receive_right(space)
    answer = mach_port.request_notification(space, name, m.MACH_NOTIFY_PORT_DELETED, 0, None)
    assert answer == (m.KERN_INVALID_VALUE, None)


def test_a_request_of_a_port_set_is_an_invalid_right(space: Space) -> None:
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    n = receive_right(space)
    assert ask(space, pset, m.MACH_NOTIFY_DEAD_NAME, n) == m.KERN_INVALID_RIGHT


def test_notifications_come_in_the_order_of_the_table(space: Space) -> None:
    """The table doubles, and its new places are taken from the last to the first."""
    name, n = receive_right(space), receive_right(space)
    tasks = [Space(space.ipc) for _ in range(4)]
    names = []
    for task in tasks:
        sp = give(space, name, task)
        names.append(sp)
        told = give(space, n, task, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        _, right = mach_port.copyin(task, told, m.MACH_MSG_TYPE_MOVE_SEND_ONCE)
        assert isinstance(right, Port)
        mach_port.request_notification(task, sp, m.MACH_NOTIFY_DEAD_NAME, 0, right)
    port = port_of(space, name)
    order = [tasks.index(task) for task in _waiting(port, tasks)]
    assert order == [0, 2, 1, 3]


def _waiting(port: Port, tasks: list[Space]) -> list[Space]:
    found = []
    for index, request in enumerate(port.requests):
        if request is not None:
            found += [task for task in tasks if task.entries[task.sends[port]].request == index]
    return found


# -- port sets ---------------------------------------------------------------------------------


def test_a_port_with_messages_is_heard_as_soon_as_it_joins(space: Space) -> None:
    name = receive_right(space)
    give(space, name, space)
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    assert send(space, message(name)) == m.MACH_MSG_SUCCESS
    assert mach_port.move_member(space, name, pset) == m.KERN_SUCCESS
    assert send(space, message(name)) == m.MACH_MSG_SUCCESS
    assert [take(space, pset).header.local for _ in range(2)] == [name, name]


def test_a_member_that_is_not_there_cannot_be_moved(space: Space) -> None:
    _, pset = mach_port.allocate(space, m.MACH_PORT_RIGHT_PORT_SET)
    assert mach_port.move_member(space, m.MACH_PORT_NULL, pset) == m.KERN_INVALID_RIGHT
    assert mach_port.move_member(space, 0x9903, pset) == m.KERN_INVALID_NAME


# -- the end of a task -------------------------------------------------------------------------


def test_a_task_that_ends_gives_back_everything(space: Space, other: Space) -> None:
    p, q = receive_right(space), receive_right(other)
    sp = give(space, p, other)
    give(space, p, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    qs = give(other, q, space)
    n = receive_right(space)
    dead = receive_right(space)
    give(space, dead, other)
    mach_port.destroy(space, dead)
    _, pset = mach_port.allocate(other, m.MACH_PORT_RIGHT_PORT_SET)
    mach_port.insert_member(other, q, pset)
    mach_port.allocate(other, m.MACH_PORT_RIGHT_DEAD_NAME)
    told = give(space, n, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    _, right = mach_port.copyin(other, told, m.MACH_MSG_TYPE_MOVE_SEND_ONCE)
    assert isinstance(right, Port)
    mach_port.request_notification(other, sp, m.MACH_NOTIFY_DEAD_NAME, 0, right)
    mach_port.terminate(other)
    assert other.entries == {}
    assert mach_port.type_(space, qs) == (m.KERN_SUCCESS, m.MACH_PORT_TYPE_DEAD_NAME)
    assert take(space, p).header.id == m.MACH_NOTIFY_SEND_ONCE
    assert take(space, n).header.id == m.MACH_NOTIFY_PORT_DELETED
    assert port_of(space, p).srights == 0


# -- codes -------------------------------------------------------------------------------------


def test_codes_have_their_names() -> None:
    assert m.mach_error_name(0) == "KERN_SUCCESS"
    assert m.mach_error_name(m.MACH_SEND_TIMED_OUT) == "MACH_SEND_TIMED_OUT"
    both = m.MACH_SEND_TIMED_OUT | m.MACH_MSG_IPC_SPACE
    assert m.mach_error_name(both) == "MACH_SEND_TIMED_OUT|0x2000"
    assert m.mach_error_name(0x777) == "0x777"


# -- properties --------------------------------------------------------------------------------


def _counted(spaces: list[Space]) -> dict[Port, tuple[int, int]]:
    """Send and send-once rights to every port, counted where they are: in entries, messages,
    requests."""
    found: dict[Port, list[int]] = {}

    def add(port: object, send: int, once: int) -> None:
        if isinstance(port, Port):
            counts = found.setdefault(port, [0, 0])
            counts[0] += send
            counts[1] += once

    ports = set()
    for space in spaces:
        for entry in space.entries.values():
            if isinstance(entry.object, Port):
                ports.add(entry.object)
                add(entry.object, int(bool(entry.type & m.MACH_PORT_TYPE_SEND)), 0)
                add(entry.object, 0, int(bool(entry.type & m.MACH_PORT_TYPE_SEND_ONCE)))
    todo = list(ports)
    while todo:
        port = todo.pop()
        for right in (port.nsrequest, port.pdrequest):
            add(right, 0, int(right is not None))
        for request in port.requests:
            if request is not None:
                add(request.soright, 0, 1)
        for kmsg in port.messages:
            rights = [(kmsg.remote, kmsg.remote_type), (kmsg.local, kmsg.local_type)]
            for one in kmsg.descriptors:
                rights += [(thing, one.disposition) for thing in one.rights]
            for thing, kind in rights:
                add(thing, int(kind == 17), int(kind == 18))
                if isinstance(thing, Port) and thing not in ports:
                    ports.add(thing)
                    todo.append(thing)
    return {port: (found[port][0], found[port][1]) for port in found if port.active}


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 10),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 6),
        st.integers(0, 6),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(ACTIONS)
def test_every_right_that_is_counted_is_somewhere(actions: list[tuple[int, ...]]) -> None:
    """Whatever three tasks do, a port's counts are the rights that exist, and the trace's changes
    add up to what the kernel says of itself."""
    trace = Trace()
    ipc = Ipc(trace.record)
    spaces = [Space(ipc, pid) for pid in (100, 101, 102)]
    vm = Vm(4096, trace.record)
    maps = [VmMap(vm) for _ in spaces]
    folder = Folder()
    ways = [16, 17, 18, 19, 20, 21]
    for what, one, two, a, b in actions:
        space, to = spaces[one], spaces[two]
        names = [*space.entries, 0, m.MACH_PORT_DEAD]
        name, other = names[a % len(names)], names[b % len(names)]
        way, second = ways[a % 6], ways[b % 6]
        if what == 0:
            mach_port.allocate(space, 1 + 2 * (a % 2))
        elif what == 1:
            code, thing = mach_port.copyin(space, name, way)
            if code == m.KERN_SUCCESS:
                ipc_kmsg_body.copyout_object(to, thing, mach_msg.copyin_type(way))
        elif what == 2:
            carried = ((other, second),) if b % 2 else ()
            send(
                space,
                message(
                    name,
                    way,
                    *carried,
                    local=other if a % 2 else 0,
                    local_type=second if a % 2 else 0,
                ),
            )
        elif what == 3:
            size = 40 if b == 6 else 4096
            mach_msg.receive(space, name, size, LISTEN, lambda map=maps[one]: map)
        elif what == 4:
            mach_port.deallocate(space, name)
        elif what == 5:
            mach_port.destroy(space, name)
        elif what == 6:
            mach_port.mod_refs(space, name, b % 5, a - 3)
        elif what == 7 and space.lookup(other)[1] is not None:
            code, right = mach_port.copyin(space, other, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
            if isinstance(right, Port):
                msgid = (66, 69, 70, 72)[a % 4]
                code, old = mach_port.request_notification(space, name, msgid, b % 2, right)
                for gone in (right if code else None, old):
                    if gone is not None:
                        gone.sorights -= 1
        elif what == 8:
            mach_port.move_member(space, name, other)
        elif what in (9, 10):
            send_out_of_line(space, maps[one], what == 9, name, other, second, a, b)
        for port, counts in _counted(spaces).items():
            assert (port.srights, port.sorights) == counts
        folder.fold(trace.entries(folder.steps))
        states = [ipc.state(), vm.snapshot(), *(one.state() for one in spaces)]
        assert folder.state == {name: state for one in states for name, state in one.items()}
    for space, map in zip(spaces, maps, strict=True):
        mach_port.terminate(space)
        map.terminate()
    assert (ipc.state(), vm.live) == ({}, {})
    assert vm.stat["internal_page_count"] == 0


def send_out_of_line(
    space: Space, map: VmMap, rights: bool, name: int, other: int, way: int, a: int, b: int
) -> None:
    """Send an array of two rights, or memory: little or whole pages, moved or copied."""
    _, address = mach_vm_allocate(map, 0, 0x9000, m.VM_FLAGS_ANYWHERE)
    vm_write(map, address, struct.pack("<2I", other, (name, 0)[b % 2]))
    one: Descriptor = OolDescriptor(address, (5, 0x9000)[a % 2], b > 2, b % 2)
    if rights:
        one = OolPortsDescriptor(address, 2, way, b > 2)
    header = Header(name, m.MACH_MSG_TYPE_COPY_SEND, id=100, complex=True, size=44)
    mach_msg.send(space, Message(header, b"", [one]), NOWAIT, lambda: map)
