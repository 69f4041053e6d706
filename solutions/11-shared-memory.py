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
# # Exercise 11 · Shared memory
#
# Seven questions about lesson [11 · Shared memory](../notebooks/11-shared-memory.ipynb). Run the next cell
# first. Each question has one cell for your answer; keep its first line, the checker finds the cell by
# it. The cell below it checks what you ran last, at once, and as often as you like. Nothing you do here
# can break your own machine, and every hint opens only when you click it.
#
# In a terminal, after saving: `kextlab check exercises/11-shared-memory.ipynb`.
#
# Your functions get a process's Mach calls as `m`: that is `app.mach`, with all of Mach's constants.
# What the questions say of memory is documented only (◌), as in the lesson.

# %% tags=["setup"]
# setup
from kextlab.course import check
from kextlab.userland.mach import MachError, Message, PortDescriptor

PAGE = 0x4000

# %% [markdown]
# ## Question 1: predict
#
# The first byte of a server's page is the letter A. The server makes a memory entry, and sends its right
# to a client, which maps it twice: once shared, once with `copy` true.
#
# 1. The server stores B. The client loads from its *shared* mapping.
# 2. The client loads from its *copy*.
# 3. The client stores X into its copy. The server loads from its page.
# 4. Both give back their rights to the entry. The server stores D. The client loads from its shared
#    mapping.
# 5. The server dies. The client loads from its shared mapping.
#
# Which letter does each of the five loads answer? Write five letters, such as `"ABXDA"`; a `-` for a load
# that answers none.

# %% tags=["starter", "q11_1"]
# q11_1
loads = ...

# %% tags=["reference", "q11_1"]
# q11_1
loads = "BABDD"

# %% tags=["other", "q11_1"]
# q11_1
loads = ["B", "A", "B", "D", "D"]

# %% tags=["other", "q11_1"]
# q11_1
page = ["A"]
shared, copy = page, list(page)
page[0] = "B"
loads = [shared[0], copy[0]]
copy[0] = "X"
loads.append(page[0])
page[0] = "D"
loads += shared * 2

# %% tags=["mutant", "q11_1", "sharing-needs-a-message"]
# q11_1
loads = "AABAA"

# %% tags=["mutant", "q11_1", "copy-follows"]
# q11_1
loads = "BBBDD"

# %% tags=["mutant", "q11_1", "copy-writes-through"]
# q11_1
loads = "BAXDD"

# %% tags=["mutant", "q11_1", "right-holds-the-mapping"]
# q11_1
loads = "BAB--"

# %% tags=["mutant", "q11_1", "page-dies-with-its-server"]
# q11_1
loads = "BABD-"

# %% [markdown]
# ## Question 2: find and mend
#
# A client has asked for memory; `request` is its message, as the server received it. `offer(m, request)`
# makes a page, replies (id 101) with a send right to its memory entry, and returns the page's address.
# The client is to map it to read and to write. Afterwards the server has the page, and no more names than
# before; the right to reply goes with the reply.
#
# There are three mistakes in it. Two of them stand in published programs.


# %% tags=["starter", "q11_2"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_READ & m.VM_PROT_WRITE)
    reply = Message(msgh_remote_port=request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND)]
    reply.msgh_bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return address


# %% tags=["reference", "q11_2"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_READ | m.VM_PROT_WRITE)
    reply = Message(msgh_remote_port=request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    reply.msgh_bits |= m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND)]
    m.mach_msg(reply, m.MACH_SEND_MSG)
    m.mach_port_deallocate(entry)
    return address


# %% tags=["other", "q11_2"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    _, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(entry, m.MACH_MSG_TYPE_MOVE_SEND)  # goes with the message
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return address


