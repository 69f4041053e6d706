"""Exercise 5, flow control: the ignored errno, NOWAKEUP, half messages, space that is none.

The questions about reading are in ``q05_reader``.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from kextlab.abi.errno import ENOBUFS
from kextlab.course.budget import BudgetSpent
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import (
    App,
    Kernel,
    Socket,
    asked,
    connected,
    last_callback,
    machine,
)
from kextlab.course.questions.q05_reader import CLIENT, ORDER, SPACES, drained
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import RETURN, SB_APPEND, WAKEUP
from kextlab.views.words import some

NO_ROOM = f"ENOBUFS ({ENOBUFS})"
Kext = Any
"""A kext of the learner's: it has the methods the exercise names."""


def last_refusal(mac: Kernel) -> int | None:
    """The step at which the kernel last answered ENOBUFS; None if it never did."""
    steps = enumerate(mac.trace.entries())
    return max((at for at, entry in steps if entry[:2] == (RETURN, ENOBUFS)), default=None)


def stream(app: App) -> Socket:
    """A client of a stream control."""
    module = app.socket
    s = module.socket(module.PF_SYSTEM, module.SOCK_STREAM, module.SYSPROTO_CONTROL)
    s.connect((1, 0))
    return s


# -- q05_2: the enqueue error ignored ----------------------------------------------------------


def _lost_of(record: bytes) -> int:
    return int.from_bytes(record[:4], "big")


def _sampled(kext: Kext, data: bytes, unit: int) -> str:
    """What sample answers, in words."""
    said = kext.sample(unit, data)
    return NO_ROOM if said == ENOBUFS else "0" if said in (0, None) else str(said)


def _counts(answer: Answer, seed: int) -> Miss | None:
    """Fill, read a little, go on: twice, so that the count has to begin again."""
    mac, kext, app = machine(answer["Sampler"])
    client = connected(app)
    random = Random(seed)
    size = random.randrange(400, 900)
    fit = 8192 // (size + 4)
    try:
        for _ in range(2):
            missing = random.randrange(2, 6)
            told = [_sampled(kext, random.randbytes(size), 1) for _ in range(fit + missing)]
            drained(client)
            last, then = random.randbytes(size), random.randbytes(size)
            told += [_sampled(kext, last, 1), _sampled(kext, then, 1)]
            heard = drained(client)
            if [record[4:] for record in heard] != [last, then]:
                seen = f"two samples fit, and {len(heard)} records come"
                return Miss("error-ignored", seen, "the two, with four bytes before each", mac)
            counts = [_lost_of(record) for record in heard]
            if int.from_bytes(heard[0][:4], "little") == missing:
                seen = f"{missing} samples were refused; the record begins with {heard[0][:4]!r}"
                due = f"{missing.to_bytes(4, 'big')!r}"
                return Miss("least-significant-first", seen, due, mac)
            if counts != [missing, 0]:
                seen = f"{missing} samples were refused; the next two records say {counts}"
                due = f"[{missing}, 0]"
                step = last_refusal(mac)
                return Miss(_counting_belief(counts, missing), seen, due, mac, step)
    except BudgetSpent:
        seen = "the buffer is full, and sample does not come back"
        expected = f"it comes back with {NO_ROOM}"
        return Miss("tries-until-it-fits", seen, expected, mac, last_refusal(mac))
    refused = told.count(NO_ROOM)
    if refused != missing:
        seen = f"{missing} samples were refused; sample answered {NO_ROOM} {refused} times"
        return Miss("swallows-the-errno", seen, "the errno, each time", mac, last_refusal(mac))
    return None


def _counting_belief(counts: list[int], missing: int) -> str:
    if counts[0] > missing or counts[1]:
        return "never-begins-again"
    return "forgets-too-early" if counts[0] else "error-ignored"


