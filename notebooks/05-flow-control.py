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
# # 5 · Flow control
#
# **The question.** A [kext](glossary.md#kext) reports events, each with its number. A client reads
# them: 1, 2, 3, and so on to 8; then 16. Nobody saw an error. Where are the seven between?
#
# After this lesson you can
#
# - say what waits where between a kext and its client, and how much of it fits,
# - act on ENOBUFS: keep what was refused, or drop it and say so, but never half,
# - tell the bytes of a [record](glossary.md#record) from the memory it costs, and know when the
#   second counts,
# - refill a queue when the client has read, with and without the help of the
#   [kernel](glossary.md#kernel),
# - use CTL_DATA_NOWAKEUP without putting the reader to sleep for ever.
#
# It takes about 30 minutes. You should know lesson [4](04-datagram-stream.ipynb), about
# [datagrams](glossary.md#datagram), streams and [mbufs](glossary.md#mbuf).
#
# ## 5.1 Two buffers
#
# Each client's socket has two buffers, one for each direction. A buffer has a size, `sb_hiwat`, the
# high-water mark. The control chooses both sizes when it is registered; a 0 asks for the default.
#
# This kext queues what we tell it to, and asks how much more would fit.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.abi.constants import (
    CTL_DATA_CRIT,
    CTL_DATA_EOR,
    CTL_DATA_NOWAKEUP,
    CTL_FLAG_REG_CRIT,
    CTL_FLAG_REG_EXTENDED,
    CTL_FLAG_REG_SOCK_STREAM,
)
from kextlab.abi.errno import ENOBUFS, name_of
from kextlab.course import predict, retrieve, reveal
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext
from kextlab.views import log, queue_figure, space_time, units_picture


class Teller(EchoKext):
    """Queues what it is told to. Takes messages, and does nothing with them."""

    flags = size = 0  # of the registration

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=self.flags,
            ctl_recvsize=self.size,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
            ctl_rcvd=self.rcvd,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return 0

    def rcvd(self, kctlref, unit, unitinfo, flags):
        pass

    def tell(self, data, flags=CTL_DATA_EOR, unit=1):
        return self.kpi.ctl_enqueuedata(self.ctlref.value, unit, data, len(data), flags)

    def space(self, unit=1):
        space = Out()
        error = self.kpi.ctl_getenqueuespace(self.ctlref.value, unit, space)
        assert error == 0
        return space.value


def connect(app, kind="SOCK_DGRAM"):
    """A client of the only control there is."""
    module = app.socket
    s = module.socket(module.PF_SYSTEM, getattr(module, kind), module.SYSPROTO_CONTROL)
    s.connect((1, 0))
    return s


def start(kext, kind="SOCK_DGRAM", release="xnu-11417.101.15"):
    """A Mac with that kext and one client: the Mac, the kext, the client's process and socket."""
    mac = Kernel(release)
    loaded = mac.load(kext)
    app = mac.spawn("client")
    return mac, loaded, app, connect(app, kind)


def read_all(app, s):
    """Every record that waits now."""
    records = []
    while app.select.select([s], [], [], 0)[0]:
        records.append(s.recv(9000))
    return records


mac, teller, app, s = start(Teller)
units_picture(mac.trace)


# %%
def field(mac, buffer, name):
    """A field of the first socket's receive or send buffer, as the kernel has it."""
    return mac.snapshot()[f"{buffer}:1"][name]


for buffer in ("so_rcv", "so_snd"):
    print(
        f"{buffer}: sb_hiwat {field(mac, buffer, 'sb_hiwat')}, sb_cc {field(mac, buffer, 'sb_cc')}"
    )

assert field(mac, "so_rcv", "sb_hiwat") == 8192
assert field(mac, "so_snd", "sb_hiwat") == 2048

# %% [markdown]
# `so_rcv`, towards the client, may hold 8192 bytes; `so_snd`, towards the kext, 2048. `sb_cc` says
# how many are in it. This lesson plays in the first. What about the second? The client sends 1000
# bytes.

# %%
predict(
    "05.send-buffer",
    "The kext has taken the message and thrown it away. How many bytes wait in the send buffer?",
    [1000, 0, 2048],
)

