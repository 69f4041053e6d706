"""Reading recordings: what is taken, and the one line for everything that is refused."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab.scenario.recording import (
    Data,
    Header,
    Recording,
    RecordingError,
    Scenario,
    abbreviate,
    expand,
    find,
    read,
)

HEADER: dict[str, Any] = {
    "format": "kextlab-recording/1",
    "kind": "pf_system",
    "release": "xnu-7195.141.2",
    "scenarios": 2,
    "steps": 3,
}
STEP: dict[str, Any] = {"op": "close", "fd": "s1", "expect": {"errno": 0}}
BY_HAND: dict[str, Any] = {"name": "a", "title": "T", "topic": "t", "steps": [STEP, STEP]}
GENERATED: dict[str, Any] = {"name": "r1", "seed": 7, "profile": "mixed", "steps": [STEP]}

HEADER_FORM = (
    'the first line is {"format": "kextlab-recording/1", "kind": "pf_system" or "mach_ipc", '
    '"release": NAME, "scenarios": N, "steps": M}'
)
SCENARIO_FORM = (
    'a scenario is {"name": NAME, ..., "steps": [{"op": NAME, ..., "expect": {...}}, ...]}'
)
FILE_FORM = "a recording is a file of JSON Lines in UTF-8, plain or xz"


def encoded(*lines: object) -> bytes:
    """One line each: bytes as they are, everything else as JSON."""
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )


def without(fields: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != key}


GOOD = encoded(HEADER, BY_HAND, GENERATED)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.jsonl"


def refusal(path: Path) -> str:
    """The text of the error that reading `path` raises, without the folder."""
    with pytest.raises(RecordingError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "")


# ---------------------------------------------------------------- what is taken


def test_a_recording_is_its_header_and_its_scenarios_in_file_order(file: Path) -> None:
    file.write_bytes(GOOD)
    assert read(file) == Recording(
        file,
        Header("kextlab-recording/1", "pf_system", "xnu-7195.141.2", 2, 3),
        (
            Scenario("a", "T", "t", None, None, [STEP, STEP]),
            Scenario("r1", None, None, 7, "mixed", [STEP]),
        ),
    )


def test_a_path_may_be_a_string(file: Path) -> None:
    file.write_bytes(GOOD)
    assert read(str(file)) == read(file)


def test_the_first_bytes_tell_xz_from_plain_not_the_name(tmp_path: Path) -> None:
    packed, plain = tmp_path / "packed.jsonl", tmp_path / "plain.jsonl.xz"
    packed.write_bytes(lzma.compress(GOOD))
    plain.write_bytes(GOOD)
    assert read(packed).scenarios == read(plain).scenarios


def test_mach_ipc_is_a_recording_too(file: Path) -> None:
    file.write_bytes(encoded(HEADER | {"kind": "mach_ipc"}, BY_HAND, without(GENERATED, "profile")))
    assert read(file).header.kind == "mach_ipc"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(GOOD.removesuffix(b"\n"), id="no line end after the last scenario"),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), id="line ends of Windows"),
        pytest.param(
            encoded(HEADER | {"made": "today"}, BY_HAND | {"x": 1}, GENERATED), id="unknown keys"
        ),
        pytest.param(encoded(HEADER, BY_HAND | {"seed": None}, GENERATED), id="null for absent"),
        pytest.param(encoded(HEADER, BY_HAND | {"title": "\u2028\xe9"}, GENERATED), id="any title"),
    ],
)
def test_these_are_recordings_as_well(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read(file).header.steps == 3


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        (b"", 1, "the file is empty"),
        (lzma.compress(b""), 1, "the file is empty"),
        (b"hello", 1, "not JSON (Expecting value at column 1)"),
        (encoded(b"", HEADER), 1, "not JSON (Expecting value at column 1)"),
        (encoded([1, "\n"]), 1, r'[1, "\n"] is not an object'),
        (encoded("x" * 99), 1, '"' + "x" * 56 + "... is not an object"),
        (b"\xff\xfe{", 1, "not UTF-8 (byte 0xff at column 1)"),
        (encoded(BY_HAND), 1, 'not a header, it has no "format"'),
        (encoded({"format": "har/2"}), 1, 'the format "har/2" is not known'),
        (encoded({"format": 1}), 1, 'the header has "format": 1, not a string'),
        (encoded(without(HEADER, "kind")), 1, 'the header has no "kind"'),
        (encoded(HEADER | {"kind": "pf_inet"}), 1, 'the kind "pf_inet" is not known'),
        (encoded(HEADER | {"kind": []}), 1, 'the header has "kind": [], not a string'),
        (encoded(without(HEADER, "release")), 1, 'the header has no "release"'),
        (encoded(HEADER | {"release": 7195}), 1, 'the header has "release": 7195, not a string'),
        (encoded(without(HEADER, "scenarios")), 1, 'the header has no "scenarios"'),
        (
            encoded(HEADER | {"scenarios": True}),
            1,
            'the header has "scenarios": true, not a whole number',
        ),
        (encoded(without(HEADER, "steps")), 1, 'the header has no "steps"'),
        (encoded(HEADER | {"steps": 3.0}), 1, 'the header has "steps": 3.0, not a whole number'),
        (
            encoded(HEADER, BY_HAND),
            1,
            "the header counts 2 scenarios and 3 steps, the file holds 1 and 2: "
            "it is truncated or was edited",
        ),
        (
            encoded(HEADER | {"steps": 4}, BY_HAND, GENERATED),
            1,
            "the header counts 2 scenarios and 4 steps, the file holds 2 and 3: "
            "it is truncated or was edited",
        ),
        (
            encoded(HEADER) + b'{"name": "a", "steps"',
            2,
            "truncated, the last line is cut off (Expecting ':' delimiter at column 22)",
        ),
        (
            encoded(HEADER, b'{"name": "a", "steps"', GENERATED),
            2,
            "not JSON (Expecting ':' delimiter at column 22)",
        ),
        (encoded(HEADER, BY_HAND, GENERATED, b""), 4, "not JSON (Expecting value at column 1)"),
        (encoded(HEADER, b'{"name": NaN}'), 2, "not JSON (NaN is no JSON number)"),
        (
            encoded(HEADER, BY_HAND) + b'{"name": "na\xc3',
            3,
            "not UTF-8 (byte 0xc3 at column 13)",
        ),
        (encoded(HEADER, [STEP]), 2, json.dumps([STEP]) + " is not an object"),
        (encoded(HEADER, without(BY_HAND, "name")), 2, 'the scenario has no "name"'),
        (encoded(HEADER, BY_HAND | {"name": 5}), 2, 'the scenario has "name": 5, not a string'),
        (encoded(HEADER, without(BY_HAND, "steps")), 2, 'scenario "a" has no "steps"'),
        (encoded(HEADER, BY_HAND | {"steps": {}}), 2, 'scenario "a" has "steps": {}, not a list'),
        (encoded(HEADER, BY_HAND | {"title": 1}), 2, 'scenario "a" has "title": 1, not a string'),
        (encoded(HEADER, BY_HAND | {"topic": 1}), 2, 'scenario "a" has "topic": 1, not a string'),
        (
            encoded(HEADER, BY_HAND, GENERATED | {"seed": "7"}),
            3,
            'scenario "r1" has "seed": "7", not a whole number',
        ),
        (
            encoded(HEADER, BY_HAND, GENERATED | {"profile": 7}),
            3,
            'scenario "r1" has "profile": 7, not a string',
        ),
        (
            encoded(HEADER, BY_HAND | {"steps": [STEP, "close"]}),
            2,
            'scenario "a", step 1 is "close", not an object',
        ),
        (
            encoded(HEADER, BY_HAND | {"steps": [without(STEP, "op")]}),
            2,
            'scenario "a", step 0 has no "op"',
        ),
        (
            encoded(HEADER, BY_HAND | {"steps": [STEP | {"op": None}]}),
            2,
            'scenario "a", step 0 has "op": null, not a string',
        ),
        (
            encoded(HEADER, BY_HAND | {"steps": [STEP, without(STEP, "expect")]}),
            2,
            'scenario "a", step 1 has no "expect"',
        ),
        (
            encoded(HEADER, BY_HAND | {"steps": [STEP | {"expect": 0}]}),
            2,
            'scenario "a", step 0 has "expect": 0, not an object',
        ),
        (encoded(HEADER | {"scenarios": 0, "steps": 0}), 1, "the file holds no scenario"),
    ],
)
def test_a_refusal_is_one_line_of_file_line_what_was_seen_and_what_is_allowed(
    file: Path, content: bytes, line: int, complaint: str
) -> None:
    file.write_bytes(content)
    allowed = HEADER_FORM if line == 1 else SCENARIO_FORM
    assert refusal(file) == f"some.jsonl, line {line}: {complaint}; {allowed}"


@pytest.mark.parametrize(
    "line", [b"[" * 200_000, b'{"seed": ' + b"9" * 5_000 + b"}"], ids=["nesting", "digits"]
)
def test_json_beyond_what_the_parser_takes_is_one_line_too(file: Path, line: bytes) -> None:
    file.write_bytes(encoded(HEADER, line))
    text = refusal(file)
    assert text.startswith("some.jsonl, line 2: not JSON (")
    assert "\n" not in text


def test_truncated_xz_is_refused_at_the_line_where_the_data_ends(file: Path) -> None:
    # Incompressible names, so that whole lines come out before the cut.
    names = [lzma.compress(bytes([i])).hex() for i in range(40)]
    lines = encoded(HEADER, *({"name": name, "steps": [STEP]} for name in names))
    file.write_bytes(lzma.compress(lines)[:-40])
    text = refusal(file)
    number = int(text.removeprefix("some.jsonl, line ").partition(":")[0])
    assert 1 < number <= 42
    assert text.endswith(f": truncated, the xz data ends here; {SCENARIO_FORM}")


@pytest.mark.parametrize("length", range(1, 13))
def test_an_xz_file_cut_in_its_first_bytes_is_truncated_xz(file: Path, length: int) -> None:
    file.write_bytes(lzma.compress(GOOD)[:length])
    assert refusal(file) == f"some.jsonl, line 1: truncated, the xz data ends here; {HEADER_FORM}"


@given(cut=st.integers(0, len(lzma.compress(GOOD)) - 1))
def test_no_part_of_an_xz_file_is_taken_for_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    file = tmp_path_factory.mktemp("cut") / "some.jsonl"
    file.write_bytes(lzma.compress(GOOD)[:cut])
    assert "\n" not in refusal(file)


@given(cut=st.integers(0, len(GOOD) - 2))
def test_no_part_of_a_plain_file_is_taken_for_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    file = tmp_path_factory.mktemp("cut") / "some.jsonl"
    file.write_bytes(GOOD[:cut])
    assert "\n" not in refusal(file)


def test_damaged_xz_is_refused_with_the_reason(file: Path) -> None:
    packed = bytearray(lzma.compress(GOOD))
    packed[8] ^= 1  # in the checksum of the stream header
    file.write_bytes(packed)
    text = refusal(file)
    assert text.startswith("some.jsonl, line 1: damaged xz data (")
    assert text.endswith(f"); {HEADER_FORM}")


def test_a_missing_file_is_named(file: Path) -> None:
    assert refusal(file) == f"some.jsonl: no such file; {FILE_FORM}"


def test_a_folder_is_not_a_file(file: Path) -> None:
    file.mkdir()
    assert refusal(file) == f"some.jsonl: not a file; {FILE_FORM}"


def test_a_file_that_cannot_be_opened_is_refused_with_the_systems_reason(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(self: Path, mode: str) -> object:
        raise PermissionError(13, "Permission denied")

    file.write_bytes(GOOD)
    monkeypatch.setattr(Path, "open", locked)
    assert refusal(file) == f"some.jsonl: cannot be read (Permission denied); {FILE_FORM}"


def test_a_line_end_in_a_file_name_does_not_break_the_line(tmp_path: Path) -> None:
    assert r"two\nlines.jsonl': no such file" in refusal(tmp_path / "two\nlines.jsonl")


# ---------------------------------------------------------------- finding


def test_a_folder_is_searched_recursively_in_sorted_order(tmp_path: Path) -> None:
    names = ["b.jsonl", "a/z.jsonl.xz", "a/b.jsonl", "c.jsonl.xz"]
    for name in [*names, "a/README.md", "d.json", "e.xz"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jsonl").mkdir()
    assert find([tmp_path]) == [tmp_path / name for name in sorted(names)]


def test_files_are_taken_under_any_name_and_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "two.txt").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/one.jsonl").touch()
    found = find([str(tmp_path / "two.txt"), tmp_path / "in"])
    assert found == [tmp_path / "two.txt", tmp_path / "in/one.jsonl"]


def test_nothing_is_found_in_nothing() -> None:
    assert find([]) == []


def test_a_path_which_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        find([tmp_path / "gone"])
    assert str(caught.value) == f"{tmp_path / 'gone'}: no such file or folder; {FILE_FORM}"


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(RecordingError) as caught:
        find([tmp_path])
    assert str(caught.value) == f"{tmp_path}: no *.jsonl or *.jsonl.xz in this folder; {FILE_FORM}"


# ---------------------------------------------------------------- bytes


RUN = bytes(range(10, 100))  # 90 ascending bytes
WRAP = bytes([*range(200, 251), *range(60)])  # 111, through 250 to 0


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("", b""),
        ("00ff", b"\x00\xff"),
        ("ab" * 300, b"\xab" * 300),
        ({"len": 0, "seq": 9}, b""),
        ({"len": 90, "seq": 10}, RUN),
        ({"len": 111, "seq": 200}, WRAP),
        ({"len": 2, "seq": 251}, b"\x00\x01"),
        ({"len": 77, "fill": "ee"}, b"\xee" * 77),
        ({"len": 93, "parts": ["ffee", {"len": 90, "seq": 10}, "00"]}, b"\xff\xee" + RUN + b"\0"),
        ({"len": 3, "hex": "010000"}, b"\x01\x00\x00"),
    ],
)
def test_the_notation_stands_for_these_bytes(value: Data, data: bytes) -> None:
    assert expand(value) == data


def test_every_byte_of_a_long_sequence_is_its_first_plus_its_place_modulo_251() -> None:
    assert expand({"len": 300_000, "seq": 250}) == bytes((250 + i) % 251 for i in range(300_000))


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "xy",
        5,
        None,
        {},
        {"len": 0},
        {"len": 3},
        {"seq": 0},
        {"len": "3", "seq": 0},
        {"len": -1, "seq": 0},
        {"len": 1 << 32, "seq": 0},
        {"len": 3, "seq": "0"},
        {"len": 3, "fill": "e"},
        {"len": 3, "fill": "eeee"},
        {"len": 3, "parts": ["00", "01"]},
        {"len": 3, "parts": ["00", "01", "x"]},
        {"len": 3, "parts": [["00"]]},
        {"len": 3, "hex": "0001"},
    ],
)
def test_what_is_not_data_is_refused_with_the_notation(value: Any) -> None:
    with pytest.raises(ValueError, match="is not data") as caught:
        expand(value)
    assert str(caught.value) == (
        f'{json.dumps(value)} is not data; data is a hex string, {{"len": n, "seq": first}}, '
        '{"len": n, "fill": "ee"}, {"len": n, "parts": [data, ...]} or {"len": n, "hex": "..."}, '
        "and n is its length"
    )


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", ""),
        (RUN[:64], RUN[:64].hex()),
        (RUN[:65], {"len": 65, "seq": 10}),
        (WRAP, {"len": 111, "seq": 200}),
        (b"\xee" * 65, {"len": 65, "fill": "ee"}),
        (b"x" + RUN, {"len": 91, "parts": ["78", {"len": 90, "seq": 10}]}),
        (RUN + b"\n", {"len": 91, "parts": [{"len": 90, "seq": 10}, "0a"]}),
        (RUN + RUN, {"len": 180, "parts": [{"len": 90, "seq": 10}, {"len": 90, "seq": 10}]}),
        (RUN + RUN[:8], {"len": 98, "parts": [{"len": 90, "seq": 10}, {"len": 8, "seq": 10}]}),
        (RUN + RUN[:7], {"len": 97, "parts": [{"len": 90, "seq": 10}, "0a0b0c0d0e0f10"]}),
        # 251 to 255 are in no sequence, and none follows on 250 but 0.
        (bytes(range(170, 256)), {"len": 86, "parts": [{"len": 81, "seq": 170}, "fbfcfdfeff"]}),
        (b"\xff" + bytes(range(90)), {"len": 91, "parts": ["ff", {"len": 90, "seq": 0}]}),
        (b"\xff\x05" * 33, {"len": 66, "hex": "ff05" * 33}),
        (RUN[:7] * 10, {"len": 70, "hex": (RUN[:7] * 10).hex()}),
    ],
)
def test_bytes_are_abbreviated_as_the_recordings_do(data: bytes, value: Data) -> None:
    assert abbreviate(data) == value


PIECES = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda n, s: expand({"len": n, "seq": s}), st.integers(0, 600), st.integers(0, 250)),
    st.builds(lambda n, b: bytes([b]) * n, st.integers(0, 100), st.integers(0, 255)),
)


@given(st.lists(PIECES, max_size=8).map(b"".join))
def test_abbreviating_loses_nothing_and_has_one_form_for_the_same_bytes(data: bytes) -> None:
    value = abbreviate(data)
    assert expand(value) == data
    assert abbreviate(expand(value)) == value
    assert expand(json.loads(json.dumps(value))) == data
