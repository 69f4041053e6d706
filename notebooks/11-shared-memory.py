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
# # 11 · Shared memory
#
# **The question.** Two processes share a page. The writer stores a reading of 32 bytes, the reader
# looks, and no call is made: nothing is faster. Why does the reader now and then see a reading that
# nobody wrote?
#
# After this lesson you can
#
# - give another process a page of yours: [memory entry](glossary.md#memory-entry), right, message,
#   mapping,
# - say what each side may do with it, and what is left when one side lets go or dies,
# - make a torn reading visible, and prevent it in two ways,
# - count what shared memory saves beside a socket and a message, and what it costs you,
# - say why a [kext](glossary.md#kext) has none of these calls, and what it has instead,
# - put a daemon between a kext and its clients, which starts when it is asked, may be killed, and knows
#   who asks.
#
# It takes two sittings: about 25 minutes for a page that two processes share (11.1 to 11.8), and about
# 20 minutes for what stands beside it (from 11.9). You need lesson [10](10-mach-ports.ipynb). No
# [recording](glossary.md#recording) shows memory: what this lesson says of it comes from XNU's source
# and headers, and is marked ◌. The rights and messages that carry it are recorded.
#
# ## 11.1 Memory with a name
#
# A process cannot say "look at my address 0x100000000" to another: the other has addresses of its own.
# It can make a **memory entry**: an object of the [kernel](glossary.md#kernel) that stands for a range of
# pages. What the process gets is the name of a [send right](glossary.md#send-right), and rights can be sent.
#
# <!-- c:
# static kern_return_t make_page(mach_vm_address_t *address, mach_port_t *entry);
# static mach_port_t new_port(void);
# -->
#
# <table>
# <tr><th align="left">C, as in a real program</th><th align="left">Python, as in this lab</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# #define PAGE 0x4000
#
# static kern_return_t
# make_page(mach_vm_address_t *address,
#           mach_port_t *entry)
# {
#     memory_object_size_t size = PAGE;
#     kern_return_t kr;
#
#     kr = mach_vm_allocate(
#         mach_task_self(), address,
#         PAGE, VM_FLAGS_ANYWHERE);
#     if (kr != KERN_SUCCESS)
#         return kr;
#     kr = mach_make_memory_entry_64(
#         mach_task_self(), &size, *address,
#         VM_PROT_READ | VM_PROT_WRITE,
#         entry, MACH_PORT_NULL);
#     if (kr == KERN_SUCCESS && size < PAGE)
#         return KERN_FAILURE;
#     return kr;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# PAGE = 0x4000
#
#
# def make_page(m):
#
#
#
#
#
#     address = m.mach_vm_allocate(PAGE)
#
#
#
#
#     size, entry = \
#         m.mach_make_memory_entry_64(
#             PAGE, address,
#             m.VM_PROT_READ
#             | m.VM_PROT_WRITE)
#     assert size >= PAGE
#     return address, entry
#
# ```
#
# </td></tr>
# </table>
#
# As in lesson 10 the task is left out, and a code other than KERN_SUCCESS is raised. Where C follows a
# pointer, `m.load` reads and `m.store` writes. A page of a Mac with Apple silicon has 16 KB.

# %%
from kextlab import Kernel, Scope
from kextlab.course import predict, retrieve, reveal
from kextlab.sched.chooser import Seeded
from kextlab.userland.mach import MachError
from kextlab.views import log, space_time
from kextlab.views.costs import costs

PAGE = 0x4000


def make_page(m):
    """A page of zeros, and a memory entry for it: its address, the entry's name."""
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_READ | m.VM_PROT_WRITE)
    assert size >= PAGE
    return address, entry


mac = Kernel()
server, client = mac.spawn("server", uid=0), mac.spawn("client", uid=501)
s, c = server.mach, client.mach
address, entry = make_page(s)
[hex(address), hex(entry)]

# %%
predict(
    "11.entry",
    "Which right does the server have under the entry's name?",
    ["RECEIVE", "SEND", "SEND and RECEIVE"],
)

# %%
kinds = s.type_names(s.mach_port_type(entry))

reveal(
    "11.entry",
    " and ".join(kinds),
    "The kernel keeps the receive right. Whoever has a send right may map the memory.",
)

