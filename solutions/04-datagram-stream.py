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
# # Exercise 4 · Datagram and stream
#
# Six questions about lesson [4 · Datagram and stream](../notebooks/04-datagram-stream.ipynb). Run the
# next cell first. Each question has one cell for your answer; keep its first line, the checker finds
# the cell by it. The cell below it checks what you ran last, at once, and as often as you like.
#
# In a terminal, after saving: `kextlab check exercises/04-datagram-stream.ipynb`.

# %% tags=["setup"]
# setup
from kextlab.abi.constants import CTL_DATA_EOR, CTL_FLAG_REG_SOCK_STREAM
from kextlab.course import check
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.kexts import EchoKext, Kext

# %% [markdown]
# ## Question 1: predict
#
# A kext enqueues for one client of a *datagram* control, in this order:
#
# | data | flags |
# |:--|:--|
# | `ab` | 0 |
# | `cd` | `CTL_DATA_EOR` |
# | `ef` | 0 |
# | `gh` | `CTL_DATA_EOR` |
# | `ij` | 0 |
#
# Only then the client reads: `recv(3)`, `recv(10)`, `recv(10)`. What do the three reads return?

# %% tags=["starter", "q04_1"]
# q04_1
heard = [b"...", b"...", b"..."]

# %% tags=["reference", "q04_1"]
# q04_1
heard = [b"abc", b"efgh", b"ij"]

# %% tags=["other", "q04_1"]
# q04_1
records, is_open = [], False
for data, flags in ((b"ab", 0), (b"cd", 2), (b"ef", 0), (b"gh", 2), (b"ij", 0)):
    if is_open:
        records[-1] += data
    else:
        records.append(data)
    is_open = not flags & CTL_DATA_EOR
heard = tuple(record[:size] for record, size in zip(records, (3, 10, 10), strict=True))

# %% tags=["other", "q04_1"]
# q04_1
from kextlab import Kernel

mac = Kernel()
kext = mac.load(EchoKext)
socket = mac.spawn("me").socket
s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
s.connect((1, 0))
for data, flags in ((b"ab", 0), (b"cd", 2), (b"ef", 0), (b"gh", 2), (b"ij", 0)):
    kext.kpi.ctl_enqueuedata(kext.ctlref.value, 1, data, 2, flags)
heard = [s.recv(size) for size in (3, 10, 10)]

# %% tags=["mutant", "q04_1", "each-enqueue-a-datagram"]
# q04_1
heard = [b"ab", b"cd", b"ef"]

# %% tags=["mutant", "q04_1", "rest-is-kept"]
# q04_1
heard = [b"abc", b"d", b"efgh"]

# %% tags=["mutant", "q04_1", "a-stream-of-bytes"]
# q04_1
heard = [b"abc", b"defghij", b""]

# %% tags=["mutant", "q04_1", "another-read"]
# q04_1
heard = [b"abc", b"efghij", b""]

# %% [markdown]
# ## Question 2: find and mend
#
# This kext adds up the bytes of each message, and answers the sum as decimal digits. It was tested
# with short messages, on a machine that was booted every morning. Mend it:
#
# - messages of every length up to the send buffer are added up,
# - the kext holds no mbuf when the callback has returned, whatever it returns.


# %% tags=["starter", "q04_2"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        total = sum(self.kpi.mbuf_data(m))
        text = b"%d" % total
        error = self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)
        if error == 0:
            self.kpi.mbuf_free(m)
        return error


# %% tags=["reference", "q04_2"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        error = self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        if error == 0:
            text = b"%d" % sum(data.value)
            error = self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)
        return error


# %% tags=["other", "q04_2"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        kpi, total, link = self.kpi, 0, m
        while link is not None:
            total += sum(kpi.mbuf_data(link))
            link = kpi.mbuf_next(link)
        text = str(total).encode()
        error = kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)
        kpi.mbuf_freem(m)
        return error


