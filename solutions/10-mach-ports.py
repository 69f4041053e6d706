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
# # Exercise 10 · Mach ports and messages
#
# Six questions about lesson [10 · Mach ports and messages](../notebooks/10-mach-ports.ipynb). Run the
# next cell first. Each question has one cell for your answer; keep its first line, the checker finds
# the cell by it. The cell below it checks what you ran last, at once, and as often as you like. Nothing
# you do here can break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/10-mach-ports.ipynb`.
#
# Your functions get a process's Mach calls as `m`: that is `app.mach`, with all of Mach's constants.

# %% tags=["setup"]
# setup
from kextlab.course import check
from kextlab.userland.mach import MachError, Message, PortDescriptor

# %% [markdown]
# ## Question 1: predict
#
# A server has a port with a queue limit of five; four messages wait in it. A client has *one*
# reference to a send right to that port, under the name `to`. Every send below has a time-out of 0.
#
# 1. The client sends a message by COPY_SEND.
# 2. The client sends another one by COPY_SEND.
# 3. The server receives one message; then the client sends a third one by COPY_SEND.
# 4. The client sends a fourth one by MOVE_SEND.
# 5. The client asks for a dead-name notification of `to`; the server destroys its port; the client
#    receives the notification.
#
# How many references are behind the name `to` after each of the five steps, whatever right it is then?
# Fill in the list.

# %% tags=["starter", "q10_1"]
# q10_1
refs = ...

# %% tags=["reference", "q10_1"]
# q10_1
refs = [1, 2, 2, 2, 3]

# %% tags=["other", "q10_1"]
# q10_1
mine, waiting, refs = 1, 4, []
for moved, read in ((0, 0), (0, 0), (0, 1), (1, 0)):
    waiting -= read
    if waiting < 5:
        waiting += 1
        mine -= moved
    else:
        mine += not moved
    refs.append(mine)
refs.append(mine + 1)

# %% tags=["other", "q10_1"]
# q10_1
from kextlab import Kernel


def sends(m, to, how):
    try:
        m.mach_msg(Message(how, to, body=b"word"), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
    except MachError:
        pass
    return m.mach_port_get_refs(to, m.MACH_PORT_RIGHT_SEND)


mac = Kernel()
s, c = mac.spawn("server").mach, mac.spawn("client").mach
port = s.mach_port_allocate(s.MACH_PORT_RIGHT_RECEIVE)
s.mach_port_insert_right(port, port, s.MACH_MSG_TYPE_MAKE_SEND)
s.bootstrap_register("org.me", port)
to = c.bootstrap_look_up("org.me")
for _ in range(4):
    sends(s, port, s.MACH_MSG_TYPE_COPY_SEND)
refs = [sends(c, to, c.MACH_MSG_TYPE_COPY_SEND) for _ in range(2)]
s.mach_msg(None, s.MACH_RCV_MSG, 4096, port)
refs += [sends(c, to, c.MACH_MSG_TYPE_COPY_SEND), sends(c, to, c.MACH_MSG_TYPE_MOVE_SEND)]
told = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
c.mach_port_request_notification(to, c.MACH_NOTIFY_DEAD_NAME, 0, told)
s.mach_port_destroy(port)
refs.append(c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_DEAD_NAME))

# %% tags=["mutant", "q10_1", "failed-changed-nothing"]
# q10_1
refs = [1, 1, 1, 1, 2]

# %% tags=["mutant", "q10_1", "copy-takes-mine"]
# q10_1
refs = [0, 0, 0, 0, 0]

# %% tags=["mutant", "q10_1", "copy-takes-mine"]
# q10_1
refs = [1, 2, 1, 0, 1]

# %% tags=["mutant", "q10_1", "moved-is-lost"]
# q10_1
refs = [1, 2, 2, 1, 2]

# %% tags=["mutant", "q10_1", "notice-adds-nothing"]
# q10_1
refs = [1, 2, 2, 2, 2]

# %% tags=["mutant", "q10_1", "dead-is-nothing"]
# q10_1
refs = [1, 2, 2, 2, 0]

# %% [markdown]
# ## Question 2: find and mend
#
# `deliver(m, to, body, tries, pause)` sends `body` as one message to the send right `to`. It never
# waits in the kernel: after a time-out it calls `pause()` and tries again, `tries` times at most. It
# returns whether the message went. It has run for a week now, and the process has thousands of
# references to its send right. Mend it:
#
# - whatever happens, the client has as many references under `to` afterwards as before;
# - any other failure than a time-out goes to the caller as it is.


