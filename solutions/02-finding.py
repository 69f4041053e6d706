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
# # Exercise 2 · Finding a control
#
# Six questions about lesson [2 · Finding a control](../notebooks/02-finding.ipynb). Run the next cell
# first. Each question has one cell for your answer; keep its first line, the checker finds the cell by
# it. The cell below it checks what you ran last, at once, and as often as you like. Nothing you do here
# can break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/02-finding.ipynb`.

# %% tags=["setup"]
# setup
from kextlab.abi import CTLIOCGCOUNT, CTLIOCGINFO, CtlInfo
from kextlab.abi.constants import CTL_DATA_EOR, CTL_FLAG_REG_ID_UNIT
from kextlab.abi.errno import EINVAL, ENOENT, ENOTSUP
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext

# %% [markdown]
# ## Question 1: predict
#
# Five controls register on a fresh Mac, and all of them stay. Which ids do they have? Fill in the list:
# **a, b, c, d, e**.
#
# ```text
# a  dynamic
# b  static, id 1000
# c  dynamic
# d  static, id 10
# e  dynamic
# ```

# %% tags=["starter", "q02_1"]
# q02_1
ids = ...

# %% tags=["reference", "q02_1"]
# q02_1
ids = [1, 1000, 1001, 10, 1002]

# %% tags=["other", "q02_1"]
# q02_1
there = []
ids = []
for static in (None, 1000, None, 10, None):
    ids.append(static or max(there, default=0) + 1)
    there.append(ids[-1])

# %% tags=["other", "q02_1"]
# q02_1
from kextlab import Kernel


def control(name, static):
    class Named(EchoKext):
        bundle_id = name

        def start(self):
            reg = KernCtlReg(ctl_name=name, ctl_connect=self.connect)
            if static:
                reg.ctl_id, reg.ctl_flags = static, CTL_FLAG_REG_ID_UNIT
            error = self.kpi.ctl_register(reg, self.ctlref)
            self.given = reg.ctl_id
            return error

    return Named


mac = Kernel()
story = {"a": None, "b": 1000, "c": None, "d": 10, "e": None}
ids = tuple(mac.load(control(name, static)).given for name, static in story.items())

# %% tags=["mutant", "q02_1", "dynamic-counts-alone"]
# q02_1
ids = [1, 1000, 2, 10, 3]

# %% tags=["mutant", "q02_1", "after-the-newest"]
# q02_1
ids = [1, 1000, 1001, 10, 11]

# %% tags=["mutant", "q02_1", "static-is-ignored"]
# q02_1
ids = [1, 2, 3, 4, 5]

# %% tags=["mutant", "q02_1", "another-count"]
# q02_1
ids = [1, 1000, 1001, 10]

# %% tags=["mutant", "q02_1", "another-count"]
# q02_1
ids = [1, 1000, 1001, 10, 1001]

# %% [markdown]
# ## Question 2: predict
#
# One control is registered, `org.kextlab.audio`. A client asks `CTLIOCGINFO` five times, on sockets that
# are not connected. What does each answer? Write 0 for an id, or one of `EINVAL`, `ENOENT`, `ENOTSUP`.
#
# - `exact`: the name `org.kextlab.audio`
# - `prefix`: the name `org.kextlab`
# - `case`: the name `org.kextlab.Audio`
# - `empty`: the name of no bytes
# - `event`: the name `org.kextlab.audio`, on an event socket

# %% tags=["starter", "q02_2"]
# q02_2
answers = {
    "exact": ...,
    "prefix": ...,
    "case": ...,
    "empty": ...,
    "event": ...,
}

# %% tags=["reference", "q02_2"]
# q02_2
answers = {
    "exact": 0,
    "prefix": ENOENT,
    "case": ENOENT,
    "empty": EINVAL,
    "event": ENOTSUP,
}

# %% tags=["other", "q02_2"]
# q02_2
answers = dict(exact=0, prefix=2, case=2, empty=22, event=45)

