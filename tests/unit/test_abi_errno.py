"""Facts of kextlab.abi.errno: Darwin's error table and its exceptions."""

from __future__ import annotations

import copy
import os
import pickle
import sys

import pytest

from kextlab.abi import errno

EVERY_NUMBER = sorted(errno.TABLE)


def test_the_table_holds_1_to_106_without_a_gap() -> None:
    assert list(range(1, 107)) == EVERY_NUMBER
    assert errno.ELAST == 106


@pytest.mark.parametrize("number", EVERY_NUMBER)
def test_every_row_agrees_with_its_constant(number: int) -> None:
    row = errno.TABLE[number]
    assert row.number == number
    assert getattr(errno, row.name) == number
    assert errno.name_of(number) == row.name
    assert errno.number_of(row.name) == number
    assert errno.message_of(number) == row.message
    assert errno.exception_of(number) is row.exception


def test_no_name_appears_twice() -> None:
    assert len({row.name for row in errno.TABLE.values()}) == len(errno.TABLE)


def test_no_row_can_be_changed() -> None:
    with pytest.raises(AttributeError):
        errno.TABLE[1].number = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        errno.TABLE[1] = errno.TABLE[2]  # type: ignore[index]


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        (1, "EPERM", "Operation not permitted"),
        (2, "ENOENT", "No such file or directory"),
        (6, "ENXIO", "Device not configured"),
        (16, "EBUSY", "Resource busy"),
        (22, "EINVAL", "Invalid argument"),
        (35, "EAGAIN", "Resource temporarily unavailable"),
        (40, "EMSGSIZE", "Message too long"),
        (41, "EPROTOTYPE", "Protocol wrong type for socket"),
        (42, "ENOPROTOOPT", "Protocol not available"),
        (45, "ENOTSUP", "Operation not supported"),
        (55, "ENOBUFS", "No buffer space available"),
        (56, "EISCONN", "Socket is already connected"),
        (57, "ENOTCONN", "Socket is not connected"),
        (58, "ESHUTDOWN", "Can't send after socket shutdown"),
        (63, "ENAMETOOLONG", "File name too long"),
        (84, "EOVERFLOW", "Value too large to be stored in data type"),
        (102, "EOPNOTSUPP", "Operation not supported on socket"),
        (106, "EQFULL", "Interface output queue is full"),
    ],
)
def test_number_name_and_message_are_darwins(number: int, name: str, message: str) -> None:
    row = errno.TABLE[number]
    assert (row.name, row.message) == (name, message)


@pytest.mark.skipif(sys.platform != "darwin", reason="asks the host's own C library")
def test_every_message_is_that_of_a_real_mac() -> None:
    assert {n: errno.message_of(n) for n in EVERY_NUMBER} == {
        n: os.strerror(n) for n in EVERY_NUMBER
    }


def test_ewouldblock_is_another_name_of_eagain() -> None:
    assert errno.EWOULDBLOCK == errno.EAGAIN == errno.number_of("EWOULDBLOCK") == 35
    assert errno.name_of(errno.EWOULDBLOCK) == "EAGAIN"


@pytest.mark.parametrize(("name", "number"), [("ERESTART", -1), ("EJUSTRETURN", -2)])
def test_kernel_internal_results_have_names_but_no_row(name: str, number: int) -> None:
    assert errno.name_of(number) == name
    assert errno.number_of(name) == number
    assert number not in errno.TABLE


@pytest.mark.parametrize("number", [0, 107, 999, -3])
def test_an_unknown_number_is_named_by_itself(number: int) -> None:
    assert errno.name_of(number) == f"errno {number}"
    assert errno.exception_of(number) is OSError


@pytest.mark.parametrize(
    ("number", "message"),
    [(0, "Undefined error: 0"), (107, "Unknown error: 107"), (-1, "Unknown error: -1")],
)
def test_an_unknown_number_has_darwins_stock_message(number: int, message: str) -> None:
    assert errno.message_of(number) == message


@pytest.mark.parametrize("name", ["", "ebusy", "EBUSYX", "ENONET"])
def test_an_unknown_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="expected one of Darwin's, such as 'EBUSY'") as caught:
        errno.number_of(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


SUBCLASSES = {
    "EACCES": PermissionError,
    "EAGAIN": BlockingIOError,
    "EALREADY": BlockingIOError,
    "ECHILD": ChildProcessError,
    "ECONNABORTED": ConnectionAbortedError,
    "ECONNREFUSED": ConnectionRefusedError,
    "ECONNRESET": ConnectionResetError,
    "EEXIST": FileExistsError,
    "EINPROGRESS": BlockingIOError,
    "EINTR": InterruptedError,
    "EISDIR": IsADirectoryError,
    "ENOENT": FileNotFoundError,
    "ENOTDIR": NotADirectoryError,
    "EPERM": PermissionError,
    "EPIPE": BrokenPipeError,
    "ESHUTDOWN": BrokenPipeError,
    "ESRCH": ProcessLookupError,
    "ETIMEDOUT": TimeoutError,
}


@pytest.mark.parametrize("number", EVERY_NUMBER)
def test_the_exception_is_chosen_by_name(number: int) -> None:
    assert errno.exception_of(number) is SUBCLASSES.get(errno.name_of(number), OSError)


def _facts(error: OSError) -> tuple[object, ...]:
    return type(error), error.errno, error.strerror, error.args, str(error)


# ERESTART and 999 stand for numbers outside the table; 115 is EINPROGRESS on Linux.
@pytest.mark.parametrize("number", [*EVERY_NUMBER, -1, 111, 115, 999])
def test_oserror_is_darwins_on_any_host_also_copied_and_pickled(number: int) -> None:
    message = errno.message_of(number)
    expected = (
        errno.exception_of(number),
        number,
        message,
        (number, message),
        f"[Errno {number}] {message}",
    )
    error = errno.oserror(number)
    assert _facts(error) == expected
    assert _facts(copy.copy(error)) == expected
    assert _facts(copy.deepcopy(error)) == expected
    # Protocols 0 to 2 speak Python 2, which has no subclasses of OSError: CPython drops them.
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert _facts(again) == expected
        assert _facts(copy.copy(again)) == expected


def test_edeadlk_does_not_become_linuxs_eagain() -> None:
    assert type(errno.oserror(errno.EDEADLK)) is OSError


def test_eagain_does_not_become_linuxs_edeadlk() -> None:
    error = errno.oserror(errno.EAGAIN)
    assert type(error) is BlockingIOError
    assert str(error) == "[Errno 35] Resource temporarily unavailable"


def test_every_call_builds_a_new_exception() -> None:
    assert errno.oserror(11) is not errno.oserror(11)


def test_success_has_no_exception() -> None:
    with pytest.raises(ValueError, match="errno 0 is success"):
        errno.oserror(0)


def test_a_number_the_host_reads_otherwise_still_has_its_plain_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # ECHILD is 10 wherever Python runs, so without its row it proves the detour on every host.
    monkeypatch.setattr(errno, "TABLE", {})
    error = errno.oserror(10)
    assert _facts(error)[:2] == (OSError, 10)
    assert _facts(copy.copy(error)) == _facts(error)
