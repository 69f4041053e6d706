"""Mach and memory in scene documents, sentences and still pictures."""

from __future__ import annotations

from base64 import b64decode
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from kextlab import Kernel
from kextlab.kexts.sensor import SensorDriver, kSensorOpen, kSensorRead
from kextlab.userland.mach_error import MachError
from kextlab.views import log, scene_document, units_picture
from kextlab.views.mach_scene import glimpse, mach_in_state, rights, sized
from kextlab.views.mirror_mach import rights_in
from kextlab.views.mirror_memory import LINE
from kextlab.views.patches import after
from kextlab.views.tokens import TOKENS
from tests.unit import scene_mach_machines as machines
from tests.unit.views_machines import echoing

SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {colour for pair in TOKENS.values() for colour in pair}
NAMES = ("page", "busy", "both", "crowd")


@pytest.fixture(params=NAMES)
def mac(request: pytest.FixtureRequest) -> Kernel:
    machine: Kernel = getattr(machines, request.param)()
    return machine


def moment(doc: dict[str, Any], text: str) -> int:
    return next(at for at, one in enumerate(doc["moments"]) if text in one["text"])


# ---------------------------------------------------------------- documents


def test_a_machine_without_mach_has_no_word_of_it() -> None:
    doc = scene_document(echoing(5)[0])
    assert not {"mach", "mem"} & set(after(doc, len(doc["moments"]) - 1))
    assert mach_in_state(echoing(5)[0].snapshot()) is None


def test_a_right_travels_in_a_message_and_arrives() -> None:
    doc = scene_document(machines.page())
    sent, got = moment(doc, "Message 2 is queued"), moment(doc, "client calls mach_msg to receive")
    (entry,) = after(doc, sent)["mem"]["entries"].values()
    assert entry["object"] == "1"
    port = str(entry["port"])
    ((queue, item),) = [
        (n, one["q"][0]) for n, one in after(doc, sent)["mach"]["ports"].items() if one["q"]
    ]
    assert item[1:] == [40, -1, sent, 2, 100, None, [[int(port), "SEND"]]]
    before = after(doc, sent)["mach"]["names"]["101"]
    now = after(doc, got)["mach"]["names"]["101"]
    assert after(doc, got)["mach"]["ports"][queue]["q"] == []
    ((_, fresh),) = [(name, one) for name, one in now.items() if name not in before]
    assert fresh == {"type": ["SEND"], "refs": 1, "to": f"port/{port}"}


def test_a_service_is_known_by_its_name() -> None:
    state = after(scene_document(machines.page()), -1 + len(log(machines.page())))
    services = [one["service"] for one in state["mach"]["ports"].values() if one["service"]]
    assert services == [machines.SERVICE]


def test_a_store_in_one_window_is_seen_in_the_other() -> None:
    doc = scene_document(machines.page())
    at = moment(doc, "client stores 5 bytes at 0x100000000")
    state = after(doc, at)
    shown = [w for w in state["mem"]["windows"].values() if w["object"] == "1"]
    assert {w["pid"] for w in shown} == {100, 101}
    offset, line, when = state["mem"]["objects"]["1"]["pages"]["0"]
    assert (offset, when) == (0, at)
    assert state["mem"]["touch"] == [101, "write", 0x1_0000_0000, 5, 0, at]
    assert line != after(doc, at - 1)["mem"]["objects"]["1"]["pages"]["0"][1]


def test_a_copy_is_made_by_the_first_write() -> None:
    doc = scene_document(machines.page())
    at = moment(doc, "its first write")
    before, now = (after(doc, n)["mem"] for n in (at - 1, at))
    (key,) = [n for n, w in before["windows"].items() if w["copied"]]
    assert not before["objects"][before["windows"][key]["object"]]["pages"]
    assert now["objects"][now["windows"][key]["object"]]["pages"]
    assert now["objects"]["1"]["pages"] == before["objects"]["1"]["pages"]


def test_a_message_that_a_full_queue_sends_back_is_marked_until_the_queue_changes() -> None:
    doc = scene_document(machines.busy())
    at = moment(doc, "MACH_SEND_TIMED_OUT")
    port = after(doc, at)["mach"]["ports"]["2"]
    assert port["mark"] == [24, "MACH_SEND_TIMED_OUT", at]
    assert after(doc, at - 1)["mach"]["ports"]["2"]["mark"] is None
    mac = Kernel()
    m = mac.spawn("app").mach
    name = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(name, name, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_port_set_attributes(name, 1)
    message = m.Message(m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0), name)
    timed = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
    m.mach_msg(message, timed, timeout=0)
    with pytest.raises(MachError, match="TIMED_OUT"):
        m.mach_msg(message, timed, timeout=0)
    m.mach_msg(None, m.MACH_RCV_MSG, 4096, name)
    doc = scene_document(mac)
    marks = [op[1] for patch in doc["patches"] for op in patch if op[0] == "mach/ports/1/mark"]
    assert [mark and mark[1] for mark in marks] == ["MACH_SEND_TIMED_OUT", None]


