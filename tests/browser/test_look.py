"""How it looks: at every width, in both themes, without motion, and large enough for a class."""

from __future__ import annotations

from typing import Any

import pytest

from kextlab.views.tokens import TOKENS
from tests.browser.conftest import Open
from tests.browser.documents import MACH, branched, document, refusals
from tests.browser.shown import Shown, expect

pytestmark = pytest.mark.slow
WIDTHS = (320, 390, 760, 1180)
STORIES = ("echo", "full", "twelve", "many", "panic", "empty", *MACH)

OVERFLOWING = """() => {
    const room = document.documentElement.clientWidth;
    const scope = document.querySelector("#scope").shadowRoot.querySelector(".scope");
    const found = [];
    const clipped = (node) => {
        for (let up = node.parentElement; up && up !== scope; up = up.parentElement)
            if (/clip|hidden/.test(getComputedStyle(up).overflowX)) return true;
        return false;
    };
    const wide = document.documentElement.scrollWidth;
    if (wide > room) found.push("the page is " + wide);
    for (const node of scope.querySelectorAll("*")) {
        if (node.closest(".sr, .live-region, [hidden], svg, dialog")) continue;
        const box = node.getBoundingClientRect();
        if (box.width && (box.right > room + 1 || box.left < -1) && !clipped(node)) {
            const [left, right] = [Math.round(box.left), Math.round(box.right)];
            found.push(`${node.className || node.tagName}: ${left} to ${right}`);
        }
    }
    return found;
}"""

# Texts of the drawing as oriented boxes, a little smaller than the type; two that share a place.
OVERLAPPING = """svg => {
    const boxes = [];
    for (const node of svg.querySelectorAll("text")) {
        if (!node.textContent.trim() || !node.getClientRects().length) continue;
        if (getComputedStyle(node).visibility === "hidden") continue;
        const box = node.getBBox(), matrix = node.getScreenCTM();
        const [dx, dy] = [Math.min(1, box.width / 4), box.height * 0.22];
        const corner = (x, y) => {
            const p = new DOMPoint(x, y).matrixTransform(matrix);
            return [p.x, p.y];
        };
        const [l, r] = [box.x + dx, box.x + box.width - dx];
        const [t, b] = [box.y + dy, box.y + box.height - dy];
        const at = [corner(l, t), corner(r, t), corner(r, b), corner(l, b)];
        boxes.push({words: node.textContent, at});
    }
    const apart = (a, b) => {
        for (const [p, q] of [[a, b], [b, a]]) {
            for (let i = 0; i < 4; i++) {
                const [x1, y1] = p[i], [x2, y2] = p[(i + 1) % 4];
                const [nx, ny] = [y2 - y1, x1 - x2];
                const side = (points) => points.map(([x, y]) => nx * x + ny * y);
                const [one, two] = [side(p), side(q)];
                if (Math.max(...one) <= Math.min(...two)) return true;
                if (Math.max(...two) <= Math.min(...one)) return true;
            }
        }
        return false;
    };
    const found = [];
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
        if (!apart(a.at, b.at)) found.push(`${a.words} / ${b.words}`);
    }));
    const frame = svg.getBoundingClientRect();
    for (const one of boxes) {
        const xs = one.at.map((p) => p[0]);
        const inside = Math.min(...xs) >= frame.left - 1 && Math.max(...xs) <= frame.right + 1;
        if (!inside) found.push(`${one.words} is cut off`);
    }
    return found;
}"""


