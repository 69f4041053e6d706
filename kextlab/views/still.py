"""A moment of a scene document as a scene to draw: for pictures of a document without its trace."""

from __future__ import annotations

from kextlab.abi.constants import FLAGS
from kextlab.abi.errno import number_of
from kextlab.views.local_scene import link_in
from kextlab.views.patches import Json, after
from kextlab.views.queues import LOST, Queue, Refusal
from kextlab.views.scene import Buffer, Control, Lane, Process, Scene


def still(doc: dict[str, Json], moment: int) -> tuple[Scene, dict[int, Queue]]:
    """The scene after a moment, and the queues with what did not fit into them last.

    Raises:
        IndexError: the document has no such moment.
    """
    state = after(doc, moment)
    scene = Scene(
        doc["release"],
        state["panic"],
        tuple(Process(int(pid), p["name"], p["uid"]) for pid, p in state["procs"].items()),
        tuple(
            sorted(
                (_lane(int(n), sock) for n, sock in state["socks"].items() if sock["fds"]),
                key=lambda lane: (lane.pid, lane.fds),
            )
        ),
        tuple(_control(int(serial), fields) for serial, fields in state["ctls"].items()),
    )
    moments = doc["moments"]
    queues = {}
    for number, sock in state["socks"].items():
        if sock["mark"] is not None:
            size, what, at = sock["mark"]
            errno = 0 if what == LOST else number_of(what)
            refusal = Refusal(moments[at]["step"], size, errno, sock["unit"])
            queues[int(number)] = Queue(int(number), sock["unit"], [], [refusal], True)
    return scene, queues


def _buffer(side: dict[str, Json]) -> Buffer:
    sizes = tuple(item[1] for item in side["q"])
    passed = tuple(len(item[5]) if len(item) > 5 else 0 for item in side["q"])
    return Buffer(sizes, side["cc"], side["hiwat"], passed if any(passed) else ())


def _lane(number: int, sock: dict[str, Json]) -> Lane:
    return Lane(
        number,
        sock["pid"],
        tuple(sock["fds"]),
        sock["type"],
        sock["ctl"],
        sock["unit"],
        sock["state"],
        _buffer(sock["rcv"]),
        _buffer(sock["snd"]),
        link_in(sock),
    )


def _control(serial: int, fields: dict[str, Json]) -> Control:
    table = FLAGS["CTL_FLAG"]
    flags = sum(flag if isinstance(flag, int) else table[flag] for flag in fields["flags"])
    return Control(
        serial,
        fields["name"],
        fields["id"],
        flags,
        fields["recv"],
        fields["send"],
        fields["kext"],
        tuple(fields["callbacks"]),
        fields["loaded"],
    )
