"""Exercise 1, registration: ids, flags, names, a failed lookup, a panic report, start and stop. How
a kext leaves stands in ``leaving``."""

from __future__ import annotations

from random import Random

from kextlab.abi.constants import CTL_FLAG_PRIVILEGED, CTL_FLAG_REG_ID_UNIT, MAX_KCTL_NAME
from kextlab.abi.errno import EBUSY, EEXIST, ENOENT, name_of
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    EchoKext,
    Kernel,
    asked,
    connected,
    control,
    last_callback,
    named,
    names_of,
    refusal,
)
from kextlab.course.questions.leaving import LEAVING
from kextlab.kernel.kext import KextError
from kextlab.sched.stop import KernelPanic

# -- q01_1: predict the ids the kernel gives out -----------------------------------------------

STORY = (("+", "a"), ("+", "b"), ("+", "c"), ("-", "a"), ("+", "d"), ("-", "d"), ("+", "e"))
"""What happens in q01_1: + registers, - deregisters."""


def ids_of_the_story() -> tuple[list[int], Kernel]:
    """The ids of the registrations, in order, and the machine."""
    mac = Kernel()
    loaded: dict[str, EchoKext] = {}
    ids = []
    for what, name in STORY:
        if what == "+":
            loaded[name] = mac.load(named(name))
            rows = mac.sysctl("kctl.reg_list")
            ids.append(next(int(str(row["id"])) for row in rows if row["name"] == name))
        else:
            mac.unload(loaded.pop(name))
    return ids, mac


def _as_given_out(answer: Answer, _seed: int) -> Miss | None:
    due, mac = ids_of_the_story()
    ids = list(answer["ids"])
    if ids == due:
        return None
    whole = len(ids) == len(due) and all(isinstance(one, int) for one in ids)
    if not whole:
        belief = "another-count"
    elif ids[0] == 0:
        belief = "from-zero"
    elif ids[3] == ids[0]:
        belief = "lowest-free"
    elif len(set(ids)) == len(ids):
        belief = "never-again"
    else:
        belief = "another-count"
    at = next((at for at, (one, id_) in enumerate(zip(ids, due, strict=False)) if one != id_), 0)
    expected = f"registration {at + 1} of {len(due)} gets id {due[at]}"
    return Miss(belief, f"you predict {ids}", expected, mac)


_Q1 = Question(
    "q01_1",
    "predict the ids",
    ("ids",),
    (Check("the five ids are those the kernel gives out", _as_given_out),),
)

# -- q01_2: two flags --------------------------------------------------------------------------


def _has_both(answer: Answer, _seed: int) -> Miss | None:
    """The control has its id, takes datagrams, and serves root alone."""
    mac = Kernel()
    kext = mac.load(answer["Guarded"])
    (listed,) = mac.sysctl("kctl.reg_list")
    flags = int(str(listed["flags"]))
    if not flags & CTL_FLAG_REG_ID_UNIT:
        belief = "logical-or" if flags & CTL_FLAG_PRIVILEGED else "and-for-or"
        seen = f"ctl_flags is {flags:#x}, and the control got id {listed['id']}"
        return Miss(belief, seen, f"it has the id it asked for, {kext.control_id}", mac)
    said = asked(lambda: connected(mac.spawn("root", uid=0), 0, kext.control_id))
    if said != "ok":
        seen = f"ctl_flags is {flags:#x}, and root's datagram socket hears {said}"
        return Miss("every-bit", seen, "root is connected", mac)
    said = asked(lambda: connected(mac.spawn("user", uid=501), 0, kext.control_id))
    if not said.startswith("EPERM"):
        seen = f"ctl_flags is {flags:#x}, and a user's connect answers {said}"
        return Miss("everybody-may", seen, "a user hears EPERM (1)", mac)
    return None


_Q2 = Question(
    "q01_2",
    "find and mend: two flags",
    ("Guarded",),
    (Check("the control has the id it asks for, and serves root alone", _has_both),),
)

