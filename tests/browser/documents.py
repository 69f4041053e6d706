"""The scene documents that pages under test show: of machines that are the same every time."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from kextlab.views import scene_document
from tests.unit import mach_machines, scene_local_machines, scene_mach_machines, scene_machines

Json = dict[str, Any]

MACHINES = {
    "echo": "two clients, one echo kext",
    "full": "datagrams, a stream, events",
    "panic": "a forgotten ctl_deregister",
    "empty": "a fresh kernel",
    "twelve": "twelve clients",
    "many": "two hundred clients",
    "page": "a page goes to another process",
    "busy": "a full queue",
    "both": "a page, and an echo kext",
    "crowd": "more ports than fit",
    "local": "local sockets",
    "jobs": "launchd's jobs",
    "many_jobs": "more jobs than fit",
    "brokered": "a job with a service",
    "local_and_echo": "local sockets, and an echo kext",
}
MACH = ("page", "busy", "both", "crowd")
"""Those whose processes use Mach."""
LOCAL = ("local", "local_and_echo", "jobs", "many_jobs")
"""Those whose processes use local sockets."""


@cache
def _document(name: str) -> Json:
    if name == "twelve":
        mac = scene_machines.many(12, 1_200)
    elif name == "many":
        mac = scene_machines.many(200, 6_000)
    elif name in LOCAL:
        mac = getattr(scene_local_machines, name)()
    elif name == "brokered":
        mac = mach_machines.brokered()
    elif name in MACH:
        mac = getattr(scene_mach_machines, name)()
    else:
        mac = getattr(scene_machines, name)()
    return scene_document(mac, title=MACHINES[name])


def document(name: str) -> Json:
    """The document of that machine; it may be changed."""
    return copy.deepcopy(_document(name))


def branched() -> Json:
    """Two clients and an echo kext, and a branch in which the last four messages were not sent."""
    doc = document("echo")
    other = document("echo")
    at = refusals(doc)[0] - 2
    end = at + 1
    other["moments"], other["patches"] = other["moments"][:end], other["patches"][:end]
    other["keyframes"] = [frame for frame in other["keyframes"] if frame[0] < end]
    other["steps"] = other["moments"][-1]["step"]
    doc["branches"] = [{"at": at - 4, "title": "client2 stays silent", "doc": other}]
    return doc


def refusals(doc: Json) -> list[int]:
    """The moments at which something was refused or lost."""
    return [at for at, moment in enumerate(doc["moments"]) if moment["world"] == "loss"]
