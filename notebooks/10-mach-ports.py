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
# # 10 · Mach ports and messages
#
# **The question.** A client sends its readings to a server that is sometimes busy. When the queue is
# full it waits a moment and tries again, as everybody would. Every message arrives in the end. Why does
# the client's [send right](glossary.md#send-right) have sixty thousand references after a week?
#
# After this lesson you can
#
# - tell a port from a name, and a name from the rights behind it,
# - send a message, and say which right was made, copied or moved,
# - find a server through launchd, ask it something, and get the reply at a port of your own,
# - say what a send that timed out leaves behind, and clean it up,
# - notice that the other side has gone: [dead names](glossary.md#dead-name) for clients, *no senders* for servers.
#
# It takes about 35 minutes. You need no lesson before this one. All of it happens between processes;
# why a [kext](glossary.md#kext) takes other ways is in the [map](00-map.ipynb).
#
# ## 10.1 A name is not a port
#
# A *[Mach port](glossary.md#mach-port)* is a queue of messages in the [kernel](glossary.md#kernel).
# A program never sees it. What it has is a **name**, a number in a table of its own, as with files.
# Behind the name stand **rights**:
#
# - the *[receive right](glossary.md#receive-right)* takes messages out. Each port has one, and one process
#   holds it.
# - a *send right* puts messages in. Many processes may have one, and each counts its references.
# - a *[send-once right](glossary.md#send-once-right)* puts one message in.
#
# <!-- c:
# static mach_port_t new_port(void);
# -->
#
# <table>
# <tr><th align="left">C, as in a real program</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static mach_port_t
# new_port(void)
# {
#     mach_port_t port;
#
#     if (mach_port_allocate(
#             mach_task_self(),
#             MACH_PORT_RIGHT_RECEIVE,
#             &port) != KERN_SUCCESS)
#         return MACH_PORT_NULL;
#     return port;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def new_port(m):
#
#
#
#
#     return m.mach_port_allocate(
#
#         m.MACH_PORT_RIGHT_RECEIVE)
#
#
#
# ```
#
# </td></tr>
# </table>
#
# In this lab a process's Mach calls are in `app.mach`. The task argument is left out, what C writes
# through pointers is returned, and a code other than KERN_SUCCESS is raised as `MachError`.
#
# Two processes start, and each makes a port.

# %%
from kextlab import Kernel, Scope
from kextlab.course import predict, retrieve, reveal
from kextlab.userland.mach import MachError
from kextlab.views import log, space_time

mac = Kernel()
server = mac.spawn("server", uid=0)
client = mac.spawn("client", uid=501)
s, c = server.mach, client.mach


def new_port(m):
    """A new port; the name of its receive right."""
    return m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)


# %%
predict(
    "10.name",
    "The server's new port has the name 0x103. Which name does the client's new port have?",
    ["0x103 too", "another: a name is taken once", "the client sees no name"],
)

# %%
of_server, of_client = new_port(s), new_port(c)

reveal(
    "10.name",
    "0x103 too" if of_server == of_client else "another: a name is taken once",
    "Each process has its own table. The same number names two ports here.",
)

# %%
log(mac)

# %% [markdown]
# So a name means nothing to anybody else. To send `0x103` in a message's bytes is to write an index of an
# array of yours on a postcard. Rights travel in places the kernel knows of (10.4, 10.11).
#
# <small>◌ documented only: which number a new name gets.</small>
#
# ## 10.2 One name, counted references
#
# Whoever has the receive right may make send rights. `MAKE_SEND` puts one under the same name. The server
# does it twice.

# %%
port = of_server
for _ in range(2):
    s.mach_port_insert_right(port, port, s.MACH_MSG_TYPE_MAKE_SEND)

assert s.type_names(s.mach_port_type(port)) == ["SEND", "RECEIVE"]
assert s.mach_port_get_refs(port, s.MACH_PORT_RIGHT_SEND) == 2  # recorded: make-send-twice
s.mach_port_get_attributes(port)

# %% [markdown]
# There is one send right now, with **two user references**. `mps_mscount` counts how often a send right
# was *made*, and never goes back; `mps_srights` says whether there is one anywhere. Remember both for
# 10.10.
#
# Could the second one have a name of its own, say 0x7703? So far there is nothing behind that name.


# %%
def code_of(call, *args):
    """The name of the code that a Mach call answers."""
    try:
        call(*args)
    except MachError as error:
        return error.name
    return "KERN_SUCCESS"


