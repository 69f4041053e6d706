"""A message in user space, and what one in the kernel carries.

In user space a message has a header, descriptors, bytes, a trailer. In the kernel
(``ipc_port.Kmsg``) each descriptor has become what it stands for: a right, memory, rights.

Read beside it: ``osfmk/mach/message.h``, ``osfmk/ipc/ipc_kmsg.h``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kextlab.abi.mach import (
    MACH_MSG_SUCCESS,
    MACH_MSG_TYPE_PORT_NONE,
    MACH_PORT_NULL,
)
from kextlab.abi.mach_messages import KERNEL_AUDIT_TOKEN, AuditToken, Descriptor
from kextlab.osfmk.ipc_port import Object
from kextlab.osfmk.traced import plain
from kextlab.osfmk.vm_map_copy import VmMapCopy


@dataclass(slots=True)
class Header:
    """``mach_msg_header_t`` in user space: names, dispositions, and the size in bytes."""

    remote: int = MACH_PORT_NULL
    remote_type: int = MACH_MSG_TYPE_PORT_NONE
    local: int = MACH_PORT_NULL
    local_type: int = MACH_MSG_TYPE_PORT_NONE
    id: int = 0
    complex: bool = False
    size: int = 0


@dataclass(slots=True)
class Message:
    """A message in user space."""

    header: Header
    body: bytes = b""
    """What follows header and descriptors."""
    descriptors: list[Descriptor] = field(default_factory=list)
    refused: int = MACH_MSG_SUCCESS
    """What is wrong behind the last descriptor: MACH_SEND_MSG_TOO_SMALL, MACH_SEND_INVALID_TYPE."""
    trailer_size: int = 0
    seqno: int | None = None
    audit: AuditToken = KERNEL_AUDIT_TOKEN
    """Who sent it; told to whoever asked for that trailer."""
    notification: bool = False


@dataclass(slots=True)
class PortRight:
    """A port descriptor in the kernel: one right."""

    rights: list[Object]
    disposition: int

    def state(self) -> tuple[object, ...]:
        """ "port", disposition, port."""
        return ("port", self.disposition, plain(self.rights[0]))

    def free(self) -> None:
        """There is no memory."""


@dataclass(slots=True)
class OolPorts:
    """An out-of-line ports descriptor in the kernel: rights without names, and no memory."""

    rights: list[Object]
    disposition: int

    def state(self) -> tuple[object, ...]:
        """ "ports", disposition, the ports."""
        return ("ports", self.disposition, plain(self.rights))

    def free(self) -> None:
        """There is no memory."""


@dataclass(slots=True)
class OolMemory:
    """An out-of-line memory descriptor in the kernel. ``memory`` is ``None`` if it has no bytes."""

    type: int
    size: int
    copy: int
    memory: VmMapCopy | None
    rights: list[Object] = field(default_factory=list)
    """None, ever."""
    disposition: int = MACH_MSG_TYPE_PORT_NONE

    def state(self) -> tuple[object, ...]:
        """ "memory", bytes, copy option, the name of the vm_map_copy or ""."""
        name = self.memory.name if self.memory is not None else ""
        return ("memory", self.size, self.copy, name)

    def free(self) -> None:
        """Its pages go."""
        if self.memory is not None:
            self.memory.discard()
