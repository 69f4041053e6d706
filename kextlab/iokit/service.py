"""Drivers: what every object of IOKit's service plane is.

Models, of ``iokit/Kernel/IOService.cpp``, the life of a driver (``init``, ``start``, ``stop``),
exclusive open (``handleOpen``), ``newUserClient``, and termination: an object is stopped when
nothing stands on it any more and it has closed what it stands on. A client that forgets to close
its provider is therefore never stopped, and the provider stays taken.

Left out: matching by anything but names, probing, power, messages, busy states, seizing, the
``newUserClient`` of four arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kextlab.abi.iokit import kIOReturnBadArgument, kIOReturnSuccess, kIOReturnUnsupported
from kextlab.abi.mach import MACH_PORT_NULL
from kextlab.bsd.kctl import Out
from kextlab.iokit.machine import IOKit
from kextlab.osfmk.ipc_object import port_destroy
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Space


@dataclass(frozen=True, slots=True)
class Task:
    """``task_t``: the process that opens, as a driver sees it."""

    pid: int
    uid: int
    space: Space


class IOService:
    """Base of drivers: subclass it, override what differs, and call ``super()`` where C++ would.

    Attributes:
        IOUserClientClass: the class of IOUserClient a process gets that opens it; ``None``: it
            cannot be opened.
        kernel: IOKit of the machine it runs on, there from before ``init`` on.
        bundle: the kext its code is in.
        provider: what it stands on, from before ``start`` until after ``stop``.
        clients: what stands on it.
        port: what processes have send rights to.
    """

    IOUserClientClass: ClassVar[type[Any] | None] = None
    kind: ClassVar[str] = "io_service"
    kernel: IOKit
    bundle = ""

    def __repr__(self) -> str:
        state = getattr(self, "name", "not attached")
        return f"<{type(self).__name__}, {state}{', inactive' if self.isInactive() else ''}>"

    # What it has before the kernel attaches it, whether or not a subclass has an __init__.
    provider: IOService | None = None
    registered = ""
    _owner: IOService | None = None
    _inactive = False

    # -- life ------------------------------------------------------------------------------

    def init(self) -> bool:
        """It was made. False refuses."""
        return True

    def start(self, provider: IOService) -> bool:
        """It is attached to its provider and may begin to work. False refuses."""
        return True

    def stop(self, provider: IOService) -> None:
        """It is terminated; undo what ``start`` did."""

    def _attach(self, kernel: IOKit, provider: IOService | None) -> None:
        """It is an object of the machine from here on (``attach``)."""
        self.kernel = kernel
        self.provider = provider
        self.clients: list[IOService] = []
        self.port = Port(kernel.ipc, kernel.ipc.kernel, MACH_PORT_NULL, self)
        self.number = kernel.number(self.kind)
        self.name = f"{self.kind}:{self.number}"
        if provider is not None:
            provider.clients.append(self)
        kernel.add(self.name, self)

    def _detach(self) -> None:
        """It stands on nothing any more, and is forgotten (``detach``)."""
        assert self.provider is not None
        self.provider.clients.remove(self)
        self._destroy_user_references()
        self.kernel.remove(self.name)
        if self.provider.provider is None:  # a driver, not what stands on one
            self.kernel.unloaded(self.bundle)

    def _destroy_user_references(self) -> None:
        """Processes' names for it are dead from here on (``destroyUserReferences``)."""
        port_destroy(self.kernel.ipc, self.port)

    def no_senders(self, port: Port) -> None:
        """No process has a name for it any more: it does not mind."""

    def state(self) -> dict[str, object]:
        """Its class, the name it is found by, who has it open, whether it is terminating."""
        return {
            "class": type(self).__name__,
            "registered": self.registered,
            "owner": "" if self._owner is None else self._owner.name,
            "active": not self._inactive,
        }

    def getName(self) -> str:
        """The name it is registered by, else its class."""
        return self.registered or type(self).__name__

    def getProvider(self) -> IOService | None:
        """What it stands on."""
        return self.provider

    def isInactive(self) -> bool:
        """Whether it was terminated."""
        return self._inactive

    def registerService(self, name: str = "") -> None:
        """Processes can find it, by this name and by its class."""
        self.registered = name or type(self).__name__
        self.kernel.changed(self.name, "registered")

    def matches(self, name: str) -> bool:
        """Whether ``IOServiceMatching(name)`` finds it: by the name it is registered by, its class
        or one its class is derived from."""
        classes = {each.__name__ for each in type(self).__mro__}
        return bool(self.registered) and not self._inactive and name in {self.registered, *classes}

    def terminate(self, options: int = 0) -> bool:
        """It goes: what stands on it first, then itself, as soon as it has closed its provider."""
        if not self._inactive:
            self._inactive = True
            self.kernel.changed(self.name, "active")
            for client in list(self.clients):
                client.terminate(options)
            self._stop_if_free()
        return True

    def _stop_if_free(self) -> None:
        """``scheduleStop``, when nothing is in its way."""
        provider = self.provider
        if not self._inactive or self.clients or provider is None or provider.isOpen(self):
            return
        self.kernel.callback(self, "stop", provider)
        self.kernel.returned(0, None)
        self._detach()
        self.provider = None
        provider._stop_if_free()

    # -- one at a time ---------------------------------------------------------------------

    def open(self, forClient: IOService, options: int = 0) -> bool:
        """Take it for oneself. False: it is taken, be it by ``forClient``, or terminating."""
        return not self._inactive and self.handleOpen(forClient, options)

    def handleOpen(self, forClient: IOService, options: int) -> bool:
        """Who may open: override it to let in more than one."""
        if self._owner is not None:
            return False
        self._owner = forClient
        self.kernel.changed(self.name, "owner")
        return True

    def isOpen(self, forClient: IOService | None = None) -> bool:
        """Whether ``forClient``, or anybody, has it open (``handleIsOpen``)."""
        return self._owner is not None if forClient is None else self._owner is forClient

    def close(self, forClient: IOService, options: int = 0) -> None:
        """Give it back; nothing if ``forClient`` does not have it."""
        if not self.isOpen(forClient):
            return
        self.handleClose(forClient, options)
        forClient._stop_if_free()

    def handleClose(self, forClient: IOService, options: int) -> None:
        """The other side of ``handleOpen``."""
        self._owner = None
        self.kernel.changed(self.name, "owner")

    # -- user clients ----------------------------------------------------------------------

    def newUserClient(
        self, owningTask: Task, securityID: Task, type: int, properties: object, handler: Out
    ) -> int:
        """Make the user client for a process that opens, put it into ``handler``.

        kIOReturnUnsupported: there is no class for it, or its ``start`` refused.
        kIOReturnBadArgument: its ``initWithTask`` refused. To answer anything else, such as
        kIOReturnNotPrivileged, override this.
        """
        if self.IOUserClientClass is None:
            return kIOReturnUnsupported
        client = self.IOUserClientClass()
        kernel = client.kernel = self.kernel
        client.bundle, client.task, client.type = self.bundle, owningTask, type
        if not kernel.bool_of(client, "initWithTask", owningTask, securityID, type):
            return kIOReturnBadArgument
        client._attach(kernel, self)
        if not kernel.bool_of(client, "start", self):
            client._detach()
            return kIOReturnUnsupported
        handler.value = client
        return kIOReturnSuccess
