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
# # Exercise 6 · Options
#
# Six questions about lesson [6 · Options](../notebooks/06-options.ipynb). Run the next cell first. Each
# question has one cell for your answer; keep its first line, the checker finds the cell by it. The
# cell below it checks what you ran last, at once, and as often as you like. Nothing you do here can
# break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/06-options.ipynb`.

# %% tags=["setup"]
# setup
from dataclasses import dataclass

from kextlab import Kernel
from kextlab.abi.errno import EINVAL, EOPNOTSUPP
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg
from kextlab.kexts import EchoKext
from kextlab.sched import KernelPanic

OPT_LABEL, OPT_LIMIT = 1, 2


@dataclass
class Client:
    """What a kext keeps of one client."""

    label: bytes = b""
    limit: int = 100


class Options(EchoKext):
    """A control with options: each client has a label and a limit of its own."""

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
        unitinfo.label = data or b""
        return 0

    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        length.value = 0
        return EOPNOTSUPP


def connected(factory):
    """A process on a fresh Mac with this kext, and a connected socket."""
    mac = Kernel()
    mac.load(factory)
    app = mac.spawn("client")
    module = app.socket
    s = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    s.connect((1, 0))
    return app, s


def size_of(app, s, option):
    """The size of an option: getsockopt with a null pointer, which Python's own has not."""
    level = app.socket.SYSPROTO_CONTROL
    errno, (size, _) = app.gate.getsockopt(app.pid, s.fileno(), level, option, None)
    if errno:
        raise OSError(errno, "getsockopt")
    return size


# %% [markdown]
# ## Question 1: predict
#
# This `getopt` has six bytes to give, and cuts them to the room there is:
#
# ```python
# def getopt(self, kctlref, unit, unitinfo, opt, data, length):
#     if data is None:
#         length.value = 6
#         return 0
#     n = min(len(data), 6)
#     data[:n] = b"sunny!"[:n]
#     length.value = n
#     return 0
# ```
#
# A C program calls `getsockopt` four times: with a buffer of **10** bytes, of **4** bytes, with a good
# pointer and the length **0**, and with a **null pointer** and the length 100. Which length comes back
# each time? Fill in the list.

# %% tags=["starter", "q06_1"]
# q06_1
lengths = ...

# %% tags=["reference", "q06_1"]
# q06_1
lengths = [6, 4, 6, 6]

# %% tags=["other", "q06_1"]
# q06_1
lengths = tuple(min(room or 6, 6) for room in (10, 4, 0, 0))