# %% tags=["other", "q02_2"]
# q02_2
answers = dict.fromkeys(("prefix", "case"), ENOENT)
answers |= {"exact": 0, "empty": EINVAL}
answers["event"] = ENOTSUP

# %% tags=["mutant", "q02_2", "near-enough"]
# q02_2
answers = {
    "exact": 0,
    "prefix": 0,
    "case": ENOENT,
    "empty": EINVAL,
    "event": ENOTSUP,
}

# %% tags=["mutant", "q02_2", "near-enough"]
# q02_2
answers = {
    "exact": 0,
    "prefix": ENOENT,
    "case": 0,
    "empty": EINVAL,
    "event": ENOTSUP,
}

# %% tags=["mutant", "q02_2", "empty-is-absent"]
# q02_2
answers = {
    "exact": 0,
    "prefix": ENOENT,
    "case": ENOENT,
    "empty": ENOENT,
    "event": ENOTSUP,
}

# %% tags=["mutant", "q02_2", "any-socket"]
# q02_2
answers = {
    "exact": 0,
    "prefix": ENOENT,
    "case": ENOENT,
    "empty": EINVAL,
    "event": 0,
}

# %% tags=["mutant", "q02_2", "asking-needs-a-connection"]
# q02_2
answers = {
    "exact": ENOENT,
    "prefix": ENOENT,
    "case": ENOENT,
    "empty": EINVAL,
    "event": ENOTSUP,
}

# %% [markdown]
# ## Question 3: write it byte by byte
#
# No `CtlInfo` this time. Write two functions, with nothing but bytes:
#
# - `question(name)` makes the 100 bytes for `CTLIOCGINFO`, from a name that fits;
# - `id_of(answer)` reads the id from the 100 bytes the kernel returns.
#
# The struct, once more: `u_int32_t ctl_id; char ctl_name[96];`


# %% tags=["starter", "q02_3"]
# q02_3
def question(name):
    return name.encode()


def id_of(answer):
    return answer[0]


# %% tags=["reference", "q02_3"]
# q02_3
def question(name):
    return bytes(4) + name.encode().ljust(96, b"\0")


def id_of(answer):
    return int.from_bytes(answer[:4], "little")


# %% tags=["other", "q02_3"]
# q02_3
import struct


def question(name):
    return struct.pack("<I96s", 0, name.encode())


def id_of(answer):
    return struct.unpack_from("<I", answer)[0]


# %% tags=["other", "q02_3"]
# q02_3
def question(name):
    record = bytearray(100)
    for at, letter in enumerate(name.encode(), start=4):
        record[at] = letter
    return record


def id_of(answer):
    a, b, c, d = answer[:4]
    return a | b << 8 | c << 16 | d << 24


# %% tags=["mutant", "q02_3", "as-long-as-the-name"]
# q02_3
def question(name):
    return bytes(4) + name.encode() + b"\0"


def id_of(answer):
    return int.from_bytes(answer[:4], "little")


# %% tags=["mutant", "q02_3", "name-comes-first"]
# q02_3
def question(name):
    return name.encode().ljust(96, b"\0") + bytes(4)


def id_of(answer):
    return int.from_bytes(answer[:4], "little")


# %% tags=["mutant", "q02_3", "network-order"]
# q02_3
def question(name):
    return bytes(4) + name.encode().ljust(96, b"\0")


def id_of(answer):
    return int.from_bytes(answer[:4], "big")


# %% tags=["mutant", "q02_3", "one-byte-is-enough"]
# q02_3
def question(name):
    return bytes(4) + name.encode().ljust(96, b"\0")


def id_of(answer):
    return answer[0]


# %% tags=["mutant", "q02_3", "one-byte-is-enough"]
# q02_3
def question(name):
    return bytes(4) + name.encode().ljust(96, b"\0")


def id_of(answer):
    return int.from_bytes(answer[:2], "little")


