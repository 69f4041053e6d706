"""The colours and type of the picture language: one table, light and dark.

Five meanings have a hue (user space, kernel, data, loss, selection), everything else is ink. Text
is at least 4.5:1 and graphics at least 3:1 on the grounds they are drawn on, in both themes;
``tests/unit/test_views_tokens.py`` recomputes every pair. No colour carries meaning alone.
"""

from __future__ import annotations

from typing import Final

TOKENS: Final[dict[str, tuple[str, str]]] = {
    "paper": ("#ffffff", "#14171b"),
    "panel": ("#f6f7f9", "#1b1f24"),
    "raise": ("#ffffff", "#232830"),
    "pipe": ("#ffffff", "#111417"),
    "ink": ("#171b21", "#eceff3"),
    "ink2": ("#454d58", "#bcc4ce"),
    "ink3": ("#5c6572", "#99a3b0"),
    "rule": ("#818a96", "#6f7a87"),
    "bound": ("#3a424d", "#aab3be"),
    "hair": ("#dde1e6", "#2e343c"),
    "user": ("#1c5a9c", "#86b9f0"),
    "user-bg": ("#eff5fb", "#172230"),
    "kern": ("#7a5010", "#dfb06a"),
    "kern-bg": ("#f9f4ea", "#221d15"),
    "data": ("#0a6b5c", "#56c8ae"),
    "data-bg": ("#bfe3da", "#1d4a41"),
    "loss": ("#b3221a", "#ff8f82"),
    "loss-bg": ("#fbe4e1", "#43201c"),
    "sel": ("#8f1b7d", "#f09be0"),
    "sel-bg": ("#f8e4f4", "#42203c"),
}
"""Token name to its colour in the light and in the dark theme."""

SANS: Final = "-apple-system,BlinkMacSystemFont,Segoe UI,Roboto,Helvetica Neue,Arial,sans-serif"
MONO: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,Liberation Mono,monospace"

# Advance widths of Helvetica, in thousandths of the type size, for the characters from " " to "~".
# fmt: off
_WIDTHS: Final = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)
# fmt: on
_WIDTH: Final = {chr(32 + at): width / 1000 for at, width in enumerate(_WIDTHS)}


def text_width(text: str, size: float, weight: int = 400) -> float:
    """How wide ``text`` gets, in px, in the widest font it may be set in (DejaVu Sans)."""
    wide = 1.16 if weight < 600 else 1.3
    return sum(_WIDTH.get(letter, 0.6) for letter in text) * size * wide


def fit(text: str, width: float, size: float, weight: int = 400) -> str:
    """``text``, cut in the middle so that it is no wider than ``width`` px."""
    if text_width(text, size, weight) <= width:
        return text
    for keep in range(len(text) - 1, 0, -1):
        head = (keep + 1) // 2
        short = text[:head] + "…" + text[len(text) - (keep - head) :]
        if text_width(short, size, weight) <= width:
            return short
    return "…"
