"""launchd's jobs: a row above the processes, which says what runs and what is held back."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.documents import document
from tests.browser.shown import expect

pytestmark = pytest.mark.slow


def test_the_row_tells_what_each_job_does_and_the_inspector_more(open_player: Open) -> None:
    doc = document("jobs")
    shown = open_player(doc, size=(1280, 900), still=True)
    row = shown.root.locator(".jobs")
    steps = {one["text"]: one["step"] for one in reversed(doc["moments"])}
    shown.go(1)
    expect(row).to_contain_text("has started no job yet")
    expect(row.locator("button")).to_have_count(0)
    shown.go(steps["launch_activate_socket returns descriptor 3 to thing."])
    said = "job thing, running, pid 104, started 1 time, offers /var/run/thing"
    expect(row.get_by_role("button", name=said)).to_have_count(1)
    shown.go(next(step for text, step in steps.items() if "waiting 5,000 ms at most" in text))
    held = row.get_by_role("button", name="job thing, throttled until 5 s")
    expect(held).to_have_count(1)
    held.click()
    expect(held).to_have_attribute("aria-pressed", "true")
    about = shown.root.locator(".inspector")
    expect(about.locator("h2")).to_have_text("Job thing")
    expect(about).to_contain_text("Statethrottled until 5 s")
    expect(about).to_contain_text("Socket/var/run/thing")
    shown.press("Home")
    expect(about.locator("h2")).to_have_text("No such job now")


def test_a_machine_without_launchd_has_no_such_row(open_player: Open) -> None:
    shown = open_player(document("echo"), still=True)
    expect(shown.root.locator(".jobs")).to_be_hidden()
