# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise 8 · Kernel events
#
# Six questions about lesson [8 · Kernel events](../notebooks/08-kernel-events.ipynb). Run the next cell
# first. Each question has one cell for your answer; keep its first line, the checker finds the cell by
# it. The cell below it checks what you ran last, at once, and as often as you like. Nothing you do here
# can break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/08-kernel-events.ipynb`.

# %% tags=["setup"]
# setup
from kextlab.abi.constants import (
    KEV_ANY_CLASS,
    KEV_ANY_SUBCLASS,
    KEV_ANY_VENDOR,
    KEV_MSG_HEADER_SIZE,
    SYSPROTO_EVENT,
)
from kextlab.abi.ioctl import SIOCGKEVID, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.structs import KernEventMsg, KevRequest, KevVendorCode
from kextlab.course import check
from kextlab.kexts import KevMsg, Kext, Out


def event_socket(app):
    """A new event socket of a process."""
    module = app.socket
    return module.socket(module.PF_SYSTEM, module.SOCK_RAW, SYSPROTO_EVENT)


def set_filter(app, s, vendor, kev_class=KEV_ANY_CLASS, subclass=KEV_ANY_SUBCLASS):
    """Let these events through from now on."""
    app.fcntl.ioctl(s, SIOCSKEVFILT, KevRequest(vendor, kev_class, subclass).pack())


def readable(app, s):
    """Whether an event waits."""
    return bool(app.select.select([s], [], [], 0)[0])


# %% [markdown]
# ## Question 1: predict
#
# A fresh Mac. Two kexts are loaded that register no control: the weather kext, then the tides kext. A
# program makes an event socket and sets the filter (the weather's vendor code, class *any*,
# subclass 3). Nothing was posted so far. Then, in this order:
#
# 1. the weather kext posts class 1, subclass 3, ten bytes of data,
# 2. the tides kext posts class 1, subclass 3, ten bytes,
# 3. the weather kext posts class 1, subclass 3, 201 bytes,
# 4. the weather kext posts class 2, subclass 5, ten bytes,
# 5. the echo kext registers its control,
# 6. the weather kext posts class 2, subclass 3, ten bytes.
#
# The program reads everything that waits. Which **ids** do the events have that it reads? Fill in the
# list.

# %% tags=["starter", "q08_1"]
# q08_1
ids = ...

# %% tags=["reference", "q08_1"]
# q08_1
ids = [1, 3, 5]

# %% tags=["other", "q08_1"]
# q08_1
ids, last = (), 0
for mine, fits in ((1, 1), (0, 1), (1, 0), (1, 1), (0, 1), (1, 1)):
    last += fits
    if mine and fits:
        ids += (last,)

# %% tags=["other", "q08_1"]
# q08_1
from kextlab import Kernel
from kextlab.kexts import EchoKext


class Poster(Kext):
    bundle_id = "org.kextlab.weather"

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def post(self, kev_class, subclass, n):
        msg = KevMsg(self.vendor.value, kev_class, subclass, 1, (bytes(n),))
        return self.kpi.kev_msg_post(msg)


class Another(Poster):
    bundle_id = "org.kextlab.tides"


mac = Kernel()
weather, tides = mac.load(Poster), mac.load(Another)
app = mac.spawn("me")
s = event_socket(app)
set_filter(app, s, weather.vendor.value, KEV_ANY_CLASS, 3)
weather.post(1, 3, 10)
tides.post(1, 3, 10)
weather.post(1, 3, 201)
weather.post(2, 5, 10)
mac.load(EchoKext)
weather.post(2, 3, 10)
ids = []
while readable(app, s):
    ids.append(KernEventMsg.unpack(s.recv(1024)).id)

# %% tags=["mutant", "q08_1", "subclass-is-compared"]
# q08_1
ids = [1, 5]

# %% tags=["mutant", "q08_1", "refused-uses-an-id"]
# q08_1
ids = [1, 4, 6]

