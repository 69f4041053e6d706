"""`kextlab doctor`: what of the lab works on this machine, and how to mend the rest.

One function looks at one thing and returns one Finding; none of them raises, because a doctor that
crashes helps nobody.
"""

import json
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile

PYTHON_NEEDED = (3, 11)

# Distribution -> the oldest version that will do, what it is for. pyproject.toml's `lab` says the
# same versions; tests/unit/test_cli_doctor.py keeps both in step.
LAB_NEEDS = {
    "jupyterlab": ("4.2", "opens the notebooks"),
    "ipykernel": ("6.29", "runs their cells"),
    "jupytext": ("1.16", "pairs exercises with Python files"),
    "matplotlib": ("3.8", "draws the figures"),
    "ipywidgets": ("8.1", "carries the widgets"),
    "anywidget": ("0.9", "shows the kernel's pictures live"),
    "tqdm": ("4.66", "shows progress"),
    "greenlet": ("3.0", "runs blocking programs beside each other"),
}

# What is optional: the names a program goes by, what it is for, the package to install.
PROGRAMS = {
    "chromium": (
        ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge"),
        "the browser tests",
        "install Chromium (Debian: apt-get install chromium)",
    ),
    "C compiler": (
        ("gcc", "clang", "cc"),
        "kexts written in C",
        "install a C compiler (Debian: apt-get install gcc; macOS: xcode-select --install)",
    ),
}

JUPYTER_PORT, JUPYTER_PORTS_TRIED = 8888, 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    `seen` says what is there, or what is wrong with it; `mend` says how to put it right and is
    empty when `works`.
    """

    name: str
    required: bool
    works: bool
    seen: str
    mend: str = ""


def examine() -> list[Finding]:
    """Look at everything the lab uses, most basic first."""
    return [
        look_at_python(sys.version_info[:3]),
        look_at_simulator(),
        *(look_at_package(name, *needs) for name, needs in LAB_NEEDS.items()),
        look_at_kernelspec(),
        look_at_port(),
        look_at_greenlet(),
        *(look_at_program(name, *program) for name, program in PROGRAMS.items()),
    ]


def healthy(findings: list[Finding]) -> bool:
    """True when everything required works."""
    return all(finding.works for finding in findings if finding.required)


# ---------------------------------------------------------------- the looks
def look_at_python(running: tuple[int, ...]) -> Finding:
    """The interpreter's version."""
    needed = ".".join(map(str, PYTHON_NEEDED))
    seen = f"{'.'.join(map(str, running))} ({platform.system()}, {sys.executable})"
    works = running >= PYTHON_NEEDED
    mend = "" if works else f"install Python {needed} or newer and run the lab with it"
    return Finding("Python", True, works, seen, mend)


def look_at_simulator() -> Finding:
    """One round trip through the simulated kernel: client send, kext, client recv."""
    mend = "reinstall kextlab: python -m pip install --force-reinstall . in its checkout"
    try:
        answer = _round_trip(b"are you well?")
    except Exception as error:  # whatever is wrong with the installation, say it
        return Finding("simulator", True, False, f"{type(error).__name__}: {error}", mend)
    if answer != b"are you well?":
        return Finding("simulator", True, False, f"an echo came back as {answer!r}", mend)
    return Finding("simulator", True, True, "a message went to a kext and came back")


def _round_trip(message: bytes) -> object:
    # Imported by name, as a damaged installation may lack any of it.
    mac = import_module("kextlab").Kernel()
    mac.load(import_module("kextlab.kexts").EchoKext)
    simulated = mac.spawn("doctor", uid=501).socket
    client = simulated.socket(simulated.PF_SYSTEM, simulated.SOCK_DGRAM, simulated.SYSPROTO_CONTROL)
    client.connect("org.kextlab.echo")
    client.send(message)
    return client.recv(len(message))


