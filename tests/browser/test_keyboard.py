"""Everything can be done with the keyboard, and nothing is done to the page around."""

from __future__ import annotations

import pytest

from kextlab.views import player
from tests.browser.conftest import Open
from tests.browser.documents import branched, document, refusals
from tests.browser.shown import Shown, expect

VALUE = "aria-valuenow"


@pytest.fixture
def full(open_player: Open) -> Shown:
    """The rich story, at its end, with the keyboard."""
    shown = open_player(document("full"))
    shown.focus()
    return shown


def moments() -> int:
    return len(document("full")["moments"])


def test_arrows_step_and_home_and_end_go_to_the_ends(full: Shown) -> None:
    last = moments() - 1
    for key, moment in (
        ("ArrowLeft", last - 1), ("ArrowLeft", last - 2), ("ArrowRight", last - 1), ("Home", 0),
        ("ArrowLeft", 0), ("ArrowRight", 1), ("End", last), ("ArrowRight", last),
    ):  # fmt: skip
        full.press(key)
        expect(full.scrubber).to_have_attribute(VALUE, str(moment))


def test_shift_arrows_go_along_the_chosen_queue(full: Shown) -> None:
    """Every stop is a moment at which that queue changed."""
    doc = document("full")
    number, _ = next(iter(full.queues().items()))
    full.svg.locator(f'[data-key="sock/{number}"]').first.focus()
    full.press("Enter")
    stops = []
    for _ in range(4):
        before = full.scrubber.get_attribute(VALUE)
        full.press("Shift+ArrowLeft")
        expect(full.scrubber).not_to_have_attribute(VALUE, str(before))
        stops.append(int(full.scrubber.get_attribute(VALUE) or -1))
    assert stops == sorted(stops, reverse=True)
    for stop in stops:
        assert any(op[0].startswith(f"socks/{number}") for op in doc["patches"][stop]), stop


def test_space_plays_and_space_pauses(full: Shown) -> None:
    full.press("Home")
    full.page.clock.install(time=0)
    full.page.clock.pause_at(1_000)
    full.press("Space")
    full.page.clock.run_for(510)
    expect(full.scrubber).to_have_attribute(VALUE, "2")
    full.press("Space")
    full.page.clock.run_for(5_000)
    expect(full.scrubber).to_have_attribute(VALUE, "2")


def test_up_and_down_change_the_speed(full: Shown) -> None:
    speed = full.root.locator(".speed")
    expect(speed).to_have_text("4 events/s")
    full.press("ArrowUp")
    expect(speed).to_have_text("8 events/s")
    full.press("ArrowDown", "ArrowDown", "ArrowDown")
    expect(speed).to_have_text("1 event/s")


def test_n_goes_to_the_next_loss_and_shift_n_to_the_one_before(full: Shown) -> None:
    first, second = refusals(document("full"))[:2]
    full.press("Home")
    for key, moment in (("n", first), ("n", second), ("Shift+N", first)):
        full.press(key)
        expect(full.scrubber).to_have_attribute(VALUE, str(moment))
    full.press("Shift+N")
    expect(full.notice).to_have_text("There is no earlier refusal or loss.")


def test_g_goes_to_a_number_and_escape_leaves_everything_as_it_was(full: Shown) -> None:
    doc = document("full")
    full.press("g")
    expect(full.dialog.locator("input")).to_be_focused()
    full.press("Escape")
    expect(full.dialog).to_have_count(0)
    full.at(doc["moments"][-1]["step"])
    step = doc["moments"][20]["step"]
    full.press("g")
    full.page.keyboard.type(str(step))
    full.press("Enter")
    full.at(step)


def test_the_keys_work_again_after_a_dialog(full: Shown) -> None:
    full.press("?", "Escape")
    expect(full.dialog).to_have_count(0)
    full.press("Home")
    expect(full.scrubber).to_have_attribute(VALUE, "0")


def test_the_sheet_of_keys_opens_with_a_question_mark_and_closes_with_escape(full: Shown) -> None:
    full.press("?")
    expect(full.dialog).to_be_visible()
    for words in ("step, step back", "play, pause", "go to a step", "branch here"):
        expect(full.dialog).to_contain_text(words)
    full.press("Escape")
    expect(full.dialog).to_have_count(0)


