"""Where kernel routines let go: yield points, sleeps and the loop that drives them.

Stands under everything that can block. Tasks, a virtual clock and the Chooser join this package
with the scenario work; what is here already is the contract every kernel routine is written to.
"""

from kextlab.sched.drive import LET_GO, Routine, answered, drive
from kextlab.sched.stop import KernelPanic, SimDeadlock, SimStop, Sleep

__all__ = [
    "LET_GO",
    "KernelPanic",
    "Routine",
    "SimDeadlock",
    "SimStop",
    "Sleep",
    "answered",
    "drive",
]