# %% tags=["other", "q11_2"]
# q11_2
def offer(m, request):
    # New memory that nobody has mapped yet; the server maps it as the client will.
    both = m.VM_PROT_READ + m.VM_PROT_WRITE
    size, entry = m.mach_make_memory_entry_64(PAGE, 0, both | m.MAP_MEM_NAMED_CREATE)
    here = m.mach_vm_map(0, size, 0, m.VM_FLAGS_ANYWHERE, entry, 0, False, both, both, 2)
    how = m.MACH_MSGH_BITS_REMOTE(request.msgh_bits)
    m.mach_msg(
        Message(
            how | m.MACH_MSGH_BITS_COMPLEX,
            request.msgh_remote_port,
            msgh_id=request.msgh_id + 100,
            descriptors=(m.PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND),),
        ),
        m.MACH_SEND_MSG,
    )
    m.mach_port_mod_refs(entry, m.MACH_PORT_RIGHT_SEND, -1)
    return here


# %% tags=["mutant", "q11_2", "bits-overwritten"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    reply = Message(msgh_remote_port=request.msgh_remote_port, msgh_id=101)
    reply.msgh_bits = m.MACH_MSGH_BITS_COMPLEX
    reply.descriptors = [PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND)]
    reply.msgh_bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
    m.mach_msg(reply, m.MACH_SEND_MSG)
    m.mach_port_deallocate(entry)
    return address


# %% tags=["mutant", "q11_2", "and-for-or"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_READ & m.VM_PROT_WRITE)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(entry, m.MACH_MSG_TYPE_MOVE_SEND)
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return address


# %% tags=["mutant", "q11_2", "entry-kept"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(entry, m.MACH_MSG_TYPE_COPY_SEND)
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    return address


# %% tags=["mutant", "q11_2", "memory-given-up"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(entry, m.MACH_MSG_TYPE_MOVE_SEND)
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    m.mach_vm_deallocate(address, PAGE)
    return address


# %% tags=["mutant", "q11_2", "gives-back-too-much"]
# q11_2
def offer(m, request):
    address = m.mach_vm_allocate(PAGE)
    size, entry = m.mach_make_memory_entry_64(PAGE, address, m.VM_PROT_DEFAULT)
    bits = m.MACH_MSG_TYPE_MOVE_SEND_ONCE | m.MACH_MSGH_BITS_COMPLEX
    right = PortDescriptor(entry, m.MACH_MSG_TYPE_MOVE_SEND)
    reply = Message(bits, request.msgh_remote_port, 0, 101, descriptors=[right])
    m.mach_msg(reply, m.MACH_SEND_MSG)
    m.mach_port_deallocate(entry)
    return address


# %% tags=["hidden", "q11_2"]
from kextlab.course.questions.q11 import offers


def another_word(answer, seed):
    """The page is seen from both sides, with any word."""
    return offers(answer, seed.to_bytes(4, "big"))


# %% [markdown]
# ## Question 3: complete
#
# `entries(m, address, size)` makes memory entries for a range that is there already: whole pages, maybe
# allocated one after the other, by several calls. It returns a list of pairs (name, bytes), in the
# order of the addresses. Together they stand for the whole range, and each may be mapped, with the bytes
# you say, to read and to write. One pair or many: as you like.


# %% tags=["starter", "q11_3"]
# q11_3
def entries(m, address, size):
    _, entry = m.mach_make_memory_entry_64(size, address, m.VM_PROT_READ | m.VM_PROT_WRITE)
    return [(entry, size)]


# %% tags=["reference", "q11_3"]
# q11_3
def entries(m, address, size):
    both, found = m.VM_PROT_READ | m.VM_PROT_WRITE, []
    while size > 0:
        got, entry = m.mach_make_memory_entry_64(size, address, both)
        found.append((entry, got))
        address += got
        size -= got
    return found


# %% tags=["other", "q11_3"]
# q11_3
def entries(m, address, size):
    how = m.VM_PROT_DEFAULT | m.MAP_MEM_VM_SHARE
    got, entry = m.mach_make_memory_entry_64(size, address, how)
    if got < size:
        raise MemoryError(f"{got} bytes of {size}")
    return [(entry, got)]


# %% tags=["other", "q11_3"]
# q11_3
def entries(m, address, size):
    pairs = []
    for at in range(address, address + size, PAGE):
        got, entry = m.mach_make_memory_entry_64(PAGE, at, m.VM_PROT_DEFAULT)
        assert got == PAGE
        pairs.append((entry, got))
    return pairs