# %% tags=["other", "q04_2"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        total = 0
        while m is not None:
            total += sum(self.kpi.mbuf_data(m))
            m = self.kpi.mbuf_free(m)  # frees one, and returns the next
        text = b"%d" % total
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q04_2", "first-mbuf-only"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        text = b"%d" % sum(self.kpi.mbuf_data(m))
        self.kpi.mbuf_freem(m)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q04_2", "never-freed"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        text = b"%d" % sum(data.value)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q04_2", "frees-the-first"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_free(m)
        text = b"%d" % sum(data.value)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["mutant", "q04_2", "leaks-on-error"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        text = b"%d" % sum(data.value)
        error = self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)
        if error:
            return error
        self.kpi.mbuf_freem(m)
        return 0


# %% tags=["mutant", "q04_2", "reads-after-freeing"]
# q04_2
class Adder(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        length = self.kpi.mbuf_pkthdr_len(m)
        self.kpi.mbuf_freem(m)
        data = Out()
        self.kpi.mbuf_copydata(m, 0, length, data)
        text = b"%d" % sum(data.value)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), CTL_DATA_EOR)


# %% tags=["hidden", "q04_2"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine


def every_size(answer, seed):
    """Many sizes, one after the other, and the machine keeps nothing."""
    mac, kext, app = machine(answer["Adder"])
    client = connected(app)
    for size in Random(seed).sample(range(1, 2049), 15):
        client.send(b"\x01" * size)
        heard = client.recv(100)
        if heard != b"%d" % size:
            return Miss("first-mbuf-only", f"{size} ones add up to {heard!r}", f"b'{size}'", mac)
    if mac.leaks(kext):
        return Miss("never-freed", f"the kext holds {len(mac.leaks(kext))} mbufs", "none", mac)
    return None


# %% [markdown]
# ## Question 3: complete a callback
#
# A client sends some lines in one message, with `\n` between them. The kext answers each line as a
# datagram of its own, in order. `taken` is complete: it copies the message out of its chain.
# Complete `send`.


# %% tags=["starter", "q04_3"]
# q04_3
class Lines(EchoKext):
    def taken(self, m):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        return data.value

    def send(self, kctlref, unit, unitinfo, m, flags):
        lines = self.taken(m).split(b"\n")
        ...


# %% tags=["reference", "q04_3"]
# q04_3
class Lines(EchoKext):
    def taken(self, m):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        return data.value

    def send(self, kctlref, unit, unitinfo, m, flags):
        lines = self.taken(m).split(b"\n")
        self.kpi.mbuf_freem(m)
        for line in lines:
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)
            if error:
                return error
        return 0


# %% tags=["other", "q04_3"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        # a list of packets: each is a record without any mark
        kpi, data = self.kpi, Out()
        kpi.mbuf_copydata(m, 0, kpi.mbuf_pkthdr_len(m), data)
        kpi.mbuf_freem(m)
        packets = []
        for line in data.value.split(b"\n"):
            packet = Out()
            error = kpi.mbuf_allocpacket(0, len(line), None, packet)
            if error:
                return error
            kpi.mbuf_copyback(packet.value, 0, len(line), line, 0)
            if packets:
                kpi.mbuf_setnextpkt(packets[-1], packet.value)
            packets.append(packet.value)
        # what comes later would join the last record: an empty piece closes it
        error = kpi.ctl_enqueuembuf_list(kctlref, unit, packets[0], 0, None)
        return error or kpi.ctl_enqueuedata(kctlref, unit, b"", 0, CTL_DATA_EOR)


# %% tags=["other", "q04_3"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        line = b""
        while m is not None:
            for at in self.kpi.mbuf_data(m):
                if at == ord("\n"):
                    self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)
                    line = b""
                else:
                    line += bytes([at])
            m = self.kpi.mbuf_free(m)
        return self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)


# %% tags=["mutant", "q04_3", "enqueue-is-a-datagram"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        for line in data.value.split(b"\n"):
            error = self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), 0)
            if error:
                return error
        return 0


# %% tags=["mutant", "q04_3", "one-mark-for-all"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        *before, last = data.value.split(b"\n")
        for line in before:
            self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), 0)
        return self.kpi.ctl_enqueuedata(kctlref, unit, last, len(last), CTL_DATA_EOR)


