"""The course: predictions, questions with checks, the glossary, the way back to what was missed.

    from kextlab.course import check, explain, glossary, predict, retrieve, reveal

``docs/authoring.md`` says how a notebook and an exercise are written with it. The names are
imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kextlab.course.cell import check as check
    from kextlab.course.glossary import glossary as glossary
    from kextlab.course.prediction import predict as predict
    from kextlab.course.prediction import reveal as reveal
    from kextlab.course.retrieval import retrieve as retrieve
    from kextlab.kernel.explain import explain as explain

__all__ = ["check", "explain", "glossary", "predict", "retrieve", "reveal"]

_HOMES = {
    "check": "kextlab.course.cell",
    "explain": "kextlab.kernel.explain",
    "glossary": "kextlab.course.glossary",
    "predict": "kextlab.course.prediction",
    "retrieve": "kextlab.course.retrieval",
    "reveal": "kextlab.course.prediction",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kextlab.course' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
