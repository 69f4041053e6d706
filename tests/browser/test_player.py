"""The front end on a page of the test's own: hand-written stories, and a look at its inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kextlab.views import scene_document
from kextlab.views.tokens import TOKENS
from tests.browser import scenes
from tests.browser.mounted import until
from tests.unit.mach_machines import memory

Player = Callable[..., Any]
FULL = scenes.scope()
REFUSED = scenes.refused(FULL)


def text(page: Any, selector: str) -> str:
    return str(page.locator(selector).first.evaluate("(n) => n.innerText ?? n.textContent"))


def step(page: Any) -> str:
    return text(page, ".pos b")


def press(page: Any, *keys: str) -> None:
    page.evaluate("scope.app.focus()")
    for key in keys:
        page.keyboard.press(key)


def test_the_scene_shows_processes_units_and_what_is_queued(player: Player) -> None:
    page = player(FULL, at=REFUSED + 1)
    scene = text(page, ".topology svg")
    for words in (
        "client2",
        "unit 2",
        "8,192",
        "ENOBUFS",
        "org.kextlab.echo",
        "kern_event",
        "send()",
    ):
        assert words in scene
    assert page.locator(".chip[role=option]").count() == 6 + 5 + 2


def test_it_opens_paused_at_the_end(player: Player) -> None:
    page = player(FULL)
    assert step(page) == str(FULL["steps"])
    assert page.get_by_label("Play", exact=True).is_visible()


def test_arrows_step_forward_and_back(player: Player) -> None:
    page = player(FULL, at=20)
    press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert step(page) == "21"
    press(page, "Home")
    assert step(page) == "1"
    press(page, "ArrowLeft")
    assert step(page) == "1"
    press(page, "End")
    assert step(page) == str(FULL["steps"])


@pytest.mark.parametrize("doc", [FULL, scenes.crowd(40, 900), scenes.panicked()])
def test_the_state_is_the_same_stepping_jumping_and_going_back(
    player: Player, doc: dict[str, Any]
) -> None:
    page = player(doc)
    differ = page.evaluate(
        """() => {
            const story = scope.app.story;
            const seen = [];
            story.goto(-1);
            for (let at = 0; at <= story.last; at++) {
                story.goto(at);
                seen.push(JSON.stringify(story.state));
            }
            const wrong = [];
            for (let at = story.last; at >= 0; at--) {
                story.goto(at);
                if (JSON.stringify(story.state) !== seen[at]) wrong.push(["back", at]);
            }
            for (let i = 0; i < 200; i++) {
                const at = (i * 7919) % (story.last + 1);
                story.goto(at);
                if (JSON.stringify(story.state) !== seen[at]) wrong.push(["jump", at]);
            }
            return wrong;
        }"""
    )
    assert differ == []


def test_n_goes_to_the_next_refusal_and_explains_it(player: Player) -> None:
    page = player(FULL, at=90)
    press(page, "n")
    assert step(page) == str(REFUSED + 1)
    assert "The kernel refused 2,048 bytes" in text(page, "li.now")
    assert "recorded" in text(page, "li.now .why")
    page.get_by_role("button", name="explain(ENOBUFS)").click()
    assert "slower than the writer" in text(page, ".reason")
    press(page, "n", "n", "n")
    assert "no later refusal" in text(page, ".notice")


def test_shift_arrows_follow_the_selected_queue(player: Player) -> None:
    page = player(FULL, at=40)
    page.locator('[data-key="sock/4"]').focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    moment = FULL["moments"][int(step(page)) - 1]
    assert moment["socket"] == 4


def test_g_goes_to_a_step_and_refuses_one_outside(player: Player) -> None:
    page = player(FULL)
    press(page, "g")
    page.keyboard.type("9999")
    page.keyboard.press("Enter")
    said = text(page, "dialog .wrong")
    assert said == f"step 9,999 is outside this trace: 0 to {FULL['steps']}"
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    assert step(page) == "12"


def test_chips_are_reached_and_selected_by_keyboard(player: Player) -> None:
    page = player(FULL, at=REFUSED + 1)
    page.locator('[data-key="sock/1"]').focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert text(page, ".inspector h2") == "Datagram 2"
    assert page.locator('.chip[aria-selected="true"]').count() == 1
    page.keyboard.press("Escape")
    assert page.locator('.chip[aria-selected="true"]').count() == 0


def test_a_message_shows_its_fields_in_words_and_what_it_is_about(player: Player) -> None:
    doc = scene_document(memory())
    (got,) = [m for m in doc["moments"] if m["text"].startswith("client receives message 2")]
    page = player(doc, at=got["step"])
    name = page.locator(".fields tr").filter(has_text="0x303 = a send right to a memory entry")
    name.hover()
    assert page.locator(".hex .on").first.inner_text() == "03 03 00 00"
    assert "Receive right\nclient, pid 101" in page.locator(".inspector .payload").inner_text()


def test_fields_and_bytes_light_up_together(player: Player) -> None:
    page = player(FULL, at=REFUSED + 1)
    page.evaluate('scope.app.select({kind: "chip", sock: "4", chip: 3})')
    page.locator(".fields tr").nth(4).hover()
    assert page.locator(".hex .on").first.inner_text() == "01 00 00 00"
    page.locator(".hex pre span[data-f]").first.hover()
    assert page.locator(".fields tr.on").inner_text().split() == ["000", "total_size", "u32", "32"]
    page.locator(".fields tr").nth(1).focus()
    assert page.locator(".fields tr.on th").inner_text() == "vendor_code"


def test_space_plays_and_pauses(player: Player) -> None:
    page = player(FULL, at=10)
    press(page, "ArrowUp", "ArrowUp", " ")
    until(page, "scope.app.now > 11")
    press(page, " ")
    stopped = step(page)
    assert page.get_by_label("Play", exact=True).is_visible()
    assert step(page) == stopped


def test_the_live_region_says_the_sentence_and_is_silent_while_playing(player: Player) -> None:
    page = player(FULL, at=10)
    press(page, "ArrowRight")
    assert text(page, ".live-region").startswith("Step 11. ")
    press(page, " ")
    until(page, "scope.app.now > 11")
    assert text(page, ".live-region").startswith("Step 11. ")
    press(page, " ")


def test_the_scrubber_is_a_slider_whose_value_is_the_sentence(player: Player) -> None:
    page = player(FULL, at=REFUSED + 1)
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuenow") == str(REFUSED)
    assert "refused 2,048 bytes" in slider.get_attribute("aria-valuetext")
    assert slider.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_no_key_leaves_the_widget(player: Player) -> None:
    page = player(FULL)
    page.evaluate("document.addEventListener('keydown', (e) => (window.leaked = e.key))")
    press(page, "ArrowRight", "d", "x", "?", "Escape")
    assert page.evaluate("window.leaked") is None
    assert page.locator("#scope").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_the_sheet_lists_every_key(player: Player) -> None:
    page = player(FULL)
    press(page, "?")
    sheet = text(page, "dialog")
    for words in (
        "step back",
        "next, previous refusal or loss",
        "branch here",
        "export",
        "play, pause",
    ):
        assert words in sheet
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0


def test_parts_go_and_come_by_key(player: Player) -> None:
    page = player(FULL)
    press(page, "i")
    assert not page.locator(".inspector").is_visible()
    press(page, "i", "t")
    assert page.locator(".inspector").is_visible()
    assert page.locator(".rows").get_attribute("data-diagram") == "false"
    press(page, "l")
    assert not page.locator(".rows").is_visible()


@pytest.mark.parametrize(
    ("part", "selector"),
    [
        ("topology", ".topology"),
        ("queues", ".queues"),
        ("diagram", ".rows"),
        ("log", ".rows"),
        ("inspector", ".inspector"),
        ("scrubber", ".scrubber"),
    ],
)
def test_each_part_stands_alone(player: Player, part: str, selector: str) -> None:
    page = player(FULL, parts=[part])
    shown = {".topology", ".queues", ".rows", ".inspector", ".scrubber"}
    assert {one for one in shown if page.locator(one).is_visible()} == {selector}


def test_a_stored_branch_is_shown_beside_the_original(player: Player) -> None:
    doc = scenes.branched()
    page = player(doc, at=doc["steps"])
    press(page, "b", "Enter")
    assert page.locator(".side").count() == 2
    sides = page.locator(".side").all_inner_texts()
    assert "2 lost so far" in sides[0]
    assert "nothing lost so far" in sides[1]
    press(page, "[")
    assert page.locator("[data-branches] [aria-pressed=true]").first.inner_text() == "Original"


def test_without_a_branch_b_says_what_is_needed(player: Player) -> None:
    page = player(FULL)
    press(page, "b")
    assert "needs Python" in text(page, ".notice")


@pytest.mark.parametrize(
    ("dark", "ground"), [(False, "rgb(255, 255, 255)"), (True, "rgb(20, 23, 27)")]
)
def test_the_theme_follows_the_system(player: Player, dark: bool, ground: str) -> None:
    page = player(FULL, dark=dark)
    colour = "getComputedStyle(scope.app.el).backgroundColor"
    assert page.evaluate(colour) == ground


def test_the_page_s_theme_wins_and_the_button_wins_over_that(player: Player) -> None:
    page = player(FULL)
    colour = "getComputedStyle(scope.app.el).backgroundColor"
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    until(page, f"{colour} === 'rgb(20, 23, 27)'")
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    until(page, f"{colour} === 'rgb(255, 255, 255)'")
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme").click()
    until(page, f"{colour} === 'rgb(20, 23, 27)'")


@pytest.mark.parametrize(
    "doc",
    [FULL, scenes.panicked(), scenes.empty(), scenes.crowd(12, 300), scenes.crowd(200, 900)],
    ids=["four", "panic", "empty", "twelve", "two hundred"],
)
def test_nothing_is_wider_than_the_page(player: Player, doc: dict[str, Any]) -> None:
    page = player(doc, width=1600)
    for width in (1180, 980, 760, 560, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        until(page, f"scope.app.outer === {width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_empty_trace_draws_an_empty_kernel(player: Player) -> None:
    page = player(scenes.empty())
    assert "no process is running" in text(page, ".topology svg")
    assert "Nothing has happened yet." in text(page, ".rows")
    press(page, "ArrowRight", "ArrowLeft", "n", " ", "End")
    assert step(page) == "0"


def test_a_scene_of_another_version_is_one_clear_line(player: Player) -> None:
    page = player({**FULL, "format": "kextlab-scene/9"})
    said = "scene of format kextlab-scene/9; this kextlab reads kextlab-scene/1"
    assert page.get_by_role("alert").inner_text() == said


def test_what_a_live_trace_adds_is_shown_at_once(player: Player) -> None:
    whole = scenes.scope()
    cut = 60
    first = {
        **whole,
        "moments": whole["moments"][:cut],
        "patches": whole["patches"][:cut],
        "steps": cut,
    }
    page = player(first)
    more = {
        "from": cut - 1,
        "moments": whole["moments"][cut - 1 :],
        "patches": whole["patches"][cut - 1 :],
        "steps": whole["steps"],
        "lifelines": [],
        "sources": [],
        "datas": [],
        "keyframes": [],
    }
    page.evaluate("(more) => scope.append(more)", more)
    assert step(page) == str(whole["steps"])
    whole_page = player(whole)
    state = "JSON.stringify([scope.app.story.state, scope.app.story.series.losses])"
    assert page.evaluate(state) == whole_page.evaluate(state)


def test_live_controls_are_messages_and_their_answers_one_line(player: Player) -> None:
    page = player(scenes.live(), live=True)
    page.get_by_role("button", name="Send").click()
    sent = page.evaluate("sent")[-1]
    assert (sent["do"], sent["pid"], sent["text"]) == ("send", 100, "hello")
    page.evaluate("hear({error: 'no process 7 is running; running: client (100)', for: 1})")
    assert text(page, ".notice") == "no process 7 is running; running: client (100)"


def test_the_driving_panel_is_there_while_there_is_a_control(player: Player) -> None:
    doc = scenes.live()
    live = doc["live"]
    page = player({**doc, "live": {**live, "controls": []}}, live=True)
    panel = page.get_by_role("form", name="Drive the machine")
    assert panel.count() == 0
    more = {key: [] for key in ("moments", "patches", "lifelines", "sources", "datas", "keyframes")}
    more |= {"from": len(doc["moments"]), "steps": doc["steps"]}
    for controls, there in ((live["controls"], 1), ([], 0)):
        page.evaluate(
            "(more) => scope.append(more)", {**more, "live": {**live, "controls": controls}}
        )
        assert panel.count() == there


def test_while_a_prediction_is_open_the_future_is_not_there(player: Player) -> None:
    page = player(FULL, at=60)
    page.evaluate("scope.veil(60)")
    press(page, "ArrowRight", "End")
    assert step(page) == "60"
    assert "events hidden" in text(page, ".scrubber .axis")
    assert page.locator("li.future").count() == 0
    page.evaluate("scope.veil(null)")
    press(page, "End")
    assert step(page) == str(FULL["steps"])


def test_every_token_that_is_drawn_is_defined(player: Player) -> None:
    for doc in (FULL, scenes.panicked(), scenes.crowd(40, 300), scenes.branched()):
        page = player(doc)
        used = page.evaluate(
            """() => [...scope.app.root.querySelectorAll("[class]")]
                .flatMap((n) => [...n.classList]).filter((name) => /^[fk]-/.test(name))"""
        )
        assert {name[2:] for name in used} <= set(TOKENS)


def test_the_exported_picture_carries_its_own_colours(player: Player) -> None:
    page = player(FULL, at=REFUSED + 1)
    press(page, "e")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="SVG").click()
    svg = waiting.value.path().read_text(encoding="utf-8")
    assert waiting.value.suggested_filename == f"scope-step-{REFUSED + 1}.svg"
    assert 'fill="#bfe3da"' in svg
    assert "class=" not in svg
    assert "var(" not in svg
