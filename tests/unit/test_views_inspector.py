"""The inspector: fields with their bytes, mbufs with their storage, and what it cannot show."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi import CtlInfo, SockaddrCtl
from kextlab.abi.mach_messages import MachMsgHeader
from kextlab.abi.structs import CtlEventData, KernEventMsg, KevRequest, KevVendorCode
from kextlab.userland.mach import Message
from kextlab.views import inspect, log, scene_document
from kextlab.views.fields import STRUCTS, parts_of
from kextlab.views.picture import Picture
from kextlab.views.tokens import TOKENS
from tests.unit import mach_machines
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


# ---------------------------------------------------------------- Mach messages, ports, queues


def at(mac: Kernel, text: str) -> int:
    """The step of the first sentence with ``text``."""
    return next(line.step for line in log(mac) if text in line.text)


def test_a_received_message_is_shown_to_its_trailer_with_names_as_what_they_are() -> None:
    mac = mach_machines.memory()
    picture = inspect(mac, step=at(mac, "client receives message 2"))
    assert picture.title == "A Mach message"
    for line in (
        "msgh_bits, u32 at byte 0: 0x80001200 none, local PORT_SEND_ONCE, COMPLEX.",
        "msgh_size, u32 at byte 4: 40.",
        "msgh_remote_port, u32 at byte 8: MACH_PORT_NULL.",
        "msgh_local_port, u32 at byte 12: 0x203 = the receive right of port:4.",
        "msgh_id, i32 at byte 20: 2.",
        "msgh_descriptor_count, u32 at byte 24: 1.",
        "name, u32 at byte 28: 0x303 = a send right to a memory entry of 16,384 bytes.",
        "disposition, u8 at byte 38: 17 PORT_SEND.",
        "type, u8 at byte 39: 0 a port.",
        "msgh_trailer_size, u32 at byte 44: 8.",
        "Receive right: client, pid 101.",
        "mps_seqno: 1.",
    ):
        assert line in picture.text, picture.text


def test_the_trailer_shows_who_sent_it() -> None:
    mac = mach_machines.brokered()
    shown = inspect(mac, step=at(mac, "org.kextlab.broker receives message 1")).text
    for line in (
        "msgh_seqno, u32 at byte 32: 0.",
        "sender uid, u32 at byte 36: 501.",
        "effective gid, u32 at byte 52: 20.",
        "pid, u32 at byte 64: 101.",
        "audit session, u32 at byte 68: 100,000.",
        "pid version, u32 at byte 72: 2.",
    ):
        assert line in shown, shown


def test_a_message_can_be_shown_before_it_is_sent() -> None:
    message = Message(0x13, 0x103, msgh_id=-7, body=b"ping")
    shown = inspect(message).text
    assert "msgh_bits, u32 at byte 0: 0x13 COPY_SEND." in shown
    assert "msgh_remote_port, u32 at byte 8: 0x103." in shown
    assert "msgh_id, i32 at byte 20: -7." in shown
    assert "body, bytes at byte 24: 4 bytes." in shown
    assert inspect(message.pack(), "mach_msg").svg == inspect(message).svg


COMPLEX = 0x80000013
OUT_OF_LINE = (0x1000).to_bytes(8, "little") + bytes((1, 1, 0, 1)) + (4096).to_bytes(4, "little")
PORTS = (0x2000).to_bytes(8, "little") + bytes((0, 0, 19, 2)) + (3).to_bytes(4, "little")


def message(*descriptors: bytes, count: int | None = None, behind: bytes = b"") -> bytes:
    number = len(descriptors) if count is None else count
    body = number.to_bytes(4, "little") + b"".join(descriptors)
    return MachMsgHeader(COMPLEX, 24 + len(body)).pack() + body + behind


def test_descriptors_out_of_line_have_their_own_fields() -> None:
    parts = parts_of(message(OUT_OF_LINE, PORTS), "mach_msg")
    values = {part.name: (part.start, part.value) for part in parts}
    assert values["[0].address"] == (28, "0x1000")
    assert values["[0].copy"] == (37, "1 MACH_MSG_VIRTUAL_COPY")
    assert values["[0].type"] == (39, "1 memory out of line")
    assert values["[0].size"] == (40, "4096")
    assert values["[1].disposition"] == (54, "19 COPY_SEND")
    assert values["[1].type"] == (55, "2 ports out of line")
    assert values["[1].count"] == (56, "3")


@pytest.mark.parametrize(
    "data",
    [
        message(OUT_OF_LINE, PORTS, behind=bytes(8)),
        message(OUT_OF_LINE, count=2),  # one is cut off
        message(OUT_OF_LINE[:14]),
        message(bytes(11) + b"\x09"),  # of no known type
        message(bytes(12), behind=bytes(60)),  # more than any trailer
        MachMsgHeader(COMPLEX, 24).pack(),  # without a number of descriptors
        MachMsgHeader(0, 10).pack() + b"xyz",
        Message(0, 0xFFFFFFFF, 0, 72, b"abc").pack(),
    ],
)
def test_fields_of_any_message_cover_every_byte_once(data: bytes) -> None:
    parts = parts_of(data, "mach_msg")
    covered = [at for part in parts for at in range(part.start, part.start + part.size)]
    assert covered == list(range(len(data)))


@given(st.binary(min_size=24, max_size=120))
def test_no_bytes_are_too_strange_to_be_shown(data: bytes) -> None:
    parts = parts_of(data, "mach_msg")
    assert sum(part.size for part in parts) == len(data)


def test_the_status_of_a_port_is_shown_as_of_a_step() -> None:
    mac = mach_machines.memory()
    step = at(mac, "mach_msg returns to client; the message is on its way")
    assert "mps_msgcount, u32 at byte 16: 1." in inspect(mac, port=3, step=step).text
    now = inspect(mac, port=3)
    assert now.title == "struct mach_port_status_t"
    assert "mps_msgcount, u32 at byte 16: 0." in now.text
    assert "mps_pdrequest, u32 at byte 28: 1." in now.text
    with pytest.raises(ValueError, match="there is no port:99; there are: port:1, port:2"):
        inspect(mac, port=99)


def test_a_call_of_memory_shows_the_map_around_its_address() -> None:
    mac = Kernel()
    m = mac.spawn("client").mach
    for _ in range(4):
        address = m.mach_vm_allocate(0x4000)
        m.mach_vm_protect(address, 0x4000, False, len(mac.trace) % 2)
    _, entry = m.mach_make_memory_entry_64(0x4000, address, 0)
    m.mach_vm_map(0, 0x4000, 0, 1, entry, 0, True, 0, 0, 2)
    shown = inspect(mac, step=at(mac, "mach_make_memory_entry_64 returns")).text
    assert "(here)" in shown
    assert shown.startswith("mach_make_memory_entry_64 returns to client")
    assert "copied on write" in inspect(mac, step=len(mac.trace) - 1).text


def test_a_call_of_iokit_shows_its_data_queue() -> None:
    mac = mach_machines.sensor()
    step = at(mac, "reader calls method 99")
    said = "Data queue 1: queueSize 60, head 12, tail 60, enqueued 5, dropped 1."
    assert said in inspect(mac, step=step).text
    head = inspect(mac, queue=1, step=step)
    assert head.title == "struct IODataQueueMemory"
    assert f"The head of data queue 1 after {step} steps." in head.text
    assert "tail, u32 at byte 8: 60." in head.text
    with pytest.raises(ValueError, match="there is no io_queue:1; there are: none"):
        inspect(mac, queue=1)


def test_a_scene_document_has_the_same_fields_and_what_a_call_is_about() -> None:
    moments = scene_document(mach_machines.memory())["moments"]
    (got,) = [one for one in moments if one["text"].startswith("client receives message 2")]
    assert got["struct"] == "mach_msg"
    assert ["name", 28, 4, "u32", "0x303 = a send right to a memory entry of 16,384 bytes"] in got[
        "fields"
    ]
    assert ["mps_seqno", "1"] in got["about"]


def test_bytes_behind_a_table_are_a_field_of_their_own() -> None:
    assert "behind it, bytes at byte 12: 1 byte." in inspect(bytes(13), "IODataQueueMemory").text
    with pytest.raises(ValueError, match="mach_msg from 3 bytes: needs 24"):
        inspect(b"abc", "mach_msg")
