"""Descriptors passed from process to process: who holds an open file, and when it closes."""

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.abi.un import cmsg
from kextlab.kernel.system import Process
from kextlab.kexts.echo import EchoKext
from tests.unit.local_sockets import DGRAM, STREAM, Local, passed, rights


@pytest.fixture
def lab() -> Local:
    return Local()


@pytest.fixture(params=[STREAM, DGRAM])
def pair(request: pytest.FixtureRequest, lab: Local) -> tuple[int, int]:
    """A pair of sockets: the client's descriptor, the server's."""
    one, two = lab.pair(request.param)
    client, server = (process(lab, pid) for pid in (lab.client, lab.server))
    moved = server.descriptors.install(client.descriptors.files[two])
    client.descriptors.files[two].count += 1
    lab.do(lab.client, "close", two)
    return one, moved


def process(lab: Local, pid: int) -> Process:
    return lab.mac.system.processes[pid]


def send(lab: Local, fd: int, *fds: int, data: bytes = b"x") -> None:
    lab.do(lab.client, "sendmsg", fd, [data], 0, None, rights(*fds))


def test_a_passed_descriptor_is_the_same_open_socket(lab: Local, pair: tuple[int, int]) -> None:
    one, two = lab.pair()
    send(lab, pair[0], one)
    data, flags, control, _ = lab.do(lab.server, "recvmsg", pair[1], 10, 0, 100)
    (got,) = passed(control)
    assert (data, flags) == (b"x", 0)
    lab.do(lab.server, "sendto", got, b"through the passed one")
    assert lab.do(lab.client, "recvfrom", two, 100) == b"through the passed one"
    lab.do(lab.client, "close", one)
    lab.do(lab.server, "sendto", got, b"still")
    assert lab.do(lab.client, "recvfrom", two, 100) == b"still"
    lab.do(lab.server, "close", got)
    assert lab.do(lab.client, "recvfrom", two, 100) == b""
    lab.consistent()


def test_a_descriptor_on_its_way_outlives_its_sender(lab: Local, pair: tuple[int, int]) -> None:
    one, two = lab.pair()
    send(lab, pair[0], one, one)
    assert process(lab, lab.client).descriptors.files[one].count == 3
    lab.do(lab.client, "close", one)
    lab.do(lab.client, "sendto", two, b"to nobody yet")
    first, second = passed(lab.do(lab.server, "recvmsg", pair[1], 10, 0, 100)[2])
    assert lab.do(lab.server, "recvfrom", second, 100) == b"to nobody yet"
    lab.close_all(lab.server, [first, second])
    lab.consistent()


def test_many_descriptors_come_in_order(lab: Local, pair: tuple[int, int]) -> None:
    fds = [lab.socket(lab.client) for _ in range(20)]
    send(lab, pair[0], *fds)
    got = passed(lab.do(lab.server, "recvmsg", pair[1], 10, 0, 1000)[2])
    files = [process(lab, lab.client).descriptors.files[fd] for fd in fds]
    assert [process(lab, lab.server).descriptors.files[fd] for fd in got] == files


@pytest.mark.parametrize(
    ("control", "errno"),
    [
        (cmsg(c.SOL_SOCKET, 2, bytes(4)), e.EINVAL),
        (cmsg(1, c.SCM_RIGHTS, bytes(4)), e.EINVAL),
        (rights(3) + rights(3), e.EINVAL),
        (cmsg(c.SOL_SOCKET, c.SCM_RIGHTS, bytes(3)), e.EINVAL),
        (rights(3, 99), e.EBADF),
        (bytes(11), e.EINVAL),
        (rights(*range(258)), e.EINVAL),
    ],
)
def test_control_data_is_one_item_of_open_descriptors(
    control: bytes, errno: int, lab: Local, pair: tuple[int, int]
) -> None:
    assert lab.refused(lab.client, "sendmsg", pair[0], [b"x"], 0, None, control) == errno
    files = process(lab, lab.client).descriptors.files
    assert all(file.count == 1 for file in files.values())


def test_an_item_of_no_descriptors_is_an_item(lab: Local, pair: tuple[int, int]) -> None:
    send(lab, pair[0])
    assert lab.do(lab.server, "recvmsg", pair[1], 10, 0, 100)[2] == rights()


