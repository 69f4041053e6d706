"""Facts of kextlab.abi.ioctl: how Darwin numbers requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab.abi import ioctl
from kextlab.abi.ioctl import Request

WORDS = {
    "CTLIOCGCOUNT": 0x40044E02,
    "CTLIOCGINFO": 0xC0644E03,
    "SIOCGKEVID": 0x40046501,
    "SIOCSKEVFILT": 0x800C6502,
    "SIOCGKEVFILT": 0x400C6503,
    "SIOCGKEVVENDOR": 0xC0CC6504,
    "FIOCLEX": 0x20006601,
    "FIONCLEX": 0x20006602,
    "FIOASYNC": 0x8004667D,
    "FIONBIO": 0x8004667E,
    "FIONREAD": 0x4004667F,
    "SIOCATMARK": 0x40047307,
    "SIOCSPGRP": 0x80047308,
    "SIOCGPGRP": 0x40047309,
}


def test_the_requests_have_darwins_words() -> None:
    assert dict(ioctl.REQUESTS) == WORDS


@pytest.mark.parametrize("name", WORDS)
def test_a_request_has_its_name_both_ways(name: str) -> None:
    assert getattr(ioctl, name) == WORDS[name]
    assert ioctl.name_of(WORDS[name]) == name


def test_an_unlisted_word_has_no_name() -> None:
    assert ioctl.name_of(0) is None


@pytest.mark.parametrize(
    ("cmd", "parts"),
    [
        (0xC0644E03, Request("inout", "N", 3, 100)),
        (0x800C6502, Request("in", "e", 2, 12)),
        (0x4004667F, Request("out", "f", 127, 4)),
        (0x20006601, Request("void", "f", 1, 0)),
        (0, Request("0x00000000", "\0", 0, 0)),
        (0xFFFFFFFF, Request("0xe0000000", "\xff", 255, 8191)),
    ],
)
def test_a_word_comes_apart_into_direction_group_number_and_size(cmd: int, parts: Request) -> None:
    assert ioctl.decode(cmd) == parts


GROUP = st.characters(max_codepoint=0xFF)
NUMBER = st.integers(0, 0xFF)
SIZE = st.integers(0, ioctl.IOCPARM_MASK)


@given(group=GROUP, number=NUMBER, size=SIZE)
def test_decode_undoes_every_encoder(group: str, number: int, size: int) -> None:
    assert ioctl.decode(ioctl.io(group, number)) == Request("void", group, number, 0)
    assert ioctl.decode(ioctl.ior(group, number, size)) == Request("out", group, number, size)
    assert ioctl.decode(ioctl.iow(group, number, size)) == Request("in", group, number, size)
    assert ioctl.decode(ioctl.iowr(group, number, size)) == Request("inout", group, number, size)


@pytest.mark.parametrize(
    ("group", "number", "size", "line"),
    [
        ("", 1, 4, "ioctl group '': expected one character such as 'N'"),
        ("NN", 1, 4, "ioctl group 'NN': expected one character such as 'N'"),
        ("\u0141", 1, 4, "ioctl group '\u0141': expected one character such as 'N'"),
        ("N", -1, 4, "ioctl number -1: expected 0 to 255"),
        ("N", 256, 4, "ioctl number 256: expected 0 to 255"),
        ("N", 1, -1, "ioctl argument size -1: expected 0 to 8191 bytes"),
        ("N", 1, 8192, "ioctl argument size 8192: expected 0 to 8191 bytes"),
    ],
)
def test_an_argument_outside_its_range_is_refused_in_one_line(
    group: str, number: int, size: int, line: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        ioctl.iowr(group, number, size)
    assert str(caught.value) == line


@pytest.mark.parametrize("cmd", [-1, 1 << 32])
def test_a_word_of_more_than_32_bits_is_refused(cmd: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 0xffffffff"):
        ioctl.decode(cmd)
