"""Scope writes only what differs; what then stands in the page is what a fresh Scope would draw."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.documents import document
from tests.browser.mounted import page_of, until

OpenPage = Callable[..., Any]

DRAWN = """() => {
    const {app} = window.scope;
    app.sight.settle();  // what is out of view follows later
    const attributes = (node) => [...node.attributes].map((one) => `${one.name}="${one.value}"`)
        .filter((one) => one !== 'style=""').sort().join(" ");
    const told = (node) => {
        if (node.nodeType === 3) return node.data;
        if (node.matches(".over")) return "";
        const inside = [...node.childNodes].map(told).join("");
        return `<${node.localName} ${attributes(node)}>${inside}\\n`;
    };
    return ["topology", "inspector", "queues", "scrubber"]
        .map((part) => (app[part].el.hidden ? "" : told(app[part].el)));
}"""
REDRAW = """() => { const app = window.scope.app; const sel = app.sel;
    for (const part of [app.inspector, app.queues]) (part.markup || part.labels).clear();
    app.queues.edge.pastDrawing.clear(); app.queues.edge.futureDrawing.clear();
    for (const part of ["numbered", "forked"]) app.scrubber[part].clear();
    for (const name of ["pastDrawing", "futureDrawing"]) app.scrubber.edge[name].clear();
    for (const {node, children} of app.topology.layers) {
        node.textContent = "";
        children.clear();
    }
    app.lay(); }"""


@pytest.mark.parametrize("story", ["full", "many", "page", "busy", "both", "crowd"])
def test_after_any_steps_the_page_is_as_if_drawn_anew(open_page: OpenPage, story: str) -> None:
    doc = document(story)
    page = open_page(viewport={"width": 1180, "height": 900})
    page.set_content(page_of(doc, {}))
    until(page, "Boolean(window.scope)")
    draw = random.Random(4)
    last = len(doc["moments"]) - 1
    at = last
    for turn in range(12):
        page.evaluate("window.scope.app.dragging = true")  # no motion, as while one drags
        for _ in range(6):
            at = draw.choice((at + 1, at - 1, draw.randint(0, last)))
            at = max(0, min(last, at))
            page.evaluate("at => window.scope.app.goto(at)", at)
        kept = page.evaluate(DRAWN)
        page.evaluate(REDRAW)
        anew = page.evaluate(DRAWN)
        assert kept == anew, (turn, at)


def test_a_story_that_grows_is_drawn_as_one_that_came_whole(open_page: OpenPage) -> None:
    doc = document("full")
    page = open_page(viewport={"width": 1180, "height": 900})
    half = len(doc["moments"]) // 2
    short = {
        **doc,
        "moments": doc["moments"][:half],
        "patches": doc["patches"][:half],
        "keyframes": [one for one in doc["keyframes"] if one[0] <= half],
        "steps": doc["moments"][half - 1]["step"],
    }
    rows = """() => [...window.scope.app.rows.list.children].map((row) => [row.dataset.at,
        row.className, row.style.transform, row.style.height, row.innerHTML])"""
    page.set_content(page_of(short, {}))
    until(page, "Boolean(window.scope)")
    for begin in range(half, len(doc["moments"]), 3):
        more = {
            "from": begin,
            "moments": doc["moments"][begin : begin + 3],
            "patches": doc["patches"][begin : begin + 3],
            "steps": doc["steps"],
        }
        page.evaluate("more => window.scope.append(more)", more)
    page.wait_for_timeout(100)
    seen = "() => { const view = window.scope.app.rows.view; return view.scrollTop; }"
    grown, scrolled = page.evaluate(rows), page.evaluate(seen)
    page.set_content(page_of(doc, {}))
    until(page, "Boolean(window.scope)")
    whole = page.evaluate(rows)
    kept = {row[0]: row for row in grown}
    assert whole
    assert [kept[row[0]] for row in whole] == whole
    assert scrolled == page.evaluate(seen)


def test_what_is_out_of_view_follows_when_it_is_seen_or_when_the_steps_pause(
    open_page: OpenPage,
) -> None:
    doc = document("many")
    page = open_page(viewport={"width": 1180, "height": 700})
    page.set_content(page_of(doc, {}))
    until(page, "Boolean(window.scope) && window.scope.app.sight.strips.size > 0")
    page.evaluate("window.scope.app.dragging = true")
    step = "at => { window.scope.app.goto(at); return window.scope.app.sight.behind.size; }"
    caught_up = "window.scope.app.sight.behind.size === 0"
    middle = len(doc["moments"]) // 2
    assert page.evaluate(step, middle) > 0
    until(page, caught_up)
    page.evaluate("scrollTo(0, 1e6)")
    assert page.evaluate(step, middle + 9) >= 0
    until(page, caught_up)
    kept = page.evaluate(DRAWN)
    page.evaluate(REDRAW)
    assert kept == page.evaluate(DRAWN)
