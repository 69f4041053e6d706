"""PNG of a picture, without a browser: drawn by resvg, imported only when asked for."""

from __future__ import annotations

import re
from pathlib import Path

from kextlab.views.picture import Picture

MISSING = "png() needs resvg-py, which is not installed: pip install 'kextlab[png]'"


def png(picture: Picture, *, scale: float = 2.0) -> bytes:
    """The picture as PNG, in the light theme.

    Args:
        picture: what any view returns.
        scale: pixels of the PNG for each px of the picture.

    Raises:
        ImportError: resvg-py is missing.
        TypeError: it is no picture.
        ValueError: the scale is not above 0 and at most 8.
    """
    if not isinstance(picture, Picture):
        raise TypeError(f"png() takes a picture, as units_picture(mac) gives, not {picture!r:.40}")
    if not 0 < scale <= 8:
        raise ValueError(f"scale {scale}: expected above 0 and at most 8")
    try:
        import resvg_py
    except ImportError:
        raise ImportError(MISSING) from None
    svg = re.sub(r"<style>.*?</style>", "", picture.svg, flags=re.S)
    drawn = resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=None,
        width=round(_width(svg) * scale),
        font_dirs=_fonts(),
        sans_serif_family="DejaVu Sans",
        monospace_family="DejaVu Sans Mono",
        background="#ffffff",
    )
    return bytes(drawn)


def _width(svg: str) -> float:
    found = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) [\d.]+"', svg)
    return float(found[1]) if found is not None else 800.0


def _fonts() -> list[str]:
    """Where fonts lie that matplotlib brings along, for machines that have none."""
    from importlib.util import find_spec

    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return [str(folder)] if folder.is_dir() else []