# %% tags=["starter", "q10_2"]
# q10_2
def deliver(m, to, body, tries, pause):
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    for _ in range(tries):
        try:
            m.mach_msg(Message(bits, to, body=body), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
            pause()
        else:
            return True
    return False


# %% tags=["reference", "q10_2"]
# q10_2
def deliver(m, to, body, tries, pause):
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    for _ in range(tries):
        try:
            m.mach_msg(Message(bits, to, body=body), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
            m.mach_port_deallocate(error.message.msgh_remote_port)
            pause()
        else:
            return True
    return False


# %% tags=["other", "q10_2"]
# q10_2
def deliver(m, to, body, tries, pause):
    # What came back is a whole message, which moves its right: send it again as it is.
    message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
    for _ in range(tries):
        try:
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.code != m.MACH_SEND_TIMED_OUT:
                raise
            message = error.message
            pause()
    if message.msgh_bits == m.MACH_MSG_TYPE_MOVE_SEND:
        m.mach_port_deallocate(message.msgh_remote_port)
    return False


# %% tags=["other", "q10_2"]
# q10_2
def deliver(m, to, body, tries, pause):
    failed, went = 0, False
    try:
        while failed < tries and not went:
            try:
                message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
                m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
                went = True
            except MachError as error:
                if error.name != "MACH_SEND_TIMED_OUT":
                    raise
                failed += 1
                pause()
    finally:
        if failed:
            m.mach_port_mod_refs(to, m.MACH_PORT_RIGHT_SEND, -failed)
    return went


# %% tags=["mutant", "q10_2", "failed-changed-nothing"]
# q10_2
def deliver(m, to, body, tries, pause):
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    for _ in range(tries):
        try:
            m.mach_msg(Message(bits, to, body=body), m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
        pause()
    return False


# %% tags=["mutant", "q10_2", "moves-its-right"]
# q10_2
def deliver(m, to, body, tries, pause):
    for _ in range(tries):
        try:
            message = Message(m.MACH_MSG_TYPE_MOVE_SEND, to, body=body)
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
        pause()
    return False


# %% tags=["mutant", "q10_2", "gives-back-too-much"]
# q10_2
def deliver(m, to, body, tries, pause):
    for _ in range(tries):
        try:
            message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
        finally:
            m.mach_port_deallocate(to)
        pause()
    return False


# %% tags=["mutant", "q10_2", "gives-back-too-much"]
# q10_2
def deliver(m, to, body, tries, pause):
    for _ in range(tries):
        try:
            message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            m.mach_port_deallocate(to)
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
        pause()
    return False


# %% tags=["mutant", "q10_2", "last-copy-kept"]
# q10_2
def deliver(m, to, body, tries, pause):
    message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
    for _ in range(tries):
        try:
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
            message = error.message
            pause()
    return False


# %% tags=["mutant", "q10_2", "dead-is-busy"]
# q10_2
def deliver(m, to, body, tries, pause):
    for _ in range(tries):
        try:
            message = Message(m.MACH_MSG_TYPE_COPY_SEND, to, body=body)
            m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
            return True
        except MachError as error:
            if error.name == "MACH_SEND_TIMED_OUT":
                m.mach_port_deallocate(to)
            pause()
    return False


# %% tags=["hidden", "q10_2"]
from kextlab.course.question import Miss
from kextlab.course.questions.q10 import Pair, received


def room_at_once(answer, seed):
    """There is room at once, and the client has many references."""
    pair, many = Pair(), 2 + seed % 7
    pair.c.mach_port_mod_refs(pair.to, pair.c.MACH_PORT_RIGHT_SEND, many - 1)
    said = answer["deliver"](pair.c, pair.to, b"word", 2, lambda: None)
    if (said, pair.refs()) != (True, many) or received(pair.s, pair.port).body != b"word":
        seen = f"deliver says {said!r}, and {pair.refs()} references are left"
        return Miss("gives-back-too-much", seen, f"True, and {many}", pair.mac)
    return None


# %% [markdown]
# ## Question 3: complete a server loop
#
# `serve(m, port)` takes all the messages that wait at `port` and returns when there is none left; it
# never waits itself. A request's body is a number of four bytes, the smallest byte first.
#
# - The reply's body is twice the number, in four bytes; its `msgh_id` is the request's and 100.
# - The right to reply is what the client sent along: a send-once right, or a send right. The bits of the
#   request, as you received it, say which.
# - A message without a right to reply is passed over.
# - A request whose body is not four bytes long gets no reply. Its right to reply is dropped, so that a
#   client with a send-once right hears of it.
# - When it returns, the server has no more names than before. Return how many replies were sent.


# %% tags=["starter", "q10_3"]
# q10_3
def serve(m, port):
    request = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port)
    word = int.from_bytes(request.body, "little")
    ...


# %% tags=["reference", "q10_3"]
# q10_3
def serve(m, port):
    replies = 0
    while True:
        try:
            request = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port)
        except MachError as error:
            if error.name != "MACH_RCV_TIMED_OUT":
                raise
            return replies
        back = request.msgh_remote_port
        if back == m.MACH_PORT_NULL:
            continue
        if len(request.body) != 4:
            m.mach_port_deallocate(back)
            continue
        how = m.MACH_MSGH_BITS_REMOTE(request.msgh_bits)  # as received: MOVE_SEND or MOVE_SEND_ONCE
        body = (2 * int.from_bytes(request.body, "little")).to_bytes(4, "little")
        bits = m.MACH_MSGH_BITS(how, 0)
        reply = Message(bits, back, msgh_id=request.msgh_id + 100, body=body)
        m.mach_msg(reply, m.MACH_SEND_MSG)
        replies += 1


# %% tags=["other", "q10_3"]
# q10_3
from struct import pack, unpack


def waiting(m, port):
    while True:
        try:
            yield m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 512, port)
        except MachError as error:
            if error.code == m.MACH_RCV_TIMED_OUT:
                return
            raise


