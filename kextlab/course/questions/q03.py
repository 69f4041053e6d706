"""Exercise 3, units: the order quirk, a unit in a byte, a leaked descriptor, who is a client."""

from __future__ import annotations

from random import Random

from kextlab.abi.errno import EBUSY, ENOENT, EPERM
from kextlab.course.budget import BudgetSpent
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    EchoKext,
    Kernel,
    asked,
    connected,
    control,
    last_callback,
    letters,
    machine,
    refusal,
)
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import CALLBACK, GROUP, RETURN, SET

# -- q03_1: predict the units the kernel gives out ---------------------------------------------

ASKED = (5, 0, 3, 0, 0)
"""The units the clients of q03_1 ask for, in order."""


def _as_the_kernel_gives(answer: Answer, _seed: int) -> Miss | None:
    """The first unit that is not the kernel's; later ones stay a secret."""
    mac, _, app = machine(EchoKext)
    units = list(answer["units"])
    given: list[int] = []
    for wish, unit in zip(ASKED, [*units, *ASKED], strict=False):
        given.append(connected(app, wish).getpeername()[1])
        if len(given) > len(units) or unit != given[-1]:
            break
    if units == given:
        return None
    if any(not isinstance(unit, int) for unit in units):
        belief = "refuses-the-duplicate"
    elif len(units) != len(ASKED):
        belief = "another-walk"
    elif units[1] > max(ASKED):
        belief = "counts-on"
    elif sorted(set(units)) == sorted(units) and len(given) == len(ASKED):
        belief = "lowest-free"
    else:
        belief = "another-walk"
    nth = len(given)
    seen = f"you predict {units}"
    expected = f"client {nth}, who asks for {wish}, gets {given[-1]}"
    return Miss(belief, seen, expected, mac, last_callback(mac, "connect"))


_Q1 = Question(
    "q03_1",
    "predict the units",
    ("units",),
    (Check("the five units are those the kernel gives out", _as_the_kernel_gives),),
)

# -- q03_2: a unit in a uint8_t ----------------------------------------------------------------


def _answers_unit(answer: Answer, units: list[int]) -> Miss | None:
    """Every client sends, and must hear its own unit."""
    mac, kext, app = machine(answer["Greeter"])
    for unit in units:
        try:
            client = connected(app, unit)
        except OSError as error:
            seen = f"the client that asks for unit {unit} is refused: {refusal(error)}"
            return Miss("refuses-large-units", seen, f"unit {unit} is connected", mac)
        said = asked(lambda client=client: client.send(b"who am I?"))  # type: ignore[misc]
        client.setblocking(False)
        heard = b"" if said != "ok" else _heard(client)
        if heard != str(unit).encode():
            seen = f"unit {unit} sends: {said}, and hears {heard!r}"
            step = last_callback(mac, "send")
            return Miss(_belief(unit), seen, f"it hears b'{unit}'", mac, step)
    if mac.leaks(kext):
        seen = f"the kext still holds {len(mac.leaks(kext))} mbufs"
        return Miss("keeps-mbufs", seen, "it holds none between callbacks", mac)
    return None


def _heard(client: object) -> bytes:
    try:
        return bytes(client.recv(100))  # type: ignore[attr-defined]
    except BlockingIOError:
        return b""


def _belief(unit: int) -> str:
    """What is believed by a kext that fails first at this unit."""
    if unit < 256:
        return "registered-unit"
    return "unit-in-a-byte" if unit < 1 << 15 else "unit-in-a-short"


def _few(answer: Answer, seed: int) -> Miss | None:
    return _answers_unit(answer, [1, *sorted(Random(seed).sample(range(2, 256), 3))])


