# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8 · Kernel events
#
# **The question.** A program shows the temperature that a [kext](glossary.md#kext) reports. One day it
# shows 1 degree, and the kext swears that it never said so. Nobody lied. Where did the 1 come from?
#
# After this lesson you can
#
# - post an event from a kext, and receive it in a program without being connected to anything,
# - look a vendor code up, and write a filter that lets only the right events through,
# - read the 24 bytes in front of an event's data,
# - say when events are lost, who is told (nobody), and how a reader can find out.
#
# It takes about 25 minutes. You should know lesson [1 · Registration](01-registration.ipynb).
#
# ## 8.1 One speaks, everybody may hear
#
# A [kernel control](glossary.md#kernel-control) is a pipe between a kext and one client. A
# *[kernel](glossary.md#kernel) event* is an announcement: the kext posts it once, and the kernel puts
# a copy into every event socket that wants it. The kext does not learn who listens.
#
# An event says in four numbers what it is and whose: the **vendor**, a **class**, a **subclass** and a
# **code**. Only the first is the kernel's to give out. A kext asks for it with a string of its own;
# the other three are the vendor's own business.
#
# <!-- c:
# #define CLASS_WEATHER 20
# #define TEMPERATURE 1
# #define READING 7
# static u_int32_t vendor;
# -->
#
# <table>
# <tr><th align="left">C, as in a real kext</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static errno_t
# weather_start(void)
# {
#     return kev_vendor_code_find(
#         "org.kextlab.weather",
#         &vendor);
# }
#
# static errno_t
# weather_report(int32_t degrees)
# {
#     struct kev_msg msg = {
#         .vendor_code = vendor,
#         .kev_class = CLASS_WEATHER,
#         .kev_subclass = TEMPERATURE,
#         .event_code = READING,
#     };
#
#     msg.dv[0].data_ptr = &degrees;
#     msg.dv[0].data_length =
#         sizeof(degrees);
#     return kev_msg_post(&msg);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def start(self):
#
#
#     return self.kpi.kev_vendor_code_find(
#         "org.kextlab.weather",
#         self.vendor)
#
#
# def report(self, degrees):
#
#
#     msg = KevMsg(
#         self.vendor.value,
#         CLASS_WEATHER,
#         TEMPERATURE,
#         READING,
#         (degrees.to_bytes(4, "little"),),
#     )
#
#
#
#
#     return self.kpi.kev_msg_post(msg)
# ```
#
# </td></tr>
# </table>
#
# `dv` has room for five pieces of data; the first empty one ends the list.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.abi.constants import (
    KEV_ANY_CLASS,
    KEV_ANY_SUBCLASS,
    KEV_ANY_VENDOR,
    SYSPROTO_EVENT,
)
from kextlab.abi.errno import EINVAL, EMSGSIZE
from kextlab.abi.ioctl import SIOCGKEVFILT, SIOCGKEVID, SIOCGKEVVENDOR, SIOCSKEVFILT
from kextlab.abi.structs import KernEventMsg, KevRequest, KevVendorCode
from kextlab.course import predict, retrieve, reveal
from kextlab.kexts import EchoKext, KevMsg, Kext, Out
from kextlab.views import inspect, log, queue_figure

CLASS_WEATHER, TEMPERATURE, WIND, READING = 20, 1, 2, 7


class Weather(Kext):
    """Reports the weather to whoever listens."""

    bundle_id = "org.kextlab.weather"

    def __init__(self):
        self.vendor = Out()

    def start(self):
        return self.kpi.kev_vendor_code_find(self.bundle_id, self.vendor)

    def stop(self):
        return 0

    def post(self, data, kev_class=CLASS_WEATHER, subclass=TEMPERATURE):
        msg = KevMsg(self.vendor.value, kev_class, subclass, READING, (data,))
        return self.kpi.kev_msg_post(msg)

    def report(self, degrees):
        return self.post(degrees.to_bytes(4, "little"))


class Tides(Weather):
    """Another vendor. It has a class 20 and a subclass 1 as well: why not?"""

    bundle_id = "org.kextlab.tides"


