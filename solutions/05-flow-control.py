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
# # Exercise 5 · Flow control
#
# Seven questions about lesson [5 · Flow control](../notebooks/05-flow-control.ipynb). Run the next
# cell first. Each question has one cell for your answer; keep its first line, the checker finds the
# cell by it. The cell below it checks what you ran last, at once, and as often as you like.
#
# In a terminal, after saving: `kextlab check exercises/05-flow-control.ipynb`.

# %% tags=["setup"]
# setup
from kextlab.abi.constants import (
    CTL_DATA_EOR,
    CTL_DATA_NOWAKEUP,
    CTL_FLAG_REG_EXTENDED,
    CTL_FLAG_REG_SOCK_STREAM,
)
from kextlab.abi.errno import ENOBUFS
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext

# %% [markdown]
# ## Question 1: predict
#
# A datagram control with default sizes on macOS 15, and one client. Five things happen:
#
# 1. the kext enqueues a record of 3000 bytes,
# 2. the kext enqueues a record of 6000 bytes, and does not look at the errno,
# 3. the kext enqueues a record of 5000 bytes,
# 4. the client calls `recv(1000)`,
# 5. the kext enqueues a record of 100 bytes with CTL_DATA_NOWAKEUP.
#
# Each record has CTL_DATA_EOR. What would `ctl_getenqueuespace` answer after each of them? Fill in
# five numbers.

# %% tags=["starter", "q05_1"]
# q05_1
spaces = ...

# %% tags=["reference", "q05_1"]
# q05_1
spaces = [5192, 5192, 192, 3192, 3092]

# %% tags=["other", "q05_1"]
# q05_1
queue, spaces = [], []
for step in (3000, 6000, 5000, "recv", 100):
    if step == "recv":
        del queue[0]  # a datagram goes whole
    elif sum(queue) + step <= 8192:
        queue.append(step)
    spaces.append(8192 - sum(queue))

# %% tags=["other", "q05_1"]
# q05_1
from kextlab import Kernel

mac = Kernel()
kext = mac.load(EchoKext)
socket = mac.spawn("me").socket
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect((1, 0))
ref, spaces = kext.ctlref.value, ()
for size in (3000, 6000, 5000, None, 100):
    if size is None:
        s.recv(1000)
    else:
        kext.kpi.ctl_enqueuedata(ref, 1, bytes(size), size, CTL_DATA_EOR | CTL_DATA_NOWAKEUP)
    space = Out()
    kext.kpi.ctl_getenqueuespace(ref, 1, space)
    spaces += (space.value,)

# %% tags=["mutant", "q05_1", "queues-what-fits"]
# q05_1
spaces = [5192, 0, 0, 3000, 2900]

# %% tags=["mutant", "q05_1", "oldest-makes-room"]
# q05_1
spaces = [5192, 2192, 3192, 8192, 8092]

# %% tags=["mutant", "q05_1", "room-for-what-was-read"]
# q05_1
spaces = [5192, 5192, 192, 1192, 1092]

# %% tags=["mutant", "q05_1", "nowakeup-waits"]
# q05_1
spaces = [5192, 5192, 192, 3192, 3192]

# %% tags=["mutant", "q05_1", "mbufs-count-here"]
# q05_1
spaces = [8192 - 4352, 3840, 3840, 8192, 7936]

# %% [markdown]
# ## Question 2: find and mend
#
# This kext hands samples to its clients, one record each, and has a good idea: the first four bytes
# of a record say how many samples of this client were lost since the last record that was queued,
# the most significant byte first. A client that reads 0, 0, 3, 0 knows where three are missing. But
# every record says 0, whatever was lost. Mend `sample`:
#
# - a sample that is refused is lost, and counted;
# - the next record that is queued says how many, and the count begins again;
# - `sample` returns what `ctl_enqueuedata` answered.
#
# `self.clients[unit]` is the record the kext keeps of a client; `EchoKext` makes it in `connect`,
# with `lost = 0`.


# %% tags=["starter", "q05_2"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        client.lost = 0
        return 0


# %% tags=["reference", "q05_2"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        if error == 0:
            client.lost = 0
        else:
            client.lost += 1
        return error


# %% tags=["other", "q05_2"]
# q05_2
import struct


class Sampler(EchoKext):
    def __init__(self):
        super().__init__()
        self.refused = {}

    def sample(self, unit, data):
        lost = self.refused.pop(unit, 0)
        record = struct.pack(">I", lost) + data
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        if error:
            self.refused[unit] = lost + 1
        return error

    def disconnect(self, kctlref, unit, unitinfo):
        self.refused.pop(unit, None)
        return super().disconnect(kctlref, unit, unitinfo)


