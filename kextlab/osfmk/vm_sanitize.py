"""Addresses and sizes a task hands in: truncated, rounded, refused where they wrap around.

Everything is 64 bits wide, as in C. Models ``osfmk/vm/vm_sanitize.c`` and the rewriting of errors
in ``vm_sanitize_error_compat.c``, as far as the calls that are modelled need them.
"""

from __future__ import annotations

from kextlab.abi.mach import (
    KERN_INVALID_ARGUMENT,
    KERN_SUCCESS,
    VM_INHERIT_NONE,
    VM_PROT_ALL,
)

U64 = (1 << 64) - 1
"""The largest mach_vm_address_t and mach_vm_size_t."""


def u64(name: str, value: int) -> int:
    """``value`` if C's uint64_t holds it; the errors are those of ``whole``."""
    return whole(name, value, 0, U64, "uint64_t")


def whole(name: str, value: int, low: int, high: int, kind: str) -> int:
    """``value`` if C's type ``kind``, from ``low`` to ``high``, holds it.

    Raises:
        ValueError: it does not; the message names the argument.
        TypeError: it is no whole number.
    """
    if not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, and must be a whole number: C's {kind}")
    if not low <= value <= high:
        least = f"{low:#x}" if low else "0"
        raise ValueError(f"{name} is {value:#x}, and must be {least} to {high:#x}: C's {kind}")
    return value


def unchanging(data: bytes) -> bytes:
    """Bytes that nobody changes any more, whatever they were handed in as: the trace keeps them.

    Raises:
        TypeError: they are no bytes.
    """
    return data if data.__class__ is bytes else bytes(memoryview(data))


def trunc_page(address: int, mask: int) -> int:
    """The beginning of the page."""
    return address & ~mask


def round_page(address: int, mask: int) -> int:
    """The end of the page the byte before ``address`` is in; wraps around to 0."""
    return (address + mask) & ~mask & U64


def sanitize_addr_size(address: int, size: int, mask: int) -> tuple[int, int, int]:
    """``vm_sanitize_addr_size``: code, first page's beginning, last page's end.

    A size of 0 is no error: end is start. Errors: KERN_INVALID_ARGUMENT (the range wraps around,
    or its end does when rounded).
    """
    start = trunc_page(address, mask)
    if size == 0:
        return KERN_SUCCESS, start, start
    end = round_page(address + size, mask)
    if address + size > U64 or end <= start:
        return KERN_INVALID_ARGUMENT, 0, 0
    return KERN_SUCCESS, start, end


def sanitize_size(size: int, mask: int) -> tuple[int, int]:
    """``vm_sanitize_size`` without an offset: code and rounded size.

    Errors: KERN_INVALID_ARGUMENT (0, or so large that it rounds to 0).
    """
    rounded = round_page(size, mask)
    return (KERN_SUCCESS, rounded) if rounded else (KERN_INVALID_ARGUMENT, 0)


def sanitize_prot(prot: int, extra: int = 0) -> int:
    """``vm_sanitize_prot``: a code; ``extra`` is what is allowed beside read, write, execute.

    Errors: KERN_INVALID_ARGUMENT (any other bit).
    """
    return KERN_INVALID_ARGUMENT if prot & ~(VM_PROT_ALL | extra) else KERN_SUCCESS


def sanitize_inherit(inheritance: int) -> int:
    """``vm_sanitize_inherit``: KERN_INVALID_ARGUMENT beyond VM_INHERIT_NONE."""
    return KERN_SUCCESS if 0 <= inheritance <= VM_INHERIT_NONE else KERN_INVALID_ARGUMENT
