"""Steps of ``mach_ipc`` that are wrong are named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from kextlab.scenario.mach_operations import OPERATIONS, MachMachine
from kextlab.scenario.mach_steps import NEEDS, faults

SEND = {"op": "mach_msg", "option": ["MACH_SEND_MSG"], "remote": "p", "rdisp": "COPY_SEND"}


def test_what_is_needed_is_known_of_every_operation() -> None:
    assert NEEDS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"op": "fork"}, 'operation "fork" is not modelled; there are allocate, '),
        ({"op": "type"}, 'type needs "name"'),
        ({"op": "type", "name": 7}, '"name": 7 is not a label, a string'),
        ({"op": "type", "name": "p", "task": 4}, '"task": 4 is not a task: 1, 2, 3'),
        ({"op": "allocate", "right": "SENT"}, '"right": "SENT" is not one of DEAD_NAME, LABELH'),
        ({"op": "allocate", "right": "SEND", "as": [1]}, '"as": 1 is not a label'),
        (
            {"op": "mod_refs", "name": "p", "right": "SEND", "delta": True},
            '"delta": true is not a whole number from -2147483648 to 2147483647',
        ),
        ({"op": "mach_msg", "option": "MACH_SEND_MSG"}, "is not a list of options"),
        ({"op": "mach_msg", "option": ["MACH_SEND_MSG"]}, 'mach_msg needs "remote"'),
        ({"op": "mach_msg", "option": ["MACH_RCV_MSG"]}, 'mach_msg needs "rcv_name"'),
        ({"op": "mach_msg", "option": ["MACH_RCV_GUARDED"]}, "is not an option of mach_msg"),
        ({"op": "mach_msg", "option": [3]}, "3 is not an option of mach_msg"),
        (SEND | {"ports": {}}, '"ports": {} is not a list of rights'),
        (SEND | {"ports": [{"name": "p"}]}, 'is not {"name": LABEL, "disp": DISPOSITION}'),
        (SEND | {"body": "xyz"}, '"body": "xyz" is not data'),
    ],
)
def test_a_wrong_step_is_told_in_one_line(step: dict[str, Any], said: str) -> None:
    found = list(faults(step))
    assert any(said in fault for fault in found), found
    assert all("\n" not in fault for fault in found)


def test_a_right_step_has_no_fault() -> None:
    right = {"name": "x", "disp": "MAKE_SEND"}
    assert (
        list(faults(SEND | {"ports": [right], "timeout": 0, "body": "00", "as": ["x"], "task": 2}))
        == []
    )


def test_an_unknown_operation_is_not_modelled() -> None:
    with pytest.raises(NotImplementedError, match="'fork'"):
        MachMachine().run({"op": "fork"})


def test_rename_and_a_refused_extract_are_told() -> None:
    machine = MachMachine()
    machine.run({"op": "allocate", "right": "RECEIVE", "as": "p"})
    renamed = machine.run({"op": "rename", "name": "p", "newname": "q"})
    assert renamed == {"kr": "KERN_SUCCESS"}
    assert machine.run({"op": "type", "name": "q"})["type"] == ["RECEIVE"]
    extract = {"op": "extract_right", "name": "p", "disp": "MAKE_SEND", "totask": 2}
    assert machine.run(extract) == {"kr": "KERN_INVALID_NAME"}
