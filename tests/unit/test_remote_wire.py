"""Values and messages as bytes: one form each, and one clear line for everything else."""

import enum
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.remote.wire import (
    KINDS,
    MAX_DEPTH,
    VERSION,
    Call,
    Callback,
    CallbackReturn,
    Error,
    Fault,
    Message,
    Return,
    Stop,
    WireError,
    decode,
    encode,
    pack,
    shown,
    unpack,
)

TEXTS = st.text(st.characters())  # lone surrogates included
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)


def exactly(value: Any) -> Any:
    """A value with its types, in which 1 is not True and a list no tuple."""
    if isinstance(value, list | tuple):
        return type(value), [exactly(item) for item in value]
    if isinstance(value, dict):
        return dict, [(key, exactly(value[key])) for key in sorted(value)]
    return type(value), value


# ---------------------------------------------------------------- values


@settings(deadline=None)
@given(VALUES)
def test_a_value_comes_back_as_it_went(value: object) -> None:
    assert exactly(decode(encode(value))) == exactly(value)


def again(data: bytes) -> bytes | str:
    """The form of the value ``data`` is the form of, or why it is none."""
    try:
        return encode(decode(data))
    except WireError as error:
        return str(error)


@settings(deadline=None)
@given(st.binary(max_size=60) | VALUES.map(encode).map(lambda data: data[:-1]))
def test_bytes_are_the_form_of_one_value_or_refused_in_one_line(data: bytes) -> None:
    result = again(data)
    assert result == data or (isinstance(result, str) and "\n" not in result)


@settings(deadline=None)
@given(st.dictionaries(TEXTS, st.integers(), min_size=2))
def test_equal_dicts_are_equal_bytes_whatever_their_order(value: dict[str, int]) -> None:
    assert encode(dict(reversed(value.items()))) == encode(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, b"N"),
        (True, b"T"),
        (False, b"F"),
        (-2, b"I" + b"\xfe" + 7 * b"\xff"),
        (2**63 - 1, b"I" + 7 * b"\xff" + b"\x7f"),
        (2**63, b"J" + b"\x09\0\0\0" + 7 * b"\0" + b"\x80\0"),
        (-(2**63), b"I" + 7 * b"\0" + b"\x80"),
        (-(2**63) - 1, b"J" + b"\x09\0\0\0" + 7 * b"\xff" + b"\x7f\xff"),
        ("é", b"S\x02\0\0\0\xc3\xa9"),
        (b"\0", b"B\x01\0\0\0\0"),
        ([None], b"L\x01\0\0\0N"),
        ((), b"U\0\0\0\0"),
        ({"a": 0}, b"D\x01\0\0\0S\x01\0\0\0aI" + bytes(8)),
    ],
)
def test_the_form_of_a_value_is_the_documented_one(value: object, form: bytes) -> None:
    assert encode(value) == form
    assert decode(form) == value


def test_what_stands_for_a_plain_value_crosses_as_it() -> None:
    number = enum.IntEnum("number", [("SEVEN", 7)])
    assert decode(encode(number.SEVEN)) == 7
    assert decode(encode([bytearray(b"a"), memoryview(b"b")])) == [b"a", b"b"]


def test_the_same_message_is_the_same_bytes_in_another_process() -> None:
    program = (
        "from kextlab.remote.wire import *\n"
        "print(pack(Return({'b': {'z': 1, 'a': 2}, 'a': [(1, b'x')]}, ((0, 'v'),))).hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def test_values_nest_to_the_documented_depth_and_no_deeper() -> None:
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(WireError, match=f"^a value nests deeper than {MAX_DEPTH}$"):
        encode(nested(MAX_DEPTH + 1))
    with pytest.raises(WireError, match=f"^nested deeper than {MAX_DEPTH} at byte"):
        decode((MAX_DEPTH + 1) * b"L\x01\0\0\0" + b"N")
    with pytest.raises(WireError, match=f"^nested deeper than {MAX_DEPTH} at byte"):
        decode(MAX_DEPTH * b"L\x01\0\0\0" + b"D\0\0\0\0")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.5, "1.5 (float) cannot cross: only None, bool, int, str, bytes, list, tuple and dict"),
        ([{1, 2}], "{1, 2} (set) cannot cross"),
        ({1: 2}, "1 (int) cannot be a key: only str can"),
    ],
)
def test_what_is_no_value_is_refused(value: object, said: str) -> None:
    with pytest.raises(WireError) as caught:
        encode(value)
    assert str(caught.value).startswith(said)


