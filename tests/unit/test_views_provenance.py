"""Badges: recorded only with a recording that shows it, the weakest where several causes fit."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi.errno import name_of
from kextlab.abi.mach import MACH_MSGH_BITS_COMPLEX, MACH_NOTIFY_PORT_DESTROYED
from kextlab.abi.mach_messages import MachMsgHeader
from kextlab.kernel.explain import causes_by_errno, causes_by_text
from kextlab.kernel.explanations import PORTED
from kextlab.kexts import EchoKext
from kextlab.scenario.recording import Scenario
from kextlab.userland.mach import Mach
from kextlab.views import scene_document
from kextlab.views.provenance import (
    LOST,
    PORTED_CALLS,
    SHOWN,
    mach_refused,
    message_shape,
    shown,
    where,
)
from tests.ported import asserted
from tests.recordings import corpus
from tests.unit.scene_machines import echo, full, panic
from tests.unit.views_machines import client, echoing

RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]
NAMES = {"send": "sendto", "recv": "recvfrom"}
MACH = "mach_ipc-xnu-7195.141.2"
PORT_CALLS = {"get_status": "get_attributes", "set_qlimit": "set_attributes"}


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


def mach_shows(scenario: Scenario) -> Iterator[str]:
    """The same of a recording of Mach IPC."""
    for step in scenario.steps:
        op, expect = step["op"], step["expect"]
        if expect["kr"] != "KERN_SUCCESS":
            continue
        if op != "mach_msg":
            yield f"mach_port_{PORT_CALLS.get(op, op)}"
            continue
        words = ["mach_msg"]
        if "MACH_SEND_MSG" in step["option"]:
            words += ["send", "complex"] if step.get("ports") else ["send"]
        if "MACH_RCV_MSG" in step["option"]:
            words += ["receive", "complex"] if "desc" in expect else ["receive"]
        yield " ".join(words)


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_called_recorded_goes_well_in_the_recording_named(release: str) -> None:
    scenarios = {s.name: s for s in corpus(release).scenarios}
    for what, (name, _) in SHOWN.items():
        if not what.startswith("mach_"):
            assert what in set(shows(scenarios[name])), (what, name)
    assert LOST.name in scenarios


def test_what_is_called_recorded_of_mach_goes_well_in_the_recording_named() -> None:
    scenarios = {s.name: s for s in corpus(MACH).scenarios}
    for what, (name, _) in SHOWN.items():
        if what.startswith("mach_"):
            assert what in set(mach_shows(scenarios[name])), (what, name)


def test_every_call_of_a_process_that_a_recording_shows_is_called_recorded() -> None:
    shown_ = {what for s in corpus(MACH).scenarios for what in mach_shows(s)}
    ours = {name for name in vars(Mach) if name.startswith("mach_")}
    assert {what for what in shown_ if what.split()[0] in ours} == {
        what for what in SHOWN if what.startswith("mach_")
    }


def test_what_is_called_ported_is_asserted_by_a_test_of_xnus() -> None:
    assert {call for call, code in asserted() if code == "KERN_SUCCESS"} == PORTED_CALLS.keys()


def test_a_refusal_is_called_ported_if_a_test_of_xnus_asserts_it_and_only_then() -> None:
    rows = causes_by_text()["mach"]
    refused = {pair for pair in asserted() if pair[1] != "KERN_SUCCESS"}
    assert {(cause.call, code) for code, cause in rows if cause.recording == PORTED} == refused


def made(*descriptors: bytes, msgid: int = 1, trailer: int = 8) -> bytes:
    """A message as it was received."""
    body = len(descriptors).to_bytes(4, "little") + b"".join(descriptors) if descriptors else b""
    bits = MACH_MSGH_BITS_COMPLEX if descriptors else 0
    head = MachMsgHeader(bits, 24 + len(body), msgh_id=msgid).pack()
    return head + body + bytes(trailer)


PORT = bytes(12)
MEMORY = bytes(11) + b"\x01" + bytes(4)


@pytest.mark.parametrize(
    ("got", "shape"),
    [
        (made(), "mach_msg receive"),
        (made(trailer=12), "mach_msg receive"),
        (made(trailer=52), "mach_msg receive sender's trailer"),
        (made(PORT), "mach_msg receive complex"),
        (made(PORT, MEMORY), "mach_msg receive complex out of line"),
        (made(PORT, trailer=0)[:30], "mach_msg receive complex"),
        (made(msgid=MACH_NOTIFY_PORT_DESTROYED), "mach_msg receive port-destroyed"),
        (b"", "mach_msg receive"),
    ],
)
def test_what_is_new_in_a_message_makes_it_another_kind(got: bytes, shape: str) -> None:
    assert message_shape(None, got) == shape
    recorded = shape in ("mach_msg receive", "mach_msg receive complex")
    assert shown(shape).badge == ("recorded" if recorded else "documented")


def test_mach_calls_have_the_badges_of_what_shows_them() -> None:
    mac = Kernel()
    m = mac.spawn("client").mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    assert badge(mac, "mach_port_allocate returns")[:2] == ["recorded", "alloc"]
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    bits = m.MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, 0)
    m.mach_msg(m.Message(bits, port, msgh_id=7), m.MACH_SEND_MSG)
    assert badge(mac, "is on its way") == ["recorded", "receive-fifo", "ipc_kmsg.c, ipc_kmsg_send"]
    m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT, 4096, port)
    assert badge(mac, "client receives")[0] == "documented"
    with pytest.raises(m.MachError):
        m.mach_port_deallocate(m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE))
    assert badge(mac, "refused")[:2] == ["recorded", "deallocate"]
    m.mach_vm_allocate(4096)
    assert badge(mac, "the memory begins")[0] == "ported"
    with pytest.raises(m.MachError):
        m.mach_vm_allocate(4096, 0, 0)
    assert badge(mac, "refused mach_vm_allocate")[0] == "ported"
    with pytest.raises(m.MachError):
        m.mach_vm_region(1 << 46)
    assert badge(mac, "refused mach_vm_region")[0] == "documented"
    with pytest.raises(m.MachError):
        m.bootstrap_look_up("org.kextlab.nobody")
    assert badge(mac, "launchd refused")[0] == "documented"
    assert mach_refused("mach_msg", "KERN_NO_SPACE") == (shown("no such call"), "")


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
        ("ipc_right_delta", "ipc_right.c, ipc_right_delta"),
        ("CPython, PEP 475", "CPython, PEP 475"),
        ("", ""),
    ],
)
def test_a_routine_is_told_with_its_file(routine: str, said: str) -> None:
    assert where(routine) == said