# %% tags=["other", "q06_1"]
# q06_1
class Sunny(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        n = 6 if data is None else min(len(data), 6)
        if data is not None:
            data[:n] = b"sunny!"[:n]
        length.value = n
        return 0


app, s = connected(Sunny)
buffers = [bytes(10), bytes(4), b"", None]
lengths = [app.gate.getsockopt(app.pid, s.fileno(), 2, 1, b)[1][0] for b in buffers]

# %% tags=["mutant", "q06_1", "whole-buffer-returns"]
# q06_1
lengths = [10, 4, 6, 6]

# %% tags=["mutant", "q06_1", "no-room-no-size"]
# q06_1
lengths = [6, 4, 0, 6]

# %% tags=["mutant", "q06_1", "no-room-no-size"]
# q06_1
lengths = [6, 4, 0, 0]

# %% tags=["mutant", "q06_1", "null-keeps-the-length"]
# q06_1
lengths = [6, 4, 6, 100]

# %% tags=["mutant", "q06_1", "kernel-wants-it-all"]
# q06_1
lengths = [6, "EINVAL", 6, 6]

# %% [markdown]
# ## Question 2: find and mend
#
# `OPT_LIMIT` is a number of four bytes, the lowest first. This kext believes that every client knows
# that. Mend `setopt`: a value that is not four bytes long is EINVAL, and changes nothing.


# %% tags=["starter", "q06_2"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        unitinfo.limit = int.from_bytes(data[:4], "little")
        return 0


# %% tags=["reference", "q06_2"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if length != 4:
            return EINVAL
        unitinfo.limit = int.from_bytes(data, "little")
        return 0


# %% tags=["other", "q06_2"]
# q06_2
import struct


class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt == OPT_LIMIT:
            try:
                (unitinfo.limit,) = struct.unpack("<I", data or b"")
            except struct.error:
                return EINVAL
            return 0
        return EOPNOTSUPP


# %% tags=["other", "q06_2"]
# q06_2
class Limited(Options):
    sizes = {OPT_LIMIT: 4}

    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt not in self.sizes:
            return EOPNOTSUPP
        if data is None or len(data) != self.sizes[opt]:
            return EINVAL
        unitinfo.limit = data[0] | data[1] << 8 | data[2] << 16 | data[3] << 24
        return 0


# %% tags=["mutant", "q06_2", "null-is-data"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if len(data) != 4:
            return EINVAL
        unitinfo.limit = int.from_bytes(data, "little")
        return 0


# %% tags=["mutant", "q06_2", "unchecked-length"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if data is None:
            return EINVAL
        unitinfo.limit = int.from_bytes(data[:4], "little")
        return 0


# %% tags=["mutant", "q06_2", "longer-is-fine"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if length < 4:
            return EINVAL
        unitinfo.limit = int.from_bytes(data[:4], "little")
        return 0


# %% tags=["mutant", "q06_2", "set-before-checked"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        unitinfo.limit = int.from_bytes((data or b"")[:4], "little")
        return 0 if length == 4 else EINVAL


# %% tags=["mutant", "q06_2", "another-number"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if length != 4:
            return EINVAL
        unitinfo.limit = int.from_bytes(data, "big")  # as in a network
        return 0


# %% tags=["mutant", "q06_2", "another-number"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT:
            return EOPNOTSUPP
        if length != 4:
            return EINVAL
        unitinfo.limit = data[0]
        return 0


# %% tags=["mutant", "q06_2", "any-refusal-will-do"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LIMIT or length != 4:
            return EOPNOTSUPP
        unitinfo.limit = int.from_bytes(data, "little")
        return 0


# %% tags=["mutant", "q06_2", "unknown-is-zero"]
# q06_2
class Limited(Options):
    def setopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt == OPT_LIMIT:
            if length != 4:
                return EINVAL
            unitinfo.limit = int.from_bytes(data, "little")
        return 0


# %% tags=["hidden", "q06_2"]
from kextlab.course.question import Miss
from kextlab.course.questions.bench import asked, connected, machine


def any_length(answer, seed):
    """Of all lengths up to 40 one is taken."""
    mac, _, app = machine(answer["Limited"])
    s = connected(app)
    for length in range(1, 41):
        said = asked(lambda length=length: s.setsockopt(2, 2, bytes(length)))
        if (said == "ok") != (length == 4):
            return Miss("unchecked-length", f"{length} bytes: {said}", "4 bytes, no others", mac)
    return None


# %% [markdown]
# ## Question 3: complete the callback
#
# `Labels` lets a client set its label (`Options` does that), but it cannot read it. Write `getopt`:
#
# - for `OPT_LABEL` it answers this client's label, and the label's true length;
# - to a size query it answers the length alone;
# - a buffer that is too small is EINVAL, and the machine lives on;
# - any other option is EOPNOTSUPP.


# %% tags=["starter", "q06_3"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        return 0


# %% tags=["reference", "q06_3"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        length.value = 0
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is not None:
            if len(data) < len(label):
                return EINVAL
            data[: len(label)] = label
        length.value = len(label)
        return 0


# %% tags=["other", "q06_3"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is None:
            length.value = len(unitinfo.label)
            return 0
        if length.value < len(unitinfo.label):
            return EINVAL
        for at, byte in enumerate(unitinfo.label):
            data[at] = byte
        length.value = len(unitinfo.label)
        return 0


# %% tags=["other", "q06_3"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        need = len(unitinfo.label)
        match opt, data:
            case 1, None:
                length.value = need
            case 1, _ if need <= length.value:
                data[:need], length.value = unitinfo.label, need
            case 1, _:
                return EINVAL
            case _:
                return EOPNOTSUPP
        return 0


# %% tags=["mutant", "q06_3", "error-saves"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        length.value = len(unitinfo.label)
        if data is None:
            return 0
        if len(data) < length.value:
            return EINVAL
        data[: length.value] = unitinfo.label
        return 0


# %% tags=["mutant", "q06_3", "claims-the-buffer"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is None:
            length.value = len(label)
            return 0
        if len(data) < len(label):
            return EINVAL
        data[: len(label)] = label
        return 0


# %% tags=["mutant", "q06_3", "no-size-query"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if len(data) < len(label):
            return EINVAL
        data[: len(label)] = label
        length.value = len(label)
        return 0


# %% tags=["mutant", "q06_3", "no-size-query"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if length.value < len(label):
            return EINVAL
        data[: len(label)] = label
        length.value = len(label)
        return 0


# %% tags=["mutant", "q06_3", "unknown-is-zero"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        if opt != OPT_LABEL:
            return 0
        if data is None:
            length.value = len(label)
            return 0
        if len(data) < len(label):
            return EINVAL
        data[: len(label)] = label
        length.value = len(label)
        return 0


# %% tags=["mutant", "q06_3", "cuts-silently"]
# q06_3
class Labels(Options):
    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        label = unitinfo.label
        if opt != OPT_LABEL:
            return EOPNOTSUPP
        if data is None:
            length.value = len(label)
            return 0
        length.value = min(len(data), len(label))
        data[: length.value] = label[: length.value]
        return 0


# %% tags=["hidden", "q06_3"]
from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine


def each_its_own(answer, seed):
    """Two clients read a label each, and it is their own."""
    mac, _, app = machine(answer["Labels"])
    clients = [connected(app), connected(app)]
    labels = [b"one" * (1 + seed % 5), b"the other"]
    for s, label in zip(clients, labels, strict=True):
        s.setsockopt(2, 1, label)
    heard = [s.getsockopt(2, 1, 64) for s in clients]
    if heard != labels:
        return Miss("claims-the-buffer", f"{heard}", f"{labels}", mac)
    return None


# %% [markdown]
# ## Question 4: write a client
#
# `fetch(app, s, option)` reads an option that may have any size from 0 to 1024 bytes, and returns its
# bytes. The kext refuses a buffer that is too small. `size_of(app, s, option)` of the setup cell asks
# how large the value is. Mind what Python's `getsockopt(level, option, 0)` returns: it is no `bytes`.


# %% tags=["starter", "q06_4"]
# q06_4
def fetch(app, s, option):
    level = app.socket.SYSPROTO_CONTROL
    ...


# %% tags=["reference", "q06_4"]
# q06_4
def fetch(app, s, option):
    level = app.socket.SYSPROTO_CONTROL
    size = size_of(app, s, option)
    if size == 0:
        return b""
    return s.getsockopt(level, option, size)


# %% tags=["other", "q06_4"]
# q06_4
def fetch(app, s, option):
    return s.getsockopt(app.socket.SYSPROTO_CONTROL, option, max(size_of(app, s, option), 1))


# %% tags=["other", "q06_4"]
# q06_4
def fetch(app, s, option):
    room = 1
    while True:
        try:
            return s.getsockopt(app.socket.SYSPROTO_CONTROL, option, room)
        except OSError as error:
            if error.errno != EINVAL or room == 1024:
                raise
            room *= 2


# %% tags=["mutant", "q06_4", "guesses-the-size"]
# q06_4
def fetch(app, s, option):
    return s.getsockopt(app.socket.SYSPROTO_CONTROL, option, 64)


# %% tags=["mutant", "q06_4", "zero-is-bytes"]
# q06_4
def fetch(app, s, option):
    return s.getsockopt(app.socket.SYSPROTO_CONTROL, option, size_of(app, s, option))


# %% tags=["mutant", "q06_4", "size-is-the-value"]
# q06_4
def fetch(app, s, option):
    return bytes(size_of(app, s, option))


# %% tags=["mutant", "q06_4", "swallows-the-error"]
# q06_4
def fetch(app, s, option):
    try:
        size = max(size_of(app, s, option), 1)
        return s.getsockopt(app.socket.SYSPROTO_CONTROL, option, size)
    except OSError:
        return b""


# %% [markdown]
# ## Question 5: explain a panic report
#
# Run this cell. A machine of a colleague has stopped, and this is its report.


# %% tags=["setup"]
# setup of question 5
class Weather(Options):
    """A colleague's kext."""

    def getopt(self, kctlref, unit, unitinfo, opt, data, length):
        length.value = 24
        if data is not None and len(data) < 24:
            return EINVAL
        return 0


def stopped():
    """The panic of a colleague's machine."""
    app, s = connected(Weather)
    try:
        s.getsockopt(app.socket.SYSPROTO_CONTROL, 3, 10)
    except KernelPanic as panic:
        return panic


print(stopped().report)

# %% [markdown]
# Answer three things: how many bytes were `claimed`, how many bytes of `room` there were, and which
# *one* change lets the machine survive **every** client:
#
# - **A** the client passes a larger buffer
# - **B** getopt answers another errno than EINVAL
# - **C** getopt leaves 0 in the length where it refuses
# - **D** getopt claims one byte less

# %% tags=["starter", "q06_5"]
# q06_5
claimed = ...
room = ...
mend = ...

# %% tags=["reference", "q06_5"]
# q06_5
claimed = 24
room = 10
mend = "C"

# %% tags=["other", "q06_5"]
# q06_5
import re

claimed, room = (int(n) for n in re.findall(r"\((\d+)\)", str(stopped())))
mend = "c"

# %% tags=["other", "q06_5"]
# q06_5
claimed, room, mend = 0x18, 0xA, " C "

# %% tags=["mutant", "q06_5", "error-saves"]
# q06_5
claimed, room, mend = 24, 10, "B"

# %% tags=["mutant", "q06_5", "client-is-to-blame"]
# q06_5
claimed, room, mend = 24, 10, "A"

# %% tags=["mutant", "q06_5", "off-by-one"]
# q06_5
claimed, room, mend = 24, 10, "D"

# %% tags=["mutant", "q06_5", "numbers-misread"]
# q06_5
claimed, room, mend = 10, 24, "C"

# %% [markdown]
# ## Question 6: put it in order
#
# The same again, as a C program does it. Here are six lines in disorder; five of them, in the right
# order, copy an option of any size into `value` and leave no memory behind. `getsockopt` is shortened:
# it returns the length that the kext has written. Between two calls the value may become shorter. Run
# the cell to read the lines. Write their letters in order, as a string such as `"FEDCB"`: the checker
# puts the lines together, and runs them.

# %% tags=["setup"]
# setup of question 6
from kextlab.course.questions.bench import listed
from kextlab.course.questions.q06 import LINES

print(listed(LINES))

# %% tags=["starter", "q06_6"]
# q06_6
order = ...

# %% tags=["reference", "q06_6"]
# q06_6
order = "CAFBE"

# %% tags=["other", "q06_6"]
# q06_6
order = ["c", "a", "f", "b", "e"]

# %% tags=["other", "q06_6"]
# q06_6
order = "C, A, F, B, E"

# %% tags=["mutant", "q06_6", "guesses-the-size"]
# q06_6
order = "DAFBE"

# %% tags=["mutant", "q06_6", "buffer-before-size"]
# q06_6
order = "ACFBE"

# %% tags=["mutant", "q06_6", "reads-after-freeing"]
# q06_6
order = "CAFEB"

# %% tags=["mutant", "q06_6", "reads-after-freeing"]
# q06_6
order = "CAFB"

# %% tags=["mutant", "q06_6", "size-is-the-value"]
# q06_6
order = "CABFE"

# %% tags=["seeds"]
seeds = range(7001, 7011)
