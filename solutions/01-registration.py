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
# # Exercise 1 · Registration
#
# Eight questions about lesson [1 · Registration](../notebooks/01-registration.ipynb). Run the next cell
# first. Each question has one cell for your answer; keep its first line, the checker finds the cell by
# it. The cell below it checks what you ran last, at once, and as often as you like. Nothing you do here
# can break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/01-registration.ipynb`.

# %% tags=["setup"]
# setup
from kextlab.abi import CTLIOCGINFO, CtlInfo
from kextlab.abi.constants import CTL_FLAG_PRIVILEGED, CTL_FLAG_REG_ID_UNIT
from kextlab.abi.errno import EBUSY
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext

# %% [markdown]
# ## Question 1: predict
#
# On a fresh Mac five controls come and two of them go, in this order. All of them are dynamic. Which
# ids do the five registrations get? Fill in the list: **a, b, c, d, e**.
#
# ```text
# register a    register b    register c
# deregister a
# register d
# deregister d
# register e
# ```

# %% tags=["starter", "q01_1"]
# q01_1
ids = ...

# %% tags=["reference", "q01_1"]
# q01_1
ids = [1, 2, 3, 4, 4]

# %% tags=["other", "q01_1"]
# q01_1
there = []
ids = []
for what in ("+a", "+b", "+c", "-a", "+d", "-d", "+e"):
    if what[0] == "+":
        number = there[-1][1] + 1 if there else 1
        there.append((what[1], number))
        ids.append(number)
    else:
        there = [one for one in there if one[0] != what[1]]

# %% tags=["other", "q01_1"]
# q01_1
from kextlab import Kernel


def control(name):
    class Named(EchoKext):
        bundle_id = control_name = name

    return Named


mac = Kernel()
a, b, c = (mac.load(control(name)) for name in "abc")
ids = [one["id"] for one in mac.sysctl("kctl.reg_list")]
mac.unload(a)
for name in "de":
    kext = mac.load(control(name))
    ids.append(mac.sysctl("kctl.reg_list")[-1]["id"])
    mac.unload(kext)

# %% tags=["mutant", "q01_1", "lowest-free"]
# q01_1
ids = [1, 2, 3, 1, 1]

# %% tags=["mutant", "q01_1", "never-again"]
# q01_1
ids = [1, 2, 3, 4, 5]

# %% tags=["mutant", "q01_1", "from-zero"]
# q01_1
ids = [0, 1, 2, 3, 3]

# %% tags=["mutant", "q01_1", "another-count"]
# q01_1
ids = [1, 2, 3, 3, 3]

# %% tags=["mutant", "q01_1", "another-count"]
# q01_1
ids = ["a", "b", "c", "d", "e"]

# %% [markdown]
# ## Question 2: find and mend
#
# This control should have the id its kext asks for, 0x6b78, and serve root alone. So its author wrote
# down two flags, as a sample in a well-known guide does. The kernel gives it id 1, and lets everybody
# in. Find the mistake, and mend it.