def serve(m, port):
    replies = 0
    for request in waiting(m, port):
        if not request.msgh_remote_port:
            continue
        if len(request.body) == 4:
            once = m.type_names(m.mach_port_type(request.msgh_remote_port)) == ["SEND_ONCE"]
            how = m.MACH_MSG_TYPE_MOVE_SEND_ONCE if once else m.MACH_MSG_TYPE_MOVE_SEND
            body = pack("<I", 2 * unpack("<I", request.body)[0])
            reply = Message(how, request.msgh_remote_port, 0, request.msgh_id + 100, body)
            m.mach_msg(reply, m.MACH_SEND_MSG)
            replies += 1
        else:
            m.mach_port_deallocate(request.msgh_remote_port)
    return replies


# %% tags=["other", "q10_3"]
# q10_3
def serve(m, port):
    replies = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        how, back = got.msgh_bits & 31, got.msgh_remote_port
        if how and len(got.body) == 4:
            twice = int.from_bytes(got.body, "little") << 1
            answer = Message(how, back, body=twice.to_bytes(4, "little"), msgh_id=got.msgh_id + 100)
            m.mach_msg(answer, m.MACH_SEND_MSG)
            replies += 1
        elif how == m.MACH_MSG_TYPE_PORT_SEND:
            m.mach_port_mod_refs(back, m.MACH_PORT_RIGHT_SEND, -1)
        elif how == m.MACH_MSG_TYPE_PORT_SEND_ONCE:
            m.mach_port_mod_refs(back, m.MACH_PORT_RIGHT_SEND_ONCE, -1)
    return replies


# %% tags=["mutant", "q10_3", "reply-right-dropped"]
# q10_3
def serve(m, port):
    served = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        if got.msgh_remote_port:
            m.mach_port_deallocate(got.msgh_remote_port)
            served += 1
    return served


# %% tags=["mutant", "q10_3", "reply-right-is-copied"]
# q10_3
def serve(m, port):
    replies = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
        m.mach_msg(Message(bits, got.msgh_remote_port, 0, got.msgh_id + 100, body), m.MACH_SEND_MSG)
        replies += 1
    return replies


# %% tags=["mutant", "q10_3", "nobody-to-reply-to"]
# q10_3
def serve(m, port):
    replies = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        how = m.MACH_MSGH_BITS_REMOTE(got.msgh_bits)
        body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
        m.mach_msg(Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, body), m.MACH_SEND_MSG)
        replies += 1
    return replies


# %% tags=["mutant", "q10_3", "every-right-is-once"]
# q10_3
def serve(m, port):
    replies = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        if not got.msgh_remote_port:
            continue
        how = m.MACH_MSG_TYPE_MOVE_SEND_ONCE
        body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
        m.mach_msg(Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, body), m.MACH_SEND_MSG)
        replies += 1
    return replies


