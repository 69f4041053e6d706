"""Exercise 10, Mach ports: references, time-outs, replies, sessions, the death of a server."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from kextlab.abi import mach
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import App, Kernel, assembled, letters
from kextlab.course.questions.pair import (
    Pair,
    count,
    new_port,
    received,
    refs_of,
    said_by,
    send,
)
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError

# -- q10_1: predict the references -------------------------------------------------------------


def counted() -> tuple[list[int], Kernel]:
    """The references after each of the five events of the question, and the machine."""
    pair = Pair(register=True)
    copy, refs = mach.MACH_MSG_TYPE_COPY_SEND, []
    for _ in range(4):
        send(pair.c, pair.to, copy)
    for how in (copy, copy):
        send(pair.c, pair.to, how)
        refs.append(pair.refs())
    received(pair.s, pair.port)
    send(pair.c, pair.to, copy)
    refs.append(pair.refs())
    send(pair.c, pair.to, mach.MACH_MSG_TYPE_MOVE_SEND)
    refs.append(pair.refs())
    told = new_port(pair.c)
    pair.c.mach_port_request_notification(pair.to, mach.MACH_NOTIFY_DEAD_NAME, 0, told)
    pair.s.mach_port_destroy(pair.port)
    received(pair.c, told)
    refs.append(refs_of(pair.c, pair.to, mach.MACH_PORT_RIGHT_DEAD_NAME))
    return refs, pair.mac


def _references(answer: Answer, _seed: int) -> Miss | None:
    due, mac = counted()
    said = [str(one) for one in answer["refs"]]
    pairs = list(zip(said, map(str, due), strict=False))
    if len(said) == len(due) and all(a == b for a, b in pairs):
        return None
    wrong = next((at for at, (a, b) in enumerate(pairs) if a != b), 4)
    beliefs = ["copy-takes-mine", "failed-changed-nothing", "copy-takes-mine", "moved-is-lost"]
    if wrong < 4:
        belief = beliefs[wrong]
    else:
        belief = "dead-is-nothing" if said[4:5] == ["0"] else "notice-adds-nothing"
    seen = f"you predict {', '.join(said)}"
    return Miss(belief, seen, f"{len(due)} numbers, another one in place {wrong + 1}", mac)


_Q1 = Question(
    "q10_1",
    "predict the references",
    ("refs",),
    (Check("these are the references after each step", _references),),
)

# -- q10_2: the retry loop ---------------------------------------------------------------------


def fill(pair: Pair) -> None:
    """The server's queue is filled by a right of its own making, not by the client's."""
    while send(pair.s, pair.port, mach.MACH_MSG_TYPE_MAKE_SEND, b"full") == "KERN_SUCCESS":
        pass


def _room_comes(answer: Answer, seed: int) -> Miss | None:
    """The queue is full, and room comes after two time-outs or more."""
    random = Random(seed)
    pair, after = Pair(), random.randrange(2, 5)
    fill(pair)
    pauses, body = [0], random.randbytes(8)

    def pause() -> None:
        pauses[0] += 1
        if pauses[0] == after:
            received(pair.s, pair.port)

    try:
        said = answer["deliver"](pair.c, pair.to, body, 9, pause)
    except MachError as error:
        seen = f"after {count(pauses[0], 'time-out')} {said_by(error)}"
        return Miss("moves-its-right", seen, "it tries again with a right it has", pair.mac)
    left = pair.refs()
    if left != 1:
        few = left < 1
        belief = "gives-back-too-much" if few else "failed-changed-nothing"
        seen = f"after {after} time-outs and a success it has {count(left, 'reference')}"
        return Miss(belief, seen, "1, as before", pair.mac)
    bodies = []
    while (got := received(pair.s, pair.port)) is not None:
        bodies.append(got.body)
    if bodies.count(body) != 1 or said is not True:
        seen = f"deliver says {said!r}; the server receives it {bodies.count(body)} times"
        return Miss("gives-back-too-much", seen, "True, and once", pair.mac)
    return None


def _no_room(answer: Answer, seed: int) -> Miss | None:
    """Room never comes."""
    pair, tries = Pair(), 3 + seed % 4
    fill(pair)
    said = answer["deliver"](pair.c, pair.to, b"word", tries, lambda: None)
    left = pair.refs()
    if left != 1:
        belief = "last-copy-kept" if left == 2 else "failed-changed-nothing"
        seen = f"after {tries} time-outs the client has {count(left, 'reference')}"
        return Miss(belief, seen, "1, as before", pair.mac)
    if said is not False:
        return Miss("last-copy-kept", f"deliver says {said!r}", "False", pair.mac)
    return None


def _dead_server(answer: Answer, _seed: int) -> Miss | None:
    pair = Pair(register=True)
    pair.s.mach_port_destroy(pair.port)
    try:
        said = answer["deliver"](pair.c, pair.to, b"word", 3, lambda: None)
    except MachError as error:
        if error.name != "MACH_SEND_INVALID_DEST":
            return Miss("dead-is-busy", said_by(error), "MACH_SEND_INVALID_DEST", pair.mac)
        left = refs_of(pair.c, pair.to, mach.MACH_PORT_RIGHT_DEAD_NAME)
        if left != 1:
            seen = f"the dead name has {count(left, 'reference')}"
            return Miss("gives-back-too-much", seen, "1, as before", pair.mac)
        return None
    seen = f"the server's port is dead, and deliver says {said!r}"
    return Miss("dead-is-busy", seen, "MachError, MACH_SEND_INVALID_DEST", pair.mac)


_Q2 = Question(
    "q10_2",
    "find and mend: a retry loop that leaks",
    ("deliver",),
    (
        Check(
            "the word arrives once, and the client has as many references as before", _room_comes
        ),
        Check("a queue that stays full is False, and leaves nothing", _no_room),
        Check("a dead port is an error, not a busy server", _dead_server),
    ),
    hidden=1,
)

# -- q10_3: a server loop ----------------------------------------------------------------------

KINDS = {"once": mach.MACH_MSG_TYPE_MAKE_SEND_ONCE, "send": mach.MACH_MSG_TYPE_MAKE_SEND}


def _word(message: Message | None) -> int | None:
    if message is None or len(message.body) != 4:
        return None
    return int.from_bytes(message.body, "little")


def serves(answer: Answer, kinds: list[str], seed: int) -> Miss | None:
    """Requests of these kinds wait: "once", "send" (rights to reply), "none", "silly"."""
    random, pair = Random(seed), Pair()
    before = pair.rights(pair.server)
    asked: list[tuple[str, int, int, int]] = []
    for kind in kinds:
        word, reply = random.randrange(1, 1000), new_port(pair.c)
        body = word.to_bytes(4, "little") * (2 if kind == "silly" else 1)
        more = {"ident": 1 + random.randrange(90)}
        if kind != "none":
            how = KINDS.get(kind, mach.MACH_MSG_TYPE_MAKE_SEND_ONCE)
            more |= {"reply": reply, "reply_how": how}
        send(pair.c, pair.to, mach.MACH_MSG_TYPE_COPY_SEND, body, **more)
        asked.append((kind, word, reply, more["ident"] + 100))
    try:
        said = answer["serve"](pair.s, pair.port)
    except MachError as error:
        belief = "nobody-to-reply-to" if "none" in kinds else "reply-right-is-copied"
        if "send" in kinds:
            belief = "every-right-is-once"
        expected = f"{len(kinds)} requests are served"
        return Miss(belief, said_by(error), expected, pair.mac)
    except SimDeadlock:
        seen = "the last request is served, and the server waits for another one"
        return Miss("waits-for-more", seen, "serve returns", pair.mac)
    for at, (kind, word, reply, ident) in enumerate(asked, 1):
        got = received(pair.c, reply)
        seen = f"request {at} of {len(asked)}"
        if kind in KINDS:
            if got is None:
                return Miss("one-is-all", f"{seen} is not answered", "a reply", pair.mac)
            if got.msgh_id == mach.MACH_NOTIFY_SEND_ONCE:
                seen += ": its right to reply was dropped"
                return Miss("reply-right-dropped", seen, f"a reply, {2 * word}", pair.mac)
            if _word(got) != 2 * word:
                seen += f" asks {word} and hears {_word(got)}"
                return Miss("reply-right-dropped", seen, f"{2 * word}", pair.mac)
            if got.msgh_id != ident:
                seen += f" has id {ident - 100}, and its reply {got.msgh_id}"
                return Miss("any-id-will-do", seen, f"{ident}", pair.mac)
        elif kind == "silly" and (got is None or got.msgh_id != mach.MACH_NOTIFY_SEND_ONCE):
            what = "its client waits for ever" if got is None else "it is answered"
            seen += f" has eight bytes, and {what}"
            return Miss("silly-right-kept", seen, "the right is dropped", pair.mac)
    left, replies = pair.rights(pair.server) - before, sum(kind in KINDS for kind in kinds)
    if left:
        seen = f"the server has {count(left, 'name')} more than before"
        return Miss("silly-right-kept", seen, "as many as before", pair.mac)
    if said != replies:
        return Miss("one-is-all", f"serve says {said!r}", f"{replies} replies", pair.mac)
    return None


def _serves_all(answer: Answer, seed: int) -> Miss | None:
    return serves(answer, ["once"] * (2 + seed % 4), seed)


def _serves_nobody(answer: Answer, seed: int) -> Miss | None:
    return serves(answer, ["none", "once"], seed)


def _serves_senders(answer: Answer, seed: int) -> Miss | None:
    return serves(answer, ["once", "send"], seed)


def _serves_silly(answer: Answer, seed: int) -> Miss | None:
    return serves(answer, ["silly", "once"], seed)


_Q3 = Question(
    "q10_3",
    "complete a server loop",
    ("serve",),
    (
        Check("every request that waits gets its reply", _serves_all, 5_000),
        Check("a message without a right to reply stops nothing", _serves_nobody, 5_000),
        Check("a right to reply may be a send right", _serves_senders, 5_000),
        Check("a request it cannot read is dropped, and its client told", _serves_silly, 5_000),
    ),
    hidden=1,
)

# -- q10_4: a client ---------------------------------------------------------------------------


def replying(pair: Pair, drop: bool) -> Callable[[App], None]:
    """A server that waits for one request, and replies with its body reversed or drops it."""

    def serve(app: App) -> None:
        m = app.mach
        got = m.mach_msg(None, mach.MACH_RCV_MSG, 4096, pair.port)
        app.time.sleep(1)
        if got.msgh_remote_port == mach.MACH_PORT_NULL:
            return
        if drop:
            m.mach_port_deallocate(got.msgh_remote_port)
            return
        how = got.msgh_bits & 0x1F
        m.mach_msg(
            Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, got.body[::-1]),
            mach.MACH_SEND_MSG,
        )

    return serve


def _asks(answer: Answer, seed: int, drop: bool) -> Miss | None:
    pair, body = Pair(), Random(seed).randbytes(4 * (1 + seed % 5))
    before, refs = pair.rights(pair.client), pair.refs()
    pair.server.run(replying(pair, drop))
    pair.mac.run()
    due = "ConnectionError" if drop else "the reply's body"
    try:
        said = answer["ask"](pair.c, pair.to, body)
    except MachError as error:
        beliefs = {
            "MACH_RCV_TIMED_OUT": "gives-up-too-early",
            "MACH_RCV_INVALID_NAME": "waits-at-a-send-right",
        }
        belief = beliefs.get(error.name, "deallocates-a-receive-right")
        return Miss(belief, said_by(error), due, pair.mac)
    except SimDeadlock:
        seen = "the server has dropped the request" if drop else "the server has read the request"
        belief = "replies-by-a-send-right" if drop else "no-right-to-reply"
        return Miss(belief, f"{seen}, and the client waits for ever", due, pair.mac)
    except ConnectionError:
        if not drop:
            seen = "the server replies, and ask raises ConnectionError"
            return Miss("gives-up-too-early", seen, due, pair.mac)
        said = None
    if (said is None) != drop or (said is not None and bytes(said) != body[::-1]):
        seen = "the server drops the request" if drop else "the server replies"
        seen += f", and ask says {said!r:.60}"
        return Miss("notice-is-a-reply", seen, due, pair.mac)
    if pair.rights(pair.client) != before or pair.refs() != refs:
        seen = f"the client has {count(pair.rights(pair.client), 'name')}"
        return Miss("port-left-behind", seen, f"{before}, as before", pair.mac)
    return None


def _hears(answer: Answer, seed: int) -> Miss | None:
    return _asks(answer, seed, drop=False)


def _is_dropped(answer: Answer, seed: int) -> Miss | None:
    return _asks(answer, seed, drop=True)


_Q4 = Question(
    "q10_4",
    "write a client with a reply port",
    ("ask",),
    (
        Check("it returns the reply, and leaves no name behind", _hears),
        Check("a request that is dropped is a ConnectionError, and leaves no name", _is_dropped),
    ),
    hidden=1,
)

# -- q10_5: a session --------------------------------------------------------------------------


class Request(Pair):
    """A pair, and a request of the client that waits for its session."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = new_port(self.c)
        once = mach.MACH_MSG_TYPE_MAKE_SEND_ONCE
        send(self.c, self.to, mach.MACH_MSG_TYPE_COPY_SEND, reply=self.reply, reply_how=once)
        found = received(self.s, self.port)
        assert found is not None
        self.request: Message = found
        self.told = new_port(self.s)


