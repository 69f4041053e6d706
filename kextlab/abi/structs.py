"""The C structures a process exchanges with kernel controls and event sockets, byte for byte.

Each class is one structure: ``pack()`` gives its bytes, ``unpack()`` reads them, ``SIZE`` is its
length, ``LAYOUT`` its fields with offsets. All are little endian, as on every Mac since 2006, and
need no padding. Fields keep their C names.

Read beside it: ``bsd/sys/kern_control.h`` (sockaddr_ctl, ctl_info, ctl_event_data) and
``bsd/sys/kern_event.h`` (the others).

Leaves out: the statistics and pcblist structures of the sysctls; bytes after the NUL of a string
(``unpack`` drops them and ``pack`` writes zeros).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from .constants import (
    AF_SYS_CONTROL,
    AF_SYSTEM,
    KEV_MSG_HEADER_SIZE,
    KEV_VENDOR_CODE_MAX_STR_LEN,
    MAX_KCTL_NAME,
)

if TYPE_CHECKING:
    from typing import Self, TypeAlias

    Readable: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field lies: ``offset`` and ``size`` in bytes, ``ctype`` as C spells it."""

    name: str
    offset: int
    size: int
    ctype: str


_BYTES: Final = {
    "u_char": 1,
    "u_int16_t": 2,
    "u_int32_t": 4,
    "int32_t": 4,
    "u_int64_t": 8,
    "char": 1,
}


def layout(*fields: tuple[str, str, int]) -> tuple[Field, ...]:
    """Lay out (name, element type, count) one after another: none of these needs padding."""
    rows = []
    offset = 0
    for name, element, count in fields:
        size = _BYTES[element] * count
        rows.append(Field(name, offset, size, element if count == 1 else f"{element}[{count}]"))
        offset += size
    return tuple(rows)


def c_bytes(data: Readable) -> bytes:
    """Read a C string from a fixed field: the bytes before the first NUL, or all of them."""
    return bytes(data).split(b"\0", 1)[0]


def c_str(data: Readable) -> str:
    r"""Read a C string as text; bytes that are not UTF-8 appear as ``\xNN``."""
    return c_bytes(data).decode("utf-8", "backslashreplace")


def _check_uint(field: str, value: int, bits: int) -> None:
    top = (1 << bits) - 1
    if not 0 <= value <= top:
        raise ValueError(f"{field} = {value}: expected 0 to {top}")


def _check_u32(names: Sequence[str], values: Sequence[int]) -> None:
    for name, value in zip(names, values, strict=True):
        _check_uint(name, value, 32)


def _check_chars(field: str, value: bytes, size: int) -> None:
    if len(value) > size:
        raise ValueError(f"{field} has {len(value)} bytes: expected at most {size}")


def _exactly(what: str, data: Readable, size: int) -> bytes:
    """First ``size`` bytes of ``data``, which may be longer."""
    if len(data) < size:
        raise ValueError(f"{what} from {len(data)} bytes: needs {size}")
    return bytes(data[:size])


