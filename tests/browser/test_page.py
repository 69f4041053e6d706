"""The standalone player: it shows the story, goes where it is sent, and asks for nothing."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kextlab.views import player
from kextlab.views.patches import after
from kextlab.views.player import packed
from tests.browser.conftest import Open
from tests.browser.documents import branched, document, refusals
from tests.browser.shown import expect


def step_of(doc: dict[str, Any], moment: int) -> int:
    step: int = doc["moments"][moment]["step"]
    return step


# ---------------------------------------------------------------- what it shows


def test_every_part_is_there(open_player: Open) -> None:
    shown = open_player(document("full"))
    for part in (".topology", ".inspector", ".rows", ".queues", ".scrubber", ".transport"):
        expect(shown.root.locator(part)).to_be_visible()


def test_it_opens_paused_at_the_end(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.at(step_of(doc, -1))
    expect(shown.root.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_the_keys_act_from_the_start(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.press("Home")
    shown.at(step_of(doc, 0))


def test_it_opens_at_the_step_it_was_written_for(open_player: Open) -> None:
    doc = document("full")
    step = step_of(doc, refusals(doc)[1])
    open_player(doc, at=step).at(step)


def test_the_title_is_the_page_s_and_is_said(open_player: Open) -> None:
    shown = open_player(document("full"))
    assert shown.page.title() == "datagrams, a stream, events"
    expect(shown.root).to_have_attribute("aria-label", "Scope: datagrams, a stream, events")


def test_a_lane_says_the_bytes_that_python_computes_at_any_moment(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    for moment in random.Random(7).sample(range(len(doc["moments"])), 12):
        step = step_of(doc, moment)
        last = max(at for at, one in enumerate(doc["moments"]) if one["step"] == step)
        shown.go(step)
        state = after(doc, last)
        lanes = shown.queues()
        for number, sock in state["socks"].items():
            if number in lanes and sock["state"] == "connected":
                cc, hiwat = sock["rcv"]["cc"], sock["rcv"]["hiwat"]
                assert f": {cc:,} of {hiwat:,} bytes" in lanes[number], (step, number)


def test_an_empty_kernel_is_drawn_empty(open_player: Open) -> None:
    shown = open_player(document("empty"))
    shown.at(0)
    expect(shown.svg).to_contain_text("no process is running")
    assert shown.sentence == "Nothing has happened yet."


def test_a_panic_stands_across_the_boundary(open_player: Open) -> None:
    shown = open_player(document("panic"))
    expect(shown.svg.locator(".panic")).to_have_count(1)
    shown.press("Home")
    shown.focus()
    shown.press("Home")
    expect(shown.svg.locator(".panic")).to_have_count(0)


def test_two_hundred_connections_are_drawn_as_a_crowd(open_player: Open) -> None:
    shown = open_player(document("many"))
    expect(shown.svg).to_contain_text("199 connections")
    expect(shown.svg).to_contain_text("receive buffers by fullness")


# ---------------------------------------------------------------- where it goes


def test_the_step_button_goes_one_sentence_on_and_back(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc, at=step_of(doc, 40))
    for name, moment in (("Step", 41), ("Step", 42), ("Step back", 41)):
        shown.root.locator(".transport").get_by_role("button", name=name, exact=True).click()
        expect(shown.scrubber).to_have_attribute("aria-valuenow", str(moment))
    assert doc["moments"][41]["text"] in shown.sentence


def test_first_and_last(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.root.get_by_role("button", name="First event").click()
    expect(shown.scrubber).to_have_attribute("aria-valuenow", "0")
    shown.root.get_by_role("button", name="Last event").click()
    shown.at(step_of(doc, -1))


def test_a_click_on_the_scrubber_is_a_jump(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    box = shown.scrubber.bounding_box()
    assert box
    shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(shown.scrubber).not_to_have_attribute("aria-valuenow", str(len(doc["moments"]) - 1))
    middle = int(shown.scrubber.get_attribute("aria-valuenow") or 0)
    assert abs(middle - len(doc["moments"]) / 2) < len(doc["moments"]) / 20


def test_dragging_along_the_scrubber_follows_the_pointer(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    box = shown.scrubber.bounding_box()
    assert box
    y = box["y"] + 20
    shown.page.mouse.move(box["x"] + box["width"] * 0.3, y)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=8)
    shown.page.mouse.move(box["x"] + box["width"] * 0.98, y, steps=8)
    shown.page.mouse.up()
    expect(shown.scrubber).to_have_attribute("aria-valuenow", str(len(doc["moments"]) - 1))


def test_a_click_on_a_sentence_goes_there(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    row = shown.root.locator(".list li.past .words").first
    words = row.inner_text()
    row.click()
    expect(shown.scrubber).to_have_attribute("aria-valuetext", f"Step {shown.step:,}. {words}")
    assert shown.step < step_of(doc, -1)


def test_a_step_outside_the_story_is_refused_in_one_line(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.focus()
    shown.press("g")
    shown.dialog.locator("input").fill("999999")
    shown.press("Enter")
    expect(shown.dialog.get_by_role("alert")).to_have_text(
        f"step 999,999 is outside this trace: 0 to {doc['steps']:,}"
    )
    shown.at(step_of(doc, -1))


def test_playing_goes_on_at_its_pace_and_stops_at_the_end(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.go(step_of(doc, -12))
    shown.page.clock.install(time=0)
    shown.page.clock.pause_at(1_000)
    shown.press("Space")
    expect(shown.root.get_by_role("button", name="Pause")).to_be_visible()
    begun = int(shown.scrubber.get_attribute("aria-valuenow") or 0)
    shown.page.clock.run_for(1_010)  # four events a second
    expect(shown.scrubber).to_have_attribute("aria-valuenow", str(begun + 4))
    shown.page.clock.run_for(60_000)
    expect(shown.root.get_by_role("button", name="Play", exact=True)).to_be_visible()
    shown.at(step_of(doc, -1))


# ---------------------------------------------------------------- losses, branches, exports


def test_a_lost_record_is_found_chosen_and_explained(open_player: Open) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.focus()
    shown.press("Home")
    losses = refusals(doc)
    for moment in losses[:3]:
        shown.press("n")
        expect(shown.scrubber).to_have_attribute("aria-valuenow", str(moment))
    refused = next(at for at in losses if doc["moments"][at].get("errno") == "ENOBUFS")
    shown.go(step_of(doc, refused))
    shown.svg.locator(".mark rect").first.click(position={"x": 4, "y": 4})
    expect(shown.root.locator(".inspector")).to_contain_text("ENOBUFS")


def test_a_stored_branch_is_shown_beside_the_original(open_player: Open) -> None:
    shown = open_player(branched())
    shown.focus()
    shown.press("b")
    shown.dialog.get_by_role("button", name="client2 stays silent").click()
    sides = shown.root.locator(".side")
    expect(sides).to_have_count(2)
    expect(sides.nth(0)).to_contain_text("The original")
    expect(sides.nth(1)).to_contain_text("client2 stays silent")
    expect(sides.nth(1)).to_contain_text("nothing lost so far")
    shown.focus()
    shown.press("[")
    shown.press("Escape")
    expect(sides).to_have_count(0)


def test_a_new_branch_without_python_is_refused_in_one_line(open_player: Open) -> None:
    shown = open_player(document("full"))
    shown.focus()
    shown.press("b")
    expect(shown.notice).to_contain_text("A new branch needs Python")


@pytest.mark.parametrize("what", ["SVG", "JSON"])
def test_an_export_is_a_file_that_can_be_read(open_player: Open, what: str) -> None:
    doc = document("full")
    shown = open_player(doc)
    shown.focus()
    shown.press("e")
    with shown.page.expect_download() as download:
        shown.dialog.get_by_role("button", name=what).click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    if what == "SVG":
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert json.loads(text) == doc


# ---------------------------------------------------------------- alone


def test_it_makes_no_request_at_all(open_player: Open) -> None:
    shown = open_player(document("full"))
    shown.focus()
    shown.press("Home", "ArrowRight", "n", "?", "Escape", "End")
    made: list[str] = shown.page.evaluate(
        "performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [url for url in made if not url.startswith(("data:", "blob:"))] == []


def test_without_javascript_the_pictures_and_the_log_are_there(
    open_page: Any, tmp_path: Path
) -> None:
    doc = document("full")
    file = tmp_path / "plain.html"
    file.write_text(player(doc), encoding="utf-8")
    page = open_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert page.locator("noscript svg").count() + page.locator("svg").count() >= 2
    assert doc["moments"][-1]["text"] in str(page.locator("noscript").text_content())


def test_a_scene_of_another_version_is_refused_with_python_s_words(
    open_page: Any, tmp_path: Path
) -> None:
    doc = document("echo")
    good = player(doc)
    old = base64.b64encode(packed({**doc, "format": "kextlab-scene/0"})).decode()
    new = base64.b64encode(packed(doc)).decode()
    assert new in good
    file = tmp_path / "old.html"
    file.write_text(good.replace(new, old), encoding="utf-8")
    page = open_page()
    page.goto(file.as_uri())
    expect(page.get_by_role("alert")).to_have_text(
        "scene of format kextlab-scene/0; this kextlab reads kextlab-scene/1"
    )