# %% tags=["other", "q05_2"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        kpi, ref, client = self.kpi, self.ctlref.value, self.clients[unit]
        space = Out(0)
        error = kpi.ctl_getenqueuespace(ref, unit, space)
        if error == 0 and space.value < 4 + len(data):
            error = ENOBUFS
        if error == 0:
            record = client.lost.to_bytes(4, "big") + data
            error = kpi.ctl_enqueuedata(ref, unit, record, len(record), CTL_DATA_EOR)
        client.lost = client.lost + 1 if error else 0
        return error


# %% tags=["mutant", "q05_2", "error-ignored"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        client.echoed += 1
        return 0


# %% tags=["mutant", "q05_2", "never-begins-again"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        if error:
            client.lost += 1
        return error


# %% tags=["mutant", "q05_2", "forgets-too-early"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        client.lost = 0
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        if error:
            client.lost += 1
        return error


# %% tags=["mutant", "q05_2", "least-significant-first"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "little") + data
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        client.lost = client.lost + 1 if error else 0
        return error


# %% tags=["mutant", "q05_2", "swallows-the-errno"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        client = self.clients[unit]
        record = client.lost.to_bytes(4, "big") + data
        if self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR):
            client.lost += 1
        else:
            client.lost = 0
        return 0


# %% tags=["mutant", "q05_2", "tries-until-it-fits"]
# q05_2
class Sampler(EchoKext):
    def sample(self, unit, data):
        record = bytes(4) + data
        while self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR):
            pass  # the client will read some time
        return 0


# %% tags=["mutant", "q05_2", "one-count-for-all"]
# q05_2
class Sampler(EchoKext):
    lost = 0

    def sample(self, unit, data):
        record = self.lost.to_bytes(4, "big") + data
        error = self.kpi.ctl_enqueuedata(self.ctlref.value, unit, record, len(record), CTL_DATA_EOR)
        self.lost = self.lost + 1 if error else 0
        return error


# %% tags=["hidden", "q05_2"]
from random import Random

from kextlab.abi.errno import EINVAL
from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine


def another_errno(answer, seed):
    """ENOBUFS is not the only errno: a sample too large for any buffer is no end either."""
    mac, kext, app = machine(answer["Sampler"])
    client = connected(app)
    too_large = Random(seed).randrange(8189, 20000)
    kext.sample(1, bytes(too_large))
    kext.sample(1, b"small")
    heard = client.recv(100)
    if heard != b"\0\0\0\1small":
        return Miss("error-ignored", f"the next record is {heard!r}", "1 lost, then 'small'", mac)
    client.close()
    try:
        said = kext.sample(1, b"to nobody")
    except KeyError:  # the client's record is gone: as good
        said = EINVAL
    if said != EINVAL:
        return Miss("swallows-the-errno", f"nobody has unit 1; sample answers {said}", "22", mac)
    return None


# %% [markdown]
# ## Question 3: find and mend
#
# A client that sends anything to this kext gets `lines` back, one record for each line. One thread
# of the client sends; another sleeps until there is something to read, and sleeps on: it has never
# read a line. Mend `send`:
#
# - a reader that sleeps is woken once, when all records are queued;
# - if the lines do not *all* fit, none is queued, and `send` answers ENOBUFS.


# %% tags=["starter", "q05_3"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for line in self.lines:
            error = self.kpi.ctl_enqueuedata(
                kctlref, unit, line, len(line), CTL_DATA_EOR | CTL_DATA_NOWAKEUP
            )
            if error:
                return error
        return 0


# %% tags=["reference", "q05_3"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        space = Out()
        error = self.kpi.ctl_getenqueuespace(kctlref, unit, space)
        if error:
            return error
        if space.value < sum(len(line) for line in self.lines):
            return ENOBUFS
        for at, line in enumerate(self.lines, 1):
            how = CTL_DATA_EOR
            if at < len(self.lines):
                how |= CTL_DATA_NOWAKEUP
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), how)
            if error:
                return error
        return 0


