"""Local sockets in the scene: a pipe from process to process, and who waits to be accepted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.documents import LOCAL, document
from tests.browser.shown import Shown, expect
from tests.browser.test_look import OVERFLOWING, OVERLAPPING

pytestmark = pytest.mark.slow

# Pipes between local sockets that touch a control, a port or memory.
CROSSING = """svg => {
    const inside = (node) => node.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll(".box, [data-key^='port/'], [data-key^='obj/']")];
    const found = [];
    for (const tube of svg.querySelectorAll(".tube")) {
        const a = inside(tube);
        for (const box of boxes) {
            const b = inside(box);
            if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
                found.push(`${tube.dataset.tube} / ${box.dataset.key}`);
        }
    }
    return found;
}"""


def step(doc: dict[str, Any], text: str) -> int:
    return int(next(one["step"] for one in doc["moments"] if text in one["text"]))


def label(shown: Shown, key: str) -> str:
    return shown.svg.locator(f'[data-key="{key}"]').first.get_attribute("aria-label") or ""


def test_two_processes_are_joined_by_a_pipe_and_bytes_move_in_it(open_player: Open) -> None:
    doc = document("local")
    shown = open_player(doc, size=(1700, 900), still=True)
    shown.go(step(doc, "connect returns to client"))
    expect(shown.svg.locator('[data-tube="2/3"]')).to_have_count(1)  # into the accept queue
    assert label(shown, "sock/1").endswith("listens, /tmp/server: 1 of 3 connections wait")
    assert label(shown, "sock/3") == "waits, 1 of 1: client fd 3, no bytes sent already"
    shown.go(step(doc, "accept returns descriptor 4"))
    tube = shown.svg.locator('[data-tube="2/3"]')
    expect(tube.locator("title")).to_have_text("server fd 4 and client fd 3")
    expect(tube.locator(".k-data")).to_have_count(0)
    shown.go(step(doc, "client calls send(fd 3) with 1,500 bytes"))
    expect(tube.locator(".k-data")).to_have_count(1)
    said = "local stream socket to client fd 3, /tmp/server: 1,500 of 8,192 bytes of a stream"
    assert label(shown, "sock/3") == f"server, fd 4, {said}"
    expect(shown.svg.locator('[data-chip="bar"]')).to_have_count(1)
    expect(shown.svg.get_by_text("to server fd 4")).to_have_count(1)
    expect(shown.svg.locator('[data-key="sock/3"]').get_by_text("fd", exact=True)).to_have_count(0)
    shown.go(step(doc, "with 9 bytes and 1 descriptor"))
    expect(shown.svg.locator('[data-key="sock/3"]').get_by_text("fd", exact=True)).to_have_count(1)
    shown.press("End")
    words = "datagram 2 of 3: 736 bytes, 2 descriptors with it"
    expect(shown.svg.get_by_role("option", name=words)).to_have_count(1)
    assert "2,000 bytes refused with ENOBUFS" in label(shown, "sock/6")


def test_what_a_local_socket_is_stands_in_the_inspector(open_player: Open) -> None:
    doc = document("local")
    shown = open_player(doc, size=(1700, 900), still=True)
    shown.press("End")
    about = shown.root.locator(".inspector")
    shown.svg.locator('.lane[data-key="sock/1"]').focus()
    shown.press("Enter")
    expect(about).to_contain_text("Wait to be accepted1 of 3")
    expect(about).to_contain_text("Waitsother fd 3, 600 B sent")
    shown.press("ArrowDown", "Enter")
    expect(about.locator("h2")).to_have_text("A connection that waits")
    shown.svg.locator('.lane[data-key="sock/3"]').focus()
    shown.press("Enter")
    expect(about).to_contain_text("Peerclient fd 3")
    expect(about).to_contain_text("Name/tmp/server")
    shown.svg.get_by_role("option", name="datagram 2 of 3").focus()
    shown.press("Enter")
    expect(about).to_contain_text("Passesa descriptor of the socket of client fd 3")


@pytest.mark.parametrize("size", [(400, 800), (760, 900), (1280, 800), (1700, 900)])
@pytest.mark.parametrize("name", LOCAL)
def test_pipes_cross_nothing_and_no_words_share_a_place(
    open_player: Open, name: str, size: tuple[int, int]
) -> None:
    doc = document(name)
    shown = open_player(doc, size=size, still=True, dark=size[0] == 760)
    steps = [one["step"] for one in doc["moments"]]
    for at in (steps[len(steps) // 3], steps[2 * len(steps) // 3], steps[-1]):
        shown.go(at)
        assert shown.svg.evaluate(OVERLAPPING) == [], at
        assert shown.svg.evaluate(CROSSING) == [], at
    assert shown.page.evaluate(OVERFLOWING) == []


def test_a_scene_without_local_sockets_has_no_such_pipe(open_player: Open) -> None:
    shown = open_player(document("echo"), still=True)
    expect(shown.svg.locator(".tube")).to_have_count(0)
