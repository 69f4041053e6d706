"""Memory that a process touches, in a sentence: no call is made, so the log would not say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from kextlab.trace.events import Event
from kextlab.views import provenance
from kextlab.views.index import Index
from kextlab.views.told import Told
from kextlab.views.words import listed, some

MOST = 3
"""Windows named one by one."""


def touched(told: Callable[..., Told], seen: Index, event: Event) -> Told:
    """What there is to say of an event of kind ``touch``; ``told`` is the teller's."""
    text, world = sentence(seen, event)
    process = f"proc:{event.name}"
    one = told(event, world, text, "note", process, process, "memory")
    one.source = provenance.shown("memory")
    return one


def sentence(seen: Index, event: Event) -> tuple[str, str]:
    """The sentence for it, and the world it belongs to."""
    access, address, size, left = cast("tuple[str, int, int, int]", event.arguments)
    pid, who = int(event.name), seen.process(event.name)
    window = seen.windows.at(pid, address)
    if not size:
        why = "nothing is mapped there" if window is None else "the page is protected"
        return f"{who} cannot {access} at {address:#x}: {why}.", "loss"
    if left:
        whole = f"{who} has stored {some(size, 'byte')} at {address:#x}"
        return f"{whole}; {some(left, 'byte')} of the same value are still the old ones.", "data"
    text = f"{who} stores {some(size, 'byte')} at {address:#x}"
    if window is None:
        return f"{text}.", "user"
    if window.copied:
        return f"{text}: its first write, so it gets a copy of the page.", "data"
    others = seen.windows.others(window)
    if not others:
        return f"{text}.", "data"
    away = address - window.start + window.offset
    places = [
        f"{seen.process(one.pid)} at {one.start + away - one.offset:#x}"
        for one in others
        if 0 <= away - one.offset < one.size
    ]
    if len(places) > MOST:
        places[MOST:] = [some(len(places) - MOST, "other window")]
    if not places:
        return f"{text}.", "data"
    sees = "sees" if len(places) == 1 else "see"
    return f"{text}; {listed(places)} {sees} it, and no call was made.", "data"