# %% [markdown]
# <small>◌ documented only: memory entries.</small>
#
# ## 11.2 The whole way
#
# The server checks in, the client looks up and asks (10.4). The reply carries the entry's right, so
# its bits say MACH_MSGH_BITS_COMPLEX. The client maps what it got, and gives the right back.
#
# <!-- c:
# struct page_message {
#     mach_msg_header_t head;
#     mach_msg_body_t body;
#     mach_msg_port_descriptor_t right;
#     mach_msg_trailer_t trailer;
# };
# static mach_msg_return_t reply_with(mach_port_t to, mach_port_t entry);
# static kern_return_t map_page(struct page_message *reply, mach_vm_address_t *window);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static mach_msg_return_t
# reply_with(mach_port_t to,
#            mach_port_t entry)
# {
#     struct page_message msg = {
#         .head = {
#             .msgh_bits = MACH_MSGH_BITS(
#               MACH_MSG_TYPE_MOVE_SEND_ONCE,
#               0) | MACH_MSGH_BITS_COMPLEX,
#             .msgh_remote_port = to,
#             .msgh_id = 101,
#         },
#         .body.msgh_descriptor_count = 1,
#         .right = {
#             .name = entry,
#             .disposition =
#                 MACH_MSG_TYPE_COPY_SEND,
#             .type =
#                 MACH_MSG_PORT_DESCRIPTOR,
#         },
#     };
#     mach_msg_size_t size = sizeof(msg)
#         - sizeof(msg.trailer);
#
#     msg.head.msgh_size = size;
#     return mach_msg(&msg.head,
#         MACH_SEND_MSG, size, 0,
#         MACH_PORT_NULL, 0,
#         MACH_PORT_NULL);
# }
#
# static kern_return_t
# map_page(struct page_message *reply,
#          mach_vm_address_t *window)
# {
#     mach_port_t name = reply->right.name;
#     kern_return_t kr;
#
#     *window = 0;
#     kr = mach_vm_map(mach_task_self(),
#         window, PAGE, 0,
#         VM_FLAGS_ANYWHERE, name, 0, false,
#         VM_PROT_READ | VM_PROT_WRITE,
#         VM_PROT_READ | VM_PROT_WRITE,
#         VM_INHERIT_NONE);
#     mach_port_deallocate(
#         mach_task_self(), name);
#     return kr;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def reply_with(m, to, *names):
#
#
#
#     bits = m.MACH_MSGH_BITS(
#         m.MACH_MSG_TYPE_MOVE_SEND_ONCE,
#         0) | m.MACH_MSGH_BITS_COMPLEX
#
#
#
#
#
#
#
#     rights = [
#         m.PortDescriptor(
#             name,
#             m.MACH_MSG_TYPE_COPY_SEND)
#         for name in names]
#
#
#
#
#     m.mach_msg(
#         m.Message(bits, to, msgh_id=101,
#                   descriptors=rights),
#         m.MACH_SEND_MSG)
#
#
#
#
# def map_page(m, name):
#
#
#     both = (m.VM_PROT_READ
#             | m.VM_PROT_WRITE)
#
#     window = m.mach_vm_map(
#         0, PAGE, 0,
#         m.VM_FLAGS_ANYWHERE, name, 0,
#         False, both, both,
#         m.VM_INHERIT_NONE)
#
#
#     m.mach_port_deallocate(name)
#
#     return window
#
# ```
#
# </td></tr>
# </table>
#
# In C a receive buffer is longer than what is sent, because the kernel puts a trailer behind it.


# %%
SERVICE = "org.kextlab.page"


def request(m, to):
    """Ask for the page; the port where the reply will come."""
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(m.Message(bits, to, reply, msgh_id=1), m.MACH_SEND_MSG)
    return reply


def reply_with(m, to, *names):
    """A reply that carries send rights; the server keeps its own."""
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0) | m.MACH_MSGH_BITS_COMPLEX
    rights = [m.PortDescriptor(name, m.MACH_MSG_TYPE_COPY_SEND) for name in names]
    m.mach_msg(m.Message(bits, to, msgh_id=101, descriptors=rights), m.MACH_SEND_MSG)


def received(m, port):
    """The next message of a port."""
    return m.mach_msg(None, m.MACH_RCV_MSG, 8192, port)


def map_page(m, name):
    """Map a memory entry, to read and to write, and give its right back: the address."""
    both = m.VM_PROT_READ | m.VM_PROT_WRITE
    window = m.mach_vm_map(
        0, PAGE, 0, m.VM_FLAGS_ANYWHERE, name, 0, False, both, both, m.VM_INHERIT_NONE
    )
    m.mach_port_deallocate(name)
    return window


port = s.bootstrap_check_in(SERVICE)
to = c.bootstrap_look_up(SERVICE)
reply = request(c, to)
reply_with(s, received(s, port).msgh_remote_port, entry)
(right,) = received(c, reply).descriptors
assert c.type_names(c.mach_port_type(right.name)) == ["SEND"]  # recorded: carry-send
window = map_page(c, right.name)
space_time(mac.trace)

# %%
predict(
    "11.seen",
    "The server stores a word in its page and sends nothing. What does the client load?",
    ["zeros, until a message comes", "the word", "nothing: a signal ends it"],
)

# %%
before = len(mac.trace)
s.store(address, b"seen")
seen = c.load(window, 4)

reveal(
    "11.seen",
    "the word" if seen == b"seen" else "zeros, until a message comes",
    "It is one page behind two addresses. Nothing was copied, and nobody was told.",
)

# %%
assert costs(mac.trace, before).total.crossings == 0
c.store(window, b"SEEN")
assert s.load(address, 4) == b"SEEN"  # both ways
log(mac.trace, before)

# %% [markdown]
# The client has given its right back already. The server does so, too: the entry goes with its last
# send right. A program that forgets this keeps an entry for every page it hands out.

# %%
predict(
    "11.let-go",
    "Both rights to the entry are gone. What does the client load?",
    ["SEEN", "zeros", "nothing: a signal ends it"],
)

# %%
s.mach_port_deallocate(entry)
assert not [name for name in mac.snapshot() if name.startswith("memory_entry:")]

reveal(
    "11.let-go",
    c.load(window, 4).decode(),
    "The entry was the way to the mapping. What is mapped stays until it is unmapped.",
)

# %% [markdown]
# Now all of it as two programs, which wait for each other and wake each other. What each of them found
# in the page stands below.

# %%
together = Kernel()


def serve(app):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    address, entry = make_page(m)
    m.store(address, b"ping")
    reply_with(m, received(m, port).msgh_remote_port, entry)
    m.mach_port_deallocate(entry)
    received(m, port)  # the client has written
    return m.load(address, 4)


