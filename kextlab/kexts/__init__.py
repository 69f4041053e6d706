"""Bundled kexts, and what a kext of one's own is made of."""

from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Kpi, Mbuf, Out
from kextlab.kexts.echo import EchoKext

__all__ = ["EchoKext", "KernCtlReg", "KevMsg", "Kext", "KextError", "Kpi", "Mbuf", "Out"]
