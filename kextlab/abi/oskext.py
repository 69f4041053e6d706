"""What the kernel and its tools answer about kexts: the results of OSKext, and how tools exit.

Facts of ``libkern/libkern/OSKextLib.h`` and of kext_tools' ``kextload_main.h``; no behaviour.
"""

from __future__ import annotations

from typing import Final

_LIBKERN_KEXT: Final = 0x37 << 26 | 2 << 14
"""``sys_libkern | sub_libkern_kext``, in front of each code."""


def libkern_kext_err(code: int) -> int:
    """The result with this code: ``libkern_kext_err(0x18)`` is 0xdc008018."""
    return _LIBKERN_KEXT | code


kOSReturnSuccess: Final = 0
kOSKextReturnNotPrivileged: Final = libkern_kext_err(0x4)
kOSKextReturnInvalidArgument: Final = libkern_kext_err(0x5)
kOSKextReturnNotFound: Final = libkern_kext_err(0x6)
kOSKextReturnNotAKext: Final = libkern_kext_err(0xB)
kOSKextReturnValidation: Final = libkern_kext_err(0xC)
kOSKextReturnAuthentication: Final = libkern_kext_err(0xD)
kOSKextReturnDependencies: Final = libkern_kext_err(0xE)
kOSKextReturnLoadedVersionDiffers: Final = libkern_kext_err(0x14)
kOSKextReturnLinkError: Final = libkern_kext_err(0x16)
kOSKextReturnStartStopError: Final = libkern_kext_err(0x17)
kOSKextReturnInUse: Final = libkern_kext_err(0x18)

_WORDS: Final = {
    kOSKextReturnNotPrivileged: ("NotPrivileged", "not privileged"),
    kOSKextReturnInvalidArgument: ("InvalidArgument", "invalid argument"),
    kOSKextReturnNotFound: ("NotFound", "not found"),
    kOSKextReturnNotAKext: ("NotAKext", "not a kext"),
    kOSKextReturnValidation: ("Validation", "validation failure (plist/executable)"),
    kOSKextReturnAuthentication: (
        "Authentication",
        "authentication failure (file ownership/permissions)",
    ),
    kOSKextReturnDependencies: ("Dependencies", "dependency resolution failure"),
    kOSKextReturnLoadedVersionDiffers: (
        "LoadedVersionDiffers",
        "a different version or executable is loaded",
    ),
    kOSKextReturnLinkError: ("LinkError", "link error"),
    kOSKextReturnStartStopError: ("StartStopError", "kext (kmod) start/stop routine failed"),
    kOSKextReturnInUse: ("InUse", "kext is in use or retained (cannot unload)"),
}

EX_OK: Final = 0
EX_OSERR: Final = 71
"""kextload and kextunload on a Mac: the answer is no."""
EX_NOPERM: Final = 77
"""kextload on a Mac: not root."""


def name_of_result(result: int) -> str:
    """The name of a result, ``kOSKextReturnInUse``; KeyError if it is none of those above."""
    return f"kOSKextReturn{_WORDS[result][0]}"


def words_for_result(result: int) -> str:
    """What the tools say of a result: ``(libkern/kext) not found``; KeyError as above."""
    return f"(libkern/kext) {_WORDS[result][1]}"


def exit_status(result: int) -> int:
    """How kextload exits on a result (``exitStatusForOSReturn``)."""
    if result == kOSReturnSuccess:
        return EX_OK
    return EX_NOPERM if result == kOSKextReturnNotPrivileged else EX_OSERR
