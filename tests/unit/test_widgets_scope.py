"""Scope from Python: the document it sends, what it stores, what its controls do and say."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.widgets.drive import ScopeError
from kextlab.widgets.scope import Scope, outside

Sent = list[tuple[dict[str, Any], list[bytes]]]


def opened(data: bytes) -> Any:
    return json.loads(gzip.decompress(data))


def connected(sends: int = 0) -> tuple[Kernel, Any]:
    """A machine with a client of the echo kext, and the client's socket."""
    mac = Kernel()
    mac.load(EchoKext)
    module: Any = mac.spawn("client").socket
    sock = module.socket(module.PF_SYSTEM, module.SOCK_DGRAM, module.SYSPROTO_CONTROL)
    sock.connect("org.kextlab.echo")
    for _ in range(sends):
        sock.send(bytes(2048))
    return mac, sock


class Heard(Scope):
    """A Scope whose messages are kept."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, list(buffers or ())))

    @property
    def said(self) -> Sent:
        return self.__dict__.setdefault("sent", [])  # type: ignore[no-any-return]

    def ask(self, **message: Any) -> list[dict[str, Any]]:
        """What the browser would send; the answers that are words."""
        self.said.clear()
        self._heard(self, message, [])
        return [content for content, _ in self.said if "more" not in content]


@pytest.fixture
def scope() -> Iterator[Heard]:
    mac, _ = connected()
    made = Heard(mac)
    yield made
    made.close()


# -- the document ------------------------------------------------------------------------


def test_the_document_travels_compressed_and_whole(scope: Heard) -> None:
    state = scope.get_state()
    doc = opened(state["document"])
    assert doc["format"] == "kextlab-scene/1"
    assert doc["moments"][-1]["text"].startswith("connect returns to client")
    assert doc["live"]["controls"] == ["org.kextlab.echo"]


def test_a_page_that_is_reloaded_gets_the_document_as_it_is_now() -> None:
    mac, sock = connected()
    scope = Heard(mac)
    before = len(opened(scope.get_state()["document"])["moments"])
    sock.send(b"later")
    assert len(opened(scope.get_state()["document"])["moments"]) > before


def test_update_sends_only_what_is_new() -> None:
    mac, sock = connected()
    scope = Heard(mac)
    sock.send(b"one")
    scope.update()
    message, buffers = scope.said[-1]
    more = message["more"]
    assert "client calls send(fd 3) with 3 bytes." in [one["text"] for one in more["moments"]]
    assert not buffers  # so little is not packed: unpacking would wait for the page
    scope.said.clear()
    scope.update()
    assert scope.said == []


def test_what_is_new_travels_compressed_if_it_is_much() -> None:
    mac, sock = connected()
    scope = Heard(mac)
    for n in range(200):
        sock.send(bytes(8 + n % 3))
        sock.recv(100)
    scope.update()
    message, (data,) = scope.said[-1]
    assert message == {"more": "packed"}
    assert len(opened(data)["moments"]) > 200


def test_after_a_reboot_the_story_begins_anew() -> None:
    mac, _ = connected()
    scope = Heard(mac)
    mac.reboot()
    scope.update()
    message, (data,) = scope.said[-1]
    assert message == {"document": "packed"}
    assert opened(data)["moments"] == []


def test_a_trace_and_a_document_can_be_shown_and_are_not_live() -> None:
    mac, _ = connected()
    shown = Scope(mac.trace, title="a story")
    doc = opened(shown.get_state()["document"])
    assert (doc["title"], shown.live, "live" in doc) == ("a story", False, False)
    again = Scope(doc)
    assert opened(again.get_state()["document"])["moments"] == doc["moments"]


# -- bad input ---------------------------------------------------------------------------


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match="parts: 'map' is none of topology, queues, diagram"):
        Scope(Kernel(), parts=["map"])


def test_a_step_that_does_not_exist_is_refused_in_the_words_of_the_browser() -> None:
    mac = Kernel()
    steps = len(mac.trace)
    said = f"step 9,999 is outside this trace: 0 to {steps}"
    with pytest.raises(IndexError, match=f"^{said}$"):
        Scope(mac, at=9999)
    assert outside(9999, steps) == said


def test_a_document_of_another_version_is_refused() -> None:
    said = "scene of format kextlab-scene/9; this kextlab reads kextlab-scene/1"
    with pytest.raises(ValueError, match=said):
        Scope({"format": "kextlab-scene/9"})


def test_a_source_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError):
        Scope(42)  # type: ignore[arg-type]


# -- what a notebook stores --------------------------------------------------------------


def test_a_display_stores_a_picture_and_words_and_no_widget_view(scope: Heard) -> None:
    data, _ = scope._repr_mimebundle_()
    assert set(data) == {"text/html", "image/svg+xml", "text/plain"}
    assert f'data-kextlab-scope="{scope.place}"' in data["text/html"]
    assert "data:image/svg+xml;base64," in data["text/html"]
    assert "Run the cell again for the live view" in data["text/html"]
    assert data["text/plain"].startswith("Step ")
    assert "client (pid 100, uid 501) holds fd 3" in data["text/plain"]


def test_the_stored_picture_is_of_the_step_it_opens_at() -> None:
    mac, _ = connected(2)
    end, _ = Scope(mac)._repr_mimebundle_()
    begin, _ = Scope(mac, at=10)._repr_mimebundle_()
    assert "4,096 of 8,192 bytes" in end["text/plain"]
    assert "holds fd 3" not in begin["text/plain"]


# -- the controls ------------------------------------------------------------------------


def test_controls_drive_the_machine_and_say_what_came_of_it(scope: Heard) -> None:
    assert scope.ask(do="connect", pid=100, control="org.kextlab.echo") == [
        {"said": "client is connected to org.kextlab.echo on fd 4.", "for": None}
    ]
    assert scope.ask(do="send", pid=100, text="hello", id=7) == [
        {"said": "client sent 5 bytes on fd 4.", "for": 7}
    ]
    assert scope.ask(do="recv", pid=100) == [
        {"said": "client read 5 bytes from fd 4.", "for": None}
    ]


def test_python_and_the_browser_are_told_the_same_words(scope: Heard) -> None:
    with pytest.raises(ScopeError) as python:
        scope.connect(7, "org.kextlab.echo")
    assert scope.ask(do="connect", pid=7, control="org.kextlab.echo") == [
        {"error": str(python.value), "for": None}
    ]
    assert str(python.value) == "no process 7 is running; running: client (100)"


def test_a_refusal_is_told_as_the_log_tells_it(scope: Heard) -> None:
    (said,) = scope.ask(do="recv", pid=100)
    assert said["error"] == (
        "recv(fd 3) returns EAGAIN to client: nothing is queued and the call must not wait."
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"do": "connect", "pid": 100, "control": "x"}, "no control 'x' is registered"),
        ({"do": "step"}, "no task can run"),
        ({"do": "fault", "fault": "x"}, "the fault 'x' cannot apply to this machine now"),
        ({"do": "offer", "at": 9999}, "step 9,999 is outside this trace"),
        ({"do": "jump"}, "Scope cannot do 'jump'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    scope: Heard, message: dict[str, Any], said: str
) -> None:
    (answer,) = scope.ask(**message)
    assert said in answer["error"]
    assert "\n" not in answer["error"]


def test_a_trace_drives_nothing_and_says_so() -> None:
    scope = Heard(Kernel().trace)
    (answer,) = scope.ask(do="step")
    assert answer["error"] == ("this Scope plays a story back; only Scope(mac) drives a machine")


# -- branches ----------------------------------------------------------------------------


def test_a_branch_runs_the_story_again_with_one_thing_changed() -> None:
    mac, _ = connected(2)
    scope = Heard(mac)
    labels = [one.label for one in scope.offered(len(mac.trace))]
    assert "client is killed" in labels
    scope.said.clear()
    run = scope.branch(len(mac.trace), "client is killed")
    message, (data,) = next(one for one in scope.said if "branch" in one[0])
    branch = opened(data)
    assert message == {"branch": "packed"}
    assert branch["title"] == "client is killed"
    assert (
        branch["doc"]["moments"][: branch["at"]]
        == opened(scope.get_state()["document"])["moments"][: branch["at"]]
    )
    assert scope.branches == [run]


def test_a_change_that_cannot_apply_is_named() -> None:
    mac, _ = connected()
    with pytest.raises(ScopeError, match="the change 'x' cannot apply at step 10"):
        Scope(mac).branch(10, "x")


# -- imports -----------------------------------------------------------------------------


def test_scope_is_imported_when_it_is_first_used() -> None:
    code = (
        "import sys, kextlab\n"
        "assert 'ipywidgets' not in sys.modules and 'kextlab.widgets' not in sys.modules\n"
        "from kextlab import Scope\n"
        "assert Scope.__module__ == 'kextlab.widgets.scope'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