# %% [markdown]
# ## Question 4: find and mend
#
# A daemon holds a link to a control and connects whenever it has something to say. Since an update
# reloaded the kext, the daemon talks to another control. Mend the class:
#
# - `connect()` returns a new socket, connected to the control that has the name *now*;
# - if there is none, the `OSError` goes on to the caller, and no descriptor stays open.


# %% tags=["starter", "q02_4"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name
        self.control_id = None

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        if self.control_id is None:
            answer = self.app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
            self.control_id = CtlInfo.unpack(answer).ctl_id
        s.connect((self.control_id, 0))
        return s


# %% tags=["reference", "q02_4"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            answer = self.app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
            s.connect((CtlInfo.unpack(answer).ctl_id, 0))
        except OSError:
            s.close()
            raise
        return s


# %% tags=["other", "q02_4"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect(self.name)  # looks up each time
        except OSError as error:
            s.close()
            raise error
        return s


# %% tags=["other", "q02_4"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.question = app, CtlInfo.named(name).pack()

    def look_up(self, s):
        return CtlInfo.unpack(self.app.fcntl.ioctl(s, CTLIOCGINFO, self.question)).ctl_id

    def connect(self):
        module = self.app.socket
        s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
        connected = False
        try:
            s.connect((self.look_up(s), 0))
            connected = True
            return s
        finally:
            if not connected:
                s.close()


# %% tags=["mutant", "q02_4", "keeps-the-id"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name
        self.control_id = None

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            if self.control_id is None:
                answer = self.app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
                self.control_id = CtlInfo.unpack(answer).ctl_id
            s.connect((self.control_id, 0))
        except OSError:
            s.close()
            raise
        return s


# %% tags=["mutant", "q02_4", "guesses-the-id"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        count = self.app.fcntl.ioctl(s, CTLIOCGCOUNT, bytes(4))
        try:
            s.connect((int.from_bytes(count, "little"), 0))
        except OSError:
            s.close()
            raise
        return s


# %% tags=["mutant", "q02_4", "guesses-the-id"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect((1, 0))
        except OSError:
            s.close()
            raise
        return s


# %% tags=["mutant", "q02_4", "leaves-it-open"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        answer = self.app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
        s.connect((CtlInfo.unpack(answer).ctl_id, 0))
        return s


# %% tags=["mutant", "q02_4", "hides-the-failure"]
# q02_4
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def connect(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            answer = self.app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
            s.connect((CtlInfo.unpack(answer).ctl_id, 0))
        except OSError:
            s.close()
            return None
        return s


# %% [markdown]
# ## Question 5: write a kext
#
# One id, 0x7477, and two controls under it: the client of unit 1 is told `config` whatever it sends, the
# client of unit 2 `statistics`. Write `start`, and `send`; the other callbacks are there. `self.record()`
# gives you a record without flags, id and unit; both controls may have the same name.


# %% tags=["setup"]
# setup of question 5
class TwoStatic(Kext):
    bundle_id = "org.kextlab.twins"
    control_id = 0x7477
    texts = {1: "config", 2: "statistics"}

    def record(self):
        return KernCtlReg(
            ctl_name=self.bundle_id,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )

    def connect(self, kctlref, sac, unitinfo):
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def answer(self, kctlref, unit, text):
        return self.kpi.ctl_enqueuedata(kctlref, unit, text.encode(), len(text), CTL_DATA_EOR)


# %% tags=["starter", "q02_5"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.ref = Out()
        reg = self.record()
        reg.ctl_id = self.control_id
        return self.kpi.ctl_register(reg, self.ref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.texts[unit])


# %% tags=["reference", "q02_5"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.names = {}
        for unit, text in self.texts.items():
            reg, ref = self.record(), Out()
            reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
            reg.ctl_id = self.control_id
            reg.ctl_unit = unit
            error = self.kpi.ctl_register(reg, ref)
            if error:
                return error
            self.names[ref.value] = text
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.names[kctlref])


