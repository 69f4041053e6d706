"""Facts of kextlab.abi.structs: byte layouts of Darwin's structures."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab.abi.constants import AF_SYSTEM
from kextlab.abi.structs import (
    CtlEventData,
    CtlInfo,
    Field,
    KernEventMsg,
    KevRequest,
    KevVendorCode,
    SockaddrCtl,
    c_bytes,
    c_str,
)

Struct: TypeAlias = SockaddrCtl | CtlInfo | CtlEventData | KevRequest | KevVendorCode | KernEventMsg

SIZES: list[tuple[type[Struct], int]] = [
    (SockaddrCtl, 32),
    (CtlInfo, 100),
    (CtlEventData, 8),
    (KevRequest, 12),
    (KevVendorCode, 204),
    (KernEventMsg, 24),
]
CLASSES = [cls for cls, _ in SIZES]


@pytest.mark.parametrize(("cls", "size"), SIZES)
def test_the_structure_has_its_c_size(cls: type[Struct], size: int) -> None:
    assert size == cls.SIZE
    assert len(cls().pack()) == size


@pytest.mark.parametrize("cls", CLASSES)
def test_the_layout_covers_the_structure_without_gap_or_overlap(cls: type[Struct]) -> None:
    end = 0
    for field in cls.LAYOUT:
        assert field.offset == end
        assert hasattr(cls(), field.name)
        end += field.size
    assert end == cls.SIZE


def test_the_layout_of_sockaddr_ctl_is_that_of_the_header() -> None:
    assert (
        Field("sc_len", 0, 1, "u_char"),
        Field("sc_family", 1, 1, "u_char"),
        Field("ss_sysaddr", 2, 2, "u_int16_t"),
        Field("sc_id", 4, 4, "u_int32_t"),
        Field("sc_unit", 8, 4, "u_int32_t"),
        Field("sc_reserved", 12, 20, "u_int32_t[5]"),
    ) == SockaddrCtl.LAYOUT


def test_the_name_of_ctl_info_lies_after_its_id() -> None:
    assert CtlInfo.LAYOUT[1] == Field("ctl_name", 4, 96, "char[96]")


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (
            SockaddrCtl(sc_id=3, sc_unit=1),
            bytes.fromhex("20 20 0200 03000000 01000000") + bytes(20),
        ),
        (
            SockaddrCtl(16, 2, 0x0102, 0xA0B0C0D0, 4, (1, 2, 3, 4, 5)),
            bytes.fromhex("10 02 0201 d0c0b0a0 04000000")
            + bytes.fromhex("01000000 02000000 03000000 04000000 05000000"),
        ),
        (CtlInfo(7, b"abc"), bytes.fromhex("07000000 616263") + bytes(93)),
        (CtlInfo(0, b"n" * 96), bytes(4) + b"n" * 96),
        (CtlEventData(5, 0), bytes.fromhex("05000000 00000000")),
        (KevRequest(1, 3, 2), bytes.fromhex("01000000 03000000 02000000")),
        (KevVendorCode(1000, b"com.x"), bytes.fromhex("e8030000") + b"com.x" + bytes(195)),
        (
            KernEventMsg(1, 3, 2, 9, 1, b"\5\0\0\0\0\0\0\0"),
            bytes.fromhex("20000000 01000000 03000000 02000000 09000000 01000000")
            + bytes.fromhex("05000000 00000000"),
        ),
    ],
)
def test_the_bytes_are_little_endian_and_without_padding(value: Struct, raw: bytes) -> None:
    assert value.pack() == raw
    assert type(value).unpack(raw) == value


def test_an_address_is_by_default_one_of_the_system_domain() -> None:
    address = SockaddrCtl()
    assert (address.sc_len, address.sc_family, address.ss_sysaddr) == (32, AF_SYSTEM, 2)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_field_not_declared_cannot_be_added(cls: type[Struct]) -> None:
    with pytest.raises(AttributeError):
        cls().ctl_nmae = b""  # type: ignore[union-attr]


# --- round trips ------------------------------------------------------------------------------

U32 = st.integers(0, 2**32 - 1)


def _c_string(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=size).map(c_bytes)


VALUES: st.SearchStrategy[Struct] = st.one_of(
    st.builds(
        SockaddrCtl,
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 65535),
        U32,
        U32,
        st.tuples(U32, U32, U32, U32, U32),
    ),
    st.builds(CtlInfo, U32, _c_string(96)),
    st.builds(CtlEventData, U32, U32),
    st.builds(KevRequest, U32, U32, U32),
    st.builds(KevVendorCode, U32, _c_string(200)),
    st.builds(KernEventMsg, U32, U32, U32, U32, U32, st.binary(max_size=300)),
)


@given(value=VALUES, tail=st.binary(max_size=8))
def test_unpack_undoes_pack_and_ignores_what_follows(value: Struct, tail: bytes) -> None:
    raw = value.pack()
    assert type(value).unpack(raw) == value
    assert type(value).unpack(bytearray(raw + tail)) == value
    assert type(value).unpack(memoryview(raw + tail)) == value


@given(messages=st.lists(st.builds(KernEventMsg, U32, U32, U32, U32, U32, st.binary(max_size=40))))
def test_split_finds_every_message_of_a_buffer(messages: list[KernEventMsg]) -> None:
    buffer = b"".join(message.pack() for message in messages)
    assert list(KernEventMsg.split(buffer)) == messages


# --- too short --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (SockaddrCtl, "sockaddr_ctl"),
        (CtlInfo, "ctl_info"),
        (CtlEventData, "ctl_event_data"),
        (KevRequest, "kev_request"),
        (KevVendorCode, "kev_vendor_code"),
        (KernEventMsg, "kern_event_msg"),
    ],
)
def test_too_few_bytes_are_refused_with_both_sizes(cls: type[Struct], name: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        cls.unpack(bytes(cls.SIZE - 1))
    assert str(caught.value) == f"{name} from {cls.SIZE - 1} bytes: needs {cls.SIZE}"


def test_a_message_cut_by_a_short_read_is_refused() -> None:
    raw = KernEventMsg(event_data=bytes(8)).pack()
    with pytest.raises(ValueError, match=r"^kern_event_msg from 31 bytes: needs 32$"):
        KernEventMsg.unpack(raw[:-1])


def test_a_total_size_below_the_header_is_refused() -> None:
    raw = struct.pack("<6I", 23, 1, 0, 0, 1, 0)
    with pytest.raises(ValueError, match=r"^total_size = 23: expected 24 or more$"):
        KernEventMsg.unpack(raw)


def test_split_yields_the_whole_messages_before_a_cut_one() -> None:
    whole = KernEventMsg(1, 3, 2, 1, 1)
    walk = KernEventMsg.split(whole.pack() + whole.pack()[:20])
    assert next(walk) == whole
    with pytest.raises(ValueError, match=r"^kern_event_msg from 20 bytes: needs 24$"):
        next(walk)


def test_split_of_nothing_yields_nothing() -> None:
    assert list(KernEventMsg.split(b"")) == []


# --- out of range -----------------------------------------------------------------------------

OUT_OF_RANGE: list[tuple[Callable[[], Struct], str]] = [
    (lambda: SockaddrCtl(sc_len=256), "sc_len = 256: expected 0 to 255"),
    (lambda: SockaddrCtl(sc_family=-1), "sc_family = -1: expected 0 to 255"),
    (lambda: SockaddrCtl(ss_sysaddr=65536), "ss_sysaddr = 65536: expected 0 to 65535"),
    (lambda: SockaddrCtl(sc_id=-1), "sc_id = -1: expected 0 to 4294967295"),
    (lambda: SockaddrCtl(sc_unit=2**32), "sc_unit = 4294967296: expected 0 to 4294967295"),
    (lambda: SockaddrCtl(sc_reserved=(0,)), "sc_reserved has 1 elements: expected 5"),
    (
        lambda: SockaddrCtl(sc_reserved=(0, 0, 0, -1, 0)),
        "sc_reserved[3] = -1: expected 0 to 4294967295",
    ),
    (lambda: CtlInfo(-1), "ctl_id = -1: expected 0 to 4294967295"),
    (lambda: CtlInfo(0, b"n" * 97), "ctl_name has 97 bytes: expected at most 96"),
    (lambda: CtlEventData(0, -1), "ctl_unit = -1: expected 0 to 4294967295"),
    (lambda: KevRequest(0, 0, -1), "kev_subclass = -1: expected 0 to 4294967295"),
    (lambda: KevVendorCode(-1), "vendor_code = -1: expected 0 to 4294967295"),
    (lambda: KevVendorCode(0, b"v" * 201), "vendor_string has 201 bytes: expected at most 200"),
    (lambda: KernEventMsg(event_code=-1), "event_code = -1: expected 0 to 4294967295"),
]


@pytest.mark.parametrize(("build", "line"), OUT_OF_RANGE)
def test_a_value_outside_its_field_is_refused_in_one_line(
    build: Callable[[], Struct], line: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        build()
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (SockaddrCtl, "sc_unit"),
        (CtlInfo, "ctl_id"),
        (CtlEventData, "ctl_id"),
        (KevRequest, "kev_class"),
        (KevVendorCode, "vendor_code"),
        (KernEventMsg, "id"),
    ],
)
def test_a_field_spoilt_after_construction_is_refused_by_pack(
    cls: type[Struct], field: str
) -> None:
    value = cls()
    setattr(value, field, 2**32)
    with pytest.raises(ValueError, match=f"^{field} = 4294967296: expected 0 to 4294967295$"):
        value.pack()


# --- C strings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "kept", "text"),
    [
        (b"", b"", ""),
        (b"abc", b"abc", "abc"),
        (b"abc\0def\0", b"abc", "abc"),
        (b"\0abc", b"", ""),
        (b"\xc3\xa9", b"\xc3\xa9", "\u00e9"),
        (b"a\xff", b"a\xff", "a\\xff"),
    ],
)
def test_a_c_string_ends_at_its_first_nul(raw: bytes, kept: bytes, text: str) -> None:
    assert c_bytes(raw) == kept
    assert c_str(raw) == text
    assert CtlInfo(0, raw).ctl_name == kept
    assert KevVendorCode(0, raw).vendor_string == kept
    assert CtlInfo(0, raw).name == text
    assert KevVendorCode(0, raw).name == text


def test_a_structure_can_be_asked_for_by_name() -> None:
    assert CtlInfo.named("com.apple.net.utun_control") == CtlInfo(0, b"com.apple.net.utun_control")
    assert KevVendorCode.named("com.apple") == KevVendorCode(0, b"com.apple")


def test_what_follows_the_nul_in_a_name_field_is_dropped() -> None:
    raw = bytes(4) + b"ab\0junk".ljust(96, b"?")
    assert CtlInfo.unpack(raw).pack() == bytes(4) + b"ab" + bytes(94)
