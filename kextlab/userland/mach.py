"""A simulated process's ``mach`` module: ports and messages, as ``mach/mach.h`` names them.

Functions have C's names. A kern_return_t other than KERN_SUCCESS is raised as ``MachError``; what C
writes through pointers is returned. The task argument is left out: a process has its own space of
names. All constants of ``kextlab.abi.mach`` are here, and the structs of messages.

    port = mach.mach_port_allocate(mach.MACH_PORT_RIGHT_RECEIVE)
    mach.mach_port_insert_right(port, port, mach.MACH_MSG_TYPE_MAKE_SEND)
    bits = mach.MACH_MSGH_BITS(mach.MACH_MSG_TYPE_COPY_SEND, 0)
    mach.mach_msg(mach.Message(bits, port, msgh_id=7, body=b"ping"), mach.MACH_SEND_MSG)
    got = mach.mach_msg(None, mach.MACH_RCV_MSG, 4096, port)

A message with descriptors carries more than bytes (``bits | mach.MACH_MSGH_BITS_COMPLEX``): rights,
memory, arrays of rights. What is received so is the receiver's to give up.

    big = mach.OolDescriptor(address, 0x100000, deallocate=True)
    mach.mach_msg(mach.Message(bits, port, descriptors=[big]), mach.MACH_SEND_MSG)

Read beside it: ``osfmk/mach/mach_port.defs``, ``osfmk/mach/message.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from kextlab.abi import mach, mach_messages
from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_MASK,
    MACH_MSG_TYPE_MAKE_SEND_ONCE,
    MACH_MSG_TYPE_MOVE_RECEIVE,
    MACH_PORT_DEAD,
    MACH_PORT_NULL,
    MACH_PORT_RIGHT_RECEIVE,
    MACH_RCV_BODY_ERROR,
    MACH_RCV_MSG,
    MACH_RCV_TRAILER_MASK,
    SIZEOF_AUDIT_TRAILER,
    SIZEOF_NAME,
    SIZEOF_SEQNO_TRAILER,
    SIZEOF_TRAILER,
    type_names,
)
from kextlab.abi.mach_messages import (
    MACH_MSGH_BITS_REMOTE,
    AuditToken,
    Descriptor,
    MachMsgHeader,
    OolDescriptor,
    OolPortsDescriptor,
    PortDescriptor,
    pack_message,
    unpack_audit_token,
    unpack_message,
)
from kextlab.kernel.traps import check_argument
from kextlab.kernel.vm_traps import VmTraps
from kextlab.osfmk.vm_fault import VmFault
from kextlab.userland import bootstrap
from kextlab.userland.bootstrap import Bootstrap
from kextlab.userland.mach_error import MachError
from kextlab.userland.vm import MachVm

if TYPE_CHECKING:
    from kextlab.userland.process import App

T = TypeVar("T")


_IN_HEX: Final = ("msgh_bits", "msgh_remote_port", "msgh_local_port")


def _in_lines(printer: Any, value: object, told: Sequence[str]) -> None:
    """A value in a notebook: on one line if it fits, else a line for each field. Any: IPython's
    ``PrettyPrinter``, which is no dependency of ours."""
    name = f"{type(value).__name__}("
    with printer.group(len(name), name, ")"):
        for number, one in enumerate(told):
            if number:
                printer.text(",")
                printer.breakable()
            printer.text(one)


class PortStatus(NamedTuple):
    """``mach_port_status_t``. Counts, but for ``mps_srights``, ``mps_pdrequest`` and
    ``mps_nsrequest``, which are 0 or 1."""

    mps_mscount: int
    mps_seqno: int
    mps_qlimit: int
    mps_msgcount: int
    mps_sorights: int
    mps_srights: int
    mps_pdrequest: int
    mps_nsrequest: int
    mps_pset: int

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        _in_lines(printer, self, [f"{k}={v}" for k, v in self._asdict().items()])


@dataclass(repr=False)
class Message:
    """A message. ``msgh_bits`` is what C's is: two dispositions (``MACH_MSGH_BITS``) and, for a
    message with descriptors, ``| MACH_MSGH_BITS_COMPLEX``. ``msgh_size`` is counted if it is 0.

    Attributes:
        descriptors: what travels beside bytes: ``PortDescriptor(name, disposition)``,
            ``OolDescriptor(address, size)``, ``OolPortsDescriptor(address, count, disposition)``.
        body: the bytes behind them.
        seqno: the sequence number a trailer told, if it was asked for.
        audit_token: the sender, if MACH_RCV_TRAILER_AUDIT asked for it; its uid stands at 1, its
            pid at 5. The kernel wrote it when the message was sent; no sender can.
    """

    msgh_bits: int = 0
    msgh_remote_port: int = MACH_PORT_NULL
    msgh_local_port: int = MACH_PORT_NULL
    msgh_id: int = 0
    body: bytes = b""
    descriptors: Sequence[Descriptor] = field(default_factory=list)
    msgh_size: int = 0
    seqno: int | None = None
    audit_token: AuditToken | None = None

    def _told(self) -> list[str]:
        """Every field that says something; bits and names in hexadecimal."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return [
            f"{name}={value:#x}" if name in _IN_HEX and type(value) is int else f"{name}={value!r}"
            for name, value in told.items()
            if value or (name == "seqno" and value is not None)
        ]

    def __repr__(self) -> str:
        return f"Message({', '.join(self._told())})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        _in_lines(printer, self, self._told())

    @property
    def rights(self) -> list[PortDescriptor]:
        """The port descriptors among all descriptors."""
        return [one for one in self.descriptors if isinstance(one, PortDescriptor)]

    def pack(self) -> bytes:
        """The message as bytes, as it lies in a program's memory.

        Raises:
            ValueError, TypeError: a field C's type does not hold; says which.
        """
        header = MachMsgHeader(
            self.msgh_bits,
            self.msgh_size,
            self.msgh_remote_port,
            self.msgh_local_port,
            0,
            self.msgh_id,
        )
        try:
            return pack_message(header, self.descriptors, self.body)
        except (struct.error, TypeError, AttributeError):
            self._check()
            raise

    def _check(self) -> None:
        """Raise for the field that is wrong, if one is."""
        for name in ("msgh_bits", "msgh_size", "msgh_remote_port", "msgh_local_port"):
            check_argument(name, "n", getattr(self, name))
        check_argument("msgh_id", "d", self.msgh_id)
        body: Any = self.body  # whatever somebody put there
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(f"body is {body!r}, and must be bytes")
        carried: Any = self.descriptors
        if not isinstance(carried, Sequence):
            raise TypeError(f"descriptors is {carried!r}, and must be a list")
        for one in carried:
            if not isinstance(one, Descriptor):
                raise TypeError(f"descriptors has {one!r}, which is no descriptor")

    @classmethod
    def unpack(cls, data: bytes) -> Message:
        """A message out of its bytes. ValueError: too short, or with an unknown descriptor."""
        header, descriptors, body = unpack_message(data)
        return cls(
            header.msgh_bits,
            header.msgh_remote_port,
            header.msgh_local_port,
            header.msgh_id,
            body,
            descriptors,
            header.msgh_size,
        )