def test_whoever_reads_without_room_gets_the_descriptors_and_does_not_know(
    lab: Local, pair: tuple[int, int]
) -> None:
    fd = lab.socket(lab.client)
    for read in (
        ("recvfrom", pair[1], 10),
        ("recvmsg", pair[1], 10),
        ("recvmsg", pair[1], 10, 0, 0),
    ):
        send(lab, pair[0], fd)
        before = set(process(lab, lab.server).descriptors.files)
        value = lab.do(lab.server, *read)
        assert value in (b"x", (b"x", 0)) or value[:3] == (b"x", 0, b"")
        assert len(set(process(lab, lab.server).descriptors.files) - before) == 1
    send(lab, pair[0], fd)
    before = set(process(lab, lab.server).descriptors.files)
    lab.do(lab.server, "recvmsg_x", pair[1], 10, 1)
    assert len(set(process(lab, lab.server).descriptors.files) - before) == 1
    lab.consistent()


def test_control_data_is_cut_to_the_room_there_is(lab: Local, pair: tuple[int, int]) -> None:
    fd = lab.socket(lab.client)
    send(lab, pair[0], fd, fd)
    _, flags, control, _ = lab.do(lab.server, "recvmsg", pair[1], 10, 0, 16)
    assert flags == c.MSG_CTRUNC
    assert len(control) == 16
    assert len(passed(control)) == 1
    assert process(lab, lab.client).descriptors.files[fd].count == 3  # both came all the same


def test_looking_at_descriptors_is_not_modelled(lab: Local, pair: tuple[int, int]) -> None:
    send(lab, pair[0], pair[0])
    with pytest.raises(NotImplementedError, match="MSG_PEEK"):
        lab.call(lab.server, "recvmsg", pair[1], 10, c.MSG_PEEK, 100)


def test_a_buffer_thrown_away_closes_what_is_in_it(lab: Local, pair: tuple[int, int]) -> None:
    one, two = lab.pair()
    send(lab, pair[0], one)
    lab.do(lab.client, "close", one)
    lab.do(lab.server, "close", pair[1])
    assert lab.do(lab.client, "recvfrom", two, 10) == b""
    lab.consistent()


def test_shutting_reading_closes_what_is_queued(lab: Local, pair: tuple[int, int]) -> None:
    one, two = lab.pair()
    send(lab, pair[0], one)
    lab.do(lab.client, "close", one)
    lab.do(lab.server, "shutdown", pair[1], c.SHUT_RD)
    assert lab.do(lab.client, "recvfrom", two, 10) == b""
    lab.consistent()


def test_what_is_passed_inside_what_is_passed_closes_with_it(lab: Local) -> None:
    outer, inner, far = lab.pair(), lab.pair(), lab.pair()
    send(lab, inner[0], far[0])
    send(lab, outer[0], inner[1])
    lab.close_all(lab.client, [far[0], inner[1], inner[0]])
    assert lab.open_sockets() == 5  # the inner one is in the outer's buffer, the far one in its
    lab.do(lab.client, "close", outer[1])
    assert lab.do(lab.client, "recvfrom", far[1], 10) == b""
    assert lab.open_sockets() == 2
    lab.consistent()


def test_a_socket_that_only_its_own_buffer_holds_stays_open(lab: Local) -> None:
    one, two = lab.pair()
    send(lab, one, two)
    lab.close_all(lab.client, [one, two])
    assert lab.open_sockets() == 1  # XNU's unp_gc would find it
    lab.consistent()


def test_descriptors_of_a_kernel_control_can_be_passed(lab: Local, pair: tuple[int, int]) -> None:
    lab.mac.load(EchoKext)
    control = lab.do(lab.client, "socket", c.AF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    lab.do(lab.client, "connect", control, SockaddrCtl(sc_id=1).pack())
    send(lab, pair[0], control)
    (got,) = passed(lab.do(lab.server, "recvmsg", pair[1], 10, 0, 100)[2])
    lab.do(lab.client, "close", control)
    lab.do(lab.server, "sendto", got, b"echo me")
    assert lab.do(lab.server, "recvfrom", got, 100) == b"echo me"


def test_a_control_ignores_an_address_and_control_data(lab: Local) -> None:
    from kextlab.abi.structs import SockaddrCtl

    lab.mac.load(EchoKext)
    fd = lab.do(lab.client, "socket", c.AF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    nam = SockaddrCtl(sc_id=1).pack()
    lab.do(lab.client, "connect", fd, nam)
    lab.do(lab.client, "sendmsg", fd, [b"x"], 0, nam, rights(99))
    assert lab.do(lab.client, "recvmsg", fd, 10, 0, 100) == (b"x", c.MSG_EOR, b"", b"")
