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
# # 1 · Registration
#
# **The question.** A [kext](glossary.md#kext) runs inside the [kernel](glossary.md#kernel), your program
# runs outside. How does the program find the kext, how do bytes get from one to the other, and how does
# the kext leave without taking the machine along?
#
# After this lesson you can
#
# - register a [kernel control](glossary.md#kernel-control), field by field, and say what the kernel
#   fills in for you,
# - tell a [descriptor](glossary.md#descriptor), a [control id](glossary.md#control-id) and a
#   [unit](glossary.md#unit) apart,
# - say where a message waits, and what happens to the byte that does not fit,
# - name four ways in which a kext deregisters wrongly, and read a [panic](glossary.md#panic) report.
#
# It takes about 25 minutes. You should know lesson [0 · The map](00-map.ipynb). The Mac is simulated, so
# you may break everything: do.
#
# ## 1.1 Three numbers
#
# The cell below loads a kext, starts a process, and connects the two. The rest of the lesson takes these
# lines apart.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.course import predict, retrieve, reveal
from kextlab.kexts import EchoKext, KextError
from kextlab.sched import KernelPanic
from kextlab.views import log, units_picture

mac = Kernel()
echo = mac.load(EchoKext)  # it sends every message back to whoever sent it
app = mac.spawn("client", uid=501)
socket, fcntl = app.socket, app.fcntl  # this process's modules, as Python has them on a Mac

s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect("org.kextlab.echo")
units_picture(mac.trace, notes=True)

# %% [markdown]
# The picture holds three numbers, and each belongs to somebody else:
#
# | number | given by | used by | means |
# |:--|:--|:--|:--|
# | **descriptor** (`fd 3`) | the kernel, to this process | the process | one of *my* open sockets |
# | **control id** (`id 1`) | the kernel, at registration | everybody | one registered control |
# | **unit** (`unit 1`) | the kernel, at connect | the kext | one of *my* clients |

# %%
assert s.fileno() == 3
control_id, unit = s.getpeername()  # recorded: peer-connected
assert (control_id, unit) == (1, 1)

# %% [markdown]
# ## 1.2 The kext registers
#
# A kext makes a control by filling in a `struct kern_ctl_reg` and passing it to `ctl_register`. Here it
# is in C, and beside it, line by line, in Python.
#
# <!-- c:
# errno_t echo_connect(kern_ctl_ref, struct sockaddr_ctl *, void **);
# errno_t echo_disconnect(kern_ctl_ref, u_int32_t, void *);
# errno_t echo_send(kern_ctl_ref, u_int32_t, void *, mbuf_t, int);
# -->
#
# <table>
# <tr><th align="left">C, as in a real kext</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static kern_ctl_ref ctlref;
#
# kern_return_t
# echo_start(kmod_info_t *ki, void *data)
# {
#     struct kern_ctl_reg reg = {0};
#
#     strlcpy(reg.ctl_name,
#             "org.kextlab.echo",
#             sizeof(reg.ctl_name));
#     reg.ctl_connect    = echo_connect;
#     reg.ctl_disconnect = echo_disconnect;
#     reg.ctl_send       = echo_send;
#
#     return ctl_register(&reg, &ctlref);
# }
#
# kern_return_t
# echo_stop(kmod_info_t *ki, void *data)
# {
#     return ctl_deregister(ctlref);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# class EchoKext(Kext):
#     def __init__(self):
#         self.ctlref = Out()
#
#     def start(self):
#         reg = KernCtlReg()
#
#
#         reg.ctl_name = "org.kextlab.echo"
#
#         reg.ctl_connect = self.connect
#         reg.ctl_disconnect = self.disconnect
#         reg.ctl_send = self.send
#
#         return self.kpi.ctl_register(
#             reg, self.ctlref)
#
#     def stop(self):
#
#
#         return self.kpi.ctl_deregister(
#             self.ctlref.value)
# ```
#
# </td></tr>
# </table>
#
# The three functions are [callbacks](glossary.md#callback): the kernel calls them when a client connects,
# leaves or sends. `ctlref` is an *out-pointer*: the kernel writes the **reference** there, and the
# kext shows it whenever it means this control. An `Out` box is the same thing in Python, and 0 means
# success in both.
#
# The record has more fields. What is left 0 asks for nothing:
#
# | field of `kern_ctl_reg` | what you put there | recorded in |
# |:--|:--|:--|
# | `ctl_name` | at most 95 bytes and a 0. A name that is taken is EEXIST. | `reg-name-95`, `reg-duplicate-name` |
# | `ctl_flags` | bits: only for root, with an id of your own (lesson 2), for streams (lesson 4) | `priv-root`, `static-basic`, `stream-basic` |
# | `ctl_id`, `ctl_unit` | nothing, unless a flag says that you choose them. The kernel writes the id. | `reg-basic`, `static-basic` |
# | `ctl_sendsize`, `ctl_recvsize` | how much may wait on its way down, and on its way up | `reg-sizes-given` |
# | `ctl_connect` | the only callback that must be there: without it, EINVAL | `reg-no-connect` |
# | `ctl_disconnect`, `ctl_send` | what happens when a client leaves, and when it sends | `only-connect` |
# | `ctl_setopt`, `ctl_getopt` | options (lesson 6) | `opt-set-missing` |

