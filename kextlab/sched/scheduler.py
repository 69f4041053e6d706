"""The loop that runs tasks: wait queues, virtual time, choices.

``step`` lets one task run to the next place where it lets go, ``run`` is that loop until nothing
can run. A call that blocks where its caller cannot be suspended (a notebook's cell, a plain call
in an ``async def`` program) runs the same loop from inside, until its own task is chosen again;
tasks further out on the stack cannot go on before it returns.

Read beside it: ``bsd/kern/kern_synch.c`` (``msleep``, ``wakeup``), ``osfmk/kern/sched_prim.c``.
Left out: priorities, preemption (a task runs until it lets go), processor time (only waiting
takes time). In doubt: nothing is claimed about XNU's order; which of several ready tasks runs is
the chooser's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from kextlab.abi.errno import EINTR, EWOULDBLOCK
from kextlab.sched.chooser import Choice, Chooser, Fifo
from kextlab.sched.clock import Clock
from kextlab.sched.drive import Routine, abandon, hopeless
from kextlab.sched.stop import ChoiceError, Killed, SimDeadlock, Sleep, Waits, told
from kextlab.sched.task import ASLEEP, DONE, RUNNABLE, Body, Holder, Suspend, Task

T = TypeVar("T")


class Scheduler:
    """The tasks of one boot, and its time.

    Attributes:
        chooser: decides what is open.
        choices: what it decided, where there was more than one option.
        clock: virtual time.
        outside: task 0.
        running: the task whose code runs now.
        tasks: all others, by number, ended ones too.
        ready: those that can run, in the order in which they became so.
        waiting: channel to those that sleep on it, in the order in which they began.
        steps: how often a task was run on.
        ended: the panic that ended them all.
        watch: called before a task is chosen; a scenario applies its faults there.
    """

    def __init__(self, chooser: Chooser | None = None) -> None:
        self.chooser: Chooser = chooser if chooser is not None else Fifo()
        self.choices: list[Choice] = []
        self.clock = Clock()
        self.outside = Task(0, "notebook", 0)
        self.running = self.outside
        self.suspend: Suspend | None = None
        """How the running task leaves from inside; ``drive`` asks for it often."""
        self.tasks: dict[int, Task] = {}
        self.ready: list[Task] = []
        self.waiting: dict[str, list[Task]] = {}
        self.steps = 0
        self.ended: BaseException | None = None
        self.watch: Callable[[], None] | None = None
        self._held: Task | None = None
        """Runs next, without a choice: it only let go for a moment, or was chosen there."""
        self._blocked: list[Task] = []
        """Tasks whose blocking calls run the loop from inside, the innermost last."""
        self._failed: list[Task] = []
        """Ended by an exception nobody has seen."""

    # -- for whoever records ---------------------------------------------------------------

    def switched(self, task: Task) -> None:
        """This task runs from here on."""

    def left(self) -> None:
        """Nothing runs any more; whoever called from outside goes on."""

    def changed(self, task: Task) -> None:
        """A task began, fell asleep, was woken or ended."""

    def ticked(self) -> None:
        """Time has passed."""

    def who(self, point: Sleep) -> str:
        """Who could wake a sleeper there."""
        return "wakeup()"

    # -- tasks -----------------------------------------------------------------------------

    def spawn(self, name: str, pid: int, body: Body, group: str = "", parent: int = 0) -> Task:
        """A new task, ready to run; it begins when it is chosen."""
        number = len(self.tasks) + 1
        task = self.tasks[number] = Task(number, name, pid, body, group, parent)
        self.ready.append(task)
        self.changed(task)
        return task

    def wakeup(self, channel: str, wmesg: str = "") -> None:
        """All that sleep on ``channel`` (in ``wmesg``, if that is given) are ready again."""
        for task in tuple(self.waiting.get(channel, ())):
            if not wmesg or task.wmesg == wmesg:
                self.wake(task, 0)

    def wake(self, task: Task, answer: int) -> None:
        """End a task's sleep; the sleep answers ``answer``."""
        self._up(task)
        task.answer = answer
        self.ready.append(task)
        self.changed(task)

    def _up(self, task: Task) -> None:
        """It does not sleep any more."""
        assert task.point is not None
        for channel in task.point.channels:
            sleepers = self.waiting[channel]
            sleepers.remove(task)
            if not sleepers:
                del self.waiting[channel]
        task.point = None
        task.sleeps += 1
        task.state = RUNNABLE

    def _down(self, task: Task, point: Sleep) -> None:
        """It sleeps, unless the time for it has passed already."""
        deadline = point.deadline
        if deadline is not None and deadline <= self.clock.now:
            task.answer = EWOULDBLOCK
            self.ready.append(task)
            return
        task.state, task.point = ASLEEP, point
        for channel in point.channels:
            self.waiting.setdefault(channel, []).append(task)
        if deadline is not None:
            self.clock.add(deadline, task)
        self.changed(task)

    def _end(self, task: Task, value: object = None, error: BaseException | None = None) -> None:
        """A task's body is over."""
        task.value, task.error = value, error
        if task.state == DONE:  # a panic ended it before its own code did
            return
        if task.point is not None:
            self._up(task)
        elif task in self.ready:
            self.ready.remove(task)
        if self._held is task:
            self._held = None
        if error is not None:
            self._failed.append(task)
        task.state = DONE
        self.changed(task)
        self.wakeup(f"task:{task.number}")

    def end(self, end: BaseException) -> None:
        """A panic or the next boot: no task runs any more."""
        self.ended = end
        for task in self.tasks.values():
            if not task.done:
                task.told = True
                self._end(task, error=end)
                self._close(task)

    def _close(self, task: Task) -> None:
        """Throw a body away; what its ``finally`` blocks try is of no effect any more."""
        if task.executing or task.body is None:
            return
        previous = self.running
        self.running, self.suspend = task, task.suspend
        try:
            task.body.close()
        except Exception:
            return
        finally:
            self.running, self.suspend = previous, previous.suspend

    def kill(self, task: Task) -> None:
        """End a task whose process ends: a wait in the kernel is interrupted, and what the call
        still does is done; then nothing of the program runs any more."""
        if task.done:
            return
        task.killed = True
        if task.point is not None and not task.point.interruptible:
            return  # it ends when its call does
        if task.point is not None and (task.executing or task.in_call):
            self.wake(task, EINTR)
        if task.executing:
            return
        if not task.in_call:
            self._close(task)
            self._end(task)
            return
        held, self._held = self._held, None
        while task in self.ready or task is held or task is self._held:
            if task in self.ready:
                self.ready.remove(task)
            held = None if task is held else held
            self._held = None
            self._resume(task)
        self._held = held
        self._enter(self.running)

    # -- the loop --------------------------------------------------------------------------

    def run(self, until: int | None = None) -> int:
        """Run tasks until none can, or until that time (ns); the steps taken."""
        before = self.steps
        self._from_outside("run")
        try:
            while self._step(until):
                pass
        finally:
            self.left()
        if until is not None and until > self.clock.now:
            self.clock.now = until
            self.ticked()
        self._tell(orphans=True)
        return self.steps - before

    def step(self, until: int | None = None) -> bool:
        """Run one task to its next yield point; False if none can run (by that time).

        Raises:
            RuntimeError: called by a task, not from outside.
            Exception: what ended a program, and nobody has seen yet.
        """
        self._from_outside("step")
        try:
            return self._step(until)
        finally:
            self.left()

    def _from_outside(self, what: str) -> None:
        if self.running is not self.outside or self._blocked:
            raise RuntimeError(
                f"mac.{what}() was called while {self.running!r} runs: a task awaits or blocks, "
                "and only a notebook's cell runs tasks"
            )

    def _step(self, until: int | None) -> bool:
        self._tell()
        task = self._next(until)
        if task is None:
            return False
        self._resume(task)
        if self.ended is not None:
            raise self.ended
        self._tell()
        return True

    def _tell(self, orphans: bool = False) -> None:
        """Raise what ended a program, unless somebody has seen it: not that of a task another may
        still await, unless ``orphans``."""
        for task in tuple(self._failed):
            if task.told or orphans or not task.parent:
                self._failed.remove(task)
                if not task.told and task.error is not None:
                    task.told = True
                    task.error.add_note(f"in task {task.number} ({task.name})")
                    raise task.error

    def _next(self, until: int | None = None) -> Task | None:
        """Who runs now; the clock moves on if nobody can."""
        if self.watch is not None:
            self.watch()
        held = self._held
        if held is not None and held.not_before > self.clock.now:  # it waits with the others
            self._held = None
            self.ready.insert(0, held)
        elif held is not None and self._may_run(held):
            self._held = None
            return held
        while not (options := self._options()):
            if not self._tick(until):
                return None
        task = options[self._choose("next", options)]
        self.ready.remove(task)
        return task

    def _may_run(self, task: Task) -> bool:
        """Not further out on the stack, nor of a thread that is blocked, nor delayed."""
        if task.not_before > self.clock.now:
            return False
        if task.executing:
            return bool(self._blocked) and task is self._blocked[-1]
        return not task.group or all(task.group != blocked.group for blocked in self._blocked)

    def _options(self) -> list[Task]:
        return [task for task in self.ready if self._may_run(task)]

    def _choose(self, kind: str, options: Sequence[Task]) -> int:
        if len(options) == 1:
            return 0
        labels = tuple(task.label for task in options)
        try:
            index: object = self.chooser.choose(kind, labels)
        except Exception as error:
            raise ChoiceError(str(error)) from error
        if not isinstance(index, int) or not 0 <= index < len(labels):
            raise ChoiceError(
                f"{self.chooser!r} answered {index!r} to {kind!r}: expected 0 to {len(labels) - 1}"
            )
        self.choices.append((kind, labels, int(index)))
        return index

    def _tick(self, until: int | None) -> bool:
        """The clock jumps to the next deadline, and who waited for it is ready; False if there is
        none by ``until``."""
        deadline = self.clock.next()
        delayed = [task.not_before for task in self.ready if task.not_before > self.clock.now]
        if delayed and (deadline is None or min(delayed) < deadline):
            deadline = min(delayed)
        if deadline is None or (until is not None and deadline > until):
            return False
        self.clock.now = deadline
        self.ticked()
        while (task := self.clock.due()) is not None:
            self.wake(task, EWOULDBLOCK)
        return True

    def _resume(self, task: Task) -> None:
        """Run a task to its next yield point."""
        assert task.body is not None
        previous = self.running
        answer, task.answer = task.answer, 0
        self._enter(task)
        self.steps += 1
        task.executing = True
        point: Sleep | None = None
        over = True
        try:
            point = task.body.send(answer)
            over = False
        except StopIteration as stop:
            self._end(task, stop.value)
        except Killed:
            self._end(task)
        except Exception as error:
            self._end(task, error=None if task.killed else error)
        except BaseException as error:
            task.told = True
            self._end(task, error=error)
            raise
        finally:
            task.executing = False
            self.running, self.suspend = previous, previous.suspend
        if over:
            for function in task.then:
                function(task)
        elif task.done:  # a panic ended it, and its program would go on
            self._close(task)
        elif point is None:
            self._let_go(task)
        else:
            self._down(task, point)

    def _enter(self, task: Task) -> None:
        self.running, self.suspend = task, task.suspend
        self.switched(task)

    def _let_go(self, task: Task) -> None:
        """A task dropped its lock for a moment: it goes on, unless the chooser is asked here and
        says otherwise."""
        self._held = task
        others = self._options() if getattr(self.chooser, "at_let_go", True) else []
        if others and not task.killed:
            index = self._choose("let_go", [task, *others])
            if index:
                self._held = others[index - 1]
                self.ready.remove(self._held)
                self.ready.append(task)

    # -- calls -----------------------------------------------------------------------------

    def drive(self, routine: Routine[T], holder: Holder | None = None, fd: int = -1) -> T:
        """Run a kernel routine for the running task and return its result. If it is suspended,
        ``holder`` is told that a call is inside ``fd``.

        Raises:
            SimDeadlock: it sleeps, and nothing that can run can wake it. The wait is interrupted
                first (msleep answers EINTR), so that the routine lets go of what it holds and
                the kernel stays usable.
        """
        try:
            if self.suspend is None:
                while (point := next(routine)) is None:
                    pass
            else:
                point = next(routine)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if holder is None:
            return self._drive_on(routine, point)
        holder.enter(fd)
        try:
            return self._drive_on(routine, point)
        finally:
            holder.leave(fd)

    def _drive_on(self, routine: Routine[T], point: Sleep | None) -> T:
        """The rest of a routine that let go or sleeps."""
        task = self.running
        task.in_call += 1
        try:
            while True:
                answer: int | None = None
                if task.suspend is not None:
                    answer = task.suspend(point)
                elif point is not None:
                    waited = self._wait(point)
                    if isinstance(waited, SimDeadlock):
                        abandon(routine, point)
                        raise waited
                    answer = waited
                point = routine.send(answer)
        except StopIteration as over:
            if task.killed:
                raise Killed("its process ended") from None
            result: T = over.value
            return result
        finally:
            task.in_call -= 1

    def block(self, point: Sleep, in_kernel: bool = False) -> int:
        """The running task sleeps here, outside any routine; what the sleep answers.

        Raises:
            SimDeadlock: nothing that can run can wake it.
        """
        task = self.running
        task.in_call += in_kernel
        answer: int | SimDeadlock | None
        try:
            answer = task.suspend(point) if task.suspend is not None else self._wait(point)
        finally:
            task.in_call -= in_kernel
        if task.killed and not in_kernel:
            raise Killed
        if isinstance(answer, SimDeadlock):
            raise answer
        assert answer is not None
        return answer

    def _wait(self, point: Sleep) -> int | SimDeadlock:
        """The running task sleeps, and the others run from inside it, until it is woken and
        chosen; what the sleep answers. A deadlock, not raised: nobody can wake it, and it does
        not sleep any more."""
        task = self.running
        executing, task.executing = task.executing, True
        self._blocked.append(task)
        self._down(task, point)
        try:
            while (chosen := self._next()) is not task:
                if chosen is None:
                    deadlock = self._deadlock(point)
                    self._forget(task)
                    return deadlock
                self._resume(chosen)
                if self.ended is not None:
                    raise self.ended
        except BaseException:
            self._forget(task)
            raise
        finally:
            self._blocked.pop()
            task.executing = executing
            self._enter(task)
        answer, task.answer = task.answer, 0
        return answer or 0

    def _forget(self, task: Task) -> None:
        """A blocked call ends without having been woken."""
        if task.point is not None:
            self._up(task)
            self.changed(task)
        elif task in self.ready:
            self.ready.remove(task)

    # -- deadlock --------------------------------------------------------------------------

    def graph(self) -> Waits:
        """Who sleeps in what on which channel, and who could wake it."""
        waits = []
        for task in (self.outside, *self.tasks.values()):
            if task.point is not None:
                waits.append((task.name, task.wmesg, task.channel, self.who(task.point)))
            elif task in self.ready:
                inner = self._blocked[-1].name
                waits.append((task.name, "", "", f"goes on when {inner}'s blocking call returns"))
        return waits

    def _deadlock(self, point: Sleep) -> SimDeadlock:
        graph = self.graph()
        return SimDeadlock(hopeless(point) + told(graph), point, graph)