# %%
s.send(bytes(1000))

reveal(
    "05.send-buffer",
    field(mac, "so_snd", "sb_cc"),
    "send calls the kext at once, inside the system call. Nothing is ever queued on this side.",
)

# %% [markdown]
# So the send buffer is a limit for one message, and no queue. A kext cannot slow a client down by
# leaving its messages alone: it has taken them when `send` returns. What it can do is refuse: the
# [errno](glossary.md#errno) of its send [callback](glossary.md#callback) is what the client's
# `send` fails with.
#
# <small>● recorded: `reg-sizes-zero`, `reg-sizes-given`, `dgram-send-emsgsize`,
# `dgram-send-error`.</small>
#
# ## 5.2 Full
#
# In the other direction things do wait: until the client reads. The buffer has room for 8192 bytes.

# %%
predict(
    "05.too-many",
    "The buffer is empty, and the kext queues 8193 bytes. How many of them will the client read?",
    [8193, 8192, 0],
)

# %%
error = teller.tell(bytes(8193))
queued = field(mac, "so_rcv", "sb_cc")
print(f"ctl_enqueuedata answers {name_of(error)} ({error})")

reveal("05.too-many", queued, "All or nothing: not a byte of it is queued, and the kext is told.")

# %%
assert error == ENOBUFS
assert [teller.tell(bytes(size)) for size in (8000, 193, 192)] == [0, ENOBUFS, 0]
assert teller.space() == 0  # recorded: flow-one-too-many

# %% [markdown]
# 8192 bytes fit exactly. The kernel does not wait for room, and throws nothing old out: it refuses,
# and goes on. `ctl_getenqueuespace` says how many bytes would still fit.
#
# The client can change that number: `SO_RCVBUF` on a connected socket sets its `sb_hiwat`. A kext
# that has 8192 written into its code is wrong as soon as a client does.

# %%
s.recv(8000)
s.setsockopt(app.socket.SOL_SOCKET, app.socket.SO_RCVBUF, 3000)
assert teller.space() == 3000 - 192  # recorded: flow-setsockopt-rcvbuf

# %% [markdown]
# <small>● recorded: `flow-one-too-many`, `flow-setsockopt-rcvbuf`, `flow-drain-refill`.</small>
#
# ## 5.3 Break it: the errno nobody looks at
#
# Here is the kext of the question. An event takes 1000 bytes. Fifteen happen while the client is
# busy with something else; then the client reads all there is; then three more happen.
#
# <!-- c:
# struct client { kern_ctl_ref ref; u_int32_t unit; uint32_t lost; };
# -->
#
# <table>
# <tr><th align="left">wrong</th><th align="left">right</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static void
# report(struct client *client,
#        void *event, size_t length)
# {
#     ctl_enqueuedata(client->ref,
#         client->unit, event, length,
#         CTL_DATA_EOR);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```c
# static errno_t
# report_or_count(struct client *client,
#                 void *event, size_t length)
# {
#     errno_t error;
#
#     error = ctl_enqueuedata(client->ref,
#         client->unit, event, length,
#         CTL_DATA_EOR);
#     if (error != 0)
#         client->lost++;
#     return error;
# }
# ```
#
# </td></tr>
# </table>


# %%
class Reporter(Teller):
    """Numbers its events, and believes that they arrive."""

    events = 0

    def report(self):
        self.events += 1
        self.tell(b"%4d" % self.events + bytes(996))


# %%
predict(
    "05.ignored",
    "The client has read 1 to 8, then 16 to 18. Where are 9 to 15 now?",
    ["in the receive buffer", "in the kernel, until there is room", "nowhere"],
)

# %%
mac, reporter, app, s = start(Reporter)
for _ in range(15):
    reporter.report()
before = [int(record[:4]) for record in read_all(app, s)]
for _ in range(3):
    reporter.report()
after = [int(record[:4]) for record in read_all(app, s)]
print(before, "then", after)

left = field(mac, "so_rcv", "sb_cc")
reveal(
    "05.ignored",
    "in the receive buffer" if left else "nowhere",
    "The ninth was refused, and each one after it until the client read. Nobody kept them.",
)

