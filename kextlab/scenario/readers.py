"""Faults of readers and tasks: who is slow, who has stopped, who is late.

A process that reads too slowly is what fills a queue, so these faults are the usual cause of a lost
record, and ``QuickReader`` is the cure to try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from kextlab.abi.constants import MSG_DONTWAIT
from kextlab.abi.errno import EWOULDBLOCK
from kextlab.bsd.socketvar import Socket
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.system import Process
from kextlab.scenario.fault import (
    READS,
    Armed,
    Fault,
    OfProcess,
    check_delay,
    in_seconds,
    sockets,
    tasks,
)
from kextlab.scenario.values import ScenarioError, is_number
from kextlab.sched.clock import SECOND
from kextlab.sched.stop import Sleep
from kextlab.sched.task import ASLEEP, Task


@dataclass(frozen=True, slots=True)
class SlowReader(OfProcess):
    """A process pauses ``delay`` s of virtual time after every ``every`` reads. Of its reads by
    task 0, which cannot wait for others, the one due in the pause is left out."""

    every: int = 1
    delay: float = 0.05

    kind: ClassVar[str] = "slow-reader"

    def __post_init__(self) -> None:
        if not is_number(self.every, 1):
            raise ScenarioError(f"{self.kind}: every is {self.every!r}, expected 1 or more")
        check_delay(self.kind, self.delay)

    @property
    def label(self) -> str:
        often = "every read" if self.every == 1 else f"every {self.every} reads"
        return f"{self.process} reads slowly: a pause of {in_seconds(self.delay)} after {often}"

    def begin(self, mac: Kernel) -> Armed:
        process = self.found(mac)
        scheduler = mac.system.tasks
        reads = skipped = 0

        def before_read(so: Socket) -> Sleep | None:
            nonlocal reads
            if scheduler.running is scheduler.outside or not so.so_rcv.sb_cc:
                return None
            reads += 1
            if reads == 1 or (reads - 1) % self.every:
                return None
            due = scheduler.clock.now + int(self.delay * SECOND)
            return Sleep("", "slow reader", deadline=due)

        def skips(pid: int, name: str) -> bool:
            nonlocal skipped
            if pid != process.pid or name not in READS:
                return False
            skipped = (skipped + 1) % (self.every + 1)
            return skipped == 0

        restore = _before_reads(process, before_read)

        def lift() -> None:
            restore()
            for task in tasks(mac, process.pid):
                if task.wmesg == "slow reader":
                    scheduler.wake(task, EWOULDBLOCK)

        return Armed(lift, skips)


@dataclass(frozen=True, slots=True)
class DeadReader(OfProcess):
    """A process reads nothing any more; what is sent to it stays in its queue."""

    kind: ClassVar[str] = "dead-reader"

    @property
    def label(self) -> str:
        return f"{self.process} stops reading"

    def begin(self, mac: Kernel) -> Armed:
        process = self.found(mac)
        channel = f"proc:{process.pid}"
        restore = _before_reads(process, lambda so: Sleep(channel, "dead reader"))

        def lift() -> None:
            restore()
            mac.system.tasks.wakeup(channel, "dead reader")

        return Armed(lift, lambda pid, name: pid == process.pid and name in READS)


def _before_reads(
    process: Process, before_read: Callable[[Socket], Sleep | None]
) -> Callable[[], None]:
    """Something sits in front of a process's reads from now on; what puts it away again."""
    files = process.descriptors
    previous, files.before_read = files.before_read, before_read

    def restore() -> None:
        files.before_read = previous

    return restore


@dataclass(frozen=True, slots=True)
class QuickReader(OfProcess):
    """No fault but its cure: a process reads whatever is queued for it at once. Its programs do
    not pause; if it has none, task 0 reads for it, before and after every call."""

    kind: ClassVar[str] = "quick-reader"

    @property
    def label(self) -> str:
        return f"{self.process} reads every record at once"

    def begin(self, mac: Kernel) -> Armed:
        process = self.found(mac)
        scheduler = mac.system.tasks

        def tend() -> None:
            threads = tasks(mac, process.pid)
            for task in threads:
                if task.state == ASLEEP and task.point is not None and not task.point.channels:
                    scheduler.wake(task, EWOULDBLOCK)
            if not threads and scheduler.running is scheduler.outside:
                self._drain(mac, process)

        return Armed(lambda: None, None, tend)

    @staticmethod
    def _drain(mac: Kernel, process: Process) -> None:
        for fd, file in sorted(process.descriptors.files.items()):
            while mac.panic is None and file.so in sockets(process) and file.so.so_rcv.sb_cc:
                errno, data = mac.syscalls.recvfrom(process.pid, fd, 1 << 20, MSG_DONTWAIT)
                if errno or not data:
                    break


@dataclass(frozen=True, slots=True)
class DelayedTask(Fault):
    """A task that is ready is not run for ``delay`` s of virtual time."""

    task: str | int
    delay: float = 0.05

    kind: ClassVar[str] = "delayed-task"
    lasts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_delay(self.kind, self.delay)

    @property
    def label(self) -> str:
        return f"task {self.task} does not get to run for {in_seconds(self.delay)}"

    def _found(self, mac: Kernel) -> Task | None:
        for task in mac.system.tasks.tasks.values():
            if self.task in (task.name, task.number) and not task.done:
                return task
        return None

    def obstacle(self, mac: Kernel) -> str:
        return "" if self._found(mac) is not None else f"no task {self.task} is under way"

    def begin(self, mac: Kernel) -> Armed:
        task = self._found(mac)
        assert task is not None
        task.not_before = mac.system.tasks.clock.now + int(self.delay * SECOND)
        return Armed()
