"""Keyframes and patches of a scene give, at every moment, what the trace's own state says."""

import base64
import json
import random
from typing import Any, cast

import pytest
from hypothesis import settings
from test_machine import ControlMachine
from test_machine_events import EventMachine

from kextlab.abi.constants import M_EOR
from kextlab.kernel import system as system_module
from kextlab.scenario.recording import Scenario
from kextlab.scenario.replay import replay
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.views import log, scenes
from kextlab.views.patches import after
from kextlab.views.scenes import SceneWriter
from tests.recordings import corpus

RELEASES = ["xnu-11417.101.15", "xnu-7195.141.2"]


def records(state: State, name: str) -> list[tuple[int, bytes, int]]:
    """Bytes in all, the first 256 of them and whether the end is marked, of each queued record."""
    found = []
    packet = cast(int, state[name]["sb_mb"])
    while packet:
        data, link, eor = b"", packet, 0
        while link:
            mbuf = state[f"mbuf:{link}"]
            data += cast(bytes, mbuf["m_data"])
            eor |= cast(int, mbuf["m_flags"]) & M_EOR
            link = cast(int, mbuf["m_next"])
        found.append((len(data), data[:256], 1 if eor else 0))
        packet = cast(int, state[f"mbuf:{packet}"]["m_nextpkt"])
    return found


def expected(state: State) -> dict[str, Any]:
    """What a scene must show, built from scratch."""
    kinds: dict[str, list[str]] = {}
    for name in state:
        kind, _, rest = name.partition(":")
        kinds.setdefault(kind, []).append(rest)
    held: dict[int, list[tuple[int, int]]] = {}
    for rest in kinds.get("fd", ()):
        pid, _, fd = rest.partition(":")
        socket = cast(int, state[f"fd:{rest}"]["socket"])
        held.setdefault(socket, []).append((int(pid), int(fd)))
    socks = {}
    for number in kinds.get("socket", ()):
        kcb = state.get(f"kcb:{number}", {})
        fds = sorted(held.get(int(number), []))
        sock: dict[str, Any] = {
            "fds": [fd for pid, fd in fds if pid == fds[0][0]],
            "ctl": kcb.get("kctl", 0),
            "unit": kcb.get("unit", 0),
        }
        if f"ev_pcb:{number}" in state:
            sock["filter"] = list(state[f"ev_pcb:{number}"].values())
        for side in ("rcv", "snd"):
            buffer = state[f"so_{side}:{number}"]
            names = ("cc", "hiwat", "mbcnt", "mbmax", "lowat")
            sock[side] = {name: buffer[f"sb_{name}"] for name in names}
            sock[side]["q"] = records(state, f"so_{side}:{number}")
        socks[number] = sock
    kexts: dict[str, list[int]] = {}
    for name in kinds.get("kext", ()):
        own = [
            len(cast(bytes, fields["m_data"]))
            for other, fields in state.items()
            if other.startswith("mbuf:") and fields["owner"] == f"kext:{name}"
        ]
        kexts[name] = [len(own), sum(own)]
    return {
        "panic": state["kernel"]["panic"],
        "procs": {
            pid: (state[f"proc:{pid}"]["name"], state[f"proc:{pid}"]["uid"])
            for pid in kinds.get("proc", ())
        },
        "socks": socks,
        "ctls": {
            serial: (
                state[f"kctl:{serial}"]["name"],
                state[f"kctl:{serial}"]["id"],
                f"kext:{state[f'kctl:{serial}']['kext']}" in state,
            )
            for serial in kinds.get("kctl", ())
        },
        "kexts": kexts,
        "kev": (
            state["kevtstat"]["posted"],
            state["kevtstat"]["fullsock"],
            state["kern_event"]["last_event_id"],
        ),
    }


