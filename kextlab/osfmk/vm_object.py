"""Memory itself: objects, their pages, and copying them only when somebody writes.

An object is a piece of memory that address maps show through windows. It holds the pages somebody
has touched, and nothing for the others. Two windows onto one object are shared memory.

A copy is made lazily, in one of two ways. *Symmetric*: nobody else maps the object, so both sides
go on with it and mark themselves ``needs_copy``; whoever writes first puts an empty object in
front (``shadow``), which takes a page when it is written. *Delayed*: the object is shared, so its
mappings must go on with it, and the copy gets an object of its own (``copy``) behind which the
original stands; a writer of the original pushes the old page into it first.

Models ``osfmk/vm/vm_object.c`` and the page part of ``osfmk/vm/vm_fault.c``.

Left out: pagers, paging out, wiring, purging; going past an object of a chain of shadows that
others still use (``vm_object_bypass``), and joining a chain at any other time than when a page is
copied; the pages of zeros a copy of an object without a strategy (``vm_object_copy_slowly``) makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from kextlab.trace.codes import (
    DELETE,
    SET,
    VM_BLOCK,
    VM_BLOCKS,
    VM_WRITE,
    Entry,
    group,
    new,
    vm_block,
)

SYMMETRIC: Final = "symmetric"  # MEMORY_OBJECT_COPY_SYMMETRIC
DELAY: Final = "delay"  # MEMORY_OBJECT_COPY_DELAY
NONE: Final = "none"  # MEMORY_OBJECT_COPY_NONE: copied at once

PAGE_SIZES: Final = (4096, VM_BLOCK * VM_BLOCKS)
STATISTICS: Final = ("internal_page_count", "zero_fill_count", "cow_faults")
"""Of ``struct vm_statistics64``: pages there are, pages of zeros made, pages copied by a write."""


def _nobody(_: Entry) -> None:
    """Nothing is recorded."""


class Vm:
    """What all address maps of one kernel share: page size, the live objects, statistics.

    ``page_size`` is 16384 on Apple silicon and 4096 on Intel. ``record`` takes trace entries.

    Raises:
        ValueError: another page size.
    """

    def __init__(
        self, page_size: int = 16384, record: Callable[[Entry], object] | None = None
    ) -> None:
        if page_size not in PAGE_SIZES:
            raise ValueError(f"page_size is {page_size}, and must be 4096 or 16384")
        self.page_size = page_size
        self.page_mask = page_size - 1
        self.rec: Callable[[Entry], object] | None = None
        self.live: dict[str, Tracked] = {}
        self.stat = dict.fromkeys(STATISTICS, 0)
        self.changes = 0
        """How often something changed other than the bytes of a page."""
        self._numbers: Counter[str] = Counter()
        self._grouping = False
        self.tell: Callable[[Entry], object] = _nobody
        """What takes a change: ``rec``, or while a call is under way the list told at its end."""
        if record is not None:
            self.begin(record)

    def begin(self, record: Callable[[Entry], object]) -> None:
        """From here on ``record`` takes what changes, beginning with the statistics."""
        self.rec = self.tell = record
        record(new("vmstat", dict(self.stat)))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What changes inside is one step of the trace."""
        if self.rec is None or self._grouping:
            yield
            return
        entries: list[Entry] = []
        self._grouping, self.tell = True, entries.append
        try:
            yield
        finally:
            self._grouping, self.tell = False, self.rec
            if entries:
                self.rec(entries[0] if len(entries) == 1 else group(*entries))

    def number(self, kind: str) -> int:
        """The next number of a kind of object, from 1."""
        self._numbers[kind] += 1
        return self._numbers[kind]

    def count(self, statistic: str, by: int = 1) -> None:
        """Count in the statistics."""
        self.stat[statistic] += by
        self.tell((SET, "vmstat", statistic, self.stat[statistic]))

    def snapshot(self) -> dict[str, dict[str, object]]:
        """Every live object by name, its fields as plain values: what the trace adds up to."""
        state: dict[str, dict[str, object]] = {"vmstat": dict(self.stat)}
        for name, thing in self.live.items():
            state[name] = thing.state()
            if isinstance(thing, VmPage):
                state |= thing.blocks()
        return state


class Tracked:
    """Something the trace tells of: ``FIELDS`` are its fields, ``put`` the one way to set them."""

    KIND: ClassVar[str]
    FIELDS: ClassVar[tuple[str, ...]]

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self.number = vm.number(self.KIND)
        self.name = f"{self.KIND}:{self.number}"

    def state(self) -> dict[str, object]:
        """The fields as plain values; another object by its name, "" for none."""
        return {field: _plain(getattr(self, field)) for field in self.FIELDS}

    def born(self) -> None:
        """It is there from now on."""
        self.vm.changes += 1
        self.vm.live[self.name] = self
        if self.vm.rec is not None:
            self.vm.tell(new(self.name, self.state()))

    def put(self, **fields: object) -> None:
        """Set fields, telling of those that change."""
        self.vm.changes += 1
        for field, value in fields.items():
            if getattr(self, field) != value:
                setattr(self, field, value)
                self.vm.tell((SET, self.name, field, _plain(value)))

    def gone(self) -> None:
        """It is there no longer."""
        self.vm.changes += 1
        del self.vm.live[self.name]
        self.vm.tell((DELETE, self.name))


