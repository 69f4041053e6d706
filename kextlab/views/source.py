"""What a view is made from: a trace, or a machine or a run, whose trace is then taken."""

from __future__ import annotations

from kextlab.trace.log import Trace


def trace_of(source: object, view: str) -> Trace:
    """The trace of a machine or of a run, or the trace given.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(source, Trace):
        return source
    trace = getattr(source, "trace", None)
    if isinstance(trace, Trace):
        return trace
    raise TypeError(f"{view} takes mac.trace or the mac itself, not {source!r:.40}")
