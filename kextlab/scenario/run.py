"""``Run``: a scenario that was run. It is looked at, stepped through, and branched from.

A picture is rewound by folding the trace (``step``, ``back``, ``jump``, ``state``). A machine is
rewound by running the scenario again as far as that (``machine``), a branch by running it again and
then differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from os import PathLike

from kextlab.scenario.calls import Call, Recorded, RunTasks
from kextlab.scenario.expected import Divergence, Expected
from kextlab.scenario.fault import Fault
from kextlab.scenario.hashes import state_hash
from kextlab.scenario.operations import Answer
from kextlab.scenario.play import Player
from kextlab.scenario.replay import same, sides
from kextlab.scenario.scenario import Scenario
from kextlab.scenario.values import ScenarioError
from kextlab.sched.chooser import Choice
from kextlab.trace.fold import State
from kextlab.trace.log import Trace, outside
from kextlab.userland.mac import Kernel


@dataclass(slots=True)
class Run:
    """A scenario that was run.

    Attributes:
        scenario: what was run, with the choices that were made.
        mac: the machine as it was left.
        trace: everything that happened.
        starts: the step at which each call of the scenario began.
        choice_steps: the step at which each choice was made.
        errors: what a call raised that was no answer of the kernel: (call, exception).
        answers: what the steps of a recording answered.
        parent: the run this one is a branch of.
        at: the step of the parent at which it branches.
        position: the step looked at.
    """

    scenario: Scenario
    mac: Kernel
    trace: Trace
    starts: list[int]
    choice_steps: list[int]
    errors: list[tuple[int, Exception]]
    answers: list[Answer] = field(default_factory=list)
    parent: Run | None = None
    at: int | None = None
    position: int = 0

    def __repr__(self) -> str:
        branch = f", branched at {self.at}" if self.at is not None else ""
        return f"<Run, {len(self.trace)} steps{branch}, at step {self.position}>"

    # -- looking ---------------------------------------------------------------------------

    def hash(self, step: int | None = None) -> str:
        """The hash of the kernel's state after ``step`` steps (default: where it is looked at).

        Raises:
            IndexError: there is no such step.
        """
        return state_hash(self.state(step))

    def state(self, step: int | None = None) -> State:
        """The kernel's state after ``step`` steps (default: where it is looked at). IndexError:
        there is no such step."""
        return self.trace.state(self.position if step is None else step)

    def jump(self, step: int) -> State:
        """Look at ``step``. IndexError: there is no such step; then nothing moves."""
        state = self.trace.state(step)
        self.position = step
        return state

    def step(self, count: int = 1) -> State:
        """Look ``count`` steps further. IndexError beyond the last step."""
        return self.jump(self.position + count)

    def back(self, count: int = 1) -> State:
        """Look ``count`` steps back. IndexError before the first step."""
        return self.jump(self.position - count)

    @property
    def divergence(self) -> Divergence | None:
        """Where it first differs from what was recorded; ``None`` if it does not, or if nothing
        was. Of a scenario from a recording, the first step that answers otherwise than the real
        kernel code did."""
        expected = self.scenario.expected
        found = expected.compare(self.trace) if expected is not None else None
        return found or self._answer_that_differs()

    def _answer_that_differs(self) -> Divergence | None:
        answers = iter(self.answers)
        for start, call in zip(self.starts, self.scenario.calls, strict=False):
            if not isinstance(call, Recorded) or (answer := next(answers, None)) is None:
                continue
            op, expect = call.step["op"], call.step.get("expect")
            if expect is not None and not same(op, expect, answer):
                return Divergence(start, start - 1, *sides(op, expect, answer))
        return None

    def save(self, path: str | PathLike[str], *, trace: bool | None = None) -> None:
        """Write its scenario to a file, with what this run was like; as ``Scenario.save``."""
        recorded = replace(self.scenario, expected=Expected.of(self.trace))
        recorded.save(path, trace=trace)

    # -- running again ---------------------------------------------------------------------

    def branch(
        self,
        at: int | None = None,
        *,
        faults: Iterable[Fault] = (),
        choices: Iterable[Choice] | None = None,
        calls: Iterable[Call] | None = None,
        without: Iterable[Fault] = (),
    ) -> Run:
        """Run it again up to a step, and then differently.

        A call of task 0 that began before ``at`` is made as it was; what tasks choose inside it
        from ``at`` on may be another thing.

        Args:
            at: the step (default: where it is looked at).
            faults: more faults; one without a step applies at ``at``.
            choices: what is chosen from ``at`` on; by default what was, as long as it is asked.
            calls: what task 0 does from ``at`` on instead; a run of tasks is ended there.
            without: faults that are ended at ``at``, or do not come.

        Raises:
            IndexError: there is no such step.
            ScenarioError: a fault cannot apply, or a fault in ``without`` is none of this run or
                cannot be taken back.
        """
        at = self.position if at is None else at
        if not 0 <= at <= len(self.trace):
            raise IndexError(outside(at, len(self.trace)))
        before = [i for i, start in enumerate(self.starts) if start < at]
        kept = list(self.scenario.calls[: len(before)])
        if calls is None:
            calls = self.scenario.calls[len(before) :]
        elif kept and isinstance(kept[-1], RunTasks):
            kept[-1] = replace(kept[-1], to=at)
        made = sum(step < at for step in self.choice_steps)
        if choices is None:
            choices = self.scenario.choices[made:]
        scenario = self.scenario.having(
            calls=(*kept, *calls),
            choices=(*self.scenario.choices[:made], *choices),
            faults=(*self._kept(at, tuple(without)), *(_from(at, fault) for fault in faults)),
        )
        branched = run(scenario)
        branched.parent, branched.at, branched.position = self, at, at
        return branched

    def machine(self, at: int | None = None) -> Kernel:
        """A machine of its own as it was at a step (default: where it is looked at), made by
        running the scenario again. The call that was under way there is done to its end, a run
        of tasks ends at the first place where one lets go."""
        return self.branch(at, calls=()).mac

    def _kept(self, at: int, without: tuple[Fault, ...]) -> Iterable[Fault]:
        """The faults of this run, without some of them from ``at`` on."""
        for fault in without:
            if fault not in self.scenario.faults:
                raise ScenarioError(f"without: {fault.kind} at={fault.at} is no fault of this run")
        for fault in self.scenario.faults:
            if fault not in without or (fault.until or at + 1) <= at:
                yield fault
            elif (fault.at or 0) < at:
                if not fault.lasts:
                    raise ScenarioError(
                        f"without: {fault.kind} happened at step {fault.at} and cannot be taken "
                        f"back at step {at}; branch at {fault.at} or before"
                    )
                yield replace(fault, until=at)


def _from(at: int, fault: Fault) -> Fault:
    """A fault of a branch, with its step."""
    if fault.at is None:
        return replace(fault, at=at)
    if fault.at < at:
        raise ScenarioError(f"{fault.kind} at={fault.at} lies before the branch, which is at {at}")
    return fault


def run(scenario: Scenario) -> Run:
    """Run a scenario on a fresh machine; see ``Scenario.run``."""
    player = Player(scenario)
    player.play()
    chosen = replace(scenario, choices=tuple(player.mac.choices))
    return Run(
        chosen,
        player.mac,
        player.trace,
        player.starts,
        player.chooser.steps,
        player.errors,
        player.answers,
    )
