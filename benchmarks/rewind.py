"""Rewinding: the kernel's state at any step of a long trace.

200 clients echo datagrams until the trace has 100,000 steps; some read only now and then, so that
the queues hold data. Then the state is asked for at steps all over the trace, in a random order
that is the same for everybody.

Peers: adding up the same trace from its beginning, which is what a trace without checkpoints has
to do; and sqlite3 in memory, which holds every change as a row (``Trace.rows``) under an index
and is asked for the newest value of every field. A state that is not the one folded from the
beginning ends the run.
"""

from __future__ import annotations

import random
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.client import control_socket, echo_process
from benchmarks.measure import BenchmarkError, Result, Table, Target, interleave, timed
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.userland.socket import Socket

OURS = "trace.state(step)"
FOLD = "folding from the beginning"
SQLITE = "sqlite3"
CLIENTS = 200
AT_MOST = 50.0
"""ms for the state at any step, says issue 3."""
MESSAGE = bytes(64)

QUERY = """
    SELECT object, field, value FROM change WHERE NOT gone AND rowid IN
        (SELECT max(rowid) FROM change WHERE step < ? GROUP BY object, field)
"""


def run(quick: bool) -> Result:
    """The benchmark ``rewind``."""
    length, clients, turns = (3_000, 10, 3) if quick else (100_000, CLIENTS, 40)
    trace = long_trace(length, clients)
    first = timed(lambda: trace.state())
    steps = random.Random(3).sample(range(len(trace) + 1), turns)
    database = in_sqlite(trace)
    check(trace, database, steps[: 3 if quick else 5])

    def asked(read: Callable[[int], object]) -> Callable[[], float]:
        order: Iterator[int] = iter((steps[-1], *steps))  # one more: the warm-up
        return lambda: timed(partial(read, next(order)))

    ours, folded, queried = interleave(
        {
            OURS: asked(trace.state),
            FOLD: asked(lambda step: Folder().fold(trace.entries(0, step))),
            SQLITE: asked(lambda step: query(database, step)),
        },
        turns,
    )
    held = memory(trace)
    worst = max(ours.samples) * 1e3
    return Result(
        name="rewind",
        operation=f"state at a random one of {length:,} steps, {clients} connections",
        unit="ms",
        seconds=1e-3,
        ours=ours,
        peers=(folded, queried),
        ratios={peer.name: peer.median / ours.median for peer in (folded, queried)},
        ratio_is="the peer's time over ours",
        method=f"{turns} turns, each at another step of one trace",
        targets=(
            Target(f"median at most {AT_MOST:.0f} ms", ours.median * 1e3, most=AT_MOST),
            Target(f"slowest of {turns} at most {AT_MOST:.0f} ms", worst, most=AT_MOST),
        ),
        tables=(
            Table(
                "once",
                "What is paid once for the trace",
                ("what", "figure"),
                (
                    ("reading it for the first time, ms", first * 1e3),
                    ("memory of its checkpoints, bytes a step", held / len(trace)),
                    ("objects in its last state", float(len(trace.state()))),
                ),
            ),
        ),
    )


def long_trace(length: int, clients: int) -> Trace:
    """A trace of at least ``length`` steps of echoing clients."""
    mac, app = echo_process()
    sockets = [control_socket(app) for _ in range(clients)]
    for s in sockets:
        s.connect("org.kextlab.echo")
        s.setblocking(False)
    turn = 0
    while len(mac.trace) < length:
        for s in sockets:
            turn += 1
            s.send(MESSAGE)
            if turn % 3:
                s.recv(100)
            elif turn % 97 == 0:
                drain(s)
    return mac.trace


def drain(s: Socket) -> None:
    """Read until nothing is queued."""
    try:
        while s.recv(100):
            pass
    except BlockingIOError:
        pass


def in_sqlite(trace: Trace) -> sqlite3.Connection:
    """Every change of the trace as a row, under an index that finds the newest of a field."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE change (step, object, field, value, gone)")
    database.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows(trace))
    database.execute("CREATE INDEX newest ON change (object, field, step)")
    return database


def rows(trace: Trace) -> Iterator[tuple[int, str, str, object, bool]]:
    """The changes, each with whether its object is gone; a tuple is stored as its text."""
    folder = Folder()
    for entry in trace.entries():
        event = folder.step(entry)
        for c in event.changes:
            value = repr(c.new) if isinstance(c.new, tuple) else c.new
            yield event.step, c.object, c.field, value, c.object not in folder.state


def query(database: sqlite3.Connection, step: int) -> State:
    """The state at a step, from the rows."""
    state: State = {}
    for name, field, value in database.execute(QUERY, (step,)):
        state.setdefault(name, {})[field] = value
    return state


def check(trace: Trace, database: sqlite3.Connection, steps: Sequence[int]) -> None:
    """All three answer the same.

    Raises:
        BenchmarkError: they do not.
    """
    for step in steps:
        state = trace.state(step)
        plain = {
            name: {f: repr(v) if isinstance(v, tuple) else v for f, v in fields.items()}
            for name, fields in state.items()
        }
        if state != Folder().fold(trace.entries(0, step)) or plain != query(database, step):
            raise BenchmarkError(f"the states at step {step} differ: mend that first")


def memory(trace: Trace) -> int:
    """Bytes that the checkpoints of a trace take, beside its entries and their index."""
    fresh = Trace(recording=False)
    fresh._flat, fresh._starts = trace._flat, trace._starts
    tracemalloc.start()
    try:
        fresh.state()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
