"""The functions with which a kext queues data, and how much a call of one offers."""

from __future__ import annotations

from typing import cast

from kextlab.trace.events import Event
from kextlab.trace.fold import State

ENQUEUES = ("ctl_enqueuedata", "ctl_enqueuembuf", "ctl_enqueuembuf_list")


def offered(state: State, event: Event) -> int:
    """How many bytes an enqueue offers."""
    if event.name == "ctl_enqueuedata":
        return cast(int, event.arguments[3])
    total = 0
    packet = cast(int, event.arguments[2])
    while packet:
        link = packet
        while link:
            total += len(cast(bytes, state[f"mbuf:{link}"]["m_data"]))
            link = cast(int, state[f"mbuf:{link}"]["m_next"])
        packet = cast(int, state[f"mbuf:{packet}"]["m_nextpkt"])
    return total