# %%
assert (before, after) == ([1, 2, 3, 4, 5, 6, 7, 8], [16, 17, 18])
queue_figure(mac, unit=1)

# %% [markdown]
# Each cross is an ENOBUFS. The kernel said it seven times, and the kext did not listen. On the
# developer's machine the client was quick, and there was no cross at all.
#
# What should a kext do with a refused record? It depends on the record:
#
# | the record | on ENOBUFS |
# |:--|:--|
# | must arrive | keep it, and try again when there is room: 5.6 |
# | is one of many, like a line of a log | drop it, count it, and tell the client the count: question 2 |
# | describes a state that the next one describes again | keep the newest alone |
# | answers a message | return ENOBUFS from `send`: the client hears it, and may ask again |
#
# What it must not do is try again *in a loop*. In a callback the client waits for the end of the
# loop, and cannot read; anywhere else the loop burns a processor until it does.
#
# <small>● recorded: `stream-echo-overflow`: the callback sees ENOBUFS, the client nothing.</small>
#
# ## 5.4 What a record costs
#
# A record of one byte takes more than one byte of memory: it needs an mbuf, and an mbuf has 256
# bytes. Larger data brings *clusters* of 2048, 4096 or 16384 bytes. The buffer counts this memory,
# too, in `sb_mbcnt`:


# %%
class Large(Teller):
    size = 60_000


mac, teller, app, s = start(Large)
costs = {}
for size in (1, 50, 300, 2000, 4000, 5000):
    before = field(mac, "so_rcv", "sb_mbcnt")
    assert teller.tell(bytes(size)) == 0
    costs[size] = field(mac, "so_rcv", "sb_mbcnt") - before
    print(f"a record of {size:5,} bytes costs {costs[size]:6,}")

assert (costs[50], costs[300]) == (256, 512)
assert (costs[2000], costs[4000], costs[5000]) == (2304, 4352, 16640)  # recorded: flow-cluster-cost

# %% [markdown]
# (Those are the sizes of the recorded kernels. Rely on the rule, not on the numbers.)
#
# There is a limit for that memory, `sb_mbmax`: eight times `sb_hiwat`, so 65,536 by default.
# Whether the kernel asks for it depends on the control. First a *stream*, with a mark behind every
# byte, so that each is a record.

# %%
predict(
    "05.stream-records",
    "The receive buffer has 8192 bytes. How many one-byte records fit?",
    [8192, 1024, 256],
)


# %%
class StreamTeller(Teller):
    flags = CTL_FLAG_REG_SOCK_STREAM


def how_many(teller):
    """Queue records of one byte until one is refused."""
    n = 0
    while teller.tell(b"x") == 0:
        n += 1
    return n


mac, teller, app, s = start(StreamTeller, "SOCK_STREAM")

reveal("05.stream-records", how_many(teller), "Each costs an mbuf, and 256 times 256 is 65,536.")

# %%
assert teller.space() == 0  # and 256 of 8192 bytes are used
assert field(mac, "so_rcv", "sb_mbcnt") == 65_536  # recorded: flow-eor-records-default-stream

# %% [markdown]
# Now a datagram control. Both releases this lab knows answer, macOS 11 and macOS 15.

# %%
predict(
    "05.dgram-records",
    "One-byte datagrams: how many fit on macOS 11, and how many on macOS 15?",
    ["256 and 256", "8192 and 8192", "256 and 8192"],
)

# %%
fit = []
for release in ("xnu-7195.141.2", "xnu-11417.101.15"):
    mac, teller, app, s = start(Teller, release=release)
    fit.append(how_many(teller))

reveal(
    "05.dgram-records",
    f"{fit[0]} and {fit[1]}",
    "The newer kernel counts the bytes alone in the buffers of a datagram control.",
)

