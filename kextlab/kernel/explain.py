"""``explain``: why the kernel said so, the XNU routine that says it, and the recording.

Give it what a call raised, a number, a name, a panic or a deadlock:

    try:
        s.connect((ident, 3))
    except OSError as error:
        print(explain(error, call="connect"))

The causes are data (``explanations``, ``explanations_kext``), read at the first question; the
kernel itself never asks. Read beside it: ``docs/fidelity.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from textwrap import wrap

from kextlab.abi.errno import (
    EJUSTRETURN,
    ERESTART,
    TABLE,
    message_of,
    name_of,
    number_of,
)
from kextlab.abi.iokit import IOKitError
from kextlab.abi.oskext import name_of_result
from kextlab.kernel.kext import KextError, KextRefusal
from kextlab.kernel.mach_error import MachRefusal
from kextlab.sched.stop import KernelPanic, SimDeadlock

FAMILIES: Mapping[str, str] = {
    "connect_ex": "connect",
    "dup2": "dup",
    "modify": "poll",
    "read": "recv",
    "recv_into": "recv",
    "recvfrom": "recv",
    "recvfrom_into": "recv",
    "recvmsg": "recv",
    "recvmsg_into": "recv",
    "recvmsg_x": "recv",
    "recv_fds": "recv",
    "remove": "unlink",
    "select": "poll",
    "send_fds": "send",
    "sendall": "send",
    "sendmsg": "send",
    "sendmsg_x": "send",
    "sendto": "send",
    "write": "send",
}
"""Calls that are refused as another one is."""

ANY = "*"
"""The errno of the causes that go with every errno: what callbacks return."""
WIDTH = 88
"""Characters of a line of an explanation as text."""
WHOLE, LINES = 3, 9
"""Causes of several calls: up to 3 are told with remedy and source, up to 9 in a line each."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to get a refusal.

    ``call`` answers it ``when`` this holds, in XNU's ``routine``. ``recording`` names a scenario
    of the corpora that shows it, or says "documented only", "ported" or "the lab's own rule";
    ``remedy`` is what to do.
    """

    call: str
    when: str
    routine: str
    recording: str
    remedy: str

    @property
    def recorded(self) -> bool:
        """Whether ``recording`` names a scenario."""
        from kextlab.kernel.explanations import DOCUMENTED, LAB, PORTED

        return self.recording not in (DOCUMENTED, PORTED, LAB)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``explain`` answers; print it, or leave it at the end of a notebook cell.

    ``number`` is Darwin's, ``None`` for a panic, a deadlock or a refusal of CPython's own. The
    causes stand in the order of the calls' checks, a kext's callback last.
    """

    name: str
    number: int | None
    message: str
    causes: tuple[Cause, ...]

    def __str__(self) -> str:
        lines = [f"{self._title()}: {self.message}"]
        groups, whole = self._told()
        for causes in groups:
            lines.append(f"  {_calls(causes)}: {causes[0].when}")
            if whole:
                lines.append(f"    What to do: {causes[0].remedy}")
                lines.append(f"    Source: {_sources(causes)}")
        return "\n".join(map(_wrapped, lines + self._hints(groups, whole)))

    def _repr_markdown_(self) -> str:
        lines = [f"**{self._title()}**: `{_code(self.message)}`", ""]
        groups, whole = self._told()
        for causes in groups:
            lines.append(f"- **{_calls(causes)}**: {causes[0].when}")
            if whole:
                lines.append(f"  *What to do:* {causes[0].remedy}")
                lines.append(f"  *Source:* `{_code(_sources(causes))}`")
        return "\n".join([*lines, "", *self._hints(groups, whole)]).rstrip()

    def _title(self) -> str:
        return self.name if self.number is None else f"{self.name} ({self.number})"

    def _told(self) -> tuple[list[list[Cause]], bool]:
        """The groups of causes to tell, and whether with remedy and source."""
        groups = _grouped(self.causes)
        whole = len(groups) <= WHOLE or len({cause.call for cause in self.causes}) == 1
        return (groups if whole or len(groups) <= LINES else []), whole

    def _hints(self, groups: list[list[Cause]], whole: bool) -> list[str]:
        """What to say below the causes."""
        if not self.causes:
            return ["Nothing the lab knows of answers this."]
        answered = [] if groups else [f"Answered by {_calls(self.causes)}."]
        if whole:
            return answered
        return [*answered, 'Name the call to read more: explain(error, call="connect").']


