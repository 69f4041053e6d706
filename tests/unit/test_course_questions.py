"""Of every question: the starter fails, right answers pass, mistakes are named."""

import dis
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from kextlab.course.question import Check, Question, questions_of
from kextlab.course.running import run_checks
from kextlab.course.source import Source, as_json, read_source
from tests.recordings import recorded

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "solutions").glob("[0-9][0-9]-*.py"))
SEEDS = range(50)


@cache
def source(path: Path) -> Source:
    return read_source(path)


def every_question() -> Iterator[object]:
    for path in SOURCES:
        for question in questions_of(path.name[:2]):
            yield pytest.param(source(path), question, id=question.id)


def seeded(check: Check) -> bool:
    """Whether a check reads its seed; if not, it does the same with every one."""
    code = check.look.__code__
    return any(step.argval == code.co_varnames[1] for step in dis.get_instructions(code))


each = pytest.mark.parametrize(("source", "question"), list(every_question()))
sources = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)


@sources
def test_an_exercise_has_at_least_five_questions(path: Path) -> None:
    questions = questions_of(path.name[:2])
    assert len(questions) >= 5
    assert [question.id for question in questions] == list(source(path).written)
    assert len(source(path).seeds) >= 5


@sources
def test_an_exercise_and_its_solution_are_in_step_with_their_source(path: Path) -> None:
    made = "run: python tools/make_course.py"
    exercise = ROOT / "exercises" / f"{path.stem}.ipynb"
    assert exercise.read_text() == as_json(source(path).exercise()), made
    assert path.with_suffix(".ipynb").read_text() == as_json(source(path).solution()), made


@each
def test_a_question_has_answers_of_three_shapes_and_three_mistakes(
    source: Source, question: Question
) -> None:
    written = source.written[question.id]
    assert len(written.others) >= 2
    assert len({name for name, _ in written.mutants}) >= 3
    assert {name for name, _ in written.mutants} == set(question.misconceptions)
    shapes = {re.sub(r"\s|#.*", "", text) for text in (written.reference, *written.others)}
    assert len(shapes) == 1 + len(written.others)


@each
def test_the_starter_fails(source: Source, question: Question) -> None:
    found = run_checks(question, source.setup, source.written[question.id].starter)
    assert not found.right


@each
def test_every_right_answer_passes_whatever_the_seed(source: Source, question: Question) -> None:
    hidden = source.hidden(question.id)
    assert len(hidden) == question.hidden
    written = source.written[question.id]
    drawn = replace(question, checks=tuple(filter(seeded, question.checks)))
    for answer in (written.reference, *written.others):
        public = run_checks(drawn, source.setup, answer, seeds=SEEDS)
        assert public.right, (answer, public.line, public.miss)
        everything = run_checks(question, source.setup, answer, seeds=source.seeds, hidden=hidden)
        assert everything.right, (answer, everything.line, everything.miss)


@each
def test_every_mistake_is_caught_with_its_own_hint(source: Source, question: Question) -> None:
    for name, answer in source.written[question.id].mutants:
        for seed in SEEDS:
            found = run_checks(question, source.setup, answer, seeds=[seed])
            assert found.miss is not None, (name, seed, found.line)
            assert found.miss.misconception == name, (seed, found.miss)
            assert found.check is not None
            looked = question.checks[: question.checks.index(found.check) + 1]
            if seed and not any(map(seeded, looked)):
                break  # the same again


@each
def test_a_misconception_has_a_reason_and_three_different_hints(
    source: Source, question: Question
) -> None:
    for name, belief in question.misconceptions.items():
        assert len(belief.why) > 40, name
        assert len(belief.hints) == len(set(belief.hints)) == 3, name


@each
def test_every_recording_a_reason_names_is_in_both_corpora(
    source: Source, question: Question
) -> None:
    reasons = " ".join(belief.why for belief in question.misconceptions.values())
    lists = re.findall(r"\(recorded: ([^)]+)\)", reasons)
    named = {name for one in lists for name in one.split(", ")}
    for there in recorded():
        assert len(there) > 1_000
        assert named <= there, named - there


@sources
def test_a_solution_and_its_exercise_ask_the_same(path: Path) -> None:
    def asked(file: Path) -> list[str]:
        cells = json.loads(file.read_text())["cells"]
        return [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]

    exercise = [name for name in asked(ROOT / "exercises" / f"{path.stem}.ipynb") if name]
    assert exercise == [name for name in asked(path.with_suffix(".ipynb")) if name]
    assert exercise == [question.id for question in questions_of(path.name[:2])]
