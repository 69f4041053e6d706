"""`explain` is held against the recordings: what it names they show, what they hold it explains."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import kextlab.abi.errno as abi
from kextlab.abi import iokit, mach
from kextlab.abi.iokit import IOKitError
from kextlab.kernel import Kernel, explanations
from kextlab.kernel.explain import (
    FAMILIES,
    Cause,
    Explanation,
    calls,
    causes_by_code,
    causes_by_errno,
    causes_by_text,
    explain,
    parse,
)
from kextlab.kernel.kext import Kext, KextError
from kextlab.kernel.kpi import KernCtlReg, Out
from kextlab.scenario.recording import Step
from kextlab.sched.stop import KernelPanic, SimDeadlock, Sleep
from tests.recordings import corpora

ROOT = Path(__file__).parents[2]
KERNEL = [
    *sorted((ROOT / "kextlab/bsd").glob("*.py")),
    *sorted((ROOT / "kextlab/kernel").glob("*.py")),
]
SOURCES = [*KERNEL, *sorted((ROOT / "kextlab/sched").glob("*.py"))]
INTERNAL = {"ERESTART", "EJUSTRETURN"}
"""Only a callback brings these in; that is their explanation."""


# ---------------------------------------------------------------- the recordings


@dataclass(frozen=True)
class Refusal:
    scenario: str
    op: str
    errno: str | int
    from_callback: bool
    panic: str | None
    deadlock: str | None


def family(op: str) -> str:
    return FAMILIES.get(op, op)


def from_callback(step: Step, behaviours: dict[str, dict[str, dict[str, Any]]]) -> bool:
    """Whether the errno of a step is what a callback that ran in it was told to return."""
    errno = step["expect"].get("errno", 0)
    return errno != 0 and any(
        behaviours[entry["ref"]].get(entry["cb"], {}).get("errno") == errno
        for entry in step["expect"].get("log", ())
        if entry.get("cb") not in (None, "disconnect", "rcvd")
    )


def refusals_of(steps: list[Step]) -> Iterator[tuple[Step, bool]]:
    behaviours: dict[str, dict[str, dict[str, Any]]] = {}
    for step in steps:
        if step["op"] == "ctl_register" and step["expect"].get("errno") == 0:
            callbacks = step.get("callbacks", {})
            behaviours[step["ref"]] = {name: dict(keys) for name, keys in callbacks.items()}
        elif step["op"] == "set_behaviour":
            for name, keys in step["callbacks"].items():
                behaviours.get(step["ref"], {}).get(name, {}).update(keys)
        yield step, from_callback(step, behaviours)


@cache
def recorded() -> frozenset[Refusal]:
    """Every refusal, panic and deadlock of both corpora; calls made by callbacks included."""
    found = set()
    for recording in corpora():
        for scenario in recording.scenarios:
            for step, callback in refusals_of(scenario.steps):
                expect = step["expect"]
                deadlock = expect.get("deadlock")
                if "would_block" in expect:
                    side = "snd" if family(step["op"]) == "send" else "rcv"
                    deadlock = f"sleeps in {expect['would_block']} on so_{side}:1"
                inner = [entry for entry in expect.get("log", ()) if "call" in entry]
                for op, errno in [
                    (step["op"], expect.get("errno", 0)),
                    *((entry["call"], entry["errno"]) for entry in inner),
                ]:
                    found.add(
                        Refusal(
                            scenario.name,
                            op,
                            errno,
                            callback and op == step["op"],
                            expect.get("panic"),
                            deadlock,
                        )
                    )
    return frozenset(found)


def every_cause() -> list[tuple[str, Cause]]:
    return [(name, cause) for name, causes in causes_by_errno().items() for cause in causes]


def identity(row: tuple[str, Cause]) -> str:
    return f"{row[1].call} {row[0]} {row[1].recording}"


ROWS = [row for row in every_cause() if row[1].recorded]
ERRNO_ROWS = [row for row in ROWS if row[0] != "*"]
CALLBACK_ROWS = [row for row in ROWS if row[0] == "*"]
TEXT_ROWS = [
    (kind, pattern, cause)
    for kind, rows in causes_by_text().items()
    for pattern, cause in rows
    if cause.recorded and kind != "mach"  # test_explain_mach.py
]


def shown(cause: Cause) -> list[Refusal]:
    """The recorded refusals of the call, in the scenario the cause names."""
    return [
        refusal
        for refusal in recorded()
        if refusal.scenario == cause.recording and family(refusal.op) == cause.call
    ]


@pytest.mark.parametrize(("errno", "cause"), ERRNO_ROWS, ids=map(identity, ERRNO_ROWS))
def test_the_recording_of_a_cause_shows_that_errno_from_that_call(errno: str, cause: Cause) -> None:
    found = [r.from_callback for r in shown(cause) if r.errno == errno]
    assert found
    assert all(found) if errno in INTERNAL else not all(found)


@pytest.mark.parametrize(("_", "cause"), CALLBACK_ROWS, ids=map(identity, CALLBACK_ROWS))
def test_the_recording_of_a_callback_shows_its_errno_reaching_the_client(
    _: str, cause: Cause
) -> None:
    assert any(refusal.from_callback for refusal in shown(cause))


@pytest.mark.parametrize(
    ("kind", "pattern", "cause"), TEXT_ROWS, ids=[f"{c.call} {c.recording}" for *_, c in TEXT_ROWS]
)
def test_the_recording_of_a_panic_or_deadlock_ends_with_it(
    kind: str, pattern: str, cause: Cause
) -> None:
    texts = [getattr(refusal, kind) for refusal in shown(cause)]
    assert any(text and re.search(pattern, text) for text in texts)


def test_every_recorded_errno_is_explained_for_its_call() -> None:
    answers = {
        (family(refusal.op), refusal.errno)
        for refusal in recorded()
        if isinstance(refusal.errno, str) and not refusal.from_callback
    }
    assert len(answers) > 70
    table = causes_by_errno()
    missing = {
        (op, errno)
        for op, errno in answers
        if not any(cause.call == op for cause in table.get(errno, ()))
    }
    assert missing == set()


def test_every_recorded_panic_is_explained_for_its_call() -> None:
    panics = {(refusal.op, refusal.panic) for refusal in recorded() if refusal.panic}
    assert len(panics) > 5
    assert all(explain(KernelPanic(text), call=op).causes for op, text in panics)


def test_every_recorded_deadlock_is_explained_for_its_call() -> None:
    for refusal in recorded():
        if refusal.deadlock is not None:
            sleeps = re.fullmatch(r"sleeps in (\w+) on (.+)", refusal.deadlock)
            sleep = Sleep(sleeps[2], sleeps[1]) if sleeps else None
            assert explain(SimDeadlock(refusal.deadlock, sleep), call=refusal.op).causes


# ---------------------------------------------------------------- the source


def errnos_imported() -> set[str]:
    return {
        alias.name
        for path in KERNEL
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "kextlab.abi.errno"
        for alias in node.names
        if re.fullmatch(r"E[A-Z]+", alias.name)
    }


def test_every_errno_the_kernel_uses_has_a_cause() -> None:
    used = errnos_imported()
    assert {"EPERM", "EBUSY", "EWOULDBLOCK", "ERESTART"} <= used
    names = {abi.name_of(getattr(abi, name)) for name in used}
    assert names - causes_by_errno().keys() == set()


def rendered(argument: ast.expr) -> str:
    """A message as it may look: names filled in, everything else a 1."""
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id="PAGE_FAULT") | ast.FormattedValue(value=ast.Name(id="PAGE_FAULT")):
            return "kernel page fault"
        case ast.Name(id="MUTEX_HELD"):
            return "mutex already held by this thread"
        case ast.JoinedStr(values=values):
            return "".join(map(rendered, values))
        case ast.FormattedValue():
            return "1"
        case ast.BinOp(left=left, right=right):
            return rendered(left) + rendered(right)
    raise AssertionError(ast.dump(argument))


def raised(name: str) -> list[tuple[str, str]]:
    """(file and line, message) of everything of that name the kernel makes."""
    return [
        (f"{path.name}:{node.lineno}", rendered(node.args[0]))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_a_kext_that_refuses_to_start_is_explained_by_its_errno() -> None:
    error = KextError("org.kextlab.a: its start routine returned ENOMEM (12)", 12)
    assert str(explain(error)) == str(explain(12))


def test_every_panic_the_kernel_can_raise_is_explained() -> None:
    panics = raised("KernelPanic")
    assert len(panics) > 8
    assert [where for where, text in panics if not explain(KernelPanic(text)).causes] == []


def wait_messages() -> list[str]:
    return [
        node.args[1].value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Sleep"
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    ]


def test_every_sleep_of_the_kernel_is_explained_and_not_as_a_kexts_own() -> None:
    messages = wait_messages()
    assert {"sbwait", "sb_lock"} <= set(messages)
    for wmesg in messages:
        for channel in ("so_rcv:3", "so_snd:3"):
            causes = explain(SimDeadlock("asleep", Sleep(channel, wmesg))).causes
            assert causes
            assert all(cause.call != "callback" for cause in causes)


# ---------------------------------------------------------------- the data


def test_every_cause_is_whole_sentences() -> None:
    texts = [cause for _, cause in every_cause()]
    texts += [cause for rows in causes_by_text().values() for _, cause in rows]
    assert len(texts) > 150
    for cause in texts:
        assert re.fullmatch(r"[A-Z{].*[.!?]", cause.when), cause
        assert re.fullmatch(r"[A-Z].*[.!?]", cause.remedy), cause
        assert cause.routine
        assert cause.recording


@pytest.mark.parametrize(
    "page",
    ["connect EBUSY | a | b\nX.\n-> Y.", "connect: EBUSY | a\nX.\n-> Y.", "c: E | a | b\nX."],
)
def test_a_paragraph_of_another_form_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="is no cause; it is 'CALLS: KEY"):
        list(parse(page))


def test_the_data_is_read_at_the_first_question() -> None:
    probe = (
        "import sys, kextlab.kernel.explain as e\n"
        "print(any('explanations' in name for name in sys.modules))\n"
        "e.explain(2)\n"
        "print('kextlab.kernel.explanations' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("False\nTrue\n", "")


# ---------------------------------------------------------------- the question


def test_an_errno_is_named_with_darwins_number_and_message() -> None:
    explanation = explain("EAGAIN")
    assert (explanation.name, explanation.number) == ("EAGAIN", 35)
    assert explanation.message == "Resource temporarily unavailable"


@pytest.mark.parametrize("error", [abi.oserror(35), 35, "EWOULDBLOCK"])
def test_an_exception_a_number_and_a_name_are_explained_alike(error: object) -> None:
    assert explain(error) == explain("EAGAIN")


def test_a_call_narrows_to_its_own_causes() -> None:
    causes = explain("EBUSY", call="connect").causes
    assert {cause.call for cause in causes} == {"connect"}
    assert causes[0].recording == "unit-explicit-busy"
    assert causes[0].routine == "ctl_setup_kctl"


def test_the_callers_name_for_a_call_narrows_to_its_family() -> None:
    assert explain("EPIPE", call="sendmsg") == explain("EPIPE", call="send")
    assert set(FAMILIES.values()) <= {cause.call for _, cause in every_cause()}


def test_an_exception_may_carry_its_call() -> None:
    error = abi.oserror(16)
    error.call = "connect"  # type: ignore[attr-defined]
    assert explain(error) == explain("EBUSY", call="connect")
    assert explain(error, call="bind") == explain("EBUSY", call="bind")
    error.call = "mount"  # type: ignore[attr-defined]
    assert explain(error) == explain("EBUSY")


def test_the_kexts_callback_is_the_last_cause() -> None:
    assert "own callback" in explain("EBUSY", call="connect").causes[-1].when


def test_an_errno_only_a_callback_returns_says_so() -> None:
    (cause,) = explain("EIO", call="send").causes
    assert "own callback" in cause.when


def test_a_number_outside_darwins_table_from_a_call_came_out_of_a_callback() -> None:
    explanation = explain(abi.oserror(200), call="send")
    assert explanation.message == "Unknown error: 200"
    assert [cause.call for cause in explanation.causes] == ["send"]


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_a_kernel_internal_number_is_explained(name: str) -> None:
    explanation = explain(name)
    assert explanation.number == abi.number_of(name) < 0
    assert explanation == explain(explanation.number)
    assert "Kernel-internal" in explanation.causes[0].when


def test_a_call_that_never_answers_an_errno_says_so() -> None:
    explanation = explain("EIO", call="listen")
    assert explanation.causes == ()
    assert "Nothing the lab knows of" in str(explanation)
    assert "Nothing the lab knows of" in explanation._repr_markdown_()


@pytest.mark.parametrize(
    "text",
    ["cannot find kernel control with provided name", "getsockaddrlen: unknown PF_SYSTEM protocol"],
)
def test_a_refusal_of_cpythons_own_has_no_number(text: str) -> None:
    explanation = explain(OSError(text))
    assert (explanation.name, explanation.number, explanation.message) == ("OSError", None, text)
    assert "CPython" in explanation.causes[0].routine


def test_any_other_oserror_without_errno_is_refused() -> None:
    with pytest.raises(ValueError, match=r"OSError\('x'\) has no errno"):
        explain(OSError("x"))


@pytest.mark.parametrize("number", [0, -3, 107, 4096])
def test_a_number_that_is_no_errno_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"^{number} is not a refusal: expected an errno"):
        explain(number)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown errno name 'EFOO'"):
        explain("EFOO")


def test_an_unknown_call_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="unknown call 'mount': expected one of accept, "
    ) as caught:
        explain("EBUSY", call="mount")
    assert "\n" not in str(caught.value)
    assert set(calls()) >= {"connect", "sendto", "ctl_register", "mbuf_free"}


@pytest.mark.parametrize("error", [None, 1.5, True, ValueError("x")])
def test_anything_else_is_refused(error: object) -> None:
    with pytest.raises(TypeError, match=f"not {type(error).__name__}$"):
        explain(error)


class TwiceKext(Kext):
    """A kext that deregisters its control twice."""

    def start(self) -> int:
        self.ref = Out()
        record = KernCtlReg(ctl_name="org.kextlab.twice", ctl_connect=lambda *_: 0)
        return self.kpi.ctl_register(record, self.ref)

    def stop(self) -> int:
        return self.kpi.ctl_deregister(self.ref.value) or self.kpi.ctl_deregister(self.ref.value)


def test_a_second_deregister_is_explained_with_its_recordings() -> None:
    mac = Kernel()
    kext = mac.load(TwiceKext)
    with pytest.raises(KernelPanic) as caught:
        mac.unload(kext)
    explanation = explain(caught.value, call="ctl_deregister")
    assert (explanation.name, explanation.number) == ("kernel panic", None)
    assert [cause.recording for cause in explanation.causes] == ["r00116", "bad-ref-empty-slot"]


def test_an_exception_that_leaves_a_callback_is_named_in_its_explanation() -> None:
    panic = KernelPanic("kernel page fault: KeyError in callback connect: 'client'")
    (cause,) = explain(panic).causes
    assert "A KeyError left the kext's code." in cause.when
    assert (cause.recorded, cause.recording) == (False, explanations.LAB)


@pytest.mark.parametrize(
    "call", ["select waits without a time-out", "this call answered EINTR 100 times"]
)
def test_a_deadlock_of_python_calls_is_explained(call: str) -> None:
    assert explain(SimDeadlock(call)).causes


def test_a_kexts_own_sleep_is_explained() -> None:
    assert explain(SimDeadlock("", Sleep("reply", "echo"))).causes[0].call == "callback"


ONE = Cause("connect", "It is so.", "ctl_connect", "conn-sysaddr", "Do this.")
TWO = Cause("bind", "It is so.", "ctl_bind", "documented only", "Do this.")


def test_a_few_causes_are_told_with_remedy_and_source() -> None:
    text = str(Explanation("EBUSY", 16, "Resource busy", (ONE, TWO)))
    assert text.splitlines() == [
        "EBUSY (16): Resource busy",
        "  connect, bind: It is so.",
        "    What to do: Do this.",
        "    Source: ctl_connect, recorded in conn-sysaddr; ctl_bind, documented only",
    ]


def test_markdown_says_the_same() -> None:
    text = Explanation("EBUSY", 16, "Resource busy", (ONE,))._repr_markdown_()
    assert text.splitlines() == [
        "**EBUSY (16)**: `Resource busy`",
        "",
        "- **connect**: It is so.",
        "  *What to do:* Do this.",
        "  *Source:* `ctl_connect, recorded in conn-sysaddr`",
    ]


def test_a_message_cannot_break_out_of_its_markdown() -> None:
    text = Explanation("kernel panic", None, "a `b`\n# c", ())._repr_markdown_()
    assert text.splitlines()[0] == "**kernel panic**: `a 'b' # c`"


def test_many_causes_are_told_in_a_line_each_or_by_call_only() -> None:
    lines = str(explain("EBUSY")).splitlines()
    assert 5 <= len(lines) <= 16
    assert lines[-1].startswith("Name the call to read more")
    starts = [line for line in lines if line.startswith("  ") and line[2] != " "]
    assert len(starts) == explain("EBUSY")._repr_markdown_().count("- **")
    told = str(explain("EINVAL"))
    assert "\nAnswered by " in told
    assert "What to do" not in told
    assert "Answered by " in explain("EINVAL")._repr_markdown_()


@pytest.mark.parametrize("call", calls())
def test_with_its_call_named_every_refusal_is_told_whole(call: str) -> None:
    for name in causes_by_errno().keys() - {"*"}:
        explanation = explain(name, call=call)
        assert str(explanation).count("What to do:") == len({(c.when) for c in explanation.causes})
        assert len(str(explanation).splitlines()) <= 26


def test_what_iokit_answers_is_explained_for_the_call_that_got_it() -> None:
    error = IOKitError("IOServiceOpen", 0xE00002C1)
    explanation = explain(error)
    (cause,) = explanation.causes
    assert (cause.call, cause.recorded) == ("IOServiceOpen", False)
    assert explanation.name == "kIOReturnNotPrivileged (0xe00002c1)"
    assert explain(error, call="IOConnectCallMethod").causes == ()
    assert "Nothing the lab knows of" in str(explain(IOKitError("IOServiceOpen", 5)))


def test_every_code_of_the_lists_of_iokit_is_one() -> None:
    named = set(iokit.CODES.values()) | set(mach.CODES.values()) | {"MIG_ARRAY_TOO_LARGE"}
    assert set(causes_by_code()) <= named
    assert {iokit.io_return_name(code) for code in (0xE00002C2, -307)} <= set(causes_by_code())