# %% tags=["mutant", "q08_1", "ids-per-vendor"]
# q08_1
ids = [1, 2, 3]

# %% tags=["mutant", "q08_1", "too-long-is-cut"]
# q08_1
ids = [1, 3, 4, 6]

# %% tags=["mutant", "q08_1", "others-are-heard"]
# q08_1
ids = [1, 2, 3, 4, 5]

# %% tags=["mutant", "q08_1", "control-posts-nothing"]
# q08_1
ids = [1, 3, 4]

# %% [markdown]
# ## Question 2: find and mend
#
# `listen(app, name)` gives a socket that hears the temperatures of the vendor `name`: class 1,
# subclass 1. Since yesterday it also hears temperatures nobody reported. Mend it:
#
# - it hears class 1, subclass 1 of this vendor, and nothing else;
# - if there is no such vendor, the OSError goes to the caller, and no descriptor stays open.


# %% tags=["starter", "q08_2"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    set_filter(app, s, KEV_ANY_VENDOR, 1, 1)
    return s


# %% tags=["reference", "q08_2"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    try:
        found = app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode.named(name).pack())
    except OSError:
        s.close()
        raise
    set_filter(app, s, KevVendorCode.unpack(found).vendor_code, 1, 1)
    return s


# %% tags=["other", "q08_2"]
# q08_2
def listen(app, name):
    with event_socket(app) as asking:
        asked = name.encode().ljust(200, b"\0")
        found = app.fcntl.ioctl(asking, SIOCGKEVVENDOR, bytes(4) + asked)
    s = event_socket(app)
    app.fcntl.ioctl(s, SIOCSKEVFILT, found[:4] + b"\1\0\0\0" * 2)
    return s


# %% tags=["other", "q08_2"]
# q08_2
def vendor_code(app, s, name):
    answer = app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode(0, name.encode()).pack())
    return int.from_bytes(answer[:4], "little")


def listen(app, name):
    s, done = event_socket(app), False
    try:
        set_filter(app, s, vendor_code(app, s, name), subclass=1, kev_class=1)
        done = True
    finally:
        if not done:
            s.close()
    return s


# %% tags=["mutant", "q08_2", "filtered-on-any"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    set_filter(app, s, KEV_ANY_VENDOR)
    return s


# %% tags=["mutant", "q08_2", "fresh-socket-hears"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    try:
        app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode.named(name).pack())
    except OSError:
        s.close()
        raise
    return s


# %% tags=["mutant", "q08_2", "vendor-written-down"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    set_filter(app, s, 1000, 1, 1)
    return s


# %% tags=["mutant", "q08_2", "vendor-alone"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    try:
        found = app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode.named(name).pack())
    except OSError:
        s.close()
        raise
    set_filter(app, s, KevVendorCode.unpack(found).vendor_code)
    return s


# %% tags=["mutant", "q08_2", "unknown-is-any"]
# q08_2
def listen(app, name):
    s, vendor = event_socket(app), 0
    try:
        found = app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode.named(name).pack())
        vendor = KevVendorCode.unpack(found).vendor_code
    except OSError:
        pass
    set_filter(app, s, vendor, 1, 1)
    return s


# %% tags=["mutant", "q08_2", "open-after-refusal"]
# q08_2
def listen(app, name):
    s = event_socket(app)
    found = app.fcntl.ioctl(s, SIOCGKEVVENDOR, KevVendorCode.named(name).pack())
    set_filter(app, s, KevVendorCode.unpack(found).vendor_code, 1, 1)
    return s


# %% tags=["hidden", "q08_2"]
from random import Random

from kextlab import Kernel
from kextlab.course.question import Miss
from kextlab.course.questions.q08 import Poster, heard


