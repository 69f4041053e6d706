"""Telling Mach: calls and answers, messages that are queued, who is woken, what launchd does.

A message is told where it joins a queue, a sleeper where it is woken. A notification is the
kernel's own message, and is told as such. launchd is a process like others; the calls of
``bootstrap.h`` go to it, since the lab leaves out the messages they are.
"""

from __future__ import annotations

from typing import cast

from kextlab.abi import mach
from kextlab.trace.events import Change, Event
from kextlab.views import iokit_sentences, mach_sentences, provenance, routes
from kextlab.views.fields import MESSAGE
from kextlab.views.index import Index
from kextlab.views.job_teller import JobTeller
from kextlab.views.mach_about import about
from kextlab.views.mach_fields import message_parts, word
from kextlab.views.mach_names import Names
from kextlab.views.mach_reasons import why
from kextlab.views.mach_sentences import SUCCESS, header_of, is_mach, notification
from kextlab.views.payload import given
from kextlab.views.provenance import DOCUMENTED, Source
from kextlab.views.told import Frame, Make, Told

WOKEN = Source(DOCUMENTED, "", "ipc_mqueue.c, ipc_mqueue_post")
WAITED = Source(DOCUMENTED, "", "ipc_mqueue.c, ipc_mqueue_receive")
"""What happens when whoever waits in ``mach_msg`` is woken."""
FAULT = Source(DOCUMENTED, "", "ux_exception.c, ux_exception")
NOTIFIED = {
    mach.MACH_NOTIFY_PORT_DELETED: "the name it asked about is gone from its task",
    mach.MACH_NOTIFY_SEND_POSSIBLE: "there is room in the queue it waited for",
    mach.MACH_NOTIFY_PORT_DESTROYED: "the receive right comes back, with what is queued",
    mach.MACH_NOTIFY_NO_SENDERS: "the last send right to a port it receives at is gone",
    mach.MACH_NOTIFY_SEND_ONCE: "a right to reply was given up without a reply",
    mach.MACH_NOTIFY_DEAD_NAME: "a port it has a right to is gone",
}
FAULTS = {
    "SIGSEGV": "where nothing is mapped",
    "SIGBUS": "in a way its protection forbids",
}


