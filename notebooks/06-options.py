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
# # 6 · Options
#
# **The question.** A client asks a [kernel control](glossary.md#kernel-control) for a setting. It hands
# over a buffer of 4 bytes, the [kext](glossary.md#kext) has 9, and answers EINVAL. That is polite; and
# yet the machine stops. What did the kext do wrong?
#
# After this lesson you can
#
# - send commands to a kext with `setsockopt`, and ask it questions with `getsockopt`,
# - say which refusals come from the [kernel](glossary.md#kernel), and which from the kext,
# - ask for the size of an answer before you fetch it, and answer such a question,
# - write option [callbacks](glossary.md#callback) that survive any length.
#
# It takes about 25 minutes. You should know how to connect, and what a [unit](glossary.md#unit) is:
# lessons [1 · Registration](01-registration.ipynb) and [3 · Units](03-units.ipynb).
#
# ## 6.1 Commands beside the data
#
# So far every byte for the kext went through `send`. Settings and commands have a way of their own:
# socket options. An option has a *level* that says who is meant, here `SYSPROTO_CONTROL`, a *number*
# the kext chooses, and a *value* of any length. The kernel calls the kext back inside the system call.
#
# Our kext has one option to set and to get, number 1: a label of up to 16 bytes for each
# client.
#
# <!-- c:
# #define OPT_LABEL 1
# struct client { char label[16]; size_t length; };
# -->
#
# <table>
# <tr><th align="left">C, as in a real kext</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static errno_t
# label_setopt(kern_ctl_ref ref,
#              u_int32_t unit,
#              void *unitinfo, int opt,
#              void *data, size_t len)
# {
#     struct client *client = unitinfo;
#
#     if (opt != OPT_LABEL)
#         return EOPNOTSUPP;
#     if (data == NULL || len > 16)
#         return EINVAL;
#     memcpy(client->label, data, len);
#     client->length = len;
#     return 0;
# }
#
# static errno_t
# label_getopt(kern_ctl_ref ref,
#              u_int32_t unit,
#              void *unitinfo, int opt,
#              void *data, size_t *len)
# {
#     struct client *client = unitinfo;
#     size_t room = *len;
#
#     *len = 0;
#     if (opt != OPT_LABEL)
#         return EOPNOTSUPP;
#     if (data == NULL) {
#         *len = client->length;
#         return 0;
#     }
#     if (room < client->length)
#         return EINVAL;
#     memcpy(data, client->label,
#            client->length);
#     *len = client->length;
#     return 0;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def setopt(self, kctlref,
#            unit,
#            unitinfo, opt,
#            data, length):
#
#
#
#     if opt != OPT_LABEL:
#         return EOPNOTSUPP
#     if data is None or length > 16:
#         return EINVAL
#     unitinfo.label = data
#
#     return 0
#
#
# def getopt(self, kctlref,
#            unit,
#            unitinfo, opt,
#            data, length):
#
#
#     label = unitinfo.label
#     length.value = 0
#     if opt != OPT_LABEL:
#         return EOPNOTSUPP
#     if data is None:
#         length.value = len(label)
#         return 0
#
#     if len(data) < len(label):
#         return EINVAL
#     data[:len(label)] = label
#
#     length.value = len(label)
#     return 0
# ```
#
# </td></tr>
# </table>
#
# In `setopt`, `data` is the kernel's copy of the client's value. In `getopt` it is a buffer to fill, and
# `len` goes both ways: it comes in as the size of the buffer, and goes out as the size of the answer.

# %%
from dataclasses import dataclass

from kextlab import Kernel, Scope, explain
from kextlab.abi.errno import EINVAL, ENOTSUP, EOPNOTSUPP
from kextlab.course import predict, retrieve, reveal
from kextlab.kernel.kpi import KernCtlReg
from kextlab.kexts import EchoKext
from kextlab.sched import KernelPanic
from kextlab.views import log, units_picture

OPT_LABEL = 1


@dataclass
class Client:
    """What the kext keeps of one client."""

    label: bytes = b""


