"""Static SVG: the shapes every picture is drawn with.

A shape names its colour by token. Its light colour stands as a literal attribute, because PDF
converters know no CSS variables; the dark one comes by class from one style sheet.
"""

from __future__ import annotations

import html

from kextlab.views.tokens import MONO, SANS, TOKENS


def number(value: float) -> str:
    """A coordinate, to a hundredth of a px."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def count(value: int) -> str:
    """A number a reader reads: 8,192."""
    return f"{value:,}"


def _paint(fill: str | None, stroke: str | None, width: float, dash: str) -> str:
    classes: list[str] = []
    attributes = ""
    for kind, name in (("fill", fill), ("stroke", stroke)):
        if name is None:
            continue
        if name in TOKENS:
            classes.append(f"k{kind[0]}-{name}")
            name = TOKENS[name][0]
        attributes += f' {kind}="{name}"'
    if stroke is not None and width != 1:
        attributes += f' stroke-width="{number(width)}"'
    if dash:
        attributes += f' stroke-dasharray="{dash}"'
    return (f' class="{" ".join(classes)}"' if classes else "") + attributes


def rect(
    x: float,
    y: float,
    w: float,
    h: float,
    fill: str = "none",
    stroke: str | None = None,
    width: float = 1,
    radius: float = 0,
    dash: str = "",
) -> str:
    """A rectangle; ``fill`` is a token, ``none`` or ``url(#pattern)``."""
    round_ = f' rx="{number(radius)}"' if radius else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}"{round_}'
        f"{_paint(fill, stroke, width, dash)}/>"
    )


def line(
    x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, dash: str = ""
) -> str:
    """A straight line."""
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
        f"{_paint(None, stroke, width, dash)}/>"
    )


def path(
    d: str, fill: str = "none", stroke: str | None = None, width: float = 1, dash: str = ""
) -> str:
    """A path."""
    return f'<path d="{d}"{_paint(fill, stroke, width, dash)}/>'


def circle(
    x: float, y: float, r: float, fill: str, stroke: str | None = None, width: float = 1
) -> str:
    """A circle."""
    return (
        f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(r)}"'
        f"{_paint(fill, stroke, width, '')}/>"
    )


def text(
    x: float,
    y: float,
    words: str,
    size: float = 12,
    colour: str = "ink",
    weight: int = 400,
    anchor: str = "start",
    mono: bool = False,
    spacing: str = "",
) -> str:
    """A line of text with its base line at ``y``."""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}"'
        + (f' font-weight="{weight}"' if weight != 400 else "")
        + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        + (f' font-family="{MONO}"' if mono else "")
        + (f' letter-spacing="{spacing}"' if spacing else "")
        + _paint(colour, None, 1, "")
        + f">{html.escape(words, quote=False)}</text>"
    )


def group(body: str, title: str = "") -> str:
    """Shapes that belong together; the title is read out, and shown under the pointer."""
    head = f"<title>{html.escape(title, quote=False)}</title>" if title else ""
    return f"<g>{head}{body}</g>"


def cross(x: float, y: float, size: float, colour: str = "loss", width: float = 2) -> str:
    """The mark of a refusal or a loss."""
    a, b, c, d = number(x - size), number(x + size), number(y - size), number(y + size)
    return path(f"M{a} {c}L{b} {d}M{b} {c}L{a} {d}", stroke=colour, width=width)


def tip(x: float, y: float, dy: int, colour: str, size: float = 5) -> str:
    """An arrow head at x, y that points down (``dy`` 1) or up (-1)."""
    back, half = y - dy * size * 1.5, size * 0.72
    return path(
        f"M{number(x - half)} {number(back)}L{number(x)} {number(y)}"
        f"L{number(x + half)} {number(back)}Z",
        fill=colour,
    )


def hatch(name: str, colour: str, ground: str | None, width: float) -> str:
    """A pattern of slanted lines, to be used as ``url(#name)``."""
    body = rect(0, 0, 6, 6, ground) if ground else ""
    return (
        f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)">{body}{line(0, 0, 0, 6, colour, width)}</pattern>'
    )


def _dark(scope: str) -> str:
    return "".join(
        f"{scope}.kf-{name}{{fill:{dark}}}{scope}.ks-{name}{{stroke:{dark}}}"
        for name, (_, dark) in TOKENS.items()
    )


def style() -> str:
    """The dark theme: of the browser or system; a page's own choice (``data-theme``, or
    JupyterLab's theme) wins."""
    light = ":not([data-theme=light]):not(:has([data-jp-theme-light=true]))"
    return (
        f"<style>@media (prefers-color-scheme:dark){{{_dark(f':root{light} ')}}}"
        f"{_dark('[data-theme=dark] ')}{_dark('[data-jp-theme-light=false] ')}</style>"
    )


def document(width: float, height: float, name: str, title: str, words: str, body: str) -> str:
    """A whole picture with its title and alternative text; ``name`` is unique in a page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} {number(height)}" '
        f'width="{number(width)}" height="{number(height)}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="{SANS}" '
        'style="max-width:100%;height:auto;font-variant-numeric:tabular-nums">'
        f'<title id="{name}-title">{html.escape(title, quote=False)}</title>'
        f'<desc id="{name}-desc">{html.escape(words, quote=False)}</desc>'
        f"{style()}{body}</svg>"
    )