# %% [markdown]
# The same kext, compiled once, loses records on one release that it delivers on the other. Streams
# are alike on both.
#
# <small>● recorded: `flow-eor-records-default-stream`, and with a buffer of 100 bytes
# `flow-eor-records-dgram-tiny-buffer`, in which the two releases differ.</small>
#
# ## 5.5 Break it: divide the space
#
# `ctl_getenqueuespace` knows both limits, and answers with what is left of the smaller one. In
# *bytes*. This kext asks once, divides, and thinks that it need not look at an errno any more:
#
# ```c
# static void
# deliver(struct client *client, char (*records)[10], size_t count)
# {
#     size_t space, i;
#
#     if (ctl_getenqueuespace(client->ref, client->unit, &space) != 0)
#         return;
#     for (i = 0; i < count && i < space / 10; i++)      /* wrong */
#         ctl_enqueuedata(client->ref, client->unit, records[i], 10, CTL_DATA_EOR);
# }
# ```

# %%
predict(
    "05.divide",
    "An empty stream buffer of 8192 bytes, and 400 records of 10 bytes. How many arrive?",
    [400, 256, 0],
)

# %%
mac, teller, app, s = start(StreamTeller, "SOCK_STREAM")
room = teller.space() // 10
for n in range(min(400, room)):
    teller.tell(b"%010d" % n)
arrived = len(read_all(app, s))

print(f"room for {room} records, it seems")
reveal("05.divide", arrived, "There were bytes enough, but no memory for the 257th mbuf.")

# %% [markdown]
# Asking again before each record would have helped here. But between the question and the enqueue
# another thread of your kext may queue something, and the space may be gone. The number is good for
# plans: *is it worth beginning?* The answer that counts is the errno of the enqueue itself.
#
# <small>● recorded: `flow-eor-records-default-stream`, `flow-eor-records-stream-tiny-buffer`.
# ◌ documented only: another thread.</small>
#
# ## 5.6 Go on when the client has read
#
# Reading makes room. Then somebody has to tell the kext. The kernel can, with one more callback,
# `rcvd`: it runs inside the client's `recv`, after the data has left the buffer. That is
# [back-pressure](glossary.md#pressure): the speed of the reader becomes the speed of the kext.
# `rcvd` is private to the kernel; 5.7 says what the rest of us do. The loop below is the same for
# all.
#
# <!-- c:
# struct record { struct record *next; void *data; size_t length; };
# struct feed { kern_ctl_ref ref; u_int32_t unit; struct record *first; };
# void drop_first(struct feed *feed);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static void
# pump(struct feed *feed)
# {
#     struct record *r;
#
#     while ((r = feed->first) != NULL) {
#         if (ctl_enqueuedata(feed->ref,
#                 feed->unit, r->data,
#                 r->length, CTL_DATA_EOR))
#             break;      /* it stays first */
#         drop_first(feed);
#     }
# }
#
# static void
# feed_rcvd(kern_ctl_ref ref,
#           u_int32_t unit,
#           void *unitinfo, int flags)
# {
#     pump(unitinfo);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def pump(self):
#
#
#
#
#     while self.waiting:
#         if self.tell(self.waiting[0]):
#
#
#             break  # it stays first
#         del self.waiting[0]
#
#
#
#
# def rcvd(self, kctlref,
#          unit,
#          unitinfo, flags):
#
#     self.pump()
#
# ```
#
# </td></tr>
# </table>
#
# A small buffer of 300 bytes, and five records of 100.


# %%
class Feeder(Teller):
    """Keeps what does not fit, and goes on when the client has read."""

    flags = CTL_FLAG_REG_EXTENDED
    size = 300

    def __init__(self):
        super().__init__()
        self.waiting = []

    def post(self, data):
        self.waiting.append(data)
        self.pump()

    def pump(self):
        while self.waiting:
            if self.tell(self.waiting[0]):
                break  # it stays first
            del self.waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump()


mac, feeder, app, s = start(Feeder)
for letter in (b"a", b"b", b"c", b"d", b"e"):
    feeder.post(letter * 100)
assert len(feeder.waiting) == 2
assert feeder.space() == 0
full = len(mac.trace) - 1

# %%
predict(
    "05.rcvd",
    "The client reads one record. How many bytes are in the receive buffer when recv returns?",
    [200, 300, 400],
)