def _granted(answer: Answer) -> tuple[Request, int, int, Miss | None]:
    """The pair, the session's name in the server and in the client, what went wrong."""
    pair = Request()
    try:
        session = answer["grant"](pair.s, pair.request, pair.told)
    except MachError as error:
        belief = "bits-overwritten" if error.call == "mach_msg" else "server-wants-a-dead-name"
        return pair, 0, 0, Miss(belief, said_by(error), "the session is granted", pair.mac)
    got = received(pair.c, pair.reply)
    rights = got.rights if got is not None else []
    if len(rights) != 1:
        size = len(got.body) if got is not None else 0
        seen = f"the client receives {count(len(rights), 'right')}, and {size} bytes of body"
        return pair, session, 0, Miss("complex-forgotten", seen, "one right", pair.mac)
    return pair, session, rights[0].name, None


def _watches(answer: Answer, seed: int) -> Miss | None:
    pair, session, theirs, miss = _granted(answer)
    if miss is not None:
        return miss
    if (early := received(pair.s, pair.told)) is not None:
        seen = f"the client has its session, and message {early.msgh_id} is at told"
        return Miss("sync-of-zero", seen, "nothing yet", pair.mac)
    word = Random(seed).randbytes(4)
    send(pair.c, theirs, mach.MACH_MSG_TYPE_COPY_SEND, word)
    got = received(pair.s, session)
    if got is None or got.body != word:
        seen = "the client sends to its session, and nothing is at the port grant returned"
        return Miss("complex-forgotten", seen, "the message", pair.mac)
    if seed % 2:
        pair.client.exit()
    else:
        pair.c.mach_port_deallocate(theirs)
    notice = received(pair.s, pair.told)
    if notice is None:
        if pair.s.mach_port_get_attributes(session).mps_srights:
            belief = "own-right-kept"
        else:
            belief = "server-wants-a-dead-name"
        return Miss(belief, "the client has gone, and nothing is at told", "a notice", pair.mac)
    if notice.msgh_id != mach.MACH_NOTIFY_NO_SENDERS:
        seen = f"message {notice.msgh_id} is at told"
        due = f"{mach.MACH_NOTIFY_NO_SENDERS}, no senders"
        return Miss("server-wants-a-dead-name", seen, due, pair.mac)
    return None


