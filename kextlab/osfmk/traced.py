"""What the trace follows of Mach IPC: fields whose every change is told, as plain values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from operator import attrgetter
from typing import Protocol, TypeVar

from kextlab.trace.codes import DELETE, SET, new
from kextlab.trace.log import Record

T = TypeVar("T")


class Slot(Protocol[T]):
    """A traced field for who tells the trace of its changes by an entry of another kind."""

    def __get__(self, one: Traced, owner: type[Traced] | None = None) -> T: ...

    def __set__(self, one: Traced, value: T) -> None: ...


class Plain:
    """Something a traced field can hold: ``plain`` is what the trace is told of it."""

    __slots__ = ()

    @abstractmethod
    def plain(self) -> object:
        """It as a plain value."""


class Traced(Plain):
    """Something of Mach IPC whose fields the trace follows: ``record``, if there is one, is told of
    every change of a field in ``TRACED``. Under its name with an underscore a field can be set
    without that (``Slot``)."""

    __slots__ = ("record",)
    TRACED: tuple[str, ...] = ()
    record: Record | None

    @property
    @abstractmethod
    def object_name(self) -> str:
        """Its name in the trace."""

    def __init_subclass__(cls) -> None:
        for name in cls.TRACED:
            slot = cls.__dict__[name]
            setattr(cls, f"_{name}", slot)
            setattr(cls, name, property(attrgetter(f"_{name}"), _told(name, slot)))

    def plain(self) -> str:
        """Its name in the trace."""
        return self.object_name

    def state(self) -> dict[str, object]:
        """Its fields as plain values, as the trace adds them up."""
        return {name: plain(getattr(self, name)) for name in self.TRACED}


class Numbered(Traced):
    """A port or a port set: an object of the trace between ``adopt`` and ``leave``."""

    __slots__ = ("object_name",)
    object_name: str

    def __init__(self) -> None:
        self.object_name = ""
        self.record = None

    def adopt(self, name: str, record: Record | None) -> None:
        """It is an object of the trace from now on."""
        self.object_name = name
        if record is not None:
            record(new(name, self.state()))
        self.record = record

    def leave(self) -> None:
        """It is no object of the trace any more."""
        if self.record is not None:
            self.record((DELETE, self.object_name))
        self.record = None


def _told(field: str, slot: Slot[object]) -> Callable[[Traced, object], None]:
    """What sets a field and tells the trace."""

    def change(one: Traced, value: object) -> None:
        slot.__set__(one, value)
        if one.record is not None:
            one.record((SET, one.object_name, field, plain(value)))

    return change


def plain(value: object) -> object:
    """A value of a traced field: an object of the trace by its name, a list as a tuple."""
    if value is None or value.__class__ is int:
        return value
    if isinstance(value, Plain):
        return value.plain()
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


class Receiver(Plain):
    """Whoever can hold a receive right: a space. ``object_name`` names its process."""

    __slots__ = ("object_name",)
    object_name: str

    def plain(self) -> str:
        """The process."""
        return self.object_name
