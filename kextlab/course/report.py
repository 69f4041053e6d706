"""What a check says, as text, as HTML and for a terminal: seen, expected, why, log, hints.

One ``Outcome`` in, the same words out three times. Never "all passed" for what was not run.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from rich.text import Text

from kextlab.course.question import Misconception, Miss
from kextlab.course.running import Outcome
from kextlab.views.log import Log, log

EXCERPT = 6
"""Sentences of the log that are shown,"""
BEFORE = 2
"""and how many of them lie before the step in question."""


def headline(outcome: Outcome) -> str:
    """One line: mark, question, how many checks passed, how many were not run."""
    mark = "✓" if outcome.right else "✕"
    question = outcome.question
    return f"{mark} {question.id} {question.title}: {counted(outcome)}"


def counted(outcome: Outcome) -> str:
    """How many checks passed of how many, and what was not run."""
    if outcome.hidden_run:
        return f"{outcome.passed} of {outcome.ran} checks, hidden ones among them"
    hidden = outcome.question.hidden
    rest = f", {hidden} hidden not run" if hidden else ""
    return f"{outcome.passed} of {outcome.ran} public checks{rest}"


def misconception(outcome: Outcome) -> Misconception | None:
    """What the learner believes, if a check found out."""
    miss = outcome.miss
    return outcome.question.misconceptions[miss.misconception] if miss else None


def excerpt(miss: Miss) -> Log | None:
    """The sentences of the log around the step in question, or the last; None without a machine."""
    if miss.mac is None:
        return None
    whole = log(miss.mac.trace)
    if miss.step is None:
        return whole[-EXCERPT:]
    at = sum(line.step < miss.step for line in whole)
    start = max(at - BEFORE, 0)
    return whole[start : start + EXCERPT]


def pairs(outcome: Outcome) -> list[tuple[str, str]]:
    """What is said below the headline, as (heading, words); no hints, no excerpt."""
    if outcome.line:
        return [("not checked", outcome.line)]
    miss, belief = outcome.miss, misconception(outcome)
    if miss is None or belief is None or outcome.check is None:
        return []
    return [
        ("should hold", f"{outcome.check.title}."),
        ("seen", miss.seen),
        ("expected", miss.expected),
        ("why", belief.why),
    ]


def lines(outcome: Outcome, rungs: int = 1) -> list[str]:
    """The whole report as plain lines, with the first ``rungs`` hints."""
    said = [headline(outcome)]
    said += [f"    {heading}: {words}" for heading, words in pairs(outcome)]
    if outcome.miss and (shown := excerpt(outcome.miss)):
        said += ["    what happened:", *(f"    {line}" for line in shown)]
    said += [f"    {heading}: {words}" for heading, words in hints(outcome, rungs)]
    return said


def hints(outcome: Outcome, rungs: int) -> list[tuple[str, str]]:
    """The first ``rungs`` hints as (heading, words)."""
    belief = misconception(outcome)
    if belief is None:
        return []
    ladder = belief.hints
    return [(f"hint {at} of {len(ladder)}", hint) for at, hint in enumerate(ladder[:rungs], 1)]


def as_text(outcomes: Sequence[Outcome], rungs: int = 1) -> Text:
    """The report for a terminal. Colour repeats what the words say."""
    text = Text()
    for outcome in outcomes:
        first, *rest = lines(outcome, rungs)
        text.append(first, style="bold green" if outcome.right else "bold red")
        text.append("".join(f"\n{line}" for line in rest) + "\n")
    right = sum(outcome.right for outcome in outcomes)
    hidden = sum(outcome.question.hidden for outcome in outcomes)
    text.append(f"{right} of {len(outcomes)} questions pass their public checks; ")
    text.append(f"{hidden} hidden check{'s' * (hidden != 1)} not run")
    return text


def as_html(outcome: Outcome) -> str:
    """The report for a notebook; hints open one by one."""
    colour = "#1a7f37" if outcome.right else "#b42318"
    style = f"border-left:4px solid {colour};padding:0.2em 0.8em;text-align:left"
    parts = [f'<div style="{style}"><strong>{html.escape(headline(outcome))}</strong>']
    for heading, words in pairs(outcome):
        parts.append(f"<p><em>{heading}</em>: {html.escape(words)}</p>")
    if outcome.miss and (shown := excerpt(outcome.miss)):
        parts.append(f"<p><em>what happened</em></p>{shown._repr_html_()}")
    for heading, words in hints(outcome, 3):
        parts.append(f"<details><summary>{heading}</summary><p>{html.escape(words)}</p></details>")
    return "".join([*parts, "</div>"])
