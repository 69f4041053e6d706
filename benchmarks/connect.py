"""Connecting very many clients to one control, and what each of them takes.

XNU finds a free unit by walking the list of the control's clients, so each connect costs more than
the one before. Ours must give the same unit at a cost that does not grow: the clients are counted
in tenths, in the order of connecting. The peer is that walk, written in Python, over lists of
growing length; it is the search alone, without anything else a connect does.

Memory is measured in processes of their own (``benchmarks.memory``).
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.client import control_socket, echo_process
from benchmarks.measure import BenchmarkError, Result, Table, Target, interleave, timed
from kextlab.kexts import EchoKext

ROOT = Path(__file__).parents[1]
OURS = "kextlab"
SEARCHES = 20
"""How often the walk is timed at each length."""
FLAT = 1.5
"""The last tenth may cost this much of the first; a linear search would cost 19 times."""


def run(quick: bool) -> Result:
    """The benchmark ``connect``."""
    clients, rounds = (200, 1) if quick else (60_000, 3)
    sizes = tuple(clients * part // 60 for part in (1, 5, 10, 30, 60))
    lists = [Walk(size) for size in sizes]
    opens: list[list[float]] = []
    connects: list[list[float]] = []
    walks: list[list[float]] = []

    def ours() -> float:
        opened, took = connect(clients)
        opens.append(opened)
        connects.append(took)
        return statistics.mean(took)

    def peer() -> float:
        walks.append([search(walk, size) for walk, size in zip(lists, sizes, strict=True)])
        return walks[-1][-1]

    connect(clients // 20)  # the warm-up; a whole round would only be longer
    mine, walked = interleave(
        {OURS: ours, f"linear search among {clients:,}": peer}, rounds, warm_up=0
    )
    tenths, opened = medians(connects), medians(opens)
    flatness = statistics.median(took[-1] / took[0] for took in connects)
    held = 100 if quick else 10_000
    return Result(
        name="connect",
        operation=f"connect, the mean of {clients:,}, recording on",
        unit="µs",
        seconds=1e-6,
        ours=mine,
        peers=(walked,),
        ratios={walked.name: walked.median / mine.median},
        ratio_is="the peer's time over ours",
        method=f"{rounds} turns of {clients:,} connects, each on a fresh kernel; "
        f"the walk {SEARCHES} times at each length",
        targets=(Target(f"last tenth at most {FLAT} times the first", flatness, most=FLAT),),
        tables=(
            Table(
                "tenths",
                "Cost by tenth of the clients, in order, µs",
                ("clients", "socket()", "connect()"),
                tuple(
                    (f"to {clients * (i + 1) // 10:,}", opened[i] * 1e6, tenths[i] * 1e6)
                    for i in range(10)
                ),
            ),
            Table(
                "linear",
                "The linear search alone, µs",
                ("clients connected", "one search"),
                tuple(
                    (f"{size:,}", seconds * 1e6)
                    for size, seconds in zip(sizes, medians(walks), strict=True)
                ),
            ),
            Table(
                "memory",
                f"Memory for each connected client, bytes (tracemalloc, {held:,} clients)",
                ("", "bytes"),
                tuple((f"recording {switch}", memory(held, switch)) for switch in ("off", "on")),
            ),
        ),
    )


def medians(turns: list[list[float]]) -> list[float]:
    """Position by position, the median of the turns."""
    return [statistics.median(column) for column in zip(*turns, strict=True)]


def connect(clients: int) -> tuple[list[float], list[float]]:
    """Seconds for one socket() and one connect(), by tenths of the clients, on a fresh kernel."""
    mac, app = echo_process()
    sockets = []
    tenth = clients // 10
    opened, took = [], []
    gc.collect()  # once: later turns of the collector belong to the connects that caused them
    for _ in range(10):
        start = perf_counter()
        fresh = [control_socket(app) for _ in range(tenth)]
        between = perf_counter()
        for s in fresh:
            s.connect(EchoKext.control_name)
        end = perf_counter()
        opened.append((between - start) / tenth)
        took.append((end - between) / tenth)
        sockets += fresh
    connected = mac.statistics().kctl["pcbcount"]
    if connected != len(sockets):
        raise BenchmarkError(f"of {len(sockets)} clients {connected} are connected")
    return opened, took


def memory(clients: int, recording: str) -> float:
    """Bytes for each connected client, with recording ``on`` or ``off``, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", str(clients), recording]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


# -- the peer ----------------------------------------------------------------------------------


class Node:
    """A client in the list: its unit and the client after it."""

    __slots__ = ("next", "unit")

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.next: Node | None = None


class Walk:
    """A control's clients in one linked list, with the search read literally."""

    def __init__(self, clients: int) -> None:
        self.head: Node | None = None
        self.last_but_one: Node | None = None
        for unit in range(clients, 0, -1):
            node = Node(unit)
            node.next, self.head = self.head, node

    def connect(self) -> Node:
        """Find the first unit that is free, walking from the head, and put a client there."""
        unit, before = 1, None
        node = self.head
        while node is not None and node.unit <= unit:
            unit, before, node = node.unit + 1, node, node.next
        client = Node(unit)
        client.next = node
        if before is None:
            self.head = client
        else:
            before.next = client
        self.last_but_one = before
        return client

    def drop_last(self) -> None:
        """Take the client that was connected last, and stands last, out again."""
        if self.last_but_one is not None:
            self.last_but_one.next = None


def search(walk: Walk, clients: int) -> float:
    """Seconds for one walk past ``clients`` clients."""

    def walks() -> None:
        for _ in range(SEARCHES):
            if walk.connect().unit != clients + 1:
                raise BenchmarkError("the walk found another unit than the kernel")
            walk.drop_last()

    return timed(walks) / SEARCHES
