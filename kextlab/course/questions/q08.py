"""Exercise 8, kernel events: filters, vendor codes, the header, the limit, what is lost."""

from __future__ import annotations

from random import Random

from kextlab.abi.constants import KEV_ANY_CLASS, KEV_MSG_HEADER_SIZE, MLEN, SYSPROTO_EVENT
from kextlab.abi.errno import ENOENT
from kextlab.abi.ioctl import SIOCSKEVFILT
from kextlab.abi.structs import KernEventMsg, KevRequest
from kextlab.course.budget import BudgetSpent
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import App, EchoKext, Kernel, Socket, asked
from kextlab.kexts import KevMsg, Kext, Out
from kextlab.trace.codes import GROUP, KPI, RETURN

MOST = MLEN - KEV_MSG_HEADER_SIZE
"""The largest data of an event."""


class Poster(Kext):
    """Posts what it is told."""

    bundle_id = "org.kextlab.weather"

    def __init__(self) -> None:
        self.vendor = Out()

    def start(self) -> int:
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self) -> int:
        return 0

    def post(self, kev_class: int, subclass: int, data: bytes) -> int:
        msg = KevMsg(self.vendor.value, kev_class, subclass, 1, (data,))
        return self.kpi.kev_msg_post(msg)


class Tides(Poster):
    """The other vendor."""

    bundle_id = "org.kextlab.tides"


def two_kexts(tides_first: bool = False) -> tuple[Kernel, App, tuple[Poster, Poster]]:
    """A fresh Mac, a process, and the kexts weather and tides, without a control."""
    mac = Kernel()
    tides = mac.load(Tides) if tides_first else None
    weather = mac.load(Poster)
    return mac, mac.spawn("client"), (weather, tides or mac.load(Tides))


def listener(app: App, vendor: int = 0, kev_class: int = 0, subclass: int = 0) -> Socket:
    """An event socket with a filter; it never waits."""
    s = event_socket(app)
    app.fcntl.ioctl(s, SIOCSKEVFILT, KevRequest(vendor, kev_class, subclass).pack())
    s.setblocking(False)
    return s


def event_socket(app: App) -> Socket:
    """An event socket without a filter."""
    module = app.socket
    return module.socket(module.PF_SYSTEM, module.SOCK_RAW, SYSPROTO_EVENT)


def heard(s: Socket) -> list[KernEventMsg]:
    """All events that wait at a socket."""
    s.setblocking(False)
    events = []
    while True:
        try:
            events.append(KernEventMsg.unpack(s.recv(1024)))
        except BlockingIOError:
            return events


# -- q08_1: predict the ids --------------------------------------------------------------------


def _ids(answer: Answer, _seed: int) -> Miss | None:
    mac, app, (weather, tides) = two_kexts()
    mine, everybody = listener(app, weather.vendor.value, KEV_ANY_CLASS, 3), listener(app)
    weather.post(1, 3, bytes(10))
    tides.post(1, 3, bytes(10))
    weather.post(1, 3, bytes(MOST + 1))
    weather.post(2, 5, bytes(10))
    mac.load(EchoKext)
    weather.post(2, 3, bytes(10))
    due = [event.id for event in heard(mine)]
    count = len(heard(everybody))
    said = list(answer["ids"])
    if said == due:
        return None
    if len(said) < len(due):
        belief = "subclass-is-compared"
    elif len(said) > len(due):
        numbers = [ident for ident in said if isinstance(ident, int)]
        too_many = max(numbers, default=0) > count
        belief = "too-long-is-cut" if too_many else "others-are-heard"
    elif said[-1] == len(due):
        belief = "ids-per-vendor"
    elif said[-1] > count:
        belief = "refused-uses-an-id"
    else:
        belief = "control-posts-nothing"
    return Miss(belief, f"you predict {said}", f"another list, of {len(due)} ids", mac)


_Q1 = Question(
    "q08_1",
    "predict the ids",
    ("ids",),
    (Check("these are the ids of the events the program reads", _ids),),
)

# -- q08_2: events filtered on any -------------------------------------------------------------


