"""Tasks and time: yield points, sleeps, wait queues, a virtual clock, and who chooses.

A kernel routine is a generator that yields where others can get in (``drive``). A task is a thread
of a simulated process (``task``); its body is a coroutine, a routine, or a blocking program that
can be suspended from outside. The ``Scheduler`` runs one at a time, from yield point to yield
point, and wakes sleepers by channel; when nobody can run, the ``Clock`` jumps to the next deadline.
Whatever is open is decided by a ``Chooser`` and kept, so that a run can be done again, byte for
byte. Nothing here reads a clock of the host, draws randomness or starts a thread.
"""

from kextlab.sched.chooser import Choice, Chooser, Fifo, Picked, Recorded, Seeded
from kextlab.sched.drive import LET_GO, Routine, answered, drive
from kextlab.sched.scheduler import Scheduler
from kextlab.sched.stop import ChoiceError, KernelPanic, Killed, SimDeadlock, SimStop, Sleep
from kextlab.sched.task import Task

__all__ = [
    "LET_GO",
    "Choice",
    "ChoiceError",
    "Chooser",
    "Fifo",
    "KernelPanic",
    "Killed",
    "Picked",
    "Recorded",
    "Routine",
    "Scheduler",
    "Seeded",
    "SimDeadlock",
    "SimStop",
    "Sleep",
    "Task",
    "answered",
    "drive",
]
