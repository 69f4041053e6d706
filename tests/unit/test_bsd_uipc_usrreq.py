"""Local sockets: names, connections, streams, datagrams, options, closing."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.ioctl import FIONBIO
from kextlab.abi.un import SUN_NONAME, sockaddr_un, xucred
from kextlab.bsd.uipc_usrreq import UnixProto
from kextlab.sched.stop import SimDeadlock
from tests.unit.local_sockets import DGRAM, NAME, PATH, STREAM, Local, rights


@pytest.fixture
def lab() -> Local:
    return Local()


# -- making sockets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "protocol", "errno"),
    [
        (c.SOCK_SEQPACKET, 0, e.EPROTONOSUPPORT),
        (c.SOCK_RAW, 0, e.EPROTONOSUPPORT),
        (STREAM, 5, e.EPROTONOSUPPORT),
    ],
)
def test_there_are_streams_and_datagrams_of_protocol_0(
    type_: int, protocol: int, errno: int, lab: Local
) -> None:
    assert lab.refused(lab.client, "socket", c.AF_UNIX, type_, protocol) == errno


@pytest.mark.parametrize(
    ("type_", "sizes", "lowat"), [(STREAM, (8192, 8192), 2048), (DGRAM, (2048, 4096), 1)]
)
def test_the_buffers_have_net_locals_sizes(
    type_: int, sizes: tuple[int, int], lowat: int, lab: Local
) -> None:
    so = lab.so(lab.client, lab.socket(lab.client, type_))
    assert (so["so_snd"]["sb_hiwat"], so["so_rcv"]["sb_hiwat"]) == sizes
    assert so["so_snd"]["sb_lowat"] == lowat
    assert so["so_rcv"]["sb_flags"] == so["so_snd"]["sb_flags"] == c.SB_UNIX


def test_a_datagram_buffer_counts_memory_too_on_either_release() -> None:
    for release in ("xnu-11417.101.15", "xnu-7195.141.2"):
        lab = Local(release=release)
        fd = lab.socket(lab.client, DGRAM)
        file = lab.mac.system.processes[lab.client].descriptors.files[fd]
        assert not file.so.so_rcv.counts_bytes_only


def test_a_pair_of_system_sockets_is_not_supported(lab: Local) -> None:
    arguments = (c.AF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)
    assert lab.call(lab.client, "socketpair", *arguments) == (e.EOPNOTSUPP, (-1, -1))
    assert lab.open_sockets() == 0


def test_a_pair_of_an_unknown_family_is_refused(lab: Local) -> None:
    assert lab.refused(lab.client, "socketpair", 99, STREAM, 0) == e.EAFNOSUPPORT


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["bind", "connect"])
@pytest.mark.parametrize(
    ("name", "errno"),
    [
        (bytes([9, 32]) + b"/tmp/x\0", e.EAFNOSUPPORT),
        (bytes([2, 1]), e.EINVAL),
        (sockaddr_un(b""), e.ENOENT),
        (b"\x10\x01" + b"a" * 260, e.ENAMETOOLONG),
        (b"\x10", e.EINVAL),
    ],
)
def test_an_address_must_be_a_path(call: str, name: bytes, errno: int, lab: Local) -> None:
    assert lab.refused(lab.client, call, lab.socket(lab.client), name) == errno


def test_the_family_may_be_left_0_and_the_nul_out(lab: Local) -> None:
    fd = lab.socket(lab.client)
    lab.do(lab.client, "bind", fd, b"\0\0" + PATH)
    assert lab.do(lab.client, "getsockname", fd) == bytes([2 + len(PATH), 0]) + PATH


def test_a_path_longer_than_sun_path_is_taken(lab: Local) -> None:
    long = sockaddr_un(b"/" + b"d" * 150)
    fd = lab.bound(lab.client, long)
    assert lab.do(lab.client, "getsockname", fd) == long


def test_a_name_that_exists_is_in_use_even_when_its_socket_is_closed(lab: Local) -> None:
    first, second = lab.bound(lab.client), lab.socket(lab.client, DGRAM)
    assert lab.refused(lab.client, "bind", second, NAME) == e.EADDRINUSE
    lab.do(lab.client, "close", first)
    assert lab.refused(lab.client, "bind", second, NAME) == e.EADDRINUSE
    lab.do(lab.client, "unlink", PATH)
    lab.do(lab.client, "bind", second, NAME)


def test_a_socket_is_bound_once(lab: Local) -> None:
    fd = lab.bound(lab.client)
    assert lab.refused(lab.client, "bind", fd, sockaddr_un(b"/tmp/more")) == e.EINVAL


def test_a_socket_that_is_shut_both_ways_is_not_bound(lab: Local) -> None:
    one, _ = lab.pair()
    lab.do(lab.client, "shutdown", one, c.SHUT_RDWR)
    assert lab.refused(lab.client, "bind", one, NAME) == e.EINVAL


def test_a_socket_bound_by_another_thread_meanwhile_is_not_bound_again(lab: Local) -> None:
    fd = lab.socket(lab.client, DGRAM)
    files = lab.mac.system.processes[lab.client].descriptors
    routine = files.bind(fd, NAME)
    assert next(routine) is None
    lab.do(lab.client, "bind", fd, sockaddr_un(b"/tmp/first"))
    with pytest.raises(StopIteration) as end:
        next(routine)
    assert end.value.value == (e.EINVAL, None)


def test_sockets_without_a_name_show_the_empty_one(lab: Local) -> None:
    one, two = lab.pair()
    for call in ("getsockname", "getpeername"):
        assert lab.do(lab.client, call, one) == SUN_NONAME
    lab.do(lab.client, "bind", two, NAME)
    assert lab.do(lab.client, "getpeername", one) == NAME
    assert lab.do(lab.client, "getsockname", two) == NAME


@pytest.mark.parametrize(("call", "rest"), [("unlink", ()), ("chmod", (0o666,))])
def test_only_the_owner_and_root_change_a_name(
    call: str, rest: tuple[int, ...], lab: Local
) -> None:
    lab.bound(lab.client)
    assert lab.refused(lab.other, call, PATH, *rest) == e.EPERM
    assert lab.refused(lab.other, call, b"/tmp/none", *rest) == e.ENOENT
    assert lab.refused(lab.other, call, b"/" + b"x" * 256, *rest) == e.ENAMETOOLONG
    assert lab.refused(lab.other, call, b"/x" * 512, *rest) == e.ENAMETOOLONG
    lab.do(lab.root, call, PATH, *rest)
    lab.consistent()


def test_a_name_lives_on_without_its_socket_and_a_socket_without_its_name(lab: Local) -> None:
    fd = lab.bound(lab.client)
    lab.do(lab.client, "unlink", PATH)
    assert lab.mac.snapshot()["vnode:1"]["linked"] is False
    lab.do(lab.client, "close", fd)
    assert "vnode:1" not in lab.mac.snapshot()
    fd = lab.bound(lab.client)
    lab.do(lab.client, "close", fd)
    assert lab.mac.snapshot()["vnode:2"]["v_socket"] == 0
    lab.do(lab.client, "unlink", PATH)
    assert "vnode:2" not in lab.mac.snapshot()
    lab.consistent()


# -- connecting --------------------------------------------------------------------------------


def test_connect_looks_the_name_up_then_asks_whether_it_may_then_who_is_there(lab: Local) -> None:
    ours, stranger = lab.socket(lab.client), lab.socket(lab.other)
    assert lab.refused(lab.client, "connect", ours, NAME) == e.ENOENT
    server = lab.bound(lab.server, type_=DGRAM)
    assert lab.refused(lab.other, "connect", stranger, NAME) == e.EACCES
    assert lab.refused(lab.client, "connect", ours, NAME) == e.EPROTOTYPE
    lab.do(lab.server, "close", server)
    assert lab.refused(lab.client, "connect", ours, NAME) == e.ECONNREFUSED
    lab.do(lab.server, "unlink", PATH)
    server = lab.bound(lab.server, type_=STREAM)
    assert lab.refused(lab.client, "connect", ours, NAME) == e.ECONNREFUSED
    lab.do(lab.server, "listen", server, 1)
    lab.do(lab.client, "connect", ours, NAME)
    lab.do(lab.server, "chmod", PATH, 0o777)
    assert lab.refused(lab.other, "connect", stranger, NAME) == e.ECONNREFUSED  # the queue is full
    assert lab.refused(lab.client, "connect", ours, NAME) == e.EISCONN


def test_root_connects_whatever_the_mode(lab: Local) -> None:
    lab.listener()
    lab.do(lab.server, "chmod", PATH, 0)
    assert lab.refused(lab.client, "connect", lab.socket(lab.client), NAME) == e.EACCES
    lab.do(lab.root, "connect", lab.socket(lab.root), NAME)


def test_a_socket_connected_by_another_thread_meanwhile_stays_so(lab: Local) -> None:
    lab.listener()
    fd = lab.socket(lab.client)
    files = lab.mac.system.processes[lab.client].descriptors
    routine = files.connect(fd, NAME)
    assert next(routine) is None
    so = files.files[fd].so
    so.set("so_state", c.SS_ISCONNECTED)
    with pytest.raises(StopIteration) as end:
        next(routine)
    assert end.value.value == (e.EISCONN, None)


def test_a_listening_socket_does_not_connect(lab: Local) -> None:
    assert lab.refused(lab.server, "connect", lab.listener(), NAME) == e.EOPNOTSUPP


# -- listening and accepting -------------------------------------------------------------------


def test_only_a_stream_with_a_name_listens(lab: Local) -> None:
    assert lab.refused(lab.server, "listen", lab.socket(lab.server), 1) == e.EINVAL
    assert lab.refused(lab.server, "listen", lab.socket(lab.server, DGRAM), 1) == e.EOPNOTSUPP
    one, _ = lab.pair()
    assert lab.refused(lab.client, "listen", one, 1) == e.EINVAL


@pytest.mark.parametrize(
    ("backlog", "limit"), [(1, 1), (128, 128), (0, 128), (-1, 128), (129, 128)]
)
def test_a_backlog_is_clamped_to_somaxconn(backlog: int, limit: int, lab: Local) -> None:
    fd = lab.listener(backlog)
    assert lab.so(lab.server, fd)["so_comp"] == {"so_qlimit": limit, "sockets": ()}


def test_the_queue_may_be_made_longer_later(lab: Local) -> None:
    fd = lab.listener(1)
    lab.do(lab.client, "connect", lab.socket(lab.client), NAME)
    lab.do(lab.server, "listen", fd, 2)
    lab.do(lab.client, "connect", lab.socket(lab.client), NAME)
    assert lab.refused(lab.client, "connect", lab.socket(lab.client), NAME) == e.ECONNREFUSED
    lab.consistent()


def test_a_listening_socket_is_readable_while_somebody_waits(lab: Local) -> None:
    fd = lab.listener()
    assert lab.do(lab.server, "poll", fd) == (False, False)
    lab.do(lab.client, "connect", lab.socket(lab.client), NAME)
    assert lab.do(lab.server, "poll", fd) == (True, False)
    assert lab.do(lab.server, "select", (fd,), (), 0) == ((fd,), ())
    lab.do(lab.server, "accept", fd)
    assert lab.do(lab.server, "poll", fd) == (False, False)


def test_connections_are_accepted_in_the_order_they_came(lab: Local) -> None:
    fd = lab.listener()
    first, second = lab.socket(lab.client), lab.socket(lab.client)
    lab.do(lab.client, "bind", second, sockaddr_un(b"/tmp/second"))
    for each in (first, second):
        lab.do(lab.client, "connect", each, NAME)
    accepted, nam = lab.do(lab.server, "accept", fd)
    assert nam == SUN_NONAME
    assert lab.do(lab.server, "getsockname", accepted) == NAME
    assert lab.do(lab.server, "accept", fd)[1] == sockaddr_un(b"/tmp/second")
    lab.do(lab.client, "sendto", first, b"from the first")
    assert lab.do(lab.server, "recvfrom", accepted, 100) == b"from the first"


def test_an_accepted_socket_takes_over_what_the_listener_has_set(lab: Local) -> None:
    fd = lab.listener()
    for name, value in ((c.SO_KEEPALIVE, 1), (c.SO_RCVBUF, 1000), (c.SO_NOSIGPIPE, 1)):
        lab.do(lab.server, "setsockopt", fd, c.SOL_SOCKET, name, value.to_bytes(4, "little"), 4)
    lab.do(lab.server, "ioctl", fd, FIONBIO, b"\x01\0\0\0")
    _, accepted = lab.connected(fd)
    so = lab.so(lab.server, accepted)
    assert so["socket"]["so_options"] == c.SO_KEEPALIVE
    assert so["socket"]["so_state"] == c.SS_ISCONNECTED | c.SS_NBIO
    assert so["socket"]["so_flags"] == 1
    assert so["so_rcv"]["sb_hiwat"] == 1000
    assert so["so_rcv"]["sb_flags"] == c.SB_UNIX | c.SB_USRSIZE


@pytest.mark.parametrize(
    ("make", "errno"),
    [
        (lambda lab: 99, e.EBADF),
        (lambda lab: lab.socket(lab.server), e.EINVAL),
        (lambda lab: lab.socket(lab.server, DGRAM), e.EOPNOTSUPP),
    ],
)
def test_only_a_listening_socket_accepts(make: Any, errno: int, lab: Local) -> None:
    assert lab.refused(lab.server, "accept", make(lab)) == errno


def test_accept_does_not_wait_on_a_non_blocking_socket(lab: Local) -> None:
    fd = lab.listener()
    lab.do(lab.server, "ioctl", fd, FIONBIO, b"\x01\0\0\0")
    assert lab.refused(lab.server, "accept", fd) == e.EWOULDBLOCK


def test_accept_that_nobody_can_end_is_a_deadlock(lab: Local) -> None:
    fd = lab.listener()
    with pytest.raises(SimDeadlock, match="Let a client connect first") as stop:
        lab.call(lab.server, "accept", fd)
    assert stop.value.graph[0][3] == "whoever connects to /tmp/server"
    lab.consistent()


def test_accept_of_a_descriptor_that_is_being_closed_is_aborted(lab: Local) -> None:
    fd = lab.listener()
    files = lab.mac.system.processes[lab.server].descriptors
    waiting = files.accept(fd)
    sleep = next(waiting)
    assert sleep is not None
    assert sleep.wmesg == "accept"
    files.files[fd].so.set("so_state", c.SS_DRAINING)
    with pytest.raises(StopIteration) as end:
        waiting.send(0)
    assert end.value.value == (e.ECONNABORTED, (-1, b""))


def test_a_client_may_send_and_close_before_it_is_accepted(lab: Local) -> None:
    fd = lab.listener()
    ours = lab.socket(lab.client)
    lab.do(lab.client, "bind", ours, sockaddr_un(b"/tmp/client"))
    lab.do(lab.client, "connect", ours, NAME)
    lab.do(lab.client, "sendto", ours, b"bye")
    lab.do(lab.client, "close", ours)
    accepted, nam = lab.do(lab.server, "accept", fd)
    assert nam == SUN_NONAME
    assert lab.do(lab.server, "recvfrom", accepted, 100) == b"bye"
    assert lab.do(lab.server, "recvfrom", accepted, 100) == b""
    assert lab.refused(lab.server, "getpeername", accepted) == e.EINVAL


def test_closing_the_listener_cuts_off_who_waits(lab: Local) -> None:
    fd = lab.listener()
    ours = lab.socket(lab.client)
    lab.do(lab.client, "connect", ours, NAME)
    lab.do(lab.client, "sendto", ours, b"hello", 0)
    lab.do(lab.client, "sendmsg", ours, [b"x"], 0, None, rights(ours))
    lab.do(lab.server, "close", fd)
    assert lab.do(lab.client, "recvfrom", ours, 10) == b""
    assert lab.refused(lab.client, "sendto", ours, b"x") == e.EPIPE
    assert lab.open_sockets() == 1
    lab.do(lab.client, "close", ours)
    assert lab.mac.statistics().mbufs == 0
    lab.consistent()


# -- streams -----------------------------------------------------------------------------------


def test_a_stream_carries_bytes_both_ways(lab: Local) -> None:
    ours, theirs = lab.connected(lab.listener())
    lab.do(lab.client, "sendto", ours, b"ping")
    lab.do(lab.client, "sendto", ours, b"pong")
    assert lab.do(lab.server, "recvfrom", theirs, 6) == b"pingpo"
    assert lab.do(lab.server, "recvfrom", theirs, 6) == b"ng"
    lab.do(lab.server, "sendto", theirs, b"answer")
    assert lab.do(lab.client, "recvfrom", ours, 100) == b"answer"
    lab.consistent()


def test_what_is_not_read_counts_against_the_sender(lab: Local) -> None:
    one, two = lab.pair()
    lab.do(lab.client, "sendto", one, bytes(3000))
    so = lab.so(lab.client, one)["so_snd"]
    peer = lab.so(lab.client, two)
    assert so["sb_hiwat"] == 8192 - 3000
    assert so["sb_mbmax"] == 65536 - peer["so_rcv"]["sb_mbcnt"]
    assert (peer["unp"]["unp_cc"], peer["unp"]["unp_mbcnt"]) == (3000, peer["so_rcv"]["sb_mbcnt"])
    lab.do(lab.client, "recvfrom", two, 1000)
    assert lab.so(lab.client, one)["so_snd"]["sb_hiwat"] == 8192 - 2000
    lab.do(lab.client, "recvfrom", two, 5000)
    assert lab.so(lab.client, one)["so_snd"]["sb_hiwat"] == 8192
    lab.consistent()


def test_a_full_stream_does_not_take_more(lab: Local) -> None:
    one, two = lab.pair()
    assert lab.do(lab.client, "sendto", one, bytes(9000), c.MSG_NBIO) == 8192
    assert lab.do(lab.client, "poll", one) == (False, False)
    assert lab.refused(lab.client, "sendto", one, b"x", c.MSG_NBIO) == e.EWOULDBLOCK
    assert lab.refused(lab.client, "sendmsg", one, [b"x"], 0, None, rights(one)) == e.EMSGSIZE
    lab.do(lab.client, "recvfrom", two, 2047)
    assert lab.do(lab.client, "poll", one) == (False, False)
    lab.do(lab.client, "recvfrom", two, 1)
    assert lab.do(lab.client, "poll", one) == (False, True)


def test_a_sender_that_waits_is_woken_by_the_reader(lab: Local) -> None:
    one, two = lab.pair()
    files = lab.mac.system.processes[lab.client].descriptors
    routine = files.sendto(one, bytes(9000))
    sched = lab.mac.system.tasks
    task = sched.spawn("sender", lab.client, routine)
    lab.mac.run()
    assert task.wmesg == "sbwait"
    assert (
        sched.graph()[0][3] == f"whoever holds its peer, socket {lab.so(lab.client, two)['number']}"
    )
    assert len(lab.do(lab.client, "recvfrom", two, 9000)) == 8192
    lab.mac.run()
    assert task.result() == (0, 9000)
    assert len(lab.do(lab.client, "recvfrom", two, 9000)) == 9000 - 8192


def test_control_data_starts_a_record_of_its_own_even_in_a_full_buffer(lab: Local) -> None:
    one, two = lab.pair()
    lab.do(lab.client, "sendto", one, bytes(8192 - 20))
    lab.do(lab.client, "sendmsg", one, [b"abcd"], 0, None, rights(one))  # 16 bytes and 4
    assert lab.so(lab.client, one)["so_snd"]["sb_hiwat"] == 0
    assert len(lab.do(lab.client, "recvfrom", two, 9000)) == 8192 - 20
    data, flags, control, nam = lab.do(lab.client, "recvmsg", two, 9000, 0, 100)
    assert (data, flags, len(control), nam) == (b"abcd", 0, 16, b"")
    assert lab.so(lab.client, one)["so_snd"]["sb_hiwat"] == 8192


def test_a_read_ends_before_control_data_whatever_it_asks_for(lab: Local) -> None:
    one, two = lab.pair()
    lab.do(lab.client, "sendto", one, b"abc")
    lab.do(lab.client, "sendmsg", one, [b"def"], 0, None, rights(one))
    assert lab.do(lab.client, "recvfrom", two, 6, c.MSG_WAITALL) == b"abc"
    assert lab.do(lab.client, "recvfrom", two, 3, c.MSG_WAITALL) == b"def"


def test_waiting_for_all_ends_before_control_data_that_comes_meanwhile(lab: Local) -> None:
    one, two = lab.pair()
    files = lab.mac.system.processes[lab.client].descriptors
    lab.do(lab.client, "sendto", one, b"abc")
    task = lab.mac.system.tasks.spawn(
        "reader", lab.client, files.recvfrom(two, 9, c.MSG_WAITSTREAM)
    )
    lab.mac.run()
    lab.do(lab.client, "sendmsg", one, [b"def"], 0, None, rights(one))
    lab.mac.run()
    assert task.result() == (0, b"abc")
    assert lab.do(lab.client, "recvfrom", two, 9) == b"def"


def test_a_stream_takes_no_end_of_record_and_no_out_of_band_data(lab: Local) -> None:
    one, two = lab.pair()
    assert lab.refused(lab.client, "sendto", one, b"x", c.MSG_EOR) == e.EINVAL
    assert lab.refused(lab.client, "sendto", one, b"x", c.MSG_OOB) == e.EOPNOTSUPP
    control = rights(one)
    assert lab.refused(lab.client, "sendmsg", one, [b"x"], c.MSG_OOB, None, control) == e.EOPNOTSUPP
    assert lab.refused(lab.client, "recvfrom", two, 1, c.MSG_OOB) == e.EOPNOTSUPP


def test_a_stream_without_a_connection_neither_sends_nor_receives(lab: Local) -> None:
    lab.listener()
    fd = lab.socket(lab.client)
    for call in (
        ("sendto", fd, b"x"),
        ("sendto", fd, b"x", 0, NAME),
        ("sendmsg", fd, [b""], 0, None, rights(fd)),
        ("recvfrom", fd, 1),
        ("getpeername", fd),
        ("shutdown", fd, c.SHUT_WR),
    ):
        assert lab.refused(lab.client, *call) == e.ENOTCONN


def test_a_named_receiver_means_nothing_to_a_connected_stream(lab: Local) -> None:
    one, two = lab.pair()
    lab.do(lab.client, "sendto", one, b"x", 0, NAME)
    assert lab.do(lab.client, "recvfrom", two, 10) == b"x"


def test_half_a_connection_can_be_closed(lab: Local) -> None:
    ours, theirs = lab.connected(lab.listener())
    lab.do(lab.client, "sendto", ours, b"last words")
    lab.do(lab.client, "shutdown", ours, c.SHUT_WR)
    assert lab.refused(lab.client, "sendto", ours, b"x") == e.EPIPE
    assert lab.do(lab.server, "recvfrom", theirs, 100) == b"last words"
    assert lab.do(lab.server, "poll", theirs) == (True, True)
    assert lab.do(lab.server, "recvfrom", theirs, 100) == b""
    lab.do(lab.server, "sendto", theirs, b"answer")
    assert lab.do(lab.client, "recvfrom", ours, 100) == b"answer"


def test_who_shuts_reading_loses_what_comes_and_nobody_is_told(lab: Local) -> None:
    one, two = lab.pair()
    lab.do(lab.client, "sendto", one, bytes(100))
    lab.do(lab.client, "shutdown", two, c.SHUT_RD)
    assert lab.do(lab.client, "sendto", one, b"lost") == 4
    assert lab.so(lab.client, one)["so_snd"]["sb_hiwat"] == 8192
    assert lab.do(lab.client, "recvfrom", two, 10) == b""
    assert lab.call(lab.client, "sendmsg", one, [b"x"], 0, None, rights(one))[0] == e.EINVAL
    assert lab.mac.statistics().mbufs == 0


def test_closing_with_unread_data_resets_nothing(lab: Local) -> None:
    ours, theirs = lab.connected(lab.listener())
    lab.do(lab.server, "sendto", theirs, b"unread by the client")
    lab.do(lab.client, "sendto", ours, b"unread by the server")
    lab.do(lab.server, "close", theirs)
    assert lab.do(lab.client, "recvfrom", ours, 100) == b"unread by the client"
    assert lab.do(lab.client, "recvfrom", ours, 100) == b""
    assert lab.refused(lab.client, "sendto", ours, b"x") == e.EPIPE


@pytest.mark.parametrize("quiet", [False, True])
def test_a_broken_pipe_raises_sigpipe_unless_told_not_to(quiet: bool, lab: Local) -> None:
    one, two = lab.pair()
    if quiet:
        value = b"\x01\0\0\0"
        lab.do(lab.client, "setsockopt", one, c.SOL_SOCKET, c.SO_NOSIGPIPE, value, 4)
    lab.do(lab.client, "close", two)
    assert lab.call(lab.client, "sendto", one, b"x")[0] == e.EPIPE
    signals = [event for event in lab.mac.trace.events() if event.kind == "signal"]
    assert len(signals) == (not quiet)


def test_the_peer_may_go_while_a_send_copies_its_data(lab: Local) -> None:
    for close, errno in ((True, e.ENOTCONN), (False, e.EPIPE)):
        one, two = lab.pair()
        files = lab.mac.system.processes[lab.client].descriptors
        routine = files.sendto(one, b"x" * 100)
        assert next(routine) is None
        if close:
            lab.do(lab.client, "close", two)
        else:
            lab.do(lab.client, "shutdown", one, c.SHUT_WR)
        with pytest.raises(StopIteration) as end:
            next(routine)
        assert end.value.value[0] == errno


# -- datagrams ---------------------------------------------------------------------------------


def test_a_datagram_comes_whole_with_its_senders_address(lab: Local) -> None:
    server = lab.bound(lab.server)
    named, nameless = lab.bound(lab.client, sockaddr_un(b"/c")), lab.socket(lab.client, DGRAM)
    lab.do(lab.client, "sendto", named, b"one", 0, NAME)
    lab.do(lab.client, "sendto", nameless, b"", 0, NAME)
    lab.do(lab.client, "sendto", named, b"three", 0, NAME)
    assert lab.do(lab.server, "recvmsg", server, 9, 0, 0) == (b"one", 0, b"", sockaddr_un(b"/c"))
    assert lab.do(lab.server, "recvmsg", server, 9, 0, 0) == (b"", 0, b"", SUN_NONAME)
    assert lab.do(lab.server, "recvmsg", server, 2) == (b"th", c.MSG_TRUNC)
    assert lab.refused(lab.server, "recvfrom", server, 9, c.MSG_DONTWAIT) == e.EWOULDBLOCK
    lab.consistent()


def test_looking_at_a_datagram_leaves_it_and_its_address(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "sendto", one, b"abc")
    for flags in (c.MSG_PEEK, c.MSG_PEEK, 0):
        assert lab.do(lab.client, "recvmsg", two, 9, flags, 0)[0] == b"abc"
    lab.do(lab.client, "sendto", one, b"")
    for flags in (c.MSG_PEEK, 0):
        assert lab.do(lab.client, "recvmsg", two, 9, flags, 0) == (b"", flags, b"", SUN_NONAME)
    assert lab.mac.statistics().mbufs == 0


def test_the_address_counts_in_the_receivers_buffer_but_is_no_data(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "sendto", one, b"abc")
    assert lab.so(lab.client, two)["so_rcv"]["sb_cc"] == len(SUN_NONAME) + 3
    _, answer = lab.do(lab.client, "getsockopt", two, c.SOL_SOCKET, c.SO_NREAD, bytes(4))
    assert answer == b"\x03\0\0\0"


def test_a_datagram_without_a_receiver_needs_an_address(lab: Local) -> None:
    fd = lab.socket(lab.client, DGRAM)
    assert lab.refused(lab.client, "sendto", fd, b"x") == e.EDESTADDRREQ
    assert lab.refused(lab.client, "sendmsg", fd, [b"x"], 0, None, rights(fd)) == e.EDESTADDRREQ
    assert lab.refused(lab.client, "sendto", fd, b"x", 0, NAME) == e.ENOENT
    assert lab.refused(lab.client, "sendto", fd, b"x", 0, b"\x01") == e.EINVAL


def test_a_connected_datagram_socket_takes_no_address(lab: Local) -> None:
    lab.bound(lab.server)
    one, _ = lab.pair(DGRAM)
    assert lab.refused(lab.client, "sendto", one, b"x", 0, NAME) == e.EISCONN


def test_a_datagram_is_at_most_as_long_as_the_send_buffer(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    assert lab.refused(lab.client, "sendto", one, bytes(2049)) == e.EMSGSIZE
    lab.do(lab.client, "sendto", one, bytes(2048))
    assert len(lab.do(lab.client, "recvfrom", two, 9000)) == 2048


def test_a_datagram_there_is_no_space_for_is_refused_at_once(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "sendto", one, bytes(2048))
    assert lab.do(lab.client, "poll", one) == (False, True)
    assert lab.call(lab.client, "sendto", one, bytes(2048))[0] == e.ENOBUFS
    assert lab.call(lab.client, "sendmsg", one, [bytes(2032)], 0, None, rights(two))[0] == e.ENOBUFS
    lab.do(lab.client, "sendto", one, bytes(4096 - 2048 - 2 * len(SUN_NONAME)))
    assert lab.do(lab.client, "poll", one) == (False, False)
    assert lab.mac.system.processes[lab.client].descriptors.files[two].count == 1
    lab.consistent()


def test_who_shuts_reading_refuses_datagrams(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "shutdown", two, c.SHUT_RD)
    assert lab.call(lab.client, "sendto", one, b"x")[0] == e.EINVAL


def test_a_datagram_socket_shuts_its_own_side_only(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "shutdown", one, c.SHUT_WR)
    assert lab.refused(lab.client, "sendto", one, b"x") == e.EPIPE
    lab.do(lab.client, "sendto", two, b"still")
    assert lab.do(lab.client, "recvfrom", one, 10) == b"still"


def test_a_datagram_connection_goes_one_way_and_can_be_moved(lab: Local) -> None:
    lab.bound(lab.server)
    second = lab.bound(lab.server, sockaddr_un(b"/tmp/second"))
    fd = lab.socket(lab.client, DGRAM)
    lab.do(lab.client, "connect", fd, NAME)
    assert lab.do(lab.client, "getpeername", fd) == NAME
    lab.do(lab.client, "connect", fd, sockaddr_un(b"/tmp/second"))
    lab.do(lab.client, "sendto", fd, b"moved")
    assert lab.do(lab.server, "recvfrom", second, 10) == b"moved"
    lab.do(lab.client, "close", fd)
    lab.consistent()


def test_a_datagram_socket_may_be_connected_to_itself(lab: Local) -> None:
    fd = lab.bound(lab.client)
    lab.do(lab.client, "connect", fd, NAME)
    lab.do(lab.client, "sendto", fd, b"me")
    assert lab.do(lab.client, "recvfrom", fd, 10) == b"me"
    lab.do(lab.client, "close", fd)
    assert lab.open_sockets() == 0
    lab.consistent()


def test_when_a_receiver_closes_its_senders_are_told_once(lab: Local) -> None:
    server = lab.bound(lab.server)
    fds = [lab.socket(lab.client, DGRAM) for _ in range(2)]
    for fd in fds:
        lab.do(lab.client, "connect", fd, NAME)
    lab.do(lab.server, "close", server)
    for fd in fds:
        assert lab.call(lab.client, "sendto", fd, b"x")[0] == e.ECONNRESET
        assert lab.refused(lab.client, "sendto", fd, b"x") == e.EDESTADDRREQ
    lab.consistent()


def test_who_could_wake_a_receiver_is_said_by_name(lab: Local) -> None:
    server, nameless = lab.bound(lab.server), lab.socket(lab.client, DGRAM)
    for pid, fd, who in (
        (lab.server, server, "whoever sends to /tmp/server"),
        (lab.client, nameless, "nobody: the socket has no peer"),
    ):
        with pytest.raises(SimDeadlock) as stop:
            lab.call(pid, "recvfrom", fd, 10)
        assert stop.value.graph[0][3] == who


# -- options -----------------------------------------------------------------------------------


def peercred(lab: Local, pid: int, fd: int) -> tuple[int, Any]:
    errno, (_, answer) = lab.call(pid, "getsockopt", fd, c.SOL_LOCAL, c.LOCAL_PEERCRED, bytes(76))
    return errno, answer


def test_both_ends_of_a_connection_know_who_the_other_is(lab: Local) -> None:
    fd = lab.listener()
    lab.do(lab.server, "chmod", PATH, 0o666)
    theirs = lab.socket(lab.root)
    lab.do(lab.root, "connect", theirs, NAME)
    assert peercred(lab, lab.server, fd) == (e.ENOTCONN, b"")
    accepted, _ = lab.do(lab.server, "accept", fd)
    assert peercred(lab, lab.server, accepted) == (0, xucred(0, [0]))
    assert peercred(lab, lab.root, theirs) == (0, xucred(501, [20]))
    for pid, each, peer in ((lab.server, accepted, lab.root), (lab.root, theirs, lab.server)):
        for option in (c.LOCAL_PEERPID, c.LOCAL_PEEREPID):
            _, answer = lab.do(pid, "getsockopt", each, c.SOL_LOCAL, option, bytes(4))
            assert int.from_bytes(answer, "little") == peer


def test_a_pair_has_the_user_who_made_it_on_both_ends(lab: Local) -> None:
    for fd in lab.pair():
        assert peercred(lab, lab.client, fd) == (0, xucred(501, [20]))


@pytest.mark.parametrize(("type_", "errno"), [(STREAM, e.ENOTCONN), (DGRAM, e.EINVAL)])
def test_without_a_peer_there_is_nobody_to_know(type_: int, errno: int, lab: Local) -> None:
    fd = lab.socket(lab.client, type_)
    assert peercred(lab, lab.client, fd) == (errno, b"")
    arguments = (fd, c.SOL_LOCAL, c.LOCAL_PEERPID, bytes(4))
    assert lab.refused(lab.client, "getsockopt", *arguments) == e.ENOTCONN


def test_local_options_are_only_got(lab: Local) -> None:
    one, _ = lab.pair()
    arguments = (one, c.SOL_LOCAL, c.LOCAL_PEERCRED, bytes(4), 4)
    assert lab.refused(lab.client, "setsockopt", *arguments) == e.EOPNOTSUPP
    assert lab.refused(lab.client, "getsockopt", one, c.SOL_LOCAL, 99, bytes(4)) == e.EOPNOTSUPP


@pytest.mark.parametrize("option", [c.LOCAL_PEERUUID, c.LOCAL_PEEREUUID, c.LOCAL_PEERTOKEN])
def test_a_peer_has_no_uuid_and_no_token(option: int, lab: Local) -> None:
    one, _ = lab.pair()
    with pytest.raises(NotImplementedError, match="SOL_LOCAL"):
        lab.call(lab.client, "getsockopt", one, c.SOL_LOCAL, option, bytes(32))


# -- without a trace, and short of memory --------------------------------------------------------


def test_a_machine_that_records_nothing_answers_the_same() -> None:
    lab = Local(trace=False)
    fd = lab.listener(1)
    ours, theirs = lab.connected(fd)
    lab.do(lab.server, "listen", fd, 3)
    lab.do(lab.client, "sendmsg", ours, [b"x"], 0, None, rights(ours))
    assert lab.do(lab.server, "recvmsg", theirs, 9, 0, 100)[0] == b"x"
    one, two = lab.pair(DGRAM)
    lab.do(lab.client, "sendto", one, b"y")
    assert lab.do(lab.client, "recvfrom", two, 9) == b"y"
    lab.do(lab.server, "chmod", PATH, 0o600)
    lab.do(lab.server, "unlink", PATH)
    lab.close_all(lab.server, [fd, theirs, 5])
    lab.close_all(lab.client, [ours, one, two])
    assert lab.open_sockets() == 0
    with pytest.raises(SimDeadlock):
        lab.call(lab.server, "accept", lab.listener())


def test_a_datagram_without_an_mbuf_for_its_address_is_refused(lab: Local) -> None:
    one, two = lab.pair(DGRAM)
    pool = lab.mac.system.domain.pool
    pool.set_limit(1)
    assert lab.call(lab.client, "sendto", one, b"x")[0] == e.ENOBUFS
    assert lab.call(lab.client, "sendmsg", one, [b"x"], 0, None, rights(two))[0] == e.ENOBUFS
    assert pool.live == {}


def test_a_protocol_without_connections_has_nothing_to_accept_or_abort(lab: Local) -> None:
    from kextlab.bsd.socketvar import Protosw

    proto = next(p for p in lab.mac.system.domain.sockets.protocols if isinstance(p, UnixProto))
    for name, arguments in (
        ("pru_accept", (None, None)),
        ("pru_abort", (None,)),
        ("dom_externalize", (None, None)),
        ("waker", (None, "")),
    ):
        with pytest.raises(NotImplementedError):
            getattr(Protosw, name)(proto, *arguments)