# %% tags=["mutant", "q10_3", "silly-right-kept"]
# q10_3
def serve(m, port):
    replies = 0
    while m.mach_port_get_attributes(port).mps_msgcount:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        if not got.msgh_remote_port or len(got.body) != 4:
            continue
        how = m.MACH_MSGH_BITS_REMOTE(got.msgh_bits)
        body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
        reply = Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, body)
        m.mach_msg(reply, m.MACH_SEND_MSG)
        replies += 1
    return replies


# %% tags=["mutant", "q10_3", "one-is-all"]
# q10_3
def serve(m, port):
    got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    how = m.MACH_MSGH_BITS_REMOTE(got.msgh_bits)
    body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
    m.mach_msg(Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, body), m.MACH_SEND_MSG)
    return 1


# %% tags=["mutant", "q10_3", "waits-for-more"]
# q10_3
def serve(m, port):
    while True:
        got = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
        how = m.MACH_MSGH_BITS_REMOTE(got.msgh_bits)
        body = (2 * int.from_bytes(got.body, "little")).to_bytes(4, "little")
        reply = Message(how, got.msgh_remote_port, 0, got.msgh_id + 100, body)
        m.mach_msg(reply, m.MACH_SEND_MSG)


# %% tags=["mutant", "q10_3", "any-id-will-do"]
# q10_3
def serve(m, port):
    replies = 0
    while True:
        try:
            request = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port)
        except MachError as error:
            if error.name != "MACH_RCV_TIMED_OUT":
                raise
            return replies
        back = request.msgh_remote_port
        if back == m.MACH_PORT_NULL:
            continue
        if len(request.body) != 4:
            m.mach_port_deallocate(back)
            continue
        how = m.MACH_MSGH_BITS_REMOTE(request.msgh_bits)
        body = (2 * int.from_bytes(request.body, "little")).to_bytes(4, "little")
        bits = m.MACH_MSGH_BITS(how, 0)
        reply = Message(bits, back, body=body)
        m.mach_msg(reply, m.MACH_SEND_MSG)
        replies += 1


# %% tags=["mutant", "q10_3", "any-id-will-do"]
# q10_3
def serve(m, port):
    replies = 0
    while True:
        try:
            request = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port)
        except MachError as error:
            if error.name != "MACH_RCV_TIMED_OUT":
                raise
            return replies
        back = request.msgh_remote_port
        if back == m.MACH_PORT_NULL:
            continue
        if len(request.body) != 4:
            m.mach_port_deallocate(back)
            continue
        how = m.MACH_MSGH_BITS_REMOTE(request.msgh_bits)
        body = (2 * int.from_bytes(request.body, "little")).to_bytes(4, "little")
        bits = m.MACH_MSGH_BITS(how, 0)
        reply = Message(bits, back, msgh_id=request.msgh_id, body=body)
        m.mach_msg(reply, m.MACH_SEND_MSG)
        replies += 1


# %% tags=["hidden", "q10_3"]
from random import Random

from kextlab.course.questions.q10 import serves


def all_kinds(answer, seed):
    """Requests of all kinds, in any order."""
    kinds = ["once", "send", "none", "silly", "once"]
    Random(seed).shuffle(kinds)
    return serves(answer, kinds, seed)


# %% [markdown]
# ## Question 4: write a client
#
# `ask(m, to, body)` sends `body` as a request (id 1) to the send right `to`, waits for the reply and
# returns the reply's body.
#
# - If the server drops the request, raise ConnectionError: `ask` must not wait for ever.
# - Answered or dropped, the process has as many names afterwards as before.


# %% tags=["starter", "q10_4"]
# q10_4
def ask(m, to, body):
    m.mach_msg(Message(m.MACH_MSG_TYPE_COPY_SEND, to, msgh_id=1, body=body), m.MACH_SEND_MSG)
    return m.mach_msg(None, m.MACH_RCV_MSG, 4096, to).body


# %% tags=["reference", "q10_4"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    try:
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        request = Message(bits, to, port, msgh_id=1, body=body)
        m.mach_msg(request, m.MACH_SEND_MSG)
        reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    finally:
        m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if reply.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        raise ConnectionError("the server dropped the request")
    return reply.body


