"""Exports: the player needs nobody, Mermaid cannot be broken by names, PNG needs no browser."""

import base64
import gzip
import json
import re
import struct
import sys

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.views import (
    log,
    mermaid,
    player,
    png,
    queue_figure,
    scene_document,
    space_time,
    units_picture,
)
from kextlab.views.player import packed, still_picture
from tests.unit import mach_machines
from tests.unit import scene_machines as machines
from tests.unit.views_machines import client, echoing

# ---------------------------------------------------------------- the player


def test_the_page_asks_for_nothing() -> None:
    page = player(scene_document(machines.echo()))
    assert not re.findall(r'(?:src|href|action)="(?!data:|#)[^"]*"', page)
    assert not re.findall(r"@import|url\((?!#)", page.partition("<script")[0])
    assert "default-src 'none'" in page


def test_the_page_carries_the_document_and_opens_where_it_is_told() -> None:
    doc = scene_document(machines.echo(), title="two clients")
    page = player(doc, presenter=True, at=100)
    found = re.search(r'unpack\("([A-Za-z0-9+/=]+)"\)', page)
    assert found is not None
    assert json.loads(gzip.decompress(base64.b64decode(found[1]))) == doc
    assert '{"live": false, "options": {"presenter": true, "at": 100}}' in page
    assert "<title>two clients</title>" in page


def test_without_javascript_there_are_pictures_and_sentences() -> None:
    mac = machines.echo()
    plain = player(scene_document(mac)).partition("<noscript>")[2].partition("</noscript>")[0]
    assert plain.count("<svg") == 2
    assert "The kernel refused 2,048 bytes" in plain
    assert plain.count("<tr>") == len(log(mac)) + 1


def test_the_still_picture_of_a_document_is_that_of_its_machine() -> None:
    for machine in (machines.echo, machines.full, machines.panic, machines.empty):
        mac = machine()
        assert still_picture(scene_document(mac)).svg == units_picture(mac).svg


def test_a_document_can_be_drawn_at_any_step() -> None:
    mac = machines.full()
    doc = scene_document(mac)
    for step in [line.step for line in log(mac)][20::17]:
        end = next((line.step for line in log(mac) if line.step > step), len(mac.trace))
        assert units_picture(doc, step).svg == units_picture(mac, end).svg


def test_the_same_document_gives_the_same_page() -> None:
    doc = scene_document(machines.echo())
    assert player(doc) == player(doc)
    assert packed(doc) == packed(json.loads(json.dumps(doc)))


def test_a_title_cannot_break_the_page() -> None:
    page = player(scene_document(Kernel(), title="</title><script>alert(1)</script>"))
    assert "<script>alert" not in page


@pytest.mark.parametrize("doc", [{"format": "kextlab-scene/7"}, {}])
def test_another_version_is_refused_in_one_line(doc: dict[str, str]) -> None:
    said = rf"^scene of format {doc.get('format')}; this kextlab reads kextlab-scene/1$"
    for export in (player, mermaid, still_picture):
        with pytest.raises(ValueError, match=said):
            export(doc)


def test_what_is_no_document_or_no_step_is_told() -> None:
    with pytest.raises(TypeError, match="a scene document is a dict, not 7"):
        player(7)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="step 9 is outside this trace: 0 to 5"):
        player(scene_document(Kernel()), at=9)


# ---------------------------------------------------------------- Mermaid

ROW = re.compile(
    r"    (?:p\d+(?:->>|-->>|-x|--x)p\d+: [^;#]*(?:#\w+;[^;#]*)*"
    r"|Note over p\d+(?:,p\d+)?: [^;]*(?:#\w+;[^;]*)*"
    r"|box transparent [\w ]+|participant p\d+ as [^;]*(?:#\w+;[^;]*)*|end)"
)


DRAWN = [machines.echo, machines.full, machines.panic, machines.empty]
DRAWN += [mach_machines.brokered, mach_machines.throttled, mach_machines.sensor]


@pytest.mark.parametrize("machine", DRAWN)
def test_every_line_is_of_mermaids_grammar(machine: object) -> None:
    first, *rows = mermaid(machine()).splitlines()  # type: ignore[operator]
    assert first == "sequenceDiagram"
    for row in rows:
        assert ROW.fullmatch(row), row


def test_names_cannot_break_it() -> None:
    class Odd(EchoKext):
        bundle_id = 'org.x; y: "#1" <b>'
        control_name = "org.x; end"

    mac = Kernel()
    mac.load(Odd)
    machines.kept.append(client(mac, 'end; a->>b: "x"', None))
    text = mermaid(mac)
    assert "as end#59; a-#gt;#gt;b: #quot;x#quot;" in text
    assert all(ROW.fullmatch(row) for row in text.splitlines()[1:])


def test_a_refusal_ends_in_a_cross() -> None:
    text = mermaid(machines.echo(), 150)
    assert "-xp" in text
    assert ": ENOBUFS" in text
    assert "✕ The kernel refused 2,048 bytes" in text


def test_a_part_of_the_story_can_be_told() -> None:
    mac, _ = echoing(5)
    assert "socket (socreate)" not in mermaid(mac, 50)
    assert "send 5" not in mermaid(mac, 0, 40)
    with pytest.raises(IndexError, match=r"step 999 is outside this trace: 0 to \d+"):
        mermaid(mac, 999)


# ---------------------------------------------------------------- PNG


def test_a_picture_becomes_a_png_of_twice_its_size() -> None:
    mac, _ = echoing(5, 2048)
    for picture in (units_picture(mac), space_time(mac), queue_figure(mac, 1)):
        data = png(picture)
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture.svg)
        assert found is not None
        assert abs(width - 2 * float(found[1])) <= 1
        assert abs(height - 2 * float(found[2])) <= 2


def test_without_resvg_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ImportError, match=r"needs resvg-py, which is not installed: pip install"):
        png(units_picture(Kernel()))


def test_png_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"png\(\) takes a picture"):
        png("<svg/>")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale 0: expected above 0 and at most 8"):
        png(units_picture(Kernel()), scale=0)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    import subprocess

    probe = "import sys, kextlab.views; print({'resvg_py', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