def eight_vendors(answer, seed):
    """Eight vendors post; eight sockets hear one event each."""
    names = [f"org.kextlab.vendor{n}" for n in range(8)]
    Random(seed).shuffle(names)
    mac = Kernel()
    app = mac.spawn("client")
    kexts = [mac.load(type("One", (Poster,), {"bundle_id": name})) for name in names]
    sockets = [answer["listen"](app, name) for name in names]
    for kext in kexts:
        kext.post(1, 1, kext.bundle_id.encode())
    for name, s in zip(names, sockets, strict=True):
        got = [event.event_data for event in heard(s)]
        if got != [name.encode()]:
            return Miss("vendor-written-down", f"{name} hears {got}", "its own event", mac)
    return None


# %% [markdown]
# ## Question 3: complete the function
#
# A program reads events into one buffer that it uses again and again, as C programs do.
# `decode(buffer, n)` gets this buffer, whose first `n` bytes were read just now; behind them stands
# whatever was there before. A C program has no `KernEventMsg.unpack`; do without it, too:
#
# - return `(vendor, kev_class, subclass, ident, code, data)`, five numbers and the event's data;
# - raise ValueError if the read has cut the event, in its header or in its data.
#
# The header is `total_size`, vendor, class, subclass, id, code: unsigned numbers of 32 bits, the
# smallest byte first.


# %% tags=["starter", "q08_3"]
# q08_3
import struct


def decode(buffer, n):
    total_size = struct.unpack_from("<I", buffer)[0]
    ...


# %% tags=["reference", "q08_3"]
# q08_3
import struct


def decode(buffer, n):
    if n < KEV_MSG_HEADER_SIZE:
        raise ValueError("no whole header")
    total_size, *fields = struct.unpack_from("<6I", buffer)
    if n < total_size:
        raise ValueError("the event was cut")
    return (*fields, bytes(buffer[KEV_MSG_HEADER_SIZE:total_size]))


# %% tags=["other", "q08_3"]
# q08_3
def decode(buffer, n):
    message = bytes(buffer[:n])
    words = [int.from_bytes(message[at : at + 4], "little") for at in range(0, 24, 4)]
    if len(message) < 24 or len(message) != words[0]:
        raise ValueError(n)
    return (words[1], words[2], words[3], words[4], words[5], message[24:])


# %% tags=["other", "q08_3"]
# q08_3
from struct import Struct

HEADER = Struct("<IIIIII")


def decode(buffer, n):
    if n >= HEADER.size:
        size, vendor, kev_class, subclass, ident, code = HEADER.unpack(buffer[: HEADER.size])
        data = buffer[HEADER.size : n]
        if HEADER.size + len(data) == size:
            return vendor, kev_class, subclass, ident, code, bytes(data)
    raise ValueError("cut")


# %% tags=["mutant", "q08_3", "header-forgotten"]
# q08_3
import struct


def decode(buffer, n):
    if n < 24:
        raise ValueError
    total_size, *fields = struct.unpack_from("<6I", buffer)
    if n < total_size:
        raise ValueError
    return (*fields, bytes(buffer[24 : 24 + total_size]))


# %% tags=["mutant", "q08_3", "header-of-28"]
# q08_3
import struct


def decode(buffer, n):
    if n < 24:
        raise ValueError
    total_size, *fields = struct.unpack_from("<6I", buffer)
    if n < total_size:
        raise ValueError
    return (*fields, bytes(buffer[28:total_size]))


# %% tags=["mutant", "q08_3", "network-order"]
# q08_3
import struct


def decode(buffer, n):
    if n < 24:
        raise ValueError
    total_size, *fields = struct.unpack_from(">6I", buffer)
    return (*fields, bytes(buffer[24:n]))


# %% tags=["mutant", "q08_3", "cut-is-whole"]
# q08_3
import struct


def decode(buffer, n):
    total_size, *fields = struct.unpack_from("<6I", buffer)
    return (*fields, bytes(buffer[24:total_size]))


# %% tags=["hidden", "q08_3"]
from kextlab.course.question import Miss
from kextlab.course.questions.q08 import listener, two_kexts


