"""Exercise 2, finding a control: static ids, errors of a lookup, bytes, stale ids, twins, order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from kextlab.abi import CTLIOCGINFO, CtlInfo
from kextlab.abi.constants import SYSPROTO_EVENT
from kextlab.abi.errno import name_of
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    App,
    EchoKext,
    Kernel,
    asked,
    connected,
    control,
    last_callback,
    letters,
    named,
    refusal,
)
from kextlab.kernel.kext import KextError
from kextlab.trace.codes import CALLBACK, GROUP

WANTED = "org.kextlab.wanted"


# -- q02_1: predict ids, static ones among them ------------------------------------------------

STORY = (("a", None), ("b", 1000), ("c", None), ("d", 10), ("e", None))
"""The registrations of q02_1: a name, and the id of a static one."""


def ids_of_the_story() -> tuple[list[int], Kernel]:
    """The id of each registration, in order, and the machine."""
    mac = Kernel()
    for name, ident in STORY:
        mac.load(named(name, ident))
    ids = {str(row["name"]): int(str(row["id"])) for row in mac.sysctl("kctl.reg_list")}
    return [ids[name] for name, _ in STORY], mac


def _as_given_out(answer: Answer, _seed: int) -> Miss | None:
    due, mac = ids_of_the_story()
    ids = list(answer["ids"])
    if ids == due:
        return None
    if len(ids) != len(due):
        belief = "another-count"
    elif ids[1] != due[1] or ids[3] != due[3]:
        belief = "static-is-ignored"
    elif ids[2] != due[2]:
        belief = "dynamic-counts-alone"
    elif ids[4] == ids[3] + 1:
        belief = "after-the-newest"
    else:
        belief = "another-count"
    at = next((at for at, (one, id_) in enumerate(zip(ids, due, strict=False)) if one != id_), 0)
    return Miss(belief, f"you predict {ids}", f"{STORY[at][0]} gets id {due[at]}", mac)


_Q1 = Question(
    "q02_1",
    "predict the ids",
    ("ids",),
    (Check("the five ids are those the kernel gives out", _as_given_out),),
)

# -- q02_2: predict what lookups answer --------------------------------------------------------


def lookups() -> tuple[dict[str, int], Kernel]:
    """What the kernel answers to each lookup of q02_2: 0 or an errno; and the machine."""
    mac = Kernel()
    mac.load(named("org.kextlab.audio"))
    app = mac.spawn("client")
    s = control(app)
    module = app.socket
    events = module.socket(module.PF_SYSTEM, module.SOCK_RAW, SYSPROTO_EVENT)

    def answer(socket: Any, name: str) -> int:
        try:
            app.fcntl.ioctl(socket, CTLIOCGINFO, CtlInfo.named(name).pack())
        except OSError as error:
            return error.errno or 0
        return 0

    return {
        "exact": answer(s, "org.kextlab.audio"),
        "prefix": answer(s, "org.kextlab"),
        "case": answer(s, "org.kextlab.Audio"),
        "empty": answer(s, ""),
        "event": answer(events, "org.kextlab.audio"),
    }, mac


BELIEFS = {
    "exact": "asking-needs-a-connection",
    "prefix": "near-enough",
    "case": "near-enough",
    "empty": "empty-is-absent",
    "event": "any-socket",
}
"""What one believes who is wrong about a lookup."""


def _as_answered(answer: Answer, _seed: int) -> Miss | None:
    due, mac = lookups()
    said = answer["answers"]
    for which, errno in due.items():
        if said.get(which) != errno:
            seen = f"{which}: you say {said.get(which)!r}"
            return Miss(BELIEFS[which], seen, "what the kernel answers", mac)
    return None


_Q2 = Question(
    "q02_2",
    "predict five lookups",
    ("answers",),
    (Check("each lookup is answered as you say", _as_answered),),
)

# -- q02_3: the bytes of the question and of the answer ----------------------------------------


def _bytes(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    mac = Kernel()
    name = "org.kextlab." + "".join(
        random.choice("abcdefgh") for _ in range(random.randrange(1, 80))
    )
    mac.load(named(name, ident := random.randrange(1 << 24, 1 << 32) | 1 << 8 | 2))
    app = mac.spawn("client")
    question = bytes(answer["question"](name))
    if len(question) != CtlInfo.SIZE:
        seen = f"the question has {len(question)} bytes"
        return Miss("as-long-as-the-name", seen, f"{CtlInfo.SIZE}: the record, whole")
    try:
        heard = app.fcntl.ioctl(control(app), CTLIOCGINFO, question)
    except OSError as error:
        seen = f"the kernel answers {refusal(error)} to {question[:8]!r}..."
        return Miss("name-comes-first", seen, "an id", mac)
    said = answer["id_of"](heard)
    if said != ident:
        swapped = int.from_bytes(ident.to_bytes(4, "little"), "big")
        belief = "network-order" if said == swapped else "one-byte-is-enough"
        return Miss(belief, f"id_of says {said!r}", f"{ident:#x}", mac)
    return None


_Q3 = Question(
    "q02_3",
    "write a ctl_info byte by byte",
    ("question", "id_of"),
    (Check("the kernel understands the question, and you its answer", _bytes),),
)

# -- q02_4: a client that comes back -----------------------------------------------------------


def _name_of(mac: Kernel, ident: int) -> str:
    rows = mac.sysctl("kctl.reg_list")
    return next((str(row["name"]) for row in rows if row["id"] == ident), "nobody")


def _comes_back(answer: Answer, seed: int) -> Miss | None:
    """The kext goes and comes again, each time with another id."""
    random = Random(seed)
    mac = Kernel()
    app = mac.spawn("client")
    link = answer["Link"](app, WANTED)
    kext = mac.load(named(WANTED))
    for turn in range(1, 4):
        what = f"connection {turn}"
        try:
            s = link.connect()
        except OSError as error:
            return Miss(_kept(turn), f"{what} ends with {refusal(error)}", "it is there", mac)
        if s is None:
            return Miss("hides-the-failure", f"{what}: None", "a connected socket", mac)
        have = _name_of(mac, s.getpeername()[0])
        if have != WANTED:
            step = last_callback(mac, "connect")
            return Miss(_kept(turn), f"{what} is to {have}", f"to {WANTED}", mac, step)
        s.close()
        mac.unload(kext)
        for nth in range(random.randrange(1, 4)):
            mac.load(named(f"org.kextlab.turn{turn}.{nth}"))
        kext = mac.load(named(WANTED))
    return None


def _kept(turn: int) -> str:
    return "guesses-the-id" if turn == 1 else "keeps-the-id"


def _last_is_another(answer: Answer, seed: int) -> Miss | None:
    """Ours is neither the first nor the last of the list."""
    mac = Kernel()
    for nth in range(1 + seed % 3):
        mac.load(named(f"org.kextlab.before{nth}"))
    mac.load(named(WANTED))
    mac.load(named("org.kextlab.after"))
    try:
        s = answer["Link"](mac.spawn("client"), WANTED).connect()
    except OSError as error:
        return Miss("guesses-the-id", f"it ends with {refusal(error)}", "it connects", mac)
    if s is None:
        return Miss("hides-the-failure", "it returns None", "a connected socket", mac)
    have = _name_of(mac, s.getpeername()[0])
    if have != WANTED:
        step = last_callback(mac, "connect")
        return Miss("guesses-the-id", f"it is connected to {have}", f"to {WANTED}", mac, step)
    return None


def _gone(answer: Answer, _seed: int) -> Miss | None:
    mac = Kernel()
    app = mac.spawn("client")
    mac.load(named("org.kextlab.another"))
    link = answer["Link"](app, WANTED)
    try:
        link.connect()
    except OSError:
        pass
    else:
        return Miss("hides-the-failure", "there is no such control, and no error", "OSError", mac)
    if app.files.open:
        seen = f"it fails, and {len(app.files.open)} descriptor is open"
        return Miss("leaves-it-open", seen, "none is", mac)
    return None


_Q4 = Question(
    "q02_4",
    "find and mend: yesterday's id",
    ("Link",),
    (
        Check("the control is found wherever it stands in the list", _last_is_another),
        Check("it is found again after the kext has come back", _comes_back),
        Check("a control that is not there is an OSError, and leaves no descriptor", _gone),
    ),
)

# -- q02_5: two controls under one id ----------------------------------------------------------


def _heard(mac: Kernel, ident: int, unit: int) -> str:
    """What the client of a unit hears, or why it hears nothing."""
    app: App = mac.spawn("client")
    heard: list[bytes] = []

    def talk() -> None:
        s = connected(app, unit, ident)
        s.send(b"who are you?")
        s.setblocking(False)
        heard.append(s.recv(100))

    said = asked(talk)
    return heard[0].decode() if heard else said


def _twins(answer: Answer, seed: int) -> Miss | None:
    mac = Kernel()
    for nth in range(seed % 3):
        mac.load(named(f"org.kextlab.before{nth}"))
    try:
        kext = mac.load(answer["Twins"])
    except KextError as error:
        seen = f"start answers {name_of(error.errno or 0)} ({error.errno})"
        return Miss("an-id-is-one-control", seen, "0, and two controls", mac)
    ident = kext.control_id
    rows = mac.sysctl("kctl.reg_list")
    mine = [row["reg_unit"] for row in rows if row["id"] == ident]
    if not mine:
        seen = f"no control has id {ident}"
        return Miss("an-id-is-enough", seen, "two have it", mac)
    if len(mine) != len(kext.texts):
        seen = f"{len(mine)} control has id {ident}, with unit {mine[0]}"
        return Miss("an-id-is-one-control", seen, "two have it", mac)
    for unit, text in kext.texts.items():
        heard = _heard(mac, ident, unit)
        if heard != text:
            belief = "one-reference" if heard in kext.texts.values() else "an-id-is-one-control"
            seen = f"the client of ({ident}, {unit}) hears {heard}"
            return Miss(belief, seen, text, mac, last_callback(mac, "send"))
    return None


_Q5 = Question(
    "q02_5",
    "write a kext with two controls under one id",
    ("Twins",),
    (Check("each address answers for itself", _twins),),
)

# -- q02_6: Parsons: from a name to a connection -----------------------------------------------


def order_of_a_connect() -> tuple[str, Kernel]:
    """The true lines of q02_6 in the order in which they happen in the trace, and the machine."""
    mac = Kernel()
    mac.load(EchoKext)
    start = len(mac.trace)
    control(mac.spawn("client")).connect(EchoKext.control_name)
    happened: dict[str, int] = {}
    calls = {"socket": "D", "ioctl": "B", "connect": "A"}
    for event in mac.trace.events():
        if event.step >= start and event.kind == "syscall" and event.name in calls:
            happened.setdefault(calls[event.name], event.step)
    for step, entry in enumerate(mac.trace.entries(start), start):
        if entry[0] == GROUP and "unit" in entry:
            happened.setdefault("C", step)
        elif entry[0] == CALLBACK and entry[2] == "connect":
            happened["E"] = step
    return "".join(sorted(happened, key=lambda line: happened[line])), mac


def _in_order(answer: Answer, _seed: int) -> Miss | None:
    due, mac = order_of_a_connect()
    said = letters(answer["order"])
    if said == due:
        return None
    at: Callable[[str], int] = said.find
    if "F" in said:
        belief = "lookup-tells-the-kext"
    elif at("B") < at("D"):
        belief = "asks-without-a-socket"
    elif at("A") < at("B"):
        belief = "connects-by-name"
    else:
        belief = "asked-before-listed"
    seen = f"you say {said or 'nothing'}"
    step = last_callback(mac, "connect")
    return Miss(belief, seen, f"{len(due)} of the six lines, in order", mac, step)


_Q6 = Question(
    "q02_6",
    "put a connection by name in order",
    ("order",),
    (Check("the lines stand in the order in which they happen", _in_order),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
