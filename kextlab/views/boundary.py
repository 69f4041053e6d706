"""The boundary of the static pictures: its words stand as far right as nothing crosses them."""

from __future__ import annotations

from kextlab.views.svg import rect, text
from kextlab.views.tokens import text_width

LABEL = "system call boundary"
WIDE = text_width(LABEL, 11, 600) + 14
"""px the words take."""
HATCH = 14
"""px of hatching below the line, in which they stand."""
Span = tuple[float, float]
"""From which x to which something crosses the boundary."""


def crossed(x1: float, x2: float, low: float) -> Span:
    """Where ``mach_figure.curve`` from x1 to x2 crosses the hatching, which ends at that part
    ``low`` of its height."""
    t = 0.0
    while t < 1 and 1.65 * (1 - t) ** 2 * t + 1.35 * (1 - t) * t**2 + t**3 < low:
        t += 0.01
    x = x1 + (3 - 2 * t) * t**2 * (x2 - x1)
    return min(x1, x) - 4, max(x1, x) + 4


def free(crossing: list[Span], end: float) -> float | None:
    """The right end of the last free place before ``end``; ``None``: there is none."""
    right = end
    for left, low in sorted(crossing, key=lambda span: -span[1]):
        if right - low >= WIDE:
            break
        right = min(right, left)
    return right if right >= WIDE else None


def label(crossing: list[Span], end: float, y: float) -> str:
    """The words, where the line is at ``y``; "" if there is no room for them."""
    right = free(crossing, end)
    if right is None:
        return ""
    body = rect(right - WIDE, y + 1.25, WIDE, HATCH, "kern-bg")
    return body + text(right - 8, y + 13, LABEL, 11, "ink", 600, "end")
