"""The space-time diagram: arrows between lifelines, refusals that bounce, the future paler."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from kextlab import Kernel
from kextlab.views import log, scene_document, space_time
from kextlab.views.picture import Picture
from kextlab.views.tokens import TOKENS
from tests.unit import mach_machines
from tests.unit import scene_machines as machines
from tests.unit.views_machines import echoing

SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {colour for pair in TOKENS.values() for colour in pair}


def crowd() -> Kernel:
    return machines.many(12, 2000)


MACH = [
    mach_machines.memory,
    mach_machines.brokered,
    mach_machines.throttled,
    mach_machines.sensor,
]
MACHINES = [machines.echo, machines.full, machines.panic, machines.empty, crowd, *MACH]


@pytest.fixture(params=MACHINES, ids=lambda machine: machine.__name__)
def picture(request: pytest.FixtureRequest) -> Picture:
    return space_time(request.param())


def texts(picture: Picture) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]


def test_it_is_well_formed_with_title_and_description(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    named = {element.get("id"): element.text for element in root.iter()}
    title, words = str(root.get("aria-labelledby")).split()
    assert (root.get("role"), named[title], named[words]) == ("img", picture.title, picture.text)


def test_it_uses_colours_of_the_table_only(picture: Picture) -> None:
    assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) <= COLOURS


def test_text_is_readable_on_its_ground(picture: Picture) -> None:
    allowed = {f"kf-{t}" for t in ("ink", "ink2", "ink3", "user", "kern", "data", "loss", "paper")}
    root = ElementTree.fromstring(picture.svg)
    assert {element.get("class") for element in root.iter(f"{SVG}text")} <= allowed


def test_nothing_is_drawn_outside(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    _, _, width, height = (float(value) for value in str(root.get("viewBox")).split())
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x", 0)) <= width
        assert 0 <= float(element.get("y", 0)) <= height


def test_labels_and_sentences_stand_in_it() -> None:
    mac, _ = echoing(128)
    shown = texts(space_time(mac))
    assert {"send 128", "ctl_send", "send() unit 1", "ctl_enqueuedata 128", "= 128"} <= set(shown)
    assert "send returns 128 to client." in shown


def test_the_step_asked_for_stands_in_the_middle_and_is_told_whole() -> None:
    mac = machines.full()
    (refusal,) = [line for line in log(mac) if "only 1,024" in line.text and "1,440" in line.text]
    picture = space_time(mac, refusal.step)
    assert f"Here: Step {refusal.step}: {refusal.text}" in picture.text
    shown = texts(picture)
    assert {"ENOBUFS (55)", "● recorded", "flow-one-too-many"} <= set(shown)


def test_the_future_is_paler() -> None:
    mac = machines.full()
    assert 'class="kf-ink3"' not in space_time(mac).svg
    assert 'class="kf-ink3"' in space_time(mac, 300).svg


def test_processes_beyond_six_share_a_line() -> None:
    mac = Kernel()
    for number in range(9):
        module = mac.spawn(f"p{number}").socket
        machines.kept.append(module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, 2))
    picture = space_time(mac, before=40)
    assert "3 others" in texts(picture)


def test_a_lost_event_says_lost_and_an_errno_does_not() -> None:
    mac = machines.full()
    (lost,) = [line for line in log(mac) if "is lost" in line.text]
    assert "lost" in texts(space_time(mac, lost.step))


def test_a_document_gives_the_same_picture_as_its_machine() -> None:
    mac = machines.echo()
    assert space_time(scene_document(mac)).svg == space_time(mac).svg


def test_an_empty_trace_draws_an_empty_kernel() -> None:
    picture = space_time(Kernel())
    assert "Nothing has happened yet" in picture.text
    assert "kern_control" in texts(picture)


def test_a_step_outside_is_told_the_range() -> None:
    mac, _ = echoing()
    with pytest.raises(
        IndexError, match=rf"^step 999 is outside this trace: 0 to {len(mac.trace)}$"
    ):
        space_time(mac, 999)


@pytest.mark.parametrize("doc", [{"format": "kextlab-scene/2"}, {"kernel": {}}])
def test_another_version_is_refused_in_one_line(doc: dict[str, Any]) -> None:
    said = rf"^scene of format {doc.get('format')}; this kextlab reads kextlab-scene/1$"
    with pytest.raises(ValueError, match=said):
        space_time(doc)


# ---------------------------------------------------------------- Mach, launchd, drivers


def around(mac: Kernel, text: str) -> Picture:
    """The diagram at the last sentence with ``text``."""
    step = [line.step for line in log(mac) if text in line.text][-1]
    return space_time(mac, step, before=16)


@pytest.mark.parametrize("machine", MACH, ids=lambda machine: machine.__name__)
def test_no_label_of_mach_is_cut(machine: Any) -> None:
    mac = machine()
    for line in log(mac):
        assert not [text for text in texts(space_time(mac, line.step)) if "\u2026" in text]


def test_a_message_goes_from_its_sender_to_the_port_and_on_to_its_receiver() -> None:
    shown = texts(around(mach_machines.memory(), "client receives message 2"))
    for words in ("Mach ports", "launchd", "look up", "check in", "port:3 1 of 5"):
        assert words in shown, shown
    for words in ("send 2, 40 B, +memory entry", "message 2, 40 B, +memory entry", "port:4"):
        assert words in shown, shown
    assert "kern_control" not in shown


def test_an_arrow_of_mach_reaches_from_lifeline_to_lifeline() -> None:
    moments = scene_document(mach_machines.brokered())["moments"]
    ways = {(m["from"], m["to"], m.get("label", "").partition(",")[0]) for m in moments}
    for way in (
        ("proc:101", "mach", "send 1"),
        ("mach", "mach", "port:3 1 of 5"),
        ("mach", "proc:100", "wakes"),
        ("proc:100", "proc:103", "starts"),
        ("proc:103", "proc:100", "check in"),
        ("mach", "proc:103", "message 1"),
        ("mach", "proc:101", "message 101"),
    ):
        assert way in ways, sorted(ways)


def test_processes_of_one_name_are_told_apart() -> None:
    shown = texts(space_time(mach_machines.brokered()))
    assert {"client 101", "client 102"} <= set(shown)


def test_a_fault_is_a_refusal_of_the_kernel() -> None:
    mac = mach_machines.memory()
    (moment,) = [m for m in scene_document(mac)["moments"] if m.get("errno") == "SIGSEGV"]
    assert (moment["kind"], moment["from"], moment["to"]) == ("refusal", "proc:101", "kernel")
    assert "\u2715 SIGSEGV" in texts(around(mac, "SIGSEGV"))


def test_a_notification_of_the_kernel_is_marked_and_a_job_is_throttled() -> None:
    mac = mach_machines.throttled()
    shown = texts(around(mac, "has ended"))
    assert {"notice: no-senders", "notice: port-destroyed", "ends"} <= set(shown)
    shown = texts(around(mac, "may not start again"))
    for words in ("crash ended", "crash throttled"):
        assert words in shown


def test_a_driver_has_a_line_and_a_lost_record_is_a_refusal_nobody_is_told_of() -> None:
    mac = mach_machines.sensor()
    shown = texts(around(mac, "does not fit the data queue"))
    assert {"SensorDriver", "enqueue 8", "lost", "port:4 1 of 1"} <= set(shown)
    assert "externalMethod()" in texts(around(mac, "io_connect_method returns kIO"))
