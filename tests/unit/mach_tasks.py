"""Tasks with ports and memory, for the tests of Mach messages: short names for the calls."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kextlab.abi import mach as m
from kextlab.abi.mach_messages import Descriptor, OolPortsDescriptor
from kextlab.osfmk import mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.ipc_space import Space
from kextlab.osfmk.vm_fault import vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from tests.unit.vm_tasks import PAGE, allocate

SEND = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT
LISTEN = m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT
COPY = m.MACH_MSG_TYPE_COPY_SEND


@dataclass
class Task:
    """A space and a map, both of one kernel."""

    space: Space
    map: VmMap

    def port(self, qlimit: int = 5) -> int:
        """A receive right and a send right under one name."""
        _, name = mach_port.allocate(self.space, m.MACH_PORT_RIGHT_RECEIVE)
        _, right = mach_port.copyin(self.space, name, m.MACH_MSG_TYPE_MAKE_SEND)
        assert isinstance(right, Port)
        mach_port.copyout(self.space, right, m.MACH_MSG_TYPE_PORT_SEND)
        mach_port.set_qlimit(self.space, name, qlimit)
        return name

    def right_to(self, other: Task, name: int) -> int:
        """A send right of this task to a port of another."""
        _, right = mach_port.copyin(other.space, name, m.MACH_MSG_TYPE_MAKE_SEND)
        assert isinstance(right, Port)
        return mach_port.copyout(self.space, right, m.MACH_MSG_TYPE_PORT_SEND)[1]

    def send(self, to: int, *carried: Descriptor, size: int | None = None) -> tuple[int, Message]:
        """The code, and the message as it is afterwards."""
        needed = 28 + sum(len(one.pack()) for one in carried)
        header = Header(to, COPY, id=7, complex=True, size=needed if size is None else size)
        message = Message(header, b"", list(carried))
        return mach_msg.send(self.space, message, SEND, lambda: self.map), message

    def receive(self, name: int, size: int = 4096) -> tuple[int, Message | None]:
        return mach_msg.receive(self.space, name, size, LISTEN, lambda: self.map)

    def take(self, name: int) -> Message:
        code, got = self.receive(name)
        assert code == m.MACH_MSG_SUCCESS
        assert got is not None
        return got

    def names(self, *names: int) -> int:
        """An array of names in memory; its address."""
        address = apart(self)
        vm_write(self.map, address, struct.pack(f"<{len(names)}I", *names))
        return address

    def array(self, one: Descriptor) -> list[int]:
        """The names an array has."""
        assert isinstance(one, OolPortsDescriptor)
        return list(struct.unpack(f"<{one.count}I", vm_read(self.map, one.address, one.count * 4)))

    def refs(self, name: int) -> int:
        return mach_port.get_refs(self.space, name, m.MACH_PORT_RIGHT_SEND)[1]


def apart(task: Task, pages: int = 1) -> int:
    """Memory that does not grow what lies before it: it has a tag of its own."""
    return allocate(task.map, pages, flags=(len(task.map.entries) + 100) << 24)


def filled(task: Task, pages: int, byte: bytes = b"x") -> int:
    address = apart(task, pages)
    vm_write(task.map, address, byte * pages * PAGE)
    return address
