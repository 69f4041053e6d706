"""The loaded kexts as kextstat lists them: load tags, references, addresses.

Models what ``libkern/c++/OSKext.cpp`` keeps of them (``sLoadedKexts``, ``loadTag``,
``OSKext::registerIdentifier``, ``OSKext::unload``): a kext is linked against kexts that are loaded,
and while another is linked against it it stays. Documented only.

Made up, but the same every time: addresses, one kext after the other from ``FIRST_ADDRESS``, never
used again until the machine restarts. A Mac's are random. None of this is in the trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kextlab.abi.oskext import (
    kOSKextReturnInUse,
    kOSKextReturnLoadedVersionDiffers,
    kOSKextReturnValidation,
)
from kextlab.kernel.kext import KextRefusal
from kextlab.kernel.kext_info import KextInfo
from kextlab.kernel.kext_libraries import kernel_components, load_order
from kextlab.kernel.kext_version import ALLOWED

PAGE: Final = 0x1000
FIRST_ADDRESS: Final = 0xFFFF_FF7F_80A0_0000
"""Where XNU for x86_64 begins to put kexts, give or take what is chosen at random."""


@dataclass(frozen=True, slots=True)
class KextStat:
    """A loaded kext, as a line of kextstat says it.

    Attributes:
        index: its load tag: the how-manieth kext this boot loaded; the kernel's parts first.
        refs: how many loaded kexts are linked against it.
        address: where it lies; 0 for a part of the kernel.
        size: bytes of memory it takes.
        identifier: CFBundleIdentifier.
        version: CFBundleVersion, as it is written.
        linked_against: load tags, highest first.
    """

    index: int
    refs: int
    address: int
    size: int
    identifier: str
    version: str
    linked_against: tuple[int, ...]


@dataclass(slots=True)
class _Loaded:
    info: KextInfo
    tag: int
    address: int
    linked: tuple[str, ...]


class LoadedKexts:
    """``sLoadedKexts`` of one boot.

    Attributes:
        next_tag: the load tag of the next kext.
        next_address: where it will lie.
    """

    __slots__ = ("_kexts", "next_address", "next_tag")

    def __init__(self, release: str) -> None:
        parts = kernel_components(release)  # the kernel itself comes first, with load tag 0
        self._kexts = {
            name: _Loaded(part, tag, 0, ()) for tag, (name, part) in enumerate(parts.items())
        }
        self.next_tag = len(parts)
        self.next_address = FIRST_ADDRESS

    def infos(self) -> dict[str, KextInfo]:
        """What is loaded, the parts of the kernel included, by identifier."""
        return {name: kext.info for name, kext in self._kexts.items()}

    def check(self, info: KextInfo) -> bool:
        """Whether ``info`` may be loaded now; False if just this kext already is.

        Raises:
            KextRefusal: it has no version, another of its name is loaded, or what it is linked
                against is not there.
        """
        if info.version < 0:
            reason = f"CFBundleVersion is {info.version_text!r}; {ALLOWED}"
            raise KextRefusal(kOSKextReturnValidation, info.identifier, [reason])
        there = self._kexts.get(info.identifier)
        if there is not None:
            if there.address and (there.info.version, there.info.uuid) == (info.version, info.uuid):
                return False
            what = "another executable of" if there.info.version == info.version else "version"
            raise KextRefusal(
                kOSKextReturnLoadedVersionDiffers,
                info.identifier,
                [f"{what} {there.info.version_text} is loaded already; unload it first"],
            )
        load_order(info, self.infos())
        return True

    def add(self, info: KextInfo) -> None:
        """Load a kext that ``check`` let through."""
        size = -(-info.size // PAGE) * PAGE
        self._kexts[info.identifier] = _Loaded(
            info, self.next_tag, self.next_address, tuple(info.libraries)
        )
        self.next_tag += 1
        self.next_address += size

    def users(self, identifier: str) -> list[str]:
        """The loaded kexts that are linked against one, in the order of loading."""
        return [name for name, kext in self._kexts.items() if identifier in kext.linked]

    def may_unload(self, identifier: str) -> None:
        """Raises KextRefusal, kOSKextReturnInUse, if another kext is linked against this one."""
        users = self.users(identifier)
        if users:
            reason = f"{', '.join(users)} {'is' if len(users) == 1 else 'are'} linked against it"
            raise KextRefusal(kOSKextReturnInUse, identifier, [reason])

    def remove(self, identifier: str) -> None:
        """Take a kext out of the list."""
        del self._kexts[identifier]

    def rows(self) -> list[KextStat]:
        """The lines of kextstat, by load tag; the kernel itself (0) is not listed."""
        tags = {name: kext.tag for name, kext in self._kexts.items()}
        return [
            KextStat(
                kext.tag,
                len(self.users(name)),
                kext.address,
                -(-kext.info.size // PAGE) * PAGE,
                name,
                kext.info.version_text,
                tuple(sorted((tags[library] for library in kext.linked), reverse=True)),
            )
            for name, kext in self._kexts.items()
            if kext.tag
        ]


def kextstat_lines(
    rows: Iterable[KextStat],
    *,
    header: bool = True,
    kernel: bool = True,
    identifier: str | None = None,
) -> list[str]:
    """kextstat's table.

    Args:
        rows: what is loaded.
        header: whether its first line is the heading (kextstat -l leaves it out).
        kernel: whether to list parts of the kernel (kextstat -k leaves them out).
        identifier: list only this one (kextstat -b).
    """
    rows = list(rows)
    parts = {row.index for row in rows if not row.address}
    lines = []
    if header:
        lines.append(
            "Index Refs Address            Size       Wired      Name (Version) <Linked Against>"
        )
    for row in rows:
        if identifier is not None and row.identifier != identifier:
            continue
        if identifier is None and not kernel and not row.address:
            continue
        address, size = (hex(row.address), hex(row.size)) if row.address else ("0", "0")
        line = f"{row.index:5} {row.refs:4} {address:<18} {size:<10} {size:<10} "
        line += f"{row.identifier} ({row.version})"
        linked = [str(tag) for tag in row.linked_against if kernel or tag not in parts]
        lines.append(line + (f" <{' '.join(linked)}>" if linked else ""))
    return lines
