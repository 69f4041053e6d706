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
# # 3 · Units
#
# **The question.** A program is connected to a [kernel control](glossary.md#kernel-control). A second
# one connects, and gets error 16. So far so good, one might think; but from then on the *first* one
# gets no answer either. Why?
#
# After this lesson you can
#
# - say what a [unit](glossary.md#unit) is, who chooses it, and how the [kernel](glossary.md#kernel) looks for a free one,
# - keep one record for each client, and get it back in every
#   [callback](glossary.md#callback),
# - tell three reasons for EBUSY apart, and when the socket may try again,
# - find the mistakes of [kexts](glossary.md#kext) that were written for one client.
#
# It takes about 25 minutes. You should know lesson [1 · Registration](01-registration.ipynb).
#
# ## 3.1 One control, many clients
#
# A kext registers a control once. The kernel gives every client that connects a unit: the number of
# *this client* of *this control*. Three clients connect to the echo kext, one after the other.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.course import predict, retrieve, reveal
from kextlab.kexts import EchoKext
from kextlab.views import log, units_picture

mac = Kernel()
echo = mac.load(EchoKext)
app = mac.spawn("client", uid=501)


def connect(app, unit=0, control_id=1):
    """A datagram socket connected to a unit of a control; 0 asks for any."""
    module = app.socket
    s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    s.connect((control_id, unit))
    return s


def unit_of(s):
    """The unit of a connected socket."""
    return s.getpeername()[1]


# %%
predict("03.third", "Which unit does the third client get?", [0, 1, 2, 3])

# %%
a, b, c = connect(app), connect(app), connect(app)

reveal("03.third", unit_of(c), "Units count from 1. 0 is no unit: it asks for any.")

# %%
assert [unit_of(s) for s in (a, b, c)] == [1, 2, 3]  # recorded: unit-gap-filled
units_picture(mac.trace)

# %% [markdown]
# Each unit is a pipe with two buffers of its own. The kext sees the unit, never the
# [descriptor](glossary.md#descriptor); the process sees both.
#
# ## 3.2 One record for each client
#
# How does the kext know which client a message comes from? The kernel says so in every
# callback, twice: with the unit, and with a pointer the kext chose itself. The connect callback gets
# the address of the client and an empty box, [`unitinfo`](glossary.md#cookie). What it puts there comes
# back with each later callback for this client.
#
# <!-- c:
# struct client { uint32_t unit; int echoed; };
# -->
#
# <table>
# <tr><th align="left">C, as in a real kext</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static errno_t
# echo_connect(kern_ctl_ref ref,
#              struct sockaddr_ctl *sac,
#              void **unitinfo)
# {
#     struct client *client;
#
#     client = calloc(1, sizeof(*client));
#     if (client == NULL)
#         return ENOMEM;
#     client->unit = sac->sc_unit;
#     *unitinfo = client;
#     return 0;
# }
#
# static errno_t
# echo_disconnect(kern_ctl_ref ref,
#                 u_int32_t unit,
#                 void *unitinfo)
# {
#     free(unitinfo);
#     return 0;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def connect(
#         self, kctlref,
#         sac, unitinfo):
#
#
#     client = Client(sac.sc_unit)
#
#
#
#
#     unitinfo.value = client
#     return 0
#
#
#
# def disconnect(
#         self, kctlref,
#         unit, unitinfo):
#
#     # nothing to free in Python
#     return 0
# ```
#
# </td></tr>
# </table>
#
# The echo kext works like this. Its records are not the kernel's business, but we may look:

# %%
a.send(b"one")
c.send(b"two")
c.send(b"three")

echo.clients

# %%
assert [client.echoed for client in echo.clients.values()] == [1, 0, 2]  # recorded: dgram-echo

# %% [markdown]
# ## 3.3 How the kernel finds a free unit
#
# The client in the middle leaves. Another one connects.

