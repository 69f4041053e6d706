"""Exercise 6, options: lengths both ways, unknown numbers, the size query, a panic report."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from kextlab.abi.constants import SYSPROTO_CONTROL
from kextlab.abi.errno import EINVAL, ENOENT, EOPNOTSUPP
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    App,
    EchoKext,
    Kernel,
    Socket,
    asked,
    assembled,
    connected,
    last_callback,
    letters,
    machine,
    refusal,
)
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.sched.stop import KernelPanic

LABEL, LIMIT = 1, 2
"""The options of the exercise."""
NO = f"EINVAL ({EINVAL})"
UNKNOWN = f"EOPNOTSUPP ({EOPNOTSUPP})"


class _Optional(EchoKext):
    """A control with a getopt callback."""

    def start(self) -> int:
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_getopt=self.getopt,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def getopt(
        self, kctlref: int, unit: int, unitinfo: object, opt: int, data: Any, length: Out
    ) -> int:
        return EOPNOTSUPP


def raw(app: App, s: Socket, option: int, buffer: bytes | None) -> tuple[int, int, bytes]:
    """getsockopt as C has it: errno, length, bytes."""
    level = SYSPROTO_CONTROL
    errno, (length, data) = app.gate.getsockopt(app.pid, s.fileno(), level, option, buffer)
    return errno, length, data


# -- q06_1: predict lengths --------------------------------------------------------------------

BUFFERS = (bytes(10), bytes(4), b"", None)
"""What the program of q06_1 passes."""
CALLS = ("a buffer of 10 bytes", "a buffer of 4 bytes", "the length 0", "a null pointer")


class _Sunny(_Optional):
    """The kext of q06_1."""

    def getopt(
        self, kctlref: int, unit: int, unitinfo: object, opt: int, data: Any, length: Out
    ) -> int:
        text = b"sunny!"
        if data is None:
            length.value = len(text)
            return 0
        n = min(len(data), len(text))
        data[:n] = text[:n]
        length.value = n
        return 0


def _as_the_kernel_answers(answer: Answer, _seed: int) -> Miss | None:
    mac, _, app = machine(_Sunny)
    s = connected(app)
    said = list(answer["lengths"])
    due: list[int] = []
    for buffer in BUFFERS:
        due.append(raw(app, s, LABEL, buffer)[1])
        if said[: len(due)] != due:
            break
    if said == due:
        return None
    nth = len(due)
    beliefs = (
        "whole-buffer-returns",
        "kernel-wants-it-all",
        "no-room-no-size",
        "null-keeps-the-length",
    )
    seen = f"you predict {said}"
    expected = f"{len(CALLS)} lengths; the call with {CALLS[nth - 1]} returns {due[-1]}"
    return Miss(beliefs[nth - 1], seen, expected, mac, last_callback(mac, "getopt"))


_Q1 = Question(
    "q06_1",
    "predict the lengths",
    ("lengths",),
    (Check("the four lengths are those that come back", _as_the_kernel_answers),),
)

# -- q06_2: an unchecked length ----------------------------------------------------------------


def _set(s: Socket, option: int, value: bytes) -> str:
    """What setsockopt answers, in words; "a panic" if the machine stops."""
    try:
        return asked(lambda: s.setsockopt(SYSPROTO_CONTROL, option, value))
    except KernelPanic:
        return "a panic"


def _record(mac: Kernel, answer: Answer) -> list[Any]:
    """Load the kext, and keep the records its connect will hand out."""
    records: list[Any] = []
    theirs: Any = answer["Limited"]

    class Watched(theirs):  # type: ignore[misc]
        def connect(self, kctlref: int, sac: object, unitinfo: Out) -> int:
            errno: int = super().connect(kctlref, sac, unitinfo)
            records.append(unitinfo.value)
            return errno

    mac.load(Watched)
    return records


def _takes_four(answer: Answer, seed: int) -> Miss | None:
    mac = Kernel()
    records = _record(mac, answer)
    s = connected(mac.spawn("client"))
    value = Random(seed).randrange(1 << 24, 1 << 31)
    said = _set(s, LIMIT, value.to_bytes(4, "little"))
    limit = records[0].limit
    if said == "ok" and limit == value:
        return None
    seen, expected = (
        f"{value} is set: {said}, the limit is {limit}",
        f"ok, and the limit is {value}",
    )
    return Miss("another-number", seen, expected, mac, last_callback(mac, "setopt"))


def _refuses_others(answer: Answer, seed: int) -> Miss | None:
    mac = Kernel()
    records = _record(mac, answer)
    s = connected(mac.spawn("client"))
    random = Random(seed)
    before = records[0].limit
    for length in (random.randrange(1, 4), random.randrange(5, 40), 0):
        said = _set(s, LIMIT, random.randbytes(length))
        step = last_callback(mac, "setopt")
        seen = f"a value of {length} bytes: {said}"
        if said == "a panic":
            return Miss("null-is-data", seen, NO, mac, step)
        if said == "ok":
            belief = "longer-is-fine" if length > 4 else "unchecked-length"
            return Miss(belief, seen, NO, mac, step)
        if said != NO:
            return Miss("any-refusal-will-do", seen, NO, mac, step)
        if records[0].limit != before:
            seen += f", and the limit is {records[0].limit}"
            return Miss("set-before-checked", seen, f"{NO}, and the limit stays", mac, step)
    return None


def _refuses_unknown(answer: Answer, seed: int) -> Miss | None:
    mac, _, app = machine(answer["Limited"])
    option = Random(seed).randrange(3, 1000)
    said = _set(connected(app), option, bytes(4))
    if said == UNKNOWN:
        return None
    step = last_callback(mac, "setopt")
    return Miss("unknown-is-zero", f"option {option}: {said}", UNKNOWN, mac, step)


_Q2 = Question(
    "q06_2",
    "find and mend: the length nobody looks at",
    ("Limited",),
    (
        Check("a number of four bytes is taken", _takes_four),
        Check("every other length is EINVAL, and changes nothing", _refuses_others),
        Check("an unknown option is EOPNOTSUPP", _refuses_unknown),
    ),
    hidden=1,
)

# -- q06_3: complete getopt --------------------------------------------------------------------


def _labelled(answer: Answer, seed: int) -> tuple[Kernel, App, Socket, bytes]:
    mac, _, app = machine(answer["Labels"])
    random = Random(seed)
    label = bytes(random.choices(b"abcdefghij", k=random.randrange(5, 30)))
    s = connected(app)
    s.setsockopt(SYSPROTO_CONTROL, LABEL, label)
    return mac, app, s, label


def _asks_for_size(answer: Answer, seed: int) -> Miss | None:
    mac, app, s, label = _labelled(answer, seed)
    try:
        errno, length, _ = raw(app, s, LABEL, None)
    except KernelPanic as panic:
        seen = f"a size query, and the machine panics: {panic.__cause__ or panic}"
        return Miss("no-size-query", seen, "the length of the label", mac)
    if (errno, length) != (0, len(label)):
        seen = f"a size query answers errno {errno}, length {length}"
        step = last_callback(mac, "getopt")
        return Miss("no-size-query", seen, f"errno 0, length {len(label)}", mac, step)
    return None


def _gives_all(answer: Answer, seed: int) -> Miss | None:
    mac, app, s, label = _labelled(answer, seed)
    for room in (len(label), len(label) + 1 + seed % 20):
        errno, length, data = raw(app, s, LABEL, b"?" * room)
        if (errno, data[:length]) != (0, label):
            seen = f"into {room} bytes of '?': errno {errno}, {length} bytes, {data[:length]!r}"
            step = last_callback(mac, "getopt")
            return Miss("claims-the-buffer", seen, f"{len(label)} bytes, the label", mac, step)
    return None


def _too_small(answer: Answer, seed: int) -> Miss | None:
    mac, app, s, label = _labelled(answer, seed)
    room = len(label) - 1 - seed % 3
    try:
        errno, _, _ = raw(app, s, LABEL, bytes(room))
    except KernelPanic as panic:
        return Miss("error-saves", f"into {room} bytes: {panic}", f"{NO}, no panic", mac)
    if errno != EINVAL:
        seen = f"{len(label)} bytes into {room}: errno {errno}"
        return Miss("cuts-silently", seen, NO, mac, last_callback(mac, "getopt"))
    return None


def _knows_no_other(answer: Answer, seed: int) -> Miss | None:
    mac, app, s, _ = _labelled(answer, seed)
    option = Random(seed).randrange(2, 1000)
    errno, length, data = raw(app, s, option, b"????")
    if errno == EOPNOTSUPP:
        return None
    seen = f"option {option}: errno {errno}, {data[:length]!r}"
    return Miss("unknown-is-zero", seen, UNKNOWN, mac, last_callback(mac, "getopt"))


_Q3 = Question(
    "q06_3",
    "complete getopt",
    ("Labels",),
    (
        Check("a size query gets the length", _asks_for_size),
        Check("a buffer with room gets the label, and no byte more", _gives_all),
        Check("a buffer that is too small is EINVAL", _too_small),
        Check("an unknown option is EOPNOTSUPP", _knows_no_other),
    ),
    hidden=1,
)

# -- q06_4: a client that fetches --------------------------------------------------------------


class _Exact(_Optional):
    """Has a value for option 1 and wants room for all of it."""

    value = b""

    def getopt(
        self, kctlref: int, unit: int, unitinfo: object, opt: int, data: Any, length: Out
    ) -> int:
        length.value = 0
        if opt != LABEL:
            return ENOENT
        if data is not None:
            if len(data) < len(self.value):
                return EINVAL
            data[: len(self.value)] = self.value
        length.value = len(self.value)
        return 0


def _fetches(answer: Answer, value: bytes) -> tuple[Kernel, object]:
    """The machine, and what fetch returns; an errno as words."""
    mac, kext, app = machine(_Exact)
    kext.value = value
    s = connected(app)
    got: list[object] = []
    said = asked(lambda: got.append(answer["fetch"](app, s, LABEL)))
    return mac, got[0] if got else said


def _fetches_any(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    for size in (random.randrange(2, 64), random.randrange(65, 1025)):
        value = random.randbytes(size - 1) + b"!"
        mac, got = _fetches(answer, value)
        if got != value:
            belief = "guesses-the-size" if size > 64 else "size-is-the-value"
            seen = f"an option of {size} bytes: {got!r:.60}"
            return Miss(belief, seen, f"its {size} bytes", mac, last_callback(mac, "getopt"))
    return None


def _fetches_nothing(answer: Answer, _seed: int) -> Miss | None:
    mac, got = _fetches(answer, b"")
    if got != b"" or not isinstance(got, bytes):
        seen = f"an option of 0 bytes: {got!r}"
        return Miss("zero-is-bytes", seen, "b''", mac, last_callback(mac, "getopt"))
    return None


def _passes_errors_on(answer: Answer, seed: int) -> Miss | None:
    mac, _, app = machine(_Exact)
    s = connected(app)
    said = asked(lambda: answer["fetch"](app, s, 2 + seed % 50))
    due = f"ENOENT ({ENOENT})"
    if said == due:
        return None
    return Miss("swallows-the-error", f"the kext refuses, and fetch says {said}", due, mac)


_Q4 = Question(
    "q06_4",
    "write a client that reads an option of any size",
    ("fetch",),
    (
        Check("it returns the whole value, short or long", _fetches_any),
        Check("an empty value is b''", _fetches_nothing),
        Check("a refusal is the caller's OSError", _passes_errors_on),
    ),
)

# -- q06_5: explain a panic report -------------------------------------------------------------

CLAIM, ROOM = 24, 10
"""The lengths in the report of q06_5."""


def _mended(letter: str) -> type[_Optional]:
    """The colleague's kext after one of the changes."""

    class Mended(_Optional):
        def getopt(
            self, kctlref: int, unit: int, unitinfo: object, opt: int, data: Any, length: Out
        ) -> int:
            claim = CLAIM - 1 if letter == "D" else CLAIM
            length.value = claim
            if data is not None and len(data) < CLAIM:
                if letter == "C":
                    length.value = 0
                return EOPNOTSUPP if letter == "B" else EINVAL
            return 0

    return Mended


