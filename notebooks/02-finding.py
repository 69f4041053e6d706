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
# # 2 · Finding a control
#
# **The question.** Your program worked yesterday. Today the same program, on the same Mac, with the
# same [kext](glossary.md#kext) loaded, talks to somebody else's. It uses the number it was given
# yesterday. What should it have kept?
#
# After this lesson you can
#
# - find a [kernel control](glossary.md#kernel-control) by its name with `CTLIOCGINFO`, and say what
#   each refusal means,
# - tell a dynamic [control id](glossary.md#control-id) from a static one, and predict both,
# - count and list the controls of a [kernel](glossary.md#kernel),
# - say when a number alone is enough to find a control, and what it costs.
#
# It takes about 20 minutes. You should know lesson [1 · Registration](01-registration.ipynb).
#
# ## 2.1 Ids move, names stay
#
# Two kexts are loaded, and each registers one control. Nobody promised in which order.

# %%
from kextlab import Kernel, Scope, explain
from kextlab.abi import CTLIOCGCOUNT, CTLIOCGINFO, CtlInfo
from kextlab.abi.constants import CTL_FLAG_REG_ID_UNIT, SYSPROTO_EVENT
from kextlab.course import predict, retrieve, reveal
from kextlab.kexts import EchoKext, KernCtlReg, KextError
from kextlab.views import log, units_picture


class Clock(EchoKext):
    """Another control. What it does is of no interest here."""

    bundle_id = control_name = "org.kextlab.clock"


def ids(mac):
    """The kernel's list of controls: name and id, in its own order."""
    return [(listed["name"], listed["id"]) for listed in mac.sysctl("kctl.reg_list")]


def client(mac, type_="SOCK_DGRAM"):
    """A new process with a control socket that is not connected."""
    app = mac.spawn("client", uid=501)
    module = app.socket
    return app, module.socket(module.PF_SYSTEM, getattr(module, type_), module.SYSPROTO_CONTROL)


monday = Kernel()
monday.load(EchoKext)
monday.load(Clock)
ids(monday)

# %%
predict(
    "02.order",
    "On Tuesday the clock is loaded first. Which id does org.kextlab.echo get?",
    [1, 2],
)

# %%
tuesday = Kernel()
tuesday.load(Clock)
tuesday.load(EchoKext)

reveal(
    "02.order",
    dict(ids(tuesday))["org.kextlab.echo"],
    "The kernel takes the id of the last control in its list, plus one. Who comes second gets 2.",
)

# %% [markdown]
# <small>● recorded: `reg-ids-count-up`.</small>
#
# An id given out like this is called **dynamic**. It says in which order kexts came, and nothing else.
# What a kext and its clients can agree on beforehand is the **name**. So a name should belong to you:
# the reversed name of a domain you own, as in a bundle id.
#
# ## 2.2 The question CTLIOCGINFO
#
# The client asks with `ioctl`. It hands over 100 bytes: 4 for the id, which the kernel fills in, and 96
# for the name, which the client fills in. Any control socket will do for asking, connected or not.
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# u_int32_t
# look_up(int fd, const char *name)
# {
#     struct ctl_info info;
#
#     bzero(&info, sizeof(info));
#     if (strlcpy(info.ctl_name, name,
#                 sizeof(info.ctl_name))
#             >= sizeof(info.ctl_name))
#         errx(1, "the name is too long");
#     if (ioctl(fd, CTLIOCGINFO, &info) == -1)
#         err(1, "CTLIOCGINFO");
#
#     return info.ctl_id;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def look_up(app, s, name):
#
#
#
#
#     question = CtlInfo.named(name)
#
#
#
#     answer = app.fcntl.ioctl(
#         s, CTLIOCGINFO, question.pack())
#
#     return CtlInfo.unpack(answer).ctl_id
#
#
# ```
#
# </td></tr>
# </table>
#
# `look_up` in C ends the program on a failure: an answer of 0 would be an id, as you will see in 2.4.


# %%
def look_up(app, s, name):
    """The id of the control of that name."""
    answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    return CtlInfo.unpack(answer).ctl_id


app, s = client(tuesday)
assert look_up(app, s, "org.kextlab.echo") == 2
s.connect((look_up(app, s, "org.kextlab.echo"), 0))
assert look_up(app, s, "org.kextlab.clock") == 1  # recorded: lookup-after-connect
units_picture(tuesday.trace)