def _hears(answer: Answer, seed: int) -> Miss | None:
    """Its own events arrive, whatever code the vendor has."""
    for tides_first in (False, True):
        mac, app, (weather, _) = two_kexts(tides_first)
        s = answer["listen"](app, weather.bundle_id)
        data = Random(seed).randbytes(4)
        weather.post(1, 1, data)
        got = [event.event_data for event in heard(s)]
        if got != [data]:
            belief = "vendor-written-down" if tides_first else "fresh-socket-hears"
            seen = f"{weather.bundle_id} has code {weather.vendor.value}, and is not heard"
            return Miss(belief, seen, "one event is heard", mac)
    return None


def _no_other(answer: Answer, seed: int) -> Miss | None:
    """Neither another vendor's events nor the kernel's own, nor other classes."""
    mac, app, (weather, tides) = two_kexts(seed % 2 == 0)
    s = answer["listen"](app, weather.bundle_id)
    mac.load(EchoKext)
    if got := heard(s):
        seen = f"a control is registered, and it hears an event of vendor {got[0].vendor_code}"
        return Miss("filtered-on-any", seen, "it hears nothing", mac)
    tides.post(1, 1, b"high")
    if got := heard(s):
        belief = "vendor-written-down" if seed % 2 == 0 else "filtered-on-any"
        seen = f"vendor {tides.vendor.value} posts, and it takes the event for its own"
        return Miss(belief, seen, f"events of vendor {weather.vendor.value} alone", mac)
    for kev_class, subclass in ((1, 2), (2, 1)):
        weather.post(kev_class, subclass, b"wind")
        if heard(s):
            seen = f"it hears class {kev_class}, subclass {subclass}"
            return Miss("vendor-alone", seen, "class 1, subclass 1 alone", mac)
    return None


def _no_vendor(answer: Answer, _seed: int) -> Miss | None:
    app = (mac := Kernel()).spawn("client")
    said = asked(lambda: answer["listen"](app, "org.kextlab.nobody"))
    due = f"ENOENT ({ENOENT})"
    if said != due:
        return Miss("unknown-is-any", f"nobody has that name; listen says {said}", due, mac)
    if app.files.open:
        seen = f"listen ends with {due}, and its socket is open"
        return Miss("open-after-refusal", seen, "it is closed", mac)
    return None


_Q2 = Question(
    "q08_2",
    "find and mend: events filtered on any",
    ("listen",),
    (
        Check("it hears no other vendor, no other class and no other subclass", _no_other),
        Check("it hears its own events, whatever code the vendor has today", _hears),
        Check("an unknown vendor is an OSError, and leaves nothing open", _no_vendor),
    ),
    hidden=1,
)

# -- q08_3: decode -----------------------------------------------------------------------------


def _read(seed: int, room: int = 1024) -> tuple[Kernel, bytes, int, KernEventMsg]:
    """A buffer with an event in front of older bytes; how many were read; the event."""
    random = Random(seed)
    mac, app, (weather, _) = two_kexts()
    s, whole = listener(app, weather.vendor.value), listener(app)
    weather.post(random.randrange(1, 9), random.randrange(1, 9), random.randbytes(5 + seed % 90))
    got = s.recv(room)
    return mac, got + b"\xee" * (1024 - len(got)), len(got), heard(whole)[0]


def _decodes(answer: Answer, seed: int) -> Miss | None:
    mac, buffer, n, event = _read(seed)
    said = answer["decode"](buffer, n)
    fields = (event.vendor_code, event.kev_class, event.kev_subclass, event.id, event.event_code)
    if not isinstance(said, tuple | list) or len(said) != len(fields) + 1:
        return Miss("header-forgotten", f"it returns {said!r}", "five numbers and data", mac)
    *numbers, data = said
    if tuple(numbers) != fields:
        return Miss("network-order", f"the numbers are {tuple(numbers)}", f"{fields}", mac)
    if bytes(data) != event.event_data:
        belief = "header-forgotten" if len(data) > len(event.event_data) else "header-of-28"
        seen = f"the data has {len(data)} bytes"
        return Miss(belief, seen, f"{len(event.event_data)} of the {n} bytes read", mac)
    return None


