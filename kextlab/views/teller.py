"""Telling a trace: each step that says something becomes a sentence, with what a picture needs.

One pass. The teller folds the entries, keeps the calls that are open in each task, and hands out
``Told``: the sentence, who did it to whom, the label for an arrow, what it rests on. ``log`` makes
lines of them, ``scenes`` moments of a scene document.

What a kext's kernel call causes inside the kernel (events that are queued or lost) is told after
the call itself, though it is known before the call returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from kextlab.abi.errno import EAGAIN
from kextlab.trace.codes import Entry
from kextlab.trace.events import Event
from kextlab.trace.fold import Folder, State
from kextlab.views import local_sentences, provenance, routes
from kextlab.views.broadcasts import Broadcasts
from kextlab.views.enqueue import ENQUEUES, offered
from kextlab.views.index import Index
from kextlab.views.iokit_sentences import is_iokit
from kextlab.views.kext_teller import KextTeller
from kextlab.views.mach_sentences import is_mach
from kextlab.views.mach_teller import MachTeller
from kextlab.views.memory_sentences import touched
from kextlab.views.payload import Payload, asked, given, read_event
from kextlab.views.reasons import consequence, reason
from kextlab.views.sentences import (
    RECVS,
    SENDS,
    SHORT,
    call_of,
    called,
    event_named,
    is_message,
    kext_name,
    name_of,
    request_of,
    returned,
    size_of,
    truncated,
)
from kextlab.views.told import Frame, Told
from kextlab.views.words import some

_UNTIL = {
    "so_rcv": " until bytes are queued",
    "so_snd": " until there is space",
    "so_timeo": " until somebody connects",
}


class Teller:
    """Folds a trace and tells what each step was.

    Args:
        detail: with what the inspector shows.
    """

    def __init__(self, detail: bool = False) -> None:
        self.folder = Folder()
        self.seen = Index(self.folder.state)
        self.stacks: dict[int, list[Frame]] = {0: []}
        self.frames = self.stacks[0]
        self.event: Event | None = None
        self.mach = MachTeller(self.seen, self._told, detail)
        self._kexts = KextTeller(self.seen, self._told)
        self._broadcasts = Broadcasts(self.seen)

    @property
    def state(self) -> State:
        """The state after the last step; live."""
        return self.folder.state

    def tell(self, entry: Entry) -> list[Told]:
        """Take in one step; what there is to say of it, mostly nothing or one sentence."""
        event = self.event = self.folder.step(entry)
        kind = event.kind
        if kind == "change":
            return self._changed(event, entry)
        depth = len(self.frames)
        if kind in ("syscall", "kpi", "callback"):
            self.seen.update(event)
            told = self._enter(event, str(entry[1]))
        elif kind == "return":
            told = self._leave(event) if self.frames else []
        elif kind == "wakeup":
            return []
        else:
            told = self._noted(event)
        depth = min(depth, len(self.frames))
        for one in told:
            one.depth += depth
            one.task = event.task
        return told

    def flush(self) -> list[Told]:
        """What is held back for a call that has not returned yet."""
        return [one for frames in self.stacks.values() for frame in frames for one in frame.held]

    # -- notes and changes -----------------------------------------------------------------

    def _noted(self, event: Event) -> list[Told]:
        if event.kind == "stop":
            return self._stopped(event)
        if event.kind in ("switch", "sleep"):
            for frame in self.frames:
                frame.slept = True
            if event.kind == "switch":
                self.frames = self.stacks.setdefault(event.task, [])
            return []
        if event.kind == "touch":
            return [touched(self._told, self.seen, event)]
        if event.kind == "signal":
            who, signal = self.seen.process(event.name), str(event.arguments[0])
            fault = self.mach.fault(event, event.name, signal)
            if fault is not None:
                return [fault]
            text = f"The kernel sends {who} a {signal}."
            source = provenance.shown(f"signal {signal}")
            told = self._told(
                event, "loss", text, "note", routes.KERNEL, f"proc:{event.name}", signal
            )
            told.source = source
            return [told]
        return []

    def _changed(self, event: Event, entry: Entry) -> list[Told]:
        changes = event.changes
        self.seen.update(event)
        if self.frames:
            frame = self.frames[-1]
            data = all(
                change.field != "m_type" for change in changes
            )  # no address, no control data
            if frame.socket and frame.event.name.startswith("recv") and data:
                for change in changes:
                    if change.field == "sb_cc" and change.object == f"so_rcv:{frame.socket}":
                        frame.taken += max(0, change.old - change.new)
        told = []
        for change in changes:
            if change.object == "kernel" and change.field == "panic" and change.new is not None:
                told.append(self._panic(event, str(change.new)))
            elif change.object == "kernel" and change.field == "clock" and change.old is not None:
                told.append(self._later(event, cast(int, change.new)))
            elif change.new == "asleep" and change.field == "state" and self.frames:
                told += self._asleep(event, change.object)
        told += self.mach.changed(event)
        self.mach.learn_map(event, self.frames[-1] if self.frames else None)
        for delivery in self._broadcasts.take(event, entry):
            text, world = self._broadcasts.told(delivery)
            one = self._told(event, world, text, "call", routes.EVENTS, routes.KERNEL)
            one.label, one.socket = f"event {delivery.message.id}", delivery.socket
            one.source = provenance.shown("kev_post_msg")
            one.payload = Payload(delivery.data, len(delivery.data), "kern_event_msg")
            if delivery.lost:
                one.kind, one.source = "refusal", provenance.LOST
                one.mark = (len(delivery.data), "lost")
            told.append(one)
        if not told:
            return told
        kpi = next((f for f in reversed(self.frames) if f.event.kind == "kpi"), None)
        for one in told:
            one.depth, one.task = len(self.frames), event.task
        if kpi is not None and kpi is self.frames[-1]:
            if told[0].kind != "panic":
                kpi.held += told
                return []
            held, kpi.held = kpi.held, []
            return [*held, *told]
        return told

    def _later(self, event: Event, clock: int) -> Told:
        text = f"Nobody can run; the clock moves on to {clock / 1e9:,.9g} s."
        return self._told(event, "kern", text, "note", routes.KERNEL, routes.KERNEL, "time")

    def _asleep(self, event: Event, task: str) -> list[Told]:
        """A task sleeps inside a call, so that others run."""
        calls = [frame for frame in self.frames if frame.event.kind == "syscall"]
        if not calls or task != f"task:{event.task}":
            return []
        frame, fields = calls[-1], self.state[task]
        who, call = self.seen.process(frame.actor), call_of(frame.event)
        channel = str(fields["channel"])
        until = _UNTIL.get(channel.partition(":")[0]) or self.mach.until(channel)
        until = until or f" in {fields['wmesg']}"
        text = f"{who} sleeps in {call}{until}; others run."
        label = f"{who} sleeps" if self.mach.until(channel) else "sleeps"
        told = self._told(event, "kern", text, "note", frame.place, frame.place, label)
        told.inside, told.socket = frame, frame.socket
        return [told]

    def _told(
        self,
        event: Event,
        world: str,
        text: str,
        kind: str,
        sender: str,
        receiver: str,
        label: str = "",
    ) -> Told:
        inside = self.frames[-1] if self.frames else None
        return Told(event.step, world, text, kind, sender, receiver, label, inside=inside)

    # -- calls -----------------------------------------------------------------------------

    def _enter(self, event: Event, who: str) -> list[Told]:
        if event.kind == "syscall":
            return self._syscall(event, who)
        if event.kind == "callback":
            told = self._kexts.callback(event, who, self.frames[-1] if self.frames else None)
            self.frames.append(cast(Frame, told.frame))
            return [told]
        frame = Frame(event, who, routes.CONTROL)
        if event.name.startswith("kev_"):
            frame.place = routes.EVENTS
        elif not event.name.startswith("ctl_"):
            frame.place = routes.KERNEL
        args = event.arguments
        if event.name.startswith(("ctl_enqueue", "ctl_getenqueue")):
            frame.socket = self.seen.socket_of(args[0], args[1])
            if event.name in ENQUEUES:
                frame.size = offered(self.state, event)
        self.frames.append(frame)
        return []

    def _syscall(self, event: Event, pid: str) -> list[Told]:
        args, seen = event.arguments, self.seen
        named = bool(args) and not (event.name in ("socket", "select") or is_message(event.name))
        socket = seen.socket_at(pid, args[0]) if named else 0
        kcb = self.state.get(f"kcb:{socket}")
        connected = kcb is not None and bool(kcb["kctl"])
        local = provenance.is_local(event, seen, socket)
        size = size_of(args[1]) if event.name in SENDS else 0
        if self.mach.knows(event):
            place, via = self.mach.route(event, pid)
            text, label = self.mach.called(event, pid), self.mach.short(event, pid)
        else:
            place, via = routes.route(event, seen.listens(socket), connected, local)
            text, label = called(seen.process(pid), event), routes.short(event, size)
        told = self._told(event, "user", text, "call", f"proc:{pid}", place, label)
        told.via, told.socket, told.payload = via, socket, asked(event)
        self.mach.detail(told, event, pid)
        told.frame = Frame(event, pid, place, size, socket, local=local)
        self.frames.append(told.frame)
        return [told]

    # -- returns ---------------------------------------------------------------------------

    def _leave(self, event: Event) -> list[Told]:
        frame = self.frames.pop()
        errno = event.errno or 0
        above = self.frames[-1] if self.frames else None
        if frame.event.kind == "kpi":
            return self._kpi(frame, event, errno, above)
        if frame.event.kind == "callback":
            return self._kexts.callback_returned(frame, event, errno, above)
        who = self.seen.process(frame.actor)
        told = self._told(event, "user", "", "return", frame.place, f"proc:{frame.actor}")
        told.inside, told.socket = frame, frame.socket
        if is_mach(frame.event):
            self.mach.returned(told, frame, event, who)
        elif not errno and is_iokit(frame.event):
            self.mach.iokit_returned(told, frame, event, who)
        elif not errno:
            self._went_well(told, frame, event, who)
        else:
            self._refused(told, frame, errno, who)
        self.mach.detail(told, frame.event, frame.actor, event.value)
        return [told]

    def _went_well(self, told: Told, frame: Frame, event: Event, who: str) -> None:
        opened = frame.event
        told.label = routes.answer(opened, event.value)
        told.text = returned(who, frame.actor, opened, event.value, self.seen)
        told.payload = given(opened, event.value, self.seen.listens(frame.socket))
        request = "AF_UNIX" if frame.local else request_of(opened)
        told.source = provenance.SLEPT if frame.slept else provenance.answered(opened, request)
        if opened.name in RECVS and told.payload is not None:
            got = told.payload.length
            told.world = "data"
            message = read_event(told.payload)
            if message is not None:
                name, size = event_named(message), some(got, "byte")
                told.text = (
                    f"{SHORT.get(opened.name, opened.name)} returns {name}, {size}, to {who}."
                )
            if frame.taken > got and not self.seen.streams(frame.socket):
                told.text = truncated(who, opened, got, frame.taken)
                told.world = "loss"
        elif opened.name in SENDS and frame.unnoticed:
            told.text = (
                f"{told.text[:-1]}, which cannot see that {some(frame.unnoticed, 'byte')} did not "
                "reach a queue."
            )

    def _refused(self, told: Told, frame: Frame, errno: int, who: str) -> None:
        call, name = call_of(frame.event), name_of(errno)
        told.errno, told.label = name, f"= {name}"
        callback = frame.refused_inside.get(errno)
        if callback is not None:
            told.text = f"{call} returns {name} to {who}."
            told.source, told.why = provenance.passed_on(frame.event, callback)
            return
        told.source, told.why = provenance.refused(
            frame.event, errno, self.seen, frame.actor, frame.size, frame.socket
        )
        why = reason(frame.event, errno, self.seen, frame.actor, socket=frame.socket)
        if errno == EAGAIN:  # an answer a program asked for, and no loss
            told.text = f"{call} returns {name} to {who}: {why}."
            return
        told.text = f"The kernel refused {call}: {why} ({name})."
        after = consequence(frame.event, errno)
        if after:
            told.text += f" {after}"
        told.world, told.kind, told.back = "loss", "refusal", True
        told.peer, size = local_sentences.full(frame.event, errno, self.seen, frame.socket)
        if told.peer:
            told.mark = (size, name)
        routine = told.source.where.rpartition(", ")[2]
        told.sender, told.receiver = (
            f"proc:{frame.actor}",
            routes.refuser(routine, frame.place),
        )

    def _kpi(self, frame: Frame, event: Event, errno: int, above: Frame | None) -> list[Told]:
        held, frame.held = frame.held, []
        told = self._kexts.called(frame, event, errno, above)
        if told is None:
            return held
        for one in held:
            one.depth -= len(self.frames)  # the caller adds it
        return [told, *held]

    # -- the end ---------------------------------------------------------------------------

    def _stopped(self, event: Event) -> list[Told]:
        """No open call returns; a panic was told already, inside the frame it happened in."""
        calls = [frame for frame in self.frames if frame.event.kind == "syscall"]
        held = [one for frame in self.frames for one in frame.held]
        for frames in self.stacks.values() if event.name == "panic" else (self.frames,):
            frames.clear()
        if event.name == "panic" or not calls:
            return held
        frame = calls[-1]
        who, call = self.seen.process(frame.actor), call_of(frame.event)
        if event.name == "deadlock":
            text = f"{who} sleeps in {call} and nothing can wake it."
        elif event.name == "killed":
            text = f"{who} is killed inside {call}, which does not return."
        else:
            text = f"{who}'s {call} does not return: {event.arguments[0]}"
        told = self._told(event, "loss", text, "note", frame.place, f"proc:{frame.actor}")
        told.label, told.inside, told.socket = event.name, frame, frame.socket
        if event.name == "deadlock":
            told.source, told.why = provenance.stopped(
                "deadlock", str(event.arguments[0]), frame.event.name
            )
        return [*held, told]

    def _panic(self, event: Event, text: str) -> Told:
        """Why, as far as the trace shows it; then what it means."""
        inside = self.frames[-1].event if self.frames else None
        gone = [
            (kext_name(str(fields["kext"])), str(fields["name"]))
            for name, fields in self.state.items()
            if name.startswith("kctl:") and f"kext:{fields['kext']}" not in self.state
        ]
        if inside is not None and inside.kind == "kpi" and inside.name.startswith("ctl_"):
            kext = kext_name(self.frames[-1].actor)
            why = f"{kext} calls {inside.name} with a reference whose slot is empty"
        elif gone:
            kext, control = gone[0]
            why = f"{kext} was unloaded without ctl_deregister, and {control} points into its code"
        else:
            why = ""
        said = f"Panic, {text}: {why}." if why else f"Panic: {text}."
        said = f"{said} The Mac stops here; mac.reboot() starts again."
        place = self.frames[-1].place if self.frames else routes.KERNEL
        told = self._told(event, "loss", said, "panic", place, place, "panic")
        call = ""
        if inside is not None:
            call = "callback" if inside.kind == "callback" else inside.name
        told.source, told.why = provenance.stopped("panic", text, call)
        return told


def telling(entries: Iterator[Entry]) -> Iterator[Told]:
    """What there is to say of a whole trace."""
    teller = Teller()
    for entry in entries:
        yield from teller.tell(entry)
    yield from teller.flush()
