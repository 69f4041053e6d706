"""A kext as a folder, ``X.kext``: reading, checking and writing it, and the kext that is in it.

    X.kext/Contents/Info.plist                          a property list, XML or binary
    X.kext/Contents/MacOS/X                             the executable: here, Python
    X.kext/Contents/Resources/English.lproj/InfoPlist.strings

The executable is a Python file that defines one class of kext, as ``kextlab/kexts/echo.py`` does.
A ``Bundle`` is a factory of kexts, so ``mac.load(Bundle.read("X.kext"))`` loads it: its code runs
anew, and what its Info.plist says of identifier, version and libraries holds. Read beside it:
IOKitUser's ``kext.subproj/OSKext.c``, and ``kextlab.kernel.kext_info`` for the rules.
"""

from __future__ import annotations

import hashlib
import os
import plistlib
import stat
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from kextlab.abi.oskext import (
    kOSKextReturnAuthentication,
    kOSKextReturnLinkError,
    kOSKextReturnNotAKext,
    kOSKextReturnNotFound,
    kOSKextReturnValidation,
)
from kextlab.kernel.kext import Kext, KextRefusal
from kextlab.kernel.kext_info import STRINGS_KEYS, KextInfo, info_from, not_authentic
from kextlab.kexts.strings import read_strings, write_strings

MAX_FILE: Final = 16 << 20
"""Bytes of a file that are read at most; no kext in Python comes near."""

PAGE: Final = 0x1000


