"""The Info.plist of a kext: which keys it must have, of which types, with which values.

Takes the dictionary a property list holds and reads no file. Read beside it: IOKitUser's
``kext.subproj/OSKext.c`` (``__OSKextProcessInfoDictionary``, ``__OSKextValidate``) and
``libkern/c++/OSKext.cpp`` (``OSKext::setInfoDictionaryAndPath``). Every complaint is found, not
only the first. Documented only.

Left out: the personalities by which IOKit finds drivers (only their type is looked at), driver
extensions (DEXT), keys for one processor (``OSBundleLibraries_arm64``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kextlab.abi.oskext import kOSKextReturnValidation
from kextlab.kernel.kext import KextRefusal
from kextlab.kernel.kext_version import ALLOWED, parse_version

MAX_LENGTH: Final = 63
"""Characters of an identifier and of a version: ``KMOD_MAX_NAME`` less the end of the string."""

REQUIRED_AT: Final = ("Root", "Local-Root", "Network-Root", "Console", "Safe Boot")
"""What OSBundleRequired may say: for which kind of start the kext is needed."""

TEXT_KEYS: Final = (
    "CFBundleDevelopmentRegion",
    "CFBundleExecutable",
    "CFBundleGetInfoString",
    "CFBundleInfoDictionaryVersion",
    "CFBundleName",
    "CFBundleShortVersionString",
    "CFBundleSignature",
    "NSHumanReadableCopyright",
    "OSBundleCompatibleVersion",
    "OSBundleRequired",
)
"""Keys that need not be there, and are strings if they are."""

BOOLEAN_KEYS: Final = ("OSBundleAllowUserLoad", "OSBundleIsInterface", "OSKernelResource")

NOT_MODELLED: Final = ("CFBundleSharedExecutableIdentifier", "OSBundleSharedExecutableIdentifier")

STRINGS_KEYS: Final = (
    "CFBundleName",
    "CFBundleShortVersionString",
    "CFBundleGetInfoString",
    "NSHumanReadableCopyright",
)
"""What an InfoPlist.strings translates."""


@dataclass(frozen=True, slots=True)
class KextInfo:
    """What the kernel needs of an Info.plist.

    Attributes:
        identifier: CFBundleIdentifier.
        version_text: CFBundleVersion as it is written.
        version: the same as a number (``parse_version``).
        compatible: OSBundleCompatibleVersion as a number; -1 if nobody may link against it.
        libraries: OSBundleLibraries, identifier to version, in order.
        executable: CFBundleExecutable; empty for a kext without code.
        required: OSBundleRequired, or empty.
        allow_user_load: OSBundleAllowUserLoad: others than root may ask for it.
        uuid: what tells this executable from another of the same version; empty if not known.
        size: bytes of memory the loaded kext takes.
    """

    identifier: str
    version_text: str
    version: int
    compatible: int = -1
    libraries: Mapping[str, str] = field(default_factory=dict)
    executable: str = ""
    required: str = ""
    allow_user_load: bool = False
    uuid: str = ""
    size: int = 0

    def works_with(self, version: int) -> bool:
        """``isCompatibleWithVersion``: whether who was built against ``version`` may link."""
        return -1 < self.compatible <= version <= self.version


def not_authentic(uid: int, gid: int, mode: int, me: int | None = None) -> str:
    """Why the kernel may not trust a file of a bundle, or an empty text
    (``__OSKextAuthenticateURLRecursively``): others than root could have written it.

    Args:
        uid: its owner.
        gid: its group.
        mode: its permissions, as ``stat`` has them.
        me: the owner that also counts as root, as a student has no sudo; then the group is not
            compared, only that it may not write.
    """
    allowed = uid == 0 and gid == 0 if me is None else uid in (0, me)
    if allowed and not mode & 0o022:
        return ""
    who = "0:0 (root:wheel)" if me is None else f"owner {me} (you) or 0 (root)"
    return (
        f"is of {uid}:{gid}, mode {mode & 0o7777:04o}; expected {who}, and that neither group nor "
        "others may write it"
    )


def shown(value: object) -> str:
    """A value as a complaint shows it, on one line and not too long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def info_from(properties: object) -> KextInfo:
    """Read an Info.plist.

    Raises:
        KextRefusal: kOSKextReturnValidation, with every complaint, each naming its key.
        NotImplementedError: it shares the executable of another kext.
    """
    if not isinstance(properties, Mapping):
        seen = [f"is {shown(properties)}, expected a dictionary"]
        raise KextRefusal(kOSKextReturnValidation, "Info.plist", seen)
    for key in NOT_MODELLED:
        if key in properties:
            raise NotImplementedError(f"{key}: sharing an executable is not modelled")
    complaints = list(_complaints(properties))
    if complaints:
        who = properties.get("CFBundleIdentifier")
        name = who if isinstance(who, str) and who.isprintable() and who else "Info.plist"
        raise KextRefusal(kOSKextReturnValidation, name[:MAX_LENGTH], complaints)
    version = properties["CFBundleVersion"]
    compatible = properties.get("OSBundleCompatibleVersion")
    return KextInfo(
        properties["CFBundleIdentifier"],
        version,
        parse_version(version),
        -1 if compatible is None else parse_version(compatible),
        dict(properties.get("OSBundleLibraries", {})),
        properties.get("CFBundleExecutable", ""),
        properties.get("OSBundleRequired", ""),
        properties.get("OSBundleAllowUserLoad", False),
    )


