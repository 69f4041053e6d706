"""The calls a process can make, by the names C has for them: what a scenario can do again.

Each has a gate of the machine, a method there, and a letter for each argument behind the pid, as
``kextlab.remote.signatures`` reads them. Two letters more: ``f``, a flag; ``w``, a list of numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from kextlab.kernel.iokit import IOKitGate
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.mach_traps import MachTraps
from kextlab.kernel.syscalls import Syscalls
from kextlab.kernel.vm_traps import VmTraps
from kextlab.remote.signatures import KINDS as REMOTE
from kextlab.remote.signatures import SYSCALLS
from kextlab.scenario.recording import in_json
from kextlab.scenario.values import ScenarioError
from kextlab.userland.bootstrap import Bootstrap

KINDS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    **REMOTE,
    "f": ("true, false or a number", lambda value: isinstance(value, int)),
    "w": (
        "a list of numbers",
        lambda value: isinstance(value, list | tuple) and all(type(one) is int for one in value),
    ),
}

_GATES: Final[dict[str, tuple[type, dict[str, tuple[str, str]]]]] = {
    "syscalls": (Syscalls, {name: (name, kinds[1:]) for name, kinds in SYSCALLS.items()}),
    "mach_traps": (
        MachTraps,
        {
            "mach_port_allocate": ("port_allocate", "i"),
            "mach_port_insert_right": ("port_insert_right", "iii"),
            "mach_port_deallocate": ("port_deallocate", "i"),
            "mach_port_destroy": ("port_destroy", "i"),
            "mach_port_mod_refs": ("port_mod_refs", "iii"),
            "mach_port_get_refs": ("port_get_refs", "ii"),
            "mach_port_type": ("port_type", "i"),
            "mach_port_rename": ("port_rename", "ii"),
            "mach_port_get_attributes": ("port_get_attributes", "i"),
            "mach_port_set_attributes": ("port_set_qlimit", "ii"),
            "mach_port_set_mscount": ("port_set_mscount", "ii"),
            "mach_port_insert_member": ("port_insert_member", "ii"),
            "mach_port_extract_member": ("port_extract_member", "ii"),
            "mach_port_move_member": ("port_move_member", "ii"),
            "mach_port_request_notification": ("port_request_notification", "iiiii"),
            "mach_msg": ("mach_msg", "niiii"),
        },
    ),
    "vm_traps": (
        VmTraps,
        {
            "mach_vm_allocate": ("vm_allocate", "iii"),
            "mach_vm_deallocate": ("vm_deallocate", "ii"),
            "mach_vm_protect": ("vm_protect", "iifi"),
            "mach_vm_region": ("vm_region", "i"),
            "mach_make_memory_entry_64": ("make_memory_entry", "iiii"),
            "mach_vm_map": ("vm_map", "iiiiiifiii"),
        },
    ),
    "launchd": (
        Bootstrap,
        {
            "bootstrap_check_in": ("check_in", "s"),
            "bootstrap_look_up": ("look_up", "s"),
            "bootstrap_register": ("register", "si"),
            "bootstrap_create_service": ("create_service", "s"),
        },
    ),
    "iokit": (
        IOKitGate,
        {
            "io_service_get_matching_service": ("io_service_get_matching_service", "s"),
            "io_service_open": ("io_service_open", "ifi"),
            "io_service_close": ("io_service_close", "i"),
            "io_connect_method": ("io_connect_method", "iiwbii"),
            "io_connect_async_method": ("io_connect_async_method", "iii"),
            "io_connect_map_memory": ("io_connect_map_memory", "iifi"),
            "io_connect_unmap_memory": ("io_connect_unmap_memory", "iifi"),
            "io_connect_set_notification_port": ("io_connect_set_notification_port", "iiii"),
        },
    ),
}
"""By the machine's attribute, the class there and its calls: C's name, the method, the letters."""

CALLS: Final = {
    name: (gate, kind, method, kinds)
    for gate, (kind, calls) in _GATES.items()
    for name, (method, kinds) in calls.items()
}
"""Every call, by C's name."""


@cache
def parameters(name: str) -> tuple[tuple[str, str, bool], ...]:
    """The arguments of a call behind the pid: name, kind (``KINDS``), whether it may be left out.

    Raises:
        ScenarioError: there is no such call.
    """
    if name not in CALLS:
        raise ScenarioError(f"unknown system call {in_json(name)}: there are {', '.join(CALLS)}")
    _, gate, method, kinds = CALLS[name]
    given = list(inspect.signature(getattr(gate, method)).parameters.values())[2:]
    return tuple(
        (parameter.name.rstrip("_"), kind, parameter.default is not parameter.empty)
        for parameter, kind in zip(given, kinds, strict=True)
    )


def call_of(mac: Kernel, name: str) -> Callable[..., tuple[int, Any]]:
    """The method of a machine that does a call: pid and arguments to (code, value)."""
    gate, _, method, _ = CALLS[name]
    found: Callable[..., tuple[int, Any]] = getattr(getattr(mac, gate), method)
    return found
