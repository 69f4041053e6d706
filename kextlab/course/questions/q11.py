"""Exercise 11, shared memory: what is seen, handing a page out, sizes, torn readings, a broker."""

from __future__ import annotations

from kextlab.abi import mach
from kextlab.abi.mach_messages import PortDescriptor
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import App, Kernel, assembled, letters
from kextlab.course.questions.pair import SERVICE, Pair, count, new_port, received, said_by, send
from kextlab.course.questions.q11_broker import BROKER
from kextlab.course.questions.q11_torn import PUBLISH, READ
from kextlab.osfmk.vm_fault import VmFault
from kextlab.sched.stop import SimDeadlock
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError

PAGE = 0x4000
BOTH = mach.VM_PROT_READ | mach.VM_PROT_WRITE


class Asked(Pair):
    """A server with a client's request for memory."""

    def __init__(self) -> None:
        super().__init__()
        self.ask()

    def ask(self) -> None:
        """A request, received by the server."""
        self.reply = new_port(self.c)
        once = mach.MACH_MSG_TYPE_MAKE_SEND_ONCE
        send(self.c, self.to, mach.MACH_MSG_TYPE_COPY_SEND, reply=self.reply, reply_how=once)
        found = received(self.s, self.port)
        assert found is not None
        self.request: Message = found

    def carry(self, name: int) -> int:
        """A right of the server's goes to the client as well: its name there."""
        bits = mach.MACH_MSG_TYPE_MOVE_SEND_ONCE | mach.MACH_MSGH_BITS_COMPLEX
        right = [PortDescriptor(name, mach.MACH_MSG_TYPE_COPY_SEND)]
        to = self.request.msgh_remote_port
        self.s.mach_msg(Message(bits, to, 0, 101, descriptors=right), mach.MACH_SEND_MSG)
        got = received(self.c, self.reply)
        assert got is not None
        return got.rights[0].name


def mapped(app: App, name: int, size: int = PAGE, copy: bool = False) -> int:
    """Map a memory entry to read and to write."""
    address: int = app.mach.mach_vm_map(
        0, size, 0, mach.VM_FLAGS_ANYWHERE, name, 0, copy, BOTH, BOTH, mach.VM_INHERIT_NONE
    )
    return address


# -- q11_1: predict what is seen ---------------------------------------------------------------


def loads() -> tuple[str, Kernel]:
    """What the five loads of the question answer, and the machine."""
    pair = Asked()
    s, c = pair.s, pair.c
    page, said = s.mach_vm_allocate(PAGE), []
    s.store(page, b"A")
    _, entry = s.mach_make_memory_entry_64(PAGE, page, BOTH)
    name = pair.carry(entry)
    shared, copy = mapped(pair.client, name), mapped(pair.client, name, copy=True)
    s.store(page, b"B")
    said += [c.load(shared, 1), c.load(copy, 1)]
    c.store(copy, b"X")
    said.append(s.load(page, 1))
    c.mach_port_deallocate(name)
    s.mach_port_deallocate(entry)
    s.store(page, b"D")
    said.append(c.load(shared, 1))
    pair.server.exit()
    said.append(c.load(shared, 1))
    return b"".join(said).decode(), pair.mac


BELIEFS = (
    "sharing-needs-a-message",
    "copy-follows",
    "copy-writes-through",
    "right-holds-the-mapping",
    "page-dies-with-its-server",
)


def _seen(answer: Answer, _seed: int) -> Miss | None:
    due, mac = loads()
    found = (one.decode() if isinstance(one, bytes) else str(one) for one in answer["loads"])
    said = "".join(found).replace(" ", "").upper()
    if said == due:
        return None
    wrong = next((at for at in range(len(due)) if said[at : at + 1] != due[at]), len(due) - 1)
    expected = f"{len(due)} letters, another one in place {wrong + 1}"
    return Miss(BELIEFS[wrong], f"you predict {said}", expected, mac)


_Q1 = Question(
    "q11_1",
    "predict what five loads answer",
    ("loads",),
    (Check("these are the letters the five loads find", _seen),),
)

# -- q11_2: find and mend ----------------------------------------------------------------------