def stops(doc: dict[str, Any]) -> list[int]:
    """A few steps to look at: the ends, the middle, a loss."""
    steps = [moment["step"] for moment in doc["moments"]]
    chosen = [steps[at] for at in (0, len(steps) // 2, -1)] if steps else []
    return chosen + [steps[at] for at in refusals(doc)[:2]]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", STORIES)
def test_nothing_overflows_and_no_two_texts_share_a_place(
    open_player: Open, name: str, width: int
) -> None:
    doc = document(name)
    shown = open_player(doc, size=(width, 800), still=True)
    for step in stops(doc) or [0]:
        if doc["moments"]:
            shown.go(step)
        assert shown.page.evaluate(OVERFLOWING) == [], step
        assert shown.svg.evaluate(OVERLAPPING) == [], step


@pytest.mark.parametrize("width", WIDTHS)
def test_two_stories_side_by_side_fit_too(open_player: Open, width: int) -> None:
    shown = open_player(branched(), size=(width, 800), still=True)
    shown.focus()
    shown.press("b", "Enter")
    expect(shown.root.locator(".side")).to_have_count(2)
    assert shown.page.evaluate(OVERFLOWING) == []
    for svg in shown.root.locator(".side svg[role=group]").all():
        assert svg.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_follows_the_system_s_theme(open_player: Open, dark: bool) -> None:
    shown = open_player(document("echo"), dark=dark)
    for token in ("paper", "ink", "user", "loss"):
        colour = shown.root.evaluate(
            "(node, name) => getComputedStyle(node).getPropertyValue(name)", f"--{token}"
        )
        assert colour.strip() == TOKENS[token][dark]


def test_a_chosen_theme_wins_over_the_system_s(open_player: Open) -> None:
    shown = open_player(document("echo"), dark=True)
    button = shown.root.locator("[data-act=theme]")
    button.click()
    expect(button).to_have_text("Theme: light")
    expect(shown.root).not_to_have_attribute("data-dark", "")
    button.click()
    expect(shown.root).to_have_attribute("data-dark", "")


# ---------------------------------------------------------------- motion


def arrival(doc: dict[str, Any]) -> int:
    """The moment before one in which a record is queued."""
    for at, patch in enumerate(doc["patches"]):
        if any(op[0].endswith("/rcv/q") and op[1:2] == ["+"] for op in patch):
            return at - 1
    raise AssertionError("nothing is ever queued")


def prepared(shown: Shown, doc: dict[str, Any]) -> None:
    """Before that moment; from now on the page notes the most things that moved at once."""
    shown.go(doc["moments"][arrival(doc)]["step"])
    shown.page.evaluate(
        """() => {
            const root = document.querySelector("#scope").shadowRoot;
            const look = () => {
                const moving = root.getAnimations().length;
                document.body.dataset.moving = moving;
                document.body.dataset.most = Math.max(document.body.dataset.most || 0, moving);
            };
            root.addEventListener("keydown", () => queueMicrotask(look));
            const every = () => { look(); requestAnimationFrame(every); };
            every();
        }"""
    )


def test_a_record_moves_into_its_queue_and_comes_to_rest(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    prepared(shown, doc)
    body = shown.page.locator("body")
    expect(body).to_have_attribute("data-most", "0")
    shown.press("ArrowRight")
    expect(body).not_to_have_attribute("data-most", "0")
    expect(body).to_have_attribute("data-moving", "0")


def test_with_reduced_motion_nothing_moves_and_the_change_is_outlined(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc, still=True)
    prepared(shown, doc)
    shown.press("ArrowRight")
    expect(shown.svg.locator(".changed")).to_have_count(1)
    shown.press("ArrowRight", "ArrowRight", "ArrowLeft")
    expect(shown.page.locator("body")).to_have_attribute("data-most", "0")


# ---------------------------------------------------------------- presenter


@pytest.mark.parametrize("name", ["full", "twelve", "local"])
def test_the_presenter_s_type_is_large_and_the_scene_fits_the_screen(
    open_player: Open, name: str
) -> None:
    shown = open_player(document(name), size=(1920, 1080), presenter=True)
    size = shown.root.locator(".sentence p").evaluate(
        "p => parseFloat(getComputedStyle(p).fontSize)"
    )
    assert size >= 28
    smallest = shown.svg.evaluate(
        """svg => Math.min(...[...svg.querySelectorAll("text")]
            .map(node => parseFloat(getComputedStyle(node).fontSize)))"""
    )
    assert smallest >= 18
    assert shown.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert shown.page.evaluate(OVERFLOWING) == []
    assert shown.svg.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize(("name", "size"), [("many", (1920, 1080)), ("both", (1280, 720))])
def test_the_presenter_s_numbers_stand_beside_the_steps(
    open_player: Open, name: str, size: tuple[int, int]
) -> None:
    shown = open_player(document(name), size=size, presenter=True, at=5)
    assert shown.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    last = shown.root.locator(".scrubber [data-mark]").last.bounding_box()
    assert last["x"] + last["width"] / 2 < shown.root.locator(".pos").bounding_box()["x"]


# ---------------------------------------------------------------- low windows


@pytest.mark.parametrize("height", [700, 800, 900, 1039, 1040, 1100, 1240])
def test_the_current_sentence_is_seen_in_every_window(open_player: Open, height: int) -> None:
    """Above the dock in the log, or, where that is below the edge, in the dock."""
    doc = document("full")
    shown = open_player(doc, size=(1280, height))
    prepared(shown, doc)
    words = shown.root.locator(".sentence p")
    here = words if words.is_visible() else shown.root.locator(".list .now p")
    assert here.inner_text() == shown.sentence.split(". ", 1)[1]
    box, dock = here.bounding_box(), shown.root.locator(".dock").bounding_box()
    assert box is not None
    assert dock is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= (height if words.is_visible() else dock["y"])


def test_a_scene_fits_a_laptop_s_window_and_grows_with_it(open_player: Open) -> None:
    shown = open_player(document("full"), size=(1280, 800))
    scene = shown.root.locator(".topology")

    def free() -> float:
        box, dock = scene.bounding_box(), shown.root.locator(".dock").bounding_box()
        assert box is not None
        assert dock is not None
        return float(dock["y"] - box["y"] - box["height"])

    assert free() >= 0
    small = scene.evaluate("node => node.offsetHeight")
    assert shown.svg.evaluate(OVERLAPPING) == []
    shown.page.set_viewport_size({"width": 1280, "height": 1300})
    expect(shown.root.locator(".dock .sentence")).to_have_count(0)
    assert scene.evaluate("node => node.offsetHeight") > small
