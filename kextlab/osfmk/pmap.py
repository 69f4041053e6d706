"""The pages a processor finds for a task by itself: ``vm_fault`` enters them.

Touching what is entered is no fault, and costs nothing but the bytes. Whatever else changes in the
memory of the machine makes a processor forget: it faults again, and finds out.

Read beside it: ``osfmk/arm64/pmap.c``, ``osfmk/x86_64/pmap.c`` (``pmap_enter``, ``pmap_remove``).

Left out: which processor has what in its translation cache, and forgetting single pages.
"""

from __future__ import annotations

from kextlab.osfmk.vm_object import Vm, VmPage


class Pmap:
    """``struct pmap`` of one address map."""

    __slots__ = ("_changes", "_mask", "_readable", "_shift", "_size", "_vm", "_writable")

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._changes = vm.changes
        self._mask = vm.page_mask
        self._size = vm.page_size
        self._shift = vm.page_mask.bit_length()
        self._readable: dict[int, VmPage] = {}
        self._writable: dict[int, VmPage] = {}

    def enter(self, address: int, page: VmPage, *, write: bool) -> None:
        """``pmap_enter``: the page may be read or written at its address."""
        if self._changes != self._vm.changes:
            self._changes = self._vm.changes
            self._readable.clear()
            self._writable.clear()
        (self._writable if write else self._readable)[address >> self._shift] = page

    def page(self, address: int, size: int, write: bool) -> VmPage | None:
        """The page in which that many bytes lie, one at least. ``None``: there is a fault."""
        if self._changes != self._vm.changes or not 0 < size <= self._size - (address & self._mask):
            return None
        return (self._writable if write else self._readable).get(address >> self._shift)