# %%
assert s.recv(100) == b"a" * 100
left = field(mac, "so_rcv", "sb_cc")

reveal("05.rcvd", left, "The next record was queued before recv returned.")

# %% [markdown]
# Step through it: the full buffer, the read, the callback inside the read, the refill. Four more
# reads, and all five records have come.

# %%
assert [s.recv(100)[:1] for _ in range(4)] == [b"b", b"c", b"d", b"e"]
assert feeder.waiting == []
Scope(mac, title="a read makes room", parts=["queues", "log", "scrubber"], at=full)

# %% [markdown]
# Nothing is lost, nothing comes twice, the order is kept. Three things to remember:
#
# - What waits in the kext is kernel memory. If the client never reads, it grows for ever: give it a
#   limit, and beyond it choose from the table in 5.3.
# - `rcvd` is called for a read. If there is nothing to read there is no call: the first records
#   have to be queued by `post`.
# - `post` and `rcvd` may run at the same time, on two threads. A real kext holds a lock of its own
#   around `pump`, or the order is gone.
#
# <small>● recorded: `flow-rcvd-refill`, `flow-drain-refill`; a peek is no read: `dgram-peek`.
# ◌ documented only: two threads.</small>
#
# ## 5.7 Break it: rcvd is never called
#
# The kernel looks at `ctl_rcvd` only if the registration has the flag CTL_FLAG_REG_EXTENDED. This
# kext has the callback, and forgot the flag.


# %%
class Deaf(Feeder):
    flags = 0


# %%
predict(
    "05.extended",
    "The same five records, the same buffer of 300 bytes. How many can the client read?",
    [3, 5, 0],
)

# %%
mac, deaf, app, s = start(Deaf)
for letter in (b"a", b"b", b"c", b"d", b"e"):
    deaf.post(letter * 100)

reveal(
    "05.extended",
    len(read_all(app, s)),
    "ctl_register says nothing, and two records wait for ever.",
)

# %% [markdown]
# And now the bad news. Flag and callback stand in the *private* part of `kern_control.h`; the
# kernel is compiled with it, your kext is not. (The content filter of macOS uses `rcvd` for this
# very purpose.) What can the rest of us do?
#
# - **Let the client ask.** It reads what there is, and sends a short message, *go on*; the send
#   callback pumps. That costs a message for each round, and works on every release: question 5.
# - **Try again later**, from a timer or with the next event. Simple, but late.
# - **Ask for a larger buffer** in `ctl_recvsize`. That moves the problem; it does not solve it.
#
# <small>● recorded: `reg-rcvd-needs-extended`. ◌ documented only: the content filter.</small>
#
# ## 5.8 Break it: half a message
#
# A message comes from two places: a head of 4 bytes and a body of 500. The kext queues the head,
# then the body with the mark, as in lesson 4.2. If one of them is refused, it keeps the message,
# and sends it again later, whole.


# %%
class TwoPieces(Teller):
    def say(self, head, body):
        error = self.tell(head, 0)
        if error == 0:
            error = self.tell(body, CTL_DATA_EOR)
        return error


# %%
predict(
    "05.half",
    "192 bytes are free: the body is refused. The client reads, the kext says it again. It hears?",
    ["HEAD and the body", "HEADHEAD and the body", "HEAD, then HEAD and the body"],
)

# %%
mac, kext, app, s = start(TwoPieces)
kext.tell(bytes(8000))
assert kext.say(b"HEAD", b"b" * 500) == ENOBUFS
s.recv(8000)
assert kext.say(b"HEAD", b"b" * 500) == 0
message = s.recv(8000)

heads = message.removesuffix(b"b" * 500).decode()
reveal("05.half", f"{heads} and the body", "The first head stayed, and its record was still open.")