def offers(answer: Answer, word: bytes) -> Miss | None:
    """A server hands a page out, and the client uses it."""
    pair = Asked()
    before = pair.rights(pair.server) - 1  # the right to reply goes with the reply
    due = "the client has a page both can write"
    try:
        page = answer["offer"](pair.s, pair.request)
    except MachError as error:
        return Miss("gives-back-too-much", said_by(error), due, pair.mac)
    if not isinstance(page, int):
        seen = f"offer returns {page!r:.40}"
        return Miss("memory-given-up", seen, "the address of the page", pair.mac)
    got = received(pair.c, pair.reply)
    rights = got.rights if got is not None else []
    if len(rights) != 1:
        size = len(got.body) if got is not None else 0
        seen = f"the client receives {count(len(rights), 'right')}, and {size} bytes of body"
        return Miss("bits-overwritten", seen, "one right", pair.mac)
    try:
        window = mapped(pair.client, rights[0].name)
    except MachError as error:
        return Miss("and-for-or", f"the client maps it to read and write: {said_by(error)}",
                    "it may", pair.mac)  # fmt: skip
    try:
        pair.c.store(window, word)
        seen_there = pair.s.load(page, len(word))
    except VmFault as fault:
        seen = f"the server's load ends in {fault.signal}"
        return Miss("memory-given-up", seen, due, pair.mac)
    if seen_there != word:
        seen = f"the client stores {word!r}, and the server loads {seen_there!r}"
        return Miss("memory-given-up", seen, due, pair.mac)
    left = pair.rights(pair.server) - before
    if left:
        seen = f"the server has {count(left, 'name')} more than before"
        return Miss("entry-kept", seen, "as many as before", pair.mac)
    return None


def _offers(answer: Answer, seed: int) -> Miss | None:
    return offers(answer, bytes([65 + seed % 26]) * 4)


_Q2 = Question(
    "q11_2",
    "find and mend: a server that hands a page out",
    ("offer",),
    (Check("the client has the page, and the server no more names", _offers),),
    hidden=1,
)

# -- q11_3: the size that comes back -----------------------------------------------------------


