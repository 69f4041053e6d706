"""The trace: what recording adds to an echo."""

from __future__ import annotations

from benchmarks.echo import MESSAGE, through_kernel
from benchmarks.measure import Result, Target, interleave

ON = "recording on"
OFF = "recording off"


def run(quick: bool) -> Result:
    """The benchmark ``trace``."""
    trips, rounds = (50, 1) if quick else (5_000, 25)
    ours, peer = interleave(
        {ON: lambda: through_kernel(trips), OFF: lambda: through_kernel(trips, recording=False)},
        rounds,
    )
    ratio = ours.median / peer.median
    return Result(
        name="trace",
        operation=f"round trip of {len(MESSAGE)} bytes",
        unit="µs",
        seconds=1e-6,
        ours=ours,
        peers=(peer,),
        ratios={OFF: ratio},
        ratio_is="time with recording over time without",
        method=f"{rounds} turns of {trips:,} round trips, each on a fresh kernel",
        targets=(Target("recording costs at most 1.8 times", ratio, most=1.8),),
    )
