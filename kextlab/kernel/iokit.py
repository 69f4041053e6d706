"""IOKit's gate: how a process enters IOKit, and how drivers come into the kernel.

``mac.iokit`` is of one boot. To the outside it starts drivers and terminates them; a process's
``iokit`` module calls its ``io_...`` routines, named as MIG names them. They take the pid and plain
values and answer (code, value), as the system calls do, and each is one crossing into the kernel.

An exception that leaves a driver's routine is a fault in kernel mode: a panic. Read beside it:
``osfmk/device/device.defs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from kextlab.abi.mach import KERN_SUCCESS
from kextlab.bsd.kern_control import fault
from kextlab.iokit.machine import IOKit
from kextlab.iokit.memory import IOMemoryMap, Window
from kextlab.iokit.server import Answer, DriverError, Server
from kextlab.iokit.service import IOService, Task
from kextlab.kernel.mach_traps import MachTraps
from kextlab.kernel.syscalls import ENDS
from kextlab.kernel.system import System
from kextlab.kernel.traps import Traps
from kextlab.sched.stop import PAGE_FAULT, KernelPanic, SimStop, interrupted
from kextlab.trace.codes import RETURN, TOUCH, Entry

D = TypeVar("D", bound=IOService)
T = TypeVar("T")


class IOKitGate(Traps):
    """IOKit of one boot, as ``mac.iokit``.

    Attributes:
        mach: the calls of Mach that go with it: connections and services are names of rights.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.mach = MachTraps(system)
        record = None if system.rec is None else self._record
        self.kernel = IOKit(
            record,
            log=system.log.append,
            panic=self._panic,
            unloaded=self._unloaded,
            ipc=system.ipc,
        )
        self.server = Server(self.kernel)
        self._windows: dict[tuple[int, int], Window] = {}

    def __repr__(self) -> str:
        return f"<IOKit, {len(self.services)} drivers>"

    @property
    def services(self) -> list[IOService]:
        """The drivers that run, oldest first."""
        return self.server.services

    def state(self) -> dict[str, dict[str, object]]:
        """Its objects as plain values, by name."""
        return self.kernel.state()

    # -- recording, and what ends a call ---------------------------------------------------

    def _record(self, entry: Entry) -> None:
        """Record; a driver called from outside, after tasks ran, says so first."""
        if self._system.closed:
            self._system.check("driver")
        assert self._system.rec is not None
        self._system.rec(entry)

    def _panic(self, text: str) -> NoReturn:
        """A fault inside of a routine of the kernel that a driver called."""
        panic = KernelPanic(f"{PAGE_FAULT} in the memory of a driver: {text}")
        self._system.stop(panic)
        self._system.record_stop(panic)
        raise panic

    def _run(self, what: str, function: Callable[[], T]) -> T:
        """Run what may call a driver.

        Raises:
            KernelPanic: an exception left a driver's routine.
        """
        system = self._system
        try:
            return function()
        except ENDS as end:
            stop = interrupted(end) if isinstance(end, KeyboardInterrupt | SystemExit) else end
            if isinstance(stop, SimStop):
                system.stop(stop)
            system.record_stop(stop)
            raise
        except DriverError:
            raise
        except Exception as exc:
            panic = fault(what, exc)
            system.stop(panic)
            system.record_stop(panic)
            raise panic from exc

    # -- drivers, from outside -------------------------------------------------------------

    def add_driver(self, factory: Callable[[], D], name: str = "") -> D:
        """Make a driver, start it, and let processes find it under ``name`` and its class.

        Raises:
            TypeError: ``factory`` is no class of IOService.
            DriverError: its ``init`` or ``start`` refused.
            KernelPanic: one of them took the machine down.
        """
        self._system.alive("driver")
        made: object = factory
        if not (isinstance(made, type) and issubclass(made, IOService)):
            raise TypeError(f"add_driver takes a class of IOService; got {factory!r}")
        bundle, copies = made.__name__, 1
        while bundle in self._system.texts:  # of a kext, or of an earlier driver
            copies += 1
            bundle = f"{made.__name__}-{copies}"
        with self._system.journal.noting("add_driver", factory, name):
            self._system.map_text(bundle)
            try:
                return self._run("start", lambda: self.server.add_driver(factory, name, bundle))
            except DriverError:
                self._unloaded(bundle)
                raise

    def terminate(self, driver: IOService) -> None:
        """Terminate a driver, and first what stands on it. It goes, and its code leaves memory, as
        soon as its clients have closed it."""
        self._system.check("driver")
        with self._system.journal.noting("terminate", getattr(driver, "name", "")):
            self._run("stop", driver.terminate)

    def _unloaded(self, bundle: str) -> None:
        text = self._system.texts[bundle]
        if text.mapped:
            self._system.unmap_text(text)

    # -- processes -------------------------------------------------------------------------

    def senders_gone(self) -> None:
        """Tell the drivers of the connections that nobody has a right to any more.

        Raises:
            KernelPanic: as ``_run``.
        """
        later = self.kernel.ipc.later
        while later:
            self._run("clientDied", later.popleft())

    def _asked(self, pid: int, name: str, *args: object) -> Task:
        """A call begins: who asks."""
        process = self._process(pid)
        return Task(pid, process.uid, self._enter(pid, name, *args))

    def _answer(self, code: int, value: T) -> tuple[int, T]:
        """A call ends with an IOReturn."""
        self._settle()
        if self._rec is not None:
            self._rec((RETURN, code, value))
        return code, value

    # -- services and connections ----------------------------------------------------------

    def io_service_get_matching_service(self, pid: int, name: str) -> tuple[int, int]:
        """(code, service); service 0: there is none."""
        task = self._asked(pid, "io_service_get_matching_service", name)
        service = self.server.get_matching_service(task, name)
        return self._answer(KERN_SUCCESS, service)

    def io_service_open(self, pid: int, service: int, owning: bool, type: int) -> tuple[int, int]:
        """(code, connection). As ``Server.service_open``."""
        task = self._asked(pid, "io_service_open", service, owning, type)
        answer = self._run(
            "newUserClient", lambda: self.server.service_open(task, service, owning, type)
        )
        return self._answer(*answer)

    def io_service_close(self, pid: int, connection: int) -> tuple[int, None]:
        """As ``Server.service_close``."""
        task = self._asked(pid, "io_service_close", connection)
        code = self._run("clientClose", lambda: self.server.service_close(task, connection))
        return self._answer(code, None)

    def io_connect_method(
        self,
        pid: int,
        connection: int,
        selector: int,
        scalars: Sequence[int],
        structure: bytes,
        scalar_room: int,
        room: int,
    ) -> tuple[int, Answer]:
        """(code, (scalars, structure, structure out of line)). As ``Server.connect_method``."""
        args = (connection, selector, tuple(scalars), structure, scalar_room, room)
        task = self._asked(pid, "io_connect_method", *args)
        answer = self._run("externalMethod", lambda: self.server.connect_method(task, *args))
        return self._answer(*answer)

    def io_connect_async_method(
        self, pid: int, connection: int, wake_port: int, references: int
    ) -> tuple[int, None]:
        """As ``Server.connect_async_method``."""
        args = (connection, wake_port, references)
        task = self._asked(pid, "io_connect_async_method", *args)
        code = self._run("externalMethod", lambda: self.server.connect_async_method(task, *args))
        return self._answer(code, None)

    # -- memory ----------------------------------------------------------------------------

    def io_connect_map_memory(
        self, pid: int, connection: int, type: int, owning: bool, flags: int
    ) -> tuple[int, tuple[int, int]]:
        """(code, (address, bytes)); ``window`` is what lies there."""
        args = (connection, type, owning, flags)
        task = self._asked(pid, "io_connect_map_memory", *args)
        code, found = self._run(
            "clientMemoryForType", lambda: self.server.connect_map_memory(task, *args)
        )
        value = (0, 0) if found is None else self._mapped(pid, found)
        return self._answer(code, value)

    def _mapped(self, pid: int, mapping: IOMemoryMap) -> tuple[int, int]:
        address = mapping.address

        @contextmanager
        def writing(offset: int, data: bytes) -> Iterator[None]:
            journal = self._system.journal
            with journal.noting("touch", "window", pid, address, offset, data):
                if self._rec is not None:
                    self._rec((TOUCH, pid, "write", address + offset, len(data), 0))
                yield

        self._windows[pid, address] = Window(mapping, lambda: self._touch(pid, address), writing)
        return address, mapping.length

    def _touch(self, pid: int, address: int) -> None:
        """A process touches memory; no call into the kernel, but it must be alive."""
        start = self._system.trace.mark()
        process = self._process(pid)  # it may be task 0's turn again
        self._system.journal.noted(start, "touch", "peek", pid, address)
        self._check_alive(process)

    def window(self, pid: int, address: int) -> Window:
        """The mapped memory that begins at an address. KeyError: none does."""
        return self._windows[pid, address]

    def io_connect_unmap_memory(
        self, pid: int, connection: int, type: int, owning: bool, address: int
    ) -> tuple[int, None]:
        """As ``Server.connect_unmap_memory``."""
        args = (connection, type, owning, address)
        task = self._asked(pid, "io_connect_unmap_memory", *args)
        code = self._run(
            "clientMemoryForType", lambda: self.server.connect_unmap_memory(task, *args)
        )
        return self._answer(code, None)

    # -- notifications ---------------------------------------------------------------------

    def io_connect_set_notification_port(
        self, pid: int, connection: int, type: int, port: int, reference: int
    ) -> tuple[int, None]:
        """As ``Server.connect_set_notification_port``."""
        args = (connection, type, port, reference)
        task = self._asked(pid, "io_connect_set_notification_port", *args)
        code = self._run(
            "registerNotificationPort",
            lambda: self.server.connect_set_notification_port(task, *args),
        )
        return self._answer(code, None)
