"""What a kext is linked against: the parts of the kernel, other kexts, and in which order.

Models ``OSKext::resolveDependencies``, ``isCompatibleWithVersion`` (``libkern/c++/OSKext.cpp``) and
the choice among several bundles that IOKitUser's ``OSKext.c`` makes: what is loaded or already
chosen comes first, then the latest version that will do. Documented only.

A library is found if OSBundleCompatibleVersion <= the version asked for <= CFBundleVersion. The
parts of the kernel, ``com.apple.kpi.*``, have the kernel's own version and are compatible down to
8.0.0b1. In doubt: that only identifiers ``com.apple.*`` may name ``com.apple.kpi.private`` (XNU
also compares the copyright line, which is left out).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from kextlab.abi.oskext import kOSKextReturnDependencies
from kextlab.kernel.kext import KextRefusal
from kextlab.kernel.kext_info import KextInfo
from kextlab.kernel.kext_version import parse_version, version_string

OSRELEASE: Final = {"xnu-11417.101.15": "24.4.0", "xnu-7195.141.2": "20.6.0"}
"""``osrelease``: the version of Darwin of each release."""

KERNEL_LIB: Final = "com.apple.kernel"
KPI_LIB_PREFIX: Final = "com.apple.kpi."
KPIS: Final = ("bsd", "dsep", "iokit", "libkern", "mach", "private", "unsupported")
COMPATIBLE_DOWN_TO: Final = "8.0.0b1"
PRIVATE_KPI: Final = "com.apple.kpi.private"


def kernel_components(release: str) -> dict[str, KextInfo]:
    """What the kernel of this release provides, in the order of kextstat: the kernel and its KPIs.

    Raises:
        KeyError: the release is not modelled.
    """
    text = OSRELEASE[release]
    version = parse_version(text)
    oldest = parse_version(COMPATIBLE_DOWN_TO)
    parts = [KextInfo(KERNEL_LIB, text, version, version)]
    parts += [KextInfo(KPI_LIB_PREFIX + name, text, version, oldest) for name in KPIS]
    return {part.identifier: part for part in parts}


def load_order(
    kext: KextInfo, loaded: Mapping[str, KextInfo], bundles: Iterable[KextInfo] = ()
) -> list[KextInfo]:
    """What must be loaded for ``kext``, what it needs first and itself last.

    Args:
        kext: what is asked for.
        loaded: what the kernel has, its own parts included, by identifier.
        bundles: where libraries that are not loaded may be found; of several with one identifier
            the latest that will do is taken.

    Raises:
        KextRefusal: kOSKextReturnDependencies: a library is missing or of a wrong version, the
            libraries form a loop, or one may not be linked against.
    """
    return _Resolver(kext, loaded, bundles).run()


def warnings(order: Iterable[KextInfo], loaded: Mapping[str, KextInfo]) -> list[str]:
    """What does not keep kexts from loading and is seldom meant: no com.apple.kpi.* at all; a kext
    needed for starting the Mac (OSBundleRequired) linked against one that says nothing of it.

    Args:
        order: what is loaded now.
        loaded: what the kernel has, its own parts included, by identifier.
    """
    kexts = list(order)
    known = dict(loaded) | {kext.identifier: kext for kext in kexts}
    said = []
    for kext in kexts:
        if not any(name.startswith(KPI_LIB_PREFIX) for name in kext.libraries):
            said.append(
                f"{kext.identifier} names no {KPI_LIB_PREFIX}* in OSBundleLibraries; on a Mac it "
                "may not link"
            )
        for name in kext.libraries:
            if kext.required and not (known[name].required or name.startswith(KPI_LIB_PREFIX)):
                said.append(
                    f"{kext.identifier} has OSBundleRequired {kext.required!r}, and {name}, which "
                    "it needs, has none: it may be missing while the Mac starts"
                )
    return said


class _Resolver:
    """One walk over the libraries of a kext, deepest first."""

    def __init__(
        self, kext: KextInfo, loaded: Mapping[str, KextInfo], bundles: Iterable[KextInfo]
    ) -> None:
        self.kext = kext
        self.loaded = loaded
        self.bundles: dict[str, list[KextInfo]] = {}
        for bundle in bundles:
            self.bundles.setdefault(bundle.identifier, []).append(bundle)
        self.bundles[kext.identifier] = [kext]  # what is asked for, not another of its name
        self.chosen: dict[str, KextInfo] = {}

    def run(self) -> list[KextInfo]:
        # The loop stack of resolveDependencies, with where each kext is in its own list.
        stack: list[tuple[KextInfo, Iterator[tuple[str, str]]]] = []
        self._enter(self.kext, stack)
        while stack:
            kext, rest = stack[-1]
            wanted = next(rest, None)
            if wanted is None:
                self._may_link(kext)
                self.chosen[kext.identifier] = kext
                stack.pop()
                continue
            library = self._find(kext, *wanted)
            if library.identifier in self.loaded or library.identifier in self.chosen:
                continue
            path = [entry.identifier for entry, _ in stack]
            if library.identifier in path:
                loop = [*path[path.index(library.identifier) :], library.identifier]
                raise _refusal(self.kext, f"its libraries form a loop: {' -> '.join(loop)}")
            self._enter(library, stack)
        return list(self.chosen.values())

    def _enter(
        self, kext: KextInfo, stack: list[tuple[KextInfo, Iterator[tuple[str, str]]]]
    ) -> None:
        stack.append((kext, iter(kext.libraries.items())))

    def _find(self, kext: KextInfo, identifier: str, text: str) -> KextInfo:
        wanted = parse_version(text)
        asked = f"{kext.identifier} is linked against {identifier} {text}"
        if wanted < 0:
            raise _refusal(self.kext, f"{asked}, which is no version")
        there = self.loaded.get(identifier) or self.chosen.get(identifier)
        candidates = [there] if there is not None else self.bundles.get(identifier, [])
        if not candidates:
            raise _refusal(self.kext, f"{asked}, which is not found{_hint(identifier)}")
        fitting = [candidate for candidate in candidates if candidate.works_with(wanted)]
        if not fitting:
            raise _refusal(self.kext, f"{asked}; {_ranges(candidates, identifier in self.loaded)}")
        return max(fitting, key=lambda candidate: candidate.version)

    def _may_link(self, kext: KextInfo) -> None:
        if KERNEL_LIB in kext.libraries:
            raise _refusal(
                self.kext,
                f"{kext.identifier} is linked against {KERNEL_LIB}, which is not permitted; name "
                f"the {KPI_LIB_PREFIX}* it uses",
            )
        if PRIVATE_KPI in kext.libraries and not kext.identifier.startswith("com.apple."):
            raise _refusal(
                self.kext,
                f"{kext.identifier} is linked against {PRIVATE_KPI}, which only kexts of Apple's "
                "may be",
            )


def _refusal(kext: KextInfo, reason: str) -> KextRefusal:
    return KextRefusal(kOSKextReturnDependencies, kext.identifier, [reason])


def _hint(identifier: str) -> str:
    if identifier.startswith(KERNEL_LIB + "."):
        return f" (it was for 32-bit kexts; name the {KPI_LIB_PREFIX}* it uses)"
    if identifier.startswith(KPI_LIB_PREFIX):
        return f" (the kernel provides {', '.join(KPI_LIB_PREFIX + name for name in KPIS)})"
    return ""


def _ranges(candidates: Sequence[KextInfo], loaded: bool) -> str:
    """Which versions of a library there are, and what they work with."""
    what = "loaded is" if loaded else "there is"
    return f"{what} " + ", ".join(
        f"{candidate.version_text}, which works with {version_string(candidate.compatible)} to "
        f"{candidate.version_text}"
        if candidate.compatible > -1
        else f"{candidate.version_text}, which has no OSBundleCompatibleVersion"
        for candidate in candidates
    )
