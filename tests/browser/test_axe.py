"""axe-core finds no violation, in both themes, in every state a reader can bring it to."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.documents import branched, document, refusals
from tests.browser.shown import Shown, expect

pytestmark = pytest.mark.slow
themes = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


def violations(shown: Shown, where: str = "#scope") -> list[str]:
    """What axe-core has to say against what is inside ``where``: rule, and the first elements."""
    page = shown.page
    if not page.evaluate("'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "async (where) => (await axe.run(where, {resultTypes: ['violations']})).violations", where
    )
    return [
        f"{one['id']}: {one['help']}: " + "; ".join(node["html"][:160] for node in one["nodes"][:4])
        for one in found
    ]


@themes
@pytest.mark.parametrize(
    "name", ["full", "many", "panic", "empty", "page", "busy", "both", "local", "jobs"]
)
def test_a_story_at_its_end(open_player: Open, name: str, dark: bool) -> None:
    shown = open_player(document(name), dark=dark, still=True)
    assert violations(shown) == []


@themes
def test_the_whole_page_and_a_loss_that_is_chosen(open_player: Open, dark: bool) -> None:
    doc = document("full")
    loss = next(at for at in refusals(doc) if doc["moments"][at].get("errno") == "ENOBUFS")
    shown = open_player(doc, dark=dark, still=True, at=doc["moments"][loss]["step"])
    shown.svg.locator(".mark rect").first.click(position={"x": 4, "y": 4})
    shown.svg.locator(".chip").first.focus()
    shown.press("Enter")
    assert violations(shown, "html") == []


@themes
@pytest.mark.parametrize("key", ["?", "g", "e"])
def test_a_dialog(open_player: Open, key: str, dark: bool) -> None:
    shown = open_player(document("echo"), dark=dark, still=True)
    shown.focus()
    shown.press(key)
    expect(shown.dialog).to_be_visible()
    assert violations(shown) == []


@themes
def test_two_stories_side_by_side(open_player: Open, dark: bool) -> None:
    shown = open_player(branched(), dark=dark, still=True)
    shown.focus()
    shown.press("b")
    assert violations(shown) == []
    shown.press("Enter")
    expect(shown.root.locator(".side")).to_have_count(2)
    assert violations(shown) == []


@themes
@pytest.mark.parametrize("size", [(320, 700), (760, 900)], ids=["320", "760"])
def test_narrow_pages(open_player: Open, size: tuple[int, int], dark: bool) -> None:
    shown = open_player(document("full"), dark=dark, still=True, size=size)
    assert violations(shown) == []


@themes
def test_the_presenter(open_player: Open, dark: bool) -> None:
    shown = open_player(document("full"), dark=dark, still=True, size=(1920, 1080), presenter=True)
    assert violations(shown) == []