# %% tags=["other", "q05_3"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        kpi = self.kpi
        kpi.mbuf_freem(m)
        space = Out(0)
        kpi.ctl_getenqueuespace(kctlref, unit, space)
        left = space.value
        for line in self.lines:
            left -= len(line)
            if left < 0:
                return ENOBUFS
        *most, last = self.lines
        quiet = CTL_DATA_EOR | CTL_DATA_NOWAKEUP
        for line in most:
            kpi.ctl_enqueuedata(kctlref, unit, line, len(line), quiet)
        return kpi.ctl_enqueuedata(kctlref, unit, last, len(last), CTL_DATA_EOR)


# %% tags=["other", "q05_3"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def room(self, kctlref, unit):
        space = Out(0)
        self.kpi.ctl_getenqueuespace(kctlref, unit, space)
        return space.value

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        rest = list(self.lines)
        if self.room(kctlref, unit) < len(b"".join(rest)):
            return ENOBUFS
        error = 0
        while rest and not error:
            line = rest.pop(0)
            wake = CTL_DATA_NOWAKEUP if rest else 0
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR | wake)
        return error


# %% tags=["mutant", "q05_3", "nowakeup-left-set"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        space = Out()
        self.kpi.ctl_getenqueuespace(kctlref, unit, space)
        if space.value < sum(map(len, self.lines)):
            return ENOBUFS
        for line in self.lines:
            self.kpi.ctl_enqueuedata(
                kctlref, unit, line, len(line), CTL_DATA_EOR | CTL_DATA_NOWAKEUP
            )
        return 0


# %% tags=["mutant", "q05_3", "wakes-with-nothing"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for line in self.lines:
            error = self.kpi.ctl_enqueuedata(
                kctlref, unit, line, len(line), CTL_DATA_EOR | CTL_DATA_NOWAKEUP
            )
            if error:
                return error
        return self.kpi.ctl_enqueuedata(kctlref, unit, b"", 0, 0)


# %% tags=["mutant", "q05_3", "one-record-for-all"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        text = b"".join(self.lines)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q05_3", "wakes-every-time"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for line in self.lines:
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)
            if error:
                return error
        return 0


# %% tags=["mutant", "q05_3", "wakes-too-early"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        how = CTL_DATA_EOR
        for line in self.lines:
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), how)
            if error:
                return error
            how |= CTL_DATA_NOWAKEUP
        return 0


# %% tags=["mutant", "q05_3", "half-an-answer"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for at, line in enumerate(self.lines, 1):
            how = CTL_DATA_EOR
            if at < len(self.lines):
                how |= CTL_DATA_NOWAKEUP
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), how)
            if error:
                return error
        return 0


# %% tags=["mutant", "q05_3", "knows-the-size"]
# q05_3
class Lister(EchoKext):
    lines = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        if sum(map(len, self.lines)) > 8192:
            return ENOBUFS
        *most, last = self.lines
        for line in most:
            self.kpi.ctl_enqueuedata(
                kctlref, unit, line, len(line), CTL_DATA_EOR | CTL_DATA_NOWAKEUP
            )
        return self.kpi.ctl_enqueuedata(kctlref, unit, last, len(last), CTL_DATA_EOR)


# %% tags=["hidden", "q05_3"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import asked, connected, machine
from kextlab.course.questions.q05_reader import drained


def one_answer_waits(answer, seed):
    """A second answer does not fit beside the first, which nobody has read."""
    mac, kext, app = machine(answer["Lister"])
    random = Random(seed)
    kext.lines = tuple(random.randbytes(random.randrange(500, 700)) for _ in range(9))
    client = connected(app)
    said = [asked(lambda: client.send(b"list")) for _ in range(2)]
    heard = drained(client)
    if heard != list(kext.lines) or said != ["ok", "ENOBUFS (55)"]:
        seen = f"asked twice: {said}, and {len(heard)} records"
        return Miss("knows-the-size", seen, "one answer, then ENOBUFS", mac)
    if mac.leaks(kext):
        return Miss("half-an-answer", "mbufs are left over", "none", mac)
    return None


# %% [markdown]
# ## Question 4: complete the callback
#
# `Mailer` below keeps messages for its clients; each has a head and a body, and goes out as *one*
# record: the head, then the body with the mark. What is missing is `pump(unit)`, which queues as
# much of `self.waiting[unit]` as fits, and `rcvd`, which the kernel calls when a client has read.
# This first try of `Post` goes wrong when the buffer is full. Every message is to arrive once,
# whole, in order. Our kext is one of the kernel's own here, so it may use CTL_FLAG_REG_EXTENDED.
#
# `say(unit, data, flags)` enqueues, and returns the errno. Both methods return nothing.


