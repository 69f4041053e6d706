"""Scrubbing: what a step, a jump and the first display of a large story cost in the browser.

The story has 100,000 steps of trace and 200 connections. The standalone player shows it in
chromium; a step is a press of the right arrow, a jump a click somewhere on the scrubber, both real
input. What is counted is the main thread's busy time in the DevTools trace: every task from the
one that receives the input to the last before the next, so script, style, layout, painting,
garbage.

The peer is what a notebook does without Scope: a slider of ipywidgets whose observer redraws the
same queues with matplotlib and hands the PNG to an image widget. Its way to the browser, and the
browser's work with it, are not even counted.
"""

from __future__ import annotations

import io
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks import browser as chromium
from benchmarks.client import control_socket
from benchmarks.measure import BenchmarkError, Result, Series, Table, Target
from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.views import player, scene_document
from kextlab.views.patches import after

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Locator, Page

MSG_DONTWAIT = 0x80
OURS = "Scope, a step"
PEER = "ipywidgets + matplotlib"
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
TASK = "RunTask"
PAUSE = 120
"""Milliseconds between two inputs, in which what the last one caused comes to an end. The frames of
a motion that lasts longer are counted with the next input."""


def run(quick: bool) -> Result:
    """The benchmark ``scrub``.

    Raises:
        NeedsChromium: there is none here.
    """
    steps, clients, times = (3_000, 20, 5) if quick else (100_000, 200, 40)
    lacking = chromium.missing()
    if lacking:
        raise chromium.NeedsChromium(lacking)
    doc = scene_document(story(clients, steps), title=f"{clients} clients")
    page = player(doc)
    seen = display(page, times)
    moments = random.Random(5).sample(range(len(doc["moments"])), times)
    frames = redrawn(doc, moments)
    step = Series(OURS, tuple(seen.step))
    peer = Series(PEER, tuple(frames))
    megabytes = len(page.encode()) / 1e6
    return Result(
        name="scrub",
        operation=f"a step in a story of {doc['steps']:,} steps, {clients} connections",
        unit="ms",
        seconds=1e-3,
        ours=step,
        peers=(peer,),
        ratios={PEER: peer.median / step.median},
        ratio_is="the peer's time over ours",
        method=f"{times} steps and {times} random jumps, one after the other, in chromium",
        targets=(
            Target("a step at most 8 ms", step.median * 1e3, most=8.0),
            Target("a random jump at most 50 ms", statistics.median(seen.jump) * 1e3, most=50.0),
            Target("the first display at most 2 s", seen.first, most=2.0),
            Target("at most 8 MB sent", megabytes, most=8.0),
        ),
        tables=(
            Table(
                "busy",
                "Busy time of the main thread, ms",
                ("action", "median", "worst", "processor time, median"),
                (
                    _row("step on", seen.step, seen.step_cpu),
                    _row("step back", seen.back, seen.back_cpu),
                    _row("random jump", seen.jump, seen.jump_cpu),
                    _row("first display", [seen.first], [seen.first_cpu]),
                ),
            ),
            Table(
                "page",
                "What is sent",
                ("what", "MB"),
                (("the page", megabytes), ("moments", f"{len(doc['moments']):,}")),
            ),
        ),
    )


def _row(name: str, busy: Sequence[float], cpu: Sequence[float]) -> tuple[str | float, ...]:
    return name, statistics.median(busy) * 1e3, max(busy) * 1e3, statistics.median(cpu) * 1e3


def story(clients: int, steps: int) -> Kernel:
    """A machine with so many clients of an echo kext, some slower to read than to send."""
    mac = Kernel()
    mac.load(EchoKext)
    sockets = [control_socket(mac.spawn(f"client{n + 1}", uid=501)) for n in range(clients)]
    for s in sockets:
        s.connect(EchoKext.control_name)
    draw = random.Random(11)
    while len(mac.trace) < steps:
        s = draw.choice(sockets)
        try:
            if draw.random() < 0.55:
                s.send(bytes(draw.choice((64, 256, 1_024, 2_000))))
            else:
                s.recv(4_096, MSG_DONTWAIT)
        except OSError:  # full, or empty: both belong to the story
            continue
    return mac