def use(app):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    (right,) = received(m, request(m, to)).descriptors
    window = map_page(m, right.name)
    read = m.load(window, 4)
    m.store(window, b"pong")
    m.mach_msg(m.Message(m.MACH_MSG_TYPE_MOVE_SEND, to, msgh_id=2), m.MACH_SEND_MSG)
    return read


serving = together.spawn("server", uid=0).run(serve)
using = together.spawn("client", uid=501).run(use)
together.run()
assert [using.result(), serving.result()] == [b"ping", b"pong"]
[using.result(), serving.result()]

# %% [markdown]
# Step through it from here. The reply lies in the client's queue, and the **right rides on it**. When
# the client receives it, the right is an **arrow** from a name of the client's to the entry. With
# `mach_vm_map` the page appears in a **second window**, and stays there when the arrows have gone.

# %%
queued = next(line.step for line in log(together) if "Message 101 is queued" in line.text)
Scope(
    together.trace,
    title="a page goes to another process",
    parts=["topology", "log", "scrubber"],
    at=queued,
)

# %% [markdown]
# <small>● recorded: `carry-send`, `reply-port`. ◌ documented only: the memory itself.</small>
#
# ## 11.3 Who may write
#
# An entry has a permission. A server whose page is only to be read makes the entry with VM_PROT_READ. The
# client then cannot map it to write:


# %%
def code_of(call, *args):
    """The name of the code that a Mach call answers."""
    try:
        call(*args)
    except MachError as error:
        return error.name
    return "KERN_SUCCESS"


_, only_read = s.mach_make_memory_entry_64(PAGE, address, s.VM_PROT_READ)
assert code_of(map_page, s, only_read) == "KERN_INVALID_RIGHT"

# %% [markdown]
# `mach_vm_map` takes two protections: what may be done now, and the most that may ever be. One
# published program has lost a `|`:
#
# ```c
# vm_prot_t both = VM_PROT_READ & VM_PROT_WRITE;
# ```

# %%
predict(
    "11.and",
    "The page is mapped with VM_PROT_READ & VM_PROT_WRITE as current protection. What happens?",
    ["the map is refused", "the map succeeds, the first load is a signal", "it works"],
)

# %%
lost = s.VM_PROT_READ & s.VM_PROT_WRITE
both = s.VM_PROT_READ | s.VM_PROT_WRITE
_, entry = s.mach_make_memory_entry_64(PAGE, address, both)
dark = s.mach_vm_map(
    0, PAGE, 0, s.VM_FLAGS_ANYWHERE, entry, 0, False, lost, both, s.VM_INHERIT_NONE
)
try:
    s.load(dark, 4)
    became = "it works"
except s.VmFault:
    became = "the map succeeds, the first load is a signal"

reveal(
    "11.and",
    became,
    f"1 & 2 is {lost}: VM_PROT_NONE. To ask for a page nobody may touch is allowed.",
)

# %%
assert server.signals == ["SIGBUS"]
s.mach_vm_deallocate(dark, PAGE)

# %% [markdown]
# SIGBUS says that there is a page which you may not touch; SIGSEGV, that there is none. On a real Mac
# either signal ends a process that has no handler for it.
#
# <small>◌ documented only: permissions, protections, signals.</small>
#
# ## 11.4 Break it: the size that came back
#
# The server needs two pages now. It allocates a second one, which lies right behind the first, and asks
# for one entry for both.

# %%
second = s.mach_vm_allocate(PAGE)
assert second == address + PAGE

# %%
predict(
    "11.size",
    "An entry for 2 pages is asked for. For how many does it stand?",
    ["2", "1", "none: it is refused"],
)

# %%
size, pages = s.mach_make_memory_entry_64(2 * PAGE, address, both)

reveal(
    "11.size",
    str(size // PAGE),
    "The range is made of two objects, and a plain entry stands for the first one only.",
)

# %% [markdown]
# The call succeeded. In C, `size` went in by a pointer, and came back smaller. A server that does not
# look at it tells its client "two pages", and the client's map fails:

# %%
whole = (0, 2 * PAGE, 0, s.VM_FLAGS_ANYWHERE, pages, 0, False, both, both, s.VM_INHERIT_NONE)
assert code_of(s.mach_vm_map, *whole) == "KERN_INVALID_ARGUMENT"
size, shared = s.mach_make_memory_entry_64(2 * PAGE, address, both | s.MAP_MEM_VM_SHARE)
assert size == 2 * PAGE

# %% [markdown]
# With MAP_MEM_VM_SHARE an entry stands for the whole range, whatever it is made of. It is simpler to
# allocate all of it with one call; look at the size even then.
#
# <small>◌ documented only: sizes.</small>
#
# ## 11.5 A copy of your own
#
# The argument before the protections is `copy`. If it is true, you get the page as it is now, and what
# you write stays yours. The kernel copies nothing yet: both sides share the page until one of them
# writes. This is *[copy-on-write](glossary.md#copy-on-write)*.

# %%
private = s.mach_vm_map(
    0, PAGE, 0, s.VM_FLAGS_ANYWHERE, entry, 0, True, both, both, s.VM_INHERIT_NONE
)
s.store(address, b"new!")

# %%
predict(
    "11.copy",
    "SEEN was in the page when its copy was mapped. The original is new! now. The copy says:",
    ["SEEN", "new!", "zeros"],
)

# %%
reveal(
    "11.copy",
    s.load(private, 4).decode(),
    "The writer's first store made the kernel copy the page; the copy kept what was there.",
)

# %%
s.store(private, b"mine")
assert c.load(window, 4) == b"new!"

# %% [markdown]
# So a copy is the page of one moment. Nobody changes it while you read, and nothing new comes in.
#
# <small>◌ documented only: copy-on-write.</small>
#
# ## 11.6 Break it: half a reading
#
# Now to the question. A reading is four words of eight bytes, and the processor stores one word after
# the other. So does `store_words`: between two words, others may run. A seed decides who.


# %%
def words(*numbers):
    """Words of eight bytes, as they lie in memory."""
    return b"".join(number.to_bytes(8, "little") for number in numbers)


def numbers_of(data):
    """What words say."""
    return tuple(int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))


