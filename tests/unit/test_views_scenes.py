"""Scene documents: what they hold, that they grow, what is refused in one line."""

import base64
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.views import SceneWriter, log, scene_document
from kextlab.views.patches import after, apply, moment_at, squeezed
from tests.unit import scene_machines as machines
from tests.unit.views_machines import client, echoing

MACHINES = ["echo", "full", "panic", "empty", "refused_unload"]


@pytest.fixture(params=MACHINES)
def doc(request: pytest.FixtureRequest) -> dict[str, Any]:
    return scene_document(getattr(machines, request.param)(), title=request.param)


# ---------------------------------------------------------------- every document


def test_it_is_json_with_version_title_and_release(doc: dict[str, Any]) -> None:
    assert json.loads(json.dumps(doc)) == doc
    assert (doc["format"], doc["release"], doc["macos"]) == (
        "kextlab-scene/1",
        "xnu-11417.101.15",
        "15",
    )
    assert doc["title"] in MACHINES


def test_every_moment_is_a_sentence_between_known_lifelines(doc: dict[str, Any]) -> None:
    known = {line["id"] for line in doc["lifelines"]}
    for number, moment in enumerate(doc["moments"]):
        assert {moment["from"], moment["to"]} <= known
        assert moment["world"] in ("user", "kern", "data", "loss")
        assert moment["kind"] in ("call", "return", "refusal", "note", "panic")
        assert moment["text"].endswith(".")
        assert moment.get("cause", -1) < number
        assert all(value or name in ("cause", "source") for name, value in moment.items())


def test_steps_rise_and_patches_stand_beside_moments(doc: dict[str, Any]) -> None:
    steps = [moment["step"] for moment in doc["moments"]]
    assert steps == sorted(steps)
    assert len(doc["patches"]) == len(steps)
    assert doc["keyframes"][0][0] == 0


def test_indices_lead_into_the_tables(doc: dict[str, Any]) -> None:
    for moment in doc["moments"]:
        if "source" in moment:
            assert doc["sources"][moment["source"]][0] in ("recorded", "ported", "documented")
        if "data" in moment:
            index, length = moment["data"]
            assert len(base64.b64decode(doc["datas"][index])) == min(length, 256)
        assert moment.get("struct", "ctl_info") in doc["structs"]


def test_lifelines_stand_in_drawing_order(doc: dict[str, Any]) -> None:
    worlds = [line["world"] for line in doc["lifelines"]]
    assert worlds == sorted(worlds, key=["user", "boundary", "kern"].index)
    assert worlds.count("boundary") == 1


# ---------------------------------------------------------------- what it shows


def moments(mac: Kernel, text: str) -> list[dict[str, Any]]:
    return [moment for moment in scene_document(mac)["moments"] if text in moment["text"]]


def test_moments_are_the_lines_of_the_log() -> None:
    mac = machines.full()
    assert [(m["step"], m["world"], m["text"], m.get("depth", 0)) for m in moments(mac, "")] == [
        (line.step, line.world, line.text, line.depth) for line in log(mac)
    ]


def test_a_refused_enqueue_bounces_and_leaves_a_mark() -> None:
    mac, _ = echoing(*[2048] * 4, 100)
    doc = scene_document(mac)
    (number,) = [n for n, m in enumerate(doc["moments"]) if m.get("errno") and "cause" in m][:1]
    moment = doc["moments"][number]
    assert (moment["kind"], moment["from"], moment["to"], moment["errno"]) == (
        "refusal",
        "kext:org.kextlab.echo",
        "kern_control",
        "ENOBUFS",
    )
    assert after(doc, number)["socks"]["1"]["mark"] == [100, "ENOBUFS", number]
    assert after(doc, number)["socks"]["1"]["lost"] == 1
    assert after(doc, number - 1)["socks"]["1"]["mark"] is None


def test_a_mark_goes_at_the_next_event_of_its_queue() -> None:
    mac, s = echoing(*[2048] * 4, 100)
    s.recv(4096)
    state = after(scene_document(mac), len(log(mac)) - 1)
    assert state["socks"]["1"]["mark"] is None
    assert state["socks"]["1"]["lost"] == 1


def test_a_system_call_names_the_routine_and_the_callback_its_kext() -> None:
    send = moments(echoing(5)[0], "calls send")[0]
    assert (send["from"], send["to"], send["label"], send["via"]) == (
        "proc:100",
        "kern_control",
        "send 5",
        "ctl_send",
    )
    callback = moments(echoing(5)[0], "send callback")[0]
    assert (callback["to"], callback["label"]) == ("kext:org.kextlab.echo", "send() unit 1")


def test_a_refusal_of_the_socket_layer_does_not_reach_kern_control() -> None:
    mac, s = echoing()
    with pytest.raises(OSError, match="Errno 40"):
        s.send(bytes(2049))
    refusal = moments(mac, "refused send")[0]
    assert (refusal["from"], refusal["to"], refusal["back"]) == ("proc:100", "kernel", 1)


