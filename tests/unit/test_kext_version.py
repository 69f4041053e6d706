"""Versions of kexts: what is one, and which is later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab.kernel.kext_version import parse_version, version_string


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.0.0d1", 1_00_00_1_001),
        ("1.0.0", 1_00_00_9_000),
        ("9999.99.99d255", 9999_99_99_1_255),
        ("24.4.0", 24_04_00_9_000),
        ("0", 9_000),
        ("1.2a3", 1_02_00_3_003),
        ("1b0", 1_00_00_5_000),
        ("1.0f1", 1_00_00_7_001),
        ("1.0fc1", 1_00_00_7_001),
        ("1234d5", 1234_00_00_1_005),
        ("1.10", 1_10_00_9_000),
    ],
)
def test_a_version_is_one_number(text: str, number: int) -> None:
    assert parse_version(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "", "v1", ".1", "d1", "12345", "1.234", "1.2.345", "1.2.3.4", "1.2.3.", "1.0.0d", "1.0.0fc",
        "1.0.0x1", "1.0.0d256", "1.0.0d1234", "1.0.0f0", "1.0.0fc0", "1.0.0D1", "1-0", "-1",
        "\u0661", "1.2.34.5", "1.0.0d1x", "1.0.0dd1", "1.0.0rc1",
    ],
)  # fmt: skip
def test_what_is_no_version(text: str) -> None:
    assert parse_version(text) == -1


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1.", "1.0"),
        ("1..2", "1.0.2"),
        ("1.2.34.", "1.2.34"),
        ("1.2.34.d1", "1.2.34d1"),
        ("1.0 and more", "1.0"),
        ("1.0d1\tmore", "1.0d1"),
        ("1.0\0d1", "1.0"),
        ("01.00", "1.0"),
    ],
)
def test_what_the_scan_lets_through(text: str, same: str) -> None:
    assert parse_version(text) == parse_version(same) > 0


def test_stages_come_in_order_and_the_release_last() -> None:
    names = [
        "0.9",
        "1.0d1",
        "1.0d255",
        "1.0a1",
        "1.0b1",
        "1.0b2",
        "1.0f1",
        "1.0fc2",
        "1.0",
        "1.0.1",
    ]
    numbers = [parse_version(name) for name in names]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "(missing)"),
        (-1, "(invalid)"),
        (10000_00_00_9_000, "(invalid)"),
        (1_00_00_9_256, "(invalid)"),
        (1_00_00_2_000, "(invalid)"),
    ],
)
def test_what_is_no_version_is_written_as_such(number: int, text: str) -> None:
    assert version_string(number) == text


parts = st.tuples(
    st.integers(0, 9999),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["", "d", "a", "b", "f"]),
    st.integers(1, 255),
)


def written(version: tuple[int, int, int, str, int]) -> str:
    major, minor, revision, stage, level = version
    return f"{major}.{minor}.{revision}{stage}{level if stage else ''}"


@given(parts, parts)
def test_numbers_compare_as_their_parts_do(
    one: tuple[int, int, int, str, int], other: tuple[int, int, int, str, int]
) -> None:
    def key(version: tuple[int, int, int, str, int]) -> tuple[int, ...]:
        stage = ["d", "a", "b", "f", ""].index(version[3])
        return (*version[:3], stage, version[4] if version[3] else 0)

    first, second = parse_version(written(one)), parse_version(written(other))
    assert (first < second, first == second) == (key(one) < key(other), key(one) == key(other))


@given(parts)
def test_what_is_written_is_read_again(version: tuple[int, int, int, str, int]) -> None:
    number = parse_version(written(version))
    assert parse_version(version_string(number)) == number


@given(st.text("0123456789.dabfc \0", max_size=16))
def test_a_text_is_a_version_or_minus_one(text: str) -> None:
    number = parse_version(text)
    assert number == -1 or parse_version(version_string(number)) == number
