"""Badges: recorded only with a recording that shows it, the weakest where several causes fit."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.errno import name_of
from kextlab.kernel.explain import causes_by_errno
from kextlab.kexts import EchoKext
from kextlab.scenario.recording import Scenario, read
from kextlab.views import scene_document
from kextlab.views.provenance import LOST, SHOWN, shown, where
from tests.unit.scene_machines import echo, full, panic
from tests.unit.views_machines import client, echoing

CORPUS = Path(__file__).parents[1] / "conformance" / "corpus"
RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]
NAMES = {"send": "sendto", "recv": "recvfrom"}


def shows(scenario: Scenario) -> Iterator[str]:
    """What a recorded scenario shows going well, in the keys of ``SHOWN``."""
    for step in scenario.steps:
        expect = step["expect"]
        op = NAMES.get(step["op"], step["op"])
        if expect.get("errno") == 0:
            yield op
            for value in step.values():
                if isinstance(value, str) and op in ("ioctl", "setsockopt", "getsockopt"):
                    yield f"{op} {value}" if value != "SYSPROTO_CONTROL" else op
        for entry in expect.get("log", ()):
            if "cb" in entry:
                yield f"callback {entry['cb']}"
            if "signal" in entry:
                yield f"signal {entry['signal']}"


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_called_recorded_goes_well_in_the_recording_named(release: str) -> None:
    scenarios = {s.name: s for s in read(CORPUS / f"{release}.jsonl.xz").scenarios}
    for what, (name, _) in SHOWN.items():
        assert what in set(shows(scenarios[name])), (what, name)
    assert LOST.name in scenarios


def badge(mac: Kernel, text: str) -> list[str]:
    """The source of the last moment whose sentence has ``text``."""
    doc = scene_document(mac)
    moment = next(m for m in reversed(doc["moments"]) if text in m["text"])
    source: list[str] = doc["sources"][moment["source"]]
    return source


def test_a_refusal_names_the_recording_that_explain_names() -> None:
    causes = causes_by_errno()["ENOBUFS"]
    source = badge(echo(), "The kernel refused 2,048 bytes")
    assert source == ["recorded", "flow-one-too-many", "kern_control.c, ctl_rcvbspace"]
    assert source[1] in {cause.recording for cause in causes}


def test_the_state_decides_between_causes() -> None:
    mac, s = echoing()
    other = client(mac, "other", None)
    for address, name in (((9, 0), "conn-retry-after-enoent"), ((1, 1), "unit-explicit-busy")):
        with contextlib.suppress(OSError):
            other.connect(address)
        assert badge(mac, "refused connect")[:2] == ["recorded", name]
    assert s.fileno() == 3


def test_a_lost_event_and_a_panic_have_badges() -> None:
    assert badge(full(), "is lost; the poster")[1] == "ev-overflow"
    assert badge(panic(), "Panic,")[0] == "documented"


def test_a_callbacks_errno_that_reaches_the_process_is_recorded() -> None:
    class Closed(EchoKext):
        def connect(self, kctlref: object, sac: object, unitinfo: object) -> int:
            return 16

    mac = Kernel()
    mac.load(Closed)
    with contextlib.suppress(OSError):
        client(mac)
    assert badge(mac, "connect(fd 3) returns EBUSY")[:2] == ["recorded", "conn-callback-error"]


def test_what_only_the_lab_knows_is_documented_only() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    assert badge(mac, "start routine")[0] == "documented"
    assert shown("no such call") == ("documented", "", "")


def refused_calls() -> list[Callable[[Any], object]]:
    return [
        lambda s: s.send(bytes(2049)),
        lambda s: s.recv(1, 0x80),
        lambda s: s.shutdown(1),
        lambda s: s.connect((1, 0)),
        lambda s: s.getsockopt(2, 1, 4),
        lambda s: s.setsockopt(2, 1, b"x"),
        lambda s: s.setsockopt(0xFFFF, 0x1001, 0),
    ]


@pytest.mark.parametrize("call", refused_calls())
def test_refusals_have_one_cause_or_none(call: Callable[[Any], object]) -> None:
    mac, s = echoing()
    with pytest.raises(OSError, match="Errno") as caught:
        call(s)
    doc = scene_document(mac)
    moment = doc["moments"][-1]
    assert moment["errno"] == name_of(caught.value.errno or 0)
    assert doc["sources"][moment["source"]][0] == "recorded"
    assert "What to do:" in moment["why"]


@pytest.mark.parametrize(
    ("routine", "said"),
    [
        ("ctl_connect", "kern_control.c, ctl_connect"),
        ("sosendcheck", "uipc_socket.c, sosendcheck"),
        ("soo_read", "sys_socket.c, soo_read"),
        ("pru_bind_notsupp", "uipc_socket2.c, pru_bind_notsupp"),
        ("kernel_trap", "trap.c, kernel_trap"),
        ("CPython, PEP 475", "CPython, PEP 475"),
        ("", ""),
    ],
)
def test_a_routine_is_told_with_its_file(routine: str, said: str) -> None:
    assert where(routine) == said