def sharing(seed):
    """A fresh Mac whose server and client share a page: mac, both, both addresses."""
    mac = Kernel(chooser=Seeded(seed))
    server, client = mac.spawn("server", uid=0), mac.spawn("client", uid=501)
    s, c = server.mach, client.mach
    address, entry = make_page(s)
    port = s.bootstrap_check_in(SERVICE)
    reply = request(c, c.bootstrap_look_up(SERVICE))
    reply_with(s, received(s, port).msgh_remote_port, entry)
    s.mach_port_deallocate(entry)
    return mac, server, client, address, map_page(c, received(c, reply).descriptors[0].name)


def look_once(seed):
    """What a reader sees while the second reading is stored over the first, and the log of it."""
    mac, server, client, address, window = sharing(seed)
    server.mach.store(address, words(1, 1, 1, 1))
    seen, start = [], len(mac.trace)
    server.run(lambda app: app.mach.store_words(address, words(2, 2, 2, 2)))
    client.run(lambda app: seen.append(numbers_of(app.mach.load(window, 32))))
    mac.run()
    return seen[0], log(mac, start)


# %%
predict(
    "11.torn",
    "Reading 1 is in the page, and reading 2 is being stored. With seed 6 the reader sees:",
    ["all of 1", "all of 2", "some of each"],
)

# %%
seen, stored = look_once(6)
kinds = {(1, 1, 1, 1): "all of 1", (2, 2, 2, 2): "all of 2"}

reveal(
    "11.torn",
    kinds.get(seen, "some of each"),
    f"The reader saw {seen}. Nobody wrote that. It is called a torn read.",
)

# %%
stored

# %% [markdown]
# The log has the four stores. The load is not there: it is no call, and it changes nothing. This reader
# loaded after the first store; with other seeds it comes earlier or later.

# %%
sorted({look_once(seed)[0] for seed in range(20)})

# %% [markdown]
# A message comes whole or not at all: the kernel keeps its borders. A page has no borders. Nobody waits,
# and a reader finds the newest reading or a part of it: a *[torn read](glossary.md#torn-read)*. To
# prevent that is your work.
#
# <small>◌ documented only: what a processor stores at once.</small>
#
# ## 11.7 A counter, read twice
#
# The writer keeps a number in front of the reading: **odd** while it writes, even when it is done. The
# reader looks at the number before *and* after it reads; if the number was odd, or has changed, it reads
# again.
#
# <!-- c:
# #define memory_order_relaxed __ATOMIC_RELAXED
# #define memory_order_acquire __ATOMIC_ACQUIRE
# #define memory_order_release __ATOMIC_RELEASE
# #define atomic_load_explicit(p, order) __atomic_load_n(p, order)
# #define atomic_store_explicit(p, v, order) __atomic_store_n(p, v, order)
# #define atomic_thread_fence(order) __atomic_thread_fence(order)
# struct shared { uint64_t sequence; uint64_t words[4]; };
# static void publish(struct shared *, const uint64_t *);
# static bool try_read(struct shared *, uint64_t *);
# -->
#
# <table>
# <tr><th align="left">C</th><th align="left">Python</th></tr>
# <tr><td align="left" valign="top">
#
# ```c
# static void
# publish(struct shared *p,
#         const uint64_t *words)
# {
#     uint64_t n = p->sequence;
#
#     atomic_store_explicit(&p->sequence,
#         n + 1, memory_order_relaxed);
#     atomic_thread_fence(
#         memory_order_release);
#     for (int i = 0; i < 4; i++)
#         atomic_store_explicit(
#             &p->words[i], words[i],
#             memory_order_relaxed);
#     atomic_store_explicit(&p->sequence,
#         n + 2, memory_order_release);
# }
#
# static bool
# try_read(struct shared *p,
#          uint64_t *words)
# {
#     uint64_t before, after;
#
#     before = atomic_load_explicit(
#         &p->sequence,
#         memory_order_acquire);
#     for (int i = 0; i < 4; i++)
#         words[i] = atomic_load_explicit(
#             &p->words[i],
#             memory_order_relaxed);
#     atomic_thread_fence(
#         memory_order_acquire);
#     after = atomic_load_explicit(
#         &p->sequence,
#         memory_order_relaxed);
#     return before == after
#         && before % 2 == 0;
# }
# ```
#
# </td><td align="left" valign="top">
#
# ```python
# def publish(m, at, data):
#
#
#
#     (n,) = numbers_of(m.load(at, 8))
#
#     m.store(at, words(n + 1))
#
#
#
#     m.store_words(at + 8, data)
#
#
#
#     m.store(at, words(n + 2))
#
#
#
#
# def try_read(m, at, pause):
#
#
#
#
#     before = m.load(at, 8)
#
#
#     first = m.load(at + 8, 16)
#     pause()
#     rest = m.load(at + 24, 16)
#
#
#
#     after = m.load(at, 8)
#
#
#     whole = before == after \
#         and before[0] % 2 == 0
#     return whole, first + rest
# ```
#
# </td></tr>
# </table>
#
# The fences in C keep compiler and processor from moving a store or a load past the number; the lab's
# processor moves none. `pause` is a place where the reader, too, is interrupted.