def test_a_refused_value_is_shown_short_and_in_one_line() -> None:
    assert shown("x" * 100) == "'" + 56 * "x" + "... (str)"

    class Lines:
        def __repr__(self) -> str:
            return "a\nb"

    assert shown(Lines()) == "a b (Lines)"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated at byte 0"),
        (b"X", "unknown tag b'X' at 0"),
        (b"NN", "1 bytes too many at byte 1"),
        (b"I123", "truncated: 8 bytes are due at byte 1, 3 are there"),
        (b"S\x02", "truncated: 4 bytes are due at byte 1, 1 are there"),
        (b"S\x02\0\0\0a", "truncated: 2 bytes are due at byte 5, 1 are there"),
        (b"L\xff\xff\xff\xff", "truncated at byte 5"),
        (b"S\x01\0\0\0\xff", "the str at byte 0 is not UTF-8"),
        (b"J\0\0\0\0", "the number at byte 0 has 0 bytes, which is not its form"),
        (b"J\x08\0\0\0" + bytes(8), "the number at byte 0 has 8 bytes, which is not its form"),
        (b"J\x0a\0\0\0" + bytes(10), "the number at byte 0 has 10 bytes, which is not its form"),
        (b"D\x01\0\0\0NN", "the key at byte 5 is not a str that follows the one before"),
        (
            b"D\x02\0\0\0" + 2 * b"S\x01\0\0\0aN",
            "the key at byte 12 is not a str that follows the one before",
        ),
    ],
)
def test_bytes_that_are_no_form_are_refused_with_the_place(data: bytes, said: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(data)
    assert str(caught.value) == said


# ---------------------------------------------------------------- messages

MESSAGES: list[Message] = [
    Call("socket", (100, 32, 2, 2)),
    Return((0, b"data"), ((1, 7),)),
    Callback(1, "send", (65537, 1, None, 4, 0)),
    CallbackReturn(22, ((2, None),)),
    CallbackReturn(None, (), "'banana'"),
    Fault("ValueError", "no", "Traceback ..."),
    Stop("panic", "kernel page fault", "the report"),
    Stop("deadlock", "asleep", sleep=("so:1", "sbwait", True)),
    Error("WireError", "unknown call"),
]


def test_the_examples_hold_every_kind_of_message() -> None:
    assert {type(message) for message in MESSAGES} == set(KINDS.values())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert unpack(pack(message)) == message
    version, kind, *_ = decode(pack(message))
    assert version == VERSION
    assert KINDS[kind] is type(message)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "no message: None (NoneType), a tuple (version, kind, ...) is due"),
        ((1,), "no message: (1,) (tuple), a tuple (version, kind, ...) is due"),
        ((2, "call"), "a message of version 2 (int); this side speaks 1"),
        ((True, "call"), "a message of version True (bool); this side speaks 1"),
        ((1, "shout"), "unknown kind of message: 'shout' (str)"),
        ((1, None), "unknown kind of message: None (NoneType)"),
        ((1, "call", "socket"), "a call of 1 fields: 2 are due"),
        ((1, "call", 7, ()), "a call whose name is 7 (int)"),
        ((1, "call", "socket", []), "a call whose arguments is [] (list)"),
        ((1, "return", 0, ((0,),)), "a return whose written is ((0,),) (tuple)"),
        ((1, "return", 0, 7), "a return whose written is 7 (int)"),
        ((1, "callback", "x", "send", ()), "a callback whose record is 'x' (str)"),
        ((1, "callback-return", "x", (), None), "a callback-return whose result is 'x' (str)"),
        ((1, "callback-return", 0, (), 7), "a callback-return whose wrong is 7 (int)"),
        ((1, "stop", "tea", "", "", None), "a stop whose what is 'tea' (str)"),
        ((1, "stop", "panic", "", "", ("a",)), "a stop whose sleep is ('a',) (tuple)"),
        ((1, "stop", "panic", "", "", 7), "a stop whose sleep is 7 (int)"),
        ((1, "fault", "E", "", None), "a fault whose traceback is None (NoneType)"),
    ],
)
def test_what_is_no_message_is_refused(value: object, said: str) -> None:
    with pytest.raises(WireError) as caught:
        unpack(encode(value))
    assert str(caught.value) == said