# ---------------------------------------------------------------- sentences


def test_touches_of_memory_are_told() -> None:
    told = [line.text for line in log(machines.page())]
    for text in (
        "server stores 5 bytes at 0x100000000.",
        "client stores 5 bytes at 0x100000000; server at 0x100000000 sees it, and no call was "
        "made.",
        "client stores 5 bytes at 0x100004000: its first write, so it gets a copy of the page.",
        "server has stored 8 bytes at 0x100000000; 24 bytes of the same value are still the old "
        "ones.",
        "client cannot write at 0x100040000: nothing is mapped there.",
    ):
        assert text in told


def test_a_protected_page_says_so_and_many_windows_are_counted() -> None:
    mac = Kernel()
    apps = [mac.spawn(f"app{at}") for at in range(6)]
    m = apps[0].mach
    address = m.mach_vm_allocate(machines.PAGE)
    _, entry = m.mach_make_memory_entry_64(machines.PAGE, address, m.VM_PROT_DEFAULT)
    for at, app in enumerate(apps[1:]):
        machines.mapped(app, machines.given(apps[0], app, entry, f"org.kextlab.{at}"))
    m.store(address, b"x")
    m.mach_vm_protect(address, machines.PAGE, False, m.VM_PROT_READ)
    with pytest.raises(m.VmFault):
        m.store(address, b"y")
    told = [line.text for line in log(mac)]
    assert told[-2] == "app0 cannot write at 0x100000000: the page is protected."
    (seen,) = [text for text in told if "stores 1 byte" in text]
    assert "app3 at 0x100000000 and 2 other windows see it" in seen


def test_a_page_beyond_a_smaller_window_is_seen_by_nobody() -> None:
    mac = Kernel()
    one, two = mac.spawn("one"), mac.spawn("two")
    m = one.mach
    size = 2 * machines.PAGE
    address = m.mach_vm_allocate(size)
    m.store(address, b"a")
    _, entry = m.mach_make_memory_entry_64(size, address, m.VM_PROT_DEFAULT)
    machines.mapped(two, machines.given(one, two, entry))
    m.store(address + machines.PAGE, b"b")
    assert [line.text for line in log(mac)][-1] == "one stores 1 byte at 0x100004000."


# ---------------------------------------------------------------- still pictures


def test_the_picture_is_well_formed_and_uses_the_table_of_colours(mac: Kernel) -> None:
    for source in (scene_document(mac), mac, mac.snapshot()):
        picture = units_picture(source)
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == f"{SVG}svg"
        for node in root.iter():
            for name in ("fill", "stroke"):
                colour = node.get(name, "none")
                assert colour in COLOURS or colour == "none" or colour.startswith("url(#")


def test_nothing_stands_outside_the_picture(mac: Kernel) -> None:
    root = ElementTree.fromstring(units_picture(scene_document(mac)).svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for node in root.iter(f"{SVG}rect"):
        if node.get("x") is None:
            continue
        assert 0 <= float(node.get("x", "")) <= width
        assert float(node.get("x", "")) + float(node.get("width", "")) <= width + 1
        assert float(node.get("y", "")) <= height


def test_boxes_of_ports_and_memory_do_not_overlap() -> None:
    figure = units_picture(scene_document(machines.crowd())).svg
    root = ElementTree.fromstring(figure)
    boxes = sorted(
        (float(node.get("x", "")), float(node.get("width", "")))
        for node in root.iter(f"{SVG}rect")
        if node.get("rx") == "4" and float(node.get("y", "")) > 200
    )
    assert len(boxes) == 6 + 3 + 1
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(boxes))
    words = " ".join(node.text or "" for node in root.iter(f"{SVG}text"))
    assert "+8 ports" in words
    assert "+3 memory" in words
    assert "+2 processes" in words


def test_it_says_in_words_what_it_draws() -> None:
    doc = scene_document(machines.page())
    step = doc["moments"][moment(doc, "Message 2 is queued")]["step"]
    picture = units_picture(doc, step)
    assert picture.title == "Processes, ports and memory"
    for line in (
        "server has the names 0x103 (SEND of memory entry 1) and 0x203 (RECEIVE of port 3).",
        "Memory entry 1 stands for 16 KB of memory.",
        "Port 4: client receives; 1 message of at most 5 queued: id 2 of 40 bytes with 1 right.",
        "Memory 1 has 16 KB and is seen by server at 0x100000000; in its page: hello.",
    ):
        assert line in picture.text.splitlines()


def test_a_dead_name_a_port_set_and_a_full_queue_are_said() -> None:
    doc = scene_document(machines.busy())
    step = doc["moments"][moment(doc, "MACH_SEND_TIMED_OUT")]["step"]
    text = units_picture(doc, step).text
    assert "Port set 1 has port 2." in text
    assert "5 messages of at most 5 queued: id 1 of 24 bytes" in text
    state = doc["moments"][-1]["step"]
    assert "its receive right is in a message" in units_picture(doc, state).text