@dataclass(slots=True)
class SockaddrCtl:
    """``struct sockaddr_ctl``: the address of a unit of a control, 32 bytes.

    The first three fields are constants of the family; a client gives ``sc_id`` (from
    CTLIOCGINFO) and ``sc_unit`` (0: the kernel chooses).

    Raises:
        ValueError: a field does not fit its C type, or ``sc_reserved`` has not five elements.
    """

    sc_len: int = 32
    sc_family: int = AF_SYSTEM
    ss_sysaddr: int = AF_SYS_CONTROL
    sc_id: int = 0
    sc_unit: int = 0
    sc_reserved: tuple[int, ...] = (0, 0, 0, 0, 0)

    SIZE: ClassVar[int] = 32
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("sc_len", "u_char", 1),
        ("sc_family", "u_char", 1),
        ("ss_sysaddr", "u_int16_t", 1),
        ("sc_id", "u_int32_t", 1),
        ("sc_unit", "u_int32_t", 1),
        ("sc_reserved", "u_int32_t", 5),
    )

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        _check_uint("sc_len", self.sc_len, 8)
        _check_uint("sc_family", self.sc_family, 8)
        _check_uint("ss_sysaddr", self.ss_sysaddr, 16)
        _check_u32(("sc_id", "sc_unit"), (self.sc_id, self.sc_unit))
        if len(self.sc_reserved) != 5:
            raise ValueError(f"sc_reserved has {len(self.sc_reserved)} elements: expected 5")
        for index, word in enumerate(self.sc_reserved):
            _check_uint(f"sc_reserved[{index}]", word, 32)

    def pack(self) -> bytes:
        """Give the 32 bytes. Raises ValueError as the class does."""
        self._check()
        return struct.pack(
            "<BBHII5I",
            self.sc_len,
            self.sc_family,
            self.ss_sysaddr,
            self.sc_id,
            self.sc_unit,
            *self.sc_reserved,
        )

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the first 32 bytes of ``data``; ValueError when it is shorter."""
        raw = _exactly("sockaddr_ctl", data, cls.SIZE)
        length, family, sysaddr, ident, unit, *reserved = struct.unpack("<BBHII5I", raw)
        return cls(length, family, sysaddr, ident, unit, tuple(reserved))


@dataclass(slots=True)
class CtlInfo:
    """``struct ctl_info``: a control's name and id, 100 bytes; argument of CTLIOCGINFO.

    ``ctl_name`` is kept up to its first NUL. A name of 96 bytes fits, without a NUL: the kernel
    then answers EINVAL.

    Raises:
        ValueError: a field does not fit its C type.
    """

    ctl_id: int = 0
    ctl_name: bytes = b""

    SIZE: ClassVar[int] = 100
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("ctl_id", "u_int32_t", 1), ("ctl_name", "char", MAX_KCTL_NAME)
    )

    def __post_init__(self) -> None:
        self.ctl_name = c_bytes(self.ctl_name)
        self._check()

    def _check(self) -> None:
        _check_uint("ctl_id", self.ctl_id, 32)
        _check_chars("ctl_name", self.ctl_name, MAX_KCTL_NAME)

    @classmethod
    def named(cls, name: str) -> Self:
        """Ask for a control by name: ``ctl_id`` 0, ``ctl_name`` in UTF-8."""
        return cls(0, name.encode())

    @property
    def name(self) -> str:
        """``ctl_name`` as text."""
        return c_str(self.ctl_name)

    def pack(self) -> bytes:
        """Give the 100 bytes, the name padded with NUL. Raises ValueError as the class does."""
        self._check()
        return struct.pack("<I96s", self.ctl_id, self.ctl_name)

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the first 100 bytes of ``data``; ValueError when it is shorter."""
        return cls(*struct.unpack("<I96s", _exactly("ctl_info", data, cls.SIZE)))


@dataclass(slots=True)
class CtlEventData:
    """``struct ctl_event_data``: data of KEV_CTL_REGISTERED and KEV_CTL_DEREGISTERED, 8 bytes.

    Raises:
        ValueError: a field does not fit its C type.
    """

    ctl_id: int = 0
    ctl_unit: int = 0

    SIZE: ClassVar[int] = 8
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("ctl_id", "u_int32_t", 1), ("ctl_unit", "u_int32_t", 1)
    )

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        _check_u32(("ctl_id", "ctl_unit"), (self.ctl_id, self.ctl_unit))

    def pack(self) -> bytes:
        """Give the 8 bytes. Raises ValueError as the class does."""
        self._check()
        return struct.pack("<II", self.ctl_id, self.ctl_unit)

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the first 8 bytes of ``data``; ValueError when it is shorter."""
        return cls(*struct.unpack("<II", _exactly("ctl_event_data", data, cls.SIZE)))


@dataclass(slots=True)
class KevRequest:
    """``struct kev_request``: an event socket's filter, 12 bytes; 0 lets everything pass.

    The filter is a hierarchy: the kernel looks at the class only when a vendor is named, and at
    the subclass only when a class is.

    Raises:
        ValueError: a field does not fit its C type.
    """

    vendor_code: int = 0
    kev_class: int = 0
    kev_subclass: int = 0

    SIZE: ClassVar[int] = 12
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("vendor_code", "u_int32_t", 1),
        ("kev_class", "u_int32_t", 1),
        ("kev_subclass", "u_int32_t", 1),
    )

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        _check_u32(
            ("vendor_code", "kev_class", "kev_subclass"),
            (self.vendor_code, self.kev_class, self.kev_subclass),
        )

    def pack(self) -> bytes:
        """Give the 12 bytes. Raises ValueError as the class does."""
        self._check()
        return struct.pack("<III", self.vendor_code, self.kev_class, self.kev_subclass)

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the first 12 bytes of ``data``; ValueError when it is shorter."""
        return cls(*struct.unpack("<III", _exactly("kev_request", data, cls.SIZE)))


