"""Where the fields of Mach's and IOKit's structures lie, as a 64-bit program sees them.

Tables only: the parts of a message (``mach_msg_header_t``, ``mach_msg_body_t``, the descriptors by
type, ``mach_msg_audit_trailer_t``, which begins as the shorter trailers do), the status of a port,
and the head of a data queue. The type of a descriptor is its twelfth byte, whatever the type.

Read beside it: ``osfmk/mach/message.h``, ``osfmk/mach/port.h``,
``iokit/IOKit/IODataQueueShared.h``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from kextlab.abi.mach import (
    MACH_MSG_OOL_DESCRIPTOR,
    MACH_MSG_OOL_PORTS_DESCRIPTOR,
    MACH_MSG_OOL_VOLATILE_DESCRIPTOR,
    MACH_MSG_PORT_DESCRIPTOR,
)
from kextlab.abi.structs import Field, layout

Layout = tuple[Field, ...]

MACH_MSG_HEADER: Final[Layout] = layout(
    ("msgh_bits", "u_int32_t", 1),
    ("msgh_size", "u_int32_t", 1),
    ("msgh_remote_port", "u_int32_t", 1),
    ("msgh_local_port", "u_int32_t", 1),
    ("msgh_voucher_port", "u_int32_t", 1),
    ("msgh_id", "int32_t", 1),
)
MACH_MSG_BODY: Final[Layout] = layout(("msgh_descriptor_count", "u_int32_t", 1))

_PORT: Final[Layout] = layout(
    ("name", "u_int32_t", 1),
    ("pad1", "u_int32_t", 1),
    ("pad2", "u_int16_t", 1),
    ("disposition", "u_char", 1),
    ("type", "u_char", 1),
)
_OUT_OF_LINE: Final[Layout] = layout(
    ("address", "u_int64_t", 1),
    ("deallocate", "u_char", 1),
    ("copy", "u_char", 1),
    ("pad1", "u_char", 1),
    ("type", "u_char", 1),
    ("size", "u_int32_t", 1),
)
_OUT_OF_LINE_PORTS: Final[Layout] = layout(
    ("address", "u_int64_t", 1),
    ("deallocate", "u_char", 1),
    ("copy", "u_char", 1),
    ("disposition", "u_char", 1),
    ("type", "u_char", 1),
    ("count", "u_int32_t", 1),
)
DESCRIPTORS: Final = MappingProxyType(
    {
        MACH_MSG_PORT_DESCRIPTOR: _PORT,
        MACH_MSG_OOL_DESCRIPTOR: _OUT_OF_LINE,
        MACH_MSG_OOL_PORTS_DESCRIPTOR: _OUT_OF_LINE_PORTS,
        MACH_MSG_OOL_VOLATILE_DESCRIPTOR: _OUT_OF_LINE,
    }
)
"""The fields of a descriptor by its type."""
DESCRIPTOR_TYPE_AT: Final = 11
"""Where in a descriptor its type stands, bytes."""

MACH_MSG_TRAILER: Final[Layout] = layout(
    ("msgh_trailer_type", "u_int32_t", 1),
    ("msgh_trailer_size", "u_int32_t", 1),
    ("msgh_seqno", "u_int32_t", 1),
    ("sender uid", "u_int32_t", 1),
    ("sender gid", "u_int32_t", 1),
    ("audit uid", "u_int32_t", 1),
    ("effective uid", "u_int32_t", 1),
    ("effective gid", "u_int32_t", 1),
    ("real uid", "u_int32_t", 1),
    ("real gid", "u_int32_t", 1),
    ("pid", "u_int32_t", 1),
    ("audit session", "u_int32_t", 1),
    ("pid version", "u_int32_t", 1),
)
"""``sender uid`` and ``gid`` are ``msgh_sender``, a security token; from ``audit uid`` on it is
``msgh_audit``."""

MACH_PORT_STATUS: Final[Layout] = layout(
    ("mps_pset", "u_int32_t", 1),
    ("mps_seqno", "u_int32_t", 1),
    ("mps_mscount", "u_int32_t", 1),
    ("mps_qlimit", "u_int32_t", 1),
    ("mps_msgcount", "u_int32_t", 1),
    ("mps_sorights", "u_int32_t", 1),
    ("mps_srights", "u_int32_t", 1),
    ("mps_pdrequest", "u_int32_t", 1),
    ("mps_nsrequest", "u_int32_t", 1),
    ("mps_flags", "u_int32_t", 1),
)
DATA_QUEUE_HEAD: Final[Layout] = layout(
    ("queueSize", "u_int32_t", 1), ("head", "u_int32_t", 1), ("tail", "u_int32_t", 1)
)