# %% tags=["setup"]
# setup of question 4
class Mailer(Kext):
    bundle_id = control_name = "org.kextlab.mailer"

    def __init__(self):
        self.ctlref = Out()
        self.waiting = {}  # for each unit, a list of (head, body)

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_EXTENDED,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_rcvd=self.rcvd,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        self.waiting[sac.sc_unit] = []
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        self.waiting.pop(unit, None)
        return 0

    def post(self, unit, head, body):
        self.waiting[unit].append((head, body))
        self.pump(unit)

    def say(self, unit, data, flags):
        return self.kpi.ctl_enqueuedata(self.ctlref.value, unit, data, len(data), flags)


# %% tags=["starter", "q05_4"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        for head, body in self.waiting[unit]:
            self.say(unit, head, 0)
            self.say(unit, body, CTL_DATA_EOR)
        self.waiting[unit].clear()

    def rcvd(self, kctlref, unit, unitinfo, flags):
        pass


# %% tags=["reference", "q05_4"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting:
            head, body = waiting[0]
            message = head + body  # one enqueue: all of it, or nothing
            if self.say(unit, message, CTL_DATA_EOR):
                return
            del waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["other", "q05_4"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting:
            head, body = waiting[0]
            if head and self.say(unit, head, 0):
                return
            waiting[0] = (b"", body)  # the head is out: never again
            if self.say(unit, body, CTL_DATA_EOR):
                return
            waiting.pop(0)

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["other", "q05_4"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        sent = 0
        for head, body in self.waiting[unit]:
            space = Out(0)
            self.kpi.ctl_getenqueuespace(self.ctlref.value, unit, space)
            if space.value < len(head) + len(body):
                break
            self.say(unit, head, 0)
            self.say(unit, body, CTL_DATA_EOR)
            sent += 1
        self.waiting[unit] = self.waiting[unit][sent:]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "error-ignored"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        for head, body in self.waiting[unit]:
            self.say(unit, head + body, CTL_DATA_EOR)
        self.waiting[unit].clear()

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "error-ignored"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        while self.waiting[unit]:
            head, body = self.waiting[unit].pop(0)
            if self.say(unit, head, 0) or self.say(unit, body, CTL_DATA_EOR):
                return

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "sent-all-again"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        for head, body in self.waiting[unit]:
            if self.say(unit, head + body, CTL_DATA_EOR):
                return
        self.waiting[unit].clear()

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "head-twice"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting:
            head, body = waiting[0]
            error = self.say(unit, head, 0)
            if error == 0:
                error = self.say(unit, body, CTL_DATA_EOR)
            if error:
                return
            del waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "out-of-order"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting:
            head, body = waiting.pop(0)
            if self.say(unit, head + body, CTL_DATA_EOR):
                waiting.append((head, body))
                return

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "no-mark"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting and self.say(unit, b"".join(waiting[0]), 0) == 0:
            del waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "rcvd-does-nothing"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting and self.say(unit, b"".join(waiting[0]), CTL_DATA_EOR) == 0:
            del waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        pass


# %% tags=["mutant", "q05_4", "waits-in-a-loop"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        while self.waiting[unit]:
            if self.say(unit, b"".join(self.waiting[unit][0]), CTL_DATA_EOR) == 0:
                del self.waiting[unit][0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(unit)


# %% tags=["mutant", "q05_4", "pumps-another-unit"]
# q05_4
class Post(Mailer):
    def pump(self, unit):
        waiting = self.waiting[unit]
        while waiting and self.say(unit, b"".join(waiting[0]), CTL_DATA_EOR) == 0:
            del waiting[0]

    def rcvd(self, kctlref, unit, unitinfo, flags):
        self.pump(1)


# %% tags=["hidden", "q05_4"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine
from kextlab.course.questions.q05_reader import drained


def a_reader_that_stops(answer, seed):
    """Reads and posts take turns, in no regular way."""
    mac, kext, app = machine(answer["Post"])
    client = connected(app)
    random = Random(seed)
    due, heard = [], []
    for at in range(60):
        head = b"%04d" % at
        body = bytes(random.choices(b"xyz", k=random.randrange(1, 3000)))
        kext.post(1, head, body)
        due.append(head + body)
        if random.random() < 0.4:
            heard += drained(client, most=random.randrange(1, 4))
    heard += drained(client, most=100)
    if heard != due:
        seen = f"{len(heard)} records for 60 messages"
        return Miss("error-ignored", seen, "the 60 messages", mac)
    return None


# %% [markdown]
# ## Question 5: write a kext
#
# No `rcvd` this time: the kext is yours, not Apple's, and has to run on every release. Write
# `Faucet`, a *stream* control. It has something to say to each of its clients: the records in
# `records`. Whenever a client sends a message, whatever it says, the kext queues for it as many of
# the records it has not had yet as fit, each with CTL_DATA_EOR, and answers 0. Then the client
# reads, and asks again. Each client gets each record once, in order. The class may inherit from
# `EchoKext`.


# %% tags=["starter", "q05_5"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        return 0


# %% tags=["reference", "q05_5"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)  # what this client has not had yet
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        while unitinfo:
            record = unitinfo[0]
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                break
            del unitinfo[0]
        return 0


# %% tags=["other", "q05_5"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        self.next = {}
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        self.next[sac.sc_unit] = 0
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        del self.next[unit]
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        for record in self.records[self.next[unit] :]:
            error = self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR)
            if error:
                break
            self.next[unit] += 1
        self.kpi.mbuf_freem(m)
        return 0


# %% tags=["other", "q05_5"]
# q05_5
class Faucet(Kext):
    bundle_id = control_name = "org.kextlab.faucet"
    records = (b"one", b"two", b"three")

    def start(self):
        self.ctlref = Out()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.hello,
            ctl_send=self.go_on,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def hello(self, kctlref, sac, unitinfo):
        unitinfo.value = [0]

    def go_on(self, kctlref, unit, place, m, flags):
        self.kpi.mbuf_freem(m)
        while place[0] < len(self.records):
            record = self.records[place[0]]
            space = Out(0)
            self.kpi.ctl_getenqueuespace(kctlref, unit, space)  # before each: memory counts, too
            if space.value < len(record):
                break
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                break
            place[0] += 1


# %% tags=["mutant", "q05_5", "error-ignored"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for record in unitinfo:
            self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR)
        unitinfo.clear()
        return 0


# %% tags=["mutant", "q05_5", "counts-bytes-only"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        space = Out()
        self.kpi.ctl_getenqueuespace(kctlref, unit, space)
        left = space.value
        while unitinfo and len(unitinfo[0]) <= left:
            record = unitinfo.pop(0)
            left -= len(record)
            self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR)
        return 0