# %% tags=["mutant", "q11_3", "size-not-looked-at"]
# q11_3
def entries(m, address, size):
    entry = m.mach_make_memory_entry_64(size, address, m.VM_PROT_DEFAULT)[1]
    return [(entry, size)]


# %% tags=["mutant", "q11_3", "rest-forgotten"]
# q11_3
def entries(m, address, size):
    got, entry = m.mach_make_memory_entry_64(size, address, m.VM_PROT_DEFAULT)
    return [(entry, got)]


# %% tags=["mutant", "q11_3", "same-piece-again"]
# q11_3
def entries(m, address, size):
    found = []
    while size > 0:
        got, entry = m.mach_make_memory_entry_64(size, address, m.VM_PROT_DEFAULT)
        found.append((entry, got))
        size -= got
    return found


# %% tags=["mutant", "q11_3", "only-reads"]
# q11_3
def entries(m, address, size):
    how = m.VM_PROT_READ | m.MAP_MEM_VM_SHARE
    got, entry = m.mach_make_memory_entry_64(size, address, how)
    return [(entry, got)]


# %% tags=["hidden", "q11_3"]
from kextlab.course.questions.q11 import covers


def many_pieces(answer, seed):
    """A range of four objects is covered."""
    return covers(answer, [1, 1 + seed % 2, 1, 2])


# %% [markdown]
# ## Question 4: write a reader
#
# At the address `at` of a shared page lies a number of eight bytes, the smallest byte first, and behind it
# a reading of 32 bytes. The writer makes the number odd, stores the reading word by word, and makes
# the number even again, two more than before.
#
# `read(m, at, tries, pause)` returns a whole reading, as 32 bytes. It looks at most `tries` times. After
# a look that did not work it calls `pause()`, so that the writer can go on. If none worked, it raises
# TimeoutError. The writer may store at any moment, between any two words you load.


# %% tags=["starter", "q11_4"]
# q11_4
def read(m, at, tries, pause):
    return m.load(at + 8, 32)


# %% tags=["reference", "q11_4"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        before = m.load(at, 8)
        data = m.load(at + 8, 32)
        if before == m.load(at, 8) and before[0] % 2 == 0:
            return data
        pause()
    raise TimeoutError(f"no whole reading in {tries} looks")


# %% tags=["other", "q11_4"]
# q11_4
def read(m, at, tries, pause):
    while tries:
        number = int.from_bytes(m.load(at, 8), "little")
        if number & 1 == 0:
            words = [m.load(at + 8 * word, 8) for word in range(1, 5)]
            if int.from_bytes(m.load(at, 8), "little") == number:
                return b"".join(words)
        tries -= 1
        pause()
    raise TimeoutError


# %% tags=["other", "q11_4"]
# q11_4
def read(m, at, tries, pause):
    def look():
        all_of_it = m.load(at, 40)  # the number comes first
        again = m.load(at, 8)
        return all_of_it[8:] if all_of_it[:8] == again and not again[0] & 1 else None

    for _ in range(tries):
        if (data := look()) is not None:
            return data
        pause()
    raise TimeoutError("the writer is busy, or dead")


# %% tags=["mutant", "q11_4", "one-look-is-enough"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        if m.load(at, 8)[0] % 2 == 0:
            return m.load(at + 8, 32)
        pause()
    raise TimeoutError


# %% tags=["mutant", "q11_4", "one-look-is-enough"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        data = m.load(at + 8, 32)
        if m.load(at, 8)[0] % 2 == 0:
            return data
        pause()
    raise TimeoutError


# %% tags=["mutant", "q11_4", "same-is-enough"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        before = m.load(at, 8)
        data = m.load(at + 8, 32)
        if before == m.load(at, 8):
            return data
        pause()
    raise TimeoutError


# %% tags=["mutant", "q11_4", "never-pauses"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        before = m.load(at, 8)
        data = m.load(at + 8, 32)
        if before == m.load(at, 8) and before[0] % 2 == 0:
            return data
    raise TimeoutError


# %% tags=["mutant", "q11_4", "never-gives-up"]
# q11_4
def read(m, at, tries, pause):
    while True:
        before = m.load(at, 8)
        data = m.load(at + 8, 32)
        if before == m.load(at, 8) and before[0] % 2 == 0:
            return data
        pause()


