"""Facts of kextlab.abi.constants: Darwin's numbers, and flag words as names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab.abi import constants
from kextlab.abi.constants import FLAGS, flag_names, flag_value

FAMILIES = ["MSG", "PRUS", "SS", "CTL_FLAG", "CTL_DATA", "SB"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PF_SYSTEM", 32),
        ("AF_SYSTEM", 32),
        ("AF_SYS_CONTROL", 2),
        ("SYSPROTO_EVENT", 1),
        ("SYSPROTO_CONTROL", 2),
        ("SOCK_STREAM", 1),
        ("SOCK_DGRAM", 2),
        ("SOCK_RAW", 3),
        ("SOCK_RDM", 4),
        ("SOCK_SEQPACKET", 5),
        ("SOL_SOCKET", 0xFFFF),
        ("SO_ACCEPTCONN", 0x2),
        ("SO_KEEPALIVE", 0x8),
        ("SO_LINGER", 0x80),
        ("SO_SNDBUF", 0x1001),
        ("SO_RCVBUF", 0x1002),
        ("SO_SNDLOWAT", 0x1003),
        ("SO_RCVLOWAT", 0x1004),
        ("SO_ERROR", 0x1007),
        ("SO_TYPE", 0x1008),
        ("SO_NREAD", 0x1020),
        ("SO_NOSIGPIPE", 0x1022),
        ("SO_NWRITE", 0x1024),
        ("SO_LINGER_SEC", 0x1080),
        ("MSG_DONTWAIT", 0x80),
        ("MSG_NEEDSA", 0x10000),
        ("PRUS_MORETOCOME", 4),
        ("PR_PCBLOCK", 0x100),
        ("SS_ISDISCONNECTED", 0x2000),
        ("SS_DEFUNCT", 0x8000),
        ("SB_MAX", 8388608),
        ("SB_KCTL", 0x10000),
        ("MINCLSIZE", constants.MLEN + constants.MHLEN),
        ("CTL_FLAG_REG_SETUP", 0x20),
        ("CTL_DATA_CRIT", 4),
        ("MAX_KCTL_NAME", 96),
        ("CTL_SENDSIZE", 2048),
        ("CTL_RECVSIZE", 8192),
        ("CTL_MAXUNIT", 65536),
        ("CTL_AUTORCVBUF_MAX", 262144),
        ("KEV_SNDSPACE", 4096),
        ("KEV_RECVSPACE", 32768),
        ("KEV_VENDOR_CODE_MAX_STR_LEN", 200),
        ("KEV_MSG_HEADER_SIZE", 24),
        ("FIRST_NET_STR_ID", 1000),
        ("SOMAXCONN", 128),
        ("SOCK_MAXADDRLEN", 255),
        ("IOV_MAX", 1024),
    ],
)
def test_the_constant_has_darwins_value(name: str, value: int) -> None:
    assert getattr(constants, name) == value


@pytest.mark.parametrize("prefix", ["SO_", "MSG_", "SS_", "M_", "PR_", "PRUS_", "SHUT_"])
def test_no_two_constants_of_a_kind_share_a_value(prefix: str) -> None:
    values = [value for name, value in vars(constants).items() if name.startswith(prefix)]
    assert values
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_lists_single_bits_in_ascending_order(family: str) -> None:
    bits = list(FLAGS[family].values())
    assert bits == sorted(set(bits))
    assert all(bit & (bit - 1) == 0 for bit in bits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_holds_every_flag_constant_of_its_prefix(family: str) -> None:
    names = {name for name in vars(constants) if name.startswith(f"{family}_")}
    assert set(FLAGS[family]) == names - {"SB_MAX"}


def test_there_are_six_families() -> None:
    assert list(FLAGS) == FAMILIES


@pytest.mark.parametrize(
    ("value", "family", "names"),
    [
        (0, "MSG", []),
        (0x82, "MSG", ["MSG_PEEK", "MSG_DONTWAIT"]),
        (0x8001, "MSG", ["MSG_OOB", 0x8000]),
        (6, "CTL_DATA", ["CTL_DATA_EOR", "CTL_DATA_CRIT"]),
        (0x182, "SS", ["SS_ISCONNECTED", "SS_PRIV", "SS_NBIO"]),
        (0x40, "CTL_FLAG", [0x40]),
        (0x18, "PRUS", [0x18]),
    ],
)
def test_flags_are_named_in_bit_order_and_what_has_no_name_is_one_number(
    value: int, family: str, names: list[str | int]
) -> None:
    assert flag_names(value, family) == names
    assert flag_value(names, family) == value


@given(value=st.integers(0, 2**40), family=st.sampled_from(FAMILIES))
def test_flag_value_undoes_flag_names(value: int, family: str) -> None:
    names = flag_names(value, family)
    assert flag_value(names, family) == value
    assert flag_value(reversed(names), family) == value


def test_repeated_flags_count_once_and_a_number_may_hold_several_bits() -> None:
    assert flag_value(["MSG_OOB", "MSG_OOB", 0x3], "MSG") == 3


@pytest.mark.parametrize(
    ("names", "family", "line"),
    [
        (["MSG_NONE"], "MSG", "unknown MSG flag 'MSG_NONE': expected names such as 'MSG_OOB'"),
        (["MSG_OOB"], "SS", "unknown SS flag 'MSG_OOB': expected names such as 'SS_NOFDREF'"),
        ([-1], "MSG", "negative flag -1: expected 0 or more"),
        ("MSG_OOB", "MSG", "flags given as one string 'MSG_OOB': expected a list, as ['MSG_OOB']"),
        (
            [],
            "XX",
            "unknown flag family 'XX': expected one of MSG, PRUS, SS, CTL_FLAG, CTL_DATA, SB",
        ),
    ],
)
def test_flag_value_refuses_in_one_line(
    names: list[str | int] | str, family: str, line: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        flag_value(names, family)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("value", "family", "line"),
    [
        (-1, "MSG", "negative flag word -1: expected 0 or more"),
        (
            1,
            "msg",
            "unknown flag family 'msg': expected one of MSG, PRUS, SS, CTL_FLAG, CTL_DATA, SB",
        ),
    ],
)
def test_flag_names_refuses_in_one_line(value: int, family: str, line: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        flag_names(value, family)
    assert str(caught.value) == line