def look_at_package(name: str, needed: str, purpose: str) -> Finding:
    """A Python distribution and whether its version will do."""
    mend = f'python -m pip install "{name}>={needed}" ({purpose})'
    try:
        seen = version(name)
    except PackageNotFoundError:
        return Finding(name, True, False, "not installed", mend)
    if _release(seen) < _release(needed):
        return Finding(name, True, False, f"{seen}, older than {needed}", mend)
    return Finding(name, True, True, f"{seen}, {purpose}")


def _release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: "4.2.0rc1" -> (4, 2, 0)."""
    digits = ("".join(takewhile(str.isdigit, part)) for part in text.split("."))
    return tuple(int(part) for part in takewhile(bool, digits))


def look_at_kernelspec() -> Finding:
    """The Jupyter kernel `python3`, and that its interpreter is there."""
    mend = "python -m ipykernel install --sys-prefix"
    try:
        manager = import_module("jupyter_client.kernelspec").KernelSpecManager()
        interpreter = manager.get_kernel_spec("python3").argv[0]
        if interpreter.removesuffix(".exe") in ("python", "python3"):
            interpreter = sys.executable  # as Jupyter itself reads these two
    except Exception as error:  # not installed, no such kernel, unreadable kernel.json
        return Finding("Jupyter kernel", True, False, f"{type(error).__name__}: {error}", mend)
    if shutil.which(interpreter) is None:
        return Finding("Jupyter kernel", True, False, f"{interpreter} is not there", mend)
    return Finding("Jupyter kernel", True, True, f"python3 runs {interpreter}")


def look_at_port() -> Finding:
    """The first loopback port JupyterLab would get."""
    for port in range(JUPYTER_PORT, JUPYTER_PORT + JUPYTER_PORTS_TRIED):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            taken = "" if port == JUPYTER_PORT else f" ({JUPYTER_PORT} is taken)"
            return Finding("port", True, True, f"{port} on this machine is free{taken}")
    last = JUPYTER_PORT + JUPYTER_PORTS_TRIED - 1
    return Finding(
        "port",
        True,
        False,
        f"none of {JUPYTER_PORT} to {last} can be opened on 127.0.0.1",
        "stop a Jupyter server you no longer need, or name a port: kextlab lab --port",
    )


def look_at_greenlet() -> Finding:
    """greenlet, for blocking programs that run unmodified."""
    purpose = "for blocking programs run unmodified"
    try:
        return Finding("greenlet", False, True, f"{version('greenlet')}, {purpose}")
    except PackageNotFoundError:
        mend = f"python -m pip install greenlet ({purpose})"
        return Finding("greenlet", False, False, "not installed", mend)


def look_at_program(name: str, names: tuple[str, ...], purpose: str, mend: str) -> Finding:
    """A program on the path."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        return Finding(name, False, False, "not on the path", f"{mend}: for {purpose}")
    return Finding(name, False, True, f"{found}, for {purpose}")


# ---------------------------------------------------------------- the two prints
def to_json(findings: list[Finding]) -> str:
    """One JSON object: `healthy` and the findings."""
    found = [asdict(finding) for finding in findings]
    return json.dumps({"healthy": healthy(findings), "findings": found}, indent=2)


def print_table(findings: list[Finding]) -> None:
    """A table for a person: a symbol and a word for each finding, then how to mend what fails."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "seen"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        symbol, word, colour = _verdict(finding)
        table.add_row(f"[{colour}]{symbol} {word}[/]", finding.name, _plain(finding.seen))
    console.print(table)
    for line in _advice(findings):
        console.print(_plain(line), soft_wrap=True)


def _verdict(finding: Finding) -> tuple[str, str, str]:
    if finding.works:
        return "✓", "works", "green"
    return ("✗", "missing", "red") if finding.required else ("-", "optional", "yellow")


def _advice(findings: list[Finding]) -> Iterator[str]:
    yield ""
    broken = [finding for finding in findings if not finding.works]
    for finding in broken:
        yield f"{finding.name}: {finding.mend}"
    needed = sum(finding.required for finding in broken)
    yield f"To mend before the lab works: {needed}." if needed else "The lab works on this machine."


def _plain(text: str) -> str:
    """`text` as it is: rich reads [brackets] as markup."""
    from rich.markup import escape

    return escape(text)
