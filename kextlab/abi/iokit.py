"""IOKit's numbers: return codes with their names, options, sizes, the layout of a data queue.

Every value is a plain int, as a C program sees it. ``io_return_name`` gives a code its name,
``IOKitError`` is what a call raises in Python that answers one.

Read beside it: ``iokit/IOKit/IOReturn.h``, ``IOTypes.h``, ``IOUserClient.h``,
``IODataQueueShared.h``, and ``osfmk/device/device_types.h``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from kextlab.abi.mach import mach_error_name

# --- IOReturn: iokit/IOKit/IOReturn.h ---------------------------------------------------------
kIOReturnSuccess: Final = 0
kIOReturnError: Final = 0xE00002BC
kIOReturnNoMemory: Final = 0xE00002BD
kIOReturnNoResources: Final = 0xE00002BE
kIOReturnIPCError: Final = 0xE00002BF
kIOReturnNoDevice: Final = 0xE00002C0
kIOReturnNotPrivileged: Final = 0xE00002C1
kIOReturnBadArgument: Final = 0xE00002C2
kIOReturnLockedRead: Final = 0xE00002C3
kIOReturnLockedWrite: Final = 0xE00002C4
kIOReturnExclusiveAccess: Final = 0xE00002C5
kIOReturnBadMessageID: Final = 0xE00002C6
kIOReturnUnsupported: Final = 0xE00002C7
kIOReturnVMError: Final = 0xE00002C8
kIOReturnInternalError: Final = 0xE00002C9
kIOReturnIOError: Final = 0xE00002CA
kIOReturnCannotLock: Final = 0xE00002CC
kIOReturnNotOpen: Final = 0xE00002CD
kIOReturnNotReadable: Final = 0xE00002CE
kIOReturnNotWritable: Final = 0xE00002CF
kIOReturnNotAligned: Final = 0xE00002D0
kIOReturnBadMedia: Final = 0xE00002D1
kIOReturnStillOpen: Final = 0xE00002D2
kIOReturnRLDError: Final = 0xE00002D3
kIOReturnDMAError: Final = 0xE00002D4
kIOReturnBusy: Final = 0xE00002D5
kIOReturnTimeout: Final = 0xE00002D6
kIOReturnOffline: Final = 0xE00002D7
kIOReturnNotReady: Final = 0xE00002D8
kIOReturnNotAttached: Final = 0xE00002D9
kIOReturnNoChannels: Final = 0xE00002DA
kIOReturnNoSpace: Final = 0xE00002DB
kIOReturnPortExists: Final = 0xE00002DD
kIOReturnCannotWire: Final = 0xE00002DE
kIOReturnNoInterrupt: Final = 0xE00002DF
kIOReturnNoFrames: Final = 0xE00002E0
kIOReturnMessageTooLarge: Final = 0xE00002E1
kIOReturnNotPermitted: Final = 0xE00002E2
kIOReturnNoPower: Final = 0xE00002E3
kIOReturnNoMedia: Final = 0xE00002E4
kIOReturnUnformattedMedia: Final = 0xE00002E5
kIOReturnUnsupportedMode: Final = 0xE00002E6
kIOReturnUnderrun: Final = 0xE00002E7
kIOReturnOverrun: Final = 0xE00002E8
kIOReturnDeviceError: Final = 0xE00002E9
kIOReturnNoCompletion: Final = 0xE00002EA
kIOReturnAborted: Final = 0xE00002EB
kIOReturnNoBandwidth: Final = 0xE00002EC
kIOReturnNotResponding: Final = 0xE00002ED
kIOReturnIsoTooOld: Final = 0xE00002EE
kIOReturnIsoTooNew: Final = 0xE00002EF
kIOReturnNotFound: Final = 0xE00002F0
kIOReturnInvalid: Final = 0xE0000001

# --- What MIG's stubs answer: osfmk/mach/mig_errors.h -----------------------------------------
MIG_ARRAY_TOO_LARGE: Final = -307  # more items than the call's array holds

# --- Limits of a call: osfmk/device/device_types.h --------------------------------------------
SCALARS_MAX: Final = 16  # io_scalar_inband64_t
STRUCT_INBAND_MAX: Final = 4096  # io_struct_inband_t; what is longer goes out of line
ASYNC_REF64_COUNT: Final = 8

kIOUCVariableStructureSize: Final = 0xFFFFFFFF  # any size will do
IO_OBJECT_NULL: Final = 0
kIOMainPortDefault: Final = 0

# --- Mapping: iokit/IOKit/IOTypes.h -----------------------------------------------------------
kIOMapAnywhere: Final = 0x1
kIOMapUserOptionsMask: Final = 0xFFF  # what a process may ask for; the rest is the driver's
kIOMapReadOnly: Final = 0x1000
kIODefaultMemoryType: Final = 0

# --- Privileges: iokit/IOKit/IOUserClient.h ---------------------------------------------------
kIOClientPrivilegeAdministrator: Final = "root"
kIOClientPrivilegeLocalUser: Final = "local"
kIOClientPrivilegeForeground: Final = "foreground"
kIOClientPrivilegeConsoleUser: Final = "console"

# --- Data queues, bytes: iokit/IOKit/IODataQueueShared.h --------------------------------------
DATA_QUEUE_MEMORY_HEADER_SIZE: Final = 12  # u32 queueSize, head, tail
DATA_QUEUE_ENTRY_HEADER_SIZE: Final = 4  # u32 size, then the data
DATA_QUEUE_MEMORY_APPENDIX_SIZE: Final = 36  # u32 version and a message header of the kernel
OFFSET_QUEUE_SIZE: Final = 0
OFFSET_HEAD: Final = 4
OFFSET_TAIL: Final = 8
UINT32_MAX: Final = 0xFFFFFFFF

CODES: Final = MappingProxyType(
    {
        value: name
        for name, value in globals().items()
        if name.startswith("kIOReturn") and isinstance(value, int)
    }
)
"""IOReturn codes by number."""


def io_return_name(code: int) -> str:
    """The name of a code: an IOReturn, signed or not, what MIG answers, or one of Mach's. A code
    without a name comes back as a number in hexadecimal."""
    if code == MIG_ARRAY_TOO_LARGE:
        return "MIG_ARRAY_TOO_LARGE"
    unsigned = code & UINT32_MAX
    return CODES[unsigned] if unsigned in CODES else mach_error_name(unsigned)


class IOKitError(Exception):
    """A call that C would answer with a code other than 0.

    Attributes:
        code: the number, unsigned.
        name: its name.
        call: the function that answered it.
    """

    def __init__(self, call: str, code: int) -> None:
        self.call = call
        self.code = code
        self.name = io_return_name(code)
        super().__init__(f"{call}: {self.name} ({code & 0xFFFFFFFF:#x})")

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return type(self), (self.call, self.code)
