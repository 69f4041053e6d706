"""``Kernel`` as notebooks know it: the simulated Mac with processes whose client code is real.

mac = Kernel()
app = mac.spawn("client", uid=501)
socket, fcntl, os = app.socket, app.fcntl, app.os
"""

from __future__ import annotations

from kextlab.kernel import kernel
from kextlab.userland.gate import Gate
from kextlab.userland.launchd import Launchd
from kextlab.userland.process import App


class Kernel(kernel.Kernel):
    """A simulated Mac with user processes; arguments and the rest as ``kextlab.kernel.Kernel``.

    What was loaded with ``launchd.load`` and not unloaded is loaded again by ``reboot``.
    """

    def _boot(self) -> None:
        for app in getattr(self, "_apps", ()):
            app.ended_with = self.boots
        before = getattr(self, "launchd", None)
        super()._boot()
        self._apps: list[App] = []
        self.launchd = Launchd(self)
        if before is not None:
            self.launchd.boot(before.installed)

    @property
    def processes(self) -> list[App]:
        """The processes spawned since boot and not exited, oldest first."""
        return [app for app in self._apps if not app.exited]

    def spawn(self, name: str, uid: int = 501, *, gate: Gate | None = None) -> App:
        """Start a process.

        Args:
            name: as ``ps`` would show it.
            uid: its user; 0 is root, 501 the first user of a Mac.
            gate: what it enters the kernel through instead of ``mac.syscalls``.

        Raises:
            KernelPanic: the machine has panicked; ``reboot()`` first.
        """
        process = self.start_process(name, uid)
        own = gate is None
        mach = (self.mach_traps, self.launchd, self.vm_traps) if own else None
        gate = self.syscalls if gate is None else gate
        system = self.system if own else None
        app = App(process, gate, self.trace, self.system.tasks, mach, system)
        self._apps.append(app)
        return app
