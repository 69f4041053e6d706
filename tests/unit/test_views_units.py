"""The picture of processes, controls and units: well formed, to scale, readable in words."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.views import units_picture
from kextlab.views.picture import Picture
from kextlab.views.tokens import TOKENS
from tests.unit.views_machines import Forgetful, Stream, client, echoing, panicked, send

SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {colour for pair in TOKENS.values() for colour in pair}


def empty() -> Kernel:
    return Kernel()


def two_clients() -> Kernel:
    mac, _ = echoing(64, 640, 2048)
    send(client(mac, "client2"), (2048, 2048, 1536, 2048, 2048))
    return mac


def many_records() -> Kernel:
    return echoing(*[7] * 200)[0]


def twenty_records() -> Kernel:
    return echoing(*[300] * 20)[0]


def full() -> Kernel:
    return echoing(*[2048] * 4, 1)[0]


def thirty_clients() -> Kernel:
    mac, _ = echoing()
    for number in range(30):
        send(client(mac, f"c{number}"), (2048,) * (number % 6))
    return mac


def two_controls() -> Kernel:
    mac, _ = echoing(10)
    mac.load(Stream)
    s = client(mac, control="org.kextlab.stream")
    stream = mac.kexts()[1]
    assert isinstance(stream, Stream)
    stream.kpi.ctl_enqueuedata(stream.ref.value, 1, bytes(1300), 1300, 0)
    assert s.fileno() == 3
    return mac


def two_sockets_in_one_process() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    module = mac.spawn("client").socket
    for _ in range(2):
        s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
        s.connect("org.kextlab.echo")
        mac.snapshot()
        kept.append(s)
    return mac


kept: list[Any] = []  # sockets that must not be closed by the garbage collector


def huge_and_tiny() -> Kernel:
    mac = Kernel()
    mac.load(lambda: Stream("org.kextlab.huge", 0, 100_000))
    mac.load(lambda: Stream("org.kextlab.tiny", 0, 64))
    kept.extend(client(mac, control=name) for name in ("org.kextlab.huge", "org.kextlab.tiny"))
    return mac


def not_connected() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    kept.append(client(mac, control=None))
    mac.spawn("idle")
    return mac


def code_gone() -> Kernel:
    mac = Kernel()
    mac.unload(mac.load(Forgetful))
    return mac


def event_socket() -> Kernel:
    mac = Kernel()
    module = mac.spawn("watcher").socket
    kept.append(module.socket(module.PF_SYSTEM, module.SOCK_RAW, 1))
    return mac


MACHINES = [
    empty,
    two_clients,
    many_records,
    twenty_records,
    full,
    thirty_clients,
    two_controls,
    two_sockets_in_one_process,
    huge_and_tiny,
    not_connected,
    code_gone,
    event_socket,
    panicked,
]


@pytest.fixture(params=MACHINES, ids=lambda machine: machine.__name__)
def picture(request: pytest.FixtureRequest) -> Picture:
    mac: Kernel = request.param()
    return units_picture(mac.trace, notes=True)


def texts(picture: Picture) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")
    ]


def titles(picture: Picture) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(picture.svg).iter(f"{SVG}title")
    ]


# ---------------------------------------------------------------- every picture


def test_it_is_well_formed_with_title_and_description(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    named = {element.get("id"): element.text for element in root.iter()}
    title, words = str(root.get("aria-labelledby")).split()
    assert named[title] == picture.title
    assert named[words] == picture.text


def test_it_uses_colours_of_the_table_only(picture: Picture) -> None:
    assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) <= COLOURS


def test_text_has_a_colour_that_is_readable_as_text(picture: Picture) -> None:
    allowed = {f"kf-{name}" for name in ("ink", "ink2", "user", "kern", "loss")}
    root = ElementTree.fromstring(picture.svg)
    assert {element.get("class") for element in root.iter(f"{SVG}text")} <= allowed


def test_every_reference_leads_to_a_shape_of_its_own(picture: Picture) -> None:
    used = set(re.findall(r"url\(#([^)]+)\)", picture.svg))
    assert used <= picture.ids()
    assert len(picture.ids()) == len(re.findall(r' id="', picture.svg))


def test_nothing_is_drawn_outside(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    _, _, width, height = (float(value) for value in str(root.get("viewBox")).split())
    for element in root.iter(f"{SVG}rect"):
        if element.get("width") == "6" or element.get("width") == "4":
            continue  # a pattern
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        assert x >= 0
        assert x + float(element.get("width", 0)) <= width
        assert y + float(element.get("height", 0)) <= height
        assert float(element.get("height", 0)) >= 0


def test_it_says_the_same_in_words(picture: Picture) -> None:
    assert repr(picture) == f"{picture.title}\n{picture.text}"
    assert all(line.endswith(".") for line in picture.text.splitlines())


def test_it_is_the_same_in_another_process_with_another_hash_seed() -> None:
    probe = (
        "from tests.unit.views_machines import echoing; from kextlab.views import units_picture; \
print(units_picture(echoing(1, 2048, 7)[0].trace).svg)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", probe],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert runs.pop().startswith("<svg")


# ---------------------------------------------------------------- what it shows


def test_a_chip_is_as_high_as_its_bytes() -> None:
    mac, _ = echoing(1024, 2048)
    root = ElementTree.fromstring(units_picture(mac.trace).svg)
    chips = [
        g for g in root.iter(f"{SVG}g") if (g.findtext(f"{SVG}title") or "").startswith("datagram")
    ]
    heights = [float(chip.find(f"{SVG}rect").get("height", 0)) for chip in chips]  # type: ignore[union-attr]
    assert heights == [1024 / 32 - 1.5, 2048 / 32 - 1.5]


def test_the_numbers_stand_beside_the_chips() -> None:
    picture = units_picture(two_clients().trace)
    assert {"64", "640", "2,048", "1,536", "2,752", "7,680", "5,440 free", "512 free"} <= set(
        texts(picture)
    )


def test_a_refusal_is_drawn_until_the_queue_changes() -> None:
    mac, s = echoing(*[2048] * 4, 1)
    assert "refused: 1 bytes, ENOBUFS" in titles(units_picture(mac.trace))
    assert "refused 1 byte (ENOBUFS)" in units_picture(mac.trace).text
    s.recv(4096)
    assert "ENOBUFS" not in units_picture(mac.trace).svg


def test_a_snapshot_knows_nothing_of_refusals() -> None:
    mac = full()
    assert "ENOBUFS" in units_picture(mac.trace).svg
    assert "ENOBUFS" not in units_picture(mac.snapshot()).svg


def test_an_earlier_step_can_be_drawn() -> None:
    mac = two_clients()
    first = units_picture(mac.trace, step=30).text
    assert "client2" not in first
    with pytest.raises(IndexError):
        units_picture(mac.trace, step=len(mac.trace) + 1)


def test_units_and_descriptors_of_one_process_stand_side_by_side() -> None:
    picture = units_picture(two_sockets_in_one_process().trace)
    assert {"fd 3", "fd 4", "unit 1", "unit 2"} <= set(texts(picture))
    assert texts(picture).count("client") == 1


def test_more_clients_than_lanes_are_summed_up() -> None:
    picture = units_picture(thirty_clients().trace)
    assert "26 more sockets" in texts(picture)
    assert "26 units" in texts(picture)
    assert "31 clients, units 1 to 31" in picture.text


def test_the_lanes_kept_are_those_that_lost_something() -> None:
    shown = texts(units_picture(thirty_clients().trace))
    assert shown.count("ENOBUFS") == 5


def test_a_very_large_buffer_changes_the_scale_of_all_and_a_tiny_one_its_own() -> None:
    shown = texts(units_picture(huge_and_tiny().trace))
    assert "98,304" in shown
    assert any(words.startswith("scale") for words in shown)


def test_a_control_whose_code_is_gone_says_so() -> None:
    picture = units_picture(code_gone().trace)
    assert "its code is gone" in texts(picture)
    assert "no longer in memory, but its control is still registered" in picture.text


def test_a_panic_stands_across_the_line() -> None:
    picture = units_picture(panicked().trace)
    assert "panic: kernel page fault" in texts(picture)
    assert "The kernel has panicked: kernel page fault." in picture.text


def test_an_unconnected_socket_has_no_pipe() -> None:
    picture = units_picture(not_connected().trace)
    assert "not connected" in texts(picture)
    assert "↑ rcv" not in texts(picture)
    assert "idle (pid 101, uid 501) holds no sockets." in picture.text


def test_a_stream_is_one_bar() -> None:
    picture = units_picture(two_controls().trace)
    assert "stream: 1,300 bytes, read from the top" in titles(picture)


def test_many_records_are_one_bar() -> None:
    picture = units_picture(many_records().trace)
    assert "200 datagrams" in texts(picture)


def test_labels_that_do_not_fit_are_counted() -> None:
    assert "and 4 more" in texts(units_picture(twenty_records().trace))


def test_dark_colours_come_by_class_and_light_ones_stand_as_literals() -> None:
    svg = units_picture(two_clients().trace).svg
    assert "@media (prefers-color-scheme:dark)" in svg
    assert "var(--" not in svg
    assert f'class="kf-ink" fill="{TOKENS["ink"][0]}"' in svg


def test_jupyter_gets_the_picture_and_its_words() -> None:
    picture = units_picture(two_clients().trace)
    shown = picture._repr_html_()
    assert picture._repr_svg_() in shown
    assert "<summary>In words</summary>" in shown