class LabelKext(EchoKext):
    """A control with one option, a label for each client."""

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_setopt=self.setopt,
            ctl_getopt=self.getopt,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = Client()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is None or length > 16:
            return EINVAL
        unitinfo.label = data
        return 0

    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        length.value = 0
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is None:
            length.value = len(label)
            return 0
        if len(data) < len(label):
            return EINVAL
        data[: len(label)] = label
        length.value = len(label)
        return 0


def connected(factory):
    """A fresh Mac with this kext, a process, and its connected socket."""
    mac = Kernel()
    mac.load(factory)
    app = mac.spawn("client", uid=501)
    module = app.socket
    s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    s.connect((1, 0))
    return mac, app, s


mac, app, s = connected(LabelKext)
LEVEL = app.socket.SYSPROTO_CONTROL
units_picture(mac.trace)

# %% [markdown]
# Two pipes, and both are for `send` and `recv`. The kext has no `send` callback at all.

# %%
predict(
    "06.where",
    "The client sets its label to 5 bytes. How many bytes wait in the two buffers afterwards?",
    [0, 5, 10],
)

# %%
before = len(mac.trace)
s.setsockopt(LEVEL, OPT_LABEL, b"alpha")
buffers = mac.snapshot()
waiting = buffers["so_rcv:1"]["sb_cc"] + buffers["so_snd:1"]["sb_cc"]

reveal(
    "06.where",
    waiting,
    "Options pass the buffers by: the value goes straight into the callback, and nothing waits.",
)

# %%
assert s.getsockopt(LEVEL, OPT_LABEL, 16) == b"alpha"  # recorded: opt-get
log(mac.trace, before)

# %% [markdown]
# So an option needs no space and is never queued: when `setsockopt` returns, the kext has dealt with
# it, and its [errno](glossary.md#errno) is the client's. Use the arrow keys to go into the callback and
# out again:

# %%
Scope(mac, title="an option set, an option read", parts=["topology", "log", "scrubber"])

# %% [markdown]
# A value may be empty: then `setopt` gets a null pointer and length 0. That is how a command without
# an argument looks. It may also be large, far larger than the send buffer. The number is any `int`.
#
# <small>● recorded: `opt-set`, `opt-set-large`, `opt-get`.</small>
#
# ## 6.2 Who says no?
#
# The kernel knows nothing about a kext's options. It can only refuse what never reaches the kext. The
# plain echo kext has registered neither `setopt` nor `getopt`.

# %%
predict(
    "06.none",
    "A control has no setopt callback. What does setsockopt answer?",
    ["0: nobody minds", "EINVAL (22)", "ENOTSUP (45)", "EOPNOTSUPP (102)"],
)

# %%
_, _, plain = connected(EchoKext)
try:
    plain.setsockopt(LEVEL, OPT_LABEL, b"alpha")
except OSError as error:
    refusal = error
    print(explain(error, call="setsockopt"))

assert refusal.errno == ENOTSUP  # recorded: opt-set-missing
reveal("06.none", f"ENOTSUP ({refusal.errno})", "The kernel says it: this control has no options.")

# %% [markdown]
# That leaves 102, EOPNOTSUPP, for the kext: *I have options, but not this one*. A client can tell the
# two apart. And a socket that is not connected belongs to no kext, so the kernel answers EINVAL.

# %%
module = app.socket
alone = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
answers = []
for socket, option in ((alone, OPT_LABEL), (s, 99)):
    try:
        socket.setsockopt(LEVEL, option, b"alpha")
    except OSError as error:
        answers.append(error.errno)

assert answers == [EINVAL, EOPNOTSUPP]  # recorded: opt-unconnected

