"""Slow: what is left of a Scope when nothing runs: a reopened and an exported notebook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.jupyterlab import Lab
from tests.browser.notebooks import Notebook, write
from tests.browser.shown import PATIENCE, expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.slow
LOADED = "image => image.complete && image.naturalWidth > 100"


@pytest.fixture(scope="module")
def stored(browser: Browser, lab: Lab) -> str:
    """The name of a notebook that was run, saved and closed; its kernel is gone."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    write(lab, "stored.ipynb")
    book = Notebook(context.new_page(), lab, "stored.ipynb").open()
    book.run(0)
    book.scope()
    book.save()
    book.stop_kernel()
    context.close()
    return "stored.ipynb"


def test_a_reopened_notebook_shows_the_picture_and_no_error(
    open_page: Callable[..., Page], lab: Lab, stored: str
) -> None:
    page = open_page(viewport={"width": 1400, "height": 1000})
    book = Notebook(page, lab, stored).open()
    output = book.cells.first.locator(".jp-OutputArea")
    picture = output.locator("[data-still] img")
    expect(picture).to_be_visible()
    assert picture.evaluate(LOADED)
    expect(output).to_contain_text("Run the cell again for the live view")
    assert "client" in str(picture.get_attribute("alt"))
    expect(page.locator(".jp-Notebook")).not_to_contain_text("Error displaying widget")
    expect(page.locator(".jp-Notebook")).not_to_contain_text("model not found")


def test_running_it_again_brings_it_to_life(
    open_page: Callable[..., Page], lab: Lab, stored: str
) -> None:
    page = open_page(viewport={"width": 1400, "height": 1000})
    book = Notebook(page, lab, stored).open()
    book.run(0)
    shown = book.scope()
    expect(book.cells.first.locator("[data-still]")).to_be_hidden()
    shown.focus()
    shown.press("Home")
    expect(shown.scrubber).to_have_attribute("aria-valuenow", "0")


def test_a_page_reloaded_while_the_kernel_lives_shows_it_alive_or_still_but_no_error(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    write(lab, "reloaded.ipynb")
    page = open_page(viewport={"width": 1400, "height": 1000})
    book = Notebook(page, lab, "reloaded.ipynb").open()
    book.run(0)
    book.scope()
    book.save()
    page.reload()
    book.ready()
    output = book.cells.first.locator(".jp-OutputArea")
    expect(output.locator(".scope, [data-still]").locator("visible=true")).to_have_count(1)
    expect(page.locator(".jp-Notebook")).not_to_contain_text("Error displaying widget")


@pytest.fixture(scope="module")
def exported(lab: Lab, stored: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That notebook as `jupyter nbconvert --to html` writes it."""
    folder = tmp_path_factory.mktemp("exported")
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(folder)]
    subprocess.run([*command, str(lab.folder / stored)], check=True, capture_output=True)
    return folder / "stored.html"


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without scripts"])
def test_an_exported_page_shows_the_picture(browser: Browser, exported: Path, script: bool) -> None:
    with browser.new_context(java_script_enabled=script) as context:
        context.set_default_timeout(PATIENCE)
        # nbconvert's own template asks other machines for MathJax and require.js.
        context.route("**/*", lambda route: _only_files(route))
        page = context.new_page()
        page.goto(exported.as_uri())
        picture = page.locator("[data-still] img")
        expect(picture).to_be_visible()
        box = picture.bounding_box()
        assert box
        assert box["width"] > 100
        assert box["height"] > 100
        expect(page.locator("body")).not_to_contain_text("Error displaying widget")


def _only_files(route: Route) -> None:
    if route.request.url.startswith("file:"):
        route.continue_()
    else:
        route.abort()