# %% tags=["mutant", "q05_5", "sent-all-again"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for record in unitinfo:
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                return 0
        unitinfo.clear()
        return 0


# %% tags=["mutant", "q05_5", "full-is-an-error"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        while unitinfo:
            record = unitinfo[0]
            error = self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR)
            if error:
                return error
            del unitinfo[0]
        return 0


# %% tags=["mutant", "q05_5", "one-place-for-all"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")
    next = 0

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        while self.next < len(self.records):
            record = self.records[self.next]
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                break
            self.next += 1
        return 0


# %% tags=["mutant", "q05_5", "no-mark"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        while unitinfo:
            if self.kpi.ctl_enqueuedata(kctlref, unit, unitinfo[0], len(unitinfo[0]), 0):
                break
            del unitinfo[0]
        return 0


# %% tags=["mutant", "q05_5", "not-a-stream"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        while unitinfo:
            record = unitinfo[0]
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                break
            del unitinfo[0]
        return 0


# %% tags=["mutant", "q05_5", "waits-in-a-loop"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def send(self, kctlref, unit, unitinfo, m, flags):
        self.kpi.mbuf_freem(m)
        for record in self.records:
            while self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                pass
        return 0


# %% tags=["mutant", "q05_5", "keeps-mbufs"]
# q05_5
class Faucet(EchoKext):
    records = (b"one", b"two", b"three")

    def start(self):
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = list(self.records)
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        while unitinfo:
            record = unitinfo[0]
            if self.kpi.ctl_enqueuedata(kctlref, unit, record, len(record), CTL_DATA_EOR):
                break
            del unitinfo[0]
        return 0


# %% tags=["hidden", "q05_5"]
from random import Random

from kextlab import Kernel
from kextlab.course.question import Miss
from kextlab.course.questions.q05 import stream
from kextlab.course.questions.q05_reader import drained


def another_release(answer, seed):
    """On macOS 11 as well, with a client that asks twice before it reads."""
    mac = Kernel("xnu-7195.141.2")
    kext = mac.load(answer["Faucet"])
    random = Random(seed)
    due = [b"%03d" % at + bytes(random.randrange(1, 90)) for at in range(400)]
    kext.records = tuple(due)
    client = stream(mac.spawn("client"))
    heard = []
    for _ in range(20):
        client.send(b"go on")
        client.send(b"go on, I said")
        heard += drained(client)
    if heard != due:
        return Miss("counts-bytes-only", f"{len(heard)} of 400 records", "all, in order", mac)
    return None


