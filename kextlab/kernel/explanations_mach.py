"""Why a Mach call is refused.

Pure data in the notation of ``explanations``; the name of the code stands for the errno.
Read beside it: ``osfmk/ipc/mach_port.c``, ``ipc_right.c``, ``ipc_kmsg.c``, ``ipc_mqueue.c``,
``osfmk/vm/vm_user.c``, ``vm_memory_entry.c``.
"""

from collections.abc import Mapping

from kextlab.kernel.explanations import DOCUMENTED, PORTED


def _each(recordings: Mapping[str, str], cause: str, text: str) -> str:
    """The same cause of several calls, each with its own recording."""
    return "\n\n".join(
        f"{call}: {cause} | {recording}\n{text}" for call, recording in recordings.items()
    )


_NO_NAME = _each(
    {
        "mach_port_deallocate": "deallocate",
        "mach_port_destroy": "destroy",
        "mach_port_mod_refs": "refs-wrong-right",
        "mach_port_get_refs": "queue-limit-move-send",
        "mach_port_type": "dead-name",
        "mach_port_get_attributes": "m00000",
        "mach_port_set_attributes": "m00002",
        "mach_port_set_mscount": "mscount",
        "mach_port_insert_member": "m00000",
        "mach_port_extract_member": "m00005",
        "mach_port_move_member": "m00014",
        "mach_port_request_notification": "m00000",
        "mach_port_insert_right": "m00000",
        "mach_port_rename": DOCUMENTED,
    },
    "KERN_INVALID_NAME | ipc_right_lookup_read",
    """The task has no such name: it was freed, or belongs to another task. A name is a number of
one task only.
-> Send the right in a message; the number alone means nothing elsewhere.""",
)
_NO_RECEIVE = _each(
    {
        "mach_port_get_attributes": "m00000",
        "mach_port_set_attributes": "m00002",
        "mach_port_set_mscount": "m00033",
    },
    "KERN_INVALID_RIGHT | ipc_port_translate_receive",
    """Only whoever has the receive right may ask or set this.
-> Ask the task that receives.""",
)
_NO_MEMBER = _each(
    {
        "mach_port_insert_member": "m00006",
        "mach_port_extract_member": "m00050",
        "mach_port_move_member": "m00007",
    },
    "KERN_INVALID_RIGHT | ipc_object_translate_two",
    """A member is a receive right, and what it is put into or taken out of is a port set; one of
the names is something else.
-> Ask mach_port_type what both names stand for.""",
)

