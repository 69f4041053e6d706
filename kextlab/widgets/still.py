"""What a notebook stores of a Scope: a picture, and words.

A widget view would be stored as a reference to a model that no longer exists, and JupyterLab would
show "Error displaying widget: model not found". So the stored output is plain HTML with a static
picture, marked with the widget's place. While the widget lives, its front end finds the mark, draws
there and hides the picture (``front/session.js``). A reopened, exported or printed notebook shows
the picture.

The picture is an ``img``: what JupyterLab keeps of a notebook it does not trust.
"""

from __future__ import annotations

import base64
import html
from typing import Any

from kextlab.views.picture import Picture

MARK = "data-kextlab-scope"
NOTE = "A still picture. Run the cell again for the live view."


def stored(place: str, picture: Picture, sentence: str) -> dict[str, Any]:
    """The mime bundle of a display; Any: a value for each type.

    Args:
        place: what the front end looks for.
        picture: the scene.
        sentence: what happened at that step.
    """
    data = base64.b64encode(picture.svg.encode()).decode()
    words = html.escape(picture.text)
    said = f"<strong>{html.escape(sentence)}</strong><br>" if sentence else ""
    figure = (
        f'<figure data-still style="margin:0"><img alt="{words}" style="max-width:100%" '
        f'src="data:image/svg+xml;base64,{data}"><figcaption>{said}{NOTE}</figcaption></figure>'
    )
    return {
        "text/html": f'<div {MARK}="{html.escape(place)}">{figure}</div>',
        "image/svg+xml": picture.svg,
        "text/plain": "\n".join(part for part in (sentence, picture.text) if part),
    }
