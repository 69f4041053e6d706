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
# **The question.** A kext runs inside the kernel, your program runs outside. How does the program
# find the kext, and how do bytes get from one to the other?
#
# After this lesson you can
#
# - register a *kernel control* and say what the kernel fills in for you,
# - find a control by its name and connect to it,
# - tell a *descriptor*, a *control id* and a *unit* apart,
# - say where a message waits, how much fits, and what happens to the byte that does not fit,
# - name three ways in which a kext's last routine goes wrong, and read a panic report,
# - write a kext's start and stop yourself: the exercise asks you to.
#
# It takes about 20 minutes. The Mac is simulated, so you may break everything: do.
#
# ## 1.1 Two worlds
#
# A **kernel** is the program that owns the machine. Every other program runs as a **process** in
# *user space*, and may touch the machine only by asking the kernel. Such a question is a **system
# call**. Code added to the kernel of a Mac is a **kernel extension**, or **kext**.
#
# Run the cell below. It loads a kext, starts a process, and connects the two. The rest of the
# lesson takes these lines apart.

# %%
from kextlab import Kernel
from kextlab.kexts import EchoKext

mac = Kernel()
echo = mac.load(EchoKext)  # a factory: every run and branch gets fresh state
app = mac.spawn("client", uid=501)
socket, fcntl, os = app.socket, app.fcntl, app.os  # this process's modules; nothing is global

s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect("org.kextlab.echo")

# %% [markdown]
# `mac` is a whole Mac. `echo` is the kext: it sends every message back to whoever sent it. `app` is
# a process with its own `socket` module, which offers what Python offers on a real Mac.
#
# The picture shows who is connected to whom, with a note at each part. You will see this picture
# often: user space is above, the kernel below, and the dark line between them is crossed by system
# calls only.

# %%
from kextlab.views import log, queue_figure, units_picture

units_picture(mac.trace, notes=True)

# %% [markdown]
# Three numbers, and each belongs to somebody else:
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
# A **kernel control** is a named place in the kernel to which processes can connect. A kext makes
# one by filling in a `struct kern_ctl_reg` and passing it to `ctl_register`. Here it is in C, and beside it,
# line by line, in Python.
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
# The three functions are **callbacks**: the kernel calls them when a client connects, disconnects or
# sends. Only `ctl_connect` is required. `ctlref` is an *out-pointer*: the kernel writes the
# reference there, and the kext shows it whenever it means this control. An `Out` box is the same
# thing in Python, and 0 means success in both.
#
# The record has an `id` and two buffer sizes as well, and we filled in none of them.
#
# **Predict.** What stands in those fields once `ctl_register` has returned?

# %%
(registered,) = mac.sysctl("kctl.reg_list")  # the kernel's own list of controls
for field in ("name", "id", "sendbufsize", "recvbufsize", "callbacks"):
    print(f"{field:12} {registered[field]}")

assert registered["id"] == 1  # recorded: reg-basic
assert registered["sendbufsize"] == 2048  # recorded: reg-sizes-zero
assert registered["recvbufsize"] == 8192

# %% [markdown]
# The kernel chose the id, and wrote default sizes where it found 0. The next control gets the last
# id plus one.
#
# <small>● recorded: `reg-basic`, `reg-sizes-zero`, `reg-ids-count-up`, `reg-no-connect`. A *recording*
# is a run of Apple's own kernel code, call by call; this lab has to answer as it did.</small>
#
# On a real Mac other kexts have registered before yours, in any order. So the id is different from
# boot to boot, and a client can know only the **name**.
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
# Here is the question alone, on the socket we have. A `ctl_info` has 100 bytes, 4 for the id and 96
# for the name.

# %%
from kextlab.abi import CTLIOCGINFO, CtlInfo

question = CtlInfo.named("org.kextlab.echo").pack()
answer = fcntl.ioctl(s, CTLIOCGINFO, question)

print("question", question[:4], question[4:24])
print("answer  ", answer[:4], answer[4:24])