def _many(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    return _answers_unit(answer, [random.randrange(1, 256), 256, random.randrange(257, 1 << 15)])


def _most(answer: Answer, seed: int) -> Miss | None:
    return _answers_unit(answer, [Random(seed).randrange(1 << 15, 65535), 65535])


_Q2 = Question(
    "q03_2",
    "find and mend: a unit in a byte",
    ("Greeter",),
    (
        Check("clients with small units hear their unit", _few),
        Check("a client whose unit needs two bytes hears its own unit", _many),
        Check("so do clients up to unit 65535", _most),
    ),
    hidden=1,
)

# -- q03_3: the leaked descriptor --------------------------------------------------------------


def _fails_honestly(answer: Answer, seed: int) -> Miss | None:
    app = (mac := Kernel()).spawn("client")
    link = answer["Link"](app, EchoKext.control_name)
    for attempt in range(1, 3 + seed % 3):
        said = link.establish()
        if said:
            belief = "leaked-means-connected" if attempt > 1 else "ignores-the-refusal"
            seen = f"attempt {attempt} answers {said!r}, and there is no such control"
            return Miss(belief, seen, "False, every time", mac)
    if app.files.open:
        seen = f"{attempt} attempts failed, and {len(app.files.open)} descriptors are open"
        return Miss("leaves-it-open", seen, "none is open after a failure", mac)
    return None


def _connects_once(answer: Answer, _seed: int) -> Miss | None:
    mac = Kernel()
    app = mac.spawn("client")
    link = answer["Link"](app, EchoKext.control_name)
    link.establish()
    mac.load(EchoKext)
    first = link.establish()
    clients = len(mac.sysctl("kctl.pcblist"))
    if not first or clients != 1:
        seen = f"it answers {first!r}, and the control has {clients} clients"
        return Miss("leaked-means-connected", seen, "True, and one client", mac)
    again = link.establish()
    clients = len(mac.sysctl("kctl.pcblist"))
    if not again or clients != 1:
        seen = f"the next establish() answers {again!r}; the control has {clients} clients"
        return Miss("connects-again", seen, "True, and still one client", mac)
    return None


_Q3 = Question(
    "q03_3",
    "find and mend: connected without a connection",
    ("Link",),
    (
        Check(
            "a failure is False however often one tries, and leaves nothing open", _fails_honestly
        ),
        Check("once the control is there it connects, and only once", _connects_once),
    ),
    hidden=1,
)

# -- q03_4: complete connect and disconnect ----------------------------------------------------


def _admits(answer: Answer, seed: int) -> Miss | None:
    """So many clients as the limit says, each counted by itself."""
    mac, club, app = machine(answer["Club"])
    random = Random(seed)
    clients = []
    for nth in range(1, club.limit + 1):
        try:
            clients.append(connected(app))
        except OSError as error:
            seen = f"client {nth} of {club.limit} is refused: {refusal(error)}"
            return Miss("one-client", seen, f"{club.limit} clients are admitted", mac)
    counts = [0] * len(clients)
    for _ in range(8):
        at = random.randrange(len(clients))
        counts[at] += 1
        try:
            clients[at].send(b"count me")
        except KernelPanic as panic:
            seen = f"unit {at + 1} sends, and the machine panics: {panic.__cause__ or panic}"
            return Miss("no-unitinfo", seen, "its own count", mac)
        heard = clients[at].recv(100)
        if heard != str(counts[at]).encode():
            seen = f"unit {at + 1} sent {counts[at]} messages and hears {heard!r}"
            return Miss("shared-record", seen, f"b'{counts[at]}'", mac, last_callback(mac, "send"))
    return None


def _refuses(answer: Answer, seed: int) -> Miss | None:
    """One too many is EBUSY, as often as it tries; who leaves makes room for one."""
    mac, club, app = machine(answer["Club"])
    clients = [connected(app) for _ in range(club.limit)]
    for attempt in range(1, 4):
        said = asked(lambda: connected(app))
        if said == "ok":
            belief = "no-limit" if attempt == 1 else "refused-was-no-client"
            seen = f"with {club.limit} clients connected, attempt {attempt} is admitted"
            step = last_callback(mac, "connect")
            return Miss(belief, seen, f"EBUSY ({EBUSY}), every time", mac, step)
        if said != f"EBUSY ({EBUSY})":
            return Miss("no-limit", f"attempt {attempt}: {said}", f"EBUSY ({EBUSY})", mac)
    clients.pop(Random(seed).randrange(len(clients))).close()
    said = asked(lambda: connected(app))
    if said != "ok":
        seen = f"a client has left, and the next is refused: {said}"
        return Miss("never-forgets", seen, "it takes the free place", mac)
    said = asked(lambda: connected(app))
    if said != f"EBUSY ({EBUSY})":
        return Miss("refused-was-no-client", f"the one after it: {said}", f"EBUSY ({EBUSY})", mac)
    return None


_Q4 = Question(
    "q03_4",
    "complete connect and disconnect",
    ("Club",),
    (
        Check("as many clients as the limit are admitted, each with a count of its own", _admits),
        Check("one more is EBUSY and takes nobody's place; who leaves makes room", _refuses),
    ),
    hidden=1,
)

# -- q03_5: a client that looks for a free unit ------------------------------------------------


class _Guarded(EchoKext):
    """A control for root alone."""

    def start(self) -> int:
        from kextlab.abi.constants import CTL_FLAG_PRIVILEGED
        from kextlab.kernel.kpi import KernCtlReg

        reg = KernCtlReg(
            ctl_name=self.control_name, ctl_flags=CTL_FLAG_PRIVILEGED, ctl_connect=self.connect
        )
        return self.kpi.ctl_register(reg, self.ctlref)


def _finds(answer: Answer, seed: int) -> Miss | None:
    mac, _, app = machine(EchoKext)
    random = Random(seed)
    first, taken = random.randrange(2, 60_000), random.randrange(4)
    others = [connected(mac.spawn("other"), first + at) for at in range(taken)]
    client, unit = answer["connect_from"](app, 1, first)
    have = client.getpeername()[1]
    expected = f"unit {first + taken}: {first} is the first choice, {len(others)} are taken"
    if (have, unit) != (first + taken, first + taken):
        seen = f"it is connected as unit {have} and says {unit}"
        return Miss("not-the-first-free", seen, expected, mac)
    if len(app.files.open) != 1:
        seen = f"it has {len(app.files.open)} descriptors open"
        return Miss("new-socket-each-time", seen, "one", mac)
    return None


def _gives_up(answer: Answer, seed: int) -> Miss | None:
    nobody = seed % 2 == 0
    mac, _, app = machine(EchoKext if nobody else _Guarded)
    due = f"ENOENT ({ENOENT})" if nobody else f"EPERM ({EPERM})"
    try:
        said = asked(lambda: answer["connect_from"](app, 7 if nobody else 1, 1))
    except BudgetSpent:
        return Miss("all-are-busy", f"it asks for ever; the kernel answers {due}", due, mac)
    if said != due:
        return Miss("all-are-busy", f"it ends with {said}", f"OSError {due}", mac)
    if app.files.open:
        return Miss("open-after-refusal", f"{due}, and its socket is open", "it is closed", mac)
    return None


_Q5 = Question(
    "q03_5",
    "write a client that looks for a free unit",
    ("connect_from",),
    (
        Check("it takes the first free unit, with one descriptor", _finds),
        Check("any refusal but EBUSY ends the search, and the socket is closed", _gives_up, 400),
    ),
    hidden=1,
)

# -- q03_6: Parsons: a refused connect in order ------------------------------------------------

# The lines are those of the exercise: A connect refuses, B the client hears it, C the client joins
# the list, D disconnect for the refused unit, E the socket is shut; F does not happen.
FALSE = "F"


class _Full(EchoKext):
    """Admits one client."""

    def connect(self, kctlref: int, sac: object, unitinfo: object) -> int:
        if self.clients:
            return EBUSY
        return super().connect(kctlref, sac, unitinfo)  # type: ignore[arg-type]


def order_of_a_refusal() -> tuple[str, Kernel]:
    """The lines in the order in which they happen in the trace, and the machine."""
    mac, _, app = machine(_Full)
    connected(app)
    second = control(app)
    start = len(mac.trace)
    asked(lambda: second.connect((1, 0)))
    happened: dict[str, int] = {}
    for step, entry in enumerate(mac.trace.entries(start)):
        if entry[0] == GROUP and "unit" in entry and "C" not in happened:
            happened["C"] = step
        elif entry[0] == CALLBACK:
            happened["A" if entry[2] == "connect" else "D"] = step
        elif entry[0] == SET and entry[2] == "so_state":
            happened["E"] = step  # the last change is the one that shuts it
        elif entry[0] == RETURN and entry[1] == EBUSY:
            happened["B"] = step  # the last return is that of the system call
    return "".join(sorted(happened, key=lambda line: happened[line])), mac


def _in_order(answer: Answer, _seed: int) -> Miss | None:
    due, mac = order_of_a_refusal()
    said = letters(answer["order"])
    if said == due:
        return None
    at = {line: said.find(line) for line in "ABCDEF"}
    if FALSE in said:
        belief = "first-is-disconnected"
    elif at["D"] < 0:
        belief = "refused-never-connected"
    elif at["C"] > at["A"]:
        belief = "asked-before-listed"
    else:
        belief = "answer-comes-first"
    seen, expected = f"you say {said or 'nothing'}", f"{len(due)} of the six lines, in order"
    return Miss(belief, seen, expected, mac, last_callback(mac, "disconnect"))


_Q6 = Question(
    "q03_6",
    "put a refused connect in order",
    ("order",),
    (Check("the lines stand in the order in which they happen", _in_order),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
