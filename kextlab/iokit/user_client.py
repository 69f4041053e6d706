"""User clients: what a process has of a driver, and the methods it calls.

Models, of ``iokit/Kernel/IOUserClient.cpp``, ``initWithTask``, ``clientClose``, ``clientDied``,
``externalMethod`` with its dispatch tables, ``clientMemoryForType``, ``registerNotificationPort``
and ``clientHasPrivilege``.

What surprises: the table's counts must be met exactly, and are compared before the method runs; a
method that leaves ``scalarOutputCount`` alone returns as many scalars as the process asked for.

Left out: entitlements, filters, IOUserClient2022, connecting clients with one another, methods
described by ``IOExternalMethod`` (before Mac OS X 10.5), answers that come later, shared user
clients, traps, locks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from kextlab.abi.iokit import (
    kIOClientPrivilegeAdministrator,
    kIOClientPrivilegeConsoleUser,
    kIOClientPrivilegeForeground,
    kIOClientPrivilegeLocalUser,
    kIOReturnBadArgument,
    kIOReturnNoCompletion,
    kIOReturnNotPrivileged,
    kIOReturnNotReady,
    kIOReturnSuccess,
    kIOReturnUnsupported,
    kIOUCVariableStructureSize,
)
from kextlab.bsd.kctl import Out
from kextlab.iokit.memory import IOMemoryDescriptor, IOMemoryMap
from kextlab.iokit.service import IOService, Task
from kextlab.osfmk.ipc_object import port_destroy, release_send
from kextlab.osfmk.ipc_port import Port


@dataclass(slots=True)
class IOExternalMethodArguments:
    """What a method gets and gives. A structure of more than 4096 bytes comes as a descriptor, and
    then the bytes beside it are empty.

    ``scalarOutput`` and ``structureOutput`` are zeroed, as long as the process asked for, and
    written in place; the counts say how much of them goes back.
    """

    selector: int
    scalarInput: tuple[int, ...] = ()
    structureInput: bytes = b""
    structureInputDescriptor: IOMemoryDescriptor | None = None
    scalarOutput: list[int] = field(default_factory=list)
    scalarOutputCount: int = 0
    structureOutput: bytearray = field(default_factory=bytearray)
    structureOutputSize: int = 0
    structureOutputDescriptor: IOMemoryDescriptor | None = None
    structureOutputDescriptorSize: int = 0
    asyncWakePort: Port | None = None

    @property
    def scalarInputCount(self) -> int:
        """Scalars passed."""
        return len(self.scalarInput)

    @property
    def structureInputSize(self) -> int:
        """Bytes passed, other than by a descriptor."""
        return len(self.structureInput)


IOExternalMethodAction: TypeAlias = Callable[[object, object, IOExternalMethodArguments], int]
"""A method: (target, reference, arguments), answers an IOReturn."""


@dataclass(frozen=True, slots=True)
class IOExternalMethodDispatch:
    """One row of a driver's table: the method, and what it must be called with, exactly.
    kIOUCVariableStructureSize: any number."""

    function: IOExternalMethodAction | None
    checkScalarInputCount: int = 0
    checkStructureInputSize: int = 0
    checkScalarOutputCount: int = 0
    checkStructureOutputSize: int = 0


def _size(descriptor: IOMemoryDescriptor | None, size: int) -> int:
    return size if descriptor is None else descriptor.getLength()


class IOUserClient(IOService):
    """Base of user clients. Override ``externalMethod``, choose the row of your table and pass it
    on to ``super().externalMethod``.

    Attributes:
        task: the process that opened.
        type: the number it opened with.
    """

    kind: ClassVar[str] = "io_client"
    task: Task
    type: int = 0
    closed = False
    finalized = False
    """It was terminated, stopped and detached."""
    port_name = 0
    """The process's name for its connection."""
    mappings: tuple[IOMemoryMap, ...] = ()

    def state(self) -> dict[str, object]:
        """Whose it is, on what driver, by which name; whether it is closed or terminated."""
        assert self.provider is not None
        return {
            **super().state(),
            "provider": self.provider.number,
            "pid": self.task.pid,
            "type": self.type,
            "connect": self.port_name,
            "closed": self.closed,
        }

    def initWithTask(self, owningTask: Task, securityID: Task, type: int) -> bool:
        """It was made for that process. False refuses: the process sees kIOReturnBadArgument."""
        return True

    def clientClose(self) -> int:
        """The process has closed its connection, or has died. Undo what it did, then
        ``terminate()``: who does not terminate here is never freed."""
        return kIOReturnUnsupported

    def clientDied(self) -> int:
        """The process has died, or let go of its connection without closing it."""
        if self.closed:
            return kIOReturnNotReady
        self._close()
        return self.kernel.code_of(self, "clientClose")

    def _close(self) -> None:
        self.closed = True
        self.kernel.changed(self.name, "closed")

    def _destroy_user_references(self) -> None:
        """What is mapped outlives the client: the connection's name then stands for that alone."""
        self.finalized = True
        if not self.mappings:
            super()._destroy_user_references()

    def no_senders(self, port: Port) -> None:
        """No process has a name for it any more (``iokit_client_died``): its process has died, or
        let go of the connection, be it closed or not. The driver is told once the call is through
        that took the last right."""
        self.kernel.ipc.later.append(self._no_senders)

    def _no_senders(self) -> None:
        if not self.finalized:
            self.kernel.code_of(self, "clientDied")
        mapped, self.mappings = self.mappings, ()
        for mapping in mapped:
            mapping.unmap()
        if self.finalized and self.port.active:
            port_destroy(self.kernel.ipc, self.port)

    def clientMemoryForType(self, type: int, options: Out, memory: Out) -> int:
        """The memory to be mapped for ``type``: put a descriptor into ``memory``. ``options`` comes
        as 0; kIOMapReadOnly makes the process's window read only."""
        return kIOReturnUnsupported

    def registerNotificationPort(self, port: Port | None, type: int, refCon: int) -> int:
        """The process wants messages to ``port``. On success its send right is the driver's, to be
        let go of by ``releaseNotificationPort``; otherwise the kernel does that."""
        return kIOReturnUnsupported

    def releaseNotificationPort(self, port: Port | None) -> int:
        """Let go of a send right that ``registerNotificationPort`` brought."""
        if port is None:
            return kIOReturnBadArgument
        release_send(self.kernel.ipc, port)
        return kIOReturnSuccess

    @staticmethod
    def clientHasPrivilege(securityToken: Task, privilegeName: str) -> int:
        """Whether a process has a privilege: kIOReturnSuccess or kIOReturnNotPrivileged.

        Raises:
            NotImplementedError: privileges of whoever sits at the console.
        """
        if privilegeName == kIOClientPrivilegeAdministrator:
            return kIOReturnNotPrivileged if securityToken.uid else kIOReturnSuccess
        if privilegeName in (
            kIOClientPrivilegeLocalUser,
            kIOClientPrivilegeForeground,
            kIOClientPrivilegeConsoleUser,
        ):
            raise NotImplementedError(f"the privilege {privilegeName!r} is not modelled")
        return kIOReturnUnsupported

    def externalMethod(
        self,
        selector: int,
        args: IOExternalMethodArguments,
        dispatch: IOExternalMethodDispatch | None = None,
        target: object = None,
        reference: object = None,
    ) -> int:
        """Compare the arguments with ``dispatch`` and call its method.

        kIOReturnBadArgument: one of the four counts differs, in this order: scalars in, structure
        in, scalars out, structure out. kIOReturnNoCompletion: the row has no method.
        kIOReturnUnsupported: there is no row.
        """
        if dispatch is None:
            return kIOReturnUnsupported
        for wanted, given in (
            (dispatch.checkScalarInputCount, args.scalarInputCount),
            (
                dispatch.checkStructureInputSize,
                _size(args.structureInputDescriptor, args.structureInputSize),
            ),
            (dispatch.checkScalarOutputCount, args.scalarOutputCount),
            (
                dispatch.checkStructureOutputSize,
                _size(args.structureOutputDescriptor, args.structureOutputSize),
            ),
        ):
            if wanted not in (kIOUCVariableStructureSize, given):
                return kIOReturnBadArgument
        if dispatch.function is None:
            return kIOReturnNoCompletion
        return dispatch.function(target, reference, args)
