"""Memory of drivers: descriptors, windows, faults."""

import pytest

from kextlab.iokit import IOBufferMemoryDescriptor
from kextlab.iokit.machine import IOKit
from kextlab.iokit.memory import LARGEST, IOMemoryMap, MemoryFault, Window, load, store
from kextlab.sched.stop import KernelPanic
from kextlab.trace.codes import VM_BLOCK
from kextlab.trace.fold import Folder


def made(capacity: int, kernel: IOKit | None = None) -> IOBufferMemoryDescriptor:
    memory = IOBufferMemoryDescriptor.withCapacity(kernel or IOKit(), capacity)
    assert memory is not None
    return memory


def test_a_page_size_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="page_size = 8192, expected 4096 or 16384"):
        IOKit(page_size=8192)


@pytest.mark.parametrize("capacity", [0, -1, LARGEST + 1])
def test_there_is_not_room_for_everything(capacity: int) -> None:
    assert IOBufferMemoryDescriptor.withCapacity(IOKit(), capacity) is None


def test_a_descriptor_reads_and_writes_what_it_describes() -> None:
    memory = made(10)
    assert memory.getLength() == 10
    assert memory.writeBytes(8, b"abcd") == 2
    assert memory.readBytes(7, 99) == b"\0ab"
    assert (memory.writeBytes(10, b"x"), memory.readBytes(99, 1)) == (0, b"")
    assert (memory.writeBytes(-1, b"x"), memory.readBytes(-1, 1)) == (0, b"")


def test_the_trace_tells_of_every_byte() -> None:
    folder = Folder()
    kernel = IOKit(folder.step)
    memory = IOBufferMemoryDescriptor.withCapacity(kernel, 4 * VM_BLOCK)
    assert memory is not None
    for offset, data in ((0, b"abc"), (VM_BLOCK - 1, b"over the edge"), (7, b""), (2, b"C")):
        memory.writeBytes(offset, data)
        assert folder.state == kernel.state()
    first = bytearray(b"abC".ljust(VM_BLOCK, b"\0"))
    first[-1:] = b"o"
    assert folder.state == {
        "io_mem:1": {"size": 4 * VM_BLOCK},
        "io_bytes:65536": {"memory": 1, "at": 0, "data": first},
        "io_bytes:65537": {
            "memory": 1,
            "at": VM_BLOCK,
            "data": b"ver the edge".ljust(VM_BLOCK, b"\0"),
        },
    }
    memory.release()
    assert folder.state == kernel.state() == {}


def test_a_write_of_no_bytes_is_none() -> None:
    folder = Folder()
    kernel = IOKit(folder.step)
    window = Window(IOMemoryMap(made(10, kernel), 1, 0, False))
    window.write(2 * VM_BLOCK + 5, b"")
    assert folder.state == kernel.state()
    assert not [name for name in kernel.state() if name.startswith("io_bytes:")]


def test_what_is_written_is_bytes_of_any_kind_and_no_other_thing() -> None:
    memory = made(10)
    window = Window(IOMemoryMap(memory, 1, 0, False))
    words = memoryview(bytearray(range(8))).cast("I")
    window.write(4090, memoryview(b"tail"))
    window.write(0, words)  # type: ignore[arg-type]
    assert memory.writeBytes(1, words) == 8  # type: ignore[arg-type]
    assert window.read(0, 10) == bytes([0, *range(8), 0])
    assert window.read(4090, 6) == b"tail\0\0"
    for data in (5, "abc", [1, 2]):
        with pytest.raises(TypeError):
            window.write(0, data)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        window.write(1.5, b"ab")  # type: ignore[arg-type]


def test_memory_that_was_released_is_not_used_again() -> None:
    memory = made(10)
    mapping = IOMemoryMap(memory, 1, 0x1000, False)
    memory.release()
    assert memory.writeBytes(0, b"mapped") == 6
    with pytest.raises(
        KernelPanic, match="IOBufferMemoryDescriptor::release: the memory was released"
    ):
        memory.release()
    mapping.unmap()
    with pytest.raises(KernelPanic, match="::writeBytes: the memory was released before"):
        memory.writeBytes(0, b"gone")
    with pytest.raises(KernelPanic, match="::readBytes: the memory was released before"):
        memory.readBytes(0, 1)


def test_two_windows_show_one_block() -> None:
    memory = made(10)
    one, two = (
        Window(IOMemoryMap(memory, pid, 0x1000, read_only)) for pid, read_only in ((1, 0), (2, 1))
    )
    store(one, 4, 0x01020304)
    assert two.read(4, 4) == b"\4\3\2\1"
    assert load(two, 4) == 0x01020304
    assert (one.length, one.size, one.address) == (10, 4096, 0x1000)
    assert repr(one) == "<Window at 0x1000, 10 bytes>"
    assert repr(two) == "<Window at 0x1000, 10 bytes, read-only>"
    with pytest.raises(MemoryFault, match="SIGBUS: 0x1004 is mapped to be read only") as fault:
        two.write(4, b"x")
    assert fault.value.signal == "SIGBUS"


@pytest.mark.parametrize(("offset", "length"), [(4096, 1), (-1, 1), (4095, 2), (0, -1)])
def test_beyond_the_pages_there_is_nothing(offset: int, length: int) -> None:
    window = Window(IOMemoryMap(made(10), 1, 0, False))
    with pytest.raises(MemoryFault, match="SIGSEGV") as fault:
        window.read(offset, length)
    assert fault.value.signal == "SIGSEGV"
    assert window.read(4095, 1) == b"\0"


def test_a_write_that_faults_writes_nothing() -> None:
    window = Window(IOMemoryMap(made(10), 1, 0, False))
    with pytest.raises(MemoryFault):
        window.write(4094, b"abc")
    assert window.read(4094, 2) == b"\0\0"


def test_memory_lives_as_long_as_somebody_holds_it() -> None:
    memory = made(10)
    kernel = memory.block.kernel
    mapping = IOMemoryMap(memory, 1, 0x1000, False)
    window = Window(mapping)
    memory.release()
    assert set(kernel.objects) == {"io_mem:1", "io_map:1"}
    window.write(0, b"still here")
    mapping.unmap()
    assert not kernel.objects
    assert repr(window) == "<Window at 0x1000, 10 bytes, unmapped>"
    with pytest.raises(MemoryFault, match="SIGSEGV: 0x1002 is not mapped any more"):
        window.read(2, 1)
