"""A notebook open in JupyterLab, as somebody sees it who runs its cells."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from benchmarks.jupyterlab import Lab, notebook
from tests.browser.shown import PATIENCE, Shown, expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MACHINE = """\
from kextlab import Kernel, Scope
from kextlab.kexts import EchoKext

mac = Kernel()
mac.load(EchoKext)
app = mac.spawn("client", uid=501)
socket = app.socket
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect("org.kextlab.echo")
Scope(mac, title="live")"""
LIVE = (
    MACHINE,
    "s.send(b'hello')",
    "s.recv(100)",
    "for _ in range(5): s.send(bytes(2000))",
    "'the last cell'",
)


class Notebook:
    """One notebook in one page."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        self.lab = lab
        self.name = name
        self.cells = page.locator(".jp-Notebook .jp-CodeCell")

    def open(self) -> Notebook:
        """Open it and wait for its kernel."""
        self.page.goto(self.lab.url(self.name))
        return self.ready()

    def ready(self) -> Notebook:
        """Until the cells are there and the kernel, to which the page is connected, is idle.

        A cell that is run before that is not run at all; JupyterLab says nothing.
        """
        expect(self.cells.first).to_be_visible()
        deadline = time.monotonic() + PATIENCE / 1000
        while not self._connected():
            assert time.monotonic() < deadline, f"no page is connected to the kernel of {self.name}"
            self.page.wait_for_timeout(50)
        expect(self.page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute(
            "data-status", "idle"
        )
        return self

    def _sessions(self) -> list[dict[str, Any]]:
        """What the server says of this notebook's kernel."""
        all_: list[dict[str, Any]] = json.loads(self.lab.ask("/api/sessions"))
        return [one for one in all_ if one["path"] == self.name]

    def _connected(self) -> bool:
        return any(
            one["kernel"]["connections"] > 0 and one["kernel"]["execution_state"] == "idle"
            for one in self._sessions()
        )

    def select(self, cell: int) -> Locator:
        """Make that cell the active one, in command mode."""
        chosen = self.cells.nth(cell)
        chosen.locator(".jp-InputPrompt").click()
        expect(chosen).to_contain_class("jp-mod-active")
        return chosen

    def run(self, cell: int) -> None:
        """Run it and wait until it is done."""
        prompt = self.cells.nth(cell).locator(".jp-InputPrompt")
        self.select(cell)
        # A new kernel gives the number that stands there already; wiped, it is seen to be new.
        prompt.evaluate("node => { node.textContent = ''; }")
        self.page.keyboard.press("Shift+Enter")
        expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"))

    def theme(self, name: str) -> None:
        """Choose one of JupyterLab's themes from its palette of commands."""
        self.page.keyboard.press("Control+Shift+c")
        palette = self.page.locator("#command-palette")
        palette.locator("input").fill(f"Use Theme: {name}")
        label = re.compile(rf"^Use Theme: {re.escape(name)}$")
        palette.locator(".lm-CommandPalette-itemLabel", has_text=label).click()

    def scope(self, cell: int = 0) -> Shown:
        """The Scope in that cell's output, drawn."""
        return Shown(self.cells.nth(cell).locator(".jp-OutputArea .scope")).wait()

    def active(self) -> int:
        """Which cell is the active one."""
        at: int = self.page.locator(".jp-Notebook .jp-mod-active.jp-Cell").evaluate(
            "cell => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].indexOf(cell)"
        )
        return at

    def scrolled(self) -> float:
        """How far the notebook is scrolled."""
        top: float = self.page.evaluate(
            """() => {
                const all = [
                    ...document.querySelectorAll(".jp-NotebookPanel, .jp-NotebookPanel *")];
                return all.filter(node => node.querySelector(".jp-Cell"))
                    .reduce((sum, node) => sum + node.scrollTop, 0);
            }"""
        )
        return top

    def save(self) -> dict[str, Any]:
        """Save it; what is in the file then."""
        self.select(0)
        with self.page.expect_response(
            lambda answer: answer.request.method == "PUT" and self.name in answer.url
        ):
            self.page.keyboard.press("Control+s")
        stored: dict[str, Any] = json.loads((self.lab.folder / self.name).read_text("utf-8"))
        return stored

    def stop_kernel(self) -> None:
        """End the kernel, as a restart of the server would."""
        for session in self._sessions():
            self.lab.ask(f"/api/sessions/{session['id']}", "DELETE")


def write(lab: Lab, name: str, cells: tuple[str, ...] = LIVE) -> None:
    """A fresh notebook in the lab's folder."""
    (lab.folder / name).write_text(notebook(cells), encoding="utf-8")
