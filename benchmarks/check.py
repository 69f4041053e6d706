"""Checking an exercise: what ``check("q03_2")`` takes, beside running the notebook as others do.

Ours is one right answer with all its public checks, as a learner's cell runs them. The peer,
nbclient, is what papermill and nbgrader execute notebooks with: it starts a kernel and runs the
whole solution in it, cells that check included, which checking by execution has to.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.measure import BenchmarkError, Result, Table, Target, interleave, optional, timed
from kextlab.course.exercise import Exercise
from kextlab.course.running import run_checks

NOTEBOOK = Path(__file__).parents[1] / "solutions/03-units.ipynb"
QUESTION = "q03_2"
OURS = "check"
WHOLE = "kextlab check, 6 questions"
NBCLIENT = "nbclient, the notebook"
MOST = 0.300


def run(quick: bool) -> Result:
    """The benchmark ``check``."""
    rounds = 1 if quick else 9
    exercise = Exercise.read(NOTEBOOK)

    def check(name: str) -> None:
        question = next(question for question in exercise.questions if question.id == name)
        if not run_checks(question, exercise.setup, exercise.answers[name]).right:
            raise BenchmarkError(f"the answer to {name} in {NOTEBOOK.name} fails: mend that first")

    def whole() -> None:
        if not all(outcome.right for outcome in Exercise.read(NOTEBOOK).check()):
            raise BenchmarkError(f"an answer in {NOTEBOOK.name} fails: mend that first")

    subjects = {OURS: lambda: timed(lambda: check(QUESTION)), WHOLE: lambda: timed(whole)}
    absent = {} if optional("nbclient") else {NBCLIENT: 'pip install ".[test]"'}
    if not absent:
        subjects[NBCLIENT] = lambda: timed(_execute)
    ours, *peers = interleave(subjects, rounds)
    each = [(q.id, timed(partial(check, q.id)) * 1e3) for q in exercise.questions]
    return Result(
        name="check",
        operation=f"check of {QUESTION}",
        unit="ms",
        seconds=1e-3,
        ours=ours,
        peers=tuple(peers),
        ratios={peer.name: ours.median / peer.median for peer in peers},
        ratio_is="our time over the peer's",
        method=f"{rounds} turns of one check each, in one process",
        targets=(Target("check() answers within 300 ms", ours.median * 1e3, most=MOST * 1e3),),
        tables=(Table("each", "Each question once", ("question", "ms"), tuple(each)),),
        absent=absent,
    )


def _execute() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120).execute()