# %% [markdown]
# What is queued stays queued; no call takes it back. Three cures:
#
# - one buffer and *one* enqueue for the message: then it is all or nothing;
# - remember which piece comes next, and go on there, not at the beginning;
# - ask `ctl_getenqueuespace` for all of it before the first piece (on one thread, and with 5.4 in
#   mind).
#
# `ctl_enqueuembuf_list` can stop in the middle, too. It hands back the packets it did not queue:
# send those, and only those.
#
# <small>● recorded: `dgram-coalesce-no-eor`, `dgram-list-overflow-remain`.</small>
#
# ## 5.9 Queue without waking
#
# Each enqueue wakes a client that sleeps in `recv`. An answer of ten records may wake it ten times.
# `CTL_DATA_NOWAKEUP` queues and lets it sleep; the *last* record goes without the flag.
#
# ```c
# static errno_t
# answer(struct client *client, char (*records)[10], size_t count)
# {
#     errno_t error = 0;
#     u_int32_t flags;
#
#     for (size_t i = 0; i < count && error == 0; i++) {
#         flags = CTL_DATA_EOR | (i + 1 < count ? CTL_DATA_NOWAKEUP : 0);
#         error = ctl_enqueuedata(client->ref, client->unit, records[i], 10, flags);
#     }
#     return error;
# }
# ```
#
# A program of the client waits for data, in the background:


# %%
class Reader:
    """Reads for ever. Written down: what it has read."""

    def __init__(self, s):
        self.s, self.heard = s, []

    def __call__(self, app):
        while True:
            self.heard.append(self.s.recv(2000))


mac, teller, app, s = start(Teller)
reader = Reader(s)
task = app.run(reader)
mac.run()
print(task)

# %%
predict(
    "05.nowakeup",
    "A record is queued with NOWAKEUP. What does the sleeping reader do?",
    ["it sleeps on", "it reads the record", "its recv fails"],
)

# %%
assert teller.tell(b"hello", CTL_DATA_EOR | CTL_DATA_NOWAKEUP) == 0
mac.run()
print(task)

reveal(
    "05.nowakeup",
    "it reads the record" if reader.heard else "it sleeps on",
    "The record is there, and nobody told the sleeper.",
)

# %% [markdown]
# The data is not hidden: `select` finds it, and a `recv` that begins *now* returns it at once. Only
# who sleeps already is not woken. The next ordinary enqueue wakes, and delivers both:

# %%
readable, _, _ = app.select.select([s], [], [], 0)
assert readable == [s]  # recorded: nowakeup
teller.tell(b"more")
mac.run()
assert reader.heard == [b"hello", b"more"]  # recorded: nowakeup-eor
space_time(mac.trace)

# %% [markdown]
# ## 5.10 Break it: the last one is refused
#
# The kext does it right: eight records of 1000 bytes with NOWAKEUP, the ninth and last one without
# it.

# %%
predict(
    "05.last",
    "The ninth record does not fit. How many records does the sleeping reader read?",
    [0, 8, 9],
)

# %%
mac, teller, app, s = start(Teller)
reader = Reader(s)
app.run(reader)
mac.run()
quiet = CTL_DATA_EOR | CTL_DATA_NOWAKEUP
errors = [teller.tell(bytes(1000), quiet) for _ in range(8)]
errors.append(teller.tell(bytes(1000), CTL_DATA_EOR))
mac.run()

reveal("05.last", len(reader.heard), "What is refused wakes nobody either.")

# %%
assert errors == [0] * 8 + [ENOBUFS]
log(mac.trace, len(mac.trace) - 22)

# %% [markdown]
# A full buffer, a reader that sleeps beside it, and a kext that waits until there is room: they
# wait for each other, for ever. A kext that uses NOWAKEUP makes sure first that everything fits, or
# it leaves the flag away: a wakeup too many is cheap. That is question 3. And do not try to wake
# with an enqueue of no bytes. It does wake; but an empty record in the queue
# [panics](glossary.md#panic) the kernel when somebody reads up to it.
#
# <small>● recorded: `nowakeup`, `nowakeup-eor`, `dgram-list-nowakeup`, `flow-one-too-many`,
# `empty-record-panic`.</small>
#
# ## 5.11 A reserve for critical data
#
# Some records matter more: if the buffer is full of chatter, *the interface is gone* should still
# arrive. The kernel has a flag for such controls, CTL_FLAG_REG_CRIT, and one for such data,
# CTL_DATA_CRIT. Both are private, as `rcvd` is; the network statistics of macOS use them. It is
# still worth knowing how they work, because you can build a reserve yourself: ask
# `ctl_getenqueuespace`, and hold ordinary data back while little is free.
#
# The rule: ordinary data is refused while *less than a quarter* of the buffer is free. Nine records
# of 1000 bytes:


# %%
class Critical(Teller):
    flags = CTL_FLAG_REG_CRIT


# %%
predict("05.crit", "How many of the nine ordinary records are queued?", [6, 7, 8])

# %%
mac, kext, app, s = start(Critical)
errors = [kext.tell(bytes(1000)) for _ in range(9)]

reveal(
    "05.crit",
    errors.count(0),
    "The quarter is tested before: with 6000 queued 2192 are free. The seventh may dig into it.",
)

# %%
assert kext.space() == 1192  # recorded: crit-reserve, crit-reserve-edge
print(errors)

# %% [markdown]
# Critical data may use all of the buffer. If even that is too little, the buffer *grows*, by a
# quarter at most, and shrinks again when the client reads.

# %%
critical = CTL_DATA_EOR | CTL_DATA_CRIT
sizes = []
while kext.tell(bytes(1000), critical) == 0:
    sizes.append(field(mac, "so_rcv", "sb_hiwat"))
print(sizes)

# %%
assert field(mac, "so_rcv", "sb_hiwat") == 8192 + 8192 // 4  # recorded: crit-grow-fails
s.recv(2000)
assert field(mac, "so_rcv", "sb_hiwat") < 8192 + 8192 // 4  # recorded: crit-trim-on-read

# %% [markdown]
# So critical data is refused as well, in the end, and its errno wants to be looked at like any
# other. `explain` knows five reasons for ENOBUFS. Four of them you have met; the fifth is a client
# that has shut its reading side.

# %%
explain(ENOBUFS, call="ctl_enqueuedata")

# %% [markdown]
# <small>● recorded: `crit-reserve`, `crit-reserve-edge`, `crit-grow-fails`, `crit-trim-on-read`,
# `flow-shutdown-rd-enqueue`. ◌ documented only: who uses the flags.</small>
#
# ## 5.12 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | Data that does not fit waits in the kernel. | It is refused with ENOBUFS, all of it; the kext keeps it or loses it. | `flow-one-too-many` |
# | The buffer holds `ctl_recvsize` bytes. | A stream's may be full of mbufs long before, and a datagram control's on macOS 11. | `flow-eor-records-default-stream`, `flow-eor-records-dgram-tiny-buffer` |
# | ENOBUFS: the client is slow, try later. | After the client's `shutdown(SHUT_RD)` it is ENOBUFS for ever, and no disconnect. | `flow-shutdown-rd-enqueue` |
# | The size of the buffer is the kext's to choose. | The client changes it with SO_RCVBUF. | `flow-setsockopt-rcvbuf` |
# | NOWAKEUP delays the data. | The data is there for whoever looks; only the sleeper is not woken. | `nowakeup` |
# | A short read of a datagram leaves the rest, and its room, taken. | The whole record goes, and with it all of its room. | `flow-partial-read-dgram`, `flow-partial-read-stream` |
# | A callback in the registration is called. | `rcvd` only with CTL_FLAG_REG_EXTENDED. | `reg-rcvd-needs-extended` |
# | The last quarter is for critical data alone. | It is tested before the enqueue; one ordinary record may dig into it. | `crit-reserve-edge` |
#
# ## 5.13 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("05")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - Towards the client records wait, up to `sb_hiwat` bytes; towards the kext nothing does.
# - **ENOBUFS** means: not a byte of this was queued, and it is yours again. Keep it, or drop it and
#   count.
# - A record costs mbufs, and on streams and older releases they count. `ctl_getenqueuespace` is for
#   plans; the errno of the enqueue is the truth.
# - Go on when the client has read: `rcvd` inside the kernel, a message from the client elsewhere.
#   Go on with what was *refused*, not from the beginning.
# - **NOWAKEUP** is for all but the last record, and only if the last one fits.
#
# Now the exercise: [5 · Flow control](../exercises/05-flow-control.ipynb).
