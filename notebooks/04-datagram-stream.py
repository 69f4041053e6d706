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
# # 4 · Datagram and stream
#
# **The question.** A [kext](glossary.md#kext) queues two messages, `one` and `two`, for a client with
# a [datagram](glossary.md#datagram) socket. The client reads one message, and it is `onetwo`. Did
# datagrams not keep their borders?
#
# After this lesson you can
#
# - say where a [queued record](glossary.md#record) begins and ends, and who decides it,
# - read a message that arrives in several [mbufs](glossary.md#mbuf), and leave none behind,
# - choose between a datagram and a stream control, and know what EPROTOTYPE complains about,
# - send messages over a stream, and read them whole again.
#
# It takes about 25 minutes. You should know lesson [3](03-units.ipynb), about [units](glossary.md#unit).
#
# ## 4.1 One queue, some records
#
# What the kext queues for a client waits in the receive buffer of the client's socket. The buffer is
# a list of records, and each record is a chain of mbufs, the pieces of memory in which the
# [kernel](glossary.md#kernel) moves data. A read on a datagram socket takes the first record.
#
# This kext says whatever we tell it to say, and remembers how messages came in.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.abi.constants import CTL_DATA_EOR, CTL_FLAG_REG_SOCK_STREAM
from kextlab.abi.errno import EMSGSIZE, EPROTOTYPE
from kextlab.course import predict, retrieve, reveal
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext
from kextlab.views import log, units_picture


class Teller(EchoKext):
    """Queues what it is told to; writes down the mbufs of what it hears."""

    flags = 0  # of the registration: a datagram control

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=self.flags,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        self.heard = []
        return self.kpi.ctl_register(reg, self.ctlref)

    def tell(self, data, flags=0):
        return self.kpi.ctl_enqueuedata(self.ctlref.value, 1, data, len(data), flags)

    def records(self):
        count = Out()
        self.kpi.ctl_getenqueuepacketcount(self.ctlref.value, 1, count)
        return count.value

    def send(self, kctlref, unit, unitinfo, m, flags):
        lengths, link = [], m
        while link is not None:
            lengths.append(self.kpi.mbuf_len(link))
            link = self.kpi.mbuf_next(link)
        self.heard.append(lengths)
        self.kpi.mbuf_freem(m)
        return 0


def new_socket(app, kind="SOCK_DGRAM"):
    """A control socket that is not connected."""
    module = app.socket
    return module.socket(module.PF_SYSTEM, getattr(module, kind), module.SYSPROTO_CONTROL)


def connect(app, kind="SOCK_DGRAM"):
    """A client of the only control there is."""
    s = new_socket(app, kind)
    s.connect((1, 0))
    return s


mac = Kernel()
teller = mac.load(Teller)
s = connect(mac.spawn("client"))
units_picture(mac.trace)

# %%
predict(
    "04.merge",
    "The kext queues b'one', then b'two', with flags 0. What does recv(100) return?",
    [b"one", b"onetwo", b"two"],
)

# %%
assert teller.tell(b"one") == 0
assert teller.tell(b"two") == 0
waiting = teller.records()

reveal("04.merge", s.recv(100), "Nobody said where the record ends, so the second piece joined it.")

# %%
assert waiting == 1  # recorded: dgram-coalesce-no-eor

# %% [markdown]
# One call of `ctl_enqueuedata` is not one message. It *continues* the last record, unless that one
# has been closed.
#
# ## 4.2 Who ends a record
#
# The kext does, with `CTL_DATA_EOR`: this piece is the last one of its record.
#
# <!-- c:
# static void say(kern_ctl_ref ref, u_int32_t unit, void *head, size_t hlen, void *body, size_t blen);
# -->
#
# <table>
# <tr><th align="left">C, as in a real kext</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static void
# say(kern_ctl_ref ref, u_int32_t unit,
#     void *head, size_t hlen,
#     void *body, size_t blen)
# {
#     errno_t error;
#
#     error = ctl_enqueuedata(ref, unit,
#         head, hlen, 0);
#     if (error == 0)
#         error = ctl_enqueuedata(ref, unit,
#             body, blen, CTL_DATA_EOR);
#     if (error != 0)
#         printf("say: %d\n", error);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def say(self, ref, unit,
#         head, body):
#     kpi = self.kpi
#
#
#
#     error = kpi.ctl_enqueuedata(ref, unit,
#         head, len(head), 0)
#     if error == 0:
#         error = kpi.ctl_enqueuedata(ref, unit,
#             body, len(body), CTL_DATA_EOR)
#     if error != 0:
#         kpi.printf(f"say: {error}")
#
# ```
#
# </td></tr>
# </table>
#
# So merging is of use too: a head and a body from two places make one message.