def _survives(letter: str, room: int) -> tuple[str, Kernel]:
    """What a client with so much room hears after this change: "" if the machine lives."""
    mac, _, app = machine(_mended(letter))
    try:
        raw(app, connected(app), 3, bytes(room))
    except KernelPanic as panic:
        return str(panic), mac
    return "", mac


def _reads_the_report(answer: Answer, _seed: int) -> Miss | None:
    panic, mac = _survives("", ROOM)
    said = [answer["claimed"], answer["room"]]
    due = [int(number) for number in re.findall(r"\((\d+)\)", panic)]
    if said == due:
        return None
    seen = f"you read {said[0]} claimed, {said[1]} of room"
    return Miss("numbers-misread", seen, "the numbers of the report's first line", mac)


def _mends_it(answer: Answer, seed: int) -> Miss | None:
    letter = str(answer["mend"]).strip().upper()
    beliefs = {"A": "client-is-to-blame", "B": "error-saves", "D": "off-by-one"}
    if letter not in {*beliefs, "C"}:
        return Miss("off-by-one", f"you say {answer['mend']}", "one of the letters A to D")
    for room in (1 + seed % 23, CLAIM - 2):
        panic, mac = _survives(letter, room)
        if panic:
            seen = f"after {letter} another client comes with {room} bytes: {panic}"
            return Miss(beliefs[letter], seen, "no panic", mac, last_callback(mac, "getopt"))
    return None