# -- q01_3: a name in an array of 96 bytes -----------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyz.-"


def _word(random: Random, length: int) -> bytes:
    return "".join(random.choice(LETTERS) for _ in range(length)).encode()


def _written(answer: Answer, random: Random, name: bytes) -> tuple[object, bytearray, bytes]:
    """What write_name answers, the field, and the C string that stands there."""
    field = bytearray(_word(random, MAX_KCTL_NAME))
    said = answer["write_name"](field, name)
    behind = bytes(4)  # ctl_id, the next field of the record: 0
    return said, field, bytes(field + behind).partition(b"\0")[0]


def _can_be_found(answer: Answer, seed: int) -> Miss | None:
    """Names that fit are registered, and found."""
    random = Random(seed)
    for length in (random.randrange(5, 60), random.randrange(60, 95), MAX_KCTL_NAME - 1):
        name = _word(random, length)
        said, field, text = _written(answer, random, name)
        what = f"a name of {length} bytes"
        if len(field) != MAX_KCTL_NAME:
            seen = f"{what}: the field has {len(field)} bytes afterwards"
            return Miss("another-length", seen, f"{MAX_KCTL_NAME}, as before")
        if not said:
            return Miss("one-too-few", f"{what}: it answers {said!r}", "True: it fits")
        mac = Kernel()
        try:
            mac.load(named(text.decode()))
        except KextError as error:
            seen = f"{what}: ctl_register answers {name_of(error.errno or 0)}"
            return Miss("no-terminator", seen, "0", mac)
        if names_of(mac) != [name.decode()]:
            seen = f"{what}: the control is called by {len(names_of(mac)[0])} bytes"
            return Miss("no-terminator", seen, f"by the {length} of the name", mac)
    return None


def _refuses_long_names(answer: Answer, seed: int) -> Miss | None:
    """Names that do not fit are refused, not cut."""
    random = Random(seed)
    for length in (MAX_KCTL_NAME, random.randrange(MAX_KCTL_NAME + 1, 200)):
        said, field, text = _written(answer, random, _word(random, length))
        what = f"a name of {length} bytes"
        if len(field) != MAX_KCTL_NAME:
            seen = f"{what}: the field has {len(field)} bytes afterwards"
            return Miss("another-length", seen, f"{MAX_KCTL_NAME}, as before")
        if said:
            mac = Kernel()
            try:
                mac.load(named(text.decode()))
            except KextError as error:
                seen = f"{what}: {said!r}, and ctl_register answers {name_of(error.errno or 0)}"
                return Miss("strncpy-terminates", seen, "False", mac)
            seen = f"{what}: {said!r}, and the control is called by {len(text)} of them"
            return Miss("cut-silently", seen, "False", mac)
    return None


_Q3 = Question(
    "q01_3",
    "find and mend: a name without an end",
    ("write_name",),
    (
        Check("a name of up to 95 bytes is the name of the control", _can_be_found),
        Check("a longer one is refused, not cut", _refuses_long_names),
    ),
)

# -- q01_4: the lookup that fails --------------------------------------------------------------


def _reaches(answer: Answer, seed: int) -> Miss | None:
    """A control that exists is reached, whatever its id is."""
    for ident in (None, 0, Random(seed).randrange(1, 1 << 32)):
        mac = Kernel()
        mac.load(named("org.kextlab.wanted", ident))
        app = mac.spawn("client")
        due = (1 if ident is None else ident, 1 if ident is None else 0)
        try:
            have = answer["reach"](app, "org.kextlab.wanted").getpeername()
        except OSError as error:
            seen = f"the control has id {due[0]}, and reach ends with {refusal(error)}"
            return Miss("zero-is-failure", seen, "a connected socket", mac)
        except AttributeError:
            seen = f"the control has id {due[0]}, and reach returns no socket"
            return Miss("zero-is-failure", seen, "a connected socket", mac)
        if have[0] != due[0]:
            seen = f"it is connected to id {have[0]}"
            return Miss("failure-is-zero", seen, f"to id {due[0]}", mac)
    return None


