"""State hashes: what they tell apart, and what they do not depend on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.scenario.hashes import encoded, hashes, state_hash

ROOT = Path(__file__).parents[2]
STATE = {"a:1": {"b": 1, "c": b"\x00"}, "d": {"e": None, "f": ("g", 2)}}
HASH = "91a3e5e0d5a07efe03947c9d80580eda"


def echoed() -> Kernel:
    mac = Kernel()
    mac.load(EchoKext)
    app = mac.spawn("client")
    socket = app.socket
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    s.send(b"ping")
    s.recv(10)
    s.close()
    return mac


def test_the_hash_of_a_state_is_this_one_on_every_python() -> None:
    assert state_hash(STATE) == HASH


def test_another_process_and_hash_seed_give_the_same_hash() -> None:
    program = (
        "from tests.unit.test_scenario_hashes import echoed\n"
        "from kextlab.scenario.hashes import state_hash\n"
        "print(state_hash(echoed().snapshot()))"
    )
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == state_hash(echoed().snapshot())


def test_the_order_in_which_objects_came_to_be_does_not_count() -> None:
    turned = {name: dict(reversed(fields.items())) for name, fields in reversed(STATE.items())}
    assert state_hash(turned) == state_hash(STATE)


@pytest.mark.parametrize(
    "other",
    [
        {**STATE, "h": {}},
        {"a:1": STATE["a:1"]},
        {**STATE, "d": {"e": 0, "f": ("g", 2)}},
        {**STATE, "d": {"e": None, "f": ("g", "2")}},
        {**STATE, "d": {"e": None, "f": (b"g", 2)}},
        {**STATE, "d": {"f": None, "e": ("g", 2)}},
        {**STATE, "a:1": {"b": 1, "c": b""}},
    ],
    ids=["one more", "one less", "a value", "a type", "a type inside", "a field", "bytes"],
)
def test_a_difference_anywhere_is_another_hash(other: dict[str, dict[str, object]]) -> None:
    assert state_hash(other) != state_hash(STATE)


def test_true_is_the_number_it_equals() -> None:
    assert state_hash({"a": {"b": True}}) == state_hash({"a": {"b": 1}})


def test_what_is_written_one_after_the_other_is_not_taken_for_another() -> None:
    values = [("ab", "c"), ("a", "bc"), (("a",), "bc"), ("a", ("bc",)), "abc", 1.5, -1, 12, (1, 2)]
    assert len({encoded(value) for value in values}) == len(values)


def test_what_is_not_plain_has_no_hash() -> None:
    with pytest.raises(TypeError, match="is no plain value: a object"):
        state_hash({"a": {"b": object()}})


@pytest.mark.parametrize("every", [1, 5])
def test_following_a_trace_gives_the_hash_of_each_of_its_states(every: int) -> None:
    trace = echoed().trace
    expected = [state_hash(trace.state(at)) for at in range(every, len(trace) + 1, every)]
    assert list(hashes(trace.entries(), every)) == expected
