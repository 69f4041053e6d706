"""Whatever an answer does, its question fails with one line, and nothing else happens."""

import sys
from typing import Any

import pytest

from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import EchoKext, connected, machine
from kextlab.course.running import Outcome, run_checks


def is_three(answer: Answer, _seed: int) -> Miss | None:
    value = answer["value"]() if callable(answer["value"]) else answer["value"]
    return None if value == 3 else Miss("another-walk", f"it is {value}", "3")


def serves(answer: Answer, _seed: int) -> Miss | None:
    _, _, app = machine(answer["Kext"])
    client = connected(app)
    client.send(b"x")
    return None if client.recv(9) == b"x" else Miss("another-walk", "another echo", "b'x'")


VALUE = Question("q03_1", "a number", ("value",), (Check("it is 3", is_three, 500),))
KEXT = Question("q03_1", "a kext", ("Kext",), (Check("it echoes", serves, 500),))


def outcome(answer: str, setup: tuple[str, ...] = (), question: Question = VALUE) -> Outcome:
    return run_checks(question, setup, answer)


BAD = {
    "a syntax error": ("value = (", "the cell is no Python: '(' was never closed in line 1"),
    "an exception": (
        "x = 1\nvalue = x / 0",
        "the cell raised ZeroDivisionError: division by zero (line 2 of the cell)",
    ),
    "nothing": ("", "the cell does not define value"),
    "half filled": ("value = ...", "value is still to be filled in"),
    "endless": ("while True: pass", "the cell took more than 100,000 steps: an endless loop?"),
    "endless when called": (
        "def value():\n    while True:\n        try: 1 / 0\n        except: pass",
        "the answer took more than 500 steps: an endless loop? (line 4 of the cell)",
    ),
    "recursion": ("def value(): return value() + 1", "the answer took more than 500 steps"),
    "exit": ("raise SystemExit", "the cell raised SystemExit (line 1 of the cell)"),
    "a question to nobody": ("value = input('?')", "RuntimeError: input(): nobody answers"),
    "another exception when called": (
        "def value():\n    return undefined",
        "the answer raised NameError: name 'undefined' is not defined (line 2 of the cell)",
    ),
}


@pytest.mark.parametrize(("answer", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_answer_is_one_line(answer: str, said: str) -> None:
    found = outcome(answer)
    assert said in found.line
    assert "\n" not in found.line
    assert not found.right
    assert found.miss is None


def test_a_setup_cell_that_fails_is_named() -> None:
    assert outcome("value = 3", ("1 / 0",)).line.startswith("a setup cell raised ZeroDivisionError")


def test_an_answer_uses_what_setup_defines() -> None:
    assert outcome("value = two + 1", ("two = 2",)).right


def test_an_answer_is_not_run_in_this_modules_names() -> None:
    assert outcome("value = is_three").line.startswith("the cell raised NameError")


def test_what_an_answer_prints_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome("print('noise')\nvalue = 3").right
    assert capsys.readouterr().out == ""


def test_a_wrong_answer_names_check_and_misconception() -> None:
    found = outcome("value = 4")
    assert found.check is VALUE.checks[0]
    assert found.miss is not None
    assert (found.miss.misconception, found.passed, found.ran) == ("another-walk", 0, 1)


def test_a_kext_that_loops_ends_too() -> None:
    kext = "class Kext(EchoKext):\n    def send(self, *a):\n        while True: pass"
    setup = ("from kextlab.kexts import EchoKext",)
    said = outcome(kext, setup, KEXT).line
    assert said == "the answer took more than 500 steps: an endless loop? (line 3 of the cell)"


def test_a_panic_names_what_the_callback_raised() -> None:
    kext = "class Kext(EchoKext):\n    def send(self, *a):\n        return a[99]"
    setup = ("from kextlab.kexts import EchoKext",)
    said = outcome(kext, setup, KEXT).line
    assert said.startswith("the answer panicked the machine: ")
    assert said.endswith("because of IndexError: tuple index out of range (line 3 of the cell)")


def test_a_right_kext_is_right() -> None:
    assert run_checks(KEXT, (), "from kextlab.kexts import EchoKext as Kext").right
    assert EchoKext.control_name == "org.kextlab.echo"


def test_an_interrupt_is_the_users() -> None:
    with pytest.raises(KeyboardInterrupt):
        outcome("raise KeyboardInterrupt")


def test_a_check_that_names_no_misconception_of_the_question_is_a_mistake_of_ours() -> None:
    def wrong(_answer: Answer, _seed: int) -> Miss:
        return Miss("unheard-of", "", "")

    question = Question("q03_1", "", (), (Check("", wrong),))
    with pytest.raises(KeyError, match="unheard-of"):
        run_checks(question, (), "")


def test_hidden_checks_are_counted_when_they_are_run() -> None:
    hidden = (Check("it is less than 3", lambda answer, seed: Miss("another-walk", "3", "2")),)
    found = run_checks(VALUE, (), "value = 3", hidden=hidden)
    assert (found.passed, found.ran, found.hidden_run) == (1, 2, True)


def test_dataclasses_of_an_answer_work() -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    n: int = 3\nvalue = A().n"
    )
    modules: dict[str, Any] = dict(sys.modules)
    assert outcome(source).right
    assert dict(sys.modules) == modules
