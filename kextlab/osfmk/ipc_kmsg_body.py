"""What a message carries, out of one task and into another: rights, memory, arrays of rights.

All descriptors are looked at before the first is copied in. What is copied in of a message that is
then refused is destroyed, not given back: so says XNU, and so says this.

Models ``ipc_kmsg_copyin_body``, ``_copyin_port_descriptor``, ``_copyin_ool_descriptor``,
``_copyin_ool_ports_descriptor``, ``ipc_kmsg_copyout_body``, ``_copyout_object`` and their likes.
Read beside it: ``osfmk/ipc/ipc_kmsg.c``, ``ipc_init.c``. No recording shows memory or arrays.

Left out: guarded ports; the kernel running short of memory (MACH_SEND_NO_BUFFER,
MACH_MSG_IPC_KERNEL). MACH_SEND_INVALID_RT_OOL_SIZE is in XNU's headers, and no routine answers it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from kextlab.abi.mach import (
    KERN_INVALID_CAPABILITY,
    KERN_INVALID_RIGHT,
    KERN_SUCCESS,
    MACH_MSG_IPC_SPACE,
    MACH_MSG_PHYSICAL_COPY,
    MACH_MSG_SUCCESS,
    MACH_MSG_TYPE_MOVE_RECEIVE,
    MACH_MSG_VIRTUAL_COPY,
    MACH_MSG_VM_KERNEL,
    MACH_MSG_VM_SPACE,
    MACH_PORT_DEAD,
    MACH_PORT_NULL,
    MACH_PORT_UREFS_MAX,
    MACH_SEND_INVALID_MEMORY,
    MACH_SEND_INVALID_RIGHT,
    MACH_SEND_INVALID_TYPE,
    MACH_SEND_MSG_TOO_SMALL,
    MACH_SEND_TOO_LARGE,
    SIZEOF_BODY,
    SIZEOF_HEADER,
    SIZEOF_NAME,
    VM_FLAGS_ANYWHERE,
    VM_MEMORY_MACH_MSG,
    kGUARD_EXC_SEND_INVALID_RIGHT,
)
from kextlab.abi.mach_messages import (
    SIZES,
    Descriptor,
    OolDescriptor,
    OolPortsDescriptor,
    PortDescriptor,
)
from kextlab.osfmk import mach_port
from kextlab.osfmk.ipc_kmsg import Message, OolMemory, OolPorts, PortRight
from kextlab.osfmk.ipc_object import (
    check_circularity,
    copyin_type,
    kmsg_clean_descriptor,
    kmsg_clean_partial,
    object_destroy,
)
from kextlab.osfmk.ipc_port import IP_DEAD, IP_NULL, Carried, Kmsg, Object, Port
from kextlab.osfmk.ipc_space import Space
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_map_copyin import (
    MSG_OOL_SIZE_SMALL,
    physical_copy,
    vm_map_copyin,
    vm_map_copyout,
)
from kextlab.osfmk.vm_sanitize import round_page
from kextlab.osfmk.vm_user import mach_vm_allocate, mach_vm_deallocate

MapOf: TypeAlias = Callable[[], VmMap]
"""The address map of the task, made when it is first asked for."""
KMSG_MAX_VM_SPACE: Final = 7 << 20
"""Bytes of memory one message may have copied physically (``ipc_kmsg_max_vm_space``)."""
MAX_OOL_PORTS: Final = KMSG_MAX_VM_SPACE // 8
"""Rights in one array, at most."""
TOO_MANY_RIGHTS: Final = MACH_PORT_UREFS_MAX // 4
"""So many rights in one message are refused."""
_COPIES: Final = (MACH_MSG_PHYSICAL_COPY, MACH_MSG_VIRTUAL_COPY)
_NAMES_TAG: Final = VM_MEMORY_MACH_MSG << 24


def no_map() -> VmMap:
    """The map of a task that has none."""
    raise NotImplementedError("memory in a message of a task without a map is not modelled")


# -- out of the sender -------------------------------------------------------------------------


def copyin_body(space: Space, map_of: MapOf, message: Message, kmsg: Kmsg) -> int:
    """Copy in what a message carries; at the first wrong descriptor all of it is given up, the
    rights of the header too."""
    code = _look(map_of, message, kmsg.size)
    kmsg.descriptors = body = []
    for one in message.descriptors if code == MACH_MSG_SUCCESS else ():
        carried: Carried | None
        if isinstance(one, PortDescriptor):
            code, carried = _copyin_port(space, one, kmsg)
        elif isinstance(one, OolDescriptor):
            code, carried = _copyin_ool(map_of, one)
        else:
            code, carried = _copyin_ool_ports(space, map_of, one, kmsg)
        if carried is None:
            break
        body.append(carried)
    if code != MACH_MSG_SUCCESS:
        kmsg_clean_partial(space.ipc, kmsg)
    return code


def _look(map_of: MapOf, message: Message, size: int) -> int:
    """The first pass over the descriptors: their sizes, and what they ask of the kernel."""
    at = SIZEOF_HEADER + SIZEOF_BODY
    space_needed = rights = 0
    for one in message.descriptors:
        at += SIZES[one.type]
        if at > size:
            return MACH_SEND_MSG_TOO_SMALL
        if isinstance(one, PortDescriptor):
            rights += 1
        elif isinstance(one, OolPortsDescriptor):
            rights += one.count
            if one.count > MAX_OOL_PORTS:
                return MACH_SEND_TOO_LARGE
        elif one.copy not in _COPIES:
            return MACH_SEND_INVALID_TYPE
        elif _physically(one):
            space_needed += round_page(one.size, map_of().mask)
            if space_needed > KMSG_MAX_VM_SPACE:
                return MACH_MSG_VM_KERNEL
    if message.refused:
        return message.refused
    return MACH_SEND_TOO_LARGE if rights >= TOO_MANY_RIGHTS else MACH_MSG_SUCCESS


def _physically(one: OolDescriptor) -> bool:
    """Must it be copied at once, page by page?"""
    physical = one.copy == MACH_MSG_PHYSICAL_COPY and not one.deallocate
    return physical and one.size >= MSG_OOL_SIZE_SMALL


def _copyin_right(space: Space, name: int, disposition: int, kmsg: Kmsg) -> tuple[int, Object]:
    """One right a message carries: MACH_MSG_SUCCESS or MACH_SEND_INVALID_RIGHT."""
    if not mach_port.valid(name):
        return MACH_MSG_SUCCESS, IP_DEAD if name == MACH_PORT_DEAD else IP_NULL
    code, thing = mach_port.copyin(space, name, disposition)
    if code != KERN_SUCCESS:
        if code == KERN_INVALID_RIGHT:
            space.ipc.guard(name, kGUARD_EXC_SEND_INVALID_RIGHT)
        return MACH_SEND_INVALID_RIGHT, IP_NULL
    if disposition == MACH_MSG_TYPE_MOVE_RECEIVE:
        assert isinstance(thing, Port)
        assert isinstance(kmsg.remote, Port)
        if check_circularity(thing, kmsg.remote):
            kmsg.circular = True
    return MACH_MSG_SUCCESS, thing


def _copyin_port(space: Space, one: PortDescriptor, kmsg: Kmsg) -> tuple[int, PortRight | None]:
    kind = copyin_type(one.disposition)
    if not kind:
        return MACH_SEND_INVALID_TYPE, None
    code, thing = _copyin_right(space, one.name, one.disposition, kmsg)
    return code, PortRight([thing], kind) if code == MACH_MSG_SUCCESS else None


def _copyin_ool(map_of: MapOf, one: OolDescriptor) -> tuple[int, OolMemory | None]:
    if one.size == 0:
        return MACH_MSG_SUCCESS, OolMemory(one.type, 0, one.copy, None)
    map = map_of()
    if _physically(one):
        data = _read(map, one.address, one.size)
        if data is None:
            return MACH_SEND_INVALID_MEMORY, None
        memory = physical_copy(map.vm, data)
    else:
        _, copied = vm_map_copyin(map, one.address, one.size, destroy=one.deallocate)
        if copied is None:
            return MACH_SEND_INVALID_MEMORY, None
        memory = copied
    return MACH_MSG_SUCCESS, OolMemory(one.type, one.size, one.copy, memory)


def _copyin_ool_ports(
    space: Space, map_of: MapOf, one: OolPortsDescriptor, kmsg: Kmsg
) -> tuple[int, OolPorts | None]:
    """The names are read, then their memory goes (``deallocate``), then the rights."""
    kind = copyin_type(one.disposition)
    if one.copy not in _COPIES:
        return MACH_SEND_INVALID_TYPE, None
    if one.count == 0:
        return MACH_MSG_SUCCESS, OolPorts([], kind)
    map, size = map_of(), one.count * SIZEOF_NAME
    data = _read(map, one.address, size)
    if data is None:
        return MACH_SEND_INVALID_MEMORY, None
    if one.deallocate:
        mach_vm_deallocate(map, one.address, size)
    if not kind:
        return MACH_SEND_INVALID_TYPE, None
    rights = OolPorts([], kind)
    for (name,) in _NAME.iter_unpack(data):
        code, thing = _copyin_right(space, name, one.disposition, kmsg)
        if code != MACH_MSG_SUCCESS:
            kmsg_clean_descriptor(space.ipc, rights)
            return code, None
        rights.rights.append(thing)
    return MACH_MSG_SUCCESS, rights


_NAME: Final = Struct("<I")


def _read(map: VmMap, address: int, size: int) -> bytes | None:
    """What the kernel reads of a task's memory (``copyinmap``); ``None``: it cannot."""
    if address + size > map.max_offset:
        return None
    try:
        return vm_read(map, address, size)
    except VmFault:
        return None