# %%
predict(
    "01.sizes",
    "The echo kext left ctl_recvsize at 0. How many bytes may wait for one of its clients?",
    [0, 2048, 8192, "any number"],
)

# %%
(registered,) = mac.sysctl("kctl.reg_list")  # the kernel's own list of controls
for field in ("name", "id", "sendbufsize", "recvbufsize", "callbacks"):
    print(f"{field:12} {registered[field]}")

assert registered["id"] == 1  # recorded: reg-basic
assert registered["sendbufsize"] == 2048  # recorded: reg-sizes-zero
reveal(
    "01.sizes",
    registered["recvbufsize"],
    "The kernel writes its default where it finds 0: 2,048 bytes down, and four times that up.",
)

# %% [markdown]
# The kernel chose the id as well: the next control gets the last id plus one.
#
# <small>● recorded: `reg-basic`, `reg-sizes-zero`, `reg-ids-count-up`.</small>
#
# On a real Mac other kexts have registered before yours, in any order. So the id differs from boot to
# boot, and a client can know only the **name**.
#
# ## 1.3 The client looks it up
#
# The client asks with the system call `ioctl` and the command `CTLIOCGINFO`: *I have a name, give me
# the id*. Then it connects to that id, and asks for unit 0, which means: any free one.
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# int fd = socket(PF_SYSTEM, SOCK_DGRAM,
#                 SYSPROTO_CONTROL);
#
# struct ctl_info info = {0};
# strlcpy(info.ctl_name,
#         "org.kextlab.echo",
#         sizeof(info.ctl_name));
# if (ioctl(fd, CTLIOCGINFO, &info) == -1)
#     err(1, "CTLIOCGINFO");
#
# struct sockaddr_ctl address = {
#     .sc_len     = sizeof(address),
#     .sc_family  = AF_SYSTEM,
#     .ss_sysaddr = AF_SYS_CONTROL,
#     .sc_id      = info.ctl_id,
#     .sc_unit    = 0,
# };
# if (connect(fd,
#         (struct sockaddr *)&address,
#         sizeof(address)) == -1)
#     err(1, "connect");
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# s = socket.socket(socket.PF_SYSTEM,
#                   socket.SOCK_DGRAM,
#                   socket.SYSPROTO_CONTROL)
# info = CtlInfo.named(
#
#     "org.kextlab.echo"
# )
# answer = fcntl.ioctl(s, CTLIOCGINFO,
#                      info.pack())
#
# address = (
#     # Python fills in length,
#     # family and system address
#
#     CtlInfo.unpack(answer).ctl_id,
#     0,
# )
# s.connect(
#
#     address
# )
# ```
#
# </td></tr>
# </table>
#
# Mind the failure value. `socket` and `ioctl` answer **-1**, never 0, and 0 is a fine descriptor: a
# client that tests for 0 goes on after a failure. Python raises `OSError` instead.
#
# Python's `s.connect("org.kextlab.echo")` does both steps. Here is what happened in our first cell, a line
# a call, with its step in the [trace](glossary.md#trace).

