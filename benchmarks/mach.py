"""Mach: a message and its answer beside the echo through a kext, a shared page beside a message,
and names by the hundred thousand.

``mach_msg``: a client sends 64 bytes with a right to reply (MAKE_SEND_ONCE), the server receives,
answers to that right, and the client receives: four calls, the message as bytes, everything
recorded. The peer is the echo of benchmark ``echo``, two calls and two callbacks.

``shared_page``: one task stores 4 KB in memory it shares, another loads them. The peer carries the
same bytes in the body of a message from one task to the other. Both as programs do it, with the
process's ``mach`` module.

``names``: what allocating a receive right, asking for its type and destroying one cost, by tenths,
in a task whose names only grow. The peer is a Python dict of as many entries.
"""

from __future__ import annotations

import statistics
from time import perf_counter

from benchmarks.echo import MESSAGE, through_kernel
from benchmarks.measure import BenchmarkError, Result, Table, Target, interleave
from kextlab import Kernel
from kextlab.abi import mach as m
from kextlab.abi.mach_messages import (
    MACH_MSGH_BITS,
    MachMsgHeader,
    PortDescriptor,
    pack_message,
)
from kextlab.userland.mach import Message
from kextlab.userland.process import App

OURS = "mach_msg"
ECHO = "echo through a kext"
BITS = MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
REPLY_PORT = slice(8, 12)  # msgh_remote_port


def run_messages(quick: bool) -> Result:
    """The benchmark ``mach_msg``."""
    trips, rounds = (50, 1) if quick else (2_000, 15)
    ours, echo = interleave(
        {OURS: lambda: there_and_back(trips), ECHO: lambda: through_kernel(trips)}, rounds
    )
    ratio = echo.median / ours.median
    return Result(
        name="mach_msg",
        operation=f"round trip of {len(MESSAGE)} bytes, recording on",
        unit="µs",
        seconds=1e-6,
        ours=ours,
        peers=(echo,),
        ratios={ECHO: ratio},
        ratio_is="our rate over the peer's",
        method=f"{rounds} turns of {trips:,} round trips, each on a fresh kernel",
        targets=(Target("at most 1.5 times the echo", 1 / ratio, most=1.5),),
    )


def there_and_back(trips: int) -> float:
    """Seconds for a message and its answer on a fresh kernel."""
    mac = Kernel()
    pid = mac.spawn("client").pid
    traps = mac.mach_traps
    _, service = traps.port_allocate(pid, m.MACH_PORT_RIGHT_RECEIVE)
    _, reply = traps.port_allocate(pid, m.MACH_PORT_RIGHT_RECEIVE)
    traps.port_insert_right(pid, service, service, m.MACH_MSG_TYPE_MAKE_SEND)
    request = pack_message(MachMsgHeader(BITS, 0, service, reply, 0, 7), [], MESSAGE)
    once = MachMsgHeader(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0, 1, 0, 0, 8)
    answer = pack_message(once, [], MESSAGE)
    head, tail = answer[: REPLY_PORT.start], answer[REPLY_PORT.stop :]
    got = b""
    start = perf_counter()
    for _ in range(trips):
        traps.mach_msg(pid, request, m.MACH_SEND_MSG)
        _, got = traps.mach_msg(pid, None, m.MACH_RCV_MSG, 4096, service)
        traps.mach_msg(pid, head + got[REPLY_PORT] + tail, m.MACH_SEND_MSG)
        _, got = traps.mach_msg(pid, None, m.MACH_RCV_MSG, 4096, reply)
    took = perf_counter() - start
    if MESSAGE not in got:
        raise BenchmarkError("the answer did not come back")
    return took / trips


PAGE = 4096
SHARED = "4 KB stored and loaded"
CARRIED = "4 KB in a message"


def run_shared_page(quick: bool) -> Result:
    """The benchmark ``shared_page``."""
    times, rounds = (50, 1) if quick else (2_000, 15)
    ours, carried = interleave(
        {SHARED: lambda: shared(times), CARRIED: lambda: in_a_message(times)}, rounds
    )
    return Result(
        name="shared_page",
        operation=f"{PAGE:,} bytes from one task to another, recording on",
        unit="µs",
        seconds=1e-6,
        ours=ours,
        peers=(carried,),
        ratios={CARRIED: ours.median / carried.median},
        ratio_is="our time over the peer's",
        method=f"{rounds} turns of {times:,} times, each on a fresh kernel",
        targets=(Target("at most a fifth of a message", ours.median / carried.median, most=0.2),),
    )


def two_tasks() -> tuple[App, App, int, int]:
    """A server and a client, the server's receive right, and the client's send right to it."""
    mac = Kernel()
    server, client = mac.spawn("server", uid=0), mac.spawn("client")
    service = server.mach.bootstrap_check_in("org.kextlab.page")
    return server, client, service, client.mach.bootstrap_look_up("org.kextlab.page")