def _counts_each(answer: Answer, seed: int) -> Miss | None:
    """One client is slow; the other has lost nothing."""
    mac, kext, app = machine(answer["Sampler"])
    slow, quick = connected(app), connected(app)
    missing = 2 + seed % 5
    for _ in range(8192 // 1004 + missing):
        kext.sample(1, bytes(1000))
    kext.sample(2, b"for the quick one")
    drained(slow)
    kext.sample(1, b"for the slow one")
    for s, unit, due in ((quick, 2, 0), (slow, 1, missing)):
        heard = drained(s)
        if [_lost_of(record) for record in heard] != [due]:
            said = _lost_of(heard[0]) if heard else "nothing"
            seen = f"unit {unit} lost {due} samples; its record says {said}"
            return Miss("one-count-for-all", seen, f"{due}", mac)
    return None


_Q2 = Question(
    "q05_2",
    "find and mend: the errno nobody looks at",
    ("Sampler",),
    (
        Check("a record says how many samples were refused before it", _counts, 2_000),
        Check("each client has a count of its own", _counts_each),
    ),
    hidden=1,
)

# -- q05_3: NOWAKEUP left set ------------------------------------------------------------------


def listening(app: App, s: Socket) -> list[bytes]:
    """Start a program that reads for ever; what it will have read."""
    heard: list[bytes] = []

    async def read(app: App) -> None:
        loop = app.asyncio.get_running_loop()
        s.setblocking(False)
        while True:
            heard.append(await loop.sock_recv(s, 9000))

    app.run(read)
    return heard


def _asleep(answer: Answer, lines: list[bytes]) -> tuple[Kernel, App, Socket, list[bytes]]:
    """A machine with the answer's kext, these lines, and a reader that sleeps."""
    mac, kext, app = machine(answer["Lister"])
    kext.lines = tuple(lines)
    s = connected(app)
    heard = listening(app, s)
    mac.run()
    return mac, app, s, heard


def _wakes_once(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    lines = [random.randbytes(random.randrange(1, 60)) for _ in range(random.randrange(3, 9))]
    mac, _, s, heard = _asleep(answer, lines)
    start = len(mac.trace)
    said = asked(lambda: s.send(b"list"))
    steps = list(enumerate(mac.trace.entries(start), start))
    appended = [at for at, entry in steps if entry[0] == SB_APPEND and "so_rcv" in str(entry[1])]
    woken = [at for at, entry in steps if entry[0] == WAKEUP and entry[1] == "rcv"]
    step = last_callback(mac, "send")
    try:
        mac.run()
    except KernelPanic as panic:
        seen = f"the reader is woken, and the machine panics: {panic}"
        return Miss("wakes-with-nothing", seen, "it reads the lines", mac, step)
    if len(heard) < len(lines) and b"".join(heard) == b"".join(lines):
        seen = f"{len(lines)} lines come in {some(len(heard), 'record')}"
        return Miss("one-record-for-all", seen, f"{len(lines)} records", mac, step)
    if heard != lines:
        seen = (
            f"send answers {said}; of {len(lines)} records the sleeping reader reads {len(heard)}"
        )
        return Miss("nowakeup-left-set", seen, f"it reads all {len(lines)}", mac, step)
    if len(woken) == 1 and woken[0] < appended[-1]:
        seen = "the reader is woken, and records are queued after that"
        return Miss("wakes-too-early", seen, "it is woken when all are queued", mac, step)
    if len(woken) != 1:
        seen = f"{len(lines)} records wake the reader {len(woken)} times"
        return Miss("wakes-every-time", seen, "once", mac, step)
    return None


def _nothing_of_it(answer: Answer, lines: list[bytes], size: int, belief: str) -> Miss | None:
    """An answer that does not fit is ENOBUFS, and nothing of it is queued."""
    mac, app, s, heard = _asleep(answer, lines)
    if size:
        s.setsockopt(app.socket.SOL_SOCKET, app.socket.SO_RCVBUF, size)
    said = asked(lambda: s.send(b"list"))
    mac.run()
    read, left = len(heard), len(drained(s))
    step = last_callback(mac, "send")
    due = f"{NO_ROOM}, and no record"
    if read or left:
        state = f"{left} are queued beside a reader that sleeps" if left else f"{read} are read"
        seen = f"{len(lines)} records do not fit; send answers {said}, and {state}"
        return Miss(belief, seen, due, mac, step)
    if said != NO_ROOM:
        return Miss(belief, f"they do not fit; send answers {said}", due, mac, step)
    return None


def _all_or_nothing(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    lines = [random.randbytes(random.randrange(800, 1500)) for _ in range(12)]
    return _nothing_of_it(answer, lines, 0, "half-an-answer")


def _asks_for_space(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    lines = [random.randbytes(random.randrange(300, 500)) for _ in range(12)]
    return _nothing_of_it(answer, lines, random.randrange(1500, 3500), "knows-the-size")


_Q3 = Question(
    "q05_3",
    "find and mend: the reader that sleeps for ever",
    ("Lister",),
    (
        Check("a sleeping reader is woken once, when all is queued", _wakes_once),
        Check("an answer that does not fit is ENOBUFS, whole", _all_or_nothing),
        Check("also if the client has made its buffer smaller", _asks_for_space),
    ),
    hidden=1,
)

# -- q05_4: complete pump and rcvd -------------------------------------------------------------

Message = tuple[bytes, bytes]


def _mail(random: Random, count: int, first: int = 0) -> list[Message]:
    """Messages with a number for a head, and a body of letters."""
    return [
        (b"%04d" % at, bytes(random.choices(b"abcdef", k=random.randrange(300, 1400))))
        for at in range(first, first + count)
    ]


def _pump_belief(heard: list[bytes], due: list[bytes]) -> str:
    """What is believed by a kext whose client heard this."""
    numbers = re.findall(rb"\d{4}", b"".join(heard))
    doubled = [one for at, one in enumerate(numbers) if one in numbers[:at]]
    if doubled:
        glued = any(re.match(rb"(\d{4})\1", record) for record in heard)
        return "head-twice" if glued and len(set(heard)) == len(heard) else "sent-all-again"
    if heard == due[: len(heard)]:
        return "rcvd-does-nothing"
    if sorted(heard) == sorted(due):
        return "out-of-order"
    return "no-mark" if b"".join(due).startswith(b"".join(heard)) else "error-ignored"


def _brief(record: bytes) -> str:
    return f"{record[:16]!r}... ({len(record)} bytes)"


def _wrong_mail(heard: list[bytes], due: list[bytes], mac: Kernel, unit: int) -> Miss | None:
    """The first record that is not the message it should be."""
    if heard == due:
        return None
    right = 0
    while right < min(len(heard), len(due)) and heard[right] == due[right]:
        right += 1
    if right < len(heard):
        seen = f"record {right + 1} of unit {unit} is {_brief(heard[right])}"
    else:
        seen = f"unit {unit} reads and reads, and gets {right} of {len(due)} messages"
    expected = _brief(due[right]) if right < len(due) else f"{len(due)} records, no more"
    belief = _pump_belief(heard, due)
    lazy = belief == "rcvd-does-nothing"
    step = last_callback(mac, "rcvd") if lazy else last_refusal(mac)
    return Miss(belief, seen, expected, mac, step)


def _pumps(answer: Answer, seed: int) -> Miss | None:
    mac, kext, app = machine(answer["Post"])
    client = connected(app)
    mail = _mail(Random(seed), 30)
    heard: list[bytes] = []
    try:
        for some in (mail[:26], mail[26:]):
            for head, body in some:
                kext.post(1, head, body)
            heard += drained(client, most=60)
    except BudgetSpent:
        seen = "the buffer is full, and the kext does not come back"
        return Miss("waits-in-a-loop", seen, "it comes back", mac, last_refusal(mac))
    return _wrong_mail(heard, [head + body for head, body in mail], mac, 1)


def _pumps_each(answer: Answer, seed: int) -> Miss | None:
    """Unit 2 reads, unit 1 does not."""
    mac, kext, app = machine(answer["Post"])
    connected(app)
    client = connected(app)
    random = Random(seed)
    for head, body in _mail(random, 14):
        kext.post(1, head, body)
    mail = _mail(random, 20, first=100)
    for head, body in mail:
        kext.post(2, head, body)
    miss = _wrong_mail(drained(client, most=60), [head + body for head, body in mail], mac, 2)
    if miss is not None:
        return Miss("pumps-another-unit", miss.seen, miss.expected, mac, miss.step)
    return None


_Q4 = Question(
    "q05_4",
    "complete pump and rcvd",
    ("Post",),
    (
        Check("every message comes once, whole and in order", _pumps, 2_000),
        Check("who reads is served, whoever does not", _pumps_each),
    ),
    hidden=1,
)

# -- q05_5: a stream that is refilled when the client asks -------------------------------------


def _round(client: Socket) -> tuple[str, list[bytes]]:
    """The client says go on, and reads all there is: what send answered, and the records."""
    said = asked(lambda: client.send(b"go on"))
    return said, drained(client)


def _rounds(client: Socket, due: list[bytes]) -> tuple[str, list[bytes]]:
    """Rounds until one brings nothing, or too much has come."""
    heard: list[bytes] = []
    while True:
        said, records = _round(client)
        heard += records
        if said != "ok" or not records or len(heard) > 2 * len(due):
            return said, heard


def _faucet_belief(heard: list[bytes], due: list[bytes], small: bool) -> str:
    if any(record not in due for record in heard):
        return "no-mark"
    if len(set(heard)) < len(heard):
        return "sent-all-again"
    return "counts-bytes-only" if small else "error-ignored"


def _flows(answer: Answer, due: list[bytes], small: bool) -> Miss | None:
    mac, kext, app = machine(answer["Faucet"])
    kext.records = tuple(due)
    try:
        client = stream(app)
    except OSError as error:
        seen, expected = f"a stream socket is refused: {error}", "it is connected"
        return Miss("not-a-stream", seen, expected, mac)
    try:
        said, heard = _rounds(client, due)
    except BudgetSpent:
        seen = "the buffer is full, and send does not come back"
        return Miss("waits-in-a-loop", seen, "it comes back", mac, last_refusal(mac))
    step = last_refusal(mac)
    if said != "ok":
        seen = f"the client says 'go on', and hears {said}"
        return Miss("full-is-an-error", seen, "no error: its message was taken", mac, step)
    if heard != due:
        right = next((at for at, (a, b) in enumerate(zip(heard, due, strict=False)) if a != b),
                     min(len(heard), len(due)))  # fmt: skip
        seen = f"of {len(due)} records {len(heard)} come, and the first {right} are right"
        expected = "every one once, in order"
        return Miss(_faucet_belief(heard, due, small), seen, expected, mac, step)
    if mac.leaks(kext):
        seen = f"the kext still holds {len(mac.leaks(kext))} mbufs"
        return Miss("keeps-mbufs", seen, "it holds none between callbacks", mac)
    return None


def _large(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    due = [b"%03d" % at + bytes(random.randrange(140, 240)) for at in range(80)]
    return _flows(answer, due, False)


def _small(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    due = [b"%03d" % at + bytes(random.randrange(1, 8)) for at in range(random.randrange(290, 400))]
    return _flows(answer, due, True)


def _flows_each(answer: Answer, seed: int) -> Miss | None:
    """Two clients take turns."""
    mac, kext, app = machine(answer["Faucet"])
    random = Random(seed)
    due = [b"%03d" % at + bytes(random.randrange(300, 600)) for at in range(50)]
    kext.records = tuple(due)
    clients = [stream(app), stream(app)]
    heard: list[list[bytes]] = [[], []]
    for _ in range(8):
        for at in range(2):
            heard[at] += _round(clients[at])[1]
    for at in range(2):
        if heard[at] != due:
            seen = f"two clients take turns; unit {at + 1} gets {len(heard[at])} of {len(due)}"
            expected = "all of them, each client"
            return Miss("one-place-for-all", seen, expected, mac, last_callback(mac, "send"))
    return None


_Q5 = Question(
    "q05_5",
    "write a kext that goes on when the client asks",
    ("Faucet",),
    (
        Check("records of 140 bytes and more come once each, in order", _large, 5_000),
        Check("so do hundreds of very short ones", _small),
        Check("each client has its own place in the row", _flows_each),
    ),
    hidden=1,
)

QUESTIONS = (SPACES, _Q2, _Q3, _Q4, _Q5, CLIENT, ORDER)