mac = Kernel()
weather = mac.load(Weather)
tides = mac.load(Tides)
app = mac.spawn("watcher", uid=501)


def event_socket(app):
    """A new event socket: no connect, no bind, and no root needed."""
    module = app.socket
    return module.socket(module.PF_SYSTEM, module.SOCK_RAW, SYSPROTO_EVENT)


def readable(app, s):
    """Whether an event waits."""
    return bool(app.select.select([s], [], [], 0)[0])


def read_all(app, s):
    """All the events that wait."""
    events = []
    while readable(app, s):
        events.append(KernEventMsg.unpack(s.recv(1024)))
    return events


[weather.vendor.value, tides.vendor.value]

# %%
assert [weather.vendor.value, tides.vendor.value] == [1000, 1001]  # recorded: ev-vendor-find

# %% [markdown]
# The kernel gave the codes out in the order of asking, from 1000. The same string gets the same code
# until the Mac starts again.
#
# <small>● recorded: `ev-vendor-find`, `priv-event-socket-user`.</small>
#
# ## 8.2 A fresh socket hears nothing
#
# The watcher opens an event socket, and the weather kext reports 21 degrees.

# %%
predict(
    "08.fresh",
    "The socket was opened before the event was posted. What can it read?",
    ["the event", "nothing", "the events of its own user"],
)

# %%
s = event_socket(app)
assert weather.report(21) == 0
events = read_all(app, s)

reveal(
    "08.fresh",
    "the event" if events else "nothing",
    "A new socket's filter names a vendor that nobody is, until the program sets another.",
)

# %% [markdown]
# kev_msg_post answered 0: for the poster all is well. Look at the filter of the new socket.

# %%
fresh = KevRequest.unpack(app.fcntl.ioctl(s, SIOCGKEVFILT, bytes(KevRequest.SIZE)))
assert fresh.vendor_code == 0xFFFFFFFF  # recorded: ev-vendor-ffffffff
fresh

# %% [markdown]
# It is easy to take this for a broken kext. A program that listens always has two steps: make the
# socket, set the filter. Whatever is posted between them is gone.
#
# <!-- c:
# static int event_socket(void);
# static int set_filter(int fd, u_int32_t vendor);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static int
# event_socket(void)
# {
#     return socket(PF_SYSTEM, SOCK_RAW,
#                   SYSPROTO_EVENT);
# }
#
# static int
# set_filter(int fd, u_int32_t vendor)
# {
#     struct kev_request want = {
#         .vendor_code = vendor,
#         .kev_class = KEV_ANY_CLASS,
#         .kev_subclass = KEV_ANY_SUBCLASS,
#     };
#
#     return ioctl(fd, SIOCSKEVFILT, &want);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def event_socket(app):
#     module = app.socket
#     return module.socket(
#         module.PF_SYSTEM, module.SOCK_RAW,
#         SYSPROTO_EVENT)
#
#
# def set_filter(app, s, vendor, kev_class,
#                subclass):
#     want = KevRequest(
#         vendor,
#         kev_class,
#         subclass,
#     )
#
#     app.fcntl.ioctl(s, SIOCSKEVFILT,
#                     want.pack())
# ```
#
# </td></tr>
# </table>


# %%
def set_filter(app, s, vendor, kev_class=KEV_ANY_CLASS, subclass=KEV_ANY_SUBCLASS):
    want = KevRequest(vendor, kev_class, subclass)
    app.fcntl.ioctl(s, SIOCSKEVFILT, want.pack())


set_filter(app, s, weather.vendor.value)
weather.report(22)
(event,) = read_all(app, s)
assert event.event_data == (22).to_bytes(4, "little")

# %% [markdown]
# A filter acts when an event is posted. What is queued already stays when you change it.
#
# <small>● recorded: `ev-filter-change`.</small>
#
# ## 8.3 The filter is a ladder
#
# Vendor, class, subclass: the kernel compares from left to right, and the first *any* (that is 0) ends
# the comparison. Whatever stands behind it is not looked at.
#
# The watcher wants wind (subclass 2), of the weather kext, of any class.

