"""A scene's patches give, at every moment, the ports, messages and memory of the trace."""

import base64
import json
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mach_life import Life
from test_scenes import grown

from kextlab import Kernel
from kextlab.osfmk.ipc_port import Port
from kextlab.osfmk.memory_entry import NamedEntry
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.views import scenes
from kextlab.views.patches import after
from kextlab.views.scenes import SceneWriter

BITS = {"SEND": 16, "RECEIVE": 17, "SEND_ONCE": 18, "PORT_SET": 19, "DEAD_NAME": 20}
CARRIED = {"RECEIVE": 16, "SEND": 17, "SEND_ONCE": 18, "MEMORY": 0}


def number(name: object) -> int:
    return int(str(name).partition(":")[2] or 0) if str(name).startswith("port:") else 0


def carried(descriptor: tuple[Any, ...]) -> list[tuple[int, int]]:
    """The rights a descriptor carries, in whichever form the trace has it."""
    if descriptor[0] == "memory":
        return [(0, 0)]
    if len(descriptor) == 2:
        return [(number(descriptor[0]), descriptor[1])]
    ports = descriptor[2] if descriptor[0] == "ports" else descriptor[2:]
    return [(number(port), descriptor[1]) for port in ports]


def kinds(state: State, kind: str) -> dict[str, dict[str, Any]]:
    return {n[len(kind) + 1 :]: f for n, f in state.items() if n.startswith(f"{kind}:")}


def mach(state: State) -> dict[str, Any]:
    """What a scene must show of Mach, built from scratch."""
    messages: dict[int, list[Any]] = {}
    for n, fields in kinds(state, "kmsg").items():
        messages.setdefault(number(fields["port"]), []).append(
            (
                int(n),
                fields["size"],
                fields["body"][:256],
                fields["id"],
                0 if fields["notification"] else fields["audit"][5],
                (number(fields["local"]), fields["local_type"]) if fields["local"] else None,
                [right for one in fields["descriptors"] for right in carried(one)],
            )
        )
    return {
        "names": {
            name: (fields["type"], fields["urefs"], (fields["object"] or "").replace(":", "/"))
            for name, fields in kinds(state, "right").items()
        },
        "ports": {
            n: {
                "receiver": str(port["receiver"] or "").removeprefix("proc:"),
                "name": port["receiver_name"],
                "goes": number(port["destination"]),
                "limit": port["qlimit"],
                "count": port["msgcount"],
                "seqno": port["seqno"],
                "rights": (port["srights"], port["sorights"], port["mscount"], port["pset_count"]),
                "told": port["nsrequest"] is not None,
                "q": sorted(messages.get(int(n), [])),
            }
            for n, port in kinds(state, "port").items()
        },
        "sets": {n: list(map(number, f["members"])) for n, f in kinds(state, "pset").items()},
    }


def shown_mach(scene: dict[str, Any], datas: list[bytes]) -> dict[str, Any]:
    """A scene's Mach in the same form."""
    told = scene.get("mach", {"names": {}, "ports": {}, "sets": {}})
    return {
        "names": {
            f"{pid}:{name}": (sum(1 << BITS[w] for w in f["type"]), f["refs"], f["to"])
            for pid, names in told["names"].items()
            for name, f in names.items()
        },
        "ports": {
            n: {
                **{key: p[key] for key in ("receiver", "goes", "limit", "count", "seqno", "told")},
                "name": int(p["name"] or "0", 16),
                "rights": (p["send"], p["once"], p["make"], p["sets"]),
                "q": [
                    (
                        num,
                        size,
                        datas[data] if data >= 0 else b"",
                        ident,
                        sender,
                        (reply[0], CARRIED[reply[1]]) if reply else None,
                        [(port, CARRIED[right]) for port, right in rights],
                    )
                    for num, size, data, _, ident, sender, reply, rights in p["q"]
                ],
            }
            for n, p in told["ports"].items()
        },
        "sets": {n: one["members"] for n, one in told["sets"].items()},
    }


