"""What checks have in common: a machine with a control, clients of it, what a call answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kextlab.abi.constants import CTL_FLAG_REG_ID_UNIT
from kextlab.abi.errno import name_of
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg
from kextlab.kexts import EchoKext
from kextlab.trace.codes import CALLBACK, PASS
from kextlab.userland.mac import Kernel
from kextlab.userland.process import App

Socket = Any
"""A socket of a simulated process; its class is made for that process."""
K = TypeVar("K", bound=Kext)


def machine(factory: Callable[[], K]) -> tuple[Kernel, K, App]:
    """A fresh Mac with one kext and one process."""
    mac = Kernel()
    return mac, mac.load(factory), mac.spawn("client")


def named(name: str, ident: int | None = None, unit: int = 0) -> type[EchoKext]:
    """An echo kext with a control of that name; static, with that unit, if an id is given."""

    class Named(EchoKext):
        bundle_id = control_name = name

        def start(self) -> int:
            reg = KernCtlReg(
                ctl_name=name,
                ctl_connect=self.connect,
                ctl_disconnect=self.disconnect,
                ctl_send=self.send,
            )
            if ident is not None:
                reg.ctl_id, reg.ctl_unit, reg.ctl_flags = ident, unit, CTL_FLAG_REG_ID_UNIT
            return self.kpi.ctl_register(reg, self.ctlref)

    return Named


def control(app: App) -> Socket:
    """A datagram control socket that is not connected."""
    module = app.socket
    return module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)


def connected(app: App, unit: int = 0, control_id: int = 1) -> Socket:
    """A client of a control. Raises OSError if it is refused; its socket is closed then."""
    client = control(app)
    try:
        client.connect((control_id, unit))
    except OSError:
        client.close()
        raise
    return client


def asked(call: Callable[[], object]) -> str:
    """What a call answered, in words: "ok", or the errno as "EBUSY (16)"."""
    try:
        call()
    except OSError as error:
        return refusal(error)
    return "ok"


def refusal(error: OSError) -> str:
    """A refusal as "EBUSY (16)"."""
    return f"{name_of(error.errno)} ({error.errno})" if error.errno else str(error)


def last_callback(mac: Kernel, name: str) -> int | None:
    """The step at which the kernel last called back ``name``; None if it never did."""
    steps = list(mac.trace.entries())
    return next(
        (at for at in reversed(range(len(steps))) if steps[at][0] in (CALLBACK, PASS)
         and steps[at][2] == name),
        None,
    )  # fmt: skip


def names_of(mac: Kernel) -> list[str]:
    """The names on the kernel's list of controls."""
    return [str(listed["name"]) for listed in mac.sysctl("kctl.reg_list")]


def letters(said: object) -> str:
    """The letters of a Parsons answer, in order: "DB", "d, b" and ["d", "b"] are the same."""
    return "".join(c for c in str(said).upper() if c.isalpha())


def assembled(lines: Mapping[str, str], order: str, names: Mapping[str, object]) -> dict[str, Any]:
    """What is defined when these lines of a Parsons question have run in this order.

    Raises:
        NameError: a line uses what no line before it defines.
    """
    scope = dict(names)
    exec("\n".join(lines[line] for line in order if line in lines), scope)
    return scope


def listed(lines: Mapping[str, str]) -> str:
    """The lines of a Parsons question as an exercise prints them."""
    return "\n".join(f"{letter}   {line}".replace("\n", "\n    ") for letter, line in lines.items())


__all__ = [
    "App",
    "EchoKext",
    "Kernel",
    "asked",
    "assembled",
    "connected",
    "control",
    "last_callback",
    "letters",
    "listed",
    "machine",
    "named",
    "names_of",
]
