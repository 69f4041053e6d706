"""Memory a processor finds by itself: touching it comes to what page by page does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.kernel import vm_traps
from kextlab.kernel.kernel import Kernel
from kextlab.osfmk.pmap import Pmap
from kextlab.osfmk.vm_fault import VmFault
from kextlab.scenario.calls import Call
from kextlab.scenario.derive import calls_of

PAGE = 0x4000
AT = (0, 1, PAGE - 3, PAGE - 1, PAGE, 2 * PAGE - 2, 3 * PAGE, -1)
SIZES = (0, 1, 2, 8, 1024, 1025, PAGE, PAGE + 1)
PROTS = (0, 1, 2, 3, 3, 5)

Step = tuple[str, int, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [*["store"] * 4, *["load"] * 2, "words", "allocate", "free", "protect", "share", "copy"]
        ),
        *[st.integers(0, 8) for _ in range(4)],
    ),
    max_size=30,
)


class Memory:
    """Two processes, the places they know, the memory entries they have."""

    def __init__(self, recording: bool) -> None:
        self.mac = Kernel(trace=recording)
        self.traps = self.mac.vm_traps
        self.pids = [self.mac.start_process("task").pid for _ in range(2)]
        self.places: dict[int, list[int]] = {}
        for pid in self.pids:
            self.places[pid] = [0, self.traps.vm_allocate(pid, 0, 3 * PAGE, 1)[1]]

    def act(self, what: str, a: int, b: int, c: int, d: int) -> object:
        """Do one thing; what it answers, or the fault in words."""
        pid, traps = self.pids[a % 2], self.traps
        places = self.places[pid]
        base = places[-1 - b % len(places)]
        address, size = base + AT[c % len(AT)], SIZES[d % len(SIZES)]
        touches: dict[str, Callable[[], Any]] = {
            "store": lambda: traps.write(pid, address, bytearray([a + 1]) * size),
            "load": lambda: traps.read(pid, address, size),
            "words": lambda: traps.write_in_words(pid, address, bytes([a + 1]) * (size % 40)),
            "free": lambda: traps.vm_deallocate(pid, base, PAGE),
            "protect": lambda: traps.vm_protect(pid, base, PAGE, d > 7, PROTS[d % len(PROTS)]),
        }
        if what in touches:
            try:
                return touches[what]()
            except (VmFault, ValueError) as error:
                return repr(error)
        if what == "allocate":
            answer: Any = traps.vm_allocate(pid, 0, PAGE * (1 + d % 3), 1)
        else:
            code, (length, entry) = traps.make_memory_entry(pid, 2 * PAGE, base, 3 if d else 1, 0)
            if code:
                return code
            args = (pid, 0, length, 0, 1, entry, 0, what == "copy", 1 + 2 * (c % 2), 3, 1)
            answer = traps.vm_map(*args)
        if not answer[0]:
            places.append(answer[1])
        return answer


Play = tuple[list[object], object, object, list[Call]]


def play(program: list[Step], recording: bool = True) -> Play:
    """What a program's steps answer, the trace, the state, and what a scenario makes of them."""
    memory = Memory(recording)
    mac = memory.mac
    said = [memory.act(*step) for step in program]
    if not recording:
        return said, None, mac.snapshot(), []
    assert mac.trace.state() == mac.snapshot()
    return said, list(mac.trace.entries()), mac.snapshot(), calls_of(mac).calls


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_same_touches_leave_the_same_answers_trace_state_and_calls(program: list[Step]) -> None:
    as_it_is = play(program)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pmap, "page", lambda *_: None)
        assert play(program) == as_it_is
    assert play(program, recording=False)[::2] == as_it_is[::2]


def test_a_page_that_is_there_needs_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(True)
    pid, traps = memory.pids[0], memory.traps
    address = memory.places[pid][1]
    traps.write(pid, address, b"once")
    assert traps.read(pid, address, 4) == b"once"
    monkeypatch.setattr(vm_traps.VmTraps, "_touch", None)
    traps.write(pid, address + PAGE - 4, b"more")
    assert traps.read(pid, address, 4) == b"once"
    assert traps.read(pid, address + PAGE - 4, 4) == b"more"
