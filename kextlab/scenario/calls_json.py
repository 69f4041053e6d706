"""The calls of a scenario as JSON, one object a call: its first key says what is done.

``call_to_json`` and ``call_from_json`` undo each other. What is read is checked here, key by key
and value by value, so that a machine never meets a call that makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kextlab.scenario.calls import (
    REPLAYED,
    TOUCHES,
    AddDriver,
    Call,
    Enqueue,
    Exit,
    Inject,
    Kill,
    KpiCall,
    Load,
    LoadJob,
    Recorded,
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
from kextlab.scenario.faults import fault_from_json, fault_to_json
from kextlab.scenario.gates import KINDS, parameters
from kextlab.scenario.recording import in_json
from kextlab.scenario.values import (
    Json,
    ScenarioError,
    data_from_json,
    data_to_json,
    from_json,
    to_json,
)
from kextlab.userland.launchd_plist import job_of


def call_to_json(call: Call) -> dict[str, Json]:
    """A call as one JSON object, whose first key says what is done.

    Raises:
        ScenarioError: an argument cannot be written.
    """
    match call:
        case Load(kext):
            return {"load": kext}
        case Unload(kext):
            return {"unload": kext}
        case Spawn(name, uid):
            return {"spawn": name, "uid": uid}
        case Start(program, pid, args, name):
            wanted = {"start": program, "pid": pid, "args": to_json(args), "name": name}
            return {key: value for key, value in wanted.items() if value not in (None, [])}
        case RunTasks(until, to):
            return {"run": until} if to is None else {"run": until, "to": to}
        case StepTask():
            return {"step": 1}
        case Sleep0(channels, wmesg, until):
            return {"sleep": until, "channels": list(channels), "wmesg": wmesg}
        case Exit(pid):
            return {"exit": pid}
        case Kill(pid):
            return {"kill": pid}
        case Syscall(pid, name, args):
            shown = zip(parameters(name), args, strict=False)
            return {"call": name, "pid": pid} | {
                key: _argument_to_json(kind, value) for (key, kind, _), value in shown
            }
        case KpiCall(kext, name, args):
            shown_args = zip(REPLAYED[name], args, strict=False)
            return {"kpi": name, "kext": kext} | {key: to_json(v) for key, v in shown_args}
        case Touch(pid, how, args):
            return {"touch": how, "pid": pid} | {
                key: _argument_to_json(kind, value)
                for (key, kind), value in zip(TOUCHES[how], args, strict=True)
            }
        case AddDriver(driver, name):
            return {"add_driver": driver, "name": name}
        case Terminate(service):
            return {"terminate": service}
        case Enqueue(queue, data, size):
            return {"enqueue": queue, "data": data_to_json(data), "size": size}
        case LoadJob(plist, program):
            return {"load_job": plist, "program": program}
        case UnloadJob(label):
            return {"unload_job": label}
        case StartJob(label):
            return {"start_job": label}
        case Inject(fault):
            return {"inject": fault_to_json(fault)}
        case Recorded(step):
            return dict(step)


def _argument_to_json(kind: str, value: Any) -> Json:
    if kind == "l":
        return [data_to_json(bytes(item)) for item in value]
    if kind in "bn" and value is not None:
        return data_to_json(bytes(value))
    if kind == "i":
        return int(value)  # True is 1
    return to_json(value)


def _argument_from_json(kind: str, value: Json) -> object:
    if kind == "l" and isinstance(value, list):
        return tuple(data_from_json(item) for item in value)
    wants_data = kind in "bn" and value is not None
    found = data_from_json(value) if wants_data else from_json(value)
    what, fits = KINDS[kind]
    if (isinstance(found, bool) and kind != "f") or not fits(found):
        raise ScenarioError(f"{in_json(value)} is not {what}")
    return found


def call_from_json(line: Json) -> Call:
    """The call that ``call_to_json`` wrote.

    Raises:
        ScenarioError: it is none; says what is wrong with it.
    """
    if not isinstance(line, dict) or not line:
        raise ScenarioError(f"{in_json(line)} is no call: an object is due")
    if "op" in line:
        if not isinstance(line["op"], str) or not isinstance(line.get("expect", {}), dict):
            raise ScenarioError(f'{in_json(line)} is no step: {{"op": NAME, ..., "expect": ...}}')
        return Recorded(line)
    fields = dict(line)
    for kind, read in READERS.items():
        if kind in fields:
            call = read(fields)
            if fields:
                raise ScenarioError(f"{kind} knows no {', '.join(map(in_json, fields))}")
            return call
    raise ScenarioError(f"{in_json(line)} is no call: it has none of {', '.join((*READERS, 'op'))}")


def _take(fields: dict[str, Json], key: str, kind: type | tuple[type, ...], *default: Any) -> Any:
    """Take a field out, which must be a ``kind``; what is left at the end is unknown."""
    if key not in fields:
        if default:
            return default[0]
        raise ScenarioError(f"needs {in_json(key)}")
    value = fields.pop(key)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(_NAMES[each] for each in kinds)
        raise ScenarioError(f"{in_json(key)} is {in_json(value)}, not {names}")
    return value


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    type(None): "null",
}


def _syscall(fields: dict[str, Json]) -> Call:
    name, pid = _take(fields, "call", str), _take(fields, "pid", int)
    return Syscall(pid, name, _arguments(name, parameters(name), fields))


def _arguments(
    name: str, wanted: Iterable[tuple[str, str, bool]], fields: dict[str, Json]
) -> tuple[object, ...]:
    """The arguments of a call, taken out of its line; those at the end may be left out that say
    so."""
    args: list[object] = []
    for key, kind, optional in wanted:
        if key not in fields:
            if not optional:
                raise ScenarioError(f"{name} needs {in_json(key)}")
            break
        try:
            args.append(_argument_from_json(kind, fields.pop(key)))
        except ScenarioError as error:
            raise ScenarioError(f"{name}, {in_json(key)}: {error}") from None
    return tuple(args)


def _touch(fields: dict[str, Json]) -> Call:
    how, pid = _take(fields, "touch", str), _take(fields, "pid", int)
    if how not in TOUCHES:
        raise ScenarioError(f"{in_json(how)} is none of {', '.join(TOUCHES)}")
    wanted = [(key, kind, False) for key, kind in TOUCHES[how]]
    return Touch(pid, how, _arguments(how, wanted, fields))


def _enqueue(fields: dict[str, Json]) -> Call:
    queue, size = _take(fields, "enqueue", str), _take(fields, "size", int)
    (data,) = _arguments("enqueue", [("data", "b", False)], fields)
    assert isinstance(data, bytes)
    return Enqueue(queue, data, size)


def _load_job(fields: dict[str, Json]) -> Call:
    plist = _take(fields, "load_job", dict)
    try:
        job_of(plist)
    except (ValueError, NotImplementedError) as error:
        raise ScenarioError(f"load_job: {error}") from None
    return LoadJob(plist, _take(fields, "program", str))


def _kpi(fields: dict[str, Json]) -> Call:
    name, kext = _take(fields, "kpi", str), _take(fields, "kext", str)
    if name not in REPLAYED:
        raise ScenarioError(f"{in_json(name)} is none of {', '.join(REPLAYED)}")
    keys = [key for key in REPLAYED[name] if key in fields]
    if len(keys) < len(REPLAYED[name]) and not (name == "kev_msg_post" and not keys):
        raise ScenarioError(f"{name} needs {', '.join(map(in_json, REPLAYED[name]))}")
    return KpiCall(kext, name, tuple(from_json(fields.pop(key)) for key in keys))


def _start(fields: dict[str, Json]) -> Call:
    program, pid = _take(fields, "start", str), _take(fields, "pid", int)
    args = from_json(_take(fields, "args", list, []))
    assert isinstance(args, tuple)
    return Start(program, pid, args, _take(fields, "name", (str, type(None)), None))


def _sleep(fields: dict[str, Json]) -> Call:
    until = _take(fields, "sleep", (int, type(None)))
    channels = _take(fields, "channels", list, [])
    if not all(isinstance(channel, str) for channel in channels):
        raise ScenarioError(f'"channels" is {in_json(channels)}, not a list of text')
    return Sleep0(tuple(channels), _take(fields, "wmesg", str, ""), until)


def _step(fields: dict[str, Json]) -> Call:
    _take(fields, "step", int)
    return StepTask()


READERS: Final[dict[str, Callable[[dict[str, Json]], Call]]] = {
    "load": lambda f: Load(_take(f, "load", str)),
    "unload": lambda f: Unload(_take(f, "unload", str)),
    "spawn": lambda f: Spawn(_take(f, "spawn", str), _take(f, "uid", int, 501)),
    "start": _start,
    "run": lambda f: RunTasks(
        _take(f, "run", (int, float, type(None))), _take(f, "to", (int, type(None)), None)
    ),
    "step": _step,
    "sleep": _sleep,
    "exit": lambda f: Exit(_take(f, "exit", int)),
    "kill": lambda f: Kill(_take(f, "kill", int)),
    "call": _syscall,
    "kpi": _kpi,
    "touch": _touch,
    "add_driver": lambda f: AddDriver(_take(f, "add_driver", str), _take(f, "name", str, "")),
    "terminate": lambda f: Terminate(_take(f, "terminate", str)),
    "enqueue": _enqueue,
    "load_job": _load_job,
    "unload_job": lambda f: UnloadJob(_take(f, "unload_job", str)),
    "start_job": lambda f: StartJob(_take(f, "start_job", str)),
    "inject": lambda f: Inject(fault_from_json(f.pop("inject"))),
}
"""The first key of a call: how the rest is read."""
