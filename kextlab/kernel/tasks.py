"""The tasks of one boot as its trace tells of them, and who could wake whom.

What the scheduler decides is recorded here: SWITCH when another task runs on, ``task:N`` objects,
the clock. A SWITCH back to task 0 is written only when task 0 next enters the kernel, so that
stepping and running leave the same trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kextlab.sched.chooser import Chooser
from kextlab.sched.scheduler import Scheduler
from kextlab.sched.stop import Sleep
from kextlab.sched.task import Task
from kextlab.trace.codes import SET, SIGNAL, SWITCH, group, new

if TYPE_CHECKING:
    from kextlab.kernel.asked import Journal
    from kextlab.kernel.system import System


class Tasks(Scheduler):
    """The scheduler of one boot.

    Attributes:
        recorded: the task that recorded last.
        shown: the tasks that are objects of the trace, by number, as it last showed them.
    """

    def __init__(self, system: System, chooser: Chooser | None) -> None:
        super().__init__(chooser)
        self._system = system
        self._rec = system.rec
        self.recorded = 0
        self.shown: dict[int, dict[str, object]] = {}

    def switched(self, task: Task) -> None:
        """Another task runs on: whatever it records is its own."""
        self._system.open()
        if task.number != self.recorded:
            self.recorded = task.number
            if self._rec is not None:
                self._rec((SWITCH, task.number))

    def left(self) -> None:
        """Task 0 goes on; its next entry into the kernel is to say so."""
        if self.recorded and self.running is self.outside:
            self._system.close()

    def changed(self, task: Task) -> None:
        """A task began, fell asleep, was woken or ended."""
        name, state = f"task:{task.number}", task.as_plain()
        before = self.shown.get(task.number)
        self.shown[task.number] = state
        if self._rec is None:
            return
        if before is None:
            self._rec(new(name, state))
        else:
            fields = [field for field, value in state.items() if value != before[field]]
            self._rec(group(*((SET, name, field, state[field]) for field in fields)))

    def ticked(self) -> None:
        """Time has passed."""
        if self._rec is not None:
            self._rec((SET, "kernel", "clock", self.clock.now))

    def signal(self, pid: int, name: str) -> None:
        """A signal is sent to a process."""
        self._system.check(f"process {pid}")
        if self._rec is not None:
            self._rec((SIGNAL, pid, name))

    def block(self, point: Sleep, in_kernel: bool = False) -> int:
        """The running task sleeps here, outside any routine; as ``Scheduler.block``."""
        if in_kernel:
            return super().block(point, in_kernel)
        with self._system.journal.noting("sleep", point.channels, point.wmesg, point.deadline):
            return super().block(point)

    def exit(self, pid: int) -> list[Task]:
        """End the threads of a process but the one that calls: nothing of their programs enters
        the kernel any more. Those that cannot end yet, because they are in an uninterruptible
        wait or on the stack, are returned."""
        system = self._system
        system.outside()
        process = system.running.pop(pid, None)
        if process is not None:
            process.exited = True
        threads = [
            task for task in self.tasks.values() if task.pid == pid and task is not self.running
        ]
        before, system.ending = system.ending, f"process {pid}"
        for task in threads:
            self.kill(task)
        system.ending = before
        if process is not None and not system.closed:
            system.running[pid] = process
        return [task for task in threads if not task.done]

    def descriptors(self, pid: int) -> tuple[int, ...]:
        """The open descriptors of a process."""
        process = self._system.processes.get(pid)
        return tuple(process.descriptors.files) if process is not None else ()

    @property
    def journal(self) -> Journal:
        """What was asked from outside, other than by system calls."""
        return self._system.journal

    # -- who could wake a sleeper ----------------------------------------------------------

    def who(self, point: Sleep) -> str:
        """In words, by the kind of object slept on."""
        found = [self._waker(channel, point.wmesg) for channel in point.channels]
        if point.deadline is not None:
            found.append(f"time, at {point.deadline / 1e9:g} s")
        return " or ".join(dict.fromkeys(found))

    def _waker(self, channel: str, wmesg: str) -> str:
        kind, _, number = channel.partition(":")
        domain = self._system.domain
        so = domain.sockets.live.get(int(number)) if number.isdecimal() else None
        if kind in ("so_rcv", "so_snd", "so_timeo") and so is not None:
            if wmesg == "sb_lock":
                return "the call that is in this buffer"
            return so.so_proto.waker(so, wmesg)
        if kind == "kcb":
            return "the call that is inside this client"
        task = self.tasks.get(int(number)) if number.isdecimal() else None
        if kind == "task" and task is not None:
            return f"{task.name}, when it ends"
        return f"a kext's wakeup({channel!r})"
