"""A learner's code ends after its steps, whatever it does, and the count is the code's alone."""

import pytest

from kextlab.course.budget import TICK, Budget, BudgetSpent, compiled


def run(source: str, limit: int = 1_000) -> Budget:
    budget = Budget(limit)
    exec(compiled(source, "<cell>"), {TICK: budget.tick})
    return budget


ENDLESS = {
    "while": "while True: pass",
    "for": "for _ in iter(int, 1): pass",
    "comprehension": "[n for n in iter(int, 1)]",
    "generator": "any(n for n in iter(int, 1))",
    "swallowed": "while True:\n try: int('x')\n except: pass",
    "swallowed outside": "try:\n while True: pass\nexcept: pass\nwhile True: pass",
    "finally": "def f():\n while True:\n  try: continue\n  finally: continue\nf()",
    "mutual": "def f():\n try: g()\n except RecursionError: g()\ndef g():\n f()\nf()",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_endless_loop_ends(source: str) -> None:
    with pytest.raises(BudgetSpent, match="more than 1,000 steps: an endless loop"):
        run(source)


def test_the_count_is_rounds_calls_and_handlers() -> None:
    source = "def f(): return 1\nfor _ in range(3): f()\n[n for n in range(2)]"
    assert run(source).used == 3 + 3 + 2


def test_a_limit_is_how_many_steps_there_may_be() -> None:
    assert run("for _ in range(1000): pass").used == 1_000
    with pytest.raises(BudgetSpent):
        run("for _ in range(1001): pass")


def test_a_renewed_budget_counts_from_zero() -> None:
    budget = run("for _ in range(10): pass")
    budget.renew(5)
    assert (budget.used, budget.limit) == (0, 5)


def test_code_means_what_it_meant() -> None:
    names: dict[str, object] = {TICK: Budget(1_000).tick}
    source = (
        "from __future__ import annotations\n"
        "def f(n):\n    'doc'\n    return [x * 2 for x in range(n) if x % 2]\n"
        "async def g():\n    async for _ in h: pass\n"
        "seen, doc = f(6), f.__doc__\n"
    )
    exec(compiled(source, "<cell>"), names)
    assert (names["seen"], names["doc"]) == ([2, 6, 10], "doc")


def test_a_traceback_names_the_line_of_the_cell() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("x = 1\nfor _ in range(2):\n    y = 2\n    1 / 0\n")
    assert caught.traceback[-1].lineno == 3  # counted from 0