def without_data(answer, seed):
    """An event that is a header and nothing else."""
    mac, app, (weather, _) = two_kexts()
    s = listener(app)
    weather.post(1 + seed % 5, 2, b"")
    buffer = bytearray(b"\xee" * 256)
    n = s.recv_into(buffer)
    said = tuple(answer["decode"](buffer, n))
    due = (weather.vendor.value, 1 + seed % 5, 2, 1, 1, b"")
    if said != due:
        return Miss("header-forgotten", f"{said}", f"{due}", mac)
    return None


# %% [markdown]
# ## Question 4: write a kext that posts
#
# The kext `Bulletin` announces texts. Its vendor string is `org.kextlab.bulletin`; its events have
# class 1, subclass 2 and code 3. `announce(text)` gets bytes of any length but 0 and posts them, in
# order, in as few events as possible. It answers 0, or the errno of the first event that was refused.
# It may run after other kexts were loaded.


# %% tags=["starter", "q08_4"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        return 0

    def stop(self):
        return 0

    def announce(self, text):
        msg = KevMsg(1000, 1, 2, 3, (text,))
        return self.kpi.kev_msg_post(msg)


# %% tags=["reference", "q08_4"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"
    most = 200

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self):
        return 0

    def announce(self, text):
        for at in range(0, len(text), self.most):
            msg = KevMsg(self.vendor.value, 1, 2, 3, (text[at : at + self.most],))
            error = self.kpi.kev_msg_post(msg)
            if error:
                return error
        return 0


# %% tags=["other", "q08_4"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        return 0

    def stop(self):
        return 0

    def announce(self, text):
        code = Out()  # the same string has the same code, however often one asks
        error = self.kpi.kev_vendor_code_find("org.kextlab.bulletin", code)
        while text and not error:
            piece, text = text[:200], text[200:]
            error = self.kpi.kev_msg_post(KevMsg(code.value, 1, 2, 3, [piece]))
        return error


# %% tags=["other", "q08_4"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find("org.kextlab.bulletin", self.vendor)

    def stop(self):
        return 0

    def announce(self, text):
        if len(text) > 200:
            return self.announce(text[:200]) or self.announce(text[200:])
        half = len(text) // 2  # an event's data may come in several vectors, none of them empty
        parts = (text[:half], text[half:]) if half else (text,)
        return self.kpi.kev_msg_post(KevMsg(self.vendor.value, 1, 2, 3, parts))


# %% tags=["mutant", "q08_4", "vendor-written-down"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        return self.kpi.kev_vendor_code_find(self.bundle_id, Out())

    def stop(self):
        return 0

    def announce(self, text):
        for at in range(0, len(text), 200):
            error = self.kpi.kev_msg_post(KevMsg(1000, 1, 2, 3, (text[at : at + 200],)))
            if error:
                return error
        return 0


# %% tags=["mutant", "q08_4", "posts-as-apple"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        return 0

    def stop(self):
        return 0

    def announce(self, text):
        for at in range(0, len(text), 200):
            error = self.kpi.kev_msg_post(KevMsg(1, 1, 2, 3, (text[at : at + 200],)))
            if error:
                return error
        return 0


# %% tags=["mutant", "q08_4", "too-long-is-cut"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self):
        return 0

    def announce(self, text):
        return self.kpi.kev_msg_post(KevMsg(self.vendor.value, 1, 2, 3, (text,)))


# %% tags=["mutant", "q08_4", "header-is-free"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self):
        return 0

    def announce(self, text):
        for at in range(0, len(text), 224):
            msg = KevMsg(self.vendor.value, 1, 2, 3, (text[at : at + 224],))
            error = self.kpi.kev_msg_post(msg)
            if error:
                return error
        return 0


