"""Slow: Scope in a real JupyterLab, as `kextlab lab` starts it: it follows the cells, takes the
keyboard while it has the focus, and drives the machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from benchmarks.jupyterlab import Lab
from tests.browser.notebooks import LIVE, Notebook, write
from tests.browser.shown import PATIENCE, Shown, Watch, expect
from tests.browser.test_axe import violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
names = (f"live{at}.ipynb" for at in itertools.count())


@pytest.fixture(scope="module")
def book(browser: Browser, lab: Lab) -> Iterator[Notebook]:
    """A notebook whose first cell, which shows a live Scope, has been run."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    watch = Watch(page)
    name = next(names)
    write(lab, name)
    opened = Notebook(page, lab, name).open()
    opened.run(0)
    opened.scope()
    yield opened
    outside, said = watch.outside(), list(watch.said)
    context.close()
    assert outside == []
    assert said == []


@pytest.fixture
def shown(book: Notebook) -> Shown:
    """Its Scope, at the end of the story, with the keyboard."""
    scope = book.scope()
    if scope.dialog.count():
        scope.press("Escape")
    scope.focus()
    scope.press("Escape", "Escape", "End")
    return scope


def last(shown: Shown) -> str:
    return str(shown.scrubber.get_attribute("aria-valuemax"))


# ---------------------------------------------------------------- following


def test_it_follows_as_cells_run(book: Notebook, shown: Shown) -> None:
    before = shown.step
    book.run(1)
    expect(shown.scrubber).to_have_attribute(
        "aria-valuetext", f"Step {before + 11:,}. send returns 5 to client."
    )
    expect(shown.svg).to_contain_text("5")
    book.run(2)
    expect(shown.root).to_contain_text("recv returns 5 bytes to client.")


def test_a_reader_who_looks_at_the_past_is_not_taken_away_from_it(
    book: Notebook, shown: Shown
) -> None:
    shown.press("Home")
    expect(shown.scrubber).to_have_attribute("aria-valuenow", "0")
    before = last(shown)
    book.run(1)
    expect(shown.scrubber).not_to_have_attribute("aria-valuemax", before)
    expect(shown.scrubber).to_have_attribute("aria-valuenow", "0")


def test_the_stored_picture_is_hidden_while_the_widget_lives(book: Notebook, shown: Shown) -> None:
    expect(book.cells.first.locator("[data-still]")).to_have_count(1)
    expect(book.cells.first.locator("[data-still]")).to_be_hidden()


# ---------------------------------------------------------------- the keyboard