def _grouped(causes: Iterable[Cause]) -> list[list[Cause]]:
    """Causes that say the same of several calls, together."""
    groups: dict[tuple[str, str], list[Cause]] = {}
    for cause in causes:
        groups.setdefault((cause.when, cause.remedy), []).append(cause)
    return list(groups.values())


def _calls(causes: Iterable[Cause]) -> str:
    return ", ".join(dict.fromkeys(cause.call for cause in causes))


def _sources(causes: Iterable[Cause]) -> str:
    """The routines with their recordings."""
    routines: dict[str, dict[str, bool]] = {}
    for cause in causes:
        routines.setdefault(cause.routine, {})[cause.recording] = cause.recorded
    return "; ".join(
        f"{routine}, {'recorded in ' if any(found.values()) else ''}{', '.join(found)}"
        for routine, found in routines.items()
    )


def _code(text: str) -> str:
    """Text that may stand between backticks on one line."""
    return " ".join(text.replace("`", "'").split())


# -- the data ----------------------------------------------------------------------------------


def parse(page: str) -> Iterator[tuple[str, Cause]]:
    """The causes of a page in the notation of ``explanations``, each with its key: an errno's
    name, ``*``, or a regular expression.

    Raises:
        ValueError: a paragraph is not of that form.
    """
    for paragraph in filter(None, page.strip().split("\n\n")):
        header, _, text = paragraph.strip().partition("\n")
        calls, colon, rest = header.partition(": ")
        fields = rest.rsplit(" | ", 2)
        when, arrow, remedy = " ".join(text.split()).partition(" -> ")
        if not (colon and arrow and len(fields) == 3):
            raise ValueError(
                f"{header!r} is no cause; it is 'CALLS: KEY | ROUTINE | RECORDING', when, '->' "
                "and a remedy"
            )
        key, routine, recording = fields
        keys = key.split() if re.fullmatch(r"E[A-Z]+( E[A-Z]+)*", key) else [key]
        for each in keys:
            for call in calls.split():
                yield each, Cause(call, when, routine, recording, remedy)


@cache
def causes_by_errno() -> Mapping[str, tuple[Cause, ...]]:
    """Errno name to its causes; ``*`` to those that go with every errno."""
    from kextlab.kernel import explanations, explanations_kext

    pages = (*explanations.PROCESS, *explanations_kext.KEXT, explanations.CALLBACKS)
    found = _read(*pages)
    return {
        name: (*found.get(name, ()), *local_by_errno().get(name, ()))
        for name in dict.fromkeys((*found, *local_by_errno()))
    }


@cache
def local_by_errno() -> Mapping[str, tuple[Cause, ...]]:
    """As ``causes_by_errno``, only those of local sockets; they say that they are."""
    from kextlab.kernel import explanations_unix

    return {
        name: tuple(replace(cause, when=f"AF_UNIX: {cause.when}") for cause in causes)
        for name, causes in _read(explanations_unix.LOCAL).items()
    }


def _read(*pages: str) -> dict[str, tuple[Cause, ...]]:
    found: dict[str, list[Cause]] = {}
    for page in pages:
        for name, cause in parse(page):
            found.setdefault(name, []).append(cause)
    return {name: tuple(causes) for name, causes in found.items()}


@cache
def causes_by_text() -> Mapping[str, tuple[tuple[str, Cause], ...]]:
    """``panic``, ``deadlock``, ``host``, ``bundle`` and ``mach`` to (regular expression, cause)."""
    from kextlab.kernel import explanations_bundles, explanations_iokit, explanations_mach
    from kextlab.kernel import explanations_kext as pages

    return {
        "panic": (*parse(pages.PANICS), *parse(explanations_iokit.PANICS)),
        "deadlock": (*parse(pages.DEADLOCKS), *parse(explanations_iokit.DEADLOCKS)),
        "host": tuple(parse(pages.HOST)),
        "bundle": tuple(parse(explanations_bundles.BUNDLES)),
        "mach": tuple(parse(explanations_mach.MACH)),
    }


@cache
def causes_by_code() -> Mapping[str, tuple[Cause, ...]]:
    """An IOKit code's name to its causes."""
    from kextlab.kernel import explanations_iokit

    return _read(explanations_iokit.IOKIT)


@cache
def calls() -> tuple[str, ...]:
    """Every call that can be asked about, sorted."""
    known = {cause.call for causes in causes_by_errno().values() for cause in causes}
    known.update(cause.call for causes in causes_by_code().values() for cause in causes)
    known.update(cause.call for rows in causes_by_text().values() for _, cause in rows)
    return tuple(sorted(known | FAMILIES.keys(), key=lambda call: (call.lower(), call)))


