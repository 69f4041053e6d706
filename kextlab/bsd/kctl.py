"""The data of kernel controls: registration record, control, client, reference table.

Models ``struct kern_ctl_reg``, ``struct kctl``, ``struct ctl_cb`` and the table that turns a
``kern_ctl_ref`` into a control. Read beside it: ``bsd/sys/kern_control.h``,
``bsd/kern/kern_control.c`` (``kctl_make_ref``, ``kctl_from_ref``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kextlab.abi.structs import SockaddrCtl
from kextlab.bsd.kctl_units import Units
from kextlab.bsd.socketvar import Socket
from kextlab.sched.stop import PAGE_FAULT, KernelPanic

Callback = Callable[..., Any]
"""A kext's function. It returns an errno (0 or None is success) or is a generator that does;
Any, because C's prototypes differ from callback to callback."""

NAMES = (
    "connect",
    "disconnect",
    "send",
    "setopt",
    "getopt",
    "rcvd",
    "send_list",
    "bind",
    "setup",
)
"""The callbacks of a control, by the names of their fields without ``ctl_``."""


class Out:
    """A C out-pointer: the callee writes ``value``, the caller reads it."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:  # Any: as untyped as void *
        self.value = value

    def __repr__(self) -> str:
        return f"Out({self.value!r})"


@dataclass(slots=True)
class KernCtlReg:
    """``struct kern_ctl_reg``: what a kext fills in to register a control.

    ``ctl_name`` of 1 to 95 bytes; ``ctl_id`` and ``ctl_unit`` count only with
    CTL_FLAG_REG_ID_UNIT, otherwise ctl_register writes the id it chose; a size of 0 asks for the
    default, which ctl_register writes back. ``ctl_connect`` is required. ``ctl_rcvd`` and
    ``ctl_send_list`` count only with CTL_FLAG_REG_EXTENDED, ``ctl_setup`` only with
    CTL_FLAG_REG_SETUP.
    """

    ctl_name: str = ""
    ctl_id: int = 0
    ctl_unit: int = 0
    ctl_flags: int = 0
    ctl_sendsize: int = 0
    ctl_recvsize: int = 0
    ctl_connect: Callback | None = None
    ctl_disconnect: Callback | None = None
    ctl_send: Callback | None = None
    ctl_setopt: Callback | None = None
    ctl_getopt: Callback | None = None
    ctl_rcvd: Callback | None = None
    ctl_send_list: Callback | None = None
    ctl_bind: Callback | None = None
    ctl_setup: Callback | None = None


class Text:
    """The code of one kext in memory: calling into it after it was unloaded is a page fault."""

    __slots__ = ("mapped", "name", "owner")

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner = f"kext:{name}"
        """The name under which this kext owns mbufs."""
        self.mapped = True


class Kctl:
    """``struct kctl``: one registered control and its clients. ``ctl_register`` fills it in."""

    __slots__ = (
        "bind",
        "connect",
        "disconnect",
        "flags",
        "getopt",
        "id",
        "kctlref",
        "lastunit",
        "name",
        "rcvd",
        "recvbufsize",
        "reg_unit",
        "send",
        "send_list",
        "sendbufsize",
        "serial",
        "setopt",
        "setup",
        "text",
        "units",
    )

    def __init__(self, serial: int, reg: KernCtlReg, text: Text) -> None:
        self.serial = serial
        """Names the control in the trace: ``kctl:SERIAL``."""
        self.text = text
        self.kctlref: int
        self.name = reg.ctl_name
        self.id: int
        self.reg_unit: int
        self.flags = reg.ctl_flags
        self.recvbufsize: int
        self.sendbufsize: int
        self.lastunit = 0
        """Never used by XNU, but reported."""
        self.units: Units[CtlCb] = Units()
        self.connect = reg.ctl_connect
        self.disconnect = reg.ctl_disconnect
        self.send = reg.ctl_send
        self.setopt = reg.ctl_setopt
        self.getopt = reg.ctl_getopt
        self.bind = reg.ctl_bind
        self.rcvd: Callback | None = None
        self.send_list: Callback | None = None
        self.setup: Callback | None = None

    def callbacks(self) -> tuple[str, ...]:
        """Names of the callbacks the control has."""
        return tuple(name for name in NAMES if getattr(self, name) is not None)

    def state(self) -> dict[str, object]:
        """The control as plain values, as the trace adds them up."""
        return {
            "name": self.name,
            "id": self.id,
            "reg_unit": self.reg_unit,
            "flags": self.flags,
            "recvbufsize": self.recvbufsize,
            "sendbufsize": self.sendbufsize,
            "lastunit": self.lastunit,
            "kctlref": self.kctlref,
            "kext": self.text.name,
            "callbacks": self.callbacks(),
            "first": number(self.units.first),
            "last": number(self.units.last),
        }


class CtlCb:
    """``struct ctl_cb``: the client side of one control socket.

    ``sac`` is the address the kext sees, ``unitinfo`` its cookie. ``unit`` mirrors
    ``sac.sc_unit`` for the control's list.
    """

    __slots__ = (
        "cookie",
        "kcb_usecount",
        "kctl",
        "next",
        "position",
        "prev",
        "require_clearing",
        "sac",
        "so",
        "unit",
        "unitinfo",
        "usecount",
    )

    def __init__(self, so: Socket) -> None:
        self.so = so
        self.kctl: Kctl | None = None
        self.unitinfo = Out()
        self.cookie: object = None
        """``unitinfo`` as a plain value, as of the last callback that could write it."""
        self.sac: SockaddrCtl
        """Set with ``kctl``."""
        self.unit = 0
        self.usecount = 0
        self.kcb_usecount = 0
        self.require_clearing = 0
        self.prev: CtlCb | None
        self.next: CtlCb | None = None
        self.position: int

    def state(self) -> dict[str, object]:
        """The client as plain values, as the trace adds them up."""
        return {
            "kctl": self.kctl.serial if self.kctl is not None else 0,
            "unit": self.unit,
            "unitinfo": self.cookie,
            "next": number(self.next),
        }


def number(client: CtlCb | None) -> int:
    """The number of a client's socket, 0 for none."""
    return client.so.number if client is not None else 0