# %%
log(mac.trace)

# %% [markdown]
# ## 1.4 A message and its echo
#
# The client sends five bytes. The kernel hands them to the kext's `send` callback. The echo kext
# answers with `ctl_enqueuedata(ctlref, unit, data, length, flags)`, and says for which unit.
#
# Our socket is a [datagram](glossary.md#datagram) socket: each `recv` reads one whole message. Lesson 4
# says what a kext has to do for that.

# %%
predict(
    "01.echo",
    "send has just returned 5. Must the client wait until the echo arrives?",
    ["yes: the kext answers later", "no: the echo is there already"],
)

# %%
before = len(mac.trace)
assert s.send(b"hello") == 5
waiting = mac.snapshot()["so_rcv:1"]["sb_cc"]  # sb_cc: bytes in this socket buffer

reveal(
    "01.echo",
    "no: the echo is there already" if waiting == 5 else "yes: the kext answers later",
    "The kext's call happens inside its callback, and the callback inside the client's send.",
)

# %%
assert s.recv(100) == b"hello"  # recorded: dgram-echo
log(mac.trace, before)

# %% [markdown]
# The kernel keeps a **receive buffer** for each client. `ctl_enqueuedata` copies the bytes into it and
# returns at once; the kext does not wait for a reader. `recv` fetches them.
#
# <small>● recorded: `dgram-echo`.</small>
#
# ## 1.5 A second client
#
# A second process connects to the same control.

# %%
predict(
    "01.second",
    "What does the second client get?",
    ["descriptor 3, unit 1", "descriptor 3, unit 2", "descriptor 4, unit 2"],
)

# %%
app2 = mac.spawn("client2", uid=501)
s2 = app2.socket.socket(app2.socket.PF_SYSTEM, app2.socket.SOCK_DGRAM, app2.socket.SYSPROTO_CONTROL)
s2.connect("org.kextlab.echo")
control_id, unit = s2.getpeername()
assert control_id == 1

reveal(
    "01.second",
    f"descriptor {s2.fileno()}, unit {unit}",
    "Descriptors are counted in each process, units in each control.",
)

# %% [markdown]
# Every unit has buffers of its own. Let the second client send, and never read:

# %%
for length in (512, 1536, 2048, 2048, 2048):
    assert s2.send(bytes(length)) == length

assert mac.snapshot()["so_rcv:2"]["sb_cc"] == 8192

# %% [markdown]
# The receive buffer is full: its limit is called **hiwat**, for high-water mark.

# %%
predict(
    "01.full",
    "The client sends one byte more. What happens?",
    ["send waits for room", "the oldest message is lost", "send fails with ENOBUFS (55)"],
)

# %%
before = len(mac.trace)
try:
    s2.send(b"!")
except OSError as error:
    refusal = error

reveal(
    "01.full",
    f"send fails with ENOBUFS ({refusal.errno})",
    "The kernel refused the kext's ctl_enqueuedata, and the kext told the client.",
)

# %%
log(mac.trace, before)

# %% [markdown]
# Nothing is lost but the new byte. A kext that does not look at what `ctl_enqueuedata` answers loses a
# message without a word.
#
# On a Mac nobody can see that buffer, let alone go back in time. Here you can: the **Scope** shows
# the machine, and every step that led to it.

# %%
Scope(mac, title="a byte too many")

# %% [markdown]
# The top of the buffer is read next, new data come in at the bottom. The hatched mark below the
# limit is the byte that did not fit. Click into the Scope, and then:
#
# | key | does |
# |:--|:--|
# | ← → | a step back, a step on: watch the last message go in |
# | n | to the next refusal: the sentence says why, with what it rests on |
# | b | branch: run it again from here with something different, a faster reader for example |
# | ? | all keys |
#
# The Scope follows while you run cells. When the client reads one message, there is room again:

# %%
assert len(s2.recv(4096)) == 512
assert s2.send(b"!") == 1

# %% [markdown]
# <small>● recorded: `flow-one-too-many`, `flow-drain-refill`, `dgram-send-error`.</small>
#
# ## 1.6 Break it: let go too early
#
# A kext can be unloaded while the machine runs. Its `stop` routine has to call `ctl_deregister` first,
# which takes the control off the kernel's list. Both clients are connected still.

