"""The colour table: every pair that is drawn is readable in light and dark."""

import pytest

from kextlab.views.tokens import TOKENS, fit, text_width

TEXT = {
    "ink": ("paper", "panel", "raise", "user-bg", "kern-bg", "pipe", "data-bg"),
    "ink2": ("paper", "panel", "raise", "user-bg", "kern-bg", "pipe"),
    "ink3": ("paper", "panel"),
    "user": ("paper", "raise", "user-bg"),
    "kern": ("paper", "raise", "kern-bg"),
    "data": ("paper",),
    "loss": ("paper", "panel", "raise", "kern-bg"),
    "sel": ("paper", "sel-bg"),
}
GRAPHICS = {
    "rule": ("paper", "raise", "pipe", "kern-bg"),
    "bound": ("paper", "user-bg", "kern-bg"),
    "user": ("paper", "user-bg"),
    "kern": ("paper", "kern-bg"),
    "data": ("paper", "pipe", "data-bg", "kern-bg"),
    "loss": ("paper", "panel", "pipe", "loss-bg"),
    "sel": ("pipe", "sel-bg", "data-bg", "kern-bg"),
}
PAIRS = [
    (name, ground, theme, least)
    for table, least in ((TEXT, 4.5), (GRAPHICS, 3.0))
    for name, grounds in table.items()
    for ground in grounds
    for theme in (0, 1)
]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("name", "ground", "theme", "least"), PAIRS)
def test_a_colour_stands_out_from_its_ground(
    name: str, ground: str, theme: int, least: float
) -> None:
    values = sorted(luminance(TOKENS[token][theme]) for token in (name, ground))
    assert (values[1] + 0.05) / (values[0] + 0.05) >= least


def test_text_that_fits_is_left_alone() -> None:
    assert fit("unit 1", 100, 12) == "unit 1"


def test_text_too_wide_is_cut_in_the_middle() -> None:
    short = fit("org.example.a.very.long.name", 100, 12)
    assert short.startswith("org")
    assert short.endswith("me")
    assert "…" in short
    assert text_width(short, 12) <= 100


def test_no_room_at_all_leaves_the_dots() -> None:
    assert fit("org.example", 1, 12) == "…"