# %% tags=["other", "q02_5"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.config, self.statistics = Out(), Out()
        return self.one(1, self.config) or self.one(2, self.statistics)

    def one(self, unit, ref):
        reg = self.record()
        reg.ctl_id, reg.ctl_unit, reg.ctl_flags = self.control_id, unit, CTL_FLAG_REG_ID_UNIT
        return self.kpi.ctl_register(reg, ref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        if kctlref == self.config.value:
            return self.answer(kctlref, unit, "config")
        return self.answer(kctlref, unit, "statistics")


# %% tags=["other", "q02_5"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.refs = [Out() for _ in self.texts]
        for unit, ref in enumerate(self.refs, start=1):
            reg = self.record()
            reg.ctl_flags |= CTL_FLAG_REG_ID_UNIT
            reg.ctl_id, reg.ctl_unit = self.control_id, unit
            if error := self.kpi.ctl_register(reg, ref):
                return error

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.texts[unit])


# %% tags=["mutant", "q02_5", "an-id-is-one-control"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.names = {}
        for unit, text in self.texts.items():
            reg, ref = self.record(), Out()
            reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
            reg.ctl_id = self.control_id
            reg.ctl_unit = 1
            error = self.kpi.ctl_register(reg, ref)
            if error:
                return error
            self.names[ref.value] = text
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.texts[unit])


# %% tags=["mutant", "q02_5", "an-id-is-one-control"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.ref = Out()
        reg = self.record()
        reg.ctl_id, reg.ctl_flags = self.control_id, CTL_FLAG_REG_ID_UNIT
        return self.kpi.ctl_register(reg, self.ref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.texts[unit])


# %% tags=["mutant", "q02_5", "an-id-is-enough"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.ref = Out()
        reg = self.record()
        reg.ctl_id = self.control_id
        return self.kpi.ctl_register(reg, self.ref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.texts[unit])


# %% tags=["mutant", "q02_5", "one-reference"]
# q02_5
class Twins(TwoStatic):
    def start(self):
        self.names = {}
        for unit, text in self.texts.items():
            reg, ref = self.record(), Out()
            reg.ctl_flags = CTL_FLAG_REG_ID_UNIT
            reg.ctl_id = self.control_id
            reg.ctl_unit = unit
            error = self.kpi.ctl_register(reg, ref)
            if error:
                return error
            self.last = text
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return self.answer(kctlref, unit, self.last)


# %% [markdown]
# ## Question 6: put it in order
#
# A client has the name `org.kextlab.echo` and wants a connection. Here are six lines in disorder; five of
# them happen. Write the letters of those five in the order in which they happen, as a string such as
# `"FEDCB"`.
#
# - **A** the client calls `connect()` with an id and unit 0
# - **B** the client calls `ioctl()` with `CTLIOCGINFO`
# - **C** the client joins the control's list with a unit
# - **D** the client calls `socket()`
# - **E** the connect callback runs
# - **F** the kext is told that somebody has looked its name up

# %% tags=["starter", "q02_6"]
# q02_6
order = ...

# %% tags=["reference", "q02_6"]
# q02_6
order = "DBACE"

# %% tags=["other", "q02_6"]
# q02_6
order = ["d", "b", "a", "c", "e"]

# %% tags=["other", "q02_6"]
# q02_6
order = "D, B, A, C, E"

# %% tags=["mutant", "q02_6", "lookup-tells-the-kext"]
# q02_6
order = "DBFACE"

# %% tags=["mutant", "q02_6", "asks-without-a-socket"]
# q02_6
order = "BDACE"

# %% tags=["mutant", "q02_6", "connects-by-name"]
# q02_6
order = "DABCE"

# %% tags=["mutant", "q02_6", "asked-before-listed"]
# q02_6
order = "DBAEC"

# %% tags=["seeds"]
seeds = range(7001, 7011)
