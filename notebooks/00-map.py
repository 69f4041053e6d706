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
# # 0 · The map
#
# **The question.** A [kext](glossary.md#kext) knows something your program needs, or the other way
# round. Which roads lead from one to the other, and which one should you take?
#
# After this lesson you can
#
# - say what belongs to [user space](glossary.md#user-space), what to the
#   [kernel](glossary.md#kernel), and what crosses the [boundary](glossary.md#boundary) between them,
# - name the roads between a kext and a program, with what each is good for,
# - use the tools of this lab: the log, the picture, `explain`, the Scope, and the
#   [trace](glossary.md#trace) behind all of them.
#
# It takes about 15 minutes and asks for no exercise. You should know C, and sockets as one uses them
# for a network. Run each cell with Shift-Enter, from the top.
#
# ## 0.1 Two worlds
#
# Your program is a process. It has memory of its own and cannot touch anybody else's, least of all the
# kernel's. What it wants from the outside it asks for with a **system call**: it stops, the kernel
# works, it goes on with the answer.
#
# A kext is no process. It is code that was loaded *into* the kernel: it has no `main`, no `printf` to a
# terminal, no files and no user. It consists of routines that the kernel calls, its
# [callbacks](glossary.md#callback), and it may call routines of the kernel in turn.
#
# The next cell makes a Mac with one kext and one process, and connects them.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.course import predict, reveal
from kextlab.kexts import EchoKext
from kextlab.views import log, units_picture

mac = Kernel()
echo = mac.load(EchoKext)
app = mac.spawn("client", uid=501)
socket, fcntl = app.socket, app.fcntl

s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect("org.kextlab.echo")
units_picture(mac.trace, notes=True)

# %% [markdown]
# The process is above the line, the kernel and its kext are below. What connects them is a socket, but
# not one of a network: its family is `PF_SYSTEM`, and its other end is in this same machine.
#
# <!-- c:
# static struct sockaddr_ctl address;
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# int fd = socket(PF_SYSTEM, SOCK_DGRAM,
#                 SYSPROTO_CONTROL);
# if (fd == -1)
#     err(1, "socket");
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
#
# s.connect("org.kextlab.echo")
#
#
#
# ```
#
# </td></tr>
# </table>
#
# Python's `connect` takes a name and finds out itself what C has to put into `address`. So its one line
# may be more than one system call.

# %%
predict("00.calls", "How many system calls did the two lines of Python make?", [1, 2, 3])

# %%
calls = [event.name for event in mac.trace.events() if event.kind == "syscall"]
print(calls)

reveal("00.calls", len(calls), "socket; then an ioctl that asks for the name; then connect.")

# %% [markdown]
# Everything else you see in the log happened inside the kernel, while the process was waiting.

# %%
log(mac.trace)

# %% [markdown]
# ## 0.2 Who may begin
#
# The process asks, the kernel answers: that is the only direction a system call has. Can a kext begin?
# It cannot call a function of your program: there is no such call, and the process may not even be
# running. It can only leave something where the process will look, and wake it up.

# %%
predict(
    "00.begin",
    "The kext queues a message for a client that is not waiting. Where is it afterwards?",
    ["in the kext", "in the kernel", "in the client"],
)

# %%
from kextlab.abi.constants import CTL_DATA_EOR

assert echo.kpi.ctl_enqueuedata(echo.ctlref.value, 1, b"news", 4, CTL_DATA_EOR) == 0
waiting = mac.snapshot()["so_rcv:1"]["sb_cc"]
places = {4: "in the kernel", 0: "in the client"}

reveal("00.begin", places[waiting], "In the receive buffer of the client's socket, until it reads.")

# %%
assert s.recv(100) == b"news"  # recorded: dgram-eor-separates
units_picture(mac.trace)