class MachTeller:
    """Tells Mach's, launchd's and IOKit's part of a trace.

    Args:
        seen: who is who in the live state of a fold.
        make: makes a moment.
        detailed: with what the inspector shows.
    """

    def __init__(self, seen: Index, make: Make, detailed: bool) -> None:
        self.seen = seen
        self.names = Names(seen.state)
        self.launchd = ""
        """The pid of launchd, once it runs."""
        self._make = make
        self._detailed = detailed
        self._jobs = JobTeller(seen.state, self.names, make)

    # -- calls -------------------------------------------------------------------------------

    def knows(self, event: Event) -> bool:
        """Whether a call is one of Mach's, launchd's or IOKit's."""
        return mach_sentences.is_mach(event) or iokit_sentences.is_iokit(event)

    def called(self, event: Event, pid: str) -> str:
        """The sentence of a call."""
        who = self.seen.process(pid)
        if iokit_sentences.is_iokit(event):
            return iokit_sentences.called(who, pid, event, self.names)
        return mach_sentences.called(who, pid, event, self.names)

    def route(self, event: Event, pid: str) -> tuple[str, str]:
        """(lifeline, port) a call goes to."""
        name, args = event.name, event.arguments
        if name.startswith("bootstrap_") and self.launchd:
            return f"proc:{self.launchd}", ""
        if name == "mach_msg":
            option = cast(int, args[1])
            if option & mach.MACH_SEND_MSG and header_of(args[0]) is not None:
                end = word(cast(bytes, args[0]), 8)
            else:
                end = cast(int, args[3]) if option & mach.MACH_RCV_MSG else 0
            return routes.PORTS, self.names.port(pid, end)
        return (routes.PORTS if name.startswith("mach_port_") else routes.KERNEL), ""

    def short(self, event: Event, pid: str) -> str:
        """A call as it stands on an arrow."""
        if iokit_sentences.is_iokit(event):
            return iokit_sentences.short(event)
        return mach_sentences.short(event, pid, self.names)

    def until(self, channel: str) -> str | None:
        """What whoever sleeps on a channel waits for; ``None``: it is none of Mach's."""
        if not channel.startswith(("port:", "pset:")):
            return None
        if channel.endswith(":room"):
            port = channel.removesuffix(":room")
            return f" until there is room in the queue of {self.names.called(port)}"
        return f" until a message comes to {self.names.called(channel)}"

    # -- answers -----------------------------------------------------------------------------

    def iokit_returned(self, told: Told, frame: Frame, event: Event, who: str) -> None:
        """A call of IOKit's went well."""
        self.names.learn(frame.event, frame.actor, event.value)
        told.text = iokit_sentences.returned(who, frame.event, event.value)
        told.label = iokit_sentences.answer(frame.event, event.value)
        told.source = Source(DOCUMENTED, "", "")

    def returned(self, told: Told, frame: Frame, event: Event, who: str) -> None:
        """A Mach call answers."""
        opened, pid = frame.event, frame.actor
        code, value = cast("tuple[str, object]", event.value)
        told.payload = given(opened, event.value, False)
        if code != SUCCESS:
            self._refused(told, frame, code, who)
            return
        self.names.learn(opened, pid, value)
        told.text = mach_sentences.returned(who, pid, opened, value, self.names)
        told.label = mach_sentences.answer(opened, pid, value, self.names)
        told.source = WAITED if frame.slept else provenance.mach_shown(opened, value)
        if opened.name == "mach_msg":
            if cast(int, opened.arguments[1]) & mach.MACH_RCV_MSG:
                told.world = "data"
            else:
                told.payload = None  # the buffer as it was sent
                told.label = "= 0"

    def _refused(self, told: Told, frame: Frame, code: str, who: str) -> None:
        call, pid = frame.event.name, frame.actor
        told.errno, told.label = code, f"= {code}"
        told.source, told.why = provenance.mach_refused(call, code)
        if frame.slept:
            told.source = WAITED
        said = why(frame.event, code, pid, self.names)
        if self._expected(frame.event, code):  # an answer it asked for, and no loss
            told.text = f"{call} returns {code} to {who}: {said}."
            return
        by = "launchd" if call.startswith("bootstrap_") else "The kernel"
        told.text = f"{by} refused {call} of {who}: {said} ({code})."
        told.world, told.kind, told.back = "loss", "refusal", True
        told.sender, told.receiver = f"proc:{pid}", frame.place

    @staticmethod
    def _expected(event: Event, code: str) -> bool:
        """Whether the caller asked for just that: not to wait, or to be told of the size."""
        if code == "MACH_RCV_TOO_LARGE":
            return bool(cast(int, event.arguments[1]) & mach.MACH_RCV_LARGE)
        return code == "MACH_RCV_TIMED_OUT"

    # -- changes -----------------------------------------------------------------------------

    def changed(self, event: Event) -> list[Told]:
        """What there is to tell of a step's changes."""
        told = self._jobs.changed(event)
        for change in event.changes:
            kind = change.object.partition(":")[0]
            if kind == "kmsg" and change.field == "port" and change.new is not None:
                told.append(self._queued(event, change.object))
            elif kind == "task" and change.field == "state":
                told += self._task(event, change)
            elif kind == "proc" and change.field == "name" and change.old is None:
                self._process(change)
        return told

    def detail(self, told: Told, event: Event, pid: str, value: object = None) -> None:
        """What the inspector shows of a call, or of its answer ``value``."""
        if not self._detailed or not self.knows(event):
            return
        payload = told.payload
        if payload is not None and payload.struct == MESSAGE:
            told.parts = message_parts(payload.data, lambda name: self._known(pid, name))
        code, more = value if isinstance(value, tuple) and is_mach(event) else ("", None)
        told.about = about(event, pid, more if code == SUCCESS else None, self.names)

    def _known(self, pid: str, name: int) -> str:
        return self.names.what(pid, name) if self.names.entry(pid, name) is not None else ""

    def learn_map(self, event: Event, frame: Frame | None) -> None:
        """A vm call changed a map: it is its process's."""
        if frame is None or not frame.event.name.startswith("mach_vm_"):
            return
        for change in event.changes:
            if change.object.startswith("vm_map:"):
                self.names.mapped(frame.actor, change.object)

    def _queued(self, event: Event, kmsg: str) -> Told:
        """A message joined a queue."""
        fields = self.seen.state[kmsg]
        port, number = str(fields["port"]), cast(int, fields["id"])
        queue = self.seen.state[port]
        at = self.names.called(port)
        holder = self.names.holder(port)
        whom = f" for {self.seen.process(holder)}" if holder not in ("", "kernel") else ""
        if fields["notification"]:
            said = NOTIFIED.get(number, "")
            kind = notification(number)
            text = f"The kernel sends a {kind} notification to {at}{whom}: {said}."
            label = f"notice: {kind}"
            one = self._make(event, "data", text, "call", routes.KERNEL, routes.PORTS, label)
            one.source = WOKEN
            return one
        held, most = queue["msgcount"], queue["qlimit"]
        label = f"{port} {held} of {most}"
        if not any(cast("tuple[int, ...]", fields["audit"])[5:6]):
            text = f"The kernel queues a message at {at}{whom}, to say that there are data."
            one = self._make(event, "data", text, "call", routes.KERNEL, routes.PORTS, label)
        else:
            text = f"Message {number} is queued at {at}{whom}: {held} of at most {most}."
            one = self._make(event, "data", text, "note", routes.PORTS, routes.PORTS, label)
        one.source = WOKEN
        return one

    def _task(self, event: Event, change: Change) -> list[Told]:
        pid = self.seen.state[change.object]["pid"]
        who = self.seen.process(pid)
        if change.new == "done" and pid in self._jobs.pids:
            text = f"{who} (pid {pid}) has ended, and with it its rights."
            place = f"proc:{pid}"
            return [self._make(event, "kern", text, "note", place, place, "ends")]
        if (change.old, change.new) != ("asleep", "runnable"):
            return []
        channel = next(
            str(one.old)
            for one in event.changes
            if one.object == change.object and one.field == "channel"
        )
        text = self._woken(who, channel)
        if not text:
            return []
        one = self._make(event, "kern", text, "call", routes.PORTS, f"proc:{pid}", "wakes")
        one.source = WOKEN
        return [one]

    def _woken(self, who: str, channel: str) -> str:
        """Why a sleeper of Mach's wakes, "" if it is none, or its time is over."""
        if self.until(channel) is None:
            return ""
        port = channel.removesuffix(":room")
        at, fields = self.names.called(port), self.seen.state.get(port)
        if fields is None:
            return f"{at} is gone, which wakes {who}."
        if channel.endswith(":room"):
            full = cast(int, fields["msgcount"]) >= cast(int, fields["qlimit"])
            return "" if full else f"There is room at {at} again, which wakes {who}."
        ports = cast("tuple[str, ...]", fields.get("members", (port,)))
        if any(self.seen.state[one]["msgcount"] for one in ports):
            return f"The message wakes {who}, which waits at {at}."
        return ""

    def _process(self, change: Change) -> None:
        """A process is there, perhaps launchd."""
        pid = change.object.partition(":")[2]
        fields = self.seen.state[change.object]
        if fields["name"] == "launchd" and fields["uid"] == 0 and not self.launchd:
            self.launchd = pid

    def fault(self, event: Event, pid: str, signal: str) -> Told | None:
        """A signal for touching memory; ``None`` for any other."""
        if signal not in FAULTS:
            return None
        text = (
            f"{self.seen.process(pid)} touches memory {FAULTS[signal]}: the kernel sends it a "
            f"{signal}."
        )
        place = f"proc:{pid}"
        told = self._make(event, "loss", text, "refusal", place, routes.KERNEL, signal)
        told.back, told.errno, told.source = True, signal, FAULT
        return told