def test_a_callback_runs_in_the_moment_that_tells_of_it() -> None:
    doc = scene_document(echoing(5)[0])
    running = [
        after(doc, number)["kexts"].get("org.kextlab.echo", {}).get("running")
        for number, moment in enumerate(doc["moments"])
        if "send callback" in moment["text"] or "send returns" in moment["text"]
    ]
    assert running == ["send", ""]


def test_a_process_is_in_the_kernel_during_its_call() -> None:
    doc = scene_document(echoing(5)[0])
    doing = {
        moment["text"]: after(doc, number)["procs"]["100"]["doing"]
        for number, moment in enumerate(doc["moments"])
        if "client" in moment["text"]
    }
    assert doing["client calls send(fd 3) with 5 bytes."] == "in kernel: send"
    assert doing["send returns 5 to client."] == ""


def test_a_stream_counts_what_was_read() -> None:
    state = after(scene_document(machines.full()), 190)
    (stream,) = [s for s in state["socks"].values() if s["type"] == "SOCK_STREAM"]
    assert stream["rcv"]["read"] == 4 * 333
    assert len(stream["rcv"]["q"]) == 1


def test_bytes_of_structs_are_named() -> None:
    structs = {m["struct"] for m in moments(machines.full(), "") if "struct" in m}
    assert structs >= {"ctl_info", "sockaddr_ctl", "kern_event_msg", "kev_request"}


def test_a_panic_leaves_who_was_inside_in_the_kernel() -> None:
    mac = machines.panic()
    doc = scene_document(mac)
    state = after(doc, len(doc["moments"]) - 1)
    assert state["panic"] == "kernel page fault"
    assert [p["doing"] for p in state["procs"].values()] == ["", "in kernel: connect"]
    assert doc["moments"][-1]["kind"] == "panic"


def test_a_fresh_kernel_is_a_document_without_moments() -> None:
    doc = scene_document(Kernel())
    assert (doc["moments"], doc["patches"]) == ([], [])
    ((number, state),) = doc["keyframes"]
    assert (number, state["procs"], state["socks"]) == (0, {}, {})
    assert after(doc, -1) == state


# ---------------------------------------------------------------- growing


def test_more_is_what_is_new() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    writer = SceneWriter(mac)
    doc = writer.document()
    assert writer.more() is None
    s = client(mac)
    more = writer.more()
    assert more is not None
    assert more["from"] == len(doc["moments"]) - 1
    assert [line["id"] for line in more["lifelines"]] == ["proc:100"]
    assert more["steps"] == len(mac.trace)
    assert s.fileno() == 3


def test_a_process_that_came_before_the_first_moment_is_told_again() -> None:
    mac = Kernel()
    writer = SceneWriter(mac)
    writer.document()
    mac.spawn("first")
    more = writer.more()
    assert more is not None
    assert (more["from"], more["moments"]) == (0, [])
    assert more["keyframes"][0][1]["procs"]["100"]["name"] == "first"


def test_a_large_document_has_keyframes_on_its_way() -> None:
    doc = scene_document(machines.many(20, 6000))
    numbers = [number for number, _ in doc["keyframes"]]
    assert len(numbers) > 3
    assert all(b - a >= 256 for a, b in pairwise(numbers))
    for number, state in doc["keyframes"][1:]:
        shorter = dict(doc, keyframes=doc["keyframes"][:1])
        assert after(shorter, number - 1) == state


def test_it_is_the_same_in_another_process_with_another_hash_seed() -> None:
    probe = (
        "import json; from tests.unit.scene_machines import full; "
        "from kextlab.views import scene_document; print(json.dumps(scene_document(full())))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", probe],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("source", [None, "x", 7])
def test_anything_else_is_told_what_is_taken(source: object) -> None:
    with pytest.raises(TypeError, match=r"^SceneWriter\(\) takes mac.trace or the mac itself"):
        scene_document(source)


def test_a_moment_and_a_step_outside_are_told_the_range() -> None:
    doc = scene_document(echoing()[0])
    with pytest.raises(IndexError, match=r"^moment 99 is outside this scene: -1 to 8$"):
        after(doc, 99)
    with pytest.raises(IndexError, match=r"^step 99 is outside this trace: 0 to \d+$"):
        moment_at(doc, 99)


def test_an_entry_of_another_version_is_refused_in_one_line() -> None:
    mac = Kernel()
    assert mac.trace.record is not None
    mac.trace.record((99, "from the future"))
    with pytest.raises(ValueError, match="recorded by another version of kextlab"):
        scene_document(mac)


# ---------------------------------------------------------------- operations


def test_operations_set_delete_append_and_drop() -> None:
    state: Any = {"a": {"q": [[1, 2]], "x": 1}}
    for op in (["a/x", 2], ["a/q", "+", [3, 4]], ["a/q/1/0", 5], ["a/q", "<", 1], ["a/y", None]):
        apply(state, op)
    assert state == {"a": {"q": [[5, 4]], "x": 2, "y": None}}
    apply(state, ["a"])
    assert state == {}


def test_an_operation_that_another_replaces_is_left_out() -> None:
    ops: list[list[Any]] = [["a/x", 1], ["a/q", "+", []], ["a/x", 2], ["b"], ["b", {}]]
    assert squeezed(ops) == [["a/q", "+", []], ["a/x", 2], ["b"], ["b", {}]]