# %% tags=["mutant", "q11_4", "last-try-counts"]
# q11_4
def read(m, at, tries, pause):
    for _ in range(tries):
        before = m.load(at, 8)
        data = m.load(at + 8, 32)
        if before == m.load(at, 8) and before[0] % 2 == 0:
            break
        pause()
    return data


# %% tags=["hidden", "q11_4"]
from kextlab.course.questions.q11_torn import read_while


def at_every_word(answer, seed):
    """A reading is overtaken after its first word, its second, its third."""
    for after in (1, 2, 3):
        miss = read_while(answer, seed, after)
        if miss is not None:
            return miss
    return None


# %% [markdown]
# ## Question 5: complete the writer
#
# `publish(m, at, data)` is the other side of question 4: it stores a reading of 32 bytes behind the number
# at `at`. The number is even when it begins and when it is done. At every moment an even number stands
# for one whole reading, and two readings never have the same one.


# %% tags=["starter", "q11_5"]
# q11_5
def publish(m, at, data):
    number = int.from_bytes(m.load(at, 8), "little")
    m.store_words(at + 8, data)
    m.store(at, (number + 2).to_bytes(8, "little"))


# %% tags=["reference", "q11_5"]
# q11_5
def publish(m, at, data):
    number = int.from_bytes(m.load(at, 8), "little")
    m.store(at, (number + 1).to_bytes(8, "little"))
    m.store_words(at + 8, data)
    m.store(at, (number + 2).to_bytes(8, "little"))


# %% tags=["other", "q11_5"]
# q11_5
from struct import pack, unpack


def publish(m, at, data):
    def step():
        m.store(at, pack("<Q", unpack("<Q", m.load(at, 8))[0] + 1))

    step()
    for word in range(0, 32, 8):
        m.store(at + 8 + word, data[word : word + 8])
    step()


# %% tags=["other", "q11_5"]
# q11_5
def publish(m, at, data):
    odd = int.from_bytes(m.load(at, 8), "little") | 1
    # The number lies before the reading, so it is stored first.
    m.store_words(at, odd.to_bytes(8, "little") + data)
    m.store_words(at, (odd + 1).to_bytes(8, "little"))


# %% tags=["mutant", "q11_5", "number-last"]
# q11_5
def publish(m, at, data):
    m.store_words(at + 8, data)
    number = int.from_bytes(m.load(at, 8), "little")
    m.store(at, (number + 2).to_bytes(8, "little"))


# %% tags=["mutant", "q11_5", "number-first"]
# q11_5
def publish(m, at, data):
    number = int.from_bytes(m.load(at, 8), "little")
    m.store(at, (number + 2).to_bytes(8, "little"))
    m.store_words(at + 8, data)


# %% tags=["mutant", "q11_5", "number-comes-back"]
# q11_5
def publish(m, at, data):
    number = int.from_bytes(m.load(at, 8), "little")
    m.store(at, (number + 1).to_bytes(8, "little"))
    m.store_words(at + 8, data)
    m.store(at, number.to_bytes(8, "little"))


# %% tags=["mutant", "q11_5", "odd-for-ever"]
# q11_5
def publish(m, at, data):
    number = int.from_bytes(m.load(at, 8), "little")
    m.store(at, (number + 1).to_bytes(8, "little"))
    m.store_words(at + 8, data)


# %% tags=["hidden", "q11_5"]
from kextlab.course.questions.q11_torn import publishes


def often(answer, seed):
    """Twenty readings, one after the other."""
    return publishes(answer, seed, 20)


# %% [markdown]
# ## Question 6: put it in order
#
# A server is found through launchd, hands one page out to the first client that asks, and keeps two
# things: the page, and the receive right of its service. Run the next cell to read nine lines in
# disorder; six of them do it. Write their letters in order, as a string such as `"FEDCBA"`: the checker puts
# the lines together, and runs them while a client asks.

# %% tags=["setup"]
# setup of question 6
from kextlab.course.questions.bench import listed
from kextlab.course.questions.q11 import LINES

