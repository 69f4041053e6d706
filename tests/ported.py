"""Which answers the tests carried over from XNU assert: they are run, and every code is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest

from kextlab.abi.mach import mach_error_name
from kextlab.osfmk.vm_map import VmMap
from kextlab.osfmk.vm_object import Vm
from tests.unit import test_ported_vm

CALLS = (
    "mach_vm_allocate",
    "mach_vm_deallocate",
    "mach_vm_map",
    "mach_vm_protect",
    "mach_vm_region",
    "mach_make_memory_entry_64",
)
Answers = set[tuple[str, str]]


class _Watched(int):
    """A code that notes what it is found equal to."""

    call: str
    found: Answers

    def __eq__(self, other: object) -> bool:
        same = int(self) == other
        if same:
            self.found.add((self.call, mach_error_name(int(self))))
        return same

    __hash__ = int.__hash__


def _watching(call: str, routine: Callable[..., Any], found: Answers) -> Callable[..., Any]:
    def watched(*args: Any) -> Any:
        answer = routine(*args)
        code = _Watched(answer[0] if isinstance(answer, tuple) else answer)
        code.call, code.found = call, found
        return (code, *answer[1:]) if isinstance(answer, tuple) else code

    return watched


def _parameters(test: Callable[..., object]) -> Iterator[dict[str, object]]:
    """Every combination a test is run with."""
    axes = []
    for mark in getattr(test, "pytestmark", []):
        names, values = mark.args
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        rows = [value if len(names) > 1 else (value,) for value in values]
        axes.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in product(*axes):
        yield {name: value for row in chosen for name, value in row.items()}


@cache
def asserted() -> frozenset[tuple[str, str]]:
    """(call, code) of every answer that a ported test finds equal to what it expects."""
    found: Answers = set()
    with pytest.MonkeyPatch.context() as patch:
        for call in CALLS:
            original = getattr(test_ported_vm, call)
            watched = _watching(call, original, found)
            patch.setattr(test_ported_vm, call, watched)
            if test_ported_vm.ALLOCATORS.get(call) is original:
                patch.setitem(test_ported_vm.ALLOCATORS, call, watched)
        for name, test in vars(test_ported_vm).items():
            if name.startswith("test_"):
                for page in (4096, 16384):
                    for arguments in _parameters(test):
                        test(VmMap(Vm(page)), **arguments)
    return frozenset(found)
