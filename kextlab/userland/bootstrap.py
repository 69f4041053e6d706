"""The bootstrap server: how two processes that share no right find each other.

launchd holds the receive right of every service until somebody checks in, and hands out send rights
to whoever looks up, checked in or not: messages wait in the queue. When the process that checked in
dies, the receive right comes back to launchd by a port-destroyed notification, with what is queued.

The codes and their order are those of the last open launchd (842, macOS 10.9): ``bootstrap.h``,
``libbootstrap.c``, ``core.c``. Documented only: nothing of this was recorded.

Left out: the MIG messages between a process and launchd (a call is a call here), subsets, sandbox.
Jobs, and starting them on demand, are ``kextlab.userland.launchd``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_TYPE_COPY_SEND,
    MACH_MSG_TYPE_MAKE_SEND,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_MOVE_RECEIVE,
    MACH_MSG_TYPE_PORT_RECEIVE,
    MACH_MSG_TYPE_PORT_SEND,
    MACH_NOTIFY_PORT_DESTROYED,
    MACH_PORT_RIGHT_RECEIVE,
    mach_error_name,
)
from kextlab.abi.mach_messages import PortDescriptor
from kextlab.kernel.traps import Traps, trap
from kextlab.osfmk import ipc_kmsg_body, mach_msg, mach_port
from kextlab.osfmk.ipc_port import Object, Port
from kextlab.osfmk.ipc_space import Space

if TYPE_CHECKING:
    from kextlab.kernel.system import System
    from kextlab.userland.launchd_job import Job

BOOTSTRAP_SUCCESS: Final = 0
BOOTSTRAP_NOT_PRIVILEGED: Final = 1100
BOOTSTRAP_NAME_IN_USE: Final = 1101
BOOTSTRAP_UNKNOWN_SERVICE: Final = 1102
BOOTSTRAP_SERVICE_ACTIVE: Final = 1103
BOOTSTRAP_BAD_COUNT: Final = 1104
BOOTSTRAP_NO_MEMORY: Final = 1105
NAMES: Final = {
    value: name for name, value in list(globals().items()) if name.startswith("BOOTSTRAP_")
}
BOOTSTRAP_MAX_NAME_LEN: Final = 128  # name_t, the terminating 0 included


@dataclass
class Service:
    """A name, launchd's own name of its port, who has checked in (0: nobody), whose it is."""

    port: int
    owner: int = 0
    job: Job | None = None


