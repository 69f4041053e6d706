"""Exercise 1, registration, how a kext leaves: its last client, and the order of it all."""

from __future__ import annotations

from contextlib import suppress

from kextlab.abi.errno import EBUSY
from kextlab.course.budget import BudgetSpent
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    EchoKext,
    Kernel,
    connected,
    last_callback,
    letters,
    machine,
    names_of,
)
from kextlab.kernel.kext import KextError
from kextlab.sched.stop import KernelPanic

# -- q01_7: deregister inside disconnect -------------------------------------------------------

FEW = 500
"""Steps of a stop or a disconnect that does not wait for anything."""


def _deregistrations(mac: Kernel) -> list[int]:
    """The steps at which a kext called ctl_deregister."""
    return [
        event.step
        for event in mac.trace.events()
        if event.kind == "kpi" and event.name == "ctl_deregister"
    ]


def _leaves(answer: Answer, seed: int) -> Miss | None:
    """Clients come and go, and the control stays."""
    mac, _, app = machine(answer["Lasting"])
    for nth in range(1, 2 + seed % 3):
        s = connected(app)
        s.send(b"hello")
        try:
            s.close()
        except BudgetSpent as spent:
            seen = f"client {nth} closes its socket, and disconnect does not return: {spent}"
            return Miss("asks-until-it-works", seen, "one answer is enough", mac)
        if steps := _deregistrations(mac):
            seen = f"client {nth} leaves, and ctl_deregister is called in disconnect"
            return Miss("last-one-out", seen, "nothing is refused", mac, steps[0])
    return None


def _goes(answer: Answer, seed: int) -> Miss | None:
    """With its clients gone, the kext can be unloaded, and takes its control along."""
    mac, kext, app = machine(answer["Lasting"])
    for _ in range(seed % 3):
        connected(app).close()
    try:
        mac.unload(kext)
    except (KextError, KernelPanic) as error:
        return Miss("somebody-else-does-it", f"unloading ends with: {error}", "it goes", mac)
    if names_of(mac):
        seen = f"the kext is unloaded, and {names_of(mac)} is registered"
        return Miss("somebody-else-does-it", seen, "nothing is", mac)
    return None


def _stays(answer: Answer, seed: int) -> Miss | None:
    """While a client is there, unloading is refused, and the client is served."""
    mac, kext, app = machine(answer["Lasting"])
    there = [connected(app) for _ in range(1 + seed % 3)]
    expected = f"EBUSY ({EBUSY})"
    try:
        mac.unload(kext)
    except KextError as error:
        if error.errno != EBUSY:
            return Miss("ignores-busy", f"unloading ends with: {error}", expected, mac)
    except BudgetSpent as spent:
        seen = f"a client is connected, and stop does not return: {spent}"
        return Miss("waits-in-stop", seen, expected, mac)
    else:
        seen = f"{len(there)} of its clients are connected, and the kext is unloaded"
        return Miss("ignores-busy", seen, expected, mac)
    for s in there:
        s.send(b"still here?")
        if s.recv(100) != b"still here?":  # pragma: no cover
            return Miss("ignores-busy", "a client hears no echo", "it is served", mac)
    return None


_Q7 = Question(
    "q01_7",
    "find and mend: the last one switches off the light",
    ("Lasting",),
    (
        Check("clients come and go, and nothing is refused", _leaves, FEW),
        Check("the control goes with the kext", _goes),
        Check("while a client is there, unloading is EBUSY", _stays, FEW),
    ),
)

# -- q01_8: Parsons: the order of leaving ------------------------------------------------------

# The lines are those of the exercise: A the control leaves the kernel's list, B disconnect runs, C
# the code leaves memory, D ctl_deregister answers EBUSY, E the client leaves the control's list, F
# the client closes; G does not happen.
NEVER = "G"


def order_of_leaving() -> tuple[str, Kernel]:
    """The lines of q01_8 in the order in which they happen in the trace, and the machine."""
    mac, kext, app = machine(EchoKext)
    s = connected(app)
    start = len(mac.trace)
    with suppress(KextError):
        mac.unload(kext)
    s.close()
    mac.unload(kext)
    happened: dict[str, int] = {}
    for event in mac.trace.events():
        if event.step < start:
            continue
        line = ""
        if event.kind == "return" and event.errno == EBUSY:
            line = "D"
        elif event.kind == "syscall" and event.name == "close":
            line = "F"
        elif event.kind == "callback" and event.name == "disconnect":
            line = "B"
        for change in event.changes:
            if change.object.startswith("kcb:") and change.field == "kctl":
                line = "E"
            elif change.object == "kern_control" and change.field == "controls":
                line = "A"
            elif change.object.startswith("kext:"):
                line = "C"
        if line:
            happened.setdefault(line, event.step)
    return "".join(sorted(happened, key=lambda line: happened[line])), mac


def _leaves_in_order(answer: Answer, _seed: int) -> Miss | None:
    due, mac = order_of_leaving()
    said = letters(answer["order"])
    if said == due:
        return None
    if NEVER in said:
        belief = "throws-them-out"
    elif not said.startswith("D"):
        belief = "nothing-is-refused"
    elif said.find("E") < said.find("B"):
        belief = "off-before-disconnect"
    elif said.find("C") < said.find("A"):
        belief = "code-goes-first"
    else:
        belief = "goes-before-they-leave"
    seen, expected = f"you say {said or 'nothing'}", f"{len(due)} of the seven lines, in order"
    return Miss(belief, seen, expected, mac, last_callback(mac, "disconnect"))


_Q8 = Question(
    "q01_8",
    "put the leaving of a kext in order",
    ("order",),
    (Check("the lines stand in the order in which they happen", _leaves_in_order),),
)

LEAVING = (_Q7, _Q8)
"""The last two questions of exercise 1."""