assert code_of(s.mach_port_type, 0x7703) == "KERN_INVALID_NAME"

# %%
predict(
    "10.second",
    "mach_port_insert_right(0x7703, port, MAKE_SEND) in a process that has a send right to port:",
    ["KERN_SUCCESS", "KERN_NAME_EXISTS", "KERN_RIGHT_EXISTS"],
)

# %%
answered = code_of(s.mach_port_insert_right, 0x7703, port, s.MACH_MSG_TYPE_MAKE_SEND)

reveal(
    "10.second",
    answered,
    "All send rights of one process to one port, and its receive right, share one name.",
)

# %%
assert s.mach_port_get_refs(port, s.MACH_PORT_RIGHT_SEND) == 2  # recorded: insert-bad-name
s.mach_port_get_attributes(port).mps_mscount

# %% [markdown]
# Refused, and yet the make-send count went from 2 to 3: the right was made before anybody looked at the
# name.
#
# `mach_port_deallocate` gives one reference back. It does so for send rights, send-once rights and dead
# names; for a receive right it is the wrong call.

# %%
mine = new_port(s)
assert code_of(s.mach_port_deallocate, mine) == "KERN_INVALID_RIGHT"  # recorded: deallocate
s.mach_port_mod_refs(mine, s.MACH_PORT_RIGHT_RECEIVE, -1)
assert code_of(s.mach_port_type, mine) == "KERN_INVALID_NAME"

# %% [markdown]
# `mach_port_mod_refs` with -1 destroys it. On a real Mac the wrong call also raises a guard exception.
#
# References do not wrap and do not fail: at 65,535 they **stick**, and from then on nobody knows the
# true number.

# %%
s.mach_port_mod_refs(port, s.MACH_PORT_RIGHT_SEND, 65533)
for _ in range(3):
    s.mach_port_insert_right(port, port, s.MACH_MSG_TYPE_MAKE_SEND)
assert s.mach_port_get_refs(port, s.MACH_PORT_RIGHT_SEND) == 65535  # recorded: refs-overflow

# %% [markdown]
# <small>● recorded: `make-send-twice`, `insert-bad-name`, `deallocate`, `refs-overflow`.</small>
#
# ## 10.3 Made, copied, moved
#
# A message begins with a header of 24 bytes. `msgh_remote_port` names the destination, and
# `msgh_bits` says by which right you send there: its *disposition*.
#
# | disposition | you need | after the send you have |
# |:--|:--|:--|
# | MAKE_SEND, MAKE_SEND_ONCE | the receive right | what you had |
# | COPY_SEND | a send right | what you had |
# | MOVE_SEND | a send right | one reference less |
# | MOVE_SEND_ONCE | a send-once right | nothing under this name |
#
# <!-- c:
# static mach_msg_return_t send_word(mach_port_t to, uint32_t word, mach_msg_type_name_t how);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# struct word_message {
#     mach_msg_header_t head;
#     uint32_t word;
# };
#
# static mach_msg_return_t
# send_word(mach_port_t to, uint32_t word,
#           mach_msg_type_name_t how)
# {
#     struct word_message msg = {
#         .head = {
#             .msgh_bits =
#                 MACH_MSGH_BITS(how, 0),
#             .msgh_size = sizeof(msg),
#             .msgh_remote_port = to,
#             .msgh_id = 1,
#         },
#         .word = word,
#     };
#
#     return mach_msg(&msg.head,
#         MACH_SEND_MSG | MACH_SEND_TIMEOUT,
#         sizeof(msg), 0, MACH_PORT_NULL,
#         0, MACH_PORT_NULL);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
#
#
#
#
#
#
# def send_word(m, to, word, how):
#
#
#     msg = m.Message(
#
#         msgh_bits=
#             m.MACH_MSGH_BITS(how, 0),
#
#         msgh_remote_port=to,
#         msgh_id=1,
#
#         body=word.to_bytes(4, "little"),
#     )
#
#     m.mach_msg(
#         msg,
#         m.MACH_SEND_MSG
#         | m.MACH_SEND_TIMEOUT)
#
# ```
#
# </td></tr>
# </table>
#
# The size is a multiple of four bytes; anything else is MACH_SEND_MSG_TOO_SMALL. With
# `MACH_SEND_TIMEOUT` and 0 milliseconds the call never waits.


# %%
def send_word(m, to, word, how):
    """One message of four bytes; never waits."""
    msg = m.Message(
        msgh_bits=m.MACH_MSGH_BITS(how, 0),
        msgh_remote_port=to,
        msgh_id=1,
        body=word.to_bytes(4, "little"),
    )
    m.mach_msg(msg, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)