# %%
predict("03.gap", "Unit 2 has left. Which unit does the next client get?", [2, 4, 1])

# %%
b.close()
d = connect(app)

reveal(
    "03.gap",
    unit_of(d),
    "The search starts at 1, walks the control's list of clients, and stops at the first gap.",
)

# %% [markdown]
# So a unit is not a name for ever: unit 2 is somebody else now. A kext that keeps anything under a
# unit has to forget it in `disconnect`.
#
# <small>● recorded: `unit-gap-filled`, `close-reconnect-unit`.</small>
#
# ## 3.4 Asking by number
#
# A client may also name the unit it wants. Programs that make tunnels do: the name of the interface
# they get, `utun3` say, comes from the unit. Client `a` has unit 1.

# %%
predict(
    "03.taken",
    "A client asks for unit 1, which is taken. What does connect answer?",
    ["it gets the next free unit", "EBUSY (16)", "EEXIST (17)"],
)

# %%
module = app.socket
e = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
try:
    e.connect((1, 1))
except OSError as error:
    refusal = error

print(explain(refusal, call="connect"))
reveal("03.taken", f"EBUSY ({refusal.errno})", "By number means: this one or none.")

# %% [markdown]
# Programs that want *any* of their units from some number on try one after the other, and EBUSY tells
# them to go on. Ten refusals in a log are then no fault at all.
#
# Does each try need a new socket? No. This refusal came before anything was attached, and the socket
# is as good as new:

# %%
e.connect((1, 7))  # recorded: unit-explicit-busy
assert unit_of(e) == 7

# %% [markdown]
# A control can also be registered *for one unit*, with `CTL_FLAG_REG_ID_UNIT`. Then the first client
# has it, every other one hears EBUSY, and another number is ENOENT.
#
# <small>● recorded: `unit-explicit`, `unit-explicit-busy`, `static-unit-zero`, `static-wrong-unit`.
# ◌ documented only: the names of tunnels.</small>
#
# ## 3.5 Break it: the search and the list
#
# The search walks a list, and it believes that the list is sorted. Clients the search has placed are.
# A client that names its unit goes to the *end*. A new Mac, and three clients that ask for units **2**,
# **1** and **any**:

# %%
predict(
    "03.quirk", "Units 2 and 1 are taken. Which unit does the third client get?", [3, 1, "none"]
)

# %%
mac = Kernel()
mac.load(EchoKext)
app = mac.spawn("client")
two, one, another = connect(app, 2), connect(app, 1), connect(app)

reveal(
    "03.quirk",
    unit_of(another),
    "The list is 2, 1. The counter is 1; the first client has 2, which is larger: a gap, it seems.",
)

# %%
assert [unit_of(s) for s in (two, one, another)] == [2, 1, 1]  # recorded: unit-order-quirk
Scope(mac, title="two clients, one unit", parts=["topology", "log", "scrubber"])

# %% [markdown]
# Two clients have unit 1. Whoever looks a unit up takes the first in the list, and the new client was
# put in *front* of unit 2.

# %%
predict(
    "03.who-hears",
    "The older client of unit 1 sends to the echo kext. Who hears the echo?",
    ["the older one", "the newer one", "both", "nobody"],
)

# %%
one.send(b"from the older one")
waiting = {"the older one": one, "the newer one": another}
readable, _, _ = app.select.select(list(waiting.values()), [], [], 0)
(hears,) = [name for name, s in waiting.items() if s in readable]
assert waiting[hears].recv(100) == b"from the older one"

reveal(
    "03.who-hears",
    hears,
    "ctl_enqueuedata is given a unit, and takes the first client of it.",
)