def shown(scene: dict[str, Any], datas: list[bytes]) -> dict[str, Any]:
    """A scene's state in the same form, without what only its history knows."""
    socks = {}
    for number, sock in scene["socks"].items():
        keys = ("fds", "ctl", "unit", "filter")
        told = {name: sock[name] for name in keys if name in sock}
        for side in ("rcv", "snd"):
            buffer = dict(sock[side])
            del buffer["read"]
            buffer["q"] = [
                (size, datas[data] if data >= 0 else b"", eor)
                for _, size, data, _, eor in buffer["q"]
            ]
            told[side] = buffer
        socks[number] = told
    return {
        "panic": scene["panic"],
        "procs": {pid: (one["name"], one["uid"]) for pid, one in scene["procs"].items()},
        "socks": socks,
        "ctls": {n: (one["name"], one["id"], one["loaded"]) for n, one in scene["ctls"].items()},
        "kexts": {name: one["holds"] for name, one in scene["kexts"].items()},
        "kev": (scene["kev"]["posted"], scene["kev"]["full"], scene["kev"]["id"]),
    }


def check(trace: Trace) -> None:
    """Every moment of a trace, its lines, and the same document written piece by piece."""
    doc = json.loads(json.dumps(SceneWriter(trace).document()))
    datas = [base64.b64decode(data) for data in doc["datas"]]
    assert [(m["step"], m["text"]) for m in doc["moments"]] == [
        (line.step, line.text) for line in log(trace)
    ]
    folder = Folder()
    ends = [moment["step"] for moment in doc["moments"][1:]] + [len(trace)]
    entries = trace.entries()
    steps = 0
    for number, end in enumerate(ends if doc["moments"] else []):
        while steps < end:
            folder.step(next(entries))
            steps += 1
        got, wanted = shown(after(doc, number), datas), expected(folder.state)
        assert got == wanted, doc["moments"][number]


def grown(trace: Trace, seed: int) -> None:
    """Reading a trace while it grows gives the document that reading it whole gives."""
    whole = SceneWriter(trace).document()
    part = Trace()
    record = part.record
    assert record is not None
    writer = SceneWriter(part)
    doc = writer.document()
    chance = random.Random(seed)
    entries = list(trace.entries())
    at = 0
    while at < len(entries):
        for entry in entries[at : at + chance.randint(1, 40)]:
            record(entry)
            at += 1
        more = writer.more()
        assert more is not None
        for name in ("moments", "patches"):
            doc[name][more["from"] :] = more[name]
        doc["keyframes"] = ([] if more["from"] == 0 else doc["keyframes"]) + more["keyframes"]
        for name in ("sources", "datas", "lifelines"):
            doc[name] += more[name]
        doc["steps"] = more["steps"]
        assert len(doc["moments"]) == len(doc["patches"])
    assert writer.more() is None
    doc["lifelines"] = scenes.ordered(doc["lifelines"])
    whole["lifelines"] = scenes.ordered(whole["lifelines"])
    doc["release"], doc["macos"] = whole["release"], whole["macos"]
    assert doc == whole


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[Trace]:
    """The traces of machines made from now on."""
    made: list[Trace] = []

    class Kept(Trace):
        __slots__ = ()

        def __init__(self, recording: bool = True) -> None:
            super().__init__(recording)
            made.append(self)

    monkeypatch.setattr(system_module, "Trace", Kept)
    return made


def scenarios(release: str, generated: int) -> list[Scenario]:
    recording = corpus(release)
    written = [scenario for scenario in recording.scenarios if scenario.topic is not None]
    others = [scenario for scenario in recording.scenarios if scenario.topic is None]
    return written + others[:: len(others) // generated]


@pytest.mark.parametrize("release", RELEASES)
def test_patches_give_the_state_of_the_trace_at_every_moment(
    release: str, traces: list[Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "APART", 5)
    monkeypatch.setattr(scenes, "WORTH", 0)
    for scenario in scenarios(release, 15):
        replay(scenario, release)
        check(traces.pop())


def test_a_document_that_grows_is_the_one_written_at_once(traces: list[Trace]) -> None:
    for seed, scenario in enumerate(scenarios(RELEASES[0], 20)[::5]):
        replay(scenario, RELEASES[0])
        grown(traces.pop(), seed)


class ControlScenes(ControlMachine):
    def teardown(self) -> None:
        check(self.mac.trace)
        grown(self.mac.trace, len(self.mac.trace))


class EventScenes(EventMachine):
    def teardown(self) -> None:
        check(self.mac.trace)


TestControlScenes = ControlScenes.TestCase
TestControlScenes.settings = settings(max_examples=15, stateful_step_count=40)
TestEventScenes = EventScenes.TestCase
TestEventScenes.settings = settings(max_examples=10, stateful_step_count=40)