# %%
predict(
    "02.prefix",
    "Two clients ask for org.kextlab.Echo and for org.kextlab. Who is given an id?",
    ["the first", "the second", "both", "neither"],
)


# %%
def answered(call):
    """ "an id", or the number of the error."""
    try:
        call()
    except OSError as error:
        return error.errno
    return "an id"


found = {
    "the first": answered(lambda: look_up(app, s, "org.kextlab.Echo")),
    "the second": answered(lambda: look_up(app, s, "org.kextlab")),
}
assert set(found.values()) <= {2, "an id"}  # ENOENT; recorded: lookup-prefix
given = [who for who, said in found.items() if said == "an id"]

reveal(
    "02.prefix",
    {0: "neither", 2: "both"}.get(len(given)) or given[0],
    "Names are compared byte for byte, to the end. Both hear ENOENT (2).",
)

# %% [markdown]
# <small>● recorded: `lookup-prefix`, `reg-case-sensitive`.</small>
#
# The family `PF_SYSTEM` has a second kind of socket, for kernel events. Its [descriptor](glossary.md#descriptor) takes an
# `ioctl` as well.

# %%
predict(
    "02.event",
    "A client asks CTLIOCGINFO on an event socket. What does the kernel answer?",
    ["the id", "ENOENT (2)", "ENOTSUP (45)"],
)

# %%
module = app.socket
events = module.socket(module.PF_SYSTEM, module.SOCK_RAW, SYSPROTO_EVENT)
said = answered(lambda: look_up(app, events, "org.kextlab.echo"))

reveal(
    "02.event",
    {"an id": "the id", 2: "ENOENT (2)", 45: "ENOTSUP (45)"}[said],
    "The request belongs to the control protocol; a stream socket of that protocol may ask too.",
)

# %%
streams, t = client(tuesday, "SOCK_STREAM")
assert look_up(streams, t, "org.kextlab.echo") == 2  # recorded: lookup-stream-socket

# %% [markdown]
# <small>● recorded: `lookup-event-socket`, `lookup-stream-socket`.</small>
#
# ## 2.3 How many, and which
#
# `CTLIOCGCOUNT` tells how many controls are registered. It is no way to find one.

# %%
predict(
    "02.count",
    "Three controls have ids 1, 2, 3. The one in the middle deregisters. CTLIOCGCOUNT answers ...",
    [1, 2, 3],
)


# %%
class Third(EchoKext):
    bundle_id = control_name = "org.kextlab.third"


def count(app, s):
    """How many controls are registered."""
    return int.from_bytes(app.fcntl.ioctl(s, CTLIOCGCOUNT, bytes(4)), "little")


mac = Kernel()
mac.load(Clock)
middle = mac.load(EchoKext)
mac.load(Third)
app, s = client(mac)
assert count(app, s) == 3
mac.unload(middle)

reveal("02.count", count(app, s), "It counts controls. The last of them has id 3 all the same.")

# %%
assert ids(mac) == [("org.kextlab.clock", 1), ("org.kextlab.third", 3)]  # recorded: lookup-count
log(mac.trace)[-3:]

# %% [markdown]
# The whole list is in the sysctl `net.systm.kctl.reg_list`, which `netstat` reads. In the lab it is
# `mac.sysctl`, with a row for each control: name, id, flags, sizes, clients and more.

# %%
for row in mac.sysctl("kctl.reg_list"):
    print(row["id"], row["name"], "clients:", row["pcbcount"], "flags:", row["flags"])

assert len(mac.sysctl("kctl.reg_list")) == count(app, s)  # recorded: sysctl-lists

# %% [markdown]
# ## 2.4 Static ids: the kext brings its number
#
# With `CTL_FLAG_REG_ID_UNIT` the kernel takes `ctl_id` and `ctl_unit` from the record. Such a
# control is **static**. The number can stand in a header that the kext and its clients share, and
# nobody has to ask.
#
# <!-- c:
# errno_t four_connect(kern_ctl_ref, struct sockaddr_ctl *, void **);
# static kern_ctl_ref ref;
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# #define FOUR_ID 1000
#
# errno_t
# four_register(u_int32_t unit)
# {
#     struct kern_ctl_reg reg = {0};
#
#     strlcpy(reg.ctl_name, "org.kextlab.four",
#             sizeof(reg.ctl_name));
#     reg.ctl_flags   = CTL_FLAG_REG_ID_UNIT;
#     reg.ctl_id      = FOUR_ID;
#     reg.ctl_unit    = unit;
#     reg.ctl_connect = four_connect;
#
#     return ctl_register(&reg, &ref);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# FOUR_ID = 1000
#
#
# def register(self, unit):
#
#     reg = KernCtlReg()
#
#     reg.ctl_name = "org.kextlab.four"
#
#     reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
#     reg.ctl_id = FOUR_ID
#     reg.ctl_unit = unit
#     reg.ctl_connect = self.connect
#
#     return self.kpi.ctl_register(
#         reg, self.ctlref)
# ```
#
# </td></tr>
# </table>