def receive(m, port):
    """The next message of a port. MachError: there is none; it never waits either."""
    return m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, port)


port = new_port(s)
s.mach_port_insert_right(port, port, s.MACH_MSG_TYPE_MAKE_SEND)

# %%
predict(
    "10.move",
    "One send reference. MAKE_SEND, COPY_SEND and MOVE_SEND messages are sent. How many are left?",
    [0, 1, 2],
)

# %%
for how in (s.MACH_MSG_TYPE_MAKE_SEND, s.MACH_MSG_TYPE_COPY_SEND, s.MACH_MSG_TYPE_MOVE_SEND):
    send_word(s, port, 7, how)

reveal(
    "10.move",
    s.mach_port_get_refs(port, s.MACH_PORT_RIGHT_SEND),
    "Made and copied ones travel beside yours. The third took yours with it.",
)

# %%
status = s.mach_port_get_attributes(port)
assert (status.mps_msgcount, status.mps_srights) == (3, 1)  # recorded: send-dispositions
status

# %% [markdown]
# No process has a send right, and still `mps_srights` is 1: the rights the three messages were sent by
# are in the queue, and count until each is received.
#
# <small>● recorded: `send-dispositions`. ◌ documented only: sizes that are refused.</small>
#
# ## 10.4 Asking, and where the reply goes
#
# Two processes that share no right need somebody both know: launchd. The server **checks in** under a
# name and gets a receive right; the client **looks it up** and gets a send right.
#
# A message goes one way. A client that wants a reply sends a right along, in `msgh_local_port`: a
# send-once right to a port of its own.
#
# <!-- c:
# static mach_msg_return_t ask(mach_port_t to, uint32_t word);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static mach_msg_return_t
# ask(mach_port_t to, uint32_t word)
# {
#     struct word_message msg = {
#         .head = {
#             .msgh_bits = MACH_MSGH_BITS(
#               MACH_MSG_TYPE_COPY_SEND,
#               MACH_MSG_TYPE_MAKE_SEND_ONCE),
#             .msgh_size = sizeof(msg),
#             .msgh_remote_port = to,
#             .msgh_local_port = new_port(),
#             .msgh_id = 1,
#         },
#         .word = word,
#     };
#
#     return mach_msg(&msg.head,
#         MACH_SEND_MSG, sizeof(msg), 0,
#         MACH_PORT_NULL, 0,
#         MACH_PORT_NULL);
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def ask(m, to, word, reply):
#
#
#     msg = m.Message(
#
#         msgh_bits=m.MACH_MSGH_BITS(
#             m.MACH_MSG_TYPE_COPY_SEND,
#             m.MACH_MSG_TYPE_MAKE_SEND_ONCE),
#
#         msgh_remote_port=to,
#         msgh_local_port=reply,
#         msgh_id=1,
#
#         body=word.to_bytes(4, "little"),
#     )
#
#     m.mach_msg(
#         msg,
#         m.MACH_SEND_MSG)
#
#
# ```
#
# </td></tr>
# </table>


# %%
def ask(m, to, word, reply):
    """A request whose reply is to come to the port ``reply``."""
    msg = m.Message(
        msgh_bits=m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE),
        msgh_remote_port=to,
        msgh_local_port=reply,
        msgh_id=1,
        body=word.to_bytes(4, "little"),
    )
    m.mach_msg(msg, m.MACH_SEND_MSG)


mac = Kernel()
server, client = mac.spawn("server", uid=0), mac.spawn("client", uid=501)
s, c = server.mach, client.mach
port = s.bootstrap_check_in("org.kextlab.double")
to = c.bootstrap_look_up("org.kextlab.double")
reply = new_port(c)
ask(c, to, 21, reply)
request = receive(s, port)
[hex(request.msgh_remote_port), hex(request.msgh_local_port), request.body]

# %% [markdown]
# What was *local* to the sender is *remote* for the receiver: `msgh_remote_port` names the right to
# reply by, and `msgh_local_port` the port the message came to.

# %%
back = request.msgh_remote_port
assert s.type_names(s.mach_port_type(back)) == ["SEND_ONCE"]  # recorded: reply-port
predict(
    "10.reply",
    "The server replies with MOVE_SEND_ONCE. What does it have under that name afterwards?",
    ["the send-once right", "a dead name", "nothing"],
)

