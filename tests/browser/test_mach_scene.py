"""Mach in the scene: a right moves across, a page appears in the second window."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.documents import MACH, document
from tests.browser.mounted import page_of, until
from tests.browser.shown import Shown, expect
from tests.browser.test_look import OVERFLOWING, OVERLAPPING

pytestmark = pytest.mark.slow
SIZES = [(400, 800), (760, 900), (1280, 800), (1440, 900)]

# Boxes of ports, sets, memory and processes that share a place, or stand outside.
CROWDED = """svg => {
    const frame = svg.getBoundingClientRect();
    const keys = ["port/", "set/", "obj/", "space/"].map((key) => `[data-key^="${key}"]`);
    const boxes = [...svg.querySelectorAll(keys.join())].map((node) => {
        const {left, right, top, bottom} = node.querySelector("rect").getBoundingClientRect();
        return {key: node.dataset.key, left, right, top, bottom};
    });
    const found = [];
    boxes.forEach((a, i) => {
        if (a.left < frame.left - 1 || a.right > frame.right + 1) found.push(`${a.key} outside`);
        for (const b of boxes.slice(i + 1))
            if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
                found.push(`${a.key} / ${b.key}`);
    });
    return found;
}"""

# Arrows and windows that touch the words at the boundary; null: there are no words.
CROSSED = """svg => {
    const texts = [...svg.querySelectorAll("text")];
    const words = texts.find((node) => node.textContent === "syscall boundary");
    if (!words) return null;
    const {left, right, top, bottom} = words.getBoundingClientRect();
    const found = [];
    for (const way of svg.querySelectorAll("[data-right], [data-ribbon]")) {
        const matrix = way.getScreenCTM();
        for (let at = 0; at < way.getTotalLength(); at += 2) {
            const p = way.getPointAtLength(at).matrixTransform(matrix);
            if (p.x > left && p.x < right && p.y > top && p.y < bottom) {
                found.push(way.dataset.right || way.dataset.ribbon);
                break;
            }
        }
    }
    return found;
}"""

# From now on the page notes how much moves, and the most that ever did.
MOVING = """() => {
    const root = document.querySelector("#scope").shadowRoot;
    const {dataset} = document.body;
    dataset.most = 0;
    const every = () => {
        dataset.moving = root.getAnimations().length;
        dataset.most = Math.max(dataset.most, dataset.moving);
        requestAnimationFrame(every);
    };
    root.addEventListener("keydown", () => queueMicrotask(() => {
        dataset.most = Math.max(dataset.most, root.getAnimations().length);
    }));
    every();
}"""


def step(doc: dict[str, Any], text: str) -> int:
    """The step of the first sentence that holds this text."""
    return int(next(one["step"] for one in doc["moments"] if text in one["text"]))


def words(shown: Shown, key: str) -> str:
    """What a part of the scene says of itself."""
    return shown.svg.locator(f'[data-key="{key}"]').first.get_attribute("aria-label") or ""


@pytest.fixture
def page(open_player: Open) -> tuple[dict[str, Any], Shown]:
    doc = document("page")
    return doc, open_player(doc, size=(1280, 800), still=True)


# ---------------------------------------------------------------- the story


def test_a_right_is_in_the_message_and_then_at_the_receiver(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    arrow = shown.svg.locator('[data-right="name/101/0x303"]')
    shown.go(step(doc, "Message 2 is queued"))
    expect(arrow).to_have_count(0)
    expect(shown.svg.get_by_role("option", name="id 2, 40 bytes, from server")).to_have_count(1)
    wire = shown.svg.get_by_text("a send right in a message, on its way")
    expect(wire).to_have_count(1)
    shown.press("ArrowRight", "ArrowRight")
    expect(arrow).to_have_count(1)
    expect(wire).to_have_count(0)
    assert words(shown, "name/101/0x303") == "name 0x303: SEND of memory entry 1, 1 reference"


def test_a_page_appears_in_the_second_window(page: tuple[dict[str, Any], Shown]) -> None:
    doc, shown = page
    windows = shown.svg.locator('[data-key^="win/"]')
    shown.go(step(doc, "client maps"))
    expect(windows).to_have_count(2)
    for label in windows.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))"):
        assert label == "window at 0x100000000: 16 KB, read and write, hello"
    shown.go(step(doc, "client stores 5 bytes at 0x100000000"))
    for label in windows.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))"):
        assert label.endswith("HELLO")
    assert words(shown, "obj/1") == "memory 1: 16 KB, 2 windows, 1 page"
    expect(shown.svg.locator("[data-ribbon]")).to_have_count(2)


def test_a_copy_gets_a_box_of_its_own_when_it_is_written(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    boxes = shown.svg.locator('[data-key^="obj/"]')
    at = step(doc, "its first write")
    shown.go(at)
    expect(boxes).to_have_count(2)
    shown.press("ArrowLeft")
    expect(boxes).to_have_count(1)
    expect(shown.svg.get_by_text("a private copy: it is made by the first write")).to_have_count(1)


def test_a_torn_write_and_a_touch_that_fails_are_marked(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    shown.go(step(doc, "has stored 8 bytes at 0x100000008"))
    expect(shown.svg.get_by_text("torn: 16 bytes of this write are still old")).to_have_count(1)
    shown.go(step(doc, "cannot write"))
    expect(shown.svg.locator(".f-loss").get_by_text("cannot write 0x100040000")).to_have_count(1)
    shown.press("ArrowRight", "ArrowRight", "ArrowRight")
    expect(shown.svg.get_by_text(re.compile("cannot write"))).to_have_count(0)


def test_a_full_queue_and_a_receive_right_on_its_way(open_player: Open) -> None:
    doc = document("busy")
    shown = open_player(doc, size=(1280, 800), still=True)
    shown.go(step(doc, "MACH_SEND_TIMED_OUT"))
    said = "5 messages queued of at most 5, full, 24 bytes refused with MACH_SEND_TIMED_OUT"
    assert said in words(shown, "port/2")
    expect(shown.svg.locator('[data-key^="msg/2/"]')).to_have_count(5)
    shown.press("End")
    assert "right in a message" in words(shown, "port/2")


def test_a_machine_without_mach_shows_nothing_of_it(open_player: Open) -> None:
    shown = open_player(document("echo"), still=True)
    for key in ("space/", "port/", "obj/", "name/"):
        expect(shown.svg.locator(f'[data-key^="{key}"]')).to_have_count(0)


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("name", MACH)
def test_no_two_boxes_share_a_place(open_player: Open, name: str, size: tuple[int, int]) -> None:
    doc = document(name)
    shown = open_player(doc, size=size, still=True, dark=size[0] == 760)
    steps = [one["step"] for one in doc["moments"]]
    for at in (steps[len(steps) // 3], steps[2 * len(steps) // 3], steps[-1]):
        shown.go(at)
        assert shown.svg.evaluate(CROWDED) == [], at
        assert shown.svg.evaluate(OVERLAPPING) == [], at


@pytest.mark.parametrize("name", ["page", "both", "crowd"])
def test_nothing_crosses_the_words_at_the_boundary(open_player: Open, name: str) -> None:
    doc = document(name)
    shown = open_player(doc, size=(1440, 900), still=True)
    steps = [one["step"] for one in doc["moments"]]
    for at in (steps[len(steps) // 3], steps[2 * len(steps) // 3], steps[-1]):
        shown.go(at)
        assert shown.svg.evaluate(CROSSED) == [], at


@pytest.mark.parametrize("name", ["page", "both"])
def test_the_presenter_s_screen_holds_it(open_player: Open, name: str) -> None:
    shown = open_player(document(name), size=(1920, 1080), presenter=True, still=True)
    assert shown.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert shown.page.evaluate(OVERFLOWING) == []
    assert shown.svg.evaluate(OVERLAPPING) == []
    assert shown.svg.evaluate(CROWDED) == []


def test_what_stands_somewhere_stays_there_while_one_steps(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    places: dict[str, float] = {}
    for moment in doc["moments"][::3]:
        shown.go(moment["step"])
        found: dict[str, float] = shown.svg.evaluate(
            """svg => Object.fromEntries([...svg.querySelectorAll("[data-key]")].map((node) =>
                [node.dataset.key, node.querySelector("rect").getBoundingClientRect().left]))"""
        )
        for key, left in found.items():
            assert abs(places.setdefault(key, left) - left) < 1, key


# ---------------------------------------------------------------- choosing


def test_what_is_clicked_is_told_of_in_the_inspector(page: tuple[dict[str, Any], Shown]) -> None:
    doc, shown = page
    title = shown.root.locator(".inspector h2")
    shown.go(step(doc, "Message 2 is queued"))
    for key, said in (
        ("port/4", "Port 4"),
        ("name/100/0x203", "Name 0x203"),
        ("msg/4/2", "Message 2, id 2"),
        ("obj/1", "Memory 1"),
        ("win/1", "Window at 0x100000000"),
        ("port/1", "Memory entry 1, port 1"),
    ):
        shown.svg.locator(f'[data-key="{key}"] rect').first.click(position={"x": 4, "y": 3})
        expect(title).to_contain_text(said)
    shown.press("Escape")
    expect(title).to_contain_text("Step")


def test_the_keyboard_reaches_names_messages_and_memory(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    shown.go(step(doc, "Message 2 is queued"))
    shown.svg.locator('[data-key="space/100"]').focus()
    shown.press("ArrowDown", "ArrowDown")
    assert shown.active().startswith("name 0x203: RECEIVE of port 3")
    shown.press("Enter")
    expect(shown.root.locator(".inspector h2")).to_contain_text("Name 0x203")
    shown.svg.locator('[data-key="port/4"]').focus()
    shown.press("ArrowDown", "Enter")
    expect(shown.root.locator(".inspector")).to_contain_text("SEND to memory entry 1")


def test_shift_arrows_go_along_what_happened_to_a_port(
    page: tuple[dict[str, Any], Shown],
) -> None:
    doc, shown = page
    shown.go(step(doc, "Message 2 is queued"))
    shown.svg.locator('[data-key="port/4"]').focus()
    shown.press("Enter", "Shift+ArrowRight")
    shown.at(step(doc, "client calls mach_msg to receive at port:4"))


def test_what_is_gone_is_said_to_be_gone(page: tuple[dict[str, Any], Shown]) -> None:
    doc, shown = page
    shown.go(step(doc, "client maps"))
    shown.svg.locator('[data-key="name/101/0x303"] rect').first.click()
    shown.press("End")
    expect(shown.root.locator(".inspector")).to_contain_text("it is not there")


# ---------------------------------------------------------------- motion


def test_a_message_moves_into_its_queue_and_a_right_is_drawn(open_player: Open) -> None:
    doc = document("page")
    shown = open_player(doc, size=(1280, 800))
    body = shown.page.locator("body")
    for text in ("Message 2 is queued", "client calls mach_msg to receive"):
        shown.go(step(doc, text))
        shown.press("ArrowLeft")
        shown.page.evaluate(MOVING)
        shown.page.wait_for_timeout(300)  # whoever steps on at once sees no motion
        shown.press("ArrowRight")
        expect(body).not_to_have_attribute("data-most", "0")
        expect(body).to_have_attribute("data-moving", "0")


def test_without_motion_the_change_is_outlined(page: tuple[dict[str, Any], Shown]) -> None:
    doc, shown = page
    shown.go(step(doc, "client calls mach_msg to receive"))
    shown.press("ArrowLeft", "ArrowRight")
    expect(shown.svg.locator('.changed[data-key^="name/101/"]')).to_have_count(1)


# ---------------------------------------------------------------- growing


def test_a_scene_that_grows_is_the_one_that_came_whole(open_page: Callable[..., Any]) -> None:
    doc = document("page")
    half = len(doc["moments"]) // 2
    short = {
        **doc,
        "moments": doc["moments"][:half],
        "patches": doc["patches"][:half],
        "keyframes": [one for one in doc["keyframes"] if one[0] <= half],
        "steps": doc["moments"][half - 1]["step"],
    }
    page = open_page(viewport={"width": 1180, "height": 900})
    drawn = "() => { window.scope.app.goto(1e9); return window.scope.app.topology.svg.innerHTML; }"
    page.set_content(page_of(short, {}))
    until(page, "Boolean(window.scope)")
    more = {
        "from": half,
        "moments": doc["moments"][half:],
        "patches": doc["patches"][half:],
        "steps": doc["steps"],
        **{key: [] for key in ("lifelines", "sources", "datas", "keyframes")},
    }
    page.evaluate("more => window.scope.append(more)", more)
    grown = page.evaluate(drawn)
    page.set_content(page_of(doc, {}))
    until(page, "Boolean(window.scope)")
    strip = re.compile(r"\bk\d+(?=ground|loss|panic|stream)")
    assert strip.sub("k", grown) == strip.sub("k", page.evaluate(drawn))
    assert 'data-key="obj/3"' in grown