def _fails(answer: Answer, seed: int) -> Miss | None:
    """There is no control of that name; one of another name has id 0."""
    mac = Kernel()
    mac.load(named("org.kextlab.another", 0))
    for nth in range(seed % 3):
        mac.load(named(f"org.kextlab.other{nth}"))
    app = mac.spawn("client")
    expected = f"OSError ENOENT ({ENOENT})"
    try:
        s = answer["reach"](app, "org.kextlab.wanted")
    except OSError as error:
        if error.errno not in (ENOENT, None):  # None: Python's own, of connect(name)
            return Miss("hides-the-reason", f"it ends with {refusal(error)}", expected, mac)
    else:
        if hasattr(s, "getpeername") and asked(s.getpeername) == "ok":
            seen = "there is no such control, and the client is connected to another one"
            return Miss("failure-is-zero", seen, expected, mac, last_callback(mac, "connect"))
        return Miss("hides-the-reason", f"it returns {type(s).__name__}", expected, mac)
    if app.files.open:
        seen = f"it fails, and {len(app.files.open)} descriptor is open"
        return Miss("leaves-it-open", seen, "none is", mac)
    return None


_Q4 = Question(
    "q01_4",
    "find and mend: a lookup that fails",
    ("reach",),
    (
        Check("a control that exists is reached, whatever its id is", _reaches),
        Check("a name nobody has is ENOENT, and leaves no descriptor", _fails),
    ),
)

# -- q01_5: explain a panic report -------------------------------------------------------------


class _Keeper(named("org.kextlab.keeper")):  # type: ignore[misc]
    """Stays."""


class _Tidy(named("org.kextlab.tidy")):  # type: ignore[misc]
    """Goes, and takes its control with it."""


class _Hasty(named("org.kextlab.hasty")):  # type: ignore[misc]
    """Goes, whatever ctl_deregister answers."""

    def stop(self) -> int:
        self.kpi.ctl_deregister(self.ctlref.value)
        return 0


def crashed() -> Kernel:
    """The Mac of q01_5, after its panic."""
    mac = Kernel()
    mac.load(_Keeper)
    hasty, tidy = mac.load(_Hasty), mac.load(_Tidy)
    app = mac.spawn("mailer")
    s = control(app)
    s.connect((2, 0))
    mac.unload(tidy)
    mac.unload(hasty)
    try:
        s.send(b"good morning")
    except KernelPanic:
        return mac
    raise AssertionError("the machine of question 5 did not panic")  # pragma: no cover


def crash_report() -> str:
    """The panic report of q01_5."""
    panic = crashed().panic
    return panic.report if panic else ""


def _deregistered(mac: Kernel) -> dict[str, list[int]]:
    """What ctl_deregister answered to each kext."""
    answers: dict[str, list[int]] = {}
    caller = ""
    for event in mac.trace.events():
        if event.kind == "kpi" and event.name == "ctl_deregister":
            caller = event.actor.removeprefix("kext:")
        elif event.kind == "return" and caller:
            answers.setdefault(caller, []).append(event.errno or 0)
            caller = ""
    return answers


def _explained(answer: Answer, _seed: int) -> Miss | None:
    mac = crashed()
    (loaded,) = [line for line in crash_report().splitlines() if line.startswith("Loaded")]
    answers = _deregistered(mac)
    (due,) = [kext for kext, errnos in answers.items() if any(errnos)]
    step = last_callback(mac, "send")
    culprit = str(answer["culprit"])
    if culprit != due:
        if culprit in loaded:
            belief = "blames-the-loaded"
        elif culprit in answers:
            belief = "blames-whoever-left"
        else:
            belief = "blames-the-process"
        return Miss(belief, f"you say {culprit}", "a kext whose code is missed", mac, step)
    callbacks = [event.name for event in mac.trace.events() if event.kind == "callback"]
    if answer["callback"] != callbacks[-1]:
        seen = f"you say the kernel called {answer['callback']}"
        return Miss("another-callback", seen, "the last call that never returned", mac, step)
    mistake = "B" if answers[due] == [EBUSY] else "C" if len(answers[due]) > 1 else "D"
    said = str(answer["mistake"]).strip().upper()
    if said != mistake:
        belief = {"A": "never-called", "C": "called-twice"}.get(said, "the-memory")
        return Miss(belief, f"you say {said}", "what the log of its stop shows", mac, step)
    return None