# %% tags=["starter", "q01_2"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_PRIVILEGED & CTL_FLAG_REG_ID_UNIT
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["reference", "q01_2"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_PRIVILEGED | CTL_FLAG_REG_ID_UNIT
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["other", "q01_2"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_id=self.control_id,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        for flag in (CTL_FLAG_PRIVILEGED, CTL_FLAG_REG_ID_UNIT):
            reg.ctl_flags |= flag
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["other", "q01_2"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = (
            CTL_FLAG_PRIVILEGED + CTL_FLAG_REG_ID_UNIT
        )  # no bit in common: a sum will do
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["mutant", "q01_2", "and-for-or"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_REG_ID_UNIT & CTL_FLAG_PRIVILEGED
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["mutant", "q01_2", "logical-or"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_PRIVILEGED or CTL_FLAG_REG_ID_UNIT
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["mutant", "q01_2", "logical-or"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_PRIVILEGED
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["mutant", "q01_2", "every-bit"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = 0b111
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% tags=["mutant", "q01_2", "everybody-may"]
# q01_2
class Guarded(EchoKext):
    bundle_id = control_name = "org.kextlab.guarded"
    control_id = 0x6B78

    def start(self):
        reg = KernCtlReg()
        reg.ctl_name = self.control_name
        reg.ctl_id = self.control_id
        reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
        reg.ctl_connect = self.connect
        reg.ctl_disconnect = self.disconnect
        reg.ctl_send = self.send
        return self.kpi.ctl_register(reg, self.ctlref)


# %% [markdown]
# ## Question 3: find and mend
#
# `ctl_name` is an array of 96 bytes inside a record, and the record lay on the stack, full of what was
# there before. Here `field` is that array: a `bytearray` of 96 old letters. `name` holds the bytes of a
# name, without a 0. Write `write_name(field, name)`:
#
# - if the name fits, `field` holds it afterwards *as a C string*, and the answer is `True`;
# - if it does not fit, the answer is `False`, and nobody registers anything;
# - `field` keeps its 96 bytes, as an array in C does.
#
# The setup cell has what C offers: `memcpy`, `strncpy` and `strlcpy`.


# %% tags=["setup"]
# setup of question 3
def memcpy(to, data, n):
    """Copies n bytes, and nothing else."""
    to[:n] = data[:n]


def strncpy(to, text, n):
    """Copies at most n bytes; fills what is left of the n with 0."""
    to[:n] = text[:n].ljust(n, b"\0")


def strlcpy(to, text, n):
    """Copies at most n - 1 bytes and writes a 0; returns the length of the text."""
    short = text[: n - 1] + b"\0"
    to[: len(short)] = short
    return len(text)


# %% tags=["starter", "q01_3"]
# q01_3
def write_name(field, name):
    memcpy(field, name, len(name))
    return True


# %% tags=["reference", "q01_3"]
# q01_3
def write_name(field, name):
    return strlcpy(field, name, len(field)) < len(field)


# %% tags=["other", "q01_3"]
# q01_3
def write_name(field, name):
    if len(name) >= len(field):
        return False
    memcpy(field, name, len(name))
    field[len(name)] = 0
    return True


# %% tags=["other", "q01_3"]
# q01_3
def write_name(field, name):
    memcpy(field, bytes(96), 96)  # bzero
    if len(name) > 95:
        return False
    strncpy(field, name, 95)
    return True


# %% tags=["mutant", "q01_3", "no-terminator"]
# q01_3
def write_name(field, name):
    if len(name) > 95:
        return False
    memcpy(field, name, len(name))
    return True


# %% tags=["mutant", "q01_3", "strncpy-terminates"]
# q01_3
def write_name(field, name):
    strncpy(field, name, len(field))
    return True


# %% tags=["mutant", "q01_3", "strncpy-terminates"]
# q01_3
def write_name(field, name):
    if len(name) > len(field):
        return False
    strncpy(field, name, len(field))
    return True


# %% tags=["mutant", "q01_3", "cut-silently"]
# q01_3
def write_name(field, name):
    strlcpy(field, name, len(field))
    return True


# %% tags=["mutant", "q01_3", "another-length"]
# q01_3
def write_name(field, name):
    field[:] = name + b"\0"
    return len(name) < 96


# %% tags=["mutant", "q01_3", "one-too-few"]
# q01_3
def write_name(field, name):
    if len(name) + 1 >= len(field):
        return False
    strlcpy(field, name, len(field))
    return True


# %% [markdown]
# ## Question 4: find and mend
#
# A client looks a name up and connects. It works in every test, until one day the kext is not loaded,
# and the client talks to somebody else's. Mend it:
#
# - `reach(app, name)` returns a socket that is connected to the control of that name, whatever its id;
# - if there is none, the `OSError` goes on to the caller, and no descriptor stays open.


# %% tags=["starter", "q01_4"]
# q01_4
def lookup(app, s, name):
    try:
        answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    except OSError:
        return 0
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    control_id = lookup(app, s, name)
    if control_id == -1:
        s.close()
        raise OSError("no such control")
    s.connect((control_id, 0))
    return s


# %% tags=["reference", "q01_4"]
# q01_4
def lookup(app, s, name):
    answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((lookup(app, s, name), 0))
    except OSError:
        s.close()
        raise
    return s


# %% tags=["other", "q01_4"]
# q01_4
def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect(name)  # looks up, then connects
        return s
    except OSError as error:
        s.close()
        raise error


# %% tags=["other", "q01_4"]
# q01_4
import contextlib


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(s.close)
        question = CtlInfo.named(name).pack()
        answer = app.fcntl.ioctl(s, CTLIOCGINFO, question)
        s.connect((CtlInfo.unpack(answer).ctl_id, 0))
        cleanup.pop_all()  # it went well: keep the socket
    return s


# %% tags=["mutant", "q01_4", "failure-is-zero"]
# q01_4
def lookup(app, s, name):
    try:
        answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    except OSError:
        return 0
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((lookup(app, s, name), 0))
    except OSError:
        s.close()
        raise
    return s


# %% tags=["mutant", "q01_4", "zero-is-failure"]
# q01_4
from kextlab.abi.errno import ENOENT


def lookup(app, s, name):
    try:
        answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    except OSError:
        return 0
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    control_id = lookup(app, s, name)
    if control_id == 0:
        s.close()
        raise OSError(ENOENT, "no such control")
    s.connect((control_id, 0))
    return s


# %% tags=["mutant", "q01_4", "leaves-it-open"]
# q01_4
def lookup(app, s, name):
    answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect((lookup(app, s, name), 0))
    return s


# %% tags=["mutant", "q01_4", "hides-the-reason"]
# q01_4
def lookup(app, s, name):
    answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((lookup(app, s, name), 0))
    except OSError:
        s.close()
        return None
    return s


# %% tags=["mutant", "q01_4", "hides-the-reason"]
# q01_4
def lookup(app, s, name):
    answer = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(name).pack())
    return CtlInfo.unpack(answer).ctl_id


def reach(app, name):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((lookup(app, s, name), 0))
    except OSError:
        s.close()
        raise OSError(-1, "lookup failed") from None
    return s


# %% [markdown]
# ## Question 5: explain a panic report
#
# A Mac panicked while a program called `mailer` sent a message. Run the cell to read the report.

# %% tags=["setup"]
# setup of question 5
from kextlab.course.questions.q01 import crash_report

report = crash_report()
print(report)

# %% [markdown]
# Fill in three answers:
#
# - `culprit`: the bundle id of the kext that is to blame;
# - `callback`: the name of the callback the kernel was in, such as `"disconnect"`;
# - `mistake`: a letter. The kext's `stop`
#   - **A** never called `ctl_deregister`,
#   - **B** called it, and did not look at its answer,
#   - **C** called it twice,
#   - **D** ran out of memory.

# %% tags=["starter", "q01_5"]
# q01_5
culprit = ...
callback = ...
mistake = ...

# %% tags=["reference", "q01_5"]
# q01_5
culprit = "org.kextlab.hasty"
callback = "send"
mistake = "B"

# %% tags=["other", "q01_5"]
# q01_5
answers = {"culprit": "org.kextlab.hasty", "callback": "send", "mistake": "b"}
culprit, callback, mistake = answers.values()

# %% tags=["other", "q01_5"]
# q01_5
import re

(gone,) = re.findall("Unloaded since boot: (.*)", report)
(asked,) = re.findall(r"kext:(\S+): kpi ctl_deregister.*\n.*errno 16", report)
culprit = next(kext for kext in gone.split(", ") if kext == asked)
callback = re.findall(r"callback (\w+)", report)[-1]
mistake = "B"  # EBUSY was the answer, and the kext is gone all the same

# %% tags=["mutant", "q01_5", "blames-the-loaded"]
# q01_5
culprit = "org.kextlab.keeper"
callback = "send"
mistake = "B"

# %% tags=["mutant", "q01_5", "blames-whoever-left"]
# q01_5
culprit = "org.kextlab.tidy"
callback = "send"
mistake = "B"

# %% tags=["mutant", "q01_5", "blames-the-process"]
# q01_5
culprit = "mailer"
callback = "send"
mistake = "B"

# %% tags=["mutant", "q01_5", "another-callback"]
# q01_5
culprit = "org.kextlab.hasty"
callback = "stop"
mistake = "B"

# %% tags=["mutant", "q01_5", "never-called"]
# q01_5
culprit = "org.kextlab.hasty"
callback = "send"
mistake = "A"

# %% tags=["mutant", "q01_5", "called-twice"]
# q01_5
culprit = "org.kextlab.hasty"
callback = "send"
mistake = "C"

# %% tags=["mutant", "q01_5", "the-memory"]
# q01_5
culprit = "org.kextlab.hasty"
callback = "send"
mistake = "D"

# %% [markdown]
# ## Question 6: write a kext
#
# This kext has two controls, `org.kextlab.read` and `org.kextlab.write`. Their callbacks are written.
# Write `start` and `stop`; `self.record(name)` gives you a record that is filled in.
#
# - `start` registers both, in the order of `control_names`. If one is refused, it answers that errno,
#   and none of its own stays registered.
# - `stop` deregisters both. If one is refused, it answers that errno, and the kext stays. The kernel may
#   call `stop` again later.


# %% tags=["setup"]
# setup of question 6
class TwoControls(Kext):
    bundle_id = "org.kextlab.pair"
    control_names = ("org.kextlab.read", "org.kextlab.write")

    def record(self, name):
        return KernCtlReg(ctl_name=name, ctl_connect=self.connect, ctl_disconnect=self.disconnect)

    def connect(self, kctlref, sac, unitinfo):
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0


# %% tags=["starter", "q01_6"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.ctlref = Out()
        for name in self.control_names:
            self.kpi.ctl_register(self.record(name), self.ctlref)
        return 0

    def stop(self):
        return self.kpi.ctl_deregister(self.ctlref.value)


# %% tags=["reference", "q01_6"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            error = self.kpi.ctl_register(self.record(name), ref)
            if error != 0:
                self.stop()
                return error
            self.refs.append(ref.value)
        return 0

    def stop(self):
        while self.refs:
            error = self.kpi.ctl_deregister(self.refs[-1])
            if error != 0:
                return error
            self.refs.pop()
        return 0


# %% tags=["other", "q01_6"]
# q01_6
class Pair(TwoControls):
    def start(self):
        kpi = self.kpi
        self.read, self.write = Out(), Out()
        error = kpi.ctl_register(self.record("org.kextlab.read"), self.read)
        if error:
            return error
        error = kpi.ctl_register(self.record("org.kextlab.write"), self.write)
        if error:
            kpi.ctl_deregister(self.read.value)
        return error

    def stop(self):
        if self.read.value is not None:
            error = self.kpi.ctl_deregister(self.read.value)
            if error:
                return error
            self.read.value = None
        return self.kpi.ctl_deregister(self.write.value)


# %% tags=["other", "q01_6"]
# q01_6
class Pair(TwoControls):
    def __init__(self):
        self.refs = {name: Out() for name in self.control_names}

    def start(self):
        for name, ref in self.refs.items():
            if error := self.kpi.ctl_register(self.record(name), ref):
                self.stop()
                return error

    def stop(self):
        refused = 0
        for ref in self.refs.values():
            if ref.value is not None:
                error = self.kpi.ctl_deregister(ref.value)
                if error:
                    refused = error
                else:
                    ref.value = None
        return refused


# %% tags=["mutant", "q01_6", "forgets-one"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.ref = Out()
        return self.kpi.ctl_register(self.record(self.control_names[0]), self.ref)

    def stop(self):
        return self.kpi.ctl_deregister(self.ref.value)


# %% tags=["mutant", "q01_6", "forgets-one"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.ref = Out()
        for name in self.control_names:
            error = self.kpi.ctl_register(self.record(name), self.ref)
            if error:
                return error
        return 0

    def stop(self):
        return self.kpi.ctl_deregister(self.ref.value)


# %% tags=["mutant", "q01_6", "ignores-the-refusal"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            if self.kpi.ctl_register(self.record(name), ref) == 0:
                self.refs.append(ref.value)
        return 0

    def stop(self):
        while self.refs:
            error = self.kpi.ctl_deregister(self.refs[-1])
            if error != 0:
                return error
            self.refs.pop()
        return 0


# %% tags=["mutant", "q01_6", "ignores-the-refusal"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            error = self.kpi.ctl_register(self.record(name), ref)
            if error:
                self.stop()
                return -1
            self.refs.append(ref.value)
        return 0

    def stop(self):
        while self.refs:
            error = self.kpi.ctl_deregister(self.refs[-1])
            if error != 0:
                return error
            self.refs.pop()
        return 0


# %% tags=["mutant", "q01_6", "leaves-the-first"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            error = self.kpi.ctl_register(self.record(name), ref)
            if error:
                return error
            self.refs.append(ref.value)
        return 0

    def stop(self):
        while self.refs:
            error = self.kpi.ctl_deregister(self.refs[-1])
            if error != 0:
                return error
            self.refs.pop()
        return 0


# %% tags=["mutant", "q01_6", "ignores-busy"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            error = self.kpi.ctl_register(self.record(name), ref)
            if error != 0:
                self.stop()
                return error
            self.refs.append(ref.value)
        return 0

    def stop(self):
        for ref in self.refs:
            self.kpi.ctl_deregister(ref)
        return 0


# %% tags=["mutant", "q01_6", "deregisters-again"]
# q01_6
class Pair(TwoControls):
    def start(self):
        self.refs = []
        for name in self.control_names:
            ref = Out()
            error = self.kpi.ctl_register(self.record(name), ref)
            if error != 0:
                self.stop()
                return error
            self.refs.append(ref.value)
        return 0

    def stop(self):
        for ref in self.refs:
            error = self.kpi.ctl_deregister(ref)
            if error != 0:
                return error
        return 0


# %% tags=["hidden", "q01_6"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import Kernel, control, names_of
from kextlab.kernel.kext import KextError
from kextlab.sched.stop import KernelPanic


def loaded_again_and_again(answer, seed):
    """After every refusal the kext can go, and come again."""
    random = Random(seed)
    mac = Kernel()
    for _ in range(5):
        kext = mac.load(answer["Pair"])
        app = mac.spawn("client")
        there = []
        for name in random.choices(kext.control_names, k=random.randrange(1, 4)):
            there.append(control(app))
            there[-1].connect(name)
        while True:
            try:
                mac.unload(kext)
                break
            except KernelPanic as panic:
                return Miss("deregisters-again", f"unloading: {panic}", "no panic", mac)
            except KextError as error:
                if not there:
                    return Miss("deregisters-again", str(error), "no client, so it goes", mac)
                there.pop(random.randrange(len(there))).close()
        if there:
            return Miss("ignores-busy", f"it left {len(there)} clients", "EBUSY (16)", mac)
        if names_of(mac):
            return Miss("forgets-one", f"{names_of(mac)} is registered", "nothing is", mac)
    return None


# %% [markdown]
# ## Question 7: find and mend
#
# "The last one switches off the light", thought the author of this kext, and deregistered where the last
# client leaves. Then `stop` has nothing left to do. One day after an unload the machine panics. Mend it:
#
# - clients come and go, and the control stays as long as the kext, without a call that is refused;
# - when the kext is unloaded, the control goes with it;
# - while a client is connected, unloading is refused with EBUSY.
#
# `self.clients` holds the records of the connected clients; the callbacks of `EchoKext` keep it.


# %% tags=["starter", "q01_7"]
# q01_7
class Lasting(EchoKext):
    def disconnect(self, kctlref, unit, unitinfo):
        error = super().disconnect(kctlref, unit, unitinfo)
        if not self.clients:
            self.kpi.ctl_deregister(kctlref)
        return error

    def stop(self):
        return EBUSY if self.clients else 0


# %% tags=["reference", "q01_7"]
# q01_7
class Lasting(EchoKext):
    def stop(self):
        return self.kpi.ctl_deregister(self.ctlref.value)


# %% tags=["other", "q01_7"]
# q01_7
class Lasting(EchoKext):
    pass  # EchoKext does it right


# %% tags=["other", "q01_7"]
# q01_7
class Lasting(EchoKext):
    def disconnect(self, kctlref, unit, unitinfo):
        return super().disconnect(kctlref, unit, unitinfo)

    def stop(self):
        if self.clients:
            return EBUSY
        error = self.kpi.ctl_deregister(self.ctlref.value)
        if error == 0:
            self.ctlref.value = None
        return error


# %% tags=["mutant", "q01_7", "last-one-out"]
# q01_7
class Lasting(EchoKext):
    def disconnect(self, kctlref, unit, unitinfo):
        error = super().disconnect(kctlref, unit, unitinfo)
        self.kpi.ctl_deregister(kctlref)  # EBUSY while others are there: never mind
        return error

    def stop(self):
        return self.kpi.ctl_deregister(self.ctlref.value)


# %% tags=["mutant", "q01_7", "last-one-out"]
# q01_7
class Lasting(EchoKext):
    gone = False

    def disconnect(self, kctlref, unit, unitinfo):
        error = super().disconnect(kctlref, unit, unitinfo)
        if not self.clients:
            self.gone = self.kpi.ctl_deregister(kctlref) == 0
        return error

    def stop(self):
        return 0 if self.gone else self.kpi.ctl_deregister(self.ctlref.value)


# %% tags=["mutant", "q01_7", "asks-until-it-works"]
# q01_7
class Lasting(EchoKext):
    def disconnect(self, kctlref, unit, unitinfo):
        error = super().disconnect(kctlref, unit, unitinfo)
        while not self.clients and self.kpi.ctl_deregister(kctlref) == EBUSY:
            pass
        return error

    def stop(self):
        return EBUSY if self.clients else 0


# %% tags=["mutant", "q01_7", "somebody-else-does-it"]
# q01_7
class Lasting(EchoKext):
    def stop(self):
        return EBUSY if self.clients else 0


# %% tags=["mutant", "q01_7", "ignores-busy"]
# q01_7
class Lasting(EchoKext):
    def stop(self):
        self.kpi.ctl_deregister(self.ctlref.value)
        return 0


# %% tags=["mutant", "q01_7", "waits-in-stop"]
# q01_7
class Lasting(EchoKext):
    def stop(self):
        while self.clients:
            pass
        return self.kpi.ctl_deregister(self.ctlref.value)


# %% [markdown]
# ## Question 8: put it in order
#
# A client is connected to the echo kext. Somebody unloads the kext; the client leaves; somebody unloads
# it again. Here are seven lines in disorder; six of them happen. Write the letters of those six in the
# order in which they first happen, as a string such as `"FEDCBA"`.
#
# - **A** the control is taken off the kernel's list
# - **B** the kext's disconnect callback is called
# - **C** the kext's code is taken out of memory
# - **D** `ctl_deregister` answers EBUSY
# - **E** the client is taken off the control's list
# - **F** the client calls `close`
# - **G** the kernel closes the client's socket, because the kext wants to go

# %% tags=["starter", "q01_8"]
# q01_8
order = ...

# %% tags=["reference", "q01_8"]
# q01_8
order = "DFBEAC"

# %% tags=["other", "q01_8"]
# q01_8
order = ["d", "f", "b", "e", "a", "c"]

# %% tags=["other", "q01_8"]
# q01_8
order = "D, F, B, E, A, C"

# %% tags=["mutant", "q01_8", "throws-them-out"]
# q01_8
order = "GBEDAC"

# %% tags=["mutant", "q01_8", "nothing-is-refused"]
# q01_8
order = "FBEDAC"

# %% tags=["mutant", "q01_8", "off-before-disconnect"]
# q01_8
order = "DFEBAC"

# %% tags=["mutant", "q01_8", "code-goes-first"]
# q01_8
order = "DFBECA"

# %% tags=["mutant", "q01_8", "goes-before-they-leave"]
# q01_8
order = "DAFBEC"

# %% tags=["mutant", "q01_8", "goes-before-they-leave"]
# q01_8
order = "D"

# %% tags=["seeds"]
seeds = range(7001, 7011)
