"""Exercise 5, the reader's side: room that a read makes, a client that reads all there is."""

from __future__ import annotations

from random import Random
from typing import Any

from kextlab.abi.constants import CTL_DATA_EOR, CTL_DATA_NOWAKEUP, CTL_FLAG_REG_EXTENDED
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    App,
    EchoKext,
    Kernel,
    Socket,
    asked,
    connected,
    last_callback,
    machine,
)
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched.stop import SimDeadlock
from kextlab.trace.codes import CALLBACK, RETURN, SB_APPEND, SB_TAKE


def drained(s: Socket, size: int = 9000, most: int = 5000) -> list[bytes]:
    """Every record that waits, at most so many; each read may let a kext queue more."""
    s.setblocking(False)
    found: list[bytes] = []
    try:
        while len(found) < most:
            found.append(s.recv(size))
    except BlockingIOError:
        pass
    return found


# -- q05_1: predict the space ------------------------------------------------------------------

STEPS = (
    ("enqueue", 3000, CTL_DATA_EOR),
    ("enqueue", 6000, CTL_DATA_EOR),
    ("enqueue", 5000, CTL_DATA_EOR),
    ("recv", 1000, 0),
    ("enqueue", 100, CTL_DATA_EOR | CTL_DATA_NOWAKEUP),
)
"""What happens in q05_1."""


def spaces() -> tuple[list[int], Kernel]:
    """What ctl_getenqueuespace answers after each step, and the machine."""
    mac, kext, app = machine(EchoKext)
    client = connected(app)
    ref, found = kext.ctlref.value, []
    for what, size, flags in STEPS:
        if what == "recv":
            client.recv(size)
        else:
            kext.kpi.ctl_enqueuedata(ref, 1, bytes(size), size, flags)
        space = Out()
        kext.kpi.ctl_getenqueuespace(ref, 1, space)
        found.append(space.value)
    return found, mac


def _as_the_kernel_answers(answer: Answer, _seed: int) -> Miss | None:
    due, mac = spaces()
    said = list(answer["spaces"])
    if said == due:
        return None
    nth = next((at for at, space in enumerate(due) if said[at : at + 1] != [space]), len(due) - 1)
    beliefs = (
        "mbufs-count-here",
        "oldest-makes-room" if said[1:2] > [0] else "queues-what-fits",
        "queues-what-fits",
        "room-for-what-was-read",
        "nowakeup-waits",
    )
    seen = f"you predict {said}"
    expected = f"{len(due)} numbers; after step {nth + 1} there are {due[nth]} bytes"
    return Miss(beliefs[nth], seen, expected, mac)


SPACES = Question(
    "q05_1",
    "predict the space",
    ("spaces",),
    (Check("the five numbers are what ctl_getenqueuespace answers", _as_the_kernel_answers),),
)

# -- q05_6: a client that reads what there is --------------------------------------------------


def _waiting(seed: int, most: int) -> tuple[Kernel, App, Socket, list[bytes], int]:
    """A client for whom records of question 2 wait: the samples, and how many were lost."""
    mac, kext, app = machine(EchoKext)
    client = connected(app)
    random = Random(seed)
    samples, lost = [], 0
    for _ in range(random.randrange(4, 8)):
        sample, missing = random.randbytes(random.randrange(1, most)), random.randrange(4)
        record = missing.to_bytes(4, "big") + sample
        kext.kpi.ctl_enqueuedata(kext.ctlref.value, 1, record, len(record), CTL_DATA_EOR)
        samples.append(sample)
        lost += missing
    return mac, app, client, samples, lost


def _collected(answer: Answer, app: App, client: Socket) -> Any:
    """What collect answers; "asleep" if it sleeps, "EAGAIN" and the like if it raises."""
    found: list[Any] = []
    try:
        said = asked(lambda: found.append(answer["collect"](app, client)))
    except SimDeadlock:
        return "asleep"
    return found[0] if found else said