# %%
def publish(m, at, data):
    """Store a reading behind its number."""
    (n,) = numbers_of(m.load(at, 8))
    m.store(at, words(n + 1))
    m.store_words(at + 8, data)
    m.store(at, words(n + 2))


def try_read(m, at, pause):
    """(whether it is whole, the reading)."""
    before = m.load(at, 8)
    first = m.load(at + 8, 16)
    pause()
    rest = m.load(at + 24, 16)
    after = m.load(at, 8)
    return before == after and before[0] % 2 == 0, first + rest


def watch(seed):
    """What a reader sees while five readings are published: the whole ones, and how many torn."""
    mac, server, client, address, window = sharing(seed)
    publish(server.mach, address, words(1, 1, 1, 1))
    whole, torn = [], []

    def writer(app):
        for n in range(2, 7):
            publish(app.mach, address, words(n, n, n, n))
            app.time.sleep(0)

    def reader(app):
        for _ in range(6):
            good, data = try_read(app.mach, window, lambda: app.time.sleep(0))
            (whole if good else torn).append(numbers_of(data))
            app.time.sleep(0)

    server.run(writer)
    client.run(reader)
    mac.run()
    return whole, torn


# %%
predict(
    "11.counter",
    "Five readings are published, with 20 seeds. A reading that the number says is whole is:",
    ["always one of the five", "sometimes parts of two"],
)

# %%
looked = [watch(seed) for seed in range(20)]
mixed = [data for whole, _ in looked for data in whole if len(set(data)) > 1]

reveal(
    "11.counter",
    "sometimes parts of two" if mixed else "always one of the five",
    "When a reading was torn, the number was odd, or another one afterwards.",
)

# %%
assert any(
    len(set(data)) > 1 for _, torn in looked for data in torn
)  # and there was something torn
[len(torn) for _, torn in looked]

# %% [markdown]
# Each number says how often this reader looked in vain. A reader may have to look more than once, and it
# may miss readings. There must be only one writer. If that dies while the number is odd, no look will
# ever succeed; so count your tries.
#
# <small>◌ documented only: fences, and what they order.</small>
#
# ## 11.8 A message after the write
#
# The other way: the writer stores, and *then* sends a message of 24 bytes that says "look now". The
# reader sleeps in `mach_msg` until the message comes.


# %%
def told(seed, readings, answers):
    """What a reader sees that is told of each reading. ``answers``: the writer waits for it."""
    mac, server, client, address, window = sharing(seed)
    s, c = server.mach, client.mach
    news = c.bootstrap_check_in("org.kextlab.news")
    to = s.bootstrap_look_up("org.kextlab.news")
    seen = []

    def writer(app):
        m = app.mach
        back = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
        how = m.MACH_MSG_TYPE_MAKE_SEND_ONCE if answers else 0
        for n in range(1, readings + 1):
            m.store_words(address, words(n, n, n, n))
            bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, how)
            m.mach_msg(m.Message(bits, to, back if answers else 0, msgh_id=n), m.MACH_SEND_MSG)
            if answers:
                received(m, back)

    def reader(app):
        m = app.mach
        for _ in range(readings):
            news_of = received(m, news)
            seen.append(numbers_of(m.load(window, 32)))
            if answers:
                once = m.MACH_MSG_TYPE_MOVE_SEND_ONCE
                m.mach_msg(m.Message(once, news_of.msgh_remote_port), m.MACH_SEND_MSG)

    server.run(writer)
    client.run(reader)
    mac.run()
    return seen


assert all(told(seed, 1, answers=False) == [(1, 1, 1, 1)] for seed in range(20))

# %% [markdown]
# One reading, one message: it is whole with every seed. Now the writer stores three readings, each with
# its message, and waits for nobody.

# %%
predict(
    "11.told",
    "Three readings, a message after each. Over 20 seeds, is what the reader sees whole?",
    ["always", "not always"],
)

# %%
torn = [data for seed in range(20) for data in told(seed, 3, answers=False) if len(set(data)) > 1]

reveal(
    "11.told",
    "not always" if torn else "always",
    "The message says that a reading is complete, not that the next one has not begun.",
)

# %%
for seed in range(20):
    assert told(seed, 3, answers=True) == [(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)]
torn[:3]

# %% [markdown]
# If the writer waits for an answer ("I have read it") before its next store, nothing is torn, and nothing
# is missed. To wait less, use several places in turn: a ring, with a number for each end.
#
# | | counter, read twice | message and answer |
# |:--|:--|:--|
# | the reader sleeps until there is news | no | yes |
# | the writer waits for the reader | never | always |
# | every reading is seen | no | yes |
# | crossings for a reading | none | one for each send, one for each receive |
#
# <small>● recorded: `send-receive`, `reply-port`. ◌ documented only: the memory.</small>
#
# **A good place to stop.** You can share a page now, and questions 2 to 6 of the exercise ask for no more.
# If you come back to a fresh kernel, choose *Run All Above Selected Cell* in the menu *Run*.
#
# ## 11.9 The server dies
#
# The client has mapped the page, and the server is killed.

