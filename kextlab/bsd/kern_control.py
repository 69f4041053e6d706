"""Kernel control: the subsystem behind control sockets.

Holds what ``bsd/kern/kern_control.c`` keeps for all controls: the list of controls, the table of
references, the counters, the client lists, and the way a kext is called back. What a process asks
of it is in ``kctl_usrreqs``, what a kext asks in ``kern_control_kpi``.

Locks: a socket's own mutex is dropped around every callback except ``setup``, which runs with the
subsystem's mutex held, so calling back into kernel control from it deadlocks
[setup-enqueue-deadlock].
"""

from __future__ import annotations

from collections.abc import Generator
from types import GeneratorType
from typing import Any

from kextlab.abi.constants import CTL_FLAG_REG_ID_UNIT
from kextlab.bsd.kctl import KCTLSTAT, Callback, CtlCb, Kctl, RefTable, Text, number
from kextlab.bsd.kern_event import KernEvent
from kextlab.bsd.mbuf import Mbuf, m_chain, m_packets
from kextlab.bsd.socket import Sockets
from kextlab.sched.drive import Routine
from kextlab.sched.stop import MUTEX_HELD, PAGE_FAULT, KernelPanic, SimDeadlock, SimStop, Sleep
from kextlab.sched.task import Task
from kextlab.trace.codes import CALLBACK, PASS, RETURN, SET, Entry, group, new
from kextlab.trace.events import Plain

INT_MIN, INT_MAX = -0x80000000, 0x7FFFFFFF
"""C's ``errno_t`` is an int."""