# %%
predict(
    "01.early",
    "What does unloading the echo kext do now?",
    ["it closes both sockets", "it is refused: EBUSY (16)", "it waits until both have left"],
)

# %%
try:
    mac.unload(echo)
except KextError as error:
    refusal = error
    print(explain(error.errno, call="ctl_deregister"))

s.send(b"still here?")
assert s.recv(100) == b"still here?"
reveal(
    "01.early",
    f"it is refused: EBUSY ({refusal.errno})",
    "A control with clients stays, and so does the kext whose stop says so.",
)

# %% [markdown]
# `explain` says why, what to do about it, and which [recording](glossary.md#recording) shows it. When the
# clients have closed their sockets, the kext can go.

# %%
s.close()
s2.close()
mac.unload(echo)

assert mac.kexts() == []
assert mac.sysctl("kctl.reg_list") == []

# %% [markdown]
# So why not let the last client switch off the light? This kext deregisters in `disconnect`.


# %%
class LightSwitch(EchoKext):
    """Deregisters when a client has left."""

    def disconnect(self, kctlref, unit, unitinfo):
        super().disconnect(kctlref, unit, unitinfo)
        self.answer = self.kpi.ctl_deregister(kctlref)
        return 0


# %%
predict(
    "01.light",
    "The only client closes its socket. What does ctl_deregister answer inside disconnect?",
    ["0: nobody is left", "EBUSY (16)", "it panics"],
)

# %%
switch = mac.load(LightSwitch)
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect("org.kextlab.echo")
s.close()

reveal(
    "01.light",
    f"EBUSY ({switch.answer})",
    "The kernel takes the client off the list after disconnect has returned, not before.",
)

# %%
assert switch.answer == 16  # recorded: close-disconnect-deregisters
mac.unload(switch)  # now it is gone, and stop may deregister

# %% [markdown]
# <small>● recorded: `dereg-busy`, `close-disconnect-deregisters`.</small>
#
# ## 1.7 Break it: ask for what is not there
#
# The control is gone. One client asks for its name, as ever. Another one has kept the id, and connects to
# it without asking.

# %%
predict(
    "01.gone",
    "Which of the two calls is refused with ENOENT (2), no such control?",
    ["only the lookup", "only the connect", "both"],
)

# %%
from kextlab.abi import CTLIOCGINFO, CtlInfo

s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
refused = []
try:
    fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named("org.kextlab.echo").pack())
except FileNotFoundError:  # Python's class for ENOENT
    refused.append("only the lookup")
try:
    s.connect((control_id, 0))
except FileNotFoundError:
    refused.append("only the connect")

reveal(
    "01.gone",
    "both" if len(refused) == 2 else refused[0],
    "Neither the name nor the id is on the list any more.",
)

# %% [markdown]
# The socket is none the worse for it: it may try again once the control exists.
#
# <small>● recorded: `lookup-after-deregister`, `conn-retry-after-enoent`.</small>
#
# ## 1.8 Break it: forget to deregister
#
# A `stop` that returns 0 and does nothing else looks harmless. The kernel believes it and takes the
# kext's code out of memory.


# %%
class Forgetful(EchoKext):
    """An echo kext whose stop routine forgets ctl_deregister."""

    def stop(self):
        return 0


forgetful = mac.load(Forgetful)
mac.unload(forgetful)

assert mac.kexts() == []
assert len(mac.sysctl("kctl.reg_list")) == 1
units_picture(mac.trace)

# %% [markdown]
# No kext is loaded, but its control is still on the list, and holds the addresses of three callbacks
# that are not there any more. So far nothing is wrong: you can even look the name up.

# %%
predict(
    "01.forgot",
    "A client connects to it. What happens?",
    ["connect is ENOENT", "connect works, send fails", "the machine panics"],
)

# %%
try:
    s.connect("org.kextlab.echo")
    happened = "connect works, send fails"
except OSError:
    happened = "connect is ENOENT"
except KernelPanic as panic:
    happened = "the machine panics"
    report = panic.report

