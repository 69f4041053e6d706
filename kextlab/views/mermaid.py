"""A sequence diagram in Mermaid's notation, for Markdown pages that draw it (GitHub, JupyterLab).

Participants are numbered, so that no name can break the syntax; labels are escaped. A refusal ends
in a cross.
"""

from __future__ import annotations

from textwrap import wrap

from kextlab.trace.log import outside
from kextlab.views.patches import Json, checked
from kextlab.views.routes import BOUNDARY
from kextlab.views.scenes import ordered, scene_document

MOST = 60
"""Moments drawn unless asked otherwise; Mermaid refuses very long diagrams."""
_ESCAPES = str.maketrans(
    {"#": "#35;", ";": "#59;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "}
)


def escaped(words: str) -> str:
    """Words that mean nothing to Mermaid."""
    return words.translate(_ESCAPES)


def wrapped(words: str) -> str:
    """A sentence in lines of a note."""
    return "<br/>".join(escaped(line) for line in wrap(words, 56))


def mermaid(source: object, start: int = 0, stop: int | None = None) -> str:
    """Who called whom, as a Mermaid ``sequenceDiagram``.

    Args:
        source: ``mac.trace``, the machine itself, a run, or a scene document.
        start: the first step to tell of.
        stop: the first step not to tell of (default: after 60 calls and returns).

    Raises:
        IndexError: the trace has no such step.
        TypeError: the source is nothing of these.
        ValueError: the document is of another version.
    """
    doc = checked(source) if isinstance(source, dict) else scene_document(source)
    for step in (start, stop):
        if step is not None and not 0 <= step <= doc["steps"]:
            raise IndexError(outside(step, doc["steps"]))
    moments = [
        moment
        for moment in doc["moments"]
        if moment["step"] >= start and (stop is None or moment["step"] < stop)
    ]
    if stop is None:
        moments = moments[:MOST]
    seen = {end for moment in moments for end in (moment["from"], moment["to"])}
    lines = [line for line in ordered(list(doc["lifelines"])) if line["id"] in seen]
    names = {line["id"]: f"p{at}" for at, line in enumerate(lines)}
    text = ["sequenceDiagram"]
    for world, title in (("user", "User space"), ("kern", "Kernel")):
        own = [line for line in lines if line["world"] == world and line["id"] != BOUNDARY]
        if own:
            text.append(f"    box transparent {title}")
            text += [f"    participant {names[o['id']]} as {escaped(o['name'])}" for o in own]
            text.append("    end")
    if not lines:
        text.append("    participant p0 as kernel")
        text.append("    Note over p0: nothing has happened yet")
    for moment in moments:
        text += [f"    {row}" for row in _told(moment, names)]
    return "\n".join(text) + "\n"


def _told(moment: dict[str, Json], names: dict[str, str]) -> list[str]:
    start, end = names[moment["from"]], names[moment["to"]]
    label = escaped(moment.get("label") or moment["kind"])
    kind = moment["kind"]
    if kind == "return":
        return [f"{start}-->>{end}: {label}"]
    if kind == "refusal":
        errno = moment.get("errno", "lost")
        why = f"Note over {_over(start, end)}: {wrapped('✕ ' + moment['text'])}"
        if moment.get("back"):
            return [f"{end}--x{start}: {errno}", why]
        return [f"{start}-x{end}: {label}", f"{end}-->>{start}: {errno}", why]
    if kind in ("note", "panic") and start == end:
        mark = "✕ " if kind == "panic" else ""
        return [f"Note over {start}: {wrapped(mark + moment['text'])}"]
    via = moment.get("via")
    return [f"{start}->>{end}: {label}{f' ({via})' if via else ''}"]


def _over(start: str, end: str) -> str:
    first, last = sorted((start, end), key=lambda name: int(name[1:]))
    return first if first == last else f"{first},{last}"