def _collects(
    answer: Answer, samples: list[bytes], lost: int, mac: Kernel, got: Any
) -> Miss | None:
    if got == "asleep":
        seen = "there is nothing more to read, and collect sleeps for ever"
        return Miss("reads-until-it-sleeps", seen, "it returns", mac)
    if not isinstance(got, tuple | list) or len(got) != 2:
        seen = f"collect ends with {got}" if isinstance(got, str) else f"it returns {got!r:.50}"
        expected = "a list of samples and a number"
        return Miss("reads-until-it-sleeps", seen, expected, mac)
    have, said = list(got[0]), got[1]
    if have != samples:
        few = len(have) < len(samples)
        seen = f"it has {len(have)} of {len(samples)} samples"
        expected = "all of them"
        if not few:
            seen = f"the samples it has are of {[len(sample) for sample in have]} bytes"
            expected = f"{[len(sample) for sample in samples]} bytes"
        return Miss("one-is-enough" if few else "short-buffer", seen, expected, mac)
    if said != lost:
        return Miss("last-count-is-all", f"it says {said} were lost", f"{lost}", mac)
    return None


def _collects_some(answer: Answer, seed: int) -> Miss | None:
    mac, app, client, samples, lost = _waiting(seed, 200)
    got = _collected(answer, app, client)
    return _collects(answer, samples, lost, mac, got)


def _collects_large(answer: Answer, seed: int) -> Miss | None:
    mac, kext, app = machine(EchoKext)
    client = connected(app)
    sample = Random(seed).randbytes(8188 - seed % 50)
    record = bytes(4) + sample
    kext.kpi.ctl_enqueuedata(kext.ctlref.value, 1, record, len(record), CTL_DATA_EOR)
    return _collects(answer, [sample], 0, mac, _collected(answer, app, client))


def _collects_nothing(answer: Answer, _seed: int) -> Miss | None:
    mac, _, app = machine(EchoKext)
    return _collects(answer, [], 0, mac, _collected(answer, app, connected(app)))


CLIENT = Question(
    "q05_6",
    "write a client that makes room",
    ("collect",),
    (
        Check("it returns all samples that wait, and how many were lost", _collects_some),
        Check("a record may fill the whole buffer", _collects_large),
        Check("if nothing waits it returns at once", _collects_nothing),
    ),
)

# -- q05_7: Parsons: a read makes room ---------------------------------------------------------


class _Refills(EchoKext):
    """Queues one more record when the client has read."""

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_EXTENDED,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_rcvd=self.rcvd,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def rcvd(self, kctlref: int, unit: int, unitinfo: object, flags: int) -> None:
        self.kpi.ctl_enqueuedata(kctlref, unit, b"next", 4, CTL_DATA_EOR)


def order_of_a_refill() -> tuple[str, Kernel]:
    """The true lines of q05_7 in the order in which they happen in the trace, and the machine."""
    mac, kext, app = machine(_Refills)
    client = connected(app)
    kext.kpi.ctl_enqueuedata(kext.ctlref.value, 1, b"first", 5, CTL_DATA_EOR)
    start = len(mac.trace)
    client.recv(100)
    happened: dict[str, int] = {}
    for event in mac.trace.events():
        if event.step >= start and event.kind == "syscall":
            happened["C"] = event.step
    kinds = {SB_TAKE: "F", CALLBACK: "A", SB_APPEND: "E"}
    for step, entry in enumerate(mac.trace.entries(start), start):
        if entry[0] in kinds:
            happened.setdefault(kinds[entry[0]], step)
        elif entry[0] == RETURN:
            happened["B"] = step  # the last return is that of the system call
    return "".join(sorted(happened, key=lambda line: happened[line])), mac


def _in_order(answer: Answer, _seed: int) -> Miss | None:
    due, mac = order_of_a_refill()
    said = "".join(c for c in str(answer["order"]).upper() if c.isalpha())
    if said == due:
        return None
    at = {line: said.find(line) for line in "ABCDEF"}
    if at["D"] >= 0:
        belief = "kernel-keeps-it"
    elif at["B"] < at["A"]:
        belief = "rcvd-comes-later"
    elif at["A"] < at["F"]:
        belief = "asked-before-the-read"
    else:
        belief = "refilled-without-rcvd"
    seen, expected = f"you say {said or 'nothing'}", f"{len(due)} of the six lines, in order"
    return Miss(belief, seen, expected, mac, last_callback(mac, "rcvd"))


ORDER = Question(
    "q05_7",
    "put a refill in order",
    ("order",),
    (Check("the lines stand in the order in which they happen", _in_order),),
)