_Q5 = Question(
    "q01_5",
    "explain a panic report",
    ("culprit", "callback", "mistake"),
    (Check("the kext, the callback and the mistake are those of the report", _explained),),
)

# -- q01_6: write start and stop ---------------------------------------------------------------


def _comes_and_goes(answer: Answer, _seed: int) -> Miss | None:
    mac = Kernel()
    kext = mac.load(answer["Pair"])
    due = sorted(kext.control_names)
    if sorted(names_of(mac)) != due:
        return Miss("forgets-one", f"registered are {names_of(mac)}", f"{due}", mac)
    mac.unload(kext)
    if names_of(mac):
        seen = f"the kext is unloaded, and {names_of(mac)} is registered"
        return Miss("forgets-one", seen, "nothing is", mac)
    return None


def _refused(answer: Answer, _seed: int) -> Miss | None:
    """One of the names is taken, the first or the second."""
    for taken in answer["Pair"].control_names:
        mac = Kernel()
        mac.load(named(taken))
        errno: int | None = 0
        try:
            mac.load(answer["Pair"])
        except KextError as error:
            errno = error.errno
        what = f"{taken} is taken"
        if errno == 0:
            seen = f"{what}, and start answers 0"
            return Miss("ignores-the-refusal", seen, f"EEXIST ({EEXIST})", mac)
        if names_of(mac) != [taken]:
            seen = f"{what}, start fails, and registered are {names_of(mac)}"
            return Miss("leaves-the-first", seen, f"only {taken}, which is another's", mac)
        if errno != EEXIST:
            seen = f"{what}, and start answers {name_of(errno or 0)} ({errno})"
            return Miss("ignores-the-refusal", seen, f"EEXIST ({EEXIST})", mac)
    return None


def _busy(answer: Answer, seed: int) -> Miss | None:
    """A client of either control keeps the kext; when it has left, the kext can go."""
    for name in Random(seed).sample(answer["Pair"].control_names, 2):
        mac = Kernel()
        kext = mac.load(answer["Pair"])
        s = control(mac.spawn("client"))
        s.connect(name)
        for attempt in range(1, 3):
            what = f"{name} has a client, unload {attempt}"
            try:
                mac.unload(kext)
            except KextError as error:
                if error.errno != EBUSY:
                    seen = f"{what}: stop answers {name_of(error.errno or 0)} ({error.errno})"
                    return Miss("deregisters-again", seen, f"EBUSY ({EBUSY})", mac)
            except KernelPanic as panic:
                return Miss("deregisters-again", f"{what}: {panic}", f"EBUSY ({EBUSY})", mac)
            else:
                return Miss("ignores-busy", f"{what}: it is gone", f"EBUSY ({EBUSY})", mac)
        s.close()
        try:
            mac.unload(kext)
        except (KextError, KernelPanic) as error:
            seen = f"the client of {name} has left, and unloading ends with: {error}"
            return Miss("deregisters-again", seen, "it can go", mac)
        if names_of(mac):
            seen = f"the kext is unloaded, and {names_of(mac)} is registered"
            return Miss("forgets-one", seen, "nothing is", mac)
    return None


_Q6 = Question(
    "q01_6",
    "write a kext's start and stop",
    ("Pair",),
    (
        Check("both controls come with the kext and go with it", _comes_and_goes),
        Check("a start that is refused answers why, and leaves nothing", _refused),
        Check(
            "a stop that is refused answers EBUSY, as often as asked, and can be repeated", _busy
        ),
    ),
    hidden=1,
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6, *LEAVING)