# %% [markdown]
# <small>● recorded: `dgram-echo`, `dgram-recv-blocking`.</small>
#
# ## 0.3 Every road on one page
#
# | road | who begins | carries | good for | here |
# |:--|:--|:--|:--|:--|
# | [kernel control](glossary.md#kernel-control): a `PF_SYSTEM` socket with `SYSPROTO_CONTROL` | the process connects; then both | messages or a stream, both ways, and options | talking with one kext, known to each other | lessons 1 to 6 |
# | socket options of that socket | the process | one value each way, at once | commands and settings | lesson 6 |
# | kernel events: a `PF_SYSTEM` socket with `SYSPROTO_EVENT` | the kernel, or a kext | small notices to whoever listens | telling many that something happened | lesson 8 |
# | `sysctl` | the process | one value by its name | numbers to look at and to set | the kernel's own lists, in lesson 2 |
# | a device file, with `read`, `write`, `ioctl` | the process | what the driver makes of it | what looks like a device | documents only |
# | IOKit, a user client | the process | calls with arguments, shared memory, notices | drivers of hardware | documents only |
# | Mach messages and shared memory | either side | messages, rights, pages of memory | large data between processes; how launchd and XPC work underneath | lessons 10 and 11 |
# | a file | nobody: both look | bytes at rest | nothing, for a kext: it opens no files. A daemon reads them and sets options | documents only |
#
# <small>◌ documented only: the table's last four roads.</small>
#
# The two sockets of `PF_SYSTEM` are the middle of this course. They need no hardware and no driver, and a
# program uses them with calls you know.
#
# They differ in one thing above all: **a control has one kext at its other end, an event socket has
# none.** Events are called out, and heard by whoever listens.

# %%
predict(
    "00.event",
    "A client opens an event socket. Then a kext registers a control, which the kernel calls out "
    "as an event. What does the client hear?",
    ["the event", "nothing"],
)


# %%
from kextlab.abi.constants import SYSPROTO_EVENT


class Clock(EchoKext):
    bundle_id = control_name = "org.kextlab.clock"


events = socket.socket(socket.PF_SYSTEM, socket.SOCK_RAW, SYSPROTO_EVENT)
mac.load(Clock)
try:
    heard = events.recv(200, socket.MSG_DONTWAIT)
except BlockingIOError:
    heard = b""

reveal(
    "00.event",
    "the event" if heard else "nothing",
    "A fresh event socket has a filter that nothing passes. It has to say first what it wants.",
)

# %% [markdown]
# With a filter it hears the next one. The three numbers mean: from Apple, of the system, about controls.

# %%
import struct

from kextlab.abi import SIOCSKEVFILT

fcntl.ioctl(events, SIOCSKEVFILT, struct.pack("<III", 1, 3, 2))
mac.unload(next(kext for kext in mac.kexts() if isinstance(kext, Clock)))
assert len(events.recv(200)) == 32  # recorded: ev-register-event

# %% [markdown]
# <small>● recorded: `ev-send`, `ev-register-event`.</small>
#
# ## 0.4 Which road to take
#
# - *I set a value, or ask for one:* an option of a control socket. It is answered at once.
# - *We talk:* messages over a control socket. The kext knows each client, and hears when it leaves.
# - *Something happened, and I do not know whom it concerns:* a kernel event. It may be lost, and nobody
#   is told.
# - *Large data, and often:* measure first. A message is copied into the kernel and out of it again.
#
# Not every control offers every road. The echo kext has no routine for options:

# %%
predict(
    "00.option",
    "A client sets an option of the echo control. What does the kernel answer?",
    ["0: it is ignored", "ENOTSUP (45)", "it panics: there is no routine to call"],
)

# %%
try:
    s.setsockopt(socket.SYSPROTO_CONTROL, 1, b"loud")
    answer = "0: it is ignored"
except OSError as error:
    refusal = error
    answer = f"ENOTSUP ({error.errno})"

reveal("00.option", answer, "The kernel knows which callbacks a kext has, and refuses for it.")

# %% [markdown]
# <small>● recorded: `opt-set-missing`.</small>
#
# ## 0.5 The lab in ten minutes
#
# **The Mac is simulated.** Each answer was compared with a [recording](glossary.md#recording): the same
# calls, made to Apple's own kernel code. A full circle ● beside a line of text means that a recording
# shows it, an empty one ◌ that we know it from documents only.
#
# **`explain`** says why the kernel refused, and what to do about it. Here is the refusal from above.

