"""The structures of local sockets, byte for byte."""

import pytest

from kextlab.abi.un import (
    CMSGHDR_SIZE,
    XUCRED_SIZE,
    Cmsg,
    cmsg,
    cmsgs,
    rights,
    sockaddr_un,
    sun_path,
    xucred,
)


def test_an_address_is_its_path_with_a_length_and_a_family() -> None:
    assert sockaddr_un(b"/tmp/x") == b"\x09\x01/tmp/x\0"
    assert sun_path(sockaddr_un(b"/tmp/x")) == b"/tmp/x"
    assert sun_path(b"\x10\x01" + bytes(14)) == b""
    with pytest.raises(ValueError, match="a path of 253 bytes: sockaddr_un has room for 252"):
        sockaddr_un(bytes(253))


def test_credentials_hold_a_user_and_up_to_16_groups() -> None:
    whole = xucred(501, [20, 12])
    assert len(whole) == XUCRED_SIZE
    assert whole[:20].hex(" ", 4) == "00000000 f5010000 02000000 14000000 0c000000"
    with pytest.raises(ValueError, match="17 groups: expected at most 16"):
        xucred(0, range(17))


def test_control_data_is_a_list_of_padded_items() -> None:
    block = cmsg(1, 2, b"abc") + cmsg(3, -4, b"")
    assert block[:CMSGHDR_SIZE].hex(" ", 4) == "0f000000 01000000 02000000"
    assert list(cmsgs(block)) == [Cmsg(1, 2, b"abc"), Cmsg(3, -4, b"")]
    assert list(cmsgs(block[:14])) == [Cmsg(1, 2, b"ab", cut=True)]
    assert list(cmsgs(block[:11])) == []
    assert list(cmsgs(bytes(12))) == []  # a length of 0


def test_rights_are_one_item_that_fills_the_data() -> None:
    assert rights(cmsg(0xFFFF, 1, b"\x05\0\0\0\x06\0\0\0")) == (5, 6)
    assert rights(cmsg(0xFFFF, 1, b"")) == ()
    for wrong in (b"", cmsg(0xFFFF, 2, b""), cmsg(0, 1, b""), cmsg(0xFFFF, 1, b"") + bytes(4)):
        assert rights(wrong) is None