_Q5 = Question(
    "q06_5",
    "explain a panic report",
    ("claimed", "room", "mend"),
    (
        Check("the two lengths are those of the report", _reads_the_report),
        Check("after the change no client can stop the machine", _mends_it),
    ),
)

# -- q06_6: Parsons: ask twice -----------------------------------------------------------------

LINES = {
    "A": "buffer = malloc(length)",
    "B": "value = memdup(buffer, length)",
    "C": "length = getsockopt(s, NULL, 0)",
    "D": "length = 64",
    "E": "free(buffer)",
    "F": "length = getsockopt(s, buffer, length)",
}
"""The lines of q06_6."""


def _fetched(order: str, value: bytes, fewer: int) -> tuple[object, Kernel]:
    """What the lines fetch in this order, or what is wrong with it, in words; the option has
    ``fewer`` bytes the second time."""
    mac, kext, app = machine(_Exact)
    kext.value = value
    s = connected(app)

    def getsockopt(_s: object, buffer: bytearray | None, length: int) -> int:
        room = None if buffer is None else memdup(buffer, length)
        errno, said, data = raw(app, s, LABEL, room)
        if errno:
            raise OSError(errno, "")
        if buffer is not None:
            buffer[:said] = data[:said]
        else:
            kext.value = value[: len(value) - fewer]
        return said

    freed: list[bytearray] = []

    def memdup(buffer: bytearray, length: int) -> bytes:
        if freed:
            raise NameError("the buffer is used after it was freed")
        return bytes(buffer[:length])

    given = {"s": s, "NULL": None, "getsockopt": getsockopt, "memdup": memdup}
    try:
        scope = assembled(LINES, order, {**given, "malloc": bytearray, "free": freed.append})
    except NameError as error:
        return str(error), mac
    except OSError as error:
        return refusal(error), mac
    if "value" not in scope:
        return "no value", mac
    return (scope["value"] if freed else "a buffer that nobody frees"), mac


def _asks_twice(answer: Answer, seed: int) -> Miss | None:
    order = letters(answer["order"])
    random = Random(seed)
    for size, fewer in ((random.randrange(65, 200), 0), (random.randrange(100, 200), 5)):
        due = bytes(random.choices(b"abcdefgh", k=size))
        got, mac = _fetched(order, due, fewer)
        if got == due[: size - fewer]:
            continue
        at: Callable[[str], int] = order.find
        if "D" in order:
            belief = "guesses-the-size"
        elif at("A") < at("C"):
            belief = "buffer-before-size"
        elif at("E") < at("B"):
            belief = "reads-after-freeing"
        else:
            belief = "size-is-the-value"
        shown = f"{len(got)} bytes, {got!r:.40}" if isinstance(got, bytes) else got
        seen = f"{order or 'nothing'}: an option of {size - fewer} bytes gives: {shown}"
        expected = "its bytes, and no memory lost"
        return Miss(belief, seen, expected, mac, last_callback(mac, "getopt"))
    return None


_Q6 = Question(
    "q06_6",
    "put the two calls for a value in order",
    ("order",),
    (Check("the lines, in this order, fetch a value of any size", _asks_twice),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