def shared(times: int) -> float:
    """Seconds for 4 KB through a page that both tasks map."""
    server, client, service, right = two_tasks()
    here = client.mach.mach_vm_allocate(PAGE)
    size, entry = client.mach.mach_make_memory_entry_64(PAGE, here, m.VM_PROT_DEFAULT)
    client.mach.mach_msg(
        Message(
            msgh_bits=m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX,
            msgh_remote_port=right,
            descriptors=[PortDescriptor(entry, m.MACH_MSG_TYPE_MOVE_SEND)],
        ),
        m.MACH_SEND_MSG,
    )
    got = server.mach.mach_msg(None, m.MACH_RCV_MSG, 256, service)
    handle = got.descriptors[0].name
    rights = (m.VM_PROT_DEFAULT, m.VM_PROT_DEFAULT, m.VM_INHERIT_NONE)
    there = server.mach.mach_vm_map(0, size, 0, m.VM_FLAGS_ANYWHERE, handle, 0, False, *rights)
    datas = [bytes([fill]) * PAGE for fill in range(8)]
    seen = b""
    start = perf_counter()
    for at in range(times):
        client.mach.store(here, datas[at % 8])
        seen = server.mach.load(there, PAGE)
    took = perf_counter() - start
    if seen != datas[(times - 1) % 8]:
        raise BenchmarkError("what was stored was not seen")
    return took / times


def in_a_message(times: int) -> float:
    """Seconds for 4 KB in the body of a message."""
    server, client, service, right = two_tasks()
    datas = [bytes([fill]) * PAGE for fill in range(8)]
    seen = None
    start = perf_counter()
    for at in range(times):
        message = Message(
            msgh_bits=m.MACH_MSG_TYPE_COPY_SEND, msgh_remote_port=right, body=datas[at % 8]
        )
        client.mach.mach_msg(message, m.MACH_SEND_MSG)
        seen = server.mach.mach_msg(None, m.MACH_RCV_MSG, 2 * PAGE, service)
    took = perf_counter() - start
    if seen is None or seen.body != datas[(times - 1) % 8]:
        raise BenchmarkError("what was sent did not arrive")
    return took / times


NAMES = "a name: allocate, type, destroy"
DICT = "an entry of a dict"
FLAT = 1.5
"""The last tenth may cost this much of the first."""


def run_names(quick: bool) -> Result:
    """The benchmark ``names``."""
    many, rounds = (500, 1) if quick else (100_000, 3)
    tenths: list[list[float]] = []

    def ours() -> float:
        tenths.append(names(many))
        return statistics.mean(tenths[-1])

    names(many // 20)  # the warm-up
    mine, peer = interleave({NAMES: ours, DICT: lambda: entries(many)}, rounds, warm_up=0)
    medians = [statistics.median(column) for column in zip(*tenths, strict=True)]
    edges = [f"to {(part + 1) * many // 10:,}" for part in range(10)]
    return Result(
        name="names",
        operation=f"a name, the mean of {many:,}, recording on",
        unit="µs",
        seconds=1e-6,
        ours=mine,
        peers=(peer,),
        ratios={DICT: mine.median / peer.median},
        ratio_is="our time over the peer's",
        method=f"{rounds} turns of {many:,} names, each on a fresh kernel",
        targets=(
            Target("last tenth at most 1.5 times the first", medians[-1] / medians[0], most=FLAT),
        ),
        tables=(
            Table(
                "tenths",
                "Cost by tenth of the names, in order, µs",
                ("names", "a name"),
                tuple((edge, cost * 1e6) for edge, cost in zip(edges, medians, strict=True)),
            ),
        ),
    )


def names(many: int) -> list[float]:
    """Seconds a name for each tenth: one that stays, and one that is destroyed at once."""
    mac = Kernel()
    pid = mac.spawn("client").pid
    traps = mac.mach_traps
    costs = []
    for _ in range(10):
        start = perf_counter()
        for _ in range(many // 10):
            _, name = traps.port_allocate(pid, m.MACH_PORT_RIGHT_RECEIVE)
            traps.port_type(pid, name)
            _, gone = traps.port_allocate(pid, m.MACH_PORT_RIGHT_RECEIVE)
            traps.port_destroy(pid, gone)
        costs.append((perf_counter() - start) / max(1, many // 10))
    return costs


def entries(many: int) -> float:
    """Seconds for an entry of a dict: one that stays, and one that goes at once."""
    table: dict[int, object] = {}
    start = perf_counter()
    for at in range(many):
        table[at] = object()
        assert at in table
        table[-1] = object()
        del table[-1]
    return (perf_counter() - start) / many