print(listed(LINES))

# %% tags=["starter", "q11_6"]
# q11_6
order = ...

# %% tags=["reference", "q11_6"]
# q11_6
order = "ACDFGH"

# %% tags=["other", "q11_6"]
# q11_6
order = "A, F, C, D, G, H"

# %% tags=["other", "q11_6"]
# q11_6
order = ["c", "d", "a", "f", "g", "h"]

# %% tags=["mutant", "q11_6", "create-is-check-in"]
# q11_6
order = "BCDFGH"

# %% tags=["mutant", "q11_6", "created-and-checked-in"]
# q11_6
order = "BACDFGH"

# %% tags=["mutant", "q11_6", "and-for-or"]
# q11_6
order = "ACEFGH"

# %% tags=["mutant", "q11_6", "given-back-first"]
# q11_6
order = "ACDHFG"

# %% tags=["mutant", "q11_6", "memory-given-up"]
# q11_6
order = "ACDFGHI"

# %% tags=["mutant", "q11_6", "entry-kept"]
# q11_6
order = "ACDFG"

# %% [markdown]
# ## Question 7: find and mend
#
# A kext has a table, and its control is for root alone. One daemon of root's reads the table for
# everybody. The answer has three parts:
#
# - `plist` is the daemon's property list, and `PATH` its executable.
# - `daemon(app, uid_of)` is its program. `direct(app)` reads the table from the kext. The body of an
#   answer is an errno of four bytes, and then the table. `uid_of(pid)` says which user a process has at
#   the moment you call it. In an audit token, number 1 is the sender's uid, and number 5 its pid.
# - `ask(app, question)` is what a client calls. It returns the table; an errno other than 0 is raised as
#   OSError.
#
# This is what they are to do together:
#
# 1. As long as nobody asks, the daemon does not run. The first request starts it.
# 2. It reads the kext once, and answers every READ with that table.
# 3. For a REFRESH it reads the kext again. Only who was root *when the request was sent* may have that;
#    everybody else is answered EPERM.
# 4. The daemon may be killed at any moment. Whoever calls `ask` for a READ gets the table all the same.
#
# There are four mistakes in it: each of these four lines is broken once. Run the next cell first.

# %% tags=["setup"]
# setup of question 7
from kextlab.abi.errno import EPERM
from kextlab.userland.broker import PATH, READ, REFRESH, SERVICE, direct

# %% tags=["starter", "q11_7"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
    "RunAtLoad": True,
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno, table = 0, direct(app)
        if asked.msgh_id == REFRESH and uid_of(asked.audit_token[5]) != 0:
            errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
    answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
    if answer.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        raise ConnectionError("the daemon dropped the request")
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["reference", "q11_7"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["other", "q11_7"]
# q11_7
# The loop answers one and hears the next in one call; the client tries until it hears a table.
plist = {
    "Label": "org.me.status",
    "Program": PATH,
    "MachServices": {SERVICE: True},
    "ThrottleInterval": 1,
}


def daemon(app, uid_of):
    m = app.mach
    port, table, answer = m.bootstrap_check_in(SERVICE), None, None
    while True:
        send = m.MACH_SEND_MSG if answer else 0
        asked = m.mach_msg(answer, send | m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        _, uid, *_ = asked.audit_token
        refused = asked.msgh_id == REFRESH and uid
        if table is None or (asked.msgh_id == REFRESH and not refused):
            table = direct(app)
        app.time.sleep(0.1)
        body = (EPERM if refused else 0).to_bytes(4, "little") + (b"" if refused else table)
        how = m.MACH_MSGH_BITS_REMOTE(asked.msgh_bits)
        answer = Message(how, asked.msgh_remote_port, 0, asked.msgh_id + 100, body)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    both = m.MACH_SEND_MSG | m.MACH_RCV_MSG
    body = b""
    while len(body) < 4:
        body = m.mach_msg(Message(bits, to, port, question), both, 8192, port).body
    if any(body[:4]):
        raise OSError(body[0], "refused")
    return body[4:]


# %% tags=["other", "q11_7"]
# q11_7
class Table:
    def __init__(self, app):
        self.app, self.now = app, direct(app)

    def answers(self, asked):
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1]:
                return EPERM.to_bytes(4, "little")
            self.now = direct(self.app)
        return bytes(4) + self.now


def daemon(app, uid_of):
    m = app.mach
    table = Table(app)
    port = m.bootstrap_check_in(SERVICE)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)
        answer = Message(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, asked.msgh_remote_port)
        answer.body = table.answers(asked)
        m.mach_msg(answer, m.MACH_SEND_MSG)


