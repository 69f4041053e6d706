"""The `kextlab` command: names, options and help texts; what a command does lives in its module.

Only typer is imported here, so that `kextlab --help` answers at once; every command imports what
it needs when it runs. Exit codes: 0 it went well, 1 the answer is no (a check failed, a recording
differs), 2 the command could not be run as asked; kextload and kextunload say no as on a Mac.
"""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command named in `sys.argv`.

    A character the output's encoding lacks is written as "?". Output that cannot be written, as on
    a full disk, is one line and exit code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            app(prog_name="kextlab")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # the reader left: not a word
            print(f"kextlab: cannot write the output: {error.strerror or error}", file=sys.stderr)
        # Python writes what is left once more at its end; let that succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"kextlab {version('kextlab')}")
        except PackageNotFoundError:
            typer.echo("kextlab, from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def _kextlab(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print it and stop."
        ),
    ] = False,
) -> None:
    """A laboratory for macOS kernel-extension IPC, on a simulated kernel that answers as XNU does.

    New here? `kextlab lab` opens the first lesson; `kextlab demo` tells it in the terminal.
    """


@app.command("lab")
def _lab(
    notebook: Annotated[
        Path | None,
        typer.Option(help="Open this notebook instead of the first lesson."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Listen here; the next free port if it is taken.")
    ] = 8888,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address instead of opening a browser.")
    ] = False,
) -> None:
    """Open JupyterLab at the first lesson.

    In a checkout the notebooks are opened where they are. Elsewhere the notebooks and exercises of
    the package are first copied to ./kextlab-notebooks; what is already there is kept.
    """
    from kextlab.cli.lab import CannotStart, start

    try:
        start(notebook, port=port, browser=not no_browser)
    except CannotStart as error:
        typer.echo(f"kextlab lab: {error}", err=True)
        raise typer.Exit(2) from None