reveal("01.forgot", happened, "The kernel jumped into memory that holds no code.")

# %%
print(report)

# %% [markdown]
# Read the report from the top. *What*: a page fault, that is, an address with nothing behind it.
# *Who*: no kext is loaded, and one was unloaded since boot. *How*: the last calls end with the
# kernel's call of the kext's `connect`, from which nothing ever returned. The log says the same in
# sentences.

# %%
log(mac.trace)[-4:]

# %% [markdown]
# Every call answers with the same panic now, until the Mac starts again. After the reboot nothing is
# left of the old boot: no kext, no process, an empty trace.

# %%
mac.reboot()

assert mac.panic is None
assert mac.kexts() == []

try:
    s.send(b"hello?")
except ProcessLookupError as error:
    print(error)

# %% [markdown]
# <small>◌ documented only: Apple's guide warns of this panic; recordings cannot unload code.</small>
#
# ## 1.9 Break it: deregister twice
#
# Too little was a panic. The manual says that `ctl_deregister` answers EINVAL to an invalid reference. So
# is too much harmless?


# %%
class Thorough(EchoKext):
    """An echo kext that deregisters twice, to be sure."""

    def stop(self):
        self.kpi.ctl_deregister(self.ctlref.value)
        return self.kpi.ctl_deregister(self.ctlref.value)


# %%
predict(
    "01.twice",
    "What does the second ctl_deregister do?",
    ["it answers EINVAL", "it answers 0", "it panics"],
)

# %%
thorough = mac.load(Thorough)
try:
    mac.unload(thorough)
    happened = "it answers 0"
except KextError:
    happened = "it answers EINVAL"
except KernelPanic as panic:
    happened = "it panics"
    print(explain(panic, call="ctl_deregister"))

reveal(
    "01.twice",
    happened,
    "The first call emptied the slot, and the kernel follows an empty pointer.",
)

# %% [markdown]
# A reference is an index into a table, and a generation number. EINVAL comes only if *another* control has
# taken the slot meanwhile: then the generation gives the old reference away.
#
# <small>● recorded: `r00252`, `r00443`, `bad-ref-empty-slot`, `stale-ref-reused-slot`.</small>

# %%
mac.reboot()

# %% [markdown]
# ## 1.10 Documentation against kernel
#
# Where a document and a recording disagree, believe the recording.
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | `ctl_deregister` answers EINVAL to an invalid reference. | Only if the slot is in use again. If it is empty, the kernel panics. | `bad-ref-empty-slot`, `stale-ref-reused-slot` |
# | In `disconnect` the client is gone. | It is on the list until `disconnect` returns: EBUSY. | `close-disconnect-deregisters` |
# | The sizes you register are the sizes you get. | They are kept as given, and cut to the system's largest at connect. | `reg-sizes-huge` |
# | `CTL_FLAG_PRIVILEGED` keeps the sockets of a control for root. | It is looked at in `connect`, where a user hears EPERM. Who made the socket, or uses it later, does not matter. | `priv-root-socket-user-connect`, `priv-at-connect-time` |
# | `CTL_FLAG_PRIVILEGED & CTL_FLAG_REG_ID_UNIT`, as in a sample of Apple's guide, asks for both. | `&` of two different bits is 0: the control is neither. It should be a bar. | `reg-basic` |

# %%
from kextlab.abi import CTL_FLAG_PRIVILEGED, CTL_FLAG_REG_ID_UNIT

assert (CTL_FLAG_PRIVILEGED & CTL_FLAG_REG_ID_UNIT) == 0
assert (CTL_FLAG_PRIVILEGED | CTL_FLAG_REG_ID_UNIT) == 3

# %% [markdown]
# ## 1.11 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("01")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - A kext registers a **name**; the kernel gives the **id**; each client is a **unit**.
# - Look the name up, every time.
# - Bytes for a client wait in *its* receive buffer. What does not fit is refused, and the kext has to
#   look at the answer.
# - Deregister in `stop`, exactly once; look at the answer, and unload only then.
#
# The same story in a terminal: `kextlab demo`.
#
# Now the exercise: [1 · Registration](../exercises/01-registration.ipynb).