# %%
predict(
    "04.marks",
    "Pieces: b'he' and b'llo' with a mark, then b'wor' and b'ld' without. How many records?",
    [1, 2, 4],
)

# %%
mac = Kernel()
teller = mac.load(Teller)
s = connect(mac.spawn("client"))
teller.tell(b"he")
teller.tell(b"llo", CTL_DATA_EOR)
teller.tell(b"wor")
teller.tell(b"ld")

reveal("04.marks", teller.records(), "The mark closes the first record. The second is still open.")

# %% [markdown]
# Step back through the queue: each step shows which record a piece joins.

# %%
Scope(mac, title="records in the receive buffer", parts=["queues", "log", "scrubber"])

# %%
assert s.recv(100) == b"hello"
assert s.recv(100) == b"world"  # recorded: dgram-eor-separates, dgram-mixed-data-mbuf

# %% [markdown]
# Look at the second read: a record need not be closed to be read. A client that is quick gets
# `wor`, a slow one `world`. That is how this mistake hides on a developer's machine.
#
# `ctl_enqueuembuf_list` is the exception: each packet of its list is a record without any mark.
#
# <small>● recorded: `dgram-coalesce-no-eor`, `dgram-eor-separates`, `dgram-list-records`.</small>
#
# ## 4.3 A read that is too small
#
# The message has six bytes, the client's buffer three. A second message waits behind it.

# %%
predict(
    "04.truncate",
    "After recv(3) has returned b'abc', what does the next recv(100) return?",
    [b"def", b"next", b"defnext"],
)

# %%
teller.tell(b"abcdef", CTL_DATA_EOR)
teller.tell(b"next", CTL_DATA_EOR)
assert s.recv(3) == b"abc"

reveal("04.truncate", s.recv(100), "A read of a datagram takes the whole record out of the queue.")

# %% [markdown]
# The rest is gone, and `recv` gave no sign of it: no error, and 3 is what you asked for. Only
# `recvmsg` tells, with a flag:

# %%
teller.tell(b"abcdef", CTL_DATA_EOR)
data, _, flags, _ = s.recvmsg(3)
assert data == b"abc"
assert flags & mac.processes[0].socket.MSG_TRUNC  # recorded: dgram-truncate-recv, recvx-truncate

# %% [markdown]
# ## 4.4 What a message looks like from inside
#
# The other direction. One `send` on a datagram socket is one call of the kext's send
# [callback](glossary.md#callback), with the whole message; a message larger than the send buffer,
# 2048 bytes by default, is refused before the kext hears of it.

# %%
assert s.send(bytes(2048)) == 2048
try:
    s.send(bytes(2049))
except OSError as error:
    refusal = error
    print(explain(error, call="send"))

assert refusal.errno == EMSGSIZE  # recorded: dgram-send-emsgsize
assert len(teller.heard) == 1

# %% [markdown]
# The callback gets an `mbuf_t`. That is the *first* mbuf of a chain. How long is the chain?

# %%
predict(
    "04.chain",
    "The client sends 100 bytes. How many bytes are in the first mbuf?",
    [100, 80, 64],
)

# %%
s.send(bytes(100))

reveal(
    "04.chain", teller.heard[-1][0], "The first mbuf has its header inside, and 80 bytes are left."
)

# %%
for size in (10, 80, 100, 300):
    s.send(bytes(size))
    print(f"{size:4} bytes: mbufs of {teller.heard[-1]} bytes")
    assert sum(teller.heard[-1]) == size

# %% [markdown]
# How a message is cut into mbufs is the kernel's business and may change. Rely on two things only:
# the header of the first mbuf knows the length of all, and `mbuf_copydata` walks the chain for you.
#
# <small>● recorded: `dgram-large-send` (the length in the header). ◌ documented only: where the
# kernel cuts.</small>
#
# ## 4.5 Break it: only the first mbuf
#
# This kext was tested with short messages.
#
# <table>
# <tr><th align="left">wrong</th><th align="left">right</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static size_t
# take_first(mbuf_t m, char *buffer)
# {
#     size_t length = mbuf_len(m);
#
#     memcpy(buffer, mbuf_data(m),
#            length);
#     mbuf_freem(m);
#     return length;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```c
# static size_t
# take_all(mbuf_t m, char *buffer)
# {
#     size_t length = mbuf_pkthdr_len(m);
#
#     if (mbuf_copydata(m, 0, length, buffer))
#         length = 0;
#     mbuf_freem(m);
#     return length;
# }
# ```
#
# </td></tr>
# </table>


