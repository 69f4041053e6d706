"""What Scope's controls do to a machine: connect, send, recv, step, fault, each in one clear line.

Every routine returns the line that tells its result and raises ``ScopeError`` with the line that
tells why not, so that widget and Python say the same words. A refusal is told as the log tells it.

Left out: what takes a program of its own (several calls that depend on each other).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kextlab.abi.constants import (
    CTL_FLAG_REG_SOCK_STREAM,
    MSG_DONTWAIT,
    PF_SYSTEM,
    SOCK_DGRAM,
    SOCK_STREAM,
    SYSPROTO_CONTROL,
)
from kextlab.abi.errno import message_of, name_of
from kextlab.scenario import faults
from kextlab.scenario.fault import Fault
from kextlab.userland.mac import Kernel
from kextlab.views.scene import Lane, scene
from kextlab.views.words import some

if TYPE_CHECKING:
    from kextlab.userland.process import App

MOST = 4096
"""Bytes that one ``recv`` asks for."""


class ScopeError(ValueError):
    """What was asked cannot be done; one line says why."""


class Refused(ScopeError):
    """The kernel said no; the log says why in numbers."""


class Driver:
    """Drives one machine.

    Args:
        mac: the machine.
    """

    def __init__(self, mac: Kernel) -> None:
        self.mac = mac
        self._kept: list[Any] = []  # sockets opened here; Any: of a simulated socket module

    # -- finding ---------------------------------------------------------------------------

    def process(self, who: object) -> App:
        """The process of that pid or name.

        Raises:
            ScopeError: there is none.
        """
        running = self.mac.processes
        for app in running:
            if who in (app.pid, app.name, app):
                return app
        there = ", ".join(f"{app.name} ({app.pid})" for app in running) or "none"
        raise ScopeError(f"no process {who!r} is running; running: {there}")

    def _lane(self, app: App, control: str, socket: int) -> Lane:
        """The socket meant: the one of that number, or the last one connected to the control."""
        seen = scene(self.mac.snapshot())
        lanes = [lane for lane in seen.lanes if lane.pid == app.pid and lane.fds]
        if socket:
            lanes = [lane for lane in lanes if lane.socket == socket]
        elif control:
            serials = {one.serial for one in seen.controls if one.name == control}
            lanes = [lane for lane in lanes if lane.control in serials] or lanes
        if not lanes:
            what = f"socket {socket}" if socket else "a socket"
            raise ScopeError(f"{app.name} does not hold {what}; connect first")
        return lanes[-1]

    # -- doing -----------------------------------------------------------------------------

    def connect(self, process: object, control: str) -> str:
        """Open a socket in a process and connect it to a control by name.

        Raises:
            ScopeError: no such process or control, or the kernel refused.
        """
        app = self.process(process)
        found = [one for one in scene(self.mac.snapshot()).controls if one.name == control]
        if not found:
            names = sorted(one.name for one in scene(self.mac.snapshot()).controls)
            there = ", ".join(names) or "none"
            raise ScopeError(f"no control {control!r} is registered; registered: {there}")
        stream = found[-1].flags & CTL_FLAG_REG_SOCK_STREAM
        kind = SOCK_STREAM if stream else SOCK_DGRAM
        module: Any = app.socket  # a simulated socket module is typed as a module only
        made = module.socket(PF_SYSTEM, kind, SYSPROTO_CONTROL)
        self._kept.append(made)
        try:
            made.connect(control)
        except OSError as error:
            made.close()
            raise _refused("connect", app, error.errno) from None
        return f"{app.name} is connected to {control} on fd {made.fileno()}."

    def send(self, process: object, text: str | bytes, control: str = "", socket: int = 0) -> str:
        """Send a message on a socket of a process.

        Raises:
            ScopeError: no such process or socket, or the kernel refused.
        """
        app = self.process(process)
        lane = self._lane(app, control, socket)
        data = text.encode() if isinstance(text, str) else text
        errno, sent = self.mac.syscalls.sendto(app.pid, lane.fds[0], data, MSG_DONTWAIT)
        if errno:
            raise _refused(f"send(fd {lane.fds[0]})", app, errno)
        return f"{app.name} sent {some(sent, 'byte')} on fd {lane.fds[0]}."

    def recv(self, process: object, control: str = "", socket: int = 0) -> str:
        """Read once from a socket of a process, without waiting.

        Raises:
            ScopeError: no such process or socket, or the kernel refused.
        """
        app = self.process(process)
        lane = self._lane(app, control, socket)
        errno, data = self.mac.syscalls.recvfrom(app.pid, lane.fds[0], MOST, MSG_DONTWAIT)
        if errno:
            raise _refused(f"recv(fd {lane.fds[0]})", app, errno)
        return f"{app.name} read {some(len(data), 'byte')} from fd {lane.fds[0]}."

    def step(self) -> str:
        """Run one task to where it next lets go.

        Raises:
            ScopeError: no task can run.
        """
        if not self.mac.step():
            raise ScopeError(
                "no task can run: every program is asleep, has ended, or none was started"
            )
        return "One task ran to where it lets go."

    def faults(self) -> list[Fault]:
        """The faults that can apply now."""
        return faults.offered(self.mac)

    def fault(self, label: str) -> str:
        """Apply a fault by its label.

        Raises:
            ScopeError: no such fault can apply now.
        """
        for fault in self.faults():
            if fault.label == label:
                fault.inject(self.mac)
                return f"From now on: {label}."
        raise ScopeError(f"the fault {label!r} cannot apply to this machine now")

    def live(self) -> dict[str, Any]:
        """What the controls offer: processes, controls, faults."""
        names = [one.name for one in scene(self.mac.snapshot()).controls]
        faults = [] if self.mac.panic else [fault.label for fault in self.faults()]
        return {
            "processes": [{"pid": app.pid, "name": app.name} for app in self.mac.processes],
            "controls": list(dict.fromkeys(names)),
            "faults": [{"id": label, "label": label} for label in dict.fromkeys(faults)],
        }


def _refused(call: str, app: App, errno: int | None) -> Refused:
    number = errno or 0
    why = message_of(number)
    return Refused(f"The kernel refused {call} of {app.name}: {why} ({name_of(number)}).")