# -- into the receiver -------------------------------------------------------------------------


def copyout_object(space: Space, thing: Object, kind: int) -> tuple[int, int]:
    """Put a right into the space (``ipc_kmsg_copyout_object``): extra bits of the code, and the
    name. A right to a port that died is MACH_PORT_DEAD."""
    if not isinstance(thing, Port):
        return MACH_MSG_SUCCESS, MACH_PORT_DEAD if thing is IP_DEAD else MACH_PORT_NULL
    code, name = mach_port.copyout(space, thing, kind)
    if code == KERN_SUCCESS:
        return MACH_MSG_SUCCESS, name
    object_destroy(space.ipc, thing, kind)
    if code == KERN_INVALID_CAPABILITY:
        return MACH_MSG_SUCCESS, MACH_PORT_DEAD
    return MACH_MSG_IPC_SPACE, MACH_PORT_NULL


def copyout_body(space: Space, map_of: MapOf, kmsg: Kmsg) -> tuple[int, list[Descriptor]]:
    """Give a task what a message carries, the last descriptor first, whatever fails on the way:
    extra bits of the code, and the descriptors as the task sees them."""
    extra, found = MACH_MSG_SUCCESS, list[Descriptor]()
    for one in reversed(kmsg.descriptors):
        seen: Descriptor
        if isinstance(one, OolMemory):
            more, seen = _copyout_ool(map_of, one)
        elif isinstance(one, OolPorts):
            more, seen = _copyout_ool_ports(space, map_of, one)
        else:
            more, name = copyout_object(space, one.rights[0], one.disposition)
            seen = PortDescriptor(name, one.disposition)
        extra |= more
        found.append(seen)
    found.reverse()
    return extra, found


