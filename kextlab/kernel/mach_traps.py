"""The gate of Mach: how a process uses ports.

Like the syscall gate of plain values: a pid, names and numbers in; a kern_return_t and what C would
write through pointers out. Messages are bytes (``kextlab.abi.mach_messages``). A process gets its
space of names with its first call; the kernel takes it away when the process ends.

Here a call waits: for a message, for room in a queue. Read beside it: ``osfmk/ipc/mach_msg.c``,
``ipc_mqueue.c``, ``osfmk/mach/syscall_sw.h``.

Left out: task ports (a task has its own space only), real traps and MIG messages to the kernel.
"""

from __future__ import annotations

from dataclasses import astuple
from functools import partial

from kextlab.abi.errno import EINTR
from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_SUCCESS,
    MACH_MSG_TYPE_PORT_SEND_ONCE,
    MACH_MSGH_BITS_COMPLEX,
    MACH_PORT_NULL,
    MACH_RCV_INTERRUPTED,
    MACH_RCV_MSG,
    MACH_RCV_PORT_CHANGED,
    MACH_RCV_PORT_DIED,
    MACH_RCV_TIMED_OUT,
    MACH_RCV_TIMEOUT,
    MACH_RCV_TRAILER_MASK,
    MACH_SEND_INTERRUPTED,
    MACH_SEND_MSG,
    MACH_SEND_MSG_TOO_SMALL,
    MACH_SEND_TIMED_OUT,
    MACH_SEND_TIMEOUT,
    mach_error_name,
)
from kextlab.abi.mach_messages import (
    MACH_MSGH_BITS,
    MACH_MSGH_BITS_LOCAL,
    MACH_MSGH_BITS_REMOTE,
    MachMsgHeader,
    pack_message,
    pack_trailer,
    split_message,
)
from kextlab.kernel.syscalls import ENDS
from kextlab.kernel.system import System
from kextlab.kernel.traps import Traps, check_argument, trap
from kextlab.osfmk import ipc_kmsg_body, mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_object import copyin_type, object_destroy
from kextlab.osfmk.ipc_port import Object, Port
from kextlab.osfmk.ipc_space import Space
from kextlab.osfmk.mach_msg_now import receive_now, send_now
from kextlab.sched.clock import SECOND
from kextlab.sched.drive import Routine
from kextlab.sched.stop import SimStop, Sleep, interrupted
from kextlab.trace.codes import KERN_RETURN, SYSCALL

SUCCESS = mach_error_name(MACH_MSG_SUCCESS)
MILLISECOND = SECOND // 1_000
Answer = tuple[int, bytes]
"""A code, and the caller's buffer afterwards."""


