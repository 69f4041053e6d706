"""Four ways from one kernel to many clients, and what each costs: a table and a figure.

The clients ask the kext themselves, or a broker; or they read a page the broker keeps, and are told
when it has changed; or they read data queues a driver fills. Counted as ``costs`` counts: entries
into the kernel, bytes it copied in and out of processes, sleepers it woke, calls of the kext. A
page or a queue that two have mapped is read and written without an entry, and the kernel copies
nothing for it between them; what a driver puts into a queue stays on its side of the boundary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from kextlab.kexts.status import StatusKext
from kextlab.kexts.status_driver import StatusDriver
from kextlab.userland import broker
from kextlab.userland import four_ways as pages
from kextlab.userland.mac import Kernel
from kextlab.views.costs import Costs, costs, in_columns
from kextlab.views.figure import LIGHT, drawn, plain
from kextlab.views.picture import Picture
from kextlab.views.svg import count
from kextlab.views.words import some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLIENT = "client"
SIZE = (8.9, 3.6)
"""Of the figure, in units of 72 px."""
WAYS = ("direct", "broker", "shared page", "data queue")
HEADS = ("crossings", "copied in", "copied out", "wake-ups", "callbacks")
"""The fields of ``Cost``."""
PANELS = (
    ("crossings", "user"),
    ("bytes copied in", "data"),
    ("bytes copied out", "data"),
    ("wake-ups", "user"),
    ("callbacks", "kern"),
)
"""The panels of the figure, in the order of ``HEADS``: what stands above, the hue."""
LEGEND = "filled: the clients' own part; outlined: together with the daemon, launchd, the refresher"


@dataclass(frozen=True)
class Ways:
    """What the ways cost.

    Attributes:
        clients: how many there were.
        times: how many tables each got.
        costs: by way.
    """

    clients: int
    times: int
    costs: Mapping[str, Costs]

    def one(self, way: str) -> tuple[float, ...]:
        """What one client had of it, in the order of ``Cost``: the clients' own cost, divided by
        their number."""
        mine = self.costs[way].by_name[CLIENT]
        return tuple(number / self.clients for number in astuple(mine))

    def __str__(self) -> str:
        what = f"{some(self.clients, 'client')}, {some(self.times, 'table')} each"
        rows: list[tuple[str, ...]] = [(what, *HEADS)]
        for way, found in self.costs.items():
            rows.append((way, *(f"{number:,}" for number in astuple(found.total))))
        rows.append(("of these, one client", *("" for _ in HEADS)))
        for way in self.costs:
            rows.append((f"  {way}", *(f"{number:,.10g}" for number in self.one(way))))
        return in_columns(rows)

    def figure(self) -> Picture:
        """A bar for each way, a panel for each thing that is counted; the part of it that the
        clients had themselves is filled."""
        clients, tables = some(self.clients, "client"), some(self.times, "table")
        title = f"What it costs when {clients} get {tables} each"
        words = f"{title}: everything together, and of that one client's own part.\n{self}"
        return Picture(title, words, drawn(self._draw, SIZE, title, words))

    def _draw(self, figure: Figure) -> None:
        panels = figure.subplots(1, len(PANELS), sharey=True)
        for at, (axes, (head, hue)) in enumerate(zip(panels, PANELS, strict=True)):
            self._panel(axes, at, head, hue)
        figure.supxlabel(LEGEND, color=LIGHT["ink2"], size=11)

    def _panel(self, axes: Axes, at: int, head: str, hue: str) -> None:
        everybody = [astuple(found.total)[at] for found in self.costs.values()]
        mine = [astuple(found.by_name[CLIENT])[at] for found in self.costs.values()]
        plain(axes, "x")
        axes.set_title(head, color=LIGHT["ink"], size=11, loc="left")
        places = range(len(everybody))
        ground = LIGHT[f"{hue}-bg"]
        axes.barh(places, everybody, 0.56, color=ground, edgecolor=LIGHT[hue], linewidth=1)
        axes.barh(places, mine, 0.56, color=LIGHT[hue], linewidth=0)
        for place, number in zip(places, everybody, strict=True):
            axes.annotate(
                count(number),
                (number, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                color=LIGHT["ink2"],
            )
        axes.set_yticks(places, list(self.costs), color=LIGHT["ink"])
        axes.invert_yaxis()
        axes.set_xlim(0, max(*everybody, 1) * 1.8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)


def four_ways(clients: int = 10, times: int = 1) -> Ways:
    """So many clients get a table of 1,000 bytes so many times, each way on a Mac of its own.

    Who asks gets it as often as it asks. The page changes, and a table is published, once more
    when all clients have had the one before; the page's daemon is asked to read the kernel again
    by a process of root, ``refresher``. Counted from the first client's first call on, to the end
    of the last; making the page and the queues is part of it.

    Raises:
        ValueError: fewer than one client or table.
    """
    if clients < 1 or times < 1:
        raise ValueError(f"clients = {clients}, times = {times}: expected 1 or more of each")
    runs = (_direct, _broker, _page, _queue)
    found = {way: run(clients, times) for way, run in zip(WAYS, runs, strict=True)}
    return Ways(clients, times, found)


def _direct(clients: int, times: int) -> Costs:
    mac = Kernel()
    mac.load(lambda: StatusKext(privileged=False))
    start = len(mac.trace)
    for _ in range(clients):
        mac.spawn(CLIENT).run(broker.direct, times)
    mac.run()
    return costs(mac.trace, start)


def _broker(clients: int, times: int) -> Costs:
    mac = Kernel()
    mac.load(StatusKext)
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    start = len(mac.trace)
    for _ in range(clients):
        mac.spawn(CLIENT).run(broker.ask, broker.READ, times)
    mac.run()
    return costs(mac.trace, start)


def _page(clients: int, times: int) -> Costs:
    mac = Kernel()
    mac.load(StatusKext)
    mac.launchd.load(pages.PLIST, {broker.PATH: pages.PageBroker()})
    start = len(mac.trace)
    for _ in range(clients):
        mac.spawn(CLIENT).run(pages.watch, times)
    mac.run()
    for _ in range(times - 1):
        mac.spawn("refresher", uid=0).run(broker.ask, broker.REFRESH, 1, pages.PAGE_SERVICE)
        mac.run()
    return costs(mac.trace, start)


def _queue(clients: int, times: int) -> Costs:
    mac = Kernel()
    driver = mac.iokit.add_driver(StatusDriver)
    start = len(mac.trace)
    for _ in range(clients):
        mac.spawn(CLIENT).run(pages.drain, times)
    mac.run()
    for _ in range(times):
        driver.publish()
        mac.run()
    return costs(mac.trace, start)