_Q5 = Question(
    "q10_5",
    "find and mend: a session",
    ("grant",),
    (Check("the client gets its session; the server is told when it goes, no earlier", _watches),),
    hidden=1,
)

# -- q10_6: put it in order --------------------------------------------------------------------

LINES = {
    "A": "notice = m.mach_msg(None, m.MACH_RCV_MSG, 4096, told)",
    "B": "m.mach_port_deallocate(told)",
    "C": "refs = m.mach_port_get_refs(to, m.MACH_PORT_RIGHT_DEAD_NAME)",
    "D": "told = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)",
    "E": "m.mach_port_deallocate(to)",
    "F": "m.mach_port_mod_refs(told, m.MACH_PORT_RIGHT_RECEIVE, -1)",
    "G": "m.mach_port_request_notification(to, m.MACH_NOTIFY_DEAD_NAME, 0, told)",
    "H": "m.mach_port_mod_refs(to, m.MACH_PORT_RIGHT_DEAD_NAME, -refs)",
}
"""The lines of q10_6."""


def _mourns(answer: Answer, seed: int) -> Miss | None:
    """The server dies while the client waits for it."""
    order = letters(answer["order"])
    pair = Pair(register=True)
    before = pair.rights(pair.client) - 1
    pair.c.mach_port_mod_refs(pair.to, mach.MACH_PORT_RIGHT_SEND, seed % 3)

    def dies(app: App) -> None:
        app.time.sleep(1)
        app.mach.mach_port_destroy(pair.port)

    pair.server.run(dies)
    due = "the notice came, and no name is left"
    try:
        scope = assembled(LINES, order, {"m": pair.c, "to": pair.to})
    except SimDeadlock:
        return Miss("nobody-asked", "the client waits for ever", due, pair.mac)
    except NameError as error:
        belief = "counted-too-early" if error.name == "refs" else "nobody-asked"
        return Miss(belief, f"{error}", due, pair.mac)
    except MachError as error:
        if error.call == "mach_port_deallocate":
            return Miss("deallocates-a-receive-right", said_by(error), due, pair.mac)
        return Miss("counted-too-early", said_by(error), due, pair.mac)
    left = pair.rights(pair.client) - before
    if left or "notice" not in scope:
        dead = refs_of(pair.c, pair.to, mach.MACH_PORT_RIGHT_DEAD_NAME)
        if "notice" not in scope:
            belief = "nobody-asked"
        elif not dead:
            belief = "port-left-behind"
        elif "E" in order:
            belief = "dead-is-one-reference"
        else:
            belief = "counted-too-early"
        seen = f"left behind: {count(left, 'name')}, {count(dead, 'reference')} to a dead one"
        return Miss(belief, seen, due, pair.mac)
    return None


_Q6 = Question(
    "q10_6",
    "put the end of a server in order",
    ("order",),
    (Check("the client hears of the server's death, and leaves nothing behind", _mourns, 2_000),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