# %%
def static(name, control_id, unit):
    """A kext with one static control."""

    class Static(EchoKext):
        bundle_id = control_name = name

        def start(self):
            reg = KernCtlReg()
            reg.ctl_name = name
            reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
            reg.ctl_id = control_id
            reg.ctl_unit = unit
            reg.ctl_connect = self.connect
            reg.ctl_disconnect = self.disconnect
            reg.ctl_send = self.send
            return self.kpi.ctl_register(reg, self.ctlref)

    return Static


mac = Kernel()
mac.load(Clock)
mac.load(static("org.kextlab.four", 1000, 7))
ids(mac)

# %%
predict(
    "02.after-static",
    "The list holds ids 1 and 1000. A dynamic control registers. Which id does it get?",
    [2, 1000, 1001],
)

# %%
mac.load(EchoKext)

reveal(
    "02.after-static",
    dict(ids(mac))["org.kextlab.echo"],
    "The last id plus one. Whether the last one is static makes no difference.",
)

# %%
mac.load(static("org.kextlab.zero", 0, 0))
assert [one for _, one in ids(mac)] == [0, 1, 1000, 1001]  # recorded: static-list-sorted
units_picture(mac.trace)

# %% [markdown]
# The list is kept in the order of ids. And 0 is an id, if somebody wants it: the reason why a lookup
# must not answer 0 for *none*.
#
# <small>● recorded: `static-vs-dynamic`, `static-list-sorted`, `static-id-zero`.</small>
#
# ## 2.5 A static control is one unit
#
# A dynamic control has a [unit](glossary.md#unit) for each client. A static control *is* one
# unit: the id and the unit together are its address. The one above has id 1000 and unit 7.

# %%
predict(
    "02.any-unit",
    "A client connects to id 1000 and asks for unit 0. What happens?",
    ["it gets unit 7", "it gets unit 1", "ENOENT (2)"],
)

# %%
app, s = client(mac)
try:
    s.connect((1000, 0))
    happened = f"it gets unit {s.getpeername()[1]}"
except OSError as error:
    print(explain(error, call="connect"))
    happened = f"ENOENT ({error.errno})"

reveal("02.any-unit", happened, "Id 1000 with unit 0 is another address, and nobody has it.")

# %%
s.connect((1000, 7))
assert s.getpeername() == (1000, 7)  # recorded: static-wrong-unit

# %% [markdown]
# The lookup by name finds a static control too, and answers the id alone. The unit you have to know.
# In return one id may stand for several controls, told apart by their units:

# %%
mac.load(static("org.kextlab.four.second", 1000, 8))
app, s = client(mac)
s.connect((1000, 8))
assert s.getpeername() == (1000, 8)  # recorded: static-two-units

# %% [markdown]
# <small>● recorded: `static-basic`, `static-wrong-unit`, `static-two-units`.</small>
#
# ## 2.6 When there were only numbers
#
# The first systems with kernel controls, Mac OS X 10.2 and 10.3, knew no lookup by name: a control had
# a number its vendor had registered with Apple, and clients were compiled with it. Since 10.4 there
# are names, and dynamic ids with them. Old headers and old articles still say "get a number". You may
# meet such numbers in code that is still alive; for something new a name is the better answer.
#
# <small>◌ documented only: the history of the interface.</small>
#
# ## 2.7 Break it: two vendors, one number
#
# Nothing but luck keeps two authors from choosing the same number.

# %%
predict(
    "02.collision",
    "A control has id 1000 and unit 7. Another kext registers the same pair. It hears ...",
    ["nothing: it replaces the first", "EEXIST (17)", "EBUSY (16)"],
)

# %%
mac = Kernel()
mac.load(static("org.kextlab.four", 1000, 7))
try:
    mac.load(static("com.example.other", 1000, 7))
    happened = "nothing: it replaces the first"