def plain(cookie: object) -> object:
    """A kext's cookie as a plain value: numbers and strings as they are, else the type's name."""
    if cookie is None or isinstance(cookie, int | str | bytes):
        return cookie
    return f"<{type(cookie).__name__}>"


KCTL_TBL_INC = 16
UINT16_MAX = 0xFFFF


class RefTable:
    """The table behind ``kern_ctl_ref``: a reference is generation << 16 | slot + 1.

    A stale reference is told by its generation if its slot was taken again; if the slot is empty,
    XNU follows a null pointer [stale-ref-panic-enqueue].
    """

    __slots__ = ("count", "generation", "slots", "valid")

    def __init__(self) -> None:
        self.slots: list[Kctl | None] = []
        self.valid: dict[int, Kctl] = {}
        """The control of every reference that is valid."""
        self.count = 0
        self.generation = 0

    def make(self, kctl: Kctl) -> bool:
        """Give ``kctl`` a reference; False if the table had to stay at its largest size.

        Raises:
            KernelPanic: no free slot.
        """
        grown = True
        if self.count >= len(self.slots):
            grown = len(self.slots) + KCTL_TBL_INC < UINT16_MAX
            if grown:
                self.slots.extend([None] * KCTL_TBL_INC)
        try:
            at = self.slots.index(None)
        except ValueError:
            raise KernelPanic("kctl_make_ref no space in table") from None
        self.generation += 1
        kctl.kctlref = ((self.generation & 0xFFFF) << 16) + ((at + 1) & 0xFFFF)
        self.slots[at] = self.valid[kctl.kctlref] = kctl
        self.count += 1
        return grown

    def delete(self, kctl: Kctl) -> None:
        """Empty the slot of ``kctl``."""
        self.slots[(kctl.kctlref & 0xFFFF) - 1] = None
        del self.valid[kctl.kctlref]
        self.count -= 1

    def get(self, kctlref: int) -> Kctl | None:
        """The control of a reference, ``None`` if the reference is not valid.

        Raises:
            KernelPanic: the reference's slot is inside the table and empty.
        """
        kctl = self.valid.get(kctlref)
        if kctl is None:
            at = (kctlref & 0xFFFF) - 1
            if 0 <= at < len(self.slots) and self.slots[at] is None:
                raise KernelPanic(PAGE_FAULT)
        return kctl


KCTLSTAT = (
    "reg_total",
    "reg_count",
    "pcbcount",
    "gencnt",
    "connections",
    "conn_fail",
    "send_fail",
    "send_list_fail",
    "enqueue_fail",
    "enqueue_fullsock",
    "bad_kctlref",
    "tbl_size_too_big",
    "enqdata_mb_alloc_fail",
    "enqdata_sbappend_fail",
)
"""The counters of net.systm.kctl.stats, in order. XNU never changes ``reg_total``."""