# -- ours --------------------------------------------------------------------------------------


@dataclass
class Seen:
    """Seconds of the main thread for each action: busy by the clock, and of processor time."""

    first: float = 0.0
    first_cpu: float = 0.0
    step: list[float] = field(default_factory=list)
    step_cpu: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    back_cpu: list[float] = field(default_factory=list)
    jump: list[float] = field(default_factory=list)
    jump_cpu: list[float] = field(default_factory=list)


def display(page: str, times: int) -> Seen:
    """Open the page in chromium, step and jump."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder, chromium.browser() as browser:
        file = Path(folder) / "scrub.html"
        file.write_text(page, encoding="utf-8")
        tab = browser.new_page(viewport={"width": 1180, "height": 900})
        tab.set_default_timeout(chromium.PATIENCE * 1000)
        cdp = tab.context.new_cdp_session(tab)
        position = tab.locator(".pos b")
        scrubber = tab.get_by_role("slider")

        def opening() -> None:
            tab.goto(file.as_uri())
            position.wait_for()
            tab.wait_for_timeout(PAUSE * 4)

        tasks, _ = traced(cdp, tab, opening, "")
        seen.first, seen.first_cpu = (sum(column) for column in zip(*tasks, strict=True))

        box = scrubber.bounding_box()
        if box is None:
            raise BenchmarkError("the player shows no scrubber")
        left, wide, y = box["x"] + 150, box["width"] - 320, box["y"] + 20
        tab.mouse.click(left + wide / 2, y)
        for key, busy, cpu in (
            ("ArrowRight", seen.step, seen.step_cpu),
            ("ArrowLeft", seen.back, seen.back_cpu),
        ):
            before = scrubber.get_attribute("aria-valuenow")
            each = actions(cdp, tab, "keydown", times, lambda _, key=key: tab.keyboard.press(key))  # type: ignore[misc]
            moved = abs(_now(scrubber) - int(before or 0))
            if moved != times + 1:
                raise BenchmarkError(f"{times + 1} presses of {key} moved by {moved} moments")
            busy += [one for one, _ in each]
            cpu += [two for _, two in each]
        draw = random.Random(3)
        places = [left + wide * draw.random() for _ in range(times + 1)]
        each = actions(cdp, tab, "pointerdown", times, lambda at: tab.mouse.click(places[at], y))
        seen.jump, seen.jump_cpu = [one for one, _ in each], [two for _, two in each]
    return seen


def _now(scrubber: Locator) -> int:
    return int(scrubber.get_attribute("aria-valuenow") or -1)


def actions(
    cdp: CDPSession, tab: Page, event: str, times: int, act: Callable[[int], None]
) -> list[tuple[float, float]]:
    """Do it ``times`` times after one to warm up; seconds busy, and of processor time, for each."""

    def all_() -> None:
        for at in range(times + 1):
            act(at)
            tab.wait_for_timeout(PAUSE)

    _, each = traced(cdp, tab, all_, event)
    if len(each) != times + 1:
        raise BenchmarkError(f"{times + 1} inputs gave {len(each)} {event} events")
    return each[1:]


Times = list[tuple[float, float]]


def traced(cdp: CDPSession, tab: Page, act: Callable[[], None], event: str) -> tuple[Times, Times]:
    """The main thread's tasks while ``act`` runs, and their sums from one ``event`` to the next."""
    got: list[dict[str, Any]] = []
    done: list[object] = []

    def collect(part: dict[str, Any]) -> None:
        got.extend(part["value"])

    def end(about: object) -> None:
        done.append(about)

    cdp.on("Tracing.dataCollected", collect)
    cdp.on("Tracing.tracingComplete", end)
    cdp.send(
        "Tracing.start",
        {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": CATEGORIES}},
    )
    act()
    cdp.send("Tracing.end")
    deadline = perf_counter() + chromium.PATIENCE
    while not done:
        if perf_counter() > deadline:
            raise BenchmarkError("chromium did not hand out its trace")
        tab.wait_for_timeout(20)
    cdp.remove_listener("Tracing.dataCollected", collect)
    cdp.remove_listener("Tracing.tracingComplete", end)
    return tasks_of(got, event)


def tasks_of(events: Sequence[dict[str, Any]], event: str) -> tuple[Times, Times]:
    """Read a trace: seconds of each task of the busiest renderer's main thread, and their sums from
    each task in which ``event`` was dispatched to the next such task."""
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one.get("name") == "thread_name" and one["args"].get("name") == "CrRendererMain"
    }
    tasks: dict[tuple[int, int], list[tuple[float, float, float]]] = {main: [] for main in mains}
    for one in events:
        where = (one.get("pid"), one.get("tid"))
        if one.get("name") == TASK and one.get("ph") == "X" and where in tasks:
            times = one["ts"], one.get("dur", 0), one.get("tdur", 0)
            tasks[where].append(times)
    main = max(tasks, key=lambda key: sum(task[1] for task in tasks[key]), default=None)
    if main is None or not tasks[main]:
        raise BenchmarkError("the trace holds no task of a page's main thread")
    ordered = sorted(tasks[main])
    starts = sorted(
        one["ts"]
        for one in events
        if one.get("name") == "EventDispatch"
        and (one["pid"], one["tid"]) == main
        and one["args"]["data"]["type"] == event
    )
    sums: list[list[float]] = []
    at = 0
    for begun, wall, processor in ordered:
        if at < len(starts) and begun + wall >= starts[at]:
            sums.append([0.0, 0.0])
            while at < len(starts) and begun + wall >= starts[at]:
                at += 1
        if sums:
            sums[-1][0] += wall / 1e6
            sums[-1][1] += processor / 1e6
    return [(wall / 1e6, cpu / 1e6) for _, wall, cpu in ordered], [(a, b) for a, b in sums]


