"""A Scope on a page, as somebody sees it who looks at the screen and has a keyboard.

Playwright is imported only when a browser is there, so that a machine without one can collect these
tests and skip them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PATIENCE = 30_000
"""Milliseconds until a condition that does not come true is called false. Machines may be busy."""
THEIRS = re.compile(r"^Plugin \S+ .*took .*ms to activate")
"""What JupyterLab complains of on a busy machine."""
OURS = ("127.0.0.1", "localhost", "[::1]")


def expect(what: Any) -> Any:
    """Playwright's assertions, which wait until they hold."""
    from playwright.sync_api import expect as expecting

    expecting.set_options(timeout=PATIENCE)
    return expecting(what)


@dataclass
class Watch:
    """What a page asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        self.page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not THEIRS.search(message.text):
            self.said.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def outside(self) -> list[str]:
        """Requests to anywhere else than this machine."""
        return [
            url
            for url in self.requests
            if url.partition(":")[0] not in ("file", "data", "blob", "about")
            and url.split("/")[2].rpartition(":")[0] not in OURS
        ]


class Shown:
    """One Scope: where it stands, and what one does to it."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.page = root.page
        self.position = root.locator(".pos b")
        self.scrubber = root.get_by_role("slider")
        self.scene = root.locator(".topology").first
        self.svg = root.locator(".topology svg[role=group]").first
        self.dialog = root.locator("dialog")
        self.notice = root.locator(".notice")

    def wait(self) -> Shown:
        """Until it is drawn."""
        expect(self.position).not_to_have_text("")
        return self

    @property
    def step(self) -> int:
        """The step it says it shows."""
        return int(self.position.inner_text().replace(",", ""))

    @property
    def sentence(self) -> str:
        """What happened in it."""
        return self.scrubber.get_attribute("aria-valuetext") or ""

    def at(self, step: int) -> None:
        """Wait until it shows this step."""
        expect(self.position).to_have_text(f"{step:,}")

    def focus(self) -> None:
        """Give it the keyboard, without choosing any of its controls."""
        self.root.evaluate("scope => scope.focus({preventScroll: true})")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, step: int) -> None:
        """Go to a step as a reader with a keyboard does."""
        self.focus()
        self.press("g")
        self.dialog.locator("input").fill(str(step))
        self.press("Enter")
        expect(self.dialog).to_have_count(0)

    def queues(self) -> dict[str, str]:
        """What each lane says of its queue, by the number of the socket."""
        found: list[list[str]] = self.scene.evaluate(
            """scene => [...scene.querySelectorAll('[data-key^="sock/"]')].map(
                node => [node.dataset.key.slice(5), node.getAttribute("aria-label")])"""
        )
        return dict(found)

    def active(self) -> str:
        """What the element that has the focus is called; empty if it is outside."""
        said: str = self.root.evaluate(
            """scope => {
                const node = scope.getRootNode().activeElement;
                if (!node) return "";
                return (node.getAttribute("aria-label") || node.textContent || "").trim();
            }"""
        )
        return said
