"""The kernel's trace entries: what is recorded of one step.

The kernel records a step by handing one tuple to ``record`` and never reads it back. The first
item of the tuple is a code from this module, the rest are plain values. Recording must cost next
to nothing, so an entry holds new values only; old values, actor and cause follow when the log is
read from its beginning (``kextlab.trace.fold``). The values end up in one flat list, where no
tuple keeps the garbage collector busy; that is why the arguments of a call are preceded by their
number.

Objects are named by strings, ``"kind:number"`` (``"so_rcv:3"``); mbufs, which are many, by their
number alone, 0 for no mbuf. ``LAYOUT`` says for every code which position holds which field, so
that the kernel and the reader cannot drift apart: both follow this one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, cast

# Frames: what called what. Everything a task recorded between an entry and its RETURN was caused
# by it: every task has frames of its own.
SYSCALL: Final = 1
"""(SYSCALL, pid, name, n, n arguments ...): a process enters the kernel."""
KPI: Final = 2
"""(KPI, kext, name, n, n arguments ...): a kext calls a kernel function."""
CALLBACK: Final = 3
"""(CALLBACK, kext, name, n, n arguments ...): the kernel calls a kext back."""
RETURN: Final = 4
"""(RETURN, errno, value): the innermost open frame ends."""
KERN_RETURN: Final = 8
"""(KERN_RETURN, code, value): it ends as a call of Mach does, with a code by its name, and what C
would write through pointers."""
RETURNS: Final = (RETURN, KERN_RETURN)
PASS: Final = 5
"""(PASS, kext, name, n, mbuf, n - 1 more arguments ...): a CALLBACK that also hands an mbuf chain
to the kext."""

STOP: Final = 6
"""(STOP, kind, why): no open frame of the running task returns any more; after a panic no frame
of any task. ``kind`` is "panic", "deadlock", "killed" or "not modelled"."""

SWITCH: Final = 7
"""(SWITCH, task): what follows is recorded by that task. 0 is whoever calls from outside; before
the first SWITCH it is 0."""

# Notes: observable, but no change of state.
WAKEUP: Final = 10
"""(WAKEUP, side, number): sorwakeup ("rcv") or sowwakeup ("snd") of socket ``number``."""
SIGNAL: Final = 11
"""(SIGNAL, pid, name): a signal was sent to the process."""
SLEEP: Final = 12
"""(SLEEP, channel, wmesg): the running thread went to sleep."""
TOUCH: Final = 13
"""(TOUCH, pid, access, address, n, left): a process touches memory, which is no call. It writes
``n`` bytes; ``left`` more bytes of the same write are still to come. 0 bytes: it could not."""

# Changes of state.
SET: Final = 20
"""(SET, object, field, new)."""
NEW: Final = 21
"""(NEW, object, n, n times field and value ...), made by ``new``."""
DELETE: Final = 22
"""(DELETE, object)."""
GROUP: Final = 31
"""(GROUP, n, entries of n values in all ...), made by ``group``: several changes at once, between
which the kernel shows no state."""
MBUF_NEW: Final = 23
"""(MBUF_NEW, mbuf, owner, flags, offset, data, ext_size, pkthdr_len, next)."""
MBUF_FREE: Final = 24
"""(MBUF_FREE, mbuf)."""
MBUF_SET: Final = 25
"""(MBUF_SET, mbuf, field, new). An mbuf that is no data gets its fields m_type and rights by it."""
SB_APPEND: Final = 26
"""(SB_APPEND, sockbuf, cc, mbcnt, mb, mbtail, lastrecord, mbuf, flags, previous, link):
``mbuf`` joins the buffer; ``previous`` (0: none) now points to it through field ``link``."""
SB_TAKE: Final = 27
"""(SB_TAKE, sockbuf, cc, mbcnt, mb, mbtail, lastrecord, mbuf): the reader consumed ``mbuf``."""
MBUF_CUT: Final = 29
"""(MBUF_CUT, mbuf, offset, data, sockbuf, cc): bytes left the front of ``mbuf``."""
MBUF_GROW: Final = 30
"""(MBUF_GROW, mbuf, data, sockbuf, cc, merged): ``merged``'s bytes moved into ``mbuf``."""