# %% [markdown]
# That is a fault of the kernel itself, on macOS 11 as on macOS 15, and the lab answers as the kernel
# does. A control is safe whose clients all leave the choice to the kernel, or all make it themselves.
#
# <small>● recorded: `unit-order-quirk`, `unit-order-quirk-2`, `unit-order-quirk-3`.</small>
#
# ## 3.6 Break it: one flag for all
#
# Now to the question. This kext was written for one client. It keeps its unit in a variable, and
# refuses a second client.
#
# <!-- c:
# static bool connected;
# static uint32_t the_unit;
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static errno_t
# one_connect(kern_ctl_ref ref,
#             struct sockaddr_ctl *sac,
#             void **unitinfo)
# {
#     if (connected)
#         return EBUSY;
#     connected = true;
#     the_unit = sac->sc_unit;
#     return 0;
# }
#
# static errno_t
# one_disconnect(kern_ctl_ref ref,
#                u_int32_t unit,
#                void *unitinfo)
# {
#     connected = false;
#     return 0;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def connect(
#         self, kctlref,
#         sac, unitinfo):
#
#     if self.connected:
#         return EBUSY
#     self.connected = True
#     self.the_unit = sac.sc_unit
#     return 0
#
#
#
# def disconnect(
#         self, kctlref,
#         unit, unitinfo):
#
#     self.connected = False
#     return 0
# ```
#
# </td></tr>
# </table>

# %%
from kextlab.abi.constants import CTL_DATA_EOR
from kextlab.abi.errno import EBUSY, ENOTCONN


class OneClient(EchoKext):
    """Made for one client; answers messages as long as it believes that somebody is there."""

    connected = False

    def connect(self, kctlref, sac, unitinfo):
        if self.connected:
            return EBUSY
        self.connected = True
        self.the_unit = sac.sc_unit
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.connected = False
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        if not self.connected:
            return ENOTCONN
        return self.kpi.ctl_enqueuedata(kctlref, self.the_unit, b"yes", 3, CTL_DATA_EOR)


mac = Kernel()
single = mac.load(OneClient)
first, second = mac.spawn("first"), mac.spawn("second")
s1 = connect(first)
s1.send(b"are you there?")
assert s1.recv(10) == b"yes"

# %%
predict(
    "03.first",
    "A second client is refused with EBUSY. What does the first client's next send do?",
    ["it works as before", "ENOTCONN (57)", "EPIPE (32)"],
)

# %%
before = len(mac.trace)
try:
    connect(second)
except OSError as error:
    refusal = error
    print(repr(error))

assert refusal.errno == EBUSY
try:
    s1.send(b"and now?")
except OSError as error:
    refusal = error

reveal(
    "03.first", f"ENOTCONN ({refusal.errno})", "The kext answers it: it has forgotten its client."
)

# %%
log(mac.trace, before)

# %% [markdown]
# Read the log. The second client had a unit already when the kext was asked. So when connect refuses,
# the kernel takes that unit back as it takes back any other: it calls **disconnect for the refused
# client**. The kext takes this for its first client's farewell.
#
# The kernel did nothing to the first client: it is connected still. Only the kext has forgotten it.

# %%
assert unit_of(s1) == 1
assert not single.connected
assert len(mac.sysctl("kctl.pcblist")) == 1  # recorded: conn-callback-error

# %% [markdown]
# The cure is 3.2: one record for each client, found through the unit or through `unitinfo`, and a
# `disconnect` that forgets this one and no other. Question 4 of the exercise is yours to write.
#
# <small>● recorded: `conn-callback-error`, `conn-callback-error-no-disconnect`.</small>
#
# ## 3.7 Break it: try the same socket again
#
# After EBUSY from a taken unit the socket was as good as new. Now EBUSY comes from the *kext*. The
# first client leaves, and the refused one tries again on its old socket.

# %%
predict(
    "03.again",
    "The control is free now. The refused socket connects once more, then sends. What happens?",
    ["connect fails", "both work", "connect works, send is EPIPE (32)"],
)

# %%
mac = Kernel()
mac.load(OneClient)
s1 = connect(mac.spawn("first"))
module = mac.spawn("second").socket
s2 = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
assert s2.connect_ex((1, 0)) == EBUSY
s1.close()
s2.connect((1, 0))  # no error