# %%
mac, server, client, address, window = sharing(0)
s, c = server.mach, client.mach
s.store(address, b"last")

# %%
predict(
    "11.dies",
    "The server has died. What does the client load from the page?",
    ["last", "zeros", "nothing: a signal ends it"],
)

# %%
server.exit()

reveal(
    "11.dies",
    c.load(window, 4).decode(),
    "The page has two owners, and one is left. Nothing here says that nobody will write again.",
)

# %% [markdown]
# A page whose writer is dead looks like one whose writer has nothing to say. The entry's right does not
# tell you, because its port is the kernel's; the service's right does not, because launchd takes that
# port back (10.5). So the server sends a right to a port of its own beside the entry. When the server
# dies, the client has a [dead name](glossary.md#dead-name), and is told if it asked (10.9):

# %%
server = mac.spawn("server", uid=0)
s = server.mach
address, entry = make_page(s)
alive = s.mach_port_allocate(s.MACH_PORT_RIGHT_RECEIVE)
s.mach_port_insert_right(alive, alive, s.MACH_MSG_TYPE_MAKE_SEND)
reply = request(c, c.bootstrap_look_up(SERVICE))
reply_with(s, received(s, s.bootstrap_check_in(SERVICE)).msgh_remote_port, entry, alive)
page, life = (one.name for one in received(c, reply).descriptors)
window = map_page(c, page)
obituary = c.mach_port_allocate(c.MACH_PORT_RIGHT_RECEIVE)
c.mach_port_request_notification(life, c.MACH_NOTIFY_DEAD_NAME, 0, obituary)
server.exit()
assert received(c, obituary).msgh_id == c.MACH_NOTIFY_DEAD_NAME  # recorded: dead-name-notification
assert c.type_names(c.mach_port_type(life)) == ["DEAD_NAME"]  # recorded: dead-name

# %% [markdown]
# <small>● recorded: `dead-name`, `dead-name-notification`. ◌ documented only: the page that stays.</small>
#
# ## 11.10 What it costs
#
# Four kilobytes go there and four come back, in three ways: through a
# [kernel control](glossary.md#kernel-control) that echoes, in Mach messages, and in a shared page with a
# message of 24 bytes each way. `costs` counts in the [trace](glossary.md#trace) what each way takes.

# %%
from kextlab.kexts import EchoKext

DATA = bytes(range(256)) * 16


def by_control():
    """A datagram to the echo kext, and back."""
    mac = Kernel()
    mac.load(EchoKext)
    module = mac.spawn("client").socket
    sock = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    sock.connect(EchoKext.control_name)
    sock.setsockopt(module.SOL_SOCKET, module.SO_SNDBUF, 8192)  # the control's own is too small
    start = len(mac.trace)
    sock.send(DATA)
    assert sock.recv(8192) == DATA
    return costs(mac.trace, start).total


def by_message(in_page):
    """A message and its reply. The data is in them, or in the page."""
    mac, server, client, address, window = sharing(0)
    port = server.mach.bootstrap_check_in("org.kextlab.cost")
    to = client.mach.bootstrap_look_up("org.kextlab.cost")
    reply = client.mach.mach_port_allocate(client.mach.MACH_PORT_RIGHT_RECEIVE)
    start = len(mac.trace)

    def serve(app):
        m = app.mach
        asked = received(m, port)
        if in_page:
            m.store(address, m.load(address, len(DATA)))
        once = m.MACH_MSG_TYPE_MOVE_SEND_ONCE
        answer = m.Message(once, asked.msgh_remote_port, msgh_id=101, body=asked.body)
        m.mach_msg(answer, m.MACH_SEND_MSG)

    def asks(app):
        m = app.mach
        if in_page:
            m.store(window, DATA)
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
        m.mach_msg(m.Message(bits, to, reply, 1, b"" if in_page else DATA), m.MACH_SEND_MSG)
        body = received(m, reply).body
        assert (m.load(window, len(DATA)) if in_page else body) == DATA

    server.run(serve)
    mac.step()  # the server waits now
    client.run(asks)
    mac.run()
    return costs(mac.trace, start).total


# %%
predict(
    "11.cost",
    "Which way enters the kernel least often for 4 KB there and back?",
    ["the kernel control", "the Mach messages", "the shared page"],
)

# %%
ways = {
    "the kernel control": by_control(),
    "the Mach messages": by_message(in_page=False),
    "the shared page": by_message(in_page=True),
}

reveal(
    "11.cost",
    min(ways, key=lambda way: ways[way].crossings),
    "A kext is in the kernel; a process has to enter. The page saves copies, not crossings.",
)

# %%
heads = f"{'crossings':>10}{'copied in':>11}{'copied out':>12}{'wake-ups':>10}"
print(f"{'4 KB there and back':20}{heads}")
for way, cost in ways.items():
    copied = f"{cost.copied_in:>11,}{cost.copied_out:>12,}"
    print(f"{way:20}{cost.crossings:>10,}{copied}{cost.wakeups:>10,}")
assert ways["the shared page"].copied_in < ways["the kernel control"].copied_in
assert ways["the shared page"].crossings == ways["the Mach messages"].crossings
assert ways["the shared page"].wakeups == ways["the Mach messages"].wakeups