@dataclass(frozen=True)
class Bundle:
    """A kext bundle that was read and found right.

    Attributes:
        path: its folder.
        properties: its Info.plist.
        info: what the kernel needs of that.
        source: the executable, Python; empty if the bundle has none.
        strings: the InfoPlist.strings of each language, by the folder's name without ``.lproj``.
    """

    path: Path
    properties: Mapping[str, Any]
    info: KextInfo
    source: bytes = b""
    strings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read a bundle and check all of it.

        Raises:
            KextRefusal: it is not there, not a kext, or something in it is wrong; every reason
                names file and key.
            NotImplementedError: it shares the executable of another kext.
        """
        folder = Path(path)
        if not folder.is_dir():
            what = "is a file, expected a folder" if folder.exists() else "is not there"
            raise KextRefusal(kOSKextReturnNotFound, str(folder), [f"the bundle {what}"])
        if folder.resolve().suffix != ".kext":
            reason = "the folder's name does not end in .kext"
            raise KextRefusal(kOSKextReturnNotAKext, str(folder), [reason])
        contents = folder / "Contents"
        properties = _property_list(folder, contents / "Info.plist")
        try:
            info = info_from(properties)
        except KextRefusal as refusal:
            reasons = [f"Contents/Info.plist: {reason}" for reason in refusal.reasons]
            raise KextRefusal(refusal.result, str(folder), reasons) from None
        source = b""
        if info.executable:
            source = _read(folder, contents / "MacOS" / info.executable, "CFBundleExecutable")
            try:
                _compiled(folder, source)
            except ValueError as error:
                raise _refused(folder, contents / "MacOS" / info.executable, str(error)) from None
        return cls(folder, properties, _told_apart(info, properties, source), source, _all(folder))

    @property
    def bundle_id(self) -> str:
        """CFBundleIdentifier: a scenario names the kext by it."""
        return self.info.identifier

    def __call__(self) -> Kext:
        """A fresh kext: the executable runs anew, its class is made.

        Raises:
            KextRefusal: the executable raises, or does not define one class of kext that goes by
                the bundle's identifier.
            NotImplementedError: the bundle has no executable.
        """
        info = self.info
        if not info.executable:
            raise NotImplementedError(f"{self.path}: a kext without an executable is not modelled")
        where = f"Contents/MacOS/{info.executable}"
        try:
            kext = _defined(self.path / where, self.source, info.identifier, info.identifier)()
        except KextRefusal as refusal:
            raise self._refusal(f"{where}: {'; '.join(refusal.reasons)}") from None
        except Exception as error:
            raise self._refusal(f"{where}: {_raised(error)}") from error
        if kext.bundle_id not in ("", info.identifier):
            raise self._refusal(
                f"{where}: the kext calls itself {kext.bundle_id!r}, but CFBundleIdentifier is "
                f"{info.identifier!r}"
            )
        kext.bundle_id = info.identifier
        kext.version = info.version_text
        kext.compatible_version = str(self.properties.get("OSBundleCompatibleVersion", ""))
        kext.libraries = info.libraries
        kext.uuid = info.uuid
        kext.size = info.size
        return kext

    def _refusal(self, reason: str) -> KextRefusal:
        return KextRefusal(kOSKextReturnLinkError, str(self.path), [reason])

    def authenticate(self, *, literally: bool = False) -> None:
        """Refuse files that others than root could have written.

        Args:
            literally: they must be of root:wheel, uid and gid 0; else those of whoever runs the
                lab count as root's too.

        Raises:
            KextRefusal: kOSKextReturnAuthentication, a reason for each such file.
        """
        if os.name == "nt":
            return  # its files have neither owner nor mode
        me = None if literally else os.geteuid()
        reasons = []
        for path in (self.path, *sorted(self.path.rglob("*"))):
            try:
                seen = path.stat()
            except OSError as error:
                reason = str(error.strerror or error)
            else:
                reason = not_authentic(seen.st_uid, seen.st_gid, seen.st_mode, me)
            if reason:
                reasons.append(f"{_inside(self.path, path)} {reason}")
        if reasons:
            raise KextRefusal(kOSKextReturnAuthentication, str(self.path), reasons)


# -- reading -----------------------------------------------------------------------------------


def _inside(folder: Path, path: Path) -> str:
    """A path as a complaint names it: from the bundle on."""
    return str(path.relative_to(folder)) if path != folder else folder.name


def _refused(folder: Path, path: Path, reason: str) -> KextRefusal:
    where = path.relative_to(folder).as_posix()
    return KextRefusal(kOSKextReturnValidation, str(folder), [f"{where}: {reason}"])


def _read(folder: Path, path: Path, key: str = "") -> bytes:
    named = f" ({key} names it)" if key else ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refused(folder, path, f"is no file{named}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _refused(folder, path, f"{error.strerror or error}{named}") from None
    if len(data) > MAX_FILE:
        raise _refused(folder, path, f"is larger than {MAX_FILE >> 20} MB{named}")
    return data


def _property_list(folder: Path, path: Path) -> Any:
    data = _read(folder, path)
    try:
        return plistlib.loads(data)
    except Exception as error:  # plistlib raises a dozen kinds for a damaged file
        raise _refused(folder, path, f"is no property list ({_raised(error)})") from None


def _raised(error: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__


def _compiled(file: Path, source: bytes) -> CodeType:
    """The code of an executable. ValueError: it is no Python."""
    try:
        return compile(source, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"is no Python ({_raised(error)})") from None


def _defined(file: Path, source: bytes, name: str, identifier: str) -> type[Kext]:
    """Run an executable and find its class of kext.

    Raises:
        KextRefusal: kOSKextReturnLinkError; it raises, or does not define one.
    """
    module = ModuleType("kext_" + "".join(c if c.isalnum() else "_" for c in name))
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        exec(_compiled(file, source), module.__dict__)
    except (Exception, SystemExit) as error:
        raise KextRefusal(kOSKextReturnLinkError, name, [_raised(error)]) from error
    return _kext_class(module, identifier)


def _told_apart(info: KextInfo, properties: Mapping[str, Any], source: bytes) -> KextInfo:
    """The info with what tells this bundle from another of its version, and its size."""
    digest = hashlib.sha256(source)
    digest.update(repr(sorted(properties.items(), key=lambda item: item[0])).encode())
    pages = max(1, -(-len(source) // PAGE))
    return replace(info, uuid=str(uuid.UUID(bytes=digest.digest()[:16])).upper(), size=pages * PAGE)


def _all(folder: Path) -> dict[str, dict[str, str]]:
    """The InfoPlist.strings of every language."""
    found = {}
    for path in sorted((folder / "Contents" / "Resources").glob("*.lproj/InfoPlist.strings")):
        try:
            found[path.parent.stem] = read_strings(_read(folder, path))
        except ValueError as error:
            raise _refused(folder, path, str(error)) from None
    return found


def _kext_class(module: ModuleType, identifier: str) -> type[Kext]:
    """The class of kext a module defines: the one nothing else of it builds on, and of several the
    one of that identifier."""
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Kext)
        and value.__module__ == module.__name__
    ]
    last = [
        one for one in own if not any(other is not one and issubclass(other, one) for other in own)
    ]
    if len(last) > 1:
        last = [one for one in last if one.bundle_id == identifier] or last
    if len(last) != 1:
        names = ", ".join(sorted(one.__name__ for one in last)) or "none"
        reason = f"expected one class of kext, there is {names}"
        raise KextRefusal(kOSKextReturnLinkError, identifier, [reason])
    return last[0]


# -- writing -----------------------------------------------------------------------------------


def write_bundle(
    path: str | os.PathLike[str],
    properties: Mapping[str, Any],
    source: str | bytes = b"",
    strings: Mapping[str, Mapping[str, str]] | None = None,
    *,
    binary: bool = False,
) -> Bundle:
    """Write a bundle, all of it or nothing.

    Args:
        path: the folder, ``X.kext``; it must not be there yet.
        properties: its Info.plist.
        source: its executable, Python.
        strings: language to the strings of its InfoPlist.strings.
        binary: write the Info.plist as a binary property list, else as XML.

    Raises:
        FileExistsError: something of this name is there.
        OSError: it cannot be written.
        ValueError: a language that is no folder's name.
        TypeError: a value a property list cannot hold.
        KextRefusal: as ``Bundle.read``.
        NotImplementedError: as ``Bundle.read``.
    """
    folder = Path(path)
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} is there already")
    text = source.encode() if isinstance(source, str) else source
    executable = info_from(properties).executable
    kind = plistlib.FMT_BINARY if binary else plistlib.FMT_XML
    for language in strings or {}:
        if Path(language).name != language:
            raise ValueError(f"language {language!r}: expected a name such as English")
    with tempfile.TemporaryDirectory(prefix=".kext-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        contents = made / "Contents"
        contents.mkdir(parents=True)
        contents.joinpath("Info.plist").write_bytes(
            plistlib.dumps(dict(properties), fmt=kind, sort_keys=False)
        )
        if executable:
            contents.joinpath("MacOS").mkdir()
            contents.joinpath("MacOS", executable).write_bytes(text)
        for language, words in (strings or {}).items():
            resources = contents / "Resources" / f"{language}.lproj"
            resources.mkdir(parents=True)
            resources.joinpath("InfoPlist.strings").write_bytes(write_strings(words))
        for each in (made, *made.rglob("*")):
            each.chmod(0o755 if each.is_dir() or each.parent.name == "MacOS" else 0o644)
        Bundle.read(made)
        made.rename(folder)
    return Bundle.read(folder)


def new_properties(identifier: str, executable: str, version: str = "1.0.0d1") -> dict[str, Any]:
    """An Info.plist as Xcode's template once began it: what a kext must say, and no more."""
    return {
        "CFBundleDevelopmentRegion": "English",
        "CFBundleExecutable": executable,
        "CFBundleIdentifier": identifier,
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleName": executable,
        "CFBundlePackageType": "KEXT",
        "CFBundleSignature": "????",
        "CFBundleVersion": version,
        "OSBundleLibraries": {"com.apple.kpi.bsd": "8.0.0", "com.apple.kpi.libkern": "8.0.0"},
    }