# %% [markdown]
# ## Question 6: write a client
#
# A full buffer is the client's business too: it should read all there is, often, and never sleep
# while other work waits. Write `collect(app, s)` for the records of question 2: it takes every
# record that waits in the datagram socket `s`, and returns two things: the list of the samples,
# each without its first four bytes, and how many samples were lost in all. If there is nothing left
# to read it returns; it never sleeps. A record may be as large as the receive buffer allows, 8192
# bytes.


# %% tags=["starter", "q05_6"]
# q05_6
def collect(app, s):
    record = s.recv(1024)
    return [record[4:]], 0


# %% tags=["reference", "q05_6"]
# q05_6
def collect(app, s):
    samples, lost = [], 0
    s.setblocking(False)
    while True:
        try:
            record = s.recv(8192)
        except BlockingIOError:
            return samples, lost
        samples.append(record[4:])
        lost += int.from_bytes(record[:4], "big")


# %% tags=["other", "q05_6"]
# q05_6
def collect(app, s):
    samples, lost = [], 0
    while app.select.select([s], [], [], 0)[0]:
        record = s.recv(1 << 16)
        samples.append(record[4:])
        lost += int.from_bytes(record[:4], "big")
    return samples, lost


# %% tags=["other", "q05_6"]
# q05_6
import struct


def collect(app, s):
    records = []
    try:
        while True:
            records.append(s.recv(8192, app.socket.MSG_DONTWAIT))
    except OSError:
        pass
    samples = [record[4:] for record in records]
    return samples, sum(struct.unpack_from(">I", record)[0] for record in records)


# %% tags=["mutant", "q05_6", "reads-until-it-sleeps"]
# q05_6
def collect(app, s):
    samples, lost = [], 0
    while True:
        record = s.recv(8192)
        if not record:
            return samples, lost
        samples.append(record[4:])
        lost += int.from_bytes(record[:4], "big")


# %% tags=["mutant", "q05_6", "one-is-enough"]
# q05_6
def collect(app, s):
    readable, _, _ = app.select.select([s], [], [], 0)
    if not readable:
        return [], 0
    record = s.recv(8192)
    return [record[4:]], int.from_bytes(record[:4], "big")


# %% tags=["mutant", "q05_6", "short-buffer"]
# q05_6
def collect(app, s):
    samples, lost = [], 0
    while app.select.select([s], [], [], 0)[0]:
        record = s.recv(1024)
        samples.append(record[4:])
        lost += int.from_bytes(record[:4], "big")
    return samples, lost


# %% tags=["mutant", "q05_6", "last-count-is-all"]
# q05_6
def collect(app, s):
    samples, lost = [], 0
    while app.select.select([s], [], [], 0)[0]:
        record = s.recv(8192)
        samples.append(record[4:])
        lost = int.from_bytes(record[:4], "big")
    return samples, lost


# %% [markdown]
# ## Question 7: put it in order
#
# A kext of the kernel's own has an `rcvd` callback; the receive buffer is full, and one record was
# refused with ENOBUFS. The client reads. Here are six lines in disorder; five of them happen. Write
# the letters of those five in the order in which they happen, as a string such as `"FEDCB"`.
#
# - **A** the rcvd callback runs
# - **B** the client's `recv()` returns
# - **C** the client calls `recv()`
# - **D** the kernel queues the record it had refused
# - **E** the kext enqueues the next record
# - **F** a record leaves the receive buffer

# %% tags=["starter", "q05_7"]
# q05_7
order = ...

# %% tags=["reference", "q05_7"]
# q05_7
order = "CFAEB"

# %% tags=["other", "q05_7"]
# q05_7
order = ["c", "f", "a", "e", "b"]

# %% tags=["other", "q05_7"]
# q05_7
order = "C, F, A, E, B"

# %% tags=["mutant", "q05_7", "kernel-keeps-it"]
# q05_7
order = "CFDAB"

# %% tags=["mutant", "q05_7", "rcvd-comes-later"]
# q05_7
order = "CFBAE"

# %% tags=["mutant", "q05_7", "asked-before-the-read"]
# q05_7
order = "CAEFB"

# %% tags=["mutant", "q05_7", "refilled-without-rcvd"]
# q05_7
order = "CFEAB"

# %% tags=["seeds"]
seeds = range(7001, 7011)
