"""Kexts: what one looks like, loading, unloading.

A kext is a factory: ``mac.load(EchoKext)`` makes a fresh object, gives it its ``kpi`` and calls
``start``. Read beside it: ``libkern/c++/OSKext.cpp`` (``OSKext::start``, ``OSKext::stop``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kextlab.abi.errno import name_of
from kextlab.abi.oskext import name_of_result
from kextlab.kernel.kpi import Kpi


class Kext:
    """Base of simulated kexts; subclass it and override ``start`` and ``stop``.

    Attributes:
        bundle_id: CFBundleIdentifier, one in each kernel.
        version: CFBundleVersion.
        compatible_version: OSBundleCompatibleVersion: from which version on who was built against
            it still works with it; empty if nobody may link against it.
        libraries: OSBundleLibraries: the kexts it is linked against, with versions.
        uuid: what tells its executable from another of the same version; of a bundle only.
        size: bytes of memory it takes, in whole pages.
        kpi: the kernel's functions, there from before ``start`` on.
    """

    bundle_id = ""
    version = "1.0.0"
    compatible_version = ""
    libraries: Mapping[str, str] = MappingProxyType({})
    uuid = ""
    size = 0x4000
    kpi: Kpi

    def __repr__(self) -> str:
        state = getattr(getattr(self, "kpi", None), "state", "not loaded")
        return f"<{' '.join(filter(None, (type(self).__name__, self.bundle_id)))}, {state}>"

    def start(self) -> int | None:
        """The kext was loaded. An errno other than 0 (or ``None``) refuses."""
        return 0

    def stop(self) -> int | None:
        """The kext is to be unloaded. An errno other than 0 (or ``None``) refuses."""
        return 0


class KextError(Exception):
    """A kext could not be loaded or unloaded; says which and why. ``errno`` is what it answered,
    ``None`` if it was not asked."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class KextRefusal(KextError):
    """A kext was refused before any of its code ran.

    Attributes:
        result: what OSKext answers, such as ``kOSKextReturnDependencies``.
        kext: its identifier or its path, whichever is known.
        reasons: every reason, one line each.
    """

    def __init__(self, result: int, kext: str, reasons: Iterable[str]) -> None:
        self.result = result
        self.kext = kext
        self.reasons = tuple(reasons)
        super().__init__(f"{kext}: {'; '.join(self.reasons)} ({name_of_result(result)})")


def refused(kext: str, routine: str, errno: int) -> KextError:
    """The error for a start or stop routine that answered an errno."""
    return KextError(f"{kext}: its {routine} routine returned {name_of(errno)} ({errno})", errno)
