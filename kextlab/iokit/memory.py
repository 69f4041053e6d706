"""Memory that a driver has and a process sees: one block, any number of windows on it.

``SharedMemory`` is all that the rest of IOKit asks of memory, so that a map of pages can take the
place of ``Block``. Models, of ``iokit/Kernel/IOMemoryDescriptor.cpp`` and
``IOBufferMemoryDescriptor.cpp``, descriptors of one range and their maps.

Left out: physical memory, wiring, caching, direction, placing a map at a given address.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from operator import index
from typing import NoReturn, Protocol

from kextlab.iokit.machine import IOKit, Owner
from kextlab.osfmk.vm_sanitize import unchanging
from kextlab.trace.codes import IO_WRITE, VM_BLOCK, io_block

LARGEST = 64 << 20
"""Bytes of the largest block: a larger one is refused, as by a kernel map that is full."""
FIRST_ADDRESS = 0x1_0000_0000
"""Where the first window of a process lies: above its first 4 GB, which are never mapped."""


class MemoryFault(Exception):
    """Memory was touched that is not there, or not to be written.

    Attributes:
        signal: what a process gets for it: SIGSEGV or SIGBUS.
    """

    def __init__(self, message: str, signal: str) -> None:
        super().__init__(f"{signal}: {message}")
        self.signal = signal


class SharedMemory(Protocol):
    """Bytes that more than one party sees. Offsets and sizes are bytes."""

    @property
    def size(self) -> int:
        """How many bytes can be touched."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes. MemoryFault outside of it."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Overwrite from ``offset`` on. MemoryFault outside of it: then nothing is written.
        TypeError: no bytes."""
        ...


def load(memory: SharedMemory, offset: int) -> int:
    """The u32 at ``offset``, little endian."""
    return int.from_bytes(memory.read(offset, 4), "little")


def store(memory: SharedMemory, offset: int, value: int) -> None:
    """Write a u32 at ``offset``, little endian."""
    memory.write(offset, value.to_bytes(4, "little"))


class Block:
    """Whole pages of the kernel's memory. It is freed when the last who holds it lets go."""

    def __init__(self, kernel: IOKit, size: int) -> None:
        self.kernel = kernel
        self.size = kernel.round_page(size)
        self._bytes = bytearray(self.size)
        self._holders = 1
        self.written: list[Callable[[int], None]] = []
        """Who is told after every write where it began."""
        self._pieces: dict[str, _Piece] = {}
        self.number = kernel.number("io_mem")
        self.name = f"io_mem:{self.number}"
        kernel.add(self.name, self)

    @classmethod
    def of(cls, kernel: IOKit, size: int) -> Block | None:
        """A block of at least ``size`` bytes, zeroed; ``None`` if there is no room."""
        return cls(kernel, size) if 0 < size <= LARGEST else None

    def state(self) -> dict[str, object]:
        """Its size in bytes."""
        return {"size": self.size}

    def check(self, offset: int, length: int) -> None:
        """MemoryFault if that range is not wholly inside. TypeError: no whole numbers."""
        if index(offset) < 0 or index(length) < 0 or offset + length > self.size:
            raise MemoryFault(
                f"{length} bytes at {offset} of memory that has {self.size}", "SIGSEGV"
            )

    def read(self, offset: int, length: int) -> bytes:
        """As ``SharedMemory``."""
        self.check(offset, length)
        return bytes(self._bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        """As ``SharedMemory``."""
        data = unchanging(data)
        self.check(offset, len(data))
        if not data:
            return
        self._bytes[offset : offset + len(data)] = data
        kernel = self.kernel
        for at in range(offset - offset % VM_BLOCK, offset + len(data), VM_BLOCK):
            name = io_block(self.number, at // VM_BLOCK)
            if name not in self._pieces:
                self._pieces[name] = kernel.objects[name] = _Piece(self, at)
        if kernel.rec is not None:
            kernel.rec((IO_WRITE, self.number, offset, data))
        for tell in self.written:
            tell(offset)

    @property
    def held(self) -> bool:
        """Whether somebody holds it."""
        return self._holders > 0

    def retain(self) -> None:
        """Somebody else holds it."""
        self._holders += 1

    def release(self) -> None:
        """Somebody lets go of it."""
        self._holders -= 1
        if not self._holders:
            for name in (*self._pieces, self.name):
                self.kernel.remove(name)


class _Piece:
    """VM_BLOCK bytes of a block that somebody has written, as the trace tells them."""

    def __init__(self, block: Block, at: int) -> None:
        self.block = block
        self.at = at

    def state(self) -> dict[str, object]:
        """Whose bytes, from where on, and the bytes."""
        data = self.block.read(self.at, VM_BLOCK)
        return {"memory": self.block.number, "at": self.at, "data": data}


class IOMemoryDescriptor:
    """The first ``length`` bytes of a block, as a driver hands them on."""

    def __init__(self, block: Block, length: int) -> None:
        self.block = block
        self._length = length

    def getLength(self) -> int:
        """Bytes described; the pages behind may have more."""
        return self._length

    def _check(self, routine: str) -> None:
        if not self.block.held:
            self._freed(routine)

    def _freed(self, routine: str) -> NoReturn:
        kind = type(self).__name__
        self.block.kernel.panic(f"{kind}::{routine}: the memory was released before")

    def _inside(self, offset: int, length: int) -> int:
        return max(0, min(length, self._length - offset)) if offset >= 0 else 0

    def readBytes(self, offset: int, length: int) -> bytes:
        """A copy of up to ``length`` bytes: fewer at the end, none beyond it. KernelPanic: it is
        nobody's memory any more."""
        self._check("readBytes")
        count = self._inside(offset, length)
        return self.block.read(offset if count else 0, count)

    def writeBytes(self, offset: int, data: bytes) -> int:
        """Overwrite from ``offset`` on; how many bytes fitted. KernelPanic: it is nobody's memory
        any more."""
        self._check("writeBytes")
        data = unchanging(data)
        count = self._inside(offset, len(data))
        self.block.write(offset if count else 0, data[:count])
        return count


class IOBufferMemoryDescriptor(IOMemoryDescriptor):
    """Memory with its descriptor, for a driver that wants to share some."""

    _released = False

    @classmethod
    def withCapacity(cls, owner: Owner, capacity: int) -> IOBufferMemoryDescriptor | None:
        """``capacity`` bytes, zeroed; ``None`` if there is no room."""
        block = Block.of(owner.kernel, capacity)
        return None if block is None else cls(block, capacity)

    def release(self) -> None:
        """The driver lets go; what is mapped stays until it is unmapped. KernelPanic: it did so
        before."""
        if self._released:
            self._freed("release")
        self._released = True
        self.block.release()


class IOMemoryMap:
    """A window of one process on a block."""

    def __init__(
        self, descriptor: IOMemoryDescriptor, pid: int, address: int, read_only: bool
    ) -> None:
        self.descriptor = descriptor
        self.block = descriptor.block
        self.kernel = self.block.kernel
        self.pid = pid
        self.address = address
        self.length = descriptor.getLength()
        self.writable = not read_only
        self.block.retain()
        self.number = self.kernel.number("io_map")
        self.name = f"io_map:{self.number}"
        self.mapped = True
        self.kernel.add(self.name, self)

    def state(self) -> dict[str, object]:
        """Whose window it is, where, on which memory."""
        return {
            "memory": self.block.number,
            "pid": self.pid,
            "address": self.address,
            "length": self.length,
            "writable": self.writable,
        }

    def unmap(self) -> None:
        """The window is closed."""
        self.mapped = False
        self.kernel.remove(self.name)
        self.block.release()


class Window:
    """Mapped memory as its process touches it: ``SharedMemory`` at an address.

    Args:
        enter: called before every touch; raises if the process or its boot is gone.
        writing: every write that goes well, offset and bytes, happens inside of what it gives.
    """

    def __init__(
        self,
        mapping: IOMemoryMap,
        enter: Callable[[], object] = bool,
        writing: Callable[[int, bytes], AbstractContextManager[object]] = lambda *_: nullcontext(),
    ) -> None:
        self._mapping = mapping
        self._enter = enter
        self._writing = writing

    def __repr__(self) -> str:
        mapping = self._mapping
        kind = "" if mapping.writable else ", read-only"
        kind = kind if mapping.mapped else ", unmapped"
        return f"<Window at {mapping.address:#x}, {mapping.length} bytes{kind}>"

    @property
    def address(self) -> int:
        """Where it begins in its process."""
        return self._mapping.address

    @property
    def length(self) -> int:
        """Bytes the driver described."""
        return self._mapping.length

    @property
    def size(self) -> int:
        """Bytes of its pages, all of which can be touched."""
        return self._mapping.block.size

    def _touch(self, offset: int) -> None:
        self._enter()
        if not self._mapping.mapped:
            raise MemoryFault(f"{self.address + offset:#x} is not mapped any more", "SIGSEGV")

    def read(self, offset: int, length: int) -> bytes:
        """As ``SharedMemory``."""
        self._touch(offset)
        return self._mapping.block.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """As ``SharedMemory``; MemoryFault (SIGBUS) if it is mapped to be read only."""
        self._touch(offset)
        if not self._mapping.writable:
            raise MemoryFault(f"{self.address + offset:#x} is mapped to be read only", "SIGBUS")
        data = unchanging(data)
        self._mapping.block.check(offset, len(data))
        if data:
            with self._writing(offset, data):
                self._mapping.block.write(offset, data)