# %%
doubled = 2 * int.from_bytes(request.body, "little")
send_word(s, back, doubled, s.MACH_MSG_TYPE_MOVE_SEND_ONCE)

reveal(
    "10.reply",
    "nothing" if code_of(s.mach_port_type, back) == "KERN_INVALID_NAME" else "a dead name",
    "The right went with the message. The server cannot reply twice, and has nothing to clean up.",
)

# %%
answer = receive(c, reply)
assert int.from_bytes(answer.body, "little") == 42  # recorded: reply-port
space_time(mac.trace)

# %% [markdown]
# The client waits at `reply`, where it has the receive right. To wait at `to` is a common slip: behind
# that name there is a send right.

# %%
assert code_of(receive, c, to) == "MACH_RCV_INVALID_NAME"  # recorded: receive-no-right

# %% [markdown]
# A kext has no part in this introduction. `bootstrap_look_up` is a function of a library that sends
# launchd a message, by a right that every process has from its parent. A kext is no process, has no
# such right, and does not link with that library.
#
# <small>● recorded: `reply-port`, `receive-no-right`. ◌ documented only: launchd's part, and the
# kext's.</small>
#
# ## 10.5 A send-once right ends in a message
#
# The server receives another request, cannot make sense of it, and drops the right to reply.

# %%
ask(c, to, 0, reply)
request = receive(s, port)

# %%
predict(
    "10.dropped",
    "The server calls mach_port_deallocate on the right to reply. What does the client receive?",
    ["nothing", "a message with msgh_id 71"],
)

# %%
s.mach_port_deallocate(request.msgh_remote_port)
told = receive(c, reply)

reveal(
    "10.dropped",
    f"a message with msgh_id {told.msgh_id}",
    "The kernel itself sends MACH_NOTIFY_SEND_ONCE by the unused right.",
)

# %%
assert (told.msgh_id, told.body) == (c.MACH_NOTIFY_SEND_ONCE, b"")  # recorded: send-once-unused

# %% [markdown]
# This is a promise: *exactly one* message comes for each send-once right, whatever the server does.
# Even if the server's port dies with the request still in the queue, the client hears of it. It only has
# to look at `msgh_id` before it reads the body. (A service's port does not die with the server: launchd
# takes it back with its queue, and whoever checks in next finds the request.)
#
# A reply by an ordinary send right, `MAKE_SEND`, promises nothing of the kind.
#
# <small>● recorded: `send-once-unused`, `send-once-receiver-dies`. ◌ documented only: launchd's
# part.</small>
#
# ## 10.6 The sixth message
#
# A port's queue holds five messages, if nobody sets another limit (`mps_qlimit`). The server is busy.

# %%
for word in range(5):
    send_word(c, to, word, c.MACH_MSG_TYPE_COPY_SEND)
assert s.mach_port_get_attributes(port).mps_msgcount == 5

# %%
predict(
    "10.sixth",
    "The sixth message is sent with a time-out of 0. What does the client hear?",
    ["KERN_SUCCESS; the oldest is dropped", "MACH_SEND_TIMED_OUT", "MACH_SEND_TOO_LARGE"],
)

# %%
full = len(mac.trace) - 1
answered = code_of(send_word, c, to, 5, c.MACH_MSG_TYPE_COPY_SEND)

reveal(
    "10.sixth",
    answered,
    "Nothing is lost: the sender waits, here for 0 milliseconds, and gets its message back.",
)

# %% [markdown]
# Without `MACH_SEND_TIMEOUT` the client would sleep until the server reads. Unlike an event (lesson 8),
# a message is never dropped because a queue is full.
#
# *Gets its message back* is meant literally. On the way in, the kernel had turned names into rights;
# now it turns the rights into names again, as if you had received the message yourself.

# %%
predict(
    "10.copy",
    "The client had one reference to its send right. How many has it after this COPY_SEND?",
    [0, 1, 2],
)

# %%
refs = c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND)

reveal(
    "10.copy",
    refs,
    "The copy that was to travel came back to the client. It is one reference more.",
)

# %% [markdown]
# Step through it from here: the queue is full, the sixth message is refused, and comes back. Watch the
# number beside S at the client's name.

# %%
Scope(
    mac.trace,
    title="the sixth message comes back",
    parts=["topology", "log", "scrubber"],
    at=full,
)

# %% [markdown]
# <small>● recorded: `queue-limit`, `queue-limit-copy-send-refs`, `queue-limit-set`. ◌ documented only:
# waiting.</small>
#
# ## 10.7 Break it: the retry loop
#
# Now to the question. Here is the client. Nothing in it allocates anything.