def test_b_opens_the_branches_and_a_branch_is_chosen_with_enter(open_player: Open) -> None:
    shown = open_player(branched())
    shown.focus()
    shown.press("b")
    expect(shown.dialog.get_by_role("button", name="client2 stays silent")).to_be_focused()
    shown.press("Enter")
    expect(shown.root.locator(".side")).to_have_count(2)


def test_brackets_turn_to_the_other_branch(open_player: Open) -> None:
    shown = open_player(branched())
    shown.focus()
    original = shown.root.locator(".branches").get_by_role("button", name="Original")
    expect(original).to_have_attribute("aria-pressed", "true")
    shown.press("]")
    expect(original).to_have_attribute("aria-pressed", "false")
    shown.press("[")
    expect(original).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("key", "part"), [("i", ".inspector"), ("l", ".list .words")])
def test_a_part_is_switched_off_and_on(full: Shown, key: str, part: str) -> None:
    expect(full.root.locator(part).first).to_be_visible()
    full.press(key)
    expect(full.root.locator(part).locator("visible=true")).to_have_count(0)
    full.press(key)
    expect(full.root.locator(part).first).to_be_visible()


def test_tab_reaches_every_control_once_and_each_shows_its_focus(full: Shown) -> None:
    look = """scope => {
        const node = scope.getRootNode().activeElement;
        if (!node || node === scope) return null;
        const all = scope._seen || (scope._seen = new Map());
        if (!all.has(node)) all.set(node, all.size);
        const style = getComputedStyle(node);
        const drawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        return {id: all.get(node), drawn,
                name: node.getAttribute("aria-label") || node.textContent.trim() || node.className};
    }"""
    reached = []
    for _ in range(80):
        full.press("Tab")
        here = full.root.evaluate(look)
        if here is None:
            break
        reached.append(here)
    else:
        pytest.fail(f"Tab never left Scope: {[one['name'] for one in reached]}")
    ids = [one["id"] for one in reached]
    assert ids == sorted(set(ids)), "an element was reached twice"
    names = " | ".join(one["name"] for one in reached)
    for name in ("Export", "Play", "Step back", "Moment of the story", "org.kextlab.echo"):
        assert name in names
    assert [one["name"] for one in reached if not one["drawn"]] == []


def test_chips_of_a_lane_are_walked_with_the_arrows_and_chosen_with_enter(full: Shown) -> None:
    chips = full.svg.locator(".chip")
    assert chips.count() > 1
    lane = full.svg.locator(".lane", has=full.page.locator(".chip")).first
    lane.focus()
    full.press("ArrowDown")
    first = full.active()
    assert first == lane.locator(".chip").first.get_attribute("aria-label")
    full.press("Enter")
    expect(full.svg.locator('.chip[aria-selected="true"]')).to_have_count(1)
    full.press("Escape")
    expect(full.svg.locator('.chip[aria-selected="true"]')).to_have_count(0)


def test_the_log_is_said_politely_one_sentence_a_step(full: Shown) -> None:
    region = full.root.locator("[aria-live=polite]").last
    full.press("Home")
    for _ in range(3):
        full.press("ArrowRight")
        expect(region).to_have_text(full.sentence)


def test_no_key_scrolls_the_page_around(open_page: object, tmp_path: object) -> None:
    """A tall page with Scope in its middle stays where it is."""
    html = (
        player(document("full"))
        .replace('<main id="scope">', '<div style="height:300px"></div><main id="scope">')
        .replace("</body>", '<div style="height:3000px"></div></body>')
    )
    file = tmp_path / "tall.html"  # type: ignore[operator]
    file.write_text(html, encoding="utf-8")
    page = open_page(viewport={"width": 1180, "height": 700})  # type: ignore[operator]
    page.goto(file.as_uri())
    shown = Shown(page.locator(".scope")).wait()
    page.evaluate("scrollTo(0, 200)")
    shown.focus()
    keys = ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Shift+ArrowLeft", "Home", "End")
    for key in (*keys, "Space", "Space", "n"):
        shown.press(key)
    shown.scrubber.evaluate("node => node.focus({preventScroll: true})")
    shown.press(*keys, "PageDown", "PageUp", "Space", "Space")
    assert page.evaluate("scrollY") == 200


def test_keys_outside_are_left_to_the_page(full: Shown) -> None:
    step = full.step
    full.page.evaluate("document.activeElement && document.activeElement.blur()")
    full.press("ArrowLeft", "n", "g", "Home")
    expect(full.dialog).to_have_count(0)
    assert full.step == step
