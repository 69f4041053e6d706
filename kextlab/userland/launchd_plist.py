"""A launchd job's property list: its keys, their types, what is refused.

Read beside it: ``launchd.plist(5)``. Documented only. Left out: every key but those of ``Job``'s;
a list with another one is refused, because what the key asks for would not happen.
"""

from __future__ import annotations

import difflib
import plistlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, TypeAlias

from kextlab.abi.constants import SUN_PATH_SIZE

PropertyList: TypeAlias = str | PathLike[str] | bytes | Mapping[str, Any]
"""A path, the bytes of an XML or binary property list, or what is in one."""

THROTTLE_INTERVAL: Final = 10
"""Seconds between two starts of a job that does not say otherwise."""
USERS: Final = {"root": 0, "daemon": 1, "_www": 70, "user": 501, "nobody": 0xFFFFFFFE}
"""The users of the simulated Mac."""

_WORDS: Final = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    list: "an array",
    dict: "a dictionary",
    bytes: "data",
    float: "a real",
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "Label": (str,),
    "Program": (str,),
    "ProgramArguments": (list,),
    "MachServices": (dict,),
    "KeepAlive": (bool, dict),
    "Sockets": (dict,),
    "RunAtLoad": (bool,),
    "UserName": (str,),
    "ThrottleInterval": (int,),
    "Disabled": (bool,),
}


@dataclass(frozen=True)
class SocketPlist:
    """A socket a job's property list names: under which name, at which path, stream or datagram,
    and the mode of the path (``None``: as bind makes it)."""

    name: str
    path: str
    stream: bool
    mode: int | None


@dataclass(frozen=True)
class JobPlist:
    """What a property list asks of launchd.

    Attributes:
        source: where it came from, for messages.
        program: the path of the executable.
        arguments: what it is called with, its name left out.
        services: the names launchd is to hold receive rights for.
        sockets: the sockets launchd is to listen on.
        keep_alive: ``None``: started on demand; ``True``: always runs; ``{"SuccessfulExit":
            flag}``: started again if its last exit was (was not) 0.
        uid: the user it runs as.
        throttle: seconds between two starts, at least.
        keys: the list itself.
    """

    source: str
    label: str
    program: str
    arguments: tuple[str, ...]
    services: tuple[str, ...]
    sockets: tuple[SocketPlist, ...]
    keep_alive: bool | None
    successful_exit: bool | None
    run_at_load: bool
    uid: int
    throttle: int
    disabled: bool
    keys: Mapping[str, Any]


def read(plist: PropertyList) -> tuple[str, dict[str, Any]]:
    """(where it came from, the dictionary of a property list).

    Raises:
        ValueError: it is no property list, or its root is no dictionary.
        TypeError: neither path, bytes nor dictionary.
        OSError: the file cannot be read.
    """
    source, data = "property list", plist
    if isinstance(data, str | PathLike):
        source = Path(fspath(data)).name
        data = Path(data).read_bytes()
    if isinstance(data, bytes):
        try:
            data = plistlib.loads(data)
        except Exception as error:  # expat's, struct's, plistlib's own
            raise ValueError(
                f"{source}: no XML or binary property list ({str(error) or type(error).__name__})"
            ) from None
        if not isinstance(data, dict):
            raise ValueError(f"{source}: the root is {seen(data)}, expected a dictionary")
    if not isinstance(data, Mapping):
        raise TypeError(f"expected a path, bytes or a dictionary, got {plist!r}")
    return source, dict(data)


def seen(value: object) -> str:
    """A value as a message shows it."""
    word = _WORDS.get(type(value))
    short = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:37]}..."
    return f"{short} ({word})" if word else f"{short} ({type(value).__name__})"


def checked(source: str, key: str, value: object, *types: type) -> None:
    """ValueError: a value is of none of those types."""
    if type(value) not in types:
        allowed = " or ".join(_WORDS[one] for one in types)
        raise ValueError(f"{source}: {key} is {seen(value)}, expected {allowed}")