class MachGate(Protocol):
    """What ``kextlab.kernel.mach_traps.MachTraps`` offers."""

    def port_allocate(self, pid: int, right: int, /) -> tuple[int, int]: ...
    def port_insert_right(
        self, pid: int, name: int, poly: int, disposition: int, /
    ) -> tuple[int, None]: ...
    def port_deallocate(self, pid: int, name: int, /) -> tuple[int, None]: ...
    def port_destroy(self, pid: int, name: int, /) -> tuple[int, None]: ...
    def port_mod_refs(self, pid: int, name: int, right: int, delta: int, /) -> tuple[int, None]: ...
    def port_get_refs(self, pid: int, name: int, right: int, /) -> tuple[int, int]: ...
    def port_type(self, pid: int, name: int, /) -> tuple[int, int]: ...
    def port_rename(self, pid: int, old: int, new: int, /) -> tuple[int, None]: ...
    def port_get_attributes(self, pid: int, name: int, /) -> tuple[int, tuple[int, ...]]: ...
    def port_set_qlimit(self, pid: int, name: int, qlimit: int, /) -> tuple[int, None]: ...
    def port_set_mscount(self, pid: int, name: int, mscount: int, /) -> tuple[int, None]: ...
    def port_insert_member(self, pid: int, name: int, pset: int, /) -> tuple[int, None]: ...
    def port_extract_member(self, pid: int, name: int, pset: int, /) -> tuple[int, None]: ...
    def port_move_member(self, pid: int, name: int, after: int, /) -> tuple[int, None]: ...
    def port_request_notification(
        self, pid: int, name: int, msgid: int, sync: int, notify: int, disposition: int, /
    ) -> tuple[int, int]: ...
    def mach_msg(
        self,
        pid: int,
        message: bytes | None,
        option: int,
        rcv_size: int = 0,
        rcv_name: int = MACH_PORT_NULL,
        timeout: int = 0,
        /,
    ) -> tuple[int, bytes]: ...
    def terminate(self, pid: int, /) -> None: ...


