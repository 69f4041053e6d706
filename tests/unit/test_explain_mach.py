"""``explain`` of Mach calls: every cause is what its recording shows."""

from __future__ import annotations

import pytest

from kextlab import Kernel, explain
from kextlab.abi.mach import CODES
from kextlab.kernel.explain import Cause, causes_by_text
from kextlab.userland.bootstrap import NAMES
from kextlab.userland.mach_error import MachError
from tests.recordings import corpus

ROWS = causes_by_text()["mach"]
SCENARIOS = {s.name: s for s in corpus("mach_ipc-xnu-7195.141.2").scenarios}
OPS = {"mach_port_get_attributes": "get_status", "mach_port_set_attributes": "set_qlimit"}


@pytest.mark.parametrize(
    ("code", "cause"),
    [row for row in ROWS if row[1].recorded],
    ids=lambda part: part.call if isinstance(part, Cause) else part,
)
def test_the_recording_shows_it(code: str, cause: Cause) -> None:
    op = OPS.get(cause.call, cause.call.removeprefix("mach_port_"))
    steps = [step for step in SCENARIOS[cause.recording].steps if step["op"] == op]
    assert code in {step["expect"]["kr"] for step in steps}


def test_every_code_it_knows_has_its_name() -> None:
    assert {code for code, _ in ROWS} <= {*CODES.values(), *NAMES.values()}


def test_a_refusal_is_explained_by_its_call() -> None:
    m = Kernel().spawn("client").mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    with pytest.raises(MachError) as caught:
        m.mach_port_deallocate(port)
    told = explain(caught.value)
    assert (told.name, told.number) == ("KERN_INVALID_RIGHT", 17)
    assert [cause.recording for cause in told.causes] == ["deallocate"]
    assert "mach_port_mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1)" in str(told)


def test_a_code_nobody_explains_is_told_all_the_same() -> None:
    told = explain(MachError(0x777, "mach_port_strange"))
    assert told.causes == ()
    assert "Nothing the lab knows of answers this." in str(told)