@dataclass(slots=True)
class KevVendorCode:
    """``struct kev_vendor_code``: a vendor's name and code, 204 bytes; for SIOCGKEVVENDOR.

    ``vendor_string`` is kept up to its first NUL.

    Raises:
        ValueError: a field does not fit its C type.
    """

    vendor_code: int = 0
    vendor_string: bytes = b""

    SIZE: ClassVar[int] = 204
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("vendor_code", "u_int32_t", 1), ("vendor_string", "char", KEV_VENDOR_CODE_MAX_STR_LEN)
    )

    def __post_init__(self) -> None:
        self.vendor_string = c_bytes(self.vendor_string)
        self._check()

    def _check(self) -> None:
        _check_uint("vendor_code", self.vendor_code, 32)
        _check_chars("vendor_string", self.vendor_string, KEV_VENDOR_CODE_MAX_STR_LEN)

    @classmethod
    def named(cls, name: str) -> Self:
        """Ask for a vendor by name: ``vendor_code`` 0, ``vendor_string`` in UTF-8."""
        return cls(0, name.encode())

    @property
    def name(self) -> str:
        """``vendor_string`` as text."""
        return c_str(self.vendor_string)

    def pack(self) -> bytes:
        """Give the 204 bytes, the string padded with NUL. Raises ValueError as the class does."""
        self._check()
        return struct.pack("<I200s", self.vendor_code, self.vendor_string)

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the first 204 bytes of ``data``; ValueError when it is shorter."""
        return cls(*struct.unpack("<I200s", _exactly("kev_vendor_code", data, cls.SIZE)))


@dataclass(slots=True)
class KernEventMsg:
    """``struct kern_event_msg``: what an event socket reads, a 24-byte header and the data.

    ``total_size`` is not stored: it is always header plus ``event_data``. ``SIZE`` and ``LAYOUT``
    are those of the header.

    Raises:
        ValueError: a field does not fit its C type.
    """

    vendor_code: int = 0
    kev_class: int = 0
    kev_subclass: int = 0
    id: int = 0
    event_code: int = 0
    event_data: bytes = b""

    SIZE: ClassVar[int] = KEV_MSG_HEADER_SIZE
    LAYOUT: ClassVar[tuple[Field, ...]] = layout(
        ("total_size", "u_int32_t", 1),
        ("vendor_code", "u_int32_t", 1),
        ("kev_class", "u_int32_t", 1),
        ("kev_subclass", "u_int32_t", 1),
        ("id", "u_int32_t", 1),
        ("event_code", "u_int32_t", 1),
    )

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        _check_u32(
            ("vendor_code", "kev_class", "kev_subclass", "id", "event_code"),
            (self.vendor_code, self.kev_class, self.kev_subclass, self.id, self.event_code),
        )

    @property
    def total_size(self) -> int:
        """Bytes of the whole message."""
        return KEV_MSG_HEADER_SIZE + len(self.event_data)

    def pack(self) -> bytes:
        """Give header and data. Raises ValueError as the class does."""
        self._check()
        header = struct.pack(
            "<6I",
            self.total_size,
            self.vendor_code,
            self.kev_class,
            self.kev_subclass,
            self.id,
            self.event_code,
        )
        return header + self.event_data

    @classmethod
    def unpack(cls, data: Readable) -> Self:
        """Read the message at the start of ``data``, as long as its ``total_size`` says.

        Raises:
            ValueError: ``data`` is shorter than the header or than ``total_size`` (a short read
                cuts the message), or ``total_size`` is less than the header.
        """
        header = _exactly("kern_event_msg", data, cls.SIZE)
        total_size, vendor, kev_class, subclass, ident, code = struct.unpack("<6I", header)
        if total_size < cls.SIZE:
            raise ValueError(f"total_size = {total_size}: expected {cls.SIZE} or more")
        whole = _exactly("kern_event_msg", data, total_size)
        return cls(vendor, kev_class, subclass, ident, code, whole[cls.SIZE :])

    @classmethod
    def split(cls, data: Readable) -> Iterator[Self]:
        """Yield the messages that lie one after another in ``data``.

        Raises:
            ValueError: as ``unpack``, when the walk reaches the damaged message.
        """
        rest = memoryview(data)
        while rest:
            message = cls.unpack(rest)
            yield message
            rest = rest[message.total_size :]