# %%
class FirstMbuf(EchoKext):
    """Echoes the data of the first mbuf."""

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = self.kpi.mbuf_data(m)
        self.kpi.mbuf_freem(m)
        return self.kpi.ctl_enqueuedata(kctlref, unit, data, len(data), CTL_DATA_EOR)


# %%
predict(
    "04.first",
    "The client sends 79 bytes, then 200. How long are the two echoes?",
    ["79 and 200", "79 and 80", "79 and an error"],
)

# %%
mac = Kernel()
mac.load(FirstMbuf)
s = connect(mac.spawn("client"))
s.send(bytes(79))
s.send(bytes(200))

reveal(
    "04.first", f"{len(s.recv(500))} and {len(s.recv(500))}", "No error anywhere: it is just less."
)

# %% [markdown]
# (In C, `take_all` also has to ask whether the buffer is large enough. A length comes from the client.)
#
# ## 4.6 Break it: an mbuf never freed
#
# The send callback *owns* the chain it is given. If it returns, whatever it returns, and has not freed
# the chain, nobody will.


# %%
class Forgetful(EchoKext):
    """Refuses messages it does not like. It ought to free them first."""

    def send(self, kctlref, unit, unitinfo, m, flags):
        if self.kpi.mbuf_pkthdr_len(m) > 50:
            return EMSGSIZE
        return super().send(kctlref, unit, unitinfo, m, flags)


# %%
predict(
    "04.leak",
    "The callback refuses a message of 100 bytes with EMSGSIZE. How many mbufs are left over?",
    ["none: the kernel frees what was refused", "1", "2"],
)

# %%
mac = Kernel()
forgetful = mac.load(Forgetful)
s = connect(mac.spawn("client"))
try:
    s.send(bytes(100))
except OSError as error:
    refusal = error

assert refusal.errno == EMSGSIZE
reveal("04.leak", len(mac.leaks(forgetful)), "The chain had two, and an error is no gift back.")

# %%
s.close()
mac.leaks(forgetful)  # closing does not help

# %% [markdown]
# Only a boot gives this memory back. A client that sends such messages all day takes the machine
# down. And `mbuf_free` is no cure: it frees *one* mbuf and returns the next; `mbuf_freem` frees the
# chain.
#
# ## 4.7 The other kind: a stream
#
# With `CTL_FLAG_REG_SOCK_STREAM` the control takes SOCK_STREAM sockets, and only those. Without it,
# SOCK_DGRAM and only that. You cannot have one control for both; register two.


# %%
class Stream(Teller):
    flags = CTL_FLAG_REG_SOCK_STREAM


mac = Kernel()
teller = mac.load(Stream)
app = mac.spawn("client")

# %%
predict(
    "04.type",
    "A datagram socket connects to this stream control. What does connect answer?",
    ["it works, and reads as a stream", "ENOENT (2)", "EPROTOTYPE (41)"],
)

# %%
try:
    new_socket(app, "SOCK_DGRAM").connect((1, 0))
except OSError as error:
    refusal = error

assert refusal.errno == EPROTOTYPE
reveal(
    "04.type",
    f"EPROTOTYPE ({refusal.errno})",
    "The control was found; the socket is the wrong kind.",
)

# %% [markdown]
# <small>● recorded: `conn-wrong-type-dgram`, `conn-wrong-type-stream`.</small>
#
# On a stream the same two enqueues as in 4.1 do what one expects of a stream, and a read takes as
# many bytes as it asks for. What was not read stays.

# %%
s = connect(app, "SOCK_STREAM")
teller.tell(b"one")
teller.tell(b"two")
assert [s.recv(2), s.recv(100)] == [b"on", b"etwo"]  # recorded: stream-basic

# %% [markdown]
# And the client's side? It sends 5000 bytes in one call.

# %%
predict(
    "04.pieces",
    "How often is the kext's send callback called?",
    ["once, with 5000 bytes", "3 times", "never: EMSGSIZE"],
)

# %%
assert s.send(bytes(5000)) == 5000
pieces = [sum(lengths) for lengths in teller.heard]
print(pieces)

reveal("04.pieces", f"{len(pieces)} times", "A stream is cut to what the send buffer holds: 2048.")

# %%
assert sum(pieces) == 5000  # recorded: stream-send-large-error
log(mac.trace, len(mac.trace) - 12)

# %% [markdown]
# A callback that refuses the second piece makes the whole `send` fail, though the first piece has
# been delivered. The client cannot tell how much went through.
#
# ## 4.8 A mark on a stream
#
# A kext may mark records on a stream as well. Then a read stops at the mark.

# %%
predict(
    "04.stop",
    "A stream. b'one' and b'two' are queued, both with CTL_DATA_EOR. What does recv(100) return?",
    [b"onetwo", b"one"],
)

