"""A kext behind the bytes, in this process: both sides of the KPI gate, joined by a ``Link``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from kextlab.kernel.kernel import Kernel, name_of_kext
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import Kpi
from kextlab.remote.kpi import RemoteKpi
from kextlab.remote.kpi_server import KpiServer
from kextlab.remote.link import Link, LinkStatistics

__all__ = ["Link", "LinkStatistics", "RemoteKext", "load_remote"]

K = TypeVar("K", bound=Kext)


class RemoteKext(Kext, Generic[K]):
    """To the kernel a kext like any other; its code is ``kext``, on the other side of ``link``.

    Give this one to ``mac.unload`` and ``mac.leaks``.
    """

    def __init__(self, mac: Kernel, factory: Callable[[], K]) -> None:
        self._pool = mac.system.domain.pool
        self._server: KpiServer | None = None
        remote = RemoteKpi(self._to_kernel)
        self.kext = factory()
        self.kext.kpi = cast(Kpi, remote)  # the same functions; a test compares the signatures
        self.bundle_id = name_of_kext(self.kext)
        self.version = self.kext.version
        remote.attach({"start": self.kext.start, "stop": self.kext.stop})
        self.link = Link(self._serve, remote.serve)

    def _to_kernel(self, message: bytes) -> bytes:
        return self.link.to_kernel(message)

    def _serve(self, message: bytes) -> bytes:
        return self.server.serve(message)

    @property
    def server(self) -> KpiServer:
        """The kernel's side; it needs ``kpi``, which the kernel gives before it calls ``start``."""
        if self._server is None:
            self._server = KpiServer(self.kpi, self._pool, self.link.from_kernel)
        return self._server

    def start(self) -> int | None:
        """The kext's own ``start``, over the link."""
        return cast("int | None", self.server.function(0, "start")())

    def stop(self) -> int | None:
        """The kext's own ``stop``, over the link."""
        return cast("int | None", self.server.function(0, "stop")())


def load_remote(mac: Kernel, factory: Callable[[], K]) -> RemoteKext[K]:
    """Load a kext behind an encoded loop-back of the KPI gate.

    Raises as ``mac.load`` does.
    """
    return mac.load(lambda: RemoteKext(mac, factory))