assert len(answer) == 100
assert CtlInfo.unpack(answer).ctl_id == control_id

# %% [markdown]
# Python's `s.connect("org.kextlab.echo")` in the first cell did both steps for us. Here is what
# happened then, a line a call, with its step in the kernel's **trace**. The trace is the list of
# everything that happened since the Mac started.

# %%
log(mac.trace)

# %% [markdown]
# ## 1.4 A message and its echo
#
# The client sends five bytes. The kernel hands them to the kext's `send` callback. The echo kext
# answers with `ctl_enqueuedata(ctlref, unit, data, length, flags)`, and says for which unit.
#
# **Predict.** `send` has returned, and nobody has called `recv` yet. Where is the echo now: in the
# kext, in the client, or somewhere else?

# %%
before = len(mac.trace)
s.send(b"hello")
units_picture(mac.trace)

# %% [markdown]
# In between. The kernel keeps a **receive buffer** for each client. `ctl_enqueuedata` copies the bytes
# into it and returns at once; the kext does not wait for a reader. The thin line at the top of the
# buffer is our 5 bytes, drawn to scale. `recv` fetches them.

# %%
assert mac.snapshot()["so_rcv:1"]["sb_cc"] == 5  # sb_cc: bytes in this socket buffer

data = s.recv(100)
assert data == b"hello"  # recorded: dgram-echo

log(mac.trace, before)

# %% [markdown]
# Read the log from the inside out: the kext's call happens *inside* the callback, and the callback
# *inside* the client's `send`. So when `send` returns, the echo is there already.
#
# Our socket is a **datagram** socket: each `recv` reads one whole message. That works because
# the echo kext passes `CTL_DATA_EOR`, "end of record".

# %%
s.send(b"one")
s.send(b"two")
assert [s.recv(100), s.recv(100)] == [b"one", b"two"]  # recorded: dgram-eor-separates

# %% [markdown]
# <small>● recorded: `dgram-echo`, `dgram-eor-separates`. Without the flag the two would come out as one
# datagram of 6 bytes: `dgram-coalesce-no-eor`.</small>
#
# ## 1.5 A second client
#
# A second process connects to the same control.
#
# **Predict.** Which control id does it see, which unit does it get, and which descriptor?

# %%
app2 = mac.spawn("client2", uid=501)
s2 = app2.socket.socket(app2.socket.PF_SYSTEM, app2.socket.SOCK_DGRAM, app2.socket.SYSPROTO_CONTROL)
s2.connect("org.kextlab.echo")

print("control id, unit:", s2.getpeername(), " descriptor:", s2.fileno())
assert s2.getpeername() == (1, 2)
assert s2.fileno() == 3

# %% [markdown]
# The same control, a new unit. And descriptor 3 again: descriptors are counted in each process.
#
# Every unit has buffers of its own. Let the second client send, and never read:

# %%
for length in (512, 1536, 2048, 2048, 2048):
    assert s2.send(bytes(length)) == length

assert mac.snapshot()["so_rcv:2"]["sb_cc"] == 8192

# %% [markdown]
# That is 8,192 bytes, the size of the receive buffer. The limit is called **hiwat**, for high-water
# mark.
#
# **Predict.** The client sends one byte more. Does `send` wait, does it fail, or does the kernel throw
# the oldest message away?

# %%
before = len(mac.trace)

try:
    s2.send(b"!")
except OSError as error:
    refusal = error
    print(repr(error))

assert refusal.errno == 55  # ENOBUFS on Darwin; your own machine may number it differently
log(mac.trace, before)

# %% [markdown]
# It fails, and nothing is lost but the new byte. Two things happened. The *kernel* refused the kext's
# `ctl_enqueuedata`, with ENOBUFS. Then the *kext* chose to answer the client's `send` with the same
# error. A kext that ignores the refusal loses the message without a word.

# %% [markdown]
# On a Mac nobody can see that buffer, let alone go back in time. Here you can: the **Scope** shows
# the machine, and every step that led to it.

# %%
from kextlab import Scope

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
# The same story over time: how full the buffer of unit 2 was at each step of the trace.