# %%
predict(
    "08.ladder",
    "The filter is (weather, any class, subclass 2). Class 20, subclass 1 is posted. Is it heard?",
    ["yes", "no"],
)

# %%
set_filter(app, s, weather.vendor.value, KEV_ANY_CLASS, WIND)
weather.report(23)

reveal(
    "08.ladder",
    "yes" if read_all(app, s) else "no",
    "Any class ends the comparison; nobody looks at the subclass.",
)

# %% [markdown]
# With a class that is named, the subclass counts:

# %%
set_filter(app, s, weather.vendor.value, CLASS_WEATHER, WIND)
weather.report(24)
assert read_all(app, s) == []
weather.post(b"north", subclass=WIND)
assert [event.event_data for event in read_all(app, s)] == [b"north"]

# %% [markdown]
# <small>● recorded: `ev-filter-any-class`, `ev-filter-any-subclass`.</small>
#
# ## 8.4 The code is looked up
#
# How does a *program* know the vendor code? It asks by the same string. Any event socket will do.
#
# <!-- c:
# static int vendor_code(int fd, const char *name, u_int32_t *code);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static int
# vendor_code(int fd, const char *name,
#             u_int32_t *code)
# {
#     struct kev_vendor_code ask = { 0 };
#
#     strlcpy(ask.vendor_string, name,
#             sizeof(ask.vendor_string));
#     if (ioctl(fd, SIOCGKEVVENDOR, &ask)
#         == -1)
#         return -1;
#     *code = ask.vendor_code;
#     return 0;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def vendor_code(app, s, name):
#
#
#
#     ask = KevVendorCode.named(name).pack()
#
#
#     answer = app.fcntl.ioctl(
#         s, SIOCGKEVVENDOR, ask)
#
#     found = KevVendorCode.unpack(answer)
#     return found.vendor_code
# ```
#
# </td></tr>
# </table>


# %%
def vendor_code(app, s, name):
    ask = KevVendorCode.named(name).pack()
    answer = app.fcntl.ioctl(s, SIOCGKEVVENDOR, ask)
    return KevVendorCode.unpack(answer).vendor_code


assert vendor_code(app, s, "org.kextlab.weather") == weather.vendor.value
vendor_code(app, s, "org.kextlab.tides")

# %% [markdown]
# The kext's call makes a code when there is none. The program's call does not:

# %%
predict(
    "08.unknown",
    "A program looks up a string that no kext has asked for. What does it hear?",
    ["a new code", "code 0", "ENOENT (2)"],
)

# %%
try:
    vendor_code(app, s, "org.kextlab.snow")
except OSError as error:
    refusal = error

reveal("08.unknown", f"ENOENT ({refusal.errno})", "The ioctl only looks; the kext creates.")

# %% [markdown]
# Had it answered 0, a careless program would have filtered on 0: on *any*. And what if somebody writes
# 1000 down, because it was 1000 all week? After the next start of the Mac the kexts are loaded in
# another order.

# %%
other = Kernel()
first, second = other.load(Tides), other.load(Weather)
assert (first.vendor.value, second.vendor.value) == (1000, 1001)

# %% [markdown]
# <small>● recorded: `ev-vendor-find`; a string of 200 bytes or more is EINVAL: `ev-vendor-long`.</small>
#
# ## 8.5 Twenty-four bytes in front
#
# A read gives one event: a header of six 32-bit numbers, then the data. The first number is
# `total_size`.

# %%
predict(
    "08.size",
    "The kext posts five bytes of data. What is in total_size?",
    [5, 24, 29, 33],
)

# %%
set_filter(app, s, weather.vendor.value)
weather.post(b"storm")
raw = s.recv(1024)

reveal(
    "08.size",
    int.from_bytes(raw[:4], "little"),
    "It counts the header too: 24 and 5. The data is total_size - 24 bytes long.",
)

# %%
assert len(raw) == 29
assert raw[24:] == b"storm"  # recorded: ev-total-size
inspect(raw, "kern_event_msg")