def bundle_of(
    path: str | os.PathLike[str],
    kext: type[Kext] | str | os.PathLike[str],
    version: str = "1.0.0d1",
    *,
    binary: bool = False,
    **more: Any,
) -> Bundle:
    """Write a bundle of a kext: its executable is the whole file that defines the class.

    Args:
        path: the folder, ``X.kext``.
        kext: the class, or the path of a file that defines one; it has an identifier.
        version: CFBundleVersion.
        binary: write the Info.plist as a binary property list.
        more: further keys of the Info.plist, or other values for those ``new_properties`` sets.

    Raises:
        ValueError: the class has no identifier, or no file (a notebook's cell is none).
        FileExistsError, OSError, KextRefusal: as ``write_bundle``, and of the file.
    """
    if isinstance(kext, type):
        file = getattr(sys.modules.get(kext.__module__), "__file__", None)
        if file is None or not Path(file).is_file():
            raise ValueError(f"{kext.__name__} stands in no file; write it into one")
        source = Path(file).read_bytes()
    else:
        source = Path(kext).read_bytes()
        kext = _class_in(Path(kext), source)
    if not kext.bundle_id:
        raise ValueError(f"{kext.__name__} has no bundle_id")
    name = Path(path).stem
    properties = new_properties(kext.bundle_id, name, version)
    if kext.libraries:
        properties["OSBundleLibraries"] = dict(kext.libraries)
    if kext.compatible_version:
        properties["OSBundleCompatibleVersion"] = kext.compatible_version
    properties.update(more)
    words = (name, version, f"{name} {version}, a kext of kextlab", "")
    strings = {"English": dict(zip(STRINGS_KEYS, words, strict=True))}
    return write_bundle(path, properties, source, strings, binary=binary)


def _class_in(file: Path, source: bytes) -> type[Kext]:
    """The class of kext a file defines; KextRefusal if it does not define one."""
    try:
        return _defined(file, source, file.stem, "")
    except KextRefusal as refusal:
        raise KextRefusal(refusal.result, str(file), refusal.reasons) from None


def bundles_in(folder: Path) -> list[Path]:
    """The paths of the bundles of a folder, by name, and of those in their PlugIns."""
    patterns = ("*.kext", "*.kext/Contents/PlugIns/*.kext")
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_dir())
