"""``Scenario``: everything a run of the machine depends on, as data and two tables of code.

    scenario = Scenario.of(mac)              what a notebook did so far
    scenario.save("lost.json")
    run = Scenario.load("lost.json").run()
    print(run.divergence or "as recorded")

The data: the release, the calls of task 0, the choices, the faults. The code: factories of kexts
and functions of programs, by name. The same scenario gives the same trace, byte for byte. The file
is described in ``docs/scenario-format.md`` and written by ``kextlab.scenario.file``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from kextlab.bsd.release import DEFAULT_RELEASE, release_named
from kextlab.kernel.kernel import Kernel
from kextlab.scenario.calls import (
    AddDriver,
    Call,
    Load,
    LoadJob,
    Recorded,
    RunTasks,
    Spawn,
    Start,
)
from kextlab.scenario.derive import calls_of, name_of_factory
from kextlab.scenario.expected import Expected
from kextlab.scenario.faults import Fault
from kextlab.scenario.recording import in_json
from kextlab.scenario.steps import faults as faults_of_step
from kextlab.scenario.values import ScenarioError
from kextlab.sched.chooser import Choice

if TYPE_CHECKING:
    from kextlab.scenario.run import Run

Factory = Callable[[], Any]
"""What makes a kext, or a driver of IOKit: its class."""
Function = Callable[..., Any]
"""A program: called with its app and its arguments; Any, as a student writes it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program in a process of its own: ``function(app, *args)``."""

    name: str
    function: Function
    uid: int = 501
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run of the machine, before it is run.

    Args:
        release: XNU's tag.
        kexts: factories, or a table of name to factory.
        programs: ``Program``s, or a table of name to function.
        seed: decides what ``choices`` leave open; ``None``: first in, first out.
        choices: ``mac.choices`` of a run, or their beginning.
        faults: each with its step.
        calls: what task 0 asks, in order. ``None``: load every kext, start every program in a
            process of its name, run until nothing can.
        title: for people.
        expected: what a recorded run of it was like, to be compared with.

    Raises:
        ScenarioError: something is missing or of the wrong kind; one line.
    """

    release: str = DEFAULT_RELEASE
    kexts: Mapping[str, Factory] = field(default_factory=dict)
    programs: Mapping[str, Function] = field(default_factory=dict)
    seed: int | None = None
    choices: tuple[Choice, ...] = ()
    faults: tuple[Fault, ...] = ()
    calls: tuple[Call, ...] = ()
    title: str = ""
    expected: Expected | None = None

    def __init__(
        self,
        release: str = DEFAULT_RELEASE,
        kexts: Iterable[Factory] | Mapping[str, Factory] = (),
        programs: Iterable[Program] | Mapping[str, Function] = (),
        seed: int | None = None,
        choices: Iterable[Choice] = (),
        faults: Iterable[Fault] = (),
        calls: Iterable[Call] | None = None,
        title: str = "",
        expected: Expected | None = None,
    ) -> None:
        started = () if isinstance(programs, Mapping) else tuple(programs)
        table = dict(kexts) if isinstance(kexts, Mapping) else _named(kexts)
        functions = (
            dict(programs)
            if isinstance(programs, Mapping)
            else {program.name: program.function for program in started}
        )
        if len(functions) < len(started):
            raise ScenarioError("two programs of one name; a name is a program's own")
        given = _all(table, started) if calls is None else tuple(calls)
        values = (release, table, functions, seed, tuple(choices), tuple(faults), given, title)
        for name, value in zip(self.__slots__, (*values, expected), strict=True):
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Nothing is missing, so that nothing is half-run."""
        try:
            release_named(self.release)
        except ValueError as error:
            raise ScenarioError(str(error)) from None
        if self.seed is not None and not isinstance(self.seed, int):
            raise ScenarioError(f"seed is {self.seed!r}, expected a whole number or None")
        for fault in self.faults:
            _check_steps(fault)
        for at, call in enumerate(self.calls):
            why = self._lacks(call)
            if why:
                raise ScenarioError(f"call {at}: {why}")

    def _lacks(self, call: Call) -> str:
        match call:
            case Load(kext) | AddDriver(kext, _) if kext not in self.kexts:
                return _missing("kext", kext, self.kexts)
            case Start(program, _, _, _) | LoadJob(_, program) if program not in self.programs:
                return _missing("program", program, self.programs)
            case Recorded(step):
                return next(iter(faults_of_step(step)), "")
            case _:
                return ""

    def __repr__(self) -> str:
        counts = f"{len(self.calls)} calls, {len(self.choices)} choices, {len(self.faults)} faults"
        return f"<Scenario {self.title or 'without a title'}: {self.release}, {counts}>"

    # -- recording, running ----------------------------------------------------------------

    @classmethod
    def of(cls, mac: Kernel, title: str = "") -> Scenario:
        """What was done with a machine since its boot.

        The calls of task 0 come from its trace, kexts, processes and programs from what it was
        given, choices from what was chosen.

        Raises:
            TypeError: not a Kernel.
            ScenarioError: something was done that a scenario cannot do again; says at which step.
        """
        if not isinstance(mac, Kernel):
            raise TypeError(f"Scenario.of takes a Kernel, not {mac!r:.40}")
        derived = calls_of(mac)
        return cls(
            mac.release,
            derived.kexts,
            derived.programs,
            choices=mac.choices,
            calls=derived.calls,
            title=title,
            expected=Expected.of(mac.trace),
        )

    def run(self) -> Run:
        """Run it on a fresh machine.

        Raises:
            ScenarioError: a fault cannot apply at its step.
        """
        from kextlab.scenario.run import run

        return run(self)

    def having(self, **changes: Any) -> Scenario:  # the constructor's own arguments
        """The same scenario with other values, and nothing expected of it unless that is given."""
        return replace(self, **{"expected": None, **changes})

    # -- files -----------------------------------------------------------------------------

    def save(self, path: str | PathLike[str], *, trace: bool | None = None) -> None:
        """Write it to a file, with what a run of it is like.

        ``trace``: whether the steps themselves are written, so that a replay that differs can say
        what was expected; by default if there are at most 2,000.

        Raises:
            ScenarioError: a program's argument cannot be written.
            OSError: the file cannot be written.
        """
        from kextlab.scenario.file import write

        write(self, path, trace)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        kexts: Mapping[str, Factory] | None = None,
        programs: Mapping[str, Function] | None = None,
        name: str | None = None,
    ) -> Scenario:
        """Read a scenario file, or a scenario of a ``kextlab-recording/1`` file.

        ``kexts`` and ``programs`` give the code of names in the file; a name that is not given is
        looked up at the place the file says, in a module that is imported already or is
        kextlab's own. ``name`` picks a scenario of a recording that holds several.

        Raises:
            ScenarioError: one line: the file, where in it, what was seen, what is due.
        """
        from kextlab.scenario.file import read

        return read(path, kexts or {}, programs or {}, name)


def _all(kexts: Mapping[str, Factory], programs: Sequence[Program]) -> tuple[Call, ...]:
    """The calls that load and start everything and run it."""
    calls: list[Call] = [Load(name) for name in kexts]
    for pid, program in enumerate(programs, 100):
        calls.append(Spawn(program.name, program.uid))
        calls.append(Start(program.name, pid, tuple(program.args)))
    if programs:
        calls.append(RunTasks())
    return tuple(calls)


def _named(factories: Iterable[Factory]) -> dict[str, Factory]:
    table: dict[str, Factory] = {}
    for factory in factories:
        if not callable(factory):
            raise ScenarioError(f"kexts takes factories, such as EchoKext; got {factory!r:.60}")
        name = name_of_factory(factory)
        if name in table:
            raise ScenarioError(f"two kexts named {name}; give a table of names")
        table[name] = factory
    return table


def _missing(what: str, name: str, table: Mapping[str, object]) -> str:
    known = ", ".join(map(in_json, table)) or "none"
    return f"{what} {in_json(name)} is missing; given are {known}"


def _check_steps(fault: Fault) -> None:
    at, until = fault.at, fault.until
    if at is None:
        raise ScenarioError(f"{fault.kind}: at is missing; a scenario's fault has its step")
    if at < 0 or (until is not None and until <= at):
        raise ScenarioError(f"{fault.kind}: at={at}, until={until}: steps, the second one later")
    if until is not None and not fault.lasts:
        raise ScenarioError(f"{fault.kind}: until={until}, but it happens in one moment")