def test_arrows_step_and_move_neither_cells_nor_the_notebook(book: Notebook, shown: Shown) -> None:
    book.select(1)
    shown.root.scroll_into_view_if_needed()
    shown.focus()
    shown.press("End")
    active, scrolled = book.active(), book.scrolled()
    end = int(last(shown))
    for keys, moment in (
        (("ArrowLeft", "ArrowLeft"), end - 2), (("ArrowRight",), end - 1), (("Home",), 0),
        (("ArrowRight", "ArrowRight", "ArrowLeft"), 1), (("End",), end),
    ):  # fmt: skip
        shown.press(*keys)
        expect(shown.scrubber).to_have_attribute("aria-valuenow", str(moment))
    shown.press("ArrowUp", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowRight", "n", "Shift+N")
    assert (book.active(), book.scrolled()) == (active, scrolled)


def test_arrows_on_the_scrubber_itself_step(book: Notebook, shown: Shown) -> None:
    book.select(1)
    shown.root.scroll_into_view_if_needed()
    shown.scrubber.focus()
    active, end = book.active(), int(last(shown))
    shown.press("End", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowRight")
    expect(shown.scrubber).to_have_attribute("aria-valuenow", str(end - 2))
    assert book.active() == active


def test_letters_are_no_commands_of_the_notebook(book: Notebook, shown: Shown) -> None:
    """In a notebook's command mode a, b, x, d d and z would add and delete cells."""
    many = book.cells.count()
    book.select(1)
    shown.focus()
    shown.press("a", "x", "d", "d", "z", "m", "Shift+M", "i", "i", "l", "l", "t", "t")
    shown.press("b")
    expect(shown.dialog).to_be_visible()  # after Python said what a branch may change
    shown.press("Escape")
    expect(shown.dialog).to_have_count(0)
    assert book.cells.count() == many


def test_space_plays_and_does_not_scroll(book: Notebook, shown: Shown) -> None:
    shown.press("Home")
    scrolled = book.scrolled()
    shown.press("Space")
    expect(shown.scrubber).to_have_attribute("aria-valuenow", re.compile(r"^([2-9]|\d\d+)$"))
    shown.press("Space")
    expect(shown.root.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert book.scrolled() == scrolled


def test_g_and_the_question_mark_open_their_dialogs(book: Notebook, shown: Shown) -> None:
    shown.press("g")
    shown.page.keyboard.type("20")
    shown.press("Enter")
    expect(shown.dialog).to_have_count(0)
    assert 0 < shown.step <= 20
    shown.press("?")
    expect(shown.dialog).to_contain_text("step, step back")
    shown.press("Escape")
    expect(shown.dialog).to_have_count(0)


def test_tab_leads_into_it_and_out_again(book: Notebook, shown: Shown) -> None:
    shown.focus()
    for _ in range(80):
        shown.press("Tab")
        if not shown.active():
            break
    else:
        pytest.fail("Tab never left Scope")
    shown.press("Shift+Tab")
    assert shown.active()


# ---------------------------------------------------------------- driving


def test_its_controls_drive_the_machine(book: Notebook, shown: Shown) -> None:
    form = shown.root.get_by_role("form", name="Drive the machine")
    before = last(shown)
    form.locator("[name=text]").fill("from the page")
    form.get_by_role("button", name="Send").click()
    expect(shown.scrubber).not_to_have_attribute("aria-valuemax", before)
    expect(shown.scrubber).to_have_attribute(
        "aria-valuetext", re.compile(r"send returns 13 to client\.$")
    )
    form.get_by_role("button", name="Receive").click()
    expect(shown.notice).to_be_visible()


def test_what_cannot_be_done_is_said_in_one_line(book: Notebook, shown: Shown) -> None:
    form = shown.root.get_by_role("form", name="Drive the machine")
    for _ in range(12):  # until nothing is queued any more
        form.get_by_role("button", name="Receive").click()
        expect(shown.notice).to_be_visible()
        if "wrong" in (shown.notice.get_attribute("class") or ""):
            break
        shown.press("Escape")
        expect(shown.notice).to_be_hidden()
    expect(shown.notice).to_contain_class("wrong")
    assert "\n" not in shown.notice.inner_text()


def test_a_branch_is_run_by_python_and_shown_beside(book: Notebook, shown: Shown) -> None:
    """Rewind to a dropped record, branch there with another reader, compare: without a mouse."""
    book.run(3)
    expect(shown.root).to_contain_text("ENOBUFS")
    shown.focus()
    shown.press("Home")
    for _ in range(10):
        if "ENOBUFS" in shown.sentence:
            break
        shown.press("n")
    assert "ENOBUFS" in shown.sentence
    shown.press("ArrowLeft", "ArrowLeft", "b")
    expect(shown.dialog.locator(".choice").first).to_be_visible()
    shown.dialog.locator(".choice").first.focus()
    shown.press("Enter")
    expect(shown.root.locator(".side")).to_have_count(2)
    shown.press("Escape")


# ---------------------------------------------------------------- how it looks there


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_it_follows_jupyterlab_s_theme_and_axe_finds_nothing(
    book: Notebook, shown: Shown, theme: str
) -> None:
    page = book.page
    book.select(1)
    book.theme(theme)
    dark = theme.endswith("Dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(not dark).lower())
    if dark:
        expect(shown.root).to_have_attribute("data-dark", "")
    else:
        expect(shown.root).not_to_have_attribute("data-dark", "")
    assert violations(shown, "[data-kextlab-scope]") == []


def test_the_scrubber_stays_in_view_in_a_long_output(book: Notebook, shown: Shown) -> None:
    shown.root.locator(".top").scroll_into_view_if_needed()
    expect(shown.scrubber).to_be_in_viewport()


def test_the_notebook_s_cells_are_as_they_were(book: Notebook) -> None:
    sources = ["".join(cell["source"]) for cell in book.save()["cells"]]
    assert sources == list(LIVE)
