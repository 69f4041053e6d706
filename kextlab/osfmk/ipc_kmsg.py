"""A message in user space: a header, port descriptors, bytes, a trailer.

Read beside it: ``osfmk/mach/message.h``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kextlab.abi.mach import MACH_MSG_TYPE_PORT_NONE, MACH_PORT_NULL
from kextlab.abi.mach_messages import KERNEL_AUDIT_TOKEN, AuditToken


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
    descriptors: list[tuple[int, int]] = field(default_factory=list)
    """Port descriptors: name and disposition."""
    trailer_size: int = 0
    seqno: int | None = None
    audit: AuditToken = KERNEL_AUDIT_TOKEN
    """Who sent it; told to whoever asked for that trailer."""
    notification: bool = False