# %% [markdown]
# These are entries into the kernel, bytes it copies, sleepers it wakes. Time is not counted: a clock
# would measure this computer. To set a page up takes several messages and calls, so it pays when much data
# goes often.
#
# A socket has what a page has not: flow control, borders of records, a word when the other side has
# gone. And in a page the other side can change the data *after* you have checked it: copy first, then
# check the copy.
#
# <small>● recorded: `dgram-echo`, `send-receive`. ◌ documented only: the page.</small>
#
# ## 11.11 And a kext?
#
# A kext has none of these calls. It links with the kernel's own interfaces, and not with the system's
# library, which the calls belong to:
#
# | what a process calls | why a kext cannot | what it has instead |
# |:--|:--|:--|
# | `bootstrap_check_in`, `bootstrap_look_up` | They are messages to launchd by a right a process has from its parent. A kext is no process. | a control's name, an IOKit service, which processes find |
# | `mmap`, `mach_vm_map` | They change the caller's own map. A kext runs in the kernel's, on behalf of whoever called. | an IOMemoryDescriptor, which a user client hands out |
# | `open`, `read` | They give a number in a process's table of files. | a daemon that reads the file, and sets an option (lesson 6) |
# | a message, to say there is news | It has no right to send by, until a process gives it one. | `ctl_enqueuedata`, a kernel event, a notification port a process registered |
#
# So the process comes to the kext, never the other way round. IOKit does for a driver what `reply_with`
# and `map_page` did: the driver makes memory, its user client hands it out, the process maps it. A
# driver of this lab has a queue for its readings in such memory.

# %%
from kextlab.kexts.sensor import Reading, SensorDriver, kSensorOpen, kSensorRead

mac = Kernel()
sensor = mac.iokit.add_driver(SensorDriver)
io = mac.spawn("reader", uid=501).iokit
service = io.IOServiceGetMatchingService(0, io.IOServiceMatching("SensorDriver"))
connection = io.IOServiceOpen(service, io.mach_task_self(), kSensorRead)
io.IOConnectCallMethod(connection, kSensorOpen)
queue = io.IOConnectMapMemory64(connection, 0, io.mach_task_self())

# %%
predict(
    "11.queue",
    "The driver queues three readings. How often does the process enter the kernel for them?",
    [0, 1, 3],
)

# %%
start = len(mac.trace)
for value in (20, 21, 22):
    assert sensor.read(value)
got = [Reading.unpack(io.IODataQueueDequeue(queue, Reading.size)) for _ in range(3)]

reveal(
    "11.queue",
    costs(mac.trace, start).total.crossings,
    "The queue lies in memory both have. Its head and tail keep readings apart, and whole.",
)

# %%
assert [value for _, value in got] == [20, 21, 22]
log(mac.trace, start)

# %% [markdown]
# <small>◌ documented only: IOKit, and what a kext may link with.</small>
#
# ## 11.12 A daemon between kext and clients
#
# A kext's control may be for root alone, and its clients are not root. So a root daemon, a **broker**,
# reads the kernel once and answers everybody. It need not run before somebody asks: its property list
# names the service, and launchd holds the [receive right](glossary.md#receive-right). The first message
# starts the daemon, which checks in and finds the message in the queue.

# %%
from kextlab.kexts.status import StatusKext
from kextlab.userland import broker

PROPERTY_LIST = b"""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0">
<dict>
    <key>Label</key>
    <string>org.kextlab.broker</string>
    <key>ProgramArguments</key>
    <array>
        <string>/Library/PrivilegedHelperTools/org.kextlab.broker</string>
    </array>
    <key>MachServices</key>
    <dict>
        <key>org.kextlab.broker</key>
        <true/>
    </dict>
    <key>ThrottleInterval</key>
    <integer>1</integer>
</dict>
</plist>
"""


mac = Kernel()
mac.load(StatusKext)
program = broker.Broker(work=0.1)  # it has each request in work for 0.1 s
job = mac.launchd.load(PROPERTY_LIST, {broker.PATH: program})
mac.run()
assert job.runs == 0  # nobody has asked yet
clients = [mac.spawn(f"client {n}", uid=501).run(broker.ask) for n in range(10)]
mac.run(until=0.35)
assert sum(client.done for client in clients) == 3

# %%
predict(
    "11.killed",
    "Ten clients have asked. The daemon has answered three, is killed, and starts again. "
    "How many of the ten get the table?",
    [3, 9, 10],
)

# %%
job.app.kill()
mac.run()

reveal(
    "11.killed",
    sum(len(client.result()) == 1000 for client in clients),
    "The queue goes back to launchd. The client in work hears msgh_id 71 (10.5), and asks again.",
)

# %%
assert job.runs == 2
for line in log(mac):
    if any(words in line.text for words in ("launchd starts", "SIGKILL", "receives message 71")):
        print(line)

# %% [markdown]
# No request is lost, but the one in work may be done twice. So a request must be one that does no harm
# when it is repeated.
#
# A daemon can also be asked over a local socket (AF_UNIX): launchd listens at a path, `Sockets` in the
# property list, and hands the listening socket over. A client that had connected when the daemon died
# reads the end of the data, and asks again. That broker is `kextlab.userland.broker_socket`.
#
# <small>● recorded: `send-once-unused`. ◌ documented only: launchd, local sockets.</small>
#
# ## 11.13 Who asks?
#
# launchd gives a send right to whoever looks the service up. SMJobBless compares signatures once, when
# the daemon is installed (since macOS 13, SMAppService is in its place); nobody compares anything when a
# client asks. The daemon has to look for itself.
#
# A request's body says what its sender likes. But behind every message the kernel puts a trailer, and
# with MACH_RCV_TRAILER_AUDIT the daemon gets the sender's *[audit token](glossary.md#audit-token)*: uid,
# pid and more.
#
# Here a client of user 501 sends a request, and then executes a program that is setuid root. Its pid
# stays the same.