# %%
def retry(m, to, word, tries):
    """Send a word; whether it went. The author sees no right that could leak."""
    for _ in range(tries):
        try:
            send_word(m, to, word, m.MACH_MSG_TYPE_COPY_SEND)
        except MachError as error:
            if error.name != "MACH_SEND_TIMED_OUT":
                raise
        else:
            return True
    return False


c.mach_port_deallocate(to)
assert c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND) == 1

# %%
predict(
    "10.retry",
    "The server stays busy for 100 tries. How many references has the client then?",
    [1, 2, 101],
)

# %%
went = retry(c, to, 6, 100)

reveal(
    "10.retry",
    c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND),
    "One more for each try. The loop seems to work for a long time: at 65,535 the count sticks.",
)

# %%
assert not went  # recorded: queue-limit-copy-send-refs
log(mac.trace, len(mac.trace) - 12)

# %% [markdown]
# This does harm before the count sticks. A server can ask to hear when its last sender has gone (10.10).
# This client calls `mach_port_deallocate` once, as it should, a hundred references stay, and the server
# hears nothing.
#
# The cure is one call, where the send has failed: give back what came back.
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static mach_msg_return_t
# send_or_tidy(struct word_message *msg)
# {
#     mach_msg_return_t answer = mach_msg(
#         &msg->head,
#         MACH_SEND_MSG | MACH_SEND_TIMEOUT,
#         sizeof(*msg), 0, MACH_PORT_NULL,
#         0, MACH_PORT_NULL);
#
#     if (answer == MACH_SEND_TIMED_OUT)
#         mach_port_deallocate(
#             mach_task_self(),
#             msg->head.msgh_remote_port);
#     return answer;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def send_or_tidy(m, msg):
#
#
#     try:
#         m.mach_msg(
#             msg,
#             m.MACH_SEND_MSG
#             | m.MACH_SEND_TIMEOUT)
#     except m.MachError as error:
#         back = error.message
#         if error.name == \
#                 "MACH_SEND_TIMED_OUT":
#             m.mach_port_deallocate(
#                 back.msgh_remote_port)
#         raise
# ```
#
# </td></tr>
# </table>
#
# In C the message comes back in the buffer you sent from, here in `error.message`.

# %%
c.mach_port_mod_refs(to, c.MACH_PORT_RIGHT_SEND, -100)
for _ in range(100):
    try:
        send_word(c, to, 6, c.MACH_MSG_TYPE_COPY_SEND)
    except MachError as error:
        c.mach_port_deallocate(error.message.msgh_remote_port)
assert c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND) == 1

# %% [markdown]
# A right to reply comes back as well: a send-once right, with a name of its own. If you give that up, a
# notification comes to your reply port (10.5). It is better to send *what came back*: it is a whole
# message, whose bits say MOVE now.

# %%
bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, c.MACH_MSG_TYPE_MAKE_SEND_ONCE)
now = c.MACH_SEND_MSG | c.MACH_SEND_TIMEOUT
try:
    c.mach_msg(c.Message(bits, to, reply, 1, b"word"), now)
except MachError as error:
    back = error.message
once = back.msgh_local_port
assert c.type_names(c.mach_port_type(once)) == ["SEND_ONCE"]  # recorded: queue-limit-reply-right
receive(s, port)  # now there is room
c.mach_msg(back, now)
assert code_of(c.mach_port_type, once) == "KERN_INVALID_NAME"
assert c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_SEND) == 1

# %% [markdown]
# ## 10.8 Break it: a name that changes
#
# Another author sends with `MOVE_SEND`: it is the last message, and so the right need not be given back.
# The queue is full again.

# %%
predict(
    "10.moved",
    "A MOVE_SEND times out. Under which name does the client have its send right now?",
    ["the old name", "another name", "none: it is gone"],
)

# %%
try:
    send_word(c, to, 6, c.MACH_MSG_TYPE_MOVE_SEND)
except MachError as error:
    returned = error.message.msgh_remote_port

reveal(
    "10.moved",
    "the old name" if returned == to else "another name",
    "The last reference took the old name with it; the right that came back got a new one.",
)

# %%
assert code_of(c.mach_port_type, to) == "KERN_INVALID_NAME"
assert c.type_names(c.mach_port_type(returned)) == ["SEND"]  # recorded: queue-limit-move-send
[hex(to), hex(returned)]