def memory(state: State, lines: dict[tuple[str, str], int]) -> dict[str, Any]:
    """What a scene must show of memory; ``lines`` says which bytes of each page."""
    pages: dict[str, dict[str, bytes]] = {}
    for name, fields in kinds(state, "vm_page").items():
        object_, index = fields["object"].partition(":")[2], str(fields["index"])
        whole = bytearray(16384)
        for block in kinds(state, "vm_bytes").values():
            if block["page"] == f"vm_page:{name}":
                whole[block["at"] : block["at"] + len(block["data"])] = block["data"]
        at = lines.get((object_, index), 0)
        pages.setdefault(object_, {})[index] = bytes(whole[at : at + 32])
    windows = {}
    for n, entry in kinds(state, "vm_entry").items():
        map_ = state.get(cast(str, entry["of"]), {})
        if "task" in map_:
            size = entry["end"] - entry["start"]
            windows[n] = (str(map_["task"])[5:], entry["start"], size, entry["object"][10:])
            windows[n] += (entry["offset"], entry["protection"], entry["max_protection"])
            windows[n] += (entry["needs_copy"], entry["is_shared"])
    return {
        "objects": {
            n: (o["size"], o["ref_count"], o["shadow"][10:], pages.get(n, {}))
            for n, o in kinds(state, "vm_object").items()
        },
        "windows": windows,
        "entries": {
            n: (
                *(fields["size"], fields["protection"]),
                next(
                    entry["object"][10:]
                    for entry in kinds(state, "vm_entry").values()
                    if entry["of"] == fields["backing"]
                )
                if fields["is_object"]
                else "",
            )
            for n, fields in kinds(state, "memory_entry").items()
        },
    }


def shown_memory(scene: dict[str, Any], datas: list[bytes]) -> dict[str, Any]:
    """A scene's memory in the same form."""
    told = scene.get("mem", {"objects": {}, "windows": {}, "entries": {}})
    keys = ("start", "size", "object", "offset", "prot", "most", "copied", "shared")
    return {
        "objects": {
            n: (
                *(one["size"], one["refs"], one["shadow"]),
                {index: datas[page[1]] for index, page in one["pages"].items()},
            )
            for n, one in told["objects"].items()
        },
        "windows": {
            n: (str(one["pid"]), *(one[key] for key in keys)) for n, one in told["windows"].items()
        },
        "entries": {
            n: (one["size"], one["prot"], one["object"]) for n, one in told["entries"].items()
        },
    }


def check(trace: Trace) -> dict[str, Any]:
    """Every moment of a trace; the last state."""
    doc = json.loads(json.dumps(SceneWriter(trace).document()))
    datas = [base64.b64decode(data) for data in doc["datas"]]
    folder = Folder()
    entries = trace.entries()
    steps = 0
    scene: dict[str, Any] = {}
    ends = [moment["step"] for moment in doc["moments"][1:]] + [len(trace)]
    for at, end in enumerate(ends if doc["moments"] else []):
        while steps < end:
            folder.step(next(entries))
            steps += 1
        scene = after(doc, at)
        assert shown_mach(scene, datas) == mach(folder.state), doc["moments"][at]
        pages = scene.get("mem", {}).get("objects", {})
        lines = {(n, i): page[0] for n, one in pages.items() for i, page in one["pages"].items()}
        assert shown_memory(scene, datas) == memory(folder.state, lines), doc["moments"][at]
    return scene


def stood_for(mac: Kernel, scene: dict[str, Any]) -> None:
    """Which port stands for which memory entry is not in the trace: the kernel is asked."""
    ports = {
        one.kobject.number: number(one.object_name)
        for one in mac.system.ipc.objects.values()
        if isinstance(one, Port) and isinstance(one.kobject, NamedEntry)
    }
    entries = scene.get("mem", {}).get("entries", {})
    assert {int(n): one["port"] for n, one in entries.items()} == ports


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
@example(1)
def test_patches_give_the_ports_and_memory_of_the_trace_at_every_moment(seed: int) -> None:
    mac = Life(seed).run(120)
    stood_for(mac, check(mac.trace))


@pytest.mark.parametrize("seed", range(3))
def test_keyframes_hold_them_too(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "APART", 5)
    monkeypatch.setattr(scenes, "WORTH", 0)
    check(Life(seed).run(120).trace)


@pytest.mark.parametrize("seed", range(5))
def test_a_document_that_grows_is_the_one_written_at_once(seed: int) -> None:
    grown(Life(seed).run(150).trace, seed)