try:
    s2.send(b"hello")
except OSError as error:
    refusal = error

reveal(
    "03.again",
    f"connect works, send is EPIPE ({refusal.errno})",
    "The kernel shut the socket in both directions when the kext refused, and that stays.",
)

# %% [markdown]
# | EBUSY comes from | the socket afterwards | recorded in |
# |:--|:--|:--|
# | a unit that is taken, asked for by number | as good as new | `unit-explicit-busy` |
# | the kext's connect callback | shut: close it, and take a new one | `conn-callback-error`, `conn-retry-after-error` |
#
# A new socket for each attempt is right in both cases. Only close the old one.
#
# ## 3.8 Break it: a unit in a byte
#
# Nobody will have 256 clients, thought somebody, and kept the unit in a `uint8_t`.
#
# <!-- c:
# struct small { uint8_t unit; };
# static void keep(struct small *client, struct sockaddr_ctl *sac);
# -->
#
# ```c
# static void
# keep(struct small *client, struct sockaddr_ctl *sac)
# {
#     client->unit = sac->sc_unit;   /* 32 bits into 8 */
# }
# ```


# %%
class Small(EchoKext):
    """Keeps eight bits of each unit."""

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = sac.sc_unit & 0xFF
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo, b"secret", 6, CTL_DATA_EOR)


# %%
predict(
    "03.byte",
    "There are 257 clients. Number 257 asks the kext something. Who hears the answer?",
    ["unit 257", "unit 1", "nobody: EINVAL (22)"],
)

# %%
mac = Kernel()
mac.load(Small)
crowd = mac.spawn("crowd")
clients = [connect(crowd) for _ in range(257)]
clients[256].send(b"tell me")
assert clients[0].recv(10) == b"secret"

reveal("03.byte", f"unit {unit_of(clients[0])}", "257 is 1 in eight bits: another client's mail.")

# %% [markdown]
# And number 256? Its unit becomes 0, which nobody has.

# %%
try:
    clients[255].send(b"tell me")
except OSError as error:
    refusal = error
    print(explain(error, call="ctl_enqueuedata"))

assert refusal.errno == 22  # recorded: unit-wrong-enqueue

# %% [markdown]
# The compiler said nothing in its default mood. `-Wconversion` would have.
#
# ## 3.9 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | Unit 0 gets the lowest free unit. | It gets what the walk finds; after clients that named their unit, that may be one in use. | `unit-order-quirk` |
# | A refused client is never heard of again. | `disconnect` is called for it, with the unitinfo that `connect` left. | `conn-callback-error` |
# | After EBUSY the socket may try again. | If the unit was taken. Not if the kext said EBUSY: then sends are EPIPE for ever. | `unit-explicit-busy`, `conn-retry-after-error` |
# | The unit is the kernel's to choose. | The connect callback may write another one into its address, and that is the unit from then on. | `unit-connect-changes-unit` |
#
# The last line deserves a look:


# %%
class Renaming(EchoKext):
    """Chooses units itself."""

    def connect(self, kctlref, sac, unitinfo):
        sac.sc_unit = 77
        return super().connect(kctlref, sac, unitinfo)


mac = Kernel()
mac.load(Renaming)
s = connect(mac.spawn("client"))
assert unit_of(s) == 77  # recorded: unit-connect-changes-unit
s.send(b"hello")
assert s.recv(10) == b"hello"

# %% [markdown]
# ## 3.10 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("03")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - A **unit** is one client of one control, from 1 to 65535; numbers are used again.
# - One record for each client, handed out through **unitinfo**.
# - A refused client is disconnected too: `disconnect` forgets this unit and no other.
# - EBUSY means a taken unit, a control made for one unit, or the kext's own no. After the last, the
#   socket is of no use any more.
#
# Now the exercise: [3 · Units](../exercises/03-units.ipynb).