class Mach:
    """The functions of the ``mach`` module of one process."""

    def __init__(self, app: App, gate: MachGate, launchd: Bootstrap) -> None:
        self._app = app
        self._gate = gate
        self._launchd = launchd

    def _ok(self, call: str, answer: tuple[int, T]) -> T:
        code, value = answer
        if code != KERN_SUCCESS:
            raise MachError(code, call)
        return value

    def mach_port_allocate(self, right: int) -> int:
        """A new receive right, port set or dead name; its name."""
        self._app.check()
        answer = self._gate.port_allocate(self._app.pid, right)
        return self._ok("mach_port_allocate", answer)

    def mach_port_insert_right(self, name: int, poly: int, disposition: int) -> None:
        """Put a right to the port of ``poly`` under ``name``; for a send right to a port one has
        the receive right to, both are its name."""
        self._app.check()
        answer = self._gate.port_insert_right(self._app.pid, name, poly, disposition)
        self._ok("mach_port_insert_right", answer)

    def mach_port_deallocate(self, name: int) -> None:
        """One user reference of a send, send-once or dead name less."""
        self._app.check()
        self._ok("mach_port_deallocate", self._gate.port_deallocate(self._app.pid, name))

    def mach_port_destroy(self, name: int) -> None:
        """Everything behind a name goes."""
        self._app.check()
        self._ok("mach_port_destroy", self._gate.port_destroy(self._app.pid, name))

    def mach_port_mod_refs(self, name: int, right: int, delta: int) -> None:
        """Change the user references of a right."""
        self._app.check()
        answer = self._gate.port_mod_refs(self._app.pid, name, right, delta)
        self._ok("mach_port_mod_refs", answer)

    def mach_port_get_refs(self, name: int, right: int) -> int:
        """The user references of a right; 0 of one that is not there."""
        self._app.check()
        return self._ok("mach_port_get_refs", self._gate.port_get_refs(self._app.pid, name, right))

    def mach_port_type(self, name: int) -> int:
        """The type bits of a name; ``type_names`` puts them in words."""
        self._app.check()
        return self._ok("mach_port_type", self._gate.port_type(self._app.pid, name))

    def mach_port_rename(self, old: int, new: int) -> None:
        """Give what stands behind a name another one."""
        self._app.check()
        self._ok("mach_port_rename", self._gate.port_rename(self._app.pid, old, new))

    def mach_port_get_attributes(self, name: int) -> PortStatus:
        """The status of a receive right (MACH_PORT_RECEIVE_STATUS)."""
        self._app.check()
        answer = self._gate.port_get_attributes(self._app.pid, name)
        return PortStatus(*self._ok("mach_port_get_attributes", answer))

    def mach_port_set_attributes(self, name: int, mpl_qlimit: int) -> None:
        """Set the queue limit (MACH_PORT_LIMITS_INFO)."""
        self._app.check()
        answer = self._gate.port_set_qlimit(self._app.pid, name, mpl_qlimit)
        self._ok("mach_port_set_attributes", answer)

    def mach_port_set_mscount(self, name: int, mscount: int) -> None:
        """Set the make-send count of a receive right."""
        self._app.check()
        answer = self._gate.port_set_mscount(self._app.pid, name, mscount)
        self._ok("mach_port_set_mscount", answer)

    def mach_port_insert_member(self, name: int, pset: int) -> None:
        """Put a receive right into a port set."""
        self._app.check()
        answer = self._gate.port_insert_member(self._app.pid, name, pset)
        self._ok("mach_port_insert_member", answer)

    def mach_port_extract_member(self, name: int, pset: int) -> None:
        """Take a receive right out of a port set."""
        self._app.check()
        answer = self._gate.port_extract_member(self._app.pid, name, pset)
        self._ok("mach_port_extract_member", answer)

    def mach_port_move_member(self, name: int, after: int) -> None:
        """Take a receive right out of all its sets, and put it into one, or none
        (MACH_PORT_NULL)."""
        self._app.check()
        answer = self._gate.port_move_member(self._app.pid, name, after)
        self._ok("mach_port_move_member", answer)

    def mach_port_request_notification(
        self,
        name: int,
        msgid: int,
        sync: int,
        notify: int,
        notify_type: int = MACH_MSG_TYPE_MAKE_SEND_ONCE,
    ) -> int:
        """Ask to be told at the port ``notify``; the name of the send-once right of the request
        before, or MACH_PORT_NULL."""
        self._app.check()
        answer = self._gate.port_request_notification(
            self._app.pid, name, msgid, sync, notify, notify_type
        )
        return self._ok("mach_port_request_notification", answer)

    def mach_msg(
        self,
        message: Message | None,
        option: int,
        rcv_size: int = 0,
        rcv_name: int = MACH_PORT_NULL,
        timeout: int = 0,
    ) -> Message | None:
        """Send, receive, or one after the other; what was received.

        ``rcv_size`` counts the trailer's bytes too. ``timeout`` is in milliseconds, and counts with
        MACH_SEND_TIMEOUT or MACH_RCV_TIMEOUT in ``option``; without, the call waits.
        """
        self._app.check()
        data = message.pack() if message is not None else None
        code, buffer = self._gate.mach_msg(self._app.pid, data, option, rcv_size, rcv_name, timeout)
        if code != KERN_SUCCESS:
            left = message
            if code & ~MACH_MSG_MASK == MACH_RCV_BODY_ERROR:
                left = _received(buffer, option)
            elif message is not None and buffer != data:
                left = Message.unpack(buffer)
            raise MachError(code, "mach_msg", left)
        return _received(buffer, option) if option & MACH_RCV_MSG else None

    def bootstrap_check_in(self, service_name: str) -> int:
        """The receive right of a service, from launchd."""
        self._app.check()
        return self._ok("bootstrap_check_in", self._launchd.check_in(self._app.pid, service_name))

    def bootstrap_look_up(self, service_name: str) -> int:
        """A send right to a service, whether or not anybody has checked in."""
        self._app.check()
        return self._ok("bootstrap_look_up", self._launchd.look_up(self._app.pid, service_name))

    def bootstrap_register(self, service_name: str, service_port: int) -> None:
        """Offer a port of one's own under a name; deprecated since macOS 10.5."""
        self._app.check()
        answer = self._launchd.register(self._app.pid, service_name, service_port)
        self._ok("bootstrap_register", answer)

    def bootstrap_create_service(self, service_name: str) -> int:
        """A send right to a new service nobody has checked in to; deprecated since macOS 10.6."""
        self._app.check()
        answer = self._launchd.create_service(self._app.pid, service_name)
        return self._ok("bootstrap_create_service", answer)