def _plain(value: object) -> object:
    if isinstance(value, Tracked):
        return value.name
    return "" if value is None else value


class VmPage(Tracked):
    """One page somebody has touched. Its bytes are told in blocks (``vm_block``). A block nobody
    has written is not told, and zero."""

    KIND = "vm_page"
    FIELDS = ("object", "index")

    def __init__(self, vm: Vm, owner: VmObject, index: int, source: VmPage | None = None) -> None:
        super().__init__(vm)
        self.object = owner
        self.index = index
        whole = bytearray(vm.page_size if source is None else source.data)
        self.data: memoryview = memoryview(whole)
        """Its bytes; as a view, so that taking or putting some copies them once."""
        self.written = 0
        """Blocks somebody has written: a bit for each, the first block's the lowest."""
        self.born()
        vm.count("internal_page_count")
        if source is not None:
            self.written = source.written
            if vm.rec is not None:
                for name, fields in self.blocks().items():
                    vm.tell(new(name, fields))

    def _blocks(self) -> dict[int, str]:
        """The blocks somebody has written, and their names in the trace."""
        there = (n for n in range(VM_BLOCKS) if self.written >> n & 1)
        return {n: vm_block(self.number, n) for n in there}

    def blocks(self) -> dict[str, dict[str, object]]:
        """The bytes as the trace tells them."""
        found: dict[str, dict[str, object]] = {}
        for block, name in self._blocks().items():
            at = block * VM_BLOCK
            data = bytes(self.data[at : at + VM_BLOCK])
            found[name] = {"page": self.name, "at": at, "data": data}
        return found

    def write(self, at: int, data: bytes) -> None:
        """Put bytes into the page; at least one, and all inside of it."""
        end = at + len(data)
        self.data[at:end] = data
        self.written |= (2 << (end - 1) // VM_BLOCK) - (1 << at // VM_BLOCK)
        self.vm.tell((VM_WRITE, self.number, at, data))

    def gone(self) -> None:
        """The page is freed."""
        with self.vm.together():
            for name in self._blocks().values():
                self.vm.tell((DELETE, name))
            super().gone()
            self.vm.count("internal_page_count", -1)


class VmObject(Tracked):
    """``struct vm_object``: ``size`` bytes of memory, a number of pages.

    Attributes:
        ref_count: map entries, memory entries and shadows that hold it; it dies with the last.
        shadow, shadow_offset: the object seen through the pages that are missing here.
        copy: the object old pages are pushed to before they are written here.
        copy_strategy: SYMMETRIC, DELAY or NONE.
        true_share: it was made to be shared.
        shadowed: a symmetric copy of it was made.
        pages: the pages that are there, by number.
    """

    KIND = "vm_object"
    FIELDS = (
        "size",
        "ref_count",
        "shadow",
        "shadow_offset",
        "copy",
        "copy_strategy",
        "true_share",
        "shadowed",
        "purgable",
    )

    def __init__(
        self,
        vm: Vm,
        size: int,
        copy_strategy: str = SYMMETRIC,
        *,
        true_share: bool = False,
        purgable: bool = False,
        shadow: VmObject | None = None,
        shadow_offset: int = 0,
    ) -> None:
        """``vm_object_allocate``: with one reference, the caller's, and that of ``shadow``, which
        it takes over."""
        super().__init__(vm)
        self.size = size
        self.ref_count = 1
        self.shadow = shadow
        self.shadow_offset = shadow_offset
        self.copy: VmObject | None = None
        self.copy_strategy = copy_strategy
        self.true_share = true_share
        self.shadowed = False
        self.purgable = purgable
        self.pages: dict[int, VmPage] = {}
        self.born()

    def reference(self) -> VmObject:
        """One more holds it."""
        self.put(ref_count=self.ref_count + 1)
        return self

    def deallocate(self) -> None:
        """One holds it no longer (``vm_object_deallocate``); nobody: it is gone with its pages."""
        at: VmObject | None = self
        while at is not None:
            at.put(ref_count=at.ref_count - 1)
            if at.ref_count:
                return
            for page in at.pages.values():
                page.gone()
            at.pages.clear()
            below = at.shadow
            if below is not None and below.copy is at:
                below.put(copy=None)
            at.gone()
            at = below

    # -- pages ---------------------------------------------------------------------------------

    def _add(self, index: int, source: VmPage | None) -> VmPage:
        page = self.pages[index] = VmPage(self.vm, self, index, source)
        self.vm.count("zero_fill_count" if source is None else "cow_faults")
        return page

    def lookup(self, index: int) -> VmPage | None:
        """The page as it is seen here: this object's, or of those behind it."""
        at: VmObject | None = self
        while at is not None:
            page = at.pages.get(index)
            if page is not None:
                return page
            index += at.shadow_offset // self.vm.page_size
            at = at.shadow
        return None

    def fault(self, index: int, *, write: bool) -> VmPage:
        """The page, to be read or to be written (``vm_fault_page``).

        A page nobody has is made of zeros. A page of an object behind this one is read where it is,
        and copied to here to be written. Before a page is written its old bytes are pushed to the
        object's copy, if that has not got it yet.
        """
        page = self.pages.get(index)
        if page is None:
            below = self.lookup(index)
            if below is not None and not write:
                return below
            page = self._add(index, below)
            self.collapse()
        copy = self.copy
        covered = copy is not None and index * self.vm.page_size < copy.size
        if write and copy is not None and covered and index not in copy.pages:
            copy._add(index, page)
        return page

    def collapse(self) -> None:
        """``vm_object_collapse``: objects behind this one that nobody else uses become part of it.

        What they hold and this one misses moves here; the rest is freed.
        """
        size = self.vm.page_size
        while (below := self.shadow) is not None and below.ref_count == 1 and below.copy is None:
            beyond = below.shadow
            if beyond is not None and beyond.copy is below:
                return  # old pages are pushed to it
            shift = self.shadow_offset // size
            for index, page in below.pages.items():
                here = index - shift
                if here in self.pages or not 0 <= here < self.size // size:
                    page.gone()
                    continue
                page.put(object=self, index=here)
                self.pages[here] = page
            below.pages.clear()
            self.put(shadow=beyond, shadow_offset=self.shadow_offset + below.shadow_offset)
            below.gone()

    # -- copies --------------------------------------------------------------------------------

    def make_shareable(self) -> None:
        """From now on a symmetric one is copied the delayed way, because several map it."""
        self.put(copy_strategy=DELAY, true_share=True)

    def coalesce(self, end: int, more: int) -> bool:
        """``vm_object_coalesce``: grow by ``more`` zeros at ``end``; False if it cannot."""
        self.collapse()
        shared = self.ref_count > 1 or self.true_share or self.purgable
        if shared or self.shadow is not None or self.copy is not None:
            return False
        size = self.vm.page_size
        for index in range(end // size, (end + more) // size):
            page = self.pages.pop(index, None)
            if page is not None:  # of a mapping that is gone
                page.gone()
        self.put(size=max(self.size, end + more))
        return True

    def put_shadow(self, offset: int, length: int) -> tuple[VmObject, int]:
        """``vm_object_shadow``: an empty object in front, and the offset into that one.

        It takes over the caller's reference. If nobody else has an interest in this object, there
        is no need for another: then it is itself.
        """
        alone = self.ref_count == 1 and self.size == length
        if alone and (self.shadow is None or self.shadow.copy is None):
            self.put(shadowed=False)
            return self, offset
        return VmObject(self.vm, length, shadow=self, shadow_offset=offset), 0

    def copy_lazily(self, offset: int, size: int) -> tuple[VmObject, int, bool, bool]:
        """``vm_object_copy_quickly``, ``vm_object_copy_strategically``: a copy of a range.

        Returns the object to map, with a reference for the caller, the offset into it, and whether
        the source and the copy are to be marked ``needs_copy``.
        """
        if self.copy_strategy == SYMMETRIC:
            self.put(shadowed=True)
            return self.reference(), offset, True, True
        if self.copy_strategy == DELAY:
            return self._copy_delayed(offset + size), offset, False, True
        return self._copy_slowly(offset, size), 0, False, False

    def _copy_delayed(self, size: int) -> VmObject:
        """``vm_object_copy_delayed``: the object of a copy that reaches to ``size``."""
        old = self.copy
        if old is not None and not old.pages:  # nothing was written since: one copy for both
            old.put(size=max(old.size, size))
            return old.reference()
        if old is None:
            made = VmObject(self.vm, size, shadow=self.reference())
        else:  # the older copy sees through the newer one
            made = VmObject(self.vm, max(old.size, size), shadow=self)
            old.put(shadow=made.reference())
        self.put(copy=made)
        return made

    def _copy_slowly(self, offset: int, size: int) -> VmObject:
        """``vm_object_copy_slowly``: every page is copied now."""
        made = VmObject(self.vm, size)
        first = offset // self.vm.page_size
        for index in range(size // self.vm.page_size):
            page = self.lookup(first + index)
            if page is not None:
                made.pages[index] = VmPage(self.vm, made, index, page)
        return made
