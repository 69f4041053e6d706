"""The echo: how long a message takes to the kext and back, beside two other ways to do it.

One round trip here is the client's send, the kext's ctl_send callback, its ctl_enqueuedata and
the client's recv, with everything recorded. A trace grows for as long as its kernel runs, so every
turn has a fresh kernel, as every lesson has.

The peers do the same work: a client sends, somebody else receives and sends back, the client
receives. AF_UNIX is what the host offers, real system calls from Python; SimPy is a simulator.
"""

from __future__ import annotations

import socket as host
from collections.abc import Callable, Generator
from typing import Any

from benchmarks.client import control_socket, echo_process
from benchmarks.measure import (
    INSTALL,
    BenchmarkError,
    Result,
    Subject,
    Target,
    interleave,
    optional,
    timed,
)
from kextlab.kexts import EchoKext

MESSAGE = bytes(range(64))
OURS = "kextlab"
UNIX = "AF_UNIX socketpair"
SIMPY = "SimPy stores"


def run(quick: bool) -> Result:
    """The benchmark ``echo``."""
    trips, rounds = (50, 1) if quick else (5_000, 25)
    subjects: dict[str, Subject] = {OURS: lambda: through_kernel(trips)}
    absent = {}
    if hasattr(host, "AF_UNIX"):
        subjects[UNIX] = lambda: through_unix(trips)
    else:
        absent[UNIX] = "this host has no AF_UNIX"
    simpy = optional("simpy")
    if simpy is not None:
        subjects[SIMPY] = lambda: through_simpy(simpy, trips)
    else:
        absent[SIMPY] = INSTALL
    ours, *peers = interleave(subjects, rounds)
    ratios = {peer.name: peer.median / ours.median for peer in peers}
    return Result(
        name="echo",
        operation=f"round trip of {len(MESSAGE)} bytes, recording on",
        unit="µs",
        seconds=1e-6,
        ours=ours,
        peers=tuple(peers),
        ratios=ratios,
        ratio_is="our rate over the peer's",
        method=f"{rounds} turns of {trips:,} round trips, each on a fresh kernel",
        targets=(
            Target("at least SimPy's rate", ratios.get(SIMPY), least=1.0),
            Target("at least 0.6 of AF_UNIX's rate", ratios.get(UNIX), least=0.6),
        ),
        absent=absent,
    )


def through_kernel(trips: int, recording: bool = True) -> float:
    """Seconds for a round trip through a kext on a fresh kernel."""
    _, app = echo_process(recording)
    s = control_socket(app)
    s.connect(EchoKext.control_name)
    return pace(s.send, s.recv, trips)


def pace(send: Callable[[bytes], object], recv: Callable[[int], bytes], trips: int) -> float:
    """Seconds for a send and a recv, after a tenth as many to warm up."""
    size = len(MESSAGE)

    def exchange(times: int) -> None:
        for _ in range(times):
            send(MESSAGE)
            reply = recv(size)
        if reply != MESSAGE:
            raise BenchmarkError(f"the echo of {MESSAGE!r} was {reply!r}")

    exchange(max(1, trips // 10))
    return timed(lambda: exchange(trips)) / trips


def through_unix(trips: int) -> float:
    """Seconds for a round trip over a socket pair of the host, both ends in this thread."""
    near, far = host.socketpair(host.AF_UNIX, host.SOCK_DGRAM)
    size = len(MESSAGE)

    def exchange(times: int) -> None:
        for _ in range(times):
            near.send(MESSAGE)
            far.send(far.recv(size))
            reply = near.recv(size)
        if reply != MESSAGE:
            raise BenchmarkError(f"the echo of {MESSAGE!r} was {reply!r}")

    with near, far:
        exchange(max(1, trips // 10))
        return timed(lambda: exchange(trips)) / trips


def through_simpy(simpy: Any, trips: int) -> float:
    """Seconds for a round trip between two SimPy processes over two stores."""
    env = simpy.Environment()
    there, back = simpy.Store(env), simpy.Store(env)
    Process = Generator[Any, Any, None]  # of SimPy events, which SimPy types loosely

    def server() -> Process:
        while True:
            message = yield there.get()
            yield back.put(message)

    def client(times: int) -> Process:
        for _ in range(times):
            yield there.put(MESSAGE)
            reply = yield back.get()
        if reply != MESSAGE:
            raise BenchmarkError(f"the echo of {MESSAGE!r} was {reply!r}")

    env.process(server())
    env.run(env.process(client(max(1, trips // 10))))
    work = env.process(client(trips))
    return timed(lambda: env.run(work)) / trips
