"""``check("q03_2")`` in a notebook: the answer as it was last run, checked at once.

The cells are found in IPython's history by their first line, ``# setup`` or ``# q03_2``: what
counts is what was run, saved or not. They are executed once more, apart from the notebook's own
names, so a check changes nothing there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from kextlab.course.question import CourseError, Miss, question_named
from kextlab.course.report import as_html, lines
from kextlab.course.running import Outcome, run_checks

FIRST_LINE = re.compile(r"\s*#\s*(setup\b.*|q\d\d_\d+)\b")


class Report:
    """What ``check`` answers: shows itself in a notebook; ``outcome`` holds the facts."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def __repr__(self) -> str:
        return "\n".join(lines(self.outcome))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        data = {"text/plain": repr(self), "text/html": as_html(self.outcome)}
        display(data, raw=True)  # type: ignore[no-untyped-call]
        if self.outcome.miss and self.outcome.miss.mac is not None and _has_widgets():
            display(scope_button(self.outcome.miss))  # type: ignore[no-untyped-call]


def check(name: str) -> Report:
    """Check the question ``qNN_M`` of this notebook.

    Raises:
        CourseError: there is no such question, no cell of it was run, or this is no notebook.
    """
    question = question_named(name)
    setup, answers = cells_run(_history())
    if name not in answers:
        raise CourseError(
            f"no cell that begins with the line `# {name}` was run yet; run the answer's cell first"
        )
    return Report(run_checks(question, setup, answers[name]))


def cells_run(history: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The setup cells and the answers among the cells run, each as it was run last."""
    setup: dict[str, str] = {}
    answers: dict[str, str] = {}
    for source in history:
        match = FIRST_LINE.match(source)
        if match is not None:
            (setup if match[1].startswith("setup") else answers)[match[1]] = source
    return list(setup.values()), answers


def _history() -> list[str]:
    shell = None
    if "IPython" in sys.modules:
        from IPython import get_ipython

        shell = get_ipython()
    if shell is None:
        raise CourseError("check() works in a notebook; in a terminal: kextlab check FILE")
    return [str(source) for source in shell.user_ns["In"]]


def _has_widgets() -> bool:
    return find_spec("ipywidgets") is not None and find_spec("anywidget") is not None


def scope_button(miss: Miss) -> Any:
    """A button that opens the Scope at the step in question. Any: ipywidgets has no types."""
    import ipywidgets

    mac = miss.mac
    assert mac is not None
    step = len(mac.trace) if miss.step is None else miss.step + 1
    button = ipywidgets.Button(
        description=f"Open the Scope at step {step}", layout=ipywidgets.Layout(width="16em")
    )
    place = ipywidgets.Output()

    def opened(_button: object) -> None:
        from kextlab.widgets.scope import Scope

        button.disabled = True
        place.append_display_data(Scope(mac.trace, at=step, title=miss.seen))

    button.on_click(opened)
    return ipywidgets.VBox([button, place])