@app.command("doctor")
def _doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what of the lab works here, and how to mend the rest.

    Exits 1 when something required is missing; what is optional never fails.
    """
    from kextlab.cli.doctor import examine, healthy, print_table, to_json

    findings = examine()
    if as_json:
        typer.echo(to_json(findings))
    else:
        print_table(findings)
    raise typer.Exit(0 if healthy(findings) else 1)


@app.command("replay")
def _replay(
    recordings: Annotated[
        list[Path],
        typer.Argument(metavar="FILE-OR-FOLDER", help="Recordings, .jsonl or .jsonl.xz."),
    ],
    release: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Replay on this release (xnu-11417.101.15, xnu-7195.141.2), not the recording's.",
        ),
    ] = None,
) -> None:
    """Replay recordings of the real XNU code; compare every answer.

    The last line counts the steps that matched. Exits 1 if a step differs: the first
    difference is shown with the steps before it. Exits 2 on a file that is no recording.
    """
    from kextlab.scenario.replay import main as replay_all

    raise typer.Exit(replay_all(recordings, release))


@app.command("run")
def _run(
    scenario: Annotated[
        Path, typer.Argument(metavar="FILE", help="A scenario, or a recording of one.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which scenario of a recording that holds several."),
    ] = None,
    modules: Annotated[
        list[str] | None,
        typer.Option("--import", metavar="MODULE", help="Where its kexts or programs are."),
    ] = None,
) -> None:
    """Run a saved scenario again and compare it with the recording.

    The log of what happens is printed. Exits 1 if it differs: the first step that does is shown
    with both sides. Exits 2 on a file that is no scenario, or one whose kexts and programs are not
    there.
    """
    from kextlab.views.rerun import main as rerun

    raise typer.Exit(rerun(scenario, name, modules or ()))


@app.command("demo")
def _demo(
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that plays the story of a lost record."),
    ] = None,
    present: Annotated[
        bool, typer.Option("--present", help="Open that page in a browser, in large type.")
    ] = False,
) -> None:
    """Tell the first lesson in the terminal, or show a lost record.

    Without options: a kext is loaded, a client connects and sends, the kext is broken, and the Mac
    rebooted. The page of --html and --present needs no server and makes no request.
    """
    if html is None and not present:
        from kextlab.views.demo import main as tell

        raise typer.Exit(tell())
    from kextlab.cli.present import CannotWrite, show

    try:
        typer.echo(show(html, present))
    except CannotWrite as error:
        typer.echo(f"kextlab demo: {error}", err=True)
        raise typer.Exit(2) from None


@app.command("check")
def _check(
    exercise: Annotated[
        Path, typer.Argument(metavar="NOTEBOOK", help="An exercise, as exercises/03-units.ipynb.")
    ],
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this question, as q03_2; may be repeated."),
    ] = None,
    hints: Annotated[
        int, typer.Option(min=0, max=3, help="How many of a question's three hints to show.")
    ] = 1,
) -> None:
    """Check the answers of an exercise.

    Only the cells tagged setup and answer are executed, every question by itself. Exits 1 if a
    question does not pass its public checks, 2 on a file that is no exercise.
    """
    from rich.console import Console

    from kextlab.course.exercise import Exercise
    from kextlab.course.question import CourseError
    from kextlab.course.report import as_text

    try:
        outcomes = Exercise.read(exercise).check(question or ())
    except CourseError as error:
        typer.echo(f"kextlab check: {error}", err=True)
        raise typer.Exit(2) from None
    Console(highlight=False, soft_wrap=True).print(as_text(outcomes, hints))
    raise typer.Exit(0 if all(outcome.right for outcome in outcomes) else 1)


@app.command("release")
def _release(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder that is empty or not there yet.")
    ],
) -> None:
    """Write what students get: lab, notebooks and exercises.

    Solutions, hidden checks and seeds stay behind. Works in a checkout. Exits 2 if OUT holds
    something, or cannot be written.
    """
    from kextlab.course.question import CourseError
    from kextlab.course.release import release

    try:
        typer.echo(release(out))
    except CourseError as error:
        typer.echo(f"kextlab release: {error}", err=True)
        raise typer.Exit(2) from None


_MacFolder = Annotated[
    Path, typer.Option("--mac", metavar="DIR", help="The folder that keeps the simulated Mac.")
]
_Uid = Annotated[int, typer.Option(min=0, metavar="UID", help="Who asks; 0 is root, as with sudo.")]


@app.command("kextload")
def _kextload(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE", help="Folders X.kext.")],
    repository: Annotated[
        list[Path] | None,
        typer.Option("-r", "--repository", metavar="DIR", help="Look here for what they need."),
    ] = None,
    mac: _MacFolder = Path(".kextlab-mac"),
    uid: _Uid = 0,
    literal_owner: Annotated[
        bool,
        typer.Option(
            "--literal-owner",
            help="Files must belong to uid 0 and gid 0; else yours count as root's.",
        ),
    ] = False,
) -> None:
    """Load kext bundles into a simulated Mac, what they need first.

    The executable of a bundle is a Python file, which is run. Exits 71 if a bundle is refused, 77
    if that is because UID is not root, both as on a Mac; 2 if the folder of --mac is of no use.
    """
    from kextlab.cli.kexts import load

    raise typer.Exit(load(bundles, repository or (), mac, uid, literal_owner))


@app.command("kextunload")
def _kextunload(
    bundles: Annotated[
        list[Path] | None, typer.Argument(metavar="BUNDLE", help="Folders X.kext.")
    ] = None,
    identifier: Annotated[
        list[str] | None,
        typer.Option("-b", "--bundle-id", metavar="ID", help="A kext, by its identifier."),
    ] = None,
    mac: _MacFolder = Path(".kextlab-mac"),
    uid: _Uid = 0,
) -> None:
    """Unload kexts from a simulated Mac.

    Exits 71 if a kext is refused: not loaded, in use, its stop routine says no; 77 if UID is not
    root; 2 if the folder of --mac is of no use.
    """
    from kextlab.cli.kexts import unload

    raise typer.Exit(unload(bundles or (), identifier or (), mac, uid))


@app.command("kextstat")
def _kextstat(
    identifier: Annotated[
        str | None, typer.Option("-b", "--bundle-id", metavar="ID", help="Only this kext.")
    ] = None,
    no_kernel: Annotated[
        bool, typer.Option("-k", "--no-kernel", help="Leave out the parts of the kernel.")
    ] = False,
    list_only: Annotated[bool, typer.Option("-l", "--list-only", help="No heading.")] = False,
    mac: _MacFolder = Path(".kextlab-mac"),
) -> None:
    """List the kexts of a simulated Mac.

    A line says index, kexts linked against it, address, size, wired size, name and version, and in
    angle brackets the indices it is linked against.
    """
    from kextlab.cli.kexts import stat

    raise typer.Exit(stat(mac, identifier, no_kernel, list_only))


_kext = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(_kext, name="kext", help="Make kext bundles.")


@_kext.command("new")
def _kext_new(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder to make, X.kext.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="The Python file; else the echo kext."),
    ] = None,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="CFBundleVersion, as 1.0.0d1.")
    ] = "1.0.0d1",
    binary: Annotated[
        bool, typer.Option("--binary", help="Write Info.plist as a binary property list.")
    ] = False,
) -> None:
    """Write a kext bundle whose executable is a Python file.

    The file defines one class of kext with a bundle_id. Exits 2 if it does not, or BUNDLE is there.
    """
    from kextlab.cli.kexts import new

    raise typer.Exit(new(path, source, version, binary))
