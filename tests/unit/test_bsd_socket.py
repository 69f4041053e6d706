"""The socket layer and the protocol switch's defaults."""

from typing import Any

import pytest

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.mbuf import MbufPool
from kextlab.bsd.release import DEFAULT_RELEASE, RELEASES, release_named
from kextlab.bsd.socket import Sockets
from kextlab.bsd.socketvar import Proc, Protosw, Socket, Sockopt
from kextlab.sched import Scheduler, drive


class Bare(Protosw):
    """A protocol that has nothing but attach: every request is its default."""

    pr_protocol = 9

    def pru_attach(self, so: Socket, p: Proc) -> None:
        pass


class User:
    pid = 7
    uid = 0


@pytest.fixture(params=[0, c.PR_CONNREQUIRED])
def layer(request: pytest.FixtureRequest) -> Sockets:
    sockets = Sockets(MbufPool(None), False, Scheduler())
    sockets.protocols.append(Bare(c.SOCK_RDM, request.param, has_sosend=True))
    return sockets


@pytest.fixture
def so(layer: Sockets) -> Socket:
    errno, so = layer.socreate(c.AF_SYSTEM, c.SOCK_RDM, 9, User())
    assert errno == 0
    assert so is not None
    return so


NAME = SockaddrCtl().pack()


@pytest.mark.parametrize(
    ("request_", "arguments", "answer"),
    [
        ("pru_bind", (NAME, User()), e.EOPNOTSUPP),
        ("pru_connect", (NAME, User()), e.EOPNOTSUPP),
        ("pru_disconnect", (), e.EOPNOTSUPP),
        ("pru_detach", (), 0),
    ],
)
def test_a_request_that_may_let_go_answers_its_default(
    request_: str, arguments: tuple[Any, ...], answer: int, so: Socket
) -> None:
    assert drive(getattr(so.so_proto, request_)(so, *arguments)) == answer


@pytest.mark.parametrize(
    ("request_", "arguments", "answer"),
    [
        ("pru_control", (1, b"x"), (e.EOPNOTSUPP, b"x")),
        ("pru_listen", (User(),), e.EOPNOTSUPP),
        ("pru_connect2", (None, User()), e.EOPNOTSUPP),
        ("pru_disconnectx", (), e.EOPNOTSUPP),
        ("pru_peeraddr", (), (e.EOPNOTSUPP, b"")),
        ("pru_sockaddr", (), (e.EOPNOTSUPP, b"")),
        ("pru_rcvd", (0,), None),
        ("pru_rcvoob", (), e.EOPNOTSUPP),
        ("pru_shutdown", (), e.EOPNOTSUPP),
        ("pr_ctloutput", (Sockopt(True, 1, 1, b"", 0),), None),
        ("sofreelastref", (), None),
        ("dom_dispose", (), None),
        ("sbspace", (), 0),
    ],
)
def test_a_request_that_does_not_let_go_answers_its_default(
    request_: str, arguments: tuple[Any, ...], answer: object, so: Socket
) -> None:
    assert getattr(so.so_proto, request_)(so, *arguments) == answer


@pytest.mark.parametrize("request_", ["pru_send", "pru_send_list"])
def test_a_protocol_that_cannot_send_frees_what_it_was_given(request_: str, so: Socket) -> None:
    m = so.layer.pool.allocpacket(b"a")
    arguments = (so, 0, m) if request_ == "pru_send" else (so, m, 0)
    assert drive(getattr(so.so_proto, request_)(*arguments)) == e.EOPNOTSUPP
    assert so.layer.pool.live == {}


def test_a_protocol_has_nothing_quicker_than_its_send(so: Socket) -> None:
    routine = so.so_proto.pru_send_now(so, so.layer.pool.allocpacket(b"a"))
    assert not isinstance(routine, int)
    assert drive(routine) == e.EOPNOTSUPP
    assert so.layer.pool.live == {}


def test_a_protocol_must_attach() -> None:
    with pytest.raises(NotImplementedError):
        Protosw.pru_attach(Bare(1, 0, False), None, User())  # type: ignore[arg-type]


# -- connection state --------------------------------------------------------------------------


def test_what_is_not_connected_cannot_be_disconnected(layer: Sockets, so: Socket) -> None:
    assert drive(layer.sodisconnect(so)) == e.ENOTCONN