def job_of(plist: PropertyList) -> JobPlist:
    """The job of a property list.

    Raises:
        ValueError: one line, naming file and key, of what is wrong.
        NotImplementedError: a key that is not modelled.
        TypeError, OSError: as ``read``.
    """
    source, keys = read(plist)
    for key, value in keys.items():
        if key not in _TYPES:
            raise NotImplementedError(f"{source}: the key {key} is not modelled; {_modelled(key)}")
        checked(source, key, value, *_TYPES[key])
    label = keys.get("Label")
    if not label:
        raise ValueError(f"{source}: Label is missing; every job has one")
    words = keys.get("ProgramArguments", [])
    for number, word in enumerate(words):
        checked(source, f"ProgramArguments[{number}]", word, str)
    program = keys.get("Program") or (words[0] if words else "")
    if not program:
        raise ValueError(f"{source}: Program or ProgramArguments must name an executable")
    throttle = keys.get("ThrottleInterval", THROTTLE_INTERVAL)
    if throttle < 0:
        raise ValueError(f"{source}: ThrottleInterval is {throttle}, expected 0 s or more")
    user = keys.get("UserName", "root")
    if user not in USERS:
        raise ValueError(f"{source}: UserName is {user!r}, expected one of {', '.join(USERS)}")
    keep_alive = keys.get("KeepAlive")
    return JobPlist(
        source,
        label,
        program,
        tuple(words[1:]),
        _services(source, keys.get("MachServices", {})),
        _sockets(source, keys.get("Sockets", {})),
        keep_alive if isinstance(keep_alive, bool) else None,
        _successful_exit(source, keep_alive),
        keys.get("RunAtLoad", False),
        USERS[user],
        throttle,
        keys.get("Disabled", False),
        keys,
    )


def _modelled(key: object) -> str:
    """What is modelled instead of a key that is not."""
    near = difflib.get_close_matches(str(key), _TYPES, 1)
    return f"{near[0]} is" if near else f"modelled are {', '.join(_TYPES)}"


def _services(source: str, services: dict[str, object]) -> tuple[str, ...]:
    for name, value in services.items():
        checked(source, f"MachServices[{name!r}]", value, bool, dict)
        if value is False:
            raise ValueError(f"{source}: MachServices[{name!r}] is false, expected true")
        if isinstance(value, dict) and value:
            option = next(iter(value))
            raise NotImplementedError(
                f"{source}: the key {option} of the service {name} is not modelled; true is"
            )
    return tuple(services)


_SOCKET_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "SockPathName": (str,),
    "SockPathMode": (int,),
    "SockType": (str,),
    "SockFamily": (str,),
    "SockPassive": (bool,),
}


def _sockets(source: str, sockets: dict[str, object]) -> tuple[SocketPlist, ...]:
    found: list[SocketPlist] = []
    for name, value in sockets.items():
        where = f"Sockets[{name!r}]"
        checked(source, where, value, dict, list)
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            at = f"{where}[{number}]" if isinstance(value, list) else where
            checked(source, at, one, dict)
            made = _socket(source, name, at, one)
            if any(made.path == other.path for other in found):
                raise ValueError(f"{source}: {at}[SockPathName] is {made.path!r}, named twice")
            found.append(made)
    return tuple(found)


def _socket(source: str, name: str, at: str, keys: dict[str, Any]) -> SocketPlist:
    for key, value in keys.items():
        if key not in _SOCKET_TYPES:
            raise NotImplementedError(
                f"{source}: the key {key} of {at} is not modelled; modelled are "
                f"{', '.join(_SOCKET_TYPES)}"
            )
        checked(source, f"{at}[{key}]", value, *_SOCKET_TYPES[key])
    for key, known, all_ in (
        ("SockFamily", ("Unix",), ("Unix", "IPv4", "IPv6", "IPv4v6")),
        ("SockType", ("stream", "dgram"), ("stream", "dgram", "seqpacket")),
    ):
        value = keys.get(key, known[0])
        if value not in all_:
            raise ValueError(
                f"{source}: {at}[{key}] is {value!r}, expected one of {', '.join(all_)}"
            )
        if value not in known:
            raise NotImplementedError(
                f"{source}: {key} {value} of {at} is not modelled; {', '.join(known)} is"
            )
    if not keys.get("SockPassive", True):
        raise NotImplementedError(f"{source}: SockPassive false of {at} is not modelled; true is")
    path = keys.get("SockPathName", "")
    if not path:
        raise ValueError(f"{source}: {at}[SockPathName] is missing; a local socket has a path")
    if len(path.encode()) >= SUN_PATH_SIZE:
        raise ValueError(
            f"{source}: {at}[SockPathName] has {len(path.encode())} bytes, expected less than "
            f"{SUN_PATH_SIZE}"
        )
    mode = keys.get("SockPathMode")
    if mode is not None and not 0 <= mode <= 0o777:
        raise ValueError(f"{source}: {at}[SockPathMode] is {mode}, expected 0 to 511 (octal 777)")
    return SocketPlist(name, path, keys.get("SockType", "stream") == "stream", mode)


def _successful_exit(source: str, keep_alive: object) -> bool | None:
    """KeepAlive's condition, if it has one."""
    if not isinstance(keep_alive, dict):
        return None
    for key, value in keep_alive.items():
        if key != "SuccessfulExit":
            raise NotImplementedError(
                f"{source}: the key {key} of KeepAlive is not modelled; SuccessfulExit is"
            )
        checked(source, "KeepAlive[SuccessfulExit]", value, bool)
    found: bool | None = keep_alive.get("SuccessfulExit")
    return found
