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
# # Exercise 3 · Units
#
# Six questions about lesson [3 · Units](../notebooks/03-units.ipynb). Run the next cell first. Each
# question has one cell for your answer; keep its first line, the checker finds the cell by it. The
# cell below it checks what you ran last, at once, and as often as you like. Nothing you do here can
# break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/03-units.ipynb`.

# %% tags=["setup"]
# setup
from dataclasses import dataclass

from kextlab.abi.constants import CTL_DATA_EOR
from kextlab.abi.errno import EBUSY
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext


def uint8_t(n):
    """What is left of a number in a C variable of eight bits."""
    return n & 0xFF


def int16_t(n):
    """The same for a signed variable of sixteen bits."""
    n &= 0xFFFF
    return n - 0x10000 if n >= 0x8000 else n


def uint32_t(n):
    """The same for an unsigned variable of 32 bits."""
    return n & 0xFFFFFFFF


# %% [markdown]
# ## Question 1: predict
#
# Five clients connect to a fresh control, one after the other, and none of them leaves. They ask for
# the units **5, 0, 3, 0, 0**, where 0 means *any*. Which units do they get? Fill in the list.

# %% tags=["starter", "q03_1"]
# q03_1
units = ...

# %% tags=["reference", "q03_1"]
# q03_1
units = [5, 1, 3, 2, 3]

# %% tags=["other", "q03_1"]
# q03_1
units = ()
clients = []  # in the kernel's order
for asked in (5, 0, 3, 0, 0):
    unit, at = asked or 1, len(clients)
    if asked == 0:
        for place, other in enumerate(clients):
            if other > unit:
                at = place
                break
            unit = other + 1
    clients.insert(at, unit)
    units += (unit,)

# %% tags=["other", "q03_1"]
# q03_1
from kextlab import Kernel

mac = Kernel()
mac.load(EchoKext)
socket = mac.spawn("me").socket


def client(unit):
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect((1, unit))
    return s


units = [client(unit).getpeername()[1] for unit in (5, 0, 3, 0, 0)]

# %% tags=["mutant", "q03_1", "lowest-free"]
# q03_1
units = [5, 1, 3, 2, 4]

# %% tags=["mutant", "q03_1", "counts-on"]
# q03_1
units = [5, 6, 3, 7, 8]

# %% tags=["mutant", "q03_1", "refuses-the-duplicate"]
# q03_1
units = [5, 1, 3, 2, "EBUSY"]

# %% tags=["mutant", "q03_1", "another-walk"]
# q03_1
units = [5, 0, 3, 0, 0]

# %% [markdown]
# ## Question 2: find and mend
#
# This kext tells every client its own unit. It was written by somebody who asked: who will ever have
# 256 clients? Find the line, and mend it so that every unit from 1 to 65535 hears its own number.
# `uint8_t` does to a number what the C type does.


# %% tags=["starter", "q03_2"]
# q03_2
@dataclass
class Record:
    unit: int = 0


class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        record = Record()
        record.unit = uint8_t(sac.sc_unit)
        unitinfo.value = record
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(unitinfo.unit).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo.unit, text, len(text), CTL_DATA_EOR)


# %% tags=["reference", "q03_2"]
# q03_2
@dataclass
class Record:
    unit: int = 0


class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        record = Record()
        record.unit = sac.sc_unit
        unitinfo.value = record
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(unitinfo.unit).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo.unit, text, len(text), CTL_DATA_EOR)


# %% tags=["other", "q03_2"]
# q03_2
class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        return 0  # the kernel says the unit in every callback: nothing to remember

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        text = b"%d" % unit
        error = self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)
        self.kpi.mbuf_freem(m)
        return error