# %% [markdown]
# Two traps for who reads this in C. `sizeof(struct kern_event_msg)` is 28, because the struct ends
# with one word of the data; the header is `KEV_MSG_HEADER_SIZE`, 24. And a read with too small a
# buffer cuts the event, as any [datagram](glossary.md#datagram): then `total_size` says more than you
# have. Compare the two, or call `recvmsg`, which says `MSG_TRUNC`.
#
# <!-- c:
# static ssize_t data_length(const struct kern_event_msg *event, ssize_t n);
# -->
#
# ```c
# static ssize_t
# data_length(const struct kern_event_msg *event, ssize_t n)
# {
#     if (n < (ssize_t)KEV_MSG_HEADER_SIZE || n < (ssize_t)event->total_size)
#         return -1;    /* cut: the buffer was too small */
#     return event->total_size - KEV_MSG_HEADER_SIZE;
# }
# ```

# %%
weather.post(b"storm")
short = s.recv(26)
assert len(short) == 26  # recorded: ev-read-short
assert int.from_bytes(short[:4], "little") == 29
assert not readable(app, s)  # the rest is gone

# %% [markdown]
# ## 8.6 The kernel's own events
#
# Kernel control posts events itself: one when a control is registered, one when it is deregistered.
# Their vendor is Apple (1), their class *system* (3), their subclass *control* (2). The data is the
# control's id, and a [unit](glossary.md#unit) that is always 0.
#
# So a program can wait for a kext, instead of asking for its name every second.

# %%
APPLE, SYSTEM, CONTROL = 1, 3, 2
set_filter(app, s, APPLE, SYSTEM, CONTROL)
second = mac.spawn("second")
younger = event_socket(second)
set_filter(second, younger, KEV_ANY_VENDOR)
before = len(mac.trace)
echo = mac.load(EchoKext)
registration = log(mac.trace, before)

(event,) = read_all(app, s)
control_id = int.from_bytes(event.event_data[:4], "little")
assert (event.event_code, control_id) == (1, 1)  # recorded: ev-register-event, ev-register-fields
event

# %% [markdown]
# Two programs listened: the watcher, and `second`, which came later. Here is the order of it all:

# %%
registration

# %% [markdown]
# `ctl_register` itself posts, when the control is on the kernel's list: a listener may connect at once.
# The event gets its id; then each socket that wants it gets a copy, **the socket made last first**
# (`second` before `watcher` here); and only then does `ctl_register` return to the kext.
#
# When the control goes, code 2 says so.

# %%
assert [event.id for event in read_all(second, younger)] == [event.id]  # recorded: ev-overflow
younger.close()
mac.unload(echo)
(event,) = read_all(app, s)
assert event.event_code == 2  # recorded: ev-register-event

# %% [markdown]
# A registration that is refused posts nothing. And nobody can forge these events: a kext that posts
# as vendor 1 hears EINVAL, as for any code that was not given out.

# %%
forged = KevMsg(APPLE, SYSTEM, CONTROL, 1, (bytes(8),))
assert weather.kpi.kev_msg_post(forged) == EINVAL  # recorded: ev-kpi-apple
assert read_all(app, s) == []

# %% [markdown]
# <small>● recorded: `ev-register-event`, `ev-register-failed`, `ev-kpi-apple`.</small>
#
# ## 8.7 Break it: filtered on any
#
# Now to the question. The author of the watcher had met 8.2, and looked for a filter that works. This
# one does. It even names class and subclass.


# %%
def watch(app):
    """Listens for temperatures; the author believes that class and subclass will do."""
    s = event_socket(app)
    set_filter(app, s, KEV_ANY_VENDOR, CLASS_WEATHER, TEMPERATURE)
    return s


def degrees(event):
    return int.from_bytes(event.event_data[:4], "little")


mac = Kernel()
weather, tides = mac.load(Weather), mac.load(Tides)
app = mac.spawn("watcher")
s = watch(app)
weather.report(21)
assert [degrees(event) for event in read_all(app, s)] == [21]

# %% [markdown]
# Somebody loads the echo kext.

