"""Descriptors and the system calls on them: what is decided before the socket layer is asked."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi import ioctl
from kextlab.abi.structs import SockaddrCtl
from kextlab.kernel.kpi import KernCtlReg, Mbuf, Out
from kextlab.kernel.syscalls import Syscalls
from kextlab.scenario.operations import Machine
from kextlab.sched import drive

RELEASE = "xnu-11417.101.15"
CLOSED = 99


@pytest.fixture
def machine() -> Machine:
    """A control "a" of id 1 with every callback, and a socket "s" connected to it."""
    machine = Machine(RELEASE)
    callbacks: dict[str, Any] = {name: {} for name in ("connect", "send", "disconnect")}
    run(machine, "ctl_register", ref="a", name="a", callbacks=callbacks)
    run(machine, "socket", fd="s", type="SOCK_DGRAM", proto=2)
    run(machine, "connect", fd="s", id=1, unit=0)
    return machine


@pytest.fixture
def gate(machine: Machine) -> Syscalls:
    return machine.mac.syscalls


def run(machine: Machine, op: str, **arguments: Any) -> Any:
    answer = machine.run({"op": op, **arguments})
    return answer.get("errno", answer)


CALLS: dict[str, tuple[Any, ...]] = {
    "dup": (),
    "close": (),
    "bind": (b"",),
    "connect": (b"",),
    "listen": (0,),
    "getpeername": (),
    "getsockname": (),
    "sendto": (b"x",),
    "sendmsg": ([b"x"],),
    "sendmsg_x": ([b"x"],),
    "recvfrom": (1,),
    "recvmsg": (1,),
    "recvmsg_x": (1, 1),
    "shutdown": (0,),
    "disconnectx": (),
    "setsockopt": (c.SOL_SOCKET, c.SO_DEBUG, bytes(4), 4),
    "getsockopt": (c.SOL_SOCKET, c.SO_DEBUG, bytes(4)),
    "ioctl": (ioctl.FIONREAD, bytes(4)),
    "poll": (),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_on_a_closed_descriptor_is_ebadf(
    name: str, machine: Machine, gate: Syscalls
) -> None:
    assert getattr(gate, name)(machine.pid, CLOSED, *CALLS[name])[0] == e.EBADF


def test_a_sendto_with_an_address_on_a_closed_descriptor_is_ebadf(
    machine: Machine, gate: Syscalls
) -> None:
    assert gate.sendto(machine.pid, CLOSED, b"x", 0, bytes(32))[0] == e.EBADF


def test_recvfrom_through_the_descriptor_table_is_ebadf_too(machine: Machine) -> None:
    files = machine.process.descriptors
    with pytest.raises(StopIteration) as caught:
        next(files.recvfrom(CLOSED, 1))
    assert caught.value.value == (e.EBADF, b"")


# -- descriptors -------------------------------------------------------------------------------


def test_a_descriptor_is_the_lowest_free_one_from_3_on(machine: Machine, gate: Syscalls) -> None:
    fds = [gate.socket(machine.pid, c.PF_SYSTEM, c.SOCK_RAW, 1)[1] for _ in range(3)]
    assert fds == [4, 5, 6]
    gate.close(machine.pid, 4)
    assert gate.dup(machine.pid, 6) == (0, 4)


def test_dup_takes_the_lowest_free_from_the_one_asked_for(machine: Machine, gate: Syscalls) -> None:
    assert gate.dup(machine.pid, 3, 10) == (0, 10)
    assert gate.dup(machine.pid, 3, 10) == (0, 11)


def test_only_the_last_close_closes_the_socket(machine: Machine, gate: Syscalls) -> None:
    _, second = gate.dup(machine.pid, 3)
    gate.close(machine.pid, 3)
    assert machine.mac.statistics().sockets == 1
    gate.close(machine.pid, second)
    assert machine.mac.statistics().sockets == 0


def test_fioclex_marks_the_descriptor_not_the_socket(machine: Machine, gate: Syscalls) -> None:
    files = machine.process.descriptors
    _, second = gate.dup(machine.pid, 3)
    assert gate.ioctl(machine.pid, 3, ioctl.FIOCLEX, None)[0] == 0
    assert files.cloexec == {3}
    assert gate.ioctl(machine.pid, second, ioctl.FIONCLEX, None)[0] == 0
    assert gate.ioctl(machine.pid, 3, ioctl.FIONCLEX, None)[0] == 0
    assert files.cloexec == set()


def test_a_closed_descriptor_is_no_longer_marked(machine: Machine, gate: Syscalls) -> None:
    gate.ioctl(machine.pid, 3, ioctl.FIOCLEX, None)
    gate.close(machine.pid, 3)
    assert machine.process.descriptors.cloexec == set()


@pytest.mark.parametrize(
    ("arguments", "errno"),
    [
        ((2, c.SOCK_DGRAM, 2), e.EAFNOSUPPORT),
        ((c.PF_SYSTEM, c.SOCK_DGRAM, 9), e.EPROTONOSUPPORT),
        ((c.PF_SYSTEM, c.SOCK_RAW, 2), e.EPROTOTYPE),
        ((c.PF_SYSTEM, c.SOCK_SEQPACKET, 0), e.EPROTOTYPE),
        ((c.PF_SYSTEM, c.SOCK_STREAM, 0), 0),
    ],
)
def test_socket_answers_by_domain_type_and_protocol(
    arguments: tuple[int, int, int], errno: int, machine: Machine, gate: Syscalls
) -> None:
    assert gate.socket(machine.pid, *arguments)[0] == errno


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "errno"),
    [(None, e.EDESTADDRREQ), (b"\2", e.EINVAL), (bytes(256), e.ENAMETOOLONG)],
)
def test_bind_checks_the_address_first(
    address: bytes | None, errno: int, machine: Machine, gate: Syscalls
) -> None:
    assert gate.bind(machine.pid, 3, address)[0] == errno


@pytest.mark.parametrize("address", [b"", b"\x20", bytes(256)])
def test_a_send_with_a_bad_address_is_refused_for_the_address(
    address: bytes, machine: Machine, gate: Syscalls
) -> None:
    expected = e.ENAMETOOLONG if len(address) > 255 else e.EINVAL
    assert gate.sendto(machine.pid, 3, b"x", 0, address)[0] == expected


def test_a_connected_control_ignores_the_address_of_a_send(
    machine: Machine, gate: Syscalls
) -> None:
    assert gate.sendto(machine.pid, 3, b"abc", 0, bytes(32)) == (0, 3)


def test_the_peer_of_a_socket_shut_both_ways_is_einval(machine: Machine, gate: Syscalls) -> None:
    so = machine.process.descriptors.files[3].so
    so.set("so_state", so.so_state | c.SS_CANTRCVMORE | c.SS_CANTSENDMORE)
    assert gate.getpeername(machine.pid, 3)[0] == e.EINVAL


def test_the_peer_of_an_unconnected_socket_is_enotconn(machine: Machine, gate: Syscalls) -> None:
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    assert gate.getpeername(machine.pid, 4)[0] == e.ENOTCONN


def test_a_system_socket_has_no_name_of_its_own(machine: Machine, gate: Syscalls) -> None:
    assert gate.getsockname(machine.pid, 3) == (e.EOPNOTSUPP, b"")


# -- data --------------------------------------------------------------------------------------


def test_a_send_from_a_bad_pointer_is_efault(machine: Machine) -> None:
    files = machine.process.descriptors
    assert drive(files.sendto(3, b"abc", fault=True)) == (e.EFAULT, 0)


def test_the_gate_takes_none_as_a_bad_pointer(machine: Machine, gate: Syscalls) -> None:
    assert gate.sendto(machine.pid, 3, None)[0] == e.EFAULT


@pytest.mark.parametrize(("size", "errno"), [(11, e.EINVAL), (12, 0)])
def test_control_data_has_at_least_its_header(
    size: int, errno: int, machine: Machine, gate: Syscalls
) -> None:
    assert gate.sendmsg(machine.pid, 3, [b"x"], control=bytes(size))[0] == errno


def shut(machine: Machine) -> None:
    so = machine.process.descriptors.files[3].so
    so.set("so_state", so.so_state | c.SS_CANTSENDMORE)


def signals(machine: Machine) -> int:
    return sum(event.kind == "signal" for event in machine.mac.trace.events())


@pytest.mark.parametrize(
    ("call", "arguments", "count"),
    [("sendto", (b"x",), 1), ("sendmsg", ([b"x"],), 1), ("sendmsg_x", ([b"x", b"y"],), 2)],
)
def test_epipe_raises_sigpipe(
    call: str, arguments: tuple[Any, ...], count: int, machine: Machine, gate: Syscalls
) -> None:
    shut(machine)
    assert getattr(gate, call)(machine.pid, 3, *arguments)[0] == e.EPIPE
    assert signals(machine) == count


def test_so_nosigpipe_keeps_the_signal_away(machine: Machine, gate: Syscalls) -> None:
    shut(machine)
    gate.setsockopt(machine.pid, 3, c.SOL_SOCKET, c.SO_NOSIGPIPE, b"\1\0\0\0", 4)
    assert gate.sendto(machine.pid, 3, b"x")[0] == e.EPIPE
    assert signals(machine) == 0


def test_several_messages_go_one_by_one_until_one_fails(machine: Machine, gate: Syscalls) -> None:
    assert gate.sendmsg_x(machine.pid, 3, [b"a", b"b"]) == (0, 2)
    assert gate.sendmsg_x(machine.pid, 3, [b"a", bytes(5000), b"c"]) == (e.EMSGSIZE, 1)


@pytest.mark.parametrize(
    ("errno", "answer"),
    [("EINTR", (0, 2)), ("ENOBUFS", (0, 2)), ("EIO", (e.EIO, 2)), ("ENOBUFS first", (0, 1))],
)
def test_what_cuts_several_messages_short_counts_by_the_bytes_taken(
    errno: str, answer: tuple[int, int], machine: Machine, gate: Syscalls
) -> None:
    sends: list[int] = []

    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        sends.append(unit)
        machine.kpi.mbuf_freem(m)
        last = len(sends) == 2 or errno.endswith("first")
        return e.number_of(errno.split()[0]) if last else 0

    reg = KernCtlReg("b", ctl_connect=lambda *arguments: 0, ctl_send=send)
    machine.kpi.ctl_register(reg, Out())
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    run(machine, "connect", fd="t", id=2, unit=0)
    assert gate.sendmsg_x(machine.pid, 4, [b"a", b"b"]) == answer


def test_an_empty_message_behind_the_one_that_failed_has_nothing_left_to_send(
    machine: Machine, gate: Syscalls
) -> None:
    def send(ref: int, unit: int, unitinfo: object, m: Mbuf, flags: int) -> int:
        machine.kpi.mbuf_freem(m)
        return e.ENOBUFS

    reg = KernCtlReg("b", ctl_connect=lambda *arguments: 0, ctl_send=send)
    machine.kpi.ctl_register(reg, Out())
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    run(machine, "connect", fd="t", id=2, unit=0)
    assert gate.sendmsg_x(machine.pid, 4, [b"abc", b"", b"d"]) == (0, 2)


@pytest.mark.parametrize(("size", "errno"), [(11, 22), (12, 0), (1030, 0), (1031, 22)])
def test_control_data_fits_a_cluster_with_its_descriptors_as_pointers(
    size: int, errno: int, machine: Machine, gate: Syscalls
) -> None:
    assert gate.sendmsg(machine.pid, 3, [b"x"], control=bytes(size))[0] == errno


def test_a_bind_callback_may_say_that_it_did_all(machine: Machine, gate: Syscalls) -> None:
    reg = KernCtlReg("b", ctl_connect=lambda *a: 0, ctl_bind=lambda *a: e.EJUSTRETURN)
    machine.kpi.ctl_register(reg, Out())
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    assert run(machine, "bind", fd="t", id=2, unit=0) == 0


def test_a_unit_written_by_connect_counts_at_once(machine: Machine) -> None:
    answers = []

    def connect(ref: int, sac: SockaddrCtl, unitinfo: Out) -> int:
        sac.sc_unit = 7
        answers.extend(machine.kpi.ctl_enqueuedata(ref, unit, b"x", 1, 0) for unit in (1, 7))
        return 0

    machine.kpi.ctl_register(KernCtlReg("b", ctl_connect=connect), Out())
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    assert machine.run({"op": "connect", "fd": "t", "id": 2, "unit": 0})["unit"] == 7
    assert answers == [e.EINVAL, 0]


def test_an_ioctl_copies_its_argument_in_before_it_looks_the_descriptor_up(
    machine: Machine, gate: Syscalls
) -> None:
    assert gate.ioctl(machine.pid, 9, ioctl.CTLIOCGINFO, None)[0] == e.EFAULT
    assert gate.ioctl(machine.pid, 9, ioctl.CTLIOCGINFO, bytes(100))[0] == e.EBADF


@pytest.mark.parametrize("count", [0, 1025])
def test_none_or_more_than_1024_buffers_are_refused(
    count: int, machine: Machine, gate: Syscalls
) -> None:
    assert gate.sendmsg(machine.pid, 3, [b""] * count)[0] == e.EMSGSIZE
    assert gate.sendmsg_x(machine.pid, 3, [b"x"] * count)[0] == e.EINVAL
    assert gate.recvmsg_x(machine.pid, 3, 1, count)[0] == e.EINVAL


def test_receiving_several_messages_takes_three_flags(machine: Machine, gate: Syscalls) -> None:
    for flag, errno in ((c.MSG_PEEK, e.EWOULDBLOCK), (c.MSG_OOB, e.EOPNOTSUPP)):
        assert gate.recvmsg_x(machine.pid, 3, 1, 1, flag)[0] == errno


def test_a_non_blocking_socket_that_is_connecting_is_ealready(
    machine: Machine, gate: Syscalls
) -> None:
    run(machine, "socket", fd="t", type="SOCK_DGRAM", proto=2)
    so = machine.process.descriptors.files[4].so
    so.set("so_state", so.so_state | c.SS_ISCONNECTING)
    assert run(machine, "connect", fd="t", id=1, unit=0) == "EALREADY"


def test_several_messages_come_as_long_as_there_are_whole_ones(
    machine: Machine, gate: Syscalls
) -> None:
    for data in ("61", "6262", "636363"):
        run(machine, "ctl_enqueuedata", ref="a", unit=1, data=data, flags=["CTL_DATA_EOR"])
    errno, messages = gate.recvmsg_x(machine.pid, 3, 2, 5)
    assert errno == 0
    assert [data for data, _ in messages] == [b"a", b"bb", b"cc"]
    assert messages[-1][1] & c.MSG_TRUNC


def test_no_more_messages_come_than_asked_for(machine: Machine, gate: Syscalls) -> None:
    for data in ("61", "62"):
        run(machine, "ctl_enqueuedata", ref="a", unit=1, data=data, flags=["CTL_DATA_EOR"])
    assert [data for data, _ in gate.recvmsg_x(machine.pid, 3, 2, 1)[1]] == [b"a"]


def test_the_descriptor_table_receives_as_the_gate_does(machine: Machine) -> None:
    run(machine, "ctl_enqueuedata", ref="a", unit=1, data="61")
    assert drive(machine.process.descriptors.recvfrom(3, 5)) == (0, b"a")


def test_a_message_read_before_the_queue_ran_dry_is_a_success(
    machine: Machine, gate: Syscalls
) -> None:
    run(machine, "ctl_enqueuedata", ref="a", unit=1, data="61", flags=["CTL_DATA_EOR"])
    errno, messages = gate.recvmsg_x(machine.pid, 3, 2, 5)
    assert (errno, [data for data, _ in messages]) == (0, [b"a"])
    assert gate.recvmsg_x(machine.pid, 3, 2, 5)[0] == e.EWOULDBLOCK


# -- ioctl -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cmd", ["FIONBIO", "CTLIOCGINFO", "CTLIOCGCOUNT"])
def test_a_bad_pointer_where_a_request_reads_or_writes_is_efault(
    cmd: str, machine: Machine, gate: Syscalls
) -> None:
    assert gate.ioctl(machine.pid, 3, getattr(ioctl, cmd), None)[0] == e.EFAULT


def test_a_refused_request_needs_no_pointer(machine: Machine, gate: Syscalls) -> None:
    assert gate.ioctl(machine.pid, 3, ioctl.ior("z", 1, 4), None)[0] == e.ENOTSUP


def test_a_request_without_argument_answers_none(machine: Machine, gate: Syscalls) -> None:
    assert gate.ioctl(machine.pid, 3, ioctl.io("z", 1), None) == (e.ENOTSUP, b"")


def test_a_short_argument_is_filled_up_with_zeros(machine: Machine, gate: Syscalls) -> None:
    assert gate.ioctl(machine.pid, 3, ioctl.FIONBIO, b"\1")[0] == 0