# %%
teller.tell(b"one", CTL_DATA_EOR)
teller.tell(b"two", CTL_DATA_EOR)

reveal("04.stop", s.recv(100), "The read takes bytes up to the mark, never beyond it.")

# %%
assert s.recv(100) == b"two"  # recorded: stream-eor
teller.tell(b"abcde", CTL_DATA_EOR)
assert [s.recv(3), s.recv(3)] == [b"abc", b"de"]  # recorded: stream-eor-partial

# %% [markdown]
# Is a stream with marks a datagram then? No: what does not fit the read stays for the next one, and
# `recv` alone does not show where a record ended. In the other direction there are no marks at all.
# Whoever wants messages on a stream has to put the borders into the bytes.
#
# ## 4.9 Break it: the short read
#
# So our client and kext agree: four bytes of length, the most significant first, then so many bytes.
# The client reads four bytes, then the body.
#
# <!-- c:
# static ssize_t read_exactly(int fd, void *data, size_t length);
# -->
#
# <table>
# <tr><th align="left">wrong</th><th align="left">right</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static ssize_t
# body(int fd, char *data, size_t n)
# {
#     return read(fd, data, n);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```c
# static ssize_t
# read_exactly(int fd, void *data,
#              size_t length)
# {
#     size_t have = 0;
#
#     while (have < length) {
#         ssize_t n = read(fd,
#             (char *)data + have,
#             length - have);
#         if (n <= 0)
#             return n;
#         have += n;
#     }
#     return have;
# }
# ```
#
# </td></tr>
# </table>
#
# The kext has queued a frame of eleven bytes, but so far only a part of it has arrived.

# %%
predict(
    "04.short",
    "The head says 11. b'hello ' has arrived, the rest has not. What does recv(11) return?",
    ["b'hello '", "it waits for all 11 bytes", "an error"],
)

# %%
teller.tell((11).to_bytes(4, "big") + b"hello ")
length = int.from_bytes(s.recv(4), "big")
assert length == 11
part = s.recv(length)

reveal("04.short", repr(part), "recv waits for the first byte, not for the last.")

# %% [markdown]
# A short read is no error, and it will not happen while you test: a frame that is queued in one call
# is read in one call. Loop until you have what you need.


# %%
def read_exactly(s, length):
    data = b""
    while len(data) < length:
        piece = s.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


teller.tell(b"wor", CTL_DATA_EOR)
teller.tell(b"ld")
assert part + read_exactly(s, 5) == b"hello world"  # recorded: stream-wrong-size

# %% [markdown]
# `MSG_WAITALL` waits for more bytes, too, but it is no cure here: a mark ends it early.

# %%
teller.tell(b"wor", CTL_DATA_EOR)
teller.tell(b"ld", CTL_DATA_EOR)
assert s.recv(5, app.socket.MSG_WAITALL) == b"wor"
assert s.recv(5) == b"ld"

# %% [markdown]
# The kext's side has the same task, and no loop to do it in: each callback brings a piece, and what is
# left over must wait with the client, in its [unitinfo](glossary.md#cookie). That is question 5.
#
# <small>● recorded: `stream-waitall`, `stream-wrong-size`, `stream-eor`.</small>
#
# ## 4.10 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | On a datagram control each enqueue is a datagram. | Each record is. Without CTL_DATA_EOR enqueues merge into one. | `dgram-coalesce-no-eor` |
# | Each packet of a list needs its mark. | A list makes one record of each packet; the mark is EINVAL. But later data joins the last one. | `dgram-list-records`, `dgram-list-eor-einval`, `dgram-list-then-data` |
# | A datagram is read whole or not at all. | It is cut to the read, without an error; the rest is lost. | `dgram-truncate-recv` |
# | A stream has no records. | A read stops at CTL_DATA_EOR. | `stream-eor` |
# | One send, one callback. | On a stream one callback for each piece; if one fails, the whole send does. | `stream-send-large-error` |
# | MSG_WAITALL returns all that was asked for. | A datagram has only its own bytes. | `dgram-waitall` |
#
# ## 4.11 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("04")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - A **record** ends where the kext says so: `CTL_DATA_EOR` with its last piece.
# - A datagram read takes one record and throws the rest of it away; a stream read takes bytes and stops
#   at a mark.
# - A message is a **chain**: `mbuf_pkthdr_len`, `mbuf_copydata`, and `mbuf_freem` on every way out.
# - The socket must be of the control's kind: EPROTOTYPE.
# - On a stream, borders are yours: a length in front, and a loop that reads until it has it all.
#
# Now the exercise: [4 · Datagram and stream](../exercises/04-datagram-stream.ipynb).