def _received(buffer: bytes, option: int) -> Message:
    """A message with its trailer."""
    got = Message.unpack(buffer)
    trailer = buffer[got.msgh_size :]
    if option & MACH_RCV_TRAILER_MASK:
        tail = trailer[SIZEOF_TRAILER:SIZEOF_SEQNO_TRAILER]
        got.seqno = int.from_bytes(tail, "little")
    if len(trailer) == SIZEOF_AUDIT_TRAILER:
        got.audit_token = unpack_audit_token(trailer)
    return got


def mach_msg_destroy(mach: ModuleType, message: Message) -> None:
    """Give up what came with a message: the right in ``msgh_remote_port``, the rights and the
    memory of its descriptors. Names are not destroyed: a sender may have sent a right to a port
    whose receive right is ours, under the same name."""
    rights = [(message.msgh_remote_port, MACH_MSGH_BITS_REMOTE(message.msgh_bits))]
    memory = []
    for one in message.descriptors:
        if isinstance(one, PortDescriptor):
            rights.append((one.name, one.disposition))
            continue
        size = one.size if isinstance(one, OolDescriptor) else one.count * SIZEOF_NAME
        if one.deallocate and one.address:
            memory.append((one.address, size))
        if isinstance(one, OolPortsDescriptor) and one.address:
            names = mach.load_names(one.address, one.count)
            rights += [(name, one.disposition) for name in names]
    for name, kind in rights:
        if name in (MACH_PORT_NULL, MACH_PORT_DEAD):
            continue
        if kind == MACH_MSG_TYPE_MOVE_RECEIVE:
            mach.mach_port_mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1)
        else:
            mach.mach_port_deallocate(name)
    for address, size in memory:
        mach.mach_vm_deallocate(address, size)


def module(app: App, gate: MachGate, launchd: Bootstrap, vm: VmTraps) -> ModuleType:
    """The ``mach`` module of that process."""
    found = ModuleType("mach", __doc__)
    for source in (mach, mach_messages, bootstrap):
        for name, value in vars(source).items():
            if name.startswith(("MACH_", "KERN_", "kGUARD_", "BOOTSTRAP_", "VM_", "MAP_MEM_")):
                setattr(found, name, value)
    for calls in (Mach(app, gate, launchd), MachVm(app, vm)):
        for name in vars(type(calls)):
            if not name.startswith("_"):
                setattr(found, name, getattr(calls, name))
    for value in (MachError, MachMsgHeader, Message, PortStatus, VmFault):
        setattr(found, value.__name__, value)
    for descriptor in (PortDescriptor, OolDescriptor, OolPortsDescriptor):
        setattr(found, descriptor.__name__, descriptor)
    found.mach_msg_destroy = partial(mach_msg_destroy, found)  # type: ignore[attr-defined]
    found.type_names = type_names  # type: ignore[attr-defined]
    return found
