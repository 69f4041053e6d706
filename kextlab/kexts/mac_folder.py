"""A simulated Mac in a folder, for ``kextlab kextload``, ``kextunload`` and ``kextstat``.

No kernel runs between two commands. So the folder keeps what one would hold: ``mac.json`` says
which kexts are loaded, in which order, with which load tags and addresses; ``StagedExtensions`` has
a copy of each, as macOS makes one before it loads a kext. A command that loads or unloads boots a
kernel, loads all of that again, does what it was asked, and only if that went well writes the new
state: at one go, by renaming a file. A panic restarts the Mac: nothing is loaded any more.

What does not fit into a folder is left out: processes, so a kext has no clients between commands;
two commands at once, of which one's work may be lost.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from kextlab.abi.oskext import (
    kOSKextReturnDependencies,
    kOSKextReturnInvalidArgument,
    kOSKextReturnNotFound,
    kOSKextReturnNotPrivileged,
)
from kextlab.bsd.release import DEFAULT_RELEASE, release_named
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import KextError, KextRefusal
from kextlab.kernel.kext_info import KextInfo
from kextlab.kernel.kext_libraries import load_order, warnings
from kextlab.kernel.kext_loaded import FIRST_ADDRESS, KextStat, LoadedKexts
from kextlab.kexts.bundle import Bundle, bundles_in
from kextlab.sched.stop import KernelPanic, SimStop

FORMAT: Final = "kextlab-mac/1"
STATE: Final = "mac.json"
STAGED: Final = "StagedExtensions"


class MacFolderError(Exception):
    """The folder does not hold a simulated Mac, or cannot be used; one line says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A loaded kext in ``mac.json``: its load tag, its address, its identifier."""

    tag: int
    address: int
    identifier: str

    @property
    def bundle(self) -> str:
        """The folder of its copy; numbered, as an identifier may not be a folder's name."""
        return f"{self.tag}.kext"


@dataclass(frozen=True, slots=True)
class State:
    """What ``mac.json`` says."""

    release: str = DEFAULT_RELEASE
    boots: int = 1
    next_tag: int = 0
    next_address: int = FIRST_ADDRESS
    loaded: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Loading:
    """What ``MacFolder.load`` did: the kexts it loaded, in order, and what is seldom meant so."""

    rows: tuple[KextStat, ...] = ()
    warnings: tuple[str, ...] = ()


