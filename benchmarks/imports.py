"""The import: what ``import kextlab`` adds to the start of Python.

Measured from outside, as a user feels it: fresh interpreters are started in turns and timed until
they have ended. Byte code is cached by the warm-up. The first cell of every notebook, which needs
the whole simulator, stands beside it, and SimPy for scale.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import (
    INSTALL,
    BenchmarkError,
    Result,
    Series,
    Subject,
    Table,
    Target,
    interleave,
    optional,
    timed,
)

ROOT = Path(__file__).parents[1]
OURS = "import kextlab"
BARE = "bare Python"
SIMPY = "import simpy"
CELL = "the first cell"
PROGRAMS = {
    OURS: "import kextlab",
    BARE: "pass",
    CELL: "from kextlab import Kernel; from kextlab.kexts import EchoKext; Kernel().load(EchoKext)",
    SIMPY: "import simpy",
}
MOST = 0.060


def run(quick: bool) -> Result:
    """The benchmark ``import``."""
    rounds = 2 if quick else 41
    absent = {} if optional("simpy") else {SIMPY: INSTALL}
    subjects = {name: starter(code) for name, code in PROGRAMS.items() if name not in absent}
    ours, *peers = interleave(subjects, rounds)
    bare = peers[0]
    added = {series.name: difference(series, bare) for series in (ours, *peers[1:])}
    return Result(
        name="import",
        operation="start and end of an interpreter",
        unit="ms",
        seconds=1e-3,
        ours=ours,
        peers=tuple(peers),
        ratios={peer.name: ours.median / peer.median for peer in peers},
        ratio_is="our time over the peer's",
        method=f"{rounds} turns of one fresh process each",
        targets=(
            Target("at most 60 ms more than bare Python", added[OURS] * 1e3, most=MOST * 1e3),
        ),
        tables=(
            Table(
                "added",
                "Added to bare Python (median of the differences, turn by turn)",
                ("program", "ms"),
                tuple((name, seconds * 1e3) for name, seconds in added.items()),
            ),
        ),
        absent=absent,
    )


def starter(code: str) -> Subject:
    """Start a fresh interpreter that runs ``code``; seconds until it has ended."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]

    def start() -> None:
        done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise BenchmarkError(f"{code!r} failed: {done.stderr.strip().splitlines()[-1]}")

    return lambda: timed(start)


def difference(series: Series, base: Series) -> float:
    """The median of what ``series`` took more than ``base`` in the same turn, in seconds."""
    pairs = zip(series.samples, base.samples, strict=True)
    return statistics.median(mine - theirs for mine, theirs in pairs)
