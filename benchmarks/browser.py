"""One way to start chromium, for the benchmarks and for the browser tests (``tests/browser``).

The browser is the system's own (Debian: ``apt-get install chromium``), driven by Playwright, which
downloads nothing. It asks nobody outside for anything: no update, no sync, no first-run page.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = (
    "--no-sandbox",  # CI and containers are root, for whom chromium's sandbox cannot start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
FONTS = Path(__file__).with_name("fonts.conf")
"""Which fonts pages are drawn with, so that pictures are the same on every Debian."""
FONT_FOLDER = Path("/usr/share/fonts/truetype/liberation")
PATIENCE = 120.0
"""Seconds until a browser that does not start is called dead."""


class NeedsChromium(Exception):
    """There is no chromium here, or nothing to drive it with; the message is one line."""


def missing() -> str:
    """What is missing to run a page, in one line with how to get it; empty if nothing is."""
    if find_spec("playwright") is None:
        return 'needs chromium and Playwright: pip install ".[test]"'
    if program() is None:
        return "needs chromium: install it (Debian: apt-get install chromium)"
    return ""


def program() -> str | None:
    """Where chromium is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def has_fonts() -> bool:
    """Whether the fonts that ``fonts.conf`` names are installed."""
    return (FONT_FOLDER / "LiberationSans-Regular.ttf").is_file()


def launch(playwright: Playwright) -> Browser:
    """A headless browser; the caller closes it."""
    environment: dict[str, str | float | bool] = dict(os.environ)
    if has_fonts():
        environment["FONTCONFIG_FILE"] = str(FONTS)
    return playwright.chromium.launch(
        executable_path=program(), args=list(FLAGS), env=environment, timeout=PATIENCE * 1000
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser for as long as the block runs.

    Raises:
        NeedsChromium: there is none here.
    """
    lacking = missing()
    if lacking:
        raise NeedsChromium(lacking)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = launch(playwright)
        try:
            yield opened
        finally:
            opened.close()