# %% tags=["mutant", "q08_4", "too-many-events"]
# q08_4
class Bulletin(Kext):
    bundle_id = "org.kextlab.bulletin"

    def start(self):
        self.vendor = Out()
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self):
        return 0

    def announce(self, text):
        for at in range(0, len(text), 100):
            msg = KevMsg(self.vendor.value, 1, 2, 3, (text[at : at + 100],))
            error = self.kpi.kev_msg_post(msg)
            if error:
                return error
        return 0


# %% tags=["hidden", "q08_4"]
from kextlab import Kernel
from kextlab.course.question import Miss
from kextlab.course.questions.q08 import heard, listener


def first_and_alone(answer, seed):
    """The first kext of the machine: its code is 1000, and every length to 600 arrives."""
    mac = Kernel()
    s = listener(mac.spawn("client"))
    kext = mac.load(answer["Bulletin"])
    for size in (199, 200, 201, 399, 400, 401, 500 + seed % 100):
        error = kext.announce(bytes(size))
        sizes = [len(event.event_data) for event in heard(s)]
        if error or sum(sizes) != size or len(sizes) != -(-size // 200):
            seen = f"{size} bytes: it answers {error}, events have {sizes} bytes"
            return Miss("too-long-is-cut", seen, "full events, and a rest", mac)
    return None


# %% [markdown]
# ## Question 5: write a client that notices a loss
#
# `Monitor(app)` opens an event socket `self.s` that hears **every** event. `collect()` reads all that
# waits and returns two numbers: how many events it read, and how many were lost, both since the
# collect before, or since the monitor was made. Other kexts have posted before it was made; those
# events are not lost, they were never its own. `collect()` never waits, and nothing is posted while
# it runs. It notices also those lost events after which nothing more was posted.
#
# The ioctl `SIOCGKEVID` answers four bytes, the smallest first; the lesson's 8.9 shows how to ask.


# %% tags=["starter", "q08_5"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)

    def collect(self):
        read = lost = 0
        while readable(self.app, self.s):
            event = KernEventMsg.unpack(self.s.recv(1024))
            read += 1
        return read, lost


# %% tags=["reference", "q08_5"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)
        self.last = self.posted()

    def posted(self):
        """The id of the last event posted by anybody."""
        return int.from_bytes(self.app.fcntl.ioctl(self.s, SIOCGKEVID, bytes(4)), "little")

    def collect(self):
        before, self.last = self.last, self.posted()  # asked first: what comes later is not lost
        read = 0
        while readable(self.app, self.s):
            event = KernEventMsg.unpack(self.s.recv(1024))
            self.last = max(self.last, event.id)
            read += 1
        return read, self.last - before - read


# %% tags=["other", "q08_5"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app, self.s = app, event_socket(app)
        self.due = self.next_id()
        set_filter(app, self.s, 0, 0, 0)
        self.s.setblocking(False)

    def next_id(self):
        answer = self.app.fcntl.ioctl(self.s, SIOCGKEVID, b"\0\0\0\0")
        return 1 + int.from_bytes(answer, "little")

    def collect(self):
        read = lost = 0
        try:
            while True:
                event = KernEventMsg.unpack(self.s.recv(224))
                lost += event.id - self.due
                self.due = event.id + 1
                read += 1
        except BlockingIOError:
            end = self.next_id()
            lost += end - self.due
            self.due = end
        return read, lost


# %% tags=["other", "q08_5"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)
        self.known = set(range(1, self.last() + 1))

    def last(self):
        (word,) = memoryview(self.app.fcntl.ioctl(self.s, SIOCGKEVID, bytes(4))).cast("I")
        return word

    def collect(self):
        fresh = set()
        while readable(self.app, self.s):
            fresh.add(KernEventMsg.unpack(self.s.recv(512)).id)
        every = set(range(1, self.last() + 1))
        lost = every - self.known - fresh
        self.known = every
        return len(fresh), len(lost)


# %% tags=["mutant", "q08_5", "loss-is-reported"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)

    def collect(self):
        read = lost = 0
        while readable(self.app, self.s):
            try:
                self.s.recv(1024)
                read += 1
            except OSError:
                lost += 1
        return read, lost


# %% tags=["mutant", "q08_5", "last-gap-is-seen"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)
        self.last = int.from_bytes(app.fcntl.ioctl(self.s, SIOCGKEVID, bytes(4)), "little")

    def collect(self):
        read = lost = 0
        while readable(self.app, self.s):
            event = KernEventMsg.unpack(self.s.recv(1024))
            lost += event.id - self.last - 1
            self.last = event.id
            read += 1
        return read, lost


# %% tags=["mutant", "q08_5", "ids-start-with-me"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)
        self.last = 0

    def collect(self):
        read = 0
        while readable(self.app, self.s):
            self.s.recv(1024)
            read += 1
        answer = self.app.fcntl.ioctl(self.s, SIOCGKEVID, bytes(4))
        before, self.last = self.last, int.from_bytes(answer, "little")
        return read, self.last - before - read


# %% tags=["mutant", "q08_5", "ids-per-vendor"]
# q08_5
class Monitor:
    def __init__(self, app):
        self.app = app
        self.s = event_socket(app)
        set_filter(app, self.s, KEV_ANY_VENDOR)
        self.start = int.from_bytes(app.fcntl.ioctl(self.s, SIOCGKEVID, bytes(4)), "little")
        self.last = {}

    def collect(self):
        read = lost = 0
        while readable(self.app, self.s):
            event = KernEventMsg.unpack(self.s.recv(1024))
            lost += event.id - self.last.get(event.vendor_code, self.start) - 1
            self.last[event.vendor_code] = event.id
            read += 1
        return read, lost


# %% tags=["hidden", "q08_5"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.q08 import two_kexts, dropped


def without_a_smaller_buffer(answer, seed):
    """Large events until 32 KiB are full, and some more."""
    mac, app, (weather, _) = two_kexts()
    monitor = answer["Monitor"](app)
    posted = Random(seed).randrange(150, 180)
    for _ in range(posted):
        weather.post(1, 1, bytes(200))
    lost = dropped(mac)
    said = tuple(monitor.collect())
    if said != (posted - lost, lost):
        return Miss("loss-is-reported", f"{said}", f"{(posted - lost, lost)}", mac)
    return None


# %% [markdown]
# ## Question 6: put it in order
#
# A program has two event sockets that hear every event; the *older* was made first, then the *younger*.
# A third one was made last, and has no filter yet. Now a kext registers a control. Here are six lines
# in disorder; five of them happen. Write the letters of those five in the order in which they happen,
# as a string such as `"FEDCB"`.
#
# - **A** a copy of the event is queued at the older socket
# - **B** a copy of the event is queued at the younger socket
# - **C** a copy of the event is queued at the third socket
# - **D** the control is on the kernel's list, with its id
# - **E** `ctl_register` returns 0 to the kext
# - **F** the event gets its id

# %% tags=["starter", "q08_6"]
# q08_6
order = ...

# %% tags=["reference", "q08_6"]
# q08_6
order = "DFBAE"

# %% tags=["other", "q08_6"]
# q08_6
order = ["d", "f", "b", "a", "e"]

# %% tags=["other", "q08_6"]
# q08_6
order = "D, F, B, A, E"

# %% tags=["mutant", "q08_6", "fresh-socket-hears"]
# q08_6
order = "DFCBAE"

# %% tags=["mutant", "q08_6", "oldest-first"]
# q08_6
order = "DFABE"

# %% tags=["mutant", "q08_6", "posted-later"]
# q08_6
order = "DEFBA"

# %% tags=["mutant", "q08_6", "announced-first"]
# q08_6
order = "FBADE"

# %% tags=["mutant", "q08_6", "id-when-queued"]
# q08_6
order = "DBFAE"

# %% tags=["seeds"]
seeds = range(7001, 7011)
