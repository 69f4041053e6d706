"""A real browser: Debian's chromium, driven by Playwright.

Where it is missing the tests are skipped with the reason; ``KEXTLAB_DEMAND_BROWSER=1`` turns that
into a failure. ``player`` opens a page of its own for a scene document and watches it: an error on
the console, an exception or a request that leaves the page fails the test that caused it.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kextlab.views import front

sys.path.insert(0, str(Path(__file__).parent))  # for `import scenes`

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def why_not() -> str:
    """Why no browser can be driven here; empty if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if shutil.which("chromium") is None:
        return "chromium is not installed"
    return ""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once; Any: playwright may not be installed."""
    reason = why_not()
    if reason:
        if os.environ.get("KEXTLAB_DEMAND_BROWSER") == "1":
            pytest.fail(f"KEXTLAB_DEMAND_BROWSER=1, but {reason}")
        pytest.skip(f"no browser: {reason}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS, headless=True
        )
        yield chromium
        chromium.close()


def page_of(doc: dict[str, Any], options: dict[str, Any], live: bool = False) -> str:
    """A page with one Scope; what it would send to Python is kept in ``window.sent``."""
    data = base64.b64encode(gzip.compress(json.dumps(doc).encode())).decode()
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Scope</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon" href="data:,">
<style>{front.css()}</style></head><body><main id="scope"></main><script type="module">
{front.bundle()}
window.sent = [];
unpack("{data}").then((doc) => {{
  const host = {{live: {json.dumps(live)}, options: {json.dumps(options)}}};
  if (host.live) {{ host.send = (m) => sent.push(m); host.on = (f) => (window.hear = f); }}
  window.scope = mount(document.getElementById("scope"), doc, host);
}});
</script></body></html>"""


def until(page: Any, condition: str) -> None:
    """Wait until a JavaScript condition holds; the page's policy forbids Playwright's own way."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {condition}")


@pytest.fixture
def player(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a scene document: ``player(doc, width=, dark=, still=, live=, **options)``."""
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