# %% [markdown]
# A second try with `to` is MACH_SEND_INVALID_DEST. Worse: one day `to` is the name of something else.
# After a time-out, only the names in the message that came back are true.
#
# One kind of message goes into a full queue: a message by a send-once right. A reply must not have to
# wait for room.

# %%
to = returned
assert s.mach_port_get_attributes(port).mps_msgcount == 5
send_word(s, port, 99, s.MACH_MSG_TYPE_MAKE_SEND_ONCE)
assert s.mach_port_get_attributes(port).mps_msgcount == 6  # recorded: queue-send-once-no-limit

# %% [markdown]
# <small>● recorded: `queue-limit-move-send`, `queue-send-once-no-limit`, `queue-limit-reply-right`.</small>
#
# ## 10.9 Dead names
#
# A port lives as long as its receive right. This server hands out a port of its own and dies; launchd
# knows nothing of that port, and nobody takes it over.

# %%
mac = Kernel()
server, client = mac.spawn("server", uid=0), mac.spawn("client", uid=501)
s, c = server.mach, client.mach


def introduce(s, c, port):
    """The client gets a send right to a port of the server: its name, in the client."""
    reply = new_port(c)
    service = s.bootstrap_check_in("org.kextlab.introduce")
    ask(c, c.bootstrap_look_up("org.kextlab.introduce"), 0, reply)
    bits = s.MACH_MSGH_BITS(s.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0) | s.MACH_MSGH_BITS_COMPLEX
    right = s.PortDescriptor(port, s.MACH_MSG_TYPE_MAKE_SEND)
    msg = s.Message(bits, receive(s, service).msgh_remote_port, descriptors=[right])
    s.mach_msg(msg, s.MACH_SEND_MSG)
    return receive(c, reply).descriptors[0].name


port = new_port(s)
to = introduce(s, c, port)
told = new_port(c)
c.mach_port_request_notification(to, c.MACH_NOTIFY_DEAD_NAME, 0, told)
c.type_names(c.mach_port_type(to))

# %% [markdown]
# The client also asked to be told: `DNREQUEST` says so. It has one reference. Now the server goes.

# %%
predict(
    "10.dead",
    "What is behind the client's name when the server has died?",
    ["nothing: the name is free", "a dead name", "a send right; the next send will fail"],
)

# %%
server.exit()
kinds = c.type_names(c.mach_port_type(to))

reveal(
    "10.dead",
    "a dead name" if kinds == ["DEAD_NAME"] else "a send right; the next send will fail",
    "The name stays yours, and says what became of the port.",
)

# %%
assert code_of(send_word, c, to, 1, c.MACH_MSG_TYPE_COPY_SEND) == "MACH_SEND_INVALID_DEST"
notice = receive(c, told)
assert notice.msgh_id == c.MACH_NOTIFY_DEAD_NAME  # recorded: dead-name-notification, dead-name-send

# %% [markdown]
# A *dead name* keeps the references the send right had, and has to be given back like one.

# %%
predict(
    "10.dead-refs",
    "The send right had one reference. How many has the dead name, after the notification?",
    [0, 1, 2],
)

# %%
refs = c.mach_port_get_refs(to, c.MACH_PORT_RIGHT_DEAD_NAME)

reveal(
    "10.dead-refs",
    refs,
    "The notification brings one: the name it tells cannot be reused before you let go.",
)

# %%
c.mach_port_mod_refs(to, c.MACH_PORT_RIGHT_DEAD_NAME, -refs)
assert code_of(c.mach_port_type, to) == "KERN_INVALID_NAME"  # recorded: dead-name

# %% [markdown]
# <small>● recorded: `dead-name`, `dead-name-send`, `dead-name-notification`.</small>
#
# ## 10.10 No senders
#
# Now the server's side: a client has died, or has given up its right. What the server made for it, say a
# session, can go. To hear of that, the server asks for MACH_NOTIFY_NO_SENDERS at the session's port.
#
# The trap is a race. When you ask, there may be no sender *yet*, because you are about to make the first
# one; or no sender *any more*. The kernel tells the two apart by a number you give, `sync`: how many send
# rights were made, as far as you know (`mps_mscount`). If there is no sender and the count has reached
# `sync`, you are told at once.
#
# <!-- c:
# static kern_return_t watch_senders(mach_port_t session, mach_port_t told);
# -->
#
# ```c
# static kern_return_t
# watch_senders(mach_port_t session, mach_port_t told)
# {
#     mach_port_t previous;    /* of an earlier request, or MACH_PORT_NULL */
#
#     return mach_port_request_notification(mach_task_self(), session,
#         MACH_NOTIFY_NO_SENDERS, 1 /* sync */, told,
#         MACH_MSG_TYPE_MAKE_SEND_ONCE, &previous);
# }
# ```
#
# A server makes a session port, asks with `sync` 0, and only then hands out the first send right.