# %%
explain(refusal, call="setsockopt")

# %% [markdown]
# **The trace** holds every step since the Mac started. `log` tells it in sentences; give it a step to
# begin with, and you see the end only.

# %%
before = len(mac.trace)
s.send(b"hello")
assert s.recv(100) == b"hello"  # recorded: dgram-echo
log(mac.trace, before)

# %% [markdown]
# **The Scope** shows the machine at any of these steps. Click into it: ← and → step back and on, `n`
# goes to the next refusal, `b` runs it again from here with something different, `?` shows all keys.

# %%
Scope(mac, title="the first conversation", parts=["topology", "log", "scrubber"])

# %% [markdown]
# Going back in the Scope changes nothing: it shows what was. The Mac itself only goes on.
#
# **Questions.** Before something happens you are asked what will happen. Choose, then run the next
# cell. A wrong guess is worth more than none, and what you missed comes back in a later lesson.
#
# **Exercises.** Each lesson from the first on has one, checked at once, with hints.
#
# ## 0.6 Break it: a mistake above, a mistake below
#
# The same mistake, a division by zero, on either side of the line. First in the process.


# %%
def careless(n):
    """A program that divides by zero."""
    return 1 // n


try:
    careless(0)
except ZeroDivisionError as error:
    print("the process ends:", error)

assert mac.panic is None

# %%
predict(
    "00.panic",
    "A kext divides by zero while it answers one client. What is stopped?",
    ["the kext", "that client", "the whole machine"],
)


# %%
from kextlab.sched import KernelPanic


class Careless(EchoKext):
    """Divides by zero where the echo kext answers."""

    bundle_id = control_name = "org.kextlab.careless"

    def send(self, kctlref, unit, unitinfo, m, flags):
        return careless(0)


mac.load(Careless)
other = mac.spawn("other").socket
t = other.socket(other.PF_SYSTEM, other.SOCK_DGRAM, other.SYSPROTO_CONTROL)
t.connect("org.kextlab.careless")
try:
    t.send(b"one by nothing, please")
except KernelPanic as panic:
    print(panic)

try:
    s.send(b"I have nothing to do with it")
    stopped = "that client"
except KernelPanic:
    stopped = "the whole machine"

reveal(
    "00.panic",
    stopped,
    "Nothing protects the kernel from a kext: both use the same memory. So it stops.",
)

# %% [markdown]
# That is a [panic](glossary.md#panic). On a Mac it costs the user's work, here it costs one line:

# %%
mac.reboot()

assert mac.panic is None
assert mac.kexts() == []

# %% [markdown]
# It is the reason for half of what this course says: a kext looks at every answer, trusts no client,
# and takes back what it has registered before it goes.
#
# <small>◌ documented only: what Apple's processors do with a division by zero; recordings run no kext
# code. The lab treats any exception of a kext's code as a fault of the kernel.</small>
#
# ## 0.7 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | An open event socket hears events. | It hears nothing before it sets a filter. | `ev-send`, `ev-register-event` |
# | An option that nobody implements is ignored. | It is refused: ENOTSUP. | `opt-set-missing` |
# | `PF_SYSTEM` sockets are sockets like all others. | Much is refused: no `listen`, no sending from an event socket. | `listen-accept`, `ev-send` |
# | A message is in the program once the kext has sent it. | It waits in the socket's receive buffer until the program reads. | `dgram-echo` |
#
# ## What to keep
#
# - A process asks; a kext answers, and can leave something for the process to find. Neither reaches into
#   the other.
# - A **control socket** is a conversation with one kext, an **event socket** a notice board.
# - A mistake in a process ends the process; a mistake in a kext ends the machine.
# - `log`, `explain`, the picture and the Scope all show the same trace.
#
# Now the first lesson: [1 · Registration](01-registration.ipynb).
