"""Figures drawn by matplotlib, which is imported only here and late, in the house's look.

A figure is a ``Picture`` like every other: static SVG with its alternative text, light colours as
literals and the dark ones in a ``@media`` block, the same bytes for the same data.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from kextlab.views.picture import name_for
from kextlab.views.tokens import TOKENS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = {name: light for name, (light, _) in TOKENS.items()}


def drawn(
    draw: Callable[[Figure], object], size: tuple[float, float], title: str, words: str
) -> str:
    """The SVG of a figure of ``size`` (units of 72 px), which ``draw`` fills; ``words`` say the
    same."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {  # matplotlib types the keys one by one, differently in every version
        "svg.hashsalt": "kextlab",
        "svg.fonttype": "none",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11,
        "axes.unicode_minus": False,
    }
    with rc_context(settings):
        figure = Figure(figsize=size, dpi=72, facecolor=LIGHT["paper"], layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _finish(file.getvalue(), title, words)


def plain(axes: Axes, grid: Literal["x", "y"]) -> None:
    """Axes as the house has them: two spines, a quiet grid."""
    axes.set_facecolor(LIGHT["paper"])
    axes.grid(axis=grid, color=LIGHT["hair"], linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LIGHT["rule"], labelcolor=LIGHT["ink2"], length=4)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(LIGHT["rule"])


def _finish(svg: str, title: str, words: str) -> str:
    """Add title, alternative text and the dark theme to what matplotlib wrote."""
    name = name_for(words)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<svg ([^>]*)width="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'height="[^"]*"', "", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    rules = "".join(
        f'#{name} [style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for token, (light, dark) in TOKENS.items()
        if token not in ("raise", "pipe")
        for kind in ("fill", "stroke")
    )
    media = (
        "<style>@media (prefers-color-scheme:dark){"
        + rules.replace(
            f"#{name} ",
            f":root:not([data-theme=light]):not(:has([data-jp-theme-light=true])) #{name} ",
        )
        + "}"
        + rules.replace(f"#{name} ", f"[data-theme=dark] #{name} ")
        + rules.replace(f"#{name} ", f"[data-jp-theme-light=false] #{name} ")
        + "</style>"
    )
    head = (
        f'<svg id="{name}" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'style="width:100%;max-width:820px;height:auto" '
    )
    labels = (
        f'<title id="{name}-title">{html.escape(title, quote=False)}</title>'
        f'<desc id="{name}-desc">{html.escape(words, quote=False)}</desc>{media}'
    )
    svg = svg.replace("<svg ", head, 1)
    at = svg.index(">") + 1
    return svg[:at] + labels + svg[at:]
