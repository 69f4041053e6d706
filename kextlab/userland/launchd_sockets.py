"""launchd's sockets: it listens for a job, and hands the listening socket over when the job runs.

launchd makes, binds and keeps the sockets a job's property list names, and waits in ``select`` for
the first client. The job's program asks for descriptors of the same sockets
(``launch_activate_socket``) and accepts. When it dies, the sockets stay launchd's: who had been
accepted comes to the end of data, who waits goes on waiting, for the next run.

Read beside it: ``launch.h`` (``launch_activate_socket``), ``launchd.plist(5)``; launchd 842's
``core.c`` (``socketgroup_watch``, ``socketgroup_delete``) and ``launchctl.c``
(``sock_dict_edit_entry``). Documented only. Otherwise than there: a job asks by a call, not by a
message with file ports, and one thread waits for each job, not one kqueue for all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from kextlab.abi.constants import SOCK_DGRAM, SOCK_STREAM, SOMAXCONN
from kextlab.abi.errno import EALREADY, ENOENT
from kextlab.bsd.uipc import Descriptors
from kextlab.sched.task import Task
from kextlab.userland.gate import check
from kextlab.userland.launchd_plist import SocketPlist

if TYPE_CHECKING:
    from kextlab.userland.launchd import Launchd
    from kextlab.userland.process import App
    from kextlab.userland.socket import Socket


class JobSockets:
    """The sockets of one job.

    Attributes:
        held: launchd's socket objects by the name the property list gives them.
        given: the names the running process has asked for.
    """

    def __init__(self, launchd: App, wanted: tuple[SocketPlist, ...]) -> None:
        self._launchd = launchd
        self.held: dict[str, list[Socket]] = {}
        self.given: set[str] = set()
        self._watcher: Task | None = None
        self._sockets = [(one, self._made(one)) for one in wanted]
        for one, made in self._sockets:
            self.held.setdefault(one.name, []).append(made)

    def _made(self, wanted: SocketPlist) -> Socket:
        socket, os = self._launchd.socket, self._launchd.os
        made: Socket = socket.socket(socket.AF_UNIX, SOCK_STREAM if wanted.stream else SOCK_DGRAM)
        with suppress(FileNotFoundError):
            os.unlink(wanted.path)
        made.bind(wanted.path)
        if wanted.mode is not None:
            os.chmod(wanted.path, wanted.mode)
        if wanted.stream:
            made.listen(SOMAXCONN)
        return made

    def plain(self, holder: Descriptors) -> tuple[tuple[str, str, int], ...]:
        """Of each socket its name in the property list, its path, the kernel's number of it."""
        return tuple(
            (wanted.name, wanted.path, holder.files[one.fileno()].so.number)
            for wanted, one in self._sockets
        )

    def waits(self) -> bool:
        """Is there a client nobody has accepted, or a datagram nobody has read?"""
        gate, pid = self._launchd.gate, self._launchd.pid
        return any(gate.poll(pid, one.fileno())[1][0] for one in self._all())

    def _all(self) -> list[Socket]:
        return [one for _, one in self._sockets]

    def watch(self, label: str, poke: Callable[[], None]) -> None:
        """Call ``poke`` when there is a client: once, unless a watch is on already."""
        if self.held and (self._watcher is None or self._watcher.done):
            name = f"launchd for {label}"
            self._watcher = self._launchd.run(self._wait, poke, name=name)

    def _wait(self, app: App, poke: Callable[[], None]) -> None:
        try:
            app.select.select(self._all(), [], [])
        except (OSError, ValueError):  # unloaded meanwhile
            return
        poke()

    def give(self, name: str, holder: Descriptors, to: Descriptors) -> tuple[int, tuple[int, ...]]:
        """(errno, descriptors of the sockets of that name). ENOENT, EALREADY."""
        if name not in self.held:
            return ENOENT, ()
        if name in self.given:
            return EALREADY, ()
        self.given.add(name)
        fds = []
        for one in self.held[name]:
            file = holder.files[one.fileno()]
            file.count += 1
            fds.append(to.install(file))
        return 0, tuple(fds)

    def close(self) -> None:
        """The job is unloaded. The paths stay: who connects is refused."""
        for one in self._all():
            one.close()


def module(app: App, launchd: Launchd) -> ModuleType:
    """The ``launch`` module of that process: what a Mac's launch.h has for jobs with sockets."""

    def launch_activate_socket(name: str) -> list[int]:
        """Descriptors of the sockets the process's own property list has under that name.

        ESRCH (the process is no job of launchd's), ENOENT (no such name in its property list),
        EALREADY (asked for before).
        """
        app.check()
        errno, fds = launchd.activate_socket(app.pid, name)
        check(errno)
        for fd in fds:
            app.files.opened(fd)
        return list(fds)

    result = ModuleType("launch", "launchd's calls for a job, as launch.h has them.")
    result.__dict__.update(launch_activate_socket=launch_activate_socket)
    return result
