"""Telling kexts: what their callbacks answer, and what they ask of the kernel.

What a kext is refused reaches the program that called it only if the kext says so. The frame of
the call around it keeps both: the errno of a callback, to tell where an answer comes from, and the
bytes that no queue took.
"""

from __future__ import annotations

from typing import cast

from kextlab.trace.events import Event
from kextlab.views import provenance, routes
from kextlab.views.enqueue import ENQUEUES
from kextlab.views.index import Index
from kextlab.views.iokit_sentences import ENQUEUE, enqueued
from kextlab.views.payload import Payload
from kextlab.views.reasons import reason
from kextlab.views.sentences import kext_name, kpi_done, name_of, unit_of
from kextlab.views.told import Frame, Make, Told
from kextlab.views.words import listed, some


class KextTeller:
    """Tells the callbacks of kexts and their calls into the kernel.

    Args:
        seen: who is who in the live state of a fold.
        make: makes a moment.

    ``above`` is the open call around the one that is told, if there is one.
    """

    def __init__(self, seen: Index, make: Make) -> None:
        self.seen = seen
        self._make = make

    def callback(self, event: Event, kext: str, above: Frame | None) -> Told:
        """The kernel runs a routine of a kext; opens the frame of that call."""
        place = f"kext:{kext}"
        unit = unit_of(event)
        label = routes.short(event, 0)
        if event.name in ("start", "stop") or "::" in event.name:
            text = f"The kernel runs {kext_name(kext)}'s {event.name} routine."
            sender = routes.KERNEL
        else:
            text = f"kern_control runs {kext_name(kext)}'s {event.name} callback"
            text += f" for unit {unit}." if unit is not None else "."
            label += f" unit {unit}" if unit is not None else ""
            sender = routes.CONTROL
        told = self._make(event, "kern", text, "call", sender, place, label)
        told.source = provenance.answered(event)
        told.socket = above.socket if above is not None else 0
        told.frame = Frame(event, kext, place, socket=told.socket)
        return told

    def callback_returned(
        self, frame: Frame, event: Event, errno: int, above: Frame | None
    ) -> list[Told]:
        """What it answered, where that matters: a refusal, or 0 though the kernel refused it."""
        name, kext = frame.event.name, kext_name(frame.actor)
        routine = "routine" if name in ("start", "stop") or "::" in name else "callback"
        caller = routes.KERNEL if routine == "routine" else routes.CONTROL
        if not errno:
            if not frame.unnoticed:
                return []
            if above is not None:
                above.unnoticed += frame.unnoticed
            text = f"{kext}'s {name} {routine} returns 0 all the same."
            told = self._make(event, "kern", text, "return", frame.place, caller, "= 0")
            told.inside, told.socket = frame, frame.socket
            return [told]
        if above is not None:
            above.refused_inside[errno] = name
        words = f"{kext}'s {name} {routine} answers {name_of(errno)}"
        unit = unit_of(frame.event)
        told = self._make(event, "loss", "", "refusal", caller, frame.place, f"= {name_of(errno)}")
        if name == "connect":
            words += f", so the kernel calls disconnect for unit {unit}"
            clients = self.seen.clients(self.seen.serial(frame.event.arguments[0]))
            others = [str(other) for other in clients if other != unit]
            if others:
                units = f"unit{'s' * (len(others) > 1)} {listed(others[:4])}"
                words += f"; a kext that clears a global flag there forgets {units}"
            told.source = provenance.passed_on(above.event, name)[0] if above is not None else None
        elif name == "disconnect":
            words += ", which the kernel ignores"
        elif name == "stop":
            words += ", so the kext stays loaded"
        elif name == "start":
            words += ", so the kext is not loaded"
        told.text = f"{words}."
        told.inside, told.back, told.errno, told.socket = frame, True, name_of(errno), frame.socket
        return [told]

    def called(self, frame: Frame, event: Event, errno: int, above: Frame | None) -> Told | None:
        """A kext's call into the kernel, once it returned; None if there is nothing to say."""
        opened, kext = frame.event, kext_name(frame.actor)
        told = self._make(
            opened,
            "kern",
            "",
            "call",
            f"kext:{frame.actor}",
            frame.place,
            routes.short(opened, frame.size),
        )
        told.socket = frame.socket
        if opened.name == "ctl_enqueuedata":
            told.payload = Payload(cast(bytes, opened.arguments[2]), frame.size)
        if frame.slept:
            told.step = event.step
        if errno:
            self._refused(told, frame, errno, above)
        elif opened.name == ENQUEUE:
            told.text = enqueued(kext, opened, event.value, self.seen.state)
            told.world, told.label = "data", f"enqueue {opened.arguments[1]}"
            if not event.value:
                told.world, told.kind = "loss", "refusal"
        else:
            words = kpi_done(kext, opened, event.value, self.seen, frame.size, frame.socket)
            if words is None:
                return None
            told.text = words
            told.source = provenance.answered(opened)
            if opened.name in ENQUEUES:
                told.world = "data"
        return told

    def _refused(self, told: Told, frame: Frame, errno: int, above: Frame | None) -> None:
        opened, name = frame.event, name_of(errno)
        why = reason(opened, errno, self.seen, frame.actor, frame.size, frame.socket)
        told.world, told.kind, told.errno = "loss", "refusal", name
        told.source, told.why = provenance.refused(
            opened, errno, self.seen, frame.actor, frame.size, frame.socket
        )
        what = opened.name
        if opened.name in ENQUEUES and frame.socket:
            what = some(frame.size, "byte")
            why += f" ({name}). Nothing was queued; the kext must keep or drop it."
            told.mark = (frame.size, name)
            if above is not None:
                above.unnoticed += frame.size
        else:
            why += f" ({name})."
        told.text = f"The kernel refused {what}: {why}"
