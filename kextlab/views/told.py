"""What a teller says of one step, and the open call it may have happened in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kextlab.trace.events import Event
from kextlab.views.parts import Part
from kextlab.views.payload import Payload
from kextlab.views.provenance import Source


@dataclass(slots=True)
class Frame:
    """An open call.

    Attributes:
        event: what opened it.
        actor: the pid or the kext.
        place: the lifeline it runs on.
        size: bytes offered or sent.
        socket: the socket it is about, 0 if none.
        taken: bytes that left the socket's receive queue to its reader.
        local: whether it is about a socket of AF_UNIX.
        refused_inside: errnos callbacks answered, with the callback's name.
        unnoticed: bytes the kernel refused a kext inside.
        slept: whether it slept, or another task ran meanwhile.
        moment: whoever numbers what is told keeps the number here.
        held: what is told once this call is.
    """

    event: Event
    actor: str
    place: str
    size: int = 0
    socket: int = 0
    taken: int = 0
    local: bool = False
    refused_inside: dict[int, str] = field(default_factory=dict)
    unnoticed: int = 0
    slept: bool = False
    moment: int | None = None
    held: list[Told] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """A sentence about one step, and what a picture of it needs.

    Attributes:
        step: the step it tells of.
        world: ``user``, ``kern``, ``data`` (bytes were queued or delivered) or ``loss``.
        text: the sentence.
        kind: ``call``, ``return``, ``refusal``, ``note`` or ``panic``.
        sender, receiver: lifelines. Of a refusal: who asked, and who refused.
        label: the words on the arrow; ``via``: the routine behind the boundary.
        back: a refusal whose way there was told before: only the way back is new.
        frame: the call it opens; ``inside``: the call it happened in.
        source, errno, why: of an answer.
        socket: the socket it is about, 0 if none.
        payload: the bytes concerned.
        mark: (bytes, errno or "lost") that did not get into the socket's queue.
        peer: the socket whose queue that is, if it is another.
        parts: the fields of the payload where they depend on the state, as those of a Mach message.
        about: what stands beside it in the inspector, as of this step: (what, value).
    """

    step: int
    world: str
    text: str
    kind: str
    sender: str
    receiver: str
    label: str = ""
    via: str = ""
    back: bool = False
    depth: int = 0
    task: int = 0
    frame: Frame | None = None
    inside: Frame | None = None
    source: Source | None = None
    errno: str = ""
    why: str = ""
    socket: int = 0
    payload: Payload | None = None
    mark: tuple[int, str] | None = None
    peer: int = 0
    parts: list[Part] = field(default_factory=list)
    about: list[tuple[str, str]] = field(default_factory=list)


Make = Callable[[Event, str, str, str, str, str, str], Told]
"""A moment of an event: world, text, kind, sender, receiver, label."""