# %% tags=["mutant", "q04_3", "mark-begins-a-record"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        first, *after = data.value.split(b"\n")
        self.kpi.ctl_enqueuedata(kctlref, unit, first, len(first), CTL_DATA_EOR)
        for line in after:
            self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), 0)
        return 0


# %% tags=["mutant", "q04_3", "leaves-lines-out"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        for line in data.value.split(b"\n"):
            return self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)


# %% tags=["mutant", "q04_3", "keeps-mbufs"]
# q04_3
class Lines(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        for line in data.value.split(b"\n"):
            self.kpi.ctl_enqueuedata(kctlref, unit, line, len(line), CTL_DATA_EOR)
        return 0


# %% tags=["hidden", "q04_3"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import connected, machine
from kextlab.course.questions.q04 import all_of


def long_lines(answer, seed):
    """Lines of some hundred bytes, and a message of one line."""
    mac, _, app = machine(answer["Lines"])
    client = connected(app)
    lines = [b"%d" % at * Random(seed + at).randint(100, 300) for at in range(1, 5)]
    client.send(b"\n".join(lines))
    client.send(b"alone")
    heard = all_of(client)
    if heard != [*lines, b"alone"]:
        sizes = [len(one) for one in heard]
        expected = f"{[*map(len, lines), 5]} bytes"
        return Miss("enqueue-is-a-datagram", f"datagrams of {sizes} bytes", expected, mac)
    return None


# %% [markdown]
# ## Question 4: write a client
#
# A kext sends frames over a *stream*: four bytes of length, the most significant first, then so many
# bytes of body. Write `read_frame(s)`: it reads one frame from the connected socket `s` and returns
# its body. The kext queues the pieces when it has them, and closes records where it likes.


# %% tags=["starter", "q04_4"]
# q04_4
def read_frame(s):
    return s.recv(4096)


# %% tags=["reference", "q04_4"]
# q04_4
def read_exactly(s, length):
    data = b""
    while len(data) < length:
        piece = s.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_frame(s):
    length = int.from_bytes(read_exactly(s, 4), "big")
    return read_exactly(s, length)


# %% tags=["other", "q04_4"]
# q04_4
import struct


def read_frame(s):
    head = bytearray(4)
    have = 0
    while have < 4:
        have += s.recv_into(memoryview(head)[have:])
    (left,) = struct.unpack(">I", head)
    parts = []
    while left:
        parts.append(s.recv(left))
        left -= len(parts[-1])
    return b"".join(parts)


# %% tags=["other", "q04_4"]
# q04_4
def read_frame(s):
    frame = b""
    while len(frame) < 4 or len(frame) < 4 + int.from_bytes(frame[:4], "big"):
        frame += s.recv(1)  # slow, but never too much
    return frame[4:]


# %% tags=["mutant", "q04_4", "no-head"]
# q04_4
def read_frame(s):
    return s.recv(4096)


# %% tags=["mutant", "q04_4", "no-head"]
# q04_4
def read_frame(s):
    head = s.recv(4)
    return head + s.recv(int.from_bytes(head, "big"))


# %% tags=["mutant", "q04_4", "a-read-is-a-frame"]
# q04_4
def read_frame(s):
    return s.recv(4096)[4:]


# %% tags=["mutant", "q04_4", "body-in-one-read"]
# q04_4
def read_frame(s):
    length = int.from_bytes(s.recv(4), "big")
    return s.recv(length)


# %% tags=["mutant", "q04_4", "body-in-one-read"]
# q04_4
def read_frame(s):
    length = int.from_bytes(s.recv(4), "big")
    return s.recv(length, 0x40)  # MSG_WAITALL


# %% tags=["mutant", "q04_4", "head-in-one-read"]
# q04_4
def read_frame(s):
    length = int.from_bytes(s.recv(4), "big")
    body = b""
    while len(body) < length:
        body += s.recv(length - len(body))
    return body


# %% tags=["hidden", "q04_4"]
from kextlab.course.questions.q04 import bodies_of, frame, reads_frames


def byte_by_byte(answer, seed):
    """Frames that arrive a byte at a time."""
    bodies = bodies_of(seed)
    data = b"".join(map(frame, bodies))
    pieces = [data[at : at + 1] for at in range(len(data))]
    return reads_frames(answer, bodies, pieces, "body-in-one-read")


# %% [markdown]
# ## Question 5: write a kext
#
# Now the other side. Write `Framer`: a *stream* control that takes the frames of question 4 from its
# clients, however they are cut, and answers each complete frame with the length of its body: decimal
# digits, then `\n`. Clients come and go, and send at the same time; none may disturb another. The
# class may inherit from `EchoKext`.


# %% tags=["starter", "q04_5"]
# q04_5
class Framer(EchoKext):
    def send(self, kctlref, unit, unitinfo, m, flags):
        return 0


# %% tags=["reference", "q04_5"]
# q04_5
class Framer(EchoKext):
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
        unitinfo.value = bytearray()  # what has come and is not a whole frame yet
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        error = self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        if error:
            return error
        rest = unitinfo
        rest += data.value
        while len(rest) >= 4:
            length = int.from_bytes(rest[:4], "big")
            if len(rest) < 4 + length:
                break
            del rest[: 4 + length]
            text = b"%d\n" % length
            error = self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
            if error:
                return error
        return 0


# %% tags=["other", "q04_5"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rests = {}
        reg = KernCtlReg(
            ctl_name="org.example.framer",
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        self.rests[sac.sc_unit] = b""

    def disconnect(self, kctlref, unit, unitinfo):
        del self.rests[unit]

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = self.rests[unit]
        while m is not None:
            data += self.kpi.mbuf_data(m)
            m = self.kpi.mbuf_free(m)
        answer = b""
        while len(data) >= 4 and len(data) - 4 >= int.from_bytes(data[:4], "big"):
            length = int.from_bytes(data[:4], "big")
            answer += b"%d\n" % length
            data = data[4 + length :]
        self.rests[unit] = data
        if not answer:
            return 0
        return self.kpi.ctl_enqueuedata(kctlref, unit, answer, len(answer), CTL_DATA_EOR)


# %% tags=["other", "q04_5"]
# q04_5
class Framer(EchoKext):
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
        unitinfo.value = {"head": b"", "left": 0}  # a machine fed byte by byte
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        for byte in data.value:
            if len(unitinfo["head"]) < 4:
                unitinfo["head"] += bytes([byte])
                unitinfo["left"] = int.from_bytes(unitinfo["head"], "big")
            else:
                unitinfo["left"] -= 1
            if len(unitinfo["head"]) == 4 and unitinfo["left"] == 0:
                text = str(int.from_bytes(unitinfo["head"], "big")).encode() + b"\n"
                unitinfo["head"] = b""
                self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
        return 0


# %% tags=["mutant", "q04_5", "not-a-stream"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=0,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        rest = unitinfo
        rest += data.value
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            length = int.from_bytes(rest[:4], "big")
            del rest[: 4 + length]
            text = b"%d\n" % length
            self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
        return 0


# %% tags=["mutant", "q04_5", "one-rest-for-all"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        rest = self.rest
        rest += data.value
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            length = int.from_bytes(rest[:4], "big")
            del rest[: 4 + length]
            text = b"%d\n" % length
            self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
        return 0


# %% tags=["mutant", "q04_5", "keeps-mbufs"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        rest = unitinfo
        rest += data.value
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            length = int.from_bytes(rest[:4], "big")
            del rest[: 4 + length]
            text = b"%d\n" % length
            self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
        return 0


# %% tags=["mutant", "q04_5", "forgets-the-rest"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        rest = bytearray()
        rest += data.value
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            length = int.from_bytes(rest[:4], "big")
            del rest[: 4 + length]
            text = b"%d\n" % length
            self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)
        return 0


# %% tags=["mutant", "q04_5", "no-answer"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        unitinfo += data.value
        return 0


# %% tags=["mutant", "q04_5", "one-frame-a-callback"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        unitinfo += data.value
        length = int.from_bytes(unitinfo[:4], "big")
        if len(unitinfo) < 4 or len(unitinfo) < 4 + length:
            return 0
        unitinfo.clear()
        text = b"%d\n" % length
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)


