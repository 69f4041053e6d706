"""Scope looks as it looked when somebody last looked at it (how to renew: ``references``)."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from benchmarks.browser import has_fonts
from tests.browser.conftest import DEMAND, Open
from tests.browser.documents import branched, document, refusals
from tests.browser.references import FOLDER, WRITE, compare, difference
from tests.browser.shown import expect

pytestmark = pytest.mark.slow
pictures = pytest.mark.skipif(
    not has_fonts() and not os.environ.get(DEMAND),
    reason="the references are drawn with Liberation (Debian: apt-get install fonts-liberation)",
)
themes = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


TALL = (1180, 1500)  # nothing lies under the bar that sticks to the lower edge


def named(*parts: str, dark: bool = False) -> str:
    return "-".join([*parts, "dark" if dark else "light"])


@pictures
@themes
def test_a_full_buffer_and_the_record_it_refused(
    open_player: Open, dark: bool, tmp_path: Path
) -> None:
    doc = document("full")
    loss = next(at for at in refusals(doc) if doc["moments"][at].get("errno") == "ENOBUFS")
    step = doc["moments"][loss]["step"]
    shown = open_player(doc, size=TALL, dark=dark, still=True, at=step)
    for part in ("topology", "rows", "queues", "scrubber"):
        compare(shown.root.locator(f".{part}"), named(part, dark=dark), tmp_path)


@pictures
@themes
def test_a_record_that_is_chosen_and_its_bytes(
    open_player: Open, dark: bool, tmp_path: Path
) -> None:
    shown = open_player(document("echo"), size=TALL, dark=dark, still=True)
    shown.svg.locator(".lane", has=shown.page.locator(".chip")).first.focus()
    shown.press("ArrowDown", "Enter")
    expect(shown.svg.locator('.chip[aria-selected="true"]')).to_have_count(1)
    shown.root.evaluate("scope => scope.getRootNode().activeElement.blur()")
    compare(shown.root.locator(".inspector"), named("inspector", dark=dark), tmp_path)


@pictures
@pytest.mark.parametrize("name", ["twelve", "many", "panic", "empty"])
def test_other_scenes(open_player: Open, name: str, tmp_path: Path) -> None:
    shown = open_player(document(name), size=TALL, still=True)
    compare(shown.scene, named("scene", name), tmp_path)


@pictures
def test_two_stories_side_by_side(open_player: Open, tmp_path: Path) -> None:
    """At the refusal in the one, the other has ended without."""
    doc = branched()
    shown = open_player(doc, size=TALL, still=True)
    shown.focus()
    shown.press("b", "Enter")
    expect(shown.root.locator(".side")).to_have_count(2)
    shown.focus()
    shown.press("[")
    shown.go(doc["moments"][refusals(doc)[0]]["step"])
    compare(shown.root.locator(".scene"), named("branch"), tmp_path)


@pictures
def test_a_narrow_page(open_player: Open, tmp_path: Path) -> None:
    shown = open_player(document("full"), size=(390, 1500), still=True)
    compare(shown.root.locator(".scene"), named("narrow"), tmp_path)


@pictures
def test_the_presenter(open_player: Open, tmp_path: Path) -> None:
    shown = open_player(document("full"), size=(1280, 720), still=True, presenter=True)
    compare(shown.root, named("presenter"), tmp_path)


# ---------------------------------------------------------------- the comparison itself


def png(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (100, 100)) -> bytes:
    from PIL import Image

    picture = Image.new("RGB", size, "white")
    for box in boxes:
        picture.paste((0, 0, 0), box)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def test_the_same_picture_does_not_differ() -> None:
    assert difference(png((10, 10, 20, 20)), png((10, 10, 20, 20)))[0] == 0


def test_what_differs_is_counted() -> None:
    assert difference(png((10, 10, 20, 20)), png())[0] == 0.01


def test_pictures_of_different_sizes_differ_altogether() -> None:
    assert difference(png(), png(size=(101, 100)))[0] == 1


def test_no_reference_is_left_over_and_all_are_small() -> None:
    files = sorted(FOLDER.glob("*.png"))
    if not WRITE:
        assert len(files) == 17
    assert sum(file.stat().st_size for file in files) < 1_000_000
