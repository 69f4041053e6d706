"""A picture that also exists in words: what every view that draws returns.

Jupyter shows ``_repr_html_`` or ``_repr_svg_``, a terminal and a screen reader get the words. This
module knows nothing of Jupyter: the two method names are all it shares with it.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from zlib import crc32


def name_for(words: str) -> str:
    """A name for the ids of a picture that says ``words``: the same for the same picture."""
    return f"k{crc32(words.encode()):08x}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A static picture.

    Attributes:
        title: what it shows, in a few words.
        text: its alternative text, in plain sentences, one a line.
        svg: the whole SVG document.
    """

    title: str
    text: str
    svg: str

    def __repr__(self) -> str:
        return f"{self.title}\n{self.text}"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        """The picture, and its words for whoever prefers them, folded away."""
        sentences = "".join(f"<p>{html.escape(line)}</p>" for line in self.text.splitlines())
        return (
            '<figure style="margin:0" class="kextlab">'
            f"{self.svg}<figcaption><details><summary>In words</summary>{sentences}</details>"
            "</figcaption></figure>"
        )

    def ids(self) -> set[str]:
        """The ids the SVG defines."""
        return set(re.findall(r' id="([^"]+)"', self.svg))
