"""The standalone player: one HTML file that needs no server and makes no request.

The front end (``kextlab.views.front``) is inlined, the scene document travels compressed, and a
content policy forbids every request. Without JavaScript the page shows still pictures and the log.
"""

from __future__ import annotations

import base64
import gzip
import html
import json

from kextlab.views.log import Line, Log
from kextlab.views.patches import Json, checked, moment_at
from kextlab.views.picture import Picture
from kextlab.views.space_time import space_time
from kextlab.views.units import units_picture

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
MOST = 2000
"""Sentences of the log in the page for readers without JavaScript."""


def packed(doc: dict[str, Json]) -> bytes:
    """A scene document (or a part of one) as gzip of JSON: how it travels. The same document gives
    the same bytes."""
    text = json.dumps(doc, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), 6, mtime=0)


def still_picture(doc: dict[str, Json], step: int | None = None) -> Picture:
    """The topology of a scene at a step (default: the end), which every display stores.

    Raises:
        IndexError: the scene has no such step.
        ValueError: the document is of another version.
    """
    return units_picture(checked(doc), step)


def player(doc: dict[str, Json], *, presenter: bool = False, at: int | None = None) -> str:
    """The whole page.

    Args:
        doc: a scene document (``scene_document(mac)``).
        presenter: large type, for a class.
        at: the step to open at (default: the front end's own choice).

    Raises:
        IndexError: the scene has no such step.
        TypeError: it is no document.
        ValueError: it is of another version.
    """
    from kextlab.views import front

    doc = checked(doc)
    moment_at(doc, at)
    title = doc["title"] or "A simulated Mac"
    options: dict[str, Json] = {"presenter": presenter}
    if at is not None:
        options["at"] = at
    host = json.dumps({"live": False, "options": options})
    data = base64.b64encode(packed(doc)).decode()
    start = (  # the page is Scope's alone, so the keys act from the start
        f'\nunpack("{data}").then((doc) => '
        f'mount(document.getElementById("scope"), doc, {host}).app?.focus());\n'
    )
    script = front.bundle().replace("</script", "<\\/script") + start
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title>'
        f"<style>{front.css()}</style></head>\n"
        f'<body><main id="scope"></main>\n<noscript>{_plain(doc, title)}</noscript>\n'
        f'<script type="module">{script}</script></body></html>\n'
    )


def _plain(doc: dict[str, Json], title: str) -> str:
    """The end of the story as pictures, and the story in sentences."""
    moments = doc["moments"]
    lines = tuple(
        Line(moment["step"], moment["world"], moment["text"], moment.get("depth", 0))
        for moment in moments[-MOST:]
    )
    left = len(moments) - len(lines)
    more = f"<p>{left:,} earlier sentences are left out here.</p>" if left else ""
    return (
        '<div style="padding:16px;color-scheme:light dark;color:CanvasText;max-width:1200px;'
        'font-family:system-ui,sans-serif">'
        f"<h1>{html.escape(title)}</h1>"
        "<p>This page plays the story step by step once JavaScript is allowed; nothing is loaded "
        "from anywhere. Until then, here is how it ends, and what happened.</p>"
        f"{still_picture(doc)._repr_html_()}{space_time(doc)._repr_html_()}"
        f"<h2>What happened</h2>{more}{Log(lines)._repr_html_()}</div>"
    )