def _notices_a_cut(answer: Answer, seed: int) -> Miss | None:
    for room in (25 + seed % 4, 8):
        mac, buffer, n, event = _read(seed, room)
        try:
            said = answer["decode"](buffer, n)
        except ValueError:
            continue
        seen = f"{n} of {event.total_size} bytes were read, and it returns {said!r}"
        return Miss("cut-is-whole", seen, "ValueError", mac)
    return None


_Q3 = Question(
    "q08_3",
    "complete decode",
    ("decode",),
    (
        Check("header and data are decoded, and nothing of what stands behind them", _decodes),
        Check("an event that was cut is a ValueError", _notices_a_cut),
    ),
    hidden=1,
)

# -- q08_4: a kext that posts ------------------------------------------------------------------


def _announces(answer: Answer, sizes: list[int], seed: int) -> Miss | None:
    mac, app, (weather, _) = two_kexts()
    kext = mac.load(answer["Bulletin"])
    code = Out()
    weather.kpi.kev_vendor_code_find("org.kextlab.bulletin", code)
    every = listener(app)
    for size in sizes:
        text = Random(seed + size).randbytes(size)
        said = kext.announce(text)
        got = heard(every)
        wrong = [event for event in got if event.vendor_code != code.value]
        if wrong:
            seen = f"it posts as vendor {wrong[0].vendor_code}, another kext"
            return Miss("vendor-written-down", seen, f"its own code, {code.value}", mac)
        least = -(-size // MOST)
        seen = f"{size} bytes: it answers {said!r}, and {len(got)} events are heard"
        expected = f"0, and {least} events with the whole text"
        if not got and size <= MOST:
            return Miss("posts-as-apple", seen, expected, mac)
        if b"".join(event.event_data for event in got) != text or said != 0:
            belief = "header-is-free" if size > 2 * MLEN else "too-long-is-cut"
            return Miss(_long_belief(mac, belief), seen, expected, mac)
        if len(got) != least:
            return Miss("too-many-events", seen, expected, mac)
        kinds = {(event.kev_class, event.kev_subclass, event.event_code) for event in got}
        if kinds != {(1, 2, 3)}:
            return Miss("posts-as-apple", f"class, subclass, code: {kinds}", "(1, 2, 3)", mac)
    return None


def _long_belief(mac: Kernel, otherwise: str) -> str:
    """What is believed by a kext whose post was too large: how large was it?"""
    posts = [e for e in mac.trace.entries() if e[0] == KPI and e[2] == "kev_msg_post"]
    vectors = posts[-1][-1] if posts else ()
    size = sum(len(vector) for vector in vectors) if isinstance(vectors, tuple) else 0
    return "header-is-free" if MOST < size <= MLEN else "too-long-is-cut" if size else otherwise


def _short_texts(answer: Answer, seed: int) -> Miss | None:
    return _announces(answer, [1, Random(seed).randrange(2, MOST), MOST], seed)


def _long_texts(answer: Answer, seed: int) -> Miss | None:
    return _announces(answer, [2 * MLEN + Random(seed).randrange(1000), 3 * MOST], seed)


_Q4 = Question(
    "q08_4",
    "write a kext that posts events",
    ("Bulletin",),
    (
        Check("a text that fits is one event, of its own vendor", _short_texts),
        Check("a longer text arrives whole, in as few events as possible", _long_texts),
    ),
    hidden=1,
)

# -- q08_5: notice a loss ----------------------------------------------------------------------


def _counts(answer: Answer, seed: int) -> Miss | None:
    """Nothing is lost; two vendors post, and have posted before."""
    random = Random(seed)
    mac, app, posters = two_kexts()
    for _ in range(random.randrange(2, 6)):
        posters[0].post(1, 1, b"before")
    monitor = answer["Monitor"](app)
    for vendors, belief in ((1, "ids-start-with-me"), (2, "ids-per-vendor")):
        count = random.randrange(4, 9)
        for at in range(count):
            posters[at % vendors].post(1, 1, b"now")
        read, lost = monitor.collect()
        if (read, lost) != (count, 0):
            seen = f"{vendors} kexts posted; collect says {read} read, {lost} lost"
            return Miss(belief, seen, f"{count} read, and none lost", mac)
    return None


def dropped(mac: Kernel) -> int:
    """How many copies full event sockets have lost so far."""
    return int(str(mac.sysctl("kevt.stats")[0]["fullsock"]))


def _notices(answer: Answer, seed: int) -> Miss | None:
    random = Random(seed)
    mac, app, posters = two_kexts()
    monitor = answer["Monitor"](app)
    monitor.s.setsockopt(app.socket.SOL_SOCKET, app.socket.SO_RCVBUF, 300)
    for last in (False, True):
        before = dropped(mac)
        count = random.randrange(4, 9)
        for at in range(count):
            posters[at % 2].post(1, 1, bytes(100))
        gone = dropped(mac) - before
        try:
            read, lost = monitor.collect()
        except BudgetSpent:
            return Miss("loss-is-reported", "collect never ends", "it never waits", mac)
        if not last and lost == 0:  # is the gap seen when another event comes?
            posters[0].post(1, 1, b"after")
            belief = "last-gap-is-seen" if sum(monitor.collect()) > 1 else "loss-is-reported"
            seen = f"{count} were posted; collect says {read} read, {lost} lost"
            return Miss(belief, seen, f"{count - gone} read, {gone} lost", mac)
        if (read, lost) != (count - gone, gone):
            seen = f"collect says {read} read, {lost} lost"
            expected = f"{count - gone} read, {gone} lost"
            return Miss("last-gap-is-seen", seen, expected, mac)
    return None


_Q5 = Question(
    "q08_5",
    "write a client that notices a loss",
    ("Monitor",),
    (
        Check("while nothing is lost, it says so", _counts),
        Check("what a full socket lost is counted, the last ones too", _notices),
    ),
    hidden=1,
)

# -- q08_6: Parsons: an event on its way -------------------------------------------------------

# The lines are those of the exercise: A the older socket, B the younger, D the control is on the
# list, E ctl_register returns, F the id; C, the third socket, does not happen.
FALSE = "C"


def order_of_an_event() -> tuple[str, Kernel]:
    """The lines in the order in which they happen in the trace, and the machine."""
    mac = Kernel()
    app = mac.spawn("client")
    listener(app)
    listener(app)
    event_socket(app)
    start = len(mac.trace)
    mac.load(EchoKext)
    happened: dict[str, int] = {}
    for step, entry in enumerate(mac.trace.entries(start)):
        if entry[0] == GROUP and "controls" in entry:
            happened["D"] = step
        elif "last_event_id" in entry:
            happened["F"] = step
        elif "so_rcv:1" in entry:
            happened["A"] = step
        elif "so_rcv:2" in entry:
            happened["B"] = step
        elif "so_rcv:3" in entry:
            happened["C"] = step
        elif entry[0] == RETURN and "E" not in happened:
            happened["E"] = step  # the first return is that of ctl_register
    return "".join(sorted(happened, key=lambda line: happened[line])), mac


def _in_order(answer: Answer, _seed: int) -> Miss | None:
    due, mac = order_of_an_event()
    said = "".join(c for c in str(answer["order"]).upper() if c.isalpha())
    if said == due:
        return None
    at = {line: said.find(line) for line in "ABCDEF"}
    if FALSE in said:
        belief = "fresh-socket-hears"
    elif at["E"] < max(at["A"], at["B"]):
        belief = "posted-later"
    elif at["D"] > at["F"]:
        belief = "announced-first"
    elif at["F"] > min(at["A"], at["B"]):
        belief = "id-when-queued"
    else:
        belief = "oldest-first"
    seen, expected = f"you say {said or 'nothing'}", f"{len(due)} of the six lines, in order"
    return Miss(belief, seen, expected, mac)


_Q6 = Question(
    "q08_6",
    "put an event in order",
    ("order",),
    (Check("the lines stand in the order in which they happen", _in_order),),
)

QUESTIONS = (_Q1, _Q2, _Q3, _Q4, _Q5, _Q6)