class Bootstrap(Traps):
    """launchd, as far as it finds services."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.services: dict[str, Service] = {}
        self._names: Space | None = None
        self._told = 0

    @property
    def space(self) -> Space:
        """launchd's own names; launchd begins with the first call."""
        if self._names is None:
            process = self._system.spawn("launchd", 0)
            self._names = self._new_space(process)
            _, self._told = mach_port.allocate(self._names, MACH_PORT_RIGHT_RECEIVE)
        return self._names

    def _enter(self, pid: int, name: str, *args: object) -> Space:
        self._process(pid)
        _ = self.space  # launchd is there before the first call
        space = super()._enter(pid, name, *args)
        self._news()
        return space

    @staticmethod
    def _word(code: int) -> str:
        return (NAMES.get(code) if code else None) or mach_error_name(code)

    def _news(self) -> None:
        """Take back the receive rights of those who died."""
        while True:
            _, got = mach_msg.receive(self.space, self._told, 4096, 0)
            if got is None:
                return
            if got.header.id != MACH_NOTIFY_PORT_DESTROYED:
                continue
            (right,) = got.descriptors
            assert isinstance(right, PortDescriptor)
            name = right.name
            mine = [one for one in self.services.values() if one.port == name]
            for service in mine:
                service.owner = 0
            if not mine:  # its job was unloaded
                mach_port.destroy(self.space, name)

    def _watch(self, port: int) -> None:
        _, told = mach_port.copyin(self.space, self._told, MACH_MSG_TYPE_MAKE_SEND_ONCE)
        assert isinstance(told, Port)
        mach_port.request_notification(self.space, port, MACH_NOTIFY_PORT_DESTROYED, 0, told)

    def create(self, name: str) -> Service:
        """A new service, whose receive right launchd holds: what a job's MachServices name."""
        _, port = mach_port.allocate(self.space, MACH_PORT_RIGHT_RECEIVE)
        _, right = mach_port.copyin(self.space, port, MACH_MSG_TYPE_MAKE_SEND)
        self._put(self.space, right, MACH_MSG_TYPE_PORT_SEND)
        service = self.services[name] = Service(port)
        return service

    @staticmethod
    def _put(space: Space, right: Object, kind: int) -> int:
        code, name = ipc_kmsg_body.copyout_object(space, right, kind)
        assert code == KERN_SUCCESS
        return name

    # -- the calls ---------------------------------------------------------------------

    @trap("s")
    def check_in(self, pid: int, name: str) -> tuple[int, int]:
        """(code, name of the receive right). Creates a service nobody has heard of.
        BOOTSTRAP_SERVICE_ACTIVE, BOOTSTRAP_NOT_PRIVILEGED."""
        space = self._enter(pid, "bootstrap_check_in", name)
        return self._leave(*self._check_in(space, name))

    def _check_in(self, space: Space, name: str) -> tuple[int, int]:
        service = self.services.get(name) or self.create(name)
        if service.owner:
            mine = service.owner == space.pid
            return (BOOTSTRAP_SERVICE_ACTIVE if mine else BOOTSTRAP_NOT_PRIVILEGED), 0
        if service.job is not None and service.job.pid != space.pid:
            return BOOTSTRAP_NOT_PRIVILEGED, 0
        self._watch(service.port)
        _, right = mach_port.copyin(self.space, service.port, MACH_MSG_TYPE_MOVE_RECEIVE)
        service.owner = space.pid
        return BOOTSTRAP_SUCCESS, self._put(space, right, MACH_MSG_TYPE_PORT_RECEIVE)

    @trap("s")
    def look_up(self, pid: int, name: str) -> tuple[int, int]:
        """(code, name of a send right), whether or not anybody has checked in.
        BOOTSTRAP_UNKNOWN_SERVICE."""
        space = self._enter(pid, "bootstrap_look_up", name)
        return self._leave(*self._look_up(space, name))

    def _look_up(self, space: Space, name: str) -> tuple[int, int]:
        service = self.services.get(name)
        if service is None:
            return BOOTSTRAP_UNKNOWN_SERVICE, 0
        _, right = mach_port.copyin(self.space, service.port, MACH_MSG_TYPE_COPY_SEND)
        if not isinstance(right, Port):  # it was registered, and its owner is gone
            del self.services[name]
            return BOOTSTRAP_UNKNOWN_SERVICE, 0
        return BOOTSTRAP_SUCCESS, self._put(space, right, MACH_MSG_TYPE_PORT_SEND)

    @trap("sn")
    def register(self, pid: int, name: str, port: int) -> tuple[int, None]:
        """Offer a port of one's own under a name (deprecated since macOS 10.5).
        BOOTSTRAP_NOT_PRIVILEGED, BOOTSTRAP_SERVICE_ACTIVE; codes of the right."""
        space = self._enter(pid, "bootstrap_register", name, port)
        service = self.services.get(name)
        if service is not None and service.owner:
            mine = service.owner == pid
            return self._leave(BOOTSTRAP_SERVICE_ACTIVE if mine else BOOTSTRAP_NOT_PRIVILEGED, None)
        code, right = mach_port.copyin(space, port, MACH_MSG_TYPE_COPY_SEND)
        if code == KERN_SUCCESS:
            ours = self._put(self.space, right, MACH_MSG_TYPE_PORT_SEND)
            self.services[name] = Service(ours, pid)
        return self._leave(code, None)

    @trap("s")
    def create_service(self, pid: int, name: str) -> tuple[int, int]:
        """(code, name of a send right): checks in, drops the receive right again, looks up
        (deprecated since macOS 10.6)."""
        space = self._enter(pid, "bootstrap_create_service", name)
        code, port = self._check_in(space, name)
        if code != BOOTSTRAP_SUCCESS:
            return self._leave(code, 0)
        mach_port.mod_refs(space, port, MACH_PORT_RIGHT_RECEIVE, -1)
        self._news()
        return self._leave(*self._look_up(space, name))
