"""``kextlab demo``: the first lesson told in a terminal.

One run of a real story on a simulated Mac, in sentences taken from its trace. Colours where the
terminal has them, plain text otherwise; the same words every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kextlab.kernel.kext import KextError
from kextlab.kexts.echo import EchoKext
from kextlab.sched.stop import KernelPanic
from kextlab.userland.mac import Kernel
from kextlab.views.log import log
from kextlab.views.words import version

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"user": "blue", "kern": "yellow", "data": "green", "loss": "bold red"}
MARKS = {"loss": "✕"}


class Forgetful(EchoKext):
    """An echo kext whose stop routine forgets ctl_deregister."""

    bundle_id = "org.kextlab.forgetful"
    control_name = "org.kextlab.forgetful"

    def stop(self) -> int:
        """Say that all is well."""
        return 0


class _Story:
    """Says what is done, then what the trace says about it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.mac = Kernel()
        self.told = 0

    def say(self, words: str) -> None:
        """A line of the story itself."""
        self.console.print(f"\n{words}", style="bold", soft_wrap=True, markup=False)

    def tell(self) -> None:
        """What has happened since the last time."""
        for line in log(self.mac.trace, self.told):
            words = f"{MARKS.get(line.world, ' ')} {'  ' * line.depth}{line.text}"
            self.console.print(words, style=STYLES[line.world], soft_wrap=True, markup=False)
        self.told = len(self.mac.trace)

    def reboot(self) -> None:
        """Start the Mac again, and its trace."""
        self.mac.reboot()
        self.told = 0


def main(console: Console | None = None) -> int:
    """Tell the story on ``console`` (default: the terminal); returns the exit code, 0."""
    if console is None:
        from rich.console import Console

        console = Console(highlight=False)
    story = _Story(console)
    mac = story.mac
    console.print(f"A simulated Mac: {version(mac.release)}", markup=False)

    story.say("A kext is loaded. It registers a kernel control, and the kernel gives it an id.")
    echo = mac.load(EchoKext)
    story.tell()

    story.say("A client connects: it looks the name up, then connects to the id it got.")
    app = mac.spawn("client")
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    story.tell()

    story.say("It sends 5 bytes. The kext puts their echo into the client's receive buffer.")
    s.send(b"hello")
    s.recv(100)
    story.tell()

    story.say("The kext is to be unloaded while the client is connected: refused.")
    try:
        mac.unload(echo)
    except KextError:
        story.tell()

    story.say("The client closes, and the kext may go.")
    s.close()
    mac.unload(echo)
    story.tell()

    story.say("Another kext forgets ctl_deregister. Nothing seems wrong, until a client connects.")
    mac.unload(mac.load(Forgetful))
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    try:
        s.connect("org.kextlab.forgetful")
    except KernelPanic:
        story.tell()

    story.reboot()
    story.say(f"The Mac has started again, boot {mac.boots}, with no kext and no process.")
    console.print("Now you: kextlab lab opens the lesson.", markup=False)
    return 0