class MacFolder:
    """The Mac of a folder; the folder is made when something is first loaded."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    # -- what is there ---------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What ``mac.json`` says; a fresh Mac if there is none.

        Raises:
            MacFolderError: it cannot be read, or is no such file.
        """
        path = self.folder / STATE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return State(next_tag=LoadedKexts(DEFAULT_RELEASE).next_tag)
        except (OSError, UnicodeDecodeError) as error:
            raise MacFolderError(f"cannot read {path}: {_words(error)}") from None
        try:
            return _state(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise MacFolderError(f"{path}: {_words(error)}; delete it to start anew") from None

    def staged(self, entry: Entry) -> Bundle:
        """The copy of a loaded kext.

        Raises:
            MacFolderError: it is gone or damaged.
        """
        try:
            bundle = Bundle.read(self.folder / STAGED / entry.bundle)
        except (KextRefusal, NotImplementedError) as refusal:
            raise self._useless(str(refusal)) from None
        if bundle.info.identifier != entry.identifier:
            raise self._useless(
                f"{bundle.path} is {bundle.info.identifier}, not {entry.identifier}"
            )
        return bundle

    def _useless(self, why: str) -> MacFolderError:
        return MacFolderError(f"{why}; delete {self.folder} to start anew")

    def linkage(self) -> LoadedKexts:
        """What is loaded, without running any of it. Raises MacFolderError."""
        state = self.state
        linkage = LoadedKexts(state.release)
        for entry in state.loaded:
            linkage.next_tag, linkage.next_address = entry.tag, entry.address
            info = self.staged(entry).info
            try:
                fresh = linkage.check(info)
            except KextRefusal as refusal:
                raise self._useless(str(refusal)) from None
            if not fresh:
                raise self._useless(f"{entry.identifier} is loaded twice")
            linkage.add(info)
        linkage.next_tag, linkage.next_address = state.next_tag, state.next_address
        return linkage

    def kextstat(self) -> list[KextStat]:
        """The lines of kextstat. Raises MacFolderError."""
        return self.linkage().rows()

    def _boot(self) -> Kernel:
        """A running kernel with all that is loaded."""
        state = self.state
        mac = Kernel(state.release)
        for entry in state.loaded:
            mac.linkage.next_tag, mac.linkage.next_address = entry.tag, entry.address
            try:
                mac.load(self.staged(entry))
            except (KextError, SimStop, NotImplementedError) as error:
                why = f"{entry.identifier} was loaded before and now is not: {_words(error)}"
                raise self._useless(why) from None
        mac.linkage.next_tag, mac.linkage.next_address = state.next_tag, state.next_address
        return mac

    # -- kextload --------------------------------------------------------------------------

    def load(
        self,
        path: str | os.PathLike[str],
        repositories: Sequence[str | os.PathLike[str]] = (),
        *,
        others: Iterable[str | os.PathLike[str]] = (),
        uid: int = 0,
        literal_owner: bool = False,
    ) -> Loading:
        """Load a bundle, what it needs first.

        Args:
            path: the bundle.
            repositories: folders in which bundles it needs are looked for.
            others: single bundles it may need.
            uid: who asks; others than root (0) only for bundles that allow it.
            literal_owner: as ``literally`` of ``Bundle.authenticate``.

        Returns:
            What was loaded, in order; nothing if just this bundle was loaded already.

        Raises:
            KextRefusal: it is refused; nothing was loaded.
            KextError: a start routine refused; nothing was loaded.
            KernelPanic: a start routine took the Mac down: it restarted, nothing is loaded.
            MacFolderError: the folder cannot be used.
            NotImplementedError: the bundle is of a kind that is not modelled.
        """
        bundle = Bundle.read(path)
        if uid != 0 and not bundle.info.allow_user_load:
            raise _not_root(bundle, uid)
        bundle.authenticate(literally=literal_owner)
        linkage = self.linkage()
        known = linkage.infos()
        if bundle.info.identifier in known and not linkage.check(bundle.info):
            return Loading()
        order = self._order(bundle, known, repositories, others)
        for each in order[:-1]:
            if uid != 0 and not each.info.allow_user_load:
                raise _not_root(each, uid)
            each.authenticate(literally=literal_owner)
        mac = self._boot()
        try:
            for each in order:
                mac.load(each)
        except KernelPanic:
            self._restart()
            raise
        self._commit(mac, order)
        said = warnings([each.info for each in order], known)
        return Loading(tuple(mac.kextstat()[-len(order) :]), tuple(said))

    def _order(
        self,
        bundle: Bundle,
        loaded: dict[str, KextInfo],
        repositories: Sequence[str | os.PathLike[str]],
        others: Iterable[str | os.PathLike[str]],
    ) -> list[Bundle]:
        """The bundles to load, in order; one that cannot be read is no candidate, and is named if
        the search fails."""
        found, broken = {_key(bundle.info): bundle}, []
        for path in (*map(Path, others), *(p for r in repositories for p in bundles_in(Path(r)))):
            try:
                candidate = Bundle.read(path)
            except (KextRefusal, NotImplementedError) as error:
                broken.append(f"not considered: {_words(error)}")
                continue
            found.setdefault(_key(candidate.info), candidate)
        try:
            order = load_order(bundle.info, loaded, [each.info for each in found.values()])
        except KextRefusal as refusal:
            reasons = [*refusal.reasons, *broken]
            raise KextRefusal(kOSKextReturnDependencies, str(bundle.path), reasons) from None
        return [found[_key(info)] for info in order]

    # -- kextunload ------------------------------------------------------------------------

    def unload(self, identifier: str, *, uid: int = 0) -> None:
        """Unload a kext by its identifier.

        Raises:
            KextRefusal: it is not loaded, a part of the kernel, or another is linked against it;
                or who asks is not root.
            KextError: its stop routine refused; it stays loaded.
            KernelPanic: its stop routine took the Mac down: it restarted, nothing is loaded.
            MacFolderError: the folder cannot be used.
        """
        if uid != 0:
            reason = f"uid {uid} asks; only root (uid 0) may unload kexts"
            raise KextRefusal(kOSKextReturnNotPrivileged, identifier, [reason])
        linkage = self.linkage()
        row = next((row for row in linkage.rows() if row.identifier == identifier), None)
        if row is None:
            raise KextRefusal(kOSKextReturnNotFound, identifier, ["no such kext is loaded"])
        if not row.address:
            reason = "it is a part of the kernel"
            raise KextRefusal(kOSKextReturnInvalidArgument, identifier, [reason])
        linkage.may_unload(identifier)
        mac = self._boot()
        kext = next(kext for kext in mac.kexts() if kext.bundle_id == identifier)
        try:
            mac.unload(kext)
        except KernelPanic:
            self._restart()
            raise
        self._commit(mac, ())

    # -- writing ---------------------------------------------------------------------------

    def _commit(self, mac: Kernel, fresh: Sequence[Bundle]) -> None:
        """Write the state of a running kernel, after copies of what is new in it."""
        rows = [row for row in mac.kextstat() if row.address]
        entries = tuple(Entry(row.index, row.address, row.identifier) for row in rows)
        new = {bundle.info.identifier: bundle for bundle in fresh}
        copies = {
            self.folder / STAGED / entry.bundle: new[entry.identifier].path
            for entry in entries
            if entry.identifier in new
        }
        try:
            for to, path in copies.items():
                shutil.rmtree(to, ignore_errors=True)  # of a command that did not finish
                shutil.copytree(path, to)
            linkage = mac.linkage
            state = replace(self.state, loaded=entries)
            state = replace(state, next_tag=linkage.next_tag, next_address=linkage.next_address)
            self._write(state)
        except OSError as error:
            for to in copies:
                shutil.rmtree(to, ignore_errors=True)
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> MacFolderError:
        return MacFolderError(f"cannot write {self.folder}: {_words(error)}")

    def _restart(self) -> None:
        """What a panic does: the next boot, with nothing loaded."""
        state = self.state
        fresh = LoadedKexts(state.release)
        state = State(state.release, state.boots + 1, fresh.next_tag, fresh.next_address)
        try:
            self._write(state)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write(self, state: State) -> None:
        """Put ``mac.json`` in place of the old one at one go, and drop copies it does not name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **asdict(state)}, indent=1) + "\n"
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.folder, prefix=".mac-", delete=False
        ) as file:
            file.write(text)
        try:
            os.replace(file.name, self.folder / STATE)
        except OSError:
            with suppress(OSError):
                os.unlink(file.name)
            raise
        kept = {entry.bundle for entry in state.loaded}
        for path in self.folder.glob(f"{STAGED}/*.kext"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _key(info: KextInfo) -> tuple[str, int, str]:
    return info.identifier, info.version, info.uuid


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:300]


def _not_root(bundle: Bundle, uid: int) -> KextRefusal:
    reason = f"uid {uid} asks; only root (uid 0) may, unless OSBundleAllowUserLoad is true"
    return KextRefusal(kOSKextReturnNotPrivileged, str(bundle.path), [reason])


def _state(value: Any) -> State:
    """A state from JSON. ValueError: what is wrong, with its key."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"no simulated Mac: its format is not {FORMAT!r}")
    release = value.get("release")
    if not isinstance(release, str):
        raise ValueError(f"release is {release!r}, expected a string")
    release_named(release)
    entries = value.get("loaded")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("loaded is no list of objects")
    loaded = []
    first = LoadedKexts(release).next_tag
    for entry in entries:
        identifier = entry.get("identifier")
        if not isinstance(identifier, str):
            raise ValueError(f"loaded: identifier is {identifier!r}, expected a string")
        tag = _number(entry, "tag", first)
        first = tag + 1
        loaded.append(Entry(tag, _number(entry, "address", FIRST_ADDRESS), identifier))
    return State(
        release,
        _number(value, "boots", 1),
        _number(value, "next_tag", first),
        _number(value, "next_address", FIRST_ADDRESS),
        tuple(loaded),
    )


def _number(value: dict[str, Any], key: str, least: int) -> int:
    number = value.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < 1 << 64:
        raise ValueError(f"{key} is {number!r}, expected a number from {least}")
    return number