# %%
server = mac.spawn("server", uid=0)
s = server.mach
session, told = new_port(s), new_port(s)

# %%
predict(
    "10.sync",
    "No send right was made so far. sync is 0. When does the notification come?",
    ["at once", "when the first client has gone", "never"],
)

# %%
s.mach_port_request_notification(session, s.MACH_NOTIFY_NO_SENDERS, 0, told)
early = code_of(receive, s, told) == "KERN_SUCCESS"

reveal(
    "10.sync",
    "at once" if early else "when the first client has gone",
    "Zero were made, none is left: true already. The server closes what nobody has opened.",
)

# %%
previous = s.mach_port_request_notification(session, s.MACH_NOTIFY_NO_SENDERS, 1, told)
assert previous == s.MACH_PORT_NULL  # recorded: no-senders-immediate
assert code_of(receive, s, told) == "MACH_RCV_TIMED_OUT"
to = introduce(s, c, session)
assert code_of(receive, s, told) == "MACH_RCV_TIMED_OUT"  # recorded: no-senders-in-message
client.exit()
assert receive(s, told).msgh_id == s.MACH_NOTIFY_NO_SENDERS  # recorded: terminate

# %% [markdown]
# With `sync` 1 it comes when the client has gone, however it went. Three more things to know:
#
# - A request is used up by its notification. For the next client ask again, with the count as it is
#   then.
# - `sync` is compared when you ask, and not later: with `sync` 2 and one right made and given up
#   *afterwards*, the notification comes.
# - A right in a message on its way is a sender. So is one of your own: a server that has a send right to
#   its session port waits for ever. The port of a service always has a sender, because launchd keeps a
#   send right to it.
#
# <small>● recorded: `no-senders-immediate`, `no-senders-sync`, `no-senders-in-message`,
# `no-senders-replace`, `terminate`. ◌ documented only: launchd's right.</small>
#
# ## 10.11 Break it: one bit in the header
#
# `introduce` above sent a right in the body: in C a `mach_msg_port_descriptor_t` behind the header and a
# count. One bit of `msgh_bits` says that the body holds rights: `MACH_MSGH_BITS_COMPLEX`. This author sets
# the bits twice, the second time with `=` where `|=` was meant.
#
# <!-- c:
# struct right_message {
#     mach_msg_header_t head;
#     mach_msg_body_t body;
#     mach_msg_port_descriptor_t right;
# };
# static struct right_message msg;
# static mach_port_t port;
# -->
#
# ```c
# msg.head.msgh_bits = MACH_MSGH_BITS_COMPLEX;
# msg.body.msgh_descriptor_count = 1;
# msg.right.name = port;
# msg.right.disposition = MACH_MSG_TYPE_MAKE_SEND;
# msg.right.type = MACH_MSG_PORT_DESCRIPTOR;
# msg.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
# ```

# %%
mac = Kernel()
server, client = mac.spawn("server", uid=0), mac.spawn("client", uid=501)
s, c = server.mach, client.mach
port = s.bootstrap_check_in("org.kextlab.sink")
to = c.bootstrap_look_up("org.kextlab.sink")
mine = new_port(c)

# %%
predict(
    "10.bit",
    "The message carries a right, and the bit is missing. What does the send answer?",
    ["KERN_SUCCESS", "MACH_SEND_INVALID_HEADER", "MACH_SEND_INVALID_RIGHT"],
)

# %%
bits = c.MACH_MSGH_BITS(c.MACH_MSG_TYPE_COPY_SEND, 0)
right = c.PortDescriptor(mine, c.MACH_MSG_TYPE_MAKE_SEND)
msg = c.Message(bits, to, msgh_id=3, descriptors=[right])
answered = code_of(c.mach_msg, msg, c.MACH_SEND_MSG)

reveal(
    "10.bit",
    answered,
    "For the kernel these are sixteen bytes like any others. It does not look into them.",
)

# %%
got = receive(s, port)
assert (got.descriptors, len(got.body)) == ([], 16)
assert int.from_bytes(got.body[4:8], "little") == mine
assert c.mach_port_get_attributes(mine).mps_srights == 0
got