# %% tags=["other", "q10_4"]
# q10_4
def ask(m, to, body):
    mine = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSG_TYPE_MAKE_SEND_ONCE << 8
    request = Message(bits, to, mine, 1, body)
    both = m.MACH_SEND_MSG | m.MACH_RCV_MSG  # one call sends and then receives
    reply = m.mach_msg(request, both, 4096, mine)
    m.mach_port_destroy(mine)
    if reply.msgh_id != 101:
        raise ConnectionError(reply.msgh_id)
    return reply.body


# %% tags=["other", "q10_4"]
# q10_4
def ask(m, to, body):
    # A send-once right of its own name, moved into the message's header.
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    once = 0x10007
    m.mach_port_insert_right(once, port, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MOVE_SEND_ONCE)
    m.mach_msg(Message(bits, to, once, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if len(reply.body) == 0:
        raise ConnectionResetError
    return reply.body


# %% tags=["mutant", "q10_4", "waits-at-a-send-right"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, port, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, to)
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    return reply.body


# %% tags=["mutant", "q10_4", "notice-is-a-reply"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, port, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    return reply.body


# %% tags=["mutant", "q10_4", "replies-by-a-send-right"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_msg(Message(bits, to, port, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if reply.msgh_id != 101:
        raise ConnectionError
    return reply.body


# %% tags=["mutant", "q10_4", "deallocates-a-receive-right"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, port, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    m.mach_port_deallocate(port)
    if reply.msgh_id != 101:
        raise ConnectionError
    return reply.body


# %% tags=["mutant", "q10_4", "port-left-behind"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, port, 1, body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    if reply.msgh_id != 101:
        raise ConnectionError
    return reply.body


# %% tags=["mutant", "q10_4", "no-right-to-reply"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    m.mach_msg(Message(bits, to, msgh_id=1, body=body), m.MACH_SEND_MSG)
    reply = m.mach_msg(None, m.MACH_RCV_MSG, 4096, port)
    m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if reply.msgh_id != 101:
        raise ConnectionError
    return reply.body


# %% tags=["mutant", "q10_4", "gives-up-too-early"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    try:
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        request = Message(bits, to, port, msgh_id=1, body=body)
        m.mach_msg(request, m.MACH_SEND_MSG)
        reply = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port, 100)
    finally:
        m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if reply.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        raise ConnectionError("the server dropped the request")
    return reply.body


# %% tags=["mutant", "q10_4", "gives-up-too-early"]
# q10_4
def ask(m, to, body):
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    try:
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        request = Message(bits, to, port, msgh_id=1, body=body)
        m.mach_msg(request, m.MACH_SEND_MSG)
        reply = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port, 100)
    except MachError:
        raise ConnectionError("no reply within 100 ms") from None
    finally:
        m.mach_port_mod_refs(port, m.MACH_PORT_RIGHT_RECEIVE, -1)
    if reply.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        raise ConnectionError("the server dropped the request")
    return reply.body


# %% tags=["hidden", "q10_4"]
from kextlab.course.question import Miss
from kextlab.course.questions.q10 import Pair, replying


def asks_again(answer, seed):
    """Several requests, one after the other, are as good as one."""
    pair = Pair()
    before = pair.rights(pair.client)
    for at in range(2 + seed % 3):
        pair.server.run(replying(pair, drop=False))
        said = answer["ask"](pair.c, pair.to, bytes([at, 1, 2, 3]))
        if bytes(said) != bytes([3, 2, 1, at]):
            return Miss("notice-is-a-reply", f"request {at} hears {said!r}", "its reply", pair.mac)
    if pair.rights(pair.client) != before:
        left = pair.rights(pair.client)
        return Miss("port-left-behind", f"{left} names are left", f"{before}", pair.mac)
    return None


# %% [markdown]
# ## Question 5: find and mend
#
# A client has asked for a session; `request` is its message, as the server received it. `grant(m,
# request, told)` makes a port for the session, replies with a send right to it (id 101), and returns
# the port's name. At the port `told` the server wants to hear when the client has no right to the
# session any more (MACH_NOTIFY_NO_SENDERS): by then, and no earlier.
#
# There are three mistakes in it. One of them stands in a published program.


# %% tags=["starter", "q10_5"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 0, told)
    m.mach_port_insert_right(session, session, m.MACH_MSG_TYPE_MAKE_SEND)
    reply = Message(msgh_remote_port=request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(session, m.MACH_MSG_TYPE_COPY_SEND)]
    reply.msgh_bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return session