# %% [markdown]
# <small>● recorded: `opt-set-missing`, `opt-unconnected`, `opt-get-error`.</small>
#
# ## 6.3 How large is the answer?
#
# A client cannot know how long the label is. It asks first, with a *null pointer* for a buffer. The
# kext gets no buffer either, and answers with a length alone. Then the client makes room and asks again.
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static void *
# fetch(int fd, int opt, socklen_t *length)
# {
#     void *value;
#
#     *length = 0;
#     if (getsockopt(fd, SYSPROTO_CONTROL,
#             opt, NULL, length) == -1)
#         err(1, "size query");
#     value = malloc(*length);
#     if (value == NULL)
#         errx(1, "no memory");
#     if (getsockopt(fd, SYSPROTO_CONTROL,
#             opt, value, length) == -1)
#         err(1, "getsockopt");
#     return value;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def fetch(s, opt):
#
#
#
#
#
#
#
#     size = size_of(app, s, opt)
#
#
#
#     return s.getsockopt(
#         LEVEL, opt, size)
#
#
#
# ```
#
# </td></tr>
# </table>
#
# Python's own `getsockopt` has no null pointer to give. `size_of` makes the bare system call, which is
# what C does:


# %%
def size_of(app, s, option):
    """What getsockopt says of an option's size: the call with a null pointer."""
    errno, (size, _) = app.gate.getsockopt(app.pid, s.fileno(), LEVEL, option, None)
    if errno:
        raise OSError(errno, "getsockopt")
    return size


# %%
predict(
    "06.size",
    "The label is b'alpha'. Which size does the query report?",
    [0, 5, 16],
)

# %%
reveal(
    "06.size", size_of(app, s, OPT_LABEL), "What getopt left in its length, and nobody checks it."
)

# %%
assert s.getsockopt(LEVEL, OPT_LABEL, size_of(app, s, OPT_LABEL)) == b"alpha"

# %% [markdown]
# A buffer of length 0 is a size query as well, even if the pointer is a good one. Whatever the kext
# claims is passed on: a kext that says 123456 is believed.
#
# <small>● recorded: `opt-size-query`, `opt-size-query-zero-len`, `opt-size-query-claim`.</small>
#
# ## 6.4 Break it: believe every number
#
# A kext that answers 0 to options it does not know seems friendly to clients that are newer than it.


# %%
class Friendly(LabelKext):
    """Has no quarrel with anybody."""

    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt == OPT_LABEL:
            return super().setopt(kctlref, unit, unitinfo, opt, data, length)
        return 0

    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt == OPT_LABEL:
            return super().getopt(kctlref, unit, unitinfo, opt, data, length)
        return 0


# %%
predict(
    "06.unknown",
    "The client reads option 99, which Friendly does not know, into a buffer that holds b'????'. "
    "What does it get?",
    ["an error", "0 bytes", "4 bytes: its own b'????'"],
)

# %%
mac, app, s = connected(Friendly)
errno, (length, answer) = app.gate.getsockopt(app.pid, s.fileno(), LEVEL, 99, b"????")
assert (errno, answer) == (0, b"????")  # recorded: opt-get-panic-by-one

reveal(
    "06.unknown",
    f"{length} bytes: its own {answer}",
    "The kernel copies the client's buffer in, the kext writes nothing, and all of it goes back.",
)

# %% [markdown]
# The length came in as 4 and was left alone: *claimed*, but not written. With success as the answer,
# the client takes its own old bytes for the kext's. So set the length on every path, and answer
# EOPNOTSUPP to what you do not know.
#
# <small>● recorded: `opt-get`, `opt-get-shorter`, `opt-get-panic-by-one`.</small>
#
# ## 6.5 Break it: do not look at the length
#
# This `setopt` expects a number of four bytes. So did its author.
#
# <!-- c:
# struct limits { uint32_t limit; };
# -->
#
# ```c
# static errno_t
# limit_setopt(kern_ctl_ref ref, u_int32_t unit, void *unitinfo,
#              int opt, void *data, size_t len)
# {
#     struct limits *client = unitinfo;
#
#     client->limit = *(uint32_t *)data;   /* len? */
#     return 0;
# }
# ```


# %%
class Unchecked(LabelKext):
    """Takes the first four bytes, be there four or not."""

    limit = None

    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        self.limit = data[0] | data[1] << 8 | data[2] << 16 | data[3] << 24
        return 0


# %%
predict(
    "06.length",
    "A client sets the option to an empty value. What happens?",
    ["EINVAL (22)", "the limit is 0", "a panic"],
)

# %%
mac, app, s = connected(Unchecked)
s.setsockopt(LEVEL, OPT_LABEL, 7)  # four bytes: fine
try:
    s.setsockopt(LEVEL, OPT_LABEL, b"")
