"""The inspector: fields with their bytes, mbufs with their storage, and what it cannot show."""

import re
from xml.etree import ElementTree

import pytest

from kextlab.abi import CtlInfo, SockaddrCtl
from kextlab.abi.structs import CtlEventData, KernEventMsg, KevRequest, KevVendorCode
from kextlab.views import inspect, log
from kextlab.views.fields import STRUCTS, parts_of
from kextlab.views.picture import Picture
from kextlab.views.tokens import TOKENS
from tests.unit import scene_machines as machines
from tests.unit.views_machines import echoing

SVG = "{http://www.w3.org/2000/svg}"
MADE = {
    "sockaddr_ctl": SockaddrCtl(sc_id=1, sc_unit=3),
    "ctl_info": CtlInfo(1, b"org.kextlab.echo"),
    "ctl_event_data": CtlEventData(2, 0),
    "kern_event_msg": KernEventMsg(1, 3, 2, 4, 1, CtlEventData(2, 0).pack()),
    "kev_request": KevRequest(1, 3, 2),
    "kev_vendor_code": KevVendorCode(1000, b"org.kextlab"),
}


def texts(picture: Picture) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_is_shown_with_every_field(name: str) -> None:
    struct = MADE[name]
    picture = inspect(struct)
    assert picture.svg == inspect(struct.pack(), name).svg  # type: ignore[attr-defined]
    assert {field.name for field in STRUCTS[name].LAYOUT} <= set(texts(picture))


@pytest.mark.parametrize("name", STRUCTS)
def test_fields_cover_every_byte_once(name: str) -> None:
    data = MADE[name].pack()  # type: ignore[attr-defined]
    parts = parts_of(data, name)
    covered = [at for part in parts for at in range(part.start, part.start + part.size)]
    assert covered == list(range(len(data)))


def test_a_field_and_its_bytes_light_up_together() -> None:
    svg = inspect(MADE["sockaddr_ctl"]).svg
    root = ElementTree.fromstring(svg)
    for at in range(6):
        assert len([e for e in root.iter(f"{SVG}g") if e.get("class") == f"f{at}"]) == 2
    assert re.search(r":has\(\.f4:hover\) \.f4 \.b\{fill:#f8e4f4", svg)


def test_a_field_that_is_asked_for_is_marked() -> None:
    svg = inspect(MADE["sockaddr_ctl"], field="sc_unit").svg
    assert 'class="b kf-sel-bg ks-sel"' in svg
    assert "kf-sel-bg" not in inspect(MADE["sockaddr_ctl"]).svg.partition("</style>")[2].partition(
        "<g id"
    )[2].replace("<style>", "")


def test_values_say_what_they_mean() -> None:
    shown = inspect(MADE["kern_event_msg"]).text
    for words in (
        "1 KEV_VENDOR_APPLE",
        "2 KEV_CTL_SUBCLASS",
        "1 KEV_CTL_REGISTERED",
        "ctl_id, u32",
    ):
        assert words in shown
    assert "0 any free unit" in inspect(SockaddrCtl(sc_id=1)).text


def test_it_uses_colours_of_the_table_only() -> None:
    colours = {colour for pair in TOKENS.values() for colour in pair}
    assert set(re.findall(r"#[0-9a-f]{6}\b", inspect(MADE["ctl_info"]).svg)) <= colours


def test_a_queued_record_is_a_chain_of_mbufs() -> None:
    mac, _ = echoing(200)
    picture = inspect(mac, socket=1)
    assert picture.title == "A record is a chain of mbufs"
    assert "Record 1 of 1 in the receive queue of socket 1." in picture.text
    assert picture.text.count("bytes in use") == 2
    assert "M_PKTHDR" in picture.text


def test_long_data_are_cut_and_say_so() -> None:
    assert "1,744 more bytes" in texts(inspect(bytes(2000)))


def test_what_a_call_carries_is_shown_at_its_step() -> None:
    mac = machines.full()
    (line,) = [line for line in log(mac) if line.text.startswith("recv returns event 3")]
    picture = inspect(mac, step=line.step)
    assert picture.title == "struct kern_event_msg"
    assert line.text in picture.text


def test_data_of_no_struct_are_bytes() -> None:
    assert "data, bytes at byte 0: 5 bytes." in inspect(b"hello").text
    assert inspect(b"").text == "Bytes, 0 bytes, little endian."


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((b"x", "sockaddr_in"), ValueError, "no struct 'sockaddr_in' is known; there are sockadd"),
        ((b"x", "ctl_info"), ValueError, "ctl_info from 1 bytes: needs 100"),
        ((None,), TypeError, r"inspect\(\) takes mac.trace or the mac itself, not None"),
    ],
)
def test_bad_input_is_told_in_one_line(
    arguments: tuple[object, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        inspect(*arguments)  # type: ignore[arg-type]


def test_what_is_not_there_is_told_with_what_is() -> None:
    mac, _ = echoing(5)
    with pytest.raises(ValueError, match="there is no socket 9; there are: 1"):
        inspect(mac, socket=9)
    with pytest.raises(IndexError, match="record 3 is outside the queue, which holds 1"):
        inspect(mac, socket=1, record=3)
    with pytest.raises(IndexError, match=r"step 999 is outside this trace: 0 to \d+"):
        inspect(mac, step=999)
    with pytest.raises(ValueError, match="takes step=, or socket="):
        inspect(mac)
    with pytest.raises(ValueError, match="nothing is carried at step 6: The kernel runs echo's"):
        inspect(mac, step=6)
    with pytest.raises(ValueError, match="there is no field 'sc_x'; there are sc_len"):
        inspect(SockaddrCtl(), field="sc_x")