# %%
queue_figure(mac.trace, unit=2)

# %% [markdown]
# <small>● recorded: `flow-one-too-many`, `flow-drain-refill`, `dgram-send-error`.</small>
#
# ## 1.6 Break it: let go too early
#
# A kext can be unloaded while the machine runs. Its `stop` routine has to call `ctl_deregister`
# first, which takes the control off the kernel's list.
#
# **Predict.** Both clients are connected still. What does unloading do to them?

# %%
from kextlab import explain
from kextlab.kexts import KextError

try:
    mac.unload(echo)
except KextError as error:
    refusal = error
    print(error)
    print(explain(error.errno, call="ctl_deregister"))

assert refusal.errno == 16  # EBUSY
s.send(b"still here?")
assert s.recv(100) == b"still here?"

# %% [markdown]
# Nothing: the kernel refuses. `explain` says why, what to do about it, and which recording shows it.
# A control with clients stays, and so does the kext. When the clients
# have closed their sockets, the kext can go.

# %%
s.close()
s2.close()
mac.unload(echo)

assert mac.kexts() == []
assert mac.sysctl("kctl.reg_list") == []

# %% [markdown]
# <small>● recorded: `dereg-busy`.</small>
#
# ## 1.7 Break it: ask for what is not there
#
# **Predict.** The control is gone. At which of the two steps does the client notice, if it asks by
# name? And if it has kept the id and connects to it?

# %%
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)

try:
    fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named("org.kextlab.echo").pack())
except OSError as error:
    refusal = error
    print(repr(error))
    print(explain(error, call="ioctl"))

assert refusal.errno == 2  # ENOENT; Python's class for it is FileNotFoundError

# %%
try:
    s.connect((control_id, 0))
except OSError as error:
    refusal = error
    print(repr(error))
    print(explain(error, call="connect"))

assert refusal.errno == 2

# %% [markdown]
# Both are ENOENT, "no such". The socket is none the worse for it: it may try again once the control
# exists.
#
# <small>● recorded: `lookup-after-deregister`, `lookup-prefix`, `conn-retry-after-enoent`.</small>
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
#
# **Predict.** A client connects. What will the kernel do?

# %%
from kextlab.sched import KernelPanic

try:
    s.connect("org.kextlab.echo")
except KernelPanic as panic:
    print(explain(panic, call="callback"))
    print()
    print(panic.report)

assert mac.panic is not None

# %% [markdown]
# The kernel called `connect`, and jumped into memory that holds no code. A process that does this is
# stopped. A kernel that does this cannot trust itself any more and stops the whole machine: a
# **panic**.
#
# Read the report from the top. *What*: a page fault, that is, an address with nothing behind it.
# *Who*: no kext is loaded, and one was unloaded since boot. *How*: the last calls end with the
# kernel's call of the kext's `connect`, from which nothing ever returned. The log says the same in
# sentences.

# %%
log(mac.trace)[-4:]

# %% [markdown]
# And the picture: user space is unharmed and readable, the kernel stands still.

# %%
units_picture(mac.trace)

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
# **Predict.** Too little was a panic. Is too much harmless? The manual says that `ctl_deregister`
# answers EINVAL to an invalid reference.


# %%
class Thorough(EchoKext):
    """An echo kext that deregisters twice, to be sure."""

    def stop(self):
        self.kpi.ctl_deregister(self.ctlref.value)
        return self.kpi.ctl_deregister(self.ctlref.value)


thorough = mac.load(Thorough)

try:
    mac.unload(thorough)
except KernelPanic as panic:
    print(explain(panic, call="ctl_deregister"))

assert mac.panic is not None
log(mac.trace)