# -- the peer ----------------------------------------------------------------------------------


def redrawn(doc: dict[str, Any], moments: Sequence[int]) -> list[float]:
    """Seconds for each of those moments drawn by matplotlib behind a slider of ipywidgets.

    States are computed beforehand; only drawing and encoding are timed.
    """
    import ipywidgets
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    states = [after(doc, moment) for moment in moments]
    figure, axes = pyplot.subplots(figsize=(11.8, 6.2), dpi=100)
    slider = ipywidgets.IntSlider(min=-1, max=len(moments) - 1, value=-1)
    image = ipywidgets.Image(format="png")

    def redraw(change: dict[str, Any]) -> None:
        state = states[change["new"]]
        socks = [sock for sock in state["socks"].values() if sock["state"] == "connected"]
        axes.clear()
        axes.bar(range(len(socks)), [sock["rcv"]["cc"] for sock in socks], color="#0a6b5c")
        axes.plot([sock["rcv"]["hiwat"] for sock in socks], color="#454d58")
        axes.set_xlabel("unit")
        axes.set_ylabel("bytes queued")
        axes.set_title(doc["moments"][moments[change["new"]]]["text"], fontsize=9)
        out = io.BytesIO()
        figure.savefig(out, format="png")
        image.value = out.getvalue()

    slider.observe(redraw, "value")
    taken = []
    for at in range(len(moments)):
        start = perf_counter()
        slider.value = at
        taken.append(perf_counter() - start)
    pyplot.close(figure)
    if not bytes(image.value).startswith(b"\x89PNG"):
        raise BenchmarkError("matplotlib drew no picture")
    return taken
