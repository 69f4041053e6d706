"""A simulator of Darwin kernel-control IPC for teaching.

    from kextlab import Kernel
    from kextlab.kexts import EchoKext

    mac = Kernel()
    echo = mac.load(EchoKext)
    app = mac.spawn("client", uid=501)
    s = app.socket.socket(app.socket.PF_SYSTEM, app.socket.SOCK_DGRAM, app.socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")

The names below are imported when they are first used, so that ``import kextlab`` costs next to
nothing: ``Kernel`` (``kextlab.userland.mac``), the simulated Mac; ``explain``
(``kextlab.kernel.explain``), why the kernel said so; ``Scope`` (``kextlab.widgets.scope``), see and
step it in a notebook; ``__version__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kextlab.kernel.explain import explain as explain
    from kextlab.userland.mac import Kernel as Kernel
    from kextlab.widgets.scope import Scope as Scope

    __version__: str

__all__ = ["Kernel", "Scope", "explain"]

_HOMES = {
    "Kernel": "kextlab.userland.mac",
    "Scope": "kextlab.widgets.scope",
    "explain": "kextlab.kernel.explain",
}


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        from importlib.metadata import version

        value = version("kextlab")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'kextlab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