# %% [markdown]
# A reference is an index into a table. The first call empties its slot. The second finds the slot
# empty, and the kernel follows the empty pointer. EINVAL comes only if *another* control has taken
# the slot meanwhile: then the reference's generation number gives it away.
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
# | `sc_family` must be `AF_SYSTEM` and `ss_sysaddr` `AF_SYS_CONTROL`. | `connect` looks at neither. It wants a length of exactly 32 bytes. | `conn-family`, `conn-sysaddr`, `conn-sc-len` |
# | A name stands for one control. | Of dynamic controls. Two static ones may share a name, and the lookup finds the first by id. | `reg-duplicate-name`, `lookup-static-name` |
# | The sizes you register are the sizes you get. | They are kept as given, and cut to the system's largest at connect. | `reg-sizes-huge` |
# | On a datagram control, one enqueue is one datagram. | Only with `CTL_DATA_EOR`. | `dgram-coalesce-no-eor`, `dgram-eor-separates` |
# | `CTL_FLAG_PRIVILEGED & CTL_FLAG_REG_ID_UNIT`, as in a sample of Apple's guide, asks for both. | `&` of two different bits is 0: the control is neither. It should be a bar. | `reg-basic` |

# %%
from kextlab.abi import CTL_FLAG_PRIVILEGED, CTL_FLAG_REG_ID_UNIT

assert (CTL_FLAG_PRIVILEGED & CTL_FLAG_REG_ID_UNIT) == 0
assert (CTL_FLAG_PRIVILEGED | CTL_FLAG_REG_ID_UNIT) == 3

# %% [markdown]
# ## 1.11 Three questions
#
# Answer first, then open. The last cell checks all three.
#
# 1. A client writes the control id into its preferences, to save the lookup next time. When does this
#    go wrong, and how does it show?
# 2. A kext's `stop` calls `ctl_deregister`, does not look at its answer, and returns 0. A client is
#    connected. What happens to that client's next `send`?
# 3. A client sends 2,049 bytes in one datagram to the echo kext. How many of them does the kext see?
#
# <details><summary>Answer 1</summary>
#
# After the next boot, or when the kext was loaded again after others. Then the id belongs to nobody,
# and `connect` answers ENOENT. Or it belongs to another control, and the client talks to the wrong
# kext, which is worse. Names last, ids do not.
#
# </details>
#
# <details><summary>Answer 2</summary>
#
# The kernel answered EBUSY, and nobody listened. The kext is unloaded, its control stays with its
# client, and the next `send` calls code that is gone: a panic.
#
# </details>
#
# <details><summary>Answer 3</summary>
#
# None. The send buffer takes 2,048 bytes, and a datagram is never cut: `send` answers EMSGSIZE before
# the kext is asked. <small>● recorded: `dgram-send-emsgsize`.</small>
#
# </details>


# %%
class First(EchoKext):
    """A control that was there before ours."""

    bundle_id = control_name = "org.kextlab.first"


class Deaf(EchoKext):
    """An echo kext that does not look at what ctl_deregister answers."""

    def stop(self):
        self.kpi.ctl_deregister(self.ctlref.value)
        return 0


def connected(mac, name):
    """A new process with a socket connected to the control of that name."""
    module = mac.spawn("client").socket
    s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    s.connect(name)
    return s


# 1: the same kext, another id
mac.load(First)
deaf = mac.load(Deaf)
s = connected(mac, "org.kextlab.echo")
assert s.getpeername()[0] == 2

# 3: nothing reaches the kext
try:
    s.send(bytes(2049))
except OSError as error:
    refusal = error
assert refusal.errno == 40  # EMSGSIZE
assert deaf.clients[1].echoed == deaf.clients[1].lost == 0

# 2: the panic
mac.unload(deaf)
try:
    s.send(b"hello")
except KernelPanic as panic:
    print("2:", panic)
assert mac.panic is not None

# %% [markdown]
# ## What to keep
#
# - A kext registers a **name**; the kernel gives the **id**; each client is a **unit**.
# - Look the name up, every time.
# - Bytes for a client wait in *its* receive buffer. What does not fit is refused, and the kext has to
#   look at the answer.
# - Deregister exactly once, look at the answer, and unload only then.
#
# The same story in a terminal: `kextlab demo`.
#
# Now the exercise: [1 · Registration](../exercises/01-registration.ipynb).