except KextError as error:
    print(error)
    happened = f"EEXIST ({error.errno})"

reveal("02.collision", happened, "Who comes first has the pair. The name is not compared at all.")

# %% [markdown]
# The kext that comes second does not work, and can say why. Worse is the client: today the *other* kext
# was loaded first, ours is refused, and the client connects to the number as always.

# %%
mac = Kernel()
other = mac.load(static("com.example.other", 1000, 7))
try:
    mac.load(static("org.kextlab.four", 1000, 7))
except KextError as error:
    refusal = error
assert refusal.errno == 17  # recorded: static-two-units

app, s = client(mac)
s.connect((1000, 7))  # no error
s.send(b"the secret of kext four")
assert other.clients[7].echoed == 1
log(mac.trace)[-6:]

# %% [markdown]
# A lookup by name would have answered ENOENT, and nothing would have been sent.
#
# Two static controls may even share a **name**: only ids and units are compared among them. Then the
# lookup finds the one that is first in the list, that is, the one with the smaller id.
#
# <small>● recorded: `static-dup-name-ok`, `lookup-static-name`.</small>
#
# ## 2.8 Break it: yesterday's id
#
# Back to the question. This client keeps the id it was given on Monday, and connects to it on Tuesday.

# %%
predict(
    "02.stale",
    "On Tuesday the client connects to Monday's id of the echo control. With whom does it talk?",
    ["the echo kext", "the clock kext", "nobody: ENOENT (2)"],
)

# %%
app, s = client(monday)
kept = look_up(app, s, "org.kextlab.echo")

tuesday = Kernel()
clock = tuesday.load(Clock)
echo = tuesday.load(EchoKext)
app, s = client(tuesday)
s.connect((kept, 0))
s.send(b"are you there?")
talks = [who for who, kext in (("the echo kext", echo), ("the clock kext", clock)) if kext.clients]

reveal("02.stale", talks[0], "The id is the first come's. connect cannot know whom you meant.")

# %% [markdown]
# Step through it: the control at the other end has another name.

# %%
Scope(tuesday, title="yesterday's id", parts=["topology", "log", "scrubber"])

# %% [markdown]
# So look the name up before *every* connect, also when you connect again after the kext was reloaded.
# It is one system call.
#
# ## 2.9 Break it: a question that is none

# %%
predict(
    "02.empty",
    "A client forgets to fill in the name and asks with 100 zero bytes. What is the answer?",
    ["the first control", "ENOENT (2)", "EINVAL (22)"],
)

# %%
try:
    app.fcntl.ioctl(s, CTLIOCGINFO, bytes(100))
    happened = "the first control"
except OSError as error:
    happened = {2: "ENOENT (2)", 22: "EINVAL (22)"}[error.errno]

reveal("02.empty", happened, "An empty name is no name. The kernel does not search for it.")

# %% [markdown]
# The other end is a name that fills all 96 bytes and has no 0 behind it. The kernel does not read on:
# it refuses that as well.

# %%
assert answered(lambda: look_up(app, s, "x" * 95)) == 2  # recorded: lookup-ioctl-95
assert answered(lambda: look_up(app, s, "x" * 96)) == 22

# %% [markdown]
# <small>● recorded: `lookup-ioctl-empty`, `lookup-ioctl-95`.</small>
#
# ## 2.10 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | Dynamic ids are a row of their own. | They go on from the largest id in the list, static ones included. | `static-vs-dynamic` |
# | An id is never 0. | A static control may have id 0, and clients connect to it. | `static-id-zero` |
# | Unit 0 means any unit. | Not on a static control: there it is unit 0, and ENOENT if the control has another. | `static-wrong-unit`, `static-unit-zero` |
# | A name is unique. | Among dynamic controls. A static one may take a name that is in use. | `static-dup-name-ok` |
# | `CTLIOCGCOUNT` is a limit for ids. | It counts controls; ids may be far larger. | `lookup-count`, `static-vs-dynamic` |
#
# ## 2.11 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("02")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - Keep the **name**; look the id up before every connect.
# - A **dynamic** id is the last id plus one. A **static** one is the kext's own choice, and is an
#   address only together with its unit.
# - ENOENT means that nobody has this name, or this id, or this unit of a static control; EINVAL that
#   you asked for no name at all; ENOTSUP that you asked on the wrong kind of socket.
# - 0 is an id. A failure needs another way to be told.
#
# Now the exercise: [2 · Finding a control](../exercises/02-finding.ipynb).