def test_a_connected_socket_disconnects_first_unless_it_connects_once(
    layer: Sockets, so: Socket
) -> None:
    layer.soisconnected(so)
    assert drive(layer.soconnect(so, NAME, User())) == e.EISCONN  # disconnecting is EOPNOTSUPP
    so.so_proto.pr_flags &= ~c.PR_CONNREQUIRED
    so.so_proto.pru_disconnect = so.so_proto.pru_detach  # type: ignore[method-assign]
    assert drive(layer.soconnect(so, NAME, User())) == e.EOPNOTSUPP  # now connecting is


def test_listening_takes_a_protocol_with_connections_and_an_unconnected_socket(
    layer: Sockets, so: Socket
) -> None:
    connects = bool(so.so_proto.pr_flags & c.PR_CONNREQUIRED)
    assert layer.solisten(so, 1, User()) == e.EOPNOTSUPP
    layer.soisconnecting(so)
    assert layer.solisten(so, 1, User()) == (e.EINVAL if connects else e.EOPNOTSUPP)


@pytest.mark.parametrize(
    ("shut", "how", "errno"),
    [
        (0, 7, e.EINVAL),
        (0, c.SHUT_RD, 0),
        (0, c.SHUT_WR, e.EOPNOTSUPP),
        (0, c.SHUT_RDWR, e.EOPNOTSUPP),
        (c.SS_CANTRCVMORE, c.SHUT_RD, e.ENOTCONN),
        (c.SS_CANTRCVMORE, c.SHUT_WR, e.EOPNOTSUPP),
        (c.SS_CANTRCVMORE, c.SHUT_RDWR, e.ENOTCONN),
        (c.SS_CANTSENDMORE, c.SHUT_WR, e.ENOTCONN),
        (c.SS_CANTSENDMORE, c.SHUT_RDWR, e.ENOTCONN),
    ],
)
def test_shutdown_answers_by_what_is_shut(
    shut: int, how: int, errno: int, layer: Sockets, so: Socket
) -> None:
    layer.soisconnected(so)
    so.so_state |= shut
    assert drive(layer.soshutdown(so, how)) == errno


def test_an_unconnected_socket_cannot_be_shut_down(layer: Sockets, so: Socket) -> None:
    assert drive(layer.soshutdown(so, c.SHUT_RD)) == e.ENOTCONN


def test_closing_answers_the_first_error(layer: Sockets, so: Socket) -> None:
    layer.soisconnected(so)
    assert drive(layer.soclose(so)) == e.EOPNOTSUPP
    assert layer.live == {}


@pytest.mark.parametrize("state", [0, c.SS_ISCONNECTED | c.SS_ISDISCONNECTING])
def test_closing_disconnects_only_what_is_connected(state: int, layer: Sockets, so: Socket) -> None:
    so.so_state = state
    assert drive(layer.soclose(so)) == 0


def test_a_socket_of_root_is_privileged(layer: Sockets, so: Socket) -> None:
    assert so.so_state == c.SS_PRIV


def test_low_marks_are_set_once_and_kept_within_the_buffer(layer: Sockets, so: Socket) -> None:
    layer.soreserve(so, 100, 0)
    assert (so.so_snd.sb_lowat, so.so_rcv.sb_lowat) == (100, 1)
    layer.soreserve(so, 5000, 5000)
    assert (so.so_snd.sb_lowat, so.so_rcv.sb_lowat) == (100, 1)


def test_an_error_makes_a_socket_ready_both_ways(layer: Sockets, so: Socket) -> None:
    so.so_rcv.sb_lowat = 1
    so.so_snd.sb_lowat = 1
    assert (layer.soreadable(so), layer.sowriteable(so)) == (False, False)
    so.so_error = e.EIO
    assert (layer.soreadable(so), layer.sowriteable(so)) == (True, True)


def test_queued_memory_is_counted_in_units_of_256_bytes(layer: Sockets, so: Socket) -> None:
    so.so_rcv.sb_mbcnt = 3 * 256
    so.so_snd.sb_mbcnt = 256
    assert layer.total_sbmb_cnt() == 4


# -- releases ----------------------------------------------------------------------------------


def test_a_release_is_known_by_xnus_tag() -> None:
    assert release_named(DEFAULT_RELEASE) is RELEASES[DEFAULT_RELEASE]


def test_an_unknown_release_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'xnu-1' is not modelled; choose one of xnu-11417"):
        release_named("xnu-1")