def covers(answer: Answer, pieces: list[int]) -> Miss | None:
    """A range made of objects of so many pages each."""
    pair = Asked()
    start = 0
    for pages in pieces:
        page = pair.s.mach_vm_allocate(pages * PAGE)
        start = start or page
        pair.s.mach_make_memory_entry_64(
            pages * PAGE, page, BOTH
        )  # so that it is an object of its own
    size = sum(pieces) * PAGE
    for at in range(0, size, PAGE):
        pair.s.store(start + at, bytes([at // PAGE + 1]))
    found = [(int(name), int(length)) for name, length in answer["entries"](pair.s, start, size)]
    total = sum(length for _, length in found)
    if total < size:
        seen = f"the entries stand for {total:,} bytes"
        return Miss("rest-forgotten", seen, f"{size:,}", pair.mac)
    at = 0
    for name, length in found:
        theirs = pair.carry(name)
        pair.ask()
        try:
            window = mapped(pair.client, theirs, length)
        except MachError as error:
            seen = f"the client maps {length:,} bytes of an entry to read and write: "
            short = error.code == mach.KERN_INVALID_ARGUMENT
            belief = "size-not-looked-at" if short else "only-reads"
            return Miss(belief, seen + said_by(error), "it may", pair.mac)
        for page in range(0, length, PAGE):
            number = pair.c.load(window + page, 1)[0]
            if number != at // PAGE + 1:
                seen = f"page {at // PAGE + 1} of the range is page {number} in the entries"
                return Miss("same-piece-again", seen, "all pages, in order", pair.mac)
            at += PAGE
    return None


def _covers(answer: Answer, seed: int) -> Miss | None:
    return covers(answer, [1 + seed % 3, 2, 1][: 2 + seed % 2])


def _one(answer: Answer, seed: int) -> Miss | None:
    return covers(answer, [1 + seed % 4])


_Q3 = Question(
    "q11_3",
    "complete: entries for a whole range",
    ("entries",),
    (
        Check("a range of several objects is covered, page by page", _covers),
        Check("a range that is one object is covered", _one),
    ),
    hidden=1,
)

# -- q11_6: put it in order --------------------------------------------------------------------

LINES = {
    "A": f'port = m.bootstrap_check_in("{SERVICE}")',
    "B": f'port = m.bootstrap_create_service("{SERVICE}")',
    "C": "address = m.mach_vm_allocate(PAGE)",
    "D": "size, entry = m.mach_make_memory_entry_64(\n"
    "    PAGE, address, m.VM_PROT_READ | m.VM_PROT_WRITE)",
    "E": "size, entry = m.mach_make_memory_entry_64(\n"
    "    PAGE, address, m.VM_PROT_READ & m.VM_PROT_WRITE)",
    "F": "to = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port).msgh_remote_port",
    "G": "m.mach_msg(Message(m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX, to,\n"
    "    descriptors=[PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND)]), m.MACH_SEND_MSG)",
    "H": "m.mach_port_deallocate(entry)",
    "I": "m.mach_vm_deallocate(address, PAGE)",
}
"""The lines of q11_6."""


def _serves(answer: Answer, seed: int) -> Miss | None:
    """The client asks while the server waits."""
    order, word = letters(answer["order"]), bytes([97 + seed % 26]) * 8
    mac = Kernel()
    server, client = mac.spawn("server", uid=0), mac.spawn("client")
    m = server.mach
    got: list[int] = []

    def asks(app: App) -> None:
        c = app.mach
        reply = new_port(c)
        once = mach.MACH_MSG_TYPE_MAKE_SEND_ONCE
        to = c.bootstrap_look_up(SERVICE)
        send(c, to, mach.MACH_MSG_TYPE_COPY_SEND, reply=reply, reply_how=once)
        told = c.mach_msg(None, mach.MACH_RCV_MSG, 4096, reply)
        if told.rights:
            got.append(told.rights[0].name)

    due = "the client gets a page both can write"
    started = False

    def first_receive(*args: object) -> Message:
        nonlocal started
        if not started and args[0] is None:
            started = True
            client.run(asks)
        found: Message = m.mach_msg(*args)
        return found

    names = {"PAGE": PAGE, "Message": Message, "PortDescriptor": PortDescriptor}
    try:
        scope = assembled(LINES, order, {**names, "m": Starting(m, first_receive)})
        mac.run()
        window = mapped(client, got[0])
    except NameError as error:
        return Miss("given-back-first", f"{error}", due, mac)
    except (IndexError, SimDeadlock):
        return Miss("given-back-first", "the client receives no right", due, mac)
    except MachError as error:
        beliefs = {
            "MACH_RCV_INVALID_NAME": "create-is-check-in",
            "KERN_INVALID_RIGHT": "and-for-or",
        }
        return Miss(beliefs.get(error.name, "given-back-first"), said_by(error), due, mac)
    client.mach.store(window, word)
    try:
        seen = m.load(scope["address"], 8)
    except VmFault as fault:
        return Miss("memory-given-up", f"the server's load ends in {fault.signal}", due, mac)
    if seen != word:
        return Miss("memory-given-up", f"the server loads {seen!r}", f"{word!r}", mac)
    if "SEND" in m.type_names(m.mach_port_type(scope["port"])):
        seen_right = "the server has a send right to its own service"
        return Miss("created-and-checked-in", seen_right, "the receive right alone", mac)
    try:
        m.mach_port_type(scope["entry"])
    except MachError:
        return None
    return Miss("entry-kept", "the server still has the entry's right", "no such name", mac)


class Starting:
    """A process's Mach calls, whose mach_msg is another."""

    def __init__(self, m: object, mach_msg: object) -> None:
        self._m = m
        self.mach_msg = mach_msg

    def __getattr__(self, name: str) -> object:
        return getattr(self._m, name)


_Q6 = Question(
    "q11_6",
    "put a server in order",
    ("order",),
    (Check("the client gets the page; the server keeps the page and the port alone", _serves),),
)

QUESTIONS = (_Q1, _Q2, _Q3, READ, PUBLISH, _Q6, BROKER)
