"""Arguments C's prototypes do not take, and what is not modelled: no call of Mach stays open."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import mach as m
from kextlab.abi.mach_messages import PortDescriptor
from kextlab.scenario.derive import outer_calls
from kextlab.scenario.gates import CALLS, call_of, parameters
from kextlab.trace.codes import FRAMES, RETURNS, STOP
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError

PAGE = 0x4000
U32, U64 = (1 << 32) - 1, (1 << 64) - 1
ADDRESSES = {"address", "size", "mask", "offset"}
SIGNED = {"flags", "protection", "permission", "delta", "msgid", "copy", "set_maximum"}
SIGNED |= {"current", "maximum"}
TRAPS = [
    (name, number, one[0])
    for name, (gate, *_) in CALLS.items()
    if gate in ("mach_traps", "vm_traps", "launchd") and name != "mach_msg"
    for number, one in enumerate(parameters(name))
]


def depth(mac: Kernel) -> int:
    """How many calls are open at the end of the trace."""
    open_ = 0
    for entry in mac.trace.entries():
        open_ += (entry[0] in FRAMES) - (entry[0] in RETURNS)
        open_ = 0 if entry[0] == STOP else open_
    return open_


@pytest.mark.parametrize(("name", "number", "what"), TRAPS)
def test_an_argument_c_does_not_take_is_refused_before_anything_happens(
    name: str, number: int, what: str
) -> None:
    mac = Kernel()
    app = mac.spawn("app")
    app.mach.mach_port_allocate(1)
    app.mach.bootstrap_check_in("org.kextlab.x")
    text = parameters(name)[number][1] == "s"
    low, high = (0, U64) if what in ADDRESSES else (-(1 << 31) if what in SIGNED else 0, U32)
    if what == "delta":
        high >>= 1
    wrong: list[Any] = [1.5, None, b"x", [1], 7 if text else "x"]
    wrong += [] if text else [low - 1, high + 1]
    steps, before = len(mac.trace), mac.snapshot()
    for value in wrong:
        args = ["x" if kind == "s" else 0 for _, kind, _ in parameters(name)]
        args[number] = value
        kind = ValueError if type(value) is int and not text else TypeError
        with pytest.raises(kind, match=f"^{what} is {re.escape(shown(value, kind))}, and must be"):
            call_of(mac, name)(app.pid, *args)
    assert (len(mac.trace), mac.snapshot()) == (steps, before)


def shown(value: Any, kind: type[Exception]) -> str:
    return f"{value:#x}" if kind is ValueError else repr(value)


@pytest.mark.parametrize("wrong", [-1, 1 << 32, "x", None])
@pytest.mark.parametrize("what", ["rcv_size", "rcv_name", "timeout"])
def test_so_is_one_of_a_message(what: str, wrong: Any) -> None:
    mac = Kernel()
    app = mac.spawn("app")
    steps = len(mac.trace)
    args = {"rcv_size": 100, "rcv_name": 0, "timeout": 0, what: wrong}
    with pytest.raises((TypeError, ValueError), match=f"^{what} is"):
        app.mach.mach_msg(None, m.MACH_RCV_MSG, *args.values())
    assert len(mac.trace) == steps


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [
        ("msgh_bits", -1, "msgh_bits is -0x1, and must be 0 to 0xffffffff"),
        ("msgh_bits", None, "msgh_bits is None, and must be a whole number"),
        ("msgh_size", 1 << 32, "msgh_size is 0x100000000, and must be"),
        ("msgh_remote_port", "x", "msgh_remote_port is 'x', and must be"),
        ("msgh_local_port", 1.5, "msgh_local_port is 1.5, and must be"),
        ("msgh_id", 1 << 31, "msgh_id is 0x80000000, and must be -0x80000000 to 0x7fffffff"),
        ("body", 5, "body is 5, and must be bytes"),
        ("descriptors", 5, "descriptors is 5, and must be a list"),
        ("descriptors", ["x"], "descriptors has 'x', which is no descriptor"),
        ("descriptors", [PortDescriptor(-1, 19)], r"PortDescriptor.* is no descriptor"),
    ],
)
def test_a_field_of_a_message_that_c_does_not_hold_is_named(
    field: str, wrong: Any, said: str
) -> None:
    mac = Kernel()
    app = mac.spawn("app")
    steps = len(mac.trace)
    message = Message(19, 0x103)
    setattr(message, field, wrong)
    with pytest.raises((TypeError, ValueError), match=said):
        app.mach.mach_msg(message, m.MACH_SEND_MSG)
    assert len(mac.trace) == steps


@pytest.mark.parametrize("disposition", [0, 15, 22, 99, U32])
def test_a_disposition_that_is_none_takes_no_right(disposition: int) -> None:
    mac = Kernel()
    t = mac.spawn("app").mach
    port = t.mach_port_allocate(t.MACH_PORT_RIGHT_RECEIVE)
    t.mach_port_insert_right(port, port, t.MACH_MSG_TYPE_MAKE_SEND)
    before = mac.snapshot()
    with pytest.raises(MachError, match="KERN_INVALID_RIGHT"):
        t.mach_port_insert_right(port, port, disposition)
    assert mac.snapshot() == before == mac.trace.state()
    with pytest.raises(NotImplementedError, match=f"disposition {disposition}, which gives no"):
        t.mach_port_request_notification(port, t.MACH_NOTIFY_NO_SENDERS, 0, port, disposition)
    assert mac.snapshot() == before == mac.trace.state()
    assert depth(mac) == 0


@pytest.mark.parametrize("disposition", [m.MACH_MSG_TYPE_MOVE_RECEIVE, m.MACH_MSG_TYPE_MAKE_SEND])
def test_a_notification_goes_to_a_send_once_right_only(disposition: int) -> None:
    mac = Kernel()
    t = mac.spawn("app").mach
    port = t.mach_port_allocate(t.MACH_PORT_RIGHT_RECEIVE)
    before = mac.snapshot()
    for name in (port, 0x999):
        with pytest.raises(NotImplementedError, match="a MIG message to the kernel"):
            t.mach_port_request_notification(name, t.MACH_NOTIFY_DEAD_NAME, 0, port, disposition)
    assert mac.snapshot() == before == mac.trace.state()


def test_the_right_of_a_request_that_is_refused_is_destroyed() -> None:
    mac = Kernel()
    t = mac.spawn("app").mach
    port = t.mach_port_allocate(t.MACH_PORT_RIGHT_RECEIVE)
    once = t.MACH_MSG_TYPE_MAKE_SEND_ONCE
    with pytest.raises(MachError, match="KERN_INVALID_NAME"):
        t.mach_port_request_notification(0x999, t.MACH_NOTIFY_DEAD_NAME, 0, port, once)
    got = t.mach_msg(None, t.MACH_RCV_MSG, 200, port)
    assert got.msgh_id == t.MACH_NOTIFY_SEND_ONCE
    assert mac.trace.state() == mac.snapshot()
    assert {one["sorights"] for name, one in mac.snapshot().items() if "sorights" in one} == {0}


def test_a_call_that_is_not_modelled_ends_and_gives_its_rights_back() -> None:
    mac = Kernel()
    t = mac.spawn("app").mach
    address = t.mach_vm_allocate(PAGE)
    size, entry = t.mach_make_memory_entry_64(PAGE, address, t.VM_PROT_DEFAULT)
    before = mac.snapshot()
    with pytest.raises(NotImplementedError, match="writable and executable"):
        t.mach_vm_protect(address, PAGE, False, t.VM_PROT_ALL)
    with pytest.raises(NotImplementedError, match="VM_FLAGS"):
        t.mach_vm_map(0, size, 0, 1 | m.VM_FLAGS_RANDOM_ADDR, entry, 0, False, 3, 3, 1)
    assert mac.snapshot() == before == mac.trace.state()
    assert depth(mac) == 0
    t.mach_port_type(entry)
    assert [getattr(call, "name", "") for _, call in outer_calls(mac.trace)][-3:] == [
        "mach_vm_protect",
        "mach_vm_map",
        "mach_port_type",
    ]