def _complaints(properties: Mapping[str, object]) -> Iterator[str]:
    yield from _identity(properties)
    for key in TEXT_KEYS:
        value = properties.get(key, "")
        if not isinstance(value, str):
            yield f"{key} is {shown(value)}, expected a string"
    for key in BOOLEAN_KEYS:
        value = properties.get(key, False)
        if not isinstance(value, bool):
            yield f"{key} is {shown(value)}, expected true or false"
        elif value and key != "OSBundleAllowUserLoad":
            yield f"{key} is true, which only parts of the kernel itself may say"
    yield from _values(properties)
    yield from _libraries(properties)


def _identity(properties: Mapping[str, object]) -> Iterator[str]:
    for key in ("CFBundleIdentifier", "CFBundleVersion", "CFBundlePackageType"):
        value = properties.get(key)
        if value is None:
            yield f"{key} is missing"
        elif not isinstance(value, str):
            yield f"{key} is {shown(value)}, expected a string"
        elif not value or len(value) > MAX_LENGTH or not value.isprintable():
            yield f"{key} is {shown(value)}, expected 1 to {MAX_LENGTH} printable characters"
        elif key == "CFBundleVersion" and parse_version(value) < 0:
            yield f"{key} is {shown(value)}; {ALLOWED}"
        elif key == "CFBundlePackageType" and value != "KEXT":
            yield f"{key} is {shown(value)}, expected 'KEXT'"


def _values(properties: Mapping[str, object]) -> Iterator[str]:
    executable = properties.get("CFBundleExecutable")
    if isinstance(executable, str) and (
        executable in ("", ".", "..") or not executable.isprintable() or set("/\\:") & {*executable}
    ):
        yield f"CFBundleExecutable is {shown(executable)}, expected the name of a file in MacOS"
    required = properties.get("OSBundleRequired")
    if isinstance(required, str) and required not in REQUIRED_AT:
        yield f"OSBundleRequired is {shown(required)}, expected one of {', '.join(REQUIRED_AT)}"
    compatible = properties.get("OSBundleCompatibleVersion")
    version = properties.get("CFBundleVersion")
    if isinstance(compatible, str):
        number = parse_version(compatible)
        if number < 0:
            yield f"OSBundleCompatibleVersion is {shown(compatible)}; {ALLOWED}"
        elif isinstance(version, str) and 0 < parse_version(version) < number:
            yield (
                f"OSBundleCompatibleVersion is {compatible}, later than CFBundleVersion {version}"
            )
    personalities = properties.get("IOKitPersonalities", {})
    if not isinstance(personalities, Mapping):
        yield f"IOKitPersonalities is {shown(personalities)}, expected a dictionary"


def _libraries(properties: Mapping[str, object]) -> Iterator[str]:
    libraries = properties.get("OSBundleLibraries")
    if libraries is None or libraries == {}:
        if "CFBundleExecutable" in properties:
            yield "OSBundleLibraries is missing: what the executable is linked against"
    elif not isinstance(libraries, Mapping):
        yield f"OSBundleLibraries is {shown(libraries)}, expected a dictionary"
    else:
        for name, version in libraries.items():
            if not isinstance(version, str) or parse_version(version) < 0:
                yield f"OSBundleLibraries: {shown(name)} is {shown(version)}; {ALLOWED}"