# %%
predict(
    "08.any",
    "The echo kext registers; nobody reports a temperature. What does the watcher show?",
    ["nothing new", "1 degree", "21 degrees again"],
)

# %%
before = len(mac.trace)
mac.load(EchoKext)
shown = [degrees(event) for event in read_all(app, s)]

reveal(
    "08.any",
    f"{shown[0]} degree" if shown else "nothing new",
    "Any vendor ends the comparison: the event of 8.6 comes through, and its data is control id 1.",
)

# %%
log(mac.trace, before)

# %% [markdown]
# Class 3 and subclass 2 did not keep it out: behind *any vendor* nobody looks at them. And had they
# been compared? The tides have a class 20 with a subclass 1 of their own: without the vendor these
# numbers mean nothing.
#
# The cure has two lines: look the vendor up, filter on it.

# %%
vendor = vendor_code(app, s, "org.kextlab.weather")
set_filter(app, s, vendor, CLASS_WEATHER, TEMPERATURE)
tides.report(3)
mac.load(type("Second", (EchoKext,), {"bundle_id": "org.two", "control_name": "org.two"}))
assert read_all(app, s) == []  # recorded: ev-filter-any-class
weather.report(20)
assert [degrees(event) for event in read_all(app, s)] == [20]

# %% [markdown]
# ## 8.8 Break it: one byte too many
#
# An event has to fit into one small [mbuf](glossary.md#mbuf), 224 bytes on these machines: 24 for
# the header, 200 for the data. A document says that more is cut off.

# %%
predict(
    "08.limit",
    "The kext posts 201 bytes of data. What does a listener get?",
    ["200 bytes", "201 bytes in two events", "nothing"],
)

# %%
last_id = app.fcntl.ioctl(s, SIOCGKEVID, bytes(4))
error = weather.post(bytes(201))
events = read_all(app, s)

reveal(
    "08.limit",
    "nothing" if not events else f"{len(events[0].event_data)} bytes",
    "kev_msg_post answers EMSGSIZE, nothing is delivered, and no id is used.",
)

# %%
assert error == EMSGSIZE  # recorded: ev-kpi-toobig
assert app.fcntl.ioctl(s, SIOCGKEVID, bytes(4)) == last_id  # recorded: ev-max-size
assert weather.post(bytes(200)) == 0
assert len(read_all(app, s)[0].event_data) == 200
print(explain(error, call="kev_msg_post"))

# %% [markdown]
# Of this failure the poster hears, and nobody else does: look at the answer of kev_msg_post.
#
# <small>● recorded: `ev-max-size`, `ev-kpi-toobig`. ◌ derived, not recorded: newer arm64 kernels have
# larger mbufs, and take 264 bytes.</small>
#
# ## 8.9 Break it: a slow reader
#
# An event socket holds 32 KiB. This watcher made its buffer smaller, 300 bytes, hears everything, and
# is busy elsewhere while the kext posts five events of 100 bytes.

# %%
mac = Kernel()
weather = mac.load(Weather)
app = mac.spawn("slow")
s = event_socket(app)
s.setsockopt(app.socket.SOL_SOCKET, app.socket.SO_RCVBUF, 300)
set_filter(app, s, KEV_ANY_VENDOR)

# %%
predict(
    "08.loss",
    "Five events of 124 bytes meet a buffer of 300. How many times does the kext hear an error?",
    [0, 3, 5],
)

# %%
answers = [weather.post(bytes(100)) for _ in range(5)]

reveal(
    "08.loss",
    sum(answer != 0 for answer in answers),
    "For the poster all went well: each event was posted. That a socket had no room is no error.",
)

# %%
Scope(mac, title="five events and a full socket", parts=["topology", "queues", "log", "scrubber"])

# %% [markdown]
# Now the watcher comes back and reads.

# %%
predict("08.kept", "Which events does it find?", ["the first two", "the last two", "all five"])

# %%
got = [event.id for event in read_all(app, s)]
assert len(got) == 2

reveal(
    "08.kept",
    {(1, 2): "the first two", (4, 5): "the last two"}[tuple(got)],
    "What is queued stays; what does not fit is dropped, and the reader is not told either.",
)

