"""The replay: steps of a corpus replayed and compared, beside parsing the same lines as JSON.

Replaying is most of what ``make test`` does with the recordings. Parsing is the least anybody who
reads them has to do.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from benchmarks.measure import BenchmarkError, Result, interleave, timed
from kextlab.scenario.recording import read
from kextlab.scenario.replay import replay

RELEASE = "xnu-11417.101.15"
CORPUS = Path(__file__).parents[1] / f"tests/conformance/corpus/{RELEASE}.jsonl.xz"
OURS = "replay"
JSON = "json.loads"


def run(quick: bool) -> Result:
    """The benchmark ``replay``."""
    rounds = 1 if quick else 5
    scenarios = read(CORPUS).scenarios[: 20 if quick else None]
    with lzma.open(CORPUS, "rt", encoding="utf-8") as stream:
        lines = stream.readlines()[1 : len(scenarios) + 1]
    steps = sum(len(scenario.steps) for scenario in scenarios)

    def replay_all() -> None:
        for scenario in scenarios:
            if replay(scenario, RELEASE).difference is not None:
                raise BenchmarkError(f"{scenario.name} differs from its recording: mend that first")

    def parse_all() -> None:
        for line in lines:
            json.loads(line)

    ours, peer = interleave(
        {OURS: lambda: timed(replay_all) / steps, JSON: lambda: timed(parse_all) / steps}, rounds
    )
    return Result(
        name="replay",
        operation="recorded step",
        unit="µs",
        seconds=1e-6,
        ours=ours,
        peers=(peer,),
        ratios={JSON: ours.median / peer.median},
        ratio_is="our time over the peer's",
        method=f"{rounds} turns of {steps:,} steps in {len(scenarios):,} scenarios ({RELEASE})",
    )