MACH = f"""
mach_port_allocate: KERN_INVALID_VALUE | mach_port_allocate_full | alloc
Receive rights, port sets and dead names are allocated; a send right is made from a receive right.
-> Allocate MACH_PORT_RIGHT_RECEIVE, then insert a right with MAKE_SEND.

mach_port_insert_right: KERN_INVALID_RIGHT | ipc_right_copyin | insert-copy-send
The name has no right of the kind the disposition takes: COPY_SEND and MOVE_SEND need a send right,
MAKE_SEND and MAKE_SEND_ONCE the receive right.
-> Ask mach_port_type what the name stands for.

mach_port_insert_right: KERN_RIGHT_EXISTS | ipc_object_copyout_name | insert-bad-name
The task has a name for this port already, and all its send and receive rights to one port stand
under one name.
-> Insert under the name the task has.

mach_port_insert_right: KERN_INVALID_CAPABILITY | mach_port_insert_right | dead-name-insert
The right is dead: its port is gone.
-> Look the service up again.

mach_port_insert_right: KERN_NAME_EXISTS | ipc_object_copyout_name | {DOCUMENTED}
The name stands for something else.
-> Use another name.

mach_port_insert_right mach_port_rename: KERN_INVALID_VALUE | ipc_entry_alloc_name | {DOCUMENTED}
The two low bits of a name are always set; those of this one are not.
-> Use a name the kernel gave, or one that ends in 3, 7, b or f.

mach_port_insert_right mach_port_rename: KERN_FAILURE | ipc_entry_alloc_name | {DOCUMENTED}
A name has an index above its low 8 bits; this one has none.
-> Use a name from 0x103 on.

mach_port_mod_refs: KERN_INVALID_VALUE | ipc_right_delta | refs-modify
The change would leave fewer than no references, or it is none this right allows: a receive right
and a port set have one reference, which can only go; a send-once right cannot get more.
-> Ask mach_port_get_refs first.

mach_port_mod_refs: KERN_INVALID_RIGHT | ipc_right_delta | refs-wrong-right
The name has no right of this kind. A send right whose port died is a dead name now.
-> Ask mach_port_type what the name stands for.

mach_port_deallocate: KERN_INVALID_RIGHT | ipc_right_dealloc | deallocate
A receive right is not deallocated: it has no user references.
-> Give it up with mach_port_mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).

mach_port_rename: KERN_NAME_EXISTS | ipc_entry_alloc_name | {DOCUMENTED}
The new name stands for something already.
-> Choose a name that is free.

{_NO_NAME}

{_NO_RECEIVE}

mach_port_set_attributes: KERN_INVALID_VALUE | mach_port_set_attributes | queue-limit-set
A queue holds 1,024 messages at most.
-> Set a limit of up to MACH_PORT_QLIMIT_MAX.

mach_port_insert_member: KERN_ALREADY_IN_SET | ipc_pset_add | pset
The port is a member of this set.
-> Nothing is left to do.

mach_port_extract_member: KERN_NOT_IN_SET | ipc_pset_remove | pset-extract
The port is no member of this set.
-> Nothing is left to do.

{_NO_MEMBER}

mach_port_request_notification: KERN_INVALID_VALUE | mach_port_request_notification | m00043
Port-destroyed takes no sync, which must be 0; and not every msgid is one of a notification to ask
for.
-> Pass 0 as sync, and MACH_NOTIFY_NO_SENDERS, _PORT_DESTROYED, _DEAD_NAME or _SEND_POSSIBLE.

mach_port_request_notification: KERN_INVALID_RIGHT | ipc_port_translate_receive | \
no-senders-no-receive
No-senders and port-destroyed are told to whoever has the receive right.
-> Ask where the port is received.

mach_port_request_notification: KERN_INVALID_ARGUMENT | ipc_right_request_alloc | \
dead-name-notification-already
The name is dead already, and sync is 0: nobody would ever be told.
-> Pass a sync other than 0 to be told at once.

mach_msg: MACH_SEND_INVALID_DEST | ipc_kmsg_copyin_header | dead-name-send
The destination is no right to send: the name is unknown, its port is dead, or the disposition does
not fit the right.
-> Ask mach_port_type what msgh_remote_port stands for.

mach_msg: MACH_SEND_INVALID_REPLY | ipc_right_copyin_check_reply | m00000
The reply port does not allow its disposition: MAKE_SEND and MAKE_SEND_ONCE need the receive right.
-> Put a receive right of this task into msgh_local_port.

mach_msg: MACH_SEND_INVALID_RIGHT | ipc_kmsg_copyin_port_descriptor | carry-invalid
A descriptor names a right the task does not have. Nothing was sent; rights copied in before it are
gone.
-> Check each name with mach_port_type.

mach_msg: MACH_SEND_TIMED_OUT | ipc_mqueue_send | queue-limit
The queue is full, five messages by default, and there was no time to wait. The message came back:
its rights are in the buffer, perhaps under other names, and a COPY_SEND left one reference more.
-> Take the rights out of the buffer before you try again.

mach_msg: MACH_SEND_MSG_TOO_SMALL | ipc_kmsg_get | {DOCUMENTED}
The size is less than a header, no multiple of 4, or too small for the descriptors.
-> Round msgh_size up to a multiple of 4.

mach_msg: MACH_SEND_INVALID_HEADER | ipc_kmsg_copyin_header | {DOCUMENTED}
There is no disposition for the destination in msgh_bits, or a port stands in msgh_local_port
without one.
-> Build msgh_bits with MACH_MSGH_BITS(remote, local).

mach_msg: MACH_SEND_INVALID_TYPE | ipc_kmsg_copyin_body | {DOCUMENTED}
A descriptor is of no known type, its disposition is none, or its copy option is neither
MACH_MSG_PHYSICAL_COPY nor MACH_MSG_VIRTUAL_COPY. The message is gone, the right it was sent to
included.
-> Use PortDescriptor, OolDescriptor and OolPortsDescriptor as they are.

mach_msg: MACH_SEND_INVALID_MEMORY | ipc_kmsg_copyin_ool_descriptor | {DOCUMENTED}
A descriptor's memory, or its array of names, cannot be read: a page is not mapped, or protected.
Nothing was sent; what was copied in before it is gone.
-> Check address and size with mach_vm_region.

mach_msg: MACH_MSG_VM_KERNEL | ipc_kmsg_copyin_body | {DOCUMENTED}
One message may have 7 MB of memory copied physically.
-> Use MACH_MSG_VIRTUAL_COPY, or deallocate what is sent.

mach_msg: MACH_SEND_TOO_LARGE | ipc_kmsg_copyin_body | {DOCUMENTED}
One message carries fewer than 16,383 rights.
-> Send several messages.

mach_msg: MACH_RCV_INVALID_NAME | ipc_mqueue_copyin | receive-no-right
The name is neither a receive right nor a port set. One receives at the port, not at a send right.
-> Receive where the receive right is.

mach_msg: MACH_RCV_TIMED_OUT | ipc_mqueue_receive | receive-empty
No message came in time.
-> Wait longer, or see to it that somebody sends.

mach_msg: MACH_RCV_TOO_LARGE | ipc_mqueue_select_on_thread | rcv-too-large-kept
Message and trailer do not fit. Without MACH_RCV_LARGE the message is gone now.
-> Receive with MACH_RCV_LARGE and a larger buffer.

mach_msg: MACH_RCV_BODY_ERROR | ipc_kmsg_copyout_body | {DOCUMENTED}
The message was received, but not all it carries: the address map has no room for its memory (0x1000
in the code). Descriptors of what is lost have address 0.
-> Give up memory before you receive; the message is in the error.

mach_msg: MACH_RCV_PORT_DIED | ipc_mqueue_receive | {DOCUMENTED}
The port died while the call waited for a message.
-> Look the service up again.

mach_msg: MACH_RCV_PORT_CHANGED | ipc_mqueue_receive | {DOCUMENTED}
The receive right left the task while the call waited for a message.
-> Receive where the right is now.

bootstrap_look_up: BOOTSTRAP_UNKNOWN_SERVICE | job_mig_look_up2 | {DOCUMENTED}
There is no service of that name, as far as launchd knows.
-> Check in first, or load the job whose MachServices name it.

bootstrap_check_in bootstrap_register bootstrap_create_service: \
BOOTSTRAP_SERVICE_ACTIVE | job_mig_check_in2 | {DOCUMENTED}
This task has checked in to the service already.
-> Keep the receive right of the first time.

bootstrap_check_in bootstrap_register bootstrap_create_service: \
BOOTSTRAP_NOT_PRIVILEGED | job_mig_check_in2 | {DOCUMENTED}
The service belongs to another job.
-> Look it up instead.

mach_vm_allocate mach_vm_map: KERN_NO_SPACE | vm_map_locate_space | {PORTED}
No hole of that size is left where it may lie: with VM_FLAGS_FIXED, something is mapped there.
-> Pass VM_FLAGS_ANYWHERE, or deallocate what lies there.

mach_vm_allocate mach_vm_map: KERN_INVALID_ADDRESS | vm_map_locate_space | {PORTED}
The address does not lie in what a task may map.
-> Pass VM_FLAGS_ANYWHERE.

mach_vm_allocate: KERN_INVALID_ARGUMENT | mach_vm_allocate_kernel | {PORTED}
A flag is none a task may pass, or the size wraps around when it is rounded to whole pages.
-> Pass VM_FLAGS_ANYWHERE, and a size that there can be.

mach_vm_deallocate: KERN_INVALID_ARGUMENT | mach_vm_deallocate | {PORTED}
The range wraps around.
-> Pass address and size as they came back.

mach_vm_protect: KERN_INVALID_ARGUMENT | mach_vm_protect | {PORTED}
The range wraps around, or the protection is none.
-> Pass address and size as they came back, and VM_PROT_* bits.

mach_vm_protect mach_vm_region: KERN_INVALID_ADDRESS | vm_map_protect | {DOCUMENTED}
Nothing is mapped there.
-> Ask mach_vm_region what is mapped.

mach_vm_protect: KERN_PROTECTION_FAILURE | vm_map_protect | {DOCUMENTED}
It is more than the maximum of a page there.
-> Ask mach_vm_region for the maximum.

mach_vm_map: KERN_INVALID_ARGUMENT | vm_map_enter_mem_object | {PORTED}
A size of 0, an offset that is no whole page, more than the memory entry covers, a range that wraps
around, or flags, protections or an inheritance that do not exist.
-> Map no more than the size mach_make_memory_entry_64 gave back.

mach_vm_map: KERN_INVALID_RIGHT | vm_map_enter_mem_object | {PORTED}
It asks for more protection than the memory entry has.
-> Ask for what the entry was made with, or make a private copy.

mach_vm_map: KERN_INVALID_OBJECT | vm_map_enter_mem_object | {DOCUMENTED}
The port stands for no memory entry.
-> Pass the name mach_make_memory_entry_64 gave back, or one received for it.

mach_vm_map mach_make_memory_entry_64: MACH_SEND_INVALID_RIGHT | ipc_kmsg_copyin_port_descriptor | \
{DOCUMENTED}
The name that was passed is no send right of this task; the call is a message to the kernel, and
that message is refused.
-> Ask mach_port_type what the name stands for.

mach_make_memory_entry_64: KERN_INVALID_ARGUMENT | mach_make_memory_entry_64 | {PORTED}
The range is empty or wraps around, the parent is a copy, or a flag does not go with this kind of
entry.
-> Pass the address and size of memory that is there.

mach_make_memory_entry_64: KERN_PROTECTION_FAILURE | mach_make_memory_entry_64 | {PORTED}
It asks for more than the memory, or its parent, allows.
-> Ask for less, or add VM_PROT_IS_MASK to get as much of it as there is.

mach_make_memory_entry_64: KERN_FAILURE | mach_make_memory_entry_64 | {PORTED}
New memory of one entry is less than 4 GB.
-> Make several entries.

mach_make_memory_entry_64: KERN_INVALID_ADDRESS | mach_make_memory_entry_64 | {DOCUMENTED}
Nothing is mapped there.
-> Allocate first.

mach_make_memory_entry_64: KERN_INVALID_VALUE | mach_make_memory_entry_64 | {DOCUMENTED}
A MAP_MEM flag is none a task may pass.
-> Pass VM_PROT_* and MAP_MEM_* bits only.
"""