class KernControl:
    """The kernel control subsystem of one kernel: controls, references, counters.

    Attributes:
        controls: the registered controls, in order of id.
        refs: the table behind ``kern_ctl_ref``.
        stat: the counters of net.systm.kctl.stats.
        setup_first: whether ``setup`` is asked before anything else about a unit (macOS 15), or
            only for unit 0 of a dynamic control (macOS 11).
        list_send_checks: whether a missing ``send`` is noticed by the list send (macOS 11).
        stopped: the panic or deadlock that ended a KPI call, which a kext must not swallow.
    """

    def __init__(
        self, sockets: Sockets, events: KernEvent, setup_first: bool, list_send_checks: bool
    ) -> None:
        self.sockets = sockets
        self.pool = sockets.pool
        self.events = events
        self.rec = sockets.rec
        self.setup_first = setup_first
        self.list_send_checks = list_send_checks
        self.controls: list[Kctl] = []
        self.refs = RefTable()
        self.stat = dict.fromkeys(KCTLSTAT, 0)
        self.autorcvbuf_high = 0
        self.serial = 0
        self.mutex_held = False
        self.holder: Task | None = None
        """The task that holds the subsystem's mutex over a callback, or held it last."""
        self.lent: list[CtlCb] = []
        """Clients whose address a callback is writing to: what it wrote counts at once."""
        self.stopped: SimStop | None = None
        if self.rec is not None:
            self.rec(new("kern_control", self.state()))
            self.rec(new("kctlstat", dict(self.stat)))

    def state(self) -> dict[str, object]:
        """The subsystem's own fields as plain values, as the trace adds them up."""
        return {
            "controls": tuple(kctl.serial for kctl in self.controls),
            "table_size": len(self.refs.slots),
            "table_count": self.refs.count,
            "generation": self.refs.generation,
            "autorcvbuf_high": self.autorcvbuf_high,
        }

    def count(self, counter: str, by: int = 1) -> None:
        """Advance one of the counters."""
        self.stat[counter] += by
        if self.rec is not None:
            self.rec((SET, "kctlstat", counter, self.stat[counter]))

    def note(self, *fields: str, also: Entry | None = None) -> None:
        """Record, as one step, fields of the subsystem that changed and one thing more."""
        if self.rec is not None:
            state = self.state()
            entries = [(SET, "kern_control", field, state[field]) for field in fields]
            self.rec(group(*([also] if also is not None else []), *entries))

    def lock(self) -> None:
        """Take the subsystem's mutex for a moment, as soon as no other thread is inside ``setup``.

        Raises:
            SimDeadlock: the running thread holds it already, that is, it is inside ``setup``; or
                the thread that does cannot go on.
        """
        for wait in self.mutex():
            self.sockets.sched.block(wait, in_kernel=True)

    def mutex(self) -> Generator[Sleep, object, None]:
        """The waits of ``lock``, for a routine."""
        while self.mutex_held:
            if self.holder is self.sockets.sched.running:
                raise SimDeadlock(MUTEX_HELD)
            yield Sleep("ctl_mtx", "lck_mtx", interruptible=False)

    def hold(self, held: bool) -> None:
        """Keep the mutex over a callback, or give it back."""
        self.mutex_held = held
        self.holder = self.sockets.sched.running
        if not held:
            self.sockets.sched.wakeup("ctl_mtx")

    def take_unit(self, kcb: CtlCb) -> None:
        """Take over a unit that a callback wrote into its client's address."""
        unit = kcb.sac.sc_unit = int(kcb.sac.sc_unit) & 0xFFFFFFFF
        old = kcb.unit
        if unit != old and kcb.kctl is not None:
            kcb.unit = unit
            kcb.kctl.units.renamed(kcb, old)
            if self.rec is not None:
                self.rec((SET, f"kcb:{kcb.so.number}", "unit", unit))

    # -- looking things up -----------------------------------------------------------------

    def find_by_name(self, name: str) -> Kctl | None:
        """The first control of that name."""
        return next((kctl for kctl in self.controls if kctl.name == name), None)

    def find_by_id_unit(self, ident: int, unit: int) -> Kctl | None:
        """The first control of that id; a static one only if it is registered for the unit."""
        for kctl in self.controls:
            if kctl.id == ident and (
                not kctl.flags & CTL_FLAG_REG_ID_UNIT or kctl.reg_unit == unit
            ):
                return kctl
        return None

    # -- the client list -------------------------------------------------------------------

    def attach_client(self, kcb: CtlCb, kctl: Kctl, unit: int, before: CtlCb | None) -> None:
        """The client joins the control's list with that unit, at the tail or before another."""
        kcb.kctl = kctl
        kcb.unit = unit
        kctl.units.insert(kcb, before)
        if self.rec is not None:
            name = f"kcb:{kcb.so.number}"
            links = [
                (SET, name, "kctl", kctl.serial),
                (SET, name, "unit", kcb.unit),
                (SET, name, "next", number(before)),
                following(kctl, kcb.prev, kcb),
            ]
            if before is None:
                links.append((SET, f"kctl:{kctl.serial}", "last", kcb.so.number))
            self.rec(group(*links))
        self.count("pcbcount")
        self.count("gencnt")
        self.count("connections")

    def detach_client(self, kcb: CtlCb) -> None:
        """The client leaves the control's list; its unit is 0 from now on."""
        kctl = kcb.kctl
        assert kctl is not None
        previous, behind = kcb.prev, kcb.next
        kctl.units.remove(kcb)
        kcb.kctl = None
        kcb.unit = kcb.sac.sc_unit = 0
        if self.rec is not None:
            name = f"kcb:{kcb.so.number}"
            links = [(SET, name, field, 0) for field in ("kctl", "unit", "next")]
            links.append(following(kctl, previous, behind))
            if behind is None:
                links.append((SET, f"kctl:{kctl.serial}", "last", number(previous)))
            self.rec(group(*links))
        self.count("pcbcount", -1)
        self.count("gencnt")

    # -- calling back ----------------------------------------------------------------------

    def call(
        self,
        kctl: Kctl,
        name: str,
        callback: Callback,
        args: tuple[Any, ...],
        *shown: Plain,
    ) -> Routine[int]:
        """Call a kext back with ``args``; ``shown`` are the plain values the trace keeps of them.

        Returns the callback's errno. A callback may be a generator, which may sleep.

        Raises:
            KernelPanic: the kext's code is not in memory any more, the callback raised an
                exception (a fault in kernel mode), or it returned something else than an errno.
        """
        text = kctl.text
        if self.rec is not None:
            self.rec((CALLBACK, text.name, name, len(shown), *shown))
        if not text.mapped:
            raise KernelPanic(PAGE_FAULT)
        try:
            result = callback(*args)
        except SimStop as stop:
            self.left(name, stop)
            raise
        except Exception as exc:
            raise fault(name, exc) from exc
        if result.__class__ is GeneratorType:
            result = yield from self.finish(text, name, result)
        return self.returned(name, result)

    def hand_over(
        self, kctl: Kctl, kcb: CtlCb, name: str, callback: Callback, m: Mbuf, flags: int
    ) -> Plain:
        """Call ``send`` or ``send_list``: the mbufs belong to the kext from here on.

        Returns what the callback returned: an errno for ``returned``, or a generator for
        ``finish``. Panics as ``call``.
        """
        text = kctl.text
        m.owner = text.owner
        if m.m_next is not None or m.m_nextpkt is not None:
            for packet in m_packets(m):
                for link in m_chain(packet):
                    link.owner = text.owner
        unit = kcb.unit
        if self.rec is not None:
            self.rec((PASS, text.name, name, 4, m.id, kctl.kctlref, unit, flags))
        if not text.mapped:
            raise KernelPanic(PAGE_FAULT)
        try:
            return callback(kctl.kctlref, unit, kcb.unitinfo.value, m, flags)
        except SimStop as stop:
            self.left(name, stop)
            raise
        except Exception as exc:
            raise fault(name, exc) from exc

    def finish(
        self, text: Text, name: str, routine: Any
    ) -> Routine[Plain]:  # Any: a kext's generator
        """Run a callback that is a generator to its end. It panics if its code is unloaded while
        it sleeps."""
        try:
            point = next(routine)
            while True:
                answer = yield point
                if not text.mapped:
                    raise KernelPanic(PAGE_FAULT)
                point = routine.send(answer)
        except StopIteration as end:
            return end.value
        except SimStop as stop:
            self.left(name, stop)
            raise
        except Exception as exc:
            raise fault(name, exc) from exc

    def left(self, name: str, stop: SimStop) -> None:
        """A panic or deadlock leaves a callback. If it is that of a client's call which waits for
        ever, what called back stays half done: noted, so that the boot ends."""
        if isinstance(stop, SimDeadlock) and stop is not self.stopped:
            stop.callback = name

    def returned(self, name: str, result: Plain) -> int:
        """The errno a callback returned.

        Raises:
            KernelPanic: what it returned is no errno, or the kext swallowed a panic.
        """
        if self.stopped is not None:
            raise self.stopped
        errno = 0
        if result.__class__ is int and INT_MIN <= result <= INT_MAX:
            errno = result
        elif result is not None:
            errno = unusual(name, result)
        if self.rec is not None:
            self.rec((RETURN, errno, None))
        return errno


def following(kctl: Kctl, previous: CtlCb | None, kcb: CtlCb | None) -> tuple[int, str, str, int]:
    """The entry for: ``previous`` (``None``: the head of the list) is followed by ``kcb``."""
    if previous is not None:
        return (SET, f"kcb:{previous.so.number}", "next", number(kcb))
    return (SET, f"kctl:{kctl.serial}", "first", number(kcb))


def unusual(name: str, result: Plain) -> int:
    """The errno of an enum; what is no errno is a panic."""
    if isinstance(result, bool):
        means = "is 1, EPERM; return 0" if result else "is 0; return 0"
        raise KernelPanic(
            f"{PAGE_FAULT}: callback {name} returned {result}: {result} {means} or an errno"
        )
    if isinstance(result, int) and INT_MIN <= result <= INT_MAX:
        return int(result)
    due = "an errno has 32 bits" if isinstance(result, int) else "an errno (int) or None is due"
    raise KernelPanic(f"{PAGE_FAULT}: callback {name} returned {result!r}, {due}")


def fault(name: str, exc: Exception) -> KernelPanic:
    """The panic for an exception that left a callback."""
    return KernelPanic(f"{PAGE_FAULT}: {type(exc).__name__} in callback {name}: {exc}")
