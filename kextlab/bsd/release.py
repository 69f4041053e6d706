"""The releases of XNU the simulator answers for, and all that differs between them.

Each difference is one field; the code asks the field, never the version. Sources: the recordings
of both releases (``docs/fidelity.md``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One release of XNU.

    Attributes:
        name: XNU's tag.
        macos: the macOS it shipped in.
        setup_first: a setup callback is asked before anything else about a unit, and then nothing
            checks whether the unit is taken. Otherwise it is asked only for unit 0 of a dynamic
            control.
        dgram_control_counts_bytes: a datagram control socket counts bytes only against its
            buffers. Otherwise also mbuf memory, up to 8 times the buffer's size.
        list_send_checks: a list send without any send callback is ENOTSUP. Otherwise it calls a
            null pointer.
    """

    name: str
    macos: str
    setup_first: bool
    dgram_control_counts_bytes: bool
    list_send_checks: bool


RELEASES = {
    release.name: release
    for release in (
        Release("xnu-11417.101.15", "macOS 15", True, True, False),
        Release("xnu-7195.141.2", "macOS 11", False, False, True),
    )
}
DEFAULT_RELEASE = "xnu-11417.101.15"


def release_named(name: str) -> Release:
    """The release of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    try:
        return RELEASES[name]
    except KeyError:
        raise ValueError(
            f"release {name!r} is not modelled; choose one of {', '.join(RELEASES)}"
        ) from None