def _copyout_ool(map_of: MapOf, one: OolMemory) -> tuple[int, OolDescriptor]:
    extra, address, size = MACH_MSG_SUCCESS, 0, 0
    if one.memory is not None:
        code, address = vm_map_copyout(map_of(), one.memory, one.size)
        size = one.size
        if code != KERN_SUCCESS:
            one.free()
            extra, size = MACH_MSG_VM_SPACE, 0
    virtual = one.copy == MACH_MSG_VIRTUAL_COPY
    return extra, OolDescriptor(address, size, virtual, one.copy, one.type)


def _copyout_ool_ports(
    space: Space, map_of: MapOf, one: OolPorts
) -> tuple[int, OolPortsDescriptor]:
    extra, address, count = MACH_MSG_SUCCESS, 0, len(one.rights)
    if count:
        map = map_of()
        flags = VM_FLAGS_ANYWHERE | _NAMES_TAG
        code, address = mach_vm_allocate(map, 0, count * SIZEOF_NAME, flags)
        if code != KERN_SUCCESS:
            kmsg_clean_descriptor(space.ipc, one)
            extra, address = MACH_MSG_VM_SPACE, 0
        else:
            names = bytearray()
            for thing in one.rights:
                more, name = copyout_object(space, thing, one.disposition)
                extra |= more
                names += _NAME.pack(name)
            vm_write(map, address, bytes(names))
    return extra, OolPortsDescriptor(address, count, one.disposition, True)