# %% tags=["other", "q03_2"]
# q03_2
class Greeter(EchoKext):
    def __init__(self):
        super().__init__()
        self.names = {}

    def connect(self, kctlref, sac, unitinfo):
        self.names[uint32_t(sac.sc_unit)] = str(sac.sc_unit).encode()

    def disconnect(self, kctlref, unit, unitinfo):
        del self.names[unit]

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = self.names[unit]
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q03_2", "unit-in-a-byte"]
# q03_2
class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = sac.sc_unit % 256

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(unitinfo).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q03_2", "unit-in-a-short"]
# q03_2
class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = int16_t(sac.sc_unit)

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(unitinfo).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q03_2", "registered-unit"]
# q03_2
class Greeter(EchoKext):
    def start(self):
        self.reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(self.reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(self.reg.ctl_unit).encode()
        return self.kpi.ctl_enqueuedata(kctlref, self.reg.ctl_unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q03_2", "refuses-large-units"]
# q03_2
class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        if sac.sc_unit > 255:
            return EBUSY
        unitinfo.value = sac.sc_unit
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = str(unitinfo).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unitinfo, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q03_2", "keeps-mbufs"]
# q03_2
class Greeter(EchoKext):
    def connect(self, kctlref, sac, unitinfo):
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        text = str(unit).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["hidden", "q03_2"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine


def crowd(answer, seed):
    """Three hundred clients at once, found by the search, each hear their own unit."""
    mac, _, app = machine(answer["Greeter"])
    clients = [connected(app) for _ in range(300)]
    for at in Random(seed).sample(range(300), 20):
        unit = at + 1
        try:
            clients[at].send(b"?")
            heard = clients[at].recv(10)
        except OSError as error:
            heard = str(error).encode()
        if heard != b"%d" % unit:
            belief = "registered-unit" if unit < 256 else "unit-in-a-byte"
            return Miss(belief, f"unit {unit} hears {heard!r}", f"b'{unit}'", mac)
    return None


# %% [markdown]
# ## Question 3: find and mend
#
# A program asks `establish()` again and again until it answers `True`. The first time the kext is not
# loaded, and the answer is `False`, as it should be. The second time the kext is still not loaded,
# and the answer is `True`. Mend the class:
#
# - it answers `True` only if it is connected, and a connected link stays as it is when asked again;
# - after a failure none of its descriptors is open.


# %% tags=["starter", "q03_3"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name
        self.s = None

    def establish(self):
        if self.s is not None:
            return True  # connected already
        socket = self.app.socket
        self.s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            self.s.connect(self.name)
        except OSError:
            return False
        return True


# %% tags=["reference", "q03_3"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name
        self.s = None

    def establish(self):
        if self.s is not None:
            return True  # connected already
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect(self.name)
        except OSError:
            s.close()
            return False
        self.s = s
        return True


# %% tags=["other", "q03_3"]
# q03_3
class Link:
    connected = False

    def __init__(self, app, name):
        self.app, self.name = app, name

    def establish(self):
        if not self.connected:
            socket = self.app.socket
            self.s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
            try:
                self.s.connect(self.name)
                self.connected = True
            except OSError:
                pass
            finally:
                if not self.connected:
                    self.s.close()
        return self.connected


# %% tags=["other", "q03_3"]
# q03_3
from kextlab.abi import CTLIOCGINFO, CtlInfo


class Link:
    def __init__(self, app, name):
        self.app, self.name, self.fd = app, name, -1

    def establish(self):
        if self.fd != -1:
            return True
        app, module = self.app, self.app.socket
        s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
        try:
            found = app.fcntl.ioctl(s, CTLIOCGINFO, CtlInfo.named(self.name).pack())
            s.connect((CtlInfo.unpack(found).ctl_id, 0))
            self.fd = s.detach()
        except OSError:
            app.os.close(s.detach())
        return self.fd != -1


# %% tags=["mutant", "q03_3", "leaked-means-connected"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name, self.fd = app, name, -1

    def establish(self):
        if self.fd == -1:
            socket = self.app.socket
            s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
            self.fd = s.fileno()
            self.s = s
            if s.connect_ex((1, 0)) != 0:
                return False
        return True


# %% tags=["mutant", "q03_3", "leaves-it-open"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name
        self.s = None

    def establish(self):
        if self.s is not None:
            return True
        socket = self.app.socket
        self.s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            self.s.connect(self.name)
        except OSError:
            self.s = None
            return False
        return True


# %% tags=["mutant", "q03_3", "ignores-the-refusal"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def establish(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect(self.name)
        except OSError:
            s.close()
        return True


# %% tags=["mutant", "q03_3", "connects-again"]
# q03_3
class Link:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def establish(self):
        socket = self.app.socket
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect(self.name)
        except OSError:
            s.close()
            return False
        self.s = s
        return True


# %% tags=["hidden", "q03_3"]
from kextlab import Kernel
from kextlab.course.question import Miss
from kextlab.kexts import EchoKext


def many_failures(answer, seed):
    """A hundred failures cost no descriptor."""
    mac = Kernel()
    app = mac.spawn("client")
    link = answer["Link"](app, EchoKext.control_name)
    said = [link.establish() for _ in range(100 + seed % 10)]
    if any(said):
        return Miss("leaked-means-connected", f"attempt {said.index(True) + 1}: True", "False", mac)
    left = len(app.files.open)
    if left:
        return Miss("leaves-it-open", f"{left} descriptors open", "none", mac)
    return None


# %% [markdown]
# ## Question 4: complete the callbacks
#
# The kext `Counting` below is complete but for two callbacks. It serves up to `limit` clients at once,
# and tells each how many messages *this* client has sent. `send` takes the client's `Member` from
# `unitinfo`. The first version of `Club` knows one client only. Write `connect` and `disconnect`:
#
# - up to `self.limit` clients are connected at the same time, each with a record of its own;
# - one more is refused with EBUSY, and that harms nobody;
# - who leaves makes room.


# %% tags=["setup"]
# setup of question 4
@dataclass
class Member:
    unit: int
    messages: int = 0


class Counting(Kext):
    bundle_id = control_name = "org.kextlab.counting"
    limit = 3

    def __init__(self):
        self.ctlref = Out()
        self.members = {}

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        unitinfo.messages += 1
        text = str(unitinfo.messages).encode()
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["starter", "q03_4"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        if self.members:
            return EBUSY
        self.members["the client"] = Member(sac.sc_unit)
        unitinfo.value = self.members["the client"]
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.members.clear()
        return 0


# %% tags=["reference", "q03_4"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        if len(self.members) == self.limit:
            return EBUSY
        member = Member(sac.sc_unit)
        self.members[sac.sc_unit] = member
        unitinfo.value = member
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.members.pop(unit, None)  # the refused one never was a member
        return 0


# %% tags=["other", "q03_4"]
# q03_4
class Club(Counting):
    count = 0

    def connect(self, kctlref, sac, unitinfo):
        if self.count >= self.limit:
            return EBUSY
        self.count += 1
        unitinfo.value = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        if unitinfo is not None:  # a refused client has none
            self.count -= 1
        return 0


# %% tags=["other", "q03_4"]
# q03_4
class Club(Counting):
    def __init__(self):
        super().__init__()
        self.places = [None] * self.limit

    def connect(self, kctlref, sac, unitinfo):
        for place, member in enumerate(self.places):
            if member is None:
                unitinfo.value = self.places[place] = Member(sac.sc_unit)
                return 0
        return EBUSY

    def disconnect(self, kctlref, unit, unitinfo):
        self.places = [m if m is None or m.unit != unit else None for m in self.places]


# %% tags=["mutant", "q03_4", "one-client"]
# q03_4
class Club(Counting):
    connected = False

    def connect(self, kctlref, sac, unitinfo):
        if self.connected:
            return EBUSY
        self.connected = True
        unitinfo.value = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.connected = False
        return 0


# %% tags=["mutant", "q03_4", "shared-record"]
# q03_4
class Club(Counting):
    everybody = None
    count = 0

    def connect(self, kctlref, sac, unitinfo):
        if self.count == self.limit:
            return EBUSY
        self.count += 1
        self.everybody = self.everybody or Member(sac.sc_unit)
        unitinfo.value = self.everybody
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        if unitinfo is not None:
            self.count -= 1
        return 0


# %% tags=["mutant", "q03_4", "no-unitinfo"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        if len(self.members) == self.limit:
            return EBUSY
        self.members[sac.sc_unit] = unitinfo = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.members.pop(unit, None)
        return 0


# %% tags=["mutant", "q03_4", "no-limit"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = self.members[sac.sc_unit] = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        del self.members[unit]
        return 0


# %% tags=["mutant", "q03_4", "refused-was-no-client"]
# q03_4
class Club(Counting):
    count = 0

    def connect(self, kctlref, sac, unitinfo):
        if self.count == self.limit:
            return EBUSY
        self.count += 1
        unitinfo.value = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.count -= 1
        return 0


# %% tags=["mutant", "q03_4", "refused-was-no-client"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        if len(self.members) == self.limit:
            return EBUSY
        unitinfo.value = self.members[sac.sc_unit] = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.members.clear()
        return 0


# %% tags=["mutant", "q03_4", "never-forgets"]
# q03_4
class Club(Counting):
    def connect(self, kctlref, sac, unitinfo):
        if len(self.members) == self.limit:
            return EBUSY
        unitinfo.value = self.members[sac.sc_unit] = Member(sac.sc_unit)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0


# %% tags=["hidden", "q03_4"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import asked, connected, machine


def comings_and_goings(answer, seed):
    """After any coming and going there is room for as many as the limit says."""
    random = Random(seed)
    mac, club, app = machine(answer["Club"])
    there = []
    for _ in range(30):
        if there and random.random() < 0.4:
            there.pop(random.randrange(len(there))).close()
        else:
            said = asked(lambda: there.append(connected(app)))
            if (said == "ok") != (len(there) <= club.limit and said == "ok"):
                return Miss("refused-was-no-client", f"{len(there)} clients", "3", mac)
            if said != "ok" and len(there) < club.limit:
                return Miss("never-forgets", f"{said} with {len(there)} clients", "ok", mac)
    return None


# %% [markdown]
# ## Question 5: write a client
#
# Programs that make tunnels often want a unit of their choice, and the next free one if somebody has
# it. Write `connect_from(app, control_id, first)`:
#
# - it asks for unit `first`, then `first + 1`, and so on, until one is free;
# - it returns the connected datagram socket and the unit, as a pair;
# - it leaves one descriptor open: that of the socket it returns;
# - a refusal that has another reason ends the search: the socket is closed, and the `OSError` goes on
#   to the caller.


# %% tags=["starter", "q03_5"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    ...


# %% tags=["reference", "q03_5"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    unit = first
    while True:
        try:
            s.connect((control_id, unit))
        except OSError as error:
            if error.errno != EBUSY:
                s.close()
                raise
            unit += 1
        else:
            return s, unit


# %% tags=["other", "q03_5"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        for unit in range(first, 65536):
            errno = s.connect_ex((control_id, unit))
            if errno == 0:
                return s, s.getpeername()[1]
            if errno != EBUSY:
                break
        raise OSError(errno, "no unit for us")
    except OSError:
        s.close()
        raise


# %% tags=["other", "q03_5"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((control_id, first))
        return s, first
    except OSError as error:
        s.close()
        if error.errno == EBUSY:
            return connect_from(app, control_id, first + 1)
        raise


# %% tags=["mutant", "q03_5", "not-the-first-free"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect((control_id, 0))
    except OSError:
        s.close()
        raise
    return s, s.getpeername()[1]


# %% tags=["mutant", "q03_5", "new-socket-each-time"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    for unit in range(first, 65536):
        spare = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
        try:
            s.connect((control_id, unit))
            return s, unit
        except OSError as error:
            if error.errno != EBUSY:
                s.close()
                spare.close()
                raise


# %% tags=["mutant", "q03_5", "all-are-busy"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    unit = first
    while True:
        try:
            s.connect((control_id, unit))
            return s, unit
        except:
            unit += 1


# %% tags=["mutant", "q03_5", "open-after-refusal"]
# q03_5
def connect_from(app, control_id, first):
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    for unit in range(first, 65536):
        try:
            s.connect((control_id, unit))
            return s, unit
        except OSError as error:
            if error.errno != EBUSY:
                raise


# %% tags=["hidden", "q03_5"]
from kextlab.course.question import Miss
from kextlab.course.questions.bench import EchoKext, connected, machine


def a_long_row(answer, seed):
    """A row of fifty units in use is passed."""
    mac, _, app = machine(EchoKext)
    first = 1 + seed % 1000
    others = [connected(mac.spawn("other"), first + at) for at in range(50)]
    s, unit = answer["connect_from"](app, 1, first)
    if s.getpeername() != (1, unit) or unit != first + len(others):
        return Miss("not-the-first-free", f"unit {unit}", f"unit {first + 50}", mac)
    return None


# %% [markdown]
# ## Question 6: put it in order
#
# A control has one client. A second client connects, and the kext's connect callback refuses it.
# Here are six lines in disorder; five of them happen. Write the letters of those five in the order in
# which they happen, as a string such as `"FEDCB"`.
#
# - **A** the connect callback runs and answers EBUSY
# - **B** the client's `connect()` ends with error 16
# - **C** the client joins the control's list with a unit
# - **D** the disconnect callback runs for the refused unit
# - **E** the socket is shut in both directions
# - **F** the disconnect callback runs for the first client

# %% tags=["starter", "q03_6"]
# q03_6
order = ...

# %% tags=["reference", "q03_6"]
# q03_6
order = "CADEB"

# %% tags=["other", "q03_6"]
# q03_6
order = ["c", "a", "d", "e", "b"]

# %% tags=["other", "q03_6"]
# q03_6
order = "C, A, D, E, B"

# %% tags=["mutant", "q03_6", "first-is-disconnected"]
# q03_6
order = "CAFEB"

# %% tags=["mutant", "q03_6", "refused-never-connected"]
# q03_6
order = "CAEB"

# %% tags=["mutant", "q03_6", "asked-before-listed"]
# q03_6
order = "ACDEB"

# %% tags=["mutant", "q03_6", "answer-comes-first"]
# q03_6
order = "CABDE"

# %% tags=["seeds"]
seeds = range(7001, 7011)
