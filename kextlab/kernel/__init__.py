"""The simulated kernel: one machine with its processes, kexts, gates, panics and snapshots."""

from kextlab.kernel.kernel import Kernel

__all__ = ["Kernel"]
