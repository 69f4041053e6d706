"""Mach VM against a model of cells: shared memory is one cell in two places, a copy another cell.

Refused calls change nothing, the trace adds up to the snapshot, and nothing is left at the end.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kextlab.abi.mach import (
    KERN_INVALID_ADDRESS,
    KERN_PROTECTION_FAILURE,
    KERN_SUCCESS,
    MAP_MEM_NAMED_CREATE,
    MAP_MEM_NAMED_REUSE,
    MAP_MEM_VM_COPY,
    MAP_MEM_VM_SHARE,
    VM_FLAGS_ANYWHERE,
    VM_FLAGS_OVERWRITE,
    VM_INHERIT_DEFAULT,
    VM_PROT_ALL,
    VM_PROT_IS_MASK,
    VM_PROT_NONE,
    VM_PROT_READ,
    VM_PROT_WRITE,
)
from kextlab.osfmk.memory_entry import NamedEntry, mach_make_memory_entry_64
from kextlab.osfmk.vm_fault import VmFault, vm_read, vm_write
from kextlab.osfmk.vm_map import VM_MIN_ADDRESS, VmMap
from kextlab.osfmk.vm_object import Vm
from kextlab.osfmk.vm_user import (
    mach_vm_allocate,
    mach_vm_deallocate,
    mach_vm_map,
    mach_vm_protect,
)
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder

PAGE = 4096
PAGES = 12
"""How many pages of each task the rules use."""
RW = VM_PROT_READ | VM_PROT_WRITE
TASKS = (0, 1)
KINDS = (0, MAP_MEM_VM_COPY, MAP_MEM_VM_SHARE, MAP_MEM_NAMED_CREATE, MAP_MEM_NAMED_REUSE)


@dataclass
class Page:
    """A page of a task in the model."""

    cell: bytearray
    protection: int = RW
    maximum: int = VM_PROT_ALL


@dataclass
class Held:
    """A memory entry in the model."""

    entry: NamedEntry
    cells: list[bytearray | None]
    """None: nobody had touched that page when a copy was made, so every mapping has zeros."""
    protection: int


@dataclass
class Task:
    map: VmMap
    pages: dict[int, Page] = field(default_factory=dict)


tasks = st.sampled_from(TASKS)
places = st.integers(0, PAGES - 1)
counts = st.integers(1, 4)
offsets = st.sampled_from([0, 0, 0, 1, PAGE - 3])
wild = st.sampled_from([0, 1, PAGE, VM_MIN_ADDRESS - 1, 2**47, 2**63, 2**64 - PAGE, 2**64 - 1])
prots = st.sampled_from([RW, RW, RW, VM_PROT_READ, VM_PROT_NONE])


class Memory(RuleBasedStateMachine):
    @initialize()
    def boot(self) -> None:
        self.folder = Folder()
        self.entries = 0
        self.vm: Vm | None = None
        self.vm = Vm(PAGE, self.record)
        self.tasks = [Task(VmMap(self.vm)) for _ in TASKS]
        self.held: list[Held] = []
        for who in TASKS:
            self.allocate(who=who, page=2 * who, count=4, overwrite=False, tag=0, touch=True)

    def some(self, task: Task, page: int) -> int:
        """A page that is mapped, mostly."""
        mapped = sorted(task.pages)
        return mapped[page % len(mapped)] if mapped and page else page

    def record(self, entry: Entry) -> None:
        self.folder.step(entry)
        self.entries += 1
        if self.vm is not None:
            assert self.folder.state == self.vm.snapshot()

    def at(self, page: int) -> int:
        return VM_MIN_ADDRESS + page * PAGE

    # -- calls on a task's memory

    def fill(
        self, task: Task, first: int, cells: list[bytearray | None], cur: int, most: int
    ) -> None:
        for i, cell in enumerate(cells):
            task.pages[first + i] = Page(bytearray(PAGE) if cell is None else cell, cur, most)

    @rule(
        who=tasks,
        page=places,
        count=counts,
        overwrite=st.booleans(),
        tag=st.integers(0, 1),
        touch=st.booleans(),
    )
    def allocate(
        self, who: int, page: int, count: int, overwrite: bool, tag: int, touch: bool
    ) -> None:
        task = self.tasks[who]
        before = self.vm.snapshot()
        flags = (VM_FLAGS_OVERWRITE if overwrite else 0) | tag << 24
        code, address = mach_vm_allocate(task.map, self.at(page) + 5, count * PAGE, flags)
        taken = any(page + i in task.pages for i in range(count))
        assert (code == KERN_SUCCESS) == (overwrite or not taken)
        if code != KERN_SUCCESS:
            assert self.vm.snapshot() == before
            return
        assert address == self.at(page)
        self.fill(task, page, [bytearray(PAGE) for _ in range(count)], RW, VM_PROT_ALL)
        for i in range(count if touch else 0):
            vm_read(task.map, self.at(page + i), 1)

    @rule(who=tasks, page=places, count=counts)
    def deallocate(self, who: int, page: int, count: int) -> None:
        task = self.tasks[who]
        assert mach_vm_deallocate(task.map, self.at(page), count * PAGE) == KERN_SUCCESS
        for i in range(count):
            task.pages.pop(page + i, None)

    @rule(who=tasks, page=places, count=counts, prot=prots, most=st.booleans())
    def protect(self, who: int, page: int, count: int, prot: int, most: bool) -> None:
        task = self.tasks[who]
        page = self.some(task, page)
        before = self.vm.snapshot()
        expected = KERN_SUCCESS
        touched = []
        for i in range(count):
            found = task.pages.get(page + i)
            if found is None:
                expected = KERN_INVALID_ADDRESS
            elif prot & ~found.maximum:
                expected = KERN_PROTECTION_FAILURE
            if expected != KERN_SUCCESS:
                break
            touched.append(found)
        code = mach_vm_protect(task.map, self.at(page) + 3, count * PAGE - 3, most, prot)
        assert code == expected
        if code != KERN_SUCCESS:
            assert self.vm.snapshot() == before
            return
        for found in touched:
            if most:
                found.maximum = prot
            found.protection = prot & found.protection if most else prot

    # -- memory entries

    @rule(
        who=tasks,
        page=places,
        count=counts,
        kind=st.sampled_from(KINDS),
        mask=st.booleans(),
        prot=st.sampled_from([RW, RW, VM_PROT_READ]),
    )
    def make(self, who: int, page: int, count: int, kind: int, mask: bool, prot: int) -> None:
        task = self.tasks[who]
        page = self.some(task, page)
        before = self.vm.snapshot()
        size = count * PAGE
        permission = kind | prot | (VM_PROT_IS_MASK if mask else 0)
        code, got, entry = mach_make_memory_entry_64(task.map, size, self.at(page), permission)
        if kind == MAP_MEM_NAMED_CREATE:
            assert (code, got) == (KERN_SUCCESS, size)
            assert entry is not None
            self.held.append(Held(entry, [bytearray(PAGE) for _ in range(count)], prot))
            return
        if code == KERN_SUCCESS and kind in (0, MAP_MEM_NAMED_REUSE):
            assert 0 < got <= size
            count = got // PAGE
        expected = KERN_SUCCESS
        allowed = prot
        cells: list[bytearray | None] = []
        for i in range(count):
            found = task.pages.get(page + i)
            if found is None:
                expected = KERN_INVALID_ADDRESS
                break
            needed = VM_PROT_READ if kind == MAP_MEM_VM_COPY else 0 if mask else prot
            if needed & ~found.protection:
                expected = KERN_PROTECTION_FAILURE
                break
            allowed &= found.protection
            cells.append(found.cell)
        if kind != MAP_MEM_VM_COPY and mask and expected == KERN_SUCCESS and not allowed:
            expected = KERN_PROTECTION_FAILURE
        if kind in (0, MAP_MEM_NAMED_REUSE) and code != KERN_SUCCESS and cells:
            expected = code  # what the first map entry shows is not the model's to know
        assert code == expected
        if entry is None:
            assert (got, self.vm.snapshot()) == (size, before)
            return
        assert got == count * PAGE
        if kind == MAP_MEM_VM_COPY:
            cells = [bytearray(cell) for cell in cells]
            allowed = prot
            for part in entry.backing.entries:
                if part.object is None:
                    for i in range(part.start // PAGE, part.end // PAGE):
                        assert not any(cells[i])
                        cells[i] = None
        self.held.append(Held(entry, cells, allowed if mask else prot))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), page=st.integers(0, 3), count=counts, prot=prots)
    def child(self, which: int, page: int, count: int, prot: int) -> None:
        held = self.held[which % len(self.held)]
        before = self.vm.snapshot()
        code, got, entry = mach_make_memory_entry_64(
            self.tasks[0].map, count * PAGE, page * PAGE, prot, held.entry
        )
        if held.entry.is_copy or page + count > len(held.cells) or prot & ~held.protection:
            assert code != KERN_SUCCESS
            assert (got, self.vm.snapshot()) == (count * PAGE, before)
            return
        assert (code, got) == (KERN_SUCCESS, count * PAGE)
        assert entry is not None
        self.held.append(Held(entry, held.cells[page : page + count], prot))

    @precondition(lambda self: self.held)
    @rule(
        which=st.integers(0, 99),
        who=tasks,
        page=places,
        first=st.integers(0, 3),
        count=counts,
        copy=st.booleans(),
        prot=prots,
        fixed=st.booleans(),
        overwrite=st.booleans(),
    )
    def map(
        self,
        which: int,
        who: int,
        page: int,
        first: int,
        count: int,
        copy: bool,
        prot: int,
        fixed: bool,
        overwrite: bool,
    ) -> None:
        held = self.held[which % len(self.held)]
        task = self.tasks[who]
        before = self.vm.snapshot()
        flags = VM_FLAGS_OVERWRITE if overwrite else 0
        flags |= 0 if fixed else VM_FLAGS_ANYWHERE
        code, address = mach_vm_map(
            task.map,
            self.at(page),
            count * PAGE,
            0,
            flags,
            held.entry,
            first * PAGE,
            copy,
            prot,
            prot,
            VM_INHERIT_DEFAULT,
        )
        fits = first + count <= len(held.cells) and not prot & ~held.protection
        whole = held.entry.is_copy
        cells = held.cells if whole else held.cells[first : first + count]
        free = not any(page + i in task.pages for i in range(len(cells)))
        assert (code == KERN_SUCCESS) == (fits and (not fixed or overwrite or free))
        if code != KERN_SUCCESS:
            assert (address, self.vm.snapshot()) == (self.at(page), before)
            return
        where = (address - VM_MIN_ADDRESS) // PAGE
        assert (
            where == page if fixed else not any(where + i in task.pages for i in range(len(cells)))
        )
        if copy:
            cells = [None if cell is None else bytearray(cell) for cell in cells]
        self.fill(task, where, cells, prot, prot)

    @rule(
        who=tasks,
        other=tasks,
        page=places,
        count=counts,
        kind=st.sampled_from([MAP_MEM_VM_COPY, 0, MAP_MEM_VM_SHARE]),
        copy=st.booleans(),
        keep=st.booleans(),
        writes=st.lists(st.tuples(tasks, places), max_size=3),
    )
    def window(
        self,
        who: int,
        other: int,
        page: int,
        count: int,
        kind: int,
        copy: bool,
        keep: bool,
        writes: list[tuple[int, int]],
    ) -> None:
        """One makes an entry, another maps it, and both write: what the machine is about."""
        held = len(self.held)
        self.make(who=who, page=page, count=count, kind=kind, mask=False, prot=RW)
        if len(self.held) > held:
            self.map(
                which=held,
                who=other,
                page=0,
                first=0,
                count=len(self.held[held].cells),
                copy=copy,
                prot=RW,
                fixed=False,
                overwrite=False,
            )
            if not keep:
                self.release(which=held)
        for number, (writer, where) in enumerate(writes):
            self.write(who=writer, page=where, at=number, data=b"w%d" % number, long=False)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def release(self, which: int) -> None:
        self.held.pop(which % len(self.held)).entry.release()

    # -- touching memory

    @rule(
        who=tasks,
        page=places,
        at=offsets,
        data=st.binary(min_size=1, max_size=16),
        long=st.booleans(),
    )
    def write(self, who: int, page: int, at: int, data: bytes, long: bool) -> None:
        task = self.tasks[who]
        data = data * (PAGE // len(data) + 1) if long else data
        address = self.at(self.some(task, page)) + at
        fault = None
        for i, byte in enumerate(data):
            found = task.pages.get((address + i - VM_MIN_ADDRESS) // PAGE)
            if found is None or found.protection != RW:
                fault = address + i, "SIGSEGV" if found is None else "SIGBUS"
                break
            found.cell[(address + i) % PAGE] = byte
        seen = None
        try:
            vm_write(task.map, address, data)
        except VmFault as stop:
            seen = stop.address, stop.signal
        assert seen == fault

    @rule(who=tasks, page=places, at=offsets, size=st.integers(1, 2 * PAGE))
    def read(self, who: int, page: int, at: int, size: int) -> None:
        task = self.tasks[who]
        address = self.at(self.some(task, page)) + at
        expected = b""
        fault = None
        while len(expected) < size:
            here = address + len(expected)
            found = task.pages.get((here - VM_MIN_ADDRESS) // PAGE)
            if found is None or not found.protection & VM_PROT_READ:
                fault = here, "SIGSEGV" if found is None else "SIGBUS"
                break
            more = min(PAGE - here % PAGE, size - len(expected))
            expected += found.cell[here % PAGE : here % PAGE + more]
        seen = None
        try:
            assert vm_read(task.map, address, size) == expected
        except VmFault as stop:
            seen = stop.address, stop.signal
        assert seen == fault

    # -- nonsense

    @rule(who=tasks, address=wild, size=wild, offset=wild, permission=st.integers(0, 2**32 - 1))
    def nonsense(self, who: int, address: int, size: int, offset: int, permission: int) -> None:
        task = self.tasks[who].map
        before = self.vm.snapshot()
        entry = self.held[0].entry if self.held else None
        try:
            code, got, made = mach_make_memory_entry_64(task, size, address, permission, entry)
            if made is not None:
                made.release()
                return
            assert got in (size, 0)
        except NotImplementedError:
            pass
        for flags in (0, VM_FLAGS_ANYWHERE):
            code, where = mach_vm_map(
                task,
                address,
                size,
                offset,
                flags,
                entry or object(),
                offset,
                False,
                VM_PROT_NONE,
                VM_PROT_NONE,
                VM_INHERIT_DEFAULT,
            )
            if code == KERN_SUCCESS:
                assert entry is not None
                size_mapped = entry.size if entry.is_copy else (size + PAGE - 1) & -PAGE
                assert mach_vm_deallocate(task, where, size_mapped) == KERN_SUCCESS
                before = self.vm.snapshot()
        if size and address not in (PAGE, 0, 1):
            assert mach_vm_protect(task, address, size, False, VM_PROT_READ) != KERN_SUCCESS
        after = self.vm.snapshot()
        if entry is not None:  # MAP_MEM_ONLY may have changed how it is cached
            before[entry.name]["access"] = after[entry.name]["access"]
        assert after == before

    # -- always

    @invariant()
    def adds_up(self) -> None:
        if getattr(self, "vm", None) is not None:
            assert self.folder.state == self.vm.snapshot()
            pages = sum(name.startswith("vm_page:") for name in self.folder.state)
            assert self.vm.stat["internal_page_count"] == pages

    def teardown(self) -> None:
        if getattr(self, "vm", None) is None:
            return
        for task in self.tasks:
            for page, found in task.pages.items():
                if found.protection & VM_PROT_READ:
                    assert vm_read(task.map, self.at(page), PAGE) == found.cell
            assert task.map.size == PAGE * len(task.pages)
        for held in self.held:
            held.entry.release()
        for task in self.tasks:
            task.map.terminate()
        assert self.vm.snapshot().keys() == {"vmstat"} == self.folder.state.keys()
        assert self.vm.stat["internal_page_count"] == 0


Memory.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
test_memory_is_what_a_model_of_cells_says = Memory.TestCase