# %% [markdown]
# The client hears nothing of it. The server reads a number, which is a *name* of the client's (10.1), and
# takes it for one of its own. There may be a port of that name, but not the one that was meant.
#
# With the bit, the right travels. In the Scope it rides on the message first; when the server has
# received it, an arrow goes from a name of the server's to the client's port.

# %%
start = len(mac.trace)
msg.msgh_bits |= c.MACH_MSGH_BITS_COMPLEX
c.mach_msg(msg, c.MACH_SEND_MSG)
(arrived,) = receive(s, port).descriptors
assert s.type_names(s.mach_port_type(arrived.name)) == ["SEND"]  # recorded: carry-send
assert c.mach_port_get_attributes(mine).mps_srights == 1
queued = next(line.step for line in log(mac.trace, start) if "is queued" in line.text)
Scope(
    mac.trace,
    title="a right that travels",
    parts=["topology", "log", "scrubber"],
    at=queued,
)

# %% [markdown]
# A message can carry memory as well as rights. Such memory travels *out of line*: the receiver gets
# pages of its own, at an address of its own, and has to give them back. What the sender stores after
# the send is not seen; to share a page is lesson [11](11-shared-memory.ipynb).

# %%
address = c.mach_vm_allocate(0x4000)
c.store(address, b"sent")
memory = c.OolDescriptor(address, 0x4000)
c.mach_msg(c.Message(msg.msgh_bits, to, descriptors=[memory]), c.MACH_SEND_MSG)
c.store(address, b"late")
(came,) = receive(s, port).descriptors
assert s.load(came.address, 4) == b"sent"
s.mach_vm_deallocate(came.address, came.size)

# %% [markdown]
# Even a receive right can travel, and what is queued goes with it. A puzzle: what if a port's receive
# right is sent to the port itself?

# %%
predict(
    "10.self",
    "A message carries the receive right of the port it is sent to. What has the client then?",
    ["RECEIVE and SEND, as before", "SEND", "DEAD_NAME"],
)

# %%
c.mach_port_insert_right(mine, mine, c.MACH_MSG_TYPE_MAKE_SEND)
right = c.PortDescriptor(mine, c.MACH_MSG_TYPE_MOVE_RECEIVE)
c.mach_msg(c.Message(msg.msgh_bits, mine, descriptors=[right]), c.MACH_SEND_MSG)
kinds = c.type_names(c.mach_port_type(mine))

reveal(
    "10.self",
    " and ".join(kinds),
    "Nobody could ever receive that message. The send succeeds, and the kernel destroys the port.",
)

# %% [markdown]
# Two ports sent into each other end the same way.
#
# <small>● recorded: `carry-send`, `carry-self`, `carry-circle`. ◌ documented only: rights without the
# bit, memory out of line.</small>
#
# ## 10.12 Documentation against kernel
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | A send that failed changed nothing. | COPY_SEND leaves one reference more; MOVE_SEND a new name. | `queue-limit-copy-send-refs`, `queue-limit-move-send` |
# | A request for SEND_POSSIBLE shows as SPREQUEST. | It shows as DNREQUEST. | `send-notify` |
# | mach_port_deallocate is for send, send-once and dead names only. | A port set can be deallocated, too. | `deallocate` |
# | Too many references are KERN_UREFS_OVERFLOW. | They stick at 65,535, and the call succeeds. | `refs-overflow` |
# | A refused insert_right did nothing. | The make-send count has gone up. | `insert-bad-name` |
# | A port's queue is limited. | Not for messages by send-once rights. | `queue-send-once-no-limit` |
# | `sync` keeps a notification back until so many rights were made. | It is compared once, when you ask. | `no-senders-sync` |
# | A port that would carry itself is refused. | The send succeeds, and the port is destroyed. | `carry-self`, `carry-circle` |
#
# ## 10.13 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("10")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - A **name** is a number in one process. Rights travel only where the kernel is told of them.
# - Each MAKE or COPY travels beside yours; each MOVE takes one of yours. References stick at 65,535.
# - Wait for a reply at a port of your own, with a **send-once right**: exactly one message comes. Look
#   at its id.
# - Queues hold five. A send that **timed out gives its rights back**: one reference more, or another
#   name. Tidy up from the message.
# - A dead port leaves a **dead name**, and its notification adds a reference.
# - Ask for **no senders** with `sync` 1 before the first right is made; keep no send right yourself.
#
# Now the exercise: [10 · Mach ports and messages](../exercises/10-mach-ports.ipynb).
