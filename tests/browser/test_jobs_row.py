"""launchd's jobs: a row above the processes, which says what waits, runs and is held back."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.documents import document
from tests.browser.shown import Shown, expect

pytestmark = pytest.mark.slow

LOADED = "launchd has loaded the job org.kextlab.broker"
HELD = "launchd holds thing back"


def step(name: str, words: str) -> int:
    """The first step of a document whose sentence has those words."""
    return next(int(one["step"]) for one in document(name)["moments"] if words in one["text"])


def inside(shown: Shown) -> None:
    """Every job stands within the row, none below another, none wider than it."""
    row = shown.root.locator(".jobs")
    wide = row.evaluate(
        "(el) => [el.scrollWidth, el.clientWidth, el.scrollHeight, el.clientHeight]"
    )
    assert wide[0] <= wide[1]
    assert wide[2] <= wide[3]


def test_the_row_tells_what_each_job_does_and_the_inspector_more(open_player: Open) -> None:
    shown = open_player(document("jobs"), size=(1280, 900), still=True)
    row = shown.root.locator(".jobs")
    shown.go(6)
    expect(row).to_contain_text("no job is loaded")
    expect(row.locator("button")).to_have_count(0)
    shown.go(step("jobs", LOADED) + 10)
    idle = "job thing, waiting, never started, offers /var/run/thing"
    expect(row.get_by_role("button", name=idle)).to_have_count(1)
    expect(row).to_contain_text("org.kextlab.brokerwaitingservice of that name")
    shown.go(step("jobs", "launch_activate_socket returns"))
    said = "job thing, running, pid 104, started 1 time, offers /var/run/thing"
    expect(row.get_by_role("button", name=said)).to_have_count(1)
    shown.go(step("jobs", HELD))
    held = row.get_by_role("button", name="job thing, throttled until 5 s")
    expect(held).to_have_count(1)
    inside(shown)
    held.click()
    expect(held).to_have_attribute("aria-pressed", "true")
    about = shown.root.locator(".inspector")
    expect(about.locator("h2")).to_have_text("Job thing")
    for words in (
        "Statethrottled until 5 s",
        "Program/usr/libexec/thing",
        "Started1 time",
        "Last run endedwith status 0",
        "Socket Listener/var/run/thing",
        "ThrottleInterval5 s",
        "No start before5 s",
    ):
        expect(about).to_contain_text(words)
    row.get_by_role("button", name="job org.kextlab.broker").click()
    expect(about).to_contain_text("Serviceorg.kextlab.broker, port 4")
    shown.press("Home")
    expect(about.locator("h2")).to_have_text("No such job now")


def test_a_socket_of_a_job_stands_at_the_job_and_at_its_process_while_it_runs(
    open_player: Open,
) -> None:
    shown = open_player(document("jobs"), size=(1440, 900), still=True)
    scene = shown.root.locator(".topology")
    shown.go(step("jobs", HELD))
    box = scene.locator("g", has=shown.page.locator("> title", has_text="job thing, throttled"))
    expect(box).to_contain_text("launchd fd 3")
    shown.go(step("jobs", "accept returns"))
    expect(scene.get_by_text("launchd fd 3")).to_have_count(0)
    box = scene.locator("g", has=shown.page.locator("> title", has_text="process thing, pid 104"))
    expect(box.filter(has_text="fd 3")).to_have_count(1)
    expect(box.filter(has_text="fd 3")).to_contain_text("fd 4")


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720)])
def test_the_presenter_has_the_row_in_one_line_and_all_on_the_screen(
    open_player: Open, size: tuple[int, int]
) -> None:
    shown = open_player(
        document("brokered"), size=size, still=True, presenter=True, at=step("brokered", "check_in")
    )
    row = shown.root.locator(".jobs")
    expect(row.get_by_role("button", name="job org.kextlab.broker, running")).to_be_visible()
    inside(shown)
    tall = shown.page.evaluate("document.documentElement.scrollHeight")
    assert tall <= size[1]


def test_side_by_side_each_story_has_its_row(open_player: Open) -> None:
    doc = document("jobs")
    held = step("jobs", HELD)
    other = document("jobs")
    end = next(at for at, one in enumerate(other["moments"]) if one["step"] == held) - 20
    other["moments"], other["patches"] = other["moments"][:end], other["patches"][:end]
    other["keyframes"] = [frame for frame in other["keyframes"] if frame[0] < end]
    other["steps"] = other["moments"][-1]["step"]
    doc["branches"] = [{"at": end - 2, "title": "nobody asks again", "doc": other}]
    shown = open_player(doc, size=(1440, 900), still=True)
    shown.go(held)
    shown.root.locator("[data-act=compare]").first.click()
    rows = shown.root.locator(".side .jobs")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("throttled until 5 s")
    expect(rows.nth(1)).to_contain_text("waiting")
    rows.nth(0).get_by_role("button", name="job thing").click()
    expect(shown.root.locator(".inspector h2")).to_have_text("Job thing")


def test_more_jobs_than_have_room_come_when_asked_for(open_player: Open) -> None:
    shown = open_player(document("many_jobs"), size=(1280, 800), still=True)
    row = shown.root.locator(".jobs")
    most = row.get_by_role("button", name="job org.example")
    expect(most).to_have_count(6)
    for n in (0, 3, 6):  # those that run are among them
        expect(row.get_by_role("button", name=f"job org.example.job{n}, running")).to_have_count(1)
    inside(shown)
    row.get_by_role("button", name="3 more").click()
    expect(most).to_have_count(9)
    fewer = row.get_by_role("button", name="fewer")
    expect(fewer).to_be_focused()
    fewer.click()
    expect(most).to_have_count(6)


def test_a_machine_without_launchd_has_no_such_row(open_player: Open) -> None:
    shown = open_player(document("echo"), still=True)
    expect(shown.root.locator(".jobs")).to_be_hidden()
