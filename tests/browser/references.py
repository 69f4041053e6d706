"""Pictures of elements kept as references, and how a picture is compared with its reference.

    KEXTLAB_REFERENCES=write pytest tests/browser/test_references.py

draws them all anew; look at each before committing it. They are drawn with the fonts of
``benchmarks/fonts.conf``; another version of chromium smooths edges a little differently, so a
pixel counts as different only from ``SHADE`` on, and a small ``SHARE`` of pixels may.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

FOLDER = Path(__file__).parent / "references"
WRITE = os.environ.get("KEXTLAB_REFERENCES") == "write"
SHADE = 64
"""How much one of red, green and blue must differ, of 255."""
SHARE = 0.004
"""The share of pixels that may."""


def difference(seen: bytes, kept: bytes) -> tuple[float, bytes]:
    """The share of pixels that differ, and a picture of where: both PNG.

    Pictures of different sizes differ altogether.
    """
    from PIL import Image, ImageChops

    one, two = (Image.open(io.BytesIO(data)).convert("RGB") for data in (seen, kept))
    if one.size != two.size:
        return 1.0, seen
    red, green, blue = ImageChops.difference(one, two).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = most.point(lambda shade: 255 if shade >= SHADE else 0)
    share = mask.histogram()[255] / (one.size[0] * one.size[1])
    shown = Image.blend(one, Image.new("RGB", one.size, "white"), 0.7)
    shown.paste((255, 0, 160), mask=mask)
    out = io.BytesIO()
    shown.save(out, "PNG")
    return share, out.getvalue()


def compare(element: Locator, name: str, folder: Path) -> None:
    """Compare the element, as it is drawn now, with the reference of that name; or write it.

    A picture that differs is put into ``folder``, with one that shows where.
    """
    seen = element.screenshot(animations="disabled", caret="hide", scale="css")
    reference = FOLDER / f"{name}.png"
    if WRITE:
        reference.write_bytes(_small(seen))
        return
    assert reference.exists(), f"{reference} is missing: see tests/browser/references.py"
    share, where = difference(seen, reference.read_bytes())
    if share > SHARE:
        (folder / f"{name}.png").write_bytes(seen)
        (folder / f"{name}-where.png").write_bytes(where)
        raise AssertionError(
            f"{name}: {share:.2%} of the pixels differ from the reference, {SHARE:.2%} may; "
            f"seen: {folder / name}.png, where: {folder / name}-where.png"
        )


def _small(png: bytes) -> bytes:
    """The same picture in fewer bytes: few colours, best compression."""
    from PIL import Image

    out = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