except KernelPanic as panic:
    print(panic)

reveal(
    "06.length",
    "a panic" if mac.panic else "the limit is 0",
    "No bytes, no buffer: data is a null pointer, and the kext follows it.",
)

# %% [markdown]
# With two bytes C would read on behind the kernel's copy and take what lies there. The lab stops at
# once, with a [panic](glossary.md#panic); a Mac may go on with a wrong limit, which is worse. The kernel promises you one
# thing only: `data` has `len` bytes. The client chooses `len`, and need not be your client.
#
# <small>● recorded: `opt-set` (an empty value is a null pointer). ◌ documented only: what lies behind
# the copy.</small>
#
# ## 6.6 Break it: claim more than there is room
#
# Now to the question. This `getopt` sets the length first, and then looks whether the label fits. It
# refuses if not.


# %%
class Boastful(LabelKext):
    """Says how long the label is, whatever else it says."""

    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        length.value = len(unitinfo.label)
        if data is None:
            return 0
        if len(data) < len(unitinfo.label):
            return EINVAL
        data[: length.value] = unitinfo.label
        return 0


# %%
predict(
    "06.claim",
    "The label has 9 bytes, the client's buffer 4. The kext answers EINVAL. What comes of it?",
    ["EINVAL (22)", "the first 4 bytes", "a panic"],
)

# %%
mac, app, s = connected(Boastful)
s.setsockopt(LEVEL, OPT_LABEL, b"my client")
assert s.getsockopt(LEVEL, OPT_LABEL, 16) == b"my client"
try:
    s.getsockopt(LEVEL, OPT_LABEL, 4)
except KernelPanic as panic:
    print(explain(panic, call="getsockopt"))
    print()
    print(panic.report)

reveal(
    "06.claim",
    "a panic" if mac.panic else "EINVAL (22)",
    "The kernel checks the claimed length before it looks at the errno.",
)

# %%
assert "returned len (9) > sopt_valsize (4)" in str(mac.panic)  # recorded: opt-get-panic-with-error

# %% [markdown]
# Read the report. It names the control, the length that was claimed, and the room there was. The kernel
# must assume that the kext wrote those 9 bytes into 4, over somebody else's memory. One byte is
# enough, and any client can do it: a bug in `getopt` is a way for every process to stop the machine.
#
# So: length 0 first, then the checks, and the true length last, as `LabelKext` does.
#
# <small>● recorded: `opt-get-panic`, `opt-get-panic-by-one`, `opt-get-panic-with-error`.</small>
#
# ## 6.7 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | An error from getopt is simply the client's error. | Only if the claimed length fits the buffer; else a panic comes first. | `opt-get-error`, `opt-get-panic-with-error` |
# | The size comes with a null pointer. | Length 0 with a real pointer is the same question. | `opt-size-query`, `opt-size-query-zero-len` |
# | The kernel checks lengths for you. | In getopt with a buffer. Not in setopt, and not in a size query. | `opt-set`, `opt-size-query-claim` |
# | After `shutdown` a socket is of no more use. | Options still reach the kext. | `opt-after-shutdown` |
#
# The last line, tried:

# %%
mac, app, s = connected(LabelKext)
try:
    s.shutdown(app.socket.SHUT_RDWR)
except OSError as error:
    print(explain(error, call="shutdown"))

s.setsockopt(LEVEL, OPT_LABEL, b"still here")
assert s.getsockopt(LEVEL, OPT_LABEL, 16) == b"still here"  # recorded: opt-after-shutdown

# %% [markdown]
# ## 6.8 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("06")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - Options go straight to the kext, past the buffers; its errno is the client's.
# - No callback is ENOTSUP, from the kernel. An unknown option is EOPNOTSUPP, from you, never 0.
# - No buffer means: *how large?* Answer with a length, and write nothing.
# - Check every length in `setopt`; in `getopt` never claim more than the buffer holds, nor more than you
#   wrote, not even beside an error.
#
# Now the exercise: [6 · Options](../exercises/06-options.ipynb).