def test_a_dead_name_is_crossed_out() -> None:
    mac = Kernel()
    one, two = mac.spawn("one"), mac.spawn("two")
    port = one.mach.bootstrap_check_in("org.kextlab.short")
    name = two.mach.bootstrap_look_up("org.kextlab.short")
    other = one.mach.mach_port_allocate(one.mach.MACH_PORT_RIGHT_DEAD_NAME)
    picture = units_picture(mac)
    assert f"{other:#x} (a dead name)" in picture.text
    assert (port, name) == (0x103, 0x103)
    assert ">dead</text>" in picture.svg


def test_pages_are_shown_as_what_they_are() -> None:
    assert glimpse(bytes(32)) == "zeros"
    assert glimpse(b"hello\0\0") == "hello"
    assert glimpse(b"\1\0\2") == "01 00 02"
    assert glimpse(bytes(5) + b"\7" * 9) == "… 07 07 07 07 07 07 …"
    assert (sized(16384), sized(100), rights(5)) == ("16 KB", "100 B", "r-x")


# ---------------------------------------------------------------- corners


def test_every_kind_of_descriptor_is_read() -> None:
    assert rights_in(("port", 18, "port:3")) == [[3, "SEND_ONCE"]]
    assert rights_in(("ports", 16, ("port:1", None))) == [[1, "RECEIVE"], [0, "RECEIVE"]]
    assert rights_in(("memory", 100, 1, "vm_map_copy:1")) == [[0, "MEMORY"]]
    with pytest.raises(ValueError, match="must be of ports or memory"):
        rights_in(("a", "b", "c"))


def test_a_queue_of_a_driver_is_a_window_on_what_was_put_into_it() -> None:
    mac = Kernel()
    driver = mac.iokit.add_driver(SensorDriver)
    io = mac.spawn("reader", uid=501).iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    connection = io.IOServiceOpen(service, io.mach_task_self(), kSensorRead)
    io.IOConnectCallMethod(connection, kSensorOpen)
    queue = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())
    driver.read(0x5EA)
    doc = scene_document(mac)
    state = after(doc, len(doc["moments"]) - 1)["mem"]
    assert state["windows"]["io1"]["start"] == queue.address
    assert state["windows"]["io1"]["object"] == "io1"
    assert state["objects"]["io1"]["pages"].keys() == {"0"}
    at, line, _ = state["objects"]["io1"]["pages"]["0"]
    assert b64decode(doc["datas"][line]) == queue.read(at, LINE)  # the tail was moved last
    io.IODataQueueDequeue(queue, 64)
    doc = scene_document(mac)
    touch = next(m for m in doc["moments"] if "reader stores 4 bytes at" in m["text"])
    assert f"stores 4 bytes at {queue.address + 4:#x}" in touch["text"]  # the head
    assert "a kernel object" in units_picture(doc).svg
    assert (
        f"is seen by reader at {queue.address:#x}; in its page: 3c 00 00 00 0c"
        in units_picture(doc).text
    )


def test_a_driver_that_goes_in_its_own_callback_is_gone_from_the_scene() -> None:
    mac = Kernel()
    driver = mac.iokit.add_driver(SensorDriver)
    app = mac.spawn("app")
    io = app.iokit
    service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
    io.IOServiceOpen(service, io.mach_task_self(), kSensorRead)
    mac.iokit.terminate(driver)
    app.kill()
    doc = scene_document(mac)
    states = [after(doc, at)["kexts"] for at in range(len(doc["moments"]))]
    assert ["SensorDriver" in kexts for kexts in (states[0], states[-1])] == [True, False]


def test_what_is_more_than_fits_in_a_queue_and_a_process_is_counted() -> None:
    mac = Kernel()
    app = mac.spawn("app")
    m = app.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_port_set_attributes(port, 9)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    for at in range(8):
        m.mach_msg(m.Message(bits, port, 0, at), m.MACH_SEND_MSG)
        m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    picture = units_picture(mac)
    words = [node.text for node in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]
    assert "8 of 9" in words
    assert words.count("+4") == 1  # messages
    assert words.count("+3") == 2  # names, ports
    assert "and 3 more." in picture.text


def test_a_panic_stands_over_ports_too() -> None:
    mac = machines.page()
    state = mac.snapshot()
    state["kernel"]["panic"] = "it hurts"
    assert "panic: it hurts" in units_picture(state).svg


def test_many_pages_of_an_object_are_counted() -> None:
    mac = Kernel()
    m = mac.spawn("app").mach
    address = m.mach_vm_allocate(4 * machines.PAGE)
    for at in range(4):
        m.store(address + at * machines.PAGE, b"x")
    assert ">and 2 more</text>" in units_picture(mac).svg
