"""What a view is made from: a trace, or a machine, whose trace is then taken."""

from __future__ import annotations

from kextlab.kernel.kernel import Kernel
from kextlab.trace.log import Trace


def trace_of(source: object, view: str) -> Trace:
    """The trace of a machine, or the trace given.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(source, Kernel):
        return source.trace
    if isinstance(source, Trace):
        return source
    raise TypeError(f"{view} takes mac.trace or the mac itself, not {source!r:.40}")
