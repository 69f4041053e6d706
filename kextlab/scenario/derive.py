"""Deriving a scenario from a live machine: what task 0 did, in order.

System calls, kernel functions called for a kext from outside its callbacks, and bytes stored
without a fault stand in the trace. What reached the machine in another way (kexts, processes,
programs, running, memory touched otherwise) it keeps in ``mac.asked``, each with the step at which
it was asked. The two are merged by step.

Left out: what a notebook did to the object of a kext or a driver. If that matters to the kernel,
the replay says where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from kextlab.kernel.asked import Asked
from kextlab.kernel.kernel import Kernel
from kextlab.scenario.calls import (
    REPLAYED,
    AddDriver,
    Call,
    Enqueue,
    Exit,
    Inject,
    Kill,
    KpiCall,
    Load,
    LoadJob,
    RunTasks,
    Sleep0,
    Spawn,
    Start,
    StartJob,
    StepTask,
    Syscall,
    Terminate,
    Touch,
    Unload,
    UnloadJob,
)
from kextlab.scenario.gates import CALLS
from kextlab.scenario.values import ScenarioError
from kextlab.trace import codes
from kextlab.trace.log import Trace

ENQUEUE = "::enqueue"
"""How the function of a data queue is called that a driver puts a record into it with."""


@dataclass(slots=True)
class Derived:
    """The calls, and the code they name."""

    calls: list[Call] = field(default_factory=list)
    kexts: dict[str, Callable[[], Any]] = field(default_factory=dict)
    programs: dict[str, Callable[..., Any]] = field(default_factory=dict)


def calls_of(mac: Kernel) -> Derived:
    """What task 0 did with a machine since its boot.

    Raises:
        ScenarioError: something that cannot be done again; says at which step.
    """
    derived = Derived()
    asked = [(ask.step, 0, ask) for ask in mac.asked]
    within = [(ask.step, ask.end) for ask in mac.asked]
    called = [
        (step, 1, call)
        for step, call in outer_calls(mac.trace)
        if not any(start <= step < end for start, end in within)
    ]
    _check_tasks(mac.trace, within)
    for step, _, thing in sorted([*asked, *called], key=lambda item: item[:2]):
        if isinstance(thing, Asked):
            derived.calls.append(_asked(thing, derived))
        else:
            if isinstance(thing, KpiCall) and thing.name.endswith(ENQUEUE):
                derived.calls.append(_enqueue(mac.trace, step, thing))
                continue
            if isinstance(thing, KpiCall) and thing.name not in REPLAYED:
                raise ScenarioError(
                    f"step {step}: {thing.name} was called for {thing.kext} from outside its "
                    f"callbacks, which a scenario cannot do again; it can call "
                    f"{', '.join(REPLAYED)}"
                )
            if isinstance(thing, Syscall) and thing.name not in CALLS:
                raise ScenarioError(
                    f"step {step}: {thing.name} is a call a scenario cannot do again"
                )
            derived.calls.append(thing)
    return derived


def outer_calls(trace: Trace) -> Iterator[tuple[int, Syscall | KpiCall | Touch]]:
    """The system calls of task 0, the kernel functions it called for a kext, and its stores, that
    no other call of its own encloses; each with its step."""
    touched: codes.Entry = ()
    for step, call, entry in _outside(trace):
        if call is not None:
            yield step, call
        elif entry[0] == codes.VM_WRITE and touched:
            yield step - 1, Touch(cast(int, touched[1]), "store", (touched[3], entry[3]))
        touched = entry if entry[0] == codes.TOUCH and entry[4] else ()


def _outside(trace: Trace) -> Iterator[tuple[int, Syscall | KpiCall | None, codes.Entry]]:
    """The steps of task 0 that are in no call of its own, and the call that begins there."""
    task = 0
    depths = {0: 0}
    for step, entry in enumerate(trace.entries()):
        code = cast(int, entry[0])
        if code in codes.FRAMES:
            if task == 0 and depths[0] == 0:
                yield step, _call(code, entry), entry
            depths[task] += 1
        elif code in codes.RETURNS:
            depths[task] = max(depths[task] - 1, 0)
        elif code == codes.SWITCH:
            task = cast(int, entry[1])
            depths.setdefault(task, 0)
        elif code == codes.STOP:
            depths = dict.fromkeys(depths, 0) if entry[1] == "panic" else {**depths, task: 0}
        elif task == 0 and depths[0] == 0:
            yield step, None, entry


def _call(code: int, entry: codes.Entry) -> Syscall | KpiCall | None:
    args = entry[4:]
    if code == codes.SYSCALL:
        return Syscall(cast(int, entry[1]), cast(str, entry[2]), args)
    if code == codes.KPI:
        return KpiCall(cast(str, entry[1]), cast(str, entry[2]), args)
    return None


def _enqueue(trace: Trace, step: int, call: KpiCall) -> Enqueue:
    """A record a driver was made to put into a queue; which one tells the first change of one."""
    data, size = cast("tuple[bytes, int]", call.args)
    for entry in trace.entries(step):
        if entry[0] in (*codes.RETURNS, codes.STOP):
            break
        if entry[0] in (codes.SET, codes.GROUP):
            for name in entry[1:]:
                if isinstance(name, str) and name.startswith("io_queue:"):
                    return Enqueue(name, data, size)
    raise ScenarioError(
        f"step {step}: {call.name} was called for {call.kext} from outside its callbacks and did "
        "not come to its end, which a scenario cannot do again"
    )


def _check_tasks(trace: Trace, within: list[tuple[int, int]]) -> None:
    """Every task a cell started was started by ``app.run``: a coroutine cannot be made again."""
    for step, call, entry in _outside(trace):
        fresh = entry[0] == codes.NEW and str(entry[1]).startswith("task:") and entry[1] != "task:0"
        if fresh and call is None and not any(start <= step < end for start, end in within):
            raise ScenarioError(
                f"step {step}: {entry[1]} was started from a coroutine, which cannot be made "
                "again; start the program with app.run(program, ...)"
            )


def _asked(ask: Asked, derived: Derived) -> Call:
    """A call the machine kept, and the code it needs."""
    args: tuple[Any, ...] = ask.args  # by what was asked, as ``Asked`` says
    match ask.what:
        case "load":
            return Load(_put(derived.kexts, name_of_factory(args[0]), args[0]))
        case "start":
            pid, function, values, name = args
            return Start(_program(derived, function), pid, tuple(values), name)
        case "add_driver":
            return AddDriver(_put(derived.kexts, name_of_factory(args[0]), args[0]), args[1])
        case "load_job":
            return LoadJob(dict(args[0]), _program(derived, args[1]))
        case "touch":
            how, pid, *values = args
            return Touch(pid, how, tuple(values))
        case "fault":
            return Inject(args[0])
        case what:
            return _KINDS[what](*args)


_KINDS: dict[str, Callable[..., Call]] = {
    "unload": Unload,
    "spawn": Spawn,
    "run": RunTasks,
    "step": StepTask,
    "sleep": Sleep0,
    "exit": Exit,
    "kill": Kill,
    "terminate": Terminate,
    "unload_job": UnloadJob,
    "start_job": StartJob,
}


def _program(derived: Derived, function: object) -> str:
    """The name of a program: a function's own, or that of an object's class."""
    name = getattr(function, "__name__", type(function).__name__)
    return _put(derived.programs, name, function)


def _put(table: dict[str, Any], name: str, code: object) -> str:  # factories, or functions
    """The name of a piece of code in a table, which gets it if it is new."""
    number = 1
    unique = name
    while table.setdefault(unique, code) is not code:
        number += 1
        unique = f"{name} {number}"
    return unique


def name_of_factory(factory: object) -> str:
    """The name a factory gets in a scenario: the kext's identifier, or its own name."""
    return getattr(factory, "bundle_id", "") or getattr(factory, "__name__", "kext")
