"""`kextlab kextload`, `kextunload`, `kextstat` and `kext new`: what they print, and how they exit.

As on a Mac: 0 it went well, 71 the kext was refused, 77 who asks is not root; and as everywhere in
the lab 2, the command could not be run as asked.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from kextlab.abi.oskext import (
    EX_OK,
    EX_OSERR,
    exit_status,
    kOSKextReturnStartStopError,
    name_of_result,
    words_for_result,
)
from kextlab.kernel.kext import KextError, KextRefusal
from kextlab.kernel.kext_loaded import kextstat_lines
from kextlab.kexts import EchoKext
from kextlab.kexts.bundle import Bundle, bundle_of
from kextlab.kexts.mac_folder import MacFolder, MacFolderError
from kextlab.sched.stop import KernelPanic

APPLE_SILICON = """\
A Mac with Apple silicon would not load it yet. It asks for three things first:
  1. in recoveryOS, Reduced Security that allows kernel extensions of identified developers;
  2. in System Settings, Privacy & Security, the approval of an administrator;
  3. a restart."""

UNUSABLE = 2

T = TypeVar("T")


def load(
    bundles: Sequence[Path],
    repositories: Sequence[Path],
    mac: Path,
    uid: int,
    literal_owner: bool,
) -> int:
    """`kextload`: load each bundle; a refused one does not keep the others from being tried."""
    machine = MacFolder(mac)
    loaded = False

    def one(bundle: Path) -> None:
        nonlocal loaded
        others = [other for other in bundles if other != bundle]
        done = machine.load(
            bundle, repositories, others=others, uid=uid, literal_owner=literal_owner
        )
        rows = done.rows
        for row in rows:
            where = f"index {row.index}, {row.size} bytes at {row.address:#x}"
            typer.echo(f"{row.identifier} ({row.version}) loaded: {where}")
        if not rows:
            typer.echo(f"{bundle} is loaded already; nothing to do")
        for warning in done.warnings:
            typer.echo(f"warning: {warning}", err=True)
        loaded = loaded or bool(rows)

    for folder in repositories:
        if not folder.is_dir():
            typer.echo(f"kextlab kextload: {folder} is no folder", err=True)
            return UNUSABLE
    status = _each("load", bundles, one)
    if loaded:
        typer.echo(APPLE_SILICON)
    return status


def unload(bundles: Sequence[Path], identifiers: Sequence[str], mac: Path, uid: int) -> int:
    """`kextunload`: unload what each bundle, then each identifier names."""
    if not bundles and not identifiers:
        typer.echo("kextlab kextunload: name a bundle, or an identifier with -b", err=True)
        return UNUSABLE
    machine = MacFolder(mac)

    def one(named: Path | str) -> None:
        identifier = Bundle.read(named).info.identifier if isinstance(named, Path) else named
        machine.unload(identifier, uid=uid)
        typer.echo(f"{identifier} unloaded")

    named: list[Path | str] = [*bundles, *identifiers]
    return _each("unload", named, one)


def _each(verb: str, named: Sequence[T], do: Callable[[T], None]) -> int:
    """Do it with each, tell refusals, go on; the exit status is that of the first refusal."""
    status = EX_OK
    for one in named:
        try:
            do(one)
        except MacFolderError as error:
            typer.echo(f"kextlab kext{verb}: {error}", err=True)
            return status or UNUSABLE
        except NotImplementedError as error:
            typer.echo(f"{one} failed to {verb}: {error}", err=True)
            status = status or UNUSABLE
        except KernelPanic as panic:
            typer.echo(panic.report, err=True)
            typer.echo("The simulated Mac restarted; no kext is loaded any more.", err=True)
            status = status or EX_OSERR
        except KextError as error:
            result = getattr(error, "result", kOSKextReturnStartStopError)
            typer.echo(f"{one} failed to {verb} - {words_for_result(result)}.", err=True)
            reasons = error.reasons if isinstance(error, KextRefusal) else (str(error),)
            for reason in reasons:
                typer.echo(f"  {reason}", err=True)
            typer.echo(f"  {name_of_result(result)}, {result:#x}", err=True)
            status = status or exit_status(result)
    return status


def stat(mac: Path, identifier: str | None, no_kernel: bool, list_only: bool) -> int:
    """`kextstat`: the table of what is loaded."""
    try:
        rows = MacFolder(mac).kextstat()
    except MacFolderError as error:
        typer.echo(f"kextlab kextstat: {error}", err=True)
        return UNUSABLE
    lines = kextstat_lines(rows, header=not list_only, kernel=not no_kernel, identifier=identifier)
    typer.echo("\n".join(lines))
    return EX_OK


def new(path: Path, source: Path | None, version: str, binary: bool) -> int:
    """`kext new`: write a bundle of the kext a file defines, or of the echo kext."""
    try:
        bundle = bundle_of(path, EchoKext if source is None else source, version, binary=binary)
    except KextRefusal as refusal:
        for reason in refusal.reasons:
            typer.echo(f"kextlab kext new: {reason}", err=True)
        return UNUSABLE
    except (ValueError, OSError) as error:
        typer.echo(f"kextlab kext new: {error}", err=True)
        return UNUSABLE
    typer.echo(f"wrote {bundle.path}: {bundle.info.identifier} ({bundle.info.version_text})")
    return EX_OK
