"""Following a cell: how long after an event in a cell it can be seen in the notebook.

A real JupyterLab, started as `kextlab lab` starts it, and a notebook in chromium. A cell notes the
time and makes a client send a message; what is timed ends when the page has painted the frame in
which Scope shows the new step. In between lie the kernel's message, the server's two sockets, the
unpacking, a step of Scope and its painting. Both clocks are this machine's.

The peer is the least a widget can do: an ipywidgets label whose text is set by the cell. Neither
cell displays a value: drawing an output is JupyterLab's, and would be counted with one of the two.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks import browser as chromium
from benchmarks.jupyterlab import Lab, lab, notebook
from benchmarks.measure import BenchmarkError, Result, Series, Target

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

OURS = "Scope"
PEER = "ipywidgets label"
NAME = "live.ipynb"
CELLS = (
    """\
import json, time
import ipywidgets
from IPython.display import display
from kextlab import Kernel, Scope
from kextlab.kexts import EchoKext

mac = Kernel()
mac.load(EchoKext)
app = mac.spawn("client", uid=501)
socket = app.socket
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect(EchoKext.control_name)
events, labels = [], []
label = ipywidgets.Label("nothing")
display(label)
Scope(mac, title="live")""",
    "events.append(time.time()); s.send(bytes(64)); _ = s.recv(100)",
    "labels.append(time.time()); label.value = f'event {len(labels)}'",
    "json.dumps([events, labels])",
)
# Notes when a change of each of the two texts has been painted: in the task after its frame.
WATCH = """() => {
    const roots = [...document.querySelectorAll("[data-kextlab-scope] *")]
        .map(n => n.shadowRoot).filter(Boolean);
    const position = roots[0].querySelector(".pos b");
    const label = document.querySelector(".widget-label");
    window.painted = {scope: [], label: []};
    const watch = (node, list) => new MutationObserver(() => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () =>
            list.push((performance.timeOrigin + performance.now()) / 1000);
        channel.port2.postMessage(0);
    })).observe(node, {childList: true, characterData: true, subtree: true});
    watch(position, window.painted.scope);
    watch(label, window.painted.label);
}"""


def run(quick: bool) -> Result:
    """The benchmark ``live``.

    Raises:
        NeedsChromium: there is none here.
    """
    times = 3 if quick else 60
    lacking = chromium.missing()
    if lacking:
        raise chromium.NeedsChromium(lacking)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / NAME).write_text(notebook(CELLS), encoding="utf-8")
        with lab(folder, NAME) as server, chromium.browser() as browser:
            tab = browser.new_page(viewport={"width": 1400, "height": 1000})
            tab.set_default_timeout(chromium.PATIENCE * 1000)
            tab.goto(server.url(NAME))
            scope, label = measured(tab, server, times)
    ours, peer = Series(OURS, tuple(scope)), Series(PEER, tuple(label))
    return Result(
        name="live",
        operation="from a cell's event to its being seen in JupyterLab",
        unit="ms",
        seconds=1e-3,
        ours=ours,
        peers=(peer,),
        ratios={PEER: ours.median / peer.median},
        ratio_is="our time over the peer's",
        method=f"{times} cells run for each, in turns, one after the other",
        targets=(Target("median under 50 ms", statistics.median(scope) * 1e3, most=50.0),),
    )


def measured(tab: Page, server: Lab, times: int) -> tuple[list[float], list[float]]:
    """Seconds from event to paint, of Scope and of the label."""
    cells = tab.locator(".jp-Notebook .jp-CodeCell")
    cells.first.wait_for()
    until(tab, "the notebook's kernel to be idle", lambda: idle(server))
    execute(tab, cells.nth(0))
    tab.locator("[data-kextlab-scope] .pos b").wait_for()
    tab.evaluate(WATCH)
    counts = {"scope": 0, "label": 0}
    for turn in range(times + 1):
        for at, kind in ((1, "scope"), (2, "label")):
            execute(tab, cells.nth(at))
            counts[kind] += 1
            wanted = counts[kind]
            until(
                tab,
                f"the {kind} to show event {wanted}",
                lambda kind=kind, wanted=wanted: painted(tab, kind) >= wanted,  # type: ignore[misc]
            )
            if painted(tab, kind) != wanted:
                raise BenchmarkError(f"turn {turn}: the {kind} changed more than once for an event")
    execute(tab, cells.nth(3))
    said = cells.nth(3).locator(".jp-OutputArea-output pre").inner_text()
    events, labels = json.loads(said.strip("'\" \n"))
    seen = tab.evaluate("window.painted")
    return taken(events, seen["scope"]), taken(labels, seen["label"])


def taken(begun: list[float], ended: list[float]) -> list[float]:
    """What each took, without the first, which warms up."""
    spans = [end - begin for begin, end in zip(begun, ended, strict=True)][1:]
    if min(spans) <= 0:
        raise BenchmarkError("an event was seen before it happened: the clocks do not agree")
    return spans


def painted(tab: Page, kind: str) -> int:
    """How many changes have been painted."""
    many: int = tab.evaluate("kind => window.painted[kind].length", kind)
    return many


def idle(server: Lab) -> bool:
    """Whether a page is connected to the one kernel and it has nothing to do."""
    kernels: list[dict[str, Any]] = json.loads(server.ask("/api/kernels"))
    return any(one["connections"] and one["execution_state"] == "idle" for one in kernels)


def execute(tab: Page, cell: Locator) -> None:
    """Run a cell, and wait until it is done."""
    prompt = cell.locator(".jp-InputPrompt")
    prompt.click()
    prompt.evaluate("node => { node.textContent = ''; }")
    tab.keyboard.press("Control+Enter")
    until(tab, "a cell to end", lambda: prompt.inner_text().strip("[]: ").isdigit())


def until(tab: Page, what: str, true: Callable[[], bool]) -> None:
    """Wait for a condition.

    Raises:
        BenchmarkError: it never came true.
    """
    deadline = perf_counter() + chromium.PATIENCE
    while not true():
        if perf_counter() > deadline:
            raise BenchmarkError(f"waited {chromium.PATIENCE:.0f} s for {what}")
        tab.wait_for_timeout(20)