def ask(app, question):
    # A client that has waited for long asks again, whether or not anybody told it of a death.
    m = app.mach
    to, reply = m.bootstrap_look_up(SERVICE), m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        try:
            wait = m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT
            answer = m.mach_msg(None, wait, 8192, reply, 15_000)
        except MachError as error:
            if error.name != "MACH_RCV_TIMED_OUT":
                raise
            continue
        if answer.body:
            break
    m.mach_port_destroy(reply)
    m.mach_port_deallocate(to)
    if answer.body[:4] != bytes(4):
        raise PermissionError
    return answer.body[4:]


plist = dict(Label=SERVICE, ProgramArguments=[PATH], MachServices={SERVICE: True})


# %% tags=["mutant", "q11_7", "must-run-before"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
    "RunAtLoad": True,
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "must-run-before"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
    "KeepAlive": True,
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "daemon-makes-its-service"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "reads-for-each"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno, table = 0, b""
        if asked.msgh_id == REFRESH and asked.audit_token[1] != 0:
            errno = EPERM
        else:
            table = direct(app)
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "notice-is-the-end"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
    answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
    if answer.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        raise ConnectionError("the daemon dropped the request")
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "notice-is-the-end"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
    answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "any-right-tells"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS_REMOTE(asked.msgh_bits)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "launchd-looks-who-asks"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            table = direct(app)
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "body-is-true"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.body and int.from_bytes(asked.body, "little") == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    answer = None
    while answer is None or answer.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
        who = app.uid.to_bytes(4, "little")
        m.mach_msg(Message(bits, to, reply, question, who), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "pid-is-the-sender"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if uid_of(asked.audit_token[5]) == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "pid-is-the-sender"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[5] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "table-stays-true"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH and asked.audit_token[1] != 0:
            errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "silence-is-an-answer"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                continue
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["mutant", "q11_7", "silence-is-an-answer"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in(SERVICE)
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return answer.body


# %% tags=["mutant", "q11_7", "silence-is-an-answer"]
# q11_7
plist = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
}


def daemon(app, uid_of):
    m = app.mach
    port = m.bootstrap_check_in("org.kextlab.mine")
    table = direct(app)
    while True:
        asked = m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
        app.time.sleep(0.1)  # so long it has a request in work
        errno = 0
        if asked.msgh_id == REFRESH:
            if asked.audit_token[1] == 0:
                table = direct(app)
            else:
                errno = EPERM
        body = errno.to_bytes(4, "little") + table
        bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_MOVE_SEND_ONCE, 0)
        m.mach_msg(Message(bits, asked.msgh_remote_port, body=body), m.MACH_SEND_MSG)


def ask(app, question):
    m = app.mach
    to = m.bootstrap_look_up(SERVICE)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    while True:
        m.mach_msg(Message(bits, to, reply, question), m.MACH_SEND_MSG)
        answer = m.mach_msg(None, m.MACH_RCV_MSG, 8192, reply)
        if answer.msgh_id != m.MACH_NOTIFY_SEND_ONCE:
            break
    m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
    m.mach_port_deallocate(to)
    errno, table = int.from_bytes(answer.body[:4], "little"), answer.body[4:]
    if errno:
        raise OSError(errno, "the daemon refused")
    return table


# %% tags=["hidden", "q11_7"]
from kextlab.course.questions.q11_broker import killed


def killed_twice(answer, seed):
    """The daemon is killed, and killed again."""
    return killed(answer, 5, [0.05 + 0.1 * (seed % 2), 11 + seed % 7 * 0.05])


# %% tags=["seeds"]
seeds = range(7101, 7111)