# -- the question ------------------------------------------------------------------------------


def explain(error: object, *, call: str | None = None) -> Explanation:
    """Say why a call was refused, or what stopped the machine.

    Args:
        error: an OSError a simulated process's call raised; an errno of Darwin's by number or
            name; a KextError that carries one; a KextRefusal; a MachError; an IOKitError; a
            KernelPanic; a SimDeadlock.
        call: the call that answered it, to leave out what only others answer: a system call as
            Python or C names it, or a KPI function. An OSError may carry it as ``error.call``.

    Raises:
        TypeError: ``error`` is nothing of the kind.
        ValueError: no errno of Darwin's, 0 (success), an OSError without an errno that is not
            one of CPython's own, or an unknown ``call``.
    """
    if call is not None and call not in calls():
        raise ValueError(f"unknown call {call!r}: expected one of {', '.join(calls())}")
    match error:
        case KernelPanic():
            return _told("kernel panic", error.text, "panic", error.text, call)
        case SimDeadlock():
            sleep = error.sleep
            seen = f"sleeps in {sleep.wmesg} on {sleep.channel}" if sleep else str(error)
            return _told("deadlock", str(error), "deadlock", seen, call)
        case KextRefusal():
            name = name_of_result(error.result)
            seen = f"{name}: {'; '.join(error.reasons)}"
            told = _told(name, str(error), "bundle", seen, call)
            # From the special to the general: only what comes first is the cause.
            firsts = tuple(cause for cause in told.causes if cause.when == told.causes[0].when)
            return replace(told, causes=firsts)
        case MachRefusal():
            named = error.call if error.call in calls() else None
            code, _, _ = error.name.partition("|")  # without the extra bits of a copyout
            told = _told(error.name, str(error), "mach", code, call or named)
            return replace(told, number=error.code)
        case KextError() if error.errno is not None:
            return _refusal(error.errno, call)
        case IOKitError():
            causes = causes_by_code().get(error.name, ())
            title = f"{error.name} ({error.code & 0xFFFFFFFF:#x})"
            found = tuple(_narrowed(causes, call or error.call))
            return Explanation(title, None, str(error), found)
        case OSError():
            if isinstance(error.errno, int):
                noted = getattr(error, "call", None)
                return _refusal(error.errno, call or (noted if noted in calls() else None))
            explanation = _told("OSError", str(error), "host", str(error), call)
            if not explanation.causes:
                raise ValueError(f"{error!r} has no errno: the simulated kernel did not raise it")
            return explanation
        case int() if not isinstance(error, bool):
            if error not in TABLE and error not in (ERESTART, EJUSTRETURN):
                raise ValueError(
                    f"{error} is not a refusal: expected an errno of Darwin's, 1 to {max(TABLE)}, "
                    "-1 or -2"
                )
            return _refusal(error, call)
        case str():
            return _refusal(number_of(error), call)
        case _:
            raise TypeError(
                "explain takes an OSError, a KextError with an errno, a MachError, an errno's "
                "number or name, a KernelPanic or a SimDeadlock, not "
                f"{type(error).__name__}"
            )


def _wrapped(line: str) -> str:
    """A line broken where it gets too wide for a terminal, what follows indented deeper."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return "\n".join(wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)) or line


def _refusal(number: int, call: str | None) -> Explanation:
    name = name_of(number)
    table = causes_by_errno()
    causes = (*table.get(name, ()), *table[ANY])
    message = message_of(number) if number > 0 else "internal to the kernel, no process sees it"
    return Explanation(name, number, message, tuple(_narrowed(causes, call)))


def _told(name: str, message: str, kind: str, seen: str, call: str | None) -> Explanation:
    """The explanation of what is told by its text."""
    causes = []
    for pattern, cause in causes_by_text()[kind]:
        found = re.search(pattern, seen)
        if found is not None:
            if found.groups():
                cause = replace(cause, when=cause.when.replace("{1}", found[1]))
            causes.append(cause)
    return Explanation(name, None, message, tuple(_narrowed(causes, call)))


def _narrowed(causes: Iterable[Cause], call: str | None) -> Iterator[Cause]:
    """The causes of one call and its family, or all of them."""
    family = FAMILIES.get(call, call) if call is not None else None
    return (cause for cause in causes if family in (None, cause.call))
