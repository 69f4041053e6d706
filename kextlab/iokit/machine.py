"""What all drivers of one kernel share: its objects as the trace shows them, its way out.

An ``IOKit`` belongs to one boot. Drivers know it as ``self.kernel``, where C++ has globals: two
machines share nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import GeneratorType
from typing import Any, NoReturn, Protocol

from kextlab.osfmk.ipc_space import Ipc
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import CALLBACK, DELETE, KPI, RETURN, SET, Entry, group, new

Record = Callable[[Entry], None]


class Shown(Protocol):
    """An object of the trace."""

    def state(self) -> dict[str, object]:
        """Its fields as plain values."""
        ...


class Owner(Protocol):
    """Who asks for memory or a queue: a driver, one of its user clients, or the kernel itself."""

    @property
    def kernel(self) -> IOKit:
        """IOKit of its machine."""
        ...

    @property
    def bundle(self) -> str:
        """The kext its code is in."""
        ...


def panics(text: str) -> NoReturn:
    """What a fault in a driver comes to where no kernel stands above."""
    raise KernelPanic(text)


def ignore(_: object) -> None:
    """Nobody wants to know."""


class IOKit:
    """IOKit of one boot.

    Args:
        record: takes trace entries; ``None``: nothing is recorded.
        page_size: bytes of a page, 4096 or 16384.
        log: takes what drivers print (IOLog).
        panic: raises what a driver's fault comes to.
        unloaded: told of a driver's kext that nothing runs in any more.
        ipc: the ports of the machine (default: its own).

    Raises:
        ValueError: any other page size.
    """

    def __init__(
        self,
        record: Record | None = None,
        *,
        page_size: int = 4096,
        log: Callable[[str], object] = ignore,
        panic: Callable[[str], NoReturn] = panics,
        unloaded: Callable[[str], object] = ignore,
        ipc: Ipc | None = None,
    ) -> None:
        if page_size not in (4096, 16384):
            raise ValueError(f"page_size = {page_size!r}, expected 4096 or 16384")
        self.rec = record
        self.page_size = page_size
        self.IOLog = log
        self.panic = panic
        self.unloaded = unloaded
        self.ipc = Ipc() if ipc is None else ipc
        self.bundle = "com.apple.iokit"
        self.objects: dict[str, Shown] = {}
        self._numbers: dict[str, int] = {}

    @property
    def kernel(self) -> IOKit:
        """Itself, as an owner."""
        return self

    def round_page(self, size: int) -> int:
        """The bytes of whole pages that hold ``size``."""
        return -(-size // self.page_size) * self.page_size

    # -- objects of the trace --------------------------------------------------------------

    def number(self, kind: str) -> int:
        """The next number of that kind, from 1 on."""
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return number

    def add(self, name: str, thing: Shown) -> None:
        """An object is there."""
        self.objects[name] = thing
        if self.rec is not None:
            self.rec(new(name, thing.state()))

    def changed(self, name: str, *fields: str) -> None:
        """Those fields of an object have other values now."""
        if self.rec is not None and fields:
            state = self.objects[name].state()
            entries = [(SET, name, field, state[field]) for field in fields]
            self.rec(entries[0] if len(entries) == 1 else group(*entries))

    def remove(self, name: str) -> None:
        """An object is gone."""
        del self.objects[name]
        if self.rec is not None:
            self.rec((DELETE, name))

    def state(self) -> dict[str, dict[str, object]]:
        """All objects as plain values, by name: what the trace's changes add up to."""
        return {name: thing.state() for name, thing in self.objects.items()}

    # -- calls -----------------------------------------------------------------------------

    def callback(
        self, owner: Owner, routine: str, *args: object, told: tuple[object, ...] = ()
    ) -> Any:
        """Call a driver's routine by its name; ``told`` are its arguments as plain
        values, for the trace.

        Raises:
            NotImplementedError: it is a generator, which could sleep.
        """
        if self.rec is not None:
            name = f"{type(owner).__name__}::{routine}"
            self.rec((CALLBACK, owner.bundle, name, len(told), *told))
        answer = getattr(owner, routine)(*args)
        if isinstance(answer, GeneratorType):
            raise NotImplementedError(f"a driver's {routine} that sleeps is not modelled")
        return answer

    def bool_of(self, owner: Owner, routine: str, *args: object) -> bool:
        """As ``callback``, for a routine that answers true or false.

        Raises:
            TypeError: it answers anything else.
        """
        answer = self.callback(owner, routine, *args)
        if not isinstance(answer, bool):
            raise TypeError(f"{routine} returned {answer!r}, expected True or False")
        self.returned(0, answer)
        return answer

    def code_of(
        self, owner: Owner, routine: str, *args: object, told: tuple[object, ...] = ()
    ) -> int:
        """As ``callback``, for a routine that answers an IOReturn.

        Raises:
            TypeError: it answers anything else.
        """
        answer = self.callback(owner, routine, *args, told=told)
        if type(answer) is not int or not -(1 << 31) <= answer < 1 << 32:
            raise TypeError(f"{routine} returned {answer!r}, expected an IOReturn")
        answer &= 0xFFFFFFFF
        self.returned(answer, None)
        return answer

    def called(self, owner: Owner, routine: str, *args: object) -> None:
        """A driver calls a routine of the kernel."""
        if self.rec is not None:
            self.rec((KPI, owner.bundle, routine, len(args), *args))

    def returned(self, code: int, value: object) -> None:
        """The innermost call answers."""
        if self.rec is not None:
            self.rec((RETURN, code, value))