# %%
mac = Kernel()
daemon, client = mac.spawn("daemon", uid=0), mac.spawn("client", uid=501)
d, c = daemon.mach, client.mach
port = d.bootstrap_check_in("org.kextlab.who")
to = c.bootstrap_look_up("org.kextlab.who")
c.mach_msg(c.Message(c.MACH_MSG_TYPE_COPY_SEND, to, body=b"I'm root"), c.MACH_SEND_MSG)
mac.system.set_uid(mac.system.processes[client.pid], 0)  # what the setuid program does

# %%
predict(
    "11.token",
    "Now the daemon receives the request. Which uid is in the audit token?",
    [0, 501],
)

# %%
got = d.mach_msg(None, d.MACH_RCV_MSG | d.MACH_RCV_TRAILER_AUDIT, 4096, port)
uid, pid = got.audit_token[1], got.audit_token[5]

reveal("11.token", uid, "The kernel filled the token in when the message was sent.")

# %%
assert pid == client.pid
assert client.uid == 0  # this is what the pid says now
got

# %% [markdown]
# In C, `audit_token_to_euid` takes the uid out of the token. A daemon that takes the *pid* out, and asks
# the system whose it is, asks too late: by then the process may run another program, or may have gone and
# left its pid to somebody else. To check the sender's code signature, too, hand the whole token over.
#
# <small>◌ documented only: the audit token, signatures.</small>
#
# ## 11.14 What each way costs
#
# Ten clients want the kernel's table of 1,000 bytes, ten times each. There are four ways:
#
# - *direct*: each asks the kext itself;
# - *broker*: the daemon reads it once, and answers by messages;
# - *shared page*: the daemon keeps it in a page, reads it anew for each change, and sends each client a
#   word;
# - *data queue*: a driver puts it into a queue of each client's.
#
# The programs are `kextlab.userland.broker` and `kextlab.userland.four_ways`.

# %%
from kextlab.views.ways import four_ways

ten = four_ways(clients=10, times=10)
predict(
    "11.ways",
    "Which of the four ways enters the kernel most often, all processes together?",
    list(ten.costs),
)

# %%
reveal(
    "11.ways",
    max(ten.costs, key=lambda way: ten.costs[way].total.crossings),
    "Reading the page is no call. To tell ten clients that it changed takes ten messages.",
)

# %%
assert ten.costs["broker"].total.callbacks == 3
assert ten.costs["direct"].total.callbacks == 120
print(ten)

# %%
ten.figure()

# %% [markdown]
# With the page and the queue the kernel copies next to nothing for a client, only the word that there
# is news. With the broker it copies most: every table goes in from the daemon and out to a client. The
# broker spares the kext: three [callbacks](glossary.md#callback) instead of 120.
#
# <small>◌ documented only: launchd, IOKit, memory.</small>
#
# ## 11.15 Documentation against kernel
#
# The calls on memory are documented only (◌). The recordings show the rights that carry an entry.
#
# | what a document says, or lets you think | what the kernel does | recorded in |
# |:--|:--|:--|
# | To set the bit for rights and then the dispositions gives both. | A plain `=` loses the bit; the entry is sent with it, or not at all. | `carry-send` |
# | The entry's right must be kept as long as the page is used. | ◌ What is mapped stays. A right is given back like any other. | `deallocate` |
# | An entry stands for the size you asked for. | ◌ It may be smaller. The size comes back. | `carry-send` carries the right, whatever its size |
# | A map that asks for too much gets what there is. | ◌ KERN_INVALID_RIGHT, and nothing is mapped. | `carry-send` carries the right, whatever it permits |
# | When the server dies, its memory goes. | ◌ The page stays. A dead name tells of the death. | `dead-name-notification` |
# | bootstrap_create_service makes the service, and then you receive. | ◌ It gives a send right; one receives by a receive right. | `receive-no-right` |
#
# ## 11.16 Three questions from earlier lessons
#
# What you missed before comes first.

# %%
again = retrieve("11")
again

# %%
again.reveal()

# %% [markdown]
# ## What to keep
#
# - A **memory entry** is a send right that stands for pages. Send it with MACH_MSGH_BITS_COMPLEX; look
#   at the **size** that came back.
# - Whoever has the right maps it, with no more than its permission: READ **|** WRITE. Then give the right
#   back: what is mapped stays.
# - `copy` gives a picture of one moment. Shared, each store is seen, **word by word**.
# - Against torn reads: a **counter read twice**, or a **message after the write and an answer before the
#   next**.
# - A page does not tell you that its writer died. A dead name does.
# - A page saves **copies**. Crossings and wake-ups are those of your messages.
# - A kext is **called**: it hands memory out through IOKit, and has no bootstrap, mmap or open.
# - A **broker** starts with its first request. When it dies, launchd keeps what waits; what was in work
#   is asked again, and may be done twice. Who asks is in the **audit token**; a pid is looked up too late.
#
# Now the exercise: [11 · Shared memory](../exercises/11-shared-memory.ipynb).
