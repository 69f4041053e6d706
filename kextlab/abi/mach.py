"""Mach's numbers: return codes, rights, dispositions, message options, notifications, limits.

Every value is a plain int, as a C program sees it. ``mach_error_name`` gives a code its name.

Read beside it: ``osfmk/mach/kern_return.h``, ``osfmk/mach/message.h``, ``osfmk/mach/port.h``,
``osfmk/mach/notify.h``, ``osfmk/mach/vm_prot.h``, ``osfmk/mach/memory_object_types.h``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# --- kern_return_t: osfmk/mach/kern_return.h --------------------------------------------------
KERN_SUCCESS: Final = 0
KERN_INVALID_ADDRESS: Final = 1
KERN_PROTECTION_FAILURE: Final = 2
KERN_NO_SPACE: Final = 3
KERN_INVALID_ARGUMENT: Final = 4
KERN_FAILURE: Final = 5
KERN_RESOURCE_SHORTAGE: Final = 6
KERN_NOT_RECEIVER: Final = 7
KERN_NO_ACCESS: Final = 8
KERN_ALREADY_IN_SET: Final = 11
KERN_NOT_IN_SET: Final = 12
KERN_NAME_EXISTS: Final = 13
KERN_ABORTED: Final = 14
KERN_INVALID_NAME: Final = 15
KERN_INVALID_TASK: Final = 16
KERN_INVALID_RIGHT: Final = 17
KERN_INVALID_VALUE: Final = 18
KERN_UREFS_OVERFLOW: Final = 19
KERN_INVALID_CAPABILITY: Final = 20
KERN_RIGHT_EXISTS: Final = 21
KERN_INVALID_OBJECT: Final = 29
KERN_NOT_SUPPORTED: Final = 46
KERN_OPERATION_TIMED_OUT: Final = 49

# --- mach_msg_return_t: osfmk/mach/message.h --------------------------------------------------
MACH_MSG_SUCCESS: Final = 0
MACH_MSG_IPC_SPACE: Final = 0x2000  # no room for a name; these four are or-ed into a code
MACH_MSG_VM_SPACE: Final = 0x1000  # no room in the address map
MACH_MSG_IPC_KERNEL: Final = 0x800  # the kernel is short of memory for a name
MACH_MSG_VM_KERNEL: Final = 0x400  # the kernel is short of memory for memory
MACH_MSG_MASK: Final = 0x3E00  # of these bits, and the two below them
MACH_SEND_INVALID_DEST: Final = 0x10000003
MACH_SEND_TIMED_OUT: Final = 0x10000004
MACH_SEND_INTERRUPTED: Final = 0x10000007
MACH_SEND_MSG_TOO_SMALL: Final = 0x10000008
MACH_SEND_INVALID_REPLY: Final = 0x10000009
MACH_SEND_INVALID_RIGHT: Final = 0x1000000A
MACH_SEND_INVALID_MEMORY: Final = 0x1000000C
MACH_SEND_TOO_LARGE: Final = 0x1000000E
MACH_SEND_INVALID_TYPE: Final = 0x1000000F
MACH_SEND_INVALID_HEADER: Final = 0x10000010
MACH_RCV_INVALID_NAME: Final = 0x10004002
MACH_RCV_TIMED_OUT: Final = 0x10004003
MACH_RCV_TOO_LARGE: Final = 0x10004004
MACH_RCV_INTERRUPTED: Final = 0x10004005
MACH_RCV_PORT_CHANGED: Final = 0x10004006
MACH_RCV_INVALID_DATA: Final = 0x10004008
MACH_RCV_PORT_DIED: Final = 0x10004009
MACH_RCV_IN_SET: Final = 0x1000400A
MACH_RCV_BODY_ERROR: Final = 0x1000400C  # received, but for what the extra bits say

# --- Options of mach_msg ----------------------------------------------------------------------
MACH_SEND_MSG: Final = 0x1
MACH_RCV_MSG: Final = 0x2
MACH_RCV_LARGE: Final = 0x4  # a message that does not fit stays queued
MACH_SEND_TIMEOUT: Final = 0x10
MACH_SEND_ALWAYS: Final = 0x10000  # the kernel's own: no queue limit
MACH_SEND_NOTIFY: Final = 0x20000  # arm the send-possible request on a full queue
MACH_RCV_TIMEOUT: Final = 0x100
MACH_RCV_TRAILER_SEQNO: Final = 1 << 24  # MACH_RCV_TRAILER_ELEMENTS(1)
MACH_RCV_TRAILER_SENDER: Final = 2 << 24  # and the sender's uid and gid
MACH_RCV_TRAILER_AUDIT: Final = 3 << 24  # and the sender's audit token
MACH_RCV_TRAILER_MASK: Final = 0xF << 24

# --- Dispositions of a right in a message -----------------------------------------------------
MACH_MSG_TYPE_PORT_NONE: Final = 0
MACH_MSG_TYPE_MOVE_RECEIVE: Final = 16
MACH_MSG_TYPE_MOVE_SEND: Final = 17
MACH_MSG_TYPE_MOVE_SEND_ONCE: Final = 18
MACH_MSG_TYPE_COPY_SEND: Final = 19
MACH_MSG_TYPE_MAKE_SEND: Final = 20
MACH_MSG_TYPE_MAKE_SEND_ONCE: Final = 21
MACH_MSG_TYPE_PORT_RECEIVE: Final = MACH_MSG_TYPE_MOVE_RECEIVE  # as received
MACH_MSG_TYPE_PORT_SEND: Final = MACH_MSG_TYPE_MOVE_SEND
MACH_MSG_TYPE_PORT_SEND_ONCE: Final = MACH_MSG_TYPE_MOVE_SEND_ONCE

MACH_MSGH_BITS_COMPLEX: Final = 0x80000000
MACH_MSG_PORT_DESCRIPTOR: Final = 0
MACH_MSG_OOL_DESCRIPTOR: Final = 1
MACH_MSG_OOL_PORTS_DESCRIPTOR: Final = 2
MACH_MSG_OOL_VOLATILE_DESCRIPTOR: Final = 3
MACH_MSG_GUARDED_PORT_DESCRIPTOR: Final = 4

MACH_MSG_PHYSICAL_COPY: Final = 0  # of memory out of line: copied by the time the send returns
MACH_MSG_VIRTUAL_COPY: Final = 1  # copied when somebody writes

# --- Names and rights: osfmk/mach/port.h ------------------------------------------------------
MACH_PORT_NULL: Final = 0
MACH_PORT_DEAD: Final = 0xFFFFFFFF

MACH_PORT_RIGHT_SEND: Final = 0
MACH_PORT_RIGHT_RECEIVE: Final = 1
MACH_PORT_RIGHT_SEND_ONCE: Final = 2
MACH_PORT_RIGHT_PORT_SET: Final = 3
MACH_PORT_RIGHT_DEAD_NAME: Final = 4
MACH_PORT_RIGHT_LABELH: Final = 5
MACH_PORT_RIGHT_NUMBER: Final = 6

MACH_PORT_TYPE_NONE: Final = 0
MACH_PORT_TYPE_SEND: Final = 1 << 16
MACH_PORT_TYPE_RECEIVE: Final = 1 << 17
MACH_PORT_TYPE_SEND_ONCE: Final = 1 << 18
MACH_PORT_TYPE_PORT_SET: Final = 1 << 19
MACH_PORT_TYPE_DEAD_NAME: Final = 1 << 20
MACH_PORT_TYPE_SEND_RECEIVE: Final = MACH_PORT_TYPE_SEND | MACH_PORT_TYPE_RECEIVE
MACH_PORT_TYPE_SEND_RIGHTS: Final = MACH_PORT_TYPE_SEND | MACH_PORT_TYPE_SEND_ONCE
MACH_PORT_TYPE_PORT_RIGHTS: Final = MACH_PORT_TYPE_SEND_RIGHTS | MACH_PORT_TYPE_RECEIVE
MACH_PORT_TYPE_PORT_OR_DEAD: Final = MACH_PORT_TYPE_PORT_RIGHTS | MACH_PORT_TYPE_DEAD_NAME
MACH_PORT_TYPE_DNREQUEST: Final = 0x80000000

MACH_PORT_UREFS_MAX: Final = 65535  # user references stick here

MACH_PORT_QLIMIT_ZERO: Final = 0
MACH_PORT_QLIMIT_DEFAULT: Final = 5
MACH_PORT_QLIMIT_SMALL: Final = 16
MACH_PORT_QLIMIT_MAX: Final = 1024
MACH_PORT_QLIMIT_KERNEL: Final = 65534

# --- Notifications: osfmk/mach/notify.h -------------------------------------------------------
MACH_NOTIFY_PORT_DELETED: Final = 65
MACH_NOTIFY_SEND_POSSIBLE: Final = 66
MACH_NOTIFY_PORT_DESTROYED: Final = 69
MACH_NOTIFY_NO_SENDERS: Final = 70
MACH_NOTIFY_SEND_ONCE: Final = 71
MACH_NOTIFY_DEAD_NAME: Final = 72

# --- Port guard exceptions: osfmk/mach/port.h -------------------------------------------------
kGUARD_EXC_INVALID_RIGHT: Final = "INVALID_RIGHT"
kGUARD_EXC_INVALID_NAME: Final = "INVALID_NAME"
kGUARD_EXC_INVALID_VALUE: Final = "INVALID_VALUE"
kGUARD_EXC_RCV_INVALID_NAME: Final = "RCV_INVALID_NAME"
kGUARD_EXC_SEND_INVALID_REPLY: Final = "SEND_INVALID_REPLY"
kGUARD_EXC_SEND_INVALID_RIGHT: Final = "SEND_INVALID_RIGHT"

# --- Sizes, bytes -----------------------------------------------------------------------------
SIZEOF_HEADER: Final = 24  # mach_msg_header_t
SIZEOF_BODY: Final = 4  # mach_msg_body_t: the number of descriptors
SIZEOF_PORT_DESCRIPTOR: Final = 12
SIZEOF_OOL_DESCRIPTOR: Final = 16
SIZEOF_OOL_PORTS_DESCRIPTOR: Final = 16
SIZEOF_GUARDED_PORT_DESCRIPTOR: Final = 16
SIZEOF_NAME: Final = 4  # mach_port_name_t
SIZEOF_TRAILER: Final = 8  # mach_msg_trailer_t
SIZEOF_SEQNO_TRAILER: Final = 12
SIZEOF_SECURITY_TRAILER: Final = 20
SIZEOF_AUDIT_TRAILER: Final = 52
SIZEOF_NDR: Final = 8  # NDR_record_t, before the arguments of a notification

# --- VM: osfmk/mach/vm_prot.h, vm_inherit.h, vm_statistics.h, memory_object_types.h ------------
VM_PROT_NONE: Final = 0
VM_PROT_READ: Final = 1
VM_PROT_WRITE: Final = 2
VM_PROT_EXECUTE: Final = 4
VM_PROT_DEFAULT: Final = VM_PROT_READ | VM_PROT_WRITE
VM_PROT_ALL: Final = VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE
VM_PROT_COPY: Final = 0x10  # of vm_protect: make the range a private copy first
VM_PROT_IS_MASK: Final = 0x40  # as much of this as there is

VM_INHERIT_SHARE: Final = 0
VM_INHERIT_COPY: Final = 1
VM_INHERIT_NONE: Final = 2
VM_INHERIT_DEFAULT: Final = VM_INHERIT_COPY

VM_FLAGS_FIXED: Final = 0x0
VM_FLAGS_ANYWHERE: Final = 0x1
VM_FLAGS_PURGABLE: Final = 0x2
VM_FLAGS_4GB_CHUNK: Final = 0x4
VM_FLAGS_RANDOM_ADDR: Final = 0x8
VM_FLAGS_NO_CACHE: Final = 0x10
VM_FLAGS_PERMANENT: Final = 0x80
VM_FLAGS_TPRO: Final = 0x1000
VM_FLAGS_OVERWRITE: Final = 0x4000
VM_FLAGS_SUPERPAGE_MASK: Final = 0x70000
VM_FLAGS_RETURN_DATA_ADDR: Final = 0x100000
VM_FLAGS_RETURN_4K_DATA_ADDR: Final = 0x800000
VM_FLAGS_ALIAS_MASK: Final = 0xFF000000  # the tag of VM_MAKE_TAG
VM_KERN_MEMORY_IPC: Final = 7  # a tag: made by the kernel for a message
VM_MEMORY_MACH_MSG: Final = 20  # a tag: names that came in a message
VM_FLAGS_USER_ALLOCATE: Final = (
    VM_FLAGS_ANYWHERE
    | VM_FLAGS_PURGABLE
    | VM_FLAGS_4GB_CHUNK
    | VM_FLAGS_RANDOM_ADDR
    | VM_FLAGS_NO_CACHE
    | VM_FLAGS_PERMANENT
    | VM_FLAGS_TPRO
    | VM_FLAGS_OVERWRITE
    | VM_FLAGS_SUPERPAGE_MASK
    | VM_FLAGS_ALIAS_MASK
)
VM_FLAGS_USER_MAP: Final = (
    VM_FLAGS_USER_ALLOCATE | VM_FLAGS_RETURN_DATA_ADDR | VM_FLAGS_RETURN_4K_DATA_ADDR
)

MAP_MEM_LEDGER_TAGGED: Final = 0x2000
MAP_MEM_PURGABLE_KERNEL_ONLY: Final = 0x4000
MAP_MEM_GRAB_SECLUDED: Final = 0x8000
MAP_MEM_ONLY: Final = 0x10000  # change how processors cache it, make no entry
MAP_MEM_NAMED_CREATE: Final = 0x20000  # of new memory
MAP_MEM_PURGABLE: Final = 0x40000
MAP_MEM_NAMED_REUSE: Final = 0x80000  # the parent itself, if it is the same
MAP_MEM_USE_DATA_ADDR: Final = 0x100000  # the address of the data, not of its page
MAP_MEM_VM_COPY: Final = 0x200000  # of a copy of the range
MAP_MEM_VM_SHARE: Final = 0x400000  # of the whole range, whatever it is made of
MAP_MEM_4K_DATA_ADDR: Final = 0x800000
MAP_MEM_FLAGS_MASK: Final = 0xFFFF00
MAP_MEM_FLAGS_USER: Final = 0xFFE000
MAP_MEM_NOOP: Final = 0  # in the highest byte: how processors cache it

ANON_CHUNK_SIZE: Final = 128 << 20  # anonymous memory comes in objects of at most this size
ANON_MAX_SIZE: Final = 0xFFFFF000  # of one object made by MAP_MEM_NAMED_CREATE


def _names(*prefixes: str) -> MappingProxyType[int, str]:
    found = {
        value: name
        for name, value in globals().items()
        if name.startswith(prefixes) and isinstance(value, int)
    }
    return MappingProxyType(found)


CODES: Final = MappingProxyType(
    {
        **{code: name for code, name in _names("MACH_SEND_", "MACH_RCV_").items() if code >> 28},
        **_names("KERN_"),
        MACH_MSG_VM_KERNEL: "MACH_MSG_VM_KERNEL",
    }
)
"""Return codes by number: kern_return_t and mach_msg_return_t, which share KERN_SUCCESS. One of the
extra bits is a code of its own: of a send that asks too much of the kernel."""
RIGHTS: Final = _names("MACH_PORT_RIGHT_")
"""Rights by number."""


def mach_error_name(code: int) -> str:
    """The name of a return code, with ``|0x...`` for the extra bits of a failed copyout."""
    if code in CODES:
        return CODES[code]
    extra = code & MACH_MSG_MASK
    if extra and code & ~extra in CODES:
        return f"{CODES[code & ~extra]}|{extra:#x}"
    return f"{code:#x}"


_TYPES: Final = ("SEND", "RECEIVE", "SEND_ONCE", "PORT_SET", "DEAD_NAME")


def type_names(bits: int) -> list[str]:
    """The type bits of a name as words: ``["SEND", "RECEIVE"]``."""
    found = [word for shift, word in enumerate(_TYPES, 16) if bits & 1 << shift]
    return found + ["DNREQUEST"] * bool(bits & MACH_PORT_TYPE_DNREQUEST)
