"""Exercise 4, datagram and stream: where records end, chains of mbufs, frames over a stream."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from kextlab.abi.constants import CTL_DATA_EOR, CTL_FLAG_REG_EXTENDED, CTL_FLAG_REG_SOCK_STREAM
from kextlab.course.budget import BudgetSpent
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

FREE = "is free"
"""What the panic says of an mbuf that was used after it was freed."""


def stream_client(app: App) -> Socket:
    """A client of stream control 1. Raises OSError if it is refused; its socket is closed then."""
    module = app.socket
    client = module.socket(module.PF_SYSTEM, module.SOCK_STREAM, module.SYSPROTO_CONTROL)
    try:
        client.connect((1, 0))
    except OSError:
        client.close()
        raise
    return client


def all_of(client: Socket, size: int = 10_000) -> list[bytes]:
    """What can be read without waiting, read by read."""
    client.setblocking(False)
    heard: list[bytes] = []
    while len(heard) < 100:
        try:
            heard.append(bytes(client.recv(size)))
        except BlockingIOError:
            break
    return heard


def words(random: Random, count: int, shortest: int, longest: int) -> list[bytes]:
    """Some pieces of lower-case letters, each beginning with a letter of its own."""
    return [
        bytes([97 + at])
        + bytes(random.choices(range(97, 123), k=random.randint(shortest, longest)))
        for at in range(count)
    ]


# -- q04_1: predict three reads ----------------------------------------------------------------

PIECES = ((b"ab", 0), (b"cd", CTL_DATA_EOR), (b"ef", 0), (b"gh", CTL_DATA_EOR), (b"ij", 0))
"""What the kext of q04_1 enqueues, with flags."""
READS = (3, 10, 10)
"""The lengths of the three reads."""


def three_reads() -> tuple[list[bytes], Kernel]:
    """What the reads of q04_1 return."""
    mac, kext, app = machine(EchoKext)
    client = connected(app)
    for data, flags in PIECES:
        kext.kpi.ctl_enqueuedata(kext.ctlref.value, 1, data, len(data), flags)
    return [bytes(client.recv(size)) for size in READS], mac


def _as_read(answer: Answer, _seed: int) -> Miss | None:
    """The first read that is not what the client hears."""
    due, mac = three_reads()
    said = list(answer["heard"])
    if said == due:
        return None
    first, second = (*said, None, None)[:2]
    rest = b"".join(data for data, _ in PIECES[:2])[READS[0] :]
    if first == PIECES[0][0]:
        belief = "each-enqueue-a-datagram"
    elif first == due[0] and second == rest:
        belief = "rest-is-kept"
    elif first == due[0] and isinstance(second, bytes) and second.startswith(rest):
        belief = "a-stream-of-bytes"
    else:
        belief = "another-read"
    nth = next(
        (at for at, pair in enumerate(zip(said, due, strict=False)) if pair[0] != pair[1]), 0
    )
    expected = f"recv({READS[nth]}), read {nth + 1} of {len(READS)}, returns {len(due[nth])} bytes"
    return Miss(belief, f"you predict {said}", expected, mac)


_Q1 = Question(
    "q04_1",
    "predict three reads",
    ("heard",),
    (Check("the three reads return what the kernel hands out", _as_read),),
)

# -- q04_2: the first mbuf, and one never freed ------------------------------------------------


def _adds(answer: Answer, seed: int, sizes: list[int]) -> Miss | None:
    """Messages of these sizes are added up."""
    mac, kext, app = machine(answer["Adder"])
    client = connected(app)
    random = Random(seed)
    for size in sizes:
        message = bytes(random.choices(range(1, 256), k=size))
        try:
            said = asked(lambda message=message: client.send(message))  # type: ignore[misc]
        except KernelPanic as panic:
            freed = FREE in str(panic.__cause__ or panic) or FREE in str(panic)
            if not freed:
                raise
            seen = f"a message of {size} bytes panics the machine: {panic}"
            return Miss("reads-after-freeing", seen, "an answer", mac)
        heard = all_of(client)
        due = [b"%d" % sum(message)]
        if said != "ok" or heard != due:
            seen = f"{size} bytes: send is {said}, and the answers are {heard}"
            step = last_callback(mac, "send")
            return Miss("first-mbuf-only", seen, f"one answer, {due[0]!r}", mac, step)
        if left := len(mac.leaks(kext)):
            belief = "never-freed" if size <= 80 or left > 1 else "frees-the-first"
            seen = f"after a message of {size} bytes the kext holds {left} mbufs"
            return Miss(belief, seen, "none between callbacks", mac, last_callback(mac, "send"))
    return None


def _short(answer: Answer, seed: int) -> Miss | None:
    return _adds(answer, seed, [Random(seed).randint(1, 80), 80])


def _long(answer: Answer, seed: int) -> Miss | None:
    return _adds(answer, seed, [Random(seed).randint(90, 200), Random(seed).randint(300, 2048)])


def _refused(answer: Answer, seed: int) -> Miss | None:
    """An empty client: the answer cannot be queued, because nobody reads."""
    mac, kext, app = machine(answer["Adder"])
    client = connected(app)
    client.shutdown(app.socket.SHUT_RD)
    said = asked(lambda: client.send(bytes(Random(seed).randint(100, 300))))
    if left := len(mac.leaks(kext)):
        seen = f"the answer could not be queued ({said}), and the kext holds {left} mbufs"
        return Miss("leaks-on-error", seen, "none, whatever happened", mac)
    return None


_Q2 = Question(
    "q04_2",
    "find and mend: a message in pieces",
    ("Adder",),
    (
        Check("short messages are added up, and no mbuf stays", _short),
        Check("so are long ones", _long),
        Check("no mbuf stays when the answer cannot be queued", _refused),
    ),
    hidden=1,
)

# -- q04_3: one line, one datagram -------------------------------------------------------------


def _lines(answer: Answer, seed: int) -> Miss | None:
    """Two messages of lines are heard line by line."""
    mac, kext, app = machine(answer["Lines"])
    client = connected(app)
    random = Random(seed)
    batches = [words(random, random.randint(3, 6), 2, 12) for _ in range(2)]
    for lines in batches:
        said = asked(lambda lines=lines: client.send(b"\n".join(lines)))  # type: ignore[misc]
        if said != "ok":
            return Miss("leaves-lines-out", f"send is {said}", "every line is answered", mac)
    heard = all_of(client)
    due = [line for lines in batches for line in lines]
    whole = [b"".join(lines) for lines in batches]
    step = last_callback(mac, "send")
    if heard == due:
        if left := len(mac.leaks(kext)):
            return Miss("keeps-mbufs", f"the kext holds {left} mbufs", "none", mac, step)
        return None
    seen, expected = f"two messages of lines are heard as {heard}", f"{len(due)} datagrams"
    if heard == [b"".join(whole)]:
        belief = "enqueue-is-a-datagram"
    elif heard == whole:
        belief = "one-mark-for-all"
    elif b"".join(heard) == b"".join(whole):
        belief = "mark-begins-a-record"
    else:
        belief = "leaves-lines-out"
    return Miss(belief, seen, expected, mac, step)


_Q3 = Question(
    "q04_3",
    "complete a callback: one line, one datagram",
    ("Lines",),
    (Check("every line is a datagram of its own, in order, and no mbuf stays", _lines),),
    hidden=1,
)

# -- q04_4: a client that reads frames ---------------------------------------------------------


class Drip(EchoKext):
    """A stream control that hands out the next piece whenever the last one was read."""

    def __init__(self, pieces: list[bytes], mark: int) -> None:
        super().__init__()
        self.pieces, self.mark = pieces, mark

    def start(self) -> int:
        """Register a stream control with a rcvd callback."""
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM | CTL_FLAG_REG_EXTENDED,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_rcvd=self.rcvd,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def drip(self) -> None:
        """Queue the next piece if all before it was read."""
        count = Out()
        self.kpi.ctl_getenqueuepacketcount(self.ctlref.value, 1, count)
        if self.pieces and not count.value:
            piece = self.pieces.pop(0)
            self.kpi.ctl_enqueuedata(self.ctlref.value, 1, piece, len(piece), self.mark)

    def rcvd(self, kctlref: int, unit: int, unitinfo: object, flags: int) -> int:
        """ctl_rcvd: something was read."""
        self.drip()
        return 0


def frame(body: bytes) -> bytes:
    """Four bytes of length, the most significant first, then the body."""
    return len(body).to_bytes(4, "big") + body


def reads_frames(
    answer: Answer, bodies: list[bytes], pieces: list[bytes], belief: str
) -> Miss | None:
    """The client hears these bodies, whatever the pieces."""
    mac = Kernel()
    kext = mac.load(lambda: Drip(list(pieces), CTL_DATA_EOR))
    app = mac.spawn("client")
    client = stream_client(app)
    kext.drip()
    client.settimeout(1)
    for nth, body in enumerate(bodies, 1):
        expected = f"frame {nth} of {len(bodies)}, {len(body)} bytes"
        try:
            said = answer["read_frame"](client)
        except (OSError, BudgetSpent) as error:
            why = refusal(error) if isinstance(error, OSError) else str(error)
            return Miss(belief, f"read_frame ends with {why}", expected, mac)
        if said != body:
            seen = f"read_frame returns {said!r:.60}"
            return Miss(belief, seen, expected, mac, last_callback(mac, "rcvd"))
    return None


def bodies_of(seed: int) -> list[bytes]:
    """Three bodies of frames."""
    return words(Random(seed), 3, 8, 40)


def _whole(answer: Answer, seed: int) -> Miss | None:
    bodies = bodies_of(seed)
    return reads_frames(answer, bodies, [frame(body) for body in bodies], "no-head")


def _together(answer: Answer, seed: int) -> Miss | None:
    bodies = bodies_of(seed)
    return reads_frames(answer, bodies, [b"".join(map(frame, bodies))], "a-read-is-a-frame")


def _body_in_pieces(answer: Answer, seed: int) -> Miss | None:
    bodies, pieces = bodies_of(seed), []
    for body in bodies:
        at = 4 + Random(seed).randint(1, len(body) - 1)
        pieces += [frame(body)[:at], frame(body)[at:]]
    return reads_frames(answer, bodies, pieces, "body-in-one-read")


def _head_in_pieces(answer: Answer, seed: int) -> Miss | None:
    bodies, pieces = bodies_of(seed), []
    for body in bodies:
        at = Random(seed).randint(1, 3)
        pieces += [frame(body)[:at], frame(body)[at:]]
    return reads_frames(answer, bodies, pieces, "head-in-one-read")


_Q4 = Question(
    "q04_4",
    "write a client that reads frames from a stream",
    ("read_frame",),
    (
        Check("frames that arrive one by one are returned without their head", _whole, 2_000),
        Check("so are frames that arrive together", _together, 2_000),
        Check("a body may arrive in pieces", _body_in_pieces, 2_000),
        Check("so may a head", _head_in_pieces, 2_000),
    ),
    hidden=1,
)

# -- q04_5: a kext that takes frames -----------------------------------------------------------


def _framer(answer: Answer) -> tuple[Kernel, Any, App] | Miss:
    mac, kext, app = machine(answer["Framer"])
    said = asked(lambda: stream_client(app).close())
    if said == "ok":
        return mac, kext, app
    return Miss("not-a-stream", f"a stream socket connects: {said}", "it is connected", mac)


def _sends(
    answer: Answer, send: Callable[[Socket, list[bytes]], None], belief: str, seed: int
) -> Miss | None:
    """One client sends three frames, cut by ``send``; it hears their lengths."""
    made = _framer(answer)
    if isinstance(made, Miss):
        return made
    mac, kext, app = made
    client = stream_client(app)
    bodies = bodies_of(seed)
    said = asked(lambda: send(client, [frame(body) for body in bodies]))
    heard = b"".join(all_of(client))
    due = b"".join(b"%d\n" % len(body) for body in bodies)
    step = last_callback(mac, "send")
    if said != "ok" or heard != due:
        seen = f"send is {said}; it hears {heard!r}"
        return Miss(belief, seen, f"the lengths of {len(bodies)} frames", mac, step)
    if left := len(mac.leaks(kext)):
        return Miss("keeps-mbufs", f"the kext holds {left} mbufs", "none", mac, step)
    return None


def _one_by_one(answer: Answer, seed: int) -> Miss | None:
    def send(client: Socket, frames: list[bytes]) -> None:
        for one in frames:
            client.send(one)

    return _sends(answer, send, "no-answer", seed)


def _in_one_send(answer: Answer, seed: int) -> Miss | None:
    def send(client: Socket, frames: list[bytes]) -> None:
        client.send(b"".join(frames))

    return _sends(answer, send, "one-frame-a-callback", seed)


def _in_pieces(answer: Answer, seed: int) -> Miss | None:
    def send(client: Socket, frames: list[bytes]) -> None:
        data, random = b"".join(frames), Random(seed)
        while data:
            at = random.randint(1, 7)
            client.send(data[:at])
            data = data[at:]

    return _sends(answer, send, "forgets-the-rest", seed)


def _two_clients(answer: Answer, seed: int) -> Miss | None:
    """Two clients send their frames in turn, in pieces."""
    made = _framer(answer)
    if isinstance(made, Miss):
        return made
    mac, _, app = made
    clients = [stream_client(app), stream_client(app)]
    bodies = bodies_of(seed)
    for at in range(0, 60, 5):
        for client, body in zip(clients, bodies, strict=False):
            if piece := frame(body)[at : at + 5]:
                client.send(piece)
    for client, body in zip(clients, bodies, strict=False):
        heard, due = b"".join(all_of(client)), b"%d\n" % len(body)
        if heard != due:
            seen = f"two clients send in turn, and one hears {heard!r}"
            return Miss("one-rest-for-all", seen, f"{due!r}", mac, last_callback(mac, "send"))
    return None


_Q5 = Question(
    "q04_5",
    "write a kext that takes frames",
    ("Framer",),
    (
        Check("each frame, sent by itself, is answered with its length", _one_by_one),
        Check("several frames in one send are all answered", _in_one_send),
        Check("so are frames that come in pieces of a few bytes", _in_pieces),
        Check("each client has a rest of its own", _two_clients),
    ),
    hidden=1,
)

# -- q04_6: Parsons: one frame, and what comes behind it ----------------------------------------

LINES = {
    "A": "body = rest[4:4 + length]",
    "B": "while len(rest) < 4:\n    rest += s.recv(4096)",
    "C": "rest = rest[4 + length:]",
    "D": "while len(rest) < 4 + length:\n    rest += s.recv(4096)",
    "E": 'rest = b""',
    "F": 'length = int.from_bytes(rest[:4], "big")',
}
"""The lines of q04_6."""
FEW = 200
"""Steps of a check that reads three frames."""


def _reads_on(order: str, bodies: list[bytes], pieces: list[bytes]) -> tuple[str, Kernel]:
    """What goes wrong when the lines, in this order, read these frames: "" if nothing."""
    mac = Kernel()
    kext = mac.load(lambda: Drip(list(pieces), CTL_DATA_EOR))
    client = stream_client(mac.spawn("client"))
    kext.drip()
    client.settimeout(1)
    rest = b""
    for nth, body in enumerate(bodies, 1):
        what = f"frame {nth} of {len(bodies)}"
        try:
            scope = assembled(LINES, order, {"s": client, "rest": rest})
            said, rest = scope["body"], scope["rest"]
        except NameError as error:
            return f"{what}: {error}", mac
        except KeyError:
            return f"{what}: there is no body", mac
        except OSError:
            return f"{what}: it waits for bytes that do not come", mac
        if said != body:
            return f"{what} has {len(body)} bytes, and body holds {said!r:.60}", mac
    return "", mac


def _reads_in_order(answer: Answer, seed: int) -> Miss | None:
    """Head and body come apart, and the next frame comes with the end of this one."""
    order = letters(answer["order"])
    bodies = bodies_of(seed)
    stream, at = b"".join(map(frame, bodies)), 2 + Random(seed).randrange(2)
    cuts = [0, at, at + 6, len(frame(bodies[0])) + 7, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(cuts)]
    seen, mac = _reads_on(order, bodies, pieces)
    if not seen:
        return None
    at_line: Callable[[str], int] = order.find
    if "E" in order:
        belief = "a-read-is-a-frame"
    elif at_line("F") < at_line("B"):
        belief = "head-is-there"
    elif at_line("A") < at_line("D"):
        belief = "body-is-there"
    else:
        belief = "next-one-first"
    expected = "each body, whatever the pieces"
    return Miss(belief, f"{order or 'nothing'}: {seen}", expected, mac, last_callback(mac, "rcvd"))


_Q6 = Question(
    "q04_6",
    "put the reading of a frame in order",
    ("order",),
    (Check("the lines, in this order, read frames that come in pieces", _reads_in_order, FEW),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
