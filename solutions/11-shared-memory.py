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
# Six questions about lesson [11 · Shared memory](../notebooks/11-shared-memory.ipynb). Run the next cell
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
# The client is to map it to read and to write. Afterwards the server has the page and no name more than
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

# %% tags=["seeds"]
seeds = range(7101, 7111)