# %% tags=["mutant", "q04_5", "one-frame-a-callback"]
# q04_5
class Framer(EchoKext):
    def start(self):
        self.rest = bytearray()
        reg = KernCtlReg(
            ctl_name=self.control_name,
            ctl_flags=CTL_FLAG_REG_SOCK_STREAM,
            ctl_connect=self.connect,
            ctl_disconnect=self.disconnect,
            ctl_send=self.send,
        )
        return self.kpi.ctl_register(reg, self.ctlref)

    def connect(self, kctlref, sac, unitinfo):
        unitinfo.value = bytearray()
        return 0

    def disconnect(self, kctlref, unit, unitinfo):
        return 0

    def send(self, kctlref, unit, unitinfo, m, flags):
        data = Out()
        self.kpi.mbuf_copydata(m, 0, self.kpi.mbuf_pkthdr_len(m), data)
        self.kpi.mbuf_freem(m)
        text = b"%d\n" % (len(data.value) - 4)
        return self.kpi.ctl_enqueuedata(kctlref, unit, text, len(text), 0)


# %% tags=["hidden", "q04_5"]
from random import Random

from kextlab.course.question import Miss
from kextlab.course.questions.bench import machine
from kextlab.course.questions.q04 import all_of, frame, stream_client


def large_frames(answer, seed):
    """Frames larger than the send buffer, which the kernel cuts; and an empty one."""
    mac, kext, app = machine(answer["Framer"])
    client = stream_client(app)
    sizes = [Random(seed).randint(3000, 9000), 0, Random(seed).randint(200, 3000)]
    for size in sizes:
        client.send(frame(bytes(size)))
    heard, due = b"".join(all_of(client)), b"".join(b"%d\n" % size for size in sizes)
    if heard != due:
        return Miss("forgets-the-rest", f"it hears {heard!r}", f"{due!r}", mac)
    if mac.leaks(kext):
        return Miss("keeps-mbufs", f"the kext holds {len(mac.leaks(kext))} mbufs", "none", mac)
    return None