# %% tags=["reference", "q10_5"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    reply = Message(msgh_remote_port=request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    reply.msgh_bits |= m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND)]
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return session


# %% tags=["other", "q10_5"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(session, session, m.MACH_MSG_TYPE_MAKE_SEND)
    made = m.mach_port_get_attributes(session).mps_mscount
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, made, told)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(session, m.MACH_MSG_TYPE_MOVE_SEND)
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return session


# %% tags=["other", "q10_5"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    how = m.MACH_MSGH_BITS_REMOTE(request.msgh_bits)
    reply = Message(
        m.MACH_MSGH_BITS(how, 0) + m.MACH_MSGH_BITS_COMPLEX,
        request.msgh_remote_port,
        msgh_id=request.msgh_id + 100,
        descriptors=(m.PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND),),
    )
    m.mach_msg(reply, m.MACH_SEND_MSG)
    # The right was made already: had the client gone by now, this would be told at once.
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    return session


# %% tags=["mutant", "q10_5", "complex-forgotten"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    right = PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_msg(
        Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right]), m.MACH_SEND_MSG
    )
    return session


# %% tags=["mutant", "q10_5", "bits-overwritten"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    reply = Message(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND)]
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return session


# %% tags=["mutant", "q10_5", "sync-of-zero"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 0, told)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0) | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_msg(
        Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right]), m.MACH_SEND_MSG
    )
    return session


# %% tags=["mutant", "q10_5", "own-right-kept"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_NO_SENDERS, 1, told)
    m.mach_port_insert_right(session, session, m.MACH_MSG_TYPE_MAKE_SEND)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0) | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(session, m.MACH_MSG_TYPE_COPY_SEND)
    m.mach_msg(
        Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right]), m.MACH_SEND_MSG
    )
    return session


# %% tags=["mutant", "q10_5", "server-wants-a-dead-name"]
# q10_5
def grant(m, request, told):
    session = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_request_notification(session, m.MACH_NOTIFY_DEAD_NAME, 0, told)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0) | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(session, m.MACH_MSG_TYPE_MAKE_SEND)
    m.mach_msg(
        Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right]), m.MACH_SEND_MSG
    )
    return session


# %% tags=["hidden", "q10_5"]
from kextlab.course.question import Miss
from kextlab.course.questions.q10 import Request, received


def gone_before_it_reads(answer, seed):
    """The client dies with the reply in its queue: the right in the message goes, too."""
    pair = Request()
    answer["grant"](pair.s, pair.request, pair.told)
    if received(pair.s, pair.told) is not None:
        return Miss("sync-of-zero", "told hears while the reply waits", "nothing", pair.mac)
    pair.client.exit()
    notice = received(pair.s, pair.told)
    if notice is None or notice.msgh_id != pair.s.MACH_NOTIFY_NO_SENDERS:
        return Miss("own-right-kept", "the client is dead, and told is empty", "a notice", pair.mac)
    return None


# %% [markdown]
# ## Question 6: put it in order
#
# A client has a send right `to`, with one reference or a few. It waits until the server dies, and then
# leaves nothing behind: neither a reference to the dead name nor a port. Run the next cell to read
# eight lines in disorder; six of them do it. Write their letters in order, as a string such as
# `"FEDCBA"`: the checker puts the lines together, and runs them while a server dies.

# %% tags=["setup"]
# setup of question 6
from kextlab.course.questions.bench import listed
from kextlab.course.questions.q10 import LINES

print(listed(LINES))

# %% tags=["starter", "q10_6"]
# q10_6
order = ...

# %% tags=["reference", "q10_6"]
# q10_6
order = "DGACHF"

# %% tags=["other", "q10_6"]
# q10_6
order = "D, G, A, F, C, H"

# %% tags=["other", "q10_6"]
# q10_6
order = ["d", "g", "a", "c", "f", "h"]

# %% tags=["mutant", "q10_6", "dead-is-one-reference"]
# q10_6
order = "DGAEF"

# %% tags=["mutant", "q10_6", "counted-too-early"]
# q10_6
order = "DGCAHF"

# %% tags=["mutant", "q10_6", "deallocates-a-receive-right"]
# q10_6
order = "DGACHB"

# %% tags=["mutant", "q10_6", "nobody-asked"]
# q10_6
order = "DAGCHF"

# %% tags=["mutant", "q10_6", "port-left-behind"]
# q10_6
order = "DGACH"

# %% tags=["seeds"]
seeds = range(7001, 7011)