class MachTraps(Traps):
    """The Mach calls of one boot."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._tasks = system.tasks

    # -- names -------------------------------------------------------------------------

    @trap("n")
    def port_allocate(self, pid: int, right: int) -> tuple[int, int]:
        """(kr, name). KERN_INVALID_VALUE."""
        space = self._enter(pid, "mach_port_allocate", right)
        return self._leave(*mach_port.allocate(space, right))

    @trap("nnn")
    def port_insert_right(
        self, pid: int, name: int, poly: int, disposition: int
    ) -> tuple[int, None]:
        """Put a right to the port of ``poly`` under ``name``. KERN_INVALID_NAME,
        KERN_INVALID_RIGHT, KERN_INVALID_VALUE, KERN_INVALID_CAPABILITY, KERN_RIGHT_EXISTS,
        KERN_NAME_EXISTS."""
        space = self._enter(pid, "mach_port_insert_right", name, poly, disposition)
        code, thing = mach_port.copyin(space, poly, disposition)
        if code == KERN_SUCCESS:
            kind = copyin_type(disposition)
            code = mach_port.insert_right(space, name, thing, kind)
            if code != KERN_SUCCESS:
                object_destroy(space.ipc, thing, kind)
        return self._leave(code, None)

    @trap("n")
    def port_deallocate(self, pid: int, name: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT."""
        space = self._enter(pid, "mach_port_deallocate", name)
        return self._leave(mach_port.deallocate(space, name), None)

    @trap("n")
    def port_destroy(self, pid: int, name: int) -> tuple[int, None]:
        """KERN_INVALID_NAME."""
        space = self._enter(pid, "mach_port_destroy", name)
        return self._leave(mach_port.destroy(space, name), None)

    @trap("nnd")
    def port_mod_refs(self, pid: int, name: int, right: int, delta: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_INVALID_VALUE."""
        space = self._enter(pid, "mach_port_mod_refs", name, right, delta)
        return self._leave(mach_port.mod_refs(space, name, right, delta), None)

    @trap("nn")
    def port_get_refs(self, pid: int, name: int, right: int) -> tuple[int, int]:
        """(kr, user references). KERN_INVALID_NAME, KERN_INVALID_VALUE."""
        space = self._enter(pid, "mach_port_get_refs", name, right)
        return self._leave(*mach_port.get_refs(space, name, right))

    @trap("n")
    def port_type(self, pid: int, name: int) -> tuple[int, int]:
        """(kr, type bits). KERN_INVALID_NAME."""
        space = self._enter(pid, "mach_port_type", name)
        return self._leave(*mach_port.type_(space, name))

    @trap("nn")
    def port_rename(self, pid: int, old: int, new: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_VALUE, KERN_NAME_EXISTS."""
        space = self._enter(pid, "mach_port_rename", old, new)
        return self._leave(mach_port.rename(space, old, new), None)

    @trap("n")
    def port_get_attributes(self, pid: int, name: int) -> tuple[int, tuple[int, ...]]:
        """(kr, the fields of mach_port_status_t in order). KERN_INVALID_NAME,
        KERN_INVALID_RIGHT."""
        space = self._enter(pid, "mach_port_get_attributes", name)
        code, status = mach_port.get_status(space, name)
        return self._leave(code, astuple(status) if status is not None else ())

    @trap("nn")
    def port_set_qlimit(self, pid: int, name: int, qlimit: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_INVALID_VALUE."""
        space = self._enter(pid, "mach_port_set_attributes", name, qlimit)
        return self._leave(mach_port.set_qlimit(space, name, qlimit), None)

    @trap("nn")
    def port_set_mscount(self, pid: int, name: int, mscount: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT."""
        space = self._enter(pid, "mach_port_set_mscount", name, mscount)
        return self._leave(mach_port.set_mscount(space, name, mscount), None)

    @trap("nn")
    def port_insert_member(self, pid: int, name: int, pset: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_ALREADY_IN_SET."""
        space = self._enter(pid, "mach_port_insert_member", name, pset)
        return self._leave(mach_port.insert_member(space, name, pset), None)

    @trap("nn")
    def port_extract_member(self, pid: int, name: int, pset: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_NOT_IN_SET."""
        space = self._enter(pid, "mach_port_extract_member", name, pset)
        return self._leave(mach_port.extract_member(space, name, pset), None)

    @trap("nn")
    def port_move_member(self, pid: int, name: int, after: int) -> tuple[int, None]:
        """KERN_INVALID_NAME, KERN_INVALID_RIGHT."""
        space = self._enter(pid, "mach_port_move_member", name, after)
        return self._leave(mach_port.move_member(space, name, after), None)

    @trap("ninnn")
    def port_request_notification(
        self, pid: int, name: int, msgid: int, sync: int, notify: int, disposition: int
    ) -> tuple[int, int]:
        """(kr, name of the send-once right of the request before, or MACH_PORT_NULL).
        KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_INVALID_VALUE, KERN_INVALID_ARGUMENT,
        KERN_INVALID_CAPABILITY."""
        space = self._enter(
            pid, "mach_port_request_notification", name, msgid, sync, notify, disposition
        )
        told: Object = None
        if notify != MACH_PORT_NULL:
            if copyin_type(disposition) != MACH_MSG_TYPE_PORT_SEND_ONCE:
                raise NotImplementedError(
                    f"mach_port_request_notification with disposition {disposition}, which gives "
                    "no send-once right, is a MIG message to the kernel, which is not modelled"
                )
            code, told = mach_port.copyin(space, notify, disposition)
            if code != KERN_SUCCESS:
                return self._leave(code, MACH_PORT_NULL)
        code, previous = mach_port.request_notification(space, name, msgid, sync, told)
        if code != KERN_SUCCESS:
            object_destroy(space.ipc, told, MACH_MSG_TYPE_PORT_SEND_ONCE)
        before = MACH_PORT_NULL
        if previous is not None:
            _, before = ipc_kmsg_body.copyout_object(space, previous, MACH_MSG_TYPE_PORT_SEND_ONCE)
        return self._leave(code, before)

    # -- messages ----------------------------------------------------------------------

    def mach_msg(
        self,
        pid: int,
        message: bytes | None,
        option: int,
        rcv_size: int = 0,
        rcv_name: int = MACH_PORT_NULL,
        timeout: int = 0,
    ) -> Answer:
        """Send, receive, or both. (code, the caller's buffer afterwards); ``timeout`` in
        milliseconds counts with MACH_SEND_TIMEOUT and MACH_RCV_TIMEOUT."""
        try:
            wrong = (rcv_size | rcv_name | timeout) >> 32  # one of them is no uint32_t
        except TypeError:
            wrong = 1
        if wrong:
            check_argument("rcv_size", "n", rcv_size)
            check_argument("rcv_name", "n", rcv_name)
            check_argument("timeout", "n", timeout)
        if option & MACH_RCV_TRAILER_MASK:
            mach_msg.trailer_size(option)  # refused before anything happens
        process = self.running.get(pid)
        if process is None:
            process = self._system.enter(pid)
        rec = self._rec
        if rec is not None:
            rec((SYSCALL, pid, "mach_msg", 5, message, option, rcv_size, rcv_name, timeout))
        space = process.space
        if space is None:
            space = self._new_space(process)
        got = message or b""
        rest = option
        if option & MACH_SEND_MSG and send_now(space, got, option, process.audit):
            rest = option & ~MACH_SEND_MSG
        if not rest & MACH_SEND_MSG:
            found: bytes | None = got
            if rest & MACH_RCV_MSG:
                found = receive_now(space, rcv_name, rcv_size, option)
            if found is not None:
                if rec is not None:
                    rec((KERN_RETURN, SUCCESS, found))
                return MACH_MSG_SUCCESS, found
        routine = self._mach_msg(space, message, rest, rcv_size, rcv_name, timeout)
        try:
            answer = self._tasks.drive(routine)
        except ENDS as end:
            if isinstance(end, KeyboardInterrupt | SystemExit):
                end = interrupted(end)
            if isinstance(end, SimStop):
                self._system.stop(end)
            self._system.record_stop(end)
            raise
        return self._leave(*answer)

    def _mach_msg(
        self,
        space: Space,
        data: bytes | None,
        option: int,
        size: int,
        name: int,
        timeout: int,
    ) -> Routine[Answer]:
        buffer = data or b""
        if option & MACH_SEND_MSG:
            code, buffer = yield from self._send(space, buffer, option, timeout)
            if code != MACH_MSG_SUCCESS:
                return code, buffer
        if option & MACH_RCV_MSG:
            code, got = yield from self._receive(space, size, name, option, timeout)
            return code, buffer if got is None else received(got)
        return MACH_MSG_SUCCESS, buffer

    def _deadline(self, limited: int, timeout: int) -> int | None:
        return self._tasks.clock.now + timeout * MILLISECOND if limited else None

    def _send(self, space: Space, data: bytes, option: int, timeout: int) -> Routine[Answer]:
        try:
            message = parsed(data)
        except ValueError:
            return MACH_SEND_MSG_TOO_SMALL, data
        process = self._system.processes[space.pid]
        map_of = partial(self._system.map_of, process)
        code, kmsg = mach_msg.copyin(space, message, option, map_of)
        if kmsg is None:
            return code, data
        kmsg.audit = process.audit
        deadline = self._deadline(option & MACH_SEND_TIMEOUT, timeout)
        while (code := mach_msg.queue(space, kmsg, option)) == MACH_SEND_TIMED_OUT:
            port = kmsg.remote
            assert isinstance(port, Port)
            if deadline is not None and deadline <= self._tasks.clock.now:
                break
            answer = yield Sleep(port.room, "ipc_mqueue_send", deadline=deadline)
            if answer == EINTR:
                code = MACH_SEND_INTERRUPTED
                break
        if code == MACH_MSG_SUCCESS:
            return code, data
        code = mach_msg.give_back(space, kmsg, message, code, map_of)
        return code, packed(message)

    def _receive(
        self, space: Space, size: int, name: int, option: int, timeout: int
    ) -> Routine[tuple[int, Message | None]]:
        deadline = self._deadline(option & MACH_RCV_TIMEOUT, timeout)
        map_of = partial(self._system.map_of, self._system.processes[space.pid])
        waited = None
        while True:
            if waited is not None:
                _, found = mach_msg.source(space, name)
                if found is not waited:
                    gone = waited.object_name not in space.ipc.objects
                    return MACH_RCV_PORT_DIED if gone else MACH_RCV_PORT_CHANGED, None
            code, got = mach_msg.receive(space, name, size, option, map_of)
            if code != MACH_RCV_TIMED_OUT or (
                deadline is not None and deadline <= self._tasks.clock.now
            ):
                return code, got
            _, waited = mach_msg.source(space, name)
            assert waited is not None
            answer = yield Sleep(waited.object_name, "ipc_mqueue_receive", deadline=deadline)
            if answer == EINTR:
                return MACH_RCV_INTERRUPTED, None

    # -- the end of a process ----------------------------------------------------------

    def terminate(self, pid: int) -> None:
        """The space of a process goes with everything in it."""
        process = self._system.processes[pid]
        if process.space is not None:
            mach_port.terminate(process.space)
            process.space = None
        self._settle()


# -- bytes -------------------------------------------------------------------------------------


def parsed(data: bytes) -> Message:
    """A message out of its bytes, as far as its descriptors go.

    Raises:
        ValueError: too short for a header, or for the number of descriptors.
        NotImplementedError: a descriptor that is not modelled.
    """
    parts = split_message(data)
    first = parts.header
    header = Header(
        first.msgh_remote_port,
        MACH_MSGH_BITS_REMOTE(first.msgh_bits),
        first.msgh_local_port,
        MACH_MSGH_BITS_LOCAL(first.msgh_bits),
        first.msgh_id,
        first.complex,
        first.msgh_size,
    )
    return Message(header, parts.body, parts.descriptors, parts.code)


def packed(message: Message) -> bytes:
    """The bytes of a message."""
    header = message.header
    bits = MACH_MSGH_BITS(header.remote_type, header.local_type)
    first = MachMsgHeader(
        bits | (MACH_MSGH_BITS_COMPLEX if header.complex else 0),
        header.size,
        header.remote,
        header.local,
        0,
        header.id,
    )
    return pack_message(first, message.descriptors, message.body)


def received(message: Message) -> bytes:
    """The bytes of a received message, trailer included."""
    trailer = pack_trailer(message.trailer_size, message.seqno, message.audit)
    return packed(message) + trailer