RIGHT_NEW: Final = 35
"""(RIGHT_NEW, pid, name, object, type, urefs): the process has a name for ``object``."""
RIGHT_FREE: Final = 36
"""(RIGHT_FREE, pid, name): it has it no longer."""
KMSG_QUEUE: Final = 32
"""(KMSG_QUEUE, kmsg, msgcount, port, remote_type, local, local_type, id, size, body, descriptors,
notification, audit): Mach message ``kmsg`` joins the queue of ``port``, which then holds
``msgcount``."""
KMSG_TAKE: Final = 33
"""(KMSG_TAKE, kmsg, port, msgcount, seqno): ``kmsg`` was received from the queue of ``port``."""

VM_WRITE: Final = 34
"""(VM_WRITE, page, at, data): bytes of page number ``page`` changed, and with them the blocks they
lie in: objects of VM_BLOCK bytes, named by ``vm_block``."""
IO_WRITE: Final = 37
"""(IO_WRITE, memory, at, data): bytes of IOKit's memory number ``memory`` changed, in blocks as
above, named by ``io_block``."""
VM_BLOCK: Final = 1024
VM_BLOCKS: Final = 16

SB_FIELDS: Final = ("sb_cc", "sb_mbcnt", "sb_mb", "sb_mbtail", "sb_lastrecord")
"""The fields at positions 2 to 6 of SB_APPEND and SB_TAKE."""

MBUF_FIELDS: Final = (
    "owner",
    "m_flags",
    "m_off",
    "m_data",
    "ext_size",
    "pkthdr_len",
    "m_next",
)
"""The fields at positions 2 to 8 of MBUF_NEW; a new mbuf's m_nextpkt is 0."""

RIGHT_FIELDS: Final = ("object", "type", "urefs")
"""The fields at positions 3 to 5 of RIGHT_NEW."""

KMSG_FIELDS: Final = (
    "port",
    "remote_type",
    "local",
    "local_type",
    "id",
    "size",
    "body",
    "descriptors",
    "notification",
    "audit",
)
"""The fields at positions 3 to 12 of KMSG_QUEUE."""

SIZES: Final = {
    RETURN: 3,
    KERN_RETURN: 3,
    STOP: 3,
    SWITCH: 2,
    WAKEUP: 3,
    SIGNAL: 3,
    SLEEP: 3,
    TOUCH: 6,
    SET: 4,
    DELETE: 2,
    MBUF_NEW: 9,
    MBUF_FREE: 2,
    MBUF_SET: 4,
    SB_APPEND: 11,
    SB_TAKE: 8,
    MBUF_CUT: 6,
    MBUF_GROW: 6,
    RIGHT_NEW: 6,
    RIGHT_FREE: 3,
    KMSG_QUEUE: 13,
    KMSG_TAKE: 5,
    VM_WRITE: 4,
    IO_WRITE: 4,
}
"""How many values an entry has, its code included; the others say so themselves (``size``)."""

FRAMES: Final = {SYSCALL: "syscall", KPI: "kpi", CALLBACK: "callback", PASS: "callback"}
NOTES: Final = {WAKEUP: "wakeup", SIGNAL: "signal", SLEEP: "sleep", TOUCH: "touch"}

Entry = tuple[object, ...]
"""One entry, as it is handed to ``record`` and as it is read back."""


def right(pid: object, name: object) -> str:
    """The object of the trace that a name of a process is."""
    return f"right:{pid}:{name:#x}"


def vm_block(page: int, block: int) -> str:
    """The object of the trace that a block of a page is; it has VM_BLOCKS."""
    return f"vm_bytes:{page * VM_BLOCKS + block}"


def io_block(memory: int, block: int) -> str:
    """The object of the trace that a block of IOKit's memory is; it has 65,536 at most."""
    return f"io_bytes:{memory << 16 | block}"


def new(name: str, fields: Mapping[str, object]) -> Entry:
    """The entry for a new object."""
    return (NEW, name, len(fields), *chain.from_iterable(fields.items()))


def group(*entries: Entry) -> Entry:
    """The entry for several changes at once."""
    values = tuple(chain.from_iterable(entries))
    return (GROUP, len(values), *values)


def size(values: Sequence[object], at: int) -> int:
    """How many values the entry has that starts at ``at``.

    Raises:
        ValueError: no entry starts so.
    """
    code = cast(int, values[at])
    if code in FRAMES:
        return 4 + cast(int, values[at + 3])
    if code == GROUP:
        return 2 + cast(int, values[at + 1])
    if code == NEW:
        return 3 + 2 * cast(int, values[at + 2])
    if code not in SIZES:
        raise ValueError(
            f"unknown trace entry code {code!r}: recorded by another version of kextlab"
        )
    return SIZES[code]