# %%
queue_figure(mac.trace, socket=1)

# %% [markdown]
# No error, no flag, no short read. What can a reader know? Every event gets the next **id**, and there
# is one counter for the whole machine. `SIOCGKEVID` answers the id of the last event posted by anybody.
# We read up to 2:

# %%
posted = int.from_bytes(app.fcntl.ioctl(s, SIOCGKEVID, bytes(4)), "little")
assert posted - got[-1] == 3  # recorded: ev-id-sequence
posted

# %% [markdown]
# The next event shows the same as a gap:

# %%
weather.post(b"after")
(event,) = read_all(app, s)
assert (got, event.id) == ([1, 2], 6)  # recorded: ev-overflow, ev-id-sequence

# %% [markdown]
# From 2 to 6: three are missing. If no further event comes, there is no gap to see; then only
# `SIOCGKEVID` helps. On a busy machine ask first and read afterwards: what is posted in between waits
# still, and is not lost.
#
# Be careful what you conclude. Ids are given out before anybody's filter is asked:

# %%
predict(
    "08.gap",
    "The socket is empty now, and filters on one vendor. It reads ids 7 and 9. Was one lost?",
    ["yes, number 8", "not necessarily: 8 may be another vendor's"],
)

# %%
tides = mac.load(Tides)
set_filter(app, s, weather.vendor.value)
before = mac.sysctl("kevt.stats")[0]
weather.report(1), tides.report(2), weather.report(3)
ids = [event.id for event in read_all(app, s)]
dropped = mac.sysctl("kevt.stats")[0]["fullsock"] - before["fullsock"]

reveal(
    "08.gap",
    "yes, number 8" if dropped else "not necessarily: 8 may be another vendor's",
    "The counter is global. With a filter, a gap says: something was posted that you did not get.",
)

# %%
assert ids == [7, 9]  # recorded: ev-id-sequence
mac.sysctl("kevt.stats")[0]

# %% [markdown]
# `fullsock` counts the drops, of all sockets together. So:
#
# - a socket that hears *everything* and finds a gap has lost events;
# - a socket with a filter and no gap has lost none so far; with a gap, it may have. To be sure, the
#   vendor puts a number of its own into the data.
#
# A program that must not miss anything reads the *state* again after a gap, from a control or an
# option. Events say that something changed; they are no place to keep it.
#
# <small>● recorded: `ev-overflow`, `ev-overflow-32k`, `ev-overflow-mbcnt`, `ev-id-sequence`.</small>
#
# ## 8.10 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | An event socket receives events. | Not before SIOCSKEVFILT: its filter names vendor 0xffffffff. | `ev-vendor-ffffffff` |
# | Vendor, class and subclass are compared. | From left to right, and the first *any* ends it. | `ev-filter-any-class`, `ev-filter-any-subclass` |
# | Data may be 2 KB, and more is cut. | 200 bytes; more is EMSGSIZE, and nobody gets anything. | `ev-max-size`, `ev-kpi-toobig` |
# | Posting went well, so the event arrived. | A full socket drops it, and the poster sees 0. | `ev-overflow` |
# | Ids count the events you get. | They count all events of all vendors, read or not. | `ev-id-sequence` |
# | A new filter begins with an empty queue. | What was queued stays. | `ev-filter-change` |
# | A kext may post whatever vendor it likes. | Only codes that were given out; Apple's is EINVAL. | `ev-kpi-apple` |
#
# ## 8.11 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("08")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - An event goes to every socket whose filter wants it. **No filter, no events.**
# - Look the **vendor** up by its string, and filter on it; behind *any* nothing is compared.
# - `total_size` counts the header of 24 bytes. At most 200 bytes of data; more is EMSGSIZE.
# - **Loss is silent** on both sides. Ids are one counter for the whole machine: on a socket that hears
#   everything a gap is a loss.
# - Kernel control itself posts when a control comes and goes: vendor 1, class 3, subclass 2.
#
# Now the exercise: [8 · Kernel events](../exercises/08-kernel-events.ipynb).