# %% [markdown]
# ## Question 6: put it in order
#
# Here are six lines in disorder; five of them, in the right order, are the body of
#
# ```python
# def read_frame(s, rest):
#     ...
#     return body, rest
# ```
#
# It reads one frame from the stream `s`, head first as in question 4. `rest` holds bytes that came with
# an earlier frame and belong to this one; what is left over it hands back for the next call. Run the
# cell to read the lines. Write their letters in order, as a string such as `"FEDCB"`: the checker puts
# the lines together, and lets them read.

# %% tags=["setup"]
# setup of question 6
from kextlab.course.questions.bench import listed
from kextlab.course.questions.q04 import LINES

print(listed(LINES))

# %% tags=["starter", "q04_6"]
# q04_6
order = ...

# %% tags=["reference", "q04_6"]
# q04_6
order = "BFDAC"

# %% tags=["other", "q04_6"]
# q04_6
order = ["b", "f", "d", "a", "c"]

# %% tags=["other", "q04_6"]
# q04_6
order = "B, F, D, A, C"

# %% tags=["mutant", "q04_6", "a-read-is-a-frame"]
# q04_6
order = "BFDAE"

# %% tags=["mutant", "q04_6", "head-is-there"]
# q04_6
order = "FBDAC"

# %% tags=["mutant", "q04_6", "body-is-there"]
# q04_6
order = "BFADC"

# %% tags=["mutant", "q04_6", "next-one-first"]
# q04_6
order = "BFDCA"

# %% tags=["mutant", "q04_6", "next-one-first"]
# q04_6
order = "BFDA"

# %% tags=["seeds"]
seeds = range(7101, 7111)
