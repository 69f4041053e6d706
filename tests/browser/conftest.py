"""The browser, once for this folder, and pages in it.

Without chromium these tests are skipped with the reason; with KEXTLAB_DEMAND_BROWSER=1, as CI sets
it, that is a failure. Every page is watched: at its end it must have made no request to another
machine and said nothing on the console.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import browser as chromium
from benchmarks.jupyterlab import Lab, notebook
from benchmarks.jupyterlab import lab as start_lab
from kextlab.views import player
from tests.browser.documents import Json
from tests.browser.mounted import page_of, until
from tests.browser.shown import PATIENCE, Shown, Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEMAND = "KEXTLAB_DEMAND_BROWSER"
LACKING = chromium.missing()
WIDE = (1180, 900)

Open = Callable[..., Shown]
"""``open_player(document, size=(w, h), dark=False, still=False, presenter=False, at=None)``."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The one chromium."""
    if LACKING and os.environ.get(DEMAND):
        pytest.fail(f"{DEMAND} is set, and this machine {LACKING}")
    if LACKING:
        pytest.skip(f"browser tests: {LACKING}")
    with chromium.browser() as opened:
        yield opened


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The one JupyterLab, in a folder of its own."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "first.ipynb").write_text(notebook(["1 + 1"]), encoding="utf-8")
    with start_lab(folder, "first.ipynb") as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a watched page, with whatever options a browser context takes."""
    watches: list[Watch] = []
    contexts = []

    def opener(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        watches.append(Watch(page))
        return page

    yield opener
    for context in contexts:
        context.close()
    assert [url for watch in watches for url in watch.outside()] == []
    assert [words for watch in watches for words in watch.said] == []


@pytest.fixture
def open_player(open_page: Callable[..., Page], tmp_path: Path) -> Open:
    """Writes the standalone player of a document and opens it from the disk."""

    def opener(
        doc: Json,
        *,
        size: tuple[int, int] = WIDE,
        dark: bool = False,
        still: bool = False,
        presenter: bool = False,
        at: int | None = None,
    ) -> Shown:
        file = tmp_path / "player.html"
        file.write_text(player(doc, presenter=presenter, at=at), encoding="utf-8")
        page = open_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        page.goto(file.as_uri())
        return Shown(page.locator(".scope")).wait()

    return opener


@pytest.fixture(name="player")
def _player(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a scene document: ``mounted(doc, width=, dark=, still=, live=, **options)``."""
    pages: list[Any] = []
    wrong: list[str] = []

    def open_(
        doc: dict[str, Any],
        *,
        width: int = 1180,
        height: int = 1300,
        dark: bool = False,
        still: bool = True,
        live: bool = False,
        **options: Any,
    ) -> Any:
        file = tmp_path / f"page{len(pages)}.html"
        file.write_text(page_of(doc, options, live), encoding="utf-8")
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
        page.on(
            "console",
            lambda line: wrong.append(f"console: {line.text}") if line.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.split(":")[0] in ("data", "blob") or request.url == file.as_uri()
                else wrong.append(f"request: {request.url}")
            ),
        )
        page.goto(file.as_uri())
        until(page, "window.scope !== undefined")
        return page

    yield open_
    for page in pages:
        page.close()
    assert not wrong
